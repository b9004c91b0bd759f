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
        said a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
        linnet_whom ann = client("ann"), all = LINNET_WHOM_INIT;
        assert_int_equal(linnet_server_new(&so, &server), LINNET_OK);
        assert_int_equal(linnet_hub_new(NULL, &hub), LINNET_OK);
        assert_int_equal(linnet_server_hub(server, "/ws", hub), LINNET_OK);
        assert_int_equal(linnet_server_listen(server, "127.0.0.1:0", NULL, NULL), LINNET_OK);
        if (start) assert_int_equal(linnet_server_start(server), LINNET_OK);
        assert_int_equal(linnet_hub_disconnect(hub, &ann, 0, NULL, done, &a), LINNET_OK);
        assert_int_equal(linnet_hub_disconnect(hub, &ann, 0, NULL, NULL, NULL), LINNET_OK);
        assert_int_equal(linnet_hub_expel(hub, &ann, linnet_str("r"), done, &b), LINNET_OK);
        assert_int_equal(linnet_hub_sessions(hub, &all, 5, listed, &c), LINNET_OK);
        assert_int_equal(linnet_hub_why(hub, &all, 5, looked_back, &d), LINNET_OK);
        linnet_server_free(server); /* what was written by its threads is seen */
        assert_int_equal(a.told + b.told + c.told + d.told, 4);
        assert_true(a.err == LINNET_OK || a.err == LINNET_ERR_CANCELLED);
        assert_int_equal(a.count + b.count + c.count + d.count, 0);
        assert_false(c.more);
        linnet_hub_free(hub);
    }
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
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
