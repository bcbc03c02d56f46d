/* imap_incoming.c - the messages of an APPEND or REPLACE, as they come in (RFC 9051 section
 * 6.3.12; MULTIAPPEND, RFC 3502; CATENATE, RFC 4469; BINARY, RFC 3516; UTF8, RFC 6855).
 *
 *   append-message = [SP flag-list] [SP date-time] SP append-data
 *   append-data    = literal / literal8 / "UTF8" SP "(" literal8 ")" /
 *                    "CATENATE" SP "(" cat-part *(SP cat-part) ")"
 *
 * They go into an anonymous file, never whole into the session's buffers.  The command is parsed
 * line by line: each line ends with the mark of a literal, or is the last. */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "imap_incoming.h"

#define CHUNK	  16384
#define SMALL_MAX 8192 /* a literal that is no message: the name of a mailbox, a URL */

static int refuse(struct imap_incoming *in, enum imap_refusal why)
{
	in->refusal = why;
	return -EPERM;
}

int imap_incoming_write(struct imap_incoming *in, struct kurir_str bytes)
{
	if (in->fd < 0)
		in->fd = memfd_create("append", MFD_CLOEXEC);
	if (in->fd < 0)
		return -errno;
	if (in->length - in->dropped + bytes.len > in->s->conf->append_max)
		return refuse(in, IMAP_REFUSED_SIZE);
	while (bytes.len > 0) {
		ssize_t n = pwrite(in->fd, bytes.ptr, bytes.len, (off_t)in->length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		in->length += (uint64_t)n;
		bytes = kurir_str_part(bytes, (size_t)n, bytes.len);
	}
	return 0;
}

/* Lines end with CRLF in what a store keeps: a bare LF gets its CR.  *last: the byte before. */
static int write_lines(struct imap_incoming *in, struct kurir_str bytes, char *last)
{
	size_t from = 0;
	int r = 0;

	for (size_t i = 0; i < bytes.len && r == 0; i++) {
		if (bytes.ptr[i] == '\n' && *last != '\r') {
			r = imap_incoming_write(in, kurir_str_part(bytes, from, i - from));
			if (r == 0)
				r = imap_incoming_write(in, KURIR_STR("\r"));
			from = i;
		}
		*last = bytes.ptr[i];
	}
	return r < 0 ? r : imap_incoming_write(in, kurir_str_part(bytes, from, bytes.len));
}

/* The literal into the file.  What is wrong with it is said when all of it has been read. */
KURIR_PARKS static int receive(struct imap_incoming *in, uint64_t size, bool binary)
{
	struct kurir_mark mark = kurir_mark(kurir_scratch());
	char *chunk = kurir_alloc(kurir_scratch(), CHUNK);
	char last = '\0';
	int bad = 0;

	while (size > 0) {
		size_t want = size < CHUNK ? (size_t)size : CHUNK;
		int r = imap_read_exactly(in->s, chunk, want);

		if (r < 0) {
			in->s->over = true;
			return r;
		}
		if (memchr(chunk, '\0', want)) {
			in->nul = true;
			if (bad == 0 && !binary)
				bad = refuse(in, IMAP_REFUSED_NUL);
		}
		if (bad == 0 && binary)
			bad = imap_incoming_write(in, (struct kurir_str){ chunk, want });
		else if (bad == 0)
			bad = write_lines(in, (struct kurir_str){ chunk, want }, &last);
		size -= want;
	}
	kurir_rewind(kurir_scratch(), mark);
	return bad;
}

/* Asks for a literal that waits to be asked for. */
KURIR_PARKS static int go_ahead(struct imap *s, bool sync)
{
	int r;

	if (!sync)
		return 0;
	imap_puts(s, "+ Go ahead\r\n");
	r = kurir_flush(s->stream, imap_until(s));
	if (r < 0)
		s->over = true;
	return r;
}

KURIR_PARKS int imap_incoming_literal(struct imap_incoming *in, bool text)
{
	struct imap *s = in->s;
	bool sync, binary;
	uint64_t size;
	int r, end;

	if (imap_literal_next(in->a, &size, &sync, &binary) < 0)
		return -EBADMSG;
	if (size > s->conf->append_max - (in->length - in->dropped))
		return refuse(in, IMAP_REFUSED_SIZE);
	if (binary && text)
		return -EBADMSG;
	if (size == 0 && sync && !text)
		return refuse(in, IMAP_REFUSED_EMPTY);
	r = go_ahead(s, sync);
	if (r < 0)
		return r;
	r = receive(in, size, binary);
	if (s->over)
		return r;
	end = imap_next_line(s, in->a);
	if (end < 0)
		return end;
	return r >= 0 && size == 0 && !text ? refuse(in, IMAP_REFUSED_EMPTY) : r;
}

KURIR_PARKS int imap_incoming_astring(struct imap_incoming *in, struct kurir_str *ret)
{
	bool sync, binary;
	uint64_t size;
	char *text;
	int r;

	if (!imap_next_is(in->a, '{'))
		return imap_astring(in->a, ret);
	if (imap_literal_next(in->a, &size, &sync, &binary) < 0 || size > SMALL_MAX)
		return -EBADMSG;
	text = kurir_alloc(kurir_scratch(), (size_t)size + 1);
	r = go_ahead(in->s, sync);
	if (r >= 0)
		r = imap_read_exactly(in->s, text, (size_t)size);
	if (r < 0) {
		in->s->over = true;
		return r;
	}
	*ret = (struct kurir_str){ text, (size_t)size };
	r = imap_next_line(in->s, in->a);
	return r >= 0 && memchr(text, '\0', ret->len) ? -EBADMSG : r;
}

KURIR_PARKS int imap_incoming_mailbox(struct imap_incoming *in)
{
	struct kurir_str text;
	struct kurir_buf quoted;
	struct imap_args name;
	int r;

	if (!imap_next_is(in->a, '{'))
		return imap_mailbox(in->a, &in->mailbox);
	r = imap_incoming_astring(in, &text);
	if (r < 0)
		return r;
	/* As if it had come in one piece. */
	quoted = KURIR_BUF(SMALL_MAX + 32);
	kurir_buf_printf(&quoted, "{%zu}\r\n", text.len);
	kurir_buf_add(&quoted, text);
	name = *in->a;
	name.rest = kurir_copy(kurir_scratch(), kurir_buf_str(&quoted));
	kurir_buf_free(&quoted);
	return imap_mailbox(&name, &in->mailbox);
}

KURIR_PARKS static int read_data(struct imap_incoming *in)
{
	int r;

	if (imap_take_word(in->a, "CATENATE"))
		return imap_space(in->a) ? imap_catenate(in) : -EBADMSG;
	if (!imap_take_word(in->a, "UTF8"))
		return imap_incoming_literal(in, false);
	/* Only once it was agreed on that headers may be UTF-8. */
	if (!(in->s->enabled & IMAP_UTF8) || !imap_space(in->a) || !imap_take(in->a, '(') ||
	    !imap_next_is(in->a, '~'))
		return -EBADMSG;
	r = imap_incoming_literal(in, false);
	return r >= 0 && !imap_take(in->a, ')') ? -EBADMSG : r;
}

/* flag-list and date-time, if they are there. */
static int read_head(struct imap_args *a, struct kurir_append *m)
{
	struct kurir_str word;

	m->keywords = KURIR_STR("");
	if (imap_next_is(a, '(') &&
	    (imap_flags(a, &m->flags, &m->keywords) < 0 || !imap_space(a)))
		return -EBADMSG;
	if (imap_next_is(a, '"') &&
	    (imap_string_arg(a, &word) < 0 || imap_date_time(word, &m->date) < 0 ||
		!imap_space(a)))
		return -EBADMSG;
	return 0;
}

KURIR_PARKS int imap_incoming_read(struct imap_incoming *in, size_t max)
{
	size_t room = 1;

	in->messages = kurir_alloc(kurir_scratch(), room * sizeof(*in->messages));
	do {
		struct kurir_append *m;
		int r;

		if (in->count == max)
			return max > 1 ? refuse(in, IMAP_REFUSED_MANY) : -EBADMSG;
		if (in->count == room) {
			m = kurir_alloc(kurir_scratch(), 2 * room * sizeof(*m));
			memcpy(m, in->messages, room * sizeof(*m));
			in->messages = m;
			room *= 2;
		}
		m = &in->messages[in->count++];
		m->offset = in->length;
		r = read_head(in->a, m);
		if (r >= 0)
			r = read_data(in);
		if (r < 0)
			return r;
		if (in->nul) {
			uint64_t begin = m->offset;

			m->offset = in->length;
			in->nul = false;
			r = imap_unbinary(in, begin);
			if (r < 0)
				return r;
		}
		m->length = in->length - m->offset;
		m->fd = in->fd;
	} while (imap_space(in->a));
	return imap_end(in->a) ? 0 : -EBADMSG;
}

KURIR_PARKS static bool target_is_there(struct imap_incoming *in)
{
	struct kurir_arena *arena = kurir_arena_new("imap target");
	struct kurir_mailbox_view view;
	struct imap_place place;
	int r = imap_place_find(in->s, in->mailbox, IMAP_RIGHT_INSERT, &place);

	if (r >= 0)
		r = in->s->store->view(in->s->store_self, place.account, place.mailbox, false,
		    imap_until(in->s), arena, &view);
	kurir_arena_free(arena);
	return r != -ENOENT;
}

KURIR_PARKS void imap_incoming_refuse(struct imap_incoming *in, int r)
{
	struct imap *s = in->s;

	if (s->over)
		return;
	imap_skip_literals(s, in->a);
	if (r == -EBADMSG) {
		imap_bad(s, "This is not how a message is sent");
		return;
	}
	if (r != -EPERM) {
		imap_failed(s, r);
		return;
	}
	switch (in->refusal) {
	case IMAP_REFUSED_SIZE:
		imap_no(s, "[TOOBIG] The message is too large");
		return;
	case IMAP_REFUSED_EMPTY:
		imap_no(s, "[CANNOT] An empty message");
		return;
	case IMAP_REFUSED_NUL:
		imap_no(s, "[CANNOT] A message has no NUL");
		return;
	case IMAP_REFUSED_BINARY:
		imap_no(s, "[UNKNOWN-CTE] A NUL that is not in a binary part");
		return;
	case IMAP_REFUSED_URL:
		if (!target_is_there(in)) {
			imap_no(s, "[TRYCREATE] No such mailbox");
			return;
		}
		kurir_printf(s->stream, "%.*s NO [BADURL ", KURIR_ARG(s->tag));
		imap_string(s, in->url);
		imap_puts(s, "] There is no such message\r\n");
		return;
	case IMAP_REFUSED_MANY:
		imap_no(s, "[LIMIT] Too many messages at once");
		return;
	case IMAP_REFUSED_NOT:
		break;
	}
	imap_no(s, "This cannot be taken");
}

void imap_incoming_end(struct imap_incoming *in)
{
	if (in->fd >= 0)
		close(in->fd);
}

KURIR_PARKS int imap_incoming_store(struct imap_incoming *in, struct kurir_changed *ret)
{
	struct imap *s = in->s;
	struct imap_place place;
	int r = imap_place_find(s, in->mailbox, IMAP_RIGHT_INSERT, &place);

	for (size_t i = 0; r >= 0 && i < in->count; i++)
		imap_place_flags(&place, &in->messages[i]);
	if (r >= 0)
		r = s->store->append(s->store_self, place.account, place.mailbox, in->messages,
		    in->count, imap_until(s), kurir_scratch(), ret);

	if (r >= 0)
		kurir_count(s->self, IMAP_APPENDED, in->count);
	return r;
}
