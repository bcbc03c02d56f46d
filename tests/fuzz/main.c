/* main.c - runs a fuzz target over files and folders, for builds without libFuzzer.
 * Speaks TAP, one point a target: what it proves is that nothing crashed.  With no argument
 * the folder is $top_srcdir/tests/fuzz/corpus/NAME, where the program is fuzz_NAME. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned ran;

static int run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (f == NULL)
		return -1;
	size_t room = 1u << 20, size;
	uint8_t *data = malloc(room);
	if (data == NULL)
		abort();
	size = fread(data, 1, room, f);
	fclose(f);
	/* The exact size, so that a sanitizer sees the first byte too many. */
	uint8_t *exact = malloc(size ? size : 1);
	if (exact == NULL)
		abort();
	memcpy(exact, data, size);
	free(data);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	ran++;
	return 0;
}

static int run_folder(const char *path)
{
	struct dirent **names;
	int count = scandir(path, &names, NULL, alphasort), bad = 0;
	if (count < 0)
		return run_file(path);
	for (int i = 0; i < count; i++) {
		char file[3000];
		struct stat st;
		snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		if (stat(file, &st) == 0 && S_ISREG(st.st_mode))
			bad |= run_file(file);
		free(names[i]);
	}
	free(names);
	return bad;
}

static const char *name_of(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;
	if (strncmp(name, "lt-", 3) == 0)
		name += 3;
	return strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name;
}

int main(int argc, char **argv)
{
	char corpus[2000];
	const char *top = getenv("top_srcdir"), *name = name_of(argv[0]);
	int bad = 0;

	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	if (argc > 1) {
		for (int i = 1; i < argc; i++)
			bad |= run_folder(argv[i]);
	} else {
		snprintf(
		    corpus, sizeof(corpus), "%s/tests/fuzz/corpus/%s", top ? top : ".", name);
		bad = run_folder(corpus);
	}
	printf("1..1\n%s 1 - %s over its corpus\n# %u inputs\n", bad || !ran ? "not ok" : "ok",
	    name, ran);
	return 0;
}
