/* Readers who do not keep up, by the policy of their channel: what they hear in the end, and that
 * every hole is explained. */
#include "base/json.h"
#include "lib/lib_test.h"

#define MESSAGES 3000
#define SIZE     1000 /* bytes each: more than sockets and queue hold */

typedef struct reader {
    linnet_conn *conn;
    unsigned long last;    /* offset: heard, or known to be left out */
    unsigned heard, skips; /* messages, and `skip`s */
    unsigned long skipped; /* messages that those are about */
    unsigned answers, pongs, outs;
    unsigned last_of[4]; /* by event: the number in the last one heard */
    bool hole, silent;   /* something is missing and nobody said so; only data comes (dialects) */
    char name[17];
    uint16_t code;
} reader;

typedef struct world {
    linnet_loop *loop;
    linnet_server *server;
    linnet_hub *hub;
    reader slow, quick;
    char bound[128];
} world;

/* The number behind a key of a text; -1: it is not there. */
static long number(linnet_slice text, const char *key) {
    const char *at = memmem(text.data, text.size, key, strlen(key));
    if (!at) return -1;
    char digits[24] = ""; /* the text has no end that strtol would see */
    size_t before = (size_t)(at - (const char *)text.data) + strlen(key), left = text.size - before;
    memcpy(digits, at + strlen(key), left < sizeof digits - 1 ? left : sizeof digits - 1);
    return strtol(digits, NULL, 10);
}

static bool has(linnet_slice text, const char *part) {
    return memmem(text.data, text.size, part, strlen(part)) != NULL;
}

static void on_open(linnet_conn *conn) {
    ((reader *)linnet_conn_user(conn))->conn = conn;
}

static void take(reader *r, linnet_slice text) {
    long offset = number(text, "\"offset\":"), n = number(text, "\"n\":"),
         e = number(text, "\"e\":");
    if (has(text, "\"type\":\"welcome\"")) {
        const char *at = memmem(text.data, text.size, "\"client\":\"", 10);
        memcpy(r->name, at + 10, sizeof r->name - 1);
    }
    if (has(text, "\"channel\":\"d\"")) return;
    if (has(text, "\"type\":\"skip\"")) {
        unsigned long count = (unsigned long)number(text, "\"count\":");
        assert_true(has(text, "\"reason\":\"slow\""));
        r->skips++;
        r->skipped += count;
        if ((unsigned long)offset != r->last + count) r->hole = true;
        r->last = (unsigned long)offset;
        return;
    }
    if (has(text, "\"type\":\"pong\"")) r->pongs++;
    if (has(text, "\"type\":\"unsubscribed\"")) r->outs++;
    if (has(text, "\"ok\"") || has(text, "subscription_confirm")) r->answers++;
    if (n < 0) return;
    if (offset >= 0) {
        if ((unsigned long)offset != r->last + 1) r->hole = true;
        r->last = (unsigned long)offset;
    }
    r->heard++;
    r->last_of[e] = (unsigned)n;
}

/* What waited comes in arrays. */
static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice text) {
    reader *r = linnet_conn_user(conn);
    ln_json_value top, key, item;
    assert_int_equal(ln_json_check(text, &top), LINNET_OK);
    if (top.kind != LN_JSON_ARRAY) {
        take(r, text);
        return;
    }
    ln_json_iter it = ln_json_iter_of(&top);
    while (ln_json_next(&it, &key, &item))
        take(r, item.raw);
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    reader *r = linnet_conn_user(conn);
    r->code = code;
    r->conn = NULL;
}

static void turn_until(world *w, bool (*done)(const world *w), const char *what) {
    uint64_t end = host_ms() + 20000;
    while (!done(w)) {
        if (host_ms() > end) fail_msg("waited for %s", what);
        assert_int_equal(linnet_loop_turn(w->loop, 5), LINNET_OK);
    }
}

static void say(reader *r, const char *text) {
    assert_int_equal(linnet_conn_send(r->conn, LINNET_TEXT, linnet_str(text)), LINNET_OK);
}

static bool both_open(const world *w) {
    return w->slow.conn && w->quick.conn;
}
static bool both_in(const world *w) {
    return w->slow.answers && w->quick.answers;
}
static bool quick_has_all(const world *w) {
    return w->quick.heard == MESSAGES || w->quick.code;
}
static bool slow_has_pong(const world *w) {
    return w->slow.pongs || w->slow.code;
}

static void dial(world *w, reader *r, const char *protocol) {
    char url[256];
    const char *const protocols[] = { protocol, NULL };
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    snprintf(url, sizeof url, "ws://%s/ws", w->bound);
    o.url = url;
    o.subprotocols = protocols;
    o.events.on_open = on_open;
    o.events.on_message = on_message;
    o.events.on_close = on_close;
    o.user = r;
    assert_int_equal(linnet_client_dial(w->loop, &o, NULL), LINNET_OK);
}

static void open_world(world *w, linnet_slow slow, bool live, const char *protocol) {
    *w = (world){ .slow = { .code = 0 } };
    assert_int_equal(linnet_loop_new(NULL, &w->loop), LINNET_OK);
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    so.loop = w->loop;
    assert_int_equal(linnet_server_new(&so, &w->server), LINNET_OK);
    linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
    ho.slow = slow;
    ho.live = live;
    ho.limits.queued_max = 32 * 1024;
    ho.limits.high_mark = 8 * 1024;
    assert_int_equal(linnet_hub_new(&ho, &w->hub), LINNET_OK);
    assert_int_equal(linnet_server_hub(w->server, "/ws", w->hub), LINNET_OK);
    assert_int_equal(linnet_server_listen(w->server, ":0", NULL, w->bound), LINNET_OK);
    assert_int_equal(linnet_server_start(w->server), LINNET_OK);
    dial(w, &w->slow, protocol);
    dial(w, &w->quick, "linnet.v1");
    turn_until(w, both_open, "both");
    bool native = strcmp(protocol, "linnet.v1") == 0;
    say(&w->slow, native ? "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"c\"}"
                         : "{\"action\":\"subscribe\",\"channel\":\"c\"}");
    say(&w->quick, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"c\"}");
    turn_until(w, both_in, "both to be in");
}

static void close_world(world *w) {
    linnet_server_free(w->server);
    linnet_hub_free(w->hub);
    linnet_loop_free(w->loop);
}

/* The slow one does not read; three names of events in turn. */
static void publish_all(world *w) {
    char data[SIZE + 100], filler[SIZE];
    memset(filler, 'x', sizeof filler - 1);
    filler[sizeof filler - 1] = 0;
    static const char *const events[] = { "a", "b", "c" };
    linnet_conn_pause(w->slow.conn);
    for (unsigned i = 1; i <= MESSAGES; i++) {
        linnet_publication p = LINNET_PUBLICATION_INIT;
        int n = snprintf(data, sizeof data, "{\"n\":%u,\"e\":%u,\"x\":\"%s\"}", i, i % 3, filler);
        p.channel = linnet_str("c");
        p.event = linnet_str(events[i % 3]);
        p.data = (linnet_slice){ (const uint8_t *)data, (size_t)n };
        assert_int_equal(linnet_hub_publish(w->hub, &p), LINNET_OK);
        assert_int_equal(linnet_loop_turn(w->loop, 0), LINNET_OK);
    }
    turn_until(w, quick_has_all, "the quick reader");
    assert_int_equal(w->quick.heard, MESSAGES);
    assert_false(w->quick.hole);
}

/* It reads again; all that is said to it afterwards comes too. */
static void read_again(world *w) {
    if (!w->slow.conn) return;
    linnet_conn_resume(w->slow.conn);
    say(&w->slow, "{\"type\":\"ping\",\"id\":9}");
    turn_until(w, slow_has_pong, "the slow reader");
}

static void publish_one_more(world *w) {
    linnet_publication p = LINNET_PUBLICATION_INIT;
    p.channel = linnet_str("c");
    p.data = linnet_str("{\"n\":7777,\"e\":3}");
    assert_int_equal(linnet_hub_publish(w->hub, &p), LINNET_OK);
    w->slow.pongs = 0;
    read_again(w);
}

static void policies(void **state) {
    static const struct {
        linnet_slow slow;
        bool live;
        const char *protocol;
        bool closed;    /* 3008, or 1008 in a dialect */
        bool to_end;    /* the last publication comes */
        bool each_last; /* and the last of each event */
    } rows[] = {
        { LINNET_SLOW_DISCONNECT, false, "linnet.v1", true, false, false },
        { LINNET_SLOW_DROP_OLDEST, false, "linnet.v1", false, true, false },
        { LINNET_SLOW_DROP_NEWEST, false, "linnet.v1", false, false, false },
        { LINNET_SLOW_LATEST, false, "linnet.v1", false, true, true },
        { LINNET_SLOW_DROP_OLDEST, true, "linnet.v1", false, true, false },
        { LINNET_SLOW_LATEST, true, "linnet.v1", false, true, true },
        { LINNET_SLOW_DROP_OLDEST, false, "linnet.channel", true, false, false },
        { LINNET_SLOW_DROP_OLDEST, true, "linnet.channel", false, true, false },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        world w;
        print_message("# row %zu\n", i);
        open_world(&w, rows[i].slow, rows[i].live, rows[i].protocol);
        publish_all(&w);
        read_again(&w);
        const reader *r = &w.slow;
        bool native = strcmp(rows[i].protocol, "linnet.v1") == 0;
        assert_int_equal(r->code, !rows[i].closed ? 0 : native ? 3008 : 1008);
        if (rows[i].closed) {
            close_world(&w);
            continue;
        }
        assert_true(r->heard < MESSAGES);
        assert_int_equal(rows[i].to_end, r->last_of[MESSAGES % 3] == MESSAGES);
        if (rows[i].each_last)
            for (unsigned e = 0; e < 3; e++)
                assert_int_equal(r->last_of[e], MESSAGES - (MESSAGES - e) % 3);
        publish_one_more(&w); /* whatever is still owed comes in front of it */
        assert_int_equal(w.slow.last_of[3], 7777);
        if (!rows[i].live) {
            assert_false(w.slow.hole);
            assert_int_equal(w.slow.last, MESSAGES + 1);
            assert_int_equal(w.slow.heard + w.slow.skipped, MESSAGES + 1);
            assert_true(w.slow.skips > 0);
        } else {
            assert_int_equal(w.slow.skips, 0);
        }
        close_world(&w);
    }
}

static bool slow_knows(const world *w) {
    return w->slow.outs || w->slow.code;
}

static bool one_is_out(const world *w) {
    linnet_hub_stats stats = LINNET_HUB_STATS_INIT;
    return linnet_hub_get_stats(w->hub, &stats) == LINNET_OK && stats.subscriptions == 2;
}

static void publish_elsewhere(world *w, unsigned count) {
    char data[SIZE];
    memset(data, 'x', sizeof data);
    data[0] = data[SIZE - 1] = '"';
    for (unsigned i = 0; i < count; i++) {
        linnet_publication p = LINNET_PUBLICATION_INIT;
        p.channel = linnet_str("d");
        p.data = (linnet_slice){ (const uint8_t *)data, SIZE };
        assert_int_equal(linnet_hub_publish(w->hub, &p), LINNET_OK);
        assert_int_equal(linnet_loop_turn(w->loop, 0), LINNET_OK);
    }
}

/* Room is made also from what waits of a channel that it has left meanwhile, and then there is
 * nobody whose name could stand in a skip: it ends at the first hole. It is put out, since word of
 * its own would let the kernel take more. */
static void who_has_left(void **state) {
    world w;
    open_world(&w, LINNET_SLOW_DROP_OLDEST, false, "linnet.v1");
    say(&w.slow, "{\"type\":\"subscribe\",\"id\":2,\"channel\":\"d\"}");
    publish_all(&w);
    linnet_whom whom = LINNET_WHOM_INIT;
    whom.client = linnet_str(w.slow.name);
    assert_int_equal(linnet_hub_expel(w.hub, &whom, linnet_str("c"), NULL, NULL), LINNET_OK);
    turn_until(&w, one_is_out, "it to leave"); /* the quick one is in c, and it in d */
    publish_elsewhere(&w, 12);
    linnet_conn_resume(w.slow.conn);
    turn_until(&w, slow_knows, "word of it");
    assert_int_equal(w.slow.code, 0);
    assert_false(w.slow.hole);
    assert_true(w.slow.heard > 0 && w.slow.last < MESSAGES);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies),
        cmocka_unit_test(who_has_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
