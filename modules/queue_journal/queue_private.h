/* queue_private.h - what the files of queue_journal share: options, counters, the instance. */
#ifndef QUEUE_PRIVATE_H
#define QUEUE_PRIVATE_H

#include <kurir/queue.h>

#include "segment.h"

struct queue_conf {
	struct kurir_texts retry; /* spans */
	kurir_time lifetime, delay_warning, job_deadline, state_delay, scan_interval;
	uint64_t segment_size, inline_size, memory;
	int64_t concurrency, destination_concurrency, destination_rate, recipients_per_job;
	struct kurir_map destinations; /* "concurrency=N", "rate=N" */
	bool hold;
};

enum queue_counter {
	QUEUE_COMMITTED, /* messages made durable */
	QUEUE_BATCHES,	 /* group commits */
	QUEUE_BYTES,
	QUEUE_COMMIT_FAILED,
	QUEUE_ACCEPTED, /* recipients, as all below */
	QUEUE_DELIVERED,
	QUEUE_BOUNCED,
	QUEUE_CANCELLED,
	QUEUE_DEFERRED, /* attempts that ended so */
	QUEUE_JOBS,
	QUEUE_MISSED, /* messages found by looking, not by notice */
	QUEUE_TORN,
	QUEUE_SEGMENTS_DROPPED,
	QUEUE_MOVED,
	QUEUE_ORPHANS,
};

struct spool_writer;
struct queue;

struct queue_self {
	struct spool_writer *writer;
	struct queue *queue; /* in the queue role */
	int dir;	     /* the spool's folder */
};

static inline struct queue_self *queue_self(struct kurir_self *self)
{
	return kurir_state(self);
}

#endif
