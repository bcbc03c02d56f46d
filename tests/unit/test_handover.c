/* test_handover.c - connections on their way from edge to access: tickets, what was read too
 * much, clients that vanish, and edges that are hostile. */
#include "loop_unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <auth.h>
#include <call.h>
#include <channel.h>
#include <conn.h>
#include <instance_private.h>
#include <listener.h>
#include <role.h>
#include <stream.h>

#define SOON   (kurir_now() + 10000)
#define S(lit) KURIR_STR(lit)

static unsigned resumed, ended;
static int pair[2];

/* Says back each line until its client goes. */
KURIR_PARKS static void resume(
    struct kurir_self *self, struct kurir_conn *c, struct kurir_str state)
{
	struct kurir_stream *s = kurir_conn_stream(c);
	struct kurir_str line;

	(void)self;
	resumed++;
	(void)kurir_printf(
	    s, "%.*s for %.*s\n", KURIR_ARG(state), KURIR_ARG(kurir_conn_account(c)));
	while (kurir_flush(s, SOON) == 0 && kurir_readline(s, 100, &line, SOON) == 1)
		(void)kurir_printf(s, "again: %.*s", KURIR_ARG(line));
	ended++;
}

static const struct kurir_protocol_ops ops = { .size = sizeof(ops), .resume = resume };
static const struct kurir_service services[] = {
	{ .kind = "protocol", .name = "test", .ops = &ops }, { 0 }
};
static struct module module = {
	.m = { .size = sizeof(struct kurir_module), .name = "test", .services = services }
};

static struct kurir_conn *edge_conn(struct kurir_stream *s)
{
	struct conn_origin from = { .protocol = S("test"), .peer = S("192.0.2.1") };
	struct kurir_conn *c = conn_new(s, &from, S(""));

	kurir_conn_set_account(c, S("hyd@satu.example"));
	return c;
}

static struct kurir_str ticket(const char *protocol)
{
	struct kurir_str t = S("");

	CHECK_IS(
	    ticket_issue(kurir_scratch(), 0, S("hyd@satu.example"), kurir_str_of(protocol), &t),
	    0);
	return t;
}

/* An edge connection over a socket, and its client. */
static struct kurir_conn *plain(struct kurir_stream **ret_client)
{
	struct kurir_stream *server;

	CHECK_IS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	CHECK_IS(kurir_stream_of(pair[0], &server), 0);
	CHECK_IS(kurir_stream_of(pair[1], ret_client), 0);
	return edge_conn(server);
}

KURIR_PARKS static void body_plain(void *arg)
{
	struct kurir_stream *client;
	struct kurir_conn *c = plain(&client);
	struct kurir_str line, t = ticket("test");

	(void)arg;
	CHECK_IS(kurir_write(client, S("login\nearly\n")), 0);
	CHECK_IS(kurir_flush(client, SOON), 0);
	CHECK_IS(kurir_readline(c->stream, 100, &line, SOON), 1);
	CHECK_IS(kurir_conn_handover(c, t, S("hello"), SOON), 0);
	conn_free(c);
	CHECK_IS(kurir_readline(client, 100, &line, SOON), 1);
	CHECK_STR(line, "hello for hyd@satu.example\n");
	CHECK_IS(kurir_readline(client, 100, &line, SOON), 1);
	CHECK_STR(line, "again: early\n");
	kurir_close(client);
	while (ended < 1)
		(void)kurir_sleep(kurir_now() + 1);
	/* Once, and for what it was made for; then the edge may go on. */
	c = plain(&client);
	CHECK_IS(kurir_conn_handover(c, t, S(""), SOON), -EACCES);
	CHECK_IS(kurir_conn_handover(c, ticket("other"), S(""), SOON), -EACCES);
	CHECK_IS(kurir_conn_handover(c, S("nonsense"), S(""), SOON), -EACCES);
	CHECK_IS(kurir_write(c->stream, S("no\n")), 0);
	conn_free(c);
	CHECK_IS(kurir_readline(client, 100, &line, SOON), 1);
	CHECK_STR(line, "no\n");
	CHECK_IS(resumed, 1);
	kurir_close(client);
}

/* As with TLS: the edge carries the bytes, and the client goes without a word. */
KURIR_PARKS static void carry(void *arg)
{
	struct kurir_conn *c = edge_conn(arg);

	CHECK_IS(kurir_conn_handover(c, ticket("test"), S("hello"), SOON), 0);
	conn_free(c);
}

KURIR_PARKS static void body_carried(void *arg)
{
	struct kurir_stream *client, *server;
	struct kurir_group *g = kurir_group_begin(NULL);
	struct kurir_str line;

	(void)arg;
	CHECK_IS(kurir_stream_pair(&client, &server), 0);
	CHECK_IS(kurir_group_go(g, "edge", carry, server), 0);
	CHECK_IS(kurir_readline(client, 100, &line, SOON), 1);
	CHECK_IS(kurir_write(client, S("one\n")), 0);
	CHECK_IS(kurir_flush(client, SOON), 0);
	CHECK_IS(kurir_readline(client, 100, &line, SOON), 1);
	CHECK_STR(line, "again: one\n");
	kurir_close(client);
	CHECK_IS(kurir_group_wait(g, kurir_now() + 5000), 0);
	CHECK_IS(ended, 1);
	kurir_group_end(g);
}

static KURIR_PARKS int never(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	(void)in;
	(void)reply;
	return kurir_sleep(KURIR_FOREVER);
}

/* Nobody knows whether access has it: nobody may go on with it. */
KURIR_PARKS static void body_doubtful(void *arg)
{
	struct kurir_stream *client;
	struct kurir_conn *c = plain(&client);
	struct kurir_str line;
	int access = dup(pair[0]); /* what access would have */

	(void)arg;
	channel_serve("ticket.redeem", KURIR_ROLE_AUTH, never, NULL);
	CHECK_IS(kurir_conn_handover(c, ticket("test"), S(""), kurir_now() + 20), -ETIMEDOUT);
	CHECK_IS(kurir_write(c->stream, S("later\n")), 0);
	conn_free(c);
	CHECK_IS(kurir_readline(client, 100, &line, kurir_now() + 2000), 1);
	CHECK_IS(kurir_readline(client, 100, &line, kurir_now() + 2000), 0);
	(void)close(access);
	kurir_close(client);
	while (call_busy() > 0)
		(void)kurir_sleep(kurir_now() + 1);
}

KURIR_PARKS static void thief(void *arg)
{
	char c;

	while (recv(*(int *)arg, &c, 1, MSG_DONTWAIT) != 1)
		if (kurir_yield() < 0)
			return;
	(void)write(pair[1], "b", 1);
}

/* A hostile edge makes the shared socket block, and takes away what was announced. */
KURIR_PARKS static void body_stranger(void *arg)
{
	static char big[1 << 20];
	struct kurir_group *g = kurir_group_begin(NULL);
	struct kurir_stream *s;
	int shared, file = memfd_create("file", MFD_CLOEXEC);
	char c = 0;

	(void)arg;
	CHECK_IS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	shared = dup(pair[0]);
	CHECK_IS(stream_of_stranger(pair[0], &s), 0);
	CHECK_IS(fcntl(shared, F_SETFL, 0), 0);
	CHECK_IS(kurir_group_go(g, "thief", thief, &shared), 0);
	(void)kurir_yield();
	CHECK_IS(write(pair[1], "a", 1), 1);
	CHECK_IS(kurir_read(s, &c, 1, SOON), 1);
	CHECK_IS(c, 'b');
	CHECK_IS(ftruncate(file, sizeof(big)), 0);
	CHECK_IS(kurir_send_file(s, file, 0, sizeof(big), kurir_now() + 20), -ETIMEDOUT);
	kurir_close(s);
	(void)close(pair[1]);
	CHECK_IS(fcntl(shared, F_SETFL, 0), 0);
	(void)close(shared);
	CHECK_IS(stream_of_stranger(file, &s), -ENOTSOCK);
	kurir_group_end(g);
}

static void over(void (*body)(void *))
{
	(void)alarm(60);
	resumed = ended = 0;
	auth_serve();
	handover_serve();
	(void)instance_new(&module, "test", NULL);
	run_on_loop(false, body, NULL);
	call_reset();
	instance_reset();
}

static void all(void **state)
{
	(void)state;
	over(body_plain);
	over(body_carried);
	over(body_doubtful);
	over(body_stranger);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(all) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
