#include "base/ref.h"
#include "base/testing.h"
#include <pthread.h>

static void the_last_one_is_told(void **state) {
    ln_ref r;
    ln_ref_init(&r, 1);
    assert_true(ln_ref_put(&r));
    ln_ref_init(&r, 1);
    ln_ref_get(&r, 3);
    assert_false(ln_ref_put(&r));
    assert_false(ln_ref_put(&r));
    assert_false(ln_ref_put(&r));
    assert_true(ln_ref_put(&r));
}

enum { THREADS = 4, ROUNDS = 20000 };

typedef struct shared {
    ln_ref ref;
    _Atomic uint32_t freed;
    uint64_t written[THREADS]; /* plain: the last put must see every write */
    uint64_t sum;
} shared;

typedef struct part {
    shared *s;
    size_t index;
} part;

static void *use(void *arg) {
    part *p = arg;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        ln_ref_get(&p->s->ref, 2);
        if (ln_ref_put(&p->s->ref) || ln_ref_put(&p->s->ref)) p->s->freed += 100;
    }
    p->s->written[p->index] = p->index + 1;
    if (ln_ref_put(&p->s->ref)) {
        for (size_t i = 0; i < THREADS; i++)
            p->s->sum += p->s->written[i];
        p->s->freed++;
    }
    return NULL;
}

static void exactly_one_thread_frees(void **state) {
    for (int round = 0; round < 10; round++) {
        shared s = { .freed = 0 };
        ln_ref_init(&s.ref, THREADS);
        pthread_t threads[THREADS];
        part parts[THREADS];
        for (size_t i = 0; i < THREADS; i++) {
            parts[i] = (part){ &s, i };
            assert_int_equal(pthread_create(&threads[i], NULL, use, &parts[i]), 0);
        }
        for (size_t i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(s.freed, 1);
        assert_int_equal(s.sum, THREADS * (THREADS + 1) / 2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_one_is_told),
        cmocka_unit_test(exactly_one_thread_frees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
