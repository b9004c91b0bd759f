#include "base/testing.h"
#include "cli/bench_hist.h"

static const struct row {
    const char *why;
    uint64_t value;
} edges[] = {
    { "nothing", 0 },
    { "the last exact one", 127 },
    { "the first of a power", 128 },
    { "two to a bucket", 257 },
    { "a microsecond", 1000 },
    { "a second", 1000000000 },
    { "the largest", UINT64_MAX },
};

static void one_value_is_its_own_percentile(void **state) {
    ln_bench_hist *h = calloc(1, sizeof *h);
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        ln_bench_hist_reset(h);
        ln_bench_hist_add(h, edges[i].value, 1);
        if (ln_bench_hist_percentile(h, 50) != edges[i].value) fail_msg("%s", edges[i].why);
        if (ln_bench_hist_percentile(h, 100) != edges[i].value) fail_msg("%s", edges[i].why);
    }
    free(h);
}

static void buckets_never_go_back(void **state) {
    uint32_t last = 0, buckets = sizeof((ln_bench_hist *)0)->counts / sizeof(uint64_t);
    for (uint64_t v = 0; v < UINT64_MAX / 9 * 8; v += 1 + v / 200) {
        uint32_t bucket = ln_bench_hist_bucket(v);
        assert_true(bucket >= last && bucket < buckets);
        last = bucket;
    }
    assert_true(ln_bench_hist_bucket(UINT64_MAX) < buckets);
}

static void percentiles_are_within_a_hundredth(void **state) {
    ln_bench_hist *h = calloc(1, sizeof *h);
    for (uint64_t v = 1; v <= 100000; v++)
        ln_bench_hist_add(h, v * 10, 1);
    static const double percents[] = { 1, 50, 90, 99, 99.9, 99.99 };
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        double right = percents[i] * 10000, got = (double)ln_bench_hist_percentile(h, percents[i]);
        assert_true(got >= right && got <= right * 1.01);
    }
    assert_int_equal(ln_bench_hist_percentile(h, 100), 1000000);
    free(h);
}

static void empty_has_no_percentiles(void **state) {
    ln_bench_hist *h = calloc(1, sizeof *h);
    assert_int_equal(ln_bench_hist_percentile(h, 99), 0);
    free(h);
}

static void repeated_values_count(void **state) {
    ln_bench_hist *h = calloc(1, sizeof *h);
    ln_bench_hist_add(h, 5, 98);
    ln_bench_hist_add(h, 100, 2);
    assert_int_equal(ln_bench_hist_percentile(h, 98), 5);
    assert_int_equal(ln_bench_hist_percentile(h, 98.5), 100);
    free(h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_value_is_its_own_percentile),
        cmocka_unit_test(buckets_never_go_back),
        cmocka_unit_test(percentiles_are_within_a_hundredth),
        cmocka_unit_test(empty_has_no_percentiles),
        cmocka_unit_test(repeated_values_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
