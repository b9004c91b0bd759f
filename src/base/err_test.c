#include "base/err.h"
#include "base/testing.h"

static const struct {
    const char *why;
    int err;
    const char *name, *words;
    uint16_t close;
    bool retry;
} rows[] = {
    { "success has no close code of its own", 0, "OK", "ok", 1011, false },
    { "an ordinary row", LINNET_ERR_NOMEM, "NOMEM", "out of memory", 1011, true },
    { "a protocol row", LINNET_ERR_PROTO_MASK, "PROTO_MASK",
        "frame masked or unmasked against the rules", 1002, false },
    { "text", LINNET_ERR_UTF8, "UTF8", "text that is not UTF-8", 1007, false },
    { "too big", LINNET_ERR_TOO_BIG, "TOO_BIG", "message over the limit", 1009, false },
    { "a row that never closes", LINNET_ERR_CLOSED, "CLOSED", "the connection is closed", 0,
        false },
    { "ours: come back", LINNET_ERR_SLOW, "SLOW", "reader too slow, its queue is full", 3008,
        true },
    { "a number without a row", -19, "UNKNOWN", "unknown error", 1011, false },
    { "a positive number", 1, "UNKNOWN", "unknown error", 1011, false },
    { "the smallest int", INT32_MIN, "UNKNOWN", "unknown error", 1011, false },
};

static void rows_are_found(void **state) {
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        assert_string_equal(linnet_errname(rows[i].err), rows[i].name);
        assert_string_equal(linnet_strerror(rows[i].err), rows[i].words);
        assert_int_equal(ln_err_close_code(rows[i].err), rows[i].close);
        assert_int_equal(ln_err_retry(rows[i].err), rows[i].retry);
    }
}

static const int numbers[] = {
#define NUMBER(name, number, close, retry, words) number,
    LINNET_ERRORS(NUMBER)
#undef NUMBER
};

static void numbers_are_used_once_and_codes_may_be_sent(void **state) {
    for (size_t i = 0; i < LN_COUNT(numbers); i++) {
        assert_true(numbers[i] > 0);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(numbers[i], numbers[j]);
        uint16_t code = ln_err_close_code(-numbers[i]);
        bool standard = code >= 1000 && code <= 1015 && code != 1004;
        assert_true(code == 0 || standard || (code >= 3000 && code <= 3999));
        assert_true(linnet_strerror(-numbers[i])[0]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_found),
        cmocka_unit_test(numbers_are_used_once_and_codes_may_be_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
