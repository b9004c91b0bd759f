#include "base/testing.h"
#include "daemon/options.h"

static const struct {
    const char *why;
    int code; /* -1: goes on */
    const char *args[8];
} table[] = {
    { "nothing is fine", -1, { NULL } },
    { "all of it", -1, { "--listen", ":0", "--workers=2", "--drain-time", "5", "--insecure" } },
    { "an origin", -1, { "--origin", "https://app.example:8443" } },
    { "any origin", -1, { "--origin=*" } },
    { "an origin with a path", 2, { "--origin", "https://app.example/x" } },
    { "an origin without a scheme", 2, { "--origin", "app.example" } },
    { "an origin that is only a scheme", 2, { "--origin", "https://" } },
    { "a wildcard inside", 2, { "--origin", "https://*.example" } },
    { "a certificate without a key", 2, { "--tls-cert", "a.pem" } },
    { "a key without a certificate", 2, { "--tls-key", "a.pem" } },
    { "no workers", 2, { "--workers", "0" } },
    { "too many workers", 2, { "--workers", "65" } },
    { "a level", -1, { "--log-level", "debug" } },
    { "a level that is none", 2, { "--log-level", "loud" } },
    { "deflate", -1, { "--deflate" } },
    { "deflate with a window each", -1, { "--deflate=takeover" } },
    { "a deflate that is none", 2, { "--deflate=zip" } },
    { "a size", -1, { "--max-message", "1m" } },
    { "a size over its bound", 2, { "--max-message", "1g" } },
    { "an argument too many", 2, { "now" } },
    { "an option that is none", 2, { "--lisen", ":0" } },
    { "a value that is missing", 2, { "--listen" } },
    { "a value for a flag", 2, { "--insecure=yes" } },
};

static int parse(size_t row, ln_options *o) {
    char *argv[10] = { (char *)(uintptr_t) "serve" };
    int argc = 1;
    for (; table[row].args[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)table[row].args[argc - 1];
    return ln_options_parse(o, argc, argv);
}

static void test_table(void **state) {
    for (size_t i = 0; i < LN_COUNT(table); i++) {
        ln_options o;
        if (parse(i, &o) != table[i].code) fail_msg("%s", table[i].why);
    }
}

static void test_defaults(void **state) {
    ln_options o;
    linnet_log_level level;
    linnet_deflate deflate;
    assert_int_equal(parse(0, &o), -1);
    assert_int_equal(o.listen.count, 0);
    assert_int_equal(o.drain_time, 30);
    assert_int_equal(o.max_message, 65536);
    assert_false(o.insecure);
    assert_int_equal(ln_options_log_level(&o, &level), -1);
    assert_int_equal(level, LINNET_LOG_WARN);
    assert_int_equal(ln_options_deflate(&o, &deflate), -1);
    assert_int_equal(deflate, LINNET_DEFLATE_OFF);
}

static void test_values(void **state) {
    ln_options o;
    assert_int_equal(parse(1, &o), -1);
    assert_int_equal(o.listen.count, 1);
    assert_string_equal(o.listen.items[0], ":0");
    assert_null(o.listen.items[1]);
    assert_int_equal(o.workers, 2);
    assert_int_equal(o.drain_time, 5);
    assert_true(o.insecure);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
