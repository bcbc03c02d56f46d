/* archive.c - a copy of each message, as it was taken, goes to an address that keeps it: one
 * more recipient of the envelope.  Nobody sees that in the message, and the copy is queued, tried
 * again and explained as any other. */
#include <errno.h>
#include <kurir/session.h>
#include <kurir/smtp.h>

enum { COUNT_COPIED, COUNT_OTHERS };
static const char *const counters[] = { "copied", "others", NULL };

struct conf {
	struct kurir_str to;
	struct kurir_texts domains;
	bool incoming, outgoing;
};

static const struct kurir_option options[] = {
	KURIR_OPT_TEXT("to", struct conf, to, NULL, "The address that gets the copies."),
	KURIR_OPT_TEXTS("domains", struct conf, domains, "",
	    "Only mail from or to one of these domains; none: all mail."),
	KURIR_OPT_BOOL(
	    "incoming", struct conf, incoming, "true", "Whether mail of strangers is copied."),
	KURIR_OPT_BOOL("outgoing", struct conf, outgoing, "true",
	    "Whether mail of clients that have logged in or may relay is copied."),
	{ 0 },
};

static bool is_of(const struct conf *c, struct kurir_str address)
{
	ssize_t at = kurir_str_find_last(address, '@');
	struct kurir_str domain = kurir_str_part(address, (size_t)(at + 1), address.len);

	for (size_t i = 0; at >= 0 && i < c->domains.count; i++)
		if (kurir_str_equal_nocase(domain, c->domains.items[i]))
			return true;
	return false;
}

/* One that is for the archive already is there once. */
static bool is_wanted(const struct conf *c, struct kurir_tx *tx)
{
	bool of = c->domains.count == 0 || is_of(c, kurir_tx_sender(tx));

	if (kurir_tx_trusted(tx) ? !c->outgoing : !c->incoming)
		return false;
	for (size_t i = 0; i < kurir_tx_rcpt_count(tx); i++) {
		struct kurir_str to = kurir_rcpt_address(kurir_tx_rcpt_at(tx, i));

		if (kurir_str_equal_nocase(to, c->to))
			return false;
		of = of || is_of(c, to);
	}
	return of;
}

KURIR_PARKS static int at_message(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream *body)
{
	const struct conf *c = kurir_conf(self);
	int r;

	(void)body;
	if (!is_wanted(c, tx)) {
		kurir_count(self, COUNT_OTHERS, 1);
		return KURIR_NEXT;
	}
	r = kurir_rcpt_add(tx, c->to);
	if (r < 0)
		return r; /* what cannot be kept is not taken */
	kurir_count(self, COUNT_COPIED, 1);
	return KURIR_NEXT;
}

static int check(const void *conf, struct kurir_arena *arena, struct kurir_str *error)
{
	const struct conf *c = conf;
	ssize_t at = kurir_str_find_last(c->to, '@');

	if (at > 0 && (size_t)at + 1 < c->to.len)
		return 0;
	*error = kurir_format(arena, "to \"%.*s\" is no address", KURIR_ARG(c->to));
	return -EINVAL;
}

static const struct kurir_smtp_hooks hooks = { .size = sizeof(hooks), .message = at_message };

KURIR_MODULE(archive, .version = "1.0", .summary = "Sends a copy of each message to an archive",
    .roles = KURIR_ROLE_EDGE, .caps = KURIR_CAP_RCPT, .conf_size = sizeof(struct conf),
    .options = options, .counters = counters, .check = check, .smtp = &hooks);
