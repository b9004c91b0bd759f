#include "wire/ws_test.h"

#define Z            "\0\0\0\0"
#define HELLO_PACKED "\xf2\x48\xcd\xc9\xc9\x07\x00"
#define AGAIN_PACKED "\xf2\x00\x11\x00\x00" /* refers to the first Hello */

typedef struct scenario {
    const char *why;
    who who;
    ln_slice in;
    bool close_first; /* we close before anything arrives */
} scenario;

static const scenario scenarios[] = {
    { "frames, fragments and controls", SERVER,
        BYTES("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x01\x82\1\2\3\4\x69\x67\x89\x84" Z
              "ping\x00\x81" Z "\xc3\x8a\x80" Z "\x80\x82" Z "\xa9!\x82\xfe\x00\x7e" Z
              "01234567890123456789012345678901234567890123456789012345678901234567890123456789012"
              "3456789012345678901234567890123456789012345\x88\x85" Z "\x03\xe8"
              "bye\x81\x80" Z),
        false },
    { "the same machine as client", CLIENT,
        BYTES("\x81\x05Hello\x02\x01x\x89\x04ping\x80\x02yz\x88\x02\x03\xe9"), false },
    { "an error in the middle", SERVER, BYTES("\x81\x83" Z "abc\x01\x82" Z "\xc3\x28\x81\x80" Z),
        false },
    { "after our own close", SERVER, BYTES("\x82\x85" Z "hello\x89\x81" Z "x\x88\x82" Z "\x03\xe8"),
        true },
    { "windows that are needed again", TAKEOVER,
        BYTES("\xc1\x87" Z HELLO_PACKED "\x41\x83" Z "\xf2\x00\x11\x89\x80" Z "\x80\x82" Z
              "\x00\x00\x81\x82" Z "hi\xc1\x85" Z AGAIN_PACKED),
        false },
    { "no windows", DEFLATING,
        BYTES("\xc1\x87" Z HELLO_PACKED "\x41\x83" Z "\xf2\x48\xcd\x80\x84" Z "\xc9\xc9\x07\x00"),
        false },
};

/* Another process: other tools, the same configuration. */
static side *moved(side *from, who w) {
    ln_buf record;
    ln_buf_init(&record, LN_BUF_MAX);
    assert_int_equal(ln_buf_add(&record, LN_SLICE("before")), 0); /* it is appended */
    assert_int_equal(ln_ws_save(&from->ws, &record), LINNET_OK);
    ln_slice exact = ln_test_exact(ln_slice_sub(ln_buf_slice(&record), 6, record.size));
    side *to = side_new(w);
    ln_ws_fini(&to->ws, &to->tools);
    assert_int_equal(ln_ws_restore(&to->ws, &to->config, exact, &to->tools), LINNET_OK);
    ln_test_drop(exact);
    ln_buf_fini(&record);
    assert_int_equal(ln_buf_add(&to->told, ln_buf_slice(&from->told)), 0);
    to->err = from->err;
    assert_true(to->tools.pmd.memory == from->tools.pmd.memory);
    return to;
}

static side *begun(const scenario *s) {
    side *a = side_new(s->who);
    ln_buf out;
    ln_buf_init(&out, 100);
    if (s->close_first)
        assert_int_equal(ln_ws_close(&a->ws, &a->tools, 1000, (ln_slice){ 0 }, &out), 0);
    ln_buf_fini(&out);
    return a;
}

static void try_moves(const scenario *s, ln_slice want, size_t cut, size_t again) {
    side *a = begun(s);
    feed(a, ln_slice_sub(s->in, 0, cut));
    side *b = moved(a, s->who);
    feed(b, ln_slice_sub(s->in, cut, again));
    side *c = moved(b, s->who);
    feed(c, ln_slice_sub(s->in, again, s->in.size));
    expect(c, want);
    assert_int_equal(c->ws.close_sent, s->close_first);
    side_free(a);
    side_free(b);
    side_free(c);
}

static void a_scenario_goes_on_from_any_byte(void **state) {
    for (size_t i = 0; i < LN_COUNT(scenarios); i++) {
        const scenario *s = &scenarios[i];
        print_message("# %s\n", s->why);
        side *whole = begun(s);
        feed(whole, s->in);
        ln_slice want = ln_buf_slice(&whole->told);
        for (size_t cut = 0; cut <= s->in.size; cut++) {
            size_t step = s->in.size > 100 ? 9 : 1;
            for (size_t again = cut; again <= s->in.size; again += step)
                try_moves(s, want, cut, again);
        }
        side_free(whole);
    }
}

/* The window we compress with moves too: what is sent afterwards still refers to it. */
static void our_own_window_moves_too(void **state) {
    static char text[2000];
    dice d = { 7 };
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + roll(&d, 26));
    ln_slice p = ln_slice_of(text, sizeof(text));
    ln_ws_config cc = config_of(true);
    side *server = side_new(TAKEOVER), *client = side_new_with(cc, &takeover);
    ln_buf wire;
    ln_buf_init(&wire, LN_BUF_MAX);
    assert_int_equal(ln_ws_message(&server->ws, &server->tools, LN_OP_TEXT, p, true, &wire), 0);
    uint32_t first = wire.size;
    side *other = moved(server, TAKEOVER);
    assert_int_equal(ln_ws_message(&other->ws, &other->tools, LN_OP_TEXT, p, true, &wire), 0);
    assert_true(wire.size - first < first / 4);
    feed(client, ln_buf_slice(&wire));
    assert_int_equal(client->err, 0);
    assert_int_equal(client->told.size, 2 * (strlen("text* |") + sizeof(text)));
    side *third = moved(client, CLIENT); /* the parameters come with the record */
    assert_true(third->ws.pmd && third->ws.pmd->in_takeover);
    side_free(third);
    side_free(other);
    side_free(server);
    side_free(client);
    ln_buf_fini(&wire);
}

static void an_error_found_while_receiving_is_not_lost(void **state) {
    side *s = side_new(SERVER);
    uint8_t head[] = { 0x81, 0xff, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0 };
    uint8_t *text = malloc(40000);
    assert_non_null(text);
    memset(text, 'x', 40000);
    feed(s, ln_slice_of(head, sizeof(head)));
    feed(s, ln_slice_of(text, 40000));
    ln_wslice room = ln_ws_room(&s->ws, 1000);
    assert_int_equal(room.size, 1000);
    memset(room.data, 0xff, 1000);
    ln_ws_received(&s->ws, 1000);
    side *t = moved(s, SERVER);
    pull(t, (ln_wslice){ 0 });
    expect(t, LN_SLICE("UTF8|"));
    free(text);
    side_free(s);
    side_free(t);
}

static void what_was_delivered_is_not_in_the_record(void **state) {
    side *s = side_new(SERVER);
    feed(s, LN_SLICE("\x01\x82" Z "he"));
    uint8_t last[] = "\x80\x83\0\0\0\0llo";
    ln_wslice in = { last, sizeof(last) - 1 };
    ln_ws_event e;
    assert_int_equal(ln_ws_next(&s->ws, &s->tools, &in, &e), LN_DONE);
    side *t = moved(s, SERVER);
    assert_int_equal(ln_ws_held(&t->ws), 0);
    feed(t, LN_SLICE("\x81\x80" Z));
    expect(t, LN_SLICE("text |"));
    side_free(s);
    side_free(t);
}

/* A record in the middle of everything: fragments, a cut control frame, windows. */
static void busy_record(ln_buf *out) {
    side *s = side_new(TAKEOVER);
    ln_buf wire;
    ln_buf_init(&wire, 1000);
    assert_int_equal(
        ln_ws_message(&s->ws, &s->tools, LN_OP_TEXT, LN_SLICE("Hello"), true, &wire), 0);
    feed(s, LN_SLICE("\xc1\x87" Z HELLO_PACKED "\x01\x83" Z "abc\x89\x85" Z "pi"));
    assert_int_equal(ln_ws_save(&s->ws, out), 0);
    ln_buf_fini(&wire);
    side_free(s);
}

static int restored(ln_slice record, who w) {
    side *s = side_new(w);
    ln_ws_fini(&s->ws, &s->tools);
    ln_slice exact = ln_test_exact(record);
    int err = ln_ws_restore(&s->ws, &s->config, exact, &s->tools);
    ln_test_drop(exact);
    if (err == 0) feed(s, LN_SLICE("ng!\x80\x81" Z "d\xc1\x85" Z AGAIN_PACKED "\x88\x80" Z));
    side_free(s);
    return err;
}

static void what_is_no_record_is_refused(void **state) {
    ln_buf record;
    ln_buf_init(&record, LN_BUF_MAX);
    busy_record(&record);
    ln_slice whole = ln_buf_slice(&record);
    assert_int_equal(restored(whole, TAKEOVER), 0);
    assert_int_equal(restored(whole, CLIENT), LINNET_ERR_INVAL);
    for (size_t cut = 0; cut < whole.size; cut++)
        assert_int_equal(restored(ln_slice_sub(whole, 0, cut), TAKEOVER), LINNET_ERR_INVAL);
    assert_int_equal(ln_buf_add_byte(&record, 0), 0);
    assert_int_equal(restored(ln_buf_slice(&record), TAKEOVER), LINNET_ERR_INVAL);
    ln_buf_fini(&record);
}

static void a_damaged_record_is_refused_or_harmless(void **state) {
    ln_buf record;
    ln_buf_init(&record, LN_BUF_MAX);
    busy_record(&record);
    uint32_t refused = 0;
    for (uint32_t at = 0; at < record.size; at++)
        for (unsigned v = 0; v < 256; v += at < 70 ? 1 : 51) {
            uint8_t was = record.data[at];
            record.data[at] = (uint8_t)v;
            refused += restored(ln_buf_slice(&record), TAKEOVER) == LINNET_ERR_INVAL;
            record.data[at] = was;
        }
    assert_true(refused > 1000);
    ln_buf_fini(&record);
}

/* Offsets of the fixed part, see ws_record.c. */
typedef struct damage {
    const char *why;
    size_t at;
    uint8_t value;
} damage;

static const damage damages[] = {
    { "another version", 0, 2 },
    { "no permessage-deflate, but windows", 1, 0x04 },
    { "unknown state", 2, 9 },
    { "no such opcode", 3, 7 },
    { "no such control frame", 4, 11 },
    { "an error that receiving cannot find", 5, 1 },
    { "more left than a control frame holds", 10, 126 },
    { "more left than 32 bits hold", 14, 1 },
    { "more announced than received, outside a data frame", 18, 9 },
    { "fewer announced than received", 18, 0 },
    { "more fragments than allowed", 27, 5 },
    { "no message, but payload", 26, 0 },
};

static void each_rule_of_a_record(void **state) {
    ln_buf record;
    ln_buf_init(&record, LN_BUF_MAX);
    busy_record(&record);
    for (size_t i = 0; i < LN_COUNT(damages); i++) {
        print_message("# %s\n", damages[i].why);
        uint8_t was = record.data[damages[i].at];
        record.data[damages[i].at] = damages[i].value;
        assert_int_equal(restored(ln_buf_slice(&record), TAKEOVER), LINNET_ERR_INVAL);
        record.data[damages[i].at] = was;
    }
    ln_buf_fini(&record);
}

static void refused_memory_leaves_nothing(void **state) {
    ln_buf record;
    ln_buf_init(&record, LN_BUF_MAX);
    busy_record(&record);
    ln_slice bytes = ln_test_exact(ln_buf_slice(&record));
    ln_buf_fini(&record);
    for (uint64_t n = 1;; n++) {
        ln_test_memory m = { .fail_at = n };
        ln_test_memory_install(&m);
        ln_ws_config config = config_of(false);
        ln_ws_tools tools;
        ln_rand rand;
        ln_rand_init_seeded(&rand, 1);
        ln_ws_tools_init(&tools, &rand);
        ln_buf again;
        ln_buf_init(&again, LN_BUF_MAX);
        ln_ws ws;
        int err = ln_ws_restore(&ws, &config, bytes, &tools);
        if (err == 0) {
            err = ln_ws_save(&ws, &again);
            if (err < 0) assert_int_equal(again.size, 0);
            ln_ws_fini(&ws, &tools);
        }
        ln_buf_fini(&again);
        ln_ws_tools_fini(&tools);
        assert_int_equal(m.live, 0);
        ln_test_memory_remove();
        assert_int_equal(err, m.calls < n ? LINNET_OK : LINNET_ERR_NOMEM);
        if (err == 0) break;
    }
    ln_test_drop(bytes);
}

static void a_record_that_does_not_fit_leaves_nothing(void **state) {
    side *s = side_new(SERVER);
    feed(s, LN_SLICE("\x82\x8a" Z "01234"));
    for (uint32_t max = 0; max < 60; max++) {
        ln_buf small;
        ln_buf_init(&small, max);
        int err = ln_ws_save(&s->ws, &small);
        assert_int_equal(err, max < 47 ? LINNET_ERR_TOO_BIG : LINNET_OK);
        assert_int_equal(small.size, max < 47 ? 0 : 47);
        ln_buf_fini(&small);
    }
    side_free(s);
}

/* Who only finishes hears the rest. */
typedef struct finishing_row {
    const char *why;
    ln_slice before; /* received in OPEN, then we finish */
    ln_slice after, told;
    ln_ws_state state;
} finishing_row;

#define T5 "\x81\x85" Z
static const finishing_row finishings[] = {
    { "messages still come", BYTES(""), BYTES(T5 "hello\x82\x81" Z "x\x88\x80" Z),
        BYTES("text hello|binary x|close 1005 |"), LN_WS_CLOSED },
    { "half a message is completed", BYTES("\x01\x83" Z "abc"),
        BYTES("\x80\x83" Z "def" T5 "hello\x88\x80" Z),
        BYTES("text abcdef|text hello|close 1005 |"), LN_WS_CLOSED },
    { "half a frame is completed", BYTES(T5 "he"), BYTES("llo\x88\x83" Z "\x03\xe9!"),
        BYTES("text hello|close 1001 !|"), LN_WS_CLOSED },
    { "pings and pongs are discarded", BYTES(""),
        BYTES("\x89\x83" Z "abc\x8a\x83" Z "def" T5 "hello\x88\x80" Z),
        BYTES("text hello|close 1005 |"), LN_WS_CLOSED },
    { "limits still hold", BYTES(""), BYTES("\x82\xff\0\0\0\0\xff\xff\xff\xff"), BYTES("TOO_BIG|"),
        LN_WS_FAILED },
    { "text is still checked", BYTES(""), BYTES("\x81\x82" Z "\xff\xff"), BYTES("UTF8|"),
        LN_WS_FAILED },
    { "T050 nothing behind the peer's close", BYTES(""), BYTES("\x88\x80" Z T5 "hello"),
        BYTES("close 1005 |"), LN_WS_CLOSED },
};

/* Saved and restored in between, too. */
static void try_finishing(const finishing_row *r, size_t cut, bool handed_over) {
    side *s = side_new(SERVER);
    feed(s, r->before);
    ln_buf out;
    ln_buf_init(&out, 4096);
    assert_int_equal(
        ln_ws_finish(&s->ws, &s->tools, 1004, (ln_slice){ 0 }, &out), LINNET_ERR_INVAL);
    assert_false(s->ws.hearing);
    assert_int_equal(ln_ws_finish(&s->ws, &s->tools, 1000, (ln_slice){ 0 }, &out), 0);
    assert_int_equal(
        ln_ws_finish(&s->ws, &s->tools, 1000, (ln_slice){ 0 }, &out), LINNET_ERR_STATE);
    assert_true(s->ws.hearing);
    feed(s, ln_slice_sub(r->after, 0, cut));
    if (handed_over) {
        ln_buf_clear(&out);
        assert_int_equal(ln_ws_save(&s->ws, &out), 0);
        ln_ws_fini(&s->ws, &s->tools);
        assert_int_equal(ln_ws_restore(&s->ws, &s->config, ln_buf_slice(&out), &s->tools), 0);
    }
    feed(s, ln_slice_sub(r->after, cut, r->after.size));
    expect(s, r->told);
    assert_int_equal(s->ws.state, r->state);
    pull(s, (ln_wslice){ 0 });
    assert_int_equal(ln_ws_held(&s->ws), 0);
    ln_buf_fini(&out);
    side_free(s);
}

static void who_finishes_hears_the_rest(void **state) {
    for (size_t i = 0; i < LN_COUNT(finishings); i++) {
        print_message("# %s\n", finishings[i].why);
        for (size_t cut = 0; cut <= finishings[i].after.size; cut++) {
            try_finishing(&finishings[i], cut, false);
            try_finishing(&finishings[i], cut, true);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_finishes_hears_the_rest),
        cmocka_unit_test(a_scenario_goes_on_from_any_byte),
        cmocka_unit_test(our_own_window_moves_too),
        cmocka_unit_test(an_error_found_while_receiving_is_not_lost),
        cmocka_unit_test(what_was_delivered_is_not_in_the_record),
        cmocka_unit_test(what_is_no_record_is_refused),
        cmocka_unit_test(a_damaged_record_is_refused_or_harmless),
        cmocka_unit_test(each_rule_of_a_record),
        cmocka_unit_test(refused_memory_leaves_nothing),
        cmocka_unit_test(a_record_that_does_not_fit_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
