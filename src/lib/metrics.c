/* metrics.c -- what the workers have counted, summed when somebody asks. Nothing here is on the way
 * of a message, and whoever asks touches counters only: no worker is stopped or woken for it.
 */
#include "broker/memory.h"
#include "lib/hooks.h"
#include "lib/hub.h"
#include "lib/server.h"
#include "lib/sized.h"
#include "session/session.h"
#include <assert.h>

static_assert(LINNET_HISTOGRAM_BUCKETS == LN_HIST_BUCKETS, "one is the other");

static void add_worker(linnet_server_stats *t, const linnet_loop *w) {
    const ln_env *env = &w->env;
    t->connections += ln_stat_get(&env->conns);
    t->messages_in += ln_stat_get(&env->messages_in);
    t->messages_out += ln_stat_get(&env->messages_out);
    t->bytes_in += ln_stat_get(&env->bytes_in);
    t->bytes_out += ln_stat_get(&env->bytes_out);
    t->sends += ln_stat_get(&env->sends);
    t->opens += ln_stat_get(&env->opens);
    t->closes += ln_stat_get(&env->closes);
    t->queued_bytes += ln_stat_get(&env->queued);
    t->cut += ln_stat_get(&w->budget.cut);
    t->stalled += ln_stat_get(&env->stalled);
    t->spared += ln_stat_get(&env->spared);
    t->uncompressed += ln_stat_get(&w->memory.declined);
    t->accept_refusals += ln_stat_get(&w->refused);
    t->accept_failures += ln_stat_get(&w->starved);
    for (unsigned row = 0; row < 64; row++)
        t->rejects += ln_stat_get(&env->rejects[row]) + ln_stat_get(&env->faults[row]);
}

/* As much as the caller's struct can take; what a later one has in addition is 0. */
int linnet_server_get_stats(const linnet_server *s, linnet_server_stats *out) {
    linnet_server_stats t = { .size = out->size };
    if (t.size < sizeof t.size || t.size > LN_SIZED_MAX) return LINNET_ERR_INVAL;
    for (unsigned i = 0; i < s->worker_count; i++)
        if (s->workers[i]) add_worker(&t, s->workers[i]); /* else the server is being freed */
    memset(out, 0, t.size);
    memcpy(out, &t, t.size < sizeof t ? t.size : sizeof t);
    return LINNET_OK;
}

/* ---- reasons and codes ---------------------------------------------------------------- */

/* One behind the other: the errors of types.h, then the faults of http1.h. */
#define REASONS 64

static const char *const fault_names[REASONS] = { NULL,
#define NAME(name, status, words, extra) "HTTP_" #name,
    LN_HTTP1_FAULTS(NAME)
#undef NAME
};

static uint64_t rejects(const linnet_server *s, unsigned reason) {
    uint64_t n = 0;
    for (unsigned i = 0; i < s->worker_count; i++) {
        if (!s->workers[i]) continue;
        const ln_env *env = &s->workers[i]->env;
        n += ln_stat_get(reason < REASONS ? &env->rejects[reason] : &env->faults[reason - REASONS]);
    }
    return n;
}

/* NULL: there is no such row. */
static const char *reason_name(unsigned reason) {
    static const bool exists[REASONS] = {
#define ROW(name, number, code, retry, words) [number] = true,
        LINNET_ERRORS(ROW)
#undef ROW
    };
    if (reason >= REASONS) return fault_names[reason - REASONS];
    return exists[reason] ? linnet_errname(-(int)reason) : NULL;
}

const char *linnet_server_next_reason(const linnet_server *s, unsigned *at, uint64_t *count) {
    while (*at < 2 * REASONS) {
        unsigned reason = (*at)++;
        const char *name = reason_name(reason);
        if (!name) continue;
        *count = rejects(s, reason);
        return name;
    }
    return NULL;
}

const char *linnet_server_next_reject(const linnet_server *s, unsigned *at, uint64_t *count) {
    uint64_t n = 0;
    for (const char *name; (name = linnet_server_next_reason(s, at, &n));) {
        if (n == 0) continue;
        *count = n;
        return name;
    }
    return NULL;
}

bool linnet_server_next_close(
    const linnet_server *s, unsigned *at, uint16_t *code, uint64_t *count) {
    if (*at >= LN_CLOSE_CODES) return false;
    unsigned index = (*at)++;
    *code = ln_close_code(index);
    *count = 0;
    for (unsigned i = 0; i < s->worker_count; i++)
        if (s->workers[i]) *count += ln_stat_get(&s->workers[i]->env.close_codes[index]);
    return true;
}

/* ---- histograms ----------------------------------------------------------------------- */

static void add_hist(linnet_histogram *t, const ln_hist *h) {
    for (unsigned i = 0; i < LN_HIST_BUCKETS; i++) {
        uint64_t n = ln_stat_get(&h->buckets[i]);
        t->counts[i] += n;
        t->count += n;
    }
    t->sum_us += ln_stat_get(&h->sum_us);
}

/* NULL: there is none. */
static const ln_hist *hist_of(const linnet_loop *w, linnet_measure what) {
    switch (what) {
    case LINNET_MEASURE_DELIVERY: return w->hub ? &w->hub->latency : NULL;
    case LINNET_MEASURE_SOCKET: return w->hub ? &w->hub->socket : NULL;
    case LINNET_MEASURE_RTT: return &w->env.rtt;
    case LINNET_MEASURE_WAIT: return &w->env.waited;
    case LINNET_MEASURE_WEBHOOK: return ln_hook_worker_times(w->hooks);
    }
    return NULL;
}

int linnet_server_measure(const linnet_server *s, linnet_measure what, linnet_histogram *out) {
    linnet_histogram t = { .size = out->size };
    if (t.size != sizeof t || (unsigned)what > LINNET_MEASURE_WEBHOOK) return LINNET_ERR_INVAL;
    for (unsigned i = 0; i < LN_HIST_BUCKETS; i++)
        t.bound_us[i] = ln_hist_bound(i);
    for (unsigned i = 0; i < s->worker_count; i++) {
        const ln_hist *h = s->workers[i] ? hist_of(s->workers[i], what) : NULL;
        if (h) add_hist(&t, h);
    }
    *out = t;
    return LINNET_OK;
}

/* ---- the hub --------------------------------------------------------------------------- */

static void add_hub(linnet_hub_stats *t, const ln_hub *h, const ln_sessions *n) {
    t->sessions += ln_stat_get(&n->count);
    t->channels += ln_stat_get(&h->channel_count);
    t->subscriptions += ln_stat_get(&h->subscriptions);
    t->publishes += ln_stat_get(&h->publishes);
    t->deliveries += ln_stat_get(&h->deliveries);
    t->errors += ln_stat_get(&n->errors);
    t->rate_limited += ln_stat_get(&n->limited);
    t->unknown += ln_stat_get(&n->unknown);
    t->recovered += ln_stat_get(&n->recovered);
    t->lost += ln_stat_get(&n->lost);
    t->calls += ln_stat_get(&n->called);
    t->stray_replies += ln_stat_get(&n->strays);
    t->crowded += ln_stat_get(&n->too_many);
    t->limited_user += ln_stat_get(&n->limited_user);
    t->limited_address += ln_stat_get(&n->limited_address);
    t->limited_handshakes += ln_stat_get(&n->limited_handshakes);
    t->full_users += ln_stat_get(&n->full_users);
    t->resumed += ln_stat_get(&n->resumed);
    t->taken += ln_stat_get(&n->taken);
    t->dropped += ln_stat_get(&n->dropped);
    t->held += ln_stat_get(&n->held);
    t->keys_forgotten += ln_stat_get(&h->homes.dedup.forgotten);
}

static void add_broker(linnet_hub_stats *t, const ln_memory_stats *m) {
    t->evicted += ln_stat_get(&m->evicted);
    t->positions_forgotten += ln_stat_get(&m->forgotten);
}

int linnet_hub_get_stats(const linnet_hub *hub, linnet_hub_stats *out) {
    linnet_hub_stats t = { .size = out->size };
    const linnet_server *s = ln_host_hub_server(hub);
    if (t.size < sizeof t.size || t.size > LN_SIZED_MAX) return LINNET_ERR_INVAL;
    if (!s) return LINNET_ERR_STATE;
    for (unsigned i = 0; i < s->worker_count; i++) {
        const linnet_loop *w = s->workers[i];
        const ln_sessions *n = w ? ln_host_hub_sessions(w) : NULL;
        if (n && w->hub) add_hub(&t, w->hub, n);
        if (n && w->budget.broker) add_broker(&t, ln_memory_stats_of(w->budget.broker));
    }
    memset(out, 0, t.size);
    memcpy(out, &t, t.size < sizeof t ? t.size : sizeof t);
    return LINNET_OK;
}

const char *linnet_hub_next_dialect(const linnet_hub *hub, unsigned *at, uint64_t *sessions) {
    if (*at > LN_DIALECTS) return NULL;
    unsigned dialect = (*at)++;
    const linnet_server *s = ln_host_hub_server(hub);
    *sessions = 0;
    for (unsigned i = 0; s && i < s->worker_count; i++) {
        const ln_sessions *n = s->workers[i] ? ln_host_hub_sessions(s->workers[i]) : NULL;
        if (n) *sessions += ln_stat_get(&n->by_dialect[dialect]);
    }
    return dialect == LN_DIALECTS ? "undecided" : ln_dialects[dialect]->name;
}

const char *linnet_hub_next_limit(const linnet_hub *hub, unsigned *at, uint64_t *count) {
    static const char *const names[LN_PACES] = { "publish", "subscribe", "read", "auth" };
    if (*at >= LN_PACES) return NULL;
    unsigned pace = (*at)++;
    const linnet_server *s = ln_host_hub_server(hub);
    *count = 0;
    for (unsigned i = 0; s && i < s->worker_count; i++) {
        const ln_sessions *n = s->workers[i] ? ln_host_hub_sessions(s->workers[i]) : NULL;
        if (n) *count += ln_stat_get(&n->too_fast[pace]);
    }
    return names[pace];
}

const char *linnet_hub_next_error(const linnet_hub *hub, unsigned *at, uint64_t *count) {
    static const char *const names[LN_ERROR_CODES] = {
#define NAME(name, code, retry, words) [(code)-LN_NATIVE_INTERNAL] = #name,
        LN_NATIVE_ERRORS(NAME)
#undef NAME
            [LN_ERROR_CODES - 1] = "APPLICATION",
    };
    while (*at < LN_ERROR_CODES && !names[*at])
        (*at)++;
    if (*at >= LN_ERROR_CODES) return NULL;
    unsigned row = (*at)++;
    const linnet_server *s = ln_host_hub_server(hub);
    *count = 0;
    for (unsigned i = 0; s && i < s->worker_count; i++) {
        const ln_sessions *n = s->workers[i] ? ln_host_hub_sessions(s->workers[i]) : NULL;
        if (n) *count += ln_stat_get(&n->error_codes[row]);
    }
    return names[row];
}
