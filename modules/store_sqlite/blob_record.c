/* blob_record.c - what is in a segment: records, their checksums. */
#include "blob_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static uint32_t get32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const unsigned char *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

/* 0, -EBADMSG when the file ends before, -errno. */
static int read_all(int fd, uint64_t at, void *to, size_t n)
{
	for (char *p = to; n > 0;) {
		ssize_t done = pread(fd, p, n, (off_t)at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EBADMSG;
		p += done;
		at += (uint64_t)done;
		n -= (size_t)done;
	}
	return 0;
}

uint64_t blob_record_start(const struct blob_place *p)
{
	return ((p->offset + p->length + 7) & ~(uint64_t)7) - p->record;
}

int blob_record_read(int fd, uint64_t at, struct blob_record *ret)
{
	unsigned char head[BLOB_HEAD];
	int r = at > INT64_MAX / 2 ? -EBADMSG : read_all(fd, at, head, sizeof(head));
	if (r < 0)
		return r;
	uint32_t account = get32(head + 24), mailbox = get32(head + 28);
	uint64_t length = get64(head + 8);
	if (get32(head) != BLOB_MAGIC || account > BLOB_NAMES_MAX || mailbox > BLOB_NAMES_MAX ||
	    account + mailbox > BLOB_NAMES_MAX || length > INT64_MAX / 2)
		return -EBADMSG;
	r = read_all(fd, at + BLOB_HEAD, ret->names, account + mailbox);
	if (r < 0)
		return r;
	ret->crc = get32(head + 4);
	ret->body = at + BLOB_HEAD + account + mailbox;
	ret->next = (ret->body + length + 7) & ~(uint64_t)7;
	ret->source = (struct blob_source){ .fd = fd,
		.offset = ret->body,
		.length = length,
		.date = (int64_t)get64(head + 16),
		.account = { ret->names, account },
		.mailbox = { ret->names + account, mailbox },
		.crc = &ret->crc };
	return 0;
}

int blob_record_check(const struct blob_record *record)
{
	const struct blob_source *s = &record->source;
	uint32_t crc = blob_crc(s);
	char *piece = malloc(BLOB_BUFFER);
	int r = piece == NULL ? -ENOMEM : 0;
	for (uint64_t at = 0; at < s->length && r == 0;) {
		size_t n = s->length - at < BLOB_BUFFER ? (size_t)(s->length - at) : BLOB_BUFFER;
		r = read_all(s->fd, s->offset + at, piece, n);
		crc = (uint32_t)crc32(crc, (const Bytef *)piece, (uInt)n);
		if (r == 0 && s->see != NULL)
			s->see(s->arg, piece, n);
		at += n;
	}
	free(piece);
	return r == 0 && crc != record->crc ? -EBADMSG : r;
}
