/* How many connections a user may have, and how fast all of them together may be. */
#include "session/session_test.h"

typedef struct house {
    world w;
    ln_auth auth;
    ln_jws_keys *keys;
} house;

static void house_open(house *h, uint32_t per_user) {
    memset(h, 0, sizeof *h);
    world_open(&h->w);
    h->w.limits.per_user = per_user;
    assert_int_equal(ln_jws_keys_new(&h->keys), LINNET_OK);
    h->auth = (ln_auth){ .keys = h->keys, .anonymous = true };
}

static void house_close(house *h) {
    world *w = &h->w;
    for (int i = 0; i < PEERS; i++)
        peer_close(&w->peers[i]);
    run(w);
    assert_int_equal(w->hub->caps.names.count, 0); /* nobody is left over */
    world_close(w);
    ln_jws_keys_unref(h->keys);
}

/* user NULL: nobody knows. Letters are not delivered. */
static peer *come(house *h, int i, uint8_t dialect, const char *user) {
    peer *p = &h->w.peers[i];
    ln_session_options o = { .limits = &h->w.limits,
        .dialect = dialect,
        .client = ln_slice_of(&p->name, 1),
        .auth = &h->auth };
    char claims[64];
    ln_json_value top;
    if (user) {
        snprintf(claims, sizeof claims, "{\"sub\":\"%s\",\"subs\":[\"given\"]}", user);
        assert_int_equal(ln_json_check(ln_slice_str(claims), &top), LINNET_OK);
        assert_int_equal(ln_identity_from(&top, 0, &o.identity), LINNET_OK);
    }
    p->code = 0;
    assert_int_equal(ln_session_open(&h->w.sessions, &p->c, &o), LINNET_OK);
    p->open = true;
    return p;
}

#define SUBSCRIBE LN_SLICE("{\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}")

static uint32_t in_channel(const house *h, ln_slice name) {
    const ln_channel *c = ln_hub_find(h->w.hub, LN_SPACE_CHANNELS, name);
    return c ? c->subscribers : 0;
}

static void one_too_many(void **state) {
    static const struct {
        uint8_t dialect;
        int code;
    } ways[] = { { LN_USER_NATIVE, 3504 }, { LN_USER_TOPIC, 1008 }, { LN_DIALECT_AUTO, 3504 } };
    for (size_t i = 0; i < LN_COUNT(ways); i++) {
        house h;
        house_open(&h, 1);
        come(&h, 0, LN_USER_NATIVE, "anna");
        come(&h, 1, LN_USER_NATIVE, "bob");
        peer *guest = come(&h, 2, LN_USER_NATIVE, NULL);
        run(&h.w);
        assert_int_equal(in_channel(&h, LN_SLICE("given")), 2);
        peer *second = come(&h, 3, ways[i].dialect, "anna");
        assert_int_equal(second->code, 0); /* the answer has not come */
        if (ways[i].dialect == LN_USER_NATIVE) say(second, SUBSCRIBE);
        run(&h.w);
        assert_int_equal(second->code, ways[i].code);
        assert_int_equal(in_channel(&h, LN_SLICE("x")), 0);
        assert_int_equal(in_channel(&h, LN_SLICE("given")), 2);
        for (int k = 0; k < 3; k++)
            assert_int_equal(h.w.peers[k].code, 0);
        assert_int_equal(ln_stat_get(&h.w.sessions.full_users), 1);
        say(guest, LN_SLICE("{\"type\":\"ping\",\"id\":1}"));
        assert_int_equal(count_lines(guest, "\"pong\""), 1);
        house_close(&h);
    }
}

/* What is said before the answer has come is done afterwards, in its order. */
static void commands_wait(void **state) {
    house h;
    house_open(&h, 1);
    peer *p = come(&h, 0, LN_USER_NATIVE, "anna");
    say(p, SUBSCRIBE);
    say(p, LN_SLICE("{\"type\":\"publish\",\"id\":2,\"channel\":\"x\",\"data\":7}"));
    say(p, LN_SLICE("{\"type\":\"publish\",\"id\":3,\"channel\":\"x\",\"data\":8}"));
    assert_int_equal(count_lines(p, "\"ok\""), 0);
    run(&h.w);
    assert_int_equal(count_lines(p, "\"ok\""), 3);
    house_close(&h);
}

/* Who goes gives his seat back, whenever that is. */
static void going(void **state) {
    house h;
    house_open(&h, 1);
    for (int round = 0; round < 3; round++) {
        peer *p = come(&h, 0, LN_USER_NATIVE, "anna");
        if (round != 1) run(&h.w);
        assert_int_equal(p->code, 0);
        peer_close(p);
        tick(&h.w, 1000);
        run(&h.w);
    }
    come(&h, 1, LN_USER_NATIVE, "anna");
    run(&h.w);
    assert_int_equal(h.w.peers[1].code, 0);
    h.w.limits.per_user = 0; /* another configuration: nobody is counted any more */
    come(&h, 2, LN_USER_NATIVE, "anna");
    run(&h.w);
    assert_int_equal(h.w.peers[2].code, 0);
    house_close(&h);
}

/* It goes while the letter is on its way, and so do all the others: the hub is left alone. */
static void the_end(void **state) {
    house h;
    house_open(&h, 1);
    peer *p = come(&h, 0, LN_USER_NATIVE, "anna");
    peer_close(p);
    ln_sessions_fini(&h.w.sessions);
    run(&h.w);
    assert_int_equal(h.w.hub->caps.names.count, 0);
    ln_hub_free(h.w.hub);
    for (int i = 0; i < PEERS; i++)
        free(h.w.peers[i].told);
    ln_jws_keys_unref(h.keys);
}

/* Rates of a user and of an address count on all connections. */
static bool one_house(const ln_conn *c, ln_ip *who) {
    (void)c;
    *who = (ln_ip){ { 7 } };
    return true;
}

static void shared_rates(void **state) {
    static const struct {
        const char *reason;
        bool address, command;
        const char *first, *second; /* users */
        unsigned refused;           /* of the second's ten */
        const char *says;
    } rows[] = {
        { "publications of one user", false, false, "anna", "anna", 8,
            "{\"type\":\"publish\",\"id\":1,\"channel\":\"c\",\"data\":1}" },
        { "of two users", false, false, "anna", "bob", 0,
            "{\"type\":\"publish\",\"id\":1,\"channel\":\"c\",\"data\":1}" },
        { "of nobody in particular", false, false, NULL, NULL, 0,
            "{\"type\":\"publish\",\"id\":1,\"channel\":\"c\",\"data\":1}" },
        { "of one address", true, false, "anna", "bob", 8,
            "{\"type\":\"publish\",\"id\":1,\"channel\":\"c\",\"data\":1}" },
        { "commands of one user", false, true, "anna", "anna", 8,
            "{\"type\":\"unsubscribe\",\"id\":1,\"channel\":\"c\"}" },
        { "commands do not count as publications", false, true, "anna", "anna", 0,
            "{\"type\":\"publish\",\"id\":1,\"channel\":\"c\",\"data\":1}" },
        { "commands of one address", true, true, NULL, "bob", 8,
            "{\"type\":\"presence\",\"id\":1,\"channel\":\"c\"}" },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        house h;
        house_open(&h, 0);
        h.w.sessions.address_of = one_house;
        (rows[i].address ? h.w.limits.addresses
                         : h.w.limits.users)[rows[i].command] = (ln_rate){ 10, 12 };
        peer *a = come(&h, 0, LN_USER_NATIVE, rows[i].first);
        peer *b = come(&h, 1, LN_USER_NATIVE, rows[i].second);
        run(&h.w);
        for (int k = 0; k < 10; k++) {
            say(a, ln_slice_str(rows[i].says));
            run(&h.w);
        }
        for (int k = 0; k < 10; k++) {
            say(b, ln_slice_str(rows[i].says));
            run(&h.w);
        }
        unsigned refused = (unsigned)count_lines(b, "\"retry_after\":100");
        if (refused != rows[i].refused || count_lines(a, "\"code\":111"))
            fail_msg("%s: %u refused", rows[i].reason, refused);
        uint64_t user = ln_stat_get(&h.w.sessions.limited_user);
        uint64_t address = ln_stat_get(&h.w.sessions.limited_address);
        assert_int_equal(rows[i].address ? address : user, refused);
        assert_int_equal(rows[i].address ? user : address, 0);
        tick(&h.w, 1000);
        say(b, ln_slice_str(rows[i].says));
        assert_int_equal(count_lines(b, "\"code\":111"), 0);
        run(&h.w);
        house_close(&h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_too_many),
        cmocka_unit_test(commands_wait),
        cmocka_unit_test(going),
        cmocka_unit_test(the_end),
        cmocka_unit_test(shared_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
