/* command_search.c - "kurirctl mailbox search ACCOUNT TERM...": which messages, in which mailboxes.
 *
 *	term = ("from=" / "to=" / "cc=" / "subject=" / "text=" / "body=") words
 *	     / ("since=" / "before=") year "-" month "-" day
 *	     / ("larger=" / "smaller=") size         64K, 10M
 *	     / "mailbox=" name / "keyword=" word
 *	     / "seen" / "unseen" / "flagged" / "unflagged" / "answered" / "deleted" / "draft"
 *
 * All of them have to be true.  A page ends when it is full, or has taken its time; "next" is the
 * UID and the mailbox of the message that was looked at last. */
#include "command.h"

#include <errno.h>
#include <mime/mime.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAGE	  500
#define PAGE_TIME 2000 /* ms: or when it has taken so long */
#define CALL_TIME 20000
#define TERMS_MAX 16
#define TEXT_MAX  (64u << 20) /* a larger message is not looked into */

struct wanted {
	struct kurir_find finds[TERMS_MAX];
	size_t count;
	struct kurir_str mailbox, keyword;
	int64_t since, before; /* ms since 1970 */
	uint64_t larger, smaller;
	uint32_t with, without; /* flags */
};

/* The first millisecond of a day, UTC. */
static int day_of(struct kurir_str text, int64_t *ret)
{
	struct tm tm = { 0 };
	const char *end = strptime(kurir_copy(kurir_scratch(), text).ptr, "%Y-%m-%d", &tm);

	if (text.len != 10 || end == NULL || *end != '\0')
		return -EINVAL;
	*ret = (int64_t)timegm(&tm) * 1000;
	return 0;
}

static int size_of(struct kurir_str text, uint64_t *ret)
{
	static const char units[] = "KMG";
	const char *unit = text.len > 0 ? strchr(units, text.ptr[text.len - 1]) : NULL;
	unsigned shift = 0;

	if (unit != NULL && *unit != '\0') {
		shift = ((unsigned)(unit - units) + 1) * 10;
		text.len--;
	}
	if (kurir_str_number(text, UINT64_MAX >> 30 >> 2, ret) < 0)
		return -EINVAL;
	*ret <<= shift;
	return 0;
}

static bool flag_of(struct wanted *w, struct kurir_str term)
{
	static const struct {
		const char *name;
		uint32_t with, without;
	} known[] = { { "seen", KURIR_MESSAGE_SEEN, 0 }, { "unseen", 0, KURIR_MESSAGE_SEEN },
		{ "flagged", KURIR_MESSAGE_FLAGGED, 0 },
		{ "unflagged", 0, KURIR_MESSAGE_FLAGGED },
		{ "answered", KURIR_MESSAGE_ANSWERED, 0 },
		{ "deleted", KURIR_MESSAGE_DELETED, 0 }, { "draft", KURIR_MESSAGE_DRAFT, 0 } };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (kurir_str_equal(term, kurir_str_of(known[i].name))) {
			w->with |= known[i].with;
			w->without |= known[i].without;
			return true;
		}
	return false;
}

static int find_of(struct wanted *w, struct kurir_str name, struct kurir_str value)
{
	static const struct {
		const char *name;
		enum kurir_find_place place;
		const char *field;
	} known[] = { { "from", KURIR_FIND_HEADER, "From" }, { "to", KURIR_FIND_HEADER, "To" },
		{ "cc", KURIR_FIND_HEADER, "Cc" }, { "subject", KURIR_FIND_HEADER, "Subject" },
		{ "text", KURIR_FIND_TEXT, "" }, { "body", KURIR_FIND_BODY, "" } };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!kurir_str_equal(name, kurir_str_of(known[i].name)))
			continue;
		if (w->count == TERMS_MAX || value.len == 0)
			return -EINVAL;
		w->finds[w->count++] = (struct kurir_find){ .place = known[i].place,
			.field = kurir_str_of(known[i].field),
			.text = value };
		return 0;
	}
	return -EINVAL;
}

static int term_of(struct wanted *w, struct kurir_str term)
{
	ssize_t equals = kurir_str_find(term, '=');
	struct kurir_str name = kurir_str_part(term, 0, equals < 0 ? 0 : (size_t)equals);
	struct kurir_str value = kurir_str_part(term, (size_t)(equals + 1), term.len);

	if (equals < 0)
		return flag_of(w, term) ? 0 : -EINVAL;
	if (kurir_str_equal(name, KURIR_STR("since")))
		return day_of(value, &w->since);
	if (kurir_str_equal(name, KURIR_STR("before")))
		return day_of(value, &w->before);
	if (kurir_str_equal(name, KURIR_STR("larger")))
		return size_of(value, &w->larger);
	if (kurir_str_equal(name, KURIR_STR("smaller")))
		return size_of(value, &w->smaller);
	if (kurir_str_equal(name, KURIR_STR("mailbox")))
		w->mailbox = value;
	else if (kurir_str_equal(name, KURIR_STR("keyword")))
		w->keyword = value;
	else
		return find_of(w, name, value);
	return value.len > 0 ? 0 : -EINVAL;
}

static bool has_keyword(struct kurir_str words, struct kurir_str word)
{
	while (words.len > 0) {
		ssize_t space = kurir_str_find(words, ' ');
		size_t n = space < 0 ? words.len : (size_t)space;

		if (kurir_str_equal_nocase(kurir_str_part(words, 0, n), word))
			return true;
		words = kurir_str_part(words, space < 0 ? n : n + 1, words.len);
	}
	return false;
}

static bool fits(const struct wanted *w, const struct kurir_message *m)
{
	return (m->flags & w->with) == w->with && (m->flags & w->without) == 0 &&
	    m->date >= w->since && m->date < w->before && m->size > w->larger &&
	    m->size < w->smaller && (w->keyword.len == 0 || has_keyword(m->keywords, w->keyword));
}

/* What the words say of the messages of a mailbox. */
struct said {
	struct kurir_uid_set found[TERMS_MAX], unsure[TERMS_MAX];
};

/* 1: it is one; 0: it is not; -1: its bytes say. */
static int words_say(const struct wanted *w, const struct said *s, uint32_t uid)
{
	int verdict = 1;

	for (size_t i = 0; i < w->count; i++) {
		if (kurir_uid_set_has(&s->found[i], uid))
			continue;
		if (!kurir_uid_set_has(&s->unsure[i], uid))
			return 0;
		verdict = -1;
	}
	return verdict;
}

/* Looks into a message for what the index cannot tell; one that cannot be read has nothing. */
KURIR_PARKS static bool bytes_say(struct command *c, const struct wanted *w,
    struct kurir_str mailbox, const struct kurir_message *m)
{
	struct kurir_arena *arena = kurir_arena_new("store search");
	struct kurir_body body = { .fd = -1 };
	struct kurir_str text = KURIR_STR("");
	bool good = m->size <= TEXT_MAX &&
	    sqlite_store.open(
		c->self, command_arg(c, 1), mailbox, m, kurir_now() + CALL_TIME, &body) == 0;

	if (good) {
		char *bytes = kurir_alloc(arena, (size_t)body.length + 1);
		ssize_t n = pread(body.fd, bytes, (size_t)body.length, (off_t)body.offset);

		text = (struct kurir_str){ bytes, n > 0 ? (size_t)n : 0 };
		(void)close(body.fd);
	}
	for (size_t i = 0; good && i < w->count; i++) {
		const struct kurir_find *f = &w->finds[i];
		struct mime_needle needle = mime_needle_of(arena, f->text);

		good = f->place == KURIR_FIND_HEADER
		    ? mime_header_has(arena, text, f->field, &needle)
		    : mime_message_has(arena, text, f->text, f->place == KURIR_FIND_TEXT);
	}
	kurir_arena_free(arena);
	return good;
}

struct search {
	struct command *c;
	struct wanted want;
	json_t *list;
	size_t lines, looked;
	kurir_time until;
};

/* 1: the page is full, and next is set. */
KURIR_PARKS static int one_mailbox(struct search *s, struct kurir_str name, uint64_t after)
{
	struct kurir_str account = command_arg(s->c, 1);
	struct kurir_mailbox_view v;
	struct said said;
	int r = sqlite_store.view(
	    s->c->self, account, name, false, kurir_now() + CALL_TIME, kurir_scratch(), &v);

	for (size_t i = 0; r >= 0 && i < s->want.count; i++)
		r = sqlite_store.find(s->c->self, account, name, &s->want.finds[i],
		    kurir_now() + CALL_TIME, kurir_scratch(), &said.found[i], &said.unsure[i]);
	if (r < 0)
		return r;
	for (size_t i = 0; i < v.count; i++) {
		const struct kurir_message *m = &v.messages[i];
		int verdict;

		if (m->uid <= after || !fits(&s->want, m))
			continue;
		/* Looking into messages takes its time: others have a turn, and the page ends. */
		if (s->lines == PAGE || (s->looked > 0 && kurir_now() > s->until)) {
			s->c->next =
			    kurir_format(kurir_scratch(), "%u %.*s", m->uid - 1, KURIR_ARG(name));
			return 1;
		}
		verdict = words_say(&s->want, &said, m->uid);
		s->looked++;
		if (verdict < 0) {
			verdict = bytes_say(s->c, &s->want, name, m);
			r = kurir_yield();
			if (r < 0)
				return r;
		}
		if (verdict == 0)
			continue;
		command_found(s->c, s->list, name, m);
		s->lines++;
	}
	return 0;
}

/* "17 Lists/kurir": the message, and its mailbox, that the last page ended with. */
static void where(struct kurir_str after, uint64_t *ret_uid, struct kurir_str *ret_mailbox)
{
	ssize_t space = kurir_str_find(after, ' ');

	*ret_uid = 0;
	*ret_mailbox = kurir_str_part(after, (size_t)(space + 1), after.len);
	(void)kurir_str_number(
	    kurir_str_part(after, 0, space < 0 ? 0 : (size_t)space), UINT32_MAX, ret_uid);
}

KURIR_PARKS static int all_mailboxes(
    struct search *s, const struct kurir_mailbox *all, size_t count)
{
	struct kurir_str from;
	uint64_t uid;
	size_t i = 0;
	int r = 0;

	s->until = kurir_now() + PAGE_TIME;
	where(s->c->after, &uid, &from);
	while (from.len > 0 && i < count && !kurir_str_equal(all[i].name, from))
		i++;
	for (; r == 0 && i < count; i++, uid = 0) {
		if ((all[i].flags & KURIR_MAILBOX_NOSELECT) ||
		    (s->want.mailbox.len > 0 && !kurir_str_equal(s->want.mailbox, all[i].name)))
			continue;
		r = one_mailbox(s, all[i].name, uid);
		if (r == -ENOENT)
			r = 0; /* it has just gone */
	}
	return r < 0 ? r : 0;
}

KURIR_PARKS int command_search(struct command *c)
{
	struct search s = { .c = c,
		.want = { .before = INT64_MAX,
		    .smaller = UINT64_MAX,
		    .mailbox = KURIR_STR(""),
		    .keyword = KURIR_STR("") } };
	struct kurir_mailbox *all;
	size_t count;
	int r = sqlite_exists(c->self, command_arg(c, 1), kurir_now() + CALL_TIME);

	for (size_t i = 2; i < json_array_size(c->args); i++)
		if (term_of(&s.want, command_arg(c, i)) < 0)
			return command_fail(c,
			    kurir_format(kurir_scratch(),
				"\"%.*s\" is no term: see kurir-store_sqlite(5)",
				KURIR_ARG(kurir_str_part(command_arg(c, i), 0, 100)))
				.ptr);
	if (r == 0)
		r = sqlite_store.list(c->self, command_arg(c, 1), 0, kurir_now() + CALL_TIME,
		    kurir_scratch(), &all, &count);
	if (r < 0)
		return r;
	if (c->after.len == 0)
		kurir_buf_printf(&c->text, "%-30s %10s  %-20s %12s  %s\n", "MAILBOX", "UID",
		    "DATE", "SIZE", "FLAGS (seen answered flagged deleted draft)");
	s.list = json_array();
	r = all_mailboxes(&s, all, count);
	c->data = json_pack("{s:o}", "list", s.list);
	return r;
}
