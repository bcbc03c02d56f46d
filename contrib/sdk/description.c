/* description.c - struct kurir_module out of a shared object that is not loaded.
 *
 * KURIR_MODULE exports the description as data, NAME_LTX_kurir_description.  It is read as the
 * loader would take it: its first member is its size, and what it is too short to have is zero.
 * The file may be anybody's: each table has a most number of entries, and all texts together a
 * most number of bytes. */
#include "description.h"

#include "object.h"
#include "modload.h"

#include <kurir/smtp.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE_LEAST  offsetof(struct kurir_module, caps)
#define SIZE_MOST   (1u << 16)
#define ENTRIES_MAX 1024       /* of a table */
#define TEXTS_MAX   (1u << 20) /* bytes of all texts */
#define FILE_MAX    (256u << 20)

struct reading {
	struct object object;
	struct kurir_arena *arena;
	size_t texts; /* bytes so far */
	int error;    /* sticky: 0, -EBADMSG, -E2BIG */
};

static void bad(struct reading *r, int error)
{
	if (r->error == 0)
		r->error = error;
}

/* The address that a pointer has; 0: it is NULL.  One into another object cannot be followed. */
static uint64_t follow(struct reading *r, uint64_t address)
{
	uint64_t to = 0;
	bool outside = false;

	if (!object_pointer(&r->object, address, &to, &outside) || outside)
		bad(r, -EBADMSG);
	return r->error == 0 ? to : 0;
}

static bool is_set(struct reading *r, uint64_t address)
{
	uint64_t to = 0;
	bool outside = false;

	if (!object_pointer(&r->object, address, &to, &outside))
		bad(r, -EBADMSG);
	return outside || to != 0;
}

static const char *text(struct reading *r, uint64_t address)
{
	uint64_t at = follow(r, address);
	struct kurir_str s = KURIR_STR("");

	if (at == 0)
		return NULL;
	if (!object_text(&r->object, at, TEXTS_MAX - r->texts, &s))
		bad(r, r->texts > TEXTS_MAX / 2 ? -E2BIG : -EBADMSG);
	r->texts += s.len + 1 <= TEXTS_MAX - r->texts ? s.len + 1 : TEXTS_MAX - r->texts;
	return kurir_copy(r->arena, s).ptr;
}

/* How many entries of that size the table has before one whose first pointer is NULL. */
static size_t entries(struct reading *r, uint64_t table, size_t size)
{
	size_t n = 0;

	while (r->error == 0 && is_set(r, table + n * size))
		if (++n > ENTRIES_MAX)
			bad(r, -E2BIG);
	return r->error == 0 ? n : 0;
}

static const char *const *names(struct reading *r, uint64_t address)
{
	uint64_t table = follow(r, address);
	const char **list;
	size_t n;

	if (table == 0)
		return NULL;
	n = entries(r, table, sizeof(*list));
	list = kurir_alloc(r->arena, (n + 1) * sizeof(*list));
	for (size_t i = 0; i < n && r->error == 0; i++)
		list[i] = text(r, table + i * sizeof(*list));
	return list;
}

/* The table behind a pointer, copied with a zero entry behind it; its pointers are still to be
 * followed. */
static void *table_copy(struct reading *r, uint64_t table, size_t size, size_t *ret_count)
{
	size_t n = entries(r, table, size);
	char *copy = kurir_alloc(r->arena, (n + 1) * size);

	if (!object_read(&r->object, table, copy, n * size))
		bad(r, -EBADMSG);
	*ret_count = r->error == 0 ? n : 0;
	memset(copy + *ret_count * size, 0, size);
	return copy;
}

#define AT(base, s, member) ((base) + offsetof(struct s, member))

static const struct kurir_option *options(struct reading *r, uint64_t address)
{
	uint64_t at = follow(r, address);
	struct kurir_option *list;
	size_t n;

	if (at == 0)
		return NULL;
	list = table_copy(r, at, sizeof(*list), &n);
	for (size_t i = 0; i < n; i++, at += sizeof(*list)) {
		list[i].name = text(r, AT(at, kurir_option, name));
		list[i].preset = text(r, AT(at, kurir_option, preset));
		list[i].help = text(r, AT(at, kurir_option, help));
		list[i].choices = names(r, AT(at, kurir_option, choices));
		if (list[i].type == KURIR_CHOICE && list[i].choices == NULL)
			bad(r, -EBADMSG);
	}
	return list;
}

static const struct kurir_service *services(struct reading *r, uint64_t address)
{
	uint64_t at = follow(r, address);
	struct kurir_service *list;
	size_t n;

	if (at == 0)
		return NULL;
	list = table_copy(r, at, sizeof(*list), &n);
	for (size_t i = 0; i < n; i++, at += sizeof(*list)) {
		list[i].kind = text(r, AT(at, kurir_service, kind));
		list[i].name = text(r, AT(at, kurir_service, name));
		list[i].ops = NULL;
	}
	return list;
}

/* A path's first member may be NULL: the table ends where both names are. */
static const struct kurir_path *paths(struct reading *r, uint64_t address)
{
	uint64_t at = follow(r, address);
	struct kurir_path *list;
	size_t n = 0;

	if (at == 0)
		return NULL;
	while (r->error == 0 &&
	    (is_set(r, AT(at + n * sizeof(*list), kurir_path, option)) ||
		is_set(r, AT(at + n * sizeof(*list), kurir_path, state))))
		if (++n > ENTRIES_MAX)
			bad(r, -E2BIG);
	list = kurir_alloc(r->arena, (n + 1) * sizeof(*list));
	for (size_t i = 0; i < n && r->error == 0; i++, at += sizeof(*list)) {
		if (!object_read(&r->object, at, &list[i], sizeof(*list)))
			bad(r, -EBADMSG);
		list[i].option = text(r, AT(at, kurir_path, option));
		list[i].state = text(r, AT(at, kurir_path, state));
	}
	return list;
}

static void nobody(void)
{
}

/* Marks the function at a member as there. */
static void mark(struct reading *r, uint64_t at, void *member)
{
	void (*is)(void) = is_set(r, at) ? nobody : NULL;

	memcpy(member, &is, sizeof(is));
}

static const struct kurir_smtp_hooks *hooks(struct reading *r, uint64_t address)
{
	uint64_t at = follow(r, address);
	struct kurir_smtp_hooks *h;
	size_t size = 0;

	if (at == 0)
		return NULL;
	h = kurir_alloc(r->arena, sizeof(*h));
	if (!object_read(&r->object, at, &size, sizeof(size)) || size < sizeof(size) ||
	    size > SIZE_MOST)
		bad(r, -EBADMSG);
	h->size = size < sizeof(*h) ? size : sizeof(*h);
	for (size_t m = sizeof(size); r->error == 0 && m + sizeof(void *) <= h->size;
	     m += sizeof(void *))
		mark(r, at + m, (char *)h + m);
	return h;
}

/* Whether the description is long enough to have all of a member. */
#define HAS(m, member) (offsetof(struct kurir_module, member) + sizeof((m)->member) <= (m)->size)

/* What was read as numbers becomes pointers, each of them; or NULL. */
static void tables(struct reading *r, uint64_t at, struct kurir_module *m)
{
	struct kurir_module to = *m;

	to.version = text(r, AT(at, kurir_module, version));
	to.summary = text(r, AT(at, kurir_module, summary));
	to.options = HAS(m, options) ? options(r, AT(at, kurir_module, options)) : NULL;
	to.counters = HAS(m, counters) ? names(r, AT(at, kurir_module, counters)) : NULL;
	to.needs = HAS(m, needs) ? names(r, AT(at, kurir_module, needs)) : NULL;
	to.services = HAS(m, services) ? services(r, AT(at, kurir_module, services)) : NULL;
	to.paths = HAS(m, paths) ? paths(r, AT(at, kurir_module, paths)) : NULL;
	to.smtp = HAS(m, smtp) ? hooks(r, AT(at, kurir_module, smtp)) : NULL;
	to.check = NULL;
	to.start = NULL;
	to.stop = NULL;
	to.inspect = NULL;
	if (HAS(m, check))
		mark(r, AT(at, kurir_module, check), &to.check);
	if (HAS(m, start))
		mark(r, AT(at, kurir_module, start), &to.start);
	if (HAS(m, stop))
		mark(r, AT(at, kurir_module, stop), &to.stop);
	if (HAS(m, inspect))
		mark(r, AT(at, kurir_module, inspect), &to.inspect);
	*m = to;
}

static int read_at(struct reading *r, uint64_t at, struct kurir_str name,
    struct kurir_module *ret, struct kurir_str *ret_error)
{
	struct kurir_module m = { 0 };

	if (!object_read(&r->object, at, &m, SIZE_LEAST) || m.size < SIZE_LEAST ||
	    m.size > SIZE_MOST ||
	    !object_read(&r->object, at, &m, m.size < sizeof(m) ? m.size : sizeof(m))) {
		*ret_error = kurir_format(
		    r->arena, "the description of %.*s cannot be one", KURIR_ARG(name));
		return -EBADMSG;
	}
	if (m.abi_major != KURIR_ABI_MAJOR) {
		*ret_error = kurir_format(r->arena,
		    "%.*s was built for ABI %u.%u, this is %u.%u: its description cannot be read",
		    KURIR_ARG(name), m.abi_major, m.abi_minor, KURIR_ABI_MAJOR, KURIR_ABI_MINOR);
		return -EPROTONOSUPPORT;
	}
	m.name = text(r, AT(at, kurir_module, name));
	tables(r, at, &m);
	if (r->error == 0 && (m.name == NULL || !kurir_str_equal(kurir_str_of(m.name), name)))
		bad(r, -EBADMSG);
	if (r->error < 0)
		*ret_error = kurir_format(r->arena, "the description of %.*s %s", KURIR_ARG(name),
		    r->error == -E2BIG ? "has too many or too long entries"
				       : "points to what is not there");
	else
		*ret = m;
	return r->error;
}

int description_read(struct kurir_arena *arena, struct kurir_str name, struct kurir_str bytes,
    struct kurir_module *ret, struct kurir_str *ret_error)
{
	struct reading r = { .arena = arena };
	struct kurir_str symbol;
	uint64_t at, size;
	const char *why;
	int result = object_open(&r.object, bytes, &why);

	if (result < 0) {
		*ret_error = kurir_format(arena, "%s", why);
		return result;
	}
	symbol = kurir_format(arena, "%.*s_LTX_kurir_description", KURIR_ARG(name));
	if (object_symbol(&r.object, symbol, &at, &size)) {
		result = read_at(&r, at, name, ret, ret_error);
	} else {
		*ret_error = kurir_format(arena,
		    "it is no module of Kurir: it has no KURIR_MODULE(%.*s, ...)",
		    KURIR_ARG(name));
		result = -ENOEXEC;
	}
	object_close(&r.object);
	return result;
}

/* All of a regular file. */
static int load(const char *file, struct kurir_buf *b)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r = 0;
	struct stat st;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	else if (st.st_size > FILE_MAX)
		r = -EFBIG;
	if (r == 0)
		r = kurir_buf_reserve(b, (size_t)st.st_size + 1);
	while (r == 0 && n > 0 && b->len < (size_t)st.st_size) {
		n = read(fd, b->ptr + b->len, (size_t)st.st_size - b->len);
		if (n < 0 && errno != EINTR)
			r = -errno;
		b->len += n > 0 ? (size_t)n : 0;
		n = n < 0 ? 1 : n;
	}
	(void)close(fd);
	return r;
}

int description_of_file(struct kurir_arena *arena, const char *file, struct kurir_module *ret,
    struct kurir_str *ret_error)
{
	const char *slash = strrchr(file, '/');
	struct kurir_str name = kurir_str_of(slash != NULL ? slash + 1 : file), why;
	struct kurir_buf b = KURIR_BUF(FILE_MAX + 1);
	int r;

	if (name.len > 3 && strcmp(name.ptr + name.len - 3, ".so") == 0)
		name.len -= 3;
	if (!modload_good_name(name)) {
		*ret_error = kurir_format(
		    arena, "%s: the file of a module is called NAME.so, of a-z, 0-9 and _", file);
		return -EINVAL;
	}
	r = load(file, &b);
	if (r < 0)
		why = kurir_str_of(strerror(-r));
	else
		r = description_read(arena, name, kurir_buf_str(&b), ret, &why);
	kurir_buf_free(&b);
	if (r < 0)
		*ret_error = kurir_format(arena, "%s: %.*s", file, KURIR_ARG(why));
	return r;
}
