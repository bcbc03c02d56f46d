/* event.c - what happened: a line for people, and a post to the control role, which keeps the
 * story of each message.  Losing an event costs the story, never the mail. */
#include "event.h"

#include "call.h"
#include "fiber.h"
#include "log.h"

#include <errno.h>
#include <string.h>

static struct kurir_str cut(struct kurir_str s)
{
	return kurir_str_part(s, 0, EVENT_VALUE_MAX);
}

static void pack(struct kurir_buf *b, const struct event *e)
{
	size_t i;

	(void)kurir_put_u8(b, (uint8_t)e->level);
	(void)kurir_put_u64(b, (uint64_t)e->time);
	(void)kurir_put_text(b, e->instance);
	(void)kurir_put_text(b, e->session);
	(void)kurir_put_text(b, e->name);
	(void)kurir_put_u32(b, kurir_roles());
	(void)kurir_put_u32(b, (uint32_t)e->count);
	for (i = 0; i < e->count; i++) {
		(void)kurir_put_text(b, e->fields[i].name);
		(void)kurir_put_text(b, e->fields[i].value);
	}
}

static struct kurir_str role_name(uint32_t role)
{
	static const char *const names[] = { "edge", "queue", "resolver", "relay", "store",
		"access", "auth", "control" };
	unsigned i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (role == 1u << i)
			return kurir_str_of(names[i]);
	return KURIR_STR("kurird");
}

int event_unpack(struct kurir_str body, struct event *ret)
{
	struct kurir_reader r = KURIR_READER(body);
	struct event e = { .level = KURIR_INFO };
	uint8_t level;
	uint32_t i, n;

	level = kurir_get_u8(&r);
	e.time = (int64_t)kurir_get_u64(&r);
	e.instance = kurir_get_text(&r);
	e.session = kurir_get_text(&r);
	e.name = kurir_get_text(&r);
	e.role = role_name(kurir_get_u32(&r));
	n = kurir_get_u32(&r);
	if (r.error != 0 || level > KURIR_ERROR || n > EVENT_FIELDS_MAX)
		return -EBADMSG;
	e.level = (enum kurir_level)level;
	for (i = 0; i < n; i++) {
		e.fields[i].name = kurir_get_text(&r);
		e.fields[i].value = kurir_get_text(&r);
	}
	if (r.error != 0 || r.rest.len > 0)
		return -EBADMSG;
	e.count = n;
	*ret = e;
	return 0;
}

/* The buffer is the process's own and keeps its memory: nothing here parks. */
static void tell(const struct event *e)
{
	static struct kurir_buf body = { .limit = 64 * 1024 };
	struct kurir_request rq = { .endpoint = "event", .fd = -1 };

	kurir_buf_clear(&body);
	pack(&body, e);
	rq.body = kurir_buf_str(&body);
	(void)call_post_late(&rq);
}

void kurir_emit(struct kurir_self *self, enum kurir_level level, const char *event,
    const struct kurir_field *fields, size_t count)
{
	const char *name = self != NULL ? kurir_self_name(self) : "kurird";
	struct log_line line = { .level = level,
		.name = name,
		.event = event,
		.label = fiber_label(),
		.fields = fields,
		.count = count };
	struct event e = { .level = level };
	size_t i;

	if (count > EVENT_FIELDS_MAX)
		count = EVENT_FIELDS_MAX;
	if (level == KURIR_DEBUG && !log_wants(level))
		return;
	log_write(&line);
	e.time = kurir_wallclock();
	e.instance = kurir_str_of(name);
	e.session = line.label;
	e.name = kurir_str_of(event);
	e.role = role_name(kurir_roles());
	e.count = count;
	for (i = 0; i < count; i++) {
		e.fields[i].name = kurir_str_of(fields[i].name);
		e.fields[i].value = cut(fields[i].value);
	}
	tell(&e);
}
