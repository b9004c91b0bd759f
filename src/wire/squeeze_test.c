#include "base/testing.h"
#include "wire/deflate.h"
#include "wire/squeeze.h"

static ln_squeezer *new_squeezer(void) {
    ln_squeezer *s;
    assert_int_equal(ln_squeezer_new(&s), LINNET_OK);
    return s;
}

/* Through zlib, a byte at a time, so that nothing but the window is left to refer to. */
static void comes_out(ln_slice packed, unsigned bits, ln_slice want) {
    ln_inflater *i;
    ln_buf out;
    ln_buf_init(&out, LN_BUF_MAX);
    assert_int_equal(ln_inflater_new(bits, false, &i), 0);
    for (size_t at = 0; at < packed.size; at++)
        assert_int_equal(ln_inflater_feed(i, ln_slice_sub(packed, at, at + 1),
                             at + 1 == packed.size, want.size, &out),
            0);
    assert_true(ln_slice_eq(ln_buf_slice(&out), want));
    ln_inflater_free(i);
    ln_buf_fini(&out);
}

static size_t try_message(ln_squeezer *s, ln_slice message, unsigned bits) {
    ln_buf out;
    ln_buf_init(&out, LN_BUF_MAX);
    assert_int_equal(ln_buf_add(&out, LN_SLICE("before")), 0);
    ln_slice exact = ln_test_exact(message);
    assert_int_equal(ln_squeeze(s, exact, bits, &out), LINNET_OK);
    ln_test_drop(exact);
    size_t size = out.size - 6;
    assert_memory_equal(out.data, "before", 6);
    assert_true(size <= message.size + message.size / 8 + 3);
    comes_out(ln_slice_sub(ln_buf_slice(&out), 6, out.size), bits, message);
    ln_buf_fini(&out);
    return size;
}

typedef struct row {
    const char *why;
    ln_slice in, out;
} row;

static const row rows[] = {
    { "D1 the RFC's own Hello", BYTES("Hello"), BYTES("\xf2\x48\xcd\xc9\xc9\x07\x00") },
    { "one byte", BYTES("a"), BYTES("\x4a\x04\x00") },
    { "a byte of nine bits", BYTES("\xff"), BYTES("\xfa\x0f\x00") },
    { "a run is a match of itself", BYTES("aaaaaaaaaa"), BYTES("\x4a\x84\x03\x00\x00") },
    { "a match at the end", BYTES("abcdabcd"), BYTES("\x4a\x4c\x4a\x4e\x01\x61\x00\x00") },
};

static void small_messages_exactly(void **state) {
    ln_squeezer *s = new_squeezer();
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        try_message(s, rows[i].in, 15);
        ln_buf out;
        ln_buf_init(&out, 100);
        assert_int_equal(ln_squeeze(s, rows[i].in, 15, &out), 0);
        if (!ln_slice_eq(ln_buf_slice(&out), rows[i].out)) {
            for (uint32_t k = 0; k < out.size; k++)
                print_message("# %02x\n", out.data[k]);
            fail();
        }
        ln_buf_fini(&out);
    }
    ln_squeezer_free(s);
}

/* Kinds of content ---------------------------------------------------------------------- */

static uint32_t chance(uint32_t *x) {
    *x = *x * 1664525 + 1013904223;
    return *x >> 8;
}

static void zeros(uint8_t *p, size_t n, uint32_t seed) {
    memset(p, (int)seed, n);
}

static void noise(uint8_t *p, size_t n, uint32_t seed) {
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)chance(&seed);
}

static void prices(uint8_t *p, size_t n, uint32_t seed) {
    static const char words[] =
        "{\"symbol\":\"LNT\",\"price\":12.5,\"volume\":1000,\"side\":\"buy\"}";
    for (size_t i = 0; i < n; i++)
        p[i] = chance(&seed) % 9 ? (uint8_t)words[i % (sizeof(words) - 1)]
                                 : (uint8_t)('0' + seed % 10);
}

/* Each byte half as frequent as the one before: the longest codes there are. */
static void skewed(uint8_t *p, size_t n, uint32_t seed) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = chance(&seed) | 1u << 20, byte = 0;
        while (!(bits & 1)) {
            bits >>= 1;
            byte++;
        }
        p[i] = (uint8_t)(byte * 12);
    }
}

/* Long matches far away, at every distance. */
static void echoes(uint8_t *p, size_t n, uint32_t seed) {
    noise(p, n, seed);
    size_t length = 3 + seed % 290;
    for (size_t i = n / 2 + 1; i + length < n; i += length + seed % 7)
        memmove(p + i, p + chance(&seed) % (n / 2), length < n / 2 ? length : n / 2);
}

static void few(uint8_t *p, size_t n, uint32_t seed) {
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(1 + chance(&seed) % (2 + seed % 3));
}

typedef void material(uint8_t *p, size_t n, uint32_t seed);
static material *const materials[] = { zeros, noise, prices, skewed, echoes, few };

static void every_size_of_every_kind(void **state) {
    ln_squeezer *s = new_squeezer();
    static uint8_t data[LN_SQUEEZE_MAX];
    for (size_t m = 0; m < LN_COUNT(materials); m++)
        for (size_t size = 1; size <= LN_SQUEEZE_MAX; size += size < 200 ? 1 : 61) {
            materials[m](data, size, (uint32_t)(size * 7 + m));
            try_message(s, ln_slice_of(data, size), 15);
        }
    for (size_t m = 0; m < LN_COUNT(materials); m++) {
        materials[m](data, sizeof(data), 3);
        try_message(s, ln_slice_of(data, sizeof(data)), 15);
    }
    ln_squeezer_free(s);
}

static void no_distance_is_beyond_the_window(void **state) {
    ln_squeezer *s = new_squeezer();
    static uint8_t data[LN_SQUEEZE_MAX];
    for (unsigned bits = 9; bits <= 12; bits++)
        for (uint32_t seed = 1; seed < 40; seed++) {
            echoes(data, sizeof(data), seed);
            try_message(s, ln_slice_of(data, sizeof(data)), bits);
            prices(data, sizeof(data), seed);
            try_message(s, ln_slice_of(data, sizeof(data)), bits);
        }
    ln_squeezer_free(s);
}

static void nearly_as_small_as_zlib_makes_it(void **state) {
    ln_squeezer *s = new_squeezer();
    ln_deflater *d;
    ln_buf out;
    static uint8_t data[LN_SQUEEZE_SHORT];
    ln_buf_init(&out, LN_BUF_MAX);
    assert_int_equal(ln_deflater_new(15, 6, 8, false, &d), 0);
    size_t ours = 0, zlib = 0;
    for (uint32_t seed = 0; seed < 50; seed++) {
        size_t size = 100 + seed * 39;
        prices(data, size, seed);
        ours += try_message(s, ln_slice_of(data, size), 15);
        ln_buf_clear(&out);
        assert_int_equal(ln_deflater_message(d, ln_slice_of(data, size), &out), 0);
        zlib += out.size;
    }
    assert_true(ours * 100 <= zlib * 108);
    ln_buf_fini(&out);
    ln_deflater_free(d);
    ln_squeezer_free(s);
}

static void what_does_not_fit_leaves_nothing(void **state) {
    ln_test_memory m = { .fail_at = 1 };
    ln_squeezer *s;
    ln_test_memory_install(&m);
    assert_int_equal(ln_squeezer_new(&s), LINNET_ERR_NOMEM);
    assert_int_equal(ln_squeezer_new(&s), LINNET_OK);
    ln_buf out;
    ln_buf_init(&out, 20);
    assert_int_equal(ln_buf_add(&out, LN_SLICE("abc")), 0);
    ln_slice long_one = LN_SLICE("the quick brown fox jumps over the lazy dog");
    assert_int_equal(ln_squeeze(s, long_one, 15, &out), LINNET_ERR_TOO_BIG);
    assert_int_equal(out.size, 3);
    ln_buf_fini(&out);
    ln_buf_init(&out, 1000);
    m.fail_at = m.calls + 1;
    assert_int_equal(ln_squeeze(s, long_one, 15, &out), LINNET_ERR_NOMEM);
    assert_int_equal(out.size, 0);
    ln_squeezer_free(s);
    assert_int_equal(m.live, 0);
    ln_test_memory_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_messages_exactly),
        cmocka_unit_test(every_size_of_every_kind),
        cmocka_unit_test(no_distance_is_beyond_the_window),
        cmocka_unit_test(nearly_as_small_as_zlib_makes_it),
        cmocka_unit_test(what_does_not_fit_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
