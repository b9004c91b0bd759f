/* Keys that live as long as somebody holds them, told as scripts: see play(). */
#include "base/mem.h"
#include "base/rand.h"
#include "base/testing.h"
#include "hub/state.h"
#include <stdio.h>

#define HEARD 2048

typedef struct stage {
    ln_states st;
    char heard[HEARD]; /* "k=v/a " a key of client a, "k- " gone, "~a " and "~a- " typing */
    size_t size;
    int refuse; /* so many times tell fails */
} stage;

static void write_word(char *out, size_t room, const ln_state_word *w, bool ttl) {
    char name[300];
    snprintf(name, sizeof name, "%s%.*s", w->key.size ? "" : "~",
        (int)(w->key.size ? w->key.size : w->client.size),
        w->key.size ? w->key.data : w->client.data);
    if (!w->data.size)
        snprintf(out, room, "%s%s- ", name, w->quiet ? "!" : "");
    else if (!w->key.size)
        snprintf(out, room, "%s ", name);
    else if (ttl && w->ttl_ms)
        snprintf(out, room, "%s=%.*s/%.*s:%u ", name, (int)w->data.size, w->data.data,
            (int)w->client.size, w->client.data, w->ttl_ms);
    else
        snprintf(out, room, "%s=%.*s/%.*s ", name, (int)w->data.size, w->data.data,
            (int)w->client.size, w->client.data);
}

static int on_tell(void *ctx, ln_slice channel, const ln_state_word *w) {
    stage *s = ctx;
    assert_true(ln_slice_eq(channel, LN_SLICE("c")));
    if (s->refuse && s->refuse--) return LINNET_ERR_NOMEM;
    write_word(s->heard + s->size, HEARD - s->size, w, false);
    s->size += strlen(s->heard + s->size);
    assert_true(s->size < HEARD - 1);
    return LINNET_OK;
}

static void stage_open(stage *s) {
    *s = (stage){ 0 };
    ln_states_init(&s->st, (ln_map_key){ 1, 2 }, 100);
    s->st.ctx = s;
    s->st.tell = on_tell;
    ln_states_tick(&s->st, 1000);
}

static const ln_slice c = LN_SLICE_INIT("c");

static void list(const stage *s, char *out, size_t room) {
    ln_buf page;
    ln_buf_init(&page, LN_BUF_MAX);
    assert_int_equal(ln_states_list(&s->st, c, &page), LINNET_OK);
    assert_int_equal(page.size > 0, ln_states_any(&s->st, c));
    ln_slice exact = ln_test_exact(ln_buf_slice(&page)), rest = exact;
    size_t at = 0;
    out[0] = 0;
    for (ln_state_word w; ln_state_next(&rest, &w); at += strlen(out + at))
        write_word(out + at, room - at, &w, true);
    ln_test_drop(exact);
    ln_buf_fini(&page);
}

/* "sakV" a sets key k to V, "Sa5kV" for five seconds; "uak" unsets; "ta", "Ta" a types, types no
 * more; "fa" a is gone; "p500" so much time; "!" the next one cannot be told; "=..." what was told;
 * "@..." what lives; "e" what comes next is somebody else's; "0" nothing is kept. */
static void play(stage *s, const char *why, const char *step, bool *exists) {
    char got[HEARD] = "";
    char letter = step[0] && step[1] ? step[1] : 'a';
    ln_state_word w = { .client = ln_slice_of(&letter, 1),
        .owner = (uint8_t)letter,
        .who = 7,
        .key = step[0] && step[1] && step[2] ? ln_slice_of(step + 2, 1) : LN_SLICE(""),
        .data = ln_slice_str(step[0] && step[1] && step[2] ? step + 3 : ""),
        .quiet = false };
    int want = *exists ? LINNET_ERR_EXISTS : LINNET_OK, err = want;
    *exists = false;
    snprintf(got, sizeof got, "%s", step[0] ? step + 1 : "");
    switch (step[0]) {
    case 's': err = ln_states_set(&s->st, c, &w); break;
    case 'S':
        w.ttl_ms = (uint32_t)(step[2] - '0') * 1000;
        w.key = ln_slice_of(step + 3, 1);
        w.data = ln_slice_str(step + 4);
        err = ln_states_set(&s->st, c, &w);
        break;
    case 'u': err = ln_states_unset(&s->st, c, &w); break;
    case 't':
        w.ttl_ms = LN_TYPING_TTL_MS;
        w.data = LN_SLICE("true");
        w.key = LN_SLICE("");
        err = ln_states_set(&s->st, c, &w);
        break;
    case 'T':
        w.key = LN_SLICE("");
        err = ln_states_unset(&s->st, c, &w);
        break;
    case 'f': ln_states_forget(&s->st, c, w.owner); break;
    case 'p': ln_states_tick(&s->st, s->st.now + strtoul(step + 1, NULL, 10)); break;
    case '!': s->refuse++; break;
    case 'e': *exists = true; return;
    case '=': snprintf(got, sizeof got, "%s", s->heard); break;
    case '@': list(s, got, sizeof got); break;
    case '0': assert_true(s->st.map.count == 0 && s->st.bytes == 0 && s->st.heap_count == 0); break;
    default: fail_msg("%s: %s", why, step);
    }
    if (err != want && !(step[0] && s->refuse == 0 && err == LINNET_ERR_NOMEM))
        fail_msg("%s: %s is %d", why, step, err);
    if ((step[0] == '=' || step[0] == '@') && strcmp(got, step + 1) != 0)
        fail_msg("%s: %s, but %s", why, step, got);
    if (step[0] == '=') s->size = 0, s->heard[0] = 0;
}

#define STEPS 20
static const struct {
    const char *why, *steps[STEPS];
} scripts[] = {
    { "set and unset", { "sak1", "=k=1/a ", "@k=1/a ", "uak", "=k- ", "@", "0" } },
    { "set again", { "sak1", "sak2", "=k=1/a k=2/a ", "@k=2/a ", "fa", "0" } },
    { "unset what is not there", { "uak", "=", "sak1", "uaj", "=k=1/a ", "@k=1/a " } },
    { "gone at its time", { "Sa2k1", "p1999", "=k=1/a ", "@k=1/a:1 ", "p1", "=k- ", "0" } },
    { "a later end", { "Sa2k1", "p1000", "Sa2k2", "p1999", "@k=2/a:1 ", "p1", "@", "0" } },
    { "an end taken away", { "Sa2k1", "sak2", "p9999", "@k=2/a ", "Sa1k3", "p1000", "@", "0" } },
    { "ends in their order", { "Sa5x1", "Sb1y1", "Sc3z1", "=x=1/a y=1/b z=1/c ", "p1000", "=y- ",
                                 "p2000", "=z- ", "p2000", "=x- ", "0" } },
    { "a key of somebody else",
        { "sak1", "e", "sbk2", "e", "ubk", "@k=1/a ", "fb", "@k=1/a ", "fa", "sbk2", "@k=2/b " } },
    { "all of one who leaves", { "sax1", "sby1", "Sa3z1", "ta", "=x=1/a y=1/b z=1/a ~a ", "fa",
                                   "=x- z- ~a- ", "@y=1/b ", "fb", "0" } },
    { "typing", { "ta", "=~a ", "p4999", "ta", "=~a ", "p4999", "=", "p1", "=~a- ", "0" } },
    { "typing of two",
        { "ta", "tb", "=~a ~b ", "Ta", "=~a- ", "Ta", "=", "@~b ", "fb", "=~b- ", "0" } },
    { "what cannot be told is not so", { "!", "sak1", "@", "0", "sak1", "!", "sak2", "@k=1/a ", "!",
                                           "uak", "@k=1/a ", "=k=1/a " } },
    { "what cannot be told goes later",
        { "Sa1k1", "!", "p1000", "@k=1/a:100 ", "=k=1/a ", "p100", "=k- ", "0" } },
    { "who has left leaves nothing, told or not",
        { "sak1", "!", "fa", "=k=1/a ", "p100", "=k- ", "0" } },
};

static void test_scripts(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(scripts); i++) {
        stage s;
        stage_open(&s);
        bool exists = false;
        for (int n = 0; n < STEPS && scripts[i].steps[n]; n++)
            play(&s, scripts[i].why, scripts[i].steps[n], &exists);
        ln_states_fini(&s.st);
    }
}

static int heedless(void *ctx, ln_slice channel, const ln_state_word *w) {
    (void)ctx;
    (void)channel;
    (void)w;
    return LINNET_OK;
}

static int set(ln_states *st, uint64_t owner, uint32_t key, size_t bytes) {
    static uint8_t data[LN_STATE_DATA_MAX];
    memset(data, '1', sizeof data);
    ln_state_word w = {
        .owner = owner, .key = ln_slice_of(&key, sizeof key), .data = ln_slice_of(data, bytes)
    };
    return ln_states_set(st, c, &w);
}

static void test_bounds(void **state) {
    (void)state;
    stage s;
    stage_open(&s);
    s.st.tell = heedless;
    for (uint32_t i = 0; i < LN_STATE_OWN_MAX; i++)
        assert_int_equal(set(&s.st, 1, i, 1), LINNET_OK);
    assert_int_equal(set(&s.st, 1, 999, 1), LINNET_ERR_LIMIT);
    assert_int_equal(set(&s.st, 1, 3, 2), LINNET_OK); /* one he has */
    for (uint32_t i = LN_STATE_OWN_MAX; i < LN_STATE_KEYS_MAX; i++)
        assert_int_equal(set(&s.st, 2 + i / 50, i, 1), LINNET_OK);
    assert_int_equal(set(&s.st, 9999, 99999, 1), LINNET_ERR_LIMIT);
    for (uint64_t owner = 1; owner < 100; owner++)
        ln_states_forget(&s.st, c, owner);
    assert_int_equal(s.st.bytes, 0);
    uint32_t taken = 0;
    while (set(&s.st, 1 + taken / 10, taken, LN_STATE_DATA_MAX) == LINNET_OK)
        taken++;
    assert_in_range(taken, 58, 64); /* a quarter of a megabyte */
    assert_int_equal(set(&s.st, 1, 0, 1), LINNET_OK);
    assert_int_equal(set(&s.st, 1, 0, LN_STATE_DATA_MAX), LINNET_OK);
    assert_int_equal(ln_stat_get(&s.st.refused), 3);
    ln_states_fini(&s.st);
}

/* Against a model: 8 keys, 5 owners, random ends. */
static void test_model(void **state) {
    (void)state;
    ln_rand rand;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        stage s;
        stage_open(&s);
        s.st.tell = heedless;
        ln_rand_init_seeded(&rand, seed);
        uint64_t owner[8] = { 0 };
        ln_msec until[8] = { 0 };
        for (int i = 0; i < 3000; i++) {
            uint32_t k = ln_rand_below(&rand, 8), do_what = ln_rand_below(&rand, 8);
            uint64_t who = 1 + ln_rand_below(&rand, 5);
            ln_state_word w = { .owner = who,
                .key = ln_slice_of(&"abcdefgh"[k], 1),
                .data = LN_SLICE("1"),
                .ttl_ms = ln_rand_below(&rand, 2) ? 1 + ln_rand_below(&rand, 300) : 0 };
            bool mine = !owner[k] || owner[k] == who;
            if (do_what < 4) {
                assert_int_equal(ln_states_set(&s.st, c, &w), mine ? LINNET_OK : LINNET_ERR_EXISTS);
                if (mine) owner[k] = who, until[k] = w.ttl_ms ? s.st.now + w.ttl_ms : LN_NEVER;
            } else if (do_what == 4) {
                assert_int_equal(
                    ln_states_unset(&s.st, c, &w), mine ? LINNET_OK : LINNET_ERR_EXISTS);
                if (mine) owner[k] = 0;
            } else if (do_what == 5) {
                ln_states_forget(&s.st, c, who);
                for (int n = 0; n < 8; n++)
                    if (owner[n] == who) owner[n] = 0;
            } else {
                ln_states_tick(&s.st, s.st.now + ln_rand_below(&rand, 60));
                for (int n = 0; n < 8; n++)
                    if (owner[n] && until[n] <= s.st.now) owner[n] = 0;
            }
            uint32_t count = 0;
            ln_msec next = LN_NEVER;
            for (int n = 0; n < 8; n++) {
                count += owner[n] != 0;
                if (owner[n] && until[n] < next) next = until[n];
            }
            assert_int_equal(ln_stat_get(&s.st.keys), count);
            assert_true(ln_states_deadline(&s.st) == next);
        }
        ln_states_fini(&s.st);
    }
}

static void test_memory(void **state) {
    (void)state;
    for (uint64_t n = 1, done = 0; !done; n++) {
        assert_true(n < 100);
        ln_test_memory memory = { .fail_at = n };
        ln_test_memory_install(&memory);
        stage s;
        stage_open(&s);
        s.st.tell = heedless;
        ln_buf page;
        ln_buf_init(&page, LN_BUF_MAX);
        for (uint32_t i = 0; i < 20; i++) {
            int err = set(&s.st, 1 + i % 10 % 3, i % 10, 10 + i);
            assert_true(err == LINNET_OK || err == LINNET_ERR_NOMEM);
        }
        int err = ln_states_list(&s.st, c, &page);
        assert_true(err == LINNET_OK || (err == LINNET_ERR_NOMEM && page.size == 0));
        ln_states_forget(&s.st, c, 2);
        done = memory.calls < n;
        ln_buf_fini(&page);
        ln_states_fini(&s.st);
        ln_test_memory_remove();
        assert_int_equal(memory.live, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
