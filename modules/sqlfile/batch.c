/* batch.c - jobs that come together are one transaction. */
#include "sqlfile.h"

#include <errno.h>
#include <stdlib.h>

void batch_begin(struct batch *b, struct kurir_self *self, struct sqlfile *file,
    int (*fn)(void *arg, struct batch_job *), void *arg)
{
	*b = (struct batch){ .self = self,
		.file = file,
		.fn = fn,
		.arg = arg,
		.group = kurir_group_begin(self),
		.settled = kurir_signal_new(kurir_self_arena(self)) };
	b->end = &b->waiting;
}

/* In a helper thread. */
static int run(void *arg)
{
	struct batch *b = arg;
	int r = sqlfile_begin(b->file);

	if (r < 0)
		return r;
	for (struct batch_job *j = b->now; j != NULL && r == 0; j = j->next) {
		j->result = b->fn(b->arg, j);
		r = j->result < 0 ? j->result : 0;
	}
	/* One that failed for want of room has undone the others, too. */
	if (r == 0)
		r = sqlfile_end(b->file, true);
	if (r < 0)
		(void)sqlfile_end(b->file, false);
	return r;
}

static void drop(struct batch_job *j)
{
	if (j->drop != NULL)
		j->drop(j);
	else
		free(j);
}

static void settle(struct batch_job *first, int r)
{
	while (first != NULL) {
		struct batch_job *j = first;

		first = j->next;
		if (r < 0)
			j->result = r;
		j->done = true;
		if (j->left)
			drop(j);
	}
}

static struct batch_job *take(struct batch *b)
{
	struct batch_job *first = b->waiting;

	b->waiting = NULL;
	b->end = &b->waiting;
	return first;
}

KURIR_PARKS static void work(void *arg)
{
	struct batch *b = arg;
	int r = 0;

	while (b->waiting != NULL && r != -ECANCELED) {
		b->now = take(b);
		r = kurir_offload(run, b, KURIR_FOREVER);
		if (r < 0 && r != -ECANCELED)
			(void)kurir_log(b->self, KURIR_ERROR, r, "cannot use the file");
		settle(b->now, r);
		kurir_signal_raise(b->settled);
	}
	settle(take(b), -ECANCELED);
	kurir_signal_raise(b->settled);
	b->working = false;
}

KURIR_PARKS int batch_do(struct batch *b, struct batch_job *j)
{
	int r = 0;

	if (!b->working) {
		r = kurir_group_go(b->group, "batch", work, b);
		if (r < 0) {
			drop(j);
			return r;
		}
		b->working = true;
	}
	*b->end = j;
	b->end = &j->next;
	while (r == 0 && !j->done)
		r = kurir_signal_wait(b->settled, KURIR_FOREVER);
	if (!j->done) {
		j->left = true;
		return r;
	}
	r = j->result;
	if (r < 0)
		drop(j);
	return r;
}
