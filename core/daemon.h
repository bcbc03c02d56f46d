/* daemon.h - kurird lives in libkurir; its main() only calls it. */
#ifndef CORE_DAEMON_H
#define CORE_DAEMON_H

#include <kurir/module.h>

KURIR_API int kurir_main(int argc, char **argv);

#endif
