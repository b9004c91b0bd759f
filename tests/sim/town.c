#include "town.h"
#include "client.h"
#include "guest.h"
#include "lib/server.h"
#include "program.h"
#include "session/session.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#define NODES      2
#define WORKERS    2
#define CLIENTS    50
#define GUESTS     6
#define LOOPS      5
#define CALM_MS    30000 /* I13 */
#define PING_MS    1500  /* where connections may fall silent */
#define PONG_MS    2000
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
    ln_world world;
    ln_sim_faults faults;
    scene scene;
    handover handover;
    node nodes[NODES];
    linnet_loop *loops[LOOPS];
    client clients[CLIENTS];
    guest guests[GUESTS];
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

static uint32_t one_of(town *t, const uint32_t *values, uint32_t count) {
    return values[below(t, count)];
}
#define ONE_OF(t, ...)                                                                             \
    one_of(t, (const uint32_t[]){ __VA_ARGS__ },                                                   \
        sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

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

static void pass_node(town *t, node *n) {
    for (uint32_t i = 0; i < WORKERS; i++)
        handover_some(&t->handover, ln_server_worker(n->server, i));
    if (t->scene.mood == WILD && below(t, 6) == 0) program_act(&n->program);
    house_act(&n->house);
}

/* Lets so much time pass, and connections change hands meanwhile. */
static void pass(town *t, uint32_t ms) {
    ln_msec end = ln_simnet_now(t->net) + ms;
    while (ln_simnet_now(t->net) < end && quiet(t)) {
        ln_msec next = ln_simnet_now(t->net) + 20;
        if (!ln_simnet_run(t->net, next < end ? next : end)) return; /* all sleep, for ever */
        for (int i = 0; i < LOOPS; i++)
            handover_some(&t->handover, t->loops[i]);
        for (int i = 0; i < NODES; i++)
            if (t->nodes[i].server) pass_node(t, &t->nodes[i]);
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
    ho.limits = t->scene.limits;
    ho.history_count = t->scene.history_count;
    ho.limits.deflate = number ? LINNET_DEFLATE_TAKEOVER : LINNET_DEFLATE_SHARED;
    ho.limits.deflate_threshold = 64;
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%d", CLIENT_PORT + number);
    must(t, ln_server_new_in(&t->world, &so, &n->server), "server");
    must(t, linnet_hub_new(&ho, &n->hub), "hub");
    must(t, linnet_server_hub(n->server, "/ws", n->hub), "route");
    must(t, house_open(&n->house, &t->scene, n->server), "route");
    must(t, linnet_server_listen(n->server, address, NULL, NULL), "listen");
    must(t, linnet_server_start(n->server), "start");
    const ln_sessions *sessions = ln_server_worker(n->server, 0)->sessions; /* its first member */
    uint32_t life = client_life(&t->scene, ln_slice_str(sessions->node));
    program_init(&n->program, &t->scene, n->hub, life, CLIENTS + (uint32_t)number);
}

static void node_free(town *t, int number) {
    node *n = &t->nodes[number];
    size_t left = linnet_server_connections(n->server);
    if (left) history_anomaly(t->scene.h, "bounded", "a node ends with %zu connections", left);
    linnet_server_free(n->server);
    program_fini(&n->program);
    house_close(&n->house);
    linnet_hub_free(n->hub);
    *n = (node){ .server = NULL };
}

/* Gracefully or at once; true when it has ended, which takes no longer than drain_ms and a bit. */
static bool node_stop(town *t, int number, bool kill) {
    linnet_server *s = t->nodes[number].server;
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
    for (uint32_t i = 0; i < CLIENTS; i++)
        client_start(&t->clients[i], &t->scene, t->loops[i % LOOPS], i);
    for (uint32_t i = 0; i < GUESTS; i++)
        guest_start(&t->guests[i], &t->scene, t->loops[i % LOOPS], i);
}

static const client *unsettled(const town *t) {
    for (int i = 0; i < CLIENTS; i++)
        if (!client_settled(&t->clients[i])) return &t->clients[i];
    return NULL;
}

static bool settled(const town *t) {
    for (int i = 0; i < NODES; i++)
        if (!program_settled(&t->nodes[i].program)) return false;
    for (int i = 0; i < GUESTS; i++)
        if (!guest_settled(&t->guests[i])) return false;
    return !unsettled(t);
}

/* Until all have what they are to have. */
static void settle(town *t, uint32_t most_ms, uint32_t step_ms, const char *when) {
    ln_msec end = ln_simnet_now(t->net) + most_ms;
    while (!settled(t) && ln_simnet_now(t->net) < end && quiet(t))
        pass(t, step_ms);
    if (settled(t) || !quiet(t)) return;
    const client *c = unsettled(t);
    char words[200] = "a program has not heard, or is not heard";
    for (int i = 0; i < GUESTS; i++)
        if (!guest_settled(&t->guests[i]))
            snprintf(words, sizeof words, "guest %d, state %d, said %u, echoed %u", i,
                t->guests[i].state, t->guests[i].said, t->guests[i].echoed);
    if (c) client_describe(c, words, sizeof words);
    history_anomaly(t->scene.h, "stuck", "%s: %s", when, words);
}

/* -- acts -------------------------------------------------------------------------------------- */

static void choose_faults(town *t) {
    ln_sim_faults *f = &t->faults;
    f->delay_max_ms = ONE_OF(t, 1, 1, 3, 20, 100);
    f->window = ONE_OF(t, 0, 0, 300, 5000);
    f->partial = ONE_OF(t, 0, 100000, 500000);
    f->short_read = ONE_OF(t, 0, 100000, 600000);
    f->reset = ONE_OF(t, 0, 500, 5000);
    f->refuse = ONE_OF(t, 0, 50000, 300000);
    f->stall = ONE_OF(t, 0, 0, 1000, 5000);
    t->scene.payload_max = f->window && f->window < 5000 ? 400 : 60000;
    ln_simnet_faults(t->net, f);
    linnet_conn_limits limits = LINNET_CONN_LIMITS_INIT;
    if (f->stall || below(t, 3) == 0) { /* what hangs is to be noticed in time */
        limits.ping_ms = PING_MS;
        limits.pong_ms = PONG_MS;
        limits.close_ms = 1000;
    }
    if (t->scene.payload_max == 400 && below(t, 2)) {
        limits.queued_max = 20000;
        limits.queued_age_ms = 3000;
        limits.high_mark = 4000;
        limits.low_mark = 500;
    }
    t->scene.limits = limits;
    t->scene.history_count = ONE_OF(t, 0, 0, 6, 30, 1000);
}

static void be_wild(town *t) {
    pass(t, 1000 + below(t, 1500));
    if (below(t, 2)) node_restart(t);
    pass(t, 500 + below(t, 1500));
}

static void be_calm(town *t) {
    bool silence = t->faults.stall != 0;
    t->faults.reset = t->faults.refuse = t->faults.stall = 0;
    ln_simnet_faults(t->net, &t->faults);
    t->scene.mood = CALM;
    for (int i = 0; i < NODES; i++)
        t->nodes[i].program.last = 0;               /* perhaps nobody listened */
    if (silence) pass(t, PING_MS + PONG_MS + 1000); /* until whoever hangs has noticed */
    settle(t, CALM_MS, 100, "30 s after the last fault");
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
    uint32_t most = 60 + t->faults.delay_max_ms * 40;
    if (t->scene.payload_max > 400 && t->faults.window) most *= 10;
    for (int round = 0; round < ROUNDS && quiet(t); round++) {
        uint32_t first = below(t, CLIENTS), count = 1 + below(t, 10);
        for (uint32_t i = 0; i < count; i++) {
            client *c = &t->clients[(first + i * 7) % CLIENTS];
            must(t, linnet_loop_post(c->loop, client_speak, c), "post");
        }
        if (below(t, 2)) speak_program(t, &t->clients[first]);
        pass(t, t->faults.delay_max_ms + 10);
        settle(t, most, 20, "a round");
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
    for (int i = 0; i < CLIENTS; i++)
        if (t->clients[i].now) return true;
    for (int i = 0; i < GUESTS; i++)
        if (t->guests[i].state != GUEST_OUT) return true;
    return false;
}

static void leave(town *t) {
    bool nodes_first = below(t, 2);
    for (int i = 0; i < NODES && nodes_first; i++)
        node_stop(t, i, below(t, 4) == 0);
    t->scene.mood = LEAVING;
    for (int i = 0; i < CLIENTS; i++)
        must(t, linnet_loop_post(t->clients[i].loop, client_nudge, &t->clients[i]), "post");
    for (int i = 0; i < GUESTS; i++)
        must(t, linnet_loop_post(t->guests[i].loop, guest_nudge, &t->guests[i]), "post");
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
        .publications = history_count(t->scene.h),
        .restarts = t->restarts,
        .opens = t->scene.opens,
        .closes = t->scene.closes,
        .fails = t->scene.fails,
        .heard = t->scene.heard,
        .rude = t->scene.rude,
        .recovered = t->scene.recovered,
        .replayed = t->scene.replayed,
        .read = t->scene.read,
        .peak = used()->peak,
        .took = ln_simnet_now(t->net) };
    memcpy(out->places, t->handover.places, sizeof out->places);
}

static void free_all(town *t) {
    for (int i = 0; i < CLIENTS; i++) {
        linnet_timer_free(t->clients[i].timer);
        client_end(&t->clients[i]);
    }
    for (int i = 0; i < GUESTS; i++) {
        linnet_timer_free(t->guests[i].timer);
        guest_end(&t->guests[i]);
    }
    for (int i = 0; i < LOOPS; i++)
        linnet_loop_free(t->loops[i]);
    ln_simnet_free(t->net);
}

/* After an anomaly nothing is put in order: who knows what stands there. It costs memory, once. */
void town_run(uint64_t seed, town_report *out) {
    town *t = calloc(1, sizeof *t);
    if (!t) abort();
    memory before = *used();
    used()->peak = before.bytes;
    t->net = ln_simnet_new(seed, NULL);
    t->world = (ln_world){ &ln_sim_ops, t->net, true, seed * 1000003, wall, spawn, t };
    t->scene = (scene){ .net = t->net, .h = history_new() };
    t->handover = (handover){ .net = t->net, .h = t->scene.h, .one_in = 8 };
    choose_faults(t);
    for (int i = 0; i < NODES; i++)
        node_start(t, i);
    clients_start(t);
    be_wild(t);
    if (quiet(t)) be_calm(t);
    if (quiet(t)) take_turns(t);
    if (quiet(t)) leave(t);
    if (quiet(t)) history_finish(t->scene.h);
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
    history_free(t->scene.h);
    free(t);
}
