/* The way down: the order on the wire is the order of the calls, whichever way each piece goes; and
 * what becomes of a reader who does not read. */
#include "conn/conn_test.h"
#include "wire/ext.h"

static ln_rendering *shared(const char *text) {
    ln_rendering *r = ln_rendering_of(LN_OP_TEXT, ln_slice_str(text));
    assert_non_null(r);
    return r;
}

static void queue(ln_conn *c, const char *text) {
    ln_rendering *r = shared(text);
    assert_int_equal(ln_conn_queue(c, r), LINNET_OK);
    ln_rendering_unref(r);
}

static void send_text(ln_conn *c, const char *text) {
    assert_int_equal(ln_conn_send(c, LN_OP_TEXT, ln_slice_str(text)), LINNET_OK);
}

/* ---- order ----------------------------------------------------------------------------------- */

/* s send, p plain, q queue, f first fragment, c continuation, e end of it, i ping, x close */
static void play(ln_conn *c, const char *calls) {
    for (const char *at = calls; *at; at++) {
        char text[8];
        snprintf(text, sizeof text, "%c%td", *at, at - calls);
        ln_slice s = ln_slice_str(text);
        int err = LINNET_OK;
        switch (*at) {
        case 's': err = ln_conn_send(c, LN_OP_TEXT, s); break;
        case 'p': err = ln_conn_send_plain(c, LN_OP_TEXT, s); break;
        case 'q': queue(c, text); break;
        case 'f': err = ln_conn_send_fragment(c, LN_OP_TEXT, false, s); break;
        case 'c': err = ln_conn_send_fragment(c, LN_OP_CONTINUATION, false, s); break;
        case 'e': err = ln_conn_send_fragment(c, LN_OP_CONTINUATION, true, s); break;
        case 'i': err = ln_conn_ping(c, s); break;
        case 'x': err = ln_conn_close(c, 1000, s); break;
        default: fail();
        }
        assert_int_equal(err, LINNET_OK);
    }
}

static const char *played(const char *calls) {
    static char out[1000];
    size_t at = 0;
    for (const char *p = calls; *p; p++) {
        const char *name = *p == 'f'   ? "text-"
                           : *p == 'c' ? "more-"
                           : *p == 'e' ? "more"
                           : *p == 'i' ? "ping"
                           : *p == 'x' ? "close 1000"
                                       : "text";
        at += (size_t)snprintf(
            out + at, sizeof out - at, "%s%s %c%td", at ? "|" : "", name, *p, p - calls);
    }
    return out;
}

static void plays(rig *r, ln_conn *c, const char *event) {
    if (strcmp(event, "message") == 0) play(c, r->extra);
}

static void test_order(void **state) {
    (void)state;
    static const char *const rows[] = { "s", "q", "sq", "qs", "sqsqsx", "ssqqssqqx", "fce",
        "sfices", "qfices", "fceqs", "qqqqqqqqqqqqqqqqqqqqqqqqqqqs", "iqisix", "px", "qpx", "x" };
    for (size_t i = 0; i < LN_COUNT(rows); i++)
        for (int kind = 0; kind < 3; kind++) {
            bool fragments = strchr(rows[i], 'f');
            if (kind == 2 && fragments) continue; /* not where fan-out comes in between */
            rig *r = rig_ws();
            r->extra = (void *)(uintptr_t)rows[i];
            if (kind == 2) ln_conn_batch(r->conn, true);
            if (kind) {
                r->act = plays; /* while its own input is handled */
                rig_peer_frame(r, 0x81, "go");
                rig_settle(r);
            } else {
                play(r->conn, rows[i]);
                rig_settle(r);
            }
            rig_peer_got(r, played(rows[i]));
            assert_int_equal(r->conn->queued, 0);
            rig_free(r);
        }
}

static void test_fragment_rules(void **state) {
    (void)state;
    rig *r = rig_ws();
    ln_conn *c = r->conn;
    ln_slice s = LN_SLICE("x");
    assert_int_equal(ln_conn_send_fragment(c, LN_OP_CONTINUATION, true, s), LINNET_ERR_STATE);
    assert_int_equal(ln_conn_send_fragment(c, LN_OP_BINARY, false, s), LINNET_OK);
    assert_int_equal(ln_conn_send_fragment(c, LN_OP_TEXT, true, s), LINNET_ERR_STATE);
    assert_int_equal(ln_conn_send(c, LN_OP_TEXT, s), LINNET_ERR_STATE);
    assert_int_equal(ln_conn_send_plain(c, LN_OP_TEXT, s), LINNET_ERR_STATE);
    assert_int_equal(ln_conn_ping(c, s), LINNET_OK);
    assert_int_equal(ln_conn_send_fragment(c, LN_OP_CONTINUATION, true, s), LINNET_OK);
    assert_int_equal(ln_conn_send_fragment(c, LN_OP_TEXT, true, s), LINNET_OK); /* one is enough */
    assert_int_equal(ln_conn_send(c, LN_OP_TEXT, s), LINNET_OK);
    ln_conn_batch(c, true);
    assert_int_equal(ln_conn_send_fragment(c, LN_OP_TEXT, true, s), LINNET_ERR_STATE);
    ln_conn_batch(c, false);
    assert_int_equal(ln_conn_send_fragment(c, LN_OP_TEXT, false, s), LINNET_OK);
    assert_int_equal(ln_conn_close(c, 1000, LN_SLICE("")), LINNET_OK); /* in the middle: allowed */
    rig_settle(r);
    rig_peer_got(r, "binary- x|ping x|more x|text x|text x|text- x|close 1000");
    rig_free(r);
}

static void test_ping_too_long(void **state) {
    (void)state;
    rig *r = rig_ws();
    uint8_t long_one[126] = { 0 };
    assert_int_equal(ln_conn_ping(r->conn, ln_slice_of(long_one, 126)), LINNET_ERR_INVAL);
    assert_int_equal(ln_conn_ping(r->conn, ln_slice_of(long_one, 125)), LINNET_OK);
    rig_settle(r);
    rig_peer_got(r, "ping of 125");
    rig_free(r);
}

/* ---- readers who do not read --------------------------------------------------------------------
 */

static char block[64 * 1024 + 1];

static void fill_block(void) {
    memset(block, 'b', sizeof block - 1);
}

static int stuff(rig *r, unsigned blocks) {
    int err = LINNET_OK;
    for (unsigned i = 0; i < blocks && err == LINNET_OK; i++)
        err = ln_conn_send(r->conn, LN_OP_TEXT, ln_slice_of(block, sizeof block - 1));
    return err;
}

static void test_too_much(void **state) {
    (void)state;
    fill_block();
    rig *r = rig_ws();
    rig_peer_deaf(r, true);
    assert_int_equal(stuff(r, 15), LINNET_OK);
    rig_settle(r);
    assert_true(r->conn->queued > 800 * 1024);
    assert_true(r->conn->queued <= 1024 * 1024);
    assert_int_equal(stuff(r, 10), LINNET_ERR_SLOW);
    assert_int_equal(ln_conn_send(r->conn, LN_OP_TEXT, LN_SLICE("x")), LINNET_ERR_CLOSED);
    assert_true(r->conn->queued < 100 * 1024); /* what it will not read is not kept */
    rig_said(r, "");
    rig_settle(r);
    rig_said(r, "close 1006 SLOW");
    rig_peer_deaf(r, false);
    rig_settle(r);
    const char *heard = rig_peer_heard(r);
    assert_string_equal(
        heard + strlen(heard) - strlen("close 3008 reader too slow, its queue is full|end"),
        "close 3008 reader too slow, its queue is full|end");
    rig_free(r);
}

static void test_one_is_always_taken(void **state) {
    (void)state;
    rig *r = rig_ws();
    static uint8_t large[3000000];
    assert_int_equal(
        ln_conn_send(r->conn, LN_OP_BINARY, ln_slice_of(large, sizeof large)), LINNET_OK);
    rig_settle(r);
    rig_peer_got(r, "binary of 3000000");
    rig_free(r);
}

/* A Close is owed whatever waits before it. */
static void test_close_behind_a_full_queue(void **state) {
    (void)state;
    fill_block();
    rig *r = rig_ws();
    rig_peer_deaf(r, true);
    assert_int_equal(stuff(r, 15), LINNET_OK);
    uint32_t left = r->config.queued_max - r->conn->queued;
    static uint8_t rest[128 * 1024];
    assert_int_equal(ln_conn_send(r->conn, LN_OP_BINARY, ln_slice_of(rest, left - 4)), LINNET_OK);
    assert_int_equal(r->conn->queued, r->config.queued_max);
    assert_int_equal(ln_conn_close(r->conn, 4000, LN_SLICE("bye")), LINNET_OK);
    assert_int_equal(r->conn->state, LN_CONN_CLOSING);
    rig_peer_deaf(r, false);
    rig_settle(r);
    const char *heard = rig_peer_heard(r);
    assert_non_null(strstr(heard, "close 4000 bye"));
    rig_said(r, "");
    rig_free(r);
}

static void no_pings(ln_conn_config *f) {
    f->ping_ms = 0;
}

static void test_age(void **state) {
    (void)state;
    fill_block();
    rig *r = rig_ws(); /* it does not read at all */
    rig_peer_deaf(r, true);
    assert_int_equal(stuff(r, 3), LINNET_OK);
    rig_pass(r, 9900);
    rig_said(r, "");
    rig_pass(r, 200);
    rig_said(r, "close 1006 SLOW");
    rig_free(r);

    r = rig_ws_with(no_pings); /* what is young does not count, and what left does not either */
    for (int i = 0; i < 20; i++) {
        rig_peer_deaf(r, true);
        assert_int_equal(stuff(r, 3), LINNET_OK);
        rig_pass(r, 2000);
        rig_peer_deaf(r, false);
        rig_settle(r);
        ln_buf_clear(&r->heard);
    }
    rig_said(r, "");
    rig_free(r);
}

/* It reads all the time, but slower than what is sent to it: the oldest gets older and older. */
static void test_age_of_a_slow_stream(void **state) {
    (void)state;
    rig *r = rig_ws_with(no_pings);
    uint32_t most = 0;
    rig_peer_deaf(r, true);
    for (int i = 0; i < 400 && !strstr(r->said, "close"); i++) {
        if (r->conn->state == LN_CONN_WS)
            ln_conn_send(r->conn, LN_OP_BINARY, ln_slice_of(block, 20000));
        rig_pass(r, 450);
        if (!r->conn) break;
        rig_peer_deaf(r, false); /* one receive's worth */
        rig_turn_until(r, ln_loop_now(r->loop) + 1);
        rig_peer_deaf(r, true);
        if (r->conn && r->conn->queue.first) {
            uint32_t age = ln_conn_now(r->conn) - r->conn->queue.first_at;
            if (age > most) most = age;
        }
        rig_pass(r, 3000);
        ln_buf_clear(&r->heard);
    }
    assert_true(most < 14000);
    rig_free(r);
}

static void test_marks(void **state) {
    (void)state;
    fill_block();
    rig *r = rig_ws();
    rig_peer_deaf(r, true);
    assert_int_equal(stuff(r, 3), LINNET_OK);
    rig_settle(r);
    rig_peer_frame(r, 0x81, "heard");
    rig_settle(r);
    rig_said(r, "text heard");
    assert_int_equal(stuff(r, 4), LINNET_OK); /* over the high mark now */
    rig_peer_frame(r, 0x81, "waits");
    rig_settle(r);
    rig_said(r, "");
    rig_peer_deaf(r, false);
    rig_settle(r);
    rig_said(r, "drain|text waits");
    assert_int_equal(stuff(r, 1), LINNET_OK); /* below it nothing is told */
    rig_settle(r);
    rig_said(r, "");
    assert_int_equal(r->conn->queued, 0);
    rig_free(r);
}

static void refills(rig *r, ln_conn *c, const char *event) {
    unsigned *left = r->extra;
    if (strcmp(event, "drain") != 0 || !*left) return;
    --*left;
    for (int i = 0; i < 6; i++)
        assert_int_equal(
            ln_conn_send(c, LN_OP_TEXT, ln_slice_of(block, sizeof block - 1)), LINNET_OK);
}

static void test_refilled_in_on_drain(void **state) {
    (void)state;
    fill_block();
    rig *r = rig_ws();
    unsigned left = 5;
    r->extra = &left;
    r->act = refills;
    assert_int_equal(stuff(r, 6), LINNET_OK);
    rig_settle(r);
    rig_said(r, "drain|drain|drain|drain|drain|drain");
    ln_frame f = { 0 };
    ln_slice p = { NULL, 0 };
    int heard = 0;
    while (rig_peer_next(r, &f, &p))
        heard++;
    assert_int_equal(heard, 36);
    rig_free(r);
}

static void low_marks(ln_conn_config *f) {
    f->high = 1000;
    f->low = 0;
}

static void pours(rig *r, ln_conn *c, const char *event) {
    unsigned *left = r->extra;
    if (strcmp(event, "drain") != 0 || !*left) return;
    --*left;
    assert_int_equal(ln_conn_send(c, LN_OP_TEXT, ln_slice_of(block, 1500)), LINNET_OK);
}

/* Whoever refills in each on_drain does not get the turn for himself. */
static void test_a_spring_has_its_turn_too(void **state) {
    (void)state;
    fill_block();
    rig *r = rig_ws_with(low_marks);
    unsigned left = 40; /* the network would take them all at once */
    r->extra = &left;
    r->act = pours;
    assert_int_equal(ln_conn_send(r->conn, LN_OP_TEXT, ln_slice_of(block, 1500)), LINNET_OK);
    ln_env_flush(&r->env);
    assert_true(left > 20);
    rig_settle(r);
    assert_int_equal(left, 0);
    rig_free(r);
}

static void ends_here(rig *r, ln_conn *c, const char *event) {
    if (strcmp(event, "drain") != 0) return;
    if (r->extra)
        ln_conn_terminate(c);
    else
        ln_conn_close(c, 1000, LN_SLICE(""));
}

static void test_ends_in_on_drain(void **state) {
    (void)state;
    fill_block();
    for (int kind = 0; kind < 2; kind++) {
        rig *r = rig_ws();
        r->extra = kind ? r : NULL;
        r->act = ends_here;
        assert_int_equal(stuff(r, 6), LINNET_OK);
        rig_settle(r);
        rig_said(r, kind ? "drain|close 1006 CANCELLED" : "drain");
        rig_free(r);
    }
}

static void test_gone_with_data_under_way(void **state) {
    (void)state;
    fill_block();
    for (int kind = 0; kind < 3; kind++) {
        rig *r = rig_ws();
        rig_peer_deaf(r, true);
        assert_int_equal(stuff(r, 10), LINNET_OK);
        rig_settle(r);
        assert_non_null(r->conn->inflight);
        if (kind == 0) rig_peer_leaves(r, true);
        if (kind == 1) rig_peer_leaves(r, false);
        if (kind == 2) ln_conn_terminate(r->conn);
        rig_settle(r);
        rig_said(r, kind == 2 ? "close 1006 CANCELLED" : "close 1006 RESET");
        assert_null(r->conn);
        rig_free(r);
    }
}

/* A reply that the network does not take, to a message that lies where no header fits. */
static void replies_large(rig *r, ln_conn *c, const char *event) {
    if (strcmp(event, "message") == 0) assert_int_equal(stuff(r, 3), LINNET_OK);
    (void)c;
}

static void test_large_reply(void **state) {
    (void)state;
    fill_block();
    rig *r = rig_ws();
    r->act = replies_large;
    ln_buf b;
    ln_buf_init(&b, 1000);
    rig_frame(&b, 0x01, LN_SLICE(""));
    rig_frame(&b, 0x80, LN_SLICE(""));
    rig_peer_says(r, ln_buf_slice(&b));
    ln_buf_fini(&b);
    rig_settle(r);
    rig_said(r, "text ");
    rig_peer_got(r, "text of 65536|text of 65536|text of 65536");
    rig_free(r);
}

/* ---- compressed ------------------------------------------------------------------------------ */

typedef struct reader { /* what a client makes of the bytes */
    ln_ws_config config;
    ln_ws_tools tools;
    ln_rand rand;
    ln_ws ws;
} reader;

static reader *reader_new(const ln_pmd_params *params) {
    reader *d = calloc(1, sizeof *d);
    assert_non_null(d);
    d->config = (ln_ws_config){
        .message_max = 1 << 24, .fragments_max = 10, .deflate_level = 1, .client = true
    };
    ln_rand_init_seeded(&d->rand, 1);
    ln_ws_tools_init(&d->tools, &d->rand);
    assert_int_equal(ln_ws_init(&d->ws, &d->config, params, &d->tools), LINNET_OK);
    return d;
}

static void reader_free(reader *d) {
    ln_ws_fini(&d->ws, &d->tools);
    ln_ws_tools_fini(&d->tools);
    free(d);
}

static rig *rig_deflated(const ln_pmd_params *params) {
    rig *r = rig_bare();
    r->raw = true;
    r->config.ws.deflate_threshold = 10;
    r->config.ws.deflate_memory = 8;
    r->config.ws.one_shot = true;
    rig_connect(r);
    assert_int_equal(ln_conn_open_ws(r->conn, &r->config, &rig_ops, NULL, params), LINNET_OK);
    ln_conn_resume(r->conn, 0);
    return r;
}

static const char *const texts[] = { "the first of the first of the first", "short",
    "the second of the second of the first", "plain plain plain plain plain",
    "the first of the first of the first", "and and and and and and" };

/* By itself, shared and plain, in the cork and in the queue: with a window the order of compressing
 * must be the order on the wire. */
static void mixed(rig *r, ln_conn *c, const char *event) {
    if (strcmp(event, "message") != 0) return;
    ln_rendering *r0 = shared(texts[0]), *r4 = shared(texts[4]);
    if (r->extra) assert_int_equal(ln_conn_queue(c, r0), LINNET_OK);
    if (!r->extra) send_text(c, texts[0]);
    send_text(c, texts[1]);
    send_text(c, texts[2]);
    assert_int_equal(ln_conn_send_plain(c, LN_OP_TEXT, ln_slice_str(texts[3])), LINNET_OK);
    assert_int_equal(ln_conn_queue(c, r4), LINNET_OK);
    ln_rendering_unref(r0);
    ln_rendering_unref(r4);
    send_text(c, texts[5]);
}

static void test_compressed(void **state) {
    (void)state;
    for (int kind = 0; kind < 8; kind++) {
        bool takeover = kind & 1, queued = kind & 2, batch = kind & 4;
        ln_pmd_params params = { .server_bits = 15,
            .client_bits = 15,
            .server_no_takeover = !takeover,
            .client_no_takeover = true };
        rig *r = rig_deflated(&params);
        reader *d = reader_new(&params);
        r->act = mixed;
        r->extra = queued ? r : NULL;
        if (batch) ln_conn_batch(r->conn, true);
        for (int round = 0; round < 3; round++) {
            rig_peer_frame(r, 0x81, "go");
            rig_settle(r);
            size_t i = 0;
            ln_slice all = ln_buf_slice(&r->heard);
            ln_wslice in = { (uint8_t *)(uintptr_t)all.data, all.size };
            ln_ws_event e;
            while (ln_ws_next(&d->ws, &d->tools, &in, &e) == LN_DONE) {
                assert_true(i < LN_COUNT(texts));
                assert_int_equal(e.data.size, strlen(texts[i]));
                assert_memory_equal(e.data.data, texts[i], e.data.size);
                if (i == 1 || i == 3)
                    assert_false(e.inflated); /* below the threshold; on purpose */
                i++;
            }
            assert_int_equal(i, LN_COUNT(texts));
            ln_buf_clear(&r->heard);
        }
        reader_free(d);
        rig_free(r);
    }
}

/* Our Close stands behind what was queued in clear and is only encoded when it leaves: also when
 * the peer has closed before, or broken a rule. */
static void test_close_behind_what_is_in_clear(void **state) {
    (void)state;
    static const char *const frames[] = { NULL, "\x88\x80\0\0\0\0", "\x83\x80\0\0\0\0" };
    static const char *const said[] = { "close|", "close 1005 ", "close 1006 PROTO_OPCODE" };
    for (int kind = 0; kind < 6; kind++) {
        ln_pmd_params params = { .server_bits = 15,
            .client_bits = 15,
            .server_no_takeover = kind >= 3,
            .client_no_takeover = true };
        rig *r = rig_deflated(&params);
        reader *d = reader_new(&params);
        r->said[0] = 0;
        for (size_t i = 0; i < LN_COUNT(texts); i++)
            queue(r->conn, texts[i]);
        if (kind % 3) {
            ln_wslice in = { (uint8_t *)malloc(6), 6 };
            assert_non_null(in.data);
            memcpy(in.data, frames[kind % 3], 6);
            ln_conn_input(r->conn, in);
            free(in.data);
        } else {
            assert_int_equal(ln_conn_close(r->conn, 1000, LN_SLICE("")), LINNET_OK);
        }
        rig_settle(r);
        if (kind % 3) assert_string_equal(r->said, said[kind % 3]);
        size_t i = 0;
        ln_slice all = ln_buf_slice(&r->heard);
        ln_wslice in = { (uint8_t *)(uintptr_t)all.data, all.size };
        ln_ws_event e;
        bool closed = false;
        while (ln_ws_next(&d->ws, &d->tools, &in, &e) == LN_DONE) {
            if (e.kind == LN_WS_CLOSE) {
                closed = true;
                continue;
            }
            assert_true(i < LN_COUNT(texts));
            assert_int_equal(e.data.size, strlen(texts[i]));
            assert_memory_equal(e.data.data, texts[i], e.data.size);
            i++;
        }
        assert_int_equal(i, LN_COUNT(texts));
        assert_true(closed);
        reader_free(d);
        rig_free(r);
    }
}

/* One rendering to connections that take it compressed and plain: compressed once. */
static void test_twin_is_made_once(void **state) {
    (void)state;
    ln_pmd_params params = {
        .server_bits = 15, .client_bits = 15, .server_no_takeover = true, .client_no_takeover = true
    };
    rig *r = rig_deflated(&params);
    ln_rendering *s = shared(texts[0]);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ln_conn_queue(r->conn, s), LINNET_OK);
    rig_settle(r);
    assert_non_null(s->twins);
    assert_null(s->twins->twins);
    assert_int_equal(s->refs, 1);
    assert_int_equal(s->twins->refs, 1);
    r->config.ws.one_shot = false; /* as on a route for peers that cannot read its last blocks */
    for (int i = 0; i < 2; i++)
        assert_int_equal(ln_conn_queue(r->conn, s), LINNET_OK);
    rig_settle(r);
    assert_non_null(s->twins->twins);
    assert_null(s->twins->twins->twins);
    ln_rendering_unref(s);
    rig_free(r);
}

/* ---- without memory ----------------------------------------------------------------------------
 */

/* What was promised with LINNET_OK and cannot be kept ends the connection: nothing is lost in
 * silence, and no window runs ahead of the wire. */
typedef struct promise {
    ln_test_memory memory;
    uint64_t n;
    int made;
} promise;

static void promises(rig *r, ln_conn *c, const char *event) {
    if (strcmp(event, "message") != 0) return;
    promise *p = r->extra;
    int *promised = &p->made;
    p->memory.fail_at = p->memory.calls + p->n; /* only here: the simulator does without pardon */
    for (int i = 0; i < 3; i++)
        if (ln_conn_send(c, LN_OP_TEXT, ln_slice_str(texts[0])) == LINNET_OK) ++*promised;
    ln_rendering *s = ln_rendering_of(LN_OP_TEXT, ln_slice_str(texts[2]));
    if (s && ln_conn_queue(c, s) == LINNET_OK) ++*promised;
    if (s) ln_rendering_unref(s);
    for (int i = 0; i < 3; i++)
        if (ln_conn_send(c, LN_OP_TEXT, ln_slice_str(texts[4])) == LINNET_OK) ++*promised;
    p->memory.fail_at = 0;
}

static void test_promises_without_memory(void **state) {
    (void)state;
    for (int kind = 0; kind < 3; kind++)
        for (uint64_t n = 1; n < 40; n++) {
            ln_pmd_params params = { .server_bits = 15,
                .client_bits = 15,
                .server_no_takeover = kind != 2,
                .client_no_takeover = true };
            rig *r = rig_deflated(kind ? &params : NULL);
            reader *d = reader_new(kind ? &params : NULL);
            promise p = { .n = n };
            int heard = 0;
            ln_test_memory_install(&p.memory);
            r->extra = &p;
            r->act = promises;
            rig_peer_frame(r, 0x81, "go");
            rig_settle(r);
            ln_slice all = ln_buf_slice(&r->heard);
            ln_wslice in = { (uint8_t *)(uintptr_t)all.data, all.size };
            ln_ws_event e;
            int err;
            while ((err = ln_ws_next(&d->ws, &d->tools, &in, &e)) == LN_DONE)
                heard += e.kind == LN_WS_MESSAGE;
            assert_int_equal(err, LN_MORE); /* never nonsense */
            if (!strstr(r->said, "close")) assert_int_equal(heard, p.made);
            reader_free(d);
            rig_free(r);
            ln_test_memory_remove();
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_fragment_rules),
        cmocka_unit_test(test_ping_too_long),
        cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_one_is_always_taken),
        cmocka_unit_test(test_close_behind_a_full_queue),
        cmocka_unit_test(test_age),
        cmocka_unit_test(test_age_of_a_slow_stream),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_refilled_in_on_drain),
        cmocka_unit_test(test_a_spring_has_its_turn_too),
        cmocka_unit_test(test_ends_in_on_drain),
        cmocka_unit_test(test_gone_with_data_under_way),
        cmocka_unit_test(test_large_reply),
        cmocka_unit_test(test_compressed),
        cmocka_unit_test(test_close_behind_what_is_in_clear),
        cmocka_unit_test(test_twin_is_made_once),
        cmocka_unit_test(test_promises_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
