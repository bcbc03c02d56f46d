/* imap_place.h - where a mailbox is that a client names, and what may be done there: the one way
 * to mailboxes of others (RFC 4314).
 *
 * Who has an account owns its mailboxes, and has all rights to them, always.  Those of others are
 * below "user/", followed by the owner's account: "user/siti@satu.example/Lists".  A command that
 * asks here for nothing never leaves its own account.
 *
 * Rights are entries of a mailbox, "acl/IDENTIFIER", that METADATA does not show; so they go
 * where it goes.  For an account there is "owner/OWNER" for each owner who gave it rights: where
 * to look, which is no right to anything. */
#ifndef IMAP_PLACE_H
#define IMAP_PLACE_H

#include <kurir/store.h>

struct imap;

enum imap_right {
	IMAP_RIGHT_LOOKUP = 1u << 0,  /* l */
	IMAP_RIGHT_READ = 1u << 1,    /* r */
	IMAP_RIGHT_SEEN = 1u << 2,    /* s */
	IMAP_RIGHT_WRITE = 1u << 3,   /* w: other flags */
	IMAP_RIGHT_INSERT = 1u << 4,  /* i */
	IMAP_RIGHT_POST = 1u << 5,    /* p */
	IMAP_RIGHT_CREATE = 1u << 6,  /* k: mailboxes */
	IMAP_RIGHT_REMOVE = 1u << 7,  /* x: the mailbox */
	IMAP_RIGHT_DELETE = 1u << 8,  /* t: messages are marked */
	IMAP_RIGHT_EXPUNGE = 1u << 9, /* e */
	IMAP_RIGHT_ADMIN = 1u << 10,  /* a */
	IMAP_RIGHTS_ALL = (1u << 11) - 1,
	/* What others can be given: there is no address to post to. */
	IMAP_RIGHTS_OTHERS = IMAP_RIGHTS_ALL & ~IMAP_RIGHT_POST,
	/* Any of them lets an account ask for its rights (section 4). */
	IMAP_RIGHTS_MY = IMAP_RIGHT_LOOKUP | IMAP_RIGHT_READ | IMAP_RIGHT_INSERT |
	    IMAP_RIGHT_CREATE | IMAP_RIGHT_REMOVE | IMAP_RIGHT_ADMIN,
	/* Without all of them a mailbox is read-only (section 5.2). */
	IMAP_RIGHTS_CHANGE = IMAP_RIGHT_INSERT | IMAP_RIGHT_EXPUNGE | IMAP_RIGHT_SEEN |
	    IMAP_RIGHT_DELETE | IMAP_RIGHT_WRITE,
};
#define IMAP_RIGHTS_TEXT 16 /* bytes, with the NUL */

struct imap_place {
	struct kurir_str account, mailbox; /* as the store knows it */
	struct kurir_str name;		   /* as the client does */
	uint32_t rights;		   /* enum imap_right */
};

#define IMAP_OTHERS	 "user/"
#define IMAP_ACL_ENTRY	 "acl/"
#define IMAP_OWNER_ENTRY "owner/"

bool imap_has_acl(const struct imap *); /* the store keeps entries, and somebody knows accounts */
bool imap_is_others(struct kurir_str name); /* in the namespace of others */
/* Texts are in the scratch arena.  -ENOENT: there is none, or the client may not know of it;
 * -EACCES: some of needed is not there. */
int imap_place_find(struct imap *, struct kurir_str name, uint32_t needed, struct imap_place *ret)
    KURIR_PARKS;
/* Where a mailbox would be: -EACCES unless the nearest above it that is there has the right "k".
 * *ret_above: that one, as the store knows it; empty: there is none, which is for owners only. */
int imap_place_new(struct imap *, struct kurir_str name, struct imap_place *ret,
    struct kurir_str *ret_above) KURIR_PARKS;
/* A mailbox that was just made has the rights of the one above. */
int imap_place_inherit(struct imap *, const struct imap_place *, struct kurir_str above)
    KURIR_PARKS;
/* The account that such a name, or the beginning of such names, is about. */
bool imap_others_owner(struct kurir_str name, struct kurir_str *ret);
/* Whether there is an account of exactly that name: 1, 0; -errno. */
int imap_account_exists(struct imap *, struct kurir_str account) KURIR_PARKS;
/* What an account may do in a mailbox of another: rights, or -errno. */
int imap_rights_of(struct imap *, struct kurir_str account, struct kurir_str owner,
    struct kurir_str mailbox) KURIR_PARKS;
/* What is left of the rights to the selected mailbox, when it is another's: 0; -EACCES: it may
 * not be read any more; -errno: nobody can tell. */
int imap_place_still(struct imap *) KURIR_PARKS;
/* Flags that those rights are for; keywords are WRITE's. */
uint32_t imap_flags_of(uint32_t rights);
/* Leaves a message the flags that may be set there. */
void imap_place_flags(const struct imap_place *, struct kurir_append *);

/* imap_rights.c: letters of section 2.1; those of RFC 2086 mean all that they stood for. */
int imap_rights_parse(struct kurir_str letters, uint32_t *ret); /* 0, -EBADMSG */
/* For a client, which is told "c" and "d" with any right that they stand for; and to be parsed
 * again, without them. */
const char *imap_rights_put(char text[IMAP_RIGHTS_TEXT], uint32_t rights);
const char *imap_rights_keep(char text[IMAP_RIGHTS_TEXT], uint32_t rights);

/* imap_getacl.c: the MYRIGHTS reply. */
int imap_put_myrights(struct imap *, const struct imap_place *) KURIR_PARKS;

/* imap_transfer.c: appends messages of the selected mailbox there; moves: they leave it.  All of
 * them, or none; -EMSGSIZE: one is too large.  ret is set in any case: moves that fail may have
 * left copies, which stay. */
int imap_transfer(struct imap *, const struct imap_place *to, const struct kurir_uid_set *,
    bool moves, struct kurir_changed *ret) KURIR_PARKS;

/* imap_word.c: the owner's entry of the account.  Tidy: it goes when the account may look up no
 * mailbox of the owner.  -EMSGSIZE: too many owners gave it rights. */
int imap_word_leave(struct imap *, struct kurir_str account, struct kurir_str owner) KURIR_PARKS;
int imap_word_remove(struct imap *, struct kurir_str account, struct kurir_str owner) KURIR_PARKS;
/* Whether the account has that right to some mailbox of the owner: 1, 0; -errno. */
int imap_word_holds(
    struct imap *, struct kurir_str account, struct kurir_str owner, uint32_t right) KURIR_PARKS;
int imap_word_tidy(struct imap *, struct kurir_str account, struct kurir_str owner) KURIR_PARKS;

/* imap_others.c: mailboxes of others that a LIST may be about, behind all; count grows. */
struct imap_list;
#define IMAP_MAILBOX_UNREADABLE (1u << 31) /* in their flags: nothing is said of its messages */
int imap_others_add(struct imap *, const struct imap_list *, struct kurir_mailbox **all,
    size_t *count) KURIR_PARKS;

#endif
