/* budget.h -- memory that all workers of a server share a bound on: what waits to be sent, and what
 * histories keep.
 *
 * Each worker counts for itself, without anything shared; at the end of a turn in which its count
 * has moved by more than a step it looks at the counts of the others. Nothing of this is on the way
 * of a message.
 *
 * What waits to be sent counts each message once per worker, however many wait for it.
 *
 *     below ── over the budget ──> crowded ── under seven eighths ──> below
 *
 * While it is crowded nobody publishes (error 108 with retry_after, 503) and no WebSocket is let
 * in, and the largest queues are cut, 3008, until there is room: all those of the largest size
 * anywhere, to a factor of two, each worker as much of the excess as it holds of the whole. So a
 * worker that holds little cuts little, and who reads well is not cut.
 *
 * Of histories each worker may always keep its share, and what the others do not need of theirs;
 * who keeps more than that drops the oldest.
 */
#ifndef LN_LIB_BUDGET_H
#define LN_LIB_BUDGET_H
#include "base/clock.h"
#include "base/ref.h"
#include "base/stat.h"

struct linnet_server;
struct linnet_loop;

#define LN_BUDGET_RETRY_MS 1000 /* what who is refused is told: in so long more is read, or cut */

#define LN_BUDGET_LOOK_MS 10 /* between looks at all queues, while it is crowded */

typedef struct ln_budget {   /* of a server */
    uint64_t queued_max;     /* bytes; 0: any */
    uint64_t history_max;    /* bytes; 0: there are none */
    ln_flag crowded, packed; /* over the first; over the second */
} ln_budget;

typedef struct ln_budget_worker {
    uint64_t seen_queued, seen_kept; /* at the last look */
    ln_msec look_at;
    ln_stat top;              /* largest queue, while it is crowded */
    ln_stat leaving;          /* bytes of those that were cut and are not gone yet */
    ln_stat cut;              /* connections, since the start */
    ln_stat bars;             /* WebSockets not let in */
    struct ln_broker *broker; /* whose history it is; NULL: none */
} ln_budget_worker;

/* What options say: 0 is a quarter of the memory there is. */
uint64_t ln_budget_of(const struct linnet_server *s, uint64_t bytes);
/* At the end of each turn. */
void ln_budget_turn(struct linnet_loop *w);
/* Whether there is something to look at again in a moment. */
bool ln_budget_waits(const struct linnet_loop *w);
static inline bool ln_budget_crowded(const ln_budget *b) {
    return ln_flag_up(&b->crowded);
}
#endif
