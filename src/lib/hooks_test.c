/* Who decides: the program, now or later, and backends that do it well or badly. */
#include "fetch/fetch_test.h"
#include <linnet/linnet.h>
#include <time.h>

#define KEY  "0123456789abcdef0123456789abcdef"
#define TOLD 16384

typedef struct world {
    linnet_loop *loop;
    linnet_server *server;
    linnet_hub *hub;
    char bound[128];
    linnet_conn *conn;
    char told[TOLD]; /* the client, lines */
    size_t told_size;
    /* the program */
    linnet_verdict verdict;
    linnet_answer now;
    linnet_question_id id;
    char asked[1024];
    uint16_t code;
    int status; /* of a handshake that was turned away */
    char words[256];
} world;

static void on_open(linnet_conn *conn) {
    ((world *)linnet_conn_user(conn))->conn = conn;
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    world *w = linnet_conn_user(conn);
    assert_int_equal(opcode, LINNET_TEXT);
    assert_true(w->told_size + data.size + 2 < TOLD);
    memcpy(w->told + w->told_size, data.data, data.size);
    w->told_size += data.size;
    w->told[w->told_size++] = '\n';
    w->told[w->told_size] = 0;
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    (void)code;
    (void)reason;
    (void)err;
    ((world *)linnet_conn_user(conn))->conn = NULL;
}

static void on_fail(void *user, int err, int status, const char *words) {
    world *w = user;
    w->status = status ? status : err;
    snprintf(w->words, sizeof w->words, "%s", words);
}

static linnet_verdict on_ask(
    void *ctx, linnet_hub *hub, const linnet_question *q, linnet_answer *now) {
    world *w = ctx;
    assert_ptr_equal(hub, w->hub);
    size_t at = strlen(w->asked);
    snprintf(w->asked + at, sizeof w->asked - at, "%d,%.*s,%.*s,%.*s|", (int)q->hook,
        (int)q->channel.size, (const char *)q->channel.data, (int)q->event.size,
        (const char *)q->event.data, (int)q->data.size, (const char *)q->data.data);
    if (q->hook == LINNET_HOOK_CONNECT) {
        assert_true(q->client.size && q->address.size);
        assert_true(ln_slice_eq(q->path, LN_SLICE("/ws"))); /* and no token */
        assert_true(ln_slice_eq(q->headers, LN_SLICE("{\"cookie\":\"session=1\"}")));
    }
    w->id = q->id;
    w->code = q->code;
    if (w->now.size) *now = w->now;
    return w->verdict;
}

static void say(world *w, const char *text) {
    assert_non_null(w->conn);
    assert_int_equal(linnet_conn_send(w->conn, LINNET_TEXT, linnet_str(text)), LINNET_OK);
}

static uint64_t ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void await(world *w, const char *where, const char *part) {
    for (uint64_t end = ms() + 10000; !strstr(where, part);) {
        if (ms() > end) fail_msg("waited for %s, but: %s", part, where);
        assert_int_equal(linnet_loop_turn(w->loop, 20), LINNET_OK);
    }
}

static linnet_hook_stats stats(const world *w) {
    linnet_hook_stats s = LINNET_HOOK_STATS_INIT;
    assert_int_equal(linnet_hub_hook_stats(w->hub, &s), LINNET_OK);
    return s;
}

static void forget(world *w) {
    w->told_size = 0;
    w->told[0] = w->asked[0] = 0;
}

static void world_open(world *w, linnet_hooks *hooks) {
    memset(w, 0, sizeof *w);
    assert_int_equal(linnet_loop_new(NULL, &w->loop), LINNET_OK);
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    so.loop = w->loop;
    assert_int_equal(linnet_server_new(&so, &w->server), LINNET_OK);
    linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
    hooks->ctx = w;
    ho.hooks = hooks;
    assert_int_equal(linnet_hub_new(&ho, &w->hub), LINNET_OK);
    assert_int_equal(linnet_server_hub(w->server, "/ws", w->hub), LINNET_OK);
    assert_int_equal(linnet_server_listen(w->server, "127.0.0.1:0", NULL, w->bound), LINNET_OK);
    assert_int_equal(linnet_server_start(w->server), LINNET_OK);
}

static void join(world *w) {
    static const char *const protocols[] = { "linnet.v1", NULL };
    char url[256];
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    snprintf(url, sizeof url, "ws://%s/ws", w->bound);
    o.url = url;
    o.subprotocols = protocols;
    o.events.on_open = on_open;
    o.events.on_message = on_message;
    o.events.on_close = on_close;
    o.user = w;
    assert_int_equal(linnet_client_dial(w->loop, &o, NULL), LINNET_OK);
    await(w, w->told, "welcome");
    forget(w);
}

/* Tries to come in, and is turned away. */
static void come(world *w) {
    static const char *const protocols[] = { "linnet.v1", NULL };
    static const char *const headers[] = { "Cookie: session=1", "X-Other: 2", NULL };
    char url[256];
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    snprintf(url, sizeof url, "ws://%s/ws?token=secret", w->bound);
    o.url = url;
    o.subprotocols = protocols;
    o.headers = headers;
    o.events.on_open = on_open;
    o.events.on_message = on_message;
    o.events.on_close = on_close;
    o.on_fail = on_fail;
    o.user = w;
    w->status = 0;
    w->words[0] = 0;
    assert_int_equal(linnet_client_dial(w->loop, &o, NULL), LINNET_OK);
}

static void await_status(world *w, int status) {
    for (uint64_t end = ms() + 10000; !w->status && !w->conn;) {
        assert_true(ms() < end);
        assert_int_equal(linnet_loop_turn(w->loop, 20), LINNET_OK);
    }
    assert_int_equal(w->status, status);
}

static void world_close(world *w) {
    linnet_server_free(w->server);
    linnet_hub_free(w->hub);
    linnet_loop_free(w->loop);
}

#define SUBSCRIBE "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}"
#define PUBLISH   "{\"type\":\"publish\",\"id\":2,\"channel\":\"x\",\"data\":5}"
#define CALL      "{\"type\":\"call\",\"id\":3,\"event\":\"add\",\"data\":[1]}"
#define ASKS                                                                                       \
    (LINNET_HOOK_BIT(LINNET_HOOK_SUBSCRIBE) | LINNET_HOOK_BIT(LINNET_HOOK_PUBLISH) |               \
        LINNET_HOOK_BIT(LINNET_HOOK_CALL))

/* The program ------------------------------------------------------------------------------- */

static void test_program_decides_now(void **state) {
    world w;
    linnet_hooks hooks = LINNET_HOOKS_INIT;
    linnet_answer yes = LINNET_ANSWER_INIT;
    hooks.on_ask = on_ask;
    hooks.hooks = ASKS;
    world_open(&w, &hooks);
    join(&w);
    w.verdict = LINNET_REJECT;
    say(&w, SUBSCRIBE);
    await(&w, w.told, "\"code\":103");
    w.now = yes;
    w.now.code = 1200;
    w.now.message = "not \"you\"";
    w.verdict = LINNET_ACCEPT; /* of two answers the safe one */
    say(&w, SUBSCRIBE);
    await(&w, w.told, "\"code\":1200,\"name\":\"application\",\"message\":\"not \\\"you\\\"\"");
    w.now = yes;
    say(&w, SUBSCRIBE);
    await(&w, w.told, "{\"type\":\"ok\",\"re\":1");
    w.now.data = linnet_str("[7]");
    say(&w, PUBLISH);
    await(&w, w.told, "\"data\":[7],\"offset\":1");
    say(&w, CALL);
    await(&w, w.told, "{\"type\":\"ok\",\"re\":3,\"data\":[7]}");
    assert_string_equal(w.asked, "1,x,,|1,x,,|1,x,,|2,x,,5|3,,add,[1]|");
    w.now.data = linnet_str("[7"); /* an answer that is none is no */
    say(&w, CALL);
    await(&w, w.told, "\"code\":108");
    world_close(&w);
}

static void test_program_decides_later(void **state) {
    world w;
    linnet_hooks hooks = LINNET_HOOKS_INIT;
    linnet_answer a = LINNET_ANSWER_INIT;
    hooks.on_ask = on_ask;
    hooks.hooks = ASKS;
    world_open(&w, &hooks);
    join(&w);
    w.verdict = LINNET_DEFER;
    say(&w, SUBSCRIBE);
    say(&w, PUBLISH);
    await(&w, w.asked, "1,x");
    linnet_question_id first = w.id;
    assert_int_equal(linnet_hub_answer(w.hub, first, &a), LINNET_OK);
    await(&w, w.asked, "2,x");
    await(&w, w.told, "{\"type\":\"ok\",\"re\":1");
    a.data = linnet_str("[8");
    assert_int_equal(linnet_hub_answer(w.hub, w.id, &a), LINNET_ERR_INVAL);
    a.data = linnet_str("[8]");
    assert_int_equal(linnet_hub_answer(w.hub, first, &a), LINNET_OK); /* nobody waits for it */
    assert_int_equal(linnet_hub_answer(w.hub, w.id, &a), LINNET_OK);
    await(&w, w.told, "\"data\":[8],\"offset\":1");
    a.message = "no";
    a.code = 403;
    say(&w, CALL);
    await(&w, w.asked, "3,,add,[1]");
    assert_int_equal(linnet_hub_answer(w.hub, w.id, &a), LINNET_OK);
    await(&w, w.told, "\"re\":3,\"error\":{\"code\":403,");
    say(&w, CALL);
    await(&w, w.asked, "3,,add,[1]|3,,add,[1]");
    linnet_conn_terminate(w.conn); /* with an answer pending, which then comes */
    while (w.conn)
        assert_int_equal(linnet_loop_turn(w.loop, 20), LINNET_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(linnet_loop_turn(w.loop, 1), LINNET_OK);
    assert_int_equal(linnet_hub_answer(w.hub, w.id, &a), LINNET_OK);
    assert_int_equal(linnet_loop_turn(w.loop, 1), LINNET_OK);
    linnet_question_id nowhere = { UINT64_C(60) << 56, 1 };
    assert_int_equal(linnet_hub_answer(w.hub, nowhere, &a), LINNET_ERR_INVAL);
    world_close(&w);
}

static void test_program_is_told(void **state) {
    world w;
    linnet_hooks hooks = LINNET_HOOKS_INIT;
    hooks.on_ask = on_ask;
    hooks.hooks = LINNET_HOOK_BIT(LINNET_HOOK_EVENT) | LINNET_HOOK_BIT(LINNET_HOOK_DISCONNECT);
    world_open(&w, &hooks);
    join(&w);
    say(&w, "{\"type\":\"moved\",\"data\":{\"x\":1}}");
    await(&w, w.asked, "4,,moved,{\"x\":1}|");
    assert_int_equal(linnet_conn_close(w.conn, 4001, "bye"), LINNET_OK);
    await(&w, w.asked, "5,,,|");
    assert_int_equal(w.code, 4001);
    world_close(&w);
}

static void test_who_may_come(void **state) {
    world w;
    linnet_hooks hooks = LINNET_HOOKS_INIT;
    linnet_answer a = LINNET_ANSWER_INIT;
    hooks.on_ask = on_ask;
    hooks.hooks = LINNET_HOOK_BIT(LINNET_HOOK_CONNECT) | LINNET_HOOK_BIT(LINNET_HOOK_DISCONNECT);
    world_open(&w, &hooks);
    w.verdict = LINNET_REJECT;
    come(&w);
    await_status(&w, 403);
    w.now = a;
    w.now.code = 101;
    come(&w);
    await_status(&w, 401);
    w.now.code = 0;
    w.now.info = linnet_str("{\"n\":1}"); /* of nobody */
    w.verdict = LINNET_ACCEPT;
    come(&w);
    await_status(&w, 503);
    w.now = a;
    w.verdict = LINNET_DEFER;
    come(&w);
    while (!strstr(w.asked, "0,,,|0,,,|0,,,|0,,,|"))
        assert_int_equal(linnet_loop_turn(w.loop, 20), LINNET_OK);
    assert_null(w.conn);
    a.user = linnet_str("ann");
    a.info = linnet_str("{\"n\":1}");
    a.channels = linnet_str("[\"x\",\"y\"]");
    assert_int_equal(linnet_hub_answer(w.hub, w.id, &a), LINNET_OK);
    await(&w, w.told, "welcome");
    await(&w, w.told, "\"channel\":\"y\"");
    say(&w, "{\"type\":\"publish\",\"channel\":\"x\",\"data\":1}");
    await(&w, w.told, "\"user\":\"ann\",\"info\":{\"n\":1}");
    assert_int_equal(linnet_hub_answer(w.hub, w.id, &a), LINNET_OK); /* a second time */
    for (int i = 0; i < 3; i++)
        assert_int_equal(linnet_loop_turn(w.loop, 1), LINNET_OK);
    assert_non_null(w.conn);
    world_close(&w);
}

/* He has gone before the answer came: whoever said yes hears that he is not there. */
static void test_gone_before_the_answer(void **state) {
    world w;
    linnet_hooks hooks = LINNET_HOOKS_INIT;
    linnet_answer a = LINNET_ANSWER_INIT;
    hooks.on_ask = on_ask;
    hooks.hooks = LINNET_HOOK_BIT(LINNET_HOOK_CONNECT) | LINNET_HOOK_BIT(LINNET_HOOK_DISCONNECT);
    world_open(&w, &hooks);
    w.verdict = LINNET_DEFER;
    int fds[2];
    const char *request = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nCookie: "
                          "session=1\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(linnet_server_adopt(w.server, fds[1], linnet_str(request)), LINNET_OK);
    await(&w, w.asked, "0,,,|");
    linnet_question_id id = w.id;
    close(fds[0]);
    for (int i = 0; i < 20; i++)
        assert_int_equal(linnet_loop_turn(w.loop, 5), LINNET_OK);
    a.user = linnet_str("ann");
    assert_int_equal(linnet_hub_answer(w.hub, id, &a), LINNET_OK);
    await(&w, w.asked, "0,,,|5,,,|");
    assert_int_equal(w.code, 1006);
    world_close(&w);
}

/* A backend --------------------------------------------------------------------------------- */

typedef struct backend {
    faulty server;
    char url[128];
    linnet_webhook hook;
} backend;

static const char *const keys[] = { KEY, NULL };

static void backend_hooks(backend *b, const char *path, unsigned bits, linnet_hooks *out) {
    linnet_webhook one = LINNET_WEBHOOK_INIT;
    linnet_hooks hooks = LINNET_HOOKS_INIT;
    snprintf(b->url, sizeof b->url, "http://127.0.0.1:%u%s", b->server.port, path);
    one.url = b->url;
    one.hooks = bits;
    b->hook = one;
    hooks.webhooks = &b->hook;
    hooks.webhook_count = 1;
    hooks.keys = keys;
    *out = hooks;
}

static const struct {
    const char *why, *path, *subscribe, *call;
} backends[] = {
    { "it allows, and says nothing", "/allow", "\"ok\",\"re\":1", "\"ok\",\"re\":3,\"data\":null" },
    { "it answers", "/data", "\"ok\",\"re\":1", "\"ok\",\"re\":3,\"data\":[7]" },
    { "it refuses", "/deny", "\"code\":1200", "\"code\":1200" },
    { "it answers what is no JSON", "/ok", "\"code\":108", "\"code\":108" },
    { "T100 T154 it is broken", "/500", "\"code\":108", "\"code\":108" },
    { "T154 it sends us elsewhere", "/301", "\"code\":108", "\"code\":108" },
    { "T154 it answers without an end", "/endless", "\"code\":108", "\"code\":108" },
    { "T100 it resets", "/reset", "\"code\":108", "\"code\":108" },
    { "it hangs up", "/nothing", "\"code\":108", "\"code\":108" },
    { "it speaks no HTTP", "/garbage", "\"code\":108", "\"code\":108" },
    { "T100 T154 it does not answer", "/slow", "\"code\":108", "\"code\":115" },
};

static void test_backends(void **state) {
    backend b;
    faulty_start(&b.server, NULL, NULL);
    for (size_t i = 0; i < LN_COUNT(backends); i++) {
        print_message("# %s\n", backends[i].why);
        world w;
        linnet_hooks hooks;
        backend_hooks(&b, backends[i].path, ASKS, &hooks);
        hooks.timeout_ms = 300;
        world_open(&w, &hooks);
        join(&w);
        say(&w, SUBSCRIBE);
        await(&w, w.told, backends[i].subscribe);
        forget(&w);
        say(&w, CALL);
        await(&w, w.told, backends[i].call);
        assert_int_equal(stats(&w).asked, 2);
        bool answered = !strstr(backends[i].subscribe, "108");
        assert_int_equal(stats(&w).unanswered, answered ? 0 : 2);
        world_close(&w);
    }
    faulty_stop(&b.server);
}

static const struct {
    const char *why, *path;
    int status; /* 0: he is in */
} doors[] = {
    { "it allows", "/allow", 0 },
    { "it refuses", "/deny", 403 },
    { "T100 it is broken", "/500", 503 },
    { "T100 it does not answer", "/slow", 503 },
    { "T100 it resets", "/reset", 503 },
    { "it answers what is no JSON", "/ok", 503 },
    { "it sends us elsewhere", "/301", 503 },
    { "it answers without an end", "/endless", 503 },
};

static void test_doors(void **state) {
    backend b;
    faulty_start(&b.server, NULL, NULL);
    for (size_t i = 0; i < LN_COUNT(doors); i++) {
        print_message("# %s\n", doors[i].why);
        world w;
        linnet_hooks hooks;
        backend_hooks(&b, doors[i].path, LINNET_HOOK_BIT(LINNET_HOOK_CONNECT), &hooks);
        hooks.timeout_ms = 300;
        world_open(&w, &hooks);
        come(&w);
        await_status(&w, doors[i].status);
        if (w.conn) await(&w, w.told, "welcome");
        world_close(&w);
    }
    faulty_stop(&b.server);
}

static void test_nobody_there(void **state) {
    backend b;
    world w;
    linnet_hooks hooks;
    faulty_start(&b.server, NULL, NULL);
    faulty_stop(&b.server);
    backend_hooks(&b, "/allow", ASKS, &hooks);
    world_open(&w, &hooks);
    join(&w);
    say(&w, SUBSCRIBE);
    await(&w, w.told, "\"code\":108");
    world_close(&w);
}

/* Others go on while a backend does not answer, and the end does not wait for it. */
static void test_slow_backend_holds_nobody(void **state) {
    backend b;
    world w;
    linnet_hooks hooks;
    faulty_start(&b.server, NULL, NULL);
    backend_hooks(&b, "/slow", LINNET_HOOK_BIT(LINNET_HOOK_SUBSCRIBE), &hooks);
    world_open(&w, &hooks);
    join(&w);
    uint64_t from = ms();
    say(&w, SUBSCRIBE);
    say(&w, "{\"type\":\"publish\",\"id\":2,\"channel\":\"y\",\"data\":5}");
    say(&w, "{\"type\":\"ping\",\"id\":4}");
    await(&w, w.told, "pong");
    await(&w, w.told, "\"ok\",\"re\":2");
    assert_true(ms() - from < 2000);
    world_close(&w);
    assert_true(ms() - from < 4000);
    faulty_stop(&b.server);
}

#define EVENT "{\"type\":\"moved\",\"data\":1}"
#define TELLS LINNET_HOOK_BIT(LINNET_HOOK_EVENT)

static void await_stats(world *w, uint64_t told, uint64_t failed) {
    uint64_t end = ms() + 10000;
    while (stats(w).told < told || stats(w).failed < failed) {
        assert_true(ms() < end);
        assert_int_equal(linnet_loop_turn(w->loop, 20), LINNET_OK);
    }
    assert_int_equal(stats(w).told, told);
    assert_int_equal(stats(w).failed, failed);
    assert_int_equal(stats(w).waiting, 0);
}

static void test_news(void **state) {
    static const struct {
        const char *why, *path;
        uint32_t retries;
        uint64_t told, failed, retried;
    } rows[] = {
        { "arrived", "/allow", 2, 3, 0, 0 },
        { "refused is given up at once", "/deny", 2, 0, 3, 0 },
        { "a redirect too", "/301", 2, 0, 3, 0 },
        { "T154 a broken one is tried again, so often", "/500", 1, 0, 3, 3 },
        { "T154 one that resets too", "/reset", 1, 0, 3, 3 },
        { "never again", "/500", LINNET_OFF, 0, 3, 0 },
    };
    backend b;
    faulty_start(&b.server, NULL, NULL);
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        world w;
        linnet_hooks hooks;
        backend_hooks(&b, rows[i].path, TELLS, &hooks);
        hooks.retries = rows[i].retries;
        world_open(&w, &hooks);
        join(&w);
        for (int n = 0; n < 3; n++)
            say(&w, EVENT);
        await_stats(&w, rows[i].told, rows[i].failed);
        assert_int_equal(stats(&w).retried, rows[i].retried);
        world_close(&w);
    }
    faulty_stop(&b.server);
}

/* T154: the queue has a bound, and beyond it the oldest go. */
static void test_queue(void **state) {
    backend b;
    world w;
    linnet_hooks hooks;
    faulty_start(&b.server, NULL, NULL);
    backend_hooks(&b, "/slow", TELLS, &hooks);
    hooks.queue_max = 4;
    world_open(&w, &hooks);
    join(&w);
    for (int n = 0; n < 20; n++)
        say(&w, EVENT);
    say(&w, "{\"type\":\"ping\",\"id\":4}");
    await(&w, w.told, "pong");
    assert_int_equal(stats(&w).waiting, 5);
    assert_int_equal(stats(&w).dropped, 15);
    world_close(&w);
    backend_hooks(&b, "/slow", TELLS, &hooks);
    hooks.queue_bytes = 300;
    world_open(&w, &hooks);
    join(&w);
    for (int n = 0; n < 20; n++)
        say(&w, EVENT);
    say(&w, "{\"type\":\"ping\",\"id\":4}");
    await(&w, w.told, "pong");
    assert_true(stats(&w).waiting < 5);
    assert_int_equal(stats(&w).dropped + stats(&w).waiting, 20);
    world_close(&w);
    faulty_stop(&b.server);
}

/* Who goes because the server ends is told of too. */
static void test_last_news(void **state) {
    backend b;
    world w;
    linnet_hooks hooks;
    faulty_start(&b.server, NULL, NULL);
    backend_hooks(&b, "/allow", LINNET_HOOK_BIT(LINNET_HOOK_DISCONNECT), &hooks);
    world_open(&w, &hooks);
    join(&w);
    world_close(&w);
    assert_int_equal(atomic_load(&b.server.requests), 1);
    faulty_stop(&b.server);
}

/* Options ------------------------------------------------------------------------------------- */

static void test_options(void **state) {
    static const char *const none[] = { NULL }, *const small[] = { "secret", NULL },
                             *const many[] = { KEY, KEY, KEY, NULL };
    const struct {
        const char *why, *url;
        unsigned bits;
        const char *const *keys;
        int err;
    } rows[] = {
        { "all is well", "http://127.0.0.1:1/", 2, keys, LINNET_OK },
        { "no key", "http://127.0.0.1:1/", 1, NULL, LINNET_ERR_INVAL },
        { "no key in the list", "http://127.0.0.1:1/", 1, none, LINNET_ERR_INVAL },
        { "a key that can be guessed", "http://127.0.0.1:1/", 1, small, LINNET_ERR_INVAL },
        { "three keys", "http://127.0.0.1:1/", 1, many, LINNET_ERR_LIMIT },
        { "no URL", NULL, 1, keys, LINNET_ERR_INVAL },
        { "a URL of another kind", "file:///etc/passwd", 1, keys, LINNET_ERR_URL },
        { "a bit that is none", "http://127.0.0.1:1/", 1u << 9, keys, LINNET_ERR_INVAL },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        linnet_webhook one = LINNET_WEBHOOK_INIT;
        linnet_hooks hooks = LINNET_HOOKS_INIT;
        linnet_hub_options o = LINNET_HUB_OPTIONS_INIT;
        linnet_hub *hub = NULL;
        one.url = rows[i].url;
        one.hooks = rows[i].bits;
        hooks.webhooks = &one;
        hooks.webhook_count = 1;
        hooks.keys = rows[i].keys;
        o.hooks = &hooks;
        if (linnet_hub_new(&o, &hub) != rows[i].err) fail_msg("%s", rows[i].why);
        linnet_hub_free(hub);
    }
    linnet_hooks hooks = LINNET_HOOKS_INIT;
    linnet_hub_options o = LINNET_HUB_OPTIONS_INIT;
    linnet_hub *hub;
    o.hooks = &hooks;
    hooks.hooks = ASKS; /* and nobody to ask */
    assert_int_equal(linnet_hub_new(&o, &hub), LINNET_ERR_INVAL);
    hooks.hooks = 0;
    hooks.webhook_count = 1;
    assert_int_equal(linnet_hub_new(&o, &hub), LINNET_ERR_INVAL);
    hooks.webhook_count = 17;
    assert_int_equal(linnet_hub_new(&o, &hub), LINNET_ERR_INVAL);
    hooks.size = 3;
    assert_int_equal(linnet_hub_new(&o, &hub), LINNET_ERR_INVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_program_decides_now),
        cmocka_unit_test(test_program_decides_later),
        cmocka_unit_test(test_program_is_told),
        cmocka_unit_test(test_who_may_come),
        cmocka_unit_test(test_gone_before_the_answer),
        cmocka_unit_test(test_backends),
        cmocka_unit_test(test_doors),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_slow_backend_holds_nobody),
        cmocka_unit_test(test_news),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_last_news),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
