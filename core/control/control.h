/* control.h - the admin socket: one JSON request a line, one JSON answer a line. */
#ifndef CORE_CONTROL_H
#define CORE_CONTROL_H

#include <jansson.h>
#include <kurir/call.h>

void control_serve(void);	     /* registers the core's "ctl." endpoints: in every process */
int control_start(void) KURIR_PARKS; /* the control role: opens run/control */
void control_stop(void) KURIR_PARKS;

/* A request line: 0 with command and body (its arguments, for a ctl. endpoint) in arena, or
 * -EINVAL with a sentence. */
struct control_request {
	struct kurir_str command; /* "queue" */
	struct kurir_str body;	  /* {"args":["list"]} */
};
int control_parse(struct kurir_arena *, struct kurir_str line, struct control_request *ret,
    struct kurir_str *ret_error);

/* What another process said, or NULL: jansson recurses, and a fiber's stack is small, so what
 * is nested deeper than anything of ours is not read.  New reference. */
json_t *control_json(struct kurir_str);

#endif
