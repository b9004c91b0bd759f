/* History, and who comes back. */
#include "session/session_test.h"

#define ASK(id, more)    ">a {\"type\":\"history\",\"id\":" #id ",\"channel\":\"x\"" more "}"
#define BACK(id, offset) ",\"recover\":{" EPOCH ",\"offset\":" #offset "}}"
#define SAY(data)        ">b {\"type\":\"publish\",\"channel\":\"x\",\"data\":" #data "}"
#define ITEM(data, offset)                                                                         \
    "{\"data\":" #data ",\"offset\":" #offset "," TS ",\"from\":{\"client\":\"b\"}}"
#define PAGE(id, offset, items)                                                                    \
    "<a {\"type\":\"ok\",\"re\":" #id "," EPOCH ",\"offset\":" #offset ",\"messages\":[" items "]" \
    "}"
#define SUBSCRIBE(id, more) ">a {\"type\":\"subscribe\",\"id\":" #id ",\"channel\":\"x\"" more
#define RECOVERED(id, offset, n)                                                                   \
    "<a {\"type\":\"ok\",\"re\":" #id "," EPOCH ",\"offset\":" #offset                             \
    ",\"class\":\"recoverable\",\"recovered\":true,\"replay\":" #n "}"
#define REPLAYED(data, offset)                                                                     \
    "<a {\"type\":\"message\",\"channel\":\"x\",\"data\":" #data ",\"offset\":" #offset "," TS     \
    ",\"from\":{\"client\":\"b\"},\"replay\":true}"

static const conversation history[] = {
    { "of a channel nobody has named", AUTO,
        { ASK(1, ""), PAGE(1, 0, ""), ASK(2, ",\"limit\":0"), PAGE(2, 0, "") } },
    { "the oldest first", AUTO,
        { SAY(1), SAY(2), SAY(3), ASK(1, ""), PAGE(1, 3, ITEM(1, 1) "," ITEM(2, 2) "," ITEM(3, 3)),
            ASK(2, ",\"limit\":2"), PAGE(2, 3, ITEM(1, 1) "," ITEM(2, 2)), ASK(3, ",\"limit\":0"),
            PAGE(3, 3, "") } },
    { "from behind a position", AUTO,
        { SAY(1), SAY(2), SAY(3), ASK(1, ",\"since\":{" EPOCH ",\"offset\":1},\"limit\":1"),
            PAGE(1, 3, ITEM(2, 2)), ASK(2, ",\"since\":{" EPOCH ",\"offset\":3}"), PAGE(2, 3, ""),
            ASK(3, ",\"since\":null,\"limit\":1"), PAGE(3, 3, ITEM(1, 1)) } },
    { "the newest first", AUTO,
        { SAY(1), SAY(2), SAY(3), ASK(1, ",\"reverse\":true,\"limit\":2"),
            PAGE(1, 3, ITEM(3, 3) "," ITEM(2, 2)),
            ASK(2, ",\"reverse\":true,\"since\":{" EPOCH ",\"offset\":3}"),
            PAGE(2, 3, ITEM(2, 2) "," ITEM(1, 1)),
            ASK(3, ",\"reverse\":true,\"since\":{" EPOCH ",\"offset\":1}"), PAGE(3, 3, ""),
            ASK(4, ",\"reverse\":true,\"since\":{" EPOCH ",\"offset\":0}"), PAGE(4, 3, "") } },
    { "T113 numbers beyond all bounds", AUTO,
        { SAY(1), ASK(1, ",\"limit\":2147483648"), PAGE(1, 1, ITEM(1, 1)),
            ASK(2, ",\"limit\":18446744073709551615"), PAGE(2, 1, ITEM(1, 1)),
            ASK(3, ",\"limit\":-1"), PAGE(3, 1, ITEM(1, 1)),
            ASK(4, ",\"reverse\":true,\"limit\":-9223372036854775808,\"since\":{" EPOCH
                   ",\"offset\":18446744073709551615}"),
            PAGE(4, 1, ITEM(1, 1)),
            ASK(5, ",\"since\":{" EPOCH ",\"offset\":18446744073709551615}"),
            "<a {\"type\":\"error\",\"re\":5,\"channel\":\"x\"," ERR(
                112, "unrecoverable_position", "unrecoverable position") } },
    { "another epoch, or none of ours", AUTO,
        { SAY(1), ASK(1, ",\"since\":{\"epoch\":\"000000000000000f\",\"offset\":0}"),
            "<a {\"type\":\"error\",\"re\":1,\"channel\":\"x\"," ERR(
                112, "unrecoverable_position", "unrecoverable position"),
            ASK(2, ",\"since\":{\"epoch\":\"x\",\"offset\":0}"),
            "<a {\"type\":\"error\",\"re\":2,\"channel\":\"x\"," ERR(
                112, "unrecoverable_position", "unrecoverable position") } },
    { "what is no question", AUTO,
        { ASK(1, ",\"limit\":1.5"),
            "<a {\"type\":\"error\",\"re\":1,\"channel\":\"x\"," ERR(
                107, "bad_request", "limit is not an integer"),
            ASK(2, ",\"limit\":\"1\""),
            "<a {\"type\":\"error\",\"re\":2,\"channel\":\"x\"," ERR(
                107, "bad_request", "limit is not an integer"),
            ASK(3, ",\"reverse\":1"),
            "<a {\"type\":\"error\",\"re\":3,\"channel\":\"x\"," ERR(
                107, "bad_request", "reverse is neither true nor false"),
            ASK(4, ",\"since\":7"),
            "<a {\"type\":\"error\",\"re\":4,\"channel\":\"x\"," ERR(
                107, "bad_request", "since is not an object"),
            ASK(5, ",\"since\":{" EPOCH ",\"offset\":-1}"),
            "<a {\"type\":\"error\",\"re\":5,\"channel\":\"x\"," ERR(
                107, "bad_request", "since has not both an epoch and an offset"),
            ">a {\"type\":\"history\",\"channel\":\"x\"}",
            "<a {\"type\":\"error\",\"channel\":\"x\"," ERR(
                107, "bad_request", "history without an id has no answer"),
            ">a {\"type\":\"history\",\"id\":7,\"channel\":\"$x\"}",
            "<a {\"type\":\"error\",\"re\":7,\"channel\":\"$x\"," ERR(
                103, "permission_denied", "this channel name is reserved"),
            ">a {\"type\":\"history\",\"id\":8}",
            "<a {\"type\":\"error\",\"re\":8," ERR(107, "bad_request", "channel is missing") } },
    { "several at once are answered in their order", AUTO,
        { SAY(1), "+" ASK(1, ""), "+" ASK(2, ",\"limit\":0"), ASK(3, ",\"reverse\":true"),
            PAGE(1, 1, ITEM(1, 1)), PAGE(2, 1, ""), PAGE(3, 1, ITEM(1, 1)) } },
    { "a stranger's dialect knows nothing of it", LN_USER_CHANNEL,
        { ">a {\"action\":\"history\",\"channel\":\"x\"}",
            "<a {\"channel\":\"system\",\"data\":{\"type\":\"error\",\"message\":\"unknown "
            "type\",\"code\":104}}" } },
};

static const conversation recovery[] = {
    { "who missed something is given it", AUTO,
        { SAY(1), SAY(2), SAY(3), SUBSCRIBE(1, BACK(1, 1)), RECOVERED(1, 3, 2), REPLAYED(2, 2),
            REPLAYED(3, 3), SAY(4), HEARD(a, b, 4, 4) } },
    { "also from the very beginning, and into a channel that others are in", AUTO,
        { SAY(1), ">b {\"type\":\"subscribe\",\"channel\":\"x\"}", SUBSCRIBE(1, BACK(1, 0)),
            RECOVERED(1, 1, 1), REPLAYED(1, 1), SAY(2), HEARD(a, b, 2, 2), HEARD(b, b, 2, 2) } },
    { "no position that ever was", AUTO,
        { SAY(1), SUBSCRIBE(1, BACK(1, 2)),
            "<a {\"type\":\"ok\",\"re\":1," EPOCH
            ",\"offset\":1,\"class\":\"recoverable\",\"recovered\":false}",
            SAY(2), HEARD(a, b, 2, 2) } },
    { "another epoch", AUTO,
        { SAY(1), SUBSCRIBE(1, ",\"recover\":{\"epoch\":\"000000000000000f\",\"offset\":0}}"),
            "<a {\"type\":\"ok\",\"re\":1," EPOCH
            ",\"offset\":1,\"class\":\"recoverable\",\"recovered\":false}" } },
    { "what was not meant for it is told as left out", AUTO,
        { SAY(1), ">b {\"type\":\"publish\",\"channel\":\"x\",\"data\":2,\"except\":[\"a\"]}",
            ">b {\"type\":\"publish\",\"channel\":\"x\",\"data\":3,\"except\":[\"a\"]}", SAY(4),
            ">b {\"type\":\"publish\",\"channel\":\"x\",\"data\":5,\"except\":[\"a\"]}",
            SUBSCRIBE(1, BACK(1, 0)), RECOVERED(1, 5, 5), REPLAYED(1, 1),
            "<a "
            "{\"type\":\"skip\",\"channel\":\"x\",\"offset\":3,\"count\":2,\"reason\":\"except\"}",
            REPLAYED(4, 4),
            "<a "
            "{\"type\":\"skip\",\"channel\":\"x\",\"offset\":5,\"count\":1,\"reason\":\"except\"}",
            SAY(6), HEARD(a, b, 6, 6) } },
    { "an unsubscribe that comes behind it in the same turn", AUTO,
        { SAY(1), "+" SUBSCRIBE(1, BACK(1, 0)),
            ">a {\"type\":\"unsubscribe\",\"id\":2,\"channel\":\"x\"}",
            "<a {\"type\":\"error\",\"re\":1,\"channel\":\"x\"," ERR(
                113, "not_subscribed", "an unsubscribe came behind it"),
            "<a {\"type\":\"ok\",\"re\":2}", SAY(2), "!a" } },
    { "without an id it is replayed all the same", AUTO,
        { SAY(1), ">a {\"type\":\"subscribe\",\"channel\":\"x\"" BACK(1, 0), REPLAYED(1, 1) } },
};

static void test_history(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(history); i++)
        play(&history[i]);
}

static void test_recovery(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(recovery); i++)
        play(&recovery[i]);
}

/* Kept from 6 on of ten. */
static void test_what_is_gone(void **state) {
    (void)state;
    static const char *const lines[] = { ASK(1, ",\"limit\":1"), PAGE(1, 10, ITEM(1, 6)),
        ASK(2, ",\"since\":{" EPOCH ",\"offset\":4}"),
        "<a {\"type\":\"error\",\"re\":2,\"channel\":\"x\"," ERR(
            112, "unrecoverable_position", "unrecoverable position"),
        ASK(3, ",\"since\":{" EPOCH ",\"offset\":5},\"limit\":1"), PAGE(3, 10, ITEM(1, 6)),
        SUBSCRIBE(4, BACK(4, 4)),
        "<a {\"type\":\"ok\",\"re\":4," EPOCH
        ",\"offset\":10,\"class\":\"recoverable\",\"recovered\":false}",
        ">a {\"type\":\"unsubscribe\",\"channel\":\"x\"}", SUBSCRIBE(5, BACK(5, 9)),
        RECOVERED(5, 10, 1), REPLAYED(1, 10) };
    world w;
    world_open(&w);
    peer_open(&w, 0, AUTO);
    peer_open(&w, 1, AUTO);
    for (int i = 0; i < 10; i++)
        play_line(&w, SAY(1));
    w.lost = 5;
    for (size_t i = 0; i < LN_COUNT(lines); i++)
        play_line(&w, lines[i]);
    world_close(&w);
}

/* Slowly --------------------------------------------------------------------------------- */

static void say_large(world *w, const char *channel, int count) {
    char text[1200];
    w->limits.publish_rate = 0;
    for (int i = 0; i < count; i++) {
        snprintf(text, sizeof text,
            "{\"type\":\"publish\",\"channel\":\"%s\",\"data\":\"%01000d\"}", channel, i);
        say(&w->peers[1], ln_slice_str(text));
        run(w);
    }
}

/* The peer reads what it was sent, or does not. */
static void reads(world *w, peer *p, bool all) {
    p->c.queued = all ? 0 : 500000;
    if (!all || !p->awaits) return;
    p->awaits = false;
    p->c.ops->on_drain(&p->c);
    run(w);
}

/* Offsets follow each other, from the one behind *last; up to `cut` they are replayed. */
static uint32_t follow(peer *p, const char *channel, uint64_t *last, uint64_t cut) {
    static char line[4096], begin[64];
    uint32_t count = 0;
    snprintf(begin, sizeof begin, "{\"type\":\"message\",\"channel\":\"%s\"", channel);
    for (next_line(p, line, sizeof line); line[0]; next_line(p, line, sizeof line), count++) {
        assert_memory_equal(line, begin, strlen(begin));
        const char *offset = strstr(line, "\"offset\":");
        assert_non_null(offset);
        assert_int_equal(strtoull(offset + 9, NULL, 10), ++*last);
        assert_int_equal(strstr(line, "\"replay\":true") != NULL, *last <= cut);
    }
    return count;
}

static void test_a_slow_reader(void **state) {
    (void)state;
    world w;
    uint64_t last = 10;
    world_open(&w);
    peer *a = peer_open(&w, 0, AUTO);
    peer_open(&w, 1, AUTO);
    say_large(&w, "x", 300);
    play_line(&w, "+" SUBSCRIBE(1, BACK(1, 10)));
    reads(&w, a, false);
    run(&w);
    play_line(&w, RECOVERED(1, 300, 290));
    uint32_t page = follow(a, "x", &last, 300);
    assert_in_range(page, 40, 65); /* of 64 KiB */
    assert_true(a->awaits);
    assert_int_equal(w.pins, 1);
    say_large(&w, "x", 50); /* stay in the log */
    assert_int_equal(follow(a, "x", &last, 300), 0);
    for (int pages = 1; last < 350; pages++) {
        reads(&w, a, true);
        reads(&w, a, false);
        assert_true(pages < 9);
        follow(a, "x", &last, 300);
    }
    assert_int_equal(last, 350);
    assert_int_equal(w.pins, 0);
    say_large(&w, "x", 1);
    assert_int_equal(follow(a, "x", &last, 300), 1);
    world_close(&w);
}

/* 128 channels are owed pages, and never is more than one of them on its way. */
static void test_many_at_once(void **state) {
    (void)state;
    world w;
    world_open(&w);
    peer *a = peer_open(&w, 0, AUTO);
    peer_open(&w, 1, AUTO);
    w.limits.outstanding_max = 200;
    char name[8], text[256];
    reads(&w, a, false);
    for (int i = 0; i < 128; i++) {
        snprintf(name, sizeof name, "c%d", i);
        say_large(&w, name, 20);
        snprintf(text, sizeof text,
            "{\"type\":\"subscribe\",\"id\":%d,\"channel\":\"%s\",\"recover\":{" EPOCH
            ",\"offset\":0}}",
            i, name);
        say(a, ln_slice_str(text));
    }
    run(&w);
    assert_int_equal(w.pins, 128);
    assert_int_equal(count_lines(a, "\"recovered\":true,\"replay\":20"), 128);
    for (int i = 0; i < 128; i++) {
        uint64_t last = 0;
        snprintf(name, sizeof name, "c%d", i);
        reads(&w, a, true);
        reads(&w, a, false);
        while (w.pins > 127 - i) { /* two pages of one channel */
            reads(&w, a, true);
            reads(&w, a, false);
        }
        char line[4096];
        for (next_line(a, line, sizeof line); line[0] && last < 20; last++)
            if (last < 19) next_line(a, line, sizeof line);
        (void)name;
    }
    while (w.pins) {
        reads(&w, a, true);
        reads(&w, a, false);
    }
    world_close(&w);
}

static void test_pages_that_are_gone(void **state) {
    (void)state;
    world w;
    uint64_t last = 0;
    world_open(&w);
    peer *a = peer_open(&w, 0, AUTO);
    peer_open(&w, 1, AUTO);
    say_large(&w, "x", 200);
    play_line(&w, "+" SUBSCRIBE(1, BACK(1, 0)));
    reads(&w, a, false);
    run(&w);
    play_line(&w, RECOVERED(1, 200, 200));
    follow(a, "x", &last, 200);
    w.lost = 190; /* in spite of the pin: there was no room for it */
    reads(&w, a, true);
    play_line(&w, "xa 3010");
    world_close(&w);
}

static void test_leaving_behind(void **state) {
    (void)state;
    for (int how = 0; how < 4; how++) {
        world w;
        uint64_t last = 0;
        world_open(&w);
        peer *a = peer_open(&w, 0, AUTO);
        peer_open(&w, 1, AUTO);
        say_large(&w, "x", 200);
        play_line(&w, "+" SUBSCRIBE(1, BACK(1, 0)));
        if (how != 0) { /* 0: while the first page is on its way */
            reads(&w, a, false);
            run(&w);
            play_line(&w, RECOVERED(1, 200, 200));
            follow(a, "x", &last, 200);
        }
        if (how == 3) { /* while the next one is */
            a->c.queued = 0;
            a->c.ops->on_drain(&a->c);
        }
        if (how == 2) {
            play_line(&w, ">a {\"type\":\"unsubscribe\",\"id\":2,\"channel\":\"x\"}");
            play_line(&w, "<a {\"type\":\"ok\",\"re\":2}");
            say_large(&w, "x", 1);
            play_line(&w, "!a");
        } else {
            peer_close(a);
        }
        run(&w);
        assert_int_equal(w.pins, 0);
        world_close(&w);
    }
}

/* The page of one that left does not keep the others from theirs. */
static void test_the_next_one_goes_on(void **state) {
    (void)state;
    world w;
    uint64_t last = 0;
    world_open(&w);
    peer *a = peer_open(&w, 0, AUTO);
    peer_open(&w, 1, AUTO);
    say_large(&w, "x", 200);
    say_large(&w, "y", 200);
    play_line(&w, "+" SUBSCRIBE(1, BACK(1, 0)));
    play_line(&w, "+>a {\"type\":\"subscribe\",\"id\":2,\"channel\":\"y\"" BACK(2, 0));
    play_line(&w, ">a {\"type\":\"unsubscribe\",\"channel\":\"x\"}");
    play_line(&w, "<a {\"type\":\"error\",\"re\":1,\"channel\":\"x\"," ERR(
                      113, "not_subscribed", "an unsubscribe came behind it"));
    play_line(&w, "<a {\"type\":\"ok\",\"re\":2," EPOCH
                  ",\"offset\":200,\"class\":\"recoverable\",\"recovered\":true,\"replay\":200}");
    follow(a, "y", &last, 200);
    assert_int_equal(last, 200);
    world_close(&w);
}

/* History waits until the peer has read what it got. */
static void test_history_waits(void **state) {
    (void)state;
    world w;
    world_open(&w);
    peer *a = peer_open(&w, 0, AUTO);
    peer_open(&w, 1, AUTO);
    play_line(&w, SAY(1));
    play_line(&w, ASK(0, ""));
    play_line(&w, PAGE(0, 1, ITEM(1, 1)));
    reads(&w, a, false);
    play_line(&w, ASK(1, ""));
    play_line(&w, ">a {\"type\":\"ping\",\"id\":2}");
    play_line(&w, "!a");
    assert_int_equal(a->pauses, LN_PAUSE_WAIT);
    reads(&w, a, true);
    play_line(&w, "<a {\"type\":\"pong\",\"re\":2}");
    play_line(&w, PAGE(1, 1, ITEM(1, 1)));
    assert_int_equal(a->pauses, 0);
    say_large(&w, "y", LOG_MAX); /* T113 a page is half of the queue at most */
    play_line(&w, ">a {\"type\":\"history\",\"id\":3,\"channel\":\"y\",\"limit\":99999}");
    assert_in_range(a->told_size, 400000, 524288);
    world_close(&w);
}

static void test_memory(void **state) {
    (void)state;
    bool done = false;
    for (uint64_t fail = 1; !done; fail++) {
        world w;
        ln_test_memory memory = { 0 };
        ln_test_memory_install(&memory);
        world_open(&w);
        peer *a = peer_open(&w, 0, AUTO);
        peer_open(&w, 1, AUTO);
        say_large(&w, "x", 100);
        memory.fail_at = memory.calls + fail;
        play_line(&w, SUBSCRIBE(1, BACK(1, 0)));
        play_line(&w, ASK(2, ",\"limit\":3"));
        reads(&w, a, true);
        done = memory.calls < memory.fail_at;
        int heard = count_lines(a, "\"replay\":true");
        if (done) assert_int_equal(heard, 100);
        if (heard < 100 && !a->code) assert_true(!done); /* refused, or told that it has not */
        world_close(&w);
        assert_int_equal(memory.live, 0);
        ln_test_memory_remove();
        assert_true(fail < 500);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_recovery),
        cmocka_unit_test(test_what_is_gone),
        cmocka_unit_test(test_a_slow_reader),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_pages_that_are_gone),
        cmocka_unit_test(test_leaving_behind),
        cmocka_unit_test(test_the_next_one_goes_on),
        cmocka_unit_test(test_history_waits),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
