#include "town.h"
#include "bounds.h"
#include "broker/memory.h"
#include "census.h"
#include "guest.h"
#include "law.h"
#include "lib/hub.h"
#include "lib/server.h"
#include "rings.h"
#include "session/session.h"
#include "stranger.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#define NODES      2
#define WORKERS    2
#define CLIENTS    30 /* at most */
#define GUESTS     6
#define STRANGERS  5
#define LOOPS      5
#define CALM_MS    30000 /* I13 */
#define SILENCE_MS 4500  /* until whoever hangs has been noticed, where that can happen */
#define WILD_MAX   60000 /* it ends also when nothing much happens */
#define BOUNDS_MS  200   /* between two looks */
#define LINGER_MS  6000  /* a member whose connection was lost is one for 5 s */
#define GONE_MS    30000 /* an answer that nobody fetches has 10 s, and 10 s more when it moves */
#define ROUNDS     6
#define PEAK_BYTES (128u * 1024 * 1024)

typedef struct node {
    linnet_server *server;
    linnet_hub *hub;
    program program;
    house house;
} node;

typedef struct town {
    ln_simnet *net;
    plan plan;
    ln_world world;
    ln_sim_faults faults;
    scene scene;
    handover handover;
    node nodes[NODES];
    linnet_loop *loops[LOOPS];
    client clients[CLIENTS];
    guest guests[GUESTS];
    stranger strangers[STRANGERS];
    rings rings;
    ln_msec looked; /* at bounds */
    uint32_t restarts;
    bool over;
} town;

/* -- memory ----------------------------------------------------------------------------------- */

typedef struct memory {
    size_t live, bytes, peak;
} memory;

static memory *used(void) {
    static memory m; /* one thread; the hook is the process's */
    return &m;
}

static void *account(void *p) {
    memory *m = used();
    if (!p) abort();
    m->live++;
    m->bytes += malloc_usable_size(p);
    if (m->bytes > m->peak) m->peak = m->bytes;
    return p;
}

static void *take_memory(void *ctx, size_t size) {
    (void)ctx;
    return account(malloc(size));
}

static void give_memory(void *ctx, void *p) {
    (void)ctx;
    used()->live--;
    used()->bytes -= malloc_usable_size(p);
    free(p);
}

static void *resize_memory(void *ctx, void *p, size_t size) {
    (void)ctx;
    if (p) {
        used()->live--;
        used()->bytes -= malloc_usable_size(p);
    }
    return account(realloc(p, size));
}

void town_install_memory(void) {
    linnet_allocator a = { take_memory, resize_memory, give_memory, NULL };
    linnet_allocator_set(&a);
}

/* -- the world --------------------------------------------------------------------------------- */

static uint32_t below(town *t, uint32_t n) {
    return ln_simnet_below(t->net, n);
}

static bool has(const town *t, int kind) {
    return plan_has(&t->plan, kind);
}

static uint64_t wall(void *ctx) {
    return UINT64_C(1700000000000) + ln_simnet_now(((town *)ctx)->net);
}

static void spawn(void *ctx, void (*fn)(void *arg), void *arg) {
    ln_simnet_spawn(((town *)ctx)->net, fn, arg);
}

static bool quiet(town *t) {
    return history_words(t->scene.h) == NULL;
}

static void must(town *t, int err, const char *what) {
    if (err < 0) history_anomaly(t->scene.h, "stuck", "%s: %s", what, linnet_strerror(err));
}

static void pass_node(town *t, int number, bool looks) {
    node *n = &t->nodes[number];
    for (uint32_t i = 0; i < WORKERS; i++) {
        linnet_loop *w = ln_server_worker(n->server, i);
        handover_some(&t->handover, w);
        if (looks) bounds_look(&t->scene, w);
    }
    if (t->scene.mood == WILD && below(t, 6) == 0) program_act(&n->program);
    house_act(&n->house);
    law_act(t->scene.law, (uint32_t)number);
    if (looks && has(t, PLAN_MEMORY)) bounds_look_all(&t->scene, n->server);
    if (number == 0 && t->rings.scene) rings_act(&t->rings);
}

/* Lets so much time pass, and connections change hands meanwhile. */
static void pass(town *t, uint32_t ms) {
    ln_msec end = ln_simnet_now(t->net) + ms;
    while (ln_simnet_now(t->net) < end && quiet(t)) {
        ln_msec next = ln_simnet_now(t->net) + 20;
        if (!ln_simnet_run(t->net, next < end ? next : end)) return; /* all sleep, for ever */
        for (int i = 0; i < LOOPS; i++)
            handover_some(&t->handover, t->loops[i]);
        bool looks = ln_simnet_now(t->net) >= t->looked + BOUNDS_MS;
        if (looks) t->looked = ln_simnet_now(t->net);
        for (int i = 0; i < NODES; i++)
            if (t->nodes[i].server) pass_node(t, i, looks);
    }
}

/* -- nodes ------------------------------------------------------------------------------------- */

static void node_start(town *t, int number) {
    node *n = &t->nodes[number];
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
    so.workers = WORKERS;
    so.drain_ms = 3000;
    so.head_ms = 4000;
    so.drain_rate = t->plan.drain_rate;
    so.queued_all_max = t->plan.queued_all;
    ho.history_bytes_all = t->plan.kept_all;
    ho.limits = t->plan.limits;
    law_options(t->scene.law, (uint32_t)number, &ho);
    ho.limits.deflate = number ? LINNET_DEFLATE_TAKEOVER : LINNET_DEFLATE_SHARED;
    ho.limits.deflate_threshold = 64;
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%d", CLIENT_PORT + number);
    must(t, ln_server_new_in(&t->world, &so, &n->server), "server");
    must(t, linnet_hub_new(&ho, &n->hub), "hub");
    program_init(&n->program, &t->scene, n->hub, CLIENTS + (uint32_t)number);
    law_began(t->scene.law, (uint32_t)number, n->hub);
    must(t, linnet_server_hub(n->server, "/ws", n->hub), "route");
    must(t, linnet_server_feed(n->server, "/feed/*", n->hub), "feed");
    must(t, house_open(&n->house, &t->scene, n->server), "route");
    must(t, linnet_server_listen(n->server, address, NULL, NULL), "listen");
    must(t, linnet_server_start(n->server), "start");
    const ln_sessions *sessions = ln_server_worker(n->server, 0)->sessions; /* its first member */
    uint32_t life = client_life(&t->scene, ln_slice_str(sessions->node));
    t->scene.node_lives[number] = life;
    program_began(&n->program, life, t->clients, t->plan.clients);
    if (number == 0) rings_began(&t->rings, n->hub);
}

static void count_memory(town *t, const node *n) {
    for (uint32_t i = 0; i < WORKERS; i++) {
        const linnet_loop *w = ln_server_worker(n->server, i);
        const ln_sessions *sessions = w->sessions;
        if (sessions) t->scene.put_off += ln_stat_get(&sessions->too_many);
        if (!w->hub || !w->hub->homes.broker) continue;
        const ln_memory_stats *logs = ln_memory_stats_of(w->hub->homes.broker);
        if (ln_stat_get(&logs->evicted)) did(&t->scene, DID_EVICTED);
    }
}

static void node_free(town *t, int number) {
    node *n = &t->nodes[number];
    size_t left = linnet_server_connections(n->server);
    if (has(t, PLAN_MEMORY)) count_memory(t, n);
    if (left) history_anomaly(t->scene.h, "bounded", "a node ends with %zu connections", left);
    t->scene.node_lives[number] = LIVES;
    law_ended(t->scene.law, (uint32_t)number);
    if (number == 0) rings_ended(&t->rings);
    linnet_server_free(n->server);
    calls_ended(t->scene.calls, n->hub);
    program_fini(&n->program);
    house_close(&n->house);
    linnet_hub_free(n->hub);
    *n = (node){ .server = NULL };
}

static void count_taken(town *t, const node *n) {
    for (uint32_t i = 0; i < WORKERS; i++) {
        const ln_sessions *sessions = ln_server_worker(n->server, i)->sessions;
        t->scene.did[DID_GAVE_WAY] += ln_stat_get(&sessions->taken);
    }
}

/* Gracefully or at once; true when it has ended, which takes no longer than drain_ms and a bit. */
static bool node_stop(town *t, int number, bool kill) {
    linnet_server *s = t->nodes[number].server;
    const plan *p = &t->plan;
    uint32_t hard = 1u << PLAN_RESETS | 1u << PLAN_STALLS | 1u << PLAN_SLOW | 1u << PLAN_RINGS;
    bool easy = !(p->kinds & hard) && p->payload_max == 400 && p->faults.delay_max_ms <= 20;
    if (t->nodes[number].program.life < LIVES)
        t->scene.soft[t->nodes[number].program.life] = easy && !kill;
    did(&t->scene, kill ? DID_KILLED : DID_DRAINED);
    count_taken(t, &t->nodes[number]);
    linnet_server_stop(s, 0);
    if (kill) linnet_server_stop(s, 0);
    for (int i = 0; i < 100 && !linnet_server_stopped(s) && quiet(t); i++)
        pass(t, 100);
    if (!linnet_server_stopped(s)) {
        history_anomaly(t->scene.h, "stuck", "node %d does not stop", number);
        return false;
    }
    node_free(t, number);
    return true;
}

static void node_restart(town *t) {
    int number = (int)below(t, NODES);
    t->restarts++;
    if (!node_stop(t, number, below(t, 2))) return;
    pass(t, below(t, 500));
    node_start(t, number);
}

/* -- clients ----------------------------------------------------------------------------------- */

typedef struct lane { /* a loop of clients */
    town *town;
    linnet_loop *loop;
} lane;

static void turn_clients(void *arg) {
    lane l = *(lane *)arg;
    free(arg);
    while (!l.town->over)
        must(l.town, linnet_loop_turn(l.loop, -1), "turn");
}

static void clients_start(town *t) {
    for (uint32_t i = 0; i < LOOPS; i++) {
        must(t, ln_loop_new_in(&t->world, NULL, &t->loops[i]), "loop");
        lane *l = malloc(sizeof *l);
        if (!l) abort();
        *l = (lane){ t, t->loops[i] };
        ln_simnet_spawn(t->net, turn_clients, l);
    }
    for (uint32_t i = 0; i < t->plan.clients; i++)
        client_start(&t->clients[i], &t->scene, t->loops[i % LOOPS], i);
    for (uint32_t i = 0; i < t->plan.guests; i++)
        guest_start(&t->guests[i], &t->scene, t->loops[i % LOOPS], i);
    for (uint32_t i = 0; i < STRANGERS && has(t, PLAN_STRANGERS); i++)
        stranger_start(&t->strangers[i], &t->scene, t->loops[i % LOOPS], i);
    t->scene.strangers = t->strangers;
    t->scene.stranger_count = has(t, PLAN_STRANGERS) ? STRANGERS : 0;
    if (has(t, PLAN_RINGS)) rings_start(&t->rings, &t->scene, t->loops[0]);
}

static const client *unsettled(const town *t) {
    for (uint32_t i = 0; i < t->plan.clients; i++)
        if (!client_settled(&t->clients[i])) return &t->clients[i];
    return NULL;
}

static bool settled(const town *t) {
    for (int i = 0; i < NODES; i++)
        if (!program_settled(&t->nodes[i].program)) return false;
    for (uint32_t i = 0; i < t->plan.guests; i++)
        if (!guest_settled(&t->guests[i])) return false;
    for (uint32_t i = 0; i < STRANGERS && has(t, PLAN_STRANGERS); i++)
        if (!stranger_settled(&t->strangers[i])) return false;
    return !unsettled(t) && rings_settled(&t->rings) && calls_settled(t->scene.calls);
}

static bool agreed(const town *t, char *words, size_t size) {
    const program *programs[NODES];
    for (int i = 0; i < NODES; i++)
        programs[i] = &t->nodes[i].program;
    return census(t->clients, t->plan.clients, programs, NODES, words, size);
}

static void describe(const town *t, char *words, size_t size) {
    snprintf(words, size, "a program has not heard, or is not heard, or not answered");
    if (!rings_settled(&t->rings)) rings_describe(&t->rings, words, size);
    for (uint32_t i = 0; i < t->plan.guests; i++)
        if (!guest_settled(&t->guests[i]))
            snprintf(words, size, "guest %u, state %d, said %u, echoed %u", i, t->guests[i].state,
                t->guests[i].said, t->guests[i].echoed);
    for (uint32_t i = 0; i < STRANGERS && has(t, PLAN_STRANGERS); i++)
        if (!stranger_settled(&t->strangers[i])) stranger_describe(&t->strangers[i], words, size);
    const client *c = unsettled(t);
    if (c) client_describe(c, words, size);
}

/* Until all have what they are to have, and agree on who is there. Where somebody comes anew in the
 * meantime, his last connection may be counted for linger_ms more. */
static void settle(
    town *t, uint32_t most_ms, uint32_t linger_ms, uint32_t step_ms, const char *when) {
    ln_msec end = ln_simnet_now(t->net) + most_ms;
    uint32_t begun = t->scene.sessions;
    char words[200] = "";
    bool there = false;
    while (quiet(t) && !(there = settled(t) && agreed(t, words, sizeof words)) &&
           ln_simnet_now(t->net) < end + (t->scene.sessions != begun ? linger_ms : 0))
        pass(t, step_ms);
    if (there || !quiet(t)) return;
    bool drifted = settled(t);
    if (!drifted) describe(t, words, sizeof words);
    history_anomaly(t->scene.h, drifted ? "presence-drift" : "stuck", "%s: %s", when, words);
}

/* -- acts -------------------------------------------------------------------------------------- */

static void be_wild(town *t) {
    ln_msec began = ln_simnet_now(t->net), now;
    uint32_t after = 300 + below(t, 1500);
    bool restarts = has(t, PLAN_RESTARTS);
    do {
        pass(t, 100);
        now = ln_simnet_now(t->net) - began;
        if (restarts && now >= after) node_restart(t);
        if (restarts && now >= after) after = (uint32_t)now + 5000 + below(t, 20000);
    } while (
        quiet(t) && now < WILD_MAX && (now < t->plan.wild_ms || t->scene.events < t->plan.events));
}

/* What was left out for somebody slow is told in front of the next message of its channel. */
static void say_everywhere(town *t) {
    pass(t, 3000);
    for (int i = 0; i < NODES; i++)
        for (uint32_t seat = 0; seat < HISTORY_CHANNELS; seat++)
            program_publish(&t->nodes[i].program, seat);
}

static void be_calm(town *t) {
    bool silence = t->faults.stall != 0;
    t->faults.reset = t->faults.refuse = t->faults.stall = 0;
    ln_simnet_faults(t->net, &t->faults);
    t->scene.mood = CALM;
    law_calm(t->scene.law);
    if (silence) pass(t, SILENCE_MS);
    if (t->plan.slow != LINNET_SLOW_DISCONNECT) say_everywhere(t);
    for (int i = 0; i < NODES; i++)
        t->nodes[i].program.last = 0; /* perhaps nobody listened */
    settle(t, CALM_MS, 0, 100, "30 s after the last fault");
    calls_check_gone(t->scene.calls);
    for (int i = 0; i < NODES && quiet(t); i++)
        if (linnet_server_crowded(t->nodes[i].server))
            history_anomaly(t->scene.h, "stuck", "nothing waits, and node %d is crowded", i);
}

/* The program says something in a channel that this client is in. */
static void speak_program(town *t, const client *c) {
    for (int i = 0; i < NODES; i++)
        if (c->now->life == t->nodes[i].program.life)
            program_publish(&t->nodes[i].program, (uint32_t)__builtin_ctz(c->wanted));
}

/* Nobody else says anything, so that a worker that was not woken sleeps on. What is said must be
 * heard in the time that the network takes: some twenty ways with their delays, in parts. */
static void take_turns(town *t) {
    uint32_t most = 60 + t->faults.delay_max_ms * 40 + (has(t, PLAN_BACKEND) ? 2500 : 0) +
                    t->plan.batch_ms;
    if (t->plan.payload_max > 400 && t->faults.window) most *= 10;
    for (int round = 0; round < ROUNDS && quiet(t); round++) {
        uint32_t first = below(t, t->plan.clients), count = 1 + below(t, 10);
        for (uint32_t i = 0; i < count; i++) {
            client *c = &t->clients[(first + i * 7) % t->plan.clients];
            must(t, linnet_loop_post(c->loop, client_speak, c), "post");
        }
        if (below(t, 2)) speak_program(t, &t->clients[first]);
        pass(t, t->faults.delay_max_ms + 10);
        settle(t, most, LINGER_MS, 20, "a round");
    }
}

static size_t left_open(const town *t) {
    size_t n = 0;
    for (int i = 0; i < NODES; i++)
        if (t->nodes[i].server) n += linnet_server_connections(t->nodes[i].server);
    for (int i = 0; i < LOOPS; i++)
        n += linnet_loop_connections(t->loops[i]);
    return n;
}

static bool connected(const town *t) {
    for (uint32_t i = 0; i < t->plan.clients; i++)
        if (t->clients[i].now) return true;
    for (uint32_t i = 0; i < t->plan.guests; i++)
        if (t->guests[i].state != GUEST_OUT) return true;
    for (uint32_t i = 0; i < STRANGERS; i++)
        if (t->strangers[i].state != STRANGER_OUT) return true;
    return t->rings.state != RINGS_OUT;
}

static void leave(town *t) {
    bool nodes_first = below(t, 2);
    for (int i = 0; i < NODES && nodes_first; i++)
        node_stop(t, i, below(t, 4) == 0);
    t->scene.mood = LEAVING;
    for (uint32_t i = 0; i < t->plan.clients; i++)
        must(t, linnet_loop_post(t->clients[i].loop, client_nudge, &t->clients[i]), "post");
    for (uint32_t i = 0; i < t->plan.guests; i++)
        must(t, linnet_loop_post(t->guests[i].loop, guest_nudge, &t->guests[i]), "post");
    for (uint32_t i = 0; i < STRANGERS && has(t, PLAN_STRANGERS); i++)
        must(t, linnet_loop_post(t->strangers[i].loop, stranger_nudge, &t->strangers[i]), "post");
    if (t->rings.scene) must(t, linnet_loop_post(t->loops[0], rings_nudge, &t->rings), "post");
    for (int i = 0; i < 200 && connected(t) && quiet(t); i++)
        pass(t, 100);
    if (connected(t)) history_anomaly(t->scene.h, "stuck", "a client cannot leave");
    for (int i = 0; i < GONE_MS / 1000 && left_open(t) && quiet(t); i++)
        pass(t, 1000); /* what lingers goes, and nothing follows a close */
    if (left_open(t)) history_anomaly(t->scene.h, "bounded", "%zu connections stay", left_open(t));
    for (int i = 0; i < NODES && !nodes_first; i++)
        node_stop(t, i, below(t, 4) == 0);
    t->over = true;
    for (int i = 0; i < LOOPS; i++)
        linnet_loop_wake(t->loops[i]);
    ln_simnet_run(t->net, ln_simnet_now(t->net) + 10000);
    if (ln_simnet_running(t->net)) history_anomaly(t->scene.h, "stuck", "a worker does not end");
}

static void report(const town *t, town_report *out) {
    *out = (town_report){ .hash = ln_simnet_hash(t->net),
        .kinds = t->plan.kinds,
        .clients = t->plan.clients,
        .publications = history_count(t->scene.h),
        .restarts = t->restarts,
        .events = t->scene.events,
        .peak = used()->peak,
        .took = ln_simnet_now(t->net) };
    memcpy(out->did, t->scene.did, sizeof out->did);
    memcpy(out->places, t->handover.places, sizeof out->places);
}

static void free_all(town *t) {
    for (uint32_t i = 0; i < t->plan.clients; i++) {
        linnet_timer_free(t->clients[i].timer);
        client_end(&t->clients[i]);
    }
    for (uint32_t i = 0; i < t->plan.guests; i++) {
        linnet_timer_free(t->guests[i].timer);
        guest_end(&t->guests[i]);
    }
    for (uint32_t i = 0; i < STRANGERS && has(t, PLAN_STRANGERS); i++) {
        linnet_timer_free(t->strangers[i].timer);
        stranger_end(&t->strangers[i]);
    }
    if (t->rings.scene) linnet_timer_free(t->rings.timer);
    rings_end(&t->rings);
    for (int i = 0; i < LOOPS; i++)
        linnet_loop_free(t->loops[i]);
    ln_simnet_free(t->net);
}

static void build(town *t) {
    t->net = ln_simnet_new(t->plan.seed, NULL);
    t->world = (ln_world){ &ln_sim_ops, t->net, true, t->plan.seed * 1000003, wall, spawn, t };
    t->scene = (scene){ .net = t->net, .h = history_new(), .plan = &t->plan };
    t->scene.history_least = t->plan.history_count ? t->plan.history_count : 100;
    t->scene.law = law_new(&t->scene);
    t->scene.calls = calls_new(&t->scene);
    t->handover = (handover){ .net = t->net, .h = t->scene.h, .one_in = 8 };
    t->faults = t->plan.faults;
    ln_simnet_faults(t->net, &t->faults);
    for (int i = 0; i < NODES; i++)
        node_start(t, i);
    clients_start(t);
}

/* After an anomaly nothing is put in order: who knows what stands there. It costs memory, once. */
void town_run(uint64_t seed, const plan_less *less, town_report *out) {
    town *t = calloc(1, sizeof *t);
    if (!t) abort();
    memory before = *used();
    used()->peak = before.bytes;
    plan_draw(&t->plan, seed, less);
    build(t);
    be_wild(t);
    if (quiet(t)) be_calm(t);
    if (quiet(t) && t->plan.takes_turns) take_turns(t);
    if (quiet(t)) leave(t);
    if (quiet(t)) history_finish(t->scene.h);
    if (quiet(t) && t->scene.did[DID_PUT_OFF] > t->scene.put_off)
        history_anomaly(t->scene.h, "denied", "more is put off than nodes have put off");
    report(t, out);
    if (quiet(t)) free_all(t);
    if (quiet(t) && (used()->live != before.live || used()->bytes != before.bytes))
        history_anomaly(
            t->scene.h, "bounded", "%zu blocks of memory are left", used()->live - before.live);
    if (quiet(t) && out->peak - before.bytes > PEAK_BYTES)
        history_anomaly(t->scene.h, "bounded", "%zu bytes of memory in use", out->peak);
    if (!quiet(t)) {
        snprintf(out->words, sizeof out->words, "%s", history_words(t->scene.h));
        return;
    }
    law_free(t->scene.law);
    calls_free(t->scene.calls);
    free(t->scene.values);
    history_free(t->scene.h);
    free(t);
}
