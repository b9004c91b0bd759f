/* What is counted of a server and its hub, seen from outside: clients on a loop of their own do
 * what is to be counted. */
#include "base/testing.h"
#include <linnet/linnet.h>
#include <stdio.h>
#include <sys/socket.h>

typedef struct world {
    linnet_loop *loop, *clients;
    linnet_server *server;
    linnet_hub *hub;
    char bound[128];
} world;

typedef struct client {
    linnet_conn *conn;
    char text[4096];
    size_t size;
    int closed;
    uint32_t rtt;
} client;

static void on_open(linnet_conn *conn) {
    ((client *)linnet_conn_user(conn))->conn = conn;
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    client *c = linnet_conn_user(conn);
    assert_int_equal(opcode, LINNET_TEXT);
    assert_true(c->size + data.size < sizeof c->text);
    memcpy(c->text + c->size, data.data, data.size);
    c->text[c->size += data.size] = 0;
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    client *c = linnet_conn_user(conn);
    c->closed = code;
    c->conn = NULL;
}

static void open_world(world *w) {
    *w = (world){ 0 };
    linnet_loop_options lo = LINNET_LOOP_OPTIONS_INIT;
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
    assert_int_equal(linnet_loop_new(&lo, &w->loop), LINNET_OK);
    assert_int_equal(linnet_loop_new(&lo, &w->clients), LINNET_OK);
    so.loop = w->loop;
    ho.publish_rate = 1;
    ho.publish_burst = 2;
    ho.limits.ping_ms = 20;
    assert_int_equal(linnet_server_new(&so, &w->server), LINNET_OK);
    assert_int_equal(linnet_hub_new(&ho, &w->hub), LINNET_OK);
    assert_int_equal(linnet_server_hub(w->server, "/ws", w->hub), LINNET_OK);
    assert_int_equal(linnet_server_listen(w->server, "127.0.0.1:0", NULL, w->bound), LINNET_OK);
    assert_int_equal(linnet_server_start(w->server), LINNET_OK);
}

static void close_world(world *w) {
    linnet_server_free(w->server);
    linnet_hub_free(w->hub);
    linnet_loop_free(w->clients);
    linnet_loop_free(w->loop);
}

static void turn(world *w) {
    assert_int_equal(linnet_loop_turn(w->loop, 1), LINNET_OK);
    assert_int_equal(linnet_loop_turn(w->clients, 1), LINNET_OK);
}

static void dial(world *w, client *c, const char *dialect) {
    char url[200];
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    snprintf(url, sizeof url, "ws://%s/ws%s", w->bound, dialect);
    *c = (client){ 0 };
    o.url = url;
    o.user = c;
    o.events = (linnet_conn_events){
        .on_open = on_open, .on_message = on_message, .on_close = on_close
    };
    assert_int_equal(linnet_client_dial(w->clients, &o, NULL), LINNET_OK);
    for (int i = 0; i < 2000 && !c->conn; i++)
        turn(w);
    assert_non_null(c->conn);
}

static void ask(world *w, client *c, const char *text, const char *answer) {
    c->text[c->size = 0] = 0;
    assert_int_equal(linnet_conn_send(c->conn, LINNET_TEXT, linnet_str(text)), LINNET_OK);
    for (int i = 0; i < 2000 && !strstr(c->text, answer); i++)
        turn(w);
    if (!strstr(c->text, answer)) fail_msg("no '%s' in '%s'", answer, c->text);
}

static linnet_server_stats server_stats(const world *w) {
    linnet_server_stats s = LINNET_SERVER_STATS_INIT;
    assert_int_equal(linnet_server_get_stats(w->server, &s), LINNET_OK);
    return s;
}

static linnet_hub_stats hub_stats(const world *w) {
    linnet_hub_stats s = LINNET_HUB_STATS_INIT;
    assert_int_equal(linnet_hub_get_stats(w->hub, &s), LINNET_OK);
    return s;
}

static uint64_t closes(const world *w, uint16_t code) {
    unsigned at = 0;
    uint16_t one;
    uint64_t n;
    while (linnet_server_next_close(w->server, &at, &one, &n))
        if (one == code) return n;
    fail_msg("%u is not counted", code);
    return 0;
}

static uint64_t sessions(const world *w, const char *dialect) {
    unsigned at = 0;
    uint64_t n;
    for (const char *name; (name = linnet_hub_next_dialect(w->hub, &at, &n));)
        if (strcmp(name, dialect) == 0) return n;
    fail_msg("%s is not counted", dialect);
    return 0;
}

static void sessions_by_dialect(void **state) {
    world w;
    client a, b, c;
    open_world(&w);
    assert_int_equal(sessions(&w, "v1") + sessions(&w, "channel") + sessions(&w, "undecided"), 0);
    dial(&w, &a, "?dialect=v1");
    dial(&w, &b, "");
    dial(&w, &c, "?dialect=topic");
    assert_int_equal(sessions(&w, "v1"), 1);
    assert_int_equal(sessions(&w, "topic"), 1);
    assert_int_equal(sessions(&w, "undecided"), 1);
    ask(&w, &b, "{\"action\":\"subscribe\",\"channel\":\"x\"}", "confirm");
    assert_int_equal(sessions(&w, "undecided"), 0);
    assert_int_equal(sessions(&w, "channel"), 1);
    assert_int_equal(hub_stats(&w).sessions, 3);
    assert_int_equal(server_stats(&w).opens, 3);
    linnet_conn_close(b.conn, 1000, NULL);
    for (int i = 0; i < 2000 && hub_stats(&w).sessions == 3; i++)
        turn(&w);
    assert_int_equal(sessions(&w, "channel"), 0);
    close_world(&w);
}

static void what_channels_do(void **state) {
    world w;
    client a;
    open_world(&w);
    dial(&w, &a, "?dialect=v1");
    ask(&w, &a, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}", "\"re\":1");
    ask(&w, &a, "{\"type\":\"publish\",\"id\":2,\"channel\":\"x\",\"data\":1}", "\"re\":2");
    ask(&w, &a, "{\"type\":\"publish\",\"id\":3,\"channel\":\"x\",\"data\":1}", "\"re\":3");
    linnet_hub_stats s = hub_stats(&w);
    assert_int_equal(s.channels, 1);
    assert_int_equal(s.subscriptions, 1);
    assert_int_equal(s.publishes, 2);
    assert_int_equal(s.deliveries, 2);
    assert_int_equal(s.errors, 0);
    ask(&w, &a, "{\"type\":\"publish\",\"id\":4,\"channel\":\"x\",\"data\":1}", "rate_limited");
    ask(&w, &a, "{\"type\":\"nonsense\",\"id\":5}", "\"re\":5");
    s = hub_stats(&w);
    assert_int_equal(s.rate_limited, 1);
    assert_int_equal(s.errors, 2);
    assert_int_equal(s.recovered + s.lost, 0);
    ask(&w, &a,
        "{\"type\":\"subscribe\",\"id\":6,\"channel\":\"y\",\"recover\":{\"epoch\":\"none\","
        "\"offset\":7}}",
        "\"re\":6");
    assert_int_equal(hub_stats(&w).lost, 1);

    linnet_histogram h = LINNET_HISTOGRAM_INIT;
    assert_int_equal(linnet_server_measure(w.server, LINNET_MEASURE_DELIVERY, &h), LINNET_OK);
    assert_int_equal(h.count, 1); /* the first of every eight */
    assert_true(h.bound_us[LINNET_HISTOGRAM_BUCKETS - 1] == UINT64_MAX);
    assert_true(h.sum_us < 10000000);
    close_world(&w);
}

static void round_trips(void **state) {
    world w;
    client a;
    linnet_histogram h = LINNET_HISTOGRAM_INIT;
    open_world(&w);
    dial(&w, &a, ""); /* undecided: it gets pings of the protocol below */
    for (int i = 0; i < 5000 && h.count == 0; i++) {
        turn(&w);
        assert_int_equal(linnet_server_measure(w.server, LINNET_MEASURE_RTT, &h), LINNET_OK);
    }
    assert_int_equal(h.count, 1);
    close_world(&w);
}

static void why_they_ended(void **state) {
    world w;
    client a, b, c, d;
    open_world(&w);
    dial(&w, &a, "");
    dial(&w, &b, "");
    dial(&w, &c, "");
    dial(&w, &d, "");
    linnet_conn_close(a.conn, 1000, NULL);
    linnet_conn_close(b.conn, 4321, NULL);
    linnet_conn_send(c.conn, LINNET_TEXT, linnet_str("nonsense"));
    linnet_conn_terminate(d.conn);
    for (int i = 0; i < 5000 && hub_stats(&w).sessions; i++)
        turn(&w);
    assert_int_equal(closes(&w, 1000), 1);
    assert_int_equal(closes(&w, 0), 1); /* 4321 */
    assert_int_equal(closes(&w, 1003), 1);
    assert_int_equal(closes(&w, 1006), 1);
    for (int i = 0; i < 5000 && server_stats(&w).closes < 4; i++)
        turn(&w);
    assert_int_equal(server_stats(&w).closes, 4);
    close_world(&w);
}

/* Somebody who does not read: what waits for him is counted, and no more when he is gone. */
static void what_waits(void **state) {
    world w;
    client a;
    static char large[60000];
    open_world(&w);
    dial(&w, &a, "?dialect=v1");
    ask(&w, &a, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}", "\"re\":1");
    assert_int_equal(server_stats(&w).queued_bytes, 0);
    linnet_conn_pause(a.conn);
    memset(large, '1', sizeof large - 1);
    large[0] = large[sizeof large - 2] = '"';
    linnet_publication p = LINNET_PUBLICATION_INIT;
    p.channel = linnet_str("x");
    p.data = linnet_str(large);
    for (int i = 0; i < 300 && !server_stats(&w).queued_bytes; i++) {
        int err = linnet_hub_publish(w.hub, &p);
        assert_true(err == LINNET_OK || err == LINNET_ERR_AGAIN);
        assert_int_equal(linnet_loop_turn(w.loop, 1), LINNET_OK);
    }
    assert_true(server_stats(&w).queued_bytes > 0);
    linnet_conn_terminate(a.conn);
    for (int i = 0; i < 5000 && linnet_server_connections(w.server); i++)
        turn(&w);
    assert_int_equal(server_stats(&w).queued_bytes, 0);
    close_world(&w);
}

static void reasons_and_sizes(void **state) {
    world w;
    open_world(&w);
    unsigned at = 0, rows = 0;
    uint64_t n = 7;
    while (linnet_server_next_reason(w.server, &at, &n)) {
        assert_int_equal(n, 0);
        rows++;
    }
    assert_true(rows > 50);
    at = 0;
    assert_null(linnet_server_next_reject(w.server, &at, &n));
    linnet_hub_stats s = { .size = 3 };
    assert_int_equal(linnet_hub_get_stats(w.hub, &s), LINNET_ERR_INVAL);
    s.size = sizeof s.size + sizeof s.sessions; /* built when it was smaller */
    s.channels = 9;
    assert_int_equal(linnet_hub_get_stats(w.hub, &s), LINNET_OK);
    assert_int_equal(s.channels, 9);
    at = rows = 0;
    const char *last = NULL;
    for (const char *name; (name = linnet_hub_next_error(w.hub, &at, &n)); last = name, rows++)
        assert_int_equal(n, 0);
    assert_string_equal(last, "APPLICATION");
    assert_true(rows >= 18);
    linnet_memory m = { .size = sizeof m.size + sizeof m.connections };
    m.histories = 9;
    assert_int_equal(linnet_server_get_memory(w.server, &m), LINNET_OK);
    assert_int_equal(m.histories, 9);
    m.size = 3;
    assert_int_equal(linnet_server_get_memory(w.server, &m), LINNET_ERR_INVAL);
    linnet_histogram h = LINNET_HISTOGRAM_INIT;
    for (int what = LINNET_MEASURE_DELIVERY; what <= LINNET_MEASURE_WEBHOOK; what++)
        assert_int_equal(linnet_server_measure(w.server, (linnet_measure)what, &h), LINNET_OK);
    assert_int_equal(linnet_server_measure(w.server, (linnet_measure)5, &h), LINNET_ERR_INVAL);
    h.size = 1;
    assert_int_equal(linnet_server_measure(w.server, LINNET_MEASURE_RTT, &h), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_workers(w.server), 1);
    assert_ptr_equal(linnet_server_loop(w.server, 0), w.loop);
    assert_null(linnet_server_loop(w.server, 1));
    close_world(&w);
    linnet_hub *alone;
    assert_int_equal(linnet_hub_new(NULL, &alone), LINNET_OK);
    s.size = sizeof s;
    assert_int_equal(linnet_hub_get_stats(alone, &s), LINNET_ERR_STATE);
    linnet_hub_free(alone);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_by_dialect),
        cmocka_unit_test(what_channels_do),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(why_they_ended),
        cmocka_unit_test(what_waits),
        cmocka_unit_test(reasons_and_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
