/* test_accounts.c - addresses, aliases, details, and what check() complains about. */
#include <modules/accounts/accounts.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct kurir_arena *arena;

#define TEXTS(...) \
	{ \
		sizeof((struct kurir_str[]){ __VA_ARGS__ }) / sizeof(struct kurir_str), \
		    (struct kurir_str[]) \
		{ \
			__VA_ARGS__ \
		} \
	}
#define S(x) KURIR_STR(x)

static struct accounts_conf plain(void)
{
	static const struct kurir_str domains[] = { { "Dua.example", 11 },
		{ "satu.example", 12 } };
	static const struct kurir_str boxes[] = { { "Paijo@dua.example", 17 },
		{ "a+b@dua.example", 15 }, { "hyd@satu.example", 16 } };
	static const struct kurir_str to[] = { { "paijo@dua.example", 17 },
		{ "x@far.example", 13 } };
	static const struct kurir_str box[] = { { "hyd@satu.example", 16 } };
	static const struct kurir_pair aliases[] = { { { "info@dua.example", 16 }, { 2, to } } };
	static const struct kurir_pair all[] = { { { "satu.example", 12 }, { 1, box } } };

	return (struct accounts_conf){ .domains = { 2, domains },
		.mailboxes = { 3, boxes },
		.aliases = { 1, aliases },
		.catch_all = { 1, all },
		.delimiter = S("+"),
		.postmaster = S(""),
		.file = S("") };
}

static struct accounts_table *build(const struct accounts_conf *c, const char *want)
{
	struct kurir_str error = S("");
	size_t bad;
	struct accounts_table *t = accounts_table_build(arena, c, S(""), &bad, &error);

	if (want == NULL) {
		if (t == NULL)
			fail_msg("%.*s", KURIR_ARG(error));
		return t;
	}
	assert_null(t);
	error = kurir_copy(arena, error);
	if (strstr(error.ptr, want) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", want, error.ptr);
	return NULL;
}

static void found(void **state)
{
	static const struct {
		const char *address;
		enum kurir_account_kind kind;
		const char *account, *detail;
	} rows[] = {
		{ "paijo@dua.example", KURIR_ACCOUNT_MAILBOX, "paijo@dua.example", "" },
		{ "PAIJO@DUA.EXAMPLE", KURIR_ACCOUNT_MAILBOX, "paijo@dua.example", "" },
		{ "paijo@dua.example.", KURIR_ACCOUNT_MAILBOX, "paijo@dua.example", "" },
		{ "\"paijo\"@dua.example", KURIR_ACCOUNT_MAILBOX, "paijo@dua.example", "" },
		{ "\"pai\\jo\"@dua.example", KURIR_ACCOUNT_MAILBOX, "paijo@dua.example", "" },
		{ "paijo+lists+x@dua.example", KURIR_ACCOUNT_MAILBOX, "paijo@dua.example",
		    "lists+x" },
		{ "a+b@dua.example", KURIR_ACCOUNT_MAILBOX, "a+b@dua.example", "" },
		{ "+x@dua.example", KURIR_ACCOUNT_UNKNOWN, "", "" },
		{ "nobody@dua.example", KURIR_ACCOUNT_UNKNOWN, "", "" },
		{ "nobody+x@dua.example", KURIR_ACCOUNT_UNKNOWN, "", "" },
		{ "info@dua.example", KURIR_ACCOUNT_ALIAS, "", "" },
		{ "info+x@dua.example", KURIR_ACCOUNT_ALIAS, "", "x" },
		{ "nobody@satu.example", KURIR_ACCOUNT_ALIAS, "", "" },
		{ "x@far.example", KURIR_ACCOUNT_FOREIGN, "", "" },
		{ "dua.example", KURIR_ACCOUNT_FOREIGN, "", "" },
		{ "@dua.example", KURIR_ACCOUNT_FOREIGN, "", "" },
		{ "x@", KURIR_ACCOUNT_FOREIGN, "", "" },
		{ "", KURIR_ACCOUNT_FOREIGN, "", "" },
		{ "postmaster", KURIR_ACCOUNT_FOREIGN, "", "" },
	};
	struct accounts_conf c = plain();
	struct accounts_table *t = build(&c, NULL);

	(void)state;
	assert_int_equal(accounts_table_count(t), 4);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kurir_account_match m;

		accounts_table_find(t, kurir_str_of(rows[i].address), arena, &m);
		if (m.kind != rows[i].kind)
			fail_msg("%s is %d, not %d", rows[i].address, m.kind, rows[i].kind);
		if (!kurir_str_equal(m.account, kurir_str_of(rows[i].account)) ||
		    !kurir_str_equal(m.detail, kurir_str_of(rows[i].detail)))
			fail_msg("%s is <%.*s> <%.*s>", rows[i].address, KURIR_ARG(m.account),
			    KURIR_ARG(m.detail));
		assert_int_equal(m.kind == KURIR_ACCOUNT_ALIAS, m.addresses.count > 0);
	}
}

static void postmaster(void **state)
{
	struct accounts_conf c = plain();
	struct kurir_account_match m;
	struct accounts_table *t;

	(void)state;
	c.postmaster = S("hyd@satu.example");
	t = build(&c, NULL);
	accounts_table_find(t, S("Postmaster"), arena, &m);
	assert_int_equal(m.kind, KURIR_ACCOUNT_ALIAS);
	accounts_table_find(t, S("postmaster@dua.example"), arena, &m);
	assert_int_equal(m.kind, KURIR_ACCOUNT_ALIAS);
	assert_true(kurir_str_equal(m.addresses.items[0], S("hyd@satu.example")));
	accounts_table_find(t, S("postmaster@far.example"), arena, &m);
	assert_int_equal(m.kind, KURIR_ACCOUNT_FOREIGN);
}

static void from_file(void **state)
{
	struct accounts_conf c = plain();
	struct kurir_account_match m;
	struct kurir_str error = S("");
	struct accounts_table *t;
	size_t bad;

	(void)state;
	c.file = S("/file");
	t = accounts_table_build(arena, &c,
	    S("# people\n\nSiti@dua.example\r\nbudi@dua.example:rest\nx@far.example\nno address\n"
	      "paijo@dua.example\nlast@dua.example"),
	    &bad, &error);
	assert_non_null(t);
	assert_int_equal(bad, 2);
	accounts_table_find(t, S("siti@dua.example"), arena, &m);
	assert_int_equal(m.kind, KURIR_ACCOUNT_MAILBOX);
	accounts_table_find(t, S("budi@dua.example"), arena, &m);
	assert_int_equal(m.kind, KURIR_ACCOUNT_MAILBOX);
	accounts_table_find(t, S("last@dua.example"), arena, &m);
	assert_int_equal(m.kind, KURIR_ACCOUNT_MAILBOX);
}

static void complaints(void **state)
{
	struct accounts_conf c;

	(void)state;
	c = plain();
	c.mailboxes = (struct kurir_texts)TEXTS(S("a@dua.example"), S("A@dua.example"));
	(void)build(&c, "\"a@dua.example\" stands there twice");
	c = plain();
	c.mailboxes = (struct kurir_texts)TEXTS(S("a@far.example"));
	(void)build(&c, "outside of \"domains\"");
	c.mailboxes = (struct kurir_texts)TEXTS(S("a"));
	(void)build(&c, "not an address");
	c = plain();
	c.domains = (struct kurir_texts)TEXTS(S("a@b"));
	(void)build(&c, "not a domain");
	c = plain();
	c.aliases = (struct kurir_map){ 1,
		(struct kurir_pair[]){ { S("i@dua.example"), TEXTS(S("nobody@dua.example")) } } };
	(void)build(&c, "does not exist");
	c.aliases = (struct kurir_map){ 1,
		(struct kurir_pair[]){ { S("i@dua.example"), TEXTS(S("nobody")) } } };
	(void)build(&c, "not an address");
	c.aliases = (struct kurir_map){ 1,
		(struct kurir_pair[]){ { S("paijo@dua.example"), TEXTS(S("a@far.example")) } } };
	(void)build(&c, "as a mailbox and as an alias");
	c.aliases = (struct kurir_map){ 3,
		(struct kurir_pair[]){ { S("a@dua.example"), TEXTS(S("b@dua.example")) },
		    { S("b@dua.example"), TEXTS(S("x@far.example"), S("c+1@dua.example")) },
		    { S("c@dua.example"), TEXTS(S("a@dua.example")) } } };
	(void)build(&c, "alias loop");
	c.aliases = (struct kurir_map){ 1,
		(struct kurir_pair[]){ { S("a@dua.example"), TEXTS(S("a@dua.example")) } } };
	(void)build(&c, "alias loop");
	c = plain();
	c.catch_all = (struct kurir_map){ 1,
		(struct kurir_pair[]){ { S("far.example"), TEXTS(S("hyd@satu.example")) } } };
	(void)build(&c, "not in \"domains\"");
}

/* A diamond is no loop, and a long chain is no trouble. */
static void chains(void **state)
{
	enum { N = 2000 };
	struct accounts_conf c = plain();
	struct kurir_pair *pairs = kurir_alloc(arena, N * sizeof(*pairs));

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		struct kurir_str *to = kurir_alloc(arena, 2 * sizeof(*to));

		pairs[i].key = kurir_format(arena, "n%u@dua.example", i);
		to[0] = to[1] = i + 1 < N ? kurir_format(arena, "N%u@dua.example", i + 1)
					  : S("paijo@dua.example");
		pairs[i].values = (struct kurir_texts){ 2, to };
	}
	c.aliases = (struct kurir_map){ N, pairs };
	(void)build(&c, NULL);
}

static int setup(void **state)
{
	(void)state;
	arena = kurir_arena_new("test");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kurir_arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found),
		cmocka_unit_test(postmaster),
		cmocka_unit_test(from_file),
		cmocka_unit_test(complaints),
		cmocka_unit_test(chains),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
