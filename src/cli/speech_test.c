#include "base/testing.h"
#include "cli/asking.h"

static const struct {
    const char *why, *text;
    ln_said want; /* raw is that of the text */
} said[] = {
    { "a welcome with its limit", "{\"type\":\"welcome\",\"max\":65536}",
        { .kind = LN_SAID_WELCOME, .max = 65536 } },
    { "an answer", "{\"type\":\"ok\",\"re\":7,\"data\":[1]}",
        { .kind = LN_SAID_OK, .re = 7, .data = LN_SLICE_INIT("[1]") } },
    { "an error that may be tried again",
        "{\"type\":\"error\",\"re\":1,\"error\":{\"code\":111,\"message\":\"slow\",\"retry\":true,"
        "\"retry_after\":250}}",
        { .kind = LN_SAID_ERROR,
            .re = 1,
            .code = 111,
            .words = LN_SLICE_INIT("\"slow\""),
            .retry = true,
            .retry_after = 250 } },
    { "an error that is no object says nothing", "{\"type\":\"error\",\"error\":\"x\"}",
        { .kind = LN_SAID_ERROR } },
    { "a message", "{\"type\":\"message\",\"channel\":\"a\",\"data\":null}",
        { .kind = LN_SAID_MESSAGE,
            .channel = LN_SLICE_INIT("\"a\""),
            .data = LN_SLICE_INIT("null") } },
    { "thrown out", "{\"type\":\"unsubscribed\",\"channel\":\"a\",\"code\":103,\"reason\":\"r\"}",
        { .kind = LN_SAID_UNSUBSCRIBED,
            .channel = LN_SLICE_INIT("\"a\""),
            .code = 103,
            .words = LN_SLICE_INIT("\"r\"") } },
    { "left out", "{\"type\":\"skip\",\"count\":3}", { .kind = LN_SAID_SKIP, .count = 3 } },
    { "who comes and goes", "{\"type\":\"presence\",\"channel\":\"a\",\"joins\":[],\"leaves\":[]}",
        { .kind = LN_SAID_PRESENCE, .channel = LN_SLICE_INIT("\"a\"") } },
    { "a ping", "{\"type\":\"ping\"}", { .kind = LN_SAID_PING } },
    { "what is not known yet", "{\"type\":\"other\",\"re\":2}",
        { .kind = LN_SAID_OTHER, .re = 2 } },
    { "a type that is no string", "{\"type\":1}", { .kind = LN_SAID_OTHER } },
    { "numbers that are none", "{\"type\":\"ok\",\"re\":\"7\",\"max\":-1}",
        { .kind = LN_SAID_OK } },
};

static void same(const char *why, ln_slice got, ln_slice want) {
    if (!ln_slice_eq(got, want)) fail_msg("%s: %.*s", why, (int)got.size, (const char *)got.data);
}

static void frames_are_read(void **state) {
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        ln_said got, want = said[i].want;
        ln_json_value top;
        assert_int_equal(ln_json_check(ln_slice_str(said[i].text), &top), LINNET_OK);
        assert_true(ln_said_read(&top, &got));
        same(said[i].why, got.raw, ln_slice_str(said[i].text));
        same(said[i].why, got.channel, want.channel);
        same(said[i].why, got.data, want.data);
        same(said[i].why, got.words, want.words);
        if (got.kind != want.kind || got.re != want.re || got.code != want.code ||
            got.count != want.count || got.max != want.max || got.retry != want.retry ||
            got.retry_after != want.retry_after)
            fail_msg("%s", said[i].why);
    }
}

static void what_is_no_object_is_no_frame(void **state) {
    static const char *const texts[] = { "[]", "1", "\"ok\"", "null" };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ln_json_value top;
        ln_said got;
        assert_int_equal(ln_json_check(ln_slice_str(texts[i]), &top), LINNET_OK);
        assert_false(ln_said_read(&top, &got));
    }
}

static const struct {
    const char *why, *text, *want;
} data[] = {
    { "JSON as it is", " {\"a\": 1} ", "{\"a\": 1}" },
    { "a number", "-1.5", "-1.5" },
    { "words", "plain words", "\"plain words\"" },
    { "nothing", "", "\"\"" },
    { "what is nearly JSON", "{\"a\":", "\"{\\\"a\\\":\"" },
};

static void data_is_json_or_becomes_a_string(void **state) {
    for (size_t i = 0; i < sizeof data / sizeof data[0]; i++) {
        ln_buf out;
        ln_buf_init(&out, 1000);
        ln_json_writer w = ln_json_begin(&out);
        ln_speech_put_data(&w, ln_slice_str(data[i].text));
        assert_int_equal(ln_json_end(&w), LINNET_OK);
        same(data[i].why, ln_buf_slice(&out), ln_slice_str(data[i].want));
        ln_buf_fini(&out);
    }
}

static const struct {
    const char *why;
    ln_said error;
    bool harmless;
    uint64_t waited;
    bool again;
} patience[] = {
    { "too fast", { .code = 111, .retry = true, .retry_after = 50 }, false, 0, true },
    { "too fast, and nobody says how long", { .code = 111, .retry = true }, false, 0, true },
    { "not now, and it has had no effect", { .code = 108, .retry = true }, true, 0, true },
    { "not now, but perhaps it has", { .code = 108, .retry = true }, false, 0, false },
    { "never", { .code = 103 }, true, 0, false },
    { "longer than we wait", { .code = 111, .retry = true, .retry_after = 1001 }, true, 0, false },
    { "just as long as we wait", { .code = 111, .retry = true, .retry_after = 1000 }, true, 0,
        true },
    { "longer than we wait in all", { .code = 111, .retry = true, .retry_after = 600 }, true, 401,
        false },
};

static void never(linnet_timer *timer, void *ctx) {
    fail_msg("the loop does not turn");
}

/* A talk that is not under way, but has a clock. */
static void the_server_is_given_time(void **state) {
    for (size_t i = 0; i < sizeof patience / sizeof patience[0]; i++) {
        ln_asking a = { .speech.timeout_ms = 1000, .waited_ms = patience[i].waited };
        ln_talk *t = &a.speech.talk;
        assert_int_equal(linnet_loop_new(NULL, &t->loop), LINNET_OK);
        assert_int_equal(linnet_timer_new(t->loop, never, t, &t->alarm), LINNET_OK);
        bool again = ln_asking_patient(&a, &patience[i].error, patience[i].harmless);
        if (again != patience[i].again || a.pausing != again) fail_msg("%s", patience[i].why);
        linnet_timer_free(t->alarm);
        linnet_loop_free(t->loop);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_read),
        cmocka_unit_test(what_is_no_object_is_no_frame),
        cmocka_unit_test(data_is_json_or_becomes_a_string),
        cmocka_unit_test(the_server_is_given_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
