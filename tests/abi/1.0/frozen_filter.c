/* frozen_filter.c - a module of the 1.0: changes a message on its way, and once more in the spool. */
#include <kurir/smtp.h>
#include <kurir/stream.h>

static int louder(void *arg, struct kurir_stream *from, struct kurir_stream *to)
{
	struct kurir_str got;
	int r;

	(void)arg;
	while ((r = kurir_peek(from, 0, &got, KURIR_FOREVER)) == 1) {
		struct kurir_str up = kurir_copy(kurir_scratch(), got);

		for (size_t i = 0; i < up.len; i++)
			if (up.ptr[i] >= 'a' && up.ptr[i] <= 'z')
				((char *)(uintptr_t)up.ptr)[i] -= 'a' - 'A';
		r = kurir_write(to, up);
		kurir_consume(from, got.len);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : kurir_flush(to, KURIR_FOREVER);
}

static int filter(struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream **body)
{
	(void)self;
	return kurir_filter_body(tx, body, louder, NULL);
}

struct was {
	size_t top;
	uint64_t size;
};

/* What is the server's own stays; behind it comes a line of ours. */
static int put_line(void *arg, struct kurir_stream *from, struct kurir_stream *to)
{
	const struct was *was = arg;
	size_t own = was->top;
	struct kurir_str line;
	int r;

	while ((r = kurir_readline(from, 60000, &line, KURIR_FOREVER)) == 1) {
		(void)kurir_write(to, line);
		if (own > 0 && own <= line.len)
			(void)kurir_printf(to, "X-Size: %llu\r\n", (unsigned long long)was->size);
		own -= own < line.len ? own : line.len;
	}
	return r < 0 ? r : kurir_flush(to, KURIR_FOREVER);
}

static int message(struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream *body)
{
	struct was was = { kurir_tx_top(tx), kurir_tx_size(tx) };
	int r = kurir_message_rewrite(tx, put_line, &was);

	(void)body;
	if (r == 0)
		r = kurir_rcpt_add(tx, KURIR_STR("ani@satu.example"));
	return r < 0 ? kurir_log(self, KURIR_ERROR, r, "cannot rewrite") : KURIR_NEXT;
}

static const struct kurir_smtp_hooks hooks = {
	.size = sizeof(hooks), .filter = filter, .message = message
};

KURIR_MODULE(frozen_filter, .version = "1.0", .summary = "A filter as 1.0 had it",
    .caps = KURIR_CAP_BODY | KURIR_CAP_RCPT, .roles = KURIR_ROLE_EDGE, .smtp = &hooks);
