/* test_sheet.c - sheets keep what they are given, split when they are full, and take any bytes for
 * what they are. */
#include "conf_unit.h"

#include <errno.h>
#include <modules/store_sqlite/sheet.h>
#include <stdio.h>
#include <stdlib.h>

#define BOX   7
#define COUNT 3000

static struct db db;
static struct sheet *sheet;
static struct message_row all[COUNT];

static int begin(void **state)
{
	(void)state;
	sheet = calloc(1, sizeof(*sheet));
	return sheet != NULL && db_open_writer(&db, ":memory:") == 0 ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	sheet_free(sheet);
	free(sheet);
	db_close(&db);
	return 0;
}

static struct message_row row(int64_t uid)
{
	static const char *const words[] = { "", "work", "$Forwarded work", "", "work" };

	return (struct message_row){ .uid = uid,
		.flags = uid % 32,
		.keywords = kurir_str_of(words[uid % 5]),
		.size = uid * 1000000007,
		.date = uid % 7 == 0 ? INT64_MIN : uid * 1000003 - 5000000,
		.saved = uid % 11 == 0 ? INT64_MAX : uid * 1000,
		.modseq = uid % 13 == 0 ? 1 : uid * 3 };
}

/* All that the mailbox has is what is expected, in sheets that follow each other. */
static void compare(const struct message_row *want, size_t count)
{
	int64_t last = 0;
	size_t n = 0, sheets = 0;
	int r;

	while ((r = sheet_load(&db, BOX, 0, last, sheet)) == 1) {
		assert_true((sheet->id & UINT32_MAX) <= sheet->rows[0].uid);
		assert_true((sheet->id & UINT32_MAX) > last);
		for (size_t i = 0; i < sheet->count; i++, n++) {
			const struct message_row *a = &sheet->rows[i], *b = &want[n];

			assert_true(n < count);
			assert_int_equal(a->uid, b->uid);
			assert_int_equal(a->flags, b->flags);
			assert_true(kurir_str_equal(a->keywords, b->keywords));
			assert_true(
			    a->size == b->size && a->date == b->date && a->saved == b->saved);
			assert_int_equal(a->modseq, b->modseq);
		}
		last = sheet->rows[sheet->count - 1].uid;
		sheets++;
	}
	assert_int_equal(r, 0);
	assert_int_equal(n, count);
	assert_true(sheets <= 3 + count / 64);
}

static void fill(void)
{
	assert_int_equal(db_exec(&db, "DELETE FROM sheet", ""), 0);
	for (size_t i = 0; i < COUNT; i++) {
		all[i] = row((int64_t)i + 1);
		assert_int_equal(sheet_add(&db, BOX, &all[i]), 0);
	}
}

static void added(void **state)
{
	struct message_row far = row(UINT32_MAX);

	(void)state;
	fill();
	compare(all, COUNT);
	/* Those of its neighbours are not its own. */
	assert_int_equal(sheet_add(&db, BOX - 1, &far), 0);
	assert_int_equal(sheet_add(&db, BOX + 1, &all[0]), 0);
	compare(all, COUNT);
	assert_int_equal(sheet_load(&db, BOX, 1500, 0, sheet), 1);
	assert_true(sheet->rows[0].uid <= 1500);
	assert_true(sheet->rows[sheet->count - 1].uid >= 1500);
	assert_int_equal(sheet_load(&db, BOX, COUNT + 1, COUNT, sheet), 0);
}

/* Flags and keywords make them larger, so that they split; then messages go. */
static void changed(void **state)
{
	int64_t last = 0;
	size_t n = 0, kept = 0;

	(void)state;
	fill();
	while (sheet_load(&db, BOX, 0, last, sheet) == 1) {
		size_t left = 0;

		last = sheet->rows[sheet->count - 1].uid;
		for (size_t i = 0; i < sheet->count; i++, n++) {
			sheet->rows[i].flags = 5;
			sheet->rows[i].modseq = INT64_MAX - sheet->rows[i].uid;
			if (n % 3 == 0)
				sheet->rows[i].keywords = KURIR_STR("a-rather-long-one another");
			all[n] = sheet->rows[i];
			all[n].keywords = n % 3 == 0 ? KURIR_STR("a-rather-long-one another")
						     : row((int64_t)n + 1).keywords;
			if (n / 500 == 2 || n % 10 == 4)
				continue;
			all[kept++] = all[n];
			sheet->rows[left++] = sheet->rows[i];
		}
		sheet->count = left;
		assert_int_equal(sheet_save(&db, sheet), 0);
	}
	compare(all, kept);
}

static void largest(void **state)
{
	static char words[MODEL_KEYWORDS_MAX];
	struct message_row few[3];

	(void)state;
	assert_int_equal(db_exec(&db, "DELETE FROM sheet", ""), 0);
	for (size_t i = 0; i < sizeof(words); i++)
		words[i] = i % 50 == 49 ? ' ' : 'k';
	for (size_t i = 0; i < 3; i++) {
		few[i] = row(UINT32_MAX - 2 + (int64_t)i);
		few[i].keywords = (struct kurir_str){ words, sizeof(words) - i };
		few[i].modseq = INT64_MAX;
		assert_int_equal(sheet_add(&db, BOX, &few[i]), 0);
	}
	compare(few, 3);
}

/* Whatever a sheet has become: it ends, and no message is from behind its end. */
static void damaged(void **state)
{
	unsigned char bytes[200];
	uint32_t seed = 1;

	(void)state;
	for (size_t n = 0; n < 100000; n++) {
		size_t len = n % sizeof(bytes), rows = 0;
		struct sheet_reader in;
		struct message_row m;
		int r;

		for (size_t i = 0; i < len; i++) {
			seed = seed * 1664525 + 1013904223;
			bytes[i] = (unsigned char)(n % 2 ? seed >> 24 : (seed >> 24) & 0x87);
		}
		unsigned char *exact = malloc(len + 1);
		assert_non_null(exact);
		memcpy(exact, bytes, len);
		sheet_begin(
		    &in, sheet_id((int64_t)BOX, 1), (struct kurir_str){ (char *)exact, len });
		while ((r = sheet_next(&in, &m)) == 1)
			assert_true(++rows <= len && m.keywords.len <= len);
		assert_true(r == 0 || r == -EIO);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(added), cmocka_unit_test(changed),
		cmocka_unit_test(largest), cmocka_unit_test(damaged) };

	return cmocka_run_group_tests(tests, begin, end);
}
