/* tablepool_job.c - a question as it comes, and its answer. */
#include "tablepool.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define VALUES_BYTES ((size_t)256 * 1024)

int table_job_add(struct table_job *job, struct kurir_str value)
{
	int r = 0;

	if (job->count == KURIR_TABLE_VALUES_MAX)
		return -E2BIG;
	if (job->count == 0)
		job->values = KURIR_BUF(VALUES_BYTES);
	r = kurir_put_text(&job->values, value);
	job->count += r == 0;
	return r == -EMSGSIZE ? -E2BIG : r;
}

void table_job_fail(struct table_job *job, const char *why)
{
	(void)snprintf(job->error, sizeof(job->error), "%.*s", (int)strcspn(why, "\r\n"), why);
}

int64_t table_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

const char *table_map_of(const struct kurir_map *map, struct kurir_str name)
{
	for (size_t i = 0; i < map->count; i++)
		if (kurir_str_equal(map->items[i].key, name) && map->items[i].values.count > 0)
			return map->items[i].values.items[0].ptr;
	return NULL;
}
