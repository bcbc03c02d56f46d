/* landlock.c - which files and ports a role process can reach, by Landlock's system calls.
 * A rule holds for a folder or a file that is there now; where a file may be replaced by
 * rename(2) its folder is opened for reading instead. */
#include "sandbox_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As in linux/landlock.h of Linux 6.12; older headers lack the later parts. */
struct ruleset {
	uint64_t files, net, scoped;
};
struct path_rule {
	uint64_t allowed;
	int32_t parent;
} __attribute__((packed));

#define LL_VERSION     1u
#define LL_PATH	       1
#define LL_EXECUTE     (1ull << 0)
#define LL_WRITE_FILE  (1ull << 1)
#define LL_READ_FILE   (1ull << 2)
#define LL_READ_DIR    (1ull << 3)
#define LL_REMOVE_DIR  (1ull << 4)
#define LL_REMOVE_FILE (1ull << 5)
#define LL_MAKE_DIR    (1ull << 7)
#define LL_MAKE_REG    (1ull << 8)
#define LL_MAKE_SOCK   (1ull << 9)
#define LL_REFER       (1ull << 13) /* ABI 2 */
#define LL_TRUNCATE    (1ull << 14) /* ABI 3 */
#define LL_IOCTL_DEV   (1ull << 15) /* ABI 5 */

#define LL_READ (LL_READ_FILE | LL_READ_DIR)
#define LL_CHANGE \
	(LL_READ | LL_WRITE_FILE | LL_REMOVE_DIR | LL_REMOVE_FILE | LL_MAKE_DIR | LL_MAKE_REG | \
	    LL_REFER | LL_TRUNCATE)
#define LL_FILE_ONLY (LL_EXECUTE | LL_WRITE_FILE | LL_READ_FILE | LL_TRUNCATE | LL_IOCTL_DEV)

struct lock {
	int fd;
	uint64_t handled;
};

static void allow(const struct lock *l, const char *path, uint64_t access)
{
	struct path_rule rule = { .parent = open(path, O_PATH | O_CLOEXEC) };
	struct stat st;

	if (rule.parent < 0)
		return; /* what is not there cannot be reached anyway */
	if (fstat(rule.parent, &st) == 0 && !S_ISDIR(st.st_mode))
		access &= LL_FILE_ONLY;
	rule.allowed = access & l->handled;
	if (rule.allowed != 0)
		(void)syscall(SYS_landlock_add_rule, l->fd, LL_PATH, &rule, 0);
	(void)close(rule.parent);
}

static void allow_folder_of(const struct lock *l, const char *path)
{
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;
	char *folder =
	    slash != NULL && slash > path ? strndup(path, (size_t)(slash - path)) : NULL;

	if (folder != NULL)
		allow(l, folder, LL_READ_FILE);
	free(folder);
}

static void allow_path(const struct lock *l, const struct plan_path *p, uint32_t role)
{
	const char *path = p->path.ptr; /* NUL follows */
	struct stat st;
	char *real;

	if (((p->read | p->write) & role) == 0 || p->path.len == 0 ||
	    (p->worker != 0 && p->worker != kurir_role_index() + 1))
		return;
	if (p->write & role) {
		allow(l, path, LL_CHANGE);
	} else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		allow(l, path, LL_READ);
	} else {
		/* A file that others may replace, perhaps behind a symbolic link. */
		real = realpath(path, NULL);
		allow_folder_of(l, path);
		allow_folder_of(l, real);
		free(real);
	}
}

static void allow_system(const struct lock *l)
{
	/* Not all of /usr and /etc/ssl: below /usr/local may be a configuration and mailboxes,
	 * and keys in /etc/ssl/private. */
	static const char *const read_only[] = { "/usr/lib", "/usr/lib64", "/usr/share",
		"/usr/local/lib", "/lib", "/lib64", "/etc/ssl/certs", "/etc/ssl/openssl.cnf",
		"/etc/localtime", "/etc/resolv.conf", "/etc/hosts", "/etc/ld.so.cache",
		"/dev/urandom", "/dev/random", "/sys/devices/system/cpu", "/proc/meminfo",
		"/proc/sys/vm",
#ifdef KURIR_SANITIZED
		"/proc", "/opt",
#endif
		NULL };

	for (unsigned i = 0; read_only[i] != NULL; i++)
		allow(l, read_only[i], LL_READ);
	allow(l, "/dev/null", LL_READ_FILE | LL_WRITE_FILE);
}

/* Certificates and keys are read before, and new ones come as descriptors. */
static void allow_core(const struct lock *l, const struct plan *p, uint32_t role)
{
	struct kurir_arena *arena = kurir_arena_new("landlock");
	const struct conf *c = &p->conf;

	if (role & KURIR_ROLE_CONTROL) {
		allow(l, kurir_copy(arena, c->run).ptr, LL_CHANGE | LL_MAKE_SOCK);
		allow(l, kurir_format(arena, "%.*s/history", KURIR_ARG(c->state)).ptr, LL_CHANGE);
	}
	kurir_arena_free(arena);
}

int landlock_enter(const struct plan *p, uint32_t role)
{
	struct ruleset set = { .files = (1ull << 13) - 1 };
	size_t size = sizeof(set.files);
	struct lock l = { .fd = -1 };
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LL_VERSION);
	int r = 0;

	if (abi < 1)
		return -ENOSYS;
	set.files |= (abi >= 2 ? LL_REFER : 0) | (abi >= 3 ? LL_TRUNCATE : 0) |
	    (abi >= 5 ? LL_IOCTL_DEV : 0);
	if (abi >= 4) {
		set.net = role & SANDBOX_NETWORK ? 0 : 3; /* bind and connect */
		size = sizeof(uint64_t) * 2;
	}
	if (abi >= 6) {
		set.scoped = 3; /* abstract sockets and signals of others */
		size = sizeof(set);
	}
	l.handled = set.files;
	l.fd = (int)syscall(SYS_landlock_create_ruleset, &set, size, 0);
	if (l.fd < 0)
		return -errno;
	allow_system(&l);
	for (size_t i = 0; i < p->path_count; i++)
		allow_path(&l, &p->paths[i], role);
	allow_core(&l, p, role);
	if (syscall(SYS_landlock_restrict_self, l.fd, 0) < 0)
		r = -errno;
	(void)close(l.fd);
	return r;
}
