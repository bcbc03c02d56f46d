/* mime_entity.c - what an entity's header says of it.
 *
 *   entity-headers := [content CRLF] [encoding CRLF] [id CRLF] [description CRLF]
 *                     *(mime-extension-field CRLF)                  ; RFC 2045 section 3
 *   content        := "Content-Type" ":" type "/" subtype *(";" parameter)
 *   disposition    := "Content-Disposition" ":" disposition-type *(";" parameter) ; RFC 2183
 *
 * One look at each field; of those that may stand once the first counts. */

#include <string.h>

#include "mime_private.h"

enum field {
	FIELD_TYPE = MIME_ENVELOPE_FIELDS,
	FIELD_DISPOSITION,
	FIELD_ENCODING,
	FIELD_ID,
	FIELD_DESCRIPTION,
	FIELD_LANGUAGE,
	FIELD_LOCATION,
	FIELD_MD5,
	FIELD_REFERENCES,
	FIELDS,
};

static const struct kurir_str names[FIELDS] = {
	[MIME_DATE] = { "Date", 4 },
	[MIME_SUBJECT] = { "Subject", 7 },
	[MIME_FROM] = { "From", 4 },
	[MIME_SENDER] = { "Sender", 6 },
	[MIME_REPLY_TO] = { "Reply-To", 8 },
	[MIME_TO] = { "To", 2 },
	[MIME_CC] = { "Cc", 2 },
	[MIME_BCC] = { "Bcc", 3 },
	[MIME_IN_REPLY_TO] = { "In-Reply-To", 11 },
	[MIME_MESSAGE_ID] = { "Message-ID", 10 },
	[FIELD_TYPE] = { "Content-Type", 12 },
	[FIELD_DISPOSITION] = { "Content-Disposition", 19 },
	[FIELD_ENCODING] = { "Content-Transfer-Encoding", 25 },
	[FIELD_ID] = { "Content-ID", 10 },
	[FIELD_DESCRIPTION] = { "Content-Description", 19 },
	[FIELD_LANGUAGE] = { "Content-Language", 16 },
	[FIELD_LOCATION] = { "Content-Location", 16 },
	[FIELD_MD5] = { "Content-MD5", 11 },
	[FIELD_REFERENCES] = { "References", 10 },
};

struct kurir_str mime_param(
    struct kurir_arena *arena, const struct mime_field *f, const char *name)
{
	struct kurir_str want = kurir_str_of(name), text;

	for (size_t i = 0; i < f->count; i++)
		if (kurir_str_equal_nocase(f->params[i].name, want))
			return f->params[i].value;
	text = f->count > 0 ? mime_param_text(arena, f, want) : KURIR_STR("");
	return text.ptr ? text : KURIR_STR("");
}

/* The raw values of the fields that are wanted; ptr NULL: not there. */
static void find(struct kurir_str header, struct kurir_str values[FIELDS], bool message)
{
	struct kurir_str name, all;

	while (mime_header_next(&header, &name, &all)) {
		for (size_t i = message ? 0 : FIELD_TYPE; i < FIELDS; i++) {
			ssize_t colon;

			if (name.len != names[i].len || values[i].ptr ||
			    !kurir_str_equal_nocase(name, names[i]))
				continue;
			colon = kurir_str_find(all, ':');
			values[i] = kurir_str_part(all, (size_t)colon + 1, all.len);
			break;
		}
	}
}

/* token := 1*<any (US-ASCII) CHAR except SPACE, CTLs, or tspecials>; what s begins with */
static struct kurir_str token(struct kurir_str s)
{
	size_t n = 0;

	while (n < s.len && s.ptr[n] > ' ' && s.ptr[n] < 127 &&
	    !strchr("()<>@,;:\\\"/[]?=", s.ptr[n]))
		n++;
	return kurir_str_part(s, 0, n);
}

/* type "/" subtype; what is not that is text/plain, or message/rfc822 in a digest. */
static void set_type(struct mime_part *part, bool in_digest)
{
	struct kurir_str value = part->content_type.value;
	ssize_t slash = value.ptr ? kurir_str_find(value, '/') : -1;

	if (slash > 0) {
		part->type = token(kurir_str_part(value, 0, (size_t)slash));
		part->subtype =
		    token(kurir_str_trim(kurir_str_part(value, (size_t)slash + 1, value.len)));
	}
	if (part->type.len == 0 || part->subtype.len == 0) {
		part->type = in_digest ? KURIR_STR("message") : KURIR_STR("text");
		part->subtype = in_digest ? KURIR_STR("rfc822") : KURIR_STR("plain");
	}
}

/* A word without the comments that may stand around it. */
static struct kurir_str bare(struct kurir_arena *arena, struct kurir_str value)
{
	struct mime_field field;

	if (!value.ptr || kurir_str_find(value, '(') < 0)
		return value;
	mime_field_parse(arena, value, &field);
	return field.value;
}

static bool is_encoded(struct kurir_str encoding)
{
	return encoding.len > 0 && !kurir_str_equal_nocase(encoding, KURIR_STR("7bit")) &&
	    !kurir_str_equal_nocase(encoding, KURIR_STR("8bit")) &&
	    !kurir_str_equal_nocase(encoding, KURIR_STR("binary"));
}

void mime_entity(struct kurir_arena *arena, struct kurir_str header, struct mime_part *part,
    bool in_digest, bool message, struct mime_message *ret)
{
	struct kurir_str v[FIELDS] = { { NULL, 0 } };

	find(header, v, message);
	/* In the arena, as the header goes; what only an envelope needs, when it is one. */
	for (size_t i = 0; i < FIELDS; i++)
		if (v[i].ptr && (i != FIELD_REFERENCES || ret))
			v[i] = mime_unfold(arena, v[i]);
	mime_field_parse(arena, v[FIELD_TYPE], &part->content_type);
	set_type(part, in_digest);
	mime_field_parse(arena, v[FIELD_DISPOSITION], &part->disposition);
	part->encoding = bare(arena, v[FIELD_ENCODING]);
	part->encoded = is_encoded(part->encoding);
	part->id = v[FIELD_ID];
	part->description = v[FIELD_DESCRIPTION];
	part->language = v[FIELD_LANGUAGE];
	part->location = v[FIELD_LOCATION];
	part->md5 = v[FIELD_MD5];
	if (message)
		part->envelope = mime_envelope(arena, v);
	if (ret) {
		ret->subject = v[MIME_SUBJECT];
		ret->message_id = v[MIME_MESSAGE_ID];
		ret->in_reply_to = v[MIME_IN_REPLY_TO];
		ret->references = v[FIELD_REFERENCES];
	}
}
