/* runner.c - plays one scenario: the real core and real modules, clients in memory, time that
 * passes when the script says so.  The format is described in README beside this file. */
#include "runner.h"

#include "auth.h"
#include "channel.h"
#include "conf.h"
#include "conn.h"
#include "count.h"
#include "fiber.h"
#include "instance.h"
#include "listener.h"
#include "log.h"
#include "loop.h"
#include "plan.h"
#include "role.h"
#include "tls.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE 2000 /* virtual milliseconds that an expected line may take */

struct runner run;

void run_fail(const char *fmt, ...)
{
	va_list ap;

	if (run.failed)
		return;
	run.failed = true;
	if (run.tortured)
		return;
	fprintf(stdout, "# %s:%u: ", run.file, run.line);
	va_start(ap, fmt);
	vfprintf(stdout, fmt, ap);
	va_end(ap);
	fputc('\n', stdout);
}

static void tap(enum kurir_level level, struct kurir_str line)
{
	(void)level;
	(void)kurir_buf_add(&run.log, line);
	(void)kurir_buf_add(&run.log, KURIR_STR("\n"));
}

/* "\r \n \t \0 \\ \xNN" become bytes. */
static size_t unescape(char *s)
{
	char *to = s, *p = s;
	unsigned v;

	for (; *p != '\0'; p++) {
		if (*p != '\\') {
			*to++ = *p;
			continue;
		}
		p++;
		if (*p == 'r')
			*to++ = '\r';
		else if (*p == 'n')
			*to++ = '\n';
		else if (*p == 't')
			*to++ = '\t';
		else if (*p == '0')
			*to++ = '\0';
		else if (*p == 'x' && sscanf(p + 1, "%2x", &v) == 1) {
			*to++ = (char)v;
			p += 2;
		} else
			*to++ = *p;
	}
	*to = '\0';
	return (size_t)(to - s);
}

static bool regex_matches(const char *pattern, const char *text)
{
	regex_t re;
	bool yes;

	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0) {
		run_fail("bad regular expression: %s", pattern);
		return false;
	}
	yes = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	return yes;
}

bool run_matches(const char *pattern, const char *text)
{
	bool yes;

	if (pattern[0] != '~')
		return strcmp(pattern, text) == 0 || glob_match(pattern, text);
	torture_spare(true);
	yes = regex_matches(pattern + 1, text);
	torture_spare(false);
	return yes;
}

/* '*' stands for any bytes; nothing else is special. */
bool glob_match(const char *p, const char *t)
{
	const char *star = NULL, *from = NULL;

	while (*t != '\0') {
		if (*p == '*') {
			star = p++;
			from = t;
		} else if (*p == *t) {
			p++;
			t++;
		} else if (star != NULL) {
			p = star + 1;
			t = ++from;
		} else {
			return false;
		}
	}
	while (*p == '*')
		p++;
	return *p == '\0';
}

/* ---- clients ---- */

static void serve(void *arg)
{
	struct served *v = arg;

	fiber_set_label(kurir_conn_id(v->conn));
	v->ops->serve(v->owner, v->conn);
	conn_free(v->conn);
	free(v);
}

static const struct conf_listener *listener(const char *name)
{
	size_t i;

	for (i = 0; i < conf_now->listener_count; i++)
		if (kurir_str_equal(conf_now->listeners[i].name, kurir_str_of(name)))
			return &conf_now->listeners[i];
	return NULL;
}

/* CONNECT listener [peer [name]] */
static void do_connect(char *args)
{
	char name[64] = "", peer[64] = "192.0.2.1", as[32] = "";
	const struct conf_listener *l;
	struct served *v;
	struct kurir_stream *server;
	struct client *c = NULL;
	struct conn_origin from = { 0 };
	int i, r;

	if (sscanf(args, "%63s %63s %31s", name, peer, as) < 1 || (l = listener(name)) == NULL) {
		run_fail("no listener \"%s\"", name);
		return;
	}
	for (i = 0; i < CLIENTS && c == NULL; i++)
		if (run.clients[i].io == NULL)
			c = &run.clients[i];
	if (c == NULL) {
		run_fail("too many clients");
		return;
	}
	v = calloc(1, sizeof(*v));
	if (v == NULL) {
		run_fail("no memory");
		return;
	}
	v->ops = kurir_service_find("protocol", l->protocol.ptr, &v->owner);
	if (v->ops == NULL) {
		run_fail("no protocol \"%s\"", l->protocol.ptr);
		free(v);
		return;
	}
	r = kurir_stream_pair(&server, &c->io);
	if (r < 0) {
		run_fail("no stream: %s", strerror(-r));
		free(v);
		return;
	}
	from.peer = kurir_str_of(peer);
	from.local = KURIR_STR("192.0.2.25:25");
	from.listener = l->name;
	from.protocol = l->protocol;
	from.pipeline = l->pipeline;
	from.peer_port = 4025;
	from.tls = l->tls;
	memcpy(c->name, as, sizeof(c->name));
	(void)snprintf(c->protocol, sizeof(c->protocol), "%s", l->protocol.ptr);
	v->conn = conn_new(server, &from, KURIR_STR(""));
	run.now = c;
	r = kurir_group_go(run.group, "session", serve, v);
	if (r < 0)
		run_fail("no fiber: %s", strerror(-r));
}

static struct client *client(void)
{
	if (run.now == NULL || run.now->io == NULL) {
		run_fail("nobody is connected");
		return NULL;
	}
	return run.now;
}

static void do_use(const char *name)
{
	int i;

	for (i = 0; i < CLIENTS; i++)
		if (run.clients[i].io != NULL && strcmp(run.clients[i].name, name) == 0) {
			run.now = &run.clients[i];
			return;
		}
	run_fail("no client \"%s\"", name);
}

static void send_bytes(const char *p, size_t n)
{
	struct client *c = client();

	if (c != NULL)
		(void)kurir_write(c->io, (struct kurir_str){ p, n });
}

static void do_send(char *text, bool line)
{
	size_t n = strlen(text);

	if (!line)
		n = unescape(text);
	send_bytes(text, n);
	if (line)
		send_bytes("\r\n", 2);
	run.unsent = true;
}

/* REPEAT n C: text, REPEAT n C! bytes */
static void do_repeat(char *args)
{
	unsigned long n = strtoul(args, &args, 10);
	bool line;
	size_t len;

	while (*args == ' ')
		args++;
	if (args[0] != 'C' || (args[1] != ':' && args[1] != '!')) {
		run_fail("REPEAT n C: text, or REPEAT n C! bytes");
		return;
	}
	line = args[1] == ':';
	args += 2 + (args[2] == ' ');
	len = line ? strlen(args) : unescape(args);
	for (; n > 0; n--) {
		send_bytes(args, len);
		if (line)
			send_bytes("\r\n", 2);
	}
	run.unsent = true;
}

static void flush_out(void)
{
	struct client *c = client();

	if (c != NULL && run.unsent)
		(void)kurir_flush(c->io, kurir_now() + PATIENCE);
	run.unsent = false;
}

/* One line without its CRLF; false: none came (why is said). */
static bool next_line(char *to, size_t room, const char *wanted)
{
	struct client *c = client();
	struct kurir_str l;
	size_t i, n = 0;
	int r;

	if (c == NULL)
		return false;
	flush_out();
	r = kurir_readline(c->io, 60000, &l, kurir_now() + PATIENCE);
	if (r != 1) {
		run_fail("expected \"%s\", %s", wanted,
		    r == 0 ? "the server has closed" : strerror(-r));
		return false;
	}
	if (l.len < 2 || l.ptr[l.len - 2] != '\r') {
		run_fail("a line ends with a bare LF");
		return false;
	}
	for (i = 0; i < l.len - 2 && n + 5 < room; i++) {
		unsigned char b = (unsigned char)l.ptr[i];

		if (b < ' ' || b == 0x7f)
			n += (size_t)snprintf(to + n, room - n, "\\x%02x", b);
		else
			to[n++] = (char)b;
	}
	to[n] = '\0';
	torture_hears(to);
	return true;
}

/* Another line came. */
static void wrong_line(const char *pattern, const char *got)
{
	torture_judge(client()->protocol, pattern, got);
	run_fail("expected \"%s\", got \"%s\"", pattern, got);
}

static void do_expect_line(const char *pattern)
{
	static char got[65536];

	if (next_line(got, sizeof(got), pattern) && !run_matches(pattern, got))
		wrong_line(pattern, got);
}

/* S> pattern: lines are skipped until one matches. */
static void do_skip_to(const char *pattern)
{
	static char got[65536];

	while (!run.failed && next_line(got, sizeof(got), pattern))
		if (run_matches(pattern, got))
			return;
}

/* S! bytes: exactly these. */
static void do_expect_bytes(char *text)
{
	size_t n = unescape(text), i = 0;
	struct client *c = client();
	char b;

	flush_out();
	for (; c != NULL && i < n && !run.failed; i++) {
		ssize_t r = kurir_read(c->io, &b, 1, kurir_now() + PATIENCE);

		if (r != 1)
			run_fail("%zu bytes expected, %zu came", n, i);
		else if (b != text[i])
			run_fail("byte %zu is \\x%02x, not \\x%02x", i, (unsigned char)b,
			    (unsigned char)text[i]);
	}
}

static void do_closed(void)
{
	struct client *c = client();
	char b;
	ssize_t r;

	if (c == NULL)
		return;
	flush_out();
	r = kurir_read(c->io, &b, 1, kurir_now() + 10000);
	if (r > 0)
		run_fail("the server says more: \\x%02x", (unsigned char)b);
	else if (r == -ETIMEDOUT)
		run_fail("the server has not closed");
	kurir_close(c->io);
	c->io = NULL;
}

static void do_close(void)
{
	struct client *c = client();

	if (c == NULL)
		return;
	flush_out();
	kurir_close(c->io);
	c->io = NULL;
	(void)kurir_sleep(kurir_now() + 1);
}

/* The virtual clock stands while anything can run. */
static void settle(void)
{
	if (run.now != NULL && run.now->io != NULL)
		flush_out();
	(void)kurir_sleep(kurir_now() + 1);
}

static void do_silence(void)
{
	struct client *c = client();

	settle();
	if (c != NULL && kurir_pending(c->io) > 0)
		do_expect_line("(silence)");
}

/* What the server has said is of no interest. */
static void do_drain(void)
{
	settle();
	while (run.now != NULL && run.now->io != NULL && kurir_pending(run.now->io) > 0) {
		kurir_drop_input(run.now->io);
		settle();
	}
}

static void do_time(char *args)
{
	kurir_time span;

	settle();
	if (option_span(kurir_str_of(args), &span) < 0) {
		run_fail("TIME_PASSES needs a time such as 5m");
		return;
	}
	(void)kurir_sleep(kurir_now() + span);
	settle();
}

static void do_tls(void)
{
	struct kurir_tls_client how = {
		.size = sizeof(how), .name = KURIR_STR("mx.satu.example"), .verify = KURIR_TLS_ANY
	};
	struct client *c = client();
	int r;

	if (c == NULL)
		return;
	flush_out();
	r = kurir_tls_connect(c->io, &how, kurir_now() + 60000);
	if (r < 0)
		run_fail("no TLS: %s", strerror(-r));
}

/* ---- expectations ---- */

static void expect_count(char *args)
{
	char name[96];
	unsigned long long want;
	uint64_t got;

	settle();
	if (sscanf(args, "%95s %llu", name, &want) != 2)
		run_fail("EXPECT count MODULE.COUNTER N");
	else if (count_get(kurir_str_of(name), &got) < 0)
		run_fail("there is no counter %s", name);
	else if (got != want)
		run_fail("%s is %llu, not %llu", name, (unsigned long long)got, want);
}

/* Each line of the log since the last FORGET log. */
static bool in_log(const char *pattern)
{
	static char copy[8192], whole[1100];
	struct kurir_str rest = kurir_buf_str(&run.log);

	(void)snprintf(whole, sizeof(whole), pattern[0] == '~' ? "%s" : "*%s*", pattern);
	while (rest.len > 0) {
		ssize_t nl = kurir_str_find(rest, '\n');
		size_t n = (size_t)nl < sizeof(copy) ? (size_t)nl : sizeof(copy) - 1;

		memcpy(copy, rest.ptr, n);
		copy[n] = '\0';
		if (run_matches(whole, copy))
			return true;
		rest = kurir_str_part(rest, (size_t)nl + 1, rest.len);
	}
	return false;
}

static const struct spool_ops *spool(struct kurir_self **self)
{
	const struct spool_ops *ops = kurir_service_find("scenario", "spool", self);

	if (ops == NULL)
		run_fail("the configuration has no queue_memory");
	return ops;
}

static void expect_spooled(const char *args)
{
	struct kurir_self *self;
	const struct spool_ops *ops = spool(&self);
	unsigned long want = strtoul(args, NULL, 10);

	settle();
	if (ops != NULL && ops->count(self) != want)
		run_fail("%zu messages are spooled, not %lu", ops->count(self), want);
}

/* MESSAGE n: the lines that follow ("M: ") are of that message, envelope lines first. */
static void do_message(const char *args)
{
	struct kurir_self *self;
	const struct spool_ops *ops = spool(&self);

	settle();
	run.message = KURIR_STR("");
	if (ops == NULL)
		return;
	if (ops->text(self, strtoul(args, NULL, 10), &run.message) < 0)
		run_fail("there is no message %s", args);
}

static void expect_message_line(const char *pattern, bool skip)
{
	static char copy[8192];

	for (;;) {
		ssize_t nl = kurir_str_find(run.message, '\n');
		size_t n = nl < 0 ? run.message.len : (size_t)nl;
		struct kurir_str l =
		    kurir_str_part(run.message, 0, n < sizeof(copy) ? n : sizeof(copy) - 1);

		if (run.message.len == 0) {
			run_fail("expected \"%s\", the message is over", pattern);
			return;
		}
		if (l.len > 0 && l.ptr[l.len - 1] == '\r')
			l.len--;
		memcpy(copy, l.ptr, l.len);
		copy[l.len] = '\0';
		run.message = kurir_str_part(run.message, nl < 0 ? n : n + 1, run.message.len);
		if (run_matches(pattern, copy))
			return;
		if (!skip) {
			run_fail("expected \"%s\", the message has \"%s\"", pattern, copy);
			return;
		}
	}
}

/* EXPECT verdict POINT VERDICT: the module that is tested settled it so. */
static void expect_verdict(const char *args)
{
	char point[20], verdict[20], pattern[160];

	if (run.module == NULL || sscanf(args, "%19s %19s", point, verdict) != 2) {
		run_fail("EXPECT verdict POINT VERDICT, in a test of one module");
		return;
	}
	(void)snprintf(pattern, sizeof(pattern), "]: %s verdict=%s *module=%s *", point, verdict,
	    run.module);
	if (!in_log(pattern))
		run_fail("%s has not settled %s with %s", run.module, point, verdict);
}

static void do_expect(char *args)
{
	settle();
	if (strncmp(args, "count ", 6) == 0)
		expect_count(args + 6);
	else if (strncmp(args, "log ", 4) == 0 && !in_log(args + 4))
		run_fail("the log has no \"%s\"", args + 4);
	else if (strncmp(args, "nolog ", 6) == 0 && in_log(args + 6))
		run_fail("the log has \"%s\"", args + 6);
	else if (strncmp(args, "spooled ", 8) == 0)
		expect_spooled(args + 8);
	else if (strncmp(args, "verdict ", 8) == 0)
		expect_verdict(args + 8);
	else if (strncmp(args, "reply ", 6) == 0 && !run_matches(args + 6, run.reply))
		run_fail("expected \"%s\", the reply is \"%s\"", args + 6, run.reply);
	else if (strncmp(args, "log ", 4) != 0 && strncmp(args, "nolog ", 6) != 0 &&
	    strncmp(args, "reply ", 6) != 0)
		run_fail("EXPECT what?");
}

/* CALL endpoint body: the answer is for EXPECT reply. */
static void do_call(char *args)
{
	char *body = strchr(args, ' ');
	struct kurir_request rq = { .endpoint = args, .fd = -1 };
	struct kurir_str reply = KURIR_STR("");
	int r;

	if (body != NULL)
		*body++ = '\0';
	rq.body = kurir_str_of(body != NULL ? body : "");
	r = kurir_call(NULL, &rq, kurir_now() + 60000, kurir_scratch(), &reply);
	if (r < 0)
		(void)snprintf(run.reply, sizeof(run.reply), "error: %s", strerror(-r));
	else
		(void)snprintf(run.reply, sizeof(run.reply), "%.*s", KURIR_ARG(reply));
}

/* ---- the script ---- */

static const struct {
	const char *word;
	void (*run)(char *args);
} words[] = {
	{ "CONNECT", do_connect },
	{ "REPEAT", do_repeat },
	{ "TIME_PASSES", do_time },
	{ "EXPECT", do_expect },
	{ "CALL", do_call },
};

static bool is_word(const char *l, const char *word)
{
	size_t n = strlen(word);

	return strncmp(l, word, n) == 0 && (l[n] == '\0' || l[n] == ' ');
}

static void one_step(char *l)
{
	char *arg = l + 2 + (l[0] != '\0' && l[1] != '\0' && l[2] == ' ');
	size_t i;

	if (strncmp(l, "C:", 2) == 0)
		do_send(arg, true);
	else if (strncmp(l, "C!", 2) == 0)
		do_send(arg, false);
	else if (strncmp(l, "S:", 2) == 0)
		do_expect_line(arg);
	else if (strncmp(l, "S>", 2) == 0)
		do_skip_to(arg);
	else if (strncmp(l, "S!", 2) == 0)
		do_expect_bytes(arg);
	else if (strncmp(l, "M:", 2) == 0)
		expect_message_line(arg, false);
	else if (strncmp(l, "M>", 2) == 0)
		expect_message_line(arg, true);
	else if (is_word(l, "MESSAGE"))
		do_message(l + 7);
	else if (is_word(l, "USE"))
		do_use(l + 4);
	else if (is_word(l, "CLOSED"))
		do_closed();
	else if (is_word(l, "CLOSE"))
		do_close();
	else if (is_word(l, "SILENCE"))
		do_silence();
	else if (is_word(l, "DRAIN"))
		do_drain();
	else if (is_word(l, "TLS"))
		do_tls();
	else if (is_word(l, "SHOW"))
		fprintf(stdout, "# %.*s\n", KURIR_ARG(kurir_buf_str(&run.log)));
	else if (is_word(l, "FORGET"))
		kurir_buf_clear(&run.log);
	else {
		for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (is_word(l, words[i].word)) {
				char *rest = l + strlen(words[i].word);

				words[i].run(rest + (*rest == ' '));
				return;
			}
		run_fail("what is \"%s\"?", l);
	}
}

/* Twice: one wait may be made to fail. */
static void wait_for_sessions(void)
{
	int r = kurir_group_wait(run.group, kurir_now() + 3600000);

	if (r == -ETIMEDOUT && run.tortured)
		r = kurir_group_wait(run.group, kurir_now() + 3600000);
	if (r == -ETIMEDOUT)
		torture_fault("a session does not end");
}

/* All steps, from nobody to nobody connected. */
static void one_round(void)
{
	size_t i;

	for (i = 0; i < run.step_count && !run.failed; i++) {
		struct kurir_mark mark = kurir_mark(kurir_scratch());

		char *text = run.rounds > 0 ? strdup(run.steps[i].text) : run.steps[i].text;

		run.line = run.steps[i].line;
		one_step(text); /* which changes it */
		if (text != run.steps[i].text)
			free(text);
		kurir_rewind(kurir_scratch(), mark);
	}
	for (i = 0; i < CLIENTS; i++) {
		kurir_close(run.clients[i].io);
		run.clients[i].io = NULL;
	}
	/* A failure of the script alone is no reason to wait for sessions. */
	if (!run.failed || run.tortured)
		wait_for_sessions();
}

static void script(void *arg)
{
	int r;

	(void)arg;
	run.group = kurir_group_begin(NULL);
	handover_serve();
	r = instance_start_all(KURIR_ROLE_ALL);
	if (r < 0)
		run_fail("the modules do not start: %s", strerror(-r));
	one_round();
	for (unsigned n = 1; n <= run.rounds && (n > 1 || !run.failed); n++) {
		run.tortured = true;
		one_round();
		run.failed = false;
		run.round(n);
	}
	kurir_group_end(run.group);
	listener_finish(); /* those that were handed over */
	torture_count();
	instance_stop_all();
	loop_stop();
}

static int start(void)
{
	struct report report = REPORT();
	struct kurir_str error = KURIR_STR("");
	/* Static: instances use them until the process ends. */
	static struct kurir_arena *arena;
	static struct plan *plan;
	size_t i;

	arena = kurir_arena_new("scenario");
	if (run.loading != NULL)
		run.loading();
	plan = plan_make(run.conf, true, &report);
	if (plan == NULL) {
		struct kurir_str t = kurir_buf_str(&report.text);

		run_fail("the configuration is refused:\n%.*s", KURIR_ARG(t));
		return -EINVAL;
	}
	for (i = 0; i < plan->endpoint_count; i++)
		channel_book_endpoint(plan->endpoints[i].name, plan->endpoints[i].role);
	auth_serve();
	if (role_make_folders(plan) < 0 || plan_apply(plan, KURIR_ROLE_ALL, arena, &error) < 0) {
		run_fail("the plan is refused: %.*s", KURIR_ARG(error));
		return -EINVAL;
	}
	if (plan->conf.certificate_count > 0 &&
	    tls_server_init(plan->conf.certificates, plan->conf.certificate_count,
		(enum conf_tls_minimum)plan->conf.tls_minimum, arena, &error) < 0) {
		run_fail("no TLS: %.*s", KURIR_ARG(error));
		return -EINVAL;
	}
	return 0;
}

void run_play(void)
{
	struct kurir_group *group;

	loop_init(true);
	role_set(KURIR_ROLE_ALL, 0);
	(void)log_open(LOG_TO_STDERR, LOG_AS_TEXT, KURIR_DEBUG);
	log_set_tap(tap);
	if (start() == 0) {
		group = kurir_group_begin(NULL);
		if (kurir_group_go(group, "script", script, NULL) == 0)
			loop_run();
	}
}

void run_show_log(void)
{
	struct kurir_str l = kurir_buf_str(&run.log);

	while (l.len > 0) {
		ssize_t nl = kurir_str_find(l, '\n');

		fprintf(stdout, "# log: %.*s\n", (int)nl, l.ptr);
		l = kurir_str_part(l, (size_t)nl + 1, l.len);
	}
}
