/* tool.h - kurir-store: looks after the shards without a server. */
#ifndef STORE_SQLITE_TOOL_H
#define STORE_SQLITE_TOOL_H

#include "blob.h"
#include "db.h"
#include "model.h"

#include <dirent.h>

#define TOOL_PATH 600

/* All of them say on standard error what is wrong, and return the exit status: 0 done; 1
 * something is wrong with the mailboxes; 2 with the command line, or it cannot tell. */
struct tool {
	const char *root;
	unsigned shards;
	bool json, progress;   /* progress: standard error is a terminal */
	struct kurir_buf text; /* what it found, for people */
	uint64_t messages, bytes, problems;
	/* Options of an import; the password is read before anything else is done. */
	const char *account, *ca;
	char *password;
};
void tool_say(struct tool *, const char *, ...) KURIR_FMT(2); /* a line to standard error */
void tool_problem(struct tool *, const char *, ...) KURIR_FMT(2);
/* "12,345 of 20,000 messages": on a terminal, now and then. */
void tool_progress(struct tool *, const char *what, uint64_t done, uint64_t of);
int tool_path(const struct tool *, unsigned shard, const char *name, char ret[TOOL_PATH]);
int tool_fail(struct tool *, int r, const char *what); /* 2 */

/* A shard to write to, beside a server that may run: each transaction is whole. */
struct tool_shard {
	unsigned number;
	char folder[TOOL_PATH];
	struct db db;
	struct blob_writer blobs;
};
int tool_shard_open(struct tool *, unsigned number, struct tool_shard *ret); /* 0 or -errno */
void tool_shard_close(struct tool_shard *);
int tool_begin(struct tool_shard *);
int tool_commit(struct tool_shard *); /* and rings the bell of those who wait */
void tool_rollback(struct tool_shard *);
int tool_read_format(struct tool *); /* how many shards: 0, -errno */
/* Descriptors that keep others out of all shards there are or will be, as long as they are open;
 * -EWOULDBLOCK.  A server, and whoever writes beside one, shares them; who changes what they
 * stand on has them alone. */
int tool_share_all(const struct tool *);
int tool_lock_all(const struct tool *);
unsigned tool_shard_of(const struct tool *, struct kurir_str account);

/* tool_sheet.c: temp.unpacked has a row for each message then; what is wrong with a sheet is
 * said. */
int tool_unpack(struct tool *, struct tool_shard *);

/* tool_check.c */
int tool_check(struct tool *);
/* tool_repair.c: makes the database of a shard again from its segments. */
int tool_repair(struct tool *, unsigned shard);
/* tool_salvage.c: rows of another database in a new one.  1; 0: it cannot be read.  The first is
 * outside of a transaction, the others are in one. */
int salvage_open(struct tool_shard *, const char *path);
int salvage_copy(struct tool_shard *);
/* A whole record that is at that place of a segment. */
int salvage_record(
    struct tool_shard *, uint64_t segment, uint64_t at, const struct blob_record *);
/* After all records: what agrees with them stays, and temp.unknown has the others. */
int salvage_settle(struct tool *, struct tool_shard *, uint64_t *ret_kept);
/* tool_upgrade.c: verb is empty, "back", or "commit"; more "anyway". */
int tool_upgrade(struct tool *, const char *verb, const char *more);
/* tool_move.c: to the shards in that folder, where all of it is what it was here. */
int tool_move(struct tool *, struct kurir_str account, const char *root);
/* tool_export.c; kind "maildir" or "mbox" */
int tool_export(struct tool *, struct kurir_str account, const char *kind, const char *folder);

/* One message that is imported: what is known of it. */
struct tool_message {
	struct kurir_str key; /* names it for ever: it is imported once */
	uint32_t uid;	      /* 0: the next */
	int64_t flags, date;
	struct kurir_str keywords;
	int fd; /* has it in wire form */
	uint64_t offset, length;
};
struct tool_import {
	struct tool *tool;
	struct tool_shard shard;
	struct kurir_str account, mailbox;
	struct kurir_arena *arena;
	struct account_row account_row;
	struct mailbox_row row;
	bool keep; /* UIDs */
	uint64_t added, there, since;
};
/* tool_import.c: the mailbox is made if need be; validity 0: whatever it has.  keep tells
 * whether the UIDs can be kept. */
int import_mailbox(struct tool_import *, struct kurir_str mailbox, uint32_t validity);
/* What it is for (KURIR_MAILBOX_USES), if it is as empty as when it was made. */
void import_uses(struct tool_import *, uint32_t uses);
int import_message(struct tool_import *, const struct tool_message *);
int import_mailbox_end(struct tool_import *, uint32_t uid_next);
int import_subscribe(struct tool_import *, struct kurir_str mailbox);
/* Whether that message was added before: 1, 0, -errno.  Outside of a transaction. */
int import_known(struct tool_import *, struct kurir_str mailbox, struct kurir_str key);
/* A part of a file with CRLF at the end of each line, in a new one; 0, -errno. */
int import_wire(int fd, uint64_t offset, uint64_t length, bool unquote, struct tool_message *ret);
/* args: what "import" is followed by, but for the account. */
int tool_import(struct tool *, struct kurir_str account, char **args, int n);
int import_imap(struct tool_import *, const char *url);	      /* tool_import_imap.c */
int import_maildir(struct tool_import *, const char *folder); /* tool_maildir.c */
int import_mbox(struct tool_import *, const char *file, struct kurir_str mailbox);

#endif
