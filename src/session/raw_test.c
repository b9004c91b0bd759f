/* Raw topics over one hub, and connections that only write down what they are sent. */
#include "base/mem.h"
#include "base/testing.h"
#include "session/raw.h"
#include "wire/frame.h"

#define PEERS 3

typedef struct peer {
    ln_conn c; /* the first member */
    ln_raw raw;
    char told[256]; /* "t:one " for a text, "b:two " for a binary */
    bool batch;
    int err;
} peer;

typedef struct world {
    ln_hub *hub;
    ln_letter *first, *last;
    peer peers[PEERS];
} world;

int ln_conn_queue(ln_conn *c, ln_rendering *r) {
    peer *p = (peer *)(void *)c;
    assert_true(p->batch);
    size_t at = strlen(p->told);
    assert_true(at + r->size + 4 < sizeof p->told);
    p->told[at++] = r->opcode == LN_OP_BINARY ? 'b' : 't';
    p->told[at++] = ':';
    memcpy(p->told + at, ln_rendering_payload(r), r->size);
    at += r->size;
    p->told[at++] = ' ';
    p->told[at] = 0;
    return p->err;
}

void ln_conn_fail(ln_conn *c, int err) {
    assert_true(err == LINNET_ERR_NOMEM || err == LINNET_ERR_LIMIT);
    ((peer *)(void *)c)->err = LINNET_ERR_CLOSED;
}

void ln_conn_batch(ln_conn *c, bool on) {
    ((peer *)(void *)c)->batch = on;
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

static void begin(world *w, uint32_t channels_max) {
    *w = (world){ 0 };
    ln_hub_options o = { .workers = 1, .channels_max = channels_max, .ctx = w, .post = post };
    assert_int_equal(ln_hub_new(&o, &w->hub), LINNET_OK);
    ln_raw_use(w->hub);
}

static void end(world *w) {
    for (int i = 0; i < PEERS; i++)
        ln_raw_close(&w->peers[i].raw, w->hub);
    run(w);
    assert_int_equal(ln_stat_get(&w->hub->channel_count), 0);
    ln_hub_free(w->hub);
}

static int join(world *w, int i, const char *topic) {
    peer *p = &w->peers[i];
    return ln_raw_subscribe(&p->raw, w->hub, &p->c, ln_slice_str(topic), 3);
}

static int leave(world *w, int i, const char *topic) {
    return ln_raw_unsubscribe(&w->peers[i].raw, w->hub, ln_slice_str(topic));
}

static void publish(world *w, const char *topic, uint8_t opcode, const char *text) {
    int err = ln_raw_publish(w->hub, ln_slice_str(topic), opcode, ln_slice_str(text));
    assert_int_equal(err, LINNET_OK);
}

static void assert_told(world *w, int i, const char *want) {
    run(w);
    assert_string_equal(w->peers[i].told, want);
    w->peers[i].told[0] = 0;
}

static void test_topics(void **state) {
    (void)state;
    world w;
    begin(&w, 0);
    assert_int_equal(join(&w, 0, "x"), LINNET_OK);
    publish(&w, "x", LN_OP_TEXT, "one"); /* said before the home has answered */
    assert_told(&w, 0, "t:one ");
    assert_int_equal(join(&w, 1, "x"), LINNET_OK);
    assert_int_equal(join(&w, 1, "y \n"), LINNET_OK);
    publish(&w, "x", LN_OP_BINARY, "two");
    publish(&w, "y \n", LN_OP_TEXT, "");
    publish(&w, "z", LN_OP_TEXT, "nobody hears it");
    assert_told(&w, 0, "b:two ");
    assert_told(&w, 1, "b:two t: ");
    assert_int_equal(leave(&w, 0, "x"), LINNET_OK);
    assert_told(&w, 0, "");
    assert_false(w.peers[0].batch);
    assert_true(w.peers[1].batch);
    publish(&w, "x", LN_OP_TEXT, "three");
    assert_told(&w, 0, "");
    assert_told(&w, 1, "t:three ");
    end(&w);
}

/* What one connection says in one topic is done in the order said: '+' it joins, '-' leaves, a
 * digit is published. Peer 1 is in the topic all the time, or nobody is. */
static void test_order(void **state) {
    (void)state;
    static const struct {
        const char *why, *orders, *told;
    } rows[] = {
        { "publish and leave", "+ 1-", "t:1 " },
        { "before the home has answered", "+1-", "t:1 " },
        { "afterwards", "+ 1-2", "t:1 " },
        { "and back", "+ 1-+2", "t:1 t:2 " },
        { "and back for a moment", "+ 1-+2-3", "t:1 t:2 " },
        { "before the home has answered, and back", "+1-2+3", "t:1 t:2 t:3 " },
        { "later", "+ 1- 2 +3", "t:1 t:3 " },
    };
    for (size_t i = 0; i < 2 * LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i / 2].why);
        world w;
        begin(&w, 0);
        if (i % 2) {
            join(&w, 1, "x");
            run(&w);
        }
        for (const char *o = rows[i / 2].orders; *o; o++) {
            char text[2] = { *o, 0 };
            if (*o == ' ')
                run(&w);
            else if (*o == '+')
                assert_int_equal(join(&w, 0, "x"), LINNET_OK);
            else if (*o == '-')
                assert_int_equal(leave(&w, 0, "x"), LINNET_OK);
            else
                publish(&w, "x", LN_OP_TEXT, text);
            if (*o == '-') assert_int_equal(leave(&w, 0, "x"), LINNET_ERR_NOT_FOUND);
        }
        assert_told(&w, 0, rows[i / 2].told);
        end(&w);
    }
}

/* Who is leaving takes no place of those that are allowed. */
static void test_leaving(void **state) {
    (void)state;
    world w;
    begin(&w, 0);
    for (int i = 0; i < 10; i++) {
        const char *names[] = { "a", "b", "c", "d" };
        assert_int_equal(join(&w, 0, names[i % 4]), LINNET_OK);
        if (i > 2) assert_int_equal(join(&w, 0, "too many"), LINNET_ERR_LIMIT);
        if (i > 1) assert_int_equal(leave(&w, 0, names[(i - 2) % 4]), LINNET_OK);
        if (i == 5) run(&w);
    }
    ln_raw_close(&w.peers[0].raw, w.hub); /* while some are leaving */
    run(&w);
    join(&w, 0, "x");
    run(&w);
    leave(&w, 0, "x");
    ln_mail_discard(w.first); /* the way out of a server that ends */
    w.first = NULL;
    end(&w);
}

static void test_refusals(void **state) {
    (void)state;
    world w;
    begin(&w, 3);
    assert_int_equal(join(&w, 0, ""), LINNET_ERR_INVAL);
    int err = ln_raw_publish(w.hub, LN_SLICE(""), LN_OP_TEXT, LN_SLICE("x"));
    assert_int_equal(err, LINNET_ERR_INVAL);
    assert_int_equal(leave(&w, 0, "x"), LINNET_ERR_NOT_FOUND);
    assert_int_equal(join(&w, 0, "x"), LINNET_OK);
    assert_int_equal(join(&w, 0, "x"), LINNET_ERR_EXISTS);
    assert_int_equal(join(&w, 0, "y"), LINNET_OK);
    assert_int_equal(join(&w, 0, "z"), LINNET_OK);
    assert_int_equal(join(&w, 0, "one too many"), LINNET_ERR_LIMIT);
    assert_int_equal(join(&w, 1, "the hub's limit"), LINNET_ERR_LIMIT);
    run(&w);
    assert_int_equal(leave(&w, 0, "y"), LINNET_OK);
    run(&w);
    /* The home of y lingers, so there is none for w: the topic is taken out of the list again, and
     * who was told OK hears of it by the end of the connection. */
    assert_int_equal(join(&w, 0, "w"), LINNET_OK);
    assert_int_equal(w.peers[0].err, LINNET_OK);
    run(&w);
    assert_int_equal(w.peers[0].err, LINNET_ERR_CLOSED);
    assert_int_equal(leave(&w, 0, "w"), LINNET_ERR_NOT_FOUND);
    end(&w);
}

static void test_closed_while_asking(void **state) {
    (void)state;
    world w;
    begin(&w, 0);
    join(&w, 0, "x");
    join(&w, 1, "x");
    ln_raw_close(&w.peers[0].raw, w.hub);
    publish(&w, "x", LN_OP_TEXT, "one");
    assert_told(&w, 0, "");
    assert_told(&w, 1, "t:one ");
    end(&w);
}

static void test_a_queue_without_memory(void **state) {
    (void)state;
    world w;
    begin(&w, 0);
    for (int i = 0; i < PEERS; i++)
        join(&w, i, "x");
    w.peers[1].err = LINNET_ERR_NOMEM;
    publish(&w, "x", LN_OP_TEXT, "one");
    assert_told(&w, 2, "t:one ");
    assert_int_equal(w.peers[0].err, LINNET_OK);
    assert_int_equal(w.peers[1].err, LINNET_ERR_CLOSED);
    end(&w);
}

static void assert_told_or_closed(world *w, int i, bool told) {
    run(w);
    const peer *p = &w->peers[i];
    if (told && p->err != LINNET_ERR_CLOSED) assert_string_equal(p->told, "t:one ");
}

static void test_memory(void **state) {
    (void)state;
    bool done = false;
    for (uint64_t fail = 1; !done; fail++) {
        world w;
        ln_test_memory memory = { 0 };
        ln_test_memory_install(&memory);
        begin(&w, 0);
        memory.fail_at = memory.calls + fail;
        bool joined[PEERS];
        for (int i = 0; i < PEERS; i++)
            joined[i] = join(&w, i, "x") == LINNET_OK;
        run(&w);
        int err = ln_raw_publish(w.hub, LN_SLICE("x"), LN_OP_TEXT, LN_SLICE("one"));
        for (int i = 0; i < PEERS; i++) /* a hole that nobody sees is none of the answers */
            assert_told_or_closed(&w, i, joined[i] && err == LINNET_OK);
        if (joined[0] && !w.peers[0].err) assert_int_equal(leave(&w, 0, "x"), LINNET_OK);
        run(&w);
        done = memory.calls < memory.fail_at;
        if (done) assert_string_equal(w.peers[PEERS - 1].told, "t:one ");
        end(&w);
        assert_int_equal(memory.live, 0);
        ln_test_memory_remove();
        assert_true(fail < 50);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_leaving),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_closed_while_asking),
        cmocka_unit_test(test_a_queue_without_memory),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
