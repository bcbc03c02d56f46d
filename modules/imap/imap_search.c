/* imap_search.c - SEARCH and UID SEARCH (RFC 9051 section 6.4.4; its parser, with its ABNF, is
 * imap_search_parse.c, what matches imap_match.c, the reply imap_result.c). */

#include <errno.h>

#include "imap_search.h"

KURIR_PARKS void imap_search_refuse(struct imap *s, int r)
{
	if (r == -EINVAL)
		imap_no(s, "[BADCHARSET (UTF-8 US-ASCII)] Unknown charset");
	else
		imap_bad(s, "These are not search keys");
}

KURIR_PARKS void imap_search(struct imap *s, struct imap_args *a)
{
	struct kurir_arena *arena;
	struct imap_search search;
	struct imap_hits hits;
	int r = imap_search_parse(s, a, &search);

	if (r < 0) {
		if (search.returns & IMAP_RETURN_SAVE)
			imap_saved_clear(s);
		imap_search_refuse(s, r);
		return;
	}
	arena = kurir_arena_new("imap search");
	if (imap_find(s, search.key, arena, &hits) >= 0) {
		imap_put_found(s, false, &search, &hits);
		imap_limited_ok(s, hits.lowest);
	}
	kurir_arena_free(arena);
}
