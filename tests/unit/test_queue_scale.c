/* test_queue_scale.c - many messages: commands in pages beside deliveries, and the disk they take. */
#include "queue_unit.h"

#define MANY 9000

static void send_many(const char *what, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char text[64];
		const char *to = text;
		snprintf(text, sizeof(text), "%s%u@dua.example", what, i);
		expect_equal(send_body("hyd@satu.example", &to, 1, hello, KURIR_NOTIFY_NEVER), 0);
	}
}

/* A command to its end: how many calls that took.  seen: counts the recipients that are shown. */
static unsigned command(const char *words, unsigned char *seen, unsigned *ret_hits)
{
	char body[512];
	char next[256] = "";
	unsigned calls = 0;
	do {
		struct kurir_mark mark = kurir_mark(kurir_scratch());
		struct kurir_str reply = { "", 0 };
		snprintf(body, sizeof(body), "{\"args\":[%s%s%s%s]}", words,
		    *next ? ",\"after=" : "", next, *next ? "\"" : "");
		expect_equal(ctl(body, &reply), 0);
		expect_true(reply.len < KURIR_CALL_MAX);
		for (const char *p = reply.ptr;
		     seen != NULL && (p = strstr(p, "\"address\":\"late"));)
			seen[strtoul(p += 15, NULL, 10) % MANY]++;
		const char *hits = strstr(reply.ptr, "\"recipients\":");
		*ret_hits = hits != NULL ? (unsigned)strtoul(hits + 13, NULL, 10) : 0;
		const char *more = strstr(reply.ptr, "\"next\":\"");
		*next = 0;
		if (more != NULL)
			snprintf(
			    next, sizeof(next), "%.*s", (int)strcspn(more + 8, "\""), more + 8);
		kurir_rewind(kurir_scratch(), mark);
		calls++;
	} while (*next && calls < 100);
	return calls;
}

/* Each recipient comes once, whatever the number of pages. */
static void script_pages(void)
{
	static unsigned char seen[MANY];
	unsigned hits = 0, once = 0;
	send_many("late", MANY);
	wait_for(1000);
	expect_true(command("\"list\"", seen, &hits) > 2);
	expect_equal(hits, MANY);
	for (unsigned i = 0; i < MANY; i++)
		once += seen[i] == 1;
	expect_equal(once, MANY);
	command("\"hold\",\"sender=hyd@satu.example\"", NULL, &hits);
	expect_equal(hits, MANY);
	command("\"list\",\"state=held\",\"rcpt=late77@dua.example\"", NULL, &hits);
	expect_equal(hits, 1);
	command("\"cancel\",\"dua.example\"", NULL, &hits);
	expect_equal(hits, MANY);
	check_ledger(MANY, 0, 0, 0);
}

static void test_pages(void **state)
{
	(void)state;
	live(script_pages);
}

/* More recipients than a page holds, of one message. */
static void script_wide(void)
{
	static char names[64][120];
	static const char *to[64];
	unsigned hits = 0, at = 0;
	char words[64];
	world.options.hold = true;
	for (unsigned i = 0; i < 64; i++) {
		snprintf(names[i], sizeof(names[i]), "late%u%0*d@dua.example", i, 80, 0);
		to[i] = names[i];
	}
	for (; at < 60; at++)
		expect_equal(send_body("hyd@satu.example", to, 64, hello, 0), 0);
	wait_for(1000);
	snprintf(words, sizeof(words), "\"show\",\"all\"");
	expect_true(command(words, NULL, &hits) > 1);
	expect_equal(hits, 60 * 64);
}

static void test_wide(void **state)
{
	(void)state;
	live(script_wide);
}

static bool over;
static unsigned meanwhile; /* deliveries */

KURIR_PARKS static void sender(void *arg)
{
	(void)arg;
	while (!over) {
		uint64_t before = the_queue()->totals.delivered;
		expect_equal(send_to("ok@dua.example"), 0);
		while (the_queue()->totals.delivered == before && !over)
			if (kurir_sleep(kurir_now() + 1) < 0)
				return;
		meanwhile += !over;
	}
}

/* Mail comes and goes while commands look at every message. */
static void script_beside(void)
{
	struct kurir_group *g = kurir_group_begin(queue_instance);
	unsigned hits = 0;
	over = false;
	meanwhile = 0;
	send_many("late", MANY);
	wait_for(1000);
	expect_equal(kurir_group_go(g, "sender", sender, NULL), 0);
	command("\"hold\",\"rcpt=late1@dua.example\"", NULL, &hits);
	expect_equal(hits, 1);
	expect_true(meanwhile > 0);
	meanwhile = 0;
	command("\"hold\",\"reason=4.2.0\"", NULL, &hits);
	expect_equal(hits, MANY - 1);
	expect_true(meanwhile > 0);
	over = true;
	kurir_group_wait(g, KURIR_FOREVER);
	kurir_group_end(g);
}

static void test_beside(void **state)
{
	(void)state;
	live(script_beside);
}

/* Bytes of segments and bodies, and those of messages that are needed. */
static uint64_t disk_bytes(void)
{
	uint64_t bytes = 0;
	DIR *d = opendir(spool_path("."));
	for (struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d)) {
		struct stat st;
		bool counts = segment_name_id(e->d_name, ".seg") != 0 ||
		    segment_name_id(e->d_name, ".body") != 0;
		if (counts && stat(spool_path(e->d_name), &st) == 0)
			bytes += (uint64_t)st.st_size;
	}
	if (d != NULL)
		closedir(d);
	return bytes;
}

static uint64_t live_bytes(void)
{
	uint64_t bytes = 0;
	uint32_t bucket = 0;
	for (const struct message *m = table_walk(the_queue(), &bucket, NULL); m != NULL;
	     m = table_walk(the_queue(), &bucket, (struct message *)(uintptr_t)m)) {
		char name[SEGMENT_NAME_MAX];
		struct stat st;
		segment_name(name, m->body_file, ".body");
		bytes += m->dead ? 0 : m->bytes;
		if (!m->dead && m->body_file != 0 && stat(spool_path(name), &st) == 0)
			bytes += (uint64_t)st.st_size;
	}
	return bytes;
}

/* Told when it is not so. */
static void expect_bound(void)
{
	uint64_t disk = disk_bytes(), live = live_bytes();
	expectation(disk <= 2 * live + world.options.segment_size, "disk and what is needed",
	    __LINE__, (long long)disk, (long long)live);
}

static uint32_t dice = 1;
static uint32_t roll(uint32_t sides)
{
	dice = dice * 1664525u + 1013904223u;
	return (dice >> 8) % sides;
}

/* Messages of all sizes come, some stay, some of those that stayed go: the disk never has more
 * than twice what is needed and the segment that is written. */
static void script_bound(void)
{
	static char body[200000];
	memset(body, 'x', sizeof(body));
	for (unsigned round = 0; round < 12; round++) {
		unsigned stay = roll(100); /* percent */
		for (unsigned i = 0; i < 60; i++) {
			const char *to = roll(100) < stay ? "late@dua.example" : "ok@dua.example";
			struct kurir_str b = { body, 100 + roll(roll(4) > 0 ? 5000 : 199000) };
			expect_equal(
			    send_body("hyd@satu.example", &to, 1, b, KURIR_NOTIFY_NEVER), 0);
		}
		wait_for(20000);
		if (roll(3) == 0) {
			struct kurir_str reply;
			char words[64];
			snprintf(words, sizeof(words), "{\"args\":[\"cancel\",\"%s=%u\"]}",
			    roll(2) ? "larger" : "smaller", 1000 + roll(100000));
			expect_equal(ctl(words, &reply), 0);
			wait_for(20000);
		}
		expect_bound();
	}
	expect_true(live_bytes() > 0);
}

static void script_bound_again(void)
{
	wait_for(20000);
	expect_bound();
}

static void test_bound(void **state)
{
	(void)state;
	world.options.segment_size = 1 << 20;
	for (unsigned i = 0; i < 4; i++) {
		live(script_bound);
		live(script_bound_again);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pages, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_wide, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_beside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bound, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
