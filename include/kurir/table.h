/* kurir/table.h - what a key stands for: mailboxes, aliases, passwords kept somewhere else.
 *
 * A module that looks things up is an endpoint "table.NAME" (kurir/call.h), so that a database or a
 * directory is asked from one role, whoever wants to know.  A table has maps, each with a name of
 * its configuration; a key stands for texts in a map.
 *
 *   find:    u8 1, text map, text key          -> u32 count, texts
 *   verify:  u8 2, text map, text key, text secret -> nothing
 *
 * Result 0; -ENODATA: the key is not in the map; -EOPNOTSUPP: there is no such map, or it cannot
 * do that; -EACCES: the secret is wrong; else (-ENOENT: nobody has that table) it could not be
 * found out: what hangs on it has to be tried again, and must not be taken for "not there".  Keys
 * are without NUL, at most KURIR_TABLE_KEY_MAX bytes. */
#ifndef KURIR_TABLE_H
#define KURIR_TABLE_H

#include <errno.h>
#include <kurir/call.h>

#define KURIR_TABLE_KEY_MAX    1000u
#define KURIR_TABLE_VALUES_MAX 1000u /* of one key: more are -E2BIG */

enum kurir_table_question { KURIR_TABLE_FIND = 1, KURIR_TABLE_VERIFY = 2 };

#ifndef __cplusplus /* as kurir/call.h's packing, these are for C */

/* The question, in body, which the caller frees: it may hold a secret.  0 or -errno. */
static inline int kurir_table_put(struct kurir_buf *body, enum kurir_table_question what,
    struct kurir_str map, struct kurir_str key)
{
	int r = key.len > KURIR_TABLE_KEY_MAX ? -ENODATA : kurir_put_u8(body, (uint8_t)what);

	if (r == 0)
		r = kurir_put_text(body, map);
	return r < 0 ? r : kurir_put_text(body, key);
}

/* What key stands for, in arena: 0 and at least one text, or -errno as above. endpoint:
 * "table.NAME". */
KURIR_PARKS static inline int kurir_table_find(struct kurir_self *self, const char *endpoint,
    struct kurir_str map, struct kurir_str key, kurir_time until, struct kurir_arena *arena,
    struct kurir_texts *ret)
{
	struct kurir_buf body = KURIR_BUF(KURIR_CALL_MAX);
	struct kurir_request request = { .endpoint = endpoint, .fd = -1 };
	struct kurir_str reply = KURIR_STR(""), *items;
	struct kurir_reader in;
	uint32_t count;
	int r = kurir_table_put(&body, KURIR_TABLE_FIND, map, key);

	request.body = kurir_buf_str(&body);
	if (r == 0)
		r = kurir_call(self, &request, until, arena, &reply);
	kurir_buf_free(&body);
	if (r < 0)
		return r;
	in = KURIR_READER(reply);
	count = kurir_get_u32(&in);
	if (in.error < 0 || count == 0 || count > KURIR_TABLE_VALUES_MAX)
		return -EBADMSG;
	items = kurir_alloc(arena, count * sizeof(*items));
	for (uint32_t i = 0; i < count; i++)
		items[i] = kurir_get_text(&in);
	*ret = (struct kurir_texts){ .count = count, .items = items };
	return in.error;
}

#endif
#endif
