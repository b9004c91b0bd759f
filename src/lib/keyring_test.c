/* Keys that are fetched: by a server that publishes them well or badly, and who waits for them. */
#include "fetch/fetch_test.h"
#include "lib/keyring.h"
#include "session/source_test.h"
#include <linnet/linnet.h>
#include <time.h>

#define TOLD   4096
#define SECRET "0123456789abcdef0123456789abcdef"

typedef struct world {
    linnet_loop *loop;
    linnet_server *server;
    linnet_hub *hub;
    faulty there;
    issuer a;
    char set[1024]; /* what it publishes */
    char bound[128];
    linnet_conn *conn;
    char told[TOLD];
    size_t told_size;
    int status;
    uint16_t code;
} world;

static uint64_t ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void publish(world *w, const char *kid) {
    ln_buf json;
    ln_buf_init(&json, 4096);
    issuer_set(&w->a, kid, &json);
    snprintf(w->set, sizeof w->set, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n%.*s", json.size,
        (int)json.size, (const char *)ln_buf_slice(&json).data);
    ln_buf_fini(&json);
    atomic_store(&w->there.set, w->set);
}

/* path: of what is fetched there. */
static void world_open(world *w, const char *path) {
    memset(w, 0, sizeof *w);
    faulty_start(&w->there, NULL, NULL);
    issuer_new(&w->a);
    char url[128];
    linnet_keys *keys;
    linnet_key key = LINNET_KEY_INIT;
    linnet_jwks jwks = LINNET_JWKS_INIT;
    linnet_auth_options auth = LINNET_AUTH_OPTIONS_INIT;
    linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", w->there.port, path);
    assert_int_equal(linnet_keys_new(&keys), LINNET_OK);
    key.bytes = linnet_str(SECRET);
    assert_int_equal(linnet_keys_add(keys, &key), LINNET_OK);
    jwks.issuer = "A";
    jwks.url = url;
    auth.keys = keys;
    auth.jwks = &jwks;
    auth.jwks_count = 1;
    ho.auth = &auth;
    assert_int_equal(linnet_loop_new(NULL, &w->loop), LINNET_OK);
    so.loop = w->loop;
    assert_int_equal(linnet_server_new(&so, &w->server), LINNET_OK);
    assert_int_equal(linnet_hub_new(&ho, &w->hub), LINNET_OK);
    linnet_keys_free(keys);
    assert_int_equal(linnet_server_hub(w->server, "/ws", w->hub), LINNET_OK);
    assert_int_equal(linnet_server_listen(w->server, "127.0.0.1:0", NULL, w->bound), LINNET_OK);
    assert_int_equal(linnet_server_start(w->server), LINNET_OK);
}

static void world_close(world *w) {
    linnet_server_free(w->server);
    linnet_hub_free(w->hub);
    linnet_loop_free(w->loop);
    faulty_stop(&w->there);
    issuer_free(&w->a);
}

static void on_open(linnet_conn *conn) {
    ((world *)linnet_conn_user(conn))->conn = conn;
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    world *w = linnet_conn_user(conn);
    (void)opcode;
    assert_true(w->told_size + data.size + 1 < TOLD);
    memcpy(w->told + w->told_size, data.data, data.size);
    w->told_size += data.size;
    w->told[w->told_size] = 0;
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    world *w = linnet_conn_user(conn);
    (void)reason;
    (void)err;
    w->conn = NULL;
    w->code = code;
}

static void on_fail(void *user, int err, int status, const char *words) {
    (void)words;
    ((world *)user)->status = status ? status : err;
}

/* bearer NULL: none. */
static void dial(world *w, const char *bearer) {
    static const char *const protocols[] = { "linnet.v1", NULL };
    char url[256], field[4200];
    const char *const headers[] = { field, NULL };
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    snprintf(url, sizeof url, "ws://%s/ws", w->bound);
    snprintf(field, sizeof field, "Authorization: Bearer %s", bearer ? bearer : "");
    o.url = url;
    o.subprotocols = protocols;
    if (bearer) o.headers = headers;
    o.events.on_open = on_open;
    o.events.on_message = on_message;
    o.events.on_close = on_close;
    o.on_fail = on_fail;
    o.user = w;
    w->status = 0;
    w->told_size = 0;
    w->told[0] = 0;
    assert_int_equal(linnet_client_dial(w->loop, &o, NULL), LINNET_OK);
}

static void turn(world *w, uint64_t end) {
    if (ms() > end) fail_msg("waited in vain; told: %s", w->told);
    assert_int_equal(linnet_loop_turn(w->loop, 20), LINNET_OK);
}

static void await(world *w, const char *part) {
    for (uint64_t end = ms() + 10000; !strstr(w->told, part);)
        turn(w, end);
}

/* The status of a handshake; 101 when it came in, and it is closed again. */
static int come(world *w, const char *bearer) {
    dial(w, bearer);
    for (uint64_t end = ms() + 10000; !w->status && !strstr(w->told, "welcome");)
        turn(w, end);
    if (w->status) return w->status;
    linnet_conn_close(w->conn, 1000, "");
    for (uint64_t end = ms() + 10000; w->conn;)
        turn(w, end);
    return 101;
}

static void token(const world *w, const char *whose, const char *kid, char out[1024]) {
    ln_buf text;
    ln_buf_init(&text, 1000);
    issuer_sign(&w->a, whose, kid, (uint64_t)time(NULL) + 600, &text);
    snprintf(out, 1024, "%.*s", (int)text.size, (const char *)ln_buf_slice(&text).data);
    ln_buf_fini(&text);
}

static linnet_jwks_stats stats(const world *w) {
    linnet_jwks_stats s = LINNET_JWKS_STATS_INIT;
    unsigned at = 0;
    assert_string_equal(linnet_hub_next_jwks(w->hub, &at, &s), "A");
    assert_null(linnet_hub_next_jwks(w->hub, &at, &s));
    return s;
}

/* How long an answer is good -------------------------------------------------------------- */

static const struct {
    const char *why, *cache;
    uint32_t age;
} ages[] = {
    { "nothing said", "", 600 },
    { "an hour", "max-age=3600", 3600 },
    { "among others", "public, Max-Age=3600 , must-revalidate", 3600 },
    { "too short", "max-age=1", 60 },
    { "too long", "max-age=999999999", 86400 },
    { "longer than anything", "max-age=18446744073709551615", 86400 },
    { "no number", "max-age=abc", 600 },
    { "negative", "max-age=-1", 600 },
    { "not to be kept", "no-store", 60 },
    { "whatever else it says", "max-age=3600, no-cache", 60 },
    { "in any order", "no-cache, max-age=3600", 60 },
    { "another's", "s-maxage=3600", 600 },
};

static void how_long_an_answer_is_good(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(ages); i++) {
        ln_slice text = ln_test_exact(ln_slice_str(ages[i].cache));
        uint32_t age = ln_keyring_age(text);
        if (age != ages[i].age) fail_msg("%s: %u", ages[i].why, age);
        ln_test_drop(text);
    }
}

/* Options -------------------------------------------------------------------------------------- */

static void what_is_no_source(void **state) {
    (void)state;
    static const struct {
        const char *why, *issuer, *url, *alg;
        int err;
    } rows[] = {
        { "no issuer", NULL, "https://a/", NULL, LINNET_ERR_INVAL },
        { "an empty one", "", "https://a/", NULL, LINNET_ERR_INVAL },
        { "no address", "A", NULL, NULL, LINNET_ERR_INVAL },
        { "another scheme", "A", "ftp://a/", NULL, LINNET_ERR_URL },
        { "with a password", "A", "https://me:too@a/", NULL, LINNET_ERR_URL },
        { "no algorithm", "A", "https://a/", "none", LINNET_ERR_INVAL },
        { "all is well", "A", "https://a/", "ES256", LINNET_OK },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        linnet_keys *keys;
        linnet_hub *hub = NULL;
        linnet_jwks jwks = LINNET_JWKS_INIT;
        linnet_auth_options auth = LINNET_AUTH_OPTIONS_INIT;
        linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
        assert_int_equal(linnet_keys_new(&keys), LINNET_OK);
        jwks.issuer = rows[i].issuer;
        jwks.url = rows[i].url;
        jwks.alg = rows[i].alg;
        auth.keys = keys;
        auth.jwks = &jwks;
        auth.jwks_count = 1;
        ho.auth = &auth;
        int err = linnet_hub_new(&ho, &hub);
        if (err != rows[i].err) fail_msg("%s: %d", rows[i].why, err);
        linnet_hub_free(hub);
        auth.jwks_count = LN_JWS_SOURCES_MAX + 1;
        assert_int_equal(linnet_hub_new(&ho, &hub), LINNET_ERR_LIMIT);
        linnet_keys_free(keys);
    }
}

/* Keys ------------------------------------------------------------------------------------------
 */

/* The first handshake comes before the first keys, and waits for them. */
static void who_comes_first_waits(void **state) {
    (void)state;
    world w;
    char good[1024];
    world_open(&w, "/set");
    publish(&w, "k1");
    token(&w, "A", "k1", good);
    assert_int_equal(come(&w, good), 101);
    assert_int_equal(come(&w, good), 101);
    linnet_jwks_stats s = stats(&w);
    assert_int_equal(s.fetches, 1);
    assert_int_equal(s.failures, 0);
    assert_int_equal(s.keys, 1);
    assert_true(s.came_ms > 0);
    world_close(&w);
}

/* A second time so soon nobody is asked again, however often a name is made up. */
static void names_that_are_made_up(void **state) {
    (void)state;
    world w;
    char other[1024];
    world_open(&w, "/set");
    publish(&w, "k1");
    token(&w, "A", "k1", other);
    assert_int_equal(come(&w, other), 101);
    for (int i = 0; i < 5; i++) {
        char kid[8];
        snprintf(kid, sizeof kid, "x%d", i);
        token(&w, "A", kid, other);
        assert_int_equal(come(&w, other), 401);
    }
    token(&w, "B", "k1", other);
    assert_int_equal(come(&w, other), 401);
    assert_int_equal(atomic_load(&w.there.requests), 1);
    world_close(&w);
}

/* Bad answers, and what a login hears before there ever was a good one: nobody can say what its
 * token is worth. Others do not notice. */
static void bad_answers(void **state) {
    (void)state;
    static const char *const paths[] = { "/500", "/301", "/echo", "/garbage", "/nothing", "/huge",
        "/endless", "/heads", "/slow", "/reset", "/ok", "/short" };
    for (size_t i = 0; i < LN_COUNT(paths); i++) {
        world w;
        char text[1024], own[LINNET_TOKEN_MAX + 1], claims[128];
        const char *why;
        linnet_key key = LINNET_KEY_INIT;
        key.bytes = linnet_str(SECRET);
        snprintf(claims, sizeof claims, "{\"sub\":\"b\",\"exp\":%llu}",
            (unsigned long long)time(NULL) + 600);
        assert_int_equal(linnet_token_sign(&key, linnet_str(claims), own, &why), LINNET_OK);
        world_open(&w, paths[i]);
        uint64_t start = ms();
        assert_int_equal(come(&w, own), 101);
        if (ms() - start > 1500) fail_msg("%s: others wait", paths[i]);
        token(&w, "A", "k1", text);
        int status = come(&w, text);
        if (status != 503) fail_msg("%s: %d", paths[i], status);
        if (ms() - start > 4500) fail_msg("%s: it takes %u ms", paths[i], (unsigned)(ms() - start));
        assert_true(stats(&w).failures > 0);
        assert_int_equal(stats(&w).came_ms, 0);
        world_close(&w);
    }
}

/* Keys that came once stay, whatever comes later. */
static void the_last_good_ones_stay(void **state) {
    (void)state;
    world w;
    char good[1024];
    linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
    world_open(&w, "/set");
    publish(&w, "k1");
    token(&w, "A", "k1", good);
    assert_int_equal(come(&w, good), 101);
    atomic_store(&w.there.set, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"keys\":[]}");
    assert_int_equal(linnet_hub_reload(w.hub, &ho), LINNET_OK); /* fetches again */
    for (uint64_t end = ms() + 5000; stats(&w).failures == 0;)
        turn(&w, end);
    assert_int_equal(come(&w, good), 101);
    assert_int_equal(stats(&w).keys, 1);
    uint64_t before = stats(&w).came_ms;
    publish(&w, "k2"); /* tried again after a second */
    for (uint64_t end = ms() + 10000; stats(&w).came_ms == before;)
        turn(&w, end);
    assert_int_equal(stats(&w).fetches, 3);
    token(&w, "A", "k2", good);
    assert_int_equal(come(&w, good), 101);
    token(&w, "A", "k1", good);
    assert_int_equal(come(&w, good), 401);
    world_close(&w);
}

/* Commands ------------------------------------------------------------------------------------- */

/* The command waits, and so does what comes behind it; then all are answered in their order. */
static void commands_wait(void **state) {
    (void)state;
    world w;
    char good[1024], text[2048];
    world_open(&w, "/set");
    publish(&w, "k1");
    token(&w, "A", "k1", good);
    dial(&w, NULL);
    for (uint64_t end = ms() + 5000; !w.conn;)
        turn(&w, end);
    snprintf(text, sizeof text, "{\"type\":\"auth\",\"id\":1,\"data\":{\"token\":\"%s\"}}", good);
    linnet_conn_send(w.conn, LINNET_TEXT, linnet_str(text));
    linnet_conn_send(
        w.conn, LINNET_TEXT, linnet_str("{\"type\":\"subscribe\",\"id\":2,\"channel\":\"x\"}"));
    await(&w, "\"re\":2");
    assert_non_null(strstr(w.told, "{\"type\":\"ok\",\"re\":1,\"user\":\"anna\""));
    assert_null(strstr(w.told, "error"));
    world_close(&w);
}

/* Nothing comes: the command is answered 108, what came behind it 101. */
static void commands_do_not_wait_for_ever(void **state) {
    (void)state;
    world w;
    char good[1024], text[2048];
    world_open(&w, "/slow");
    token(&w, "A", "k1", good);
    dial(&w, NULL);
    for (uint64_t end = ms() + 5000; !w.conn;)
        turn(&w, end);
    uint64_t start = ms();
    snprintf(text, sizeof text, "{\"type\":\"auth\",\"id\":1,\"data\":{\"token\":\"%s\"}}", good);
    linnet_conn_send(w.conn, LINNET_TEXT, linnet_str(text));
    linnet_conn_send(
        w.conn, LINNET_TEXT, linnet_str("{\"type\":\"subscribe\",\"id\":2,\"channel\":\"x\"}"));
    await(&w, "\"re\":2");
    assert_true(ms() - start < 4000);
    assert_non_null(strstr(w.told, "\"re\":1,\"error\":{\"code\":108"));
    assert_non_null(strstr(w.told, "\"code\":101"));
    world_close(&w);
}

/* Who has gone meanwhile is nobody, and a server that ends waits for nobody. */
static void who_has_gone(void **state) {
    (void)state;
    world w;
    char good[1024];
    world_open(&w, "/slow");
    token(&w, "A", "k1", good);
    dial(&w, good);
    dial(&w, good);
    for (uint64_t end = ms() + 5000; linnet_loop_connections(w.loop) < 4;)
        turn(&w, end);
    for (int i = 0; i < 5; i++)
        assert_int_equal(linnet_loop_turn(w.loop, 10), LINNET_OK);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(how_long_an_answer_is_good),
        cmocka_unit_test(what_is_no_source),
        cmocka_unit_test(who_comes_first_waits),
        cmocka_unit_test(names_that_are_made_up),
        cmocka_unit_test(bad_answers),
        cmocka_unit_test(the_last_good_ones_stay),
        cmocka_unit_test(commands_wait),
        cmocka_unit_test(commands_do_not_wait_for_ever),
        cmocka_unit_test(who_has_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
