/* Leaving out some of what waits: the order of the rest, the bytes, and those nobody promised. */
#include "conn/conn_test.h"

static ln_rendering *text_of(const char *text, uint8_t flags) {
    ln_rendering *r = ln_rendering_of(LN_OP_TEXT, ln_slice_str(text));
    assert_non_null(r);
    r->flags |= flags;
    return r;
}

static void queue(rig *r, const char *text, uint8_t flags) {
    ln_rendering *one = text_of(text, flags);
    assert_int_equal(ln_conn_queue(r->conn, one), LINNET_OK);
    ln_rendering_unref(one);
}

static bool is_odd(const ln_rendering *r) {
    return (r->bytes[LN_RENDERING_HEADROOM + r->size - 1] & 1) != 0;
}

/* Numbers 0 to n - 1; the odd ones go, and in front of each tenth comes a word. */
static void order(void **state) {
    for (unsigned n = 0; n < 60; n++) {
        rig *r = rig_ws();
        char text[16];
        for (unsigned i = 0; i < n; i++) {
            snprintf(text, sizeof text, "%u", i);
            queue(r, text, 0);
        }
        ln_txq_walk walk = { .begun = false };
        unsigned seen = 0;
        while (ln_txq_next(&r->conn->queue, &walk))
            seen++;
        assert_int_equal(seen, n);
        ln_sift s;
        unsigned came = 0;
        ln_conn_sift_begin(r->conn, &s);
        for (ln_rendering *one; (one = ln_conn_sift_next(&s)); came++) {
            if (came % 10 == 0) ln_conn_sift_put(&s, text_of("word", 0));
            if (is_odd(one))
                ln_rendering_unref(one);
            else
                ln_conn_sift_put(&s, one);
        }
        assert_int_equal(ln_conn_sift_end(&s), LINNET_OK);
        assert_int_equal(came, n);
        rig_settle(r);
        assert_int_equal(ln_conn_queued(r->conn), 0);
        ln_frame f;
        ln_slice payload = { NULL, 0 };
        for (unsigned i = 0; i < n; i++) {
            if (i % 10 == 0) {
                assert_true(rig_peer_next(r, &f, &payload));
                assert_true(ln_slice_eq(payload, LN_SLICE("word")));
            }
            if (i % 2) continue;
            snprintf(text, sizeof text, "%u", i);
            assert_true(rig_peer_next(r, &f, &payload));
            assert_true(ln_slice_eq(payload, ln_slice_str(text)));
        }
        assert_false(rig_peer_next(r, &f, &payload));
        rig_free(r);
    }
}

static void bytes(void **state) {
    rig *r = rig_ws();
    queue(r, "one", 0);
    queue(r, "three", 0);
    assert_int_equal(ln_conn_queued(r->conn), 2 + 3 + 2 + 5);
    ln_sift s;
    ln_conn_sift_begin(r->conn, &s);
    ln_rendering_unref(ln_conn_sift_next(&s));
    assert_int_equal(ln_conn_queued(r->conn), 2 + 5);
    ln_conn_sift_put(&s, ln_conn_sift_next(&s));
    assert_null(ln_conn_sift_next(&s));
    assert_int_equal(ln_conn_sift_end(&s), LINNET_OK);
    assert_int_equal(ln_conn_queued(r->conn), 2 + 5);
    rig_free(r);
}

static void small(ln_conn_config *config) {
    config->queued_max = 1000;
}

/* A queue that is full lets the volatile go before it ends anybody, the new one first of all. */
static void volatile_first(void **state) {
    char text[101];
    memset(text, 'x', 100);
    text[100] = 0;
    rig *r = rig_ws_with(small);
    for (int i = 0; i < 9; i++)
        queue(r, text, i % 3 == 1 ? LN_RENDERING_SPARE : 0);
    assert_int_equal(ln_conn_queued(r->conn), 9 * 102);
    queue(r, text, LN_RENDERING_SPARE); /* is not worth another */
    assert_int_equal(ln_conn_queued(r->conn), 9 * 102);
    assert_int_equal(ln_stat_get(&r->env.spared), 1);
    queue(r, text, 0);
    assert_int_equal(ln_conn_queued(r->conn), 7 * 102);
    assert_int_equal(ln_stat_get(&r->env.spared), 4);
    queue(r, text, 0);
    queue(r, text, 0);
    assert_int_equal(r->conn->state, LN_CONN_WS);
    ln_rendering *last = text_of(text, 0);
    assert_int_equal(ln_conn_queue(r->conn, last), LINNET_ERR_SLOW); /* nothing is left to spare */
    ln_rendering_unref(last);
    rig_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order),
        cmocka_unit_test(bytes),
        cmocka_unit_test(volatile_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
