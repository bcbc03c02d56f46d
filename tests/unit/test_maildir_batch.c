/* test_maildir_batch.c - deliveries that share a batch, and what becomes of them when the fiber
 * that should write it is being ended. */
#include "loop_unit.h"

#include <modules/store_maildir/maildir.h>
#include <modules/store_maildir/maildir_private.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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

static unsigned files_in(const char *folder)
{
	char path[100];
	unsigned n = 0;
	struct dirent *e;
	DIR *d;

	(void)snprintf(path, sizeof(path), "%s/d/u/%s", conf.root.ptr, folder);
	d = opendir(path);
	while (d && (e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

/* One message for two aliases of a mailbox: one file, and both are told that it is there.  What a
 * crash left in tmp under that name is in nobody's way. */
static void twins(void **state)
{
	static char root[] = "/tmp/kurir-twins-XXXXXX";
	struct maildir_file f[3] = { { .result = 1 }, { .result = 1 }, { .result = 1 } };
	struct maildir_file *all[] = { &f[0], &f[1], &f[2] };
	char path[200];

	(void)state;
	assert_non_null(mkdtemp(root));
	conf.root = kurir_str_of(root);
	for (int i = 0; i < 3; i++) {
		(void)snprintf(f[i].account, sizeof(f[i].account), "%s/d/u", root);
		memcpy(f[i].mailbox, f[i].account, sizeof(f[i].mailbox));
		(void)snprintf(f[i].name, sizeof(f[i].name), i == 1 ? "other" : "twin");
		f[i].head = "X: y\n";
		f[i].head_len = 5;
		f[i].fd = memfd_create("message", MFD_CLOEXEC);
		assert_int_equal(write(f[i].fd, "x\r\n", 3), 3);
		f[i].length = 3;
	}
	assert_int_equal(maildir_make(root, f[0].account), 0);
	(void)snprintf(path, sizeof(path), "%s/d/u/tmp/twin", root);
	int left = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(left, "half a message of long ago", 26), 26);
	close(left);
	maildir_files_write(root, all, 3);
	for (int i = 0; i < 3; i++) {
		struct stat st;

		close(f[i].fd);
		assert_int_equal(f[i].result, 0);
		(void)snprintf(path, sizeof(path), "%s/d/u/new/%s", root, f[i].made);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, 7);
	}
	assert_int_equal(files_in("new"), 2);
	assert_int_equal(files_in("tmp"), 0);
	(void)snprintf(path, sizeof(path), "rm -r %s", root);
	assert_int_equal(system(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(leader_ended),
		cmocka_unit_test(twins) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
