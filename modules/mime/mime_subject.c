/* mime_subject.c - the base subject (RFC 5256 sections 2.1 and 5).
 *
 *   subject         = *subj-leader [subj-middle] *subj-trailer
 *   subj-refwd      = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
 *   subj-blob       = "[" *BLOBCHAR "]" *WSP
 *   subj-fwd        = subj-fwd-hdr subject subj-fwd-trl
 *   subj-fwd-hdr    = "[fwd:"          subj-fwd-trl = "]"
 *   subj-leader     = (*subj-blob subj-refwd) / WSP
 *   subj-trailer    = "(fwd)" / WSP */

#include <string.h>

#include "mime.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct kurir_str skip_blanks(struct kurir_str s)
{
	size_t n = 0;

	while (n < s.len && is_blank(s.ptr[n]))
		n++;
	return kurir_str_part(s, n, s.len);
}

/* The length of "[" *BLOBCHAR "]" *WSP at the beginning of s, or 0. */
static size_t blob(struct kurir_str s)
{
	size_t n = 1;

	if (s.len < 2 || s.ptr[0] != '[')
		return 0;
	while (n < s.len && s.ptr[n] != '[' && s.ptr[n] != ']')
		n++;
	if (n == s.len || s.ptr[n] != ']')
		return 0;
	n++;
	while (n < s.len && is_blank(s.ptr[n]))
		n++;
	return n;
}

/* The length of subj-refwd at the beginning of s, or 0. */
static size_t refwd(struct kurir_str s)
{
	struct kurir_str rest;

	if (kurir_str_starts_nocase(s, KURIR_STR("fwd")))
		rest = kurir_str_part(s, 3, s.len);
	else if (kurir_str_starts_nocase(s, KURIR_STR("re")) ||
	    kurir_str_starts_nocase(s, KURIR_STR("fw")))
		rest = kurir_str_part(s, 2, s.len);
	else
		return 0;
	rest = skip_blanks(rest);
	rest = kurir_str_part(rest, blob(rest), rest.len);
	if (rest.len == 0 || rest.ptr[0] != ':')
		return 0;
	return s.len - rest.len + 1;
}

/* The length of *subj-blob, and where the last of them begins. */
static size_t blobs(struct kurir_str s, size_t *ret_last)
{
	size_t n = 0, b;

	*ret_last = 0;
	while ((b = blob(kurir_str_part(s, n, s.len))) > 0) {
		*ret_last = n;
		n += b;
	}
	return n;
}

static struct kurir_str cut_trailers(struct kurir_str s, bool *reply)
{
	for (;;) {
		while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
			s.len--;
		if (s.len < 5 ||
		    !kurir_str_equal_nocase(kurir_str_part(s, s.len - 5, 5), KURIR_STR("(fwd)")))
			return s;
		s.len -= 5;
		*reply = true;
	}
}

/* Leaders, and blobs that something is left behind; a run of blobs is gone through once. */
static struct kurir_str cut_leaders(struct kurir_str s, bool *reply)
{
	for (;;) {
		size_t last, n, r;

		s = skip_blanks(s);
		n = blobs(s, &last);
		r = refwd(kurir_str_part(s, n, s.len));
		if (r > 0)
			*reply = true;
		else if (n == s.len)
			n = last;
		if (n + r == 0)
			return s;
		s = kurir_str_part(s, n + r, s.len);
	}
}

/* Runs of white space become one space. */
static struct kurir_str squeeze(struct kurir_arena *arena, struct kurir_str s)
{
	char *out = kurir_alloc(arena, s.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		if (!is_blank(s.ptr[i]))
			out[n++] = s.ptr[i];
		else if (n > 0 && out[n - 1] != ' ')
			out[n++] = ' ';
	return (struct kurir_str){ out, n };
}

struct kurir_str mime_base_subject(struct kurir_arena *arena, struct kurir_str s, bool *ret_reply)
{
	*ret_reply = false;
	s = squeeze(arena, s);
	for (;;) {
		s = cut_leaders(cut_trailers(s, ret_reply), ret_reply);
		if (s.len < 6 || s.ptr[s.len - 1] != ']' ||
		    !kurir_str_starts_nocase(s, KURIR_STR("[fwd:")))
			return s;
		s = kurir_str_part(s, 5, s.len - 6);
		*ret_reply = true;
	}
}
