#include "daemon/api_inner.h"
#include <stdio.h>

/* What becomes of an order is told once, on some worker; then it is answered from there. */
typedef struct order {
    linnet_server *server;
    linnet_conn_id request;
} order;

static order *order_new(const ln_api_ask *a) {
    order *o = ln_malloc(sizeof *o);
    if (!o) {
        ln_api_refuse(a->request, 500, LN_API_INTERNAL, NULL);
        return NULL;
    }
    *o = (order){ a->api->server, linnet_request_id(a->request) };
    return o;
}

static void refuse_order(const ln_api_ask *a, order *o, int err, const char *why) {
    ln_free(o);
    bool words = err == LINNET_ERR_INVAL;
    ln_api_refuse(a->request, ln_api_status(err), linnet_hub_error_code(err), words ? why : NULL);
}

static void answer(order *o, ln_buf *out, int written) {
    if (written == LINNET_OK)
        linnet_server_answer(o->server, o->request, 200, LN_API_JSON, ln_buf_slice(out));
    else
        linnet_server_answer(o->server, o->request, 500, NULL, linnet_str("out of memory\n"));
    ln_buf_fini(out);
    ln_free(o);
}

static void answer_error(order *o, int err) {
    ln_buf out;
    ln_buf_init(&out, 4096);
    ln_json_writer w = ln_json_begin(&out);
    ln_api_put_error(&w, linnet_hub_error_code(err), NULL);
    if (ln_json_end(&w) == LINNET_OK)
        linnet_server_answer(
            o->server, o->request, ln_api_status(err), LN_API_JSON, ln_buf_slice(&out));
    else
        linnet_server_answer(o->server, o->request, 500, NULL, linnet_str("out of memory\n"));
    ln_buf_fini(&out);
    ln_free(o);
}

static void on_done(void *ctx, linnet_hub *hub, int err, uint64_t count) {
    order *o = ctx;
    if (err < 0) {
        answer_error(o, err);
        return;
    }
    ln_buf out;
    ln_buf_init(&out, 4096);
    ln_json_writer w = ln_json_begin(&out);
    ln_json_open(&w, '{');
    ln_json_key(&w, "ok");
    ln_json_open(&w, '{');
    ln_json_key(&w, "sessions");
    ln_json_u64(&w, count);
    ln_json_close(&w, '}');
    ln_json_close(&w, '}');
    answer(o, &out, ln_json_end(&w));
}

static linnet_whom whom_of(const ln_api_body *b) {
    linnet_whom whom = LINNET_WHOM_INIT;
    whom.user = b->user;
    whom.client = b->client;
    return whom;
}

#define WHOM (LN_API_USER | LN_API_CLIENT)

void ln_api_disconnect(ln_api_ask *a) {
    ln_api_body b;
    char reason[128];
    if (!ln_api_body_of(a, WHOM | LN_API_CODE | LN_API_REASON, 0, &b)) return;
    order *o = order_new(a);
    if (!o) return;
    linnet_whom whom = whom_of(&b);
    bool fits = b.code <= UINT16_MAX && b.reason.size < sizeof reason;
    snprintf(
        reason, sizeof reason, "%.*s", fits ? (int)b.reason.size : 0, (const char *)b.reason.data);
    int err = LINNET_ERR_INVAL;
    if (fits)
        err = linnet_hub_disconnect(a->api->hub, &whom, (uint16_t)b.code,
            b.fields & LN_API_REASON ? reason : NULL, on_done, o);
    if (err < 0)
        refuse_order(a, o, err,
            "user or client has to be named; code is 3000 to 4999, reason at most 123 bytes");
}

void ln_api_unsubscribe(ln_api_ask *a) {
    ln_api_body b;
    if (!ln_api_body_of(a, WHOM, LN_API_CHANNEL, &b)) return;
    order *o = order_new(a);
    if (!o) return;
    linnet_whom whom = whom_of(&b);
    int err = linnet_hub_expel(a->api->hub, &whom, b.channel, on_done, o);
    if (err < 0) refuse_order(a, o, err, "user or client has to be named, and a channel");
}

static void put_session(ln_json_writer *w, const linnet_session *s) {
    ln_json_open(w, '{');
    ln_json_key(w, "client");
    ln_json_str(w, s->client);
    if (s->user.size) {
        ln_json_key(w, "user");
        ln_json_str(w, s->user);
    }
    ln_json_key(w, "dialect");
    ln_json_str(w, ln_slice_str(s->dialect));
    ln_json_key(w, "channels");
    ln_json_u64(w, s->channels);
    ln_json_close(w, '}');
}

static void on_list(
    void *ctx, linnet_hub *hub, int err, const linnet_session *sessions, size_t count, bool more) {
    order *o = ctx;
    if (err < 0) {
        answer_error(o, err);
        return;
    }
    ln_buf out;
    ln_buf_init(&out, LN_BUF_MAX);
    ln_json_writer w = ln_json_begin(&out);
    ln_json_open(&w, '{');
    ln_json_key(&w, "ok");
    ln_json_open(&w, '{');
    ln_json_key(&w, "connections");
    ln_json_open(&w, '[');
    for (size_t i = 0; i < count; i++)
        put_session(&w, &sessions[i]);
    ln_json_close(&w, ']');
    ln_json_key(&w, "more");
    ln_json_bool(&w, more);
    ln_json_close(&w, '}');
    ln_json_close(&w, '}');
    answer(o, &out, ln_json_end(&w));
}

void ln_api_connections(ln_api_ask *a) {
    ln_api_body b;
    if (!ln_api_body_of(a, WHOM | LN_API_LIMIT, 0, &b)) return;
    order *o = order_new(a);
    if (!o) return;
    linnet_whom whom = whom_of(&b);
    uint64_t limit = b.fields & LN_API_LIMIT ? b.limit : 100;
    int err = limit > 10000 ? LINNET_ERR_INVAL
                            : linnet_hub_sessions(a->api->hub, &whom, limit, on_list, o);
    if (err < 0)
        refuse_order(a, o, err, "limit is 1 to 10000, and names are no longer than names are");
}
