/* ticket.c - what the access role takes as proof that someone logged in.
 * 32 random bytes, made and kept in the auth role, good for one session of one protocol within 30
 * seconds.  The digits after the dot are no secret: they say which auth process to ask. */
#include "auth.h"
#include "channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#define TICKET_BYTES 32
#define TICKET_LIFE  30000
#define TICKET_SLOTS 8192 /* logins in 30 seconds; then the oldest are forgotten */
#define TICKET_TEXT  (2 * TICKET_BYTES + 1 + 16)
#define NAME_MAX_LEN 1024

/* Only the digest is kept, so that looking it up tells nothing by its time. */
struct ticket {
	unsigned char digest[SHA256_DIGEST_LENGTH];
	kurir_time until;	  /* 0: free */
	char *account, *protocol; /* owned */
};
static struct ticket tickets[TICKET_SLOTS];
static size_t ticket_next;

static void ticket_clear(struct ticket *t)
{
	free(t->account);
	free(t->protocol);
	memset(t, 0, sizeof(*t));
}

static void hex(char *to, const unsigned char *from, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		to[2 * i] = digits[from[i] >> 4];
		to[2 * i + 1] = digits[from[i] & 15];
	}
}

static char *duplicate(struct kurir_str s)
{
	char *p = calloc(1, s.len + 1);

	if (p != NULL)
		memcpy(p, s.ptr, s.len);
	return p;
}

int ticket_issue(struct kurir_arena *arena, uint64_t key, struct kurir_str account,
    struct kurir_str protocol, struct kurir_str *ret)
{
	unsigned char secret[TICKET_BYTES], place[8];
	struct ticket *t = &tickets[ticket_next++ % TICKET_SLOTS];
	char *text = kurir_alloc(arena, TICKET_TEXT + 1);

	if (account.len > NAME_MAX_LEN || protocol.len > NAME_MAX_LEN)
		return -EMSGSIZE;
	if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret))
		return -EIO;
	for (unsigned i = 0; i < 8; i++)
		place[i] = (unsigned char)(key >> (56 - 8 * i));
	hex(text, secret, sizeof(secret));
	text[2 * TICKET_BYTES] = '.';
	hex(text + 2 * TICKET_BYTES + 1, place, sizeof(place));
	OPENSSL_cleanse(secret, sizeof(secret));
	ticket_clear(t);
	t->account = duplicate(account);
	t->protocol = duplicate(protocol);
	if (t->account == NULL || t->protocol == NULL) {
		ticket_clear(t);
		return -ENOMEM;
	}
	SHA256((const unsigned char *)text, TICKET_TEXT, t->digest);
	t->until = kurir_now() + TICKET_LIFE;
	*ret = (struct kurir_str){ text, TICKET_TEXT };
	return 0;
}

int ticket_take(struct kurir_arena *arena, struct kurir_str text, struct kurir_str protocol,
    struct kurir_str *ret_account)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	int r = -EACCES;

	if (text.len != TICKET_TEXT)
		return -EACCES;
	SHA256((const unsigned char *)text.ptr, text.len, digest);
	for (size_t i = 0; i < TICKET_SLOTS; i++) {
		struct ticket *t = &tickets[i];

		if (t->until == 0 || memcmp(t->digest, digest, sizeof(digest)) != 0)
			continue;
		if (t->until >= kurir_now() &&
		    kurir_str_equal(kurir_str_of(t->protocol), protocol)) {
			*ret_account = kurir_copy(arena, kurir_str_of(t->account));
			r = 0;
		}
		ticket_clear(t);
		break;
	}
	return r;
}

/* ticket.redeem: text ticket, text protocol -> text account */
static int ticket_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct kurir_reader rd = KURIR_READER(in->body);
	struct kurir_str ticket = kurir_get_text(&rd), protocol = kurir_get_text(&rd), account;
	int r = rd.error;

	if (r == 0)
		r = ticket_take(kurir_scratch(), ticket, protocol, &account);
	if (r == 0)
		r = kurir_put_text(reply, account);
	return r;
}

/* The key after the dot; 0 when it is none, which no process knows a ticket for. */
static uint64_t ticket_key(struct kurir_str text)
{
	uint64_t key = 0;

	for (size_t i = 2 * TICKET_BYTES + 1; i < text.len && i < TICKET_TEXT; i++) {
		char c = text.ptr[i];

		key = key << 4 |
		    (uint64_t)(c >= '0' && c <= '9' ? c - '0'
			    : c >= 'a' && c <= 'f'  ? c - 'a' + 10
						    : 0);
	}
	return key;
}

KURIR_PARKS int ticket_redeem(struct kurir_str ticket, struct kurir_str protocol,
    kurir_time until, struct kurir_arena *arena, struct kurir_str *ret_account)
{
	struct kurir_buf body = KURIR_BUF(4096);
	struct kurir_request rq = {
		.endpoint = "ticket.redeem", .key = ticket_key(ticket), .fd = -1
	};
	struct kurir_str reply, account;
	struct kurir_reader rd;
	int r = kurir_put_text(&body, ticket);

	if (r == 0)
		r = kurir_put_text(&body, protocol);
	rq.body = kurir_buf_str(&body);
	if (r == 0)
		r = kurir_call(NULL, &rq, until, arena, &reply);
	if (r >= 0) {
		rd = KURIR_READER(reply);
		account = kurir_get_text(&rd);
		r = rd.error < 0 ? rd.error : account.len == 0 ? -EBADMSG : 0;
		if (r == 0)
			*ret_account = account;
	}
	kurir_buf_free(&body);
	return r;
}

void ticket_serve(void)
{
	channel_serve("ticket.redeem", KURIR_ROLE_AUTH, ticket_called, NULL);
}
