/* accounts_table.c - the table of local addresses: built from the configuration, checked,
 * searched.
 * Does no I/O and never parks.  Keys are addresses in lower case; local parts are compared
 * without regard to ASCII case, as every mailbox host does in practice. */
#include "accounts.h"

#include <errno.h>
#include <string.h>

#define ERRORS_SHOWN 10

struct accounts_entry {
	struct kurir_str address;
	enum kurir_account_kind kind; /* MAILBOX, ALIAS, or UNKNOWN for a domain's row */
	struct kurir_texts targets;   /* ALIAS; domain: the catch-all, if any */
	int walk;		      /* 0 not seen, 1 on the way, 2 done: for finding loops */
};

struct accounts_table {
	struct accounts_entry *entries; /* open addressing, room is a power of two */
	size_t room, count;
	struct kurir_str delimiter, postmaster;
};

/* What building carries around. */
struct accounts_build {
	struct accounts_table *table;
	struct kurir_arena *arena;
	struct kurir_str error;
	size_t errors;
	bool lenient; /* a mailboxes file may hold what the configuration does not name */
};

/* RFC 5321 4.1.2: Mailbox = Local-part "@" ( Domain / address-literal )
 * Local-part = Dot-string / Quoted-string; a quoted dot-string means the same unquoted. */
static struct kurir_str unquote(struct kurir_arena *arena, struct kurir_str local)
{
	char *to;
	size_t n = 0;

	if (local.len < 3 || local.ptr[0] != '"' || local.ptr[local.len - 1] != '"')
		return local;
	to = kurir_alloc(arena, local.len);
	for (size_t i = 1; i + 1 < local.len; i++) {
		char c = local.ptr[i];

		if (c == '\\' && i + 2 < local.len)
			c = local.ptr[++i];
		if ((unsigned char)c <= ' ' || strchr("\"\\@<>()[],;:", c) != NULL)
			return local;
		to[n++] = c;
	}
	return (struct kurir_str){ to, n };
}

int accounts_address(struct kurir_arena *arena, struct kurir_str address,
    struct kurir_str *ret_local, struct kurir_str *ret_domain)
{
	ssize_t at = kurir_str_find_last(address, '@');
	struct kurir_str local = address, domain = KURIR_STR("");

	if (at >= 0) {
		local = kurir_str_part(address, 0, (size_t)at);
		domain = kurir_str_part(address, (size_t)at + 1, address.len);
		if (domain.len == 0)
			return -EINVAL;
	}
	if (local.len == 0 || address.len > 1000)
		return -EINVAL;
	if (domain.len > 1 && domain.ptr[domain.len - 1] == '.')
		domain.len--;
	*ret_local = kurir_lower(arena, unquote(arena, local));
	*ret_domain = kurir_lower(arena, domain);
	return 0;
}

static struct accounts_entry *slot(const struct accounts_table *t, struct kurir_str key)
{
	size_t i = (size_t)kurir_str_hash(key) & (t->room - 1);

	while (t->entries[i].kind != KURIR_ACCOUNT_FOREIGN) {
		if (kurir_str_equal(t->entries[i].address, key))
			break;
		i = (i + 1) & (t->room - 1);
	}
	return &t->entries[i];
}

static const struct accounts_entry *lookup(const struct accounts_table *t, struct kurir_str key)
{
	const struct accounts_entry *e = slot(t, key);

	return e->kind == KURIR_ACCOUNT_FOREIGN ? NULL : e;
}

static void complain(struct accounts_build *b, struct kurir_str sentence)
{
	if (b->errors++ >= ERRORS_SHOWN)
		return;
	if (b->errors == 1)
		b->error = sentence;
	else
		b->error = kurir_format(
		    b->arena, "%.*s; %.*s", KURIR_ARG(b->error), KURIR_ARG(sentence));
}

static struct kurir_str join(
    struct kurir_arena *arena, struct kurir_str local, struct kurir_str domain)
{
	char *p = kurir_alloc(arena, local.len + domain.len + 2);

	memcpy(p, local.ptr, local.len);
	p[local.len] = '@';
	memcpy(p + local.len + 1, domain.ptr, domain.len);
	return (struct kurir_str){ p, local.len + 1 + domain.len };
}

/* The key of an address as written in the configuration; empty after a complaint. */
static struct kurir_str own_key(
    struct accounts_build *b, struct kurir_str address, const char *what)
{
	struct kurir_str local, domain;

	if (accounts_address(b->arena, address, &local, &domain) < 0 || domain.len == 0) {
		complain(b,
		    kurir_format(b->arena, "%s \"%.*s\" is not an address: write name@domain",
			what, KURIR_ARG(address)));
		return KURIR_STR("");
	}
	if (lookup(b->table, domain) == NULL) {
		complain(b,
		    kurir_format(b->arena, "%s \"%.*s\" is outside of \"domains\"", what,
			KURIR_ARG(address)));
		return KURIR_STR("");
	}
	return join(b->arena, local, domain);
}

static void add(struct accounts_build *b, struct kurir_str key, enum kurir_account_kind kind,
    struct kurir_texts targets)
{
	struct accounts_entry *e = slot(b->table, key);

	if (e->kind != KURIR_ACCOUNT_FOREIGN) {
		complain(b,
		    kurir_format(b->arena, "\"%.*s\" stands there twice%s", KURIR_ARG(key),
			e->kind != kind ? ", as a mailbox and as an alias" : ""));
		return;
	}
	e->address = key;
	e->kind = kind;
	e->targets = targets;
	b->table->count += kind != KURIR_ACCOUNT_UNKNOWN;
}

static void add_domains(struct accounts_build *b, const struct accounts_conf *c)
{
	for (size_t i = 0; i < c->domains.count; i++) {
		struct kurir_str d = kurir_lower(b->arena, c->domains.items[i]);

		if (d.len == 0 || d.len > 255 || kurir_str_find(d, '@') >= 0)
			complain(
			    b, kurir_format(b->arena, "\"%.*s\" is not a domain", KURIR_ARG(d)));
		else
			add(b, d, KURIR_ACCOUNT_UNKNOWN, (struct kurir_texts){ 0 });
	}
	for (size_t i = 0; i < c->catch_all.count; i++) {
		const struct kurir_pair *p = &c->catch_all.items[i];
		struct kurir_str d = kurir_lower(b->arena, p->key);
		struct accounts_entry *e = slot(b->table, d);

		if (e->kind == KURIR_ACCOUNT_FOREIGN)
			complain(b,
			    kurir_format(b->arena,
				"catch-all of \"%.*s\", which is not in \"domains\"",
				KURIR_ARG(d)));
		else if (e->targets.count > 0)
			complain(b,
			    kurir_format(b->arena, "two catch-alls for \"%.*s\"", KURIR_ARG(d)));
		else
			e->targets = p->values;
	}
}

static void add_addresses(struct accounts_build *b, const struct accounts_conf *c)
{
	struct kurir_str key;

	for (size_t i = 0; i < c->mailboxes.count; i++) {
		key = own_key(b, c->mailboxes.items[i], "mailbox");
		if (key.len > 0)
			add(b, key, KURIR_ACCOUNT_MAILBOX, (struct kurir_texts){ 0 });
	}
	for (size_t i = 0; i < c->aliases.count; i++) {
		const struct kurir_pair *p = &c->aliases.items[i];

		key = own_key(b, p->key, "alias");
		if (key.len > 0 && p->values.count == 0)
			complain(b,
			    kurir_format(
				b->arena, "alias \"%.*s\" has no addresses", KURIR_ARG(key)));
		else if (key.len > 0)
			add(b, key, KURIR_ACCOUNT_ALIAS, p->values);
	}
}

/* mailboxes-file = *line; line = [ address [ ":" *VCHAR ] / "#" *VCHAR ] LF */
static size_t add_file(struct accounts_build *b, struct kurir_str more)
{
	size_t bad = 0;

	while (more.len > 0) {
		ssize_t lf = kurir_str_find(more, '\n');
		struct kurir_str line = kurir_str_part(more, 0, lf < 0 ? more.len : (size_t)lf);
		struct kurir_str local, domain, key;
		ssize_t colon;

		more = kurir_str_part(more, lf < 0 ? more.len : (size_t)lf + 1, more.len);
		line = kurir_str_trim(line);
		if (line.len == 0 || line.ptr[0] == '#')
			continue;
		colon = kurir_str_find(line, ':');
		if (colon >= 0)
			line = kurir_str_trim(kurir_str_part(line, 0, (size_t)colon));
		if (accounts_address(b->arena, line, &local, &domain) < 0 ||
		    lookup(b->table, domain) == NULL) {
			bad++;
			continue;
		}
		key = join(b->arena, local, domain);
		if (lookup(b->table, key) == NULL)
			add(b, key, KURIR_ACCOUNT_MAILBOX, (struct kurir_texts){ 0 });
	}
	return bad;
}

/* What find() says of an address, without making anything. */
static const struct accounts_entry *resolve(const struct accounts_table *t,
    struct kurir_str local, struct kurir_str domain, struct kurir_arena *arena,
    struct kurir_str *ret_detail)
{
	const struct accounts_entry *e = lookup(t, join(arena, local, domain));

	*ret_detail = KURIR_STR("");
	if (e != NULL || t->delimiter.len == 0)
		return e;
	for (size_t i = 1; i < local.len; i++) {
		if (memchr(t->delimiter.ptr, local.ptr[i], t->delimiter.len) == NULL)
			continue;
		*ret_detail = kurir_str_part(local, i + 1, local.len);
		return lookup(t, join(arena, kurir_str_part(local, 0, i), domain));
	}
	return NULL;
}

/* One target of an alias or catch-all: the entry it leads to, NULL when it leaves us or is
 * wrong. */
static struct accounts_entry *target(
    struct accounts_build *b, struct kurir_str from, struct kurir_str address)
{
	struct kurir_str local, domain, detail;
	const struct accounts_entry *e, *d;

	if (accounts_address(b->arena, address, &local, &domain) < 0 || domain.len == 0) {
		complain(b,
		    kurir_format(b->arena, "\"%.*s\" leads to \"%.*s\", which is not an address",
			KURIR_ARG(from), KURIR_ARG(address)));
		return NULL;
	}
	d = lookup(b->table, domain);
	if (d == NULL)
		return NULL;
	e = resolve(b->table, local, domain, b->arena, &detail);
	if (e == NULL && d->targets.count == 0 && !b->lenient && b->table->postmaster.len == 0)
		complain(b,
		    kurir_format(b->arena, "\"%.*s\" leads to \"%.*s\", which does not exist",
			KURIR_ARG(from), KURIR_ARG(address)));
	return e == NULL ? NULL : &b->table->entries[e - b->table->entries];
}

/* Depth first through the aliases; the way is kept here and not on the stack. */
static void find_loops(struct accounts_build *b, struct accounts_entry *start)
{
	size_t depth = 0, room = b->table->count + 2;
	struct accounts_entry **way = kurir_alloc(b->arena, room * sizeof(*way));
	size_t *next = kurir_alloc(b->arena, room * sizeof(*next));

	way[0] = start;
	start->walk = 1;
	for (;;) {
		struct accounts_entry *e = way[depth], *to;

		if (next[depth] == e->targets.count) {
			e->walk = 2;
			if (depth-- == 0)
				return;
			continue;
		}
		to = target(b, e->address, e->targets.items[next[depth]++]);
		if (to == NULL || to->kind != KURIR_ACCOUNT_ALIAS || to->walk == 2)
			continue;
		if (to->walk == 1) {
			complain(b,
			    kurir_format(b->arena, "alias loop: \"%.*s\" leads back to \"%.*s\"",
				KURIR_ARG(e->address), KURIR_ARG(to->address)));
			continue;
		}
		to->walk = 1;
		way[++depth] = to;
		next[depth] = 0;
	}
}

static size_t lines(struct kurir_str s)
{
	size_t n = 1;

	for (size_t i = 0; i < s.len; i++)
		n += s.ptr[i] == '\n';
	return n;
}

struct accounts_table *accounts_table_build(struct kurir_arena *arena,
    const struct accounts_conf *c, struct kurir_str more, size_t *ret_bad,
    struct kurir_str *error)
{
	struct accounts_table *t = kurir_alloc(arena, sizeof(*t));
	struct accounts_build b = { .table = t, .arena = arena, .lenient = c->file.len > 0 };
	size_t need = c->domains.count + c->mailboxes.count + c->aliases.count + lines(more);

	for (t->room = 16; t->room < 2 * need;)
		t->room *= 2;
	t->entries = kurir_alloc(arena, t->room * sizeof(*t->entries));
	t->delimiter = c->delimiter;
	add_domains(&b, c);
	add_addresses(&b, c);
	*ret_bad = add_file(&b, more);
	if (c->postmaster.len > 0) {
		(void)target(&b, KURIR_STR("postmaster"), c->postmaster);
		t->postmaster = c->postmaster;
	}
	for (size_t i = 0; i < t->room; i++) {
		struct accounts_entry *e = &t->entries[i];

		if (e->kind == KURIR_ACCOUNT_ALIAS && e->walk == 0)
			find_loops(&b, e);
		for (size_t k = 0; e->kind == KURIR_ACCOUNT_UNKNOWN && k < e->targets.count; k++)
			(void)target(&b, e->address, e->targets.items[k]);
	}
	if (b.errors > ERRORS_SHOWN)
		b.error = kurir_format(
		    arena, "%.*s; and %zu more", KURIR_ARG(b.error), b.errors - ERRORS_SHOWN);
	if (b.errors == 0)
		return t;
	*error = b.error;
	return NULL;
}

size_t accounts_table_count(const struct accounts_table *t)
{
	return t->count;
}

void accounts_table_find(const struct accounts_table *t, struct kurir_str address,
    struct kurir_arena *arena, struct kurir_account_match *ret)
{
	struct kurir_account_match m = { .account = KURIR_STR(""), .detail = KURIR_STR("") };
	struct kurir_str local, domain;
	const struct accounts_entry *d, *e;

	if (accounts_address(arena, address, &local, &domain) < 0)
		goto out;
	/* RFC 5321 4.5.1: "RCPT TO:<Postmaster>" without a domain is always ours. */
	if (domain.len == 0 && kurir_str_equal(local, KURIR_STR("postmaster")) &&
	    t->postmaster.len > 0)
		goto postmaster;
	d = lookup(t, domain);
	if (domain.len == 0 || d == NULL || d->kind != KURIR_ACCOUNT_UNKNOWN)
		goto out;
	m.kind = KURIR_ACCOUNT_UNKNOWN;
	e = resolve(t, local, domain, arena, &m.detail);
	if (e != NULL) {
		m.kind = e->kind;
		m.account =
		    e->kind == KURIR_ACCOUNT_MAILBOX ? kurir_copy(arena, e->address) : m.account;
		m.addresses = e->targets;
		goto out;
	}
	m.detail = KURIR_STR("");
	if (kurir_str_equal(local, KURIR_STR("postmaster")) && t->postmaster.len > 0)
		goto postmaster;
	if (d->targets.count > 0) {
		m.kind = KURIR_ACCOUNT_ALIAS;
		m.addresses = d->targets;
	}
	goto out;
postmaster:
	m.kind = KURIR_ACCOUNT_ALIAS;
	m.addresses = (struct kurir_texts){ 1, &t->postmaster };
out:
	*ret = m;
}
