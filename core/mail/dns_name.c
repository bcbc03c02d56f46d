/* dns_name.c - the name under which an address is looked up backwards (RFC 1035 3.5, RFC 3596
 * 2.5). */
#include <kurir/dns.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

int kurir_dns_reverse(struct kurir_arena *arena, struct kurir_str ip, struct kurir_str *ret)
{
	static const char digits[] = "0123456789abcdef";
	char text[INET6_ADDRSTRLEN], name[64 + 1];
	unsigned char a[16];
	size_t n = 0;

	if (ip.len == 0 || ip.len >= sizeof(text) || memchr(ip.ptr, '\0', ip.len) != NULL)
		return -EINVAL;
	memcpy(text, ip.ptr, ip.len);
	text[ip.len] = '\0';
	if (inet_pton(AF_INET, text, a) == 1) {
		*ret = kurir_format(arena, "%u.%u.%u.%u.in-addr.arpa", a[3], a[2], a[1], a[0]);
		return 0;
	}
	if (inet_pton(AF_INET6, text, a) != 1)
		return -EINVAL;
	for (int i = 15; i >= 0; i--) {
		name[n++] = digits[a[i] & 15];
		name[n++] = '.';
		name[n++] = digits[a[i] >> 4];
		name[n++] = '.';
	}
	name[n] = '\0';
	*ret = kurir_format(arena, "%sip6.arpa", name);
	return 0;
}
