/* Sessions on a hub that wants to know who is speaking. */
#include "session/login_test.h"

/* Conversations --------------------------------------------------------------------------- */

#define SUB(id, name) "{\"type\":\"subscribe\",\"id\":" #id ",\"channel\":\"" name "\"}"
#define KEPT          "\"class\":\"recoverable\""
#define WAS(id)       "{\"type\":\"ok\",\"re\":" #id "," EPOCH ",\"offset\":0," KEPT "}"
#define KNOWN(id, user, s)                                                                         \
    "{\"type\":\"ok\",\"re\":" #id ",\"user\":\"" user "\",\"expires\":" #s "}"

static const struct {
    const char *why;
    bool anonymous, personal;
    const char *lines[LINES];
} rows[] = {
    { "who says who he is may go on", false, false,
        { "oa -", ">a {\"type\":\"auth\",\"id\":1,\"data\":{\"token\":\"{anna}\"}}",
            "<a " KNOWN(1, "anna", 100), ">a " SUB(2, "x"), "<a " WAS(2),
            ">a {\"type\":\"publish\",\"channel\":\"x\",\"data\":1,\"user\":\"eve\",\"info\":2,"
            "\"from\":{\"user\":\"eve\"}}",
            "<a {\"type\":\"message\",\"channel\":\"x\",\"data\":1,\"offset\":1," TS
            ",\"from\":{\"client\":\"a\",\"user\":\"anna\",\"info\":{\"n\":1}}}",
            "!a", "xa 0" } },
    { "before that, nothing but signs of life", false, false,
        { "oa -", ">a {\"type\":\"ping\",\"id\":1}", "<a {\"type\":\"pong\",\"re\":1}",
            ">a " SUB(2, "x"),
            "<a {\"type\":\"error\",\"re\":2,\"channel\":\"x\"," ERR(
                101, "unauthorized", "not authenticated"),
            ">a {\"type\":\"dance\",\"id\":3}",
            "<a {\"type\":\"error\",\"re\":3," ERR(101, "unauthorized", "not authenticated"),
            ">a {\"type\":\"auth\",\"token\":\"{anna}\",\"id\":4}", "<a " KNOWN(4, "anna", 100),
            "!a", "xa 0" } },
    { "D: who comes without is closed", false, false,
        { "oa event", ">a {\"type\":\"join\",\"payload\":{\"room\":\"x\"}}", "!a", "xa 1008" } },
    { "D: who comes with it hears so", false, false,
        { "oa event", ">a {\"type\":\"auth\",\"token\":\"{anna}\"}",
            "<a {\"type\":\"auth\",\"success\":true}", "xa 0" } },
    { "D: and who comes with a bad one not", false, false,
        { "oa event", ">a {\"type\":\"auth\",\"token\":\"{bad}\"}", "!a", "xa 1008" } },
    { "B: others are told, and do not hear themselves", false, false,
        { "oa topic", ">a {\"type\":\"anything\"}",
            "<a {\"type\":\"error\",\"message\":\"not authenticated\",\"code\":101}", "xa 0" } },
    { "a bad token is the end", false, false,
        { "oa -", ">a {\"type\":\"auth\",\"id\":1,\"data\":{\"token\":\"{bad}\"}}",
            "<a {\"type\":\"error\",\"re\":1," ERR(101, "unauthorized", "invalid token"),
            "xa 3500" } },
    { "leave for a channel is no name", false, false,
        { "oa -", ">a {\"type\":\"auth\",\"id\":1,\"data\":{\"token\":\"{anna-vip}\"}}",
            "<a {\"type\":\"error\",\"re\":1," ERR(101, "unauthorized", "invalid token"),
            "xa 3500" } },
    { "an old one is the end for now", false, false,
        { "oa -", ">a {\"type\":\"auth\",\"id\":1,\"data\":{\"token\":\"{old}\"}}",
            "<a {\"type\":\"error\",\"re\":1," ERR(109, "token_expired", "invalid token"),
            "xa 3005" } },
    { "no token at all is a mistake", false, false,
        { "oa -", ">a {\"type\":\"auth\",\"id\":1}",
            "<a {\"type\":\"error\",\"re\":1," ERR(107, "bad_request", "token is missing"),
            ">a {\"type\":\"auth\",\"id\":2,\"token\":7}",
            "<a {\"type\":\"error\",\"re\":2," ERR(
                107, "bad_request", "token is not a string of at most 4096 bytes"),
            "xa 0" } },
    { "what is no JSON is the end", false, false, { "oa -", ">a {", "!a", "xa 3501" } },
    { "ten seconds", false, false,
        { "oa -", "ob event", "oc - {anna}", "t 9000", "xa 0", "xb 0", "t 1500", "xa 3002",
            "xb 1008", "xc 0" } },
    { "a bad one in the handshake", false, false,
        { "oa -  {bad}", "!a", "xa 1008", "ob event {bad}", "!b", "xb 1008" } },
    { "users and their channels", false, true,
        { "oa - {anna}", "ob - {bob}", ">a {\"type\":\"dance\"}",
            "<a {\"type\":\"subscribed\",\"channel\":\"@anna\"," EPOCH
            ",\"offset\":0,\"class\":\"recoverable\"}",
            ">b {\"type\":\"dance\"}",
            "<b {\"type\":\"subscribed\",\"channel\":\"@bob\"," EPOCH
            ",\"offset\":0,\"class\":\"recoverable\"}",
            "<b {\"type\":\"subscribed\",\"channel\":\"x\"," EPOCH
            ",\"offset\":0,\"class\":\"recoverable\"}",
            ">b {\"type\":\"send\",\"id\":2,\"to\":\"anna\",\"data\":\"hi\"}",
            "<a {\"type\":\"message\",\"channel\":\"@anna\",\"data\":\"hi\",\"offset\":1," TS
            ",\"from\":{\"client\":\"b\",\"user\":\"bob\"}}",
            "<b {\"type\":\"ok\",\"re\":2," EPOCH ",\"offset\":1}", ">b " SUB(3, "@anna"),
            "<b {\"type\":\"error\",\"re\":3,\"channel\":\"@anna\"," ERR(
                103, "permission_denied", "permission denied"),
            ">b {\"type\":\"send\",\"id\":4,\"data\":1}",
            "<b {\"type\":\"error\",\"re\":4," ERR(107, "bad_request", "to does not name a user"),
            "!a", "!b" } },
    { "D: a message for no room is not for one's own channel", false, true,
        { "oa event {anna}", ">a {\"type\":\"message\",\"payload\":{\"n\":1},\"timestamp\":1}",
            "<a {\"error\":\"No room is named, and none was joined\"}",
            ">a {\"type\":\"join\",\"payload\":{\"room\":\"x\"},\"timestamp\":1}",
            ">a {\"type\":\"message\",\"payload\":{\"n\":2},\"timestamp\":1}",
            "<a {\"type\":\"message\",\"payload\":{\"n\":2},\"timestamp\":1700000000000}", "!a",
            "xa 0" } },
    { "banned while there, and when coming again", false, false,
        { "oa v1 {anna}", "ob v1 {bob}", "b u anna", "xa 3503", "xb 0", "oc -",
            ">c {\"type\":\"auth\",\"id\":1,\"data\":{\"token\":\"{anna2}\"}}",
            "<c {\"type\":\"error\",\"re\":1," ERR(103, "permission_denied", "banned"), "xc 3507",
            "od event {anna}", "xd 1008" } },
    { "what was issued before counts no more", false, false,
        { "oa v1 {told}", "ob v1 {newer}", "oc v1 {bob}", "b i anna", "xa 3500", "xb 0", "xc 0",
            "od -", ">d {\"type\":\"auth\",\"id\":1,\"data\":{\"token\":\"{told}\"}}",
            "<d {\"type\":\"error\",\"re\":1," ERR(101, "unauthorized", "invalid token"),
            "xd 3500" } },
    { "a token by its name", false, false,
        { "oa v1 {told}", "ob v1 {newer}", "b j t1", "xa 3500", "xb 0", "oc -",
            ">c {\"type\":\"auth\",\"id\":1,\"data\":{\"token\":\"{newer}\"}}",
            "<c " KNOWN(1, "anna", 100),
            ">c {\"type\":\"refresh\",\"id\":2,\"data\":{\"token\":\"{told}\"}}",
            "<c {\"type\":\"error\",\"re\":2," ERR(101, "unauthorized", "invalid token"),
            "xc 0" } },
    { "a name that is none is no token", false, false,
        { "oa -", ">a {\"type\":\"auth\",\"id\":1,\"data\":{\"token\":\"{bad-jti}\"}}",
            "<a {\"type\":\"error\",\"re\":1," ERR(101, "unauthorized", "invalid token"),
            "xa 3500" } },
    { "guests", true, false,
        { "oa -", ">a " SUB(1, "x"),
            "<a {\"type\":\"error\",\"re\":1,\"channel\":\"x\"," ERR(
                103, "permission_denied", "permission denied"),
            "t 60000", "xa 0", ">a {\"type\":\"refresh\",\"id\":2,\"data\":{\"token\":\"{anna}\"}}",
            "<a {\"type\":\"error\",\"re\":2," ERR(
                101, "unauthorized", "there is nothing to refresh"),
            ">a {\"type\":\"auth\",\"id\":3,\"data\":{\"token\":\"{anna}\"}}",
            "<a " KNOWN(3, "anna", 40), ">a " SUB(4, "x"), "<a " WAS(4) } },
};

/* With namespaces: `vip` for those whose token says so. */
static void one_by_one(place *at, const char *const *lines) {
    for (; *lines; lines++)
        play_here(at, *lines);
}

static void vip(place *at) {
    ln_namespace items[] = { { .name = "vip", .class = LN_CLASS_LIVE } };
    ln_namespace standard = { .class = LN_CLASS_LIVE };
    items[0].allow[LN_ACT_SUBSCRIBE] = LN_RULE_TOKEN;
    ln_namespaces_unref(at->w.hub->homes.namespaces);
    assert_int_equal(
        ln_namespaces_new(items, 1, &standard, &at->w.hub->homes.namespaces), LINNET_OK);
}

#define LIVE(id) "{\"type\":\"ok\",\"re\":" #id ",\"class\":\"live\"}"
#define DENIED(id, name)                                                                           \
    "{\"type\":\"error\",\"re\":" #id ",\"channel\":\"" name                                       \
    "\"," ERR(103, "permission_denied", "permission denied")

/* Leave for one channel is for its user, and ends. */
static void channel_tokens(void **state) {
    (void)state;
    place at;
    place_open(&at, false, false);
    vip(&at);
    one_by_one(&at,
        (const char *const[]){ "oa - {anna2}", ">a " SUB(1, "vip:1"), "<a " DENIED(1, "vip:1"),
            ">a {\"type\":\"subscribe\",\"id\":2,\"channel\":\"vip:1\",\"token\":\"{bob-vip}\"}",
            "<a " DENIED(2, "vip:1"),
            ">a {\"type\":\"subscribe\",\"id\":3,\"channel\":\"vip:2\",\"token\":\"{anna-vip}\"}",
            "<a " DENIED(3, "vip:2"), "b j t1",
            ">a {\"type\":\"subscribe\",\"id\":5,\"channel\":\"vip:1\",\"token\":\"{told-vip}\"}",
            "<a " DENIED(5, "vip:1"),
            ">a {\"type\":\"subscribe\",\"id\":4,\"channel\":\"vip:1\","
            "\"data\":{\"token\":\"{anna-vip}\"}}",
            "<a " LIVE(4), "t 33000", "!a", "t 3000",
            "<a {\"type\":\"unsubscribed\",\"channel\":\"vip:1\",\"code\":109,"
            "\"reason\":\"token expired\",\"retry\":true}",
            "!a", "xa 0", NULL });
    place_close(&at);
}

/* What the next token does not allow any more is over. */
static void a_smaller_token(void **state) {
    (void)state;
    place at;
    place_open(&at, false, false);
    vip(&at);
    one_by_one(&at, (const char *const[]){ "oa - {carl}", ">a " SUB(1, "vip:1"), "<a " LIVE(1),
                        ">a " SUB(2, "x"), "<a " LIVE(2),
                        ">a {\"type\":\"refresh\",\"id\":3,\"data\":{\"token\":\"{carl2}\"}}",
                        "<a " KNOWN(3, "carl", 100),
                        "<a {\"type\":\"unsubscribed\",\"channel\":\"vip:1\",\"code\":103,"
                        "\"reason\":\"permission denied\",\"retry\":false}",
                        "!a", "xa 0", NULL });
    place_close(&at);
}

/* Also who is on his way in: the old token let him, and the answer is not there yet. */
static void a_smaller_token_on_the_way(void **state) {
    (void)state;
    place at;
    place_open(&at, false, false);
    vip(&at);
    one_by_one(&at, (const char *const[]){ "oa - {carl}", "+>a " SUB(1, "vip:1"),
                        ">a {\"type\":\"refresh\",\"id\":2,\"data\":{\"token\":\"{carl2}\"}}",
                        "<a " KNOWN(2, "carl", 100),
                        "<a {\"type\":\"error\",\"re\":1,\"channel\":\"vip:1\"," ERR(
                            113, "not_subscribed", "the new token does not allow it"),
                        "<a {\"type\":\"unsubscribed\",\"channel\":\"vip:1\",\"code\":103,"
                        "\"reason\":\"permission denied\",\"retry\":false}",
                        ">a " SUB(3, "vip:1"), "<a " DENIED(3, "vip:1"), "!a", "xa 0", NULL });
    place_close(&at);
}

/* 25 s before its end it is told, and 30 s after it closed; a new one in time keeps it. */
static void the_end_of_a_token(void **state) {
    (void)state;
    place at;
    place_open(&at, false, false);
    one_by_one(
        &at, (const char *const[]){ "oa -", "ob -", "oc event {short}",
                 ">a {\"type\":\"auth\",\"id\":1,\"data\":{\"token\":\"{anna}\"}}",
                 "<a " KNOWN(1, "anna", 100),
                 ">b {\"type\":\"auth\",\"id\":1,\"data\":{\"token\":\"{anna}\"}}",
                 "<b " KNOWN(1, "anna", 100), "t 74000", "!a", "xc 1008", "t 2000",
                 "<a {\"type\":\"expiring\",\"in\":25}", "<b {\"type\":\"expiring\",\"in\":25}",
                 ">b {\"type\":\"refresh\",\"id\":2,\"data\":{\"token\":\"{bob}\"}}",
                 "<b {\"type\":\"error\",\"re\":2," ERR(
                     103, "permission_denied", "the token is for somebody else"),
                 ">b {\"type\":\"refresh\",\"id\":3,\"data\":{\"token\":\"{bad}\"}}",
                 "<b {\"type\":\"error\",\"re\":3," ERR(101, "unauthorized", "invalid token"),
                 ">b {\"type\":\"refresh\",\"id\":4,\"data\":{\"token\":\"{anna2}\"}}",
                 "<b " KNOWN(4, "anna", 124), "t 52000", "xa 0", "t 3000", "xa 3005", "xb 0", "!b",
                 "t 46000", "<b {\"type\":\"expiring\",\"in\":25}", "t 56000", "xb 3005", NULL });
    place_close(&at);
}

/* Until it is known who it is, messages are small. */
static void narrow_until_known(void **state) {
    (void)state;
    place at;
    place_open(&at, false, false);
    one_by_one(&at, (const char *const[]){ "oa -", "ob - {anna}", "oc -", NULL });
    assert_int_equal(at.w.peers[0].c.ws.config->message_max, 16384);
    assert_int_equal(at.w.peers[1].c.ws.config->message_max, 65536);
    play_here(&at, ">a {\"type\":\"auth\",\"token\":\"{anna}\"}");
    play_here(&at, ">c {\"type\":\"auth\",\"data\":{\"token\":\"{anna}\"}}");
    assert_int_equal(at.w.peers[0].c.ws.config->message_max, 65536);
    assert_int_equal(at.w.peers[2].c.ws.config->message_max, 65536);
    place_close(&at);
}

static void conversations(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        place at;
        place_open(&at, rows[i].anonymous, rows[i].personal);
        for (int n = 0; n < LINES && rows[i].lines[n]; n++)
            play_here(&at, rows[i].lines[n]);
        place_close(&at);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversations),
        cmocka_unit_test(channel_tokens),
        cmocka_unit_test(a_smaller_token),
        cmocka_unit_test(a_smaller_token_on_the_way),
        cmocka_unit_test(the_end_of_a_token),
        cmocka_unit_test(narrow_until_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
