/* Publications that are held back (hub/batch.h), as clients see them: with a log, positions and
 * who comes back. */
#include "session/session_test.h"

static const ln_namespace held = {
    .class = LN_CLASS_RECOVERABLE, .history = LN_RETENTION_INIT, .batch_ms = 20
};

#define A(data, offset)                                                                            \
    "{\"type\":\"message\",\"channel\":\"x\",\"data\":" #data ",\"offset\":" #offset "," TS        \
    ",\"from\":{\"client\":\"b\"}}"
#define JOIN "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}"
#define JOINED(offset)                                                                             \
    "{\"type\":\"ok\",\"re\":1," EPOCH ",\"offset\":" #offset ",\"class\":\"recoverable\"}"
#define SAY(id, data)                                                                              \
    ">b {\"type\":\"publish\",\"id\":" #id ",\"channel\":\"x\",\"data\":" #data "}"
#define SAID(id, offset) "<b {\"type\":\"ok\",\"re\":" #id "," EPOCH ",\"offset\":" #offset "}"

static const conversation rows[] = {
    { "together, in their order; the answers do not wait", AUTO,
        { ">a " JOIN, "<a " JOINED(0), SAY(1, 7), SAID(1, 1), SAY(2, 8), SAID(2, 2), "!a", "ta 19",
            "!a", "ta 1", "<a [" A(7, 1) "," A(8, 2) "]", "!a" } },
    { "one alone is no array", AUTO,
        { ">a " JOIN, "<a " JOINED(0), SAY(1, 7), SAID(1, 1), "ta 20", "<a " A(7, 1), "!a" } },
    { "never in an array where clients do not know them", LN_USER_CHANNEL,
        { ">a {\"action\":\"subscribe\",\"channel\":\"x\"}",
            "<a {\"channel\":\"system\",\"data\":{\"type\":\"subscription_confirm\",\"channel\":"
            "\"x\"}}",
            SAY(1, 7), SAID(1, 1), SAY(2, 8), SAID(2, 2), "!a", "ta 20",
            "<a {\"channel\":\"x\",\"data\":7}", "<a {\"channel\":\"x\",\"data\":8}", "!a" } },
    { "who is left out of one gets the others by themselves, and a skip", AUTO,
        { ">a " JOIN, "<a " JOINED(0), SAY(1, 7), SAID(1, 1),
            ">b {\"type\":\"publish\",\"channel\":\"x\",\"data\":8,\"except\":[\"a\"]}", SAY(3, 9),
            SAID(3, 3), "ta 20", "<a " A(7, 1),
            "<a {\"type\":\"skip\",\"channel\":\"x\",\"offset\":2,\"count\":1,\"reason\":"
            "\"except\"}",
            "<a " A(9, 3), "!a" } },
    { "who comes meanwhile begins behind it", AUTO,
        { ">a " JOIN, "<a " JOINED(0), SAY(1, 7), SAID(1, 1), ">c " JOIN, "!c", "ta 0",
            "<a " A(7, 1), "<c " JOINED(1), SAY(2, 8), SAID(2, 2), "ta 20", "<a " A(8, 2),
            "<c " A(8, 2), "!c" } },
    { "who comes back with a position that has not been delivered here yet has missed nothing",
        AUTO,
        { ">a " JOIN, "<a " JOINED(0), SAY(1, 7), SAID(1, 1), SAY(2, 8), SAID(2, 2),
            ">c {\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\",\"recover\":{" EPOCH
            ",\"offset\":2}}",
            "ta 0", "<a [" A(7, 1) "," A(8, 2) "]",
            "<c {\"type\":\"ok\",\"re\":1," EPOCH ",\"offset\":2,\"class\":\"recoverable\","
            "\"recovered\":true,\"replay\":0}",
            "!c" } },
    { "who comes back gets what it missed once, and no hole behind it", AUTO,
        { ">a " JOIN, "<a " JOINED(0), SAY(1, 7), SAID(1, 1), SAY(2, 8), SAID(2, 2),
            ">c {\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\",\"recover\":{" EPOCH
            ",\"offset\":1}}",
            SAY(3, 9), SAID(3, 3), "ta 0", "ta 20", "<a [" A(7, 1) "," A(8, 2) "," A(9, 3) "]",
            "<c {\"type\":\"ok\",\"re\":1," EPOCH ",\"offset\":3,\"class\":\"recoverable\","
            "\"recovered\":true,\"replay\":2}",
            "<c {\"type\":\"message\",\"channel\":\"x\",\"data\":8,\"offset\":2," TS
            ",\"from\":{\"client\":\"b\"},\"replay\":true}",
            "<c {\"type\":\"message\",\"channel\":\"x\",\"data\":9,\"offset\":3," TS
            ",\"from\":{\"client\":\"b\"},\"replay\":true}",
            SAY(4, 6), SAID(4, 4), "ta 20", "<c " A(6, 4), "!c" } },
    { "who unsubscribes has heard what it said", AUTO,
        { ">b " JOIN, "<b " JOINED(0), SAY(2, 7), SAID(2, 1),
            ">b {\"type\":\"unsubscribe\",\"id\":3,\"channel\":\"x\"}", "<b " A(7, 1),
            "<b {\"type\":\"ok\",\"re\":3}", "!b" } },
    { "volatile ones stand between the others", AUTO,
        { ">a " JOIN, "<a " JOINED(0), SAY(1, 7), SAID(1, 1),
            ">b {\"type\":\"publish\",\"channel\":\"x\",\"data\":8,\"volatile\":true}", "ta 20",
            "<a [" A(7, 1) ",{\"type\":\"message\",\"channel\":\"x\",\"data\":8," TS
                           ",\"from\":{\"client\":\"b\"}}]",
            "!a" } },
};

static void test_conversations(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        world w;
        ln_namespaces *spaces;
        print_message("# %s\n", rows[i].why);
        world_open(&w);
        assert_int_equal(ln_namespaces_new(NULL, 0, &held, &spaces), LINNET_OK);
        assert_int_equal(ln_hub_reload(w.hub, spaces), LINNET_OK);
        ln_namespaces_unref(spaces);
        for (int k = 0; k < PEERS; k++)
            peer_open(&w, k, k == 0 ? rows[i].dialect : AUTO);
        for (int k = 0; k < LINES && rows[i].lines[k]; k++)
            play_line(&w, rows[i].lines[k]);
        world_close(&w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_conversations) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
