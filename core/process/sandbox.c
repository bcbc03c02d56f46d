/* sandbox.c - user, privileges, files and system calls of a role process.
 * Entered after the modules are loaded and before any of their code runs for long: start()
 * is inside already. */
#include "sandbox.h"
#include "sandbox_private.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUPS_MAX 32

int sandbox_user(const struct conf *c, uint32_t bit, unsigned *ret_uid, unsigned *ret_gid)
{
	struct kurir_str name = c->users[__builtin_ctz(bit)];

	if (name.len == 0)
		name = c->users_default;
	return name.len == 0 ? -ENOENT : plan_user(name, ret_uid, ret_gid);
}

/* The groups of the folders that this role shares with their owners. */
static size_t shared_groups(const struct plan *p, uint32_t role, gid_t *groups)
{
	size_t n = 0;

	for (size_t i = 0; i < p->path_count && n < GROUPS_MAX; i++) {
		uint32_t owners = p->paths[i].write ? p->paths[i].write : p->paths[i].read;
		unsigned uid, gid;
		bool known = false;

		if (((p->paths[i].read | p->paths[i].write) & role) == 0 || owners == 0 ||
		    sandbox_user(&p->conf, owners & (~owners + 1), &uid, &gid) < 0)
			continue;
		for (size_t k = 0; k < n; k++)
			known = known || groups[k] == gid;
		if (!known)
			groups[n++] = gid;
	}
	return n;
}

static int become(const struct plan *p, uint32_t role)
{
	gid_t groups[GROUPS_MAX];
	unsigned uid, gid;
	int r;

	if (geteuid() != 0)
		return 0;
	r = sandbox_user(&p->conf, role, &uid, &gid);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return kurir_log(NULL, KURIR_ERROR, r,
		    "the user of this role does not exist: see \"users\" in the configuration");
	if (setgroups(shared_groups(p, role, groups), groups) < 0 ||
	    setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return kurir_log(NULL, KURIR_ERROR, -errno, "cannot become user %u", uid);
	return 0;
}

static void limit_memory(const struct plan *p, uint32_t role)
{
#ifndef KURIR_SANITIZED
	uint64_t most = p->conf.limit_memory;

	for (size_t i = 0; i < p->instance_count && role == KURIR_ROLE_WORKER; i++)
		if (p->instances[i].worker == kurir_role_index() + 1 &&
		    p->instances[i].conf.memory > 0)
			most = p->instances[i].conf.memory;
	if (most > 0)
		(void)setrlimit(RLIMIT_AS, &(struct rlimit){ most, most });
#else
	(void)p;
	(void)role;
#endif
}

static int locked(const struct conf *c, int r, const char *what)
{
	if (r >= 0)
		return 0;
	if (c->sandbox == CONF_SANDBOX_REQUIRED)
		return kurir_log(NULL, KURIR_ERROR, r,
		    "this kernel cannot lock the process in with %s; \"sandbox\": "
		    "\"best-effort\" would start without it",
		    what);
	(void)kurir_log(NULL, KURIR_WARN, r,
	    "this kernel cannot lock the process in with %s, going on without", what);
	return 0;
}

int sandbox_enter(const struct plan *p, uint32_t role)
{
	int r;

	(void)umask(0007);
	limit_memory(p, role);
	if (role == KURIR_ROLE_ALL) /* --single: there is nobody to be protected from */
		return 0;
	r = become(p, role);
	if (r < 0)
		return r;
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (p->conf.sandbox == CONF_SANDBOX_OFF)
		return 0;
	r = locked(&p->conf, landlock_enter(p, role), "Landlock");
	return r < 0 ? r : locked(&p->conf, seccomp_enter(role), "seccomp");
}
