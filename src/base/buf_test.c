#include "base/buf.h"
#include "base/testing.h"

#define HAS(b, lit) assert_true(ln_slice_eq(ln_buf_slice(b), LN_SLICE(lit)))

static void starts_empty_and_owns_nothing(void **state) {
    ln_test_memory m = { 0 };
    ln_test_memory_install(&m);
    ln_buf b;
    ln_buf_init(&b, 100);
    HAS(&b, "");
    assert_int_equal(ln_buf_room(&b).size, 0);
    ln_buf_fini(&b);
    assert_int_equal(m.calls, 0);
    ln_test_memory_remove();
}

static void appends_in_order(void **state) {
    ln_buf b;
    ln_buf_init(&b, 1000);
    assert_int_equal(ln_buf_add(&b, LN_SLICE("ab")), 0);
    assert_int_equal(ln_buf_add(&b, (ln_slice){ 0 }), 0);
    assert_int_equal(ln_buf_add_byte(&b, 'c'), 0);
    assert_int_equal(ln_buf_addf(&b, "%d-%s", 7, "x"), 0);
    HAS(&b, "abc7-x");
    assert_int_equal(b.capacity, 64);
    ln_buf_clear(&b);
    HAS(&b, "");
    assert_int_equal(b.capacity, 64);
    ln_buf_fini(&b);
    assert_null(b.data);
    assert_int_equal(b.max, 1000);
    assert_int_equal(ln_buf_add(&b, LN_SLICE("again")), 0);
    HAS(&b, "again");
    ln_buf_fini(&b);
}

static void the_maximum_is_exact(void **state) {
    static const uint32_t maxima[] = { 1, 63, 64, 65, 100, 4096 };
    for (size_t i = 0; i < LN_COUNT(maxima); i++) {
        ln_buf b;
        ln_buf_init(&b, maxima[i]);
        for (uint32_t n = 0; n < maxima[i]; n++)
            assert_int_equal(ln_buf_add_byte(&b, 'x'), 0);
        assert_int_equal(ln_buf_add_byte(&b, 'y'), LINNET_ERR_TOO_BIG);
        assert_int_equal(b.size, maxima[i]);
        assert_int_equal(b.capacity, maxima[i]);
        assert_int_equal(ln_buf_reserve(&b, 0), 0);
        assert_int_equal(ln_buf_reserve(&b, SIZE_MAX), LINNET_ERR_TOO_BIG);
        ln_buf_consume(&b, 1);
        assert_int_equal(ln_buf_add_byte(&b, 'z'), 0);
        assert_int_equal(ln_buf_slice(&b).data[maxima[i] - 1], 'z');
        ln_buf_fini(&b);
    }
    ln_buf zero = { 0 };
    assert_int_equal(ln_buf_add_byte(&zero, 'x'), LINNET_ERR_TOO_BIG);
}

static void consuming_everything_restarts_at_the_front(void **state) {
    ln_buf b;
    ln_buf_init(&b, 1000);
    assert_int_equal(ln_buf_add(&b, LN_SLICE("hello")), 0);
    ln_buf_consume(&b, 2);
    HAS(&b, "llo");
    assert_int_equal(b.head, 2);
    ln_buf_consume(&b, 3);
    assert_int_equal(b.head, 0);
    HAS(&b, "");
    ln_buf_fini(&b);
}

static void room_is_written_then_committed(void **state) {
    ln_buf b;
    ln_buf_init(&b, 1000);
    assert_int_equal(ln_buf_reserve(&b, 100), 0);
    ln_wslice room = ln_buf_room(&b);
    assert_true(room.size >= 100);
    memcpy(room.data, "abc", 3);
    ln_buf_commit(&b, 3);
    HAS(&b, "abc");
    ln_buf_fini(&b);
}

static void formats_at_most_4096_bytes(void **state) {
    ln_buf b;
    ln_buf_init(&b, 10000);
    assert_int_equal(ln_buf_addf(&b, "%4096s", "x"), 0);
    assert_int_equal(b.size, 4096);
    assert_int_equal(ln_buf_addf(&b, "%4097s", "x"), LINNET_ERR_TOO_BIG);
    assert_int_equal(b.size, 4096);
    ln_buf_fini(&b);
}

/* A queue that is fed and drained for long: the content is right at every step, and the
 * bytes moved stay in proportion to the bytes that pass through. */
static void a_queue_keeps_its_order(void **state) {
    for (uint32_t keep = 1; keep < 200; keep += 13) {
        ln_buf b;
        ln_buf_init(&b, 4096);
        uint8_t in = 0, out = 0;
        for (uint32_t i = 0; i < keep; i++)
            assert_int_equal(ln_buf_add_byte(&b, in++), 0);
        for (int i = 0; i < 3000; i++) {
            assert_int_equal(ln_buf_add_byte(&b, in++), 0);
            assert_int_equal(ln_buf_slice(&b).data[0], out++);
            ln_buf_consume(&b, 1);
            assert_int_equal(b.size, keep);
            assert_true(b.capacity <= 1024);
        }
        ln_buf_fini(&b);
    }
}

static void a_refused_allocation_changes_nothing(void **state) {
    ln_buf b;
    ln_buf_init(&b, 1000);
    ln_test_memory m = { .fail_at = 1 };
    ln_test_memory_install(&m);
    assert_int_equal(ln_buf_add(&b, LN_SLICE("abc")), LINNET_ERR_NOMEM);
    HAS(&b, "");
    assert_int_equal(ln_buf_addf(&b, "%63s", "x"), 0);
    m.fail_at = m.calls + 1;
    assert_int_equal(ln_buf_add(&b, LN_SLICE("abc")), LINNET_ERR_NOMEM);
    assert_int_equal(b.size, 63);
    /* Room that only the gap can give needs no memory. */
    ln_buf_consume(&b, 3);
    m.fail_at = m.calls + 1;
    assert_int_equal(ln_buf_add(&b, LN_SLICE("abc")), 0);
    assert_int_equal(b.size, 63);
    assert_true(ln_slice_eq(ln_slice_sub(ln_buf_slice(&b), 59, 63), LN_SLICE("xabc")));
    ln_buf_fini(&b);
    assert_int_equal(m.live, 0);
    ln_test_memory_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_empty_and_owns_nothing),
        cmocka_unit_test(appends_in_order),
        cmocka_unit_test(the_maximum_is_exact),
        cmocka_unit_test(consuming_everything_restarts_at_the_front),
        cmocka_unit_test(room_is_written_then_committed),
        cmocka_unit_test(formats_at_most_4096_bytes),
        cmocka_unit_test(a_queue_keeps_its_order),
        cmocka_unit_test(a_refused_allocation_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
