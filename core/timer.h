/* timer.h - between the loop and its timers; everyone else uses loop.h. */
#ifndef CORE_TIMER_H
#define CORE_TIMER_H

#include "loop.h"

kurir_time timer_next(void); /* KURIR_FOREVER: none */
unsigned timer_fire(kurir_time now);
void timer_fini(void);

#endif
