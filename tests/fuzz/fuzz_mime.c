/* fuzz_mime.c - a message's structure: every part lies within the message, every text can be decoded. */
#include <modules/imap/mime.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(struct kurir_arena *arena, const struct mime_part *p, struct kurir_str all)
{
	struct mime_address list[16];

	for (; p; p = p->next) {
		if (p->header.ptr < all.ptr || p->body.ptr + p->body.len > all.ptr + all.len)
			abort();
		mime_decode_body(arena, p);
		mime_decode_words(arena, p->header);
		mime_addresses(arena, p->header, list, 16);
		walk(arena, p->child, all);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_str all = { size > 0 ? (const char *)data : "", size };
	struct kurir_arena *arena = kurir_arena_new("fuzz");

	walk(arena, mime_parse(arena, all), all);
	kurir_arena_free(arena);
	return 0;
}
