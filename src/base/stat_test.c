#include "base/stat.h"
#include "base/testing.h"
#include <pthread.h>

static void adds_and_subtracts(void **state) {
    ln_stat s = { 0 };
    assert_int_equal(ln_stat_get(&s), 0);
    ln_stat_add(&s, 10);
    ln_stat_sub(&s, 3);
    assert_int_equal(ln_stat_get(&s), 7);
    ln_stat_sub(&s, 7);
    ln_stat_add(&s, UINT64_MAX);
    assert_true(ln_stat_get(&s) == UINT64_MAX);
    ln_stat_add(&s, 1);
    assert_int_equal(ln_stat_get(&s), 0);
}

enum { STEPS = 300000 };

static void *count(void *arg) {
    for (int i = 0; i < STEPS; i++)
        ln_stat_add(arg, UINT64_C(0x100000001));
    return NULL;
}

/* A reader sees whole values that never go back. Each value's halves are equal, so that a
 * torn one would show. */
static void a_reader_sees_whole_values(void **state) {
    ln_stat s = { 0 };
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, count, &s), 0);
    uint64_t last = 0;
    while (last < STEPS * UINT64_C(0x100000001)) {
        uint64_t v = ln_stat_get(&s);
        assert_true(v >= last);
        assert_true(v >> 32 == (v & UINT32_MAX));
        last = v;
    }
    pthread_join(writer, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_and_subtracts),
        cmocka_unit_test(a_reader_sees_whole_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
