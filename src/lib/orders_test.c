/* Orders about sessions: they reach all workers, and whoever gave one is told once. */
#include "base/testing.h"
#include <linnet/hub.h>
#include <linnet/linnet.h>
#include <linnet/watch.h>
#include <stdio.h>

typedef struct said {
    int told, err;
    uint64_t count;
    bool more;
} said;

static void done(void *ctx, linnet_hub *hub, int err, uint64_t count) {
    said *s = ctx;
    assert_non_null(hub);
    s->told++;
    s->err = err;
    s->count = count;
}

static void enlisted(void *ctx, linnet_hub *hub, int err, uint64_t sessions, uint64_t full) {
    said *s = ctx;
    assert_int_equal(full, 0);
    done(s, hub, err, sessions);
}

static void listed(
    void *ctx, linnet_hub *hub, int err, const linnet_session *sessions, size_t count, bool more) {
    said *s = ctx;
    (void)hub;
    for (size_t i = 0; i < count; i++)
        assert_true(sessions[i].client.size > 0 && sessions[i].id != 0);
    s->told++;
    s->err = err;
    s->count = count;
    s->more = more;
}

static void looked_back(
    void *ctx, linnet_hub *hub, int err, const linnet_end *ends, size_t count, bool more) {
    said *s = ctx;
    (void)hub;
    assert_true(count == 0 || ends[0].size == sizeof(linnet_end));
    s->told++;
    s->err = err;
    s->count = count;
    s->more = more;
}

static linnet_whom client(const char *name) {
    linnet_whom w = LINNET_WHOM_INIT;
    w.client = linnet_str(name);
    return w;
}

static void test_what_is_no_order(void **state) {
    (void)state;
    linnet_hub *hub;
    said s = { 0 };
    char longest[300];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_int_equal(linnet_hub_new(NULL, &hub), LINNET_OK);
    linnet_whom ann = client("ann"), nobody = client(""), wrong = client("a"),
                lengthy = client(longest);
    wrong.size = 3;
    linnet_slice own = linnet_str("@ann"), hers = linnet_str("@bob"), dollar = linnet_str("$x");
    char text[2050];
    memset(text, '1', sizeof text);
    text[0] = text[sizeof text - 1] = '"';
    linnet_refresh nothing = LINNET_REFRESH_INIT, later = nothing, words = nothing, large = nothing;
    later.expires = 1;
    words.info = linnet_str("{]");
    large.info = (linnet_slice){ (const uint8_t *)text, sizeof text };
    linnet_whom user = LINNET_WHOM_INIT;
    user.user = linnet_str("ann");
    linnet_slice room = linnet_str("room"), none = linnet_str(""), much = linnet_str(longest);
    const struct {
        const char *why;
        int got, want;
    } rows[] = {
        { "no server", linnet_hub_disconnect(hub, &ann, 0, NULL, done, &s), LINNET_ERR_STATE },
        { "nobody", linnet_hub_disconnect(hub, &nobody, 0, NULL, done, &s), LINNET_ERR_INVAL },
        { "no struct", linnet_hub_disconnect(hub, &wrong, 0, NULL, done, &s), LINNET_ERR_INVAL },
        { "no whom", linnet_hub_disconnect(hub, NULL, 0, NULL, done, &s), LINNET_ERR_INVAL },
        { "no hub", linnet_hub_disconnect(NULL, &ann, 0, NULL, done, &s), LINNET_ERR_INVAL },
        { "long", linnet_hub_disconnect(hub, &lengthy, 0, NULL, done, &s), LINNET_ERR_INVAL },
        { "1000", linnet_hub_disconnect(hub, &ann, 1000, NULL, done, &s), LINNET_ERR_INVAL },
        { "5000", linnet_hub_disconnect(hub, &ann, 5000, NULL, done, &s), LINNET_ERR_INVAL },
        { "words", linnet_hub_disconnect(hub, &ann, 0, longest, done, &s), LINNET_ERR_INVAL },
        { "no UTF-8", linnet_hub_disconnect(hub, &ann, 0, "\xff", done, &s), LINNET_ERR_INVAL },
        { "no channel", linnet_hub_expel(hub, &ann, none, done, &s), LINNET_ERR_INVAL },
        { "a long one", linnet_hub_expel(hub, &ann, much, done, &s), LINNET_ERR_INVAL },
        { "whose room", linnet_hub_expel(hub, &nobody, room, done, &s), LINNET_ERR_INVAL },
        { "into no channel", linnet_hub_enlist(hub, &ann, none, enlisted, &s), LINNET_ERR_INVAL },
        { "into a long one", linnet_hub_enlist(hub, &ann, much, enlisted, &s), LINNET_ERR_INVAL },
        { "into a reserved one", linnet_hub_enlist(hub, &ann, dollar, enlisted, &s),
            LINNET_ERR_DENIED },
        { "nobody into one", linnet_hub_enlist(hub, &nobody, room, enlisted, &s),
            LINNET_ERR_INVAL },
        { "into another's", linnet_hub_enlist(hub, &user, hers, enlisted, &s), LINNET_ERR_DENIED },
        { "into a user's, by client", linnet_hub_enlist(hub, &ann, own, enlisted, &s),
            LINNET_ERR_DENIED },
        { "into one's own", linnet_hub_enlist(hub, &user, own, enlisted, &s), LINNET_ERR_STATE },
        { "nothing new", linnet_hub_refresh(hub, &ann, &nothing, done, &s), LINNET_ERR_INVAL },
        { "no news", linnet_hub_refresh(hub, &ann, NULL, done, &s), LINNET_ERR_INVAL },
        { "news of nobody", linnet_hub_refresh(hub, &nobody, &later, done, &s), LINNET_ERR_INVAL },
        { "no JSON", linnet_hub_refresh(hub, &ann, &words, done, &s), LINNET_ERR_JSON },
        { "much", linnet_hub_refresh(hub, &ann, &large, done, &s), LINNET_ERR_TOO_BIG },
        { "news, no server", linnet_hub_refresh(hub, &ann, &later, done, &s), LINNET_ERR_STATE },
        { "no limit", linnet_hub_sessions(hub, &ann, 0, listed, &s), LINNET_ERR_INVAL },
        { "a large one", linnet_hub_sessions(hub, &ann, 10001, listed, &s), LINNET_ERR_INVAL },
        { "no limit back", linnet_hub_why(hub, &ann, 0, looked_back, &s), LINNET_ERR_INVAL },
        { "too far", linnet_hub_why(hub, &ann, 10001, looked_back, &s), LINNET_ERR_INVAL },
        { "back, to nobody", linnet_hub_why(hub, &ann, 1, NULL, &s), LINNET_ERR_INVAL },
        { "back, no server", linnet_hub_why(hub, &ann, 1, looked_back, &s), LINNET_ERR_STATE },
        { "to nobody", linnet_hub_sessions(hub, &ann, 1, NULL, &s), LINNET_ERR_INVAL },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++)
        if (rows[i].got != rows[i].want) fail_msg("%s: %d", rows[i].why, rows[i].got);
    assert_int_equal(s.told, 0);
    linnet_hub_free(hub);
}

/* Given before the server runs, during it, and when it ends: told once, whatever happens. */
static void test_told_once(void **state) {
    (void)state;
    for (int start = 0; start < 2; start++) {
        linnet_server *server;
        linnet_hub *hub;
        linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
        so.workers = 3;
        said a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 }, e = { 0 }, f = { 0 };
        linnet_refresh news = LINNET_REFRESH_INIT;
        linnet_whom ann = client("ann"), all = LINNET_WHOM_INIT;
        assert_int_equal(linnet_server_new(&so, &server), LINNET_OK);
        assert_int_equal(linnet_hub_new(NULL, &hub), LINNET_OK);
        assert_int_equal(linnet_server_hub(server, "/ws", hub), LINNET_OK);
        assert_int_equal(linnet_server_listen(server, "127.0.0.1:0", NULL, NULL), LINNET_OK);
        if (start) assert_int_equal(linnet_server_start(server), LINNET_OK);
        assert_int_equal(linnet_hub_disconnect(hub, &ann, 0, NULL, done, &a), LINNET_OK);
        assert_int_equal(linnet_hub_disconnect(hub, &ann, 0, NULL, NULL, NULL), LINNET_OK);
        assert_int_equal(linnet_hub_expel(hub, &ann, linnet_str("r"), done, &b), LINNET_OK);
        assert_int_equal(linnet_hub_enlist(hub, &ann, linnet_str("r"), enlisted, &e), LINNET_OK);
        assert_int_equal(linnet_hub_enlist(hub, &ann, linnet_str("r"), NULL, NULL), LINNET_OK);
        news.expires = 1;
        assert_int_equal(linnet_hub_refresh(hub, &ann, &news, done, &f), LINNET_ERR_INVAL);
        news.expires = UINT64_MAX;
        assert_int_equal(linnet_hub_refresh(hub, &ann, &news, done, &f), LINNET_OK);
        assert_int_equal(linnet_hub_sessions(hub, &all, 5, listed, &c), LINNET_OK);
        assert_int_equal(linnet_hub_why(hub, &all, 5, looked_back, &d), LINNET_OK);
        linnet_server_free(server); /* what was written by its threads is seen */
        assert_int_equal(a.told + b.told + c.told + d.told + e.told + f.told, 6);
        assert_true(a.err == LINNET_OK || a.err == LINNET_ERR_CANCELLED);
        assert_int_equal(a.count + b.count + c.count + d.count + e.count, 0);
        assert_false(c.more);
        linnet_hub_free(hub);
    }
}

/* ---- with clients ----------------------------------------------------------------------- */

#define CLIENTS 6

typedef struct town {
    linnet_loop *loop; /* of the clients */
    linnet_server *server;
    linnet_hub *hub;
    linnet_conn *conns[CLIENTS];
    unsigned welcomed, put, heard, out;
    _Atomic int told, err;
    _Atomic uint64_t count;
} town;

static bool says(linnet_slice data, const char *text) {
    size_t size = strlen(text);
    return data.size >= size && memcmp(data.data, text, size) == 0;
}

static void client_heard(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    town *t = linnet_conn_user(conn);
    (void)opcode;
    t->welcomed += says(data, "{\"type\":\"welcome\"");
    t->put += says(data, "{\"type\":\"subscribed\",\"channel\":\"room\"");
    t->heard += says(data, "{\"type\":\"message\",\"channel\":\"room\"");
    t->out += says(data, "{\"type\":\"unsubscribed\",\"channel\":\"room\"");
}

static void town_done(void *ctx, linnet_hub *hub, int err, uint64_t count) {
    town *t = ctx;
    (void)hub;
    t->err = err;
    t->count = count;
    t->told++;
}

static void town_enlisted(void *ctx, linnet_hub *hub, int err, uint64_t sessions, uint64_t full) {
    assert_int_equal(full, 0);
    town_done(ctx, hub, err, sessions);
}

/* Turns the clients until so many have happened. */
static void until(town *t, const unsigned *what, unsigned count) {
    for (int i = 0; i < 1000 && *what < count; i++)
        assert_int_equal(linnet_loop_turn(t->loop, 20), LINNET_OK);
    assert_int_equal(*what, count);
}

static void until_told(town *t, int told) {
    for (int i = 0; i < 1000 && t->told < told; i++)
        assert_int_equal(linnet_loop_turn(t->loop, 20), LINNET_OK);
    assert_int_equal(t->told, told);
    assert_int_equal(t->err, LINNET_OK);
}

static void town_open(town *t, unsigned workers) {
    char bound[128], url[160];
    static const char *const offered[] = { "linnet.v1", NULL };
    *t = (town){ .told = 0 };
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    so.workers = workers;
    assert_int_equal(linnet_loop_new(NULL, &t->loop), LINNET_OK);
    assert_int_equal(linnet_server_new(&so, &t->server), LINNET_OK);
    assert_int_equal(linnet_hub_new(NULL, &t->hub), LINNET_OK);
    assert_int_equal(linnet_server_hub(t->server, "/ws/*", t->hub), LINNET_OK);
    assert_int_equal(linnet_server_listen(t->server, "127.0.0.1:0", NULL, bound), LINNET_OK);
    assert_int_equal(linnet_server_start(t->server), LINNET_OK);
    for (unsigned i = 0; i < CLIENTS; i++) {
        linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
        snprintf(url, sizeof url, "ws://%s/ws/c%u", bound, i);
        o.url = url;
        o.subprotocols = offered;
        o.events.on_message = client_heard;
        o.user = t;
        assert_int_equal(linnet_client_dial(t->loop, &o, NULL), LINNET_OK);
    }
    until(t, &t->welcomed, CLIENTS);
}

static void town_close(town *t) {
    linnet_server_free(t->server);
    linnet_hub_free(t->hub);
    linnet_loop_free(t->loop);
}

/* Who was told that they are in hears what is published from then on, wherever they are. */
static void test_put_into_a_channel(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 4; workers += 3) {
        town t;
        char name[8];
        linnet_publication p = LINNET_PUBLICATION_INIT;
        p.channel = linnet_str("room");
        p.data = linnet_str("1");
        town_open(&t, workers);
        for (int i = 0; i < CLIENTS; i++) {
            snprintf(name, sizeof name, "c%d", i);
            linnet_whom whom = client(name);
            assert_int_equal(
                linnet_hub_enlist(t.hub, &whom, p.channel, town_enlisted, &t), LINNET_OK);
            until_told(&t, i + 1);
            assert_int_equal(t.count, 1);
        }
        assert_int_equal(linnet_hub_publish(t.hub, &p), LINNET_OK);
        until(&t, &t.heard, CLIENTS);
        assert_int_equal(t.put, CLIENTS);
        linnet_whom first = client("c0"), nobody = client("c7");
        assert_int_equal(linnet_hub_expel(t.hub, &first, p.channel, town_done, &t), LINNET_OK);
        until_told(&t, CLIENTS + 1);
        assert_int_equal(t.count, 1);
        until(&t, &t.out, 1);
        assert_int_equal(
            linnet_hub_enlist(t.hub, &nobody, p.channel, town_enlisted, &t), LINNET_OK);
        until_told(&t, CLIENTS + 2);
        assert_int_equal(t.count, 0);
        town_close(&t);
    }
}

/* ---- tickets of who is told to stay away ------------------------------------------------- */

static void counted(
    void *ctx, linnet_hub *hub, int err, const linnet_ban *bans, size_t count, bool more) {
    town *t = ctx;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(bans[i].kind, LINNET_REVOKE_SESSION);
        assert_in_range(bans[i].for_s, 440, 451);
    }
    assert_false(more);
    town_done(t, hub, err, count);
}

/* The revocation is there when the order is answered, and one that no ticket needs is not made. */
static void test_tickets_are_revoked(void **state) {
    (void)state;
    static const struct {
        uint16_t code;
        unsigned revoked; /* after this one */
    } rows[] = { { 3000, 0 }, { 3499, 0 }, { 0, 1 }, { 3500, 2 }, { 3999, 3 }, { 4000, 3 } };
    town t;
    char name[8];
    town_open(&t, 4);
    for (unsigned i = 0; i < LN_COUNT(rows); i++) {
        snprintf(name, sizeof name, "c%u", i);
        linnet_whom whom = client(name);
        assert_int_equal(
            linnet_hub_disconnect(t.hub, &whom, rows[i].code, NULL, town_done, &t), LINNET_OK);
        until_told(&t, 2 * (int)i + 1);
        assert_int_equal(t.count, 1);
        assert_int_equal(linnet_hub_bans(t.hub, 10, counted, &t), LINNET_OK);
        until_told(&t, 2 * (int)i + 2);
        assert_int_equal(t.count, rows[i].revoked);
    }
    town_close(&t);
}

static void test_memory(void **state) {
    (void)state;
    linnet_server *server;
    linnet_hub *hub;
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    so.workers = 2;
    ln_test_memory memory = { 0 };
    ln_test_memory_install(&memory);
    assert_int_equal(linnet_server_new(&so, &server), LINNET_OK);
    assert_int_equal(linnet_hub_new(NULL, &hub), LINNET_OK);
    assert_int_equal(linnet_server_hub(server, "/ws", hub), LINNET_OK);
    linnet_whom ann = client("ann");
    int failed = 0;
    said s = { 0 };
    for (bool ok = false; !ok; failed += !ok) {
        memory.fail_at = memory.calls + (uint64_t)failed + 1;
        int err = linnet_hub_disconnect(hub, &ann, 0, "words", done, &s);
        ok = err == LINNET_OK;
        if (!ok) assert_int_equal(err, LINNET_ERR_NOMEM);
        assert_true(failed < 20);
    }
    memory.fail_at = 0;
    assert_int_equal(failed, 4); /* the order, what was found, and two letters */
    linnet_server_free(server);
    assert_int_equal(s.told, 1);
    assert_int_equal(s.err, LINNET_ERR_CANCELLED);
    linnet_hub_free(hub);
    assert_int_equal(memory.live, 0);
    ln_test_memory_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_no_order),
        cmocka_unit_test(test_told_once),
        cmocka_unit_test(test_put_into_a_channel),
        cmocka_unit_test(test_tickets_are_revoked),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
