/* Rates that several workers keep together, without threads: letters wait in a queue until they are
 * handed over, as late as the test likes. */
#include "base/mem.h"
#include "base/testing.h"
#include "hub/hub.h"
#include "hub/lease.h"
#include <stdio.h>

#define WORKERS_MAX 4

typedef struct office {
    ln_hub *hubs[WORKERS_MAX];
    uint32_t workers;
    ln_letter *first, **last;
    uint32_t letters; /* posted so far */
    ln_msec now;
} office;

static void post(void *ctx, uint32_t worker, ln_letter *letter) {
    office *o = ctx;
    letter->to = (uint8_t)worker;
    letter->next = NULL;
    *o->last = letter;
    o->last = &letter->next;
    o->letters++;
}

static void sort(office *o) {
    for (ln_letter *l; (l = o->first);) {
        o->first = l->next;
        if (!l->next) o->last = &o->first;
        ln_hub_mail(o->hubs[l->to], l);
    }
}

static void at(office *o, ln_msec now) {
    o->now = now;
    for (uint32_t w = 0; w < o->workers; w++)
        ln_hub_tick(o->hubs[w], now, now);
}

static void office_open(office *o, uint32_t workers) {
    *o = (office){ .workers = workers };
    o->last = &o->first;
    for (uint32_t w = 0; w < workers; w++) {
        ln_hub_options options = {
            .self = w, .workers = workers, .key = { 3, 4 }, .ctx = o, .post = post
        };
        assert_int_equal(ln_hub_new(&options, &o->hubs[w]), LINNET_OK);
    }
    at(o, 1000);
}

static void office_close(office *o) {
    for (ln_letter *l; (l = o->first);) {
        o->first = l->next;
        ln_mail_discard(l);
    }
    for (uint32_t w = 0; w < o->workers; w++)
        ln_hub_free(o->hubs[w]);
}

static ln_account account(const char *name) {
    return ln_account_named((ln_map_key){ 3, 4 }, LN_ACCOUNT_USER_PUBLISH, ln_slice_str(name));
}

/* All workers ask as often as they can, for so long. */
static void together(void **state) {
    static const struct {
        const char *reason;
        uint32_t workers;
        ln_rate rate;
        uint32_t per_ms;   /* each worker asks so often in a millisecond */
        uint32_t delay_ms; /* of letters */
        uint32_t letters;  /* at most so many of a hundred that are let through */
    } rows[] = {
        { "one worker: exact, without a letter", 1, { 100, 200 }, 10, 0, 0 },
        { "two", 2, { 100, 200 }, 10, 0, 40 },
        { "four", 4, { 100, 200 }, 10, 0, 60 },
        { "slow mail", 4, { 100, 200 }, 10, 7, 60 },
        { "a burst of one", 4, { 10, 1 }, 1, 0, 400 },
        { "many", 4, { 20000, 20000 }, 50, 1, 1 },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        enum { SECONDS = 10 };
        office o;
        uint32_t got = 0, wait = 0;
        ln_rate rate = rows[i].rate;
        ln_account a = account("anna");
        office_open(&o, rows[i].workers);
        for (uint32_t ms = 0; ms < SECONDS * 1000; ms++) {
            at(&o, 1000 + ms);
            for (uint32_t n = 0; n < rows[i].per_ms * o.workers; n++)
                got += ln_hub_spend(o.hubs[n % o.workers], a, rate, &wait);
            if (!rows[i].delay_ms || ms % rows[i].delay_ms == 0) sort(&o);
        }
        uint32_t right = rate.burst + rate.per_s * SECONDS, spare = o.workers > 1 ? o.workers : 0;
        uint32_t most = right + (o.workers > 1 ? rate.burst / 2 + 3 * spare : 0);
        if (got > most || got < right - right / 20 - spare)
            fail_msg("%s: %u instead of %u", rows[i].reason, got, right);
        if (o.letters > got * rows[i].letters / 50 + (o.workers > 1 ? 2u * SECONDS * 1000 : 0))
            fail_msg("%s: %u letters for %u", rows[i].reason, o.letters, got);
        office_close(&o);
    }
}

/* Before any letter has come. */
static void on_credit(void **state) {
    office o;
    uint32_t got = 0, wait = 0;
    ln_account a = account("anna");
    office_open(&o, 4);
    for (uint32_t n = 0; n < 4000; n++)
        got += ln_hub_spend(o.hubs[n % 4], a, (ln_rate){ 100, 160 }, &wait);
    assert_in_range(got, 160 + 1, 160 + 80); /* all of the home's own, and half a burst */
    assert_true(wait > 0);
    sort(&o);
    for (uint32_t n = 0; n < 4000; n++)
        got += ln_hub_spend(o.hubs[n % 4], a, (ln_rate){ 100, 160 }, &wait);
    assert_in_range(got, 160, 160 + 80 + 4);
    office_close(&o);
}

/* Who waits as long as he is told gets one, on every worker. */
static void waiting(void **state) {
    for (uint32_t w = 0; w < 3; w++) {
        office o;
        uint32_t wait = 0;
        ln_account a = account("anna");
        ln_rate rate = { 10, 12 };
        office_open(&o, 3);
        for (int n = 0; n < 100; n++) {
            if (!ln_hub_spend(o.hubs[w], a, rate, &wait)) sort(&o);
        }
        for (int n = 0; n < 50; n++) {
            uint32_t tries = 0;
            while (!ln_hub_spend(o.hubs[w], a, rate, &wait)) {
                assert_in_range(wait, 1, 1300);
                at(&o, o.now + wait);
                sort(&o);
                assert_true(++tries < 4); /* the first time it may only be told to ask again */
            }
            sort(&o);
        }
        office_close(&o);
    }
}

static void apart(void **state) {
    office o;
    uint32_t wait;
    office_open(&o, 2);
    assert_true(ln_hub_spend(o.hubs[0], account("x"), (ln_rate){ 0, 0 }, &wait));
    for (int n = 0; n < 100; n++) {
        ln_hub_spend(o.hubs[0], account("anna"), (ln_rate){ 1, 4 }, &wait);
        sort(&o);
    }
    assert_false(ln_hub_spend(o.hubs[0], account("anna"), (ln_rate){ 1, 4 }, &wait));
    assert_true(ln_hub_spend(o.hubs[0], account("berta"), (ln_rate){ 1, 4 }, &wait));
    ln_map_key key = { 3, 4 };
    ln_slice name = LN_SLICE("anna");
    assert_true(ln_account_named(key, LN_ACCOUNT_USER_PUBLISH, name) !=
                ln_account_named(key, LN_ACCOUNT_USER_COMMAND, name));
    office_close(&o);
}

/* Twenty tokens that are no good, on whatever workers: then all know. */
static void debts(void **state) {
    ln_rate rate = { 2, 20 };
    for (uint32_t workers = 1; workers <= 4; workers++) {
        office o;
        uint32_t wait = 0;
        ln_account a = account("7.7.7.7");
        office_open(&o, workers);
        for (uint32_t n = 0; n < 20; n++) {
            for (uint32_t w = 0; w < workers; w++)
                assert_false(ln_hub_owes(o.hubs[w], a, rate, &wait));
            ln_hub_owe(o.hubs[n % workers], a, rate);
            sort(&o);
        }
        for (uint32_t w = 0; w < workers; w++) {
            assert_true(ln_hub_owes(o.hubs[w], a, rate, &wait));
            assert_int_equal(wait, 500);
            assert_false(ln_hub_owes(o.hubs[w], account("8.8.8.8"), rate, &wait));
        }
        for (int n = 0; n < 100; n++) { /* it gets no worse than that */
            ln_hub_owe(o.hubs[0], a, rate);
            sort(&o);
        }
        at(&o, 1499);
        for (uint32_t w = 0; w < workers; w++)
            assert_true(ln_hub_owes(o.hubs[w], a, rate, &wait));
        at(&o, 1500);
        for (uint32_t w = 0; w < workers; w++)
            assert_false(ln_hub_owes(o.hubs[w], a, rate, &wait));
        ln_hub_owe(o.hubs[0], a, (ln_rate){ 0, 0 });
        assert_false(ln_hub_owes(o.hubs[0], a, (ln_rate){ 0, 0 }, &wait));
        office_close(&o);
    }
}

/* Strangers by the thousand do not make the worst of them innocent, and take no more memory. */
static void strangers(void **state) {
    office o;
    uint32_t wait;
    char name[16];
    ln_rate rate = { 1, 20 };
    office_open(&o, 2);
    for (int n = 0; n < 20; n++)
        ln_hub_owe(o.hubs[n % 2], account("worst"), rate);
    sort(&o);
    for (int n = 0; n < 100000; n++) {
        snprintf(name, sizeof name, "%d", n);
        ln_hub_owe(o.hubs[n % 2], account(name), rate);
        ln_hub_spend(o.hubs[n % 2], account(name), rate, &wait);
        sort(&o);
    }
    assert_true(ln_hub_owes(o.hubs[0], account("worst"), rate, &wait));
    assert_true(ln_hub_owes(o.hubs[1], account("worst"), rate, &wait));
    office_close(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(together),
        cmocka_unit_test(on_credit),
        cmocka_unit_test(waiting),
        cmocka_unit_test(apart),
        cmocka_unit_test(debts),
        cmocka_unit_test(strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
