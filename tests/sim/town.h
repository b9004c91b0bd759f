/* town.h -- one run of the simulation: two nodes of two workers, up to thirty clients (client.h)
 * and six guests of another route (guest.h) and five clients of other dialects (stranger.h) on five
 * loops, a program beside each node (program.h), a backend and keys for tokens and tickets (law.h,
 * back.h), perhaps a reader of many channels (rings.h), one virtual network, one thread, one seed.
 * What a seed has of all that stands in its plan (plan.h).
 *
 * It is wild: some 2,000 things are said and heard, amid resets, refusals, silence, short reads,
 * sends in part, delays, a node that drains or is killed and comes back, clients that churn. Then
 * calm: no connection is broken any more; within 30 s every client is connected, in its channels,
 * and has heard all that was said there (I13), and all agree on who is there and which keys live
 * (I11). There may be rounds: a few speak at once, and it is heard at once. In the end all leave;
 * connections and memory are back where they began (I14).
 *
 * All the time: history.h (I1 to I7, I9, I10), numbers.h, back.h, law.h (I8), crowd.h (I11), the
 * callbacks of clients and guests (I12), bounds.h (I14).
 */
#ifndef SIM_TOWN_H
#define SIM_TOWN_H
#include "handover.h"
#include "plan.h"

typedef struct town_report {
    uint64_t hash, events;
    uint32_t kinds, clients, publications, restarts;
    uint64_t did[PLAN_DEED_COUNT];
    uint64_t places[HANDOVER_PLACES];
    size_t peak; /* bytes */
    ln_msec took;
    char words[256]; /* the first anomaly; empty: there was none */
} town_report;

/* Once, before the first run. */
void town_install_memory(void);
void town_run(uint64_t seed, const plan_less *less, town_report *out);
#endif
