/* A server on its host's loop, spoken to over socket pairs, and what a careless host may do to it.
 */
#include "base/testing.h"
#include "lib/server.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linnet/linnet.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct house {
    linnet_loop *loop;
    linnet_server *server;
    char bound[128];
    char said[2048]; /* what the callbacks of a test have noted */
    linnet_conn_id id;
} house;

static void note(house *h, linnet_slice s) {
    size_t at = strlen(h->said);
    snprintf(h->said + at, sizeof h->said - at, "%.*s|", (int)s.size, (const char *)s.data);
}

static void serve(house *h) {
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    o.loop = h->loop;
    o.head_ms = 300;
    assert_int_equal(linnet_server_new(&o, &h->server), LINNET_OK);
}

static void house_open(house *h) {
    *h = (house){ .loop = NULL };
    linnet_loop_options o = LINNET_LOOP_OPTIONS_INIT;
    assert_int_equal(linnet_loop_new(&o, &h->loop), LINNET_OK);
    serve(h);
}

static void house_start(house *h) {
    assert_int_equal(linnet_server_listen(h->server, "127.0.0.1:0", NULL, h->bound), LINNET_OK);
    assert_int_equal(linnet_server_start(h->server), LINNET_OK);
}

static void house_close(house *h) {
    linnet_server_free(h->server);
    linnet_loop_free(h->loop);
}

static void turn(house *h, int times) {
    while (times-- > 0)
        assert_int_equal(linnet_loop_turn(h->loop, 1), LINNET_OK);
}

/* One end of a pair for the test, the other is a connection of the server. */
static int visit(house *h) {
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(linnet_server_adopt(h->server, fds[1], linnet_str("")), LINNET_OK);
    turn(h, 1);
    return fds[0];
}

static void say(int fd, const char *text) {
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* Turns until the peer has heard `wanted` or its end (""); everything that was heard. */
static const char *hear(house *h, int fd, const char *wanted) {
    static char text[8192];
    size_t size = 0;
    text[0] = 0;
    for (int i = 0; i < 5000 && (!*wanted || !strstr(text, wanted)); i++) {
        turn(h, 1);
        ssize_t n = read(fd, text + size, sizeof text - 1 - size);
        if (n == 0 || (n < 0 && errno != EAGAIN)) break;
        if (n > 0) text[size += (size_t)n] = 0;
    }
    if (!strstr(text, wanted)) fail_msg("heard \"%s\" and no \"%s\"", text, wanted);
    return text;
}

/* ---- requests -------------------------------------------------------------------------- */

static void answer_and_look(linnet_request *r, void *user) {
    house *h = user;
    assert_int_equal(linnet_request_answer(r, 200, NULL, linnet_str("yes")), LINNET_OK);
    assert_int_equal(linnet_request_answer(r, 200, NULL, linnet_str("again")), LINNET_ERR_STATE);
    assert_int_equal(linnet_request_begin(r, 200, NULL), LINNET_ERR_STATE);
    assert_int_equal(linnet_request_write(r, linnet_str("more")), LINNET_ERR_STATE);
    assert_int_equal(linnet_request_end(r), LINNET_ERR_STATE);
    assert_int_equal(linnet_request_add_header(r, "X-Late", "1"), LINNET_ERR_STATE);
    note(h, linnet_request_path(r));
    note(h, linnet_request_header(r, "Host", 0));
    note(h, linnet_request_body(r));
}

/* A handler's view is good until the handler returns, also when the answer ended the connection. */
static void a_request_outlives_its_answer(void **state) {
    (void)state;
    static const struct {
        const char *why, *request, *said;
    } rows[] = {
        { "a connection that goes on", "GET /a%20b HTTP/1.1\r\nHost: here\r\n\r\n", "/a b|here||" },
        { "one that closes", "GET /a HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n",
            "/a|here||" },
        { "with a body, closing",
            "POST /a HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody",
            "/a|here|body|" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        house h;
        house_open(&h);
        linnet_http_route route = LINNET_HTTP_ROUTE_INIT;
        route.methods = "GET POST";
        route.handler = answer_and_look;
        route.user = &h;
        assert_int_equal(linnet_server_http(h.server, "/*", &route), LINNET_OK);
        house_start(&h);
        int fd = visit(&h);
        say(fd, rows[i].request);
        assert_non_null(strstr(hear(&h, fd, "yes"), "200 OK"));
        if (strcmp(h.said, rows[i].said) != 0) fail_msg("%s: said %s", rows[i].why, h.said);
        close(fd);
        house_close(&h);
    }
}

static void ask_twice(linnet_request *r, void *user) {
    linnet_slice a = linnet_request_query(r, "a"), path = linnet_request_path(r);
    linnet_slice b = linnet_request_query(r, "b");
    note(user, a);
    note(user, path);
    note(user, ln_slice_of(b.data, 3));
    linnet_request_answer(r, 204, NULL, linnet_str(""));
}

static void what_was_asked_before_stays(void **state) {
    (void)state;
    house h;
    house_open(&h);
    linnet_http_route route = LINNET_HTTP_ROUTE_INIT;
    route.handler = ask_twice;
    route.user = &h;
    assert_int_equal(linnet_server_http(h.server, "/*", &route), LINNET_OK);
    house_start(&h);
    int fd = visit(&h);
    char request[3000], many[2001] = { 0 };
    memset(many, 'b', sizeof(many) - 1);
    snprintf(request, sizeof(request),
        "GET /p%%21?a=first%%20one&b=%s HTTP/1.1\r\nHost: here\r\n\r\n", many);
    say(fd, request);
    hear(&h, fd, "204");
    assert_string_equal(h.said, "first one|/p!|bbb|");
    close(fd);
    house_close(&h);
}

static void take_body(linnet_request *r, void *user) {
    char text[32];
    snprintf(text, sizeof text, "%zu", linnet_request_body(r).size);
    note(user, linnet_str(text));
    linnet_request_answer(r, 200, NULL, linnet_str("taken"));
}

/* The head came in two pieces, and behind the second one a full receive buffer of body. */
static void a_head_in_pieces_before_a_large_body(void **state) {
    (void)state;
    house h;
    house_open(&h);
    linnet_http_route route = LINNET_HTTP_ROUTE_INIT;
    route.methods = "POST";
    route.handler = take_body;
    route.user = &h;
    assert_int_equal(linnet_server_http(h.server, "/", &route), LINNET_OK);
    house_start(&h);
    int fd = visit(&h);
    say(fd, "POST / HTTP/1.1\r\nHost: he");
    turn(&h, 2);
    static char body[100 * 1000 + 64];
    int n = snprintf(body, sizeof body, "re\r\nContent-Length: 100000\r\n\r\n");
    memset(body + n, 'x', 100 * 1000);
    assert_int_equal(write(fd, body, (size_t)n + 100 * 1000), n + 100 * 1000);
    hear(&h, fd, "taken");
    assert_string_equal(h.said, "100000|");
    close(fd);
    house_close(&h);
}

static void stream_without_end(linnet_request *r, void *user) {
    static uint8_t block[64 * 1024];
    house *h = user;
    assert_int_equal(linnet_request_begin(r, 200, NULL), LINNET_OK);
    assert_int_equal(linnet_request_buffered(r) < 1024, true);
    int err = LINNET_OK, blocks = 0;
    for (; err == LINNET_OK && blocks < 10000; blocks++)
        err = linnet_request_write(r, ln_slice_of(block, sizeof block));
    note(h, linnet_str(linnet_errname(err)));
    note(h, linnet_str(blocks > 16 && blocks < 1000 ? "bounded" : "unbounded"));
    assert_int_equal(linnet_request_write(r, linnet_str("more")), LINNET_ERR_STATE);
}

/* Nobody reads, and the host never looks at linnet_request_buffered. */
static void a_stream_has_a_bound(void **state) {
    (void)state;
    house h;
    house_open(&h);
    linnet_http_route route = LINNET_HTTP_ROUTE_INIT;
    route.handler = stream_without_end;
    route.user = &h;
    assert_int_equal(linnet_server_http(h.server, "/", &route), LINNET_OK);
    house_start(&h);
    int fd = visit(&h);
    say(fd, "GET / HTTP/1.1\r\nHost: here\r\n\r\n");
    turn(&h, 3);
    assert_string_equal(h.said, "SLOW|bounded|");
    assert_int_equal(linnet_server_connections(h.server), 0);
    close(fd);
    house_close(&h);
}

/* ---- upgrades -------------------------------------------------------------------------- */

#define UPGRADE                                                                                    \
    "GET /ws HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"              \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

static linnet_verdict defer(linnet_upgrade *u, void *user) {
    ((house *)user)->id = linnet_upgrade_id(u);
    return LINNET_DEFER;
}

static linnet_verdict accept_and_reject(linnet_upgrade *u, void *user) {
    linnet_upgrade_accept(u, user, NULL);
    return LINNET_REJECT;
}

static void opened(linnet_conn *conn) {
    note(linnet_conn_user(conn), linnet_str("open"));
}

static void closed(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    (void)reason;
    (void)err;
    char text[16];
    snprintf(text, sizeof text, "close %u", code);
    note(linnet_conn_user(conn), linnet_str(text));
}

static void abandon(void *user) {
    note(user, linnet_str("abandoned"));
}

static void upgrades(house *h, linnet_verdict (*on_upgrade)(linnet_upgrade *, void *)) {
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    route.events.on_open = opened;
    route.events.on_close = closed;
    route.user = h;
    route.on_upgrade = on_upgrade;
    assert_int_equal(linnet_server_ws(h->server, "/ws", &route), LINNET_OK);
    linnet_server_on_abandon(h->server, abandon);
    house_start(h);
}

static void a_deferred_upgrade_waits_head_ms(void **state) {
    (void)state;
    house h;
    house_open(&h);
    upgrades(&h, defer);
    int fd = visit(&h);
    uint64_t before = linnet_loop_now(h.loop);
    say(fd, UPGRADE);
    hear(&h, fd, "503");
    assert_true(linnet_loop_now(h.loop) - before < 2000);
    assert_int_equal(linnet_server_accept(h.server, h.id, &h, NULL), LINNET_ERR_NOT_FOUND);
    turn(&h, 2);
    assert_string_equal(h.said, ""); /* it was never taken */
    close(fd);
    house_close(&h);
}

/* The client goes while somebody thinks, and another one comes to the same place. */
static void a_verdict_for_a_client_that_has_gone(void **state) {
    (void)state;
    house h;
    house_open(&h);
    upgrades(&h, defer);
    int fd = visit(&h);
    say(fd, UPGRADE);
    turn(&h, 2);
    linnet_conn_id gone = h.id;
    struct linger now = { .l_onoff = 1 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    assert_int_equal(linnet_server_accept(h.server, gone, &h, NULL), LINNET_OK);
    assert_int_equal(linnet_server_close(h.server, gone, 0, NULL), LINNET_OK);
    close(fd);
    for (int i = 0; i < 500 && linnet_server_connections(h.server); i++)
        turn(&h, 1);
    fd = visit(&h);
    say(fd, UPGRADE);
    turn(&h, 2);
    assert_true(h.id != gone);
    h.said[0] = 0;
    assert_int_equal(linnet_server_accept(h.server, gone, &h, NULL), LINNET_ERR_NOT_FOUND);
    assert_int_equal(linnet_server_reject(h.server, gone, 403, NULL), LINNET_ERR_NOT_FOUND);
    turn(&h, 2);
    assert_string_equal(h.said, "");
    assert_int_equal(linnet_server_accept(h.server, h.id, &h, NULL), LINNET_OK);
    hear(&h, fd, "101");
    assert_string_equal(h.said, "open|");
    close(fd);
    house_close(&h);
}

/* Accepted inside, although the id was given away. */
static linnet_verdict named_and_accepted(linnet_upgrade *u, void *user) {
    house *h = user;
    h->id = linnet_upgrade_id(u);
    return LINNET_ACCEPT;
}

static void an_id_of_what_was_decided_inside(void **state) {
    (void)state;
    house h;
    house_open(&h);
    upgrades(&h, named_and_accepted);
    int fd = visit(&h);
    say(fd, UPGRADE);
    hear(&h, fd, "101");
    assert_int_equal(linnet_server_reject(h.server, h.id, 403, NULL), LINNET_ERR_NOT_FOUND);
    assert_int_equal(linnet_server_close(h.server, h.id, 4000, NULL), LINNET_OK); /* its id still */
    hear(&h, fd, "\x88\x02\x0f\xa0");
    close(fd);
    house_close(&h);
}

static void a_rejection_outweighs_an_acceptance(void **state) {
    (void)state;
    house h;
    house_open(&h);
    upgrades(&h, accept_and_reject);
    int fd = visit(&h);
    say(fd, UPGRADE);
    hear(&h, fd, "403");
    assert_string_equal(h.said, "");
    close(fd);
    house_close(&h);
}

/* What was accepted when the server has begun to end is turned away, and its user handed back. */
static void an_acceptance_while_draining(void **state) {
    (void)state;
    house h;
    house_open(&h);
    upgrades(&h, defer);
    int fd = visit(&h);
    say(fd, UPGRADE);
    turn(&h, 2);
    linnet_server_stop(h.server, 0);
    turn(&h, 1);
    assert_int_equal(linnet_server_accept(h.server, h.id, &h, NULL), LINNET_OK);
    hear(&h, fd, "503");
    assert_string_equal(h.said, "abandoned|");
    close(fd);
    house_close(&h);
}

static void abandon_and_ask(void *user) {
    linnet_server *s = ((house *)user)->server;
    linnet_server_stats stats = LINNET_SERVER_STATS_INIT;
    linnet_slice x = linnet_str("x");
    unsigned at = 0;
    uint64_t count;
    (void)linnet_server_next_reject(s, &at, &count);
    (void)linnet_server_connections(s);
    (void)linnet_server_stopped(s);
    (void)linnet_server_get_stats(s, &stats);
    for (char c = 'a'; c < 'g'; c++)
        (void)linnet_server_publish(s, ln_slice_of(&c, 1), LINNET_TEXT, x);
    for (linnet_conn_id worker = 0; worker < 3; worker++)
        (void)linnet_server_send(s, worker << 56 | 1, LINNET_TEXT, x);
    (void)linnet_server_adopt(s, 0, x);
    (void)linnet_server_accept(s, 1, user, NULL);
    linnet_server_stop(s, 0);
    note(user, linnet_str("abandoned"));
}

/* Who is told that an upgrade came to nothing may call the server, whose first worker has gone. */
static void calls_while_a_server_goes(void **state) {
    (void)state;
    house h = { .loop = NULL };
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    o.workers = 2;
    assert_int_equal(linnet_server_new(&o, &h.server), LINNET_OK);
    linnet_server_on_abandon(h.server, abandon_and_ask);
    assert_int_equal(linnet_server_start(h.server), LINNET_OK);
    linnet_server_stop(h.server, 0);
    assert_int_equal(linnet_server_join(h.server), LINNET_OK);
    ln_post *m = ln_post_new(LN_POST_ACCEPT, 1, 0, NULL, ln_slice_of("", 0));
    m->ctx = &h;
    assert_int_equal(ln_worker_post(h.server->workers[1], m), LINNET_OK);
    linnet_server_free(h.server);
    assert_string_equal(h.said, "abandoned|");
}

/* Mail that is under way when the server goes. */
static void mail_for_a_server_that_has_gone(void **state) {
    (void)state;
    house h;
    house_open(&h);
    upgrades(&h, defer);
    int fd = visit(&h), late[2];
    say(fd, UPGRADE);
    turn(&h, 2);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, late), 0);
    assert_int_equal(linnet_server_adopt(h.server, late[1], linnet_str("")), LINNET_OK);
    assert_int_equal(linnet_server_accept(h.server, h.id, &h, NULL), LINNET_OK);
    linnet_server_free(h.server);
    h.server = NULL;
    turn(&h, 3);
    char byte;
    assert_int_equal(read(late[0], &byte, 1), 0); /* it was closed, not forgotten */
    assert_string_equal(h.said, "abandoned|");
    close(fd);
    close(late[0]);
    house_close(&h);
}

static void mail_for_workers_that_have_gone(void **state) {
    (void)state;
    house h = { .loop = NULL };
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    o.workers = 2;
    assert_int_equal(linnet_server_new(&o, &h.server), LINNET_OK);
    linnet_server_on_abandon(h.server, abandon);
    linnet_conn_id nobody = (UINT64_C(1) << 56) + 5;
    assert_int_equal(linnet_server_accept(h.server, nobody, &h, ""), LINNET_ERR_NOT_FOUND);
    assert_int_equal(linnet_server_send(h.server, nobody, LINNET_TEXT, linnet_str("x")), LINNET_OK);
    linnet_server_free(h.server);
    assert_string_equal(h.said, "");
}

/* A code that may not be sent would leave everybody waiting for a Close. */
static void a_stop_with_a_strange_code(void **state) {
    (void)state;
    house h;
    house_open(&h);
    upgrades(&h, NULL);
    int fd = visit(&h);
    say(fd, UPGRADE);
    hear(&h, fd, "101");
    linnet_server_stop(h.server, 1006);
    hear(&h, fd, "\x88\x02\x03\xf4"); /* 1012 */
    close(fd);
    turn(&h, 3);
    assert_true(linnet_server_stopped(h.server));
    house_close(&h);
}

/* ---- the host's loop --------------------------------------------------------------------- */

typedef struct dialled {
    linnet_conn *conn;
    linnet_conn_id id;
    int err, closed;
} dialled;

static void client_open(linnet_conn *conn) {
    ((dialled *)linnet_conn_user(conn))->conn = conn;
}

static void client_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    (void)reason;
    (void)err;
    ((dialled *)linnet_conn_user(conn))->closed = code;
    ((dialled *)linnet_conn_user(conn))->conn = NULL;
}

static void client_fail(void *user, int err, int status, const char *words) {
    (void)status;
    (void)words;
    ((dialled *)user)->err = err;
}

static void dial(house *h, const char *bound, dialled *d) {
    char url[160];
    snprintf(url, sizeof url, "ws://%s/ws", bound);
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    o.url = url;
    o.user = d;
    o.events.on_open = client_open;
    o.events.on_close = client_close;
    o.on_fail = client_fail;
    assert_int_equal(linnet_client_dial(h->loop, &o, &d->id), LINNET_OK);
}

static void dial_open(house *h, const char *bound, dialled *d) {
    dial(h, bound, d);
    for (int i = 0; i < 1000 && !d->conn; i++)
        turn(h, 1);
    assert_non_null(d->conn);
}

static void stop(house *h) {
    linnet_server_stop(h->server, 0);
    for (int i = 0; i < 3000 && !linnet_server_stopped(h->server); i++)
        turn(h, 1);
    assert_true(linnet_server_stopped(h->server));
}

/* Another server, in a thread of its own, that the host's loop is a client of. */
static linnet_server *elsewhere(char bound[128]) {
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    linnet_server *s;
    o.workers = 1;
    assert_int_equal(linnet_server_new(&o, &s), LINNET_OK);
    assert_int_equal(linnet_server_ws(s, "/ws", &route), LINNET_OK);
    assert_int_equal(linnet_server_listen(s, "127.0.0.1:0", NULL, bound), LINNET_OK);
    assert_int_equal(linnet_server_start(s), LINNET_OK);
    return s;
}

static void the_hosts_clients_are_not_the_servers(void **state) {
    (void)state;
    char far[128];
    linnet_server *other = elsewhere(far);
    house h = { .loop = NULL };
    linnet_loop_options o = LINNET_LOOP_OPTIONS_INIT;
    assert_int_equal(linnet_loop_new(&o, &h.loop), LINNET_OK);
    dialled before = { 0 }, during = { 0 }, after = { 0 };
    dial_open(&h, far, &before);

    serve(&h);
    house_start(&h);
    dial_open(&h, far, &during);
    assert_int_equal(linnet_conn_subscribe(during.conn, linnet_str("t")), LINNET_ERR_UNSUPPORTED);
    assert_int_equal(linnet_server_connections(h.server), 0);
    stop(&h);
    dial_open(&h, far, &after);
    linnet_server_free(h.server);
    turn(&h, 3);
    assert_int_equal(before.closed + during.closed + after.closed, 0);

    assert_int_equal(linnet_loop_close(h.loop, before.id, 1000, ""), LINNET_OK);
    assert_int_equal(linnet_loop_close(h.loop, during.id, 1000, ""), LINNET_OK);
    assert_int_equal(linnet_loop_close(h.loop, after.id, 1000, ""), LINNET_OK);
    for (int i = 0; i < 1000 && !(before.closed && during.closed && after.closed); i++)
        turn(&h, 1);
    assert_int_equal(before.closed, 1000);
    assert_int_equal(during.closed, 1000);
    assert_int_equal(after.closed, 1000);
    linnet_loop_free(h.loop);
    linnet_server_free(other);
}

static void a_loop_takes_another_server(void **state) {
    (void)state;
    house h;
    house_open(&h);
    upgrades(&h, NULL);
    stop(&h);
    linnet_server_free(h.server);
    serve(&h);
    upgrades(&h, NULL);
    assert_false(linnet_server_stopped(h.server));
    int fd = visit(&h);
    say(fd, UPGRADE);
    hear(&h, fd, "101");
    linnet_server_stop(h.server, 0);
    hear(&h, fd, "\x88\x02\x03\xf4");
    close(fd);
    stop(&h);
    house_close(&h);
}

/* ---- small promises ----------------------------------------------------------------------- */

static void a_policy_is_copied(void **state) {
    (void)state;
    house h;
    house_open(&h);
    char *policy = strdup("default-src 'self'");
    linnet_asset asset = { "/x.txt", linnet_str("x"), NULL };
    assert_int_equal(linnet_server_assets(h.server, &asset, 1, policy), LINNET_OK);
    free(policy);
    house_start(&h);
    int fd = visit(&h);
    say(fd, "GET /x.txt HTTP/1.1\r\nHost: here\r\n\r\n");
    hear(&h, fd, "default-src 'self'");
    close(fd);
    house_close(&h);
}

static void fire(linnet_timer *timer, void *ctx) {
    (void)timer;
    ++*(int *)ctx;
}

static void a_timer_in_the_far_future(void **state) {
    (void)state;
    house h;
    house_open(&h);
    linnet_timer *timer;
    int fired = 0;
    assert_int_equal(linnet_timer_new(h.loop, fire, &fired, &timer), LINNET_OK);
    linnet_timer_set(timer, UINT64_MAX);
    turn(&h, 3);
    assert_int_equal(fired, 0);
    linnet_timer_free(timer);
    house_close(&h);
}

static void fail_and_turn(void *user, int err, int status, const char *words) {
    house *h = user;
    (void)status;
    (void)words;
    note(h, linnet_str(linnet_errname(err)));
    note(h, linnet_str(linnet_errname(linnet_loop_turn(h->loop, 0))));
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    o.url = "ws://127.0.0.1:1/";
    note(h, linnet_str(linnet_errname(linnet_client_dial(h->loop, &o, NULL))));
}

/* Callbacks that come out of linnet_loop_free are callbacks. */
static void a_turn_inside_the_end(void **state) {
    (void)state;
    house h = { .loop = NULL };
    assert_int_equal(linnet_loop_new(NULL, &h.loop), LINNET_OK);
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    o.url = "ws://127.0.0.1:1/";
    o.on_fail = fail_and_turn;
    o.user = &h;
    assert_int_equal(linnet_client_dial(h.loop, &o, NULL), LINNET_OK);
    linnet_loop_free(h.loop);
    assert_string_equal(h.said, "CANCELLED|STATE|STATE|");
}

/* 46 days of silence and as many of patience are more than 32 bits of milliseconds. */
static void a_very_patient_connection(void **state) {
    (void)state;
    linnet_conn_limits l = LINNET_CONN_LIMITS_INIT;
    l.ping_ms = 4000000000u;
    l.pong_ms = 4000000000u;
    ln_conn_config config;
    ln_pmd_policy policy;
    assert_int_equal(ln_limits_conn(&l, false, &config, &policy), LINNET_OK);
    assert_true(config.ping_ms + config.pong_ms > config.ping_ms);
    assert_true(config.ping_ms > 1000000000u);
}

/* A large message leaves a buffer with the tools of the handle, which go with it. */
static void a_handle_gives_all_memory_back(void **state) {
    (void)state;
    linnet_ws_options o = LINNET_WS_OPTIONS_INIT;
    o.upgraded = true;
    o.limits.message_max = 1024 * 1024;
    linnet_ws *ws;
    linnet_ws_event e;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_OK);
    static uint8_t frame[8 + 90000] = { 0x02, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0x5f, 0x90 };
    const uint8_t last[] = { 0x80, 0x80, 1, 2, 3, 4 };
    assert_int_equal(linnet_ws_next(ws, &e), 1); /* OPEN */
    assert_int_equal(linnet_ws_feed(ws, ln_slice_of(frame, 14)), LINNET_OK);
    assert_int_equal(linnet_ws_feed(ws, ln_slice_of(frame + 14, 0x15f90 - 6)), LINNET_OK);
    assert_int_equal(linnet_ws_feed(ws, ln_slice_of(frame, 6)), LINNET_OK);
    assert_int_equal(linnet_ws_feed(ws, ln_slice_of(last, sizeof last)), LINNET_OK);
    assert_int_equal(linnet_ws_next(ws, &e), 1);
    assert_int_equal(e.kind, LINNET_WS_MESSAGE);
    assert_int_equal(e.data.size, 0x15f90);
    assert_int_equal(linnet_ws_next(ws, &e), 0);
    linnet_ws_free(ws);
}

/* ---- what the log is told ------------------------------------------------------------ */

static void to_said(void *ctx, linnet_log_level level, const char *line) {
    house *h = ctx;
    char text[256];
    snprintf(text, sizeof text, "%d%s", (int)level, line);
    note(h, linnet_str(text));
}

static void logging_house_open(house *h) {
    *h = (house){ .loop = NULL };
    linnet_loop_options o = LINNET_LOOP_OPTIONS_INIT;
    o.log = to_said;
    o.log_ctx = h;
    o.log_level = LINNET_LOG_INFO;
    assert_int_equal(linnet_loop_new(&o, &h->loop), LINNET_OK);
    serve(h);
}

#define TOLD(reason, code)                                                                         \
    "2{\"event\":\"refused\",\"reason\":\"" reason "\",\"code\":" code                             \
    ",\"peer\":\"unix\",\"worker\":0,\"conn\":\"00000000"

static void refusals_are_told_with_their_reason(void **state) {
    (void)state;
    static const char shake[] = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    static const struct {
        const char *why, *said, *line;
    } rows[] = {
        { "a request", "GET /?token=secret HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n",
            TOLD("HTTP_LENGTH", "400") },
        { "a path", "GET /none?token=secret HTTP/1.1\r\nHost: x\r\n\r\n",
            TOLD("HTTP_NOT_FOUND", "404") },
        { "a frame", "\x81\x05hello", TOLD("PROTO_MASK", "1002") },
        { "another", "\x81\x05hello", TOLD("PROTO_MASK", "1002") },
    };
    house h;
    logging_house_open(&h);
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    assert_int_equal(linnet_server_ws(h.server, "/ws", &route), LINNET_OK);
    house_start(&h);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int fd = visit(&h);
        if (rows[i].said[0] != 'G') say(fd, shake);
        say(fd, rows[i].said);
        hear(&h, fd, "");
        if (strncmp(h.said, rows[i].line, strlen(rows[i].line)) != 0)
            fail_msg("%s: \"%s\"", rows[i].why, h.said);
        h.said[0] = 0;
        close(fd);
    }
    unsigned at = 0;
    uint64_t n = 0;
    assert_string_equal(linnet_server_next_reject(h.server, &at, &n), "PROTO_MASK");
    assert_int_equal(n, 2);
    assert_string_equal(linnet_server_next_reject(h.server, &at, &n), "HTTP_LENGTH");
    assert_string_equal(linnet_server_next_reject(h.server, &at, &n), "HTTP_NOT_FOUND");
    assert_int_equal(n, 1);
    n = 7;
    assert_null(linnet_server_next_reject(h.server, &at, &n));
    assert_null(linnet_server_next_reject(h.server, &at, &n));
    assert_int_equal(n, 7);
    house_close(&h);
}

/* Connects to what the server has bound; does not wait. */
static int knock(const house *h) {
    struct sockaddr_in to = { .sin_family = AF_INET };
    to.sin_port = htons((uint16_t)strtoul(strrchr(h->bound, ':') + 1, NULL, 10));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    connect(fd, (struct sockaddr *)&to, sizeof to);
    return fd;
}

static uint64_t accept_failures(const house *h) {
    linnet_server_stats stats = LINNET_SERVER_STATS_INIT;
    assert_int_equal(linnet_server_get_stats(h->server, &stats), LINNET_OK);
    return stats.accept_failures;
}

/* Descriptors run out, twice within the ten seconds for which one line has to do. */
static void who_cannot_come_in_is_told_of_once(void **state) {
    (void)state;
    struct rlimit before, none;
    house h;
    logging_house_open(&h);
    house_start(&h);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i < 2; i++) {
        uint64_t failed = accept_failures(&h);
        int fd = knock(&h);
        int next = dup(fd);
        close(next);
        none = (struct rlimit){ (rlim_t)next, before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        for (int k = 0; k < 5000 && accept_failures(&h) == failed; k++)
            turn(&h, 1);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_true(accept_failures(&h) > failed);
        say(fd, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_non_null(strstr(hear(&h, fd, ""), "404"));
        close(fd);
    }
    const char *line = strstr(h.said, "1{\"event\":\"unheard\",\"accept_failures\":1,");
    assert_non_null(line);
    assert_null(strstr(strchr(line, '}'), "unheard"));

    linnet_server_free(h.server); /* the next one on this loop begins anew */
    h.said[0] = 0;
    serve(&h);
    h.server->workers[0]->unheard_until = 0;
    house_start(&h);
    assert_int_equal(accept_failures(&h), 0);
    turn(&h, 2);
    assert_null(strstr(h.said, "unheard"));
    house_close(&h);
}

int main(int argc, char **argv) {
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_outlives_its_answer),
        cmocka_unit_test(refusals_are_told_with_their_reason),
        cmocka_unit_test(who_cannot_come_in_is_told_of_once),
        cmocka_unit_test(what_was_asked_before_stays),
        cmocka_unit_test(a_head_in_pieces_before_a_large_body),
        cmocka_unit_test(a_stream_has_a_bound),
        cmocka_unit_test(a_deferred_upgrade_waits_head_ms),
        cmocka_unit_test(a_verdict_for_a_client_that_has_gone),
        cmocka_unit_test(an_id_of_what_was_decided_inside),
        cmocka_unit_test(a_rejection_outweighs_an_acceptance),
        cmocka_unit_test(an_acceptance_while_draining),
        cmocka_unit_test(mail_for_a_server_that_has_gone),
        cmocka_unit_test(mail_for_workers_that_have_gone),
        cmocka_unit_test(calls_while_a_server_goes),
        cmocka_unit_test(a_stop_with_a_strange_code),
        cmocka_unit_test(the_hosts_clients_are_not_the_servers),
        cmocka_unit_test(a_loop_takes_another_server),
        cmocka_unit_test(a_policy_is_copied),
        cmocka_unit_test(a_timer_in_the_far_future),
        cmocka_unit_test(a_turn_inside_the_end),
        cmocka_unit_test(a_very_patient_connection),
        cmocka_unit_test(a_handle_gives_all_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
