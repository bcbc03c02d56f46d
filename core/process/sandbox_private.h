/* sandbox_private.h - the two locks of sandbox.c. */
#ifndef CORE_SANDBOX_PRIVATE_H
#define CORE_SANDBOX_PRIVATE_H

#include "plan.h"

/* Roles that may open sockets to the network. */
#define SANDBOX_NETWORK (KURIR_ROLE_RESOLVER | KURIR_ROLE_RELAY)

/* Files and TCP (Landlock).  0, -ENOSYS: not in this kernel; -errno. */
int landlock_enter(const struct plan *, uint32_t role);
/* System calls (seccomp). */
int seccomp_enter(uint32_t role);

#endif
