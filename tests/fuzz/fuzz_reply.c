/* fuzz_reply.c - what another server says: replies, offers, and our dots. */
#include <modules/relay_smtp/relay.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_str rest = { size > 0 ? (const char *)data : "", size };
	struct relay_reply reply = { 0 };
	struct relay_offer offer = { 0 };
	bool start = true;
	char *out = malloc(2 * size + 1);

	while (rest.len > 0) {
		ssize_t lf = kurir_str_find(rest, '\n');
		size_t len = lf < 0 ? rest.len : (size_t)lf + 1;

		relay_offer_line(&offer, kurir_str_part(rest, 0, len));
		if (relay_reply_line(&reply, kurir_str_part(rest, 0, len)) <= 0)
			memset(&reply, 0, sizeof(reply));
		if (reply.text_len > sizeof(reply.text) || reply.xyz_len > sizeof(reply.xyz))
			abort();
		rest = kurir_str_part(rest, len, rest.len);
	}
	if (out == NULL || relay_stuff((const char *)data, size, out, &start) < size)
		abort();
	free(out);
	return 0;
}
