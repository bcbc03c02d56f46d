/* imap_objectid.c - ids of mailboxes, e-mails and threads (OBJECTID, RFC 8474).
 *
 *   fetch-att   =/ "EMAILID" / "THREADID"
 *   msg-att     =/ "EMAILID" SP "(" objectid ")" / "THREADID" SP ("(" objectid ")" / nil)
 *   resp-code   =/ "MAILBOXID" SP "(" objectid ")"
 *
 * The store tells them for some hundred messages at once: those that the command is about. */

#include "imap_objectid.h"

bool imap_has_ids(const struct imap *s)
{
	return imap_store_has(s, facts);
}

static const struct kurir_message_facts *find(const struct imap *s, uint32_t uid)
{
	size_t low = 0, high = s->ids.count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->ids.rows[mid].uid == uid)
			return &s->ids.rows[mid];
		if (s->ids.rows[mid].uid < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

KURIR_PARKS static int load(struct imap *s, const struct kurir_uid_set *asked, uint32_t uid)
{
	struct kurir_uid_range rest = { uid, UINT32_MAX };
	struct kurir_uid_set from = { 1, &rest };
	int r;

	imap_ids_clear(s);
	s->ids.arena = kurir_arena_new("imap ids");
	from = imap_uids_combine(s->ids.arena, asked, &from, IMAP_IN_BOTH);
	r = s->store->facts(s->store_self, s->account, s->box.name, &from,
	    1u << KURIR_FACT_EMAIL_ID | 1u << KURIR_FACT_THREAD_ID, imap_until(s), s->ids.arena,
	    &s->ids.rows, &s->ids.count);
	if (r < 0)
		return r;
	s->ids.first = uid;
	s->ids.last =
	    s->ids.count < KURIR_FACTS_MAX ? UINT32_MAX : s->ids.rows[s->ids.count - 1].uid;
	return 0;
}

KURIR_PARKS int imap_object_id(struct imap *s, const struct kurir_uid_set *asked, uint32_t uid,
    enum kurir_fact which, struct kurir_str *ret)
{
	const struct kurir_message_facts *row;
	int r = 0;

	*ret = KURIR_STR("");
	if (!imap_has_ids(s))
		return 0;
	if (!s->ids.arena || uid < s->ids.first || uid > s->ids.last)
		r = load(s, asked, uid);
	row = r < 0 ? NULL : find(s, uid);
	if (row && row->texts[which].ptr)
		*ret = row->texts[which];
	return r;
}

void imap_ids_clear(struct imap *s)
{
	kurir_arena_free(s->ids.arena);
	s->ids = (struct imap_ids){ .count = 0 };
}

KURIR_PARKS int imap_put_object_id(
    struct imap *s, const struct kurir_uid_set *asked, uint32_t uid, enum kurir_fact which)
{
	struct kurir_str id;
	int r = imap_object_id(s, asked, uid, which, &id);

	if (r < 0)
		return r;
	imap_puts(s, which == KURIR_FACT_EMAIL_ID ? "EMAILID " : "THREADID ");
	return id.len > 0 ? kurir_printf(s->stream, "(%.*s)", KURIR_ARG(id))
			  : imap_puts(s, "NIL");
}
