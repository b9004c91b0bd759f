/* Numbers of publications: each once, and in its turn. */
#include "base/mem.h"
#include "base/testing.h"
#include "hub/seq.h"
#include <stdio.h>

static const ln_map_key secret = { 1, 2 };
#define AT(n) ((ln_position){ 7, n })

static ln_seq seq(const char *channel, uint8_t who, uint64_t number, bool fresh) {
    static uint8_t chains[8][LN_CHAIN];
    chains[who][0] = who;
    return (ln_seq){ ln_slice_str(channel), chains[who], number, fresh };
}

static int begin(ln_seqs *s, ln_msec now, ln_seq q, uint64_t *offset) {
    ln_position at = { 0, 0 };
    int found = ln_seqs_begin(s, now, &q, &at);
    *offset = at.offset;
    return found;
}

enum { NOTHING, END, DROP }; /* what becomes of it */

static void turns(void **state) {
    (void)state;
    static const struct {
        const char *why, *channel;
        uint8_t who;
        uint64_t number;
        bool fresh;
        ln_msec now;
        int found;
        uint64_t offset; /* SEEN: the place */
        int then;
    } rows[] = {
        { "who is new does not begin in the middle", "c", 1, 2, true, 0, LN_SEQ_ORDER, 0, NOTHING },
        { "but with the first", "c", 1, 1, true, 0, LN_SEQ_NEXT, 0, END },
        { "which is known from then on", "c", 1, 1, true, 1, LN_SEQ_SEEN, 1, NOTHING },
        { "the next", "c", 1, 2, true, 2, LN_SEQ_NEXT, 0, NOTHING },
        { "while it is under way", "c", 1, 2, true, 3, LN_SEQ_BUSY, 0, DROP },
        { "it came to nothing: the third is not next", "c", 1, 3, true, 4, LN_SEQ_ORDER, 0,
            NOTHING },
        { "but the second again", "c", 1, 2, true, 5, LN_SEQ_NEXT, 0, END },
        { "then the third", "c", 1, 3, true, 6, LN_SEQ_NEXT, 0, NOTHING },
        { "and the fourth before it is answered", "c", 1, 4, true, 7, LN_SEQ_NEXT, 0, END },
        { "a gap", "c", 1, 6, true, 8, LN_SEQ_ORDER, 0, NOTHING },
        { "in another channel", "d", 1, 1, true, 9, LN_SEQ_NEXT, 0, END },
        { "of another session", "c", 2, 1, true, 9, LN_SEQ_NEXT, 0, END },
        { "who may have been here before begins anywhere", "c", 3, 57, false, 9, LN_SEQ_NEXT, 0,
            END },
        { "and goes on from there", "c", 3, 58, false, 10, LN_SEQ_NEXT, 0, END },
        { "what was before that is not known", "c", 3, 56, false, 10, LN_SEQ_UNKNOWN, 0, NOTHING },
        { "just before it is forgotten", "c", 1, 4, true, 7 + LN_SEQ_MS - 1, LN_SEQ_SEEN, 4,
            NOTHING },
        { "forgotten: any number", "c", 1, 9, false, 7 + LN_SEQ_MS, LN_SEQ_NEXT, 0, END },
    };
    ln_seqs s;
    ln_seqs_init(&s, secret, 1 << 20);
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        uint64_t offset;
        ln_seq q = seq(rows[i].channel, rows[i].who, rows[i].number, rows[i].fresh);
        assert_int_equal(begin(&s, rows[i].now, q, &offset), rows[i].found);
        assert_int_equal(offset, rows[i].offset);
        if (rows[i].then == END) ln_seqs_end(&s, &q, AT(rows[i].number));
        if (rows[i].then == DROP) ln_seqs_drop(&s, &q);
    }
    ln_seqs_fini(&s);
}

/* One fails when others have gone ahead: it may still come, once. */
static void a_gap_behind(void **state) {
    (void)state;
    ln_seqs s;
    uint64_t offset;
    ln_seqs_init(&s, secret, 1 << 20);
    ln_seq one = seq("c", 1, 1, true), two = seq("c", 1, 2, true);
    assert_int_equal(begin(&s, 0, one, &offset), LN_SEQ_NEXT);
    assert_int_equal(begin(&s, 0, two, &offset), LN_SEQ_NEXT);
    ln_seqs_drop(&s, &one);
    ln_seqs_end(&s, &two, AT(1));
    assert_int_equal(begin(&s, 0, two, &offset), LN_SEQ_SEEN);
    assert_int_equal(begin(&s, 0, one, &offset), LN_SEQ_NEXT);
    ln_seqs_end(&s, &one, AT(2));
    assert_int_equal(begin(&s, 0, one, &offset), LN_SEQ_SEEN);
    assert_int_equal(offset, 2);
    ln_seqs_drop(&s, &one); /* it is not under way */
    assert_int_equal(begin(&s, 0, one, &offset), LN_SEQ_SEEN);
    ln_seqs_fini(&s);
}

/* The last so many, and each its own place, over every size of the ring. */
static void long_lines(void **state) {
    (void)state;
    ln_seqs s;
    uint64_t offset, last = LN_SEQ_KEPT + 100;
    ln_seqs_init(&s, secret, 1 << 20);
    for (uint64_t n = 1; n <= last; n++) {
        ln_seq q = seq("c", 1, n, true);
        assert_int_equal(begin(&s, n, q, &offset), LN_SEQ_NEXT);
        ln_seqs_end(&s, &q, AT(n * 3));
    }
    for (uint64_t n = 1; n <= last; n++) {
        bool kept = last - n < LN_SEQ_KEPT;
        int want = kept ? LN_SEQ_SEEN : LN_SEQ_UNKNOWN;
        assert_int_equal(begin(&s, last, seq("c", 1, n, true), &offset), want);
        assert_int_equal(offset, kept ? n * 3 : 0);
    }
    assert_int_equal(ln_seqs_deadline(&s), last + LN_SEQ_MS);
    ln_seqs_tick(&s, last + LN_SEQ_MS);
    assert_int_equal(ln_stat_get(&s.count), 0);
    assert_int_equal(s.bytes, 0);
    ln_seqs_fini(&s);
}

/* All together within the bound; who is forgotten is not held to what he cannot know. */
static void bounded(void **state) {
    (void)state;
    ln_seqs s;
    uint64_t offset;
    ln_seqs_init(&s, secret, 1000);
    for (int i = 0; i < 50; i++) {
        char name[8];
        snprintf(name, sizeof name, "c%d", i);
        ln_seq q = seq(name, 1, 1, true);
        assert_int_equal(begin(&s, 5, q, &offset), LN_SEQ_NEXT);
        ln_seqs_end(&s, &q, AT(1));
        assert_true(s.bytes <= 1000);
    }
    assert_true(ln_stat_get(&s.forgotten) > 40);
    assert_int_equal(begin(&s, 6, seq("c0", 1, 2, true), &offset), LN_SEQ_NEXT);
    assert_int_equal(begin(&s, 7 + LN_SEQ_MS, seq("c9", 1, 2, true), &offset), LN_SEQ_ORDER);
    ln_seqs_fini(&s);
}

static void without_memory(void **state) {
    (void)state;
    ln_test_memory memory = { 0 };
    ln_test_memory_install(&memory);
    int found = LINNET_ERR_NOMEM;
    for (uint64_t n = 1; found == LINNET_ERR_NOMEM; n++) {
        ln_seqs s;
        uint64_t offset;
        ln_seqs_init(&s, secret, 1 << 20);
        memory.calls = 0;
        memory.fail_at = n;
        for (uint64_t i = 1; i <= 5; i++)
            if ((found = begin(&s, 0, seq("c", 1, i, true), &offset)) < 0) {
                memory.fail_at = 0; /* and it is still its turn */
                assert_int_equal(begin(&s, 0, seq("c", 1, i, true), &offset), LN_SEQ_NEXT);
                break;
            }
        ln_seqs_fini(&s);
        assert_int_equal(memory.live, 0);
    }
    assert_int_equal(found, LN_SEQ_NEXT);
    ln_test_memory_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns),
        cmocka_unit_test(a_gap_behind),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(bounded),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
