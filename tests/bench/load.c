/* load.c - sends mail as fast as it is taken, and says how fast that was.
 *
 *	load PORT SESSIONS MESSAGES BYTES DOMAIN PID...
 *
 * One thread, all sessions in one epoll; recipients are u0 to u99 of DOMAIN in turn.  Prints
 * "messages-per-second microseconds-of-CPU-per-message": the CPU is that of the processes PID
 * and of those they have started, from before the first message to after the last answer. */

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINE	1024
#define PIDS	512
#define TIMEOUT 30000 /* milliseconds without any answer */

enum step { GREETING, HELLO, SENDER, RECIPIENT, DATA, BODY, QUIT };

struct session {
	int fd;
	enum step step;
	size_t have;
	char line[LINE];
};

static struct {
	unsigned port, sessions;
	unsigned long messages, started, done;
	const char *domain;
	char *body;
	size_t body_len;
	int epoll;
} load;

static void give_up(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static unsigned long number(const char *s)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (*s == '\0' || *end != '\0') {
		fprintf(stderr, "load: \"%s\" is not a number\n", s);
		exit(2);
	}
	return n;
}

static void say(struct session *s, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(s->fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			give_up("send");
		data += n;
		len -= (size_t)n;
	}
}

/* The next command after an answer; the sockets block, as a server takes all of a message. */
static void next(struct session *s)
{
	char text[LINE];
	int n;

	switch (s->step) {
	case GREETING:
		n = snprintf(text, sizeof(text), "EHLO load.test\r\n");
		s->step = HELLO;
		break;
	case BODY:
		load.done++;
		/* fall through */
	case HELLO:
		n = snprintf(text, sizeof(text), "%s\r\n",
		    load.started < load.messages ? "MAIL FROM:<sender@load.test>" : "QUIT");
		s->step = load.started < load.messages ? SENDER : QUIT;
		load.started += s->step == SENDER;
		break;
	case SENDER:
		n = snprintf(
		    text, sizeof(text), "RCPT TO:<u%lu@%s>\r\n", load.started % 100, load.domain);
		s->step = RECIPIENT;
		break;
	case RECIPIENT:
		n = snprintf(text, sizeof(text), "DATA\r\n");
		s->step = DATA;
		break;
	case DATA:
		say(s, load.body, load.body_len);
		s->step = BODY;
		return;
	default:
		return;
	}
	say(s, text, (size_t)n);
}

static void answers(struct session *s)
{
	ssize_t n = recv(s->fd, s->line + s->have, sizeof(s->line) - s->have, 0);
	char *end;

	if (n <= 0 && s->step == QUIT) {
		close(s->fd);
		s->fd = -1;
		return;
	}
	if (n <= 0)
		give_up("the server closed a connection");
	s->have += (size_t)n;
	while ((end = memchr(s->line, '\n', s->have)) != NULL) {
		size_t len = (size_t)(end - s->line) + 1;
		bool last = len > 3 && s->line[3] != '-';

		if (s->line[0] != '2' && s->line[0] != '3') {
			fprintf(stderr, "load: %.*s", (int)len, s->line);
			exit(1);
		}
		s->have -= len;
		memmove(s->line, end + 1, s->have);
		if (last)
			next(s);
	}
	if (s->have == sizeof(s->line))
		give_up("an answer that does not end");
}

static void dial(struct session *s)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)load.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = s };

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    epoll_ctl(load.epoll, EPOLL_CTL_ADD, s->fd, &e) < 0)
		give_up("connect");
}

static void make_body(size_t bytes)
{
	static const char head[] = "From: <sender@load.test>\r\nSubject: load\r\n"
				   "Message-ID: <load@load.test>\r\n"
				   "Date: Mon, 23 Nov 2026 01:02:03 +0000\r\n\r\n";
	static const char end[] = "\r\n.\r\n";
	size_t len = sizeof(head) - 1;

	load.body = malloc(bytes + sizeof(head) + sizeof(end) + 2);
	if (load.body == NULL)
		give_up("malloc");
	memcpy(load.body, head, len);
	for (unsigned column = 1; len < bytes; column++) {
		bool full = column % 72 == 0;

		load.body[len] = full ? '\r' : (char)('a' + column % 26);
		len++;
		if (full)
			load.body[len++] = '\n';
	}
	memcpy(load.body + len, end, sizeof(end) - 1);
	load.body_len = len + sizeof(end) - 1;
}

/* Clock ticks of one process and of its dead children; its parent. */
static unsigned long ticks_of(long pid, long *ret_parent)
{
	char path[64], text[1024];
	unsigned long own[2] = { 0 }, dead[2] = { 0 };
	const char *after;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	*ret_parent = 0;
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	after = strrchr(text, ')');
	if (after == NULL ||
	    sscanf(after + 1, " %*c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu",
		ret_parent, &own[0], &own[1], &dead[0], &dead[1]) < 5)
		return 0;
	return own[0] + own[1] + dead[0] + dead[1];
}

/* The processes named, and as many generations of children as there are. */
static double cpu_of(char **pids, int count)
{
	long tree[PIDS], parent;
	unsigned long ticks = 0;
	int n = 0, at = 0;
	char command[64];

	for (int i = 0; i < count && n < PIDS; i++)
		tree[n++] = (long)number(pids[i]);
	for (; at < n; at++) {
		FILE *f;
		long child;

		ticks += ticks_of(tree[at], &parent);
		snprintf(
		    command, sizeof(command), "/proc/%ld/task/%ld/children", tree[at], tree[at]);
		f = fopen(command, "re");
		while (f != NULL && n < PIDS && fscanf(f, "%ld", &child) == 1)
			tree[n++] = child;
		if (f != NULL)
			fclose(f);
	}
	return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run(struct session *all)
{
	struct epoll_event events[64];

	for (unsigned i = 0; i < load.sessions; i++)
		dial(&all[i]);
	while (load.done < load.messages) {
		int n = epoll_wait(load.epoll, events, 64, TIMEOUT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n == 0 ? ETIMEDOUT : errno;
			give_up("no answer");
		}
		for (int i = 0; i < n; i++)
			answers(events[i].data.ptr);
	}
}

int main(int argc, char **argv)
{
	struct session *all;
	double began, cpu, seconds;

	if (argc < 6) {
		fprintf(stderr, "load PORT SESSIONS MESSAGES BYTES DOMAIN PID...\n");
		return 2;
	}
	load.port = (unsigned)number(argv[1]);
	load.sessions = (unsigned)number(argv[2]);
	load.messages = number(argv[3]);
	make_body(number(argv[4]));
	load.domain = argv[5];
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	all = calloc(load.sessions, sizeof(*all));
	if (load.epoll < 0 || all == NULL)
		give_up("load");
	cpu = cpu_of(argv + 6, argc - 6);
	began = now();
	run(all);
	seconds = now() - began;
	cpu = cpu_of(argv + 6, argc - 6) - cpu;
	printf("%.0f %.0f\n", (double)load.messages / seconds, cpu * 1e6 / (double)load.messages);
	free(all);
	free(load.body);
	return 0;
}
