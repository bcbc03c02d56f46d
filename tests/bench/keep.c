/* keep.c - runs a server and keeps all that comes of it together.
 *
 *	keep COMMAND...
 *
 * What the server starts stays below this process, also what made itself a daemon, and its CPU
 * time is counted here when it ends.  At SIGTERM everything below gets one too, and after some
 * seconds a SIGKILL.  Ends when nothing is left. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE 3 /* seconds */
#define DEPTH	 16

/* The children of a process; for SIGKILL also theirs, and theirs first. */
static void tell(long pid, int number, int depth)
{
	char path[64];
	long child;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/task/%ld/children", pid, pid);
	f = depth < DEPTH ? fopen(path, "re") : NULL;
	if (f == NULL)
		return;
	while (fscanf(f, "%ld", &child) == 1) {
		if (number == SIGKILL)
			tell(child, number, depth + 1);
		kill((pid_t)child, number);
	}
	fclose(f);
}

int main(int argc, char **argv)
{
	sigset_t heard, before;
	pid_t pid = -1;
	int number = 0;

	if (argc < 2) {
		fprintf(stderr, "keep COMMAND...\n");
		return 2;
	}
	sigemptyset(&heard);
	sigaddset(&heard, SIGTERM);
	sigaddset(&heard, SIGALRM);
	sigaddset(&heard, SIGCHLD);
	sigprocmask(SIG_BLOCK, &heard, &before);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || (pid = fork()) < 0) {
		fprintf(stderr, "keep: %s\n", strerror(errno));
		return 1;
	}
	if (pid == 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		execvp(argv[1], argv + 1);
		fprintf(stderr, "keep: %s: %s\n", argv[1], strerror(errno));
		_exit(127);
	}
	for (;;) {
		if (number == SIGTERM || number == SIGALRM) {
			tell(getpid(), number == SIGTERM ? SIGTERM : SIGKILL, 0);
			alarm(number == SIGTERM ? PATIENCE : 1);
		}
		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		if (pid < 0)
			return 0;
		number = sigwaitinfo(&heard, NULL);
	}
}
