/* spool_writer.h - the writing side of the spool: one a process, for all of its sessions. */
#ifndef SPOOL_WRITER_H
#define SPOOL_WRITER_H

#include "queue_private.h"

int spool_writer_start(struct kurir_self *, int dir, struct spool_writer **ret) KURIR_PARKS;
/* Finishes the segment.  No session uses it any more. */
void spool_writer_stop(struct spool_writer *) KURIR_PARKS;

int spool_begin(struct kurir_self *, uint64_t size_hint, struct kurir_spool **ret) KURIR_PARKS;
int spool_write(struct kurir_spool *, struct kurir_str) KURIR_PARKS;
int spool_read(struct kurir_spool *, struct kurir_stream **ret) KURIR_PARKS;
int spool_commit(struct kurir_spool *, const struct kurir_envelope *, kurir_time) KURIR_PARKS;
void spool_abort(struct kurir_spool *) KURIR_PARKS;

/* For compaction: the same message at a new place. */
struct spool_moved {
	uint64_t segment, offset; /* where it was */
	struct segment_record record;
	struct kurir_str envelope;
};
/* Never to a file of its own. */
int spool_write_inline(struct kurir_spool *, struct kurir_str);
int spool_commit_moved(struct kurir_spool *, const struct spool_moved *, kurir_time) KURIR_PARKS;

/* The endpoint that hears of new messages: entries of u64 segment, u64 offset, record head, text
 * envelope. */
#define QUEUE_NEW "queue.new"

/* Which lane a message waits in: that of who sends it. */
uint8_t spool_lane(const struct kurir_envelope *);

#endif
