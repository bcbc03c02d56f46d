/* fuzz_smtp_session.c - any bytes as what a client sends, to each of the three protocols. */
#include <kurir/queue.h>
#include <kurir/session.h>
#include <kurir/stream.h>

#include "conf.h"
#include "conn.h"
#include "count.h"
#include "instance_private.h"
#include "log.h"
#include "loop.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const struct kurir_module *smtp_LTX_kurir_module(void);

/* A queue that forgets. */
static int queue_begin(struct kurir_self *self, uint64_t hint, struct kurir_spool **ret)
{
	(void)self;
	(void)hint;
	*ret = malloc(1);
	return 0;
}
static int queue_write(struct kurir_spool *s, struct kurir_str piece)
{
	(void)s;
	(void)piece;
	return 0;
}
static int queue_commit(struct kurir_spool *s, const struct kurir_envelope *e, kurir_time until)
{
	(void)e;
	(void)until;
	free(s);
	return 0;
}
static void queue_abort(struct kurir_spool *s)
{
	free(s);
}
static const struct kurir_queue_ops queue_ops = { .size = sizeof(queue_ops),
	.begin = queue_begin,
	.write = queue_write,
	.commit = queue_commit,
	.abort = queue_abort };
static const struct kurir_service queue_services[] = { { "queue", "none", &queue_ops, 0 },
	{ 0 } };

static struct module smtp, queue;
static const struct kurir_protocol_ops *ops;
static struct kurir_self *self;
static const uint8_t *input;
static size_t input_size;

static void serve(void *arg)
{
	ops->serve(self, arg);
	conn_free(arg);
}

static void client(void *arg)
{
	static const char *const protocols[] = { "smtp", "submission", "lmtp" };
	struct kurir_group *g = kurir_group_begin(NULL);
	struct conn_origin from = { .peer = KURIR_STR("192.0.2.1"),
		.local = KURIR_STR("192.0.2.2:25"),
		.listener = KURIR_STR("mx"),
		.pipeline = KURIR_STR(""),
		.tls = KURIR_TLS_NONE };
	struct kurir_stream *a, *b;
	const char *name = protocols[input[0] % 3];
	char sink[1024];

	(void)arg;
	from.protocol = kurir_str_of(name);
	ops = kurir_service_find("protocol", name, &self);
	if (kurir_stream_pair(&a, &b) < 0 ||
	    kurir_group_go(g, "serve", serve, conn_new(a, &from, KURIR_STR("x"))) < 0)
		abort();
	(void)kurir_write(b, (struct kurir_str){ (const char *)input + 1, input_size - 1 });
	(void)kurir_write(b, KURIR_STR("\r\n.\r\nQUIT\r\n"));
	(void)kurir_flush(b, kurir_now() + 1000);
	while (kurir_read(b, sink, sizeof(sink), kurir_now() + 1000) > 0)
		;
	kurir_close(b);
	(void)kurir_group_wait(g, kurir_now() + 3600 * 1000 * 24);
	kurir_group_end(g);
	loop_stop();
}

static void prepare(void)
{
	static struct kurir_module fake = {
		.size = sizeof(fake), .name = "queue", .services = queue_services
	};
	const struct kurir_module *m = smtp_LTX_kurir_module();
	struct report report = REPORT();
	static struct option_reader reader;
	void *conf = calloc(1, m->conf_size);

	reader = (struct option_reader){ .report = &report,
		.memory = frozen_new(),
		.arena = kurir_arena_new("fuzz"),
		.folder = KURIR_STR("/") };

	loop_init(true);
	(void)log_open(LOG_TO_STDERR, LOG_AS_TEXT, KURIR_ERROR);
	option_fill(&reader, m->options, NULL, conf);
	smtp.m = *m;
	for (smtp.counters = 0; m->counters[smtp.counters] != NULL;)
		smtp.counters++;
	queue.m = fake;
	(void)instance_new(&smtp, "smtp", conf);
	(void)instance_new(&queue, "queue", NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	struct kurir_group *g;

	if (size < 1 || size > 20000)
		return 0;
	if (!ready)
		prepare();
	ready = true;
	input = data;
	input_size = size;
	g = kurir_group_begin(NULL);
	if (kurir_group_go(g, "client", client, NULL) < 0)
		abort();
	loop_run();
	return 0;
}
