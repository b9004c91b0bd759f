/* Who is there, behind proxies that are trusted and others: for requests, upgrades and
 * connections, by PROXY header and by the fields of a head. */
#include "base/num.h"
#include "lib/lib_test.h"
#include <arpa/inet.h>
#include <netinet/in.h>

#define GET "GET /who HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
#define UPGRADE                                                                                    \
    "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                 \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define XFF "X-Forwarded-For: "
#define V2                                                                                         \
    "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x14\xc0\0\2\7\xc0\0\2\1\xc3\x50\1\xbb"                       \
    "\x20\x00\x05\x01\0\0\0\0"

static void on_who(linnet_request *r, void *user) {
    char peer[64];
    size_t n = linnet_request_peer(r, peer);
    assert_int_equal(n, strlen(peer));
    linnet_request_answer(r, 200, NULL, linnet_str(peer));
}

static linnet_verdict on_upgrade(linnet_upgrade *u, void *user) {
    char peer[64];
    size_t n = linnet_upgrade_peer(u, peer);
    assert_int_equal(n, strlen(peer));
    host_say(user, "%s %s", linnet_upgrade_tls(u) ? "wss" : "ws", peer);
    return LINNET_ACCEPT;
}

static void at_open(host *h, linnet_conn *conn, const char *event) {
    char peer[64];
    if (strcmp(event, "open") != 0) return;
    linnet_conn_peer(conn, peer);
    host_say(h, "%s %s", linnet_conn_tls(conn) ? "wss" : "ws", peer);
}

static uint32_t per_ip; /* of the test under way */

static void open_with(host *h, const char *const *proxies, linnet_client_field field) {
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    o.trusted_proxies = proxies;
    o.client_field = field;
    o.head_ms = 300;
    o.connections_per_ip = per_ip;
    host_open_with(h, &o);
    linnet_http_route who = LINNET_HTTP_ROUTE_INIT;
    who.handler = on_who;
    linnet_ws_route ws = host_route(h);
    ws.on_upgrade = on_upgrade;
    assert_int_equal(linnet_server_http(h->server, "/who", &who), LINNET_OK);
    assert_int_equal(linnet_server_ws(h->server, "/ws", &ws), LINNET_OK);
    h->act = at_open;
}

static int tcp(host *h) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    uint64_t port;
    assert_true(ln_num_u64(linnet_str(strrchr(h->bound, ':') + 1), 65535, &port));
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    h->heard_size = 0;
    h->heard[0] = 0;
    h->ended = false;
    return fd;
}

/* Everything up to the end of the connection. */
static void ask(host *h, const void *bytes, size_t size) {
    int fd = tcp(h);
    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
    uint64_t end = host_ms() + 10000;
    while (!h->ended && host_ms() < end) {
        assert_int_equal(linnet_loop_turn(h->loop, 5), LINNET_OK);
        struct timeval none = { 0, 1000 };
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
        ssize_t n = recv(fd, h->heard + h->heard_size, 4096, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) h->ended = true;
        if (n > 0) h->heard_size += (size_t)n;
        h->heard[h->heard_size] = 0;
    }
    assert_true(h->ended);
    close(fd);
    host_turn(h, 2);
}

static const char *const local[] = { "127.0.0.0/8", "10.0.0.0/8", NULL };
static const char *const others[] = { "10.0.0.0/8", NULL };
static const char *const by_unix[] = { "unix", "10.0.0.0/8", NULL };

static void requests(void **state) {
    static const struct {
        const char *reason;
        const char *const *proxies;
        linnet_client_field field;
        const char *lines, *who; /* who NULL: the socket's own */
    } rows[] = {
        { "nobody is trusted", NULL, LINNET_FIELD_X_FORWARDED_FOR, XFF "192.0.2.1\r\n", NULL },
        { "others are trusted", others, LINNET_FIELD_X_FORWARDED_FOR, XFF "192.0.2.1\r\n", NULL },
        { "trusted", local, LINNET_FIELD_X_FORWARDED_FOR, XFF "192.0.2.1\r\n", "192.0.2.1" },
        { "and says nothing", local, LINNET_FIELD_X_FORWARDED_FOR, "", NULL },
        { "and says nonsense", local, LINNET_FIELD_X_FORWARDED_FOR, XFF "192.0.2.256\r\n", NULL },
        { "two proxies", local, LINNET_FIELD_X_FORWARDED_FOR,
            XFF "198.51.100.1, 192.0.2.1, 10.1.1.1\r\n", "192.0.2.1" },
        { "IPv6", local, LINNET_FIELD_X_FORWARDED_FOR, XFF "2001:db8::1\r\n", "[2001:db8::1]" },
        { "the other field", local, LINNET_FIELD_FORWARDED,
            XFF "198.51.100.1\r\nForwarded: for=192.0.2.1\r\n", "192.0.2.1" },
        { "X-Real-IP", local, LINNET_FIELD_X_REAL_IP, "X-Real-IP: 192.0.2.1\r\n", "192.0.2.1" },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        host h;
        char request[500];
        open_with(&h, rows[i].proxies, rows[i].field);
        host_start(&h);
        int n = snprintf(request, sizeof request, GET "%s\r\n", rows[i].lines);
        ask(&h, request, (size_t)n);
        const char *who = host_heard_body(&h);
        bool right = rows[i].who ? strcmp(who, rows[i].who) == 0 : !strncmp(who, "127.0.0.1:", 10);
        if (!right) fail_msg("%s: %s", rows[i].reason, who);
        host_free(&h);
    }
}

/* Each request of a kept connection speaks for itself. */
static void one_connection_many_visitors(void **state) {
    host h;
    open_with(&h, local, LINNET_FIELD_X_FORWARDED_FOR);
    host_start(&h);
    static const char two[] = "GET /who HTTP/1.1\r\nHost: h\r\n" XFF "192.0.2.1\r\n\r\n" GET XFF
                              "192.0.2.2\r\n\r\n";
    ask(&h, two, sizeof two - 1);
    assert_has(h.heard, "\r\n\r\n192.0.2.1HTTP/1.1");
    assert_has(h.heard, "\r\n\r\n192.0.2.2");
    host_free(&h);
}

static void upgrades(void **state) {
    host h;
    open_with(&h, by_unix, LINNET_FIELD_X_FORWARDED_FOR);
    host_start(&h);
    int fd = host_visit(&h, linnet_str(UPGRADE XFF "192.0.2.1\r\nX-Forwarded-Proto: https\r\n"
                                                   "\r\n"));
    host_await(&h, "s:open|wss");
    assert_has(h.said, "wss 192.0.2.1|s:open|wss 192.0.2.1"); /* asked twice */
    close(fd);
    host_await(&h, "s:close");
    h.said[0] = 0;
    fd = host_visit(&h, linnet_str(UPGRADE "\r\n")); /* in the same slot, and nobody's guest */
    host_await(&h, "s:open");
    assert_has(h.said, "ws unix|s:open|ws unix");
    close(fd);
    host_await(&h, "s:close");
    host_free(&h);
}

/* "The same host" is what the browser sees, and a proxy on this machine makes nobody local. */
static void origins(void **state) {
    static const struct {
        const char *reason, *lines, *status;
    } rows[] = {
        { "plain, plain page", "Origin: http://h\r\n", "101" },
        { "TLS ends at the proxy",
            "Origin: https://h:8443\r\nX-Forwarded-Host: h:8443\r\n"
            "X-Forwarded-Proto: https\r\n",
            "101" },
        { "its name is the proxy's affair",
            "Origin: https://app.example\r\n"
            "X-Forwarded-Host: app.example\r\n"
            "X-Forwarded-Proto: https\r\n",
            "101" },
        { "another page", "Origin: https://evil.example\r\nX-Forwarded-Host: app.example\r\n",
            "403" },
        { "a page on the visitor's machine",
            "Origin: http://localhost:3000\r\n" XFF "192.0.2.1\r\n", "403" },
        { "a page on this machine", "Origin: http://localhost:3000\r\n" XFF "127.0.0.1\r\n",
            "101" },
        { "a page on this machine, directly", "Origin: http://localhost:3000\r\n", "101" },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        host h;
        char request[800];
        open_with(&h, local, LINNET_FIELD_X_FORWARDED_FOR);
        host_start(&h);
        /* A Close right behind it, so that the connection ends. */
        int n = snprintf(request, sizeof request, UPGRADE "%s\r\n", rows[i].lines);
        memcpy(request + n, "\x88\x80\0\0\0\0", 6);
        ask(&h, request, (size_t)n + 6);
        if (strncmp(h.heard + 9, rows[i].status, 3) != 0)
            fail_msg("%s: %.30s", rows[i].reason, h.heard);
        host_free(&h);
    }
}

/* Without trust the same fields open no door. */
static void lies(void **state) {
    host h;
    open_with(&h, NULL, LINNET_FIELD_X_FORWARDED_FOR);
    host_start(&h);
    static const char lie[] = UPGRADE "Origin: https://evil.example\r\n"
                                      "X-Forwarded-Host: evil.example\r\n"
                                      "X-Forwarded-Proto: https\r\n\r\n";
    ask(&h, lie, sizeof lie - 1);
    assert_true(strncmp(h.heard + 9, "403", 3) == 0);
    host_free(&h);
}

static uint64_t counted(const host *h, const char *what) {
    unsigned at = 0;
    uint64_t count;
    for (const char *reason; (reason = linnet_server_next_reject(h->server, &at, &count));)
        if (strcmp(reason, what) == 0) return count;
    return 0;
}

static void proxy_headers(void **state) {
    static const struct {
        const char *reason;
        const char *const *proxies;
        linnet_slice says;
        const char *who; /* NULL: closed without a word */
    } rows[] = {
        { "version 1", NULL, BYTES("PROXY TCP4 192.0.2.7 192.0.2.1 50000 443\r\n" GET "\r\n"),
            "192.0.2.7:50000" },
        { "version 2", NULL, BYTES(V2 GET "\r\n"), "192.0.2.7:50000" },
        { "IPv6", NULL, BYTES("PROXY TCP6 2001:db8::1 ::1 1 2\r\n" GET "\r\n"), "[2001:db8::1]:1" },
        { "a peer in the list", local, BYTES(V2 GET "\r\n"), "192.0.2.7:50000" },
        { "a peer that is not", others, BYTES(V2 GET "\r\n"), NULL },
        { "no header", NULL, BYTES(GET "\r\n"), NULL },
        { "half a header", NULL, BYTES("PROXY TCP4 "), NULL },
        { "nothing", NULL, BYTES(""), NULL },
        { "fields of one it named are his own", local, BYTES(V2 GET XFF "198.51.100.1\r\n\r\n"),
            "192.0.2.7:50000" },
        { "unless he is a proxy too", local,
            BYTES("PROXY TCP4 10.1.1.1 192.0.2.1 1 2\r\n" GET XFF "198.51.100.1\r\n\r\n"),
            "198.51.100.1" },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        host h;
        open_with(&h, rows[i].proxies, LINNET_FIELD_X_FORWARDED_FOR);
        assert_int_equal(linnet_server_proxy_protocol(h.server), LINNET_ERR_STATE);
        assert_int_equal(linnet_server_listen(h.server, "127.0.0.1:0", NULL, h.bound), LINNET_OK);
        assert_int_equal(linnet_server_proxy_protocol(h.server), LINNET_OK);
        assert_int_equal(linnet_server_start(h.server), LINNET_OK);
        ask(&h, rows[i].says.data, rows[i].says.size);
        if (strcmp(host_heard_body(&h), rows[i].who ? rows[i].who : "") != 0)
            fail_msg("%s: %s", rows[i].reason, h.heard);
        if (!rows[i].who) assert_int_equal(h.heard_size, 0);
        assert_int_equal(counted(&h, "PROXY"), rows[i].who ? 0 : 1);
        assert_int_equal(linnet_server_proxy_protocol(h.server), LINNET_ERR_STATE);
        host_free(&h);
    }
}

static void tls_at_the_proxy(void **state) {
    host h;
    open_with(&h, NULL, LINNET_FIELD_X_FORWARDED_FOR);
    assert_int_equal(linnet_server_listen(h.server, "127.0.0.1:0", NULL, h.bound), LINNET_OK);
    assert_int_equal(linnet_server_proxy_protocol(h.server), LINNET_OK);
    assert_int_equal(linnet_server_start(h.server), LINNET_OK);
    static const char said[] = V2 UPGRADE "\r\n\x88\x80\0\0\0\0";
    ask(&h, said, sizeof said - 1);
    assert_has(h.said, "wss 192.0.2.7:50000|s:open|wss 192.0.2.7:50000");
    host_free(&h);
}

/* On a door without the switch it is a malformed request. */
static void not_asked_for(void **state) {
    static const linnet_slice says[] = { BYTES("PROXY TCP4 192.0.2.7 192.0.2.1 50000 443\r\n"),
        BYTES(V2) };
    for (size_t i = 0; i < LN_COUNT(says); i++) {
        host h;
        open_with(&h, local, LINNET_FIELD_X_FORWARDED_FOR);
        host_start(&h);
        ask(&h, says[i].data, says[i].size);
        assert_true(strncmp(h.heard, "HTTP/1.1 400 ", 13) == 0);
        host_free(&h);
    }
}

/* ---- how many of an address ---------------------------------------------------------------- */

/* A WebSocket for somebody; its descriptor, or -1 for a 429. */
static int visit_as(host *h, const char *ip) {
    char request[500];
    snprintf(request, sizeof request, UPGRADE XFF "%s\r\n\r\n", ip);
    int fd = host_visit(h, linnet_str(request));
    uint64_t end = host_ms() + 10000;
    while (!strstr(h->heard, "\r\n\r\n") && host_ms() < end) {
        assert_int_equal(linnet_loop_turn(h->loop, 5), LINNET_OK);
        host_hear(h, fd);
    }
    if (strncmp(h->heard, "HTTP/1.1 101 ", 13) == 0) return fd;
    assert_true(strncmp(h->heard, "HTTP/1.1 429 ", 13) == 0);
    assert_has(h->heard, "\r\nRetry-After: ");
    close(fd);
    return -1;
}

static void await_gone(host *h) {
    uint64_t end = host_ms() + 10000;
    while (linnet_server_connections(h->server) && host_ms() < end)
        assert_int_equal(linnet_loop_turn(h->loop, 5), LINNET_OK);
    assert_int_equal(linnet_server_connections(h->server), 0);
    h->said[0] = 0;
}

static void caps(void **state) {
    static const struct {
        const char *ip;
        bool in;
    } rows[] = {
        { "192.0.2.1", true },
        { "192.0.2.1", true },
        { "192.0.2.1", false }, /* one more */
        { "192.0.2.2", true },  /* somebody else */
        { "::ffff:192.0.2.1", false },
        { "2001:db8:0:1::1", true },
        { "2001:db8:0:1:ffff::2", true },
        { "2001:db8:0:1::3", false }, /* the same /64 */
        { "2001:db8:0:2::1", true },
    };
    host h;
    per_ip = 2;
    open_with(&h, by_unix, LINNET_FIELD_X_FORWARDED_FOR);
    per_ip = 0;
    host_start(&h);
    for (int round = 0; round < 3; round++) { /* and when they have gone, again */
        int fds[LN_COUNT(rows)];
        for (size_t i = 0; i < LN_COUNT(rows); i++)
            if (((fds[i] = visit_as(&h, rows[i].ip)) >= 0) != rows[i].in) fail_msg("row %zu", i);
        for (size_t i = 0; i < LN_COUNT(rows); i++)
            if (fds[i] >= 0) close(fds[i]);
        await_gone(&h);
    }
    assert_int_equal(counted(&h, "HTTP_TOO_MANY"), 9);
    host_free(&h);
}

/* Those who leave while their address's home is being asked, and those whom the host turns away. */
static void caps_after_aborts(void **state) {
    host h;
    per_ip = 1;
    open_with(&h, by_unix, LINNET_FIELD_X_FORWARDED_FOR);
    per_ip = 0;
    host_start(&h);
    for (int i = 0; i < 300; i++) {
        int fd = host_visit(&h, linnet_str(UPGRADE XFF "192.0.2.1\r\n\r\n"));
        struct linger none = { 1, 0 };
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        if (i % 3) host_turn(&h, i % 3);
        close(fd);
        host_turn(&h, 2);
        await_gone(&h);
    }
    assert_int_equal(counted(&h, "HTTP_TOO_MANY"), 0);
    int fd = visit_as(&h, "192.0.2.1");
    assert_true(fd >= 0);
    assert_int_equal(visit_as(&h, "192.0.2.1"), -1);
    close(fd);
    host_free(&h);
}

/* ---- bad tokens ------------------------------------------------------------------------------ */

static int status_of(host *h, const char *ip, const char *token) {
    char request[600];
    snprintf(request, sizeof request, UPGRADE XFF "%s\r\n%s%s\r\n\r\n", ip,
        token ? "Authorization: Bearer " : "A: b", token ? token : "");
    int fd = host_visit(h, linnet_str(request));
    uint64_t end = host_ms() + 10000;
    while (!strstr(h->heard, "\r\n\r\n") && host_ms() < end) {
        assert_int_equal(linnet_loop_turn(h->loop, 5), LINNET_OK);
        host_hear(h, fd);
    }
    close(fd);
    return (int)strtol(h->heard + 9, NULL, 10);
}

/* Twenty of an address are looked at; then neither good nor bad ones are, for a while. Who shows
 * none, and whoever comes from elsewhere, is not concerned. */
static void bad_tokens(void **state) {
    linnet_keys *keys;
    linnet_key key = LINNET_KEY_INIT;
    key.bytes = linnet_str("0123456789abcdef0123456789abcdef");
    assert_int_equal(linnet_keys_new(&keys), LINNET_OK);
    assert_int_equal(linnet_keys_add(keys, &key), LINNET_OK);
    linnet_auth_options auth = LINNET_AUTH_OPTIONS_INIT;
    auth.keys = keys;
    auth.anonymous = LINNET_ANONYMOUS_PUBLISH;
    linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
    ho.auth = &auth;
    host h;
    linnet_hub *hub;
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    o.trusted_proxies = by_unix;
    host_open_with(&h, &o);
    assert_int_equal(linnet_hub_new(&ho, &hub), LINNET_OK);
    assert_int_equal(linnet_server_hub(h.server, "/ws", hub), LINNET_OK);
    host_start(&h);
    for (int i = 0; i < 20; i++)
        assert_int_equal(status_of(&h, "192.0.2.1", "a.b.c"), 401);
    assert_int_equal(status_of(&h, "192.0.2.1", "a.b.c"), 429);
    assert_has(h.heard, "\r\nRetry-After: 1\r\n");
    assert_int_equal(counted(&h, "HTTP_TOO_MANY"), 1);
    assert_int_equal(status_of(&h, "192.0.2.1", NULL), 101);
    assert_int_equal(status_of(&h, "192.0.2.2", "a.b.c"), 401);
    host_free(&h);
    linnet_hub_free(hub);
    linnet_keys_free(keys);
}

static void what_one_may_trust(void **state) {
    static const char *const bad[][2] = { { "10.0.0.1/8", NULL }, { "localhost", NULL },
        { "", NULL }, { "unix:", NULL } };
    linnet_server *s;
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    for (size_t i = 0; i < LN_COUNT(bad); i++) {
        o.trusted_proxies = bad[i];
        assert_int_equal(linnet_server_new(&o, &s), LINNET_ERR_INVAL);
    }
    const char *many[1026] = { NULL };
    for (size_t i = 0; i < 1025; i++)
        many[i] = "10.0.0.0/8";
    o.trusted_proxies = many;
    assert_int_equal(linnet_server_new(&o, &s), LINNET_ERR_LIMIT);
    o.trusted_proxies = NULL;
    o.client_field = (linnet_client_field)3;
    assert_int_equal(linnet_server_new(&o, &s), LINNET_ERR_INVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(one_connection_many_visitors),
        cmocka_unit_test(upgrades),
        cmocka_unit_test(origins),
        cmocka_unit_test(lies),
        cmocka_unit_test(proxy_headers),
        cmocka_unit_test(tls_at_the_proxy),
        cmocka_unit_test(not_asked_for),
        cmocka_unit_test(caps),
        cmocka_unit_test(caps_after_aborts),
        cmocka_unit_test(bad_tokens),
        cmocka_unit_test(what_one_may_trust),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
