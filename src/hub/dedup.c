#include "hub/dedup.h"
#include "base/mem.h"
#include <assert.h>

#define NAME_MAX_ (1 + LN_CHANNEL_NAME_MAX + LN_KEY_PACKED_MAX)

typedef struct owner { /* a principal in a channel */
    ln_list keys;      /* the oldest first */
    uint32_t count;
    uint16_t size;
    uint8_t name[]; /* channel, principal; each behind its size */
} owner;

typedef struct entry {
    ln_list age, mate; /* in by_age, and in owner->keys */
    owner *owner;
    ln_msec since;
    ln_position at;
    bool under_way;
    uint16_t size;
    uint8_t name[]; /* as the owner's, and the key behind it */
} entry;

static ln_slice entry_name(const void *value) {
    const entry *e = value;
    return ln_slice_of(e->name, e->size);
}

static ln_slice owner_name(const void *value) {
    const owner *o = value;
    return ln_slice_of(o->name, o->size);
}

void ln_dedup_init(ln_dedup *d, ln_map_key key, size_t bytes_max) {
    *d = (ln_dedup){ .bytes_max = bytes_max };
    ln_map_init(&d->keys, key, entry_name, UINT32_C(1) << 30);
    ln_map_init(&d->owners, key, owner_name, UINT32_C(1) << 30);
    ln_list_init(&d->by_age);
}

static void owner_leave(ln_dedup *d, owner *o) {
    if (o->count) return;
    ln_map_remove(&d->owners, owner_name(o));
    d->bytes -= sizeof *o + o->size;
    ln_free(o);
}

static void forget(ln_dedup *d, entry *e) {
    ln_list_remove(&e->age);
    ln_list_remove(&e->mate);
    ln_map_remove(&d->keys, entry_name(e));
    d->bytes -= sizeof *e + e->size;
    ln_stat_sub(&d->count, 1);
    e->owner->count--;
    owner_leave(d, e->owner);
    ln_free(e);
}

void ln_dedup_fini(ln_dedup *d) {
    while (!ln_list_empty(&d->by_age))
        forget(d, ln_list_item(d->by_age.next, entry, age));
    assert(d->bytes == 0);
    ln_map_fini(&d->keys);
    ln_map_fini(&d->owners);
}

/* The whole name in `room`; *owned: how much of it is the owner's. */
static ln_slice name_of(uint8_t *room, ln_slice channel, ln_slice key, size_t *owned) {
    assert(channel.size <= LN_CHANNEL_NAME_MAX);
    assert(key.size > 1 && key.size <= LN_KEY_PACKED_MAX && key.data[0] < key.size);
    room[0] = (uint8_t)channel.size;
    if (channel.size) memcpy(room + 1, channel.data, channel.size);
    memcpy(room + 1 + channel.size, key.data, key.size);
    *owned = 1 + channel.size + 1 + key.data[0];
    return ln_slice_of(room, 1 + channel.size + key.size);
}

static owner *owner_of(ln_dedup *d, ln_slice name) {
    owner *o = ln_map_get(&d->owners, name);
    if (o) return o;
    o = ln_calloc(1, sizeof *o + name.size);
    if (!o) return NULL;
    ln_list_init(&o->keys);
    o->size = (uint16_t)name.size;
    memcpy(o->name, name.data, name.size);
    if (ln_map_add(&d->owners, o) < 0) {
        ln_free(o);
        return NULL;
    }
    d->bytes += sizeof *o + o->size;
    return o;
}

static int add(ln_dedup *d, ln_msec now, ln_slice name, size_t owned) {
    owner *o = owner_of(d, ln_slice_sub(name, 0, owned));
    if (!o) return LINNET_ERR_NOMEM;
    entry *e = ln_calloc(1, sizeof *e + name.size);
    if (e) {
        e->size = (uint16_t)name.size;
        memcpy(e->name, name.data, name.size);
    }
    if (!e || ln_map_add(&d->keys, e) < 0) {
        ln_free(e);
        owner_leave(d, o);
        return LINNET_ERR_NOMEM;
    }
    e->owner = o;
    e->since = now;
    e->under_way = true;
    ln_list_init(&e->age);
    ln_list_init(&e->mate);
    ln_list_push(&d->by_age, &e->age);
    ln_list_push(&o->keys, &e->mate);
    o->count++;
    d->bytes += sizeof *e + e->size;
    ln_stat_add(&d->count, 1);
    return LINNET_OK;
}

/* Keeps to the bounds; the newest, which has just come, stays. */
static void trim(ln_dedup *d, const owner *o) {
    while (o->count > LN_DEDUP_KEYS) {
        ln_stat_add(&d->forgotten, 1);
        forget(d, ln_list_item(o->keys.next, entry, mate));
    }
    while (d->bytes > d->bytes_max && d->by_age.next != d->by_age.prev) {
        ln_stat_add(&d->forgotten, 1);
        forget(d, ln_list_item(d->by_age.next, entry, age));
    }
}

int ln_dedup_begin(ln_dedup *d, ln_msec now, ln_slice channel, ln_slice key, ln_position *at) {
    uint8_t room[NAME_MAX_];
    size_t owned;
    ln_slice name = name_of(room, channel, key, &owned);
    ln_dedup_tick(d, now);
    const entry *e = ln_map_get(&d->keys, name);
    if (e && e->under_way) return LN_DEDUP_BUSY;
    if (e) {
        *at = e->at;
        return LN_DEDUP_SEEN;
    }
#if defined(LN_PLANT) && LN_PLANT == 15 /* tests/sim: the key is not kept */
    return LN_DEDUP_NEW;
#endif
    int err = add(d, now, name, owned);
    if (err < 0) return err;
    e = ln_list_item(d->by_age.prev, entry, age);
    trim(d, e->owner);
    return LN_DEDUP_NEW;
}

void ln_dedup_end(ln_dedup *d, ln_slice channel, ln_slice key, ln_position at) {
    uint8_t room[NAME_MAX_];
    size_t owned;
    entry *e = ln_map_get(&d->keys, name_of(room, channel, key, &owned));
    if (!e) return;
    e->at = at;
    e->under_way = false;
}

void ln_dedup_drop(ln_dedup *d, ln_slice channel, ln_slice key) {
    uint8_t room[NAME_MAX_];
    size_t owned;
    entry *e = ln_map_get(&d->keys, name_of(room, channel, key, &owned));
    if (e && e->under_way) forget(d, e);
}

void ln_dedup_tick(ln_dedup *d, ln_msec now) {
    while (ln_dedup_deadline(d) <= now)
        forget(d, ln_list_item(d->by_age.next, entry, age));
}

ln_msec ln_dedup_deadline(const ln_dedup *d) {
    if (ln_list_empty(&d->by_age)) return LN_NEVER;
    return ln_list_item(d->by_age.next, const entry, age)->since + LN_DEDUP_MS;
}
