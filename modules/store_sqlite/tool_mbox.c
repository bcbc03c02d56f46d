/* tool_mbox.c - an mbox file (RFC 4155, and mboxrd's quoting) into one mailbox.
 *
 * mbox    = *message message = "From " sender SP date LF *line [LF]
 *
 * A message ends where an empty line is followed by one that begins with "From ".  Its flags
 * are in Status, X-Status and X-Keywords, which stay in its header. */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

static struct kurir_str line_of(struct kurir_str s)
{
	ssize_t lf = kurir_str_find(s, '\n');
	return kurir_str_part(s, 0, lf < 0 ? s.len : (size_t)lf);
}

/* "From a@b Thu Jan  1 00:00:00 1970": the date is what follows the second word. */
static int64_t date_of(struct kurir_str from)
{
	char text[64];
	struct tm tm = { .tm_sec = 0 };
	struct kurir_str rest = kurir_str_part(from, 5, from.len);
	ssize_t space = kurir_str_find(rest, ' ');
	rest = space < 0 ? KURIR_STR("")
			 : kurir_str_trim(kurir_str_part(rest, (size_t)space, rest.len));
	if (rest.len == 0 || rest.len >= sizeof(text))
		return 0;
	memcpy(text, rest.ptr, rest.len);
	text[rest.len] = '\0';
	if (strptime(text, "%a %b %d %H:%M:%S %Y", &tm) == NULL)
		return 0;
	return (int64_t)timegm(&tm) * 1000;
}

static struct kurir_str field(struct kurir_str text, const char *name)
{
	while (text.len > 0) {
		struct kurir_str line = line_of(text);
		if (kurir_str_trim(line).len == 0)
			break;
		if (kurir_str_starts_nocase(line, kurir_str_of(name)))
			return kurir_str_trim(kurir_str_part(line, strlen(name), line.len));
		text = kurir_str_part(text, line.len + 1, text.len);
	}
	return KURIR_STR("");
}

static int64_t flags_of(struct kurir_str text)
{
	static const struct {
		char letter;
		uint32_t flag;
	} letters[] = { { 'R', KURIR_MESSAGE_SEEN }, { 'A', KURIR_MESSAGE_ANSWERED },
		{ 'F', KURIR_MESSAGE_FLAGGED }, { 'T', KURIR_MESSAGE_DRAFT },
		{ 'D', KURIR_MESSAGE_DELETED } };
	struct kurir_str both[] = { field(text, "Status:"), field(text, "X-Status:") };
	uint32_t flags = 0;
	for (size_t i = 0; i < 5; i++)
		if (kurir_str_find(both[i > 0], letters[i].letter) >= 0)
			flags |= letters[i].flag;
	return flags;
}

/* Where the message behind this one begins, or the end. */
static size_t end_of(struct kurir_str all, size_t at)
{
	for (;;) {
		const char *lf = at < all.len ? memchr(all.ptr + at, '\n', all.len - at) : NULL;
		if (lf == NULL)
			return all.len;
		size_t next = (size_t)(lf - all.ptr) + 1;
		bool empty = next == at + 1 || (next == at + 2 && all.ptr[at] == '\r');
		if (empty && kurir_str_starts(kurir_str_part(all, next, 5), KURIR_STR("From ")))
			return next;
		at = next;
	}
}

static int add_message(
    struct tool_import *im, int fd, struct kurir_str all, size_t start, size_t end)
{
	struct kurir_str from = line_of(kurir_str_part(all, start, end - start));
	size_t body = start + from.len + 1, stop = end;
	if (body > end)
		return 0;
	/* The empty line before the next one is not the message's. */
	if (stop > body && all.ptr[stop - 1] == '\n' && stop - 1 > body &&
	    all.ptr[stop - 2] == '\n')
		stop--;
	else if (stop > body + 2 && memcmp(all.ptr + stop - 4, "\r\n\r\n", 4) == 0)
		stop -= 2;
	struct kurir_str text = kurir_str_part(all, body, stop - body);
	struct tool_message m = { .flags = flags_of(text), .date = date_of(from) };
	uLong crc = crc32(0, (const Bytef *)all.ptr + start, (uInt)(stop - start));
	m.key = kurir_format(im->arena, "%zu %08lx", start, crc);
	m.keywords = field(text, "X-Keywords:");
	if (m.keywords.len > MODEL_KEYWORDS_MAX)
		m.keywords = KURIR_STR("");
	if (m.date == 0)
		m.date = kurir_wallclock();
	int r = import_wire(fd, body, stop - body, true, &m);
	if (r < 0)
		return r;
	r = import_message(im, &m);
	close(m.fd);
	return r;
}

int import_mbox(struct tool_import *im, const char *file, struct kurir_str mailbox)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), r = 0;
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	size_t size = (size_t)st.st_size;
	char *map = size == 0 ? NULL : mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED) {
		r = -errno;
		close(fd);
		return r;
	}
	struct kurir_str all = { map, size };
	if (size > 0 && !kurir_str_starts(all, KURIR_STR("From ")))
		r = -EBADMSG;
	if (r == 0)
		r = import_mailbox(im, mailbox, 0);
	for (size_t at = 0; r == 0 && at < size;) {
		size_t end = end_of(all, at);
		r = add_message(im, fd, all, at, end);
		at = end;
	}
	if (r == 0)
		r = import_mailbox_end(im, 0);
	if (map != NULL)
		(void)munmap(map, size);
	close(fd);
	return r;
}
