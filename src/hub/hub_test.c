/* One worker's hub, and what users may do in their callbacks. Many workers: broker/memory_test.c.
 */
#include "base/mem.h"
#include "base/testing.h"
#include "hub/hub.h"
#include <stdio.h>

#define SUBS 4

typedef struct world world;
typedef struct sub {
    ln_subscription s;
    world *w;
    char name;
    const char *on_message, *on_joined; /* orders: see act() */
} sub;

struct world {
    ln_hub *hub;
    ln_letter *first, *last; /* own mail */
    sub subs[SUBS];          /* a, b, c, d */
    char trace[512];
    size_t traced;
};

static void say(world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(world *w, const char *format, ...) {
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
    for (int n = 0; w->first; n++) {
        ln_letter *letter = w->first;
        w->first = letter->next;
        ln_hub_mail(w->hub, letter);
        assert_true(n < 1000);
    }
}

static void publish(world *w, const char *channel, const char *data, uint64_t who) {
    ln_publish what = { .channel = ln_slice_str(channel), .data = ln_slice_str(data), .who = who };
    assert_int_equal(ln_hub_publish(w->hub, &what), LINNET_OK);
}

static int join(sub *s, const char *channel) {
    return ln_hub_subscribe(s->w->hub, &s->s, LN_SPACE_CHANNELS, ln_slice_str(channel));
}

/* "+a" a joins x, "-a" a leaves, "=1" publishes 1 to x */
static void act(world *w, const char **orders) {
    const char *o = *orders;
    *orders = NULL; /* once */
    for (; o && *o; o += 2) {
        if (*o == '+')
            join(&w->subs[o[1] - 'a'], "x");
        else if (*o == '-')
            ln_hub_unsubscribe(w->hub, &w->subs[o[1] - 'a'].s);
        else
            publish(w, "x", o + 1, 0);
    }
}

static void on_deliver(void *ctx, ln_row *row, const ln_publication *p) {
    world *w = ctx;
    for (uint32_t i = 0; i < row->count; i++) {
        sub *s = row->seats[i].target;
        if (!s) continue;
        say(w, "%c%c ", s->name, ln_publication_data(p).data[0]);
        act(w, &s->on_message);
    }
}

static void on_subscribed(void *ctx, ln_subscription *ls, int err) {
    sub *s = (sub *)(void *)ls;
    say(ctx, "%c%c ", s->name, err < 0 ? '!' : '+');
    act(ctx, &s->on_joined);
}

static void on_published(void *ctx, const ln_publication *p) {
    say(ctx, "ok%u%s ", (unsigned)p->who, p->err ? "!" : "");
}

static void on_reset(void *ctx, ln_subscription *ls, ln_slice channel) {
    sub *s = (sub *)(void *)ls;
    assert_true(ln_slice_eq(channel, LN_SLICE("x")));
    assert_null(ls->channel);
    say(ctx, "%c? ", s->name);
    act(ctx, &s->on_message);
}

static void begin(world *w, uint32_t max) {
    *w = (world){ 0 };
    ln_hub_options o = { .workers = 1, .ctx = w, .post = post, .channels_max = max };
    assert_int_equal(ln_hub_new(&o, &w->hub), LINNET_OK);
    ln_hub_user user = { w, on_deliver, on_subscribed, on_published, on_reset };
    ln_hub_use(w->hub, 0, &user);
    ln_hub_use(w->hub, 1, &user);
    ln_hub_tick(w->hub, 1000, 1700000000000);
    for (int i = 0; i < SUBS; i++) {
        w->subs[i] = (sub){ .w = w, .name = (char)('a' + i) };
        ln_subscription_init(&w->subs[i].s, (uint8_t)(i / 3), &w->subs[i]);
    }
}

static void end(world *w) {
    for (int i = 0; i < SUBS; i++)
        ln_hub_unsubscribe(w->hub, &w->subs[i].s);
    run(w);
    assert_int_equal(ln_stat_get(&w->hub->subscriptions), 0);
    assert_int_equal(ln_stat_get(&w->hub->channel_count), 0);
    ln_hub_free(w->hub);
}

static void assert_trace(world *w, const char *want) {
    run(w);
    assert_string_equal(w->trace, want);
    w->traced = 0;
    w->trace[0] = 0;
}

static void test_first_asks_next_join(void **state) {
    (void)state;
    world w;
    begin(&w, 0);
    assert_int_equal(join(&w.subs[0], "x"), LN_PENDING);
    assert_int_equal(join(&w.subs[1], "x"), LN_PENDING);
    publish(&w, "x", "1", 7);
    assert_trace(&w, "a+ b+ a1 b1 ok7 ");
    assert_int_equal(join(&w.subs[2], "x"), LN_DONE);
    assert_int_equal(join(&w.subs[3], "x"), LN_DONE);
    publish(&w, "x", "2", 0);
    publish(&w, "y", "3", 8);
    assert_trace(&w, "a2 b2 c2 d2 ok8 ");
    ln_hub_unsubscribe(w.hub, &w.subs[0].s);
    publish(&w, "x", "4", 0);
    assert_trace(&w, "c4 b4 d4 ");
    assert_int_equal(ln_stat_get(&w.hub->publishes), 4);
    assert_int_equal(ln_stat_get(&w.hub->deliveries), 9);
    end(&w);
}

static void test_leaving_while_asking(void **state) {
    (void)state;
    world w;
    begin(&w, 0);
    join(&w.subs[0], "x");
    ln_hub_unsubscribe(w.hub, &w.subs[0].s);
    publish(&w, "x", "1", 0);
    assert_trace(&w, "");
    assert_null(ln_hub_find(w.hub, LN_SPACE_CHANNELS, LN_SLICE("x")));
    join(&w.subs[0], "x");
    ln_hub_unsubscribe(w.hub, &w.subs[0].s);
    join(&w.subs[0], "x");
    publish(&w, "x", "2", 0);
    assert_trace(&w, "a+ a2 ");
    end(&w);
}

static void test_spaces_do_not_meet(void **state) {
    (void)state;
    world w;
    begin(&w, 0);
    join(&w.subs[0], "x");
    ln_hub_subscribe(w.hub, &w.subs[1].s, LN_SPACE_TOPICS, LN_SLICE("x"));
    publish(&w, "x", "1", 0);
    ln_publish what = { .channel = LN_SLICE("x"), .data = LN_SLICE("2"), .space = LN_SPACE_TOPICS };
    assert_int_equal(ln_hub_publish(w.hub, &what), LINNET_OK);
    assert_trace(&w, "a+ b+ a1 b2 ");
    end(&w);
}

static void test_callbacks(void **state) {
    (void)state;
    static const struct {
        const char *why, *joined, *message, *trace;
    } rows[] = {
        { "leaves when told it joined", "-a", NULL, "a+ b+ b1 b2 " },
        { "sends another away who just joins", "-b", NULL, "a+ a1 a2 " },
        { "brings somebody in", "+c", NULL, "a+ b+ a1 c1 b1 a2 c2 b2 " },
        { "leaves in a fan-out", NULL, "-a", "a+ b+ a1 b1 b2 " },
        { "sends the next one away", NULL, "-b", "a+ b+ a1 a2 " },
        { "all leave", NULL, "-a-b", "a+ b+ a1 " },
        { "brings somebody in during a fan-out", NULL, "+c+d", "a+ b+ a1 b1 c+ d+ a2 b2 c2 d2 " },
        { "and sends him away again", NULL, "+c-c", "a+ b+ a1 b1 a2 b2 " },
        { "leaves and comes again", NULL, "-a+a", "a+ b+ a1 b1 a+ b2 a2 " },
        { "publishes", NULL, "=9", "a+ b+ a1 b1 a2 b2 a9 b9 " },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        world w;
        begin(&w, 0);
        w.subs[0].on_joined = rows[i].joined;
        w.subs[0].on_message = rows[i].message;
        join(&w.subs[0], "x");
        join(&w.subs[1], "x");
        publish(&w, "x", "1", 0);
        publish(&w, "x", "2", 0);
        assert_trace(&w, rows[i].trace);
        end(&w);
    }
}

/* A home elsewhere tells of offsets that do not follow. */
static void deliver_at(world *w, uint64_t epoch, uint64_t offset, const char *data) {
    ln_publish what = { .channel = LN_SLICE("x"), .data = ln_slice_str(data) };
    ln_publication *p = ln_publication_new(&what, 1);
    p->at = (ln_position){ epoch, offset };
    p->letters[0].kind = LN_MAIL_DELIVER;
    ln_hub_mail(w->hub, &p->letters[0]);
}

static void test_a_hole_is_told(void **state) {
    (void)state;
    world w;
    begin(&w, 0);
    join(&w.subs[0], "x");
    join(&w.subs[1], "x");
    run(&w);
    w.subs[0].s.channel->at = (ln_position){ 5, 10 };
    deliver_at(&w, 5, 11, "1");
    deliver_at(&w, 5, 0, "v"); /* volatile: takes no place */
    deliver_at(&w, 5, 12, "2");
    assert_trace(&w, "a+ b+ a1 b1 av bv a2 b2 ");
    w.subs[0].on_message = "+a";
    deliver_at(&w, 5, 14, "4");
    assert_trace(&w, "a? b? a+ ");
    assert_int_equal(ln_subscription_at(&w.subs[0].s).offset, 14);
    deliver_at(&w, 6, 15, "5"); /* another epoch */
    assert_trace(&w, "a? ");
    assert_null(ln_hub_find(w.hub, LN_SPACE_CHANNELS, LN_SLICE("x")));
    deliver_at(&w, 6, 16, "6");
    assert_trace(&w, "");
    assert_int_equal(ln_stat_get(&w.hub->strays), 1);
    end(&w);
}

static void test_refusals(void **state) {
    (void)state;
    world w;
    begin(&w, 1);
    assert_int_equal(join(&w.subs[0], "a b"), LINNET_ERR_INVAL);
    assert_int_equal(join(&w.subs[0], "system"), LINNET_ERR_DENIED);
    ln_publish what = { .channel = LN_SLICE("$") };
    assert_int_equal(ln_hub_publish(w.hub, &what), LINNET_ERR_DENIED);
    assert_int_equal(join(&w.subs[0], "x"), LN_PENDING);
    assert_int_equal(join(&w.subs[1], "y"), LINNET_ERR_LIMIT);
    run(&w);
    ln_hub_unsubscribe(w.hub, &w.subs[0].s);
    run(&w);
    w.traced = 0;
    /* The home of x lingers and takes the only place among the homes. */
    w.subs[0].on_joined = "-b";
    join(&w.subs[0], "y");
    join(&w.subs[1], "y");
    join(&w.subs[2], "y");
    publish(&w, "z", "1", 3);
    assert_trace(&w, "a! c! ok3! ");
    ln_hub_tick(w.hub, 1000 + LN_HOME_LINGER_MS, 0);
    join(&w.subs[0], "y");
    assert_trace(&w, "a+ ");
    end(&w);

    ln_hub *hub = NULL;
    ln_namespaces *kept;
    ln_namespace all = { .class = LN_CLASS_RECOVERABLE, .history = LN_RETENTION_INIT };
    assert_int_equal(ln_namespaces_new(NULL, 0, &all, &kept), LINNET_OK);
    ln_hub_options o = { .workers = 1, .post = post, .namespaces = kept };
    assert_int_equal(ln_hub_new(&o, &hub), LINNET_ERR_INVAL); /* no broker */
    ln_namespaces_unref(kept);
    o = (ln_hub_options){ .workers = 2, .self = 2, .post = post };
    assert_int_equal(ln_hub_new(&o, &hub), LINNET_ERR_INVAL);
    assert_null(hub);
}

static void test_memory(void **state) {
    (void)state;
    bool done = false;
    for (uint64_t fail = 1; !done; fail++) {
        ln_test_memory memory = { .fail_at = fail };
        ln_test_memory_install(&memory);
        world w = { 0 };
        ln_hub_options o = { .workers = 1, .ctx = &w, .post = post };
        if (ln_hub_new(&o, &w.hub) == LINNET_OK) {
            ln_hub_user user = { &w, on_deliver, on_subscribed, on_published, on_reset };
            ln_hub_use(w.hub, 0, &user);
            for (int i = 0; i < SUBS; i++) {
                w.subs[i] = (sub){ .w = &w, .name = (char)('a' + i) };
                ln_subscription_init(&w.subs[i].s, 0, &w.subs[i]);
                join(&w.subs[i], "x");
                if (i == 1) run(&w);
            }
            ln_publish what = { .channel = LN_SLICE("x"), .data = LN_SLICE("1"), .who = 1 };
            ln_hub_publish(w.hub, &what);
            run(&w);
            done = memory.calls < fail;
            if (done) assert_string_equal(w.trace, "a+ b+ a1 b1 c1 d1 ok1 ");
            end(&w);
        }
        assert_int_equal(memory.live, 0);
        ln_test_memory_remove();
        assert_true(fail < 50);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_asks_next_join),
        cmocka_unit_test(test_leaving_while_asking),
        cmocka_unit_test(test_spaces_do_not_meet),
        cmocka_unit_test(test_callbacks),
        cmocka_unit_test(test_a_hole_is_told),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
