/* The logs themselves, and then whole nodes of one, two and four workers over them. */
#include "base/mem.h"
#include "base/testing.h"
#include "broker/memory.h"
#include "hub/hub.h"
#include <stdio.h>

static const ln_map_key key = { 11, 22 };

/* Logs ------------------------------------------------------------------------------------ */

typedef struct shelf {
    ln_rand rand;
    ln_broker *b;
    ln_retention keep; /* of the logs opened next */
} shelf;

static void shelf_open(shelf *s, const ln_memory_options *o) {
    ln_rand_init_seeded(&s->rand, 1);
    s->keep = (ln_retention)LN_RETENTION_INIT;
    ln_memory_options options = *o;
    options.key = key;
    options.rand = &s->rand;
    assert_int_equal(ln_memory_new(&options, &s->b), LINNET_OK);
}

static ln_log_handle *log_open(shelf *s, const char *name, ln_position *head) {
    ln_log_handle *log = NULL;
    assert_int_equal(s->b->ops->open(s->b, ln_slice_str(name), &s->keep, &log, head), LN_DONE);
    return log;
}

static int log_add(shelf *s, ln_log_handle *log, size_t size, ln_position *at) {
    static const uint8_t bytes[4096];
    ln_publish what = { .channel = LN_SLICE("c"), .data = ln_slice_of(bytes, size) };
    ln_publication *p = ln_publication_new(&what, 1);
    int err = s->b->ops->publish(s->b, log, p, at);
    p->at = *at;
    ln_publication_unref(p);
    return err;
}

/* Reads from `since` to the end; how many came, in order; negative: the error. */
static int log_read(shelf *s, ln_log_handle *log, uint64_t since) {
    int total = 0;
    for (;;) {
        ln_page page;
        ln_span span = { .since = since, .limit = 64, .bytes = UINT32_MAX };
        int err = s->b->ops->read(s->b, log, &span, &page);
        if (err < 0) return err;
        if (page.count == 0) return total;
        for (uint32_t i = 0; i < page.count; i++) {
            assert_int_equal(page.items[i]->at.offset, ++since);
            ln_publication_unref(page.items[i]);
            total++;
        }
    }
}

/* What is open keeps less, or more, from the moment it is told. */
static void test_keep(void **state) {
    shelf s;
    shelf_open(&s, &(ln_memory_options){ .idle_max = 0 });
    ln_position at;
    ln_log_handle *log = log_open(&s, "c", &at);
    for (int i = 0; i < 5; i++)
        assert_int_equal(log_add(&s, log, 10, &at), LN_DONE);
    ln_retention less = LN_RETENTION_INIT;
    less.count = 2;
    s.b->ops->keep(s.b, log, &less);
    assert_int_equal(log_read(&s, log, 3), 2);
    assert_int_equal(log_read(&s, log, 2), LINNET_ERR_NOT_FOUND);
    s.b->ops->keep(s.b, log, &s.keep);
    for (int i = 0; i < 5; i++)
        assert_int_equal(log_add(&s, log, 10, &at), LN_DONE);
    assert_int_equal(log_read(&s, log, 3), 7);
    s.b->ops->close(s.b, log);
    s.b->ops->free(s.b);
}

static void test_offsets(void **state) {
    (void)state;
    shelf s;
    ln_position head, at;
    shelf_open(&s, &(ln_memory_options){ 0 });
    ln_log_handle *log = log_open(&s, "c", &head);
    assert_int_not_equal(head.epoch, 0);
    assert_int_equal(head.offset, 0);
    for (uint64_t i = 1; i <= 250; i++) {
        assert_int_equal(log_add(&s, log, 10, &at), LN_DONE);
        assert_int_equal(at.offset, i);
        assert_int_equal(at.epoch, head.epoch);
    }
    ln_log_handle *other = log_open(&s, "d", &at);
    assert_int_equal(at.offset, 0);
    assert_int_not_equal(at.epoch, head.epoch);
    assert_int_equal(log_read(&s, log, 250), 0);
    assert_int_equal(log_read(&s, log, 151), 99);
    assert_int_equal(log_read(&s, log, 150), 100);
    assert_int_equal(log_read(&s, log, 149), LINNET_ERR_NOT_FOUND);
    assert_int_equal(log_read(&s, log, 251), LINNET_ERR_NOT_FOUND);
    s.b->ops->close(s.b, other);
    s.b->ops->close(s.b, log);
    assert_int_equal(ln_stat_get(&ln_memory_stats_of(s.b)->logs), 1);
    s.b->ops->free(s.b);
}

#define DAY  (24 * 3600 * 1000)
#define MANY 1000000

static void test_trimming(void **state) {
    (void)state;
    static const struct {
        const char *why;
        ln_retention keep;
        uint64_t all; /* bytes of all logs; 0: any */
        size_t size;
        int kept; /* of ten, one second apart */
    } rows[] = {
        { "by count", { 3, DAY, MANY }, 0, 10, 3 },
        { "one only", { 1, DAY, MANY }, 0, 10, 1 },
        { "by bytes", { MANY, DAY, 5 * 1200 }, 0, 1000, 5 },
        { "none that fits", { MANY, DAY, 500 }, 0, 1000, 0 },
        { "by age", { MANY, 4000, MANY }, 0, 10, 4 },
        { "by the bytes of all", { MANY, DAY, MANY }, 2 * 1200, 1000, 2 },
        { "not at all", LN_RETENTION_INIT, 0, 10, 10 },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        shelf s;
        ln_position head, at;
        shelf_open(&s, &(ln_memory_options){ .total_bytes_max = rows[i].all });
        s.keep = rows[i].keep;
        ln_log_handle *log = log_open(&s, "c", &head);
        for (int n = 0; n < 10; n++) {
            s.b->now += 1000;
            assert_int_equal(log_add(&s, log, rows[i].size, &at), LN_DONE);
        }
        assert_int_equal(at.offset, 10);
        int kept = rows[i].kept;
        assert_int_equal(log_read(&s, log, 10), 0);
        assert_int_equal(log_read(&s, log, (uint64_t)(10 - kept)), kept);
        if (kept < 10)
            assert_int_equal(log_read(&s, log, (uint64_t)(9 - kept)), LINNET_ERR_NOT_FOUND);
        assert_int_equal(ln_stat_get(&ln_memory_stats_of(s.b)->kept), kept);
        s.b->ops->close(s.b, log);
        s.b->ops->free(s.b);
    }
}

/* Each log by its own retention, though another one was published to before. */
static void test_retentions_side_by_side(void **state) {
    (void)state;
    shelf s;
    ln_position at;
    shelf_open(&s, &(ln_memory_options){ 0 });
    s.keep.age_ms = 60000;
    ln_log_handle *slow = log_open(&s, "slow", &at);
    s.keep.age_ms = 1000;
    ln_log_handle *quick = log_open(&s, "quick", &at);
    log_add(&s, slow, 1, &at);
    log_add(&s, quick, 1, &at);
    assert_int_equal(s.b->ops->deadline(s.b), 1000);
    s.b->now = 1000;
    s.b->ops->tick(s.b);
    assert_int_equal(log_read(&s, slow, 0), 1);
    assert_int_equal(log_read(&s, quick, 0), LINNET_ERR_NOT_FOUND);
    assert_int_equal(s.b->ops->deadline(s.b), 60000);

    /* opened again with less: what is too old goes at once, the position stays */
    s.b->ops->close(s.b, slow);
    s.b->now = 2000;
    slow = log_open(&s, "slow", &at);
    assert_int_equal(at.offset, 1);
    assert_int_equal(log_read(&s, slow, 0), LINNET_ERR_NOT_FOUND);
    log_add(&s, slow, 1, &at);
    assert_int_equal(s.b->ops->deadline(s.b), 3000);
    s.b->ops->close(s.b, quick);
    s.b->ops->close(s.b, slow);
    s.b->ops->free(s.b);
}

static void test_the_epoch_outlives(void **state) {
    (void)state;
    shelf s;
    ln_position head, at;
    shelf_open(&s, &(ln_memory_options){ .idle_max = 2 });
    s.b->now = 5000;
    ln_log_handle *log = log_open(&s, "c", &head);
    log_add(&s, log, 10, &at);
    s.b->ops->close(s.b, log);
    assert_int_equal(s.b->ops->deadline(s.b), 5000 + 300 * 1000);

    s.b->now = 5000 + 300 * 1000; /* history goes, the position stays */
    s.b->ops->tick(s.b);
    assert_int_equal(ln_stat_get(&ln_memory_stats_of(s.b)->kept), 0);
    log = log_open(&s, "c", &at);
    assert_int_equal(at.epoch, head.epoch);
    assert_int_equal(at.offset, 1);
    assert_int_equal(log_read(&s, log, 0), LINNET_ERR_NOT_FOUND);
    assert_int_equal(log_read(&s, log, 1), 0);
    s.b->ops->close(s.b, log);

    ln_msec due = s.b->now + 24 * 3600 * 1000;
    assert_int_equal(s.b->ops->deadline(s.b), due);
    s.b->now = due - 1;
    s.b->ops->tick(s.b);
    assert_int_equal(ln_stat_get(&ln_memory_stats_of(s.b)->logs), 1);
    s.b->now = due;
    s.b->ops->tick(s.b);
    assert_int_equal(ln_stat_get(&ln_memory_stats_of(s.b)->logs), 0);
    assert_int_equal(ln_stat_get(&ln_memory_stats_of(s.b)->forgotten), 1);
    assert_int_equal(s.b->ops->deadline(s.b), LN_NEVER);

    uint64_t epochs[3];
    for (int i = 0; i < 3; i++) { /* one more than are remembered */
        log = log_open(&s, (const char *[]){ "x", "y", "z" }[i], &head);
        epochs[i] = head.epoch;
        log_add(&s, log, 1, &at);
        s.b->ops->close(s.b, log);
    }
    for (int i = 2; i >= 0; i--) {
        log = log_open(&s, (const char *[]){ "x", "y", "z" }[i], &head);
        assert_int_equal(head.epoch == epochs[i], i > 0);
        s.b->ops->close(s.b, log);
    }
    s.b->ops->free(s.b);
}

static void test_too_many_logs(void **state) {
    (void)state;
    shelf s;
    ln_position at;
    shelf_open(&s, &(ln_memory_options){ .logs_max = 2 });
    ln_log_handle *a = log_open(&s, "a", &at), *b = log_open(&s, "b", &at), *c = NULL;
    log_add(&s, b, 1, &at);
    assert_int_equal(s.b->ops->open(s.b, LN_SLICE("c"), &s.keep, &c, &at), LINNET_ERR_LIMIT);
    s.b->ops->close(s.b, b);
    c = log_open(&s, "c", &at); /* what nobody holds makes room */
    s.b->ops->close(s.b, a);
    s.b->ops->close(s.b, c);
    s.b->ops->free(s.b);
}

static void test_reading(void **state) {
    (void)state;
    static const struct {
        const char *why;
        ln_span span;
        int first, count; /* negative: the error */
    } rows[] = {
        /* 6 to 15 are kept */
        { "all that is kept", { .limit = 1000, .bytes = 1 << 20, .any = true }, 6, 10 },
        { "some of it", { .limit = 3, .bytes = 1 << 20, .any = true }, 6, 3 },
        { "behind one", { .since = 9, .limit = 3, .bytes = 1 << 20 }, 10, 3 },
        { "nothing follows", { .since = 15, .limit = 3, .bytes = 1 << 20 }, 0, 0 },
        { "only whether it is kept", { .since = 5, .limit = 0, .bytes = 1 << 20 }, 0, 0 },
        { "it is not", { .since = 4, .limit = 0 }, 0, LINNET_ERR_NOT_FOUND },
        { "beyond the head", { .since = 16, .limit = 9 }, 0, LINNET_ERR_NOT_FOUND },
        { "the furthest", { .since = UINT64_MAX, .limit = 9 }, 0, LINNET_ERR_NOT_FOUND },
        { "any beyond the head", { .since = UINT64_MAX, .limit = 9, .any = true }, 0, 0 },
        { "one always fits", { .since = 9, .limit = 9, .bytes = 1 }, 10, 1 },
        { "so many bytes", { .since = 9, .limit = 9, .bytes = 3 * (192 + 1 + 100) }, 10, 3 },
        { "one byte less", { .since = 9, .limit = 9, .bytes = 3 * (192 + 1 + 100) - 1 }, 10, 2 },
        { "the newest first", { UINT64_MAX, 3, 1 << 20, .reverse = true }, 15, 3 },
        { "before one", { 8, 9, 1 << 20, .reverse = true }, 7, 2 },
        { "before the first", { 6, 9, 1 << 20, .reverse = true }, 0, 0 },
        { "before what is gone", { 3, 9, 1 << 20, .reverse = true }, 0, 0 },
        { "before all", { 0, 9, 1 << 20, .reverse = true }, 0, 0 },
    };
    shelf s;
    ln_position at;
    shelf_open(&s, &(ln_memory_options){ 0 });
    s.keep.count = 10;
    ln_log_handle *log = log_open(&s, "c", &at);
    for (int i = 0; i < 15; i++)
        log_add(&s, log, 100, &at);
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        static ln_page page;
        int err = s.b->ops->read(s.b, log, &rows[i].span, &page);
        assert_int_equal(err, rows[i].count < 0 ? rows[i].count : LN_DONE);
        if (err < 0) continue;
        assert_int_equal(page.count, rows[i].count);
        for (uint32_t n = 0; n < page.count; n++) {
            int step = rows[i].span.reverse ? -(int)n : (int)n;
            assert_int_equal(page.items[n]->at.offset, rows[i].first + step);
            ln_publication_unref(page.items[n]);
        }
    }
    s.b->ops->close(s.b, log);
    s.b->ops->free(s.b);
}

/* A log of ten, of which 11 to 20 are kept and 14 and what follows is pinned. */
static ln_log_handle *pinned_log(shelf *s, const ln_memory_options *o) {
    ln_position at;
    shelf_open(s, o);
    s->keep.count = 10;
    s->keep.age_ms = 5000;
    s->keep.bytes = 10 * 1200;
    ln_log_handle *log = log_open(s, "c", &at);
    for (int i = 0; i < 20; i++)
        log_add(s, log, 10, &at);
    assert_int_equal(s->b->ops->pin(s->b, log, 9), LINNET_ERR_NOT_FOUND);
    assert_int_equal(s->b->ops->pin(s->b, log, 20), LINNET_ERR_NOT_FOUND);
    assert_int_equal(s->b->ops->pin(s->b, log, UINT64_MAX), LINNET_ERR_NOT_FOUND);
    assert_int_equal(s->b->ops->pin(s->b, log, 13), LINNET_OK);
    return log;
}

static void pinned_end(shelf *s, ln_log_handle *log) {
    s->b->ops->close(s->b, log);
    s->b->ops->free(s->b);
}

static void test_pinned(void **state) {
    (void)state;
    shelf s;
    ln_position at;
    ln_log_handle *log = pinned_log(&s, &(ln_memory_options){ 0 });
    for (int i = 0; i < 12; i++) /* to 32 */
        assert_int_equal(log_add(&s, log, 10, &at), LN_DONE);
    assert_int_equal(log_read(&s, log, 13), 19);
    assert_int_equal(log_read(&s, log, 12), LINNET_ERR_NOT_FOUND);

    /* neither its age, nor a tick, takes it away */
    s.b->now = 60000;
    s.b->ops->tick(s.b);
    assert_int_equal(s.b->ops->deadline(s.b), LN_NEVER);
    assert_int_equal(log_read(&s, log, 13), 19);

    /* a second one further on; when the first goes, it is the one that counts */
    assert_int_equal(s.b->ops->pin(s.b, log, 30), LINNET_OK);
    assert_int_equal(s.b->ops->pin(s.b, log, 30), LINNET_OK);
    s.b->ops->unpin(s.b, log, 13);
    assert_int_equal(log_read(&s, log, 30), 2);
    assert_int_equal(log_read(&s, log, 29), LINNET_ERR_NOT_FOUND);
    s.b->ops->unpin(s.b, log, 30);
    assert_int_equal(log_read(&s, log, 30), 2);
    s.b->ops->unpin(s.b, log, 30);
    assert_int_equal(log_read(&s, log, 30), LINNET_ERR_NOT_FOUND);
    s.b->ops->unpin(s.b, log, 30); /* it is gone, and so was the pin */
    log_add(&s, log, 10, &at);
    assert_int_equal(s.b->ops->deadline(s.b), 65000);
    pinned_end(&s, log);
}

static void test_pins_have_an_end(void **state) {
    (void)state;
    static const struct {
        const char *why;
        uint64_t all;
        size_t size;
        int kept; /* of a hundred more, the oldest of which stands where the pin was or later */
    } rows[] = {
        { "four times the count", 0, 10, 40 },
        { "four times the bytes", 0, 2000, 10 },
        { "the bytes of all", 9 * 1200, 1000, 8 },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        shelf s;
        ln_position at;
        ln_log_handle *log = pinned_log(&s, &(ln_memory_options){ .total_bytes_max = rows[i].all });
        uint64_t most = 0;
        for (int n = 0; n < 100; n++) {
            assert_int_equal(log_add(&s, log, rows[i].size, &at), LN_DONE);
            uint64_t kept = ln_stat_get(&ln_memory_stats_of(s.b)->kept);
            if (kept > most) most = kept;
            assert_true(kept <= 40);
        }
        /* Then the pin was gone, and the log is what it ever was. */
        assert_true(ln_stat_get(&ln_memory_stats_of(s.b)->kept) <= 10);
        assert_int_equal(log_read(&s, log, 13), LINNET_ERR_NOT_FOUND);
        assert_true(most >= (uint64_t)rows[i].kept);
        s.b->ops->unpin(s.b, log, 13);
        s.b->now += 5000;
        s.b->ops->tick(s.b);
        assert_int_equal(ln_stat_get(&ln_memory_stats_of(s.b)->kept), 0);
        pinned_end(&s, log);
    }
}

static void test_memory(void **state) {
    (void)state;
    bool done = false;
    for (uint64_t fail = 1; !done; fail++) {
        ln_test_memory memory = { 0 };
        ln_test_memory_install(&memory);
        shelf s;
        ln_position at = { 0 };
        shelf_open(&s, &(ln_memory_options){ 0 });
        s.keep.count = 9;
        memory.fail_at = memory.calls + fail;
        ln_log_handle *log = NULL;
        ln_publish what = { .channel = LN_SLICE("c") };
        uint64_t offset = 0;
        if (s.b->ops->open(s.b, LN_SLICE("c"), &s.keep, &log, &at) == LN_DONE) {
            for (int i = 0; i < 20; i++) {
                ln_publication *p = ln_publication_new(&what, 1);
                if (!p) continue;
                if (s.b->ops->publish(s.b, log, p, &at) == LN_DONE)
                    assert_int_equal(at.offset, ++offset);
                p->at = at;
                ln_publication_unref(p);
            }
            if (offset >= 9) assert_int_equal(log_read(&s, log, offset - 9), 9);
            s.b->ops->close(s.b, log);
        }
        done = memory.calls < memory.fail_at;
        s.b->ops->free(s.b);
        assert_int_equal(memory.live, 0);
        ln_test_memory_remove();
        assert_true(fail < 100);
    }
}

/* Nodes ---------------------------------------------------------------------------------------
 *
 * Workers in one thread, a FIFO between each ordered pair, and a die that says which letter
 * arrives next. GUARANTEES.md 3.3: I2 to I5 and I7 are checked at each delivery, I1 and I9 at the
 * end. */

#define WORKERS    4
#define CHANNELS   3
#define PER_WORKER 6
#define LOG_MAX    4000
#define PUBLISHERS 4

typedef struct node node;
typedef struct reader {
    ln_subscription s;
    node *n;
    uint32_t worker;
    int channel; /* -1: in none */
    bool joined, leaves;
    bool recovers, behind, waits; /* it was here before; has a page to ask for */
    ln_position left[CHANNELS];   /* where it was when it left, epoch 0: never */
    ln_msec since;                /* when it asked to recover */
    uint64_t cut;                 /* of the replay */
    ln_position at;               /* last seen, from where it joined */
    uint32_t heard[PUBLISHERS];   /* last number of each, in this channel and since it joined */
    uint32_t owed[PUBLISHERS];    /* to be heard before it has left, from who lives where it does */
    uint32_t said[PUBLISHERS];    /* when it asked to join */
} reader;

struct node {
    ln_rand rand;
    uint32_t workers;
    ln_hub *hubs[WORKERS];
    ln_letter *first[WORKERS][WORKERS], *last[WORKERS][WORKERS];
    reader readers[WORKERS * PER_WORKER];
    ln_position head[CHANNELS];
    uint32_t log[CHANNELS][LOG_MAX]; /* publisher << 16 | number, by offset */
    uint32_t said[PUBLISHERS][CHANNELS], answered, asked, left;
    uint32_t recovered, unrecovered, pages;
    ln_msec now;
};

static const char *const names[CHANNELS] = { "alpha", "beta", "gamma" };

typedef struct desk { /* a hub's ctx */
    node *n;
    uint32_t worker;
} desk;

static void node_post(void *ctx, uint32_t worker, ln_letter *letter) {
    desk *d = ctx;
    letter->next = NULL;
    ln_letter **first = &d->n->first[d->worker][worker], **last = &d->n->last[d->worker][worker];
    if (*first)
        (*last)->next = letter;
    else
        *first = letter;
    *last = letter;
}

static uint32_t payload(const ln_publication *p) {
    uint32_t value;
    assert_int_equal(ln_publication_data(p).size, sizeof value);
    memcpy(&value, ln_publication_data(p).data, sizeof value);
    return value;
}

/* Everybody who learns what is at an offset must learn the same. */
static void agree(node *n, int channel, ln_position at, uint32_t value) {
    assert_true(at.offset > 0 && at.offset < LOG_MAX);
    if (!n->head[channel].epoch) n->head[channel].epoch = at.epoch;
    assert_int_equal(at.epoch, n->head[channel].epoch);
    uint32_t *slot = &n->log[channel][at.offset];
    if (*slot) assert_int_equal(*slot, value);
    *slot = value;
    if (at.offset > n->head[channel].offset) n->head[channel].offset = at.offset;
}

static void hear(reader *r, const ln_publication *p) {
    assert_true(ln_slice_eq(ln_publication_channel(p), ln_slice_str(names[r->channel])));
    assert_int_equal(p->at.epoch, r->at.epoch);
    assert_int_equal(p->at.offset, r->at.offset + 1);
    r->at = p->at;
    uint32_t value = payload(p), who = value >> 16, number = value & 0xffff;
    assert_true(number <= r->n->said[who][r->channel]);
    assert_true(number > r->heard[who]);
    r->heard[who] = number;
    agree(r->n, r->channel, p->at, value);
}

static void node_deliver(void *ctx, ln_row *row, const ln_publication *p) {
    (void)ctx;
    for (uint32_t i = 0; i < row->count; i++)
        if (row->seats[i].target) hear(row->seats[i].target, p);
}

static void node_joined(reader *r) {
    r->joined = true;
    if (r->recovers) {
        ln_position at = ln_subscription_at(&r->s), was = r->left[r->channel];
        bool same = at.epoch == was.epoch && at.offset == was.offset;
        r->n->recovered += same;
        r->n->unrecovered += !same;
        for (int p = 0; p < PUBLISHERS && !same; p++) /* it begins where it is told that it does */
            r->said[p] = r->n->said[p][r->channel];
    }
    r->recovers = false;
    r->at = ln_subscription_at(&r->s);
    memset(r->heard, 0, sizeof r->heard);
}

static void node_subscribed(void *ctx, ln_subscription *s, int err) {
    (void)ctx;
    assert_int_equal(err, LINNET_OK);
    node_joined((reader *)(void *)s);
}

static void node_published(void *ctx, const ln_publication *p) {
    desk *d = ctx;
    assert_int_equal(p->err, LINNET_OK);
    int channel = ln_publication_re(p).data[0];
    assert_int_equal(p->who, payload(p));
    agree(d->n, channel, p->at, payload(p));
    d->n->answered++;
}

static void node_replay(void *ctx, ln_subscription *s, const ln_replay *page) {
    (void)ctx;
    reader *r = (reader *)(void *)s;
    if (page->first) { /* I6: from here on it hears all, from where it was */
        assert_true(r->recovers && !r->joined);
        r->at = r->left[r->channel];
        r->cut = page->cut;
        assert_int_equal(page->owed, page->cut - r->at.offset);
        assert_true(page->owed > 0);
        memset(r->heard, 0, sizeof r->heard);
        r->joined = true;
        r->n->recovered++;
    }
    r->recovers = false;
    assert_int_equal(page->cut, r->cut);
    for (uint32_t i = 0; i < page->count; i++)
        hear(r, page->items[i]);
    r->behind = !ln_subscription_joined(s);
    r->waits = r->behind;
    if (!r->behind) assert_int_equal(r->at.offset, ln_subscription_at(s).offset);
    r->n->pages++;
}

static void node_reset(void *ctx, ln_subscription *s, ln_slice channel) {
    (void)ctx;
    (void)channel;
    (void)s;
    fail_msg("nothing is lost here");
}

static void node_gone(reader *r) {
    if (r->joined) r->left[r->channel] = r->at;
    r->channel = -1;
    r->joined = r->leaves = r->recovers = r->behind = r->waits = false;
}

/* What is pinned stays, but not for ever. */
static void node_lost(void *ctx, ln_subscription *s) {
    const desk *d = ctx;
    reader *r = (reader *)(void *)s;
    assert_true(d->n->now - r->since >= LN_HOME_PIN_MS);
    node_gone(r);
}

static void node_left(void *ctx, ln_subscription *s, ln_slice note) {
    desk *d = ctx;
    reader *r = (reader *)(void *)s;
    assert_true(r->leaves);
    assert_int_equal(note.size, 1);
    assert_int_equal(note.data[0], r->channel);
    for (uint32_t p = d->worker; p < PUBLISHERS; p += d->n->workers)
        if (r->owed[p] > r->said[p]) assert_true(r->heard[p] >= r->owed[p]);
    ln_hub_unsubscribe(d->n->hubs[d->worker], s);
    node_gone(r);
    d->n->left++;
}

/* Leaves behind what was said. */
static void node_leave(node *n, reader *r) {
    uint8_t note = (uint8_t)r->channel;
    for (int p = 0; p < PUBLISHERS; p++)
        r->owed[p] = n->said[p][r->channel];
    r->leaves = true;
    assert_int_equal(ln_hub_leave(n->hubs[r->worker], &r->s, ln_slice_of(&note, 1)), LN_PENDING);
}

static void node_say(node *n, uint32_t publisher) {
    int channel = (int)ln_rand_below(&n->rand, CHANNELS);
    uint32_t value = publisher << 16 | ++n->said[publisher][channel];
    uint8_t re = (uint8_t)channel;
    ln_publish what = {
        .channel = ln_slice_str(names[channel]),
        .data = ln_slice_of(&value, sizeof value),
        .re = ln_slice_of(&re, 1),
    };
    if (publisher) { /* the first one never waits */
        what.who = value;
        n->asked++;
    }
    /* Each publisher lives on one worker. */
    assert_int_equal(ln_hub_publish(n->hubs[publisher % n->workers], &what), LINNET_OK);
}

static void node_move(node *n) {
    reader *r = &n->readers[ln_rand_below(&n->rand, n->workers * PER_WORKER)];
    ln_hub *hub = n->hubs[r->worker];
    if (r->waits && ln_rand_below(&n->rand, 4)) {
        r->waits = false;
        ln_hub_more(hub, &r->s, 1 + ln_rand_below(&n->rand, 2000));
        return;
    }
    if (r->channel >= 0 && !r->leaves && !ln_subscription_replay(&r->s) &&
        ln_rand_below(&n->rand, 2)) {
        node_leave(n, r);
        return;
    }
    if (r->channel >= 0) { /* at once, or because the connection died while it was leaving */
        ln_hub_unsubscribe(hub, &r->s);
        node_gone(r);
        return;
    }
    r->channel = (int)ln_rand_below(&n->rand, CHANNELS);
    for (int p = 0; p < PUBLISHERS; p++)
        r->said[p] = n->said[p][r->channel];
    ln_slice name = ln_slice_str(names[r->channel]);
    r->since = n->now;
    r->recovers = r->left[r->channel].epoch && ln_rand_below(&n->rand, 4);
    int done = r->recovers ? ln_hub_recover(hub, &r->s, name, r->left[r->channel],
                                 ln_rand_below(&n->rand, 3) * 700)
                           : ln_hub_subscribe(hub, &r->s, LN_SPACE_CHANNELS, name);
    assert_true(done == LN_DONE || done == LN_PENDING);
    if (done == LN_DONE) node_joined(r);
}

/* One letter from a pair that the die chooses; false when all are empty. */
static bool node_mail(node *n) {
    uint32_t pairs = n->workers * n->workers, start = ln_rand_below(&n->rand, pairs);
    for (uint32_t i = 0; i < pairs; i++) {
        uint32_t from = (start + i) % pairs / n->workers, to = (start + i) % n->workers;
        ln_letter *letter = n->first[from][to];
        if (!letter) continue;
        n->first[from][to] = letter->next;
        ln_hub_mail(n->hubs[to], letter);
        return true;
    }
    return false;
}

static void node_tick(node *n) {
    n->now += ln_rand_below(&n->rand, 3000);
    for (uint32_t i = 0; i < n->workers; i++)
        ln_hub_tick(n->hubs[i], n->now, n->now);
}

static void node_open(node *n, desk *desks, uint32_t workers, uint64_t seed) {
    *n = (node){ .workers = workers };
    ln_rand_init_seeded(&n->rand, seed);
    for (uint32_t i = 0; i < workers; i++) {
        desks[i] = (desk){ n, i };
        ln_broker *b;
        ln_memory_options mo = { .key = key, .rand = &n->rand };
        assert_int_equal(ln_memory_new(&mo, &b), LINNET_OK);
        ln_hub_options o = { .self = i,
            .workers = workers,
            .key = key,
            .broker = b,
            .ctx = &desks[i],
            .post = node_post };
        assert_int_equal(ln_hub_new(&o, &n->hubs[i]), LINNET_OK);
        ln_hub_user user = { .ctx = &desks[i],
            .deliver = node_deliver,
            .subscribed = node_subscribed,
            .published = node_published,
            .reset = node_reset,
            .left = node_left,
            .replay = node_replay,
            .lost = node_lost };
        ln_hub_use(n->hubs[i], 0, &user);
        ln_hub_use(n->hubs[i], 1, &user);
        for (uint32_t j = 0; j < PER_WORKER; j++) {
            reader *r = &n->readers[i * PER_WORKER + j];
            *r = (reader){ .n = n, .worker = i, .channel = -1 };
            ln_subscription_init(&r->s, (uint8_t)(j % 2), r);
        }
    }
}

static void node_close(node *n) {
    for (uint32_t i = 0; i < n->workers * PER_WORKER; i++)
        ln_hub_unsubscribe(n->hubs[n->readers[i].worker], &n->readers[i].s);
    for (uint32_t i = 0; i < n->workers; i++)
        ln_hub_free(n->hubs[i]);
    for (uint32_t i = 0; i < n->workers; i++)
        for (uint32_t j = 0; j < n->workers; j++)
            for (ln_letter *next, *letter = n->first[i][j]; letter; letter = next) {
                next = letter->next;
                ln_mail_discard(letter);
            }
}

/* Until all mail is read, and all who are behind have caught up. */
static void node_settle(node *n) {
    for (bool busy = true; busy;) {
        busy = false;
        while (node_mail(n))
            busy = true;
        for (uint32_t i = 0; i < n->workers * PER_WORKER; i++) {
            reader *r = &n->readers[i];
            if (!r->waits) continue;
            r->waits = false;
            ln_hub_more(n->hubs[r->worker], &r->s, 500);
            busy = true;
        }
    }
}

static void live(uint32_t workers, uint64_t seed) {
    static node n; /* large */
    static desk desks[WORKERS];
    node_open(&n, desks, workers, seed);
    uint32_t haste = 1 + ln_rand_below(&n.rand, 20);
    for (int step = 0; step < 4000; step++) {
        uint32_t die = ln_rand_below(&n.rand, 20 + haste);
        if (die < 6)
            node_say(&n, ln_rand_below(&n.rand, PUBLISHERS));
        else if (die < 8)
            node_move(&n);
        else if (die == 8)
            node_tick(&n);
        else
            node_mail(&n);
    }
    node_settle(&n);
    assert_int_equal(n.answered, n.asked);
    assert_true(n.recovered > 0 && n.pages > 0);
    assert_true(n.left > 0);
    for (uint32_t i = 0; i < workers * PER_WORKER; i++) {
        reader *r = &n.readers[i];
        if (r->channel < 0) continue;
        assert_true(r->joined && !r->behind);
        if (r->at.offset) assert_int_equal(r->at.offset, n.head[r->channel].offset);
    }
    for (int c = 0; c < CHANNELS; c++) { /* an offset for each publication, and none left out */
        uint32_t said = 0;
        for (int p = 0; p < PUBLISHERS; p++)
            said += n.said[p][c];
        uint32_t asked = said - n.said[0][c];
        assert_true(n.head[c].offset <= said && n.head[c].offset >= asked);
    }
    node_close(&n);
}

static void test_one_worker(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        live(1, seed);
}

static void test_two_workers(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++)
        live(2, seed);
}

static void test_four_workers(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++)
        live(4, seed);
}

static void test_stopped_in_the_middle(void **state) {
    (void)state;
    static node n;
    static desk desks[WORKERS];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        ln_test_memory memory = { 0 };
        ln_test_memory_install(&memory);
        node_open(&n, desks, 3, seed);
        for (int step = 0; step < 300; step++) {
            uint32_t die = ln_rand_below(&n.rand, 10);
            if (die < 4)
                node_say(&n, ln_rand_below(&n.rand, PUBLISHERS));
            else if (die < 7)
                node_move(&n);
            else
                node_mail(&n);
        }
        node_close(&n);
        assert_int_equal(memory.live, 0);
        ln_test_memory_remove();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_keep),
        cmocka_unit_test(test_trimming),
        cmocka_unit_test(test_retentions_side_by_side),
        cmocka_unit_test(test_the_epoch_outlives),
        cmocka_unit_test(test_too_many_logs),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_pinned),
        cmocka_unit_test(test_pins_have_an_end),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_one_worker),
        cmocka_unit_test(test_two_workers),
        cmocka_unit_test(test_four_workers),
        cmocka_unit_test(test_stopped_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
