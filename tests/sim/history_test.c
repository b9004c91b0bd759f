/* The checker before it is trusted: one good history, and the same with one thing wrong. */
#include "base/testing.h"
#include "history.h"

typedef struct step {
    enum { END, SAY, QUIET, ACK, REFUSE, JOIN, HEAR, SKIP, LEAVE, BEHIND } what;
    uint32_t key; /* SAY: the channel */
    uint64_t epoch, offset;
} step;

typedef struct row {
    const char *why, *anomaly; /* NULL: none */
    step steps[10];
} row;

static const row rows[] = {
    { "nothing", NULL, { { END } } },
    { "said, acked, heard", NULL,
        { { JOIN, 0, 7, 0 }, { SAY }, { SAY }, { ACK, 1, 7, 1 }, { HEAR, 1, 0, 1 },
            { HEAR, 2, 0, 2 }, { ACK, 2, 7, 2 } } },
    { "unknown ones may be heard or not", NULL,
        { { JOIN, 0, 7, 3 }, { SAY }, { SAY }, { HEAR, 2, 0, 4 } } },
    { "a skip explains", NULL,
        { { JOIN, 0, 7, 0 }, { QUIET }, { SAY }, { SKIP, 1, 0, 1 }, { HEAR, 2, 0, 2 },
            { ACK, 1, 7, 1 } } },
    { "the same offset again", "duplicate",
        { { JOIN, 0, 7, 0 }, { SAY }, { HEAR, 1, 0, 1 }, { HEAR, 1, 0, 1 } } },
    { "backwards", "duplicate",
        { { JOIN, 0, 7, 1 }, { SAY }, { SAY }, { HEAR, 1, 0, 2 }, { HEAR, 2, 0, 1 } } },
    { "one is left out", "silent-gap", { { JOIN, 0, 7, 0 }, { SAY }, { SAY }, { HEAR, 2, 0, 2 } } },
    { "a skip that counts wrong", "silent-gap",
        { { JOIN, 0, 7, 0 }, { QUIET }, { SKIP, 2, 0, 1 } } },
    { "a skip of what others said loudly", "wrong-skip",
        { { JOIN, 0, 7, 0 }, { SAY }, { ACK, 1, 7, 1 }, { SKIP, 1, 0, 1 } } },
    { "the same, known only later", "wrong-skip",
        { { JOIN, 0, 7, 0 }, { SAY }, { SKIP, 1, 0, 1 }, { ACK, 1, 7, 1 } } },
    { "two values at one offset", "inconsistent-offsets",
        { { SAY }, { SAY }, { ACK, 1, 7, 1 }, { ACK, 2, 7, 1 } } },
    { "one value at two offsets", "double",
        { { JOIN, 0, 7, 0 }, { SAY }, { ACK, 1, 7, 2 }, { HEAR, 1, 0, 1 } } },
    { "one publisher's order turned round", "reorder",
        { { SAY }, { SAY }, { ACK, 1, 7, 2 }, { ACK, 2, 7, 1 } } },
    { "never said", "phantom", { { JOIN, 0, 7, 0 }, { HEAR, 1, 0, 1 } } },
    { "said elsewhere", "phantom", { { JOIN, 0, 7, 0 }, { SAY, 3 }, { HEAR, 1, 0, 1 } } },
    { "heard by who said it quietly", "phantom",
        { { JOIN, 0, 7, 0 }, { QUIET }, { HEAR, 1, 0, 1 } } },
    { "an offset got lost", "phantom", { { JOIN, 0, 7, 0 }, { SAY }, { HEAR, 1, 0, 0 } } },
    { "refused, and heard", "false-fail",
        { { JOIN, 0, 7, 0 }, { SAY }, { REFUSE, 1 }, { HEAR, 1, 0, 1 } } },
    { "heard, and refused", "false-fail",
        { { JOIN, 0, 7, 0 }, { SAY }, { HEAR, 1, 0, 1 }, { REFUSE, 1 } } },
    { "ok without a place", "false-ok", { { SAY }, { ACK, 1, 7, 0 } } },
    { "ok twice", "false-ok", { { SAY }, { ACK, 1, 7, 1 }, { ACK, 1, 7, 1 } } },
    { "a second epoch", "epoch-lie", { { SAY }, { SAY }, { ACK, 1, 7, 1 }, { ACK, 2, 8, 1 } } },
    { "an epoch of another channel", "epoch-lie",
        { { SAY }, { SAY, 2 }, { ACK, 1, 7, 1 }, { ACK, 2, 7, 2 } } },
    { "heard before it joined", "late", { { SAY }, { HEAR, 1, 0, 1 } } },
    { "heard after it left", "late", { { JOIN, 0, 7, 0 }, { SAY }, { LEAVE }, { HEAR, 1, 0, 1 } } },
    { "somebody knows of more", NULL,
        { { JOIN, 0, 7, 0 }, { SAY }, { ACK, 1, 7, 1 }, { BEHIND } } },
};

static void take(history *h, history_seat *seat, const step *s) {
    history_saying what = { .client = 1, .session = 1, .chain = 1, .channel = s->key };
    switch (s->what) {
    case END: break;
    case QUIET: what.quiet = true; __attribute__((fallthrough));
    case SAY: history_said(h, &what); break;
    case ACK: history_acked(h, s->key, s->epoch, s->offset); break;
    case REFUSE: history_refused(h, s->key); break;
    case JOIN: history_joined(h, seat, s->epoch, s->offset); break;
    case HEAR: history_heard(h, seat, 1, s->key, s->offset); break;
    case SKIP: history_skipped(h, seat, 1, s->offset, s->key, false); break;
    case LEAVE: seat->joined = false; break;
    case BEHIND: assert_false(history_level(h, seat, 1)); break;
    }
}

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        history *h = history_new();
        history_seat seat = { .client = 1 };
        for (size_t n = 0; n < LN_COUNT(rows[i].steps); n++)
            take(h, &seat, &rows[i].steps[n]);
        history_finish(h);
        const char *words = history_words(h);
        if (!rows[i].anomaly) {
            assert_null(words);
        } else {
            assert_non_null(words);
            assert_memory_equal(words, rows[i].anomaly, strlen(rows[i].anomaly));
        }
        history_free(h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
