/* imap_list_parse.c - what LIST is asked for (RFC 9051 section 6.3.9; RFC 5258, 5819, 6154).
 *
 *   list             = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat
 *                      [SP "RETURN" SP "(" [return-option *(SP return-option)] ")"]
 *   list-select-opts = "(" [list-select-opt *(SP list-select-opt)] ")"
 *   list-select-opt  = "SUBSCRIBED" / "REMOTE" / "RECURSIVEMATCH" / "SPECIAL-USE"
 *   mbox-or-pat      = list-mailbox / "(" list-mailbox *(SP list-mailbox) ")"
 *   return-option    = "SUBSCRIBED" / "CHILDREN" / "SPECIAL-USE" /
 *                      "STATUS" SP "(" status-att *(SP status-att) ")" /
 *                      "METADATA" SP "(" entry-name *(SP entry-name) ")" / ; RFC 9590
 *                      "MYRIGHTS"                                          ; RFC 8440
 *
 * In a pattern "*" matches all, "%" all but the separator. */

#include <errno.h>

#include "imap_list.h"

#define WILD_MAX 8

/* reference and pattern joined, runs of wildcards made one; -EBADMSG when it has too many. */
static int join(
    struct kurir_str reference, struct kurir_str pattern, bool utf8, struct kurir_str *ret)
{
	struct kurir_buf raw = KURIR_BUF(IMAP_NAME_MAX), name = KURIR_BUF(2 * IMAP_NAME_MAX);
	unsigned wild = 0;
	int r = 0;

	for (size_t i = 0; i < pattern.len && r >= 0; i++) {
		bool star = pattern.ptr[i] == '*' || pattern.ptr[i] == '%';

		if (star && i > 0 && pattern.ptr[i] == pattern.ptr[i - 1])
			continue;
		wild += star;
		r = kurir_buf_add(&raw, kurir_str_part(pattern, i, 1));
	}
	if (r >= 0)
		r = kurir_buf_add(&name, reference);
	if (r >= 0 && utf8)
		r = kurir_buf_add(&name, kurir_buf_str(&raw));
	else if (r >= 0 && kurir_utf7_decode(&name, kurir_buf_str(&raw)) < 0)
		kurir_buf_add(&name, IMAP_NO_NAME);
	*ret = kurir_copy(kurir_scratch(), kurir_buf_str(&name));
	kurir_buf_free(&raw);
	kurir_buf_free(&name);
	return r < 0 || wild > WILD_MAX ? -EBADMSG : 0;
}

static int one_pattern(struct imap_args *a, struct kurir_str reference, struct imap_list *l)
{
	struct kurir_str pattern;

	if (l->count == IMAP_PATTERNS_MAX || imap_list_mailbox(a, &pattern) < 0)
		return -EBADMSG;
	/* An empty pattern asks for the separator, whatever the reference is. */
	if (pattern.len == 0)
		reference = pattern;
	return join(reference, pattern, a->utf8, &l->patterns[l->count++]);
}

static int patterns(struct imap_args *a, struct kurir_str reference, struct imap_list *l)
{
	if (!imap_take(a, '('))
		return one_pattern(a, reference, l);
	l->options |= IMAP_LIST_EXTENDED;
	do
		if (one_pattern(a, reference, l) < 0)
			return -EBADMSG;
	while (imap_space(a));
	return imap_take(a, ')') ? 0 : -EBADMSG;
}

static int select_options(struct imap_args *a, struct imap_list *l)
{
	l->options |= IMAP_LIST_EXTENDED;
	while (!imap_take(a, ')')) {
		if (imap_take_word(a, "SUBSCRIBED"))
			l->options |= IMAP_LIST_SUBSCRIBED | IMAP_LIST_SAY_SUBSCRIBED;
		else if (imap_take_word(a, "SPECIAL-USE"))
			l->options |= IMAP_LIST_SPECIAL;
		else if (imap_take_word(a, "RECURSIVEMATCH"))
			l->options |= IMAP_LIST_RECURSIVE;
		else if (!imap_take_word(a, "REMOTE"))
			return -EBADMSG;
		if (!imap_space(a) && !imap_next_is(a, ')'))
			return -EBADMSG;
	}
	/* RECURSIVEMATCH says how others are meant: it cannot stand alone. */
	return (l->options & IMAP_LIST_RECURSIVE) &&
		!(l->options & (IMAP_LIST_SUBSCRIBED | IMAP_LIST_SPECIAL))
	    ? -EBADMSG
	    : 0;
}

static int return_options(struct imap_args *a, struct imap_list *l)
{
	l->options |= IMAP_LIST_EXTENDED;
	if (!imap_take_word(a, "RETURN") || !imap_space(a) || !imap_take(a, '('))
		return -EBADMSG;
	while (!imap_take(a, ')')) {
		if (imap_take_word(a, "SUBSCRIBED")) {
			l->options |= IMAP_LIST_SAY_SUBSCRIBED;
		} else if (imap_take_word(a, "STATUS")) {
			l->options |= IMAP_LIST_SAY_STATUS;
			if (!imap_space(a) || imap_status_items(a, &l->status) < 0)
				return -EBADMSG;
		} else if (imap_take_word(a, "MYRIGHTS")) {
			l->options |= IMAP_LIST_SAY_RIGHTS;
		} else if (imap_take_word(a, "METADATA")) {
			l->metadata = kurir_alloc(kurir_scratch(), sizeof(*l->metadata));
			l->metadata->max = UINT64_MAX;
			if (!imap_space(a) || imap_entries_parse(a, l->metadata) < 0)
				return -EBADMSG;
		} else if (!imap_take_word(a, "CHILDREN") && !imap_take_word(a, "SPECIAL-USE")) {
			return -EBADMSG;
		}
		if (!imap_space(a) && !imap_next_is(a, ')'))
			return -EBADMSG;
	}
	return 0;
}

int imap_list_parse(struct imap_args *a, struct imap_list *l)
{
	struct kurir_str reference;

	*l = (struct imap_list){ .count = 0 };
	if (imap_take(a, '(') && (select_options(a, l) < 0 || !imap_space(a)))
		return -EBADMSG;
	if (imap_mailbox(a, &reference) < 0 || !imap_space(a) || patterns(a, reference, l) < 0)
		return -EBADMSG;
	if (imap_space(a) && return_options(a, l) < 0)
		return -EBADMSG;
	return imap_end(a) ? 0 : -EBADMSG;
}

int imap_lsub_parse(struct imap_args *a, struct imap_list *l)
{
	struct kurir_str reference;

	*l = (struct imap_list){ .count = 0 };
	if (imap_mailbox(a, &reference) < 0 || !imap_space(a) || one_pattern(a, reference, l) < 0)
		return -EBADMSG;
	return imap_end(a) ? 0 : -EBADMSG;
}

/* The places of the name that the pattern so far can have come to, one bool each: the time is
 * that of both lengths multiplied, whatever the wildcards. */
static bool matches(struct kurir_str pattern, struct kurir_str name)
{
	bool at[IMAP_NAME_MAX + 1] = { true };

	if (name.len > IMAP_NAME_MAX)
		return false;
	for (size_t i = 0; i < pattern.len; i++) {
		char c = pattern.ptr[i];

		if (c == '*' || c == '%') {
			for (size_t j = 0; j < name.len; j++)
				if (at[j] && (c == '*' || name.ptr[j] != '/'))
					at[j + 1] = true;
			continue;
		}
		for (size_t j = name.len; j > 0; j--)
			at[j] = at[j - 1] && name.ptr[j - 1] == c;
		at[0] = false;
	}
	return at[name.len];
}

bool imap_list_matches(const struct imap_list *l, struct kurir_str name)
{
	bool inbox = kurir_str_equal(name, KURIR_STR("INBOX"));

	for (size_t i = 0; i < l->count; i++)
		if (matches(l->patterns[i], name) ||
		    (inbox && kurir_str_equal_nocase(l->patterns[i], name)))
			return true;
	return false;
}
