#include "lib/budget.h"
#include "broker/memory.h"
#include "conn/inner.h"
#include "lib/hub.h"
#include "lib/ram.h"
#include "lib/server.h"
#include "session/session.h"
#include <inttypes.h>

#define STEP_MAX    (256u * 1024)       /* what a count moves by before anybody looks */
#define VIRTUAL_RAM (UINT64_C(4) << 30) /* of other worlds, so that runs are the same anywhere */

uint64_t ln_budget_of(const linnet_server *s, uint64_t bytes) {
    if (bytes) return bytes;
    return (s->world ? VIRTUAL_RAM : ln_ram()) / 4;
}

static bool moved(uint64_t now, uint64_t *seen, uint64_t max) {
    uint64_t by = now > *seen ? now - *seen : *seen - now;
    uint64_t step = max / 16 < STEP_MAX ? max / 16 : STEP_MAX;
    if (by < step) return false;
    *seen = now;
    return true;
}

static void wake_others(const linnet_loop *w) {
    const linnet_server *s = w->server;
    for (unsigned i = 0; i < s->worker_count; i++)
        if (s->workers[i] && s->workers[i] != w) ln_loop_wake(s->workers[i]->net);
}

/* ---- what waits to be sent ----------------------------------------------------------------- */

static uint64_t sum_of(const linnet_server *s, const ln_stat *(*of)(const linnet_loop *w)) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < s->worker_count; i++)
        if (s->workers[i]) sum += ln_stat_get(of(s->workers[i]));
    return sum;
}

static const ln_stat *queued_of(const linnet_loop *w) {
    return &w->env.held;
}

static const ln_stat *leaving_of(const linnet_loop *w) {
    return &w->budget.leaving;
}

typedef struct survey {
    uint64_t largest, leaving;
} survey;

/* A connection that was cut keeps what the backend has of it until it has gone. */
static void look(linnet_conn *conn, void *ctx) {
    survey *v = ctx;
    if (ln_conn_is(&conn->c, LN_CF_CLIENT) || conn->c.state == LN_CONN_DEAD) return;
    if (conn->c.state == LN_CONN_LINGERING)
        v->leaving += conn->c.queued;
    else if (conn->c.queued > v->largest)
        v->largest = conn->c.queued;
}

static void survey_take(linnet_loop *w) {
    survey v = { 0, 0 };
    ln_worker_each(w, look, &v);
    ln_stat_sub(&w->budget.top, ln_stat_get(&w->budget.top) - v.largest);
    ln_stat_sub(&w->budget.leaving, ln_stat_get(&w->budget.leaving) - v.leaving);
}

typedef struct cutting {
    linnet_loop *w;
    uint64_t from;            /* queues as large as this, */
    uint64_t goal, had, left; /* until so much is free of what there was; of those that go */
} cutting;

static void cut(linnet_conn *conn, void *ctx) {
    cutting *k = ctx;
    ln_conn *c = &conn->c;
    uint64_t has = ln_stat_get(&k->w->env.held);
    if (k->had >= has && k->had - has + k->left >= k->goal) return;
    if (ln_conn_is(c, LN_CF_CLIENT) || c->state >= LN_CONN_LINGERING || c->queued < k->from) return;
    ln_conn_fail(c, LINNET_ERR_SLOW);
    k->left += c->inflight_bytes;
    ln_stat_add(&k->w->budget.cut, 1);
}

static uint64_t magnitude(uint64_t bytes) {
    uint64_t power = 1;
    while (power <= bytes / 2)
        power *= 2;
    return power;
}

/* The excess is what will not go by itself. */
static void shed(linnet_loop *w, uint64_t total, uint64_t excess) {
    const linnet_server *s = w->server;
    uint64_t leaving = sum_of(s, leaving_of), mine = ln_stat_get(&w->env.held);
    uint64_t top = ln_stat_get(&w->budget.top), from = magnitude(top);
    if (excess <= leaving || !top) return;
    for (unsigned i = 0; i < s->worker_count; i++)
        if (s->workers[i] && magnitude(ln_stat_get(&s->workers[i]->budget.top)) > from) return;
    double share = (double)mine / (double)total;
    cutting k = { .w = w, .from = from, .had = mine };
    k.goal = (uint64_t)((double)(excess - leaving) * share) + 1;
    ln_worker_each(w, cut, &k);
    survey_take(w);
}

static void begin(linnet_loop *w, ln_budget *b, uint64_t total) {
    if (!ln_flag_raise_first(&b->crowded)) return;
    wake_others(w);
    ln_logf(&w->log, ln_loop_now(w->net), LINNET_LOG_WARN,
        "{\"event\":\"crowded\",\"queued\":%" PRIu64 ",\"budget\":%" PRIu64 "}", total,
        b->queued_max);
}

static void end(linnet_loop *w, ln_budget *b) {
#if defined(LN_PLANT) && LN_PLANT == 32 /* tests/sim: one who had his share is still counted */
    if (ln_stat_get(&w->budget.cut)) return;
#endif
    ln_flag_lower(&b->crowded);
    ln_stat_sub(&w->budget.top, ln_stat_get(&w->budget.top));
    wake_others(w); /* so that they let people publish again */
}

/* In the turn that finds it, sizes are told only: nobody knows yet who has the largest queue. */
static void queues(linnet_loop *w, ln_budget *b) {
    ln_sessions *people = ln_host_hub_people(w);
    bool was = ln_budget_crowded(b);
    bool changed = moved(ln_stat_get(&w->env.held), &w->budget.seen_queued, b->queued_max);
    if (was ? ln_loop_now(w->net) >= w->budget.look_at : changed) {
        uint64_t total = sum_of(w->server, queued_of), low = b->queued_max - b->queued_max / 8;
        w->budget.look_at = ln_loop_now(w->net) + LN_BUDGET_LOOK_MS;
        if (!was && total > b->queued_max) begin(w, b, total);
        if (was && total <= low) end(w, b);
        if (ln_budget_crowded(b)) survey_take(w);
        if (was && total > low) shed(w, total, total - low);
    }
    if (people) people->crowded = ln_budget_crowded(b);
}

bool linnet_server_crowded(const linnet_server *s) {
    return ln_budget_crowded(&s->budget);
}

bool ln_budget_waits(const linnet_loop *w) {
    const linnet_server *s = w->server;
    return s && ln_budget_crowded(&s->budget); /* who holds nothing may be the last to find that */
}

/* ---- histories ------------------------------------------------------------------------------ */

static uint64_t kept_by(const linnet_loop *w) {
    return w->budget.broker ? ln_stat_get(&ln_memory_stats_of(w->budget.broker)->kept_bytes) : 0;
}

static uint64_t kept_by_all(const linnet_server *s) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < s->worker_count; i++)
        if (s->workers[i]) sum += kept_by(s->workers[i]);
    return sum;
}

static void histories(linnet_loop *w, ln_budget *b) {
    uint64_t mine = kept_by(w), share = b->history_max / w->server->worker_count;
    bool packed = ln_flag_up(&b->packed);
    if (!packed && !moved(mine, &w->budget.seen_kept, b->history_max)) return;
    uint64_t total = kept_by_all(w->server), others = total - mine;
    if (total <= b->history_max) {
        if (packed) ln_flag_lower(&b->packed);
        return;
    }
    uint64_t may = others < b->history_max ? b->history_max - others : 0;
    if (may < share) may = share;
    if (mine > may) {
        ln_memory_shrink(w->budget.broker, may);
        w->budget.seen_kept = kept_by(w); /* from there it may grow a step before it looks again */
        return;
    }
    /* Others keep more than they may. Who has looked already sleeps, and the flag may be up since
     * then: so they are waked each time. It ends with the first of them that looks. */
    ln_flag_raise(&b->packed);
    wake_others(w);
}

void ln_budget_turn(linnet_loop *w) {
    ln_budget *b = &w->server->budget;
    if (b->queued_max) queues(w, b);
    if (b->history_max && w->budget.broker) histories(w, b);
}
