/* keywatch.c - notices replaced certificates and keys, for processes that cannot.
 * An edge process has read its keys before it locked itself in, as a user who may not; the
 * supervisor still may, so it opens what was replaced and hands the descriptors over.  It reads
 * no byte of them. */
#include "keywatch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "generation.h"
#include "wire.h"

#define LOOK 300 /* ms; changed, and the same at the next look: within a second */

struct watched {
	struct kurir_str path; /* NUL follows */
	struct keywatch_mark told, seen;
};

struct keywatch {
	struct loop_timer timer;
	struct generation *generation;
	size_t pairs;
	struct watched files[]; /* certificate, key, certificate, ... */
};

struct keywatch_mark keywatch_mark(struct kurir_str path)
{
	struct stat st;
	if (stat(path.ptr, &st) < 0)
		return (struct keywatch_mark){ 0 };
	return (struct keywatch_mark){ st.st_mtim, st.st_ctim, st.st_ino, st.st_size };
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool keywatch_same(struct keywatch_mark a, struct keywatch_mark b)
{
	return a.inode == b.inode && a.size == b.size && same_time(a.changed, b.changed) &&
	    same_time(a.created, b.created);
}

static void offer(struct generation *g, size_t pair, const int fds[2])
{
	for (struct process *p = g->processes; p; p = p->next)
		for (unsigned key = 0; key < 2; key++)
			if (p->role == KURIR_ROLE_EDGE && p->control.fd >= 0)
				(void)wire_send(p->control.fd,
				    &(struct wire){ .kind = WIRE_KEY,
					.index = (uint32_t)pair,
					.count = key,
					.fd = fds[key] });
}

static void pair_offer(struct generation *g, size_t pair, const struct watched *files)
{
	int fds[2] = { -1, -1 }, r = 0;
	for (int i = 0; i < 2 && r == 0; i++) {
		fds[i] = open(files[i].path.ptr, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fds[i] < 0)
			r = kurir_log(NULL, KURIR_WARN, -errno,
			    "%s cannot be read, going on with the old certificate",
			    files[i].path.ptr);
	}
	if (r == 0)
		offer(g, pair, fds);
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
}

/* Both files of a pair stand still, and one of them is not what was told last. */
static bool pair_settled(struct watched *files)
{
	bool still = true, changed = false;
	for (int i = 0; i < 2; i++) {
		struct keywatch_mark now = keywatch_mark(files[i].path);
		still = still && keywatch_same(now, files[i].seen);
		changed = changed || !keywatch_same(now, files[i].told);
		files[i].seen = now;
	}
	return still && changed;
}

static void look(struct loop_timer *t)
{
	struct keywatch *k = (struct keywatch *)t;
	for (size_t i = 0; i < k->pairs; i++) {
		struct watched *files = &k->files[2 * i];
		if (!pair_settled(files))
			continue;
		files[0].told = files[0].seen;
		files[1].told = files[1].seen;
		pair_offer(k->generation, i, files);
	}
	loop_timer_set(t, kurir_now() + LOOK, look);
}

void keywatch_begin(struct generation *g)
{
	const struct conf *c = &g->plan->conf;
	size_t n = c->certificate_count;
	if (!n)
		return;
	struct keywatch *k = kurir_alloc(g->arena, sizeof(*k) + 2 * n * sizeof(struct watched));
	k->generation = g;
	k->pairs = n;
	for (size_t i = 0; i < n; i++) {
		k->files[2 * i].path = kurir_copy(g->arena, c->certificates[i].certificate);
		k->files[2 * i + 1].path = kurir_copy(g->arena, c->certificates[i].key);
	}
	for (size_t i = 0; i < 2 * n; i++)
		k->files[i].told = k->files[i].seen = keywatch_mark(k->files[i].path);
	g->keys = k;
	loop_timer_set(&k->timer, kurir_now() + LOOK, look);
}

void keywatch_end(struct generation *g)
{
	if (g->keys)
		loop_timer_clear(&g->keys->timer);
	g->keys = NULL;
}
