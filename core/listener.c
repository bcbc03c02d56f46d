/* listener.c - the door: accept4(2), limits, TLS where it comes first, and a fiber for each.
 * The sockets are shared by all edge processes; who wakes first accepts. */
#include "listener.h"
#include "bind.h"
#include "conn.h"
#include "count.h"
#include "fiber.h"
#include "instance.h"
#include "loop.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_BURST 64	 /* then the sessions have their turn */
#define ACCEPT_AGAIN 100 /* ms, when descriptors or memory are short */

#define CONTAINER(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

struct listener {
	struct listener *next;
	struct loop_fd fd;
	struct loop_task more;
	struct loop_timer again;
	const struct conf_listener *conf;
	const struct kurir_protocol_ops *ops;
	struct kurir_self *owner;
	bool open;
};
static struct listener *listeners;
static struct kurir_group *sessions;
static unsigned session_count;

enum { ACCEPTED, BUSY, TLS_FAILED, COUNTERS };
static uint64_t *counters;
static const char *const counter_names[] = { "accepted", "busy", "tls-failed", NULL };

/* A connection on its way from accept to its fiber. */
struct visitor {
	struct listener *at;
	struct kurir_conn *conn;
	char ip[64];
};

static void count(unsigned which)
{
	if (counters == NULL)
		counters = count_new("listener", counter_names);
	counters[which]++;
}

KURIR_PARKS static int visitor_encrypt(struct visitor *v)
{
	struct kurir_stream *s = v->conn->stream;
	int r;

	if (v->at->conf->tls != KURIR_TLS_IMPLICIT)
		return 0;
	r = kurir_tls_accept(s, kurir_now() + conf_now->limit_handshake);
	if (r < 0) {
		struct kurir_str why = kurir_tls_error(s);

		count(TLS_FAILED);
		(void)kurir_log(v->at->owner, KURIR_INFO, r, "no TLS with %.*s: %.*s",
		    KURIR_ARG(v->conn->from.peer), KURIR_ARG(why));
	}
	return r;
}

KURIR_PARKS static void visitor_run(void *arg)
{
	struct visitor *v = arg;

	fiber_set_label(v->conn->id);
	if (visitor_encrypt(v) >= 0)
		v->at->ops->serve(v->at->owner, v->conn);
	conn_free(v->conn);
	fiber_set_label(KURIR_STR(""));
	peer_leave(v->ip);
	session_count--;
	free(v);
}

static void listener_refuse(struct listener *l, int fd, const char *ip)
{
	const char *busy = l->ops->busy;

	count(BUSY);
	KURIR_EMIT(l->owner, KURIR_NOTICE, "connect", { "verdict", KURIR_STR("defer") },
	    { "peer", kurir_str_of(ip) }, { "why", KURIR_STR("too many connections") });
	if (busy != NULL && l->conf->tls != KURIR_TLS_IMPLICIT)
		(void)send(fd, busy, strlen(busy), MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)close(fd);
}

static void listener_take(struct listener *l, int fd, const struct sockaddr_storage *from)
{
	struct sockaddr_storage here = { 0 };
	socklen_t len = sizeof(here);
	struct bind_peer peer, local;
	struct kurir_stream *stream;
	struct visitor *v;
	char at[80];
	int on = 1, n;
	int64_t edges = conf_now->processes[0],
		share = (conf_now->limit_connections + edges - 1) / edges;

	bind_show(from, &peer);
	if (session_count >= share ||
	    !peer_enter(peer.ip, conf_now->limit_connections_per_peer)) {
		listener_refuse(l, fd, peer.ip);
		return;
	}
	(void)getsockname(fd, (struct sockaddr *)&here, &len);
	bind_show(&here, &local);
	n = snprintf(at, sizeof(at), strchr(local.ip, ':') ? "[%s]:%u" : "%s:%u", local.ip,
	    (unsigned)local.port);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	v = calloc(1, sizeof(*v));
	if (v == NULL || kurir_stream_of(fd, &stream) < 0) {
		if (v == NULL)
			(void)close(fd);
		free(v);
		peer_leave(peer.ip);
		return;
	}
	v->at = l;
	memcpy(v->ip, peer.ip, sizeof(v->ip));
	v->conn = conn_new(stream,
	    &(struct conn_origin){ .peer = kurir_str_of(peer.ip),
		.peer_port = peer.port,
		.local = { at, (size_t)n },
		.listener = l->conf->name,
		.protocol = l->conf->protocol,
		.pipeline = l->conf->pipeline,
		.tls = (enum kurir_tls_mode)l->conf->tls },
	    KURIR_STR(""));
	session_count++;
	count(ACCEPTED);
	if (listener_go(visitor_run, v) < 0) {
		/* No stack for it: nothing was said yet, closing is all that can be done. */
		conn_drop(v->conn);
		peer_leave(v->ip);
		session_count--;
		free(v);
	}
}

static void listener_fire(struct loop_timer *t)
{
	struct listener *l = CONTAINER(t, struct listener, again);

	loop_defer(&l->more);
}

static void listener_accept(struct listener *l)
{
	for (unsigned i = 0; l->open && i < ACCEPT_BURST; i++) {
		struct sockaddr_storage from = { 0 };
		socklen_t len = sizeof(from);
		int fd = accept4(
		    l->fd.fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			listener_take(l, fd, &from);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			(void)kurir_log(NULL, KURIR_WARN, -errno,
			    "cannot accept, trying again in %d ms", ACCEPT_AGAIN);
			loop_timer_set(&l->again, kurir_now() + ACCEPT_AGAIN, listener_fire);
			return;
		}
		/* Anything else is the trouble of that one connection. */
	}
	if (l->open)
		loop_defer(&l->more);
}

static void listener_more(struct loop_task *t)
{
	listener_accept(CONTAINER(t, struct listener, more));
}

static void listener_ready(struct loop_fd *f, uint32_t events)
{
	(void)events;
	listener_accept(CONTAINER(f, struct listener, fd));
}

int listener_go(void (*fn)(void *), void *arg)
{
	if (sessions == NULL)
		sessions = kurir_group_begin(NULL);
	return kurir_group_go(sessions, "session", fn, arg);
}

int listener_add(const struct conf_listener *conf, int fd)
{
	struct listener *l = calloc(1, sizeof(*l)), **end = &listeners;
	char name[64] = "";

	if (l == NULL || conf->protocol.len >= sizeof(name))
		goto fail;
	memcpy(name, conf->protocol.ptr, conf->protocol.len);
	l->conf = conf;
	l->fd.fd = fd;
	l->fd.ready = listener_ready;
	l->more.run = listener_more;
	l->ops = kurir_service_find("protocol", name, &l->owner);
	if (l->ops == NULL)
		goto fail;
	while (*end != NULL)
		end = &(*end)->next;
	*end = l;
	return 0;
fail:
	free(l);
	(void)close(fd);
	return -ENOENT;
}

void listener_start(void)
{
	for (struct listener *l = listeners; l != NULL; l = l->next) {
		int r;

		if (l->open)
			continue;
		r = loop_fd_add(&l->fd, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE);
		if (r < 0)
			(void)kurir_log(NULL, KURIR_ERROR, r, "cannot listen for \"%.*s\"",
			    KURIR_ARG(l->conf->name));
		l->open = r >= 0;
		loop_defer(&l->more); /* who came before */
	}
}

void listener_stop(void)
{
	for (struct listener *l = listeners; l != NULL; l = l->next) {
		if (!l->open)
			continue;
		l->open = false;
		loop_fd_remove(&l->fd);
		loop_timer_clear(&l->again);
		(void)close(l->fd.fd);
		l->fd.fd = -1;
	}
}

KURIR_PARKS void listener_finish(void)
{
	listener_stop();
	if (sessions != NULL)
		kurir_group_end(sessions);
	sessions = NULL;
}
