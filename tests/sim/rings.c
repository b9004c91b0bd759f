#include "rings.h"
#include "law.h"
#include "wire/native.h"
#include <stdio.h>
#include <stdlib.h>

#define AT_ONCE  32          /* subscribes in a frame */
#define KEYS_MAX (16 * 1024) /* in a frame: an array of 16 KiB has many */

static uint32_t below(const rings *r, uint32_t n) {
    return ln_simnet_below(r->scene->net, n);
}

static void anomaly(const rings *r, const char *name, uint32_t i, const char *words) {
    history_anomaly(r->scene->h, name, "the reader of rings, q:%u at %llu: %s", i,
        (unsigned long long)r->offsets[i], words);
}

static void over(rings *r) {
    r->state = RINGS_OUT;
    r->conn = NULL;
    r->welcomed = false;
    r->joined = 0;
    memset(r->in, 0, sizeof r->in);
    memset(r->asked, 0, sizeof r->asked);
    if (r->scene->mood != LEAVING) linnet_timer_set(r->timer, 20 + below(r, 200));
}

/* -- hearing -------------------------------------------------------------------------------------
 */

typedef struct frame {
    uint64_t re, offset, epoch, replay, n;
    uint32_t channel;
    char type[16];
    bool recovered, has_recovered, replays, deep;
} frame;

static void take_field(frame *w, const ln_json_value *key, const ln_json_value *v) {
    ln_json_value name, value;
    if (ln_json_is(key, LN_SLICE("type")))
        snprintf(w->type, sizeof w->type, "%.*s", (int)v->text.size, (const char *)v->text.data);
    else if (ln_json_is(key, LN_SLICE("re")))
        ln_json_uint(v, &w->re);
    else if (ln_json_is(key, LN_SLICE("offset")))
        ln_json_uint(v, &w->offset);
    else if (ln_json_is(key, LN_SLICE("epoch")))
        ln_native_epoch_get(v->text, &w->epoch);
    else if (ln_json_is(key, LN_SLICE("recovered")))
        w->has_recovered = true, w->recovered = v->boolean;
    else if (ln_json_is(key, LN_SLICE("replay")) && v->kind == LN_JSON_NUMBER)
        ln_json_uint(v, &w->replay);
    else if (ln_json_is(key, LN_SLICE("replay")))
        w->replays = v->boolean;
    else if (ln_json_is(key, LN_SLICE("channel")) && v->text.size > 2)
        w->channel = (uint32_t)strtoul((const char *)v->text.data + 2, NULL, 10);
    else if (ln_json_is(key, LN_SLICE("data")) && v->kind == LN_JSON_OBJECT) {
        ln_json_iter it = ln_json_iter_of(v);
        if (ln_json_next(&it, &name, &value)) ln_json_uint(&value, &w->n);
    }
}

static frame frame_of(const ln_json_value *top) {
    frame w = { .channel = RINGS };
    ln_json_value key, value;
    ln_json_iter it = ln_json_iter_of(top);
    while (ln_json_next(&it, &key, &value))
        take_field(&w, &key, &value);
    if (w.channel > RINGS) w.channel = RINGS;
    return w;
}

static void take_joined(rings *r, const frame *w) {
    uint32_t i = (uint32_t)w->re - 1;
    if (w->re == 0 || i >= RINGS || !r->asked[i] || r->in[i]) {
        anomaly(r, "answer", i % RINGS, "an answer to nothing");
        return;
    }
    bool had = r->epochs[i] != 0;
    r->in[i] = true;
    r->joined++;
    if (w->has_recovered != had) anomaly(r, "recover", i, "an answer that does not fit");
    if (had && w->recovered && (w->epoch != r->epochs[i] || r->offsets[i] + w->replay != w->offset))
        anomaly(r, "recover", i, "so many more do not lead there");
    if (had && !w->recovered && w->epoch == r->epochs[i] && w->offset - r->offsets[i] <= 100)
        anomaly(r, "recover", i, "not recovered, and the ring is full of it");
    if (!had || !w->recovered) r->offsets[i] = w->offset;
    if (had && w->recovered && w->replay) did(r->scene, DID_RING);
    if (had && w->recovered && w->replay >= 100) did(r->scene, DID_RING_FULL);
    r->epochs[i] = w->epoch;
    r->promised[i] = w->offset;
}

static void take_message(rings *r, const frame *w) {
    uint32_t i = w->channel;
    if (i == RINGS || !r->in[i]) {
        anomaly(r, "late", i % RINGS, "a message of a channel it is not in");
        return;
    }
    if (w->offset != r->offsets[i] + 1)
        anomaly(r, w->offset <= r->offsets[i] ? "duplicate" : "silent-gap", i, "out of order");
    if (w->n != w->offset) anomaly(r, "inconsistent-offsets", i, "another one stands there");
    if (w->replays != (w->offset <= r->promised[i])) anomaly(r, "interleaved", i, "new or old");
    r->offsets[i] = w->offset;
}

static void take(rings *r, const ln_json_value *top) {
    frame w = frame_of(top);
    r->scene->events++;
    if (strcmp(w.type, "welcome") == 0)
        r->welcomed = true;
    else if (strcmp(w.type, "ok") == 0)
        take_joined(r, &w);
    else if (strcmp(w.type, "message") == 0)
        take_message(r, &w);
    else if (strcmp(w.type, "error") == 0)
        history_anomaly(r->scene->h, "answer", "the reader of rings: %.*s",
            (int)(top->raw.size < 200 ? top->raw.size : 200), (const char *)top->raw.data);
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    rings *r = linnet_conn_user(conn);
    ln_json_value top, key, item;
    if (opcode != LINNET_TEXT || ln_json_check_long(data, KEYS_MAX, &top) < 0 ||
        r->state != RINGS_IN) {
        anomaly(r, "answer", 0, "no JSON, or too late");
    } else if (top.kind == LN_JSON_ARRAY) {
        ln_json_iter it = ln_json_iter_of(&top);
        while (ln_json_next(&it, &key, &item))
            take(r, &item);
    } else {
        take(r, &top);
    }
}

static void on_open(linnet_conn *conn) {
    rings *r = linnet_conn_user(conn);
    r->state = RINGS_IN;
    r->conn = conn;
    r->tries = 0;
    linnet_timer_set(r->timer, 1);
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    (void)reason;
    rings *r = linnet_conn_user(conn);
    r->code = code;
    bool fine = code == 1000 || code == 1006 || code == 1012 || code == 3008 || code == 3010;
    if (r->state != RINGS_IN || !fine)
        history_anomaly(r->scene->h, "answer", "the reader of rings is closed with %u, %s", code,
            linnet_strerror(err));
    over(r);
}

static void on_fail(void *user, int err, int status, const char *words) {
    (void)err;
    (void)status;
    (void)words;
    over(user);
}

/* -- speaking ------------------------------------------------------------------------------------
 */

static void dial(rings *r) {
    static const char *const protocols[] = { "linnet.v1", NULL };
    char url[1200];
    int n = snprintf(url, sizeof url, "ws://127.0.0.1:%u/ws", CLIENT_PORT);
    if (plan_has(r->scene->plan, PLAN_LOGIN)) {
        char token[LINNET_TOKEN_MAX + 1];
        identity who = { .good = true, .until = law_now_s(r->scene->law) + 7200 };
        law_token(r->scene->law, USERS, &who, SEATS, token);
        snprintf(url + n, sizeof url - (size_t)n, "?token=%.1100s", token);
    }
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    o.url = url;
    o.subprotocols = protocols;
    o.events = (linnet_conn_events){
        .on_open = on_open, .on_message = on_message, .on_close = on_close
    };
    o.on_fail = on_fail;
    o.user = r;
    o.timeout_ms = 5000;
    o.limits = r->scene->plan->limits;
    o.limits.deflate = below(r, 2) ? LINNET_DEFLATE_SHARED : LINNET_DEFLATE_OFF;
    r->state = RINGS_DIALING;
    if (linnet_client_dial(r->loop, &o, &r->id) < 0) over(r);
}

static int put_subscribe(const rings *r, uint32_t i, char *out, size_t size) {
    char epoch[17] = "";
    ln_native_epoch_put(r->epochs[i], epoch);
    int n = snprintf(out, size, "{\"type\":\"subscribe\",\"id\":%u,\"channel\":\"q:%u\"", i + 1, i);
    if (r->epochs[i])
        n += snprintf(out + n, size - (size_t)n, ",\"recover\":{\"epoch\":\"%s\",\"offset\":%llu}",
            epoch, (unsigned long long)r->offsets[i]);
    return n + snprintf(out + n, size - (size_t)n, "}");
}

/* As many as a frame may have, all at once. */
static void join_all(rings *r) {
    static char text[AT_ONCE * 200];
    for (uint32_t i = 0; i < RINGS; i += AT_ONCE) {
        size_t n = 0;
        for (uint32_t k = i; k < i + AT_ONCE; k++) {
            text[n++] = k == i ? '[' : ',';
            n += (size_t)put_subscribe(r, k, text + n, sizeof text - n);
            r->asked[k] = true;
        }
        text[n++] = ']';
        linnet_conn_send(r->conn, LINNET_TEXT, ln_slice_of(text, n));
    }
}

void rings_nudge(void *ctx) {
    rings *r = ctx;
    bool leaving = r->scene->mood == LEAVING;
    if (r->state == RINGS_OUT) {
        if (!leaving) dial(r);
        return;
    }
    if (leaving)
        linnet_loop_close(r->loop, r->id, 1000, NULL);
    else if (r->state == RINGS_IN && r->welcomed && !r->asked[0])
        join_all(r);
    linnet_timer_set(r->timer, leaving ? 3000 : 200);
}

static void on_tick(linnet_timer *timer, void *ctx) {
    (void)timer;
    rings_nudge(ctx);
}

void rings_start(rings *r, scene *s, linnet_loop *loop) {
    r->scene = s;
    r->loop = loop;
    if (linnet_timer_new(loop, on_tick, r, &r->timer) < 0) abort();
    linnet_timer_set(r->timer, 1);
}

void rings_began(rings *r, linnet_hub *hub) {
    r->hub = hub;
    r->said = 0;
}

void rings_ended(rings *r) {
    r->hub = NULL;
}

/* One more in every channel. */
static void publish(rings *r) {
    char name[8], data[24];
    r->said++;
    for (uint32_t i = 0; i < RINGS; i++) {
        linnet_publication said = LINNET_PUBLICATION_INIT;
        snprintf(name, sizeof name, "q:%u", i);
        snprintf(data, sizeof data, "{\"n\":%u}", r->said);
        said.channel = linnet_str(name);
        said.data = linnet_str(data);
        int err = linnet_hub_publish(r->hub, &said);
        if (err < 0) anomaly(r, "stuck", i, linnet_strerror(err));
    }
}

static void cut(void *ctx) {
    rings *r = ctx;
    if (r->conn) linnet_conn_terminate(r->conn);
}

void rings_act(rings *r) {
    if (!r->hub || r->scene->mood != WILD) return;
    if (r->joined == RINGS && r->cuts < 2 && below(r, 4) == 0) {
        r->cuts++;
        linnet_loop_post(r->loop, cut, r);
        for (uint32_t i = 0; i < r->scene->plan->ring; i++)
            publish(r);
    } else if (below(r, 20) == 0 && r->said < 12) {
        publish(r);
    }
}

/* A node that came in between has said nothing yet. */
bool rings_settled(const rings *r) {
    if (!r->scene) return true;
    if (r->joined != RINGS) return false;
    for (uint32_t i = 0; i < RINGS; i++)
        if (r->offsets[i] != r->said) return false;
    return true;
}

void rings_describe(const rings *r, char *out, size_t size) {
    uint64_t most = 0, least = UINT64_MAX;
    for (uint32_t i = 0; i < RINGS; i++) {
        if (r->offsets[i] > most) most = r->offsets[i];
        if (r->offsets[i] < least) least = r->offsets[i];
    }
    snprintf(out, size,
        "the reader of rings, state %d: in %u, at %llu to %llu of %u, closed with %u", r->state,
        r->joined, (unsigned long long)least, (unsigned long long)most, r->said, r->code);
}

void rings_end(rings *r) {
    if (r->scene && r->state != RINGS_OUT)
        anomaly(r, "late-callback", 0, "neither closed nor failed");
}
