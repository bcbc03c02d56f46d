/* imap_place.c - from the name of a mailbox to its place (RFC 4314 section 4). */

#include <errno.h>

#include <kurir/accounts.h>

#include "imap.h"

static const struct kurir_accounts_ops *accounts(struct kurir_self **ret)
{
	return kurir_service_find("accounts", NULL, ret);
}

bool imap_has_acl(const struct imap *s)
{
	struct kurir_self *self;

	return imap_has_metadata(s) && accounts(&self) != NULL;
}

/* "user/" and an account, which has an "@": other names of that kind are one's own. */
static bool split(struct kurir_str name, struct kurir_str *ret_owner, struct kurir_str *ret_rest)
{
	struct kurir_str rest;
	ssize_t slash;

	if (!kurir_str_starts(name, KURIR_STR(IMAP_OTHERS)))
		return false;
	rest = kurir_str_part(name, sizeof(IMAP_OTHERS) - 1, name.len);
	slash = kurir_str_find(rest, '/');
	*ret_owner = kurir_str_part(rest, 0, slash < 0 ? rest.len : (size_t)slash);
	*ret_rest = slash < 0 ? KURIR_STR("") : kurir_str_part(rest, (size_t)slash + 1, rest.len);
	return kurir_str_find(*ret_owner, '@') >= 0;
}

bool imap_is_others(struct kurir_str name)
{
	struct kurir_str owner, rest;

	return split(name, &owner, &rest);
}

bool imap_others_owner(struct kurir_str name, struct kurir_str *ret)
{
	struct kurir_str rest;

	return split(name, ret, &rest);
}

KURIR_PARKS int imap_account_exists(struct imap *s, struct kurir_str account)
{
	struct kurir_account_match match;
	struct kurir_self *self;
	const struct kurir_accounts_ops *ops = accounts(&self);
	int r;

	if (ops == NULL)
		return 0;
	r = ops->find(self, account, imap_until(s), kurir_scratch(), &match);
	if (r < 0)
		return r;
	return match.kind == KURIR_ACCOUNT_MAILBOX && kurir_str_equal(match.account, account);
}

KURIR_PARKS int imap_rights_of(
    struct imap *s, struct kurir_str account, struct kurir_str owner, struct kurir_str mailbox)
{
	struct kurir_entry *all;
	uint32_t rights = 0, more;
	size_t count;
	int r = s->store->entries(
	    s->store_self, owner, mailbox, imap_until(s), kurir_scratch(), &all, &count);

	for (size_t i = 0; r >= 0 && i < count; i++) {
		struct kurir_str id = all[i].name;

		if (!kurir_str_starts(id, KURIR_STR(IMAP_ACL_ENTRY)))
			continue;
		id = kurir_str_part(id, sizeof(IMAP_ACL_ENTRY) - 1, id.len);
		if ((kurir_str_equal(id, account) || kurir_str_equal(id, KURIR_STR("anyone"))) &&
		    imap_rights_parse(all[i].value, &more) >= 0)
			rights |= more & IMAP_RIGHTS_OTHERS;
	}
	return r < 0 ? r : (int)rights;
}

KURIR_PARKS int imap_place_still(struct imap *s)
{
	int r;

	if (s->state != IMAP_SELECTED || kurir_str_equal(s->place.account, s->account))
		return 0;
	r = imap_rights_of(s, s->account, s->place.account, s->place.mailbox);
	if (r == -ENOENT) /* it is gone, which is noticed by who looks for its messages */
		return 0;
	if (r < 0)
		return r;
	s->place.rights = (uint32_t)r;
	s->read_only = s->read_only || !(s->place.rights & IMAP_RIGHTS_CHANGE);
	return s->place.rights & IMAP_RIGHT_READ ? 0 : -EACCES;
}

uint32_t imap_flags_of(uint32_t rights)
{
	return (rights & IMAP_RIGHT_SEEN ? KURIR_MESSAGE_SEEN : 0u) |
	    (rights & IMAP_RIGHT_DELETE ? KURIR_MESSAGE_DELETED : 0u) |
	    (rights & IMAP_RIGHT_WRITE
		    ? KURIR_MESSAGE_ANSWERED | KURIR_MESSAGE_FLAGGED | KURIR_MESSAGE_DRAFT
		    : 0u);
}

void imap_place_flags(const struct imap_place *place, struct kurir_append *m)
{
	m->flags &= imap_flags_of(place->rights) | KURIR_MESSAGE_RECENT;
	if (!(place->rights & IMAP_RIGHT_WRITE))
		m->keywords = KURIR_STR("");
}

KURIR_PARKS int imap_place_find(
    struct imap *s, struct kurir_str name, uint32_t needed, struct imap_place *ret)
{
	struct imap_place p = {
		.account = s->account, .mailbox = name, .name = name, .rights = IMAP_RIGHTS_ALL
	};
	int r;

	if (split(name, &p.account, &p.mailbox)) {
		if (!imap_has_acl(s) || p.mailbox.len == 0 ||
		    kurir_str_equal(p.account, s->account))
			return -ENOENT;
		r = imap_account_exists(s, p.account);
		if (r > 0)
			r = imap_rights_of(s, s->account, p.account, p.mailbox);
		if (r <= 0)
			return r < 0 ? r : -ENOENT;
		p.rights = (uint32_t)r;
	}
	*ret = p;
	if ((p.rights & needed) == needed)
		return 0;
	return p.rights & IMAP_RIGHT_LOOKUP ? -EACCES : -ENOENT;
}

/* The next level up; false: there is none. */
static bool go_up(struct kurir_str *name)
{
	while (name->len > 0 && name->ptr[name->len - 1] != '/')
		name->len--;
	if (name->len > 0)
		name->len--;
	return name->len > 0;
}

KURIR_PARKS int imap_place_new(
    struct imap *s, struct kurir_str name, struct imap_place *ret, struct kurir_str *ret_above)
{
	struct imap_place p = {
		.account = s->account, .mailbox = name, .name = name, .rights = IMAP_RIGHTS_ALL
	};
	bool others = split(name, &p.account, &p.mailbox);
	int r = -ENOENT;

	*ret_above = p.mailbox;
	if (others &&
	    (!imap_has_acl(s) || p.mailbox.len == 0 || kurir_str_equal(p.account, s->account)))
		return -EACCES;
	if (others && (r = imap_account_exists(s, p.account)) <= 0)
		return r < 0 ? r : -EACCES;
	r = -ENOENT;
	while (r == -ENOENT && imap_has_acl(s) && go_up(ret_above))
		r = imap_rights_of(s, s->account, p.account, *ret_above);
	if (r == -ENOENT)
		*ret_above = KURIR_STR("");
	else if (r < 0)
		return r;
	*ret = p;
	return !others || (r >= 0 && (r & IMAP_RIGHT_CREATE)) ? 0 : -EACCES;
}

KURIR_PARKS int imap_place_inherit(
    struct imap *s, const struct imap_place *place, struct kurir_str above)
{
	struct kurir_entry *all;
	size_t count, kept = 0;
	int r;

	if (above.len == 0)
		return 0;
	r = s->store->entries(
	    s->store_self, place->account, above, imap_until(s), kurir_scratch(), &all, &count);
	for (size_t i = 0; r >= 0 && i < count; i++)
		if (kurir_str_starts(all[i].name, KURIR_STR(IMAP_ACL_ENTRY)))
			all[kept++] = all[i];
	return r < 0 || kept == 0 ? r
				  : s->store->set_entries(s->store_self, place->account,
					place->mailbox, all, kept, imap_until(s));
}
