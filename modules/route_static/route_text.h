/* route_text.h - what an administrator writes as a route. */
#ifndef ROUTE_TEXT_H
#define ROUTE_TEXT_H

#include <kurir/queue.h>

struct route_text {
	struct kurir_str transport; /* "smtp", "lmtp" */
	struct kurir_str host; /* a name, or an IP address without brackets, or "unix:/path" */
	bool literal;	       /* host is an IP address or a path: nothing to look up */
	uint16_t port;
};
/* 0 or -EINVAL with *ret_error: what is wrong, as the end of a sentence. */
int route_text_parse(struct kurir_str, struct route_text *ret, const char **ret_error);
/* "192.0.2.1:25" "[2001:db8::1]:25" "unix:/path"; only when literal. */
struct kurir_str route_text_address(struct kurir_arena *, const struct route_text *);
/* "satu.example" is matched by "satu.example", a.b by ".b", all by "*". */
bool route_text_matches(struct kurir_str pattern, struct kurir_str domain);

#endif
