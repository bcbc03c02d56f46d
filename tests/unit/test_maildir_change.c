/* test_maildir_change.c - changes of a mailbox with every file operation failing in turn. */
#include "conf_unit.h"

#include <modules/store_maildir/maildir_private.h>

#include <dirent.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <instance_private.h>

static struct maildir_conf conf = { .list_max = 1 << 20 };
static struct module module = { .m = { .size = sizeof(struct kurir_module),
				    .name = "store_maildir",
				    .self_size = sizeof(struct maildir_self) },
	.caps = UINT32_MAX };
static struct kurir_self *self;
static struct kurir_arena *arena;
static struct maildir_io real;
static unsigned countdown;

static bool hit(void)
{
	return countdown > 0 && --countdown == 0;
}

static int f_open(const char *p, int flags, unsigned mode)
{
	return hit() ? -EMFILE : real.open(p, flags, mode);
}

static ssize_t f_write(int fd, const void *d, size_t n)
{
	return hit() ? -ENOSPC : real.write(fd, d, n);
}

static int f_fsync(int fd)
{
	return hit() ? -EIO : real.fsync(fd);
}

static int f_link(const char *a, const char *b)
{
	return hit() ? -ENOSPC : real.link(a, b);
}

static int f_rename(const char *a, const char *b)
{
	return hit() ? -EIO : real.rename(a, b);
}

static int f_next(DIR *d, struct dirent **ret)
{
	return hit() ? -EIO : real.next(d, ret);
}

static void put_messages(const char *path, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct maildir_file f = { .head = "", .to_cur = true }, *all[] = { &f };

		snprintf(f.account, sizeof(f.account), "%s", path);
		snprintf(f.mailbox, sizeof(f.mailbox), "%s", path);
		snprintf(f.name, sizeof(f.name), "1700000000.m%u.h", i);
		f.fd = memfd_create("message", MFD_CLOEXEC);
		assert_int_equal(write(f.fd, "a\r\n", 3), 3);
		f.length = 3;
		maildir_files_write(conf.root.ptr, all, 1);
		assert_int_equal(f.result, 0);
		close(f.fd);
	}
}

static unsigned files_in(const char *mailbox)
{
	char path[MAILDIR_PATH_MAX];
	unsigned n = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/d/u%s/cur", conf.root.ptr, mailbox);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* All three messages or none are in the target, and in the source as well, or not. */
static void every_copy_failure(enum kurir_change_kind kind, const char *target)
{
	struct kurir_uid_range some = { 1, 3 };
	struct kurir_change change = { .kind = kind,
		.keywords = KURIR_STR(""),
		.target = kurir_str_of(target),
		.uids = { 1, &some } };
	struct kurir_changed changed;
	unsigned n = 0;
	char path[100];

	for (int r = -1; r < 0;) {
		char clean[120];

		snprintf(clean, sizeof(clean), "rm -rf %s/d", conf.root.ptr);
		assert_int_equal(system(clean), 0);
		snprintf(path, sizeof(path), "%s/d/u", conf.root.ptr);
		put_messages(path, 3);
		snprintf(path, sizeof(path), "%s/d/u/.A", conf.root.ptr);
		assert_int_equal(maildir_make(conf.root.ptr, path), 0);
		maildir_io = (struct maildir_io){ f_open, f_write, f_fsync, real.close, f_link,
			f_rename, real.unlink, real.mkdir, f_next, real.sync_all };
		countdown = ++n;
		r = maildir_change(
		    self, KURIR_STR("u@d"), KURIR_STR("INBOX"), &change, arena, &changed);
		maildir_io = real;
		if (r >= 0) {
			assert_true(countdown > 0);
			assert_int_equal(changed.target.count, 1);
		} else if (kind == KURIR_CHANGE_COPY) {
			assert_int_equal(files_in(""), 3);
			assert_int_equal(files_in("/.A"), 0);
		} else {
			assert_true(files_in("") == 3 || files_in("/.A") == 3);
			assert_true(files_in("/.A") == 0 || files_in("/.A") == 3);
		}
	}
	assert_true(n > 10);
}

static void copies(void **state)
{
	(void)state;
	every_copy_failure(KURIR_CHANGE_COPY, "A");
	every_copy_failure(KURIR_CHANGE_COPY, "INBOX");
	every_copy_failure(KURIR_CHANGE_MOVE, "A");
}

static int begin(void **state)
{
	static char root[] = "/tmp/kurir-change-XXXXXX";

	(void)state;
	real = maildir_io;
	arena = kurir_arena_new("test");
	conf.root = kurir_str_of(mkdtemp(root));
	self = instance_new(&module, "store_maildir", &conf);
	return 0;
}

static int end(void **state)
{
	char clean[100];

	(void)state;
	instance_reset();
	kurir_arena_free(arena);
	snprintf(clean, sizeof(clean), "rm -rf %s", conf.root.ptr);
	return system(clean);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(copies) };

	return cmocka_run_group_tests(tests, begin, end);
}
