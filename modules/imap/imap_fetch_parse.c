/* imap_fetch_parse.c - what FETCH is asked for.
 *
 *   fetch     = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att /
 *               "(" fetch-att *(SP fetch-att) ")")               ; RFC 9051 section 9
 *   fetch-att = "ENVELOPE" / "FLAGS" / "INTERNALDATE" / "RFC822" [".HEADER" / ".SIZE" / ".TEXT"] /
 *               "BODY" ["STRUCTURE"] / "UID" / "BODY" [".PEEK"] section [partial] /
 *               "BINARY" [".PEEK"] section-binary [partial] / "BINARY.SIZE" section-binary /
 *               "MODSEQ" / "PREVIEW" [SP "(" "LAZY" ")"] /       ; RFC 7162, 8970
 *               "SAVEDATE" / "EMAILID" / "THREADID"              ; RFC 8514, 8474
 *   section   = "[" [section-spec] "]"       partial = "<" number "." nz-number ">" */

#include <errno.h>
#include <string.h>

#include "imap_body.h"

static const struct {
	const char *name;
	struct imap_item item;
} simple[] = {
	{ "FLAGS", { .kind = IMAP_ITEM_FLAGS } },
	{ "UID", { .kind = IMAP_ITEM_UID } },
	{ "INTERNALDATE", { .kind = IMAP_ITEM_DATE } },
	{ "RFC822.SIZE", { .kind = IMAP_ITEM_SIZE } },
	{ "MODSEQ", { .kind = IMAP_ITEM_MODSEQ } },
	{ "SAVEDATE", { .kind = IMAP_ITEM_SAVEDATE } },
	{ "EMAILID", { .kind = IMAP_ITEM_EMAIL_ID } },
	{ "THREADID", { .kind = IMAP_ITEM_THREAD_ID } },
	{ "PREVIEW", { .kind = IMAP_ITEM_PREVIEW } },
	{ "ENVELOPE", { .kind = IMAP_ITEM_ENVELOPE } },
	{ "BODYSTRUCTURE", { .kind = IMAP_ITEM_BODYSTRUCTURE } },
	{ "BODY", { .kind = IMAP_ITEM_BODY } },
	{ "RFC822", { .kind = IMAP_ITEM_SECTION, .label = "RFC822", .text = IMAP_TEXT_ALL } },
	{ "RFC822.HEADER",
	    { .kind = IMAP_ITEM_SECTION,
		.label = "RFC822.HEADER",
		.text = IMAP_TEXT_HEADER,
		.peek = true } },
	{ "RFC822.TEXT",
	    { .kind = IMAP_ITEM_SECTION, .label = "RFC822.TEXT", .text = IMAP_TEXT_TEXT } },
};

static const struct {
	const char *name;
	enum imap_section_text text;
} texts[] = {
	{ "HEADER.FIELDS.NOT", IMAP_TEXT_FIELDS_NOT },
	{ "HEADER.FIELDS", IMAP_TEXT_FIELDS },
	{ "HEADER", IMAP_TEXT_HEADER },
	{ "TEXT", IMAP_TEXT_TEXT },
	{ "MIME", IMAP_TEXT_MIME },
};

/* A word of an item: letters, digits and dots. */
static struct kurir_str word(struct imap_args *a)
{
	size_t n = 0;
	struct kurir_str w;

	while (n < a->rest.len && a->rest.ptr[n] != ' ' && !memchr("[]<>()", a->rest.ptr[n], 6))
		n++;
	w = kurir_str_part(a->rest, 0, n);
	a->rest = kurir_str_part(a->rest, n, a->rest.len);
	return w;
}

/* header-list = "(" astring *(SP astring) ")" */
static int field_list(struct imap_args *a, struct kurir_texts *ret)
{
	struct kurir_str *names = kurir_alloc(kurir_scratch(), 200 * sizeof(*names));
	size_t n = 0;

	if (!imap_space(a) || !imap_take(a, '('))
		return -EBADMSG;
	do
		if (n == 200 || imap_astring(a, &names[n++]) < 0)
			return -EBADMSG;
	while (imap_space(a));
	*ret = (struct kurir_texts){ n, names };
	return imap_take(a, ')') ? 0 : -EBADMSG;
}

/* section-part = nz-number *("." nz-number); the rest of the word is left in *w. */
static int section_part(struct kurir_str *rest, struct imap_item *item)
{
	struct kurir_str w = *rest;
	uint64_t n;

	while (w.len > 0 && w.ptr[0] >= '0' && w.ptr[0] <= '9') {
		ssize_t dot = kurir_str_find(w, '.');
		struct kurir_str number = kurir_str_part(w, 0, dot < 0 ? w.len : (size_t)dot);

		if (item->depth == IMAP_SECTION_DEPTH ||
		    kurir_str_number(number, UINT32_MAX, &n) < 0 || n == 0)
			return -EBADMSG;
		item->numbers[item->depth++] = (uint32_t)n;
		w = dot < 0 ? KURIR_STR("") : kurir_str_part(w, (size_t)dot + 1, w.len);
		if (dot >= 0 && w.len == 0)
			return -EBADMSG;
	}
	*rest = w;
	return 0;
}

/* section-spec = section-msgtext / (section-part ["." section-text]) */
int imap_section_parse(struct imap_args *a, struct imap_item *item)
{
	struct kurir_str w = word(a);

	if (section_part(&w, item) < 0)
		return -EBADMSG;
	if (w.len == 0)
		return 0;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		if (!kurir_str_equal_nocase(w, kurir_str_of(texts[i].name)))
			continue;
		item->text = texts[i].text;
		if (item->text == IMAP_TEXT_MIME && item->depth == 0)
			return -EBADMSG;
		if (item->text == IMAP_TEXT_FIELDS || item->text == IMAP_TEXT_FIELDS_NOT)
			return field_list(a, &item->fields);
		return 0;
	}
	return -EBADMSG;
}

/* ["<" number "." nz-number ">"] */
static int partial(struct imap_args *a, struct imap_item *item)
{
	if (!imap_take(a, '<'))
		return 0;
	item->partial = true;
	if (imap_number(a, &item->start) < 0 || !imap_take(a, '.') ||
	    imap_number(a, &item->octets) < 0 || item->octets == 0 || !imap_take(a, '>'))
		return -EBADMSG;
	return 0;
}

/* "[" section "]" with what the client wrote between them, and what part of it it wants. */
static int section(struct imap_args *a, struct imap_item *item)
{
	struct kurir_str before = a->rest, w;
	int r;

	if (item->kind == IMAP_ITEM_SECTION) {
		r = imap_section_parse(a, item);
	} else {
		w = word(a);
		r = section_part(&w, item) < 0 || w.len > 0 ? -EBADMSG : 0;
	}
	item->spelled = kurir_str_part(before, 0, before.len - a->rest.len);
	if (r < 0 || !imap_take(a, ']'))
		return -EBADMSG;
	return item->kind == IMAP_ITEM_BINARY_SIZE ? 0 : partial(a, item);
}

/* An item of which a section follows its name. */
static int sectioned(struct imap_args *a, struct kurir_str name, struct imap_item *item)
{
	static const struct {
		const char *name;
		enum imap_item_kind kind;
		bool peek;
	} known[] = { { "BODY", IMAP_ITEM_SECTION, false },
		{ "BODY.PEEK", IMAP_ITEM_SECTION, true }, { "BINARY", IMAP_ITEM_BINARY, false },
		{ "BINARY.PEEK", IMAP_ITEM_BINARY, true },
		{ "BINARY.SIZE", IMAP_ITEM_BINARY_SIZE, true } };

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (kurir_str_equal_nocase(name, kurir_str_of(known[i].name)) &&
		    imap_take(a, '[')) {
			item->kind = known[i].kind;
			item->peek = known[i].peek;
			return section(a, item);
		}
	return -ENOENT;
}

/* [SP "(" "LAZY" ")"]; it is computed either way. */
static int modifiers(struct imap_args *a)
{
	struct imap_args b = *a;

	if (!imap_space(&b) || !imap_take(&b, '('))
		return 0;
	if (!imap_take_word(&b, "LAZY") || !imap_take(&b, ')'))
		return -EBADMSG;
	*a = b;
	return 0;
}

static int one_item(struct imap_args *a, struct imap_item *item)
{
	struct kurir_str name = word(a);
	int r;

	*item = (struct imap_item){ .kind = IMAP_ITEM_SECTION };
	r = sectioned(a, name, item);
	if (r != -ENOENT)
		return r;
	for (size_t i = 0; i < sizeof(simple) / sizeof(*simple); i++)
		if (kurir_str_equal_nocase(name, kurir_str_of(simple[i].name))) {
			*item = simple[i].item;
			return item->kind == IMAP_ITEM_PREVIEW ? modifiers(a) : 0;
		}
	return -EBADMSG;
}

/* ALL, FAST and FULL stand for several; 0: it was none of them. */
static size_t macro(struct imap_args *a, struct imap_item *items)
{
	static const enum imap_item_kind kinds[] = { IMAP_ITEM_FLAGS, IMAP_ITEM_DATE,
		IMAP_ITEM_SIZE, IMAP_ITEM_ENVELOPE, IMAP_ITEM_BODY };
	size_t n = 0;

	if (imap_take_word(a, "FAST"))
		n = 3;
	else if (imap_take_word(a, "ALL"))
		n = 4;
	else if (imap_take_word(a, "FULL"))
		n = 5;
	for (size_t i = 0; i < n; i++)
		items[i] = (struct imap_item){ .kind = kinds[i] };
	return n;
}

int imap_items_parse(struct imap_args *a, struct imap_item *items, size_t max, size_t *ret_count)
{
	bool list = imap_take(a, '(');
	size_t n = list ? 0 : macro(a, items);

	*ret_count = n;
	if (n > 0)
		return 0;
	do
		if (n == max || one_item(a, &items[n++]) < 0)
			return -EBADMSG;
	while (list && imap_space(a));
	if (list && !imap_take(a, ')'))
		return -EBADMSG;
	*ret_count = n;
	return 0;
}

int imap_items_check(struct imap_args *a)
{
	struct imap_item *items = kurir_alloc(kurir_scratch(), IMAP_ITEMS_MAX * sizeof(*items));
	size_t count;

	return imap_items_parse(a, items, IMAP_ITEMS_MAX - 2, &count);
}
