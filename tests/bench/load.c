/* load.c - sends mail as fast as it is taken, or at a rate, and says how fast that was.
 *
 *	load [-l] [-r RATE] PORT SESSIONS MESSAGES BYTES DOMAIN
 *
 * One thread, all sessions in one epoll; recipients are u0 to u99 of DOMAIN in turn; -l speaks
 * LMTP.  Without -r each session sends its next message when it may, and the output is
 *
 *	messages-a-second
 *
 * With -r messages become due at that rate whatever the server does (an open loop), each goes to
 * a session that is free, and the output is
 *
 *	messages-a-second median p99 late
 *
 * The times are from the final dot to its answer, in microseconds; late is how many messages
 * found no session free. */

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define LINE	1024
#define TIMEOUT 30000 /* milliseconds without any answer */

enum step { GREETING, HELLO, SENDER, RECIPIENT, DATA, BODY, IDLE, QUIT };

struct session {
	int fd;
	enum step step;
	double dot; /* when the final dot was sent */
	size_t have;
	char line[LINE];
	struct session *next; /* of those that are free */
};

static struct {
	bool lmtp;
	unsigned long rate; /* 0: as fast as they are taken */
	unsigned port, sessions;
	unsigned long messages, started, done, due, late;
	const char *domain;
	char *body;
	size_t body_len;
	int epoll, clock;
	struct session *free;
	double *spans; /* seconds from the final dot to its answer */
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

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Between two messages: begins one if one is due, and is free or leaves otherwise. */
static int between(struct session *s, char *text, size_t size)
{
	if (load.started == load.messages) {
		s->step = QUIT;
		return snprintf(text, size, "QUIT\r\n");
	}
	if (load.rate > 0 && load.due == load.started) {
		s->step = IDLE;
		s->next = load.free;
		load.free = s;
		return 0;
	}
	load.started++;
	s->step = SENDER;
	return snprintf(text, size, "MAIL FROM:<sender@load.test>\r\n");
}

/* The next command after an answer; the sockets block, as a server takes all of a message. */
static void next(struct session *s)
{
	char text[LINE];
	int n = 0;

	switch (s->step) {
	case GREETING:
		n = snprintf(text, sizeof(text), "%s load.test\r\n", load.lmtp ? "LHLO" : "EHLO");
		s->step = HELLO;
		break;
	case BODY:
		load.spans[load.done++] = now() - s->dot;
		/* fall through */
	case HELLO:
	case IDLE:
		n = between(s, text, sizeof(text));
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
		s->dot = now();
		s->step = BODY;
		return;
	default:
		return;
	}
	say(s, text, (size_t)n);
}

/* Messages have become due. */
static void tick(void)
{
	uint64_t n;

	if (read(load.clock, &n, sizeof(n)) != sizeof(n))
		return;
	for (; n > 0 && load.due < load.messages; n--) {
		struct session *s = load.free;

		load.due++;
		if (s == NULL) {
			load.late++;
			continue;
		}
		load.free = s->next;
		next(s);
	}
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

static void start_clock(void)
{
	struct itimerspec every = { { 0, (long)(1000000000 / load.rate) }, { 0, 1 } };
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };

	load.clock = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (load.clock < 0 || timerfd_settime(load.clock, 0, &every, NULL) < 0 ||
	    epoll_ctl(load.epoll, EPOLL_CTL_ADD, load.clock, &e) < 0)
		give_up("timerfd");
}

static void run(struct session *all)
{
	struct epoll_event events[64];

	for (unsigned i = 0; i < load.sessions; i++)
		dial(&all[i]);
	if (load.rate > 0)
		start_clock();
	while (load.done < load.messages) {
		int n = epoll_wait(load.epoll, events, 64, TIMEOUT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n == 0 ? ETIMEDOUT : errno;
			give_up("no answer");
		}
		for (int i = 0; i < n; i++)
			if (events[i].data.ptr == NULL)
				tick();
			else
				answers(events[i].data.ptr);
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	struct session *all;
	double began, seconds;
	int option;

	while ((option = getopt(argc, argv, "lr:")) != -1)
		if (option == 'l')
			load.lmtp = true;
		else if (option == 'r')
			load.rate = number(optarg);
		else
			return 2;
	if (argc - optind != 5) {
		fprintf(stderr, "load [-l] [-r RATE] PORT SESSIONS MESSAGES BYTES DOMAIN\n");
		return 2;
	}
	argv += optind;
	load.port = (unsigned)number(argv[0]);
	load.sessions = (unsigned)number(argv[1]);
	load.messages = number(argv[2]);
	make_body(number(argv[3]));
	load.domain = argv[4];
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	all = calloc(load.sessions, sizeof(*all));
	load.spans = calloc(load.messages + 1, sizeof(*load.spans));
	if (load.epoll < 0 || all == NULL || load.spans == NULL)
		give_up("load");
	began = now();
	run(all);
	seconds = now() - began;
	printf("%.0f", (double)load.messages / seconds);
	if (load.rate > 0) {
		qsort(load.spans, load.done, sizeof(*load.spans), compare);
		printf(" %.0f %.0f %lu", load.spans[load.done / 2] * 1e6,
		    load.spans[load.done * 99 / 100] * 1e6, load.late);
	}
	printf("\n");
	free(all);
	free(load.body);
	free(load.spans);
	return 0;
}
