/* fact.c - e-mails are read as they come: facts and threads. */
#include "fact.h"

#include <errno.h>
#include <string.h>

/* Message ids (RFC 5322 section 3.6.4): msg-id = [CFWS] "<" id-left "@" id-right ">" [CFWS] */
static bool next_id(struct kurir_str *rest, struct kurir_str *ret)
{
	ssize_t open = kurir_str_find(*rest, '<'), end;
	if (open < 0)
		return false;
	struct kurir_str id = kurir_str_part(*rest, (size_t)open + 1, rest->len);
	end = kurir_str_find(id, '>');
	if (end < 0)
		return false;
	*ret = kurir_str_part(id, 0, (size_t)end);
	*rest = kurir_str_part(id, (size_t)end + 1, id.len);
	return true;
}

/* One place is the first's, the others are those of the last. */
static void add_key(struct thread_keys *k, int64_t key)
{
	for (unsigned i = 0; i < k->count; i++)
		if (k->keys[i] == key)
			return;
	if (k->count == THREAD_KEYS) {
		memmove(k->keys + 1, k->keys + 2, (THREAD_KEYS - 2) * sizeof(k->keys[0]));
		k->count--;
	}
	k->keys[k->count++] = key;
}

void thread_keys_of(
    struct kurir_arena *arena, const struct mime_message *m, struct thread_keys *ret)
{
	const struct kurir_str fields[] = { m->references, m->in_reply_to, m->message_id };
	struct kurir_str subject = KURIR_STR(""), id;
	bool reply;
	ret->count = 0;
	if (m->subject.ptr != NULL)
		subject = kurir_lower(arena,
		    mime_base_subject(arena, mime_decode_words(arena, m->subject), &reply));
	uint64_t under = kurir_str_hash(subject);
	for (size_t i = 0; i < 3; i++) {
		struct kurir_str rest = fields[i];
		while (next_id(&rest, &id))
			if (id.len > 0)
				add_key(ret, (int64_t)(kurir_str_hash(id) * 31 + under));
	}
}

int thread_find(struct db *db, int64_t account, struct thread_keys *k, int64_t *ret)
{
	int64_t oldest = 0, thread;
	k->known = 0;
	for (unsigned i = 0; i < k->count; i++) {
		int r = db_number(db, &thread,
		    "SELECT thread FROM reference WHERE account = ? AND key = ?", "ii", account,
		    k->keys[i]);
		if (r < 0 && r != -ENOENT)
			return r;
		if (r == 0)
			k->known |= 1u << i;
		if (r == 0 && (oldest == 0 || thread < oldest))
			oldest = thread;
	}
	*ret = oldest;
	return 0;
}

int thread_keep(struct db *db, int64_t account, const struct thread_keys *k, int64_t thread)
{
	int r = 0;
	for (unsigned i = 0; i < k->count && r == 0; i++)
		if (!(k->known & 1u << i))
			r = db_exec(db,
			    "INSERT INTO reference(account, key, thread) VALUES(?, ?, ?)", "iii",
			    account, k->keys[i], thread);
	return r;
}

int thread_drop(struct db *db, int64_t email, int64_t thread)
{
	return db_exec(db,
	    "DELETE FROM reference WHERE thread = ?1 AND NOT EXISTS"
	    " (SELECT 1 FROM email WHERE id = ?1) AND NOT EXISTS"
	    " (SELECT 1 FROM email WHERE thread = ?1 AND thread > 0)",
	    "i", thread > 0 ? thread : email);
}

void fact_begin(struct fact_reader *f)
{
	static const struct mime_options options = { .preview = true };
	f->arena = kurir_arena_new("store facts");
	f->parser = mime_begin(f->arena, &options);
	f->message = NULL;
	f->begin = KURIR_BUF(FACT_BEGIN_MAX);
}

void fact_see(void *reader, const char *s, size_t n)
{
	struct fact_reader *f = reader;
	size_t room = FACT_BEGIN_MAX - f->begin.len;
	mime_feed(f->parser, (struct kurir_str){ s, n });
	(void)kurir_buf_add(&f->begin, (struct kurir_str){ s, n < room ? n : room });
}

void fact_end(struct fact_reader *f)
{
	f->message = mime_end(f->parser);
}

void fact_free(struct fact_reader *f)
{
	kurir_buf_free(&f->begin);
	kurir_arena_free(f->arena);
	*f = (struct fact_reader){ .arena = NULL };
}

/* What is too long is not known. */
static struct kurir_str known(struct kurir_str s)
{
	return s.len > FACT_TEXT_MAX ? (struct kurir_str){ NULL, 0 } : s;
}

int fact_save(struct fact_reader *f, struct db *db, int64_t blob)
{
	const struct mime_part *root = f->message->root;
	struct kurir_buf text[2] = { KURIR_BUF(FACT_TEXT_MAX), KURIR_BUF(FACT_TEXT_MAX) };
	struct kurir_str body[2];
	for (unsigned i = 0; i < 2; i++) {
		(void)kurir_buf_reserve(&text[i], 512);
		int r = mime_put_structure(&text[i], root, i == 1);
		body[i] = r < 0 ? (struct kurir_str){ NULL, 0 } : kurir_buf_str(&text[i]);
	}
	int r = db_exec(db,
	    "INSERT INTO fact(blob, header, envelope, body, structure, preview)"
	    " VALUES(?, ?, ?, ?, ?, ?)",
	    "iitttt", blob, (int64_t)root->header.len, known(root->envelope), body[0], body[1],
	    f->message->preview);
	kurir_buf_free(&text[0]);
	kurir_buf_free(&text[1]);
	return r;
}

bool fact_is_field(struct kurir_str name)
{
	static const char *const names[] = { "From", "To", "Cc", "Bcc", "Subject", "Sender",
		"Reply-To" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (kurir_str_equal_nocase(name, kurir_str_of(names[i])))
			return true;
	return false;
}

struct kurir_str fact_fields(const struct fact_reader *f)
{
	struct kurir_str header = mime_bytes(kurir_buf_str(&f->begin), f->message->root->header);
	struct kurir_buf fields = KURIR_BUF(FACT_FIELDS_MAX);
	struct kurir_str name, all, ret = { NULL, 0 };
	int r = header.len < f->message->root->header.len ? -EMSGSIZE : 0;
	while (r == 0 && mime_header_next(&header, &name, &all))
		if (fact_is_field(name))
			r = kurir_buf_add(&fields, all);
	if (r == 0)
		ret = kurir_copy(f->arena, kurir_buf_str(&fields));
	kurir_buf_free(&fields);
	return ret;
}
