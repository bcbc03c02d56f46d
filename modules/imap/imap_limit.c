/* imap_limit.c - at most so many messages a command (MESSAGELIMIT, RFC 9738).
 *
 *   response-code =/ "MESSAGELIMIT" SP number [SP nz-number]     ; the limit, the lowest UID done
 *
 * The newest messages are served first: a client asks again for what lies below. */

#include <errno.h>

#include "imap.h"

int imap_limit(struct imap *s, struct kurir_uid_set *set, uint32_t *ret_lowest)
{
	size_t max = (size_t)s->conf->messages_max, n = 0, i = s->box.count;
	struct kurir_uid_range *ranges;
	size_t count = 0;

	*ret_lowest = 0;
	if (max == 0)
		return 0;
	while (i > 0 && n <= max)
		n += kurir_uid_set_has(set, imap_box_uid(&s->box, --i));
	if (n <= max)
		return 0;
	/* The message at i is the first that is too much. */
	ranges = kurir_alloc(kurir_scratch(), (max + 1) * sizeof(*ranges));
	for (i = imap_box_next(&s->box, set, i + 1); i < s->box.count;
	     i = imap_box_next(&s->box, set, i + 1))
		imap_set_add(ranges, &count, imap_box_uid(&s->box, i));
	*set = (struct kurir_uid_set){ count, ranges };
	*ret_lowest = ranges[0].first;
	return 1;
}

KURIR_PARKS int imap_limited_ok(struct imap *s, uint32_t lowest)
{
	if (lowest == 0)
		return imap_ok(s, "Done");
	return imap_ok(
	    s, "[MESSAGELIMIT %lld %u] Done in part", (long long)s->conf->messages_max, lowest);
}
