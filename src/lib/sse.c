#include "lib/sse.h"
#include "base/mem.h"
#include "base/num.h"
#include "lib/hub.h"
#include "lib/reader.h"
#include "lib/tail.h"
#include "session/session.h"
#include "wire/target.h"
#include <stdio.h>

#define TEXT_KEEP  (64u * 1024)
#define PAGE_BYTES (64u * 1024)
#define LOOK_MS    20 /* until a reader who is behind is looked at again, when much waits for him */

typedef struct ln_stream ln_stream;

typedef struct stream_sub {
    ln_subscription s; /* the first member */
    ln_stream *stream;
    ln_position at; /* what the reader has come to, or says so; epoch 0: nobody knows */
    bool knows;     /* he said something; or has been told */
    bool behind;    /* has missed something, and the next page of it is not asked for yet */
    uint8_t name_size;
    uint8_t name[LN_CHANNEL_NAME_MAX];
} stream_sub;

struct ln_stream {
    ln_list node; /* in worker->streams, by due */
    ln_list lag;  /* in worker->stream_laggards: one is behind, and much waits for him already */
    linnet_loop *worker;
    ln_reader *reader;
    ln_exchange *x;
    ln_msec due;
    uint32_t count, waiting; /* subscriptions; those that have not joined yet */
    stream_sub subs[];
};

/* Text ------------------------------------------------------------------------------------ */

/* One field, and as many as it has lines. A line ends as the reader thinks it does. */
static int put_lines(ln_buf *out, const char *field, ln_slice text, bool one) {
    int err = ln_buf_addf(out, "%s: ", field);
    for (size_t i = 0; i < text.size && err == LINNET_OK; i++) {
        uint8_t b = text.data[i];
        bool cr = b == '\r', lf = b == '\n';
        if (cr && i + 1 < text.size && text.data[i + 1] == '\n') continue;
        if (!cr && !lf)
            err = ln_buf_add_byte(out, b);
        else
            err = one ? ln_buf_add_byte(out, ' ') : ln_buf_addf(out, "\n%s: ", field);
    }
    return err == LINNET_OK ? ln_buf_add_byte(out, '\n') : err;
}

static int put_place(ln_buf *out, ln_position at) {
    char epoch[LN_NATIVE_EPOCH];
    if (!at.epoch) return ln_buf_add_byte(out, '-');
    ln_native_epoch_put(at.epoch, epoch);
    return ln_buf_addf(out, "%.*s:%llu", LN_NATIVE_EPOCH, epoch, (unsigned long long)at.offset);
}

/* Where the reader has come to; nothing when none of the channels has places. */
static int put_id(ln_buf *out, const ln_stream *s) {
    bool some = false;
    for (uint32_t i = 0; i < s->count; i++)
        some = some || s->subs[i].at.epoch;
    if (!some) return LINNET_OK;
    int err = ln_buf_add(out, LN_SLICE("id: "));
    for (uint32_t i = 0; i < s->count && err == LINNET_OK; i++) {
        if (i) err = ln_buf_add_byte(out, ',');
        if (err == LINNET_OK) err = put_place(out, s->subs[i].at);
    }
    return err == LINNET_OK ? ln_buf_add_byte(out, '\n') : err;
}

static int put_event(ln_buf *out, const ln_publication *p) {
    ln_slice event = ln_publication_event(p);
    int err = LINNET_OK;
    if (event.size && !ln_slice_eq(event, LN_SLICE("message")))
        err = put_lines(out, "event", event, true);
    if (err == LINNET_OK) err = put_lines(out, "data", ln_publication_data(p), false);
    return err;
}

/* Reads what put_id wrote. What cannot be read is a place that we do not have. */
static void read_id(ln_stream *s, ln_slice id) {
    ln_slice place, epoch;
    for (uint32_t i = 0; i < s->count; i++) {
        stream_sub *sub = &s->subs[i];
        sub->knows = true;
        sub->at = (ln_position){ 0 };
        if (!ln_slice_cut(&id, ',', &place) || !ln_slice_cut(&place, ':', &epoch)) continue;
        uint64_t e, offset;
        if (!ln_native_epoch_get(epoch, &e) || !ln_num_u64(place, UINT64_MAX, &offset)) continue;
        sub->at = (ln_position){ e, offset };
    }
}

/* Telling --------------------------------------------------------------------------------- */

static void stream_free(ln_stream *s) {
    for (uint32_t i = 0; i < s->count; i++)
        ln_hub_unsubscribe(s->worker->hub, &s->subs[i].s);
    ln_list_remove(&s->node);
    ln_list_remove(&s->lag);
    s->x->host = NULL;
    ln_reader_free(s->reader);
    ln_free(s);
}

/* What is kept of the buffer for the next time. */
static void clear(ln_buf *out) {
    ln_buf_clear(out);
    if (out->capacity > TEXT_KEEP) ln_buf_fini(out);
}

/* Says something, or drops who does not read; then the stream is no more. */
static void tell(ln_stream *s, ln_slice text) {
    ln_conn *c = s->x->conn;
    const ln_conn_config *limits = s->worker->stream_limits;
    uint32_t queued = ln_conn_queued(c);
    uint32_t now = (uint32_t)ln_loop_now(s->worker->net);
    uint32_t waited = queued && c->waiting ? now - c->waiting : 0;
    bool old = limits->queued_age_ms && waited > limits->queued_age_ms;
    if (queued && (old || queued + (uint64_t)text.size > limits->queued_max))
        ln_conn_drop(c, LINNET_ERR_SLOW);
    else
        ln_exchange_write(s->x, text);
}

/* What a writer left in the worker's buffer; err: what it answered. */
static void tell_written(ln_stream *s, int err) {
    ln_buf *out = &s->worker->stream_text;
    if (err == LINNET_OK && out->size)
        tell(s, ln_buf_slice(out));
    else if (err < 0)
        ln_conn_drop(s->x->conn, err);
    clear(out);
}

static int put_reset(ln_buf *out, const stream_sub *sub) {
    char epoch[LN_NATIVE_EPOCH];
    int err = ln_buf_add(out, LN_SLICE("event: reset\ndata: "));
    if (err < 0) return err;
    ln_json_writer w = ln_json_begin(out);
    ln_json_open(&w, '{');
    ln_json_key(&w, "channel");
    ln_json_str(&w, ln_slice_of(sub->name, sub->name_size));
    if (sub->at.epoch) {
        ln_native_epoch_put(sub->at.epoch, epoch);
        ln_json_key(&w, "epoch");
        ln_json_str(&w, ln_slice_of(epoch, sizeof epoch));
        ln_json_key(&w, "offset");
        ln_json_u64(&w, sub->at.offset);
    }
    ln_json_close(&w, '}');
    err = ln_json_end(&w);
    return err == LINNET_OK ? ln_buf_add(out, LN_SLICE("\n\n")) : err;
}

/* It is in: the reader goes on, or learns that he cannot. Behind the last one he learns where he
 * stands, so that he can come back although nothing was said meanwhile. */
static void joined(stream_sub *sub) {
    ln_stream *s = sub->stream;
    ln_buf *out = &s->worker->stream_text;
    ln_position was = sub->at;
    bool missed = sub->knows;
    sub->at = ln_subscription_at(&sub->s);
    if (was.epoch == sub->at.epoch && (was.offset == sub->at.offset || !was.epoch)) missed = false;
    sub->knows = true;
    s->waiting--;
    int err = missed ? put_reset(out, sub) : LINNET_OK;
    uint32_t before = out->size;
    if (err == LINNET_OK && !s->waiting) err = put_id(out, s);
    if (err == LINNET_OK && out->size > before) err = ln_buf_add_byte(out, '\n');
    tell_written(s, err);
}

static void refused(ln_stream *s, ln_native_code code) {
    ln_buf *out = &s->worker->stream_text;
    ln_exchange *x = s->x;
    ln_conn *c = x->conn;
    int wrote = ln_buf_addf(out, "event: error\ndata: {\"code\":%d}\n\n", (int)code);
    if (wrote == LINNET_OK) wrote = ln_exchange_write(x, ln_buf_slice(out));
    clear(out);
    if (wrote == LINNET_OK)
        ln_sse_end(x);
    else
        ln_conn_drop(c, wrote); /* or it is already */
}

/* The hub's calls ------------------------------------------------------------------------- */

static void on_subscribed(void *ctx, ln_subscription *ls, int err) {
    (void)ctx;
    stream_sub *sub = (stream_sub *)(void *)ls;
    if (err < 0)
        refused(sub->stream, ln_session_code(err));
    else
        joined(sub);
}

/* What one reader has come to differs from the next, so ids are written one by one. */
static void on_deliver(void *ctx, ln_row *row, const ln_publication *p) {
    linnet_loop *w = ctx;
    ln_buf *out = &w->stream_text;
    int err = put_event(out, p);
    uint32_t size = out->size;
    for (uint32_t i = 0; i < row->count; i++) {
        if (!row->seats[i].target) continue;
        stream_sub *sub = (stream_sub *)(void *)row->seats[i].sub;
        ln_stream *s = sub->stream;
        if (p->at.offset) sub->at = p->at;
        if (err == LINNET_OK && p->at.offset) err = put_id(out, s);
        if (err == LINNET_OK) err = ln_buf_add_byte(out, '\n');
        if (err == LINNET_OK)
            tell(s, ln_buf_slice(out));
        else
            ln_conn_drop(s->x->conn, err);
        if (out->size > size) out->size = size;
    }
    clear(out);
}

/* The channel starts anew: he is in it again, and is told. */
static void on_reset(void *ctx, ln_subscription *ls, ln_slice channel) {
    linnet_loop *w = ctx;
    stream_sub *sub = (stream_sub *)(void *)ls;
    sub->stream->waiting++;
    int err = ln_hub_subscribe(w->hub, ls, LN_SPACE_CHANNELS, channel);
    if (err < 0)
        refused(sub->stream, ln_session_code(err));
    else if (err == LN_DONE)
        joined(sub);
}

/* Asks for the next page of what he has missed, or looks again when less waits for him. */
static void go_on(stream_sub *sub) {
    ln_stream *s = sub->stream;
    linnet_loop *w = s->worker;
    sub->behind = ln_conn_queued(s->x->conn) > w->stream_limits->low;
    if (!sub->behind) {
        ln_hub_more(w->hub, &sub->s, PAGE_BYTES);
        return;
    }
    ln_list_remove(&s->lag);
    ln_list_push(&w->stream_laggards, &s->lag);
}

/* A page of what was missed, and with the last one he is in. */
static void on_replay(void *ctx, ln_subscription *ls, const ln_replay *page) {
    linnet_loop *w = ctx;
    ln_buf *out = &w->stream_text;
    stream_sub *sub = (stream_sub *)(void *)ls;
    ln_stream *s = sub->stream;
    int err = LINNET_OK;
    if (page->first) s->waiting--;
    for (uint32_t i = 0; i < page->count && err == LINNET_OK; i++) {
        sub->at = page->items[i]->at;
        if (page->items[i]->flags & LN_PUB_RETRACTED) continue;
        err = put_event(out, page->items[i]);
        if (err == LINNET_OK) err = put_id(out, s);
        if (err == LINNET_OK) err = ln_buf_add_byte(out, '\n');
    }
    const ln_exchange *x = s->x;
    ln_conn *c = x->conn;
    bool more = !ln_subscription_joined(ls);
    tell_written(s, err);
    if (c->state == LN_CONN_HTTP && c->http == x && x->host == s && more) go_on(sub);
}

/* He has read too slowly for what the log keeps, and comes back to be told so. */
static void on_lost(void *ctx, ln_subscription *ls) {
    (void)ctx;
    ln_sse_end(((stream_sub *)(void *)ls)->stream->x);
}

void ln_sse_use(linnet_loop *w, const ln_conn_config *limits) {
    w->stream_limits = limits;
    ln_hub_user user = { .ctx = w,
        .deliver = on_deliver,
        .subscribed = on_subscribed,
        .reset = on_reset,
        .replay = on_replay,
        .lost = on_lost };
    ln_hub_use(w->hub, LN_USER_SSE, &user);
}

/* Requests -------------------------------------------------------------------------------- */

const char *ln_sse_read_names(const ln_exchange *x, ln_sse_names *out, int *status) {
    ln_slice query = x->head.query, key, value;
    uint8_t name[8192]; /* heads are at most so long */
    out->count = 0;
    while (ln_target_next(&query, &key, &value)) {
        if (!ln_slice_eq(key, LN_SLICE("channel"))) continue;
        ln_slice channel = ln_slice_of(name, ln_target_unescape(value, true, name));
        int err = ln_channel_name_check(LN_SPACE_CHANNELS, channel);
        *status = err == LINNET_ERR_DENIED ? 403 : 400;
        if (err == LINNET_ERR_DENIED) return "that channel is reserved\n";
        if (err < 0) return "that is no name for a channel\n";
        if (out->count == LN_SSE_CHANNELS) return "at most 16 channels in one stream\n";
        for (uint32_t i = 0; i < out->count; i++)
            if (ln_slice_eq(ln_sse_name(out, i), channel)) return "a channel stands twice\n";
        out->sizes[out->count] = (uint8_t)channel.size;
        memcpy(out->names[out->count++], channel.data, channel.size);
    }
    *status = 400;
    return out->count ? NULL : "which channels? ?channel=NAME, once or more often\n";
}

/* The rule of WebSockets: who may connect may read, and is told so in the way of pages. */
static const char *check_origin(linnet_request *r, int *status) {
    ln_slice origin = linnet_request_header(r, "Origin", 0);
    *status = 403;
    linnet_request_add_header(r, "Vary", "Origin");
    if (!origin.data) return NULL;
    if (linnet_request_header(r, "Origin", 1).data) return "two origins\n";
    if (!ln_route_origin_ok(r->conn, r->x, r->route, origin))
        return "pages from there may not read this\n";
    int err = ln_exchange_add_field(r->x, LN_SLICE("Access-Control-Allow-Origin"), origin);
    /* Cookies only for places that were named: who lets in all pages has not meant that. */
    if (!ln_route_origin_ok(r->conn, r->x, r->route, LN_SLICE("null")))
        linnet_request_add_header(r, "Access-Control-Allow-Credentials", "true");
    return err < 0 ? "that is no origin\n" : NULL;
}

static int begin(linnet_request *r, ln_stream *s) {
    char hello[32];
    linnet_request_add_header(r, "Cache-Control", "no-store");
    linnet_request_add_header(r, "X-Accel-Buffering", "no");
    int err = linnet_request_begin(r, 200, "text/event-stream");
    if (err < 0) return err;
    uint64_t retry = LN_SSE_RETRY_MS + ln_rand_below(&s->worker->env.rand, LN_SSE_RETRY_MS);
    int size = snprintf(hello, sizeof hello, "retry: %llu\n\n", (unsigned long long)retry);
    return ln_exchange_write(r->x, ln_slice_of(hello, (size_t)size));
}

static void start(linnet_request *r, ln_stream *s) {
    ln_slice id = linnet_request_header(r, "Last-Event-ID", 0);
    if (id.size) read_id(s, id);
    if (begin(r, s) < 0) { /* the connection is dropped, or is to be */
        ln_reader_free(s->reader);
        ln_free(s);
        return;
    }
    ln_reader_watch(s->reader);
    linnet_loop *w = s->worker;
    ln_exchange *x = r->x;
    r->named = true; /* it goes on */
    x->host = s;
    s->due = ln_loop_now(w->net) + LN_SSE_COMMENT_MS;
    ln_list_push(&w->streams, &s->node);
    s->waiting = s->count;
    for (uint32_t i = 0; x->host == s && i < s->count; i++) {
        ln_slice name = ln_slice_of(s->subs[i].name, s->subs[i].name_size);
        int err = s->subs[i].at.epoch
                      ? ln_hub_recover(w->hub, &s->subs[i].s, name, s->subs[i].at, PAGE_BYTES)
                      : ln_hub_subscribe(w->hub, &s->subs[i].s, LN_SPACE_CHANNELS, name);
        if (err < 0)
            refused(s, ln_session_code(err));
        else if (err == LN_DONE)
            joined(&s->subs[i]);
    }
    if (x->host == s) ln_exchange_endless(x);
}

void ln_sse_open(linnet_request *r, const ln_sse_names *names, ln_reader *reader) {
    ln_stream *s = ln_calloc(1, sizeof *s + names->count * sizeof s->subs[0]);
    if (!s) {
        linnet_request_answer(r, 503, NULL, linnet_str("no memory\n"));
        ln_reader_free(reader);
        return;
    }
    s->worker = ln_worker_of(r->conn);
    s->x = r->x;
    s->reader = reader;
    s->count = names->count;
    reader->stream = s;
    ln_list_init(&s->node);
    ln_list_init(&s->lag);
    for (uint32_t i = 0; i < s->count; i++) {
        stream_sub *sub = &s->subs[i];
        *sub = (stream_sub){ .stream = s, .name_size = names->sizes[i] };
        memcpy(sub->name, names->names[i], names->sizes[i]);
        ln_subscription_init(&sub->s, LN_USER_SSE, sub);
    }
    start(r, s);
}

void ln_sse_begin(linnet_request *r) {
    ln_sse_names names;
    int status = 503;
    const char *why = check_origin(r, &status);
    if (!why) why = ln_sse_read_names(r->x, &names, &status);
    if (why)
        linnet_request_answer(r, status, NULL, linnet_str(why));
    else if (r->x->head_only)
        linnet_request_answer(r, 200, "text/event-stream", linnet_str(""));
    else
        ln_reader_begin(r);
}

/* The end --------------------------------------------------------------------------------- */

bool ln_sse_gone(const ln_exchange *x) {
    if (ln_tail_gone(x)) return true; /* a stream of another kind */
    if (x->state != LN_EXCHANGE_STREAM || !x->host) return false;
    stream_free(x->host);
    return true;
}

void ln_sse_end(ln_exchange *x) {
    if (ln_sse_gone(x)) ln_exchange_end(x);
}

void ln_sse_timer(ln_timer *timer) {
    ln_reader *reader = ln_list_item(timer, ln_reader, end);
    if (ln_reader_is_over(reader)) refused(reader->stream, LN_NATIVE_TOKEN_EXPIRED);
}

static bool is_meant(const ln_stream *s, ln_slice user, ln_slice client, linnet_conn_id id) {
    const ln_reader *r = s->reader;
    if (id && id != r->id) return false;
    if (client.size && !ln_slice_eq(client, ln_slice_of(r->client, r->client_size))) return false;
    return !user.size || (r->identity && ln_slice_eq(user, ln_identity_user(r->identity)));
}

uint32_t ln_sse_disconnect(linnet_loop *w, ln_slice user, ln_slice client, linnet_conn_id id) {
    uint32_t count = 0;
    LN_LIST_FOREACH_SAFE(node, &w->streams) {
        ln_stream *s = ln_list_item(node, ln_stream, node);
        if (!is_meant(s, user, client, id)) continue;
        ln_sse_end(s->x);
        count++;
    }
    return count;
}

static bool is_in(const ln_stream *s, ln_slice channel) {
    for (uint32_t i = 0; i < s->count; i++)
        if (ln_slice_eq(channel, ln_slice_of(s->subs[i].name, s->subs[i].name_size))) return true;
    return false;
}

/* A stream is for the channels of its request, so that it ends with the first of them. */
uint32_t ln_sse_expel(
    linnet_loop *w, ln_slice user, ln_slice client, linnet_conn_id id, ln_slice channel) {
    uint32_t count = 0;
    LN_LIST_FOREACH_SAFE(node, &w->streams) {
        ln_stream *s = ln_list_item(node, ln_stream, node);
        if (!is_meant(s, user, client, id) || !is_in(s, channel)) continue;
        refused(s, LN_NATIVE_PERMISSION_DENIED);
        count++;
    }
    return count;
}

uint32_t ln_sse_refresh(linnet_loop *w, ln_slice user, ln_slice client, linnet_conn_id id,
    uint64_t expires, ln_slice info) {
    uint32_t count = 0;
    LN_LIST_FOREACH(node, &w->streams) {
        const ln_stream *s = ln_list_item(node, const ln_stream, node);
        if (is_meant(s, user, client, id) && ln_reader_refresh(s->reader, expires, info)) count++;
    }
    return count;
}

static bool is_barred(const ln_stream *s, const ln_bans *bans, uint64_t now_s) {
    const ln_identity *id = s->reader->identity;
    const linnet_conn *conn = ln_conn_outer(s->x->conn);
    ln_ip ip;
    ln_ban_who who = { .address = ln_visitor_address(conn, &s->x->head, &ip) ? &ip : NULL };
    if (id) who.user = ln_identity_user(id);
    if (id) who.jti = ln_identity_jti(id);
    if (id) who.issued = id->issued;
    return ln_bans_judge(bans, &who, now_s) != LN_BAN_FREE;
}

uint32_t ln_sse_bar(linnet_loop *w, const ln_bans *bans, uint64_t now_s) {
    uint32_t count = 0;
    LN_LIST_FOREACH_SAFE(node, &w->streams) {
        ln_stream *s = ln_list_item(node, ln_stream, node);
        if (!is_barred(s, bans, now_s)) continue;
        ln_sse_end(s->x);
        count++;
    }
    return count;
}

/* Those who are behind, once each: who is still too slow is put back. */
static void look_at_laggards(linnet_loop *w) {
    ln_list some;
    ln_list_init(&some);
    ln_list_splice(&some, &w->stream_laggards);
    for (ln_list *node; (node = ln_list_pop(&some));) {
        ln_stream *s = ln_list_item(node, ln_stream, lag);
        for (uint32_t i = 0; i < s->count; i++)
            if (s->subs[i].behind) go_on(&s->subs[i]);
    }
}

void ln_sse_tick(linnet_loop *w) {
    ln_msec now = ln_loop_now(w->net);
    look_at_laggards(w);
    while (!ln_list_empty(&w->streams)) {
        ln_stream *s = ln_list_item(w->streams.next, ln_stream, node);
        if (s->due > now) return;
        s->due = now + LN_SSE_COMMENT_MS;
        ln_list_remove(&s->node);
        ln_list_push(&w->streams, &s->node);
        tell(s, LN_SLICE(":\n\n"));
    }
}

ln_msec ln_sse_deadline(const linnet_loop *w) {
    if (ln_list_empty(&w->streams)) return LN_NEVER;
    if (!ln_list_empty(&w->stream_laggards)) return ln_loop_now(w->net) + LOOK_MS;
    return ln_list_item(w->streams.next, ln_stream, node)->due;
}
