/* Sessions on a hub that wants to know who is speaking. Conversations as in session_test.h, and
 * besides: {NAME} in a line is a token, "t MS" lets time pass, and "oX HOW" opens connection X: as
 * undecided, with a dialect ("v1", "event", "topic"), or with a token of the handshake behind it.
 * "b KIND SUBJECT" is a ban (u), a revocation of what was issued before START (i) or of a token
 * (j).
 */
#include "session/orders.h"
#include "session/session_test.h"

#define SECRET "a secret of thirty-two bytes....plus"
#define START  (WALL / 1000) /* seconds, when a conversation begins */

static const struct {
    const char *name, *claims;
} tokens[] = {
    { "anna", "{\"sub\":\"anna\",\"exp\":1700000100,\"info\":{\"n\":1}}" },
    { "anna2", "{\"sub\":\"anna\",\"exp\":1700000200}" },
    { "bob", "{\"sub\":\"bob\",\"exp\":1700000100,\"subs\":[\"x\"]}" },
    { "carl", "{\"sub\":\"carl\",\"exp\":1700000100,\"subscribe\":[\"vip:*\"]}" },
    { "carl2", "{\"sub\":\"carl\",\"exp\":1700000100}" },
    { "short", "{\"sub\":\"anna\",\"exp\":1700000010}" },
    { "old", "{\"sub\":\"anna\",\"exp\":1699999900}" },
    { "anna-vip", "{\"sub\":\"anna\",\"exp\":1700000005,\"channel\":\"vip:1\"}" },
    { "told", "{\"sub\":\"anna\",\"exp\":1700000100,\"iat\":1699999999,\"jti\":\"t1\"}" },
    { "newer", "{\"sub\":\"anna\",\"exp\":1700000100,\"iat\":1700000000,\"jti\":\"t2\"}" },
    { "told-vip", "{\"sub\":\"anna\",\"exp\":1700000100,\"channel\":\"vip:1\",\"jti\":\"t1\"}" },
    { "bad-jti", "{\"sub\":\"anna\",\"exp\":1700000100,\"jti\":7}" },
    { "bob-vip", "{\"sub\":\"bob\",\"exp\":1700000100,\"channel\":\"vip:1\"}" },
};

/* The world ------------------------------------------------------------------------------- */

typedef struct place {
    world w;
    ln_auth auth;
    ln_jws_keys *keys;
    ln_ws_config wide, narrow;
} place;

static void sign(const char *claims, ln_slice secret, ln_buf *out) {
    ln_jws_name nameless = { .kid = LN_SLICE("") };
    ln_jws_signer *signer;
    const char *why;
    assert_int_equal(ln_jws_signer_secret(&nameless, secret, &signer, &why), LINNET_OK);
    assert_int_equal(ln_jws_sign(signer, ln_slice_str(claims), out), LINNET_OK);
    ln_jws_signer_free(signer);
}

static void put_token(const char *name, size_t size, ln_buf *out) {
    for (size_t i = 0; i < LN_COUNT(tokens); i++) {
        if (strlen(tokens[i].name) != size || memcmp(tokens[i].name, name, size) != 0) continue;
        sign(tokens[i].claims, LN_SLICE(SECRET), out);
        return;
    }
    assert_memory_equal(name, "bad", size);
    sign(tokens[0].claims, LN_SLICE("another secret of thirty-two bytes"), out);
}

/* {NAME} becomes a token where there is one of that name. */
static void fill(const char *line, ln_buf *out) {
    ln_buf_init(out, 65536);
    while (*line) {
        const char *end = line[0] == '{' && line[1] >= 'a' ? strchr(line, '}') : NULL;
        if (end) {
            put_token(line + 1, (size_t)(end - line) - 1, out);
            line = end + 1;
        } else {
            assert_int_equal(ln_buf_add_byte(out, (uint8_t)*line++), LINNET_OK);
        }
    }
    assert_int_equal(ln_buf_add_byte(out, 0), LINNET_OK);
}

static void place_open(place *at, bool anonymous, bool personal) {
    ln_jws_name nameless = { .kid = LN_SLICE("") };
    const char *why;
    memset(at, 0, sizeof *at);
    world_open(&at->w);
    assert_int_equal(ln_jws_keys_new(&at->keys), LINNET_OK);
    assert_int_equal(ln_jws_keys_secret(at->keys, &nameless, LN_SLICE(SECRET), &why), LINNET_OK);
    at->auth = (ln_auth){
        .keys = at->keys, .anonymous = anonymous, .personal = personal, .bans = &at->w.sessions.bans
    };
    at->wide.message_max = 65536;
    at->narrow.message_max = 16384;
}

static void place_close(place *at) {
    world_close(&at->w);
    ln_jws_keys_unref(at->keys);
}

static void enter(place *at, int i, const char *how) {
    peer *p = &at->w.peers[i];
    const char *token = strchr(how, ' ');
    ln_slice dialect = ln_slice_of(how, token ? (size_t)(token - how) : strlen(how));
    ln_buf text;
    ln_session_options o = { .limits = &at->w.limits,
        .dialect = ln_dialect_by_name(dialect),
        .client = ln_slice_of(&p->name, 1),
        .auth = &at->auth,
        .narrow = &at->narrow };
    if (token) {
        fill(token + 1, &text);
        text.size--; /* the NUL */
        ln_identity_read(&at->auth, ln_buf_slice(&text), START, &o.identity, &o.refused);
        ln_buf_fini(&text);
    }
    p->c.ws.config = &at->wide;
    p->c.heard = p->c.spoke = (uint32_t)at->w.now;
    assert_int_equal(ln_session_open(&at->w.sessions, &p->c, &o), LINNET_OK);
    p->open = true;
    run(&at->w);
}

static void pass(place *at, uint64_t ms) {
    for (uint64_t step; ms; ms -= step) {
        step = ms < 1000 ? ms : 1000;
        at->w.now += step;
        for (int i = 0; i < PEERS; i++) /* they live */
            at->w.peers[i].c.heard = at->w.peers[i].c.spoke = (uint32_t)at->w.now;
        ln_hub_tick(at->w.hub, at->w.now, WALL + at->w.now - 50000);
        ln_sessions_tick(&at->w.sessions);
    }
}

static void order(place *at, char what, const char *subject) {
    ln_sessions *n = &at->w.sessions;
    ln_ban_kind kind = what == 'u' ? LN_BAN_USER : what == 'i' ? LN_BAN_ISSUED : LN_BAN_TOKEN;
    ln_slice name = ln_slice_str(subject);
    assert_int_equal(ln_bans_put(&n->bans, kind, name, START, 0, START), LINNET_OK);
    ln_sessions_bar(n, kind, name, START);
    run(&at->w);
}

static void play_here(place *at, const char *line) {
    ln_buf text;
    fill(line, &text);
    const char *whole = (const char *)ln_buf_slice(&text).data;
    if (line[0] == 'o')
        enter(at, line[1] - 'a', line + 3);
    else if (line[0] == 'b')
        order(at, line[2], line + 4);
    else if (line[0] == 't')
        pass(at, strtoul(line + 2, NULL, 10));
    else
        play_line(&at->w, whole);
    ln_buf_fini(&text);
}

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
        cmocka_unit_test(the_end_of_a_token),
        cmocka_unit_test(narrow_until_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
