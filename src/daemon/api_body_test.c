#include "base/testing.h"
#include "daemon/api_body.h"
#include <string.h>

#define SAY (LN_API_CHANNEL | LN_API_DATA | LN_API_EVENT | LN_API_VOLATILE)

static const struct {
    const char *text, *why; /* NULL: it is right */
} rows[] = {
    { "{\"channel\":\"a\",\"data\":1}", NULL },
    { "{\"data\":null,\"channel\":\"\\u0061\",\"event\":\"e\\n\",\"volatile\":true}", NULL },
    { "{\"channel\":\"a\"}", "data is missing" },
    { "{}", "channel is missing" },
    { "[]", "this is no object" },
    { "\"x\"", "this is no object" },
    { "{\"channel\":\"a\",\"data\":1,\"chanel\":2}", "there is no field 'chanel' here" },
    { "{\"channel\":\"a\",\"data\":1,\"commands\":[]}", "there is no field 'commands' here" },
    { "{\"channel\":\"a\",\"data\":1,\"data\":2}", "data is there twice" },
    { "{\"channel\":\"a\",\"d\\u0061ta\":1,\"data\":2}", "data is there twice" },
    { "{\"channel\":\"a\",\"data\":1,\"limit\":2}", "there is no field 'limit' here" },
    { "{\"channel\":7,\"data\":1}", "channel is not a string" },
    { "{\"channel\":null,\"data\":1}", "channel is not a string" },
    { "{\"channel\":\"a\",\"data\":1,\"volatile\":1}", "volatile is not true or false" },
    { "{\"channel\":\"a\",\"data\":1,\"epoch\":\"0123456789abcdef\"}",
        "there is no field 'epoch' here" },
    { "{\"\\u0000\xc3\xbc\":1}", "there is no field '\\u0000?\?' here" },
    { "{\"01234567890123456789012345678901234567890\":1}",
        "there is no field '0123456789012345678901234567890123456789...' here" },
};

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_json_value top;
        ln_api_body body;
        char why[LN_API_WHY_MAX] = "";
        ln_buf scratch;
        size_t size = strlen(rows[i].text);
        uint8_t *exact = malloc(size);
        memcpy(exact, rows[i].text, size);
        assert_int_equal(ln_json_check(ln_slice_of(exact, size), &top), LINNET_OK);
        ln_buf_init(&scratch, 1000);
        assert_int_equal(ln_buf_reserve(&scratch, 1000), LINNET_OK);
        bool right = ln_api_read(&top, SAY, LN_API_CHANNEL | LN_API_DATA, &scratch, &body, why);
        if (right != !rows[i].why || (!right && strcmp(why, rows[i].why) != 0))
            fail_msg("%s: %s", rows[i].text, why);
        if (right) assert_true(ln_slice_eq(body.channel, LN_SLICE("a")));
        if (body.event.size) assert_true(ln_slice_eq(body.event, LN_SLICE("e\n")));
        ln_buf_fini(&scratch);
        free(exact);
    }
}

static void test_numbers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool right;
    } numbers[] = {
        { "{\"limit\":0}", true },
        { "{\"limit\":9007199254740991}", true },
        { "{\"limit\":9007199254740992}", false },
        { "{\"limit\":-1}", false },
        { "{\"limit\":1.5}", false },
        { "{\"limit\":1e2}", false },
        { "{\"limit\":\"1\"}", false },
        { "{\"limit\":null}", false },
    };
    for (size_t i = 0; i < LN_COUNT(numbers); i++) {
        ln_json_value top;
        ln_api_body body;
        char why[LN_API_WHY_MAX] = "limit is not a whole number";
        ln_buf scratch;
        ln_buf_init(&scratch, 16);
        assert_int_equal(ln_json_check(ln_slice_str(numbers[i].text), &top), LINNET_OK);
        if (ln_api_read(&top, LN_API_LIMIT, 0, &scratch, &body, why) != numbers[i].right)
            fail_msg("%s", numbers[i].text);
        assert_string_equal(why, "limit is not a whole number");
        ln_buf_fini(&scratch);
    }
}

static void test_since(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool right;
    } places[] = {
        { "{\"since\":{\"epoch\":\"7d0c52a1f3b94e08\",\"offset\":7}}", true },
        { "{\"since\":{\"offset\":7,\"epoch\":\"7d0c52a1f3b94e08\"}}", true },
        { "{\"since\":{\"epoch\":\"7d0c52a1f3b94e08\"}}", false },
        { "{\"since\":{\"offset\":7}}", false },
        { "{\"since\":{}}", false },
        { "{\"since\":7}", false },
        { "{\"since\":{\"epoch\":\"7D0C52A1F3B94E08\",\"offset\":7}}", true },
        { "{\"since\":{\"epoch\":\"7d0c52a1f3b94e0\",\"offset\":7}}", false },
        { "{\"since\":{\"epoch\":\"7d0c52a1f3b94e088\",\"offset\":7}}", false },
        { "{\"since\":{\"epoch\":\"0000000000000000\",\"offset\":7}}", false },
        { "{\"since\":{\"epoch\":7,\"offset\":7}}", false },
        { "{\"since\":{\"epoch\":\"7d0c52a1f3b94e08\",\"offset\":-7}}", false },
        { "{\"since\":{\"epoch\":\"7d0c52a1f3b94e08\",\"offset\":7,\"more\":1}}", false },
        { "{\"since\":{\"epoch\":\"7d0c52a1f3b94e08\",\"offset\":7,\"offset\":7}}", false },
    };
    for (size_t i = 0; i < LN_COUNT(places); i++) {
        ln_json_value top;
        ln_api_body body;
        char why[LN_API_WHY_MAX] = "";
        ln_buf scratch;
        ln_buf_init(&scratch, 16);
        assert_int_equal(ln_json_check(ln_slice_str(places[i].text), &top), LINNET_OK);
        bool right = ln_api_read(&top, LN_API_SINCE, 0, &scratch, &body, why);
        if (right != places[i].right) fail_msg("%s", places[i].text);
        if (!right) assert_string_equal(why, "since is not {epoch, offset}");
        if (right) assert_true(body.epoch == UINT64_C(0x7d0c52a1f3b94e08) && body.offset == 7);
        ln_buf_fini(&scratch);
    }
}

static void test_named(void **state) {
    (void)state;
    static const struct {
        const char *text, *name, *why;
        bool plain; /* ln_api_is_method says so too */
    } named[] = {
        { "{\"channel\":1,\"method\":\"ban\"}", "ban", NULL, true },
        { "{\"m\\u0065thod\":\"b\\u0061n\"}", "ban", NULL, false },
        { "{\"method\":\"ban\",\"method\":\"unban\"}", "ban", NULL, true },
        { "{\"method\":7}", NULL, "method is not a string", false },
        { "{}", NULL, "method is missing", false },
        { "[\"method\"]", NULL, "this is no object", false },
    };
    for (size_t i = 0; i < LN_COUNT(named); i++) {
        ln_json_value top;
        ln_slice name;
        char why[LN_API_WHY_MAX] = "";
        ln_buf scratch;
        ln_buf_init(&scratch, 100);
        assert_int_equal(ln_json_check(ln_slice_str(named[i].text), &top), LINNET_OK);
        assert_int_equal(ln_api_named(&top, &scratch, &name, why), named[i].name != NULL);
        if (named[i].name) assert_true(ln_slice_eq(name, ln_slice_str(named[i].name)));
        if (named[i].why) assert_string_equal(why, named[i].why);
        assert_int_equal(ln_api_is_method(&top, LN_SLICE("ban")), named[i].plain);
        ln_buf_fini(&scratch);
    }
}

static void test_lines(void **state) {
    (void)state;
    ln_slice text = LN_SLICE("\n1\r\n  \n{\"a\":2}\n\r\n3"), line;
    const char *want[] = { "1\r", "{\"a\":2}", "3" };
    for (size_t i = 0; i < LN_COUNT(want); i++) {
        assert_true(ln_api_line(&text, &line));
        assert_true(ln_slice_eq(line, ln_slice_str(want[i])));
    }
    assert_false(ln_api_line(&text, &line));
}

static void test_types(void **state) {
    (void)state;
    static const struct {
        const char *field;
        bool is;
    } types[] = {
        { "application/json", true },
        { "Application/JSON; charset=utf-8", true },
        { "application/json ", true },
        { "application/jsonp", false },
        { "application/js", false },
        { "text/plain", false },
        { "", false },
    };
    for (size_t i = 0; i < LN_COUNT(types); i++)
        assert_int_equal(
            ln_api_is_type(ln_slice_str(types[i].field), "application/json"), types[i].is);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_since),
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
