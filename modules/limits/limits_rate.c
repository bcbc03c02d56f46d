/* limits_rate.c - rates as the configuration writes them, and questions on their way.  No I/O.
 *
 *   rate = number SP what "/" [ number ] unit
 *   what = "connections" / "messages" / "recipients" / "bytes"      number of bytes: K M G T
 *   unit = "s" / "m" / "h" / "d" / "w" */
#include "limits.h"

#include <errno.h>

#define AMOUNT_MAX (1ULL << 50)
#define WINDOW_MAX (366LL * 86400000)

const char *const limits_who_names[] = { "address", "network", "account", "sender",
	"sender-domain", "recipient", "recipient-domain", NULL };
static const char *const what_names[] = { "connections", "messages", "recipients", "bytes",
	NULL };

static int name_of(const char *const *names, struct kurir_str s)
{
	for (int i = 0; names[i] != NULL; i++)
		if (kurir_str_equal(s, kurir_str_of(names[i])))
			return i;
	return -EINVAL;
}

static int amount_parse(struct kurir_str s, bool bytes, uint64_t *ret)
{
	static const char units[] = "KMGT";
	unsigned shift = 0;

	for (unsigned i = 0; bytes && s.len > 0 && i < 4; i++)
		if (s.ptr[s.len - 1] == units[i])
			shift = 10 * (i + 1);
	s.len -= shift > 0;
	if (kurir_str_number(s, AMOUNT_MAX >> shift, ret) < 0)
		return -EINVAL;
	*ret <<= shift;
	return 0;
}

static int window_parse(struct kurir_str s, int64_t *ret)
{
	static const int64_t spans[] = { 1000, 60000, 3600000, 86400000, 604800000 };
	ssize_t unit = s.len > 0 ? kurir_str_find(KURIR_STR("smhdw"), s.ptr[s.len - 1]) : -1;
	uint64_t n = 1;

	if (unit < 0)
		return -EINVAL;
	s.len--;
	if (s.len > 0 &&
	    (kurir_str_number(s, (uint64_t)(WINDOW_MAX / spans[unit]), &n) < 0 || n == 0))
		return -EINVAL;
	*ret = (int64_t)n * spans[unit];
	return 0;
}

int limits_rate_parse(struct kurir_str s, struct limits_rate *ret, const char **why)
{
	ssize_t space = kurir_str_find(s, ' '), slash = kurir_str_find(s, '/');
	struct limits_rate r = { .text = s };
	int what;

	*why = "is no rate such as \"100 messages/1h\" or \"50M bytes/1d\"";
	if (space <= 0 || slash < space)
		return -EINVAL;
	what = name_of(
	    what_names, kurir_str_part(s, (size_t)space + 1, (size_t)(slash - space - 1)));
	if (what < 0) {
		*why = "counts no connections, messages, recipients or bytes";
		return -EINVAL;
	}
	r.what = (enum limits_what)what;
	if (amount_parse(kurir_str_part(s, 0, (size_t)space), what == LIMITS_BYTES, &r.amount) <
	    0)
		return -EINVAL;
	if (window_parse(kurir_str_part(s, (size_t)slash + 1, s.len), &r.window) < 0) {
		*why = "has no time such as 1m, 1h or 1d behind \"/\"";
		return -EINVAL;
	}
	*ret = r;
	return 0;
}

int limits_rates_parse(struct kurir_arena *arena, struct kurir_map map, struct limits_rates *ret,
    struct kurir_str *error)
{
	struct limits_rates r = { 0, NULL };
	const char *why;
	size_t n = 0;

	for (size_t i = 0; i < map.count; i++)
		n += map.items[i].values.count;
	if (n > LIMITS_ENTRIES) {
		*error = KURIR_STR("there are more than 64 rates");
		return -EINVAL;
	}
	r.items = kurir_alloc(arena, (n + 1) * sizeof(*r.items));
	for (size_t i = 0; i < map.count; i++) {
		const struct kurir_pair *p = &map.items[i];
		int who = name_of(limits_who_names, p->key);

		if (who < 0) {
			*error = kurir_format(arena,
			    "\"%.*s\" is none of: address, network, account, sender, sender-domain,"
			    " recipient, recipient-domain",
			    KURIR_ARG(kurir_str_part(p->key, 0, 80)));
			return -EINVAL;
		}
		for (size_t k = 0; k < p->values.count; k++) {
			struct limits_rate *rate = &r.items[r.count++];

			if (limits_rate_parse(p->values.items[k], rate, &why) < 0) {
				*error = kurir_format(arena, "\"%.*s\" %s",
				    KURIR_ARG(kurir_str_part(p->values.items[k], 0, 80)), why);
				return -EINVAL;
			}
			rate->who = (enum limits_who)who;
			if (rate->what == LIMITS_CONNECTIONS && who > LIMITS_NETWORK) {
				*error = KURIR_STR(
				    "connections are counted by address or network only");
				return -EINVAL;
			}
		}
	}
	*ret = r;
	return 0;
}

int limits_put_question(struct kurir_buf *b, const struct limits_question *q)
{
	int r = kurir_put_text(b, q->account);

	if (r == 0)
		r = kurir_put_u64(b, (uint64_t)q->now);
	if (r == 0)
		r = kurir_put_u8(b, q->trial);
	if (r == 0)
		r = kurir_put_u32(b, (uint32_t)q->count);
	for (size_t i = 0; i < q->count && r == 0; i++) {
		const struct limits_entry *e = &q->entries[i];

		r = kurir_put_text(b, e->key);
		if (r == 0)
			r = kurir_put_u64(b, e->limit);
		if (r == 0)
			r = kurir_put_u64(b, e->amount);
		if (r == 0)
			r = kurir_put_u64(b, (uint64_t)e->window);
		if (r == 0)
			r = kurir_put_u8(b, e->holds);
	}
	return r;
}

int limits_get_question(struct kurir_str body, struct limits_question *ret)
{
	struct kurir_reader r = KURIR_READER(body);

	ret->account = kurir_get_text(&r);
	ret->now = (int64_t)kurir_get_u64(&r);
	ret->trial = kurir_get_u8(&r) != 0;
	ret->count = kurir_get_u32(&r);
	if (ret->count > LIMITS_ENTRIES)
		return -EBADMSG;
	for (size_t i = 0; i < ret->count; i++) {
		struct limits_entry *e = &ret->entries[i];

		e->key = kurir_get_text(&r);
		e->limit = kurir_get_u64(&r);
		e->amount = kurir_get_u64(&r);
		e->window = (int64_t)kurir_get_u64(&r);
		e->holds = kurir_get_u8(&r) != 0;
		if (e->window <= 0 || e->limit > AMOUNT_MAX || e->amount > AMOUNT_MAX)
			return -EBADMSG;
	}
	return r.error;
}
