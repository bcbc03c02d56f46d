/* smtp_from.c - the addresses in a From field.
 *
 * RFC 5322 3.4 and 3.6.2, RFC 6854:
 *   from         = "From:" ( mailbox-list / address-list ) CRLF
 *   address-list = address *( "," address )
 *   address      = mailbox / [ display-name ":" ] [ mailbox-list ] ";"
 *   mailbox      = addr-spec / [ display-name ] "<" addr-spec ">"
 * Comments may stand anywhere and nest; what is quoted is taken as it is. */
#include "smtp_parse.h"

#include <errno.h>

#define WORD_MAX 600 /* an address; smtp_path() has limits of its own */

struct mailbox {
	struct kurir_buf word; /* the address, or words before one in brackets */
	bool inside, closed;   /* of "<" and ">" */
	bool space;	       /* stands before what comes next */
	bool words;	       /* several, or long ones: no address */
};

static void forget(struct mailbox *m)
{
	kurir_buf_clear(&m->word);
	m->space = m->words = m->closed = false;
}

static bool joins(char c)
{
	return c == '@' || c == '.';
}

/* Behind the comment that begins at i; 0: it does not end. */
static size_t comment_end(struct kurir_str s, size_t i)
{
	unsigned depth = 0;

	for (; i < s.len; i++) {
		if (s.ptr[i] == '\\')
			i++;
		else if (s.ptr[i] == '(')
			depth++;
		else if (s.ptr[i] == ')' && --depth == 0)
			return i + 1;
	}
	return 0;
}

static size_t quote_end(struct kurir_str s, size_t i)
{
	for (i++; i < s.len; i++) {
		if (s.ptr[i] == '\\')
			i++;
		else if (s.ptr[i] == '"')
			return i + 1;
	}
	return 0;
}

static int add(struct mailbox *m, struct kurir_str piece)
{
	if (m->closed) /* text behind the address */
		return -EINVAL;
	if (m->space && m->word.len > 0 && !joins(m->word.ptr[m->word.len - 1]) &&
	    !joins(piece.ptr[0]))
		m->words = true;
	m->space = false;
	if (kurir_buf_add(&m->word, piece) < 0)
		m->words = true;
	return 0;
}

/* One mailbox is complete: its address, if it has one, joins the list. */
static int finish(struct mailbox *m, struct kurir_arena *arena, struct kurir_str *list,
    size_t max, size_t *count)
{
	struct kurir_str path = kurir_format(
	    arena, "<%.*s>", (int)m->word.len, m->word.ptr != NULL ? m->word.ptr : "");
	bool empty = m->word.len == 0 && !m->closed;

	bool wrong = m->inside || m->words;

	forget(m);
	if (wrong)
		return -EINVAL;
	if (empty)
		return 0;
	if (*count == max)
		return -E2BIG;
	if (smtp_path(&path, PATH_UTF8, arena, &list[*count]) < 0 || path.len > 0)
		return -EINVAL;
	(*count)++;
	return 0;
}

/* A character that means something by itself. */
static int special(struct mailbox *m, char c)
{
	switch (c) {
	case '<':
		if (m->inside || m->closed)
			return -EINVAL;
		forget(m);
		m->inside = true;
		return 0;
	case '>':
		if (!m->inside)
			return -EINVAL;
		m->inside = false;
		m->closed = true;
		return 0;
	default: /* ':' - what stood before it was the name of a group */
		if (m->closed)
			return -EINVAL;
		forget(m);
		return 0;
	}
}

static int step(struct mailbox *m, struct kurir_str s, size_t *i)
{
	char c = s.ptr[*i];
	size_t end = *i + 1;
	int r = 0;

	if (c == '(')
		end = comment_end(s, *i);
	else if (c == '"')
		end = quote_end(s, *i);
	if (end == 0)
		return -EINVAL;
	if (c == '<' || c == '>' || (c == ':' && !m->inside))
		r = special(m, c);
	else if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '(')
		m->space = true;
	else
		r = add(m, kurir_str_part(s, *i, end - *i));
	*i = end;
	return r;
}

int smtp_from(struct kurir_str s, struct kurir_arena *arena, struct kurir_str *list, size_t max,
    size_t *ret_count)
{
	struct mailbox m = { .word = KURIR_BUF(WORD_MAX) };
	size_t i = 0, count = 0;
	int r = 0;

	while (r == 0 && i < s.len) {
		if ((s.ptr[i] == ',' || s.ptr[i] == ';') && !m.inside) {
			r = finish(&m, arena, list, max, &count);
			i++;
		} else {
			r = step(&m, s, &i);
		}
	}
	if (r == 0)
		r = finish(&m, arena, list, max, &count);
	kurir_buf_free(&m.word);
	*ret_count = count;
	return r;
}
