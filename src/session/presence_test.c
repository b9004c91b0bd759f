/* Who is in a channel, as clients ask and hear it. Members are kept in all channels but those that
 * begin with `off:`. */
#include "session/session_test.h"

#define SUB(who, id)                                                                               \
    ">" #who " {\"type\":\"subscribe\",\"id\":" #id ",\"channel\":\"x\",\"presence\":true}"
#define JOIN(who, id) ">" #who " {\"type\":\"subscribe\",\"id\":" #id ",\"channel\":\"x\"}"
#define UNSUB(who)    ">" #who " {\"type\":\"unsubscribe\",\"channel\":\"x\"}"
#define OK(who, id)   "<" #who " {\"type\":\"ok\",\"re\":" #id "}"
#define IN(who, id)   "<" #who " {\"type\":\"ok\",\"re\":" #id "," PLACE "}"
#define PLACE         EPOCH ",\"offset\":0,\"class\":\"recoverable\""
#define A             "{\"client\":\"a\",\"ref\":1}"
#define B             "{\"client\":\"b\",\"ref\":2}"
#define LIST(who, id, members, count)                                                              \
    "<" #who " {\"type\":\"ok\",\"re\":" #id "," PLACE ",\"presence\":[" members                   \
    "],\"count\":" #count ",\"users\":0}"
#define DIFF(who, joins, leaves)                                                                   \
    "<" #who " {\"type\":\"presence\",\"channel\":\"x\",\"joins\":[" joins "],\"leaves\":[" leaves \
    "]}"
#define ASK(who, rest) ">" #who " {\"type\":\"presence\",\"id\":9,\"channel\":\"x\"" rest "}"
#define ROLL(who, members, rest)                                                                   \
    "<" #who " {\"type\":\"ok\",\"re\":9,\"members\":[" members "]," rest "}"

static const conversation talks[] = {
    { "the list, and what comes after it", AUTO,
        { JOIN(a, 1), IN(a, 1), SUB(b, 1), LIST(b, 1, A, 2), "!a", "tb 99", "!b", "tb 1",
            DIFF(b, B, ""), JOIN(c, 1), "ta 100", DIFF(b, "{\"client\":\"c\",\"ref\":3}", ""),
            UNSUB(a), "ta 100", DIFF(b, "", A), "!b", "!a" } },
    { "a lost connection leaves when it does not come back", AUTO,
        { SUB(b, 1), LIST(b, 1, "", 1), JOIN(a, 1), "ta 100",
            DIFF(b, "{\"client\":\"b\",\"ref\":1},{\"client\":\"a\",\"ref\":2}", ""), "ca 1006",
            "tb 4999", "!b", "tb 1", "!b", "tb 100",
            DIFF(b, "", "{\"client\":\"a\",\"ref\":2}") } },
    { "a clean end shows at once", AUTO,
        { JOIN(a, 1), IN(a, 1), SUB(b, 1), "ca 1001", LIST(b, 1, A, 2), "tb 100", DIFF(b, B, A),
            "!b" } },
    { "who was told to come back is given time", AUTO,
        { JOIN(a, 1), SUB(b, 1), LIST(b, 1, A, 2), "ca 1012", "tb 100", DIFF(b, B, ""), "tb 4000",
            "!b" } },
    { "who was told to stay away is not", AUTO,
        { JOIN(a, 1), SUB(b, 1), LIST(b, 1, A, 2), "ca 3503", "tb 100", DIFF(b, B, A) } },
    { "asking without being there", AUTO,
        { JOIN(a, 1), IN(a, 1), JOIN(b, 1), IN(b, 1), ASK(c, ""),
            ROLL(c, A "," B, "\"count\":2,\"users\":0"), ASK(c, ",\"limit\":1"),
            ROLL(c, A, "\"count\":2,\"users\":0,\"next\":1"), ASK(c, ",\"limit\":1,\"after\":1"),
            ROLL(c, B, "\"count\":2,\"users\":0"), ASK(c, ",\"limit\":0"),
            ROLL(c, "", "\"count\":2,\"users\":0"), "!c" } },
    { "nobody is there", AUTO, { ASK(a, ""), ROLL(a, "", "\"count\":0,\"users\":0") } },
    { "an info of one's own", AUTO,
        { SUB(a, 1), LIST(a, 1, "", 1), ASK(a, ",\"data\":{ \"n\":\"Ann\" }"), OK(a, 9), "ta 100",
            DIFF(a, "{\"client\":\"a\",\"info\":{ \"n\":\"Ann\" },\"ref\":1}", ""),
            ASK(a, ",\"data\":7"), OK(a, 9), "ta 100",
            DIFF(a, "{\"client\":\"a\",\"info\":7,\"ref\":1}", ""), ASK(b, ""),
            ROLL(b, "{\"client\":\"a\",\"info\":7,\"ref\":1}", "\"count\":1,\"users\":0"),
            ASK(a, ",\"data\":null"), OK(a, 9), "ta 100", DIFF(a, A, "") } },
    { "an info of who is not there", AUTO,
        { ASK(a, ",\"data\":1"), "<a {\"type\":\"error\",\"re\":9,\"channel\":\"x\"," ERR(
                                     113, "not_subscribed", "not subscribed") } },
    { "a channel without presence", AUTO,
        { ">a {\"type\":\"subscribe\",\"id\":1,\"channel\":\"off:x\",\"presence\":true}",
            "<a {\"type\":\"error\",\"re\":1,\"channel\":\"off:x\"," ERR(
                103, "permission_denied", "who is in this channel is not kept"),
            ">a {\"type\":\"subscribe\",\"id\":1,\"channel\":\"off:x\"}", IN(a, 1),
            ">a {\"type\":\"presence\",\"id\":9,\"channel\":\"off:x\"}",
            "<a {\"type\":\"error\",\"re\":9,\"channel\":\"off:x\"," ERR(
                103, "permission_denied", "who is in this channel is not kept") } },
    { "what is wrong with it", AUTO,
        { ">a {\"type\":\"presence\",\"id\":9}",
            "<a {\"type\":\"error\",\"re\":9," ERR(107, "bad_request", "channel is missing"),
            ASK(a, ",\"after\":-1"),
            "<a {\"type\":\"error\",\"re\":9,\"channel\":\"x\"," ERR(
                107, "bad_request", "after is not an integer from 0 to 2^53-1"),
            ASK(a, ",\"limit\":\"all\""),
            "<a {\"type\":\"error\",\"re\":9,\"channel\":\"x\"," ERR(
                107, "bad_request", "limit is not an integer from 0 to 2^53-1"),
            ">a {\"type\":\"subscribe\",\"id\":9,\"channel\":\"x\",\"presence\":1}",
            "<a {\"type\":\"error\",\"re\":9,\"channel\":\"x\"," ERR(
                107, "bad_request", "presence is neither true nor false"),
            ">a {\"type\":\"presence\",\"id\":9,\"channel\":\"@x\"}",
            "<a {\"type\":\"error\",\"re\":9,\"channel\":\"@x\"," ERR(
                103, "permission_denied", "this channel name is reserved"),
            ">a {\"type\":\"publish\",\"channel\":\"x\",\"data\":1,\"presence\":7,\"limit\":\"y\"}",
            "!a" } },
    { "gone before it was in", AUTO,
        { "+" SUB(a, 1), UNSUB(a),
            "<a {\"type\":\"error\",\"re\":1,\"channel\":\"x\"," ERR(
                113, "not_subscribed", "an unsubscribe came behind it"),
            ASK(b, ""), ROLL(b, "", "\"count\":0,\"users\":0"), "!a" } },
    { "closed before it was in", AUTO,
        { "+" SUB(a, 1), "+" JOIN(b, 1), "ca 1000", ASK(c, ""),
            ROLL(c, B, "\"count\":1,\"users\":0") } },
    { "in, out and in again in one turn", AUTO,
        { "+" SUB(a, 1), "+" UNSUB(a), SUB(a, 2),
            "<a {\"type\":\"error\",\"re\":1,\"channel\":\"x\"," ERR(
                113, "not_subscribed", "an unsubscribe came behind it"),
            LIST(a, 2, "", 1), "ta 100", DIFF(a, "{\"client\":\"a\",\"ref\":1}", ""), "!a" } },
    { "twice at once", AUTO,
        { "+" SUB(a, 1), SUB(a, 2),
            "<a {\"type\":\"error\",\"re\":2,\"channel\":\"x\"," ERR(
                105, "already_subscribed", "already subscribed"),
            LIST(a, 1, "", 1) } },
    { "what is said behind it is heard", AUTO,
        { "+" SUB(a, 1), "+>a {\"type\":\"publish\",\"channel\":\"x\",\"data\":1}",
            ASK(a, ",\"data\":7"), LIST(a, 1, "", 1), HEARD(a, a, 1, 1), OK(a, 9), "ta 100",
            DIFF(a, "{\"client\":\"a\",\"info\":7,\"ref\":1}", ""), "!a" } },
    { "no message before the ok", AUTO,
        { JOIN(a, 1), IN(a, 1), "+" SUB(b, 1),
            ">a {\"type\":\"publish\",\"channel\":\"x\",\"data\":1}", HEARD(a, a, 1, 1),
            "<b {\"type\":\"ok\",\"re\":1," EPOCH
            ",\"offset\":1,\"class\":\"recoverable\",\"presence\":[" A "],\"count\":2,\"users\":0}",
            "!b" } },
    { "A: a channel beside it", LN_USER_CHANNEL,
        { ">a {\"action\":\"subscribe\",\"channel\":\"x\",\"presence\":true}",
            "<a {\"channel\":\"system\",\"data\":{\"type\":\"subscription_confirm\","
            "\"channel\":\"x\"}}",
            "<a {\"channel\":\"x:presence\",\"data\":{\"joins\":[],\"leaves\":[]}}", JOIN(b, 1),
            "ta 100",
            "<a {\"channel\":\"x:presence\",\"data\":{\"joins\":[" A "," B "],\"leaves\":[]}}",
            ">c {\"action\":\"subscribe\",\"channel\":\"x\"}", "ta 100",
            "<a {\"channel\":\"x:presence\",\"data\":{\"joins\":[{\"client\":\"c\",\"ref\":3}],"
            "\"leaves\":[]}}",
            "ca 1000" } },
    { "C: an event", LN_USER_RPC,
        { ">a {\"id\":\"1\",\"type\":\"command\",\"payload\":{\"action\":\"subscribe\","
          "\"parameters\":{\"channel\":\"x\",\"presence\":true}}}",
            "<a {\"id\":\"r:1\",\"type\":\"response\",\"requestId\":\"1\",\"payload\":{"
            "\"success\":true,\"channel\":\"x\"," EPOCH
            ",\"offset\":0},\"timestamp\":1700000000000}",
            "<a {\"id\":\"p:1700000000000\",\"type\":\"event\",\"timestamp\":1700000000000,"
            "\"payload\":{\"event\":\"presence\",\"channel\":\"x\",\"data\":{\"joins\":[],"
            "\"leaves\":[]}}}",
            "ta 100",
            "<a {\"id\":\"p:1700000000000\",\"type\":\"event\",\"timestamp\":1700000000000,"
            "\"payload\":{\"event\":\"presence\",\"channel\":\"x\",\"data\":{\"joins\":[" A
            "],\"leaves\":[]}}}",
            ">a {\"id\":\"2\",\"type\":\"presence\",\"channel\":\"x\"}",
            "<a {\"id\":\"r:2\",\"type\":\"response\",\"requestId\":\"2\",\"payload\":{"
            "\"success\":true,\"channel\":\"x\",\"members\":[" A
            "],\"count\":1,\"users\":0},\"timestamp\":1700000000000}" } },
    { "B: a message with a type", LN_USER_TOPIC,
        { JOIN(b, 1), IN(b, 1), ">a {\"type\":\"subscribe\",\"topic\":\"x\",\"presence\":true}",
            "<a {\"type\":\"presence\",\"topic\":\"x\",\"joins\":[{\"client\":\"b\",\"ref\":1}],"
            "\"leaves\":[]}",
            UNSUB(b), "ta 100",
            "<a {\"type\":\"presence\",\"topic\":\"x\",\"joins\":[{\"client\":\"a\",\"ref\":2}],"
            "\"leaves\":[{\"client\":\"b\",\"ref\":1}]}",
            "!a" } },
};

static void keep_members(world *w) {
    ln_namespace all = { .class = LN_CLASS_RECOVERABLE, .history = LN_RETENTION_INIT };
    ln_namespace off = all;
    all.members = true;
    off.name[0] = 'o', off.name[1] = off.name[2] = 'f';
    ln_namespaces_unref(w->hub->homes.namespaces);
    assert_int_equal(ln_namespaces_new(&off, 1, &all, &w->hub->homes.namespaces), LINNET_OK);
}

static void test_talks(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(talks); i++) {
        print_message("# %s\n", talks[i].why);
        world w;
        world_open(&w);
        keep_members(&w);
        for (int n = 0; n < PEERS; n++)
            peer_open(&w, n, n == 0 ? talks[i].dialect : AUTO);
        for (int n = 0; n < LINES && talks[i].lines[n]; n++)
            play_line(&w, talks[i].lines[n]);
        world_close(&w);
    }
}

/* One step without memory: who is told that he is in, is; and nobody else is. */
static void test_memory(void **state) {
    (void)state;
    for (uint64_t fail = 1, done = 0; !done; fail++) {
        assert_true(fail < 200);
        world w;
        world_open(&w);
        keep_members(&w);
        for (int n = 0; n < 3; n++)
            peer_open(&w, n, LN_USER_NATIVE);
        ln_test_memory memory = { .fail_at = fail };
        play_line(&w, JOIN(a, 1));
        ln_test_memory_install(&memory); /* counts only what comes from here on */
        play_line(&w, SUB(b, 1));
        play_line(&w, ">b {\"type\":\"presence\",\"id\":2,\"channel\":\"x\",\"data\":[1]}");
        play_line(&w, "tb 100");
        play_line(&w, "tb 100");
        done = memory.calls < fail;
        memory.fail_at = 0;
        bool in = count_lines(&w.peers[1], "\"class\"") == 1;
        count_lines(&w.peers[2], "");
        play_line(&w, ASK(c, ""));
        char line[4096];
        next_line(&w.peers[2], line, sizeof line);
        bool listed = strstr(line, "\"client\":\"b\"") != NULL;
        if (!w.peers[1].code) assert_int_equal(in, listed);
        assert_non_null(strstr(line, "\"client\":\"a\""));
        for (int n = 0; n < 3; n++)
            peer_close(&w.peers[n]);
        run(&w);
        tick(&w, 6000);
        tick(&w, 6000);
        assert_int_equal(w.hub->presences.map.count, 0);
        assert_int_equal(w.hub->presences.bytes, 0);
        world_close(&w);
        ln_test_memory_remove();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_talks),
        cmocka_unit_test(test_memory) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
