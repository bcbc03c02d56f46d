/* shim.c - for LD_PRELOAD: hands syncfs(2) to the recorder, which FUSE does not tell of it. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault.h"

__attribute__((visibility("default"))) int syncfs(int fd)
{
	int saved = errno;
	if (ioctl(fd, FAULT_SYNCFS) == 0)
		return 0;
	errno = saved;
	return (int)syscall(SYS_syncfs, fd);
}
