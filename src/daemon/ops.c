#include "daemon/ops.h"
#include "base/mem.h"
#include "daemon/api.h"
#include "daemon/attendant.h"
#include "daemon/metrics.h"
#include "daemon/systemd.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define METRICS_MAX (1024 * 1024)

struct ln_ops {
    const ln_options *o;
    ln_gate gate;
    bool made;    /* the key, by us */
    bool ordered; /* to drain; the attendant's */
    linnet_server *server;
    linnet_hub *hub;
    ln_attendant *attendant;
    ln_logger *log;
    ln_api api;
    ln_addresses bound;
};

const ln_gate *ln_ops_gate(const ln_ops *ops) {
    return &ops->gate;
}

/* ---- metrics ------------------------------------------------------------------------- */

static void answer_metrics(const ln_task *task) {
    const ln_ops *ops = task->ctx;
    ln_metrics m = { .server = ops->server,
        .hub = ops->hub,
        .attendant = ops->attendant,
        .draining = linnet_server_draining(ops->server) };
    ln_buf text;
    ln_buf_init(&text, METRICS_MAX);
    bool open = task->arg;
    if (ln_metrics_put(&text, &m, open) == LINNET_OK)
        linnet_server_answer(
            ops->server, task->id, 200, ln_metrics_type(open), ln_buf_slice(&text));
    else
        linnet_server_answer(ops->server, task->id, 500, NULL, linnet_str("out of memory\n"));
    ln_buf_fini(&text);
}

static void on_metrics(linnet_request *r, void *user) {
    ln_ops *ops = user;
    if (!ln_gate_admits(&ops->gate, r, LN_SCOPE_METRICS)) return;
    linnet_request_add_header(r, "Cache-Control", "no-store");
    ln_task task = { .fn = answer_metrics, .ctx = ops };
    task.arg = ln_metrics_wants_open(linnet_request_header(r, "Accept", 0));
    task.id = linnet_request_id(r);
    if (!ln_attendant_ask(ops->attendant, &task))
        linnet_request_answer(r, 503, NULL, linnet_str("too many ask at once\n"));
}

/* ---- drain ----------------------------------------------------------------------------- */

static void put_plan(const ln_ops *ops, char *out, size_t size) {
    linnet_drain_plan p = LINNET_DRAIN_PLAN_INIT;
    linnet_server_drain_plan(ops->server, &p);
    snprintf(out, size,
        "{\"draining\":%s,\"connections\":%llu,\"rate\":%llu,\"lead_ms\":%u,\"spread_ms\":%u,"
        "\"window_ms\":%u,\"drain_ms\":%u}\n",
        linnet_server_draining(ops->server) ? "true" : "false", (unsigned long long)p.connections,
        (unsigned long long)p.rate, p.lead_ms, p.spread_ms, p.window_ms, p.drain_ms);
}

/* As TERM does it, by the thread that waits for that; once, because a second TERM does not wait. */
static void order_drain(const ln_task *task) {
    ln_ops *ops = task->ctx;
    if (!ops->ordered && !linnet_server_draining(ops->server)) kill(getpid(), SIGTERM);
    ops->ordered = true;
}

/* GET says what would happen. POST does it. */
static void on_drain(linnet_request *r, void *user) {
    ln_ops *ops = user;
    bool order = ln_slice_eq(linnet_request_method(r), LN_SLICE("POST"));
    char text[400];
    if (!ln_gate_admits(&ops->gate, r, order ? LN_SCOPE_OPERATE : LN_SCOPE_METRICS)) return;
    linnet_slice type = linnet_request_header(r, "Content-Type", 0);
    linnet_request_add_header(r, "Cache-Control", "no-store");
    if (order && !ln_slice_starts(type, LN_SLICE("application/json"))) {
        linnet_request_answer(r, 415, NULL, linnet_str("Content-Type: application/json\n"));
        return;
    }
    put_plan(ops, text, sizeof text);
    ln_task task = { .fn = order_drain, .ctx = ops };
    if (order && !ln_attendant_ask(ops->attendant, &task))
        linnet_request_answer(r, 503, NULL, linnet_str("too many ask at once\n"));
    else
        linnet_request_answer(r, order ? 202 : 200, "application/json", linnet_str(text));
}

/* ---- the pulse ------------------------------------------------------------------------ */

static void on_pulse(void *ctx, int worker, uint64_t ms) {
    const ln_ops *ops = ctx;
    char text[100];
    if (worker < 0) {
        ln_systemd_notify("WATCHDOG=1");
        return;
    }
    snprintf(text, sizeof text, "{\"event\":\"stuck\",\"worker\":%d,\"ms\":%llu}", worker,
        (unsigned long long)ms);
    ln_logger_put(ops->log, LINNET_LOG_ERROR, text);
}

static int new_attendant(ln_ops *ops) {
    linnet_loop *loops[LN_PULSES_MAX];
    unsigned count = linnet_server_workers(ops->server);
    for (unsigned i = 0; i < count && i < LN_PULSES_MAX; i++)
        loops[i] = linnet_server_loop(ops->server, i);
    ln_attendant_options o = { .loops = loops,
        .count = count,
        .watchdog_ms = ln_systemd_watchdog_ms(),
        .on_pulse = on_pulse,
        .ctx = ops };
    return ln_attendant_new(&o, &ops->attendant);
}

/* ---- the key -------------------------------------------------------------------------- */

/* On a terminal somebody reads it who may know it; what goes elsewhere is kept for long. */
static void tell_key(const ln_ops *ops, const char *path) {
    const char *at = ops->bound.text[0], *s = ops->bound.tls[0] ? "s" : "";
    const ln_key *key = &ops->gate.keys.items[0];
    bool is_unix = strncmp(at, "unix:", 5) == 0;
    fprintf(stderr, "  metrics and the API need a key, which was made for this run%s%s:\n",
        path ? " and is kept in " : "", path ? path : "");
    fprintf(stderr, "  curl %s%s%s-H \"Authorization: Bearer ", is_unix ? "--unix-socket " : "",
        is_unix ? at + 5 : "", is_unix ? " " : "");
    if (path && !isatty(STDERR_FILENO))
        fprintf(stderr, "$(cat %s)", path);
    else
        fprintf(stderr, "%.*s", (int)key->size, (const char *)key->text);
    fprintf(stderr, "\" http%s://%s/metrics\n", s, is_unix ? "localhost" : at);
}

static void keep_key(ln_ops *ops) {
    char first[LN_KEY_PATH_MAX] = "", path[LN_KEY_PATH_MAX];
    for (size_t i = 0; i < ops->bound.count; i++)
        if (ln_key_keep(&ops->gate.keys.items[0], ops->bound.text[i], path) == LINNET_OK && !*first)
            memcpy(first, path, sizeof first);
    tell_key(ops, *first ? first : NULL);
}

void ln_ops_ready(ln_ops *ops, const ln_addresses *bound) {
    ops->bound = *bound;
    ln_attendant_watch(ops->attendant);
    if (ops->made) keep_key(ops);
}

/* ---- life ----------------------------------------------------------------------------- */

int ln_ops_new(const ln_options *o, ln_ops **out) {
    ln_ops *ops = ln_calloc(1, sizeof *ops);
    if (!ops) {
        ln_say("cannot start: %s", linnet_strerror(LINNET_ERR_NOMEM));
        return 1;
    }
    ops->o = o;
    if (o->api_hosts.count) ops->gate.hosts = o->api_hosts.items;
    int code = ln_keys_gather(&ops->gate.keys, o->key_file, o->insecure);
    if (code >= 0) {
        ln_ops_free(ops);
        return code;
    }
    if (!ops->gate.keys.count) {
        ln_keys_make(&ops->gate.keys);
        ops->made = true;
    }
    *out = ops;
    return -1;
}

int ln_ops_declare(ln_ops *ops, linnet_server *server, linnet_hub *hub, ln_logger *log) {
    linnet_http_route route = LINNET_HTTP_ROUTE_INIT;
    ops->server = server;
    ops->hub = hub;
    ops->log = log;
    route.handler = on_metrics;
    route.user = ops;
    int err = linnet_server_http(server, "/metrics", &route);
    ops->api = (ln_api){ server, hub, &ops->gate };
    if (err == LINNET_OK) err = ln_api_declare(&ops->api);
    route.handler = on_drain;
    route.methods = "GET POST";
    if (err == LINNET_OK) err = linnet_server_http(server, "/api/v1/drain", &route);
    return err == LINNET_OK ? new_attendant(ops) : err;
}

void ln_ops_free(ln_ops *ops) {
    if (!ops) return;
    ln_attendant_free(ops->attendant);
    for (size_t i = 0; ops->made && i < ops->bound.count; i++)
        ln_key_discard(&ops->gate.keys.items[0], ops->bound.text[i]);
    ln_keys_forget(&ops->gate.keys);
    ln_free(ops);
}
