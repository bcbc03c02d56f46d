/* good.c - a module with an option of each type, hooks and services: what the others are compared with. */
#include <kurir/call.h>
#include <kurir/session.h>
#include <kurir/smtp.h>

struct conf {
	bool flag;
	int64_t number, count;
	uint64_t size, room;
	kurir_time time, wait;
	struct kurir_str text, path, secret;
	int colour;
	struct kurir_texts texts;
	struct kurir_map map;
};

static const char *const colours[] = { "red", "green", "dark-blue", NULL };

static const struct kurir_option options[] = { KURIR_OPT_BOOL(
						   "flag", struct conf, flag, "true", "A flag."),
	KURIR_OPT_RANGE("number", KURIR_INT, int64_t, struct conf, number, "5", 1, 10,
	    "A number with bounds."),
	KURIR_OPT_INT("count", struct conf, count, "-3", "A number without."),
	KURIR_OPT_RANGE("size", KURIR_SIZE, uint64_t, struct conf, size, "20M", 1024, 1073741824,
	    "A size with bounds."),
	KURIR_OPT_SIZE("room", struct conf, room, "0", "A size without."),
	KURIR_OPT_RANGE("time", KURIR_SPAN, kurir_time, struct conf, time, "5m", 1000, 3600000,
	    "A time with bounds."),
	KURIR_OPT_SPAN("wait", struct conf, wait, "0", "A time without."),
	KURIR_OPT_TEXT("text", struct conf, text, "hello", "A text."),
	KURIR_OPT_CHOICE("colour", struct conf, colour, colours, "green", "A colour."),
	KURIR_OPT_TEXTS("texts", struct conf, texts, "", "Texts."),
	KURIR_OPT_MAP("map", struct conf, map, "", "A map."),
	KURIR_OPT_PATH("path", struct conf, path, "x/y", "A path."),
	KURIR_OPT_SECRET("secret", struct conf, secret, "", "A secret."), { 0 } };

/* "text" may be anything but "never". */
static int check(const void *conf, struct kurir_arena *arena, struct kurir_str *error)
{
	const struct conf *c = conf;

	(void)arena;
	if (c->text.len != 5 || c->text.ptr[0] != 'n' || c->text.ptr[4] != 'r')
		return 0;
	*error = KURIR_STR("\"text\" is never \"never\"");
	return -22;
}

static int mail(struct kurir_self *self, struct kurir_tx *tx, struct kurir_str from)
{
	(void)self;
	(void)tx;
	(void)from;
	return KURIR_NEXT;
}
static const struct kurir_smtp_hooks hooks = { .size = sizeof(hooks), .mail = mail };

static const struct kurir_protocol_ops protocol = { .size = sizeof(protocol) };
static const struct kurir_endpoint_ops endpoint = { .size = sizeof(endpoint) };
static const struct kurir_service services[] = { { "protocol", "good", &protocol, 0 },
	{ "endpoint", "transport.good", &endpoint, KURIR_ROLE_RELAY }, { 0 } };
static const struct kurir_path paths[] = { { .option = "path", .read = KURIR_ROLE_EDGE },
	{ .state = "good", .read = KURIR_ROLE_EDGE, .write = KURIR_ROLE_RELAY }, { 0 } };
static const char *const counters[] = { "seen", "refused", NULL };

KURIR_MODULE(good, .version = "1.0", .summary = "have an option of each type",
    .caps = KURIR_CAP_NET | KURIR_CAP_BODY, .roles = KURIR_ROLE_EDGE | KURIR_ROLE_RELAY,
    .conf_size = sizeof(struct conf), .self_size = 32, .conn_size = 24, .tx_size = 8,
    .options = options, .counters = counters, .services = services, .paths = paths,
    .check = check, .smtp = &hooks);
