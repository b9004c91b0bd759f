/* The road of the cursor, with a broker that answers when the test wants. */
#include "base/mem.h"
#include "base/testing.h"
#include "hub/home.h"
#include <stdio.h>

#define LOG   16384
#define EPOCH 77

typedef struct fake {
    ln_broker broker;
    ln_homes homes;
    bool late_open, late_publish, late_read;
    int open_err, publish_err, read_err;
    uint64_t head, first;  /* what read finds: first..head */
    ln_publication *asked; /* the last publication that waits for its answer */
    uint64_t read_since;
    int opens, closes, reads;
    char trace[LOG]; /* what was posted: "1:d5 " deliver offset 5 to worker 1, a answer, b both, i
                        interest */
    size_t traced;
} fake;

static int fake_open(ln_broker *b, ln_slice name, const ln_retention *keep, ln_log_handle **handle,
    ln_position *head) {
    fake *f = (fake *)(void *)b;
    assert_int_equal(keep->count, 100);
    (void)name;
    f->opens++;
    if (f->open_err && !f->late_open) return f->open_err;
    *handle = (ln_log_handle *)(void *)f;
    *head = (ln_position){ EPOCH, f->head };
    return f->late_open ? LN_PENDING : LN_DONE;
}

static int fake_publish(ln_broker *b, ln_log_handle *log, ln_publication *p, ln_position *at) {
    fake *f = (fake *)(void *)b;
    (void)log;
    if (f->late_publish) {
        f->asked = p;
        return LN_PENDING;
    }
    if (f->publish_err) return f->publish_err;
    *at = (ln_position){ EPOCH, ++f->head };
    return LN_DONE;
}

static ln_publication *logged(uint64_t offset) {
    ln_publish what = { .channel = LN_SLICE("c"), .data = LN_SLICE("1") };
    ln_publication *p = ln_publication_new(&what, 3);
    p->at = (ln_position){ EPOCH, offset };
    return p;
}

static void fill(const fake *f, uint64_t since, ln_page *page) {
    *page = (ln_page){ .epoch = EPOCH };
    uint64_t from = since + 1 > f->first ? since + 1 : f->first;
    for (uint64_t o = from; o <= f->head && page->count < LN_PAGE_MAX; o++)
        page->items[page->count++] = logged(o);
}

static int fake_read(ln_broker *b, ln_log_handle *log, uint64_t since, ln_page *page) {
    fake *f = (fake *)(void *)b;
    (void)log;
    f->reads++;
    f->read_since = since;
    if (f->late_read) return LN_PENDING;
    if (f->read_err) return f->read_err;
    fill(f, since, page);
    return LN_DONE;
}

static void fake_close(ln_broker *b, ln_log_handle *log) {
    (void)log;
    ((fake *)(void *)b)->closes++;
}
static void fake_tick(ln_broker *b) {
    (void)b;
}
static ln_msec fake_deadline(const ln_broker *b) {
    (void)b;
    return LN_NEVER;
}

static const ln_broker_ops fake_ops = {
    .open = fake_open,
    .publish = fake_publish,
    .read = fake_read,
    .close = fake_close,
    .tick = fake_tick,
    .deadline = fake_deadline,
};

static void fake_post(void *ctx, uint32_t worker, ln_letter *letter) {
    fake *f = ctx;
    assert_int_equal(letter->to, worker);
    char what = "?dabxi"[letter->kind < 6 ? letter->kind : 0];
    bool interest = letter->kind == LN_MAIL_INTERESTED;
    int err = interest ? ln_interest_of(letter)->err : ln_publication_of(letter)->err;
    uint64_t at = interest ? ln_interest_of(letter)->at.offset
                           : ln_publication_of(letter)->at.offset;
    if (err) what = '!';
    int n = snprintf(f->trace + f->traced, LOG - f->traced, "%u:%c%u ", worker, what, (unsigned)at);
    f->traced += (size_t)n;
    assert_true(f->traced < LOG);
    ln_mail_discard(letter);
}

static void assert_trace(fake *f, const char *want) {
    assert_string_equal(f->trace, want);
    f->traced = 0;
    f->trace[0] = 0;
}

static void begin(fake *f) {
    f->broker.ops = &fake_ops;
    f->homes.workers = 3;
    f->homes.self = 1;
    f->homes.broker = &f->broker;
    ln_namespace all = { .class = LN_CLASS_RECOVERABLE, .history = LN_RETENTION_INIT };
    assert_int_equal(ln_namespaces_new(NULL, 0, &all, &f->homes.namespaces), LINNET_OK);
    f->homes.ctx = f;
    f->homes.post = fake_post;
    ln_homes_init(&f->homes, (ln_map_key){ 1, 2 }, 100000);
}

static void end(fake *f) {
    ln_homes_fini(&f->homes);
    assert_int_equal(f->opens, f->closes + (f->open_err && !f->late_open ? f->opens : 0));
}

static void interest(fake *f, uint8_t worker, ln_mail_kind kind) {
    ln_interest *m = ln_interest_new(LN_SPACE_CHANNELS, LN_SLICE("c"));
    m->letter.kind = (uint8_t)kind;
    m->letter.from = worker;
    m->letter.to = 1;
    ln_homes_mail(&f->homes, &m->letter);
}

static void say(fake *f, uint8_t worker, uint64_t who, uint8_t flags) {
    ln_publish what = {
        .channel = LN_SLICE("c"), .data = LN_SLICE("1"), .who = who, .flags = flags
    };
    ln_publication *p = ln_publication_new(&what, 3);
    p->letters[1].kind = LN_MAIL_PUBLISH;
    p->letters[1].from = worker;
    ln_homes_mail(&f->homes, &p->letters[1]);
}

static void test_in_order(void **state) {
    (void)state;
    fake f = { .head = 4, .first = 1 };
    begin(&f);
    say(&f, 0, 0, 0); /* nobody listens, nobody waits */
    assert_trace(&f, "");
    interest(&f, 2, LN_MAIL_INTEREST);
    assert_trace(&f, "2:i5 ");
    say(&f, 0, 9, 0);
    assert_trace(&f, "2:d6 0:a6 ");
    interest(&f, 0, LN_MAIL_INTEREST);
    interest(&f, 1, LN_MAIL_INTEREST);
    assert_trace(&f, "0:i6 1:i6 ");
    say(&f, 0, 9, 0);
    assert_trace(&f, "0:b7 2:d7 1:d7 ");
    say(&f, 1, 9, 0);
    assert_trace(&f, "0:d8 2:d8 1:b8 ");
    say(&f, 2, 0, 0);
    assert_trace(&f, "0:d9 2:d9 1:d9 ");
    say(&f, 2, 5, LN_PUB_VOLATILE);
    assert_trace(&f, "0:d0 2:b0 1:d0 ");
    interest(&f, 1, LN_MAIL_DISINTEREST);
    interest(&f, 0, LN_MAIL_DISINTEREST);
    say(&f, 1, 5, 0);
    assert_trace(&f, "2:d10 1:a10 ");
    end(&f);
}

static void test_refused(void **state) {
    (void)state;
    fake f = { .publish_err = LINNET_ERR_NOMEM };
    begin(&f);
    interest(&f, 2, LN_MAIL_INTEREST);
    say(&f, 0, 9, 0);
    say(&f, 0, 0, 0);
    assert_trace(&f, "2:i0 0:!0 ");
    end(&f);

    fake g = { .open_err = LINNET_ERR_LIMIT };
    begin(&g);
    interest(&g, 2, LN_MAIL_INTEREST);
    say(&g, 0, 9, 0);
    assert_trace(&g, "2:!0 0:!0 ");
    assert_int_equal(ln_stat_get(&g.homes.count), 0);
    end(&g);
}

static void test_late_open(void **state) {
    (void)state;
    fake f = { .late_open = true };
    begin(&f);
    say(&f, 0, 9, 0);
    interest(&f, 2, LN_MAIL_INTEREST);
    say(&f, 0, 9, 0);
    assert_trace(&f, "");
    ln_homes_opened(&f.homes, LN_SLICE("c"), LINNET_OK, (ln_position){ EPOCH, 0 });
    assert_trace(&f, "0:a1 2:i1 2:d2 0:a2 ");
    ln_homes_opened(&f.homes, LN_SLICE("c"), LINNET_OK, (ln_position){ EPOCH, 0 });
    ln_homes_opened(&f.homes, LN_SLICE("other"), LINNET_OK, (ln_position){ EPOCH, 0 });
    assert_trace(&f, "");
    end(&f);

    fake g = { .late_open = true };
    begin(&g);
    say(&g, 0, 9, 0);
    interest(&g, 2, LN_MAIL_INTEREST);
    ln_homes_opened(&g.homes, LN_SLICE("c"), LINNET_ERR_CONNECT, (ln_position){ 0, 0 });
    assert_trace(&g, "0:!0 2:!0 ");
    assert_int_equal(ln_stat_get(&g.homes.count), 0);
    interest(&g, 2, LN_MAIL_INTEREST); /* left waiting: the end discards it */
    end(&g);
}

static void test_late_publish(void **state) {
    (void)state;
    fake f = { .late_publish = true };
    begin(&f);
    interest(&f, 2, LN_MAIL_INTEREST);
    say(&f, 2, 9, 0);
    ln_publication *first = f.asked;
    say(&f, 2, 9, 0);
    ln_publication *second = f.asked;
    assert_trace(&f, "2:i0 ");
    /* Our own comes back through the log before its answer does. */
    ln_homes_arrived(&f.homes, logged(1));
    assert_trace(&f, "2:d1 ");
    ln_homes_published(&f.homes, first, LINNET_OK, (ln_position){ EPOCH, 1 });
    assert_trace(&f, "2:a1 ");
    ln_homes_published(&f.homes, second, LINNET_ERR_TIMEOUT, (ln_position){ 0, 0 });
    assert_trace(&f, "2:!0 ");
    end(&f);
}

static void test_duplicates(void **state) {
    (void)state;
    fake f = { .head = 3, .first = 1 };
    begin(&f);
    interest(&f, 0, LN_MAIL_INTEREST);
    ln_homes_arrived(&f.homes, logged(3));
    ln_homes_arrived(&f.homes, logged(4));
    ln_homes_arrived(&f.homes, logged(4));
    ln_homes_arrived(&f.homes, logged(1));
    assert_trace(&f, "0:i3 0:d4 ");
    assert_int_equal(ln_stat_get(&f.homes.dropped), 3);
    end(&f);
}

static void test_gap_is_read(void **state) {
    (void)state;
    fake f = { .head = 3, .first = 1 };
    begin(&f);
    interest(&f, 0, LN_MAIL_INTEREST);
    f.head = 6;
    ln_homes_arrived(&f.homes, logged(6));
    assert_trace(&f, "0:i3 0:d4 0:d5 0:d6 ");
    assert_int_equal(f.read_since, 3);
    assert_int_equal(f.reads, 1);
    assert_int_equal(ln_stat_get(&f.homes.resets), 0);

    /* A gap of more than a page. */
    f.head = 6 + 2 * LN_PAGE_MAX + 7;
    f.traced = 0;
    ln_homes_arrived(&f.homes, logged(f.head));
    assert_int_equal(f.reads, 1 + 3);
    assert_int_equal(ln_stat_get(&f.homes.mailed), 3 + 2 * LN_PAGE_MAX + 7);
    end(&f);
}

static void test_gap_read_late(void **state) {
    (void)state;
    fake f = { .head = 3, .first = 1, .late_read = true };
    begin(&f);
    interest(&f, 0, LN_MAIL_INTEREST);
    ln_homes_arrived(&f.homes, logged(7));
    ln_homes_arrived(&f.homes, logged(5));
    ln_homes_arrived(&f.homes, logged(7));
    ln_homes_arrived(&f.homes, logged(8));
    assert_trace(&f, "0:i3 ");
    assert_int_equal(f.reads, 1);
    interest(&f, 2, LN_MAIL_INTEREST); /* joins at the cursor, gets the rest */
    assert_trace(&f, "2:i3 ");
    f.head = 6;
    ln_page page;
    fill(&f, 3, &page);
    ln_homes_page(&f.homes, LN_SLICE("c"), LINNET_OK, &page);
    assert_trace(&f, "0:d4 2:d4 0:d5 2:d5 0:d6 2:d6 0:d7 2:d7 0:d8 2:d8 ");
    fill(&f, 3, &page); /* nobody asked any more */
    ln_homes_page(&f.homes, LN_SLICE("c"), LINNET_OK, &page);
    assert_trace(&f, "");
    end(&f);
}

static void test_gap_given_up(void **state) {
    (void)state;
    fake f = { .head = 3, .first = 1, .read_err = LINNET_ERR_NOT_FOUND };
    begin(&f);
    interest(&f, 0, LN_MAIL_INTEREST);
    ln_homes_arrived(&f.homes, logged(9));
    assert_trace(&f, "0:i3 0:d9 ");
    assert_int_equal(ln_stat_get(&f.homes.resets), 1);
    end(&f);

    fake g = { .head = 0, .first = 1, .late_read = true };
    begin(&g);
    interest(&g, 0, LN_MAIL_INTEREST);
    for (uint64_t o = 1; o <= LN_HOME_LATER_MAX; o++)
        ln_homes_arrived(&g.homes, logged(o + 1));
    assert_int_equal(ln_stat_get(&g.homes.mailed), 0);
    ln_homes_arrived(&g.homes, logged(LN_HOME_LATER_MAX + 5));
    g.traced = 0;
    assert_int_equal(ln_stat_get(&g.homes.mailed), LN_HOME_LATER_MAX + 1);
    end(&g);
}

static void test_another_life(void **state) {
    (void)state;
    fake f = { .head = 3, .first = 1, .late_read = true };
    begin(&f);
    interest(&f, 0, LN_MAIL_INTEREST);
    ln_homes_arrived(&f.homes, logged(5)); /* waits for 4, which never comes */
    ln_publication *p = logged(1);
    p->at.epoch = EPOCH + 1;
    ln_homes_arrived(&f.homes, p);
    assert_trace(&f, "0:i3 0:d1 ");
    end(&f);
}

static void test_lingering(void **state) {
    (void)state;
    fake f = { .head = 0 };
    begin(&f);
    f.homes.now = 1000;
    say(&f, 0, 0, 0);
    assert_int_equal(ln_homes_deadline(&f.homes), 1000 + LN_HOME_LINGER_MS);
    f.homes.now = 1000 + LN_HOME_LINGER_MS - 1;
    ln_homes_tick(&f.homes);
    assert_int_equal(f.closes, 0);
    interest(&f, 0, LN_MAIL_INTEREST); /* needed again */
    assert_int_equal(ln_homes_deadline(&f.homes), LN_NEVER);
    f.homes.now += 5;
    interest(&f, 0, LN_MAIL_DISINTEREST);
    assert_int_equal(ln_homes_deadline(&f.homes), f.homes.now + LN_HOME_LINGER_MS);
    f.homes.now += LN_HOME_LINGER_MS;
    ln_homes_tick(&f.homes);
    assert_int_equal(f.closes, 1);
    assert_int_equal(ln_stat_get(&f.homes.count), 0);
    end(&f);
}

static void test_too_many_linger(void **state) {
    (void)state;
    fake f = { .head = 0 };
    begin(&f);
    for (int i = 0; i < LN_HOME_IDLE_MAX + 10; i++) {
        char name[16];
        ln_publish what = { .channel = { (uint8_t *)name, (size_t)snprintf(name, 16, "c%d", i) } };
        ln_publication *p = ln_publication_new(&what, 3);
        p->letters[1].kind = LN_MAIL_PUBLISH;
        ln_homes_mail(&f.homes, &p->letters[1]);
    }
    assert_int_equal(f.homes.idle_count, LN_HOME_IDLE_MAX);
    assert_int_equal(f.closes, 10);
    end(&f);
}

static void test_memory(void **state) {
    (void)state;
    bool done = false;
    for (uint64_t fail = 1; !done; fail++) {
        fake f = { .head = 0 };
        ln_publish what = { .channel = LN_SLICE("c"), .who = 9 };
        ln_test_memory memory = { 0 };
        ln_test_memory_install(&memory);
        begin(&f);
        memory.fail_at = memory.calls + fail + 1;
        ln_publication *p = ln_publication_new(&what, 3);
        assert_non_null(p);
        p->letters[1].kind = LN_MAIL_PUBLISH;
        ln_homes_mail(&f.homes, &p->letters[1]);
        done = memory.calls < memory.fail_at;
        assert_string_equal(f.trace, done ? "0:a1 " : "0:!0 ");
        ln_homes_fini(&f.homes);
        assert_int_equal(memory.live, 0);
        ln_test_memory_remove();
        assert_true(fail < 20);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_late_open),
        cmocka_unit_test(test_late_publish),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_gap_is_read),
        cmocka_unit_test(test_gap_read_late),
        cmocka_unit_test(test_gap_given_up),
        cmocka_unit_test(test_another_life),
        cmocka_unit_test(test_lingering),
        cmocka_unit_test(test_too_many_linger),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
