/* call.h - what the process itself asks of its calls. */
#ifndef CORE_CALL_H
#define CORE_CALL_H

#include <kurir/call.h>

unsigned call_busy(void);    /* handlers that run here now */
unsigned call_waiting(void); /* calls from here that wait for an answer */
void call_reset(void);	     /* forgets book and endpoints: tests */

#endif
