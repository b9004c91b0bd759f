/* txq.h -- what waits to be sent on one connection: references to renderings, in order.
 *
 * The first is kept inline, because one is what there mostly is; more go into blocks of a worker's
 * pool, so that a burst of a hundred publications to a thousand readers writes eight bytes for
 * each. An empty queue holds no memory.
 */
#ifndef LN_CONN_TXQ_H
#define LN_CONN_TXQ_H
#include "base/pool.h"
#include "conn/rendering.h"

#define LN_TXBLOCK_ROOM 12
typedef struct ln_txblock {
    struct ln_txblock *next;
    uint32_t from, to; /* items[from..to) are waiting */
    ln_rendering *items[LN_TXBLOCK_ROOM];
    uint32_t at[LN_TXBLOCK_ROOM]; /* when each was queued, low 32 bits of milliseconds */
} ln_txblock;

typedef struct ln_txq {
    ln_rendering *first; /* NULL: empty */
    ln_txblock *head, *tail;
    uint32_t first_at;
    uint32_t count;
} ln_txq;

/* Takes over one reference. LINNET_ERR_NOMEM: not queued, and the reference is still the caller's.
 */
int ln_txq_push(ln_txq *q, ln_pool *blocks, ln_rendering *r, uint32_t now);
/* The oldest, or NULL; its reference is the caller's now. */
ln_rendering *ln_txq_pop(ln_txq *q, ln_pool *blocks);
/* The oldest, still queued. */
static inline ln_rendering *ln_txq_first(const ln_txq *q) {
    return q->first;
}
/* The one behind it, or NULL. */
static inline ln_rendering *ln_txq_second(const ln_txq *q) {
    return q->head ? q->head->items[q->head->from] : NULL;
}
/* Walks what waits, oldest first; start with a zeroed walk. */
typedef struct ln_txq_walk {
    const ln_txblock *block;
    uint32_t at;
    bool begun;
} ln_txq_walk;
const ln_rendering *ln_txq_next(const ln_txq *q, ln_txq_walk *walk);
/* Drops everything. */
void ln_txq_clear(ln_txq *q, ln_pool *blocks);
#endif
