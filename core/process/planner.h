/* planner.h - the child that loads modules, so that the supervisor need not. */
#ifndef CORE_PLANNER_H
#define CORE_PLANNER_H

#include "loop.h"

/* What it said: done() gets the plan (status 0) or the complaints; both borrowed. */
typedef void planner_done_fn(int status, struct kurir_str plan, struct kurir_str complaints);
/* One at a time: -EBUSY. */
int planner_start(const char *file, planner_done_fn *);
bool planner_exited(pid_t, int status); /* whether it was the planner */

#endif
