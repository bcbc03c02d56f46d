/* event.h - what happened, as fields: one log line, and one post to the endpoint "event". */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include <kurir/call.h>

#define EVENT_FIELDS_MAX 32
#define EVENT_VALUE_MAX	 512 /* longer values are cut */

/* The body of a post to the endpoint "event" (control role), unpacked. */
struct event {
	enum kurir_level level;
	int64_t time; /* kurir_wallclock() */
	struct kurir_str role, instance, session, name;
	size_t count;
	struct {
		struct kurir_str name, value;
	} fields[EVENT_FIELDS_MAX];
};
/* Texts are borrowed from body.  0 or -EBADMSG. */
int event_unpack(struct kurir_str body, struct event *ret);

#endif
