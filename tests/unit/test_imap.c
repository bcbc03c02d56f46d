/* test_imap.c - the parsers of IMAP: tokens, sets, dates, what FETCH and SEARCH are asked for. */
#include "conf_unit.h"

#include <modules/imap/imap_body.h>
#include <modules/imap/imap_search.h>

#include <errno.h>

static struct kurir_arena *arena;
static struct kurir_message messages[5] = { { .uid = 3 }, { .uid = 7 }, { .uid = 8 },
	{ .uid = 9 }, { .uid = 40 } };
static struct imap session = { .view = { .count = 5, .uid_next = 41 }, .messages = messages };

static struct imap_args args(const char *text)
{
	return (struct imap_args){ .rest = kurir_str_of(text) };
}

static void strings(void **state)
{
	static const struct {
		const char *in, *out;
	} good[] = { { "atom", "atom" }, { "a]b", "a]b" }, { "\"a b\"", "a b" },
		{ "\"a\\\"b\\\\\"", "a\"b\\" }, { "{3}\r\na b", "a b" },
		{ "{3+}\r\n(\"x", "(\"x" }, { "\"\"", "" }, { "{0}\r\n", "" } };
	static const char *const bad[] = { "", "(", "\"a", "\"a\r\nb\"", "{3}\r\nab", "{3}ab",
		"{x}\r\n", "{-1}\r\n", "{99999999}\r\nx", "\\Seen", "{}\r\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct imap_args a = args(good[i].in);
		struct kurir_str s;

		assert_int_equal(imap_astring(&a, &s), 0);
		assert_str(s, good[i].out);
		assert_true(imap_end(&a));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct imap_args a = args(bad[i]);
		struct kurir_str s;

		if (imap_astring(&a, &s) >= 0)
			fail_msg("taken: %s", bad[i]);
	}
}

static void nul_in_literal(void **state)
{
	struct imap_args a = { .rest = KURIR_STR("{3}\r\na\0b") };
	struct kurir_str s;

	(void)state;
	assert_int_equal(imap_astring(&a, &s), -EBADMSG);
}

static void marks(void **state)
{
	uint64_t n;
	bool sync;

	(void)state;
	assert_int_equal(imap_literal_mark(KURIR_STR("a LOGIN {5}"), &n, &sync), 1);
	assert_int_equal(n, 5);
	assert_true(sync);
	assert_int_equal(imap_literal_mark(KURIR_STR("a LOGIN {5+}"), &n, &sync), 1);
	assert_false(sync);
	assert_int_equal(imap_literal_mark(KURIR_STR("a LOGIN {}"), &n, &sync), 0);
	assert_int_equal(imap_literal_mark(KURIR_STR("a LOGIN 5}"), &n, &sync), 0);
	assert_int_equal(imap_literal_mark(KURIR_STR("a X \"{5}\""), &n, &sync), 0);
	assert_int_equal(
	    imap_literal_mark(KURIR_STR("{99999999999999999999}"), &n, &sync), -EBADMSG);
}

static void flags(void **state)
{
	struct imap_args a = args("(\\Seen $Forwarded \\deleted work)");
	struct kurir_str keywords;
	uint32_t f;

	(void)state;
	assert_int_equal(imap_flags(&a, &f, &keywords), 0);
	assert_int_equal(f, KURIR_MESSAGE_SEEN | KURIR_MESSAGE_DELETED);
	assert_str(keywords, "$Forwarded work");
	a = args("()");
	assert_int_equal(imap_flags(&a, &f, &keywords), 0);
	assert_int_equal(f, 0);
	a = args("\\Flagged \\Draft");
	assert_int_equal(imap_flags(&a, &f, &keywords), 0);
	assert_int_equal(f, KURIR_MESSAGE_FLAGGED | KURIR_MESSAGE_DRAFT);
	a = args("(\\Recent)");
	assert_int_equal(imap_flags(&a, &f, &keywords), -EBADMSG);
	a = args("(\\Seen");
	assert_int_equal(imap_flags(&a, &f, &keywords), -EBADMSG);
}

static void sets(void **state)
{
	static const struct {
		const char *text;
		bool by_uid;
		const char *uids;
	} good[] = { { "1", false, "3" }, { "1:3", false, "3 7-8" }, { "*", false, "40" },
		{ "5:4", false, "9 40" }, { "2,1,2:3", false, "3 7-8" }, { "1:*", true, "1-40" },
		{ "50:*", true, "40-50" }, { "7,8,9", true, "7-9" },
		{ "4294967295", true, "4294967295" } };
	static const char *const bad[] = { "", "0", "1:", ":1", "1,", ",1", "a", "1:2:3", "6",
		"1:6", "4294967296", "-1", "**" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct kurir_buf out = KURIR_BUF(1000);
		struct imap_args a = args(good[i].text);
		struct kurir_uid_set set;

		session.by_uid = good[i].by_uid;
		assert_int_equal(imap_set_arg(&session, &a, &set), 0);
		for (size_t j = 0; j < set.count; j++) {
			kurir_buf_printf(&out, "%s%u", j ? " " : "", set.ranges[j].first);
			if (set.ranges[j].first != set.ranges[j].last)
				kurir_buf_printf(&out, "-%u", set.ranges[j].last);
		}
		assert_str(kurir_buf_str(&out), good[i].uids);
		kurir_buf_free(&out);
	}
	session.by_uid = false;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct imap_args a = args(bad[i]);
		struct kurir_uid_set set;

		if (imap_set_arg(&session, &a, &set) >= 0)
			fail_msg("taken: %s", bad[i]);
	}
}

static void dates(void **state)
{
	static const char *const bad[] = { "", "1-Foo-2020", "32-Jan-2020", "1-Jan-20",
		"1 Jan 2020", "1-Jan-2020x" };
	int64_t ms;

	(void)state;
	assert_int_equal(imap_date(KURIR_STR("1-Jan-1970"), &ms), 0);
	assert_int_equal(ms, 0);
	assert_int_equal(imap_date(KURIR_STR("29-Feb-2024"), &ms), 0);
	assert_int_equal(ms / 1000, 1709164800);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(imap_date(kurir_str_of(bad[i]), &ms), -EBADMSG);
	assert_int_equal(imap_date_time(KURIR_STR("17-Jul-1996 02:44:25 -0700"), &ms), 0);
	assert_int_equal(ms / 1000, 837596665);
	assert_int_equal(imap_date_time(KURIR_STR(" 1-Jan-2020 00:00:00 +0000"), &ms), 0);
	assert_int_equal(imap_date_time(KURIR_STR("1-Jan-2020 24:00:00 +0000"), &ms), -EBADMSG);
	assert_int_equal(imap_date_time(KURIR_STR("1-Jan-2020 00:00:00"), &ms), -EBADMSG);
}

static void items(void **state)
{
	static const char *const bad[] = {
		"", "()", "BODY[", "BODY[0]", "BODY[1.]", "BODY[MIME]", "BODY[]<0.0>",
		"BODY[]<1>", "FOO", "(FLAGS", "FLAGS UID", "BODY[HEADER.FIELDS]",
		"BODY[HEADER.FIELDS ()]",
		"BODY[1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20.21.22.23.24.25.26.27.28.29.30.31.32.33]"
	};
	struct imap_item i[8];
	struct imap_args a;
	size_t n;

	(void)state;
	a = args("(FLAGS BODY.PEEK[1.2.HEADER.FIELDS (To \"X-Y\")]<5.10> RFC822.SIZE)");
	assert_int_equal(imap_items_parse(&a, i, 8, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(i[1].kind, IMAP_ITEM_SECTION);
	assert_true(i[1].peek && i[1].partial);
	assert_int_equal(i[1].depth, 2);
	assert_int_equal(i[1].start, 5);
	assert_int_equal(i[1].octets, 10);
	assert_int_equal(i[1].fields.count, 2);
	assert_str(i[1].fields.items[1], "X-Y");
	assert_str(i[1].spelled, "1.2.HEADER.FIELDS (To \"X-Y\")");
	a = args("FULL");
	assert_int_equal(imap_items_parse(&a, i, 8, &n), 0);
	assert_int_equal(n, 5);
	for (size_t b = 0; b < sizeof(bad) / sizeof(*bad); b++) {
		a = args(bad[b]);
		if (imap_items_parse(&a, i, 8, &n) >= 0)
			fail_msg("taken: %s", bad[b]);
	}
}

static void keys(void **state)
{
	static const char *const good[] = { "ALL", "UNSEEN FROM hyd", "OR SEEN NOT DELETED",
		"(1:3 LARGER 5)", "CHARSET UTF-8 TEXT {2}\r\nab", "HEADER X-A \"\"", "UID 3:*",
		"SENTSINCE 1-Jan-2020", "KEYWORD work", "NOT (OR ANSWERED FLAGGED)" };
	static const char *const bad[] = { "", "FROM", "OR SEEN", "NOT", "(SEEN", "SEEN)",
		"LARGER x", "BEFORE yesterday", "ALL ", "NONSENSE", "9" };
	char deep[200];
	struct imap_key *k;
	struct imap_args a;

	(void)state;
	session.by_uid = false;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		a = args(good[i]);
		if (imap_search_parse(&session, &a, &k) < 0)
			fail_msg("refused: %s", good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		a = args(bad[i]);
		if (imap_search_parse(&session, &a, &k) >= 0)
			fail_msg("taken: %s", bad[i]);
	}
	a = args("CHARSET KOI8-R SEEN");
	assert_int_equal(imap_search_parse(&session, &a, &k), -EINVAL);
	memset(deep, '(', 100);
	snprintf(deep + 100, 100, "SEEN");
	a = args(deep);
	assert_int_equal(imap_search_parse(&session, &a, &k), -EBADMSG);
}

static int begin(void **state)
{
	(void)state;
	arena = kurir_arena_new("test");
	return 0;
}

static int end(void **state)
{
	(void)state;
	kurir_arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(strings),
		cmocka_unit_test(nul_in_literal), cmocka_unit_test(marks),
		cmocka_unit_test(flags), cmocka_unit_test(sets), cmocka_unit_test(dates),
		cmocka_unit_test(items), cmocka_unit_test(keys) };

	return cmocka_run_group_tests(tests, begin, end);
}
