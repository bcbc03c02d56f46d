/* search_find.c - what the index is asked for.
 *
 *   expression = account *("AND" trigram)
 *
 * A text is cut into trigrams as those of the index were: where it is, all of them are. */
#include "fact.h"
#include "read.h"
#include "search.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PIECES 32

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

static void add_piece(struct kurir_buf *b, struct kurir_str s)
{
	(void)kurir_buf_add(b, KURIR_STR(" AND \""));
	for (size_t i = 0; i < s.len; i++)
		(void)kurir_buf_printf(b, s.ptr[i] == '"' ? "%c\"" : "%c", s.ptr[i]);
	(void)kurir_buf_add(b, KURIR_STR("\""));
}

/* Its trigrams, but of a long text only the first. */
static void add_pieces(struct kurir_buf *b, struct kurir_str s)
{
	size_t begins[3] = { 0 }, n = 0, pieces = 0;
	for (size_t i = 0; i <= s.len && pieces < PIECES; i++) {
		if (i < s.len && ((unsigned char)s.ptr[i] & 0xc0) == 0x80)
			continue;
		if (n >= 3) {
			add_piece(b, kurir_str_part(s, begins[n % 3], i - begins[n % 3]));
			pieces++;
		}
		begins[n++ % 3] = i;
	}
}

int search_expression(
    struct kurir_arena *arena, int64_t account, const struct kurir_find *f, struct kurir_str *ret)
{
	struct kurir_buf b = KURIR_BUF(PIECES * 32);
	char of[SEARCH_ACCOUNT];
	struct kurir_str text = f->text;
	if (f->place == KURIR_FIND_HEADER && text.len == 0) { /* the field as such */
		if (characters(f->field) == 0)
			return -ENOTSUP;
		text = kurir_format(arena, "\n%.*s:", KURIR_ARG(f->field));
	} else if (characters(text) < SEARCH_LEAST) {
		return -ENOTSUP;
	}
	search_account(account, of);
	(void)kurir_buf_printf(&b, "\"%s\"", of);
	add_pieces(&b, text);
	*ret = kurir_copy(arena, kurir_buf_str(&b));
	kurir_buf_free(&b);
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

/* Whether the index is to have the account at all. */
static int is_wanted(struct read *r)
{
	int64_t one;
	int e = read_account(r);
	if (e < 0)
		return e;
	r->unsearched = db_number(r->db, &one, "SELECT 1 FROM searched WHERE account = ?", "i",
			    r->account_row.id) < 0;
	return r->unsearched ? -ENOTSUP : 0;
}

int read_find(struct read *r)
{
	struct kurir_str expression;
	int64_t upto;
	sqlite3_stmt *s = NULL;
	if (r->find->place == KURIR_FIND_HEADER && fact_is_field(r->find->field))
		return read_find_fields(r);
	int e = is_wanted(r);
	if (e == 0 && !is_attached(r))
		e = attach(r);
	if (e == 0)
		e = read_mailbox(r);
	if (e == 0)
		e = search_expression(r->arena, r->account_row.id, r->find, &expression);
	if (e == 0 &&
	    db_number(r->db, &upto,
		"SELECT iif(a.upto < a.until, a.upto, s.upto) FROM search.account a,"
		" search.state s WHERE a.id = ?",
		"i", r->account_row.id) < 0)
		e = -ENOTSUP; /* it is being made, or made again */
	if (e == 0)
		s = db_query(r->db, &e,
		    "SELECT uid FROM message WHERE mailbox = ?1 AND (email > ?2 OR email IN"
		    " (SELECT email FROM search.partial UNION ALL"
		    " SELECT rowid FROM search.words WHERE words MATCH ?3)) ORDER BY uid",
		    "iit", r->mailbox_row.id, upto, expression);
	return e < 0 ? e : read_uids(r, s, &r->unsure);
}
