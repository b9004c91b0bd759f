/* The public face of a connection, both ends of it on one loop. */
#include "lib/inner.h"
#include "lib/lib_test.h"
#include <netinet/in.h>
#include <netinet/tcp.h>

static host *joined(host *h, linnet_ws_route *route) {
    assert_int_equal(linnet_server_ws(h->server, "/ws", route), LINNET_OK);
    host_start(h);
    host_dial(h, "/ws");
    host_await(h, "c:open");
    host_said(h, "s:open|c:open");
    return h;
}

static void test_what_it_tells(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_ws_route route = host_route(&h);
    joined(&h, &route);
    char peer[64];
    assert_int_equal(linnet_conn_peer(h.dialled, peer), strlen(h.bound));
    assert_string_equal(peer, h.bound);
    assert_true(linnet_conn_peer(h.served, peer) > 10);
    assert_memory_equal(peer, "127.0.0.1:", 10);
    assert_ptr_equal(linnet_conn_loop(h.served), h.loop);
    assert_ptr_equal(linnet_conn_loop(h.dialled), h.loop);
    assert_int_equal(linnet_conn_get_id(h.dialled), h.id);
    assert_int_not_equal(linnet_conn_get_id(h.served), h.id);
    assert_false(linnet_conn_deflated(h.served));
    assert_false(linnet_conn_tls(h.served));
    assert_int_equal(linnet_conn_subprotocol(h.served).size, 0);
    assert_int_equal(linnet_conn_buffered(h.served), 0);
    assert_int_equal(linnet_loop_connections(h.loop), 2);
    assert_int_equal(linnet_server_connections(h.server), 1);
    int other;
    linnet_conn_set_user(h.served, &other);
    assert_ptr_equal(linnet_conn_user(h.served), &other);
    linnet_conn_set_user(h.served, &h);
    linnet_server_stats stats = LINNET_SERVER_STATS_INIT;
    linnet_server_get_stats(h.server, &stats);
    assert_int_equal(stats.connections, 1);
    assert_true(stats.bytes_in > 100);
    host_free(&h);
}

static void test_sending(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_ws_route route = host_route(&h);
    route.limits.deflate = LINNET_DEFLATE_TAKEOVER;
    joined(&h, &route);
    linnet_slice x = linnet_str("x"), bad = linnet_str("\xff");
    linnet_conn *both[] = { h.served, h.dialled };
    for (int i = 0; i < 2; i++) {
        linnet_conn *c = both[i];
        assert_int_equal(linnet_conn_send(c, LINNET_TEXT, bad), LINNET_ERR_UTF8);
        assert_int_equal(linnet_conn_send_plain(c, LINNET_TEXT, bad), LINNET_ERR_UTF8);
        assert_int_equal(linnet_conn_send(c, LINNET_CONTINUATION, x), LINNET_ERR_INVAL);
        assert_int_equal(linnet_conn_send(c, (linnet_opcode)8, x), LINNET_ERR_INVAL);
        assert_int_equal(linnet_conn_send_fragment(c, (linnet_opcode)3, true, x), LINNET_ERR_INVAL);
        assert_int_equal(linnet_conn_send(c, LINNET_BINARY, (linnet_slice){ x.data, UINT32_MAX }),
            LINNET_ERR_TOO_BIG);
        assert_int_equal(linnet_conn_send_plain(c, LINNET_TEXT, linnet_str("plain")), LINNET_OK);
        /* text is checked across its fragments, and what is refused changes nothing */
        assert_int_equal(linnet_conn_send_fragment(c, LINNET_TEXT, false, linnet_str("\xc3")), 0);
        assert_int_equal(
            linnet_conn_send_fragment(c, LINNET_CONTINUATION, true, x), LINNET_ERR_UTF8);
        assert_int_equal(linnet_conn_send_fragment(c, LINNET_CONTINUATION, true, linnet_str("")),
            LINNET_ERR_UTF8);
        assert_int_equal(linnet_conn_send(c, LINNET_TEXT, x), LINNET_ERR_STATE);
        assert_int_equal(
            linnet_conn_send_fragment(c, LINNET_CONTINUATION, true, linnet_str("\xbc")), LINNET_OK);
        assert_int_equal(linnet_conn_send_fragment(c, LINNET_BINARY, true, bad), LINNET_OK);
        assert_int_equal(linnet_conn_ping(c, linnet_str("p")), LINNET_OK);
    }
    assert_int_equal(linnet_loop_send(h.loop, h.id, LINNET_TEXT, linnet_str("by id")), LINNET_OK);
    assert_int_equal(linnet_loop_send(h.loop, h.id, LINNET_TEXT, bad), LINNET_ERR_UTF8);
    assert_int_equal(linnet_loop_send(h.loop, h.id, (linnet_opcode)7, x), LINNET_ERR_INVAL);
    host_await(&h, "s:text by id");
    assert_has(h.said, "c:text plain|c:text \xc3\xbc|c:binary \xff");
    assert_has(h.said, "s:text plain|s:text \xc3\xbc|s:binary \xff");
    host_await(&h, "c:pong p");
    host_await(&h, "s:pong p");
    host_free(&h);
}

/* An id is good for ever, and means nobody once its connection has gone. */
static void test_ids_after_death(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_ws_route route = host_route(&h);
    joined(&h, &route);
    linnet_conn_id served = linnet_conn_get_id(h.served), dialled = h.id;
    assert_int_equal(linnet_server_close(h.server, served, 999, NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_close(h.server, served, 1000, "\xff"), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_close(h.server, served, 4005, "out"), LINNET_OK);
    assert_int_equal(linnet_server_close(h.server, served, 4006, "twice"), LINNET_OK);
    host_await(&h, "s:close 4005 ");
    host_said(&h, "c:close 4005 out|s:close 4005 ");
    host_turn(&h, 5);
    assert_int_equal(linnet_loop_connections(h.loop), 0);
    host_dial(&h, "/ws"); /* takes the same slots again */
    host_await(&h, "c:open");
    h.said[0] = 0;
    assert_int_equal(
        linnet_server_send(h.server, served, LINNET_TEXT, linnet_str("no")), LINNET_OK);
    assert_int_equal(linnet_server_close(h.server, served, 4000, "no"), LINNET_OK);
    assert_int_equal(linnet_loop_close(h.loop, dialled, 4000, "no"), LINNET_OK);
    assert_int_equal(linnet_server_accept(h.server, served, &h, NULL), LINNET_ERR_NOT_FOUND);
    assert_int_equal(linnet_server_reject(h.server, served, 400, NULL), LINNET_ERR_NOT_FOUND);
    assert_int_equal(
        linnet_server_answer(h.server, served, 200, NULL, linnet_str("")), LINNET_ERR_NOT_FOUND);
    host_turn(&h, 5);
    host_said(&h, "");
    static const linnet_conn_id nobody[] = { 0, UINT64_MAX, (linnet_conn_id)7 << 56 };
    for (size_t i = 0; i < LN_COUNT(nobody); i++)
        assert_int_equal(linnet_server_send(h.server, nobody[i], LINNET_TEXT, linnet_str("")),
            i == 1 ? LINNET_ERR_INVAL : LINNET_ERR_INVAL);
    host_free(&h);
}

static void test_pause(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_ws_route route = host_route(&h);
    joined(&h, &route);
    linnet_conn_pause(h.served);
    linnet_conn_pause(h.served);
    linnet_conn_send(h.dialled, LINNET_TEXT, linnet_str("waits"));
    host_turn(&h, 20);
    host_said(&h, "");
    linnet_conn_resume(h.served);
    linnet_conn_resume(h.served);
    host_await(&h, "s:text waits");
    host_free(&h);
}

static void test_finish(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_ws_route route = host_route(&h);
    joined(&h, &route);
    linnet_conn_send(h.served, LINNET_TEXT, linnet_str("crossing"));
    assert_int_equal(linnet_conn_finish(h.dialled, 1006, NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_conn_finish(h.dialled, 1000, "end"), LINNET_OK);
    assert_int_equal(linnet_conn_send(h.dialled, LINNET_TEXT, linnet_str("x")), LINNET_ERR_CLOSED);
    host_await(&h, "c:close 1000 ");
    assert_has(h.said, "c:text crossing");
    assert_has(h.said, "s:close 1000 end");
    host_free(&h);

    host_open(&h);
    route = host_route(&h);
    joined(&h, &route);
    linnet_conn_terminate(h.dialled);
    host_await(&h, "s:close 1006 RESET");
    host_said(&h, "c:close 1006 CANCELLED|s:close 1006 RESET");
    host_free(&h);
}

/* ---- topics -----------------------------------------------------------------------------------
 */

static void test_topics(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_ws_route route = host_route(&h);
    joined(&h, &route);
    linnet_slice news = linnet_str("news"), x = linnet_str("x");
    char long_one[300];
    memset(long_one, 'n', sizeof long_one);
    long_one[256] = 0;
    assert_int_equal(linnet_conn_subscribe(h.dialled, news), LINNET_ERR_UNSUPPORTED);
    assert_int_equal(linnet_conn_subscribe(h.served, linnet_str("")), LINNET_ERR_INVAL);
    assert_int_equal(linnet_conn_subscribe(h.served, linnet_str(long_one)), LINNET_ERR_INVAL);
    assert_int_equal(linnet_conn_unsubscribe(h.served, news), LINNET_ERR_NOT_FOUND);
    assert_int_equal(linnet_conn_subscribe(h.served, news), LINNET_OK);
    assert_int_equal(linnet_conn_subscribe(h.served, news), LINNET_ERR_EXISTS);
    assert_int_equal(linnet_conn_send_fragment(h.served, LINNET_TEXT, false, x), LINNET_ERR_STATE);
    host_turn(&h, 2);
    assert_int_equal(
        linnet_conn_publish(h.served, news, LINNET_TEXT, linnet_str("\xff")), LINNET_ERR_UTF8);
    assert_int_equal(linnet_conn_publish(h.served, news, LINNET_CONTINUATION, x), LINNET_ERR_INVAL);
    assert_int_equal(
        linnet_server_publish(h.server, linnet_str(""), LINNET_TEXT, x), LINNET_ERR_INVAL);
    assert_int_equal(
        linnet_server_publish(h.server, news, LINNET_TEXT, linnet_str("\xff")), LINNET_ERR_UTF8);
    assert_int_equal(
        linnet_conn_publish(h.served, news, LINNET_TEXT, linnet_str("one")), LINNET_OK);
    assert_int_equal(
        linnet_server_publish(h.server, news, LINNET_BINARY, linnet_str("two")), LINNET_OK);
    host_await(&h, "c:binary two");
    host_said(&h, "c:text one|c:binary two");
    /* a message that is refused does not cut short who is leaving */
    assert_int_equal(linnet_conn_publish(h.served, news, LINNET_TEXT, x), LINNET_OK);
    assert_int_equal(linnet_conn_unsubscribe(h.served, news), LINNET_OK);
    assert_int_equal(linnet_conn_send_fragment(h.served, LINNET_TEXT, true, linnet_str("\xff")),
        LINNET_ERR_UTF8);
    assert_int_equal(
        linnet_conn_send_fragment(h.served, LINNET_CONTINUATION, true, x), LINNET_ERR_STATE);
    host_await(&h, "c:text x");
    host_said(&h, "c:text x");
    assert_int_equal(linnet_conn_subscribe(h.served, news), LINNET_OK);
    host_turn(&h, 2);
    assert_int_equal(linnet_conn_unsubscribe(h.served, news), LINNET_OK);
    assert_int_equal(linnet_conn_publish(h.served, news, LINNET_TEXT, x), LINNET_OK);
    assert_int_equal(
        linnet_conn_send_fragment(h.served, LINNET_TEXT, true, linnet_str("alone")), 0);
    host_await(&h, "c:text alone");
    host_said(&h, "c:text alone");
    char topic[20];
    for (int i = 0; i < 129; i++) {
        snprintf(topic, sizeof topic, "t%d", i);
        assert_int_equal(linnet_conn_subscribe(h.served, linnet_str(topic)),
            i < 128 ? LINNET_OK : LINNET_ERR_LIMIT);
    }
    linnet_conn_terminate(h.served); /* while the letters are on their way */
    host_await(&h, "c:close 1006 RESET");
    assert_int_equal(linnet_server_publish(h.server, linnet_str("t5"), LINNET_TEXT, x), LINNET_OK);
    host_turn(&h, 5);
    host_free(&h);
}

/* ---- limits, as a route says them
 * ---------------------------------------------------------------- */

static void test_limits(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_ws_route route = host_route(&h);
    route.limits.message_max = 10;
    joined(&h, &route);
    linnet_conn_send(h.dialled, LINNET_TEXT, linnet_str("0123456789"));
    linnet_conn_send(h.dialled, LINNET_TEXT, linnet_str("0123456789a"));
    host_await(&h, "c:close 1009 message over the limit");
    assert_has(h.said, "s:text 0123456789|s:close 1006 TOO_BIG");
    linnet_server_stats stats = LINNET_SERVER_STATS_INIT;
    linnet_server_get_stats(h.server, &stats);
    assert_int_equal(stats.rejects, 1);
    assert_int_equal(stats.messages_in, 1);
    host_free(&h);

    host_open(&h); /* time */
    route = host_route(&h);
    route.limits.idle_ms = 50;
    joined(&h, &route);
    host_await(&h, "s:close 1000 ");
    assert_has(h.said, "c:close 1000 idle");
    host_free(&h);

    host_open(&h);
    route = host_route(&h);
    route.limits.ping_ms = 20;
    route.limits.pong_ms = 30;
    joined(&h, &route);
    linnet_conn_pause(h.dialled); /* so that nobody answers */
    host_await(&h, "s:close 1006 PONG_TIMEOUT");
    host_free(&h);

    static const struct {
        const char *why;
        linnet_conn_limits limits;
    } bad[] = {
        { "low over high",
            { .size = sizeof(linnet_conn_limits), .high_mark = 10, .low_mark = 10 } },
        { "no such level", { .size = sizeof(linnet_conn_limits), .deflate_level = 10 } },
        { "no such window", { .size = sizeof(linnet_conn_limits), .window_bits = 16 } },
        { "a window zlib cannot do", { .size = sizeof(linnet_conn_limits), .window_bits = 8 } },
        { "more than buffers can",
            { .size = sizeof(linnet_conn_limits), .message_max = UINT64_MAX } },
        { "another version", { .size = 8 } },
    };
    host_open(&h);
    for (size_t i = 0; i < LN_COUNT(bad); i++) {
        route = host_route(&h);
        route.limits = bad[i].limits;
        if (linnet_server_ws(h.server, "/bad", &route) != LINNET_ERR_INVAL)
            fail_msg("%s", bad[i].why);
    }
    host_free(&h);
}

static void fills(host *h, linnet_conn *conn, const char *event) {
    static uint8_t piece[50000];
    if (strcmp(event, "message") != 0 || conn != h->served) return;
    int err = LINNET_OK;
    while (err == LINNET_OK)
        err = linnet_conn_send(conn, LINNET_BINARY, (linnet_slice){ piece, sizeof piece });
    host_say(h, "%s", linnet_errname(err));
    assert_int_equal(linnet_conn_send(conn, LINNET_TEXT, linnet_str("x")), LINNET_ERR_CLOSED);
}

static void test_a_slow_reader(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_ws_route route = host_route(&h);
    joined(&h, &route);
    h.act = fills;
    linnet_conn_send(h.dialled, LINNET_TEXT, linnet_str("go"));
    host_await(&h, "c:close 3008 reader too slow, its queue is full");
    assert_has(h.said, "s:text go|SLOW|");
    assert_has(h.said, "s:close 1006 SLOW");
    host_free(&h);
}

/* A message by id meets a fragmented one: it is not lost, and in the order of its sending. */
static void test_by_id_between_fragments(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_ws_route route = host_route(&h);
    route.limits.queued_max = 1000;
    route.limits.high_mark = 900;
    route.limits.low_mark = 100;
    joined(&h, &route);
    linnet_conn_id id = linnet_conn_get_id(h.served);
    linnet_slice a = linnet_str("a"), b = linnet_str("b"), x = linnet_str("x");
    for (int round = 0; round < 2; round++) {
        assert_int_equal(linnet_conn_send_fragment(h.served, LINNET_TEXT, false, x), LINNET_OK);
        assert_int_equal(linnet_server_send(h.server, id, LINNET_TEXT, a), LINNET_OK);
        assert_int_equal(linnet_loop_send(h.loop, id, LINNET_BINARY, b), LINNET_OK);
        host_turn(&h, 5);
        host_said(&h, "");
        assert_int_equal(
            linnet_conn_send_fragment(h.served, LINNET_CONTINUATION, true, x), LINNET_OK);
        assert_int_equal(linnet_conn_send(h.served, LINNET_TEXT, linnet_str("last")), LINNET_OK);
        host_await(&h, "last");
        host_said(&h, "c:text xx|c:text a|c:binary b|c:text last");
    }
    /* more than a slow reader may have waiting */
    static uint8_t large[600];
    assert_int_equal(linnet_conn_send_fragment(h.served, LINNET_TEXT, false, x), LINNET_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            linnet_server_send(h.server, id, LINNET_BINARY, (linnet_slice){ large, sizeof large }),
            LINNET_OK);
    host_await(&h, "c:close");
    assert_has(h.said, "s:close 1006 SLOW");
    assert_has(h.said, "c:close 3008");
    host_free(&h);
}

/* What is left when it goes. */
static void test_by_id_and_gone(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_ws_route route = host_route(&h);
    joined(&h, &route);
    linnet_slice x = linnet_str("x");
    assert_int_equal(linnet_conn_send_fragment(h.served, LINNET_TEXT, false, x), LINNET_OK);
    assert_int_equal(
        linnet_server_send(h.server, linnet_conn_get_id(h.served), LINNET_TEXT, x), LINNET_OK);
    host_turn(&h, 2);
    assert_int_equal(linnet_conn_close(h.served, 1000, ""), LINNET_OK);
    host_await(&h, "s:close 1000");
    host_said(&h, "c:close 1000 |s:close 1000 ");
    host_free(&h);
}

/* The id of a dial is there before the connection is. */
static void test_by_id_before_it_is_open(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_ws_route route = host_route(&h);
    assert_int_equal(linnet_server_ws(h.server, "/ws", &route), LINNET_OK);
    host_start(&h);
    host_dial(&h, "/ws");
    assert_int_equal(linnet_loop_send(h.loop, h.id, LINNET_TEXT, linnet_str("early")), LINNET_OK);
    assert_int_equal(linnet_loop_send(h.loop, h.id, LINNET_TEXT, linnet_str("bird")), LINNET_OK);
    host_await(&h, "bird");
    host_said(&h, "s:open|c:open|s:text early|s:text bird");
    host_dial(&h, "/nowhere");
    assert_int_equal(linnet_loop_send(h.loop, h.id, LINNET_TEXT, linnet_str("lost")), LINNET_OK);
    host_await(&h, "fail");
    host_free(&h);
}

static int unsent_of(const linnet_conn *conn) {
    int value = 0;
    socklen_t size = sizeof value;
    int fd = conn->c.sock.fd;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, &size), 0);
    return value;
}

/* The kernel keeps little unsent, but takes the rest of a large message that has begun to leave. */
static void test_what_the_kernel_keeps_unsent(void **state) {
    (void)state;
    enum { LARGE = 6 * 1024 * 1024, LESS = 900000 };
    host h;
    host_open(&h);
    linnet_ws_route route = host_route(&h);
    route.limits.message_max = LESS;
    joined(&h, &route);
    assert_int_equal(unsent_of(h.served), 32 * 1024);
    int as_dialled = unsent_of(h.dialled);
    uint8_t *large = calloc(1, LARGE);
    assert_non_null(large);
    for (int i = 0; i < 2; i++) {
        linnet_conn_send(h.served, LINNET_BINARY, (linnet_slice){ large, LARGE });
        linnet_conn_send(h.dialled, LINNET_BINARY, (linnet_slice){ large, LESS });
        host_await(&h, "c:binary of 6291456");
        host_await(&h, "s:binary of 900000");
        assert_int_equal(unsent_of(h.served), 4 * 1024 * 1024);
        assert_int_equal(unsent_of(h.dialled), as_dialled);
        linnet_conn_send(h.served, LINNET_TEXT, linnet_str("small"));
        host_await(&h, "c:text small");
        assert_int_equal(unsent_of(h.served), 32 * 1024);
        h.said[0] = 0;
    }
    free(large);
    host_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_id_between_fragments),
        cmocka_unit_test(test_by_id_and_gone),
        cmocka_unit_test(test_by_id_before_it_is_open),
        cmocka_unit_test(test_what_it_tells),
        cmocka_unit_test(test_sending),
        cmocka_unit_test(test_ids_after_death),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_finish),
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_a_slow_reader),
        cmocka_unit_test(test_what_the_kernel_keeps_unsent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
