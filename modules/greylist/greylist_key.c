/* greylist_key.c - questions about triplets, packed and unpacked. */
#include "greylist.h"

#include <errno.h>

struct kurir_str greylist_sender(struct kurir_arena *arena, struct kurir_str sender)
{
	struct kurir_str s = kurir_lower(arena, kurir_str_part(sender, 0, GREYLIST_KEY_MAX));
	ssize_t at = kurir_str_find_last(s, '@');
	size_t local = at < 0 ? s.len : (size_t)at, from, to = 0;
	char *text = kurir_alloc(arena, s.len + 1);
	bool number = false;

	for (from = 0; from < s.len; from++) {
		bool digit = from < local && s.ptr[from] >= '0' && s.ptr[from] <= '9';

		if (!digit)
			text[to++] = s.ptr[from];
		else if (!number)
			text[to++] = '#';
		number = digit;
	}
	return (struct kurir_str){ text, to };
}

int greylist_put_question(struct kurir_buf *b, const struct greylist_question *q)
{
	int r = kurir_put_text(b, q->network);

	if (r == 0)
		r = kurir_put_text(b, q->sender);
	if (r == 0)
		r = kurir_put_text(b, q->recipient);
	if (r == 0)
		r = kurir_put_u64(b, (uint64_t)q->now);
	if (r == 0)
		r = kurir_put_u64(b, (uint64_t)q->delay);
	if (r == 0)
		r = kurir_put_u64(b, (uint64_t)q->window);
	if (r == 0)
		r = kurir_put_u64(b, (uint64_t)q->keep);
	if (r == 0)
		r = kurir_put_u32(b, q->allow);
	if (r == 0)
		r = kurir_put_u32(b, q->entries);
	return r == 0 ? kurir_put_u8(b, q->trial) : r;
}

int greylist_get_question(struct kurir_str body, struct greylist_question *ret)
{
	struct kurir_reader r = KURIR_READER(body);
	struct greylist_question q;

	q.network = kurir_get_text(&r);
	q.sender = kurir_get_text(&r);
	q.recipient = kurir_get_text(&r);
	q.now = (int64_t)kurir_get_u64(&r);
	q.delay = (int64_t)kurir_get_u64(&r);
	q.window = (int64_t)kurir_get_u64(&r);
	q.keep = (int64_t)kurir_get_u64(&r);
	q.allow = kurir_get_u32(&r);
	q.entries = kurir_get_u32(&r);
	q.trial = kurir_get_u8(&r) != 0;
	if (r.error == 0)
		*ret = q;
	return r.error;
}
