/* test_conn.c - connections, addresses, and how many each client has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bind.h"
#include "conn.h"
#include "listener.h"
#include "loop.h"

static void connections(void **state)
{
	struct conn_origin from = { .peer = KURIR_STR("192.0.2.1"),
		.peer_port = 4711,
		.local = KURIR_STR("192.0.2.2:25"),
		.listener = KURIR_STR("mx"),
		.protocol = KURIR_STR("smtp"),
		.pipeline = KURIR_STR("inbound"),
		.tls = KURIR_TLS_UPGRADE };
	struct kurir_stream *a, *b;
	struct kurir_conn *c, *d;

	(void)state;
	loop_init(false);
	assert_int_equal(kurir_stream_pair(&a, &b), 0);
	c = conn_new(a, &from, KURIR_STR(""));
	d = conn_new(b, &from, KURIR_STR("given"));
	assert_int_equal(conn_count(), 2);
	assert_true(kurir_str_equal(kurir_conn_peer(c), from.peer));
	assert_int_equal(kurir_conn_peer_port(c), 4711);
	assert_true(kurir_str_equal(kurir_conn_local(c), from.local));
	assert_true(kurir_str_equal(kurir_conn_pipeline(c), from.pipeline));
	assert_int_equal(kurir_conn_tls_mode(c), KURIR_TLS_UPGRADE);
	assert_false(kurir_conn_encrypted(c));
	assert_false(kurir_conn_draining(c));
	assert_int_equal(kurir_conn_account(c).len, 0);
	kurir_conn_set_account(c, KURIR_STR("hyd@satu.example"));
	assert_true(kurir_str_equal(kurir_conn_account(c), KURIR_STR("hyd@satu.example")));
	assert_true(kurir_conn_id(c).len >= 8);
	assert_true(kurir_str_equal(kurir_conn_id(d), KURIR_STR("given")));
	assert_non_null(conn_slots(c));
	conn_drop(c);
	c = conn_new(NULL, &from, KURIR_STR(""));
	conn_drain();
	assert_true(kurir_conn_draining(c));
	conn_drop(c);
	conn_drop(d);
	assert_int_equal(conn_count(), 0);
	loop_fini();
}

static void ids(void **state)
{
	struct conn_origin from = { 0 };
	struct kurir_conn *all[200];

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		all[i] = conn_new(NULL, &from, KURIR_STR(""));
		for (unsigned k = 0; k < i; k++)
			assert_false(
			    kurir_str_equal(kurir_conn_id(all[i]), kurir_conn_id(all[k])));
	}
	for (unsigned i = 0; i < 200; i++)
		conn_drop(all[i]);
}

static void peers(void **state)
{
	(void)state;
	assert_true(peer_enter("192.0.2.1", 2));
	assert_true(peer_enter("192.0.2.1", 2));
	assert_false(peer_enter("192.0.2.1", 2));
	assert_true(peer_enter("192.0.2.2", 2));
	peer_leave("192.0.2.1");
	assert_true(peer_enter("192.0.2.1", 2));
	/* One client has a whole /64. */
	assert_true(peer_enter("2001:db8::1", 2));
	assert_true(peer_enter("2001:db8::ffff:2", 2));
	assert_false(peer_enter("2001:db8::3", 2));
	assert_true(peer_enter("2001:db8:0:1::3", 2));
	peer_leave("192.0.2.1");
	peer_leave("192.0.2.1");
	peer_leave("192.0.2.2");
	peer_leave("2001:db8::9");
	peer_leave("2001:db8::9");
	peer_leave("2001:db8:0:1::9");
}

static void addresses(void **state)
{
	static const char *const wrong[] = { "", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x",
		"127.0.0.1:65536", "127.0.0.1:-1", "localhost:25", "::1:25", "[::1]", "[]:25",
		"[127.0.0.1]:25", "unix:", "1.2.3:4", NULL };
	struct sockaddr_storage at = { 0 };
	socklen_t len = sizeof(at);
	struct bind_peer shown;
	char text[32];
	int fd = -1, second;

	(void)state;
	for (unsigned i = 0; wrong[i] != NULL; i++)
		assert_int_equal(bind_listen(kurir_str_of(wrong[i]), 10, &fd), -EINVAL);
	assert_int_equal(bind_listen(KURIR_STR("127.0.0.1:0"), 10, &fd), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	bind_show(&at, &shown);
	assert_string_equal(shown.ip, "127.0.0.1");
	(void)snprintf(text, sizeof(text), "127.0.0.1:%u", (unsigned)shown.port);
	assert_true(bind_matches(kurir_str_of(text), fd));
	assert_false(bind_matches(KURIR_STR("127.0.0.2:1"), fd));
	assert_int_equal(bind_listen(kurir_str_of(text), 10, &second), -EADDRINUSE);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids),
		cmocka_unit_test(peers),
		cmocka_unit_test(addresses),
		cmocka_unit_test(connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
