/* call.h - what the process itself asks of its calls. */
#ifndef CORE_CALL_H
#define CORE_CALL_H

#include <kurir/call.h>

unsigned call_busy(void);    /* handlers that run here now */
unsigned call_waiting(void); /* calls from here that wait for an answer */
/* While true, calls and posts for instances that have not started wait for it. */
void call_hold(bool);
/* The instances end: what still runs here for others ends first, and nothing more comes in. */
void call_stop(void) KURIR_PARKS;
/* As kurir_post(), for what may reach the other process some milliseconds later. */
int call_post_late(const struct kurir_request *);
void call_reset(void); /* forgets book and endpoints: tests */

#endif
