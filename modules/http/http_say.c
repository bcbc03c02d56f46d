/* http_say.c - a step of SMTP as a JSON object. */
#include "http.h"

#include <kurir/session.h>
#include <kurir/stream.h>
#include <stdlib.h>
#include <string.h>

const char *const http_points[] = { "connect", "helo", "auth", "mail", "rcpt", "data", "message",
	NULL };

/* Bytes that are no UTF-8 become "?": an address of an old client may have them. */
static json_t *text(struct kurir_str s)
{
	json_t *v = json_stringn(s.ptr, s.len);
	char *copy;

	if (v != NULL)
		return v;
	copy = malloc(s.len + 1);
	if (copy == NULL)
		return NULL;
	for (size_t i = 0; i < s.len; i++)
		copy[i] = (unsigned char)s.ptr[i] < 128 ? s.ptr[i] : '?';
	v = json_stringn(copy, s.len);
	free(copy);
	return v;
}

static void put(json_t *to, const char *name, struct kurir_str value)
{
	(void)json_object_set_new(to, name, text(value));
}

static json_t *connection(struct kurir_conn *c)
{
	json_t *v = json_object();

	put(v, "id", kurir_conn_id(c));
	put(v, "peer", kurir_conn_peer(c));
	(void)json_object_set_new(v, "port", json_integer(kurir_conn_peer_port(c)));
	put(v, "listener", kurir_conn_listener(c));
	put(v, "protocol", kurir_conn_protocol(c));
	put(v, "account", kurir_conn_account(c));
	put(v, "tls", kurir_tls_summary(kurir_conn_stream(c)));
	return v;
}

static void transaction(json_t *to, struct kurir_tx *tx)
{
	json_t *list = json_array();

	put(to, "id", kurir_tx_id(tx));
	put(to, "helo", kurir_tx_helo(tx));
	put(to, "sender", kurir_tx_sender(tx));
	(void)json_object_set_new(to, "trusted", json_boolean(kurir_tx_trusted(tx)));
	for (size_t i = 0; i < kurir_tx_rcpt_count(tx); i++)
		(void)json_array_append_new(
		    list, text(kurir_rcpt_address(kurir_tx_rcpt_at(tx, i))));
	(void)json_object_set_new(to, "recipients", list);
}

struct kurir_str http_say(struct kurir_arena *arena, const struct http_step *s)
{
	json_t *v = json_object();
	struct kurir_str line = KURIR_STR("");
	char *dump;

	put(v, "point", kurir_str_of(http_points[s->at]));
	(void)json_object_set_new(v, "connection", connection(s->conn));
	if (s->tx != NULL)
		transaction(v, s->tx);
	switch (s->at) {
	case AT_HELO:
		put(v, "helo", s->value);
		break;
	case AT_AUTH:
		put(v, "account", s->value);
		break;
	case AT_RCPT:
		put(v, "recipient", s->value);
		break;
	case AT_MESSAGE:
		(void)json_object_set_new(
		    v, "size", json_integer((json_int_t)kurir_tx_size(s->tx)));
		break;
	default: /* the sender stands in the transaction already */
		break;
	}
	dump = json_dumps(v, JSON_COMPACT);
	if (dump != NULL)
		line = kurir_copy(arena, kurir_str_of(dump));
	free(dump);
	json_decref(v);
	return line;
}
