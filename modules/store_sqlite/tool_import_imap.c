/* tool_import_imap.c - all mailboxes of an account of another server, while that runs.
 *
 * A mailbox is looked through in the order of its messages, some hundred at once: what they are,
 * then the bytes of those that were not added before, which wait in a file until they are added
 * in one transaction, as a server must not wait for another one's.  A message is named by the
 * mailbox's UIDVALIDITY and its UID. */
#include "tool.h"
#include "tool_imap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE	   200			/* messages */
#define PAGE_BYTES ((uint64_t)32 << 20) /* of bodies that are asked for at once, but for one */
#define MAILBOXES  MODEL_MAILBOXES

struct box {
	struct kurir_str theirs, name;
	uint32_t uses;
};
struct source {
	struct tool_import *im;
	struct imap imap;
	struct imap_namespaces spaces;
	const char *listing; /* "LIST" or "LSUB" */
	struct box *boxes;
	size_t count;
	/* The mailbox and the page at hand. */
	struct imap_selected box;
	struct kurir_arena *arena, *parsed; /* a page's, a response's */
	struct imap_message page[PAGE];
	struct tool_message found[PAGE];
	size_t listed, next,
	    last; /* in the page: all; the body that comes next, the end of the set */
};

static int ask(struct source *s, imap_see *see, struct kurir_str command)
{
	return imap_ask(&s->imap, see, s, command);
}

/* Our name: levels apart by "/", without what stands before all of one's own. */
static int name_of(struct source *s, const struct imap_mailbox *m, struct kurir_str *ret)
{
	struct kurir_buf b = KURIR_BUF(MODEL_NAME_MAX);
	struct kurir_str rest = m->name, own = s->spaces.own;
	int r = 0;
	bool inbox = kurir_str_equal_nocase(rest, KURIR_STR("INBOX"));
	if (!inbox && own.len > 0 && kurir_str_starts_nocase(rest, own))
		rest = kurir_str_part(rest, own.len, rest.len);
	while (r == 0 && rest.len > 0) {
		ssize_t at = m->separator != '\0' ? kurir_str_find(rest, m->separator) : -1;
		struct kurir_str level = kurir_str_part(rest, 0, at < 0 ? rest.len : (size_t)at);
		rest = kurir_str_part(rest, at < 0 ? rest.len : (size_t)at + 1, rest.len);
		if (kurir_str_find(level, '/') >= 0)
			r = -EINVAL;
		if (r == 0 && b.len > 0)
			r = kurir_buf_add(&b, KURIR_STR("/"));
		if (r == 0)
			r = kurir_utf7_decode(&b, level);
	}
	if (r == 0 && !model_name_valid(kurir_buf_str(&b)))
		r = -EINVAL;
	if (r == 0)
		*ret = inbox ? KURIR_STR("INBOX") : kurir_copy(s->im->arena, kurir_buf_str(&b));
	kurir_buf_free(&b);
	return r;
}

static int see_namespace(void *arg, struct kurir_str response)
{
	struct source *s = arg;
	int r = imap_parse_namespace(response, s->im->arena, &s->spaces);
	return r < 0 ? r : 0;
}

static bool of_others(const struct source *s, struct kurir_str name)
{
	for (size_t i = 0; i < s->spaces.count; i++)
		if (kurir_str_starts(name, s->spaces.others[i]))
			return true;
	return false;
}

static int see_mailbox(void *arg, struct kurir_str response)
{
	struct source *s = arg;
	struct imap_mailbox m;
	struct tool *t = s->im->tool;
	kurir_arena_clear(s->parsed);
	int r = imap_parse_list(response, s->listing, s->parsed, &m);
	if (r <= 0 || !m.selectable || of_others(s, m.name))
		return r < 0 ? r : 0;
	struct box b = { .theirs = kurir_copy(s->im->arena, m.name), .uses = m.uses };
	if (m.uses & (KURIR_MAILBOX_ALL | KURIR_MAILBOX_FLAGGED)) {
		tool_say(t, "%.*s: left out, it shows what is in others", KURIR_ARG(b.theirs));
		return 0;
	}
	if (s->count == MAILBOXES)
		return -EMSGSIZE;
	if (name_of(s, &m, &b.name) == 0)
		s->boxes[s->count++] = b;
	else
		tool_problem(t, "%.*s: this name cannot be a mailbox", KURIR_ARG(b.theirs));
	return 0;
}

static int list(struct source *s, const char *kind, const char *more)
{
	s->count = 0;
	s->listing = kind;
	return ask(s, see_mailbox, kurir_format(s->im->arena, "%s \"\" *%s", kind, more));
}

/* What mailboxes are for is said by some unasked, by others asked (RFC 6154 section 2). */
static int list_all(struct source *s)
{
	bool asked = imap_can(&s->imap, "LIST-EXTENDED") && imap_can(&s->imap, "SPECIAL-USE");
	return list(s, "LIST", asked ? " RETURN (SPECIAL-USE)" : "");
}

static int see_selected(void *arg, struct kurir_str response)
{
	struct source *s = arg;
	imap_parse_select(response, &s->box);
	return 0;
}

/* What the messages of a page are. */
static int see_message(void *arg, struct kurir_str response)
{
	struct source *s = arg;
	struct imap_message m;
	kurir_arena_clear(s->parsed);
	int r = imap_parse_fetch(response, s->parsed, &m);
	/* What is said unasked does not have all. */
	if (r <= 0 || m.uid == 0 || !m.has_flags || !m.has_date || !m.has_size)
		return r < 0 ? r : 0;
	if (s->listed == PAGE || (s->listed > 0 && m.uid <= s->page[s->listed - 1].uid))
		return -EPROTO;
	m.keywords = kurir_copy(s->arena, m.keywords);
	s->page[s->listed++] = m;
	return 0;
}

/* The bytes of one that was asked for; those that are left out are missing. */
static int see_body(void *arg, struct kurir_str response)
{
	struct source *s = arg;
	struct imap_message m;
	kurir_arena_clear(s->parsed);
	int r = imap_parse_fetch(response, s->parsed, &m);
	if (r <= 0 || m.uid == 0 || !m.has_body)
		return r < 0 ? r : 0;
	while (s->next < s->last && s->page[s->next].uid < m.uid)
		s->next++;
	if (s->next == s->last || s->page[s->next].uid != m.uid)
		return -EPROTO;
	struct imap *c = &s->imap;
	if (m.body.len > 0) { /* as a string */
		if (pwrite(c->body_fd, m.body.ptr, m.body.len, (off_t)c->body_end) !=
		    (ssize_t)m.body.len)
			return -ENOSPC;
		c->body_end += m.body.len;
	}
	s->found[s->next] = (struct tool_message){
		.fd = c->body_fd, .offset = c->body_at, .length = c->body_end - c->body_at
	};
	s->next++;
	return 0;
}

static struct kurir_str key_of(const struct source *s, uint32_t uid)
{
	return kurir_format(s->arena, "imap %u %u", s->box.validity, uid);
}

/* Into the account, in one transaction; nothing is asked meanwhile. */
static int add_found(struct source *s, const struct box *b, size_t from, size_t to)
{
	struct tool_import *im = s->im;
	int r = import_mailbox(im, b->name, s->box.validity);
	for (size_t i = from; r == 0 && i < to; i++) {
		struct tool_message *m = &s->found[i];
		const struct imap_message *said = &s->page[i];
		if (m->fd < 0) {
			tool_problem(im->tool,
			    "%.*s: the server does not give the message with UID %u",
			    KURIR_ARG(b->name), said->uid);
			im->tool->messages++;
			continue;
		}
		m->key = key_of(s, said->uid);
		m->uid = said->uid;
		m->flags = said->flags;
		m->date = said->date;
		m->keywords = said->keywords;
		r = import_message(im, m);
	}
	return r < 0 ? r : import_mailbox_end(im, 0);
}

/* The new ones of a page from *at on, as many as are asked for at once. */
static int take_some(struct source *s, const struct box *b, size_t *at)
{
	struct kurir_buf set = KURIR_BUF(16 * PAGE);
	uint64_t bytes = 0;
	size_t from = *at, kept = from, i = from;
	int r = 0;
	for (; r == 0 && i < s->listed && (bytes == 0 || bytes + s->page[i].size < PAGE_BYTES);
	     i++) {
		int known = import_known(s->im, b->name, key_of(s, s->page[i].uid));
		if (known > 0) {
			s->im->there++;
			s->im->tool->messages++;
		} else if (known == 0) {
			r = kurir_buf_printf(
			    &set, "%s%u", set.len > 0 ? "," : "", s->page[i].uid);
			bytes += s->page[i].size + 1;
			s->found[kept].fd = -1;
			s->page[kept++] = s->page[i];
		} else {
			r = known;
		}
	}
	*at = i;
	s->next = from;
	s->last = kept;
	s->imap.body_at = s->imap.body_end = 0;
	if (r == 0 && kept > from && ftruncate(s->imap.body_fd, 0) < 0)
		r = -errno;
	if (r == 0 && kept > from)
		r = ask(s, see_body,
		    kurir_format(s->arena, "UID FETCH %.*s (UID BODY.PEEK[])",
			KURIR_ARG(kurir_buf_str(&set))));
	kurir_buf_free(&set);
	return r < 0 || kept == from ? r : add_found(s, b, from, kept);
}

static int take_page(struct source *s, const struct box *b, uint32_t first, uint32_t last)
{
	uint32_t before = s->listed > 0 ? s->page[s->listed - 1].uid : 0;
	s->listed = 0;
	kurir_arena_clear(s->arena);
	int r = ask(s, see_message,
	    kurir_format(
		s->arena, "FETCH %u:%u (UID FLAGS INTERNALDATE RFC822.SIZE)", first, last));
	if (r == 0 && s->listed > 0 && s->page[0].uid <= before)
		r = -EPROTO;
	if (r == 0 && s->listed < last - first + 1)
		tool_problem(s->im->tool, "%.*s: the server has %u messages and tells of %zu",
		    KURIR_ARG(b->name), last - first + 1, s->listed);
	for (size_t at = 0; r == 0 && at < s->listed;)
		r = take_some(s, b, &at);
	return r;
}

static int take_mailbox(struct source *s, const struct box *b)
{
	s->box = (struct imap_selected){ .exists = 0 };
	s->listed = 0;
	int r = ask(s, see_selected,
	    kurir_format(
		s->im->arena, "EXAMINE %.*s", KURIR_ARG(imap_quote(s->im->arena, b->theirs))));
	if (r == -EPERM) { /* somebody may not read it, or it went meanwhile */
		tool_problem(s->im->tool, "%.*s: %s", KURIR_ARG(b->name), s->imap.said);
		return 0;
	}
	if (r == 0 && s->box.validity == 0)
		r = -EPROTO;
	if (r == 0)
		r = import_mailbox(s->im, b->name, s->box.validity);
	if (r == 0)
		import_uses(s->im, b->uses);
	if (r == 0)
		r = import_mailbox_end(s->im, 0);
	uint32_t exists = s->box.exists;
	for (uint32_t first = 1; r == 0 && first <= exists && first != 0; first += PAGE)
		r = take_page(s, b, first, exists - first < PAGE ? exists : first + PAGE - 1);
	if (r == 0)
		r = import_mailbox(s->im, b->name, s->box.validity);
	return r < 0 ? r : import_mailbox_end(s->im, s->box.next);
}

static int take_subscriptions(struct source *s)
{
	int r = list(s, "LSUB", "");
	if (r == 0)
		r = import_mailbox(s->im, KURIR_STR("INBOX"), 0);
	for (size_t i = 0; r == 0 && i < s->count; i++)
		r = import_subscribe(s->im, s->boxes[i].name);
	return r < 0 ? r : import_mailbox_end(s->im, 0);
}

static int take_all(struct source *s)
{
	int r = 0;
	if (imap_can(&s->imap, "NAMESPACE"))
		r = ask(s, see_namespace, KURIR_STR("NAMESPACE"));
	if (r == 0)
		r = list_all(s);
	for (size_t i = 0; r == 0 && i < s->count; i++)
		r = take_mailbox(s, &s->boxes[i]);
	if (r == 0)
		r = take_subscriptions(s);
	if (r == 0)
		(void)ask(s, NULL, KURIR_STR("LOGOUT"));
	return r;
}

int import_imap(struct tool_import *im, const char *url)
{
	struct imap_source from = { .ca = im->tool->ca };
	struct source *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	if (im->tool->password == NULL || imap_url(im->arena, url, &from) < 0) {
		free(s);
		tool_say(im->tool, "kurir-store: imaps://USER@HOST[:PORT] --account ACCOUNT");
		return 2;
	}
	from.password = kurir_str_of(im->tool->password);
	s->im = im;
	s->imap =
	    (struct imap){ .fd = -1, .text = KURIR_BUF(1 << 20), .can = KURIR_BUF(1 << 16) };
	s->imap.body_fd = open(im->shard.folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	s->boxes = calloc(MAILBOXES, sizeof(*s->boxes));
	s->arena = kurir_arena_new("page");
	s->parsed = kurir_arena_new("response");
	int r = s->imap.body_fd < 0 ? -errno : s->boxes == NULL ? -ENOMEM : 0;
	if (r == 0)
		r = imap_open(&s->imap, &from);
	if (r == 0)
		r = take_all(s);
	OPENSSL_cleanse(im->tool->password, strlen(im->tool->password));
	if (r < 0 && s->imap.said[0] != '\0') {
		tool_rollback(&im->shard);
		tool_say(im->tool, "kurir-store: %s: %s", from.host, s->imap.said);
		r = 2;
	}
	imap_close(&s->imap);
	if (s->imap.body_fd >= 0)
		close(s->imap.body_fd);
	kurir_arena_free(s->arena);
	kurir_arena_free(s->parsed);
	free(s->boxes);
	free(s);
	return r;
}
