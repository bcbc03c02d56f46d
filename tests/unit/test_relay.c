/* test_relay.c - replies and offers of other servers, and dots in messages. */
#include <modules/relay_smtp/relay.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S(x) KURIR_STR(x)

static void replies(void **state)
{
	static const struct {
		const char *lines[4];
		int want, code;
		const char *xyz, *text;
	} rows[] = {
		{ { "250 2.1.0 Ok\r\n" }, 0, 250, "2.1.0", "Ok" },
		{ { "250" }, 0, 250, "", "" },
		{ { "250 " }, 0, 250, "", "" },
		{ { "250-a\r\n", "250-\r\n", "250 b\n" }, 0, 250, "", "a b" },
		{ { "550-5.1.1 no\r\n", "550 5.1.1 user\r\n" }, 0, 550, "5.1.1", "no user" },
		{ { "550 4.1.1 no" }, 0, 550, "", "4.1.1 no" },
		{ { "450 4.1 no" }, 0, 450, "", "4.1 no" },
		{ { "450 4.1.1" }, 0, 450, "4.1.1", "" },
		{ { "450 4.1111.1 x" }, 0, 450, "", "4.1111.1 x" },
		{ { "550 a\tb\x01\x7f" }, 0, 550, "", "a?b??" },
		{ { "250-a", "251 b" }, -EPROTO, 0, "", "" },
		{ { "" }, -EPROTO, 0, "", "" },
		{ { "25" }, -EPROTO, 0, "", "" },
		{ { "2500 x" }, -EPROTO, 0, "", "" },
		{ { "150 x" }, -EPROTO, 0, "", "" },
		{ { "650 x" }, -EPROTO, 0, "", "" },
		{ { "x50 x" }, -EPROTO, 0, "", "" },
		{ { "HTTP/1.1 400" }, -EPROTO, 0, "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct relay_reply reply = { 0 };
		int r = 1;

		for (size_t k = 0; r == 1; k++)
			r = relay_reply_line(&reply, kurir_str_of(rows[i].lines[k]));
		if (r != rows[i].want)
			fail_msg("\"%s\": %d, not %d", rows[i].lines[0], r, rows[i].want);
		if (r < 0)
			continue;
		assert_int_equal(reply.code, rows[i].code);
		assert_int_equal(reply.xyz_len, strlen(rows[i].xyz));
		assert_memory_equal(reply.xyz, rows[i].xyz, reply.xyz_len);
		if (reply.text_len != strlen(rows[i].text) ||
		    memcmp(reply.text, rows[i].text, reply.text_len) != 0)
			fail_msg("\"%s\": text \"%.*s\"", rows[i].lines[0], (int)reply.text_len,
			    reply.text);
	}
}

static void endless(void **state)
{
	struct relay_reply reply = { 0 };
	char line[RELAY_LINE_MAX];
	int r = 1, n = 0;

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line, "250-", 4);
	while (r == 1) {
		r = relay_reply_line(&reply, (struct kurir_str){ line, sizeof(line) });
		n++;
	}
	assert_int_equal(r, -EPROTO);
	assert_int_equal(n, RELAY_LINES_MAX + 1);
	assert_true(reply.text_len <= sizeof(reply.text));
}

static void offers(void **state)
{
	struct relay_offer o = { 0 };

	(void)state;
	relay_offer_line(&o, S("250-pipelining\r\n"));
	relay_offer_line(&o, S("250-SIZE 10240000\r\n"));
	relay_offer_line(&o, S("250-AUTH LOGIN CRAM-MD5 PLAIN\r\n"));
	relay_offer_line(&o, S("250-8BITMIME\r\n"));
	relay_offer_line(&o, S("250-XSTARTTLS\r\n"));
	relay_offer_line(&o, S("250 \r\n"));
	assert_int_equal(o.ext,
	    RELAY_EXT_PIPELINING | RELAY_EXT_SIZE | RELAY_EXT_LOGIN | RELAY_EXT_PLAIN |
		RELAY_EXT_8BITMIME);
	assert_int_equal(o.size, 10240000);
	o = (struct relay_offer){ 0 };
	relay_offer_line(&o, S("250 SIZE"));
	relay_offer_line(&o, S("250 SIZE x"));
	relay_offer_line(&o, S("250 SIZE 99999999999999999999999999"));
	relay_offer_line(&o, S("250 AUTH=PLAIN"));
	assert_int_equal(o.ext, RELAY_EXT_SIZE | RELAY_EXT_PLAIN);
	assert_int_equal(o.size, 0);
}

/* In pieces of every size the result is the same. */
static void dots(void **state)
{
	static const char in[] = ".\r\n..\r\na.b\r\n.end\r\n\r\n.";
	static const char want[] = "..\r\n...\r\na.b\r\n..end\r\n\r\n..";

	(void)state;
	for (size_t piece = 1; piece < sizeof(in); piece++) {
		char out[2 * sizeof(in)];
		size_t n = 0;
		bool start = true;

		for (size_t i = 0; i < sizeof(in) - 1; i += piece) {
			size_t len = sizeof(in) - 1 - i < piece ? sizeof(in) - 1 - i : piece;

			n += relay_stuff(in + i, len, out + n, &start);
		}
		assert_int_equal(n, sizeof(want) - 1);
		assert_memory_equal(out, want, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies),
		cmocka_unit_test(endless),
		cmocka_unit_test(offers),
		cmocka_unit_test(dots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
