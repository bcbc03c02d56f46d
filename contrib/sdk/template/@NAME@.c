/* @NAME@.c - refuses what some senders say. */
#include <kurir/smtp.h>

/* Of each instance: what the administrator wrote, read-only. */
struct conf {
	struct kurir_texts refuse;
};

enum { COUNT_REFUSED };
static const char *const counters[] = { "refused", NULL };

static const struct kurir_option options[] = {
	KURIR_OPT_TEXTS("refuse", struct conf, refuse, "", "Senders that are refused."),
	{ 0 },
};

/* MAIL FROM came.  It may wait, ask the DNS, dial out: the session waits, the server does not. */
KURIR_PARKS static int mail(struct kurir_self *self, struct kurir_tx *tx, struct kurir_str sender)
{
	const struct conf *conf = kurir_conf(self);

	for (size_t i = 0; i < conf->refuse.count; i++) {
		if (!kurir_str_equal_nocase(sender, conf->refuse.items[i]))
			continue;
		kurir_count(self, COUNT_REFUSED, 1);
		(void)kurir_reply(kurir_tx_conn(tx), 550, "5.7.1", "You are not welcome");
		return KURIR_REJECT;
	}
	return KURIR_NEXT;
}

static const struct kurir_smtp_hooks hooks = { .size = sizeof(hooks), .mail = mail };

KURIR_MODULE(@NAME@, .version = "0.1", .summary = "Refuses some senders",
    .roles = KURIR_ROLE_EDGE, .conf_size = sizeof(struct conf), .options = options,
    .counters = counters, .smtp = &hooks);
