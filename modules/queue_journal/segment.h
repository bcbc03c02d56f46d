/* segment.h - the format of a segment: an append-only file of messages.
 *
 * A segment is a head of 64 bytes and then records, each beginning at a multiple of 8:
 *
 *	record = head (64 bytes), envelope, body, zeros up to a multiple of 8
 *
 * All numbers are little-endian.  After the last record there are zeros (the file is filled
 * ahead) or the end of the file.  "salt" is random, one a segment, and stands in each record:
 * bytes that a peer wrote into a body can never be taken for a record.  "synced" says how much
 * of the segment was durable when the record was written: what lies before the greatest of
 * them was promised, and needs no second look at its body after a crash. */
#ifndef SEGMENT_H
#define SEGMENT_H

#include <kurir/module.h>

#define SEGMENT_HEAD	     64
#define SEGMENT_ALIGN	     8
#define SEGMENT_ENVELOPE_MAX (1u << 20)
#define SEGMENT_BODY_MAX     (16u << 20) /* of a body inside the segment */
#define SEGMENT_NAME_MAX     32

struct segment_head {
	uint64_t id; /* names the file; grows with time */
	uint64_t salt;
	uint32_t role, index, pid; /* who writes it */
	int64_t created;
};

enum segment_kind {
	SEGMENT_MESSAGE = 1,
	SEGMENT_MOVED = 2, /* the envelope begins with the place (16 bytes) where it was before */
	SEGMENT_HELD = 3,  /* a message that waits until somebody releases it */
};
#define SEGMENT_MOVED_BYTES 16 /* u64 segment, u64 offset */

struct segment_record {
	uint64_t salt, synced;
	uint64_t body_length;
	uint64_t body_file; /* 0: the body follows; else it is in a file of this name */
	int64_t arrived;
	uint32_t envelope_length;
	uint32_t body_crc;
	uint32_t recipients;
	uint32_t id_hash; /* of the envelope's id: finds a message without reading it */
	uint8_t kind;	  /* enum segment_kind */
	uint8_t lane;	  /* who waits in line with whom: of the sender */
};

void segment_put_head(char to[SEGMENT_HEAD], const struct segment_head *);
int segment_get_head(const char from[SEGMENT_HEAD], struct segment_head *ret); /* -EBADMSG */
/* The checksum covers the envelope. */
void segment_put_record(
    char to[SEGMENT_HEAD], const struct segment_record *, struct kurir_str envelope);
/* Shape only: magic, salt, lengths. 0 or -EBADMSG. */
int segment_get_record(const char from[SEGMENT_HEAD], uint64_t salt, struct segment_record *ret);
bool segment_record_sound(const char head[SEGMENT_HEAD], struct kurir_str envelope);
/* Bytes from the begin of this record to that of the next. */
uint64_t segment_record_bytes(const struct segment_record *);

/* "0123456789abcdef.seg" and friends. */
void segment_name(char to[SEGMENT_NAME_MAX], uint64_t id, const char *suffix);
/* The id in such a name, or 0. */
uint64_t segment_name_id(const char *name, const char *suffix);

/* What a scan found.  Plain malloc: scans run in helper threads. */
struct segment_found {
	uint64_t offset;
	uint64_t moved_segment, moved_offset; /* kind MOVED */
	struct segment_record record;
};
struct segment_scan {
	int fd;
	uint64_t from,
	    until;    /* where to begin; where to stop (the end of the file: UINT64_MAX) */
	bool trusted; /* until is known to be durable: bodies need not be checked */
	struct segment_head head;    /* out */
	struct segment_found *found; /* out, free() it */
	size_t count, room;
	uint64_t end;	  /* out: after the last sound record */
	uint64_t skipped; /* out: bytes that were no record although sound ones follow */
	unsigned torn;	  /* out: records whose body was not what was meant */
	uint64_t synced;  /* out: the greatest seen */
};
/* 0 or -errno (also -EBADMSG when the head is not one). */
int segment_scan(struct segment_scan *);

/* Little-endian. */
void segment_put_le32(char *, uint32_t);
void segment_put_le64(char *, uint64_t);
uint32_t segment_get_le32(const char *);
uint64_t segment_get_le64(const char *);

#endif
