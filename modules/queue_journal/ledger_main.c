/* ledger_main.c - kurir-ledger FOLDER: what "kurirctl ledger verify" says, without a server.
 * FOLDER is "queue" below the state folder.  Exit status: 0 balanced; 1 not; 2 cannot tell. */
#include "ledger.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct kurir_buf text = KURIR_BUF(65536);
	struct ledger l;
	int dir, r;

	if (argc != 2 || argv[1][0] == '-') {
		(void)dprintf(STDERR_FILENO, "kurir-ledger FOLDER-OF-THE-QUEUE\n");
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
	ledger_print(&l, &text);
	(void)!write(STDOUT_FILENO, text.ptr, text.len);
	kurir_buf_free(&text);
	return l.balanced && l.bodies == 0 ? 0 : 1;
}
