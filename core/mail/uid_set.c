/* uid_set.c - sets of UIDs, and changes as they travel to a store's writer (kurir/store.h). */

#include <errno.h>

#include <kurir/store.h>

bool kurir_uid_set_has(const struct kurir_uid_set *set, uint32_t uid)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (uid < set->ranges[mid].first)
			high = mid;
		else if (uid > set->ranges[mid].last)
			low = mid + 1;
		else
			return true;
	}
	return false;
}

int kurir_put_uid_set(struct kurir_buf *b, const struct kurir_uid_set *set)
{
	int r = kurir_put_u32(b, (uint32_t)set->count);

	for (size_t i = 0; r >= 0 && i < set->count; i++) {
		r = kurir_put_u32(b, set->ranges[i].first);
		if (r >= 0)
			r = kurir_put_u32(b, set->ranges[i].last);
	}
	return r;
}

int kurir_get_uid_set(
    struct kurir_reader *in, struct kurir_arena *arena, struct kurir_uid_set *ret)
{
	uint32_t n = kurir_get_u32(in);
	struct kurir_uid_range *ranges;

	if (in->error < 0 || n > in->rest.len / 8)
		return -EBADMSG;
	ranges = kurir_alloc(arena, (n + 1) * sizeof(*ranges));
	for (uint32_t i = 0; i < n; i++) {
		ranges[i].first = kurir_get_u32(in);
		ranges[i].last = kurir_get_u32(in);
		if (ranges[i].first > ranges[i].last ||
		    (i > 0 && ranges[i].first <= ranges[i - 1].last))
			return -EBADMSG;
	}
	*ret = (struct kurir_uid_set){ n, ranges };
	return in->error;
}

int kurir_put_change(struct kurir_buf *b, const struct kurir_change *c)
{
	kurir_put_u8(b, (uint8_t)c->kind);
	kurir_put_u32(b, c->flags);
	kurir_put_u8(b, c->force);
	kurir_put_u64(b, c->unchanged_since);
	kurir_put_u32(b, c->keeps);
	kurir_put_u8(b, c->keeps_keywords);
	kurir_put_text(b, c->keywords);
	kurir_put_text(b, c->target);
	return kurir_put_uid_set(b, &c->uids);
}

int kurir_get_change(struct kurir_reader *in, struct kurir_arena *arena, struct kurir_change *ret)
{
	ret->kind = kurir_get_u8(in);
	ret->flags = kurir_get_u32(in);
	ret->force = kurir_get_u8(in) != 0;
	ret->unchanged_since = kurir_get_u64(in);
	ret->keeps = kurir_get_u32(in);
	ret->keeps_keywords = kurir_get_u8(in) != 0;
	ret->keywords = kurir_get_text(in);
	ret->target = kurir_get_text(in);
	return kurir_get_uid_set(in, arena, &ret->uids);
}

int kurir_put_changed(struct kurir_buf *b, const struct kurir_changed *c)
{
	kurir_put_uid_set(b, &c->uids);
	kurir_put_u32(b, c->target_validity);
	kurir_put_u64(b, c->before);
	kurir_put_u64(b, c->modseq);
	return kurir_put_uid_set(b, &c->target);
}

int kurir_get_changed(
    struct kurir_reader *in, struct kurir_arena *arena, struct kurir_changed *ret)
{
	int r = kurir_get_uid_set(in, arena, &ret->uids);

	ret->target_validity = kurir_get_u32(in);
	ret->before = kurir_get_u64(in);
	ret->modseq = kurir_get_u64(in);
	return r < 0 ? r : kurir_get_uid_set(in, arena, &ret->target);
}
