/* wire.c - packets between the supervisor and its processes. */
#include "wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct wire_head {
	uint32_t kind, role, index, count;
	int64_t value;
};

union wire_control {
	char space[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

int wire_send(int socket, const struct wire *w)
{
	struct wire_head head = { w->kind, w->role, w->index, w->count, w->value };
	struct kurir_str text = kurir_str_part(w->text, 0, WIRE_TEXT_MAX);
	struct iovec iov[2] = { { &head, sizeof(head) },
		{ (void *)(uintptr_t)text.ptr, text.len } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = text.len > 0 ? 2 : 1 };
	union wire_control control;
	ssize_t r;

	if (w->fd >= 0) {
		struct cmsghdr *h;

		memset(&control, 0, sizeof(control));
		m.msg_control = control.space;
		m.msg_controllen = sizeof(control.space);
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &w->fd, sizeof(int));
	}
	do
		r = sendmsg(socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

int wire_receive(int socket, char space[WIRE_TEXT_MAX], struct wire *ret)
{
	struct wire_head head;
	struct iovec iov[2] = { { &head, sizeof(head) }, { space, WIRE_TEXT_MAX } };
	union wire_control control;
	struct msghdr m = { .msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space) };
	int fd = -1;
	ssize_t n;

	do
		n = recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return 0;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h != NULL; h = CMSG_NXTHDR(&m, h))
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS && fd < 0)
			memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	if (n < (ssize_t)sizeof(head) || (m.msg_flags & MSG_TRUNC) || head.kind == 0 ||
	    head.kind >= WIRE_KINDS) {
		if (fd >= 0)
			(void)close(fd);
		return -EBADMSG;
	}
	*ret = (struct wire){ head.kind, head.role, head.index, head.count, head.value,
		{ space, (size_t)n - sizeof(head) }, fd };
	return 1;
}
