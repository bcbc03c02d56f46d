/* pop3_mailbox.c - the TRANSACTION and UPDATE states (RFC 1939 sections 5 and 6).
 *
 * The numbers a session uses are those of one snapshot of INBOX; what arrives later waits for
 * the next session.  Nothing is deleted before QUIT. */

#include <errno.h>
#include <unistd.h>

#include "pop3.h"

#define DAY ((kurir_time)86400 * 1000)

/* What is marked goes, in one change: how many, or -errno. */
KURIR_PARKS static int expunge(struct pop3 *p, const bool *marked, size_t count)
{
	struct kurir_uid_range *ranges = kurir_alloc(kurir_scratch(), count * sizeof(*ranges));
	struct kurir_change change = { .kind = KURIR_CHANGE_EXPUNGE, .force = true };
	struct kurir_changed changed;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < p->view.count; i++) {
		uint32_t uid = p->view.messages[i].uid;

		if (!marked[i])
			continue;
		if (n > 0 && ranges[n - 1].last + 1 == uid)
			ranges[n - 1].last = uid;
		else
			ranges[n++] = (struct kurir_uid_range){ uid, uid };
	}
	change.uids = (struct kurir_uid_set){ n, ranges };
	r = p->store->change(p->store_self, kurir_conn_account(p->conn), KURIR_STR("INBOX"),
	    &change, kurir_now() + p->conf->login, kurir_scratch(), &changed);
	return r < 0 ? r : (int)count;
}

/* Says so to who asks later where the messages are. */
KURIR_PARKS static void tell_expired(struct pop3 *p, size_t count)
{
	kurir_count(p->self, POP3_EXPIRED, count);
	KURIR_EMIT(p->self, KURIR_INFO, "expired", { "account", kurir_conn_account(p->conn) },
	    { "messages", kurir_format(kurir_scratch(), "%zu", count) });
}

/* What has come to INBOX too long ago is not in the session any more (RFC 2449 section 6.7): 1
 * when something went. */
KURIR_PARKS static int expire(struct pop3 *p)
{
	kurir_time before = kurir_wallclock() - p->conf->expire * DAY;
	size_t count = 0;
	int r;

	if (p->conf->expire <= 0)
		return 0;
	for (size_t i = 0; i < p->view.count; i++) {
		const struct kurir_message *m = &p->view.messages[i];

		/* What a message says of itself is not how long it is here. */
		p->deleted[i] = m->saved != 0 && m->saved < before;
		count += p->deleted[i];
	}
	if (count == 0)
		return 0;
	r = expunge(p, p->deleted, count);
	if (r < 0)
		return r;
	tell_expired(p, count);
	return 1;
}

KURIR_PARKS static int take_view(struct pop3 *p, kurir_time until)
{
	int r = p->store->view(p->store_self, kurir_conn_account(p->conn), KURIR_STR("INBOX"),
	    false, until, p->arena, &p->view);

	if (r < 0)
		return r;
	p->deleted = kurir_alloc(p->arena, p->view.count + 1);
	p->retrieved = kurir_alloc(p->arena, p->view.count + 1);
	return 0;
}

KURIR_PARKS int pop3_mailbox_open(struct pop3 *p)
{
	kurir_time until = kurir_now() + p->conf->login;
	struct kurir_str account = kurir_conn_account(p->conn);
	int r;

	p->store = kurir_service_find("store", NULL, &p->store_self);
	if (!p->store)
		return -ENOENT;
	p->arena = kurir_conn_arena(p->conn);
	r = p->store->lock(p->store_self, account, KURIR_STR("INBOX"), until, p->arena);
	if (r >= 0)
		r = take_view(p, until);
	if (r >= 0)
		r = expire(p);
	return r > 0 ? take_view(p, until) : r;
}

/* Number and octets of what is not marked as deleted. */
static size_t remaining(const struct pop3 *p, uint64_t *ret_octets)
{
	*ret_octets = 0;
	for (size_t i = 0; i < p->view.count; i++)
		if (!p->deleted[i])
			*ret_octets += p->view.messages[i].size;
	return p->view.count - p->deleted_count;
}

/* The message of an argument, or an error said to the client. */
KURIR_PARKS static const struct kurir_message *message(struct pop3 *p, struct kurir_str arg)
{
	uint64_t n;

	if (pop3_number(arg, &n) < 0 || n == 0 || n > p->view.count) {
		pop3_err(p, "No such message");
		return NULL;
	}
	if (p->deleted[n - 1]) {
		pop3_err(p, "Message %llu is marked as deleted", (unsigned long long)n);
		return NULL;
	}
	return &p->view.messages[n - 1];
}

KURIR_PARKS void pop3_stat(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	uint64_t octets;
	size_t n = remaining(p, &octets);

	(void)args;
	(void)count;
	pop3_ok(p, "%zu %llu", n, (unsigned long long)octets);
}

/* The unique-id: UIDVALIDITY and UID never come back together for another message. */
KURIR_PARKS static void print_uidl(struct pop3 *p, size_t i, const char *before)
{
	kurir_printf(p->stream, "%s%zu %08x%08x\r\n", before, i + 1, p->view.uid_validity,
	    p->view.messages[i].uid);
}

KURIR_PARKS static void print_size(struct pop3 *p, size_t i, const char *before)
{
	kurir_printf(p->stream, "%s%zu %llu\r\n", before, i + 1,
	    (unsigned long long)p->view.messages[i].size);
}

KURIR_PARKS static void listing(struct pop3 *p, const struct kurir_str *args, unsigned count,
    void (*print)(struct pop3 *, size_t, const char *) KURIR_PARKS)
{
	const struct kurir_message *m;
	uint64_t octets;
	size_t n;

	if (count == 2) {
		m = message(p, args[1]);
		if (m)
			print(p, (size_t)(m - p->view.messages), "+OK ");
		return;
	}
	n = remaining(p, &octets);
	pop3_ok(p, "%zu messages (%llu octets)", n, (unsigned long long)octets);
	for (size_t i = 0; i < p->view.count; i++)
		if (!p->deleted[i])
			print(p, i, "");
	kurir_write(p->stream, KURIR_STR(".\r\n"));
}

KURIR_PARKS void pop3_list(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	listing(p, args, count, print_size);
}

KURIR_PARKS void pop3_uidl(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	listing(p, args, count, print_uidl);
}

KURIR_PARKS static void send_message(struct pop3 *p, struct kurir_str number, int64_t lines)
{
	const struct kurir_message *m = message(p, number);
	struct kurir_body body;
	int r;

	if (!m)
		return;
	r = p->store->open(p->store_self, kurir_conn_account(p->conn), KURIR_STR("INBOX"), m,
	    kurir_now() + p->conf->login, &body);
	if (r < 0) {
		pop3_err(p,
		    r == -ENOENT ? "Somebody else deleted this message"
				 : "[SYS/TEMP] Cannot read this message now");
		return;
	}
	pop3_ok(p, "%llu octets", (unsigned long long)body.length);
	r = pop3_send_body(p, &body, lines);
	close(body.fd);
	if (r < 0) {
		/* The client must not take a part for the whole. */
		p->over = true;
		kurir_drop_input(p->stream);
		return;
	}
	if (lines < 0) {
		kurir_count(p->self, POP3_RETRIEVED, 1);
		p->retrieved[m - p->view.messages] = true;
	}
}

KURIR_PARKS void pop3_retr(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	(void)count;
	send_message(p, args[1], -1);
}

KURIR_PARKS void pop3_top(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	uint64_t lines;

	(void)count;
	if (pop3_number(args[2], &lines) < 0)
		pop3_err(p, "Not a number of lines");
	else
		send_message(p, args[1], (int64_t)lines);
}

KURIR_PARKS void pop3_dele(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	const struct kurir_message *m = message(p, args[1]);

	(void)count;
	if (!m)
		return;
	p->deleted[m - p->view.messages] = true;
	p->deleted_count++;
	pop3_ok(p, "Marked as deleted");
}

KURIR_PARKS void pop3_rset(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	(void)args;
	(void)count;
	for (size_t i = 0; i < p->view.count; i++)
		p->deleted[i] = false;
	p->deleted_count = 0;
	pop3_ok(p, "%zu messages", p->view.count);
}

/* Those of which no copy is to stay here are marked too. */
static size_t mark_retrieved(struct pop3 *p)
{
	size_t count = 0;

	for (size_t i = 0; i < p->view.count && p->conf->expire == 0; i++) {
		if (!p->retrieved[i] || p->deleted[i])
			continue;
		p->deleted[i] = true;
		count++;
	}
	return count;
}

/* QUIT in TRANSACTION: deletes what was marked, in one change, and says how it went. */
KURIR_PARKS void pop3_update(struct pop3 *p)
{
	size_t expired = mark_retrieved(p), count = p->deleted_count + expired;
	int r = count > 0 ? expunge(p, p->deleted, count) : 0;

	if (r < 0) {
		kurir_log(p->self, KURIR_WARN, r, "cannot delete %zu messages, they stay", count);
		pop3_err(p, "[SYS/TEMP] Some messages were not deleted");
		return;
	}
	kurir_count(p->self, POP3_DELETED, p->deleted_count);
	if (expired > 0)
		tell_expired(p, expired);
	if (count == 0)
		pop3_ok(p, "Bye");
	else
		pop3_ok(p, "Bye, %zu messages deleted", count);
}
