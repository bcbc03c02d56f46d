/* envelope.c - what is kept of a transaction beside its body, packed; and message ids. */
#include <kurir/smtp.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define ENVELOPE_FORMAT	 1
#define RECIPIENTS_LIMIT 100000u

int kurir_put_envelope(struct kurir_buf *b, const struct kurir_envelope *e)
{
	size_t start = b->len, i;
	int r;

	if (e->count > RECIPIENTS_LIMIT)
		return -EMSGSIZE;
	r = kurir_put_u8(b, ENVELOPE_FORMAT);
	r |= kurir_put_text(b, e->id);
	r |= kurir_put_text(b, e->sender);
	r |= kurir_put_text(b, e->envid);
	r |= kurir_put_u32(b, e->flags);
	r |= kurir_put_u64(b, (uint64_t)e->arrived);
	r |= kurir_put_text(b, e->peer);
	r |= kurir_put_text(b, e->helo);
	r |= kurir_put_text(b, e->account);
	r |= kurir_put_text(b, e->listener);
	r |= kurir_put_u32(b, (uint32_t)e->count);
	for (i = 0; i < e->count && r == 0; i++) {
		r |= kurir_put_text(b, e->recipients[i].address);
		r |= kurir_put_u32(b, e->recipients[i].notify);
		r |= kurir_put_text(b, e->recipients[i].orcpt);
	}
	if (r == 0)
		return 0;
	b->len = start; /* all of it or nothing */
	if (b->ptr != NULL)
		b->ptr[start] = '\0';
	return -EMSGSIZE;
}

int kurir_get_envelope(
    struct kurir_reader *r, struct kurir_arena *arena, struct kurir_envelope *ret)
{
	struct kurir_envelope e = { 0 };
	struct kurir_recipient *list;
	size_t i;

	if (kurir_get_u8(r) != ENVELOPE_FORMAT)
		r->error = -EBADMSG;
	e.id = kurir_get_text(r);
	e.sender = kurir_get_text(r);
	e.envid = kurir_get_text(r);
	e.flags = kurir_get_u32(r);
	e.arrived = (int64_t)kurir_get_u64(r);
	e.peer = kurir_get_text(r);
	e.helo = kurir_get_text(r);
	e.account = kurir_get_text(r);
	e.listener = kurir_get_text(r);
	e.count = kurir_get_u32(r);
	/* A recipient takes 12 bytes at least: what cannot be there is not allocated. */
	if (r->error != 0 || e.count > RECIPIENTS_LIMIT || e.count > r->rest.len / 12) {
		r->error = -EBADMSG;
		return -EBADMSG;
	}
	list = kurir_alloc(arena, (e.count + 1) * sizeof(*list));
	for (i = 0; i < e.count; i++) {
		list[i].address = kurir_get_text(r);
		list[i].notify = kurir_get_u32(r);
		list[i].orcpt = kurir_get_text(r);
	}
	if (r->error != 0)
		return -EBADMSG;
	e.recipients = list;
	*ret = e;
	return 0;
}

static char *put_base32(char *p, uint64_t v, int digits)
{
	static const char set[] = "0123456789abcdefghijklmnopqrstuv";
	int i;

	for (i = digits - 1; i >= 0; i--) {
		p[i] = set[v & 31];
		v >>= 5;
	}
	return p + digits;
}

/* 40 bits that no other process, now or before, is likely to have chosen. */
static uint64_t own_bits(void)
{
	static uint64_t bits;

	if (bits == 0) {
		if (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
			bits = (uint64_t)getpid() * 0x9e3779b97f4a7c15u ^
			    (uint64_t)kurir_wallclock();
		bits = (bits & 0xffffffffffu) | 1;
	}
	return bits;
}

/* 10 digits of microseconds-like time (never twice, never back, in one process), 8 of the
 * process: 18 characters that sort by time. */
struct kurir_str kurir_message_id(struct kurir_arena *arena)
{
	static uint64_t last;
	uint64_t now = (uint64_t)kurir_wallclock() << 8; /* 256 ids a millisecond */
	char *text = kurir_alloc(arena, 19), *p;

	last = now > last ? now : last + 1;
	p = put_base32(text, last, 10);
	p = put_base32(p, own_bits(), 8);
	return (struct kurir_str){ text, (size_t)(p - text) };
}
