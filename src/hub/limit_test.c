#include "base/mem.h"
#include "base/testing.h"
#include "hub/hub.h"
#include "hub/limit.h"

/* ---- how fast ---------------------------------------------------------------------------- */

static void buckets(void **state) {
    static const struct {
        const char *reason;
        ln_rate rate;
        uint32_t asks, every_ms;  /* so many, one each so many ms */
        uint32_t gets, last_wait; /* of them; what the last refusal said, 0: none was refused */
    } rows[] = {
        { "any", { 0, 0 }, 1000, 0, 1000, 0 },
        { "a burst", { 100, 200 }, 200, 0, 200, 0 },
        { "and one", { 100, 200 }, 201, 0, 200, 10 },
        { "a burst of none is one", { 1, 0 }, 2, 0, 1, 1000 },
        { "as fast as allowed", { 100, 1 }, 1000, 10, 1000, 0 },
        { "a little faster: 10 of 11 or so", { 100, 1 }, 1001, 9, 501, 1 },
        { "twice as fast, after the burst half", { 100, 10 }, 1000, 5, 509, 5 },
        { "ten million a second", { 10000000, 10000000 }, 1000, 0, 1000, 0 },
        { "once in a while", { 1, 3 }, 10, 500, 7, 500 },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_bucket b = 0;
        uint32_t got = 0, wait = 0;
        for (uint32_t k = 0; k < rows[i].asks; k++)
            got += ln_bucket_take(&b, rows[i].rate, 5000 + k * rows[i].every_ms, &wait);
        if (got != rows[i].gets || wait != rows[i].last_wait)
            fail_msg("%s: %u, wait %u", rows[i].reason, got, wait);
    }
}

/* Who waits as long as he was told gets one, and never one earlier. */
static void waiting(void **state) {
    for (uint32_t per_s = 1; per_s < 2000; per_s += 7) {
        ln_rate rate = { per_s, 3 };
        ln_bucket b = 0;
        ln_msec now = 1;
        uint32_t wait = 0;
        while (ln_bucket_take(&b, rate, now, &wait)) {
        }
        assert_true(wait > 0);
        uint32_t less;
        if (wait > 1) assert_false(ln_bucket_take(&b, rate, now + wait - 1, &less));
        assert_true(ln_bucket_take(&b, rate, now + wait, &less));
    }
}

/* What was taken beyond what there was has to drip in first. */
static void forced(void **state) {
    static const struct {
        const char *reason;
        uint32_t count;
        uint32_t gets, wait; /* afterwards, at once; and then */
    } rows[] = {
        { "none", 0, 20, 100 },
        { "some of it", 15, 5, 100 },
        { "all of it", 20, 0, 100 },
        { "more than there was", 25, 0, 600 },
        { "never more than twice a bucket, and some", 4000000000u, 0, 14900 },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_rate rate = { 10, 20 };
        ln_bucket b = 0;
        uint32_t got = 0, wait = 0;
        ln_bucket_force(&b, rate, 1000, rows[i].count);
        while (ln_bucket_take(&b, rate, 1000, &wait))
            got++;
        if (got != rows[i].gets || wait != rows[i].wait)
            fail_msg("%s: %u, wait %u", rows[i].reason, got, wait);
    }
    ln_bucket any = 0;
    ln_bucket_force(&any, (ln_rate){ 0, 0 }, 1000, 7);
    assert_int_equal(any, 0);
}

/* ---- how many ---------------------------------------------------------------------------- */

static void names(void **state) {
    ln_caps c;
    ln_caps_init(&c, (ln_map_key){ 1, 2 });
    ln_slice a = LN_SLICE("a"), b = LN_SLICE("b");
    assert_int_equal(ln_caps_enter(&c, a, 0), LINNET_ERR_LIMIT);
    assert_int_equal(ln_caps_enter(&c, a, 2), LINNET_OK);
    assert_int_equal(ln_caps_enter(&c, a, 2), LINNET_OK);
    assert_int_equal(ln_caps_enter(&c, a, 2), LINNET_ERR_LIMIT);
    assert_int_equal(ln_caps_enter(&c, b, 1), LINNET_OK);
    assert_int_equal(ln_caps_count(&c, a), 2);
    ln_caps_leave(&c, a);
    assert_int_equal(ln_caps_enter(&c, a, 1), LINNET_ERR_LIMIT); /* the limit was lowered */
    assert_int_equal(ln_caps_enter(&c, a, 2), LINNET_OK);
    ln_caps_leave(&c, a);
    ln_caps_leave(&c, a);
    assert_int_equal(ln_caps_count(&c, a), 0);
    assert_int_equal(c.names.count, 1);
    ln_caps_fini(&c); /* with b inside */
}

/* Workers without threads: letters wait in one queue for each of them. */
#define WORKERS 3
typedef struct office {
    ln_hub *hubs[WORKERS];
    ln_letter *first[WORKERS], **last[WORKERS];
    ln_admission *in[64]; /* those that were let in */
    uint32_t inside, refused;
} office;

static office *of;

static void post(void *ctx, uint32_t worker, ln_letter *letter) {
    letter->next = NULL;
    *of->last[worker] = letter;
    of->last[worker] = &letter->next;
}

static bool sort_one(void) {
    for (uint32_t w = 0; w < WORKERS; w++) {
        ln_letter *l = of->first[w];
        if (!l) continue;
        of->first[w] = l->next;
        if (!l->next) of->last[w] = &of->first[w];
        ln_hub_mail(of->hubs[w], l);
        return true;
    }
    return false;
}

static void told(void *ctx, ln_admission *a) {
    assert_ptr_equal(ctx, of);
    if (a->err == LINNET_OK) {
        of->in[of->inside++] = a;
        return;
    }
    assert_int_equal(a->err, LINNET_ERR_LIMIT);
    of->refused++;
    ln_free(a);
}

static void open_office(office *o) {
    *o = (office){ .inside = 0 };
    of = o;
    for (uint32_t w = 0; w < WORKERS; w++) {
        o->last[w] = &o->first[w];
        ln_hub_options options = {
            .self = w, .workers = WORKERS, .key = { 3, 4 }, .ctx = o, .post = post
        };
        assert_int_equal(ln_hub_new(&options, &o->hubs[w]), LINNET_OK);
    }
}

static void close_office(office *o) {
    while (sort_one()) {
    }
    for (uint32_t w = 0; w < WORKERS; w++) {
        assert_int_equal(o->hubs[w]->caps.names.count, 0);
        ln_hub_free(o->hubs[w]);
    }
}

static void ask(uint32_t worker, const char *name, uint32_t max) {
    ln_admission *a = ln_admission_new(LN_CAP_ADDRESS, ln_slice_str(name));
    assert_non_null(a);
    a->told = told;
    a->ctx = of;
    a->max = max;
    ln_hub_admit(of->hubs[worker], a);
}

static void leave(uint32_t worker) {
    ln_hub_release(of->hubs[worker], of->in[--of->inside]);
}

/* From all workers at once: exactly so many, and after they have gone as many again. */
static void exact(void **state) {
    office o;
    open_office(&o);
    for (int round = 0; round < 3; round++) {
        o.refused = 0;
        for (uint32_t i = 0; i < 30; i++)
            ask(i % WORKERS, "198.51.100.1", 10);
        ask(0, "192.0.2.1", 10);
        while (sort_one()) {
        }
        assert_int_equal(o.inside, 11);
        assert_int_equal(o.refused, 20);
        while (o.inside)
            leave(o.inside % WORKERS); /* connections may be anywhere by then */
    }
    close_office(&o);
}

/* What is on its way when all ends. */
static void under_way(void **state) {
    office o;
    open_office(&o);
    for (uint32_t i = 0; i < 6; i++)
        ask(i % WORKERS, "a", 4);
    for (int i = 0; i < 8; i++)
        sort_one();
    for (uint32_t w = 0; w < WORKERS; w++) {
        for (ln_letter *l = o.first[w], *next; l; l = next) {
            next = l->next;
            ln_mail_discard(l);
        }
        ln_hub_free(o.hubs[w]);
    }
    while (o.inside)
        ln_free(o.in[--o.inside]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets),
        cmocka_unit_test(waiting),
        cmocka_unit_test(forced),
        cmocka_unit_test(names),
        cmocka_unit_test(exact),
        cmocka_unit_test(under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
