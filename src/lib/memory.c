#include "lib/memory.h"
#include "broker/memory.h"
#include "lib/hub.h"
#include "lib/server.h"
#include "lib/sized.h"
#include "session/session.h"

static void tell(ln_stat *s, uint64_t now) {
    uint64_t then = ln_stat_get(s);
    if (then != now) ln_stat_add(s, now - then);
}

static uint64_t pool(const ln_pool *p) {
    return (uint64_t)p->slab_count * p->slab_bytes;
}

static uint64_t table(const ln_map *m) {
    return (uint64_t)m->capacity * (sizeof *m->values + sizeof *m->hashes);
}

static uint64_t tables_of(const ln_hub *h) {
    uint64_t sum = table(&h->caps.names) + table(&h->presences.map) + table(&h->states.map);
    for (int i = 0; i < LN_SPACES; i++)
        sum += table(&h->channels[i]) + table(&h->homes.map[i]);
    sum += ln_stat_get(&h->channel_count) * sizeof(ln_channel);
    sum += ln_stat_get(&h->subscriptions) * sizeof(ln_seat);
    return sum + ln_stat_get(&h->homes.count) * sizeof(ln_home);
}

void ln_memory_turn(linnet_loop *w) {
    ln_memory_told *m = &w->memory;
    const ln_sessions *n = ln_host_hub_sessions(w);
    const ln_hub *h = w->hub;
    tell(&m->connections,
        pool(&w->conns) + pool(&w->env.exchanges) + (n ? ln_sessions_memory(n) : 0));
    tell(&m->blocks, pool(&w->env.blocks));
    tell(&m->compression, w->env.tools.pmd.memory);
    tell(&m->presence, h ? h->presences.bytes + h->states.bytes : 0);
    tell(&m->tables, table(&w->visitors) + (h ? tables_of(h) : 0));
}

static void add(linnet_memory *t, const linnet_loop *w) {
    const ln_memory_told *m = &w->memory;
    t->connections += ln_stat_get(&m->connections);
    t->queues += ln_stat_get(&w->env.held) + ln_stat_get(&m->blocks);
    t->presence += ln_stat_get(&m->presence);
    t->compression += ln_stat_get(&m->compression);
    t->tables += ln_stat_get(&m->tables);
    if (w->budget.broker)
        t->histories += ln_stat_get(&ln_memory_stats_of(w->budget.broker)->kept_bytes);
}

int linnet_server_get_memory(const linnet_server *s, linnet_memory *out) {
    linnet_memory t = { .size = out->size };
    if (t.size < sizeof t.size || t.size > LN_SIZED_MAX) return LINNET_ERR_INVAL;
    for (unsigned i = 0; i < s->worker_count; i++)
        if (s->workers[i]) add(&t, s->workers[i]);
    t.queues_max = s->budget.queued_max;
    t.histories_max = s->budget.history_max;
    memset(out, 0, t.size);
    memcpy(out, &t, t.size < sizeof t ? t.size : sizeof t);
    return LINNET_OK;
}
