/* contract_room.c - much comes and goes; what stays is what it was, and what went gives its
 * room back. */
#include "contract.h"

#include <errno.h>
#include <kurir/call.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MANY  64
#define BYTES 50000

/* A message of its own each. */
static void fill(char *to, unsigned i)
{
	memset(to, (int)('a' + i % 26), BYTES);
	memcpy(to, "Subject: x\r\n\r\n", 14);
	for (unsigned k = 78; k + 2 < BYTES; k += 78)
		memcpy(to + k, "\r\n", 2);
	to[20] = (char)('A' + i % 26);
	memcpy(to + BYTES - 2, "\r\n", 2);
}

static void append_many(struct contract *c)
{
	char *one = kurir_alloc(c->arena, BYTES + 1);
	struct kurir_changed done;
	for (unsigned i = 0; i < MANY; i++) {
		fill(one, i);
		EXPECT_EQ(c, contract_append(c, "INBOX", one, 0, "", &done), 0);
	}
}

/* Every fourth stays. */
static void remove_most(struct contract *c)
{
	struct kurir_changed done;
	for (uint32_t uid = 1; uid <= MANY; uid++)
		if (uid % 4 != 0)
			EXPECT_EQ(c,
			    contract_change(c, "INBOX", KURIR_CHANGE_FLAGS_ADD, uid, uid,
				KURIR_MESSAGE_DELETED, "", "", &done),
			    0);
	EXPECT_EQ(c,
	    contract_change(c, "INBOX", KURIR_CHANGE_EXPUNGE, 1, UINT32_MAX, 0, "", "", &done),
	    0);
	EXPECT_EQ(c, contract_uids(&done.uids), MANY - MANY / 4);
}

static void all_right(struct contract *c)
{
	char *one = kurir_alloc(c->arena, BYTES + 1);
	struct kurir_mailbox_view v;
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	EXPECT_EQ(c, v.count, MANY / 4);
	for (size_t i = 0; i < v.count; i++) {
		EXPECT_EQ(c, v.messages[i].uid, 4 * (i + 1));
		fill(one, v.messages[i].uid - 1);
		contract_body(c, "INBOX", &v.messages[i], one);
		EXPECT_DONE(c);
	}
}

static int ask(struct contract *c, const char *verb, const char *after, struct kurir_str *ret)
{
	struct kurir_request q = { .endpoint = "ctl.mailbox", .fd = -1 };
	q.body = kurir_format(c->arena, "{\"args\":[\"%s\",\"after=%s\"]}", verb, after);
	return kurir_call(c->self, &q, LATE, c->arena, ret);
}

static uint64_t number_in(struct kurir_str reply, const char *key)
{
	const char *at = strstr(reply.ptr, key);
	return at != NULL ? strtoull(at + strlen(key) + 1, NULL, 10) : UINT64_MAX;
}

/* A store that has this command has one shard here, and segments of 1 MiB. */
static void room(struct contract *c)
{
	struct kurir_str reply;
	struct kurir_mailbox_view v;
	struct kurir_body before = { .fd = -1 };
	char *one = kurir_alloc(c->arena, BYTES + 1), *got = kurir_alloc(c->arena, BYTES + 1);
	append_many(c);
	EXPECT_DONE(c);
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	EXPECT_EQ(c, v.count, MANY);
	EXPECT_EQ(c,
	    c->ops->open(c->owner, c->account, KURIR_STR("INBOX"), &v.messages[3], LATE, &before),
	    0);
	remove_most(c);
	all_right(c);
	int r = ask(c, "purge", "", &reply);
	/* Who had it open reads on, wherever it is now. */
	ssize_t n = pread(before.fd, got, BYTES, (off_t)before.offset);
	close(before.fd);
	EXPECT_DONE(c);
	EXPECT_EQ(c, n, BYTES);
	fill(one, 3);
	EXPECT(c, memcmp(one, got, BYTES) == 0);
	all_right(c);
	EXPECT_DONE(c);
	if (r == -ENOENT) /* no such command */
		return;
	EXPECT_EQ(c, r, 0);
	EXPECT_EQ(c, ask(c, "usage", "", &reply), 0);
	uint64_t disk = number_in(reply, "\"disk\""), needed = number_in(reply, "\"needed\"");
	EXPECT(c, needed >= MANY / 4 * BYTES && needed < MANY / 4 * BYTES + 100000);
	EXPECT(c, disk <= 2 * needed + (1 << 20) + BYTES);
	EXPECT_EQ(c, number_in(reply, "\"damaged\""), 0);
}

/* After "find" and some time: the store names those that have it, for certain or to be looked
 * at, and no others. */
static void found(struct contract *c)
{
	static const struct {
		const char *text;
		uint32_t has;
	} wanted[] = { { "quick", 1u << 1 }, { "UICK bRO", 1u << 1 },
		{ "the", 1u << 1 | 1u << 3 }, { "nowhere to be found", 0 }, { "ox\"", 0 } };
	c->account = KURIR_STR("find@satu.example");
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		struct kurir_find what = { .place = KURIR_FIND_BODY,
			.text = kurir_str_of(wanted[i].text) };
		struct kurir_uid_set got = { .count = 0 }, unsure = { .count = 0 };
		EXPECT_EQ(c,
		    c->ops->find(c->owner, c->account, KURIR_STR("INBOX"), &what, LATE, c->arena,
			&got, &unsure),
		    0);
		for (uint32_t uid = 1; uid <= 3; uid++)
			EXPECT_EQ(c,
			    kurir_uid_set_has(&got, uid) || kurir_uid_set_has(&unsure, uid),
			    (wanted[i].has & 1u << uid) != 0);
	}
}

static uint64_t remembered;

/* What went is remembered for a while ("forget"); later ("forgotten") who asks is sent to
 * look. */
static void forget(struct contract *c)
{
	struct kurir_mailbox_view v;
	struct kurir_mailbox_changes got;
	struct kurir_changed done;
	if (c->ops->changes == NULL) {
		c->line = -1;
		return;
	}
	EXPECT_EQ(c, contract_append(c, "INBOX", "a\r\n", KURIR_MESSAGE_DELETED, "", &done), 0);
	EXPECT_EQ(c, contract_append(c, "INBOX", "b\r\n", 0, "", &done), 0);
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	EXPECT_EQ(c,
	    contract_change(c, "INBOX", KURIR_CHANGE_EXPUNGE, 1, UINT32_MAX, 0, "", "", &done),
	    0);
	remembered = v.modseq;
	EXPECT_EQ(c,
	    c->ops->changes(c->owner, c->account, KURIR_STR("INBOX"), remembered, false, LATE,
		c->arena, &got),
	    0);
	EXPECT_EQ(c, contract_uids(&got.vanished), 1);
}

static void forgotten(struct contract *c)
{
	struct kurir_mailbox_view v;
	struct kurir_mailbox_changes got;
	c->account = KURIR_STR("forget@satu.example");
	EXPECT_EQ(c,
	    c->ops->changes(c->owner, c->account, KURIR_STR("INBOX"), remembered, false, LATE,
		c->arena, &got),
	    -ESTALE);
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	EXPECT_EQ(c, v.count, 1);
	EXPECT_EQ(c,
	    c->ops->changes(
		c->owner, c->account, KURIR_STR("INBOX"), v.modseq, false, LATE, c->arena, &got),
	    0);
	EXPECT_EQ(c, got.now.count + got.vanished.count, 0);
}

const struct contract_part contract_room[] = { { "room", room }, { "forget", forget },
	{ "forgotten", forgotten }, { "found", found }, { 0 } };
