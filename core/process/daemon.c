/* daemon.c - kurird: what was asked for on the command line. */
#include "daemon.h"
#include "role.h"
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "kurird [-c FILE] [--check | --plan | --schema | --describe NAME | --single]\n"
    "  -c, --config FILE  the configuration (" KURIR_CONFDIR "/kurir.json)\n"
    "  --check            says what is wrong with it, and ends\n"
    "  --plan             prints what it comes to\n"
    "  --schema           prints the JSON Schema of configurations\n"
    "  --describe NAME    prints the options of a module, or of \"core\"\n"
    "  --single           one process instead of one a role, for trying things\n"
    "  --version, --help\n";

enum {
	OPT_CHECK = 256,
	OPT_PLAN,
	OPT_SCHEMA,
	OPT_DESCRIBE,
	OPT_SINGLE,
	OPT_ROLE,
	OPT_INDEX,
	OPT_VERSION,
	OPT_HELP
};
static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "check", no_argument, NULL, OPT_CHECK },
	{ "plan", no_argument, NULL, OPT_PLAN },
	{ "schema", no_argument, NULL, OPT_SCHEMA },
	{ "describe", required_argument, NULL, OPT_DESCRIBE },
	{ "single", no_argument, NULL, OPT_SINGLE },
	{ "role", required_argument, NULL, OPT_ROLE },	 /* the supervisor's own */
	{ "index", required_argument, NULL, OPT_INDEX }, /* likewise */
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static int say(int fd, const char *text, int status)
{
	return write(fd, text, strlen(text)) < 0 ? 1 : status;
}

static int daemon_run(int what, const char *file, bool given, const char *name, uint64_t index)
{
	uint32_t bit;

	switch (what) {
	case OPT_CHECK:
		return conf_main_check(file, STDERR_FILENO);
	case OPT_PLAN:
		return conf_main_plan(file, STDOUT_FILENO, STDERR_FILENO);
	case OPT_SCHEMA:
		return conf_main_schema(given ? file : NULL, STDOUT_FILENO, STDERR_FILENO);
	case OPT_DESCRIBE:
		return conf_main_describe(
		    given ? file : NULL, name, STDOUT_FILENO, STDERR_FILENO);
	case OPT_SINGLE:
		return role_run_single(file);
	case OPT_ROLE:
		bit = conf_role_bit(kurir_str_of(name));
		if (bit == 0)
			return say(
			    STDERR_FILENO, "kurird: --role is for the supervisor's own use\n", 2);
		return role_run(bit, (unsigned)index);
	default:
		return supervisor_run(file);
	}
}

int kurir_conf_folder(const char *file, const char *key, char *ret, size_t size)
{
	struct kurir_arena *arena = kurir_arena_new("folder");
	struct report report = REPORT();
	const struct json *top = json_load(arena, file, &report);
	const struct json *value = top;
	const char *slash = strrchr(file, '/'),
		   *path = strcmp(key, "run") == 0 ? KURIR_RUNDIR
	    : strcmp(key, "state") == 0		   ? KURIR_STATEDIR
						   : NULL;
	char *names = (char *)(uintptr_t)kurir_copy(arena, kurir_str_of(key)).ptr, *rest = names;
	int n = -1, folder = 0;

	for (char *name; value != NULL && (name = strsep(&rest, "/")) != NULL;)
		value = json_get(value, name);
	if (value != NULL && value->type == VALUE_TEXT)
		path = value->text.ptr;
	if (path == NULL)
		top = NULL;
	else if (path[0] != '/' && slash != NULL)
		folder = (int)(slash + 1 - file);
	if (top != NULL)
		n = snprintf(ret, size, "%.*s%s", folder, file, path);
	kurir_buf_free(&report.text);
	kurir_arena_free(arena);
	return n < 0 ? -EINVAL : (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* Descriptors 0 to 2 are somebody's output everywhere: none of ours may become one. */
static void standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		(void)close(fd);
}

int kurir_main(int argc, char **argv)
{
	const char *file = KURIR_CONFDIR "/kurir.json", *name = "";
	bool given = false;
	uint64_t index = 0;
	int what = 0, o;

	standard_files();
	while ((o = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		switch (o) {
		case 'c':
			file = optarg;
			given = true;
			break;
		case OPT_INDEX:
			if (kurir_str_number(kurir_str_of(optarg), 255, &index) < 0)
				return say(STDERR_FILENO, usage, 2);
			break;
		case OPT_ROLE:
		case OPT_DESCRIBE:
			name = optarg;
			what = o;
			break;
		case OPT_VERSION:
			return say(STDOUT_FILENO, PACKAGE_STRING "\n", 0);
		case OPT_HELP:
			return say(STDOUT_FILENO, usage, 0);
		case '?':
			return say(STDERR_FILENO, usage, 2);
		default:
			what = o;
			break;
		}
	}
	if (optind < argc)
		return say(STDERR_FILENO, usage, 2);
	return daemon_run(what, file, given, name, index);
}
