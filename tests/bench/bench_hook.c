/* bench_hook.c - what a pipeline costs: one point without a hook, and with some that say nothing.
 * Prints one figure a line.  Not a test: no figure fails. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <kurir/stream.h>

#include "chain.h"
#include "conn.h"
#include "hook.h"
#include "instance_private.h"
#include "loop.h"
#include "tx.h"

#define CALLS 2000000

static int helo(struct kurir_self *self, struct kurir_conn *conn, struct kurir_str name)
{
	(void)self;
	(void)conn;
	(void)name;
	return KURIR_NEXT;
}

static const struct kurir_smtp_hooks hooks = { .size = sizeof(hooks), .helo = helo };
static struct module module = {
	.m = { .size = sizeof(struct kurir_module), .name = "nothing", .smtp = &hooks }
};

/* Of processor time, as other work on the machine is not what is measured. */
static double seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Nanoseconds of one point, of the quickest of some rounds. */
static double point(const char *pipeline)
{
	struct conn_origin from = { .peer = KURIR_STR("192.0.2.1"),
		.local = KURIR_STR(""),
		.listener = KURIR_STR("mx"),
		.protocol = KURIR_STR("smtp"),
		.pipeline = kurir_str_of(pipeline) };
	struct kurir_stream *a, *b;
	struct kurir_answer answer;
	struct kurir_conn *conn;
	double best = 1e9;

	if (kurir_stream_pair(&a, &b) < 0)
		abort();
	conn = conn_new(a, &from, KURIR_STR("id"));
	for (unsigned round = 0; round < 5; round++) {
		double start = seconds(), spent;

		for (unsigned i = 0; i < CALLS; i++)
			if (kurir_session_helo(conn, KURIR_STR("x"), &answer) != KURIR_ACCEPT)
				abort();
		spent = (seconds() - start) * 1e9 / CALLS;
		best = spent < best ? spent : best;
	}
	conn_drop(conn);
	kurir_close(b);
	return best;
}

static double counting(void)
{
	struct hook *h = hook_of(instance_list, CHAIN_DATA);
	uint64_t last = hook_clock(), now;
	double start = seconds();

	for (unsigned i = 0; i < CALLS; i++) {
		now = hook_clock();
		hook_note(h, KURIR_NEXT, now - last);
		last = now;
	}
	return (seconds() - start) * 1e9 / CALLS;
}

static void bench(void *arg)
{
	double none = point("none"), one = point("one"), ten = point("ten");

	(void)arg;
	fprintf(stdout, "%-44s %8.1f ns\n", "a point without a hook, with its answer", none);
	fprintf(stdout, "%-44s %8.1f ns\n", "the first hook that says nothing", one - none);
	fprintf(stdout, "%-44s %8.1f ns\n", "each of nine more", (ten - one) / 9);
	fprintf(stdout, "%-44s %8.1f ns\n", "counting of that", counting());
	loop_stop();
}

int main(void)
{
	static const char names[10][2] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j" };
	struct kurir_str list[10];
	size_t missing;

	loop_init(false);
	for (unsigned i = 0; i < 10; i++) {
		struct kurir_self *self = instance_new(&module, names[i], NULL);

		self->deadline = 30000; /* as it is preset */
		list[i] = kurir_str_of(names[i]);
	}
	if (chain_add(KURIR_STR("none"), list, 0, &missing) < 0 ||
	    chain_add(KURIR_STR("one"), list, 1, &missing) < 0 ||
	    chain_add(KURIR_STR("ten"), list, 10, &missing) < 0)
		return 1;
	(void)kurir_group_go(kurir_group_begin(NULL), "bench", bench, NULL);
	loop_run();
	loop_fini();
	return 0;
}
