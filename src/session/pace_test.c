/* How fast commands may come, each kind by its own bucket, and what becomes of those who do not
 * wait. */
#include "session/inner.h"
#include "session/session_test.h"

static void limit(world *w) {
    w->limits.publish_rate = 10;
    w->limits.publish_burst = 20;
    w->limits.rates[LN_PACE_SUBSCRIBE] = (ln_rate){ 5, 8 };
    w->limits.rates[LN_PACE_READ] = (ln_rate){ 2, 3 };
    w->limits.rates[LN_PACE_AUTH] = (ln_rate){ 1, 2 };
}

static const struct {
    const char *reason, *says;
    uint32_t free;   /* so many at once */
    int retry_after; /* of the first refusal; -1: there is none */
    ln_pace pace;
} rows[] = {
    { "publish", "{\"type\":\"publish\",\"id\":1,\"channel\":\"x\",\"data\":1}", 20, 100,
        LN_PACE_PUBLISH },
    { "a publish that is wrong costs too", "{\"type\":\"publish\",\"id\":1,\"channel\":\"x\"}", 20,
        100, LN_PACE_PUBLISH },
    { "subscribe", "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}", 8, 200,
        LN_PACE_SUBSCRIBE },
    { "unsubscribe", "{\"type\":\"unsubscribe\",\"id\":1,\"channel\":\"x\"}", 8, 200,
        LN_PACE_SUBSCRIBE },
    { "auth", "{\"type\":\"auth\",\"id\":1,\"data\":{\"token\":\"x\"}}", 2, 1000, LN_PACE_AUTH },
    { "ping is free", "{\"type\":\"ping\",\"id\":1}", 90, -1, LN_PACES },
    { "what nobody knows is an error", "{\"type\":\"dance\",\"id\":1}", 90, -1, LN_PACES },
};

static void each_verb(void **state) {
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        world w;
        char after[40];
        world_open(&w);
        limit(&w);
        peer *p = peer_open(&w, 0, LN_USER_NATIVE);
        for (uint32_t k = 0; k < rows[i].free; k++) {
            say(p, ln_slice_str(rows[i].says));
            run(&w);
        }
        if (count_lines(p, "\"code\":111") != 0) fail_msg("%s", rows[i].reason);
        if (rows[i].retry_after >= 0) {
            say(p, ln_slice_str(rows[i].says));
            run(&w);
            snprintf(after, sizeof after, "\"retry_after\":%d}", rows[i].retry_after);
            if (count_lines(p, after) != 1) fail_msg("%s", rows[i].reason);
            assert_int_equal(ln_stat_get(&w.sessions.too_fast[rows[i].pace]), 1);
            tick(&w, (uint32_t)rows[i].retry_after);
            say(p, ln_slice_str(rows[i].says));
            run(&w);
            if (count_lines(p, "\"code\":111") != 0) fail_msg("%s, later", rows[i].reason);
        }
        assert_int_equal(p->code, 0);
        world_close(&w);
    }
}

/* One kind that is used up leaves the others as they were. */
static void apart(void **state) {
    world w;
    world_open(&w);
    limit(&w);
    peer *p = peer_open(&w, 0, LN_USER_NATIVE);
    for (int k = 0; k < 30; k++)
        say(p, ln_slice_str(rows[0].says));
    run(&w);
    assert_int_equal(count_lines(p, "\"code\":111"), 10);
    say(p, ln_slice_str(rows[2].says));
    run(&w);
    assert_int_equal(count_lines(p, "\"ok\""), 1);
    world_close(&w);
}

/* A hundred refusals in ten seconds: 3009, in the dialects of strangers 1008. */
static void who_does_not_wait(void **state) {
    static const struct {
        uint8_t dialect;
        const char *says;
        int code;
    } ways[] = {
        { LN_USER_NATIVE, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}", 3009 },
        { LN_USER_CHANNEL, "{\"action\":\"subscribe\",\"channel\":\"x\"}", 1008 },
    };
    for (size_t i = 0; i < LN_COUNT(ways); i++) {
        world w;
        world_open(&w);
        limit(&w);
        peer *p = peer_open(&w, 0, ways[i].dialect);
        for (int k = 0; k < 108; k++)
            say(p, ln_slice_str(ways[i].says));
        run(&w);
        assert_int_equal(p->code, 0);
        say(p, ln_slice_str(ways[i].says));
        assert_int_equal(p->code, ways[i].code);
        world_close(&w);
    }
}

static bool one_house(const ln_conn *c, ln_ip *who) {
    *who = (ln_ip){ { 7 } };
    return true;
}

/* Bad tokens of an address count on all of its connections. */
static void debts_of_an_address(void **state) {
    world w;
    world_open(&w);
    w.sessions.address_of = one_house;
    w.sessions.failures = (ln_rate){ 1, 2 };
    ln_slice text = LN_SLICE("{\"type\":\"auth\",\"id\":1,\"data\":{\"token\":\"x\"}}");
    peer *a = peer_open(&w, 0, LN_USER_NATIVE), *b = peer_open(&w, 1, LN_USER_NATIVE);
    say(a, text);
    assert_int_equal(count_lines(a, "\"code\":111"), 0);
    ln_session_owe(b->c.owner);
    ln_session_owe(b->c.owner);
    say(a, text);
    assert_int_equal(count_lines(a, "\"code\":111"), 1);
    assert_int_equal(ln_stat_get(&w.sessions.too_fast[LN_PACE_AUTH]), 1);
    tick(&w, 1000);
    say(a, text);
    assert_int_equal(count_lines(a, "\"code\":111"), 0);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_verb),
        cmocka_unit_test(apart),
        cmocka_unit_test(who_does_not_wait),
        cmocka_unit_test(debts_of_an_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
