#include "broker/memory.h"
#include "base/list.h"
#include "base/mem.h"
#include <assert.h>

#define RING_MIN 4
#define RING_MAX (1u << 30)
#define KEPT_AT  ((UINT64_C(1) << 42) - 1)

#define PINS_MAX ((1u << 22) - 1)
/* What a pinned log may hold, in retentions: who reads slowly does not hold up more than that. */
#define PINNED_MAX 4

typedef struct kept {
    ln_publication *p;
    uint64_t at : 42;   /* ms, good for a hundred years */
    uint64_t pins : 22; /* who wait for this one and what follows it */
} kept;

/* Logs that keep equally much, so that the first of the full ones is the first to expire. */
typedef struct shelf {
    ln_list node; /* in memory.shelves */
    ln_retention keep;
    uint32_t logs;
    ln_list full; /* logs that keep something, by time of the last publish */
} shelf;

struct ln_log_handle {
    shelf *shelf;
    ln_list full;   /* in shelf->full */
    ln_list all;    /* in memory.all, likewise */
    ln_list closed; /* in memory.closed while it has no home; by time of closing */
    uint64_t epoch, head;
    uint64_t bytes; /* of what is kept */
    ln_msec closed_at;
    kept *ring; /* capacity entries, the oldest at `first` */
    uint32_t first, count, capacity;
    uint32_t pins; /* of all that is kept; with any, it stays off the shelf */
    uint8_t name_size;
    uint8_t name[];
};

typedef struct ln_memory {
    ln_broker broker;
    ln_memory_options options;
    ln_map logs;
    ln_list shelves, all, closed;
    uint64_t bytes;
    ln_memory_stats stats;
} ln_memory;

static ln_memory *memory_of(ln_broker *b) {
    return (ln_memory *)(void *)b; /* the first member */
}

static ln_slice log_name(const void *value) {
    const ln_log_handle *log = value;
    return ln_slice_of(log->name, log->name_size);
}

/* What is kept ---------------------------------------------------------------------------- */

/* Puts a log at the end of its shelf, if it is to stand there: what it keeps may stay longer for
 * it, at most as long as if it had been published now. */
static void shelve(ln_log_handle *log) {
    ln_list_remove(&log->full);
    if (log->count && !log->pins) ln_list_push(&log->shelf->full, &log->full);
}

static void drop_oldest(ln_memory *m, ln_log_handle *log) {
    assert(log->count > 0);
    ln_publication *p = log->ring[log->first].p;
    size_t held = ln_publication_held(p);
    bool was_pinned = log->pins > 0;
    log->pins -= (uint32_t)log->ring[log->first].pins;
    log->first = (log->first + 1) % log->capacity;
    log->count--;
    log->bytes -= held;
    m->bytes -= held;
    ln_stat_sub(&m->stats.kept, 1);
    ln_stat_sub(&m->stats.kept_bytes, held);
    ln_publication_unref(p);
    if (was_pinned) shelve(log);
    if (log->count) return;
    ln_list_remove(&log->full);
    ln_list_remove(&log->all);
    ln_free(log->ring);
    log->ring = NULL;
    log->first = log->capacity = 0;
}

static bool too_much(const ln_memory *m, const ln_log_handle *log) {
    const ln_retention *keep = &log->shelf->keep;
    return log->count > keep->count || log->bytes > keep->bytes ||
           m->broker.now - log->ring[log->first].at >= keep->age_ms;
}

/* The first one that is kept is waited for, and there is room to let it wait, with so many more. */
static bool held_back(const ln_log_handle *log, uint32_t more) {
    const ln_retention *keep = &log->shelf->keep;
    return log->ring[log->first].pins &&
           (uint64_t)log->count + more <= (uint64_t)keep->count * PINNED_MAX &&
           log->bytes <= (uint64_t)keep->bytes * PINNED_MAX;
}

static void shrink(ln_memory *m, uint64_t bytes) {
    while (m->bytes > bytes) {
        ln_stat_add(&m->stats.evicted, 1);
        drop_oldest(m, ln_list_item(m->all.next, ln_log_handle, all));
    }
}

static void trim(ln_memory *m, ln_log_handle *log) {
    while (log->count && too_much(m, log) && !held_back(log, 0))
        drop_oldest(m, log);
    shrink(m, m->options.total_bytes_max);
}

static int ring_grow(ln_log_handle *log) {
    if (log->count < log->capacity) return LINNET_OK;
    if (log->capacity >= RING_MAX) return LINNET_ERR_LIMIT;
    uint32_t capacity = log->capacity + log->capacity / 2, most = log->shelf->keep.count;
    if (capacity < RING_MIN) capacity = RING_MIN;
    if (capacity > most && log->count < most) capacity = most;
    kept *ring = ln_calloc(capacity, sizeof *ring);
    if (!ring) return LINNET_ERR_NOMEM;
    for (uint32_t i = 0; i < log->count; i++)
        ring[i] = log->ring[(log->first + i) % log->capacity];
    ln_free(log->ring);
    log->ring = ring;
    log->first = 0;
    log->capacity = capacity;
    return LINNET_OK;
}

static bool full(const ln_log_handle *log) {
    return log->count >= log->shelf->keep.count && !held_back(log, 1);
}

static int memory_publish(ln_broker *b, ln_log_handle *log, ln_publication *p, ln_position *at) {
    ln_memory *m = memory_of(b);
#if defined(LN_PLANT) && LN_PLANT == 11 /* tests/sim: acknowledged, and not stored */
    if (log->head % 8 == 7 && log->count) {
        *at = (ln_position){ log->epoch, ++log->head };
        drop_oldest(m, log);
        return LN_DONE;
    }
#endif
    if (!full(log)) {
        int err = ring_grow(log);
        if (err < 0) return err;
    }
    ln_publication_ref(p, 1);
    size_t held = ln_publication_held(p);
    while (log->count && full(log))
        drop_oldest(m, log);
    /* With room for one only, dropping it gave the ring back. */
    if (!log->ring && ring_grow(log) < 0) {
        ln_publication_unref(p);
        return LINNET_ERR_NOMEM;
    }
    log->ring[(log->first + log->count++) % log->capacity] = (kept){ p, m->broker.now & KEPT_AT,
        0 };
    log->bytes += held;
    m->bytes += held;
    ln_stat_add(&m->stats.kept, 1);
    ln_stat_add(&m->stats.kept_bytes, held);
    shelve(log);
    ln_list_remove(&log->all);
    ln_list_push(&m->all, &log->all);
    *at = (ln_position){ log->epoch, ++log->head };
    trim(m, log);
    return LN_DONE;
}

/* The entry of an offset that is kept. */
static kept *entry(const ln_log_handle *log, uint64_t offset) {
    uint64_t first = log->head - log->count + 1;
    return &log->ring[(log->first + (offset - first)) % log->capacity];
}

/* Adds to the page what is at an offset; false: it is full. */
static bool page_add(const ln_log_handle *log, const ln_span *span, uint64_t offset, ln_page *page,
    uint64_t *bytes) {
    if (page->count >= span->limit || page->count >= LN_PAGE_MAX) return false;
    ln_publication *p = entry(log, offset)->p;
    *bytes += ln_publication_cost(p);
    if (page->count && *bytes > span->bytes) return false;
    ln_publication_ref(p, 1);
    page->items[page->count++] = p;
    return true;
}

static int memory_read(ln_broker *b, ln_log_handle *log, const ln_span *span, ln_page *page) {
    trim(memory_of(b), log);
    uint64_t before = log->head - log->count; /* the last offset no longer kept */
    uint64_t since = span->since, bytes = 0;
    page->epoch = log->epoch;
    page->count = 0;
    if (span->reverse) {
        if (since > log->head) since = log->head + 1;
        while (since > before + 1 && page_add(log, span, since - 1, page, &bytes))
            since--;
        return LN_DONE;
    }
    if (!span->any && (since > log->head || since < before)) return LINNET_ERR_NOT_FOUND;
    if (since < before) since = before;
    while (since < log->head && page_add(log, span, since + 1, page, &bytes))
        since++;
    return LN_DONE;
}

static bool keeps(const ln_log_handle *log, uint64_t offset) {
    return offset > log->head - log->count && offset <= log->head;
}

static int memory_pin(ln_broker *b, ln_log_handle *log, uint64_t since) {
    (void)b;
    if (!keeps(log, since + 1)) return LINNET_ERR_NOT_FOUND;
    kept *k = entry(log, since + 1);
    if (log->pins >= PINS_MAX) return LINNET_ERR_LIMIT;
    k->pins = (k->pins + 1) & PINS_MAX;
    log->pins++;
    ln_list_remove(&log->full);
    return LINNET_OK;
}

static void memory_unpin(ln_broker *b, ln_log_handle *log, uint64_t since) {
    if (!keeps(log, since + 1)) return; /* it went with the publication */
    kept *k = entry(log, since + 1);
    assert(k->pins > 0);
    k->pins = (k->pins - 1) & PINS_MAX;
    log->pins--;
    trim(memory_of(b), log);
    if (!log->pins && !ln_list_linked(&log->full)) shelve(log);
}

/* Taking back ----------------------------------------------------------------------------- */

static void put_instead(ln_memory *m, ln_log_handle *log, kept *k, ln_publication *instead) {
    size_t was = ln_publication_held(k->p), is = ln_publication_held(instead);
    log->bytes = log->bytes - was + is;
    m->bytes = m->bytes - was + is;
    ln_stat_sub(&m->stats.kept_bytes, was);
    ln_stat_add(&m->stats.kept_bytes, is);
    ln_publication_unref(k->p);
    k->p = instead;
}

static int memory_replace(
    ln_broker *b, ln_log_handle *log, uint64_t offset, ln_publication *instead) {
    trim(memory_of(b), log);
    if (!keeps(log, offset)) return LINNET_ERR_NOT_FOUND;
    put_instead(memory_of(b), log, entry(log, offset), instead);
    return LINNET_OK;
}

static void memory_clear(ln_broker *b, ln_log_handle *log) {
    while (log->count)
        drop_oldest(memory_of(b), log);
}

typedef struct reviser {
    ln_memory *m;
    ln_publication *(*ask)(void *ctx, const ln_publication *p);
    void *ctx;
} reviser;

static void revise_log(void *ctx, void *value) {
    const reviser *r = ctx;
    ln_log_handle *log = value;
    for (uint32_t i = 0; i < log->count; i++) {
        kept *k = &log->ring[(log->first + i) % log->capacity];
        ln_publication *instead = r->ask(r->ctx, k->p);
        if (instead) put_instead(r->m, log, k, instead);
    }
}

static void memory_revise(ln_broker *b, uint32_t *at,
    ln_publication *(*ask)(void *ctx, const ln_publication *p), void *ctx) {
    reviser r = { memory_of(b), ask, ctx };
    ln_map_scan(&r.m->logs, at, revise_log, &r);
}

/* Looking -------------------------------------------------------------------------------- */

typedef struct looker {
    void (*see)(void *ctx, ln_slice channel, uint32_t count);
    void *ctx;
} looker;

static void look_at(void *ctx, void *value) {
    const looker *l = ctx;
    const ln_log_handle *log = value;
    l->see(l->ctx, log_name(log), log->count);
}

static void memory_walk(ln_broker *b, uint32_t *at,
    void (*see)(void *ctx, ln_slice channel, uint32_t count), void *ctx) {
    looker l = { see, ctx };
    ln_map_scan(&memory_of(b)->logs, at, look_at, &l);
}

static bool memory_look(ln_broker *b, ln_slice channel, ln_position *head, uint32_t *count) {
    const ln_log_handle *log = ln_map_get(&memory_of(b)->logs, channel);
    if (!log) return false;
    *head = (ln_position){ log->epoch, log->head };
    *count = log->count;
    return true;
}

/* Shelves --------------------------------------------------------------------------------- */

static shelf *shelf_of(ln_memory *m, const ln_retention *keep) {
    LN_LIST_FOREACH(node, &m->shelves) {
        shelf *s = ln_list_item(node, shelf, node);
        if (s->keep.count == keep->count && s->keep.age_ms == keep->age_ms &&
            s->keep.bytes == keep->bytes)
            return s;
    }
    shelf *s = ln_calloc(1, sizeof *s);
    if (!s) return NULL;
    s->keep = *keep;
    ln_list_init(&s->full);
    ln_list_push(&m->shelves, &s->node);
    return s;
}

static void shelf_leave(shelf *s) {
    if (s->logs) return;
    assert(ln_list_empty(&s->full));
    ln_list_remove(&s->node);
    ln_free(s);
}

/* Puts a log on the shelf of its retention. */
static int shelf_move(ln_memory *m, ln_log_handle *log, const ln_retention *keep) {
    shelf *to = shelf_of(m, keep), *from = log->shelf;
    if (!to) return LINNET_ERR_NOMEM;
    if (to == from) return LINNET_OK;
    to->logs++;
    log->shelf = to;
    shelve(log);
    if (from) {
        from->logs--;
        shelf_leave(from);
    }
    return LINNET_OK;
}

/* Logs ------------------------------------------------------------------------------------ */

static void unclose(ln_memory *m, ln_log_handle *log) {
    if (!ln_list_linked(&log->closed)) return;
    ln_list_remove(&log->closed);
    ln_stat_sub(&m->stats.idle, 1);
}

static void log_free(ln_memory *m, ln_log_handle *log) {
    unclose(m, log);
    while (log->count)
        drop_oldest(m, log);
    ln_map_remove(&m->logs, log_name(log));
    ln_stat_sub(&m->stats.logs, 1);
    log->shelf->logs--;
    shelf_leave(log->shelf);
    ln_free(log);
}

static void forget_first(ln_memory *m) {
    ln_stat_add(&m->stats.forgotten, 1);
    log_free(m, ln_list_item(m->closed.next, ln_log_handle, closed));
}

static uint64_t fresh_epoch(ln_memory *m) {
    uint64_t epoch;
    do
        epoch = ln_rand_u64(m->options.rand);
    while (epoch == 0);
    return epoch;
}

static int log_new(ln_memory *m, ln_slice channel, const ln_retention *keep, ln_log_handle **out) {
    ln_log_handle *log = ln_calloc(1, offsetof(ln_log_handle, name) + channel.size);
    if (!log) return LINNET_ERR_NOMEM;
    ln_list_init(&log->full);
    ln_list_init(&log->all);
    ln_list_init(&log->closed);
    log->epoch = fresh_epoch(m);
#if defined(LN_PLANT) && LN_PLANT == 16 /* tests/sim: the same after a restart */
    log->epoch = ln_siphash((ln_map_key){ 0 }, channel);
#endif
    log->name_size = (uint8_t)channel.size;
    memcpy(log->name, channel.data, channel.size);
    if (m->logs.count >= m->options.logs_max && !ln_list_empty(&m->closed)) forget_first(m);
    int err = shelf_move(m, log, keep);
    if (err == LINNET_OK && (err = ln_map_add(&m->logs, log)) < 0) {
        log->shelf->logs--;
        shelf_leave(log->shelf);
    }
    if (err < 0) {
        ln_free(log);
        return err;
    }
    ln_stat_add(&m->stats.logs, 1);
    *out = log;
    return LINNET_OK;
}

static int memory_open(ln_broker *b, ln_slice channel, const ln_retention *keep,
    ln_log_handle **handle, ln_position *head) {
    ln_memory *m = memory_of(b);
    ln_log_handle *log = ln_map_get(&m->logs, channel);
    int err = log ? shelf_move(m, log, keep) : log_new(m, channel, keep, &log);
    if (err < 0) return err;
    trim(m, log);
    unclose(m, log);
    *handle = log;
    *head = (ln_position){ log->epoch, log->head };
    return LN_DONE;
}

static void memory_keep(ln_broker *b, ln_log_handle *log, const ln_retention *keep) {
    ln_memory *m = memory_of(b);
    if (shelf_move(m, log, keep) == LINNET_OK) trim(m, log);
}

static void memory_close(ln_broker *b, ln_log_handle *log) {
    ln_memory *m = memory_of(b);
    if (log->head == 0) {
        log_free(m, log); /* its epoch names nothing that could be missed */
        return;
    }
    log->closed_at = m->broker.now;
    ln_list_push(&m->closed, &log->closed);
    ln_stat_add(&m->stats.idle, 1);
    if (ln_stat_get(&m->stats.idle) > m->options.idle_max) forget_first(m);
}

/* When the first of a shelf keeps nothing any more. */
static ln_msec first_full(const shelf *s) {
    if (ln_list_empty(&s->full)) return LN_NEVER;
    const ln_log_handle *log = ln_list_item(s->full.next, ln_log_handle, full);
    return (ln_msec)entry(log, log->head)->at + s->keep.age_ms;
}

static ln_msec first_closed(const ln_memory *m) {
    if (ln_list_empty(&m->closed)) return LN_NEVER;
    return ln_list_item(m->closed.next, ln_log_handle, closed)->closed_at + m->options.idle_ms;
}

static void memory_tick(ln_broker *b) {
    ln_memory *m = memory_of(b);
    LN_LIST_FOREACH(node, &m->shelves) { /* trimming frees no shelf: its log stays */
        const shelf *s = ln_list_item(node, shelf, node);
        while (first_full(s) <= b->now)
            trim(m, ln_list_item(s->full.next, ln_log_handle, full));
    }
    while (first_closed(m) <= b->now)
        forget_first(m);
}

static ln_msec memory_deadline(const ln_broker *b) {
    const ln_memory *m = (const ln_memory *)(const void *)b;
    ln_msec due = first_closed(m);
    LN_LIST_FOREACH(node, &m->shelves) {
        ln_msec full = first_full(ln_list_item(node, const shelf, node));
        if (full < due) due = full;
    }
    return due;
}

static void memory_free(ln_broker *b) {
    ln_memory *m = memory_of(b);
    while (!ln_list_empty(&m->closed))
        forget_first(m);
    assert(m->logs.count == 0);
    ln_map_fini(&m->logs);
    ln_free(m);
}

static const ln_broker_ops memory_ops = {
    .open = memory_open,
    .keep = memory_keep,
    .publish = memory_publish,
    .read = memory_read,
    .pin = memory_pin,
    .unpin = memory_unpin,
    .close = memory_close,
    .replace = memory_replace,
    .clear = memory_clear,
    .revise = memory_revise,
    .walk = memory_walk,
    .look = memory_look,
    .tick = memory_tick,
    .deadline = memory_deadline,
    .free = memory_free,
};

static void defaults(ln_memory_options *o) {
    if (!o->total_bytes_max) o->total_bytes_max = 256 * 1024 * 1024;
    if (!o->idle_max) o->idle_max = 16384;
    if (!o->idle_ms) o->idle_ms = 24 * 3600 * 1000;
    if (!o->logs_max) o->logs_max = 1000000;
}

int ln_memory_new(const ln_memory_options *options, ln_broker **out) {
    ln_memory *m = ln_calloc(1, sizeof *m);
    if (!m) return LINNET_ERR_NOMEM;
    m->broker.ops = &memory_ops;
    m->options = *options;
    defaults(&m->options);
    ln_map_init(&m->logs, options->key, log_name, m->options.logs_max);
    ln_list_init(&m->shelves);
    ln_list_init(&m->all);
    ln_list_init(&m->closed);
    *out = &m->broker;
    return LINNET_OK;
}

void ln_memory_shrink(ln_broker *b, uint64_t bytes) {
    shrink(memory_of(b), bytes);
}

const ln_memory_stats *ln_memory_stats_of(const ln_broker *b) {
    return &((const ln_memory *)(const void *)b)->stats;
}
