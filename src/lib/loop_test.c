/* A loop by itself: posts, timers, its descriptor in somebody else's poll, and how it ends. */
#include "base/mem.h"
#include "lib/lib_test.h"
#include <poll.h>
#include <pthread.h>

static linnet_loop *loop_new(void) {
    linnet_loop *loop;
    assert_int_equal(linnet_loop_new(NULL, &loop), LINNET_OK);
    return loop;
}

static void test_options(void **state) {
    (void)state;
    linnet_loop *loop = NULL;
    linnet_loop_options o = LINNET_LOOP_OPTIONS_INIT;
    assert_int_equal(linnet_loop_new(&o, NULL), LINNET_ERR_INVAL);
    o.size = 1;
    assert_int_equal(linnet_loop_new(&o, &loop), LINNET_ERR_INVAL);
    assert_null(loop);
    linnet_loop_free(NULL);
    o.size = sizeof o;
    o.busy_poll_us = 50;
    assert_int_equal(linnet_loop_new(&o, &loop), LINNET_OK);
    assert_int_equal(linnet_loop_connections(loop), 0);
    assert_int_equal(linnet_loop_turn(loop, 0), LINNET_OK);
    assert_int_equal(linnet_loop_turn(loop, 5), LINNET_OK);
    assert_true(linnet_loop_now(loop) > 0);
    linnet_loop_free(loop);
}

/* ---- posts -------------------------------------------------------------------------------------
 */

typedef struct count {
    linnet_loop *loop;
    int n, turns_inside;
} count;

static void counts(void *ctx) {
    count *c = ctx;
    c->n++;
    if (linnet_loop_turn(c->loop, 0) == LINNET_ERR_STATE) c->turns_inside++;
}

static void posts_another(void *ctx) {
    count *c = ctx;
    c->n++;
    if (c->n < 10) assert_int_equal(linnet_loop_post(c->loop, posts_another, c), LINNET_OK);
}

static void test_posts(void **state) {
    (void)state;
    linnet_loop *loop = loop_new();
    count c = { .loop = loop };
    assert_int_equal(linnet_loop_post(loop, NULL, &c), LINNET_ERR_INVAL);
    assert_int_equal(linnet_loop_post(loop, counts, &c), LINNET_OK);
    assert_int_equal(c.n, 0);
    assert_int_equal(linnet_loop_turn(loop, -1), LINNET_OK); /* does not sleep */
    assert_int_equal(c.n, 1);
    assert_int_equal(c.turns_inside, 1); /* no turn in a turn */
    assert_int_equal(linnet_loop_post(loop, posts_another, &c), LINNET_OK);
    for (int i = 0; i < 9; i++) { /* each in a later turn */
        assert_int_equal(linnet_loop_turn(loop, -1), LINNET_OK);
        assert_int_equal(c.n, 2 + i);
    }
    c.n = 0;
    int err = LINNET_OK;
    int fit = 0;
    while ((err = linnet_loop_post(loop, counts, &c)) == LINNET_OK)
        fit++;
    assert_int_equal(err, LINNET_ERR_AGAIN);
    assert_true(fit >= 60000);
    assert_int_equal(linnet_loop_turn(loop, 0), LINNET_OK);
    assert_int_equal(c.n, fit);
    assert_int_equal(linnet_loop_post(loop, counts, &c), LINNET_OK);
    linnet_loop_free(loop); /* one is left: not called any more, and not leaked */
    assert_int_equal(c.n, fit);
}

static void *posts_many(void *arg) {
    count *c = arg;
    for (int i = 0; i < 1000; i++)
        while (linnet_loop_post(c->loop, counts, c) == LINNET_ERR_AGAIN)
            usleep(100);
    return NULL;
}

static void test_posts_from_threads(void **state) {
    (void)state;
    linnet_loop *loop = loop_new();
    count c = { .loop = loop };
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, posts_many, &c), 0);
    while (c.n < 3000)
        assert_int_equal(linnet_loop_turn(loop, -1), LINNET_OK);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    linnet_loop_free(loop);
}

static void *stops(void *arg) {
    usleep(20000);
    linnet_loop_wake(arg);
    usleep(20000);
    linnet_loop_stop(arg);
    return NULL;
}

static void test_run(void **state) {
    (void)state;
    linnet_loop *loop = loop_new();
    pthread_t thread;
    linnet_loop_stop(loop); /* before it runs: it does not */
    assert_int_equal(linnet_loop_run(loop), LINNET_OK);
    assert_int_equal(pthread_create(&thread, NULL, stops, loop), 0);
    assert_int_equal(linnet_loop_run(loop), LINNET_OK);
    pthread_join(thread, NULL);
    assert_int_equal(pthread_create(&thread, NULL, stops, loop), 0); /* and again */
    assert_int_equal(linnet_loop_run(loop), LINNET_OK);
    pthread_join(thread, NULL);
    linnet_loop_free(loop);
}

/* ---- timers ------------------------------------------------------------------------------------
 */

typedef struct ring {
    int fired;
    linnet_timer *other;
    int how;
} ring;

static void rings(linnet_timer *timer, void *ctx) {
    ring *r = ctx;
    r->fired++;
    switch (r->how) {
    case 1: linnet_timer_free(timer); break;
    case 2: linnet_timer_stop(r->other); break;
    case 3:
        linnet_timer_free(r->other);
        r->other = NULL;
        break;
    case 4: linnet_timer_set(timer, 0); break;
    default: break;
    }
}

static void test_timers(void **state) {
    (void)state;
    linnet_loop *loop = loop_new();
    ring r = { 0 }, other = { 0 };
    linnet_timer *a, *b;
    assert_int_equal(linnet_timer_new(NULL, rings, &r, &a), LINNET_ERR_INVAL);
    assert_int_equal(linnet_timer_new(loop, NULL, &r, &a), LINNET_ERR_INVAL);
    assert_int_equal(linnet_timer_new(loop, rings, &r, NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_timer_new(loop, rings, &r, &a), LINNET_OK);
    assert_int_equal(linnet_timer_new(loop, rings, &other, &b), LINNET_OK);
    linnet_timer_free(NULL);
    linnet_timer_stop(a); /* not set */
    linnet_timer_set(a, 1000000);
    linnet_timer_set(a, 5); /* moved */
    uint64_t begun = host_ms();
    while (!r.fired)
        assert_int_equal(linnet_loop_turn(loop, -1), LINNET_OK);
    assert_true(host_ms() - begun < 2000);
    for (int i = 0; i < 5; i++)
        linnet_loop_turn(loop, 3);
    assert_int_equal(r.fired, 1); /* once */
    linnet_timer_set(a, 1);
    linnet_timer_stop(a);
    for (int i = 0; i < 5; i++)
        linnet_loop_turn(loop, 2);
    assert_int_equal(r.fired, 1);

    for (int how = 2; how < 4; how++) { /* due in the same turn; one ends the other */
        r.how = how;
        r.other = b;
        r.fired = other.fired = 0;
        linnet_timer_set(a, 0);
        while (!r.fired)
            assert_int_equal(linnet_loop_turn(loop, -1), LINNET_OK);
        if (how == 2) linnet_timer_set(b, 50000);
    }
    r.how = 4; /* sets itself for now: once a turn or a few, but the turn ends */
    r.fired = 0;
    linnet_timer_set(a, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(linnet_loop_turn(loop, 0), LINNET_OK);
    assert_true(r.fired >= 1);
    r.how = 1;
    r.fired = 0;
    while (!r.fired)
        assert_int_equal(linnet_loop_turn(loop, -1), LINNET_OK);
    assert_int_equal(linnet_timer_new(loop, rings, &r, &a), LINNET_OK);
    linnet_timer_set(a, 1);
    linnet_loop_free(loop); /* with one left */
}

/* ---- in somebody else's poll
 * ---------------------------------------------------------------------- */

static bool readable(linnet_loop *loop, int ms) {
    struct pollfd p = { .fd = linnet_loop_fd(loop), .events = POLLIN };
    int n = poll(&p, 1, ms);
    assert_true(n >= 0);
    return n == 1;
}

/* One turn, because of what was done outside; then only when the descriptor says so. */
static void poll_until(host *h, const char *part) {
    uint64_t end = host_ms() + 10000;
    assert_int_equal(linnet_loop_turn(h->loop, 0), LINNET_OK);
    while (!strstr(h->said, part)) {
        if (!readable(h->loop, 5000)) fail_msg("slept over \"%s\": \"%s\"", part, h->said);
        assert_int_equal(linnet_loop_turn(h->loop, 0), LINNET_OK);
        assert_true(host_ms() < end);
    }
}

static void says(void *ctx) {
    host_say(ctx, "posted");
}

static void *posts_late(void *arg) {
    host *h = arg;
    usleep(30000);
    assert_int_equal(linnet_loop_post(h->loop, says, h), LINNET_OK);
    return NULL;
}

static void says_timer(linnet_timer *timer, void *ctx) {
    (void)timer;
    host_say(ctx, "timer");
}

static void test_in_a_foreign_poll(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_ws_route ws = host_route(&h);
    assert_int_equal(linnet_server_ws(h.server, "/ws", &ws), LINNET_OK);
    host_start(&h);
    while (readable(h.loop, 0))
        host_turn(&h, 1);
    host_dial(&h, "/ws"); /* between two turns */
    poll_until(&h, "c:open");
    h.said[0] = 0;
    linnet_timer *timer;
    assert_int_equal(linnet_timer_new(h.loop, says_timer, &h, &timer), LINNET_OK);
    linnet_timer_set(timer, 30);
    poll_until(&h, "timer");
    linnet_timer_free(timer);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, posts_late, &h), 0);
    poll_until(&h, "posted");
    pthread_join(thread, NULL);
    assert_int_equal(linnet_loop_send(h.loop, h.id, LINNET_TEXT, linnet_str("hello")), LINNET_OK);
    poll_until(&h, "s:text hello");
    for (int i = 0; i < 3000; i++) /* more than one turn takes */
        linnet_conn_send(h.dialled, LINNET_TEXT, linnet_str("x"));
    linnet_conn_send(h.dialled, LINNET_TEXT, linnet_str("end"));
    h.said[0] = 0;
    linnet_server_stats stats = LINNET_SERVER_STATS_INIT;
    assert_int_equal(linnet_loop_turn(h.loop, 0), LINNET_OK);
    uint64_t end = host_ms() + 10000;
    do {
        if (!readable(h.loop, 5000)) fail_msg("slept over %d", (int)stats.messages_in);
        assert_int_equal(linnet_loop_turn(h.loop, 0), LINNET_OK);
        linnet_server_get_stats(h.server, &stats);
        h.said[0] = 0;
    } while (stats.messages_in < 3002 && host_ms() < end);
    assert_int_equal(stats.messages_in, 3002);
    assert_int_equal(
        linnet_server_publish(h.server, linnet_str("t"), LINNET_TEXT, linnet_str("x")), 0);
    assert_true(readable(h.loop, 1000));
    h.said[0] = 0;
    linnet_conn_close(h.dialled, 1000, NULL);
    poll_until(&h, "c:close 1000 ");
    while (readable(h.loop, 0)) /* comes to rest */
        host_turn(&h, 1);
    assert_false(readable(h.loop, 30));
    linnet_server_stop(h.server, 0);
    assert_true(readable(h.loop, 1000));
    host_free(&h);
}

#define MANY 1000000

typedef struct crowd {
    uint32_t fired;
    bool heard;
} crowd;

static void one_of_many(linnet_timer *t, void *ctx) {
    (void)t;
    ((crowd *)ctx)->fired++;
}

static void canary(void *ctx) {
    ((crowd *)ctx)->heard = true;
}

static uint64_t cpu_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* All of them are due at one moment; who says something meanwhile is heard in the next turn. */
static void test_T085_a_million_timers_due_at_once(void **state) {
    (void)state;
    linnet_loop *loop = loop_new();
    linnet_timer **timers = calloc(MANY, sizeof(linnet_timer *));
    crowd c = { 0, false };
    assert_non_null(timers);
    uint64_t due = linnet_loop_now(loop) + 1000, longest = 0;
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(linnet_timer_new(loop, one_of_many, &c, &timers[i]), LINNET_OK);
    for (uint32_t i = 0; i < MANY; i++) {
        uint64_t now = linnet_loop_now(loop);
        linnet_timer_set(timers[i], due > now ? due - now : 0);
    }
    for (uint32_t turns = 0; c.fired < MANY; turns++) {
        c.heard = false;
        assert_int_equal(linnet_loop_post(loop, canary, &c), LINNET_OK);
        uint64_t before = cpu_us();
        assert_int_equal(linnet_loop_turn(loop, 10), LINNET_OK);
        if (cpu_us() - before > longest) longest = cpu_us() - before;
        assert_true(c.heard);
        assert_true(turns < MANY);
    }
    print_message("the longest turn took %u us\n", (unsigned)longest);
    assert_true(longest < 50000);
    assert_int_equal(c.fired, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        linnet_timer_free(timers[i]);
    free(timers);
    linnet_loop_free(loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_posts),
        cmocka_unit_test(test_posts_from_threads),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_timers),
        cmocka_unit_test(test_in_a_foreign_poll),
        cmocka_unit_test(test_T085_a_million_timers_due_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
