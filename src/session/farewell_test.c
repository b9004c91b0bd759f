/* What is remembered of sessions when they are over. */
#include "session/inner.h"
#include "session/orders.h"
#include "session/session_test.h"

static const struct {
    const char *reason;
    uint8_t dialect;
    const char *says;    /* what the peer says before, if anything */
    const char *ordered; /* the words of a disconnect from outside; NULL: there was none */
    uint16_t close;      /* on_close's */
    int err;
    uint16_t code, why, error; /* what is remembered */
    ln_end_by by;
    const char *words;
} rows[] = {
    { "the client leaves", LN_USER_NATIVE, NULL, NULL, 1000, 0, 1000, 1000, 0, LN_END_CLIENT,
        "bye" },
    { "the network is lost", LN_USER_NATIVE, NULL, NULL, 1006, LINNET_ERR_RESET, 1006, 1006, 0,
        LN_END_NETWORK, "" },
    { "no answer to pings", LN_USER_NATIVE, NULL, NULL, 1006, LINNET_ERR_PONG_TIMEOUT, 3012, 3012,
        0, LN_END_SERVER, "" },
    { "sent away, and it answers", LN_USER_NATIVE, NULL, "no more", 3503, 0, 3503, 3503, 0,
        LN_END_SERVER, "no more" },
    { "sent away, and it does not answer", LN_USER_NATIVE, NULL, "no more", 1006,
        LINNET_ERR_TIMEOUT, 3503, 3503, 0, LN_END_SERVER, "no more" },
    { "sent away in a dialect of strangers", LN_USER_CHANNEL, NULL, "no more", 1008, 0, 1008, 3503,
        0, LN_END_SERVER, "no more" },
    { "an error, and then it leaves", LN_USER_NATIVE, "{\"type\":\"dance\",\"id\":1}", NULL, 1001,
        0, 1001, 1001, 104, LN_END_CLIENT, "bye" },
    { "too slow", LN_USER_NATIVE, NULL, NULL, 1006, LINNET_ERR_SLOW, 0, 3008, 0, LN_END_SERVER,
        "" },
};

static void ends_are_remembered(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        world w;
        print_message("# %s\n", rows[i].reason);
        world_open(&w);
        peer *p = peer_open(&w, 0, rows[i].dialect);
        if (rows[i].says) say(p, ln_slice_str(rows[i].says));
        const ln_whom whom = { .client = LN_SLICE("a") };
        if (rows[i].ordered) ln_sessions_disconnect(&w.sessions, &whom, 3503, rows[i].ordered);
        ln_slice words = rows[i].close == 1006 ? LN_SLICE("") : LN_SLICE("bye");
        p->open = false;
        p->c.ops->on_close(&p->c, rows[i].close, words, rows[i].err);
        const ln_end *e = ln_ends_at(&w.sessions.ends, 0, WALL);
        assert_non_null(e);
        assert_int_equal(e->code, rows[i].code);
        assert_int_equal(e->why, rows[i].why);
        assert_int_equal(e->error, rows[i].error);
        assert_int_equal(e->error_at, rows[i].error ? WALL : 0);
        assert_int_equal(e->by, rows[i].by);
        assert_true(ln_slice_eq(e->reason, ln_slice_str(rows[i].words)));
        assert_true(ln_slice_eq(e->client, LN_SLICE("a")));
        assert_true(e->counted && e->in == 1000);
        assert_int_equal(e->opened, WALL);
        world_close(&w);
    }
}

static bool somewhere(const ln_conn *c, ln_ip *who) {
    (void)c;
    return ln_ip_parse(LN_SLICE("192.0.2.7"), who);
}

/* Long words are cut between characters, and where it came from is known to the end. */
static void words_are_bounded(void **state) {
    (void)state;
    world w;
    char reason[124];
    for (size_t i = 0; i < 61; i++)
        memcpy(reason + 2 * i, "\xc3\xa9", 2);
    reason[122] = 0;
    world_open(&w);
    w.sessions.address_of = somewhere;
    peer *p = peer_open(&w, 0, LN_USER_NATIVE);
    const ln_whom whom = { .client = LN_SLICE("a") };
    ln_sessions_disconnect(&w.sessions, &whom, 3503, reason);
    peer_close(p);
    const ln_end *e = ln_ends_at(&w.sessions.ends, 0, WALL);
    assert_int_equal(e->reason.size, 122);
    assert_true(ln_utf8_valid(e->reason));
    assert_true(ln_slice_eq(e->address, LN_SLICE("192.0.2.7")));
    world_close(&w);
}

static void who_is_meant(void **state) {
    (void)state;
    world w;
    ln_end **found;
    world_open(&w);
    for (int i = 0; i < 3; i++)
        peer_open(&w, i, AUTO);
    const ln_whom all = { .client = LN_SLICE("") }, b = { .client = LN_SLICE("b") },
                  nobody = { .user = LN_SLICE("b") };
    assert_int_equal(ln_sessions_ends(&w.sessions, &all, 10, &found), 0);
    assert_null(found);
    for (int i = 0; i < 3; i++)
        peer_close(&w.peers[i]);
    const struct {
        const ln_whom *whom;
        uint32_t most;
        int want;
    } asked[] = { { &all, 10, 3 }, { &all, 2, 2 }, { &b, 10, 1 }, { &nobody, 10, 0 } };
    for (size_t i = 0; i < LN_COUNT(asked); i++) {
        int count = ln_sessions_ends(&w.sessions, asked[i].whom, asked[i].most, &found);
        assert_int_equal(count, asked[i].want);
        if (asked[i].whom == &all) assert_true(ln_slice_eq(found[0]->client, LN_SLICE("c")));
        while (count--)
            ln_end_unref(found[count]);
        ln_free(found);
    }
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_are_remembered),
        cmocka_unit_test(words_are_bounded),
        cmocka_unit_test(who_is_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
