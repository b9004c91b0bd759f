/* memory.h -- the broker that owns its logs itself, in this process.
 *
 * A log is an epoch, a head, and a ring of the last publications: at most so many, so many bytes,
 * and so old, as its channel's namespace says. Trimming never changes the epoch. A log that was
 * published to outlives its home and its history: {epoch, head} stay for a day, the oldest going
 * first when there are too many, so that a client that comes back is told honestly where it stands.
 * A log nobody ever published to is forgotten at once.
 */
#ifndef LN_BROKER_MEMORY_H
#define LN_BROKER_MEMORY_H
#include "base/map.h"
#include "base/rand.h"
#include "base/stat.h"
#include "hub/broker.h"

typedef struct ln_memory_options {
    ln_map_key key;
    ln_rand *rand;            /* for epochs; borrowed */
    uint64_t total_bytes_max; /* of all logs here; 0: 256 MiB */
    uint32_t idle_max;        /* logs without a home remembered; 0: 16,384 */
    uint32_t idle_ms;         /* and for how long; 0: 24 h */
    uint32_t logs_max;        /* 0: 1,000,000 */
} ln_memory_options;

typedef struct ln_memory_stats {
    ln_stat logs, idle, kept, kept_bytes, evicted;
    ln_stat forgotten; /* logs without a home */
} ln_memory_stats;

/* LINNET_ERR_NOMEM. Freed through ops->free. */
int ln_memory_new(const ln_memory_options *options, ln_broker **out);
/* Drops the oldest until no more than this is kept. */
void ln_memory_shrink(ln_broker *b, uint64_t bytes);
const ln_memory_stats *ln_memory_stats_of(const ln_broker *b);
#endif
