#include "guest.h"
#include "base/num.h"
#include <stdio.h>
#include <stdlib.h>

static void *must(void *p) {
    if (!p) abort();
    return p;
}

/* -- the house -------------------------------------------------------------------------------- */

static void wrong(const house *h, const char *words) {
    history_anomaly(h->scene->h, "late-callback", "the house: %s", words);
}

static visit *visit_new(house *h, visit_state state) {
    visit *v = must(calloc(1, sizeof *v));
    *v = (visit){ .next = h->visits, .house = h, .state = state };
    h->visits = v;
    return v;
}

static linnet_verdict on_upgrade(linnet_upgrade *u, void *user) {
    house *h = user;
    uint32_t dice = ln_simnet_below(h->scene->net, 10);
    if (dice == 0) {
        linnet_upgrade_reject(u, 403, "not today\n");
        return LINNET_REJECT;
    }
    visit *v = visit_new(h, dice < 5 ? ASKS : ACCEPTED);
    v->id = linnet_upgrade_id(u);
    if (v->state == ASKS) return LINNET_DEFER;
    linnet_upgrade_accept(u, v, NULL);
    return LINNET_ACCEPT;
}

static void house_opened(linnet_conn *conn) {
    visit *v = linnet_conn_user(conn);
    if (v->state != ACCEPTED || v->id != linnet_conn_get_id(conn))
        wrong(v->house, "opened without being accepted, or as somebody else");
    v->state = INSIDE;
    v->conn = conn;
}

static visit *inside(linnet_conn *conn) {
    visit *v = linnet_conn_user(conn);
    if (v->state != INSIDE || v->conn != conn)
        wrong(v->house, "a callback before open or after close");
    return v;
}

/* "+t" subscribes, "=t..." publishes what stands behind it with the topic in front; what is binary
 * comes back. */
static void house_heard(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    inside(conn);
    if (opcode == LINNET_BINARY) {
        linnet_conn_send(conn, opcode, data);
    } else if (data.size == 2 && data.data[0] == '+') {
        linnet_conn_subscribe(conn, ln_slice_sub(data, 1, 2));
    } else if (data.size > 2 && data.data[0] == '=') {
        linnet_conn_publish(
            conn, ln_slice_sub(data, 1, 2), LINNET_TEXT, ln_slice_sub(data, 1, data.size));
    }
}

static void house_closed(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    (void)code;
    (void)reason;
    (void)err;
    visit *v = inside(conn);
    v->state = GONE;
    v->conn = NULL;
}

static void on_abandon(void *user) {
    visit *v = user;
    if (v->state != ACCEPTED)
        wrong(v->house, "abandoned, although it was opened or never accepted");
    v->state = GONE;
}

int house_open(house *h, scene *s, linnet_server *server) {
    *h = (house){ .scene = s, .server = server };
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    route.events = (linnet_conn_events){
        .on_open = house_opened, .on_message = house_heard, .on_close = house_closed
    };
    route.user = h;
    route.on_upgrade = on_upgrade;
    route.limits = s->plan->limits;
    linnet_server_on_abandon(server, on_abandon);
    return linnet_server_ws(server, "/guests", &route);
}

static void answer(house *h, visit *v) {
    if (ln_simnet_below(h->scene->net, 8) == 0) {
        int err = linnet_server_reject(h->server, v->id, 403, "no\n");
        if (err == LINNET_OK || err == LINNET_ERR_NOT_FOUND) v->state = GONE;
    } else {
        int err = linnet_server_accept(h->server, v->id, v, NULL);
        if (err == LINNET_OK) v->state = ACCEPTED;
        if (err == LINNET_ERR_NOT_FOUND) v->state = GONE; /* it is ours still */
    }
}

void house_act(house *h) {
    for (visit *v = h->visits; v; v = v->next) {
        if (v->state == ASKS && ln_simnet_below(h->scene->net, 3) == 0) answer(h, v);
        if (v->state != INSIDE || h->scene->mood != WILD || ln_simnet_below(h->scene->net, 8))
            continue;
        char text[16];
        int n = snprintf(text, sizeof text, "!%u", v->sent + 1);
        if (linnet_server_send(h->server, v->id, LINNET_TEXT, ln_slice_of(text, (size_t)n)) ==
            LINNET_OK)
            v->sent++;
        if (ln_simnet_below(h->scene->net, 40) == 0)
            linnet_server_close(h->server, v->id, 4001, "by id");
    }
}

void house_close(house *h) {
    for (visit *v = h->visits, *next; v; v = next) {
        next = v->next;
        if (v->state == INSIDE) wrong(h, "no close came for an open");
        if (v->state == ACCEPTED) wrong(h, "accepted, but neither opened nor abandoned");
        free(v);
    }
    h->visits = NULL;
}

/* -- a guest ----------------------------------------------------------------------------------- */

static void anomaly(const guest *g, const char *name, const char *words) {
    history_anomaly(g->scene->h, name, "guest %u: %s", g->number, words);
}

static uint32_t below(const guest *g, uint32_t n) {
    return ln_simnet_below(g->scene->net, n);
}

static guest *called(linnet_conn *conn) {
    guest *g = linnet_conn_user(conn);
    if (g->state != GUEST_IN || g->conn != conn)
        anomaly(g, "late-callback", "before open or after close");
    return g;
}

static void on_open(linnet_conn *conn) {
    guest *g = linnet_conn_user(conn);
    if (g->state != GUEST_DIALS) anomaly(g, "late-callback", "open of what was not dialled");
    g->state = GUEST_IN;
    g->conn = conn;
    g->tries = 0;
    linnet_timer_set(g->timer, 1 + below(g, 20));
}

static void take_topic(guest *g, uint32_t topic, linnet_slice rest) {
    ln_slice name;
    uint64_t session, number;
    if (!ln_slice_cut(&rest, ':', &name) || !ln_num_u64(name, GUEST_NAMES - 1, &session) ||
        !ln_num_u64(rest, UINT32_MAX, &number) || !g->asked[topic]) {
        anomaly(g, "phantom", "a topic it is not in, or a message that nobody sent");
        return;
    }
    uint32_t *last = &g->heard[topic][session];
    if (*last && number != *last + 1)
        history_anomaly(g->scene->h, number <= *last ? "duplicate" : "silent-gap",
            "guest %u, topic %u: %u after %u from session %u", g->number, topic, (unsigned)number,
            *last, (unsigned)session);
    *last = (uint32_t)number;
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    guest *g = called(conn);
    uint64_t number;
    if (opcode == LINNET_BINARY) {
        uint32_t n = 0;
        if (data.size >= sizeof n) memcpy(&n, data.data, sizeof n);
        if (n != g->echoed + 1 || n > g->said) anomaly(g, "echo", "out of order, twice, or unsaid");
        g->echoed = n;
    } else if (data.size > 1 && data.data[0] == '!') {
        ln_slice_skip(&data, 1);
        if (!ln_num_u64(data, UINT32_MAX, &number) || number != g->by_id + 1)
            anomaly(g, "echo", "what was sent by id is out of order");
        g->by_id = (uint32_t)number;
    } else if (data.size > 1 && data.data[0] - (unsigned)'a' < GUEST_TOPICS) {
        uint32_t topic = data.data[0] - (unsigned)'a';
        ln_slice_skip(&data, 1);
        take_topic(g, topic, data);
    } else {
        anomaly(g, "phantom", "a message that nobody sent");
    }
}

static void over(guest *g) {
    g->state = GUEST_OUT;
    g->conn = NULL;
    if (g->scene->mood == LEAVING) return;
    uint32_t most = 50u << (g->tries < 6 ? g->tries++ : 6);
    linnet_timer_set(g->timer, most / 2 + below(g, most));
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    (void)reason;
    guest *g = called(conn);
    if (code != 1000 && code != 1006 && code != 1012 && code != 3008 && code != 4001)
        history_anomaly(g->scene->h, "answer", "guest %u is closed with %u, %s", g->number, code,
            linnet_strerror(err));
    over(g);
}

static void on_fail(void *user, int err, int status, const char *words) {
    (void)err;
    (void)words;
    guest *g = user;
    if (g->state != GUEST_DIALS) anomaly(g, "late-callback", "a failure of what was not dialled");
    if (status && status != 403 && status != 503)
        history_anomaly(g->scene->h, "answer", "guest %u is refused with %d", g->number, status);
    over(g);
}

static void dial(guest *g) {
    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/guests", CLIENT_PORT + below(g, 2));
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    o.url = url;
    o.events = (linnet_conn_events){
        .on_open = on_open, .on_message = on_message, .on_close = on_close
    };
    o.on_fail = on_fail;
    o.user = g;
    o.timeout_ms = 5000;
    o.limits = g->scene->plan->limits;
    g->session = g->scene->sessions++;
    g->said = g->echoed = g->by_id = 0;
    memset(g->published, 0, sizeof g->published);
    memset(g->asked, 0, sizeof g->asked);
    for (int i = 0; i < GUEST_TOPICS; i++)
        memset(g->heard[i], 0, GUEST_NAMES * sizeof *g->heard[i]);
    g->state = GUEST_DIALS;
    if (linnet_client_dial(g->loop, &o, &g->id) < 0) anomaly(g, "stuck", "cannot dial");
}

static void echo(guest *g) {
    uint8_t data[3000] = { 0 };
    uint32_t n = g->said + 1;
    memcpy(data, &n, sizeof n);
    size_t size = sizeof n + below(g, g->scene->plan->payload_max > 400 ? 2900 : 300);
    if (linnet_conn_send(g->conn, LINNET_BINARY, ln_slice_of(data, size)) == LINNET_OK) g->said = n;
}

static void publish(guest *g) {
    uint32_t topic = below(g, GUEST_TOPICS);
    char text[48];
    int n = snprintf(
        text, sizeof text, "=%c%u:%u", (char)('a' + topic), g->session, g->published[topic] + 1);
    if (linnet_conn_send(g->conn, LINNET_TEXT, ln_slice_of(text, (size_t)n)) == LINNET_OK)
        g->published[topic]++;
}

static void be_wild(guest *g) {
    uint32_t dice = below(g, 40), topic = below(g, GUEST_TOPICS);
    if (dice < 10) {
        for (uint32_t n = 1 + below(g, 4); n; n--)
            echo(g);
    } else if (dice < 20 && !g->asked[topic]) {
        char text[3] = { '+', (char)('a' + topic), 0 };
        g->asked[topic] = linnet_conn_send(g->conn, LINNET_TEXT, linnet_str(text)) == LINNET_OK;
    } else if (dice < 36) {
        for (uint32_t n = 1 + below(g, 4); n; n--)
            publish(g);
    } else if (dice == 36) {
        linnet_conn_close(g->conn, 1000, NULL);
    } else if (dice == 37) {
        linnet_conn_terminate(g->conn);
    }
}

void guest_nudge(void *ctx) {
    guest *g = ctx;
    if (g->state == GUEST_OUT) {
        if (g->scene->mood != LEAVING) dial(g);
        return;
    }
    if (g->scene->mood == LEAVING)
        linnet_loop_close(g->loop, g->id, 1000, NULL);
    else if (g->state == GUEST_IN && g->scene->mood == WILD)
        be_wild(g);
    linnet_timer_set(g->timer, g->scene->mood == WILD ? 1 + below(g, 250) : 3000);
}

static void on_tick(linnet_timer *timer, void *ctx) {
    (void)timer;
    guest_nudge(ctx);
}

void guest_start(guest *g, scene *s, linnet_loop *loop, uint32_t number) {
    *g = (guest){ .scene = s, .loop = loop, .number = number };
    for (int i = 0; i < GUEST_TOPICS; i++)
        g->heard[i] = must(calloc(GUEST_NAMES, sizeof *g->heard[i]));
    if (linnet_timer_new(loop, on_tick, g, &g->timer) < 0) abort();
    linnet_timer_set(g->timer, 1 + below(g, 300));
}

bool guest_settled(const guest *g) {
    return g->state == GUEST_IN && g->echoed == g->said;
}

void guest_end(guest *g) {
    if (g->state != GUEST_OUT) anomaly(g, "late-callback", "neither closed nor failed");
    for (int i = 0; i < GUEST_TOPICS; i++)
        free(g->heard[i]);
}
