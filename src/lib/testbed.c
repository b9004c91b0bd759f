/* testbed.c -- <linnet/test.h>: a world of the simulator's for programs that test themselves.
 *
 * Workers are coroutines of the virtual network; so is the one loop that all clients are on, which
 * keeps the network from ever being without somebody who could wait.
 */
#include "base/list.h"
#include "base/mem.h"
#include "lib/server.h"
#include "lib/sized.h"
#include "net/sim.h"
#include <linnet/test.h>

#define SERVERS_MAX  16
#define WALL_DEFAULT UINT64_C(1700000000000)
#define STOP_MS      3600000 /* longer than any drain */
#define DIAL_MS      60000

typedef struct heard { /* a message that nobody has asked for yet */
    ln_list node;
    size_t size;
    char text[];
} heard;

struct linnet_test {
    ln_simnet *net;
    ln_world world;
    ln_sim_faults faults;
    ln_msec began;
    uint64_t wall; /* when it began */
    linnet_server *servers[SERVERS_MAX];
    unsigned server_count;
    linnet_loop *loop; /* the clients' */
    ln_list clients;
    bool running, over;
};

struct linnet_test_client {
    ln_list node; /* in test->clients */
    linnet_test *test;
    linnet_conn *conn;
    ln_list inbox; /* of heard */
    heard *last;   /* what was handed out */
    bool told;     /* open, or failed */
    int err, status;
    uint16_t code;
};

/* -- time -------------------------------------------------------------------------------------- */

static uint64_t wall(void *ctx) {
    return linnet_test_wall(ctx);
}

static void spawn(void *ctx, void (*fn)(void *arg), void *arg) {
    ln_simnet_spawn(((linnet_test *)ctx)->net, fn, arg);
}

uint64_t linnet_test_now(const linnet_test *t) {
    return ln_simnet_now(t->net) - t->began;
}

uint64_t linnet_test_wall(const linnet_test *t) {
    return t->wall + linnet_test_now(t);
}

int linnet_test_set_wall(linnet_test *t, uint64_t wall_ms) {
    if (t->running) return LINNET_ERR_STATE;
    t->wall = wall_ms - linnet_test_now(t);
    return LINNET_OK;
}

/* To the next thing that happens, or to the end. */
static void step(linnet_test *t, ln_msec end) {
    ln_msec next = ln_simnet_next(t->net), least = ln_simnet_now(t->net) + 1;
    if (next < least) next = least;
    t->running = true;
    ln_simnet_run(t->net, next < end ? next : end);
    t->running = false;
}

static bool never(void *ctx) {
    (void)ctx;
    return false;
}

int linnet_test_until(linnet_test *t, bool (*done)(void *ctx), void *ctx, uint64_t within_ms) {
    if (t->running) return LINNET_ERR_STATE;
    ln_msec now = ln_simnet_now(t->net);
    ln_msec end = within_ms < LN_NEVER - now ? now + within_ms : LN_NEVER - 1;
    linnet_loop_wake(t->loop); /* what was said between the calls is to leave */
    while (!done(ctx)) {
        if (ln_simnet_now(t->net) >= end) return LINNET_ERR_TIMEOUT;
        step(t, end);
    }
    return LINNET_OK;
}

int linnet_test_pass(linnet_test *t, uint64_t ms) {
    int err = linnet_test_until(t, never, NULL, ms);
    return err == LINNET_ERR_TIMEOUT ? LINNET_OK : err;
}

/* -- servers ----------------------------------------------------------------------------------- */

int linnet_test_server(linnet_test *t, const linnet_server_options *options, linnet_server **out) {
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    if (t->running) return LINNET_ERR_STATE;
    if (t->server_count == SERVERS_MAX) return LINNET_ERR_LIMIT;
    if (options) {
        if (!ln_sized(options, sizeof o) || options->loop) return LINNET_ERR_INVAL;
        o = *options;
        o.size = sizeof o;
    }
    if (o.workers == 0) o.workers = 1;
    int err = ln_server_new_in(&t->world, &o, out);
    if (err == LINNET_OK) t->servers[t->server_count++] = *out;
    return err;
}

static bool server_stopped(void *ctx) {
    return linnet_server_stopped(ctx);
}

int linnet_test_stop(linnet_test *t, linnet_server *server, bool at_once) {
    unsigned i = 0;
    if (t->running) return LINNET_ERR_STATE;
    while (i < t->server_count && t->servers[i] != server)
        i++;
    if (i == t->server_count) return LINNET_ERR_INVAL;
    linnet_server_stop(server, 0);
    if (at_once) linnet_server_stop(server, 0);
    int err = LINNET_OK;
    if (ln_flag_up(&server->running)) err = linnet_test_until(t, server_stopped, server, STOP_MS);
    if (err < 0) return err;
    linnet_server_free(server);
    t->servers[i] = t->servers[--t->server_count];
    return LINNET_OK;
}

/* -- clients ----------------------------------------------------------------------------------- */

static void on_open(linnet_conn *conn) {
    linnet_test_client *c = linnet_conn_user(conn);
    c->conn = conn;
    c->told = true;
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    linnet_test_client *c = linnet_conn_user(conn);
    (void)opcode;
    heard *h = ln_malloc(sizeof *h + data.size + 1);
    if (!h) {
        linnet_conn_terminate(conn);
        return;
    }
    ln_list_init(&h->node);
    h->size = data.size;
    memcpy(h->text, data.data, data.size);
    h->text[data.size] = 0;
    ln_list_push(&c->inbox, &h->node);
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    linnet_test_client *c = linnet_conn_user(conn);
    (void)reason;
    (void)err;
    c->conn = NULL;
    c->code = code;
}

static void on_fail(void *user, int err, int status, const char *words) {
    linnet_test_client *c = user;
    (void)words;
    c->err = err;
    c->status = status;
    c->told = true;
}

static bool told(void *ctx) {
    return ((linnet_test_client *)ctx)->told;
}

static void client_forget(linnet_test_client *c) {
    ln_list *node;
    while ((node = ln_list_pop(&c->inbox)))
        ln_free(ln_list_item(node, heard, node));
    ln_free(c->last);
    ln_list_remove(&c->node);
    ln_free(c);
}

int linnet_test_dial_with(
    linnet_test *t, const linnet_dial_options *options, linnet_test_client **out, int *status) {
    if (t->running) return LINNET_ERR_STATE;
    if (!ln_sized(options, sizeof *options)) return LINNET_ERR_INVAL;
    linnet_test_client *c = ln_calloc(1, sizeof *c);
    if (!c) return LINNET_ERR_NOMEM;
    linnet_dial_options o = *options;
    o.size = sizeof o;
    o.events = (linnet_conn_events){
        .on_open = on_open, .on_message = on_message, .on_close = on_close
    };
    o.on_fail = on_fail;
    o.user = c;
    c->test = t;
    ln_list_init(&c->inbox);
    ln_list_init(&c->node);
    ln_list_push(&t->clients, &c->node);
    int err = linnet_client_dial(t->loop, &o, NULL);
    if (err == LINNET_OK) err = linnet_test_until(t, told, c, o.timeout_ms + DIAL_MS);
    if (err == LINNET_OK) err = c->err;
    if (status) *status = c->status;
    if (err == LINNET_OK)
        *out = c;
    else
        client_forget(c);
    return err;
}

int linnet_test_dial(
    linnet_test *t, const char *url, const char *subprotocol, linnet_test_client **out) {
    const char *const offered[] = { subprotocol, NULL };
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    o.url = url;
    if (subprotocol) o.subprotocols = offered;
    return linnet_test_dial_with(t, &o, out, NULL);
}

static bool closed(void *ctx) {
    return !((const linnet_test_client *)ctx)->conn;
}

void linnet_test_client_free(linnet_test_client *c) {
    if (!c || c->test->running) return;
    if (c->conn) linnet_conn_close(c->conn, 1000, NULL);
    if (linnet_test_until(c->test, closed, c, DIAL_MS) < 0) {
        linnet_conn_terminate(c->conn);
        linnet_test_until(c->test, closed, c, DIAL_MS);
    }
    client_forget(c);
}

int linnet_test_say(linnet_test_client *c, const char *text) {
    if (c->test->running) return LINNET_ERR_STATE;
    if (!c->conn) return LINNET_ERR_CLOSED;
    int err = linnet_conn_send(c->conn, LINNET_TEXT, linnet_str(text));
    linnet_loop_wake(c->test->loop);
    return err;
}

typedef struct wish {
    linnet_test_client *client;
    const char *part;
    heard *found;
} wish;

/* Found, or nothing more will come. */
static bool granted(void *ctx) {
    wish *w = ctx;
    ln_list *node;
    while (!w->found && (node = ln_list_pop(&w->client->inbox))) {
        heard *h = ln_list_item(node, heard, node);
        if (!w->part || memmem(h->text, h->size, w->part, strlen(w->part)))
            w->found = h;
        else
            ln_free(h);
    }
    return w->found || !w->client->conn;
}

linnet_slice linnet_test_hear(linnet_test_client *c, const char *part, uint64_t within_ms) {
    wish w = { c, part, NULL };
    ln_free(c->last);
    c->last = NULL;
    linnet_test_until(c->test, granted, &w, within_ms);
    if (!w.found) return (linnet_slice){ NULL, 0 };
    c->last = w.found;
    return ln_slice_of(w.found->text, w.found->size);
}

uint16_t linnet_test_closed(const linnet_test_client *c) {
    return c->conn ? 0 : c->code;
}

linnet_conn *linnet_test_conn(const linnet_test_client *c) {
    return c->conn;
}

void linnet_test_cut(linnet_test_client *c) {
    if (c->conn) ln_simnet_reset(c->test->net, &c->conn->c.sock);
}

void linnet_test_vanish(linnet_test_client *c) {
    if (c->conn) ln_simnet_stall(&c->conn->c.sock);
}

/* -- life -------------------------------------------------------------------------------------- */

static void turn_clients(void *arg) {
    linnet_test *t = arg;
    while (!t->over)
        if (linnet_loop_turn(t->loop, -1) < 0) return;
}

int linnet_test_new(const linnet_test_options *options, linnet_test **out) {
    linnet_test_options o = LINNET_TEST_OPTIONS_INIT;
    if (options && !ln_sized(options, sizeof o)) return LINNET_ERR_INVAL;
    if (options) o = *options;
    linnet_test *t = ln_calloc(1, sizeof *t);
    if (!t) return LINNET_ERR_NOMEM;
    t->faults.delay_max_ms = o.delay_ms ? o.delay_ms : 1;
    t->net = ln_simnet_new(o.seed, &t->faults);
    t->began = ln_simnet_now(t->net);
    t->wall = o.wall_ms ? o.wall_ms : WALL_DEFAULT;
    t->world = (ln_world){ &ln_sim_ops, t->net, true, o.seed * 1000003 + 1, wall, spawn, t };
    ln_list_init(&t->clients);
    int err = ln_loop_new_in(&t->world, NULL, &t->loop);
    if (err < 0) {
        ln_simnet_free(t->net);
        ln_free(t);
        return err;
    }
    ln_simnet_spawn(t->net, turn_clients, t);
    *out = t;
    return LINNET_OK;
}

static bool loop_empty(void *ctx) {
    return linnet_loop_connections(ctx) == 0;
}

void linnet_test_free(linnet_test *t) {
    if (!t || t->running) return;
    while (t->server_count && linnet_test_stop(t, t->servers[0], true) == LINNET_OK) {
    }
    LN_LIST_FOREACH(node, &t->clients) {
        linnet_test_client *c = ln_list_item(node, linnet_test_client, node);
        if (c->conn) linnet_conn_terminate(c->conn);
    }
    linnet_test_until(t, loop_empty, t->loop, DIAL_MS);
    t->over = true;
    linnet_loop_wake(t->loop);
    while (ln_simnet_running(t->net))
        step(t, LN_NEVER - 1);
    linnet_loop_free(t->loop);
    ln_list *node;
    while ((node = ln_list_pop(&t->clients)))
        client_forget(ln_list_item(node, linnet_test_client, node));
    ln_simnet_free(t->net);
    ln_free(t);
}
