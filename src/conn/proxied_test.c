/* A PROXY header in front of HTTP: every cut of it, what else may come, and nothing at all. */
#include "conn/conn_test.h"

#define V1      "PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\r\n"
#define REQUEST "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"

static int proxied(ln_conn *c, const ln_proxy *header) {
    char ip[LN_IP_TEXT] = "nobody";
    if (header->known) ln_ip_text(&header->from, ip);
    rig_say(rig_of(c), "%s:%u", ip, header->from_port);
    return header->from_port == 13 ? LINNET_ERR_NOMEM : LINNET_OK;
}

static void answers(ln_conn *c, ln_exchange *x) {
    rig_say(rig_of(c), "%.*s", (int)x->head.target.size, (const char *)x->head.target.data);
    assert_int_equal(ln_exchange_answer(x, 200, LN_SLICE(""), LN_SLICE("")), LINNET_OK);
}

static rig *awaiting(void) {
    rig *r = rig_http();
    r->on_request = answers;
    r->env.on_proxied = proxied;
    ln_conn_await_proxy(r->conn);
    return r;
}

static const struct {
    const char *reason, *says, *told; /* what the owner was told */
    bool ends;
} rows[] = {
    { "a header and a request", V1 REQUEST, "192.0.2.1:50000|/a", false },
    { "nobody is named", "PROXY UNKNOWN\r\n" REQUEST, "nobody:0|/a", false },
    { "only once", V1 V1 REQUEST, "192.0.2.1:50000", true },
    { "a request without", REQUEST, "", true },
    { "one that is wrong", "PROXY TCP4 192.0.2.1\r\n" REQUEST, "", true },
    { "the owner does not want it", "PROXY TCP4 1.1.1.1 2.2.2.2 13 1\r\n" REQUEST, "1.1.1.1:13",
        true },
};

static void every_cut(void **state) {
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_slice all = ln_slice_str(rows[i].says);
        for (size_t cut = 1; cut <= all.size; cut++) {
            rig *r = awaiting();
            rig_peer_says(r, ln_slice_sub(all, 0, cut));
            rig_settle(r);
            if (cut < all.size && r->conn) rig_peer_says(r, ln_slice_sub(all, cut, all.size));
            rig_settle(r);
            if (strcmp(r->said, rows[i].told) != 0 || (r->end != 1) != rows[i].ends)
                fail_msg("%s, cut at %zu: \"%s\", end %d", rows[i].reason, cut, r->said, r->end);
            rig_free(r);
        }
    }
}

static void byte_by_byte(void **state) {
    rig *r = awaiting();
    ln_slice all = LN_SLICE(V1 REQUEST);
    for (size_t i = 0; i < all.size; i++) {
        rig_peer_says(r, ln_slice_sub(all, i, i + 1));
        rig_settle(r);
    }
    assert_string_equal(r->said, "192.0.2.1:50000|/a");
    assert_int_equal(ln_stat_get(&r->env.rejects[-LINNET_ERR_PROXY]), 0);
    rig_free(r);
}

/* Counted once, without an answer that nobody would understand; half a header too. */
static void refused(void **state) {
    static const char *const says[] = { REQUEST, "PROXY TCP4 1", "" };
    for (size_t i = 0; i < LN_COUNT(says); i++) {
        rig *r = awaiting();
        rig_peer_says(r, ln_slice_str(says[i]));
        rig_settle(r);
        assert_int_equal(r->end == 1, i > 0);
        rig_pass(r, 9000);
        assert_int_equal(r->end == 1, i > 0);
        rig_pass(r, 1500);
        assert_int_not_equal(r->end, 1);
        assert_int_equal(r->heard.size, 0);
        assert_int_equal(ln_stat_get(&r->env.rejects[-LINNET_ERR_PROXY]), 1);
        rig_free(r);
    }
}

static void the_peer_leaves(void **state) {
    rig *r = awaiting();
    rig_peer_says(r, LN_SLICE("PROXY "));
    rig_settle(r);
    rig_peer_leaves(r, false);
    rig_settle(r);
    assert_null(r->conn);
    assert_int_equal(ln_stat_get(&r->env.rejects[-LINNET_ERR_PROXY]), 0);
    rig_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(refused),
        cmocka_unit_test(the_peer_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
