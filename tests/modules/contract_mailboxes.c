/* contract_mailboxes.c - mailboxes are made, named, subscribed, removed, counted, locked. */
#include "contract.h"

#include <errno.h>
#include <string.h>

#define BODY "Subject: x\r\n\r\nx\r\n"

static uint32_t flags_of(struct contract *c, const char *name)
{
	const struct kurir_mailbox *m = contract_find(c, name);
	return m == NULL ? UINT32_MAX : m->flags;
}

static bool there(struct contract *c, const char *name)
{
	return contract_find(c, name) != NULL;
}

/* With all levels above; never twice. */
static void create(struct contract *c)
{
	struct kurir_mailbox_view v;
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "a/b/c", ""), 0);
	EXPECT(c, there(c, "a") && there(c, "a/b") && there(c, "a/b/c"));
	EXPECT_EQ(c, flags_of(c, "a") & KURIR_MAILBOX_CHILDREN, KURIR_MAILBOX_CHILDREN);
	EXPECT_EQ(c, flags_of(c, "a/b/c") & KURIR_MAILBOX_CHILDREN, 0);
	EXPECT_EQ(c, flags_of(c, "a/b/c") & KURIR_MAILBOX_NOSELECT, 0);
	EXPECT_EQ(c, contract_view(c, "a/b/c", &v), 0);
	EXPECT_EQ(c, v.count, 0);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "a/b/c", ""), -EEXIST);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "INBOX", ""), -EEXIST);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "INBOX/below", ""), 0);
	EXPECT(c, there(c, "INBOX/below"));
}

/* Names that other software chokes on, and those that cannot be. */
static void names(struct contract *c)
{
	static const char *const good[] = { "with space", "dot.in.it",
		"\xc3\x9c"
		"bung \xe2\x98\x83",
		"a&b", "~tilde", "percent%star*", "back\\slash", "\"quoted\"", "new", "cur",
		"tmp/new", "CASE", "case" };
	static const char *const bad[] = { "", "/a", "a/", "a//b", "bell\x07", "line\nline",
		"del\x7f" };
	struct kurir_changed done;
	struct kurir_mailbox_view v;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int r = contract_manage(c, KURIR_MANAGE_CREATE, good[i], "");
		if (r == 0)
			r = contract_append(c, good[i], BODY, 0, "", &done);
		if (r == 0)
			r = contract_view(c, good[i], &v);
		if (r < 0 || v.count != 1 || !there(c, good[i])) {
			contract_said(c, __LINE__, "mailbox %zu of the good ones: %d", i, r);
			return;
		}
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int r = contract_manage(c, KURIR_MANAGE_CREATE, bad[i], "");
		int s = contract_manage(c, KURIR_MANAGE_RENAME, "new", bad[i]);
		if (r != -EINVAL || s != -EINVAL) {
			contract_said(
			    c, __LINE__, "name %zu of the bad ones: %d and %d", i, r, s);
			return;
		}
	}
	EXPECT(c, there(c, "new"));
}

static void delete (struct contract *c)
{
	struct kurir_mailbox_view before, after;
	struct kurir_changed done;
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "top/below", ""), 0);
	EXPECT_EQ(c, contract_append(c, "top", BODY, 0, "", &done), 0);
	EXPECT_EQ(c, contract_view(c, "top", &before), 0);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_DELETE, "Nowhere", ""), -ENOENT);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_DELETE, "INBOX", ""), -EINVAL);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_DELETE, "top", ""), 0);
	/* What is below it stays; it is only a level now. */
	EXPECT(c, there(c, "top/below"));
	EXPECT_EQ(c, flags_of(c, "top") & KURIR_MAILBOX_NOSELECT, KURIR_MAILBOX_NOSELECT);
	EXPECT_EQ(c, contract_view(c, "top", &after), -ENOENT);
	/* One that is made again is another: its UIDVALIDITY says so. */
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "top", ""), 0);
	EXPECT_EQ(c, contract_view(c, "top", &after), 0);
	EXPECT_EQ(c, after.count, 0);
	EXPECT(c, after.uid_validity > before.uid_validity);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_DELETE, "top/below", ""), 0);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_DELETE, "top", ""), 0);
	EXPECT(c, !there(c, "top") && !there(c, "top/below"));
}

static void rename_them(struct contract *c)
{
	struct kurir_mailbox_view before, after;
	struct kurir_changed done;
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "from/below/deep", ""), 0);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "from2", ""), 0);
	EXPECT_EQ(c, contract_append(c, "from/below", BODY, KURIR_MESSAGE_SEEN, "k", &done), 0);
	EXPECT_EQ(c, contract_view(c, "from/below", &before), 0);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_RENAME, "Nowhere", "x"), -ENOENT);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_RENAME, "from", "from2"), -EEXIST);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_RENAME, "from", "from/below/x"), -EINVAL);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_RENAME, "from", "to"), 0);
	EXPECT(c, there(c, "to") && there(c, "to/below") && there(c, "to/below/deep"));
	EXPECT(c, !there(c, "from") && !there(c, "from/below") && there(c, "from2"));
	EXPECT_EQ(c, contract_view(c, "to/below", &after), 0);
	EXPECT_EQ(c, after.uid_validity, before.uid_validity);
	EXPECT_EQ(c, after.count, 1);
	EXPECT_EQ(c, after.messages[0].uid, before.messages[0].uid);
	EXPECT(c, kurir_str_equal(after.messages[0].keywords, KURIR_STR("k")));
	EXPECT(c, kurir_str_equal(after.id, before.id));
	contract_body(c, "to/below", &after.messages[0], BODY);
	EXPECT_DONE(c);
	/* Under a level that is none yet, which is then made (RFC 9051 section 6.3.6). */
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_RENAME, "from2", "up/down"), 0);
	EXPECT(c, there(c, "up") && there(c, "up/down"));
	/* A name that is free again makes another mailbox. */
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "from/below", ""), 0);
	EXPECT_EQ(c, contract_view(c, "from/below", &after), 0);
	EXPECT(c, after.uid_validity > before.uid_validity);
	EXPECT(c, after.id.len == 0 || !kurir_str_equal(after.id, before.id));
}

/* INBOX is emptied into the new one, and stays. */
static void rename_inbox(struct contract *c)
{
	struct kurir_mailbox_view v;
	struct kurir_changed done;
	EXPECT_EQ(c, contract_append(c, "INBOX", BODY, KURIR_MESSAGE_SEEN, "", &done), 0);
	EXPECT_EQ(c, contract_append(c, "INBOX", BODY, 0, "", &done), 0);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "INBOX/below", ""), 0);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_RENAME, "INBOX", "old"), 0);
	EXPECT_EQ(c, contract_view(c, "old", &v), 0);
	EXPECT_EQ(c, v.count, 2);
	EXPECT_EQ(c, v.messages[0].flags & KURIR_MESSAGE_SEEN, KURIR_MESSAGE_SEEN);
	contract_body(c, "old", &v.messages[1], BODY);
	EXPECT_DONE(c);
	uint32_t next = v.uid_next;
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	EXPECT_EQ(c, v.count, 0);
	EXPECT(c, there(c, "INBOX/below"));
	EXPECT_EQ(c, contract_append(c, "INBOX", BODY, 0, "", &done), 0);
	EXPECT_EQ(c, contract_append(c, "old", BODY, 0, "", &done), 0);
	EXPECT(c, done.target.ranges[0].first >= next);
	EXPECT_EQ(c, contract_view(c, "old", &v), 0);
	EXPECT_EQ(c, v.count, 3);
}

/* A name is subscribed, not a mailbox (RFC 9051 section 6.3.7): it may come or go later. */
static void subscribe(struct contract *c)
{
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "news", ""), 0);
	EXPECT_EQ(c, flags_of(c, "news") & KURIR_MAILBOX_SUBSCRIBED, 0);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_SUBSCRIBE, "news", ""), 0);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_SUBSCRIBE, "news", ""), 0);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_SUBSCRIBE, "not yet", ""), 0);
	EXPECT_EQ(c, flags_of(c, "news") & KURIR_MAILBOX_SUBSCRIBED, KURIR_MAILBOX_SUBSCRIBED);
	EXPECT_EQ(c, flags_of(c, "not yet"), KURIR_MAILBOX_SUBSCRIBED | KURIR_MAILBOX_NOSELECT);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_DELETE, "news", ""), 0);
	EXPECT_EQ(c, flags_of(c, "news"), KURIR_MAILBOX_SUBSCRIBED | KURIR_MAILBOX_NOSELECT);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_UNSUBSCRIBE, "news", ""), 0);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_UNSUBSCRIBE, "news", ""), 0);
	EXPECT(c, !there(c, "news"));
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "not yet", ""), 0);
	EXPECT_EQ(c, flags_of(c, "not yet"), KURIR_MAILBOX_SUBSCRIBED);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_SUBSCRIBE, "INBOX", ""), 0);
	EXPECT_EQ(c, flags_of(c, "INBOX"), KURIR_MAILBOX_SUBSCRIBED);
}

/* What list says is what a view would count. */
static void same_counts(struct contract *c, const char *name)
{
	struct kurir_mailbox_view v;
	uint32_t unseen = 0, deleted = 0;
	uint64_t bytes = 0;
	const struct kurir_mailbox *m = contract_find(c, name);
	EXPECT(c, m != NULL);
	EXPECT_EQ(c, contract_view(c, name, &v), 0);
	for (size_t i = 0; i < v.count; i++) {
		unseen += (v.messages[i].flags & KURIR_MESSAGE_SEEN) == 0;
		deleted += (v.messages[i].flags & KURIR_MESSAGE_DELETED) != 0;
		bytes += v.messages[i].size;
	}
	EXPECT_EQ(c, m->messages, v.count);
	EXPECT_EQ(c, m->unseen, unseen);
	EXPECT_EQ(c, m->deleted, deleted);
	EXPECT_EQ(c, m->bytes, bytes);
	EXPECT_EQ(c, m->uid_next, v.uid_next);
	EXPECT_EQ(c, m->uid_validity, v.uid_validity);
	EXPECT_EQ(c, m->modseq, v.modseq);
	EXPECT(c, kurir_str_equal(m->id, v.id));
}

static void counts(struct contract *c)
{
	struct kurir_changed done;
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "box", ""), 0);
	for (unsigned i = 0; i < 6; i++)
		EXPECT_EQ(c,
		    contract_append(c, "INBOX", BODY, i % 2 ? KURIR_MESSAGE_SEEN : 0, "", &done),
		    0);
	same_counts(c, "INBOX");
	EXPECT_EQ(c,
	    contract_change(
		c, "INBOX", KURIR_CHANGE_FLAGS_ADD, 1, 3, KURIR_MESSAGE_DELETED, "", "", &done),
	    0);
	same_counts(c, "INBOX");
	EXPECT_EQ(
	    c, contract_change(c, "INBOX", KURIR_CHANGE_COPY, 2, 4, 0, "", "box", &done), 0);
	same_counts(c, "box");
	EXPECT_EQ(
	    c, contract_change(c, "INBOX", KURIR_CHANGE_MOVE, 5, 6, 0, "", "box", &done), 0);
	same_counts(c, "INBOX");
	same_counts(c, "box");
	EXPECT_EQ(c,
	    contract_change(c, "INBOX", KURIR_CHANGE_EXPUNGE, 1, UINT32_MAX, 0, "", "", &done),
	    0);
	same_counts(c, "INBOX");
	EXPECT_EQ(c,
	    contract_change(c, "box", KURIR_CHANGE_FLAGS_SET, 1, UINT32_MAX, KURIR_MESSAGE_SEEN,
		"", "", &done),
	    0);
	same_counts(c, "box");
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_RENAME, "INBOX", "all"), 0);
	same_counts(c, "INBOX");
	same_counts(c, "all");
}

/* One at a time, for as long as the arena lives. */
static void lock(struct contract *c)
{
	struct kurir_str inbox = KURIR_STR("INBOX");
	struct kurir_arena *first = kurir_arena_new("first"), *second = kurir_arena_new("second");
	int a = c->ops->lock(c->owner, c->account, inbox, LATE, first);
	int b = c->ops->lock(c->owner, c->account, inbox, LATE, second);
	kurir_arena_free(first);
	int d = c->ops->lock(c->owner, c->account, inbox, LATE, second);
	kurir_arena_free(second);
	EXPECT_EQ(c, a, 0);
	EXPECT_EQ(c, b, -EBUSY);
	EXPECT_EQ(c, d, 0);
}

const struct contract_part contract_mailboxes[] = { { "create", create }, { "names", names },
	{ "delete", delete }, { "rename", rename_them }, { "rename-inbox", rename_inbox },
	{ "subscribe", subscribe }, { "counts", counts }, { "lock", lock }, { 0 } };
