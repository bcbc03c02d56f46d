/* history_private.h - how the history lies on the disk, for history.c and explain.c.
 *
 * Segments "events.N" of some MiB, the highest N is being written: lines of JSON.  Beside each
 * that is full lies "index.N": where which id, connection, address or peer stands.  An index that
 * is missing, damaged or older than its segment is made again, in memory when somebody asks
 * before that.  Everything here blocks, and runs in helper threads. */
#ifndef CORE_HISTORY_PRIVATE_H
#define CORE_HISTORY_PRIVATE_H

#include "event.h"
#include "history.h"

#define HISTORY_SEGMENT (16u << 20)
#define HISTORY_NAME	32

void history_name(char name[HISTORY_NAME], const char *what, uint64_t number);
/* The numbers of the segments, ascending; freed by the caller.  How many. */
size_t history_segments(int folder, uint64_t **ret);

/* A key of a line: what stands in one of some members, each of a list of recipients for itself.
 * As it stands there (escaped); letters count as small ones. */
typedef bool history_key_fn(void *arg, struct kurir_str key); /* false: no more of them */
void history_keys(struct kurir_str line, history_key_fn *, void *arg);
uint64_t history_hash(struct kurir_str key);
int64_t history_time(struct kurir_str line);				       /* or 0 */
struct kurir_str history_member(struct kurir_str line, struct kurir_str name); /* or empty */

struct history_index {
	int fd; /* of the file, or -1: */
	uint64_t *owned;
	size_t count;
	uint64_t text; /* bytes of the segment that it knows */
	int64_t first, last;
};
/* Of segment fd; made in memory when the file is no good.  0 or -errno. */
int history_index_open(int folder, uint64_t number, int fd, struct history_index *ret);
void history_index_close(struct history_index *);
/* Where a key may stand: places in the segment, ascending, the newest when they are too many. */
size_t history_index_find(
    const struct history_index *, uint64_t hash, uint32_t *ret_places, size_t max);

/* Makes the indexes that are missing of segments below the number, and removes the oldest beyond
 * size bytes or age ms.  0 or the last -errno. */
struct history_care {
	int folder;
	uint64_t below, size;
	kurir_time age;
	uint64_t bytes, segments; /* what is left */
};
int history_care(void *care);

void history_flush(void); /* so that the files have everything */
int history_folder(void); /* or -1 */
void history_line(const struct event *, struct kurir_buf *);

/* history_find.c: the lines of a story. */
#define HISTORY_EVENTS_MAX 2000u
struct history_place {
	uint64_t number;
	uint64_t offset;
	struct kurir_str line; /* without its end */
};
struct history_search {
	int folder;
	struct kurir_arena *arena;    /* of the search alone */
	struct kurir_str what;	      /* escaped, without quotes; empty: all of that time */
	int64_t since, until;	      /* ms since 1970; all: 0, INT64_MAX */
	struct history_place *places; /* ascending */
	size_t count;
	bool more; /* older ones are left out */
};
int history_search(void *search); /* 0, or -errno */

#endif
