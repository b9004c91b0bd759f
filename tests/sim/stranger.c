#include "stranger.h"
#include "law.h"
#include <stdio.h>
#include <stdlib.h>

static uint32_t below(const stranger *g, uint32_t n) {
    return ln_simnet_below(g->scene->net, n);
}

static void wrong(const stranger *g, const char *name, const char *words, ln_slice text) {
    history_anomaly(g->scene->h, name, "stranger %u, session %u: %s: %.*s", g->number, g->session,
        words, (int)(text.size < 120 ? text.size : 120), (const char *)text.data);
}

static void trace(const stranger *g, const char *what, ln_slice text) {
    if (!g->scene->plan->traced) return;
    printf("%llu stranger %u, session %u, life %u %s %.*s\n",
        (unsigned long long)ln_simnet_now(g->scene->net), g->number, g->session, g->life, what,
        (int)(text.size < 300 ? text.size : 300), (const char *)text.data);
}

/* -- hearing ----------------------------------------------------------------------------------- */

static ln_json_value member(const ln_json_value *object, const char *name) {
    ln_json_value key, value;
    if (object->kind == LN_JSON_OBJECT) {
        ln_json_iter it = ln_json_iter_of(object);
        while (ln_json_next(&it, &key, &value))
            if (ln_json_is(&key, ln_slice_str(name))) return value;
    }
    return (ln_json_value){ 0 };
}

static bool is(const ln_json_value *v, const char *word) {
    return v->kind == LN_JSON_STRING && ln_json_is(v, ln_slice_str(word));
}

static void take_data(stranger *g, const ln_json_value *data) {
    static char expected[CLIENT_PAYLOAD]; /* one thread, one call at a time */
    uint32_t key = client_key(data);
    const history_saying *what = history_of(g->scene->h, key);
    did(g->scene, DID_STRANGE);
    bool own = what && what->channel == OWN_SEAT + g->number % USERS && what->life == g->life;
    if (own && plan_has(g->scene->plan, PLAN_LOGIN)) return; /* it is put there */
    g->in = true;
    history_run_heard(g->scene->h, g->run, key);
    if (!what) return;
    size_t size = client_data(g->scene, key, expected);
    if (!ln_slice_eq(data->raw, ln_slice_of(expected, size)))
        wrong(g, "phantom", "a publication came changed", data->raw);
    if (what->session != g->session) return;
    if (key <= g->echoed) wrong(g, "reorder", "it hears itself in another order", data->raw);
    g->echoed = key;
}

static void answered(stranger *g, uint64_t number, ln_slice text) {
    if (number == 0 || number > g->asked || number <= g->answered)
        wrong(g, "answer", "to nothing it asked, a second one, or out of turn", text);
    g->answered = (uint32_t)number;
}

/* It may not be in, and comes again. */
static void refused(stranger *g) {
    did(g->scene, DID_DENIED);
    if (g->in) return;
    g->goes = true;
    linnet_conn_close(g->conn, 1000, NULL);
}

static bool hear_channel(stranger *g, const ln_json_value *top) {
    ln_json_value channel = member(top, "channel"), data = member(top, "data");
    ln_json_value type = member(&data, "type");
    if (!is(&channel, "system")) {
        if (!data.raw.size) return false;
        take_data(g, &data);
    } else if (is(&type, "subscription_confirm")) {
        ln_json_value name = member(&data, "channel");
        if (name.text.size && name.text.data[0] == '@') return true;
        answered(g, 1, top->raw);
        g->in = true;
    } else if (is(&type, "error")) {
        refused(g);
    } else {
        return false;
    }
    return true;
}

static bool hear_topic(stranger *g, const ln_json_value *top) {
    ln_json_value type = member(top, "type");
    if (client_key(top))
        take_data(g, top);
    else if (is(&type, "pong"))
        answered(g, g->answered + 1, top->raw);
    else if (is(&type, "error"))
        refused(g);
    else
        return false;
    return true;
}

static bool hear_rpc(stranger *g, const ln_json_value *top) {
    ln_json_value type = member(top, "type"), payload = member(top, "payload");
    ln_json_value id = member(top, "id"), re = member(top, "requestId");
    ln_json_value data = member(&payload, "data");
    if (id.kind != LN_JSON_STRING) return false;
    if (is(&type, "event")) {
        take_data(g, &data);
        return data.raw.size > 0;
    }
    uint64_t number = strtoull((const char *)re.text.data, NULL, 10); /* a quote is behind it */
    bool error = is(&type, "error");
    if (re.kind != LN_JSON_STRING || (!error && !is(&type, "response"))) return false;
    if (number == 0 || number > g->asked) wrong(g, "answer", "to nothing it asked", top->raw);
    if (number < 64 && g->rpc >> number & 1) wrong(g, "answer", "a second one", top->raw);
    if (number < 64) g->rpc |= UINT64_C(1) << number;
    g->answered++;
    if (number == 1 && !error) g->in = true;
    if (error) refused(g);
    return true;
}

static bool hear_event(stranger *g, const ln_json_value *top) {
    ln_json_value type = member(top, "type"), payload = member(top, "payload");
    ln_json_value error = member(top, "error");
    if (is(&type, "message"))
        take_data(g, &payload);
    else if (is(&type, "pong"))
        answered(g, g->answered + 1, top->raw);
    else if (error.raw.size)
        refused(g);
    else
        return false;
    return true;
}

static bool hear_feed(stranger *g, const ln_json_value *top) {
    if (!client_key(top)) return false;
    take_data(g, top);
    return true;
}

static bool (*const hears[DIALECTS])(stranger *g, const ln_json_value *top) = { hear_channel,
    hear_topic, hear_rpc, hear_event, hear_feed };

/* -- saying ------------------------------------------------------------------------------------ */

static void say(stranger *g, const char *text, size_t size) {
    trace(g, "says", ln_slice_of(text, size));
    linnet_conn_send(g->conn, LINNET_TEXT, ln_slice_of(text, size));
    g->scene->events++;
}

static void join(stranger *g) {
    static const char *const forms[DIALECTS] = { "{\"action\":\"subscribe\",\"channel\":\"c%u\"}",
        "{\"type\":\"subscribe\",\"topic\":\"c%u\"}",
        "{\"id\":\"1\",\"type\":\"command\",\"timestamp\":1,\"payload\":{\"action\":\"subscribe\","
        "\"parameters\":{\"channel\":\"c%u\"}}}",
        "{\"type\":\"join\",\"payload\":{\"room\":\"c%u\"},\"timestamp\":1}", NULL };
    char text[200], *at = text;
    const char *form = forms[g->dialect];
    if (!form) return; /* a feed is in */
    for (const char *f = form; *f; f++) {
        if (f[0] == '%')
            *at++ = (char)('0' + g->seat), f++;
        else
            *at++ = *f;
    }
    g->asked = g->dialect == BY_CHANNEL || g->dialect == BY_RPC;
    say(g, text, (size_t)(at - text));
}

/* The others only listen. */
static bool may_publish(const stranger *g) {
    return g->dialect != BY_TOPIC && g->dialect != BY_FEED;
}

static void publish(stranger *g) {
    history_saying what = { .client = 1000 + g->number,
        .session = g->session,
        .chain = g->session,
        .life = g->life,
        .channel = g->seat,
        .asked = plan_has(g->scene->plan, PLAN_BACKEND) };
    if (!may_publish(g)) return;
    char *text = malloc(CLIENT_PAYLOAD + 300);
    if (!text) abort();
    size_t n = 0;
    switch (g->dialect) {
    case BY_CHANNEL:
        n = (size_t)snprintf(
            text, 200, "{\"action\":\"publish\",\"channel\":\"c%u\",\"data\":", g->seat);
        break;
    case BY_RPC:
        n = (size_t)snprintf(text, 200,
            "{\"id\":\"%u\",\"type\":\"command\",\"timestamp\":1,\"payload\":{\"action\":"
            "\"publish\",\"parameters\":{\"channel\":\"c%u\",\"data\":",
            ++g->asked, g->seat);
        break;
    case BY_EVENT:
        n = (size_t)snprintf(text, 200, "{\"type\":\"message\",\"timestamp\":1,\"payload\":");
        break;
    case BY_TOPIC:
    case BY_FEED:
    case DIALECTS: break;
    }
    uint32_t key = history_said(g->scene->h, &what);
    n += client_payload(key, g->scene->plan->payload_max, text + n);
    for (uint32_t i = 0; i < (g->dialect == BY_RPC ? 3u : 1u); i++)
        text[n++] = '}';
    g->said = key;
    g->said_at = ln_simnet_now(g->scene->net);
    say(g, text, n);
    free(text);
}

static void ping(stranger *g) {
    if (g->dialect == BY_RPC || g->dialect == BY_FEED || g->dialect == BY_CHANNEL) return;
    g->asked++;
    say(g, "{\"type\":\"ping\"}", 15);
}

/* -- its life ---------------------------------------------------------------------------------- */

static void over(stranger *g) {
    g->state = STRANGER_OUT;
    g->conn = NULL;
    if (g->scene->mood == LEAVING) return;
    uint32_t most = 50u << (g->tries < 6 ? g->tries++ : 6);
    linnet_timer_set(g->timer, most / 2 + below(g, most));
}

static stranger *called(linnet_conn *conn) {
    stranger *g = linnet_conn_user(conn);
    if (g->state != STRANGER_IN || g->conn != conn)
        wrong(g, "late-callback", "before open or after close", LN_SLICE(""));
    return g;
}

/* A node that began while it was on its way there is another one. */
static void on_open(linnet_conn *conn) {
    stranger *g = linnet_conn_user(conn);
    if (g->state != STRANGER_DIALS)
        wrong(g, "late-callback", "open of what was not dialled", LN_SLICE(""));
    g->state = STRANGER_IN;
    g->conn = conn;
    g->tries = 0;
    g->open_at = ln_simnet_now(g->scene->net);
    g->goes = g->scene->node_lives[g->node] != g->life;
    linnet_timer_set(g->timer, 1 + below(g, 20));
    if (g->goes)
        linnet_conn_terminate(conn);
    else
        join(g);
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice text) {
    stranger *g = called(conn);
    ln_json_value top;
    trace(g, "hears", text);
    g->scene->events++;
    if (g->goes) return;
    if (opcode != LINNET_TEXT || ln_json_check(text, &top) < 0 || !hears[g->dialect](g, &top))
        wrong(g, "answer", "a word that is not in its dialect", text);
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    (void)err;
    stranger *g = called(conn);
    char words[16];
    snprintf(words, sizeof words, "%u", code);
    trace(g, "is closed with", ln_slice_str(words));
    if (code != 1000 && code != 1006 && code != 1008 && code != 1012)
        wrong(g, "answer", words, reason);
    over(g);
}

static void on_fail(void *user, int err, int status, const char *words) {
    (void)err;
    stranger *g = user;
    bool backend = plan_has(g->scene->plan, PLAN_BACKEND);
    if (g->state != STRANGER_DIALS)
        wrong(g, "late-callback", "a failure of what was not dialled", LN_SLICE(""));
    if (status && status != 503 && !(backend && g->dialect == BY_FEED))
        wrong(g, "answer", "refused", ln_slice_str(words ? words : ""));
    over(g);
}

static void put_url(stranger *g, char *url, size_t size) {
    static const char *const names[DIALECTS] = { "channel", "topic", "rpc", "event", "raw" };
    char token[LINNET_TOKEN_MAX + 1];
    unsigned port = CLIENT_PORT + g->node;
    int n = g->dialect == BY_FEED
                ? snprintf(url, size, "ws://127.0.0.1:%u/feed/c%u?x=1", port, g->seat)
                : snprintf(url, size, "ws://127.0.0.1:%u/ws?dialect=%s", port, names[g->dialect]);
    if (!plan_has(g->scene->plan, PLAN_LOGIN)) return;
    identity who = { .good = true, .until = law_now_s(g->scene->law) + 3600 };
    law_token(g->scene->law, g->number % USERS, &who, SEATS, token);
    snprintf(url + n, size - (size_t)n, "&token=%.*s", (int)(size - (size_t)n) - 8, token);
}

static void dial(stranger *g) {
    char url[1200];
    g->node = below(g, 2);
    g->life = g->scene->node_lives[g->node];
    g->seat = below(g, LAW_GUARDED);
    g->session = g->scene->sessions++;
    g->asked = g->answered = g->said = g->echoed = 0;
    g->rpc = 0;
    g->in = g->calm = g->goes = false;
    g->run = history_run(g->scene->h, g->life, g->seat);
    put_url(g, url, sizeof url);
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    o.url = url;
    o.events = (linnet_conn_events){
        .on_open = on_open, .on_message = on_message, .on_close = on_close
    };
    o.on_fail = on_fail;
    o.user = g;
    o.timeout_ms = 5000;
    o.limits = g->scene->plan->limits;
    g->state = STRANGER_DIALS;
    if (linnet_client_dial(g->loop, &o, &g->id) < 0) wrong(g, "stuck", "cannot dial", LN_SLICE(""));
}

/* Its join is answered by silence, and what it says goes to the room that it joined last. */
static bool joined(const stranger *g) {
    bool asks = plan_has(g->scene->plan, PLAN_BACKEND) && g->dialect == BY_EVENT;
    return !asks || g->in || ln_simnet_now(g->scene->net) > g->open_at + 1000;
}

static void be_wild(stranger *g) {
    uint32_t dice = below(g, 40);
    if (dice < 24 && joined(g))
        for (uint32_t n = 1 + below(g, 3); n; n--)
            publish(g);
    else if (dice < 30)
        ping(g);
    else if (dice == 30)
        linnet_conn_close(g->conn, 1000, NULL);
    else if (dice == 31)
        linnet_conn_terminate(g->conn);
}

/* What it asked before may have been refused, so it says something, and comes anew if need be. */
static void be_calm(stranger *g) {
    ln_msec now = ln_simnet_now(g->scene->net);
    if (!may_publish(g) || !joined(g)) return;
    if (g->calm && g->echoed != g->said && now > g->said_at + 6000) {
        linnet_conn_close(g->conn, 1000, NULL);
    } else if (!g->calm) {
        publish(g);
        g->calm = true;
    }
}

void stranger_nudge(void *ctx) {
    stranger *g = ctx;
    if (g->state == STRANGER_OUT) {
        if (g->scene->mood != LEAVING) dial(g);
        return;
    }
    if (g->scene->mood == LEAVING)
        linnet_loop_close(g->loop, g->id, 1000, NULL);
    else if (g->state == STRANGER_IN && !g->goes && g->scene->mood == WILD)
        be_wild(g);
    else if (g->state == STRANGER_IN && !g->goes)
        be_calm(g);
    linnet_timer_set(g->timer, g->scene->mood == WILD ? 1 + below(g, 600) : 1000);
}

static void on_tick(linnet_timer *timer, void *ctx) {
    (void)timer;
    stranger_nudge(ctx);
}

void stranger_start(stranger *g, scene *s, linnet_loop *loop, uint32_t number) {
    *g = (stranger){
        .scene = s, .loop = loop, .number = number, .dialect = (dialect)(number % DIALECTS)
    };
    if (linnet_timer_new(loop, on_tick, g, &g->timer) < 0) abort();
    linnet_timer_set(g->timer, 1 + below(g, 300));
}

bool stranger_settled(const stranger *g) {
    if (g->state != STRANGER_IN || g->goes || !history_run_level(g->scene->h, g->run)) return false;
    if (!may_publish(g)) return g->answered == g->asked;
    return g->calm && g->echoed == g->said && g->answered == g->asked;
}

uint32_t strangers_in(const scene *s, uint32_t life, uint32_t seat) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->stranger_count; i++) {
        const stranger *g = &s->strangers[i];
        count += g->state == STRANGER_IN && !g->goes && g->life == life && g->seat == seat;
    }
    return count;
}

void stranger_describe(const stranger *g, char *out, size_t size) {
    snprintf(out, size,
        "stranger %u, session %u, life %u, state %d: asked %u, answered %u, said %u, echoed %u%s",
        g->number, g->session, g->life, g->state, g->asked, g->answered, g->said, g->echoed,
        history_run_level(g->scene->h, g->run) ? "" : ", behind");
}

void stranger_end(stranger *g) {
    if (g->state != STRANGER_OUT)
        wrong(g, "late-callback", "neither closed nor failed", LN_SLICE(""));
}
