#include "daemon/api_inner.h"
#include <linnet/watch.h>

/* ---- how connections ended --------------------------------------------------------------- */

static void put_last_error(ln_json_writer *w, const linnet_end *e) {
    linnet_hub_error named = LINNET_HUB_ERROR_INIT;
    if (!e->error_at) return;
    ln_json_key(w, "last_error");
    ln_json_open(w, '{');
    ln_api_put_u64(w, "ts", e->error_at);
    ln_api_put_u64(w, "code", (uint64_t)e->error);
    if (linnet_hub_describe_error(e->error, &named) == LINNET_OK)
        ln_api_put_text(w, "name", ln_slice_str(named.name));
    ln_api_put_text(w, "message", e->error_text);
    ln_json_close(w, '}');
}

static void put_end(ln_json_writer *w, const linnet_end *e) {
    static const char *const by[] = { "client", "server", "network" };
    ln_json_open(w, '{');
    ln_api_put_text(w, "client", e->client);
    ln_api_put_text(w, "user", e->user);
    ln_api_put_text(w, "address", e->address);
    ln_api_put_text(w, "dialect", ln_slice_str(e->dialect));
    ln_api_put_u64(w, "opened", e->opened);
    ln_api_put_u64(w, "closed", e->closed);
    if (e->counted) ln_api_put_u64(w, "bytes_in", e->bytes_in);
    if (e->counted) ln_api_put_u64(w, "bytes_out", e->bytes_out);
    ln_api_put_u64(w, "code", e->code);
    ln_api_put_text(w, "by", ln_slice_str(by[e->by]));
    ln_api_put_text(w, "reason", e->reason);
    if (e->err) ln_api_put_text(w, "fault", ln_slice_str(linnet_strerror(e->err)));
    ln_api_put_text(w, "meaning", ln_slice_str(e->meaning));
    ln_api_put_text(w, "advice", ln_slice_str(e->advice));
    put_last_error(w, e);
    ln_json_close(w, '}');
}

static void on_ends(
    void *ctx, linnet_hub *hub, int err, const linnet_end *ends, size_t count, bool more) {
    ln_api_item *it = ctx;
    if (err < 0) {
        ln_api_fail(it, err, NULL);
        return;
    }
    ln_json_writer w = ln_api_ok(it);
    ln_json_key(&w, "ends");
    ln_json_open(&w, '[');
    for (size_t i = 0; i < count; i++)
        put_end(&w, &ends[i]);
    ln_json_close(&w, ']');
    ln_json_key(&w, "more");
    ln_json_bool(&w, more);
    ln_api_told(it, &w);
}

void ln_api_why(ln_api_item *it, const ln_api_body *b) {
    linnet_whom whom = LINNET_WHOM_INIT;
    whom.user = b->user;
    whom.client = b->client;
    uint64_t limit = b->fields & LN_API_LIMIT ? b->limit : 100;
    int err = limit > 10000 ? LINNET_ERR_INVAL
                            : linnet_hub_why(ln_api_hub(it), &whom, limit, on_ends, it);
    if (err < 0)
        ln_api_fail(it, err,
            err == LINNET_ERR_INVAL ? "limit is 1 to 10000, and names are no longer than names are"
                                    : NULL);
}

/* ---- what happens now -------------------------------------------------------------------- */

/* What is said in channels is for keys that may read them. False: it is answered. */
static bool may_see(const ln_api_ask *a, const ln_api_body *b, bool *data) {
    *data = (b->fields & LN_API_DATA) && ln_slice_eq(b->data, LN_SLICE("true"));
    if ((b->fields & LN_API_DATA) && !*data && !ln_slice_eq(b->data, LN_SLICE("false"))) {
        ln_api_refuse(a->request, 400, LN_API_BAD_REQUEST, "data is not true or false");
        return false;
    }
    if (!*data || (a->scopes & LN_SCOPE_READ)) return true;
    ln_api_refuse(a->request, 403, LN_API_DENIED, "this key may follow, but not read what is said");
    return false;
}

void ln_api_tail(ln_api_ask *a) {
    ln_api_body b;
    linnet_tail_options o = LINNET_TAIL_OPTIONS_INIT;
    if (!ln_api_body_of(a, LN_API_USER | LN_API_CLIENT | LN_API_CHANNEL | LN_API_DATA, 0, &b))
        return;
    if (!may_see(a, &b, &o.data)) return;
    o.user = b.user;
    o.client = b.client;
    o.channel = b.channel;
    int err = linnet_hub_tail(a->api->hub, a->request, &o);
    if (err < 0)
        ln_api_refuse(a->request, ln_api_status(err), linnet_hub_error_code(err),
            err == LINNET_ERR_LIMIT ? "at most 16 follow at a time" : NULL);
}
