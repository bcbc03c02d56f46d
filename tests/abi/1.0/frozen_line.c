/* frozen_line.c - a module of the 1.0: a protocol of its own, a line for a line. */
#include <kurir/session.h>
#include <kurir/stream.h>

#include <errno.h>

enum { COUNT_LINES };
static const char *const counters[] = { "lines", NULL };

static void serve(struct kurir_self *self, struct kurir_conn *conn)
{
	struct kurir_stream *s = kurir_conn_stream(conn);
	struct kurir_str line;
	bool bye = false;
	int r;

	(void)kurir_printf(s, "hello %.*s on %.*s\r\n", KURIR_ARG(kurir_conn_peer(conn)),
	    KURIR_ARG(kurir_conn_listener(conn)));
	while (!bye) {
		struct kurir_mark mark = kurir_mark(kurir_scratch());

		r = kurir_flush(s, kurir_now() + 60000);
		if (r == 0)
			r = kurir_readline(s, 100, &line, kurir_now() + 60000);
		if (r == -EMSGSIZE && kurir_skip_line(s, kurir_now() + 60000) >= 0) {
			(void)kurir_write(s, KURIR_STR("too long\r\n"));
			continue;
		}
		if (r != 1 || kurir_conn_draining(conn))
			break;
		kurir_count(self, COUNT_LINES, 1);
		line = kurir_copy(kurir_scratch(), kurir_str_trim(line));
		(void)kurir_printf(s, "%zu %.*s\r\n", line.len, KURIR_ARG(line));
		bye = kurir_str_equal_nocase(line, KURIR_STR("bye"));
		kurir_rewind(kurir_scratch(), mark);
	}
	(void)kurir_flush(s, kurir_now() + 60000);
	(void)kurir_log(self, KURIR_INFO, 0, "conversation over");
}

static const struct kurir_protocol_ops ops = {
	.size = sizeof(ops), .serve = serve, .busy = "busy\r\n"
};
static const struct kurir_service services[] = { { "protocol", "line", &ops, 0 }, { 0 } };

KURIR_MODULE(frozen_line, .version = "1.0", .summary = "A protocol as 1.0 served it",
    .roles = KURIR_ROLE_EDGE, .counters = counters, .services = services);
