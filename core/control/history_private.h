/* history_private.h - what history.c and explain.c share. */
#ifndef CORE_HISTORY_PRIVATE_H
#define CORE_HISTORY_PRIVATE_H

#include "event.h"
#include "history.h"

#define HISTORY_FILES	 8 /* "events" and events.1 to .7 */
#define HISTORY_FILE_MAX (16u << 20)

struct history {
	int folder, fd;
	uint64_t size; /* of the file that is written */
};
extern struct history history;

void history_flush(void); /* so that the files have everything */
void history_line(const struct event *, struct kurir_buf *);

#endif
