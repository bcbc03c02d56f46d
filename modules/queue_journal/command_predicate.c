/* command_predicate.c - which recipients a command is about.
 *
 *	predicate = "all" / ID / address / domain
 *	          / "id=" ID / "sender=" A / "rcpt=" A / "domain=" D / "site=" NAME
 *	          / "state=" S / "reason=" XYZ / "older=" T / "younger=" T / "larger=" N / "smaller=" N
 *
 * An address is that of the sender or of a recipient.  Several predicates: all must hold. */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

const char *const command_state_names[] = { "new", "waiting", "ready", "active",
	"destination busy", "destination down", "held", "delivered", "bounced", "cancelled",
	"expanded" };

static bool take_key(struct kurir_str arg, const char *key, struct kurir_str *to)
{
	struct kurir_str k = kurir_str_of(key);
	if (!kurir_str_starts(arg, k))
		return false;
	*to = kurir_str_part(arg, k.len, arg.len);
	return true;
}

/* size = 1*DIGIT [ "K" / "M" / "G" ] */
static int parse_size(struct kurir_str s, uint64_t *ret)
{
	unsigned shift = 0;
	char c = s.len > 0 ? s.ptr[s.len - 1] : 0;
	if (c == 'K' || c == 'M' || c == 'G') {
		shift = c == 'K' ? 10 : c == 'M' ? 20 : 30;
		s.len--;
	}
	int r = kurir_str_number(s, UINT32_MAX, ret);
	*ret <<= r == 0 ? shift : 0;
	return r;
}

/* 1: one of those with a measure; 0: another; -EINVAL. */
static int parse_measure(struct kurir_str arg, struct predicate *p)
{
	struct kurir_str v;
	int r = 0;
	if (take_key(arg, "older=", &v))
		r = queue_span(v, &p->older);
	else if (take_key(arg, "younger=", &v))
		r = queue_span(v, &p->younger);
	else if (take_key(arg, "larger=", &v))
		r = parse_size(v, &p->larger);
	else if (take_key(arg, "smaller=", &v))
		r = parse_size(v, &p->smaller);
	else if (take_key(arg, "reason=", &v))
		r = (p->reason = scheduler_reason(v)) != 0 ? 0 : -EINVAL;
	else
		return 0;
	return r < 0 ? -EINVAL : 1;
}

/* cursor = 8( 1*DIGIT "." ), see struct cursor. */
static int parse_cursor(struct kurir_str s, struct cursor *c)
{
	uint64_t n[8];
	for (unsigned i = 0; i < 8; i++) {
		ssize_t dot = kurir_str_find(s, '.');
		if (dot < 0 ||
		    kurir_str_number(kurir_str_part(s, 0, (size_t)dot), INT64_MAX, &n[i]) < 0)
			return -EINVAL;
		s = kurir_str_part(s, (size_t)dot + 1, s.len);
	}
	*c = (struct cursor){ .at = { (int64_t)n[0], (uint32_t)n[1], n[2], n[3] },
		.index = (uint32_t)n[4],
		.recipients = n[5],
		.messages = n[6],
		.later = n[7],
		.begun = true };
	return s.len == 0 ? 0 : -EINVAL;
}

/* 1: one of those with a name; 0: another. */
static int parse_named(struct kurir_str arg, struct predicate *p)
{
	return take_key(arg, "id=", &p->id) || take_key(arg, "sender=", &p->sender) ||
	    take_key(arg, "rcpt=", &p->rcpt) || take_key(arg, "domain=", &p->domain) ||
	    take_key(arg, "state=", &p->state) || take_key(arg, "site=", &p->site);
}

static int parse_one(struct kurir_str arg, struct predicate *p)
{
	struct kurir_str after;
	if (take_key(arg, "to=", &p->to))
		return 0;
	if (take_key(arg, "after=", &after))
		return parse_cursor(after, &p->after);
	p->any = true;
	int r = parse_measure(arg, p);
	if (r != 0)
		return r < 0 ? r : 0;
	if (kurir_str_equal(arg, KURIR_STR("all")) || parse_named(arg, p))
		return 0;
	if (kurir_str_find(arg, '@') >= 0)
		p->address = arg; /* before "=": a local part may have one */
	else if (arg.len == 0 || kurir_str_find(arg, '=') >= 0)
		return -EINVAL;
	else if (kurir_str_find(arg, '.') >= 0)
		p->domain = arg;
	else
		p->id = arg;
	return 0;
}

int predicate_parse(const json_t *args, struct predicate *p)
{
	int r = 0;
	for (size_t i = 1; r == 0 && i < json_array_size(args); i++) {
		const char *text = json_string_value(json_array_get(args, i));
		struct kurir_str arg = kurir_str_of(text != NULL ? text : "");
		if (!kurir_str_starts(arg, KURIR_STR("after=")))
			p->request = p->request * 31 + kurir_str_hash(arg);
		r = parse_one(arg, p);
	}
	p->id_hash = (uint32_t)kurir_str_hash(p->id);
	return r;
}

uint64_t command_size(const struct queue *q, const struct message *m)
{
	char name[SEGMENT_NAME_MAX];
	struct stat st;
	segment_name(name, m->body_file, ".body");
	if (m->body_file != 0 && fstatat(q->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return m->bytes + (uint64_t)st.st_size;
	return m->bytes;
}

struct kurir_str command_site(const struct entry *x)
{
	const struct destination *d = x->destination;
	struct kurir_str none = { "", 0 };
	return d != NULL ? (struct kurir_str){ d->name, d->name_length } : none;
}

static bool match_state(const struct predicate *p, const struct entry *x)
{
	if (entry_decided(x) || (p->reason != 0 && p->reason != x->reason))
		return false;
	if (p->site.len > 0 && !kurir_str_equal_nocase(p->site, command_site(x)))
		return false;
	return p->state.len == 0 ||
	    kurir_str_equal(p->state, kurir_str_of(command_state_names[x->state]));
}

bool predicate_message(
    const struct queue *q, const struct predicate *p, const struct message *m, int64_t now)
{
	int64_t age = now - m->arrived;
	if (m->dead || (p->id.len > 0 && m->id_hash != p->id_hash))
		return false;
	if ((p->older > 0 && age <= p->older) || (p->younger > 0 && age >= p->younger))
		return false;
	uint32_t i = 0;
	while (i < m->count && !match_state(p, &m->entries[i]))
		i++;
	if (i == m->count)
		return false;
	if (p->larger == 0 && p->smaller == 0)
		return true;
	uint64_t bytes = command_size(q, m);
	return (p->larger == 0 || bytes > p->larger) && (p->smaller == 0 || bytes < p->smaller);
}

bool predicate_envelope(const struct predicate *p, const struct kurir_envelope *e)
{
	if (p->id.len > 0 && !kurir_str_equal(p->id, e->id))
		return false;
	return p->sender.len == 0 || kurir_str_equal_nocase(p->sender, e->sender) ||
	    (e->sender.len == 0 && kurir_str_equal(p->sender, KURIR_STR("<>")));
}

bool predicate_entry(const struct predicate *p, const struct kurir_envelope *e,
    const struct entry *x, const struct kurir_recipient *r)
{
	struct kurir_str domain = kurir_str_part(
	    r->address, (size_t)(kurir_str_find_last(r->address, '@') + 1), r->address.len);
	if (!match_state(p, x))
		return false;
	if (p->rcpt.len > 0 && !kurir_str_equal_nocase(p->rcpt, r->address))
		return false;
	if (p->domain.len > 0 && !kurir_str_equal_nocase(p->domain, domain))
		return false;
	if (p->to.len > 0 && kurir_str_equal(p->to, r->address))
		return false; /* is there already */
	return p->address.len == 0 || kurir_str_equal_nocase(p->address, r->address) ||
	    kurir_str_equal_nocase(p->address, e->sender);
}

/* RFC 5321 4.1.2, without quoted strings and literals: who needs those sends the mail anew.
 *
 *	Mailbox    = Dot-string "@" Domain
 *	Dot-string = Atom *("."  Atom)
 *	Domain     = sub-domain *("." sub-domain)
 *
 * RFC 6531 3.3 adds what is beyond ASCII to both. */
static bool is_atext(unsigned char c, bool domain)
{
	if (c >= 128 || c == '-' || (c >= '0' && c <= '9'))
		return true;
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return true;
	return !domain && c > ' ' && strchr("!#$%&'*+/=?^_`{|}~", c) != NULL;
}

/* Of one character at least between any two dots. */
static bool is_dotted(struct kurir_str s, bool domain)
{
	char last = '.';
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '.' ? last == '.' : !is_atext((unsigned char)s.ptr[i], domain))
			return false;
		last = s.ptr[i];
	}
	return last != '.';
}

bool command_is_mailbox(struct kurir_str a)
{
	ssize_t at = kurir_str_find(a, '@');
	return at > 0 && at <= 64 && a.len <= 254 &&
	    is_dotted((struct kurir_str){ a.ptr, (size_t)at }, false) &&
	    is_dotted(kurir_str_part(a, (size_t)at + 1, a.len), true);
}
