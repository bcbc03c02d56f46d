/* spawn.c - fork and exec of this same program, with just the descriptors it shall have. */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define FD_FIRST 3
#define ARGS_MAX 16
#define FDS_MAX	 512
#define ENV_MAX	 64

/* Where this program lies: what is put there by an upgrade is what starts from then on.  By the
 * name it was started with, which may be a symbolic link to a version. */
static const char *spawn_program(void)
{
	static char path[PATH_MAX];
	const char *name = (const char *)(uintptr_t)getauxval(AT_EXECFN);
	ssize_t n;

	if (name != NULL && name[0] == '/')
		return name;
	n = path[0] == 0 ? readlink("/proc/self/exe", path, sizeof(path) - 1) : 0;
	if (n > 0)
		path[n] = 0;
	return path;
}

/* Between fork and exec: nothing but system calls. */
static void spawn_child(
    const struct spawn *s, const char *program, char *const *argv, char *const *envp)
{
	int high[FDS_MAX];
	sigset_t none;

	for (unsigned i = 0; i < s->fd_count; i++) {
		/* Out of the way while they are put into order. */
		high[i] = fcntl(s->fds[i], F_DUPFD_CLOEXEC, FD_FIRST + (int)s->fd_count);
		if (high[i] < 0)
			_exit(126);
	}
	if ((s->out >= 0 && dup2(s->out, STDOUT_FILENO) < 0) ||
	    (s->err >= 0 && dup2(s->err, STDERR_FILENO) < 0))
		_exit(126);
	for (unsigned i = 0; i < s->fd_count; i++)
		if (dup2(high[i], FD_FIRST + (int)i) < 0)
			_exit(126);
	/* A terminal's ^C is for the supervisor, who ends the others in order. */
	(void)setpgid(0, 0);
	(void)close_range(FD_FIRST + s->fd_count, ~0u, 0);
	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)execve(program, argv, envp);
	/* Nothing there that can run: the one that runs. */
	(void)execve("/proc/self/exe", argv, envp);
	_exit(127);
}

/* What the environment says about the machine; what else stands there may be a secret, which
 * is in the plan of who needs it. */
static void plain_environment(char *kept[ENV_MAX + 1])
{
	static const char *const names[] = { "PATH=", "TZ=", "LANG=", "LC_", "LD_", "MALLOC_",
		"GLIBC_TUNABLES=", "OPENSSL_", "SSL_CERT_", "KURIR_", "ASAN_", "LSAN_",
		"UBSAN_" };
	unsigned n = 0;

	for (char **e = environ; e != NULL && *e != NULL; e++)
		for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]) && n < ENV_MAX; i++)
			if (strncmp(*e, names[i], strlen(names[i])) == 0)
				kept[n++] = *e;
	kept[n] = NULL;
}

int spawn_self(const struct spawn *s, pid_t *ret_pid)
{
	char *argv[ARGS_MAX + 2] = { (char *)(uintptr_t) "kurird" }, *plain[ENV_MAX + 1];
	const char *program = spawn_program();
	pid_t pid;

	if (s->fd_count > FDS_MAX)
		return -E2BIG;
	for (unsigned i = 0; i < ARGS_MAX && s->args[i] != NULL; i++)
		argv[i + 1] = (char *)(uintptr_t)s->args[i];
	plain_environment(plain);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		spawn_child(s, program, argv, s->whole_environment ? environ : plain);
	*ret_pid = pid;
	return 0;
}

int spawn_signals(struct loop_fd *fd)
{
	static const int heard[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(heard) / sizeof(heard[0]); i++)
		sigaddset(&set, heard[i]);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	fd->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd->fd < 0 ? -errno : loop_fd_add(fd, EPOLLIN | EPOLLET);
}

int spawn_memory(struct kurir_str text, int *ret_fd)
{
	int fd = memfd_create("kurir-plan", MFD_CLOEXEC | MFD_ALLOW_SEALING), r;

	if (fd < 0)
		return -errno;
	while (text.len > 0) {
		ssize_t n = write(fd, text.ptr, text.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r = -errno;
			(void)close(fd);
			return r;
		}
		text = kurir_str_part(text, (size_t)n, text.len);
	}
	(void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	*ret_fd = fd;
	return 0;
}
