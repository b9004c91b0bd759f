#include "hub/state.h"
#include "base/list.h"
#include "base/mem.h"
#include <assert.h>

#define NOT_IN_HEAP UINT32_MAX
#define RETRY_MS    100

typedef struct channel {
    ln_map entries;
    ln_list all;
    size_t bytes;
    uint8_t name_size;
    uint8_t name[];
} channel;

typedef struct ln_state_entry {
    ln_list node; /* in channel->all */
    channel *in;
    uint64_t owner, who; /* owner 0: he has left, and it could not be told */
    ln_msec until;       /* LN_NEVER: no end */
    uint8_t *data;
    uint32_t heap_at;
    uint16_t data_size, name_size;
    uint8_t client_size;
    bool quiet;
    uint8_t bytes[]; /* name in the map, client */
} entry;

/* In the map a key stands behind a 0, and typing is a 1 and its owner. */
#define NAME_MAX (1 + LN_STATE_KEY_MAX)

static size_t map_name(const ln_state_word *w, uint8_t out[NAME_MAX]) {
    if (w->key.size == 0) {
        out[0] = 1;
        memcpy(out + 1, &w->owner, sizeof w->owner);
        return 1 + sizeof w->owner;
    }
    assert(w->key.size <= LN_STATE_KEY_MAX);
    out[0] = 0;
    memcpy(out + 1, w->key.data, w->key.size);
    return 1 + w->key.size;
}

static ln_slice entry_name(const void *value) {
    const entry *e = value;
    return ln_slice_of(e->bytes, e->name_size);
}

static ln_slice channel_name(const void *value) {
    const channel *c = value;
    return ln_slice_of(c->name, c->name_size);
}

static ln_state_word word_of(const entry *e) {
    bool typing = e->bytes[0] == 1;
    return (ln_state_word){
        .key = typing ? LN_SLICE("") : ln_slice_of(e->bytes + 1, e->name_size - 1u),
        .data = ln_slice_of(e->data, e->data_size),
        .client = ln_slice_of(e->bytes + e->name_size, e->client_size),
        .owner = e->owner,
        .who = e->who,
        .quiet = e->quiet,
    };
}

/* The heap: by `until`, each entry knows where it is. -------------------------------------- */

static void heap_put(ln_states *st, uint32_t at, entry *e) {
    st->heap[at] = e;
    e->heap_at = at;
}

static void heap_up(ln_states *st, uint32_t at) {
    entry *e = st->heap[at];
    for (; at > 0 && st->heap[(at - 1) / 2]->until > e->until; at = (at - 1) / 2)
        heap_put(st, at, st->heap[(at - 1) / 2]);
    heap_put(st, at, e);
}

static void heap_down(ln_states *st, uint32_t at) {
    entry *e = st->heap[at];
    for (uint32_t child; (child = at * 2 + 1) < st->heap_count; at = child) {
        if (child + 1 < st->heap_count && st->heap[child + 1]->until < st->heap[child]->until)
            child++;
        if (st->heap[child]->until >= e->until) break;
        heap_put(st, at, st->heap[child]);
    }
    heap_put(st, at, e);
}

static void heap_remove(ln_states *st, entry *e) {
    uint32_t at = e->heap_at;
    if (at == NOT_IN_HEAP) return;
    e->heap_at = NOT_IN_HEAP;
    entry *last = st->heap[--st->heap_count];
    if (last == e) return;
    heap_put(st, at, last);
    heap_up(st, at);
    heap_down(st, last->heap_at);
}

/* Room for one of each entry there is, so that giving one an end later cannot fail. */
static int heap_reserve(ln_states *st, uint64_t count) {
    if (count <= st->heap_capacity) return LINNET_OK;
    uint32_t capacity = st->heap_capacity ? st->heap_capacity * 2 : 16;
    entry **heap = ln_realloc(st->heap, capacity * sizeof *heap);
    if (!heap) return LINNET_ERR_NOMEM;
    st->heap = heap;
    st->heap_capacity = capacity;
    return LINNET_OK;
}

static void set_end(ln_states *st, entry *e, ln_msec until) {
    heap_remove(st, e);
    e->until = until;
    if (until == LN_NEVER) return;
    heap_put(st, st->heap_count++, e);
    heap_up(st, e->heap_at);
}

/* Channels and entries --------------------------------------------------------------------- */

void ln_states_init(ln_states *st, ln_map_key key, uint32_t max) {
    ln_map_init(&st->map, key, channel_name, max);
    st->key = key;
}

static int channel_of(ln_states *st, ln_slice name, channel **out) {
    if ((*out = ln_map_get(&st->map, name))) return LINNET_OK;
    channel *c = ln_calloc(1, sizeof *c + name.size);
    if (!c) return LINNET_ERR_NOMEM;
    ln_list_init(&c->all);
    ln_map_init(&c->entries, st->key, entry_name, LN_STATE_KEYS_MAX);
    c->name_size = (uint8_t)name.size;
    memcpy(c->name, name.data, name.size);
    int err = ln_map_add(&st->map, c);
    if (err < 0) {
        ln_free(c);
        return err;
    }
    *out = c;
    return LINNET_OK;
}

static void channel_check(ln_states *st, channel *c) {
    if (c->entries.count) return;
    ln_map_remove(&st->map, channel_name(c));
    ln_map_fini(&c->entries);
    ln_free(c);
}

static size_t cost(size_t name, size_t client, size_t data) {
    return sizeof(entry) + name + client + data;
}

static size_t entry_cost(const entry *e) {
    return cost(e->name_size, e->client_size, e->data_size);
}

static void entry_free(ln_states *st, entry *e) {
    heap_remove(st, e);
    ln_list_remove(&e->node);
    ln_map_remove(&e->in->entries, entry_name(e));
    e->in->bytes -= entry_cost(e);
    st->bytes -= entry_cost(e);
    ln_stat_sub(&st->keys, 1);
    ln_free(e->data);
    ln_free(e);
}

static bool fits(const ln_states *st, const channel *c, size_t more, size_t less) {
    return c->bytes + more <= LN_STATE_CHANNEL_MAX + less &&
           st->bytes + more <= LN_STATE_BYTES_MAX + less;
}

static uint32_t owned(const channel *c, uint64_t owner) {
    uint32_t count = 0;
    LN_LIST_FOREACH(node, &c->all) {
        if (ln_list_item(node, entry, node)->owner == owner) count++;
    }
    return count;
}

static int entry_new(ln_states *st, channel *c, const ln_state_word *w, entry **out) {
    uint8_t name[NAME_MAX];
    size_t name_size = map_name(w, name);
    if (!fits(st, c, cost(name_size, w->client.size, 0), 0) ||
        owned(c, w->owner) >= LN_STATE_OWN_MAX)
        return LINNET_ERR_LIMIT;
    int err = heap_reserve(st, ln_stat_get(&st->keys) + 1);
    if (err < 0) return err;
    entry *e = ln_calloc(1, sizeof *e + name_size + w->client.size);
    if (!e) return LINNET_ERR_NOMEM;
    e->in = c;
    e->owner = w->owner;
    e->who = w->who;
    e->until = LN_NEVER;
    e->heap_at = NOT_IN_HEAP;
    e->name_size = (uint16_t)name_size;
    e->client_size = (uint8_t)w->client.size;
    memcpy(e->bytes, name, name_size);
    if (w->client.size) memcpy(e->bytes + name_size, w->client.data, w->client.size);
    if ((err = ln_map_add(&c->entries, e)) < 0) {
        ln_free(e);
        return err;
    }
    ln_list_push(&c->all, &e->node);
    c->bytes += entry_cost(e);
    st->bytes += entry_cost(e);
    ln_stat_add(&st->keys, 1);
    *out = e;
    return LINNET_OK;
}

static int put_data(ln_states *st, entry *e, const ln_state_word *w) {
    if (!fits(st, e->in, w->data.size, e->data_size)) return LINNET_ERR_LIMIT;
    uint8_t *copy = ln_malloc(w->data.size);
    if (!copy) return LINNET_ERR_NOMEM;
    memcpy(copy, w->data.data, w->data.size);
    int err = st->tell(st->ctx, channel_name(e->in), w);
    if (err < 0) {
        ln_free(copy);
        return err;
    }
    ln_free(e->data);
    e->data = copy;
    e->in->bytes = e->in->bytes - e->data_size + w->data.size;
    st->bytes = st->bytes - e->data_size + w->data.size;
    e->data_size = (uint16_t)w->data.size;
    e->quiet = w->quiet;
    set_end(st, e, w->ttl_ms ? st->now + w->ttl_ms : LN_NEVER);
    return LINNET_OK;
}

static entry *find(const ln_states *st, ln_slice name, const ln_state_word *w) {
    uint8_t key[NAME_MAX];
    const channel *c = ln_map_get(&st->map, name);
    return c ? ln_map_get(&c->entries, ln_slice_of(key, map_name(w, key))) : NULL;
}

int ln_states_set(ln_states *st, ln_slice name, const ln_state_word *w) {
    assert(w->owner && w->data.size && w->data.size <= LN_STATE_DATA_MAX);
    assert(w->ttl_ms <= LN_STATE_TTL_MAX && w->client.size <= LN_CLIENT_NAME_MAX);
    entry *e = find(st, name, w);
    if (e && e->owner != w->owner) return LINNET_ERR_EXISTS;
    channel *c;
    int err = channel_of(st, name, &c);
    if (err < 0) return err;
    bool fresh = !e;
    if (fresh) err = entry_new(st, c, w, &e);
    if (err >= 0) {
        err = put_data(st, e, w);
        if (err < 0 && fresh) entry_free(st, e);
    }
    if (err < 0) ln_stat_add(&st->refused, 1);
    channel_check(st, c);
    return err;
}

static int go(ln_states *st, entry *e) {
    ln_state_word gone = word_of(e);
    gone.data = LN_SLICE("");
    int err = st->tell(st->ctx, channel_name(e->in), &gone);
    if (err >= 0) entry_free(st, e);
    return err;
}

int ln_states_unset(ln_states *st, ln_slice name, const ln_state_word *w) {
    entry *e = find(st, name, w);
    if (!e) return LINNET_OK;
    if (e->owner != w->owner) return LINNET_ERR_EXISTS;
    channel *c = e->in;
    e->quiet = w->quiet;
    int err = go(st, e);
    channel_check(st, c);
    return err;
}

void ln_states_forget(ln_states *st, ln_slice name, uint64_t owner) {
    channel *c = ln_map_get(&st->map, name);
    if (!c) return;
#if defined(LN_PLANT) && LN_PLANT == 20 /* tests/sim: keys outlive who held them */
    return;
#endif
    LN_LIST_FOREACH_SAFE(node, &c->all) {
        entry *e = ln_list_item(node, entry, node);
        if (e->owner != owner) continue;
        if (go(st, e) >= 0) continue;
        e->owner = 0;
        set_end(st, e, st->now + RETRY_MS);
    }
    channel_check(st, c);
}

/* Listing ----------------------------------------------------------------------------------- */

typedef struct packed_head {
    uint64_t who;
    uint32_t ttl_ms;
    uint16_t data_size;
    uint8_t key_size, client_size;
} packed_head;

static int pack(ln_buf *out, const ln_state_word *w) {
    packed_head h = { w->who, w->ttl_ms, (uint16_t)w->data.size, (uint8_t)w->key.size,
        (uint8_t)w->client.size };
    int err = ln_buf_reserve(out, sizeof h + w->data.size + w->key.size + w->client.size);
    if (err < 0) return err;
    ln_buf_add(out, ln_slice_of(&h, sizeof h));
    ln_buf_add(out, w->key);
    ln_buf_add(out, w->client);
    ln_buf_add(out, w->data);
    return LINNET_OK;
}

static ln_slice cut(ln_slice *from, size_t size) {
    assert(from->size >= size);
    ln_slice part = ln_slice_sub(*from, 0, size);
    ln_slice_skip(from, size);
    return part;
}

bool ln_state_next(ln_slice *packed, ln_state_word *out) {
    packed_head h;
    if (packed->size == 0) return false;
    memcpy(&h, cut(packed, sizeof h).data, sizeof h);
    *out = (ln_state_word){ .who = h.who, .ttl_ms = h.ttl_ms };
    out->key = cut(packed, h.key_size);
    out->client = cut(packed, h.client_size);
    out->data = cut(packed, h.data_size);
    return true;
}

bool ln_states_any(const ln_states *st, ln_slice name) {
    return ln_map_get(&st->map, name) != NULL;
}

int ln_states_list(const ln_states *st, ln_slice name, ln_buf *out) {
    const channel *c = ln_map_get(&st->map, name);
    if (!c) return LINNET_OK;
    uint32_t start = out->size;
    LN_LIST_FOREACH(node, &c->all) {
        const entry *e = ln_list_item(node, entry, node);
        ln_state_word w = word_of(e);
        if (e->until != LN_NEVER) w.ttl_ms = (uint32_t)(e->until - st->now);
        int err = pack(out, &w);
        if (err < 0) {
            out->size = start;
            return err;
        }
    }
    return LINNET_OK;
}

/* Time -------------------------------------------------------------------------------------- */

void ln_states_tick(ln_states *st, ln_msec now) {
    st->now = now;
    while (st->heap_count && st->heap[0]->until <= now) {
        entry *e = st->heap[0];
        channel *c = e->in;
        e->quiet = e->quiet && e->bytes[0] == 1; /* of the end of a key its owner is told */
        if (go(st, e) < 0) {
            set_end(st, e, now + RETRY_MS);
            continue;
        }
        ln_stat_add(&st->expired, 1);
        channel_check(st, c);
    }
}

ln_msec ln_states_deadline(const ln_states *st) {
    return st->heap_count ? st->heap[0]->until : LN_NEVER;
}

void ln_states_fini(ln_states *st) {
    channel *c;
    uint32_t at = 0;
    while ((c = ln_map_next(&st->map, &at))) {
        for (ln_list *node; (node = ln_list_pop(&c->all));) {
            ln_free(ln_list_item(node, entry, node)->data);
            ln_free(ln_list_item(node, entry, node));
        }
        ln_map_fini(&c->entries);
        ln_free(c);
    }
    ln_map_fini(&st->map);
    ln_free(st->heap);
    st->heap = NULL;
}
