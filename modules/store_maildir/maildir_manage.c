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

/* The file's text, empty when there is none: 0 or -errno. */
static int read_subscriptions(
    const char *account_path, struct kurir_arena *arena, struct kurir_str *ret)
{
	char path[MAILDIR_PATH_MAX + 32];
	char *text;
	ssize_t n = 0;
	int fd, r;

	*ret = KURIR_STR("");
	snprintf(path, sizeof(path), "%s/subscriptions", account_path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT || errno == ELOOP ? 0 : -errno;
	text = kurir_alloc(arena, SUBSCRIPTIONS_MAX);
	n = read(fd, text, SUBSCRIPTIONS_MAX);
	r = n < 0 ? -errno : 0;
	close(fd);
	*ret = (struct kurir_str){ text, n > 0 ? (size_t)n : 0 };
	return r;
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

struct boxes {
	struct kurir_mailbox *all;
	size_t count, room;
};

static void add(struct kurir_arena *arena, struct boxes *b, struct kurir_mailbox m)
{
	if (b->count == b->room) {
		size_t room = b->room ? 2 * b->room : 32;
		struct kurir_mailbox *more = kurir_alloc(arena, room * sizeof(*more));

		if (b->count > 0)
			memcpy(more, b->all, b->count * sizeof(*more));
		b->all = more;
		b->room = room;
	}
	b->all[b->count++] = m;
}

/* INBOX stands first. */
static void sort(struct boxes *b)
{
	qsort(b->all + 1, b->count - 1, sizeof(*b->all), by_name);
}

/* The levels above a mailbox that are none themselves: "a" and "a/b" for "a/b/c". */
static void add_levels(struct kurir_arena *arena, struct boxes *b)
{
	size_t count = b->count, kept = 1;

	for (size_t i = 1; i < count; i++) {
		struct kurir_str name = b->all[i].name;

		for (size_t n = 1; n < name.len; n++) {
			struct kurir_mailbox m = { .name = kurir_str_part(name, 0, n),
				.flags = KURIR_MAILBOX_NOSELECT };

			if (name.ptr[n] == '/' && !kurir_str_equal(m.name, KURIR_STR("INBOX")) &&
			    !bsearch(&m, b->all + 1, count - 1, sizeof(m), by_name))
				add(arena, b, m);
		}
	}
	sort(b);
	for (size_t i = 1; i < b->count; i++)
		if (!kurir_str_equal(b->all[i].name, b->all[kept - 1].name))
			b->all[kept++] = b->all[i];
	b->count = kept;
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

/* Names that are subscribed and are no mailbox (any more): subscriptions stay when it goes. */
static void add_subscribed(struct kurir_arena *arena, struct boxes *b, struct kurir_str names)
{
	size_t count = b->count;

	while (names.len > 0 && b->count < MAILBOXES_MAX) {
		ssize_t lf = kurir_str_find(names, '\n');
		size_t n = lf < 0 ? names.len : (size_t)lf;
		struct kurir_mailbox m = { .name = kurir_str_part(names, 0, n),
			.flags = KURIR_MAILBOX_NOSELECT | KURIR_MAILBOX_SUBSCRIBED };
		struct kurir_mailbox *there =
		    bsearch(&m, b->all + 1, count - 1, sizeof(m), by_name);

		if (there)
			there->flags |= KURIR_MAILBOX_SUBSCRIBED;
		else if (n > 0 && !kurir_str_equal(m.name, KURIR_STR("INBOX")))
			add(arena, b, m);
		names = kurir_str_part(names, lf < 0 ? n : n + 1, names.len);
	}
	sort(b);
}

int maildir_list_mailboxes(const struct maildir_conf *conf, struct kurir_str account,
    struct kurir_arena *arena, struct kurir_mailbox **ret, size_t *ret_count)
{
	char path[MAILDIR_PATH_MAX];
	struct boxes b = { .count = 0 };
	struct kurir_str subscriptions;
	struct dirent *e;
	DIR *d;
	int r = maildir_account_path(conf->root, account, path);

	if (r < 0)
		return r;
	r = read_subscriptions(path, arena, &subscriptions);
	if (r < 0)
		return r;
	add(arena, &b,
	    (struct kurir_mailbox){ .name = KURIR_STR("INBOX"),
		.flags = flags_of(KURIR_STR("INBOX"), subscriptions) });
	/* A part of them is no answer: clients would take the others for deleted. */
	d = opendir(path);
	r = d == NULL && errno != ENOENT ? -errno : 0;
	while (d && b.count < MAILBOXES_MAX && (r = maildir_io.next(d, &e)) > 0) {
		struct kurir_str name;

		if (maildir_folder_name(arena, e->d_name, &name) >= 0)
			add(arena, &b,
			    (struct kurir_mailbox){
				.name = name, .flags = flags_of(name, subscriptions) });
	}
	if (d)
		closedir(d);
	if (r < 0)
		return r;
	sort(&b);
	add_levels(arena, &b);
	mark_children(b.all, b.count);
	add_subscribed(arena, &b, subscriptions);
	*ret = b.all;
	*ret_count = b.count;
	return 0;
}

/* Replaces the subscriptions by those other than name, and name when it is to be there. */
static int subscribe(const char *account_path, struct kurir_str name, bool wanted)
{
	struct kurir_arena *arena = kurir_scratch();
	struct kurir_str text;
	struct kurir_buf out = KURIR_BUF(SUBSCRIPTIONS_MAX);
	char path[MAILDIR_PATH_MAX + 32], tmp[MAILDIR_PATH_MAX + 40];
	int fd, r = read_subscriptions(account_path, arena, &text);

	if (r < 0 || has_line(text, name) == wanted)
		return r;
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
	while (r >= 0 && (r = maildir_io.next(d, &e)) > 0) {
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

static int by_length(const void *a, const void *b)
{
	size_t x = strlen(*(const char *const *)a), y = strlen(*(const char *const *)b);

	return x < y ? -1 : x > y;
}

/* The folders of a mailbox and of all below it, the mailbox first. */
struct family {
	const char **folders;
	size_t count, room;
};

static int family_read(const char *account_path, const char *old, struct family *ret)
{
	size_t len = strlen(old);
	DIR *d = opendir(account_path);
	struct dirent *e;
	int r;

	*ret = (struct family){ .count = 0 };
	if (!d)
		return -errno;
	while ((r = maildir_io.next(d, &e)) > 0) {
		const char *folder;

		if (strncmp(e->d_name, old, len) != 0 ||
		    (e->d_name[len] != '.' && e->d_name[len] != '\0'))
			continue;
		folder = kurir_copy(kurir_scratch(), kurir_str_of(e->d_name)).ptr;
		if (ret->count == ret->room) {
			size_t room = ret->room ? ret->room * 2 : 16;
			const char **more = kurir_alloc(kurir_scratch(), room * sizeof(*more));

			if (ret->count > 0)
				memcpy(more, ret->folders, ret->count * sizeof(*more));
			ret->folders = more;
			ret->room = room;
		}
		ret->folders[ret->count++] = folder;
	}
	closedir(d);
	if (ret->count > 1)
		qsort(ret->folders, ret->count, sizeof(*ret->folders), by_length);
	return r < 0 ? r : ret->count > 0 ? 0 : -ENOENT;
}

/* Whether each can have its new name, which must be free, or be given up by one of them. */
static int family_fits(
    const char *account_path, const struct family *f, const char *old, const char *new)
{
	size_t len = strlen(old);
	char to[MAILDIR_PATH_MAX + 600];

	for (size_t i = 0; i < f->count; i++) {
		const char *name = to + strlen(account_path) + 1;
		bool ours = false;

		if (strlen(new) + strlen(f->folders[i] + len) > MAILDIR_NAME_MAX)
			return -ENAMETOOLONG;
		snprintf(to, sizeof(to), "%s/%s%s", account_path, new, f->folders[i] + len);
		for (size_t j = 0; j < f->count && !ours; j++)
			ours = strcmp(f->folders[j], name) == 0;
		if (!ours && exists(to))
			return -EEXIST;
	}
	return 0;
}

static int family_move(
    const char *account_path, const char *folder, const char *old, const char *new, bool back)
{
	char a[MAILDIR_PATH_MAX + 300], b[MAILDIR_PATH_MAX + 600];

	snprintf(a, sizeof(a), "%s/%s", account_path, folder);
	snprintf(b, sizeof(b), "%s/%s%s", account_path, new, folder + strlen(old));
	return back ? maildir_io.rename(b, a) : maildir_io.rename(a, b);
}

/* The mailbox and all below it, by the prefix of their folders' names: all of them or none. */
static int rename_all(const char *account_path, const char *from, const char *to)
{
	const char *old = from + strlen(account_path) + 1, *new = to + strlen(account_path) + 1;
	struct family f;
	size_t done = 0;
	int r = family_read(account_path, old, &f);

	if (r >= 0)
		r = family_fits(account_path, &f, old, new);
	for (; r >= 0 && done < f.count; done++) {
		r = family_move(account_path, f.folders[done], old, new, false);
		if (r < 0)
			break;
	}
	if (r >= 0)
		return maildir_fsync_dir(account_path);
	for (; done > 0; done--)
		family_move(account_path, f.folders[done - 1], old, new, true);
	return r;
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
		return rename_all(account_path, path, to);
	case KURIR_MANAGE_SUBSCRIBE:
	case KURIR_MANAGE_UNSUBSCRIBE:
		return subscribe(account_path, mailbox, kind == KURIR_MANAGE_SUBSCRIBE);
	}
	return -EINVAL;
}
