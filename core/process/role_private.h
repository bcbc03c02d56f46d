/* role_private.h - what role.c and role_control.c share. */
#ifndef CORE_ROLE_PRIVATE_H
#define CORE_ROLE_PRIVATE_H

#include "role.h"

/* How far this process was told to go; only grows. */
enum role_order { ROLE_LOAD, ROLE_GO, ROLE_SERVE, ROLE_DRAIN, ROLE_STOP };

struct role {
	struct plan *plan;
	struct kurir_arena *arena;
	struct kurir_signal *ordered;
	enum role_order order;
	kurir_time since, drain_until;
	bool single;
	int status;
};
extern struct role role;

void role_order(enum role_order, kurir_time drain_until);
int role_live(void);
int role_apply(struct kurir_str text, uint32_t roles);

/* role_control.c */
int role_control_begin(void);
void role_say_ready(void);
void role_say_failed(struct kurir_str why);

#endif
