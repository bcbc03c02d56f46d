/* conf_main.c - kurird --check, --plan, --schema, --describe. */
#include "describe.h"
#include "plan_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int put(int fd, struct kurir_str s)
{
	ssize_t n;

	while (s.len) {
		n = write(fd, s.ptr, s.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		s = kurir_str_part(s, (size_t)n, s.len);
	}
	return 0;
}

/* One exit for what a report says: 0 or 1. */
static int conclude(struct report *report, int err)
{
	int status = report->errors != 0;

	put(err, kurir_buf_str(&report->text));
	kurir_buf_free(&report->text);
	return status;
}

static void put_warnings(const struct plan *plan, int err)
{
	for (size_t i = 0; i < plan->warnings.count; i++) {
		put(err, KURIR_STR("warning: "));
		put(err, plan->warnings.items[i]);
		put(err, KURIR_STR("; it is not required\n"));
	}
}

int conf_main_check(const char *file, int err)
{
	struct report report = REPORT();
	struct plan *plan;

	report.host = true;
	plan = plan_make(file, false, &report);
	if (plan)
		put_warnings(plan, err);
	plan_free(plan);
	return conclude(&report, err);
}

int conf_main_plan(const char *file, int out, int err)
{
	struct report report = REPORT();
	struct plan *plan = plan_make(file, !isatty(out), &report);
	int r = 0;

	if (plan)
		r = put(out, plan->text);
	if (plan && r >= 0)
		r = put(out, KURIR_STR("\n"));
	if (r < 0)
		report_line(&report, "cannot write the plan: %s", strerror(-r));
	plan_free(plan);
	return conclude(&report, err);
}

/* The folders to look in: those the file names, whatever else is wrong with it; else the one
 * of the installation. */
static struct kurir_texts module_path(
    struct kurir_arena *arena, struct frozen *memory, const char *file)
{
	static const struct kurir_str installed = { KURIR_MODULEDIR,
		sizeof(KURIR_MODULEDIR) - 1 };
	struct report unread = REPORT();
	struct option_reader rd = { .report = &unread, .memory = memory, .arena = arena };
	struct conf *conf = frozen_alloc(memory, sizeof(*conf));
	const struct json *top = file ? json_load(arena, file, &unread) : NULL;

	if (top) {
		rd.folder = plan_folder(arena, file);
		conf_read(&rd, top, conf);
	}
	kurir_buf_free(&unread.text);
	return conf->module_path.count ? conf->module_path
				       : (struct kurir_texts){ 1, &installed };
}

struct run {
	struct kurir_arena *arena;
	struct frozen *memory;
	struct report report;
	struct kurir_texts path;
};

static void run_begin(struct run *run, const char *file)
{
	*run = (struct run){ kurir_arena_new("describe"), frozen_new(), REPORT(), { 0, NULL } };
	run->path = module_path(run->arena, run->memory, file);
}

static int run_end(struct run *run, int err)
{
	frozen_free(run->memory);
	kurir_arena_free(run->arena);
	return conclude(&run->report, err);
}

int conf_main_schema(const char *file, int out, int err)
{
	const struct module **modules;
	struct kurir_texts names;
	struct kurir_str error;
	struct module *m;
	struct run run;
	json_t *schema;
	size_t n = 0;
	char *text;

	run_begin(&run, file);
	names = modload_list(run.arena, &run.path);
	modules = kurir_alloc(run.arena, (names.count + 1) * sizeof(struct module *));
	for (size_t i = 0; i < names.count; i++) {
		struct kurir_str found = modload_search(run.arena, names.items[i], &run.path);

		if (found.len &&
		    modload_open(run.arena, names.items[i], found.ptr, &m, &error) == 0)
			modules[n++] = m;
		else if (found.len)
			report_line(&run.report, "%.*s", KURIR_ARG(error));
	}
	schema = schema_make(modules, n);
	text = json_dumps(schema, JSON_INDENT(2) | JSON_SORT_KEYS);
	json_decref(schema);
	if (text) {
		put(out, kurir_str_of(text));
		put(out, KURIR_STR("\n"));
	}
	free(text);
	return run_end(&run, err);
}

int conf_main_describe(const char *file, const char *name, int out, int err)
{
	struct kurir_buf text = KURIR_BUF(1u << 20);
	struct kurir_str error, found;
	struct module *m;
	struct run run;

	run_begin(&run, file);
	if (strcmp(name, "core") == 0) {
		describe_core(&text);
	} else {
		found = modload_good_name(kurir_str_of(name))
		    ? modload_search(run.arena, kurir_str_of(name), &run.path)
		    : KURIR_STR("");
		if (found.len == 0)
			report_line(&run.report, "%.*s; \"core\" describes the core",
			    KURIR_ARG(plan_not_found(run.arena, kurir_str_of(name), &run.path)));
		else if (modload_open(run.arena, kurir_str_of(name), found.ptr, &m, &error) < 0)
			report_line(&run.report, "%.*s", KURIR_ARG(error));
		else
			describe_module(&text, m);
	}
	put(out, kurir_buf_str(&text));
	kurir_buf_free(&text);
	return run_end(&run, err);
}
