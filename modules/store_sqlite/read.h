/* read.h - one question to the database, and its answer. */
#ifndef STORE_SQLITE_READ_H
#define STORE_SQLITE_READ_H

#include "sqlite.h"

#define READ_PLACES 256 /* at once */
struct read_place {
	uint32_t uid;
	int64_t date; /* tells it from one that had its UID in a mailbox of that name before */
	struct blob_place place;
};

struct read {
	int (*run)(struct read *);
	struct db *db;
	struct kurir_arena *arena; /* for the answer */
	struct kurir_str account, mailbox;
	const char *folder; /* the shard's, for facts */
	/* What some of them ask. */
	uint64_t since;
	int64_t few; /* rows at most, else -E2BIG; 0: all */
	uint32_t uid, want;
	int64_t date; /* of uid, and its size; 0: not known */
	uint64_t size;
	const struct kurir_uid_set *uids;
	const struct kurir_find *find;
	/* The answer. */
	int result;
	struct account_row account_row;
	struct mailbox_row mailbox_row;
	struct kurir_mailbox *mailboxes;
	struct kurir_message_facts *facts;
	struct kurir_entry *entries;
	size_t count, room; /* of those */
	struct kurir_mailbox_view view;
	struct kurir_mailbox_outline outline;
	struct kurir_uid_set vanished, found, unsure;
	bool unsearched;	   /* the index is not to have this account */
	struct read_place *places; /* count, room: of those */
};
/* What several have: account_row, mailbox_row, the view without messages; an id of RFC 8474. */
int read_mailbox(struct read *);
struct kurir_str read_id(struct kurir_arena *, char kind, int64_t id);

/* UIDs that come in ascending order, in the answer's arena. */
struct read_uids {
	struct kurir_uid_range *ranges;
	size_t count, room;
};
void read_uid(struct read *, struct read_uids *, uint32_t uid);
/* The first column of all rows. */
int read_uids(struct read *, sqlite3_stmt *, struct kurir_uid_set *ret);

int read_list(struct read *);
int read_view(struct read *);
int read_outline(struct read *); /* few: else -E2BIG, as for changes */
int read_part(struct read *);
int read_status(struct read *);
int read_changes(struct read *);
/* From uid on, which must be there, as many as there is room for. */
int read_places(struct read *);
bool read_is_place(const struct read *, const struct read_place *);
int read_facts(struct read *);
int read_account(struct read *);
int read_entries(struct read *);
int read_find(struct read *);	     /* search_find.c */
int read_find_fields(struct read *); /* search_fields.c */

/* access.c: in a helper thread, again if need be. */
int sqlite_read(struct kurir_self *, struct read *, kurir_time) KURIR_PARKS;
/* places.c: the message of the question's account, mailbox and uid.  -ESTALE: ask again. */
int places_open(struct kurir_self *, const struct read *question, const char *folder, kurir_time,
    struct kurir_body *ret) KURIR_PARKS;

#endif
