/* control.c - the admin socket run/control: one JSON request a line, one JSON answer a line.
 *
 *   {"command": "queue", "args": ["list"]}    ->  {"text": "", "data": ...} or {"error": ""}
 *   {"command": "log", "args": ["-f"]}        ->  one event a line, until the client goes
 *
 * An answer with "failed": true tells of something bad: kurirctl prints it and exits with 1.
 * A command that is not built in goes to the endpoint "ctl." and its name.  Only the owner of the
 * server and its group can open the socket. */
#include "control.h"
#include "fiber.h"
#include "history.h"
#include "instance.h"
#include "log.h"
#include "loop.h"
#include "role.h"

#include <errno.h>
#include <kurir/stream.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_MAX_BYTES (KURIR_CALL_MAX - 4096) /* a message to simulate is in it */
#define ARGS_MAX       64
#define DEPTH_MAX      16
#define CLIENTS_MAX    64
#define CALL_TIME      30000
#define SLOW_TIME      90000
#define FOLLOW_WAIT    1000

static struct kurir_group *clients;
static unsigned client_count;
static struct loop_fd door = { .fd = -1 };
static struct sockaddr_un door_name;
static const char too_many[] = "{\"error\": \"too many others are asking\"}\n";

json_t *control_json(struct kurir_str s)
{
	return kurir_json_is_flat(s, DEPTH_MAX)
	    ? json_loadb(s.ptr, s.len, JSON_REJECT_DUPLICATES, NULL)
	    : NULL;
}

int control_parse(struct kurir_arena *arena, struct kurir_str line, struct control_request *ret,
    struct kurir_str *ret_error)
{
	json_t *top = control_json(line), *args, *v;
	const char *command = json_string_value(json_object_get(top, "command"));
	bool good;
	char *body;
	size_t i;
	int r = -EINVAL;

	if (top == NULL || command == NULL || strlen(command) > 64) {
		*ret_error =
		    KURIR_STR("a request is a line like {\"command\": \"status\", \"args\": []}");
		goto out;
	}
	args = json_object_get(top, "args");
	good = args == NULL || (json_is_array(args) && json_array_size(args) <= ARGS_MAX);
	json_array_foreach(args, i, v) good = good && json_is_string(v);
	if (!good) {
		*ret_error = KURIR_STR("\"args\" must be an array of at most 64 texts");
		goto out;
	}
	for (const char *p = command; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || *p == '-' || *p == '_')) {
			*ret_error = KURIR_STR("the name of a command has small letters only");
			goto out;
		}
	ret->command = kurir_copy(arena, kurir_str_of(command));
	v = json_pack("{s:o}", "args", args != NULL ? json_incref(args) : json_array());
	body = json_dumps(v, JSON_COMPACT);
	ret->body = kurir_copy(arena, kurir_str_of(body));
	free(body);
	json_decref(v);
	r = 0;
out:
	json_decref(top);
	return r;
}

KURIR_PARKS static int control_say(struct kurir_stream *s, struct kurir_str line)
{
	int r = kurir_write(s, line);

	if (r >= 0)
		r = kurir_write(s, KURIR_STR("\n"));
	return r < 0 ? r : kurir_flush(s, kurir_now() + CALL_TIME);
}

KURIR_PARKS static int control_error(struct kurir_stream *s, struct kurir_str sentence)
{
	json_t *v = json_pack("{s:s%}", "error", sentence.ptr, sentence.len);
	char *text = v != NULL ? json_dumps(v, JSON_COMPACT) : NULL;
	int r =
	    control_say(s, text != NULL ? kurir_str_of(text) : KURIR_STR("{\"error\": \"?\"}"));

	free(text);
	json_decref(v);
	return r;
}

/* One event, if there is one; -ENOENT.  Its memory is given back: a client may follow for
 * weeks. */
KURIR_PARKS static int control_next(struct kurir_stream *s, uint64_t *at)
{
	struct kurir_mark mark = kurir_mark(kurir_scratch());
	struct kurir_str line;
	uint64_t was = *at;
	int r = -ENOENT;

	if (history_next(at, kurir_scratch(), &line)) {
		r = 0;
		if (*at > was + 1)
			r = control_say(s,
			    kurir_format(kurir_scratch(),
				"{\"event\":\"missed\",\"count\":\"%llu\"}",
				(unsigned long long)(*at - was - 1)));
		if (r >= 0)
			r = control_say(s, line);
	}
	kurir_rewind(kurir_scratch(), mark);
	return r;
}

/* The events that are in memory. */
KURIR_PARKS static void control_events(struct kurir_stream *s)
{
	uint64_t at = 0;

	while (control_next(s, &at) >= 0)
		;
}

/* Events as they come, from now on. */
KURIR_PARKS static void control_follow(struct kurir_stream *s)
{
	uint64_t at = history_newest();
	struct kurir_str line;
	/* Tells a program that nothing which happens from now on will be missed. */
	int r = control_say(s, KURIR_STR("{\"event\":\"following\"}"));

	while (r >= 0) {
		do
			r = control_next(s, &at);
		while (r >= 0);
		if (r == -ENOENT)
			r = history_wait(at, kurir_now() + FOLLOW_WAIT);
		if (r == -ETIMEDOUT)
			r = kurir_peek(s, 0, &line, kurir_now()) == 0 ? -EPIPE : 0;
	}
}

KURIR_PARKS static int control_route(struct kurir_stream *s, const struct control_request *q)
{
	struct kurir_arena *arena = kurir_scratch();
	struct kurir_str name = kurir_format(arena, "ctl.%.*s", KURIR_ARG(q->command)), reply;
	bool slow = kurir_str_equal(q->command, KURIR_STR("reload")) ||
	    kurir_str_equal(q->command, KURIR_STR("explain"));
	int r;

	r = kurir_call(NULL,
	    &(struct kurir_request){ .endpoint = name.ptr, .body = q->body, .fd = -1 },
	    kurir_now() + (slow ? SLOW_TIME : CALL_TIME), arena, &reply);
	if (r >= 0 && reply.len > 0)
		return control_say(s, reply);
	if (r == -ENOENT)
		return control_error(s,
		    kurir_format(arena, "there is no command \"%.*s\"", KURIR_ARG(q->command)));
	if (r == -ETIMEDOUT)
		return control_error(s, KURIR_STR("no answer came in time"));
	return control_error(s,
	    kurir_format(
		arena, "the command failed: %s", r < 0 ? strerror(-r) : "it gave no answer"));
}

/* A line, which may be longer than what a stream keeps at once.  1, 0 at the end, -EMSGSIZE. */
KURIR_PARKS static int control_read(struct kurir_stream *s, struct kurir_buf *b)
{
	struct kurir_str in;
	ssize_t end = -1;
	int r = 1;

	while (end < 0 && r == 1) {
		r = kurir_peek(s, 0, &in, KURIR_FOREVER);
		if (r <= 0)
			break;
		end = kurir_str_find(in, '\n');
		in = kurir_str_part(in, 0, end < 0 ? in.len : (size_t)end + 1);
		if (kurir_buf_add(b, in) < 0)
			r = -EMSGSIZE;
		kurir_consume(s, in.len);
	}
	return r;
}

KURIR_PARKS static void control_client(void *arg)
{
	struct kurir_stream *s = arg;

	for (;;) {
		struct kurir_buf line = KURIR_BUF(LINE_MAX_BYTES);
		struct kurir_mark mark = kurir_mark(kurir_scratch());
		struct control_request q;
		struct kurir_str error;
		int r = control_read(s, &line);

		if (r == 1)
			r = control_parse(kurir_scratch(), kurir_buf_str(&line), &q, &error);
		else
			r = -EPIPE;
		kurir_buf_free(&line);
		if (r == -EPIPE)
			break;
		if (r < 0)
			r = control_error(s, error);
		else if (kurir_str_equal(q.command, KURIR_STR("log"))) {
			if (strstr(q.body.ptr, "\"-f\"") != NULL)
				control_follow(s);
			else
				control_events(s);
			r = -EPIPE;
		} else
			r = control_route(s, &q);
		kurir_rewind(kurir_scratch(), mark);
		if (r < 0)
			break;
	}
	kurir_close(s);
	client_count--;
}

static void control_knock(struct loop_fd *f, uint32_t events)
{
	(void)events;
	for (;;) {
		int fd = accept4(f->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		struct kurir_stream *s;

		if (fd < 0)
			return;
		if (client_count >= CLIENTS_MAX || clients == NULL) {
			(void)!write(fd, too_many, sizeof(too_many) - 1);
			(void)close(fd);
			continue;
		}
		if (kurir_stream_of(fd, &s) < 0)
			continue;
		client_count++;
		if (kurir_group_go(clients, "control", control_client, s) < 0) {
			kurir_close(s);
			client_count--;
		}
	}
}

/* Bound under another name first: there is always a whole socket where clients look. */
KURIR_PARKS int control_start(void)
{
	struct kurir_str run = role_plan()->conf.run;
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct kurir_str path = kurir_format(kurir_scratch(), "%.*s/control", KURIR_ARG(run));
	struct kurir_str fresh =
	    kurir_format(kurir_scratch(), "%.*s.%d", KURIR_ARG(path), (int)getpid());
	int r;

	if (fresh.len >= sizeof(un.sun_path))
		return kurir_log(NULL, KURIR_ERROR, -ENAMETOOLONG,
		    "the path %.*s is too long for a socket", KURIR_ARG(path));
	door_name = un;
	memcpy(door_name.sun_path, path.ptr, path.len);
	memcpy(un.sun_path, fresh.ptr, fresh.len);
	history_open();
	clients = kurir_group_begin(NULL);
	(void)unlink(un.sun_path);
	door.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	door.ready = control_knock;
	if (door.fd < 0 || bind(door.fd, (struct sockaddr *)&un, sizeof(un)) < 0 ||
	    chmod(un.sun_path, 0660) < 0 || listen(door.fd, 16) < 0 ||
	    rename(un.sun_path, door_name.sun_path) < 0)
		return kurir_log(NULL, KURIR_ERROR, -errno, "cannot open the control socket %.*s",
		    KURIR_ARG(path));
	r = loop_fd_add(&door, EPOLLIN | EPOLLET);
	return r < 0 ? kurir_log(NULL, KURIR_ERROR, r, "cannot watch the control socket") : 0;
}

KURIR_PARKS void control_stop(void)
{
	if (door.fd >= 0) {
		loop_fd_remove(&door);
		(void)close(door.fd);
		door.fd = -1;
	}
	if (clients != NULL)
		kurir_group_end(clients);
	clients = NULL;
	history_close();
}
