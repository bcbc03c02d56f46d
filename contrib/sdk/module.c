/* module.c - kurir-module: what the author of a module needs beside a compiler.
 * "kurirctl module ..." becomes this program.
 * Exit status: 0 done; 1 it cannot be done; 2 the command line is wrong. */
#include "sdk.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "kurirctl module COMMAND\n"
    "  new NAME [--dir FOLDER] [--from TEMPLATE]\n"
    "                            files of a new module, to begin with\n"
    "  info [--json] FILE|NAME   what a module says of itself; it is not run\n";

enum { OPT_JSON = 256, OPT_DIR, OPT_FROM, OPT_HELP, OPT_VERSION };
static const struct option options[] = {
	{ "json", no_argument, NULL, OPT_JSON },
	{ "dir", required_argument, NULL, OPT_DIR },
	{ "from", required_argument, NULL, OPT_FROM },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ 0 },
};

int sdk_fail(int status, const char *what, const char *why)
{
	(void)fprintf(stderr, "kurir-module: %s%s%s\n", what, why != NULL ? ": " : "",
	    why != NULL ? why : "");
	return status;
}

int main(int argc, char **argv)
{
	bool json = false;
	const char *command, *to = NULL, *from = NULL;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case OPT_JSON:
			json = true;
			break;
		case OPT_DIR:
			to = optarg;
			break;
		case OPT_FROM:
			from = optarg;
			break;
		case OPT_HELP:
			(void)fputs(usage, stdout);
			return 0;
		case OPT_VERSION:
			(void)fputs(PACKAGE_STRING "\n", stdout);
			return 0;
		default:
			return 2;
		}
	}
	command = optind < argc ? argv[optind++] : "";
	if (strcmp(command, "info") == 0)
		return argc - optind == 1 ? sdk_info(argv[optind], json)
					  : sdk_fail(2, "info needs one FILE or NAME", NULL);
	if (strcmp(command, "new") == 0)
		return argc - optind == 1 ? sdk_new(argv[optind], to, from)
					  : sdk_fail(2, "new needs one NAME", NULL);
	(void)fputs(usage, stderr);
	return 2;
}
