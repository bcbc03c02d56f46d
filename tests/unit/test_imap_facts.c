/* test_imap_facts.c - what a store knows is asked for many messages at once; bytes are looked at where it
 * does not know. */
#include "loop_unit.h"

#include <modules/imap/imap_body.h>
#include <modules/imap/imap_search.h>
#include <modules/imap/imap_sort.h>

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define MESSAGES 1000
#define UNKNOWN	 700 /* of which the store knows nothing */
#define GONE	 800 /* which is there no more */
#define AT_ONCE	 100 /* this store does not answer more */

static struct kurir_message messages[MESSAGES];
static unsigned opened, asked;

static struct kurir_str header_of(struct kurir_arena *arena, uint32_t uid)
{
	return kurir_format(arena, "Subject: s%u\r\nFrom: a%u@b\r\n\r\n", MESSAGES - uid, uid);
}

KURIR_PARKS static int store_open(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, const struct kurir_message *m, kurir_time until,
    struct kurir_body *ret)
{
	struct kurir_arena *arena = kurir_arena_new("test");
	struct kurir_str text = header_of(arena, m->uid);
	int fd;

	(void)self, (void)account, (void)mailbox, (void)until;
	opened++;
	if (m->uid == GONE) {
		kurir_arena_free(arena);
		return -ENOENT;
	}
	fd = memfd_create("message", MFD_CLOEXEC);
	CHECK_IS(write(fd, text.ptr, text.len), (long)text.len);
	*ret = (struct kurir_body){ .fd = fd, .length = text.len };
	kurir_arena_free(arena);
	return 0;
}

KURIR_PARKS static int store_facts(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, const struct kurir_uid_set *set, uint32_t want, kurir_time until,
    struct kurir_arena *arena, struct kurir_message_facts **ret, size_t *ret_count)
{
	struct kurir_message_facts *all = kurir_alloc(arena, AT_ONCE * sizeof(*all));
	size_t n = 0;

	(void)self, (void)account, (void)mailbox, (void)until;
	asked++;
	for (uint32_t uid = set->ranges[0].first; uid <= MESSAGES && n < AT_ONCE; uid++) {
		struct kurir_message_facts *f = &all[n];

		if (!kurir_uid_set_has(set, uid) || uid == GONE)
			continue;
		n++;
		f->uid = uid;
		if (want & 1u << KURIR_FACT_EMAIL_ID)
			f->texts[KURIR_FACT_EMAIL_ID] = kurir_format(arena, "M%u", uid);
		if (uid == UNKNOWN)
			continue;
		if (want & 1u << KURIR_FACT_HEADER)
			f->texts[KURIR_FACT_HEADER] = header_of(arena, uid);
		if (want & 1u << KURIR_FACT_ENVELOPE)
			f->texts[KURIR_FACT_ENVELOPE] = kurir_format(arena, "(fact %u)", uid);
	}
	*ret = all;
	*ret_count = n;
	return 0;
}

static const struct kurir_store_ops store = {
	.size = sizeof(store), .open = store_open, .facts = store_facts
};
static const struct imap_conf conf = { .idle = 60000, .login = 60000, .progress = 60000 };

struct reader {
	struct kurir_stream *from;
	struct kurir_buf said;
};

KURIR_PARKS static void read_all(void *arg)
{
	struct reader *r = arg;
	char bytes[4096];
	ssize_t n;

	while ((n = kurir_read(r->from, bytes, sizeof(bytes), kurir_now() + 60000)) > 0)
		kurir_buf_add(&r->said, (struct kurir_str){ bytes, (size_t)n });
}

static bool said(const struct reader *r, const char *text)
{
	return r->said.ptr && strstr(r->said.ptr, text) != NULL;
}

/* Runs it; what came before is forgotten. */
KURIR_PARKS static void run(struct imap *s, struct reader *r, const char *args,
    void (*command)(struct imap *, struct imap_args *))
{
	struct imap_args a = { .rest = kurir_str_of(args) };

	opened = asked = 0;
	kurir_buf_clear(&r->said);
	command(s, &a);
	CHECK_IS(kurir_flush(s->stream, kurir_now() + 60000), 0);
	while (!said(r, "\r\na ") && kurir_yield() >= 0)
		continue;
}

KURIR_PARKS static void body(void *arg)
{
	struct kurir_stream *ours;
	struct kurir_group *g = kurir_group_begin(NULL);
	struct reader reader = { .said = KURIR_BUF(1 << 20) };
	struct imap s = { .conf = &conf,
		.state = IMAP_SELECTED,
		.read_only = true,
		.tag = KURIR_STR("a"),
		.store = &store,
		.view = { .uid_next = MESSAGES + 1 } };

	(void)arg;
	for (unsigned i = 0; i < MESSAGES; i++)
		messages[i].uid = i + 1;
	imap_box_begin(&s.box, KURIR_STR("INBOX"), KURIR_STR(""));
	imap_box_fill(&s.box, messages, MESSAGES);
	CHECK_IS(kurir_stream_pair(&ours, &reader.from), 0);
	s.stream = ours;
	s.told = kurir_now();
	CHECK_IS(kurir_group_go(g, "reader", read_all, &reader), 0);

	run(&s, &reader, "1:* ENVELOPE", imap_fetch);
	CHECK_IS(opened, 2); /* UNKNOWN, and GONE in vain */
	CHECK(asked >= MESSAGES / AT_ONCE && asked <= MESSAGES / AT_ONCE + 2);
	CHECK(said(&reader, "* 1 FETCH (ENVELOPE (fact 1))\r\n* 2 FETCH"));
	CHECK(said(&reader, "* 700 FETCH (ENVELOPE (NIL \"s300\" "));
	CHECK(said(&reader, "* 1000 FETCH (ENVELOPE (fact 1000))"));
	CHECK(!said(&reader, "* 800 "));
	CHECK(said(&reader, "\r\na NO [EXPUNGEISSUED]"));

	/* One of a hundred: not more is asked for than that. */
	run(&s, &reader, "1,301,601,901 (EMAILID BODY.PEEK[HEADER.FIELDS (From)])", imap_fetch);
	CHECK_IS(opened, 0);
	CHECK_IS(asked, 1);
	CHECK(said(&reader,
	    "* 601 FETCH (EMAILID (M601) BODY[HEADER.FIELDS (From)] {16}\r\n"
	    "From: a601@b\r\n\r\n)"));

	/* Bytes that are needed anyway say all. */
	run(&s, &reader, "5 (ENVELOPE BODY.PEEK[TEXT])", imap_fetch);
	CHECK_IS(opened, 1);
	CHECK_IS(asked, 0);
	CHECK(said(&reader, "* 5 FETCH (ENVELOPE (NIL \"s995\" "));

	run(&s, &reader, "690:710 FROM a70", imap_search);
	CHECK_IS(opened, 1);
	CHECK(asked < 10);
	CHECK(said(&reader, "* SEARCH 700 701 702 703 704 705 706 707 708 709\r\n"));

	run(&s, &reader, "(SUBJECT) UTF-8 1:10", imap_sort);
	CHECK_IS(opened, 0);
	CHECK(asked < 10);
	CHECK(said(&reader, "* SORT 10 9 8 7 6 5 4 3 2 1\r\n"));

	kurir_close(ours);
	kurir_group_wait(g, kurir_now() + 60000);
	kurir_group_end(g);
	kurir_close(reader.from);
	kurir_buf_free(&reader.said);
	imap_box_end(&s.box);
}

static void facts_first(void **state)
{
	(void)state;
	run_on_loop(true, body, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(facts_first) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
