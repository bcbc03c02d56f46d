/* role.h - one process that plays a role (or, with --single, all of them). */
#ifndef CORE_ROLE_H
#define CORE_ROLE_H

#include "plan.h"

/* What the supervisor left open in a role process. */
#define ROLE_FD_CONTROL 3
#define ROLE_FD_PLAN	4
#define ROLE_FD_LOCK	5 /* of the state folder; released when the last of them has ended */
#define ROLE_FD_LISTEN	6 /* and on: the edge's, in the order of the plan */

/* The queue and the mailboxes have one owner at a time. */
#define ROLE_EXCLUSIVE (KURIR_ROLE_QUEUE | KURIR_ROLE_STORE)

int role_run(uint32_t role, unsigned index); /* the process's exit status */
int role_run_single(const char *file);

/* Makes the folders of a plan; as root they get their owners. 0 or -errno, and says what is
 * wrong. */
int role_make_folders(const struct plan *);

/* One server for a state folder: waits for nobody.  0; -EBUSY: another server is there, or what
 * an earlier one has left running. */
int role_lock_state(const struct plan *, int *ret_fd);

/* Sets what kurir_roles() and kurir_role_index() say: also for tests. */
void role_set(uint32_t roles, unsigned index);

/* For control.c: "status", "reload" or "stop" to whoever watches over this process; the answer
 * is JSON. */
int role_command(struct kurir_str command, kurir_time, struct kurir_arena *,
    struct kurir_str *ret) KURIR_PARKS;
/* {"modules": [...]}: the instances, without their options. */
void role_show_modules(const struct plan *, struct kurir_buf *);
/* The plan of this process. */
const struct plan *role_plan(void);

#endif
