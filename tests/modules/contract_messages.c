/* contract_messages.c - messages come, change, are copied, and go. */
#include "contract.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ONE   "Subject: one\r\n\r\nfirst\r\n"
#define TWO   "Subject: two\r\n\r\n.dots\r\n..and \xc3\xa9\r\n"
#define THREE "Subject: three\r\n\r\nthird\r\n"

static void three_messages(struct contract *c)
{
	struct kurir_changed done;
	EXPECT_EQ(c, contract_append(c, "INBOX", ONE, 0, "", &done), 0);
	EXPECT_EQ(
	    c, contract_append(c, "INBOX", TWO, KURIR_MESSAGE_SEEN, "work $Forwarded", &done), 0);
	EXPECT_EQ(c, contract_append(c, "INBOX", THREE, KURIR_MESSAGE_FLAGGED, "", &done), 0);
}

/* An account that nobody knew has an INBOX, and nothing in it. */
static void empty(struct contract *c)
{
	struct kurir_mailbox *all;
	struct kurir_mailbox_view v;
	size_t n;
	EXPECT_EQ(c, contract_list(c, &all, &n), 0);
	EXPECT_EQ(c, n, 1);
	EXPECT(c, kurir_str_equal(all[0].name, KURIR_STR("INBOX")));
	EXPECT_EQ(c, all[0].flags & (KURIR_MAILBOX_NOSELECT | KURIR_MAILBOX_CHILDREN), 0);
	EXPECT_EQ(c, all[0].messages, 0);
	EXPECT(c, all[0].uid_validity > 0 && all[0].uid_next > 0);
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	EXPECT_EQ(c, v.count, 0);
	EXPECT_EQ(c, v.uid_validity, all[0].uid_validity);
	EXPECT_EQ(c, v.uid_next, all[0].uid_next);
	EXPECT_EQ(c, contract_view(c, "Nowhere", &v), -ENOENT);
	EXPECT_EQ(c, contract_view(c, "INBOX/below", &v), -ENOENT);
}

static void append_three(struct contract *c, struct kurir_changed *ret)
{
	const char *bodies[] = { ONE, TWO, THREE };
	struct kurir_append all[3];
	uint64_t at = 0;
	int fd = memfd_create("contract", MFD_CLOEXEC), r = fd < 0 ? -1 : 0;
	for (unsigned i = 0; r == 0 && i < 3; i++) {
		size_t n = strlen(bodies[i]);
		at += 5; /* what lies between them is nobody's */
		all[i] =
		    (struct kurir_append){ .flags = KURIR_MESSAGE_DRAFT | KURIR_MESSAGE_RECENT,
			    .keywords = KURIR_STR("a b"),
			    .date = (int64_t)1600000000000 + i * 1000,
			    .fd = fd,
			    .offset = at,
			    .length = n };
		r = pwrite(fd, bodies[i], n, (off_t)at) == (ssize_t)n ? 0 : -1;
		at += n;
	}
	if (r == 0)
		r = c->ops->append(
		    c->owner, c->account, KURIR_STR("INBOX"), all, 3, LATE, c->arena, ret);
	if (fd >= 0)
		close(fd);
	EXPECT_EQ(c, r, 0);
}

/* Several at once: all of what was said of them, in their order. */
static void append(struct contract *c)
{
	const char *bodies[] = { ONE, TWO, THREE };
	struct kurir_mailbox_view before, v;
	struct kurir_changed done = { .target_validity = 0 };
	EXPECT_EQ(c, contract_view(c, "INBOX", &before), 0);
	append_three(c, &done);
	EXPECT_DONE(c);
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	EXPECT_EQ(c, v.count, 3);
	EXPECT_EQ(c, done.target_validity, v.uid_validity);
	EXPECT_EQ(c, done.target.count, 1);
	EXPECT_EQ(c, done.target.ranges[0].first, before.uid_next);
	EXPECT_EQ(c, contract_uids(&done.target), 3);
	EXPECT_EQ(c, v.uid_next, before.uid_next + 3);
	EXPECT(c, v.modseq > before.modseq);
	for (unsigned i = 0; i < 3; i++) {
		EXPECT_EQ(c, v.messages[i].uid, before.uid_next + i);
		EXPECT_EQ(c, v.messages[i].size, strlen(bodies[i]));
		EXPECT_EQ(c, v.messages[i].flags & ~(uint32_t)KURIR_MESSAGE_RECENT,
		    KURIR_MESSAGE_DRAFT);
		EXPECT(c, kurir_str_equal(v.messages[i].keywords, KURIR_STR("a b")));
		EXPECT_EQ(c, v.messages[i].date / 1000, 1600000000 + i);
		EXPECT(c, v.messages[i].modseq <= v.modseq && v.messages[i].modseq > 0);
		contract_body(c, "INBOX", &v.messages[i], bodies[i]);
		EXPECT_DONE(c);
	}
	EXPECT_EQ(c, contract_append(c, "Nowhere", ONE, 0, "", &done), -ENOENT);
	EXPECT(c, contract_find(c, "Nowhere") == NULL);
}

static const struct kurir_message *message(struct contract *c, const char *mailbox, unsigned i)
{
	static const struct kurir_message none;
	struct kurir_mailbox_view v;
	return contract_view(c, mailbox, &v) == 0 && i < v.count ? &v.messages[i] : &none;
}

static uint32_t flags_of(struct contract *c, unsigned i)
{
	return message(c, "INBOX", i)->flags & ~(uint32_t)KURIR_MESSAGE_RECENT;
}

static bool keywords_are(struct contract *c, unsigned i, const char *keywords)
{
	return kurir_str_equal(message(c, "INBOX", i)->keywords, kurir_str_of(keywords));
}

/* Flags and keywords are added, removed and set; what does not change keeps its mod-sequence. */
static void flags(struct contract *c)
{
	struct kurir_changed done;
	three_messages(c);
	EXPECT_DONE(c);
	uint32_t first = message(c, "INBOX", 0)->uid;
	uint64_t third = message(c, "INBOX", 2)->modseq, second = message(c, "INBOX", 1)->modseq;
	EXPECT(c, keywords_are(c, 1, "work $Forwarded"));
	EXPECT_EQ(c,
	    contract_change(c, "INBOX", KURIR_CHANGE_FLAGS_ADD, first, first + 1,
		KURIR_MESSAGE_ANSWERED | KURIR_MESSAGE_RECENT, "WORK later", "", &done),
	    0);
	EXPECT_EQ(c, contract_uids(&done.uids), 2);
	EXPECT_EQ(c, flags_of(c, 0), KURIR_MESSAGE_ANSWERED);
	EXPECT_EQ(c, flags_of(c, 1), KURIR_MESSAGE_ANSWERED | KURIR_MESSAGE_SEEN);
	EXPECT_EQ(c, flags_of(c, 2), KURIR_MESSAGE_FLAGGED);
	EXPECT(c, keywords_are(c, 1, "work $Forwarded later"));
	EXPECT(c, message(c, "INBOX", 1)->modseq > second);
	EXPECT_EQ(c, message(c, "INBOX", 2)->modseq, third);
	EXPECT_EQ(c,
	    contract_change(c, "INBOX", KURIR_CHANGE_FLAGS_REMOVE, first + 1, first + 1,
		KURIR_MESSAGE_SEEN, "Work", "", &done),
	    0);
	EXPECT_EQ(c, flags_of(c, 1), KURIR_MESSAGE_ANSWERED);
	EXPECT(c, keywords_are(c, 1, "$Forwarded later"));
	EXPECT_EQ(c,
	    contract_change(c, "INBOX", KURIR_CHANGE_FLAGS_SET, first, UINT32_MAX,
		KURIR_MESSAGE_DELETED, "only", "", &done),
	    0);
	EXPECT_EQ(c, contract_uids(&done.uids), 3);
	for (unsigned i = 0; i < 3; i++) {
		EXPECT_EQ(c, flags_of(c, i), KURIR_MESSAGE_DELETED);
		EXPECT(c, keywords_are(c, i, "only"));
	}
	EXPECT_EQ(c,
	    contract_change(c, "Nowhere", KURIR_CHANGE_FLAGS_SET, 1, 9, 0, "", "", &done),
	    -ENOENT);
	EXPECT_EQ(c,
	    contract_change(
		c, "INBOX", KURIR_CHANGE_FLAGS_SET, first + 50, first + 60, 0, "", "", &done),
	    0);
	EXPECT_EQ(c, contract_uids(&done.uids), 0);
}

/* What is kept is the message's own, whatever all others are set to. */
static void keeps(struct contract *c)
{
	struct kurir_uid_range range = { 1, UINT32_MAX };
	struct kurir_change what = { .kind = KURIR_CHANGE_FLAGS_SET,
		.uids = { 1, &range },
		.flags = KURIR_MESSAGE_ANSWERED,
		.keywords = KURIR_STR("mine"),
		.target = KURIR_STR(""),
		.keeps = KURIR_MESSAGE_SEEN };
	struct kurir_changed done;
	three_messages(c);
	EXPECT_DONE(c);
	for (unsigned i = 0; i < 2; i++) {
		EXPECT_EQ(c,
		    c->ops->change(
			c->owner, c->account, KURIR_STR("INBOX"), &what, LATE, c->arena, &done),
		    0);
		EXPECT_EQ(c, contract_uids(&done.uids), 3);
		EXPECT_EQ(c, flags_of(c, 1), what.flags | KURIR_MESSAGE_SEEN);
		EXPECT_EQ(c, flags_of(c, 2), what.flags);
		EXPECT(c, keywords_are(c, 1, "mine"));
		what.flags = KURIR_MESSAGE_DRAFT;
		what.keywords = KURIR_STR("");
		what.keeps_keywords = true;
	}
}

/* Of two that change a message after the same look only the first does. */
static void unchanged(struct contract *c)
{
	struct kurir_changed done;
	three_messages(c);
	EXPECT_DONE(c);
	struct kurir_mailbox_view v;
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	struct kurir_uid_range range = { v.messages[0].uid, v.messages[2].uid };
	struct kurir_change what = { .kind = KURIR_CHANGE_FLAGS_ADD,
		.uids = { 1, &range },
		.flags = KURIR_MESSAGE_ANSWERED,
		.keywords = KURIR_STR(""),
		.target = KURIR_STR(""),
		.unchanged_since = v.modseq };
	EXPECT_EQ(c,
	    contract_change(c, "INBOX", KURIR_CHANGE_FLAGS_ADD, range.first + 1, range.first + 1,
		KURIR_MESSAGE_DRAFT, "", "", &done),
	    0);
	EXPECT_EQ(c,
	    c->ops->change(
		c->owner, c->account, KURIR_STR("INBOX"), &what, LATE, c->arena, &done),
	    0);
	EXPECT_EQ(c, contract_uids(&done.uids), 2);
	EXPECT_EQ(c, flags_of(c, 0), KURIR_MESSAGE_ANSWERED);
	EXPECT_EQ(c, flags_of(c, 1), KURIR_MESSAGE_DRAFT | KURIR_MESSAGE_SEEN);
}

/* Only what is marked goes, unless it is forced; a UID is never given again. */
static void expunge(struct contract *c)
{
	struct kurir_mailbox_view v, after;
	struct kurir_changed done;
	three_messages(c);
	EXPECT_DONE(c);
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	uint32_t first = v.messages[0].uid;
	EXPECT_EQ(c,
	    contract_change(c, "INBOX", KURIR_CHANGE_FLAGS_ADD, first + 2, first + 2,
		KURIR_MESSAGE_DELETED, "", "", &done),
	    0);
	EXPECT_EQ(c,
	    contract_change(c, "INBOX", KURIR_CHANGE_EXPUNGE, 1, first + 1, 0, "", "", &done), 0);
	EXPECT_EQ(c, contract_uids(&done.uids), 0);
	EXPECT_EQ(c,
	    contract_change(c, "INBOX", KURIR_CHANGE_EXPUNGE, 1, UINT32_MAX, 0, "", "", &done),
	    0);
	EXPECT_EQ(c, contract_uids(&done.uids), 1);
	EXPECT_EQ(c, done.uids.ranges[0].first, first + 2);
	EXPECT_EQ(c, contract_view(c, "INBOX", &after), 0);
	EXPECT_EQ(c, after.count, 2);
	EXPECT_EQ(c, after.uid_next, v.uid_next);
	EXPECT(c, after.modseq > v.modseq);
	struct kurir_body b = { .fd = -1 };
	/* Who has not heard of it yet may still read it (RFC 2180 section 4.1.1), and just it. */
	int r = c->ops->open(c->owner, c->account, KURIR_STR("INBOX"), &v.messages[2], LATE, &b);
	EXPECT(c, r == -ENOENT || (r == 0 && b.length == v.messages[2].size));
	if (r == 0)
		close(b.fd);
	struct kurir_uid_range range = { first, first };
	struct kurir_change forced = { .kind = KURIR_CHANGE_EXPUNGE,
		.uids = { 1, &range },
		.keywords = KURIR_STR(""),
		.target = KURIR_STR(""),
		.force = true };
	EXPECT_EQ(c,
	    c->ops->change(
		c->owner, c->account, KURIR_STR("INBOX"), &forced, LATE, c->arena, &done),
	    0);
	EXPECT_EQ(c, contract_append(c, "INBOX", ONE, 0, "", &done), 0);
	EXPECT_EQ(c, done.target.ranges[0].first, v.uid_next);
	EXPECT_EQ(c, contract_view(c, "INBOX", &after), 0);
	EXPECT_EQ(c, after.count, 2);
	EXPECT_EQ(c, after.uid_validity, v.uid_validity);
}

/* A copy is another message with the same bytes, flags, keywords and date. */
static void copy(struct contract *c)
{
	struct kurir_mailbox_view v, there;
	struct kurir_changed done;
	three_messages(c);
	EXPECT_DONE(c);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "Copies", ""), 0);
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	uint32_t first = v.messages[0].uid;
	EXPECT_EQ(c,
	    contract_change(
		c, "INBOX", KURIR_CHANGE_COPY, first + 1, first + 9, 0, "", "Copies", &done),
	    0);
	EXPECT_EQ(c, contract_uids(&done.uids), 2);
	EXPECT_EQ(c, contract_uids(&done.target), 2);
	EXPECT_EQ(c, contract_view(c, "Copies", &there), 0);
	EXPECT_EQ(c, done.target_validity, there.uid_validity);
	EXPECT_EQ(c, there.count, 2);
	EXPECT_EQ(c, there.messages[0].uid, done.target.ranges[0].first);
	EXPECT_EQ(c, there.messages[0].flags & KURIR_MESSAGE_SEEN, KURIR_MESSAGE_SEEN);
	EXPECT(c, kurir_str_equal(there.messages[0].keywords, v.messages[1].keywords));
	EXPECT_EQ(c, there.messages[0].date, v.messages[1].date);
	contract_body(c, "Copies", &there.messages[0], TWO);
	contract_body(c, "Copies", &there.messages[1], THREE);
	EXPECT_DONE(c);
	EXPECT_EQ(c,
	    contract_change(c, "INBOX", KURIR_CHANGE_COPY, first, first, 0, "", "INBOX", &done),
	    0);
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	EXPECT_EQ(c, v.count, 4);
	contract_body(c, "INBOX", &v.messages[3], ONE);
	EXPECT_DONE(c);
	EXPECT_EQ(c,
	    contract_change(c, "INBOX", KURIR_CHANGE_COPY, first, first, 0, "", "Nowhere", &done),
	    -ENOENT);
	EXPECT(c, contract_find(c, "Nowhere") == NULL);
	/* What is in one does not follow what happens in the other. */
	EXPECT_EQ(c,
	    contract_change(c, "Copies", KURIR_CHANGE_FLAGS_SET, 1, UINT32_MAX,
		KURIR_MESSAGE_DELETED, "", "", &done),
	    0);
	EXPECT_EQ(c,
	    contract_change(c, "Copies", KURIR_CHANGE_EXPUNGE, 1, UINT32_MAX, 0, "", "", &done),
	    0);
	EXPECT_EQ(c, flags_of(c, 1), KURIR_MESSAGE_SEEN);
	contract_body(c, "INBOX", message(c, "INBOX", 1), TWO);
}

static void move(struct contract *c)
{
	struct kurir_mailbox_view v, there;
	struct kurir_changed done;
	three_messages(c);
	EXPECT_DONE(c);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "Moved", ""), 0);
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	uint32_t first = v.messages[0].uid;
	EXPECT_EQ(c,
	    contract_change(c, "INBOX", KURIR_CHANGE_MOVE, first, first, 0, "", "Nowhere", &done),
	    -ENOENT);
	EXPECT_EQ(c,
	    contract_change(
		c, "INBOX", KURIR_CHANGE_MOVE, first, first + 1, 0, "", "Moved", &done),
	    0);
	EXPECT_EQ(c, contract_uids(&done.uids), 2);
	EXPECT_EQ(c, contract_uids(&done.target), 2);
	EXPECT_EQ(c, contract_view(c, "Moved", &there), 0);
	EXPECT_EQ(c, there.count, 2);
	EXPECT(c, kurir_str_equal(there.messages[1].keywords, KURIR_STR("work $Forwarded")));
	contract_body(c, "Moved", &there.messages[0], ONE);
	contract_body(c, "Moved", &there.messages[1], TWO);
	EXPECT_DONE(c);
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	EXPECT_EQ(c, v.count, 1);
	EXPECT_EQ(c, v.messages[0].uid, first + 2);
}

/* Of the views of new messages only the first that asks for it has them as recent. */
static void recent(struct contract *c)
{
	struct kurir_mailbox_view v;
	const struct kurir_mailbox *box;
	three_messages(c);
	EXPECT_DONE(c);
	box = contract_find(c, "INBOX");
	EXPECT(c, box != NULL);
	EXPECT_EQ(c, box->recent, 3);
	for (unsigned i = 0; i < 3; i++) {
		bool claim = i > 0;
		EXPECT_EQ(c,
		    c->ops->view(
			c->owner, c->account, KURIR_STR("INBOX"), claim, LATE, c->arena, &v),
		    0);
		for (size_t n = 0; n < v.count; n++)
			EXPECT_EQ(c, v.messages[n].flags & KURIR_MESSAGE_RECENT,
			    i < 2 ? KURIR_MESSAGE_RECENT : 0);
	}
	box = contract_find(c, "INBOX");
	EXPECT(c, box != NULL);
	EXPECT_EQ(c, box->recent, 0);
}

struct writers {
	struct contract *c;
	unsigned done;
	int error;
};

static void write_some(void *arg)
{
	struct writers *w = arg;
	struct kurir_changed done;
	for (unsigned i = 0; i < 5; i++) {
		int r = contract_append(w->c, "INBOX", ONE, 0, "", &done);
		if (r < 0)
			w->error = r;
		else
			w->done++;
	}
}

/* Many at once: each message is there, once, under a UID of its own. */
static void writers(struct contract *c)
{
	struct kurir_group *group = kurir_group_begin(c->self);
	struct writers w = { .c = c };
	struct kurir_mailbox_view v;
	for (unsigned i = 0; i < 20; i++)
		(void)kurir_group_go(group, "writer", write_some, &w);
	(void)kurir_group_wait(group, LATE);
	kurir_group_end(group);
	EXPECT_EQ(c, w.error, 0);
	EXPECT_EQ(c, w.done, 100);
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	EXPECT_EQ(c, v.count, 100);
	for (size_t i = 1; i < v.count; i++)
		EXPECT(c, v.messages[i].uid > v.messages[i - 1].uid);
}

/* Nobody sees what another has. */
static void others(struct contract *c)
{
	struct kurir_mailbox_view v;
	struct kurir_mailbox *all;
	size_t n;
	three_messages(c);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "Mine", ""), 0);
	c->account = KURIR_STR("neighbour@satu.example");
	EXPECT_EQ(c, contract_list(c, &all, &n), 0);
	EXPECT_EQ(c, n, 1);
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	EXPECT_EQ(c, v.count, 0);
	EXPECT_EQ(c, contract_view(c, "Mine", &v), -ENOENT);
}

static void append_later(void *arg)
{
	struct contract *c = arg;
	struct kurir_changed done;
	if (kurir_sleep(kurir_now() + 200) == 0)
		(void)contract_append(c, "INBOX", ONE, 0, "", &done);
}

/* Who waits hears of what came since the view, also when it came before the wait. */
static void wait(struct contract *c)
{
	struct kurir_mailbox_view v, later;
	struct kurir_changed done;
	struct kurir_str inbox = KURIR_STR("INBOX");
	EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
	EXPECT_EQ(c, contract_append(c, "INBOX", ONE, 0, "", &done), 0);
	EXPECT_EQ(c, c->ops->wait(c->owner, c->account, inbox, &v, LATE), 1);
	for (int r = 1; r == 1;) { /* it may say so without a change, but not for ever */
		EXPECT_EQ(c, contract_view(c, "INBOX", &v), 0);
		r = c->ops->wait(c->owner, c->account, inbox, &v, kurir_now() + 300);
		EXPECT(c, r == 1 || r == -ETIMEDOUT);
	}
	struct kurir_group *group = kurir_group_begin(c->self);
	(void)kurir_group_go(group, "later", append_later, c);
	int r = 1;
	for (later = v; r == 1 && later.count == v.count;) {
		r = c->ops->wait(c->owner, c->account, inbox, &later, LATE);
		if (r == 1)
			r = contract_view(c, "INBOX", &later) == 0 ? 1 : -EIO;
	}
	kurir_group_end(group);
	EXPECT_EQ(c, r, 1);
	EXPECT_EQ(c, later.count, v.count + 1);
}

/* The account has another number than before, and no other then. */
static void heard(struct contract *c, uint64_t *modseq)
{
	uint64_t before = *modseq;
	EXPECT_EQ(c, c->ops->wait_account(c->owner, c->account, modseq, LATE), 1);
	EXPECT(c, *modseq != before);
	EXPECT_EQ(
	    c, c->ops->wait_account(c->owner, c->account, modseq, kurir_now() + 50), -ETIMEDOUT);
}

/* Whatever happens in an account, who waits for it hears of it. */
static void wait_account(struct contract *c)
{
	struct kurir_changed done;
	uint64_t modseq = UINT64_MAX;
	if (c->ops->size <= offsetof(struct kurir_store_ops, wait_account) ||
	    c->ops->wait_account == NULL)
		return;
	heard(c, &modseq);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_CREATE, "Far", ""), 0);
	heard(c, &modseq);
	EXPECT_EQ(c, contract_append(c, "Far", ONE, 0, "", &done), 0);
	heard(c, &modseq);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_SUBSCRIBE, "Far", ""), 0);
	heard(c, &modseq);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_UNSUBSCRIBE, "Far", ""), 0);
	heard(c, &modseq);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_DELETE, "Far", ""), 0);
	heard(c, &modseq);
	struct kurir_group *group = kurir_group_begin(c->self);
	(void)kurir_group_go(group, "later", append_later, c);
	heard(c, &modseq);
	kurir_group_end(group);
}

static void read_all(
    struct contract *c, const char *mailbox, const char *const bodies[3], bool back)
{
	struct kurir_mailbox_view v;
	EXPECT_EQ(c, contract_view(c, mailbox, &v), 0);
	EXPECT_EQ(c, v.count, 3);
	for (size_t n = 0; n < v.count; n++) {
		size_t i = back ? 2 - n : n;
		contract_body(c, mailbox, &v.messages[i], bodies[i]);
		EXPECT_DONE(c);
	}
}

/* A mailbox that takes the name of another has its own messages, also right behind it. */
static void reborn(struct contract *c)
{
	static const char *const before[] = { ONE, TWO, THREE },
				 *const after[] = { THREE, ONE, TWO };
	struct kurir_changed done;
	for (unsigned n = 0; n < 2; n++) {
		EXPECT_EQ(
		    c, contract_manage(c, KURIR_MANAGE_CREATE, n == 0 ? "Old" : "New", ""), 0);
		for (unsigned i = 0; i < 3; i++)
			EXPECT_EQ(c,
			    contract_append(c, n == 0 ? "Old" : "New",
				n == 0 ? before[i] : after[i], 0, "", &done),
			    0);
	}
	read_all(c, "Old", before, false);
	EXPECT_DONE(c);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_DELETE, "Old", ""), 0);
	EXPECT_EQ(c, contract_manage(c, KURIR_MANAGE_RENAME, "New", "Old"), 0);
	read_all(c, "Old", after, true);
}

const struct contract_part contract_messages[] = { { "empty", empty }, { "append", append },
	{ "flags", flags }, { "keeps", keeps }, { "unchanged", unchanged },
	{ "expunge", expunge }, { "copy", copy }, { "move", move }, { "recent", recent },
	{ "writers", writers }, { "others", others }, { "wait", wait },
	{ "wait account", wait_account }, { "reborn", reborn }, { 0 } };
