#include "base/mem.h"
#include "base/rand.h"
#include "base/testing.h"
#include "net/timer.h"

static const struct {
    const char *reason;
    ln_msec now, due, before; /* not pulled at `before`, pulled at `due` */
} single_rows[] = {
    { "already past", 1000, 900, 0 },
    { "exactly now", 1000, 1000, 0 },
    { "the next millisecond", 1000, 1001, 1000 },
    { "last slot of level 0", 0, 63, 62 },
    { "first of level 1", 0, 64, 63 },
    { "across a digit though only 1 ms away", 63, 64, 63 },
    { "level 1 to its end", 0, 4095, 4094 },
    { "across two digits", 4095, 4096, 4095 },
    { "25 s, the ping", 123456789, 123481789, 123481788 },
    { "an hour", 77, 3600077, 3600076 },
    { "last of level 4", 0, (UINT64_C(1) << 30) - 1, (UINT64_C(1) << 30) - 2 },
    { "beyond the wheel", 5, (UINT64_C(1) << 30) + 5, (UINT64_C(1) << 30) + 4 },
    { "far beyond the wheel", 5, UINT64_C(1) << 40, (UINT64_C(1) << 40) - 1 },
    { "across the end of the wheel, 1 ms away", (UINT64_C(1) << 30) - 1, UINT64_C(1) << 30,
        (UINT64_C(1) << 30) - 1 },
};

#define ROW(i, condition)                                                                          \
    if (!(condition)) fail_msg("%s: %s", single_rows[i].reason, #condition)

static void a_timer_comes_at_its_time_and_once(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(single_rows); i++) {
        ln_msec now = single_rows[i].now, due = single_rows[i].due, before = single_rows[i].before;
        ln_wheel w;
        ln_timer t;
        ln_wheel_init(&w, now);
        ln_timer_init(&t, 7);
        ROW(i, ln_wheel_deadline(&w) == LN_NEVER);
        ln_timer_set(&w, &t, due);
        ROW(i, ln_timer_armed(&t));
        ROW(i, ln_wheel_deadline(&w) <= (due > now ? due : now));
        if (before) ROW(i, ln_wheel_pull(&w, before) == NULL);
        ROW(i, ln_wheel_pull(&w, before ? due : now) == &t);
        ROW(i, !ln_timer_armed(&t));
        ROW(i, ln_wheel_pull(&w, due + 200) == NULL);
        ROW(i, w.count == 0);
    }
}

static void sleeping_to_each_deadline_reaches_every_timer_in_few_steps(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(single_rows); i++) {
        ln_wheel w;
        ln_timer t;
        ln_msec now = single_rows[i].now;
        ln_wheel_init(&w, now);
        ln_timer_init(&t, 0);
        ln_timer_set(&w, &t, single_rows[i].due);
        int steps = 0;
        while (!ln_wheel_pull(&w, now)) {
            assert_true(ln_wheel_deadline(&w) > now);
            assert_true(ln_wheel_deadline(&w) <= single_rows[i].due);
            now = ln_wheel_deadline(&w);
            assert_true(steps++ < 1100);
        }
        assert_true(now >= single_rows[i].due || single_rows[i].before == 0);
    }
}

#define MANY 2000
/* Against a model that knows only the due times: set, move, stop and pull at random. */
static void a_wheel_agrees_with_a_plain_list(void **state) {
    (void)state;
    ln_rand *r = ln_malloc(sizeof *r);
    ln_timer *timers = ln_calloc(MANY, sizeof *timers);
    ln_msec *model = ln_calloc(MANY, sizeof *model); /* 0: not set */
    assert_non_null(r);
    assert_non_null(timers);
    assert_non_null(model);
    static const uint32_t spans[] = { 3, 70, 5000, 300000, 20000000, UINT32_MAX };
    for (uint64_t seed = 1; seed <= 6; seed++) {
        ln_wheel w;
        ln_msec now = seed * 1000003;
        ln_rand_init_seeded(r, seed);
        ln_wheel_init(&w, now);
        for (unsigned i = 0; i < MANY; i++) {
            ln_timer_init(&timers[i], 0);
            model[i] = 0;
        }
        for (int step = 0; step < 20000; step++) {
            unsigned i = ln_rand_below(r, MANY);
            switch (ln_rand_below(r, 4)) {
            case 0:
            case 1:
                model[i] = now + ln_rand_below(r, spans[ln_rand_below(r, 6)]);
                ln_timer_set(&w, &timers[i], model[i]);
                break;
            case 2:
                model[i] = 0;
                ln_timer_stop(&w, &timers[i]);
                break;
            default: now += ln_rand_below(r, spans[ln_rand_below(r, step % 50 ? 3 : 6)]); break;
            }
            ln_timer *t;
            while ((t = ln_wheel_pull(&w, now))) {
                size_t at = (size_t)(t - timers);
                assert_true(model[at] != 0 && model[at] <= now);
                model[at] = 0;
            }
            if (step % 100) continue;
            ln_msec first = LN_NEVER;
            uint32_t set = 0;
            for (unsigned k = 0; k < MANY; k++) {
                if (!model[k]) continue;
                set++;
                assert_true(model[k] > now);
                if (model[k] < first) first = model[k];
            }
            assert_int_equal(w.count, set);
            assert_true(ln_wheel_deadline(&w) <= first);
        }
    }
    ln_free(model);
    ln_free(timers);
    ln_free(r);
}

/* THREATS row 85: the clock steps over a multitude; each pull does a bounded amount of work, and
 * nothing is lost. */
static void a_multitude_due_at_once_is_taken_in_slices(void **state) {
    (void)state;
    enum { multitude = 100000 };
    ln_timer *timers = ln_calloc(multitude, sizeof *timers);
    assert_non_null(timers);
    ln_wheel w;
    ln_wheel_init(&w, 0);
    for (unsigned i = 0; i < multitude; i++) {
        ln_timer_init(&timers[i], 0);
        ln_timer_set(&w, &timers[i], 25000);
    }
    /* Into finer slots just before its time: nothing is due, so only the slices show. */
    unsigned slices = 0;
    while (ln_wheel_deadline(&w) <= 24999) {
        assert_null(ln_wheel_pull(&w, 24999));
        slices++;
    }
    assert_true(slices >= multitude / LN_WHEEL_SLICE);
    for (unsigned i = 0; i < multitude; i++)
        assert_non_null(ln_wheel_pull(&w, 1000000));
    assert_null(ln_wheel_pull(&w, 1000000));
    assert_int_equal(w.count, 0);
    ln_free(timers);
}

static void stopping_and_moving(void **state) {
    (void)state;
    ln_wheel w;
    ln_timer a, b;
    ln_wheel_init(&w, 10);
    ln_timer_init(&a, 1);
    ln_timer_init(&b, 2);
    ln_timer_stop(&w, &a);
    assert_int_equal(w.count, 0);
    ln_timer_set(&w, &a, 20);
    ln_timer_set(&w, &b, 20);
    ln_timer_set(&w, &a, 5000);
    assert_int_equal(w.count, 2);
    assert_ptr_equal(ln_wheel_pull(&w, 20), &b);
    assert_int_equal(b.kind, 2);
    ln_timer_stop(&w, &a);
    assert_int_equal(ln_wheel_deadline(&w), LN_NEVER);
    ln_timer_set(&w, &a, 20);
    assert_int_equal(ln_wheel_deadline(&w), 20);
    ln_timer_stop(&w, &a); /* out of the list of what is due */
    assert_null(ln_wheel_pull(&w, 30));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_comes_at_its_time_and_once),
        cmocka_unit_test(sleeping_to_each_deadline_reaches_every_timer_in_few_steps),
        cmocka_unit_test(a_wheel_agrees_with_a_plain_list),
        cmocka_unit_test(a_multitude_due_at_once_is_taken_in_slices),
        cmocka_unit_test(stopping_and_moving),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
