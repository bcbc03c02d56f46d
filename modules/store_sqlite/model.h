/* model.h - accounts, mailboxes and messages as rows, for who changes them.
 *
 * Rows are loaded, changed in memory, and saved once at the end of an operation.  All of it runs
 * in a transaction of the shard's writer, in a helper thread. */
#ifndef STORE_SQLITE_MODEL_H
#define STORE_SQLITE_MODEL_H

#include "blob.h"
#include "db.h"

#include <kurir/store.h>

#define MODEL_NAME_MAX	     1000 /* bytes of a mailbox's name */
#define MODEL_DEPTH	     16
#define MODEL_MAILBOXES	     10000		      /* of an account */
#define MODEL_KEYWORDS_MAX   4096		      /* bytes, of one message */
#define MAILBOX_KEYWORDS_MAX (MODEL_KEYWORDS_MAX * 4) /* of a mailbox; more are not told */

struct account_row {
	int64_t id, modseq, uid_validity, bytes, messages;
};
struct mailbox_row {
	int64_t id, account, flags, uid_validity, uid_next, recent, modseq;
	int64_t messages, unseen, deleted, bytes, gone, forgotten;
};
struct message_row {
	int64_t uid, flags, size, date, saved, modseq, email;
	struct kurir_str keywords; /* borrowed until the statement's next step */
};

bool model_name_valid(struct kurir_str mailbox);

/* keyword.c: words with a space between.  The first word of *list, which goes on behind it; empty
 * at the end. */
struct kurir_str keyword_next(struct kurir_str *list);
bool keyword_in(struct kurir_str list, struct kurir_str word); /* without regard to case */
/* To what out has, those that are not in another list: 0, -EMSGSIZE. */
int keyword_add(struct kurir_buf *out, struct kurir_str list, struct kurir_str without);

/* account.c; made with its INBOX. */
int account_load(struct db *, struct kurir_str name, struct account_row *ret);
int account_make(struct db *, struct kurir_str name, int64_t now, struct account_row *ret);
int account_save(struct db *, const struct account_row *);

/* mailbox.c */
int mailbox_load(
    struct db *, const struct account_row *, struct kurir_str name, struct mailbox_row *ret);
int mailbox_save(struct db *, const struct mailbox_row *);
/* A message of it has those. */
int mailbox_keywords(struct db *, const struct mailbox_row *, struct kurir_str words);
int mailbox_make(struct db *, struct account_row *, struct kurir_str name, uint32_t uses,
    struct mailbox_row *ret);
int mailbox_manage(
    struct db *, struct account_row *, const struct kurir_manage *, int64_t now, int64_t *ret_id);

/* message.c: each brings mailbox and account up to date in memory. */
void message_count(struct mailbox_row *, int64_t flags, int64_t size, int sign);
int message_insert(struct db *, struct account_row *, struct mailbox_row *, struct message_row *);
int message_email(struct db *, int64_t mailbox, int64_t uid, int64_t *ret);
/* Remembered as one that went, with all that brings it back. */
int message_gone(
    struct db *, int64_t mailbox, int64_t modseq, const struct message_row *, int64_t now);
/* kept: its e-mail may be asked back; else it is another message's now.  Its sheet is the
 * caller's concern. */
int message_expunge(struct db *, struct account_row *, struct mailbox_row *,
    const struct message_row *, int64_t now, bool kept);
/* A new e-mail of these bytes. */
int email_make(struct db *, const struct account_row *, const struct blob_place *,
    struct kurir_str fields, int64_t date, int64_t thread, int64_t *ret_blob, int64_t *ret_id);
/* Another e-mail of bytes that are there already; -ENOENT when they went meanwhile. */
int email_share(struct db *, const struct account_row *, int64_t blob, int64_t size, int64_t date,
    int64_t thread, int64_t *ret_id);
int email_unref(struct db *, int64_t email);

#endif
