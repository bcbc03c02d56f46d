/* dns_packet.c - from a DNS message to an answer.  Takes any bytes; never does I/O.
 *
 * RFC 1035 4.1: message = header question answer authority additional; names may be compressed
 * by pointers, which only ever lead backwards here. */
#include "dns_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CNAMES_MAX 16
#define RRS_MAX	   1024

struct packet {
	const unsigned char *p;
	size_t len;
};
struct rr {
	struct kurir_str owner; /* lower case */
	uint16_t type;
	uint32_t ttl;
	size_t data, len; /* place of the rdata in the packet */
};

static const struct {
	enum kurir_dns_type type;
	const char *name;
} types[] = {
	{ KURIR_DNS_A, "A" },
	{ KURIR_DNS_CNAME, "CNAME" },
	{ KURIR_DNS_PTR, "PTR" },
	{ KURIR_DNS_MX, "MX" },
	{ KURIR_DNS_TXT, "TXT" },
	{ KURIR_DNS_AAAA, "AAAA" },
	{ KURIR_DNS_TLSA, "TLSA" },
};

const char *dns_type_name(enum kurir_dns_type type)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].type == type)
			return types[i].name;
	return "TYPE";
}

int dns_name(struct kurir_arena *arena, struct kurir_str name, struct kurir_str *ret)
{
	size_t label = 0;

	if (name.len > 1 && name.ptr[name.len - 1] == '.')
		name.len--;
	if (name.len == 0 || name.len > 253)
		return -EINVAL;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.ptr[i];

		if (c <= ' ' || c >= 127 || c == '\\' || c == '"' || c == '(' || c == ')' ||
		    c == ';')
			return -EINVAL;
		if (c == '.' && label == 0)
			return -EINVAL;
		label = c == '.' ? 0 : label + 1;
		if (label > 63)
			return -EINVAL;
	}
	if (label == 0)
		return -EINVAL;
	*ret = kurir_lower(arena, name);
	return 0;
}

static uint16_t get16(const struct packet *k, size_t at)
{
	return (uint16_t)(k->p[at] << 8 | k->p[at + 1]);
}

/* One label byte as text; what would be read as something else is written as \DDD. */
static size_t put_byte(char *to, unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		c = (unsigned char)(c + 32);
	if (c > ' ' && c < 127 && c != '.' && c != '\\' && c != '"') {
		to[0] = (char)c;
		return 1;
	}
	to[0] = '\\';
	to[1] = (char)('0' + c / 100);
	to[2] = (char)('0' + c / 10 % 10);
	to[3] = (char)('0' + c % 10);
	return 4;
}

/* RFC 1035 4.1.4.  *ret_after: behind the name in place.  The root is "". */
static int get_name(const struct packet *k, size_t at, struct kurir_arena *arena,
    size_t *ret_after, struct kurir_str *ret)
{
	char text[4 * DNS_NAME_MAX + 1];
	size_t n = 0, wire = 1, after = 0, bound = at + 1;

	for (;;) {
		unsigned char c;

		if (at >= k->len)
			return -EBADMSG;
		c = k->p[at];
		if ((c & 0xc0) == 0xc0) {
			size_t to;

			if (at + 1 >= k->len)
				return -EBADMSG;
			to = (size_t)(c & 0x3f) << 8 | k->p[at + 1];
			if (after == 0)
				after = at + 2;
			if (to + 1 >= bound)
				return -EBADMSG;
			bound = to + 1;
			at = to;
			continue;
		}
		if (c & 0xc0)
			return -EBADMSG;
		if (c == 0)
			break;
		wire += (size_t)c + 1;
		if (wire > DNS_NAME_MAX || at + 1 + c > k->len)
			return -EBADMSG;
		if (n > 0)
			text[n++] = '.';
		for (size_t i = 1; i <= c; i++)
			n += put_byte(text + n, k->p[at + i]);
		at += (size_t)c + 1;
	}
	*ret_after = after != 0 ? after : at + 1;
	*ret = kurir_copy(arena, (struct kurir_str){ text, n });
	return 0;
}

static int get_rr(const struct packet *k, size_t *at, struct kurir_arena *arena, struct rr *ret)
{
	size_t after;
	int r = get_name(k, *at, arena, &after, &ret->owner);

	if (r < 0)
		return r;
	if (k->len - after < 10)
		return -EBADMSG;
	ret->type = get16(k, after);
	ret->ttl = (uint32_t)get16(k, after + 4) << 16 | get16(k, after + 6);
	ret->len = get16(k, after + 8);
	ret->data = after + 10;
	if (k->len - ret->data < ret->len)
		return -EBADMSG;
	if (get16(k, after + 2) != 1) /* class IN */
		ret->type = 0;
	*at = ret->data + ret->len;
	return 0;
}

/* TXT-DATA = 1*( length-octet *OCTET ), joined. */
static int get_txt(
    const struct packet *k, const struct rr *rr, struct kurir_arena *arena, struct kurir_str *ret)
{
	char *to = kurir_alloc(arena, rr->len + 1);
	size_t n = 0;

	for (size_t i = 0; i < rr->len;) {
		size_t piece = k->p[rr->data + i++];

		if (piece > rr->len - i)
			return -EBADMSG;
		memcpy(to + n, k->p + rr->data + i, piece);
		n += piece;
		i += piece;
	}
	*ret = (struct kurir_str){ to, n };
	return 0;
}

static int get_record(const struct packet *k, const struct rr *rr, struct kurir_arena *arena,
    struct kurir_dns_record *ret)
{
	char text[INET6_ADDRSTRLEN];
	size_t after;

	switch (rr->type) {
	case KURIR_DNS_A:
	case KURIR_DNS_AAAA:
		if (rr->len != (rr->type == KURIR_DNS_A ? 4u : 16u))
			return -EBADMSG;
		if (inet_ntop(rr->type == KURIR_DNS_A ? AF_INET : AF_INET6, k->p + rr->data, text,
			sizeof(text)) == NULL)
			return -EBADMSG;
		ret->text = kurir_copy(arena, kurir_str_of(text));
		return 0;
	case KURIR_DNS_MX:
		if (rr->len < 3)
			return -EBADMSG;
		ret->preference = get16(k, rr->data);
		return get_name(k, rr->data + 2, arena, &after, &ret->text);
	case KURIR_DNS_CNAME:
	case KURIR_DNS_PTR:
		return get_name(k, rr->data, arena, &after, &ret->text);
	case KURIR_DNS_TXT:
		return get_txt(k, rr, arena, &ret->text);
	default:
		ret->text = kurir_copy(
		    arena, (struct kurir_str){ (const char *)k->p + rr->data, rr->len });
		return 0;
	}
}

/* All records of the answer section; NULL when the packet is broken. */
static struct rr *get_answers(
    const struct packet *k, struct kurir_arena *arena, size_t *ret_count)
{
	size_t at = 12, count, after;
	struct kurir_str skip;
	struct rr *rrs;

	if (k->len < 12)
		return NULL;
	for (unsigned q = get16(k, 4); q > 0; q--) {
		if (get_name(k, at, arena, &after, &skip) < 0 || k->len - after < 4)
			return NULL;
		at = after + 4;
	}
	count = get16(k, 6);
	if (count > RRS_MAX)
		return NULL;
	rrs = kurir_alloc(arena, (count + 1) * sizeof(*rrs));
	for (size_t i = 0; i < count; i++)
		if (get_rr(k, &at, arena, &rrs[i]) < 0)
			return NULL;
	*ret_count = count;
	return rrs;
}

static int by_preference(const void *a, const void *b)
{
	const struct kurir_dns_record *x = a, *y = b;

	if (x->preference != y->preference)
		return x->preference < y->preference ? -1 : 1;
	return kurir_str_compare(x->text, y->text);
}

/* Follows the CNAMEs from name, then takes the records of the type that was asked for. */
static int collect(const struct packet *k, enum kurir_dns_type type, struct kurir_arena *arena,
    struct kurir_dns_answer *a)
{
	size_t count = 0, hops = 0;
	struct rr *rrs = get_answers(k, arena, &count);
	struct kurir_dns_record *records;

	if (rrs == NULL)
		return -EBADMSG;
	for (size_t i = 0; type != KURIR_DNS_CNAME && i < count;) {
		struct kurir_dns_record to = { 0 };

		if (rrs[i].type != KURIR_DNS_CNAME ||
		    !kurir_str_equal(rrs[i].owner, a->canonical)) {
			i++;
			continue;
		}
		if (++hops > CNAMES_MAX || get_record(k, &rrs[i], arena, &to) < 0)
			return -EBADMSG;
		a->canonical = to.text;
		a->ttl = rrs[i].ttl < a->ttl ? rrs[i].ttl : a->ttl;
		i = 0;
	}
	records = kurir_alloc(arena, (count + 1) * sizeof(*records));
	for (size_t i = 0; i < count && a->count < DNS_RECORDS_MAX; i++) {
		if (rrs[i].type != type || !kurir_str_equal(rrs[i].owner, a->canonical))
			continue;
		if (get_record(k, &rrs[i], arena, &records[a->count]) < 0)
			return -EBADMSG;
		a->count++;
		a->ttl = rrs[i].ttl < a->ttl ? rrs[i].ttl : a->ttl;
	}
	if (type == KURIR_DNS_MX && a->count > 1)
		qsort(records, a->count, sizeof(*records), by_preference);
	a->records = records;
	return 0;
}

static void put_record(
    struct kurir_buf *b, enum kurir_dns_type type, const struct kurir_dns_record *r)
{
	const unsigned char *p = (const unsigned char *)r->text.ptr;

	if (type == KURIR_DNS_MX)
		(void)kurir_buf_printf(b, "%u %.*s", r->preference,
		    r->text.len > 0 ? (int)r->text.len : 1, r->text.len > 0 ? r->text.ptr : ".");
	else if (type == KURIR_DNS_TLSA && r->text.len > 3)
		(void)kurir_buf_printf(b, "%u %u %u %02x%02x...", p[0], p[1], p[2], p[3],
		    r->text.len > 4 ? p[4] : 0u);
	else
		(void)kurir_buf_printf(
		    b, "%.*s", r->text.len > 80 ? 80 : (int)r->text.len, r->text.ptr);
}

/* "MX dua.example = 10 mx.dua.example (insecure, ttl 300)" */
static struct kurir_str summary(const struct dns_raw *raw, int rcode, struct kurir_str name,
    enum kurir_dns_type type, struct kurir_arena *arena, const struct kurir_dns_answer *a)
{
	static const char *const words[] = { "", "no such record", "no such name",
		"server failure", "forged or broken (DNSSEC)" };
	struct kurir_buf b = KURIR_BUF(1000);
	struct kurir_str s;

	(void)kurir_buf_printf(&b, "%s %.*s", dns_type_name(type), KURIR_ARG(name));
	if (!kurir_str_equal(name, a->canonical))
		(void)kurir_buf_printf(&b, " -> %.*s", KURIR_ARG(a->canonical));
	if (a->status != KURIR_DNS_FOUND)
		(void)kurir_buf_printf(&b, ": %s", words[a->status]);
	for (size_t i = 0; i < a->count && b.len < 600; i++) {
		(void)kurir_buf_printf(&b, i == 0 ? " = " : ", ");
		put_record(&b, type, &a->records[i]);
	}
	if (a->status == KURIR_DNS_BOGUS && raw->why.len > 0)
		(void)kurir_buf_printf(
		    &b, ": %.*s", raw->why.len > 200 ? 200 : (int)raw->why.len, raw->why.ptr);
	else if (a->status == KURIR_DNS_SERVFAIL)
		(void)kurir_buf_printf(&b, " (code %d)", rcode);
	else if (a->status != KURIR_DNS_BOGUS)
		(void)kurir_buf_printf(
		    &b, " (%s, ttl %u)", a->secure ? "secure" : "insecure", a->ttl);
	s = kurir_copy(arena, kurir_buf_str(&b));
	kurir_buf_free(&b);
	return s;
}

void dns_answer_of(const struct dns_raw *raw, struct kurir_str name, enum kurir_dns_type type,
    struct kurir_arena *arena, struct kurir_dns_answer *ret)
{
	struct packet k = { (const unsigned char *)raw->packet.ptr, raw->packet.len };
	struct kurir_dns_answer a = { .canonical = name, .ttl = 86400 };
	int rcode = raw->rcode;

	/* libunbound's code is about the asking; what the server said stands in the message. */
	if (rcode == 0 && k.len >= 12)
		rcode = k.p[3] & 15;
	a.secure = raw->secure && !raw->bogus;
	if (raw->bogus)
		a.status = KURIR_DNS_BOGUS;
	else if (rcode != 0 && rcode != 3)
		a.status = KURIR_DNS_SERVFAIL;
	else if (k.len > 0 && collect(&k, type, arena, &a) < 0)
		a.status = KURIR_DNS_SERVFAIL;
	else if (rcode == 3)
		a.status = KURIR_DNS_NXDOMAIN;
	else
		a.status = a.count > 0 ? KURIR_DNS_FOUND : KURIR_DNS_NODATA;
	if (a.status != KURIR_DNS_FOUND) {
		a.count = 0;
		a.records = NULL;
		a.ttl = 0;
	}
	if (a.status == KURIR_DNS_SERVFAIL || a.status == KURIR_DNS_BOGUS)
		a.secure = false;
	a.summary = summary(raw, rcode, name, type, arena, &a);
	*ret = a;
}
