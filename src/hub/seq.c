#include "hub/seq.h"
#include "base/mem.h"
#include <assert.h>

#define RING_MIN 4

typedef enum entry_state { UNDER_WAY, DONE, FAILED } entry_state;

typedef struct entry {
    ln_position at;
    uint8_t state; /* entry_state */
} entry;

typedef struct line {
    ln_list age;
    ln_msec used;
    uint64_t last;            /* the highest number that went through */
    uint32_t count, capacity; /* the last so many are in the ring, by number & capacity - 1 */
    entry *ring;
    uint16_t size;
    uint8_t name[]; /* chain, channel */
} line;

static ln_slice line_name(const void *value) {
    const line *l = value;
    return ln_slice_of(l->name, l->size);
}

void ln_seqs_init(ln_seqs *s, ln_map_key key, size_t bytes_max) {
    *s = (ln_seqs){ .bytes_max = bytes_max, .trimmed = LN_NEVER };
    ln_map_init(&s->lines, key, line_name, UINT32_C(1) << 30);
    ln_list_init(&s->by_age);
}

static size_t bytes_of(const line *l) {
    return sizeof *l + l->size + l->capacity * sizeof *l->ring;
}

static void forget(ln_seqs *s, line *l) {
    ln_list_remove(&l->age);
    ln_map_remove(&s->lines, line_name(l));
    s->bytes -= bytes_of(l);
    ln_stat_sub(&s->count, 1);
    ln_free(l->ring);
    ln_free(l);
}

void ln_seqs_fini(ln_seqs *s) {
    while (!ln_list_empty(&s->by_age))
        forget(s, ln_list_item(s->by_age.next, line, age));
    assert(s->bytes == 0);
    ln_map_fini(&s->lines);
}

#define NAME_MAX_ (LN_CHAIN + LN_CHANNEL_NAME_MAX)

static ln_slice name_of(const ln_seq *q, uint8_t room[NAME_MAX_]) {
    assert(q->channel.size <= LN_CHANNEL_NAME_MAX);
    memcpy(room, q->chain, LN_CHAIN);
    if (q->channel.size) memcpy(room + LN_CHAIN, q->channel.data, q->channel.size);
    return ln_slice_of(room, LN_CHAIN + q->channel.size);
}

static line *find(const ln_seqs *s, const ln_seq *q) {
    uint8_t room[NAME_MAX_];
    return ln_map_get(&s->lines, name_of(q, room));
}

static int line_new(ln_seqs *s, const ln_seq *q, line **out) {
    uint8_t room[NAME_MAX_];
    ln_slice name = name_of(q, room);
    line *l = ln_calloc(1, sizeof *l + name.size);
    if (!l) return LINNET_ERR_NOMEM;
    l->last = q->number - 1;
    l->size = (uint16_t)name.size;
    memcpy(l->name, name.data, name.size);
    ln_list_init(&l->age);
    int err = ln_map_add(&s->lines, l);
    if (err < 0) {
        ln_free(l);
        return LINNET_ERR_NOMEM;
    }
    ln_list_push(&s->by_age, &l->age);
    s->bytes += bytes_of(l);
    ln_stat_add(&s->count, 1);
    *out = l;
    return LINNET_OK;
}

static entry *entry_of(const line *l, uint64_t number) {
    return &l->ring[number & (l->capacity - 1)];
}

/* Room for one more behind the last; the oldest may give way. */
static int ring_grow(ln_seqs *s, line *l) {
    if (l->count < l->capacity || l->count == LN_SEQ_KEPT) return LINNET_OK;
    uint32_t capacity = l->capacity ? l->capacity * 2 : RING_MIN;
    entry *ring = ln_malloc(capacity * sizeof *ring);
    if (!ring) return LINNET_ERR_NOMEM;
    for (uint64_t n = l->last; n > l->last - l->count; n--)
        ring[n & (capacity - 1)] = *entry_of(l, n);
    s->bytes += (capacity - l->capacity) * sizeof *ring;
    ln_free(l->ring);
    l->ring = ring;
    l->capacity = capacity;
    return LINNET_OK;
}

/* Keeps to the bound; the line that was just used stays. */
static void trim(ln_seqs *s, ln_msec now) {
    while (s->bytes > s->bytes_max && s->by_age.next != s->by_age.prev) {
        ln_stat_add(&s->forgotten, 1);
        s->trimmed = now;
        forget(s, ln_list_item(s->by_age.next, line, age));
    }
}

static int advance(ln_seqs *s, ln_msec now, line *l) {
    int err = ring_grow(s, l);
    if (err < 0) return err;
    l->last++;
    if (l->count < LN_SEQ_KEPT) l->count++;
    *entry_of(l, l->last) = (entry){ .state = UNDER_WAY };
    l->used = now;
    ln_list_remove(&l->age);
    ln_list_push(&s->by_age, &l->age);
    trim(s, now);
    return LN_SEQ_NEXT;
}

/* One whose turn was before. */
static int again(const line *l, uint64_t number, ln_position *at) {
    if (l->last - number >= l->count) return LN_SEQ_UNKNOWN;
    entry *e = entry_of(l, number);
    if (e->state == UNDER_WAY) return LN_SEQ_BUSY;
#if defined(LN_PLANT) && LN_PLANT == 26 /* tests/sim: it is published again */
    e->state = FAILED;
#endif
    if (e->state == DONE) {
        *at = e->at;
        return LN_SEQ_SEEN;
    }
    e->state = UNDER_WAY;
    return LN_SEQ_NEXT;
}

int ln_seqs_begin(ln_seqs *s, ln_msec now, const ln_seq *q, ln_position *at) {
    ln_seqs_tick(s, now);
    line *l = find(s, q);
    if (l && q->number <= l->last) return again(l, q->number, at);
#if defined(LN_PLANT) && LN_PLANT == 27 /* tests/sim: a gap is no gap */
    if (l) l->last = q->number - 1;
#endif
    if (l) return q->number == l->last + 1 ? advance(s, now, l) : LN_SEQ_ORDER;
    bool all_there = s->trimmed == LN_NEVER || now - s->trimmed > LN_SEQ_MS;
    if (q->fresh && all_there && q->number != 1) return LN_SEQ_ORDER;
    int err = line_new(s, q, &l);
    if (err < 0) return err;
    err = advance(s, now, l);
    if (err < 0) forget(s, l);
    return err;
}

static entry *under_way(const line *l, uint64_t number) {
    if (!l || number > l->last || l->last - number >= l->count) return NULL;
    entry *e = entry_of(l, number);
    return e->state == UNDER_WAY ? e : NULL;
}

void ln_seqs_end(ln_seqs *s, const ln_seq *q, ln_position at) {
    entry *e = under_way(find(s, q), q->number);
    if (e) *e = (entry){ at, DONE };
}

/* Behind one that others have passed there stays a gap that it may fill. */
void ln_seqs_drop(ln_seqs *s, const ln_seq *q) {
    line *l = find(s, q);
    entry *e = under_way(l, q->number);
    if (!e) return;
    e->state = FAILED;
    if (q->number < l->last) return;
    l->last--;
    l->count--;
}

void ln_seqs_tick(ln_seqs *s, ln_msec now) {
    while (ln_seqs_deadline(s) <= now)
        forget(s, ln_list_item(s->by_age.next, line, age));
}

ln_msec ln_seqs_deadline(const ln_seqs *s) {
    if (ln_list_empty(&s->by_age)) return LN_NEVER;
    return ln_list_item(s->by_age.next, const line, age)->used + LN_SEQ_MS;
}

/* In a publication ------------------------------------------------------------------------ */

void ln_seq_pack(const ln_seq *q, uint8_t out[LN_SEQ_PACKED]) {
    memcpy(out, q->chain, LN_CHAIN);
    memcpy(out + LN_CHAIN, &q->number, 8);
    out[LN_CHAIN + 8] = q->fresh;
}

void ln_seq_unpack(const ln_publication *p, ln_seq *q) {
    ln_slice packed = ln_publication_key(p);
    assert(packed.size == LN_SEQ_PACKED);
    q->channel = ln_publication_channel(p);
    q->chain = packed.data;
    memcpy(&q->number, packed.data + LN_CHAIN, 8);
    q->fresh = packed.data[LN_CHAIN + 8];
}
