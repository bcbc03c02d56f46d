/* command.c - "kurirctl mailbox ...": what an administrator asks of accounts, in the store
 * role.
 *
 *	list [ACCOUNT]			accounts, or the mailboxes of one
 *	show ACCOUNT MAILBOX [UID]	messages, or the header of one
 *	search ACCOUNT TERM...		messages in all mailboxes, see command_search.c
 *	move ACCOUNT FROM TO [UID[:UID]]
 *	undelete ACCOUNT MAILBOX [since=SPAN]
 *	restore ACCOUNT MAILBOX		one that was deleted, and what was in it
 *	usage				what the shards take on the disk
 *	purge				what nobody needs gives its room back now
 *
 * A long answer comes in pages, each of which says with "next" how to ask for the one behind
 * it. */
#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE	   500
#define HEADER_MAX 65536
#define CALL_TIME  20000
#define PURGE_TIME 5000

struct kurir_str command_arg(const struct command *c, size_t i)
{
	const char *s = json_string_value(json_array_get(c->args, i));
	return kurir_str_of(s != NULL ? s : "");
}

/* The value of "name=..." among the arguments, which is taken out; or empty. */
static struct kurir_str take_option(json_t *args, const char *name)
{
	size_t i, n = strlen(name);
	json_t *v;
	json_array_foreach(args, i, v)
	{
		const char *s = json_string_value(v);
		if (s == NULL || strncmp(s, name, n) != 0 || s[n] != '=')
			continue;
		struct kurir_str value = kurir_copy(kurir_scratch(), kurir_str_of(s + n + 1));
		(void)json_array_remove(args, i);
		return value;
	}
	return KURIR_STR("");
}

int command_fail(struct command *c, const char *sentence)
{
	c->error = sentence;
	return 0;
}

/* "1.5 MiB" */
struct kurir_str command_size(uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double n = (double)bytes;
	unsigned i = 0;
	for (; n >= 1024 && i < 4; i++)
		n /= 1024;
	return kurir_format(kurir_scratch(), i == 0 ? "%.0f %s" : "%.1f %s", n, units[i]);
}

/* Nothing in it moves the cursor of a terminal. */
struct kurir_str command_clean(struct kurir_str s)
{
	char *p = kurir_alloc(kurir_scratch(), s.len + 1);
	for (size_t i = 0; i < s.len; i++)
		p[i] = (char)((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 127 ? '?' : s.ptr[i]);
	return (struct kurir_str){ p, s.len };
}

json_t *command_json(struct kurir_str s)
{
	json_t *j = json_stringn(s.ptr, s.len);
	return j != NULL ? j : json_string("(not UTF-8)");
}

/* All shards, one after the other: what one request says of each. */
KURIR_PARKS int command_shard(struct command *c, unsigned shard, enum sqlite_op op,
    struct kurir_str after, struct kurir_str *ret)
{
	struct kurir_request call = { .endpoint = "store.sqlite", .key = shard, .fd = -1 };
	struct kurir_buf b;
	sqlite_begin(&b, op, after, KURIR_STR(""));
	call.body = kurir_buf_str(&b);
	int r = kurir_call(c->self, &call, kurir_now() + CALL_TIME, kurir_scratch(), ret);
	kurir_buf_free(&b);
	return r;
}

KURIR_PARKS static int move(struct command *c)
{
	struct kurir_str range = command_arg(c, 4);
	ssize_t colon = kurir_str_find(range, ':');
	struct kurir_str from = colon < 0 ? range : kurir_str_part(range, 0, (size_t)colon);
	struct kurir_str to =
	    colon < 0 ? range : kurir_str_part(range, (size_t)colon + 1, range.len);
	uint64_t first = 1, last = UINT32_MAX;
	if (range.len > 0 &&
	    (kurir_str_number(from, UINT32_MAX, &first) < 0 ||
		kurir_str_number(to, UINT32_MAX, &last) < 0 || first == 0 || last < first))
		return command_fail(c, "UIDs are a number, or two with a colon between them");
	struct kurir_uid_range uids = { (uint32_t)first, (uint32_t)last };
	struct kurir_change what = { .kind = KURIR_CHANGE_MOVE,
		.uids = { 1, &uids },
		.keywords = KURIR_STR(""),
		.target = command_arg(c, 3) };
	struct kurir_changed done;
	int r = sqlite_store.change(c->self, command_arg(c, 1), command_arg(c, 2), &what,
	    kurir_now() + CALL_TIME, kurir_scratch(), &done);
	uint64_t count = 0;
	for (size_t i = 0; r >= 0 && i < done.target.count; i++)
		count += done.target.ranges[i].last - done.target.ranges[i].first + 1;
	if (r < 0)
		return r;
	c->data = json_pack("{s:I}", "messages", (json_int_t)count);
	return kurir_buf_printf(&c->text, "%llu messages moved\n", (unsigned long long)count);
}

/* "90m": hours and days, too. */
static int span_of(struct kurir_str s, int64_t *ret)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 } };
	uint64_t n;
	if (s.len < 2 || kurir_str_number(kurir_str_part(s, 0, s.len - 1), 1000000, &n) < 0)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (s.ptr[s.len - 1] == units[i].unit) {
			*ret = (int64_t)n * units[i].ms;
			return 0;
		}
	return -EINVAL;
}

KURIR_PARKS static int bring_back(struct command *c, bool deleted)
{
	struct kurir_str since = take_option(c->args, "since"), reply;
	int64_t span = kurir_wallclock();
	struct kurir_buf b;
	if (since.len > 0 && span_of(since, &span) < 0)
		return command_fail(c, "since= needs a span such as 90m, 12h or 2d");
	sqlite_begin(&b, SQLITE_OP_UNDELETE, command_arg(c, 1), command_arg(c, 2));
	(void)kurir_put_u64(&b, (uint64_t)(kurir_wallclock() - span));
	(void)kurir_put_u8(&b, deleted);
	int r = sqlite_ask(
	    c->self, command_arg(c, 1), &b, -1, kurir_now() + CALL_TIME, kurir_scratch(), &reply);
	if (r < 0)
		return r;
	struct kurir_reader in = KURIR_READER(reply);
	unsigned count = kurir_get_u32(&in);
	c->data = json_pack("{s:I}", "messages", (json_int_t)count);
	return kurir_buf_printf(&c->text, "%u messages are back\n", count);
}

KURIR_PARKS static int undelete(struct command *c)
{
	return bring_back(c, false);
}

KURIR_PARKS static int restore(struct command *c)
{
	return bring_back(c, true);
}

/* One shard a page, and again while it is not done. */
KURIR_PARKS static int purge(struct command *c)
{
	const struct sqlite_conf *conf = kurir_conf(c->self);
	uint64_t shard = 0;
	(void)kurir_str_number(c->after, SHARDS_MAX, &shard);
	if (shard >= (uint64_t)conf->shards)
		return 0;
	int r = sqlite_purge(c->self, (unsigned)shard, kurir_now() + PURGE_TIME);
	if (r < 0 && r != -ETIMEDOUT)
		return r;
	if (r == 0)
		kurir_buf_printf(&c->text, "shard %02x done\n", (unsigned)shard);
	shard += r == 0;
	if (shard < (uint64_t)conf->shards)
		c->next = kurir_format(kurir_scratch(), "%u", (unsigned)shard);
	return 0;
}

static const struct verb {
	const char *name;
	size_t least, most; /* arguments */
	int (*run)(struct command *) KURIR_PARKS;
	const char *how;
} verbs[] = {
	{ "list", 0, 1, command_list, "list [ACCOUNT]" },
	{ "show", 2, 3, command_show, "show ACCOUNT MAILBOX [UID]" },
	{ "search", 2, 20, command_search, "search ACCOUNT TERM..." },
	{ "move", 3, 4, move, "move ACCOUNT FROM TO [UID[:UID]]" },
	{ "undelete", 2, 2, undelete, "undelete ACCOUNT MAILBOX [since=SPAN]" },
	{ "restore", 2, 2, restore, "restore ACCOUNT MAILBOX" },
	{ "usage", 0, 0, command_usage, "usage" },
	{ "purge", 0, 0, purge, "purge" },
};

static const struct verb *verb_of(struct command *c)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		size_t n = json_array_size(c->args) - 1;
		bool since = strcmp(verbs[i].name, "undelete") == 0;
		if (!kurir_str_equal(command_arg(c, 0), kurir_str_of(verbs[i].name)))
			continue;
		if (n >= verbs[i].least && n <= verbs[i].most + since)
			return &verbs[i];
		c->error =
		    kurir_format(kurir_scratch(), "it is: kurirctl mailbox %s", verbs[i].how).ptr;
		return NULL;
	}
	c->error =
	    "it is: kurirctl mailbox list, show, search, move, undelete, restore, usage or purge;"
	    " see kurir-store_sqlite(5)";
	return NULL;
}

static int answer(struct command *c, int r, struct kurir_buf *reply)
{
	struct kurir_str text = kurir_buf_str(&c->text);
	json_t *top;
	if (r == -ENOENT)
		c->error = "there is no such account, mailbox or message";
	else if (r < 0)
		c->error = kurir_format(kurir_scratch(), "it failed: %s", strerror(-r)).ptr;
	if (c->error != NULL)
		top = json_pack("{s:s}", "error", c->error);
	else
		top = json_pack("{s:s%, s:O}", "text", text.ptr != NULL ? text.ptr : "", text.len,
		    "data", c->data);
	if (c->error == NULL && c->next.len > 0)
		(void)json_object_set_new(top, "next", command_json(c->next));
	char *out = json_dumps(top, JSON_COMPACT);
	r = out != NULL ? kurir_buf_add(reply, kurir_str_of(out)) : -ENOMEM;
	free(out);
	json_decref(top);
	return r;
}

KURIR_PARKS int sqlite_command(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct command c = { .self = self, .text = KURIR_BUF(KURIR_CALL_MAX / 4) };
	json_t *top = json_loadb(in->body.ptr, in->body.len, 0, NULL);
	int r = 0;
	c.args = json_object_get(top, "args");
	c.after = take_option(c.args, "after");
	const struct verb *v = verb_of(&c);
	if (v != NULL)
		r = v->run(&c);
	if (c.data == NULL)
		c.data = json_object();
	r = answer(&c, r, reply);
	json_decref(c.data);
	json_decref(top);
	kurir_buf_free(&c.text);
	return r;
}
