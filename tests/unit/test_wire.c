/* test_wire.c - the supervisor's packets, memory files, notifications. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "notify.h"
#include "spawn.h"
#include "wire.h"

static char space[WIRE_TEXT_MAX];

static void pair_of(int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static void packets(void **state)
{
	struct wire w = { .kind = WIRE_PEER,
		.role = 4,
		.index = 2,
		.count = 3,
		.value = -5,
		.text = KURIR_STR("hello"),
		.fd = -1 },
		    got;
	int pair[2];

	(void)state;
	pair_of(pair);
	assert_int_equal(wire_receive(pair[1], space, &got), -EAGAIN);
	assert_int_equal(wire_send(pair[0], &w), 0);
	assert_int_equal(wire_receive(pair[1], space, &got), 1);
	assert_int_equal(got.kind, WIRE_PEER);
	assert_int_equal(got.role, 4);
	assert_int_equal(got.index, 2);
	assert_int_equal(got.count, 3);
	assert_int_equal(got.value, -5);
	assert_int_equal(got.fd, -1);
	assert_true(kurir_str_equal(got.text, w.text));
	(void)close(pair[0]);
	assert_int_equal(wire_receive(pair[1], space, &got), 0);
	(void)close(pair[1]);
}

static void descriptor(void **state)
{
	struct wire w = { .kind = WIRE_GO, .text = KURIR_STR("") }, got;
	int pair[2];

	(void)state;
	pair_of(pair);
	w.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(wire_send(pair[0], &w), 0);
	assert_int_equal(wire_receive(pair[1], space, &got), 1);
	assert_true(got.fd >= 0 && got.fd != w.fd);
	assert_true(fcntl(got.fd, F_GETFD) & FD_CLOEXEC);
	(void)close(got.fd);
	(void)close(w.fd);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

static void rubbish(void **state)
{
	struct wire got;
	int pair[2];

	(void)state;
	pair_of(pair);
	assert_int_equal(write(pair[0], "xy", 2), 2);
	assert_int_equal(wire_receive(pair[1], space, &got), -EBADMSG);
	assert_int_equal(write(pair[0], "\377\377\377\377aaaaaaaaaaaaaaaaaaaaaaaa", 28), 28);
	assert_int_equal(wire_receive(pair[1], space, &got), -EBADMSG);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

static void memory(void **state)
{
	char got[16] = "";
	int fd = -1;

	(void)state;
	assert_int_equal(spawn_memory(KURIR_STR("a plan"), &fd), 0);
	assert_int_equal(pread(fd, got, sizeof(got), 0), 6);
	assert_string_equal(got, "a plan");
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	(void)close(fd);
}

static void notifications(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char got[256] = "", name[64];
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len;

	(void)state;
	(void)snprintf(name, sizeof(name), "@kurir-test-%d", (int)getpid());
	memcpy(un.sun_path, name, strlen(name));
	un.sun_path[0] = 0;
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	assert_int_equal(bind(fd, (struct sockaddr *)&un, len), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	notify_send("READY=1");
	assert_int_equal(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT), 7);
	assert_string_equal(got, "READY=1");
	notify_send("RELOADING=1");
	assert_true(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT) > 20);
	assert_non_null(strstr(got, "RELOADING=1\nMONOTONIC_USEC="));
	(void)unsetenv("NOTIFY_SOCKET");
	notify_send("READY=1");
	assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), -1);
	(void)close(fd);
}

static void activation(void **state)
{
	struct kurir_str name;
	char pid[16];
	int fd;

	(void)state;
	assert_false(notify_listener(0, &fd, &name));
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	(void)setenv("LISTEN_PID", pid, 1);
	(void)setenv("LISTEN_FDS", "2", 1);
	(void)setenv("LISTEN_FDNAMES", "mx:submission", 1);
	assert_true(notify_listener(0, &fd, &name));
	assert_int_equal(fd, 3);
	assert_true(kurir_str_equal(name, KURIR_STR("mx")));
	assert_true(notify_listener(1, &fd, &name));
	assert_int_equal(fd, 4);
	assert_true(kurir_str_equal(name, KURIR_STR("submission")));
	assert_false(notify_listener(2, &fd, &name));
	(void)setenv("LISTEN_PID", "1", 1);
	assert_false(notify_listener(0, &fd, &name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets),
		cmocka_unit_test(descriptor),
		cmocka_unit_test(rubbish),
		cmocka_unit_test(memory),
		cmocka_unit_test(notifications),
		cmocka_unit_test(activation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
