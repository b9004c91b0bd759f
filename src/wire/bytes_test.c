/* Binary messages of the native protocol: every length that is wrong, every cut, and back. */
#include "base/mem.h"
#include "base/testing.h"
#include "wire/bytes.h"

#define HEAD(n) "\x01\x00\x00\x00" n

static const struct {
    const char *why, *message;
    size_t size;
    const char *text; /* NULL: it is none */
} rows[] = {
    { "nothing", "", 0, NULL },
    { "no length", "\x01\x00\x00\x00", 4, NULL },
    { "version 0", "\x00\x00\x00\x00\x02{}", 7, NULL },
    { "version 2", "\x02\x00\x00\x00\x02{}", 7, NULL },
    { "no header", HEAD("\x00"), 5, NULL },
    { "no header, but bytes", HEAD("\x00") "xyz", 8, NULL },
    { "a header of nothing", HEAD("\x02") "{}", 7, "{\"data\":{\"base64\":\"\"}}" },
    { "white space around it", HEAD("\x06") " { } \n!", 12, "{ \"data\":{\"base64\":\"IQ==\"}}" },
    { "one byte more than there is", HEAD("\x03") "{}", 7, NULL },
    { "one byte less than the header", HEAD("\x01") "{}", 7, NULL },
    { "the largest length", "\x01\xff\xff\xff\xff{}", 7, NULL },
    { "a length over 31 bits", "\x01\x80\x00\x00\x02{}", 7, NULL },
    { "a length in the wrong order", "\x01\x02\x00\x00\x00{}", 7, NULL },
    { "an array", HEAD("\x02") "[]", 7, NULL },
    { "a string", HEAD("\x02") "\"\"", 7, NULL },
    { "not UTF-8", HEAD("\x07") "{\"\xff\":1}", 12, NULL },
    { "data twice", HEAD("\x0a") "{\"data\":1}", 15, NULL },
    { "and by its other name", HEAD("\x0d") "{\"payload\":1}", 18, NULL },
    { "in escapes", HEAD("\x0f") "{\"d\\u0061ta\":1}", 20, NULL },
    { "one key", HEAD("\x07") "{\"a\":1}\x00\xff", 14, "{\"a\":1,\"data\":{\"base64\":\"AP8=\"}}" },
    { "a key like data deeper down", HEAD("\x10") "{\"a\":{\"data\":1}}abc", 24,
        "{\"a\":{\"data\":1},\"data\":{\"base64\":\"YWJj\"}}" },
};

static void test_commands(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_buf out;
        ln_buf_init(&out, 1000);
        const char *why = NULL;
        ln_slice message = ln_test_exact(ln_slice_of(rows[i].message, rows[i].size));
        print_message("# %s\n", rows[i].why);
        int err = ln_bytes_command(message, &out, &why);
        assert_int_equal(err, rows[i].text ? LN_DONE : LINNET_ERR_JSON);
        assert_int_equal(why == NULL, rows[i].text != NULL);
        ln_slice want = ln_slice_str(rows[i].text ? rows[i].text : "");
        if (!ln_slice_eq(ln_buf_slice(&out), want))
            fail_msg("%.*s", (int)out.size, (const char *)ln_buf_slice(&out).data);
        ln_test_drop(message);
        ln_buf_fini(&out);
    }
}

/* Cut anywhere in the head or the header it is none; in the payload it is a shorter one. */
static void test_cut_anywhere(void **state) {
    (void)state;
    static const char whole[] = HEAD("\x07") "{\"a\":1}payload";
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        ln_buf out;
        ln_buf_init(&out, 1000);
        const char *why = NULL;
        ln_slice message = ln_test_exact(ln_slice_of(whole, n));
        int err = ln_bytes_command(message, &out, &why);
        assert_int_equal(err, n < 12 ? LINNET_ERR_JSON : LN_DONE);
        ln_test_drop(message);
        ln_buf_fini(&out);
    }
}

static const struct {
    const char *why, *json;
    bool are;
} values[] = {
    { "none", "{\"base64\":\"\"}", true },
    { "one", "{\"base64\":\"AA==\"}", true },
    { "two", "{\"base64\":\"AAA=\"}", true },
    { "three", "{\"base64\":\"+/09\"}", true },
    { "bits that are not used, of one", "{\"base64\":\"AB==\"}", false },
    { "and of two", "{\"base64\":\"AAB=\"}", false },
    { "no padding", "{\"base64\":\"AA\"}", false },
    { "too much of it", "{\"base64\":\"A===\"}", false },
    { "only that", "{\"base64\":\"====\"}", false },
    { "in the middle", "{\"base64\":\"A=AA\"}", false },
    { "the alphabet of addresses", "{\"base64\":\"-_-_\"}", false },
    { "an escape", "{\"base64\":\"AAA\\u003d\"}", false },
    { "another key beside it", "{\"base64\":\"AAAA\",\"a\":1}", false },
    { "in front of it", "{\"a\":1,\"base64\":\"AAAA\"}", false },
    { "white space", "{\"base64\": \"AAAA\"}", false },
    { "no string", "{\"base64\":4}", false },
    { "another value", "[1]", false },
    { "shorter than any", "{\"base64\":\"", false },
};

static void test_values(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(values); i++) {
        ln_slice json = ln_test_exact(ln_slice_str(values[i].json));
        if (ln_bytes_are(json) != values[i].are) fail_msg("%s", values[i].why);
        ln_test_drop(json);
    }
}

/* All sizes and all bytes, there and back. */
static void test_back(void **state) {
    (void)state;
    uint8_t bytes[256];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 167);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        ln_buf json, back;
        ln_buf_init(&json, 1000);
        ln_buf_init(&back, 1000);
        ln_slice in = ln_test_exact(ln_slice_of(bytes, n));
        assert_int_equal(ln_bytes_put(in, &json), LINNET_OK);
        assert_true(ln_bytes_are(ln_buf_slice(&json)));
        assert_int_equal(ln_bytes_get(ln_buf_slice(&json), &back), LINNET_OK);
        assert_true(ln_slice_eq(ln_buf_slice(&back), in));
        ln_test_drop(in);
        ln_buf_fini(&json);
        ln_buf_fini(&back);
    }
}

static void test_message(void **state) {
    (void)state;
    static const char want[] = "\x01\x00\x00\x00\x37{\"type\":\"message\",\"channel\":\"c\","
                               "\"offset\":3,\"ts\":9,"
                               "\"from\"";
    ln_native_message m = {
        .channel = LN_SLICE("c"), .data = LN_SLICE("{\"base64\":\"AP8=\"}"), .offset = 3, .ts = 9
    };
    ln_buf out;
    ln_buf_init(&out, 1000);
    assert_int_equal(ln_buf_add(&out, LN_SLICE("before")), LINNET_OK);
    assert_int_equal(ln_bytes_put_message(&out, &m), LINNET_OK);
    ln_slice got = ln_slice_sub(ln_buf_slice(&out), 6, out.size);
    size_t header = got.size - LN_BYTES_HEAD - 2;
    assert_int_equal(got.data[4], header);
    assert_memory_equal(got.data + 5, want + 5, header - 1);
    assert_memory_equal(got.data + 5 + header - 1, "}\x00\xff", 3);
    ln_buf_fini(&out);
}

/* Without memory or room nothing is appended. */
static void test_without_memory(void **state) {
    (void)state;
    ln_test_memory memory = { 0 };
    ln_test_memory_install(&memory);
    ln_native_message m = { .channel = LN_SLICE("c"), .data = LN_SLICE("{\"base64\":\"AP8=\"}") };
    static const char command[] = HEAD("\x07") "{\"a\":1}payload";
    for (int kind = 0; kind < 2; kind++) {
        int err = LINNET_ERR_NOMEM;
        for (uint64_t n = 1; err != LINNET_OK && err != LN_DONE; n++) {
            ln_buf out;
            const char *why;
            ln_buf_init(&out, 1000);
            memory.fail_at = memory.calls + n;
            err = kind ? ln_bytes_put_message(&out, &m)
                       : ln_bytes_command(ln_slice_of(command, sizeof command - 1), &out, &why);
            memory.fail_at = 0;
            assert_true(err == LINNET_OK || err == LN_DONE || err == LINNET_ERR_NOMEM);
            assert_int_equal(out.size == 0, err == LINNET_ERR_NOMEM);
            ln_buf_fini(&out);
            assert_true(n < 20);
        }
    }
    assert_int_equal(memory.live, 0);
    ln_test_memory_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_back),
        cmocka_unit_test(test_message),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
