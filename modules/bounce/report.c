/* report.c - builds a notification from facts alone: no clock, no files, so that tests can
 * compare it byte by byte.  What peers said is cut and cleaned: it cannot begin a header. */
#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define WORDS_MAX  500 /* of a peer's reply */
#define WORDS_FEW  100 /* the same, when there are */
#define MANY	   200 /* recipients */
#define HUMAN_MAX  ((size_t)256 << 10)
#define STATUS_MAX ((size_t)3 << 20) /* with the rest less than REPORT_MAX */

struct words {
	const char *subject, *human, *action;
};

static const struct words notice_words[] = {
	[KURIR_NOTICE_FAILED] = { "Undelivered mail",
	    "Your message could not be delivered to the recipients below.\r\n"
	    "It will not be tried again.\r\n",
	    "failed" },
	[KURIR_NOTICE_DELAYED] = { "Delayed mail",
	    "Your message could not be delivered to the recipients below yet.\r\n"
	    "You need not send it again: it will be tried until the time shown.\r\n",
	    "delayed" },
	[KURIR_NOTICE_DELIVERED] = { "Mail was delivered",
	    "Your message was delivered to the recipients below, as you asked to be "
	    "told.\r\n",
	    "delivered" },
	[KURIR_NOTICE_RELAYED] = { "Mail was passed on",
	    "Your message was passed on, for the recipients below, to a server that "
	    "does not tell\r\nof its delivery. There will be no other notice.\r\n",
	    "relayed" },
};

void report_date(char to[40], int64_t wallclock)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t t = (time_t)(wallclock / 1000);
	struct tm tm;
	gmtime_r(&t, &tm);
	snprintf(to, 40, "%.3s, %02d %.3s %04d %02d:%02d:%02d +0000", days + 3 * tm.tm_wday,
	    tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
	    tm.tm_sec);
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* xtext = *( xchar / hexchar ) ; hexchar = "+" 2HEXDIG (upper case) */
struct kurir_str report_xtext(struct kurir_arena *arena, struct kurir_str s)
{
	char *to = kurir_alloc(arena, s.len + 1);
	size_t n = 0;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		if (c == '+' && i + 2 < s.len && hex_digit(s.ptr[i + 1]) >= 0 &&
		    hex_digit(s.ptr[i + 2]) >= 0) {
			c = (char)(hex_digit(s.ptr[i + 1]) * 16 + hex_digit(s.ptr[i + 2]));
			i += 2;
		}
		to[n++] = c;
	}
	return (struct kurir_str){ to, n };
}

static bool is_utf8(const struct report_facts *f)
{
	return (f->envelope->flags & KURIR_ENV_UTF8) != 0;
}

/* The bytes of the character that s begins with, 0: none (RFC 3629 section 4). */
static size_t letter(struct kurir_str s)
{
	const unsigned char *p = (const unsigned char *)s.ptr;
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (n > s.len || p[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* One line: control characters become spaces, and what is beyond ASCII question marks, unless it
 * is UTF-8 in a notification that may have it (RFC 6533). */
static void put_clean(
    struct kurir_buf *b, const struct report_facts *f, struct kurir_str s, size_t max)
{
	for (size_t i = 0, n; i < s.len; i += n) {
		struct kurir_str rest = kurir_str_part(s, i, s.len);
		unsigned char c = (unsigned char)*rest.ptr;

		n = c > 127 && is_utf8(f) ? letter(rest) : 0;
		if (i + (n > 0 ? n : 1) > max)
			break;
		if (n > 0) {
			kurir_buf_add(b, kurir_str_part(rest, 0, n));
			continue;
		}
		char out = c < 32 || c == 127 ? ' ' : c > 127 ? '?' : (char)c;
		kurir_buf_add(b, (struct kurir_str){ &out, 1 });
		n = 1;
	}
}

static void put(struct kurir_buf *b, const char *text)
{
	kurir_buf_add(b, kurir_str_of(text));
}

static void put_field(
    struct kurir_buf *b, const struct report_facts *f, const char *name, struct kurir_str value)
{
	if (value.len == 0)
		return;
	put(b, name);
	put_clean(b, f, value, WORDS_MAX);
	put(b, "\r\n");
}

/* status-code of RFC 3463, never empty. */
static struct kurir_str status_of(const struct kurir_bounce_rcpt *r)
{
	struct kurir_str s = r->result.xyz;
	char class = r->notice == KURIR_NOTICE_FAILED ? '5'
	    : r->notice == KURIR_NOTICE_DELAYED	      ? '4'
						      : '2';
	if (s.len >= 5 && s.ptr[1] == '.' && s.ptr[0] == class)
		return s;
	return class == '5' ? KURIR_STR("5.0.0")
	    : class == '4'  ? KURIR_STR("4.0.0")
			    : KURIR_STR("2.0.0");
}

/* What was said of a recipient, on one line. */
static void put_reply(
    struct kurir_buf *b, const struct report_facts *f, const struct kurir_bounce_rcpt *r)
{
	if (r->result.code > 0)
		kurir_buf_printf(b, "%u ", r->result.code);
	put_clean(b, f, r->result.xyz, 20);
	put(b, r->result.xyz.len > 0 ? " " : "");
	put_clean(b, f, r->result.text, f->count > MANY ? WORDS_FEW : WORDS_MAX);
	put(b, "\r\n");
}

static void put_human_recipient(
    struct kurir_buf *b, const struct report_facts *f, const struct kurir_bounce_rcpt *r)
{
	char date[40];
	put(b, "  <");
	put_clean(b, f, r->recipient.address, 320);
	put(b, ">\r\n");
	if (r->result.remote.len > 0) {
		put(b, "    at ");
		put_clean(b, f, r->result.remote, 300);
		put(b, "\r\n");
	}
	put(b, "    ");
	put_reply(b, f, r);
	if (r->retry_until > 0) {
		report_date(date, r->retry_until);
		kurir_buf_printf(b, "    will be tried until %s\r\n", date);
	}
}

/* omitted: recipients that the status leaves out. */
static void put_human(struct kurir_buf *b, const struct report_facts *f, size_t omitted)
{
	size_t more = 0;
	put(b, "This is the mail system at ");
	put_clean(b, f, f->hostname, 255);
	put(b, ".\r\n");
	for (int n = KURIR_NOTICE_FAILED; n <= KURIR_NOTICE_RELAYED; n++) {
		bool first = true;
		for (size_t i = 0; i < f->count; i++) {
			const struct kurir_bounce_rcpt *r = &f->rcpts[i];
			if ((int)r->notice != n)
				continue;
			if (first)
				kurir_buf_printf(b, "\r\n%s\r\n", notice_words[n].human);
			first = false;
			if (b->len < HUMAN_MAX)
				put_human_recipient(b, f, r);
			else
				more++;
		}
	}
	if (more > 0)
		kurir_buf_printf(
		    b, "\r\nThere are %zu more, which the next part tells of.\r\n", more);
	if (omitted > 0)
		kurir_buf_printf(
		    b, "They are too many: %zu of them are not told of there.\r\n", omitted);
}

/* remote = name "[" address "]" ":" port; the report wants the name. */
static struct kurir_str remote_name(struct kurir_str remote)
{
	ssize_t at = kurir_str_find(remote, '[');
	return at > 0 ? kurir_str_part(remote, 0, (size_t)at) : remote;
}

/* RFC 3464 section 2.3 */
static void put_recipient(
    struct kurir_buf *b, const struct report_facts *f, const struct kurir_bounce_rcpt *r)
{
	char date[40];
	put(b, "\r\n");
	if (r->recipient.orcpt.len > 0) {
		ssize_t semi = kurir_str_find(r->recipient.orcpt, ';');
		put(b, "Original-Recipient: ");
		put_clean(b, f, kurir_str_part(r->recipient.orcpt, 0, (size_t)(semi + 1)), 40);
		put_clean(b, f,
		    report_xtext(kurir_scratch(),
			kurir_str_part(
			    r->recipient.orcpt, (size_t)(semi + 1), r->recipient.orcpt.len)),
		    WORDS_MAX);
		put(b, "\r\n");
	}
	put_field(b, f, is_utf8(f) ? "Final-Recipient: utf-8;" : "Final-Recipient: rfc822;",
	    r->recipient.address);
	kurir_buf_printf(b, "Action: %s\r\n", notice_words[r->notice].action);
	put_field(b, f, "Status: ", status_of(r));
	bool peer = r->result.code > 0 && r->result.remote.len > 0;
	if (peer)
		put_field(b, f, "Remote-MTA: dns;", remote_name(r->result.remote));
	put(b, peer ? "Diagnostic-Code: smtp;" : "Diagnostic-Code: x-kurir;");
	put_reply(b, f, r);
	if (r->last_attempt > 0) {
		report_date(date, r->last_attempt);
		kurir_buf_printf(b, "Last-Attempt-Date: %s\r\n", date);
	}
	if (r->retry_until > 0) {
		report_date(date, r->retry_until);
		kurir_buf_printf(b, "Will-Retry-Until: %s\r\n", date);
	}
}

/* RFC 3464 section 2.2.  Returns how many recipients were left out. */
static size_t put_status(struct kurir_buf *b, const struct report_facts *f)
{
	char date[40];
	const struct kurir_envelope *e = f->envelope;
	if (e->envid.len > 0)
		put_field(
		    b, f, "Original-Envelope-Id: ", report_xtext(kurir_scratch(), e->envid));
	put_field(b, f, "Reporting-MTA: dns;", f->hostname);
	if (e->helo.len > 0)
		put_field(b, f, "Received-From-MTA: dns;", e->helo);
	report_date(date, e->arrived);
	kurir_buf_printf(b, "Arrival-Date: %s\r\n", date);
	for (size_t i = 0; i < f->count; i++) {
		if (b->len >= STATUS_MAX)
			return f->count - i;
		put_recipient(b, f, &f->rcpts[i]);
	}
	return 0;
}

static const char *subject_of(const struct report_facts *f)
{
	int worst = KURIR_NOTICE_RELAYED;
	for (size_t i = 0; i < f->count; i++)
		if ((int)f->rcpts[i].notice < worst)
			worst = (int)f->rcpts[i].notice;
	return notice_words[worst].subject;
}

static void put_boundary(struct kurir_buf *b, const struct report_facts *f, const char *end)
{
	kurir_buf_printf(b, "\r\n--%.*s%s\r\n", KURIR_ARG(f->boundary), end);
}

int report_begin(struct kurir_buf *b, const struct report_facts *f, enum report_content content)
{
	char date[40];
	const struct kurir_envelope *e = f->envelope;
	bool utf8 = is_utf8(f), eight = utf8 || (e->flags & KURIR_ENV_8BIT) != 0;
	struct kurir_buf status = KURIR_BUF(REPORT_MAX);
	size_t omitted = put_status(&status, f);
	report_date(date, f->now);
	kurir_buf_printf(b, "Date: %s\r\n", date);
	put(b, "From: Mail Delivery System <MAILER-DAEMON@");
	put_clean(b, f, f->hostname, 255);
	put(b, ">\r\nTo: <");
	put_clean(b, f, e->sender, 320);
	kurir_buf_printf(b, ">\r\nSubject: %s\r\n", subject_of(f));
	put(b, "Message-ID: <");
	put_clean(b, f, f->message_id, 100);
	put(b, "@");
	put_clean(b, f, f->hostname, 255);
	put(b, ">\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
	put(b, eight ? "Content-Transfer-Encoding: 8bit\r\n" : "");
	kurir_buf_printf(b,
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"%.*s\"\r\n",
	    KURIR_ARG(f->boundary));
	put_boundary(b, f, "");
	kurir_buf_printf(b, "Content-Type: text/plain; charset=%s\r\n\r\n",
	    utf8 ? "utf-8\r\nContent-Transfer-Encoding: 8bit" : "us-ascii");
	put_human(b, f, omitted);
	put_boundary(b, f, "");
	kurir_buf_printf(b, "Content-Type: message/%sdelivery-status\r\n", utf8 ? "global-" : "");
	if (utf8)
		put(b, "Content-Transfer-Encoding: 8bit\r\n");
	put(b, "\r\n");
	kurir_buf_add(b, kurir_buf_str(&status));
	kurir_buf_free(&status);
	put_boundary(b, f, "");
	if (content == REPORT_FULL)
		put(b,
		    utf8 ? "Content-Type: message/global\r\n"
			 : "Content-Type: message/rfc822\r\n");
	else
		put(b,
		    utf8 ? "Content-Type: message/global-headers\r\n"
			 : "Content-Type: text/rfc822-headers\r\n");
	if (eight)
		put(b, "Content-Transfer-Encoding: 8bit\r\n");
	return kurir_buf_add(b, KURIR_STR("\r\n"));
}

int report_end(struct kurir_buf *b, const struct report_facts *f)
{
	put_boundary(b, f, "--");
	return b->len == 0 ? -EMSGSIZE : 0;
}
