/* test_stream.c - lines, limits, errors and waiting, over memory and over sockets alike. */
#include "loop_unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <dial.h>
#include <stream.h>

#define SOON (kurir_now() + 20000)
#define S(x) KURIR_STR(x)

/* How two connected streams are made; each body runs with all of them. */
typedef void make_fn(struct kurir_stream **, struct kurir_stream **);

static void make_memory(struct kurir_stream **a, struct kurir_stream **b)
{
	CHECK_IS(kurir_stream_pair(a, b), 0);
}

static void make_sockets(struct kurir_stream **a, struct kurir_stream **b)
{
	int fds[2];
	CHECK_IS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	CHECK_IS(kurir_stream_of(fds[0], a), 0);
	CHECK_IS(kurir_stream_of(fds[1], b), 0);
}

static int listen_on(struct sockaddr *sa, socklen_t len)
{
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(fd >= 0);
	CHECK_IS(bind(fd, sa, len), 0);
	CHECK_IS(listen(fd, 5), 0);
	CHECK_IS(getsockname(fd, sa, &len), 0);
	return fd;
}

static void make_tcp(struct kurir_stream **a, struct kurir_stream **b)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = listen_on((struct sockaddr *)&sa, sizeof(sa));
	char to[32];
	snprintf(to, sizeof(to), "127.0.0.1:%d", ntohs(sa.sin_port));
	CHECK_IS(kurir_dial(NULL, kurir_str_of(to), S("127.0.0.1"), SOON, a), 0);
	CHECK_IS(kurir_stream_of(accept(fd, NULL, NULL), b), 0);
	close(fd);
}

static make_fn *const makers[] = { make_memory, make_sockets, make_tcp };

static void body_lines(void *arg)
{
	struct kurir_stream *a, *b;
	struct kurir_str s;
	(*(make_fn *const *)arg)(&a, &b);
	kurir_write(a, S("one\r\ntwo\n\nthree"));
	CHECK_IS(kurir_flush(a, SOON), 0);
	CHECK_IS(kurir_readline(b, 100, &s, SOON), 1);
	CHECK_STR(s, "one\r\n");
	CHECK_IS(kurir_pending(b), 10);
	CHECK_IS(kurir_readline(b, 100, &s, SOON), 1);
	CHECK_STR(s, "two\n");
	CHECK_IS(kurir_readline(b, 100, &s, SOON), 1);
	CHECK_STR(s, "\n");
	/* A timeout loses nothing and spoils nothing. */
	CHECK_IS(kurir_readline(b, 100, &s, kurir_now() + 10), -ETIMEDOUT);
	CHECK_IS(kurir_pending(b), 5);
	kurir_write(a, S("-four\nrest"));
	CHECK_IS(kurir_flush(a, SOON), 0);
	CHECK_IS(kurir_readline(b, 11, &s, SOON), 1);
	CHECK_STR(s, "three-four\n");
	kurir_close(a);
	CHECK_IS(kurir_readline(b, 100, &s, SOON), 0);
	CHECK_STR(s, "rest");
	CHECK_IS(kurir_readline(b, 100, &s, SOON), 0);
	CHECK_IS(s.len, 0);
	kurir_close(b);
}

static void body_limits(void *arg)
{
	struct kurir_stream *a, *b;
	struct kurir_str s;
	(*(make_fn *const *)arg)(&a, &b);
	kurir_write(a, S("0123456789\nok\n"));
	CHECK_IS(kurir_flush(a, SOON), 0);
	CHECK_IS(kurir_readline(b, 10, &s, SOON), -EMSGSIZE);
	CHECK_IS(kurir_readline(b, 10, &s, SOON), -EMSGSIZE);
	CHECK_IS(kurir_skip_line(b, SOON), 1);
	CHECK_IS(kurir_readline(b, 3, &s, SOON), 1);
	CHECK_STR(s, "ok\n");
	/* No LF yet, and already too long. */
	kurir_write(a, S("0123456789"));
	CHECK_IS(kurir_flush(a, SOON), 0);
	CHECK_IS(kurir_readline(b, 10, &s, SOON), -EMSGSIZE);
	kurir_drop_input(b);
	CHECK_IS(kurir_pending(b), 0);
	kurir_close(a);
	CHECK_IS(kurir_skip_line(b, SOON), 0);
	kurir_close(b);
}

static void body_peek(void *arg)
{
	struct kurir_stream *a, *b;
	struct kurir_str s;
	(*(make_fn *const *)arg)(&a, &b);
	CHECK_IS(kurir_peek(b, 0, &s, kurir_now() + 5), -ETIMEDOUT);
	kurir_write(a, S("abc"));
	CHECK_IS(kurir_flush(a, SOON), 0);
	CHECK_IS(kurir_peek(b, 0, &s, SOON), 1);
	CHECK_STR(s, "abc");
	CHECK_IS(kurir_peek(b, 0, &s, SOON), 1);
	CHECK_IS(kurir_peek(b, 1, &s, kurir_now() + 5), -ETIMEDOUT);
	kurir_consume(b, 1);
	kurir_write(a, S("def"));
	CHECK_IS(kurir_flush(a, SOON), 0);
	CHECK_IS(kurir_peek(b, 1, &s, SOON), 1);
	CHECK_STR(s, "bcdef");
	CHECK_IS(stream_unread(b, S("front-")), 0);
	CHECK_IS(kurir_peek(b, 0, &s, SOON), 1);
	CHECK_STR(s, "front-bcdef");
	char two[2];
	CHECK_IS(kurir_read(b, two, 2, SOON), 2);
	CHECK_IS(memcmp(two, "fr", 2), 0);
	kurir_close(a);
	CHECK_IS(kurir_peek(b, 1, &s, SOON), 0);
	CHECK_STR(s, "ont-bcdef");
	kurir_close(b);
}

/* Much, in pieces of all sizes, against a reader of other pieces. */
#define BULK 500000

static void writes_bulk(void *arg)
{
	struct kurir_stream *s = arg;
	char *data = malloc(BULK);
	for (size_t i = 0; i < BULK; i++)
		data[i] = (char)(unsigned char)(i * 31 >> 3);
	for (size_t at = 0, n = 1; at < BULK; at += n, n = n * 3 % 40007) {
		if (n > BULK - at)
			n = BULK - at;
		CHECK_IS(kurir_write(s, (struct kurir_str){ data + at, n }), 0);
	}
	CHECK_IS(kurir_flush(s, SOON), 0);
	free(data);
}

/* What is there is seen by who does not wait, too, whether or not the loop has looked. */
static void body_peek_now(void *arg)
{
	struct kurir_stream *a, *b;
	struct kurir_str s;
	(void)arg;
	make_sockets(&a, &b);
	CHECK_IS(kurir_peek(a, 0, &s, kurir_now()), -ETIMEDOUT);
	kurir_write(b, S("x"));
	CHECK_IS(kurir_flush(b, SOON), 0);
	CHECK_IS(kurir_peek(a, 0, &s, kurir_now()), 1);
	CHECK_STR(s, "x");
	kurir_consume(a, 1);
	CHECK_IS(kurir_peek(a, 0, &s, kurir_now()), -ETIMEDOUT);
	kurir_close(b);
	CHECK_IS(kurir_peek(a, 0, &s, kurir_now()), 0);
	kurir_close(a);
}

static void body_bulk(void *arg)
{
	struct kurir_stream *a, *b;
	struct kurir_group *g = kurir_group_begin(NULL);
	char *part = malloc(10000);
	size_t total = 0, want = 1;
	bool same = true;
	(*(make_fn *const *)arg)(&a, &b);
	kurir_group_go(g, "writes_bulk", writes_bulk, a);
	while (total < BULK) {
		ssize_t n = kurir_read(b, part, want, SOON);
		CHECK(n > 0 && n <= (ssize_t)want);
		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++, total++)
			same &= (unsigned char)part[i] == (unsigned char)(total * 31 >> 3);
		want = want * 7 % 9973 + 1;
	}
	CHECK(same);
	CHECK_IS(total, BULK);
	kurir_group_wait(g, SOON);
	kurir_group_end(g);
	kurir_close(a);
	kurir_close(b);
	free(part);
}

static void body_full_buffer(void *arg)
{
	struct kurir_stream *a, *b;
	struct kurir_str s;
	struct kurir_group *g = kurir_group_begin(NULL);
	int r;
	(*(make_fn *const *)arg)(&a, &b);
	kurir_group_go(g, "writes_bulk", writes_bulk, a);
	kurir_patience(a, 100);
	while ((r = kurir_peek(b, 1, &s, SOON)) == 1)
		CHECK(s.len <= 65536);
	CHECK_IS(r, -ENOBUFS);
	CHECK_IS(kurir_pending(b), 65536);
	kurir_group_end(g); /* the writer is parked, and is cancelled */
	loop_unit_failed = NULL;
	/* Part was lost, so nothing may follow; a TCP socket may have room for all of it. */
	CHECK(kurir_write(a, S("more")) < 0 || *(make_fn *const *)arg == make_tcp);
	kurir_close(a);
	kurir_close(b);
}

/* A peer that does not read: patience, then the error stays. */
static void body_patience(void *arg)
{
	struct kurir_stream *a, *b;
	char *much = calloc(1, 8 << 20);
	(*(make_fn *const *)arg)(&a, &b);
	kurir_patience(a, 50);
	kurir_time start = kurir_now();
	CHECK_IS(kurir_write(a, (struct kurir_str){ much, 8 << 20 }), -ETIMEDOUT);
	CHECK(kurir_now() - start >= 50);
	CHECK_IS(kurir_flush(a, SOON), -ETIMEDOUT);
	CHECK_IS(kurir_printf(a, "x"), -ETIMEDOUT);
	kurir_close(b);
	kurir_close(a);
	free(much);
}

static void body_peer_gone(void *arg)
{
	struct kurir_stream *a, *b;
	char c;
	(*(make_fn *const *)arg)(&a, &b);
	kurir_close(b);
	int r = 0;
	for (int i = 0; i < 100 && r == 0; i++) {
		kurir_printf(a, "hello %d\n", i);
		r = kurir_flush(a, SOON);
		kurir_sleep(kurir_now() + 1);
	}
	CHECK(r == -EPIPE || r == -ECONNRESET);
	CHECK_IS(kurir_flush(a, SOON), r);
	ssize_t n = kurir_read(a, &c, 1, SOON);
	CHECK(n == 0 || n == -ECONNRESET);
	kurir_close(a);
	kurir_close(NULL);
}

static void reads(void *arg)
{
	struct kurir_str s;
	CHECK_IS(kurir_readline(arg, 100, &s, KURIR_FOREVER), -ECANCELED);
	CHECK_IS(kurir_readline(arg, 100, &s, KURIR_FOREVER), -ECANCELED);
	/* What the socket takes at once still goes: a last word. */
	kurir_write(arg, S("bye\n"));
	CHECK_IS(kurir_flush(arg, KURIR_FOREVER), 0);
}

static void body_canceled(void *arg)
{
	struct kurir_stream *a, *b;
	struct kurir_str s;
	struct kurir_group *g = kurir_group_begin(NULL);
	(*(make_fn *const *)arg)(&a, &b);
	kurir_group_go(g, "reads", reads, a);
	kurir_sleep(kurir_now() + 2);
	kurir_group_end(g);
	CHECK_IS(kurir_readline(b, 100, &s, SOON), 1);
	CHECK_STR(s, "bye\n");
	/* The stream itself is as good as before. */
	kurir_write(b, S("go on\n"));
	CHECK_IS(kurir_flush(b, SOON), 0);
	CHECK_IS(kurir_readline(a, 100, &s, SOON), 1);
	kurir_close(a);
	kurir_close(b);
}

/* One reads while another writes, on both ends. */
static void echoes(void *arg)
{
	struct kurir_stream *s = arg;
	struct kurir_str line;
	while (kurir_readline(s, 100, &line, SOON) == 1) {
		kurir_write(s, line);
		if (!kurir_pending(s))
			CHECK_IS(kurir_flush(s, SOON), 0);
	}
}

static void asks(void *arg)
{
	for (int i = 0; i < 5000; i++)
		CHECK_IS(kurir_printf(arg, "line %d\r\n", i), 0);
	CHECK_IS(kurir_flush(arg, SOON), 0);
}

static void body_duplex(void *arg)
{
	struct kurir_stream *a, *b;
	struct kurir_str s;
	char want[32];
	struct kurir_group *g = kurir_group_begin(NULL);
	(*(make_fn *const *)arg)(&a, &b);
	kurir_group_go(g, "echoes", echoes, b);
	kurir_group_go(g, "asks", asks, a);
	for (int i = 0; i < 5000; i++) {
		CHECK_IS(kurir_readline(a, 100, &s, SOON), 1);
		CHECK_IS(s.len, snprintf(want, sizeof(want), "line %d\r\n", i));
	}
	kurir_group_end(g);
	kurir_close(a);
	kurir_close(b);
}

static void sends_file(void *arg)
{
	struct kurir_stream *s = arg;
	FILE *f = tmpfile();
	for (int i = 0; i < 50000; i++)
		fprintf(f, "%09d\n", i);
	fflush(f);
	kurir_write(s, S("head\n"));
	CHECK_IS(kurir_send_file(s, fileno(f), 10, 10, SOON), 0);
	CHECK_IS(kurir_send_file(s, fileno(f), 100, 499900, SOON), 0);
	kurir_write(s, S("tail\n"));
	CHECK_IS(kurir_flush(s, SOON), 0);
	CHECK_IS(kurir_send_file(s, fileno(f), 499990, 20, SOON), -EIO); /* shorter */
	CHECK_IS(kurir_flush(s, SOON), -EIO);
	fclose(f);
}

static void body_file(void *arg)
{
	struct kurir_stream *a, *b;
	struct kurir_str s;
	char want[32];
	struct kurir_group *g = kurir_group_begin(NULL);
	(*(make_fn *const *)arg)(&a, &b);
	kurir_group_go(g, "sends_file", sends_file, a);
	CHECK_IS(kurir_readline(b, 100, &s, SOON), 1);
	CHECK_STR(s, "head\n");
	CHECK_IS(kurir_readline(b, 100, &s, SOON), 1);
	CHECK_STR(s, "000000001\n");
	for (int i = 10; i < 50000; i++) {
		CHECK_IS(kurir_readline(b, 100, &s, SOON), 1);
		snprintf(want, sizeof(want), "%09d\n", i);
		CHECK_IS(s.len == 10 && memcmp(s.ptr, want, 10) == 0, 1);
	}
	CHECK_IS(kurir_readline(b, 100, &s, SOON), 1);
	CHECK_STR(s, "tail\n");
	kurir_group_wait(g, SOON);
	kurir_group_end(g);
	kurir_close(a);
	kurir_close(b);
}

/* Data and its end arrive together with the first event. */
static void body_end_with_data(void *arg)
{
	struct kurir_stream *a, *b;
	char part[3];
	(*(make_fn *const *)arg)(&a, &b);
	kurir_write(a, S("abcdefgh"));
	CHECK_IS(kurir_flush(a, SOON), 0);
	kurir_close(a);
	kurir_sleep(kurir_now() + 5);
	size_t total = 0;
	ssize_t n;
	while ((n = kurir_read(b, part, sizeof(part), SOON)) > 0)
		total += (size_t)n;
	CHECK_IS(n, 0);
	CHECK_IS(total, 8);
	kurir_close(b);
}

static void over_everything(void **state)
{
	static void (*const list[])(void *) = { body_lines, body_limits, body_peek, body_bulk,
		body_full_buffer, body_patience, body_peer_gone, body_canceled, body_duplex,
		body_file, body_end_with_data };
	(void)state;
	for (size_t m = 0; m < 3; m++)
		for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
			run_on_loop(m == 0, list[i], (void *)(uintptr_t)&makers[m]);
}

static void body_dial(void *arg)
{
	struct kurir_stream *s = NULL;
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	static const char *const bad[] = { "", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0",
		"127.0.0.1:65536", "127.0.0.1:25x", "localhost:25", "::1:25", "[::1]", "[::1]25",
		"[]:25", "[127.0.0.1]:25", "[::1:25", "unix:", "127.1:25", "0x7f.0.0.1:25",
		" 127.0.0.1:25", "[fe80::1%]:99999" };
	(void)arg;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_IS(kurir_dial(NULL, kurir_str_of(bad[i]), S(""), SOON, &s), -EINVAL);
	CHECK_IS(kurir_dial(NULL, S("127.0.0.1:9\0x"), S(""), SOON, &s), -EINVAL);
	CHECK_IS(kurir_dial(NULL, S("127.0.0.1:9"), S("::zz"), SOON, &s), -EINVAL);
	CHECK_IS(kurir_dial(NULL, S("127.0.0.1:9"), S("192.0.2.7"), SOON, &s), -EADDRNOTAVAIL);
	CHECK_IS(kurir_dial(NULL, S("unix:/nonexistent/socket"), S(""), SOON, &s), -ENOENT);
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = listen_on((struct sockaddr *)&sa, sizeof(sa));
	char to[sizeof(local.sun_path) + 8];
	snprintf(to, sizeof(to), "127.0.0.1:%d", ntohs(sa.sin_port));
	close(fd);
	CHECK_IS(kurir_dial(NULL, kurir_str_of(to), S(""), SOON, &s), -ECONNREFUSED);
	snprintf(local.sun_path, sizeof(local.sun_path), "/tmp/kurir-dial-%d", (int)getpid());
	fd = listen_on((struct sockaddr *)&local, sizeof(local));
	snprintf(to, sizeof(to), "unix:%s", local.sun_path);
	CHECK_IS(kurir_dial(NULL, kurir_str_of(to), S(""), SOON, &s), 0);
	int detached = stream_detach(s);
	CHECK(detached >= 0);
	close(detached);
	close(fd);
	unlink(local.sun_path);
}

static int answer_from_memory(struct kurir_self *self, struct kurir_str address,
    struct kurir_str source, kurir_time until, struct kurir_stream **ret)
{
	struct kurir_stream *far;
	(void)self, (void)source, (void)until;
	CHECK_STR(address, "192.0.2.1:25");
	kurir_stream_pair(ret, &far);
	kurir_write(far, S("220 hello\r\n"));
	CHECK_IS(kurir_flush(far, SOON), 0);
	kurir_close(far);
	return 0;
}

static void body_dial_through(void *arg)
{
	struct kurir_stream *s;
	struct kurir_str line;
	(void)arg;
	dial_through = answer_from_memory;
	CHECK_IS(kurir_dial(NULL, S("192.0.2.1:25"), S(""), SOON, &s), 0);
	dial_through = NULL;
	CHECK_IS(kurir_readline(s, 100, &line, SOON), 1);
	CHECK_STR(line, "220 hello\r\n");
	CHECK_IS(stream_fd(s), -1);
	CHECK_IS(stream_detach(s), -EOPNOTSUPP);
	kurir_close(s);
}

static void dials(void **state)
{
	(void)state;
	run_on_loop(false, body_peek_now, NULL);
	run_on_loop(false, body_dial, NULL);
	run_on_loop(true, body_dial_through, NULL);
}

/* Each wait of an exchange fails in turn. */
static void body_torture(void *arg)
{
	int errors[] = { -ETIMEDOUT, -ECANCELED };
	for (size_t e = 0; e < 2; e++)
		for (unsigned n = 1; n < 20; n++) {
			struct kurir_stream *a, *b;
			struct kurir_str s;
			struct kurir_group *g = kurir_group_begin(NULL);
			(*(make_fn *const *)arg)(&a, &b);
			kurir_group_go(g, "echoes", echoes, b);
			fiber_fail_park(n, errors[e]);
			for (int i = 0; i < 8; i++) {
				(void)kurir_printf(a, "line\n");
				(void)kurir_flush(a, SOON);
				if (kurir_readline(a, 100, &s, kurir_now() + 50) != 1)
					break;
			}
			kurir_group_end(g);
			kurir_close(a);
			kurir_close(b);
			fiber_fail_park(0, 0);
			loop_unit_failed = NULL;
			if (fiber_canceled())
				return;
		}
}

static void torture(void **state)
{
	(void)state;
	for (size_t m = 0; m < 2; m++)
		run_on_loop(m == 0, body_torture, (void *)(uintptr_t)&makers[m]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(over_everything),
		cmocka_unit_test(dials),
		cmocka_unit_test(torture),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
