/* metrics.h - a request for the figures, as it comes over HTTP. */
#ifndef MODULE_METRICS_H
#define MODULE_METRICS_H

#include <kurir/module.h>

#define METRICS_LINE_MAX  8192
#define METRICS_LINES_MAX 100

struct metrics_request {
	struct kurir_str method, path; /* borrowed; path without its query */
	bool host_needed;	       /* HTTP/1.1 */
};

/* A line without its end.  0; -EPROTO: no HTTP/1; -EINVAL: no request. */
int metrics_request(struct kurir_str line, struct metrics_request *ret);
/* Is it a field of that name?  -EINVAL: it is no field at all. */
int metrics_field(struct kurir_str line, struct kurir_str name);

#endif
