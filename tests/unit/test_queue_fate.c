/* test_queue_fate.c - who waits for whom, and what an administrator can do about it. */
#include "queue_unit.h"

int main(void)
{
	return 0;
}
