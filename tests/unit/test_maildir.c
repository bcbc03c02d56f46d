/* test_maildir.c - names, paths, the uid list, and deliveries with every file operation failing in turn. */
#include "conf_unit.h"

#include <modules/store_maildir/maildir.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

static struct kurir_arena *arena;

static void names(void **state)
{
	char file[MAILDIR_NAME_MAX + 1], made[MAILDIR_NAME_MAX + 1];
	struct maildir_name n;

	(void)state;
	maildir_name_parse(KURIR_STR("1700000000.M1.host,S=12,W=13:2,FSab"), &n);
	assert_str(n.base, "1700000000.M1.host,S=12,W=13");
	assert_int_equal(n.flags, KURIR_MESSAGE_FLAGGED | KURIR_MESSAGE_SEEN);
	assert_int_equal(n.wire_size, 13);
	assert_int_equal(n.date, 1700000000000);
	maildir_name_parse(KURIR_STR("x:1,S"), &n);
	assert_int_equal(n.flags, 0);
	maildir_name_parse(KURIR_STR("x,W=99999999999999999999"), &n);
	assert_int_equal(n.wire_size, 0);
	assert_int_equal(maildir_name_make(KURIR_STR("b"),
			     KURIR_MESSAGE_SEEN | KURIR_MESSAGE_DRAFT, KURIR_STR(""), file),
	    0);
	assert_string_equal(file, "b:2,DS");
	/* Letters of other programs stay, ours are as we say. */
	maildir_name_parse(KURIR_STR("b:2,PSTbd"), &n);
	assert_int_equal(maildir_name_make(n.base, KURIR_MESSAGE_FLAGGED, n.info, file), 0);
	assert_string_equal(file, "b:2,FPbd");
	memset(file, 'x', MAILDIR_NAME_MAX);
	memcpy(file + MAILDIR_NAME_MAX - 5, ":2,Pa", 5);
	maildir_name_parse((struct kurir_str){ file, MAILDIR_NAME_MAX }, &n);
	assert_int_equal(maildir_name_make(n.base, 0, n.info, made), 0);
	assert_int_equal(
	    maildir_name_make(n.base, KURIR_MESSAGE_SEEN, n.info, made), -ENAMETOOLONG);
}

static void paths(void **state)
{
	static const char *const bad_accounts[] = { "", "@x", "a@", "../x@y", "a/b@c", ".a@b",
		"a@.b", "a@b/../c", "a\nb@c" };
	static const char *const bad_mailboxes[] = { "", "/", "a//b", "/a", "a/", "a\nb", "\xff",
		"1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17" };
	char path[MAILDIR_PATH_MAX];
	struct kurir_str name;

	(void)state;
	assert_int_equal(
	    maildir_mailbox_path(KURIR_STR("/m"), KURIR_STR("u@d"), KURIR_STR("inbox"), path), 0);
	assert_string_equal(path, "/m/d/u");
	assert_int_equal(maildir_mailbox_path(KURIR_STR("/m"), KURIR_STR("u@d"),
			     KURIR_STR("a.b/\xc3\xa9/.."), path),
	    0);
	assert_string_equal(path, "/m/d/u/.a&AC4-b.&AOk-.&AC4ALg-");
	assert_int_equal(maildir_folder_name(arena, ".a&AC4-b.&AOk-.&AC4ALg-", &name), 0);
	assert_str(name, "a.b/\xc3\xa9/..");
	for (size_t i = 0; i < sizeof(bad_accounts) / sizeof(*bad_accounts); i++)
		if (maildir_account_path(KURIR_STR("/m"), kurir_str_of(bad_accounts[i]), path) !=
		    -EINVAL)
			fail_msg("taken: %s", bad_accounts[i]);
	for (size_t i = 0; i < sizeof(bad_mailboxes) / sizeof(*bad_mailboxes); i++)
		if (maildir_mailbox_path(KURIR_STR("/m"), KURIR_STR("u@d"),
			kurir_str_of(bad_mailboxes[i]), path) >= 0)
			fail_msg("taken: %s", bad_mailboxes[i]);
	assert_int_equal(maildir_folder_name(arena, "..", &name), -EINVAL);
	assert_int_equal(maildir_folder_name(arena, ".a..b", &name), -EINVAL);
	assert_int_equal(maildir_folder_name(arena, "cur", &name), -EINVAL);
}

static void lists(void **state)
{
	static const char good[] =
	    "kurir-uidlist 1 7 10 9 33\n3 5 1 100 1000 a,S=1:2,S\tx y\n9 33 0 1 2 b:2,\n";
	struct maildir_list l;

	(void)state;
	assert_int_equal(maildir_list_parse(arena, kurir_str_of(good), &l), 0);
	assert_int_equal(l.count, 2);
	assert_int_equal(l.validity, 7);
	assert_int_equal(l.modseq, 33);
	assert_str(l.entries[0].keywords, "x y");
	assert_int_equal(maildir_list_find(&l, 9)->modseq, 33);
	assert_null(maildir_list_find(&l, 4));
	/* Cut anywhere but between two entries, it is damaged. */
	for (size_t cut = 0; cut < sizeof(good) - 1; cut++)
		if (maildir_list_parse(arena, (struct kurir_str){ good, cut }, &l) == 0 &&
		    good[cut - 1] != '\n')
			fail_msg("taken when cut at %zu", cut);
	assert_int_equal(
	    maildir_list_parse(
		arena, KURIR_STR("kurir-uidlist 1 7 10 9 33\n9 1 0 1 2 a\n3 1 0 1 2 b\n"), &l),
	    -EBADMSG);
	assert_int_equal(
	    maildir_list_parse(arena, KURIR_STR("kurir-uidlist 1 7 10 9 33\n10 1 0 1 2 a\n"), &l),
	    -EBADMSG);
	assert_int_equal(maildir_list_parse(
			     arena, KURIR_STR("kurir-uidlist 1 7 10 9 33\n3 1 0 1 2 ../a\n"), &l),
	    -EBADMSG);
}

/* -- faults: the n-th operation fails ------------------------------------------------------ */

static struct maildir_io real;
static unsigned countdown;
static int fault;

static bool hit(void)
{
	return countdown > 0 && --countdown == 0;
}

static int f_open(const char *p, int flags, unsigned mode)
{
	return hit() ? fault : real.open(p, flags, mode);
}

static ssize_t f_write(int fd, const void *d, size_t n)
{
	return hit() ? fault : real.write(fd, d, n);
}

static int f_fsync(int fd)
{
	return hit() ? fault : real.fsync(fd);
}

static int f_close(int fd)
{
	int r = real.close(fd);

	return hit() ? fault : r;
}

static int f_link(const char *a, const char *b)
{
	return hit() ? fault : real.link(a, b);
}

static int f_rename(const char *a, const char *b)
{
	return hit() ? fault : real.rename(a, b);
}

static int f_unlink(const char *p)
{
	return hit() ? fault : real.unlink(p);
}

static int f_mkdir(const char *p, unsigned mode)
{
	return hit() ? fault : real.mkdir(p, mode);
}

static int f_next(DIR *d, struct dirent **ret)
{
	return hit() ? fault : real.next(d, ret);
}

static int f_sync_all(int fd)
{
	return hit() ? fault : real.sync_all(fd);
}

static unsigned files_in(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	unsigned n = 0;

	while (d && (e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static void remove_all(const char *path)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -rf '%s'", path);
	assert_int_equal(system(command), 0);
}

/* What is written, then read, and how long it is said to be. */
static void store_and_read(const char *root, const char *message, const char *wire)
{
	struct maildir_file f = {
		.name = "1700000000.T", .to_cur = true, .head = "", .result = 1
	};
	struct maildir_file *all[] = { &f };
	char path[MAILDIR_PATH_MAX + 300], got[64];
	struct kurir_body body;

	f.fd = memfd_create("message", MFD_CLOEXEC);
	f.length = strlen(message);
	assert_int_equal(write(f.fd, message, f.length), f.length);
	snprintf(f.account, sizeof(f.account), "%s/a", root);
	snprintf(f.mailbox, sizeof(f.mailbox), "%s/a", root);
	maildir_files_write(root, all, 1);
	close(f.fd);
	assert_int_equal(f.result, 0);
	snprintf(path, sizeof(path), "%s/a/cur/%s", root, f.made);
	assert_int_equal(maildir_open_wire(path, &body), 0);
	assert_int_equal(body.length, strlen(wire));
	assert_int_equal(f.wire_size, strlen(wire));
	assert_int_equal(pread(body.fd, got, sizeof(got), (off_t)body.offset), strlen(wire));
	assert_memory_equal(got, wire, strlen(wire));
	close(body.fd);
	unlink(path);
}

static void octets(void **state)
{
	static const char *const as_they_are[] = { "", "a\r\n", "a\r\r\nb\r\n", "\r\r\r\n",
		"a\rb\r\n", "a\r", "a\r\r", "\r\n\r\n", "a" };
	char root[] = "/tmp/kurir-octets-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(root));
	for (size_t i = 0; i < sizeof(as_they_are) / sizeof(*as_they_are); i++)
		store_and_read(root, as_they_are[i], as_they_are[i]);
	store_and_read(root, "a\nb\r\n\n", "a\r\nb\r\n\r\n");
	remove_all(root);
}

#define MANY 9 /* enough for one flush of everything */

/* Messages, two a mailbox.  Returns how many were said to be delivered. */
static unsigned deliver(const char *root, unsigned messages, unsigned fail_at, int err)
{
	static const char text[] = "Subject: x\r\n\r\nbody\r\nlone \r cr\r\n";
	struct maildir_file *f = calloc(MANY, sizeof(*f)), *all[MANY];
	int fd = memfd_create("m", 0);
	unsigned good = 0;

	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	for (unsigned i = 0; i < messages; i++) {
		all[i] = &f[i];
		snprintf(f[i].account, sizeof(f[i].account), "%s/d/u%u", root, i / 2);
		snprintf(f[i].mailbox, sizeof(f[i].mailbox), "%s/d/u%u", root, i / 2);
		snprintf(f[i].name, sizeof(f[i].name), "1700000000.m%u.h", i);
		f[i].head = "X: y\n";
		f[i].head_len = 5;
		f[i].fd = fd;
		f[i].length = sizeof(text) - 1;
	}
	countdown = fail_at;
	fault = err;
	maildir_files_write(root, all, messages);
	for (unsigned i = 0; i < messages; i++) {
		char path[MAILDIR_PATH_MAX * 2];
		struct stat st;

		if (f[i].result != 0)
			continue;
		good++;
		snprintf(path, sizeof(path), "%s/new/%s", f[i].mailbox, f[i].made);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, 5 + sizeof(text) - 1 - 4);
	}
	close(fd);
	free(f);
	return good;
}

static void every_failure_of(unsigned messages)
{
	static const int errors[] = { -EIO, -ENOSPC, -EMFILE };
	size_t kinds = messages == MANY ? 1 : 3; /* it takes its time */
	char root[] = "/tmp/kurir-maildir-XXXXXX", path[100];
	unsigned points = 0;

	real = maildir_io;
	maildir_io = (struct maildir_io){ f_open, f_write, f_fsync, f_close, f_link, f_rename,
		f_unlink, f_mkdir, f_next, f_sync_all };
	assert_non_null(mkdtemp(root));
	for (size_t e = 0; e < kinds; e++) {
		unsigned n = 0;

		do {
			remove_all(root);
			assert_int_equal(mkdir(root, 0700), 0);
			deliver(root, messages, ++n, errors[e]);
			snprintf(path, sizeof(path), "%s/d/u0/tmp", root);
			assert_int_equal(files_in(path), 0);
			/* Cured: the same deliveries again, under the same names, and nothing is left in tmp. */
			if (countdown == 0) {
				assert_int_equal(deliver(root, messages, 0, 0), messages);
				points++;
			}
			snprintf(path, sizeof(path), "%s/d/u0/new", root);
			assert_int_equal(files_in(path), 2);
			snprintf(path, sizeof(path), "%s/d/u0/tmp", root);
			assert_int_equal(files_in(path), 0);
		} while (countdown == 0);
	}
	remove_all(root);
	maildir_io = real;
	assert_true(points > 60);
}

static void every_failure(void **state)
{
	(void)state;
	every_failure_of(3);
	every_failure_of(MANY);
}

/* Messages keep their UIDs and keywords, whatever fails while the mailbox is looked through. */
static void every_sync_failure(void **state)
{
	char root[] = "/tmp/kurir-sync-XXXXXX", path[MAILDIR_PATH_MAX];
	struct maildir_conf conf = { .list_max = 1 << 20 };
	struct maildir_list before, l;
	unsigned n = 0;
	bool changed;
	int r;

	(void)state;
	assert_non_null(mkdtemp(root));
	snprintf(path, sizeof(path), "%s/d/u0", root);
	real = maildir_io;
	assert_int_equal(deliver(root, 2, 0, 0), 2);
	assert_int_equal(maildir_sync(&conf, path, path, arena, &before, &changed), 0);
	assert_int_equal(before.count, 2);
	before.entries[0].keywords = KURIR_STR("keyword");
	assert_int_equal(maildir_list_write(&before, path), 0);
	maildir_io = (struct maildir_io){ f_open, f_write, f_fsync, f_close, f_link, f_rename,
		f_unlink, f_mkdir, f_next, f_sync_all };
	do {
		countdown = ++n;
		fault = -EIO;
		r = maildir_sync(&conf, path, path, arena, &l, &changed);
		assert_int_equal(r, countdown == 0 ? -EIO : 0);
		n = countdown == 0 ? n : 0;
		countdown = 0;
		assert_int_equal(maildir_sync(&conf, path, path, arena, &l, &changed), 0);
		assert_int_equal(l.validity, before.validity);
		assert_int_equal(l.count, 2);
		assert_int_equal(l.entries[0].uid, before.entries[0].uid);
		assert_int_equal(l.entries[1].uid, before.entries[1].uid);
		assert_str(l.entries[0].keywords, "keyword");
	} while (n > 0);
	maildir_io = real;
	remove_all(root);
}

static int begin(void **state)
{
	(void)state;
	arena = kurir_arena_new("test");
	return 0;
}

static int end(void **state)
{
	(void)state;
	kurir_arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(names), cmocka_unit_test(paths),
		cmocka_unit_test(lists), cmocka_unit_test(octets),
		cmocka_unit_test(every_failure), cmocka_unit_test(every_sync_failure) };

	return cmocka_run_group_tests(tests, begin, end);
}
