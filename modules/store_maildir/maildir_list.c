/* maildir_list.c - the uid list of one mailbox, in memory and in the file "kurir-uidlist".
 *
 *   list   = "kurir-uidlist 1" 4(SP 1*DIGIT) LF *entry   ; validity next recent modseq
 *   entry  = uid SP modseq SP flags SP size SP date SP file [TAB keywords] LF
 *
 * The file is only ever replaced as a whole (write, fsync, rename, fsync of the folder): a
 * reader sees the old one or the new one.  A damaged list is never guessed at: the mailbox gets a
 * new UIDVALIDITY. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "maildir.h"

#define HEAD "kurir-uidlist 1 "

/* Takes one word up to the separator from *rest. */
static struct kurir_str word(struct kurir_str *rest, char separator)
{
	ssize_t at = kurir_str_find(*rest, separator);
	struct kurir_str w = *rest;

	if (at < 0) {
		*rest = KURIR_STR("");
		return w;
	}
	w.len = (size_t)at;
	*rest = kurir_str_part(*rest, (size_t)at + 1, rest->len);
	return w;
}

static uint64_t number(struct kurir_str *rest, char separator, uint64_t max, int *error)
{
	uint64_t v = 0;

	if (kurir_str_number(word(rest, separator), max, &v) < 0)
		*error = -EBADMSG;
	return v;
}

struct maildir_entry *maildir_list_add(struct maildir_list *list)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 64;
		struct maildir_entry *more = kurir_alloc(list->arena, room * sizeof(*more));

		if (list->count > 0)
			memcpy(more, list->entries, list->count * sizeof(*more));
		list->entries = more;
		list->room = room;
	}
	return &list->entries[list->count++];
}

struct maildir_entry *maildir_list_find(struct maildir_list *list, uint32_t uid)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (list->entries[mid].uid == uid)
			return &list->entries[mid];
		if (list->entries[mid].uid < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static int parse_entry(struct maildir_list *list, struct kurir_str line)
{
	struct maildir_entry e = { 0 };
	int error = 0;

	e.uid = (uint32_t)number(&line, ' ', UINT32_MAX, &error);
	e.modseq = number(&line, ' ', INT64_MAX, &error);
	e.flags = (uint32_t)number(&line, ' ', UINT32_MAX, &error);
	e.size = number(&line, ' ', INT64_MAX, &error);
	e.date = (int64_t)number(&line, ' ', INT64_MAX, &error);
	e.file = word(&line, '\t');
	e.keywords = line;
	if (error < 0 || e.file.len == 0 || e.file.len > MAILDIR_NAME_MAX ||
	    e.file.ptr[0] == '.' || kurir_str_find(e.file, '/') >= 0 || e.uid == 0 ||
	    e.uid >= list->next)
		return -EBADMSG;
	if (list->count > 0 && list->entries[list->count - 1].uid >= e.uid)
		return -EBADMSG;
	*maildir_list_add(list) = e;
	return 0;
}

int maildir_list_parse(struct kurir_arena *arena, struct kurir_str text, struct maildir_list *ret)
{
	struct maildir_list list = { .arena = arena };
	struct kurir_str head;
	int r = 0;

	if (!kurir_str_starts(text, KURIR_STR(HEAD)) || text.ptr[text.len - 1] != '\n')
		return -EBADMSG;
	head = word(&text, '\n');
	head = kurir_str_part(head, sizeof(HEAD) - 1, head.len);
	list.validity = (uint32_t)number(&head, ' ', UINT32_MAX, &r);
	list.next = (uint32_t)number(&head, ' ', UINT32_MAX, &r);
	list.recent = (uint32_t)number(&head, ' ', UINT32_MAX, &r);
	list.modseq = number(&head, ' ', INT64_MAX, &r);
	if (list.validity == 0 || list.next == 0)
		r = -EBADMSG;
	while (r >= 0 && text.len > 0)
		r = parse_entry(&list, word(&text, '\n'));
	if (r >= 0)
		*ret = list;
	return r;
}

static int read_all(int fd, char *to, size_t len)
{
	while (len > 0) {
		ssize_t n = read(fd, to, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		to += n;
		len -= (size_t)n;
	}
	return 0;
}

int maildir_list_read(
    struct kurir_arena *arena, const char *mailbox_path, uint64_t max, struct maildir_list *ret)
{
	char path[MAILDIR_PATH_MAX + 32];
	struct stat st;
	char *text;
	int fd, r = 0;

	snprintf(path, sizeof(path), "%s/kurir-uidlist", mailbox_path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max || st.st_size == 0)
		r = -EBADMSG;
	if (r >= 0) {
		text = kurir_alloc(arena, (size_t)st.st_size);
		r = read_all(fd, text, (size_t)st.st_size);
		if (r >= 0)
			r = maildir_list_parse(
			    arena, (struct kurir_str){ text, (size_t)st.st_size }, ret);
	}
	close(fd);
	return r;
}

/* Writes data to path by way of path.tmp; the folder is durable too when this returns 0. */
static int replace(const char *folder, const char *name, struct kurir_str data)
{
	char path[MAILDIR_PATH_MAX + 32], tmp[MAILDIR_PATH_MAX + 40];
	int fd, r, c;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	fd = maildir_io.open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0660);
	if (fd < 0)
		return fd;
	r = maildir_write_all(fd, data.ptr, data.len);
	if (r >= 0)
		r = maildir_io.fsync(fd);
	c = maildir_io.close(fd);
	if (r >= 0)
		r = c;
	if (r >= 0)
		r = maildir_io.rename(tmp, path);
	if (r < 0) {
		unlink(tmp);
		return r;
	}
	return maildir_fsync_dir(folder);
}

int maildir_list_write(struct maildir_list *list, const char *mailbox_path)
{
	struct kurir_buf out = KURIR_BUF(SIZE_MAX / 4);
	size_t kept = 0;
	int r;

	kurir_buf_printf(&out, HEAD "%u %u %u %llu\n", list->validity, list->next, list->recent,
	    (unsigned long long)list->modseq);
	for (size_t i = 0; i < list->count; i++) {
		struct maildir_entry *e = &list->entries[i];

		if (e->gone)
			continue;
		kurir_buf_printf(&out, "%u %llu %u %llu %lld ", e->uid,
		    (unsigned long long)e->modseq, e->flags, (unsigned long long)e->size,
		    (long long)e->date);
		kurir_buf_add(&out, e->file);
		if (e->keywords.len > 0) {
			kurir_buf_add(&out, KURIR_STR("\t"));
			kurir_buf_add(&out, e->keywords);
		}
		kurir_buf_add(&out, KURIR_STR("\n"));
		list->entries[kept++] = *e;
	}
	list->count = kept;
	r = replace(mailbox_path, "kurir-uidlist", kurir_buf_str(&out));
	kurir_buf_free(&out);
	return r;
}

int maildir_new_validity(const char *account_path, uint32_t *ret)
{
	char path[MAILDIR_PATH_MAX + 32], text[16] = "";
	uint64_t last = 0, now = (uint64_t)(kurir_wallclock() / 1000);
	int fd, n;

	snprintf(path, sizeof(path), "%s/kurir-uidvalidity", account_path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0) {
		ssize_t got = read(fd, text, sizeof(text) - 1);

		close(fd);
		if (got > 0)
			kurir_str_number(
			    (struct kurir_str){ text, (size_t)got }, UINT32_MAX, &last);
	}
	if (now <= last)
		now = last + 1;
	n = snprintf(text, sizeof(text), "%u", (uint32_t)now);
	*ret = (uint32_t)now;
	return replace(account_path, "kurir-uidvalidity", (struct kurir_str){ text, (size_t)n });
}
