/* imap_url.c - URLs of messages of this account (RFC 5092 section 9, the relative forms of
 * section 7; those that name a server are not ours to read).
 *
 *   ipath-query  = ["/" enc-mailbox [uidvalidity] "/"] iuid ["/" isection] ["/" ipartial]
 *   uidvalidity  = ";UIDVALIDITY=" nz-number
 *   iuid         = ";UID=" nz-number
 *   isection     = ";SECTION=" enc-section
 *   ipartial     = ";PARTIAL=" number ["." nz-number] */

#include <errno.h>

#include "imap_incoming.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "%" HEXDIG HEXDIG is a byte, in UTF-8; never a NUL. */
static int decode(struct kurir_str in, struct kurir_str *ret)
{
	char *out = kurir_alloc(kurir_scratch(), in.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		int high, low;

		if (in.ptr[i] != '%') {
			out[n++] = in.ptr[i];
			continue;
		}
		if (i + 2 >= in.len)
			return -EBADMSG;
		high = hex(in.ptr[i + 1]);
		low = hex(in.ptr[i + 2]);
		if (high < 0 || low < 0 || high + low == 0)
			return -EBADMSG;
		out[n++] = (char)(high << 4 | low);
		i += 2;
	}
	*ret = (struct kurir_str){ out, n };
	return 0;
}

static int take_number(struct kurir_str *s, uint64_t *ret)
{
	struct imap_args a = { .rest = *s };
	int r = imap_number(&a, ret);

	*s = a.rest;
	return r;
}

static bool take_word(struct kurir_str *s, const char *word)
{
	struct kurir_str w = kurir_str_of(word);

	if (!kurir_str_starts_nocase(*s, w))
		return false;
	*s = kurir_str_part(*s, w.len, s->len);
	return true;
}

/* enc-mailbox [uidvalidity] "/" up to ";UID="; a mailbox may have "/" in its name. */
static int take_mailbox(struct kurir_str *s, struct imap_url *url)
{
	struct kurir_buf check = KURIR_BUF(4096);
	struct kurir_str name;
	size_t n = 0;
	uint64_t v;
	int r;

	while (n < s->len && s->ptr[n] != ';')
		n++;
	name = kurir_str_part(*s, 0, n);
	*s = kurir_str_part(*s, n, s->len);
	if (take_word(s, ";UIDVALIDITY=")) {
		if (take_number(s, &v) < 0 || v == 0 || !take_word(s, "/"))
			return -EBADMSG;
		url->validity = (uint32_t)v;
	} else if (name.len > 0 && name.ptr[name.len - 1] == '/') {
		name.len--;
	} else {
		return -EBADMSG;
	}
	if (name.len == 0 || decode(name, &url->mailbox) < 0)
		return -EBADMSG;
	if (kurir_str_equal_nocase(url->mailbox, KURIR_STR("INBOX")))
		url->mailbox = KURIR_STR("INBOX");
	r = kurir_utf7_encode(&check, url->mailbox, ""); /* whether it is UTF-8 */
	kurir_buf_free(&check);
	return r < 0 ? -EBADMSG : 0;
}

static int take_section(struct kurir_str *s, struct imap_url *url)
{
	struct imap_args a = { .depth = 0 };
	size_t n = 0;

	while (n < s->len && s->ptr[n] != '/' && s->ptr[n] != ';')
		n++;
	if (decode(kurir_str_part(*s, 0, n), &a.rest) < 0 ||
	    imap_section_parse(&a, &url->item) < 0 || !imap_end(&a))
		return -EBADMSG;
	*s = kurir_str_part(*s, n, s->len);
	return 0;
}

int imap_url_parse(struct kurir_str s, struct imap_url *ret)
{
	struct imap_url url = { .mailbox = KURIR_STR(""), .item.kind = IMAP_ITEM_SECTION };
	uint64_t n;

	if (take_word(&s, "/") && !kurir_str_starts_nocase(s, KURIR_STR(";UID=")) &&
	    take_mailbox(&s, &url) < 0)
		return -EBADMSG;
	if (!take_word(&s, ";UID=") || take_number(&s, &n) < 0 || n == 0)
		return -EBADMSG;
	url.uid = (uint32_t)n;
	if ((take_word(&s, "/;SECTION=") || take_word(&s, ";SECTION=")) &&
	    take_section(&s, &url) < 0)
		return -EBADMSG;
	if (take_word(&s, "/;PARTIAL=") || take_word(&s, ";PARTIAL=")) {
		url.item.partial = true;
		url.item.octets = UINT32_MAX;
		if (take_number(&s, &url.item.start) < 0 ||
		    (take_word(&s, ".") &&
			(take_number(&s, &url.item.octets) < 0 || url.item.octets == 0)))
			return -EBADMSG;
	}
	if (s.len > 0)
		return -EBADMSG;
	*ret = url;
	return 0;
}
