/* test_smtp_scan.c - where a message ends, in every way its bytes may be cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <modules/smtp/smtp_scan.h>

struct outcome {
	char text[256];
	size_t len, used;
	bool ended;
	uint32_t seen;
};

/* Feeds in up to each cut, as the stream does: what is not used comes again. */
static void feed(const char *in, size_t n, size_t cut1, size_t cut2, bool dots, struct outcome *o)
{
	size_t ends[3] = { cut1, cut2, n }, at = 0, i;
	enum smtp_scan_result got;
	struct smtp_scan s;
	struct kurir_str run;
	size_t used;

	memset(o, 0, sizeof(*o));
	smtp_scan_start(&s, dots);
	for (i = 0; i < 3 && !o->ended; i++) {
		do {
			/* A copy with exact bounds: a sanitizer sees a read behind it. */
			size_t left = ends[i] - at;
			char *copy = malloc(left + 1);

			memcpy(copy, in + at, left);
			got = smtp_scan(&s, (struct kurir_str){ copy, left }, &run, &used);
			assert_true(used <= left);
			assert_true(o->len + run.len <= sizeof(o->text));
			memcpy(o->text + o->len, run.ptr, run.len);
			o->len += run.len;
			at += used;
			free(copy);
		} while (got == SCAN_RUN);
		o->ended = got == SCAN_END;
		if (!dots)
			assert_int_equal(at, ends[i]);
	}
	if (s.after_cr)
		s.seen |= SCAN_BARE_CR;
	o->used = at;
	o->seen = s.seen;
}

struct scan_case {
	const char *in;
	size_t n;
	bool ended;
	const char *out;
	uint32_t seen;
};
#define CASE(in, ended, out, seen) \
	{ \
		in, sizeof(in) - 1, ended, out, seen \
	}

static const struct scan_case cases[] = {
	CASE("a\r\n.\r\n", true, "a\r\n", 0),
	CASE(".\r\n", true, "", 0),
	CASE("a\r\n..\r\n.\r\n", true, "a\r\n.\r\n", SCAN_DOTLINE),
	CASE("a\r\n.b\r\n.\r\n", true, "a\r\nb\r\n", 0),
	CASE("a.\r\n.\r\n", true, "a.\r\n", 0),
	CASE("..\r\n...\r\n.\r\n", true, ".\r\n..\r\n", SCAN_DOTLINE),
	CASE("a\n.\n", false, "a\n.\n", SCAN_BARE_LF),
	CASE("a\n.\r\n", false, "a\n.\r\n", SCAN_BARE_LF),
	CASE("a\r\n.\n", false, "a\r\n\n", SCAN_BARE_LF),
	CASE("a\r\n.\rb", false, "a\r\n\rb", SCAN_BARE_CR),
	CASE("a\r.\rb", false, "a\r.\rb", SCAN_BARE_CR),
	CASE("a\r\r\n.\r\n", true, "a\r\r\n", SCAN_BARE_CR),
	CASE("a\n\r\n.\r\n", true, "a\n\r\n", SCAN_BARE_LF),
	CASE("a\r\n.\r\r\n.\r\n", true, "a\r\n\r\r\n", SCAN_BARE_CR),
	CASE("a\r\n\0.\r\nb", false, "a\r\n\0.\r\nb", SCAN_NUL),
	CASE("a\r\n.\0\r\n.\r\n", true, "a\r\n\0\r\n", SCAN_NUL),
	CASE("\xff\r\n.\r\n", true, "\xff\r\n", SCAN_8BIT),
	CASE("0123456789abcde\xff\r\n.\r\n", true, "0123456789abcde\xff\r\n", SCAN_8BIT),
	CASE("a\r\n.\r\nMAIL\r\n", true, "a\r\n", 0),
	CASE("\r\n.\r\n", true, "\r\n", 0),
	CASE("\r", false, "", 0),
	CASE("a\r\n.", false, "a\r\n", 0),
	CASE("a\r\n.\r", false, "a\r\n", 0),
};

static void every_cut(void **state)
{
	size_t i, a, b;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct scan_case *c = &cases[i];
		struct outcome o, whole;

		feed(c->in, c->n, c->n, c->n, true, &whole);
		assert_int_equal(whole.ended, c->ended);
		assert_int_equal(whole.seen, c->seen);
		assert_memory_equal(whole.text, c->out, whole.len);
		for (a = 0; a <= c->n; a++)
			for (b = a; b <= c->n; b++) {
				feed(c->in, c->n, a, b, true, &o);
				assert_int_equal(o.ended, whole.ended);
				assert_int_equal(o.seen, whole.seen);
				assert_int_equal(o.len, whole.len);
				assert_int_equal(o.used, whole.used);
				assert_memory_equal(o.text, whole.text, o.len);
			}
	}
}

static const struct scan_case chunks[] = {
	CASE("a\r\nb", false, "a\r\nb", 0),
	CASE("a\r\n.\r\nb\r\n", false, "a\r\n.\r\nb\r\n", SCAN_DOTLINE),
	CASE("a\rb", false, "a\rb", SCAN_BARE_CR),
	CASE("a\nb", false, "a\nb", SCAN_BARE_LF),
	CASE("a\r\r\n", false, "a\r\r\n", SCAN_BARE_CR),
	CASE("a\r", false, "a\r", SCAN_BARE_CR),
	CASE("\n", false, "\n", SCAN_BARE_LF),
	CASE("\r\n.", false, "\r\n.", SCAN_DOTLINE),
};

static void every_cut_of_chunks(void **state)
{
	size_t i, a, b;

	(void)state;
	for (i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++)
		for (a = 0; a <= chunks[i].n; a++)
			for (b = a; b <= chunks[i].n; b++) {
				struct outcome o;

				feed(chunks[i].in, chunks[i].n, a, b, false, &o);
				assert_int_equal(o.seen, chunks[i].seen);
				assert_int_equal(o.len, chunks[i].n);
				assert_memory_equal(o.text, chunks[i].out, o.len);
			}
}

static void repair(void **state)
{
	static const char in[] = "a\nb\rc\r\nd\r\r\ne\n\n\0f\r";
	static const char want[] = "a\r\nb\r\nc\r\nd\r\n\r\ne\r\n\r\nf\r\n";
	size_t cut;

	(void)state;
	for (cut = 0; cut < sizeof(in); cut++) {
		char out[2 * sizeof(in)], last = 0;
		size_t n = smtp_repair((struct kurir_str){ in, cut }, &last, out);

		n += smtp_repair(
		    (struct kurir_str){ in + cut, sizeof(in) - 1 - cut }, &last, out + n);
		assert_int_equal(n, sizeof(want) - 1);
		assert_memory_equal(out, want, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cut),
		cmocka_unit_test(every_cut_of_chunks),
		cmocka_unit_test(repair),
	};

	return cmocka_run_group_tests_name("smtp data", tests, NULL, NULL);
}
