/* smtp_mail.c - MAIL: the transaction begins.
 *
 * RFC 5321 4.1.1.2:  mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF
 * Parameters: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), RET ENVID (RFC 3461),
 * AUTH (RFC 4954).
 */
#include "smtp_private.h"

#include <errno.h>

struct wish {
	struct kurir_str size, body, ret, envid, auth;
	bool utf8, has_size, has_body, has_ret, has_envid, has_auth;
};

/* Each parameter once.  0 or -EINVAL; -EOPNOTSUPP: one that was not offered. */
static int take_params(struct kurir_str args, struct wish *w)
{
	struct kurir_str key, value;
	int r;

	while ((r = smtp_param(&args, &key, &value)) == 1) {
		struct kurir_str *to = NULL;
		bool *had = NULL;

		if (kurir_str_equal_nocase(key, KURIR_STR("SMTPUTF8"))) {
			if (value.ptr != NULL || w->utf8)
				return -EINVAL;
			w->utf8 = true;
			continue;
		}
		if (kurir_str_equal_nocase(key, KURIR_STR("SIZE")))
			to = &w->size, had = &w->has_size;
		else if (kurir_str_equal_nocase(key, KURIR_STR("BODY")))
			to = &w->body, had = &w->has_body;
		else if (kurir_str_equal_nocase(key, KURIR_STR("RET")))
			to = &w->ret, had = &w->has_ret;
		else if (kurir_str_equal_nocase(key, KURIR_STR("ENVID")))
			to = &w->envid, had = &w->has_envid;
		else if (kurir_str_equal_nocase(key, KURIR_STR("AUTH")))
			to = &w->auth, had = &w->has_auth;
		else
			return -EOPNOTSUPP;
		if (value.ptr == NULL || *had)
			return -EINVAL;
		*to = value;
		*had = true;
	}
	return r;
}

/* 0, -EINVAL or -EFBIG. */
static int check_params(const struct smtp *s, const struct wish *w, uint32_t *flags)
{
	uint64_t size;

	if (w->has_size) {
		if (w->size.len > 20 || kurir_str_number(w->size, UINT64_MAX, &size) < 0)
			return -EINVAL;
		if (s->conf->message_size > 0 && size > s->conf->message_size)
			return -EFBIG;
	}
	if (w->has_body) {
		/* Only permission: what is sent says whether 8 bits are needed. */
		if (!kurir_str_equal_nocase(w->body, KURIR_STR("8BITMIME")) &&
		    !kurir_str_equal_nocase(w->body, KURIR_STR("7BIT")))
			return -EINVAL;
	}
	if (w->has_ret) {
		if (kurir_str_equal_nocase(w->ret, KURIR_STR("FULL")))
			*flags |= KURIR_ENV_RET_FULL;
		else if (kurir_str_equal_nocase(w->ret, KURIR_STR("HDRS")))
			*flags |= KURIR_ENV_RET_HDRS;
		else
			return -EINVAL;
	}
	if (w->has_envid && (w->envid.len > 100 || !smtp_is_xtext(w->envid)))
		return -EINVAL;
	if (w->has_auth && !kurir_str_equal(w->auth, KURIR_STR("<>")) && !smtp_is_xtext(w->auth))
		return -EINVAL;
	if (w->utf8)
		*flags |= KURIR_ENV_UTF8;
	return 0;
}

/* What a client must have done before it may send.  True: the refusal was said. */
KURIR_PARKS static bool not_yet(struct smtp *s)
{
	if (s->conf->require_tls && s->kind != SMTP_LMTP && !kurir_conn_encrypted(s->conn)) {
		smtp_error(s, 530, "5.7.0", "Say STARTTLS first");
		return true;
	}
	if (s->kind == SMTP_SUBMISSION && !s->authenticated) {
		smtp_error(s, 530, "5.7.0", "Authentication required");
		return true;
	}
	if (s->conf->messages > 0 && s->messages >= s->conf->messages) {
		kurir_count(s->self, COUNT_LIMITS, 1);
		smtp_say(s, 421, "4.7.0", "Enough messages for one connection");
		smtp_close(s, "too many messages");
		return true;
	}
	return false;
}

/* UTF-8 is known only after the parameters, which come after the path: look ahead. */
static bool says_utf8(struct kurir_str args)
{
	ssize_t at = kurir_str_find_last(args, '>');
	struct wish w = { 0 };

	if (at < 0)
		return false;
	return take_params(kurir_str_part(args, (size_t)at + 1, args.len), &w) == 0 && w.utf8;
}

KURIR_PARKS static void begin(struct smtp *s, const struct kurir_tx_params *p)
{
	struct kurir_answer a;
	int v = smtp_check_sender(s, p->sender, &a);

	if (v < 0) {
		smtp_refused(s, v == -EACCES ? KURIR_REJECT : KURIR_DEFER, &a);
		return;
	}
	v = kurir_tx_mail(s->conn, p, &s->tx, &a);
	if (v != KURIR_ACCEPT && v != KURIR_DISCARD) {
		s->tx = NULL;
		smtp_refused(s, v, &a);
		return;
	}
	kurir_count(s->self, COUNT_MAIL, 1);
	s->tx_flags = p->flags;
	smtp_set_state(s, IN_MAIL);
	smtp_answer(s, &a);
}

KURIR_PARKS void smtp_mail(struct smtp *s, struct kurir_str args)
{
	struct kurir_tx_params p = { .trusted = s->trusted || s->authenticated };
	struct wish w = { 0 };
	int r;

	if (not_yet(s))
		return;
	if (!kurir_str_starts_nocase(args, KURIR_STR("FROM:"))) {
		smtp_error(s, 501, "5.5.4", "MAIL FROM:<address>, please");
		return;
	}
	args = kurir_str_part(args, 5, args.len);
	while (args.len > 0 && args.ptr[0] == ' ')
		args = kurir_str_part(args, 1, args.len);
	r = smtp_path(
	    &args, PATH_NULL | (says_utf8(args) ? PATH_UTF8 : 0u), kurir_scratch(), &p.sender);
	if (r == -EILSEQ)
		smtp_error(s, 553, "5.6.7", "That address needs SMTPUTF8");
	else if (r < 0)
		smtp_error(s, 501, "5.1.7",
		    r == -EMSGSIZE ? "Sender address too long" : "Bad sender address");
	if (r < 0)
		return;
	r = take_params(args, &w);
	if (r == 0)
		r = check_params(s, &w, &p.flags);
	p.envid = w.has_envid ? w.envid : KURIR_STR("");
	if (r == -EOPNOTSUPP)
		smtp_error(s, 555, "5.5.4", "Unknown parameter");
	else if (r == -EFBIG) {
		kurir_count(s->self, COUNT_TOO_BIG, 1);
		smtp_error(s, 552, "5.3.4", "Message too big");
	} else if (r < 0)
		smtp_error(s, 501, "5.5.4", "Bad parameter");
	else
		begin(s, &p);
}
