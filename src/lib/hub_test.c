/* A hub on a real server: what the program hears and says, and routes with clients on the same
 * loop. */
#include "lib/hub_test.h"
#include <semaphore.h>

static void test_program_and_clients(void **state) {
    (void)state;
    world w;
    program g = { 0 };
    client a, b;
    world_open(&w, false);
    linnet_hub_subscription *sub = NULL;
    assert_int_equal(
        linnet_hub_subscribe(w.hub, linnet_str("news"), hear, end, &g, &sub), LINNET_OK);
    assert_non_null(sub);
    assert_int_equal(publish(w.hub, "news", "", " {\"n\":1} "), LINNET_OK);
    dial(&w, &a, "/ws", "linnet.v1");
    await(&w, &a, "{\"type\":\"welcome\",");
    say(&a, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"news\"}");
    await(&w, &a, "\"offset\":1,\"class\":\"recoverable\"");
    dial(&w, &b, "/ws", NULL);
    say(&b, "{\"action\":\"subscribe\",\"channel\":\"news\"}");
    await(&w, &b, "subscription_confirm");
    say(&a, "{\"type\":\"publish\",\"channel\":\"news\",\"event\":\"e\",\"data\":[2]}");
    await(&w, &a, "\"data\":[2],\"offset\":2,");
    await(&w, &b, "{\"channel\":\"news\",\"data\":[2]}");
    assert_int_equal(publish(w.hub, "news", "f", "3"), LINNET_OK);
    await(&w, &a,
        "{\"type\":\"message\",\"channel\":\"news\",\"event\":\"f\",\"data\":3,\"offset\":3,");
    await(&w, &b, "{\"channel\":\"news\",\"data\":3}");
    const char *heard = "news/ {\"n\":1} @1 \nnews/e [2] @2 ";
    assert_memory_equal(g.text, heard, strlen(heard));
    assert_string_equal(g.text + g.size - 13, "news/f 3 @3 \n");

    assert_int_equal(g.ended, 0);
    assert_int_equal(linnet_hub_unsubscribe(sub), LINNET_OK);
    say(&a, "{\"type\":\"publish\",\"id\":2,\"channel\":\"news\",\"data\":4}");
    await(&w, &a, "\"re\":2,");
    assert_int_equal(g.ended, 1);
    assert_int_equal(g.end_err, LINNET_ERR_CANCELLED);
    assert_null(strstr(g.text, " 4 "));
    world_close(&w);
    assert_int_equal(a.closed, 1006);
}

static void test_live(void **state) {
    (void)state;
    world w;
    program g = { 0 };
    client a;
    world_open(&w, true);
    assert_int_equal(linnet_hub_subscribe(w.hub, linnet_str("x"), hear, end, &g, NULL), LINNET_OK);
    dial(&w, &a, "/ws", "linnet.v1");
    say(&a, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}");
    await(&w, &a, "{\"type\":\"ok\",\"re\":1,\"class\":\"live\"");
    assert_int_equal(publish(w.hub, "x", "", "1"), LINNET_OK);
    await(&w, &a, "{\"type\":\"message\",\"channel\":\"x\",\"data\":1,\"ts\":");
    assert_string_equal(g.text, "x/ 1 @0 \n");
    world_close(&w);
    assert_int_equal(g.end_err, LINNET_ERR_CANCELLED);
}

static const struct {
    const char *why;
    const char *names[2];
    size_t size; /* of the second; 0: right */
    size_t count;
    int err;
} spaces[] = {
    { "two", { "chat", "" }, 0, 2, LINNET_OK },
    { "twice", { "chat", "chat" }, 0, 2, LINNET_ERR_EXISTS },
    { "a wrong name", { "chat", "a:b" }, 0, 2, LINNET_ERR_INVAL },
    { "no name", { "chat", NULL }, 0, 2, LINNET_ERR_INVAL },
    { "no struct", { "chat", "b" }, 1, 2, LINNET_ERR_INVAL },
    { "too many", { "chat", "b" }, 0, 257, LINNET_ERR_LIMIT },
};

static void test_namespaces_declared(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(spaces); i++) {
        linnet_namespace n[2] = { LINNET_NAMESPACE_INIT, LINNET_NAMESPACE_INIT };
        linnet_hub_options o = LINNET_HUB_OPTIONS_INIT;
        linnet_hub *hub = NULL;
        n[0].name = spaces[i].names[0];
        n[1].name = spaces[i].names[1];
        if (spaces[i].size) n[1].size = spaces[i].size;
        o.namespaces = n;
        o.namespace_count = spaces[i].count;
        if (linnet_hub_new(&o, &hub) != spaces[i].err) fail_msg("%s", spaces[i].why);
        linnet_hub_free(hub);
    }
    linnet_hub_options o = LINNET_HUB_OPTIONS_INIT;
    linnet_hub *hub;
    o.namespace_count = 1;
    assert_int_equal(linnet_hub_new(&o, &hub), LINNET_ERR_INVAL);
}

/* The answers say what each channel is like. */
static void test_namespaces(void **state) {
    (void)state;
    for (int live = 0; live < 2; live++) {
        world w;
        client a;
        world_open(&w, live);
        dial(&w, &a, "/ws", NULL);
        say(&a, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"kept:a\"}");
        await(&w, &a, "\"class\":\"recoverable\"");
        say(&a, "{\"type\":\"subscribe\",\"id\":2,\"channel\":\"brief:a\"}");
        await(&w, &a, "{\"type\":\"ok\",\"re\":2,\"class\":\"live\"");
        say(&a, "{\"type\":\"subscribe\",\"id\":3,\"channel\":\"kept\"}");
        await(&w, &a, live ? "\"class\":\"live\"" : "\"class\":\"recoverable\"");
        world_close(&w);
    }
}

static int reload(linnet_hub *hub, uint32_t channels, const char *live) {
    linnet_hub_options o = LINNET_HUB_OPTIONS_INIT;
    linnet_namespace n = LINNET_NAMESPACE_INIT;
    n.name = live;
    n.live = true;
    o.channels_per_connection = channels;
    o.namespaces = &n;
    o.namespace_count = 1;
    return linnet_hub_reload(hub, &o);
}

/* Who is there already gets the new limits, too; a channel keeps its class while it is open. */
static void test_reload(void **state) {
    (void)state;
    world w;
    client a;
    linnet_hub *lonely;
    assert_int_equal(linnet_hub_new(NULL, &lonely), LINNET_OK);
    assert_int_equal(reload(lonely, 2, "x"), LINNET_ERR_STATE);
    linnet_hub_free(lonely);
    world_open(&w, true);
    dial(&w, &a, "/ws", "linnet.v1");
    say(&a, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"brief:a\"}");
    await(&w, &a, "\"class\":\"live\"");
    assert_int_equal(reload(w.hub, 2, "a:b"), LINNET_ERR_INVAL);
    assert_int_equal(reload(w.hub, 2, "kept"), LINNET_OK);
    say(&a, "{\"type\":\"publish\",\"id\":2,\"channel\":\"brief:a\",\"data\":1}");
    await(&w, &a, "{\"type\":\"ok\",\"re\":2}");
    say(&a, "{\"type\":\"subscribe\",\"id\":3,\"channel\":\"brief:b\"}");
    await(&w, &a, "\"class\":\"recoverable\"");
    say(&a, "{\"type\":\"subscribe\",\"id\":4,\"channel\":\"c\"}");
    await(&w, &a, "\"name\":\"limit_exceeded\"");
    say(&a, "{\"type\":\"unsubscribe\",\"id\":5,\"channel\":\"brief:b\"}");
    say(&a, "{\"type\":\"subscribe\",\"id\":6,\"channel\":\"kept:a\"}");
    await(&w, &a, "{\"type\":\"ok\",\"re\":6,\"class\":\"live\"");
    for (int i = 0; i < 100; i++)
        assert_int_equal(reload(w.hub, 0, i % 2 ? "x" : "y"), LINNET_OK);
    say(&a, "{\"type\":\"subscribe\",\"id\":7,\"channel\":\"y:a\"}");
    await(&w, &a, "\"class\":\"recoverable\"");
    assert_int_equal(reload(w.hub, 0, "x"), LINNET_OK); /* nobody takes this one in */
    world_close(&w);
}

static void test_paths(void **state) {
    (void)state;
    static const struct {
        const char *why, *path, *protocol, *first; /* what it is told; NULL: 400 */
    } rows[] = {
        { "a name from the path", "/ws/anna", "linnet.v1",
            "{\"type\":\"welcome\",\"client\":\"anna\"," },
        { "decoded", "/ws/b%C3%B6b", "linnet.v1",
            "\"client\":\"b\xc3\xb6"
            "b\"," },
        { "no name", "/ws/", "linnet.v1", NULL },
        { "two names", "/ws/a/b", "linnet.v1", NULL },
        { "control bytes", "/ws/a%07", "linnet.v1", NULL },
        { "no UTF-8", "/ws/%ff", "linnet.v1", NULL },
        { "too long", "/ws/12345678901234567890123456789012345678901234567890123456789012345",
            "linnet.v1", NULL },
        { "dialect by query", "/ws?dialect=v1", NULL, "{\"type\":\"welcome\"," },
        { "the subprotocol wins", "/ws?dialect=v1", "linnet.channel", "{\"channel\":\"system\"" },
        { "one that we do not know", "/ws?dialect=x", NULL, "{\"type\":\"ok\",\"re\":1," },
    };
    world w;
    world_open(&w, false);
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        client c;
        dial(&w, &c, rows[i].path, rows[i].protocol);
        if (!rows[i].first) {
            assert_int_equal(c.status, 400);
            continue;
        }
        say(&c, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}");
        await(&w, &c, rows[i].first);
        linnet_conn_terminate(c.conn);
        while (c.conn)
            turn(&w);
    }
    world_close(&w);
}

/* The channel is in the URL; what is published there comes as it is. */
static void test_feeds(void **state) {
    (void)state;
    static const struct {
        const char *why, *path;
        int status, closed;
        const char *channel; /* NULL: it does not come so far */
    } rows[] = {
        { "a channel", "/feed/attacks", 0, 0, "attacks" },
        { "with a slash in it", "/feed/noc/attacks", 0, 0, "noc/attacks" },
        { "in percent signs", "/feed/%61ttacks", 0, 0, "attacks" },
        { "on a path that speaks everything", "/ws?dialect=raw&channel=attacks", 0, 0, "attacks" },
        { "where a client has a name too", "/ws/ann?dialect=linnet.raw&channel=x", 0, 0, "x" },
        { "no channel", "/feed/", 400, 0, NULL },
        { "a name that is none", "/feed/a%20b", 400, 0, NULL },
        { "a reserved name", "/feed/system", 403, 0, NULL },
        { "likewise", "/feed/$x", 403, 0, NULL },
        { "in the query", "/ws?dialect=raw&channel=a%00b", 400, 0, NULL },
        { "reserved in the query", "/ws?channel=system", 403, 0, NULL },
        { "no channel in the query", "/ws?dialect=raw", 0, 1008, NULL },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        world w;
        client c;
        world_open(&w, false);
        dial(&w, &c, rows[i].path, NULL);
        assert_int_equal(c.status, rows[i].status);
        for (int n = 0; n < 100 && rows[i].closed && !c.closed; n++)
            turn(&w);
        assert_int_equal(c.closed, rows[i].closed);
        if (rows[i].channel) {
            say(&c, "{\"type\":\"ping\"}");
            await(&w, &c, "{\"type\":\"pong\"}");
            assert_int_equal(publish(w.hub, rows[i].channel, "e", "{\"n\":1}"), LINNET_OK);
            await(&w, &c, "{\"n\":1}");
        }
        world_close(&w);
    }
}

static void test_refusals(void **state) {
    (void)state;
    world w;
    program g = { 0 };
    linnet_hub *other;
    linnet_hub_subscription *sub = NULL;
    assert_int_equal(linnet_hub_new(NULL, &other), LINNET_OK);
    assert_int_equal(publish(other, "x", "", "1"), LINNET_ERR_STATE);
    assert_int_equal(
        linnet_hub_subscribe(other, linnet_str("x"), hear, end, &g, &sub), LINNET_ERR_STATE);
    world_open(&w, false);
    assert_int_equal(linnet_server_hub(w.server, "/late", w.hub), LINNET_ERR_STATE);
    assert_int_equal(publish(w.hub, "a b", "", "1"), LINNET_ERR_INVAL);
    assert_int_equal(publish(w.hub, "system", "", "1"), LINNET_ERR_DENIED);
    assert_int_equal(publish(w.hub, "x", "", "{"), LINNET_ERR_JSON);
    assert_int_equal(publish(w.hub, "x", "", ""), LINNET_ERR_JSON);
    assert_int_equal(
        linnet_hub_subscribe(w.hub, linnet_str("$x"), hear, end, &g, &sub), LINNET_ERR_DENIED);
    assert_null(sub);
    linnet_server *server;
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    so.workers = 1;
    assert_int_equal(linnet_server_new(&so, &server), LINNET_OK);
    assert_int_equal(linnet_server_hub(server, "/ws", w.hub), LINNET_ERR_STATE);
    assert_int_equal(linnet_server_hub(server, "no slash", other), LINNET_ERR_INVAL);
    static const char *const no_feeds[] = { "/feed", "/feed/", "*", "", "feed/*" };
    for (size_t i = 0; i < LN_COUNT(no_feeds); i++)
        assert_int_equal(linnet_server_feed(server, no_feeds[i], other), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_feed(server, NULL, other), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_feed(server, "/f/*", NULL), LINNET_ERR_INVAL);
    assert_int_equal(publish(other, "x", "", "1"), LINNET_ERR_STATE);
    assert_int_equal(linnet_server_hub(server, "/ws", other), LINNET_OK);
    assert_int_equal(linnet_server_hub(server, "/ws", other), LINNET_ERR_EXISTS);
    /* Said and joined before a start that never comes. */
    assert_int_equal(publish(other, "x", "", "1"), LINNET_OK);
    assert_int_equal(linnet_hub_subscribe(other, linnet_str("x"), hear, end, &g, NULL), LINNET_OK);
    linnet_server_free(server);
    assert_int_equal(g.ended, 1);
    assert_int_equal(g.end_err, LINNET_ERR_CANCELLED);
    assert_int_equal(g.size, 0);
    linnet_hub_free(other);
    world_close(&w);
}

#define SAID 2000

typedef struct counter {
    int next;
    sem_t done, over;
} counter;

static void count(void *ctx, linnet_hub *hub, const linnet_publication *p) {
    counter *c = ctx;
    (void)hub;
    char want[16];
    snprintf(want, sizeof want, "%d", c->next++);
    assert_true(ln_slice_eq(p->data, ln_slice_str(want)));
    assert_int_equal(p->offset, c->next);
    if (c->next == SAID) sem_post(&c->done);
}

static void count_over(void *ctx, linnet_hub *hub, int err) {
    (void)hub;
    (void)err;
    sem_post(&((counter *)ctx)->over);
}

static void test_threads(void **state) {
    (void)state;
    linnet_server *server;
    linnet_hub *hub;
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    so.workers = 4;
    assert_int_equal(linnet_server_new(&so, &server), LINNET_OK);
    assert_int_equal(linnet_hub_new(NULL, &hub), LINNET_OK);
    assert_int_equal(linnet_server_hub(server, "/ws", hub), LINNET_OK);
    counter counters[8];
    char name[8], data[16];
    for (int i = 0; i < 8; i++) {
        counters[i].next = 0;
        sem_init(&counters[i].done, 0, 0);
        sem_init(&counters[i].over, 0, 0);
        snprintf(name, sizeof name, "c%d", i);
        assert_int_equal(
            linnet_hub_subscribe(hub, linnet_str(name), count, count_over, &counters[i], NULL),
            LINNET_OK);
    }
    assert_int_equal(linnet_server_start(server), LINNET_OK);
    for (int n = 0; n < SAID; n++) {
        for (int i = 0; i < 8; i++) {
            snprintf(name, sizeof name, "c%d", i);
            snprintf(data, sizeof data, "%d", n);
            int err;
            while ((err = publish(hub, name, "", data)) == LINNET_ERR_AGAIN) {
            }
            assert_int_equal(err, LINNET_OK);
        }
    }
    for (int i = 0; i < 8; i++)
        sem_wait(&counters[i].done);
    linnet_server_stop(server, 0);
    assert_int_equal(linnet_server_join(server), LINNET_OK);
    for (int i = 0; i < 8; i++)
        sem_wait(&counters[i].over);
    linnet_server_free(server);
    linnet_hub_free(hub);
}

/* ---- careless programs ----------------------------------------------------------------- */

typedef struct careless {
    linnet_hub_subscription *sub;
    linnet_server *server;
    linnet_loop *loop;
    int heard, joined, ended, deed;
} careless;

static void hear_carelessly(void *ctx, linnet_hub *hub, const linnet_publication *p) {
    careless *c = ctx;
    if (c->heard++) return; /* it may hear more until the end */
    switch (c->deed) {
    case 0: assert_int_equal(linnet_hub_unsubscribe(c->sub), LINNET_OK); break;
    case 1: assert_int_equal(linnet_hub_publish(hub, p), LINNET_OK); break;
    case 2: linnet_server_stop(c->server, 0); break;
    case 3: assert_int_equal(linnet_loop_turn(c->loop, 0), LINNET_ERR_STATE); break;
    default:
        assert_int_equal(
            linnet_hub_subscribe(hub, p->channel, hear_carelessly, NULL, c, NULL), LINNET_OK);
    }
}

static void end_carelessly(void *ctx, linnet_hub *hub, int err) {
    careless *c = ctx;
    c->ended++;
    (void)err;
    (void)publish(hub, "c", "", "2");
    /* in vain, or ended with the server */
    if (c->ended == 1 && linnet_hub_subscribe(hub, linnet_str("c"), hear_carelessly, end_carelessly,
                             c, &c->sub) == LINNET_OK)
        c->joined++;
}

static void test_careless_programs(void **state) {
    (void)state;
    for (int deed = 0; deed < 5; deed++) {
        for (int live = 0; live < 2; live++) {
            world w;
            world_open(&w, live);
            careless c = { .server = w.server, .loop = w.loop, .deed = deed };
            assert_int_equal(linnet_hub_subscribe(w.hub, linnet_str("c"), hear_carelessly,
                                 end_carelessly, &c, &c.sub),
                LINNET_OK);
            assert_int_equal(publish(w.hub, "c", "", "1"), LINNET_OK);
            for (int i = 0; i < 10; i++)
                assert_int_equal(linnet_loop_turn(w.loop, 5), LINNET_OK);
            assert_true(c.heard > 0);
            world_close(&w);
            assert_int_equal(c.ended, 1 + c.joined);
        }
    }
}

typedef struct pair { /* of subscriptions; the first one to end leaves the other */
    linnet_hub_subscription *subs[2];
    int ended[2];
} pair;

static void end_first(void *ctx, linnet_hub *hub, int err) {
    pair *p = ctx;
    (void)hub;
    p->ended[0]++;
    assert_int_equal(err, LINNET_ERR_CANCELLED);
    if (!p->ended[1]) assert_int_equal(linnet_hub_unsubscribe(p->subs[1]), LINNET_OK);
}

static void end_second(void *ctx, linnet_hub *hub, int err) {
    pair *p = ctx;
    (void)hub;
    (void)err;
    p->ended[1]++;
}

/* The letter to leave arrives when its subscription has ended otherwise. */
static void test_left_and_ended(void **state) {
    (void)state;
    for (int late = 0; late < 2; late++) {
        world w;
        world_open(&w, false);
        pair p = { 0 };
        assert_int_equal(
            linnet_hub_subscribe(w.hub, linnet_str("c"), hear, end_first, &p, &p.subs[0]),
            LINNET_OK);
        assert_int_equal(
            linnet_hub_subscribe(w.hub, linnet_str("c"), hear, end_second, &p, &p.subs[1]),
            LINNET_OK);
        if (late) turn(&w);
        linnet_server_free(w.server);
        linnet_hub_free(w.hub);
        assert_int_equal(linnet_loop_turn(w.loop, 0), LINNET_OK);
        linnet_loop_free(w.loop);
        assert_int_equal(p.ended[0], 1);
        assert_int_equal(p.ended[1], 1);
    }
}

static void test_what_may_be_published(void **state) {
    (void)state;
    static char long_name[257], long_event[257], deep[3000];
    memset(long_name, 'n', 256);
    memset(long_event, 'e', 256);
    memset(deep, '[', sizeof deep - 1);
    static const struct {
        const char *channel, *event, *data;
        int expected;
    } rows[] = {
        { "", "", "1", LINNET_ERR_INVAL },
        { "a b", "", "1", LINNET_ERR_INVAL },
        { "a\r\nb", "", "1", LINNET_ERR_INVAL },
        { "\xff", "", "1", LINNET_ERR_INVAL },
        { long_name, "", "1", LINNET_ERR_INVAL },
        { "$a", "", "1", LINNET_ERR_DENIED },
        { "@", "", "1", LINNET_ERR_DENIED },
        { "system", "", "1", LINNET_ERR_DENIED },
        { "a", long_event, "1", LINNET_ERR_INVAL },
        { "a", "\xff", "1", LINNET_ERR_INVAL },
        { "a", "", "", LINNET_ERR_JSON },
        { "a", "", "1 2", LINNET_ERR_JSON },
        { "a", "", "{\"a\":1,}", LINNET_ERR_JSON },
        { "a", "", "\"\xff\"", LINNET_ERR_JSON },
        { "a", "", "\"\n\"", LINNET_ERR_JSON },
        { "a", "", deep, LINNET_ERR_JSON },
        { "a", "\"\n\\", "1", LINNET_OK },
    };
    world w;
    client a;
    world_open(&w, false);
    dial(&w, &a, "/ws", "linnet.v1");
    await(&w, &a, "welcome");
    say(&a, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"a\"}");
    await(&w, &a, "\"re\":1");
    for (size_t i = 0; i < LN_COUNT(rows); i++)
        if (publish(w.hub, rows[i].channel, rows[i].event, rows[i].data) != rows[i].expected)
            fail_msg("%zu: %.20s %.20s %.20s", i, rows[i].channel, rows[i].event, rows[i].data);
    await(&w, &a, "\"event\":\"\\\"\\n\\\\\"");
    world_close(&w);
}

/* The smallest and the largest number everywhere. */
static void test_numbers_at_their_ends(void **state) {
    (void)state;
    static const uint32_t ends[] = { 1, UINT32_MAX - 1, UINT32_MAX };
    for (size_t i = 0; i < LN_COUNT(ends); i++) {
        world w = { 0 };
        program g = { 0 };
        linnet_hub_subscription *sub;
        linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
        ho.history_count = ho.history_ms = ho.history_bytes = ho.idle_channels = ho.idle_ms =
            ho.channels_max = ho.channels_per_connection = ho.outstanding_max = ho.commands_max =
                ho.errors_max = ho.publish_rate = ho.publish_burst = ends[i];
        ho.history_bytes_all = i ? UINT64_MAX : 1;
        assert_int_equal(linnet_loop_new(NULL, &w.loop), LINNET_OK);
        linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
        so.loop = w.loop;
        assert_int_equal(linnet_server_new(&so, &w.server), LINNET_OK);
        assert_int_equal(linnet_hub_new(&ho, &w.hub), LINNET_OK);
        assert_int_equal(linnet_server_hub(w.server, "/ws", w.hub), LINNET_OK);
        assert_int_equal(linnet_server_listen(w.server, ":0", NULL, w.bound), LINNET_OK);
        assert_int_equal(linnet_server_start(w.server), LINNET_OK);
        assert_int_equal(
            linnet_hub_subscribe(w.hub, linnet_str("c"), hear, end, &g, &sub), LINNET_OK);
        assert_int_equal(publish(w.hub, "c", "", "1"), LINNET_OK);
        client a;
        dial(&w, &a, "/ws", "linnet.v1");
        await(&w, &a, "welcome");
        say(&a, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"c\"}");
        await(&w, &a, "\"re\":1");
        assert_int_equal(publish(w.hub, "c", "", "2"), LINNET_OK);
        await(&w, &a, "\"data\":2");
        world_close(&w);
        assert_int_equal(g.ended, 1);
    }
}

/* The protocol's words for what the library says. */
static void test_words(void **state) {
    (void)state;
    static const struct {
        int err, code;
        const char *name;
        bool retry;
    } rows[] = {
        { LINNET_ERR_INVAL, 107, "bad_request", false },
        { LINNET_ERR_JSON, 107, "bad_request", false },
        { LINNET_ERR_DENIED, 103, "permission_denied", false },
        { LINNET_ERR_LIMIT, 106, "limit_exceeded", false },
        { LINNET_ERR_TOO_BIG, 114, "payload_too_large", false },
        { LINNET_ERR_NOMEM, 100, "internal", true },
        { LINNET_ERR_NOT_FOUND, 112, "unrecoverable_position", false },
        { LINNET_ERR_AGAIN, 108, "not_available", true },
        { LINNET_ERR_CANCELLED, 108, "not_available", true },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        linnet_hub_error e = LINNET_HUB_ERROR_INIT;
        assert_int_equal(linnet_hub_error_code(rows[i].err), rows[i].code);
        assert_int_equal(linnet_hub_describe_error(rows[i].code, &e), LINNET_OK);
        assert_string_equal(e.name, rows[i].name);
        assert_int_equal(e.retry, rows[i].retry);
        assert_non_null(e.words);
    }
    linnet_hub_error e = LINNET_HUB_ERROR_INIT;
    assert_int_equal(linnet_hub_describe_error(99, &e), LINNET_ERR_INVAL);
    assert_int_equal(linnet_hub_describe_error(-2, &e), LINNET_ERR_INVAL);
    e.size = 3;
    assert_int_equal(linnet_hub_describe_error(100, &e), LINNET_ERR_INVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_careless_programs),
        cmocka_unit_test(test_left_and_ended),
        cmocka_unit_test(test_what_may_be_published),
        cmocka_unit_test(test_numbers_at_their_ends),
        cmocka_unit_test(test_program_and_clients),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_live),
        cmocka_unit_test(test_namespaces),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_namespaces_declared),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_feeds),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
