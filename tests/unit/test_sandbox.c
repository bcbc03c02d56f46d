/* test_sandbox.c - each role, locked in as for work, tries what it may not.  The plan is that of a
 * mailbox host with all modules; every file and folder of it is there and open to all, so that
 * nothing but the sandbox says no. */
#include "conf_unit.h"

#include "plan.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char text[] =
    "{\"version\": 1, \"hostname\": \"mx.satu.example\", \"state\": \"state\", \"run\": \"run\",\n"
    "\"tls\": {\"certificates\": [{\"certificate\": \"etc/cert.pem\", \"key\": \"etc/key.pem\"}],"
    " \"ca\": \"etc/ca.pem\"},\n"
    "\"listeners\": {\"mx\": {\"protocol\": \"smtp\", \"address\": \"127.0.0.1:2525\"}},\n"
    "\"modules\": {\"smtp\": {}, \"imap\": {}, \"route_local\": {}, \"route_dns\": {},\n"
    "\"dns\": {}, \"relay_smtp\": {}, \"bounce\": {}, \"queue_journal\": {},\n"
    "\"accounts\": {\"domains\": [\"satu.example\"], \"mailboxes\": [\"hyd@satu.example\"]},\n"
    "\"auth_file\": {\"users\": \"secret/users\"}, \"store_maildir\": {\"root\": \"mail\"}}}\n";

/* What stands in the folder of the configuration. */
static const char *const folders[] = { "etc", "secret", "mail", "mail/hyd", "state",
	"state/queue", "state/history", "run", NULL };
static const char *const files[] = { "etc/cert.pem", "etc/key.pem", "etc/ca.pem", "etc/other",
	"secret/users", "mail/hyd/1", "state/queue/segment", "state/history/events", NULL };

static char base[64];
static struct plan *plan;

static const char *at(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", base, name);
	return path;
}

static int set_up(void **state)
{
	const char *build = getenv("top_builddir");
	struct report report = REPORT();
	FILE *f;

	(void)state;
	snprintf(base, sizeof(base), "%s/.libs", build ? build : ".");
	setenv("KURIR_MODULE_PATH", base, 0);
	snprintf(base, sizeof(base), "/tmp/kurir-sandbox-XXXXXX");
	assert_non_null(mkdtemp(base));
	chmod(base, 0755);
	for (unsigned i = 0; folders[i]; i++) {
		assert_int_equal(mkdir(at(folders[i]), 0777), 0);
		chmod(at(folders[i]), 0777);
	}
	for (unsigned i = 0; files[i]; i++) {
		f = fopen(at(files[i]), "w");
		assert_non_null(f);
		fputs("something\n", f);
		fclose(f);
		chmod(at(files[i]), 0666);
	}
	f = fopen(at("kurir.json"), "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	plan = plan_make(at("kurir.json"), true, &report);
	if (!plan)
		fail_msg("%s", report.text.ptr);
	kurir_buf_free(&report.text);
	return 0;
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	plan_free(plan);
	return nftw(base, drop, 8, FTW_DEPTH | FTW_PHYS);
}

/* Runs fn in a child that plays role; its exit status, or minus the signal that killed it. */
static int as(uint32_t role, int (*fn)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(sandbox_enter(plan, role) < 0 ? 99 : fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define EDGE	 KURIR_ROLE_EDGE
#define QUEUE	 KURIR_ROLE_QUEUE
#define RESOLVER KURIR_ROLE_RESOLVER
#define RELAY	 KURIR_ROLE_RELAY
#define STORE	 KURIR_ROLE_STORE
#define ACCESS	 KURIR_ROLE_ACCESS
#define AUTH	 KURIR_ROLE_AUTH
#define CONTROL	 KURIR_ROLE_CONTROL

/* Who may read and who may write; all others may not. */
static const struct {
	const char *path;
	uint32_t read, write;
} table[] = {
	{ "kurir.json", 0, 0 },
	{ "etc/key.pem", 0, 0 },
	{ "etc/other", 0, 0 },
	{ "secret/users", AUTH, 0 },
	{ "mail/hyd/1", STORE | ACCESS, STORE },
	{ "state/queue/segment", EDGE | QUEUE | RELAY | STORE, EDGE | QUEUE },
	{ "state/history/events", CONTROL, CONTROL },
	{ "run", CONTROL, 0 },
	{ "/etc/passwd", 0, 0 },
	{ "/etc/ssl/private", 0, 0 },
#ifndef KURIR_SANITIZED
	{ "/proc/self/environ", 0, 0 },
#endif
	{ "/usr/local/etc", 0, 0 },
	{ "/tmp", 0, 0 },
};

static const char *path;
static int flags;

static int try_open(void)
{
	int fd = open(path, flags | O_CLOEXEC | O_NOCTTY);

	return fd >= 0 ? 0 : errno == EACCES ? 1 : errno == ENOENT ? 2 : 3;
}

static void reaches(void **state)
{
	(void)state;
	for (uint32_t role = 1; role & KURIR_ROLE_ALL; role <<= 1)
		for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
			for (int write = 0; write < 2; write++) {
				bool may = (write ? table[i].write : table[i].read) & role;
				const char *name = table[i].path;
				int r;

				path = name[0] == '/' ? name : at(name);
				flags = write ? O_WRONLY : O_RDONLY;
				r = as(role, try_open);
				if (may ? r != 0 : r == 0 || r == 99)
					fail_msg("%s %s %s (%d)",
					    conf_role_names[__builtin_ctz(role)],
					    may ? "may not" : "may", name, r);
			}
}

static int try_create(void)
{
	char name[200];

	snprintf(name, sizeof(name), "%s/new", path);
	if (symlink("/etc/passwd", name) == 0)
		return 1;
	if (mkfifo(name, 0600) == 0)
		return 2;
	return open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 ? 0 : 3;
}

/* Regular files, and nothing that leads somewhere else. */
static void creations(void **state)
{
	static const struct {
		uint32_t role;
		const char *folder;
		int wanted;
	} tries[] = { { EDGE, "state/queue", 0 }, { QUEUE, "state/queue", 0 },
		{ RELAY, "state/queue", 3 }, { STORE, "state/queue", 3 },
		{ STORE, "mail/hyd", 0 }, { ACCESS, "mail/hyd", 3 }, { AUTH, "secret", 3 },
		{ EDGE, "etc", 3 }, { CONTROL, "run", 0 }, { CONTROL, "mail", 3 } };

	(void)state;
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		path = at(tries[i].folder);
		assert_int_equal(as(tries[i].role, try_create), tries[i].wanted);
		path = at(tries[i].folder);
		if (tries[i].wanted == 0) {
			char name[200];

			snprintf(name, sizeof(name), "%s/new", path);
			assert_int_equal(unlink(name), 0);
		}
	}
}

/* Does the kernel, and this build, have the second lock? */
static int no_filter(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 0) >= 0 ? 1 : 0;
}

static int domain, kind;

static int try_socket(void)
{
	return socket(domain, kind, 0) >= 0 ? 0 : 1;
}

static void sockets(void **state)
{
	static const struct {
		int domain, kind;
		uint32_t may;
	} tries[] = {
		{ AF_INET, SOCK_STREAM, RESOLVER | RELAY },
		{ AF_INET6, SOCK_DGRAM, RESOLVER | RELAY },
		{ AF_INET, SOCK_RAW, 0 },
		{ AF_UNIX, SOCK_STREAM, RESOLVER | RELAY | CONTROL },
		{ AF_UNIX, SOCK_DGRAM, KURIR_ROLE_ALL }, /* the log */
		{ AF_PACKET, SOCK_RAW, 0 },
	};

	(void)state;
	if (as(AUTH, no_filter))
		return;
	for (uint32_t role = 1; role & KURIR_ROLE_ALL; role <<= 1)
		for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
			domain = tries[i].domain;
			kind = tries[i].kind;
			if ((as(role, try_socket) == 0) != ((tries[i].may & role) != 0))
				fail_msg("%s, socket(%d, %d)",
				    conf_role_names[__builtin_ctz(role)], domain, kind);
		}
}

/* Sockets that a role was born with or has accepted, and where nobody of ours should come. */
static int door, client, elsewhere;
static struct sockaddr_in there;

static int loopback(struct sockaddr_in *ret)
{
	socklen_t len = sizeof(*ret);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	*ret =
	    (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	assert_int_equal(bind(fd, (struct sockaddr *)ret, len), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &len), 0);
	return fd;
}

/* A connection that is dissolved can go somewhere else. */
static int try_connect(void)
{
	struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

	(void)connect(client, &nowhere, sizeof(nowhere));
	return connect(client, (struct sockaddr *)&there, sizeof(there)) == 0 ||
		errno == EINPROGRESS
	    ? 0
	    : 1;
}

/* A listening socket that is shut can be used to send, which connects it. */
static int try_fast_open(void)
{
	struct iovec v = { (char *)(uintptr_t) "x", 1 };
	struct msghdr m = {
		.msg_name = &there, .msg_namelen = sizeof(there), .msg_iov = &v, .msg_iovlen = 1
	};
	struct mmsghdr mm = { .msg_hdr = m };
	int r = 1;

	(void)shutdown(door, SHUT_RDWR);
	if (sendto(door, "x", 1, MSG_FASTOPEN, m.msg_name, m.msg_namelen) >= 0)
		r = 0;
	if (sendmsg(door, &m, MSG_FASTOPEN) >= 0 || sendmmsg(door, &mm, 1, MSG_FASTOPEN) > 0)
		r = 0;
	return r;
}

static void goes_out(uint32_t role, int (*fn)(void))
{
	struct sockaddr_in here;
	int from = socket(AF_INET, SOCK_STREAM, 0), r;

	door = loopback(&here);
	assert_int_equal(connect(from, (struct sockaddr *)&here, sizeof(here)), 0);
	client = accept(door, NULL, NULL);
	assert_true(client >= 0);
	r = as(role, fn);
	if (r != 1 || accept(elsewhere, NULL, NULL) >= 0)
		fail_msg("%s goes out", conf_role_names[__builtin_ctz(role)]);
	close(from);
	close(client);
	close(door);
}

static void outward(void **state)
{
	(void)state;
	if (as(AUTH, no_filter))
		return;
	elsewhere = loopback(&there);
	for (uint32_t role = 1; role & KURIR_ROLE_ALL; role <<= 1)
		if (!(role & (RESOLVER | RELAY))) {
			goes_out(role, try_connect);
			goes_out(role, try_fast_open);
		}
	close(elsewhere);
}

static int try_exec(void)
{
	char *const args[] = { (char *)(uintptr_t) "true", NULL };

	return execv("/bin/true", args);
}

static int try_trace(void)
{
	return (int)ptrace(PTRACE_TRACEME, 0, 0, 0);
}

static int try_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid > 0 ? 0 : 1;
}

static int try_listen(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return bind(fd, (struct sockaddr *)&to, sizeof(to)) == 0 && listen(fd, 1) == 0 ? 0 : 1;
}

static int try_code(void)
{
	void *p = mmap(
	    NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p != MAP_FAILED ? 0 : 1;
}

static int try_code_later(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0 ? 0 : 1;
}

/* Types into the terminal of whoever started the server. */
static int try_terminal(void)
{
	return ioctl(0, TIOCSTI, "x") == 0 || errno != ENOSYS ? 0 : 1;
}

static int try_signal(void)
{
	return kill(getppid(), 0) == 0 ? 0 : 1;
}

/* Of another process of the same user. */
static int try_limit(void)
{
	struct rlimit none = { 0 };

	return prlimit(getppid(), RLIMIT_CORE, &none, NULL) == 0 ? 0 : 1;
}

static void intruders(void **state)
{
	(void)state;
	if (as(AUTH, no_filter))
		return;
	for (uint32_t role = 1; role & KURIR_ROLE_ALL; role <<= 1) {
		assert_int_equal(as(role, try_exec), -SIGSYS);
		assert_int_equal(as(role, try_trace), -SIGSYS);
		assert_int_equal(as(role, try_fork), 1);
		assert_int_equal(as(role, try_listen), 1);
		assert_int_equal(as(role, try_code), 1);
		assert_int_equal(as(role, try_code_later), 1);
		assert_int_equal(as(role, try_terminal), 1);
		assert_int_equal(as(role, try_signal), 1);
		assert_int_equal(as(role, try_limit), 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reaches),
		cmocka_unit_test(creations),
		cmocka_unit_test(sockets),
		cmocka_unit_test(outward),
		cmocka_unit_test(intruders),
	};

	return cmocka_run_group_tests_name("sandbox", tests, set_up, tear_down);
}
