/* imap_command.c - the table of commands: it is the dispatcher.
 *
 *   command = tag SP ["UID" SP] verb [SP arguments] CRLF         ; RFC 9051 section 9 */

#include <string.h>

#include "imap.h"

#define ANY	(IMAP_NOT_AUTHENTICATED | IMAP_AUTHENTICATED | IMAP_SELECTED)
#define LOGGED	(IMAP_AUTHENTICATED | IMAP_SELECTED)
#define NUMBERS (IMAP_BY_UID | IMAP_NUMBERS)

static const struct imap_command commands[] = {
	/* verb, where, flags, run */
	{ "CAPABILITY", ANY, IMAP_BARE, imap_capability },
	{ "NOOP", ANY, IMAP_BARE, imap_noop },
	{ "LOGOUT", ANY, IMAP_BARE, imap_logout },
	{ "ID", ANY, 0, imap_id },
	{ "STARTTLS", IMAP_NOT_AUTHENTICATED, IMAP_BARE, imap_starttls },
	{ "AUTHENTICATE", IMAP_NOT_AUTHENTICATED, 0, imap_authenticate },
	{ "LOGIN", IMAP_NOT_AUTHENTICATED, 0, imap_login },
	{ "ENABLE", LOGGED, 0, imap_enable },
	{ "COMPRESS", LOGGED, 0, imap_compress },
	{ "NAMESPACE", LOGGED, IMAP_BARE, imap_namespace },
	{ "SELECT", LOGGED, 0, imap_select },
	{ "EXAMINE", LOGGED, 0, imap_examine },
	{ "CREATE", LOGGED, 0, imap_create },
	{ "DELETE", LOGGED, 0, imap_delete },
	{ "RENAME", LOGGED, 0, imap_rename },
	{ "SUBSCRIBE", LOGGED, 0, imap_subscribe },
	{ "UNSUBSCRIBE", LOGGED, 0, imap_unsubscribe },
	{ "LIST", LOGGED, 0, imap_list },
	{ "LSUB", LOGGED, 0, imap_lsub },
	{ "STATUS", LOGGED, 0, imap_status },
	{ "GETQUOTA", LOGGED, 0, imap_getquota },
	{ "GETQUOTAROOT", LOGGED, 0, imap_getquotaroot },
	{ "GETMETADATA", LOGGED, 0, imap_getmetadata },
	{ "SETMETADATA", LOGGED, 0, imap_setmetadata },
	{ "SETACL", LOGGED, 0, imap_setacl },
	{ "DELETEACL", LOGGED, 0, imap_deleteacl },
	{ "GETACL", LOGGED, 0, imap_getacl },
	{ "LISTRIGHTS", LOGGED, 0, imap_listrights },
	{ "MYRIGHTS", LOGGED, 0, imap_myrights },
	{ "APPEND", LOGGED, IMAP_STREAMS, imap_append },
	{ "IDLE", LOGGED, IMAP_BARE, imap_idle },
	{ "NOTIFY", LOGGED, 0, imap_notify },
	{ "CHECK", IMAP_SELECTED, IMAP_BARE, imap_noop },
	{ "CLOSE", IMAP_SELECTED, IMAP_BARE, imap_close },
	{ "UNSELECT", IMAP_SELECTED, IMAP_BARE, imap_unselect },
	{ "EXPUNGE", IMAP_SELECTED, IMAP_BY_UID, imap_expunge },
	{ "SEARCH", IMAP_SELECTED, NUMBERS, imap_search },
	{ "SORT", IMAP_SELECTED, NUMBERS, imap_sort },
	{ "THREAD", IMAP_SELECTED, NUMBERS, imap_thread },
	{ "FETCH", IMAP_SELECTED, NUMBERS, imap_fetch },
	{ "STORE", IMAP_SELECTED, NUMBERS, imap_store },
	{ "COPY", IMAP_SELECTED, NUMBERS, imap_copy },
	{ "MOVE", IMAP_SELECTED, NUMBERS, imap_move },
	{ "REPLACE", IMAP_SELECTED, NUMBERS | IMAP_STREAMS, imap_replace },
};

const struct imap_command *imap_command_find(struct kurir_str verb)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (kurir_str_equal_nocase(verb, kurir_str_of(commands[i].verb)))
			return &commands[i];
	return NULL;
}

static bool tag_ok(struct kurir_str tag)
{
	if (tag.len == 0 || tag.len > 100)
		return false;
	for (size_t i = 0; i < tag.len; i++)
		if ((unsigned char)tag.ptr[i] <= 32 || (unsigned char)tag.ptr[i] >= 127 ||
		    memchr("(){%*\"\\+", tag.ptr[i], 8))
			return false;
	return true;
}

const struct imap_command *imap_command_parse(
    struct imap_args *a, struct kurir_str *ret_tag, bool *ret_by_uid)
{
	ssize_t space = kurir_str_find(a->rest, ' ');
	struct kurir_str verb = KURIR_STR("");
	const struct imap_command *c;

	*ret_tag = kurir_str_part(a->rest, 0, space < 0 ? 0 : (size_t)space);
	*ret_by_uid = false;
	if (!tag_ok(*ret_tag)) {
		*ret_tag = KURIR_STR("");
		return NULL;
	}
	a->rest = kurir_str_part(a->rest, (size_t)space + 1, a->rest.len);
	if (imap_atom(a, &verb) >= 0 && kurir_str_equal_nocase(verb, KURIR_STR("UID")) &&
	    imap_space(a)) {
		*ret_by_uid = true;
		if (imap_atom(a, &verb) < 0)
			return NULL;
	}
	c = imap_command_find(verb);
	return *ret_by_uid && c && !(c->flags & IMAP_BY_UID) ? NULL : c;
}
