/* limits_role.h - the module's two halves: hooks in the edge, the file's owner in control. */
#ifndef LIMITS_ROLE_H
#define LIMITS_ROLE_H

#include "limits.h"

struct limits_conf {
	struct kurir_map rates, exceptions;
	struct kurir_texts exempt;
	bool hold;
	int action;
	int64_t mask4, mask6;
};
struct limits { /* state of an instance */
	struct kurir_networks exempt;
	struct limits_rates rates;
	struct limits_rates *exceptions; /* beside those of conf */
	/* control: */
	struct limits_store store;
	struct batch batch;
};

int limits_role_start(struct kurir_self *) KURIR_PARKS;
void limits_role_stop(struct kurir_self *) KURIR_PARKS;
/* Endpoints: "limits" and "ctl.limits". */
int limits_asked(struct kurir_self *, const struct kurir_incoming *, struct kurir_buf *reply)
    KURIR_PARKS;
int limits_command(struct kurir_self *, const struct kurir_incoming *, struct kurir_buf *reply)
    KURIR_PARKS;

#endif
