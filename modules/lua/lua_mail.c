/* lua_mail.c - a message, as the script reads it: its head, a field of it, and what follows.
 *
 *   field = name ":" text *( CRLF WSP text ) CRLF        RFC 5322 2.2 */
#include "lua_hook.h"

#include <errno.h>
#include <kurir/stream.h>
#include <string.h>

#define HEAD_MAX ((size_t)256 << 10)
#define READ_MAX (1 << 20)

static struct lua_call *message_of(lua_State *l)
{
	struct lua_call *c = lua_session_of(l);

	if (c->body == NULL)
		luaL_error(l, "there is no message yet");
	return c;
}

/* Up to the empty line, which goes with it.  0 or -errno. */
KURIR_PARKS static int read_head(struct lua_call *c)
{
	struct kurir_buf b = KURIR_BUF(HEAD_MAX);
	struct kurir_str line;
	int r;

	do {
		r = kurir_readline(c->body, HEAD_MAX, &line, KURIR_FOREVER);
		if (r > 0 && kurir_buf_add(&b, line) < 0)
			r = -EMSGSIZE;
	} while (r > 0 && !kurir_str_equal(line, KURIR_STR("\r\n")));
	if (r >= 0)
		c->head = kurir_copy(kurir_scratch(), kurir_buf_str(&b));
	kurir_buf_free(&b);
	return r < 0 ? r : 0;
}

KURIR_PARKS static struct kurir_str head_of(lua_State *l)
{
	struct lua_call *c = message_of(l);
	int r = c->head.ptr == NULL ? read_head(c) : 0;

	if (r < 0)
		luaL_error(l, "the head cannot be read: %s", strerrordesc_np(-r));
	return c->head;
}

KURIR_PARKS static int mail_head(lua_State *l)
{
	struct kurir_str head = head_of(l);

	lua_pushlstring(l, head.ptr, head.len);
	return 1;
}

/* The line that begins the text, which goes, without its CRLF. */
static struct kurir_str line_of(struct kurir_str *rest)
{
	ssize_t lf = kurir_str_find(*rest, '\n');
	size_t n = lf < 0 ? rest->len : (size_t)lf;
	struct kurir_str line = kurir_str_part(*rest, 0, n);

	*rest = kurir_str_part(*rest, lf < 0 ? n : n + 1, rest->len);
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

static bool is_folded(struct kurir_str rest)
{
	return rest.len > 0 && (rest.ptr[0] == ' ' || rest.ptr[0] == '\t');
}

/* The first of that name, unfolded; nil. */
KURIR_PARKS static int mail_header(lua_State *l)
{
	struct kurir_str rest = head_of(l), name;

	name.ptr = luaL_checklstring(l, 2, &name.len);
	while (rest.len > 0) {
		struct kurir_str line = line_of(&rest);
		bool found = line.len > name.len && line.ptr[name.len] == ':' &&
		    kurir_str_equal_nocase(kurir_str_part(line, 0, name.len), name);
		luaL_Buffer b;

		if (!found)
			continue;
		line = kurir_str_trim(kurir_str_part(line, name.len + 1, line.len));
		luaL_buffinit(l, &b);
		luaL_addlstring(&b, line.ptr, line.len);
		while (is_folded(rest)) {
			line = line_of(&rest);
			luaL_addlstring(&b, line.ptr, line.len);
		}
		luaL_pushresult(&b);
		return 1;
	}
	lua_pushnil(l);
	return 1;
}

/* The bytes that follow, at most so many; nil at the end. */
KURIR_PARKS static int mail_read(lua_State *l)
{
	struct lua_call *c = message_of(l);
	lua_Integer most = luaL_optinteger(l, 2, READ_MAX);
	struct kurir_str piece;
	int r;

	luaL_argcheck(l, most > 0 && most <= READ_MAX, 2, "from 1 to 1048576 bytes");
	(void)head_of(l);
	r = kurir_peek(c->body, 0, &piece, KURIR_FOREVER);
	if (r < 0)
		return luaL_error(l, "the message cannot be read: %s", strerrordesc_np(-r));
	if (r == 0) {
		lua_pushnil(l);
		return 1;
	}
	piece = kurir_str_part(piece, 0, (size_t)most);
	lua_pushlstring(l, piece.ptr, piece.len);
	kurir_consume(c->body, piece.len);
	return 1;
}

const luaL_Reg lua_mail_methods[] = { { "head", mail_head }, { "header", mail_header },
	{ "read", mail_read }, { NULL, NULL } };
