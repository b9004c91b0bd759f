#include "conn/txq.h"

int ln_txq_push(ln_txq *q, ln_pool *blocks, ln_rendering *r, uint32_t now) {
    if (!q->first) {
        q->first = r;
        q->first_at = now;
        q->count = 1;
        return LINNET_OK;
    }
    ln_txblock *b = q->tail;
    if (!b || b->to == LN_TXBLOCK_ROOM) {
        b = ln_pool_get(blocks);
        if (!b) return LINNET_ERR_NOMEM;
        b->next = NULL;
        b->from = b->to = 0;
        if (q->tail)
            q->tail->next = b;
        else
            q->head = b;
        q->tail = b;
    }
    b->items[b->to] = r;
    b->at[b->to++] = now;
    q->count++;
    return LINNET_OK;
}

/* Invariant: blocks hold something only while `first` does, so `first` is always the oldest. */
static void refill(ln_txq *q, ln_pool *blocks) {
    ln_txblock *b = q->head;
    if (!b) {
        q->first = NULL;
        return;
    }
    q->first = b->items[b->from];
    q->first_at = b->at[b->from++];
    if (b->from < b->to) return;
    q->head = b->next;
    if (!q->head) q->tail = NULL;
    ln_pool_put(blocks, b);
}

ln_rendering *ln_txq_pop(ln_txq *q, ln_pool *blocks) {
    ln_rendering *r = q->first;
    if (!r) return NULL;
    q->count--;
    refill(q, blocks);
    return r;
}

const ln_rendering *ln_txq_next(const ln_txq *q, ln_txq_walk *walk) {
    if (!walk->begun) {
        *walk = (ln_txq_walk){ .block = q->head, .at = q->head ? q->head->from : 0, .begun = true };
        return q->first;
    }
    if (!walk->block) return NULL;
    const ln_rendering *r = walk->block->items[walk->at++];
    if (walk->at == walk->block->to) {
        walk->block = walk->block->next;
        walk->at = walk->block ? walk->block->from : 0;
    }
    return r;
}

void ln_txq_clear(ln_txq *q, ln_pool *blocks) {
    for (ln_rendering *r; (r = ln_txq_pop(q, blocks));)
        ln_rendering_unref(r);
}
