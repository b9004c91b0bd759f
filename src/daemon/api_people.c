#include "daemon/api_inner.h"
#include <stdio.h>

static void on_done(void *ctx, linnet_hub *hub, int err, uint64_t count) {
    ln_api_order *o = ctx;
    if (err < 0) {
        ln_api_order_error(o, err);
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
    ln_api_order_answer(o, &out, ln_json_end(&w));
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
    ln_api_order *o = ln_api_order_new(a);
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
        ln_api_order_refuse(a, o, err,
            "user or client has to be named; code is 3000 to 4999, reason at most 123 bytes");
}

void ln_api_unsubscribe(ln_api_ask *a) {
    ln_api_body b;
    if (!ln_api_body_of(a, WHOM, LN_API_CHANNEL, &b)) return;
    ln_api_order *o = ln_api_order_new(a);
    if (!o) return;
    linnet_whom whom = whom_of(&b);
    int err = linnet_hub_expel(a->api->hub, &whom, b.channel, on_done, o);
    if (err < 0) ln_api_order_refuse(a, o, err, "user or client has to be named, and a channel");
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
    ln_api_order *o = ctx;
    if (err < 0) {
        ln_api_order_error(o, err);
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
    ln_api_order_answer(o, &out, ln_json_end(&w));
}

void ln_api_connections(ln_api_ask *a) {
    ln_api_body b;
    if (!ln_api_body_of(a, WHOM | LN_API_LIMIT, 0, &b)) return;
    ln_api_order *o = ln_api_order_new(a);
    if (!o) return;
    linnet_whom whom = whom_of(&b);
    uint64_t limit = b.fields & LN_API_LIMIT ? b.limit : 100;
    int err = limit > 10000 ? LINNET_ERR_INVAL
                            : linnet_hub_sessions(a->api->hub, &whom, limit, on_list, o);
    if (err < 0)
        ln_api_order_refuse(
            a, o, err, "limit is 1 to 10000, and names are no longer than names are");
}
