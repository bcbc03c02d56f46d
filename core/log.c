/* log.c - one event, one line.  Peers' bytes are made harmless here, once, for every sink.
 * Nothing in this file waits: a sink that does not take a line loses it, and mail goes on. */
#include "log.h"

#include "count.h"
#include "fiber.h"
#include "loop.h"
#include "utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 6000
#define VALUE_MAX      512
#define MEMBER_MAX     (5 * VALUE_MAX + 128) /* as JSON: each byte may become \\xNN */
#define WAITING_BYTES  32768
#define SITES	       128   /* call sites that are watched at a time */
#define SITE_LINES     100   /* lines of one site ... */
#define SITE_WINDOW    10000 /* ... in this many milliseconds */

struct line {
	size_t len;
	char text[LINE_MAX_BYTES];
};

static struct {
	int fd;
	bool open, socket;
	enum log_target target;
	enum log_format format;
	enum kurir_level least;
	char role[32];
	uint64_t *lost; /* counter; NULL before the first log_open() */
	size_t waiting;
	char buffer[WAITING_BYTES];
	struct loop_task task;
	void (*tap)(enum kurir_level, struct kurir_str);
	int64_t second;
	char stamp[32];
	struct sockaddr_un sink;
} out = { .fd = 2, .least = KURIR_INFO };

static struct site {
	const void *where;
	kurir_time since;
	unsigned lines, cut;
} sites[SITES];

static const char *const level_names[] = { "debug", "info", "notice", "warn", "error" };
static const int priorities[] = { 7, 6, 5, 4, 3 };

static void add(struct line *l, const char *p, size_t n)
{
	size_t room = sizeof(l->text) - 1 - l->len;

	if (n > room)
		n = room;
	memcpy(l->text + l->len, p, n);
	l->len += n;
}

static void add_text(struct line *l, const char *s)
{
	add(l, s, strlen(s));
}

/* s with everything that could fool a reader or a terminal written as \xNN. */
static void add_clean(struct line *l, struct kurir_str s, bool quoted)
{
	static const char hex[] = "0123456789abcdef";
	size_t i, n, plain;
	uint32_t code;

	for (i = 0; i < s.len;) {
		const unsigned char *p = (const unsigned char *)s.ptr + i;

		for (plain = 0; i + plain < s.len; plain++)
			if (p[plain] < ' ' || p[plain] > '~' ||
			    (quoted && (p[plain] == '"' || p[plain] == '\\')))
				break;
		if (plain > 0) {
			add(l, s.ptr + i, plain);
			i += plain;
			continue;
		}
		n = utf8_get(kurir_str_part(s, i, s.len), &code);
		if (n > 1 && code >= 0xa0) { /* below are control characters */
			add(l, s.ptr + i, n);
		} else if (*p == '"' || *p == '\\') {
			add(l, "\\", 1);
			add(l, s.ptr + i, 1);
			n = 1;
		} else {
			/* In JSON a backslash stands for itself when doubled. */
			if (quoted && out.format == LOG_AS_JSON)
				add(l, "\\", 1);
			add(l, "\\x", 2);
			add(l, &hex[*p >> 4], 1);
			add(l, &hex[*p & 15], 1);
			n = 1;
		}
		i += n;
	}
}

static bool is_plain(struct kurir_str s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.ptr[i] <= ' ' || s.ptr[i] > '~' || s.ptr[i] == '"' || s.ptr[i] == '\\' ||
		    s.ptr[i] == '=')
			return false;
	return s.len > 0;
}

static void add_value(struct line *l, struct kurir_str s, size_t max)
{
	bool cut = s.len > max;

	if (cut)
		s.len = max;
	if (!cut && out.format == LOG_AS_TEXT && is_plain(s)) {
		add(l, s.ptr, s.len);
		return;
	}
	add(l, "\"", 1);
	add_clean(l, s, true);
	if (cut)
		add_text(l, "...");
	add(l, "\"", 1);
}

static const char *time_stamp(int64_t now)
{
	char date[24];
	struct tm tm;
	time_t t = (time_t)(now / 1000);

	if (out.second != now / 1000 || out.stamp[0] == '\0') {
		if (gmtime_r(&t, &tm) == NULL ||
		    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
			return "?";
		memcpy(out.stamp, date, sizeof(date));
		out.second = now / 1000;
	}
	return out.stamp;
}

static void add_time(struct line *l)
{
	int64_t now = kurir_wallclock();
	unsigned ms = (unsigned)(now % 1000);
	char frac[] = ".000Z";

	frac[1] = (char)('0' + ms / 100);
	frac[2] = (char)('0' + ms / 10 % 10);
	frac[3] = (char)('0' + ms % 10);
	add_text(l, time_stamp(now));
	add_text(l, frac);
}

static void make_text(struct line *l, const struct log_line *in)
{
	size_t i;

	if (out.role[0] != '\0') {
		add_text(l, out.role);
		add(l, " ", 1);
	}
	add_text(l, in->name);
	if (in->label.len > 0) {
		add(l, "[", 1);
		add_clean(l, in->label, true);
		add(l, "]", 1);
	}
	add(l, ":", 1);
	if (in->event != NULL) {
		add(l, " ", 1);
		add_text(l, in->event);
	}
	for (i = 0; i < in->count; i++) {
		add(l, " ", 1);
		add_text(l, in->fields[i].name);
		add(l, "=", 1);
		add_value(l, in->fields[i].value, VALUE_MAX);
	}
	if (in->text.len > 0) {
		add(l, " ", 1);
		add_clean(l, in->text, false);
	}
}

static void add_member(struct line *l, const char *name, struct kurir_str value)
{
	add(l, ",\"", 2);
	add_text(l, name);
	add(l, "\":", 2);
	add_value(l, value, VALUE_MAX);
}

static void make_json(struct line *l, const struct log_line *in)
{
	size_t i;

	add_text(l, "{\"time\":\"");
	add_time(l);
	add_text(l, "\",\"level\":\"");
	add_text(l, level_names[in->level]);
	add(l, "\"", 1);
	if (out.role[0] != '\0')
		add_member(l, "role", kurir_str_of(out.role));
	add_member(l, "module", kurir_str_of(in->name));
	if (in->label.len > 0)
		add_member(l, "conn", in->label);
	if (in->event != NULL)
		add_member(l, "event", kurir_str_of(in->event));
	for (i = 0; i < in->count && l->len < sizeof(l->text) - MEMBER_MAX; i++)
		add_member(l, in->fields[i].name, in->fields[i].value);
	if (in->text.len > 0)
		add_member(l, "text", in->text);
	add(l, "}", 1);
}

static void lost(void)
{
	if (out.lost != NULL)
		++*out.lost;
}

void log_flush(void)
{
	size_t sent = 0;
	ssize_t n;

	while (sent < out.waiting) {
		n = write(out.fd, out.buffer + sent, out.waiting - sent);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			lost();
			break;
		}
		sent += (size_t)n;
	}
	out.waiting = 0;
}

static void flush_task(struct loop_task *task)
{
	(void)task;
	log_flush();
}

static void to_stderr(const struct line *l, enum kurir_level level)
{
	size_t need = l->len + 1;

	if (out.waiting + need > sizeof(out.buffer))
		log_flush();
	memcpy(out.buffer + out.waiting, l->text, l->len);
	out.buffer[out.waiting + l->len] = '\n';
	out.waiting += need;
	if (!loop_is_turning() || level >= KURIR_WARN) {
		log_flush();
		return;
	}
	out.task.run = flush_task;
	loop_defer(&out.task);
}

/* Whether the daemon is there; it is named with each packet, as it may be restarted, and a
 * locked-in process connects nothing. */
static int open_sink(void)
{
	struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	const char *path =
	    out.target == LOG_TO_SYSLOG ? "/dev/log" : "/run/systemd/journal/socket";
	int r = 0;

	out.sink = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(out.sink.sun_path, path, strlen(path));
	out.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (out.fd < 0)
		return -errno;
	if (connect(out.fd, (struct sockaddr *)&out.sink, sizeof(out.sink)) < 0 ||
	    connect(out.fd, &nobody, sizeof(nobody)) < 0) {
		r = -errno;
		(void)close(out.fd);
	}
	return r;
}

/* Both daemons take a line in one packet: RFC 3164 as far as a local socket has it, and fields
 * for journald, each of which must end with LF; no value here has one. */
static void to_socket(const struct line *l, enum kurir_level level)
{
	bool syslog = out.target == LOG_TO_SYSLOG;
	char head[80];
	struct iovec parts[] = { { head, 0 }, { (void *)l->text, l->len }, { "\n", 1 } };
	struct msghdr packet = { .msg_name = &out.sink,
		.msg_namelen = sizeof(out.sink),
		.msg_iov = parts,
		.msg_iovlen = syslog ? 2 : 3 };
	ssize_t n;

	(void)snprintf(head, sizeof(head),
	    syslog ? "<%d>kurird[%d]: "
		   : "PRIORITY=%d\nSYSLOG_FACILITY=2\nSYSLOG_IDENTIFIER=kurird\n"
		     "SYSLOG_PID=%d\nMESSAGE=",
	    (syslog ? 2 * 8 : 0) + priorities[level], (int)getpid());
	parts[0].iov_len = strlen(head);
	do
		n = sendmsg(out.fd, &packet, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		lost();
}

bool log_wants(enum kurir_level level)
{
	return level >= out.least;
}

void log_write(const struct log_line *in)
{
	static struct line l;

	if (!log_wants(in->level))
		return;
	l.len = 0;
	if (out.format == LOG_AS_JSON) {
		make_json(&l, in);
	} else {
		if (!out.socket) {
			add_time(&l);
			add(&l, " ", 1);
			add_text(&l, level_names[in->level]);
			add(&l, " ", 1);
		}
		make_text(&l, in);
	}
	if (out.tap != NULL)
		out.tap(in->level, (struct kurir_str){ l.text, l.len });
	if (out.socket)
		to_socket(&l, in->level);
	else
		to_stderr(&l, in->level);
}

/* Standard error through a description of its own, so that a reader that has stopped
 * reading cannot stop us, and nobody else's descriptor changes. */
static void open_stderr(void)
{
	int fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	out.fd = fd >= 0 ? fd : 2;
	out.socket = false;
}

int log_open(enum log_target target, enum log_format format, enum kurir_level least)
{
	int r = 0;

	log_flush();
	if (out.open && out.fd > 2)
		(void)close(out.fd);
	if (out.lost == NULL)
		out.lost = count_new_one("log", "lost");
	out.target = target;
	out.format = format;
	out.least = least;
	out.open = true;
	if (target == LOG_TO_STDERR) {
		open_stderr();
		return 0;
	}
	out.socket = true;
	r = open_sink();
	if (r < 0)
		open_stderr();
	return r;
}

void log_set_role(const char *name)
{
	size_t n = strnlen(name, sizeof(out.role) - 1);

	memcpy(out.role, name, n);
	out.role[n] = '\0';
}

void log_set_tap(void (*tap)(enum kurir_level, struct kurir_str))
{
	out.tap = tap;
}

/* True when this call site may write once more.  *ret_cut: how many it could not before. */
static bool site_may(const void *where, unsigned *ret_cut)
{
	struct site *s = &sites[((uintptr_t)where >> 3) % SITES];
	kurir_time now = kurir_now();

	*ret_cut = 0;
	if (s->where != where || now - s->since >= SITE_WINDOW) {
		if (s->where == where)
			*ret_cut = s->cut;
		*s = (struct site){ .where = where, .since = now };
	}
	if (s->lines >= SITE_LINES) {
		s->cut++;
		return false;
	}
	s->lines++;
	return true;
}

int kurir_log(struct kurir_self *self, enum kurir_level level, int err, const char *fmt, ...)
{
	struct log_line l = { .level = level, .label = fiber_label() };
	char text[1024], tail[160];
	unsigned cut;
	va_list ap;
	int n;

	if (!log_wants(level) || !site_may(fmt, &cut))
		return err;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return err;
	if ((size_t)n >= sizeof(text))
		n = (int)sizeof(text) - 1;
	tail[0] = '\0';
	if (err < 0) {
		char why[100];

		(void)snprintf(tail, sizeof(tail), ": %s", strerror_r(-err, why, sizeof(why)));
	}
	if (cut > 0 && strlen(tail) < sizeof(tail) - 48)
		(void)snprintf(tail + strlen(tail), sizeof(tail) - strlen(tail),
		    " (%u like this were not written)", cut);
	if ((size_t)n + strlen(tail) >= sizeof(text))
		n = (int)(sizeof(text) - 1 - strlen(tail));
	memcpy(text + n, tail, strlen(tail) + 1);
	l.name = self != NULL ? kurir_self_name(self) : "kurird";
	l.text = (struct kurir_str){ text, (size_t)n + strlen(tail) };
	log_write(&l);
	return err;
}
