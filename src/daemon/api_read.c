#include "daemon/api_inner.h"
#include <inttypes.h>
#include <stdio.h>

static void put_message(ln_json_writer *w, const linnet_publication *p) {
    ln_json_open(w, '{');
    if (p->event.size) {
        ln_json_key(w, "event");
        ln_json_str(w, p->event);
    }
    ln_json_key(w, "data");
    ln_json_raw(w, p->data);
    ln_json_key(w, "offset");
    ln_json_u64(w, p->offset);
    ln_json_key(w, "ts");
    ln_json_u64(w, p->ts);
    if (p->client.size) {
        ln_json_key(w, "from");
        ln_json_open(w, '{');
        ln_json_key(w, "client");
        ln_json_str(w, p->client);
        if (p->user.size) {
            ln_json_key(w, "user");
            ln_json_str(w, p->user);
        }
        ln_json_close(w, '}');
    }
    ln_json_close(w, '}');
}

static void on_history(void *ctx, linnet_hub *hub, int err, const linnet_history_page *page) {
    ln_api_order *o = ctx;
    char epoch[17];
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
    ln_json_key(&w, "messages");
    ln_json_open(&w, '[');
    const char *at = (const char *)page->items; /* a later library's are larger */
    for (size_t i = 0; i < page->count; i++, at += page->items->size)
        put_message(&w, (const linnet_publication *)(const void *)at);
    ln_json_close(&w, ']');
    snprintf(epoch, sizeof epoch, "%016" PRIx64, page->epoch);
    ln_json_key(&w, "epoch");
    ln_json_str(&w, ln_slice_str(epoch));
    ln_json_key(&w, "offset");
    ln_json_u64(&w, page->offset);
    ln_json_close(&w, '}');
    ln_json_close(&w, '}');
    ln_api_order_answer(o, &out, ln_json_end(&w));
}

void ln_api_history(ln_api_ask *a) {
    ln_api_body b;
    if (!ln_api_body_of(a, LN_API_SINCE | LN_API_LIMIT | LN_API_REVERSE, LN_API_CHANNEL, &b))
        return;
    ln_api_order *o = ln_api_order_new(a);
    if (!o) return;
    linnet_history_query q = LINNET_HISTORY_QUERY_INIT;
    q.channel = b.channel;
    q.epoch = b.epoch;
    q.offset = b.offset;
    q.reverse = b.reverse;
    q.limit = b.limit < 1000 ? (uint32_t)b.limit : 1000;
    if ((b.fields & LN_API_LIMIT) && b.limit == 0) q.limit = LINNET_OFF;
    int err = linnet_hub_history(a->api->hub, &q, on_history, o);
    if (err < 0) ln_api_order_refuse(a, o, err, "that is no channel");
}
