/* fuzz_policy.c - any bytes as the action of a policy server. */
#include <modules/policy/policy.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_answer a;

	if (policy_parse((struct kurir_str){ (const char *)data, size }, &a) < 0)
		return 0;
	if (a.action == POLICY_UNKNOWN || (a.action == POLICY_PREPEND && a.name.len == 0) ||
	    (a.code != 0 && (a.code < 400 || a.code > 599)))
		abort();
	return 0;
}
