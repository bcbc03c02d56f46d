/* maildir_manage.c - which mailboxes an account has; create, delete, rename, subscribe.
 *
 * Subscriptions are lines in the file "subscriptions" of the account, as other programs keep
 * them. A deleted mailbox is first renamed out of sight, then removed: a crash leaves no half
 * of one. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "maildir.h"

#define SUBSCRIPTIONS_MAX (1u << 20)
#define MAILBOXES_MAX	  100000

static const struct {
	const char *name;
	uint32_t flag;
} special[] = {
	{ "Drafts", KURIR_MAILBOX_DRAFTS },
	{ "Sent", KURIR_MAILBOX_SENT },
	{ "Trash", KURIR_MAILBOX_TRASH },
	{ "Junk", KURIR_MAILBOX_JUNK },
	{ "Archive", KURIR_MAILBOX_ARCHIVE },
};

/* The file's text, empty when there is none. */
static struct kurir_str read_subscriptions(const char *account_path, struct kurir_arena *arena)
{
	char path[MAILDIR_PATH_MAX + 32];
	char *text;
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/subscriptions", account_path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return KURIR_STR("");
	text = kurir_alloc(arena, SUBSCRIPTIONS_MAX);
	n = read(fd, text, SUBSCRIPTIONS_MAX);
	close(fd);
	return (struct kurir_str){ text, n > 0 ? (size_t)n : 0 };
}

static bool has_line(struct kurir_str text, struct kurir_str line)
{
	while (text.len > 0) {
		ssize_t lf = kurir_str_find(text, '\n');
		size_t n = lf < 0 ? text.len : (size_t)lf;

		if (kurir_str_equal(kurir_str_part(text, 0, n), line))
			return true;
		text = kurir_str_part(text, lf < 0 ? n : n + 1, text.len);
	}
	return false;
}

static int by_name(const void *a, const void *b)
{
	const struct kurir_mailbox *x = a, *y = b;

	return kurir_str_compare(x->name, y->name);
}

/* "a" has children when "a/..." follows in the sorted list, where INBOX stands first. */
static void mark_children(struct kurir_mailbox *all, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t j = i + 1;
		     j < count && (i == 0 || kurir_str_starts(all[j].name, all[i].name)); j++)
			if (all[j].name.len > all[i].name.len &&
			    all[j].name.ptr[all[i].name.len] == '/' &&
			    kurir_str_starts(all[j].name, all[i].name)) {
				all[i].flags |= KURIR_MAILBOX_CHILDREN;
				break;
			}
}

static uint32_t flags_of(struct kurir_str name, struct kurir_str subscriptions)
{
	uint32_t flags = has_line(subscriptions, name) ? KURIR_MAILBOX_SUBSCRIBED : 0;

	for (size_t i = 0; i < sizeof(special) / sizeof(*special); i++)
		if (kurir_str_equal(name, kurir_str_of(special[i].name)))
			flags |= special[i].flag;
	return flags;
}

int maildir_list_mailboxes(const struct maildir_conf *conf, struct kurir_str account,
    struct kurir_arena *arena, struct kurir_mailbox **ret, size_t *ret_count)
{
	char path[MAILDIR_PATH_MAX];
	size_t count = 1, room = 32;
	struct kurir_mailbox *all = kurir_alloc(arena, room * sizeof(*all));
	struct kurir_str subscriptions;
	struct dirent *e;
	DIR *d;
	int r = maildir_account_path(conf->root, account, path);

	if (r < 0)
		return r;
	subscriptions = read_subscriptions(path, arena);
	all[0] = (struct kurir_mailbox){ KURIR_STR("INBOX"),
		flags_of(KURIR_STR("INBOX"), subscriptions) };
	d = opendir(path);
	while (d && count < MAILBOXES_MAX && (e = readdir(d)) != NULL) {
		struct kurir_str name;

		if (maildir_folder_name(arena, e->d_name, &name) < 0)
			continue;
		if (count == room) {
			struct kurir_mailbox *more = kurir_alloc(arena, 2 * room * sizeof(*more));

			memcpy(more, all, room * sizeof(*more));
			all = more;
			room *= 2;
		}
		all[count++] = (struct kurir_mailbox){ name, flags_of(name, subscriptions) };
	}
	if (d)
		closedir(d);
	qsort(all + 1, count - 1, sizeof(*all), by_name);
	mark_children(all, count);
	*ret = all;
	*ret_count = count;
	return 0;
}

/* Replaces the subscriptions by those other than name, and name when it is to be there. */
static int subscribe(const char *account_path, struct kurir_str name, bool wanted)
{
	struct kurir_arena *arena = kurir_scratch();
	struct kurir_str text = read_subscriptions(account_path, arena);
	struct kurir_buf out = KURIR_BUF(SUBSCRIPTIONS_MAX);
	char path[MAILDIR_PATH_MAX + 32], tmp[MAILDIR_PATH_MAX + 40];
	int fd, r = 0;

	if (has_line(text, name) == wanted)
		return 0;
	while (text.len > 0 && r >= 0) {
		ssize_t lf = kurir_str_find(text, '\n');
		size_t n = lf < 0 ? text.len : (size_t)lf;

		if (!kurir_str_equal(kurir_str_part(text, 0, n), name))
			r = kurir_buf_printf(&out, "%.*s\n", (int)n, text.ptr);
		text = kurir_str_part(text, lf < 0 ? n : n + 1, text.len);
	}
	if (wanted && r >= 0)
		r = kurir_buf_printf(&out, "%.*s\n", KURIR_ARG(name));
	snprintf(path, sizeof(path), "%s/subscriptions", account_path);
	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	fd = r < 0 ? r : maildir_io.open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0660);
	if (fd >= 0) {
		r = maildir_write_all(fd, kurir_buf_str(&out).ptr, out.len);
		if (r >= 0)
			r = maildir_io.fsync(fd);
		maildir_io.close(fd);
		if (r >= 0)
			r = maildir_io.rename(tmp, path);
		if (r >= 0)
			r = maildir_fsync_dir(account_path);
	} else {
		r = fd;
	}
	kurir_buf_free(&out);
	return r == -EMSGSIZE ? -EDQUOT : r;
}

/* What a mailbox's folder consists of; nothing below is followed. */
static int remove_tree(const char *path, int depth)
{
	char inner[MAILDIR_PATH_MAX + 600];
	DIR *d = opendir(path);
	struct dirent *e;
	int r = 0;

	if (!d)
		return -errno;
	while (r >= 0 && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(inner, sizeof(inner), "%s/%s", path, e->d_name);
		if (depth > 0 && e->d_type == DT_DIR)
			r = remove_tree(inner, depth - 1);
		else
			r = maildir_io.unlink(inner);
	}
	closedir(d);
	if (r >= 0 && rmdir(path) < 0)
		r = -errno;
	return r;
}

static bool exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

static int delete (const char *account_path, const char *path)
{
	char doomed[MAILDIR_PATH_MAX + 64];
	int r;

	if (strcmp(account_path, path) == 0)
		return -EINVAL; /* INBOX stays */
	if (!exists(path))
		return -ENOENT;
	snprintf(doomed, sizeof(doomed), "%s/..deleted.%lld", account_path,
	    (long long)kurir_wallclock());
	r = maildir_io.rename(path, doomed);
	if (r >= 0)
		r = maildir_fsync_dir(account_path);
	return r < 0 ? r : remove_tree(doomed, 1);
}

/* The mailbox, and those above it that are not there (RFC 3501 section 6.3.3). */
static int create(const char *root, const char *account_path, char *path)
{
	int r = 0;

	for (char *dot = path + strlen(account_path) + 2; r >= 0 && (dot = strchr(dot, '.'));
	     dot++) {
		*dot = '\0';
		r = exists(path) ? 0 : maildir_make(root, path);
		*dot = '.';
	}
	return r < 0 ? r : maildir_make(root, path);
}

/* The mailbox and all below it, by the prefix of their folders' names. */
static int rename_all(const char *account_path, const char *from, const char *to)
{
	const char *old = from + strlen(account_path) + 1, *new = to + strlen(account_path) + 1;
	size_t len = strlen(old);
	char a[MAILDIR_PATH_MAX + 300], b[MAILDIR_PATH_MAX + 600];
	DIR *d = opendir(account_path);
	struct dirent *e;
	int r = 0;

	if (!d)
		return -errno;
	while (r >= 0 && (e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, old, len) != 0 ||
		    (e->d_name[len] != '.' && e->d_name[len] != '\0'))
			continue;
		snprintf(a, sizeof(a), "%s/%s", account_path, e->d_name);
		snprintf(b, sizeof(b), "%s/%s%s", account_path, new, e->d_name + len);
		r = maildir_io.rename(a, b);
	}
	closedir(d);
	return r < 0 ? r : maildir_fsync_dir(account_path);
}

int maildir_manage(const struct maildir_conf *conf, struct kurir_str account,
    enum kurir_manage_kind kind, struct kurir_str mailbox, struct kurir_str new_name)
{
	char *account_path = kurir_alloc(kurir_scratch(), MAILDIR_PATH_MAX);
	char *path = kurir_alloc(kurir_scratch(), MAILDIR_PATH_MAX);
	char *to = kurir_alloc(kurir_scratch(), MAILDIR_PATH_MAX);
	int r = maildir_account_path(conf->root, account, account_path);

	if (r >= 0)
		r = maildir_mailbox_path(conf->root, account, mailbox, path);
	if (r >= 0)
		r = maildir_make(conf->root.ptr, account_path);
	if (r < 0)
		return r;
	switch (kind) {
	case KURIR_MANAGE_CREATE:
		if (strcmp(path, account_path) == 0 || exists(path))
			return -EEXIST;
		return create(conf->root.ptr, account_path, path);
	case KURIR_MANAGE_DELETE:
		return delete (account_path, path);
	case KURIR_MANAGE_RENAME:
		r = maildir_mailbox_path(conf->root, account, new_name, to);
		if (r < 0 || strcmp(path, account_path) == 0 || strcmp(to, account_path) == 0)
			return r < 0 ? r : -EINVAL;
		if (kurir_str_starts(kurir_str_of(to), kurir_str_of(path)) &&
		    to[strlen(path)] == '.')
			return -EINVAL; /* into itself */
		if (!exists(path) || exists(to))
			return exists(to) ? -EEXIST : -ENOENT;
		return rename_all(account_path, path, to);
	case KURIR_MANAGE_SUBSCRIBE:
	case KURIR_MANAGE_UNSUBSCRIBE:
		return subscribe(account_path, mailbox, kind == KURIR_MANAGE_SUBSCRIBE);
	}
	return -EINVAL;
}
