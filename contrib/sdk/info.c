/* info.c - "kurirctl module info": a module's description, for people and for programs. */
#include "description.h"
#include "describe.h"
#include "modload.h"
#include "sdk.h"
#include "story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A word without a slash or ".so" is a module of the module path. */
static const char *find(struct kurir_arena *arena, const char *file)
{
	static const struct kurir_str installed = { KURIR_MODULEDIR,
		sizeof(KURIR_MODULEDIR) - 1 };
	const struct kurir_texts path = { 1, &installed };
	struct kurir_str found;

	if (strchr(file, '/') != NULL || !modload_good_name(kurir_str_of(file)))
		return file;
	found = modload_search(arena, kurir_str_of(file), &path);
	return found.len > 0 ? found.ptr : file;
}

static void show(const struct kurir_module *m, const char *file)
{
	struct module one = { .m = *m, .path = file };
	struct kurir_buf b = KURIR_BUF(16u << 20);

	describe_module(&b, &one);
	story_clean(&b, 0, "\n");
	(void)fwrite(b.ptr, 1, b.len, stdout);
	kurir_buf_free(&b);
}

static void show_json(const struct kurir_module *m, const char *file)
{
	json_t *v = description_json(m, file);

	(void)json_dumpf(v, stdout, JSON_INDENT(2));
	(void)fputc('\n', stdout);
	json_decref(v);
}

int sdk_info(const char *file, bool json)
{
	struct kurir_arena *arena = kurir_arena_new("info");
	struct kurir_str error = KURIR_STR("");
	struct kurir_module m;
	int r;

	file = find(arena, file);
	r = description_of_file(arena, file, &m, &error);
	if (r < 0)
		r = sdk_fail(1, error.ptr, NULL);
	else if (json)
		show_json(&m, file);
	else
		show(&m, file);
	kurir_arena_free(arena);
	return fflush(stdout) == 0 ? r : 1;
}
