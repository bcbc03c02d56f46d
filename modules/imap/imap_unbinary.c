/* imap_unbinary.c - a message with NULs as one without (RFC 3516 section 4.4): parts that are
 * "binary" become base64, as clients without BINARY cannot read them, and the store keeps what
 * all can read.  A NUL anywhere else is nothing that can be kept.
 *
 *   encoding := "Content-Transfer-Encoding" ":" mechanism           ; RFC 2045 section 6.1 */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <mime/mime.h>

#include "imap_incoming.h"

#define LINE 57 /* bytes that make 76 characters */

struct rewriting {
	struct imap_incoming *in;
	struct kurir_arena *arena;
	struct kurir_str text;
	const char *done; /* what stands before it is written */
};

static bool has_nul(struct kurir_str s)
{
	return memchr(s.ptr, '\0', s.len) != NULL;
}

static int write_upto(struct rewriting *w, const char *end)
{
	struct kurir_str piece = { w->done, (size_t)(end - w->done) };

	w->done = end;
	return has_nul(piece) ? -EILSEQ : imap_incoming_write(w->in, piece);
}

/* The part's header with another encoding. */
static int write_header(struct rewriting *w, struct kurir_str header)
{
	struct kurir_str field, all;
	int r = 0;

	while (r >= 0 && mime_header_next(&header, &field, &all)) {
		if (kurir_str_equal_nocase(field, KURIR_STR("Content-Transfer-Encoding")))
			continue;
		if (kurir_str_trim(all).len == 0)
			break;
		r = imap_incoming_write(w->in, all);
	}
	return r < 0
	    ? r
	    : imap_incoming_write(w->in, KURIR_STR("Content-Transfer-Encoding: base64\r\n\r\n"));
}

static int write_body(struct rewriting *w, struct kurir_str body)
{
	struct kurir_buf out = KURIR_BUF(65536);
	int r = 0;

	while (r >= 0 && body.len > 0) {
		struct kurir_mark mark = kurir_mark(w->arena);

		kurir_buf_add(&out, kurir_base64_encode(w->arena, kurir_str_part(body, 0, LINE)));
		kurir_buf_add(&out, KURIR_STR("\r\n"));
		kurir_rewind(w->arena, mark);
		body = kurir_str_part(body, LINE, body.len);
		if (out.len > 60000 || body.len == 0) {
			r = imap_incoming_write(w->in, kurir_buf_str(&out));
			kurir_buf_clear(&out);
		}
	}
	kurir_buf_free(&out);
	return r;
}

/* Depth is bounded by the parser of MIME. */
static int rewrite(struct rewriting *w, const struct mime_part *p)
{
	int r = 0;

	for (; p && r >= 0; p = p->next) {
		struct kurir_str header, body;

		if (p->child) {
			r = rewrite(w, p->child);
			continue;
		}
		body = mime_bytes(w->text, p->body);
		header = mime_bytes(w->text, p->header);
		if (!has_nul(body))
			continue;
		if (!p->encoding.ptr ||
		    !kurir_str_equal_nocase(p->encoding, KURIR_STR("binary")) || has_nul(header))
			return -EILSEQ;
		r = write_upto(w, header.ptr);
		if (r >= 0)
			r = write_header(w, header);
		if (r >= 0)
			r = write_body(w, body);
		w->done = body.ptr + body.len;
	}
	return r;
}

int imap_unbinary(struct imap_incoming *in, uint64_t begin)
{
	struct rewriting w = { .in = in };
	struct kurir_str text = { NULL, (size_t)(in->length - begin) };
	uint64_t page = begin & ~4095ull;
	size_t mapped = (size_t)(in->length - page);
	char *map = mmap(NULL, mapped, PROT_READ, MAP_PRIVATE, in->fd, (off_t)page);
	int r;

	if (map == MAP_FAILED)
		return -errno;
	w.arena = kurir_arena_new("imap binary");
	text.ptr = map + (begin - page);
	w.done = text.ptr;
	w.text = text;
	in->dropped += text.len;
	r = rewrite(&w, mime_read(w.arena, text, NULL)->root);
	if (r >= 0)
		r = write_upto(&w, text.ptr + text.len);
	kurir_arena_free(w.arena);
	munmap(map, mapped);
	if (r == -EILSEQ) {
		in->refusal = IMAP_REFUSED_BINARY;
		r = -EPERM;
	}
	return r;
}
