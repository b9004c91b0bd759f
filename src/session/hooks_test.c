#include "base/testing.h"
#include "session/hooks.h"

static void test_names(void **state) {
    for (int kind = 0; kind < LN_ASK_KINDS; kind++)
        assert_int_equal(ln_hook_kind(ln_slice_str(ln_hook_name((ln_ask_kind)kind))), kind);
    assert_int_equal(ln_hook_kind(LN_SLICE("subscrib")), LN_ASK_KINDS);
    assert_int_equal(ln_hook_kind(LN_SLICE("")), LN_ASK_KINDS);
}

/* Questions ------------------------------------------------------------------------------- */

static const struct {
    const char *why;
    ln_question q;
    const char *json;
} questions[] = {
    { "may he come",
        { .kind = LN_ASK_CONNECT,
            .client = BYTES("c1"),
            .path = BYTES("/ws"),
            .address = BYTES("10.0.0.7:4"),
            .headers = BYTES("{\"cookie\":\"a=b\"}") },
        "{\"type\":\"connect\",\"ts\":5,\"node\":\"n\",\"client\":\"c1\",\"path\":\"/ws\","
        "\"address\":\"10.0.0.7:4\",\"headers\":{\"cookie\":\"a=b\"}}" },
    { "may he hear",
        { .kind = LN_ASK_SUBSCRIBE,
            .client = BYTES("c1"),
            .user = BYTES("u\"1"),
            .info = BYTES("[1]"),
            .channel = BYTES("news") },
        "{\"type\":\"subscribe\",\"ts\":5,\"node\":\"n\",\"client\":\"c1\",\"user\":\"u\\\"1\","
        "\"info\":[1],\"channel\":\"news\"}" },
    { "may he say",
        { .kind = LN_ASK_PUBLISH,
            .client = BYTES("c1"),
            .channel = BYTES("news"),
            .event = BYTES("e"),
            .data = BYTES("{\"a\": 1}") },
        "{\"type\":\"publish\",\"ts\":5,\"node\":\"n\",\"client\":\"c1\",\"channel\":\"news\","
        "\"event\":\"e\",\"data\":{\"a\": 1}}" },
    { "he has gone, and said nothing",
        { .kind = LN_TELL_DISCONNECT, .client = BYTES("c1"), .code = 1006 },
        "{\"type\":\"disconnect\",\"ts\":5,\"node\":\"n\",\"client\":\"c1\",\"code\":1006,"
        "\"reason\":\"\"}" },
    { "somebody is there", { .kind = LN_TELL_OCCUPIED, .channel = BYTES("news") },
        "{\"type\":\"channel_occupied\",\"ts\":5,\"node\":\"n\",\"channel\":\"news\"}" },
};

static void test_questions(void **state) {
    ln_buf out;
    ln_buf_init(&out, LN_BUF_MAX);
    for (size_t i = 0; i < LN_COUNT(questions); i++) {
        ln_buf_clear(&out);
        assert_int_equal(ln_hook_put(&out, &questions[i].q, LN_SLICE("n"), 5), LINNET_OK);
        ln_json_value top;
        assert_int_equal(ln_json_check(ln_buf_slice(&out), &top), LN_DONE);
        if (!ln_slice_eq(ln_buf_slice(&out), ln_slice_str(questions[i].json)))
            fail_msg("%s: %.*s", questions[i].why, (int)out.size, (const char *)out.data);
    }
    ln_buf_fini(&out);
}

/* Answers --------------------------------------------------------------------------------- */

static const struct {
    const char *why;
    unsigned status;
    const char *body;
    int err;
    uint16_t code;
    const char *message, *data, *user, *info, *channels;
    uint64_t expires;
} answers[] = {
    { "nothing is yes", 200, "" },
    { "no content is yes", 204, "" },
    { "white space is nothing", 200, " \t" },
    { "an empty object is yes", 200, "{}" },
    { "what we do not know is not looked at", 200, "{\"x\":[1]}" },
    { "yes in words", 200, "{\"allow\":true}" },
    { "all of it", 200,
        "{\"user\":\"\\u0061\",\"info\":{\"n\":1},\"channels\":[\"x\",\"y\"],\"data\":[1],"
        "\"expires\":17}",
        .data = "[1]", .user = "a", .info = "{\"n\":1}", .channels = "[\"x\",\"y\"]",
        .expires = 17 },
    { "no", 200, "{\"allow\":false}", .code = 103 },
    { "no, and why", 200, "{\"error\":{\"code\":1234,\"message\":\"not \\\"you\\\"\"}}",
        .code = 1234, .message = "not \"you\"" },
    { "no without a code", 200, "{\"error\":{}}", .code = 103 },
    { "an error is more than a yes", 200, "{\"error\":{\"code\":106},\"allow\":true}",
        .code = 106 },
    { "a no does not hide the code", 200, "{\"error\":{\"code\":106},\"allow\":false}",
        .code = 106 },
    { "401", 401, "who are you", .code = 101 },
    { "403", 403, "", .code = 103 },
    { "403 and why", 403, "{\"error\":{\"code\":400,\"message\":\"no\"}}", .code = 400,
        .message = "no" },
    { "403 with a user is no user", 403, "{\"user\":\"root\"}", .code = 103 },
    { "a code that is none", 200, "{\"error\":{\"code\":7}}", LINNET_ERR_HTTP },
    { "a code that is too large", 200, "{\"error\":{\"code\":2000}}", LINNET_ERR_HTTP },
    { "an error that is a text", 200, "{\"error\":\"no\"}", LINNET_ERR_HTTP },
    { "null is not yes", 200, "null", LINNET_ERR_HTTP },
    { "an array is not yes", 200, "[]", LINNET_ERR_HTTP },
    { "a page is not yes", 200, "<html>", LINNET_ERR_HTTP },
    { "half an answer is not yes", 200, "{\"allow\":true", LINNET_ERR_HTTP },
    { "yes as a text is not yes", 200, "{\"allow\":\"false\"}", LINNET_ERR_HTTP },
    { "a user that is a number", 200, "{\"user\":1}", LINNET_ERR_HTTP },
    { "channels that are not texts", 200, "{\"channels\":[1]}", LINNET_ERR_HTTP },
    { "channels that are one", 200, "{\"channels\":\"x\"}", LINNET_ERR_HTTP },
    { "an end that is a text", 200, "{\"expires\":\"17\"}", LINNET_ERR_HTTP },
    { "a redirect", 301, "{}", LINNET_ERR_HTTP },
    { "500", 500, "{}", LINNET_ERR_HTTP },
    { "404", 404, "{}", LINNET_ERR_HTTP },
    { "429", 429, "{\"allow\":true}", LINNET_ERR_HTTP },
};

static void same(const char *why, ln_slice got, const char *wanted) {
    if (!ln_slice_eq(got, ln_slice_str(wanted))) fail_msg("%s", why);
}

static void test_answers(void **state) {
    for (size_t i = 0; i < LN_COUNT(answers); i++) {
        ln_buf scratch;
        ln_answer a;
        ln_buf_init(&scratch, LN_HOOK_SCRATCH);
        ln_slice body = ln_test_exact(ln_slice_str(answers[i].body));
        ln_hook_read(answers[i].status, body, &scratch, &a);
        const char *why = answers[i].why;
        if (a.err != answers[i].err || (!a.err && a.code != answers[i].code))
            fail_msg("%s: %d %u", why, a.err, a.code);
        if (!a.err) {
            same(why, a.message, answers[i].message);
            same(why, a.data, answers[i].data);
            same(why, a.user, answers[i].user);
            same(why, a.info, answers[i].info);
            same(why, a.channels, answers[i].channels);
            assert_int_equal(a.expires, answers[i].expires);
        }
        ln_test_drop(body);
        ln_buf_fini(&scratch);
    }
}

/* Every answer, cut at every byte: never a yes that was not said. */
static void test_cut(void **state) {
    for (size_t i = 0; i < LN_COUNT(answers); i++) {
        ln_slice whole = ln_slice_str(answers[i].body);
        for (size_t cut = 1; cut < whole.size; cut++) {
            ln_buf scratch;
            ln_answer a;
            ln_buf_init(&scratch, LN_HOOK_SCRATCH);
            ln_slice body = ln_test_exact(ln_slice_sub(whole, 0, cut));
            ln_hook_read(200, body, &scratch, &a);
            if (!a.err && body.data[0] == '{') fail_msg("%s: %zu", answers[i].why, cut);
            ln_test_drop(body);
            ln_buf_fini(&scratch);
        }
    }
}

static void test_without_memory(void **state) {
    ln_slice body = LN_SLICE("{\"user\":\"\\u0061\"}");
    ln_test_memory m = { .fail_at = 1, .from = true };
    ln_buf scratch;
    ln_answer a;
    ln_buf_init(&scratch, LN_HOOK_SCRATCH);
    ln_test_memory_install(&m);
    ln_hook_read(200, body, &scratch, &a);
    ln_test_memory_remove();
    assert_true(a.err < 0);
    char sig[LN_HOOK_SIGNATURE];
    m = (ln_test_memory){ .fail_at = 1 };
    ln_test_memory_install(&m);
    assert_int_equal(ln_hook_sign(LN_SLICE("k"), LN_SLICE("i"), 1, body, sig), LINNET_ERR_NOMEM);
    ln_test_memory_remove();
    assert_int_equal(m.live, 0);
}

/* Signatures ------------------------------------------------------------------------------ */

/* The example of the Standard Webhooks specification. */
static void test_signature(void **state) {
    ln_buf key;
    char sig[LN_HOOK_SIGNATURE];
    ln_buf_init(&key, 1024);
    assert_int_equal(
        ln_hook_key(LN_SLICE("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"), &key), LINNET_OK);
    assert_int_equal(key.size, 24);
    ln_slice body = LN_SLICE("{\"test\": 2432232314}");
    assert_int_equal(ln_hook_sign(ln_buf_slice(&key), LN_SLICE("msg_p5jXN8AQM9LWM0D4loKWxJek"),
                         1614265330, body, sig),
        LINNET_OK);
    assert_string_equal(sig, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    ln_buf_fini(&key);
}

static const struct {
    const char *why, *text;
    int err;
    uint32_t size;
} keys[] = {
    { "as it is", "0123456789abcdef", LINNET_OK, 16 },
    { "with a line end", " 0123456789abcdef\r\n", LINNET_OK, 16 },
    { "base64", "whsec_MDEyMzQ1Njc4OWFiY2RlZg==", LINNET_OK, 16 },
    { "too short", "0123456789abcde", LINNET_ERR_INVAL, 0 },
    { "nothing", "", LINNET_ERR_INVAL, 0 },
    { "base64 of nothing", "whsec_", LINNET_ERR_INVAL, 0 },
    { "not base64", "whsec_!!!!!!!!!!!!!!!!!!!!!!!!", LINNET_ERR_INVAL, 0 },
    { "base64 cut short", "whsec_MDEyMzQ1Njc4OWFiY2RlZg=", LINNET_ERR_INVAL, 0 },
    { "base64 of too little", "whsec_MDEy", LINNET_ERR_INVAL, 0 },
};

static void test_keys(void **state) {
    for (size_t i = 0; i < LN_COUNT(keys); i++) {
        ln_buf key;
        ln_buf_init(&key, 8192);
        ln_slice text = ln_test_exact(ln_slice_str(keys[i].text));
        if (ln_hook_key(text, &key) != keys[i].err) fail_msg("%s", keys[i].why);
        assert_int_equal(key.size, keys[i].size);
        ln_test_drop(text);
        ln_buf_fini(&key);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_questions),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_signature),
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
