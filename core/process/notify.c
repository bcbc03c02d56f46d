/* notify.c - the protocol of sd_notify(3) and sd_listen_fds(3). */
#include "notify.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_FIRST 3

void notify_send(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char text[256];
	size_t n = path != NULL ? strlen(path) : 0;
	int fd, len;

	if (n < 2 || n >= sizeof(un.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(un.sun_path, path, n);
	if (path[0] == '@')
		un.sun_path[0] = 0;
	/* systemd orders RELOADING against READY by this clock. */
	if (strcmp(state, "RELOADING=1") == 0)
		len = snprintf(text, sizeof(text), "%s\nMONOTONIC_USEC=%lld000", state,
		    (long long)kurir_now());
	else
		len = snprintf(text, sizeof(text), "%s", state);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, text, (size_t)len, MSG_NOSIGNAL, (struct sockaddr *)&un,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	(void)close(fd);
}

bool notify_listener(unsigned n, int *ret_fd, struct kurir_str *ret_name)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	const char *names = getenv("LISTEN_FDNAMES");
	struct kurir_str rest = kurir_str_of(names != NULL ? names : "");
	uint64_t v;

	if (pid == NULL || count == NULL ||
	    kurir_str_number(kurir_str_of(pid), INT32_MAX, &v) < 0 || (pid_t)v != getpid() ||
	    kurir_str_number(kurir_str_of(count), 1024, &v) < 0 || n >= v)
		return false;
	for (unsigned i = 0; i < n; i++) {
		ssize_t colon = kurir_str_find(rest, ':');

		rest =
		    colon < 0 ? KURIR_STR("") : kurir_str_part(rest, (size_t)colon + 1, rest.len);
	}
	*ret_fd = LISTEN_FIRST + (int)n;
	(void)fcntl(*ret_fd, F_SETFD, FD_CLOEXEC);
	/* systemd's are, systemd-socket-activate's are not: accepting would wait for ever. */
	(void)fcntl(*ret_fd, F_SETFL, fcntl(*ret_fd, F_GETFL) | O_NONBLOCK);
	*ret_name = rest;
	if (kurir_str_find(rest, ':') >= 0)
		ret_name->len = (size_t)kurir_str_find(rest, ':');
	return true;
}
