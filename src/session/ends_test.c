#include "base/testing.h"
#include "session/ends.h"
#include <stdio.h>

static ln_end *made(const char *client, uint64_t closed) {
    ln_end e = { .client = ln_slice_str(client), .closed = closed };
    return ln_end_new(&e);
}

static void an_end_owns_its_words(void **state) {
    (void)state;
    char words[] = "client user 1.2.3.4 reason error";
    ln_end from = { .client = ln_slice_of(words, 6),
        .user = ln_slice_of(words + 7, 4),
        .address = ln_slice_of(words + 12, 7),
        .reason = ln_slice_of(words + 20, 6),
        .error_text = ln_slice_of(words + 27, 5),
        .code = 3008 };
    ln_end *e = ln_end_new(&from);
    memset(words, 'x', sizeof words);
    assert_true(ln_slice_eq(e->client, LN_SLICE("client")));
    assert_true(ln_slice_eq(e->user, LN_SLICE("user")));
    assert_true(ln_slice_eq(e->address, LN_SLICE("1.2.3.4")));
    assert_true(ln_slice_eq(e->reason, LN_SLICE("reason")));
    assert_true(ln_slice_eq(e->error_text, LN_SLICE("error")));
    assert_int_equal(e->code, 3008);
    ln_end_unref(e);
}

static void the_last_is_the_first_and_the_oldest_go(void **state) {
    (void)state;
    ln_ends n = { .ring = NULL };
    char name[16];
    assert_null(ln_ends_at(&n, 0, 0));
    for (uint32_t i = 0; i < LN_ENDS_MAX + 10; i++) {
        snprintf(name, sizeof name, "c%u", i);
        ln_ends_add(&n, made(name, 1000 + i));
        assert_int_equal(ln_ends_at(&n, 0, 1000)->closed, 1000 + i);
    }
    ln_end *oldest = ln_ends_at(&n, LN_ENDS_MAX - 1, 1000);
    assert_true(ln_slice_eq(oldest->client, LN_SLICE("c10")));
    assert_null(ln_ends_at(&n, LN_ENDS_MAX, 1000));
    ln_ends_fini(&n);
    assert_null(ln_ends_at(&n, 0, 0));
}

static void after_a_day_nothing_is_told(void **state) {
    (void)state;
    ln_ends n = { .ring = NULL };
    ln_ends_add(&n, made("a", 5000));
    assert_non_null(ln_ends_at(&n, 0, 5000 + LN_ENDS_KEEP_MS - 1));
    assert_null(ln_ends_at(&n, 0, 5000 + LN_ENDS_KEEP_MS));
    ln_ends_fini(&n);
}

static void who_asks_outlives_the_ring(void **state) {
    (void)state;
    ln_ends n = { .ring = NULL };
    ln_ends_add(&n, made("a", 1));
    ln_ends_add(&n, NULL); /* there was no memory for it */
    ln_end *e = ln_ends_at(&n, 0, 1);
    ln_ref_get(&e->refs, 1);
    ln_ends_fini(&n);
    assert_true(ln_slice_eq(e->client, LN_SLICE("a")));
    ln_end_unref(e);
}

static const struct {
    const char *why;
    uint16_t code;
    ln_end_by by;
    int err;
    const char *meaning;
} words[] = {
    { "a page that was left", 1001, LN_END_CLIENT, 0, "the page was left, or the client ended" },
    { "a drain of another kind", 1001, LN_END_SERVER, 0, "the server was stopped or restarted" },
    { "no Close", 1006, LN_END_NETWORK, LINNET_ERR_RESET,
        "the connection broke: no Close came from either side" },
    { "a slow reader", 3008, LN_END_SERVER, LINNET_ERR_SLOW, "it did not read fast enough" },
    { "a fault with a row of its own words", 4999, LN_END_SERVER, LINNET_ERR_FLOOD,
        "too many control frames" },
    { "a client's own", 4001, LN_END_CLIENT, 0, "the client closed it with a code of its own" },
    { "a program's own", 4001, LN_END_SERVER, 0, "the server closed it with a code of its own" },
};

static void ends_have_words(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(words); i++) {
        ln_end_words got = ln_end_explain(words[i].code, words[i].by, words[i].err);
        if (strcmp(got.meaning, words[i].meaning) != 0)
            fail_msg("%s: %s", words[i].why, got.meaning);
    }
    for (uint32_t code = 0; code < 5000; code++)
        for (int by = LN_END_CLIENT; by <= LN_END_NETWORK; by++) {
            ln_end_words got = ln_end_explain((uint16_t)code, (ln_end_by)by, 0);
            assert_true(*got.meaning && *got.advice);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_owns_its_words),
        cmocka_unit_test(the_last_is_the_first_and_the_oldest_go),
        cmocka_unit_test(after_a_day_nothing_is_told),
        cmocka_unit_test(who_asks_outlives_the_ring),
        cmocka_unit_test(ends_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
