/* The states of conn.h: every way in, every way out, and what a hostile peer or a careless owner
 * does at each. */
#include "conn/conn_test.h"

/* ---- the good case -------------------------------------------------------------------------- */

static void test_echo(void **state) {
    (void)state;
    rig *r = rig_ws();
    rig_peer_frame(r, 0x81, "hello");
    rig_peer_frame(r, 0x89, "beep");
    rig_settle(r);
    rig_said(r, "text hello|ping beep");
    rig_peer_got(r, "pong beep");
    assert_int_equal(ln_conn_send(r->conn, LN_OP_TEXT, LN_SLICE("answer")), LINNET_OK);
    rig_settle(r);
    rig_peer_got(r, "text answer");
    rig_free(r);
}

/* ---- closing -------------------------------------------------------------------------------- */

static void test_peer_closes(void **state) {
    (void)state;
    static const struct {
        const char *why, *payload;
        size_t size;
        const char *said, *heard;
    } rows[] = {
        { "code and reason",
            "\x03\xe8"
            "bye",
            5, "close 1000 bye", "close 1000|end" },
        { "code only", "\x0f\xa0", 2, "close 4000 ", "close 4000|end" },
        { "nothing", "", 0, "close 1005 ", "close|end" },
        { "one byte", "\x03", 1, "close 1006 PROTO_CLOSE",
            "close 1002 malformed close frame or illegal close code|end" },
        { "a code nobody may send", "\x03\xee", 2, "close 1006 PROTO_CLOSE",
            "close 1002 malformed close frame or illegal close code|end" },
        { "reason that is not UTF-8", "\x03\xe8\xff", 3, "close 1006 UTF8",
            "close 1007 text that is not UTF-8|end" },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        rig *r = rig_ws();
        ln_buf b;
        ln_buf_init(&b, 1000);
        rig_frame(&b, 0x88, ln_slice_of(rows[i].payload, rows[i].size));
        rig_frame(&b, 0x81, LN_SLICE("late"));
        rig_peer_says(r, ln_buf_slice(&b));
        ln_buf_fini(&b);
        rig_settle(r);
        rig_said(r, rows[i].said);
        rig_peer_got(r, rows[i].heard);
        assert_non_null(r->conn); /* it waits for the peer's FIN */
        rig_peer_leaves(r, false);
        rig_settle(r);
        assert_null(r->conn);
        rig_said(r, "");
        rig_free(r);
    }
}

static void test_we_close(void **state) {
    (void)state;
    rig *r = rig_ws();
    assert_int_equal(ln_conn_send(r->conn, LN_OP_TEXT, LN_SLICE("last")), LINNET_OK);
    assert_int_equal(ln_conn_close(r->conn, 999, LN_SLICE("")), LINNET_ERR_INVAL);
    assert_int_equal(ln_conn_close(r->conn, 1006, LN_SLICE("")), LINNET_ERR_INVAL);
    assert_int_equal(ln_conn_close(r->conn, 1000, LN_SLICE("\xff")), LINNET_ERR_INVAL);
    assert_int_equal(r->conn->state, LN_CONN_WS);
    assert_int_equal(ln_conn_close(r->conn, 4001, LN_SLICE("done")), LINNET_OK);
    assert_int_equal(ln_conn_close(r->conn, 4002, LN_SLICE("again")), LINNET_OK);
    assert_int_equal(ln_conn_send(r->conn, LN_OP_TEXT, LN_SLICE("late")), LINNET_ERR_CLOSED);
    assert_int_equal(ln_conn_ping(r->conn, LN_SLICE("late")), LINNET_ERR_CLOSED);
    assert_int_equal(
        ln_conn_send_fragment(r->conn, LN_OP_TEXT, true, LN_SLICE("late")), LINNET_ERR_CLOSED);
    rig_peer_frame(r, 0x81, "crossing");
    rig_peer_frame(r, 0x89, "crossing");
    rig_settle(r);
    rig_said(r, "");
    rig_peer_got(r, "text last|close 4001 done");
    rig_peer_frame(r, 0x88,
        "\x0f\xa1"
        "done");
    rig_settle(r);
    rig_said(r, "close 4001 done");
    rig_peer_got(r, "end");
    rig_peer_leaves(r, false);
    rig_settle(r);
    assert_null(r->conn);
    rig_free(r);
}

static void test_ends_without_a_close(void **state) {
    (void)state;
    rig *r = rig_ws(); /* the peer says FIN */
    rig_peer_leaves(r, false);
    rig_settle(r);
    rig_said(r, "close 1006 RESET");
    assert_null(r->conn);
    rig_free(r);

    r = rig_ws(); /* half a connection is none */
    ln_sock_shutdown(r->loop, r->peer);
    rig_settle(r);
    rig_said(r, "close 1006 RESET");
    rig_free(r);

    r = rig_ws();
    rig_peer_leaves(r, true);
    rig_settle(r);
    rig_said(r, "close 1006 RESET");
    assert_null(r->conn);
    rig_free(r);

    r = rig_ws(); /* our Close is not answered */
    ln_conn_close(r->conn, 1000, LN_SLICE(""));
    rig_pass(r, 4900);
    rig_said(r, "");
    rig_pass(r, 200);
    rig_said(r, "close 1006 TIMEOUT");
    rig_peer_got(r, "close 1000|reset");
    assert_null(r->conn);
    rig_free(r);

    r = rig_ws(); /* what was queued before is read, slowly; then the time for the answer begins */
    static uint8_t much[900000];
    rig_peer_deaf(r, true);
    ln_conn_send(r->conn, LN_OP_BINARY, ln_slice_of(much, sizeof much));
    ln_conn_close(r->conn, 1000, LN_SLICE(""));
    for (int i = 0; i < 13; i++) {
        rig_pass(r, 3000);
        rig_said(r, "");
        rig_peer_deaf(r, false); /* one receive's worth */
        rig_turn_until(r, ln_loop_now(r->loop) + 1);
        rig_peer_deaf(r, true);
    }
    rig_peer_deaf(r, false);
    rig_settle(r);
    rig_peer_frame(r, 0x88, "");
    rig_settle(r);
    rig_said(r, "close 1005 ");
    rig_peer_got(r, "binary of 900000|close 1000|end");
    rig_free(r);

    r = rig_ws(); /* a byte now and then is no reading */
    r->config.queued_age_ms = 0;
    ln_sim_faults crawl = { .window = 600 };
    ln_simnet_faults(r->net, &crawl);
    rig_peer_deaf(r, true);
    ln_conn_send(r->conn, LN_OP_BINARY, ln_slice_of(much, sizeof much));
    ln_conn_close(r->conn, 1000, LN_SLICE(""));
    for (int i = 0; i < 6 && r->conn; i++) {
        rig_pass(r, 2400);
        rig_peer_deaf(r, false);
        rig_turn_until(r, ln_loop_now(r->loop) + 1);
        rig_peer_deaf(r, true);
    }
    rig_said(r, "close 1006 TIMEOUT");
    rig_free(r);

    r = rig_ws(); /* the closing handshake is done, but the peer does not end TCP */
    rig_peer_frame(r, 0x88, "");
    rig_settle(r);
    rig_said(r, "close 1005 ");
    rig_pass(r, 2100);
    assert_null(r->conn);
    rig_free(r);
}

static void on_any(rig *r, ln_conn *c, const char *event) {
    void (*what)(ln_conn * c) = r->extra;
    (void)event;
    what(c);
}

static void terminates(ln_conn *c) {
    ln_conn_terminate(c);
    ln_conn_terminate(c);
    assert_int_equal(ln_conn_send(c, LN_OP_TEXT, LN_SLICE("x")), LINNET_ERR_CLOSED);
    assert_int_equal(ln_conn_close(c, 1000, LN_SLICE("")), LINNET_OK);
    ln_conn_pause(c, LN_PAUSE_USER);
    ln_conn_resume(c, LN_PAUSE_USER);
}

static void closes(ln_conn *c) {
    assert_int_equal(ln_conn_close(c, 1001, LN_SLICE("go")), LINNET_OK);
    assert_int_equal(ln_conn_send(c, LN_OP_TEXT, LN_SLICE("x")), LINNET_ERR_CLOSED);
}

static void fails(ln_conn *c) {
    ln_conn_fail(c, LINNET_ERR_DENIED);
    ln_conn_fail(c, LINNET_ERR_NOMEM);
    assert_int_equal(ln_conn_send(c, LN_OP_TEXT, LN_SLICE("x")), LINNET_ERR_CLOSED);
}

/* Each event, and in it each way to end; whatever else the peer has sent is not delivered. */
static void test_ends_inside_an_event(void **state) {
    (void)state;
    static const struct {
        const char *why;
        uint8_t first;
        const char *payload, *said;
    } events[] = {
        { "message", 0x82, "m", "binary m" },
        { "ping", 0x89, "p", "ping p" },
        { "pong", 0x8a, "q", "pong q" },
    };
    static const struct {
        void (*what)(ln_conn *c);
        const char *said, *heard;
    } ends[] = {
        { terminates, "close 1006 CANCELLED", "reset" },
        { closes, "close 1000 b", "close 1001 go|end" },
        { fails, "close 1006 DENIED", "close 1008 not allowed|end" },
    };
    for (size_t i = 0; i < LN_COUNT(events); i++)
        for (size_t k = 0; k < LN_COUNT(ends); k++) {
            rig *r = rig_ws();
            ln_buf b;
            ln_buf_init(&b, 1000);
            rig_frame(&b, events[i].first, ln_slice_str(events[i].payload));
            rig_frame(&b, 0x81, LN_SLICE("another"));
            rig_frame(&b, 0x88,
                LN_SLICE("\x03\xe8"
                         "b"));
            r->act = on_any;
            r->extra = ends[k].what;
            rig_peer_says(r, ln_buf_slice(&b));
            ln_buf_fini(&b);
            rig_settle(r);
            r->act = NULL;
            char said[100];
            snprintf(said, sizeof said, "%s|%s", events[i].said, ends[k].said);
            rig_said(r, said);
            /* a ping was answered before its event */
            const char *heard = rig_peer_heard(r);
            if (events[i].first == 0x89 && k) heard += strlen("pong p|");
            assert_string_equal(heard, ends[k].heard);
            rig_free(r);
        }
}

static void test_ends_inside_open_and_close(void **state) {
    (void)state;
    void (*const ends[])(ln_conn * c) = { terminates, closes, fails };
    static const char *const said[] = { "open|close 1006 CANCELLED", "open",
        "open|close 1006 DENIED" };
    for (size_t i = 0; i < LN_COUNT(ends); i++) {
        rig *r = rig_bare();
        r->raw = true;
        rig_connect(r);
        r->act = on_any;
        r->extra = ends[i];
        ln_conn_open_ws(r->conn, &r->config, &rig_ops, NULL, NULL);
        ln_conn_resume(r->conn, 0);
        rig_settle(r);
        rig_said(r, said[i]);
        rig_free(r);

        r = rig_ws(); /* inside on_close nothing happens any more */
        r->act = on_any;
        r->extra = ends[i];
        rig_peer_frame(r, 0x88, "");
        rig_settle(r);
        rig_said(r, "close 1005 ");
        rig_pass(r, 3000);
        assert_null(r->conn);
        rig_said(r, "");
        rig_free(r);

        r = rig_ws();
        r->act = on_any;
        r->extra = ends[i];
        ln_conn_terminate(r->conn);
        rig_settle(r);
        rig_said(r, "close 1006 CANCELLED");
        assert_null(r->conn);
        rig_free(r);
    }
}

/* ---- a peer that breaks the rules ----------------------------------------------------------- */

static void test_protocol_errors(void **state) {
    (void)state;
    static const struct {
        const char *why;
        ln_slice bytes;
        const char *said, *heard;
    } rows[] = {
        { "unmasked", BYTES("\x81\x01x"), "close 1006 PROTO_MASK",
            "close 1002 frame masked or unmasked against the rules|end" },
        { "unknown opcode", BYTES("\x83\x80\0\0\0\0"), "close 1006 PROTO_OPCODE",
            "close 1002 unknown opcode|end" },
        { "not UTF-8", BYTES("\x81\x81\0\0\0\0\xff"), "close 1006 UTF8",
            "close 1007 text that is not UTF-8|end" },
        { "too big, from the header alone", BYTES("\x82\xff\0\0\0\0\0\x40\0\1\0\0\0\0"),
            "close 1006 TOO_BIG", "close 1009 message over the limit|end" },
        { "a continuation of nothing", BYTES("\x80\x80\0\0\0\0"), "close 1006 PROTO_FRAGMENT",
            "close 1002 fragments out of order|end" },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        rig *r = rig_ws();
        rig_peer_frame(r, 0x81, "good");
        rig_peer_says(r, rows[i].bytes);
        rig_peer_frame(r, 0x81, "late");
        rig_settle(r);
        char said[100];
        snprintf(said, sizeof said, "text good|%s", rows[i].said);
        rig_said(r, said);
        rig_peer_got(r, rows[i].heard);
        rig_peer_frame(r, 0x81, "later");
        rig_pass(r, 2100);
        assert_null(r->conn);
        rig_said(r, "");
        rig_free(r);
    }
}

static void test_flood(void **state) {
    (void)state;
    rig *r = rig_ws(); /* 50 a second may go on for ever */
    for (int i = 0; i < 500; i++) {
        rig_peer_frame(r, 0x8a, "");
        rig_pass(r, 20);
        r->said[0] = 0;
    }
    assert_non_null(r->conn);
    for (int i = 0; i < 251; i++)
        rig_peer_frame(r, 0x8a, "");
    r->said[0] = 0;
    rig_settle(r);
    assert_non_null(strstr(r->said, "close 1006 FLOOD"));
    assert_non_null(strstr(rig_peer_heard(r), "close 1008 too many control frames|end"));
    rig_free(r);
}

/* ---- time ----------------------------------------------------------------------------------- */

static void test_ping_and_pong(void **state) {
    (void)state;
    rig *r = rig_ws();
    rig_pass(r, 24900);
    rig_peer_got(r, "");
    rig_pass(r, 200);
    ln_frame f = { 0 };
    ln_slice p = { NULL, 0 };
    assert_true(rig_peer_next(r, &f, &p));
    assert_int_equal(f.opcode, LN_OP_PING);
    uint8_t copy[125];
    assert_true(p.size <= sizeof copy);
    memcpy(copy, p.data, p.size);
    rig_pass(r, 100);
    ln_buf b;
    ln_buf_init(&b, 1000);
    rig_frame(&b, 0x8a, LN_SLICE("wrong"));
    rig_frame(&b, 0x8a, ln_slice_of(copy, p.size));
    rig_frame(&b, 0x8a, ln_slice_of(copy, p.size));
    uint32_t sent = r->conn->pinged, now = ln_conn_now(r->conn);
    rig_peer_says(r, ln_buf_slice(&b));
    ln_buf_fini(&b);
    rig_settle(r);
    char said[200];
    int n = snprintf(said, sizeof said, "pong wrong|pong in %u|pong ", now - sent);
    assert_memory_equal(r->said, said, (size_t)n); /* the third answers no ping any more */
    r->said[0] = 0;
    rig_free(r);
}

static void test_silence_is_death(void **state) {
    (void)state;
    rig *r = rig_ws();
    rig_pass(r, 34900);
    rig_said(r, "");
    rig_pass(r, 200);
    rig_said(r, "close 1006 PONG_TIMEOUT");
    assert_null(r->conn);
    rig_free(r);

    r = rig_ws(); /* any byte is a sign of life, also half a frame */
    for (int i = 0; i < 2; i++) {
        rig_pass(r, 14000);
        rig_peer_says(r, i ? LN_SLICE("\x85") : LN_SLICE("\x81"));
    }
    rig_pass(r, 12000);
    assert_non_null(r->conn);
    rig_free(r);

    r = rig_ws(); /* a peer that only listens is pinged too */
    for (int i = 0; i < 60; i++) {
        rig_pass(r, 1000);
        rig_peer_frame(r, 0x82, "x");
    }
    rig_settle(r);
    ln_frame f = { 0 };
    ln_slice p = { NULL, 0 };
    int pings = 0;
    while (rig_peer_next(r, &f, &p))
        pings += f.opcode == LN_OP_PING;
    assert_int_equal(pings, 2); /* nothing outbound for 25 s, twice */
    rig_free(r);
}

static void test_message_timeout(void **state) {
    (void)state;
    rig *r = rig_ws();
    ln_buf b;
    ln_buf_init(&b, 1000);
    rig_frame(&b, 0x81, LN_SLICE("0123456789"));
    rig_peer_says(r, ln_slice_sub(ln_buf_slice(&b), 0, 8));
    for (int i = 0; i < 5; i++) { /* alive, but it does not come to an end */
        rig_pass(r, 5900);
        rig_peer_says(r, LN_SLICE("x"));
    }
    rig_said(r, "");
    rig_pass(r, 700);
    rig_said(r, "close 1006 MESSAGE_TIMEOUT");
    ln_buf_fini(&b);
    rig_free(r);
}

/* Each message takes a second, but none begins where an input does. */
static void test_messages_that_overlap(void **state) {
    (void)state;
    rig *r = rig_ws();
    ln_buf b;
    ln_buf_init(&b, 10000);
    for (int i = 0; i < 60; i++)
        rig_frame(&b, 0x82, LN_SLICE("0123456789"));
    ln_slice all = ln_buf_slice(&b);
    size_t each = 16, from = 0;
    for (size_t to = 8; to < all.size; to += each) {
        rig_peer_says(r, ln_slice_sub(all, from, to));
        from = to;
        rig_pass(r, 1000);
        assert_non_null(r->conn);
        assert_null(strstr(r->said, "close"));
        r->said[0] = 0;
    }
    ln_buf_fini(&b);
    rig_free(r);
}

static void idles(ln_conn_config *f) {
    f->idle_ms = 40000;
    f->ping_ms = 0;
}

static void test_idle(void **state) {
    (void)state;
    rig *r = rig_ws_with(idles);
    rig_pass(r, 30000);
    rig_peer_frame(r, 0x81, "x");
    rig_settle(r);
    rig_pass(r, 39000);
    rig_said(r, "text x");
    rig_peer_got(r, "");
    rig_pass(r, 1100);
    rig_peer_got(r, "close 1000 idle");
    rig_free(r);
}

/* What was not listened to proves nothing about the peer. */
static void test_paused_is_not_dead(void **state) {
    (void)state;
    rig *r = rig_ws();
    ln_conn_pause(r->conn, LN_PAUSE_USER);
    rig_peer_frame(r, 0x81, "patience");
    rig_pass(r, 100000);
    rig_said(r, "");
    assert_non_null(r->conn);
    ln_conn_resume(r->conn, LN_PAUSE_USER);
    rig_settle(r);
    rig_said(r, "text patience");
    rig_pass(r, 20000);
    assert_non_null(r->conn);
    rig_free(r);
}

static void pauses(rig *r, ln_conn *c, const char *event) {
    (void)r;
    if (strcmp(event, "message") == 0) ln_conn_pause(c, LN_PAUSE_USER);
}

static void test_paused_in_the_middle(void **state) {
    (void)state;
    rig *r = rig_ws();
    ln_buf b;
    ln_buf_init(&b, 1000);
    rig_frame(&b, 0x81, LN_SLICE("one"));
    rig_frame(&b, 0x81, LN_SLICE("two"));
    rig_frame(&b, 0x81, LN_SLICE("half"));
    r->act = pauses;
    rig_peer_says(r, ln_slice_sub(ln_buf_slice(&b), 0, b.size - 2));
    rig_pass(r, 70000);
    rig_said(r, "text one");
    ln_conn_pause(r->conn, LN_PAUSE_WAIT); /* reasons do not undo each other */
    ln_conn_resume(r->conn, LN_PAUSE_USER);
    rig_settle(r);
    rig_said(r, "");
    ln_conn_resume(r->conn, LN_PAUSE_WAIT);
    rig_settle(r);
    rig_said(r, "text two");
    rig_pass(r, 70000);
    ln_conn_resume(r->conn, LN_PAUSE_USER);
    rig_settle(r);
    /* The half one has begun; it will be older than message_ms, but it is us who do not listen. */
    ln_conn_pause(r->conn, LN_PAUSE_USER);
    rig_pass(r, 40000);
    ln_conn_resume(r->conn, LN_PAUSE_USER);
    rig_pass(r, 20000);
    rig_said(r, "");
    rig_peer_says(r, LN_SLICE("lf"));
    rig_settle(r);
    rig_said(r, "text half");
    ln_buf_fini(&b);
    rig_free(r);
}

/* ---- how much in one turn -------------------------------------------------------------------- */

static void counts(rig *r, ln_conn *c, const char *event) {
    (void)c, (void)event;
    (*(unsigned *)r->extra)++;
    r->said[0] = 0;
}

static void answers(rig *r, ln_conn *c, const char *event) {
    counts(r, c, event);
    if (strcmp(event, "message") == 0)
        assert_int_equal(ln_conn_send(c, LN_OP_TEXT, LN_SLICE("a")), LINNET_OK);
}

/* 1,024 messages in one turn, the rest in the next ones: with answers in the cork, with answers in
 * the queue, and without. */
static void test_budget(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        rig *r = rig_ws();
        unsigned count = 0;
        ln_buf b;
        ln_buf_init(&b, 100000);
        for (int i = 0; i < 3000; i++)
            rig_frame(&b, 0x81, LN_SLICE("m"));
        rig_frame(&b, 0x88, LN_SLICE(""));
        r->extra = &count;
        r->act = kind ? answers : counts;
        if (kind == 2) ln_conn_batch(r->conn, true);
        if (kind == 3) ln_conn_send(r->conn, LN_OP_TEXT, LN_SLICE("something waits already"));
        rig_peer_says(r, ln_buf_slice(&b));
        unsigned most = 0;
        for (int i = 0; i < 20; i++) {
            unsigned before = count;
            rig_turn_until(r, ln_loop_now(r->loop) + 1);
            if (count - before > most) most = count - before;
        }
        assert_int_equal(most, 1024);
        assert_int_equal(count, 3001); /* and the close */
        ln_frame f = { 0 };
        ln_slice p = { NULL, 0 };
        unsigned heard = 0;
        while (rig_peer_next(r, &f, &p))
            heard += f.opcode == LN_OP_TEXT;
        assert_int_equal(heard, kind == 3 ? 3001 : kind ? 3000 : 0);
        ln_buf_fini(&b);
        rig_free(r);
    }
}

static void test_fin_behind_the_budget(void **state) {
    (void)state;
    rig *r = rig_ws();
    unsigned count = 0;
    ln_buf b;
    ln_buf_init(&b, 100000);
    for (int i = 0; i < 3000; i++)
        rig_frame(&b, 0x81, LN_SLICE("m"));
    r->extra = &count;
    r->act = counts;
    rig_peer_says(r, ln_buf_slice(&b));
    ln_sock_shutdown(r->loop, r->peer);
    rig_settle(r);
    assert_int_equal(count, 3001); /* close is the last */
    assert_null(r->conn);
    ln_buf_fini(&b);
    rig_free(r);
}

/* ---- large messages -------------------------------------------------------------------------- */

static void echoes(rig *r, ln_conn *c, const char *event) {
    (void)event;
    if (!c->env->event) return;
    ln_wslice d = c->env->event->data;
    int times = r->extra ? *(int *)r->extra : 1;
    while (times--)
        assert_int_equal(
            ln_conn_send(c, c->env->event->opcode, ln_slice_of(d.data, d.size)), LINNET_OK);
}

static void fill(ln_buf *b, size_t size) {
    assert_int_equal(ln_buf_reserve(b, size), LINNET_OK);
    uint8_t *at = ln_buf_room(b).data;
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)("linnet"[i % 6] ^ (int)(i >> 12 & 3));
    ln_buf_commit(b, size);
}

/* Echoes of every size around the ways they can go: cork, in place, gathered, received directly,
 * not taken at once; whole or in fragments with a ping in between; once or twice. */
static void test_large_echoes(void **state) {
    (void)state;
    static const size_t sizes[] = { 0, 1, 125, 126, 8191, 8192, 65535, 65536, 70000, 131072, 200000,
        524288, 1000003, 3000000 };
    for (size_t i = 0; i < LN_COUNT(sizes); i++)
        for (int kind = 0; kind < 4; kind++) {
            rig *r = rig_ws();
            ln_buf b, payload;
            ln_buf_init(&b, LN_BUF_MAX);
            ln_buf_init(&payload, LN_BUF_MAX);
            fill(&payload, sizes[i]);
            ln_slice all = ln_buf_slice(&payload);
            int times = kind & 1 ? 2 : 1;
            if (sizes[i] > 500000 && times == 2) r->config.queued_max = 8 * 1024 * 1024;
            if (kind < 2) {
                rig_frame(&b, 0x82, all);
            } else {
                rig_frame(&b, 0x02, ln_slice_sub(all, 0, all.size / 3));
                rig_frame(&b, 0x89, LN_SLICE("between"));
                rig_frame(&b, 0x80, ln_slice_sub(all, all.size / 3, all.size));
            }
            r->extra = &times;
            r->act = echoes;
            rig_peer_says(r, ln_buf_slice(&b));
            rig_settle(r);
            ln_frame f = { 0 };
            ln_slice p = { NULL, 0 };
            for (int k = 0; k < times;) {
                assert_true(rig_peer_next(r, &f, &p));
                if (f.opcode == LN_OP_PONG) continue;
                assert_int_equal(f.opcode, LN_OP_BINARY);
                assert_true(ln_slice_eq(p, all));
                k++;
            }
            assert_int_equal(r->heard.size, 0);
            assert_int_equal(r->conn->queued, 0);
            ln_buf_fini(&b);
            ln_buf_fini(&payload);
            rig_free(r);
        }
}

/* A large message is under way, received directly, when something else happens. */
static void test_ends_during_a_large_message(void **state) {
    (void)state;
    for (int kind = 0; kind < 5; kind++) {
        rig *r = rig_ws();
        ln_buf b, payload;
        ln_buf_init(&b, LN_BUF_MAX);
        ln_buf_init(&payload, LN_BUF_MAX);
        fill(&payload, 600000);
        rig_frame(&b, 0x82, ln_buf_slice(&payload));
        rig_frame(&b, 0x88, LN_SLICE(""));
        ln_slice all = ln_buf_slice(&b);
        rig_peer_says(r, ln_slice_sub(all, 0, 300000));
        rig_settle(r);
        assert_true(ln_conn_is(r->conn, LN_CF_DIRECT));
        switch (kind) {
        case 0: ln_conn_terminate(r->conn); break;
        case 1: ln_conn_close(r->conn, 1000, LN_SLICE("")); break;
        case 2: ln_conn_fail(r->conn, LINNET_ERR_DENIED); break;
        case 3: rig_peer_leaves(r, true); break;
        default:
            ln_conn_pause(r->conn, LN_PAUSE_USER);
            rig_settle(r);
            ln_conn_resume(r->conn, LN_PAUSE_USER);
        }
        if (kind != 3) rig_peer_says(r, ln_slice_sub(all, 300000, all.size));
        rig_settle(r);
        static const char *const said[] = { "close 1006 CANCELLED", "close 1005 ",
            "close 1006 DENIED", "close 1006 RESET", "binary of 600000|close 1005 " };
        rig_said(r, said[kind]);
        ln_buf_fini(&b);
        ln_buf_fini(&payload);
        rig_free(r);
    }
}

/* ---- TLS-shaped ends: EOF is known while the last bytes still wait ----------------------------
 */

/* We have said Close; the peer's Close waits in the carry, and its FIN is known already. */
static void test_close_that_waited_behind_a_fin(void **state) {
    (void)state;
    rig *r = rig_ws();
    ln_buf b;
    ln_buf_init(&b, 1000);
    rig_frame(&b, 0x81, LN_SLICE("one"));
    rig_frame(&b, 0x88,
        LN_SLICE("\x03\xe8"
                 "b"));
    r->act = pauses;
    rig_peer_says(r, ln_buf_slice(&b));
    rig_settle(r);
    rig_said(r, "text one");
    assert_true(r->conn->carry_size > 0);
    ln_conn_set(r->conn, LN_CF_EOF); /* as a close_notify in the same record batch does */
    ln_conn_close(r->conn, 1000, LN_SLICE("")); /* resumes */
    rig_settle(r);
    rig_said(r, "close 1000 b");
    rig_pass(r, 6000);
    assert_null(r->conn);
    rig_said(r, "");
    ln_buf_fini(&b);
    rig_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_peer_closes),
        cmocka_unit_test(test_we_close),
        cmocka_unit_test(test_ends_without_a_close),
        cmocka_unit_test(test_ends_inside_an_event),
        cmocka_unit_test(test_ends_inside_open_and_close),
        cmocka_unit_test(test_protocol_errors),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_ping_and_pong),
        cmocka_unit_test(test_silence_is_death),
        cmocka_unit_test(test_message_timeout),
        cmocka_unit_test(test_messages_that_overlap),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_paused_is_not_dead),
        cmocka_unit_test(test_paused_in_the_middle),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_fin_behind_the_budget),
        cmocka_unit_test(test_large_echoes),
        cmocka_unit_test(test_ends_during_a_large_message),
        cmocka_unit_test(test_close_that_waited_behind_a_fin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
