#include "daemon/api_inner.h"

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
    if (p->retracted) {
        ln_json_key(w, "retracted");
        ln_json_bool(w, true);
    }
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
    ln_api_item *it = ctx;
    char epoch[17];
    if (err < 0) {
        ln_api_fail(it, err, NULL);
        return;
    }
    ln_json_writer w = ln_api_ok(it);
    ln_json_key(&w, "messages");
    ln_json_open(&w, '[');
    const char *at = (const char *)page->items; /* a later library's are larger */
    for (size_t i = 0; i < page->count; i++, at += page->items->size)
        put_message(&w, (const linnet_publication *)(const void *)at);
    ln_json_close(&w, ']');
    linnet_epoch_put(page->epoch, epoch);
    ln_api_put_text(&w, "epoch", ln_slice_str(epoch));
    ln_api_put_u64(&w, "offset", page->offset);
    ln_api_told(it, &w);
}

void ln_api_history(ln_api_item *it, const ln_api_body *b) {
    linnet_history_query q = LINNET_HISTORY_QUERY_INIT;
    q.channel = b->channel;
    q.epoch = b->epoch;
    q.offset = b->offset;
    q.reverse = b->reverse;
    q.limit = b->limit < 1000 ? (uint32_t)b->limit : 1000;
    if ((b->fields & LN_API_LIMIT) && b->limit == 0) q.limit = LINNET_OFF;
    int err = linnet_hub_history(ln_api_hub(it), &q, on_history, it);
    if (err < 0) ln_api_fail(it, err, err == LINNET_ERR_INVAL ? "that is no channel" : NULL);
}

/* ---- presence ----------------------------------------------------------------------- */

static void put_member(ln_json_writer *w, const linnet_member *m) {
    ln_json_open(w, '{');
    ln_api_put_text(w, "client", m->client);
    ln_api_put_text(w, "user", m->user);
    if (m->info.size) {
        ln_json_key(w, "info");
        ln_json_raw(w, m->info);
    }
    ln_json_close(w, '}');
}

static void on_presence(void *ctx, linnet_hub *hub, int err, const linnet_presence *p) {
    ln_api_item *it = ctx;
    if (err < 0) {
        ln_api_fail(it, err, err == LINNET_ERR_UNSUPPORTED ? "members are not kept there" : NULL);
        return;
    }
    ln_json_writer w = ln_api_ok(it);
    ln_json_key(&w, "members");
    ln_json_open(&w, '[');
    for (size_t i = 0; i < p->member_count; i++)
        put_member(&w, &p->members[i]);
    ln_json_close(&w, ']');
    ln_api_put_u64(&w, "connections", p->connections);
    ln_api_put_u64(&w, "users", p->users);
    if (p->next) ln_api_put_u64(&w, "next", p->next);
    ln_api_told(it, &w);
}

void ln_api_presence(ln_api_item *it, const ln_api_body *b) {
    uint64_t limit = b->limit < 1000 ? b->limit : 1000;
    if ((b->fields & LN_API_LIMIT) && !limit) limit = LINNET_OFF;
    int err = linnet_hub_presence(
        ln_api_hub(it), b->channel, b->after, (uint32_t)limit, on_presence, it);
    if (err < 0) ln_api_fail(it, err, err == LINNET_ERR_INVAL ? "that is no channel" : NULL);
}

/* ---- channels ----------------------------------------------------------------------- */

static void put_channel(ln_json_writer *w, const linnet_channel *c) {
    char epoch[17];
    ln_json_open(w, '{');
    ln_api_put_text(w, "channel", c->name);
    ln_api_put_u64(w, "subscribers", c->subscribers);
    if (c->members) {
        ln_api_put_u64(w, "connections", c->connections);
        ln_api_put_u64(w, "users", c->users);
    }
    if (c->epoch) {
        linnet_epoch_put(c->epoch, epoch);
        ln_api_put_text(w, "epoch", ln_slice_str(epoch));
        ln_api_put_u64(w, "offset", c->offset);
    }
    ln_json_close(w, '}');
}

static void on_channels(
    void *ctx, linnet_hub *hub, int err, const linnet_channel *channels, size_t count, bool more) {
    ln_api_item *it = ctx;
    if (err < 0) {
        ln_api_fail(it, err, NULL);
        return;
    }
    ln_json_writer w = ln_api_ok(it);
    ln_json_key(&w, "channels");
    ln_json_open(&w, '[');
    for (size_t i = 0; i < count; i++)
        put_channel(&w, &channels[i]);
    ln_json_close(&w, ']');
    if (more) ln_api_put_text(&w, "next", channels[count - 1].name);
    ln_api_told(it, &w);
}

void ln_api_channels(ln_api_item *it, const ln_api_body *b) {
    linnet_channels_query q = LINNET_CHANNELS_QUERY_INIT;
    bool fits = !(b->fields & LN_API_LIMIT) || (b->limit > 0 && b->limit <= UINT32_MAX);
    q.prefix = b->prefix;
    q.after = b->behind;
    q.limit = (uint32_t)b->limit;
    int err = fits ? linnet_hub_channels(ln_api_hub(it), &q, on_channels, it) : LINNET_ERR_INVAL;
    if (err < 0)
        ln_api_fail(it, err,
            err == LINNET_ERR_INVAL ? "limit is 1 to 1000; prefix and after are the beginning of a "
                                      "channel's name, and a name"
                                    : NULL);
}

/* ---- info --------------------------------------------------------------------------- */

void ln_api_info(ln_api_item *it, const ln_api_body *b) {
    linnet_server_stats s = LINNET_SERVER_STATS_INIT;
    linnet_hub_stats h = LINNET_HUB_STATS_INIT;
    linnet_server_get_stats(ln_api_server(it), &s);
    linnet_hub_get_stats(ln_api_hub(it), &h);
    ln_json_writer w = ln_api_ok(it);
    ln_api_put_text(&w, "version", ln_slice_str(linnet_version()));
    ln_api_put_u64(&w, "workers", linnet_server_workers(ln_api_server(it)));
    ln_api_put_u64(&w, "connections", s.connections);
    ln_api_put_u64(&w, "sessions", h.sessions);
    ln_api_put_u64(&w, "channels", h.channels);
    ln_api_put_u64(&w, "subscriptions", h.subscriptions);
    ln_api_told(it, &w);
}
