/* network.c - networks as the configuration writes them: "192.0.2.0/24" "2001:db8::/32". */
#include <kurir/network.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

struct kurir_network {
	unsigned char address[16]; /* IPv4 as ::ffff:a.b.c.d */
	unsigned bits;		   /* of the 128 */
};

/* *ret_extra is what an IPv4 prefix length lacks. */
static int address(struct kurir_str s, unsigned char to[16], unsigned *ret_extra)
{
	char text[64];

	if (s.len == 0 || s.len >= sizeof(text) || memchr(s.ptr, '\0', s.len) != NULL)
		return -EINVAL;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	memset(to, 0, 16);
	to[10] = to[11] = 0xff;
	*ret_extra = 96;
	if (inet_pton(AF_INET, text, to + 12) == 1)
		return 0;
	*ret_extra = 0;
	return inet_pton(AF_INET6, text, to) == 1 ? 0 : -EINVAL;
}

static int parse(struct kurir_str cidr, struct kurir_network *ret)
{
	ssize_t slash = kurir_str_find(cidr, '/');
	struct kurir_str ip = kurir_str_part(cidr, 0, slash < 0 ? cidr.len : (size_t)slash);
	uint64_t bits;
	unsigned extra;

	if (address(ip, ret->address, &extra) < 0)
		return -EINVAL;
	bits = 128 - extra;
	if (slash >= 0 &&
	    kurir_str_number(kurir_str_part(cidr, (size_t)slash + 1, cidr.len), bits, &bits) < 0)
		return -EINVAL;
	ret->bits = (unsigned)bits + extra;
	return 0;
}

int kurir_networks_parse(struct kurir_arena *arena, struct kurir_texts texts,
    struct kurir_networks *ret, struct kurir_str *error)
{
	struct kurir_network *items = kurir_alloc(arena, (texts.count + 1) * sizeof(*items));
	size_t i;

	for (i = 0; i < texts.count; i++)
		if (parse(texts.items[i], &items[i]) < 0) {
			*error =
			    kurir_format(arena, "\"%.*s\" is not a network such as 192.0.2.0/24",
				KURIR_ARG(kurir_str_part(texts.items[i], 0, 80)));
			return -EINVAL;
		}
	*ret = (struct kurir_networks){ texts.count, items };
	return 0;
}

bool kurir_networks_have(const struct kurir_networks *nets, struct kurir_str ip)
{
	unsigned char a[16];
	unsigned extra;
	size_t i;

	if (nets->count == 0 || address(ip, a, &extra) < 0)
		return false;
	for (i = 0; i < nets->count; i++) {
		const struct kurir_network *n = &nets->items[i];
		unsigned whole = n->bits / 8, part = n->bits % 8;

		if (memcmp(a, n->address, whole) != 0)
			continue;
		if (part == 0 || ((a[whole] ^ n->address[whole]) >> (8 - part)) == 0)
			return true;
	}
	return false;
}

struct kurir_str kurir_network_of(
    struct kurir_arena *arena, struct kurir_str ip, unsigned bits4, unsigned bits6)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char a[16];
	unsigned extra, bits, i;

	if (address(ip, a, &extra) < 0)
		return kurir_copy(arena, ip);
	bits = extra > 0 ? extra + bits4 : bits6;
	for (i = 0; i < 16; i++)
		if (8 * i >= bits)
			a[i] = 0;
		else if (8 * i + 8 > bits)
			a[i] &= (unsigned char)(0xff << (8 * i + 8 - bits));
	if (inet_ntop(extra > 0 ? AF_INET : AF_INET6, extra > 0 ? a + 12 : a, text,
		sizeof(text)) == NULL)
		return kurir_copy(arena, ip);
	return kurir_copy(arena, kurir_str_of(text));
}
