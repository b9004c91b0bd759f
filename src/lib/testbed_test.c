#include "base/testing.h"
#include <linnet/linnet.h>
#include <linnet/test.h>
#include <stdio.h>
#include <string.h>

#define URL "ws://127.0.0.1:8080/ws"

typedef struct scene {
    linnet_test *t;
    linnet_server *server;
    linnet_hub *hub;
} scene;

static int set_up(void **state) {
    scene *s = calloc(1, sizeof *s);
    assert_non_null(s);
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
    so.workers = 2;
    so.drain_ms = 5000;
    ho.members = true;
    assert_int_equal(linnet_test_new(NULL, &s->t), LINNET_OK);
    assert_int_equal(linnet_test_server(s->t, &so, &s->server), LINNET_OK);
    assert_int_equal(linnet_hub_new(&ho, &s->hub), LINNET_OK);
    assert_int_equal(linnet_server_hub(s->server, "/ws", s->hub), LINNET_OK);
    assert_int_equal(linnet_server_listen(s->server, "127.0.0.1:8080", NULL, NULL), LINNET_OK);
    assert_int_equal(linnet_server_start(s->server), LINNET_OK);
    *state = s;
    return 0;
}

static int tear_down(void **state) {
    scene *s = *state;
    linnet_test_free(s->t);
    linnet_hub_free(s->hub);
    free(s);
    return 0;
}

static linnet_test_client *dial(scene *s) {
    linnet_test_client *c;
    assert_int_equal(linnet_test_dial(s->t, URL, "linnet.v1", &c), LINNET_OK);
    assert_non_null(linnet_test_hear(c, "welcome", 1000).data);
    return c;
}

static void join(linnet_test_client *c, const char *more) {
    char text[128];
    snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"tea\"%s}", more);
    assert_int_equal(linnet_test_say(c, text), LINNET_OK);
    assert_non_null(linnet_test_hear(c, "\"type\":\"ok\"", 1000).data);
}

static void what_one_says_the_other_hears(void **state) {
    linnet_test_client *anna = dial(*state), *bob = dial(*state);
    join(anna, "");
    join(bob, "");
    assert_int_equal(
        linnet_test_say(anna, "{\"type\":\"publish\",\"channel\":\"tea\",\"data\":7}"), LINNET_OK);
    linnet_slice heard = linnet_test_hear(bob, NULL, 1000);
    assert_non_null(heard.data);
    assert_int_equal(heard.data[heard.size], 0);
    assert_non_null(strstr((const char *)heard.data, "\"data\":7"));
    assert_null(linnet_test_hear(bob, NULL, 1000).data); /* once */
    assert_int_equal(linnet_test_closed(anna), 0);
    linnet_test_client_free(anna);
    linnet_test_client_free(bob);
}

static void who_vanishes_is_noticed_and_leaves_after_a_while(void **state) {
    scene *s = *state;
    linnet_test_client *anna = dial(s), *bob = dial(s);
    join(anna, "");
    join(bob, ",\"presence\":true");
    linnet_test_vanish(anna);
    uint64_t gone = linnet_test_now(s->t);
    /* Bob's own pings are answered meanwhile. */
    while (linnet_test_now(s->t) < gone + 60000) {
        linnet_slice heard = linnet_test_hear(bob, NULL, 1000);
        if (heard.data && strstr((const char *)heard.data, "\"ping\""))
            linnet_test_say(bob, "{\"type\":\"pong\"}");
        if (heard.data && strstr((const char *)heard.data, "\"leaves\":[{")) break;
    }
    uint64_t took = linnet_test_now(s->t) - gone;
    assert_in_range(took, 35000, 45000); /* ping, pong, linger: 25 + 10 + 5 s */
    assert_int_equal(linnet_test_closed(bob), 0);
}

static void who_is_cut_off_sees_it(void **state) {
    linnet_test_client *anna = dial(*state);
    linnet_test_cut(anna);
    assert_null(linnet_test_hear(anna, NULL, 1000).data);
    assert_int_equal(linnet_test_closed(anna), 1006);
    assert_null(linnet_test_conn(anna));
    assert_int_equal(linnet_test_say(anna, "{}"), LINNET_ERR_CLOSED);
}

static void time_passes_and_the_wall_may_jump(void **state) {
    scene *s = *state;
    uint64_t now = linnet_test_now(s->t), wall = linnet_test_wall(s->t);
    assert_int_equal(linnet_test_pass(s->t, 3600000), LINNET_OK);
    assert_int_equal(linnet_test_now(s->t), now + 3600000);
    assert_int_equal(linnet_test_wall(s->t), wall + 3600000);
    linnet_test_client *anna = dial(s);
    now = linnet_test_now(s->t);
    assert_int_equal(linnet_test_set_wall(s->t, 42), LINNET_OK);
    assert_int_equal(linnet_test_wall(s->t), 42);
    assert_int_equal(linnet_test_now(s->t), now); /* nothing else moves */
    assert_int_equal(linnet_test_pass(s->t, 1000), LINNET_OK);
    assert_int_equal(linnet_test_wall(s->t), 1042);
    assert_int_equal(linnet_test_now(s->t), now + 1000);
    assert_int_equal(linnet_test_closed(anna), 0);
}

static void fire(linnet_timer *timer, void *ctx) {
    (void)timer;
    *(int *)ctx += 1;
}

static void a_timer_that_is_set_between_turns_counts_from_there(void **state) {
    scene *s = *state;
    int fired = 0;
    linnet_timer *timer;
    linnet_test_client *anna = dial(s);
    assert_int_equal(linnet_test_pass(s->t, 12345), LINNET_OK); /* nothing happens meanwhile */
    linnet_loop *loop = linnet_conn_loop(linnet_test_conn(anna));
    assert_int_equal(linnet_timer_new(loop, fire, &fired, &timer), LINNET_OK);
    linnet_timer_set(timer, 1000);
    assert_int_equal(linnet_test_pass(s->t, 990), LINNET_OK);
    assert_int_equal(fired, 0);
    assert_int_equal(linnet_test_pass(s->t, 20), LINNET_OK);
    assert_int_equal(fired, 1);
    linnet_timer_free(timer);
}

static void an_end_says_goodbye(void **state) {
    scene *s = *state;
    linnet_test_client *anna = dial(s);
    uint64_t begin = linnet_test_now(s->t);
    assert_int_equal(linnet_test_stop(s->t, s->server, false), LINNET_OK);
    assert_true(linnet_test_now(s->t) - begin <= 6000);
    assert_non_null(linnet_test_hear(anna, "goaway", 1000).data);
    linnet_test_hear(anna, NULL, 1000);
    assert_int_equal(linnet_test_closed(anna), 1012);
    linnet_test_client *nobody;
    assert_int_equal(linnet_test_dial(s->t, URL, "linnet.v1", &nobody), LINNET_ERR_CONNECT);
    assert_int_equal(linnet_test_stop(s->t, s->server, true), LINNET_ERR_INVAL);
}

static void refusals_have_a_status(void **state) {
    scene *s = *state;
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    linnet_test_client *nobody;
    int status = 0;
    o.url = "ws://127.0.0.1:8080/nowhere";
    assert_true(linnet_test_dial_with(s->t, &o, &nobody, &status) < 0);
    assert_int_equal(status, 404);
}

typedef struct inside {
    linnet_test *t;
    int pass, dial, server;
} inside;

static void from_inside(linnet_conn *conn) {
    inside *in = linnet_conn_user(conn);
    linnet_test_client *c;
    linnet_server *s;
    in->pass = linnet_test_pass(in->t, 1);
    in->dial = linnet_test_dial(in->t, URL, NULL, &c);
    in->server = linnet_test_server(in->t, NULL, &s);
    linnet_test_free(in->t);
}

static void callbacks_cannot_move_time(void **state) {
    linnet_test *t;
    linnet_server *server;
    linnet_test_client *c;
    inside in = { .pass = 1, .dial = 1, .server = 1 };
    (void)state;
    assert_int_equal(linnet_test_new(NULL, &t), LINNET_OK);
    in.t = t;
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    route.events.on_open = from_inside;
    route.user = &in;
    assert_int_equal(linnet_test_server(t, NULL, &server), LINNET_OK);
    assert_int_equal(linnet_server_ws(server, "/ws", &route), LINNET_OK);
    assert_int_equal(linnet_server_listen(server, "127.0.0.1:8080", NULL, NULL), LINNET_OK);
    assert_int_equal(linnet_server_start(server), LINNET_OK);
    assert_int_equal(linnet_test_dial(t, URL, NULL, &c), LINNET_OK);
    assert_int_equal(linnet_test_pass(t, 10), LINNET_OK);
    assert_int_equal(in.pass, LINNET_ERR_STATE);
    assert_int_equal(in.dial, LINNET_ERR_STATE);
    assert_int_equal(in.server, LINNET_ERR_STATE);
    linnet_test_free(t);
}

/* What one run of a small story says, with its time stamps, client names and epochs. */
static void story(uint64_t seed, char *out, size_t size) {
    linnet_test_options o = LINNET_TEST_OPTIONS_INIT;
    linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
    linnet_test *t;
    linnet_server *server;
    linnet_hub *hub;
    linnet_test_client *c;
    o.seed = seed;
    o.delay_ms = 20;
    assert_int_equal(linnet_test_new(&o, &t), LINNET_OK);
    assert_int_equal(linnet_test_server(t, NULL, &server), LINNET_OK);
    assert_int_equal(linnet_hub_new(&ho, &hub), LINNET_OK);
    assert_int_equal(linnet_server_hub(server, "/ws", hub), LINNET_OK);
    assert_int_equal(linnet_server_listen(server, "127.0.0.1:8080", NULL, NULL), LINNET_OK);
    assert_int_equal(linnet_server_start(server), LINNET_OK);
    assert_int_equal(linnet_test_dial(t, URL, "linnet.v1", &c), LINNET_OK);
    int at = snprintf(out, size, "%s", (const char *)linnet_test_hear(c, "welcome", 1000).data);
    linnet_test_say(c, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"tea\"}");
    snprintf(out + at, size - (size_t)at, "%s at %llu",
        (const char *)linnet_test_hear(c, "\"re\":1", 1000).data,
        (unsigned long long)linnet_test_now(t));
    linnet_test_free(t);
    linnet_hub_free(hub);
}

static void a_seed_is_a_run(void **state) {
    char first[2048], again[2048], other[2048];
    (void)state;
    story(7, first, sizeof first);
    story(7, again, sizeof again);
    story(8, other, sizeof other);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
}

static void bad_options(void **state) {
    linnet_test_options o = LINNET_TEST_OPTIONS_INIT;
    linnet_test *t;
    (void)state;
    o.size = 3;
    assert_int_equal(linnet_test_new(&o, &t), LINNET_ERR_INVAL);
    linnet_test_free(NULL);
    linnet_test_client_free(NULL);
    assert_int_equal(linnet_test_new(NULL, &t), LINNET_OK);
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    linnet_server *server, *more;
    so.size = 3;
    assert_int_equal(linnet_test_server(t, &so, &server), LINNET_ERR_INVAL);
    for (int i = 0; i < 16; i++)
        assert_int_equal(linnet_test_server(t, NULL, &server), LINNET_OK);
    assert_int_equal(linnet_test_server(t, NULL, &more), LINNET_ERR_LIMIT);
    linnet_test_free(t); /* none of them was started */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_one_says_the_other_hears, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            who_vanishes_is_noticed_and_leaves_after_a_while, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_cut_off_sees_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(time_passes_and_the_wall_may_jump, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_timer_that_is_set_between_turns_counts_from_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_end_says_goodbye, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refusals_have_a_status, set_up, tear_down),
        cmocka_unit_test(callbacks_cannot_move_time),
        cmocka_unit_test(a_seed_is_a_run),
        cmocka_unit_test(bad_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
