/* Hosts that call what they should not, or where they should not: errors, and nobody else is
 * harmed. */
#include "lib/lib_test.h"
#include <fcntl.h>
#include <netinet/in.h>

#define HEAD(more) "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" more "\r\n"

static void pong(linnet_request *r, void *user) {
    (void)user;
    (void)linnet_request_answer(r, 200, NULL, linnet_str("pong"));
}

static void canary(host *h) {
    linnet_http_route r = LINNET_HTTP_ROUTE_INIT;
    r.handler = pong;
    assert_int_equal(linnet_server_http(h->server, "/", &r), LINNET_OK);
}

/* ---- sockets from elsewhere ------------------------------------------------------------------ */

static int pipe_end(void) {
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    close(fds[1]);
    return fds[0];
}

static int file(void) {
    return open("/dev/null", O_RDWR);
}

static int directory(void) {
    return open("/", O_RDONLY);
}

static int udp(void) {
    return socket(AF_INET, SOCK_DGRAM, 0);
}

static int listening(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static int unconnected(void) {
    return socket(AF_INET, SOCK_STREAM, 0);
}

static int seqpacket(void) {
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    close(fds[0]);
    return fds[1];
}

static int closed_descriptor(void) {
    return 1000;
}

static void test_adopting(void **state) {
    (void)state;
    static const struct {
        const char *why;
        int (*make)(void);
        int expected;
    } rows[] = {
        { "a pipe", pipe_end, LINNET_ERR_INVAL },
        { "a file", file, LINNET_ERR_INVAL },
        { "a directory", directory, LINNET_ERR_INVAL },
        { "datagrams", udp, LINNET_ERR_INVAL },
        { "packets", seqpacket, LINNET_ERR_INVAL },
        { "a listener", listening, LINNET_ERR_INVAL },
        { "closed already", closed_descriptor, LINNET_ERR_INVAL },
        { "not connected: it ends at once", unconnected, LINNET_OK },
    };
    host h;
    host_open(&h);
    canary(&h);
    assert_int_equal(linnet_server_adopt(h.server, 0, linnet_str("")), LINNET_ERR_STATE);
    host_start(&h);
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        int fd = rows[i].make();
        int err = linnet_server_adopt(h.server, fd, linnet_str(HEAD("")));
        if (err != rows[i].expected) fail_msg("%s: %s", rows[i].why, linnet_errname(err));
        host_turn(&h, 5);
        if (err < 0 && fd != 1000) assert_int_equal(close(fd), 0); /* not taken */
        if (err == LINNET_OK) assert_int_equal(fcntl(fd, F_GETFD), -1);
        assert_has(host_ask(&h, HEAD("")), "pong");
    }
    assert_int_equal(linnet_server_connections(h.server), 0);
    host_free(&h);
}

static void test_listening_on(void **state) {
    (void)state;
    static const struct {
        const char *why;
        int (*make)(void);
        int expected;
    } rows[] = {
        { "a pipe", pipe_end, LINNET_ERR_INVAL },
        { "a file", file, LINNET_ERR_INVAL },
        { "datagrams", udp, LINNET_ERR_INVAL },
        { "packets", seqpacket, LINNET_ERR_INVAL },
        { "a socket that does not listen", unconnected, LINNET_ERR_INVAL },
        { "closed already", closed_descriptor, LINNET_ERR_INVAL },
        { "a listener", listening, LINNET_OK },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        host h;
        host_open(&h);
        int fd = rows[i].make();
        int err = linnet_server_listen_fd(h.server, fd, NULL);
        if (err != rows[i].expected) fail_msg("%s: %s", rows[i].why, linnet_errname(err));
        if (err < 0) assert_true(*linnet_server_error(h.server));
        if (err < 0 && fd != 1000) assert_int_equal(close(fd), 0);
        assert_int_equal(linnet_server_start(h.server), LINNET_OK);
        host_turn(&h, 3);
        host_free(&h);
    }
}

/* ---- addresses ---------------------------------------------------------------------------------
 */

static void test_addresses(void **state) {
    (void)state;
    static char path_max[5 + 107 + 1 + 20], path_over[5 + 108 + 1], long_host[5000];
    snprintf(path_max, sizeof path_max, "unix:/tmp/ln-%0100d", (int)getpid());
    path_max[5 + 107] = 0;
    memset(path_over, 'x', sizeof path_over - 1);
    memcpy(path_over, "unix:/tmp/", 10);
    memset(long_host, '1', sizeof long_host - 1);
    memcpy(long_host + sizeof long_host - 4, ":80", 3);
    const struct {
        const char *address;
        int expected;
    } rows[] = {
        { NULL, LINNET_ERR_URL },
        { "", LINNET_ERR_URL },
        { ":", LINNET_ERR_URL },
        { "80", LINNET_ERR_URL },
        { "127.0.0.1", LINNET_ERR_URL },
        { "127.0.0.1:", LINNET_ERR_URL },
        { "127.0.0.1:65536", LINNET_ERR_URL },
        { "127.0.0.1:-1", LINNET_ERR_URL },
        { "127.0.0.1:8 0", LINNET_ERR_URL },
        { "127.0.0.1:80\r\n", LINNET_ERR_URL },
        { "127.1:0", LINNET_ERR_URL },
        { "example.org:80", LINNET_ERR_URL },
        { "[::1:80", LINNET_ERR_URL },
        { "[]:80", LINNET_ERR_URL },
        { "[::1%lo]:0", LINNET_ERR_URL },
        { "[0000:0000:0000:0000:0000:0000:255.255.255.2555]:0", LINNET_ERR_URL },
        { "[1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19:20:21:22:23:24:25:26]:0",
            LINNET_ERR_URL },
        { long_host, LINNET_ERR_URL },
        { "unix:", LINNET_ERR_URL },
        { path_over, LINNET_ERR_URL },
        { "unix:/nowhere/at/all", LINNET_ERR_SYS },
        { "unix:/tmp", LINNET_ERR_EXISTS },
        { "203.0.113.7:0", LINNET_ERR_SYS }, /* not ours */
        { path_max, LINNET_OK },
        { path_max, LINNET_ERR_EXISTS },
        { "localhost:0", LINNET_OK },
        { ":0", LINNET_OK },
    };
    host h;
    host_open(&h);
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        int err = linnet_server_listen(h.server, rows[i].address, NULL, h.bound);
        if (err != rows[i].expected)
            fail_msg(
                "\"%.60s\": %s", rows[i].address ? rows[i].address : "NULL", linnet_errname(err));
        if (err == LINNET_OK && strncmp(h.bound, "unix:", 5) == 0)
            assert_string_equal(h.bound, path_max);
        if (err < 0) assert_true(*linnet_server_error(h.server));
    }
    assert_int_equal(linnet_server_listen(h.server, h.bound, NULL, NULL), LINNET_ERR_EXISTS);
    host_free(&h);
    assert_int_equal(access(path_max + 5, F_OK), -1);
    host_open(&h);
    int err = LINNET_OK;
    for (int i = 0; i < 100 && err == LINNET_OK; i++)
        err = linnet_server_listen(h.server, ":0", NULL, NULL);
    assert_int_equal(err, LINNET_ERR_LIMIT);
    host_free(&h);
}

static void test_urls(void **state) {
    (void)state;
    static char long_path[120], long_name[400], long_url[70000];
    memset(long_path, 'p', sizeof long_path - 1);
    memset(long_name, 'n', sizeof long_name - 1);
    memcpy(long_name, "ws://", 5);
    memset(long_url, 'u', sizeof long_url - 1);
    memcpy(long_url, "ws://127.0.0.1:1/", 17);
    static const char *const bad_urls[] = { "", "/", "ws://", "ws:///", "ws://:80/", "h:1",
        "http://127.0.0.1/", "ws://127.0.0.1:0x50/", "ws://127.0.0.1:99999/", "ws://a b/",
        "ws://127.0.0.1/a b", "ws://127.0.0.1/\r\nX: y", "ws://127.0.0.1/#f", "ws://@127.0.0.1/",
        "ws://[::1/", "ws://127.0.0.1/\xff", "ws://127.0.0.1\\a", "ws://127.0.0.1/%zz", long_name };
    static const char *const bad_headers[] = { "no colon", "", ":", ": value", "a b: c",
        "X: a\r\nY: b", "X: a\nb", "X\r\nY: b", "Host: other", "Connection: close", "Upgrade: h2c",
        "Sec-WebSocket-Key: x", "sec-websocket-extensions: x", "Content-Length: 5",
        "Transfer-Encoding: chunked", "X: \x01" };
    static const char *const bad_protocols[] = { "", "a b", "a,b", "a\r\nb", "\xff" };
    host h;
    host_open(&h);
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    o.on_fail = host_on_fail;
    o.user = &h;
    linnet_conn_id id;
    for (size_t i = 0; i < LN_COUNT(bad_urls); i++) {
        o.url = bad_urls[i];
        int err = linnet_client_dial(h.loop, &o, &id);
        if (err != LINNET_ERR_URL) fail_msg("\"%.60s\": %s", o.url, linnet_errname(err));
    }
    o.url = "ws://127.0.0.1:1/";
    for (size_t i = 0; i < LN_COUNT(bad_headers); i++) {
        const char *const headers[] = { bad_headers[i], NULL };
        o.headers = headers;
        int err = linnet_client_dial(h.loop, &o, &id);
        if (err != LINNET_ERR_INVAL) fail_msg("\"%s\": %s", bad_headers[i], linnet_errname(err));
    }
    o.headers = NULL;
    for (size_t i = 0; i < LN_COUNT(bad_protocols); i++) {
        const char *const protocols[] = { "good", bad_protocols[i], NULL };
        o.subprotocols = protocols;
        int err = linnet_client_dial(h.loop, &o, &id);
        if (err != LINNET_ERR_INVAL) fail_msg("\"%s\": %s", bad_protocols[i], linnet_errname(err));
    }
    const char *const twice[] = { "one", "one", NULL };
    o.subprotocols = twice;
    assert_int_equal(linnet_client_dial(h.loop, &o, &id), LINNET_ERR_INVAL);
    static const char *many[400];
    for (size_t i = 0; i < LN_COUNT(many) - 1; i++)
        many[i] = "x: y";
    o.headers = many;
    o.subprotocols = NULL;
    assert_int_equal(linnet_client_dial(h.loop, &o, &id), LINNET_ERR_INVAL);
    o.headers = NULL;
    o.unix_path = long_path;
    assert_int_equal(linnet_client_dial(h.loop, &o, &id), LINNET_ERR_INVAL);
    o.unix_path = NULL;
    o.source_address = "here";
    assert_int_equal(linnet_client_dial(h.loop, &o, &id), LINNET_ERR_INVAL);
    o.source_address = NULL;
    o.tls_ca_file = "/nowhere";
    o.url = "wss://127.0.0.1:1/";
    assert_int_equal(linnet_client_dial(h.loop, &o, &id), LINNET_ERR_TLS);
    assert_int_equal(linnet_client_dial(NULL, &o, &id), LINNET_ERR_INVAL);
    assert_int_equal(linnet_client_dial(h.loop, NULL, &id), LINNET_ERR_INVAL);
    assert_int_equal(linnet_loop_connections(h.loop), 0);
    assert_string_equal(h.said, ""); /* nothing was begun */
    o.tls_ca_file = NULL;
    o.url = long_url;
    int err = linnet_client_dial(h.loop, &o, &id); /* either says no, or fails to connect */
    if (err < 0) assert_true(err == LINNET_ERR_URL || err == LINNET_ERR_INVAL);
    o.url = "ws://[::1]:1/";
    o.source_address = "127.0.0.2"; /* another family */
    assert_int_equal(linnet_client_dial(h.loop, &o, &id), LINNET_OK);
    host_await(&h, "fail");
    host_free(&h);
}

/* ---- words for the wire -------------------------------------------------------------------------
 */

static void injects(linnet_request *r, void *user) {
    linnet_slice x = linnet_str("x");
    static const char *const bad[] = { "a\r\nb: c", "a\nb", "a\rb", "\x01", "\x7f" };
    (void)user;
    for (size_t i = 0; i < LN_COUNT(bad); i++) {
        assert_int_equal(linnet_request_add_header(r, "X", bad[i]), LINNET_ERR_INVAL);
        assert_int_equal(linnet_request_add_header(r, bad[i], "x"), LINNET_ERR_INVAL);
        assert_int_equal(linnet_request_answer(r, 200, bad[i], x), LINNET_ERR_INVAL);
        assert_int_equal(linnet_request_begin(r, 200, bad[i]), LINNET_ERR_INVAL);
    }
    assert_int_equal(linnet_request_add_header(r, NULL, NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_request_add_header(r, "X", NULL), LINNET_OK); /* empty */
    assert_int_equal(linnet_request_add_header(r, "content-length", "3"), LINNET_ERR_INVAL);
    assert_int_equal(linnet_request_add_header(r, "Sec-WebSocket-Foo", "3"), LINNET_ERR_INVAL);
    static char large[9000];
    memset(large, 'l', sizeof large - 1);
    assert_int_equal(linnet_request_add_header(r, "X", large), LINNET_ERR_TOO_BIG);
    assert_int_equal(linnet_request_begin(r, 204, NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_request_answer(r, 199, NULL, x), LINNET_ERR_INVAL);
    assert_int_equal(linnet_request_answer(r, 600, NULL, x), LINNET_ERR_INVAL);
    assert_int_equal(linnet_request_write(r, x), LINNET_ERR_STATE);
    assert_int_equal(linnet_request_end(r), LINNET_ERR_STATE);
    assert_int_equal(linnet_request_header(r, NULL, 0).size, 0);
    assert_int_equal(linnet_request_header(r, "host", UINT32_MAX).size, 0);
    assert_int_equal(linnet_request_query(r, NULL).size, 0);
    assert_int_equal(linnet_request_body(r).size, 0);
    assert_int_equal(linnet_request_answer(r, 200, "", linnet_str("whole")), LINNET_OK);
    assert_int_equal(linnet_request_answer(r, 200, NULL, x), LINNET_ERR_STATE);
    assert_int_equal(linnet_request_add_header(r, "X", "y"), LINNET_ERR_STATE);
}

static linnet_verdict injects_too(linnet_upgrade *u, void *user) {
    (void)user;
    assert_int_equal(linnet_upgrade_add_header(u, "X", "a\r\nb: c"), LINNET_ERR_INVAL);
    assert_int_equal(linnet_upgrade_add_header(u, "Upgrade", "x"), LINNET_ERR_INVAL);
    assert_int_equal(linnet_upgrade_add_header(u, NULL, "x"), LINNET_ERR_INVAL);
    assert_int_equal(linnet_upgrade_accept(u, NULL, "a\r\nb"), LINNET_ERR_UPGRADE_PROTOCOL);
    assert_int_equal(linnet_upgrade_reject(u, 101, "x"), LINNET_ERR_INVAL);
    assert_int_equal(linnet_upgrade_reject(u, 600, "x"), LINNET_ERR_INVAL);
    assert_int_equal(linnet_upgrade_offered(u, UINT32_MAX).size, 0);
    assert_int_equal(linnet_upgrade_header(u, NULL, 0).size, 0);
    assert_int_equal(linnet_upgrade_query(u, NULL).size, 0);
    assert_int_equal(linnet_upgrade_reject(u, 403, "a\r\nX-Y: b\r\n\r\n"), LINNET_OK);
    return (linnet_verdict)77;
}

#define UPGRADE                                                                                    \
    "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                 \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

static void test_injection(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_http_route r = LINNET_HTTP_ROUTE_INIT;
    r.handler = injects;
    assert_int_equal(linnet_server_http(h.server, "/", &r), LINNET_OK);
    linnet_ws_route ws = LINNET_WS_ROUTE_INIT;
    ws.on_upgrade = injects_too;
    assert_int_equal(linnet_server_ws(h.server, "/ws", &ws), LINNET_OK);
    host_start(&h);
    const char *answer = host_ask(&h, HEAD(""));
    assert_has(answer, "\r\n\r\nwhole");
    assert_lacks(answer, "b: c");
    answer = host_ask(&h, UPGRADE);
    assert_has(answer, "HTTP/1.1 403 ");
    assert_has(answer, "Content-Length: 13\r\n"); /* the body is a body */
    host_free(&h);
}

static void test_options_for_the_wire(void **state) {
    (void)state;
    static const char *const bad[] = { "a\r\nX: y", "a\nb", "\x01" };
    for (size_t i = 0; i < LN_COUNT(bad); i++) {
        linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
        linnet_server *s;
        o.workers = 1;
        o.server_name = bad[i];
        assert_int_equal(linnet_server_new(&o, &s), LINNET_ERR_INVAL);
    }
    host h;
    host_open(&h);
    linnet_ws_route ws = LINNET_WS_ROUTE_INIT;
    static const char *const protocols[] = { "a\r\nb", NULL };
    ws.subprotocols = protocols;
    assert_int_equal(linnet_server_ws(h.server, "/", &ws), LINNET_ERR_INVAL);
    static const char *const paths[] = { NULL, "", "x", "*", "/x*", "x/*", "http://h/" };
    ws.subprotocols = NULL;
    linnet_http_route http = LINNET_HTTP_ROUTE_INIT;
    http.handler = pong;
    for (size_t i = 0; i < LN_COUNT(paths); i++) {
        assert_int_equal(linnet_server_ws(h.server, paths[i], &ws), LINNET_ERR_INVAL);
        assert_int_equal(linnet_server_http(h.server, paths[i], &http), LINNET_ERR_INVAL);
    }
    assert_int_equal(linnet_server_ws(h.server, "/", NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_http(h.server, "/", NULL), LINNET_ERR_INVAL);
    static const char *const methods[] = { "", " ", "get", "GET,POST", "BREW" };
    for (size_t i = 0; i < LN_COUNT(methods); i++) {
        http.methods = methods[i];
        assert_int_equal(linnet_server_http(h.server, "/", &http), LINNET_ERR_INVAL);
    }
    const linnet_asset assets[] = { { "/a\r\nb", { NULL, 0 }, NULL }, { NULL, { NULL, 0 }, NULL },
        { "/x/*", { NULL, 0 }, NULL }, { "/a", { NULL, 0 }, "a\r\nb" } };
    for (size_t i = 0; i < LN_COUNT(assets); i++)
        assert_int_equal(linnet_server_assets(h.server, &assets[i], 1, NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_assets(h.server, assets, 0, "a\r\nb"), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_assets(h.server, NULL, 0, NULL), LINNET_OK);
    assert_int_equal(linnet_server_sni(h.server, "n", NULL, NULL), LINNET_ERR_STATE);
    host_free(&h);
}

/* ---- limits -------------------------------------------------------------------------------------
 */

static void test_limits_at_their_ends(void **state) {
    (void)state;
    static const struct {
        const char *why;
        size_t at; /* of a 32-bit limit */
        uint32_t value;
    } rows[] = {
#define ENDS(field)                                                                                \
    { #field " 1", offsetof(linnet_conn_limits, field), 1 },                                       \
        { #field " most", offsetof(linnet_conn_limits, field), UINT32_MAX - 1 },                   \
        { #field " off", offsetof(linnet_conn_limits, field), LINNET_OFF }
        ENDS(fragments_max), ENDS(queued_max), ENDS(queued_age_ms), ENDS(high_mark), ENDS(ping_ms),
        ENDS(pong_ms), ENDS(idle_ms), ENDS(message_ms), ENDS(close_ms), ENDS(control_per_s),
        ENDS(deflate_threshold)
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        host h;
        host_open(&h);
        linnet_ws_route route = host_route(&h);
        route.limits.deflate = LINNET_DEFLATE_TAKEOVER;
        memcpy((uint8_t *)&route.limits + rows[i].at, &rows[i].value, sizeof rows[i].value);
        int err = linnet_server_ws(h.server, "/ws", &route);
        if (err < 0) fail_msg("%s: %s", rows[i].why, linnet_errname(err));
        host_start(&h);
        char url[256];
        linnet_dial_options o = host_dialling(&h, url, "/ws");
        o.limits = route.limits;
        assert_int_equal(linnet_client_dial(h.loop, &o, NULL), LINNET_OK);
        host_await(&h, "c:open");
        if (h.dialled) (void)linnet_conn_send(h.dialled, LINNET_TEXT, linnet_str("m"));
        /* a millisecond may be over before it is there */
        for (int k = 0; k < 2000 && !strstr(h.said, "text m") && !strstr(h.said, "s:close"); k++)
            host_turn(&h, 1);
        if (!strstr(rows[i].why, "_ms 1")) assert_has(h.said, "s:text m");
        host_free(&h);
    }
}

static void test_wrong_limits(void **state) {
    (void)state;
    linnet_ws_options o = LINNET_WS_OPTIONS_INIT;
    linnet_ws *ws;
    o.limits.low_mark = 2000;
    o.limits.high_mark = 2000;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_INVAL);
    o.limits.low_mark = o.limits.high_mark = 0;
    o.limits.window_bits = 8;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_INVAL);
    o.limits.window_bits = 16;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_INVAL);
    o.limits.window_bits = 0;
    o.limits.deflate_level = 10;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_INVAL);
    o.limits.deflate_level = 0;
    o.limits.deflate = (linnet_deflate)3;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_INVAL);
    o.limits.deflate = LINNET_DEFLATE_OFF;
    o.limits.message_max = UINT64_MAX;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_INVAL);
}

static void test_server_times(void **state) {
    (void)state;
    static const uint32_t times[] = { LINNET_OFF, UINT32_MAX - 1 };
    for (size_t i = 0; i < LN_COUNT(times); i++) {
        linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
        o.head_ms = times[i];
        o.drain_ms = times[i];
        host h;
        host_open_with(&h, &o);
        canary(&h);
        host_start(&h);
        int fd = host_visit(&h, linnet_str("GET / HTTP/1.1\r\n"));
        host_turn(&h, 10);
        assert_int_equal(write(fd, "Host: h\r\n\r\n", 11), 11);
        for (int k = 0; k < 500 && !strstr(h.heard, "pong"); k++) {
            host_turn(&h, 1);
            host_hear(&h, fd);
        }
        assert_has(h.heard, "pong");
        close(fd);
        host_free(&h);
    }
}

/* ---- from callbacks -----------------------------------------------------------------------------
 */

typedef enum deed {
    CLOSE,
    FINISH,
    TERMINATE,
    STOP_SERVER,
    STOP_LOOP,
    TURN,
    RUN,
    CLOSE_BY_ID,
    EVERYTHING,
    DEEDS
} deed;

static const char *when;
static deed what;

static void act(host *h, linnet_conn *conn, const char *event) {
    if (strcmp(event, when) != 0) return;
    linnet_slice x = linnet_str("x");
    switch (what) {
    case CLOSE: (void)linnet_conn_close(conn, 4000, "bye"); break;
    case FINISH: (void)linnet_conn_finish(conn, 4000, "bye"); break;
    case TERMINATE: linnet_conn_terminate(conn); break;
    case STOP_SERVER: linnet_server_stop(h->server, 4001); break;
    case STOP_LOOP: linnet_loop_stop(h->loop); break;
    case TURN: assert_int_equal(linnet_loop_turn(h->loop, 0), LINNET_ERR_STATE); break;
    case RUN:
        linnet_loop_stop(h->loop);
        assert_int_equal(linnet_loop_run(h->loop), LINNET_ERR_STATE);
        break;
    case CLOSE_BY_ID:
        (void)linnet_loop_close(h->loop, linnet_conn_get_id(conn), 4000, "bye");
        break;
    default: break;
    }
    /* whatever was done: the connection answers until on_close has returned */
    (void)linnet_conn_send(conn, LINNET_TEXT, x);
    (void)linnet_conn_send_plain(conn, LINNET_BINARY, x);
    (void)linnet_conn_send_fragment(conn, LINNET_TEXT, true, x);
    (void)linnet_conn_ping(conn, x);
    (void)linnet_conn_buffered(conn);
    (void)linnet_conn_subprotocol(conn);
    char peer[64];
    (void)linnet_conn_peer(conn, peer);
    (void)linnet_conn_deflated(conn);
    (void)linnet_conn_tls(conn);
    (void)linnet_conn_subscribe(conn, x);
    (void)linnet_conn_publish(conn, x, LINNET_TEXT, x);
    (void)linnet_conn_unsubscribe(conn, x);
    linnet_conn_pause(conn);
    linnet_conn_resume(conn);
    if (what != EVERYTHING) return;
    (void)linnet_conn_close(conn, 4000, "bye");
    (void)linnet_conn_finish(conn, 4000, "bye");
    linnet_conn_terminate(conn);
    linnet_conn_terminate(conn);
    (void)linnet_conn_close(conn, 4000, "bye");
}

static void test_from_callbacks(void **state) {
    (void)state;
    static const char *const events[] = { "open", "message", "pong", "close", "drain" };
    static uint8_t large[300 * 1024];
    for (size_t e = 0; e < LN_COUNT(events); e++) {
        for (int d = 0; d < DEEDS; d++) {
            host h;
            host_open(&h);
            linnet_ws_route route = host_route(&h);
            route.limits.message_max = sizeof large;
            assert_int_equal(linnet_server_ws(h.server, "/ws", &route), LINNET_OK);
            canary(&h);
            host_start(&h);
            when = events[e];
            what = (deed)d;
            h.act = act;
            host_dial(&h, "/ws");
            for (int i = 0; i < 50 && !strstr(h.said, "c:open"); i++)
                host_turn(&h, 1);
            if (h.dialled) {
                (void)linnet_conn_ping(h.dialled, linnet_str("p"));
                (void)linnet_conn_send(h.dialled, LINNET_TEXT, linnet_str("m"));
                (void)linnet_conn_send(
                    h.dialled, LINNET_BINARY, (linnet_slice){ large, sizeof large });
                (void)linnet_conn_send(h.dialled, LINNET_TEXT, linnet_str("n"));
            }
            host_turn(&h, 6);
            if (h.dialled) (void)linnet_conn_close(h.dialled, 1000, "");
            host_turn(&h, 6);
            h.said[0] = 0;
            h.act = NULL;
            if (what != STOP_SERVER) assert_has(host_ask(&h, HEAD("")), "pong");
            if (what == STOP_LOOP || what == RUN) { /* and the stop is still there */
                host_turn(&h, 1);
                if (*h.said) assert_int_equal(linnet_loop_run(h.loop), LINNET_OK);
            }
            host_free(&h);
        }
    }
}

/* ---- requests -----------------------------------------------------------------------------------
 */

static void begins_and_forgets(linnet_request *r, void *user) {
    (void)user;
    assert_int_equal(linnet_request_begin(r, 200, NULL), LINNET_OK);
    assert_int_equal(linnet_request_write(r, linnet_str("half")), LINNET_OK);
}

static void kept(linnet_request *r, void *user) {
    host *h = user;
    h->id = linnet_request_id(r);
    host_say(h, "kept");
}

/* Begun, and nobody has the id by which it could be ended: the client does not wait for ever. */
static void test_a_stream_without_an_end(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_http_route r = LINNET_HTTP_ROUTE_INIT;
    r.handler = begins_and_forgets;
    assert_int_equal(linnet_server_http(h.server, "/", &r), LINNET_OK);
    host_start(&h);
    const char *answer = host_ask(&h, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_lacks(answer, "0\r\n\r\n"); /* and does not take it for whole */
    assert_int_equal(linnet_server_connections(h.server), 0);
    host_free(&h);
}

/* Closed by id while it waits for its answer. */
static void test_a_request_closed_by_id(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_http_route r = LINNET_HTTP_ROUTE_INIT;
    r.handler = kept;
    r.user = &h;
    assert_int_equal(linnet_server_http(h.server, "/", &r), LINNET_OK);
    host_start(&h);
    int fd = host_visit(&h, linnet_str("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    host_await(&h, "kept");
    assert_int_equal(linnet_server_send(h.server, h.id, LINNET_TEXT, linnet_str("x")), LINNET_OK);
    assert_int_equal(linnet_server_close(h.server, h.id, 1000, NULL), LINNET_OK);
    for (int i = 0; i < 500 && !h.ended; i++) {
        host_turn(&h, 1);
        host_hear(&h, fd);
    }
    assert_true(h.ended);
    (void)linnet_server_answer(h.server, h.id, 200, NULL, linnet_str("late"));
    host_turn(&h, 3);
    host_hear(&h, fd);
    assert_lacks(h.heard, "x");
    close(fd);
    for (int i = 0; i < 500 && linnet_server_connections(h.server); i++)
        host_turn(&h, 1);
    assert_int_equal(linnet_server_connections(h.server), 0);
    host_free(&h);
}

/* Every dial has an end, also when its loop has one. */
static void test_dials_without_a_loop(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_ws_route route = host_route(&h);
    assert_int_equal(linnet_server_ws(h.server, "/ws", &route), LINNET_OK);
    host_start(&h);
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    o.on_fail = host_on_fail;
    o.user = &h;
    o.url = "ws://localhost:1/";
    assert_int_equal(linnet_client_dial(h.loop, &o, NULL), LINNET_OK);
    o.url = "ws://127.0.0.1:1/";
    assert_int_equal(linnet_client_dial(h.loop, &o, NULL), LINNET_OK);
    host_dial(&h, "/ws");
    assert_int_equal(linnet_loop_close(h.loop, h.id, 999, NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_loop_close(h.loop, h.id, 0, NULL), LINNET_OK);
    host_turn(&h, 2);
    assert_has(h.said, "fail CANCELLED");
    host_dial(&h, "/ws");
    linnet_server_free(h.server);
    linnet_loop_free(h.loop);
    assert_int_equal(h.fails, 4);
}

/* ---- timers -------------------------------------------------------------------------------------
 */

static linnet_timer *timers[3];
static int fired;

static void frees_all(linnet_timer *timer, void *ctx) {
    (void)ctx;
    fired++;
    linnet_timer_set(timer, 0);
    for (size_t i = 0; i < LN_COUNT(timers); i++)
        linnet_timer_free(timers[i]); /* this one, and others that are due */
}

static void fires_on(linnet_timer *timer, void *ctx) {
    (void)ctx;
    fired++;
    linnet_timer_set(timer, 0);
}

static void test_timers_misused(void **state) {
    (void)state;
    host h;
    host_open(&h);
    canary(&h);
    host_start(&h);
    for (size_t i = 0; i < LN_COUNT(timers); i++) {
        assert_int_equal(linnet_timer_new(h.loop, frees_all, NULL, &timers[i]), LINNET_OK);
        linnet_timer_set(timers[i], 0);
    }
    host_turn(&h, 3);
    assert_int_equal(fired, 1);
    assert_int_equal(linnet_timer_new(h.loop, fires_on, NULL, &timers[0]), LINNET_OK);
    linnet_timer_set(timers[0], 0);
    assert_has(host_ask(&h, HEAD("")), "pong"); /* who fires for ever lets others live */
    assert_true(fired > 10);
    host_free(&h);
}

/* ---- without I/O
 * --------------------------------------------------------------------------------- */

static void test_sans_io(void **state) {
    (void)state;
    linnet_ws_options o = LINNET_WS_OPTIONS_INIT;
    linnet_ws *ws;
    linnet_ws_event ev;
    linnet_slice x = linnet_str("x");
    assert_int_equal(linnet_ws_new(NULL, &ws), LINNET_ERR_INVAL);
    assert_int_equal(linnet_ws_new(&o, NULL), LINNET_ERR_INVAL);
    o.client = true;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_INVAL); /* no URL */
    o.url = "ws://h/\r\nX: y";
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_URL);
    o.url = "ws://h/";
    static const char *const headers[] = { "X: a\r\nb: c", NULL };
    o.headers = headers;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_INVAL);
    o.headers = NULL;
    static const char *const protocols[] = { "a\r\nb", NULL };
    o.subprotocols = protocols;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_INVAL);
    o.client = false;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_INVAL); /* a server says them too */
    o.subprotocols = NULL;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_OK);
    assert_int_equal(linnet_ws_send(ws, LINNET_TEXT, x), LINNET_ERR_CLOSED);
    assert_int_equal(linnet_ws_close(ws, 1000, ""), LINNET_ERR_CLOSED);
    assert_int_equal(linnet_ws_accept(ws, NULL), LINNET_ERR_STATE);
    assert_int_equal(linnet_ws_reject(ws, 403, NULL), LINNET_ERR_STATE);
    assert_int_equal(linnet_ws_next(ws, &ev), 0);
    assert_int_equal(linnet_ws_feed(ws, linnet_str(UPGRADE)), LINNET_OK);
    assert_int_equal(linnet_ws_next(ws, &ev), 1);
    assert_int_equal(ev.kind, LINNET_WS_UPGRADE);
    assert_int_equal(linnet_ws_accept(ws, "a\r\nb"), LINNET_ERR_UPGRADE_PROTOCOL);
    assert_int_equal(linnet_ws_request_header(ws, NULL).size, 0);
    assert_int_equal(linnet_ws_accept(ws, NULL), LINNET_OK);
    assert_int_equal(linnet_ws_accept(ws, NULL), LINNET_ERR_STATE);
    assert_int_equal(linnet_ws_send(ws, (linnet_opcode)9, x), LINNET_ERR_INVAL);
    assert_int_equal(linnet_ws_send_fragment(ws, LINNET_CONTINUATION, true, x), LINNET_ERR_STATE);
    static char long_words[200];
    memset(long_words, 'w', sizeof long_words - 1);
    assert_int_equal(linnet_ws_ping(ws, linnet_str(long_words)), LINNET_ERR_INVAL);
    assert_int_equal(linnet_ws_close(ws, 1000, long_words), LINNET_ERR_INVAL);
    assert_int_equal(linnet_ws_close(ws, 1000, "\xff"), LINNET_ERR_INVAL);
    assert_int_equal(linnet_ws_close(ws, 1006, ""), LINNET_ERR_INVAL);
    assert_true(linnet_ws_pending(ws).size > 100);
    linnet_ws_sent(ws, SIZE_MAX); /* more than there was */
    assert_int_equal(linnet_ws_pending(ws).size, 0);
    assert_int_equal(linnet_ws_close(ws, 1000, NULL), LINNET_OK);
    assert_int_equal(linnet_ws_close(ws, 1000, NULL), LINNET_OK);
    assert_int_equal(linnet_ws_send(ws, LINNET_TEXT, x), LINNET_ERR_CLOSED);
    linnet_ws_free(ws);
    linnet_ws_free(NULL);
}

/* No bytes may come without memory. */
static void test_empty_slices(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_ws_route route = host_route(&h);
    route.limits.deflate = LINNET_DEFLATE_TAKEOVER;
    route.limits.deflate_threshold = LINNET_OFF;
    assert_int_equal(linnet_server_ws(h.server, "/ws", &route), LINNET_OK);
    host_start(&h);
    char url[256];
    linnet_dial_options o = host_dialling(&h, url, "/ws");
    o.limits = route.limits;
    assert_int_equal(linnet_client_dial(h.loop, &o, &h.id), LINNET_OK);
    host_await(&h, "c:open");
    h.said[0] = 0;
    linnet_slice none = { NULL, 0 }, topic = linnet_str("t");
    assert_int_equal(linnet_conn_subscribe(h.served, none), LINNET_ERR_INVAL);
    linnet_conn *both[] = { h.served, h.dialled };
    for (size_t i = 0; i < LN_COUNT(both); i++) {
        assert_int_equal(linnet_conn_send(both[i], LINNET_TEXT, none), LINNET_OK);
        assert_int_equal(linnet_conn_send_plain(both[i], LINNET_TEXT, none), LINNET_OK);
        assert_int_equal(linnet_conn_send_fragment(both[i], LINNET_TEXT, false, none), LINNET_OK);
        assert_int_equal(
            linnet_conn_send_fragment(both[i], LINNET_CONTINUATION, true, none), LINNET_OK);
        assert_int_equal(linnet_conn_ping(both[i], none), LINNET_OK);
        assert_int_equal(
            linnet_loop_send(h.loop, linnet_conn_get_id(both[i]), LINNET_BINARY, none), LINNET_OK);
    }
    assert_int_equal(linnet_conn_subscribe(h.served, topic), LINNET_OK);
    assert_int_equal(linnet_conn_publish(h.served, topic, LINNET_TEXT, none), LINNET_OK);
    assert_int_equal(linnet_server_publish(h.server, topic, LINNET_BINARY, none), LINNET_OK);
    for (int i = 0; i < 20; i++)
        host_turn(&h, 1);
    assert_has(h.said, "s:pong");
    assert_has(h.said, "c:pong");
    assert_has(h.said, "c:binary");
    host_free(&h);
    linnet_ws *ws;
    linnet_ws_options wo = LINNET_WS_OPTIONS_INIT;
    wo.upgraded = true;
    assert_int_equal(linnet_ws_new(&wo, &ws), LINNET_OK);
    assert_int_equal(linnet_ws_send(ws, LINNET_TEXT, none), LINNET_OK);
    assert_int_equal(linnet_ws_ping(ws, none), LINNET_OK);
    assert_int_equal(linnet_ws_feed(ws, none), LINNET_OK); /* the end */
    linnet_ws_event ev;
    assert_int_equal(linnet_ws_next(ws, &ev), 1); /* open */
    assert_int_equal(linnet_ws_next(ws, &ev), 1);
    assert_int_equal(ev.kind, LINNET_WS_CLOSED);
    assert_int_equal(ev.code, 1006);
    linnet_ws_free(ws);
}

static void test_names_to_ask(void **state) {
    (void)state;
    static const char *const servers[] = { "", "garbage", "127.0.0.1:99999", ",,,", "1.2.3.4 x" };
    for (size_t i = 0; i < LN_COUNT(servers); i++) {
        linnet_loop_options lo = LINNET_LOOP_OPTIONS_INIT;
        linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
        linnet_loop *loop;
        host h = { 0 };
        lo.dns_servers = servers[i];
        assert_int_equal(linnet_loop_new(&lo, &loop), LINNET_OK);
        o.url = "ws://nowhere.invalid/";
        o.on_fail = host_on_fail;
        o.user = &h;
        o.timeout_ms = 50;
        int err = linnet_client_dial(loop, &o, NULL);
        h.loop = loop;
        if (err == LINNET_OK) host_await(&h, "fail");
        linnet_loop_free(loop);
    }
}

static void test_nothing(void **state) {
    (void)state;
    linnet_server *s;
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    linnet_slice x = linnet_str("x");
    assert_int_equal(linnet_server_new(NULL, &s), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_new(&o, NULL), LINNET_ERR_INVAL);
    linnet_server_free(NULL);
    linnet_loop_free(NULL);
    linnet_hub_free(NULL);
    linnet_timer_free(NULL);
    assert_int_equal(linnet_hub_new(NULL, NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_hub(NULL, "/", NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_hub_publish(NULL, NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_hub_subscribe(NULL, x, NULL, NULL, NULL, NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_hub_unsubscribe(NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_timer_new(NULL, NULL, NULL, NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_str(NULL).size, 0);
    host h;
    host_open(&h);
    assert_int_equal(linnet_loop_post(h.loop, NULL, NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_publish(h.server, x, LINNET_TEXT, x), LINNET_ERR_STATE);
    assert_int_equal(linnet_server_join(h.server), LINNET_ERR_STATE);
    host_start(&h);
    assert_int_equal(linnet_server_ws(h.server, "/late", &(linnet_ws_route)LINNET_WS_ROUTE_INIT),
        LINNET_ERR_STATE);
    assert_int_equal(linnet_server_listen(h.server, ":0", NULL, NULL), LINNET_ERR_STATE);
    assert_int_equal(
        linnet_server_publish(h.server, linnet_str(""), LINNET_TEXT, x), LINNET_ERR_INVAL);
    assert_int_equal(
        linnet_server_publish(h.server, x, LINNET_TEXT, linnet_str("\xff")), LINNET_ERR_UTF8);
    assert_int_equal(linnet_server_publish(h.server, x, LINNET_CONTINUATION, x), LINNET_ERR_INVAL);
    host_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adopting),
        cmocka_unit_test(test_listening_on),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_injection),
        cmocka_unit_test(test_options_for_the_wire),
        cmocka_unit_test(test_limits_at_their_ends),
        cmocka_unit_test(test_wrong_limits),
        cmocka_unit_test(test_server_times),
        cmocka_unit_test(test_from_callbacks),
        cmocka_unit_test(test_a_stream_without_an_end),
        cmocka_unit_test(test_a_request_closed_by_id),
        cmocka_unit_test(test_dials_without_a_loop),
        cmocka_unit_test(test_timers_misused),
        cmocka_unit_test(test_sans_io),
        cmocka_unit_test(test_empty_slices),
        cmocka_unit_test(test_names_to_ask),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
