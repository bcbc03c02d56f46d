/* daemon.h - kurird lives in libkurir; its main() only calls it. */
#ifndef CORE_DAEMON_H
#define CORE_DAEMON_H

#include <kurir/module.h>

KURIR_API int kurir_main(int argc, char **argv);
/* The folder "run" (with the admin socket) or "state" of this configuration, or what a module was
 * told, "modules/NAME/OPTION": 0, -EINVAL, -ENAMETOOLONG. */
KURIR_API int kurir_conf_folder(const char *file, const char *key, char *ret, size_t size);

#endif
