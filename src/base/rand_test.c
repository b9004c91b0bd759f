#include "base/rand.h"
#include "base/testing.h"

/* The published first values of splitmix64 for 1234567 and of xoshiro256** for 1,2,3,4. */
static void the_seeded_generator_is_the_published_one(void **state) {
    ln_rand r;
    ln_rand_init_seeded(&r, 1234567);
    assert_true(r.state[0] == UINT64_C(6457827717110365317));
    assert_true(r.state[1] == UINT64_C(3203168211198807973));
    assert_true(r.state[2] == UINT64_C(9817491932198370423));
    for (uint64_t i = 0; i < 4; i++)
        r.state[i] = i + 1;
    assert_true(ln_rand_u64(&r) == 11520);
    assert_true(ln_rand_u64(&r) == 0);
    assert_true(ln_rand_u64(&r) == 1509978240);
    assert_true(ln_rand_u64(&r) == UINT64_C(1215971899390074240));
}

static void the_same_seed_gives_the_same_run(void **state) {
    ln_rand a, b, c;
    ln_rand_init_seeded(&a, 42);
    ln_rand_init_seeded(&b, 42);
    ln_rand_init_seeded(&c, 43);
    uint8_t x[100], y[100], z[100];
    for (size_t size = 0; size <= sizeof(x); size++) {
        ln_rand_bytes(&a, x, size);
        ln_rand_bytes(&b, y, size);
        ln_rand_bytes(&c, z, size);
        assert_memory_equal(x, y, size);
        if (size >= 8) assert_memory_not_equal(x, z, size);
        assert_int_equal(ln_rand_u32(&a), ln_rand_u32(&b));
        assert_int_equal(ln_rand_below(&a, 1000), ln_rand_below(&b, 1000));
    }
}

static void bits_of(ln_rand *r, size_t size, uint32_t set[8]) {
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    ln_rand_bytes(r, bytes, size);
    for (size_t i = 0; i < size; i++) {
        for (unsigned b = 0; b < 8; b++)
            set[b] += bytes[i] >> b & 1;
    }
    free(bytes);
}

/* Each bit of a byte is set half of the time: 2^17 bytes, ten standard deviations. */
static void bits_are_even(void **state) {
    static const size_t sizes[] = { 1, 3, 4, 16, 4095, 4096, 4097, 131072 };
    for (size_t s = 0; s < LN_COUNT(sizes); s++) {
        ln_rand r[2];
        ln_rand_init(&r[0]);
        ln_rand_init_seeded(&r[1], s);
        for (size_t k = 0; k < 2; k++) {
            uint32_t set[8] = { 0 }, total = 0;
            for (; total < 131072; total += (uint32_t)sizes[s])
                bits_of(&r[k], sizes[s], set);
            for (size_t b = 0; b < 8; b++) {
                assert_in_range(set[b], total / 2 - 1810, total / 2 + 1810);
            }
        }
    }
}

static void the_system_source_does_not_repeat(void **state) {
    static uint32_t seen[4096];
    ln_rand r;
    ln_rand_init(&r);
    uint32_t equal = 0;
    for (size_t i = 0; i < LN_COUNT(seen); i++) {
        seen[i] = ln_rand_u32(&r);
        for (size_t j = 0; j < i; j++)
            equal += seen[i] == seen[j];
    }
    assert_true(equal < 10); /* 0.002 expected */
    ln_rand s;
    ln_rand_init(&s);
    assert_true(ln_rand_u64(&r) != ln_rand_u64(&s));
}

static void what_was_given_out_is_wiped(void **state) {
    static const uint8_t zeros[4096];
    ln_rand r;
    ln_rand_init(&r);
    for (int i = 0; i < 100; i++) {
        ln_rand_u32(&r);
        assert_memory_equal(r.pool, zeros, sizeof(r.pool) - r.left);
    }
}

static void below_is_uniform_and_below(void **state) {
    static const uint32_t bounds[] = { 1, 2, 3, 7, 10, 16 };
    ln_rand r;
    ln_rand_init_seeded(&r, 9);
    for (size_t i = 0; i < LN_COUNT(bounds); i++) {
        uint32_t n = bounds[i], hits[16] = { 0 };
        for (uint32_t k = 0; k < 16000 * n; k++) {
            uint32_t v = ln_rand_below(&r, n);
            assert_true(v < n);
            hits[v]++;
        }
        for (uint32_t v = 0; v < n; v++)
            assert_in_range(hits[v], 15000, 17000);
    }
    /* A bound where taking the remainder would be off by a third. */
    uint32_t n = 0xc0000000u, low = 0;
    for (uint32_t k = 0; k < 30000; k++)
        low += ln_rand_below(&r, n) < n / 3;
    assert_in_range(low, 9300, 10700);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_seeded_generator_is_the_published_one),
        cmocka_unit_test(the_same_seed_gives_the_same_run),
        cmocka_unit_test(bits_are_even),
        cmocka_unit_test(the_system_source_does_not_repeat),
        cmocka_unit_test(what_was_given_out_is_wiped),
        cmocka_unit_test(below_is_uniform_and_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
