#include "base/pool.h"
#include "base/rand.h"
#include "base/testing.h"

static void objects_are_aligned_apart_and_whole(void **state) {
    static const size_t sizes[] = { 1, 8, 16, 17, 24, 500, 4096, 20000, 100000 };
    for (size_t s = 0; s < LN_COUNT(sizes); s++) {
        ln_pool p;
        ln_pool_init(&p, sizes[s], 20);
        uint8_t *objects[20];
        for (size_t i = 0; i < 20; i++) {
            objects[i] = ln_pool_get(&p);
            assert_non_null(objects[i]);
            assert_int_equal((uintptr_t)objects[i] % (sizes[s] % 16 ? 8 : 16), 0);
            memset(objects[i], (int)i + 1, sizes[s]);
        }
        assert_null(ln_pool_get(&p)); /* the maximum */
        assert_int_equal(p.used, 20);
        for (size_t i = 0; i < 20; i++) {
            for (size_t j = 0; j < sizes[s]; j++)
                assert_int_equal(objects[i][j], i + 1);
            ln_pool_put(&p, objects[i]);
        }
        assert_int_equal(p.used, 0);
        assert_int_equal(p.slab_count, 1);
        ln_pool_fini(&p);
        assert_int_equal(p.slab_count, 0);
    }
}

static void the_next_one_is_the_last_one_given_back(void **state) {
    ln_pool p;
    ln_pool_init(&p, 100, 10000);
    void *a = ln_pool_get(&p), *b = ln_pool_get(&p), *c = ln_pool_get(&p);
    ln_pool_put(&p, a);
    ln_pool_put(&p, b);
    assert_ptr_equal(ln_pool_get(&p), b);
    assert_ptr_equal(ln_pool_get(&p), a);
    ln_pool_put(&p, a);
    ln_pool_put(&p, b);
    ln_pool_put(&p, c);
    ln_pool_fini(&p);
}

static void free_slabs_above_one_go_back(void **state) {
    ln_test_memory m = { 0 };
    ln_test_memory_install(&m);
    ln_pool p;
    ln_pool_init(&p, 8192, 1000);
    static void *objects[1000];
    for (size_t i = 0; i < 1000; i++)
        objects[i] = ln_pool_get(&p);
    uint32_t slabs = p.slab_count;
    assert_true(slabs > 10);
    assert_int_equal(m.live, slabs);
    for (size_t i = 0; i < 1000; i++)
        ln_pool_put(&p, objects[i]);
    assert_int_equal(m.live, 1);
    uint64_t calls = m.calls;
    ln_pool_put(&p, ln_pool_get(&p)); /* from the spare */
    assert_int_equal(m.calls, calls);
    assert_int_equal(m.live, 1);
    ln_pool_fini(&p);
    assert_int_equal(m.live, 0);
    ln_test_memory_remove();
}

static void out_of_memory_is_null_and_survived(void **state) {
    ln_test_memory m = { .fail_at = 1 };
    ln_test_memory_install(&m);
    ln_pool p;
    ln_pool_init(&p, 8192, 1000);
    assert_null(ln_pool_get(&p));
    assert_int_equal(p.used, 0);
    void *first[32];
    for (uint32_t i = 0; i < p.per_slab; i++)
        assert_non_null(first[i] = ln_pool_get(&p));
    m.fail_at = m.calls + 1;
    assert_null(ln_pool_get(&p));
    ln_pool_put(&p, first[0]);
    assert_ptr_equal(ln_pool_get(&p), first[0]);
    for (uint32_t i = 0; i < p.per_slab; i++)
        ln_pool_put(&p, first[i]);
    ln_pool_fini(&p);
    assert_int_equal(m.live, 0);
    ln_test_memory_remove();
}

enum { MANY = 500 };

static void random_use_keeps_objects_apart(void **state) {
    ln_rand r;
    ln_rand_init_seeded(&r, 3);
    ln_pool p;
    ln_pool_init(&p, 3000, MANY);
    uint32_t *objects[MANY] = { 0 };
    for (uint32_t step = 0; step < 30000; step++) {
        bool growing = step / 5000 % 2 == 0;
        uint32_t at = ln_rand_below(&r, MANY);
        if (objects[at] && (!growing || ln_rand_below(&r, 4) == 0)) {
            assert_int_equal(objects[at][0], at);
            assert_int_equal(objects[at][749], ~at);
            ln_pool_put(&p, objects[at]);
            objects[at] = NULL;
        } else if (!objects[at]) {
            objects[at] = ln_pool_get(&p);
            assert_non_null(objects[at]);
            objects[at][0] = at;
            objects[at][749] = ~at;
        }
    }
    for (uint32_t i = 0; i < MANY; i++) {
        if (objects[i]) ln_pool_put(&p, objects[i]);
    }
    ln_pool_fini(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_aligned_apart_and_whole),
        cmocka_unit_test(the_next_one_is_the_last_one_given_back),
        cmocka_unit_test(free_slabs_above_one_go_back),
        cmocka_unit_test(out_of_memory_is_null_and_survived),
        cmocka_unit_test(random_use_keeps_objects_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
