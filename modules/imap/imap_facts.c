/* imap_facts.c - what the store knows of messages, asked for many at a time and ahead.
 *
 * A store that has none, or does not know one, costs nothing but the question: then the message's
 * bytes are looked at. */

#include <errno.h>

#include "imap_body.h"

#define AHEAD_MIN 4

static const struct kurir_str nothing[KURIR_FACTS];

bool imap_has_ids(const struct imap *s)
{
	return imap_store_has(s, facts);
}

void imap_facts_begin(
    struct imap_facts *f, struct imap *s, uint32_t want, const struct kurir_uid_set *uids)
{
	*f = (struct imap_facts){ .s = s, .uids = uids, .ahead = AHEAD_MIN };
	if (imap_store_has(s, facts))
		f->want = want;
	if (f->want)
		f->arena = kurir_arena_new("imap facts");
}

void imap_facts_end(struct imap_facts *f)
{
	kurir_arena_free(f->arena);
	f->arena = NULL;
}

/* Those that are needed from that message on; without a set, as many as were needed lately. */
static struct kurir_uid_set ahead(struct imap_facts *f, size_t index)
{
	const struct imap_box *box = &f->s->box;
	size_t last = index + f->ahead - 1;
	struct kurir_uid_range *range = kurir_alloc(f->arena, sizeof(*range));
	struct kurir_uid_set set = { 1, range };

	range->first = imap_box_uid(box, index);
	range->last = UINT32_MAX;
	if (f->uids)
		return imap_uids_combine(f->arena, f->uids, &set, IMAP_IN_BOTH);
	range->last = imap_box_uid(box, last < box->count ? last : box->count - 1);
	return set;
}

/* More of them when most were used, else fewer. */
static void adapt(struct imap_facts *f)
{
	if (f->used * 2 >= f->count && f->ahead * 2 <= KURIR_FACTS_MAX)
		f->ahead *= 2;
	else if (f->used * 2 < f->count && f->ahead > AHEAD_MIN)
		f->ahead /= 2;
	f->used = 0;
}

KURIR_PARKS static void ask(struct imap_facts *f, size_t index)
{
	struct imap *s = f->s;
	struct kurir_uid_set set;

	if (f->count > 0)
		adapt(f);
	kurir_arena_clear(f->arena);
	set = ahead(f, index);
	f->at = f->count = 0;
	f->error = 0;
	f->until = imap_box_uid(&s->box, index);
	if (set.count > 0)
		f->error = s->store->facts(s->store_self, s->place.account, s->place.mailbox,
		    &set, f->want, imap_until(s), f->arena, &f->all, &f->count);
	if (f->error < 0)
		f->count = 0;
	if (f->count > 0 && f->all[f->count - 1].uid > f->until)
		f->until = f->all[f->count - 1].uid;
}

KURIR_PARKS const struct kurir_str *imap_facts_get(struct imap_facts *f, size_t index)
{
	uint32_t uid = imap_box_uid(&f->s->box, index);

	if (!f->want)
		return nothing;
	if (uid > f->until)
		ask(f, index);
	while (f->at < f->count && f->all[f->at].uid < uid)
		f->at++;
	if (f->at == f->count || f->all[f->at].uid != uid)
		return nothing;
	f->used++;
	return f->all[f->at].texts;
}
