/* modload.c - from a name to a checked descriptor.  The only file that knows libltdl.
 *
 * libltdl binds lazily and hides why it failed, so the object is first bound at once by
 * dlopen(3): a
 * missing function is found here, with the system's words, and not in the middle of a session.
 * Each refusal is one sentence that says what to do. */
#include "modload.h"
#include "check.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <ltdl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A descriptor without these first members cannot be asked who it is. */
#define SIZE_LEAST offsetof(struct kurir_module, caps)
#define SIZE_MOST  (1u << 16)
#define NAME_MAX_  64

static struct module *modules;

bool modload_good_name(struct kurir_str name)
{
	if (name.len == 0 || name.len > NAME_MAX_)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
			return false;
	}
	return true;
}

/* The file by the true name of its folder, or empty. */
static struct kurir_str in_folder(
    struct kurir_arena *arena, struct kurir_str folder, struct kurir_str name)
{
	char *real = realpath(folder.ptr, NULL);
	struct kurir_str file = KURIR_STR("");

	if (real)
		file = kurir_format(arena, "%s/%.*s.so", real, KURIR_ARG(name));
	free(real);
	return file.len && access(file.ptr, F_OK) == 0 ? file : KURIR_STR("");
}

static struct kurir_str search_folder(
    struct kurir_arena *arena, struct kurir_str folder, struct kurir_str name)
{
	struct kurir_str file = KURIR_STR("");

	if (folder.len == 0 || folder.ptr[0] != '/')
		return file;
	file = in_folder(arena, kurir_copy(arena, folder), name);
	if (file.len == 0)
		file =
		    in_folder(arena, kurir_format(arena, "%.*s/.libs", KURIR_ARG(folder)), name);
	if (file.len == 0)
		file = in_folder(arena,
		    kurir_format(arena, "%.*s/%.*s/.libs", KURIR_ARG(folder), KURIR_ARG(name)),
		    name);
	return file;
}

/* Calls fn for the folders of the environment (not for a privileged program), then those of
 * path. */
static bool each_folder(
    const struct kurir_texts *path, bool (*fn)(void *, struct kurir_str), void *arg)
{
	const char *env = secure_getenv("KURIR_MODULE_PATH");
	size_t len;

	for (; env && *env; env += len + (env[len] == ':')) {
		len = strcspn(env, ":");
		if (fn(arg, (struct kurir_str){ env, len }))
			return true;
	}
	for (size_t i = 0; i < path->count; i++)
		if (fn(arg, path->items[i]))
			return true;
	return false;
}

struct search {
	struct kurir_arena *arena;
	struct kurir_str name, found;
};

static bool search_step(void *arg, struct kurir_str folder)
{
	struct search *s = arg;

	s->found = search_folder(s->arena, folder, s->name);
	return s->found.len > 0;
}

struct kurir_str modload_search(
    struct kurir_arena *arena, struct kurir_str name, const struct kurir_texts *path)
{
	struct search s = { arena, name, KURIR_STR("") };

	each_folder(path, search_step, &s);
	return s.found;
}

struct listing {
	struct kurir_arena *arena;
	struct kurir_str *names;
	size_t count, room;
};

static void list_one(struct listing *l, const char *entry)
{
	struct kurir_str name = kurir_str_of(entry), *more;

	if (name.len < 4 || strcmp(entry + name.len - 3, ".so") != 0)
		return;
	name.len -= 3;
	if (!modload_good_name(name))
		return;
	if (l->count == l->room) {
		more = kurir_alloc(l->arena, (l->room * 2 + 32) * sizeof(*more));
		if (l->count)
			memcpy(more, l->names, l->count * sizeof(*more));
		l->names = more;
		l->room = l->room * 2 + 32;
	}
	l->names[l->count++] = kurir_copy(l->arena, name);
}

static void list_folder(struct listing *l, const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		list_one(l, e->d_name);
	if (dir)
		closedir(dir);
}

static bool list_step(void *arg, struct kurir_str folder)
{
	struct listing *l = arg;

	if (folder.len && folder.ptr[0] == '/') {
		list_folder(l, kurir_copy(l->arena, folder).ptr);
		list_folder(l, kurir_format(l->arena, "%.*s/.libs", KURIR_ARG(folder)).ptr);
	}
	return false;
}

static int by_name(const void *a, const void *b)
{
	return kurir_str_compare(*(const struct kurir_str *)a, *(const struct kurir_str *)b);
}

struct kurir_texts modload_list(struct kurir_arena *arena, const struct kurir_texts *path)
{
	struct listing l = { .arena = arena };
	size_t n = 0;

	each_folder(path, list_step, &l);
	if (l.count)
		qsort(l.names, l.count, sizeof(*l.names), by_name);
	for (size_t i = 0; i < l.count; i++)
		if (n == 0 || !kurir_str_equal(l.names[n - 1], l.names[i]))
			l.names[n++] = l.names[i];
	return (struct kurir_texts){ n, l.names };
}

static bool name_step(void *arg, struct kurir_str folder)
{
	struct kurir_buf *text = arg;

	return kurir_buf_printf(text, "%s%.*s%s", text->len > 0 ? ", " : "", KURIR_ARG(folder),
		   folder.len > 0 && folder.ptr[0] == '/' ? "" : " (not absolute)") < 0;
}

struct kurir_str modload_folders(struct kurir_arena *arena, const struct kurir_texts *path)
{
	struct kurir_buf text = KURIR_BUF(1024);
	struct kurir_str ret;

	each_folder(path, name_step, &text);
	ret = kurir_copy(arena, kurir_buf_str(&text));
	kurir_buf_free(&text);
	return ret;
}

/* For root: nobody but root, or whoever owns this program anyway, may have a hand in the file. */
static int check_owner(struct kurir_arena *arena, const char *path, struct kurir_str *error)
{
	struct stat st, own;

	if (stat(path, &st) < 0) {
		*error = kurir_format(arena, "cannot look at %s: %s", path, strerror(errno));
		return -errno;
	}
	if (geteuid() != 0)
		return 0;
	if (stat("/proc/self/exe", &own) < 0)
		own.st_uid = 0;
	if ((st.st_uid != 0 && st.st_uid != own.st_uid) || (st.st_mode & 02) ||
	    ((st.st_mode & 020) && st.st_gid != 0)) {
		*error = kurir_format(
		    arena, "others than root may change %s: chown root and chmod go-w it", path);
		return -EPERM;
	}
	return 0;
}

static int check_file(
    struct kurir_arena *arena, struct kurir_str name, const char *file, struct kurir_str *error)
{
	const char *slash = strrchr(file, '/');
	const char *folder;
	int r;

	if (!modload_good_name(name)) {
		*error = kurir_format(arena,
		    "\"%.*s\" is not the name of a module: a-z, 0-9 and _ only",
		    name.len > 80 ? 80 : (int)name.len, name.ptr);
		return -EINVAL;
	}
	if (file[0] != '/' || strstr(file, "/../")) {
		*error = kurir_format(
		    arena, "%s is not an absolute path: modules are loaded by such only", file);
		return -EINVAL;
	}
	folder = kurir_copy(
	    arena, (struct kurir_str){ file, slash == file ? 1 : (size_t)(slash - file) })
		     .ptr;
	r = check_owner(arena, file, error);
	return r < 0 ? r : check_owner(arena, folder, error);
}

/* Our size, whatever theirs is: zero-extended, or cut where they have nothing but zeros. */
static int take_descriptor(struct kurir_arena *arena, const struct kurir_module *theirs,
    struct kurir_str name, struct kurir_module *ours, struct kurir_str *error)
{
	const char *tail = (const char *)theirs;
	size_t size = theirs->size;

	if (size < SIZE_LEAST || size > SIZE_MOST) {
		*error = kurir_format(arena,
		    "%.*s has a descriptor of %zu bytes, which cannot be one: build it again "
		    "with the headers of this version",
		    KURIR_ARG(name), size);
		return -EINVAL;
	}
	if (theirs->abi_major != KURIR_ABI_MAJOR || theirs->abi_minor > KURIR_ABI_MINOR) {
		*error = kurir_format(arena, "%.*s was built for ABI %u.%u, this is %u.%u: %s",
		    KURIR_ARG(name), theirs->abi_major, theirs->abi_minor, KURIR_ABI_MAJOR,
		    KURIR_ABI_MINOR,
		    theirs->abi_major < KURIR_ABI_MAJOR
			? "build it again with the headers of this version"
			: "upgrade kurird, or build it with the headers of this version");
		return -EPROTONOSUPPORT;
	}
	for (size_t i = sizeof(*ours); i < size; i++) {
		if (tail[i]) {
			*error = kurir_format(arena,
			    "%.*s uses members of its descriptor that this version does not know: "
			    "upgrade kurird",
			    KURIR_ARG(name));
			return -E2BIG;
		}
	}
	memset(ours, 0, sizeof(*ours));
	memcpy(ours, theirs, size < sizeof(*ours) ? size : sizeof(*ours));
	if (!ours->name || !kurir_str_equal(kurir_str_of(ours->name), name)) {
		*error = kurir_format(arena,
		    "%.*s calls itself \"%s\": name the file as the module, or the module as the file",
		    KURIR_ARG(name), ours->name ? ours->name : "");
		return -EINVAL;
	}
	return 0;
}

static lt_dlhandle open_ltdl(const char *file)
{
	static bool begun;
	lt_dlhandle handle = NULL;
	lt_dladvise advise;

	if (!begun && lt_dlinit() != 0)
		return NULL;
	begun = true;
	if (lt_dladvise_init(&advise) != 0)
		return NULL;
	if (lt_dladvise_ext(&advise) == 0 && lt_dladvise_local(&advise) == 0 &&
	    lt_dladvise_resident(&advise) == 0)
		handle = lt_dlopenadvise(file, advise);
	lt_dladvise_destroy(&advise);
	return handle;
}

static int open_object(struct kurir_arena *arena, struct kurir_str name, const char *file,
    const struct kurir_module **ret, struct kurir_str *error)
{
	const struct kurir_module *(*entry)(void);
	lt_dlhandle handle;
	const char *why;
	void *symbol;

	if (!dlopen(file, RTLD_NOW | RTLD_LOCAL)) {
		why = dlerror();
		*error = kurir_format(arena, "%.*s cannot be loaded: %s", KURIR_ARG(name),
		    why ? why : "no reason was given");
		return -ENOEXEC;
	}
	handle = open_ltdl(file);
	if (!handle) {
		why = lt_dlerror();
		*error = kurir_format(arena, "%.*s cannot be loaded: %s", KURIR_ARG(name),
		    why ? why : "no reason was given");
		return -ENOEXEC;
	}
	symbol = lt_dlsym(handle, "kurir_module");
	if (!symbol) {
		*error = kurir_format(arena,
		    "%s is not a Kurir module: it has no KURIR_MODULE(%.*s, ...)", file,
		    KURIR_ARG(name));
		return -ENOEXEC;
	}
	memcpy(&entry, &symbol, sizeof(entry));
	*ret = entry();
	if (!*ret) {
		*error = kurir_format(arena, "%.*s gives no descriptor", KURIR_ARG(name));
		return -EINVAL;
	}
	return 0;
}

int modload_open(struct kurir_arena *arena, struct kurir_str name, const char *file,
    struct module **ret, struct kurir_str *ret_error)
{
	const struct kurir_module *theirs;
	struct kurir_module ours;
	struct module *m, **end = &modules;
	int r;

	for (; *end; end = &(*end)->next) {
		if (kurir_str_equal(kurir_str_of((*end)->m.name), name)) {
			*ret = *end;
			return 0;
		}
	}
	r = check_file(arena, name, file, ret_error);
	if (r == 0)
		r = open_object(arena, name, file, &theirs, ret_error);
	if (r == 0)
		r = take_descriptor(arena, theirs, name, &ours, ret_error);
	if (r < 0)
		return r;
	m = calloc(1, sizeof(*m));
	if (!m)
		check_no_memory();
	m->m = ours;
	m->path = strdup(file);
	m->caps = ours.caps;
	while (ours.counters && ours.counters[m->counters])
		m->counters++;
	*end = m;
	*ret = m;
	return 0;
}
