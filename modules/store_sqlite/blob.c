/* blob.c - appends to segments, and opens what is in them. */
#include "blob_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

static void put32(unsigned char *to, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		to[i] = (unsigned char)(v >> 8 * i);
}

static void put64(unsigned char *to, uint64_t v)
{
	put32(to, (uint32_t)v);
	put32(to + 4, (uint32_t)(v >> 32));
}

void blob_name(char ret[BLOB_NAME], uint64_t segment)
{
	(void)snprintf(ret, BLOB_NAME, "%016llx" BLOB_SUFFIX, (unsigned long long)segment);
}

uint64_t blob_name_id(const char *name)
{
	uint64_t id = 0;
	for (unsigned i = 0; i < 16; i++) {
		const char *digits = "0123456789abcdef", *at = strchr(digits, name[i]);
		if (name[i] == '\0' || at == NULL)
			return 0;
		id = id << 4 | (uint64_t)(at - digits);
	}
	return strcmp(name + 16, BLOB_SUFFIX) == 0 ? id : 0;
}

void blob_writer_init(struct blob_writer *w, const char *folder, uint64_t limit)
{
	*w = (struct blob_writer){ .folder = folder, .limit = limit, .fd = -1 };
}

void blob_writer_close(struct blob_writer *w)
{
	if (w->fd >= 0)
		close(w->fd);
	free(w->buffer);
	w->fd = -1;
	w->buffer = NULL;
	w->used = 0;
}

static int write_at(int fd, uint64_t offset, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = pwrite(fd, p, n, (off_t)offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		p += done;
		n -= (size_t)done;
		offset += (uint64_t)done;
	}
	return 0;
}

static int flush(struct blob_writer *w)
{
	if (w->used == 0)
		return 0;
	int r = write_at(w->fd, w->end - w->used, w->buffer, w->used);
	if (r == 0)
		w->used = 0;
	return r;
}

int blob_sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	if (fd < 0)
		return -errno;
	r = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return r;
}

static int create(const char *folder, uint64_t id)
{
	char path[1100], name[BLOB_NAME];
	blob_name(name, id);
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) >= sizeof(path))
		return -ENAMETOOLONG;
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	/* Before it is locked, another process that clears up may take it for a left-over. */
	struct stat st;
	int r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -EEXIST : fstat(fd, &st) < 0 ? -errno : 0;
	if (r == 0 && st.st_nlink == 0)
		r = -EEXIST;
	if (r == 0)
		r = write_at(fd, 0, BLOB_FILE "\0\0\0\0\0\0\0", 16);
	if (r < 0) {
		(void)unlink(path);
		close(fd);
		return r;
	}
	return fd;
}

/* Its name is durable before the first record is. */
static int begin_segment(struct blob_writer *w)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	uint64_t id = (uint64_t)t.tv_sec << 20 | (uint64_t)(t.tv_nsec / 1024);
	int r = -EEXIST;
	if (w->buffer == NULL)
		w->buffer = malloc(BLOB_BUFFER);
	if (w->buffer == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < 1000 && r == -EEXIST; i++)
		r = create(w->folder, ++id);
	if (r < 0)
		return r;
	w->fd = r;
	w->segment = id;
	w->end = w->durable = BLOB_FIRST;
	w->used = 0;
	r = blob_sync_folder(w->folder);
	if (r < 0)
		blob_cut(w);
	return r;
}

static int add(struct blob_writer *w, const char *p, size_t n)
{
	while (n > 0) {
		size_t room = BLOB_BUFFER - w->used, part = n < room ? n : room;
		memcpy(w->buffer + w->used, p, part);
		w->used += part;
		w->end += part;
		p += part;
		n -= part;
		if (w->used == BLOB_BUFFER) {
			int r = flush(w);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* The body through the buffer, and its CRC. */
static int add_body(struct blob_writer *w, const struct blob_source *s, uint32_t *crc)
{
	for (uint64_t at = 0; at < s->length;) {
		size_t room = BLOB_BUFFER - w->used;
		size_t want = s->length - at < room ? (size_t)(s->length - at) : room;
		ssize_t n = pread(s->fd, w->buffer + w->used, want, (off_t)(s->offset + at));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		*crc = (uint32_t)crc32(*crc, (const Bytef *)w->buffer + w->used, (uInt)n);
		if (s->see != NULL)
			s->see(s->arg, w->buffer + w->used, (size_t)n);
		w->used += (size_t)n;
		w->end += (size_t)n;
		at += (uint64_t)n;
		if (w->used == BLOB_BUFFER) {
			int r = flush(w);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* The checksum is known last: in the buffer, or already in the file. */
static int set_crc(struct blob_writer *w, uint64_t at, uint32_t crc)
{
	unsigned char bytes[4];
	put32(bytes, crc);
	if (at >= w->end - w->used) {
		memcpy(w->buffer + (at - (w->end - w->used)), bytes, 4);
		return 0;
	}
	int r = flush(w);
	return r < 0 ? r : write_at(w->fd, at, (const char *)bytes, 4);
}

static void fill_head(const struct blob_source *s, unsigned char head[BLOB_HEAD])
{
	put32(head, BLOB_MAGIC);
	put32(head + 4, 0);
	put64(head + 8, s->length);
	put64(head + 16, (uint64_t)s->date);
	put32(head + 24, (uint32_t)s->account.len);
	put32(head + 28, (uint32_t)s->mailbox.len);
}

uint32_t blob_crc(const struct blob_source *s)
{
	unsigned char head[BLOB_HEAD];
	fill_head(s, head);
	uint32_t crc = (uint32_t)crc32(0, head + 8, BLOB_HEAD - 8);
	crc = (uint32_t)crc32(crc, (const Bytef *)s->account.ptr, (uInt)s->account.len);
	return (uint32_t)crc32(crc, (const Bytef *)s->mailbox.ptr, (uInt)s->mailbox.len);
}

static int append(struct blob_writer *w, const struct blob_source *s, struct blob_place *ret)
{
	static const char zeros[8];
	unsigned char head[BLOB_HEAD];
	uint64_t start = w->end;
	uint32_t crc = blob_crc(s);
	if (s->account.len + s->mailbox.len > BLOB_NAMES_MAX)
		return -ENAMETOOLONG;
	fill_head(s, head);
	int r = add(w, (const char *)head, BLOB_HEAD);
	if (r == 0)
		r = add(w, s->account.ptr, s->account.len);
	if (r == 0)
		r = add(w, s->mailbox.ptr, s->mailbox.len);
	uint64_t body = w->end;
	if (r == 0)
		r = add_body(w, s, &crc);
	if (r == 0 && s->crc != NULL && *s->crc != crc)
		r = -EBADMSG;
	if (r == 0)
		r = set_crc(w, start + 4, crc);
	if (r == 0)
		r = add(w, zeros, (size_t)(-w->end & 7));
	if (r == 0)
		*ret = (struct blob_place){ w->segment, body, s->length, w->end - start };
	return r;
}

/* Forgets what came after that; what is before it stays in the buffer, or is in the file. */
static void rewind_to(struct blob_writer *w, uint64_t end)
{
	uint64_t base = w->end - w->used;
	w->used = end > base ? (size_t)(end - base) : 0;
	w->end = end;
}

int blob_append(struct blob_writer *w, const struct blob_source *s, struct blob_place *ret)
{
	int r = 0;
	if (w->fd >= 0 && w->end >= w->limit) {
		r = blob_sync(w);
		if (r == 0)
			blob_writer_close(w);
	}
	if (r == 0 && w->fd < 0)
		r = begin_segment(w);
	if (r < 0)
		return r;
	uint64_t before = w->end;
	r = append(w, s, ret);
	if (r < 0)
		rewind_to(w, before);
	return r;
}

int blob_sync(struct blob_writer *w)
{
	if (w->fd < 0 || w->durable == w->end)
		return 0;
	int r = flush(w);
	if (r == 0 && fdatasync(w->fd) < 0)
		r = -errno;
	if (r == 0)
		w->durable = w->end;
	return r;
}

void blob_cut(struct blob_writer *w)
{
	if (w->fd < 0)
		return;
	(void)!ftruncate(w->fd, (off_t)w->durable);
	blob_writer_close(w);
}

int blob_open(const char *folder, const struct blob_place *p, struct kurir_body *ret)
{
	char path[1100], name[BLOB_NAME];
	blob_name(name, p->segment);
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) >= sizeof(path))
		return -ENAMETOOLONG;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	*ret = (struct kurir_body){ .fd = fd, .offset = p->offset, .length = p->length };
	return 0;
}
