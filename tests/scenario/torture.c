/* torture.c - one scenario again and again, and each time one thing more goes well before
 * something fails: a wait that is cancelled or too late, an allocation, a file operation.
 *
 * Each time is a process of its own.  Whatever fails: nothing crashes, hangs, or is left behind,
 * what was acknowledged is in the spool, and the first answer that is not the scenario's says
 * "later".  Files and memory are nth.c's, which has to be preloaded. */
#include "runner.h"

#include "../fault/fault.h"

#include "conn.h"
#include "fiber.h"
#include "loop.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMES_MAX 100000
#define TURNS_MAX 100000 /* of the loop, until all that is on its way out has gone */

static const struct {
	const char *name;
	int error;
	enum { WAIT, MEMORY, FILES } what;
} kinds[] = {
	{ "canceled", -ECANCELED, WAIT },
	{ "late", -ETIMEDOUT, WAIT },
	{ "memory", 0, MEMORY },
	{ "full", ENOSPC, FILES },
	{ "broken", EIO, FILES },
};

/* Of one time, for the parent. */
static struct outcome {
	bool over, untouched;
	unsigned acknowledged, descriptors;
	size_t spooled;
	char fault[2000];
} * outcome;
static struct fault_plan *plan; /* NULL: nth.c is not there */

void torture_fault(const char *fmt, ...)
{
	va_list ap;

	if (outcome == NULL || outcome->fault[0] != '\0')
		return;
	va_start(ap, fmt);
	(void)vsnprintf(outcome->fault, sizeof(outcome->fault), fmt, ap);
	va_end(ap);
}

/* For what the runner does: the C library says of some of its failures that nothing matches. */
void torture_spare(bool yes)
{
	static uint64_t kept;

	if (outcome == NULL || plan == NULL)
		return;
	if (yes)
		kept = plan->memory_n;
	plan->memory_n = yes ? 0 : kept;
}

/* "250 2.0.0 Ok: queued as ID": LMTP says it once for each recipient. */
void torture_hears(const char *line)
{
	static char last[100];
	const char *id = strstr(line, "queued as ");

	if (outcome == NULL || line[0] != '2' || id == NULL || strcmp(last, id) == 0)
		return;
	(void)snprintf(last, sizeof(last), "%s", id);
	outcome->acknowledged++;
}

/* Not the line of the scenario, but does it make sense?  Of SMTP, LMTP: it is a temporary error.
 * The other protocols have none of their own in all places: an error, or the end. */
void torture_judge(const char *protocol, const char *wanted, const char *line)
{
	static const char *const others[] = { "-ERR*", "* BYE*", "* NO*", "* NO *", "*NO [*",
		"*BAD*" };
	bool good = false;
	size_t i;

	if (outcome == NULL || run.failed)
		return;
	if (strcmp(protocol, "imap") != 0 && strcmp(protocol, "pop3") != 0)
		good = line[0] == '4' && strlen(line) > 4 && (line[3] == ' ' || line[3] == '-');
	else
		for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
			good |= glob_match(others[i], line);
	if (!good)
		torture_fault("line %u: expected \"%s\", got \"%s\"", run.line, wanted, line);
}

static unsigned descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		(void)closedir(d);
	return n;
}

/* The instances still run. */
void torture_count(void)
{
	struct kurir_self *self;
	const struct spool_ops *ops;

	if (outcome == NULL)
		return;
	ops = kurir_service_find("scenario", "spool", &self);
	outcome->spooled = ops != NULL ? ops->count(self) : SIZE_MAX;
}

/* Last words of who had none. */
static void show_where(int sig)
{
	void *frames[40];

	backtrace_symbols_fd(frames, backtrace(frames, 40), 2);
	(void)signal(sig, SIG_DFL);
	(void)raise(sig);
}

static void one_time(unsigned kind, unsigned n)
{
	uint64_t hits;
	unsigned turn;
	void *frame;

	(void)backtrace(&frame, 1); /* loads what it needs */
	(void)signal(SIGABRT, show_where);
	(void)signal(SIGSEGV, show_where);
	(void)alarm(60);
	if (kinds[kind].what == WAIT)
		(void)fiber_fail_park(n, kinds[kind].error);
	else if (kinds[kind].what == MEMORY)
		plan->memory_n = n;
	else {
		plan->n = n;
		plan->error = (uint64_t)kinds[kind].error;
		plan->armed = n > 0;
	}
	run_play();
	for (turn = 0; turn < TURNS_MAX && fiber_census().running + conn_count() > 0; turn++)
		loop_turn(kurir_now() + 60000);
	hits = kinds[kind].what == MEMORY ? plan->memory_hits : plan != NULL ? plan->hits : 0;
	if (kinds[kind].what == WAIT)
		outcome->untouched = fiber_fail_park(0, 0) != 0 || n == 0;
	else
		outcome->untouched = hits == 0;
	if (plan != NULL)
		plan->armed = plan->memory_n = 0;
	if (conn_count() != 0)
		torture_fault("%u connections are left", conn_count());
	if (fiber_census().running != 0)
		torture_fault("%u fibers are left", fiber_census().running);
	outcome->descriptors = descriptors();
	outcome->over = true;
	exit(0);
}

/* What the time before has left: all that came after the scenario was read. */
static void wipe(void)
{
	char name[600];
	DIR *d = opendir(run.folder);
	struct dirent *e;
	struct stat st;

	while (d != NULL && (e = readdir(d)) != NULL) {
		(void)snprintf(name, sizeof(name), "%s/%s", run.folder, e->d_name);
		if (e->d_name[0] != '.' && stat(name, &st) == 0 && S_ISDIR(st.st_mode))
			run_remove(name);
	}
	if (d != NULL)
		(void)closedir(d);
}

/* What the process said at its end, if it said why. */
static const char *last_words(int fd)
{
	static char text[300000];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void child_ended(unsigned kind, int status, int words)
{
	const char *text = last_words(words), *at;

	if (outcome->over && status == 0)
		return;
	/* What needs memory and has no error to return ends the process; the files survive it.  libltdl
	 * 2.4.7 ends it in its own way, at the start, when modules are loaded. */
	if (kinds[kind].what == MEMORY && WIFSIGNALED(status) && strstr(text, "bug at") == NULL &&
	    strstr(text, "(): ") == NULL &&
	    (WTERMSIG(status) == SIGABRT || strstr(text, "(lt_dlopenadvise+") != NULL))
		return;
	at = strstr(text, "ERROR: ");
	if (at == NULL)
		at = strstr(text, "bug at");
	if (at == NULL)
		at = strstr(text, "/run("); /* of show_where() */
	torture_fault("%s %d: %.1500s", WIFSIGNALED(status) ? "signal" : "status",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
	    at != NULL ? at : text + (strlen(text) > 1500 ? strlen(text) - 1500 : 0));
}

static void time_in_child(unsigned kind, unsigned n)
{
	char path[300];
	int words, status = 0;
	pid_t pid;

	memset(outcome, 0, sizeof(*outcome));
	if (plan != NULL)
		plan->armed = plan->memory_n = plan->seen = plan->hits = plan->memory_seen =
		    plan->memory_hits = 0;
	wipe();
	(void)snprintf(path, sizeof(path), "%s/words", run.folder);
	words = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		(void)dup2(words, 2);
		one_time(kind, n);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		torture_fault("cannot fork");
	else
		child_ended(kind, status, words);
	(void)close(words);
}

static void map_plan(void)
{
	const char *name = getenv("KURIR_FAULT");
	int fd = name != NULL ? open(name, O_RDWR | O_CLOEXEC) : -1;
	void *p = fd >= 0 ? mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
			  : MAP_FAILED;

	if (p != MAP_FAILED)
		plan = p;
	if (fd >= 0)
		(void)close(fd);
}

/* The number of failures, or of those that were not borne. */
static unsigned one_kind(
    unsigned kind, unsigned from, unsigned step, unsigned most, unsigned *bad)
{
	struct outcome plain;
	unsigned n, tried = 0;

	time_in_child(kind, 0);
	plain = *outcome;
	if (plain.fault[0] != '\0') {
		printf("# %s, nothing fails: %s\n", run.file, plain.fault);
		++*bad;
		return 0;
	}
	for (n = from; tried < most; n += step) {
		time_in_child(kind, n);
		if (outcome->over && outcome->untouched)
			break;
		tried++;
		/* What is discarded is acknowledged, and not there, in the plain run, too. */
		if (outcome->over && outcome->acknowledged > outcome->spooled &&
		    plain.acknowledged <= plain.spooled)
			torture_fault("%u acknowledged, %zu spooled", outcome->acknowledged,
			    outcome->spooled);
		if (outcome->over && outcome->descriptors > plain.descriptors)
			torture_fault(
			    "%u descriptors, not %u", outcome->descriptors, plain.descriptors);
		if (outcome->fault[0] == '\0')
			continue;
		printf("# %s, %s %u: %s\n", run.file, kinds[kind].name, n, outcome->fault);
		++*bad;
	}
	return tried;
}

/* KIND[:FROM[:STEP[:MOST]]]: the FROM-th fails, then every STEP-th, and no more than MOST: while days
 * pass there is always one more. */
int torture_try(const char *what, unsigned *ret_tried, unsigned *ret_bad)
{
	unsigned from = 1, step = 1, most = TIMES_MAX, kind = 0;
	char name[20] = "";
	unsigned char digest[SHA256_DIGEST_LENGTH];
	struct outcome *o = mmap(
	    NULL, sizeof(*outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)sscanf(what, "%19[a-z]:%u:%u:%u", name, &from, &step, &most);
	while (kind < sizeof(kinds) / sizeof(kinds[0]) && strcmp(name, kinds[kind].name) != 0)
		kind++;
	map_plan();
	if (kind == sizeof(kinds) / sizeof(kinds[0]) || o == MAP_FAILED || step == 0 ||
	    from == 0 || (kinds[kind].what != WAIT && plan == NULL))
		return -EINVAL;
	outcome = o;
	/* libcrypto crashes after a beginning that failed. */
	if (kinds[kind].what == MEMORY)
		(void)SHA256((const unsigned char *)"", 0, digest);
	*ret_bad = 0;
	*ret_tried = one_kind(kind, from, step, most, ret_bad);
	(void)munmap(o, sizeof(*o));
	outcome = NULL;
	return 0;
}

int torture(const char *what)
{
	unsigned tried, bad;

	if (torture_try(what, &tried, &bad) < 0) {
		printf("1..1\nnot ok 1 - %s: which failures?\n", what);
		return 1;
	}
	printf("1..1\n%s 1 - %s: %u failures, %u of them not borne\n", bad > 0 ? "not ok" : "ok",
	    what, tried, bad);
	return bad > 0;
}
