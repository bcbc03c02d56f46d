/* email.h - new e-mails. */
#ifndef STORE_SQLITE_EMAIL_H
#define STORE_SQLITE_EMAIL_H

#include "fact.h"
#include "model.h"

struct email {
	int64_t id, blob;
	struct thread_keys threads;
};
/* Of bytes that are kept, and read, now. */
int email_put(struct db *, struct blob_writer *, const struct account_row *, struct blob_source *,
    struct email *ret);
/* Of bytes that are kept already, and were shown to the reader. */
int email_keep(struct db *, const struct account_row *, const struct blob_place *, int64_t date,
    struct fact_reader *, struct email *ret);

#endif
