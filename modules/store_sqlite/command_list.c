/* command_list.c - accounts, mailboxes, messages and shards, as lines for people and as JSON. */
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAGE	   500
#define HEADER_MAX 65536
#define PAGE_TIME  20000

/* "SHARD NAME": the page after that account. */
KURIR_PARKS static int list_accounts(struct command *c)
{
	const struct sqlite_conf *conf = kurir_conf(c->self);
	ssize_t space = kurir_str_find(c->after, ' ');
	uint64_t shard = 0;
	struct kurir_str after = KURIR_STR(""), reply;
	if (space > 0) {
		(void)kurir_str_number(
		    kurir_str_part(c->after, 0, (size_t)space), SHARDS_MAX, &shard);
		after = kurir_str_part(c->after, (size_t)space + 1, c->after.len);
	}
	if (shard >= (uint64_t)conf->shards)
		return 0;
	int r = command_shard(c, (unsigned)shard, SQLITE_OP_ACCOUNTS, after, &reply);
	if (r < 0)
		return r;
	if (c->after.len == 0)
		kurir_buf_printf(&c->text, "%-40s %10s %12s\n", "ACCOUNT", "MESSAGES", "SIZE");
	struct kurir_reader in = KURIR_READER(reply);
	uint32_t n = kurir_get_u32(&in);
	json_t *list = json_array();
	for (uint32_t i = 0; i < n && in.error == 0; i++) {
		struct kurir_str name = kurir_get_text(&in);
		unsigned long long messages = kurir_get_u64(&in), bytes = kurir_get_u64(&in);
		struct kurir_str clean = command_clean(name), size = command_size(bytes);
		kurir_buf_printf(&c->text, "%-40.*s %10llu %12.*s\n", KURIR_ARG(clean), messages,
		    KURIR_ARG(size));
		json_array_append_new(list,
		    json_pack("{s:o, s:I, s:I}", "account", command_json(name), "messages",
			(json_int_t)messages, "bytes", (json_int_t)bytes));
		after = name;
	}
	c->data = json_pack("{s:o}", "list", list);
	if (n == PAGE)
		c->next =
		    kurir_format(kurir_scratch(), "%u %.*s", (unsigned)shard, KURIR_ARG(after));
	else if (shard + 1 < (uint64_t)conf->shards)
		c->next = kurir_format(kurir_scratch(), "%u ", (unsigned)shard + 1);
	return in.error;
}

static const struct {
	uint32_t flag;
	const char *name;
} uses[] = { { KURIR_MAILBOX_SUBSCRIBED, "subscribed" }, { KURIR_MAILBOX_NOSELECT, "no mailbox" },
	{ KURIR_MAILBOX_DRAFTS, "drafts" }, { KURIR_MAILBOX_SENT, "sent" },
	{ KURIR_MAILBOX_TRASH, "trash" }, { KURIR_MAILBOX_JUNK, "junk" },
	{ KURIR_MAILBOX_ARCHIVE, "archive" }, { KURIR_MAILBOX_ALL, "all" },
	{ KURIR_MAILBOX_FLAGGED, "flagged" }, { KURIR_MAILBOX_IMPORTANT, "important" } };

static void list_mailbox(struct command *c, json_t *list, const struct kurir_mailbox *m)
{
	struct kurir_str size = command_size(m->bytes), name = command_clean(m->name);
	json_t *flags = json_array();
	kurir_buf_printf(&c->text, "%-40.*s %10u %8u %12.*s ", KURIR_ARG(name), m->messages,
	    m->unseen, KURIR_ARG(size));
	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++)
		if (m->flags & uses[i].flag) {
			kurir_buf_printf(&c->text, "%s%s",
			    json_array_size(flags) > 0 ? ", " : " ", uses[i].name);
			json_array_append_new(flags, json_string(uses[i].name));
		}
	kurir_buf_printf(&c->text, "\n");
	json_array_append_new(list,
	    json_pack("{s:o, s:i, s:i, s:I, s:I, s:I, s:o}", "mailbox", command_json(m->name),
		"messages", (int)m->messages, "unseen", (int)m->unseen, "bytes",
		(json_int_t)m->bytes, "uid-validity", (json_int_t)m->uid_validity, "uid-next",
		(json_int_t)m->uid_next, "flags", flags));
}

KURIR_PARKS int command_list(struct command *c)
{
	struct kurir_mailbox *all;
	size_t n, from = 0;
	if (command_arg(c, 1).len == 0)
		return list_accounts(c);
	int r = sqlite_exists(c->self, command_arg(c, 1), kurir_now() + PAGE_TIME);
	if (r == 0)
		r = sqlite_store.list(c->self, command_arg(c, 1), KURIR_LIST_COUNTS,
		    kurir_now() + PAGE_TIME, kurir_scratch(), &all, &n);
	if (r < 0)
		return r;
	while (c->after.len > 0 && from < n && !kurir_str_equal(all[from].name, c->after))
		from++;
	from += c->after.len > 0;
	if (c->after.len == 0)
		kurir_buf_printf(
		    &c->text, "%-40s %10s %8s %12s\n", "MAILBOX", "MESSAGES", "UNSEEN", "SIZE");
	json_t *list = json_array();
	for (size_t i = from; i < n && i < from + PAGE; i++)
		list_mailbox(c, list, &all[i]);
	c->data = json_pack("{s:o}", "list", list);
	if (n > from + PAGE)
		c->next = all[from + PAGE - 1].name;
	return 0;
}

/* The header, up to and without the empty line. */
KURIR_PARKS static int show_message(
    struct command *c, const struct kurir_mailbox_view *v, uint32_t uid)
{
	struct kurir_body body = { .fd = -1 };
	char *text = kurir_alloc(kurir_scratch(), HEADER_MAX + 1);
	size_t i = 0;
	while (i < v->count && v->messages[i].uid != uid)
		i++;
	int r = i == v->count ? -ENOENT
			      : sqlite_store.open(c->self, command_arg(c, 1), command_arg(c, 2),
				    &v->messages[i], kurir_now() + PAGE_TIME, &body);
	if (r < 0)
		return r;
	size_t want = body.length < HEADER_MAX ? (size_t)body.length : HEADER_MAX;
	ssize_t n = pread(body.fd, text, want, (off_t)body.offset);
	close(body.fd);
	char *end = n > 0 ? strstr(text, "\r\n\r\n") : NULL;
	size_t length = end != NULL ? (size_t)(end - text) : n > 0 ? (size_t)n : 0, out = 0;
	for (size_t k = 0; k < length; k++)
		if (text[k] != '\r')
			text[out++] = text[k];
	struct kurir_str header = { text, out };
	c->data = json_pack("{s:I, s:I, s:o}", "uid", (json_int_t)uid, "bytes",
	    (json_int_t)body.length, "header", command_json(header));
	return kurir_buf_add(&c->text, header);
}

/* "2026-01-01T00:00:00Z", "10 KiB", "S-F--" */
struct shown {
	char date[32], flags[6];
	struct kurir_str size;
};

static void show_as(const struct kurir_message *m, struct shown *ret)
{
	static const char letters[] = "SAFDX"; /* seen answered flagged deleted draft */
	time_t t = (time_t)(m->date / 1000);
	struct tm tm;
	for (unsigned i = 0; i < 5; i++)
		ret->flags[i] = (char)(m->flags & 1u << i ? letters[i] : '-');
	ret->flags[5] = '\0';
	ret->size = command_size(m->size);
	(void)strftime(ret->date, sizeof(ret->date), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
}

static void list_message(struct command *c, json_t *list, const struct kurir_message *m)
{
	struct kurir_str words = command_clean(m->keywords);
	struct shown s;
	show_as(m, &s);
	kurir_buf_printf(&c->text, "%10u  %s %12.*s  %s  %.*s\n", m->uid, s.date,
	    KURIR_ARG(s.size), s.flags, KURIR_ARG(words));
	json_array_append_new(list,
	    json_pack("{s:I, s:s, s:I, s:s, s:o}", "uid", (json_int_t)m->uid, "date", s.date,
		"bytes", (json_int_t)m->size, "flags", s.flags, "keywords",
		command_json(m->keywords)));
}

void command_found(
    struct command *c, json_t *list, struct kurir_str mailbox, const struct kurir_message *m)
{
	struct kurir_str words = command_clean(m->keywords), name = command_clean(mailbox);
	struct shown s;
	show_as(m, &s);
	kurir_buf_printf(&c->text, "%-30.*s %10u  %s %12.*s  %s  %.*s\n", KURIR_ARG(name), m->uid,
	    s.date, KURIR_ARG(s.size), s.flags, KURIR_ARG(words));
	json_array_append_new(list,
	    json_pack("{s:o, s:I, s:s, s:I, s:s, s:o}", "mailbox", command_json(mailbox), "uid",
		(json_int_t)m->uid, "date", s.date, "bytes", (json_int_t)m->size, "flags",
		s.flags, "keywords", command_json(m->keywords)));
}

KURIR_PARKS int command_show(struct command *c)
{
	struct kurir_mailbox_view v;
	uint64_t uid = 0, after = 0;
	if (command_arg(c, 3).len > 0 &&
	    kurir_str_number(command_arg(c, 3), UINT32_MAX, &uid) < 0)
		return command_fail(c, "a UID is a number");
	(void)kurir_str_number(c->after, UINT32_MAX, &after);
	int r = sqlite_exists(c->self, command_arg(c, 1), kurir_now() + PAGE_TIME);
	if (r == 0)
		r = sqlite_store.view(c->self, command_arg(c, 1), command_arg(c, 2), false,
		    kurir_now() + PAGE_TIME, kurir_scratch(), &v);
	if (r < 0 || uid > 0)
		return r < 0 ? r : show_message(c, &v, (uint32_t)uid);
	if (after == 0)
		kurir_buf_printf(&c->text, "%10s  %-20s %12s  %s\n", "UID", "DATE", "SIZE",
		    "FLAGS (seen answered flagged deleted draft)");
	json_t *list = json_array();
	size_t i = 0;
	while (i < v.count && v.messages[i].uid <= after)
		i++;
	for (size_t end = i + PAGE; i < v.count && i < end; i++)
		list_message(c, list, &v.messages[i]);
	c->data = json_pack("{s:o}", "list", list);
	if (i < v.count)
		c->next = kurir_format(kurir_scratch(), "%u", v.messages[i - 1].uid);
	return 0;
}

KURIR_PARKS int command_usage(struct command *c)
{
	const struct sqlite_conf *conf = kurir_conf(c->self);
	json_t *list = json_array();
	int r = 0;
	kurir_buf_printf(&c->text, "%-6s %9s %12s %12s %12s %8s\n", "SHARD", "SEGMENTS",
	    "ON DISK", "NEEDED", "DATABASE", "DAMAGED");
	for (unsigned i = 0; i < (unsigned)conf->shards && r >= 0; i++) {
		struct kurir_str reply;
		r = command_shard(c, i, SQLITE_OP_USAGE, KURIR_STR(""), &reply);
		if (r < 0)
			break;
		struct kurir_reader in = KURIR_READER(reply);
		unsigned segments = kurir_get_u32(&in), damaged = kurir_get_u32(&in);
		uint64_t disk = kurir_get_u64(&in), live = kurir_get_u64(&in),
			 database = kurir_get_u64(&in);
		struct kurir_str sizes[] = { command_size(disk), command_size(live),
			command_size(database) };
		kurir_buf_printf(&c->text, "%02x     %9u %12.*s %12.*s %12.*s %8u\n", i, segments,
		    KURIR_ARG(sizes[0]), KURIR_ARG(sizes[1]), KURIR_ARG(sizes[2]), damaged);
		json_array_append_new(list,
		    json_pack("{s:i, s:i, s:I, s:I, s:I, s:i}", "shard", (int)i, "segments",
			(int)segments, "disk", (json_int_t)disk, "needed", (json_int_t)live,
			"database", (json_int_t)database, "damaged", (int)damaged));
	}
	c->data = json_pack("{s:o}", "list", list);
	return r < 0 ? r : 0;
}
