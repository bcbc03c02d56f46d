/* blob.h - the bytes of e-mails: append-only segments beside a shard's database.
 *
 * A segment begins with 16 bytes, BLOB_FILE and zeros.  A record is at a multiple of 8:
 *
 *   u32 magic, u32 CRC-32 of all that follows, u64 length of the body, i64 internal date,
 *   u32 length of the account's name, u32 length of the mailbox's name, both names, the body
 *
 * in little endian.  With the names a lost database can be made again from the segments.  Each
 * process writes to segments of its own, locked (flock) as long as it may append: what nobody
 * locks and no row names is litter.  Nothing here calls anything of Kurir: it runs in helper
 * threads. */
#ifndef STORE_SQLITE_BLOB_H
#define STORE_SQLITE_BLOB_H

#include <kurir/queue.h>

#define BLOB_FILE      "KURIRBS1"
#define BLOB_FIRST     16
#define BLOB_NAME      32
#define BLOB_NAMES_MAX 2048 /* bytes, of account and mailbox together */
#define BLOB_SUFFIX    ".blob"

struct blob_place {
	uint64_t segment, offset, length; /* of the body */
	uint64_t record;		  /* bytes, with all that is around the body */
};
struct blob_writer {
	const char *folder;
	uint64_t limit; /* a new segment is begun behind it */
	int fd;		/* -1: none open */
	uint64_t segment;
	uint64_t end, durable; /* of the file as it will be, and as it surely is */
	char *buffer;
	size_t used;
};
void blob_writer_init(struct blob_writer *, const char *folder, uint64_t limit);
void blob_writer_close(struct blob_writer *); /* its segment is finished */

/* What is to be kept: length bytes of fd from offset. */
struct blob_source {
	int fd;
	uint64_t offset, length;
	int64_t date;
	struct kurir_str account, mailbox;
	const uint32_t *crc; /* of the record, if it is known: else it is -EBADMSG; or NULL */
	void (*see)(void *arg, const char *, size_t); /* the bytes as they pass; or NULL */
	void *arg;
};
/* 0, or -errno with nothing kept. */
int blob_append(struct blob_writer *, const struct blob_source *, struct blob_place *ret);
int blob_sync(struct blob_writer *); /* all that was appended is durable */
/* Forgets what is not durable; that file is not written again. */
void blob_cut(struct blob_writer *);

/* The names in it are durable. */
int blob_sync_folder(const char *folder);

/* blob_record.c: a record as it lies in a segment. */
struct blob_record {
	struct blob_source source; /* of its body; names and checksum are in this record */
	uint64_t body, next;	   /* where that begins, and where the next record does */
	uint32_t crc;
	char names[BLOB_NAMES_MAX];
};
uint64_t blob_record_start(const struct blob_place *);
/* 0; -EBADMSG: there is none, or the file ends before; the body is not looked at. */
int blob_record_read(int fd, uint64_t at, struct blob_record *ret);
int blob_record_check(const struct blob_record *); /* 0, or -EBADMSG */

/* -ESTALE: the segment is not there (any more). */
int blob_open(const char *folder, const struct blob_place *, struct kurir_body *ret);
void blob_name(char ret[BLOB_NAME], uint64_t segment);
/* 0: not such a name. */
uint64_t blob_name_id(const char *name);

#endif
