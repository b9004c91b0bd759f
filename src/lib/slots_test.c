#include "base/testing.h"
#include "lib/slots.h"

static void test_names(void **state) {
    (void)state;
    ln_slots s;
    uint32_t slot, again, generation, next;
    int a, b;
    ln_slots_init(&s);
    assert_null(ln_slots_find(&s, 0, 1));
    assert_int_equal(ln_slots_take(&s, &a, &slot, &generation), LINNET_OK);
    assert_ptr_equal(ln_slots_find(&s, slot, generation), &a);
    assert_ptr_equal(ln_slots_holder(&s, slot), &a);
    next = ln_slots_rename(&s, slot);
    assert_null(ln_slots_find(&s, slot, generation));
    assert_ptr_equal(ln_slots_find(&s, slot, next), &a);
    ln_slots_give(&s, slot);
    assert_null(ln_slots_find(&s, slot, next));
    assert_null(ln_slots_holder(&s, slot));
    assert_int_equal(ln_slots_take(&s, &b, &again, &generation), LINNET_OK);
    assert_int_equal(again, slot);
    assert_true(generation != next);
    assert_ptr_equal(ln_slots_find(&s, slot, generation), &b);
    ln_word_set(&s.chunks[0][slot].word, (uint64_t)UINT32_MAX << 8);
    assert_int_equal(ln_slots_rename(&s, slot), 1); /* 0 names nobody */
    ln_slots_fini(&s);
}

/* Across chunks: each slot is another one, and stays where it is. */
static void test_many(void **state) {
    (void)state;
    enum { MANY = 9000 };
    static uint16_t holders[MANY];
    ln_slots s;
    uint32_t slot, generation;
    ln_slots_init(&s);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(ln_slots_take(&s, &holders[i], &slot, &generation), LINNET_OK);
        assert_int_equal(slot, i);
    }
    for (uint32_t i = 0; i < MANY; i++)
        assert_ptr_equal(ln_slots_find(&s, i, 1), &holders[i]);
    assert_null(ln_slots_find(&s, MANY, 1));
    for (uint32_t i = 0; i < MANY; i += 2)
        ln_slots_give(&s, i);
    for (uint32_t i = 1; i < MANY; i += 2)
        assert_ptr_equal(ln_slots_find(&s, i, 1), &holders[i]);
    assert_int_equal(s.used, MANY / 2);
    ln_slots_fini(&s);
}

static void test_all(void **state) {
    (void)state;
    ln_slots s;
    uint32_t slot, generation;
    ln_slots_init(&s);
    ln_word_set(&s.room, 1u << 24); /* as if so many had been taken */
    s.fresh = 1u << 24;
    assert_int_equal(ln_slots_take(&s, &s, &slot, &generation), LINNET_ERR_LIMIT);
    ln_slots_fini(&s);
}

#define U LN_OWED_UPGRADE
#define R LN_OWED_REQUEST
#define S LN_OWED_STREAM
#define N LN_OWED_NOTHING

static const struct {
    const char *why;
    ln_owed owed, from, to;
    int first, second;
} settling[] = {
    { "a verdict, once", U, U, N, LINNET_OK, LINNET_ERR_NOT_FOUND },
    { "an answer, once", R, R, N, LINNET_OK, LINNET_ERR_NOT_FOUND },
    { "a beginning, once", R, R, S, LINNET_OK, LINNET_ERR_STATE },
    { "writes, any number", S, S, S, LINNET_OK, LINNET_OK },
    { "an end, once", S, S, N, LINNET_OK, LINNET_ERR_NOT_FOUND },
    { "a verdict on a request", R, U, N, LINNET_ERR_NOT_FOUND, LINNET_ERR_NOT_FOUND },
    { "an answer to an upgrade", U, R, N, LINNET_ERR_NOT_FOUND, LINNET_ERR_NOT_FOUND },
    { "a write before the beginning", R, S, S, LINNET_ERR_STATE, LINNET_ERR_STATE },
    { "an answer behind a beginning", S, R, N, LINNET_ERR_STATE, LINNET_ERR_STATE },
    { "nothing is owed", N, R, N, LINNET_ERR_NOT_FOUND, LINNET_ERR_NOT_FOUND },
};

static void test_settling(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(settling); i++) {
        ln_slots s;
        uint32_t slot, generation;
        ln_owed from = settling[i].from, to = settling[i].to;
        ln_slots_init(&s);
        assert_int_equal(ln_slots_settle(&s, 0, 1, from, to), LINNET_ERR_NOT_FOUND);
        assert_int_equal(ln_slots_take(&s, &s, &slot, &generation), LINNET_OK);
        if (settling[i].owed != N) ln_slots_owe(&s, slot, settling[i].owed);
        uint32_t others[] = { generation - 1, generation + 1, 0, UINT32_MAX };
        for (size_t k = 0; k < LN_COUNT(others); k++)
            assert_int_equal(ln_slots_settle(&s, slot, others[k], from, to), LINNET_ERR_NOT_FOUND);
        if (ln_slots_settle(&s, slot, generation, from, to) != settling[i].first)
            fail_msg("%s", settling[i].why);
        ln_slots_owe(&s, slot, settling[i].owed); /* it is written down already */
        if (settling[i].owed != N)
            assert_int_equal(ln_slots_settle(&s, slot, generation, from, to), settling[i].second);
        ln_slots_forgive(&s, slot);
        assert_int_equal(ln_slots_settle(&s, slot, generation, from, to), LINNET_ERR_NOT_FOUND);
        ln_slots_fini(&s);
    }
}

static void test_settling_is_of_one_name(void **state) {
    (void)state;
    ln_slots s;
    uint32_t slot, generation;
    ln_slots_init(&s);
    assert_int_equal(ln_slots_take(&s, &s, &slot, &generation), LINNET_OK);
    ln_slots_owe(&s, slot, R);
    uint32_t next = ln_slots_rename(&s, slot);
    ln_slots_owe(&s, slot, R);
    assert_int_equal(ln_slots_settle(&s, slot, generation, R, N), LINNET_ERR_NOT_FOUND);
    assert_int_equal(ln_slots_settle(&s, slot, next, R, N), LINNET_OK);
    /* who could not deliver takes it back, unless it was forgiven meanwhile */
    assert_int_equal(ln_slots_settle(&s, slot, next, N, R), LINNET_OK);
    assert_int_equal(ln_slots_settle(&s, slot, next, R, N), LINNET_OK);
    ln_slots_forgive(&s, slot);
    assert_int_equal(ln_slots_settle(&s, slot, next, N, R), LINNET_ERR_NOT_FOUND);
    ln_slots_give(&s, slot);
    assert_int_equal(ln_slots_settle(&s, slot, next, N, R), LINNET_ERR_NOT_FOUND);
    ln_slots_fini(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_settling),
        cmocka_unit_test(test_settling_is_of_one_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
