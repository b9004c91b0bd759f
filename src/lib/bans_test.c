/* Orders about who may not be here: all workers obey, whoever gave one is told once. */
#include "base/testing.h"
#include <linnet/hub.h>
#include <linnet/linnet.h>
#include <pthread.h>
#include <stdio.h>

typedef struct said {
    int told, err;
    uint64_t count;
    bool more;
    char first[64];
    uint64_t for_s;
} said;

static void done(void *ctx, linnet_hub *hub, int err, uint64_t count) {
    said *s = ctx;
    assert_non_null(hub);
    s->err = err;
    s->count = count;
    __atomic_add_fetch(&s->told, 1, __ATOMIC_RELEASE);
}

static void listed(
    void *ctx, linnet_hub *hub, int err, const linnet_ban *bans, size_t count, bool more) {
    said *s = ctx;
    (void)hub;
    s->err = err;
    s->count = count;
    s->more = more;
    if (count) {
        snprintf(s->first, sizeof s->first, "%u %.*s", bans[0].kind, (int)bans[0].subject.size,
            (const char *)bans[0].subject.data);
        s->for_s = bans[0].for_s;
    }
    __atomic_add_fetch(&s->told, 1, __ATOMIC_RELEASE);
}

static linnet_ban ban_of(linnet_ban_kind kind, const char *subject, uint64_t for_s) {
    linnet_ban b = LINNET_BAN_INIT;
    b.kind = kind;
    b.subject = linnet_str(subject);
    b.for_s = for_s;
    return b;
}

static void test_what_is_no_order(void **state) {
    (void)state;
    linnet_hub *hub;
    said s = { 0 };
    assert_int_equal(linnet_hub_new(NULL, &hub), LINNET_OK);
    linnet_ban eve = ban_of(LINNET_BAN_USER, "eve", 0), nobody = ban_of(LINNET_BAN_USER, "", 0),
               nowhere = ban_of(LINNET_BAN_ADDRESS, "here", 0),
               nothing = ban_of((linnet_ban_kind)5, "x", 0),
               brief = ban_of(LINNET_REVOKE_SESSION, "abc", 0),
               ages = ban_of(LINNET_BAN_USER, "eve", UINT64_MAX), small = eve;
    small.size = 8;
    const struct {
        const char *why;
        int got, want;
    } early[] = {
        { "no server", linnet_hub_ban(hub, &eve, done, &s), LINNET_ERR_STATE },
        { "no server to ask", linnet_hub_bans(hub, 1, listed, &s), LINNET_ERR_STATE },
        { "no hub", linnet_hub_ban(NULL, &eve, done, &s), LINNET_ERR_INVAL },
        { "no ban", linnet_hub_ban(hub, NULL, done, &s), LINNET_ERR_INVAL },
        { "no struct", linnet_hub_unban(hub, &small, done, &s), LINNET_ERR_INVAL },
        { "no limit", linnet_hub_bans(hub, 0, listed, &s), LINNET_ERR_INVAL },
        { "a large one", linnet_hub_bans(hub, 10001, listed, &s), LINNET_ERR_INVAL },
        { "to nobody", linnet_hub_bans(hub, 1, NULL, &s), LINNET_ERR_INVAL },
    };
    for (size_t i = 0; i < LN_COUNT(early); i++)
        if (early[i].got != early[i].want) fail_msg("%s: %d", early[i].why, early[i].got);
    linnet_server *server;
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    assert_int_equal(linnet_server_new(&so, &server), LINNET_OK);
    assert_int_equal(linnet_server_hub(server, "/ws", hub), LINNET_OK);
    const struct {
        const char *why;
        const linnet_ban *ban;
    } rows[] = {
        { "nobody", &nobody },
        { "no address", &nowhere },
        { "no kind", &nothing },
        { "no session", &brief },
        { "beyond all time", &ages },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++)
        if (linnet_hub_ban(hub, rows[i].ban, done, &s) != LINNET_ERR_INVAL)
            fail_msg("%s", rows[i].why);
    linnet_server_free(server);
    assert_int_equal(s.told, 0);
    linnet_hub_free(hub);
}

typedef struct house {
    linnet_server *server;
    linnet_hub *hub;
} house;

static house open_house(unsigned workers) {
    house h;
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    so.workers = workers;
    assert_int_equal(linnet_server_new(&so, &h.server), LINNET_OK);
    assert_int_equal(linnet_hub_new(NULL, &h.hub), LINNET_OK);
    assert_int_equal(linnet_server_hub(h.server, "/ws", h.hub), LINNET_OK);
    assert_int_equal(linnet_server_listen(h.server, "127.0.0.1:0", NULL, NULL), LINNET_OK);
    return h;
}

static void close_house(house *h) {
    linnet_server_free(h->server);
    linnet_hub_free(h->hub);
}

static void wait_for(const said *s, int told) {
    for (int i = 0; __atomic_load_n(&s->told, __ATOMIC_ACQUIRE) < told; i++) {
        assert_true(i < 5000);
        const struct timespec ms = { 0, 1000000 };
        nanosleep(&ms, NULL);
    }
}

static void test_put_and_lifted(void **state) {
    (void)state;
    house h = open_house(3);
    assert_int_equal(linnet_server_start(h.server), LINNET_OK);
    said s = { 0 }, list = { 0 };
    linnet_ban six = ban_of(LINNET_BAN_ADDRESS, "2001:db8::77", 600);
    assert_int_equal(linnet_hub_ban(h.hub, &six, done, &s), LINNET_OK);
    wait_for(&s, 1);
    assert_int_equal(s.err, LINNET_OK);
    assert_int_equal(s.count, 0);
    assert_int_equal(linnet_hub_bans(h.hub, 5, listed, &list), LINNET_OK);
    wait_for(&list, 1);
    assert_string_equal(list.first, "1 2001:db8::");
    assert_true(list.for_s > 590 && list.for_s <= 600);
    linnet_ban late = ban_of(LINNET_REVOKE_USER, "eve", 0);
    late.before = (uint64_t)time(NULL) + 100;
    assert_int_equal(linnet_hub_ban(h.hub, &late, done, &s), LINNET_OK);
    wait_for(&s, 2);
    assert_int_equal(s.err, LINNET_ERR_INVAL); /* the moment is still to come */
    late.before = 0;
    assert_int_equal(linnet_hub_ban(h.hub, &late, done, &s), LINNET_OK);
    wait_for(&s, 3);
    assert_int_equal(s.err, LINNET_OK);
    assert_int_equal(linnet_hub_bans(h.hub, 1, listed, &list), LINNET_OK);
    wait_for(&list, 2);
    assert_true(list.count == 1 && list.more);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(linnet_hub_unban(h.hub, &six, done, &s), LINNET_OK);
        wait_for(&s, 4 + i);
        assert_int_equal(s.err, LINNET_OK);
        assert_int_equal(s.count, i == 0);
    }
    close_house(&h);
}

/* Given before the server runs, during it, and when it ends: told once, whatever happens. */
static void test_told_once(void **state) {
    (void)state;
    for (int start = 0; start < 2; start++) {
        house h = open_house(3);
        said a = { 0 }, b = { 0 };
        linnet_ban eve = ban_of(LINNET_BAN_USER, "eve", 60);
        if (start) assert_int_equal(linnet_server_start(h.server), LINNET_OK);
        assert_int_equal(linnet_hub_ban(h.hub, &eve, done, &a), LINNET_OK);
        assert_int_equal(linnet_hub_ban(h.hub, &eve, NULL, NULL), LINNET_OK);
        assert_int_equal(linnet_hub_unban(h.hub, &eve, done, &a), LINNET_OK);
        assert_int_equal(linnet_hub_bans(h.hub, 5, listed, &b), LINNET_OK);
        close_house(&h); /* what was written by its threads is seen */
        assert_int_equal(a.told, 2);
        assert_int_equal(b.told, 1);
        assert_true(a.err == LINNET_OK || a.err == LINNET_ERR_CANCELLED);
    }
}

static void test_memory(void **state) {
    (void)state;
    ln_test_memory memory = { 0 };
    ln_test_memory_install(&memory);
    house h = open_house(2);
    said s = { 0 };
    int failed = 0;
    linnet_ban eve = ban_of(LINNET_BAN_USER, "eve", 60);
    for (bool ok = false; !ok; failed += !ok) {
        memory.fail_at = memory.calls + (uint64_t)failed + 1;
        int err = linnet_hub_ban(h.hub, &eve, done, &s);
        ok = err == LINNET_OK;
        if (!ok) assert_int_equal(err, LINNET_ERR_NOMEM);
        assert_true(failed < 20);
    }
    memory.fail_at = 0;
    assert_int_equal(failed, 3); /* the order, and two letters */
    close_house(&h);
    assert_int_equal(s.told, 1);
    assert_int_equal(memory.live, 0);
    ln_test_memory_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_no_order),
        cmocka_unit_test(test_put_and_lifted),
        cmocka_unit_test(test_told_once),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
