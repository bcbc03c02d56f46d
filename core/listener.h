/* listener.h - accepts connections and gives each a fiber that runs its protocol. */
#ifndef CORE_LISTENER_H
#define CORE_LISTENER_H

#include "conf.h"

/* Takes fd, a listening socket for conf.  -ENOENT: nobody provides its protocol. */
int listener_add(const struct conf_listener *conf, int fd);
void listener_start(void); /* from now on connections are accepted */
void listener_stop(void);  /* no more; those that are there go on */
/* Ends the sessions that are still there, and forgets the listeners. */
void listener_finish(void) KURIR_PARKS;

/* A connection of another role or of a test: runs fn for it in the same way. */
int listener_go(void (*fn)(void *), void *arg);

/* How many one peer has; the key is its address, for IPv6 its /64. */
bool peer_enter(const char *ip, int64_t limit);
void peer_leave(const char *ip);

#endif
