/* fuzz_imap.c - what a client's command says: tokens, sets, items, search keys, dates. */
#include <modules/imap/imap_body.h>
#include <modules/imap/imap_search.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_message messages[3] = { { .uid = 3 }, { .uid = 7 }, { .uid = 4294967295 } };
	struct imap s = { .view = { .count = 3 }, .messages = messages };
	struct kurir_str text = { size > 0 ? (const char *)data : "", size }, word;
	struct imap_item items[8];
	struct kurir_uid_set uids;
	struct imap_key *key;
	struct imap_args a = { .rest = text };
	uint32_t flags;
	uint64_t n;
	int64_t when;
	size_t count;
	bool sync;

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
	imap_literal_mark(text, &n, &sync);
	imap_date(text, &when);
	kurir_arena_clear(kurir_scratch());
	return 0;
}
