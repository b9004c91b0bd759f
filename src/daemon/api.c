#include "base/ref.h"
#include "daemon/api_inner.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LINES    "application/x-ndjson"
#define BODY_MAX (1024u * 1024)
#define RETRY_MS 1000 /* what a backend waits, that has come at a bad time */

/* What became of one item; written by whoever knows, read by the last one. */
typedef struct item {
    struct call *call;
    int err;
    uint64_t epoch, offset;
    char why[LN_API_WHY_MAX]; /* in words, of what was wrong with it; "": the error's own */
} item;

typedef struct call {
    linnet_server *server;
    linnet_conn_id request;
    ln_ref refs; /* one per item that is under way, and the handler's */
    bool many;   /* results, and no single one */
    uint32_t count;
    item items[];
} call;

/* ---- words -------------------------------------------------------------------------- */

int ln_api_status(int err) {
    switch (err) {
    case LINNET_ERR_INVAL:
    case LINNET_ERR_JSON: return 400;
    case LINNET_ERR_DENIED: return 403;
    case LINNET_ERR_TOO_BIG: return 413;
    case LINNET_ERR_NOT_FOUND: return 404;
    case LINNET_ERR_UNSUPPORTED: return 409;
    case LINNET_ERR_LIMIT: return 429;
    case LINNET_ERR_NOMEM: return 500;
    default: return 503;
    }
}

void ln_api_put_error(ln_json_writer *w, int code, const char *why) {
    linnet_hub_error e = LINNET_HUB_ERROR_INIT;
    linnet_hub_describe_error(code, &e);
    ln_json_open(w, '{');
    ln_json_key(w, "error");
    ln_json_open(w, '{');
    ln_json_key(w, "code");
    ln_json_u64(w, (uint64_t)code);
    ln_json_key(w, "name");
    ln_json_str(w, ln_slice_str(e.name));
    ln_json_key(w, "message");
    ln_json_str(w, ln_slice_str(why && *why ? why : e.words));
    ln_json_key(w, "retry");
    ln_json_bool(w, e.retry);
    if (code == LN_API_NOT_AVAILABLE || code == LN_API_RATE_LIMITED) {
        ln_json_key(w, "retry_after");
        ln_json_u64(w, RETRY_MS);
    }
    ln_json_close(w, '}');
    ln_json_close(w, '}');
}

static void put_item(ln_json_writer *w, const item *it) {
    char epoch[17];
    if (it->err < 0) {
        ln_api_put_error(w, linnet_hub_error_code(it->err), it->why);
        return;
    }
    ln_json_open(w, '{');
    ln_json_key(w, "ok");
    ln_json_open(w, '{');
    if (it->epoch) {
        snprintf(epoch, sizeof epoch, "%016" PRIx64, it->epoch);
        ln_json_key(w, "epoch");
        ln_json_str(w, ln_slice_str(epoch));
        ln_json_key(w, "offset");
        ln_json_u64(w, it->offset);
    }
    ln_json_close(w, '}');
    ln_json_close(w, '}');
}

static void put_results(ln_json_writer *w, const call *c) {
    ln_json_open(w, '{');
    ln_json_key(w, "ok");
    ln_json_open(w, '{');
    ln_json_key(w, "results");
    ln_json_open(w, '[');
    for (uint32_t i = 0; i < c->count; i++)
        put_item(w, &c->items[i]);
    ln_json_close(w, ']');
    ln_json_close(w, '}');
    ln_json_close(w, '}');
}

/* An error of the whole call, from its handler. */
void ln_api_refuse(linnet_request *r, int status, int code, const char *why) {
    ln_buf out;
    ln_buf_init(&out, 4096);
    ln_json_writer w = ln_json_begin(&out);
    ln_api_put_error(&w, code, why);
    if (ln_json_end(&w) == LINNET_OK)
        linnet_request_answer(r, status, LN_API_JSON, ln_buf_slice(&out));
    else
        linnet_request_answer(r, 500, NULL, linnet_str("out of memory\n"));
    ln_buf_fini(&out);
}

/* ---- calls -------------------------------------------------------------------------- */

static call *call_new(const ln_api *api, linnet_request *r, uint32_t count, bool many) {
    call *c = ln_calloc(1, sizeof *c + count * sizeof c->items[0]);
    if (!c) {
        ln_api_refuse(r, 500, LN_API_INTERNAL, NULL);
        return NULL;
    }
    c->server = api->server;
    c->request = linnet_request_id(r);
    c->many = many;
    c->count = count;
    ln_ref_init(&c->refs, 1);
    for (uint32_t i = 0; i < count; i++)
        c->items[i].call = c;
    return c;
}

/* The last one answers. Whoever waited may have gone: then nobody is told. */
static void call_put(call *c) {
    if (!ln_ref_put(&c->refs)) return;
    ln_buf out;
    ln_buf_init(&out, LN_BUF_MAX);
    ln_json_writer w = ln_json_begin(&out);
    if (c->many)
        put_results(&w, c);
    else
        put_item(&w, &c->items[0]);
    int status = c->many || c->items[0].err >= 0 ? 200 : ln_api_status(c->items[0].err);
    if (ln_json_end(&w) == LINNET_OK)
        linnet_server_answer(c->server, c->request, status, LN_API_JSON, ln_buf_slice(&out));
    else
        linnet_server_answer(c->server, c->request, 500, NULL, linnet_str("out of memory\n"));
    ln_buf_fini(&out);
    ln_free(c);
}

static void on_published(void *ctx, linnet_hub *hub, int err, uint64_t epoch, uint64_t offset) {
    item *it = ctx;
    it->err = err;
    it->epoch = epoch;
    it->offset = offset;
    call_put(it->call);
}

static void publish(const ln_api *api, item *it, ln_slice channel, const ln_api_body *b) {
    linnet_publication p = LINNET_PUBLICATION_INIT;
    p.channel = channel;
    p.event = b->event;
    p.data = b->data;
    p.is_volatile = b->is_volatile;
    p.key = b->key;
    ln_ref_get(&it->call->refs, 1);
    int err = linnet_hub_publish_then(api->hub, &p, on_published, it);
    if (err == LINNET_OK) return;
    it->err = err;
    if (err == LINNET_ERR_INVAL)
        snprintf(it->why, sizeof it->why, "that is no channel, no event, or no key");
    call_put(it->call);
}

/* ---- methods ------------------------------------------------------------------------ */

bool ln_api_body_of(ln_api_ask *a, unsigned may, unsigned must, ln_api_body *out) {
    ln_json_value top;
    char why[LN_API_WHY_MAX] = "that is not JSON, or too deep";
    if (ln_json_check(a->body, &top) == LINNET_OK &&
        ln_api_read(&top, may, must, &a->scratch, out, why))
        return true;
    ln_api_refuse(a->request, 400, LN_API_BAD_REQUEST, why);
    return false;
}

#define SAID (LN_API_EVENT | LN_API_VOLATILE | LN_API_KEY)

static void do_publish(ln_api_ask *a) {
    ln_api_body b;
    if (!ln_api_body_of(a, SAID, LN_API_CHANNEL | LN_API_DATA, &b)) return;
    call *c = call_new(a->api, a->request, 1, false);
    if (!c) return;
    publish(a->api, &c->items[0], b.channel, &b);
    call_put(c);
}

static uint32_t length_of(const ln_json_value *array) {
    ln_json_iter it = ln_json_iter_of(array);
    ln_json_value key, value;
    uint32_t count = 0;
    while (ln_json_next(&it, &key, &value))
        count++;
    return count;
}

static bool fits(ln_api_ask *a, uint32_t count) {
    if (count > 0 && count <= LN_API_ITEMS_MAX) return true;
    ln_api_refuse(a->request, count ? 413 : 400, count ? LN_API_TOO_LARGE : LN_API_BAD_REQUEST,
        count ? "at most 1,000 at once" : "there is nothing to do");
    return false;
}

static void do_broadcast(ln_api_ask *a) {
    ln_api_body b;
    if (!ln_api_body_of(a, SAID, LN_API_CHANNELS | LN_API_DATA, &b)) return;
    uint32_t count = length_of(&b.channels);
    call *c = fits(a, count) ? call_new(a->api, a->request, count, true) : NULL;
    if (!c) return;
    ln_json_iter it = ln_json_iter_of(&b.channels);
    ln_json_value key, value;
    for (uint32_t i = 0; ln_json_next(&it, &key, &value); i++) {
        ln_slice channel;
        if (ln_api_text(&value, &a->scratch, &channel)) {
            publish(a->api, &c->items[i], channel, &b);
            continue;
        }
        c->items[i].err = LINNET_ERR_INVAL;
        snprintf(c->items[i].why, sizeof c->items[i].why, "a channel is a string");
    }
    call_put(c);
}

/* One command of a batch. */
static void command(ln_api_ask *a, item *it, const ln_json_value *object) {
    ln_api_body b;
    it->err = LINNET_ERR_INVAL;
    if (!ln_api_read(
            object, SAID, LN_API_METHOD | LN_API_CHANNEL | LN_API_DATA, &a->scratch, &b, it->why))
        return;
    if (!ln_slice_eq(b.method, LN_SLICE("publish"))) {
        snprintf(it->why, sizeof it->why, "a batch knows the method publish");
        return;
    }
    it->err = LINNET_OK;
    publish(a->api, it, b.channel, &b);
}

static void batch_lines(ln_api_ask *a) {
    ln_slice text = a->body, line;
    uint32_t count = 0;
    while (ln_api_line(&text, &line))
        count++;
    call *c = fits(a, count) ? call_new(a->api, a->request, count, true) : NULL;
    if (!c) return;
    text = a->body;
    for (uint32_t i = 0; ln_api_line(&text, &line); i++) {
        ln_json_value object;
        if (ln_json_check(line, &object) == LINNET_OK) {
            command(a, &c->items[i], &object);
            continue;
        }
        c->items[i].err = LINNET_ERR_JSON;
        snprintf(c->items[i].why, sizeof c->items[i].why, "that is not JSON, or too deep");
    }
    call_put(c);
}

static void do_batch(ln_api_ask *a) {
    if (ln_api_is_type(linnet_request_header(a->request, "Content-Type", 0), LINES)) {
        batch_lines(a);
        return;
    }
    ln_api_body b;
    if (!ln_api_body_of(a, 0, LN_API_COMMANDS, &b)) return;
    uint32_t count = length_of(&b.commands);
    call *c = fits(a, count) ? call_new(a->api, a->request, count, true) : NULL;
    if (!c) return;
    ln_json_iter it = ln_json_iter_of(&b.commands);
    ln_json_value key, value;
    for (uint32_t i = 0; ln_json_next(&it, &key, &value); i++)
        command(a, &c->items[i], &value);
    call_put(c);
}

static void do_info(ln_api_ask *a) {
    linnet_server_stats s = LINNET_SERVER_STATS_INIT;
    linnet_hub_stats h = LINNET_HUB_STATS_INIT;
    linnet_server_get_stats(a->api->server, &s);
    linnet_hub_get_stats(a->api->hub, &h);
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        { "workers", linnet_server_workers(a->api->server) },
        { "connections", s.connections },
        { "sessions", h.sessions },
        { "channels", h.channels },
        { "subscriptions", h.subscriptions },
    };
    ln_buf out;
    ln_buf_init(&out, 4096);
    ln_json_writer w = ln_json_begin(&out);
    ln_json_open(&w, '{');
    ln_json_key(&w, "ok");
    ln_json_open(&w, '{');
    ln_json_key(&w, "version");
    ln_json_str(&w, ln_slice_str(linnet_version()));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ln_json_key(&w, rows[i].name);
        ln_json_u64(&w, rows[i].value);
    }
    ln_json_close(&w, '}');
    ln_json_close(&w, '}');
    if (ln_json_end(&w) == LINNET_OK)
        linnet_request_answer(a->request, 200, LN_API_JSON, ln_buf_slice(&out));
    else
        ln_api_refuse(a->request, 500, LN_API_INTERNAL, NULL);
    ln_buf_fini(&out);
}

/* ---- the door ----------------------------------------------------------------------- */

static const struct method {
    const char *name;
    unsigned scope;
    bool lines; /* takes newline-delimited JSON too */
    void (*run)(ln_api_ask *a);
} methods[] = {
    { "publish", LN_SCOPE_PUBLISH, false, do_publish },
    { "broadcast", LN_SCOPE_PUBLISH, false, do_broadcast },
    { "batch", LN_SCOPE_PUBLISH, true, do_batch },
    { "info", LN_SCOPE_READ, false, do_info },
    { "history", LN_SCOPE_READ, false, ln_api_history },
    { "connections", LN_SCOPE_READ, false, ln_api_connections },
    { "why", LN_SCOPE_READ, false, ln_api_why },
    { "disconnect", LN_SCOPE_MANAGE, false, ln_api_disconnect },
    { "unsubscribe", LN_SCOPE_MANAGE, false, ln_api_unsubscribe },
};

static const struct method *method_of(linnet_slice path) {
    ln_slice name = ln_slice_sub(path, strlen("/api/v1/"), path.size);
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (ln_slice_eq(name, ln_slice_str(methods[i].name))) return &methods[i];
    return NULL;
}

/* Who asks, and whether he may; false: it is answered. A stranger learns no names of methods. */
static bool may(const ln_api *api, linnet_request *r, const struct method *m) {
    const char *words;
    int status = ln_gate_status(api->gate, r, m ? m->scope : LN_SCOPE_ALL, &words);
    if (status)
        ln_api_refuse(r, status, status == 401 ? LN_API_UNAUTHORIZED : LN_API_DENIED, words);
    return !status;
}

static bool is_taken(const struct method *m, linnet_request *r) {
    linnet_slice type = linnet_request_header(r, "Content-Type", 0);
    if (ln_api_is_type(type, LN_API_JSON) || (m->lines && ln_api_is_type(type, LINES))) return true;
    ln_api_refuse(r, 415, LN_API_BAD_REQUEST, "Content-Type: application/json is wanted");
    return false;
}

/* Nobody publishes for a moment: more waits to be sent than there is memory for. */
static bool is_crowded(const ln_api *api, linnet_request *r) {
    if (!linnet_server_crowded(api->server)) return false;
    linnet_request_add_header(r, "Retry-After", "1");
    ln_api_refuse(r, 503, LN_API_NOT_AVAILABLE, "too much is waiting to be sent");
    return true;
}

static void on_call(linnet_request *r, void *user) {
    const ln_api *api = user;
    const struct method *m = method_of(linnet_request_path(r));
    linnet_request_add_header(r, "Cache-Control", "no-store");
    if (!may(api, r, m)) return;
    if (!m) {
        ln_api_refuse(r, 404, LN_API_UNKNOWN_METHOD, "there is no such method");
        return;
    }
    if (!is_taken(m, r) || (m->scope == LN_SCOPE_PUBLISH && is_crowded(api, r))) return;
    ln_api_ask a = { .api = api, .request = r, .body = linnet_request_body(r) };
    ln_buf_init(&a.scratch, BODY_MAX);
    if (a.body.size && ln_buf_reserve(&a.scratch, a.body.size) < 0)
        ln_api_refuse(r, 500, LN_API_INTERNAL, NULL);
    else
        m->run(&a);
    ln_buf_fini(&a.scratch);
}

int ln_api_declare(ln_api *api) {
    linnet_http_route route = LINNET_HTTP_ROUTE_INIT;
    route.methods = "POST";
    route.handler = on_call;
    route.user = api;
    route.body_max = BODY_MAX;
    return linnet_server_http(api->server, "/api/v1/*", &route);
}
