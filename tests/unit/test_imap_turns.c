/* test_imap_turns.c - FETCH of many messages and SEARCH by many keys leave the others their turn. */
#include "loop_unit.h"

#include <modules/imap/imap_body.h>
#include <modules/imap/imap_search.h>

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define MESSAGES 20

static struct kurir_message messages[MESSAGES];
static unsigned opened, turns;
static bool over;

KURIR_PARKS static int store_open(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, const struct kurir_message *m, kurir_time until,
    struct kurir_body *ret)
{
	int fd = memfd_create("message", MFD_CLOEXEC);

	(void)self, (void)account, (void)mailbox, (void)m, (void)until;
	CHECK_IS(write(fd, "Subject: a\r\n\r\nb\r\n", 17), 17);
	*ret = (struct kurir_body){ .fd = fd, .length = 17 };
	opened++;
	return 0;
}

static const struct kurir_store_ops store = { .size = sizeof(store), .open = store_open };
static const struct imap_conf conf = { .idle = 60000, .login = 60000, .progress = 60000 };

KURIR_PARKS static void neighbour(void *arg)
{
	(void)arg;
	while (!over && kurir_yield() >= 0)
		turns++;
}

KURIR_PARKS static void body(void *arg)
{
	struct kurir_stream *ours, *theirs;
	struct kurir_group *g = kurir_group_begin(NULL);
	struct kurir_str out;
	struct imap s = { .conf = &conf,
		.state = IMAP_SELECTED,
		.read_only = true,
		.tag = KURIR_STR("a"),
		.store = &store,
		.view = { .uid_next = MESSAGES + 1 } };
	struct imap_args a = { .rest = KURIR_STR("1:* ENVELOPE") };
	struct imap_args keys = { .rest =
				      KURIR_STR("TEXT a TEXT b TEXT a TEXT b NOT TEXT x ALL") };

	(void)arg;
	for (unsigned i = 0; i < MESSAGES; i++)
		messages[i].uid = i + 1;
	imap_box_begin(&s.box, KURIR_STR("INBOX"), KURIR_STR(""));
	imap_box_fill(&s.box, messages, MESSAGES);
	CHECK_IS(kurir_stream_pair(&ours, &theirs), 0);
	s.stream = ours;
	s.told = kurir_now();
	CHECK_IS(kurir_group_go(g, "neighbour", neighbour, NULL), 0);
	imap_fetch(&s, &a);
	CHECK_IS(opened, MESSAGES);
	CHECK(turns >= MESSAGES - 1);
	turns = 0;
	imap_search(&s, &keys);
	CHECK_IS(opened, 2 * MESSAGES);
	CHECK(turns >= 4 * MESSAGES);
	over = true;
	CHECK_IS(kurir_flush(ours, kurir_now() + 1000), 0);
	CHECK_IS(kurir_peek(theirs, 0, &out, kurir_now() + 1000), 1);
	CHECK(out.len > 17 && memcmp(out.ptr, "* 1 FETCH (ENVELO", 17) == 0);
	CHECK(memmem(out.ptr, out.len, "a OK Done\r\n* SEARCH 1 2 3", 25) != NULL);
	kurir_group_wait(g, kurir_now() + 1000);
	kurir_group_end(g);
	kurir_close(ours);
	kurir_close(theirs);
	imap_box_end(&s.box);
}

static void turns_of_others(void **state)
{
	(void)state;
	run_on_loop(true, body, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(turns_of_others) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
