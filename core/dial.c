/* dial.c - kurir_dial(): a connected stream for an address, never for a name.
 *
 *   address = ip4 ":" port / "[" ip6 "]" ":" port / "unix:" path
 *   source  = ip4 / ip6 / ""                          ip6: RFC 5952 text, optionally "%scope" */
#include "dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "instance.h"
#include "stream.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

union any_address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
};

dial_fn *dial_through;

/* An address without a port; 0 or -EINVAL. */
static int parse_ip(struct kurir_str s, uint16_t port, union any_address *ret, socklen_t *ret_len)
{
	char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
	if (s.len >= sizeof(text) || memchr(s.ptr, '\0', s.len))
		return -EINVAL;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &ret->v4.sin_addr) == 1) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons(port);
		*ret_len = sizeof(ret->v4);
		return 0;
	}
	char *scope = strchr(text, '%');
	if (scope) {
		*scope++ = '\0';
		ret->v6.sin6_scope_id = if_nametoindex(scope);
	}
	if (inet_pton(AF_INET6, text, &ret->v6.sin6_addr) != 1)
		return -EINVAL;
	ret->v6.sin6_family = AF_INET6;
	ret->v6.sin6_port = htons(port);
	*ret_len = sizeof(ret->v6);
	return 0;
}

static int parse_unix(struct kurir_str path, union any_address *ret, socklen_t *ret_len)
{
	memset(ret, 0, sizeof(*ret));
	if (!path.len || path.len >= sizeof(ret->local.sun_path) ||
	    memchr(path.ptr, '\0', path.len))
		return -EINVAL;
	ret->local.sun_family = AF_UNIX;
	memcpy(ret->local.sun_path, path.ptr, path.len);
	*ret_len = sizeof(ret->local);
	return 0;
}

static int parse_address(struct kurir_str s, union any_address *ret, socklen_t *ret_len)
{
	uint64_t port;
	if (kurir_str_starts(s, KURIR_STR("unix:")))
		return parse_unix(kurir_str_part(s, 5, s.len), ret, ret_len);
	ssize_t colon = kurir_str_find_last(s, ':');
	if (colon < 0)
		return -EINVAL;
	struct kurir_str host = kurir_str_part(s, 0, (size_t)colon);
	if (kurir_str_number(kurir_str_part(s, (size_t)colon + 1, s.len), 65535, &port) < 0 ||
	    !port)
		return -EINVAL;
	bool bracketed = kurir_str_starts(host, KURIR_STR("["));
	if (bracketed) {
		if (host.len < 2 || host.ptr[host.len - 1] != ']')
			return -EINVAL;
		host = kurir_str_part(host, 1, host.len - 2);
	}
	int r = parse_ip(host, (uint16_t)port, ret, ret_len);
	if (r == 0 && bracketed != (ret->sa.sa_family == AF_INET6))
		return -EINVAL;
	return r;
}

/* The port is chosen at connect, so that one address can have many connections. */
static int bind_source(int fd, struct kurir_str source)
{
	union any_address from;
	socklen_t len;
	int one = 1, r = parse_ip(source, 0, &from, &len);
	if (r < 0)
		return r;
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	return bind(fd, &from.sa, len) < 0 ? -errno : 0;
}

KURIR_PARKS int dial_direct(struct kurir_self *self, struct kurir_str address,
    struct kurir_str source, kurir_time until, struct kurir_stream **ret)
{
	union any_address to;
	socklen_t len;
	struct kurir_stream *s;
	(void)self;
	if (fiber_canceled())
		return -ECANCELED;
	int r = parse_address(address, &to, &len);
	if (r < 0)
		return r;
	int fd = socket(to.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (source.len && to.sa.sa_family != AF_UNIX)
		r = bind_source(fd, source);
	if (r == 0 && connect(fd, &to.sa, len) < 0)
		r = -errno;
	if (r < 0 && r != -EINPROGRESS) {
		(void)close(fd);
		return r;
	}
	bool connecting = r == -EINPROGRESS;
	r = stream_of_socket(fd, true, &s);
	if (r < 0)
		return r;
	if (connecting)
		r = stream_connected(s, until);
	if (r < 0) {
		kurir_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

KURIR_PARKS int kurir_dial(struct kurir_self *self, struct kurir_str address,
    struct kurir_str source, kurir_time until, struct kurir_stream **ret)
{
	if (self && self->module && !(self->module->caps & KURIR_CAP_NET))
		return -EPERM;
	return (dial_through ? dial_through : dial_direct)(self, address, source, until, ret);
}
