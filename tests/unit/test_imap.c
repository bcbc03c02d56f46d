/* test_imap.c - the parsers of IMAP: tokens, sets, dates, what FETCH and SEARCH are asked for. */
#include "conf_unit.h"

#include <modules/imap/imap_incoming.h>
#include <modules/imap/imap_list.h>
#include <modules/imap/imap_search.h>
#include <modules/imap/imap_sort.h>
#include <modules/imap/imap_thread.h>

#include <errno.h>

static struct kurir_arena *arena;
static struct kurir_message messages[5] = { { .uid = 3 }, { .uid = 7 }, { .uid = 8 },
	{ .uid = 9 }, { .uid = 40 } };
static struct imap session;

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
		"BODY[]<1>", "FOO", "BINARY[HEADER]", "BINARY.SIZE", "PREVIEW (X)", "(FLAGS",
		"BODY[HEADER.FIELDS]", "BODY[HEADER.FIELDS ()]",
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
		"SENTSINCE 1-Jan-2020", "KEYWORD work", "NOT (OR ANSWERED FLAGGED)",
		"RETURN () ALL", "RETURN (MIN PARTIAL -1:-5 SAVE) $", "OLDER 5 YOUNGER 7",
		"MODSEQ \"/flags/\\\\seen\" all 7", "MODSEQ 7" };
	static const char *const bad[] = { "", "FROM", "OR SEEN", "NOT", "(SEEN", "SEEN)",
		"LARGER x", "BEFORE yesterday", "ALL ", "NONSENSE",
		"RETURN (ALL PARTIAL 1:2) ALL", "RETURN ALL", "RETURN (", "OLDER 0", "MODSEQ x",
		"MODSEQ \"x\" 7", "$,1" };
	char deep[200];
	struct imap_search k;
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

static void partials(void **state)
{
	static const struct {
		const char *range;
		size_t count, begin, end;
	} cases[] = { { "1:2", 5, 0, 2 }, { "2:1", 5, 0, 2 }, { "4:9", 5, 3, 5 },
		{ "6:9", 5, 5, 5 }, { "-1:-2", 5, 3, 5 }, { "-4:-9", 5, 0, 2 },
		{ "-6:-9", 5, 0, 0 }, { "1:4294967295", 0, 0, 0 }, { "-1:-1", 0, 0, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct imap_args a = args(cases[i].range);
		struct imap_partial p;
		size_t begin, end;

		assert_int_equal(imap_partial_parse(&a, &p), 0);
		assert_str(p.spelled, cases[i].range);
		imap_partial_of(&p, cases[i].count, &begin, &end);
		assert_int_equal(begin, cases[i].begin);
		assert_int_equal(end, cases[i].end);
	}
}

static void lists(void **state)
{
	static const struct {
		const char *pattern, *name;
		bool matches;
	} cases[] = { { "\"\" *", "a/b", true }, { "\"\" %", "a/b", false },
		{ "\"\" %/%", "a/b", true }, { "a/ %", "a/b", true },
		{ "\"\" inbox", "INBOX", true }, { "\"\" (x a/b)", "a/b", true },
		{ "\"\" \"&AOk-\"", "\xc3\xa9", true } };
	static const char *const bad[] = { "", "\"\"", "\"\" ()", "(FOO) \"\" *", "() \"\"",
		"\"\" * RETURN", "\"\" * RETURN (STATUS)", "\"\" * RETURN (STATUS ())",
		"(RECURSIVEMATCH) \"\" *", "\"\" * x" };
	struct imap_list l;
	struct imap_args a;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		a = args(cases[i].pattern);
		assert_int_equal(imap_list_parse(&a, &l), 0);
		assert_int_equal(
		    imap_list_matches(&l, kurir_str_of(cases[i].name)), cases[i].matches);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		a = args(bad[i]);
		if (imap_list_parse(&a, &l) >= 0)
			fail_msg("taken: %s", bad[i]);
	}
	a = args("(SUBSCRIBED RECURSIVEMATCH) \"\" (a b) RETURN (STATUS (SIZE DELETED))");
	assert_int_equal(imap_list_parse(&a, &l), 0);
	assert_int_equal(l.count, 2);
	assert_int_equal(l.status, IMAP_STATUS_SIZE | IMAP_STATUS_DELETED);
}

static void urls(void **state)
{
	static const char *const bad[] = { "", "/", "/INBOX", "/INBOX;UID=1", ";UID=0", ";UID=x",
		"/INBOX;UIDVALIDITY=0/;UID=1", "/%00/;UID=1", "/%4/;UID=1", "/%ff/;UID=1",
		";UID=1/;SECTION=1.", ";UID=1/;PARTIAL=1.0", ";UID=1x", "//;UID=1",
		"imap://a/b/;UID=1" };
	struct imap_url u;

	(void)state;
	assert_int_equal(
	    imap_url_parse(
		KURIR_STR("/a%2fb/c;UIDVALIDITY=5/;UID=7/;SECTION=1.2.MIME/;PARTIAL=3.4"), &u),
	    0);
	assert_str(u.mailbox, "a/b/c");
	assert_int_equal(u.validity, 5);
	assert_int_equal(u.uid, 7);
	assert_int_equal(u.item.depth, 2);
	assert_int_equal(u.item.text, IMAP_TEXT_MIME);
	assert_int_equal(u.item.start, 3);
	assert_int_equal(u.item.octets, 4);
	assert_int_equal(imap_url_parse(KURIR_STR(";UID=7"), &u), 0);
	assert_str(u.mailbox, "");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (imap_url_parse(kurir_str_of(bad[i]), &u) >= 0)
			fail_msg("taken: %s", bad[i]);
}

/* The cases of RFC 5256 section 2.1, and some more. */
static void subjects(void **state)
{
	static const struct {
		const char *subject, *base;
		bool reply;
	} cases[] = { { "Re: hello", "hello", true }, { "hello", "hello", false },
		{ "re: [list] Re[2]: hello (fwd)", "hello", true },
		{ "[fwd: Re: hello]", "hello", true }, { "Fwd : hello", "hello", true },
		{ "[list] hello", "hello", false }, { "[list]", "[list]", false },
		{ "  a \t b  ", "a b", false }, { "Fw: ", "", true },
		{ "research", "research", false }, { "[a][b]c", "c", false },
		{ "(fwd)", "", true }, { "[fwd:]", "", true }, { "", "", false },
		{ "[unclosed", "[unclosed", false } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		bool reply;

		assert_str(mime_base_subject(arena, kurir_str_of(cases[i].subject), &reply),
		    cases[i].base);
		assert_int_equal(reply, cases[i].reply);
	}
}

static void message_dates(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} good[] = { { "Mon, 5 Jan 2026 10:00:00 +0000", 1767607200 },
		{ "5 Jan 2026 11:30 +0130 (comment)", 1767607200 },
		{ "Mon (x), 5 Jan 26 10:00:00 GMT", 1767607200 },
		{ "Mon, 05-Jan-2026 05:00:00 EST", 1767607200 },
		{ "5 Jan 126 10:00:00 Z", 1767607200 } };
	static const char *const bad[] = { "", "Mon", "Mon, Jan 5", "0 Jan 2026", "5 Foo 2026",
		"5 Jan", "32 Jan 2026 1:1:1" };
	int64_t when, day;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(imap_message_date(kurir_str_of(good[i].text), &when, &day), 0);
		assert_int_equal(when / 1000, good[i].seconds);
		assert_int_equal(day / 1000, 1767571200);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(imap_message_date(kurir_str_of(bad[i]), &when, &day), -EBADMSG);
}

/* A chain longer than any is, and one that bites its tail: what matters is that it ends. */
static void long_threads(void **state)
{
	struct imap_forest f;
	uint32_t roots = 0, seen = 0;

	(void)state;
	imap_forest_init(&f, arena, 5000);
	for (uint32_t i = 1; i <= 5000; i++) {
		struct imap_thread_message m = { .number = i,
			.date = i,
			.subject = KURIR_STR(""),
			.id = kurir_format(arena, "<%u@x>", i),
			.references = kurir_format(arena, "<%u@x>", i == 1 ? 5000 : i - 1) };

		imap_forest_add(&f, &m);
	}
	imap_forest_by_references(&f);
	for (uint32_t i = f.first; i != IMAP_NO_NODE; i = f.nodes[i].next)
		roots++;
	for (uint32_t i = 0; i < f.count; i++)
		seen += f.nodes[i].number != 0;
	assert_int_equal(seen, 5000);
	assert_true(roots >= 3 && roots < 20);
}

static int begin(void **state)
{
	(void)state;
	arena = kurir_arena_new("test");
	imap_box_begin(&session.box, KURIR_STR("INBOX"), KURIR_STR(""));
	imap_box_fill(&session.box, messages, 5);
	return 0;
}

static int end(void **state)
{
	(void)state;
	imap_box_end(&session.box);
	kurir_arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(strings),
		cmocka_unit_test(nul_in_literal), cmocka_unit_test(marks),
		cmocka_unit_test(flags), cmocka_unit_test(sets), cmocka_unit_test(dates),
		cmocka_unit_test(items), cmocka_unit_test(keys), cmocka_unit_test(partials),
		cmocka_unit_test(lists), cmocka_unit_test(urls), cmocka_unit_test(subjects),
		cmocka_unit_test(message_dates), cmocka_unit_test(long_threads) };

	return cmocka_run_group_tests(tests, begin, end);
}
