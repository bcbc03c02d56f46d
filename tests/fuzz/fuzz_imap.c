/* fuzz_imap.c - what a client's command says: tokens, sets, items, search keys, dates, lists,
 * URLs; and what threads are made of. */
#include <stdlib.h>

#include <modules/imap/imap_incoming.h>
#include <modules/imap/imap_list.h>
#include <modules/imap/imap_notify.h>
#include <modules/imap/imap_qresync.h>
#include <modules/imap/imap_search.h>
#include <modules/imap/imap_sort.h>
#include <modules/imap/imap_thread.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each line is a message: its length is its date, all of it its id and its references. */
static void threads(struct kurir_str text)
{
	struct imap_forest f[2];

	for (int i = 0; i < 2; i++)
		imap_forest_init(&f[i], kurir_scratch(), text.len + 1);
	for (uint32_t n = 1; text.len > 0; n++) {
		ssize_t lf = kurir_str_find(text, '\n');
		struct kurir_str line = kurir_str_part(text, 0, lf < 0 ? text.len : (size_t)lf);
		struct imap_thread_message m = {
			.number = n, .date = (int64_t)line.len, .id = line, .references = line
		};

		m.subject = mime_base_subject(kurir_scratch(), line, &m.reply);
		imap_forest_add(&f[0], &m);
		imap_forest_add_single(&f[1], &m);
		text = kurir_str_part(text, line.len + 1, text.len);
	}
	imap_forest_by_references(&f[0]);
	imap_forest_by_subject(&f[1]);
}

/* What is kept of rights is all of them, and no more. */
static void rights(struct kurir_str text)
{
	char kept[IMAP_RIGHTS_TEXT];
	uint32_t first, again;

	if (imap_rights_parse(text, &first) >= 0 &&
	    (imap_rights_parse(kurir_str_of(imap_rights_keep(kept, first)), &again) < 0 ||
		again != first))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_message messages[3] = { { .uid = 3 }, { .uid = 7 }, { .uid = 4294967295 } };
	struct imap s = { .read_only = true };
	struct kurir_str text = { size > 0 ? (const char *)data : "", size }, word;
	struct imap_item items[8];
	struct kurir_uid_set uids;
	struct imap_search key;
	struct imap_list list;
	struct imap_qresync resync;
	struct imap_url url;
	struct imap_args a = { .rest = text };
	uint32_t flags;
	uint64_t n;
	int64_t when;
	size_t count;
	bool sync, binary;

	imap_box_begin(&s.box, KURIR_STR("INBOX"), KURIR_STR(""));
	imap_box_fill(&s.box, messages, 3);
	while (imap_astring(&a, &word) >= 0 && imap_space(&a))
		imap_date_time(word, &when);
	a = (struct imap_args){ .rest = text };
	imap_flags(&a, &flags, &word);
	a = (struct imap_args){ .rest = text };
	imap_mailbox(&a, &word);
	a = (struct imap_args){ .rest = text };
	imap_items_parse(&a, items, 8, &count);
	for (s.by_uid = false;; s.by_uid = true) {
		a = (struct imap_args){ .rest = text };
		imap_search_parse(&s, &a, &key);
		a = (struct imap_args){ .rest = text };
		imap_set_arg(&s, &a, &uids);
		if (s.by_uid)
			break;
	}
	for (int utf8 = 0; utf8 < 2; utf8++) {
		a = (struct imap_args){ .rest = text, .utf8 = utf8 };
		if (imap_list_parse(&a, &list) >= 0)
			imap_list_matches(&list, KURIR_STR("a/b"));
	}
	a = (struct imap_args){ .rest = text };
	imap_notify_parse(&a, kurir_alloc(kurir_scratch(), sizeof(struct imap_notify_wish)));
	a = (struct imap_args){ .rest = text };
	imap_qresync_parse(&a, &resync);
	a = (struct imap_args){ .rest = text };
	imap_getmetadata_parse(&a, kurir_alloc(kurir_scratch(), sizeof(struct imap_getmetadata)));
	a = (struct imap_args){ .rest = text };
	imap_setmetadata_parse(&a, kurir_alloc(kurir_scratch(), sizeof(struct imap_setmetadata)));
	imap_url_parse(text, &url);
	rights(text);
	imap_message_date(text, &when, &when);
	threads(text);
	a = (struct imap_args){ .rest = text };
	imap_literal_next(&a, &n, &sync, &binary);
	imap_literal_mark(text, &n, &sync);
	imap_date(text, &when);
	imap_box_end(&s.box);
	kurir_arena_clear(kurir_scratch());
	return 0;
}
