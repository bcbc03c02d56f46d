/* bench_history.c - bench_history FOLDER EVENTS: fills a history as large as that, as a server
 * does it, then asks for stories; prints one figure a line.
 * Not a test: no figure fails.  What is asked for must be found, else it ends with 1. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "fiber.h"
#include "history.h"
#include "loop.h"
#include "role_private.h"

#define EACH 5 /* events of a message */

static struct plan plan;
static uint64_t count;
static int status;

static double seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put_text(struct kurir_buf *b, const char *head, uint64_t n, const char *tail)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "%s%" PRIu64 "%s", head, n, tail);

	(void)kurir_put_text(b, (struct kurir_str){ text, (size_t)len });
}

static void put(
    struct kurir_buf *b, const char *name, const char *head, uint64_t n, const char *tail)
{
	(void)kurir_put_text(b, kurir_str_of(name));
	put_text(b, head, n, tail);
}

/* As event.c packs it: the story of message n, a piece at a time; one in ten is refused. */
static void event(struct kurir_buf *b, uint64_t i)
{
	static const char *const names[EACH] = { "message", "route", "delivered", "queued",
		"closed" };
	uint64_t n = i / EACH;
	unsigned which = (unsigned)(i % EACH);
	bool refused = n % 10 == 9 && which == 0;

	kurir_buf_clear(b);
	(void)kurir_put_u8(b, KURIR_INFO);
	(void)kurir_put_u64(b, 1700000000000u + i);
	(void)kurir_put_text(b, KURIR_STR("queue_journal"));
	put_text(b, "conn", n, "");
	(void)kurir_put_text(b, kurir_str_of(refused ? "rcpt" : names[which]));
	(void)kurir_put_u32(b, KURIR_ROLE_QUEUE);
	(void)kurir_put_u32(b, 6);
	put(b, "id", "message", n, "");
	put(b, "from", "sender", n % 50000, "@dua.example");
	put(b, "to", "recipient", n % 200000, "@satu.example");
	put(b, "peer", "192.0.", n % 250, ".7");
	put(b, "code", "", refused ? 550 : 250, "");
	put(b, "text", refused ? "relaying denied " : "delivered to mailbox ", n, "");
}

static void ask(const char *what, const char *value, int64_t since, int64_t until)
{
	struct kurir_buf text = KURIR_BUF(8u << 20);
	struct history_question q = { kurir_str_of(value), since, until };
	json_t *events = NULL;
	double start = seconds();
	int r = history_explain(&q, &text, &events);

	fprintf(stdout, "%-28s %8.1f ms %8zu events\n", what, (seconds() - start) * 1e3,
	    json_array_size(events));
	if (r < 0) {
		fprintf(stdout, "%s: %s\n", value, strerror(-r));
		status = 1;
	}
	json_decref(events);
	kurir_buf_free(&text);
}

static void questions(void)
{
	uint64_t last = count / EACH - 1, middle = last / 2;
	int64_t t = (int64_t)(1700000000000u + middle * EACH);
	char text[64];

	(void)snprintf(text, sizeof(text), "message%" PRIu64, last);
	ask("the newest message", text, 0, INT64_MAX);
	(void)snprintf(text, sizeof(text), "message%" PRIu64, middle);
	ask("one of the middle", text, 0, INT64_MAX);
	ask("the oldest message", "message0", 0, INT64_MAX);
	(void)snprintf(text, sizeof(text), "conn%" PRIu64, middle);
	ask("a connection", text, 0, INT64_MAX);
	ask("a recipient", "Recipient4711@satu.example", 0, INT64_MAX);
	ask("a sender", "sender4711@dua.example", 0, INT64_MAX);
	ask("a peer with many", "192.0.77.7", 0, INT64_MAX);
	ask("a second of that time", "", t, t + 1000);
	ask("a recipient, at that time", "recipient4711@satu.example", t - 3600000, t + 3600000);
}

static void run(void *arg)
{
	struct kurir_buf b = KURIR_BUF(65536);
	double start = seconds(), spent;
	struct history_figures f;

	(void)arg;
	for (uint64_t i = 0; i < count; i++) {
		event(&b, i);
		history_event(&(struct kurir_incoming){ .body = kurir_buf_str(&b), .fd = -1 });
		if (i % 20000 == 0)
			(void)kurir_yield(); /* the indexer has its turn */
	}
	spent = seconds() - start;
	fprintf(stdout, "%-28s %8.2f us each, with making one up\n", "keeping an event",
	    spent * 1e6 / (double)count);
	do {
		(void)kurir_sleep(kurir_now() + 200);
		history_figures(&f);
	} while (f.segments == 0);
	fprintf(stdout, "%-28s %8.1f MiB in %" PRIu64 " segments\n", "the history",
	    (double)f.bytes / (1 << 20), f.segments);
	questions();
	kurir_buf_free(&b);
	loop_stop();
}

int main(int argc, char **argv)
{
	char path[4096];

	if (argc != 3 || (count = strtoull(argv[2], NULL, 10)) < 1000) {
		fprintf(stderr, "bench_history FOLDER EVENTS\n");
		return 2;
	}
	(void)snprintf(path, sizeof(path), "%s/history", argv[1]);
	(void)mkdir(path, 0700);
	loop_init(false);
	plan.conf.state = kurir_str_of(argv[1]);
	plan.conf.history_size = (uint64_t)1 << 40;
	plan.conf.history_age = (kurir_time)1 << 50;
	role.plan = &plan;
	history_open();
	(void)kurir_group_go(kurir_group_begin(NULL), "bench", run, NULL);
	loop_run();
	history_close();
	loop_fini();
	return status;
}
