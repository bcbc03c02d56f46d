/* test_torture.c - every wait fails in turn, while processes call each other and sessions move.
 * The n-th parking call of anybody is cancelled or times out, n = 1, 2, ... until there is no n-th
 * one.  Whatever fails then: nothing hangs, and no fiber, call, connection or descriptor is left. */
#include "loop_unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <auth.h>
#include <call.h>
#include <channel.h>
#include <conn.h>
#include <instance_private.h>
#include <role.h>
#include <stream.h>

#define SOON	   (kurir_now() + 10000)
#define S(lit)	   KURIR_STR(lit)
#define TURNS_MAX  100000
#define POINTS_MIN 25

static struct channel *ours, *theirs;
static unsigned good; /* parts of the story that went well */

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* What its body was, after work in a helper thread and a rest. */
KURIR_PARKS static int echo(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	int r = kurir_offload(nothing, NULL, KURIR_FOREVER);

	if (r >= 0)
		r = kurir_sleep(kurir_now() + 5);
	return r < 0 ? r : kurir_buf_add(reply, in->body);
}

KURIR_PARKS static void resume(
    struct kurir_self *self, struct kurir_conn *c, struct kurir_str state)
{
	struct kurir_stream *s = kurir_conn_stream(c);
	struct kurir_str line;

	(void)self;
	(void)state;
	while (kurir_readline(s, 100, &line, SOON) == 1)
		if (kurir_printf(s, "again: %.*s", KURIR_ARG(line)) < 0 ||
		    kurir_flush(s, SOON) < 0)
			break;
}

static const struct kurir_protocol_ops ops = { .size = sizeof(ops), .resume = resume };
static const struct kurir_service services[] = {
	{ .kind = "protocol", .name = "test", .ops = &ops }, { 0 }
};
static struct module module = {
	.m = { .size = sizeof(struct kurir_module), .name = "test", .services = services }
};

/* The story: calls that are larger than what the channel holds, and one with a descriptor. */
KURIR_PARKS static void caller(void *arg)
{
	static const char big[300000] = "x";
	int fd = arg == NULL ? -1 : memfd_create("file", MFD_CLOEXEC);
	struct kurir_request q = { .endpoint = "echo", .body = { big, sizeof(big) }, .fd = fd };
	struct kurir_str reply;

	good +=
	    kurir_call(NULL, &q, SOON, kurir_scratch(), &reply) == 0 && reply.len == sizeof(big);
	if (fd >= 0)
		(void)close(fd);
}

KURIR_PARKS static void edge(void *arg)
{
	struct conn_origin from = { .protocol = S("test") };
	struct kurir_conn *c = conn_new(arg, &from, S(""));
	struct kurir_str ticket, line;

	kurir_conn_set_account(c, S("hyd@satu.example"));
	if (kurir_readline(c->stream, 100, &line, SOON) == 1 &&
	    ticket_issue(kurir_scratch(), 0, S("hyd@satu.example"), S("test"), &ticket) == 0)
		(void)kurir_conn_handover(c, ticket, S(""), SOON);
	conn_free(c);
}

/* Logs in, says something, hears it, goes. */
KURIR_PARKS static void client(void *arg)
{
	struct kurir_stream *s = arg;
	struct kurir_str line;

	(void)kurir_write(s, S("login\n"));
	(void)kurir_flush(s, SOON);
	(void)kurir_write(s, S("hello\n"));
	if (kurir_flush(s, SOON) == 0 && kurir_readline(s, 100, &line, SOON) == 1)
		good += kurir_str_equal(line, S("again: hello\n"));
	kurir_close(s);
}

/* The other process dies after so many steps of the rest. */
KURIR_PARKS static void killer(void *arg)
{
	for (uintptr_t i = 0; i < (uintptr_t)arg; i++)
		if ((i % 10 == 9 ? kurir_sleep(kurir_now() + 1) : kurir_yield()) < 0)
			break;
	channel_free(theirs);
	theirs = NULL;
}

static void go(void (*fn)(void *), void *arg)
{
	assert_int_equal(kurir_group_go(fiber_group_root(), "torture", fn, arg), 0);
}

static void begin(void)
{
	struct kurir_stream *a, *b;
	int pair[2];

	loop_init(true);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ours = channel_new(pair[0], "ours");
	theirs = channel_new(pair[1], "theirs");
	channel_book_set(KURIR_ROLE_QUEUE, 0, 1, ours);
	channel_book_set(KURIR_ROLE_AUTH, 0, 1, ours);
	channel_book_set(KURIR_ROLE_ACCESS, 0, 1, ours);
	channel_serve("echo", KURIR_ROLE_QUEUE, echo, NULL);
	auth_serve();
	handover_serve();
	(void)instance_new(&module, "test", NULL);
	good = 0;
	for (uintptr_t i = 0; i < 6; i++)
		go(caller, (void *)(i & 1));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(kurir_stream_of(pair[0], &a), 0);
	assert_int_equal(kurir_stream_of(pair[1], &b), 0);
	go(edge, a);
	go(client, b);
	/* As with TLS: the edge carries the bytes. */
	assert_int_equal(kurir_stream_pair(&a, &b), 0);
	go(edge, a);
	go(client, b);
}

static void end(void)
{
	for (unsigned turns = 0; fiber_census().running > 0; turns++) {
		loop_turn(kurir_now() + 60000);
		if (turns == TURNS_MAX)
			fail_msg("fibers that do not end: %u", fiber_census().running);
	}
	assert_int_equal(call_busy(), 0);
	assert_int_equal(call_waiting(), 0);
	assert_int_equal(conn_count(), 0);
	channel_free(ours);
	channel_free(theirs);
	loop_turn(kurir_now());
	call_reset();
	instance_reset();
	loop_fini();
}

static unsigned descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n;
}

static void every_wait(int err)
{
	unsigned n = 0, left = 0, before = 0;

	while (left == 0) {
		begin();
		(void)fiber_fail_park(++n, err);
		end();
		left = fiber_fail_park(0, 0);
		if (n == 1)
			before = descriptors();
		assert_int_equal(descriptors(), before);
	}
	assert_int_equal(good, 8);
	assert_in_range(n, POINTS_MIN, 10000);
}

static void canceled(void **state)
{
	(void)state;
	every_wait(-ECANCELED);
}

static void late(void **state)
{
	(void)state;
	every_wait(-ETIMEDOUT);
	good = 0;
}

static void killed(void **state)
{
	unsigned before = 0;

	(void)state;
	for (uintptr_t n = 0; good < 8; n++) {
		begin();
		go(killer, (void *)n);
		end();
		if (n == 0)
			before = descriptors();
		assert_int_equal(descriptors(), before);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(canceled), cmocka_unit_test(late),
		cmocka_unit_test(killed) };

	(void)alarm(300);
	role_set(KURIR_ROLE_EDGE | KURIR_ROLE_QUEUE | KURIR_ROLE_AUTH | KURIR_ROLE_ACCESS, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
