#include "lib/tail.h"
#include "base/json.h"
#include "base/mem.h"
#include "lib/hub.h"
#include "lib/sized.h"
#include "session/session.h"
#include <inttypes.h>
#include <linnet/watch.h>
#include <stdio.h>

typedef struct tail {
    ln_ref refs;
    linnet_server *server;
    linnet_loop *home;
    ln_exchange *x;  /* its home's; NULL: he has gone */
    ln_list node;    /* in the streams of its home, by due */
    ln_msec due;     /* the next line at the latest */
    uint64_t missed; /* by its home since the last line that said so */
    ln_post *stops[LN_LIM_WORKERS];
    bool data;
    ln_slice user, channel, client; /* behind the struct; empty: whoever */
} tail;

typedef struct seat { /* of one follower on one worker */
    ln_list node;
    tail *t;
    int missed;
} seat;

typedef struct ln_tails { /* of a worker */
    linnet_loop *w;
    ln_ear ear;
    ln_list seats, streams;
    ln_buf text;
} ln_tails;

/* ---- lines ------------------------------------------------------------------------------ */

static void put(ln_json_writer *w, const char *key, ln_slice text) {
    if (!text.size) return;
    ln_json_key(w, key);
    ln_json_str(w, text);
}

static void put_u64(ln_json_writer *w, const char *key, uint64_t number) {
    ln_json_key(w, key);
    ln_json_u64(w, number);
}

static ln_json_writer begin(ln_tails *n, const char *event) {
    ln_buf_clear(&n->text);
    ln_json_writer w = ln_json_begin(&n->text);
    ln_json_open(&w, '{');
    put_u64(&w, "ts", n->w->hub ? ln_hub_wall(n->w->hub) : 0);
    put(&w, "event", ln_slice_str(event));
    return w;
}

static int end(ln_tails *n, ln_json_writer *w) {
    ln_json_close(w, '}');
    int err = ln_json_end(w);
    return err == LINNET_OK ? ln_buf_add_byte(&n->text, '\n') : err;
}

static void put_end(ln_json_writer *w, const ln_end *e) {
    static const char *const by[] = { "client", "server", "network" };
    ln_end_words words = ln_end_explain(e->why, (ln_end_by)e->by, e->err);
    put_u64(w, "code", e->code);
    put(w, "by", ln_slice_str(by[e->by]));
    put(w, "reason", e->reason);
    put(w, "meaning", ln_slice_str(words.meaning));
    put(w, "advice", ln_slice_str(words.advice));
    put_u64(w, "open_ms", e->closed > e->opened ? e->closed - e->opened : 0);
    if (e->counted) put_u64(w, "bytes_in", e->in);
    if (e->counted) put_u64(w, "bytes_out", e->out);
}

static void put_publication(ln_json_writer *w, const ln_happening *h, bool data) {
    char epoch[LN_NATIVE_EPOCH];
    put(w, "name", h->event);
    put_u64(w, "size", h->data.size);
    if (h->at.offset) {
        ln_native_epoch_put(h->at.epoch, epoch);
        put(w, "epoch", ln_slice_of(epoch, sizeof epoch));
        put_u64(w, "offset", h->at.offset);
    }
    if (!data) return;
    if (h->data.size <= LN_TAIL_DATA_MAX) {
        ln_json_key(w, "data");
        ln_json_raw(w, h->data);
    } else {
        put(w, "data_begins", ln_slice_sub(h->data, 0, LN_TAIL_DATA_MAX));
    }
}

static int put_line(ln_tails *n, const ln_happening *h, bool data) {
    static const char *const names[] = { "connect", "disconnect", "subscribe", "unsubscribe",
        "publish", "error", "hook", "refused" };
    char address[LN_IP_TEXT];
    linnet_hub_error known = LINNET_HUB_ERROR_INIT;
    ln_json_writer w = begin(n, names[h->kind]);
    put(&w, "client", h->client);
    put(&w, "user", h->user);
    put(&w, "address", h->from ? ln_slice_of(address, ln_ip_text(h->from, address)) : h->address);
    if (h->dialect) put(&w, "dialect", ln_slice_str(h->dialect));
    put(&w, "channel", h->channel);
    if (h->what) put(&w, "hook", ln_slice_str(h->what));
    if (h->outcome) put(&w, "outcome", ln_slice_str(h->outcome));
    if (h->code) put_u64(&w, "code", (uint64_t)h->code);
    bool native = h->kind == LN_HEARD_ERROR || h->kind == LN_HEARD_UNSUBSCRIBE;
    if (h->code && native && linnet_hub_describe_error(h->code, &known) == LINNET_OK)
        put(&w, "name", ln_slice_str(known.name));
    put(&w, h->kind == LN_HEARD_REFUSED ? "reason" : "message", h->text);
    if (h->end) put_end(&w, h->end);
    if (h->kind == LN_HEARD_PUBLISH) put_publication(&w, h, data);
    return end(n, &w);
}

/* ---- hearing ---------------------------------------------------------------------------- */

static bool wants(const tail *t, const ln_happening *h) {
    if (t->user.size && !ln_slice_eq(t->user, h->user)) return false;
    if (t->client.size && !ln_slice_eq(t->client, h->client)) return false;
    return !t->channel.size || ln_slice_eq(t->channel, h->channel);
}

static void post(ln_tails *n, seat *s) {
    uint32_t letters;
    size_t bytes;
    ln_inbox *inbox = s->t->home->inbox;
    ln_inbox_load(inbox, &letters, &bytes);
    ln_post *m = NULL;
    if (letters < LN_TAIL_LETTERS && bytes < LN_TAIL_MAIL_BYTES)
        m = ln_post_new(LN_POST_TAILED, 0, s->missed, NULL, ln_buf_slice(&n->text));
    if (!m) {
        if (s->missed < INT32_MAX) s->missed++;
        return;
    }
    s->missed = 0;
    ln_ref_get(&s->t->refs, 1);
    m->ctx = s->t;
    ln_inbox_post(inbox, &m->letter, &m->letter, 1, m->letter.bytes);
}

/* The line is written for the first who wants it, and again where the next one may see more. */
static void on_heard(void *ctx, const ln_happening *h) {
    ln_tails *n = ctx;
    int written = -1; /* 0: without data, 1: with */
    LN_LIST_FOREACH(node, &n->seats) {
        seat *s = ln_list_item(node, seat, node);
        if (!wants(s->t, h)) continue;
        int wanted = s->t->data;
        if (written != wanted) written = put_line(n, h, wanted) == LINNET_OK ? wanted : -1;
        if (written == wanted)
            post(n, s);
        else if (s->missed < INT32_MAX)
            s->missed++;
    }
    if (n->text.capacity > LN_TAIL_QUEUED) ln_buf_fini(&n->text);
}

static void on_seen(void *ctx, const ln_publication *p) {
    if (p->space != LN_SPACE_CHANNELS) return;
    const ln_happening h = { .kind = LN_HEARD_PUBLISH,
        .client = ln_publication_from(p),
        .user = ln_publication_by(p),
        .channel = ln_publication_channel(p),
        .event = ln_publication_event(p),
        .data = ln_publication_data(p),
        .at = p->at };
    on_heard(ctx, &h);
}

static void on_refused(ln_conn *c, const char *group, const char *reason, unsigned code) {
    linnet_loop *w = c->env->host;
    char peer[64] = "", words[96];
    if (c->env->name_peer) c->env->name_peer(c, peer);
    snprintf(words, sizeof words, "%s%s", group, reason);
    const ln_happening h = { .kind = LN_HEARD_REFUSED,
        .address = ln_slice_str(peer),
        .text = ln_slice_str(words),
        .code = (int)code };
    on_heard(w->tails, &h);
}

/* An ear while there are seats, and none without. */
static void listen_or_not(ln_tails *n) {
    ln_sessions *people = ln_host_hub_people(n->w);
    bool on = !ln_list_empty(&n->seats);
    if (people) people->ear = on ? &n->ear : NULL;
    if (n->w->hub) n->w->hub->homes.seen_ctx = n;
    if (n->w->hub) n->w->hub->homes.seen = on ? on_seen : NULL;
    n->w->env.on_refused = on ? on_refused : NULL;
}

static ln_tails *tails_of(linnet_loop *w) {
    ln_tails *n = w->tails;
    if (n || !(n = ln_calloc(1, sizeof *n))) return n;
    n->w = w;
    n->ear = (ln_ear){ on_heard, n };
    ln_list_init(&n->seats);
    ln_list_init(&n->streams);
    ln_buf_init(&n->text, LN_BUF_MAX);
    w->tails = n;
    return n;
}

/* ---- the stream ------------------------------------------------------------------------- */

static void again_at(ln_tails *n, tail *t, uint32_t in_ms) {
    t->due = ln_loop_now(n->w->net) + in_ms;
    ln_list_remove(&t->node);
    ln_list *at = n->streams.prev; /* there are few */
    while (at != &n->streams && ln_list_item(at, tail, node)->due > t->due)
        at = at->prev;
    ln_list_insert_before(at->next, &t->node);
}

static void say_missed(ln_tails *n, tail *t) {
    ln_json_writer w = begin(n, "missed");
    put_u64(&w, "count", t->missed);
    if (end(n, &w) < 0) return;
    t->missed = 0;
    ln_exchange_write(t->x, ln_buf_slice(&n->text));
}

/* t is somebody's reference: writing may end the stream. */
static void say(ln_tails *n, tail *t, ln_slice line, uint64_t missed) {
    if (!t->x) return;
    t->missed += missed;
    bool full = ln_conn_queued(t->x->conn) > LN_TAIL_QUEUED;
    if (full) t->missed += line.size > 1;
    if (!full && t->missed) say_missed(n, t);
    if (!full && t->x) ln_exchange_write(t->x, line);
    if (t->x) again_at(n, t, t->missed ? 1000 : LN_TAIL_QUIET_MS);
}

void ln_tails_tick(linnet_loop *w) {
    ln_tails *n = w->tails;
    ln_msec now = ln_loop_now(w->net);
    while (n && !ln_list_empty(&n->streams)) {
        tail *t = ln_list_item(n->streams.next, tail, node);
        if (t->due > now) return;
        ln_ref_get(&t->refs, 1);
        say(n, t, LN_SLICE("\n"), 0);
        ln_tail_unref(t);
    }
}

ln_msec ln_tails_deadline(const linnet_loop *w) {
    const ln_tails *n = w->tails;
    if (!n || ln_list_empty(&n->streams)) return LN_NEVER;
    return ln_list_item(n->streams.next, tail, node)->due;
}

/* ---- coming and going ------------------------------------------------------------------- */

void ln_tail_unref(void *ctx) {
    tail *t = ctx;
    if (!ln_ref_put(&t->refs)) return;
    for (unsigned i = 0; i < LN_LIM_WORKERS; i++)
        ln_free(t->stops[i]); /* they carry nothing yet */
    ln_free(t);
}

static bool sit_down(linnet_loop *w, tail *t) {
    ln_tails *n = tails_of(w);
    seat *s = n ? ln_malloc(sizeof *s) : NULL;
    if (!s) return false;
    *s = (seat){ .t = t };
    ln_ref_get(&t->refs, 1);
    ln_list_init(&s->node);
    ln_list_push(&n->seats, &s->node);
    listen_or_not(n);
    return true;
}

static void stand_up(ln_tails *n, const tail *t) {
    LN_LIST_FOREACH(node, &n->seats) {
        seat *s = ln_list_item(node, seat, node);
        if (t && s->t != t) continue;
        ln_list_remove(&s->node);
        ln_tail_unref(s->t);
        ln_free(s);
        break;
    }
    listen_or_not(n);
}

/* A worker had no room for his seat: rather none of it than a part that looks like all. */
static void send_away(tail *t) {
    if (t->x) ln_conn_drop(t->x->conn, LINNET_ERR_NOMEM);
}

static bool return_to_home(tail *t, ln_post *m) {
    m->letter.kind = LN_POST_TAILED;
    m->code = -1;
    ln_inbox_post(t->home->inbox, &m->letter, &m->letter, 1, m->letter.bytes);
    return true;
}

bool ln_tail_mail(linnet_loop *w, ln_post *m) {
    tail *t = m->ctx;
    bool here = w->hub && w->sessions;
    if (m->letter.kind == LN_POST_TAILED && w->tails && m->code < 0)
        send_away(t);
    else if (m->letter.kind == LN_POST_TAILED && w->tails)
        say(w->tails, t, ln_post_data(m), (uint64_t)m->code);
    else if (m->letter.kind == LN_POST_TAIL && m->code == 0 && here)
        return !sit_down(w, t) && return_to_home(t, m);
    else if (m->letter.kind == LN_POST_TAIL && m->code == 1 && w->tails)
        stand_up(w->tails, t);
    return false;
}

static void send_to(tail *t, ln_post *m, unsigned worker) {
    ln_ref_get(&t->refs, 1);
    m->ctx = t;
    ln_inbox_post(t->server->workers[worker]->inbox, &m->letter, &m->letter, 1, m->letter.bytes);
}

static void leave(tail *t) {
    ln_list_remove(&t->node);
    t->x->host = NULL;
    t->x = NULL;
    for (unsigned i = 0; i < t->server->worker_count; i++) {
        ln_post *stop = t->stops[i];
        t->stops[i] = NULL;
        send_to(t, stop, i);
    }
    ln_tail_unref(t);
}

bool ln_tail_gone(const ln_exchange *x) {
    const ln_tails *n = ((linnet_loop *)x->conn->env->host)->tails;
    if (!n || !x->host) return false;
    LN_LIST_FOREACH(node, &n->streams) {
        tail *t = ln_list_item(node, tail, node);
        if (t != x->host) continue;
        leave(t);
        return true;
    }
    return false;
}

void ln_tails_free(linnet_loop *w) {
    ln_tails *n = w->tails;
    if (!n) return;
    while (!ln_list_empty(&n->seats))
        stand_up(n, NULL);
    ln_buf_fini(&n->text);
    ln_free(n);
    w->tails = NULL;
}

/* ---- the request ------------------------------------------------------------------------ */

static ln_slice keep(uint8_t **at, ln_slice s) {
    uint8_t *to = *at;
    if (s.size) memcpy(to, s.data, s.size);
    *at = to + s.size;
    return ln_slice_of(to, s.size);
}

static tail *tail_new(linnet_server *server, const linnet_tail_options *o) {
    tail *t = ln_calloc(1, sizeof *t + o->user.size + o->channel.size + o->client.size + 1);
    if (!t) return NULL;
    uint8_t *at = (uint8_t *)(t + 1);
    ln_ref_init(&t->refs, 1);
    ln_list_init(&t->node);
    t->server = server;
    t->data = o->data;
    t->user = keep(&at, o->user);
    t->channel = keep(&at, o->channel);
    t->client = keep(&at, o->client);
    return t;
}

/* Two letters for each worker, or none. */
static bool write_letters(tail *t, ln_post *starts[LN_LIM_WORKERS]) {
    unsigned n = 0;
    for (; n < t->server->worker_count; n++) {
        starts[n] = ln_post_new(LN_POST_TAIL, 0, 0, NULL, LN_SLICE(""));
        t->stops[n] = ln_post_new(LN_POST_TAIL, 0, 1, NULL, LN_SLICE(""));
        if (starts[n] && t->stops[n]) continue;
        ln_free(starts[n]);
        break;
    }
    bool all = n == t->server->worker_count;
    while (!all && n--)
        ln_free(starts[n]);
    return all;
}

static uint32_t followers(const ln_tails *n) {
    uint32_t count = 0;
    LN_LIST_FOREACH(node, &n->seats)
    count++;
    return count;
}

static int checked(const linnet_hub *hub, const linnet_request *r, const linnet_tail_options *o) {
    if (!hub || !r || !o || !ln_sized(o, sizeof *o)) return LINNET_ERR_INVAL;
    if (o->user.size > 255 || o->channel.size > LN_CHANNEL_NAME_MAX ||
        o->client.size > LN_CLIENT_NAME_MAX)
        return LINNET_ERR_INVAL;
    const linnet_server *s = ln_host_hub_server(hub);
    return s && ln_worker_of(r->conn)->server == s ? LINNET_OK : LINNET_ERR_STATE;
}

int linnet_hub_tail(linnet_hub *hub, linnet_request *r, const linnet_tail_options *o) {
    int err = checked(hub, r, o);
    if (err < 0) return err;
    linnet_loop *w = ln_worker_of(r->conn);
    ln_tails *n = tails_of(w);
    tail *t = n ? tail_new(ln_host_hub_server(hub), o) : NULL;
    ln_post *starts[LN_LIM_WORKERS];
    if (!t) return LINNET_ERR_NOMEM;
    err = followers(n) < LN_TAILS_MAX ? LINNET_OK : LINNET_ERR_LIMIT;
    bool written = err == LINNET_OK && write_letters(t, starts);
    if (err == LINNET_OK && !written) err = LINNET_ERR_NOMEM;
    if (err == LINNET_OK) {
        linnet_request_add_header(r, "X-Accel-Buffering", "no");
        err = linnet_request_begin(r, 200, "application/x-ndjson");
    }
    if (err < 0) {
        for (unsigned i = 0; written && i < t->server->worker_count; i++)
            ln_free(starts[i]);
        ln_tail_unref(t);
        return err;
    }
    r->named = true; /* it goes on */
    t->home = w;
    t->x = r->x;
    r->x->host = t;
    again_at(n, t, LN_TAIL_QUIET_MS);
    for (unsigned i = 0; i < t->server->worker_count; i++)
        send_to(t, starts[i], i);
    ln_exchange_endless(r->x);
    return LINNET_OK;
}
