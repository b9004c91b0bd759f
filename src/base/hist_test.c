#include "base/hist.h"
#include "base/testing.h"

static const struct row {
    const char *why;
    uint64_t us;
    unsigned bucket;
} rows[] = {
    { "nothing at all", 0, 0 },
    { "a bound belongs to its bucket", 100, 0 },
    { "one more to the next", 101, 1 },
    { "a millisecond", 1000, 3 },
    { "a second", 1000000, 12 },
    { "ten seconds", 10000000, 14 },
    { "more than that", 10000001, 15 },
    { "a clock gone mad", UINT64_MAX, 15 },
};

static void test_rows(void **state) {
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_hist h = { 0 };
        ln_hist_add(&h, rows[i].us);
        for (unsigned b = 0; b < LN_HIST_BUCKETS; b++)
            if (ln_stat_get(&h.buckets[b]) != (b == rows[i].bucket)) fail_msg("%s", rows[i].why);
        assert_int_equal(ln_stat_get(&h.sum_us), rows[i].us);
    }
}

static void test_bounds(void **state) {
    for (unsigned i = 1; i < LN_HIST_BUCKETS; i++)
        assert_true(ln_hist_bound(i) > ln_hist_bound(i - 1));
    assert_true(ln_hist_bound(LN_HIST_BUCKETS - 1) == UINT64_MAX);
    assert_true(ln_hist_bound(LN_HIST_BUCKETS) == UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows),
        cmocka_unit_test(test_bounds) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
