/* Texts that leave as one: which, in which order, how many, and what they count for until then. */
#include "conn/conn_test.h"
#include "wire/ext.h"

static ln_rendering *rendering(uint8_t opcode, const char *text, uint8_t flags) {
    ln_rendering *r = ln_rendering_of(opcode, ln_slice_str(text));
    assert_non_null(r);
    r->flags |= flags;
    return r;
}

static void queue(ln_conn *c, uint8_t opcode, const char *text, uint8_t flags) {
    ln_rendering *r = rendering(opcode, text, flags);
    assert_int_equal(ln_conn_queue(c, r), LINNET_OK);
    ln_rendering_unref(r);
}

static rig *rig_arrays(void) {
    rig *r = rig_ws();
    ln_conn_arrays(r->conn);
    return r;
}

/* ---- which ----------------------------------------------------------------------------------- */

/* i may stand in an array; I the same, of the connection alone; o may not; p a ping; b bytes;
 * x a Close. What each says is its place. */
static void play(ln_conn *c, const char *calls) {
    for (const char *at = calls; *at; at++) {
        char text[8];
        snprintf(text, sizeof text, "%td", at - calls);
        int err = LINNET_OK;
        switch (*at) {
        case 'i': queue(c, LN_OP_TEXT, text, LN_RENDERING_ITEM); break;
        case 'I': err = ln_conn_send_item(c, ln_slice_str(text)); break;
        case 'o': queue(c, LN_OP_TEXT, text, 0); break;
        case 's': err = ln_conn_send(c, LN_OP_TEXT, ln_slice_str(text)); break;
        case 'b': queue(c, LN_OP_BINARY, text, 0); break;
        case 'p': err = ln_conn_ping(c, ln_slice_str(text)); break;
        case 'x': err = ln_conn_close(c, 1000, ln_slice_str(text)); break;
        default: fail();
        }
        assert_int_equal(err, LINNET_OK);
    }
}

static const struct {
    const char *why, *calls, *got;
} runs[] = {
    { "one alone is no array", "i", "text 0" },
    { "two are", "ii", "text [0,1]" },
    { "and many", "iiiii", "text [0,1,2,3,4]" },
    { "shared or not", "iIiI", "text [0,1,2,3]" },
    { "one that may not stands alone", "oi", "text 0|text 1" },
    { "and ends an array", "iioii", "text [0,1]|text 2|text [3,4]" },
    { "so does an answer", "iisi", "text [0,1]|text 2|text 3" },
    { "and bytes", "iibii", "text [0,1]|binary 2|text [3,4]" },
    { "and a ping", "iipii", "text [0,1]|ping 2|text [3,4]" },
    { "behind a single one, too", "ioi", "text 0|text 1|text 2" },
    { "in front of a Close", "iiix", "text [0,1,2]|close 1000 3" },
    { "more than a block of the queue", "iiiiiiiiiiiiiiii",
        "text [0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]" },
    { "nothing", "", "" },
};

static void test_runs(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(runs); i++) {
        print_message("# %s\n", runs[i].why);
        rig *r = rig_arrays();
        play(r->conn, runs[i].calls);
        rig_settle(r);
        rig_peer_got(r, runs[i].got);
        assert_int_equal(r->conn->queued, 0);
        assert_int_equal(ln_stat_get(&r->env.queued), 0);
        assert_int_equal(ln_stat_get(&r->env.held), 0);
        rig_free(r);
    }
}

static void test_not_who_takes_none(void **state) {
    (void)state;
    rig *r = rig_ws();
    play(r->conn, "iIi");
    rig_settle(r);
    rig_peer_got(r, "text 0|text 1|text 2");
    rig_free(r);
}

/* While its own input is handled, what it sends and what reaches it otherwise. */
static void plays(rig *r, ln_conn *c, const char *event) {
    if (strcmp(event, "message") == 0) play(c, r->extra);
}

static void test_behind_the_cork(void **state) {
    (void)state;
    for (int batch = 0; batch < 2; batch++) {
        rig *r = rig_arrays();
        r->act = plays;
        r->extra = (void *)(uintptr_t) "sIiis";
        if (batch) ln_conn_batch(r->conn, true);
        rig_peer_frame(r, 0x81, "go");
        rig_settle(r);
        rig_peer_got(r, "text 0|text 1|text [2,3]|text 4");
        rig_free(r);
    }
}

/* ---- how many -------------------------------------------------------------------------------- */

/* Elements of each array that comes, and 1 for what is none. */
static const char *counts(rig *r) {
    static char out[400];
    ln_frame f = { 0 };
    ln_slice p = { NULL, 0 };
    size_t at = 0;
    out[0] = 0;
    while (rig_peer_next(r, &f, &p)) {
        unsigned n = 1;
        assert_int_equal(f.opcode, LN_OP_TEXT);
        assert_true(f.fin);
        if (p.data[0] == '[') {
            assert_true(p.size <= LN_MERGE_BYTES_MAX);
            assert_int_equal(p.data[p.size - 1], ']');
            for (size_t i = 0; i < p.size; i++)
                n += p.data[i] == ',';
        }
        at += (size_t)snprintf(out + at, sizeof out - at, at ? " %u" : "%u", n);
    }
    assert_int_equal(r->heard.size, 0);
    return out;
}

static const struct {
    const char *why;
    unsigned sizes[4]; /* bytes; 0: no more */
    unsigned times;
    const char *got;
} bounds[] = {
    { "so many are one", { 1 }, 128, "128" },
    { "one more is alone", { 1 }, 129, "128 1" },
    { "the rest is together", { 1 }, 300, "128 128 44" },
    { "head of two bytes, just", { 61, 62 }, 1, "2" },
    { "head of four bytes, just", { 61, 63 }, 1, "2" },
    { "all the bytes there are", { 8190, 8191 }, 1, "2" },
    { "one too many", { 8191, 8191 }, 1, "1 1" },
    { "and of the third", { 8190, 8000, 191 }, 1, "2 1" },
    { "the third just fits", { 8190, 8000, 190 }, 1, "3" },
    { "a large one between", { 10, 10, 16384, 10 }, 2, "2 1 3 1 1" },
    { "of a kilobyte", { 1000 }, 40, "16 16 8" },
    { "more than is gathered at once", { 1000 }, 200, "16 16 16 16 16 16 16 16 16 16 16 16 8" },
};

static void test_bounds(void **state) {
    (void)state;
    static char digits[20000];
    memset(digits, '7', sizeof digits);
    for (size_t i = 0; i < LN_COUNT(bounds); i++) {
        print_message("# %s\n", bounds[i].why);
        rig *r = rig_arrays();
        for (unsigned n = 0; n < bounds[i].times; n++)
            for (size_t k = 0; k < 4 && bounds[i].sizes[k]; k++)
                assert_int_equal(
                    ln_conn_send_item(r->conn, ln_slice_of(digits, bounds[i].sizes[k])), LINNET_OK);
        rig_settle(r);
        assert_string_equal(counts(r), bounds[i].got);
        rig_free(r);
    }
}

/* ---- until they leave ------------------------------------------------------------------------ */

/* The network takes so many bytes and then no more for a while: whatever byte that is. */
static void test_cut_anywhere(void **state) {
    (void)state;
    static const char want[] = "text [0,1]|text 2|text [3,4,5]|ping 6|text [7,8]";
    for (uint32_t window = 1; window < 40; window++) {
        rig *r = rig_arrays();
        ln_simnet_faults(r->net, &(ln_sim_faults){ .window = window });
        rig_peer_deaf(r, true);
        play(r->conn, "iioiiipii");
        rig_settle(r);
        assert_int_equal(r->conn->queued, r->conn->inflight_bytes);
        rig_peer_deaf(r, false);
        rig_settle(r);
        rig_peer_got(r, want);
        assert_int_equal(r->conn->queued, 0);
        assert_int_equal(ln_stat_get(&r->env.queued), 0);
        rig_free(r);
    }
}

/* Behind a socket that is full they wait each by itself, count as themselves, and those that a
 * policy takes out are not in the array. */
static void test_behind_a_full_socket(void **state) {
    (void)state;
    static char block[64 * 1024];
    rig *r = rig_arrays();
    rig_peer_deaf(r, true);
    for (int i = 0; i < 4; i++)
        assert_int_equal(
            ln_conn_send(r->conn, LN_OP_BINARY, ln_slice_of(block, sizeof block)), LINNET_OK);
    rig_settle(r);
    assert_non_null(r->conn->inflight);
    uint32_t before = r->conn->queued;
    uint64_t messages = ln_stat_get(&r->env.messages_out);
    play(r->conn, "iiiiiiii");
    rig_settle(r);
    assert_int_equal(r->conn->queued - before, 8 * 3);
    assert_int_equal(ln_stat_get(&r->env.messages_out) - messages, 8);
    ln_sift s;
    ln_conn_sift_begin(r->conn, &s);
    for (ln_rendering *one; (one = ln_conn_sift_next(&s));) {
        char last = (char)ln_rendering_payload(one)[one->size - 1];
        if (last == '2' || last == '6')
            ln_rendering_unref(one);
        else
            ln_conn_sift_put(&s, one);
    }
    assert_int_equal(ln_conn_sift_end(&s), LINNET_OK);
    rig_peer_deaf(r, false);
    rig_settle(r);
    rig_peer_got(r, "binary of 65536|binary of 65536|binary of 65536|binary of 65536|"
                    "text [0,1,3,4,5,7]");
    assert_int_equal(r->conn->queued, 0);
    rig_free(r);
}

/* ---- compressed ------------------------------------------------------------------------------ */

typedef struct reader { /* what a client makes of the bytes */
    ln_ws_config config;
    ln_ws_tools tools;
    ln_rand rand;
    ln_ws ws;
} reader;

static void reader_open(reader *d, const ln_pmd_params *params) {
    *d = (reader){ .config = { .message_max = 1 << 24, .fragments_max = 10, .client = true } };
    ln_rand_init_seeded(&d->rand, 1);
    ln_ws_tools_init(&d->tools, &d->rand);
    assert_int_equal(ln_ws_init(&d->ws, &d->config, params, &d->tools), LINNET_OK);
}

/* As rig_peer_heard, with a star where something was compressed. */
static const char *read_all(rig *r, reader *d) {
    static char out[4000];
    size_t at = 0;
    ln_slice all = ln_buf_slice(&r->heard);
    ln_wslice in = { (uint8_t *)(uintptr_t)all.data, all.size };
    ln_ws_event e;
    out[0] = 0;
    while (ln_ws_next(&d->ws, &d->tools, &in, &e) == LN_DONE) {
        if (e.kind == LN_WS_CLOSE)
            at += (size_t)snprintf(out + at, sizeof out - at, "|close");
        else
            at += (size_t)snprintf(out + at, sizeof out - at, "%s%s%.*s", at ? "|" : "",
                e.inflated ? "*" : "", (int)e.data.size, (const char *)e.data.data);
    }
    ln_buf_clear(&r->heard);
    return out;
}

#define LONG "\"and and and and and\""

static const struct {
    const char *why;
    bool takeover, closes;
    const char *texts[6], *got;
} packed[] = {
    { "what all share stays as it is", false, false, { LONG, LONG, LONG },
        "*" LONG "|*" LONG "|*" LONG },
    { "what is too short for that is joined, and not compressed for one reader", false, false,
        { "1", "2", "33333333", "4", LONG, "5" }, "[1,2,33333333,4]|*" LONG "|5" },
    { "with a window of one's own what is compressed is joined", true, false, { LONG, LONG, LONG },
        "*[" LONG "," LONG "," LONG "]" },
    { "and what is too short for that, by itself", true, false,
        { LONG, LONG, "3", "4", "55555555", LONG }, "*[" LONG "," LONG "]|[3,4,55555555]|*" LONG },
    { "one alone", true, false, { LONG }, "*" LONG },
    { "in front of a Close what is compressed is compressed before", true, true,
        { LONG, LONG, "11111", "22222", "33333" },
        "*" LONG "|*" LONG "|[11111,22222,33333]|close" },
    { "and what is shared afterwards", false, true, { LONG, "11111", "22222", "33333" },
        "*" LONG "|[11111,22222,33333]|close" },
};

static void test_packed(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(packed); i++) {
        print_message("# %s\n", packed[i].why);
        ln_pmd_params params = { .server_bits = 15,
            .client_bits = 15,
            .server_no_takeover = !packed[i].takeover,
            .client_no_takeover = true };
        rig *r = rig_bare();
        reader d;
        r->raw = true;
        r->config.ws.deflate_threshold = 10;
        r->config.ws.deflate_memory = 8;
        r->config.ws.one_shot = true;
        rig_connect(r);
        assert_int_equal(ln_conn_open_ws(r->conn, &r->config, &rig_ops, NULL, &params), LINNET_OK);
        ln_conn_resume(r->conn, 0);
        ln_conn_arrays(r->conn);
        reader_open(&d, &params);
        for (int round = 0; round < 2 && r->conn->state == LN_CONN_WS; round++) {
            for (size_t k = 0; k < 6 && packed[i].texts[k]; k++)
                queue(r->conn, LN_OP_TEXT, packed[i].texts[k], LN_RENDERING_ITEM);
            if (packed[i].closes) ln_conn_close(r->conn, 1000, LN_SLICE(""));
            rig_settle(r);
            assert_string_equal(read_all(r, &d), packed[i].got);
        }
        ln_ws_fini(&d.ws, &d.tools);
        ln_ws_tools_fini(&d.tools);
        rig_free(r);
    }
}

/* ---- without memory -------------------------------------------------------------------------- */

/* For the array, or for the window, there is none: the connection ends rather than have a hole.
 * (For what comes later the simulator wants some, too, and does without pardon.) */
static void test_without_memory(void **state) {
    (void)state;
    for (uint64_t n = 0; n < 3; n++) {
        ln_pmd_params params = { .server_bits = 15, .client_bits = 15 };
        ln_test_memory memory;
        ln_test_memory_install(&memory);
        rig *r = rig_bare();
        r->raw = true;
        r->config.ws.deflate_memory = 8;
        rig_connect(r);
        assert_int_equal(
            ln_conn_open_ws(r->conn, &r->config, &rig_ops, NULL, n ? &params : NULL), LINNET_OK);
        ln_conn_resume(r->conn, 0);
        ln_conn_arrays(r->conn);
        rig_said(r, "open");
        play(r->conn, "iiii");
        memory.fail_at = memory.calls + (n ? n : 1);
        ln_env_flush(&r->env);
        memory.fail_at = 0;
        rig_settle(r);
        rig_said(r, "close 1006 NOMEM");
        assert_int_equal(r->heard.size, 0);
        rig_free(r);
        ln_test_memory_remove();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_not_who_takes_none),
        cmocka_unit_test(test_behind_the_cork),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_behind_a_full_socket),
        cmocka_unit_test(test_packed),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
