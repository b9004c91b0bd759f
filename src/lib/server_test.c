/* A server on its host's loop, spoken to over socket pairs, and what a careless host may do to it.
 */
#include "base/testing.h"
#include "lib/server.h"
#include <errno.h>
#include <linnet/linnet.h>
#include <stdio.h>
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

int main(int argc, char **argv) {
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_outlives_its_answer),
        cmocka_unit_test(what_was_asked_before_stays),
        cmocka_unit_test(a_head_in_pieces_before_a_large_body),
        cmocka_unit_test(a_stream_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
