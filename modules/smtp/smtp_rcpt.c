/* smtp_rcpt.c - RCPT: one more recipient.
 *
 * RFC 5321 4.1.1.3:  rcpt = "RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" /
 *                           Forward-path ) [SP Rcpt-parameters] CRLF
 * Parameters: NOTIFY ORCPT (RFC 3461).
 */
#include "smtp_private.h"

#include <errno.h>

static int take_params(struct kurir_str args, struct kurir_recipient *to)
{
	struct kurir_str key, value;
	bool notify = false, orcpt = false;
	int r;

	while ((r = smtp_param(&args, &key, &value)) == 1) {
		if (kurir_str_equal_nocase(key, KURIR_STR("NOTIFY"))) {
			if (notify || value.ptr == NULL || smtp_notify(value, &to->notify) < 0)
				return -EINVAL;
			notify = true;
		} else if (kurir_str_equal_nocase(key, KURIR_STR("ORCPT"))) {
			if (orcpt || value.ptr == NULL || !smtp_is_orcpt(value))
				return -EINVAL;
			to->orcpt = value;
			orcpt = true;
		} else {
			return -EOPNOTSUPP;
		}
	}
	return r;
}

/* 0 with *to filled, or the refusal was said. */
KURIR_PARKS static int parse(struct smtp *s, struct kurir_str args, struct kurir_recipient *to)
{
	unsigned allowed =
	    PATH_POSTMASTER | ((s->tx_flags & KURIR_ENV_UTF8) != 0 ? PATH_UTF8 : 0u);
	struct kurir_str host = kurir_hostname();
	int r;

	if (!kurir_str_starts_nocase(args, KURIR_STR("TO:"))) {
		smtp_error(s, 501, "5.5.4", "RCPT TO:<address>, please");
		return -EINVAL;
	}
	args = kurir_str_part(args, 3, args.len);
	while (args.len > 0 && args.ptr[0] == ' ')
		args = kurir_str_part(args, 1, args.len);
	r = smtp_path(&args, allowed, kurir_scratch(), &to->address);
	if (r == -EILSEQ)
		smtp_error(s, 553, "5.6.7", "That address needs SMTPUTF8");
	else if (r < 0)
		smtp_error(s, 501, "5.1.3",
		    r == -EMSGSIZE ? "Recipient address too long" : "Bad recipient address");
	if (r < 0)
		return r;
	if (kurir_str_find(to->address, '@') < 0)
		to->address = kurir_format(kurir_scratch(), "postmaster@%.*s", KURIR_ARG(host));
	r = take_params(args, to);
	if (r == -EOPNOTSUPP)
		smtp_error(s, 555, "5.5.4", "Unknown parameter");
	else if (r < 0)
		smtp_error(s, 501, "5.5.4", "Bad parameter");
	return r;
}

KURIR_PARKS void smtp_rcpt(struct smtp *s, struct kurir_str args)
{
	struct kurir_recipient to = { .orcpt = KURIR_STR("") };
	struct kurir_answer a;
	int v;

	if (parse(s, args, &to) < 0)
		return;
	if (s->accepted >= s->conf->recipients) {
		kurir_count(s->self, COUNT_LIMITS, 1);
		smtp_say(s, 452, "4.5.3", "Too many recipients");
		return;
	}
	v = kurir_tx_rcpt(s->tx, &to, &a);
	if (v != KURIR_ACCEPT && v != KURIR_DISCARD) {
		kurir_count(s->self, COUNT_RCPT_REFUSED, 1);
		smtp_refused(s, v, &a);
		return;
	}
	kurir_count(s->self, COUNT_RCPT, 1);
	s->accepted++;
	s->only_rcpt =
	    s->accepted == 1 ? kurir_copy(kurir_tx_arena(s->tx), to.address) : KURIR_STR("");
	smtp_set_state(s, IN_RCPT);
	smtp_answer(s, &a);
}
