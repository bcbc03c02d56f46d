/* test_bounce.c - notifications, byte by byte; what may be in them, and how much. */
#include <modules/bounce/report.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void whole(void **state)
{
	static const char wanted[] =
	    "Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
	    "From: Mail Delivery System <MAILER-DAEMON@mx.satu.example>\r\n"
	    "To: <hyd@satu.example>\r\n"
	    "Subject: Undelivered mail\r\n"
	    "Message-ID: <n1@mx.satu.example>\r\n"
	    "Auto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"=_b\"\r\n"
	    "\r\n--=_b\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
	    "This is the mail system at mx.satu.example.\r\n"
	    "\r\nYour message could not be delivered to the recipients below.\r\n"
	    "It will not be tried again.\r\n\r\n"
	    "  <paijo@dua.example>\r\n"
	    "    at mx.dua.example[192.0.2.1]:25\r\n"
	    "    550 5.1.1 no  Bcc: x\r\n"
	    "\r\n--=_b\r\n"
	    "Content-Type: message/delivery-status\r\n\r\n"
	    "Original-Envelope-Id: QQ+1\r\n"
	    "Reporting-MTA: dns;mx.satu.example\r\n"
	    "Received-From-MTA: dns;client.example\r\n"
	    "Arrival-Date: Sat, 21 Nov 2026 09:00:00 +0000\r\n"
	    "\r\n"
	    "Original-Recipient: rfc822;paijo+x@dua.example\r\n"
	    "Final-Recipient: rfc822;paijo@dua.example\r\n"
	    "Action: failed\r\n"
	    "Status: 5.1.1\r\n"
	    "Remote-MTA: dns;mx.dua.example\r\n"
	    "Diagnostic-Code: smtp;550 5.1.1 no  Bcc: x\r\n"
	    "\r\n--=_b\r\n"
	    "Content-Type: message/rfc822\r\n\r\n";
	struct kurir_envelope e = { .sender = KURIR_STR("hyd@satu.example"),
		.envid = KURIR_STR("QQ+2B1"),
		.helo = KURIR_STR("client.example"),
		.arrived = 1795251600000 };
	struct kurir_bounce_rcpt x = { .notice = KURIR_NOTICE_FAILED };
	struct report_facts f = { .hostname = KURIR_STR("mx.satu.example"),
		.boundary = KURIR_STR("=_b"),
		.message_id = KURIR_STR("n1"),
		.now = 1795255200000,
		.envelope = &e,
		.rcpts = &x,
		.count = 1 };
	struct kurir_buf b = KURIR_BUF(65536);
	(void)state;
	x.recipient.address = KURIR_STR("paijo@dua.example");
	x.recipient.orcpt = KURIR_STR("rfc822;paijo+2Bx@dua.example");
	x.result = (struct kurir_result){ .code = 550,
		.xyz = KURIR_STR("5.1.1"),
		.text = KURIR_STR("no\r\nBcc: x"),
		.remote = KURIR_STR("mx.dua.example[192.0.2.1]:25") };
	assert_int_equal(report_begin(&b, &f, REPORT_FULL), 0);
	assert_string_equal(b.ptr, wanted);
	kurir_buf_free(&b);
}

static bool has(const struct kurir_buf *b, const char *text)
{
	return strstr(b->ptr, text) != NULL;
}

/* Nothing beyond ASCII where the way there may be 7-bit, and nothing but UTF-8 elsewhere. */
static void letters(void **state)
{
	struct kurir_envelope e = { .sender = KURIR_STR("hyd@satu.example") };
	struct kurir_bounce_rcpt x = { .notice = KURIR_NOTICE_FAILED };
	struct report_facts f = { .hostname = KURIR_STR("mx.satu.example"),
		.boundary = KURIR_STR("=_b"),
		.message_id = KURIR_STR("n1"),
		.envelope = &e,
		.rcpts = &x,
		.count = 1 };
	char cut[503];

	(void)state;
	x.recipient.address = KURIR_STR("p@dua.example");
	x.result = (struct kurir_result){ .code = 550,
		.text = KURIR_STR("\xc3\xa9 \xe9 \xed\xa0\x80 \xc0\xaf \xf0\x9f\x93\xae \xc3"),
		.remote = KURIR_STR("mx.dua.example") };
	for (int utf8 = 0; utf8 < 2; utf8++) {
		struct kurir_buf b = KURIR_BUF(65536);

		e.flags = utf8 ? KURIR_ENV_UTF8 : 0;
		assert_int_equal(report_begin(&b, &f, REPORT_FULL), 0);
		for (size_t i = 0; !utf8 && i < b.len; i++)
			assert_true((unsigned char)b.ptr[i] < 128);
		assert_true(has(&b,
		    utf8
			? "\r\nDiagnostic-Code: smtp;550 \xc3\xa9 ? ??? ?? \xf0\x9f\x93\xae ?\r\n"
			: "\r\nDiagnostic-Code: smtp;550 ?? ? ??? ?? ???? ?\r\n"));
		assert_int_equal(has(&b,
				     "\r\nMIME-Version: 1.0\r\n"
				     "Content-Transfer-Encoding: 8bit\r\n"),
		    utf8);
		kurir_buf_free(&b);
	}
	/* No half of a letter where a text is cut. */
	memset(cut, 'x', sizeof(cut));
	memcpy(cut + 499, "\xc3\xa9", 2);
	x.result.text = (struct kurir_str){ cut, sizeof(cut) };
	struct kurir_buf b = KURIR_BUF(65536);
	assert_int_equal(report_begin(&b, &f, REPORT_FULL), 0);
	assert_false(has(&b, "\xc3"));
	assert_true(has(&b, "xx\r\n"));
	kurir_buf_free(&b);
}

/* However many failed, and whatever they were told: it can be written. */
static void many(void **state)
{
	static const size_t counts[] = { 100, 2000, 100000 };
	struct kurir_envelope e = { .sender = KURIR_STR("hyd@satu.example") };
	struct kurir_bounce_rcpt *x = calloc(100000, sizeof(*x));
	char text[600], address[256];
	struct report_facts f = { .hostname = KURIR_STR("mx.satu.example"),
		.boundary = KURIR_STR("=_b"),
		.message_id = KURIR_STR("n1"),
		.envelope = &e,
		.rcpts = x };

	(void)state;
	memset(text, 'x', sizeof(text));
	memset(address, 'a', sizeof(address));
	for (size_t i = 0; i < 100000; i++) {
		x[i].notice = KURIR_NOTICE_FAILED;
		x[i].recipient.address = (struct kurir_str){ address, sizeof(address) };
		x[i].recipient.orcpt = (struct kurir_str){ text, sizeof(text) };
		x[i].result = (struct kurir_result){ .code = 550,
			.text = { text, sizeof(text) },
			.remote = { text, sizeof(text) } };
	}
	for (size_t n = 0; n < sizeof(counts) / sizeof(counts[0]); n++) {
		struct kurir_buf b = KURIR_BUF(REPORT_MAX);
		size_t told = 0;

		f.count = counts[n];
		assert_int_equal(report_begin(&b, &f, REPORT_FULL), 0);
		for (const char *p = b.ptr; (p = strstr(p, "\r\nFinal-Recipient:")) != NULL; p++)
			told++;
		assert_true(n < 2 ? told == counts[n] : told > 2000);
		assert_int_equal(has(&b, "more"), n > 0);
		if (n == 2) {
			char omitted[80];

			snprintf(omitted, sizeof(omitted), "%zu of them are not told of",
			    counts[n] - told);
			assert_true(has(&b, omitted));
		}
		kurir_buf_free(&b);
	}
	free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),
		cmocka_unit_test(letters),
		cmocka_unit_test(many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
