/* test_offload.c - helper threads: results, more jobs than threads, deadlines and cancellation. */
#include "loop_unit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <offload.h>

static pthread_t loop_thread;
static unsigned done;

static int job(void *arg)
{
	sigset_t now;
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	if (pthread_equal(pthread_self(), loop_thread) || !sigismember(&now, SIGTERM))
		return -1;
	return *(int *)arg + 1;
}

static void one(void *arg)
{
	int n = (int)(intptr_t)arg;
	CHECK_IS(kurir_offload(job, &n, KURIR_FOREVER), n + 1);
	done++;
}

static void body_many(void *arg)
{
	struct kurir_group *g = kurir_group_begin(NULL);
	(void)arg;
	done = 0;
	for (intptr_t i = 0; i < 500; i++)
		CHECK_IS(kurir_group_go(g, "one", one, (void *)i), 0);
	CHECK_IS(kurir_group_wait(g, KURIR_FOREVER), 0);
	CHECK_IS(done, 500);
	CHECK_IS(offload_pending(), 0);
	kurir_group_end(g);
}

/* A job that ends when it is told to. */
struct held {
	int pipe[2], result;
	bool returned;
};

static int hold(void *arg)
{
	char c;
	return read(((struct held *)arg)->pipe[0], &c, 1) == 1 ? 42 : -1;
}

static void holds(void *arg)
{
	struct held *h = arg;
	h->result = kurir_offload(hold, h, KURIR_FOREVER);
	h->returned = true;
	CHECK_IS(kurir_offload(hold, h, KURIR_FOREVER), -ECANCELED);
}

static void ends_it(void *arg)
{
	struct held *h = arg;
	kurir_yield();
	kurir_yield();
	CHECK(!h->returned); /* cancelled, but its memory is in use */
	CHECK_IS(write(h->pipe[1], "x", 1), 1);
}

static void body_canceled(void *arg)
{
	struct held h = { .result = 0 };
	struct kurir_group *g = kurir_group_begin(NULL), *helper = kurir_group_begin(NULL);
	(void)arg;
	CHECK_IS(pipe(h.pipe), 0);
	kurir_group_go(g, "holds", holds, &h);
	kurir_yield();
	CHECK_IS(offload_pending(), 1);
	kurir_group_go(helper, "ends_it", ends_it, &h);
	kurir_group_end(g);
	CHECK(h.returned);
	CHECK_IS(h.result, -ECANCELED);
	kurir_group_end(helper);
	close(h.pipe[0]);
	close(h.pipe[1]);
}

static void body_late(void *arg)
{
	int n = 1;
	(void)arg;
	CHECK_IS(kurir_offload(job, &n, kurir_now() - 1), -ETIMEDOUT); /* not even begun */
	CHECK_IS(kurir_offload(job, &n, kurir_now() + 10000), 2);
}

static void bodies(void **state)
{
	(void)state;
	loop_thread = pthread_self();
	for (int virtual = 0; virtual < 2; virtual ++) {
		run_on_loop(virtual, body_many, NULL);
		run_on_loop(virtual, body_canceled, NULL);
		run_on_loop(virtual, body_late, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(bodies) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
