/* accounts_far.c - addresses that a table knows (kurir/table.h).
 *
 * An address is looked for as it is, then without its detail, then as "@domain", which takes
 * what no name does, but for postmaster where the option is set; each among aliases first.  What
 * a mailbox stands for is its account, and the address itself when that is no address.  A map
 * that the table does not have has nothing in it.
 */
#include "accounts.h"

#include <kurir/table.h>

struct far {
	struct kurir_self *self;
	const char *endpoint;
	kurir_time until;
	struct kurir_arena *arena;
};

/* 1 and what it stands for; 0: nothing; -errno. */
KURIR_PARKS static int look(
    const struct far *f, struct kurir_str map, struct kurir_str key, struct kurir_texts *ret)
{
	int r = kurir_table_find(f->self, f->endpoint, map, key, f->until, f->arena, ret);

	if (r == -ENOENT)
		(void)kurir_log(f->self, KURIR_ERROR, 0,
		    "there is no \"%s\": no module has the table of that name", f->endpoint);
	return r == -ENODATA || r == -EOPNOTSUPP ? 0 : r < 0 ? r : 1;
}

/* 1 when that key is known. */
KURIR_PARKS static int look_for(
    const struct far *f, struct kurir_str key, struct kurir_account_match *ret)
{
	struct kurir_texts found;
	int r = look(f, KURIR_STR("aliases"), key, &found);

	if (r == 1) {
		ret->kind = KURIR_ACCOUNT_ALIAS;
		ret->addresses = found;
	}
	if (r != 0)
		return r;
	r = look(f, KURIR_STR("mailboxes"), key, &found);
	if (r == 1) {
		ret->kind = KURIR_ACCOUNT_MAILBOX;
		ret->account = kurir_str_find(found.items[0], '@') > 0
		    ? kurir_lower(f->arena, found.items[0])
		    : key;
	}
	return r;
}

/* Where the detail begins; the local part's length: there is none. */
static size_t base_of(struct kurir_str local, struct kurir_str delimiter)
{
	for (size_t i = 1; i < local.len; i++)
		if (kurir_str_find(delimiter, local.ptr[i]) >= 0)
			return i;
	return local.len;
}

KURIR_PARKS static int look_for_all(const struct far *f, struct kurir_str local,
    struct kurir_str domain, struct kurir_account_match *ret)
{
	const struct accounts_conf *c = kurir_conf(f->self);
	size_t base = base_of(local, c->delimiter);
	int r = look_for(
	    f, kurir_format(f->arena, "%.*s@%.*s", KURIR_ARG(local), KURIR_ARG(domain)), ret);

	if (r == 0 && base < local.len) {
		r = look_for(f,
		    kurir_format(f->arena, "%.*s@%.*s", (int)base, local.ptr, KURIR_ARG(domain)),
		    ret);
		if (r == 1)
			ret->detail =
			    kurir_copy(f->arena, kurir_str_part(local, base + 1, local.len));
	}
	if (r != 0)
		return r;
	/* RFC 5321 4.5.1: it is there in every domain of ours. */
	if (c->postmaster.len > 0 && kurir_str_equal(local, KURIR_STR("postmaster"))) {
		ret->kind = KURIR_ACCOUNT_ALIAS;
		ret->addresses = (struct kurir_texts){ 1, &c->postmaster };
		return 1;
	}
	return look_for(f, kurir_format(f->arena, "@%.*s", KURIR_ARG(domain)), ret);
}

KURIR_PARKS int accounts_far_find(struct kurir_self *self, const char *endpoint,
    struct kurir_str address, bool ours, kurir_time until, struct kurir_arena *arena,
    struct kurir_account_match *ret)
{
	struct far f = { .self = self, .endpoint = endpoint, .until = until, .arena = arena };
	struct kurir_account_match m = {
		.kind = KURIR_ACCOUNT_FOREIGN, .account = KURIR_STR(""), .detail = KURIR_STR("")
	};
	struct kurir_str local, domain;
	struct kurir_texts found;
	int r;

	*ret = m;
	if (accounts_address(arena, address, &local, &domain) < 0 || domain.len == 0)
		return 0;
	r = ours ? 1 : look(&f, KURIR_STR("domains"), domain, &found);
	if (r <= 0)
		return r;
	m.kind = KURIR_ACCOUNT_UNKNOWN;
	r = look_for_all(&f, local, domain, &m);
	if (r >= 0)
		*ret = m;
	return r < 0 ? r : 0;
}
