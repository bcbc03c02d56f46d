/* supervisor.h - starts, watches, replaces and stops the role processes. */
#ifndef CORE_SUPERVISOR_H
#define CORE_SUPERVISOR_H

int supervisor_run(const char *file); /* the process's exit status */

#endif
