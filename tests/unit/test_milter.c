/* test_milter.c - packets of milters, and what they change of a header. */
#include <modules/milter/milter.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S(x) KURIR_STR(x)

static struct kurir_arena *arena;

static struct milter_header parse(struct kurir_str text, struct kurir_str *ret_rest)
{
	struct milter_header h = { .count = 0 };
	struct milter_field f;

	while (milter_header_next(&text, &f) == 1)
		milter_header_add(&h, arena, h.count, &f);
	*ret_rest = text;
	return h;
}

static const char *whole(const struct milter_header *h)
{
	struct kurir_str all = KURIR_STR("");

	for (size_t i = 0; i < h->count; i++)
		all =
		    kurir_format(arena, "%.*s%.*s", KURIR_ARG(all), KURIR_ARG(h->fields[i].raw));
	return kurir_copy(arena, all).ptr;
}

static void headers(void **state)
{
	struct kurir_str rest;
	struct milter_header h =
	    parse(S("A: 1\r\nB:\r\n 2\r\n\t3\r\nC:  4\r\n\r\nbody: no\r\n"), &rest);

	(void)state;
	assert_int_equal(h.count, 3);
	assert_true(kurir_str_equal(rest, S("\r\nbody: no\r\n")));
	assert_string_equal(milter_header_value(arena, &h.fields[0], false).ptr, "1");
	assert_string_equal(milter_header_value(arena, &h.fields[1], false).ptr, "\n 2\n\t3");
	assert_string_equal(milter_header_value(arena, &h.fields[2], false).ptr, " 4");
	assert_string_equal(milter_header_value(arena, &h.fields[2], true).ptr, "  4");
	h = parse(S("A: 1\r\nno field\r\n"), &rest);
	assert_int_equal(h.count, 1);
	assert_true(kurir_str_equal(rest, S("no field\r\n")));
	h = parse(S("A: 1"), &rest);
	assert_int_equal(h.count, 1);
	assert_int_equal(rest.len, 0);
}

static int edit(
    struct milter_header *h, enum milter_reply what, int n, const char *name, const char *value)
{
	struct kurir_buf b = KURIR_BUF(4096);
	int r = 0;

	if (n >= 0)
		r = milter_put_u32(&b, (uint32_t)n);
	assert_int_equal(r, 0);
	assert_int_equal(milter_put_text(&b, kurir_str_of(name)), 0);
	assert_int_equal(milter_put_text(&b, kurir_str_of(value)), 0);
	r = milter_header_edit(h, arena, what, kurir_copy(arena, kurir_buf_str(&b)));
	kurir_buf_free(&b);
	return r;
}

static void edits(void **state)
{
	struct kurir_str rest;
	struct milter_header h = parse(S("A: 1\r\nB: 2\r\nA: 3\r\n"), &rest);

	(void)state;
	assert_int_equal(edit(&h, MILTER_CHANGE_HEADER, 7, "A", ""), 0);
	assert_false(h.changed);
	assert_int_equal(edit(&h, MILTER_CHANGE_HEADER, 2, "a", "three"), 0);
	assert_true(h.changed);
	assert_int_equal(edit(&h, MILTER_CHANGE_HEADER, 1, "b", ""), 0);
	assert_int_equal(edit(&h, MILTER_ADD_HEADER, -1, "Z", "x\r\n\ty"), 0);
	assert_int_equal(edit(&h, MILTER_INSERT_HEADER, 0, "First", "1"), 0);
	assert_int_equal(edit(&h, MILTER_INSERT_HEADER, 2, "Second", "2"), 0);
	assert_int_equal(edit(&h, MILTER_INSERT_HEADER, 99, "Last", "9\n"), 0);
	assert_int_equal(edit(&h, MILTER_CHANGE_HEADER, 3, "A", "new"), 0);
	assert_string_equal(whole(&h),
	    "First: 1\r\nSecond: 2\r\nA: 1\r\na: three\r\nZ: x\r\n\ty\r\nLast: 9\r\nA: new\r\n");
	assert_int_equal(edit(&h, MILTER_ADD_HEADER, -1, "X Y", "1"), -EBADMSG);
	assert_int_equal(edit(&h, MILTER_ADD_HEADER, -1, "", "1"), -EBADMSG);
	assert_int_equal(edit(&h, MILTER_ADD_HEADER, -1, "X", "1\nY: 2"), -EBADMSG);
	assert_int_equal(edit(&h, MILTER_ADD_HEADER, -1, "X", "1\n\n"), 0);
	assert_int_equal(
	    milter_header_edit(&h, arena, MILTER_ADD_HEADER, S("X\0half")), -EBADMSG);
	assert_int_equal(
	    milter_header_edit(&h, arena, MILTER_INSERT_HEADER, S("\0\0")), -EBADMSG);
	h.leading_space = true;
	h.count = 0;
	assert_int_equal(edit(&h, MILTER_ADD_HEADER, -1, "X", "1"), 0);
	assert_string_equal(whole(&h), "X:1\r\n");
}

static void options(void **state)
{
	struct milter_options o;
	struct kurir_str all = S("\0\0\0\6\0\0\0\1\0\0\4\0\0\0\0\2i {x}\0\0\0\0\x63unknown\0");

	(void)state;
	assert_int_equal(milter_get_options(all, &o), 0);
	assert_int_equal(o.version, 6);
	assert_int_equal(o.actions, MILTER_MAY_ADD_HEADERS);
	assert_int_equal(o.protocol, MILTER_CAN_SKIP);
	assert_true(kurir_str_equal(o.macros[MILTER_AT_MAIL], S("i {x}")));
	assert_int_equal(o.macros[MILTER_AT_RCPT].len, 0);
	for (size_t i = 0; i < all.len; i++)
		if (i != 12 && i != 22)
			assert_int_equal(
			    milter_get_options(kurir_str_part(all, 0, i), &o), -EBADMSG);
	assert_int_equal(milter_get_options(S("\0\0\0\7\0\0\0\0\0\0\0\0"), &o), -EPROTO);
	assert_int_equal(milter_get_options(S("\0\0\0\1\0\0\0\0\0\0\0\0"), &o), -EPROTO);
	assert_int_equal(milter_get_options(S("\0\0\0\6\0\0\2\0\0\0\0\0"), &o), -EPROTO);
	assert_int_equal(milter_get_options(S("\0\0\0\6\0\0\0\0\0\0\x08\0"), &o), -EPROTO);
}

static void replies(void **state)
{
	struct kurir_str text;
	char xyz[12];
	int code;

	(void)state;
	assert_int_equal(milter_get_reply_code(S("550 5.7.1 no way\0"), &code, xyz, &text), 0);
	assert_int_equal(code, 550);
	assert_string_equal(xyz, "5.7.1");
	assert_true(kurir_str_equal(text, S("no way")));
	assert_int_equal(milter_get_reply_code(S("451 4.7 x\0"), &code, xyz, &text), 0);
	assert_string_equal(xyz, "");
	assert_true(kurir_str_equal(text, S("4.7 x")));
	assert_int_equal(
	    milter_get_reply_code(S("550-5.7.1 one\r\n550 5.7.1 two\0"), &code, xyz, &text), 0);
	assert_true(kurir_str_equal(text, S("one")));
	assert_int_equal(milter_get_reply_code(S("550\0"), &code, xyz, &text), 0);
	assert_int_equal(text.len, 0);
	assert_int_equal(milter_get_reply_code(S("250 fine\0"), &code, xyz, &text), -EBADMSG);
	assert_int_equal(milter_get_reply_code(S("600 x\0"), &code, xyz, &text), -EBADMSG);
	assert_int_equal(milter_get_reply_code(S("5501 x\0"), &code, xyz, &text), -EBADMSG);
	assert_int_equal(milter_get_reply_code(S("550 x"), &code, xyz, &text), -EBADMSG);
}

static void socket_is(const char *text, const char *want)
{
	struct kurir_str s;

	assert_int_equal(
	    milter_socket(arena, kurir_str_of(text), &s), want != NULL ? 0 : -EINVAL);
	if (want != NULL)
		assert_true(kurir_str_equal(s, kurir_str_of(want)));
}

static void sockets(void **state)
{
	(void)state;
	socket_is("inet:8891@127.0.0.1", "127.0.0.1:8891");
	socket_is("inet6:8891@::1", "[::1]:8891");
	socket_is("local:/run/x.sock", "unix:/run/x.sock");
	socket_is("unix:/run/x.sock", "unix:/run/x.sock");
	socket_is("[::1]:8891", "[::1]:8891");
	socket_is("", NULL);
	socket_is("unix:", NULL);
	socket_is("unix:relative", NULL);
	socket_is("inet:8891@localhost", NULL);
	socket_is("inet:0@127.0.0.1", NULL);
	socket_is("inet:70000@127.0.0.1", NULL);
	socket_is("127.0.0.1", NULL);
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
		cmocka_unit_test(headers),
		cmocka_unit_test(edits),
		cmocka_unit_test(options),
		cmocka_unit_test(replies),
		cmocka_unit_test(sockets),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
