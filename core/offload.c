/* offload.c - threads for what really blocks.
 * Up to eight, started when needed, all signals blocked in them.  A job lives on the stack of
 * the fiber that waits for it, so the wait is deaf to cancellation.  Finished jobs come back
 * as a list under a lock and one eventfd. */
#include "offload.h"

#include <kurir/module.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check.h"
#include "fiber.h"
#include "loop.h"

#define OFFLOAD_THREADS 8
#define OFFLOAD_STACK	(1u << 20) /* PAM modules are not frugal */

struct job {
	int (*fn)(void *);
	void *arg;
	int result;
	bool done; /* seen by the loop */
	struct fiber *fiber;
	struct job *next;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	struct job *first, **last;
	struct job *finished;
	unsigned threads, idle, waiting; /* waiting: jobs not yet taken */
	unsigned pending;		 /* the loop's own count */
	bool ending;
	pthread_t thread[OFFLOAD_THREADS];
	struct loop_fd event;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.wanted = PTHREAD_COND_INITIALIZER,
	.last = &pool.first,
	.event = { .fd = -1 } };

unsigned offload_pending(void)
{
	return pool.pending;
}

static void *thread_main(void *unused)
{
	const uint64_t one = 1;
	pthread_mutex_lock(&pool.lock);
	for (;;) {
		while (!pool.first && !pool.ending) {
			pool.idle++;
			pthread_cond_wait(&pool.wanted, &pool.lock);
			pool.idle--;
		}
		if (!pool.first)
			break;
		struct job *j = pool.first;
		pool.first = j->next;
		if (!pool.first)
			pool.last = &pool.first;
		pool.waiting--;
		pthread_mutex_unlock(&pool.lock);
		j->result = j->fn(j->arg);
		pthread_mutex_lock(&pool.lock);
		bool first = !pool.finished;
		j->next = pool.finished;
		pool.finished = j;
		if (first)
			while (write(pool.event.fd, &one, sizeof(one)) < 0 && errno == EINTR)
				;
	}
	pthread_mutex_unlock(&pool.lock);
	return unused;
}

/* On the loop: the eventfd says that a list of finished jobs is there. */
static void jobs_finished(struct loop_fd *f, uint32_t events)
{
	uint64_t n;
	(void)events;
	while (read(f->fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&pool.lock);
	struct job *j = pool.finished;
	pool.finished = NULL;
	pthread_mutex_unlock(&pool.lock);
	while (j) {
		struct job *next = j->next;
		pool.pending--;
		j->done = true;
		fiber_wake(j->fiber, 0);
		j = next;
	}
}

static bool thread_start(void)
{
	sigset_t all, before;
	pthread_attr_t attr;
	if (pool.event.fd < 0) {
		pool.event = (struct loop_fd){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			.ready = jobs_finished };
		if (pool.event.fd < 0)
			return false;
		if (loop_fd_add(&pool.event, EPOLLIN) < 0) {
			(void)close(pool.event.fd);
			pool.event.fd = -1;
			return false;
		}
	}
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, OFFLOAD_STACK);
	int r = pthread_create(&pool.thread[pool.threads], &attr, thread_main, NULL);
	(void)pthread_attr_destroy(&attr);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		pool.threads++;
	return r == 0;
}

KURIR_PARKS int kurir_offload(int (*fn)(void *), void *arg, kurir_time until)
{
	if (!fiber_self())
		return fn(arg);
	if (fiber_canceled())
		return -ECANCELED;
	if (kurir_now() >= until)
		return -ETIMEDOUT;
	struct job j = { .fn = fn, .arg = arg, .fiber = fiber_self() };
	pthread_mutex_lock(&pool.lock);
	bool busy = pool.waiting >= pool.idle;
	pthread_mutex_unlock(&pool.lock);
	if (busy && pool.threads < OFFLOAD_THREADS)
		(void)thread_start();
	if (!pool.threads)
		return fn(arg); /* slow, but right */
	pool.pending++;
	pthread_mutex_lock(&pool.lock);
	*pool.last = &j;
	pool.last = &j.next;
	pool.waiting++;
	pthread_cond_signal(&pool.wanted);
	pthread_mutex_unlock(&pool.lock);
	while (!j.done)
		(void)fiber_park_shielded();
	if (fiber_canceled())
		return -ECANCELED;
	return kurir_now() > until ? -ETIMEDOUT : j.result;
}

void offload_fini(void)
{
	kurir_assert(!pool.pending);
	if (pool.event.fd < 0)
		return;
	pthread_mutex_lock(&pool.lock);
	pool.ending = true;
	pthread_cond_broadcast(&pool.wanted);
	pthread_mutex_unlock(&pool.lock);
	for (unsigned i = 0; i < pool.threads; i++)
		(void)pthread_join(pool.thread[i], NULL);
	loop_fd_remove(&pool.event);
	(void)close(pool.event.fd);
	pool.event.fd = -1;
	pool.threads = pool.idle = 0;
	pool.ending = false;
}
