/* smtp_param.c - parameters of MAIL and RCPT, and the encodings of their values.
 *
 * RFC 5321 4.1.2:
 *   Mail-parameters = esmtp-param *(SP esmtp-param)
 *   esmtp-param     = esmtp-keyword ["=" esmtp-value]
 *   esmtp-keyword   = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
 *   esmtp-value     = 1*(%d33-60 / %d62-126)      ; RFC 6531: / UTF8-non-ascii
 */
#include "smtp_parse.h"

#include <kurir/smtp.h>

#include <errno.h>
#include <string.h>

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

int smtp_param(struct kurir_str *rest, struct kurir_str *ret_key, struct kurir_str *ret_value)
{
	struct kurir_str s = *rest;
	size_t i = 0, start;

	while (i < s.len && s.ptr[i] == ' ')
		i++;
	if (i == s.len)
		return 0;
	if (i == 0)
		return -EINVAL;
	start = i;
	while (i < s.len && (is_alnum(s.ptr[i]) || (s.ptr[i] == '-' && i > start)))
		i++;
	if (i == start)
		return -EINVAL;
	*ret_key = kurir_str_part(s, start, i - start);
	*ret_value = (struct kurir_str){ NULL, 0 };
	if (i < s.len && s.ptr[i] == '=') {
		start = ++i;
		/* "=" within a value occurs in the wild, so it is let through. */
		while (i < s.len && (unsigned char)s.ptr[i] > ' ' && s.ptr[i] != 0x7f)
			i++;
		if (i == start)
			return -EINVAL;
		*ret_value = kurir_str_part(s, start, i - start);
	}
	if (i < s.len && s.ptr[i] != ' ')
		return -EINVAL;
	*rest = kurir_str_part(s, i, s.len);
	return 1;
}

/*
 * RFC 3461 4:  xtext   = *( xchar / hexchar )
 *              xchar   = %d33-42 / %d44-60 / %d62-126
 *              hexchar = "+" 2(%x30-39 / %x41-46)
 */
bool smtp_is_xtext(struct kurir_str s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c < '!' || c > '~' || c == '=')
			return false;
		if (c != '+')
			continue;
		if (s.len - i < 3 || memchr("0123456789ABCDEF", s.ptr[i + 1], 16) == NULL ||
		    memchr("0123456789ABCDEF", s.ptr[i + 2], 16) == NULL)
			return false;
		i += 2;
	}
	return true;
}

/*
 * RFC 3461 4.1:  "NEVER" / 1#( "SUCCESS" / "FAILURE" / "DELAY" )
 */
int smtp_notify(struct kurir_str s, uint32_t *ret)
{
	static const struct {
		struct kurir_str name;
		uint32_t bit;
	} words[] = {
		{ { "NEVER", 5 }, KURIR_NOTIFY_NEVER },
		{ { "SUCCESS", 7 }, KURIR_NOTIFY_SUCCESS },
		{ { "FAILURE", 7 }, KURIR_NOTIFY_FAILURE },
		{ { "DELAY", 5 }, KURIR_NOTIFY_DELAY },
	};
	uint32_t all = 0;

	for (;;) {
		ssize_t comma = kurir_str_find(s, ',');
		struct kurir_str word = kurir_str_part(s, 0, comma < 0 ? s.len : (size_t)comma);
		size_t i;

		for (i = 0; i < 4; i++)
			if (kurir_str_equal_nocase(word, words[i].name))
				break;
		if (i == 4 || (all & words[i].bit) != 0)
			return -EINVAL;
		all |= words[i].bit;
		if (comma < 0)
			break;
		s = kurir_str_part(s, (size_t)comma + 1, s.len);
	}
	if ((all & KURIR_NOTIFY_NEVER) != 0 && all != KURIR_NOTIFY_NEVER)
		return -EINVAL;
	*ret = all;
	return 0;
}

/*
 * RFC 3461 4.2:  original-recipient-address = addr-type ";" xtext
 *                addr-type = atom
 * RFC 6533 3:    utf-8 types may carry UTF-8 itself.
 */
bool smtp_is_orcpt(struct kurir_str s)
{
	ssize_t semi = kurir_str_find(s, ';');
	struct kurir_str value;
	ssize_t i;

	if (semi < 1 || s.len > 500 || (size_t)semi + 1 >= s.len)
		return false;
	for (i = 0; i < semi; i++)
		if (!is_alnum(s.ptr[i]) && s.ptr[i] != '-')
			return false;
	value = kurir_str_part(s, (size_t)semi + 1, s.len);
	if (kurir_str_equal_nocase(kurir_str_part(s, 0, (size_t)semi), KURIR_STR("utf-8")))
		return smtp_is_utf8(value);
	return smtp_is_xtext(value);
}
