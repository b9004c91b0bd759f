#include "plan.h"
#include "base/rand.h"
#include <string.h>

const char *const plan_words[PLAN_KIND_COUNT] = {
#define WORD(name, word) word,
    PLAN_KINDS(WORD)
#undef WORD
};
const char *const plan_deeds[PLAN_DEED_COUNT] = {
#define WORDS(name, words) words,
    PLAN_DEEDS(WORDS)
#undef WORDS
};

static uint32_t one_of(ln_rand *r, const uint32_t *values, uint32_t count) {
    return values[ln_rand_below(r, count)];
}
#define ONE_OF(r, ...)                                                                             \
    one_of(r, (const uint32_t[]){ __VA_ARGS__ },                                                   \
        sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

/* The rings cost as much as all else together. */
static void draw_kinds(plan *p, ln_rand *r) {
    for (uint32_t i = 0; i < PLAN_MEMORY; i++)
        if (ln_rand_below(r, i == PLAN_RINGS ? 10 : 5) < (i == PLAN_RINGS ? 1 : 2))
            p->kinds |= 1u << i;
}

static void draw_faults(plan *p, ln_rand *r) {
    ln_sim_faults f = { .delay_max_ms = ONE_OF(r, 1, 1, 3, 20, 100),
        .window = ONE_OF(r, 0, 0, 300, 5000),
        .partial = ONE_OF(r, 100000, 500000),
        .short_read = ONE_OF(r, 100000, 600000),
        .reset = ONE_OF(r, 500, 5000),
        .refuse = ONE_OF(r, 50000, 300000),
        .stall = ONE_OF(r, 1000, 5000) };
    if (plan_has(p, PLAN_RINGS)) { /* a slow link, but not one that takes for ever */
        if (f.window == 300) f.window = 5000;
        if (f.delay_max_ms > 20) f.delay_max_ms = 20;
    }
    p->payload_max = f.window && f.window < 5000 ? 400 : ONE_OF(r, 400, 400, 60000);
    if (!plan_has(p, PLAN_PARTS)) f.partial = f.short_read = 0;
    if (!plan_has(p, PLAN_RESETS)) f.reset = 0;
    if (!plan_has(p, PLAN_REFUSALS)) f.refuse = 0;
    if (!plan_has(p, PLAN_STALLS)) f.stall = 0;
    p->faults = f;
}

static void draw_limits(plan *p, ln_rand *r) {
    linnet_conn_limits limits = LINNET_CONN_LIMITS_INIT;
    bool patient = ln_rand_below(r, 3) != 0;
    if (p->faults.stall || !patient) { /* what hangs is to be noticed in time */
        limits.ping_ms = 1500;
        limits.pong_ms = 2000;
        limits.close_ms = 1000;
    }
    if (plan_has(p, PLAN_SLOW) && p->payload_max == 400) {
        limits.queued_max = 10000;
        limits.queued_age_ms = 1500;
        limits.high_mark = 4000;
        limits.low_mark = 500;
    }
    p->limits = limits;
    p->slow = (linnet_slow)ONE_OF(r, 0, 0, 1, 2, 3);
    if (!plan_has(p, PLAN_SLOW)) p->slow = LINNET_SLOW_DISCONNECT;
}

/* Rings are read to their ends, which wants the memory. */
static void draw_memory(plan *p, const plan_less *less, ln_rand *r) {
    bool has = ln_rand_below(r, 4) == 0;
    if (!has || plan_has(p, PLAN_RINGS) || less->without >> PLAN_MEMORY & 1) return;
    p->kinds |= 1u << PLAN_MEMORY;
    p->queued_all = p->payload_max == 400 ? 2500 : 120000;
    p->kept_all = p->payload_max == 400 ? 40000 : 1000000;
}

void plan_draw(plan *p, uint64_t seed, const plan_less *less) {
    ln_rand r;
    ln_rand_init_seeded(&r, seed ^ UINT64_C(0x5bd1e995aef17502));
    *p = (plan){ .seed = seed, .traced = less->traced };
    draw_kinds(p, &r);
    p->clients = ONE_OF(&r, 4, 12, 20, 30);
    p->guests = ONE_OF(&r, 0, 3, 6);
    p->events = 1200 + ln_rand_below(&r, 800);
    p->wild_ms = 1000 + ln_rand_below(&r, 2500);
    p->takes_turns = ln_rand_below(&r, 2);
    p->history_count = ONE_OF(&r, 0, 0, 6, 30, 1000);
    p->drain_rate = ONE_OF(&r, 0, 10);
    p->guests_may = ln_rand_below(&r, 2);
    p->batch_ms = ONE_OF(&r, 5, 50, 300);
    p->ring = ONE_OF(&r, 1, 3, 3, 10, 100);
    p->kinds &= ~less->without;
    if (less->clients && less->clients < p->clients) p->clients = less->clients;
    if (less->events && less->events < p->events) p->events = less->events;
    if (less->events && less->events < p->wild_ms) p->wild_ms = less->events;
    p->keys_kept = ln_rand_below(&r, 2);
    p->resume_ms = ONE_OF(&r, 0, 0, 6000);
    draw_faults(p, &r);
    draw_limits(p, &r);
    if (!plan_has(p, PLAN_BATCHES)) p->batch_ms = 0;
    draw_memory(p, less, &r);
}

bool plan_kinds_of(const char *words, uint32_t *kinds) {
    for (*kinds = 0; *words; words += *words == ',') {
        size_t size = strcspn(words, ",");
        int i = 0;
        while (i < PLAN_KIND_COUNT &&
               (strlen(plan_words[i]) != size || memcmp(plan_words[i], words, size) != 0))
            i++;
        if (i == PLAN_KIND_COUNT) return false;
        *kinds |= 1u << i;
        words += size;
    }
    return true;
}
