/* smtp_owner.c - who may send as whom.  An account owns the addresses that lead to its mailbox;
 * the services "accounts" tell which.  Where there are none, everything is allowed. */
#include "smtp_private.h"

#include <errno.h>
#include <kurir/accounts.h>

#define WALK_MAX 256   /* addresses that an alias stands for */
#define FROM_MAX 16    /* addresses in one From field */
#define PATIENCE 60000 /* milliseconds, for one address */

/* What the first service says that knows the domain.  1, 0: foreign to all, or -errno. */
KURIR_PARKS static int find(struct kurir_str address, struct kurir_account_match *ret)
{
	const struct kurir_accounts_ops *ops;
	struct kurir_self *owner = NULL;

	for (unsigned n = 0; (ops = kurir_service_at("accounts", n, &owner)) != NULL; n++) {
		int r = ops->find(owner, address, kurir_now() + PATIENCE, kurir_scratch(), ret);

		if (r < 0 || ret->kind != KURIR_ACCOUNT_FOREIGN)
			return r < 0 ? r : 1;
	}
	return 0;
}

/* 1: the account owns the address, 0: it does not, or -errno. */
KURIR_PARKS static int owns(struct kurir_str account, struct kurir_str address)
{
	struct kurir_str *walk = kurir_alloc(kurir_scratch(), WALK_MAX * sizeof(*walk));
	size_t count = 1;

	walk[0] = address;
	for (size_t i = 0; i < count; i++) {
		struct kurir_account_match m = { .kind = KURIR_ACCOUNT_FOREIGN };
		int r;

		if (kurir_str_equal_nocase(walk[i], account))
			return 1;
		r = find(walk[i], &m);
		if (r < 0)
			return r;
		if (r == 1 && m.kind == KURIR_ACCOUNT_MAILBOX &&
		    kurir_str_equal_nocase(m.account, account))
			return 1;
		for (size_t k = 0; r == 1 && k < m.addresses.count && count < WALK_MAX; k++)
			walk[count++] = m.addresses.items[k];
	}
	return 0;
}

bool smtp_senders_limited(const struct smtp *s)
{
	struct kurir_str account = kurir_conn_account(s->conn);
	struct kurir_self *owner;

	if (!s->authenticated || !s->conf->own_senders ||
	    kurir_service_find("accounts", NULL, &owner) == NULL)
		return false;
	for (size_t i = 0; i < s->conf->any_sender.count; i++)
		if (kurir_str_equal_nocase(s->conf->any_sender.items[i], account))
			return false;
	return true;
}

/* 0, or the answer that refuses. */
KURIR_PARKS static int may_send_as(
    struct smtp *s, struct kurir_str address, const char *where, struct kurir_answer *ret)
{
	struct kurir_str account = kurir_conn_account(s->conn);
	int r = owns(account, address);

	if (r == 1)
		return 0;
	if (r < 0) {
		*ret = (struct kurir_answer){ 451, KURIR_STR("4.3.0"),
			KURIR_STR("Cannot find out whose address that is, try again") };
		return r;
	}
	kurir_count(s->self, COUNT_SENDER_REFUSED, 1);
	*ret = (struct kurir_answer){ 550, KURIR_STR("5.7.1"),
		kurir_format(kurir_scratch(), "%s: %.*s may not send as %.*s", where,
		    KURIR_ARG(account), KURIR_ARG(address)) };
	return -EACCES;
}

int smtp_check_sender(struct smtp *s, struct kurir_str sender, struct kurir_answer *ret)
{
	int r;

	if (sender.len == 0 || !smtp_senders_limited(s))
		return 0;
	r = may_send_as(s, sender, "MAIL", ret);
	if (r < 0)
		KURIR_EMIT(s->self, KURIR_INFO, "mail",
		    { "verdict", r == -EACCES ? KURIR_STR("reject") : KURIR_STR("defer") },
		    { "from", sender }, { "account", kurir_conn_account(s->conn) },
		    { "peer", kurir_conn_peer(s->conn) }, { "why", KURIR_STR("sender") },
		    { "text", ret->text });
	return r;
}

int smtp_check_from(struct smtp *s, struct kurir_answer *ret)
{
	const struct smtp_head *h = &s->body.head;
	struct kurir_str list[FROM_MAX], value = { h->from, h->from_len };
	ssize_t colon = kurir_str_find(value, ':');
	size_t count = 0;
	int r;

	if (h->froms == 0 || !smtp_senders_limited(s))
		return 0;
	value = kurir_str_part(value, (size_t)(colon + 1), value.len);
	r = h->froms > 1 || h->from_cut
	    ? -EINVAL
	    : smtp_from(value, kurir_scratch(), list, FROM_MAX, &count);
	if (r < 0 || count == 0) {
		kurir_count(s->self, COUNT_SENDER_REFUSED, 1);
		*ret = (struct kurir_answer){ 550, KURIR_STR("5.7.1"),
			KURIR_STR("From: one field with an address that can be read, please") };
		return -EACCES;
	}
	for (size_t i = 0; r == 0 && i < count; i++)
		r = may_send_as(s, list[i], "From", ret);
	return r;
}
