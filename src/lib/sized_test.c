/* Every public struct with a size, through the call that takes it. */
#include "lib/lib_test.h"
#include "lib/sized.h"

typedef union room { /* of any of them, and more behind it */
    size_t size;
    uint8_t bytes[8192];
    linnet_loop_options loop;
    linnet_server_options server;
    linnet_tls_options tls;
    linnet_ws_route ws_route;
    linnet_http_route http_route;
    linnet_dial_options dial;
    linnet_ws_options ws;
    linnet_hub_options hub;
    linnet_publication publication;
} room;

static host shared;

static int take_loop(const room *r) {
    linnet_loop *made;
    int err = linnet_loop_new(&r->loop, &made);
    if (err == LINNET_OK) linnet_loop_free(made);
    return err;
}

static int take_server(const room *r) {
    linnet_server *made;
    int err = linnet_server_new(&r->server, &made);
    if (err == LINNET_OK) linnet_server_free(made);
    return err;
}

static int take_tls(const room *r) { /* a right size comes as far as the files */
    int err = linnet_server_listen(shared.server, "127.0.0.1:0", &r->tls, NULL);
    return err == LINNET_ERR_TLS ? LINNET_OK : err;
}

static void not_called(linnet_request *r, void *user) {
    (void)r, (void)user;
}

static unsigned paths;

static int take_ws_route(const room *r) {
    char path[32];
    snprintf(path, sizeof path, "/%u", paths++);
    return linnet_server_ws(shared.server, path, &r->ws_route);
}

static int take_http_route(const room *r) {
    char path[32];
    snprintf(path, sizeof path, "/%u", paths++);
    return linnet_server_http(shared.server, path, &r->http_route);
}

static int take_dial(const room *r) {
    return linnet_client_dial(shared.loop, &r->dial, NULL);
}

static int take_ws(const room *r) {
    linnet_ws *made;
    int err = linnet_ws_new(&r->ws, &made);
    if (err == LINNET_OK) linnet_ws_free(made);
    return err;
}

static int take_hub(const room *r) {
    linnet_hub *made;
    int err = linnet_hub_new(&r->hub, &made);
    if (err == LINNET_OK) linnet_hub_free(made);
    return err;
}

static int take_publication(const room *r) { /* and no further: the hub has no server */
    linnet_hub *hub;
    assert_int_equal(linnet_hub_new(NULL, &hub), LINNET_OK);
    int err = linnet_hub_publish(hub, &r->publication);
    linnet_hub_free(hub);
    return err == LINNET_ERR_STATE ? LINNET_OK : err;
}

#define FILL(type, field, init)                                                                    \
    static void fill_##field(room *r) {                                                            \
        static const type standard = init;                                                         \
        r->field = standard;                                                                       \
    }
FILL(linnet_loop_options, loop, LINNET_LOOP_OPTIONS_INIT)
FILL(linnet_server_options, server, LINNET_SERVER_OPTIONS_INIT)
FILL(linnet_tls_options, tls, LINNET_TLS_OPTIONS_INIT)
FILL(linnet_ws_route, ws_route, LINNET_WS_ROUTE_INIT)
FILL(linnet_http_route, http_route, LINNET_HTTP_ROUTE_INIT)
FILL(linnet_dial_options, dial, LINNET_DIAL_OPTIONS_INIT)
FILL(linnet_ws_options, ws, LINNET_WS_OPTIONS_INIT)
FILL(linnet_hub_options, hub, LINNET_HUB_OPTIONS_INIT)
FILL(linnet_publication, publication, LINNET_PUBLICATION_INIT)

static const struct {
    const char *name;
    size_t size;
    void (*fill)(room *r);
    int (*take)(const room *r);
} structs[] = {
    { "linnet_loop_options", sizeof(linnet_loop_options), fill_loop, take_loop },
    { "linnet_server_options", sizeof(linnet_server_options), fill_server, take_server },
    { "linnet_tls_options", sizeof(linnet_tls_options), fill_tls, take_tls },
    { "linnet_ws_route", sizeof(linnet_ws_route), fill_ws_route, take_ws_route },
    { "linnet_http_route", sizeof(linnet_http_route), fill_http_route, take_http_route },
    { "linnet_dial_options", sizeof(linnet_dial_options), fill_dial, take_dial },
    { "linnet_ws_options", sizeof(linnet_ws_options), fill_ws, take_ws },
    { "linnet_hub_options", sizeof(linnet_hub_options), fill_hub, take_hub },
    { "linnet_publication", sizeof(linnet_publication), fill_publication, take_publication },
};

/* What a call needs besides the size. */
static void complete(room *r, size_t i) {
    if (structs[i].take == take_http_route) r->http_route.handler = not_called;
    if (structs[i].take == take_dial) r->dial.url = "ws://127.0.0.1:1/";
    if (structs[i].take == take_server) r->server.workers = 1;
    if (structs[i].take == take_tls) r->tls.cert_file = r->tls.key_file = "/nowhere";
}

static void test_sizes(void **state) {
    (void)state;
    static const struct {
        const char *why;
        long more; /* than its size */
        int behind, expected;
    } rows[] = {
        { "its own", 0, 0xff, LINNET_OK },
        { "one too small", -1, 0, LINNET_ERR_INVAL },
        { "a later one, nothing new is used", 64, 0, LINNET_OK },
        { "a later one, and something is", 64, 1, LINNET_ERR_INVAL },
        { "never initialised", 1000000000, 0, LINNET_ERR_INVAL },
        { "zero", INT32_MIN, 0, LINNET_ERR_INVAL },
    };
    host_open(&shared);
    for (size_t i = 0; i < LN_COUNT(structs); i++) {
        for (size_t k = 0; k < LN_COUNT(rows); k++) {
            static room r;
            memset(&r, rows[k].behind, sizeof r);
            structs[i].fill(&r);
            complete(&r, i);
            if (structs[i].take == take_publication) {
                r.publication.channel = linnet_str("c");
                r.publication.data = linnet_str("1");
            }
            r.size = rows[k].more == INT32_MIN ? 0 : (size_t)((long)structs[i].size + rows[k].more);
            int err = structs[i].take(&r);
            if (err != rows[k].expected)
                fail_msg("%s, %s: %s", structs[i].name, rows[k].why, linnet_errname(err));
        }
    }
    host_free(&shared);
}

/* Limits lie inside other structs, whose layout they would change. */
static void test_limits_have_one_size(void **state) {
    (void)state;
    linnet_ws_options o = LINNET_WS_OPTIONS_INIT;
    linnet_ws *ws;
    o.limits.size = sizeof o.limits + 8;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_INVAL);
    o.limits.size = 0;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_INVAL);
}

static void test_stats(void **state) {
    (void)state;
    host h;
    host_open(&h);
    linnet_ws_route route = host_route(&h);
    assert_int_equal(linnet_server_ws(h.server, "/ws", &route), LINNET_OK);
    host_start(&h);
    host_dial(&h, "/ws");
    host_await(&h, "c:open");
    union {
        linnet_server_stats stats;
        uint8_t bytes[sizeof(linnet_server_stats) + 64];
    } out;
    static const size_t sizes[] = { sizeof(size_t), 2 * sizeof(size_t), sizeof(linnet_server_stats),
        sizeof(linnet_server_stats) + 16 };
    for (size_t i = 0; i < LN_COUNT(sizes); i++) {
        memset(&out, 0x55, sizeof out);
        out.stats.size = sizes[i];
        assert_int_equal(linnet_server_get_stats(h.server, &out.stats), LINNET_OK);
        assert_int_equal(out.stats.size, sizes[i]);
        if (i > 0) assert_int_equal(out.stats.connections, 1);
        if (i > 1) assert_true(out.stats.bytes_in > 100);
        for (size_t k = sizeof out.stats; k < sizes[i]; k++)
            assert_int_equal(out.bytes[k], 0); /* counters that we do not know */
        for (size_t k = sizes[i]; k < sizeof out; k++)
            assert_int_equal(out.bytes[k], 0x55); /* the caller's own */
    }
    static const size_t wrong[] = { 0, sizeof(size_t) - 1, SIZE_MAX };
    for (size_t i = 0; i < LN_COUNT(wrong); i++) {
        out.stats.size = wrong[i];
        assert_int_equal(linnet_server_get_stats(h.server, &out.stats), LINNET_ERR_INVAL);
    }
    host_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_limits_have_one_size),
        cmocka_unit_test(test_stats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
