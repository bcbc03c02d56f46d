/* queue_role.h - what the queue role keeps in memory, and the parts that work on it.
 *
 *	intake.c    new records become messages
 *	table.c     messages and segments, found by place
 *	state.c     the log of fates: append (state_read.c: replay; checkpoint.c: begin anew)
 *	dispatch.c  due recipients, each destination on its own
 *	route.c     asks the route services, expands aliases
 *	attempt.c   may the destination be bothered, and what does the transport say
 *	fate.c      what becomes of a recipient
 *	compact.c   dead segments go, mostly dead ones are rewritten
 *	command*.c  kurirctl */
#ifndef QUEUE_ROLE_H
#define QUEUE_ROLE_H

#include "queue_private.h"
#include "scheduler.h"

struct segment {
	struct segment *next; /* by id, ascending */
	uint64_t id;
	uint64_t known;	     /* all records before it are in the table, or dead */
	uint64_t base;	     /* known when the log was begun */
	uint64_t live_bytes; /* of messages with undecided recipients */
	uint64_t left_at;    /* of the state log: the last move of a message to elsewhere */
	uint32_t live;	     /* messages that are in memory */
	uint32_t users;	     /* fibers that read from it: it stays until they are done */
	bool sealed;	     /* its writer is gone: nothing is added any more */
	bool seen;	     /* the file is there */
	bool stranger;	     /* no segment, whatever its name says: left alone */
	bool moving;	     /* being rewritten */
};

struct message {
	struct message *hash_next;
	struct segment *segment;
	uint64_t offset;
	uint64_t body_file;
	int64_t arrived;
	struct message *dead_next;
	uint64_t dead_at; /* of the state log: may be forgotten when that is durable */
	char *envelope;	  /* packed, while it is fresh; or NULL */
	uint32_t envelope_length;
	uint32_t bytes; /* of the record */
	uint32_t id_hash;
	uint32_t count, undecided;
	uint32_t users; /* fibers that work on it */
	bool dead;
	struct entry entries[];
};

struct totals {
	uint64_t accepted, delivered, bounced,
	    cancelled; /* recipients, since the spool was made */
};

struct state_log {
	int fd;
	uint64_t size, checkpoint_size;
	uint64_t salt;
	struct kurir_buf pending;
	uint64_t fresh_salt; /* of a checkpoint that is being made; 0: none is */
	struct kurir_buf fresh;
	kurir_time not_before;	    /* for the next one, when the last failed */
	uint64_t appended, durable; /* bytes, over all files; what state_wait() waits for */
	struct kurir_signal *work, *flushed;
	bool wanted;   /* begin anew when there is time */
	bool broken;   /* a write failed: nothing but a new checkpoint helps */
	bool complete; /* while it is read: the checkpoint at its begin was whole */
};

struct command_pick;
struct queue {
	struct kurir_self *self;
	const struct queue_conf *conf;
	int dir;
	struct scheduler scheduler;
	kurir_time retry[32];
	unsigned retry_count;
	struct segment *segments;
	struct message **hash;
	uint32_t hash_size, message_count;
	uint64_t entry_count; /* undecided recipients */
	struct totals totals;
	struct state_log log;
	struct message *dead_first, *dead_last; /* by dead_at */
	uint64_t fresh_bytes;
	uint64_t deferrals;	     /* attempts that ended so, since the start */
	struct kurir_arena *scratch; /* of handlers that have none */
	struct kurir_group *group;
	struct kurir_signal *work, *idle;
	unsigned parts;		   /* fibers beside those of the messages */
	struct command_pick *pick; /* of the last command, or NULL */
	uint64_t moves;
	unsigned walks; /* commands that look at all messages: none moves then */
	bool moving;
	bool rescan, started, stopping;
	int64_t began;	/* kurir_wallclock(): what is older may have been tried before */
	bool forgetful; /* the log lost what it knew: records it does not name may be owed */
	bool litter;	/* not swept yet: a segment could not be read */
};

/* table.c */
struct segment *table_segment(struct queue *, uint64_t id, bool create);
void table_segment_free(struct queue *, struct segment *);
struct message *table_find(struct queue *, const struct segment *, uint64_t offset);
struct message *table_add(
    struct queue *, struct segment *, uint64_t offset, const struct segment_record *);
void table_move(
    struct queue *, struct message *, struct segment *, uint64_t offset, uint32_t bytes);
void table_remove(struct queue *, struct message *); /* and frees */
struct message *table_message_of(struct entry *);
static inline bool entry_decided(const struct entry *e)
{
	return e->state >= ENTRY_DELIVERED;
}
/* Sets a fate, once, and counts it: false when there was one. */
bool table_decide(struct queue *, struct message *, struct entry *, enum entry_state);
/* The i-th message in the table's own order, for walks with breaks: begin with at = 0; NULL after
 * the last. */
struct message *table_walk(struct queue *, uint32_t *bucket, struct message *after);

/* state.c, state_read.c */
int state_open(struct queue *);	 /* replays; the scheduler is empty until queue_schedule_all() */
int state_start(struct queue *); /* the fiber that writes */
void state_close(struct queue *) KURIR_PARKS;
void state_message(struct queue *, const struct message *);
void state_entry(struct queue *, const struct message *, const struct entry *);
void state_moved(
    struct queue *, uint64_t old_segment, uint64_t old_offset, const struct message *);
void state_segment(struct queue *, const struct segment *);
void state_segment_gone(struct queue *, uint64_t id);
int state_wait(struct queue *, kurir_time) KURIR_PARKS; /* until all appended so far is durable */
void state_bury(struct queue *, struct message *);	/* every recipient is decided */
/* One file of the log, as bytes: for replay and its tests. 0 or -EBADMSG at a torn end; *ret_good
 * tells where. */
int state_replay(struct queue *, struct kurir_str bytes, uint64_t salt, size_t *ret_good);

/* intake.c */
void intake_post(struct kurir_self *, const struct kurir_incoming *);
int intake_recover(struct queue *) KURIR_PARKS;
/* A recipient whose message is lost: cancelled, with an event. */
void queue_orphan(struct queue *, struct message *, struct entry *, int err);
void intake_watch(void *queue) KURIR_PARKS; /* fiber: finds what no notice told of */
/* One of several records that are read together: least costly in the order of their places. */
struct queue_record {
	uint64_t segment, offset;
	int result; /* 0, -errno; -EAGAIN: too many, ask again */
	struct segment_record record;
	struct kurir_str envelope;
	char *bytes; /* free() it */
};
/* No message may move meanwhile. */
int queue_read_records(struct queue *, struct queue_record *, size_t count) KURIR_PARKS;
int queue_read_record(struct queue *, struct message *, struct kurir_arena *,
    struct segment_record *, struct kurir_str *ret_envelope) KURIR_PARKS;

/* dispatch.c */
void dispatch_run(void *queue) KURIR_PARKS; /* fiber */
void dispatch_wake(struct queue *);
/* Another address in its place, as a message of its own. 0 or -errno. */
int route_redirect(struct queue *, struct message *, struct entry *, struct kurir_str to)
    KURIR_PARKS;
/* span = 1*DIGIT [ "s" / "m" / "h" / "d" ] ; seconds without a unit */
int queue_span(struct kurir_str, kurir_time *ret);
/* What an entry without an attempt under way does next. */
void dispatch_finish_entry(struct queue *, struct message *, struct entry *);

/* Of a fresh message; it can be read again. */
void queue_forget_envelope(struct queue *, struct message *);

/* compact.c */
void compact_run(void *queue) KURIR_PARKS; /* fiber */

/* command.c */
void command_pick_free(struct command_pick *);
int command_queue(struct kurir_self *, const struct kurir_incoming *, struct kurir_buf *)
    KURIR_PARKS;
int command_ledger(struct kurir_self *, const struct kurir_incoming *, struct kurir_buf *)
    KURIR_PARKS;

/* "0123456789abcdef:4096", what queue.h calls ref. */
struct kurir_str queue_ref(struct kurir_arena *, const struct message *);
int queue_open_ref(struct kurir_self *, struct kurir_str ref, struct kurir_body *ret) KURIR_PARKS;

int queue_start(struct kurir_self *) KURIR_PARKS;
void queue_stop(struct kurir_self *) KURIR_PARKS;

#endif
