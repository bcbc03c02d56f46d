/* fault.h - what recorder.c and shim.c have agreed on. */
#ifndef TESTS_FAULT_FAULT_H
#define TESTS_FAULT_FAULT_H

#include <sys/ioctl.h>

/* syncfs(2) for a file system that is not told of it. */
#define FAULT_SYNCFS _IO('k', 1)

#endif
