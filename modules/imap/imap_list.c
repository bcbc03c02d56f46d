/* imap_list.c - LIST, LSUB and NAMESPACE (RFC 3501 sections 6.3.8, 6.3.9; RFC 2342; RFC 6154).
 *
 *   list = "LIST" SP mailbox SP list-mailbox ; "*" matches all, "%" all but the separator */

#include <errno.h>

#include "imap.h"

#define NAME_MAX_LEN 1024

/* The places of the name that the pattern so far can have come to, one bool each: the time is
 * that of both lengths multiplied, whatever the wildcards. */
static bool matches(struct kurir_str pattern, struct kurir_str name)
{
	bool at[NAME_MAX_LEN + 1] = { true };

	if (name.len > NAME_MAX_LEN)
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

/* reference and pattern joined, runs of wildcards made one; -EBADMSG when it has too many. */
static int join(struct imap_args *a, struct kurir_str *ret)
{
	struct kurir_buf raw = KURIR_BUF(1024), utf8 = KURIR_BUF(1024);
	struct kurir_str reference, pattern;
	unsigned wild = 0;
	int r;

	if (imap_mailbox(a, &reference) < 0 || !imap_space(a) ||
	    imap_nstring_or_list_mailbox(a, &pattern) < 0 || !imap_end(a))
		return -EBADMSG;
	for (size_t i = 0; i < pattern.len; i++) {
		bool star = pattern.ptr[i] == '*' || pattern.ptr[i] == '%';

		if (star && i > 0 && pattern.ptr[i] == pattern.ptr[i - 1])
			continue;
		wild += star;
		kurir_buf_add(&raw, kurir_str_part(pattern, i, 1));
	}
	r = kurir_buf_add(&utf8, reference);
	if (r >= 0)
		r = kurir_utf7_decode(&utf8, kurir_buf_str(&raw));
	*ret = kurir_copy(kurir_scratch(), kurir_buf_str(&utf8));
	kurir_buf_free(&raw);
	kurir_buf_free(&utf8);
	return r < 0 || wild > 8 ? -EBADMSG : 0;
}

static const struct {
	uint32_t flag;
	const char *name;
} special[] = {
	{ KURIR_MAILBOX_DRAFTS, " \\Drafts" },
	{ KURIR_MAILBOX_SENT, " \\Sent" },
	{ KURIR_MAILBOX_TRASH, " \\Trash" },
	{ KURIR_MAILBOX_JUNK, " \\Junk" },
	{ KURIR_MAILBOX_ARCHIVE, " \\Archive" },
};

KURIR_PARKS static void put(struct imap *s, const struct kurir_mailbox *m, const char *verb)
{
	kurir_printf(s->stream, "* %s (%s", verb,
	    m->flags & KURIR_MAILBOX_CHILDREN ? "\\HasChildren" : "\\HasNoChildren");
	if (m->flags & KURIR_MAILBOX_NOSELECT)
		imap_puts(s, " \\Noselect");
	for (size_t i = 0; i < sizeof(special) / sizeof(*special); i++)
		if (m->flags & special[i].flag)
			imap_puts(s, special[i].name);
	imap_puts(s, ") \"/\" ");
	imap_put_mailbox(s, m->name);
	imap_puts(s, "\r\n");
}

KURIR_PARKS static void list(struct imap *s, struct imap_args *a, bool subscribed)
{
	const char *verb = subscribed ? "LSUB" : "LIST";
	struct kurir_mailbox *all;
	struct kurir_str pattern;
	size_t count;
	int r;

	if (join(a, &pattern) < 0) {
		imap_bad(s, "%s takes a reference and a pattern", verb);
		return;
	}
	if (pattern.len == 0) {
		kurir_printf(s->stream, "* %s (\\Noselect) \"/\" \"\"\r\n", verb);
		imap_ok(s, "Done");
		return;
	}
	r = s->store->list(
	    s->store_self, s->account, 0, imap_until(s), kurir_scratch(), &all, &count);
	if (r < 0) {
		imap_failed(s, r);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (subscribed && !(all[i].flags & KURIR_MAILBOX_SUBSCRIBED))
			continue;
		if (matches(pattern, all[i].name) ||
		    (i == 0 && kurir_str_equal_nocase(pattern, KURIR_STR("INBOX"))))
			put(s, &all[i], verb);
	}
	imap_ok(s, "Done");
}

KURIR_PARKS void imap_list(struct imap *s, struct imap_args *a)
{
	list(s, a, false);
}

KURIR_PARKS void imap_lsub(struct imap *s, struct imap_args *a)
{
	list(s, a, true);
}

KURIR_PARKS void imap_namespace(struct imap *s, struct imap_args *a)
{
	(void)a;
	imap_puts(s, "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
	imap_ok(s, "Done");
}
