/* Keys that live in a channel, and who is typing, as clients say and hear it. */
#include "session/session_test.h"

#define JOIN(who) ">" #who " {\"type\":\"subscribe\",\"channel\":\"x\"}"
#define SET(who, rest)                                                                             \
    ">" #who " {\"type\":\"set\",\"id\":5,\"channel\":\"x\",\"key\":\"k\"" rest "}"
#define UNSET(who)  ">" #who " {\"type\":\"unset\",\"id\":6,\"channel\":\"x\",\"key\":\"k\"}"
#define OK(who, id) "<" #who " {\"type\":\"ok\",\"re\":" #id "}"
#define STATE(who, data, from)                                                                     \
    "<" #who " {\"type\":\"state\",\"channel\":\"x\",\"key\":\"k\",\"data\":" data                 \
    ",\"from\":{\"client\":\"" #from "\"}}"
#define TYPE(who, on) ">" #who " {\"type\":\"typing\",\"channel\":\"x\",\"data\":{\"on\":" #on "}}"
#define TYPES(who, from, on)                                                                       \
    "<" #who " {\"type\":\"typing\",\"channel\":\"x\",\"from\":{\"client\":\"" #from               \
    "\"},\"data\":{\"on\":" #on "},\"ttl\":5000}"
#define REFUSED(who, id, code, name, words)                                                        \
    "<" #who " {\"type\":\"error\",\"re\":" #id ",\"channel\":\"x\"," ERR(code, name, words)

static const conversation talks[] = {
    { "set, heard by all, and unset", AUTO,
        { JOIN(a), JOIN(b), SET(a, ",\"data\":{ \"n\":1}"), STATE(a, "{ \"n\":1}", a), OK(a, 5),
            STATE(b, "{ \"n\":1}", a), UNSET(a), STATE(a, "null", a), OK(a, 6), STATE(b, "null", a),
            UNSET(a), OK(a, 6), "!a", "!b" } },
    { "without an echo", AUTO,
        { JOIN(a), JOIN(b), SET(a, ",\"data\":1,\"echo\":false"), OK(a, 5), STATE(b, "1", a),
            "!a" } },
    { "null takes it away", AUTO,
        { JOIN(a), SET(a, ",\"data\":1"), STATE(a, "1", a), OK(a, 5), SET(a, ",\"data\":null"),
            STATE(a, "null", a), OK(a, 5), "!a" } },
    { "gone at its time", AUTO,
        { JOIN(a), SET(a, ",\"data\":1,\"ttl\":3000"), STATE(a, "1", a), OK(a, 5), "ta 2999", "!a",
            "ta 1", STATE(a, "null", a), "!a" } },
    { "gone when its owner leaves", AUTO,
        { JOIN(a), JOIN(b), SET(a, ",\"data\":1"), STATE(b, "1", a),
            ">a {\"type\":\"unsubscribe\",\"channel\":\"x\"}", STATE(b, "null", a), "!b" } },
    { "gone when its owner is lost", AUTO,
        { JOIN(a), JOIN(b), SET(a, ",\"data\":1"), STATE(b, "1", a), TYPE(a, true),
            TYPES(b, a, true), "ca 1006", STATE(b, "null", a), TYPES(b, a, false), "!b" } },
    { "who comes later is told what lives", AUTO,
        { JOIN(a), SET(a, ",\"data\":1"), TYPE(a, true), "ta 1000",
            ">b {\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}",
            "<b {\"type\":\"ok\",\"re\":1," EPOCH ",\"offset\":0,\"class\":\"recoverable\"}",
            STATE(b, "1", a),
            "<b {\"type\":\"typing\",\"channel\":\"x\",\"from\":{\"client\":\"a\"},\"data\":{"
            "\"on\":true},\"ttl\":4000}",
            "!b", UNSET(a), STATE(b, "null", a), ">c {\"type\":\"subscribe\",\"channel\":\"x\"}",
            "<c {\"type\":\"typing\",\"channel\":\"x\",\"from\":{\"client\":\"a\"},\"data\":{"
            "\"on\":true},\"ttl\":4000}",
            "!c" } },
    { "a key is its owner's", AUTO,
        { JOIN(a), JOIN(b), SET(a, ",\"data\":1,\"echo\":false"), OK(a, 5), STATE(b, "1", a),
            SET(b, ",\"data\":2"), REFUSED(b, 5, 118, "conflict", "conflict"), UNSET(b),
            REFUSED(b, 6, 118, "conflict", "conflict"), "!a", "ca 1000", STATE(b, "null", a),
            SET(b, ",\"data\":2"), STATE(b, "2", b), OK(b, 5) } },
    { "typing, once a second", AUTO,
        { JOIN(a), JOIN(b), TYPE(a, true), TYPES(b, a, true), TYPE(a, true), "!b", "ta 999",
            TYPE(a, true), "!b", "ta 1", TYPE(a, true), TYPES(b, a, true), TYPE(a, false),
            TYPES(b, a, false), TYPE(a, false), "!b", TYPE(a, true), "!b", "!a" } },
    { "a typist who falls silent", AUTO,
        { JOIN(a), JOIN(b), TYPE(a, true), TYPES(b, a, true), "ta 4999", "!b", "ta 1",
            TYPES(b, a, false), TYPE(a, false), "!b", "!a" } },
    { "typing with an id is answered", AUTO,
        { JOIN(a), ">a {\"type\":\"typing\",\"id\":1,\"channel\":\"x\",\"data\":{\"on\":true}}",
            OK(a, 1), ">a {\"type\":\"typing\",\"id\":2,\"channel\":\"x\",\"data\":{\"on\":true}}",
            OK(a, 2), "!a" } },
    { "who is not there", AUTO,
        { SET(a, ",\"data\":1"), REFUSED(a, 5, 113, "not_subscribed", "not subscribed"), UNSET(a),
            REFUSED(a, 6, 113, "not_subscribed", "not subscribed") } },
    { "what is wrong with it", AUTO,
        { JOIN(a), SET(a, ""), REFUSED(a, 5, 107, "bad_request", "data is missing"),
            ">a {\"type\":\"set\",\"id\":5,\"channel\":\"x\",\"data\":1}",
            REFUSED(a, 5, 107, "bad_request", "key is not a string of 1 to 255 bytes"),
            ">a {\"type\":\"set\",\"id\":5,\"channel\":\"x\",\"key\":7,\"data\":1}",
            REFUSED(a, 5, 107, "bad_request", "key is not a string of 1 to 255 bytes"),
            SET(a, ",\"data\":1,\"ttl\":0"),
            REFUSED(a, 5, 107, "bad_request", "ttl is not from 1 to 3600000 ms"),
            SET(a, ",\"data\":1,\"ttl\":3600001"),
            REFUSED(a, 5, 107, "bad_request", "ttl is not from 1 to 3600000 ms"),
            SET(a, ",\"data\":1,\"ttl\":-1"),
            REFUSED(a, 5, 107, "bad_request", "ttl is not from 1 to 3600000 ms"),
            ">a {\"type\":\"typing\",\"id\":5,\"channel\":\"x\",\"data\":{\"on\":1}}",
            REFUSED(
                a, 5, 107, "bad_request", "data is not {\\\"on\\\": true} or {\\\"on\\\": false}"),
            ">a {\"type\":\"typing\",\"id\":5,\"channel\":\"x\"}",
            REFUSED(
                a, 5, 107, "bad_request", "data is not {\\\"on\\\": true} or {\\\"on\\\": false}"),
            "!a" } },
    { "other dialects do not hear of it", LN_USER_CHANNEL,
        { ">a {\"action\":\"subscribe\",\"channel\":\"x\"}",
            "<a {\"channel\":\"system\",\"data\":{\"type\":\"subscription_confirm\","
            "\"channel\":\"x\"}}",
            JOIN(b), SET(b, ",\"data\":1"), STATE(b, "1", b), OK(b, 5), TYPE(b, true), "!a" } },
};

static void test_talks(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(talks); i++)
        play(&talks[i]);
}

/* One step without memory: what is answered with ok lives, what is refused does not. */
static void test_memory(void **state) {
    (void)state;
    for (uint64_t fail = 1, done = 0; !done; fail++) {
        assert_true(fail < 200);
        world w;
        world_open(&w);
        for (int n = 0; n < 3; n++)
            peer_open(&w, n, LN_USER_NATIVE);
        play_line(&w, JOIN(a));
        play_line(&w, JOIN(b));
        ln_test_memory memory = { .fail_at = fail };
        ln_test_memory_install(&memory);
        play_line(&w, SET(a, ",\"data\":1,\"ttl\":1000"));
        done = memory.calls < fail;
        memory.fail_at = 0;
        if (!w.peers[0].code)
            assert_int_equal(
                count_lines(&w.peers[0], "\"re\":5}"), ln_stat_get(&w.hub->states.keys));
        for (int n = 0; n < 3; n++)
            peer_close(&w.peers[n]);
        run(&w);
        tick(&w, 1000);
        assert_int_equal(w.hub->states.map.count, 0);
        world_close(&w);
        ln_test_memory_remove();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_talks),
        cmocka_unit_test(test_memory) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
