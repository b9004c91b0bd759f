/* shrink.h -- a failing seed with less of everything, as long as it fails the same way: without
 * kinds of trouble, with fewer clients, with fewer events. Each trial is a process of its own, so
 * that one that ends in a failed assertion is a finding like any other.
 */
#ifndef SIM_SHRINK_H
#define SIM_SHRINK_H
#include "town.h"

/* In a process of their own; words say so when that died. take is called for each, in order. */
void shrink_runs(uint64_t seed, uint64_t count, const plan_less *less,
    void (*take)(void *ctx, uint64_t seed, const town_report *r), void *ctx);
void shrink_run(uint64_t seed, const plan_less *less, town_report *out);
/* Tries for as long as it gets less, and fills *less. */
void shrink(uint64_t seed, const char *words, plan_less *less);
/* The line that repeats it. */
void shrink_say(uint64_t seed, const plan_less *less, const char *words);
#endif
