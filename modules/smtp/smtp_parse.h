/* smtp_parse.h - parsers: they take bytes and do no input or output. */
#ifndef SMTP_PARSE_H
#define SMTP_PARSE_H

#include <kurir/module.h>

enum {				   /* what is allowed in a path */
	PATH_UTF8 = 1u << 0,	   /* RFC 6531 */
	PATH_NULL = 1u << 1,	   /* "<>" */
	PATH_POSTMASTER = 1u << 2, /* "<Postmaster>", without a domain */
};
/* Takes a path from the start of *rest.  *ret is "local@domain" in arena, domain in lower
 * case, quotes only where they are needed; "" for the null path, "postmaster" for the third.
 * 0; -EINVAL; -EMSGSIZE: too long; -EILSEQ: not ASCII, and UTF-8 is not allowed or broken. */
int smtp_path(
    struct kurir_str *rest, unsigned allowed, struct kurir_arena *, struct kurir_str *ret);
/* A domain or an address literal as a whole (EHLO's argument). */
bool smtp_is_domain(struct kurir_str, unsigned allowed);
bool smtp_is_literal(struct kurir_str); /* "[192.0.2.1]" "[IPv6:...]" "[tag:...]" */
bool smtp_is_utf8(struct kurir_str);

/* Takes the next " KEY=value" from *rest.  1; 0 at the end; -EINVAL.  Without "=" the
 * value's ptr is NULL. */
int smtp_param(struct kurir_str *rest, struct kurir_str *ret_key, struct kurir_str *ret_value);
bool smtp_is_xtext(struct kurir_str);
/* NOTIFY=: enum kurir_notify, or-ed, or -EINVAL. */
int smtp_notify(struct kurir_str, uint32_t *ret);
bool smtp_is_orcpt(struct kurir_str);
/* The addresses in the value of a From field, as smtp_path() gives them; 0, -EINVAL when it
 * cannot be read, -E2BIG when there are more than max. */
int smtp_from(struct kurir_str value, struct kurir_arena *, struct kurir_str *list, size_t max,
    size_t *ret_count);

#endif
