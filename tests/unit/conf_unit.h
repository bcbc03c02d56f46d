/* conf_unit.h - what the unit tests of the configuration share. */
#ifndef TESTS_UNIT_CONF_UNIT_H
#define TESTS_UNIT_CONF_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <kurir/module.h>

static inline void assert_str(struct kurir_str s, const char *wanted)
{
	if (s.len != strlen(wanted) || memcmp(s.ptr, wanted, s.len) != 0)
		fail_msg("\"%.*s\" is not \"%s\"", KURIR_ARG(s), wanted);
}

/* The folder of the test modules. */
static inline const char *test_modules(void)
{
	static char path[4096];
	const char *given = getenv("TEST_MODULES"), *build = getenv("top_builddir");

	if (given)
		return given;
	snprintf(path, sizeof(path), "%s/tests/modules", build ? build : ".");
	return path;
}

/* A file with that text, in a folder of its own; both are removed by drop_file(). */
static inline const char *make_file(const char *text)
{
	static char path[64];
	char folder[] = "/tmp/kurir-test-XXXXXX";
	FILE *f;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/kurir.json", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

static inline void drop_file(const char *path)
{
	char folder[64];

	unlink(path);
	snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
	rmdir(folder);
}

#endif
