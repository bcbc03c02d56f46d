/* json_depth.c - how deep a JSON text goes, found without a stack. */
#include <kurir/module.h>

bool kurir_json_is_flat(struct kurir_str s, unsigned most)
{
	unsigned depth = 0;
	bool text = false;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (text && c == '\\')
			i++;
		else if (c == '"')
			text = !text;
		else if (!text && (c == '[' || c == '{') && ++depth > most)
			return false;
		else if (!text && (c == ']' || c == '}') && depth > 0)
			depth--;
	}
	return true;
}
