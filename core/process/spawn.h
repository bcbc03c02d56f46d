/* spawn.h - new processes of this same program. */
#ifndef CORE_SPAWN_H
#define CORE_SPAWN_H

#include "loop.h"

struct spawn {
	const char *const *args; /* after the program's name; ends with NULL */
	const int *fds;		 /* become 3, 4, ... in the child */
	unsigned fd_count;
	int out, err;		/* become 1 and 2; -1: as here */
	bool whole_environment; /* else only what no secret can be in */
};
/* 0 or -errno. */
int spawn_self(const struct spawn *, pid_t *ret_pid);
/* A memory file that holds text and can no longer be changed. */
int spawn_memory(struct kurir_str text, int *ret_fd);
/* Signals for this process come by a descriptor of the loop. */
int spawn_signals(struct loop_fd *);

#endif
