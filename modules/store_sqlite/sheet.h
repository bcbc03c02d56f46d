/* sheet.h - messages of a mailbox, some hundred in one row.
 *
 * What is asked for together, and changes together, stands together: flags, keywords, sizes,
 * dates and mod-sequences of messages that follow each other are one value that fits into a page
 * of the database.  So a flag that all messages get is written once a sheet, and who wants to
 * know what changed since a mod-sequence looks into those sheets whose highest is above it. 
 * Which e-mail a message is says its row in "message", as that is asked for the other way, too.
 *
 * A sheet's id is mailbox << 32 | UID, of the message that it began with, or of one below its
 * first since that went.  All UIDs of a sheet are below those of the next.
 *
 *   sheet    = modseq date *message     ; which those of the messages are counted from
 *   message  = uid head [keywords] size date saved modseq
 *   head     = flags + 32 * which       ; keywords: 0 none, 1 they follow, 2 as the last one's
 *   keywords = length *OCTET
 *
 * uid is counted from the id's, saved from date.  A number has 7 bits in each octet, the lowest
 * first, and the eighth in all but its last; what may be below 0 is doubled, and counted from -1
 * down by odd numbers. */
#ifndef STORE_SQLITE_SHEET_H
#define STORE_SQLITE_SHEET_H

#include "model.h"

#define SHEET_ROWS	512	   /* messages, at most */
#define SHEET_MAILBOXES 0x7fffffff /* the highest id of one */

/* The first and the last id of a mailbox's sheets, between which they are. */
#define sheet_id(mailbox, uid) ((mailbox) << 32 | (int64_t)(uid))
#define sheet_end(mailbox)     sheet_id(mailbox, UINT32_MAX)

/* One that is read, message by message; the texts are borrowed from data. */
struct sheet_reader {
	const unsigned char *at, *end;
	int64_t uid, modseq, date;
	struct kurir_str keywords;
};
void sheet_begin(struct sheet_reader *, int64_t id, struct kurir_str data);
/* All of *ret but its e-mail: 1; 0 at the end; -EIO: it is damaged. */
int sheet_next(struct sheet_reader *, struct message_row *ret);

/* One that is changed. */
struct sheet {
	int64_t id;
	size_t count;
	struct message_row rows[SHEET_ROWS];
	struct kurir_buf data; /* has their texts */
};
/* The one with that UID, or else the next one; all of it behind the UID after.  1, 0: there is
 * none, -errno. */
int sheet_load(struct db *, int64_t mailbox, int64_t uid, int64_t after, struct sheet *);
/* With what its rows are now, in as many as they need; none when there are none. */
int sheet_save(struct db *, const struct sheet *);
void sheet_free(struct sheet *);
/* A message behind all others. */
int sheet_add(struct db *, int64_t mailbox, const struct message_row *);

#endif
