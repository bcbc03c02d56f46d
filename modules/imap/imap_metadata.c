/* imap_metadata.c - GETMETADATA and SETMETADATA (RFC 5464 sections 4.2 and 4.3).
 *
 *   metadata-resp = "METADATA" SP mailbox SP "(" entry-name SP value *(SP entry-name SP value) ")"
 *   resp-text-code=/ "METADATA" SP ("LONGENTRIES" SP number / "MAXSIZE" SP number / "TOOMANY")
 *
 * An account belongs to one user, who may therefore have entries of both kinds. */

#include <errno.h>

#include "imap_metadata.h"

bool imap_has_metadata(const struct imap *s)
{
	return imap_store_has(s, entries) && imap_store_has(s, set_entries);
}

/* Whether the entry is asked for by that name. */
static bool is_asked(struct kurir_str entry, struct kurir_str name, enum imap_depth depth)
{
	struct kurir_str rest;

	if (kurir_str_equal(entry, name))
		return true;
	if (depth == IMAP_DEPTH_0 || entry.len <= name.len || entry.ptr[name.len] != '/' ||
	    !kurir_str_starts(entry, name))
		return false;
	rest = kurir_str_part(entry, name.len + 1, entry.len);
	return depth == IMAP_DEPTH_INFINITY || kurir_str_find(rest, '/') < 0;
}

struct reply {
	struct imap *s;
	struct kurir_str mailbox;
	bool begun;
};

KURIR_PARKS static void put_entry(struct reply *r, struct kurir_str name, struct kurir_str value)
{
	if (!r->begun) {
		imap_puts(r->s, "* METADATA ");
		imap_put_mailbox(r->s, r->mailbox);
	}
	imap_puts(r->s, r->begun ? " " : " (");
	imap_string(r->s, name);
	imap_puts(r->s, " ");
	imap_nstring(r->s, value);
	r->begun = true;
}

KURIR_PARKS int imap_put_metadata(
    struct imap *s, struct kurir_str mailbox, const struct imap_getmetadata *g, uint64_t *longest)
{
	struct reply reply = { .s = s, .mailbox = mailbox };
	struct kurir_entry *all;
	size_t count;
	int r = s->store->entries(
	    s->store_self, s->account, mailbox, imap_until(s), kurir_scratch(), &all, &count);

	if (r < 0)
		return r;
	for (size_t i = 0; i < g->count; i++) {
		bool any = false;

		for (size_t j = 0; j < count; j++) {
			if (!is_asked(all[j].name, g->names[i], g->depth))
				continue;
			any = true;
			if (all[j].value.len <= g->max)
				put_entry(&reply, all[j].name, all[j].value);
			else if (all[j].value.len > *longest)
				*longest = all[j].value.len;
		}
		if (!any && g->depth == IMAP_DEPTH_0)
			put_entry(&reply, g->names[i], (struct kurir_str){ NULL, 0 });
	}
	return reply.begun ? imap_puts(s, ")\r\n") : 0;
}

KURIR_PARKS void imap_getmetadata(struct imap *s, struct imap_args *a)
{
	struct imap_getmetadata *g = kurir_alloc(kurir_scratch(), sizeof(*g));
	int r = imap_has_metadata(s) ? imap_getmetadata_parse(a, g) : -EBADMSG;
	uint64_t longest = 0;

	if (r < 0) {
		imap_bad(s, "GETMETADATA takes options, a mailbox, and names of entries");
		return;
	}
	r = imap_put_metadata(s, g->mailbox, g, &longest);
	if (r >= 0 && longest > 0)
		imap_ok(s, "[METADATA LONGENTRIES %llu] Done", (unsigned long long)longest);
	else
		imap_done(s, r);
}

KURIR_PARKS void imap_setmetadata(struct imap *s, struct imap_args *a)
{
	struct imap_setmetadata *q = kurir_alloc(kurir_scratch(), sizeof(*q));
	int r = imap_has_metadata(s) ? imap_setmetadata_parse(a, q) : -EBADMSG;

	if (r == -EBADMSG) {
		imap_bad(s, "SETMETADATA takes a mailbox, and names with values of entries");
		return;
	}
	for (size_t i = 0; r >= 0 && i < q->count; i++)
		if (q->entries[i].value.len > IMAP_ENTRY_MAX) {
			imap_no(s, "[METADATA MAXSIZE %d] A value is too long", IMAP_ENTRY_MAX);
			return;
		}
	if (r >= 0)
		r = s->store->set_entries(
		    s->store_self, s->account, q->mailbox, q->entries, q->count, imap_until(s));
	if (r == -E2BIG || r == -EMSGSIZE)
		imap_no(s, "[METADATA TOOMANY] There are too many entries");
	else
		imap_done(s, r);
}
