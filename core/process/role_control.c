/* role_control.c - a role process's end of the supervisor's wire. */
#include "channel.h"
#include "fiber.h"
#include "json.h"
#include "log.h"
#include "loop.h"
#include "role_private.h"
#include "tls.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLAN_MAX   ((size_t)64 << 20)
#define FULL_AGAIN 100 /* ms, when descriptors are short */

/* A fiber that waits for the supervisor's answer. */
struct command {
	struct command *next;
	int64_t id;
	struct fiber *fiber;
	struct kurir_arena *arena;
	struct kurir_str answer;
	bool done;
};
static struct command *commands;
static struct loop_fd control;

static void role_lost(int64_t peer)
{
	(void)wire_send(
	    ROLE_FD_CONTROL, &(struct wire){ .kind = WIRE_LOST, .value = peer, .fd = -1 });
}

static void role_peer(const struct wire *w)
{
	struct channel *c = NULL;
	char label[32];
	unsigned bit = (unsigned)__builtin_ctz(w->role | 1u << CONF_ROLES);

	if (bit >= CONF_ROLES)
		return;
	(void)snprintf(label, sizeof(label), "%s-%u", conf_role_names[bit], w->index);
	if (w->fd >= 0)
		c = channel_new(w->fd, label);
	if (c != NULL)
		channel_watch(c, role_lost, w->value);
	if (c != NULL && w->role == KURIR_ROLE_CONTROL)
		channel_admit(c);
	if (w->count > 0) /* 0: someone of an older generation, who only calls us */
		channel_book_set(w->role, w->index, w->count, c);
}

/* All of a memory file of the supervisor's, which is closed. */
static int slurp(int fd, struct kurir_arena *arena, struct kurir_str *ret)
{
	struct stat st;
	int r = json_slurp_fd(arena, fd, PLAN_MAX, ret, &st);

	(void)close(fd);
	return r;
}

static void role_answered(const struct wire *w)
{
	struct command *c = commands;

	while (c != NULL && c->id != w->value)
		c = c->next;
	if (c == NULL && w->fd >= 0)
		(void)close(w->fd);
	if (c == NULL || w->fd < 0 || slurp(w->fd, c->arena, &c->answer) < 0)
		return;
	c->done = true;
	fiber_wake(c->fiber, 0);
}

static void role_ordered(const struct wire *w)
{
	kurir_time until = kurir_now() + w->value;

	switch (w->kind) {
	case WIRE_PEER:
		role_peer(w);
		break;
	case WIRE_GO:
		role_order(ROLE_GO, 0);
		break;
	case WIRE_SERVE:
		role_order(ROLE_SERVE, 0);
		break;
	case WIRE_DRAIN:
		role_order(ROLE_DRAIN, until);
		break;
	case WIRE_STOP:
		role_order(ROLE_STOP, until);
		break;
	case WIRE_ANSWER:
		role_answered(w);
		break;
	case WIRE_KEY:
		tls_server_offer(w->index, w->count != 0, w->fd);
		break;
	default:
		break;
	}
}

static void role_control_again(struct loop_timer *t)
{
	(void)t;
	control.ready(&control, 0);
}

/* A descriptor gives its place to the one that an order may bring: who has no room for that would
 * never reach a process that was started anew.  Without the next one no further order is read. */
static void role_control_ready(struct loop_fd *f, uint32_t events)
{
	static char space[WIRE_TEXT_MAX];
	static struct loop_timer again;
	static int spare = -1;

	(void)events;
	for (;;) {
		struct wire w;
		int r;

		if (spare < 0 && (spare = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)) < 0) {
			loop_timer_set(&again, kurir_now() + FULL_AGAIN, role_control_again);
			return;
		}
		(void)close(spare);
		r = wire_receive(f->fd, space, &w);
		spare = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
		if (r == -EAGAIN)
			return;
		if (r <= 0) {
			/* Without its supervisor a process ends, as if it had been told to. */
			loop_fd_remove(f);
			role_order(ROLE_STOP, kurir_now());
			return;
		}
		role_ordered(&w);
	}
}

int role_control_begin(void)
{
	control.fd = ROLE_FD_CONTROL;
	control.ready = role_control_ready;
	tls_server_follow();
	return loop_fd_add(&control, EPOLLIN | EPOLLRDHUP | EPOLLET);
}

/* Says that the loop turns. */
static void role_say_alive(struct loop_timer *t)
{
	(void)wire_send(ROLE_FD_CONTROL, &(struct wire){ .kind = WIRE_ALIVE, .fd = -1 });
	loop_timer_set(t, kurir_now() + role.plan->conf.limit_silence / 4, role_say_alive);
}

void role_say_ready(void)
{
	static struct loop_timer alive;

	if (role.single) {
		(void)kurir_log(NULL, KURIR_NOTICE, 0, "ready");
		log_flush();
		return;
	}
	(void)wire_send(ROLE_FD_CONTROL, &(struct wire){ .kind = WIRE_READY, .fd = -1 });
	role_say_alive(&alive);
}

void role_say_failed(struct kurir_str why)
{
	if (!role.single)
		(void)wire_send(ROLE_FD_CONTROL,
		    &(struct wire){ .kind = WIRE_FAILED, .text = why, .fd = -1 });
}

KURIR_PARKS static int role_ask(
    struct kurir_str text, kurir_time until, struct kurir_arena *arena, struct kurir_str *ret)
{
	static int64_t serial;
	struct command c = {
		.next = commands, .id = ++serial, .fiber = fiber_self(), .arena = arena
	};
	struct command **p = &commands;
	int r = wire_send(ROLE_FD_CONTROL,
	    &(struct wire){ .kind = WIRE_COMMAND, .value = c.id, .text = text, .fd = -1 });

	if (r < 0)
		return r;
	commands = &c;
	while (!c.done && r >= 0)
		r = fiber_park(until);
	while (*p != &c)
		p = &(*p)->next;
	*p = c.next;
	if (!c.done)
		return r;
	*ret = c.answer;
	return 0;
}

KURIR_PARKS int role_command(
    struct kurir_str command, kurir_time until, struct kurir_arena *arena, struct kurir_str *ret)
{
	if (!role.single)
		return role_ask(command, until, arena, ret);
	if (kurir_str_equal(command, KURIR_STR("stop"))) {
		role_order(ROLE_DRAIN, kurir_now() + 2000);
		*ret = KURIR_STR("{\"text\": \"stopping\"}");
	} else if (kurir_str_equal(command, KURIR_STR("status"))) {
		*ret = kurir_format(arena,
		    "{\"supervisor\": %d, \"up\": %lld, \"generation\": 1, \"processes\": "
		    "[{\"role\": \"all\", \"index\": 0, \"pid\": %d, \"state\": \"ready\", "
		    "\"restarts\": 0, \"generation\": 1, \"up\": %lld}]}",
		    (int)getpid(), (long long)(kurir_now() - role.since), (int)getpid(),
		    (long long)(kurir_now() - role.since));
	} else if (kurir_str_equal(command, KURIR_STR("modules"))) {
		struct kurir_buf b = KURIR_BUF(WIRE_TEXT_MAX);

		role_show_modules(role.plan, &b);
		*ret = kurir_copy(arena, kurir_buf_str(&b));
		kurir_buf_free(&b);
	} else {
		*ret =
		    KURIR_STR("{\"error\": \"one process cannot replace itself: restart it\"}");
	}
	return 0;
}

int role_run(uint32_t bit, unsigned index)
{
	static char name[32];
	struct kurir_arena *arena = kurir_arena_new("plan text");
	struct kurir_str text;

	(void)snprintf(name, sizeof(name), "%s-%u", conf_role_names[__builtin_ctz(bit)], index);
	log_set_role(name);
	role_set(bit, index);
	if (slurp(ROLE_FD_PLAN, arena, &text) < 0 || role_apply(text, bit) != 0)
		return 1;
	kurir_arena_free(arena);
	return role_live();
}
