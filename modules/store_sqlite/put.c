/* put.c - messages that come: deliveries and APPEND. */
#include "email.h"
#include "sqlite.h"

#include <errno.h>
#include <string.h>

int over_quota(const struct sqlite_conf *conf, const struct account_row *a, uint64_t more)
{
	if (conf->quota_bytes > 0 && (uint64_t)a->bytes + more > conf->quota_bytes)
		return -EDQUOT;
	return conf->quota_messages > 0 && a->messages >= conf->quota_messages ? -EDQUOT : 0;
}

/* Another e-mail of the bytes that came last; -ENOENT when they went meanwhile. */
static int share_email(struct shard *s, const struct account_row *a,
    const struct blob_source *from, int64_t *ret_email)
{
	struct thread_keys *threads = &s->recent.threads;
	int64_t thread;
	int r = thread_find(&s->db, a->id, threads, &thread);
	if (r == 0)
		r = email_share(&s->db, a, s->recent.blob, (int64_t)from->length, from->date,
		    thread, ret_email);
	if (r == 0)
		r = thread_keep(&s->db, a->id, threads, thread > 0 ? thread : *ret_email);
	return r;
}

/* The bytes once more, or those of the last delivery when they are the same. */
static int put_email(struct shard *s, const struct account_row *a, struct blob_source *from,
    struct kurir_str message, int64_t *ret_email)
{
	struct email e;
	s->came = true;
	bool known = message.len > 0 && s->recent.blob > 0 &&
	    kurir_str_equal(message, kurir_str_of(s->recent.message));
	int r = known ? share_email(s, a, from, ret_email) : -ENOENT;
	if (r != -ENOENT)
		return r;
	r = email_put(&s->db, &s->blobs, a, from, &e);
	if (r == 0)
		*ret_email = e.id;
	if (r < 0 || message.len == 0 || message.len >= sizeof(s->recent.message))
		return r;
	memcpy(s->recent.message, message.ptr, message.len);
	s->recent.message[message.len] = '\0';
	s->recent.blob = e.blob;
	s->recent.threads = e.threads;
	return 0;
}

/* One that was delivered before is not delivered again: the queue's answer got lost. */
int put_delivery(struct shard *s, struct kurir_str account_name, struct account_row *a,
    struct kurir_reader *in, int fd, int64_t now)
{
	struct kurir_str id = kurir_get_text(in), message = kurir_get_text(in);
	struct blob_source from = { .fd = fd, .date = now, .account = account_name };
	struct message_row row = { .date = now, .saved = now, .keywords = KURIR_STR("") };
	struct mailbox_row inbox;
	from.mailbox = KURIR_STR("INBOX");
	from.offset = kurir_get_u64(in);
	from.length = kurir_get_u64(in);
	if (in->error < 0 || fd < 0)
		return -EBADMSG;
	row.size = (int64_t)from.length;
	int r = db_exec(&s->db, "INSERT INTO delivered(id, at) VALUES(?, ?)", "ti", id, now);
	if (r == -EEXIST)
		return 0;
	if (r == 0)
		r = over_quota(s->conf, a, from.length);
	if (r == 0)
		r = mailbox_load(&s->db, a, from.mailbox, &inbox);
	if (r == 0)
		r = put_email(s, a, &from, message, &row.email);
	if (r < 0)
		return r;
	a->modseq++;
	r = message_insert(&s->db, a, &inbox, &row);
	if (r == 0)
		r = mailbox_save(&s->db, &inbox);
	return r < 0 ? r : account_save(&s->db, a);
}

int put_append(struct shard *s, struct kurir_str account_name, struct account_row *a,
    struct kurir_str mailbox, struct kurir_reader *in, int fd, int64_t now,
    struct kurir_buf *reply)
{
	struct mailbox_row m;
	uint32_t count = kurir_get_u32(in);
	int r = mailbox_load(&s->db, a, mailbox, &m);
	if (r < 0)
		return r;
	int64_t first = m.uid_next, before = m.modseq;
	bool seen = count > 0 && m.recent == first;
	a->modseq++;
	for (uint32_t i = 0; i < count && r == 0; i++) {
		struct message_row row = { .flags = kurir_get_u32(in), .saved = now };
		struct blob_source from = {
			.fd = fd, .account = account_name, .mailbox = mailbox
		};
		row.keywords = kurir_get_text(in);
		row.date = (int64_t)kurir_get_u64(in);
		row.date = from.date = row.date != 0 ? row.date : now;
		from.offset = kurir_get_u64(in);
		from.length = kurir_get_u64(in);
		row.size = (int64_t)from.length;
		seen = seen && (row.flags & KURIR_MESSAGE_RECENT) != 0;
		row.flags &= KURIR_MESSAGE_RECENT - 1;
		if (in->error < 0 || fd < 0 || row.keywords.len > MODEL_KEYWORDS_MAX)
			return -EBADMSG;
		r = over_quota(s->conf, a, from.length);
		if (r == 0)
			r = put_email(s, a, &from, KURIR_STR(""), &row.email);
		if (r == 0)
			r = message_insert(&s->db, a, &m, &row);
	}
	if (seen)
		m.recent = m.uid_next;
	if (r == 0)
		r = mailbox_save(&s->db, &m);
	if (r == 0)
		r = account_save(&s->db, a);
	struct kurir_uid_range made = { (uint32_t)first, (uint32_t)m.uid_next - 1 };
	struct kurir_changed changed = { .target_validity = (uint32_t)m.uid_validity,
		.target = { count > 0, &made },
		.before = (uint64_t)before,
		.modseq = (uint64_t)m.modseq };
	return r < 0 ? r : kurir_put_changed(reply, &changed);
}
