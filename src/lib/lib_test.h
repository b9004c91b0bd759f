/* lib_test.h -- a host with a loop of its own: a server on it, clients on it, and sockets that
 * speak HTTP by hand. What the callbacks tell is written down in `said`.
 */
#ifndef LN_LIB_LIB_TEST_H
#define LN_LIB_LIB_TEST_H
#include "base/testing.h"
#include <errno.h>
#include <linnet/linnet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct host {
    linnet_loop *loop;
    linnet_server *server;
    char bound[128];
    char said[4096];
    linnet_conn *served, *dialled; /* the last that opened and lives */
    linnet_conn_id id;             /* of the last dial, or deferred upgrade or request */
    int fails;
    char heard[65536]; /* by the socket that speaks by hand */
    size_t heard_size;
    bool ended;
    void (*act)(struct host *h, linnet_conn *conn, const char *event);
    void *extra;
} host;

__attribute__((format(printf, 2, 3))) static inline void host_say(host *h, const char *f, ...) {
    size_t at = strlen(h->said);
    va_list args;
    if (at > sizeof h->said - 200) return;
    va_start(args, f);
    if (at) h->said[at++] = '|';
    vsnprintf(h->said + at, sizeof h->said - at, f, args);
    va_end(args);
}

#define host_said(h, text)                                                                         \
    do {                                                                                           \
        assert_string_equal((h)->said, text);                                                      \
        (h)->said[0] = 0;                                                                          \
    } while (0)

/* ---- events: the user pointer is the host; a served connection says "s:", a dialled one "c:" ----
 */

static inline void host_event(linnet_conn *conn, char who, const char *event) {
    host *h = linnet_conn_user(conn);
    if (h->act) h->act(h, conn, event);
    (void)who;
}

static inline void host_message(linnet_conn *conn, char who, linnet_opcode op, linnet_slice d) {
    host *h = linnet_conn_user(conn);
    if (d.size > 40)
        host_say(h, "%c:%s of %zu", who, op == LINNET_TEXT ? "text" : "binary", d.size);
    else
        host_say(h, "%c:%s %.*s", who, op == LINNET_TEXT ? "text" : "binary", (int)d.size,
            (const char *)d.data);
    host_event(conn, who, "message");
}

static inline void host_close_event(
    linnet_conn *conn, char who, uint16_t code, linnet_slice reason, int err) {
    host *h = linnet_conn_user(conn);
    host_say(h, "%c:close %u %.*s%s", who, code, (int)reason.size, (const char *)reason.data,
        err ? linnet_errname(err) : "");
    host_event(conn, who, "close");
    if (h->served == conn) h->served = NULL;
    if (h->dialled == conn) h->dialled = NULL;
}

#define HOST_EVENTS(who, field)                                                                    \
    static inline void who##_on_open(linnet_conn *conn) {                                          \
        host *h = linnet_conn_user(conn);                                                          \
        h->field = conn;                                                                           \
        host_say(h, "%c:open", #who[0]);                                                           \
        host_event(conn, #who[0], "open");                                                         \
    }                                                                                              \
    static inline void who##_on_message(linnet_conn *conn, linnet_opcode op, linnet_slice d) {     \
        host_message(conn, #who[0], op, d);                                                        \
    }                                                                                              \
    static inline void who##_on_drain(linnet_conn *conn) {                                         \
        host_say(linnet_conn_user(conn), "%c:drain", #who[0]);                                     \
        host_event(conn, #who[0], "drain");                                                        \
    }                                                                                              \
    static inline void who##_on_pong(linnet_conn *conn, linnet_slice p, uint32_t rtt) {            \
        host_say(linnet_conn_user(conn), "%c:pong %.*s%s", #who[0], (int)p.size,                   \
            (const char *)p.data, rtt == UINT32_MAX ? " of nothing" : "");                         \
        host_event(conn, #who[0], "pong");                                                         \
    }                                                                                              \
    static inline void who##_on_close(                                                             \
        linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {                          \
        host_close_event(conn, #who[0], code, reason, err);                                        \
    }                                                                                              \
    static const linnet_conn_events who##_events = { who##_on_open, who##_on_message,              \
        who##_on_drain, who##_on_pong, who##_on_close };
HOST_EVENTS(s, served)
HOST_EVENTS(c, dialled)

static inline void host_on_fail(void *user, int err, int status, const char *words) {
    host *h = user;
    assert_true(words && *words);
    h->fails++;
    host_say(h, "fail %s %d", linnet_errname(err), status);
}

/* ---- life -------------------------------------------------------------------------------------
 */

static inline void host_open_with(host *h, linnet_server_options *o) {
    memset(h, 0, sizeof *h);
    assert_int_equal(linnet_loop_new(NULL, &h->loop), LINNET_OK);
    o->loop = h->loop;
    assert_int_equal(linnet_server_new(o, &h->server), LINNET_OK);
}

static inline void host_open(host *h) {
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    host_open_with(h, &o);
}

static inline linnet_ws_route host_route(host *h) {
    linnet_ws_route r = LINNET_WS_ROUTE_INIT;
    r.events = s_events;
    r.user = h;
    return r;
}

static inline void host_start(host *h) {
    assert_int_equal(linnet_server_listen(h->server, "127.0.0.1:0", NULL, h->bound), LINNET_OK);
    assert_int_equal(linnet_server_start(h->server), LINNET_OK);
}

static inline void host_free(host *h) {
    h->act = NULL;
    linnet_server_free(h->server);
    linnet_loop_free(h->loop);
}

static inline void host_turn(host *h, int times) {
    while (times-- > 0)
        assert_int_equal(linnet_loop_turn(h->loop, 1), LINNET_OK);
}

static inline uint64_t host_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Turns until this has been said. */
static inline void host_await(host *h, const char *part) {
    uint64_t end = host_ms() + 10000;
    while (!strstr(h->said, part)) {
        if (host_ms() > end) fail_msg("waited for \"%s\", but: \"%s\"", part, h->said);
        assert_int_equal(linnet_loop_turn(h->loop, 20), LINNET_OK);
    }
}

/* ---- clients -----------------------------------------------------------------------------------
 */

static inline linnet_dial_options host_dialling(host *h, char url[256], const char *path) {
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    snprintf(url, 256, "ws://%s%s", h->bound, path);
    o.url = url;
    o.events = c_events;
    o.on_fail = host_on_fail;
    o.user = h;
    return o;
}

static inline void host_dial(host *h, const char *path) {
    char url[256];
    linnet_dial_options o = host_dialling(h, url, path);
    assert_int_equal(linnet_client_dial(h->loop, &o, &h->id), LINNET_OK);
}

/* ---- by hand
 * -------------------------------------------------------------------------------------- */

/* A socket whose other end is a connection of the server, which has these bytes already. */
static inline int host_visit(host *h, linnet_slice already) {
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(linnet_server_adopt(h->server, fds[1], already), LINNET_OK);
    h->heard_size = 0;
    h->heard[0] = 0;
    h->ended = false;
    return fds[0];
}

static inline void host_hear(host *h, int fd) {
    for (;;) {
        ssize_t n = read(fd, h->heard + h->heard_size, sizeof h->heard - 1 - h->heard_size);
        if (n == 0) h->ended = true;
        if (n <= 0) return;
        h->heard_size += (size_t)n;
        h->heard[h->heard_size] = 0;
    }
}

static inline const char *host_heard_body(const host *h) {
    const char *end = strstr(h->heard, "\r\n\r\n");
    return end ? end + 4 : "";
}

/* One request and its answer, on a connection of its own that ends with it. */
static inline const char *host_ask(host *h, const char *request) {
    int fd = host_visit(h, linnet_str(request));
    uint64_t end = host_ms() + 10000;
    while (!h->ended && host_ms() < end) {
        assert_int_equal(linnet_loop_turn(h->loop, 5), LINNET_OK);
        host_hear(h, fd);
    }
    if (!h->ended) fail_msg("no end of \"%s\"", h->heard);
    close(fd);
    host_turn(h, 2);
    return h->heard;
}

static inline void assert_has(const char *text, const char *part) {
    if (!text || !strstr(text, part)) fail_msg("no \"%s\" in \"%s\"", part, text ? text : "");
}
static inline void assert_lacks(const char *text, const char *part) {
    if (!text || strstr(text, part)) fail_msg("\"%s\" in \"%s\"", part, text ? text : "");
}
#endif
