/* tool_imap_parse.c - what responses of an IMAP server say (RFC 9051 section 9, RFC 3501).
 *
 *   value     = atom / quoted / literal / "(" [value *(SP value)] ")"
 *   quoted    = DQUOTE *(TEXT-CHAR / "\" CHAR) DQUOTE
 *   literal   = "{" number "}" CRLF *OCTET
 *   fetch     = number SP "FETCH" SP "(" [item SP value *(SP item SP value)] ")"
 *   list      = ("LIST" / "LSUB") SP "(" [flag *(SP flag)] ")" SP (quoted / "NIL") SP value
 *   namespace = "NAMESPACE" 3(SP ("NIL" / "(" 1*("(" value SP value *(SP value) ")") ")"))
 *
 * A response is whole in memory; what is left of it is in *in.  Values within values are looked
 * at by a loop, not by calls. */
#include "tool_imap.h"

#include "model.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static bool take(struct kurir_str *in, char c)
{
	if (in->len == 0 || in->ptr[0] != c)
		return false;
	*in = kurir_str_part(*in, 1, in->len);
	return true;
}

/* Up to a space or a parenthesis; what stands in brackets is one. */
static struct kurir_str word(struct kurir_str *in)
{
	size_t n = 0;
	bool inside = false;
	while (n < in->len &&
	    (inside || strchr(" ()\"", in->ptr[n]) == NULL || in->ptr[n] == '\0')) {
		inside = in->ptr[n] == '[' || (inside && in->ptr[n] != ']');
		n++;
	}
	struct kurir_str s = kurir_str_part(*in, 0, n);
	*in = kurir_str_part(*in, n, in->len);
	return s;
}

static int quoted(struct kurir_str *in, struct kurir_arena *arena, struct kurir_str *ret)
{
	size_t end = 1, n = 0;
	while (end < in->len && in->ptr[end] != '"')
		end += in->ptr[end] == '\\' ? 2 : 1;
	if (end >= in->len)
		return -EPROTO;
	char *to = kurir_alloc(arena, end);
	for (size_t i = 1; i < end; i++) {
		i += in->ptr[i] == '\\';
		to[n++] = in->ptr[i];
	}
	*in = kurir_str_part(*in, end + 1, in->len);
	*ret = (struct kurir_str){ to, n };
	return 0;
}

static int literal(struct kurir_str *in, struct kurir_str *ret)
{
	ssize_t end = kurir_str_find(*in, '}');
	uint64_t n;
	if (end < 0 ||
	    kurir_str_number(kurir_str_part(*in, 1, (size_t)end - 1), in->len, &n) < 0 ||
	    (size_t)end + 3 + n > in->len)
		return -EPROTO;
	*ret = kurir_str_part(*in, (size_t)end + 3, (size_t)n);
	*in = kurir_str_part(*in, (size_t)end + 3 + (size_t)n, in->len);
	return 0;
}

/* One that has no values within; ptr is NULL for NIL. */
static int text(struct kurir_str *in, struct kurir_arena *arena, struct kurir_str *ret)
{
	if (in->len > 0 && in->ptr[0] == '"')
		return quoted(in, arena, ret);
	if (in->len > 0 && in->ptr[0] == '{')
		return literal(in, ret);
	*ret = word(in);
	if (ret->len == 0)
		return -EPROTO;
	if (kurir_str_equal_nocase(*ret, KURIR_STR("NIL")))
		*ret = (struct kurir_str){ NULL, 0 };
	return 0;
}

static int skip(struct kurir_str *in, struct kurir_arena *arena)
{
	size_t depth = 0;
	struct kurir_str s;
	do {
		if (take(in, '('))
			depth++;
		else if (depth > 0 && take(in, ')'))
			depth--;
		else if (depth > 0 && take(in, ' '))
			continue;
		else if (text(in, arena, &s) < 0)
			return -EPROTO;
	} while (depth > 0);
	return 0;
}

static bool expect(struct kurir_str *in, const char *what)
{
	struct kurir_str s = kurir_str_of(what);
	if (!kurir_str_starts_nocase(*in, s))
		return false;
	*in = kurir_str_part(*in, s.len, in->len);
	return true;
}

static bool number(struct kurir_str s, uint64_t *ret)
{
	return kurir_str_number(s, UINT64_MAX >> 1, ret) == 0;
}

static int flags(struct kurir_str *in, struct kurir_arena *arena, struct imap_message *m)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} known[] = { { "\\Seen", KURIR_MESSAGE_SEEN }, { "\\Answered", KURIR_MESSAGE_ANSWERED },
		{ "\\Flagged", KURIR_MESSAGE_FLAGGED }, { "\\Deleted", KURIR_MESSAGE_DELETED },
		{ "\\Draft", KURIR_MESSAGE_DRAFT } };
	ssize_t end = kurir_str_find(*in, ')');
	size_t n = 0;
	if (end < 0 || !take(in, '('))
		return -EPROTO;
	char *words = kurir_alloc(arena, (size_t)end + 1);
	while (!take(in, ')')) {
		struct kurir_str s = word(in);
		bool system = s.len > 0 && s.ptr[0] == '\\';
		if (s.len == 0)
			return -EPROTO;
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			if (kurir_str_equal_nocase(s, kurir_str_of(known[i].name)))
				m->flags |= known[i].flag;
		if (!system) {
			words[n] = ' ';
			memcpy(words + n + (n > 0), s.ptr, s.len);
			n += s.len + (n > 0);
		}
		(void)take(in, ' ');
	}
	m->keywords = (struct kurir_str){ words, n };
	m->has_flags = true;
	return 0;
}

/* date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE */
static int date(struct kurir_str *in, struct kurir_arena *arena, struct imap_message *m)
{
	struct kurir_str s;
	struct tm tm = { .tm_sec = 0 };
	int r = text(in, arena, &s);
	if (r < 0 || s.ptr == NULL)
		return -EPROTO;
	const char *end = strptime(kurir_copy(arena, s).ptr, "%d-%b-%Y %H:%M:%S %z", &tm);
	if (end == NULL || *end != '\0')
		return -EPROTO;
	long zone = tm.tm_gmtoff;
	m->date = ((int64_t)timegm(&tm) - zone) * 1000;
	m->has_date = true;
	return 0;
}

static int item(struct kurir_str *in, struct kurir_arena *arena, struct imap_message *m)
{
	struct kurir_str name = word(in), s;
	uint64_t n;
	if (name.len == 0 || !take(in, ' '))
		return -EPROTO;
	if (kurir_str_equal_nocase(name, KURIR_STR("FLAGS")))
		return flags(in, arena, m);
	if (kurir_str_equal_nocase(name, KURIR_STR("INTERNALDATE")))
		return date(in, arena, m);
	if (kurir_str_equal_nocase(name, KURIR_STR("BODY[]"))) {
		int r = text(in, arena, &m->body);
		m->has_body = r == 0 && m->body.ptr != NULL;
		return r;
	}
	bool uid = kurir_str_equal_nocase(name, KURIR_STR("UID"));
	if (!uid && !kurir_str_equal_nocase(name, KURIR_STR("RFC822.SIZE")))
		return skip(in, arena);
	s = word(in);
	if (!number(s, &n) || (uid && (n == 0 || n > UINT32_MAX)))
		return -EPROTO;
	if (uid) {
		m->uid = (uint32_t)n;
	} else {
		m->size = n;
		m->has_size = true;
	}
	return 0;
}

int imap_parse_fetch(struct kurir_str in, struct kurir_arena *arena, struct imap_message *ret)
{
	struct imap_message m = { .keywords = KURIR_STR("") };
	uint64_t sequence;
	if (!number(word(&in), &sequence) || !expect(&in, " FETCH "))
		return 0;
	if (!take(&in, '('))
		return -EPROTO;
	while (!take(&in, ')')) {
		if (item(&in, arena, &m) < 0)
			return -EPROTO;
		(void)take(&in, ' ');
	}
	*ret = m;
	return in.len == 0 ? 1 : -EPROTO;
}

/* RFC 6154, RFC 8457; 0: another attribute. */
static uint32_t use_of(struct kurir_str attribute)
{
	static const struct {
		const char *name;
		uint32_t use;
	} all[] = { { "\\All", KURIR_MAILBOX_ALL }, { "\\Flagged", KURIR_MAILBOX_FLAGGED },
		{ "\\Important", KURIR_MAILBOX_IMPORTANT }, { "\\Drafts", KURIR_MAILBOX_DRAFTS },
		{ "\\Sent", KURIR_MAILBOX_SENT }, { "\\Trash", KURIR_MAILBOX_TRASH },
		{ "\\Junk", KURIR_MAILBOX_JUNK }, { "\\Archive", KURIR_MAILBOX_ARCHIVE } };
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (kurir_str_equal_nocase(attribute, kurir_str_of(all[i].name)))
			return all[i].use;
	return 0;
}

int imap_parse_list(
    struct kurir_str in, const char *kind, struct kurir_arena *arena, struct imap_mailbox *ret)
{
	struct imap_mailbox m = { .selectable = true };
	struct kurir_str s;
	if (!expect(&in, kind) || !expect(&in, " ("))
		return 0;
	while (!take(&in, ')')) {
		s = word(&in);
		if (s.len == 0)
			return -EPROTO;
		if (kurir_str_equal_nocase(s, KURIR_STR("\\Noselect")) ||
		    kurir_str_equal_nocase(s, KURIR_STR("\\NonExistent")))
			m.selectable = false;
		m.uses |= use_of(s);
		(void)take(&in, ' ');
	}
	if (!take(&in, ' ') || text(&in, arena, &s) < 0 || s.len > 1 || !take(&in, ' '))
		return -EPROTO;
	m.separator = s.len == 1 ? s.ptr[0] : '\0';
	bool plain = in.len > 0 && in.ptr[0] != '"' && in.ptr[0] != '{';
	if (plain) { /* a mailbox may be called NIL */
		m.name = word(&in);
	} else if (text(&in, arena, &m.name) < 0) {
		return -EPROTO;
	}
	m.name = kurir_copy(arena, m.name);
	*ret = m;
	return m.name.len > 0 ? 1 : -EPROTO;
}

void imap_parse_select(struct kurir_str in, struct imap_selected *ret)
{
	struct kurir_str rest = in;
	uint64_t n;
	uint32_t *to = NULL;
	if (expect(&rest, "OK [UIDVALIDITY "))
		to = &ret->validity;
	else if (expect(&rest, "OK [UIDNEXT "))
		to = &ret->next;
	if (to != NULL) {
		ssize_t end = kurir_str_find(rest, ']');
		rest = kurir_str_part(rest, 0, end < 0 ? 0 : (size_t)end);
		if (kurir_str_number(rest, UINT32_MAX, &n) == 0)
			*to = (uint32_t)n;
		return;
	}
	struct kurir_str count = word(&in);
	if (kurir_str_number(count, UINT32_MAX, &n) == 0 &&
	    kurir_str_equal_nocase(in, KURIR_STR(" EXISTS")))
		ret->exists = (uint32_t)n;
}

int imap_parse_namespace(
    struct kurir_str in, struct kurir_arena *arena, struct imap_namespaces *ret)
{
	if (!expect(&in, "NAMESPACE"))
		return 0;
	for (unsigned kind = 0; kind < 3; kind++) {
		if (!take(&in, ' '))
			return -EPROTO;
		if (!take(&in, '(')) {
			if (skip(&in, arena) < 0)
				return -EPROTO;
			continue;
		}
		for (unsigned n = 0; take(&in, '('); n++) {
			struct kurir_str prefix;
			if (text(&in, arena, &prefix) < 0)
				return -EPROTO;
			prefix = kurir_copy(arena, prefix);
			if (kind == 0 && n == 0)
				ret->own = prefix;
			else if (prefix.len > 0 && ret->count < IMAP_OTHERS)
				ret->others[ret->count++] = prefix;
			while (take(&in, ' '))
				if (skip(&in, arena) < 0)
					return -EPROTO;
			if (!take(&in, ')'))
				return -EPROTO;
		}
		if (!take(&in, ')'))
			return -EPROTO;
	}
	return 1;
}

struct kurir_str imap_quote(struct kurir_arena *arena, struct kurir_str s)
{
	char *to = kurir_alloc(arena, 2 * s.len + 3);
	size_t n = 0;
	to[n++] = '"';
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '"' || s.ptr[i] == '\\')
			to[n++] = '\\';
		to[n++] = s.ptr[i];
	}
	to[n++] = '"';
	return (struct kurir_str){ to, n };
}
