/* segment.c - heads and records of a segment, as bytes. */
#include "segment.h"

#include "crc32c.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HEAD_MAGIC   0x3130474553524b4bULL /* "KKRSEG01" */
#define RECORD_MAGIC 0x4345524bu	   /* "KREC" */

void segment_put_le32(char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(v >> (8 * i));
}

void segment_put_le64(char *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (char)(v >> (8 * i));
}

uint32_t segment_get_le32(const char *p)
{
	uint32_t v = 0;
	for (int i = 3; i >= 0; i--)
		v = v << 8 | (unsigned char)p[i];
	return v;
}

uint64_t segment_get_le64(const char *p)
{
	return (uint64_t)segment_get_le32(p + 4) << 32 | segment_get_le32(p);
}

/* magic:8 id:8 salt:8 created:8 role:4 index:4 pid:4 zero:16 crc:4 */
void segment_put_head(char to[SEGMENT_HEAD], const struct segment_head *h)
{
	memset(to, 0, SEGMENT_HEAD);
	segment_put_le64(to, HEAD_MAGIC);
	segment_put_le64(to + 8, h->id);
	segment_put_le64(to + 16, h->salt);
	segment_put_le64(to + 24, (uint64_t)h->created);
	segment_put_le32(to + 32, h->role);
	segment_put_le32(to + 36, h->index);
	segment_put_le32(to + 40, h->pid);
	segment_put_le32(to + 60, crc32c(0, to, 60));
}

int segment_get_head(const char from[SEGMENT_HEAD], struct segment_head *ret)
{
	if (segment_get_le64(from) != HEAD_MAGIC ||
	    segment_get_le32(from + 60) != crc32c(0, from, 60))
		return -EBADMSG;
	*ret = (struct segment_head){
		.id = segment_get_le64(from + 8),
		.salt = segment_get_le64(from + 16),
		.created = (int64_t)segment_get_le64(from + 24),
		.role = segment_get_le32(from + 32),
		.index = segment_get_le32(from + 36),
		.pid = segment_get_le32(from + 40),
	};
	return 0;
}

/* magic:4 crc:4 salt:8 synced/8:4 id_hash:4 body_length:8 body_file:8 arrived:8
 * envelope_length:4 body_crc:4 recipients:4 kind:1 lane:1 zero:2 */
void segment_put_record(
    char to[SEGMENT_HEAD], const struct segment_record *r, struct kurir_str envelope)
{
	segment_put_le32(to, RECORD_MAGIC);
	segment_put_le64(to + 8, r->salt);
	segment_put_le32(to + 16, (uint32_t)(r->synced / SEGMENT_ALIGN));
	segment_put_le32(to + 20, r->id_hash);
	segment_put_le64(to + 24, r->body_length);
	segment_put_le64(to + 32, r->body_file);
	segment_put_le64(to + 40, (uint64_t)r->arrived);
	segment_put_le32(to + 48, r->envelope_length);
	segment_put_le32(to + 52, r->body_crc);
	segment_put_le32(to + 56, r->recipients);
	segment_put_le32(to + 60, (uint32_t)r->kind | (uint32_t)r->lane << 8);
	uint32_t crc = crc32c(0, to + 8, SEGMENT_HEAD - 8);
	segment_put_le32(to + 4, crc32c(crc, envelope.ptr, envelope.len));
}

int segment_get_record(const char from[SEGMENT_HEAD], uint64_t salt, struct segment_record *ret)
{
	if (segment_get_le32(from) != RECORD_MAGIC || segment_get_le64(from + 8) != salt)
		return -EBADMSG;
	struct segment_record r = {
		.salt = salt,
		.synced = (uint64_t)segment_get_le32(from + 16) * SEGMENT_ALIGN,
		.id_hash = segment_get_le32(from + 20),
		.body_length = segment_get_le64(from + 24),
		.body_file = segment_get_le64(from + 32),
		.arrived = (int64_t)segment_get_le64(from + 40),
		.envelope_length = segment_get_le32(from + 48),
		.body_crc = segment_get_le32(from + 52),
		.recipients = segment_get_le32(from + 56),
		.kind = (uint8_t)from[60],
		.lane = (uint8_t)from[61],
	};
	if (r.envelope_length > SEGMENT_ENVELOPE_MAX || r.kind < SEGMENT_MESSAGE ||
	    r.kind > SEGMENT_HELD)
		return -EBADMSG;
	if (r.body_file == 0 && r.body_length > SEGMENT_BODY_MAX)
		return -EBADMSG;
	if (r.recipients > r.envelope_length) /* each takes some bytes */
		return -EBADMSG;
	if (r.kind == SEGMENT_MOVED && r.envelope_length < SEGMENT_MOVED_BYTES)
		return -EBADMSG;
	*ret = r;
	return 0;
}

bool segment_record_sound(const char head[SEGMENT_HEAD], struct kurir_str envelope)
{
	uint32_t crc = crc32c(0, head + 8, SEGMENT_HEAD - 8);
	return segment_get_le32(head + 4) == crc32c(crc, envelope.ptr, envelope.len);
}

uint64_t segment_record_bytes(const struct segment_record *r)
{
	uint64_t n = SEGMENT_HEAD + (uint64_t)r->envelope_length +
	    (r->body_file == 0 ? r->body_length : 0);
	return (n + SEGMENT_ALIGN - 1) / SEGMENT_ALIGN * SEGMENT_ALIGN;
}

void segment_name(char to[SEGMENT_NAME_MAX], uint64_t id, const char *suffix)
{
	static const char hex[] = "0123456789abcdef";
	for (int i = 0; i < 16; i++)
		to[i] = hex[id >> (60 - 4 * i) & 15];
	size_t n = strlen(suffix);
	if (n > SEGMENT_NAME_MAX - 17)
		n = SEGMENT_NAME_MAX - 17;
	memcpy(to + 16, suffix, n);
	to[16 + n] = '\0';
}

uint64_t segment_name_id(const char *name, const char *suffix)
{
	uint64_t id = 0;
	if (strlen(name) < 16 || strcmp(name + 16, suffix) != 0)
		return 0;
	for (int i = 0; i < 16; i++) {
		char c = name[i];
		if (c >= '0' && c <= '9')
			id = id << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			id = id << 4 | (uint64_t)(c - 'a' + 10);
		else
			return 0;
	}
	return id;
}
