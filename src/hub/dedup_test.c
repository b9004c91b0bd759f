/* Keys of publications, and how long they are remembered. */
#include "base/mem.h"
#include "base/testing.h"
#include "hub/dedup.h"
#include <stdio.h>

static const ln_map_key secret = { 1, 2 };
#define AT(n) ((ln_position){ 7, n })

/* "channel principal key" */
static ln_slice packed(const char *principal, const char *key, uint8_t room[LN_KEY_PACKED_MAX]) {
    size_t size = ln_key_put(ln_slice_str(principal), ln_slice_str(key), room);
    return ln_slice_of(room, size);
}

static int begin(ln_dedup *d, ln_msec now, const char *channel, const char *who, const char *key,
    uint64_t *offset) {
    uint8_t room[LN_KEY_PACKED_MAX];
    ln_position at = { 0, 0 };
    ln_slice exact = ln_test_exact(packed(who, key, room));
    int found = ln_dedup_begin(d, now, ln_slice_str(channel), exact, &at);
    ln_test_drop(exact);
    *offset = at.offset;
    return found;
}

static void test_packing(void **state) {
    (void)state;
    uint8_t room[LN_KEY_PACKED_MAX];
    char longest[LN_KEY_MAX + 2] = { 0 };
    memset(longest, 'k', LN_KEY_MAX);
    assert_int_equal(packed("", "k", room).size, 2);
    assert_int_equal(packed("me", "k", room).size, 4);
    assert_int_equal(packed(longest, longest, room).size, LN_KEY_PACKED_MAX);
    assert_int_equal(packed("me", "", room).size, 0); /* no key */
    longest[LN_KEY_MAX] = 'k';
    assert_int_equal(packed("me", longest, room).size, 0);
    assert_int_equal(packed(longest, "k", room).size, 0);
}

static void test_scopes(void **state) {
    (void)state;
    static const struct {
        const char *why, *channel, *who, *key;
        int found;
    } rows[] = {
        { "the same", "c", "me", "k", LN_DEDUP_SEEN },
        { "another key", "c", "me", "kk", LN_DEDUP_NEW },
        { "another principal", "c", "you", "k", LN_DEDUP_NEW },
        { "nobody in particular", "c", "", "k", LN_DEDUP_NEW },
        { "another channel", "d", "me", "k", LN_DEDUP_NEW },
        { "the same letters, put together otherwise", "c", "m", "ek", LN_DEDUP_NEW },
        { "and otherwise again", "cm", "e", "k", LN_DEDUP_NEW },
        { "the same, still", "c", "me", "k", LN_DEDUP_SEEN },
    };
    uint64_t offset;
    uint8_t room[LN_KEY_PACKED_MAX];
    ln_dedup d;
    ln_dedup_init(&d, secret, 1 << 20);
    assert_int_equal(begin(&d, 0, "c", "me", "k", &offset), LN_DEDUP_NEW);
    assert_int_equal(begin(&d, 0, "c", "me", "k", &offset), LN_DEDUP_BUSY);
    ln_dedup_end(&d, LN_SLICE("c"), packed("me", "k", room), AT(5));
    ln_dedup_drop(&d, LN_SLICE("c"), packed("me", "k", room)); /* too late for that */
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        int found = begin(&d, 0, rows[i].channel, rows[i].who, rows[i].key, &offset);
        assert_int_equal(found, rows[i].found);
        assert_int_equal(offset, found == LN_DEDUP_SEEN ? 5 : 0);
    }
    ln_dedup_drop(&d, LN_SLICE("d"), packed("me", "k", room)); /* it failed */
    assert_int_equal(begin(&d, 0, "d", "me", "k", &offset), LN_DEDUP_NEW);
    ln_dedup_end(&d, LN_SLICE("none"), packed("me", "k", room), AT(1)); /* never begun */
    ln_dedup_drop(&d, LN_SLICE("none"), packed("me", "k", room));
    ln_dedup_fini(&d);
}

static void test_time(void **state) {
    (void)state;
    uint64_t offset;
    uint8_t room[LN_KEY_PACKED_MAX];
    ln_dedup d;
    ln_dedup_init(&d, secret, 1 << 20);
    assert_int_equal(ln_dedup_deadline(&d), LN_NEVER);
    begin(&d, 1000, "c", "me", "k", &offset);
    ln_dedup_end(&d, LN_SLICE("c"), packed("me", "k", room), AT(5));
    assert_int_equal(ln_dedup_deadline(&d), 1000 + LN_DEDUP_MS);
    assert_int_equal(begin(&d, 999 + LN_DEDUP_MS, "c", "me", "k", &offset), LN_DEDUP_SEEN);
    assert_int_equal(begin(&d, 1000 + LN_DEDUP_MS, "c", "me", "k", &offset), LN_DEDUP_NEW);
    ln_dedup_tick(&d, 1000 + 2 * (ln_msec)LN_DEDUP_MS);
    assert_int_equal(ln_stat_get(&d.count), 0);
    assert_int_equal(d.bytes, 0);
    ln_dedup_end(&d, LN_SLICE("c"), packed("me", "k", room), AT(6)); /* forgotten meanwhile */
    assert_int_equal(ln_stat_get(&d.count), 0);
    ln_dedup_fini(&d);
}

static void test_bounds(void **state) {
    (void)state;
    uint64_t offset;
    char key[16];
    ln_dedup d;
    ln_dedup_init(&d, secret, 64 << 20);
    assert_int_equal(begin(&d, 0, "c", "you", "k", &offset), LN_DEDUP_NEW);
    for (int i = 0; i <= LN_DEDUP_KEYS; i++) {
        snprintf(key, sizeof key, "%d", i);
        assert_int_equal(begin(&d, 0, "c", "me", key, &offset), LN_DEDUP_NEW);
    }
    assert_int_equal(ln_stat_get(&d.count), LN_DEDUP_KEYS + 1);
    assert_int_equal(ln_stat_get(&d.forgotten), 1);
    assert_int_equal(begin(&d, 0, "c", "me", "1", &offset), LN_DEDUP_BUSY);
    assert_int_equal(begin(&d, 0, "c", "me", "0", &offset), LN_DEDUP_NEW);   /* was the oldest */
    assert_int_equal(begin(&d, 0, "c", "you", "k", &offset), LN_DEDUP_BUSY); /* pays for nobody */
    ln_dedup_fini(&d);

    ln_dedup_init(&d, secret, 20000);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "%d", i);
        assert_int_equal(begin(&d, 0, "c", key, "k", &offset), LN_DEDUP_NEW);
        assert_true(d.bytes <= 20000);
    }
    assert_in_range(ln_stat_get(&d.count), 50, 500);
    ln_dedup_fini(&d);

    ln_dedup_init(&d, secret, 1); /* the newest stays */
    assert_int_equal(begin(&d, 0, "c", "me", "a", &offset), LN_DEDUP_NEW);
    assert_int_equal(begin(&d, 0, "c", "me", "b", &offset), LN_DEDUP_NEW);
    assert_int_equal(begin(&d, 0, "c", "me", "b", &offset), LN_DEDUP_BUSY);
    assert_int_equal(ln_stat_get(&d.count), 1);
    ln_dedup_fini(&d);
}

static void test_memory(void **state) {
    (void)state;
    bool done = false;
    for (uint64_t fail = 1; !done; fail++) {
        ln_test_memory memory = { 0 };
        ln_test_memory_install(&memory);
        uint64_t offset;
        ln_dedup d;
        ln_dedup_init(&d, secret, 1 << 20);
        memory.fail_at = memory.calls + fail;
        int found = begin(&d, 0, "c", "me", "a", &offset);
        done = memory.calls < memory.fail_at;
        assert_int_equal(found, done ? LN_DEDUP_NEW : LINNET_ERR_NOMEM);
        assert_int_equal(ln_stat_get(&d.count), done);
        ln_dedup_fini(&d);
        assert_int_equal(memory.live, 0);
        ln_test_memory_remove();
        assert_true(fail < 20);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packing),
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
