#include "daemon/api_inner.h"
#include <linnet/watch.h>
#include <string.h>

/* ---- how connections ended --------------------------------------------------------------- */

static void put_text(ln_json_writer *w, const char *key, linnet_slice text) {
    if (!text.size) return;
    ln_json_key(w, key);
    ln_json_str(w, text);
}

static void put_number(ln_json_writer *w, const char *key, uint64_t number) {
    ln_json_key(w, key);
    ln_json_u64(w, number);
}

static void put_last_error(ln_json_writer *w, const linnet_end *e) {
    linnet_hub_error named = LINNET_HUB_ERROR_INIT;
    if (!e->error_at) return;
    ln_json_key(w, "last_error");
    ln_json_open(w, '{');
    put_number(w, "ts", e->error_at);
    put_number(w, "code", (uint64_t)e->error);
    if (linnet_hub_describe_error(e->error, &named) == LINNET_OK)
        put_text(w, "name", ln_slice_str(named.name));
    put_text(w, "message", e->error_text);
    ln_json_close(w, '}');
}

static void put_end(ln_json_writer *w, const linnet_end *e) {
    static const char *const by[] = { "client", "server", "network" };
    ln_json_open(w, '{');
    put_text(w, "client", e->client);
    put_text(w, "user", e->user);
    put_text(w, "address", e->address);
    put_text(w, "dialect", ln_slice_str(e->dialect));
    put_number(w, "opened", e->opened);
    put_number(w, "closed", e->closed);
    if (e->counted) put_number(w, "bytes_in", e->bytes_in);
    if (e->counted) put_number(w, "bytes_out", e->bytes_out);
    put_number(w, "code", e->code);
    put_text(w, "by", ln_slice_str(by[e->by]));
    put_text(w, "reason", e->reason);
    if (e->err) put_text(w, "fault", ln_slice_str(linnet_strerror(e->err)));
    put_text(w, "meaning", ln_slice_str(e->meaning));
    put_text(w, "advice", ln_slice_str(e->advice));
    put_last_error(w, e);
    ln_json_close(w, '}');
}

static void on_ends(
    void *ctx, linnet_hub *hub, int err, const linnet_end *ends, size_t count, bool more) {
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
    ln_json_key(&w, "ends");
    ln_json_open(&w, '[');
    for (size_t i = 0; i < count; i++)
        put_end(&w, &ends[i]);
    ln_json_close(&w, ']');
    ln_json_key(&w, "more");
    ln_json_bool(&w, more);
    ln_json_close(&w, '}');
    ln_json_close(&w, '}');
    ln_api_order_answer(o, &out, ln_json_end(&w));
}

void ln_api_why(ln_api_ask *a) {
    ln_api_body b;
    if (!ln_api_body_of(a, LN_API_USER | LN_API_CLIENT | LN_API_LIMIT, 0, &b)) return;
    ln_api_order *o = ln_api_order_new(a);
    if (!o) return;
    linnet_whom whom = LINNET_WHOM_INIT;
    whom.user = b.user;
    whom.client = b.client;
    uint64_t limit = b.fields & LN_API_LIMIT ? b.limit : 100;
    int err = limit > 10000 ? LINNET_ERR_INVAL
                            : linnet_hub_why(a->api->hub, &whom, limit, on_ends, o);
    if (err < 0)
        ln_api_order_refuse(
            a, o, err, "limit is 1 to 10000, and names are no longer than names are");
}
