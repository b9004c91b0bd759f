#include "base/mem.h"
#include "base/testing.h"
#include "session/bans.h"
#include <stdio.h>

#define NOW 1700000000

static const ln_map_key key = { 1, 2 };
static const ln_ip here = { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1 } };
static const ln_ip there = { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 2 } };
#define SESSION "0123456789abcdef0123456789abcdef"

static int put(ln_bans *b, ln_ban_kind kind, ln_slice subject, uint64_t before, uint64_t until) {
    ln_slice exact = ln_test_exact(subject);
    int err = ln_bans_put(b, kind, exact, before, until, NOW);
    ln_test_drop(exact);
    return err;
}

/* All at once, so that each verdict is by one and in spite of the others. */
static void test_verdicts(void **state) {
    (void)state;
    ln_bans b;
    ln_bans_init(&b, key, 100);
    assert_int_equal(put(&b, LN_BAN_USER, LN_SLICE("eve"), 0, NOW + 60), LINNET_OK);
    assert_int_equal(put(&b, LN_BAN_USER, LN_SLICE("late"), 0, NOW), LINNET_OK);
    assert_int_equal(put(&b, LN_BAN_USER, LN_SLICE("ever"), 0, 0), LINNET_OK);
    assert_int_equal(
        put(&b, LN_BAN_ADDRESS, ln_slice_of(&here, sizeof here), 0, NOW + 60), LINNET_OK);
    assert_int_equal(put(&b, LN_BAN_ISSUED, LN_SLICE("anna"), NOW - 10, NOW + 60), LINNET_OK);
    assert_int_equal(put(&b, LN_BAN_ISSUED, LN_SLICE("eve"), NOW - 10, NOW + 60), LINNET_OK);
    assert_int_equal(put(&b, LN_BAN_TOKEN, LN_SLICE("t1"), 0, 0), LINNET_OK);
    assert_int_equal(put(&b, LN_BAN_SESSION, LN_SLICE(SESSION), 0, 0), LINNET_OK);
#define U(name) .user = LN_SLICE_INIT(name)
    static const struct {
        const char *why;
        ln_ban_who who;
        ln_ban_verdict verdict;
    } rows[] = {
        { "nobody", { .issued = 0 }, LN_BAN_FREE },
        { "somebody else", { U("bob") }, LN_BAN_FREE },
        { "a banned user", { U("eve"), .issued = NOW }, LN_BAN_BANNED },
        { "a ban wins over a revocation", { U("eve") }, LN_BAN_BANNED },
        { "a longer name", { U("eve2") }, LN_BAN_FREE },
        { "another case", { U("Eve") }, LN_BAN_FREE },
        { "a ban that is over", { U("late") }, LN_BAN_FREE },
        { "a ban for good", { U("ever") }, LN_BAN_BANNED },
        { "an address", { .address = &here }, LN_BAN_BANNED },
        { "another one", { .address = &there }, LN_BAN_FREE },
        { "a user who is called like an address's kind", { U("\1") }, LN_BAN_FREE },
        { "issued before", { U("anna"), .issued = NOW - 11 }, LN_BAN_REVOKED },
        { "issued in that second", { U("anna"), .issued = NOW - 10 }, LN_BAN_FREE },
        { "nobody knows when", { U("anna") }, LN_BAN_REVOKED },
        { "a token", { U("bob"), .jti = LN_SLICE_INIT("t1") }, LN_BAN_REVOKED },
        { "another token", { U("bob"), .jti = LN_SLICE_INIT("t2") }, LN_BAN_FREE },
        { "a user called like the token", { U("t1") }, LN_BAN_FREE },
        { "a session", { .session = LN_SLICE_INIT(SESSION) }, LN_BAN_REVOKED },
        { "a banned address with a good token", { U("bob"), .address = &here }, LN_BAN_BANNED },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++)
        if (ln_bans_judge(&b, &rows[i].who, NOW) != rows[i].verdict) fail_msg("%s", rows[i].why);
    assert_int_equal(ln_bans_judge(NULL, &rows[2].who, NOW), LN_BAN_FREE);
    assert_int_equal(ln_bans_judge(&b, &rows[2].who, NOW + 60), LN_BAN_FREE);
    ln_bans_fini(&b);
}

static void test_fits(void **state) {
    (void)state;
    char longest[257];
    memset(longest, 'x', sizeof longest);
    const struct {
        const char *why;
        ln_ban_kind kind;
        ln_slice subject;
        bool fits;
    } rows[] = {
        { "a user", LN_BAN_USER, LN_SLICE("Zo\xc3\xab M."), true },
        { "no user", LN_BAN_USER, LN_SLICE(""), false },
        { "the longest", LN_BAN_ISSUED, ln_slice_of(longest, 255), true },
        { "longer", LN_BAN_ISSUED, ln_slice_of(longest, 256), false },
        { "a line end", LN_BAN_TOKEN, LN_SLICE("a\nb"), false },
        { "a tab", LN_BAN_TOKEN, LN_SLICE("a\tb"), false },
        { "an address", LN_BAN_ADDRESS, ln_slice_of(longest, 16), true },
        { "text of one", LN_BAN_ADDRESS, LN_SLICE("192.0.2.1"), false },
        { "a session", LN_BAN_SESSION, LN_SLICE(SESSION), true },
        { "a digit less", LN_BAN_SESSION, LN_SLICE("0123456789abcdef0123456789abcde"), false },
        { "no digits", LN_BAN_SESSION, LN_SLICE("0123456789ABCDEF0123456789ABCDEF"), false },
        { "no kind", LN_BAN_KINDS, LN_SLICE("x"), false },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_slice exact = ln_test_exact(rows[i].subject);
        if (ln_ban_fits(rows[i].kind, exact) != rows[i].fits) fail_msg("%s", rows[i].why);
        ln_test_drop(exact);
    }
}

/* What is put in twice has the later moment and the last end; what is lifted is gone. */
static void test_again_and_lifted(void **state) {
    (void)state;
    ln_bans b;
    ln_bans_init(&b, key, 100);
    ln_slice anna = LN_SLICE("anna");
    ln_ban_who who = { .user = anna, .issued = NOW - 15 };
    assert_int_equal(put(&b, LN_BAN_ISSUED, anna, NOW - 10, NOW + 60), LINNET_OK);
    assert_int_equal(put(&b, LN_BAN_ISSUED, anna, NOW - 20, NOW + 90), LINNET_OK);
    assert_int_equal(ln_bans_judge(&b, &who, NOW + 80), LN_BAN_REVOKED);
    assert_int_equal(b.map.count, 1);
    /* one that was over begins anew */
    assert_int_equal(ln_bans_put(&b, LN_BAN_ISSUED, anna, NOW - 20, 0, NOW + 90), LINNET_OK);
    assert_int_equal(ln_bans_judge(&b, &who, NOW + 91), LN_BAN_FREE);
    assert_true(ln_bans_lift(&b, LN_BAN_ISSUED, anna, NOW));
    assert_false(ln_bans_lift(&b, LN_BAN_ISSUED, anna, NOW));
    assert_int_equal(put(&b, LN_BAN_USER, anna, 0, NOW + 1), LINNET_OK);
    assert_false(ln_bans_lift(&b, LN_BAN_USER, anna, NOW + 1)); /* it was over anyway */
    assert_int_equal(b.map.count, 0);
    ln_bans_fini(&b);
}

/* At the bound what is over makes room, and what is not is never forgotten. */
static void test_bound(void **state) {
    (void)state;
    ln_bans b;
    char name[8];
    uint32_t at = 0, seen = 0;
    ln_bans_init(&b, key, 600);
    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof name, "u%d", i);
        assert_int_equal(
            put(&b, LN_BAN_USER, ln_slice_str(name), 0, NOW + (i % 2 ? 60 : 1)), LINNET_OK);
    }
    assert_int_equal(put(&b, LN_BAN_USER, LN_SLICE("more"), 0, 0), LINNET_ERR_LIMIT);
    while (ln_bans_next(&b, NOW + 1, &at))
        seen++;
    assert_int_equal(seen, 300);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "v%d", i);
        assert_int_equal(
            ln_bans_put(&b, LN_BAN_USER, ln_slice_str(name), 0, 0, NOW + 1), LINNET_OK);
    }
    assert_int_equal(
        ln_bans_put(&b, LN_BAN_USER, LN_SLICE("more"), 0, 0, NOW + 1), LINNET_ERR_LIMIT);
    const ln_ban_who kept = { U("u599") };
    assert_int_equal(ln_bans_judge(&b, &kept, NOW + 1), LN_BAN_BANNED);
    ln_bans_fini(&b);
}

static void test_memory(void **state) {
    (void)state;
    ln_test_memory memory = { 0 };
    ln_test_memory_install(&memory);
    ln_bans b;
    ln_bans_init(&b, key, 10);
    for (uint64_t n = 1; n <= 2; n++) {
        memory.fail_at = memory.calls + n;
        assert_int_equal(put(&b, LN_BAN_USER, LN_SLICE("a"), 0, 0), LINNET_ERR_NOMEM);
        assert_int_equal(b.map.count, 0);
    }
    memory.fail_at = 0;
    assert_int_equal(put(&b, LN_BAN_USER, LN_SLICE("a"), 0, 0), LINNET_OK);
    ln_bans_fini(&b);
    assert_int_equal(memory.live, 0);
    ln_test_memory_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_fits),
        cmocka_unit_test(test_again_and_lifted),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
