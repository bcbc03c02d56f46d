/* metrics.h - all figures of the server as Prometheus reads them (text format 0.0.4). */
#ifndef CORE_METRICS_H
#define CORE_METRICS_H

#include <kurir/call.h>

/* The endpoint "metrics": the reply is the text.  However often it is asked, the processes are
 * asked once a second. */
int metrics_called(const struct kurir_incoming *, struct kurir_buf *reply) KURIR_PARKS;

#endif
