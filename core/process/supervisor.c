/* supervisor.c - the watch over all processes: start, reload by generation, stop.
 * Holds no module and reads no byte from the network.  Everything happens in callbacks of the
 * loop; there are no fibers here. */
#include "supervisor.h"
#include "generation.h"
#include "log.h"
#include "notify.h"
#include "planner.h"
#include "quote.h"
#include "role.h"
#include "spawn.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_LIMIT 60000 /* ms until a new generation must be ready */
#define LOCK_AGAIN  100	  /* ms until an earlier server's processes may have ended */
#define LOCK_TRIES  300
#define STOP_LIMIT  5000 /* ms for sessions when the server stops */
#define ANSWER_MAX  (1u << 20)
#define QUIET	    5 /* ticks an ending process still listens to those who do not know yet */

enum stop_phase { STOP_NOT, STOP_SESSIONS, STOP_WRITERS, STOP_REST };

static struct {
	const char *file;
	struct generation *coming; /* starting, not yet serving */
	struct loop_timer limit;
	enum stop_phase stopping;
	int status;
	/* Who asked for the reload: answered when it is settled. */
	struct process *asker;
	int64_t ask_id;
	pid_t asker_pid;
	kurir_time since;
	bool again; /* SIGHUP came while a reload was under way */
	unsigned lock_tries;
} super;

static void supervisor_stop(void);
static int supervisor_reload(void);

/* In a memory file: the status of many processes is longer than a packet may be. */
static void answer(struct process *p, int64_t id, struct kurir_str text)
{
	int fd = -1;

	if (p->control.fd < 0 || spawn_memory(text, &fd) < 0)
		return;
	(void)wire_send(
	    p->control.fd, &(struct wire){ .kind = WIRE_ANSWER, .value = id, .fd = fd });
	(void)close(fd);
}

/* {"error": "..."} or {"text": "..."} with the text escaped. */
static void settle(const char *member, struct kurir_str text)
{
	struct kurir_buf b = KURIR_BUF(ANSWER_MAX);

	if (super.asker == NULL || super.asker->pid != super.asker_pid)
		return;
	(void)kurir_buf_printf(&b, "{\"%s\": ", member);
	quote_json(&b, kurir_str_part(text, 0, ANSWER_MAX / 7)); /* \u00xx is the worst */
	(void)kurir_buf_add(&b, KURIR_STR("}"));
	answer(super.asker, super.ask_id, kurir_buf_str(&b));
	kurir_buf_free(&b);
	super.asker = NULL;
}

/* Edge and access first, then who writes, then who helped them. */
static void stop_next(void)
{
	static const uint32_t phases[] = { 0, KURIR_ROLE_EDGE | KURIR_ROLE_ACCESS,
		KURIR_ROLE_QUEUE | KURIR_ROLE_STORE, KURIR_ROLE_ALL };

	while (super.stopping != STOP_NOT) {
		for (struct generation *g = generation_newest; g != NULL; g = g->older)
			if (generation_has(g, phases[super.stopping], true))
				return;
		if (super.stopping == STOP_REST) {
			loop_stop();
			return;
		}
		super.stopping++;
		for (struct generation *g = generation_newest; g != NULL; g = g->older)
			for (struct process *p = g->processes; p != NULL; p = p->next)
				if (p->role & phases[super.stopping])
					process_end(p, WIRE_DRAIN,
					    super.stopping == STOP_REST ? 500 : STOP_LIMIT, 1);
	}
}

/* After anything that ended: successors go, and generations without processes are no more. */
static void sweep(void)
{
	for (struct generation *g = generation_newest, *older; g != NULL; g = older) {
		older = g->older;
		for (struct process *p = g->processes; p != NULL; p = p->next)
			process_go(p);
		if (!g->ending || generation_has(g, KURIR_ROLE_ALL, true) ||
		    super.stopping != STOP_NOT || (g == generation_newest && older == NULL))
			continue;
		if (g->serving)
			(void)kurir_log(
			    NULL, KURIR_INFO, 0, "generation %u has ended", g->number);
		generation_free(g);
	}
	stop_next();
}

/* What was written since the last reload began is not left for a later one. */
static void again(void)
{
	if (super.again && super.stopping == STOP_NOT && super.status == 0) {
		super.again = false;
		(void)supervisor_reload();
	}
}

static void refuse(struct kurir_str why)
{
	bool first = true;

	for (const struct generation *g = generation_newest; g != NULL; g = g->older)
		first = first && !g->serving;
	while (why.len > 0 && why.ptr[why.len - 1] == '\n')
		why.len--;
	if (!first)
		(void)kurir_log(NULL, KURIR_ERROR, 0,
		    "the new configuration was refused, the old one goes on: %.*s",
		    KURIR_ARG(kurir_str_part(why, 0, 2000)));
	settle("error", why);
	if (!first)
		notify_send("READY=1");
	log_flush();
	again();
}

/* The new generation serves; what is older finishes and ends. */
static void supervisor_commit(void)
{
	struct generation *g = super.coming;
	char text[96];
	int n;

	super.coming = NULL;
	loop_timer_clear(&super.limit);
	g->serving = true;
	for (struct generation *o = g->older; o != NULL; o = o->older)
		generation_rewire(o, g);
	for (struct process *p = g->processes; p != NULL; p = p->next)
		if (p->gone)
			(void)wire_send(
			    p->control.fd, &(struct wire){ .kind = WIRE_SERVE, .fd = -1 });
	n = snprintf(text, sizeof(text), "generation %u is serving", g->number);
	(void)kurir_log(NULL, KURIR_NOTICE, 0, "%s", text);
	if (super.asker != NULL)
		settle("text", (struct kurir_str){ text, (size_t)n });
	for (struct generation *o = g->older; o != NULL; o = o->older) {
		if (o->ending)
			continue;
		o->ending = true;
		for (struct process *p = o->processes; p != NULL; p = p->next)
			process_end(p, WIRE_DRAIN, o->plan->conf.limit_drain, QUIET);
	}
	sweep();
	notify_send("READY=1");
	log_flush();
	again();
}

/* Those that can be ready before their predecessors have ended are. */
static bool coming_ready(const struct generation *g)
{
	for (const struct process *p = g->processes; p != NULL; p = p->next)
		if (p->state != PROCESS_READY && p->gone)
			return false;
		else if (p->pid <= 0)
			return false;
	return true;
}

static void coming_drop(struct kurir_str why)
{
	struct generation *g = super.coming;

	super.coming = NULL;
	loop_timer_clear(&super.limit);
	g->ending = true;
	refuse(why);
	for (struct process *p = g->processes; p != NULL; p = p->next)
		process_end(p, WIRE_STOP, 1000, 0);
	if (g->older == NULL) {
		super.status = 1;
		super.stopping = STOP_REST;
	}
}

/* A first start takes as long as it takes: a long queue has to be read.  A reload has the old
 * generation to go back to. */
static void coming_overdue(struct loop_timer *t)
{
	struct generation *g = super.coming;
	struct kurir_buf why = KURIR_BUF(4096);

	for (const struct process *p = g->processes; p != NULL; p = p->next)
		if (p->state != PROCESS_READY && p->gone)
			(void)kurir_buf_printf(&why, "%s%s", why.len > 0 ? ", " : "", p->name);
	(void)kurir_buf_printf(&why, ": not ready after a minute");
	if (g->older != NULL) {
		coming_drop(kurir_buf_str(&why));
	} else {
		(void)kurir_log(NULL, KURIR_WARN, 0, "%s, still waiting", why.ptr);
		loop_timer_set(t, kurir_now() + START_LIMIT, coming_overdue);
		log_flush();
	}
	kurir_buf_free(&why);
}

void supervisor_ready(struct process *p)
{
	if (p->state != PROCESS_STARTING)
		return;
	p->state = PROCESS_READY;
	if (p->restarts > 0 && p->of->serving)
		(void)kurir_log(
		    NULL, KURIR_NOTICE, 0, "%s is back as process %d", p->name, (int)p->pid);
	if (super.coming != NULL && super.coming == p->of && coming_ready(super.coming))
		supervisor_commit();
	log_flush();
}

void supervisor_failed(struct process *p, struct kurir_str why)
{
	(void)kurir_log(NULL, KURIR_ERROR, 0, "%s: %.*s", p->name, KURIR_ARG(why));
	if (super.coming == p->of && !p->of->ending)
		coming_drop(why);
	log_flush();
}

void supervisor_exited(struct process *p)
{
	struct generation *g = p->of;

	if (super.asker == p)
		super.asker = NULL;
	if (super.coming == g && p->state == PROCESS_DOWN && !g->ending) {
		char why[96];

		(void)snprintf(why, sizeof(why), "%s could not start, the log says why", p->name);
		coming_drop(kurir_str_of(why));
	}
	sweep();
	log_flush();
}

static bool stays_root(const struct plan *plan)
{
	for (unsigned i = 0; i < CONF_ROLES; i++)
		if ((plan->roles & 1u << i) && plan->conf.users[i].len == 0 &&
		    plan->conf.users_default.len == 0)
			return true;
	return false;
}

static void begin_again(struct loop_timer *t)
{
	(void)t;
	if (supervisor_reload() < 0) {
		super.status = 1;
		loop_stop();
	}
}

/* Whoever was killed leaves processes that end by themselves: a first start waits for them. */
static bool lock_awaited(bool first, struct kurir_str why)
{
	if (!first || super.lock_tries >= LOCK_TRIES)
		return false;
	if (super.lock_tries++ == 0)
		(void)kurir_log(NULL, KURIR_NOTICE, 0, "%.*s, waiting", KURIR_ARG(why));
	loop_timer_set(&super.limit, kurir_now() + LOCK_AGAIN, begin_again);
	return true;
}

static void planned(int status, struct kurir_str text, struct kurir_str complaints)
{
	struct kurir_arena *arena = kurir_arena_new("planned");
	struct kurir_buf why = KURIR_BUF(65536);
	struct generation *g;
	struct kurir_str error;
	struct plan *plan;
	bool first = generation_newest == NULL;
	int r;

	if (super.stopping != STOP_NOT)
		goto out; /* nobody waits for it any more */
	if (status == 0 && complaints.len > 0)
		(void)!write(STDERR_FILENO, complaints.ptr, complaints.len); /* warnings */
	if (status != 0) {
		(void)kurir_buf_add(
		    &why, complaints.len > 0 ? complaints : KURIR_STR("the planner crashed"));
		if (first)
			(void)!write(STDERR_FILENO, why.ptr, why.len);
		goto out;
	}
	if (plan_read(text, arena, &plan, &error) < 0) {
		(void)kurir_buf_add(&why, error);
		goto out;
	}
	if (first)
		(void)log_open((enum log_target)plan->conf.log_to,
		    (enum log_format)plan->conf.log_format,
		    (enum kurir_level)plan->conf.log_level);
	if (geteuid() == 0 && stays_root(plan))
		(void)kurir_log(NULL, KURIR_WARN, 0,
		    "not every process has a user of its own and leaves root: see \"users\" in "
		    "the configuration");
	r = generation_new(plan, &why, &g);
	if (r < 0) {
		if (r == -EBUSY && lock_awaited(first, kurir_buf_str(&why)))
			kurir_buf_clear(&why);
		else if (first)
			(void)kurir_log(
			    NULL, KURIR_ERROR, 0, "%.*s", KURIR_ARG(kurir_buf_str(&why)));
		goto out;
	}
	super.coming = g;
	loop_timer_set(&super.limit, kurir_now() + START_LIMIT, coming_overdue);
	generation_start(g);
out:
	if (why.len > 0) {
		refuse(kurir_buf_str(&why));
		if (first) {
			super.status = 1;
			loop_stop();
		}
	}
	kurir_buf_free(&why);
	kurir_arena_free(arena);
}

static int supervisor_reload(void)
{
	int r;

	if (super.coming != NULL || super.stopping != STOP_NOT)
		return -EBUSY;
	r = planner_start(super.file, planned);
	if (r >= 0 && generation_newest != NULL) {
		notify_send("RELOADING=1");
		(void)kurir_log(NULL, KURIR_NOTICE, 0, "reading %s again", super.file);
	}
	return r;
}

static void supervisor_stop(void)
{
	if (super.stopping != STOP_NOT) {
		for (struct generation *g = generation_newest; g != NULL; g = g->older)
			for (struct process *p = g->processes; p != NULL; p = p->next)
				process_end(p, WIRE_STOP, 500, 0);
		return;
	}
	(void)kurir_log(NULL, KURIR_NOTICE, 0, "stopping");
	notify_send("STOPPING=1");
	settle("error", KURIR_STR("the server is being stopped"));
	loop_timer_clear(&super.limit);
	super.coming = NULL;
	super.stopping = STOP_SESSIONS;
	for (struct generation *g = generation_newest; g != NULL; g = g->older) {
		g->ending = true;
		for (struct process *p = g->processes; p != NULL; p = p->next)
			if (p->pid <= 0)
				loop_timer_clear(&p->again);
			else if (p->role & (KURIR_ROLE_EDGE | KURIR_ROLE_ACCESS))
				process_end(p, WIRE_DRAIN, STOP_LIMIT, 1);
	}
	stop_next();
}

static void supervisor_status(struct kurir_buf *b)
{
	const char *comma = "";

	(void)kurir_buf_printf(b,
	    "{\"supervisor\": %d, \"up\": %lld, \"generation\": %u, \"processes\": [",
	    (int)getpid(), (long long)(kurir_now() - super.since),
	    generation_newest != NULL ? generation_newest->number : 0);
	for (struct generation *g = generation_newest; g != NULL; g = g->older)
		for (struct process *p = g->processes; p != NULL; p = p->next) {
			if (g->ending && p->pid == 0)
				continue;
			(void)kurir_buf_printf(b,
			    "%s{\"role\": \"%s\", \"index\": %u, \"pid\": %d, \"state\": \"%s\", "
			    "\"restarts\": %u, \"generation\": %u, \"up\": %lld}",
			    comma, conf_role_names[__builtin_ctz(p->role)], p->index, (int)p->pid,
			    process_state_names[p->state], p->restarts, g->number,
			    (long long)(kurir_now() - p->started));
			comma = ", ";
		}
	(void)kurir_buf_add(b, KURIR_STR("]}"));
}

void supervisor_command(struct process *p, int64_t id, struct kurir_str command)
{
	struct kurir_buf b = KURIR_BUF(ANSWER_MAX);

	if (kurir_str_equal(command, KURIR_STR("status"))) {
		supervisor_status(&b);
	} else if (kurir_str_equal(command, KURIR_STR("modules"))) {
		role_show_modules(p->of->plan, &b);
	} else if (kurir_str_equal(command, KURIR_STR("stop"))) {
		(void)kurir_buf_add(&b, KURIR_STR("{\"text\": \"stopping\"}"));
	} else if (kurir_str_equal(command, KURIR_STR("reload"))) {
		if (supervisor_reload() < 0) {
			(void)kurir_buf_add(
			    &b, KURIR_STR("{\"error\": \"a reload is under way already\"}"));
		} else {
			super.asker = p;
			super.asker_pid = p->pid;
			super.ask_id = id;
		}
	} else {
		(void)kurir_buf_add(&b, KURIR_STR("{\"error\": \"no such command\"}"));
	}
	if (b.len > 0)
		answer(p, id, kurir_buf_str(&b));
	kurir_buf_free(&b);
	if (kurir_str_equal(command, KURIR_STR("stop")))
		supervisor_stop();
	log_flush();
}

static void supervisor_signalled(struct loop_fd *f, uint32_t events)
{
	struct signalfd_siginfo s;

	(void)events;
	while (read(f->fd, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
		if (s.ssi_signo == SIGCHLD)
			process_reap();
		else if (s.ssi_signo == SIGHUP) {
			super.again = supervisor_reload() == -EBUSY;
		} else if (generation_newest == NULL) {
			loop_stop();
		} else {
			supervisor_stop();
		}
	}
	log_flush();
}

int supervisor_run(const char *file)
{
	static struct loop_fd signals = { .ready = supervisor_signalled };
	struct rlimit files;
	int r;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	super.file = file;
	super.since = kurir_now();
	log_set_role("kurird");
	loop_init(false);
	r = spawn_signals(&signals);
	if (r >= 0)
		r = supervisor_reload();
	process_watch();
	if (r < 0) {
		(void)kurir_log(NULL, KURIR_ERROR, r, "cannot begin");
		return 1;
	}
	loop_run();
	if (super.stopping != STOP_NOT && super.status == 0)
		(void)kurir_log(NULL, KURIR_NOTICE, 0, "stopped");
	log_flush();
	return super.status;
}
