/* fault.h - what recorder.c and shim.c have agreed on, and those who preload nth.c with it. */
#ifndef TESTS_FAULT_FAULT_H
#define TESTS_FAULT_FAULT_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* syncfs(2) for a file system that is not told of it. */
#define FAULT_SYNCFS _IO('k', 1)

/* nth.c; class Plan of faultlib.py writes and reads these by their offsets. */
struct fault_plan {
	/* armed: 0 no; 1 the n-th; 2 all from the n-th on; 3 what opens a file, from the n-th on */
	_Atomic uint64_t armed, n, error, seen, hits;
	_Atomic uint64_t memory_n, memory_seen, memory_hits;
	char name[64]; /* the operation that failed first */
	char only[64]; /* what stands in the names of the files that fail */
};

#endif
