/* imap_qresync_parse.c - what a client that was away knows (RFC 7162 section 7).
 *
 *   select-param   =/ "QRESYNC" SP "(" uidvalidity SP mod-sequence-value [SP known-uids]
 *                     [SP seq-match-data] ")"
 *   known-uids     =  sequence-set                          ; without "*" and "$"
 *   seq-match-data =  "(" known-sequence-set SP known-uid-set ")"
 *
 * seq-match-data helps a server that has forgotten what went.  Here the store remembers, or all
 * UIDs are named that are not there, so that it is only parsed. */

#include <errno.h>

#include "imap_qresync.h"

static int known_set(struct imap_args *a, struct kurir_uid_set *ret)
{
	struct imap_set set;
	size_t n = 0;

	while (n < a->rest.len && a->rest.ptr[n] != ' ' && a->rest.ptr[n] != ')')
		if (a->rest.ptr[n++] == '*')
			return -EBADMSG;
	if (imap_set_parse(kurir_str_part(a->rest, 0, n), 0, kurir_scratch(), &set) < 0)
		return -EBADMSG;
	a->rest = kurir_str_part(a->rest, n, a->rest.len);
	*ret = (struct kurir_uid_set){ set.count, set.ranges };
	return 0;
}

static int match_data(struct imap_args *a)
{
	struct kurir_uid_set unused;

	if (known_set(a, &unused) < 0 || !imap_space(a) || known_set(a, &unused) < 0)
		return -EBADMSG;
	return imap_take(a, ')') ? 0 : -EBADMSG;
}

int imap_qresync_parse(struct imap_args *a, struct imap_qresync *q)
{
	bool matched = false;

	*q = (struct imap_qresync){ .given = true };
	if (!imap_space(a) || !imap_take(a, '(') || imap_number(a, &q->validity) < 0 ||
	    !imap_space(a) || imap_number64(a, &q->modseq) < 0 || q->validity == 0 ||
	    q->modseq == 0)
		return -EBADMSG;
	while (imap_space(a))
		if (matched)
			return -EBADMSG;
		else if (imap_take(a, '('))
			matched = match_data(a) == 0;
		else if (q->known.count > 0 || known_set(a, &q->known) < 0)
			return -EBADMSG;
	return imap_take(a, ')') ? 0 : -EBADMSG;
}
