#include "base/log.h"
#include "base/testing.h"
#include <stdio.h>

typedef struct sink {
    char last[1100], before[1100];
    linnet_log_level level;
    uint32_t lines;
} sink;

static void keep(void *ctx, linnet_log_level level, const char *line) {
    sink *s = ctx;
    assert_true(strlen(line) <= 1024);
    memcpy(s->before, s->last, sizeof(s->last));
    snprintf(s->last, sizeof(s->last), "%s", line);
    s->level = level;
    s->lines++;
}

static void levels_pass_up_to_the_chosen_one(void **state) {
    sink s = { .lines = 0 };
    ln_log l;
    ln_log_init(&l, keep, &s, LINNET_LOG_INFO);
    assert_true(ln_log_wants(&l, LINNET_LOG_ERROR));
    assert_true(ln_log_wants(&l, LINNET_LOG_INFO));
    assert_false(ln_log_wants(&l, LINNET_LOG_DEBUG));
    ln_logf(&l, 0, LINNET_LOG_DEBUG, "no");
    assert_int_equal(s.lines, 0);
    ln_logf(&l, 0, LINNET_LOG_WARN, "%s-%d", "yes", 5);
    assert_int_equal(s.lines, 1);
    assert_int_equal(s.level, LINNET_LOG_WARN);
    assert_string_equal(s.last, "yes-5");
    ln_log_init(&l, NULL, NULL, LINNET_LOG_DEBUG);
    assert_false(ln_log_wants(&l, LINNET_LOG_ERROR));
    ln_logf(&l, 0, LINNET_LOG_ERROR, "into silence");
}

static const struct {
    const char *why, *in, *out;
} escapes[] = {
    { "plain", "abc", "abc" },
    { "empty", "", "" },
    { "UTF-8", "\xc3\xa9\xf0\x9f\x98\x80", "\xc3\xa9\xf0\x9f\x98\x80" },
    { "a forged second line", "x\r\nERROR y", "x\\x0d\\x0aERROR y" },
    { "a terminal sequence", "\x1b[31m", "\\x1b[31m" },
    { "DEL", "\x7f", "\\x7f" },
    { "C1 control, CSI",
        "\xc2\x9b"
        "31m",
        "\\xc2\\x9b31m" },
    { "no-break space is no control", "\xc2\xa0", "\xc2\xa0" },
    { "JSON stays JSON", "{\"a\":\"\\n\"}", "{\"a\":\"\\n\"}" },
    { "a wrong byte",
        "a\xff"
        "b",
        "a\\xffb" },
    { "a cut code point", "\xe2\x82", "\\xe2\\x82" },
    { "a surrogate", "\xed\xa0\x80", "\\xed\\xa0\\x80" },
};

static void arguments_come_out_escaped(void **state) {
    sink s = { .lines = 0 };
    ln_log l;
    ln_log_init(&l, keep, &s, LINNET_LOG_INFO);
    for (size_t i = 0; i < LN_COUNT(escapes); i++) {
        ln_logf(&l, 0, LINNET_LOG_INFO, "%s", escapes[i].in);
        if (strcmp(s.last, escapes[i].out) != 0) fail_msg("%s: %s", escapes[i].why, s.last);
    }
}

static void long_lines_are_cut_at_whole_characters(void **state) {
    sink s = { .lines = 0 };
    ln_log l;
    ln_log_init(&l, keep, &s, LINNET_LOG_INFO);
    ln_logf(&l, 0, LINNET_LOG_INFO, "%3000s", "x");
    assert_int_equal(strlen(s.last), 1024);
    char newlines[600];
    memset(newlines, '\n', sizeof(newlines));
    newlines[599] = 0;
    ln_logf(&l, 0, LINNET_LOG_INFO, "ab%s", newlines);
    assert_int_equal(strlen(s.last), 2 + 255 * 4); /* never half an escape */
    assert_string_equal(s.last + 1018, "\\x0a");
}

static void the_flood_is_counted(void **state) {
    sink s = { .lines = 0 };
    ln_log l;
    ln_log_init(&l, keep, &s, LINNET_LOG_INFO);
    l.lines_per_s = 3;
    for (int i = 0; i < 10; i++)
        ln_logf(&l, 5000 + (uint64_t)i, LINNET_LOG_INFO, "line %d", i);
    assert_int_equal(s.lines, 3);
    assert_string_equal(s.last, "line 2");
    ln_logf(&l, 5999, LINNET_LOG_INFO, "same second");
    assert_int_equal(s.lines, 3);
    ln_logf(&l, 6000, LINNET_LOG_DEBUG, "not wanted, not counted");
    assert_int_equal(s.lines, 3);
    ln_logf(&l, 6000, LINNET_LOG_INFO, "next second");
    assert_int_equal(s.lines, 5);
    assert_string_equal(s.before, "{\"event\":\"suppressed\",\"lines\":8}");
    assert_string_equal(s.last, "next second");
    ln_logf(&l, 9000, LINNET_LOG_INFO, "quiet since");
    assert_int_equal(s.lines, 6);
    l.lines_per_s = 0;
    for (int i = 0; i < 100; i++)
        ln_logf(&l, 9000, LINNET_LOG_INFO, "unlimited");
    assert_int_equal(s.lines, 106);
    ln_log_fini(&l); /* nothing is owed */
    assert_int_equal(s.lines, 106);
    l.lines_per_s = 1;
    for (int i = 0; i < 5; i++)
        ln_logf(&l, 10000, LINNET_LOG_INFO, "the last second");
    ln_log_fini(&l);
    assert_int_equal(s.lines, 108);
    assert_string_equal(s.last, "{\"event\":\"suppressed\",\"lines\":4}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_pass_up_to_the_chosen_one),
        cmocka_unit_test(arguments_come_out_escaped),
        cmocka_unit_test(long_lines_are_cut_at_whole_characters),
        cmocka_unit_test(the_flood_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
