#include "base/mem.h"
#include "base/slice.h"
#include "base/testing.h"
#include <stdio.h>

static void eq_compares_sizes_and_bytes(void **state) {
    assert_true(ln_slice_eq(LN_SLICE("abc"), LN_SLICE("abc")));
    assert_true(ln_slice_eq((ln_slice){ 0 }, LN_SLICE("")));
    assert_false(ln_slice_eq(LN_SLICE("abc"), LN_SLICE("abd")));
    assert_false(ln_slice_eq(LN_SLICE("abc"), LN_SLICE("ab")));
    assert_true(ln_slice_eq(LN_SLICE("a\0b"), LN_SLICE("a\0b")));
    assert_false(ln_slice_eq(LN_SLICE("a\0b"), LN_SLICE("a\0c")));
}

static void eq_ci_folds_ascii_letters_only(void **state) {
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            uint8_t x = (uint8_t)a, y = (uint8_t)b;
            bool letters = (a | 0x20) >= 'a' && (a | 0x20) <= 'z' && a < 128 && b < 128;
            bool want = a == b || (letters && (a | 0x20) == (b | 0x20));
            assert_int_equal(ln_slice_eq_ci(ln_slice_of(&x, 1), ln_slice_of(&y, 1)), want);
        }
    }
    assert_true(ln_slice_eq_ci(LN_SLICE("WebSocket"), LN_SLICE("websocket")));
    assert_false(ln_slice_eq_ci(LN_SLICE("websocket"), LN_SLICE("websockets")));
    assert_true(ln_slice_eq_ci((ln_slice){ 0 }, LN_SLICE("")));
}

static void starts_and_find(void **state) {
    assert_true(ln_slice_starts(LN_SLICE("abc"), LN_SLICE("ab")));
    assert_true(ln_slice_starts(LN_SLICE("abc"), LN_SLICE("")));
    assert_false(ln_slice_starts(LN_SLICE("abc"), LN_SLICE("abcd")));
    assert_false(ln_slice_starts(LN_SLICE("abc"), LN_SLICE("b")));
    assert_int_equal(ln_slice_find(LN_SLICE("abca"), 'a'), 0);
    assert_int_equal(ln_slice_find(LN_SLICE("abca"), 'c'), 2);
    assert_int_equal(ln_slice_find(LN_SLICE("abca"), 'x'), SIZE_MAX);
    assert_int_equal(ln_slice_find((ln_slice){ 0 }, 'x'), SIZE_MAX);
}

static const struct {
    const char *why;
    ln_slice in, out;
} trims[] = {
    { "nothing to do", BYTES("a b"), BYTES("a b") },
    { "spaces and tabs", BYTES(" \t a b\t "), BYTES("a b") },
    { "blanks only", BYTES(" \t \t"), BYTES("") },
    { "empty", BYTES(""), BYTES("") },
    { "line ends are not blanks", BYTES(" \r\n "), BYTES("\r\n") },
    { "nor are NUL and no-break space", BYTES("\0 \xa0"), BYTES("\0 \xa0") },
};

static void trim_takes_blanks_off_both_ends(void **state) {
    for (size_t i = 0; i < LN_COUNT(trims); i++) {
        ln_slice in = ln_test_exact(trims[i].in);
        assert_true(ln_slice_eq(ln_slice_trim(in), trims[i].out));
        ln_test_drop(in);
    }
}

static const struct {
    const char *why;
    ln_slice in;
    const char *parts; /* each in brackets */
} cuts[] = {
    { "one part", BYTES("a"), "[a]" },
    { "two parts", BYTES("a,bc"), "[a][bc]" },
    { "a separator at the end", BYTES("a,b,"), "[a][b][]" },
    { "a separator at the start", BYTES(",a"), "[][a]" },
    { "separators only", BYTES(",,"), "[][][]" },
    { "empty is one empty part", BYTES(""), "[]" },
};

static void cut_yields_every_part(void **state) {
    for (size_t i = 0; i < LN_COUNT(cuts); i++) {
        char got[64] = "";
        size_t used = 0;
        ln_slice rest = cuts[i].in, part;
        while (ln_slice_cut(&rest, ',', &part)) {
            used += (size_t)snprintf(
                got + used, sizeof got - used, "[%.*s]", (int)part.size, (const char *)part.data);
        }
        assert_string_equal(got, cuts[i].parts);
        assert_null(rest.data);
    }
    ln_slice none = { 0 }, part;
    assert_false(ln_slice_cut(&none, ',', &part));
}

static void dup_copies_or_fails(void **state) {
    char *copy = ln_slice_dup(LN_SLICE("abc"));
    assert_non_null(copy);
    assert_string_equal(copy, "abc");
    ln_free(copy);
    copy = ln_slice_dup((ln_slice){ 0 });
    assert_non_null(copy);
    assert_string_equal(copy, "");
    ln_free(copy);
    ln_test_memory m = { .fail_at = 1 };
    ln_test_memory_install(&m);
    assert_null(ln_slice_dup(LN_SLICE("abc")));
    ln_test_memory_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eq_compares_sizes_and_bytes),
        cmocka_unit_test(eq_ci_folds_ascii_letters_only),
        cmocka_unit_test(starts_and_find),
        cmocka_unit_test(trim_takes_blanks_off_both_ends),
        cmocka_unit_test(cut_yields_every_part),
        cmocka_unit_test(dup_copies_or_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
