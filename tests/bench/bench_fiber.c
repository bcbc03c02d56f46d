/* bench_fiber.c - what fibers, timers and idle streams cost: prints one figure a line.
 * Not a test: no figure fails. */
#include <kurir/stream.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <fiber.h>
#include <loop.h>

#define SWITCHES 5000000
#define CREATED	 200000
#define IDLE	 10000

/* Of processor time, as other work on the machine is not what is measured. */
static double seconds(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Resident bytes of this process. */
static double resident(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	if (f != NULL) {
		if (fscanf(f, "%*s %ld", &pages) != 1)
			pages = 0;
		fclose(f);
	}
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void figure(const char *what, double value, const char *unit)
{
	fprintf(stdout, "%-44s %10.1f %s\n", what, value, unit);
}

static void yields(void *arg)
{
	for (unsigned n = *(unsigned *)arg; n > 0; n--)
		(void)kurir_yield();
}

static void switches(unsigned fibers)
{
	struct kurir_group *g = kurir_group_begin(NULL);
	unsigned each = SWITCHES / fibers;
	char name[64];
	for (unsigned i = 0; i < fibers; i++)
		(void)kurir_group_go(g, "yields", yields, &each);
	double start = seconds();
	(void)kurir_group_wait(g, KURIR_FOREVER);
	(void)snprintf(name, sizeof(name), "yield, %u fibers (two switches)", fibers);
	figure(name, (seconds() - start) * 1e9 / each / fibers, "ns");
	kurir_group_end(g);
}

static void nothing(void *arg)
{
	(void)arg;
}

static void created(void)
{
	struct kurir_group *g = kurir_group_begin(NULL);
	double start = seconds();
	for (unsigned i = 0; i < CREATED; i++) {
		(void)kurir_group_go(g, "nothing", nothing, NULL);
		(void)kurir_yield();
	}
	figure(
	    "fiber from start to end, cached stack", (seconds() - start) * 1e9 / CREATED, "ns");
	kurir_group_end(g);
}

static void sleeps(void *arg)
{
	(void)arg;
	(void)kurir_sleep(KURIR_FOREVER);
}

static void idle_fibers(void)
{
	struct kurir_group *g = kurir_group_begin(NULL);
	double before = resident(), start = seconds();
	for (unsigned i = 0; i < IDLE; i++)
		(void)kurir_group_go(g, "sleeps", sleeps, NULL);
	(void)kurir_yield();
	figure("fiber with a new stack, until it parks", (seconds() - start) * 1e6 / IDLE, "us");
	figure("resident, a parked fiber", (resident() - before) / IDLE / 1024, "KiB");
	kurir_group_end(g);
}

/* A session as a mail protocol has it: lines, answers, a scratch arena, and then silence. */
static void session(void *arg)
{
	struct kurir_stream *s = arg;
	struct kurir_str line;
	(void)kurir_printf(s, "220 bench\r\n");
	(void)kurir_flush(s, KURIR_FOREVER);
	while (kurir_readline(s, 1000, &line, kurir_now() + 300000) == 1) {
		struct kurir_mark mark = kurir_mark(kurir_scratch());
		line = kurir_format(kurir_scratch(), "250 %.*s", KURIR_ARG(kurir_str_trim(line)));
		(void)kurir_printf(s, "%.*s\r\n", KURIR_ARG(line));
		kurir_rewind(kurir_scratch(), mark);
		if (!kurir_pending(s) && kurir_flush(s, KURIR_FOREVER) < 0)
			break;
	}
	kurir_close(s);
}

static void idle_sessions(void)
{
	struct kurir_group *g = kurir_group_begin(NULL);
	int(*fds)[2] = calloc(IDLE, sizeof(*fds));
	char answer[512];
	double before = resident(), start;
	unsigned n = 0;
	if (fds == NULL)
		return;
	memset(fds, 0, IDLE * sizeof(*fds));
	for (; n < IDLE - 500; n++) {
		struct kurir_stream *s;
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds[n]) < 0 ||
		    kurir_stream_of(fds[n][0], &s) < 0)
			break;
		(void)kurir_group_go(g, "session", session, s);
	}
	for (int round = 0; round < 3; round++)
		for (unsigned i = 0; i < n; i++) {
			if (write(fds[i][1], "HELLO bench.example\r\n", 21) != 21)
				break;
			if (i % 100 == 0)
				(void)kurir_sleep(kurir_now() + 1);
		}
	(void)kurir_sleep(kurir_now() + 100);
	figure("resident, an idle plain session", (resident() - before) / n / 1024, "KiB");
	(void)kurir_sleep(kurir_now() + 10000);
	figure("the same ten seconds later", (resident() - before) / n / 1024, "KiB");
	while (read(fds[0][1], answer, sizeof(answer)) == sizeof(answer))
		;
	start = seconds();
	for (unsigned i = 0; i < 100000; i++) {
		if (write(fds[0][1], "NOOP\r\n", 6) != 6)
			break;
		(void)kurir_sleep(0);
		(void)kurir_yield();
		while (
		    recv(fds[0][1], answer, sizeof(answer), MSG_DONTWAIT) < 0 && errno == EAGAIN)
			(void)kurir_sleep(0);
	}
	figure("a command and its answer, with the client's", (seconds() - start) * 1e6 / 100000,
	    "us");
	for (unsigned i = 0; i < n; i++)
		(void)close(fds[i][1]);
	kurir_group_end(g);
	free(fds);
}

static unsigned fires;

static void fire(struct loop_timer *t)
{
	(void)t;
	fires++;
}

static void timers(void)
{
	struct loop_timer *t = calloc(100000, sizeof(*t));
	if (t == NULL)
		return;
	double start = seconds();
	for (unsigned i = 0; i < 100000; i++)
		loop_timer_set(&t[i], kurir_now() + 1000000 + rand() % 1000000, fire);
	for (unsigned i = 0; i < 1000000; i++)
		loop_timer_set(&t[(unsigned)rand() % 100000],
		    kurir_now() + 1000000 + rand() % 1000000, fire);
	figure("set a timer again, among 100,000", (seconds() - start) * 1e9 / 1100000, "ns");
	for (unsigned i = 0; i < 100000; i++)
		loop_timer_clear(&t[i]);
	free(t);
}

static void all(void *arg)
{
	/* First what counts pages, before there are cached stacks that have them. */
	if (strcmp(arg, "sessions") == 0) {
		idle_sessions();
	} else {
		idle_fibers();
		created();
		switches(1);
		switches(2);
		switches(1000);
		switches(10000);
		timers();
	}
	loop_stop();
}

int main(int argc, char **argv)
{
	char fibers[] = "fibers";
	struct rlimit files;
	(void)getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	loop_init(false);
	(void)kurir_group_go(fiber_group_root(), "all", all, argc > 1 ? argv[1] : fibers);
	loop_run();
	kurir_group_end(fiber_group_root());
	loop_fini();
	return 0;
}
