#include "base/map.h"
#include "base/mem.h"
#include <assert.h>
#include <endian.h>

#define CAPACITY_MIN 8

/* SipHash-1-3 (Aumasson, Bernstein): one round per word, three at the end. Enough against
 * collisions that an attacker can only observe through timing, and twice as fast as 2-4. */
static uint64_t rotl(uint64_t v, int n) {
    return v << n | v >> (64 - n);
}

static void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

static uint64_t tail_le(const uint8_t *p, size_t size) {
    uint64_t w = 0;
    for (size_t i = 0; i < size; i++)
        w |= (uint64_t)p[i] << (8 * i);
    return w;
}

uint64_t ln_siphash(ln_map_key key, ln_slice s) {
    uint64_t v[4] = {
        key.k0 ^ UINT64_C(0x736f6d6570736575),
        key.k1 ^ UINT64_C(0x646f72616e646f6d),
        key.k0 ^ UINT64_C(0x6c7967656e657261),
        key.k1 ^ UINT64_C(0x7465646279746573),
    };
    uint64_t last = (uint64_t)s.size << 56;
    while (s.size >= 8) {
        uint64_t w;
        memcpy(&w, s.data, 8);
        w = le64toh(w);
        v[3] ^= w;
        sip_round(v);
        v[0] ^= w;
        ln_slice_skip(&s, 8);
    }
    last |= tail_le(s.data, s.size);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void ln_map_init(ln_map *m, ln_map_key key, ln_map_key_of *key_of, uint32_t max) {
    assert(key_of);
    assert(max <= UINT32_C(1) << 30);
    *m = (ln_map){ .key_of = key_of, .key = key, .max = max };
}

void ln_map_fini(ln_map *m) {
    ln_free(m->values);
    m->values = NULL;
    m->hashes = NULL;
    m->count = m->capacity = 0;
}

/* The slot that holds the name, or the free one where it would go. There is always a free
 * one: the load is at most 3/4. */
static uint32_t seek(const ln_map *m, ln_slice name, uint32_t hash) {
    uint32_t at = hash & (m->capacity - 1);
    while (m->values[at]) {
        bool same = m->hashes[at] == hash && ln_slice_eq(m->key_of(m->values[at]), name);
        if (same) return at;
        at = (at + 1) & (m->capacity - 1);
    }
    return at;
}

static int resize(ln_map *m, uint32_t capacity) {
    void **values = ln_calloc(capacity, sizeof(*values) + sizeof(*m->hashes));
    if (!values) return LINNET_ERR_NOMEM;
    uint32_t *hashes = (uint32_t *)(values + capacity);
    for (uint32_t i = 0; i < m->capacity; i++) {
        if (!m->values[i]) continue;
        uint32_t at = m->hashes[i] & (capacity - 1);
        while (values[at])
            at = (at + 1) & (capacity - 1);
        values[at] = m->values[i];
        hashes[at] = m->hashes[i];
    }
    ln_free(m->values);
    m->values = values;
    m->hashes = hashes;
    m->capacity = capacity;
    return LINNET_OK;
}

/* Capacity for one more value. */
static int make_room(ln_map *m) {
    uint32_t need = m->count + 1;
    if (m->capacity == 0) return resize(m, CAPACITY_MIN);
    if (need > m->capacity / 4 * 3) return resize(m, m->capacity * 2);
    /* To a quarter, which is then at most half full; no harm if there is no memory. */
    if (m->capacity >= 4 * CAPACITY_MIN && need <= m->capacity / 8) resize(m, m->capacity / 4);
    return LINNET_OK;
}

void *ln_map_get(const ln_map *m, ln_slice name) {
    if (m->count == 0) return NULL;
    return m->values[seek(m, name, (uint32_t)ln_siphash(m->key, name))];
}

int ln_map_add(ln_map *m, void *value) {
    assert(value);
    ln_slice name = m->key_of(value);
    uint32_t hash = (uint32_t)ln_siphash(m->key, name);
    if (m->count && m->values[seek(m, name, hash)]) return LINNET_ERR_EXISTS;
    if (m->count >= m->max) return LINNET_ERR_LIMIT;
    int err = make_room(m);
    if (err < 0) return err;

    uint32_t at = seek(m, name, hash);
    m->values[at] = value;
    m->hashes[at] = hash;
    m->count++;
    return LINNET_OK;
}

/* Closes the hole at `at`: a later value of the same run moves into it when its own place is
 * not behind the hole. No tombstones, so that a map does not age. */
static void close_hole(ln_map *m, uint32_t at) {
    uint32_t mask = m->capacity - 1;
    for (uint32_t i = (at + 1) & mask; m->values[i]; i = (i + 1) & mask) {
        uint32_t from_home = (i - m->hashes[i]) & mask, from_hole = (i - at) & mask;
        if (from_home < from_hole) continue;
        m->values[at] = m->values[i];
        m->hashes[at] = m->hashes[i];
        at = i;
    }
    m->values[at] = NULL;
}

void *ln_map_remove(ln_map *m, ln_slice name) {
    if (m->count == 0) return NULL;
    uint32_t at = seek(m, name, (uint32_t)ln_siphash(m->key, name));
    void *value = m->values[at];
    if (!value) return NULL;
    close_hole(m, at);
    m->count--;
    if (m->count == 0 && m->capacity > CAPACITY_MIN) ln_map_fini(m);
    return value;
}

void *ln_map_next(const ln_map *m, uint32_t *at) {
    while (*at < m->capacity) {
        void *value = m->values[(*at)++];
        if (value) return value;
    }
    return NULL;
}

static uint32_t reversed(uint32_t v) {
    v = (v >> 1 & 0x55555555u) | (v & 0x55555555u) << 1;
    v = (v >> 2 & 0x33333333u) | (v & 0x33333333u) << 2;
    v = (v >> 4 & 0x0f0f0f0fu) | (v & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(v);
}

/* Slots are visited in the order of their reversed numbers. A table twice as large has two slots
 * for each of before, which are then neighbours, so that what is behind *at stays behind it. */
void ln_map_scan(const ln_map *m, uint32_t *at, void (*see)(void *ctx, void *value), void *ctx) {
    if (m->count == 0) {
        *at = 0;
        return;
    }
    uint64_t width = (UINT64_C(1) << 32) / m->capacity;
    uint32_t mask = m->capacity - 1, slot = reversed(*at) & mask;
    *at = (uint32_t)((*at / width + 1) * width);
    for (uint32_t i = slot; m->values[i]; i = (i + 1) & mask)
        if ((m->hashes[i] & mask) == slot) see(ctx, m->values[i]);
}
