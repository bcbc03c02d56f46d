/* imap_setacl.c - SETACL and DELETEACL (RFC 4314 sections 3.1 and 3.2).
 *
 *   setacl     = "SETACL" SP mailbox SP identifier SP mod-rights
 *   deleteacl  = "DELETEACL" SP mailbox SP identifier
 *   mod-rights = astring  ; +rights to add, -rights to remove, rights to replace
 *   identifier = astring  ; an account, or "anyone" */

#include <errno.h>

#include "imap.h"

struct setacl {
	struct imap_place place;
	struct kurir_str name, identifier;
	char how; /* '+', '-', or '=' */
	uint32_t rights;
};

static int parse(struct imap_args *a, struct setacl *q, bool removes)
{
	struct kurir_str text = KURIR_STR("");

	if (imap_mailbox(a, &q->name) < 0 || !imap_space(a) ||
	    imap_astring(a, &q->identifier) < 0 || q->identifier.len == 0)
		return -EBADMSG;
	if (!removes && (!imap_space(a) || imap_astring(a, &text) < 0))
		return -EBADMSG;
	q->how = '=';
	if (text.len > 0 && (text.ptr[0] == '+' || text.ptr[0] == '-')) {
		q->how = text.ptr[0];
		text = kurir_str_part(text, 1, text.len);
	}
	return imap_end(a) ? imap_rights_parse(text, &q->rights) : -EBADMSG;
}

/* Whom it is about: an account, as it is written; *ret: why not, for people; or NULL.  Who is
 * no account any more can lose rights. */
KURIR_PARKS static int objection(struct imap *s, struct setacl *q, const char **ret)
{
	bool anyone = kurir_str_equal_nocase(q->identifier, KURIR_STR("anyone"));
	bool gives = q->how != '-' && q->rights != 0;
	int known = 1;

	q->identifier = kurir_lower(kurir_scratch(), q->identifier);
	*ret = q->identifier.ptr[0] == '-' ? "There are no negative rights"
	    : kurir_str_equal(q->identifier, q->place.account)
	    ? "The owner has all rights, always"
	    : gives && (q->rights & ~(uint32_t)IMAP_RIGHTS_OTHERS) ? "There is no right to post"
								   : NULL;
	if (*ret == NULL && gives && !anyone)
		known = imap_account_exists(s, q->identifier);
	if (known == 0)
		*ret = "There is nobody of that name";
	return known < 0 ? known : 0;
}

/* What the identifier has so far. */
KURIR_PARKS static int rights_now(struct imap *s, const struct setacl *q, struct kurir_str entry)
{
	struct kurir_entry *all;
	uint32_t rights = 0;
	size_t count;
	int r = s->store->entries(s->store_self, q->place.account, q->place.mailbox,
	    imap_until(s), kurir_scratch(), &all, &count);

	for (size_t i = 0; r >= 0 && i < count; i++)
		if (kurir_str_equal(all[i].name, entry))
			(void)imap_rights_parse(all[i].value, &rights);
	return r < 0 ? r : (int)rights;
}

static bool is_anyone(const struct setacl *q)
{
	return kurir_str_equal(q->identifier, KURIR_STR("anyone"));
}

/* Where the other finds what it was given, and no longer than that. */
KURIR_PARKS static int tidy(struct imap *s, const struct setacl *q)
{
	int r = is_anyone(q) ? 0 : imap_account_exists(s, q->identifier);

	if (r <= 0)
		return r;
	return q->rights ? imap_word_leave(s, q->identifier, q->place.account)
			 : imap_word_tidy(s, q->identifier, q->place.account);
}

/* q->rights are those that the identifier has then. */
KURIR_PARKS static int set(struct imap *s, struct setacl *q)
{
	struct kurir_entry entry = { .value = { NULL, 0 } };
	char text[IMAP_RIGHTS_TEXT];
	int r;

	entry.name =
	    kurir_format(kurir_scratch(), IMAP_ACL_ENTRY "%.*s", KURIR_ARG(q->identifier));
	r = rights_now(s, q, entry.name);
	if (r < 0)
		return r;
	q->rights = q->how == '+' ? (uint32_t)r | q->rights
	    : q->how == '-'	  ? (uint32_t)r & ~q->rights
				  : q->rights;
	if (q->rights) {
		entry.value = kurir_str_of(imap_rights_keep(text, q->rights));
		r = tidy(s, q);
	}
	return r < 0 ? r
		     : s->store->set_entries(s->store_self, q->place.account, q->place.mailbox,
			   &entry, 1, imap_until(s));
}

KURIR_PARKS static void tell(struct imap *s, const struct setacl *q)
{
	char text[IMAP_RIGHTS_TEXT];

	kurir_count(s->self, IMAP_RIGHTS_CHANGED, 1);
	KURIR_EMIT(s->self, KURIR_INFO, "rights", { "account", s->account },
	    { "owner", q->place.account }, { "mailbox", q->place.mailbox },
	    { "to", q->identifier },
	    { "rights", kurir_str_of(imap_rights_keep(text, q->rights)) },
	    { "peer", kurir_conn_peer(s->conn) });
}

KURIR_PARKS static void change(struct imap *s, struct imap_args *a, bool removes)
{
	struct setacl q = { .rights = 0 };
	int r = imap_has_acl(s) ? parse(a, &q, removes) : -EBADMSG;
	const char *why = NULL;

	if (r < 0) {
		imap_bad(s, "This takes a mailbox, an identifier, and, for SETACL, rights");
		return;
	}
	r = imap_place_find(s, q.name, IMAP_RIGHT_ADMIN, &q.place);
	if (r >= 0)
		r = objection(s, &q, &why);
	if (r >= 0 && why != NULL) {
		imap_no(s, "[CANNOT] %s", why);
		return;
	}
	if (r >= 0)
		r = set(s, &q);
	if (r >= 0) {
		tell(s, &q);
		r = tidy(s, &q);
	}
	if (r == -EMSGSIZE)
		imap_no(s, "[LIMIT] There are too many rights, or owners who give some");
	else
		imap_done(s, r);
}

KURIR_PARKS void imap_setacl(struct imap *s, struct imap_args *a)
{
	change(s, a, false);
}

KURIR_PARKS void imap_deleteacl(struct imap *s, struct imap_args *a)
{
	change(s, a, true);
}
