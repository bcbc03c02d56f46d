/* imap_args.c - the arguments of a command, token by token.  No I/O.
 *
 *   astring     = 1*ASTRING-CHAR / string                    ; RFC 9051 section 9
 *   string      = quoted / literal
 *   quoted      = DQUOTE *QUOTED-CHAR DQUOTE
 *   literal     = "{" number ["+"] "}" CRLF *CHAR8
 *   atom        = 1*ATOM-CHAR ; not ( ) { SP CTL % * " \ ] */

#include <errno.h>
#include <string.h>

#include "imap.h"

static bool atom_char(char c)
{
	return (unsigned char)c > 32 && c != 127 && memchr("(){%*\"\\]", c, 8) == NULL;
}

static void skip(struct imap_args *a, size_t n)
{
	a->rest = kurir_str_part(a->rest, n, a->rest.len);
}

bool imap_take(struct imap_args *a, char c)
{
	if (a->rest.len == 0 || a->rest.ptr[0] != c)
		return false;
	skip(a, 1);
	return true;
}

bool imap_next_is(const struct imap_args *a, char c)
{
	return a->rest.len > 0 && a->rest.ptr[0] == c;
}

bool imap_take_word(struct imap_args *a, const char *word)
{
	struct imap_args b = *a;
	struct kurir_str found;

	if (imap_atom(&b, &found) < 0 || !kurir_str_equal_nocase(found, kurir_str_of(word)))
		return false;
	*a = b;
	return true;
}

bool imap_space(struct imap_args *a)
{
	return imap_take(a, ' ');
}

bool imap_end(const struct imap_args *a)
{
	return a->rest.len == 0;
}

/* The longest run of characters that ok() likes. */
static int run(struct imap_args *a, bool (*ok)(char), struct kurir_str *ret)
{
	size_t n = 0;

	while (n < a->rest.len && ok(a->rest.ptr[n]))
		n++;
	if (n == 0)
		return -EBADMSG;
	*ret = kurir_str_part(a->rest, 0, n);
	skip(a, n);
	return 0;
}

int imap_atom(struct imap_args *a, struct kurir_str *ret)
{
	return run(a, atom_char, ret);
}

static bool astring_char(char c)
{
	return atom_char(c) || c == ']';
}

static bool list_char(char c)
{
	return astring_char(c) || c == '%' || c == '*';
}

static int quoted(struct imap_args *a, struct kurir_str *ret)
{
	char *out = kurir_alloc(kurir_scratch(), a->rest.len + 1);
	size_t n = 0, i = 1;

	for (; i < a->rest.len && a->rest.ptr[i] != '"'; i++) {
		char c = a->rest.ptr[i];

		if (c == '\\' && i + 1 < a->rest.len)
			c = a->rest.ptr[++i];
		if (c == '\r' || c == '\n' || c == '\0')
			return -EBADMSG;
		out[n++] = c;
	}
	if (i >= a->rest.len)
		return -EBADMSG;
	skip(a, i + 1);
	*ret = (struct kurir_str){ out, n };
	return 0;
}

static int literal(struct imap_args *a, struct kurir_str *ret)
{
	ssize_t close = kurir_str_find(a->rest, '}');
	struct kurir_str number;
	uint64_t n;

	if (close < 2)
		return -EBADMSG;
	number = kurir_str_part(a->rest, 1, (size_t)close - 1);
	if (number.ptr[number.len - 1] == '+')
		number.len--;
	if (kurir_str_number(number, IMAP_COMMAND_MAX, &n) < 0)
		return -EBADMSG;
	skip(a, (size_t)close + 1);
	if (!imap_take(a, '\r') || !imap_take(a, '\n') || a->rest.len < n)
		return -EBADMSG;
	*ret = kurir_str_part(a->rest, 0, (size_t)n);
	skip(a, (size_t)n);
	return memchr(ret->ptr, '\0', ret->len) ? -EBADMSG : 0;
}

int imap_string_arg(struct imap_args *a, struct kurir_str *ret)
{
	if (imap_next_is(a, '"'))
		return quoted(a, ret);
	return imap_next_is(a, '{') ? literal(a, ret) : -EBADMSG;
}

static int string_or(struct imap_args *a, bool (*ok)(char), struct kurir_str *ret)
{
	if (imap_next_is(a, '"') || imap_next_is(a, '{'))
		return imap_string_arg(a, ret);
	return run(a, ok, ret);
}

int imap_astring(struct imap_args *a, struct kurir_str *ret)
{
	return string_or(a, astring_char, ret);
}

/* list-mailbox = 1*list-char / string */
int imap_list_mailbox(struct imap_args *a, struct kurir_str *ret)
{
	return string_or(a, list_char, ret);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int number(struct imap_args *a, uint64_t max, uint64_t *ret)
{
	struct kurir_str digits;
	int r = run(a, is_digit, &digits);

	return r < 0 || kurir_str_number(digits, max, ret) < 0 ? -EBADMSG : 0;
}

int imap_number(struct imap_args *a, uint64_t *ret)
{
	return number(a, UINT32_MAX, ret);
}

int imap_number64(struct imap_args *a, uint64_t *ret)
{
	return number(a, INT64_MAX, ret);
}

static const struct {
	const char *name;
	uint32_t flag;
} flags[] = {
	{ "\\Seen", KURIR_MESSAGE_SEEN },
	{ "\\Answered", KURIR_MESSAGE_ANSWERED },
	{ "\\Flagged", KURIR_MESSAGE_FLAGGED },
	{ "\\Deleted", KURIR_MESSAGE_DELETED },
	{ "\\Draft", KURIR_MESSAGE_DRAFT },
};

static int system_flag(struct kurir_str name, uint32_t *ret)
{
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (kurir_str_equal_nocase(name, kurir_str_of(flags[i].name))) {
			*ret |= flags[i].flag;
			return 0;
		}
	return -EBADMSG;
}

/* One flag: a keyword is added to *keywords. */
static int one_flag(struct imap_args *a, uint32_t *ret_flags, struct kurir_buf *keywords)
{
	struct kurir_str before = a->rest, word;
	bool system = imap_take(a, '\\');
	int r = imap_atom(a, &word);

	if (r < 0)
		return r;
	if (system)
		return system_flag(kurir_str_part(before, 0, word.len + 1), ret_flags);
	if (keywords->len > 0)
		kurir_buf_add(keywords, KURIR_STR(" "));
	return kurir_buf_add(keywords, word) < 0 ? -EBADMSG : 0;
}

/* flag-list = "(" [flag *(SP flag)] ")"; STORE also allows them without parentheses. */
int imap_flags(struct imap_args *a, uint32_t *ret_flags, struct kurir_str *ret_keywords)
{
	struct kurir_buf keywords = KURIR_BUF(1024);
	bool list = imap_take(a, '(');
	int r = 0;

	*ret_flags = 0;
	if (!list || !imap_take(a, ')')) {
		do
			r = one_flag(a, ret_flags, &keywords);
		while (r >= 0 && imap_space(a));
		if (r >= 0 && list && !imap_take(a, ')'))
			r = -EBADMSG;
	}
	*ret_keywords = kurir_copy(kurir_scratch(), kurir_buf_str(&keywords));
	kurir_buf_free(&keywords);
	return r;
}

/* mailbox = "INBOX" / astring ; modified UTF-7, or UTF-8 once the client has enabled that */
int imap_mailbox(struct imap_args *a, struct kurir_str *ret)
{
	struct kurir_buf name = KURIR_BUF(2048);
	struct kurir_str text;
	int r = imap_astring(a, &text);

	if (r < 0)
		return r;
	if (kurir_str_equal_nocase(text, KURIR_STR("INBOX"))) {
		*ret = KURIR_STR("INBOX");
		return 0;
	}
	/* Encoding finds out whether it is UTF-8. */
	r = a->utf8 ? kurir_utf7_encode(&name, text, "") : kurir_utf7_decode(&name, text);
	*ret = r < 0 ? IMAP_NO_NAME
		     : kurir_copy(kurir_scratch(), a->utf8 ? text : kurir_buf_str(&name));
	kurir_buf_free(&name);
	return 0;
}

bool imap_has_word(struct kurir_str list, struct kurir_str word)
{
	while (list.len > 0) {
		ssize_t space = kurir_str_find(list, ' ');
		size_t n = space < 0 ? list.len : (size_t)space;

		if (kurir_str_equal_nocase(kurir_str_part(list, 0, n), word))
			return true;
		list = kurir_str_part(list, space < 0 ? n : n + 1, list.len);
	}
	return false;
}

int imap_literal_next(
    const struct imap_args *a, uint64_t *ret_size, bool *ret_sync, bool *ret_binary)
{
	struct kurir_str rest = a->rest;

	*ret_binary = rest.len > 0 && rest.ptr[0] == '~';
	if (*ret_binary)
		rest = kurir_str_part(rest, 1, rest.len);
	if (rest.len == 0 || rest.ptr[0] != '{' || kurir_str_find_last(rest, '{') != 0)
		return -EBADMSG;
	return imap_literal_mark(rest, ret_size, ret_sync) == 1 ? 1 : -EBADMSG;
}

int imap_literal_mark(struct kurir_str line, uint64_t *ret_size, bool *ret_sync)
{
	ssize_t open = kurir_str_find_last(line, '{');
	struct kurir_str number;

	if (line.len < 3 || open < 0 || line.ptr[line.len - 1] != '}')
		return 0;
	number = kurir_str_part(line, (size_t)open + 1, line.len - (size_t)open - 2);
	*ret_sync = number.len == 0 || number.ptr[number.len - 1] != '+';
	if (!*ret_sync)
		number.len--;
	if (number.len == 0 || !is_digit(number.ptr[0]))
		return 0;
	return kurir_str_number(number, INT64_MAX, ret_size) < 0 ? -EBADMSG : 1;
}
