/* kurirctl_explain.c - the options of "kurirctl explain" as words of its request: "from=a@b". */
#include "kurirctl.h"

#include <kurir/auth.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX   62
#define MESSAGE_MAX ((size_t)700 << 10) /* what a request can carry */

static char *words[WORDS_MAX];
static int count;
static bool simulates, times, plays; /* options of the one and the other */

static int add(const char *name, const char *value)
{
	if (count == WORDS_MAX)
		return ctl_fail(2, value, "these are too many options");
	if (asprintf(&words[count], "%s=%s", name, value) < 0)
		return ctl_fail(3, name, strerror(ENOMEM));
	count++;
	return 0;
}

/* 0, or the exit status. */
static int slurp(const char *file, struct kurir_buf *b)
{
	int fd = strcmp(file, "-") == 0 ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;

	if (fd < 0)
		return ctl_fail(2, file, strerror(errno));
	while (n > 0 && kurir_buf_reserve(b, 4096) == 0) {
		n = read(fd, b->ptr + b->len, 4096);
		b->len += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		n = -errno;
	if (fd != STDIN_FILENO)
		(void)close(fd);
	return n < 0 ? ctl_fail(2, file, strerror((int)-n))
	    : n > 0  ? ctl_fail(2, file, "a simulation takes messages of at most 700 KiB")
		     : 0;
}

static int add_message(const char *file)
{
	struct kurir_buf b = KURIR_BUF(MESSAGE_MAX);
	struct kurir_arena *arena = kurir_arena_new("message");
	int r = slurp(file, &b);

	if (r == 0)
		r = add("message", kurir_base64_encode(arena, kurir_buf_str(&b)).ptr);
	kurir_buf_free(&b);
	kurir_arena_free(arena);
	return r;
}

int ctl_explain_option(const char *name, const char *value)
{
	if (strcmp(name, "simulate") == 0)
		return simulates = true, 0;
	if (strcmp(name, "since") == 0 || strcmp(name, "until") == 0)
		times = true;
	else
		plays = true;
	return strcmp(name, "file") == 0 ? add_message(value) : add(name, value);
}

int ctl_explain_words(char **args, int *n)
{
	static char simulate[] = "simulate";

	if ((count > 0 || simulates) && (*n == 0 || strcmp(args[0], "explain") != 0))
		return ctl_fail(
		    2, simulates ? "--simulate" : words[0], "only \"explain\" has this option");
	if (simulates && *n > 1)
		return ctl_fail(2, args[1], "one word too many");
	if (simulates ? times : plays)
		return ctl_fail(2, words[0],
		    simulates ? "--since and --until belong to a story"
			      : "this belongs to --simulate");
	if (simulates)
		args[(*n)++] = simulate;
	for (int i = 0; i < count; i++)
		args[(*n)++] = words[i];
	return 0;
}

void ctl_explain_free(void)
{
	while (count > 0)
		free(words[--count]);
}
