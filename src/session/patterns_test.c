/* The dialects of strangers. */
#include "session/session_test.h"

static const conversation patterns[] = {
    { "A: everything a client of A may see", LN_USER_CHANNEL,
        { ">a {\"action\":\"subscribe\",\"channel\":\"x\"}",
            "<a "
            "{\"channel\":\"system\",\"data\":{\"type\":\"subscription_confirm\",\"channel\":\"x\"}"
            "}",
            ">a {\"action\":\"subscribe\",\"channel\":\"x\"}",
            "<a "
            "{\"channel\":\"system\",\"data\":{\"type\":\"subscription_confirm\",\"channel\":\"x\"}"
            "}",
            ">a {\"action\":\"publish\",\"channel\":\"x\",\"data\":{\"t\":1}}",
            "<a {\"channel\":\"x\",\"data\":{\"t\":1}}",
            ">a {\"action\":\"publish\",\"channel\":\"x\",\"data\":0}",
            "<a {\"channel\":\"x\",\"data\":{\"value\":0}}",
            ">a {\"action\":\"publish\",\"channel\":\"x\"}",
            "<a {\"channel\":\"x\",\"data\":{\"value\":null}}",
            ">a {\"action\":\"unsubscribe\",\"channel\":\"x\"}",
            ">a {\"action\":\"unsubscribe\",\"channel\":\"x\"}",
            ">a {\"action\":\"publish\",\"channel\":\"x\",\"data\":1}", "!a",
            ">a {\"action\":\"dance\"}",
            "<a {\"channel\":\"system\",\"data\":{\"type\":\"error\",\"message\":\"unknown "
            "type\",\"code\":104}}",
            ">a [1]",
            "<a {\"channel\":\"system\",\"data\":{\"type\":\"error\",\"message\":\"a command is a "
            "JSON "
            "object\",\"code\":107}}" } },
    { "A: what was left out is not told", LN_USER_CHANNEL,
        { ">a {\"action\":\"subscribe\",\"channel\":\"x\"}",
            "<a "
            "{\"channel\":\"system\",\"data\":{\"type\":\"subscription_confirm\",\"channel\":\"x\"}"
            "}",
            ">a {\"action\":\"publish\",\"channel\":\"x\",\"data\":1,\"echo\":false}",
            ">a {\"action\":\"publish\",\"channel\":\"x\",\"data\":2}",
            "<a {\"channel\":\"x\",\"data\":2}", "!a" } },
    { "B: everything a client of B may see", LN_USER_TOPIC,
        { ">a {\"type\":\"subscribe\",\"topic\":\"x\"}",
            ">a {\"type\":\"subscribe\",\"topic\":\"x\"}", "!a",
            ">b {\"type\":\"publish\",\"channel\":\"x\",\"data\":{\"kind\":1}}", "<a {\"kind\":1}",
            ">b {\"type\":\"publish\",\"channel\":\"x\",\"data\":[1]}",
            "<a {\"type\":\"message\",\"topic\":\"x\",\"data\":[1]}", ">a {\"type\":\"ping\"}",
            "<a {\"type\":\"pong\"}", ">a {\"type\":\"publish\",\"topic\":\"x\",\"data\":1}",
            "<a {\"received\":{\"type\":\"publish\",\"topic\":\"x\",\"data\":1}}", ">a [1, 2]",
            "<a {\"received\":[1, 2]}", ">a \"x\"", "<a {\"received\":\"x\"}",
            ">a {\"id\":-1,\"topic\":{}}", "<a {\"received\":{\"id\":-1,\"topic\":{}}}",
            ">a {\"type\":\"subscribe\",\"topic\":\"system\"}",
            "<a {\"type\":\"error\",\"message\":\"this channel name is "
            "reserved\",\"code\":103}" } },
    { "all of them in one channel", LN_USER_TOPIC,
        { ">a {\"type\":\"subscribe\",\"topic\":\"x\"}",
            ">b {\"action\":\"subscribe\",\"channel\":\"x\"}",
            "<b "
            "{\"channel\":\"system\",\"data\":{\"type\":\"subscription_confirm\",\"channel\":\"x\"}"
            "}",
            ">c {\"type\":\"subscribe\",\"channel\":\"x\"}",
            ">b {\"action\":\"publish\",\"channel\":\"x\",\"data\":{\"n\":1}}", "<a {\"n\":1}",
            "<b {\"channel\":\"x\",\"data\":{\"n\":1}}",
            "<c {\"type\":\"message\",\"channel\":\"x\",\"data\":{\"n\":1},\"offset\":1," TS
            ",\"from\":{\"client\":\"b\"}}" } },
    { "C: subscribing, publishing and hearing", LN_USER_RPC,
        { ">a "
          "{\"id\":\"1\",\"type\":\"command\",\"payload\":{\"action\":\"subscribe\",\"parameters\":"
          "{\"channel\":\"x\"}}}",
            "<a "
            "{\"id\":\"r:1\",\"type\":\"response\",\"requestId\":\"1\",\"payload\":{\"success\":"
            "true,\"channel\":\"x\",\"epoch\":\"000000000000000e\",\"offset\":0},\"timestamp\":"
            "1700000000000}",
            ">a "
            "{\"id\":\"2\",\"type\":\"event\",\"payload\":{\"event\":\"moved\",\"channel\":\"x\","
            "\"data\":{\"n\":1}}}",
            "<a "
            "{\"id\":\"e:1\",\"type\":\"event\",\"timestamp\":1700000000000,\"payload\":{\"event\":"
            "\"moved\",\"channel\":\"x\",\"data\":{\"n\":1}}}",
            ">b {\"type\":\"publish\",\"channel\":\"x\",\"data\":0,\"volatile\":true}",
            "<a "
            "{\"id\":\"v:1700000000000\",\"type\":\"event\",\"timestamp\":1700000000000,"
            "\"payload\":{\"event\":\"message\",\"channel\":\"x\",\"data\":0}}",
            ">a "
            "{\"id\":\"3\",\"type\":\"command\",\"payload\":{\"action\":\"publish\",\"parameters\":"
            "{\"channel\":\"x\",\"data\":2}}}",
            "<a "
            "{\"id\":\"e:2\",\"type\":\"event\",\"timestamp\":1700000000000,\"payload\":{\"event\":"
            "\"message\",\"channel\":\"x\",\"data\":2}}",
            "<a "
            "{\"id\":\"r:3\",\"type\":\"response\",\"requestId\":\"3\",\"payload\":{\"success\":"
            "true,\"channel\":\"x\",\"epoch\":\"000000000000000e\",\"offset\":2},\"timestamp\":"
            "1700000000000}",
            ">a "
            "{\"id\":\"4\",\"type\":\"command\",\"payload\":{\"action\":\"unsubscribe\","
            "\"parameters\":{\"channel\":\"x\"}}}",
            "<a "
            "{\"id\":\"r:4\",\"type\":\"response\",\"requestId\":\"4\",\"payload\":{\"success\":"
            "true,\"channel\":\"x\"},\"timestamp\":1700000000000}",
            ">a "
            "{\"id\":\"5\",\"type\":\"event\",\"payload\":{\"event\":\"e\",\"data\":{\"room\":"
            "\"x\"}}}",
            "!a" } },
    { "C: what nobody answers is refused at once", AUTO,
        { ">a "
          "{\"id\":\"q1\",\"type\":\"query\",\"timestamp\":5,\"payload\":{\"resource\":\"users\","
          "\"parameters\":{}}}",
            "<a {\"id\":\"r:q1\",\"type\":\"error\",\"requestId\":\"q1\",\"error\":\"there is no "
            "backend to answer it\",\"code\":108}",
            ">a {\"id\":\"c1\",\"type\":\"command\",\"payload\":{\"action\":\"restart\"}}",
            "<a {\"id\":\"r:c1\",\"type\":\"error\",\"requestId\":\"c1\",\"error\":\"there is no "
            "backend to answer it\",\"code\":108}",
            ">a {\"id\":\"e1\",\"type\":\"event\",\"payload\":{\"event\":\"signup\",\"data\":{}}}",
            "<a {\"id\":\"r:e1\",\"type\":\"error\",\"requestId\":\"e1\",\"error\":\"it names no "
            "channel, and there is no backend to take it\",\"code\":108}",
            ">a {\"id\":\"x\",\"type\":\"dance\",\"payload\":{}}",
            "<a {\"id\":\"r:x\",\"type\":\"error\",\"requestId\":\"x\",\"error\":\"unknown "
            "type\",\"code\":104}",
            ">a {\"id\":\"r\",\"type\":\"response\",\"requestId\":\"q\",\"payload\":{}}",
            ">a "
            "{\"id\":\"r\",\"type\":\"error\",\"requestId\":\"q\",\"error\":\"no\",\"payload\":{}}",
            "!a", ">a {\"id\":\"q2\",\"type\":\"query\",\"payload\":{}}",
            "<a {\"id\":\"r:q2\",\"type\":\"error\",\"requestId\":\"q2\",\"error\":\"a command "
            "names its action, and a query its resource\",\"code\":107}",
            ">a "
            "{\"id\":\"e2\",\"type\":\"event\",\"payload\":{\"event\":\"e\",\"channel\":\"system\","
            "\"data\":1}}",
            "<a {\"id\":\"r:e2\",\"type\":\"error\",\"requestId\":\"e2\",\"error\":\"this channel "
            "name is reserved\",\"code\":103}",
            ">a {", "<a {\"id\":\"r:\",\"type\":\"error\",\"error\":\"not JSON\",\"code\":107}",
            ">a [1]",
            "<a {\"id\":\"r:\",\"type\":\"error\",\"error\":\"a command is a JSON "
            "object\",\"code\":107}" } },
    { "C: auth, ping, and ids that are numbers", LN_USER_RPC,
        { ">a {\"id\":\"a\",\"type\":\"auth\",\"payload\":{\"token\":\"t\"}}",
            "<a "
            "{\"id\":\"r:a\",\"type\":\"response\",\"requestId\":\"a\",\"payload\":{\"success\":"
            "true},\"timestamp\":1700000000000}",
            ">a {\"id\":7,\"type\":\"ping\"}",
            "<a {\"id\":\"r:7\",\"type\":\"pong\",\"requestId\":7,\"timestamp\":1700000000000}",
            ">a {\"type\":\"ping\"}",
            "<a {\"id\":\"r:\",\"type\":\"pong\",\"timestamp\":1700000000000}",
            ">a {\"type\":\"heartbeat\"}", "!a", ">a {\"type\":\"auth\",\"payload\":{}}", "!a",
            ">a {\"id\":\"s\",\"type\":\"subscribe\",\"payload\":{\"channel\":\"x\"}}",
            "<a "
            "{\"id\":\"r:s\",\"type\":\"response\",\"requestId\":\"s\",\"payload\":{\"success\":"
            "true,\"channel\":\"x\",\"epoch\":\"000000000000000e\",\"offset\":0},\"timestamp\":"
            "1700000000000}" } },
    { "C: an event that the log refuses is told", LN_USER_RPC,
        { "ra",
            ">a "
            "{\"id\":\"1\",\"type\":\"event\",\"payload\":{\"event\":\"e\",\"channel\":\"x\","
            "\"data\":1}}",
            "<a {\"id\":\"r:1\",\"type\":\"error\",\"requestId\":\"1\",\"error\":\"not "
            "available\",\"code\":108}",
            "!a" } },
    { "D: join, message, leave", AUTO,
        { ">a "
          "{\"type\":\"join\",\"payload\":{\"room\":\"lobby\",\"user\":\"Ann\"},\"timestamp\":1}",
            ">b "
            "{\"type\":\"join\",\"payload\":{\"room\":\"lobby\",\"user\":\"Bob\"},\"timestamp\":1}",
            "!a", "!b", ">a {\"type\":\"message\",\"payload\":{\"text\":\"hi\"},\"timestamp\":2}",
            "<a {\"type\":\"message\",\"payload\":{\"text\":\"hi\"},\"timestamp\":1700000000000}",
            "<b {\"type\":\"message\",\"payload\":{\"text\":\"hi\"},\"timestamp\":1700000000000}",
            ">b {\"type\":\"leave\",\"payload\":{\"room\":\"lobby\"}}",
            ">a {\"type\":\"message\",\"payload\":\"there\"}",
            "<a {\"type\":\"message\",\"payload\":\"there\",\"timestamp\":1700000000000}", "!b",
            ">b {\"type\":\"message\",\"payload\":{\"text\":\"to whom?\"}}",
            "<b {\"error\":\"No room is named, and none was joined\"}",
            ">b {\"type\":\"message\",\"payload\":{\"text\":\"to you\",\"room\":\"lobby\"}}",
            "<a {\"type\":\"message\",\"payload\":{\"text\":\"to "
            "you\",\"room\":\"lobby\"},\"timestamp\":1700000000000}",
            "!b" } },
    { "D: who names no room means the last one he is in", LN_USER_EVENT,
        { ">a {\"type\":\"join\",\"payload\":{\"room\":\"one\"}}",
            ">a {\"type\":\"join\",\"payload\":{\"room\":\"two\"}}",
            ">b {\"type\":\"subscribe\",\"channel\":\"one\"}",
            ">c {\"type\":\"subscribe\",\"channel\":\"two\"}", ">a {\"type\":\"leave\"}",
            ">a {\"type\":\"draw\",\"payload\":{\"x\":1}}",
            "<a {\"type\":\"draw\",\"payload\":{\"x\":1},\"timestamp\":1700000000000}",
            "<b "
            "{\"type\":\"message\",\"channel\":\"one\",\"event\":\"draw\",\"data\":{\"x\":1},"
            "\"offset\":1,\"ts\":1700000000000,\"from\":{\"client\":\"a\"}}",
            "!c", ">a {\"type\":\"leave\"}", ">a {\"type\":\"leave\"}",
            "<a {\"error\":\"No room is named, and none was joined\"}" } },
    { "D: chat is said whole, and an object with a type is heard whole", AUTO,
        { ">a {\"type\":\"join\",\"payload\":{\"room\":\"x\"}}",
            ">a {\"type\":\"chat\",\"user\":\"John\",\"content\":\"Hello!\",\"timestamp\":1}",
            "<a {\"type\":\"chat\",\"user\":\"John\",\"content\":\"Hello!\",\"timestamp\":1}",
            ">b {\"type\":\"publish\",\"channel\":\"x\",\"data\":{\"type\":\"enriched\",\"n\":1}}",
            "<a {\"type\":\"enriched\",\"n\":1}",
            ">b {\"type\":\"publish\",\"channel\":\"x\",\"data\":{\"type\":1}}",
            "<a {\"type\":\"message\",\"payload\":{\"type\":1},\"timestamp\":1700000000000}",
            ">b {\"type\":\"publish\",\"channel\":\"x\",\"event\":\"e\",\"data\":[1]}",
            "<a {\"type\":\"e\",\"payload\":[1],\"timestamp\":1700000000000}" } },
    { "D: auth, heartbeat, errors", AUTO,
        { ">a {\"type\":\"heartbeat\"}", "!a",
            ">a {\"type\":\"auth\",\"token\":\"user-auth-token\"}",
            "<a {\"type\":\"auth\",\"success\":true}", ">a {\"type\":\"heartbeat\"}", "!a",
            ">a {\"type\":\"ping\"}", "<a {\"type\":\"pong\"}",
            ">a {\"type\":\"join\",\"payload\":{\"room\":\"system\"}}",
            "<a {\"error\":\"This channel name is reserved\"}", ">a {\"payload\":1}",
            "<a {\"error\":\"Unknown type\"}", ">a hello", "<a {\"error\":\"Not JSON\"}",
            ">a {\"type\":\"join\",\"payload\":{\"room\":1}}",
            "<a {\"error\":\"Channel is not a string that could name one\"}" } },
    { "E: who speaks to a feed is sent away, but for signs of life", LN_USER_FEED,
        { ">a {\"type\":\"ping\"}", "<a {\"type\":\"pong\"}", ">a {\"type\":\"heartbeat\"}",
            ">a {\"type\":\"pong\"}", "!a", "xa 0",
            ">a {\"type\":\"publish\",\"channel\":\"x\",\"data\":1}", "!a", "xa 1008" } },
    { "E: also who speaks no JSON", LN_USER_FEED, { ">a hello", "!a", "xa 1008" } },
    { "five of them in one channel", LN_USER_RPC,
        { ">a {\"id\":\"1\",\"type\":\"subscribe\",\"channel\":\"x\"}",
            "<a "
            "{\"id\":\"r:1\",\"type\":\"response\",\"requestId\":\"1\",\"payload\":{\"success\":"
            "true,\"channel\":\"x\",\"epoch\":\"000000000000000e\",\"offset\":0},\"timestamp\":"
            "1700000000000}",
            ">b {\"type\":\"join\",\"payload\":{\"room\":\"x\"}}",
            ">c {\"type\":\"subscribe\",\"topic\":\"x\"}",
            ">d {\"action\":\"subscribe\",\"channel\":\"x\"}",
            "<d "
            "{\"channel\":\"system\",\"data\":{\"type\":\"subscription_confirm\",\"channel\":\"x\"}"
            "}",
            ">b {\"type\":\"message\",\"payload\":{\"t\":1}}",
            "<a "
            "{\"id\":\"e:1\",\"type\":\"event\",\"timestamp\":1700000000000,\"payload\":{\"event\":"
            "\"message\",\"channel\":\"x\",\"data\":{\"t\":1}}}",
            "<b {\"type\":\"message\",\"payload\":{\"t\":1},\"timestamp\":1700000000000}",
            "<c {\"t\":1}", "<d {\"channel\":\"x\",\"data\":{\"t\":1}}" } },
};

static void test_patterns(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(patterns); i++)
        play(&patterns[i]);
}

/* The channel of the URL: in it from the start, and told nothing. */
static void test_feed(void **state) {
    (void)state;
    world w;
    world_open(&w);
    for (int i = 0; i < 2; i++) {
        ln_session_options o = {
            .limits = &w.limits, .dialect = LN_USER_FEED, .feed = LN_SLICE("attacks")
        };
        assert_int_equal(ln_session_open(&w.sessions, &w.peers[i].c, &o), LINNET_OK);
        w.peers[i].open = true;
        run(&w);
    }
    peer_open(&w, 2, LN_DIALECT_AUTO);
    static const char *const lines[] = { "!a",
        ">c {\"type\":\"publish\",\"channel\":\"attacks\",\"data\":{\"type\":\"enriched\"}}",
        "<a {\"type\":\"enriched\"}", "<b {\"type\":\"enriched\"}",
        ">c {\"type\":\"publish\",\"channel\":\"attacks\",\"data\":[ 1 ]}", "<a [ 1 ]", "<b [ 1 ]",
        ">a {}", "xa 1008", ">c {\"type\":\"publish\",\"channel\":\"attacks\",\"data\":0}", "<b 0",
        "!a", "!b", "xb 0" };
    for (size_t i = 0; i < LN_COUNT(lines); i++)
        play_line(&w, lines[i]);
    world_close(&w);
}

/* No channel can be had: a feed that would stay silent for ever ends instead. */
static void test_feed_that_cannot_be(void **state) {
    (void)state;
    world w;
    world_open(&w);
    ln_test_memory memory = { 0 };
    ln_session_options o = {
        .limits = &w.limits, .dialect = LN_USER_FEED, .feed = LN_SLICE("attacks")
    };
    bool done = false;
    for (uint64_t fail = 1; !done; fail++) {
        memory = (ln_test_memory){ .fail_at = fail };
        ln_test_memory_install(&memory);
        peer *p = &w.peers[0];
        p->code = 0;
        p->open = ln_session_open(&w.sessions, &p->c, &o) == LINNET_OK;
        run(&w);
        done = p->open && !p->code;
        if (done) assert_int_equal(ln_stat_get(&w.hub->subscriptions), 1);
        peer_close(p);
        run(&w);
        ln_sessions_tick(&w.sessions);
        ln_test_memory_remove();
        assert_true(fail < 50);
    }
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_feed),
        cmocka_unit_test(test_feed_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
