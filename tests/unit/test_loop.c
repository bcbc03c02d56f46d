/* test_loop.c - the clock, descriptors with stale events, tasks, waiting for a descriptor. */
#include "loop_unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void body_clock(void *arg)
{
	kurir_time start = kurir_now();
	int64_t date = kurir_wallclock();
	(void)arg;
	CHECK_IS(kurir_sleep(start + 86400000), 0);
	CHECK_IS(kurir_now(), start + 86400000);
	CHECK_IS(kurir_wallclock(), date + 86400000);
	loop_set_wallclock(1000);
	CHECK_IS(kurir_wallclock(), 1000);
	CHECK_IS(kurir_sleep(start), 0); /* the past: at once */
	CHECK_IS(kurir_now(), start + 86400000);
	/* An early wake leaves no timer behind that moves the clock later. */
	CHECK_IS(kurir_yield(), 0);
}

static kurir_time fired[3];
static unsigned fires;

static void fire(struct loop_timer *t)
{
	(void)t;
	fired[fires++] = kurir_now();
}

static void advances(void **state)
{
	struct loop_timer a = { 0 }, b = { 0 }, c = { 0 };
	(void)state;
	loop_init(true);
	kurir_time start = kurir_now();
	loop_timer_set(&b, start + 20, fire);
	loop_timer_set(&a, start + 10, fire);
	loop_timer_set(&c, start + 31, fire);
	loop_advance(30);
	assert_int_equal(kurir_now(), start + 30);
	assert_int_equal(fires, 2);
	assert_int_equal(fired[0], start + 10);
	assert_int_equal(fired[1], start + 20);
	loop_run(); /* ends with the last timer */
	assert_int_equal(fires, 3);
	assert_int_equal(kurir_now(), start + 31);
	loop_fini();
}

/* Two descriptors are ready in one batch; the first one called removes the other, closes it,
 * and a new one gets its number. */
struct pair {
	struct loop_fd fd;
	int far;
	unsigned called;
	struct pair *victim;
};
static struct pair fresh;

static void never(struct loop_fd *f, uint32_t events)
{
	(void)events;
	((struct pair *)f)->called++;
}

static void open_pair(struct pair *p, void (*ready)(struct loop_fd *, uint32_t))
{
	int fds[2];
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	p->fd = (struct loop_fd){ fds[0], ready };
	p->far = fds[1];
	assert_int_equal(loop_fd_add(&p->fd, EPOLLIN), 0);
}

static void close_pair(struct pair *p)
{
	loop_fd_remove(&p->fd);
	close(p->fd.fd);
	close(p->far);
}

static void kills(struct loop_fd *f, uint32_t events)
{
	struct pair *p = (struct pair *)f;
	(void)events;
	p->called++;
	if (p->victim->fd.fd < 0)
		return;
	p->victim->victim = NULL;
	int number = p->victim->fd.fd;
	close_pair(p->victim);
	p->victim->fd.fd = -1;
	open_pair(&fresh, never);
	assert_int_equal(fresh.fd.fd, number); /* the lowest free one */
}

static void stale_events(void **state)
{
	struct pair a = { 0 }, b = { 0 };
	(void)state;
	loop_init(false);
	open_pair(&a, kills);
	open_pair(&b, kills);
	a.victim = &b;
	b.victim = &a;
	assert_int_equal(write(a.far, "x", 1), 1);
	assert_int_equal(write(b.far, "x", 1), 1);
	for (int i = 0; i < 5; i++)
		loop_turn(0);
	assert_int_equal(a.called + b.called, 1);
	assert_int_equal(fresh.called, 0);
	close_pair(a.fd.fd < 0 ? &b : &a);
	close_pair(&fresh);
	loop_fini();
}

static unsigned ran;

static void task(struct loop_task *t)
{
	if (++ran < 3)
		loop_defer(t); /* for the next round, not for this one */
}

static void tasks(void **state)
{
	struct loop_task t = { .run = task };
	(void)state;
	loop_init(false);
	loop_defer(&t);
	loop_defer(&t);
	loop_turn(0);
	assert_int_equal(ran, 1);
	loop_turn(KURIR_FOREVER);
	loop_turn(KURIR_FOREVER);
	assert_int_equal(ran, 3);
	loop_fini();
}

static void writes_later(void *arg)
{
	kurir_sleep(kurir_now() + 20);
	CHECK_IS(write(*(int *)arg, "x", 1), 1);
}

static void waits_long(void *arg)
{
	CHECK_IS(loop_wait(*(int *)arg, POLLIN, KURIR_FOREVER), -ECANCELED);
}

static void body_wait(void *arg)
{
	int p[2];
	struct kurir_group *g = kurir_group_begin(NULL);
	(void)arg;
	CHECK_IS(pipe2(p, O_CLOEXEC), 0);
	CHECK_IS(loop_wait(p[1], POLLOUT, KURIR_FOREVER), 1);
	kurir_time start = kurir_now();
	CHECK_IS(loop_wait(p[0], POLLIN, start + 20), -ETIMEDOUT);
	CHECK(kurir_now() >= start + 20);
	kurir_group_go(g, "writes_later", writes_later, &p[1]);
	CHECK_IS(loop_wait(p[0], POLLIN, kurir_now() + 10000), 1);
	CHECK_IS(loop_wait(p[0], POLLIN, kurir_now() + 10000), 1); /* still there */
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	CHECK_IS(loop_wait(file, POLLIN, KURIR_FOREVER), 1);
	close(file);
	CHECK_IS(loop_wait(-1, POLLIN, KURIR_FOREVER), -EBADF);
	char c;
	CHECK_IS(read(p[0], &c, 1), 1);
	kurir_group_go(g, "waits_long", waits_long, &p[0]);
	kurir_yield();
	kurir_group_end(g);
	close(p[0]);
	close(p[1]);
}

static void on_fibers(void **state)
{
	(void)state;
	run_on_loop(true, body_clock, NULL);
	run_on_loop(false, body_wait, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(advances),
		cmocka_unit_test(stale_events),
		cmocka_unit_test(tasks),
		cmocka_unit_test(on_fibers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
