/* Loops that the test turns itself, or does not: those are stuck. */
#include "base/testing.h"
#include "daemon/attendant.h"
#include <linnet/loop.h>
#include <semaphore.h>
#include <time.h>

typedef struct heard {
    sem_t beats, stuck;
    int worker;
    uint64_t ms;
} heard;

static void on_pulse(void *ctx, int worker, uint64_t ms) {
    heard *h = ctx;
    if (worker < 0) {
        sem_post(&h->beats);
        return;
    }
    h->worker = worker;
    h->ms = ms;
    sem_post(&h->stuck);
}

static bool waited(sem_t *s) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += 20;
    return sem_timedwait(s, &t) == 0;
}

static void init(heard *h) {
    *h = (heard){ .worker = -1 };
    sem_init(&h->beats, 0, 0);
    sem_init(&h->stuck, 0, 0);
}

static void task_done(const ln_task *task) {
    *(uint64_t *)task->ctx += task->arg + task->id;
}

static void task_post(const ln_task *task) {
    sem_post(task->ctx);
}

static void tasks_are_done_in_order(void **state) {
    ln_attendant_options o = { .count = 0 };
    ln_attendant *a;
    uint64_t sum = 0;
    sem_t done;
    sem_init(&done, 0, 0);
    assert_int_equal(ln_attendant_new(&o, &a), LINNET_OK);
    for (uint64_t i = 0; i < 10; i++) {
        ln_task task = { .fn = task_done, .ctx = &sum, .id = i, .arg = 100 };
        assert_true(ln_attendant_ask(a, &task));
    }
    ln_task last = { .fn = task_post, .ctx = &done };
    assert_true(ln_attendant_ask(a, &last));
    assert_true(waited(&done));
    assert_int_equal(sum, 1045);
    ln_attendant_free(a);
}

static void task_hold(const ln_task *task) {
    waited(task->ctx);
}

static void who_asks_never_waits(void **state) {
    ln_attendant_options o = { .count = 0 };
    ln_attendant *a;
    sem_t go;
    uint64_t sum = 0, asked = 0;
    sem_init(&go, 0, 0);
    assert_int_equal(ln_attendant_new(&o, &a), LINNET_OK);
    ln_task hold = { .fn = task_hold, .ctx = &go }, one = { task_done, &sum, 1, 0 };
    assert_true(ln_attendant_ask(a, &hold));
    while (asked < 1000000 && ln_attendant_ask(a, &one))
        asked++;
    assert_in_range(asked, 500, 999999); /* it said no */
    sem_post(&go);
    ln_attendant_free(a); /* behind all that was asked */
    assert_int_equal(sum, asked);
}

static void a_loop_that_turns_is_well(void **state) {
    linnet_loop *loop;
    heard h;
    init(&h);
    assert_int_equal(linnet_loop_new(NULL, &loop), LINNET_OK);
    ln_attendant_options o = { .loops = &loop,
        .count = 1,
        .pulse_ms = 5,
        .stuck_ms = 60000,
        .watchdog_ms = 60000,
        .on_pulse = on_pulse,
        .ctx = &h };
    ln_attendant *a;
    assert_int_equal(ln_attendant_new(&o, &a), LINNET_OK);
    assert_int_equal(ln_stat_get(&ln_attendant_lag(a, 0)->buckets[0]), 0);
    ln_attendant_watch(a);
    uint64_t n = 0;
    for (int i = 0; i < 20000 && n < 3; i++) {
        assert_int_equal(linnet_loop_turn(loop, 1), LINNET_OK);
        n = 0;
        for (unsigned b = 0; b < LN_HIST_BUCKETS; b++)
            n += ln_stat_get(&ln_attendant_lag(a, 0)->buckets[b]);
    }
    assert_true(n >= 3);
    assert_true(waited(&h.beats));
    assert_int_equal(h.worker, -1);
    assert_int_equal(ln_attendant_stuck(a), 0);
    ln_attendant_free(a);
    linnet_loop_free(loop);
}

static void a_loop_that_stands_is_stuck(void **state) {
    linnet_loop *loop;
    heard h;
    init(&h);
    assert_int_equal(linnet_loop_new(NULL, &loop), LINNET_OK);
    ln_attendant_options o = { .loops = &loop,
        .count = 1,
        .pulse_ms = 5,
        .stuck_ms = 100,
        .watchdog_ms = 60,
        .on_pulse = on_pulse,
        .ctx = &h };
    ln_attendant *a;
    assert_int_equal(ln_attendant_new(&o, &a), LINNET_OK);
    ln_attendant_watch(a);
    assert_true(waited(&h.stuck));
    assert_int_equal(h.worker, 0);
    assert_true(h.ms >= 100);
    assert_int_equal(ln_attendant_stuck(a), 1);
    while (sem_trywait(&h.beats) == 0) { /* those of the first 30 ms */
    }
    struct timespec t = { .tv_nsec = 50000000 }; /* that nothing comes can only be waited for */
    nanosleep(&t, NULL);
    assert_int_equal(sem_trywait(&h.beats), -1);
    for (int i = 0; i < 20000 && ln_attendant_stuck(a); i++)
        assert_int_equal(linnet_loop_turn(loop, 1), LINNET_OK);
    assert_int_equal(ln_attendant_stuck(a), 0);
    assert_int_equal(linnet_loop_turn(loop, 0), LINNET_OK);
    ln_attendant_free(a);
    linnet_loop_free(loop);
}

static void options(void **state) {
    ln_attendant *a;
    ln_attendant_options many = { .count = LN_PULSES_MAX + 1 }, deaf = { .watchdog_ms = 1 };
    assert_int_equal(ln_attendant_new(&many, &a), LINNET_ERR_INVAL);
    assert_int_equal(ln_attendant_new(&deaf, &a), LINNET_ERR_INVAL);
    ln_attendant_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_are_done_in_order),
        cmocka_unit_test(who_asks_never_waits),
        cmocka_unit_test(a_loop_that_turns_is_well),
        cmocka_unit_test(a_loop_that_stands_is_stuck),
        cmocka_unit_test(options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
