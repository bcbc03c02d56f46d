/* tool_imap.h - a client of IMAP (RFC 3501, RFC 9051) that copies mailboxes and believes nothing.
 *
 * Every response is bounded, every wait has an end, and nothing is said before TLS with a
 * certificate that is right.  One command at a time; it blocks. */
#ifndef STORE_SQLITE_TOOL_IMAP_H
#define STORE_SQLITE_TOOL_IMAP_H

#include <kurir/store.h>
#include <openssl/ssl.h>

#define IMAP_BODY_MAX ((uint64_t)1 << 30) /* bytes of a message */

/* imaps://user@host:port: TLS from the start; imap://...: STARTTLS, which must work. */
struct imap_source {
	struct kurir_str user, password;
	const char *host, *port;
	const char *ca; /* PEM: whom to trust instead of the system's; or NULL */
	bool implicit;
};
/* Texts are copied into the arena.  -EINVAL: not such a URL. */
int imap_url(struct kurir_arena *, const char *url, struct imap_source *ret);

struct imap {
	SSL_CTX *trust;
	SSL *ssl; /* NULL: not yet */
	int fd;
	char in[16384];
	size_t at, have;
	unsigned commands;
	uint64_t left;		    /* bytes that may still come before the command's end */
	struct kurir_buf text;	    /* the response at hand, without its CRLF */
	struct kurir_buf can;	    /* what the server said it can do, in capitals */
	char said[256];		    /* what is wrong, for people */
	int body_fd;		    /* where a BODY[] goes, at body_at; -1: none was asked for */
	uint64_t body_at, body_end; /* in front of the next one, and behind the one at hand */
};
/* Each response but the last; the text is borrowed until it returns: 0, or -errno ends it. */
typedef int imap_see(void *arg, struct kurir_str response);

/* Connected and logged in: 0, or -errno, with what is wrong in "said".  Close it either way. */
int imap_open(struct imap *, const struct imap_source *);
void imap_close(struct imap *);
/* A command, and all that is said until it is done: 0; -EPERM: the server says NO; -EPROTO:
 * what it says makes no sense; -EMSGSIZE: too much; -ETIMEDOUT, -ECONNRESET... */
int imap_ask(struct imap *, imap_see *, void *arg, struct kurir_str command);
bool imap_can(const struct imap *, const char *capability);

/* tool_imap_parse.c: what responses say. */
struct imap_message {
	uint32_t uid; /* 0: not said; no others are then */
	int64_t flags, date;
	uint64_t size;
	struct kurir_str keywords; /* with a space between */
	bool has_flags, has_date, has_size, has_body;
	struct kurir_str body; /* of has_body, one that was no literal */
};
/* 1; 0: it is another response; -EPROTO. */
int imap_parse_fetch(struct kurir_str, struct kurir_arena *, struct imap_message *ret);
struct imap_mailbox {
	struct kurir_str name; /* as it is sent, decoded from its string only */
	char separator;	       /* '\0': none */
	bool selectable;
	uint32_t uses; /* of KURIR_MAILBOX_USES */
};
/* word: "LIST" or "LSUB". 1, 0, -EPROTO as before. */
int imap_parse_list(
    struct kurir_str, const char *word, struct kurir_arena *, struct imap_mailbox *ret);
struct imap_selected {
	uint32_t exists, validity, next;
};
void imap_parse_select(struct kurir_str, struct imap_selected *);
/* RFC 2342: the prefix of one's own mailboxes, and those of others; -EPROTO. */
#define IMAP_OTHERS 16
struct imap_namespaces {
	struct kurir_str own, others[IMAP_OTHERS];
	size_t count;
};
int imap_parse_namespace(struct kurir_str, struct kurir_arena *, struct imap_namespaces *);
/* It quoted, for a command. */
struct kurir_str imap_quote(struct kurir_arena *, struct kurir_str);

#endif
