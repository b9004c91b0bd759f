#include "base/mem.h"
#include "base/testing.h"

static void *refuse_alloc(void *ctx, size_t size) {
    return NULL;
}
static void *refuse_resize(void *ctx, void *ptr, size_t size) {
    return NULL;
}
static void refuse_release(void *ctx, void *ptr) {}

static void a_hook_needs_all_three(void **state) {
    const linnet_allocator incomplete[] = {
        { NULL, refuse_resize, refuse_release, NULL },
        { refuse_alloc, NULL, refuse_release, NULL },
        { refuse_alloc, refuse_resize, NULL, NULL },
    };
    for (size_t i = 0; i < LN_COUNT(incomplete); i++) {
        assert_int_equal(linnet_allocator_set(&incomplete[i]), LINNET_ERR_INVAL);
        void *p = ln_malloc(1); /* the old hook is still there */
        assert_non_null(p);
        ln_free(p);
    }
}

static void everything_passes_the_hook(void **state) {
    ln_test_memory m = { 0 };
    ln_test_memory_install(&m);
    void *a = ln_malloc(10), *b = ln_calloc(3, 5), *c = ln_realloc(NULL, 7);
    void *d = ln_zalloc(NULL, 2, 9);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_non_null(d);
    assert_int_equal(m.calls, 4);
    assert_int_equal(m.live, 4);
    c = ln_realloc(c, 1000);
    assert_non_null(c);
    assert_int_equal(m.live, 4);
    ln_free(a);
    ln_free(b);
    ln_free(c);
    ln_zfree(NULL, d);
    ln_free(NULL);
    ln_zfree(NULL, NULL);
    assert_int_equal(m.live, 0);
    ln_test_memory_remove();
    void *p = ln_malloc(1);
    assert_int_equal(m.calls, 5);
    ln_free(p);
    assert_int_equal(m.live, 0);
}

static void a_refusal_is_null_and_leaves_the_block(void **state) {
    char *p = malloc(4);
    assert_non_null(p);
    memcpy(p, "abc", 4);
    ln_test_memory m = { .fail_at = 1, .from = true };
    ln_test_memory_install(&m);
    assert_null(ln_malloc(1));
    assert_null(ln_calloc(1, 1));
    assert_null(ln_zalloc(NULL, 1, 1));
    assert_null(ln_realloc(p, 100));
    assert_string_equal(p, "abc");
    ln_test_memory_remove();
    free(p);
}

static void calloc_zeroes_and_sees_overflow(void **state) {
    uint8_t *p = ln_calloc(16, 16);
    assert_non_null(p);
    for (size_t i = 0; i < 256; i++)
        assert_int_equal(p[i], 0);
    ln_free(p);
    assert_null(ln_calloc(SIZE_MAX / 2 + 1, 2));
    assert_null(ln_calloc(SIZE_MAX, SIZE_MAX));
}

static void size_zero_is_a_block_of_its_own(void **state) {
    void *a = ln_malloc(0), *b = ln_malloc(0), *c = ln_calloc(0, 5), *d = ln_realloc(NULL, 0);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_non_null(d);
    assert_ptr_not_equal(a, b);
    ln_free(a);
    ln_free(b);
    ln_free(c);
    d = ln_realloc(d, 0);
    assert_non_null(d);
    ln_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hook_needs_all_three),
        cmocka_unit_test(everything_passes_the_hook),
        cmocka_unit_test(a_refusal_is_null_and_leaves_the_block),
        cmocka_unit_test(calloc_zeroes_and_sees_overflow),
        cmocka_unit_test(size_zero_is_a_block_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
