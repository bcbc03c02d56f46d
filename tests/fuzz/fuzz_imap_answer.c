/* fuzz_imap_answer.c - responses of an IMAP server to an import: what is read of them lies within
 * what may be. */
#include <modules/store_sqlite/tool_imap.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct kurir_str in =
	    kurir_copy(arena, (struct kurir_str){ size > 0 ? (const char *)data : "", size });
	struct imap_message m;
	struct imap_mailbox box;
	struct imap_selected selected = { .exists = 0 };
	struct imap_namespaces spaces = { .count = 0 };

	if (imap_parse_fetch(in, arena, &m) == 1 &&
	    (m.keywords.len > size || (m.has_body && m.body.len > size)))
		abort();
	if (imap_parse_list(in, "LIST", arena, &box) == 1 &&
	    (box.name.len == 0 || box.name.len > size || (box.uses & ~KURIR_MAILBOX_USES) != 0))
		abort();
	imap_parse_select(in, &selected);
	if (imap_parse_namespace(in, arena, &spaces) == 1 && spaces.count > IMAP_OTHERS)
		abort();
	kurir_arena_free(arena);
	return 0;
}
