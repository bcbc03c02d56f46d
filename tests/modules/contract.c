/* contract.c - the contract of kurir/store.h as a test: "kurirctl contract PART" runs one part
 * over the store that is configured and answers "ok", "absent" (it has no such function), or
 * what was not as it must be. */
#include "contract.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void contract_said(struct contract *c, int line, const char *fmt, ...)
{
	va_list ap;
	if (c->line != 0)
		return;
	c->line = line;
	va_start(ap, fmt);
	(void)vsnprintf(c->said, sizeof(c->said), fmt, ap);
	va_end(ap);
}

int contract_list(struct contract *c, struct kurir_mailbox **ret, size_t *ret_count)
{
	return c->ops->list(
	    c->owner, c->account, KURIR_LIST_COUNTS, LATE, c->arena, ret, ret_count);
}

const struct kurir_mailbox *contract_find(struct contract *c, const char *name)
{
	struct kurir_mailbox *all;
	size_t n;
	if (contract_list(c, &all, &n) < 0)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (kurir_str_equal(all[i].name, kurir_str_of(name)))
			return &all[i];
	return NULL;
}

int contract_view(struct contract *c, const char *mailbox, struct kurir_mailbox_view *ret)
{
	return c->ops->view(
	    c->owner, c->account, kurir_str_of(mailbox), false, LATE, c->arena, ret);
}

int contract_append(struct contract *c, const char *mailbox, const char *body, uint32_t flags,
    const char *keywords, struct kurir_changed *ret)
{
	struct kurir_append one = { .flags = flags,
		.keywords = kurir_str_of(keywords),
		.date = 1700000000000,
		.length = strlen(body) };
	one.fd = memfd_create("contract", MFD_CLOEXEC);
	if (one.fd < 0)
		return -errno;
	int r = write(one.fd, body, one.length) == (ssize_t)one.length ? 0 : -EIO;
	if (r == 0)
		r = c->ops->append(
		    c->owner, c->account, kurir_str_of(mailbox), &one, 1, LATE, c->arena, ret);
	close(one.fd);
	return r;
}

int contract_change(struct contract *c, const char *mailbox, enum kurir_change_kind kind,
    uint32_t first, uint32_t last, uint32_t flags, const char *keywords, const char *target,
    struct kurir_changed *ret)
{
	struct kurir_uid_range range = { first, last };
	struct kurir_change what = { .kind = kind,
		.uids = { 1, &range },
		.flags = flags,
		.keywords = kurir_str_of(keywords),
		.target = kurir_str_of(target) };
	return c->ops->change(
	    c->owner, c->account, kurir_str_of(mailbox), &what, LATE, c->arena, ret);
}

int contract_manage(
    struct contract *c, enum kurir_manage_kind kind, const char *mailbox, const char *new_name)
{
	struct kurir_manage what = {
		.kind = kind, .mailbox = kurir_str_of(mailbox), .new_name = kurir_str_of(new_name)
	};
	struct kurir_str id;
	return c->ops->manage(c->owner, c->account, &what, LATE, c->arena, &id);
}

void contract_body(
    struct contract *c, const char *mailbox, const struct kurir_message *m, const char *body)
{
	struct kurir_body b = { .fd = -1 };
	char *bytes = kurir_alloc(c->arena, strlen(body) + 2);
	EXPECT_EQ(c, c->ops->open(c->owner, c->account, kurir_str_of(mailbox), m, LATE, &b), 0);
	ssize_t n =
	    b.length == strlen(body) ? pread(b.fd, bytes, (size_t)b.length, (off_t)b.offset) : -1;
	close(b.fd);
	EXPECT_EQ(c, b.length, strlen(body));
	EXPECT_EQ(c, n, strlen(body));
	EXPECT(c, memcmp(bytes, body, strlen(body)) == 0);
}

size_t contract_uids(const struct kurir_uid_set *s)
{
	size_t n = 0;
	for (size_t i = 0; i < s->count; i++)
		n += s->ranges[i].last - s->ranges[i].first + 1;
	return n;
}

static const struct contract_part *part_of(const char *name, size_t len)
{
	const struct contract_part *lists[] = { contract_messages, contract_mailboxes,
		contract_optional, contract_room };
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (const struct contract_part *p = lists[i]; p->name != NULL; p++)
			if (strlen(p->name) == len && memcmp(p->name, name, len) == 0)
				return p;
	return NULL;
}

/* {"args":["PART"]} */
static int contract_called(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct contract c = { .self = self };
	ssize_t first = kurir_str_find(in->body, '['), last = kurir_str_find_last(in->body, ']');
	if (first < 0 || last - first < 4)
		return -EINVAL;
	struct kurir_str name =
	    kurir_str_part(in->body, (size_t)first + 2, (size_t)(last - first) - 3);
	const struct contract_part *part = part_of(name.ptr, name.len);
	c.ops = kurir_service_find("store", NULL, &c.owner);
	if (part == NULL || c.ops == NULL)
		return -ENOENT;
	c.arena = kurir_arena_new("contract");
	c.account = kurir_format(c.arena, "%s@satu.example", part->name);
	part->run(&c);
	kurir_arena_free(c.arena);
	if (c.line == 0)
		return kurir_buf_printf(reply, "{\"text\":\"ok\"}");
	if (c.line < 0)
		return kurir_buf_printf(reply, "{\"text\":\"absent\"}");
	return kurir_buf_printf(
	    reply, "{\"error\":\"%s, line %d: %s\"}", part->name, c.line, c.said);
}

static const struct kurir_endpoint_ops ops = { .size = sizeof(ops), .call = contract_called };
static const struct kurir_service services[] = {
	{ "endpoint", "ctl.contract", &ops, KURIR_ROLE_ACCESS },
	{ 0 },
};
static const char *const needs[] = { "store", NULL };

KURIR_MODULE(contract, .version = "1.0", .summary = "Tries what every store must do",
    .roles = KURIR_ROLE_ACCESS, .caps = KURIR_CAP_SPAWN, .needs = needs, .services = services);
