/* history_index.c - where in a segment something stands.
 *
 *   index = magic(8) count(8) text(8) first(8) last(8) 1025fan(8) *entry(8)  in our order
 *   fan   = how many entries have a hash whose first 10 bits are less
 *   entry = 38 bits of the key's hash, 26 bits of the line's place; ascending */
#include "history_private.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAGIC	    0x3249524952554bull /* "KURIRI2" */
#define PLACE_BITS  26
#define PLACE_MASK  ((1u << PLACE_BITS) - 1)
#define HASH_BITS   (64 - PLACE_BITS)
#define SEGMENT_MAX ((uint64_t)1 << PLACE_BITS)
#define FAN	    1024u
#define WINDOW	    256u /* entries that are read at once */

struct head {
	uint64_t magic, count, text;
	int64_t first, last;
};
#define ENTRIES (sizeof(struct head) + (FAN + 1) * sizeof(uint64_t))

static bool is_key(struct kurir_str name)
{
	static const char *const names[] = { "id", "conn", "from", "to", "peer", "account",
		"user", "parent", "message-id", NULL };

	for (unsigned i = 0; names[i] != NULL; i++)
		if (strlen(names[i]) == name.len && memcmp(name.ptr, names[i], name.len) == 0)
			return true;
	return false;
}

/* The next member of a line, whose values are texts: member = DQUOTE name DQUOTE ":" DQUOTE value
 * DQUOTE.  A quote within a text is escaped as a number, so none stands there. */
static bool next_member(struct kurir_str *rest, struct kurir_str *name, struct kurir_str *value)
{
	struct kurir_str *const texts[] = { name, value };

	for (unsigned i = 0; i < 2; i++) {
		ssize_t open = kurir_str_find(*rest, '"'), end;

		if (open < 0)
			return false;
		*rest = kurir_str_part(*rest, (size_t)open + 1, rest->len);
		end = kurir_str_find(*rest, '"');
		if (end < 0)
			return false;
		*texts[i] = kurir_str_part(*rest, 0, (size_t)end);
		*rest = kurir_str_part(*rest, (size_t)end + 1, rest->len);
	}
	return true;
}

/* Behind the time, which is a number. */
static struct kurir_str members_of(struct kurir_str line)
{
	ssize_t comma = kurir_str_find(line, ',');

	return kurir_str_part(line, comma < 0 ? line.len : (size_t)comma, line.len);
}

struct kurir_str history_member(struct kurir_str line, struct kurir_str wanted)
{
	struct kurir_str rest = members_of(line), name, value;

	while (next_member(&rest, &name, &value))
		if (kurir_str_equal(name, wanted))
			return value;
	return KURIR_STR("");
}

void history_keys(struct kurir_str line, history_key_fn *fn, void *arg)
{
	struct kurir_str rest = members_of(line), name, v;

	while (next_member(&rest, &name, &v)) {
		while (is_key(name) && v.len > 0) {
			ssize_t comma = kurir_str_find(v, ',');
			struct kurir_str one =
			    kurir_str_part(v, 0, comma < 0 ? v.len : (size_t)comma);

			if (one.len > 0 && !fn(arg, one))
				return;
			v = kurir_str_part(v, one.len + 1, v.len);
		}
	}
}

uint64_t history_hash(struct kurir_str key)
{
	char small[1024];
	size_t n = key.len < sizeof(small) ? key.len : sizeof(small);

	for (size_t i = 0; i < n; i++)
		small[i] = (char)tolower((unsigned char)key.ptr[i]);
	return kurir_str_hash((struct kurir_str){ small, n }) >> PLACE_BITS;
}

int64_t history_time(struct kurir_str line)
{
	const struct kurir_str start = KURIR_STR("{\"time\":");
	int64_t t = 0;

	if (!kurir_str_starts(line, start))
		return 0;
	for (size_t i = start.len; i < line.len && i < start.len + 15; i++) {
		if (line.ptr[i] < '0' || line.ptr[i] > '9')
			break;
		t = t * 10 + (line.ptr[i] - '0');
	}
	return t;
}

/* ---- making one ---- */

struct making {
	uint64_t *entries;
	size_t count, room;
	uint32_t place;
	bool failed;
};

static bool add_key(void *arg, struct kurir_str key)
{
	struct making *m = arg;

	if (m->count == m->room) {
		size_t room = m->room > 0 ? m->room * 2 : 65536;
		uint64_t *more = reallocarray(m->entries, room, sizeof(*more));

		if (more == NULL)
			return m->failed = true, false;
		m->entries = more;
		m->room = room;
	}
	m->entries[m->count++] = history_hash(key) << PLACE_BITS | m->place;
	return true;
}

/* By hash: places come in order, and stay so.  Ten bits at a time, the last first. */
static int sort(struct making *m)
{
	uint64_t *from = m->entries, *to = reallocarray(NULL, m->count + 1, sizeof(*to)), *swap;
	uint32_t *starts = malloc(FAN * sizeof(*starts));

	if (to == NULL || starts == NULL) {
		free(to);
		free(starts);
		return -ENOMEM;
	}
	for (unsigned shift = PLACE_BITS - 2; shift < 64; shift += 10) {
		uint32_t at = 0;

		memset(starts, 0, FAN * sizeof(*starts));
		for (size_t i = 0; i < m->count; i++)
			starts[from[i] >> shift & (FAN - 1)]++;
		for (unsigned i = 0; i < FAN; i++) {
			uint32_t n = starts[i];

			starts[i] = at;
			at += n;
		}
		for (size_t i = 0; i < m->count; i++)
			to[starts[from[i] >> shift & (FAN - 1)]++] = from[i];
		swap = from;
		from = to;
		to = swap;
	}
	m->entries = from;
	free(to);
	free(starts);
	return 0;
}

static int make(struct kurir_str text, struct history_index *ret)
{
	struct making m = { 0 };
	size_t at = 0;

	*ret = (struct history_index){ .fd = -1, .text = text.len };
	while (at < text.len && !m.failed) {
		struct kurir_str rest = kurir_str_part(text, at, text.len);
		ssize_t end = kurir_str_find(rest, '\n');
		struct kurir_str line = kurir_str_part(rest, 0, end < 0 ? 0 : (size_t)end);
		int64_t t = history_time(line);

		m.place = (uint32_t)at;
		history_keys(line, add_key, &m);
		if (t > 0 && (ret->first == 0 || t < ret->first))
			ret->first = t;
		if (t > ret->last)
			ret->last = t;
		at = end < 0 ? text.len : at + (size_t)end + 1;
	}
	if (m.failed || sort(&m) < 0) {
		free(m.entries);
		return -ENOMEM;
	}
	ret->owned = m.entries;
	ret->count = m.count;
	return 0;
}

/* Of the segment as it is now. */
static int make_of(int fd, struct history_index *ret)
{
	struct stat st;
	size_t have = 0, size;
	ssize_t n = 1;
	char *text;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	size = (uint64_t)st.st_size < SEGMENT_MAX ? (size_t)st.st_size : SEGMENT_MAX - 1;
	text = malloc(size + 1);
	if (text == NULL)
		return -ENOMEM;
	while (have < size && n > 0) {
		n = pread(fd, text + have, size - have, (off_t)have);
		have += n > 0 ? (size_t)n : 0;
	}
	r = n < 0 ? -errno : make((struct kurir_str){ text, have }, ret);
	free(text);
	return r;
}

static int put(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w <= 0)
			return w < 0 ? -errno : -EIO;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

static int save(int folder, uint64_t number, const struct history_index *ix)
{
	struct head h = { MAGIC, ix->count, ix->text, ix->first, ix->last };
	char name[HISTORY_NAME], fresh[HISTORY_NAME];
	int fd, r;

	history_name(name, "index", number);
	history_name(fresh, "fresh", number);
	fd = openat(folder, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	r = put(fd, &h, sizeof(h));
	for (size_t i = 0, at = 0; i <= FAN && r == 0; i++) {
		uint64_t less;

		while (at < ix->count && ix->owned[at] >> 54 < i)
			at++;
		less = at;
		r = put(fd, &less, sizeof(less));
	}
	if (r == 0)
		r = put(fd, ix->owned, ix->count * sizeof(*ix->owned));
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && renameat(folder, fresh, folder, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(folder, fresh, 0);
	return r;
}

/* ---- using one ---- */

/* -ESTALE: it is no index of the segment as it is. */
static int open_saved(int folder, uint64_t number, int segment, struct history_index *ret)
{
	char name[HISTORY_NAME];
	struct stat st, text;
	struct head h;
	int fd;

	history_name(name, "index", number);
	fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || fstat(segment, &text) < 0 ||
	    pread(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h) || h.magic != MAGIC ||
	    h.text != (uint64_t)text.st_size || h.count > ((uint64_t)1 << 40) ||
	    (uint64_t)st.st_size != ENTRIES + h.count * sizeof(uint64_t)) {
		(void)close(fd);
		return -ESTALE;
	}
	*ret = (struct history_index){
		.fd = fd, .count = h.count, .text = h.text, .first = h.first, .last = h.last
	};
	return 0;
}

int history_index_open(int folder, uint64_t number, int fd, struct history_index *ret)
{
	return open_saved(folder, number, fd, ret) == 0 ? 0 : make_of(fd, ret);
}

void history_index_close(struct history_index *ix)
{
	if (ix->fd >= 0)
		(void)close(ix->fd);
	free(ix->owned);
	*ix = (struct history_index){ .fd = -1 };
}

/* Entries from a place on; how many came. */
static size_t get(const struct history_index *ix, size_t from, uint64_t *to, size_t n)
{
	ssize_t got;

	if (from >= ix->count)
		return 0;
	n = n < ix->count - from ? n : ix->count - from;
	if (ix->fd < 0) {
		memcpy(to, ix->owned + from, n * sizeof(*to));
		return n;
	}
	got = pread(ix->fd, to, n * sizeof(*to), (off_t)(ENTRIES + from * sizeof(*to)));
	return got > 0 ? (size_t)got / sizeof(*to) : 0;
}

/* Which entries have a hash that begins like this one. */
static void narrow(const struct history_index *ix, uint64_t hash, size_t *low, size_t *high)
{
	uint64_t fan[2];
	size_t prefix = hash >> (HASH_BITS - 10);
	off_t at = (off_t)(sizeof(struct head) + prefix * sizeof(fan[0]));

	*low = 0;
	*high = ix->count;
	if (ix->fd < 0 || pread(ix->fd, fan, sizeof(fan), at) != (ssize_t)sizeof(fan) ||
	    fan[0] > fan[1] || fan[1] > ix->count)
		return;
	*low = (size_t)fan[0];
	*high = (size_t)fan[1];
}

/* The first entry that is not less. */
static size_t lower_bound(const struct history_index *ix, uint64_t hash)
{
	const uint64_t least = hash << PLACE_BITS;
	uint64_t window[WINDOW];
	size_t low, high; /* it is in there, or high */

	if (hash >> HASH_BITS != 0)
		return ix->count;
	narrow(ix, hash, &low, &high);
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		size_t at = middle - low > WINDOW / 2 ? middle - WINDOW / 2 : low, i = 0;
		size_t n = get(ix, at, window, high - at < WINDOW ? high - at : WINDOW);

		if (n == 0)
			return ix->count; /* it cannot be read */
		if (window[0] >= least) {
			high = at;
		} else if (window[n - 1] < least) {
			low = at + n;
		} else {
			while (window[i] < least)
				i++;
			return at + i;
		}
	}
	return low;
}

size_t history_index_find(
    const struct history_index *ix, uint64_t hash, uint32_t *ret_places, size_t max)
{
	size_t at = lower_bound(ix, hash), end = lower_bound(ix, hash + 1), n = 0;
	uint64_t window[WINDOW];

	if (end > at && end - at > max)
		at = end - max; /* the newest */
	while (at < end) {
		size_t want = end - at < WINDOW ? end - at : WINDOW;
		size_t got = get(ix, at, window, want);

		if (got == 0)
			break;
		for (size_t i = 0; i < got; i++)
			if (n == 0 || ret_places[n - 1] != (window[i] & PLACE_MASK))
				ret_places[n++] = (uint32_t)(window[i] & PLACE_MASK);
		at += got;
	}
	return n;
}

/* ---- the files ---- */

static int care_index(int folder, uint64_t number)
{
	struct history_index ix;
	char name[HISTORY_NAME];
	int fd, r;

	history_name(name, "events", number);
	fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = open_saved(folder, number, fd, &ix);
	if (r < 0) {
		r = make_of(fd, &ix);
		if (r == 0)
			r = save(folder, number, &ix);
	}
	if (r == 0)
		history_index_close(&ix);
	else if (r != -ENOMEM)
		free(ix.owned);
	(void)close(fd);
	return r;
}

/* Bytes of a segment and its index; 0: it is gone, because it was too old. */
static uint64_t care_size(const struct history_care *c, uint64_t number, bool too_much)
{
	static const char *const what[] = { "index", "events", NULL };
	struct stat st = { 0 };
	uint64_t bytes = 0;
	struct timespec now;
	char name[HISTORY_NAME];

	(void)clock_gettime(CLOCK_REALTIME, &now);
	for (unsigned i = 0; what[i] != NULL; i++) {
		history_name(name, what[i], number);
		if (fstatat(c->folder, name, &st, 0) == 0)
			bytes += (uint64_t)st.st_size;
	}
	/* st: of the events */
	if (!too_much && (now.tv_sec - st.st_mtim.tv_sec) * 1000 <= c->age)
		return bytes;
	for (unsigned i = 0; what[i] != NULL; i++) {
		history_name(name, what[i], number);
		(void)unlinkat(c->folder, name, 0);
	}
	return 0;
}

int history_care(void *arg)
{
	struct history_care *c = arg;
	uint64_t *list, bytes;
	size_t n = history_segments(c->folder, &list);
	int r = 0, e;

	c->bytes = c->segments = 0;
	for (size_t i = n; i-- > 0;) {
		/* What is written now stays. */
		bool closed = list[i] < c->below, too_much = closed && c->bytes > c->size;

		if (closed && !too_much && (e = care_index(c->folder, list[i])) < 0)
			r = e;
		bytes = closed ? care_size(c, list[i], too_much) : HISTORY_SEGMENT;
		c->bytes += bytes;
		c->segments += bytes > 0;
	}
	free(list);
	return r;
}
