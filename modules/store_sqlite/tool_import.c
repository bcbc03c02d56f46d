/* tool_import.c - what all imports share: a message is added once, under its UID if that can
 * be kept.
 *
 * Each message has a name that lasts; it is written down ("delivered") in the transaction that
 * adds the message, so that an import that was broken off goes on where it was.  UIDs and
 * UIDVALIDITY are those of the source when nothing else was in the mailbox: then no client
 * downloads anything again. */
#include "email.h"
#include "sheet.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH	   200
#define PIECE	   65536
#define REMEMBERED ((int64_t)365 * 86400000) /* longer than deliveries are */

static int write_whole(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

/* Bytes of a file, as lines with CRLF.  unquote: ">From " and ">>From " lose one ">" (mboxrd). */
static size_t wire(const char *from, size_t n, char *to, char *last, bool *start, bool unquote)
{
	size_t out = 0;
	for (size_t i = 0; i < n; i++) {
		char c = from[i];
		if (unquote && *start && c == '>') {
			size_t k = i;
			while (k < n && from[k] == '>')
				k++;
			*start = false;
			if (k + 5 <= n && memcmp(from + k, "From ", 5) == 0)
				continue;
		}
		if (c == '\n' && *last != '\r')
			to[out++] = '\r';
		to[out++] = c;
		*start = c == '\n';
		*last = c;
	}
	return out;
}

int import_wire(int fd, uint64_t offset, uint64_t length, bool unquote, struct tool_message *ret)
{
	int to = memfd_create("import", MFD_CLOEXEC), r = to < 0 ? -errno : 0;
	const char *map = MAP_FAILED;
	char *piece = malloc(2 * PIECE), last = '\0';
	bool start = true;
	uint64_t page = offset & ~(uint64_t)4095;
	if (piece == NULL)
		r = -ENOMEM;
	if (r == 0 && length > 0) {
		map = mmap(NULL, (size_t)(offset - page + length), PROT_READ, MAP_PRIVATE, fd,
		    (off_t)page);
		if (map == MAP_FAILED)
			r = -errno;
	}
	for (uint64_t at = 0; r == 0 && at < length;) {
		size_t n = length - at < PIECE ? (size_t)(length - at) : PIECE;
		/* A quoted line is looked at whole: the piece ends with a line. */
		if (unquote && at + n < length)
			for (size_t k = n; k > 0; k--)
				if (map[offset - page + at + k - 1] == '\n') {
					n = k;
					break;
				}
		size_t out = wire(map + (offset - page) + at, n, piece, &last, &start, unquote);
		r = write_whole(to, piece, out);
		at += n;
		ret->length += out;
	}
	if (map != MAP_FAILED)
		(void)munmap((void *)(uintptr_t)map, (size_t)(offset - page + length));
	free(piece);
	if (r < 0 && to >= 0)
		close(to);
	if (r == 0)
		ret->fd = to;
	return r;
}

static int mailbox_of(struct tool_import *im, struct kurir_str name)
{
	struct kurir_manage what = { .kind = KURIR_MANAGE_CREATE, .mailbox = name };
	int64_t id;
	int r = mailbox_load(&im->shard.db, &im->account_row, name, &im->row);
	if (r != -ENOENT)
		return r;
	r = mailbox_manage(&im->shard.db, &im->account_row, &what, kurir_wallclock(), &id);
	return r < 0 ? r : mailbox_load(&im->shard.db, &im->account_row, name, &im->row);
}

/* Rows are read again in each transaction, as a server may write meanwhile. */
static int load(struct tool_import *im)
{
	struct db *db = &im->shard.db;
	int r = tool_begin(&im->shard);
	if (r == 0)
		r = account_load(db, im->account, &im->account_row);
	if (r == -ENOENT)
		r = account_make(db, im->account, kurir_wallclock(), &im->account_row);
	if (r == 0)
		r = mailbox_of(im, im->mailbox);
	im->account_row.modseq++;
	im->since = 0;
	return r;
}

static int save(struct tool_import *im)
{
	int r = mailbox_save(&im->shard.db, &im->row);
	if (r == 0)
		r = account_save(&im->shard.db, &im->account_row);
	return r < 0 ? r : tool_commit(&im->shard);
}

static int set_validity(struct tool_import *im, uint32_t validity)
{
	if (im->account_row.uid_validity < validity)
		im->account_row.uid_validity = validity;
	im->row.uid_validity = validity;
	return db_exec(&im->shard.db, "UPDATE mailbox SET uid_validity = ? WHERE id = ?", "ii",
	    (int64_t)validity, im->row.id);
}

/* Nothing has been in it yet. */
static bool is_fresh(const struct tool_import *im)
{
	return im->row.uid_next == 1 && im->row.messages == 0;
}

int import_mailbox(struct tool_import *im, struct kurir_str mailbox, uint32_t validity)
{
	bool again = kurir_str_equal(im->mailbox, mailbox);
	im->mailbox = mailbox;
	int r = load(im);
	if (r < 0)
		return r;
	bool fresh = is_fresh(im);
	im->keep = validity != 0 && (fresh || im->row.uid_validity == validity);
	if (im->keep && fresh)
		r = set_validity(im, validity);
	if (validity != 0 && !im->keep && !again)
		tool_say(im->tool,
		    "%.*s has other messages already: what is imported gets new UIDs there",
		    KURIR_ARG(mailbox));
	return r;
}

void import_uses(struct tool_import *im, uint32_t uses)
{
	if (is_fresh(im) && (im->row.flags & KURIR_MAILBOX_USES) == 0)
		im->row.flags |= uses;
}

static bool is_keyword(struct kurir_str word)
{
	for (size_t i = 0; i < word.len; i++)
		if (word.ptr[i] <= ' ' || word.ptr[i] > '~' || strchr("(){%*\"\\]", word.ptr[i]))
			return false;
	return word.len > 0;
}

/* Those that clients can be told as they are: a message may bring what its sender wrote.
 *   flag-keyword = atom                                    ; RFC 9051 section 9 */
static struct kurir_str keywords_of(struct tool_import *im, struct kurir_str words)
{
	char *out = kurir_alloc(im->arena, words.len + 1);
	size_t n = 0;
	while (words.len > 0) {
		ssize_t space = kurir_str_find(words, ' ');
		size_t len = space < 0 ? words.len : (size_t)space;
		struct kurir_str word = kurir_str_part(words, 0, len);
		words = kurir_str_part(words, len + 1, words.len);
		if (!is_keyword(word) || n + 1 + len > MODEL_KEYWORDS_MAX)
			continue;
		if (n > 0)
			out[n++] = ' ';
		memcpy(out + n, word.ptr, word.len);
		n += word.len;
	}
	return (struct kurir_str){ out, n };
}

/* What can be read back is what was brought. */
static int verify(struct tool_import *im, const struct message_row *want)
{
	static struct sheet sheet;
	const struct message_row *have = NULL;
	int r = sheet_load(&im->shard.db, im->row.id, want->uid, 0, &sheet);
	for (size_t i = 0; r == 1 && i < sheet.count; i++)
		if (sheet.rows[i].uid == want->uid)
			have = &sheet.rows[i];
	if (r >= 0)
		r = have != NULL && have->flags == want->flags && have->size == want->size &&
			have->date == want->date &&
			kurir_str_equal(have->keywords, want->keywords)
		    ? 0
		    : -EIO;
	sheet_free(&sheet);
	return r;
}

/* Its UID is another message's, or was: who remembers that one must not take this for it. */
static int lose_uids(struct tool_import *im)
{
	int64_t now = kurir_wallclock() / 1000;
	int64_t validity =
	    im->account_row.uid_validity < now ? now : im->account_row.uid_validity + 1;
	tool_say(im->tool, "%.*s got other messages meanwhile: it begins with a new UIDVALIDITY",
	    KURIR_ARG(im->mailbox));
	im->keep = false;
	return validity > UINT32_MAX ? -EDQUOT : set_validity(im, (uint32_t)validity);
}

static int add(struct tool_import *im, const struct tool_message *m, struct kurir_str id)
{
	struct db *db = &im->shard.db;
	struct blob_source from = { .fd = m->fd,
		.offset = m->offset,
		.length = m->length,
		.date = m->date,
		.account = im->account,
		.mailbox = im->mailbox };
	struct message_row row = { .flags = m->flags,
		.size = (int64_t)m->length,
		.date = m->date,
		.saved = kurir_wallclock(),
		.keywords = keywords_of(im, m->keywords) };
	struct email e;
	int r = db_exec(db, "INSERT INTO delivered(id, at) VALUES(?, ?)", "ti", id,
	    kurir_wallclock() + REMEMBERED);
	if (r == -EEXIST) {
		im->there++;
		return 0;
	}
	if (r == 0)
		r = email_put(db, &im->shard.blobs, &im->account_row, &from, &e);
	if (r == 0 && im->keep && m->uid != 0 && m->uid < im->row.uid_next)
		r = lose_uids(im);
	if (im->keep && m->uid >= im->row.uid_next)
		im->row.uid_next = m->uid;
	if (r == 0) {
		row.email = e.id;
		r = message_insert(db, &im->account_row, &im->row, &row);
	}
	if (r == 0)
		r = verify(im, &row);
	im->added += r == 0;
	im->tool->bytes += from.length;
	return r;
}

static struct kurir_str id_of(
    struct tool_import *im, struct kurir_str mailbox, struct kurir_str key)
{
	return kurir_format(im->arena, "import %.*s %.*s %.*s", KURIR_ARG(im->account),
	    KURIR_ARG(mailbox), KURIR_ARG(key));
}

int import_known(struct tool_import *im, struct kurir_str mailbox, struct kurir_str key)
{
	int64_t n = 0;
	int r = db_number(&im->shard.db, &n, "SELECT count(*) FROM delivered WHERE id = ?", "t",
	    id_of(im, mailbox, key));
	return r < 0 ? r : n > 0;
}

int import_message(struct tool_import *im, const struct tool_message *m)
{
	struct kurir_mark mark = kurir_mark(im->arena);
	int r = add(im, m, id_of(im, im->mailbox, m->key));
	kurir_rewind(im->arena, mark);
	im->tool->messages++;
	tool_progress(im->tool, "messages", im->tool->messages, 0);
	if (r == 0 && ++im->since == BATCH) {
		r = save(im);
		if (r == 0)
			r = load(im);
	}
	return r;
}

int import_mailbox_end(struct tool_import *im, uint32_t uid_next)
{
	if (im->keep && uid_next > im->row.uid_next)
		im->row.uid_next = uid_next;
	return save(im);
}

int import_subscribe(struct tool_import *im, struct kurir_str mailbox)
{
	struct kurir_manage what = { .kind = KURIR_MANAGE_SUBSCRIBE, .mailbox = mailbox };
	int64_t id;
	return mailbox_manage(&im->shard.db, &im->account_row, &what, kurir_wallclock(), &id);
}

/* What was found in the source must be in the store, added now or before. */
static int verdict(struct tool *t, const struct tool_import *im)
{
	uint64_t missing = t->messages - im->added - im->there;
	if (missing > 0)
		tool_problem(t, "%llu messages are missing", (unsigned long long)missing);
	(void)kurir_buf_printf(&t->text,
	    t->json ? "{\"messages\": %llu, \"added\": %llu, \"there\": %llu, \"bytes\": %llu}\n"
		    : "%llu messages: %llu added, %llu were there, %llu bytes\n",
	    (unsigned long long)t->messages, (unsigned long long)im->added,
	    (unsigned long long)im->there, (unsigned long long)t->bytes);
	return t->problems > 0 ? 1 : 0;
}

/* What is to be read, and how: 0; 2 when it was said that this cannot be. */
static int run(struct tool_import *im, char **args, int n)
{
	struct kurir_str mailbox = kurir_str_of(n == 3 ? args[2] : "");
	struct tool *t = im->tool;
	if (n == 1 && strstr(args[0], "://") != NULL)
		return import_imap(im, args[0]);
	if (n == 2 && strcmp(args[0], "maildir") == 0)
		return import_maildir(im, args[1]);
	if (n != 3 || strcmp(args[0], "mbox") != 0)
		tool_say(t,
		    "kurir-store: import ACCOUNT maildir FOLDER, ACCOUNT mbox FILE MAILBOX,"
		    " or URL --account ACCOUNT");
	else if (!model_name_valid(mailbox))
		tool_say(t, "kurir-store: there can be no such mailbox");
	else
		return import_mbox(im, args[1], mailbox);
	return 2;
}

int tool_import(struct tool *t, struct kurir_str account, char **args, int n)
{
	static struct tool_import im;
	im = (struct tool_import){ .tool = t, .account = account };
	int lock = tool_share_all(t);
	if (lock == -EWOULDBLOCK) {
		tool_say(t, "kurir-store: another kurir-store works on these shards now");
		return 2;
	}
	int r = lock < 0 ? lock : tool_shard_open(t, tool_shard_of(t, account), &im.shard);
	if (r < 0) {
		if (lock >= 0)
			close(lock);
		return tool_fail(t, r, t->root);
	}
	im.arena = kurir_arena_new("import");
	r = run(&im, args, n);
	if (r < 0)
		tool_rollback(&im.shard);
	tool_shard_close(&im.shard);
	close(lock);
	kurir_arena_free(im.arena);
	return r < 0 ? tool_fail(t, r, args[n > 1]) : r > 0 ? r : verdict(t, &im);
}
