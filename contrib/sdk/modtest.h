/* modtest.h - the parts of kurir-modtest. */
#ifndef SDK_MODTEST_H
#define SDK_MODTEST_H

#include <kurir/module.h>

/* Puts functions of ours before a module's hooks: they look at what comes back, and whether one
 * waits that must not. */
void modtest_watch(struct kurir_module *);
/* After a round of the scenario: what the server holds now. */
void modtest_measure(unsigned round);
/* What grew with every round: how many kinds of things; each was said. */
unsigned modtest_growth(void);
#define MODTEST_ROUNDS 8
/* Plays the scenario with other bytes than it has, times times, the first with that seed: how many
 * times the server did not survive; each was said. */
unsigned modtest_fuzz(unsigned times, unsigned seed);

#endif
