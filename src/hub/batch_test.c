/* What is held back: when it goes, in what order, and who is not to see that it was held. With a
 * log behind it: session/batch_test.c. */
#include "base/mem.h"
#include "base/testing.h"
#include "hub/hub.h"
#include <stdio.h>

#define SUBS  4
#define EVERY 50 /* ms */

typedef struct world world;
typedef struct sub {
    ln_subscription s;
    world *w;
    char name;
    bool leaves; /* on its next message */
} sub;

struct world {
    ln_hub *hub;
    ln_letter *first, *last; /* own mail */
    sub subs[SUBS];          /* a, b: take several at once; c, d: one by one */
    ln_msec now;
    char trace[8192];
    size_t traced;
};

static void trace(world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void trace(world *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(w->trace + w->traced, sizeof w->trace - w->traced, format, args);
    va_end(args);
    w->traced += (size_t)n;
    assert_true(w->traced < sizeof w->trace);
}

static void post(void *ctx, uint32_t worker, ln_letter *letter) {
    world *w = ctx;
    assert_int_equal(worker, 0);
    letter->next = NULL;
    if (w->first)
        w->last->next = letter;
    else
        w->first = letter;
    w->last = letter;
}

static void run(world *w) {
    while (w->first) {
        ln_letter *letter = w->first;
        w->first = letter->next;
        ln_hub_mail(w->hub, letter);
    }
}

static void heard(world *w, ln_row *row, ln_publication *const *items, uint32_t count) {
    for (uint32_t i = 0; i < row->count; i++) {
        sub *s = row->seats[i].target;
        if (!s) continue;
        trace(w, "%c", s->name);
        for (uint32_t k = 0; k < count; k++)
            trace(w, "%c", ln_publication_data(items[k]).data[0]);
        trace(w, " ");
        if (s->leaves) ln_hub_unsubscribe(w->hub, &s->s);
    }
}

static void on_deliver(void *ctx, ln_row *row, const ln_publication *p) {
    ln_publication *one = (ln_publication *)(uintptr_t)p;
    heard(ctx, row, &one, 1);
}

static void on_batch(void *ctx, ln_row *row, ln_publication *const *items, uint32_t count) {
    assert_true(count > 1);
    heard(ctx, row, items, count);
}

static void on_aside(void *ctx, ln_row *row, const ln_publication *p) {
    (void)p;
    for (uint32_t i = 0; i < row->count; i++)
        trace(ctx, "%c~ ", ((sub *)row->seats[i].target)->name);
}

static void on_subscribed(void *ctx, ln_subscription *ls, int err) {
    assert_int_equal(err, LINNET_OK);
    trace(ctx, "%c+ ", ((sub *)(void *)ls)->name);
}

static void on_published(void *ctx, const ln_publication *p) {
    (void)p;
    trace(ctx, "ok ");
}

static void on_left(void *ctx, ln_subscription *ls, ln_slice note) {
    (void)note;
    trace(ctx, "%c- ", ((sub *)(void *)ls)->name);
    ln_hub_unsubscribe(((world *)ctx)->hub, ls);
}

static void begin(world *w) {
    *w = (world){ .now = 1000 };
    ln_namespace all = { .class = LN_CLASS_LIVE, .batch_ms = EVERY }, brief = all, other = all;
    memcpy(brief.name, "brief", 5);
    brief.batch_ms = 10;
    memcpy(other.name, "other", 5);
    other.batch_ms = 0;
    ln_namespace items[] = { brief, other };
    ln_namespaces *spaces;
    assert_int_equal(ln_namespaces_new(items, 2, &all, &spaces), LINNET_OK);
    ln_hub_options o = { .workers = 1, .ctx = w, .post = post, .namespaces = spaces };
    assert_int_equal(ln_hub_new(&o, &w->hub), LINNET_OK);
    ln_namespaces_unref(spaces);
    ln_hub_user user = { .ctx = w,
        .deliver = on_deliver,
        .batch = on_batch,
        .aside = on_aside,
        .subscribed = on_subscribed,
        .published = on_published,
        .left = on_left };
    ln_hub_use(w->hub, 0, &user);
    user.batch = NULL;
    ln_hub_use(w->hub, 1, &user);
    ln_hub_tick(w->hub, w->now, 1700000000000);
    for (int i = 0; i < SUBS; i++) {
        w->subs[i] = (sub){ .w = w, .name = (char)('a' + i) };
        ln_subscription_init(&w->subs[i].s, (uint8_t)(i / 2), &w->subs[i]);
    }
}

static void end(world *w) {
    for (int i = 0; i < SUBS; i++)
        ln_hub_unsubscribe(w->hub, &w->subs[i].s);
    run(w);
    assert_int_equal(ln_stat_get(&w->hub->subscriptions), 0);
    assert_int_equal(ln_stat_get(&w->hub->channel_count), 0);
    assert_true(ln_list_empty(&w->hub->batches));
    ln_hub_free(w->hub);
}

static void say(world *w, const char *channel, ln_slice data, uint8_t flags) {
    ln_publish what = { .channel = ln_slice_str(channel), .data = data, .who = 1, .flags = flags };
    assert_int_equal(ln_hub_publish(w->hub, &what), LINNET_OK);
    run(w);
}

static void pass(world *w, unsigned ms) {
    w->now += ms;
    ln_hub_tick(w->hub, w->now, 1700000000000);
    run(w);
}

/* "+a" a joins, "-a" it is gone, "<a" it leaves behind what was said, "!a" it goes when it hears
 * something; "1" to "9" say that, "~" something that is no publication, "b1" says 1 in brief:x,
 * "o1" in other:x, where a subscriber in capitals is; "t49" lets time pass. */
static void act(world *w, const char *order) {
    unsigned who = (unsigned)(order[1] | 32) - 'a'; /* nobody: it is a number */
    sub *s = &w->subs[who < sizeof w->subs / sizeof w->subs[0] ? who : 0];
    const char *channel = order[1] >= 'a' ? "x" : order[1] >= 'C' ? "other:x" : "brief:x";
    switch (order[0]) {
    case '+':
        if (ln_hub_subscribe(w->hub, &s->s, LN_SPACE_CHANNELS, ln_slice_str(channel)) == LN_DONE)
            trace(w, "%c! ", s->name);
        run(w);
        break;
    case '-':
        ln_hub_unsubscribe(w->hub, &s->s);
        run(w);
        break;
    case '<':
        assert_int_equal(ln_hub_leave(w->hub, &s->s, LN_SLICE("")), LN_PENDING);
        run(w);
        break;
    case '!': s->leaves = true; break;
    case 't': pass(w, (unsigned)strtoul(order + 1, NULL, 10)); break;
    case '~': say(w, "x", LN_SLICE("0"), LN_PUB_ASIDE); break;
    case 'b': say(w, "brief:x", ln_slice_of(order + 1, 1), 0); break;
    case 'o': say(w, "other:x", ln_slice_of(order + 1, 1), 0); break;
    default: say(w, "x", ln_slice_of(order, 1), 0);
    }
}

static const struct {
    const char *why, *orders[16], *trace;
} rows[] = {
    { "until the time of the first is over",
        { "+a", "1", "t30", "2", "t19", "3", "t1", "4", "t49", "t1" }, "a+ ok ok ok a123 ok a4 " },
    { "one alone is no batch", { "+a", "+b", "1", "t50" }, "a+ b! ok a1 b1 " },
    { "who knows no batches gets them one by one", { "+a", "+c", "+d", "1", "2", "t50" },
        "a+ c! d! ok ok a12 c1 d1 c2 d2 " },
    { "who comes meanwhile hears what follows, and the others are not kept waiting for it",
        { "+a", "1", "2", "+b", "3", "t0", "4", "t50" }, "a+ ok ok ok a123 b+ ok a4 b4 " },
    { "who leaves has heard what it said", { "+a", "+b", "1", "2", "<a", "3", "t50" },
        "a+ b! ok ok a12 b12 a- ok b3 " },
    { "who is gone is gone", { "+a", "+b", "1", "-a", "t50" }, "a+ b! ok b1 " },
    { "the last one goes, and what was held with it", { "+a", "1", "-a", "t50", "+b", "2", "t50" },
        "a+ ok b+ ok b2 " },
    { "what is no publication comes behind what was said before",
        { "+a", "1", "2", "~", "3", "t50" }, "a+ ok ok a12 a~ ok ok a3 " },
    { "gone at the first of several", { "+c", "!c", "1", "2", "t50", "3", "t50" },
        "c+ ok ok c1 ok " },
    { "each channel has its own time", { "+a", "+B", "1", "b2", "t10", "t40" },
        "a+ b+ ok ok b2 a1 " },
    { "and some none", { "+D", "o1", "o2" }, "d+ d1 ok d2 ok " },
};

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        world w;
        print_message("# %s\n", rows[i].why);
        begin(&w);
        for (size_t k = 0; k < LN_COUNT(rows[i].orders) && rows[i].orders[k]; k++)
            act(&w, rows[i].orders[k]);
        assert_string_equal(w.trace, rows[i].trace);
        end(&w);
    }
}

/* So many, and so many bytes, go without waiting; the next deadline is of what is held. */
static void test_bounds(void **state) {
    (void)state;
    world w;
    begin(&w);
    act(&w, "+a");
    for (int i = 0; i < LN_BATCH_MAX + 1; i++) {
        assert_int_equal(ln_stat_get(&w.hub->deliveries), i < LN_BATCH_MAX ? 0 : LN_BATCH_MAX);
        act(&w, "1");
        bool none = ln_batches_deadline(&w.hub->batches) == LN_NEVER;
        assert_int_equal(none, i == LN_BATCH_MAX - 1);
    }
    assert_true(ln_hub_deadline(w.hub) <= w.now + EVERY);
    assert_int_equal(ln_batches_deadline(&w.hub->batches), w.now + EVERY);
    pass(&w, EVERY);
    assert_int_equal(ln_stat_get(&w.hub->deliveries), LN_BATCH_MAX + 1);
    static uint8_t large[LN_BATCH_BYTES_MAX / 2];
    memset(large, '7', sizeof large);
    say(&w, "x", ln_slice_of(large, sizeof large), 0);
    assert_int_equal(ln_stat_get(&w.hub->deliveries), LN_BATCH_MAX + 1);
    say(&w, "x", ln_slice_of(large, sizeof large), 0);
    assert_int_equal(ln_stat_get(&w.hub->deliveries), LN_BATCH_MAX + 3);
    end(&w);
}

/* Without memory to hold it nothing is lost and the order stays. */
static void test_without_memory(void **state) {
    (void)state;
    ln_test_memory memory = { 0 };
    ln_test_memory_install(&memory);
    for (int held = 0; held < 2; held++) {
        world w;
        begin(&w);
        act(&w, "+a");
        if (held) act(&w, "1");
        ln_publish what = { .channel = LN_SLICE("x"), .data = LN_SLICE("2"), .who = 1 };
        assert_int_equal(ln_hub_publish(w.hub, &what), LINNET_OK);
        memory.fail_at = memory.calls + 1;
        run(&w);
        memory.fail_at = 0;
        pass(&w, EVERY);
        assert_string_equal(w.trace, held ? "a+ ok ok a12 " : "a+ a2 ok ");
        end(&w);
    }
    assert_int_equal(memory.live, 0);
    ln_test_memory_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
