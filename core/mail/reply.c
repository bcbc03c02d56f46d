/* reply.c - what the session will say: the module's words where they fit its verdict, else
 * the point's own. */
#include "tx.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void reply_clear(struct session *s)
{
	s->reply.code = 0;
	s->reply.xyz[0] = '\0';
	s->reply.len = 0;
}

/*
 * RFC 3463:  status-code = class "." subject "." detail
 *            class = "2" / "4" / "5";  subject, detail = 1*3DIGIT
 */
static bool xyz_fits(const char *xyz, int code)
{
	int part, digits;

	if (xyz[0] - '0' != code / 100 || xyz[1] != '.')
		return false;
	xyz += 2;
	for (part = 0; part < 2; part++) {
		for (digits = 0; *xyz >= '0' && *xyz <= '9'; xyz++)
			digits++;
		if (digits < 1 || digits > 3 || *xyz != (part == 0 ? '.' : '\0'))
			return false;
		xyz++;
	}
	return true;
}

/* One line of printable characters; UTF-8 passes (RFC 6531 4.3 readers accept it). */
static size_t clean(char *text, size_t n)
{
	size_t i, len = 0;

	for (i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\r')
			continue;
		text[len++] = c < ' ' || c == 0x7f ? ' ' : (char)c;
	}
	return len;
}

void reply_set(struct session *s, int code, const char *xyz, struct kurir_str text)
{
	struct reply *p = &s->reply;
	size_t n = text.len < sizeof(p->text) ? text.len : sizeof(p->text);

	p->code = code;
	(void)snprintf(p->xyz, sizeof(p->xyz), "%s", xyz);
	memcpy(p->text, text.ptr, n);
	p->len = clean(p->text, n);
}

int kurir_reply(struct kurir_conn *conn, int code, const char *xyz, const char *fmt, ...)
{
	struct session *s = session_of(conn);
	char text[REPLY_TEXT_MAX];
	int klass = code / 100, n;
	va_list ap;

	if (code < 200 || code > 599 || klass == 3 || (xyz != NULL && !xyz_fits(xyz, code)))
		return -EINVAL;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EINVAL;
	if ((size_t)n >= sizeof(text))
		n = (int)sizeof(text) - 1;
	reply_set(s, code,
	    xyz != NULL	     ? xyz
		: klass == 2 ? "2.0.0"
		: klass == 4 ? "4.0.0"
			     : "5.0.0",
	    (struct kurir_str){ text, (size_t)n });
	return 0;
}

struct preset {
	int code;
	const char *xyz, *text;
};

/* Refusals that no module put into words: RFC 5321 4.2.3 and 4.3.2 say which codes may come. */
static const struct preset *preset(enum chain_point point, int verdict)
{
	static const struct preset hangup = { 421, "4.7.0", "Closing the connection" };
	static const struct preset defer = { 451, "4.7.1", "Try again later" };
	static const struct preset connect_no = { 554, "5.7.1", "Not welcome" };
	static const struct preset connect_later = { 421, "4.7.1", "Try again later" };
	static const struct preset rcpt_no = { 550, "5.7.1", "Recipient refused" };
	static const struct preset rcpt_later = { 450, "4.7.1", "Try again later" };
	static const struct preset data_no = { 554, "5.7.1", "Message refused" };
	static const struct preset other_no = { 550, "5.7.1", "Refused by policy" };
	static const struct preset auth_no = { 535, "5.7.8", "Authentication refused" };
	static const struct preset auth_later = { 454, "4.7.0", "Try again later" };

	if (verdict == KURIR_HANGUP)
		return &hangup;
	if (verdict == KURIR_DEFER)
		return point == CHAIN_CONNECT ? &connect_later
		    : point == CHAIN_RCPT     ? &rcpt_later
		    : point == CHAIN_AUTH     ? &auth_later
					      : &defer;
	switch (point) {
	case CHAIN_CONNECT:
		return &connect_no;
	case CHAIN_AUTH:
		return &auth_no;
	case CHAIN_RCPT:
		return &rcpt_no;
	case CHAIN_DATA:
	case CHAIN_MESSAGE:
		return &data_no;
	default:
		return &other_no;
	}
}

static int accepted_code(enum chain_point point)
{
	return point == CHAIN_CONNECT ? 220
	    : point == CHAIN_AUTH     ? 235
	    : point == CHAIN_DATA     ? 354
				      : 250;
}

static const char *accepted_xyz(enum chain_point point)
{
	switch (point) {
	case CHAIN_AUTH:
		return "2.7.0";
	case CHAIN_MAIL:
		return "2.1.0";
	case CHAIN_RCPT:
		return "2.1.5";
	case CHAIN_MESSAGE:
		return "2.0.0";
	default:
		return ""; /* RFC 2034: none in the greeting, in HELO's answer and in 354 */
	}
}

void reply_answer(struct session *s, enum chain_point point, int verdict, struct kurir_str ok,
    struct kurir_answer *ret)
{
	bool yes = verdict == KURIR_ACCEPT || verdict == KURIR_DISCARD || verdict == KURIR_NEXT;
	int want = yes ? 2 : verdict == KURIR_REJECT ? 5 : 4;
	const struct preset *p;

	/* Words for another verdict than the one that came are not used; 354 and the greeting
	 * are the protocol's own. */
	if (s->reply.code / 100 == want && !(yes && point <= CHAIN_HELO) &&
	    !(yes && point == CHAIN_DATA) && (verdict != KURIR_HANGUP || s->reply.code == 421)) {
		*ret = (struct kurir_answer){ .code = s->reply.code,
			.xyz = kurir_str_of(s->reply.xyz),
			.text = { s->reply.text, s->reply.len } };
		return;
	}
	if (yes) {
		*ret = (struct kurir_answer){ .code = accepted_code(point),
			.xyz = kurir_str_of(accepted_xyz(point)),
			.text = ok };
		return;
	}
	p = preset(point, verdict);
	*ret = (struct kurir_answer){
		.code = p->code, .xyz = kurir_str_of(p->xyz), .text = kurir_str_of(p->text)
	};
}
