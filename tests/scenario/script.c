/* script.c - reads a scenario: its configuration goes to a file in a new folder, the rest
 * becomes steps. */
#include "runner.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *env(const char *name, const char *preset)
{
	const char *v = getenv(name);

	return v != NULL && *v != '\0' ? v : preset;
}

/* @TMP@ @BUILD@ @SRC@ @CERT@ @KEY@ */
static void put_replaced(FILE *f, const char *l)
{
	for (; *l != '\0'; l++) {
		if (strncmp(l, "@TMP@", 5) == 0) {
			fputs(run.folder, f);
			l += 4;
		} else if (strncmp(l, "@BUILD@", 7) == 0) {
			fputs(env("top_builddir", "."), f);
			l += 6;
		} else if (strncmp(l, "@SRC@", 5) == 0) {
			fputs(env("top_srcdir", "."), f);
			l += 4;
		} else if (strncmp(l, "@CERT@", 6) == 0) {
			fprintf(f, "%s/cert.pem", run.folder);
			run.wants_certificate = true;
			l += 5;
		} else if (strncmp(l, "@KEY@", 5) == 0) {
			fprintf(f, "%s/key.pem", run.folder);
			l += 4;
		} else {
			fputc(*l, f);
		}
	}
	fputc('\n', f);
}

static char *replaced(const char *l)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	put_replaced(f, l);
	fclose(f);
	text[n - 1] = '\0';
	return text;
}

/* What every configuration needs and no scenario wants to repeat. */
static void put_common(FILE *f)
{
	fprintf(f,
	    "{\"version\": 1, \"state\": \"%s/state\", \"run\": \"%s/run\", \"sandbox\": \"off\",\n",
	    run.folder, run.folder);
	if (run.module_path != NULL)
		fprintf(f, "\"module-path\": %s,\n", run.module_path);
	else
		fprintf(f, "\"module-path\": [\"%s\", \"%s/tests/modules\"],\n",
		    env("top_builddir", "."), env("top_builddir", "."));
}

/* The configuration of a scenario that has none: the module that is tested, behind a server for
 * satu.example. */
static void put_preset(FILE *f, const char *options)
{
	fprintf(f,
	    "\"listeners\": {\"mx\": {\"protocol\": \"smtp\", \"address\": \"127.0.0.1:2525\", "
	    "\"pipeline\": \"inbound\"}},\n"
	    "\"pipelines\": {\"inbound\": [\"%s\", \"accounts\"]},\n"
	    "\"modules\": {\"smtp\": {}, \"queue_memory\": {}, \"accounts\": {\"domains\": "
	    "[\"satu.example\"], \"mailboxes\": [\"hyd@satu.example\", \"ani@satu.example\", "
	    "\"postmaster@satu.example\"]},\n\"%s\": {%s}}",
	    run.module, run.module, options != NULL ? options : "");
}

/* Lines up to END, in memory. */
static char *read_block(FILE *in, unsigned *line)
{
	static char l[8192];
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	while (f != NULL && fgets(l, sizeof(l), in) != NULL) {
		++*line;
		l[strcspn(l, "\n")] = '\0';
		if (strcmp(l, "END") == 0)
			break;
		put_replaced(f, l);
	}
	if (f != NULL)
		fclose(f);
	return text;
}

static void put_file(const char *name, FILE *in, unsigned *line)
{
	static char path[20000], l[8192];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", run.folder, name);
	f = fopen(path, "we");
	while (fgets(l, sizeof(l), in) != NULL) {
		++*line;
		l[strcspn(l, "\n")] = '\0';
		if (strcmp(l, "END") == 0)
			break;
		if (f != NULL)
			put_replaced(f, l);
	}
	if (f != NULL)
		fclose(f);
}

static int make_certificate(void)
{
	char cert[300], key[300];

	(void)snprintf(cert, sizeof(cert), "%s/cert.pem", run.folder);
	(void)snprintf(key, sizeof(key), "%s/key.pem", run.folder);
	return run_make_certificate(cert, key);
}

int run_read(const char *file)
{
	FILE *in = fopen(file, "re"), *conf;
	static char l[16384];
	unsigned line = 0;
	bool in_conf = false, hostname = false, has_conf = false;
	char *options = NULL;

	(void)snprintf(
	    run.folder, sizeof(run.folder), "%s/kurir-scn-XXXXXX", env("TMPDIR", "/tmp"));
	if (in == NULL || mkdtemp(run.folder) == NULL)
		return -errno;
	(void)snprintf(run.conf, sizeof(run.conf), "%s/kurir.json", run.folder);
	(void)snprintf(run.title, sizeof(run.title), "%s", file);
	conf = fopen(run.conf, "we");
	if (conf == NULL)
		return -errno;
	put_common(conf);
	while (fgets(l, sizeof(l), in) != NULL) {
		line++;
		l[strcspn(l, "\n")] = '\0';
		if (in_conf) {
			if (strcmp(l, "END") == 0) {
				in_conf = false;
				continue;
			}
			hostname |= strstr(l, "\"hostname\"") != NULL;
			put_replaced(conf, l);
		} else if (strcmp(l, "CONFIG") == 0) {
			in_conf = has_conf = true;
		} else if (strcmp(l, "OPTIONS") == 0) {
			free(options);
			options = read_block(in, &line);
		} else if (strncmp(l, "FILE ", 5) == 0) {
			put_file(l + 5, in, &line);
		} else if (l[0] == '#') {
			if (line == 1)
				(void)snprintf(run.title, sizeof(run.title), "%.180s",
				    l + 1 + (l[1] == ' '));
		} else if (l[0] != '\0' && run.step_count < STEPS_MAX) {
			run.steps[run.step_count++] = (struct step){ line, replaced(l) };
		}
	}
	if (!has_conf && run.module != NULL)
		put_preset(conf, options);
	free(options);
	if (!hostname)
		fputs(", \"hostname\": \"mx.satu.example\"", conf);
	fputs("}\n", conf);
	fclose(conf);
	fclose(in);
	return run.wants_certificate ? make_certificate() : 0;
}

static int removed(const char *path, const struct stat *st, int what, struct FTW *f)
{
	(void)st;
	(void)what;
	(void)f;
	return remove(path);
}

void run_remove(const char *folder)
{
	(void)nftw(folder, removed, 16, FTW_DEPTH | FTW_PHYS);
}

void run_clean(void)
{
	run_remove(run.folder);
}
