/* town.h -- one run of the simulation: two nodes of two workers, fifty clients (client.h) and six
 * guests of another route (guest.h) on five loops, a program beside each node (program.h), one
 * virtual network, one thread, one seed.
 *
 *   wild     some seconds of everything: resets, refusals, silence, short reads, sends in part,
 *            delays, a node that stops or is killed and comes back, clients that churn
 *   calm     no connection is broken any more; within 30 s every client is connected, in its
 *            channels, and has heard all that was said there (I13)
 *   rounds   a few speak at once, and it is heard at once
 *   end      all leave; connections and memory are back where they began (I14)
 */
#ifndef SIM_TOWN_H
#define SIM_TOWN_H
#include "handover.h"

typedef struct town_report {
    uint64_t hash;
    uint32_t publications, restarts;
    uint64_t opens, closes, fails, heard, rude, recovered, replayed, read;
    uint64_t places[HANDOVER_PLACES];
    size_t peak; /* bytes */
    ln_msec took;
    char words[256]; /* the first anomaly; empty: there was none */
} town_report;

/* Once, before the first run. */
void town_install_memory(void);
void town_run(uint64_t seed, town_report *out);
#endif
