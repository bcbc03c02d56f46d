/* email.c - an e-mail is made of bytes, and of what is read from them once. */
#include "email.h"

int email_keep(struct db *db, const struct account_row *a, const struct blob_place *place,
    int64_t date, struct fact_reader *f, struct email *ret)
{
	int64_t thread;
	fact_end(f);
	thread_keys_of(f->arena, f->message, &ret->threads);
	int r = thread_find(db, a->id, &ret->threads, &thread);
	if (r == 0)
		r = email_make(db, a, place, fact_fields(f), date, thread, &ret->blob, &ret->id);
	if (r == 0)
		r = thread_keep(db, a->id, &ret->threads, thread > 0 ? thread : ret->id);
	return r < 0 ? r : fact_save(f, db, ret->blob);
}

int email_put(struct db *db, struct blob_writer *blobs, const struct account_row *a,
    struct blob_source *from, struct email *ret)
{
	struct blob_place place;
	struct fact_reader f;
	fact_begin(&f);
	from->see = fact_see;
	from->arg = &f;
	int r = blob_append(blobs, from, &place);
	if (r == 0)
		r = email_keep(db, a, &place, from->date, &f, ret);
	fact_free(&f);
	return r;
}
