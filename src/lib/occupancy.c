#include "lib/occupancy.h"
#include "base/mem.h"

typedef struct empty {
    ln_list node;
    ln_msec due;
    uint8_t size;
    uint8_t name[];
} empty;

static ln_slice name_of(const void *value) {
    const empty *e = value;
    return ln_slice_of(e->name, e->size);
}

static void tell(const ln_occupancy *o, ln_slice channel, bool occupied) {
    ln_question q = { .kind = occupied ? LN_TELL_OCCUPIED : LN_TELL_VACATED, .channel = channel };
    ln_answer nothing = { 0 };
    if (ln_asker_wants(o->asker, q.kind)) o->asker->ask(o->asker->ctx, &q, &nothing);
}

static void forget(ln_occupancy *o, empty *e) {
    ln_map_remove(&o->empty, name_of(e));
    ln_list_remove(&e->node);
    ln_free(e);
}

void ln_occupancy_init(ln_occupancy *o, ln_map_key key) {
    *o = (ln_occupancy){ .asker = NULL };
    ln_map_init(&o->empty, key, name_of, LN_OCCUPANCY_MAX);
    ln_list_init(&o->by_due);
}

void ln_occupancy_flush(ln_occupancy *o) {
    while (!ln_list_empty(&o->by_due)) {
        empty *e = ln_list_item(o->by_due.next, empty, node);
        tell(o, name_of(e), false);
        forget(o, e);
    }
}

void ln_occupancy_fini(ln_occupancy *o) {
    o->asker = NULL;
    ln_occupancy_flush(o);
    ln_map_fini(&o->empty);
}

/* Word of it can be kept back. */
static bool keep(ln_occupancy *o, ln_slice channel, ln_msec now) {
    empty *e = ln_malloc(sizeof *e + channel.size);
    if (!e) return false;
    *e = (empty){ .due = now + LN_OCCUPANCY_MS, .size = (uint8_t)channel.size };
    memcpy(e->name, channel.data, channel.size);
    if (ln_map_add(&o->empty, e) < 0) {
        ln_free(e);
        return false;
    }
    ln_list_init(&e->node);
    ln_list_push(&o->by_due, &e->node);
    return true;
}

void ln_occupancy_note(ln_occupancy *o, ln_slice channel, bool occupied, ln_msec now) {
    if (!ln_asker_wants(o->asker, LN_TELL_OCCUPIED) && !ln_asker_wants(o->asker, LN_TELL_VACATED))
        return;
    empty *e = ln_map_get(&o->empty, channel);
    if (occupied && e)
        forget(o, e);
    else if (occupied)
        tell(o, channel, true);
    else if (!keep(o, channel, now))
        tell(o, channel, false);
}

void ln_occupancy_tick(ln_occupancy *o, ln_msec now) {
    while (!ln_list_empty(&o->by_due)) {
        empty *e = ln_list_item(o->by_due.next, empty, node);
        if (e->due > now) return;
        tell(o, name_of(e), false);
        forget(o, e);
    }
}

ln_msec ln_occupancy_deadline(const ln_occupancy *o) {
    if (ln_list_empty(&o->by_due)) return LN_NEVER;
    return ln_list_item(o->by_due.next, empty, node)->due;
}
