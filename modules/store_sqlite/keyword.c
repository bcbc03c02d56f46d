/* keyword.c - lists of keywords: words with a space between them. */
#include "model.h"

#include <errno.h>

struct kurir_str keyword_next(struct kurir_str *list)
{
	ssize_t space = kurir_str_find(*list, ' ');
	size_t n = space < 0 ? list->len : (size_t)space;
	struct kurir_str word = kurir_str_part(*list, 0, n);
	*list = kurir_str_part(*list, space < 0 ? n : n + 1, list->len);
	return word;
}

bool keyword_in(struct kurir_str list, struct kurir_str word)
{
	while (list.len > 0)
		if (kurir_str_equal_nocase(keyword_next(&list), word))
			return true;
	return false;
}

int keyword_add(struct kurir_buf *out, struct kurir_str list, struct kurir_str without)
{
	int r = 0;
	while (list.len > 0 && r == 0) {
		struct kurir_str word = keyword_next(&list);
		if (word.len == 0 || keyword_in(without, word))
			continue;
		if (out->len + (out->len > 0) + word.len > out->limit)
			return -EMSGSIZE;
		if (out->len > 0)
			r = kurir_buf_add(out, KURIR_STR(" "));
		if (r == 0)
			r = kurir_buf_add(out, word);
	}
	return r;
}
