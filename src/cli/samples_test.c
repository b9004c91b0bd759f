#include "base/testing.h"
#include "cli/samples.h"
#include <math.h>

static const char text[] = "# HELP a b\n# TYPE a counter\na_total 3\n"
                           "# TYPE c gauge\nc{code=\"1000\"} 2\nc{code=\"other\"} 0.5\n"
                           "h_bucket{le=\"0.001\"} 10\nh_bucket{le=\"0.01\"} 98\n"
                           "h_bucket{le=\"+Inf\"} 100\nh_sum 1.5\nh_count 100\n"
                           "n_bucket{le=\"+Inf\"} 0\nn_count 0\n";

static void one_after_the_other(void **state) {
    ln_slice exact = ln_test_exact(ln_slice_str(text)), rest = exact;
    ln_scraped s;
    assert_int_equal(ln_scraped_next(&rest, &s), 1);
    assert_true(ln_slice_eq(s.name, LN_SLICE("a_total")));
    assert_null(s.label.data);
    assert_true(ln_slice_eq(s.value, LN_SLICE("3")));
    assert_int_equal(ln_scraped_next(&rest, &s), 1);
    assert_true(ln_slice_eq(s.name, LN_SLICE("c")));
    assert_true(ln_slice_eq(s.label, LN_SLICE("1000")));
    int n = 2;
    while (ln_scraped_next(&rest, &s) == 1)
        n++;
    assert_int_equal(n, 10);
    ln_test_drop(exact);
}

static void numbers(void **state) {
    ln_slice t = ln_slice_str(text);
    assert_true(ln_scraped_value(t, "a_total", NULL) == 3);
    assert_true(ln_scraped_value(t, "c", "other") == 0.5);
    assert_true(ln_scraped_value(t, "c", NULL) == 0);
    assert_true(ln_scraped_value(t, "c", "1001") == 0);
    assert_true(ln_scraped_value(t, "z", NULL) == 0);
    assert_true(ln_scraped_sum(t, "c") == 2.5);
    assert_true(ln_scraped_quantile(t, "h", 0.1) == 0.001);
    assert_true(ln_scraped_quantile(t, "h", 0.5) == 0.01);
    assert_true(isinf(ln_scraped_quantile(t, "h", 0.99)));
    assert_true(ln_scraped_quantile(t, "n", 0.5) == -1);
    assert_true(ln_scraped_quantile(t, "none", 0.5) == -1);
}

/* Whatever stands there, cut anywhere, nothing is read that is not there. */
static void what_is_wrong(void **state) {
    static const char *const rows[] = { "a", "a{", "a{b", "a{b=\"c", "a{b=\"c\"", "a{b=\"c\"}",
        "a{b=\"c\"}1", "a x", "a ", " 1", "a{b=\"c\"} ", "a 1 2", "<html>" };
    ln_scraped s;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_slice exact = ln_test_exact(ln_slice_str(rows[i])), rest = exact;
        if (ln_scraped_next(&rest, &s) != LINNET_ERR_INVAL) fail_msg("%s", rows[i]);
        ln_test_drop(exact);
    }
    for (size_t n = 0; n < sizeof text; n++) {
        ln_slice exact = ln_test_exact(ln_slice_of(text, n)), rest = exact;
        while (ln_scraped_next(&rest, &s) == 1) {
        }
        ln_test_drop(exact);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_after_the_other),
        cmocka_unit_test(numbers),
        cmocka_unit_test(what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
