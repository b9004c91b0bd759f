/* The bound on mail between workers: a worker that does not keep up slows down those who publish to
 * it, and nobody else. The test turns the workers itself, so a busy one is one it does not turn. */
#include "base/testing.h"
#include "lib/server.h"
#include <errno.h>
#include <linnet/linnet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAYLOAD  60000
#define HEAD     8 /* of a masked frame of that size */
#define RESTLESS 64

typedef struct crowd {
    ln_world world;
    linnet_server *server;
    unsigned workers;
    char topic[16];
    unsigned published; /* messages that were handed to linnet_conn_publish */
} crowd;

static void nobody(void *ctx, void (*fn)(void *arg), void *arg) {
    (void)ctx;
    (void)fn;
    (void)arg;
}

static void publish(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    crowd *c = linnet_conn_user(conn);
    if (data.size == 1) { /* in and out again */
        for (int i = 0; i < RESTLESS; i++) {
            assert_int_equal(linnet_conn_subscribe(conn, linnet_str(c->topic)), LINNET_OK);
            assert_int_equal(linnet_conn_unsubscribe(conn, linnet_str(c->topic)), LINNET_OK);
        }
        return;
    }
    if (opcode == LINNET_TEXT) {
        assert_int_equal(linnet_conn_send(conn, opcode, data), LINNET_OK);
        return;
    }
    assert_int_equal(linnet_conn_publish(conn, linnet_str(c->topic), opcode, data), LINNET_OK);
    c->published++;
}

static void subscribe(linnet_conn *conn) {
    const crowd *c = linnet_conn_user(conn);
    if (linnet_conn_get_id(conn) >> 56 == c->workers - 1)
        assert_int_equal(linnet_conn_subscribe(conn, linnet_str(c->topic)), LINNET_OK);
}

static void crowd_open(crowd *c, unsigned workers, unsigned home) {
    *c = (crowd){ .world = { .spawn = nobody }, .workers = workers };
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    o.workers = workers;
    assert_int_equal(ln_server_new_in(&c->world, &o, &c->server), LINNET_OK);
    for (unsigned i = 0;; i++) {
        snprintf(c->topic, sizeof c->topic, "topic %u", i);
        if (ln_hub_home(c->server->key, workers, linnet_str(c->topic)) == home) break;
    }
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    route.events.on_open = subscribe;
    route.events.on_message = publish;
    route.user = c;
    route.limits.queued_max = LINNET_OFF;
    route.limits.high_mark = LINNET_OFF;
    assert_int_equal(linnet_server_ws(c->server, "/", &route), LINNET_OK);
    assert_int_equal(linnet_server_start(c->server), LINNET_OK);
}

/* All but the last `idle` workers. */
static void turn(crowd *c, unsigned idle) {
    for (unsigned i = 0; i < c->workers - idle; i++)
        assert_int_equal(linnet_loop_turn(c->server->workers[i], 0), LINNET_OK);
}

/* The next connection; each goes to the worker that has the fewest, which is one after the other.
 */
static int visit(crowd *c) {
    static const char request[] =
        "GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    int fds[2];
    char answer[1024];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(linnet_server_adopt(c->server, fds[1], linnet_str(request)), LINNET_OK);
    for (int i = 0; i < 5; i++)
        turn(c, 0);
    assert_true(read(fds[0], answer, sizeof answer) > 100);
    return fds[0];
}

typedef struct flood {
    uint8_t frame[HEAD + PAYLOAD];
    size_t at; /* of the frame that is under way */
    unsigned sent;
} flood;

/* Writes until it does not go on for a while. */
static void flood_on(crowd *c, flood *f, int fd, unsigned idle, unsigned most) {
    f->frame[0] = 0x82;
    f->frame[1] = 0x80 | 126;
    f->frame[2] = PAYLOAD >> 8;
    f->frame[3] = PAYLOAD & 255;
    for (int stuck = 0; stuck < 50 && f->sent < most; stuck++) {
        ssize_t n = write(fd, f->frame + f->at, sizeof f->frame - f->at);
        if (n > 0) {
            stuck = 0;
            f->at += (size_t)n;
        }
        if (f->at == sizeof f->frame) {
            f->at = 0;
            f->sent++;
        }
        turn(c, idle);
    }
}

static size_t swallow(int fd) {
    static uint8_t buffer[256 * 1024];
    size_t all = 0;
    for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;)
        all += (size_t)n;
    return all;
}

static size_t load(const crowd *c) {
    uint32_t letters;
    size_t bytes;
    ln_inbox_load(c->server->workers[c->workers - 1]->inbox, &letters, &bytes);
    return bytes;
}

static void echoes(crowd *c, int fd, unsigned idle) {
    const uint8_t hello[] = { 0x81, 0x82, 0, 0, 0, 0, 'h', 'i' };
    char back[64];
    assert_int_equal(write(fd, hello, sizeof hello), sizeof hello);
    for (int i = 0; i < 3; i++)
        turn(c, idle);
    assert_int_equal(read(fd, back, sizeof back), 4);
}

static const struct {
    const char *why;
    unsigned workers, home; /* the last worker has the subscriber, and is busy */
} rows[] = {
    { "the home is busy", 2, 1 },
    { "the home is the publisher's worker, and a subscriber's is busy", 2, 0 },
    { "the home keeps up, and a subscriber's worker is busy", 3, 1 },
};

static void a_busy_worker_slows_its_publishers(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        crowd c;
        static flood f;
        int fds[4];
        print_message("# %s\n", rows[i].why);
        crowd_open(&c, rows[i].workers, rows[i].home);
        for (unsigned k = 0; k < c.workers + 1; k++)
            fds[k] = visit(&c);
        f = (flood){ .at = 0 };
        flood_on(&c, &f, fds[0], 1, 2000);
        assert_true(f.sent < 2000);
        assert_true(load(&c) > LN_LIM_MAIL_BYTES);
        assert_true(load(&c) < LN_LIM_MAIL_BYTES + 4 * PAYLOAD);
        assert_int_equal(linnet_server_publish(c.server, linnet_str(c.topic), LINNET_TEXT,
                             linnet_str("from outside")),
            LINNET_ERR_AGAIN);
        echoes(&c, fds[c.workers], 1); /* on the same worker, and publishes nothing */

        /* It comes back: everything arrives, and the publisher may go on. */
        unsigned more = f.sent + 20;
        size_t heard = 0;
        for (int k = 0; k < 2000 && heard < (size_t)more * (PAYLOAD + 4); k++) {
            flood_on(&c, &f, fds[0], 0, more);
            turn(&c, 0);
            heard += swallow(fds[c.workers - 1]);
        }
        assert_int_equal(c.published, more);
        assert_int_equal(heard, (size_t)more * (PAYLOAD + 4));
        for (unsigned k = 0; k < c.workers + 1; k++)
            close(fds[k]);
        linnet_server_free(c.server);
    }
}

/* Each way out is a letter too. */
static void who_comes_and_goes_waits_too(void **state) {
    (void)state;
    const uint8_t one[] = { 0x82, 0x81, 0, 0, 0, 0, 'x' };
    crowd c;
    uint32_t letters;
    size_t bytes;
    crowd_open(&c, 2, 1);
    int fds[2] = { visit(&c), visit(&c) };
    for (unsigned i = 0; i < 3 * LN_LIM_MAIL / RESTLESS; i++) {
        if (write(fds[0], one, sizeof one) < 0) break; /* it is not read */
        if (i % 16 == 0) turn(&c, 1);
    }
    turn(&c, 1);
    ln_inbox_load(c.server->workers[1]->inbox, &letters, &bytes);
    assert_in_range(letters, LN_LIM_MAIL + 1, LN_LIM_MAIL + 2 * RESTLESS);
    for (int i = 0; i < 100; i++)
        turn(&c, 0);
    ln_inbox_load(c.server->workers[1]->inbox, &letters, &bytes);
    assert_int_equal(letters, 0);
    echoes(&c, fds[0], 0);
    close(fds[0]);
    close(fds[1]);
    linnet_server_free(c.server);
}

/* Who waits for mail can still be closed, by himself and by the end of the server. */
static void a_server_ends_in_a_crowd(void **state) {
    (void)state;
    crowd c;
    static flood f;
    int fds[2];
    crowd_open(&c, 2, 1);
    fds[0] = visit(&c);
    fds[1] = visit(&c);
    f = (flood){ .at = 0 };
    flood_on(&c, &f, fds[0], 1, 2000);
    assert_true(load(&c) > LN_LIM_MAIL_BYTES);
    linnet_server_stop(c.server, 0);
    linnet_server_stop(c.server, 0);
    for (int i = 0; i < 100 && !linnet_server_stopped(c.server); i++)
        turn(&c, 0);
    assert_true(linnet_server_stopped(c.server));
    close(fds[0]);
    close(fds[1]);
    linnet_server_free(c.server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_busy_worker_slows_its_publishers),
        cmocka_unit_test(who_comes_and_goes_waits_too),
        cmocka_unit_test(a_server_ends_in_a_crowd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
