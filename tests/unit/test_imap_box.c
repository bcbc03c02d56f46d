/* test_imap_box.c - the snapshot of a mailbox does what a plain array of messages would. */
#include <modules/imap/imap_box.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define UIDS   400
#define ROUNDS 4000

/* What it is compared with: one entry a message. */
struct row {
	uint32_t uid, flags;
	bool gone, recent;
};
static struct row model[UIDS];
static size_t rows;
static unsigned long seed = 1;

static unsigned any(unsigned below)
{
	seed = seed * 6364136223846793005ul + 1442695040888963407ul;
	return (unsigned)(seed >> 33) % below;
}

static struct kurir_message message(uint32_t uid, uint32_t flags, bool recent)
{
	return (struct kurir_message){ .uid = uid,
		.flags = flags | (recent ? KURIR_MESSAGE_RECENT : 0u),
		.keywords = any(2) ? KURIR_STR("work") : KURIR_STR(""),
		.name = KURIR_STR("") };
}

/* Some numbers between 1 and the last. */
static struct kurir_uid_set some(struct kurir_arena *arena)
{
	struct kurir_uid_range *r = kurir_alloc(arena, UIDS * sizeof(*r));
	uint32_t last = UIDS + 100, at = any(20) + 1;
	size_t n = 0;

	while (at < last && n < 40) {
		uint32_t end = at + any(3) * any(10);

		r[n++] = (struct kurir_uid_range){ at, end };
		at = end + 2 + any(60);
	}
	return (struct kurir_uid_set){ n, r };
}

static void compare(const struct imap_box *b, struct kurir_arena *arena)
{
	struct kurir_uid_set set = some(arena);
	size_t next = imap_box_next(b, &set, 0);

	assert_int_equal(b->count, rows);
	for (size_t i = 0; i < rows; i++) {
		const struct kurir_message *m = imap_box_known(b, model[i].uid);

		assert_int_equal(imap_box_uid(b, i), model[i].uid);
		assert_int_equal(imap_box_index(b, model[i].uid), i);
		assert_int_equal(kurir_uid_set_has(&b->gone, model[i].uid), model[i].gone);
		assert_int_equal(kurir_uid_set_has(&b->recent, model[i].uid), model[i].recent);
		if (m) {
			assert_int_equal(
			    m->flags & ~(uint32_t)KURIR_MESSAGE_RECENT, model[i].flags);
			assert_int_equal((m->flags & KURIR_MESSAGE_RECENT) != 0, model[i].recent);
		}
		if (kurir_uid_set_has(&set, model[i].uid)) {
			assert_int_equal(next, i);
			next = imap_box_next(b, &set, i + 1);
		}
	}
	assert_int_equal(next, rows);
	for (uint32_t uid = 1; uid < UIDS + 100; uid++)
		if (imap_box_index(b, uid) == b->count)
			assert_null(imap_box_known(b, uid));
	for (size_t i = 0; i < rows;) {
		struct kurir_uid_range r = imap_box_run(b, i, rows - i);

		for (uint32_t uid = r.first; uid <= r.last; uid++)
			assert_int_equal(model[i++].uid, uid);
	}
}

static void add(struct imap_box *b, uint32_t *last)
{
	struct kurir_message m;

	*last += 1 + any(4) / 3 * any(5);
	model[rows] = (struct row){ .uid = *last, .flags = any(16), .recent = any(3) == 0 };
	m = message(*last, model[rows].flags, model[rows].recent);
	rows++;
	imap_box_add(b, &m);
}

static void vanish(struct imap_box *b, struct kurir_arena *arena)
{
	struct kurir_uid_set set = some(arena);

	imap_box_gone(b, &set);
	for (size_t i = 0; i < rows; i++)
		model[i].gone |= kurir_uid_set_has(&set, model[i].uid);
}

static void expunge(struct imap_box *b)
{
	size_t n = 0;

	imap_box_remove_gone(b);
	for (size_t i = 0; i < rows; i++)
		if (!model[i].gone)
			model[n++] = model[i];
	rows = n;
}

/* Some messages are known anew, with other flags. */
static void learn(struct imap_box *b, struct kurir_arena *arena)
{
	struct kurir_message *all = kurir_alloc(arena, UIDS * sizeof(*all));
	size_t n = 0;

	for (size_t i = any(5); i < rows; i += 1 + any(20)) {
		model[i].flags = any(16);
		all[n++] = message(model[i].uid, model[i].flags, any(2));
	}
	imap_box_learn(b, all, n);
	for (size_t i = 0; i < n; i++)
		assert_true(
		    kurir_str_equal(imap_box_known(b, all[i].uid)->keywords, all[i].keywords));
}

static void begin(struct imap_box *b, uint32_t *last)
{
	struct kurir_message all[40];

	rows = 0;
	*last = 0;
	while (rows < 40) {
		*last += 1 + any(3);
		model[rows] = (struct row){ .uid = *last, .flags = any(16), .recent = any(2) };
		all[rows] = message(*last, model[rows].flags, model[rows].recent);
		rows++;
	}
	imap_box_begin(b, KURIR_STR("INBOX"), KURIR_STR("F1"));
	imap_box_fill(b, all, rows);
	assert_int_equal(b->known_count, rows);
}

static void as_an_array(void **state)
{
	struct imap_box b = { .count = 0 };
	uint32_t last = 0;

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct kurir_arena *arena = kurir_arena_new("test");

		if (i == 0 || last > UIDS - 10) {
			imap_box_end(&b);
			begin(&b, &last);
		}
		switch (any(8)) {
		case 0:
			vanish(&b, arena);
			break;
		case 1:
			expunge(&b);
			break;
		case 2:
			learn(&b, arena);
			break;
		case 3:
			imap_box_pack(&b, any(4) > 0);
			break;
		default:
			add(&b, &last);
		}
		imap_box_tidy(&b);
		compare(&b, arena);
		assert_true(kurir_str_equal(b.name, KURIR_STR("INBOX")));
		assert_true(kurir_str_equal(b.id, KURIR_STR("F1")));
		kurir_arena_free(arena);
	}
	imap_box_end(&b);
}

static void sets(void **state)
{
	struct kurir_arena *arena = kurir_arena_new("test");

	(void)state;
	for (unsigned i = 0; i < 500; i++) {
		struct kurir_uid_set x = some(arena), y = some(arena);
		struct kurir_uid_set either = imap_uids_combine(arena, &x, &y, IMAP_IN_EITHER);
		struct kurir_uid_set both = imap_uids_combine(arena, &x, &y, IMAP_IN_BOTH);
		struct kurir_uid_set first = imap_uids_combine(arena, &x, &y, IMAP_IN_FIRST_ONLY);

		for (uint32_t u = 1; u < UIDS + 200; u++) {
			bool in_x = kurir_uid_set_has(&x, u), in_y = kurir_uid_set_has(&y, u);

			assert_int_equal(kurir_uid_set_has(&either, u), in_x || in_y);
			assert_int_equal(kurir_uid_set_has(&both, u), in_x && in_y);
			assert_int_equal(kurir_uid_set_has(&first, u), in_x && !in_y);
		}
		for (size_t k = 1; k < either.count; k++) /* joined where they touch */
			assert_true(either.ranges[k].first > either.ranges[k - 1].last + 1);
	}
	kurir_arena_free(arena);
}

static void the_largest_uid(void **state)
{
	struct kurir_uid_range one = { 1, UINT32_MAX }, two = { UINT32_MAX, UINT32_MAX };
	struct kurir_uid_set x = { 1, &one }, y = { 1, &two }, left;
	struct kurir_arena *arena = kurir_arena_new("test");

	(void)state;
	left = imap_uids_combine(arena, &x, &y, IMAP_IN_FIRST_ONLY);
	assert_int_equal(left.count, 1);
	assert_true(left.ranges[0].last == UINT32_MAX - 1);
	assert_int_equal(imap_uids_combine(arena, &x, &y, IMAP_IN_BOTH).count, 1);
	kurir_arena_free(arena);
}

/* A session that is told of one message after the other for long does not grow without end. */
static void does_not_grow(void **state)
{
	struct kurir_message m = { .uid = 1, .keywords = KURIR_STR(""), .name = KURIR_STR("") };
	struct imap_box b;

	(void)state;
	imap_box_begin(&b, KURIR_STR("INBOX"), KURIR_STR(""));
	imap_box_fill(&b, &m, 1);
	for (unsigned i = 0; i < 100000; i++) {
		m.keywords = i % 2 ? KURIR_STR("something-long") : KURIR_STR("another");
		imap_box_learn(&b, &m, 1);
		imap_box_tidy(&b);
		assert_true(b.waste < 200000);
	}
	imap_box_end(&b);
}

static void an_outline(void **state)
{
	const struct kurir_uid_range ranges[] = { { 3, 5 }, { 9, 9 } };
	const struct kurir_uid_set all = { 2, ranges }, none = { 0, NULL };
	struct imap_box b;

	(void)state;
	imap_box_begin(&b, KURIR_STR("INBOX"), KURIR_STR(""));
	imap_box_outline(&b, &all, 5);
	assert_int_equal(b.count, 4);
	assert_int_equal(b.known_count, 0);
	assert_int_equal(imap_box_uid(&b, 3), 9);
	assert_int_equal(imap_box_index(&b, 4), 1);
	assert_false(kurir_uid_set_has(&b.recent, 4));
	assert_true(kurir_uid_set_has(&b.recent, 5));
	assert_true(kurir_uid_set_has(&b.recent, 9));
	assert_false(kurir_uid_set_has(&b.recent, 10));
	imap_box_end(&b);
	imap_box_begin(&b, KURIR_STR("INBOX"), KURIR_STR(""));
	imap_box_outline(&b, &none, 0);
	assert_int_equal(b.count, 0);
	assert_int_equal(b.recent.count, 0);
	imap_box_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_an_array),
		cmocka_unit_test(an_outline),
		cmocka_unit_test(sets),
		cmocka_unit_test(the_largest_uid),
		cmocka_unit_test(does_not_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
