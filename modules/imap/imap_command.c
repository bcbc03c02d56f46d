/* imap_command.c - the table of commands: it is the dispatcher. */

#include "imap.h"

#define ANY    (IMAP_NOT_AUTHENTICATED | IMAP_AUTHENTICATED | IMAP_SELECTED)
#define LOGGED (IMAP_AUTHENTICATED | IMAP_SELECTED)

static const struct imap_command commands[] = {
	{ "CAPABILITY", ANY, false, imap_capability },
	{ "NOOP", ANY, false, imap_noop },
	{ "LOGOUT", ANY, false, imap_logout },
	{ "ID", ANY, false, imap_id },
	{ "STARTTLS", IMAP_NOT_AUTHENTICATED, false, imap_starttls },
	{ "AUTHENTICATE", IMAP_NOT_AUTHENTICATED, false, imap_authenticate },
	{ "LOGIN", IMAP_NOT_AUTHENTICATED, false, imap_login },
	{ "ENABLE", LOGGED, false, imap_enable },
	{ "NAMESPACE", LOGGED, false, imap_namespace },
	{ "SELECT", LOGGED, false, imap_select },
	{ "EXAMINE", LOGGED, false, imap_examine },
	{ "CREATE", LOGGED, false, imap_create },
	{ "DELETE", LOGGED, false, imap_delete },
	{ "RENAME", LOGGED, false, imap_rename },
	{ "SUBSCRIBE", LOGGED, false, imap_subscribe },
	{ "UNSUBSCRIBE", LOGGED, false, imap_unsubscribe },
	{ "LIST", LOGGED, false, imap_list },
	{ "LSUB", LOGGED, false, imap_lsub },
	{ "STATUS", LOGGED, false, imap_status },
	{ "IDLE", LOGGED, false, imap_idle },
	{ "CHECK", IMAP_SELECTED, false, imap_check },
	{ "CLOSE", IMAP_SELECTED, false, imap_close },
	{ "UNSELECT", IMAP_SELECTED, false, imap_unselect },
	{ "EXPUNGE", IMAP_SELECTED, true, imap_expunge },
	{ "SEARCH", IMAP_SELECTED, true, imap_search },
	{ "FETCH", IMAP_SELECTED, true, imap_fetch },
	{ "STORE", IMAP_SELECTED, true, imap_store },
	{ "COPY", IMAP_SELECTED, true, imap_copy },
	{ "MOVE", IMAP_SELECTED, true, imap_move },
};

const struct imap_command *imap_command_find(struct kurir_str verb)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (kurir_str_equal_nocase(verb, kurir_str_of(commands[i].verb)))
			return &commands[i];
	return NULL;
}
