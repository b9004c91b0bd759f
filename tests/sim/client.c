#include "client.h"
#include "base/json.h"
#include "conn/inner.h"
#include "lib/inner.h"
#include "wire/native.h"
#include <stdio.h>
#include <stdlib.h>

static uint32_t below(const client *c, uint32_t n) {
    return ln_simnet_below(c->scene->net, n);
}

static void anomaly(const client *c, const char *name, const char *words) {
    history_anomaly(c->scene->h, name, "client %u: %s", c->number, words);
}

/* -- payloads --------------------------------------------------------------------------------- */

size_t client_payload(uint32_t key, uint32_t max, char *out) {
    uint32_t dice = key * 2654435761u;
    size_t size = dice >> 24 < 200 ? dice % 150 : dice >> 24 < 250 ? dice % 4000 : dice % 50000;
    if (size > max) size = max;
    size_t n = (size_t)snprintf(out, 32, "{\"k\":%u,\"t\":\"", key);
    for (size_t i = 0; i < size; i++) {
        if ((dice + i) % 17)
            out[n++] = (char)('a' + (dice + i) % 26);
        else
            out[n++] = (char)0xc3, out[n++] = (char)0xa9;
    }
    memcpy(out + n, "\"}", 2);
    return n + 2;
}

uint32_t client_key(const ln_json_value *data) {
    uint64_t key = 0;
    if (data->kind != LN_JSON_OBJECT) return 0;
    ln_json_iter it = ln_json_iter_of(data);
    ln_json_value name, value;
    if (!ln_json_next(&it, &name, &value) || !ln_json_uint(&value, &key)) return 0;
    return key < UINT32_MAX ? (uint32_t)key : 0;
}

/* -- asking ----------------------------------------------------------------------------------- */

static uint32_t ask(attempt *a, request what, uint32_t channel, uint32_t key) {
    asked *q = &a->asked[a->asked_count++];
    *q = (asked){ .what = what, .id = ++a->requests, .channel = channel, .key = key };
    return q->id;
}

static bool may_ask(const attempt *a) {
    return a->state == OPEN && a->welcomed && !a->rest && a->asked_count < CLIENT_ASKED;
}

static void say(attempt *a, const char *text, size_t size) {
    linnet_conn_send(a->conn, LINNET_TEXT, ln_slice_of(text, size));
}

static void join(attempt *a, uint32_t channel) {
    if (!may_ask(a) || a->talks[channel] != OUT) return;
    char text[200], epoch[17] = "";
    history_seat *seen = &a->client->seen[channel];
    bool recover = seen->epoch && below(a->client, 5);
    uint32_t id = ask(a, ASK_SUBSCRIBE, channel, recover);
    int n = snprintf(
        text, sizeof text, "{\"type\":\"subscribe\",\"id\":%u,\"channel\":\"c%u\"", id, channel);
    ln_native_epoch_put(seen->epoch, epoch);
    if (recover)
        n += snprintf(text + n, sizeof text - (size_t)n,
            ",\"recover\":{\"epoch\":\"%s\",\"offset\":%llu}", epoch,
            (unsigned long long)seen->offset);
    text[n++] = '}';
    a->talks[channel] = ASKED;
    a->seats[channel] = (history_seat){
        .client = a->client->number, .life = a->life, .channel = channel
    };
    say(a, text, (size_t)n);
}

static void part(attempt *a, uint32_t channel) {
    if (!may_ask(a) || a->talks[channel] != IN) return;
    char text[128];
    uint32_t id = ask(a, ASK_UNSUBSCRIBE, channel, 0);
    int n = snprintf(
        text, sizeof text, "{\"type\":\"unsubscribe\",\"id\":%u,\"channel\":\"c%u\"}", id, channel);
    a->talks[channel] = PARTING;
    say(a, text, (size_t)n);
}

/* The oldest or the newest of a channel. */
static void read_history(attempt *a, uint32_t channel) {
    if (!may_ask(a)) return;
    char text[160];
    uint32_t id = ask(a, ASK_HISTORY, channel, below(a->client, 2));
    int n = snprintf(text, sizeof text,
        "{\"type\":\"history\",\"id\":%u,\"channel\":\"c%u\",\"limit\":%u,\"reverse\":%s}", id,
        channel, below(a->client, 120), a->asked[a->asked_count - 1].key ? "true" : "false");
    say(a, text, (size_t)n);
}

static void ping(attempt *a) {
    if (!may_ask(a)) return;
    char text[64];
    int n = snprintf(text, sizeof text, "{\"type\":\"ping\",\"id\":%u}", ask(a, ASK_PING, 0, 0));
    say(a, text, (size_t)n);
}

/* Two thirds of a pending message at a time, cut anywhere. */
static void go_on(attempt *a) {
    size_t left = a->rest_size - a->rest_at, n = left > 3 ? 1 + left * 2 / 3 : left;
    int err = linnet_conn_send_fragment(a->conn, a->rest_at ? LINNET_CONTINUATION : LINNET_TEXT,
        n == left, ln_slice_of(a->rest + a->rest_at, n));
    a->rest_at += n;
    if (err == LINNET_OK && n < left) return;
    free(a->rest);
    a->rest = NULL;
}

static void publish(attempt *a, uint32_t channel, bool fancy) {
    if (!may_ask(a)) return;
    client *c = a->client;
    history_saying what = { .client = c->number,
        .session = a->session,
        .life = a->life,
        .channel = channel,
        .quiet = fancy && below(c, 5) == 0,
        .is_volatile = fancy && below(c, 8) == 0 };
    uint32_t key = history_said(c->scene->h, &what), id = ask(a, ASK_PUBLISH, channel, key);
    char *text = malloc(CLIENT_PAYLOAD);
    if (!text) abort();
    size_t n = (size_t)snprintf(text, 160,
        "{\"type\":\"publish\",\"id\":%u,\"channel\":\"c%u\"%s%s,\"data\":", id, channel,
        what.quiet ? ",\"echo\":false" : "", what.is_volatile ? ",\"volatile\":true" : "");
    n += client_payload(key, c->scene->payload_max, text + n);
    text[n++] = '}';
    if (fancy && below(c, 6) == 0) {
        a->rest = text;
        a->rest_size = n;
        a->rest_at = 0;
        go_on(a);
        return;
    }
    say(a, text, n);
    free(text);
}

/* -- hearing ---------------------------------------------------------------------------------- */

typedef struct frame {
    ln_json_value type, re, channel, data, offset, epoch, count, node, recovered, replay, messages;
} frame;

static void frame_of(const ln_json_value *top, frame *f) {
    static const struct {
        const char *name;
        size_t at;
    } keys[] = { { "type", offsetof(frame, type) }, { "re", offsetof(frame, re) },
        { "channel", offsetof(frame, channel) }, { "data", offsetof(frame, data) },
        { "offset", offsetof(frame, offset) }, { "epoch", offsetof(frame, epoch) },
        { "count", offsetof(frame, count) }, { "node", offsetof(frame, node) },
        { "recovered", offsetof(frame, recovered) }, { "replay", offsetof(frame, replay) },
        { "messages", offsetof(frame, messages) } };
    *f = (frame){ 0 };
    ln_json_iter it = ln_json_iter_of(top);
    ln_json_value name, value;
    while (ln_json_next(&it, &name, &value))
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
            if (ln_json_is(&name, ln_slice_str(keys[i].name)))
                memcpy((char *)f + keys[i].at, &value, sizeof value);
}

static uint64_t number_of(const ln_json_value *v) {
    uint64_t n = 0;
    return v->kind == LN_JSON_NUMBER && ln_json_uint(v, &n) ? n : 0;
}

static uint64_t epoch_of(const frame *f) {
    uint64_t epoch = 0;
    return ln_native_epoch_get(f->epoch.text, &epoch) ? epoch : 0;
}

static bool is(const ln_json_value *v, const char *word) {
    return v->kind == LN_JSON_STRING && ln_json_is(v, ln_slice_str(word));
}

/* The request that this answers; each has one answer. */
static asked answered(attempt *a, const frame *f) {
    uint64_t id = number_of(&f->re);
    for (uint32_t i = 0; i < a->asked_count; i++) {
        if (a->asked[i].id != id) continue;
        asked q = a->asked[i];
        a->asked[i] = a->asked[--a->asked_count];
        return q;
    }
    anomaly(a->client, "answer", "an answer to nothing it asked, or a second one");
    return (asked){ 0 };
}

/* Whether what it missed is kept for certain: it is little, and young. */
static bool surely_kept(const client *c, uint32_t channel, uint64_t head) {
    uint32_t count = c->scene->history_count ? c->scene->history_count : 100;
    return c->scene->payload_max <= 400 && head - c->seen[channel].offset <= count &&
           ln_simnet_now(c->scene->net) - c->seen_at[channel] < 290000;
}

/* I6: recovered says that the replay, and then what is new, leave no gap; and that is not denied
 * without need. */
static void take_joined(attempt *a, const frame *f, const asked *q) {
    client *c = a->client;
    history_seat *seen = &c->seen[q->channel], *seat = &a->seats[q->channel];
    uint64_t epoch = epoch_of(f), offset = number_of(&f->offset);
    bool recovered = f->recovered.kind == LN_JSON_BOOL && f->recovered.boolean;
    if ((f->recovered.kind == LN_JSON_BOOL) != (q->key != 0))
        anomaly(c, "recover", "an answer to what was not asked, or none");
    else if (q->key && !recovered && seen->epoch == epoch && seen->offset <= offset &&
             surely_kept(c, q->channel, offset))
        anomaly(c, "recover", "not recovered, for nothing");
    a->talks[q->channel] = IN;
    if (recovered) {
        seat->epoch = seen->epoch;
        seat->offset = seen->offset;
        history_recovered(c->scene->h, seat, epoch, offset, number_of(&f->replay));
        c->scene->recovered++;
    } else {
        history_joined(c->scene->h, seat, epoch, offset);
    }
    *seen = *seat;
    c->seen_at[q->channel] = ln_simnet_now(c->scene->net);
}

/* I4, I5: what is read is what was heard, without a hole. */
static void take_history(attempt *a, const frame *f, const asked *q) {
    client *c = a->client;
    history_seat where = { .client = c->number, .life = a->life, .channel = q->channel };
    ln_json_iter it = ln_json_iter_of(&f->messages);
    ln_json_value key, item;
    uint64_t last = 0;
    while (ln_json_next(&it, &key, &item)) {
        frame m;
        frame_of(&item, &m);
        uint64_t offset = number_of(&m.offset), next = q->key ? last - 1 : last + 1;
        if (last && offset != next) anomaly(c, "silent-gap", "a page of history has a hole");
        last = offset;
        history_read(c->scene->h, &where, epoch_of(f), client_key(&m.data), offset);
        c->scene->read++;
    }
}

static void take_ok(attempt *a, const frame *f) {
    history *h = a->client->scene->h;
    asked q = answered(a, f);
    switch (q.what) {
    case ASK_NOTHING: return;
    case ASK_SUBSCRIBE: take_joined(a, f, &q); return;
    case ASK_UNSUBSCRIBE:
        a->talks[q.channel] = OUT;
        a->seats[q.channel].joined = false;
        return;
    case ASK_PUBLISH: history_acked(h, q.key, epoch_of(f), number_of(&f->offset)); return;
    case ASK_PING: anomaly(a->client, "answer", "ok to a ping"); return;
    case ASK_HISTORY: take_history(a, f, &q); return;
    }
}

static void take_error(attempt *a, const frame *f, ln_slice text) {
    asked q = answered(a, f);
    if (q.what == ASK_PUBLISH)
        history_refused(a->client->scene->h, q.key);
    else
        history_anomaly(a->client->scene->h, "answer", "client %u: %.*s", a->client->number,
            (int)(text.size < 150 ? text.size : 150), (const char *)text.data);
}

static history_seat *seat_of(attempt *a, const frame *f) {
    uint64_t channel;
    ln_slice name = f->channel.text;
    if (name.size != 2 || name.data[0] != 'c' || (channel = name.data[1] - (unsigned)'0') > 7) {
        anomaly(a->client, "phantom", "a channel that there is not");
        return NULL;
    }
    return &a->seats[channel];
}

/* First all of the replay, which says so of itself, then all that is new. */
static void check_replay(attempt *a, const frame *f, const history_seat *seat) {
    bool replay = f->replay.kind == LN_JSON_BOOL && f->replay.boolean;
    if (seat->joined && replay != (seat->offset < seat->replay_to))
        anomaly(a->client, "interleaved", replay ? "a replay behind its end" : "news before it");
    a->client->scene->replayed += replay;
}

static void take_message(attempt *a, const frame *f) {
    static char expected[CLIENT_PAYLOAD]; /* one thread, one call at a time */
    client *c = a->client;
    history_seat *seat = seat_of(a, f);
    uint32_t key = client_key(&f->data);
    if (!seat) return;
    c->scene->heard++;
    seat->client = c->number; /* also where it never joined */
    seat->life = a->life;
    seat->channel = (uint32_t)(seat - a->seats);
    check_replay(a, f, seat);
    history_heard(c->scene->h, seat, a->session, key, number_of(&f->offset));
    if (seat->joined) {
        c->seen[seat->channel] = *seat;
        c->seen_at[seat->channel] = ln_simnet_now(c->scene->net);
    }
    if (!history_of(c->scene->h, key)) return;
    size_t size = client_payload(key, c->scene->payload_max, expected);
    if (!ln_slice_eq(f->data.raw, ln_slice_of(expected, size)))
        anomaly(c, "phantom", "a publication came changed");
}

static void take_skip(attempt *a, const frame *f) {
    history_seat *seat = seat_of(a, f);
    if (seat)
        history_skipped(
            a->client->scene->h, seat, a->session, number_of(&f->offset), number_of(&f->count));
}

uint32_t client_life(scene *s, ln_slice name) {
    uint32_t i = 0;
    while (i < s->life_count && !ln_slice_eq(name, ln_slice_str(s->lives[i])))
        i++;
    if (i == s->life_count && i < 16 && name.size == 16) {
        memcpy(s->lives[i], name.data, 16);
        s->life_count++;
    }
    return i;
}

static void take(attempt *a, ln_slice text) {
    ln_json_value top;
    frame f;
    if (ln_json_check(text, &top) < 0 || top.kind != LN_JSON_OBJECT) {
        anomaly(a->client, "answer", "a message that is no JSON object");
        return;
    }
    frame_of(&top, &f);
    if (a->welcomed == is(&f.type, "welcome"))
        anomaly(a->client, "answer", "welcome is the first word, and only the first");
    if (!a->welcomed) a->life = client_life(a->client->scene, f.node.text);
    a->welcomed = true;
    if (is(&f.type, "message"))
        take_message(a, &f);
    else if (is(&f.type, "ok"))
        take_ok(a, &f);
    else if (is(&f.type, "error"))
        take_error(a, &f, text);
    else if (is(&f.type, "skip"))
        take_skip(a, &f);
    else if (is(&f.type, "pong"))
        answered(a, &f);
    else if (is(&f.type, "ping"))
        say(a, "{\"type\":\"pong\"}", 15);
    else if (!is(&f.type, "welcome") && !is(&f.type, "goaway"))
        anomaly(a->client, "epoch-lie", "unsubscribed, or a word that is not in the protocol");
}

/* -- what the library calls -------------------------------------------------------------------- */

static attempt *called(linnet_conn *conn, const char *event) {
    attempt *a = linnet_conn_user(conn);
    if (a->state != OPEN || a->conn != conn || a->client->now != a)
        history_anomaly(a->client->scene->h, "late-callback", "client %u: %s of session %u",
            a->client->number, event, a->session);
    return a;
}

static void on_open(linnet_conn *conn) {
    attempt *a = linnet_conn_user(conn);
    if (a->state != DIALING || a->client->now != a)
        anomaly(a->client, "late-callback", "a second open, or one after the end");
    a->state = OPEN;
    a->conn = conn;
    a->client->tries = 0;
    a->client->scene->opens++;
    linnet_timer_set(a->client->timer, 1 + below(a->client, 20));
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    attempt *a = called(conn, "message");
    if (opcode != LINNET_TEXT) anomaly(a->client, "answer", "a binary message");
    take(a, data);
}

static void on_drain(linnet_conn *conn) {
    called(conn, "drain");
}

static void on_pong(linnet_conn *conn, linnet_slice payload_, uint32_t rtt_ms) {
    (void)payload_;
    (void)rtt_ms;
    called(conn, "pong");
}

/* Ever longer, with jitter: what a reconnecting client does. */
static void dial_later(client *c) {
    if (c->scene->mood == LEAVING) return;
    uint32_t most = 50u << (c->tries < 6 ? c->tries : 6);
    c->tries++;
    linnet_timer_set(c->timer, most / 2 + below(c, most));
}

static void over(attempt *a) {
    a->state = OVER;
    a->conn = NULL;
    free(a->rest);
    a->rest = NULL;
    a->client->now = NULL;
    dial_later(a->client);
}

static bool code_known(const attempt *a, uint16_t code, int err) {
    if (err && ln_err_close_code(err) < 1008 && code != 1006) return false;
    if (code == 1006 || code == 1012 || code == 3008 || code == 3010) return true;
    if (a->rude) return code >= 1002 && code <= 1009;
    return code == 1000 || code == 4000;
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    (void)reason;
    attempt *a = called(conn, "close");
    if (!code_known(a, code, err))
        history_anomaly(a->client->scene->h, "answer", "client %u, %s, is closed with %u, %s",
            a->client->number, a->rude ? "which broke the rules" : "which kept the rules", code,
            linnet_strerror(err));
    a->client->scene->closes++;
    over(a);
}

static void on_fail(void *user, int err, int status, const char *words) {
    (void)words;
    attempt *a = user;
    if (a->state != DIALING || a->client->now != a)
        anomaly(a->client, "late-callback", "a failure to open of what was open, or over");
    if (status && status != 503)
        history_anomaly(a->client->scene->h, "answer", "client %u is refused with %d",
            a->client->number, status);
    if (err == LINNET_OK) anomaly(a->client, "late-callback", "failed without an error");
    a->client->scene->fails++;
    over(a);
}

static void dial(client *c) {
    static const char *const protocols[] = { "linnet.v1", NULL };
    uint32_t node = below(c, 2);
    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/ws", CLIENT_PORT + node);
    attempt *a = calloc(1, sizeof *a);
    if (!a) abort();
    *a = (attempt){ .older = c->history, .client = c, .session = c->scene->sessions++ };
    c->history = c->now = a;
    linnet_timer_set(c->timer, 400);
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    o.url = url;
    o.subprotocols = protocols;
    o.events = (linnet_conn_events){ on_open, on_message, on_drain, on_pong, on_close };
    o.on_fail = on_fail;
    o.user = a;
    o.timeout_ms = 3000;
    o.limits = c->scene->limits;
    uint32_t dice = below(c, 10);
    if (dice < 3) o.limits.deflate = dice ? LINNET_DEFLATE_SHARED : LINNET_DEFLATE_TAKEOVER;
    o.limits.deflate_threshold = 64;
    int err = linnet_client_dial(c->loop, &o, &a->id);
    if (err < 0) {
        history_anomaly(c->scene->h, "stuck", "dial: %s", linnet_strerror(err));
        over(a);
    }
}

/* -- what it does ----------------------------------------------------------------------------- */

/* Things that no good client sends. Each is the end of the connection. */
static void be_rude(attempt *a) {
    static const ln_slice rows[] = {
        LN_SLICE_INIT("\x81\x05hello"),                /* not masked */
        LN_SLICE_INIT("\xc3\x85zzzzabcde"),            /* a reserved opcode and bit */
        LN_SLICE_INIT("\x89\xfe\x00\x7ezzzz"),         /* a long ping */
        LN_SLICE_INIT("\x81\x82\0\0\0\0\xc0\x80"),     /* not UTF-8 */
        LN_SLICE_INIT("\x80\x81\0\0\0\0x"),            /* continues nothing */
        LN_SLICE_INIT("\x88\x82\0\0\0\0\x03\xed"),     /* closes with 1005 */
        LN_SLICE_INIT("\x81\xff\0\1\0\0\0\0\0\0zzzz"), /* 2^48 bytes */
        LN_SLICE_INIT("\x82\x84\0\0\0\0\1\2\3\4"),     /* binary */
    };
    if (a->rest || a->conn->c.state != LN_CONN_WS) return;
    a->rude = true;
    a->client->scene->rude++;
    ln_send_wire(&a->conn->c, rows[below(a->client, sizeof rows / sizeof rows[0])]);
}

/* Several commands in one frame: pings around a publication. */
static void batch(attempt *a) {
    client *c = a->client;
    if (!may_ask(a) || a->asked_count + 3 > CLIENT_ASKED) return;
    history_saying what = {
        .client = c->number, .session = a->session, .life = a->life, .channel = below(c, 8)
    };
    uint32_t key = history_said(c->scene->h, &what), first = ask(a, ASK_PING, 0, 0);
    uint32_t id = ask(a, ASK_PUBLISH, what.channel, key), last = ask(a, ASK_PING, 0, 0);
    char *text = malloc(CLIENT_PAYLOAD);
    if (!text) abort();
    size_t n = (size_t)snprintf(text, 200,
        "[{\"type\":\"ping\",\"id\":%u},"
        "{\"type\":\"publish\",\"id\":%u,\"channel\":\"c%u\",\"data\":",
        first, id, what.channel);
    n += client_payload(key, c->scene->payload_max, text + n);
    n += (size_t)snprintf(text + n, 60, "},{\"type\":\"ping\",\"id\":%u}]", last);
    say(a, text, n);
    free(text);
}

static void ws_ping(attempt *a) {
    char text[120];
    memset(text, 'p', sizeof text);
    linnet_conn_ping(a->conn, ln_slice_of(text, 1 + below(a->client, sizeof text)));
}

static void be_wild(attempt *a) {
    client *c = a->client;
    uint32_t channel = below(c, HISTORY_CHANNELS), dice = below(c, 100);
    if (a->paused) {
        a->paused = false;
        linnet_conn_resume(a->conn);
    }
    if (a->rude) return;
    if (dice < 34) {
        join(a, channel);
    } else if (dice < 66) {
        for (uint32_t n = 1 + (below(c, 4) == 0) * below(c, 6); n; n--)
            publish(a, channel, true);
    } else if (dice < 72) {
        part(a, channel);
    } else if (dice < 74) {
        ping(a);
    } else if (dice < 75) {
        read_history(a, channel);
    } else if (dice < 78) {
        batch(a);
    } else if (dice < 84) {
        ws_ping(a);
    } else if (dice < 90) {
        a->paused = true;
        linnet_conn_pause(a->conn);
    } else if (dice < 92) {
        be_rude(a);
    } else if (dice < 95) {
        linnet_conn_close(a->conn, 1000, "enough");
    } else if (dice < 97) {
        linnet_loop_close(c->loop, a->id, 4000, "from outside");
    } else if (dice < 98) {
        linnet_conn_terminate(a->conn);
    } else {
        read_history(a, channel);
    }
}

static void be_calm(attempt *a) {
    if (a->paused) {
        a->paused = false;
        linnet_conn_resume(a->conn);
    }
    for (uint32_t i = 0; i < HISTORY_CHANNELS && !a->rude; i++) {
        bool wanted = a->client->wanted >> i & 1;
        if (wanted) join(a, i);
        if (!wanted) part(a, i);
    }
}

static uint32_t next_tick(const client *c) {
    if (c->scene->mood == WILD) return 1 + below(c, 500);
    return client_settled(c) ? 5000 : 200;
}

void client_nudge(void *ctx) {
    client *c = ctx;
    attempt *a = c->now;
    if (!a) {
        if (c->scene->mood != LEAVING) dial(c);
        return;
    }
    if (a->state == DIALING) {
        if (c->scene->mood == LEAVING || below(c, 40) == 0)
            linnet_loop_close(c->loop, a->id, 0, NULL); /* changes its mind */
        else
            linnet_timer_set(c->timer, 500);
        return;
    }
    if (a->rest)
        go_on(a);
    else if (c->scene->mood == WILD)
        be_wild(a);
    else if (c->scene->mood == CALM)
        be_calm(a);
    else
        linnet_conn_close(a->conn, 1000, NULL);
    linnet_timer_set(c->timer, next_tick(c)); /* the close of this connection comes later */
}

static void on_tick(linnet_timer *timer, void *ctx) {
    (void)timer;
    client_nudge(ctx);
}

void client_start(client *c, scene *s, linnet_loop *loop, uint32_t number) {
    *c = (client){ .scene = s, .loop = loop, .number = number };
    for (int i = 0; i < 3; i++)
        c->wanted |= 1u << below(c, HISTORY_CHANNELS);
    if (linnet_timer_new(loop, on_tick, c, &c->timer) < 0) abort();
    linnet_timer_set(c->timer, 1 + below(c, 300));
}

void client_speak(void *ctx) {
    client *c = ctx;
    if (!c->now || c->now->state != OPEN) return;
    publish(c->now, (uint32_t)__builtin_ctz(c->wanted), false);
}

bool client_settled(const client *c) {
    const attempt *a = c->now;
    if (!a || a->state != OPEN || a->rude || a->rest || a->asked_count) return false;
    for (uint32_t i = 0; i < HISTORY_CHANNELS; i++) {
        bool wanted = c->wanted >> i & 1;
        if (a->talks[i] != (wanted ? IN : OUT)) return false;
        if (wanted && !history_level(c->scene->h, &a->seats[i], a->session)) return false;
    }
    return true;
}

void client_describe(const client *c, char *out, size_t size) {
    const attempt *a = c->now;
    if (!a || a->state != OPEN) {
        snprintf(out, size, "client %u is not connected, try %u", c->number, c->tries);
        return;
    }
    int n = snprintf(out, size, "client %u, session %u, life %u: %u unanswered%s,", c->number,
        a->session, a->life, a->asked_count, a->rude ? ", rude" : "");
    for (uint32_t i = 0; i < HISTORY_CHANNELS && (size_t)n < size; i++)
        if (a->talks[i] != OUT)
            n += snprintf(out + n, size - (size_t)n, " c%u%s at %llu%s", i,
                a->talks[i] == IN ? "" : "?", (unsigned long long)a->seats[i].offset,
                history_level(c->scene->h, &a->seats[i], a->session) ? "" : " (behind)");
}

void client_end(client *c) {
    for (attempt *a = c->history, *older; a; a = older) {
        older = a->older;
        if (a->state == OPEN) anomaly(c, "late-callback", "no close came for an open");
        if (a->state == DIALING) anomaly(c, "late-callback", "neither open nor failure");
        free(a->rest);
        free(a);
    }
    c->history = c->now = NULL;
}
