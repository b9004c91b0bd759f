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

ln_wait *ln_wait_read(linnet_hub *hub, linnet_hub_history_fn *fn, void *ctx, ln_reading *m) {
    ln_wait *wait = ln_malloc(sizeof *wait);
    if (wait) *wait = (ln_wait){ .read = fn, .ctx = ctx, .hub = hub, .question = m };
    return wait;
}

void ln_wait_free(ln_wait *wait) {
    if (wait->asked) ln_publication_unref(wait->asked);
    ln_reading_free(wait->question);
    ln_free(wait);
}

void ln_wait_tell(ln_wait *wait, int err, ln_position at) {
    linnet_hub_published_fn *fn = wait->fn;
    linnet_hub_history_fn *read = wait->read;
    linnet_hub *hub = wait->hub;
    void *ctx = wait->ctx;
    ln_wait_free(wait);
    if (read)
        read(ctx, hub, err, NULL); /* of a page that is there ln_waits_page tells */
    else
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
    uint64_t who = (uint64_t)ws->self << 56 | (uint64_t)wait->slot << 32 | generation;
    ln_publication *p = wait->asked;
    ln_reading *m = wait->question;
    wait->asked = NULL;
    wait->question = NULL;
    if (m) {
        m->user = LN_USER_HOST;
        m->who = who;
        ln_hub_read_made(h, m);
        return;
    }
    p->user = LN_USER_HOST;
    p->who = who;
    ln_hub_publish_made(h, p);
}

static ln_wait *named(ln_waits *ws, uint64_t who) {
    return ln_slots_find(&ws->slots, (uint32_t)(who >> 32) & 0xffffff, (uint32_t)who);
}

linnet_publication ln_wait_said(const ln_publication *p) {
    return (linnet_publication){
        .size = sizeof(linnet_publication),
        .channel = ln_publication_channel(p),
        .event = ln_publication_event(p),
        .data = ln_publication_data(p),
        .client = ln_publication_from(p),
        .epoch = p->at.epoch,
        .offset = p->at.offset,
        .ts = p->ts,
        .is_volatile = p->flags & LN_PUB_VOLATILE,
        .user = ln_publication_by(p),
        .info = ln_publication_info(p),
        .retracted = p->flags & LN_PUB_RETRACTED,
    };
}

static void tell_page(ln_wait *wait, const ln_reading *m, const linnet_publication *items) {
    linnet_history_page page = { .size = sizeof page,
        .epoch = m->at.epoch,
        .offset = m->at.offset,
        .items = items,
        .count = m->count };
    linnet_hub_history_fn *read = wait->read;
    linnet_hub *hub = wait->hub;
    void *ctx = wait->ctx;
    ln_wait_free(wait);
    read(ctx, hub, LINNET_OK, &page);
}

void ln_waits_page(ln_waits *ws, const ln_reading *m) {
    ln_wait *wait = named(ws, m->who);
    if (!wait) return;
    linnet_publication *items = ln_calloc(m->count + 1, sizeof *items);
    if (m->err < 0 || !items) {
        told(ws, wait, m->err < 0 ? m->err : LINNET_ERR_NOMEM, m->at);
    } else {
        for (uint32_t i = 0; i < m->count; i++)
            items[i] = ln_wait_said(m->items[i]);
        ln_slots_give(&ws->slots, wait->slot);
        tell_page(wait, m, items);
    }
    ln_free(items);
}

void ln_waits_published(ln_waits *ws, const ln_publication *p) {
    ln_wait *wait = named(ws, p->who);
    if (wait) told(ws, wait, p->err, p->at);
}
