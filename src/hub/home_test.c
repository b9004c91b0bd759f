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
    int pin_err, pins, pinned[64]; /* by offset */
    ln_reading *page;              /* the last one that came back, kept when it is to go again */
    bool keep;
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
    for (uint64_t o = from; o <= f->head && page->count < LN_HOME_GAP_PAGE; o++)
        page->items[page->count++] = logged(o);
}

static int fake_read(ln_broker *b, ln_log_handle *log, const ln_span *span, ln_page *page) {
    fake *f = (fake *)(void *)b;
    (void)log;
    f->reads++;
    f->read_since = span->since;
    if (f->late_read) return LN_PENDING;
    if (f->read_err) return f->read_err;
    *page = (ln_page){ .epoch = EPOCH };
    if (span->reverse) {
        for (uint64_t o = span->since - 1; o >= f->first && page->count < span->limit; o--)
            page->items[page->count++] = logged(o);
        return LN_DONE;
    }
    if (!span->any && span->since + 1 < f->first) return LINNET_ERR_NOT_FOUND;
    fill(f, span->since, page);
    while (page->count > span->limit)
        ln_publication_unref(page->items[--page->count]);
    return LN_DONE;
}

static int fake_pin(ln_broker *b, ln_log_handle *log, uint64_t since) {
    fake *f = (fake *)(void *)b;
    (void)log;
    if (f->pin_err) return f->pin_err;
    f->pinned[since % 64]++;
    f->pins++;
    return LINNET_OK;
}

static void fake_unpin(ln_broker *b, ln_log_handle *log, uint64_t since) {
    fake *f = (fake *)(void *)b;
    (void)log;
    assert_true(f->pinned[since % 64]-- > 0);
    f->pins--;
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
    .pin = fake_pin,
    .unpin = fake_unpin,
    .close = fake_close,
    .tick = fake_tick,
    .deadline = fake_deadline,
};

/* "2:p4[5-7] " page to worker 2, where the home was at 4, with offsets 5 to 7 */
static void fake_page(fake *f, uint32_t worker, ln_reading *m) {
    unsigned first = m->count ? (unsigned)m->items[0]->at.offset : 0;
    unsigned last = m->count ? (unsigned)m->items[m->count - 1]->at.offset : 0;
    int n = snprintf(f->trace + f->traced, LOG - f->traced,
        m->err     ? "%u:p! "
        : m->count ? "%u:p%u[%u-%u] "
                   : "%u:p%u ",
        worker, (unsigned)m->at.offset, first, last);
    f->traced += (size_t)n;
    f->page = NULL;
    if (f->keep)
        f->page = m;
    else
        ln_mail_discard(&m->letter);
}

static void fake_post(void *ctx, uint32_t worker, ln_letter *letter) {
    fake *f = ctx;
    assert_int_equal(letter->to, worker);
    if (letter->kind == LN_MAIL_PAGE) {
        fake_page(f, worker, ln_reading_of(letter));
        return;
    }
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

/* From `since`, of whatever epoch, or all that is kept. */
static ln_reading *question(uint8_t worker, int64_t since, uint32_t limit) {
    ln_reading *m = ln_reading_new(LN_SLICE("c"), LN_SLICE(""));
    m->letter.from = worker;
    m->limit = limit;
    if (since >= 0) {
        m->since = (ln_position){ EPOCH, (uint64_t)since };
        m->any = false;
    }
    return m;
}

static void again(fake *f, ln_reading *m, uint8_t worker, ln_mail_kind kind) {
    if (kind == LN_MAIL_READ) {
        m->since.offset += m->count;
        ln_reading_clear(m);
    }
    m->letter.kind = (uint8_t)kind;
    m->letter.from = worker;
    ln_homes_mail(&f->homes, &m->letter);
}

static void test_reading(void **state) {
    (void)state;
    fake f = { .head = 9, .first = 4 };
    begin(&f);
    ln_homes_mail(&f.homes, &question(2, -1, 1000)->letter);
    ln_homes_mail(&f.homes, &question(0, -1, 2)->letter);
    ln_homes_mail(&f.homes, &question(0, 3, 2)->letter);
    ln_homes_mail(&f.homes, &question(0, 2, 2)->letter);
    ln_homes_mail(&f.homes, &question(0, 9, 2)->letter);
    ln_homes_mail(&f.homes, &question(0, 10, 2)->letter);
    assert_trace(&f, "2:p9[4-9] 0:p9[4-5] 0:p9[4-5] 0:p! 0:p9 0:p! ");
    ln_reading *m = question(0, 7, 2); /* before it */
    m->reverse = true;
    ln_homes_mail(&f.homes, &m->letter);
    m = question(0, -1, 2); /* the last ones */
    m->reverse = true;
    m->since.offset = UINT64_MAX;
    ln_homes_mail(&f.homes, &m->letter);
    m = question(0, 7, 2); /* another epoch */
    m->since.epoch++;
    ln_homes_mail(&f.homes, &m->letter);
    assert_trace(&f, "0:p9[6-5] 0:p9[9-8] 0:p! ");
    /* what the log has and the mail has not brought yet is left to it */
    f.head = 12;
    ln_homes_mail(&f.homes, &question(2, 6, 1000)->letter);
    m = question(2, 11, 1000);
    m->reverse = true;
    ln_homes_mail(&f.homes, &m->letter);
    assert_trace(&f, "2:p9[7-9] 2:p9[9-4] ");
    end(&f);

    fake live = { .head = 9 };
    begin(&live);
    ln_namespaces_unref(live.homes.namespaces);
    ln_namespace none = { .class = LN_CLASS_LIVE };
    assert_int_equal(ln_namespaces_new(NULL, 0, &none, &live.homes.namespaces), LINNET_OK);
    ln_homes_mail(&live.homes, &question(0, -1, 1000)->letter);
    assert_trace(&live, "0:p! ");
    end(&live);

    fake g = { .open_err = LINNET_ERR_LIMIT };
    begin(&g);
    ln_homes_mail(&g.homes, &question(0, -1, 1000)->letter);
    assert_trace(&g, "0:p! ");
    end(&g);
}

static void test_reading_late(void **state) {
    (void)state;
    fake f = { .head = 9, .first = 4, .late_open = true, .late_read = true };
    begin(&f);
    ln_homes_mail(&f.homes, &question(2, -1, 1000)->letter);
    ln_homes_mail(&f.homes, &question(0, 5, 1000)->letter);
    assert_trace(&f, "");
    ln_homes_opened(&f.homes, LN_SLICE("c"), LINNET_OK, (ln_position){ EPOCH, 9 });
    assert_int_equal(f.reads, 1); /* one after the other */
    ln_page page;
    fill(&f, 3, &page);
    interest(&f, 2, LN_MAIL_INTEREST);
    say(&f, 2, 0, 0);
    assert_trace(&f, "2:i9 2:d10 ");
    ln_homes_page(&f.homes, LN_SLICE("c"), LINNET_OK, &page);
    assert_trace(&f, "2:p10[4-9] ");
    assert_int_equal(f.reads, 2);
    f.head = 13;
    ln_homes_arrived(&f.homes, logged(13)); /* a gap waits for its turn */
    ln_homes_page(&f.homes, LN_SLICE("c"), LINNET_ERR_TIMEOUT, &(ln_page){ 0 });
    assert_trace(&f, "0:p! ");
    assert_int_equal(f.reads, 3);
    assert_int_equal(f.read_since, 10);
    ln_homes_mail(&f.homes, &question(0, 11, 1000)->letter);
    fill(&f, 10, &page);
    ln_homes_page(&f.homes, LN_SLICE("c"), LINNET_OK, &page);
    assert_trace(&f, "2:d11 2:d12 2:d13 ");
    assert_int_equal(f.reads, 4);
    ln_homes_mail(&f.homes, &question(0, 12, 1000)->letter); /* both are left to the end */
    end(&f);
}

/* Who gets the last letter may be done with it before the home looks again: here at once. A worker
 * that says something, and nobody at the home's own listens. */
static void test_the_last_letter_is_for_another(void **state) {
    (void)state;
    static const struct {
        const char *why;
        uint8_t flags;
        const char *want;
    } rows[] = {
        { "kept", 0, "0:d1 2:b1 " },
        { "volatile", LN_PUB_VOLATILE, "0:d0 2:b0 " },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        fake f = { .head = 0 };
        begin(&f);
        interest(&f, 0, LN_MAIL_INTEREST);
        interest(&f, 2, LN_MAIL_INTEREST);
        assert_trace(&f, "0:i0 2:i0 ");
        say(&f, 2, 7, rows[i].flags);
        assert_trace(&f, rows[i].want);
        end(&f);
    }
}

static void test_pins(void **state) {
    (void)state;
    fake f = { .head = 9, .first = 4, .keep = true };
    begin(&f);
    ln_reading *m = question(2, 3, 0);
    m->pins = true;
    interest(&f, 2, LN_MAIL_INTEREST);
    ln_homes_mail(&f.homes, &m->letter);
    assert_trace(&f, "2:i9 2:p9 ");
    assert_ptr_equal(f.page, m);
    assert_true(m->owed);
    assert_int_equal(f.pinned[3], 1);
    interest(&f, 2, LN_MAIL_DISINTEREST);
    assert_int_equal(f.homes.idle_count, 0); /* it is needed still */
    m->limit = 4;
    again(&f, m, 2, LN_MAIL_READ);
    assert_trace(&f, "2:p9[4-7] ");
    assert_int_equal(f.pinned[7], 1);
    assert_int_equal(f.pins, 1);
    again(&f, m, 2, LN_MAIL_READ); /* to the end: nothing is owed any more */
    assert_trace(&f, "2:p9[8-9] ");
    assert_int_equal(f.pins, 0);
    assert_false(m->owed);
    assert_int_equal(f.homes.idle_count, 1);
    ln_reading_free(m);

    m = question(2, 3, 2); /* one that gives up */
    m->pins = true;
    ln_homes_mail(&f.homes, &m->letter);
    assert_int_equal(f.pinned[5], 1);
    again(&f, m, 2, LN_MAIL_UNREAD);
    assert_int_equal(f.pins, 0);
    assert_int_equal(f.homes.idle_count, 1);

    m = question(2, 3, 2); /* one that takes too long */
    m->pins = true;
    ln_homes_mail(&f.homes, &m->letter);
    assert_int_equal(ln_homes_deadline(&f.homes), LN_HOME_PIN_MS);
    f.homes.now = LN_HOME_PIN_MS - 1;
    ln_homes_tick(&f.homes);
    assert_int_equal(f.pins, 1);
    f.homes.now = LN_HOME_PIN_MS;
    ln_homes_tick(&f.homes);
    assert_int_equal(f.pins, 0);
    again(&f, m, 2, LN_MAIL_READ); /* it is there still, but nobody holds it */
    assert_int_equal(f.pins, 0);
    f.first = 9;
    assert_trace(&f, "2:p9[4-5] 2:p9[4-5] 2:p9[6-7] ");
    again(&f, m, 2, LN_MAIL_READ);
    assert_trace(&f, "2:p! ");
    ln_reading_free(m);

    m = question(2, 8, 0);
    m->pins = true;
    f.pin_err = LINNET_ERR_LIMIT;
    ln_homes_mail(&f.homes, &m->letter);
    assert_trace(&f, "2:p! ");
    assert_false(m->owed);
    ln_reading_free(m);

    f.pin_err = 0;
    m = question(2, 8, 0); /* left over at the end */
    m->pins = true;
    ln_homes_mail(&f.homes, &m->letter);
    end(&f);
    ln_mail_discard(&m->letter);
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

static void say_key(fake *f, const char *key) {
    uint8_t packed[LN_KEY_PACKED_MAX];
    ln_publish what = { .channel = LN_SLICE("c"), .data = LN_SLICE("1"), .who = 9 };
    what.key = ln_slice_of(packed, ln_key_put(LN_SLICE("me"), ln_slice_str(key), packed));
    ln_publication *p = ln_publication_new(&what, 3);
    p->letters[1].kind = LN_MAIL_PUBLISH;
    p->letters[1].from = 2;
    ln_homes_mail(&f->homes, &p->letters[1]);
}

/* With the same key once, however often it comes: answered with its place, delivered once. */
static void test_keys(void **state) {
    (void)state;
    fake f = { .head = 3 };
    begin(&f);
    interest(&f, 0, LN_MAIL_INTEREST);
    say_key(&f, "k");
    say_key(&f, "k");
    say_key(&f, "l");
    say_key(&f, "k");
    assert_trace(&f, "0:i3 0:d4 2:a4 2:a4 0:d5 2:a5 2:a4 ");
    assert_int_equal(ln_stat_get(&f.homes.repeated), 2);
    f.publish_err = LINNET_ERR_NOMEM; /* what failed may come again */
    say_key(&f, "m");
    f.publish_err = 0;
    say_key(&f, "m");
    assert_trace(&f, "2:!0 0:d6 2:a6 ");
    f.late_publish = true; /* one that has no answer yet */
    say_key(&f, "n");
    ln_publication *first = f.asked;
    say_key(&f, "n");
    assert_trace(&f, "2:!0 ");
    ln_homes_published(&f.homes, first, LINNET_OK, (ln_position){ EPOCH, 7 });
    say_key(&f, "n");
    assert_trace(&f, "0:d7 2:a7 2:a7 ");
    f.late_publish = false;
    f.head = 7;
    f.homes.now = LN_DEDUP_MS; /* long ago */
    ln_homes_tick(&f.homes);
    say_key(&f, "k");
    assert_trace(&f, "0:d8 2:a8 ");
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
    f.head = 6 + 2 * LN_HOME_GAP_PAGE + 7;
    f.traced = 0;
    ln_homes_arrived(&f.homes, logged(f.head));
    assert_int_equal(f.reads, 1 + 3);
    assert_int_equal(ln_stat_get(&f.homes.mailed), 3 + 2 * LN_HOME_GAP_PAGE + 7);
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
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_gap_is_read),
        cmocka_unit_test(test_gap_read_late),
        cmocka_unit_test(test_gap_given_up),
        cmocka_unit_test(test_another_life),
        cmocka_unit_test(test_lingering),
        cmocka_unit_test(test_too_many_linger),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_reading_late),
        cmocka_unit_test(test_the_last_letter_is_for_another),
        cmocka_unit_test(test_pins),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
