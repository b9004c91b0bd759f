#include "base/testing.h"
#include "wire/mask.h"

static const uint32_t keys[] = { 0, UINT32_MAX, 0x04030201, 0x80000000, 0xdeadbeef, 0x00ff00ff };

/* Fills with bytes that become ASCII under the key, except the one at `high`. */
static void fill(uint8_t *data, size_t size, const uint8_t key[4], uint64_t at, size_t high) {
    for (size_t i = 0; i < size; i++) {
        uint8_t plain = (uint8_t)((i * 37 + 11) & 0x7f) | (i == high ? 0x80 : 0);
        data[i] = plain ^ key[(at + i) & 3];
    }
}

static void check_plain(const uint8_t *data, size_t size, size_t high) {
    for (size_t i = 0; i < size; i++)
        assert_int_equal(data[i], (uint8_t)((i * 37 + 11) & 0x7f) | (i == high ? 0x80 : 0));
}

static void bytes_of(uint32_t key, uint8_t out[4]) {
    memcpy(out, &key, 4);
}

/* One block of `size` bytes that ends exactly where the allocation ends, at any alignment. */
static void try_impl(ln_mask_fn *fn, uint32_t key, size_t size, size_t align, size_t high) {
    uint8_t k[4];
    bytes_of(key, k);
    uint8_t *block = malloc(align + size), *copy = malloc(align + size);
    assert_true(block && copy);
    fill(block + align, size, k, 0, high);
    assert_int_equal(fn(copy + align, block + align, size, key), high >= size);
    check_plain(copy + align, size, high);
    assert_int_equal(fn(block + align, block + align, size, key), high >= size);
    check_plain(block + align, size, high);
    free(block);
    free(copy);
}

static void t056_every_key_alignment_and_length(void **state) {
    for (int which = 0; which < 3; which++) {
        ln_mask_fn *fn = ln_mask_impl(which);
        if (!fn) continue;
        for (size_t k = 0; k < LN_COUNT(keys); k++)
            for (size_t align = 1; align <= 8; align++)
                for (size_t size = 0; size <= 300; size++)
                    try_impl(fn, keys[k], size, align, SIZE_MAX);
    }
}

static void one_byte_that_is_not_ascii_is_seen_wherever_it_is(void **state) {
    for (int which = 0; which < 3; which++) {
        ln_mask_fn *fn = ln_mask_impl(which);
        if (!fn) continue;
        for (size_t size = 1; size <= 200; size++)
            for (size_t high = 0; high < size; high++)
                try_impl(fn, 0xdeadbeef, size, 1, high);
    }
}

static void any_position_within_the_message(void **state) {
    uint8_t key[4] = { 0x12, 0xfe, 0x80, 0x07 }, to[150];
    for (uint64_t at = 0; at < 9; at++)
        for (size_t size = 0; size < 150; size += 7) {
            uint8_t *data = malloc(size + 1);
            assert_non_null(data);
            fill(data, size, key, at, SIZE_MAX);
            assert_true(ln_mask_copy(to, ln_slice_of(data, size), key, at));
            check_plain(to, size, SIZE_MAX);
            assert_true(ln_unmask_ascii((ln_wslice){ data, size }, key, at));
            check_plain(data, size, SIZE_MAX);
            ln_mask((ln_wslice){ data, size }, key, at);
            ln_mask((ln_wslice){ data, size }, key, at + 4);
            check_plain(data, size, SIZE_MAX);
            free(data);
        }
}

static void a_large_offset_counts_modulo_four(void **state) {
    uint8_t key[4] = { 1, 2, 3, 4 }, data[3] = { 0 };
    ln_mask((ln_wslice){ data, 3 }, key, UINT64_C(0x100000002));
    assert_int_equal(data[0], 3);
    assert_int_equal(data[1], 4);
    assert_int_equal(data[2], 1);
}

static void pieces_equal_the_whole(void **state) {
    uint8_t key[4] = { 0xa5, 0x5a, 0x00, 0xff }, whole[100], pieces[100];
    for (size_t cut = 0; cut <= sizeof(whole); cut++) {
        fill(whole, sizeof(whole), key, 0, 50);
        memcpy(pieces, whole, sizeof(whole));
        assert_false(ln_unmask_ascii((ln_wslice){ whole, sizeof(whole) }, key, 0));
        bool front = ln_unmask_ascii((ln_wslice){ pieces, cut }, key, 0);
        bool back = ln_unmask_ascii((ln_wslice){ pieces + cut, sizeof(pieces) - cut }, key, cut);
        assert_int_equal(front, cut <= 50);
        assert_int_equal(back, cut > 50);
        assert_memory_equal(whole, pieces, sizeof(whole));
    }
}

static void unknown_implementations_are_none(void **state) {
    assert_non_null(ln_mask_impl(0));
    assert_null(ln_mask_impl(3));
    assert_null(ln_mask_impl(-1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(t056_every_key_alignment_and_length),
        cmocka_unit_test(one_byte_that_is_not_ascii_is_seen_wherever_it_is),
        cmocka_unit_test(any_position_within_the_message),
        cmocka_unit_test(a_large_offset_counts_modulo_four),
        cmocka_unit_test(pieces_equal_the_whole),
        cmocka_unit_test(unknown_implementations_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
