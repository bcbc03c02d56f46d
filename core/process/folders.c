/* folders.c - the folders of a plan, made before any role starts: each belongs to the user of
 * the first role that writes it and to that role's group; the others come in by the group. */
#include "role.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_MODE 02770

static int folder_owner(const struct conf *c, uint32_t roles, int fd)
{
	unsigned uid, gid;
	struct stat st;

	if (geteuid() != 0 || roles == 0)
		return 0;
	if (sandbox_user(c, roles & (~roles + 1), &uid, &gid) < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_uid != uid || st.st_gid != gid) && fchown(fd, uid, gid) < 0)
		return -errno;
	return 0;
}

/* One folder, and its name durable: without it a power cut takes all that lies below.  An
 * earlier start may have made it and got no further; a parent that is not ours is no matter. */
static int folder_level(const char *path, mode_t mode)
{
	bool made = mkdir(path, mode) == 0;
	char parent[2048];
	int r = made || errno == EEXIST ? 0 : -errno;
	int n = snprintf(parent, sizeof(parent), "%s/..", path);

	if (r < 0)
		return r;
	if (n < 0 || (size_t)n >= sizeof(parent))
		return -ENAMETOOLONG;
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		r = made ? -errno : 0;
	if (fd >= 0)
		(void)close(fd);
	return r;
}

/* mkdir -p; only the last one is given away. */
static int folder_make(const struct conf *c, struct kurir_arena *arena, struct kurir_str path,
    uint32_t roles, mode_t mode)
{
	char *p = (char *)(uintptr_t)kurir_copy(arena, path).ptr;
	int fd, r = 0;

	for (char *s = strchr(p + 1, '/'); s != NULL && r == 0; s = strchr(s + 1, '/')) {
		*s = 0;
		r = folder_level(p, 0755);
		*s = '/';
	}
	if (r == 0)
		r = folder_level(p, 0700);
	if (r < 0)
		return r;
	fd = open(p, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	r = folder_owner(c, roles, fd);
	if (r == 0 && fchmod(fd, mode) < 0 && errno != EPERM)
		r = -errno;
	(void)close(fd);
	return r;
}

int role_lock_state(const struct plan *p, int *ret_fd)
{
	struct kurir_arena *arena = kurir_arena_new("lock");
	struct kurir_str path = kurir_format(arena, "%.*s/lock", KURIR_ARG(p->conf.state));
	int fd = open(path.ptr, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), r = 0;

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		r = errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (r == 0)
		*ret_fd = fd;
	else if (fd >= 0)
		(void)close(fd);
	kurir_arena_free(arena);
	return r;
}

int role_make_folders(const struct plan *p)
{
	struct kurir_arena *arena = kurir_arena_new("folders");
	const struct conf *c = &p->conf;
	struct kurir_str path = c->run;
	int r = folder_make(c, arena, path, KURIR_ROLE_CONTROL, 0755);

	for (size_t i = 0; i < p->path_count && r == 0; i++) {
		path = p->paths[i].path;
		/* A folder that an option names is made when it is missing, else left alone. */
		if (!p->paths[i].make && (p->paths[i].write == 0 || access(path.ptr, F_OK) == 0))
			continue;
		r = folder_make(c, arena, path,
		    p->paths[i].write ? p->paths[i].write : p->paths[i].read, FOLDER_MODE);
	}
	if (r == 0) {
		path = kurir_format(arena, "%.*s/history", KURIR_ARG(c->state));
		r = folder_make(c, arena, path, KURIR_ROLE_CONTROL, FOLDER_MODE);
	}
	if (r < 0)
		r = kurir_log(
		    NULL, KURIR_ERROR, r, "cannot make the folder %.*s", KURIR_ARG(path));
	kurir_arena_free(arena);
	return r;
}
