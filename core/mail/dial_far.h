/* dial_far.h - kurir_dial() of roles that have no network. */
#ifndef CORE_DIAL_FAR_H
#define CORE_DIAL_FAR_H

#include <stdbool.h>

/* serves: the resolver connects for others; asks: this process has others connect for it. */
void dial_far_serve(bool serves, bool asks);

#endif
