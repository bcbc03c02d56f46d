/* milter_packet.c - the inside of packets.  No I/O. */
#include "milter.h"

#include <errno.h>
#include <string.h>

int milter_put_u32(struct kurir_buf *b, uint32_t n)
{
	char raw[4] = { (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n };

	return kurir_buf_add(b, (struct kurir_str){ raw, 4 });
}

int milter_put_text(struct kurir_buf *b, struct kurir_str s)
{
	ssize_t nul = kurir_str_find(s, '\0');
	int r = kurir_buf_add(b, kurir_str_part(s, 0, nul < 0 ? s.len : (size_t)nul));

	return r < 0 ? r : kurir_buf_add(b, (struct kurir_str){ "", 1 });
}

uint32_t milter_get_u32(struct kurir_reader *r)
{
	const unsigned char *p = (const unsigned char *)r->rest.ptr;

	if (r->error < 0 || r->rest.len < 4) {
		r->error = -EBADMSG;
		return 0;
	}
	r->rest = kurir_str_part(r->rest, 4, r->rest.len);
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

struct kurir_str milter_get_text(struct kurir_reader *r)
{
	ssize_t nul = kurir_str_find(r->rest, '\0');
	struct kurir_str s;

	if (r->error < 0 || nul < 0) {
		r->error = -EBADMSG;
		return KURIR_STR("");
	}
	s = kurir_str_part(r->rest, 0, (size_t)nul);
	r->rest = kurir_str_part(r->rest, (size_t)nul + 1, r->rest.len);
	return s;
}

int milter_get_options(struct kurir_str data, struct milter_options *ret)
{
	struct kurir_reader r = KURIR_READER(data);
	struct milter_options o;

	memset(&o, 0, sizeof(o));
	for (int i = 0; i < MILTER_STAGES; i++)
		o.macros[i] = KURIR_STR("");
	o.version = milter_get_u32(&r);
	o.actions = milter_get_u32(&r);
	o.protocol = milter_get_u32(&r);
	while (r.error == 0 && r.rest.len > 0) {
		uint32_t stage = milter_get_u32(&r);
		struct kurir_str names = milter_get_text(&r);

		if (r.error == 0 && stage < MILTER_STAGES)
			o.macros[stage] = names;
	}
	if (r.error < 0)
		return r.error;
	*ret = o;
	return o.version < 2 || o.version > MILTER_VERSION ||
		(o.actions & ~MILTER_MAY_ALL) != 0 ||
		(o.protocol & ~(uint32_t)MILTER_CAN_ALL) != 0
	    ? -EPROTO
	    : 0;
}

/*
 * reply = 3DIGIT [ "-" / SP ] [ xyz SP ] text      xyz = 1DIGIT "." 1*3DIGIT "." 1*3DIGIT
 */
int milter_get_reply_code(
    struct kurir_str data, int *ret_code, char xyz[12], struct kurir_str *ret_text)
{
	struct kurir_reader r = KURIR_READER(data);
	struct kurir_str s = milter_get_text(&r), word;
	uint64_t code;
	ssize_t end;

	if (r.error < 0 || kurir_str_number(kurir_str_part(s, 0, 3), 599, &code) < 0 ||
	    code < 400)
		return -EBADMSG;
	if (s.len > 3 && s.ptr[3] != ' ' && s.ptr[3] != '-')
		return -EBADMSG;
	s = kurir_str_part(s, 4, s.len);
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '\r' || s.ptr[i] == '\n')
			s.len = i;
	end = kurir_str_find(s, ' ');
	word = kurir_str_part(s, 0, end < 0 ? s.len : (size_t)end);
	xyz[0] = '\0';
	if (word.len >= 5 && word.len < 12 && word.ptr[0] == (char)('0' + code / 100) &&
	    word.ptr[1] == '.') {
		memcpy(xyz, word.ptr, word.len);
		xyz[word.len] = '\0';
		s = kurir_str_part(s, word.len + 1, s.len);
	}
	*ret_code = (int)code;
	*ret_text = s;
	return 0;
}

struct kurir_str milter_bare_address(struct kurir_str s)
{
	s = kurir_str_trim(s);
	if (s.len >= 2 && s.ptr[0] == '<' && s.ptr[s.len - 1] == '>')
		s = kurir_str_part(s, 1, s.len - 2);
	return s;
}

int milter_socket(struct kurir_arena *arena, struct kurir_str s, struct kurir_str *ret)
{
	bool six = kurir_str_starts(s, KURIR_STR("inet6:"));
	ssize_t at = kurir_str_find(s, '@');
	struct kurir_str port;

	if (kurir_str_starts(s, KURIR_STR("local:")))
		*ret = kurir_format(arena, "unix:%.*s", KURIR_ARG(kurir_str_part(s, 6, s.len)));
	else if ((six || kurir_str_starts(s, KURIR_STR("inet:"))) && at > 0) {
		port = kurir_str_part(s, six ? 6 : 5, (size_t)at - (six ? 6 : 5));
		s = kurir_str_part(s, (size_t)at + 1, s.len);
		*ret = kurir_format(
		    arena, six ? "[%.*s]:%.*s" : "%.*s:%.*s", KURIR_ARG(s), KURIR_ARG(port));
	} else
		*ret = s;
	if (kurir_str_starts(*ret, KURIR_STR("unix:")))
		return ret->len > 5 && ret->ptr[5] == '/' ? 0 : -EINVAL;
	at = kurir_str_find_last(*ret, ':');
	if (at <= 0 || (ret->ptr[0] != '[' && (ret->ptr[0] < '0' || ret->ptr[0] > '9')))
		return -EINVAL;
	uint64_t n;
	return kurir_str_number(kurir_str_part(*ret, (size_t)at + 1, ret->len), 65535, &n) == 0 &&
		n > 0
	    ? 0
	    : -EINVAL;
}
