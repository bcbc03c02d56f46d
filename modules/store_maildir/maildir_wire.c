/* maildir_wire.c - a message of the Maildir in wire form (CRLF line ends).
 *
 * Files that already have CRLF throughout are handed out as they are; others are copied into an
 * anonymous file in memory, which lives as long as the descriptor. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "maildir.h"

#define WINDOW ((size_t)1 << 20) /* a multiple of every page size */

/* How many LF stand without a CR before them in a part of what is mapped. */
static uint64_t bare_part(const char *data, const char *p, const char *end)
{
	uint64_t n = 0;

	while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		if (p == data || p[-1] != '\r')
			n++;
		p++;
	}
	return n;
}

/* What was seen of a large file is not kept resident. */
static void forget(char *data, size_t seen)
{
	if (seen >= WINDOW && seen % WINDOW == 0)
		(void)madvise(data + seen - WINDOW, WINDOW, MADV_DONTNEED);
}

/* In all of it. */
static uint64_t bare(char *data, size_t len)
{
	uint64_t n = 0;

	for (size_t at = 0; at < len; at += WINDOW) {
		size_t part = len - at < WINDOW ? len - at : WINDOW;

		n += bare_part(data, data + at, data + at + part);
		forget(data, at);
	}
	return n;
}

/* Copies data to out with a CR before every bare LF. */
static int convert(int out, char *data, size_t len)
{
	char chunk[4000];
	size_t at = 0;
	char before = 0;
	int r = 0;

	for (size_t i = 0; i < len && r >= 0; i++) {
		forget(data, i);
		if (data[i] == '\n' && before != '\r')
			chunk[at++] = '\r';
		chunk[at++] = before = data[i];
		if (at > sizeof(chunk) - 2) {
			r = maildir_write_all(out, chunk, at);
			at = 0;
		}
	}
	return r < 0 ? r : maildir_write_all(out, chunk, at);
}

/* O_NONBLOCK: a FIFO that somebody put there would hold up everybody. */
int maildir_open_wire(const char *path, struct kurir_body *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), copy, r;
	struct stat st;
	char *data;
	uint64_t more;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EIO;
	}
	*ret = (struct kurir_body){ .fd = fd, .length = (uint64_t)st.st_size };
	if (st.st_size == 0)
		return 0;
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED) {
		r = -errno;
		close(fd);
		return r;
	}
	more = bare(data, (size_t)st.st_size);
	if (more == 0) {
		munmap(data, (size_t)st.st_size);
		return 0;
	}
	copy = memfd_create("message", MFD_CLOEXEC);
	r = copy < 0 ? -errno : convert(copy, data, (size_t)st.st_size);
	munmap(data, (size_t)st.st_size);
	close(fd);
	if (r < 0) {
		if (copy >= 0)
			close(copy);
		return r;
	}
	*ret = (struct kurir_body){ .fd = copy, .length = (uint64_t)st.st_size + more };
	return 0;
}
