/* kurirctl_top.c - "kurirctl top": queue, destinations and processes as they change.
 *
 * Every second a sample is taken: what the server says, and what /proc knows of its processes.
 * Rates come from two samples.  Any terminal that knows the ANSI sequences will do; where there
 * is none, one frame is printed. */
#include "kurirctl.h"
#include "story.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define SECONDS_MAX 25 /* a terminal's read waits no longer */
#define FRAME_ROOM  (4u << 20)
#define RATES	    5

static const char *const rate_names[RATES] = { "accepted", "delivered", "deferred", "bounced",
	"cancelled" };

struct top {
	FILE *f; /* to the server, or NULL */
	json_t *old, *now;
	struct kurir_buf frame; /* lines */
	uint64_t span;		/* seconds between samples */
	unsigned columns, rows; /* 0: any */
};

static volatile sig_atomic_t ended;

static void top_signalled(int number)
{
	if (number != SIGWINCH) /* that one is only to interrupt the read */
		ended = number;
}

/* A sample. */

static int64_t clock_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static json_int_t number(const json_t *v, const char *name)
{
	return json_integer_value(json_object_get(v, name));
}

static const char *member(const json_t *v, const char *name)
{
	const char *s = json_string_value(json_object_get(v, name));

	return s != NULL ? s : "";
}

/* The data of the answer; NULL: there is none, and without f no connection any more. */
static json_t *top_query(struct top *t, char *command, char *arg)
{
	char *args[] = { command, arg }, *line = NULL;
	size_t room = 0;
	json_t *v = NULL, *data;

	if (t->f == NULL)
		return NULL;
	if (ctl_send(t->f, args, arg != NULL ? 2 : 1) == 0 && getline(&line, &room, t->f) > 0) {
		v = json_loads(line, 0, NULL);
	} else {
		(void)fclose(t->f);
		t->f = NULL;
	}
	data = json_incref(json_object_get(v, "data"));
	json_decref(v);
	free(line);
	return data;
}

/* stat = pid " (" name ") " state 10( " " n ) " " utime " " stime 7( " " n ) " " vsize " " rss
 * (proc(5)).  The name may have anything in it. */
static void add_usage(json_t *p)
{
	char path[64], text[1024], *at;
	unsigned long user, kernel, pages;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)number(p, "pid"));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		(void)close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strrchr(text, ')');
	if (at == NULL ||
	    sscanf(at + 1,
		" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu"
		" %*d %*d %*d %*d %*d %*d %*u %*u %lu",
		&user, &kernel, &pages) != 3)
		return;
	json_object_set_new(p, "cpu-ms",
	    json_integer(
		(json_int_t)((user + kernel) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK))));
	json_object_set_new(p, "memory",
	    json_integer((json_int_t)(pages * (unsigned long)sysconf(_SC_PAGESIZE))));
}

static json_t *same_process(const json_t *sample, const json_t *p)
{
	json_t *list = json_object_get(json_object_get(sample, "status"), "processes"), *other;
	size_t i;

	json_array_foreach(
	    list, i, other) if (number(other, "pid") == number(p, "pid")) return other;
	return NULL;
}

/* Percent of one processor, and what happened in a second. */
static void add_rates(json_t *now, const json_t *old)
{
	json_t *queue = json_object_get(now, "queue"), *before = json_object_get(old, "queue");
	json_t *rates = json_object(), *p;
	double span = (double)(number(now, "at") - number(old, "at"));
	size_t i;

	for (i = 0; i < RATES && queue != NULL && before != NULL; i++) {
		json_int_t more = number(queue, rate_names[i]) - number(before, rate_names[i]);

		/* Some counts begin anew with a reload. */
		json_object_set_new(
		    rates, rate_names[i], json_real(more > 0 ? (double)more * 1000 / span : 0));
	}
	json_object_set_new(now, "rates", rates);
	json_array_foreach(json_object_get(json_object_get(now, "status"), "processes"), i, p)
	{
		const json_t *was = same_process(old, p);

		if (json_object_get(p, "cpu-ms") != NULL &&
		    json_object_get(was, "cpu-ms") != NULL)
			json_object_set_new(p, "cpu",
			    json_real((double)(number(p, "cpu-ms") - number(was, "cpu-ms")) *
				100 / span));
	}
}

/* 0, or the exit status: no server there. */
static int top_sample(struct top *t)
{
	static char status[] = "status", queue[] = "queue", destinations[] = "destinations";
	json_t *s, *q, *p;
	size_t i;
	int r = t->f != NULL ? 0 : ctl_connect(&t->f);

	if (r != 0)
		return r;
	s = top_query(t, status, NULL);
	q = top_query(t, queue, destinations);
	if (t->f == NULL || s == NULL) {
		json_decref(s);
		json_decref(q);
		return ctl_fail(3, "the server hung up without an answer", NULL);
	}
	json_array_append_new(json_object_get(s, "processes"),
	    json_pack("{s:s, s:i, s:I, s:s, s:I, s:O}", "role", "supervisor", "index", 0, "pid",
		number(s, "supervisor"), "state", "ready", "up", number(s, "up"), "generation",
		json_object_get(s, "generation")));
	json_array_foreach(json_object_get(s, "processes"), i, p) add_usage(p);
	json_decref(t->old);
	t->old = t->now;
	t->now = json_pack("{s:I, s:o, s:O*, s:O*}", "at", (json_int_t)clock_ms(), "status", s,
	    "queue", json_object_get(q, "queue"), "destinations", json_object_get(q, "list"));
	json_decref(q);
	if (t->now != NULL && t->old != NULL)
		add_rates(t->now, t->old);
	return t->now != NULL ? 0 : ctl_fail(3, strerror(ENOMEM), NULL);
}

/* A frame. */

static void put_span(struct kurir_buf *b, json_int_t ms)
{
	story_span(b, (uint64_t)(ms > 0 ? ms : 0));
}

/* The same, as a text that lives until the next but three. */
static const char *span_text(json_int_t ms)
{
	static char texts[4][32];
	static unsigned at;
	struct kurir_buf b = KURIR_BUF(64);
	char *to = texts[at++ % 4];

	put_span(&b, ms);
	(void)snprintf(to, sizeof(texts[0]), "%s", b.ptr);
	kurir_buf_free(&b);
	return to;
}

static void put_queue(struct top *t, const json_t *queue)
{
	const json_t *rates = json_object_get(t->now, "rates");

	if (queue == NULL) {
		(void)kurir_buf_add(&t->frame, KURIR_STR("the queue does not answer\n"));
		return;
	}
	(void)kurir_buf_printf(&t->frame,
	    "queue    %lld recipients of %lld messages: %lld ready, %lld in line, %lld for later, "
	    "%lld active or held\n",
	    (long long)number(queue, "recipients"), (long long)number(queue, "messages"),
	    (long long)number(queue, "ready"), (long long)number(queue, "waiting"),
	    (long long)number(queue, "timed"), (long long)number(queue, "other"));
	(void)kurir_buf_add(&t->frame, KURIR_STR("a second"));
	if (rates == NULL)
		(void)kurir_buf_add(&t->frame, KURIR_STR(" -"));
	for (unsigned i = 0; rates != NULL && i < RATES; i++) {
		const json_t *rate = json_object_get(rates, rate_names[i]);

		(void)kurir_buf_printf(&t->frame, "%s %.1f %s", i > 0 ? "," : "",
		    json_real_value(rate), rate_names[i]);
	}
	(void)kurir_buf_add(&t->frame, KURIR_STR("\n"));
}

static void put_destination(struct top *t, const json_t *d)
{
	struct timespec now;
	json_int_t wait;
	const char *site = member(d, "site"), *error = member(d, "error");

	(void)clock_gettime(CLOCK_REALTIME, &now);
	wait = number(d, "blocked-until") - (json_int_t)now.tv_sec * 1000;
	(void)kurir_buf_printf(&t->frame, "%s%-*.*s %6lld %8lld %8lld %9s%s%s\n",
	    *site == '@' ? "route to " : "", *site == '@' ? 21 : 30, 60,
	    *site == '@' ? site + 1 : site, (long long)number(d, "active"),
	    (long long)number(d, "waiting"), (long long)number(d, "troubles"),
	    number(d, "troubles") > 0 && wait > 0 ? span_text(wait) : "-", *error ? "  " : "",
	    error);
}

/* room: lines, 0: any number. */
static void put_destinations(struct top *t, unsigned room)
{
	const json_t *list = json_object_get(t->now, "destinations");
	size_t n = json_array_size(list), most = room == 0 ? n : room - 1;

	(void)kurir_buf_printf(&t->frame, "\r%-30s %6s %8s %8s %9s  %s\n", "DESTINATION",
	    "ACTIVE", "WAITING", "TROUBLES", "AGAIN IN", "LAST ERROR");
	for (size_t i = 0; i < n && i < most; i++)
		put_destination(t, json_array_get(list, i));
}

static void put_process(struct top *t, const json_t *p)
{
	const json_t *facts = json_object_get(p, "facts"), *cpu = json_object_get(p, "cpu");
	char used[32] = "?", memory[32] = "?", connections[32] = "-";

	if (cpu != NULL)
		(void)snprintf(used, sizeof(used), "%.1f%%", json_real_value(cpu));
	if (json_object_get(p, "memory") != NULL)
		(void)snprintf(memory, sizeof(memory), "%.1f MiB",
		    (double)number(p, "memory") / (1024 * 1024));
	if (facts != NULL)
		(void)snprintf(connections, sizeof(connections), "%lld",
		    (long long)number(facts, "connections"));
	(void)kurir_buf_printf(&t->frame, "%-11s %3lld %8lld %7s %11s %11s  %-9s %s\n",
	    member(p, "role"), (long long)number(p, "index"), (long long)number(p, "pid"), used,
	    memory, connections, member(p, "state"), span_text(number(p, "up")));
}

/* A line that begins with CR is a title. */
static void top_frame(struct top *t, const char *trouble)
{
	const json_t *status = json_object_get(t->now, "status"), *p;
	const json_t *processes = json_object_get(status, "processes");
	unsigned fixed = 7 + (unsigned)json_array_size(processes), room = 0;
	size_t i;

	if (t->rows > 0)
		room = t->rows > fixed + 4 ? t->rows - fixed : 4;
	kurir_buf_clear(&t->frame);
	(void)kurir_buf_printf(&t->frame, "kurird   up %s, generation %lld%s%s\n",
	    span_text(number(status, "up")), (long long)number(status, "generation"),
	    *trouble ? "  -  " : "", trouble);
	put_queue(t, json_object_get(t->now, "queue"));
	(void)kurir_buf_add(&t->frame, KURIR_STR("\n"));
	put_destinations(t, room);
	(void)kurir_buf_printf(&t->frame, "\n\r%-11s %3s %8s %7s %11s %11s  %-9s %s\n", "ROLE",
	    "", "PID", "CPU", "MEMORY", "CONNECTIONS", "STATE", "UP");
	json_array_foreach(processes, i, p) put_process(t, p);
}

/* Of UTF-8, how many bytes so many columns take; a peer's bytes move no cursor. */
static size_t clean_line(char *line, size_t len, unsigned columns)
{
	unsigned used = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)line[i];

		if (c < ' ' || c == 127)
			line[i] = '?';
		if ((c & 0xc0) != 0x80 && used++ == columns && columns > 0)
			return i;
	}
	return len;
}

/* The frame on the terminal: each line is cut, and what was there before goes. */
static void top_draw(struct top *t)
{
	char *at = t->frame.ptr, *end = at + t->frame.len;
	bool first = true;

	(void)fputs("\033[H", stdout);
	for (unsigned row = 0; at < end && (t->rows == 0 || row < t->rows); row++) {
		char *lf = memchr(at, '\n', (size_t)(end - at));
		bool title = *at == '\r';

		at += title;
		(void)fputs(first ? "" : "\r\n", stdout);
		(void)fputs(title ? "\033[7m" : "", stdout);
		(void)fwrite(at, 1, clean_line(at, (size_t)(lf - at), t->columns), stdout);
		(void)fputs("\033[0m\033[K", stdout);
		at = lf + 1;
		first = false;
	}
	(void)fputs("\033[J", stdout);
	(void)fflush(stdout);
}

static void top_print(struct top *t)
{
	char *at = t->frame.ptr, *end = at + t->frame.len;

	while (at < end) {
		char *lf = memchr(at, '\n', (size_t)(end - at));

		at += *at == '\r';
		(void)fwrite(at, 1, clean_line(at, (size_t)(lf - at), 0), stdout);
		(void)fputc('\n', stdout);
		at = lf + 1;
	}
}

static void top_size(struct top *t)
{
	struct winsize w = { 0 };

	t->columns = 80;
	t->rows = 24;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 && w.ws_row > 0) {
		t->columns = w.ws_col;
		t->rows = w.ws_row;
	}
}

/* One frame: from two samples, so that there are rates. */
static int top_once(struct top *t, bool json)
{
	struct timespec wait = { .tv_sec = (time_t)t->span };
	int r = top_sample(t);

	if (r == 0)
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &wait, NULL);
	if (r == 0)
		r = top_sample(t);
	if (r != 0)
		return r;
	if (json) {
		(void)json_dumpf(t->now, stdout, JSON_INDENT(2));
		(void)fputc('\n', stdout);
		return 0;
	}
	top_frame(t, "");
	top_print(t);
	return 0;
}

/* Until q, or a signal. */
static void top_loop(struct top *t)
{
	int64_t next = clock_ms() + (int64_t)t->span * 1000;
	int lost = 0;

	while (!ended) {
		char key = 0;
		ssize_t n;

		top_size(t);
		top_frame(t, lost != 0 ? "it does not answer, trying again" : "");
		top_draw(t);
		n = read(STDIN_FILENO, &key, 1); /* waits for a second, or a resize */
		if (key == 'q' || key == 'Q' || (n < 0 && errno != EINTR))
			break;
		if (clock_ms() < next && key != ' ')
			continue;
		lost = top_sample(t);
		next = clock_ms() + (int64_t)t->span * 1000;
	}
}

/* The terminal is as it was afterwards, also when a signal ends us. */
static int top_live(struct top *t)
{
	static const int numbers[] = { SIGWINCH, SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = top_signalled };
	struct termios was, raw;
	int r = top_sample(t);

	if (r != 0)
		return r;
	if (tcgetattr(STDIN_FILENO, &was) < 0)
		return ctl_fail(3, "the terminal", strerror(errno));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		(void)sigaction(numbers[i], &action, NULL);
	raw = was;
	raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = (cc_t)(t->span * 10);
	raw.c_cc[VSUSP] = _POSIX_VDISABLE;
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	(void)fputs("\033[?1049h\033[?25l", stdout); /* a screen of our own, no cursor */
	ctl_quiet(true);
	top_loop(t);
	ctl_quiet(false);
	(void)fputs("\033[?25h\033[?1049l", stdout);
	(void)fflush(stdout);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
	return 0;
}

int ctl_top(const char *seconds, bool once, bool json)
{
	struct top t = { .frame = KURIR_BUF(FRAME_ROOM), .span = 1 };
	const char *term = getenv("TERM");
	int r;

	if (seconds != NULL &&
	    (kurir_str_number(kurir_str_of(seconds), SECONDS_MAX, &t.span) < 0 || t.span == 0))
		return ctl_fail(2, seconds, "top takes 1 to 25 seconds");
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || term == NULL ||
	    strcmp(term, "dumb") == 0)
		once = true;
	r = once || json ? top_once(&t, json) : top_live(&t);
	if (t.f != NULL)
		(void)fclose(t.f);
	json_decref(t.old);
	json_decref(t.now);
	kurir_buf_free(&t.frame);
	return r;
}
