#include "bounds.h"
#include "broker/memory.h"
#include "law.h"
#include "lib/hub.h"
#include "lib/limits.h"
#include "session/login.h"
#include <stdlib.h>

typedef struct look {
    scene *scene;
    linnet_loop *worker;
} look;

static void bound(const look *l, const char *what, uint64_t is, uint64_t most) {
    if (is > most)
        history_anomaly(l->scene->h, "bounded", "%s: %llu, and at most %llu are allowed", what,
            (unsigned long long)is, (unsigned long long)most);
}

/* What is never dropped may come on top of the limit: answers, states, one message. */
static void look_at_conn(linnet_conn *conn, void *ctx) {
    const look *l = ctx;
    const ln_conn *c = &conn->c;
    if (!c->config || c->state != LN_CONN_WS) return;
    bound(l, "bytes in a queue", c->queued, c->config->queued_max + 2 * 65536 + 4096);
    bound(l, "input that is carried", c->carry_size, 512 * 1024);
}

static void look_at_session(const look *l, const ln_session *s) {
    const ln_session_limits *most = s->limits;
    bound(l, "requests under way", s->outstanding, most->outstanding_max + most->commands_max);
    bound(l, "commands that are held", s->held.size, most->held_max);
    bound(l, "channels of a session", s->sub_count - s->leaving, most->channels_max);
    if (!s->login || !s->login->id || !s->login->id->expires || s->closed) return;
    bound(l, "seconds with a token", law_now_s(l->scene->law),
        s->login->id->expires + LAW_GRACE_S + 2);
}

static void look_at_hub(const look *l, const ln_hub *h) {
    const ln_homes *homes = &h->homes;
    uint32_t letters;
    size_t bytes;
    ln_inbox_load(l->worker->inbox, &letters, &bytes);
    bound(l, "letters", letters, LN_LIM_MAIL + 1024);
    bound(l, "bytes of letters", bytes, LN_LIM_MAIL_BYTES + (1u << 20));
    bound(l, "homes that linger", homes->idle_count, LN_HOME_IDLE_MAX);
    bound(l, "bytes of keys of publications", homes->dedup.bytes, homes->dedup.bytes_max);
    bound(l, "bytes of members", h->presences.bytes, h->presences.bytes_max);
    bound(l, "bytes of keyed state", h->states.bytes, LN_STATE_BYTES_MAX);
    if (!homes->broker) return;
    const ln_memory_stats *logs = ln_memory_stats_of(homes->broker);
    bound(l, "bytes of history", ln_stat_get(&logs->kept_bytes), UINT64_C(256) << 20);
    bound(l, "logs without a home", ln_stat_get(&logs->idle), 16384);
    /* Three times: pages that somebody is owed are kept besides. */
    uint64_t most = l->scene->plan->history_count > 100 ? l->scene->plan->history_count : 100;
    bound(l, "publications kept", ln_stat_get(&logs->kept), 3 * most * ln_stat_get(&logs->logs));
}

/* Each worker looks when what it keeps has grown by a step, and one of a turn may come on top. */
void bounds_look_all(scene *s, linnet_server *server) {
    look l = { s, NULL };
    linnet_memory m = LINNET_MEMORY_INIT;
    if (linnet_server_get_memory(server, &m) < 0) abort();
    bound(
        &l, "bytes of all histories", m.histories, m.histories_max + m.histories_max / 2 + 131072);
    if (linnet_server_crowded(server)) did(s, DID_CROWDED);
}

void bounds_look(scene *s, linnet_loop *worker) {
    look l = { s, worker };
    const ln_sessions *n = ln_host_hub_sessions(worker);
    ln_worker_each(worker, look_at_conn, &l);
    if (!worker->hub || !n) return;
    look_at_hub(&l, worker->hub);
    for (uint32_t i = 0; i < n->slot_count; i++)
        if (ln_session_at(n, i)) look_at_session(&l, ln_session_at(n, i));
    did(s, DID_BOUNDS);
}
