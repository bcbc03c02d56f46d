/* search_find.c - what the index is asked for.
 *
 *   expression = "account" ":" string "AND" place ":" string
 *
 * A string is cut into trigrams as the texts were, and they have to follow each other: so it is
 * found wherever it is a part of the text. */
#include "read.h"
#include "search.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Characters, or 0: it has something that no text in the index has as it is. */
static size_t characters(struct kurir_str s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		if (c < ' ')
			return 0;
		n += (c & 0xc0) != 0x80;
	}
	return n;
}

static struct kurir_str quoted(struct kurir_arena *arena, const char *before, struct kurir_str s)
{
	size_t n = strlen(before), out = 0;
	char *p = kurir_alloc(arena, n + 2 * s.len + 3);
	p[out++] = '"';
	memcpy(p + out, before, n);
	out += n;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '"')
			p[out++] = '"';
		p[out++] = s.ptr[i];
	}
	p[out++] = '"';
	return (struct kurir_str){ p, out };
}

int search_expression(struct kurir_arena *arena, int64_t account, const struct kurir_find *f,
    bool *exact, struct kurir_str *ret)
{
	char of[SEARCH_ACCOUNT];
	const char *place = f->place == KURIR_FIND_BODY ? "body"
	    : f->place == KURIR_FIND_TEXT		? "{head body}"
							: "head";
	struct kurir_str text;
	/* A field as such begins a line; what it contains is to be looked at, as the index does
	 * not tell one field from another. */
	*exact = f->place != KURIR_FIND_HEADER || f->text.len == 0;
	if (f->place == KURIR_FIND_HEADER && f->text.len == 0) {
		if (characters(f->field) == 0)
			return -ENOTSUP;
		text = quoted(arena, "\n", kurir_format(arena, "%.*s:", KURIR_ARG(f->field)));
	} else {
		if (characters(f->text) < SEARCH_LEAST)
			return -ENOTSUP;
		text = quoted(arena, "", f->text);
	}
	search_account(account, of);
	*ret = kurir_format(arena, "account : \"%s\" AND %s : %.*s", of, place, KURIR_ARG(text));
	return 0;
}

/* The index, if there is one, beside the database that this connection has open. */
static int attach(struct read *r)
{
	const char *main = sqlite3_db_filename(r->db->sql, "main");
	char uri[1200];
	if (main == NULL || strlen(main) < 9)
		return -ENOTSUP;
	size_t n = strlen(main) - strlen("index.db");
	(void)snprintf(uri, sizeof(uri), "file:%.*ssearch.db?mode=ro%s", (int)n, main,
	    r->db->writers ? "" : "&readonly_shm=1");
	/* Not in a transaction. */
	(void)db_exec(r->db, "COMMIT", "");
	int e = db_exec(r->db, "ATTACH ? AS search", "t", kurir_str_of(uri));
	int begun = db_exec(r->db, "BEGIN", "");
	return e < 0 ? -ENOTSUP : begun;
}

static int is_attached(struct read *r)
{
	return sqlite3_db_filename(r->db->sql, "search") != NULL;
}

int read_find(struct read *r)
{
	struct kurir_str expression;
	int64_t upto = 0;
	bool exact;
	int e = is_attached(r) ? 0 : attach(r);
	sqlite3_stmt *s = NULL;
	if (e == 0)
		e = read_mailbox(r);
	if (e == 0)
		e = search_expression(r->arena, r->account_row.id, r->find, &exact, &expression);
	if (e == 0 && db_number(r->db, &upto, "SELECT upto FROM search.state", "") < 0)
		e = -ENOTSUP; /* it is being made, or made again */
	if (e == 0 && exact) {
		s = db_query(r->db, &e,
		    "SELECT uid FROM message WHERE mailbox = ? AND email IN"
		    " (SELECT rowid FROM search.words WHERE words MATCH ?) ORDER BY uid",
		    "it", r->mailbox_row.id, expression);
		if (e == 0)
			e = read_uids(r, s, &r->found);
	}
	if (e == 0 && !exact)
		s = db_query(r->db, &e,
		    "SELECT uid FROM message WHERE mailbox = ?1 AND (email > ?2 OR email IN"
		    " (SELECT email FROM search.partial UNION ALL"
		    " SELECT rowid FROM search.words WHERE words MATCH ?3)) ORDER BY uid",
		    "iit", r->mailbox_row.id, upto, expression);
	else if (e == 0)
		s = db_query(r->db, &e,
		    "SELECT uid FROM message WHERE mailbox = ?1 AND (email > ?2 OR email IN"
		    " (SELECT email FROM search.partial)) ORDER BY uid",
		    "ii", r->mailbox_row.id, upto);
	return e < 0 ? e : read_uids(r, s, &r->unsure);
}
