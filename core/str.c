/* str.c - bytes that somebody else owns: comparing, searching, cutting, numbers. */
#include <kurir/module.h>

#include <errno.h>
#include <string.h>

struct kurir_str kurir_str_of(const char *nul_terminated)
{
	return (struct kurir_str){ nul_terminated, strlen(nul_terminated) };
}

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static bool same_nocase(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return true;
}

bool kurir_str_equal(struct kurir_str a, struct kurir_str b)
{
	return a.len == b.len && (!a.len || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool kurir_str_equal_nocase(struct kurir_str a, struct kurir_str b)
{
	return a.len == b.len && same_nocase(a.ptr, b.ptr, a.len);
}

int kurir_str_compare(struct kurir_str a, struct kurir_str b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int r = n ? memcmp(a.ptr, b.ptr, n) : 0;
	if (r)
		return r < 0 ? -1 : 1;
	return (a.len > b.len) - (a.len < b.len);
}

bool kurir_str_starts(struct kurir_str s, struct kurir_str prefix)
{
	return s.len >= prefix.len && (!prefix.len || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

bool kurir_str_starts_nocase(struct kurir_str s, struct kurir_str prefix)
{
	return s.len >= prefix.len && same_nocase(s.ptr, prefix.ptr, prefix.len);
}

ssize_t kurir_str_find(struct kurir_str s, char c)
{
	const char *p = s.len ? memchr(s.ptr, c, s.len) : NULL;
	return p ? p - s.ptr : -1;
}

ssize_t kurir_str_find_last(struct kurir_str s, char c)
{
	const char *p = s.len ? memrchr(s.ptr, c, s.len) : NULL;
	return p ? p - s.ptr : -1;
}

struct kurir_str kurir_str_part(struct kurir_str s, size_t start, size_t len)
{
	if (start > s.len)
		start = s.len;
	if (len > s.len - start)
		len = s.len - start;
	/* A zeroed str has no pointer to add to. */
	return (struct kurir_str){ start > 0 ? s.ptr + start : s.ptr, len };
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct kurir_str kurir_str_trim(struct kurir_str s)
{
	while (s.len && is_space(s.ptr[s.len - 1]))
		s.len--;
	while (s.len && is_space(s.ptr[0])) {
		s.ptr++;
		s.len--;
	}
	return s;
}

int kurir_str_number(struct kurir_str s, uint64_t max, uint64_t *ret)
{
	uint64_t n = 0;
	bool over = false;
	if (!s.len)
		return -EINVAL;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return -EINVAL;
		unsigned digit = (unsigned)(s.ptr[i] - '0');
		if (n > (UINT64_MAX - digit) / 10)
			over = true;
		n = n * 10 + digit;
	}
	if (over || n > max)
		return -ERANGE;
	*ret = n;
	return 0;
}

/* FNV-1a, then MurmurHash3's last mixing: names shards, so it never changes. */
uint64_t kurir_str_hash(struct kurir_str s)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.ptr[i]) * 0x100000001b3u;
	h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
	h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
	return h ^ (h >> 33);
}
