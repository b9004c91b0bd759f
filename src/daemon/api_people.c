#include "daemon/api_inner.h"
#include <stdio.h>

static void on_done(void *ctx, linnet_hub *hub, int err, uint64_t count) {
    ln_api_item *it = ctx;
    if (err < 0) {
        ln_api_fail(it, err, NULL);
        return;
    }
    ln_json_writer w = ln_api_ok(it);
    ln_api_put_u64(&w, "sessions", count);
    ln_api_told(it, &w);
}

static linnet_whom whom_of(const ln_api_body *b) {
    linnet_whom whom = LINNET_WHOM_INIT;
    whom.user = b->user;
    whom.client = b->client;
    return whom;
}

void ln_api_disconnect(ln_api_item *it, const ln_api_body *b) {
    static const char why[] =
        "user or client has to be named; code is 3000 to 4999, reason at most 123 bytes";
    char reason[128];
    linnet_whom whom = whom_of(b);
    bool fits = b->code <= UINT16_MAX && b->reason.size < sizeof reason;
    snprintf(reason, sizeof reason, "%.*s", fits ? (int)b->reason.size : 0,
        (const char *)b->reason.data);
    int err = LINNET_ERR_INVAL;
    if (fits)
        err = linnet_hub_disconnect(ln_api_hub(it), &whom, (uint16_t)b->code,
            b->fields & LN_API_REASON ? reason : NULL, on_done, it);
    if (err < 0) ln_api_fail(it, err, err == LINNET_ERR_INVAL ? why : NULL);
}

static void on_enlisted(void *ctx, linnet_hub *hub, int err, uint64_t sessions, uint64_t full) {
    ln_api_item *it = ctx;
    if (err < 0) {
        ln_api_fail(it, err, NULL);
        return;
    }
    ln_json_writer w = ln_api_ok(it);
    ln_api_put_u64(&w, "sessions", sessions);
    if (full) ln_api_put_u64(&w, "full", full);
    ln_api_told(it, &w);
}

void ln_api_subscribe(ln_api_item *it, const ln_api_body *b) {
    linnet_whom whom = whom_of(b);
    int err = linnet_hub_enlist(ln_api_hub(it), &whom, b->channel, on_enlisted, it);
    if (err < 0)
        ln_api_fail(it, err,
            err == LINNET_ERR_INVAL    ? "user or client has to be named, and a channel"
            : err == LINNET_ERR_DENIED ? "this channel name is reserved, or another user's"
                                       : NULL);
}

void ln_api_unsubscribe(ln_api_item *it, const ln_api_body *b) {
    linnet_whom whom = whom_of(b);
    int err = linnet_hub_expel(ln_api_hub(it), &whom, b->channel, on_done, it);
    if (err < 0)
        ln_api_fail(it, err,
            err == LINNET_ERR_INVAL ? "user or client has to be named, and a channel" : NULL);
}

void ln_api_refresh(ln_api_item *it, const ln_api_body *b) {
    static const char why[] = "user or client has to be named, and info, or expires: seconds since "
                              "1970, and not over yet";
    linnet_whom whom = whom_of(b);
    linnet_refresh r = LINNET_REFRESH_INIT;
    r.expires = b->expires;
    r.info = b->info;
    bool never = (b->fields & LN_API_EXPIRES) && !b->expires;
    int err = never ? LINNET_ERR_INVAL : linnet_hub_refresh(ln_api_hub(it), &whom, &r, on_done, it);
    if (err < 0)
        ln_api_fail(it, err,
            err == LINNET_ERR_INVAL     ? why
            : err == LINNET_ERR_TOO_BIG ? "info is at most 2,048 bytes"
                                        : NULL);
}

static void put_session(ln_json_writer *w, const linnet_session *s) {
    ln_json_open(w, '{');
    ln_api_put_text(w, "client", s->client);
    ln_api_put_text(w, "user", s->user);
    ln_api_put_text(w, "dialect", ln_slice_str(s->dialect));
    ln_api_put_u64(w, "channels", s->channels);
    ln_json_close(w, '}');
}

static void on_list(
    void *ctx, linnet_hub *hub, int err, const linnet_session *sessions, size_t count, bool more) {
    ln_api_item *it = ctx;
    if (err < 0) {
        ln_api_fail(it, err, NULL);
        return;
    }
    ln_json_writer w = ln_api_ok(it);
    ln_json_key(&w, "connections");
    ln_json_open(&w, '[');
    for (size_t i = 0; i < count; i++)
        put_session(&w, &sessions[i]);
    ln_json_close(&w, ']');
    ln_json_key(&w, "more");
    ln_json_bool(&w, more);
    ln_api_told(it, &w);
}

void ln_api_connections(ln_api_item *it, const ln_api_body *b) {
    linnet_whom whom = whom_of(b);
    uint64_t limit = b->fields & LN_API_LIMIT ? b->limit : 100;
    int err = limit > 10000 ? LINNET_ERR_INVAL
                            : linnet_hub_sessions(ln_api_hub(it), &whom, limit, on_list, it);
    if (err < 0)
        ln_api_fail(it, err,
            err == LINNET_ERR_INVAL ? "limit is 1 to 10000, and names are no longer than names are"
                                    : NULL);
}
