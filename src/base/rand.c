#include "base/rand.h"
#include <assert.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

static void draw(void *out, size_t size) {
    assert(size <= INT32_MAX);
    if (RAND_bytes(out, (int)size) != 1) abort();
}

static void refill(ln_rand *r) {
    draw(r->pool, sizeof(r->pool));
    r->left = sizeof(r->pool);
}

void ln_rand_init(ln_rand *r) {
    *r = (ln_rand){ 0 };
    refill(r);
}

/* splitmix64, only to spread the seed: xoshiro must not start from zeros. */
static uint64_t split(uint64_t *seed) {
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void ln_rand_init_seeded(ln_rand *r, uint64_t seed) {
    *r = (ln_rand){ .seeded = true };
    for (int i = 0; i < 4; i++)
        r->state[i] = split(&seed);
}

/* xoshiro256** (Blackman, Vigna). */
static uint64_t next(uint64_t s[4]) {
    uint64_t x = s[1] * 5, result = (x << 7 | x >> 57) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3] << 45 | s[3] >> 19;
    return result;
}

static void seeded_bytes(ln_rand *r, uint8_t *out, size_t size) {
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++) {
        if (i % 8 == 0) word = next(r->state);
        out[i] = (uint8_t)word;
        word >>= 8;
    }
}

void ln_rand_bytes(ln_rand *r, void *out, size_t size) {
    if (r->seeded) {
        seeded_bytes(r, out, size);
        return;
    }
    uint8_t *to = out;
    while (size >= sizeof(r->pool)) { /* large requests need no pool */
        draw(to, sizeof(r->pool));
        to += sizeof(r->pool);
        size -= sizeof(r->pool);
    }
    if (size == 0) return;
    if (size > r->left) refill(r);
    uint8_t *from = r->pool + sizeof(r->pool) - r->left;
    memcpy(to, from, size);
    memset(from, 0, size); /* what was given out is not kept here */
    r->left -= (uint32_t)size;
}

uint64_t ln_rand_u64(ln_rand *r) {
    if (r->seeded) return next(r->state);
    uint64_t v;
    ln_rand_bytes(r, &v, sizeof(v));
    return v;
}

uint32_t ln_rand_u32(ln_rand *r) {
    if (r->seeded) return (uint32_t)(next(r->state) >> 32);
    uint32_t v;
    ln_rand_bytes(r, &v, sizeof(v));
    return v;
}

/* Multiply and shift; the low half tells when the draw fell into the uneven rest (Lemire). */
uint32_t ln_rand_below(ln_rand *r, uint32_t n) {
    assert(n > 0);
    uint64_t m = (uint64_t)ln_rand_u32(r) * n;
    if ((uint32_t)m < n) {
        uint32_t uneven = (0 - n) % n;
        while ((uint32_t)m < uneven)
            m = (uint64_t)ln_rand_u32(r) * n;
    }
    return (uint32_t)(m >> 32);
}
