/* maildir_change.c - flags, expunge, copy and move, in the store role.
 *
 * A flag is a letter in the file's name: changing it is a rename.  Keywords live in the uid list
 * alone.  Copies are hard links.  The list is written once, after all the files. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "maildir_private.h"

#define FLAGS_ON_DISK 31u /* all but RECENT */

struct work {
	const struct maildir_conf *conf;
	const struct kurir_change *change;
	char account[MAILDIR_PATH_MAX], path[MAILDIR_PATH_MAX], target_path[MAILDIR_PATH_MAX];
	struct maildir_list list, target;
	bool same; /* source and target are one mailbox */
	struct kurir_uid_range *done, *made;
	size_t done_count, made_count;
};

static void add_uid(struct kurir_uid_range *ranges, size_t *count, uint32_t uid)
{
	if (*count > 0 && ranges[*count - 1].last + 1 == uid)
		ranges[*count - 1].last = uid;
	else
		ranges[(*count)++] = (struct kurir_uid_range){ uid, uid };
}

/* Whether word is one of the space-separated words of list. */
static bool has_word(struct kurir_str list, struct kurir_str word)
{
	while (list.len > 0) {
		ssize_t space = kurir_str_find(list, ' ');
		size_t n = space < 0 ? list.len : (size_t)space;

		if (kurir_str_equal_nocase(kurir_str_part(list, 0, n), word))
			return true;
		list = kurir_str_part(list, space < 0 ? n : n + 1, list.len);
	}
	return false;
}

/* Words of a that are (keep) or are not (!keep) in b. */
static struct kurir_str select_words(
    struct kurir_arena *arena, struct kurir_str a, struct kurir_str b, bool keep)
{
	char *out = kurir_alloc(arena, a.len + 1);
	size_t at = 0;

	while (a.len > 0) {
		ssize_t space = kurir_str_find(a, ' ');
		size_t n = space < 0 ? a.len : (size_t)space;
		struct kurir_str word = kurir_str_part(a, 0, n);

		if (n > 0 && has_word(b, word) == keep) {
			if (at > 0)
				out[at++] = ' ';
			memcpy(out + at, word.ptr, n);
			at += n;
		}
		a = kurir_str_part(a, space < 0 ? n : n + 1, a.len);
	}
	return (struct kurir_str){ out, at };
}

static struct kurir_str new_keywords(const struct work *w, const struct maildir_entry *e)
{
	struct kurir_arena *arena = w->list.arena;
	struct kurir_str more;

	switch (w->change->kind) {
	case KURIR_CHANGE_FLAGS_SET:
		return kurir_copy(
		    arena, w->change->keeps_keywords ? e->keywords : w->change->keywords);
	case KURIR_CHANGE_FLAGS_REMOVE:
		return select_words(arena, e->keywords, w->change->keywords, false);
	default:
		more = select_words(arena, w->change->keywords, e->keywords, false);
		if (e->keywords.len == 0 || more.len == 0)
			return e->keywords.len ? e->keywords : more;
		return kurir_format(arena, "%.*s %.*s", KURIR_ARG(e->keywords), KURIR_ARG(more));
	}
}

static uint32_t new_flags(const struct work *w, const struct maildir_entry *e)
{
	uint32_t f = w->change->flags & FLAGS_ON_DISK;

	if (w->change->kind == KURIR_CHANGE_FLAGS_ADD)
		return e->flags | f;
	return w->change->kind == KURIR_CHANGE_FLAGS_REMOVE ? e->flags & ~f
							    : f | (e->flags & w->change->keeps);
}

static int set_flags(struct work *w, struct maildir_entry *e)
{
	char from[MAILDIR_PATH_MAX + 300], to[MAILDIR_PATH_MAX + 300], file[MAILDIR_NAME_MAX + 1];
	uint32_t flags = new_flags(w, e);
	struct kurir_str keywords = new_keywords(w, e);
	struct maildir_name name;
	int r;

	if (flags == e->flags && kurir_str_equal(keywords, e->keywords))
		return 0;
	maildir_name_parse(e->file, &name);
	r = maildir_name_make(name.base, flags, name.info, file);
	if (r < 0)
		return r;
	snprintf(from, sizeof(from), "%s/cur/%.*s", w->path, KURIR_ARG(e->file));
	snprintf(to, sizeof(to), "%s/cur/%s", w->path, file);
	r = flags == e->flags ? 0 : maildir_io.rename(from, to);
	if (r < 0)
		return r;
	if (flags != e->flags)
		e->file = kurir_copy(w->list.arena, kurir_str_of(file));
	e->flags = flags;
	e->keywords = keywords;
	e->modseq = ++w->list.modseq;
	return 0;
}

static int expunge(struct work *w, struct maildir_entry *e)
{
	char path[MAILDIR_PATH_MAX + 300];
	int r;

	if (!w->change->force && !(e->flags & KURIR_MESSAGE_DELETED))
		return -EAGAIN; /* not one of them */
	snprintf(path, sizeof(path), "%s/cur/%.*s", w->path, KURIR_ARG(e->file));
	r = maildir_io.unlink(path);
	if (r < 0 && r != -ENOENT)
		return r;
	e->gone = true;
	w->list.modseq++;
	return 0;
}

/* Letters without those that are keywords of this one mailbox; capitals come before them. */
static struct kurir_str flags_only(struct kurir_str info)
{
	size_t n = 0;

	while (n < info.len && info.ptr[n] >= 'A' && info.ptr[n] <= 'Z')
		n++;
	return kurir_str_part(info, 0, n);
}

/* A second name for the file in the target; MOVE takes the first away afterwards. */
static int copy(struct work *w, struct maildir_entry *e)
{
	static unsigned serial;
	char from[MAILDIR_PATH_MAX + 300], to[MAILDIR_PATH_MAX + 300], file[MAILDIR_NAME_MAX + 1];
	struct maildir_list *target = w->same ? &w->list : &w->target;
	struct maildir_entry was = *e, *new;
	struct maildir_name name;
	struct kurir_str base;
	int r;

	base = kurir_format(w->list.arena, "%lld.C%ur%u.%.*s,W=%llu",
	    (long long)(kurir_wallclock() / 1000), (unsigned)getpid(), ++serial,
	    (int)(kurir_hostname().len % 100), kurir_hostname().ptr,
	    (unsigned long long)was.size);
	maildir_name_parse(was.file, &name);
	r = maildir_name_make(base, was.flags, w->same ? name.info : flags_only(name.info), file);
	if (r < 0)
		return r;
	snprintf(from, sizeof(from), "%s/cur/%.*s", w->path, KURIR_ARG(was.file));
	snprintf(to, sizeof(to), "%s/cur/%s", w->target_path, file);
	r = maildir_io.link(from, to);
	if (r < 0)
		return r;
	new = maildir_list_add(target);
	*new = was;
	new->uid = target->next++;
	new->modseq = ++target->modseq;
	new->file = kurir_copy(w->list.arena, kurir_str_of(file));
	new->gone = false;
	add_uid(w->made, &w->made_count, new->uid);
	return 0;
}

static int apply(struct work *w, size_t i)
{
	struct maildir_entry *e = &w->list.entries[i];

	switch (w->change->kind) {
	case KURIR_CHANGE_FLAGS_ADD:
	case KURIR_CHANGE_FLAGS_REMOVE:
	case KURIR_CHANGE_FLAGS_SET:
		return set_flags(w, e);
	case KURIR_CHANGE_EXPUNGE:
		return expunge(w, e);
	case KURIR_CHANGE_COPY:
	case KURIR_CHANGE_MOVE:
		return copy(w, e);
	}
	return -EINVAL;
}

/* MOVE, second half: the copies are durable, so the originals can go. */
static int remove_originals(struct work *w, size_t count)
{
	struct kurir_uid_set done = { w->done_count, w->done };
	char path[MAILDIR_PATH_MAX + 300];

	for (size_t i = 0; i < count; i++) {
		struct maildir_entry *e = &w->list.entries[i];
		int r;

		if (!kurir_uid_set_has(&done, e->uid))
			continue;
		snprintf(path, sizeof(path), "%s/cur/%.*s", w->path, KURIR_ARG(e->file));
		r = maildir_io.unlink(path);
		if (r < 0 && r != -ENOENT)
			return r;
		e->gone = true;
		w->list.modseq++;
	}
	return 0;
}

/* COPY and MOVE: the target as it is now. */
static int open_target(struct work *w, struct kurir_str account)
{
	bool changed;
	int r = maildir_mailbox_path(w->conf->root, account, w->change->target, w->target_path);

	if (r < 0)
		return r;
	w->same = strcmp(w->path, w->target_path) == 0;
	if (w->same)
		return 0;
	return maildir_sync(
	    w->conf, w->account, w->target_path, w->list.arena, &w->target, &changed);
}

static int flush_target(struct work *w)
{
	char folder[MAILDIR_PATH_MAX + 8];
	int r;

	snprintf(folder, sizeof(folder), "%s/cur", w->target_path);
	r = maildir_fsync_dir(folder);
	return r < 0 ? r : maildir_list_write(w->same ? &w->list : &w->target, w->target_path);
}

/* COPY and MOVE that failed: nothing is in the target that was not there before (RFC 3501 section
 * 6.4.7).  first: of the entries that were made. */
static void remove_copies(struct work *w, size_t first)
{
	struct maildir_list *target = w->same ? &w->list : &w->target;
	char path[MAILDIR_PATH_MAX + 300];

	for (size_t i = first; i < target->count; i++) {
		snprintf(path, sizeof(path), "%s/cur/%.*s", w->target_path,
		    KURIR_ARG(target->entries[i].file));
		maildir_io.unlink(path);
	}
	target->count = first;
	w->done_count = w->made_count = 0;
}

/* The names say the flags: they are durable before the list that repeats them. */
static int save(struct work *w)
{
	char folder[MAILDIR_PATH_MAX + 8];
	int r;

	snprintf(folder, sizeof(folder), "%s/cur", w->path);
	r = maildir_fsync_dir(folder);
	return r < 0 ? r : maildir_list_write(&w->list, w->path);
}

/* COPY and MOVE, once the copies are made, or cannot be. */
static int end_copies(struct work *w, size_t count, size_t first, int r)
{
	if (r >= 0 && w->done_count > 0)
		r = flush_target(w);
	if (r < 0)
		remove_copies(w, first);
	return r >= 0 && w->change->kind == KURIR_CHANGE_MOVE ? remove_originals(w, count) : r;
}

static int run(struct work *w)
{
	bool copies =
	    w->change->kind == KURIR_CHANGE_COPY || w->change->kind == KURIR_CHANGE_MOVE;
	size_t count = w->list.count, first = w->same ? count : w->target.count;
	int r = 0;

	for (size_t i = 0; i < count && r >= 0; i++) {
		struct maildir_entry *e = &w->list.entries[i];
		uint32_t uid = e->uid;

		if (!kurir_uid_set_has(&w->change->uids, uid))
			continue;
		if (w->change->unchanged_since && e->modseq > w->change->unchanged_since)
			continue;
		r = apply(w, i);
		if (r >= 0)
			add_uid(w->done, &w->done_count, uid);
		if (r == -EAGAIN || r == -ENOENT)
			r = 0; /* not concerned, or gone under us: the next sync says so */
	}
	if (copies)
		r = end_copies(w, count, first, r);
	if (w->done_count > 0 && w->change->kind != KURIR_CHANGE_COPY) {
		int saved = save(w);

		r = r < 0 ? r : saved;
	}
	return r;
}

int maildir_change(struct kurir_self *self, struct kurir_str account, struct kurir_str mailbox,
    const struct kurir_change *change, struct kurir_arena *arena, struct kurir_changed *ret)
{
	struct work *w = kurir_alloc(arena, sizeof(*w));
	bool changed;
	int r;

	w->conf = kurir_conf(self);
	w->change = change;
	r = maildir_account_path(w->conf->root, account, w->account);
	if (r >= 0)
		r = maildir_mailbox_path(w->conf->root, account, mailbox, w->path);
	if (r >= 0)
		r = maildir_sync(w->conf, w->account, w->path, arena, &w->list, &changed);
	if (r >= 0 && (change->kind == KURIR_CHANGE_COPY || change->kind == KURIR_CHANGE_MOVE))
		r = open_target(w, account);
	if (r < 0)
		return r;
	w->done = kurir_alloc(arena, (w->list.count + 1) * sizeof(*w->done));
	w->made = kurir_alloc(arena, (w->list.count + 1) * sizeof(*w->made));
	r = run(w);
	kurir_count(
	    self, change->kind == KURIR_CHANGE_EXPUNGE ? MAILDIR_EXPUNGED : MAILDIR_CHANGED, 1);
	ret->uids = (struct kurir_uid_set){ w->done_count, w->done };
	ret->target = (struct kurir_uid_set){ w->made_count, w->made };
	ret->target_validity = w->same ? w->list.validity : w->target.validity;
	return r;
}
