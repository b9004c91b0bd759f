/* A server on threads of its own, and a host that calls it from several others: by id, by topic,
 * with answers for later. Meant for the thread sanitizer as much as for its assertions. */
#include "lib/lib_test.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#define CLIENTS 12
#define IDS_MAX 256

typedef struct town {
    linnet_server *server;
    linnet_loop *loop; /* of the clients, turned by the test */
    char bound[128];
    /* written by workers */
    _Atomic unsigned opened, closed, messages, abandoned, handed, deferred, asked;
    _Atomic uint64_t ids[IDS_MAX], upgrades[IDS_MAX], requests[IDS_MAX];
    atomic_bool over;
    /* of the clients, one thread */
    unsigned client_open, client_closed, client_fails, texts, topics;
} town;

/* ---- in the workers ----------------------------------------------------------------------------
 */

static void s_open(linnet_conn *conn) {
    town *t = linnet_conn_user(conn);
    unsigned n = t->opened++;
    if (n < IDS_MAX) t->ids[n] = linnet_conn_get_id(conn);
    if (linnet_conn_subscribe(conn, linnet_str("all")) < 0) linnet_conn_terminate(conn);
}

static void s_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    town *t = linnet_conn_user(conn);
    t->messages++;
    (void)linnet_conn_send(conn, opcode, data);
}

static void s_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    (void)code, (void)reason, (void)err;
    ((town *)linnet_conn_user(conn))->closed++;
}

static linnet_verdict s_defer(linnet_upgrade *u, void *user) {
    town *t = user;
    unsigned n = t->deferred++;
    if (n < IDS_MAX) t->upgrades[n] = linnet_upgrade_id(u);
    return LINNET_DEFER;
}

static void s_abandon(void *user) {
    ((town *)user)->abandoned++;
}

static void s_request(linnet_request *r, void *user) {
    town *t = user;
    unsigned n = t->asked++;
    if (n < IDS_MAX) t->requests[n] = linnet_request_id(r);
}

/* ---- the clients --------------------------------------------------------------------------------
 */

static void c_open(linnet_conn *conn) {
    town *t = linnet_conn_user(conn);
    t->client_open++;
    (void)linnet_conn_send(conn, LINNET_TEXT, linnet_str("hello"));
}

static void c_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    town *t = linnet_conn_user(conn);
    if (opcode == LINNET_TEXT)
        t->texts++;
    else
        t->topics++;
    if (data.size == 4) (void)linnet_conn_send(conn, LINNET_TEXT, linnet_str("echo?"));
}

static void c_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    (void)code, (void)reason, (void)err;
    ((town *)linnet_conn_user(conn))->client_closed++;
}

static void c_fail(void *user, int err, int status, const char *words) {
    (void)err, (void)status, (void)words;
    ((town *)user)->client_fails++;
}

static void dial(town *t, const char *path) {
    char url[256];
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    snprintf(url, sizeof url, "ws://%s%s", t->bound, path);
    o.url = url;
    o.events.on_open = c_open;
    o.events.on_message = c_message;
    o.events.on_close = c_close;
    o.on_fail = c_fail;
    o.user = t;
    assert_int_equal(linnet_client_dial(t->loop, &o, NULL), LINNET_OK);
}

/* ---- foreign threads
 * -------------------------------------------------------------------------------- */

static void *sends(void *arg) {
    town *t = arg;
    for (unsigned i = 0; !t->over; i++) {
        uint64_t id = t->ids[i % IDS_MAX];
        if (id) (void)linnet_server_send(t->server, id, LINNET_TEXT, linnet_str("by id"));
        (void)linnet_server_publish(t->server, linnet_str("all"), LINNET_BINARY, linnet_str("x"));
        (void)linnet_server_connections(t->server);
        linnet_server_stats stats = LINNET_SERVER_STATS_INIT;
        linnet_server_get_stats(t->server, &stats);
        if (i % 16 == 0) usleep(200);
    }
    return NULL;
}

static void *decides(void *arg) {
    town *t = arg;
    for (unsigned i = 0, r = 0; !t->over;) {
        uint64_t id = i < IDS_MAX ? t->upgrades[i] : 0;
        if (id) {
            if (i % 3 == 0) (void)linnet_server_reject(t->server, id, 403, "no");
            if (i % 3 != 0 && linnet_server_accept(t->server, id, t, NULL) == LINNET_OK)
                t->handed++;
            /* once more, as a careless host: nobody there */
            if (i % 3 == 1 && linnet_server_accept(t->server, id, t, NULL) == LINNET_OK)
                t->handed++;
            i++;
        }
        uint64_t request = r < IDS_MAX ? t->requests[r] : 0;
        if (request) {
            (void)linnet_server_answer_begin(t->server, request, 200, NULL);
            (void)linnet_server_answer_write(t->server, request, linnet_str("later"));
            (void)linnet_server_answer_end(t->server, request);
            r++;
        }
        if (!id && !request) usleep(100);
    }
    return NULL;
}

static void *closes(void *arg) {
    town *t = arg;
    for (unsigned i = 0; !t->over; i++) {
        uint64_t id = t->ids[i * 7 % IDS_MAX];
        if (id && i % 3 == 0) (void)linnet_server_close(t->server, id, 4000, "moved");
        usleep(1000);
    }
    return NULL;
}

/* ---- together
 * ---------------------------------------------------------------------------------------- */

static void town_open(town *t, unsigned workers) {
    memset((void *)t, 0, sizeof *t);
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    o.workers = workers;
    o.drain_ms = 3000;
    assert_int_equal(linnet_server_new(&o, &t->server), LINNET_OK);
    linnet_server_on_abandon(t->server, s_abandon);
    linnet_ws_route ws = LINNET_WS_ROUTE_INIT;
    ws.events.on_open = s_open;
    ws.events.on_message = s_message;
    ws.events.on_close = s_close;
    ws.user = t;
    assert_int_equal(linnet_server_ws(t->server, "/ws", &ws), LINNET_OK);
    ws.on_upgrade = s_defer;
    assert_int_equal(linnet_server_ws(t->server, "/deferred", &ws), LINNET_OK);
    linnet_http_route http = LINNET_HTTP_ROUTE_INIT;
    http.handler = s_request;
    http.user = t;
    assert_int_equal(linnet_server_http(t->server, "/later", &http), LINNET_OK);
    assert_int_equal(linnet_server_listen(t->server, "127.0.0.1:0", NULL, t->bound), LINNET_OK);
    assert_int_equal(linnet_server_start(t->server), LINNET_OK);
    assert_int_equal(linnet_server_start(t->server), LINNET_ERR_STATE);
    assert_int_equal(linnet_loop_new(NULL, &t->loop), LINNET_OK);
}

/* A GET to a handler that answers from another thread; its answer. */
static bool ask_later(town *t) {
    int fds[2];
    char heard[600] = "";
    size_t size = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    if (linnet_server_adopt(t->server, fds[1],
            linnet_str("GET /later HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")) < 0) {
        close(fds[0]);
        close(fds[1]);
        return false;
    }
    for (ssize_t n; size < sizeof heard - 1; size += (size_t)n)
        if ((n = read(fds[0], heard + size, sizeof heard - 1 - size)) <= 0) break;
    close(fds[0]);
    heard[size] = 0;
    return strstr(heard, "5\r\nlater\r\n0\r\n") != NULL;
}

static void test_foreign_threads(void **state) {
    (void)state;
    static town t;
    town_open(&t, 2);
    pthread_t threads[4];
    void *(*const mains[])(void *) = { sends, decides, closes, sends };
    for (size_t i = 0; i < LN_COUNT(mains); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, mains[i], &t), 0);
    unsigned dials = 0;
    uint64_t end = host_ms() + 700;
    while (host_ms() < end) {
        unsigned gone = t.client_closed + t.client_fails;
        for (; dials < gone + CLIENTS; dials++)
            dial(&t, dials % 3 ? "/ws" : "/deferred");
        assert_int_equal(linnet_loop_turn(t.loop, 10), LINNET_OK);
    }
    for (int i = 0; i < 5; i++)
        assert_true(ask_later(&t));
    linnet_server_stop(t.server, 0); /* while they go on */
    for (int i = 0; i < 300 && !linnet_server_stopped(t.server); i++)
        assert_int_equal(linnet_loop_turn(t.loop, 10), LINNET_OK);
    assert_true(linnet_server_stopped(t.server));
    assert_int_equal(linnet_server_join(t.server), LINNET_OK);
    t.over = true;
    for (size_t i = 0; i < LN_COUNT(mains); i++)
        pthread_join(threads[i], NULL);
    linnet_server_free(t.server);
    linnet_loop_free(t.loop);
    assert_int_equal(t.opened, t.closed);
    assert_int_equal(t.client_open, t.client_closed);
    assert_int_equal(dials, t.client_closed + t.client_fails);
    assert_true(t.client_open > CLIENTS);
    assert_true(t.texts > 0 && t.topics > 0);
}

/* Who was handed over with LINNET_OK comes to an on_open or to on_abandon: also when the server is
 * stopped and freed at that moment. */
static void *accepts_all(void *arg) {
    town *t = arg;
    for (unsigned i = 0; !t->over;) {
        uint64_t id = i < IDS_MAX ? t->upgrades[i] : 0;
        if (!id) {
            usleep(50);
            continue;
        }
        if (linnet_server_accept(t->server, id, t, NULL) == LINNET_OK) t->handed++;
        i++;
    }
    return NULL;
}

static void test_handed_over_or_back(void **state) {
    (void)state;
    static town t;
    for (int round = 0; round < 6; round++) {
        town_open(&t, 2);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, accepts_all, &t), 0);
        for (int i = 0; i < 20; i++)
            dial(&t, "/deferred");
        while (t.handed < (unsigned)round * 3)
            assert_int_equal(linnet_loop_turn(t.loop, 5), LINNET_OK);
        linnet_server_stop(t.server, 0);
        linnet_server_stop(t.server, 0); /* now */
        if (round % 2) assert_int_equal(linnet_server_join(t.server), LINNET_OK);
        t.over = true;
        pthread_join(thread, NULL);
        linnet_server_free(t.server);
        linnet_loop_free(t.loop);
        assert_int_equal(t.opened + t.abandoned, t.handed);
        assert_int_equal(t.opened, t.closed);
    }
}

/* Several decide and answer all at once: each is decided and answered by one of them. */
static void *decides_all(void *arg) {
    town *t = arg;
    for (unsigned i = 0, r = 0; !t->over;) {
        uint64_t id = i < IDS_MAX ? t->upgrades[i] : 0, request = r < IDS_MAX ? t->requests[r] : 0;
        if (id) {
            int err = linnet_server_accept(t->server, id, t, NULL);
            if (err == LINNET_OK) t->handed++;
            assert_true(err == LINNET_OK || err == LINNET_ERR_NOT_FOUND);
            i++;
        }
        if (request) {
            int err = linnet_server_answer_begin(t->server, request, 200, NULL);
            assert_true(err == LINNET_OK || err == LINNET_ERR_STATE || err == LINNET_ERR_NOT_FOUND);
            if (err == LINNET_OK) {
                t->messages++;
                err = linnet_server_answer_write(t->server, request, linnet_str("later"));
                assert_int_equal(err, LINNET_OK);
                assert_int_equal(linnet_server_answer_end(t->server, request), LINNET_OK);
            }
            r++;
        }
    }
    return NULL;
}

static void test_one_of_several(void **state) {
    (void)state;
    static town t;
    enum { UPGRADES = 60, REQUESTS = 40 };
    town_open(&t, 2);
    pthread_t threads[3];
    for (size_t i = 0; i < LN_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, decides_all, &t), 0);
    for (int i = 0; i < UPGRADES; i++)
        dial(&t, "/deferred");
    for (int i = 0; i < REQUESTS; i++)
        assert_true(ask_later(&t));
    while (t.client_open < UPGRADES)
        assert_int_equal(linnet_loop_turn(t.loop, 5), LINNET_OK);
    t.over = true;
    for (size_t i = 0; i < LN_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(t.handed, UPGRADES);
    assert_true(t.messages >= REQUESTS);
    linnet_server_free(t.server);
    linnet_loop_free(t.loop);
    assert_int_equal(t.opened, UPGRADES);
    assert_int_equal(t.abandoned, 0);
}

static void *runs(void *arg) {
    assert_int_equal(linnet_server_run(arg), LINNET_OK);
    return NULL;
}

static void test_starts_and_stops(void **state) {
    (void)state;
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    linnet_server *s;
    pthread_t thread;
    o.workers = 3;
    for (int kind = 0; kind < 5; kind++) {
        assert_int_equal(linnet_server_new(&o, &s), LINNET_OK);
        assert_int_equal(linnet_server_listen(s, "127.0.0.1:0", NULL, NULL), LINNET_OK);
        switch (kind) {
        case 0: break; /* freed as it is */
        case 1:        /* stopped before it starts */
            linnet_server_stop(s, 0);
            assert_int_equal(linnet_server_run(s), LINNET_OK);
            break;
        case 2: /* freed while it runs */
            assert_int_equal(linnet_server_start(s), LINNET_OK);
            break;
        case 3:
            assert_int_equal(pthread_create(&thread, NULL, runs, s), 0);
            usleep(5000);
            linnet_server_stop(s, 0);
            pthread_join(thread, NULL);
            break;
        default:
            assert_int_equal(linnet_server_start(s), LINNET_OK);
            linnet_server_stop(s, 0);
            assert_int_equal(linnet_server_join(s), LINNET_OK);
            assert_int_equal(linnet_server_join(s), LINNET_OK);
            assert_true(linnet_server_stopped(s));
            assert_int_equal(
                linnet_server_publish(s, linnet_str("t"), LINNET_TEXT, linnet_str("x")), LINNET_OK);
        }
        linnet_server_free(s);
    }
    linnet_server_free(NULL);
    o.workers = 65;
    assert_int_equal(linnet_server_new(&o, &s), LINNET_ERR_INVAL);
}

/* A listening descriptor from elsewhere, shared by the workers. */
static void test_listening_descriptor(void **state) {
    (void)state;
    static town t;
    town_open(&t, 2);
    linnet_server_stop(t.server, 0);
    linnet_server_free(t.server);
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    o.workers = 2;
    assert_int_equal(linnet_server_new(&o, &t.server), LINNET_OK);
    linnet_ws_route ws = LINNET_WS_ROUTE_INIT;
    ws.events.on_open = s_open;
    ws.events.on_close = s_close;
    ws.user = &t;
    assert_int_equal(linnet_server_ws(t.server, "/ws", &ws), LINNET_OK);
    assert_int_equal(linnet_server_listen_fd(t.server, -1, NULL), LINNET_ERR_INVAL);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(listen(fd, 16), 0); /* the kernel picks address and port */
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    uint8_t port[2];
    memcpy(port, (uint8_t *)&at + 2, 2);
    snprintf(t.bound, sizeof t.bound, "127.0.0.1:%u", port[0] * 256u + port[1]);
    assert_int_equal(linnet_server_listen_fd(t.server, fd, NULL), LINNET_OK);
    assert_int_equal(linnet_server_start(t.server), LINNET_OK);
    for (int i = 0; i < 8; i++)
        dial(&t, "/ws");
    while (t.client_open < 8)
        assert_int_equal(linnet_loop_turn(t.loop, 10), LINNET_OK);
    linnet_server_free(t.server);
    linnet_loop_free(t.loop);
    assert_int_equal(t.opened, 8);
    assert_int_equal(t.closed, 8);
}

/* ---- too few descriptors ------------------------------------------------------------------------
 */

/* The lowest descriptor that would be given out next. */
static int next_descriptor(void) {
    int fd = dup(0);
    assert_true(fd >= 0);
    close(fd);
    return fd;
}

static int open_descriptors(void) {
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0) count++;
    return count;
}

static void limit_descriptors(rlim_t most) {
    static struct rlimit before;
    if (!before.rlim_max) assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit r = { .rlim_cur = most ? most : before.rlim_cur, .rlim_max = before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
}

enum { FEW_TCP, FEW_UNIX, FEW_GIVEN };

/* For every number of descriptors that is too small: it fails, and nothing is left of it. */
static void listen_with_few(int how) {
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    linnet_server *s;
    char address[96], path[64];
    int given = -1, failed = 0, err = LINNET_ERR_SYS;
    snprintf(path, sizeof path, "/tmp/ln-few-%d", (int)getpid());
    snprintf(address, sizeof address, how == FEW_UNIX ? "unix:%s" : "127.0.0.1:0", path);
    o.workers = 4;
    assert_int_equal(linnet_server_new(&o, &s), LINNET_OK);
    if (how == FEW_GIVEN) {
        given = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(listen(given, 16), 0);
    }
    int before = open_descriptors();
    for (int more = 0; err < 0 && more < 20; more++) {
        limit_descriptors((rlim_t)next_descriptor() + (rlim_t)more);
        err = given >= 0 ? linnet_server_listen_fd(s, given, NULL)
                         : linnet_server_listen(s, address, NULL, NULL);
        limit_descriptors(0);
        if (err == LINNET_OK) continue;
        failed++;
        assert_int_equal(err, LINNET_ERR_SYS);
        assert_has(linnet_server_error(s), "Too many open files");
        assert_int_equal(open_descriptors(), before);
        assert_int_equal(access(path, F_OK), -1);
        if (given >= 0) assert_true(fcntl(given, F_GETFD) >= 0); /* the host's still */
    }
    assert_int_equal(err, LINNET_OK);
    assert_true(failed >= 3);
    assert_int_equal(linnet_server_start(s), LINNET_OK);
    linnet_server_free(s);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_few_descriptors(void **state) {
    (void)state;
    listen_with_few(FEW_TCP);
    listen_with_few(FEW_UNIX);
    listen_with_few(FEW_GIVEN);
}

static int knock(const char *bound) {
    struct sockaddr_in to = { .sin_family = AF_INET };
    to.sin_port = htons((uint16_t)strtoul(strrchr(bound, ':') + 1, NULL, 10));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void count_request(linnet_request *r, void *user) {
    atomic_fetch_add((atomic_int *)user, 1);
    (void)linnet_request_answer(r, 200, NULL, linnet_str("now"));
}

/* Who knocks at a door before the server starts waits there, whatever becomes of another door. */
static void test_nobody_is_served_early(void **state) {
    (void)state;
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    linnet_http_route route = LINNET_HTTP_ROUTE_INIT;
    linnet_server *s;
    atomic_int requests = 0;
    static const char ask[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    char bound[128], answer[16];
    int guests[16];
    o.workers = 2;
    assert_int_equal(linnet_server_new(&o, &s), LINNET_OK);
    route.handler = count_request;
    route.user = &requests;
    assert_int_equal(linnet_server_http(s, "/", &route), LINNET_OK);
    assert_int_equal(linnet_server_listen(s, "127.0.0.1:0", NULL, bound), LINNET_OK);
    for (size_t i = 0; i < LN_COUNT(guests); i++) {
        guests[i] = knock(bound);
        assert_int_equal(write(guests[i], ask, sizeof ask - 1), sizeof ask - 1);
    }
    int before = open_descriptors();
    limit_descriptors((rlim_t)next_descriptor() + 1);
    assert_int_equal(linnet_server_listen(s, "127.0.0.1:0", NULL, NULL), LINNET_ERR_SYS);
    limit_descriptors(0);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(atomic_load(&requests), 0);
    assert_int_equal(linnet_server_start(s), LINNET_OK);
    for (size_t i = 0; i < LN_COUNT(guests); i++) {
        assert_true(recv(guests[i], answer, sizeof answer, MSG_WAITALL) > 0);
        close(guests[i]);
    }
    linnet_server_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_foreign_threads),
        cmocka_unit_test(test_handed_over_or_back),
        cmocka_unit_test(test_one_of_several),
        cmocka_unit_test(test_starts_and_stops),
        cmocka_unit_test(test_listening_descriptor),
        cmocka_unit_test(test_few_descriptors),
        cmocka_unit_test(test_nobody_is_served_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
