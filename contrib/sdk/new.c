/* new.c - "kurirctl module new": a module to begin with, from the files of a template.
 *
 * In names and contents of the files @NAME@ becomes the module's name and @DATE@ today.  Nothing that
 * is there already is touched: the folder is a new one, and goes again when something fails. */
#include "modload.h"
#include "sdk.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TEMPLATE_MAX (1u << 20) /* bytes of a file */

struct fresh {
	struct kurir_arena *arena;
	const char *from, *to; /* folders */
	struct kurir_str name, date;
};

/* November 23, 2026: as mdoc(7) wants it. */
static struct kurir_str today(struct kurir_arena *arena)
{
	static const char *const months[] = { "January", "February", "March", "April", "May",
		"June", "July", "August", "September", "October", "November", "December" };
	time_t now = (time_t)(kurir_wallclock() / 1000);
	struct tm tm = { 0 };

	(void)gmtime_r(&now, &tm);
	return kurir_format(arena, "%s %d, %d", months[tm.tm_mon], tm.tm_mday, tm.tm_year + 1900);
}

static struct kurir_str filled(const struct fresh *f, struct kurir_str text)
{
	struct kurir_buf b = KURIR_BUF(TEMPLATE_MAX * 16);
	struct kurir_str ret;

	for (size_t i = 0; i < text.len; i++) {
		struct kurir_str rest = kurir_str_part(text, i, text.len);

		if (kurir_str_starts(rest, KURIR_STR("@NAME@"))) {
			(void)kurir_buf_add(&b, f->name);
			i += 5;
		} else if (kurir_str_starts(rest, KURIR_STR("@DATE@"))) {
			(void)kurir_buf_add(&b, f->date);
			i += 5;
		} else {
			(void)kurir_buf_add(&b, kurir_str_part(rest, 0, 1));
		}
	}
	ret = kurir_copy(f->arena, kurir_buf_str(&b));
	kurir_buf_free(&b);
	return ret;
}

/* 0 or the exit status. */
static int copy_file(const struct fresh *f, const char *name)
{
	struct kurir_str from = kurir_format(f->arena, "%s/%s", f->from, name);
	struct kurir_str to =
	    kurir_format(f->arena, "%s/%s", f->to, filled(f, kurir_str_of(name)).ptr);
	char *text = kurir_alloc(f->arena, TEMPLATE_MAX);
	FILE *in = fopen(from.ptr, "re"), *out;
	struct kurir_str whole = { text, in != NULL ? fread(text, 1, TEMPLATE_MAX, in) : 0 };
	bool good = in != NULL && ferror(in) == 0;

	if (in != NULL)
		(void)fclose(in);
	if (!good || whole.len == TEMPLATE_MAX)
		return sdk_fail(1, from.ptr, good ? strerror(EFBIG) : strerror(errno));
	out = fopen(to.ptr, "wxe");
	whole = filled(f, whole);
	good = out != NULL && fwrite(whole.ptr, 1, whole.len, out) == whole.len;
	if (out != NULL && fclose(out) != 0)
		good = false;
	return good ? 0 : sdk_fail(1, to.ptr, strerror(errno));
}

static int wanted(const struct dirent *e)
{
	return e->d_name[0] != '.' && e->d_name[strlen(e->d_name) - 1] != '~';
}

static int copy_all(const struct fresh *f)
{
	struct dirent **list;
	int n = scandir(f->from, &list, wanted, alphasort), r = 0;

	if (n < 0)
		return sdk_fail(1, f->from, strerror(errno));
	for (int i = 0; i < n; i++) {
		if (r == 0)
			r = copy_file(f, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	return r != 0 || n > 0 ? r : sdk_fail(1, f->from, "this folder has no files");
}

static void remove_all(const struct fresh *f)
{
	struct dirent **list;
	int n = scandir(f->to, &list, wanted, NULL);

	for (int i = 0; i < n; i++) {
		(void)unlink(kurir_format(f->arena, "%s/%s", f->to, list[i]->d_name).ptr);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	(void)rmdir(f->to);
}

/* Beside this program, or where it was installed. */
static const char *template_folder(struct kurir_arena *arena)
{
	char here[1024];
	ssize_t n = readlink("/proc/self/exe", here, sizeof(here));
	struct kurir_str beside;

	while (n > 0 && here[n - 1] != '/')
		n--;
	beside = kurir_format(arena, "%.*s../share/kurir/template", (int)(n > 0 ? n : 0), here);
	return access(beside.ptr, F_OK) == 0 ? beside.ptr : KURIR_DATADIR "/template";
}

int sdk_new(const char *name, const char *to, const char *from)
{
	struct kurir_arena *arena = kurir_arena_new("new");
	struct fresh f = { .arena = arena, .name = kurir_str_of(name), .date = today(arena) };
	int r = 0;

	f.from = from != NULL ? from : template_folder(arena);
	f.to = to != NULL ? to : name;
	if (!modload_good_name(f.name) || name[0] < 'a')
		r = sdk_fail(2, name, "a module's name begins with a-z, and has a-z, 0-9 and _");
	else if (mkdir(f.to, 0777) < 0)
		r = sdk_fail(1, f.to, strerror(errno));
	if (r == 0) {
		r = copy_all(&f);
		if (r != 0)
			remove_all(&f);
		else
			printf("%s: make, make check, make install; then read kurir-module(7)\n",
			    f.to);
	}
	kurir_arena_free(arena);
	return r;
}
