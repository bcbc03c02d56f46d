/* fact.h - what is read of an e-mail once, while its bytes are kept: the texts that IMAP asks for
 * (kurir/store.h, kurir_fact), and the thread that it belongs to.
 *
 * Facts belong to bytes, so that e-mails with the same bytes have them once; a thread belongs to
 * an account.  Its number is that of its first e-mail, and an e-mail that began one says 0.
 * E-mails are in one thread when they name the same message id (of themselves, or that they refer
 * to) under the same base subject (RFC 8621 section 3): "reference" knows those two, hashed, that
 * were seen.  Two threads stay two when an e-mail comes that would have joined them: it goes to
 * the older. */
#ifndef STORE_SQLITE_FACT_H
#define STORE_SQLITE_FACT_H

#include "blob.h"
#include "db.h"

#include <mime/mime.h>

#define FACT_TEXT_MAX	65536 /* bytes; longer ones are not kept, and read from the bytes again */
#define FACT_BEGIN_MAX	16384 /* bytes in which the header must be */
#define FACT_FIELDS_MAX 2048
#define THREAD_KEYS	24 /* ids that count: the first of them, and the last */

struct thread_keys {
	unsigned count;
	uint32_t known; /* those that thread_find() found, 1u << index, or-ed */
	int64_t keys[THREAD_KEYS];
};
/* The header's fields, as mime_message has them; ptr NULL: absent. */
void thread_keys_of(struct kurir_arena *, const struct mime_message *, struct thread_keys *ret);
/* *ret: 0, or the oldest thread that knows one of them. */
int thread_find(struct db *, int64_t account, struct thread_keys *, int64_t *ret);
/* After thread_find(): those of no thread yet are of that one from now on. */
int thread_keep(struct db *, int64_t account, const struct thread_keys *, int64_t thread);
/* When an e-mail went: its thread, if nobody else is in it. */
int thread_drop(struct db *, int64_t email, int64_t thread);

/* An e-mail's bytes while they are kept; fact_see() is a blob_source's see(). */
struct fact_reader {
	struct kurir_arena *arena;
	struct mime_parser *parser;
	const struct mime_message *message; /* after fact_end() */
	struct kurir_buf begin; /* of its bytes, with the header if that is not long */
};
void fact_begin(struct fact_reader *);
void fact_see(void *reader, const char *, size_t);
void fact_end(struct fact_reader *);
int fact_save(struct fact_reader *, struct db *, int64_t blob);
/* The fields that are looked into most, as they stand, in the reader's arena; ptr NULL: they, or
 * the header, are too long. */
struct kurir_str fact_fields(const struct fact_reader *);
bool fact_is_field(struct kurir_str name); /* it is one of those */
void fact_free(struct fact_reader *);

#endif
