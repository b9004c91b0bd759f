#include "base/testing.h"
#include "daemon/options.h"
#include <string.h>

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
    { "a size over its bound", 2, { "--max-message", "2g" } },
    { "proxies", -1, { "--trusted-proxy", "10.0.0.0/8", "--trusted-proxy=unix" } },
    { "a proxy by name", 2, { "--trusted-proxy", "proxy.example" } },
    { "a proxy and a prefix", 2, { "--trusted-proxy", "10.0.0.1/8" } },
    { "a field", -1, { "--client-field", "forwarded" } },
    { "a field that is none", 2, { "--client-field", "X-Client-IP" } },
    { "an argument too many", 2, { "now" } },
    { "an option that is none", 2, { "--lisen", ":0" } },
    { "a value that is missing", 2, { "--listen" } },
    { "a value for a flag", -1, { "--insecure=yes" } },
    { "a value for a flag that is none", 2, { "--insecure=perhaps" } },
    { "the last one counts", -1, { "--workers", "1000", "--workers", "2" } },
    { "a time that is too short", 2, { "--drain-time=0" } },
};

static int parse(size_t row, ln_options *o) {
    char *argv[10] = { (char *)(uintptr_t) "serve" };
    int argc = 1;
    for (; table[row].args[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)table[row].args[argc - 1];
    ln_told told;
    return ln_options_parse(o, &told, argc, argv);
}

static void test_table(void **state) {
    for (size_t i = 0; i < LN_COUNT(table); i++) {
        ln_options o;
        if (parse(i, &o) != table[i].code) fail_msg("%s", table[i].why);
        if (table[i].code < 0) ln_options_fini(&o);
    }
}

static void test_defaults(void **state) {
    ln_options o;
    assert_int_equal(parse(0, &o), -1);
    assert_int_equal(o.listen.count, 0);
    assert_int_equal(o.workers, 0);
    assert_int_equal(o.drain_time, 30000);
    assert_int_equal(o.max_message, 65536);
    assert_int_equal(o.idle, LINNET_OFF);
    assert_false(o.insecure);
    assert_int_equal(o.log_level, LINNET_LOG_WARN);
    assert_int_equal(o.deflate, LINNET_DEFLATE_OFF);
    assert_int_equal(o.standard.history_count, 100);
    assert_int_equal(o.standard.history_age, 300000);
    assert_false(o.standard.live);
    ln_options_fini(&o);
}

/* Every row is one that a person can use. */
static void test_rows(void **state) {
    const ln_option_table *t = ln_options_table();
    char why[LN_OPTION_WHY_MAX], name[100];
    for (size_t i = 0; i < t->count; i++) {
        const ln_option *row = &t->rows[i];
        if (ln_option_find(t, row->path) != row) fail_msg("%s is there twice", row->path);
        if (!ln_option_env(row, name, sizeof name)) fail_msg("%s is too long", row->path);
        if (!row->help[0]) fail_msg("%s has no help", row->path);
        if (row->kind == LN_OPTION_ITEMS) continue;
        union {
            uint64_t number;
            const char *text;
            ln_arg_list list;
        } field = { .list.count = 0 };
        if (row->standard[0] && !ln_option_take(row, row->standard, &field, why))
            fail_msg("%s: its own standard: %s", row->path, why);
        if (!row->standard[0] && !ln_option_take(row, row->example, &field, why))
            fail_msg("%s: its own example: %s", row->path, why);
        if (!row->standard[0] && !row->example[0]) fail_msg("%s has no example", row->path);
    }
}

/* The words of the table are the numbers of the library, in its order. */
static void test_words(void **state) {
    const ln_option_table *t = ln_options_table();
    assert_string_equal(ln_option_find(t, "log.level")->value, "error|warn|info|debug");
    assert_int_equal(LINNET_LOG_ERROR, 0);
    assert_int_equal(LINNET_LOG_DEBUG, 3);
    assert_string_equal(ln_option_find(t, "deflate.mode")->value, "off|no-takeover|takeover");
    assert_int_equal(LINNET_DEFLATE_SHARED, 1);
    assert_int_equal(LINNET_DEFLATE_TAKEOVER, 2);
    assert_string_equal(
        ln_option_find(t, "proxies.field")->value, "x-forwarded-for|forwarded|x-real-ip");
    assert_int_equal(LINNET_FIELD_FORWARDED, 1);
    assert_int_equal(LINNET_FIELD_X_REAL_IP, 2);
    assert_string_equal(ln_option_find(t, "limits.first_text")->value, "refuse|echo");
    assert_int_equal(LINNET_HUB_TEXT_ECHO, 1);
}

/* ---- who wins ------------------------------------------------------------------------ */

static size_t row_of(const char *path) {
    const ln_option_table *t = ln_options_table();
    return (size_t)(ln_option_find(t, path) - t->rows);
}

static void test_environment(void **state) {
    ln_options o;
    setenv("LINNET_WORKERS", "3", 1);
    setenv("LINNET_HISTORY_COUNT", "7", 1);
    setenv("LINNET_ORIGINS", "https://a.example,https://b.example", 1);
    setenv("LINNET_DRAIN_TIME", "", 1);
    setenv("LINNET_LOG_LEVEL", "debug", 1);
    assert_int_equal(parse(1, &o), -1); /* --workers=2 */
    assert_int_equal(o.workers, 2);
    assert_int_equal(o.from[row_of("workers")].kind, LN_SOURCE_FLAG);
    assert_int_equal(o.standard.history_count, 7);
    assert_int_equal(o.from[row_of("history.count")].kind, LN_SOURCE_ENVIRONMENT);
    assert_int_equal(o.origins.count, 2);
    assert_string_equal(o.origins.items[1], "https://b.example");
    assert_string_equal(getenv("LINNET_ORIGINS"), "https://a.example,https://b.example");
    assert_int_equal(o.log_level, LINNET_LOG_DEBUG);
    assert_int_equal(o.from[row_of("history.age")].kind, LN_SOURCE_STANDARD);
    ln_options_fini(&o);
    setenv("LINNET_LOG_LEVEL", "loud", 1);
    assert_int_equal(parse(1, &o), 2);
    unsetenv("LINNET_LOG_LEVEL");
    unsetenv("LINNET_WORKERS");
    unsetenv("LINNET_HISTORY_COUNT");
    unsetenv("LINNET_ORIGINS");
    unsetenv("LINNET_DRAIN_TIME");
}

static void test_slips(void **state) {
    static const struct {
        const char *why, *name;
        int code;
    } slips[] = {
        { "two letters the wrong way round", "LINNET_WORKRES", 2 },
        { "a letter too many", "LINNET_LOGS_LEVEL", 2 },
        { "what a cluster says of a service", "LINNET_SERVICE_HOST", -1 },
        { "likewise", "LINNET_PORT_8080_TCP_ADDR", -1 },
        { "a name without its prefix", "WORKRES", -1 },
        { "a name that is another's", "LINNETWORKERS", -1 },
    };
    for (size_t i = 0; i < LN_COUNT(slips); i++) {
        ln_options o;
        setenv(slips[i].name, "2", 1);
        int code = parse(0, &o);
        unsetenv(slips[i].name);
        if (code < 0) ln_options_fini(&o);
        if (code != slips[i].code) fail_msg("%s", slips[i].why);
    }
}

/* All that is wrong is told, in the words of the place where it stands. */
static void test_problems(void **state) {
    char *argv[] = { (char *)(uintptr_t) "serve", (char *)(uintptr_t) "--workers=65",
        (char *)(uintptr_t) "--log-level=loud" };
    static const ln_args a = { .usage = "linnet serve [options]", .about = "" };
    ln_told told;
    ln_options o;
    ln_problems p = { .count = 0 };
    setenv("LINNET_QUEUE_MAX", "much", 1);
    assert_int_equal(ln_options_words(&told, &a, 3, argv, NULL), -1);
    assert_false(ln_options_load(&o, &told, &p));
    unsetenv("LINNET_QUEUE_MAX");
    ln_options_fini(&o);
    assert_int_equal(p.count, 3);
    assert_string_equal(p.items[0].text, "--workers wants a number from 1 to 64, not '65'");
    assert_string_equal(
        p.items[1].text, "--log-level wants error, warn, info or debug, not 'loud'");
    assert_non_null(strstr(p.items[2].text, "LINNET_QUEUE_MAX wants a size"));
    for (unsigned i = 0; i < 2 * LN_PROBLEMS_MAX; i++)
        ln_problem(&p, NULL, "another");
    assert_int_equal(p.count, 3 + 2 * LN_PROBLEMS_MAX);
}

static void test_values(void **state) {
    ln_options o;
    assert_int_equal(parse(1, &o), -1);
    assert_int_equal(o.listen.count, 1);
    assert_string_equal(o.listen.items[0], ":0");
    assert_null(o.listen.items[1]);
    assert_int_equal(o.workers, 2);
    assert_int_equal(o.drain_time, 5000);
    assert_true(o.insecure);
    ln_options_fini(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_slips),
        cmocka_unit_test(test_problems),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
