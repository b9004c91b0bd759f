/* Channels that come to be used and are not used any more, and what is told of it. */
#include "base/mem.h"
#include "base/testing.h"
#include "lib/occupancy.h"
#include <stdio.h>

typedef struct world {
    ln_occupancy o;
    ln_asker asker;
    char told[256];
} world;

static int ask(void *ctx, const ln_question *q, ln_answer *now) {
    world *w = ctx;
    (void)now;
    size_t at = strlen(w->told);
    snprintf(w->told + at, sizeof w->told - at, "%c%.*s ", q->kind == LN_TELL_OCCUPIED ? '+' : '-',
        (int)q->channel.size, (const char *)q->channel.data);
    return LN_DONE;
}

static void world_open(world *w, uint32_t kinds) {
    *w = (world){ .asker = { .kinds = kinds, .ask = ask } };
    w->asker.ctx = w;
    ln_occupancy_init(&w->o, (ln_map_key){ 1, 2 });
    w->o.asker = &w->asker;
}

#define BOTH (1u << LN_TELL_OCCUPIED | 1u << LN_TELL_VACATED)

/* "+a" the first comes to a, "-a" the last goes, "N" so many ms later. */
static const struct {
    const char *why, *steps, *told;
    uint32_t kinds;
} rows[] = {
    { "comes and goes", "+a -a 1000", "+a -a ", BOTH },
    { "not a moment too early", "+a -a 999", "+a ", BOTH },
    { "a page is reloaded", "+a -a 10 +a 5000", "+a ", BOTH },
    { "a hundred times would be the same", "+a -a +a -a +a -a +a -a +a 5000", "+a ", BOTH },
    { "and then it goes", "+a -a 10 +a -a 999", "+a ", BOTH },
    { "a second after the last time", "+a -a 10 +a -a 1000", "+a -a ", BOTH },
    { "comes after that", "+a -a 1000 +a", "+a -a +a ", BOTH },
    { "two do not mind each other", "+a +b -a 500 -b +a 2000", "+a +b -b ", BOTH },
    { "in the order they went", "+a +b -b -a 1000", "+a +b -b -a ", BOTH },
    { "who wants one thing hears one", "+a -a 1000", "-a ", 1u << LN_TELL_VACATED },
    { "and the other", "+a -a 1000 +a", "+a +a ", 1u << LN_TELL_OCCUPIED },
    { "or nothing", "+a -a 1000", "", 0 },
};

static void what_is_told(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        world w;
        ln_msec now = 100;
        world_open(&w, rows[i].kinds);
        for (const char *at = rows[i].steps; *at; at += strcspn(at, " "), at += *at == ' ') {
            if (*at == '+' || *at == '-') {
                ln_slice name = ln_test_exact(ln_slice_of(at + 1, 1));
                ln_occupancy_note(&w.o, name, *at == '+', now);
                ln_test_drop(name);
                continue;
            }
            for (long ms = strtol(at, NULL, 10); ms > 0; ms--, now++)
                if (ln_occupancy_deadline(&w.o) <= now) ln_occupancy_tick(&w.o, now);
            ln_occupancy_tick(&w.o, now);
        }
        if (strcmp(w.told, rows[i].told) != 0) fail_msg("%s: %s", rows[i].why, w.told);
        ln_occupancy_fini(&w.o);
    }
}

static void the_end(void **state) {
    (void)state;
    world w;
    world_open(&w, BOTH);
    ln_occupancy_note(&w.o, LN_SLICE("a"), true, 1);
    ln_occupancy_note(&w.o, LN_SLICE("a"), false, 2);
    ln_occupancy_flush(&w.o);
    assert_string_equal(w.told, "+a -a ");
    ln_occupancy_note(&w.o, LN_SLICE("b"), false, 2);
    ln_occupancy_fini(&w.o);
    assert_string_equal(w.told, "+a -a ");
}

/* Beyond the bound, or without memory, nothing is kept back and nothing is lost. */
static void no_room(void **state) {
    (void)state;
    world w;
    world_open(&w, BOTH);
    w.o.empty.max = 1;
    ln_occupancy_note(&w.o, LN_SLICE("a"), false, 1);
    ln_occupancy_note(&w.o, LN_SLICE("b"), false, 1);
    assert_string_equal(w.told, "-b ");
    ln_occupancy_tick(&w.o, 2000);
    assert_string_equal(w.told, "-b -a ");
    ln_occupancy_fini(&w.o);
    for (uint64_t n = 1; n <= 2; n++) {
        ln_test_memory m = { .fail_at = n };
        ln_test_memory_install(&m);
        world_open(&w, BOTH);
        ln_occupancy_note(&w.o, LN_SLICE("c"), false, 3000);
        assert_string_equal(w.told, "-c ");
        ln_occupancy_fini(&w.o);
        ln_test_memory_remove();
        assert_int_equal(m.live, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told),
        cmocka_unit_test(the_end),
        cmocka_unit_test(no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
