/* contract_optional.c - functions that a store may have: changes, facts, find, quota, entries. */
#include "contract.h"

#include <errno.h>
#include <string.h>

#define ONE   "From: a@b.example\r\nSubject: one\r\n\r\nThe quick brown fox\r\n"
#define TWO   "From: c@d.example\r\nSubject: second\r\n\r\njumps over\r\n"
#define THREE "From: a@b.example\r\nSubject: third\r\n\r\nthe lazy dog\r\n"

#define NEEDS(c, function) \
	do { \
		if ((c)->ops->function == NULL) { \
			(c)->line = -1; \
			return; \
		} \
	} while (0)

static void three_messages(struct contract *c)
{
	struct kurir_changed done;
	EXPECT_EQ(c, contract_append(c, "INBOX", ONE, 0, "", &done), 0);
	EXPECT_EQ(c, contract_append(c, "INBOX", TWO, KURIR_MESSAGE_SEEN, "work", &done), 0);
	EXPECT_EQ(c, contract_append(c, "INBOX", THREE, 0, "", &done), 0);
}

static int since(struct contract *c, uint64_t modseq, struct kurir_mailbox_changes *ret)
{
	return c->ops->changes(
	    c->owner, c->account, KURIR_STR("INBOX"), modseq, false, LATE, c->arena, ret);
}

/* What is new, what was changed, and what went: no more, and nothing twice. */
static void changes(struct contract *c)
{
	struct kurir_mailbox_view v;
	struct kurir_mailbox_changes got;
	struct kurir_changed done;
	NEEDS(c, changes);
	three_messages(c);
	EXPECT_DONE(c);
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	uint32_t first = v.messages[0].uid;
	EXPECT_EQ(c, since(c, v.modseq, &got), 0);
	EXPECT_EQ(c, got.now.count, 0);
	EXPECT_EQ(c, got.vanished.count, 0);
	EXPECT_EQ(c, got.now.modseq, v.modseq);
	EXPECT_EQ(c, got.now.uid_next, v.uid_next);
	EXPECT_EQ(c, got.now.uid_validity, v.uid_validity);
	EXPECT_EQ(c,
	    contract_change(c, "INBOX", KURIR_CHANGE_FLAGS_ADD, first, first + 1,
		KURIR_MESSAGE_DELETED, "", "", &done),
	    0);
	EXPECT_EQ(c, contract_append(c, "INBOX", ONE, 0, "", &done), 0);
	EXPECT_EQ(c, since(c, v.modseq, &got), 0);
	EXPECT_EQ(c, got.now.count, 3);
	EXPECT_EQ(c, got.now.messages[0].uid, first);
	EXPECT_EQ(c, got.now.messages[0].flags & KURIR_MESSAGE_DELETED, KURIR_MESSAGE_DELETED);
	EXPECT(c, kurir_str_equal(got.now.messages[1].keywords, KURIR_STR("work")));
	EXPECT_EQ(c, got.now.messages[2].uid, first + 3);
	EXPECT_EQ(c,
	    contract_change(c, "INBOX", KURIR_CHANGE_EXPUNGE, 1, UINT32_MAX, 0, "", "", &done),
	    0);
	EXPECT_EQ(c, since(c, v.modseq, &got), 0);
	EXPECT_EQ(c, got.now.count, 1);
	EXPECT(c, kurir_uid_set_has(&got.vanished, first));
	EXPECT(c, kurir_uid_set_has(&got.vanished, first + 1));
	EXPECT(c, !kurir_uid_set_has(&got.vanished, first + 2));
	EXPECT(c, !kurir_uid_set_has(&got.vanished, first + 3));
	EXPECT_EQ(c, since(c, got.now.modseq, &got), 0);
	EXPECT_EQ(c, got.now.count + got.vanished.count, 0);
	/* From the beginning of all: all that is there. */
	EXPECT_EQ(c, since(c, 0, &got), 0);
	EXPECT_EQ(c, got.now.count, 2);
}

/* What is moved away has vanished, and is new where it came. */
static void changes_move(struct contract *c)
{
	struct kurir_mailbox_view v, box;
	struct kurir_mailbox_changes got;
	struct kurir_changed done;
	NEEDS(c, changes);
	three_messages(c);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "box", ""), 0);
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	EXPECT_EQ(c, contract_view(c, "box", &box), 0);
	EXPECT_EQ(c,
	    contract_change(c, "INBOX", KURIR_CHANGE_MOVE, v.messages[1].uid, v.messages[1].uid,
		0, "", "box", &done),
	    0);
	EXPECT_EQ(c, since(c, v.modseq, &got), 0);
	EXPECT_EQ(c, got.now.count, 0);
	EXPECT_EQ(c, contract_uids(&got.vanished), 1);
	EXPECT(c, kurir_uid_set_has(&got.vanished, v.messages[1].uid));
	EXPECT_EQ(c,
	    c->ops->changes(
		c->owner, c->account, KURIR_STR("box"), box.modseq, false, LATE, c->arena, &got),
	    0);
	EXPECT_EQ(c, got.now.count, 1);
	EXPECT_EQ(c, got.now.messages[0].uid, done.target.ranges[0].first);
	/* A new name for INBOX: everything has vanished. */
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_RENAME, "INBOX", "all"), 0);
	EXPECT_EQ(c, since(c, v.modseq, &got), 0);
	EXPECT_EQ(c, got.now.count, 0);
	EXPECT_EQ(c, contract_uids(&got.vanished), 2);
}

static int some_facts(struct contract *c, const char *mailbox, uint32_t want,
    struct kurir_message_facts **ret, size_t *ret_count)
{
	struct kurir_uid_range all = { 1, UINT32_MAX };
	struct kurir_uid_set set = { 1, &all };
	return c->ops->facts(c->owner, c->account, kurir_str_of(mailbox), &set, want, LATE,
	    c->arena, ret, ret_count);
}

/* By UID; a copy is the same e-mail; what is known is what was asked for. */
static void facts(struct contract *c)
{
	const uint32_t ids = 1u << KURIR_FACT_EMAIL_ID | 1u << KURIR_FACT_HEADER;
	struct kurir_message_facts *f, *copied;
	struct kurir_changed done;
	size_t n;
	NEEDS(c, facts);
	three_messages(c);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "box", ""), 0);
	EXPECT_EQ(
	    c, contract_change(c, "INBOX", KURIR_CHANGE_COPY, 2, 2, 0, "", "box", &done), 0);
	EXPECT_EQ(c, some_facts(c, "INBOX", ids, &f, &n), 0);
	EXPECT_EQ(c, n, 3);
	for (unsigned i = 0; i < 3; i++) {
		EXPECT_EQ(c, f[i].uid, i + 1);
		EXPECT(c, f[i].texts[KURIR_FACT_ENVELOPE].ptr == NULL);
	}
	if (f[0].texts[KURIR_FACT_HEADER].ptr != NULL)
		EXPECT(c,
		    kurir_str_equal(f[0].texts[KURIR_FACT_HEADER],
			KURIR_STR("From: a@b.example\r\nSubject: one\r\n\r\n")));
	if (f[0].texts[KURIR_FACT_EMAIL_ID].ptr != NULL) {
		EXPECT(c, f[0].texts[KURIR_FACT_EMAIL_ID].len > 0);
		EXPECT(c,
		    !kurir_str_equal(
			f[0].texts[KURIR_FACT_EMAIL_ID], f[2].texts[KURIR_FACT_EMAIL_ID]));
		EXPECT_EQ(c, some_facts(c, "box", ids, &copied, &n), 0);
		EXPECT_EQ(c, n, 1);
		EXPECT(c,
		    kurir_str_equal(
			f[1].texts[KURIR_FACT_EMAIL_ID], copied[0].texts[KURIR_FACT_EMAIL_ID]));
	}
	EXPECT_EQ(c, some_facts(c, "Nowhere", ids, &f, &n), -ENOENT);
}

/* What a store knows of a message is what its bytes say. */
static void texts(struct contract *c)
{
	static const char message[] =
	    "From: A <a@b.example>\r\nSubject: caf\xc3\xa9\r\nMessage-ID: <1@b>\r\n"
	    "Content-Type: multipart/mixed; boundary=x\r\n\r\n"
	    "--x\r\n\r\nHello, \r\nyou\r\n--x\r\nContent-Type: image/png\r\n\r\n\r\n--x--\r\n";
	static const char *const wanted[] = {
		"(NIL {5}\r\ncaf\xc3\xa9 ((\"A\" NIL \"a\" \"b.example\")) ((\"A\" NIL \"a\" "
		"\"b.example\")) ((\"A\" NIL \"a\" \"b.example\")) NIL NIL NIL NIL \"<1@b>\")",
		"((\"text\" \"plain\" NIL NIL NIL \"7bit\" 12 2)"
		"(\"image\" \"png\" NIL NIL NIL \"7bit\" 0) \"mixed\")",
		"((\"text\" \"plain\" NIL NIL NIL \"7bit\" 12 2 NIL NIL NIL NIL)"
		"(\"image\" \"png\" NIL NIL NIL \"7bit\" 0 NIL NIL NIL NIL) \"mixed\" "
		"(\"boundary\" \"x\") NIL NIL NIL)",
		"Hello, you",
	};
	struct kurir_message_facts *f;
	struct kurir_changed done;
	size_t n;
	NEEDS(c, facts);
	EXPECT_EQ(c, contract_append(c, "INBOX", message, 0, "", &done), 0);
	EXPECT_EQ(c, some_facts(c, "INBOX", (1u << KURIR_FACTS) - 1, &f, &n), 0);
	EXPECT_EQ(c, n, 1);
	for (unsigned i = KURIR_FACT_ENVELOPE; i <= KURIR_FACT_PREVIEW; i++)
		EXPECT(c,
		    f->texts[i].ptr == NULL ||
			kurir_str_equal(f->texts[i], kurir_str_of(wanted[i])));
}

/* The same thread: a message id and the base subject in common; whatever came first. */
static void threads(struct contract *c)
{
	static const struct {
		const char *text;
		unsigned with; /* the first of its thread */
	} messages[] = {
		{ "Subject: one\r\nMessage-ID: <1@b>\r\n\r\n", 0 },
		{ "Subject: Re: [list] ONE\r\nMessage-ID: <2@b>\r\nIn-Reply-To: <1@b>\r\n\r\n",
		    0 },
		{ "Subject: other\r\nMessage-ID: <3@b>\r\nReferences: <1@b> <2@b>\r\n\r\n", 2 },
		{ "Subject: Re: late\r\nMessage-ID: <5@b>\r\nReferences: <4@b>\r\n\r\n", 3 },
		{ "Subject: late\r\nMessage-ID: <4@b>\r\n\r\n", 3 },
		{ "Subject: late\r\n\r\n", 5 },
		{ "Subject: fwd: one\r\nReferences: (c) <x@b>\r\n <2@b>\r\n\r\n", 0 },
	};
	const size_t count = sizeof(messages) / sizeof(messages[0]);
	struct kurir_message_facts *f;
	struct kurir_changed done;
	size_t n;
	NEEDS(c, facts);
	for (size_t i = 0; i < count; i++)
		EXPECT_EQ(c, contract_append(c, "INBOX", messages[i].text, 0, "", &done), 0);
	EXPECT_EQ(c, some_facts(c, "INBOX", 1u << KURIR_FACT_THREAD_ID, &f, &n), 0);
	EXPECT_EQ(c, n, count);
	for (size_t i = 0; i < count && f[0].texts[KURIR_FACT_THREAD_ID].ptr != NULL; i++)
		for (size_t j = 0; j < i; j++)
			EXPECT_EQ(c,
			    kurir_str_equal(f[i].texts[KURIR_FACT_THREAD_ID],
				f[j].texts[KURIR_FACT_THREAD_ID]),
			    messages[i].with == messages[j].with);
}

/* A message that has the text is found or has to be looked at; what is found has it. */
static void one_find(struct contract *c, enum kurir_find_place place, const char *field,
    const char *text, uint32_t has)
{
	struct kurir_find what = {
		.place = place, .field = kurir_str_of(field), .text = kurir_str_of(text)
	};
	struct kurir_uid_set found = { .count = 0 }, unsure = { .count = 0 };
	int r = c->ops->find(
	    c->owner, c->account, KURIR_STR("INBOX"), &what, LATE, c->arena, &found, &unsure);
	if (r == -ENOTSUP)
		return;
	EXPECT_EQ(c, r, 0);
	for (uint32_t uid = 1; uid <= 3; uid++) {
		bool yes = (has & 1u << uid) != 0;
		bool in = kurir_uid_set_has(&found, uid), maybe = kurir_uid_set_has(&unsure, uid);
		if ((yes && !in && !maybe) || (!yes && in)) {
			contract_said(c, __LINE__, "\"%s\": message %u is %s", text, uid,
			    in ? "found" : "not found");
			return;
		}
	}
}

static void find(struct contract *c)
{
	NEEDS(c, find);
	three_messages(c);
	EXPECT_DONE(c);
	one_find(c, KURIR_FIND_BODY, "", "quick", 1u << 1);
	one_find(c, KURIR_FIND_BODY, "", "UICK bRO", 1u << 1);
	one_find(c, KURIR_FIND_BODY, "", "the", 1u << 1 | 1u << 3);
	one_find(c, KURIR_FIND_BODY, "", "x", 1u << 1);
	one_find(c, KURIR_FIND_BODY, "", "third", 0);
	one_find(c, KURIR_FIND_BODY, "", "\"dog\" OR *", 0);
	one_find(c, KURIR_FIND_TEXT, "", "third", 1u << 3);
	one_find(c, KURIR_FIND_TEXT, "", "SUBJECT: SECOND", 1u << 2);
	one_find(c, KURIR_FIND_HEADER, "From", "b.exam", 1u << 1 | 1u << 3);
	one_find(c, KURIR_FIND_HEADER, "subject", "b.exam", 0);
	one_find(c, KURIR_FIND_HEADER, "SUBJECT", "", 1u << 1 | 1u << 2 | 1u << 3);
	one_find(c, KURIR_FIND_HEADER, "X-None", "", 0);
}

static void quota(struct contract *c)
{
	struct kurir_quota q;
	struct kurir_changed done;
	NEEDS(c, quota);
	three_messages(c);
	EXPECT_EQ(c, c->ops->quota(c->owner, c->account, LATE, &q), 0);
	EXPECT_EQ(c, q.messages, 3);
	EXPECT_EQ(c, q.bytes, strlen(ONE) + strlen(TWO) + strlen(THREE));
	EXPECT_EQ(c,
	    contract_change(
		c, "INBOX", KURIR_CHANGE_FLAGS_SET, 2, 2, KURIR_MESSAGE_DELETED, "", "", &done),
	    0);
	EXPECT_EQ(
	    c, contract_change(c, "INBOX", KURIR_CHANGE_EXPUNGE, 1, 9, 0, "", "", &done), 0);
	EXPECT_EQ(c, c->ops->quota(c->owner, c->account, LATE, &q), 0);
	EXPECT_EQ(c, q.messages, 2);
	EXPECT_EQ(c, q.bytes, strlen(ONE) + strlen(THREE));
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "box", ""), 0);
	EXPECT_EQ(
	    c, contract_change(c, "INBOX", KURIR_CHANGE_COPY, 1, 3, 0, "", "box", &done), 0);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_DELETE, "box", ""), 0);
	EXPECT_EQ(c, c->ops->quota(c->owner, c->account, LATE, &q), 0);
	EXPECT_EQ(c, q.messages, 2);
	EXPECT_EQ(c, q.bytes, strlen(ONE) + strlen(THREE));
}

static int set_entry(struct contract *c, const char *mailbox, const char *name, const char *value)
{
	struct kurir_entry e = { .name = kurir_str_of(name) };
	if (value != NULL)
		e.value = kurir_str_of(value);
	return c->ops->set_entries(c->owner, c->account, kurir_str_of(mailbox), &e, 1, LATE);
}

/* The value of the only entry, or how many there are. */
static void only_entry(struct contract *c, const char *mailbox, const char *value)
{
	struct kurir_entry *all;
	size_t n;
	EXPECT_EQ(c,
	    c->ops->entries(
		c->owner, c->account, kurir_str_of(mailbox), LATE, c->arena, &all, &n),
	    0);
	EXPECT_EQ(c, n, value != NULL);
	if (value != NULL)
		EXPECT(c, kurir_str_equal(all[0].value, kurir_str_of(value)));
}

static void entries(struct contract *c)
{
	NEEDS(c, entries);
	NEEDS(c, set_entries);
	only_entry(c, "INBOX", NULL);
	EXPECT_EQ(c, set_entry(c, "INBOX", "/private/comment", "mine"), 0);
	EXPECT_EQ(c, set_entry(c, "", "/private/comment", "account"), 0);
	only_entry(c, "INBOX", "mine");
	only_entry(c, "", "account");
	EXPECT_EQ(c, set_entry(c, "INBOX", "/private/comment", ""), 0);
	only_entry(c, "INBOX", "");
	EXPECT_EQ(c, set_entry(c, "Nowhere", "/private/comment", "x"), -ENOENT);
	/* All or none. */
	char *large = kurir_alloc(c->arena, 1 << 17);
	memset(large, 'x', 1 << 17);
	struct kurir_entry two[] = { { KURIR_STR("/private/comment"), KURIR_STR("changed") },
		{ KURIR_STR("/private/other"), { large, 1 << 17 } } };
	EXPECT_EQ(c, c->ops->set_entries(c->owner, c->account, KURIR_STR("INBOX"), two, 2, LATE),
	    -EMSGSIZE);
	only_entry(c, "INBOX", "");
	EXPECT_EQ(c, set_entry(c, "INBOX", "/private/comment", NULL), 0);
	only_entry(c, "INBOX", NULL);
	/* They go with their mailbox. */
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "box", ""), 0);
	EXPECT_EQ(c, set_entry(c, "box", "/private/comment", "x"), 0);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_DELETE, "box", ""), 0);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "box", ""), 0);
	only_entry(c, "box", NULL);
	/* They do not fill a disk. */
	unsigned n = 0;
	int r = 0;
	for (large[1 << 16] = '\0'; n < 200 && r == 0; n++) {
		struct kurir_str name = kurir_format(c->arena, "/private/%u", n);
		r = set_entry(c, n % 2 ? "INBOX" : "box", name.ptr, large);
	}
	EXPECT_EQ(c, r, -EMSGSIZE);
	EXPECT(c, n > 100);
}

const struct contract_part contract_optional[] = { { "changes", changes },
	{ "changes-move", changes_move }, { "facts", facts }, { "texts", texts },
	{ "threads", threads }, { "find", find }, { "quota", quota }, { "entries", entries },
	{ 0 } };
