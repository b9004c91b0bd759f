#include "base/testing.h"
#include "daemon/option.h"
#include <string.h>

typedef struct box {
    bool flag;
    const char *text;
    uint64_t number;
    ln_arg_list list;
} box;

enum { FLAG, TEXT, NUMBER, LIMIT, SIZE, TIME, WORD, BARE_WORD, LIST };
#define ROW(path, value, kind, how, field, min, max, standard)                                     \
    {                                                                                              \
        path, NULL, value, LN_OPTION_##kind, how, offsetof(box, field), min, max, standard, "",    \
            "", NULL                                                                               \
    }
static const ln_option rows[] = {
    [FLAG] = ROW("insecure", NULL, FLAG, 0, flag, 0, 0, "false"),
    [TEXT] = ROW("tls.cert", "FILE", TEXT, 0, text, 0, 0, ""),
    [NUMBER] = ROW("workers", "N", NUMBER, 0, number, 1, 64, ""),
    [LIMIT] = ROW("limits.rate", "N", NUMBER, LN_OPTION_OFF, number, 1, 1000, "100"),
    [SIZE] = ROW("queue.max", "SIZE", SIZE, 0, number, 1024, 0x40000000, "64k"),
    [TIME] = ROW("queue.age", "TIME", DURATION, LN_OPTION_OFF, number, 100, 3600000, "10s"),
    [WORD] = ROW("log.level", "error|warn|info", WORD, 0, number, 0, 0, "warn"),
    [BARE_WORD] = ROW("deflate.mode", "off|shared", WORD, LN_OPTION_BARE, number, 0, 0, "off"),
    [LIST] = ROW("listen", "ADDR", LIST, 0, list, 0, 0, ""),
};
static const ln_option_table table = { rows, LN_COUNT(rows), sizeof(box) };

static const struct {
    const char *why;
    int row;
    const char *text;
    bool good;
    uint64_t number; /* what it comes to */
    const char *put; /* how it is written; NULL: as it came */
} takes[] = {
    { "true", FLAG, "true", true, 1, NULL },
    { "yes is true", FLAG, "yes", true, 1, "true" },
    { "0 is false", FLAG, "0", true, 0, "false" },
    { "another word is no flag", FLAG, "maybe", false, 0, NULL },
    { "True is not a word of ours", FLAG, "True", false, 0, NULL },
    { "a number", NUMBER, "4", true, 4, NULL },
    { "the least", NUMBER, "1", true, 1, NULL },
    { "the most", NUMBER, "64", true, 64, NULL },
    { "less than the least", NUMBER, "0", false, 0, NULL },
    { "more than the most", NUMBER, "65", false, 0, NULL },
    { "negative", NUMBER, "-1", false, 0, NULL },
    { "2^64", NUMBER, "18446744073709551616", false, 0, NULL },
    { "a fraction", NUMBER, "1.5", false, 0, NULL },
    { "hexadecimal", NUMBER, "0x10", false, 0, NULL },
    { "no text", NUMBER, "", false, 0, NULL },
    { "a space", NUMBER, " 4", false, 0, NULL },
    { "a unit where none belongs", NUMBER, "4k", false, 0, NULL },
    { "off where there is no off", NUMBER, "off", false, 0, NULL },
    { "off", LIMIT, "off", true, UINT32_MAX, NULL },
    { "the number that is off", LIMIT, "4294967295", false, 0, NULL },
    { "bytes", SIZE, "1025", true, 1025, NULL },
    { "kilobytes", SIZE, "64k", true, 65536, NULL },
    { "65536 is 64k", SIZE, "65536", true, 65536, "64k" },
    { "capitals", SIZE, "1M", true, 1 << 20, "1m" },
    { "gigabytes", SIZE, "1g", true, 1 << 30, NULL },
    { "too many of them", SIZE, "2g", false, 0, NULL },
    { "2^64 bytes", SIZE, "17179869184g", false, 0, NULL },
    { "a unit alone", SIZE, "k", false, 0, NULL },
    { "a unit that is none", SIZE, "64kb", false, 0, NULL },
    { "milliseconds", TIME, "500ms", true, 500, NULL },
    { "seconds", TIME, "25s", true, 25000, NULL },
    { "alone it counts seconds", TIME, "25", true, 25000, "25s" },
    { "60s is a minute", TIME, "60s", true, 60000, "1m" },
    { "an hour", TIME, "1h", true, 3600000, NULL },
    { "no limit of time", TIME, "off", true, UINT32_MAX, NULL },
    { "too short", TIME, "99ms", false, 0, NULL },
    { "too long", TIME, "2h", false, 0, NULL },
    { "2^64 milliseconds", TIME, "18446744073709551616ms", false, 0, NULL },
    { "2^64 milliseconds in hours", TIME, "5124095576031h", false, 0, NULL },
    { "days are not there", TIME, "1d", false, 0, NULL },
    { "a unit without a number", TIME, "s", false, 0, NULL },
    { "the first word", WORD, "error", true, 0, NULL },
    { "the last word", WORD, "info", true, 2, NULL },
    { "the beginning of a word", WORD, "err", false, 0, NULL },
    { "two words", WORD, "error|warn", false, 0, NULL },
    { "no word", WORD, "", false, 0, NULL },
    { "no word, and the flag alone means something", BARE_WORD, "", true, 1, "shared" },
    { "items", LIST, "a", true, 0, NULL },
};

static uint64_t number_of(const box *b, int row) {
    return row == FLAG ? b->flag : b->number;
}

static void test_take(void **state) {
    char why[LN_OPTION_WHY_MAX], out[64];
    for (size_t i = 0; i < LN_COUNT(takes); i++) {
        const ln_option *row = &rows[takes[i].row];
        box b = { .number = 77 };
        if (ln_option_take(row, takes[i].text, ln_option_at(row, &b), why) != takes[i].good)
            fail_msg("%s", takes[i].why);
        if (!takes[i].good) {
            if (strncmp(why, "wants ", 6) != 0) fail_msg("%s: %s", takes[i].why, why);
            assert_int_equal(b.number, 77);
            assert_false(b.flag);
        }
        if (!takes[i].good || row->kind == LN_OPTION_LIST) continue;
        if (number_of(&b, takes[i].row) != takes[i].number) fail_msg("%s", takes[i].why);
        ln_option_put(row, ln_option_at(row, &b), out);
        if (strcmp(out, takes[i].put ? takes[i].put : takes[i].text) != 0)
            fail_msg("%s: %s", takes[i].why, out);
    }
}

static void test_words(void **state) {
    char why[LN_OPTION_WHY_MAX];
    box b;
    assert_false(ln_option_take(&rows[SIZE], "2g", &b.number, why));
    assert_string_equal(why, "wants a size from 1k to 1g (64k, 16m, 1g), not '2g'");
    assert_false(ln_option_take(&rows[TIME], "1d", &b.number, why));
    assert_string_equal(
        why, "wants a duration from 100ms to 1h, or off (500ms, 25s, 5m, 24h), not '1d'");
    assert_false(ln_option_take(&rows[WORD], "loud", &b.number, why));
    assert_string_equal(why, "wants error, warn or info, not 'loud'");
    assert_false(ln_option_take(&rows[FLAG], "2", &b.flag, why));
    assert_string_equal(why, "wants true or false, not '2'");
}

static void test_texts(void **state) {
    char why[LN_OPTION_WHY_MAX];
    box b = { .text = NULL };
    assert_true(ln_option_take(&rows[TEXT], "a.pem", &b.text, why));
    assert_string_equal(b.text, "a.pem");
    assert_true(ln_option_take(&rows[TEXT], "", &b.text, why));
    assert_null(b.text);
    char *long_one = calloc(1, LN_OPTION_TEXT_MAX + 2);
    memset(long_one, 'x', LN_OPTION_TEXT_MAX + 1);
    assert_false(ln_option_take(&rows[TEXT], long_one, &b.text, why));
    assert_true(ln_option_take(&rows[TEXT], long_one + 1, &b.text, why));
    free(long_one);
    for (int i = 0; i < LN_ARG_LIST_MAX; i++)
        assert_true(ln_option_take(&rows[LIST], "x", &b.list, why));
    assert_false(ln_option_take(&rows[LIST], "x", &b.list, why));
    assert_int_equal(b.list.count, LN_ARG_LIST_MAX);
    assert_null(b.list.items[LN_ARG_LIST_MAX]);
}

static void test_standards(void **state) {
    box b = { .flag = true };
    ln_option_standards(&table, &b);
    assert_false(b.flag);
    assert_null(b.text);
    assert_int_equal(b.list.count, 0);
    assert_int_equal(b.number, 0); /* of the last row that has one */
}

static void test_names(void **state) {
    char out[32];
    assert_true(ln_option_env(&rows[LIMIT], out, sizeof out));
    assert_string_equal(out, "LINNET_LIMITS_RATE");
    assert_false(ln_option_env(&rows[LIMIT], out, 10));
    assert_ptr_equal(ln_option_find(&table, "queue.age"), &rows[TIME]);
    assert_null(ln_option_find(&table, "queue"));
    assert_null(ln_option_find(&table, "queue.ages"));
}

static void test_like(void **state) {
    static const struct {
        const char *why, *path, *like;
    } likes[] = {
        { "a letter too many", "workerss", "workers" },
        { "a letter too few", "queue.ma", "queue.max" },
        { "two letters the wrong way round", "log.lveel", "log.level" },
        { "the right word in the wrong place", "cert", "tls.cert" },
        { "another word", "colour", NULL },
        { "nothing like it", "x", NULL },
        { "longer than any", "a.very.long.path.that.nobody.has.ever.thought.of.as.an.option.of.all",
            NULL },
    };
    for (size_t i = 0; i < LN_COUNT(likes); i++) {
        const char *like = ln_option_like(&table, likes[i].path);
        if (!like != !likes[i].like || (like && strcmp(like, likes[i].like) != 0))
            fail_msg("%s: %s", likes[i].why, like ? like : "nothing");
    }
    assert_int_equal(ln_option_distance("kitten", "sitting"), 3);
    assert_int_equal(ln_option_distance("", "abc"), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_standards),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_like),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
