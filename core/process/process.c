/* process.c - one process of the server, as the supervisor sees it. */
#include "generation.h"
#include "planner.h"
#include "role.h"
#include "spawn.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUICK	     1000 /* ms: a crash this soon after the start makes the next start wait */
#define BACKOFF	     50	  /* ms, doubled each time */
#define BACKOFF_MAX  10000
#define KILL_AFTER   2000 /* ms beyond its limit */
#define CONTROL_ROOM (1 << 20)
#define HEAR_BURST   64 /* packets, then the others have their turn */
#define LOST_MAX     20
#define WATCH	     1000 /* ms */

#define CONTAINER(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

const char *const process_state_names[] = { "down", "starting", "ready", "ending" };

/* Who calls whom; answers go back on the same channel. */
static const uint32_t calls[CONF_ROLES] = {
	/* edge */ KURIR_ROLE_QUEUE | KURIR_ROLE_RESOLVER | KURIR_ROLE_AUTH | KURIR_ROLE_ACCESS |
	    KURIR_ROLE_CONTROL | KURIR_ROLE_WORKER,
	/* queue */ KURIR_ROLE_RESOLVER | KURIR_ROLE_RELAY | KURIR_ROLE_STORE |
	    KURIR_ROLE_CONTROL,
	/* resolver */ KURIR_ROLE_CONTROL,
	/* relay */ KURIR_ROLE_QUEUE | KURIR_ROLE_RESOLVER | KURIR_ROLE_CONTROL,
	/* store */ KURIR_ROLE_QUEUE | KURIR_ROLE_STORE | KURIR_ROLE_ACCESS | KURIR_ROLE_CONTROL |
	    KURIR_ROLE_RESOLVER,
	/* access */ KURIR_ROLE_STORE | KURIR_ROLE_AUTH | KURIR_ROLE_CONTROL |
	    KURIR_ROLE_RESOLVER | KURIR_ROLE_QUEUE | KURIR_ROLE_ACCESS,
	/* auth */ KURIR_ROLE_RESOLVER | KURIR_ROLE_CONTROL,
	/* control */ KURIR_ROLE_ALL & ~KURIR_ROLE_CONTROL,
	/* worker */ KURIR_ROLE_RESOLVER | KURIR_ROLE_CONTROL,
};

static bool acquainted(const struct process *a, const struct process *b)
{
	/* Workers know the sessions of their own generation's edges. */
	if (a->of != b->of && (a->role | b->role) == (KURIR_ROLE_EDGE | KURIR_ROLE_WORKER))
		return false;
	return a != b &&
	    ((calls[__builtin_ctz(a->role)] & b->role) ||
		(calls[__builtin_ctz(b->role)] & a->role));
}

/* What it still says does not count. */
static void process_kill(struct process *p, const char *why)
{
	if (p->killed)
		return;
	p->killed = true;
	(void)kurir_log(
	    NULL, KURIR_ERROR, 0, "%s (%d) %s, killing it", p->name, (int)p->pid, why);
	(void)kill(p->pid, SIGKILL);
}

static void process_say(struct process *p, const struct wire *w)
{
	int r;

	if (p->control.fd < 0)
		return;
	r = wire_send(p->control.fd, w);
	if (r == -EAGAIN)
		process_kill(p, "does not listen any more");
}

/* In whose address book the other one stands: those of the generation that serves are in all of
 * them; before it serves, in its own. */
static bool knows(const struct process *a, const struct process *b)
{
	const struct generation *g = generation_newest;

	while (g != NULL && !g->serving)
		g = g->older;
	return b->of == g || (a->of == b->of && !a->of->serving);
}

/* count 0 for who shall only be reachable. */
static void process_introduce(struct process *a, struct process *b)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		(void)kurir_log(
		    NULL, KURIR_ERROR, -errno, "cannot connect %s and %s", a->name, b->name);
		return;
	}
	process_say(a,
	    &(struct wire){ .kind = WIRE_PEER,
		.role = b->role,
		.index = b->index,
		.count = knows(a, b) ? b->count : 0,
		.value = b->pid,
		.fd = pair[0] });
	process_say(b,
	    &(struct wire){ .kind = WIRE_PEER,
		.role = a->role,
		.index = a->index,
		.count = knows(b, a) ? a->count : 0,
		.value = a->pid,
		.fd = pair[1] });
	(void)close(pair[0]);
	(void)close(pair[1]);
}

void process_wire(struct process *p)
{
	for (struct process *q = p->of->processes; q != NULL; q = q->next)
		if (q->pid > 0 && acquainted(p, q))
			process_introduce(p, q);
	if (!p->of->serving)
		return;
	for (struct generation *g = p->of->older; g != NULL; g = g->older)
		for (struct process *q = g->processes; q != NULL; q = q->next)
			if (q->pid > 0 && acquainted(p, q))
				process_introduce(p, q);
}

void generation_rewire(struct generation *older, struct generation *newer)
{
	for (struct process *o = older->processes; o != NULL; o = o->next)
		for (struct process *n = newer->processes; n != NULL; n = n->next)
			if (o->pid > 0 && n->pid > 0 && acquainted(o, n))
				process_introduce(o, n);
}

static struct process *process_find(pid_t pid)
{
	for (struct generation *g = generation_newest; g != NULL; g = g->older)
		for (struct process *p = g->processes; p != NULL; p = p->next)
			if (p->pid == pid)
				return p;
	return NULL;
}

/* Two who live get another channel in place of one that was closed.  Where that happens again
 * and again, one of them is not itself any more: who complains of many or of whom many complain,
 * and both where it is nobody else's word.  The others then begin anew. */
static void process_lost(struct process *p, struct process *q)
{
	if (q == NULL || q->pid <= 0 || q->killed || !acquainted(p, q))
		return;
	if (++p->lost > LOST_MAX)
		process_kill(p, "understands others no more");
	if (++q->lost > LOST_MAX)
		process_kill(q, "is not understood any more");
	if (!p->killed && !q->killed) {
		process_introduce(p, q);
		return;
	}
	for (struct generation *g = generation_newest; g != NULL; g = g->older)
		for (struct process *o = g->processes; o != NULL; o = o->next)
			o->lost = 0;
}

static void process_heard(struct process *p, const struct wire *w)
{
	if (w->fd >= 0)
		(void)close(w->fd);
	p->heard = kurir_now();
	if (w->kind == WIRE_READY)
		supervisor_ready(p);
	else if (w->kind == WIRE_FAILED)
		supervisor_failed(p, w->text);
	else if (w->kind == WIRE_LOST)
		process_lost(p, process_find((pid_t)w->value));
	else if (w->kind == WIRE_COMMAND && p->role == KURIR_ROLE_CONTROL)
		supervisor_command(p, w->value, w->text);
}

static void process_hear(struct loop_fd *f, uint32_t events)
{
	static char space[WIRE_TEXT_MAX];
	struct process *p = CONTAINER(f, struct process, control);

	(void)events;
	for (unsigned i = 0; i < HEAR_BURST && !p->killed; i++) {
		struct wire w;
		int r = wire_receive(f->fd, space, &w);

		if (r == 1)
			process_heard(p, &w);
		else if (r == -EBADMSG)
			process_kill(p, "says what nobody understands");
		else if (r != -EAGAIN) /* when it is dead SIGCHLD says so */
			loop_fd_remove(f);
		if (r != 1)
			return;
	}
	if (!p->killed)
		(void)loop_fd_change(f, EPOLLIN); /* tells of what is left */
}

/* One whose loop does not turn can do nothing, and never will: a module spins, or waits for what
 * does not come.  A worker has an alarm of its own for that, and who begins or ends has other
 * limits.  When it is us who were stopped the others had no chance to be heard. */
static void watch(struct loop_timer *t)
{
	static kurir_time before;
	kurir_time now = kurir_now();
	bool late = before > 0 && now > before + 2 * WATCH;

	before = now;
	for (struct generation *g = generation_newest; g != NULL; g = g->older)
		for (struct process *p = g->processes; p != NULL; p = p->next) {
			if (late || p->state != PROCESS_READY)
				p->heard = now;
			else if (p->role != KURIR_ROLE_WORKER &&
			    now > p->heard + g->plan->conf.limit_silence)
				process_kill(p, "hangs");
		}
	loop_timer_set(t, now + WATCH, watch);
}

void process_watch(void)
{
	static struct loop_timer timer;

	watch(&timer);
}

static int process_spawn(struct process *p, int plan_fd, int control_fd)
{
	struct generation *g = p->of;
	char index[12];
	const char *args[] = { "--role", conf_role_names[__builtin_ctz(p->role)], "--index",
		index, NULL };
	unsigned n = p->role == KURIR_ROLE_EDGE ? g->listener_count : 0;
	int *fds = calloc(n + 3, sizeof(int)), r;

	if (fds == NULL)
		return -ENOMEM;
	(void)snprintf(index, sizeof(index), "%u", p->index);
	fds[0] = control_fd;
	fds[1] = plan_fd;
	fds[2] = g->lock;
	for (unsigned i = 0; i < n; i++)
		fds[i + 3] = g->listeners[i];
	r = spawn_self(
	    &(struct spawn){ .args = args, .fds = fds, .fd_count = n + 3, .out = -1, .err = -1 },
	    &p->pid);
	free(fds);
	return r;
}

static void process_again(struct loop_timer *t)
{
	process_start(CONTAINER(t, struct process, again));
}

void process_start(struct process *p)
{
	struct kurir_arena *arena = kurir_arena_new("spawn");
	int pair[2] = { -1, -1 }, plan_fd = -1, room = CONTROL_ROOM, r;

	p->started = kurir_now();
	r = spawn_memory(plan_for_role(p->of->plan, arena, p->role, p->index), &plan_fd);
	if (r >= 0 &&
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		r = -errno;
	if (r >= 0) {
		(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
		r = process_spawn(p, plan_fd, pair[1]);
	}
	kurir_arena_free(arena);
	if (plan_fd >= 0)
		(void)close(plan_fd);
	if (pair[1] >= 0)
		(void)close(pair[1]);
	if (r < 0) {
		if (pair[0] >= 0)
			(void)close(pair[0]);
		(void)kurir_log(
		    NULL, KURIR_ERROR, r, "cannot start %s, trying again in a second", p->name);
		loop_timer_set(&p->again, kurir_now() + 1000, process_again);
		return;
	}
	p->control.fd = pair[0];
	p->control.ready = process_hear;
	p->state = PROCESS_STARTING;
	p->gone = p->killed = false;
	p->lost = 0;
	(void)loop_fd_add(&p->control, EPOLLIN);
	process_wire(p);
	process_go(p);
}

/* The queue and the mailboxes have one owner: a successor waits for the predecessor's end, also
 * when that one has just crashed and will be started again. */
void process_go(struct process *p)
{
	if (p->gone || p->pid <= 0)
		return;
	if (p->role & ROLE_EXCLUSIVE)
		for (struct generation *g = p->of->older; g != NULL; g = g->older)
			if (generation_has(g, p->role, g->ending))
				return;
	p->gone = true;
	process_say(p, &(struct wire){ .kind = WIRE_GO, .fd = -1 });
	if (p->of->serving)
		process_say(p, &(struct wire){ .kind = WIRE_SERVE, .fd = -1 });
}

static void process_overdue(struct loop_timer *t)
{
	struct process *p = CONTAINER(t, struct process, limit);

	if (p->pid > 0)
		process_kill(p, "did not end in time");
}

void process_end(struct process *p, uint32_t kind, kurir_time limit, unsigned quiet)
{
	loop_timer_clear(&p->again);
	p->state = p->pid > 0 ? PROCESS_ENDING : PROCESS_DOWN;
	if (p->pid <= 0)
		return;
	process_say(p, &(struct wire){ .kind = kind, .value = limit, .count = quiet, .fd = -1 });
	loop_timer_set(&p->limit, kurir_now() + limit + KILL_AFTER, process_overdue);
}

static void process_explain(const struct process *p, int status)
{
	if (p->state == PROCESS_ENDING && status == 0)
		return;
	if (WIFSIGNALED(status))
		(void)kurir_log(NULL, KURIR_ERROR, 0, "%s (%d) was killed by signal %d (%s)",
		    p->name, (int)p->pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		(void)kurir_log(NULL, KURIR_ERROR, 0, "%s (%d) ended by itself with status %d",
		    p->name, (int)p->pid, WEXITSTATUS(status));
}

static void process_exited(struct process *p, int status)
{
	kurir_time lived = kurir_now() - p->started, wait = 0;
	bool was_ending = p->state == PROCESS_ENDING;

	process_explain(p, status);
	loop_timer_clear(&p->limit);
	loop_fd_remove(&p->control);
	(void)close(p->control.fd);
	p->control.fd = -1;
	p->pid = 0;
	p->state = PROCESS_DOWN;
	if (!was_ending && p->of->serving && !p->of->ending) {
		p->quick = lived < QUICK ? p->quick + 1 : 0;
		if (p->quick > 1)
			wait = (kurir_time)BACKOFF << (p->quick < 10 ? p->quick - 2 : 8);
		if (wait > BACKOFF_MAX)
			wait = BACKOFF_MAX;
		p->restarts++;
		if (wait > 0) {
			(void)kurir_log(NULL, KURIR_WARN, 0,
			    "%s keeps crashing, starting it again in %lld ms", p->name,
			    (long long)wait);
			loop_timer_set(&p->again, kurir_now() + wait, process_again);
		} else {
			process_start(p);
		}
	}
	supervisor_exited(p);
}

void process_reap(void)
{
	for (;;) {
		siginfo_t info = { 0 };
		struct process *p;
		int status;

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
			return;
		p = process_find(info.si_pid);
		if (waitpid(info.si_pid, &status, WNOHANG) <= 0)
			return;
		if (p != NULL)
			process_exited(p, status);
		else
			(void)planner_exited(info.si_pid, status);
	}
}
