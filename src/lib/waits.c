#include "lib/waits.h"
#include "base/mem.h"

void ln_waits_init(ln_waits *ws, uint32_t self) {
    ln_slots_init(&ws->slots);
    ws->self = self;
}

void ln_waits_fini(ln_waits *ws) {
    ln_slots_fini(&ws->slots);
}

ln_wait *ln_wait_new(linnet_hub *hub, linnet_hub_published_fn *fn, void *ctx, ln_publication *p) {
    ln_wait *wait = ln_malloc(sizeof *wait);
    if (wait) *wait = (ln_wait){ .fn = fn, .ctx = ctx, .hub = hub, .asked = p };
    return wait;
}

void ln_wait_free(ln_wait *wait) {
    if (wait->asked) ln_publication_unref(wait->asked);
    ln_free(wait);
}

void ln_wait_tell(ln_wait *wait, int err, ln_position at) {
    linnet_hub_published_fn *fn = wait->fn;
    linnet_hub *hub = wait->hub;
    void *ctx = wait->ctx;
    ln_wait_free(wait);
    fn(ctx, hub, err, at.epoch, at.offset);
}

static void told(ln_waits *ws, ln_wait *wait, int err, ln_position at) {
    ln_slots_give(&ws->slots, wait->slot);
    ln_wait_tell(wait, err, at);
}

void ln_waits_end(ln_waits *ws) {
    for (uint32_t i = 0; i < ws->slots.fresh; i++) {
        ln_wait *wait = ln_slots_holder(&ws->slots, i);
        if (wait) told(ws, wait, LINNET_ERR_CANCELLED, (ln_position){ 0, 0 });
    }
}

void ln_waits_publish(ln_waits *ws, ln_hub *h, ln_wait *wait) {
    uint32_t generation;
    int err = ln_slots_take(&ws->slots, wait, &wait->slot, &generation);
    if (err < 0) {
        ln_wait_tell(wait, err, (ln_position){ 0, 0 });
        return;
    }
    ln_publication *p = wait->asked;
    wait->asked = NULL;
    p->user = LN_USER_HOST;
    p->who = (uint64_t)ws->self << 56 | (uint64_t)wait->slot << 32 | generation;
    ln_hub_publish_made(h, p);
}

void ln_waits_published(ln_waits *ws, const ln_publication *p) {
    uint32_t slot = (uint32_t)(p->who >> 32) & 0xffffff, generation = (uint32_t)p->who;
    ln_wait *wait = ln_slots_find(&ws->slots, slot, generation);
    if (wait) told(ws, wait, p->err, p->at);
}
