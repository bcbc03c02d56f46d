/* state_record.h - the entries of the state log, for who writes (state.c, checkpoint.c) and who
 * reads them (state_read.c). */
#ifndef STATE_RECORD_H
#define STATE_RECORD_H

#include "queue_role.h"

#include "crc32c.h"

#define LOG_NAME    "state.log"
#define LOG_NEW	    "state.new"
#define ENTRY_HEAD  8
#define ENTRY_ALIGN 8 /* all payloads are multiples of it */
#define PENDING_MAX ((size_t)1 << 31)

enum {
	LOG_SEGMENT = 1, /* id:8 known:8 */
	LOG_GONE = 2,	 /* id:8 */
	LOG_MESSAGE =
	    3, /* segment:8 offset:8 body_file:8 arrived:8 bytes:4 id_hash:4 count:4 lane:4 */
	LOG_ENTRY = 4,	/* segment:8 offset:8 due:8 index:4 attempts:2 state:1 flags:1 */
	LOG_MOVED = 5,	/* segment:8 offset:8 old_segment:8 old_offset:8 bytes:4 zero:4 */
	LOG_TOTALS = 6, /* accepted:8 delivered:8 bounced:8 cancelled:8 */
};
#define PAYLOAD_MAX 48

static inline uint32_t entry_crc(uint64_t salt, const char *from_length, size_t n)
{
	char s[8];
	segment_put_le64(s, salt);
	return crc32c(crc32c(0, s, sizeof(s)), from_length, n);
}

/* Of the payload of that type; 0: there is none. */
static inline size_t log_length(unsigned type)
{
	static const uint8_t lengths[] = { 0, 16, 8, 48, 32, 40, 32 };
	return type < sizeof(lengths) ? lengths[type] : 0;
}

/* state.c: appends one entry. */
void state_put(struct kurir_buf *to, uint64_t salt, unsigned type, const char *payload, size_t n);
size_t state_pack_segment(char *, const struct segment *);
size_t state_pack_message(char *, const struct message *);
size_t state_pack_entry(char *, const struct message *, const struct entry *);
size_t state_pack_totals(char *, const struct totals *);
/* To the log that is being made: the message and what became of its recipients so far. */
void state_put_message(struct queue *, const struct message *);
/* What was appended goes to the log. */
int state_append(struct queue *) KURIR_PARKS;

/* state_read.c: all entries of the file into the tables; changes no file, says nothing.
 * 0 or -errno. */
struct log_read {
	struct kurir_buf b;
	uint64_t at, good; /* of the file: read up to here, and the end of the last sound entry */
	bool lost;	   /* not at an entry: what is read is searched for one */
	bool headless, holes, deep; /* deep: in the checkpoint */
};
int state_load(struct queue *, int fd, struct log_read *);

/* checkpoint.c: a new log with all that is known.  Parks often; the old one goes on. */
int state_checkpoint(struct queue *) KURIR_PARKS;

#endif
