/* segment_scan.c - finds the records of a segment, whatever a crash or a bad disk made of it.
 *
 * Guarantees: every record that is whole is found, also behind one that is not; nothing else is.
 * Runs in a helper thread: plain malloc, no call into Kurir. */
#include "crc32c.h"
#include "segment.h"
#include "spool_io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW ((size_t)1 << 20)

/* A piece of the file in memory. */
struct window {
	int fd;
	char *ptr;
	uint64_t at; /* of ptr[0] in the file */
	size_t len, room;
};

/* Makes the n bytes at pos available: 0, -ENODATA past the end, -errno. */
static int window_get(struct window *w, uint64_t pos, size_t n, const char **ret)
{
	if (pos >= w->at && pos + n <= w->at + w->len) {
		*ret = w->ptr + (pos - w->at);
		return 0;
	}
	size_t want = n > WINDOW ? n : WINDOW;
	if (want > w->room) {
		char *p = realloc(w->ptr, want);
		if (p == NULL)
			return -ENOMEM;
		w->ptr = p;
		w->room = want;
	}
	w->at = pos;
	w->len = 0;
	while (w->len < want) {
		ssize_t got =
		    spool_io->pread(w->fd, w->ptr + w->len, want - w->len, pos + w->len);
		if (got < 0)
			return (int)got;
		if (got == 0)
			break;
		w->len += (size_t)got;
	}
	if (w->len < n)
		return -ENODATA;
	*ret = w->ptr;
	return 0;
}

static int scan_add(struct segment_scan *s, const struct segment_found *f)
{
	if (s->count == s->room) {
		size_t room = s->room == 0 ? 64 : s->room * 2;
		struct segment_found *p = realloc(s->found, room * sizeof(*p));
		if (p == NULL)
			return -ENOMEM;
		s->found = p;
		s->room = room;
	}
	s->found[s->count++] = *f;
	return 0;
}

/* A record whose head and envelope are whole: 1; 0 when there is none at pos. */
static int scan_at(
    struct segment_scan *s, struct window *w, uint64_t pos, struct segment_found *ret)
{
	const char *p;
	int r = window_get(w, pos, SEGMENT_HEAD, &p);
	if (r < 0)
		return r == -ENODATA ? 0 : r;
	struct segment_found f = { .offset = pos };
	if (segment_get_record(p, s->head.salt, &f.record) != 0)
		return 0;
	r = window_get(w, pos, SEGMENT_HEAD + (size_t)f.record.envelope_length, &p);
	if (r < 0)
		return r == -ENODATA ? 0 : r;
	struct kurir_str envelope = { .ptr = p + SEGMENT_HEAD, .len = f.record.envelope_length };
	if (!segment_record_sound(p, envelope))
		return 0;
	if (f.record.kind == SEGMENT_MOVED) {
		f.moved_segment = segment_get_le64(envelope.ptr);
		f.moved_offset = segment_get_le64(envelope.ptr + 8);
	}
	*ret = f;
	return 1;
}

/* The next place from pos on where a record begins: 1, 0 none, -errno. */
static int scan_search(
    struct segment_scan *s, struct window *w, uint64_t pos, struct segment_found *ret)
{
	for (;; pos += SEGMENT_ALIGN) {
		const char *p;
		int r = pos + SEGMENT_HEAD > s->until ? -ENODATA
						      : window_get(w, pos, SEGMENT_HEAD, &p);
		if (r < 0)
			return r == -ENODATA ? 0 : r;
		if (segment_get_le64(p) == 0)
			continue; /* most of what is searched are zeros */
		r = scan_at(s, w, pos, ret);
		if (r != 0)
			return r;
	}
}

/* Whether the bytes of the body are what was meant: 1, 0, -errno. */
static int scan_body(struct window *w, const struct segment_found *f)
{
	if (f->record.body_file != 0)
		return 1; /* was durable before the record was written */
	uint64_t pos = f->offset + SEGMENT_HEAD + f->record.envelope_length;
	uint64_t left = f->record.body_length;
	uint32_t crc = 0;
	while (left > 0) {
		const char *p;
		size_t n = left < WINDOW ? (size_t)left : WINDOW;
		int r = window_get(w, pos, n, &p);
		if (r < 0)
			return r == -ENODATA ? 0 : r;
		crc = crc32c(crc, p, n);
		pos += n;
		left -= n;
	}
	return crc == f->record.body_crc ? 1 : 0;
}

/* Records behind what is known to be durable may have a body that never arrived. */
static int scan_verify(struct segment_scan *s, struct window *w)
{
	size_t kept = 0;
	for (size_t i = 0; i < s->count; i++) {
		const struct segment_found *f = &s->found[i];
		int r = 1;
		if (!s->trusted && f->offset + segment_record_bytes(&f->record) > s->synced)
			r = scan_body(w, f);
		if (r < 0)
			return r;
		if (r == 0)
			s->torn++;
		else
			s->found[kept++] = *f;
	}
	s->count = kept;
	return 0;
}

static int scan_records(struct segment_scan *s, struct window *w)
{
	uint64_t pos = s->from;
	s->end = pos;
	while (pos < s->until) {
		struct segment_found f;
		int r = scan_at(s, w, pos, &f);
		if (r == 0) {
			r = scan_search(s, w, pos, &f);
			if (r > 0)
				s->skipped += f.offset - pos;
		}
		if (r < 0)
			return r;
		if (r == 0)
			return 0;
		uint64_t next = f.offset + segment_record_bytes(&f.record);
		if (next > s->until)
			return 0;
		r = scan_add(s, &f);
		if (r < 0)
			return r;
		if (f.record.synced > s->synced)
			s->synced = f.record.synced;
		pos = next;
		s->end = pos;
	}
	return 0;
}

/* A head that rotted: the first record stands at a known place and has the salt too. */
static int scan_salt(struct segment_scan *s, struct window *w)
{
	struct segment_found f;
	const char *p;
	int r = window_get(w, SEGMENT_HEAD, SEGMENT_HEAD, &p);
	if (r < 0)
		return r == -ENODATA ? -EBADMSG : r;
	s->head.salt = segment_get_le64(p + 8);
	r = scan_at(s, w, SEGMENT_HEAD, &f);
	return r == 0 ? -EBADMSG : r < 0 ? r : 0;
}

int segment_scan(struct segment_scan *s)
{
	struct window w = { .fd = s->fd };
	const char *p;
	s->found = NULL;
	s->count = s->room = 0;
	s->skipped = s->synced = 0;
	s->torn = 0;
	int r = window_get(&w, 0, SEGMENT_HEAD, &p);
	if (r == 0)
		r = segment_get_head(p, &s->head) == 0 ? 0 : scan_salt(s, &w);
	else if (r == -ENODATA)
		r = -EBADMSG;
	if (s->from < SEGMENT_HEAD)
		s->from = SEGMENT_HEAD;
	if (r == 0)
		r = scan_records(s, &w);
	if (r == 0)
		r = scan_verify(s, &w);
	free(w.ptr);
	if (r < 0) {
		free(s->found);
		s->found = NULL;
		s->count = 0;
	}
	return r;
}
