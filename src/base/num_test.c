#include "base/num.h"
#include "base/testing.h"

#define NO UINT64_C(0xdeadbeef) /* refused, and *out untouched */

typedef struct row {
    const char *why;
    ln_slice in;
    uint64_t max, out;
} row;

static const row decimals[] = {
    { "zero", BYTES("0"), 0, 0 },
    { "ordinary", BYTES("65535"), 65535, 65535 },
    { "one over the maximum", BYTES("65536"), 65535, NO },
    { "the largest", BYTES("18446744073709551615"), UINT64_MAX, UINT64_MAX },
    { "one over the largest", BYTES("18446744073709551616"), UINT64_MAX, NO },
    { "overflow in the multiplication", BYTES("20000000000000000000"), UINT64_MAX, NO },
    { "far over", BYTES("99999999999999999999999999"), UINT64_MAX, NO },
    { "empty", BYTES(""), UINT64_MAX, NO },
    { "leading zero", BYTES("01"), UINT64_MAX, NO },
    { "two zeros", BYTES("00"), UINT64_MAX, NO },
    { "plus", BYTES("+1"), UINT64_MAX, NO },
    { "minus", BYTES("-1"), UINT64_MAX, NO },
    { "minus zero", BYTES("-0"), UINT64_MAX, NO },
    { "space before", BYTES(" 1"), UINT64_MAX, NO },
    { "space behind", BYTES("1 "), UINT64_MAX, NO },
    { "NUL behind", BYTES("1\0"), UINT64_MAX, NO },
    { "a letter", BYTES("1a"), UINT64_MAX, NO },
    { "below the digits", BYTES("1/"), UINT64_MAX, NO },
    { "above the digits", BYTES("1:"), UINT64_MAX, NO },
    { "fullwidth digit", BYTES("\xef\xbc\x91"), UINT64_MAX, NO },
};

static const row hexes[] = {
    { "zero", BYTES("0"), 0, 0 },
    { "leading zeros", BYTES("000f"), 0, 15 },
    { "both cases", BYTES("aBcDeF09"), 0, 0xabcdef09 },
    { "the largest", BYTES("ffffffffffffffff"), 0, UINT64_MAX },
    { "seventeen digits", BYTES("00000000000000000"), 0, NO },
    { "empty", BYTES(""), 0, NO },
    { "prefix", BYTES("0x1"), 0, NO },
    { "letter behind f", BYTES("g"), 0, NO },
    { "at sign", BYTES("@"), 0, NO },
    { "DLE, which is 0 without bit 5", BYTES("\x10"), 0, NO },
    { "sign", BYTES("-1"), 0, NO },
    { "space", BYTES("1 "), 0, NO },
};

static const row sizes[] = {
    { "bytes", BYTES("64"), 0, 64 },
    { "kibi", BYTES("64k"), 0, 65536 },
    { "capital", BYTES("64K"), 0, 65536 },
    { "mebi", BYTES("1m"), 0, 1048576 },
    { "gibi", BYTES("1g"), 0, 1073741824 },
    { "zero", BYTES("0k"), 0, 0 },
    { "the largest gibi", BYTES("17179869183g"), 0, UINT64_C(17179869183) << 30 },
    { "overflow", BYTES("17179869184g"), 0, NO },
    { "unit alone", BYTES("k"), 0, NO },
    { "two units", BYTES("1kk"), 0, NO },
    { "unknown unit", BYTES("1t"), 0, NO },
    { "fraction", BYTES("1.5k"), 0, NO },
    { "empty", BYTES(""), 0, NO },
    { "space", BYTES("1 k"), 0, NO },
};

#define CHECK_ROWS(rows, call)                                                                     \
    for (size_t i = 0; i < LN_COUNT(rows); i++) {                                                  \
        const row *r = &(rows)[i];                                                                 \
        ln_slice in = ln_test_exact(r->in);                                                        \
        uint64_t out = NO;                                                                         \
        bool ok = call;                                                                            \
        if (ok != (r->out != NO) || out != r->out) fail_msg("%s", r->why);                         \
        ln_test_drop(in);                                                                          \
    }

static void decimal_is_strict(void **state) {
    CHECK_ROWS(decimals, ln_num_u64(in, r->max, &out))
}

static void hex_is_strict(void **state) {
    CHECK_ROWS(hexes, ln_num_hex(in, &out))
}

static void sizes_have_units(void **state) {
    CHECK_ROWS(sizes, ln_num_size(in, &out))
}

static void put_writes_what_u64_reads(void **state) {
    uint64_t v = 0;
    for (int digits = 1; digits <= 20; digits++) {
        char text[20];
        size_t n = ln_num_put(v, text);
        assert_int_equal(n, digits);
        uint64_t back = NO;
        assert_true(ln_num_u64(ln_slice_of(text, n), UINT64_MAX, &back));
        assert_true(back == v);
        v = v ? v * 10 : 10;
    }
    char text[20];
    assert_int_equal(ln_num_put(UINT64_MAX, text), 20);
    assert_memory_equal(text, "18446744073709551615", 20);
}

static void sixteen_digits_are_sixteen(void **state) {
    (void)state;
    static const row sixteen[] = {
        { "all of them", BYTES("0123456789abcdef"), 0, UINT64_C(0x0123456789abcdef) },
        { "of either case", BYTES("00000000000000Ff"), 0, 0xff },
        { "one less", BYTES("123456789abcdef"), 0, NO },
        { "one more", BYTES("00123456789abcdef"), 0, NO },
        { "no digit", BYTES("0123456789abcdeg"), 0, NO },
        { "none", BYTES(""), 0, NO },
    };
    char text[LN_NUM_HEX16];
    for (size_t i = 0; i < LN_COUNT(sixteen); i++) {
        uint64_t got = NO;
        ln_slice exact = ln_test_exact(sixteen[i].in);
        if (ln_num_hex16(exact, &got) != (sixteen[i].out != NO) || got != sixteen[i].out)
            fail_msg("%s", sixteen[i].why);
        ln_test_drop(exact);
    }
    ln_num_hex16_put(UINT64_C(0xfedc), text);
    assert_memory_equal(text, "000000000000fedc", sizeof text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimal_is_strict),
        cmocka_unit_test(hex_is_strict),
        cmocka_unit_test(sizes_have_units),
        cmocka_unit_test(put_writes_what_u64_reads),
        cmocka_unit_test(sixteen_digits_are_sixteen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
