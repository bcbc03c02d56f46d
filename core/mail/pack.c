/* pack.c - values in messages between roles: little-endian integers, texts with a length.
 * The reader trusts nothing: its error is sticky, and past it everything is zero or empty. */
#include <kurir/call.h>

#include <errno.h>
#include <string.h>

static int put_number(struct kurir_buf *b, uint64_t n, size_t bytes)
{
	char packed[8];
	for (size_t i = 0; i < bytes; i++)
		packed[i] = (char)(unsigned char)(n >> (8 * i));
	return kurir_buf_add(b, (struct kurir_str){ packed, bytes });
}

int kurir_put_u8(struct kurir_buf *b, uint8_t n)
{
	return put_number(b, n, 1);
}

int kurir_put_u32(struct kurir_buf *b, uint32_t n)
{
	return put_number(b, n, 4);
}

int kurir_put_u64(struct kurir_buf *b, uint64_t n)
{
	return put_number(b, n, 8);
}

int kurir_put_text(struct kurir_buf *b, struct kurir_str s)
{
	if (s.len > UINT32_MAX - 4)
		return -EMSGSIZE;
	int r = kurir_buf_reserve(b, 4 + s.len);
	if (r < 0)
		return r;
	(void)kurir_put_u32(b, (uint32_t)s.len);
	return kurir_buf_add(b, s);
}

static struct kurir_str take(struct kurir_reader *r, size_t n)
{
	if (r->error || n > r->rest.len) {
		r->error = -EBADMSG;
		return KURIR_STR("");
	}
	struct kurir_str s = { r->rest.ptr, n };
	r->rest.ptr += n;
	r->rest.len -= n;
	return s;
}

static uint64_t get_number(struct kurir_reader *r, size_t bytes)
{
	struct kurir_str s = take(r, bytes);
	uint64_t n = 0;
	for (size_t i = s.len; i-- > 0;)
		n = n << 8 | (unsigned char)s.ptr[i];
	return n;
}

uint8_t kurir_get_u8(struct kurir_reader *r)
{
	return (uint8_t)get_number(r, 1);
}

uint32_t kurir_get_u32(struct kurir_reader *r)
{
	return (uint32_t)get_number(r, 4);
}

uint64_t kurir_get_u64(struct kurir_reader *r)
{
	return get_number(r, 8);
}

struct kurir_str kurir_get_text(struct kurir_reader *r)
{
	return take(r, kurir_get_u32(r));
}
