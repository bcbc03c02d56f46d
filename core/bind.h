/* bind.h - listening sockets, and the text of addresses. */
#ifndef CORE_BIND_H
#define CORE_BIND_H

#include <kurir/module.h>

struct sockaddr_storage;

/* "192.0.2.1:25", "[2001:db8::1]:25", "unix:/path". 0, -EINVAL, or what socket, bind or listen
 * said. */
int bind_listen(struct kurir_str address, int64_t backlog, int *ret_fd);
/* The same address as that socket is bound to; port 0 is any. */
bool bind_matches(struct kurir_str address, int fd);

struct bind_peer {
	char ip[64]; /* "192.0.2.1", "2001:db8::1", "unix" */
	uint16_t port;
};
void bind_show(const struct sockaddr_storage *, struct bind_peer *ret);

#endif
