#include "base/mem.h"
#include "base/testing.h"
#include "hub/mail.h"
#include "hub/message.h"

static const ln_publish full = {
    .channel = LN_SLICE_INIT("news"),
    .event = LN_SLICE_INIT("moved"),
    .data = LN_SLICE_INIT("{\"x\":1}"),
    .from = LN_SLICE_INIT("anna"),
    .re = LN_SLICE_INIT("\"r7\""),
    .except = LN_SLICE_INIT("\3bob\4carl"),
    .without = 7,
    .who = 9,
    .user = 2,
    .space = LN_SPACE_TOPICS,
    .flags = LN_PUB_BINARY,
};

static void assert_slice(ln_slice got, const char *want) {
    assert_true(ln_slice_eq(got, ln_slice_str(want)));
}

static void test_parts(void **state) {
    (void)state;
    for (uint32_t workers = 1; workers <= LN_WORKERS_MAX; workers += 127) {
        ln_publication *p = ln_publication_new(&full, workers);
        assert_non_null(p);
        assert_slice(ln_publication_channel(p), "news");
        assert_slice(ln_publication_event(p), "moved");
        assert_slice(ln_publication_from(p), "anna");
        assert_slice(ln_publication_re(p), "\"r7\"");
        assert_slice(ln_publication_except(p), "\3bob\4carl");
        assert_slice(ln_publication_data(p), "{\"x\":1}");
        assert_int_equal(p->who, 9);
        assert_int_equal(p->user, 2);
        assert_int_equal(p->space, LN_SPACE_TOPICS);
        assert_int_equal(p->flags, LN_PUB_BINARY);
        assert_int_equal(p->err, LINNET_OK);
        for (uint32_t i = 0; i < workers; i++) {
            assert_int_equal(p->letters[i].to, i);
            assert_int_equal(p->letters[i].room, LN_LETTER_HUB);
            assert_int_equal(p->letters[i].bytes, ln_publication_held(p));
            assert_ptr_equal(ln_publication_of(&p->letters[i]), p);
        }
        ln_publication_unref(p);
    }
}

static void test_empty_parts(void **state) {
    (void)state;
    ln_publish what = { .channel = LN_SLICE("c") };
    ln_publication *p = ln_publication_new(&what, 1);
    assert_non_null(p);
    assert_int_equal(ln_publication_data(p).size, 0);
    assert_int_equal(ln_publication_except(p).size, 0);
    assert_false(ln_publication_picky(p));
    assert_false(ln_publication_skips(p, 0, LN_SLICE("c")));
    ln_publication_unref(p);
}

static void test_skips(void **state) {
    (void)state;
    static const struct {
        const char *why;
        uint64_t handle;
        const char *client;
        bool skips;
    } rows[] = {
        { "the publisher's own handle", 7, "x", true },
        { "a name in the list", 1, "bob", true },
        { "the last name in the list", 1, "carl", true },
        { "the beginning of a name", 1, "bo", false },
        { "a name and its neighbour's length", 1, "bob\4", false },
        { "nobody in particular", 1, "anna", false },
        { "no name", 1, "", false },
    };
    ln_publication *p = ln_publication_new(&full, 1);
    assert_true(ln_publication_picky(p));
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        bool skips = ln_publication_skips(p, rows[i].handle, ln_slice_str(rows[i].client));
        assert_int_equal(skips, rows[i].skips);
    }
    ln_publication_unref(p);
}

static void test_except_add(void **state) {
    (void)state;
    uint8_t list[10];
    assert_int_equal(ln_except_add(list, 0, sizeof list, LN_SLICE("")), 0);
    assert_int_equal(ln_except_add(list, 0, sizeof list, LN_SLICE("bob")), 4);
    assert_int_equal(ln_except_add(list, 4, sizeof list, LN_SLICE("carla!")), 4);
    assert_int_equal(ln_except_add(list, 4, sizeof list, LN_SLICE("carla")), 10);
    assert_memory_equal(list, "\3bob\5carla", 10);
    assert_int_equal(ln_except_add(list, 10, sizeof list, LN_SLICE("x")), 10);
}

static void test_memory(void **state) {
    (void)state;
    ln_test_memory memory = { .fail_at = 1 };
    ln_test_memory_install(&memory);
    assert_null(ln_publication_new(&full, 4));
    memory = (ln_test_memory){ .fail_at = 1 };
    assert_null(ln_interest_new(LN_SPACE_CHANNELS, LN_SLICE("a")));

    memory = (ln_test_memory){ 0 };
    ln_publication *p = ln_publication_new(&full, 4);
    ln_publication_ref(p, 2);
    p->letters[1].kind = LN_MAIL_PUBLISH;
    p->letters[2].kind = LN_MAIL_DELIVER;
    p->letters[3].kind = LN_MAIL_DELIVER_ANSWER;
    for (int i = 1; i < 4; i++) {
        assert_int_equal(memory.live, 1);
        ln_mail_discard(&p->letters[i]);
    }
    ln_interest *m = ln_interest_new(LN_SPACE_CHANNELS, LN_SLICE("a"));
    assert_int_equal(memory.live, 1);
    ln_mail_discard(&m->letter);
    assert_int_equal(memory.live, 0);
    ln_test_memory_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_empty_parts),
        cmocka_unit_test(test_skips),
        cmocka_unit_test(test_except_add),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
