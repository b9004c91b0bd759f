#include "base/testing.h"
#include "daemon/metrics.h"

#define BOUNDS                                                                                     \
    {                                                                                              \
        100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000,     \
            2500000, 10000000, UINT64_MAX                                                          \
    }

static const char *text(ln_buf *b) {
    static char out[4096];
    ln_slice s = ln_buf_slice(b);
    assert_true(s.size < sizeof out);
    memcpy(out, s.data, s.size);
    out[s.size] = 0;
    ln_buf_clear(b);
    return out;
}

static void families_and_samples(void **state) {
    ln_buf b;
    ln_buf_init(&b, 65536);
    ln_exposition e = { .out = &b };
    ln_family(&e, "a", "counter", "with a \\ and a\nline and \"quotes\"");
    ln_sample(&e, NULL, NULL, 0);
    ln_family(&e, "b", "gauge", "x");
    ln_sample(&e, "l", "a\"b\\c\nd", UINT64_MAX);
    ln_sample_seconds(&e, 1500000);
    ln_sample_seconds(&e, 1);
    ln_sample_seconds(&e, 0);
    ln_sample_seconds(&e, 10000000);
    assert_int_equal(e.err, LINNET_OK);
    assert_string_equal(text(&b), "# HELP a_total with a \\\\ and a\\nline and \"quotes\"\n"
                                  "# TYPE a_total counter\na_total 0\n"
                                  "# HELP b x\n# TYPE b gauge\n"
                                  "b{l=\"a\\\"b\\\\c\\nd\"} 18446744073709551615\n"
                                  "b 1.5\nb 0.000001\nb 0.0\nb 10.0\n");
    e.open = true;
    ln_family(&e, "a", "counter", "\"q\"");
    ln_sample(&e, "x", "y", 3);
    assert_string_equal(text(&b), "# HELP a \\\"q\\\"\n# TYPE a counter\na_total{x=\"y\"} 3\n");
    ln_buf_fini(&b);
}

static void histograms_add_up(void **state) {
    ln_buf b;
    ln_buf_init(&b, 65536);
    ln_exposition e = { .out = &b };
    linnet_histogram h = { .size = sizeof h, .bound_us = BOUNDS, .sum_us = 2600350 };
    h.counts[0] = 1;
    h.counts[1] = 2;
    h.counts[15] = 1;
    ln_family(&e, "t", "histogram", "x");
    ln_histogram(&e, &h);
    const char *got = text(&b);
    assert_non_null(strstr(got, "# TYPE t histogram\nt_bucket{le=\"0.0001\"} 1\n"
                                "t_bucket{le=\"0.00025\"} 3\nt_bucket{le=\"0.0005\"} 3\n"));
    assert_non_null(strstr(got, "t_bucket{le=\"1.0\"} 3\n"));
    assert_non_null(strstr(got, "t_bucket{le=\"10.0\"} 3\nt_bucket{le=\"+Inf\"} 4\n"
                                "t_sum 2.60035\nt_count 4\n"));
    ln_buf_fini(&b);
}

static void an_error_stays(void **state) {
    ln_buf b;
    ln_buf_init(&b, 8);
    ln_exposition e = { .out = &b };
    ln_family(&e, "abcdefghijk", "gauge", "x");
    assert_int_equal(e.err, LINNET_ERR_TOO_BIG);
    size_t before = b.size;
    ln_sample(&e, NULL, NULL, 1);
    assert_int_equal(b.size, before);
    assert_int_equal(e.err, LINNET_ERR_TOO_BIG);
    ln_buf_fini(&b);
}

static void who_asks_for_openmetrics(void **state) {
    static const struct {
        const char *accept;
        bool want;
    } rows[] = {
        { "", false },
        { "text/plain", false },
        { "application/openmetrics-text", true },
        { "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2", true },
        { "text/plain , Application/OpenMetrics-Text ; q=1", true },
        { "application/openmetrics-textual", false },
        { "*/*", false },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_slice exact = ln_test_exact(ln_slice_str(rows[i].accept));
        if (ln_metrics_wants_open(exact) != rows[i].want) fail_msg("'%s'", rows[i].accept);
        ln_test_drop(exact);
    }
    assert_false(ln_metrics_wants_open(ln_slice_of(NULL, 0)));
    assert_non_null(strstr(ln_metrics_type(true), "openmetrics"));
    assert_non_null(strstr(ln_metrics_type(false), "0.0.4"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_and_samples),
        cmocka_unit_test(histograms_add_up),
        cmocka_unit_test(an_error_stays),
        cmocka_unit_test(who_asks_for_openmetrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
