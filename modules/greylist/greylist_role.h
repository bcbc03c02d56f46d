/* greylist_role.h - the module's two halves: hooks in the edge, the file's owner in control. */
#ifndef GREYLIST_ROLE_H
#define GREYLIST_ROLE_H

#include <kurir/network.h>

#include "greylist.h"

struct greylist_conf {
	kurir_time delay, window, keep;
	int64_t allow, entries, mask4, mask6;
	struct kurir_texts exempt, exempt_senders, exempt_recipients;
};

struct greylist { /* state of an instance */
	struct kurir_networks exempt;
	/* control: */
	struct greylist_store store;
	struct batch batch;
};

int greylist_role_start(struct kurir_self *) KURIR_PARKS;
void greylist_role_stop(struct kurir_self *) KURIR_PARKS;
/* Endpoints: "greylist" and "ctl.greylist". */
int greylist_asked(struct kurir_self *, const struct kurir_incoming *, struct kurir_buf *reply)
    KURIR_PARKS;
int greylist_command(struct kurir_self *, const struct kurir_incoming *, struct kurir_buf *reply)
    KURIR_PARKS;

#endif
