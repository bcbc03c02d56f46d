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
#include <sys/socket.h>

/* Every role: memory, threads, time, the loop, files that are open. */
static const char *const base[] = { "read", "write", "readv", "writev", "pread64", "pwrite64",
	"preadv", "pwritev", "preadv2", "pwritev2", "close", "close_range", "lseek", "fstat",
	"fcntl", "dup", "dup2", "dup3", "pipe2", "mmap", "mprotect", "munmap", "mremap",
	"madvise", "brk", "mincore", "mlock", "munlock", "rt_sigaction", "rt_sigprocmask",
	"rt_sigreturn", "sigaltstack", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
	"epoll_pwait2", "poll", "ppoll", "eventfd2", "timerfd_create", "timerfd_settime",
	"signalfd4", "futex", "set_robust_list", "rseq", "set_tid_address", "gettid", "getpid",
	"getppid", "getuid", "geteuid", "getgid", "getegid", "getgroups", "tgkill", "exit",
	"exit_group", "nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres",
	"gettimeofday", "time", "getrandom", "uname", "sysinfo", "getrlimit", "prlimit64",
	"getrusage", "getcpu", "sched_yield", "sched_getaffinity", "prctl", "arch_prctl",
	"membarrier", "restart_syscall", "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg",
	"recvmmsg", "accept4", "shutdown", "getsockopt", "setsockopt", "getsockname",
	"getpeername", "socketpair", "connect", "memfd_create", "ioctl", NULL };

/* Files by name: Landlock says which. */
static const char *const files[] = { "open", "openat", "openat2", "stat", "lstat", "newfstatat",
	"statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getcwd",
	"getdents64", "fsync", "fdatasync", "sync_file_range", "ftruncate", "fallocate",
	"fadvise64", "flock", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir",
	"mkdir", "mkdirat", "link", "linkat", "symlink", "symlinkat", "chmod", "fchmod",
	"fchmodat", "fchown", "fchownat", "umask", "utimensat", "copy_file_range", "sendfile",
	"splice", "inotify_init1", "inotify_add_watch", "inotify_rm_watch", "statfs", "fstatfs",
	"syncfs", "msync", NULL };

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

static int add_sockets(scmp_filter_ctx ctx, uint32_t role)
{
	static const char *const network[] = { "bind", "listen", NULL };
	int call = seccomp_syscall_resolve_name("socket");
	int r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));

	if (r >= 0 && (role & (SANDBOX_NETWORK | KURIR_ROLE_CONTROL)))
		r = add(ctx, SCMP_ACT_ALLOW, network);
	if (r >= 0 && (role & SANDBOX_NETWORK))
		r = seccomp_rule_add(
		    ctx, SCMP_ACT_ALLOW, call, 1, SCMP_A0(SCMP_CMP_EQ, AF_INET, 0));
	if (r >= 0 && (role & SANDBOX_NETWORK))
		r = seccomp_rule_add(
		    ctx, SCMP_ACT_ALLOW, call, 1, SCMP_A0(SCMP_CMP_EQ, AF_INET6, 0));
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
	/* Threads, not processes; clone3 cannot be looked into, libc then takes clone. */
	if (r >= 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name("clone"),
		    1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	if (r >= 0)
		r = add_sockets(ctx, role);
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
