#include "base/mem.h"
#include "base/rand.h"
#include "base/testing.h"
#include "hub/channel.h"
#include "hub/hub.h"

#define SUBS 200

typedef struct sub {
    ln_subscription s;
    bool in;
    int got;
} sub;

typedef struct crowd {
    sub subs[SUBS];
    ln_channel *c;
    ln_rand rand;
    int leave; /* one in so many leaves somebody during a walk; 0: none */
} crowd;

static void crowd_leave(crowd *w, sub *s) {
    ln_channel_unseat(w->c, &s->s);
    s->in = false;
}

static void crowd_deliver(void *ctx, ln_row *row, const ln_publication *p) {
    crowd *w = ctx;
    (void)p;
    for (uint32_t i = 0; i < row->count; i++) {
        if (!row->seats[i].target) continue;
        sub *s = row->seats[i].target;
        assert_int_equal(s->s.user, row->user);
        assert_ptr_equal(row->seats[i].sub, &s->s);
        assert_int_equal(s->s.seat, i);
        s->got++;
        if (!w->leave || ln_rand_below(&w->rand, (uint32_t)w->leave)) continue;
        sub *gone = &w->subs[ln_rand_below(&w->rand, SUBS)];
        if (gone->in) crowd_leave(w, gone);
    }
}

static void crowd_init(crowd *w, uint64_t seed) {
    *w = (crowd){ 0 };
    ln_rand_init_seeded(&w->rand, seed);
    w->c = ln_channel_new(LN_SPACE_CHANNELS, LN_SLICE("c"));
    for (int i = 0; i < SUBS; i++)
        ln_subscription_init(&w->subs[i].s, (uint8_t)(i % 3), &w->subs[i]);
}

static void crowd_fini(crowd *w) {
    for (int i = 0; i < SUBS; i++)
        if (w->subs[i].in) crowd_leave(w, &w->subs[i]);
    ln_free(w->c->interest);
    ln_channel_free(w->c);
}

static void crowd_walk(crowd *w) {
    bool before[SUBS];
    ln_hub_user users[LN_USERS_MAX] = { 0 };
    for (int i = 0; i < 3; i++)
        users[i] = (ln_hub_user){ .ctx = w, .deliver = crowd_deliver };
    for (int i = 0; i < SUBS; i++) {
        before[i] = w->subs[i].in;
        w->subs[i].got = 0;
    }
    ln_channel_deliver(w->c, users, NULL);
    uint32_t in = 0;
    for (int i = 0; i < SUBS; i++) {
        sub *s = &w->subs[i];
        in += s->in;
        assert_true(s->got <= 1);
        if (!before[i]) assert_int_equal(s->got, 0);
        if (s->in) assert_int_equal(s->got, 1);
        assert_int_equal(s->in, ln_subscription_joined(&s->s));
        assert_ptr_equal(ln_subscription_target(&s->s), s);
    }
    assert_int_equal(w->c->subscribers, in);
}

static void churn(uint64_t seed, int leave) {
    crowd w;
    crowd_init(&w, seed);
    w.leave = leave;
    for (int step = 0; step < 3000; step++) {
        sub *s = &w.subs[ln_rand_below(&w.rand, SUBS)];
        if (s->in) {
            crowd_leave(&w, s);
        } else {
            assert_int_equal(ln_channel_seat(w.c, &s->s), LINNET_OK);
            s->in = true;
        }
        if (step % 10 == 0) crowd_walk(&w);
    }
    crowd_fini(&w);
}

static void test_everyone_once(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++)
        churn(seed, 0);
}

static void test_leaving_during_a_walk(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++)
        churn(seed, 3);
}

/* Wherever it is, it knows what it works for, and takes along that it is leaving. */
static void test_on_its_way(void **state) {
    (void)state;
    ln_channel *c = ln_channel_new(LN_SPACE_CHANNELS, LN_SLICE("c"));
    ln_leave first = { .sub = NULL }, second = { .sub = NULL };
    sub s;
    ln_subscription_init(&s.s, 1, &s);
    assert_ptr_equal(ln_subscription_target(&s.s), &s);
    for (int round = 0; round < 2; round++) { /* turns back; arrives */
        assert_int_equal(ln_subscription_move(&s.s), LINNET_OK);
        assert_ptr_equal(ln_subscription_target(&s.s), &s);
        first.sub = second.sub = &s.s;
        ln_subscription_leave(&s.s, &first);
        ln_subscription_leave(&s.s, &second);
        assert_null(first.sub);
        assert_ptr_equal(ln_subscription_leaving(&s.s), &second);
        if (round == 0) ln_subscription_halt(&s.s);
    }
    assert_int_equal(ln_channel_seat(c, &s.s), LINNET_OK);
    assert_ptr_equal(ln_subscription_target(&s.s), &s);
    assert_ptr_equal(ln_subscription_leaving(&s.s), &second);
    ln_channel_unseat(c, &s.s);
    assert_null(second.sub);
    assert_null(ln_subscription_leaving(&s.s));
    assert_ptr_equal(ln_subscription_target(&s.s), &s);
    ln_free(c->interest);
    ln_channel_free(c);
}

/* There are millions of them. */
static void test_sizes(void **state) {
    (void)state;
    assert_true(sizeof(ln_subscription) <= 24);
    assert_true(sizeof(ln_seat) <= 16);
}

static void test_memory(void **state) {
    (void)state;
    for (uint64_t fail = 1;; fail++) {
        ln_test_memory memory = { .fail_at = fail };
        ln_test_memory_install(&memory);
        ln_channel *c = ln_channel_new(LN_SPACE_CHANNELS, LN_SLICE("c"));
        sub subs[5];
        int err = LINNET_OK;
        for (int i = 0; c && i < 5; i++) {
            ln_subscription_init(&subs[i].s, (uint8_t)(i / 3), &subs[i]);
            err = ln_channel_seat(c, &subs[i].s);
            assert_int_equal(ln_subscription_joined(&subs[i].s), err == LINNET_OK);
            if (err < 0) break;
        }
        bool done = c && err == LINNET_OK;
        for (int i = 0; c && i < 5 && ln_subscription_joined(&subs[i].s); i++) {
            ln_channel_unseat(c, &subs[i].s);
            if (i == 4 || (i < 4 && !subs[i + 1].s.channel)) break;
        }
        if (c) {
            ln_free(c->interest);
            ln_channel_free(c);
        }
        assert_int_equal(memory.live, 0);
        ln_test_memory_remove();
        if (done) break;
        assert_true(fail < 20);
    }
}

static void test_names(void **state) {
    (void)state;
    static const struct {
        const char *why;
        ln_slice name;
        int err;
    } rows[] = {
        { "one letter", BYTES("a"), LINNET_OK },
        { "everything that is allowed", BYTES("aZ09_.:#$@/-"), LINNET_OK },
        { "empty", BYTES(""), LINNET_ERR_INVAL },
        { "a space", BYTES("a b"), LINNET_ERR_INVAL },
        { "a NUL", BYTES("a\0"), LINNET_ERR_INVAL },
        { "a line end", BYTES("a\r\n"), LINNET_ERR_INVAL },
        { "not ASCII", BYTES("\xc3\xbc"), LINNET_ERR_INVAL },
        { "wild cards", BYTES("a*"), LINNET_ERR_INVAL },
        { "a list", BYTES("#a,b"), LINNET_ERR_INVAL },
        { "reserved", BYTES("system"), LINNET_ERR_DENIED },
        { "longer than reserved", BYTES("systems"), LINNET_OK },
        { "another case", BYTES("System"), LINNET_OK },
        { "ours", BYTES("$x"), LINNET_ERR_DENIED },
        { "a user's own", BYTES("@anna"), LINNET_OK },
        { "a user's name from elsewhere", BYTES("@auth0|anna+x=~%!"), LINNET_OK },
        { "nobody's own", BYTES("@"), LINNET_ERR_DENIED },
        { "a user with a space", BYTES("@a b"), LINNET_ERR_INVAL },
        { "a user with a NUL", BYTES("@a\0"), LINNET_ERR_INVAL },
        { "a user that is a pattern", BYTES("@a*"), LINNET_ERR_INVAL },
        { "a user that is not ASCII", BYTES("@\xc3\xbc"), LINNET_ERR_INVAL },
        { "what users may be called, elsewhere", BYTES("a|b"), LINNET_ERR_INVAL },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        ln_slice name = ln_test_exact(rows[i].name);
        assert_int_equal(ln_channel_name_check(LN_SPACE_CHANNELS, name), rows[i].err);
        bool empty = name.size == 0;
        int topic = ln_channel_name_check(LN_SPACE_TOPICS, name);
        assert_int_equal(topic, empty ? LINNET_ERR_INVAL : LINNET_OK);
        ln_test_drop(name);
    }
    uint8_t long_name[256];
    memset(long_name, 'x', sizeof long_name);
    assert_int_equal(
        ln_channel_name_check(LN_SPACE_CHANNELS, ln_slice_of(long_name, 255)), LINNET_OK);
    assert_int_equal(
        ln_channel_name_check(LN_SPACE_CHANNELS, ln_slice_of(long_name, 256)), LINNET_ERR_INVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everyone_once),
        cmocka_unit_test(test_leaving_during_a_walk),
        cmocka_unit_test(test_on_its_way),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
