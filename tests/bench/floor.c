/* floor.c - the least that a server which keeps what it accepts can do: a measure.
 *
 *	floor PORT FILE
 *
 * Reads SMTP without looking at it much, appends messages to one file, flushes the file
 * in a thread of its own, once for all that came during the flush before, and only then answers.  Nothing is parsed, kept
 * apart, logged or limited.  Not a mail server.  With "-" for FILE it keeps nothing: a sink for
 * what others relay.  NOOP tells how many messages came. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM	(1u << 20)
#define ANSWERS 4096

struct client {
	int fd;
	bool data, waits;
	size_t have, said;
	struct client *next; /* of those that wait for the flush */
	char out[ANSWERS];   /* answers to commands that came together go together */
	char in[ROOM];
};

static struct client *waiting, *flushing;
static int flush_go, flush_done; /* eventfds */
static unsigned long messages;

static void give_up(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void speak(struct client *c)
{
	if (c->said > 0)
		(void)!send(c->fd, c->out, c->said, MSG_NOSIGNAL);
	c->said = 0;
}

static void answer(struct client *c, const char *text)
{
	size_t n = strlen(text);

	if (c->said + n > sizeof(c->out))
		speak(c);
	memcpy(c->out + c->said, text, n);
	c->said += n;
}

static void drop(struct client *c)
{
	close(c->fd);
	free(c);
}

static void append(int file, const char *data, size_t len)
{
	while (file >= 0 && len > 0) {
		ssize_t n = write(file, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			give_up("write");
		data += n;
		len -= (size_t)n;
	}
}

/* The rest of what a client sent begins at used. */
static void keep(struct client *c, size_t used)
{
	c->have -= used;
	memmove(c->in, c->in + used, c->have);
}

static void command(struct client *c)
{
	if (strncasecmp(c->in, "DATA", 4) == 0) {
		c->data = true;
		answer(c, "354 go on\r\n");
	} else if (strncasecmp(c->in, "EHLO", 4) == 0) {
		answer(c, "250-floor\r\n250-PIPELINING\r\n250 8BITMIME\r\n");
	} else if (strncasecmp(c->in, "NOOP", 4) == 0) {
		char text[64];

		snprintf(text, sizeof(text), "250 %lu\r\n", messages);
		answer(c, text);
	} else {
		answer(c, "250 yes\r\n");
	}
}

static void take(struct client *c, int file)
{
	while (c->have > 0 && !c->waits) {
		char *end = c->data ? memmem(c->in, c->have, "\r\n.\r\n", 5)
				    : memchr(c->in, '\n', c->have);

		if (end == NULL)
			return;
		if (c->data) {
			append(file, c->in, (size_t)(end - c->in) + 2);
			keep(c, (size_t)(end - c->in) + 5);
			c->data = false;
			c->waits = true;
			messages++;
			c->next = waiting;
			waiting = c;
		} else {
			command(c);
			keep(c, (size_t)(end - c->in) + 1);
		}
	}
}

static void *flusher(void *arg)
{
	const int *file = arg;
	uint64_t n;

	for (;;) {
		if (read(flush_go, &n, sizeof(n)) != sizeof(n))
			continue;
		if (*file >= 0 && fdatasync(*file) < 0)
			give_up("fdatasync");
		n = 1;
		(void)!write(flush_done, &n, sizeof(n));
	}
	return NULL;
}

static void flushed(int file)
{
	struct client *list = flushing;
	uint64_t n;

	(void)!read(flush_done, &n, sizeof(n));
	flushing = NULL;
	while (list != NULL) {
		struct client *c = list;

		list = c->next;
		c->waits = false;
		answer(c, "250 kept\r\n");
		take(c, file);
		speak(c);
	}
}

static void flush(void)
{
	const uint64_t one = 1;

	if (waiting == NULL || flushing != NULL)
		return;
	flushing = waiting;
	waiting = NULL;
	(void)!write(flush_go, &one, sizeof(one));
}

static void welcome(int listener, int epoll)
{
	struct client *c = calloc(1, sizeof(*c));
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

	if (c == NULL)
		give_up("calloc");
	c->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (c->fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e) < 0)
		give_up("accept");
	answer(c, "220 floor\r\n");
	speak(c);
}

static void hear(struct client *c, int file)
{
	ssize_t n = recv(c->fd, c->in + c->have, sizeof(c->in) - c->have, 0);

	if (n <= 0) {
		if (!c->waits)
			drop(c);
		return;
	}
	c->have += (size_t)n;
	take(c, file);
	speak(c);
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event events[64], e = { .events = EPOLLIN };
	int listener, epoll, file, one = 1;
	pthread_t thread;

	if (argc != 3) {
		fprintf(stderr, "floor PORT FILE\n");
		return 2;
	}
	at.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
	file = -1;
	if (strcmp(argv[2], "-") != 0 &&
	    (file = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0)
		give_up(argv[2]);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (listener < 0 || epoll < 0 ||
	    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(listener, 1024) < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e) < 0)
		give_up("start");
	flush_go = eventfd(0, EFD_CLOEXEC);
	flush_done = eventfd(0, EFD_CLOEXEC);
	e.data.ptr = &flushing;
	if (flush_go < 0 || flush_done < 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, flush_done, &e) < 0 ||
	    pthread_create(&thread, NULL, flusher, &file) != 0)
		give_up("start");
	for (;;) {
		int n = epoll_wait(epoll, events, 64, -1);

		for (int i = 0; i < n; i++)
			if (events[i].data.ptr == NULL)
				welcome(listener, epoll);
			else if (events[i].data.ptr == &flushing)
				flushed(file);
			else
				hear(events[i].data.ptr, file);
		flush();
	}
}
