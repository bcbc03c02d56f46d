/* notify.h - tells systemd how the service is (sd_notify(3), without its library). */
#ifndef CORE_NOTIFY_H
#define CORE_NOTIFY_H

#include <kurir/module.h>

/* "READY=1", "RELOADING=1", "STOPPING=1", "STATUS=..."; silent when nobody listens. */
void notify_send(const char *state);

/* Sockets that systemd bound for us (LISTEN_FDS): the next one, from 0, and its name; false
 * after the last. */
bool notify_listener(unsigned n, int *ret_fd, struct kurir_str *ret_name);

#endif
