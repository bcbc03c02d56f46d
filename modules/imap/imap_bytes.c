/* imap_bytes.c - a message's wire form, in memory while a command looks into it. */

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "imap_body.h"

#define SHORT 65536

void imap_bytes_begin(struct imap_bytes *b, const struct kurir_str *facts)
{
	*b = (struct imap_bytes){ .facts = facts, .body = { .fd = -1 } };
	b->arena = kurir_arena_new("imap message");
}

KURIR_PARKS int imap_bytes_open_in(struct imap *s, const struct imap_place *place,
    const struct kurir_message *m, struct imap_bytes *b)
{
	int r = s->store->open(
	    s->store_self, place->account, place->mailbox, m, imap_until(s), &b->body);

	if (r < 0)
		return r;
	b->text = KURIR_STR("");
	b->open = true;
	return 0;
}

/* What is short is read: the pages of a map cost more. */
static int read_all(struct imap_bytes *b)
{
	char *to = kurir_alloc(b->arena, (size_t)b->body.length + 1);

	for (uint64_t at = 0; at < b->body.length;) {
		ssize_t n = pread(b->body.fd, to + at, (size_t)(b->body.length - at),
		    (off_t)(b->body.offset + at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += (uint64_t)n;
	}
	b->text = (struct kurir_str){ to, (size_t)b->body.length };
	return 0;
}

int imap_bytes_map(struct imap_bytes *b)
{
	uint64_t page = b->body.offset & ~4095ull;
	char *map;

	if (b->body.length == 0 || b->text.len > 0)
		return 0;
	if (b->body.length <= SHORT)
		return read_all(b);
	map = mmap(NULL, b->body.length + (b->body.offset - page), PROT_READ, MAP_PRIVATE,
	    b->body.fd, (off_t)page);
	if (map == MAP_FAILED)
		return -errno;
	b->text = (struct kurir_str){ map + (b->body.offset - page), b->body.length };
	b->mapped = true;
	return 0;
}

KURIR_PARKS int imap_bytes_open(
    struct imap *s, const struct kurir_message *m, struct imap_bytes *b)
{
	int r = imap_bytes_open_in(s, &s->place, m, b);

	return r < 0 ? r : imap_bytes_map(b);
}

void imap_bytes_close(struct imap_bytes *b)
{
	uintptr_t at = (uintptr_t)b->text.ptr & ~(uintptr_t)4095;

	if (b->mapped)
		munmap((void *)at, b->text.len + ((uintptr_t)b->text.ptr - at));
	if (b->open)
		close(b->body.fd);
	kurir_arena_free(b->arena);
	*b = (struct imap_bytes){ .body = { .fd = -1 } };
}

const struct mime_message *imap_bytes_message(struct imap_bytes *b)
{
	static const struct mime_options options = { .preview = true };

	if (!b->message)
		b->message = mime_read(b->arena, b->text, &options);
	return b->message;
}

struct kurir_str imap_bytes_header(struct imap_bytes *b)
{
	struct kurir_str header, body;

	if (b->facts && b->facts[KURIR_FACT_HEADER].ptr)
		return b->facts[KURIR_FACT_HEADER];
	if (b->message)
		return mime_bytes(b->text, b->message->root->header);
	mime_split(b->text, &header, &body);
	return header;
}

struct kurir_str imap_bytes_envelope(struct imap_bytes *b)
{
	const struct mime_message *m =
	    b->message ? b->message : mime_read(b->arena, imap_bytes_header(b), NULL);

	return m->root->envelope;
}
