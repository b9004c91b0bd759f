/* How a server leaves: who is told, who is closed when, and what goes on meanwhile. Clients live on
 * a loop of their own. */
#include "base/testing.h"
#include <linnet/linnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define MANY 60

typedef struct client {
    struct world *world;
    linnet_conn *conn;
    uint64_t closed_at; /* ms after the stop */
    int code, after_ms; /* -1: not told */
    bool told_first;
} client;

typedef struct world {
    linnet_loop *loop, *clients;
    linnet_server *server;
    linnet_hub *hub;
    char bound[128];
    uint64_t stopped;
    client all[MANY];
} world;

static uint64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void on_open(linnet_conn *conn) {
    ((client *)linnet_conn_user(conn))->conn = conn;
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    client *c = linnet_conn_user(conn);
    static const char goaway[] = "{\"type\":\"goaway\",\"after_ms\":";
    if (data.size < sizeof goaway || memcmp(data.data, goaway, sizeof goaway - 1) != 0) return;
    c->after_ms = (int)strtol((const char *)data.data + sizeof goaway - 1, NULL, 10);
    c->told_first = !c->code;
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    client *c = linnet_conn_user(conn);
    c->code = code;
    c->closed_at = now_ms() - c->world->stopped;
    c->conn = NULL;
}

static void open_world(world *w, uint32_t lead_ms, uint32_t rate, uint32_t drain_ms) {
    linnet_loop_options lo = LINNET_LOOP_OPTIONS_INIT;
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    memset(w, 0, sizeof *w);
    assert_int_equal(linnet_loop_new(&lo, &w->loop), LINNET_OK);
    assert_int_equal(linnet_loop_new(&lo, &w->clients), LINNET_OK);
    so.loop = w->loop;
    so.drain_lead_ms = lead_ms;
    so.drain_rate = rate;
    so.drain_ms = drain_ms;
    assert_int_equal(linnet_server_new(&so, &w->server), LINNET_OK);
    assert_int_equal(linnet_hub_new(NULL, &w->hub), LINNET_OK);
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

/* The last one of `count` speaks a dialect that knows no goaway. */
static void dial(world *w, int count) {
    char url[200];
    for (int i = 0; i < count; i++) {
        linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
        snprintf(
            url, sizeof url, "ws://%s/ws?dialect=%s", w->bound, i == count - 1 ? "topic" : "v1");
        w->all[i] = (client){ .world = w, .after_ms = -1 };
        o.url = url;
        o.user = &w->all[i];
        o.events = (linnet_conn_events){
            .on_open = on_open, .on_message = on_message, .on_close = on_close
        };
        assert_int_equal(linnet_client_dial(w->clients, &o, NULL), LINNET_OK);
        for (int k = 0; k < 5000 && !w->all[i].conn; k++)
            turn(w);
        assert_non_null(w->all[i].conn);
    }
}

static void stop(world *w, uint16_t code) {
    w->stopped = now_ms();
    linnet_server_stop(w->server, code);
}

static void until_stopped(world *w) {
    for (int k = 0; k < 20000 && !linnet_server_stopped(w->server); k++)
        turn(w);
    assert_true(linnet_server_stopped(w->server));
}

static void many_are_closed_one_after_the_other(void **state) {
    world w;
    linnet_drain_plan plan = LINNET_DRAIN_PLAN_INIT;
    unsigned slots[6] = { 0 };
    open_world(&w, 0, 100, 20000);
    dial(&w, MANY);
    assert_int_equal(linnet_server_drain_plan(w.server, &plan), LINNET_OK);
    assert_int_equal(plan.connections, MANY);
    assert_int_equal(plan.spread_ms, 600);
    assert_int_equal(plan.window_ms, 1000);
    assert_int_equal(plan.rate, 100);
    assert_false(linnet_server_draining(w.server));
    stop(&w, 0);
    assert_true(linnet_server_draining(w.server));
    until_stopped(&w);
    for (int i = 0; i < MANY; i++) {
        const client *c = &w.all[i];
        assert_int_equal(c->code, 1012);
        slots[c->closed_at / 100 < 5 ? c->closed_at / 100 : 5]++;
        if (i == MANY - 1) {
            assert_int_equal(c->after_ms, -1);
            continue;
        }
        assert_true(c->told_first);
        assert_in_range(c->after_ms, 600 * i / MANY, 600 * i / MANY + 1000);
    }
    for (int i = 0; i < 5; i++) /* 10 each, but for a busy machine, which is late with some */
        if (slots[i] > 20) fail_msg("%u in %d00 ms", slots[i], i);
    close_world(&w);
}

static void few_are_closed_at_once(void **state) {
    static const struct {
        const char *why;
        int count;
        uint32_t rate;
    } rows[] = {
        { "they can all come back at once", 10, 0 },
        { "nobody wants waves", MANY, LINNET_OFF },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        world w;
        linnet_drain_plan plan = LINNET_DRAIN_PLAN_INIT;
        open_world(&w, 0, rows[i].rate, 0);
        dial(&w, rows[i].count);
        assert_int_equal(linnet_server_drain_plan(w.server, &plan), LINNET_OK);
        assert_int_equal(plan.spread_ms, 0);
        assert_true(plan.rate >= 1000);
        assert_int_equal(plan.drain_ms, 30000);
        stop(&w, 3001);
        assert_int_equal(linnet_loop_turn(w.loop, 1), LINNET_OK);
        assert_int_equal(linnet_loop_turn(w.loop, 1), LINNET_OK);
        for (int k = 0; k < 1000 && !w.all[rows[i].count - 1].code; k++)
            assert_int_equal(linnet_loop_turn(w.clients, 1), LINNET_OK);
        for (int k = 0; k < rows[i].count; k++)
            if (w.all[k].code != 3001) fail_msg("%s: %d", rows[i].why, w.all[k].code);
        until_stopped(&w);
        close_world(&w);
    }
}

static void it_serves_during_the_lead(void **state) {
    world w;
    open_world(&w, 300, 0, 0);
    dial(&w, 1);
    stop(&w, 0);
    turn(&w);
    assert_true(linnet_server_draining(w.server));
    client first = w.all[0];
    w.all[1] = first;
    dial(&w, 1); /* somebody comes in yet */
    assert_non_null(first.conn);
    until_stopped(&w);
    assert_int_equal(w.all[0].code, 1012);
    assert_true(w.all[0].closed_at >= 290);
    close_world(&w);
}

static void a_second_stop_ends_it(void **state) {
    static const uint32_t leads[] = { 0, 60000 };
    for (size_t i = 0; i < LN_COUNT(leads); i++) {
        world w;
        open_world(&w, leads[i], 1, LINNET_OFF);
        dial(&w, 5);
        stop(&w, 0);
        turn(&w);
        assert_false(linnet_server_stopped(w.server));
        linnet_server_stop(w.server, 0);
        until_stopped(&w);
        assert_true(now_ms() - w.stopped < 20000);
        close_world(&w);
    }
}

static void the_plan_keeps_to_its_bound(void **state) {
    world w;
    linnet_drain_plan plan = LINNET_DRAIN_PLAN_INIT;
    open_world(&w, 5, 1, 1000);
    dial(&w, 5);
    assert_int_equal(linnet_server_drain_plan(w.server, &plan), LINNET_OK);
    assert_int_equal(plan.spread_ms, 750); /* three quarters, so that the last can answer */
    assert_int_equal(plan.window_ms, 5000);
    assert_int_equal(plan.lead_ms, 5);
    plan.size = 1;
    assert_int_equal(linnet_server_drain_plan(w.server, &plan), LINNET_ERR_INVAL);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_are_closed_one_after_the_other),
        cmocka_unit_test(few_are_closed_at_once),
        cmocka_unit_test(it_serves_during_the_lead),
        cmocka_unit_test(a_second_stop_ends_it),
        cmocka_unit_test(the_plan_keeps_to_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
