/* tool.c - kurir-store [--json] FOLDER COMMAND: check, repair, upgrade, export, import, move.
 * FOLDER is the option "root" of store_sqlite. Exit status: 0 done; 1 something is wrong with
 * the mailboxes; 2 it cannot tell, or the command line is wrong. */
#include "tool.h"

#include "schema.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define PASSWORD_MAX 1024

static const char usage[] =
    "kurir-store [--json] FOLDER-OF-THE-SHARDS COMMAND\n"
    "  check                         counts, references and checksums of all shards\n"
    "  repair SHARD                  makes a shard's database again from its segments\n"
    "  upgrade [back [anyway] | commit]  to this program's format; and what was before\n"
    "  export ACCOUNT maildir|mbox FOLDER\n"
    "  import ACCOUNT maildir FOLDER\n"
    "  import ACCOUNT mbox FILE MAILBOX\n"
    "  move ACCOUNT FOLDER           to other shards; no server may use either\n"
    "  import imap[s]://USER@HOST[:PORT] --account ACCOUNT [--ca FILE] [--password-file FILE]\n";

void tool_say(struct tool *t, const char *fmt, ...)
{
	va_list ap;
	if (t->progress)
		(void)dprintf(STDERR_FILENO, "\r\033[K");
	va_start(ap, fmt);
	(void)vdprintf(STDERR_FILENO, fmt, ap);
	va_end(ap);
	(void)dprintf(STDERR_FILENO, "\n");
}

void tool_problem(struct tool *t, const char *fmt, ...)
{
	char line[1500];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	t->problems++;
	tool_say(t, "%s", line);
}

int tool_fail(struct tool *t, int r, const char *what)
{
	tool_say(t, "kurir-store: %s: %s", what, strerror(-r));
	return 2;
}

void tool_progress(struct tool *t, const char *what, uint64_t done, uint64_t of)
{
	if (!t->progress || done % 256 != 0)
		return;
	(void)dprintf(STDERR_FILENO, "\r\033[K%s: %llu", what, (unsigned long long)done);
	if (of > 0)
		(void)dprintf(STDERR_FILENO, " of %llu, %llu %%", (unsigned long long)of,
		    (unsigned long long)(done * 100 / of));
}

int tool_path(const struct tool *t, unsigned shard, const char *name, char ret[TOOL_PATH])
{
	int n = snprintf(ret, TOOL_PATH, "%s/%02x%s%s", t->root, shard, name[0] ? "/" : "", name);
	return n < 0 || n >= TOOL_PATH - 64 ? -ENAMETOOLONG : 0;
}

unsigned tool_shard_of(const struct tool *t, struct kurir_str account)
{
	return (unsigned)(kurir_str_hash(account) % t->shards);
}

int tool_shard_open(struct tool *t, unsigned number, struct tool_shard *s)
{
	char path[TOOL_PATH + 16];
	*s = (struct tool_shard){ .number = number };
	int r = tool_path(t, number, "", s->folder);
	if (r == 0 && mkdir(s->folder, 0750) < 0 && errno != EEXIST)
		r = -errno;
	if (r == 0)
		r = blob_sync_folder(t->root);
	(void)snprintf(path, sizeof(path), "%s/index.db", s->folder);
	if (r == 0)
		r = db_open_writer(&s->db, path);
	if (r == 0 && (r = blob_sync_folder(s->folder)) < 0)
		db_close(&s->db);
	if (r == 0)
		blob_writer_init(&s->blobs, s->folder, (uint64_t)256 << 20);
	return r;
}

void tool_shard_close(struct tool_shard *s)
{
	blob_writer_close(&s->blobs);
	db_close(&s->db);
}

int tool_begin(struct tool_shard *s)
{
	return db_exec(&s->db, "BEGIN IMMEDIATE", "");
}

int tool_commit(struct tool_shard *s)
{
	char path[TOOL_PATH + 16];
	int r = blob_sync(&s->blobs);
	if (r == 0)
		r = db_exec(&s->db, "COMMIT", "");
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s/bell", s->folder);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd >= 0) {
		(void)!pwrite(fd, "!", 1, 0);
		close(fd);
	}
	return 0;
}

void tool_rollback(struct tool_shard *s)
{
	if (sqlite3_get_autocommit(s->db.sql) == 0)
		(void)db_exec(&s->db, "ROLLBACK", "");
	blob_cut(&s->blobs);
}

static int lock_format(const struct tool *t, int how)
{
	char path[TOOL_PATH];
	int n = snprintf(path, sizeof(path), "%s/format", t->root), r;
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (flock(fd, how | LOCK_NB) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

int tool_share_all(const struct tool *t)
{
	return lock_format(t, LOCK_SH);
}

int tool_lock_all(const struct tool *t)
{
	return lock_format(t, LOCK_EX);
}

/* The file "format": see format.c. */
int tool_read_format(struct tool *t)
{
	char path[TOOL_PATH], line[128] = "", want[64];
	(void)snprintf(path, sizeof(path), "%s/format", t->root);
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = fd < 0 ? -errno : 0;
	if (fd >= 0 && read(fd, line, sizeof(line) - 1) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	if (r < 0)
		return r;
	uint64_t shards;
	size_t n =
	    (size_t)snprintf(want, sizeof(want), "kurir store_sqlite %d shards ", SCHEMA_ROOT);
	struct kurir_str s = kurir_str_trim(kurir_str_of(line));
	if (!kurir_str_starts(s, kurir_str_of(want)) ||
	    kurir_str_number(kurir_str_part(s, n, s.len), 256, &shards) < 0 || shards == 0)
		return -EPROTONOSUPPORT;
	t->shards = (unsigned)shards;
	return 0;
}

/* What is written belongs to who owns the rest. */
static int become_owner(const struct tool *t)
{
	struct stat st;
	if (geteuid() != 0)
		return 0;
	if (stat(t->root, &st) < 0)
		return -errno;
	if (st.st_uid == 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setgid(st.st_gid) < 0 || setuid(st.st_uid) < 0)
		return -errno;
	return 0;
}

static int repair(struct tool *t, const char *number)
{
	char *end;
	errno = 0;
	unsigned long long shard = strtoull(number, &end, 16);
	if (errno == 0 && *end == '\0' && shard < t->shards)
		return tool_repair(t, (unsigned)shard);
	tool_say(t, "kurir-store: there is no shard %s", number);
	return 2;
}

static int import(struct tool *t, char **args, int n)
{
	if (t->account != NULL)
		return tool_import(t, kurir_str_of(t->account), args + 1, n - 1);
	if (n > 3)
		return tool_import(t, kurir_str_of(args[1]), args + 2, n - 2);
	(void)dprintf(STDERR_FILENO, "%s", usage);
	return 2;
}

static int run(struct tool *t, char **args, int n)
{
	if (n == 1 && strcmp(args[0], "check") == 0)
		return tool_check(t);
	if (n == 2 && strcmp(args[0], "repair") == 0)
		return repair(t, args[1]);
	if (n == 4 && strcmp(args[0], "export") == 0)
		return tool_export(t, kurir_str_of(args[1]), args[2], args[3]);
	if (n > 1 && strcmp(args[0], "import") == 0)
		return import(t, args, n);
	if (n <= 3 && strcmp(args[0], "upgrade") == 0)
		return tool_upgrade(t, n > 1 ? args[1] : "", n > 2 ? args[2] : "");
	if (n == 3 && strcmp(args[0], "move") == 0)
		return tool_move(t, kurir_str_of(args[1]), args[2]);
	(void)dprintf(STDERR_FILENO, "%s", usage);
	return 2;
}

/* A line: from a file, or else from the terminal, where it is not shown. */
static int read_password(struct tool *t, const char *file)
{
	static char line[PASSWORD_MAX];
	struct termios was, silent;
	bool ask = file == NULL && tcgetattr(STDIN_FILENO, &was) == 0;
	FILE *from = file != NULL ? fopen(file, "re") : stdin;
	if (from == NULL)
		return -errno;
	if (ask) {
		silent = was;
		silent.c_lflag &= ~(tcflag_t)ECHO;
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
		(void)dprintf(STDERR_FILENO, "Password: ");
	}
	(void)setvbuf(from, NULL, _IONBF, 0);
	bool there = fgets(line, sizeof(line), from) != NULL;
	if (ask) {
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
		(void)dprintf(STDERR_FILENO, "\n");
	}
	if (from != stdin)
		(void)fclose(from);
	line[strcspn(line, "\r\n")] = '\0';
	t->password = line;
	return there && line[0] != '\0' ? 0 : -EINVAL;
}

/* Takes them out of the words; how many are left, or -1. */
static int take_options(struct tool *t, int argc, char **argv, const char **ret_password_file)
{
	const struct {
		const char *name;
		const char **to;
	} with[] = { { "--account", &t->account }, { "--ca", &t->ca },
		{ "--password-file", ret_password_file } };
	int n = 0;
	for (int i = 1; i < argc; i++) {
		const char **to = NULL;
		for (size_t k = 0; k < sizeof(with) / sizeof(with[0]); k++)
			if (strcmp(argv[i], with[k].name) == 0)
				to = with[k].to;
		if (strcmp(argv[i], "--json") == 0)
			t->json = true;
		else if (to != NULL && i + 1 < argc)
			*to = argv[++i];
		else if (argv[i][0] == '-')
			return -1;
		else
			argv[n++] = argv[i];
	}
	return n;
}

int main(int argc, char **argv)
{
	struct tool t = { .text = KURIR_BUF(1 << 20), .progress = isatty(STDERR_FILENO) == 1 };
	const char *password_file = NULL;
	int n = take_options(&t, argc, argv, &password_file), r = 0;
	if (n < 2) {
		(void)dprintf(STDERR_FILENO, "%s", usage);
		return 2;
	}
	t.root = argv[0];
	/* Before it becomes who owns the mailboxes, who may not be one who may read it. */
	if (t.account != NULL)
		r = read_password(&t, password_file);
	if (r < 0)
		return tool_fail(&t, r, password_file != NULL ? password_file : "the password");
	r = become_owner(&t);
	if (r == 0)
		r = tool_read_format(&t);
	if (r < 0)
		return tool_fail(&t, r, t.root);
	r = run(&t, argv + 1, n - 1);
	if (t.progress)
		(void)dprintf(STDERR_FILENO, "\r\033[K");
	(void)!write(STDOUT_FILENO, t.text.ptr != NULL ? t.text.ptr : "", t.text.len);
	kurir_buf_free(&t.text);
	return r;
}
