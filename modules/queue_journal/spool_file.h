/* spool_file.h - the open segment of a writer, and one batch written to it.  Everything here
 * runs in a helper thread: no call into Kurir. */
#ifndef SPOOL_FILE_H
#define SPOOL_FILE_H

#include "segment.h"

struct spool_file {
	int dir, fd, mark; /* fd -1: none open */
	struct segment_head head;
	uint64_t end;	 /* all before it is durable; the next record goes here */
	uint64_t filled; /* zeros up to here */
	uint64_t limit;	 /* a segment does not grow beyond */
	uint32_t role, index;
	uint32_t sequence;
};

/* One record to write. */
struct spool_item {
	struct segment_record record; /* salt and synced are filled in */
	char head[SEGMENT_HEAD];
	struct kurir_str envelope, body; /* body empty when it is in a file */
	uint64_t segment, offset;	 /* out: where it is */
};
#define SPOOL_BATCH_MAX 60
struct spool_batch {
	struct spool_file *file;
	struct spool_item *items[SPOOL_BATCH_MAX];
	unsigned count;
	int result; /* of all: 0 durable, -errno nothing of it is promised */
};

int spool_batch_run(void *batch);  /* returns 0: see result */
int spool_file_finish(void *file); /* closes: truncated, unlocked, the queue may take it over */
/* A new file of that suffix, locked; *ret_id names it. */
int spool_file_create(struct spool_file *, const char *suffix, uint64_t *ret_id);

#endif
