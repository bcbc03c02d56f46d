/* imap_box.h - the snapshot of a selected mailbox: which UID each message number stands for.
 *
 * That is all a session keeps while it waits: runs of UIDs, 12 bytes each.  What the store knows
 * of messages - flags, sizes, dates - is kept of those that were asked for (imap_need) and of
 * those that came meanwhile; a session that waits lets go of it. */
#ifndef IMAP_BOX_H
#define IMAP_BOX_H

#include <kurir/store.h>

/* In a kurir_message of a box: it changed after what the client was told of the mailbox. */
#define IMAP_MESSAGE_UNTOLD (1u << 31)

struct imap_uids { /* a set that grows at its end */
	struct kurir_uid_range *ranges;
	size_t count, room;
};
struct imap_box {
	struct kurir_arena *arena;
	size_t waste,
	    kept; /* bytes of the arena that nobody needs any more, that somebody does */
	struct kurir_str name, id;
	size_t count; /* messages, also those that went and whose removal is not told yet */
	struct imap_uids uids;
	uint32_t *before;	     /* for each range of uids: messages in front of it */
	struct kurir_uid_set gone;   /* of uids: removals that are not told yet */
	struct kurir_uid_set recent; /* the client is the first to see them */
	struct kurir_message *known; /* of some of uids, by UID */
	size_t known_count, known_room;
};

void imap_box_begin(struct imap_box *, struct kurir_str name, struct kurir_str id);
void imap_box_end(struct imap_box *);
/* All messages, by UID, into one that has none. */
void imap_box_fill(struct imap_box *, const struct kurir_message *all, size_t count);
/* The same without what is known of them; RECENT are those from that UID on (0: none). */
void imap_box_outline(struct imap_box *, const struct kurir_uid_set *all, uint32_t recent);
/* Gives back what nobody needs, and what is known of messages if it is not to be kept. */
void imap_box_pack(struct imap_box *, bool keep_known);
/* The same, if enough of it has come together. */
void imap_box_tidy(struct imap_box *);

uint32_t imap_box_uid(const struct imap_box *, size_t index);
/* UIDs without a gap from that index on, of at most so many messages. */
struct kurir_uid_range imap_box_run(const struct imap_box *, size_t index, size_t most);
size_t imap_box_index(const struct imap_box *, uint32_t uid); /* count: not there */
/* The first index from that one on whose UID is in the set; count: there is none. */
size_t imap_box_next(const struct imap_box *, const struct kurir_uid_set *, size_t from);

/* A new one; its UID is above all others. */
void imap_box_add(struct imap_box *, const struct kurir_message *);
/* New ones of which nothing is known yet, and which nobody else has seen. */
void imap_box_came(struct imap_box *, struct kurir_uid_range);
/* They went: to be told later, and at last taken out. */
void imap_box_gone(struct imap_box *, const struct kurir_uid_set *);
void imap_box_remove_gone(struct imap_box *);

/* What is known of a message; NULL: nothing. */
struct kurir_message *imap_box_known(const struct imap_box *, uint32_t uid);
/* Becomes known, or known anew, with its texts copied. */
void imap_box_learn(struct imap_box *, const struct kurir_message *all, size_t count);
void imap_box_set_keywords(struct imap_box *, struct kurir_message *, struct kurir_str);

enum imap_set_of { IMAP_IN_EITHER, IMAP_IN_BOTH, IMAP_IN_FIRST_ONLY };
struct kurir_uid_set imap_uids_combine(struct kurir_arena *, const struct kurir_uid_set *,
    const struct kurir_uid_set *, enum imap_set_of);
struct kurir_uid_set imap_uids_of(
    struct kurir_arena *, const struct kurir_message *all, size_t count);
static inline struct kurir_uid_set imap_box_all(const struct imap_box *b)
{
	return (struct kurir_uid_set){ b->uids.count, b->uids.ranges };
}

#endif
