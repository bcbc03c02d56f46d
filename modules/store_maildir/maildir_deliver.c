/* maildir_deliver.c - the transport "local": jobs of the queue into mailboxes.
 *
 * Deliveries that come while others are being flushed wait and go together; a few batches run
 * at the same time.  A result is given only when the message is durable in its mailbox. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "maildir_private.h"

/* Pending deliveries live outside arenas: a cancelled call leaves them to the batch they are
 * in. */
enum pending_state { PENDING_QUEUED, PENDING_TAKEN, PENDING_DONE };
struct maildir_pending {
	struct maildir_file file;
	enum pending_state state;
	bool abandoned;
	char *head;
	struct maildir_pending *next;
};

static void pending_free(struct maildir_pending *p)
{
	if (p->file.fd >= 0)
		close(p->file.fd);
	free(p->head);
	free(p);
}

struct batch {
	const char *root;
	struct maildir_file *files[MAILDIR_BATCH];
	struct maildir_pending *pending[MAILDIR_BATCH];
	size_t count;
	bool written; /* or tried: the files have results */
};

static int write_batch(void *arg)
{
	struct batch *b = arg;

	maildir_files_write(b->root, b->files, b->count);
	b->written = true;
	return 0;
}

/* Nobody wrote it: it waits again, ahead of those that came later. */
static void batch_return(struct maildir_self *m, struct batch *b)
{
	for (size_t i = b->count; i-- > 0;) {
		struct maildir_pending *p = b->pending[i];

		p->state = PENDING_QUEUED;
		p->next = m->queue;
		if (!m->queue)
			m->queue_end = &p->next;
		m->queue = p;
	}
}

/* Takes what waits, writes it in a helper thread, and tells those who wait.  A fiber that is
 * being ended gets no helper thread: -ECANCELED, and another one has to write. */
KURIR_PARKS static int run_batch(struct kurir_self *self, struct maildir_self *m)
{
	struct batch *b = calloc(1, sizeof(*b));
	const struct maildir_conf *conf = kurir_conf(self);
	int r = 0;

	if (!b)
		abort();
	b->root = conf->root.ptr;
	while (m->queue && b->count < MAILDIR_BATCH) {
		struct maildir_pending *p = m->queue;

		m->queue = p->next;
		p->state = PENDING_TAKEN;
		b->files[b->count] = &p->file;
		b->pending[b->count++] = p;
	}
	if (!m->queue)
		m->queue_end = &m->queue;
	m->batches++;
	r = kurir_offload(write_batch, b, KURIR_FOREVER);
	m->batches--;
	if (b->written) {
		kurir_count(self, MAILDIR_BATCHES, 1);
		r = 0;
	} else {
		batch_return(m, b);
	}
	for (size_t i = 0; b->written && i < b->count; i++) {
		b->pending[i]->state = PENDING_DONE;
		if (b->pending[i]->abandoned)
			pending_free(b->pending[i]);
	}
	free(b);
	kurir_signal_raise(m->signal);
	return r;
}

static void unqueue(struct maildir_self *m, struct maildir_pending *p)
{
	struct maildir_pending **at = &m->queue;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	if (!*at)
		m->queue_end = at;
}

/* 0 once p is done (look at its result); -errno when the wait was cancelled, and p is gone. */
KURIR_PARKS static int wait_done(struct kurir_self *self, struct maildir_pending *p)
{
	struct maildir_self *m = kurir_state(self);
	int r = 0;

	p->next = NULL;
	*m->queue_end = p;
	m->queue_end = &p->next;
	while (p->state != PENDING_DONE && r >= 0) {
		if (p->state == PENDING_QUEUED && m->batches < MAILDIR_WRITERS)
			r = run_batch(self, m);
		else
			r = kurir_signal_wait(m->signal, KURIR_FOREVER);
	}
	if (r >= 0)
		return 0;
	if (p->state == PENDING_QUEUED) {
		unqueue(m, p);
		pending_free(p);
	} else if (p->state == PENDING_TAKEN) {
		p->abandoned = true;
	} else {
		return 0;
	}
	return r;
}

int maildir_pending_write(struct kurir_self *self, const struct maildir_file *file,
    struct kurir_str head, struct maildir_file *ret)
{
	struct maildir_pending *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		abort();
	p->file = *file;
	p->head = malloc(head.len + 1);
	if (!p->head)
		abort();
	memcpy(p->head, head.ptr, head.len);
	p->file.head = p->head;
	p->file.head_len = head.len;
	r = wait_done(self, p);
	if (r < 0)
		return r;
	r = p->file.result;
	*ret = p->file;
	pending_free(p);
	return r;
}

/* The name of a delivery: the same one for the same message and recipient, whenever it is
 * tried. */
static int name_delivery(
    struct maildir_file *f, const struct kurir_job *job, struct kurir_str rcpt)
{
	int n = snprintf(f->name, sizeof(f->name), "%lld.%.*s-%08x.%.*s",
	    (long long)(job->envelope.arrived / 1000), (int)(job->envelope.id.len % 64),
	    job->envelope.id.ptr, (unsigned)kurir_str_hash(rcpt),
	    (int)(kurir_hostname().len % 100), kurir_hostname().ptr);

	for (char *c = f->name; *c; c++)
		if (*c == '/' || *c == ':' || *c == ',')
			*c = '_';
	return n < 0 || (size_t)n >= sizeof(f->name) - 40 ? -ENAMETOOLONG : 0;
}

/* Takes the descriptor of the last recipient's body. */
KURIR_PARKS static int deliver(struct kurir_self *self, const struct kurir_job *job,
    struct kurir_body *body, const struct kurir_recipient *rcpt, bool last)
{
	const struct maildir_conf *conf = kurir_conf(self);
	struct maildir_self *m = kurir_state(self);
	struct maildir_file *f = kurir_alloc(kurir_scratch(), sizeof(*f));
	struct kurir_str head;
	int r = maildir_account_path(conf->root, job->destination, f->account);

	if (r < 0)
		return r;
	memcpy(f->mailbox, f->account, sizeof(f->mailbox));
	r = name_delivery(f, job, rcpt->address);
	if (r < 0)
		return r;
	f->fd = last ? body->fd : dup(body->fd);
	if (f->fd < 0)
		return -errno;
	if (last)
		body->fd = -1;
	f->offset = body->offset;
	f->length = body->length;
	f->may_be_there = job->attempt > 1 || job->envelope.arrived < m->started;
	head = kurir_format(kurir_scratch(), "Return-Path: <%.*s>\nDelivered-To: %.*s\n",
	    KURIR_ARG(job->envelope.sender), KURIR_ARG(rcpt->address));
	return maildir_pending_write(self, f, head, f);
}

/* What a failed delivery means for the queue. */
static struct kurir_result verdict(struct kurir_str account, int r)
{
	struct kurir_result result = { .remote = account,
		.xyz = KURIR_STR("4.3.0"),
		.code = 450,
		.fate = KURIR_FATE_DEFERRED };

	switch (r) {
	case 0:
		return (struct kurir_result){ .fate = KURIR_FATE_DELIVERED,
			.code = 250,
			.xyz = KURIR_STR("2.1.5"),
			.text = KURIR_STR("delivered to the mailbox"),
			.remote = account };
	case -EINVAL:
	case -ENAMETOOLONG:
		return (struct kurir_result){ .fate = KURIR_FATE_FAILED,
			.code = 550,
			.xyz = KURIR_STR("5.1.1"),
			.text = KURIR_STR("no such mailbox can exist"),
			.remote = account };
	case -ENOSPC:
		result.xyz = KURIR_STR("4.3.1");
		result.text = KURIR_STR("the mail system's disk is full");
		return result;
	case -EDQUOT:
		result.xyz = KURIR_STR("4.2.2");
		result.text = KURIR_STR("the mailbox is full");
		return result;
	}
	result.text = kurir_format(kurir_scratch(), "cannot write the mailbox: %s", strerror(-r));
	return result;
}

KURIR_PARKS static int deliver_all(
    struct kurir_self *self, const struct kurir_job *job, struct kurir_buf *reply)
{
	size_t n = job->envelope.count;
	struct kurir_result *results = kurir_alloc(kurir_scratch(), n * sizeof(*results));
	struct kurir_self *queue_self;
	const struct kurir_queue_ops *queue = kurir_service_find("queue", NULL, &queue_self);
	struct kurir_body body = { .fd = -1 };
	int r = queue ? queue->open(queue_self, job->ref, &body) : -ENOENT;

	for (size_t i = 0; i < n; i++) {
		const struct kurir_recipient *to = &job->envelope.recipients[i];
		int d = r < 0 ? -EIO : deliver(self, job, &body, to, i == n - 1);

		if (d == -ECANCELED)
			break;
		if (d < 0)
			kurir_log(self, KURIR_WARN, d, "cannot deliver %.*s to %.*s",
			    KURIR_ARG(job->envelope.id), KURIR_ARG(job->destination));
		kurir_count(self, d < 0 ? MAILDIR_DELIVERY_FAILED : MAILDIR_DELIVERED, 1);
		results[i] = verdict(job->destination, d);
		if (i == n - 1) {
			if (body.fd >= 0)
				close(body.fd);
			return kurir_put_results(reply, results, n);
		}
	}
	if (body.fd >= 0)
		close(body.fd);
	return n == 0 ? 0 : -ECANCELED;
}

KURIR_PARKS int maildir_transport(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct kurir_reader reader = KURIR_READER(in->body);
	struct kurir_job job = { .attempt = 0 };
	int r = kurir_get_job(&reader, kurir_scratch(), &job);

	return r < 0 ? r : deliver_all(self, &job, reply);
}
