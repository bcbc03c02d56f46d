/* daemon.h - kurird lives in libkurir; its main() only calls it. */
#ifndef CORE_DAEMON_H
#define CORE_DAEMON_H

#include <kurir/module.h>

KURIR_API int kurir_main(int argc, char **argv);
/* Where the server of this configuration has its admin socket: 0, -EINVAL, -ENAMETOOLONG. */
KURIR_API int kurir_control_path(const char *file, char *ret, size_t size);

#endif
