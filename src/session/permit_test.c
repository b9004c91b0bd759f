#include "base/mem.h"
#include "base/testing.h"
#include "session/permit.h"

#define NOW    1700000000
#define SECRET "a secret of thirty-two bytes....plus"

/* Identities from claims ------------------------------------------------------------------ */

static ln_jws_keys *keys;

static int keys_open(void **state) {
    const char *why;
    ln_jws_name nameless = { .kid = LN_SLICE("") };
    assert_int_equal(ln_jws_keys_new(&keys), LINNET_OK);
    assert_int_equal(ln_jws_keys_secret(keys, &nameless, LN_SLICE(SECRET), &why), LINNET_OK);
    return 0;
}

static int keys_close(void **state) {
    ln_jws_keys_unref(keys);
    return 0;
}

static void sign(const char *claims, ln_buf *token) {
    ln_jws_signer *signer;
    const char *why;
    ln_jws_name nameless = { .kid = LN_SLICE("") };
    ln_buf_init(token, 65536);
    assert_int_equal(ln_jws_signer_secret(&nameless, LN_SLICE(SECRET), &signer, &why), LINNET_OK);
    assert_int_equal(ln_jws_sign(signer, ln_slice_str(claims), token), LINNET_OK);
    ln_jws_signer_free(signer);
}

/* NULL: refused. */
static ln_identity *identity(const char *claims) {
    ln_auth auth = { .keys = keys };
    ln_buf token;
    ln_identity *id = NULL;
    ln_jws_fault fault;
    sign(claims, &token);
    int err = ln_identity_read(&auth, ln_buf_slice(&token), NOW, &id, &fault);
    assert_int_equal(err, id ? LINNET_OK : LINNET_ERR_DENIED);
    if (!id) assert_int_equal(fault, LN_JWS_FAULT_CLAIMS);
    ln_buf_fini(&token);
    return id;
}

#define EXP "\"exp\":1700000600"
#define N32 "12345678901234567890123456789012"
static const struct {
    const char *why;
    const char *claims;
    const char *user; /* NULL: refused */
    const char *info;
} people[] = {
    { "a name", "{" EXP ",\"sub\":\"anna\"}", "anna", "" },
    { "a name from elsewhere", "{" EXP ",\"sub\":\"auth0|5f7c\\u0038ec7\"}", "auth0|5f7c8ec7", "" },
    { "128 bytes", "{" EXP ",\"sub\":\"" N32 N32 N32 N32 "\"}", N32 N32 N32 N32, "" },
    { "129 bytes", "{" EXP ",\"sub\":\"" N32 N32 N32 N32 "x\"}", NULL, "" },
    { "with an info", "{" EXP ",\"sub\":\"a\",\"info\":{\"n\": 1}}", "a", "{\"n\": 1}" },
    { "an info that is null", "{" EXP ",\"sub\":\"a\",\"info\":null}", "a", "" },
    { "no name", "{" EXP "}", NULL, "" },
    { "an empty name", "{" EXP ",\"sub\":\"\"}", NULL, "" },
    { "a number", "{" EXP ",\"sub\":7}", NULL, "" },
    { "a NUL in it", "{" EXP ",\"sub\":\"a\\u0000\"}", NULL, "" },
    { "a line end in it", "{" EXP ",\"sub\":\"a\\nb\"}", NULL, "" },
    { "leave for a channel is not leave to be somebody",
        "{" EXP ",\"sub\":\"a\",\"channel\":\"x\"}", NULL, "" },
    { "channels no array", "{" EXP ",\"sub\":\"a\",\"channels\":\"x\"}", NULL, "" },
    { "a pattern no string", "{" EXP ",\"sub\":\"a\",\"publish\":[1]}", NULL, "" },
    { "an empty pattern", "{" EXP ",\"sub\":\"a\",\"subscribe\":[\"\"]}", NULL, "" },
};

static void who_it_is(void **state) {
    for (size_t i = 0; i < LN_COUNT(people); i++) {
        print_message("# %s\n", people[i].why);
        ln_identity *id = identity(people[i].claims);
        assert_int_equal(id != NULL, people[i].user != NULL);
        if (!id) continue;
        assert_true(ln_slice_eq(ln_identity_user(id), ln_slice_str(people[i].user)));
        assert_true(ln_slice_eq(ln_identity_info(id), ln_slice_str(people[i].info)));
        assert_int_equal(id->expires, 1700000600);
        ln_free(id);
    }
}

static void where_it_is_put(void **state) {
    ln_identity *id = identity("{" EXP ",\"sub\":\"a\",\"channels\":[\"x\",\"c:*\"],"
                               "\"subs\":[\"news\",\"a*\",\"n\\u0065ws:2\"]}");
    uint32_t at = 0;
    ln_slice channel;
    assert_true(ln_identity_next_sub(id, &at, &channel));
    assert_true(ln_slice_eq(channel, LN_SLICE("news")));
    assert_true(ln_identity_next_sub(id, &at, &channel));
    assert_true(ln_slice_eq(channel, LN_SLICE("a*"))); /* a name, and no pattern */
    assert_true(ln_identity_next_sub(id, &at, &channel));
    assert_true(ln_slice_eq(channel, LN_SLICE("news:2")));
    assert_false(ln_identity_next_sub(id, &at, &channel));
    assert_false(ln_identity_grants(id, LN_ACT_SUBSCRIBE, LN_SLICE("abc")));
    ln_free(id);
}

/* What is allowed ------------------------------------------------------------------------- */

#define ANNA                                                                                       \
    "{" EXP ",\"sub\":\"anna\",\"subscribe\":[\"s\",\"team:*\"],\"publish\":[\"p\",\"@bob\"],"     \
    "\"channels\":[\"all\"],\"subs\":[\"n\"]}"

static const struct {
    const char *why;
    ln_rule rule;
    char who; /* 'a': anna; 'g': a guest; 'o': where nobody logs in; 's': a guest in the channel */
    ln_act act;
    ln_slice channel;
    bool may;
} rows[] = {
    { "anyone: a guest", LN_RULE_ANYONE, 'g', LN_ACT_PUBLISH, BYTES("x"), true },
    { "standard: a guest", LN_RULE_DEFAULT, 'g', LN_ACT_SUBSCRIBE, BYTES("x"), false },
    { "standard: somebody", LN_RULE_DEFAULT, 'a', LN_ACT_SUBSCRIBE, BYTES("x"), true },
    { "standard: where nobody logs in", LN_RULE_DEFAULT, 'o', LN_ACT_PUBLISH, BYTES("x"), true },
    { "authenticated: a guest", LN_RULE_AUTHENTICATED, 'g', LN_ACT_PUBLISH, BYTES("x"), false },
    { "authenticated: somebody", LN_RULE_AUTHENTICATED, 'a', LN_ACT_HISTORY, BYTES("x"), true },
    { "subscribers: not in it", LN_RULE_SUBSCRIBERS, 'g', LN_ACT_PUBLISH, BYTES("x"), false },
    { "subscribers: in it", LN_RULE_SUBSCRIBERS, 's', LN_ACT_PUBLISH, BYTES("x"), true },
    { "nobody: somebody", LN_RULE_NOBODY, 'a', LN_ACT_SUBSCRIBE, BYTES("x"), false },
    { "nobody: a claim does not help", LN_RULE_NOBODY, 'a', LN_ACT_SUBSCRIBE, BYTES("s"), false },
    { "nobody: where nobody logs in", LN_RULE_NOBODY, 'o', LN_ACT_PUBLISH, BYTES("x"), false },
    { "token: named", LN_RULE_TOKEN, 'a', LN_ACT_SUBSCRIBE, BYTES("s"), true },
    { "token: named for something else", LN_RULE_TOKEN, 'a', LN_ACT_PUBLISH, BYTES("s"), false },
    { "token: named for all", LN_RULE_TOKEN, 'a', LN_ACT_PRESENCE, BYTES("all"), true },
    { "token: not named", LN_RULE_TOKEN, 'a', LN_ACT_SUBSCRIBE, BYTES("x"), false },
    { "token: a guest", LN_RULE_TOKEN, 'g', LN_ACT_SUBSCRIBE, BYTES("s"), false },
    { "token: to be put into", LN_RULE_TOKEN, 'a', LN_ACT_SUBSCRIBE, BYTES("n"), true },
    { "token: that is not leave to publish", LN_RULE_TOKEN, 'a', LN_ACT_PUBLISH, BYTES("n"),
        false },
    { "pattern: what begins so", LN_RULE_TOKEN, 'a', LN_ACT_SUBSCRIBE, BYTES("team:1"), true },
    { "pattern: nothing behind it", LN_RULE_TOKEN, 'a', LN_ACT_SUBSCRIBE, BYTES("team:"), true },
    { "pattern: shorter", LN_RULE_TOKEN, 'a', LN_ACT_SUBSCRIBE, BYTES("team"), false },
    { "pattern: other letters", LN_RULE_TOKEN, 'a', LN_ACT_SUBSCRIBE, BYTES("Team:1"), false },
    { "a name and more", LN_RULE_TOKEN, 'a', LN_ACT_SUBSCRIBE, BYTES("s2"), false },
    { "a name and a NUL", LN_RULE_TOKEN, 'a', LN_ACT_SUBSCRIBE, BYTES("s\0"), false },
    { "her own", LN_RULE_DEFAULT, 'a', LN_ACT_SUBSCRIBE, BYTES("@anna"), true },
    { "her own, where nobody may", LN_RULE_NOBODY, 'a', LN_ACT_SUBSCRIBE, BYTES("@anna"), false },
    { "another's", LN_RULE_ANYONE, 'a', LN_ACT_SUBSCRIBE, BYTES("@bob"), false },
    { "another's, in other letters", LN_RULE_ANYONE, 'a', LN_ACT_SUBSCRIBE, BYTES("@Anna"), false },
    { "another's, beginning alike", LN_RULE_ANYONE, 'a', LN_ACT_SUBSCRIBE, BYTES("@ann"), false },
    { "another's, beginning with her", LN_RULE_ANYONE, 'a', LN_ACT_HISTORY, BYTES("@anna2"),
        false },
    { "another's, with a NUL", LN_RULE_ANYONE, 'a', LN_ACT_SUBSCRIBE, BYTES("@anna\0"), false },
    { "who is with another", LN_RULE_ANYONE, 'a', LN_ACT_PRESENCE, BYTES("@bob"), false },
    { "speaking to another", LN_RULE_DEFAULT, 'a', LN_ACT_PUBLISH, BYTES("@bob"), true },
    { "speaking to another, by claim", LN_RULE_TOKEN, 'a', LN_ACT_PUBLISH, BYTES("@bob"), true },
    { "and not to a third", LN_RULE_TOKEN, 'a', LN_ACT_PUBLISH, BYTES("@carl"), false },
    { "a guest speaking to a user", LN_RULE_ANYONE, 'g', LN_ACT_PUBLISH, BYTES("@bob"), false },
    { "a guest listening", LN_RULE_ANYONE, 'g', LN_ACT_SUBSCRIBE, BYTES("@bob"), false },
    { "users where nobody logs in", LN_RULE_DEFAULT, 'o', LN_ACT_SUBSCRIBE, BYTES("@a"), false },
};

static void what_is_allowed(void **state) {
    ln_identity *anna = identity(ANNA);
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_namespace space = { .name = "" };
        space.allow[rows[i].act] = (uint8_t)rows[i].rule;
        ln_permit_ask ask = {
            .space = &space,
            .who = rows[i].who == 'a' ? anna : NULL,
            .known = rows[i].who == 'a' || rows[i].who == 'o',
            .subscribed = rows[i].who == 's',
        };
        ln_slice channel = ln_test_exact(rows[i].channel);
        int want = rows[i].may ? LINNET_OK : LINNET_ERR_DENIED;
        if (ln_permit(&ask, rows[i].act, channel) != want) fail_msg("%s", rows[i].why);
        ln_test_drop(channel);
    }
    ln_free(anna);
}

/* Tokens for a channel -------------------------------------------------------------------- */

static const struct {
    const char *why;
    const char *claims, *user, *channel;
    bool may;
} leaves[] = {
    { "hers", "{" EXP ",\"sub\":\"anna\",\"channel\":\"x\"}", "anna", "x", true },
    { "in escapes", "{" EXP ",\"sub\":\"\\u0061nna\",\"channel\":\"\\u0078\"}", "anna", "x", true },
    { "another's", "{" EXP ",\"sub\":\"bob\",\"channel\":\"x\"}", "anna", "x", false },
    { "for another channel", "{" EXP ",\"sub\":\"anna\",\"channel\":\"y\"}", "anna", "x", false },
    { "for one that begins so", "{" EXP ",\"sub\":\"anna\",\"channel\":\"x\"}", "anna", "xy",
        false },
    { "a pattern is a name", "{" EXP ",\"sub\":\"anna\",\"channel\":\"*\"}", "anna", "x", false },
    { "expired", "{\"exp\":1699990000,\"sub\":\"anna\",\"channel\":\"x\"}", "anna", "x", false },
    { "of somebody, for anybody", "{" EXP ",\"sub\":\"anna\",\"channel\":\"x\"}", "", "x", false },
    { "for nobody", "{" EXP ",\"channel\":\"x\"}", "", "x", true },
    { "for nobody, and somebody has it", "{" EXP ",\"channel\":\"x\"}", "anna", "x", false },
    { "without a channel", "{" EXP ",\"sub\":\"anna\"}", "anna", "x", false },
    { "a list of channels", "{" EXP ",\"sub\":\"anna\",\"channel\":[\"x\"]}", "anna", "x", false },
    { "who may be", "{" EXP ",\"sub\":\"anna\",\"channels\":[\"x\"]}", "anna", "x", false },
};

static void leave_for_one_channel(void **state) {
    ln_auth auth = { .keys = keys };
    for (size_t i = 0; i < LN_COUNT(leaves); i++) {
        ln_buf token;
        uint64_t expires = 0;
        sign(leaves[i].claims, &token);
        int err = ln_channel_token_check(&auth, ln_buf_slice(&token), NOW,
            ln_slice_str(leaves[i].user), ln_slice_str(leaves[i].channel), &expires);
        if (err != (leaves[i].may ? LINNET_OK : LINNET_ERR_DENIED)) fail_msg("%s", leaves[i].why);
        assert_int_equal(expires, leaves[i].may ? 1700000600 : 0);
        ln_buf_fini(&token);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_it_is),
        cmocka_unit_test(where_it_is_put),
        cmocka_unit_test(what_is_allowed),
        cmocka_unit_test(leave_for_one_channel),
    };
    return cmocka_run_group_tests_name("permission", tests, keys_open, keys_close);
}
