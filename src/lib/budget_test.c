/* The budgets that all connections and all channels share: when what waits to be sent is too much,
 * the largest queue is cut and nobody publishes for the moment; histories lose their oldest. */
#include "lib/budget.h"
#include "lib/lib_test.h"
#include "lib/server.h"

#define KIB    1024u
#define BUDGET (512 * KIB)
#define SIZE   (16 * KIB)

typedef struct reader {
    linnet_conn *conn;
    char last[256];
    uint16_t code;
    int status;
    unsigned heard;
} reader;

typedef struct world {
    linnet_loop *loop;
    linnet_server *server;
    linnet_hub *hub;
    char bound[128];
} world;

static void on_open(linnet_conn *conn) {
    ((reader *)linnet_conn_user(conn))->conn = conn;
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice text) {
    reader *r = linnet_conn_user(conn);
    (void)opcode;
    snprintf(r->last, sizeof r->last, "%.*s", (int)text.size, (const char *)text.data);
    r->heard++;
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    reader *r = linnet_conn_user(conn);
    (void)reason, (void)err;
    r->code = code;
    r->conn = NULL;
}

static void on_fail(void *user, int err, int status, const char *words) {
    (void)err, (void)words;
    ((reader *)user)->status = status;
}

static void turns(world *w, int count) {
    while (count-- > 0)
        assert_int_equal(linnet_loop_turn(w->loop, 1), LINNET_OK);
}

#define AWAIT(w, condition)                                                                        \
    for (uint64_t end = host_ms() + 20000; !(condition); turns((w), 1))                            \
        if (host_ms() > end) fail_msg("waited for %s", #condition)

static void world_open(world *w, uint64_t queued, uint64_t history) {
    *w = (world){ .bound = "" };
    assert_int_equal(linnet_loop_new(NULL, &w->loop), LINNET_OK);
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    so.loop = w->loop;
    so.queued_all_max = queued;
    assert_int_equal(linnet_server_new(&so, &w->server), LINNET_OK);
    linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
    ho.limits.queued_max = LINNET_OFF;
    ho.limits.high_mark = LINNET_OFF;
    ho.history_bytes_all = history;
    assert_int_equal(linnet_hub_new(&ho, &w->hub), LINNET_OK);
    assert_int_equal(linnet_server_hub(w->server, "/ws", w->hub), LINNET_OK);
    assert_int_equal(linnet_server_sse(w->server, "/sse", w->hub), LINNET_OK);
    assert_int_equal(linnet_server_listen(w->server, ":0", NULL, w->bound), LINNET_OK);
    assert_int_equal(linnet_server_start(w->server), LINNET_OK);
}

static void world_close(world *w) {
    linnet_server_free(w->server);
    linnet_hub_free(w->hub);
    linnet_loop_free(w->loop);
}

static void dial(world *w, reader *r) {
    char url[256];
    const char *const protocols[] = { "linnet.v1", NULL };
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    snprintf(url, sizeof url, "ws://%s/ws", w->bound);
    o.url = url;
    o.subprotocols = protocols;
    o.events = (linnet_conn_events){ on_open, on_message, NULL, NULL, on_close };
    o.on_fail = on_fail;
    o.user = r;
    *r = (reader){ .code = 0 };
    assert_int_equal(linnet_client_dial(w->loop, &o, NULL), LINNET_OK);
    AWAIT(w, r->heard || r->status);
}

static void say(reader *r, const char *text) {
    assert_int_equal(linnet_conn_send(r->conn, LINNET_TEXT, linnet_str(text)), LINNET_OK);
}

static void subscribe(world *w, reader *r, const char *channel) {
    char text[100];
    snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"%s\"}", channel);
    say(r, text);
    AWAIT(w, strstr(r->last, "\"ok\""));
}

static int publish(world *w, const char *channel) {
    static char data[SIZE];
    memset(data, 'x', sizeof data);
    data[0] = data[sizeof data - 1] = '"';
    linnet_publication p = LINNET_PUBLICATION_INIT;
    p.channel = linnet_str(channel);
    p.data = (linnet_slice){ (const uint8_t *)data, sizeof data };
    int err = linnet_hub_publish(w->hub, &p);
    turns(w, 1);
    return err;
}

static uint64_t held(const world *w) {
    return ln_stat_get(&w->server->workers[0]->env.held);
}

/* Nobody reads in `channel`; until so much more waits. */
static void fill(world *w, const char *channel, uint64_t bytes) {
    uint64_t end = host_ms() + 20000, goal = held(w) + bytes;
    while (held(w) < goal && !linnet_server_crowded(w->server)) {
        assert_int_equal(publish(w, channel), LINNET_OK);
        assert_true(host_ms() < end);
    }
}

static uint64_t counted(const world *w, const char *name) {
    unsigned at = 0;
    uint64_t n;
    for (const char *reason; (reason = linnet_server_next_reason(w->server, &at, &n));)
        if (strcmp(reason, name) == 0) return n;
    return 0;
}

static const char *ask_stream(world *w, char *answer, size_t size) {
    host h = { .loop = w->loop, .server = w->server };
    int fd = host_visit(&h, linnet_str("GET /sse?channel=a HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    AWAIT(w, (host_hear(&h, fd), h.heard_size));
    close(fd);
    snprintf(answer, size, "%s", h.heard);
    return answer;
}

static void the_largest_goes(void **state) {
    world w;
    reader much, little, some, quick, late;
    char answer[512];
    world_open(&w, BUDGET, 0);
    dial(&w, &much);
    dial(&w, &little);
    dial(&w, &some);
    dial(&w, &quick);
    subscribe(&w, &much, "much");
    subscribe(&w, &little, "little");
    subscribe(&w, &some, "some");
    subscribe(&w, &quick, "little");
    linnet_conn_pause(much.conn);
    linnet_conn_pause(little.conn);
    linnet_conn_pause(some.conn);
    fill(&w, "little", 60 * KIB);
    fill(&w, "some", 100 * KIB);
    assert_false(linnet_server_crowded(w.server));
    fill(&w, "much", BUDGET);

    assert_true(linnet_server_crowded(w.server));
    assert_true(held(&w) <= BUDGET + BUDGET / 8);
    assert_int_equal(publish(&w, "much"), LINNET_ERR_AGAIN); /* before the look that cuts */
    if (linnet_server_crowded(w.server)) {                   /* and for everybody else */
        say(&quick, "{\"type\":\"publish\",\"id\":7,\"channel\":\"c\",\"data\":1}");
        say(&quick, "{\"type\":\"ping\",\"id\":8}");
    }
    AWAIT(&w, ln_stat_get(&w.server->workers[0]->budget.cut));
    AWAIT(&w, !linnet_server_crowded(w.server));
    assert_int_equal(counted(&w, "SLOW"), 1);
    assert_int_equal(ln_stat_get(&w.server->workers[0]->budget.cut), 1);
    linnet_conn_resume(much.conn);
    AWAIT(&w, much.code);
    assert_int_equal(much.code, 3008);
    assert_int_equal(publish(&w, "c"), LINNET_OK);
    linnet_conn_resume(little.conn);
    linnet_conn_resume(some.conn);
    say(&little, "{\"type\":\"ping\",\"id\":9}");
    say(&some, "{\"type\":\"ping\",\"id\":9}");
    AWAIT(&w, strstr(little.last, "pong") && strstr(some.last, "pong"));
    assert_int_equal(little.code + some.code + quick.code, 0);
    AWAIT(&w, held(&w) == 0);
    dial(&w, &late);
    assert_int_equal(late.status, 0);
    assert_int_equal(counted(&w, "HTTP_CROWDED"), 0);
    assert_has(ask_stream(&w, answer, sizeof answer), "HTTP/1.1 200");
    world_close(&w);
}

/* While it is so, here for as long as the test likes. */
static void while_crowded(void **state) {
    world w;
    reader r, late;
    char answer[512];
    world_open(&w, BUDGET, 0);
    dial(&w, &r);
    subscribe(&w, &r, "a");
    ln_stat *account = &w.server->workers[0]->env.held;
    ln_stat_add(account, 2 * BUDGET); /* as if it were */
    AWAIT(&w, linnet_server_crowded(w.server));
    turns(&w, 2);
    say(&r, "{\"type\":\"publish\",\"id\":7,\"channel\":\"a\",\"data\":1}");
    AWAIT(&w, strstr(r.last, "error"));
    assert_has(r.last, "\"re\":7");
    assert_has(r.last, "\"code\":108");
    assert_has(r.last, "\"retry\":true");
    assert_has(r.last, "\"retry_after\":1000");
    assert_int_equal(publish(&w, "a"), LINNET_ERR_AGAIN);
    assert_int_equal(linnet_server_publish(w.server, linnet_str("t"), LINNET_TEXT, linnet_str("x")),
        LINNET_ERR_AGAIN);
    say(&r, "{\"type\":\"subscribe\",\"id\":8,\"channel\":\"b\"}"); /* all else is as always */
    AWAIT(&w, strstr(r.last, "\"ok\""));
    dial(&w, &late);
    assert_int_equal(late.status, 503);
    assert_int_equal(counted(&w, "HTTP_CROWDED"), 1);
    assert_has(ask_stream(&w, answer, sizeof answer), "HTTP/1.1 503");
    linnet_hub_stats stats = LINNET_HUB_STATS_INIT;
    assert_int_equal(linnet_hub_get_stats(w.hub, &stats), LINNET_OK);
    assert_int_equal(stats.crowded, 1);
    assert_int_equal(r.code, 0); /* who has nothing waiting is not cut */
    ln_stat_sub(account, 2 * BUDGET);
    AWAIT(&w, !linnet_server_crowded(w.server));
    say(&r, "{\"type\":\"publish\",\"id\":9,\"channel\":\"c\",\"data\":1}");
    AWAIT(&w, strstr(r.last, "\"re\":9"));
    assert_has(r.last, "\"ok\"");
    world_close(&w);
}

static void off(void **state) {
    world w;
    reader r;
    world_open(&w, LINNET_OFF, 0);
    dial(&w, &r);
    ln_stat_add(&w.server->workers[0]->env.held, UINT64_C(1) << 50);
    subscribe(&w, &r, "a");
    assert_false(linnet_server_crowded(w.server));
    ln_stat_sub(&w.server->workers[0]->env.held, UINT64_C(1) << 50);
    world_close(&w);
}

/* Over several workers: the channels of all keep no more than the budget, whichever homes they
 * have, and the one that keeps most gives. */
typedef struct answer {
    ln_flag there;
    int err;
} answer;

static void on_published(void *ctx, linnet_hub *hub, int err, uint64_t epoch, uint64_t offset) {
    answer *a = ctx;
    (void)hub, (void)epoch, (void)offset;
    a->err = err;
    ln_flag_raise(&a->there);
}

static void publish_wait(linnet_hub *hub, const char *channel) {
    static char data[SIZE];
    memset(data, 'x', sizeof data);
    data[0] = data[sizeof data - 1] = '"';
    answer a = { .err = 0 };
    linnet_publication p = LINNET_PUBLICATION_INIT;
    p.channel = linnet_str(channel);
    p.data = (linnet_slice){ (const uint8_t *)data, sizeof data };
    assert_int_equal(linnet_hub_publish_then(hub, &p, on_published, &a), LINNET_OK);
    while (!ln_flag_up(&a.there))
        usleep(50);
    assert_int_equal(a.err, LINNET_OK);
}

static void nothing(void *ctx) {
    ln_flag_raise(ctx);
}

static void one_turn(linnet_loop *w) {
    ln_flag done = { 0 };
    assert_int_equal(linnet_loop_post(w, nothing, &done), LINNET_OK);
    while (!ln_flag_up(&done))
        usleep(50);
}

static uint64_t kept(const linnet_server *s) {
    linnet_memory m = LINNET_MEMORY_INIT;
    assert_int_equal(linnet_server_get_memory(s, &m), LINNET_OK);
    return m.histories;
}

/* Who keeps more than it may has to wake before it drops any. */
static void await_kept(const linnet_server *s, uint64_t most) {
    for (uint64_t end = host_ms() + 20000; kept(s) > most; usleep(100))
        assert_true(host_ms() < end);
}

static void histories_of_all(void **state) {
    enum { WORKERS = 3, CHANNELS = 24, ALL = 1024 * KIB };
    enum { MOST = ALL + WORKERS * (ALL / 16 + SIZE) }; /* each may be a step from its last look */
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
    linnet_server *server;
    linnet_hub *hub;
    char name[16];
    so.workers = WORKERS;
    ho.history_bytes_all = ALL;
    assert_int_equal(linnet_server_new(&so, &server), LINNET_OK);
    assert_int_equal(linnet_hub_new(&ho, &hub), LINNET_OK);
    assert_int_equal(linnet_server_hub(server, "/ws", hub), LINNET_OK);
    assert_int_equal(linnet_server_start(server), LINNET_OK);
    for (int i = 0; i < 80; i++) /* one worker keeps all there is */
        publish_wait(hub, "alone");
    one_turn(server->workers[ln_hub_home(server->key, WORKERS, LN_SLICE("alone"))]);
    assert_in_range(kept(server), ALL - 2 * SIZE - SIZE, ALL);
    for (int i = 0; i < 200; i++) { /* and then the others come */
        snprintf(name, sizeof name, "c%d", i % CHANNELS);
        publish_wait(hub, name);
        await_kept(server, MOST);
    }
    assert_in_range(kept(server), ALL - ALL / 4, MOST);
    linnet_hub_stats stats = LINNET_HUB_STATS_INIT;
    assert_int_equal(linnet_hub_get_stats(hub, &stats), LINNET_OK);
    assert_true(stats.evicted >= 180); /* some went because a channel keeps only so many */
    linnet_server_free(server);
    linnet_hub_free(hub);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_goes),
        cmocka_unit_test(while_crowded),
        cmocka_unit_test(off),
        cmocka_unit_test(histories_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
