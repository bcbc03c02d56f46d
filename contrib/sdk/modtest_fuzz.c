/* modtest_fuzz.c - the scenario with other bytes: lines of the client are changed, cut, doubled and
 * swapped.  Nothing is expected of the answers; the server, in a process of its own each time, ends
 * as it should. */
#include "modtest.h"

#include "scenario/runner.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 60 /* after which it is taken for lost */

static uint64_t state;

/* xorshift64*: the same everywhere for the same seed. */
static unsigned number(unsigned below)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (unsigned)((state * 0x2545f4914f6cdd1du) >> 33) % below;
}

static bool of_client(const struct step *s)
{
	return s->text[0] == 'C' && (s->text[1] == ':' || s->text[1] == '!') &&
	    s->text[2] != '\0';
}

/* One byte, or a piece, of what is sent. */
static void change(struct step *s)
{
	static const char *const pieces[] = { "<>", "@", "\"", "\\x00", "\\xff", "\\r", "\\n",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", " ", ":",
		"%s%n" };
	const char *piece = pieces[number(sizeof(pieces) / sizeof(pieces[0]))];
	size_t n = strlen(s->text), at = 3 + number((unsigned)(n > 3 ? n - 2 : 1)), cut;
	char *text = NULL;

	at = at > n ? n : at;
	cut = at + (number(3) == 0 && at < n ? 1 + number((unsigned)(n - at)) : 0);
	if (asprintf(&text, "C!%s%.*s%s%s%s", n > 2 ? " " : "", n > 3 ? (int)(at - 3) : 0,
		n > 3 ? s->text + 3 : "", number(2) ? piece : "", s->text + cut,
		s->text[1] == ':' ? "\\r\\n" : "") > 0)
		s->text = text;
}

static size_t clients[STEPS_MAX];

/* What the server says is of no account, and dropped; what is expected otherwise, too. */
static size_t keep_client(void)
{
	static char drain[] = "DRAIN";
	static const char *const kept[] = { "CONNECT", "USE", "TIME_PASSES", "CLOSE", "TLS",
		"REPEAT" };
	size_t n = 0, count = 0;

	for (size_t i = 0; i < run.step_count; i++) {
		struct step s = run.steps[i];
		bool keep = of_client(&s);

		for (size_t k = 0; k < sizeof(kept) / sizeof(kept[0]); k++)
			keep |= strncmp(s.text, kept[k], strlen(kept[k])) == 0;
		if (s.text[0] == 'S' || strcmp(s.text, "CLOSED") == 0)
			s.text = drain;
		else if (!keep)
			continue;
		if (of_client(&s))
			clients[count++] = n;
		run.steps[n++] = s;
	}
	run.step_count = n;
	return count;
}

static void mutate(unsigned seed)
{
	size_t count = keep_client();

	state = 0x9e3779b97f4a7c15u * (seed + 1u);
	for (unsigned i = 1 + number(6); i > 0 && count > 0; i--) {
		struct step *a = &run.steps[clients[number((unsigned)count)]];
		struct step *b = &run.steps[clients[number((unsigned)count)]], was = *a;

		if (number(8) == 0) {
			*a = *b;
			*b = was;
		} else {
			change(a);
		}
	}
}

/* The first of what it said. */
static void show(int words)
{
	static char text[2000];
	ssize_t n = pread(words, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	for (char *l = text; *l != '\0'; l += strcspn(l, "\n"), l += *l == '\n')
		printf("#   %.*s\n", (int)strcspn(l, "\n"), l);
}

static bool survives(unsigned seed)
{
	char path[300];
	int words, status = 0;
	pid_t pid;

	(void)snprintf(path, sizeof(path), "%s/words", run.folder);
	words = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		(void)dup2(words, 2);
		(void)dup2(words, 1);
		(void)alarm(SECONDS);
		run.tortured = true;
		mutate(seed);
		run_play();
		_exit(0);
	}
	(void)waitpid(pid, &status, 0);
	if (pid < 0 || status != 0) {
		printf("# --fuzz 1 --seed %u: %s %d\n", seed,
		    WIFSIGNALED(status) ? "signal" : "status",
		    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		show(words);
	}
	(void)close(words);
	return pid > 0 && status == 0;
}

unsigned modtest_fuzz(unsigned times, unsigned seed)
{
	unsigned lost = 0;

	for (unsigned i = 0; i < times && lost < 10; i++)
		lost += !survives(seed + i);
	return lost;
}
