/* maildir_name.c - the name of a message's file.
 *
 *   file   = unique *("," ALPHA "=" 1*DIGIT) [":2," *flag]
 *   flag   = "D" / "F" / "P" / "R" / "S" / "T" / keyword letters of other programs, in order
 *   unique begins with the seconds of the delivery */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "maildir.h"

static const struct {
	char letter;
	uint32_t flag;
} letters[] = {
	{ 'D', KURIR_MESSAGE_DRAFT },
	{ 'F', KURIR_MESSAGE_FLAGGED },
	{ 'R', KURIR_MESSAGE_ANSWERED },
	{ 'S', KURIR_MESSAGE_SEEN },
	{ 'T', KURIR_MESSAGE_DELETED },
};

static uint32_t flag_of(char letter)
{
	for (size_t i = 0; i < sizeof(letters) / sizeof(*letters); i++)
		if (letters[i].letter == letter)
			return letters[i].flag;
	return 0;
}

static bool is_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static uint64_t attribute(struct kurir_str base, const char *key)
{
	uint64_t v;

	while (base.len > 0) {
		ssize_t comma = kurir_str_find(base, ',');
		struct kurir_str rest;

		if (comma < 0)
			return 0;
		base = kurir_str_part(base, (size_t)comma + 1, base.len);
		if (!kurir_str_starts(base, kurir_str_of(key)))
			continue;
		rest = kurir_str_part(base, 2, base.len);
		comma = kurir_str_find(rest, ',');
		if (comma >= 0)
			rest = kurir_str_part(rest, 0, (size_t)comma);
		return kurir_str_number(rest, INT64_MAX, &v) < 0 ? 0 : v;
	}
	return 0;
}

void maildir_name_parse(struct kurir_str file, struct maildir_name *ret)
{
	ssize_t colon = kurir_str_find(file, ':'), dot;
	uint64_t seconds;

	*ret = (struct maildir_name){ .base = file, .info = KURIR_STR("") };
	if (colon >= 0) {
		struct kurir_str info = kurir_str_part(file, (size_t)colon, file.len);

		ret->base = kurir_str_part(file, 0, (size_t)colon);
		if (kurir_str_starts(info, KURIR_STR(":2,")))
			ret->info = kurir_str_part(info, 3, info.len);
		for (size_t i = 0; i < ret->info.len; i++)
			ret->flags |= flag_of(ret->info.ptr[i]);
	}
	ret->wire_size = attribute(ret->base, "W=");
	dot = kurir_str_find(ret->base, '.');
	if (dot > 0 &&
	    kurir_str_number(kurir_str_part(ret->base, 0, (size_t)dot), 1ull << 40, &seconds) ==
		0)
		ret->date = (int64_t)seconds * 1000;
}

int maildir_name_make(
    struct kurir_str base, uint32_t flags, struct kurir_str info, char ret[MAILDIR_NAME_MAX + 1])
{
	bool set[128] = { false };
	size_t at = base.len;

	for (size_t i = 0; i < sizeof(letters) / sizeof(*letters); i++)
		set[(int)letters[i].letter] = flags & letters[i].flag;
	for (size_t i = 0; i < info.len; i++)
		if (is_letter(info.ptr[i]) && flag_of(info.ptr[i]) == 0)
			set[(int)info.ptr[i]] = true;
	if (base.len + 3 > MAILDIR_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(ret, base.ptr, base.len);
	memcpy(ret + at, ":2,", 3);
	at += 3;
	for (int c = 'A'; c <= 'z'; c++) {
		if (!set[c])
			continue;
		if (at == MAILDIR_NAME_MAX)
			return -ENAMETOOLONG;
		ret[at++] = (char)c;
	}
	ret[at] = '\0';
	return 0;
}
