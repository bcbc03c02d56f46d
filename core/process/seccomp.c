/* seccomp.c - the system calls that a role process may make.
 * Everything else is answered "no such call", so that libraries fall back; what only an
 * intruder would try ends the process.  A sanitizer needs calls of its own: with one this
 * lock stays open. */
#include "sandbox_private.h"

#include <errno.h>

#if defined(HAVE_SECCOMP) && !defined(KURIR_SANITIZED)

#include <linux/sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

/* Every role: memory, threads, time, the loop, files that are open. */
static const char *const base[] = { "read", "write", "readv", "writev", "pread64", "pwrite64",
	"preadv", "pwritev", "preadv2", "pwritev2", "close", "close_range", "lseek", "fstat",
	"fcntl", "dup", "dup2", "dup3", "pipe2", "munmap", "mremap", "madvise", "brk", "mincore",
	"mlock", "munlock", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack",
	"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll",
	"ppoll", "eventfd2", "timerfd_create", "timerfd_settime", "signalfd4", "futex",
	"set_robust_list", "rseq", "set_tid_address", "gettid", "getpid", "getppid", "getuid",
	"geteuid", "getgid", "getegid", "getgroups", "exit", "exit_group", "nanosleep",
	"clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "time", "getrandom",
	"uname", "sysinfo", "getrlimit", "getrusage", "getcpu", "sched_yield",
	"sched_getaffinity", "arch_prctl", "membarrier", "restart_syscall", "recvfrom", "recvmsg",
	"recvmmsg", "shutdown", "getsockopt", "setsockopt", "getsockname", "getpeername",
	"socketpair", "memfd_create", NULL };

/* Files by name: Landlock says which. */
static const char *const files[] = { "open", "openat", "openat2", "stat", "lstat", "newfstatat",
	"statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getcwd",
	"getdents64", "fsync", "fdatasync", "sync_file_range", "ftruncate", "fallocate",
	"fadvise64", "flock", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir",
	"mkdir", "mkdirat", "link", "linkat", "chmod", "fchmod", "fchmodat", "fchown", "fchownat",
	"umask", "utimensat", "copy_file_range", "sendfile", "splice", "inotify_init1",
	"inotify_add_watch", "inotify_rm_watch", "statfs", "fstatfs", "syncfs", "msync", NULL };

static const char *const deadly[] = { "execve", "execveat", "ptrace", "process_vm_readv",
	"process_vm_writev", "init_module", "finit_module", "kexec_load", "mount", "umount2",
	"pivot_root", "chroot", "setns", "unshare", "bpf", "perf_event_open", "userfaultfd",
	"setuid", "setgid", "setresuid", "setresgid", "reboot", "swapon", "keyctl", "add_key",
	NULL };

static int add(scmp_filter_ctx ctx, uint32_t action, const char *const *names)
{
	int r = 0;

	for (unsigned i = 0; names[i] != NULL && r >= 0; i++) {
		int number = seccomp_syscall_resolve_name(names[i]);

		if (number != __NR_SCMP_ERROR)
			r = seccomp_rule_add(ctx, action, number, 0);
	}
	return r;
}

/* Calls that some roles may make, or with some arguments only. */
struct rule {
	const char *call;
	uint32_t roles;
	unsigned count;
	struct scmp_arg_cmp when[2];
};

#define EVERYBODY KURIR_ROLE_ALL
#define BITS(n, mask, value) \
	{ \
		(n), SCMP_CMP_MASKED_EQ, (mask), (value) \
	}
#define IS(n, value) BITS(n, UINT32_MAX, (value))
#define KIND(value)  BITS(1, 0xf, (value)) /* of a socket; flags stand beside it */

static int add_rules(scmp_filter_ctx ctx, uint32_t role)
{
	const struct rule rules[] = {
		/* Threads, not processes; clone3 cannot be looked into, libc then takes clone. */
		{ "clone", EVERYBODY, 1, { BITS(0, CLONE_THREAD, CLONE_THREAD) } },
		{ "tgkill", EVERYBODY, 1, { IS(0, (uint64_t)getpid()) } },
		{ "prlimit64", EVERYBODY, 1, { IS(0, 0) } }, /* of itself */
		/* All code has been loaded by now. */
		{ "mmap", EVERYBODY, 1, { BITS(2, PROT_EXEC, 0) } },
		{ "mprotect", EVERYBODY, 1, { BITS(2, PROT_EXEC, 0) } },
		/* Not TIOCSTI, which types into the terminal of who started the server. */
		{ "ioctl", EVERYBODY, 1, { IS(1, FIONBIO) } },
		{ "ioctl", EVERYBODY, 1, { IS(1, FIONREAD) } },
		{ "ioctl", EVERYBODY, 1, { IS(1, TCGETS) } },
		{ "prctl", EVERYBODY, 1, { IS(0, PR_SET_NAME) } },
		{ "prctl", EVERYBODY, 1, { IS(0, PR_SET_VMA) } },
		/* To the log, which may have been restarted. */
		{ "socket", EVERYBODY, 2, { IS(0, AF_UNIX), KIND(SOCK_DGRAM) } },
		{ "socket", SANDBOX_NETWORK | KURIR_ROLE_CONTROL, 2,
		    { IS(0, AF_UNIX), KIND(SOCK_STREAM) } },
		{ "socket", SANDBOX_NETWORK, 2, { IS(0, AF_INET), KIND(SOCK_STREAM) } },
		{ "socket", SANDBOX_NETWORK, 2, { IS(0, AF_INET), KIND(SOCK_DGRAM) } },
		{ "socket", SANDBOX_NETWORK, 2, { IS(0, AF_INET6), KIND(SOCK_STREAM) } },
		{ "socket", SANDBOX_NETWORK, 2, { IS(0, AF_INET6), KIND(SOCK_DGRAM) } },
		/* A socket that was accepted can be dissolved and connected elsewhere, one that
		 * listens can be shut and then connected by sending. */
		{ "connect", SANDBOX_NETWORK, 0, { { 0 } } },
		{ "sendto", EVERYBODY, 1, { BITS(3, MSG_FASTOPEN, 0) } },
		{ "sendmsg", EVERYBODY, 1, { BITS(2, MSG_FASTOPEN, 0) } },
		{ "sendmmsg", EVERYBODY, 1, { BITS(3, MSG_FASTOPEN, 0) } },
		{ "alarm", KURIR_ROLE_WORKER, 0, { { 0 } } }, /* worker_watch() */
		{ "setitimer", KURIR_ROLE_WORKER, 0, { { 0 } } },
		{ "bind", SANDBOX_NETWORK | KURIR_ROLE_CONTROL, 0, { { 0 } } },
		{ "listen", KURIR_ROLE_CONTROL, 0, { { 0 } } },
		{ "accept4", KURIR_ROLE_EDGE | KURIR_ROLE_CONTROL, 0, { { 0 } } },
	};
	int r = 0;

	for (unsigned i = 0; i < sizeof(rules) / sizeof(rules[0]) && r >= 0; i++)
		if (rules[i].roles & role)
			r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW,
			    seccomp_syscall_resolve_name(rules[i].call), rules[i].count,
			    rules[i].when);
	return r;
}

int seccomp_enter(uint32_t role)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int r;

	if (ctx == NULL)
		return -ENOMEM;
	r = add(ctx, SCMP_ACT_ALLOW, base);
	if (r >= 0)
		r = add(ctx, SCMP_ACT_ALLOW, files);
	if (r >= 0)
		r = add(ctx, SCMP_ACT_KILL_PROCESS, deadly);
	if (r >= 0)
		r = add_rules(ctx, role);
	if (r >= 0)
		(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r >= 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}

#else

int seccomp_enter(uint32_t role)
{
	(void)role;
#ifdef KURIR_SANITIZED
	return 0;
#else
	return -ENOSYS;
#endif
}

#endif
