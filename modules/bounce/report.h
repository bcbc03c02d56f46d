/* report.h - the text of a notification (RFC 3464 in the form of RFC 6522). */
#ifndef REPORT_H
#define REPORT_H

#include <kurir/queue.h>

struct report_facts {
	struct kurir_str hostname, boundary, message_id;
	struct kurir_str language;	       /* reserved: empty */
	int64_t now;			       /* kurir_wallclock() */
	const struct kurir_envelope *envelope; /* of the message it is about */
	const struct kurir_bounce_rcpt *rcpts;
	size_t count;
};
enum report_content { REPORT_HEADERS, REPORT_FULL };

/* So much a buffer for it must take. */
#define REPORT_MAX ((size_t)4 << 20)
/* Everything up to the first byte of the returned message, and everything after its last.
 * 0 or -EMSGSIZE. */
int report_begin(struct kurir_buf *, const struct report_facts *, enum report_content);
int report_end(struct kurir_buf *, const struct report_facts *);
/* "Sat, 21 Nov 2026 10:00:00 +0000" */
void report_date(char to[40], int64_t wallclock);
/* RFC 3461 section 4: xtext to text; what is no xtext stays as it is. */
struct kurir_str report_xtext(struct kurir_arena *, struct kurir_str);

#endif
