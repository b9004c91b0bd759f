/* Logs of which something is taken back: accounts stay right, and so do places. */
#include "base/mem.h"
#include "base/testing.h"
#include "broker/memory.h"
#include <stdio.h>

typedef struct shelf {
    ln_rand rand;
    ln_broker *b;
    ln_log_handle *log;
    ln_position head;
} shelf;

static ln_publication *made(ln_slice user, size_t size, uint8_t flags) {
    static const uint8_t bytes[4096];
    ln_publish what = {
        .channel = LN_SLICE("c"), .by = user, .data = ln_slice_of(bytes, size), .flags = flags
    };
    ln_publication *p = ln_publication_new(&what, 1);
    assert_non_null(p);
    return p;
}

static void add(shelf *s, const char *user, size_t size) {
    ln_publication *p = made(ln_slice_str(user), size, 0);
    assert_int_equal(s->b->ops->publish(s->b, s->log, p, &p->at), LN_DONE);
    s->head = p->at;
    ln_publication_unref(p);
}

static ln_log_handle *opened(shelf *s, const char *name) {
    ln_retention keep = LN_RETENTION_INIT;
    ln_log_handle *log;
    keep.count = 8;
    assert_int_equal(s->b->ops->open(s->b, ln_slice_str(name), &keep, &log, &s->head), LN_DONE);
    return log;
}

static void open_shelf(shelf *s) {
    ln_rand_init_seeded(&s->rand, 1);
    ln_memory_options o = { .key = { 1, 2 }, .rand = &s->rand };
    assert_int_equal(ln_memory_new(&o, &s->b), LINNET_OK);
    s->log = opened(s, "c");
}

/* What is kept of the log: a letter each, '-' for what was taken back; and the accounts. */
static const char *kept(shelf *s, ln_log_handle *log, uint64_t *bytes) {
    static char text[64];
    ln_page page;
    ln_span span = { .limit = 60, .bytes = UINT32_MAX, .any = true };
    assert_int_equal(s->b->ops->read(s->b, log, &span, &page), LN_DONE);
    for (uint32_t i = 0; i < page.count; i++) {
        const ln_publication *p = page.items[i];
        *bytes += ln_publication_held(p);
        text[i] = p->flags & LN_PUB_RETRACTED ? '-' : (char)ln_publication_by(p).data[0];
        ln_publication_unref(page.items[i]);
    }
    text[page.count] = 0;
    return text;
}

static void check(shelf *s, const char *want) {
    uint64_t bytes = 0;
    assert_string_equal(kept(s, s->log, &bytes), want);
    assert_int_equal(ln_stat_get(&ln_memory_stats_of(s->b)->kept_bytes), bytes);
    assert_int_equal(ln_stat_get(&ln_memory_stats_of(s->b)->kept), strlen(want));
}

static void close_shelf(shelf *s) {
    s->b->ops->close(s->b, s->log);
    s->b->ops->free(s->b);
}

static int replace(shelf *s, uint64_t offset) {
    ln_publication *instead = made(LN_SLICE(""), 4, LN_PUB_RETRACTED);
    int err = s->b->ops->replace(s->b, s->log, offset, instead);
    if (err < 0) ln_publication_unref(instead);
    return err;
}

static void test_replaced(void **state) {
    (void)state;
    shelf s;
    open_shelf(&s);
    for (int i = 0; i < 12; i++)
        add(&s, (const char *[]){ "a", "b", "c" }[i % 3], 1000);
    check(&s, "bcabcabc"); /* 5 to 12 */
    static const struct {
        const char *why;
        uint64_t offset;
        int err;
    } rows[] = {
        { "long gone", 4, LINNET_ERR_NOT_FOUND },
        { "the first", 5, LINNET_OK },
        { "one inside", 8, LINNET_OK },
        { "the same again", 8, LINNET_OK },
        { "the last", 12, LINNET_OK },
        { "not there yet", 13, LINNET_ERR_NOT_FOUND },
        { "none", 0, LINNET_ERR_NOT_FOUND },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++)
        if (replace(&s, rows[i].offset) != rows[i].err) fail_msg("%s", rows[i].why);
    check(&s, "-ca-cab-");
    add(&s, "d", 10);
    assert_int_equal(s.head.offset, 13);
    check(&s, "ca-cab-d");
    close_shelf(&s);
}

/* The head stays, and whoever stands before it has missed something; also while somebody reads. */
static void test_cleared(void **state) {
    (void)state;
    shelf s;
    ln_page page;
    open_shelf(&s);
    for (int i = 0; i < 5; i++)
        add(&s, "a", 100);
    uint64_t epoch = s.head.epoch;
    assert_int_equal(s.b->ops->pin(s.b, s.log, 2), LINNET_OK);
    s.b->ops->clear(s.b, s.log);
    check(&s, "");
    for (uint64_t since = 0; since <= 6; since++) {
        ln_span span = { .since = since, .limit = 10, .bytes = UINT32_MAX };
        int err = s.b->ops->read(s.b, s.log, &span, &page);
        assert_int_equal(err, since == 5 ? LN_DONE : LINNET_ERR_NOT_FOUND);
    }
    s.b->ops->unpin(s.b, s.log, 2);
    s.b->ops->clear(s.b, s.log);
    add(&s, "b", 100);
    assert_true(s.head.epoch == epoch && s.head.offset == 6);
    check(&s, "b");
    close_shelf(&s);
}

static ln_publication *of_a(void *ctx, const ln_publication *p) {
    if (!ln_slice_eq(ln_publication_by(p), LN_SLICE("a"))) return NULL;
    ++*(int *)ctx;
    return made(LN_SLICE(""), 4, LN_PUB_RETRACTED);
}

/* In all logs, those without a home too. */
static void test_revised(void **state) {
    (void)state;
    shelf s;
    int count = 0;
    uint64_t bytes = 0;
    open_shelf(&s);
    add(&s, "a", 100);
    s.b->ops->close(s.b, s.log);
    s.log = opened(&s, "other");
    for (int i = 0; i < 10; i++)
        add(&s, i % 2 ? "a" : "b", 100);
    uint32_t at = 0, steps = 0;
    do {
        s.b->ops->revise(s.b, &at, of_a, &count);
        steps++;
    } while (at);
    assert_true(steps > 1);
    assert_int_equal(count, 5);
    assert_string_equal(kept(&s, s.log, &bytes), "b-b-b-b-");
    s.b->ops->close(s.b, s.log);
    s.log = opened(&s, "c");
    assert_string_equal(kept(&s, s.log, &bytes), "-");
    assert_int_equal(ln_stat_get(&ln_memory_stats_of(s.b)->kept_bytes), bytes);
    close_shelf(&s);
}

static void note(void *ctx, ln_slice channel, uint32_t of_it) {
    char *text = ctx;
    size_t at = strlen(text);
    snprintf(text + at, 64 - at, "%.*s%u ", (int)channel.size, (const char *)channel.data, of_it);
}

/* Logs with a home, without one, and without anything in them. */
static void test_looked_at(void **state) {
    (void)state;
    shelf s;
    char seen[64] = "";
    uint32_t at = 0, found = 7;
    ln_position head;
    open_shelf(&s);
    for (int i = 0; i < 10; i++)
        add(&s, "a", 100);
    ln_position stands = s.head;
    s.b->ops->close(s.b, s.log);
    s.log = opened(&s, "empty");
    do
        s.b->ops->walk(s.b, &at, note, seen);
    while (at);
    if (strcmp(seen, "c8 empty0 ") != 0) assert_string_equal(seen, "empty0 c8 ");
    assert_true(s.b->ops->look(s.b, LN_SLICE("c"), &head, &found));
    assert_true(head.epoch == stands.epoch && head.offset == 10);
    assert_int_equal(found, 8);
    assert_true(s.b->ops->look(s.b, LN_SLICE("empty"), &head, &found));
    assert_int_equal(found, 0);
    assert_false(s.b->ops->look(s.b, LN_SLICE("nothing"), &head, &found));
    close_shelf(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_cleared),
        cmocka_unit_test(test_revised),
        cmocka_unit_test(test_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
