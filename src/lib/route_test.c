/* From a request to whoever serves it: routes, handlers, assets, and what an upgrade may ask and
 * say. */
#include "lib/lib_test.h"
#include "lib/limits.h"

#define CLOSE " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
#define UPGRADE(path, fields)                                                                      \
    "GET " path " HTTP/1.1\r\nHost: h:80\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"         \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" fields "\r\n"

/* ---- HTTP --------------------------------------------------------------------------------------
 */

static const char *text_of(linnet_slice s) {
    static char out[8][300];
    static unsigned next;
    char *at = out[next++ % 8];
    snprintf(at, 300, "%s%.*s", s.data ? "" : "(null)", (int)s.size, (const char *)s.data);
    return at;
}

/* Says what it was asked. */
static void tells(linnet_request *r, void *user) {
    const char *name = user;
    char body[1000], peer[64];
    linnet_request_peer(r, peer);
    assert_true(linnet_request_id(r) != 0);
    int n = snprintf(body, sizeof body, "%s %s %s a=%s b=%s x=%s y=%s body=%s peer=%s", name,
        text_of(linnet_request_method(r)), text_of(linnet_request_path(r)),
        text_of(linnet_request_query(r, "a")), text_of(linnet_request_query(r, "b")),
        text_of(linnet_request_header(r, "x-field", 0)),
        text_of(linnet_request_header(r, "X-Field", 1)), text_of(linnet_request_body(r)), peer);
    assert_int_equal(linnet_request_add_header(r, "X-Own", "1"), LINNET_OK);
    assert_int_equal(linnet_request_add_header(r, "X-Bad", "1\r\n2"), LINNET_ERR_INVAL);
    assert_int_equal(linnet_request_add_header(r, "Content-Length", "1"), LINNET_ERR_INVAL);
    assert_int_equal(linnet_request_answer(r, 99, NULL, linnet_str("")), LINNET_ERR_INVAL);
    assert_int_equal(
        linnet_request_answer(r, 200, "text/x", (linnet_slice){ (uint8_t *)body, (size_t)n }), 0);
    assert_int_equal(linnet_request_answer(r, 200, NULL, linnet_str("")), LINNET_ERR_STATE);
}

static void declare(host *h, const char *path, const char *methods, const char *name, int err) {
    linnet_http_route r = LINNET_HTTP_ROUTE_INIT;
    r.handler = tells;
    r.methods = methods;
    r.user = (void *)(uintptr_t)name;
    r.body_max = 20;
    assert_int_equal(linnet_server_http(h->server, path, &r), err);
}

static void test_routes(void **state) {
    (void)state;
    host h;
    host_open(&h);
    declare(&h, "/", NULL, "root", LINNET_OK);
    declare(&h, "/a/*", "GET POST", "a/*", LINNET_OK);
    declare(&h, "/a/b", "GET", "a/b", LINNET_OK);
    declare(&h, "/a/b/*", "PUT DELETE", "a/b/*", LINNET_OK);
    declare(&h, "/a/b", "POST", "again", LINNET_ERR_EXISTS);
    declare(&h, "/a/*", "POST", "again", LINNET_ERR_EXISTS);
    declare(&h, "no", "GET", "", LINNET_ERR_INVAL);
    declare(&h, "", "GET", "", LINNET_ERR_INVAL);
    declare(&h, NULL, "GET", "", LINNET_ERR_INVAL);
    declare(&h, "/no*", "GET", "", LINNET_ERR_INVAL);
    declare(&h, "/no", "get", "", LINNET_ERR_INVAL);
    declare(&h, "/no", "", "", LINNET_ERR_INVAL);
    linnet_ws_route ws = host_route(&h);
    assert_int_equal(linnet_server_ws(h.server, "/ws", &ws), LINNET_OK);
    assert_int_equal(linnet_server_ws(h.server, "/ws", &ws), LINNET_ERR_EXISTS);
    host_start(&h);
    declare(&h, "/late", "GET", "", LINNET_ERR_STATE);
    static const struct {
        const char *request, *has;
    } rows[] = {
        { "GET /" CLOSE, "\r\n\r\nroot GET / " },
        { "GET /a/" CLOSE, "\r\n\r\na/* GET /a/ " },
        { "GET /a/x/y" CLOSE, "\r\n\r\na/* GET /a/x/y " },
        { "GET /a/b" CLOSE, "\r\n\r\na/b GET /a/b " },
        { "GET /a/%62" CLOSE, "\r\n\r\na/b GET /a/b " },
        { "PUT /a/b/c" CLOSE, "\r\n\r\na/b/* PUT /a/b/c " },
        { "GET /a/b/c" CLOSE, "HTTP/1.1 405 Method Not Allowed\r\n" },
        { "GET /a/b/c" CLOSE, "\r\nAllow: PUT, DELETE\r\n" },
        { "POST /a/b" CLOSE, "\r\nAllow: GET, HEAD\r\n" },
        { "OPTIONS /a/x" CLOSE, "\r\nAllow: GET, HEAD, POST\r\n" },
        { "GET /nowhere" CLOSE, "HTTP/1.1 404 " },
        { "GET /a" CLOSE, "HTTP/1.1 404 " },
        { "GET /ws" CLOSE, "HTTP/1.1 426 " },
        { "GET /ws" CLOSE, "\r\nUpgrade: websocket\r\n" },
        { "GET /a/x?a=1%202&b=%C3%BC&c" CLOSE, " a=1 2 b=\xc3\xbc x=(null) " },
        { "GET /a/x?a=1&a=2&b" CLOSE, " a=(null) b= x=(null) " },
        { "GET /a/x HTTP/1.1\r\nHost: h\r\nX-FIELD:  one \r\nx-field: two\r\nConnection: "
          "close\r\n\r\n",
            " x=one y=two " },
        { "POST /a/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody",
            " body=body peer=unix" },
        { "POST /a/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 21\r\n\r\nbody",
            "HTTP/1.1 413 " },
        { "GET /a/x" CLOSE, "\r\nX-Own: 1\r\n" },
        { "FOO /a/x" CLOSE, "HTTP/1.1 501 " },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++)
        assert_has(host_ask(&h, rows[i].request), rows[i].has);
    assert_string_equal(strstr(host_ask(&h, "HEAD /a/b" CLOSE), "\r\n\r\n"), "\r\n\r\n");
    assert_int_equal(linnet_server_connections(h.server), 0);
    host_free(&h);
}

/* ---- later -------------------------------------------------------------------------------------
 */

static void later(linnet_request *r, void *user) {
    host *h = user;
    h->id = linnet_request_id(r);
    host_say(h, "%s", text_of(linnet_request_path(r)));
}

static void test_answered_later(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_http_route r = LINNET_HTTP_ROUTE_INIT;
    r.handler = later;
    r.user = &h;
    assert_int_equal(linnet_server_http(h.server, "/*", &r), LINNET_OK);
    host_start(&h);
    int fd = host_visit(&h, linnet_str("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2" CLOSE));
    host_await(&h, "/1");
    host_turn(&h, 5);
    host_said(&h, "/1");
    linnet_slice x = linnet_str("x");
    assert_int_equal(linnet_server_answer(h.server, h.id, 700, NULL, x), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_answer_begin(h.server, h.id, 99, NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_answer(h.server, 0, 200, NULL, x), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_answer_write(h.server, h.id, x), LINNET_ERR_STATE);
    assert_int_equal(linnet_server_answer_end(h.server, h.id), LINNET_ERR_STATE);
    assert_int_equal(linnet_server_accept(h.server, h.id, &h, NULL), LINNET_ERR_NOT_FOUND);
    assert_int_equal(linnet_server_reject(h.server, h.id, 403, NULL), LINNET_ERR_NOT_FOUND);
    linnet_conn_id first = h.id;
    assert_int_equal(
        linnet_server_answer(h.server, first, 201, "a/b", linnet_str("one")), LINNET_OK);
    assert_int_equal(linnet_server_answer(h.server, first, 200, NULL, x), LINNET_ERR_NOT_FOUND);
    host_await(&h, "/2");
    assert_true(h.id != first); /* the same connection, and another request */
    assert_int_equal(linnet_server_answer(h.server, first, 200, NULL, x), LINNET_ERR_NOT_FOUND);
    assert_int_equal(linnet_server_answer_begin(h.server, first, 200, NULL), LINNET_ERR_NOT_FOUND);
    assert_int_equal(linnet_server_close(h.server, first, 4000, NULL), LINNET_OK); /* gone */
    host_turn(&h, 3);
    assert_int_equal(linnet_server_answer_begin(h.server, h.id, 204, NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_answer_begin(h.server, h.id, 200, "a\rb"), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_answer(h.server, h.id, 200, "a\nb: c", x), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_answer_begin(h.server, h.id, 200, NULL), LINNET_OK);
    assert_int_equal(linnet_server_answer_begin(h.server, h.id, 200, NULL), LINNET_ERR_STATE);
    assert_int_equal(linnet_server_answer(h.server, h.id, 200, NULL, x), LINNET_ERR_STATE);
    assert_int_equal(linnet_server_answer_write(h.server, h.id, linnet_str("two")), LINNET_OK);
    assert_int_equal(linnet_server_answer_end(h.server, h.id), LINNET_OK);
    assert_int_equal(linnet_server_answer_end(h.server, h.id), LINNET_ERR_NOT_FOUND);
    assert_int_equal(linnet_server_answer_write(h.server, h.id, x), LINNET_ERR_NOT_FOUND);
    for (int i = 0; i < 500 && !h.ended; i++) {
        host_turn(&h, 1);
        host_hear(&h, fd);
    }
    close(fd);
    assert_string_equal(h.heard,
        "HTTP/1.1 201 Created\r\nContent-Type: a/b\r\nContent-Length: 3\r\n\r\n"
        "oneHTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        "3\r\ntwo\r\n0\r\n\r\n");
    host_turn(&h, 3);
    assert_int_equal(linnet_server_answer(h.server, h.id, 200, NULL, x), LINNET_ERR_NOT_FOUND);
    host_free(&h);
}

static void nothing(void *ctx) {
    ++*(uint32_t *)ctx;
}

/* Too much mail waits, and an answer is on its way nevertheless; a piece of a stream is refused. */
static void test_answers_are_exempt(void **state) {
    (void)state;
    host h;
    uint32_t calls = 0, posted = 0;
    host_open(&h);
    linnet_http_route r = LINNET_HTTP_ROUTE_INIT;
    r.handler = later;
    r.user = &h;
    assert_int_equal(linnet_server_http(h.server, "/*", &r), LINNET_OK);
    host_start(&h);
    int one = host_visit(&h, linnet_str("GET /1" CLOSE));
    host_await(&h, "/1");
    linnet_conn_id first = h.id;
    int two = host_visit(&h, linnet_str("GET /2" CLOSE));
    host_await(&h, "/2");
    while (linnet_loop_post(h.loop, nothing, &calls) == LINNET_OK)
        posted++;
    assert_true(posted >= LN_LIM_MAIL);
    linnet_slice x = linnet_str("x");
    assert_int_equal(linnet_server_answer(h.server, first, 200, NULL, x), LINNET_OK);
    assert_int_equal(linnet_server_answer_begin(h.server, h.id, 200, NULL), LINNET_OK);
    assert_int_equal(linnet_server_answer_write(h.server, h.id, x), LINNET_ERR_AGAIN);
    assert_int_equal(linnet_server_answer_end(h.server, h.id), LINNET_OK);
    for (int i = 0; i < 500 && !h.ended; i++) {
        host_turn(&h, 1);
        host_hear(&h, one);
    }
    assert_has(h.heard, "HTTP/1.1 200 OK\r\n");
    assert_int_equal(calls, posted);
    close(one);
    close(two);
    host_free(&h);
}

/* A stream begun by the handler and written by id; the writer learns that nobody reads on. */
static void begins(linnet_request *r, void *user) {
    host *h = user;
    h->id = linnet_request_id(r);
    assert_int_equal(linnet_request_begin(r, 200, NULL), LINNET_OK);
    assert_int_equal(linnet_server_answer_begin(h->server, h->id, 200, NULL), LINNET_ERR_STATE);
    assert_true(linnet_request_id(r) == h->id);
    host_say(h, "begun");
}

static void test_a_stream_whose_reader_goes(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_http_route r = LINNET_HTTP_ROUTE_INIT;
    r.handler = begins;
    r.user = &h;
    assert_int_equal(linnet_server_http(h.server, "/", &r), LINNET_OK);
    host_start(&h);
    int fd = host_visit(&h, linnet_str("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    host_await(&h, "begun");
    assert_int_equal(linnet_server_answer_write(h.server, h.id, linnet_str("x")), LINNET_OK);
    host_turn(&h, 3);
    host_hear(&h, fd);
    assert_has(h.heard, "1\r\nx\r\n");
    close(fd);
    int err = LINNET_OK;
    for (int i = 0; i < 500 && err == LINNET_OK; i++) {
        err = linnet_server_answer_write(h.server, h.id, linnet_str("x"));
        host_turn(&h, 1);
    }
    assert_int_equal(err, LINNET_ERR_NOT_FOUND);
    assert_int_equal(linnet_server_answer_end(h.server, h.id), LINNET_ERR_NOT_FOUND);
    host_free(&h);
}

/* The handler answers itself after all. */
static void answers_after_all(linnet_request *r, void *user) {
    host *h = user;
    h->id = linnet_request_id(r);
    assert_int_equal(linnet_request_answer(r, 200, NULL, linnet_str("here")), LINNET_OK);
    assert_true(linnet_request_id(r) == h->id);
    assert_int_equal(
        linnet_server_answer(h->server, h->id, 200, NULL, linnet_str("x")), LINNET_ERR_NOT_FOUND);
    host_say(h, "answered");
}

static void test_answered_after_all(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_http_route r = LINNET_HTTP_ROUTE_INIT;
    r.handler = answers_after_all;
    r.user = &h;
    assert_int_equal(linnet_server_http(h.server, "/", &r), LINNET_OK);
    host_start(&h);
    assert_has(host_ask(&h, "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /" CLOSE), "here");
    host_said(&h, "answered|answered");
    host_free(&h);
}

static void says_nothing(linnet_request *r, void *user) {
    (void)r, (void)user;
}

/* A handler that forgets it, and a client that leaves meanwhile. */
static void test_forgotten(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_http_route r = LINNET_HTTP_ROUTE_INIT;
    r.handler = says_nothing;
    assert_int_equal(linnet_server_http(h.server, "/", &r), LINNET_OK);
    host_start(&h);
    int fd = host_visit(&h, linnet_str("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    host_turn(&h, 3);
    assert_int_equal(linnet_server_connections(h.server), 1);
    close(fd);
    for (int i = 0; i < 500 && linnet_server_connections(h.server); i++)
        host_turn(&h, 1);
    /* a peer that says FIN behind its request may wait for the answer; one that is gone is seen
     * when the answer is sent, or at the time-out */
    assert_true(linnet_server_connections(h.server) <= 1);
    host_free(&h);
}

/* ---- assets -------------------------------------------------------------------------------------
 */

static void test_assets(void **state) {
    (void)state;
    host h;
    host_open(&h);
    const linnet_asset files[] = {
        { "/", linnet_str("<p>root"), NULL },
        { "/app.js", linnet_str("let a"), NULL },
        { "/data", linnet_str("raw"), NULL },
        { "/style.css", linnet_str(""), NULL },
        { "/odd.css", linnet_str("odd"), "text/odd" },
        { "/dir/", linnet_str("<p>dir"), NULL },
    };
    assert_int_equal(
        linnet_server_assets(h.server, files, LN_COUNT(files), "default-src 'self'"), LINNET_OK);
    assert_int_equal(linnet_server_assets(h.server, files, 1, NULL), LINNET_ERR_EXISTS);
    char long_one[5000];
    memset(long_one, 'x', sizeof long_one);
    long_one[sizeof long_one - 1] = 0;
    const linnet_asset bad[] = {
        { "relative", linnet_str(""), NULL },
        { "", linnet_str(""), NULL },
        { NULL, linnet_str(""), NULL },
        { "/prefix/*", linnet_str(""), NULL },
        { "/line\r\nbreak/", linnet_str(""), NULL },
        { "/type", linnet_str(""), "a\nb" },
        { "/type", linnet_str(""), long_one },
        { long_one, linnet_str(""), NULL },
    };
    for (size_t i = 0; i < LN_COUNT(bad); i++)
        assert_int_equal(linnet_server_assets(h.server, &bad[i], 1, NULL), LINNET_ERR_INVAL);
    const linnet_asset good = { "/good", linnet_str(""), NULL };
    assert_int_equal(linnet_server_assets(h.server, &good, 1, long_one), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_assets(h.server, &good, 1, "a\nb"), LINNET_ERR_INVAL);
    host_start(&h);
    const char *answer = host_ask(&h, "GET /app.js" CLOSE);
    assert_has(answer, "HTTP/1.1 200 OK\r\n");
    assert_has(answer, "Content-Type: text/javascript; charset=utf-8\r\n");
    assert_has(answer, "X-Content-Type-Options: nosniff\r\n");
    assert_has(answer, "Content-Security-Policy: default-src 'self'\r\n");
    assert_has(answer, "Content-Length: 5\r\n");
    assert_string_equal(host_heard_body(&h), "let a");
    const char *etag = strstr(answer, "ETag: \"");
    assert_non_null(etag);
    char tag[40], request[300];
    snprintf(tag, sizeof tag, "%.18s", etag + 6);
    assert_int_equal(tag[17], '"');

    static const struct {
        const char *format, *status;
    } conditions[] = {
        { "%s", "304" },
        { "\"other\", %s", "304" },
        { "W/%s", "304" },
        { "*", "304" },
        { "\"other\"", "200" },
        { "%s-not", "200" },
    };
    for (size_t i = 0; i < LN_COUNT(conditions); i++) {
        char value[100];
        const char *hole = strstr(conditions[i].format, "%s");
        if (hole)
            snprintf(value, sizeof value, "%.*s%s%s", (int)(hole - conditions[i].format),
                conditions[i].format, tag, hole + 2);
        else
            snprintf(value, sizeof value, "%s", conditions[i].format);
        snprintf(request, sizeof request,
            "GET /app.js HTTP/1.1\r\nHost: h\r\nConnection: close\r\nIf-None-Match: %s\r\n\r\n",
            value);
        answer = host_ask(&h, request);
        if (strncmp(answer + 9, conditions[i].status, 3) != 0) fail_msg("%s: %s", value, answer);
        if (conditions[i].status[0] == '3') {
            assert_string_equal(host_heard_body(&h), "");
            assert_has(answer, tag);
        }
    }
    answer = host_ask(&h, "HEAD /app.js" CLOSE);
    assert_has(answer, "Content-Length: 5\r\n");
    assert_string_equal(host_heard_body(&h), "");
    assert_has(host_ask(&h, "POST /app.js" CLOSE), "\r\nAllow: GET, HEAD\r\n");
    assert_has(host_ask(&h, "GET /data" CLOSE), "Content-Type: application/octet-stream\r\n");
    assert_has(host_ask(&h, "GET /style.css" CLOSE), "Content-Length: 0\r\n");
    assert_has(host_ask(&h, "GET /odd.css" CLOSE), "Content-Type: text/odd\r\n");
    assert_has(host_ask(&h, "GET /" CLOSE), "<p>root");
    answer = host_ask(&h, "GET /dir/" CLOSE);
    assert_has(answer, "<p>dir");
    assert_has(answer, "Content-Type: text/html; charset=utf-8\r\n");
    answer = host_ask(&h, "GET /dir?x=y" CLOSE);
    assert_has(answer, "HTTP/1.1 308 ");
    assert_has(answer, "Location: /dir/");
    assert_has(host_ask(&h, "GET /dir/x" CLOSE), "HTTP/1.1 404 ");
    host_free(&h);
}

/* ---- upgrades -----------------------------------------------------------------------------------
 */

static linnet_verdict asks(linnet_upgrade *u, void *user) {
    host *h = user;
    char peer[64];
    linnet_upgrade_peer(u, peer);
    assert_ptr_equal(linnet_upgrade_loop(u), h->loop);
    assert_false(linnet_upgrade_tls(u));
    host_say(h, "%s %s q=%s p=%s x=%s %s offered %s,%s,%s", text_of(linnet_upgrade_path(u)),
        text_of(linnet_upgrade_target(u)), text_of(linnet_upgrade_query(u, "q")),
        text_of(linnet_upgrade_query(u, "p")), text_of(linnet_upgrade_header(u, "x-a", 0)), peer,
        text_of(linnet_upgrade_offered(u, 0)), text_of(linnet_upgrade_offered(u, 1)),
        text_of(linnet_upgrade_offered(u, 2)));
    linnet_slice verdict = linnet_upgrade_query(u, "v");
    assert_int_equal(linnet_upgrade_add_header(u, "X-Extra", "yes"), LINNET_OK);
    assert_int_equal(linnet_upgrade_add_header(u, "Sec-WebSocket-Accept", "x"), LINNET_ERR_INVAL);
    assert_int_equal(linnet_upgrade_add_header(u, "X", "a\nb"), LINNET_ERR_INVAL);
    switch (verdict.size ? verdict.data[0] : 0) {
    case 'a': return LINNET_ACCEPT;
    case 'r': return LINNET_REJECT;
    case 't':
        assert_int_equal(linnet_upgrade_reject(u, 200, "no"), LINNET_ERR_INVAL);
        assert_int_equal(linnet_upgrade_reject(u, 429, "first"), LINNET_OK);
        assert_int_equal(linnet_upgrade_reject(u, 418, "second"), LINNET_OK);
        return LINNET_ACCEPT;
    case 'p':
        assert_int_equal(linnet_upgrade_accept(u, h, "three"), LINNET_ERR_UPGRADE_PROTOCOL);
        assert_int_equal(linnet_upgrade_accept(u, h, "two"), LINNET_OK);
        return LINNET_ACCEPT;
    case 'n':
        assert_int_equal(linnet_upgrade_accept(u, h, ""), LINNET_OK);
        return LINNET_DEFER; /* said and done already */
    default: h->id = linnet_upgrade_id(u); return LINNET_DEFER;
    }
}

#define FIELDS "Sec-WebSocket-Protocol: one, two\r\nX-A: b\r\n"

/* Asks for an upgrade and hangs up when it has its answer. */
static const char *upgrade(host *h, const char *request) {
    int fd = host_visit(h, linnet_str(request));
    for (int i = 0; i < 500 && !strstr(h->heard, "\r\n\r\n"); i++) {
        host_turn(h, 1);
        host_hear(h, fd);
    }
    host_turn(h, 2);
    host_hear(h, fd);
    close(fd);
    host_turn(h, 3);
    return h->heard;
}

static void upgrades(host *h) {
    static const char *const protocols[] = { "two", "one", NULL };
    host_open(h);
    linnet_ws_route ws = host_route(h);
    ws.on_upgrade = asks;
    ws.subprotocols = protocols;
    assert_int_equal(linnet_server_ws(h->server, "/u/*", &ws), LINNET_OK);
    host_start(h);
}

static void test_upgrades(void **state) {
    (void)state;
    host h;
    upgrades(&h);
    const char *answer = upgrade(&h, UPGRADE("/u/%41b?q=%20x&v=a", FIELDS));
    assert_has(answer, "HTTP/1.1 101 ");
    assert_has(answer, "X-Extra: yes\r\n");
    assert_has(answer, "Sec-WebSocket-Protocol: one\r\n"); /* the client's first that we know */
    assert_has(answer, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
    host_said(&h, "/u/Ab /u/%41b?q=%20x&v=a q= x p=(null) x=b unix offered one,two,(null)|"
                  "s:open|s:close 1006 RESET");
    answer = upgrade(&h, UPGRADE("/u/?v=p", FIELDS));
    assert_has(answer, "Sec-WebSocket-Protocol: two\r\n");
    answer = upgrade(&h, UPGRADE("/u/?v=n", FIELDS));
    assert_has(answer, "HTTP/1.1 101 ");
    assert_lacks(answer, "Sec-WebSocket-Protocol");
    answer = upgrade(&h, UPGRADE("/u/?v=r", FIELDS));
    assert_has(answer, "HTTP/1.1 403 Forbidden\r\n");
    assert_has(answer, "X-Extra: yes\r\n");
    answer = upgrade(&h, UPGRADE("/u/?v=t", FIELDS));
    assert_has(answer, "HTTP/1.1 418 ");
    assert_has(answer, "\r\n\r\nsecond");
    h.said[0] = 0;
    host_free(&h);
}

static void test_deferred(void **state) {
    (void)state;
    host h;
    for (int kind = 0; kind < 5; kind++) {
        upgrades(&h);
        int fd = host_visit(&h, linnet_str(UPGRADE("/u/", FIELDS) "\x81"));
        host_await(&h, "/u/");
        h.said[0] = 0;
        host_turn(&h, 3);
        assert_int_equal(write(fd, "\x84\0\0\0\0late", 9), 9); /* while we think */
        host_turn(&h, 3);
        linnet_conn_id id = h.id;
        assert_int_equal(linnet_server_reject(h.server, id, 200, NULL), LINNET_ERR_INVAL);
        assert_int_equal(linnet_server_accept(h.server, id, &h, "t\nwo"), LINNET_ERR_INVAL);
        assert_int_equal(
            linnet_server_answer(h.server, id, 200, NULL, linnet_str("")), LINNET_ERR_NOT_FOUND);
        int err;
        switch (kind) {
        case 0: err = linnet_server_accept(h.server, id, &h, NULL); break;
        case 1: err = linnet_server_accept(h.server, id, &h, "two"); break;
        case 2: err = linnet_server_accept(h.server, id, &h, "three"); break; /* not offered */
        case 3: err = linnet_server_reject(h.server, id, 302, ""); break;
        default: err = linnet_server_reject(h.server, id, 401, "who?");
        }
        assert_int_equal(err, LINNET_OK);
        /* twice: the first counts, and the second is told */
        assert_int_equal(linnet_server_accept(h.server, id, &h, NULL), LINNET_ERR_NOT_FOUND);
        assert_int_equal(linnet_server_reject(h.server, id, 401, NULL), LINNET_ERR_NOT_FOUND);
        for (int i = 0; i < 500 && !strstr(h.heard, "\r\n\r\n"); i++) {
            host_turn(&h, 1);
            host_hear(&h, fd);
        }
        host_turn(&h, 5);
        if (kind < 3) {
            assert_has(h.heard, "HTTP/1.1 101 ");
            host_said(&h, "s:open|s:text late");
        } else {
            assert_has(h.heard, kind == 3 ? "HTTP/1.1 302 Found\r\n" : "\r\n\r\nwho?");
            host_said(&h, "");
        }
        if (kind == 2) assert_lacks(h.heard, "Sec-WebSocket-Protocol");
        close(fd);
        host_free(&h);
    }
}

/* Browsers say where they come from. */
static void test_origins(void **state) {
    (void)state;
    static const char *const some[] = { "https://good.example", NULL }, *const any[] = { "*",
        NULL };
    static const struct {
        const char *path, *origin, *status;
    } rows[] = {
        { "/std", "", "101" },
        { "/std", "Origin: http://h\r\n", "101" },
        { "/std", "Origin: http://evil.example\r\n", "403" },
        { "/std", "Origin: null\r\n", "403" },
        { "/some", "Origin: https://good.example\r\n", "101" },
        { "/some", "Origin: https://good.example.evil\r\n", "403" },
        { "/some", "Origin: http://good.example\r\n", "403" },
        { "/any", "Origin: http://evil.example\r\n", "101" },
    };
    host h;
    host_open(&h);
    linnet_ws_route ws = host_route(&h);
    assert_int_equal(linnet_server_ws(h.server, "/std", &ws), LINNET_OK);
    ws.origins = some;
    assert_int_equal(linnet_server_ws(h.server, "/some", &ws), LINNET_OK);
    ws.origins = any;
    assert_int_equal(linnet_server_ws(h.server, "/any", &ws), LINNET_OK);
    host_start(&h);
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        char request[600];
        snprintf(request, sizeof request,
            "GET %s HTTP/1.1\r\nHost: h:80\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
            rows[i].path, rows[i].origin);
        const char *answer = upgrade(&h, request);
        if (strncmp(answer + 9, rows[i].status, 3) != 0)
            fail_msg("%s %s: %.30s", rows[i].path, rows[i].origin, answer);
    }
    host_free(&h);
}

/* Frames behind the head of an adopted socket, and a head that was only begun. */
static void test_adopted(void **state) {
    (void)state;
    host h;
    upgrades(&h);
    assert_int_equal(linnet_server_adopt(h.server, -1, linnet_str("")), LINNET_ERR_INVAL);
    int fd = host_visit(
        &h, (linnet_slice){ (const uint8_t *)UPGRADE("/u/?v=a", "") "\x81\x82\0\0\0\0hi",
                sizeof(UPGRADE("/u/?v=a", "") "\x81\x82\0\0\0\0hi") - 1 });
    host_await(&h, "s:text hi");
    close(fd);
    host_await(&h, "s:close");
    h.said[0] = 0;
    fd = host_visit(&h, linnet_str("GET /u/?v=a HTTP/1.1\r\nHos"));
    host_turn(&h, 3);
    static const char rest[] = "t: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Version: 13\r\n"
                               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_int_equal(write(fd, rest, sizeof rest - 1), sizeof rest - 1);
    host_await(&h, "s:open");
    close(fd);
    static uint8_t long_one[70000];
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(
        linnet_server_adopt(h.server, fds[0], (linnet_slice){ long_one, sizeof long_one }),
        LINNET_ERR_INVAL);
    linnet_server_stop(h.server, 0);
    assert_int_equal(linnet_server_adopt(h.server, fds[0], linnet_str("")), LINNET_ERR_STATE);
    close(fds[0]); /* still ours */
    close(fds[1]);
    host_free(&h);
}

/* ---- draining ----------------------------------------------------------------------------------
 */

static void test_drain(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_http_route r = LINNET_HTTP_ROUTE_INIT;
    r.handler = later;
    r.user = &h;
    assert_int_equal(linnet_server_http(h.server, "/later", &r), LINNET_OK);
    linnet_ws_route ws = host_route(&h);
    assert_int_equal(linnet_server_ws(h.server, "/ws", &ws), LINNET_OK);
    host_start(&h);
    host_dial(&h, "/ws");
    host_await(&h, "c:open");
    h.said[0] = 0;
    int fd = host_visit(&h, linnet_str("GET /later HTTP/1.1\r\nHost: h\r\n\r\n"));
    host_await(&h, "/later");
    h.said[0] = 0;
    assert_false(linnet_server_stopped(h.server));
    linnet_server_stop(h.server, 4444);
    host_await(&h, "s:close 4444 ");
    host_said(&h, "c:close 4444 |s:close 4444 ");
    host_turn(&h, 10);
    assert_false(linnet_server_stopped(h.server)); /* what is at work is answered first */
    assert_int_equal(
        linnet_server_answer(h.server, h.id, 200, NULL, linnet_str("done")), LINNET_OK);
    for (int i = 0; i < 500 && !h.ended; i++) {
        host_turn(&h, 1);
        host_hear(&h, fd);
    }
    assert_has(h.heard, "Connection: close\r\n");
    assert_string_equal(host_heard_body(&h), "done");
    close(fd);
    for (int i = 0; i < 500 && !linnet_server_stopped(h.server); i++)
        host_turn(&h, 1);
    assert_true(linnet_server_stopped(h.server));
    host_dial(&h, "/ws"); /* nobody listens any more */
    host_await(&h, "fail CONNECT 0");
    host_free(&h);

    host_open(&h); /* a second stop ends it now */
    ws = host_route(&h);
    assert_int_equal(linnet_server_ws(h.server, "/ws", &ws), LINNET_OK);
    host_start(&h);
    host_dial(&h, "/ws");
    host_await(&h, "c:open");
    linnet_conn_pause(h.dialled);
    linnet_server_stop(h.server, 0);
    host_turn(&h, 5);
    assert_false(linnet_server_stopped(h.server));
    linnet_server_stop(h.server, 0);
    host_turn(&h, 5);
    assert_true(linnet_server_stopped(h.server));
    assert_has(h.said, "s:close 1006 ");
    host_free(&h);

    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT; /* and so does its time */
    o.drain_ms = 30;
    host_open_with(&h, &o);
    ws = host_route(&h);
    assert_int_equal(linnet_server_ws(h.server, "/ws", &ws), LINNET_OK);
    host_start(&h);
    host_dial(&h, "/ws");
    host_await(&h, "c:open");
    linnet_conn_pause(h.dialled);
    linnet_server_stop(h.server, 0);
    host_await(&h, "s:close 1006 ");
    for (int i = 0; i < 100 && !linnet_server_stopped(h.server); i++)
        host_turn(&h, 1);
    assert_true(linnet_server_stopped(h.server));
    host_free(&h);
}

/* Over the number of connections strangers get a 503, and then the door is closed to them. */
static void test_too_many(void **state) {
    (void)state;
    host h;
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    o.connections_max = 3;
    o.server_name = "small";
    host_open_with(&h, &o);
    declare(&h, "/", "GET", "root", LINNET_OK);
    host_start(&h);
    int fds[3];
    for (int i = 0; i < 3; i++)
        fds[i] = host_visit(&h, linnet_str("GET"));
    host_turn(&h, 3);
    const char *answer = host_ask(&h, "GET /" CLOSE);
    assert_has(answer, "HTTP/1.1 503 ");
    assert_has(answer, "Retry-After: 5\r\n");
    close(fds[0]);
    host_turn(&h, 3);
    answer = host_ask(&h, "GET /" CLOSE);
    assert_has(answer, "HTTP/1.1 200 OK\r\n");
    assert_has(answer, "Server: small\r\n");
    close(fds[1]);
    close(fds[2]);
    host_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_answered_later),
        cmocka_unit_test(test_answers_are_exempt),
        cmocka_unit_test(test_forgotten),
        cmocka_unit_test(test_assets),
        cmocka_unit_test(test_upgrades),
        cmocka_unit_test(test_deferred),
        cmocka_unit_test(test_a_stream_whose_reader_goes),
        cmocka_unit_test(test_answered_after_all),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_adopted),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
