/* Shared compressed messages: what was inflated once is known again, what is no message is not. */
#include "base/testing.h"
#include "cli/bench_shared.h"

/* "hello" in a fixed block, its tail taken away; and the same in a last block. */
#define HELLO       "\xca\x48\xcd\xc9\xc9\x07\x00"
#define HELLO_FINAL "\xcb\x48\xcd\xc9\xc9\x07\x00"

static const struct {
    const char *why, *packed;
    size_t n;
    const char *text; /* NULL: it says nothing */
    size_t most;
} rows[] = {
    { "a message", HELLO, 7, "hello", 100 },
    { "in a last block", HELLO_FINAL, 7, "hello", 100 },
    { "exactly as much as may be", HELLO_FINAL, 7, "hello", 5 },
    { "more than may be", HELLO, 7, NULL, 4 },
    { "a block of a kind that is none", "\x07", 1, NULL, 100 },
    { "a distance before the beginning", "\x4a\x04\x92\x00", 4, NULL, 100 },
};

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_bench_shared s = { 0 };
        ln_slice packed = ln_test_exact(ln_slice_of(rows[i].packed, rows[i].n));
        size_t len = 0;
        print_message("# %s\n", rows[i].why);
        const uint8_t *text = ln_bench_shared_text(
            &s, packed.data, packed.size, rows[i].most, &len);
        assert_int_equal(text != NULL, rows[i].text != NULL);
        if (text) {
            assert_int_equal(len, strlen(rows[i].text));
            assert_memory_equal(text, rows[i].text, len);
            assert_ptr_equal(
                ln_bench_shared_text(&s, packed.data, packed.size, rows[i].most, &len), text);
            assert_int_equal(s.inflated, 1);
        }
        ln_test_drop(packed);
        ln_bench_shared_fini(&s);
    }
}

/* Stored blocks with a number in them: the last 64 are known, the one before them is not. */
static void test_forgets(void **state) {
    (void)state;
    ln_bench_shared s = { 0 };
    size_t len;
    for (unsigned i = 0; i < 2 * LN_BENCH_SHARED_KEPT; i++) {
        uint8_t stored[] = { 0, 1, 0, 0xfe, 0xff, (uint8_t)i, 0 };
        const uint8_t *text = ln_bench_shared_text(&s, stored, sizeof stored, 9, &len);
        assert_non_null(text);
        assert_int_equal(len, 1);
        assert_int_equal(text[0], i);
    }
    for (unsigned i = LN_BENCH_SHARED_KEPT; i < 2 * LN_BENCH_SHARED_KEPT; i++) {
        uint8_t stored[] = { 0, 1, 0, 0xfe, 0xff, (uint8_t)i, 0 };
        assert_non_null(ln_bench_shared_text(&s, stored, sizeof stored, 9, &len));
    }
    assert_int_equal(s.inflated, 2 * LN_BENCH_SHARED_KEPT);
    uint8_t first[] = { 0, 1, 0, 0xfe, 0xff, 3, 0 };
    assert_non_null(ln_bench_shared_text(&s, first, sizeof first, 9, &len));
    assert_int_equal(s.inflated, 2 * LN_BENCH_SHARED_KEPT + 1);
    ln_bench_shared_fini(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
