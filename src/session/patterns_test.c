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
};

static void test_patterns(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(patterns); i++)
        play(&patterns[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
