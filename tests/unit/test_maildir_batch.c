/* test_maildir_batch.c - deliveries that share a batch, and what becomes of them when the fiber
 * that should write it is being ended. */
#include "loop_unit.h"

#include <modules/store_maildir/maildir.h>
#include <modules/store_maildir/maildir_private.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <instance_private.h>

static struct maildir_conf conf;
static struct module module = { .m = { .size = sizeof(struct kurir_module),
				    .name = "store_maildir",
				    .self_size = sizeof(struct maildir_self) },
	.caps = UINT32_MAX };
static struct kurir_self *self;

struct delivery {
	const char *name;
	int result;
	bool finished;
	struct fiber *fiber;
	struct delivery *then_end; /* is ended when this one is done */
};

KURIR_PARKS static void deliver(void *arg)
{
	struct delivery *d = arg;
	struct maildir_file *f = kurir_alloc(kurir_scratch(), sizeof(*f));

	(void)snprintf(f->account, sizeof(f->account), "%s/d/u", conf.root.ptr);
	memcpy(f->mailbox, f->account, sizeof(f->mailbox));
	(void)snprintf(f->name, sizeof(f->name), "%s", d->name);
	f->fd = memfd_create("message", MFD_CLOEXEC);
	CHECK_IS(write(f->fd, "x\r\n", 3), 3);
	f->length = 3;
	d->result = maildir_pending_write(self, f, KURIR_STR(""), f);
	if (d->result == 0)
		d->result = f->result;
	d->finished = true;
	if (d->then_end && !d->then_end->finished)
		fiber_cancel(d->then_end->fiber);
}

static void go(struct kurir_group *g, struct delivery *d)
{
	CHECK_IS(fiber_start(g, "deliver", deliver, d, &d->fiber), 0);
}

static bool delivered(const char *name)
{
	char folder[100];
	bool found = false;
	DIR *d;
	struct dirent *e;

	(void)snprintf(folder, sizeof(folder), "%s/d/u/new", conf.root.ptr);
	d = opendir(folder);
	while (d && (e = readdir(d)) != NULL)
		found |= strncmp(e->d_name, name, strlen(name)) == 0;
	if (d)
		closedir(d);
	return found;
}

static void body(void *arg)
{
	struct maildir_self *m;
	struct kurir_group *g = kurir_group_begin(NULL);
	struct delivery ended = { .name = "ended" }, last = { .name = "last" };
	struct delivery first = { .name = "first", .then_end = &ended },
			second = { .name = "second", .then_end = &ended };
	struct delivery at_once = { .name = "at-once" };

	(void)arg;
	self = instance_new(&module, "store_maildir", &conf);
	m = kurir_state(self);
	m->queue_end = &m->queue;
	m->signal = kurir_signal_new(kurir_self_arena(self));
	/* Two batches are under way; two more deliveries wait for the end of either. */
	go(g, &first);
	go(g, &second);
	go(g, &ended);
	go(g, &last);
	CHECK_IS(kurir_group_wait(g, kurir_now() + 10000), 0);
	CHECK_IS(first.result, 0);
	CHECK_IS(second.result, 0);
	CHECK_IS(ended.result, -ECANCELED);
	CHECK(!delivered("ended"));
	CHECK_IS(last.result, 0);
	CHECK(delivered("last"));
	/* Ended before it began. */
	go(g, &at_once);
	fiber_cancel(at_once.fiber);
	CHECK_IS(kurir_group_wait(g, kurir_now() + 10000), 0);
	CHECK_IS(at_once.result, -ECANCELED);
	CHECK(!delivered("at-once"));
	kurir_group_end(g);
	CHECK(m->queue == NULL && m->batches == 0);
}

static void leader_ended(void **state)
{
	static char root[] = "/tmp/kurir-batch-XXXXXX";
	char clean[100];

	(void)state;
	assert_non_null(mkdtemp(root));
	conf.root = kurir_str_of(root);
	run_on_loop(false, body, NULL);
	instance_reset();
	(void)snprintf(clean, sizeof(clean), "rm -r %s", root);
	assert_int_equal(system(clean), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(leader_ended) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
