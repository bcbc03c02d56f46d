/* main.c - plays one scenario, for the tests of Kurir itself. */
#include "runner.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* run [-v] FILE, run --torture KIND[:FROM[:STEP[:MOST]]] FILE */
int main(int argc, char **argv)
{
	bool loud = argc > 2 && strcmp(argv[1], "-v") == 0;
	int null, status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	run.tortured = argc > 3 && strcmp(argv[1], "--torture") == 0;
	run.file = argv[argc - 1];
	run.log = KURIR_BUF(64u << 20);
	if (argc < 2 || run_read(run.file) < 0) {
		fprintf(stdout, "1..1\nnot ok 1 - %s\n",
		    argc < 2 ? "usage: run [-v | --torture KIND] FILE" : run.file);
		return 1;
	}
	null = loud ? -1 : open("/dev/null", O_WRONLY);
	if (null >= 0)
		(void)dup2(null, 2);
	if (run.tortured) {
		status = torture(argv[2]);
		run_clean();
		return status;
	}
	run_play();
	if (run.failed)
		run_show_log();
	run_clean();
	fprintf(stdout, "1..1\n%s 1 - %s\n", run.failed ? "not ok" : "ok", run.title);
	return run.failed ? 1 : 0;
}
