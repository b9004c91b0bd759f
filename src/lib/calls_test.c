/* The program asks clients: one connection, all that go by a name; it is told once, whatever
 * happens. */
#include "lib/hub_test.h"

#define V1 "linnet.v1"

typedef struct said { /* what the program was told */
    int told, err;
    linnet_call_reply reply;
    char data[256], message[300], client[80];
} said;

static void called(void *ctx, linnet_hub *hub, int err, const linnet_call_reply *reply) {
    said *s = ctx;
    assert_non_null(hub);
    s->told++;
    s->err = err;
    assert_int_equal(reply != NULL, err == LINNET_OK);
    if (!reply) return;
    s->reply = *reply;
    snprintf(
        s->data, sizeof s->data, "%.*s", (int)reply->data.size, (const char *)reply->data.data);
    snprintf(s->message, sizeof s->message, "%.*s", (int)reply->message.size,
        (const char *)reply->message.data);
    snprintf(s->client, sizeof s->client, "%.*s", (int)reply->client.size,
        (const char *)reply->client.data);
}

static linnet_whom named(const char *name) {
    linnet_whom w = LINNET_WHOM_INIT;
    w.client = linnet_str(name);
    return w;
}

static linnet_call question(const char *event, const char *data) {
    linnet_call c = LINNET_CALL_INIT;
    c.event = linnet_str(event);
    c.data = linnet_str(data);
    return c;
}

static void await_told(world *w, const said *s) {
    for (int i = 0; i < 200 && !s->told; i++)
        turn(w);
    assert_int_equal(s->told, 1);
}

static void ask(world *w, linnet_whom whom, uint32_t ms, said *s) {
    linnet_call c = question("m", "[1]");
    c.timeout_ms = ms;
    memset(s, 0, sizeof *s);
    assert_int_equal(linnet_hub_call(w->hub, &whom, &c, called, s), LINNET_OK);
}

#define ASKED "{\"type\":\"call\",\"id\":1,\"event\":\"m\",\"data\":[1]}"

static void test_one_client(void **state) {
    (void)state;
    world w;
    client ann;
    said s;
    world_open(&w, false);
    dial(&w, &ann, "/ws/ann", V1);
    await(&w, &ann, "welcome");
    ask(&w, named("ann"), 0, &s);
    await(&w, &ann, ASKED);
    say(&ann, "{\"type\":\"reply\",\"re\":1,\"data\":{\"sum\":1}}");
    await_told(&w, &s);
    assert_int_equal(s.err, LINNET_OK);
    assert_int_equal(s.reply.code, 0);
    assert_string_equal(s.data, "{\"sum\":1}");
    assert_string_equal(s.client, "ann");
    linnet_whom one = LINNET_WHOM_INIT; /* what it is known by now is enough to ask it again */
    one.connection = s.reply.connection;
    ask(&w, one, 0, &s);
    await(&w, &ann, "\"id\":2");
    say(&ann, "{\"type\":\"reply\",\"re\":2,\"error\":{\"code\":410,\"message\":\"not now\"}}");
    await_told(&w, &s);
    assert_int_equal(s.err, LINNET_OK);
    assert_int_equal(s.reply.code, 410);
    assert_string_equal(s.message, "not now");
    assert_true(s.reply.connection == one.connection);
    one.client = linnet_str("bob"); /* on this connection, and called bob: nobody */
    ask(&w, one, 0, &s);
    await_told(&w, &s);
    assert_int_equal(s.err, LINNET_ERR_NOT_FOUND);
    world_close(&w);
}

static void test_nobody_answers(void **state) {
    (void)state;
    world w;
    client ann, bob;
    said s, t;
    world_open(&w, false);
    ask(&w, named("ann"), 0, &s);
    await_told(&w, &s);
    assert_int_equal(s.err, LINNET_ERR_NOT_FOUND);
    dial(&w, &bob, "/ws/bob", "linnet.topic");
    ask(&w, named("bob"), 0, &s);
    await_told(&w, &s);
    assert_int_equal(s.err, LINNET_ERR_UNSUPPORTED);
    dial(&w, &ann, "/ws/ann", V1);
    await(&w, &ann, "welcome");
    ask(&w, named("ann"), 20, &s);
    await(&w, &ann, "\"call\"");
    await_told(&w, &s);
    assert_int_equal(s.err, LINNET_ERR_TIMEOUT);
    say(&ann, "{\"type\":\"reply\",\"re\":1}"); /* too late, and twice */
    say(&ann, "{\"type\":\"reply\",\"re\":1}");
    ask(&w, named("ann"), 0, &s);
    await(&w, &ann, "\"call\"");
    linnet_conn_close(ann.conn, 1000, "");
    await_told(&w, &s);
    assert_int_equal(s.err, LINNET_ERR_CLOSED);
    linnet_hub_stats stats = LINNET_HUB_STATS_INIT;
    assert_int_equal(linnet_hub_get_stats(w.hub, &stats), LINNET_OK);
    assert_int_equal(stats.calls, 2);
    assert_int_equal(stats.stray_replies, 2);
    dial(&w, &ann, "/ws/ann", V1);
    await(&w, &ann, "welcome");
    ask(&w, named("ann"), 0, &s);
    await(&w, &ann, "\"call\"");
    ask(&w, named("ann"), 0, &t); /* one is asked when the server ends, the other is not */
    world_close(&w);
    assert_int_equal(s.told + t.told, 2);
    assert_true(s.err == LINNET_ERR_CLOSED || s.err == LINNET_ERR_CANCELLED);
}

/* Names of clients are not their own: all who go by one are asked, as all of a user's are. */
static void test_several(void **state) {
    (void)state;
    world w;
    client a, b, c;
    said s;
    world_open(&w, false);
    dial(&w, &a, "/ws/ann", V1);
    dial(&w, &b, "/ws/ann", V1);
    dial(&w, &c, "/ws/ann", "linnet.channel"); /* cannot be asked, and that is no matter */
    await(&w, &a, "welcome");
    await(&w, &b, "welcome");
    ask(&w, named("ann"), 0, &s);
    await(&w, &a, ASKED);
    await(&w, &b, ASKED);
    say(&a, "{\"type\":\"reply\",\"re\":1,\"error\":\"busy\"}");
    say(&a, "{\"type\":\"ping\",\"id\":1}");
    await(&w, &a, "pong");
    assert_int_equal(s.told, 0); /* another may still answer */
    say(&b, "{\"type\":\"reply\",\"re\":1,\"data\":2}");
    await_told(&w, &s);
    assert_string_equal(s.data, "2");
    ask(&w, named("ann"), 0, &s);
    await(&w, &a, "\"id\":2");
    await(&w, &b, "\"id\":2");
    say(&a, "{\"type\":\"reply\",\"re\":2,\"data\":1}");
    await_told(&w, &s);
    assert_string_equal(s.data, "1");
    say(&b, "{\"type\":\"reply\",\"re\":2,\"data\":2}"); /* nobody hears of it */
    ask(&w, named("ann"), 0, &s);
    await(&w, &a, "\"id\":3");
    await(&w, &b, "\"id\":3");
    say(&b, "{\"type\":\"reply\",\"re\":3,\"error\":{\"code\":500,\"message\":\"first\"}}");
    say(&b, "{\"type\":\"ping\",\"id\":1}");
    await(&w, &b, "pong");
    say(&a, "{\"type\":\"reply\",\"re\":3,\"error\":{\"code\":501,\"message\":\"last\"}}");
    await_told(&w, &s);
    assert_int_equal(s.reply.code, 501);
    assert_string_equal(s.message, "last");
    world_close(&w);
}

static void test_what_is_no_call(void **state) {
    (void)state;
    linnet_hub *hub;
    said s = { 0 };
    char longest[300];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_int_equal(linnet_hub_new(NULL, &hub), LINNET_OK);
    linnet_whom ann = named("ann"), nobody = named(""), lengthy = named(longest), odd = ann;
    odd.size = 3;
    linnet_call good = question("m", "1"), silent = question("", "1"), bad = question("m", "{"),
                wide = question(longest, "1"), foul = question("\xff", "1"), slow = good,
                small = good;
    slow.timeout_ms = 600001;
    small.size = 1;
    const struct {
        const char *why;
        int got, want;
    } rows[] = {
        { "no server", linnet_hub_call(hub, &ann, &good, called, &s), LINNET_ERR_STATE },
        { "nobody", linnet_hub_call(hub, &nobody, &good, called, &s), LINNET_ERR_INVAL },
        { "a long name", linnet_hub_call(hub, &lengthy, &good, called, &s), LINNET_ERR_INVAL },
        { "no whom", linnet_hub_call(hub, NULL, &good, called, &s), LINNET_ERR_INVAL },
        { "an odd one", linnet_hub_call(hub, &odd, &good, called, &s), LINNET_ERR_INVAL },
        { "no call", linnet_hub_call(hub, &ann, NULL, called, &s), LINNET_ERR_INVAL },
        { "a small one", linnet_hub_call(hub, &ann, &small, called, &s), LINNET_ERR_INVAL },
        { "no hub", linnet_hub_call(NULL, &ann, &good, called, &s), LINNET_ERR_INVAL },
        { "nobody to tell", linnet_hub_call(hub, &ann, &good, NULL, &s), LINNET_ERR_INVAL },
        { "no method", linnet_hub_call(hub, &ann, &silent, called, &s), LINNET_ERR_INVAL },
        { "a long one", linnet_hub_call(hub, &ann, &wide, called, &s), LINNET_ERR_INVAL },
        { "no UTF-8", linnet_hub_call(hub, &ann, &foul, called, &s), LINNET_ERR_INVAL },
        { "for ever", linnet_hub_call(hub, &ann, &slow, called, &s), LINNET_ERR_INVAL },
        { "no JSON", linnet_hub_call(hub, &ann, &bad, called, &s), LINNET_ERR_JSON },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++)
        if (rows[i].got != rows[i].want) fail_msg("%s: %d", rows[i].why, rows[i].got);
    assert_int_equal(s.told, 0);
    linnet_hub_free(hub);
}

/* On threads: nobody is there, a connection of no worker, and the server ends meanwhile. */
static void test_told_once(void **state) {
    (void)state;
    for (int start = 0; start < 2; start++) {
        linnet_server *server;
        linnet_hub *hub;
        linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
        so.workers = 3;
        said said_of[30] = { 0 };
        linnet_call c = question("m", "");
        assert_int_equal(linnet_server_new(&so, &server), LINNET_OK);
        assert_int_equal(linnet_hub_new(NULL, &hub), LINNET_OK);
        assert_int_equal(linnet_server_hub(server, "/ws", hub), LINNET_OK);
        assert_int_equal(linnet_server_listen(server, "127.0.0.1:0", NULL, NULL), LINNET_OK);
        if (start) assert_int_equal(linnet_server_start(server), LINNET_OK);
        for (unsigned i = 0; i < LN_COUNT(said_of); i++) {
            char name[16];
            snprintf(name, sizeof name, "client %u", i);
            linnet_whom whom = named(i % 3 ? name : "");
            if (i % 3 == 0) whom.connection = (linnet_conn_id)(i + 1) << 56 | 7;
            assert_int_equal(linnet_hub_call(hub, &whom, &c, called, &said_of[i]), LINNET_OK);
        }
        linnet_server_free(server); /* what was written by its threads is seen */
        for (unsigned i = 0; i < LN_COUNT(said_of); i++) {
            assert_int_equal(said_of[i].told, 1);
            assert_true(
                said_of[i].err == LINNET_ERR_NOT_FOUND || said_of[i].err == LINNET_ERR_CANCELLED);
        }
        linnet_hub_free(hub);
    }
}

static void test_memory(void **state) {
    (void)state;
    ln_test_memory memory = { 0 };
    ln_test_memory_install(&memory);
    world w;
    client ann;
    world_open(&w, false);
    dial(&w, &ann, "/ws/ann", V1);
    await(&w, &ann, "welcome");
    linnet_whom whom = named("ann");
    linnet_call c = question("m", "1");
    bool answered = false;
    int failed = 0;
    for (; !answered; failed++) {
        said s = { 0 };
        char reply[64];
        assert_true(failed < 200);
        memory.fail_at = memory.calls + (uint64_t)failed + 1;
        int err = linnet_hub_call(w.hub, &whom, &c, called, &s);
        assert_true(err == LINNET_OK || err == LINNET_ERR_NOMEM);
        for (int i = 0; err == LINNET_OK && !s.told; i++) {
            const char *id = strstr(ann.text, "\"id\":");
            if (id && i < 100) { /* answered once, and once is enough */
                snprintf(reply, sizeof reply, "{\"type\":\"reply\",\"re\":%d}",
                    (int)strtol(id + 5, NULL, 10));
                ann.size = 0;
                ann.text[0] = 0;
                if (linnet_conn_send(ann.conn, LINNET_TEXT, linnet_str(reply)) < 0) break;
            }
            turn(&w);
            if (!ann.conn) break; /* it was lost for want of memory */
        }
        memory.fail_at = 0;
        for (int i = 0; err == LINNET_OK && i < 200 && !s.told; i++)
            turn(&w);
        if (err == LINNET_OK) assert_int_equal(s.told, 1);
        answered = err == LINNET_OK && s.err == LINNET_OK;
        if (!ann.conn) {
            dial(&w, &ann, "/ws/ann", V1);
            await(&w, &ann, "welcome");
        }
    }
    assert_true(failed > 3);
    world_close(&w);
    assert_int_equal(memory.live, 0);
    ln_test_memory_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_client),
        cmocka_unit_test(test_nobody_answers),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_what_is_no_call),
        cmocka_unit_test(test_told_once),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
