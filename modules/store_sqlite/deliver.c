/* deliver.c - the transport "local": jobs of the queue into mailboxes. */
#include "sqlite.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The same for the same message and recipient, whenever it is tried. */
KURIR_PARKS static int deliver(struct kurir_self *self, const struct kurir_job *job,
    const struct kurir_body *body, const struct kurir_recipient *to)
{
	struct kurir_str id = kurir_format(
	    kurir_scratch(), "%.*s %.*s", KURIR_ARG(job->envelope.id), KURIR_ARG(to->address));
	struct kurir_str reply;
	struct kurir_buf b;
	int r;

	sqlite_begin(&b, SQLITE_OP_DELIVER, job->destination, KURIR_STR("INBOX"));
	kurir_put_text(&b, id);
	kurir_put_text(&b, job->envelope.id);
	kurir_put_u64(&b, body->offset);
	r = kurir_put_u64(&b, body->length);
	if (r < 0) {
		kurir_buf_free(&b);
		return r;
	}
	return sqlite_ask(
	    self, job->destination, &b, body->fd, kurir_now() + 300000, kurir_scratch(), &reply);
}

/* What a failed delivery means for the queue. */
static struct kurir_result verdict(struct kurir_str account, int r)
{
	static const struct {
		int error;
		const char *xyz, *text;
	} known[] = {
		{ -ENOSPC, "4.3.1", "the mail system's disk is full" },
		{ -EDQUOT, "4.2.2", "the mailbox is full" },
	};
	struct kurir_result result = { .remote = account,
		.xyz = KURIR_STR("4.3.0"),
		.code = 450,
		.fate = KURIR_FATE_DEFERRED };

	if (r >= 0)
		return (struct kurir_result){ .fate = KURIR_FATE_DELIVERED,
			.code = 250,
			.xyz = KURIR_STR("2.1.5"),
			.text = KURIR_STR("delivered to the mailbox"),
			.remote = account };
	result.text = kurir_format(kurir_scratch(), "cannot write the mailbox: %s", strerror(-r));
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (r == known[i].error) {
			result.xyz = kurir_str_of(known[i].xyz);
			result.text = kurir_str_of(known[i].text);
		}
	return result;
}

KURIR_PARKS static int deliver_all(
    struct kurir_self *self, const struct kurir_job *job, struct kurir_buf *reply)
{
	size_t n = job->envelope.count;
	struct kurir_result *results = kurir_alloc(kurir_scratch(), (n + 1) * sizeof(*results));
	struct kurir_self *owner;
	const struct kurir_queue_ops *queue = kurir_service_find("queue", NULL, &owner);
	struct kurir_body body = { .fd = -1 };
	int opened = queue != NULL ? queue->open(owner, job->ref, &body) : -ENOENT, r = 0;

	for (size_t i = 0; i < n && r != -ECANCELED; i++) {
		r = opened < 0 ? -EIO : deliver(self, job, &body, &job->envelope.recipients[i]);
		if (r < 0 && r != -ECANCELED)
			kurir_log(self, KURIR_WARN, r, "cannot deliver %.*s to %.*s",
			    KURIR_ARG(job->envelope.id), KURIR_ARG(job->destination));
		kurir_count(
		    self, (unsigned)(r < 0 ? SQLITE_DELIVERY_FAILED : SQLITE_DELIVERED), 1);
		results[i] = verdict(job->destination, r);
	}
	if (body.fd >= 0)
		close(body.fd);
	return r == -ECANCELED ? r : kurir_put_results(reply, results, n);
}

KURIR_PARKS int sqlite_transport(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct kurir_reader reader = KURIR_READER(in->body);
	struct kurir_job job = { .attempt = 0 };
	int r = kurir_get_job(&reader, kurir_scratch(), &job);

	return r < 0 ? r : deliver_all(self, &job, reply);
}
