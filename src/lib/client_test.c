/* Dialling as a host does it: what it may ask for, and what it is told when it does not work. */
#include "base/mem.h"
#include "lib/lib_test.h"
#include "net/tls_testing.h"
#include <netinet/in.h>
#include <sys/un.h>

static char cert[64], key[64], ca_file[64], unix_path[64];

static int prepare(void **state) {
    (void)state;
    snprintf(cert, sizeof cert, "/tmp/linnet-client-%d.crt", getpid());
    snprintf(key, sizeof key, "/tmp/linnet-client-%d.key", getpid());
    snprintf(ca_file, sizeof ca_file, "/tmp/linnet-client-%d.ca", getpid());
    snprintf(unix_path, sizeof unix_path, "/tmp/linnet-client-%d.sock", getpid());
    ln_test_ca ca = ln_test_ca_new("client test");
    ln_test_pem(ca_file, ca.cert, NULL);
    ln_test_leaf(&ca, "localhost", "DNS:localhost", 1, cert, key);
    ln_test_ca_free(&ca);
    return 0;
}

static int tidy(void **state) {
    (void)state;
    unlink(cert);
    unlink(key);
    unlink(ca_file);
    unlink(unix_path);
    return 0;
}

static linnet_verdict notes(linnet_upgrade *u, void *user) {
    char peer[64];
    linnet_upgrade_peer(u, peer);
    linnet_slice a = linnet_upgrade_header(u, "X-A", 0), p = linnet_upgrade_offered(u, 1);
    linnet_slice host_field = linnet_upgrade_header(u, "Host", 0);
    host_say(user, "a=%.*s p=%.*s host=%.*s %s%s", (int)a.size, (const char *)a.data, (int)p.size,
        (const char *)p.data, (int)host_field.size, (const char *)host_field.data,
        strncmp(peer, "127.0.0.2:", 10) == 0 ? "from .2"
        : peer[0] == 'u'                     ? "unix"
                                             : "",
        linnet_upgrade_tls(u) ? " tls" : "");
    return LINNET_ACCEPT;
}

static void serve(host *h, bool secure) {
    static const char *const protocols[] = { "two", NULL };
    host_open(h);
    linnet_ws_route ws = host_route(h);
    ws.on_upgrade = notes;
    ws.subprotocols = protocols;
    ws.limits.deflate = LINNET_DEFLATE_SHARED;
    assert_int_equal(linnet_server_ws(h->server, "/ws", &ws), LINNET_OK);
    linnet_tls_options tls = LINNET_TLS_OPTIONS_INIT;
    tls.cert_file = cert;
    tls.key_file = key;
    assert_int_equal(
        linnet_server_listen(h->server, "127.0.0.1:0", secure ? &tls : NULL, h->bound), LINNET_OK);
    char address[100];
    snprintf(address, sizeof address, "unix:%s", unix_path);
    assert_int_equal(linnet_server_listen(h->server, address, NULL, NULL), LINNET_OK);
    if (secure) {
        assert_int_equal(linnet_server_sni(h->server, "other.example", cert, key), LINNET_OK);
        assert_int_equal(
            linnet_server_sni(h->server, "x.example", "/nowhere", key), LINNET_ERR_TLS);
        assert_true(*linnet_server_error(h->server));
    } else {
        assert_int_equal(linnet_server_sni(h->server, "x", cert, key), LINNET_ERR_STATE);
    }
    assert_int_equal(linnet_server_start(h->server), LINNET_OK);
}

static void test_options(void **state) {
    (void)state;
    static const char *const headers[] = { "X-A: one", "X-B:two", NULL };
    static const char *const protocols[] = { "one", "two", NULL };
    host h;
    serve(&h, false);
    char url[256];
    linnet_dial_options o = host_dialling(&h, url, "/ws");
    o.headers = headers;
    o.subprotocols = protocols;
    o.source_address = "127.0.0.2";
    o.limits.deflate = LINNET_DEFLATE_SHARED;
    assert_int_equal(linnet_client_dial(h.loop, &o, NULL), LINNET_OK);
    memset(url, 0, sizeof url);
    host_await(&h, "c:open");
    char said[300];
    snprintf(said, sizeof said, "a=one p=two host=%s from .2|s:open|c:open", h.bound);
    host_said(&h, said);
    assert_true(linnet_conn_deflated(h.dialled));
    assert_int_equal(linnet_conn_subprotocol(h.dialled).size, 3);
    assert_memory_equal(linnet_conn_subprotocol(h.dialled).data, "two", 3);
    static uint8_t large[200000];
    linnet_conn_send(h.served, LINNET_BINARY, (linnet_slice){ large, sizeof large });
    host_await(&h, "c:binary of 200000");
    host_free(&h);

    serve(&h, false); /* by a path instead, whatever the URL says */
    snprintf(url, sizeof url, "ws://nowhere.invalid:99/ws");
    o = (linnet_dial_options)LINNET_DIAL_OPTIONS_INIT;
    o.url = url;
    o.unix_path = unix_path;
    o.events = c_events;
    o.user = &h;
    assert_int_equal(linnet_client_dial(h.loop, &o, NULL), LINNET_OK);
    host_await(&h, "c:open");
    assert_has(h.said, "host=nowhere.invalid:99 unix");
    host_free(&h);
}

static void test_tls(void **state) {
    (void)state;
    host h;
    serve(&h, true);
    char url[256];
    linnet_dial_options o = host_dialling(&h, url, "/ws");
    snprintf(url, sizeof url, "wss://%s/ws", h.bound);
    o.tls_ca_file = ca_file;
    o.tls_server_name = "localhost";
    assert_int_equal(linnet_client_dial(h.loop, &o, NULL), LINNET_OK);
    host_await(&h, "c:open");
    assert_has(h.said, " tls|");
    assert_true(linnet_conn_tls(h.dialled));
    assert_true(linnet_conn_tls(h.served));
    h.said[0] = 0;
    assert_int_equal(linnet_server_reload_tls(h.server), LINNET_OK);
    linnet_conn_send(h.dialled, LINNET_TEXT, linnet_str("still"));
    host_await(&h, "s:text still");
    h.said[0] = 0;
    assert_int_equal(linnet_client_dial(h.loop, &o, NULL), LINNET_OK); /* the new ones */
    host_await(&h, "c:open");
    h.said[0] = 0;
    o.tls_server_name = "elsewhere";
    assert_int_equal(linnet_client_dial(h.loop, &o, NULL), LINNET_OK);
    host_await(&h, "fail TLS_VERIFY 0");
    h.said[0] = 0;
    o.tls_server_name = NULL;
    o.tls_ca_file = NULL; /* the system does not know our authority */
    assert_int_equal(linnet_client_dial(h.loop, &o, NULL), LINNET_OK);
    host_await(&h, "fail TLS_VERIFY 0");
    h.said[0] = 0;
    o.tls_insecure = true;
    assert_int_equal(linnet_client_dial(h.loop, &o, NULL), LINNET_OK);
    host_await(&h, "c:open");
    h.said[0] = 0;
    o.tls_ca_file = "/nowhere";
    assert_int_equal(linnet_client_dial(h.loop, &o, NULL), LINNET_ERR_TLS);
    host_said(&h, "");
    unlink(cert); /* a reload that cannot read keeps what it had */
    assert_int_equal(linnet_server_reload_tls(h.server), LINNET_ERR_TLS);
    assert_true(strstr(linnet_server_error(h.server), cert) != NULL);
    o.tls_ca_file = NULL;
    assert_int_equal(linnet_client_dial(h.loop, &o, NULL), LINNET_OK);
    host_await(&h, "c:open");
    host_free(&h);
    tidy(NULL);
    prepare(NULL);
}

static void test_refused_at_once(void **state) {
    (void)state;
    static const char *const no_colon[] = { "nonsense", NULL }, *const ours[] = { "Host: x", NULL };
    static const char *const token[] = { "a b", NULL };
    static const struct {
        const char *why;
        linnet_dial_options o;
        int err;
    } rows[] = {
        { "no URL", LINNET_DIAL_OPTIONS_INIT, LINNET_ERR_INVAL },
        { "another version", { .size = 3, .url = "ws://h/" }, LINNET_ERR_INVAL },
        { "not a URL", { .url = "h" }, LINNET_ERR_URL },
        { "http", { .url = "http://h/" }, LINNET_ERR_URL },
        { "no host", { .url = "ws:///x" }, LINNET_ERR_URL },
        { "a field without colon", { .url = "ws://h/", .headers = no_colon }, LINNET_ERR_INVAL },
        { "a field of ours", { .url = "ws://h/", .headers = ours }, LINNET_ERR_INVAL },
        { "no token", { .url = "ws://h/", .subprotocols = token }, LINNET_ERR_INVAL },
        { "no address", { .url = "ws://h/", .source_address = "home" }, LINNET_ERR_INVAL },
        { "limits", { .url = "ws://h/", .limits = { .size = 1 } }, LINNET_ERR_INVAL },
    };
    host h;
    serve(&h, false);
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        linnet_dial_options o = rows[i].o;
        if (!o.size) o.size = sizeof o;
        if (!o.limits.size) o.limits.size = sizeof o.limits;
        o.user = &h;
        o.on_fail = host_on_fail;
        int err = linnet_client_dial(h.loop, &o, NULL);
        if (err != rows[i].err) fail_msg("%s: %s", rows[i].why, linnet_errname(err));
    }
    assert_int_equal(linnet_client_dial(NULL, NULL, NULL), LINNET_ERR_INVAL);
    host_turn(&h, 3);
    host_said(&h, "");
    assert_int_equal(linnet_loop_connections(h.loop), 0);
    host_free(&h);
}

static int dead_port(int type, char text[64]) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, type, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    snprintf(text, 64, "127.0.0.1:%u", ntohs(at.sin_port));
    return fd;
}

static void test_failures(void **state) {
    (void)state;
    host h;
    serve(&h, false);
    host_dial(&h, "/nowhere");
    host_await(&h, "fail UPGRADE_STATUS 404");
    char url[256], dead[64];
    linnet_dial_options o = host_dialling(&h, url, "/ws");
    int fd = dead_port(SOCK_STREAM, dead); /* bound, and nobody listens */
    snprintf(url, sizeof url, "ws://%s/", dead);
    assert_int_equal(linnet_client_dial(h.loop, &o, NULL), LINNET_OK);
    host_await(&h, "fail CONNECT 0");
    close(fd);
    h.said[0] = 0;
    o.unix_path = "/nowhere/at/all";
    assert_int_equal(linnet_client_dial(h.loop, &o, NULL), LINNET_OK);
    host_said(&h, ""); /* not from inside */
    host_await(&h, "fail CONNECT 0");
    h.said[0] = 0;
    o.unix_path = NULL;
    snprintf(url, sizeof url, "ws://%s/ws", h.bound);
    for (int how = 0; how < 3;
         how++) { /* cancelled: at once, after a turn, by the end of the loop */
        linnet_conn_id id;
        assert_int_equal(linnet_client_dial(h.loop, &o, &id), LINNET_OK);
        if (how == 1) assert_int_equal(linnet_loop_turn(h.loop, 0), LINNET_OK);
        if (how < 2) assert_int_equal(linnet_loop_close(h.loop, id, 1000, NULL), LINNET_OK);
        if (how < 2) host_await(&h, "fail CANCELLED 0");
        if (how < 2) h.said[0] = 0;
    }
    host_free(&h);
    assert_has(h.said, "fail CANCELLED 0");
}

/* A DNS server that never answers delays this dial, and nothing else. */
static void test_names(void **state) {
    (void)state;
    host h, k;
    serve(&h, false);
    char servers[64];
    int fd = dead_port(SOCK_DGRAM, servers);
    memset(&k, 0, sizeof k);
    linnet_loop_options lo = LINNET_LOOP_OPTIONS_INIT;
    lo.dns_servers = servers;
    assert_int_equal(linnet_loop_new(&lo, &k.loop), LINNET_OK);
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    o.url = "ws://slow.example/";
    o.timeout_ms = 300;
    o.on_fail = host_on_fail;
    o.events = c_events;
    o.user = &k;
    assert_int_equal(linnet_client_dial(k.loop, &o, NULL), LINNET_OK);
    memcpy(k.bound, h.bound, sizeof k.bound);
    host_dial(&k, "/ws");
    uint64_t begun = host_ms();
    while (!strstr(k.said, "c:open") && host_ms() - begun < 5000) {
        host_turn(&k, 1);
        host_turn(&h, 1);
    }
    host_said(&k, "c:open");
    host_await(&k, "fail TIMEOUT 0");
    k.said[0] = 0;
    o.timeout_ms = 0;
    assert_int_equal(linnet_client_dial(k.loop, &o, &k.id), LINNET_OK);
    host_turn(&k, 2);
    linnet_loop_free(k.loop); /* while it is asking */
    assert_has(k.said, "fail CANCELLED 0");
    close(fd);

    lo.dns_servers = "nonsense";
    assert_int_equal(linnet_loop_new(&lo, &k.loop), LINNET_OK);
    assert_int_equal(linnet_client_dial(k.loop, &o, NULL), LINNET_ERR_INVAL);
    linnet_loop_free(k.loop);
    host_free(&h);
}

static void test_as_many_as_allowed(void **state) {
    (void)state;
    host h, k;
    serve(&h, false);
    memset(&k, 0, sizeof k);
    linnet_loop_options lo = LINNET_LOOP_OPTIONS_INIT;
    lo.connections_max = 2;
    assert_int_equal(linnet_loop_new(&lo, &k.loop), LINNET_OK);
    memcpy(k.bound, h.bound, sizeof k.bound);
    char url[256];
    linnet_dial_options o = host_dialling(&k, url, "/ws");
    assert_int_equal(linnet_client_dial(k.loop, &o, NULL), LINNET_OK);
    assert_int_equal(linnet_client_dial(k.loop, &o, NULL), LINNET_OK);
    assert_int_equal(linnet_client_dial(k.loop, &o, NULL), LINNET_ERR_LIMIT);
    linnet_loop_free(k.loop);
    assert_int_equal(k.fails, 2);
    host_free(&h);
}

/* Dials again from where the last one ended, again and again, until the loop goes. */
static void again(void *user, int err, int status, const char *words) {
    host *h = user;
    (void)err, (void)status, (void)words;
    char url[256];
    linnet_dial_options o = host_dialling(h, url, "/nowhere");
    o.on_fail = again;
    h->fails++;
    int result = linnet_client_dial(h->loop, &o, NULL);
    if (result < 0) host_say(h, "%s", linnet_errname(result));
}

static void redials(host *h, linnet_conn *conn, const char *event) {
    (void)conn;
    if (strcmp(event, "close") == 0) again(h, 0, 0, "");
}

static void test_dials_from_callbacks(void **state) {
    (void)state;
    host h;
    serve(&h, false);
    host_dial(&h, "/ws");
    host_await(&h, "c:open");
    h.act = redials;
    linnet_conn_close(h.dialled, 1000, NULL);
    while (h.fails < 20)
        host_turn(&h, 1);
    h.said[0] = 0;
    linnet_server_free(h.server);
    int before = h.fails;
    linnet_loop_free(h.loop);
    assert_true(h.fails > before);
    assert_has(h.said, "STATE"); /* and comes to an end */
}

/* Of two listeners one has a certificate that cannot be read: the other keeps what it has, too. */
static void test_reload_of_all_or_none(void **state) {
    (void)state;
    char other_cert[80], other_key[80], other_ca[80], bound[128], url[256];
    snprintf(other_cert, sizeof other_cert, "%s.2", cert);
    snprintf(other_key, sizeof other_key, "%s.2", key);
    snprintf(other_ca, sizeof other_ca, "%s.2", ca_file);
    ln_test_ca other = ln_test_ca_new("another");
    ln_test_pem(other_ca, other.cert, NULL);
    ln_test_leaf(&other, "localhost", "DNS:localhost", 1, other_cert, other_key);
    host h;
    host_open(&h);
    linnet_ws_route ws = host_route(&h);
    assert_int_equal(linnet_server_ws(h.server, "/ws", &ws), LINNET_OK);
    linnet_tls_options tls = LINNET_TLS_OPTIONS_INIT;
    assert_int_equal(linnet_server_listen(h.server, ":0", &tls, NULL), LINNET_ERR_INVAL);
    assert_true(*linnet_server_error(h.server));
    tls.cert_file = cert;
    assert_int_equal(linnet_server_listen(h.server, ":0", &tls, NULL), LINNET_ERR_INVAL);
    tls.key_file = key;
    assert_int_equal(linnet_server_listen(h.server, ":0", &tls, h.bound), LINNET_OK);
    tls.cert_file = other_cert;
    tls.key_file = other_key;
    assert_int_equal(linnet_server_listen(h.server, ":0", &tls, bound), LINNET_OK);
    assert_int_equal(linnet_server_sni(h.server, NULL, cert, key), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_sni(h.server, "x", NULL, key), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_sni(h.server, "x", cert, NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_server_start(h.server), LINNET_OK);
    /* the first has the other authority's now, the second has nothing */
    ln_test_leaf(&other, "localhost", "DNS:localhost", 2, cert, key);
    unlink(other_cert);
    assert_int_equal(linnet_server_reload_tls(h.server), LINNET_ERR_TLS);
    linnet_dial_options o = host_dialling(&h, url, "/ws");
    snprintf(url, sizeof url, "wss://%s/ws", h.bound);
    o.tls_ca_file = ca_file;
    o.tls_server_name = "localhost";
    assert_int_equal(linnet_client_dial(h.loop, &o, NULL), LINNET_OK);
    host_await(&h, "c:open"); /* what it had before */
    ln_test_leaf(&other, "localhost", "DNS:localhost", 3, other_cert, other_key);
    assert_int_equal(linnet_server_reload_tls(h.server), LINNET_OK);
    o.tls_ca_file = other_ca;
    h.said[0] = 0;
    assert_int_equal(linnet_client_dial(h.loop, &o, NULL), LINNET_OK);
    host_await(&h, "c:open");
    host_free(&h);
    ln_test_ca_free(&other);
    unlink(other_cert);
    unlink(other_key);
    unlink(other_ca);
    tidy(NULL);
    prepare(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_reload_of_all_or_none),
        cmocka_unit_test(test_refused_at_once),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_as_many_as_allowed),
        cmocka_unit_test(test_dials_from_callbacks),
    };
    return cmocka_run_group_tests(tests, prepare, tidy);
}
