/* The queue keeps order across its blocks, and holds no memory when it is empty. */
#include "base/testing.h"
#include "conn/txq.h"

static ln_rendering *numbered(uint8_t n) {
    ln_rendering *r = ln_rendering_of(0, ln_slice_of(&n, 1));
    assert_non_null(r);
    return r;
}

static uint8_t number_of(ln_rendering *r) {
    uint8_t n = *ln_rendering_payload(r);
    ln_rendering_unref(r);
    return n;
}

/* In and out in waves, so that blocks are begun, emptied and given back in every position. */
static void test_order(void **state) {
    (void)state;
    ln_test_memory m = { 0 };
    ln_test_memory_install(&m);
    ln_pool blocks;
    ln_pool_init(&blocks, sizeof(ln_txblock), 1000);
    ln_txq q = { 0 };
    uint8_t in = 0, out = 0;
    assert_null(ln_txq_pop(&q, &blocks));
    for (unsigned wave = 1; wave < 60; wave++) {
        for (unsigned i = 0; i < wave; i++, in++)
            assert_int_equal(ln_txq_push(&q, &blocks, numbered(in), 1000u + in), LINNET_OK);
        unsigned keep = wave % 3 ? wave % 17 : 0;
        while (q.count > keep) {
            assert_non_null(ln_txq_first(&q));
            assert_int_equal(q.first_at, 1000u + out); /* when it was queued */
            assert_int_equal(number_of(ln_txq_pop(&q, &blocks)), out++);
        }
        assert_int_equal(q.first == NULL, keep == 0);
        if (keep == 0) {
            assert_null(q.head);
            assert_null(q.tail);
        }
    }
    ln_txq_clear(&q, &blocks);
    assert_int_equal(q.count, 0);
    assert_null(q.first);
    ln_txq_clear(&q, &blocks);
    ln_pool_fini(&blocks);
    assert_int_equal(m.live, 0);
    ln_test_memory_remove();
}

static void test_no_memory(void **state) {
    (void)state;
    ln_pool blocks;
    ln_pool_init(&blocks, sizeof(ln_txblock), 1); /* one block is all there is */
    ln_txq q = { 0 };
    for (uint8_t i = 0; i < 1 + LN_TXBLOCK_ROOM; i++)
        assert_int_equal(ln_txq_push(&q, &blocks, numbered(i), 1), LINNET_OK);
    ln_rendering *late = numbered(99);
    assert_int_equal(ln_txq_push(&q, &blocks, late, 1), LINNET_ERR_NOMEM);
    assert_int_equal(number_of(late), 99); /* still ours */
    for (uint8_t i = 0; i < 1 + LN_TXBLOCK_ROOM; i++)
        assert_int_equal(number_of(ln_txq_pop(&q, &blocks)), i);
    assert_null(q.first);
    assert_int_equal(ln_txq_push(&q, &blocks, numbered(7), 1), LINNET_OK); /* usable again */
    ln_txq_clear(&q, &blocks);
    ln_pool_fini(&blocks);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
