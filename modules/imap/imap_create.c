/* imap_create.c - CREATE (RFC 9051 section 6.3.4; CREATE-SPECIAL-USE, RFC 6154 section 3;
 * OBJECTID, RFC 8474 section 4.1).
 *
 *   create       = "CREATE" SP mailbox [SP "(" create-param *(SP create-param) ")"]
 *   create-param = "USE" SP "(" [use-attr *(SP use-attr)] ")"
 *
 * \All and \Flagged would be views of other mailboxes, which we do not have.  What a mailbox is
 * for only its owner says.  It has the rights of the one above (RFC 4314 section 4). */

#include <errno.h>

#include "imap.h"

static const struct {
	const char *name;
	uint32_t use;
} uses[] = {
	{ "Archive", KURIR_MAILBOX_ARCHIVE },
	{ "Drafts", KURIR_MAILBOX_DRAFTS },
	{ "Important", KURIR_MAILBOX_IMPORTANT },
	{ "Junk", KURIR_MAILBOX_JUNK },
	{ "Sent", KURIR_MAILBOX_SENT },
	{ "Trash", KURIR_MAILBOX_TRASH },
};

/* One that is not known is no error of form: *ret_known is false then. */
static int use_attributes(struct imap_args *a, uint32_t *ret, bool *ret_known)
{
	struct kurir_str name;

	if (!imap_space(a) || !imap_take(a, '('))
		return -EBADMSG;
	if (imap_take(a, ')'))
		return 0;
	do {
		uint32_t use = 0;

		if (!imap_take(a, '\\') || imap_atom(a, &name) < 0)
			return -EBADMSG;
		for (size_t i = 0; i < sizeof(uses) / sizeof(*uses); i++)
			if (kurir_str_equal_nocase(name, kurir_str_of(uses[i].name)))
				use = uses[i].use;
		*ret |= use;
		*ret_known &= use != 0;
	} while (imap_space(a));
	return imap_take(a, ')') ? 0 : -EBADMSG;
}

static int parse(struct imap_args *a, struct kurir_manage *what, bool *ret_known)
{
	if (imap_mailbox(a, &what->mailbox) < 0)
		return -EBADMSG;
	if (imap_end(a))
		return 0;
	if (!imap_space(a) || !imap_take(a, '(') || !imap_take_word(a, "USE") ||
	    use_attributes(a, &what->uses, ret_known) < 0 || !imap_take(a, ')'))
		return -EBADMSG;
	return imap_end(a) ? 0 : -EBADMSG;
}

bool imap_keeps_uses(const struct imap *s)
{
	return imap_store_has(s, set_entries);
}

/* Each level that is not there yet is made for itself, so that no right is missing from one. */
KURIR_PARKS static int make(struct imap *s, const struct imap_place *place,
    struct kurir_manage *what, struct kurir_str above, struct kurir_str *ret_id)
{
	struct imap_place level = *place;
	int r = 0;

	for (size_t i = above.len + 1; i <= place->mailbox.len && r >= 0; i++) {
		bool last = i == place->mailbox.len;

		if (!last && (above.len == 0 || place->mailbox.ptr[i] != '/'))
			continue;
		level.mailbox = kurir_str_part(place->mailbox, 0, i);
		struct kurir_manage one = { .kind = KURIR_MANAGE_CREATE,
			.mailbox = level.mailbox,
			.new_name = KURIR_STR(""),
			.uses = last ? what->uses : 0 };
		r = s->store->manage(
		    s->store_self, place->account, &one, imap_until(s), kurir_scratch(), ret_id);
		if (r >= 0)
			r = imap_place_inherit(s, &level, above);
	}
	return r;
}

KURIR_PARKS void imap_create(struct imap *s, struct imap_args *a)
{
	struct kurir_manage what = { .kind = KURIR_MANAGE_CREATE, .new_name = KURIR_STR("") };
	struct kurir_str id = KURIR_STR(""), above;
	struct imap_place place;
	bool known = true;
	int r = parse(a, &what, &known);

	if (r < 0) {
		imap_bad(s, "CREATE takes the name of a mailbox, and what it is for");
		return;
	}
	if (!known || (what.uses != 0 && !imap_keeps_uses(s))) {
		imap_no(s, "[USEATTR] No mailbox can be made for that use");
		return;
	}
	/* A trailing separator says that mailboxes are to be made below. */
	if (what.mailbox.len > 1 && what.mailbox.ptr[what.mailbox.len - 1] == '/')
		what.mailbox.len--;
	r = imap_place_new(s, what.mailbox, &place, &above);
	if (r >= 0 && what.uses != 0 && !kurir_str_equal(place.account, s->account))
		r = -EACCES;
	if (r >= 0)
		r = make(s, &place, &what, above, &id);
	if (r >= 0 && id.len > 0)
		imap_ok(s, "[MAILBOXID (%.*s)] Done", KURIR_ARG(id));
	else
		imap_done(s, r);
}
