#include "hub/limit.h"
#include "base/mem.h"
#include <assert.h>

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)
#define DEBTS_MAX 128        /* tokens, beside a burst: all workers may have taken two on credit */
#define NAMES_MAX (1u << 30) /* connections are fewer */

/* ---- how fast ---------------------------------------------------------------------------- */

/* Each token moves the time when the bucket would be full by what it takes to drip in; there is
 * none when that came to lie behind what a whole bucket takes. */
bool ln_bucket_take(ln_bucket *b, ln_rate rate, ln_msec now, uint32_t *wait_ms) {
    if (!rate.per_s) return true;
    uint64_t drip = NS_PER_S / rate.per_s, at = now * NS_PER_MS;
    uint64_t whole = drip * (rate.burst ? rate.burst : 1);
    uint64_t full = (*b > at ? *b : at) + drip;
    if (full <= at + whole) {
        *b = full;
        return true;
    }
    *wait_ms = (uint32_t)((full - at - whole + NS_PER_MS - 1) / NS_PER_MS);
    return false;
}

void ln_bucket_force(ln_bucket *b, ln_rate rate, ln_msec now, uint32_t count) {
    if (!rate.per_s) return;
    uint64_t drip = NS_PER_S / rate.per_s, at = now * NS_PER_MS;
    uint64_t most = at + drip * (2 * (uint64_t)rate.burst + DEBTS_MAX);
    uint64_t full = (*b > at ? *b : at) + drip * count;
    *b = full < most ? full : most;
}

/* ---- how many ---------------------------------------------------------------------------- */

typedef struct tally {
    uint32_t count;
    uint32_t name_size;
    uint8_t name[];
} tally;

ln_admission *ln_admission_new(ln_cap cap, ln_slice name) {
    assert(name.size <= LN_CAP_NAME_MAX);
    size_t size = sizeof(ln_admission) + 1 + name.size;
    ln_admission *a = ln_malloc(size);
    if (!a) return NULL;
    *a = (ln_admission){ .letter = { .bytes = (uint32_t)size, .room = LN_LETTER_HUB },
        .name_size = (uint8_t)(1 + name.size) };
    a->name[0] = (uint8_t)cap;
    if (name.size) memcpy(a->name + 1, name.data, name.size);
    return a;
}

static ln_slice tally_name(const void *value) {
    const tally *t = value;
    return ln_slice_of(t->name, t->name_size);
}

void ln_caps_init(ln_caps *c, ln_map_key key) {
    ln_map_init(&c->names, key, tally_name, NAMES_MAX);
}

void ln_caps_fini(ln_caps *c) {
    uint32_t at = 0;
    for (tally *t; (t = ln_map_next(&c->names, &at));)
        ln_free(t);
    ln_map_fini(&c->names);
}

int ln_caps_enter(ln_caps *c, ln_slice name, uint32_t max) {
    tally *t = ln_map_get(&c->names, name);
    if (t && t->count >= max) return LINNET_ERR_LIMIT;
    if (t) {
        t->count++;
        return LINNET_OK;
    }
    if (max == 0) return LINNET_ERR_LIMIT;
    if (!(t = ln_malloc(sizeof *t + name.size))) return LINNET_ERR_NOMEM;
    *t = (tally){ .count = 1, .name_size = (uint32_t)name.size };
    memcpy(t->name, name.data, name.size);
    int err = ln_map_add(&c->names, t);
    if (err < 0) ln_free(t);
    return err;
}

void ln_caps_leave(ln_caps *c, ln_slice name) {
    tally *t = ln_map_get(&c->names, name);
    assert(t && t->count > 0);
    if (--t->count) return;
    ln_map_remove(&c->names, name);
    ln_free(t);
}

uint32_t ln_caps_count(const ln_caps *c, ln_slice name) {
    const tally *t = ln_map_get(&c->names, name);
    return t ? t->count : 0;
}
