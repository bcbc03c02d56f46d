/* role.c - the life of a process: instances start, connections are served, it drains, it ends.
 * The same with --single, where one process plays all roles and nobody watches over it. */
#include "role.h"
#include "auth.h"
#include "bind.h"
#include "call.h"
#include "channel.h"
#include "conn.h"
#include "control.h"
#include "dial_far.h"
#include "fiber.h"
#include "instance.h"
#include "listener.h"
#include "log.h"
#include "loop.h"
#include "notify.h"
#include "role_private.h"
#include "sandbox.h"
#include "spawn.h"
#include "tls.h"
#include "simulate.h"
#include "worker.h"

#include <errno.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGE		(256 * 1024)
#define DRAIN_TICK	100   /* ms */
#define DRAIN_QUIET	5     /* ticks without work: those who still knew us have learnt better */
#define DRAIN_EXCLUSIVE 20000 /* ms; a successor waits */

static uint32_t roles_now = KURIR_ROLE_ALL;
static unsigned index_now;
static bool draining;

struct role role;

uint32_t kurir_roles(void)
{
	return roles_now;
}

unsigned kurir_role_index(void)
{
	return index_now;
}

bool kurir_draining(void)
{
	return draining;
}

void role_set(uint32_t roles, unsigned index)
{
	roles_now = roles;
	index_now = index;
}

const struct plan *role_plan(void)
{
	return role.plan;
}

void role_order(enum role_order order, kurir_time drain_until)
{
	if (order > role.order)
		role.order = order;
	if (order >= ROLE_DRAIN && (role.drain_until == 0 || drain_until < role.drain_until))
		role.drain_until = drain_until;
	kurir_signal_raise(role.ordered);
}

KURIR_PARKS static int role_wait(enum role_order at_least)
{
	while (role.order < at_least) {
		int r = kurir_signal_wait(role.ordered, KURIR_FOREVER);

		if (r < 0)
			return r;
	}
	return 0;
}

/* The listeners in the order of the plan: descriptors of the supervisor, or bound here. */
static int role_listen(void)
{
	const struct conf *c = &role.plan->conf;
	int fd = ROLE_FD_LISTEN;

	for (size_t i = 0; i < c->listener_count; i++) {
		const struct conf_listener *l = &c->listeners[i];

		for (size_t k = 0; k < l->addresses.count; k++) {
			struct kurir_str a = l->addresses.items[k];
			int r = 0, bound = fd++;

			if (role.single)
				r = bind_listen(a, l->backlog, &bound);
			if (r < 0)
				return kurir_log(NULL, KURIR_ERROR, r,
				    "cannot listen on %.*s (\"%.*s\")", KURIR_ARG(a),
				    KURIR_ARG(l->name));
			r = listener_add(l, bound);
			if (r < 0)
				return kurir_log(NULL, KURIR_ERROR, r,
				    "listener \"%.*s\": no module provides \"%.*s\"",
				    KURIR_ARG(l->name), KURIR_ARG(l->protocol));
		}
	}
	return 0;
}

/* Until nothing is left to do here, or the time is up. */
KURIR_PARKS static void role_drain(void)
{
	kurir_time until = role.drain_until;
	unsigned quiet = 0, enough = roles_now & ROLE_EXCLUSIVE ? 1 : DRAIN_QUIET;

	draining = true;
	listener_stop();
	conn_drain();
	if (!role.single && (roles_now & ROLE_EXCLUSIVE) && until > kurir_now() + DRAIN_EXCLUSIVE)
		until = kurir_now() + DRAIN_EXCLUSIVE;
	while (role.order < ROLE_STOP && quiet < enough && kurir_now() < until) {
		bool busy = conn_count() > 0 || call_busy() > 0 || call_waiting() > 0;

		quiet = busy ? 0 : quiet + 1;
		if (kurir_signal_wait(role.ordered, kurir_now() + DRAIN_TICK) == -ECANCELED)
			break;
	}
}

KURIR_PARKS static int role_serve(void)
{
	int r;

	if (role_wait(ROLE_GO) < 0 || role.order >= ROLE_DRAIN) {
		/* Replaced before it began: who has asked already is told to ask the next. */
		call_stop();
		(void)kurir_signal_wait(role.ordered, kurir_now() + DRAIN_TICK);
		return 0;
	}
	r = instance_start_all(roles_now);
	call_hold(false);
	if (roles_now == KURIR_ROLE_WORKER)
		worker_watch();
	if (r >= 0 && (roles_now & KURIR_ROLE_EDGE))
		r = role_listen();
	if (r >= 0 && (roles_now & KURIR_ROLE_CONTROL))
		r = control_start();
	if (r < 0)
		goto out;
	role_say_ready();
	if (role_wait(ROLE_SERVE) >= 0 && role.order == ROLE_SERVE) {
		listener_start();
		(void)role_wait(ROLE_DRAIN);
	}
	role_drain();
out:
	/* Before the sessions, as one may be handed over, and what all of them use. */
	call_stop();
	control_stop();
	listener_finish();
	instance_stop_all();
	return r;
}

KURIR_PARKS static void role_main(void *arg)
{
	(void)arg;
	role.status = role_serve() < 0 ? 1 : 0;
	log_flush();
	loop_stop();
}

static void role_signalled(struct loop_fd *f, uint32_t events)
{
	struct signalfd_siginfo s;

	(void)events;
	while (read(f->fd, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
		if (s.ssi_signo == SIGHUP && role.single)
			(void)kurir_log(NULL, KURIR_WARN, 0,
			    "reload is not possible with --single, restart instead");
		else if (s.ssi_signo == SIGTERM || s.ssi_signo == SIGINT)
			role_order(role.order >= ROLE_DRAIN ? ROLE_STOP : ROLE_DRAIN,
			    kurir_now() + 2000);
	}
}

/* Endpoints of the core itself, and the plan's. */
static void role_endpoints(void)
{
	for (size_t i = 0; i < role.plan->endpoint_count; i++)
		channel_book_endpoint(role.plan->endpoints[i].name, role.plan->endpoints[i].role);
	auth_serve();
	handover_serve();
	control_serve();
	worker_serve();
	simulate_serve();
	/* Only where a module may connect without a network of its own. */
	dial_far_serve(role.plan->dials && (roles_now & KURIR_ROLE_RESOLVER) != 0,
	    (roles_now & (KURIR_ROLE_RESOLVER | KURIR_ROLE_RELAY)) == 0);
}

/* Keys are read while we still may. */
static int role_keys(void)
{
	const struct conf *c = &role.plan->conf;
	struct kurir_str error = KURIR_STR("");
	int r = 0;

	/* What its configuration names is loaded while code still can be. */
	(void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
	if (roles_now & KURIR_ROLE_EDGE)
		r = tls_server_init(c->certificates, c->certificate_count,
		    (enum conf_tls_minimum)c->tls_minimum, role.arena, &error);
	/* The supervisor ends a generation that begins like this.  One that serves goes on: a
	 * crash while a pair is being replaced must not end the service. */
	if (r < 0)
		role_say_failed(error);
	if (r < 0 && role.single)
		return r;
	if ((roles_now & KURIR_ROLE_RELAY) && tls_client_init(c->tls_ca) < 0)
		(void)kurir_log(NULL, KURIR_WARN, 0,
		    "cannot read the authorities %.*s: no certificate of others will be trusted",
		    KURIR_ARG(c->tls_ca));
	return 0;
}

/* From the applied plan to the end of the process. */
int role_live(void)
{
	static struct loop_fd signals = { .ready = role_signalled };
	struct kurir_group *g;
	int r;

	/* What is large is given back when it is freed.  Left alone, malloc() takes it from its
	 * heap once it was, and keeps it there. */
	(void)mallopt(M_MMAP_THRESHOLD, LARGE);
	role.since = kurir_now();
	role.arena = kurir_arena_new("role");
	role.ordered = kurir_signal_new(role.arena);
	role_endpoints();
	call_hold(true);
	r = spawn_signals(&signals);
	if (r >= 0 && !role.single)
		r = role_control_begin();
	if (r >= 0)
		r = role_keys();
	if (r >= 0)
		r = sandbox_enter(role.plan, roles_now);
	if (r < 0)
		return 1;
	g = kurir_group_begin(NULL);
	r = kurir_group_go(g, "main", role_main, NULL);
	if (r < 0) {
		(void)kurir_log(NULL, KURIR_ERROR, r, "cannot begin");
		return 1;
	}
	loop_run();
	channel_free_all();
	call_reset();
	log_flush();
	return role.status;
}

static int complain(struct kurir_str text)
{
	(void)!write(STDERR_FILENO, text.ptr, text.len);
	if (text.len == 0 || text.ptr[text.len - 1] != '\n')
		(void)!write(STDERR_FILENO, "\n", 1);
	return 1;
}

/* Reads and carries out a plan; its values are in use from then on. */
int role_apply(struct kurir_str text, uint32_t roles)
{
	struct kurir_arena *arena = kurir_arena_new("plan");
	struct kurir_str error = KURIR_STR("");
	struct plan *p;
	int r = plan_read(text, arena, &p, &error);

	if (r < 0)
		return complain(error);
	role.plan = p;
	loop_init(false);
	(void)log_open((enum log_target)p->conf.log_to, (enum log_format)p->conf.log_format,
	    (enum kurir_level)p->conf.log_level);
	r = plan_apply(p, roles, arena, &error);
	if (r >= 0) {
		kurir_arena_free(arena);
		return 0;
	}
	role_say_failed(error);
	return complain(error);
}

int role_run_single(const char *file)
{
	struct report report = REPORT();
	struct plan *p = plan_make(file, true, &report);
	int r = p == NULL ? complain(kurir_buf_str(&report.text)) : 0, lock;

	kurir_buf_free(&report.text);
	if (p == NULL)
		return r;
	role.single = true;
	role.order = ROLE_SERVE;
	log_set_role("kurird");
	role_set(KURIR_ROLE_ALL, 0);
	r = role_make_folders(p);
	if (r >= 0)
		r = role_lock_state(p, &lock);
	if (r == -EBUSY)
		(void)complain(KURIR_STR("kurird: another server has the state folder"));
	if (r < 0 || role_apply(p->text, KURIR_ROLE_ALL) != 0)
		return 1;
	r = role_live();
	plan_free(p);
	(void)close(lock);
	return r;
}
