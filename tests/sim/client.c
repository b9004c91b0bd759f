#include "client.h"
#include "conn/inner.h"
#include "law.h"
#include "lib/inner.h"
#include "wire/bytes.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static uint32_t below(const client *c, uint32_t n) {
    return ln_simnet_below(c->scene->net, n);
}

static bool has(const client *c, int kind) {
    return plan_has(c->scene->plan, kind);
}

void client_anomaly(const client *c, const char *name, const char *format, ...) {
    char words[200];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    history_anomaly(c->scene->h, name, "client %u: %s", c->number, words);
}

void client_trace(const attempt *a, const char *what, ln_slice text) {
    const scene *s = a->client->scene;
    if (!s->plan->traced) return;
    printf("%llu client %u, session %u, life %u %s %.*s\n",
        (unsigned long long)ln_simnet_now(s->net), a->client->number, a->session, a->life, what,
        (int)(text.size < 300 ? text.size : 300), (const char *)text.data);
}

uint32_t client_life(scene *s, ln_slice name) {
    uint32_t i = 0;
    while (i < s->life_count && !ln_slice_eq(name, ln_slice_str(s->lives[i])))
        i++;
    if (i == s->life_count && i < LIVES && name.size == 16) {
        memcpy(s->lives[i], name.data, 16);
        s->life_count++;
    }
    return i;
}

/* -- what the library calls -------------------------------------------------------------------- */

static attempt *called(linnet_conn *conn, const char *event) {
    attempt *a = linnet_conn_user(conn);
    if (a->state != OPEN || a->conn != conn || a->client->now != a)
        client_anomaly(a->client, "late-callback", "%s of session %u", event, a->session);
    return a;
}

static void on_open(linnet_conn *conn) {
    attempt *a = linnet_conn_user(conn);
    if (a->state != DIALING || a->client->now != a)
        client_anomaly(a->client, "late-callback", "a second open, or one after the end");
    a->state = OPEN;
    a->conn = conn;
    a->client->tries = 0;
    a->client->scene->events++;
    did(a->client->scene, DID_OPEN);
    linnet_timer_set(a->client->timer, 1 + below(a->client, 20));
}

/* As the text that it would have been. */
static void hear_binary(attempt *a, ln_slice message) {
    ln_buf text;
    const char *why;
    ln_buf_init(&text, LN_BUF_MAX);
    if (!a->bin || ln_bytes_command(message, &text, &why) < 0)
        client_anomaly(a->client, "answer", "a binary message that is none of ours");
    else
        client_hears(a, ln_buf_slice(&text));
    ln_buf_fini(&text);
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    attempt *a = called(conn, "message");
    a->binary = opcode != LINNET_TEXT;
    if (a->binary)
        hear_binary(a, data);
    else
        client_hears(a, data);
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
    back_left(a);
    numbers_left(a);
    for (uint32_t i = 0; i < SEATS; i++)
        crowd_fini(&a->places[i].crowd);
    a->client->now = NULL;
    a->client->scene->events++;
    dial_later(a->client);
}

static bool token_over(const attempt *a) {
    const law *l = a->client->scene->law;
    return a->identity.known && law_now_s(l) >= a->identity.until + LAW_GRACE_S;
}

static bool code_known(const attempt *a, uint16_t code, int err) {
    bool bad = a->offered.known && !a->offered.good;
    for (uint32_t i = 0; i < a->asked_count; i++)
        bad = bad || (a->asked[i].what == ASK_LOGIN && !a->asked[i].key && !a->asked[i].token);
    if (err && ln_err_close_code(err) < 1008 && code != 1006) return false;
    if (code == 1006 || code == 1012 || code == 3008 || code == 3010) return true;
    if (a->rude && code >= 1002 && code <= 1009) return true;
    if (has(a->client, PLAN_LOGIN)) {
        if (code == 3500 || (code == 3005 && !a->identity.known)) return true;
        if (code == 3002) return a->wants_token && !a->identity.known;
        if (code == 3005) return token_over(a) || a->going;
    }
    if (code == 3503) return a->kicked;
    if (code == 3500) return a->kicked; /* it was back before its ticket was revoked */
    if (code == 1005) return a->regrets;
    (void)bad;
    return code == 1000 || code == 4000;
}

static void count_close(const attempt *a, uint16_t code) {
    scene *s = a->client->scene;
    const ln_ws *ws = &a->conn->c.ws;
    did(s, DID_CLOSE);
    if (code == 1006 && (ws->in_frame || ws->head_size)) did(s, DID_CUT);
    if (code == 3008) did(s, DID_SLOW_CLOSED);
    if (code == 3005) did(s, DID_EXPIRED);
    if (code == 3503) did(s, DID_KICKED);
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    (void)reason;
    attempt *a = called(conn, "close");
    char words[32];
    snprintf(words, sizeof words, "%u%s", code, a->paused ? ", paused" : "");
    client_trace(a, "is closed with", ln_slice_str(words));
    if (!code_known(a, code, err))
        client_anomaly(a->client, "answer", "which %s the rules is closed with %u, %s",
            a->rude ? "broke" : "kept", code, linnet_strerror(err));
    if (code == 1012 && a->welcomed && !a->goaway && !a->rude && !a->going)
        client_anomaly(a->client, "drain", "closed for draining, and not told before");
    if (code == 1006 && a->goaway && !a->going && a->client->scene->soft[a->life])
        client_anomaly(a->client, "drain", "told to go, and then dropped");
    count_close(a, code);
    over(a);
}

static void on_fail(void *user, int err, int status, const char *words) {
    (void)words;
    attempt *a = user;
    bool bad = a->offered.known &&
               (!a->offered.good || law_now_s(a->client->scene->law) >= a->offered.until + 29);
    if (a->state != DIALING || a->client->now != a)
        client_anomaly(a->client, "late-callback", "a failure to open of what was open, or over");
    if (status && status != 503 && !(status == 401 && bad))
        client_anomaly(a->client, "answer", "refused with %d", status);
    if (err == LINNET_OK) client_anomaly(a->client, "late-callback", "failed without an error");
    did(a->client->scene, DID_FAIL);
    over(a);
}

/* -- dialling ---------------------------------------------------------------------------------- */

/* What it says of itself in the handshake, if anything: in the address, or in a field. */
static void offer(attempt *a, char *url, size_t size, char *field, size_t field_size) {
    client *c = a->client;
    if (!has(c, PLAN_LOGIN) || below(c, 3) == 0) return;
    bool wild = c->scene->mood == WILD;
    uint64_t now = law_now_s(c->scene->law);
    a->offered = (identity){ .known = true,
        .good = !wild || below(c, 12),
        .until = now + (wild && below(c, 3) ? below(c, 8) : 3600),
        .claims = wild ? below(c, 4) << LAW_GUARDED : 3 << LAW_GUARDED };
    if (wild && below(c, 3) == 0) a->offered.until = now - 26 + below(c, 8);
    if (!a->offered.good) did(c->scene, DID_BAD_TOKEN);
    char token[LINNET_TOKEN_MAX + 1];
    law_token(c->scene->law, c->user, &a->offered, SEATS, token);
    size_t used = strlen(url);
    if (below(c, 2))
        snprintf(url + used, size - used, "%ctoken=%.*s", a->bin ? '&' : '?',
            (int)(size - used) - 8, token);
    else
        snprintf(field, field_size, "Authorization: Bearer %.*s", (int)field_size - 23, token);
}

static attempt *attempt_new(client *c) {
    attempt *a = calloc(1, sizeof *a);
    if (!a) abort();
    a->older = c->history;
    a->client = c;
    a->chain = a->session = c->scene->sessions++;
    a->node = below(c, 2);
    c->history = c->now = a;
    return a;
}

static void dial(client *c) {
    static const char *const protocols[] = { "linnet.v1", NULL };
    char url[1200], field[1200] = "";
    attempt *a = attempt_new(c);
    a->bin = has(c, PLAN_BYTES) && below(c, 2);
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/ws%s", CLIENT_PORT + a->node,
        a->bin ? "?caps=bin" : "");
    offer(a, url, sizeof url, field, sizeof field);
    const char *const headers[] = { field, NULL };
    linnet_timer_set(c->timer, 400);
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    o.url = url;
    o.subprotocols = protocols;
    if (field[0]) o.headers = headers;
    o.events = (linnet_conn_events){ on_open, on_message, on_drain, on_pong, on_close };
    o.on_fail = on_fail;
    o.user = a;
    o.timeout_ms = 3000;
    o.limits = c->scene->plan->limits;
    uint32_t dice = below(c, 10);
    if (dice < 3) o.limits.deflate = dice ? LINNET_DEFLATE_SHARED : LINNET_DEFLATE_TAKEOVER;
    o.limits.deflate_threshold = 64;
    int err = linnet_client_dial(c->loop, &o, &a->id);
    if (err < 0) {
        client_anomaly(c, "stuck", "dial: %s", linnet_strerror(err));
        over(a);
    }
}

/* -- what it does ------------------------------------------------------------------------------ */

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
    did(a->client->scene, DID_RUDE);
    uint32_t count = sizeof rows / sizeof rows[0] - a->bin; /* who takes bytes may send some */
    ln_send_wire(&a->conn->c, rows[below(a->client, count)]);
}

static void ws_ping(attempt *a) {
    char text[120];
    memset(text, 'p', sizeof text);
    linnet_conn_ping(a->conn, ln_slice_of(text, 1 + below(a->client, sizeof text)));
}

static void pause(attempt *a) {
    if (!has(a->client, PLAN_SLOW)) return;
    a->paused = true;
    linnet_conn_pause(a->conn);
    did(a->client->scene, DID_PAUSE);
}

static void resume(attempt *a) {
    if (!a->paused) return;
    a->paused = false;
    linnet_conn_resume(a->conn);
}

static void go(attempt *a) {
    client *c = a->client;
    uint32_t dice = below(c, 6);
    a->going = true;
    if (dice < 3)
        linnet_conn_close(a->conn, 1000, "enough");
    else if (dice < 5)
        linnet_loop_close(c->loop, a->id, 4000, "from outside");
    else
        linnet_conn_terminate(a->conn);
}

static void act_with_keys(attempt *a, uint32_t seat) {
    client *c = a->client;
    bool keyed = has(c, PLAN_KEYS), presence = has(c, PLAN_PRESENCE);
    uint32_t dice = below(c, 10);
    if (keyed && dice < 5)
        say_set(a, seat);
    else if (keyed && dice < 7)
        say_typing(a, seat);
    else if (presence && dice < 9)
        say_info(a, seat);
    else if (presence)
        say_members(a, seat);
}

static void act_with_token(attempt *a) {
    client *c = a->client;
    if (!has(c, PLAN_LOGIN)) return;
    if (below(c, 2)) {
        if (below(c, 2)) say_join(a, LAW_GUARDED + below(c, 2)); /* by the token before */
        say_login(a);
        return;
    }
    for (uint32_t n = 1 + below(c, 3); n; n--)
        say_publish(a, OWN_SEAT, false);
}

static void be_wild(attempt *a) {
    client *c = a->client;
    uint32_t seat = below(c, HISTORY_CHANNELS), dice = below(c, 110);
    if (!a->rude && below(c, 2)) calls_answer(c->scene->calls, a);
    if (a->paused && below(c, 6)) {
        if (below(c, 3) == 0) say_part(a, seat); /* something of it waits still */
        return;
    }
    resume(a);
    if (a->rude) return;
    if (a->wants_token && !a->identity.known && below(c, 8)) {
        say_login(a);
    } else if (dice < 34) {
        say_join(a, seat);
    } else if (dice < 64) {
        bool counts = has(c, PLAN_NUMBERS) && below(c, 3);
        for (uint32_t n = 1 + (below(c, 4) == 0) * below(c, 6); n; n--)
            if (!counts || !numbers_say(a, seat)) say_publish(a, seat, true);
    } else if (dice < 70) {
        say_part(a, seat);
    } else if (dice < 72) {
        say_ping(a);
    } else if (dice < 75) {
        say_history(a, seat);
    } else if (dice < 78) {
        say_batch(a);
    } else if (dice < 82) {
        ws_ping(a);
    } else if (dice < 87) {
        pause(a);
    } else if (dice < 89) {
        if (has(c, PLAN_RUDE)) be_rude(a);
    } else if (dice < 92) {
        go(a);
    } else if (dice < 104) {
        act_with_keys(a, seat);
    } else {
        act_with_token(a);
    }
}

static bool wants(const client *c, uint32_t seat) {
    if (seat == OWN_SEAT) return has(c, PLAN_LOGIN);
    return c->wanted >> seat & 1;
}

/* A token that lasts and allows all it wants. */
static bool well_known(const attempt *a) {
    const client *c = a->client;
    if (!has(c, PLAN_LOGIN)) return true;
    return a->identity.known && a->identity.until > law_now_s(c->scene->law) + 600 &&
           a->identity.claims == 3 << LAW_GUARDED;
}

static void be_calm(attempt *a) {
    resume(a);
    if (a->rude) return;
    numbers_again(a);
    calls_answer(a->client->scene->calls, a);
    if (!well_known(a)) {
        say_login(a);
        return;
    }
    for (uint32_t i = 0; i < SEATS; i++) {
        if (wants(a->client, i) && a->places[i].talk == OUT) say_join(a, i);
        if (!wants(a->client, i) || a->places[i].lent) say_part(a, i);
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
        a->regrets = c->scene->mood == LEAVING || below(c, 40) == 0;
        if (a->regrets)
            linnet_loop_close(c->loop, a->id, 0, NULL); /* changes its mind */
        else
            linnet_timer_set(c->timer, 500);
        return;
    }
    if (a->rest)
        say_on(a);
    else if (c->scene->mood == WILD)
        be_wild(a);
    else if (c->scene->mood == CALM)
        be_calm(a);
    else
        a->going = linnet_conn_close(a->conn, 1000, NULL) == LINNET_OK || a->going;
    linnet_timer_set(c->timer, next_tick(c)); /* the close of this connection comes later */
}

static void on_tick(linnet_timer *timer, void *ctx) {
    (void)timer;
    client_nudge(ctx);
}

void client_start(client *c, scene *s, linnet_loop *loop, uint32_t number) {
    *c = (client){ .scene = s, .loop = loop, .number = number, .user = number % USERS };
    for (int i = 0; i < 3; i++)
        c->wanted |= 1u << below(c, HISTORY_CHANNELS);
    if (linnet_timer_new(loop, on_tick, c, &c->timer) < 0) abort();
    linnet_timer_set(c->timer, 1 + below(c, 300));
}

void client_speak(void *ctx) {
    client *c = ctx;
    if (!c->now || c->now->state != OPEN) return;
    say_publish(c->now, (uint32_t)__builtin_ctz(c->wanted), false);
}

bool client_settled(const client *c) {
    const attempt *a = c->now;
    if (!a || a->state != OPEN || a->rude || a->rest || a->asked_count) return false;
    if (!well_known(a) || a->returning || !numbers_settled(a)) return false;
    for (uint32_t i = 0; i < SEATS; i++) {
        if (a->places[i].talk != (wants(c, i) ? IN : OUT) || a->places[i].lent) return false;
        if (wants(c, i) && !history_level(c->scene->h, &a->places[i].seat, a->chain)) return false;
    }
    return true;
}

void client_describe(const client *c, char *out, size_t size) {
    const attempt *a = c->now;
    if (!a || a->state != OPEN) {
        snprintf(out, size, "client %u is not connected, try %u", c->number, c->tries);
        return;
    }
    int n = snprintf(out, size, "client %u, session %u, life %u: %u unanswered%s%s,", c->number,
        a->session, a->life, a->asked_count, a->rude ? ", rude" : "",
        well_known(a) ? "" : ", unknown");
    for (uint32_t i = 0; i < SEATS && (size_t)n < size; i++)
        if (a->places[i].talk != OUT || wants(c, i))
            n += snprintf(out + n, size - (size_t)n, " %u%s at %llu%s", i,
                a->places[i].talk == IN ? "" : "?", (unsigned long long)a->places[i].seat.offset,
                history_level(c->scene->h, &a->places[i].seat, a->chain) ? "" : " (behind)");
}

void client_end(client *c) {
    for (attempt *a = c->history, *older; a; a = older) {
        older = a->older;
        if (a->state == OPEN) client_anomaly(c, "late-callback", "no close came for an open");
        if (a->state == DIALING) client_anomaly(c, "late-callback", "neither open nor failure");
        free(a->rest);
        free(a);
    }
    c->history = c->now = NULL;
}
