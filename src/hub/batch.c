#include "hub/batch.h"
#include "base/mem.h"
#include <assert.h>

/* Most wait equally long, so that its place is near the end. */
static void insert(ln_list *batches, ln_batch *b) {
    ln_list *before = batches->prev;
    while (before != batches && ln_list_item(before, ln_batch, node)->due > b->due)
        before = before->prev;
    ln_list_insert_before(before->next, &b->node);
}

int ln_batch_add(ln_list *batches, ln_channel *c, ln_publication *p, ln_msec now, bool *full) {
    ln_batch *b = c->batch;
    if (!b) {
        b = ln_malloc(sizeof *b);
        if (!b) return LINNET_ERR_NOMEM;
        b->channel = c;
        b->due = now + c->batch_ms;
        b->bytes = b->count = 0;
        ln_list_init(&b->node);
        insert(batches, b);
        c->batch = b;
    }
    assert(b->count < LN_BATCH_MAX);
    ln_publication_ref(p, 1);
    b->items[b->count++] = p;
    b->bytes += p->data_size;
    *full = b->count == LN_BATCH_MAX || b->bytes >= LN_BATCH_BYTES_MAX;
    return LINNET_OK;
}

void ln_batch_hasten(ln_list *batches, ln_batch *b) {
    ln_list_remove(&b->node);
    b->due = 0;
    ln_list_insert_before(batches->next, &b->node);
}

ln_batch *ln_batch_take(ln_channel *c) {
    ln_batch *b = c->batch;
    if (!b) return NULL;
    ln_list_remove(&b->node);
    c->batch = NULL;
    return b;
}

void ln_batch_free(ln_batch *b) {
    if (!b) return;
    for (uint32_t i = 0; i < b->count; i++)
        ln_publication_unref(b->items[i]);
    ln_free(b);
}

ln_msec ln_batches_deadline(const ln_list *batches) {
    return ln_list_empty(batches) ? LN_NEVER : ln_list_item(batches->next, ln_batch, node)->due;
}
