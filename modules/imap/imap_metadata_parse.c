/* imap_metadata_parse.c - what GETMETADATA and SETMETADATA are asked for (RFC 5464 section 5).
 *
 *   getmetadata        = "GETMETADATA" [SP getmetadata-options] SP mailbox SP entries
 *   getmetadata-options= "(" getmetadata-option *(SP getmetadata-option) ")"
 *   getmetadata-option = "DEPTH" SP ("0" / "1" / "infinity") / "MAXSIZE" SP number
 *   entries            = entry-name / "(" entry-name *(SP entry-name) ")"
 *   setmetadata        = "SETMETADATA" SP mailbox SP
 *                        "(" entry-name SP value *(SP entry-name SP value) ")"
 *   value              = nstring / literal8
 *   entry-name         = astring     ; "/private" or "/shared", and components behind slashes */

#include <errno.h>

#include "imap_metadata.h"

/* Small letters, as case does not matter. */
static int entry_name(struct imap_args *a, struct kurir_str *ret)
{
	struct kurir_str name;

	if (imap_astring(a, &name) < 0 || name.len < 8 || name.len > 1024 ||
	    name.ptr[name.len - 1] == '/')
		return -EBADMSG;
	name = kurir_lower(kurir_scratch(), name);
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.ptr[i] <= 32 || (unsigned char)name.ptr[i] >= 127 ||
		    name.ptr[i] == '*' || name.ptr[i] == '%' ||
		    (name.ptr[i] == '/' && name.ptr[i + 1] == '/'))
			return -EBADMSG;
	*ret = name;
	return kurir_str_starts(name, KURIR_STR("/private/")) ||
		kurir_str_starts(name, KURIR_STR("/shared/"))
	    ? 0
	    : -EBADMSG;
}

int imap_entries_parse(struct imap_args *a, struct imap_getmetadata *g)
{
	if (!imap_take(a, '(')) {
		g->count = 1;
		return entry_name(a, &g->names[0]);
	}
	do {
		if (g->count == IMAP_ENTRIES_MAX)
			return -E2BIG;
		if (entry_name(a, &g->names[g->count++]) < 0)
			return -EBADMSG;
	} while (imap_space(a));
	return imap_take(a, ')') ? 0 : -EBADMSG;
}

static int options(struct imap_args *a, struct imap_getmetadata *g)
{
	do {
		if (imap_take_word(a, "MAXSIZE")) {
			if (!imap_space(a) || imap_number(a, &g->max) < 0)
				return -EBADMSG;
			continue;
		}
		if (!imap_take_word(a, "DEPTH") || !imap_space(a))
			return -EBADMSG;
		if (imap_take_word(a, "1"))
			g->depth = IMAP_DEPTH_1;
		else if (imap_take_word(a, "infinity"))
			g->depth = IMAP_DEPTH_INFINITY;
		else if (!imap_take_word(a, "0"))
			return -EBADMSG;
	} while (imap_space(a));
	return imap_take(a, ')') && imap_space(a) ? 0 : -EBADMSG;
}

int imap_getmetadata_parse(struct imap_args *a, struct imap_getmetadata *g)
{
	int r;

	*g = (struct imap_getmetadata){ .max = UINT64_MAX };
	if ((imap_take(a, '(') && options(a, g) < 0) || imap_mailbox(a, &g->mailbox) < 0 ||
	    !imap_space(a))
		return -EBADMSG;
	r = imap_entries_parse(a, g);
	return r < 0 ? r : imap_end(a) ? 0 : -EBADMSG;
}

static int value(struct imap_args *a, struct kurir_str *ret)
{
	*ret = (struct kurir_str){ NULL, 0 };
	if (imap_take_word(a, "NIL"))
		return 0;
	(void)imap_take(a, '~'); /* what has a NUL is refused as any literal is */
	return imap_string_arg(a, ret);
}

int imap_setmetadata_parse(struct imap_args *a, struct imap_setmetadata *q)
{
	*q = (struct imap_setmetadata){ .count = 0 };
	if (imap_mailbox(a, &q->mailbox) < 0 || !imap_space(a) || !imap_take(a, '('))
		return -EBADMSG;
	do {
		struct kurir_entry *e = &q->entries[q->count];

		if (q->count++ == IMAP_ENTRIES_MAX)
			return -E2BIG;
		if (entry_name(a, &e->name) < 0 || !imap_space(a) || value(a, &e->value) < 0)
			return -EBADMSG;
	} while (imap_space(a));
	return imap_take(a, ')') && imap_end(a) ? 0 : -EBADMSG;
}
