/* kurir/network.h - networks of IP addresses, as a configuration writes them.
 *
 *   network = ip4 [ "/" 0-32 ] / ip6 [ "/" 0-128 ]        without a length: that address */
#ifndef KURIR_NETWORK_H
#define KURIR_NETWORK_H

#include <kurir/module.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kurir_network; /* parsed; in the arena that it was parsed into */
struct kurir_networks {
	size_t count;
	const struct kurir_network *items;
};
/* All of an option's texts: 0, or -EINVAL with *error naming the first that is none. */
KURIR_API int kurir_networks_parse(struct kurir_arena *, struct kurir_texts,
    struct kurir_networks *ret, struct kurir_str *error);
/* False, too, for what is no address. */
KURIR_API bool kurir_networks_have(const struct kurir_networks *, struct kurir_str ip);
/* The network that an address is in, by the number of bits for its family: "192.0.2.7" with 24
 * gives "192.0.2.0".  ip as it is when it is no address. */
KURIR_API struct kurir_str kurir_network_of(
    struct kurir_arena *, struct kurir_str ip, unsigned bits4, unsigned bits6);

#ifdef __cplusplus
}
#endif
#endif
