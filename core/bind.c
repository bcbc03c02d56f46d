/* bind.c - listening sockets, and the text of addresses.  Numbers only: no name is looked up. */
#include "bind.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * address = ip4 ":" port / "[" ip6 "]" ":" port / "unix:" path
 */
static int bind_parse(struct kurir_str s, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	struct sockaddr_storage a = { 0 };
	struct sockaddr_in *in4 = (struct sockaddr_in *)&a;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a;
	struct sockaddr_un *un = (struct sockaddr_un *)&a;
	char ip[64] = "";
	uint64_t port;
	ssize_t colon;

	if (kurir_str_starts(s, KURIR_STR("unix:"))) {
		s = kurir_str_part(s, 5, s.len);
		if (s.len == 0 || s.len >= sizeof(un->sun_path))
			return -EINVAL;
		un->sun_family = AF_UNIX;
		memcpy(un->sun_path, s.ptr, s.len);
		*ret = a;
		*ret_len = sizeof(*un);
		return 0;
	}
	colon = kurir_str_find_last(s, ':');
	if (colon <= 0 || colon >= (ssize_t)sizeof(ip) ||
	    kurir_str_number(kurir_str_part(s, (size_t)colon + 1, s.len), 65535, &port) < 0)
		return -EINVAL;
	s.len = (size_t)colon;
	if (s.len > 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']') {
		memcpy(ip, s.ptr + 1, s.len - 2);
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		*ret_len = sizeof(*in6);
		if (inet_pton(AF_INET6, ip, &in6->sin6_addr) != 1)
			return -EINVAL;
	} else {
		memcpy(ip, s.ptr, s.len);
		in4->sin_family = AF_INET;
		in4->sin_port = htons((uint16_t)port);
		*ret_len = sizeof(*in4);
		if (inet_pton(AF_INET, ip, &in4->sin_addr) != 1)
			return -EINVAL;
	}
	*ret = a;
	return 0;
}

int bind_listen(struct kurir_str address, int64_t backlog, int *ret_fd)
{
	struct sockaddr_storage a;
	socklen_t len;
	int fd, on = 1, r = bind_parse(address, &a, &len);

	if (r < 0)
		return r;
	fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (a.ss_family == AF_UNIX)
		(void)unlink(((struct sockaddr_un *)&a)->sun_path);
	else
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, len) < 0 ||
	    listen(fd, backlog > 0 && backlog < 65536 ? (int)backlog : SOMAXCONN) < 0) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

bool bind_matches(struct kurir_str address, int fd)
{
	struct sockaddr_storage want, is = { 0 };
	socklen_t len, n = sizeof(is);
	struct bind_peer w, i;

	if (bind_parse(address, &want, &len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&is, &n) < 0 || want.ss_family != is.ss_family)
		return false;
	if (want.ss_family == AF_UNIX)
		return strcmp(((struct sockaddr_un *)&want)->sun_path,
			   ((struct sockaddr_un *)&is)->sun_path) == 0;
	bind_show(&want, &w);
	bind_show(&is, &i);
	return strcmp(w.ip, i.ip) == 0 && (w.port == 0 || w.port == i.port);
}

void bind_show(const struct sockaddr_storage *a, struct bind_peer *ret)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;

	*ret = (struct bind_peer){ .ip = "unix" };
	if (a->ss_family == AF_INET) {
		(void)inet_ntop(AF_INET, &in4->sin_addr, ret->ip, sizeof(ret->ip));
		ret->port = ntohs(in4->sin_port);
	} else if (a->ss_family == AF_INET6) {
		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
			(void)inet_ntop(
			    AF_INET, &in6->sin6_addr.s6_addr[12], ret->ip, sizeof(ret->ip));
		else
			(void)inet_ntop(AF_INET6, &in6->sin6_addr, ret->ip, sizeof(ret->ip));
		ret->port = ntohs(in6->sin6_port);
	}
}
