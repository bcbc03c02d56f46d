/* places.c - where the bytes of messages are that are read one after the other.
 *
 * Who opens a second message behind the first gets the places of some that follow, then of
 * more, so that a whole mailbox needs few questions to the database.  What is remembered is used
 * for a moment only, and a segment that is gone (compaction) is a reason to ask again. */
#include "read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define FOR_HOW_LONG 1000 /* milliseconds */
#define SOME	     16	  /* messages */
#define SCATTERED    8	  /* times the bytes that are wanted: too much to be read along */

struct run {
	kurir_time until;
	uint64_t used; /* by age */
	char *account, *mailbox;
	uint32_t last; /* the UID that was opened last */
	size_t count;
	struct read_place places[READ_PLACES];
	struct kurir_body segment; /* fd -1: none */
	uint64_t segment_id;
};

static bool is_text(const char *ours, struct kurir_str s)
{
	return ours != NULL && kurir_str_equal(kurir_str_of(ours), s);
}

static void run_clear(struct run *r)
{
	if (r->segment.fd >= 0)
		close(r->segment.fd);
	free(r->account);
	free(r->mailbox);
	*r = (struct run){ .segment.fd = -1 };
}

void places_stop(struct sqlite_self *m)
{
	for (size_t i = 0; i < PLACES_RUNS && m->runs != NULL; i++)
		run_clear(&m->runs[i]);
	free(m->runs);
	m->runs = NULL;
}

/* The run of that mailbox, or the one that was used longest ago, emptied. */
static struct run *run_of(
    struct sqlite_self *m, struct kurir_str account, struct kurir_str mailbox)
{
	static uint64_t clock;
	struct run *oldest;
	if (m->runs == NULL) {
		m->runs = calloc(PLACES_RUNS, sizeof(*m->runs));
		for (size_t i = 0; i < PLACES_RUNS && m->runs != NULL; i++)
			m->runs[i].segment.fd = -1;
	}
	if (m->runs == NULL)
		return NULL;
	oldest = &m->runs[0];
	for (size_t i = 0; i < PLACES_RUNS; i++) {
		struct run *r = &m->runs[i];
		if (is_text(r->account, account) && is_text(r->mailbox, mailbox)) {
			r->used = ++clock;
			return r;
		}
		if (r->used < oldest->used)
			oldest = r;
	}
	run_clear(oldest);
	oldest->account = strndup(account.ptr, account.len);
	oldest->mailbox = strndup(mailbox.ptr, mailbox.len);
	oldest->used = ++clock;
	return oldest->account != NULL && oldest->mailbox != NULL ? oldest : NULL;
}

static const struct blob_place *known(const struct run *r, const struct read *q)
{
	size_t low = 0, high = r->count;
	if (kurir_now() >= r->until)
		return NULL;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (r->places[middle].uid == q->uid)
			return read_is_place(q, &r->places[middle]) ? &r->places[middle].place
								    : NULL;
		if (r->places[middle].uid < q->uid)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* A descriptor of its own: the segment may be the one of the message before. */
static int open_place(
    struct run *r, const char *folder, const struct blob_place *p, struct kurir_body *ret)
{
	int fd;
	if (r->segment.fd < 0 || r->segment_id != p->segment) {
		struct kurir_body body;
		int e = blob_open(folder, p, &body);
		if (e < 0)
			return e;
		if (r->segment.fd >= 0)
			close(r->segment.fd);
		r->segment = body;
		r->segment_id = p->segment;
	}
	fd = fcntl(r->segment.fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	*ret = (struct kurir_body){ .fd = fd, .offset = p->offset, .length = p->length };
	return 0;
}

/* How many to ask for: one, and more and more for who goes on. */
static size_t how_many(const struct run *r, uint32_t uid)
{
	size_t more = r->count < 2 ? 16 : r->count * 4;
	if (r->last == 0 || uid <= r->last)
		return 1;
	return more < READ_PLACES ? more : READ_PLACES;
}

struct stretch {
	int fd;
	uint64_t begin, end;
};

static int read_ahead(void *arg)
{
	const struct stretch *s = arg;
	return -posix_fadvise(
	    s->fd, (off_t)s->begin, (off_t)(s->end - s->begin), POSIX_FADV_WILLNEED);
}

/* What the system has at once. */
static bool is_there(int fd, uint64_t offset)
{
	char byte;
	struct iovec to = { &byte, 1 };
	return preadv2(fd, &to, 1, (off_t)offset, RWF_NOWAIT) >= 0;
}

/* Messages that came one after the other stand so in the segment: they, and what is likely to be
 * wanted next, come into the system's memory together. */
KURIR_PARKS static void bring(const struct run *r, kurir_time until)
{
	const struct blob_place *first = &r->places[0].place;
	uint64_t end = first->offset, bytes = 0;
	for (size_t i = 0; i < r->count && r->places[i].place.segment == first->segment; i++) {
		const struct blob_place *p = &r->places[i].place;
		if (p->offset < first->offset)
			break;
		end = p->offset + p->length > end ? p->offset + p->length : end;
		bytes += p->length;
	}
	uint64_t length = end - first->offset;
	if (length > SCATTERED * bytes ||
	    (is_there(r->segment.fd, end - 1) && is_there(r->segment.fd, end + length - 1)))
		return;
	struct stretch s = { .fd = fcntl(r->segment.fd, F_DUPFD_CLOEXEC, 3),
		.begin = is_there(r->segment.fd, end - 1) ? end : first->offset,
		.end = end + length };
	if (s.fd < 0)
		return;
	(void)kurir_offload(read_ahead, &s, until);
	close(s.fd);
}

KURIR_PARKS int places_open(struct kurir_self *self, const struct read *question,
    const char *folder, kurir_time until, struct kurir_body *ret)
{
	struct sqlite_self *m = kurir_state(self);
	struct run *r = run_of(m, question->account, question->mailbox);
	const struct blob_place *p = r != NULL ? known(r, question) : NULL;
	struct read q = *question;
	size_t most = r != NULL ? how_many(r, question->uid) : 1;
	int e;
	if (p != NULL && (e = open_place(r, folder, p, ret)) != -ESTALE) {
		r->last = question->uid;
		return e;
	}
	q.places = kurir_alloc(kurir_scratch(), most * sizeof(*q.places));
	q.room = most;
	e = sqlite_read(self, &q, until);
	if (e < 0)
		return e;
	r = run_of(m, question->account, question->mailbox); /* others may have used it */
	if (r == NULL)
		return blob_open(folder, &q.places[0].place, ret);
	memcpy(r->places, q.places, q.count * sizeof(*q.places));
	r->count = q.count;
	r->until = kurir_now() + FOR_HOW_LONG;
	r->last = question->uid;
	e = open_place(r, folder, &q.places[0].place, ret);
	if (e == 0 && r->count >= SOME)
		bring(r, until);
	return e;
}
