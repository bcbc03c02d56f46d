/* smtp_net.c - networks as the configuration writes them: "192.0.2.0/24" "2001:db8::/32". */
#include "smtp_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* IPv4 is kept as ::ffff:a.b.c.d; *ret_extra is what its prefix length lacks. */
static int address(struct kurir_str s, unsigned char to[16], unsigned *ret_extra)
{
	char text[64];

	if (s.len == 0 || s.len >= sizeof(text))
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

int smtp_net_parse(struct kurir_str cidr, struct smtp_net *ret)
{
	ssize_t slash = kurir_str_find(cidr, '/');
	struct kurir_str ip = kurir_str_part(cidr, 0, slash < 0 ? cidr.len : (size_t)slash);
	struct smtp_net net;
	uint64_t bits;
	unsigned extra;

	if (address(ip, net.address, &extra) < 0)
		return -EINVAL;
	bits = 128 - extra;
	if (slash >= 0 &&
	    kurir_str_number(kurir_str_part(cidr, (size_t)slash + 1, cidr.len), bits, &bits) < 0)
		return -EINVAL;
	net.bits = (unsigned)bits + extra;
	*ret = net;
	return 0;
}

bool smtp_net_has(const struct smtp_net *nets, size_t n, struct kurir_str ip)
{
	unsigned char a[16];
	unsigned extra;
	size_t i;

	if (n == 0 || address(ip, a, &extra) < 0)
		return false;
	for (i = 0; i < n; i++) {
		unsigned whole = nets[i].bits / 8, part = nets[i].bits % 8;

		if (memcmp(a, nets[i].address, whole) != 0)
			continue;
		if (part == 0 || ((a[whole] ^ nets[i].address[whole]) >> (8 - part)) == 0)
			return true;
	}
	return false;
}
