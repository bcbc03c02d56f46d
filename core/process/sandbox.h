/* sandbox.h - what a role process may do from here on. */
#ifndef CORE_SANDBOX_H
#define CORE_SANDBOX_H

#include "plan.h"

/* Becomes the role's user, gives up new privileges, and lets the kernel refuse what the role does
 * not need.  Before any module's start().  0 or -errno, logged in one sentence. */
int sandbox_enter(const struct plan *, uint32_t roles);

/* The user of a role: 0 with its numbers; -ENOENT: none is configured; -EINVAL: there is no
 * such user. */
int sandbox_user(const struct conf *, uint32_t role, unsigned *ret_uid, unsigned *ret_gid);

#endif
