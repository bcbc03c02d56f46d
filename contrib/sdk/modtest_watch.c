/* modtest_watch.c - between the core and the hooks of the module that is tested.
 *
 * What a hook returns is a verdict or an error, nothing else; done and closed, which are not marked
 * KURIR_PARKS, do not wait. */
#include "modtest.h"

#include "fiber.h"
#include "scenario/runner.h"

#include <kurir/smtp.h>

#include <limits.h>
#include <string.h>

#define ERRORS 4095 /* -errno is not below that */

static struct kurir_smtp_hooks theirs;

static int checked(const char *hook, int r)
{
	if (r < -ERRORS || r > KURIR_HANGUP)
		run_fail("%s returned %d, which is no verdict and no error", hook, r);
	return r;
}

KURIR_PARKS static int on_connect(struct kurir_self *self, struct kurir_conn *conn)
{
	return checked("connect", theirs.connect(self, conn));
}

KURIR_PARKS static int on_helo(
    struct kurir_self *self, struct kurir_conn *conn, struct kurir_str name)
{
	return checked("helo", theirs.helo(self, conn, name));
}

KURIR_PARKS static int on_auth(
    struct kurir_self *self, struct kurir_conn *conn, struct kurir_str account)
{
	return checked("auth", theirs.auth(self, conn, account));
}

KURIR_PARKS static int on_mail(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_str sender)
{
	return checked("mail", theirs.mail(self, tx, sender));
}

KURIR_PARKS static int on_rcpt(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_rcpt *rcpt)
{
	return checked("rcpt", theirs.rcpt(self, tx, rcpt));
}

KURIR_PARKS static int on_data(struct kurir_self *self, struct kurir_tx *tx)
{
	return checked("data", theirs.data(self, tx));
}

KURIR_PARKS static int on_filter(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream **body)
{
	int r = theirs.filter(self, tx, body);

	if (r > 0)
		run_fail("filter returned %d: 0 or -errno", r);
	return checked("filter", r);
}

KURIR_PARKS static int on_message(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream *body)
{
	return checked("message", theirs.message(self, tx, body));
}

/* How often anybody has waited since watch_begin(): counted by what else lets a wait fail. */
static void watch_begin(void)
{
	if (!run.tortured)
		(void)fiber_fail_park(UINT_MAX, 0);
}

static void watch_end(const char *hook)
{
	if (!run.tortured && fiber_fail_park(0, 0) != UINT_MAX)
		run_fail("%s has waited, which it must not", hook);
}

static void on_done(struct kurir_self *self, struct kurir_tx *tx, int verdict)
{
	watch_begin();
	theirs.done(self, tx, verdict);
	watch_end("done");
}

static void on_closed(struct kurir_self *self, struct kurir_conn *conn)
{
	watch_begin();
	theirs.closed(self, conn);
	watch_end("closed");
}

void modtest_watch(struct kurir_module *m)
{
	static struct kurir_smtp_hooks ours;

	if (m->smtp == NULL)
		return;
	memcpy(&theirs, m->smtp, m->smtp->size < sizeof(theirs) ? m->smtp->size : sizeof(theirs));
	ours = (struct kurir_smtp_hooks){ .size = sizeof(ours),
		.connect = theirs.connect != NULL ? on_connect : NULL,
		.helo = theirs.helo != NULL ? on_helo : NULL,
		.auth = theirs.auth != NULL ? on_auth : NULL,
		.mail = theirs.mail != NULL ? on_mail : NULL,
		.rcpt = theirs.rcpt != NULL ? on_rcpt : NULL,
		.data = theirs.data != NULL ? on_data : NULL,
		.filter = theirs.filter != NULL ? on_filter : NULL,
		.message = theirs.message != NULL ? on_message : NULL,
		.done = theirs.done != NULL ? on_done : NULL,
		.closed = theirs.closed != NULL ? on_closed : NULL };
	m->smtp = &ours;
}
