/* uid_set.c - sets of UIDs (kurir/store.h). */

#include <kurir/store.h>

bool kurir_uid_set_has(const struct kurir_uid_set *set, uint32_t uid)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (uid < set->ranges[mid].first)
			high = mid;
		else if (uid > set->ranges[mid].last)
			low = mid + 1;
		else
			return true;
	}
	return false;
}
