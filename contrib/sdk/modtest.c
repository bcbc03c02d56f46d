/* modtest.c - kurir-modtest: plays scenarios against one module, without a server around it.
 *
 * The core runs in this process with a clock that passes as the scenario says; clients are in
 * memory.  Each scenario is a process of its own.  Exit status: 0 all is well; 1 something is not; 2 the
 * command line is wrong. */
#include "modtest.h"

#include "conf.h"
#include "modload.h"
#include "scenario/runner.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char usage[] =
    "kurir-modtest [-v] [--grows] [--torture | --fuzz TIMES [--seed N]] MODULE.so SCENARIO...\n"
    "  -v             the server's log to standard error, and once is enough\n"
    "  --grows        the module may hold more each time: it remembers what it has seen\n"
    "  --torture      each wait in turn is cancelled, and is too late\n"
    "  --fuzz TIMES   the client says something else, that often\n"
    "  --seed N       of the first of them (1)\n";

static struct {
	bool loud, grows, torture;
	unsigned fuzz, seed;
	char *file; /* of the module, absolute */
	char folder[PATH_MAX];
	struct kurir_str name;
} opt = { .seed = 1 };

enum { OPT_GROWS = 256, OPT_TORTURE, OPT_FUZZ, OPT_SEED, OPT_HELP, OPT_VERSION };
static const struct option options[] = {
	{ "grows", no_argument, NULL, OPT_GROWS },
	{ "torture", no_argument, NULL, OPT_TORTURE },
	{ "fuzz", required_argument, NULL, OPT_FUZZ },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ 0 },
};

/* Where the module is, and what comes with Kurir: beside this program, or where it was installed;
 * in Kurir's own tree where that says. */
static const char *module_path(struct kurir_arena *arena)
{
	const char *build = getenv("top_builddir");
	char here[1024];
	ssize_t n = readlink("/proc/self/exe", here, sizeof(here) - 1);
	struct kurir_str list = kurir_format(arena, "[\"%s\", ", opt.folder), beside;

	while (n > 0 && here[n - 1] != '/')
		n--;
	beside = kurir_format(arena, "%.*s../lib/kurir", (int)n, here);
	if (build != NULL)
		list = kurir_format(
		    arena, "%.*s\"%s\", \"%s/tests/modules\", ", KURIR_ARG(list), build, build);
	if (access(beside.ptr, F_OK) == 0)
		list = kurir_format(arena, "%.*s\"%.*s\", \"%.*s/test\", ", KURIR_ARG(list),
		    KURIR_ARG(beside), KURIR_ARG(beside));
	return kurir_format(
	    arena, "%.*s\"%s\", \"%s/test\"]", KURIR_ARG(list), KURIR_MODULEDIR, KURIR_MODULEDIR)
	    .ptr;
}

/* The module is loaded once in a process: whoever asks for it now gets what we have changed. */
static void load(void)
{
	struct kurir_arena *arena = kurir_arena_new("modtest");
	struct kurir_str error;
	struct module *m;

	if (modload_open(arena, opt.name, opt.file, &m, &error) < 0)
		run_fail("%.*s", KURIR_ARG(error));
	else
		modtest_watch(&m->m);
	kurir_arena_free(arena);
}

static bool play(void)
{
	unsigned lost = 0;

	run_play();
	if (run.failed && !opt.loud)
		run_show_log();
	if (!run.failed && !opt.grows)
		lost = modtest_growth();
	return !run.failed && lost == 0;
}

/* The n-th wait of all fibers fails, n from 1 until there are no more. */
static bool bears(void)
{
	static const char *const kinds[] = { "canceled", "late" };
	unsigned tried, bad, all = 0;

	run.tortured = true;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (torture_try(kinds[i], &tried, &bad) < 0)
			return false;
		all += bad;
	}
	return all == 0;
}

static bool is_good(void)
{
	if (opt.torture)
		return bears();
	return opt.fuzz > 0 ? modtest_fuzz(opt.fuzz, opt.seed) == 0 : play();
}

/* In a process of its own. */
static int one(const char *scenario, struct kurir_arena *arena)
{
	int null;
	bool good;

	run.file = scenario;
	run.log = KURIR_BUF(64u << 20);
	run.module = kurir_copy(arena, opt.name).ptr;
	run.module_path = module_path(arena);
	run.loading = load;
	run.rounds = opt.grows || opt.loud || opt.torture || opt.fuzz > 0 ? 0 : MODTEST_ROUNDS;
	run.round = modtest_measure;
	if (run_read(scenario) < 0) {
		printf("# %s cannot be read\n", scenario);
		return 1;
	}
	null = opt.loud ? -1 : open("/dev/null", O_WRONLY);
	if (null >= 0)
		(void)dup2(null, 2);
	good = is_good();
	(void)fflush(stdout);
	run_clean();
	return good ? 0 : 1;
}

static bool plays(const char *scenario, struct kurir_arena *arena)
{
	int status = 0;
	pid_t pid;

	(void)fflush(stdout);
	pid = fork();
	if (pid == 0)
		exit(one(scenario, arena));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (WIFSIGNALED(status))
		printf("# %s: the server was ended by signal %d\n", scenario, WTERMSIG(status));
	return status == 0;
}

/* NAME.so by its true path. */
static bool find_module(const char *file)
{
	char *slash;

	opt.file = realpath(file, NULL);
	if (opt.file == NULL)
		return false;
	slash = strrchr(opt.file, '/');
	opt.name = kurir_str_of(slash + 1);
	(void)snprintf(opt.folder, sizeof(opt.folder), "%.*s", (int)(slash - opt.file), opt.file);
	if (opt.name.len > 3 && strcmp(opt.name.ptr + opt.name.len - 3, ".so") == 0)
		opt.name.len -= 3;
	return modload_good_name(opt.name);
}

static bool counted(const char *text, unsigned *ret)
{
	uint64_t n;

	if (kurir_str_number(kurir_str_of(text), 100000000, &n) < 0)
		return false;
	*ret = (unsigned)n;
	return true;
}

static int read_options(int argc, char **argv)
{
	bool good = true;
	int o;

	while (good && (o = getopt_long(argc, argv, "v", options, NULL)) != -1) {
		switch (o) {
		case 'v':
			opt.loud = true;
			break;
		case OPT_GROWS:
			opt.grows = true;
			break;
		case OPT_TORTURE:
			opt.torture = true;
			break;
		case OPT_FUZZ:
			good = counted(optarg, &opt.fuzz);
			break;
		case OPT_SEED:
			good = counted(optarg, &opt.seed);
			break;
		case OPT_HELP:
			(void)fputs(usage, stdout);
			exit(0);
		case OPT_VERSION:
			(void)fputs(PACKAGE_STRING "\n", stdout);
			exit(0);
		default:
			good = false;
		}
	}
	if (good && argc - optind >= 2)
		return 0;
	(void)fputs(usage, stderr);
	return 2;
}

int main(int argc, char **argv)
{
	struct kurir_arena *arena = kurir_arena_new("modtest");
	int r = read_options(argc, argv), n = 0;

	if (r == 0 && !find_module(argv[optind])) {
		(void)fprintf(stderr,
		    "kurir-modtest: %s: there is no such file of a module: it is called NAME.so\n",
		    argv[optind]);
		r = 2;
	}
	for (int i = optind + 1; r < 2 && i < argc; i++) {
		bool good = plays(argv[i], arena);

		printf("%s %d - %s%s\n", good ? "ok" : "not ok", ++n, argv[i],
		    opt.torture	       ? ", waits that fail"
			: opt.fuzz > 0 ? ", other bytes"
				       : "");
		r |= !good;
	}
	if (n > 0)
		printf("1..%d\n", n);
	free(opt.file);
	kurir_arena_free(arena);
	return r;
}
