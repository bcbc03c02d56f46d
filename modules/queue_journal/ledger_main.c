/* ledger_main.c - kurir-ledger [--json] FOLDER: what "kurirctl ledger verify" says, without a
 * server.
 * FOLDER is "queue" below the state folder.  Exit status: 0 balanced; 1 not, or
 * something is damaged or gone; 2 cannot tell. */
#include "ledger.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct kurir_buf text = KURIR_BUF(65536);
	struct ledger l;
	json_t *facts;
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
	int dir, r;

	argc -= json;
	argv += json;
	if (argc != 2 || argv[1][0] == '-') {
		(void)dprintf(STDERR_FILENO, "kurir-ledger [--json] FOLDER-OF-THE-QUEUE\n");
		return 2;
	}
	dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		perror(argv[1]);
		return 2;
	}
	r = ledger_verify(dir, &l);
	(void)close(dir);
	if (r < 0) {
		(void)dprintf(STDERR_FILENO, "%s: %s\n", argv[1], strerror(-r));
		return 2;
	}
	if (json) {
		facts = ledger_json(&l);
		(void)json_dumpfd(facts, STDOUT_FILENO, JSON_INDENT(2));
		json_decref(facts);
		(void)!write(STDOUT_FILENO, "\n", 1);
	} else {
		ledger_print(&l, &text);
		(void)!write(STDOUT_FILENO, text.ptr, text.len);
	}
	kurir_buf_free(&text);
	return ledger_good(&l) ? 0 : 1;
}
