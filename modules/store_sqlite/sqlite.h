/* sqlite.h - what the files of store_sqlite share.
 *
 * Accounts are spread over shards by the hash of their names.  A shard is a folder: index.db,
 * the segments with the bytes, and "bell", by which the writer tells the readers that
 * something happened.  Every change is a request to the endpoint "store.sqlite" of the process
 * that the shard's number chooses; those that come while others are being made durable wait,
 * and are then one transaction, one sync of the segment and one of the database's log.
 * Readers open the database themselves, and can neither write nor create anything. */
#ifndef STORE_SQLITE_SQLITE_H
#define STORE_SQLITE_SQLITE_H

#include "blob.h"
#include "db.h"
#include "fact.h"
#include "model.h"

#include <kurir/call.h>
#include <kurir/queue.h>
#include <kurir/store.h>

#define SHARDS_MAX 256
#define SHARD_PATH 1024
#define BATCH_MAX  256 /* requests in one transaction */

struct sqlite_conf {
	struct kurir_str root;
	int64_t shards, quota_messages;
	uint64_t segment_size, quota_bytes;
	kurir_time grace, remember;
	bool full_text;
};

enum sqlite_counter {
	SQLITE_DELIVERED,
	SQLITE_DELIVERY_FAILED,
	SQLITE_BATCHES,
	SQLITE_REQUESTS,
	SQLITE_FAILED,	/* batches */
	SQLITE_DAMAGED, /* segments */
};

/* Requests: u8 operation, text account, text mailbox, i64 now, then what each says. */
enum sqlite_op {
	SQLITE_OP_TOUCH = 1, /* makes the account */
	SQLITE_OP_CLAIM,     /* -> u32 first recent UID */
	SQLITE_OP_DELIVER,   /* text id, text message, u64 offset, u64 length, descriptor */
	SQLITE_OP_APPEND,    /* u32 count, then u32 flags, text keywords, i64 date, u64 offset,
				u64 length each, descriptor -> changed */
	SQLITE_OP_CHANGE,    /* change -> changed */
	SQLITE_OP_MANAGE,    /* u8 kind, text new name, u32 uses -> u64 mailbox */
	SQLITE_OP_ENTRIES,   /* u32 count, then text name, u8 there, text value each */
	SQLITE_OP_LOCK,	     /* u64 mailbox: makes the file of its lock */
	SQLITE_OP_UNDELETE,  /* i64 went after this, u8 of a deleted mailbox -> u32 messages */
	SQLITE_OP_ACCOUNTS,  /* those behind account -> u32, text, u64 messages, u64 bytes each */
	SQLITE_OP_USAGE,     /* -> u32 segments, u32 damaged, u64 disk, u64 live, u64 database */
	SQLITE_OP_PURGE,     /* what nobody needs any more -> u8 there is more */
	SQLITE_OP_SEARCHED,  /* the account's texts are wanted in the index */
};

/* A shard as its writer has it, in the store role. */
struct request;
struct shard {
	struct kurir_self *self;
	unsigned number;
	char folder[SHARD_PATH];
	bool open, busy;
	bool durable;  /* a transaction is, once it is done */
	bool searched; /* accounts that the index is to have */
	bool came;     /* e-mails, or an account for the index, in this batch */
	bool news;     /* the same, and nobody has looked yet */
	struct db db;
	struct blob_writer blobs;
	int bell;
	struct request *first, **last; /* that wait for the next batch */
	struct kurir_signal *done;
	const struct sqlite_conf *conf;
	bool held;	    /* it may be taken back to its former format: nothing is purged */
	bool purged;	    /* in this transaction: what it says is not durable yet */
	int64_t compacting; /* a segment, or 0 */
	int64_t damaged;    /* one that turned out to be, and that nobody was told of */
	struct {
		char message[32]; /* the one delivered last, for others of the shard */
		int64_t blob;
		struct thread_keys threads;
	} recent;
};

/* A shard as a reader has it, in the access role. */
struct reader;
struct reader_turn;
struct shard_view {
	char folder[SHARD_PATH];
	struct reader *idle; /* connections that nobody uses */
	unsigned open;
	struct reader_turn *turns; /* who waits for one */
	int wd;			   /* inotify, of the bell */
	struct kurir_signal *rung;
};

#define PLACES_RUNS 8
struct run;   /* places.c */
struct ahead; /* ahead.c */

struct sqlite_self {
	struct run *runs;
	struct ahead *ahead;
	struct shard *shards[SHARDS_MAX];
	struct {
		uint64_t given, ended, at_once;
		struct kurir_signal *signal;
	} turns; /* to write */
	struct shard_view *views[SHARDS_MAX];
	int format; /* the file, locked: no tool changes what shards are */
	int inotify;
	struct kurir_watch *watch;
	struct kurir_group *group;   /* purges, and the index; what is read ahead */
	struct kurir_signal *search; /* there may be something to be added to it */
};

unsigned shard_of(const struct sqlite_conf *, struct kurir_str account);
int shard_folder(const struct sqlite_conf *, unsigned number, char ret[SHARD_PATH]);

/* format.c: 0 when the root is as the configuration says, or now is. */
int format_check(struct kurir_self *);
void format_release(struct kurir_self *);

/* writer.c: the endpoint "store.sqlite" */
int sqlite_writer(struct kurir_self *, const struct kurir_incoming *, struct kurir_buf *)
    KURIR_PARKS;
void sqlite_writer_stop(struct kurir_self *);
/* All that can go of a shard, in steps between which others have their turn: 0, or -errno. */
int sqlite_purge(struct kurir_self *, unsigned shard, kurir_time) KURIR_PARKS;
/* From any role: sends the request (freed) to the account's writer. */
int sqlite_begin(
    struct kurir_buf *, enum sqlite_op, struct kurir_str account, struct kurir_str mailbox);
int sqlite_ask(struct kurir_self *, struct kurir_str account, struct kurir_buf *, int fd,
    kurir_time, struct kurir_arena *, struct kurir_str *ret_reply) KURIR_PARKS;

/* operation.c: one request, in a helper thread and in a transaction.  0 or -errno. */
int operation_run(struct shard *, struct kurir_arena *, struct kurir_str request, int fd,
    struct kurir_buf *reply);
/* change.c */
int change_run(struct shard *, struct kurir_arena *, struct account_row *,
    struct kurir_str mailbox, struct kurir_reader *, int64_t now, struct kurir_buf *reply);
/* put.c */
/* -EDQUOT when the account must not have so many bytes more, and a message. */
int over_quota(const struct sqlite_conf *, const struct account_row *, uint64_t more);
int put_delivery(struct shard *, struct kurir_str account_name, struct account_row *,
    struct kurir_reader *, int fd, int64_t now);
int put_append(struct shard *, struct kurir_str account_name, struct account_row *,
    struct kurir_str mailbox, struct kurir_reader *, int fd, int64_t now,
    struct kurir_buf *reply);
/* search.c: adds to the index of each shard, behind all else */
void sqlite_search(void *self) KURIR_PARKS;
/* usage.c */
int usage_accounts(struct shard *, struct kurir_str after, struct kurir_buf *reply);
int usage_run(struct shard *, struct kurir_buf *reply);
/* undelete.c */
int undelete_run(struct shard *, struct kurir_arena *, struct account_row *,
    struct kurir_str mailbox, struct kurir_reader *, int64_t now, struct kurir_buf *reply);
/* purge.c */
int purge_run(struct shard *, int64_t now, struct kurir_buf *reply);
/* compact.c */
uint64_t segment_finished(int folder, const char *name);
int compact_step(struct shard *);

/* ahead.c: that mailbox was selected, and its sheets will be asked for. */
void ahead_want(
    struct kurir_self *, struct kurir_str account, struct kurir_str mailbox, int64_t id);
int ahead_start(struct kurir_self *);
void ahead_stop(struct kurir_self *);

/* deliver.c: the endpoint "transport.local" */
int sqlite_transport(struct kurir_self *, const struct kurir_incoming *, struct kurir_buf *)
    KURIR_PARKS;

/* command.c: the endpoint "ctl.mailbox" */
int sqlite_command(struct kurir_self *, const struct kurir_incoming *, struct kurir_buf *)
    KURIR_PARKS;

/* read.c, access.c: the service "store" */
extern const struct kurir_store_ops sqlite_store;
/* 0, or -ENOENT: nobody had such an account yet, and it is not made. */
int sqlite_exists(struct kurir_self *, struct kurir_str account, kurir_time) KURIR_PARKS;
struct shard_view *shard_view(struct kurir_self *, struct kurir_str account);
/* A connection that nobody uses, to be given back; NULL: *ret_error, -EBUSY: there is none. */
struct db *reader_take(struct kurir_self *, struct kurir_str account, int *ret_error);
/* One is open and not in use. */
bool reader_is_warm(struct kurir_self *, struct kurir_str account);
void reader_give(struct kurir_self *, struct kurir_str account, struct db *);
void reader_drop(struct kurir_self *, struct kurir_str account, struct db *);
/* The same, opened in a helper thread when there is none, or when the most are in use as soon as
 * one is not. */
struct db *reader_wait(struct kurir_self *, struct kurir_str account, kurir_time, int *ret_error)
    KURIR_PARKS;
int readers_start(struct kurir_self *);
void readers_stop(struct kurir_self *);
void places_stop(struct sqlite_self *); /* places.c */

/* wait.c */
int sqlite_wait_start(struct kurir_self *);
void sqlite_wait_stop(struct kurir_self *);
int sqlite_wait(struct kurir_self *, struct kurir_str account, struct kurir_str mailbox,
    const struct kurir_mailbox_view *, kurir_time) KURIR_PARKS;
int sqlite_wait_account(
    struct kurir_self *, struct kurir_str account, uint64_t *modseq, kurir_time) KURIR_PARKS;

#endif
