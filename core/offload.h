/* offload.h - between the loop and the helper threads; everyone else uses kurir_offload(). */
#ifndef CORE_OFFLOAD_H
#define CORE_OFFLOAD_H

unsigned offload_pending(void); /* given to threads and not yet answered */
void offload_fini(void);	/* joins the threads; nothing may be pending */

#endif
