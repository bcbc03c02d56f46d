/* imap_deflate.c - COMPRESS=DEFLATE (RFC 4978): RFC 1951 without a header, both ways.
 *
 * The window of what we send is small, so that a session costs 80 KiB more and not 300; the
 * client may use the largest. */

#include <errno.h>
#include <stdlib.h>

#include "imap_deflate.h"

#ifdef HAVE_ZLIB
#include <zlib.h>

#define WINDOW_OUT 12 /* 4 KiB */
#define WINDOW_IN  15 /* 32 KiB: what a client may use */
#define MEMORY	   5
#define LEVEL	   6

struct deflate {
	z_stream in, out;
};

static ssize_t decode(void *coding, struct kurir_str *in, char *to, size_t room)
{
	z_stream *z = &((struct deflate *)coding)->in;
	size_t got;
	int r;

	z->next_in = (unsigned char *)(uintptr_t)in->ptr;
	z->avail_in = (unsigned)in->len;
	z->next_out = (unsigned char *)to;
	z->avail_out = room > UINT32_MAX ? UINT32_MAX : (unsigned)room;
	got = z->avail_out;
	r = inflate(z, Z_SYNC_FLUSH);
	got -= z->avail_out;
	*in = kurir_str_part(*in, in->len - z->avail_in, in->len);
	/* An end of the compressed stream is no end that IMAP knows. */
	if (got == 0 && r != Z_OK && r != Z_BUF_ERROR)
		return -EPROTO;
	return (ssize_t)got;
}

static int encode(void *coding, struct kurir_str in, struct kurir_buf *out)
{
	z_stream *z = &((struct deflate *)coding)->out;

	z->next_in = (unsigned char *)(uintptr_t)in.ptr;
	z->avail_in = (unsigned)in.len;
	do {
		int r = kurir_buf_reserve(out, 4096);

		if (r < 0)
			return r;
		z->next_out = (unsigned char *)out->ptr + out->len;
		z->avail_out = 4096;
		if (deflate(z, Z_SYNC_FLUSH) == Z_STREAM_ERROR)
			return -EPROTO;
		out->len += 4096 - z->avail_out;
	} while (z->avail_out == 0);
	return 0;
}

static void close_coding(void *coding)
{
	struct deflate *d = coding;

	inflateEnd(&d->in);
	deflateEnd(&d->out);
	free(d);
}

static const struct kurir_coding_ops ops = {
	.size = sizeof(ops),
	.decode = decode,
	.encode = encode,
	.close = close_coding,
};

int imap_deflate(struct kurir_stream *stream)
{
	struct deflate *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	if (inflateInit2(&d->in, -WINDOW_IN) != Z_OK) {
		free(d);
		return -ENOMEM;
	}
	if (deflateInit2(&d->out, LEVEL, Z_DEFLATED, -WINDOW_OUT, MEMORY, Z_DEFAULT_STRATEGY) !=
	    Z_OK) {
		inflateEnd(&d->in);
		free(d);
		return -ENOMEM;
	}
	return kurir_stream_code(stream, &ops, d);
}
#else
int imap_deflate(struct kurir_stream *stream)
{
	(void)stream;
	return -EOPNOTSUPP;
}
#endif
