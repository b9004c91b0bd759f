/* The public API, whole: a server on the host's loop, clients on the same one, everything given
 * back. A scenario that waits for something that will never come answers STUCK, which is no row of
 * the table and so a failure: without memory a connection may end, but it must end. */
#include "oom.h"
#include <fcntl.h>
#include <linnet/linnet.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STUCK   1
#define LOST    2 /* a promise was not kept */
#define LARGE   100000
#define PATIENT 3000 /* ms */

typedef struct house house;

typedef struct guest { /* a client */
    house *house;
    linnet_conn *conn;
    linnet_conn_id id;
    int opened, failed, closed, err;
    int protocols; /* "two" was agreed, and is known */
    unsigned texts, large, pongs;
    char last[64];
} guest;

struct house {
    linnet_loop *loop;
    linnet_server *server;
    linnet_hub *hub;
    char bound[128];
    linnet_conn_id deferred;
    int promised, kept; /* users handed over, and seen again; orders given, and told of */
    int told;           /* of the last order */
    int served_open, served_closed;
    guest guests[2];
    int fd; /* of a client that speaks HTTP */
    size_t read;
    char answer[4096];
    bool ended, fired;
};

static uint8_t large[LARGE];
static char cert_file[64], key_file[64];

static uint64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- the server's side -------------------------------------------------------------------- */

static void served_open(linnet_conn *conn) {
    house *h = linnet_conn_user(conn);
    h->served_open++;
    h->kept++;
}

/* "+topic" subscribes, "=topic" publishes, anything else comes back. A host that cannot do what it
 * was asked ends the connection, so that the other side hears of it. */
static void served_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    int err;
    linnet_slice rest = { data.data + 1, data.size ? data.size - 1 : 0 };
    if (data.size && data.data[0] == '+') {
        err = linnet_conn_subscribe(conn, rest);
        if (err == LINNET_OK) err = linnet_conn_send(conn, LINNET_TEXT, linnet_str("in"));
    } else if (data.size && data.data[0] == '=') {
        err = linnet_conn_publish(conn, rest, LINNET_TEXT, linnet_str("said"));
    } else {
        err = linnet_conn_send(conn, opcode, data);
    }
    if (err < 0) linnet_conn_terminate(conn);
}

static void served_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    house *h = linnet_conn_user(conn);
    (void)code, (void)reason, (void)err;
    h->served_closed++;
}

static linnet_verdict defer(linnet_upgrade *u, void *user) {
    house *h = user;
    h->deferred = linnet_upgrade_id(u);
    linnet_upgrade_add_header(u, "X-Later", "yes");
    return linnet_upgrade_query(u, "a").data ? LINNET_DEFER : LINNET_REJECT;
}

static void abandoned(void *user) {
    ((house *)user)->kept++;
}

static void on_request(linnet_request *r, void *user) {
    house *h = user;
    linnet_slice path = linnet_request_path(r);
    int err;
    if (path.size == 6 && memcmp(path.data, "/later", 6) == 0) {
        h->deferred = linnet_request_id(r);
        return;
    }
    if (linnet_request_body(r).size) {
        err = linnet_request_answer(r, 200, NULL, linnet_request_body(r));
    } else {
        err = linnet_request_begin(r, 200, "text/plain");
        for (int i = 0; i < 3 && err == LINNET_OK; i++)
            err = linnet_request_write(r, linnet_str("piece"));
        if (err == LINNET_OK) err = linnet_request_end(r);
    }
    (void)err; /* the connection is dropped then */
}

enum { DEFLATE = 1, TLS = 2, CHANNELS = 4 };

static int routes(house *h, int flags) {
    linnet_ws_route ws = LINNET_WS_ROUTE_INIT;
    static const char *const protocols[] = { "one", "two", NULL };
    ws.events.on_open = served_open;
    ws.events.on_message = served_message;
    ws.events.on_close = served_close;
    ws.user = h;
    ws.subprotocols = protocols;
    ws.limits.message_max = 1 << 20;
    if (flags & DEFLATE) ws.limits.deflate = LINNET_DEFLATE_TAKEOVER;
    int err = linnet_server_ws(h->server, "/ws", &ws);
    ws.on_upgrade = defer;
    if (err == LINNET_OK) err = linnet_server_ws(h->server, "/deferred", &ws);
    linnet_http_route http = LINNET_HTTP_ROUTE_INIT;
    http.methods = "GET POST";
    http.handler = on_request;
    http.user = h;
    if (err == LINNET_OK) err = linnet_server_http(h->server, "/http/*", &http);
    if (err == LINNET_OK) err = linnet_server_http(h->server, "/later", &http);
    linnet_asset files[] = { { "/app.js", linnet_str("let a = 1"), NULL },
        { "/dir/", linnet_str("<p>"), NULL } };
    if (err == LINNET_OK) err = linnet_server_assets(h->server, files, 2, "default-src 'self'");
    if (err == LINNET_OK && flags & CHANNELS) {
        linnet_hub_options o = LINNET_HUB_OPTIONS_INIT;
        err = linnet_hub_new(&o, &h->hub);
        if (err == LINNET_OK) err = linnet_server_hub(h->server, "/channels", h->hub);
        if (err == LINNET_OK) err = linnet_server_hub(h->server, "/people/*", h->hub);
    }
    return err;
}

static int house_open(house *h, int flags) {
    *h = (house){ .fd = -1 };
    linnet_loop_options lo = LINNET_LOOP_OPTIONS_INIT;
    int err = linnet_loop_new(&lo, &h->loop);
    if (err < 0) return err;
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    so.loop = h->loop;
    so.head_ms = 300;
    so.server_name = "oom";
    if ((err = linnet_server_new(&so, &h->server)) < 0) return err;
    linnet_server_on_abandon(h->server, abandoned);
    if ((err = routes(h, flags)) < 0) return err;
    linnet_tls_options tls = LINNET_TLS_OPTIONS_INIT;
    tls.cert_file = cert_file;
    tls.key_file = key_file;
    err = linnet_server_listen(h->server, "127.0.0.1:0", flags & TLS ? &tls : NULL, h->bound);
    if (err == LINNET_OK) err = linnet_server_start(h->server);
    return err;
}

static void house_close(house *h) {
    linnet_server_free(h->server);
    linnet_loop_free(h->loop);
    linnet_hub_free(h->hub);
    if (h->fd >= 0) close(h->fd);
}

/* ---- the clients' side --------------------------------------------------------------------- */

static void on_open(linnet_conn *conn) {
    guest *g = linnet_conn_user(conn);
    g->conn = conn;
    g->opened++;
    g->protocols += linnet_conn_subprotocol(conn).size == 3;
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    guest *g = linnet_conn_user(conn);
    (void)opcode;
    if (data.size == LARGE && memcmp(data.data, large, LARGE) == 0)
        g->large++;
    else
        g->texts++;
    snprintf(g->last, sizeof g->last, "%.*s", data.size < 60 ? (int)data.size : 60,
        (const char *)data.data);
}

static void on_pong(linnet_conn *conn, linnet_slice payload, uint32_t rtt_ms) {
    (void)payload, (void)rtt_ms;
    ((guest *)linnet_conn_user(conn))->pongs++;
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    guest *g = linnet_conn_user(conn);
    (void)code, (void)reason;
    g->conn = NULL;
    g->err = err;
    g->closed++;
}

static void on_fail(void *user, int err, int status, const char *words) {
    guest *g = user;
    (void)status, (void)words;
    g->err = err;
    g->failed++;
}

static int dial_to(house *h, guest *g, const char *url, int flags) {
    static const char *const protocols[] = { "two", NULL }, *const headers[] = { "X-A: b", NULL };
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    g->house = h;
    o.url = url;
    o.headers = headers;
    o.subprotocols = flags & CHANNELS ? NULL : protocols;
    o.tls_insecure = true;
    o.tls_ca_file = cert_file; /* reading the whole store takes 50 ms */
    o.events.on_open = on_open;
    o.events.on_message = on_message;
    o.events.on_pong = on_pong;
    o.events.on_close = on_close;
    o.on_fail = on_fail;
    o.user = g;
    if (flags & DEFLATE) o.limits.deflate = LINNET_DEFLATE_TAKEOVER;
    return linnet_client_dial(h->loop, &o, &g->id);
}

static int dial(house *h, guest *g, const char *path, int flags) {
    char url[256];
    snprintf(url, sizeof url, "%s://%s%s", flags & TLS ? "wss" : "ws", h->bound, path);
    return dial_to(h, g, url, flags);
}

static bool over(const guest *g) {
    return g->failed || g->closed;
}

/* Opened and closed in the same turn: nobody is there to be sent to. */
static int send_to(guest *g, const char *text) {
    if (!g->conn) return g->err ? g->err : LINNET_ERR_RESET;
    return linnet_conn_send(g->conn, LINNET_TEXT, linnet_str(text));
}

/* Turns until the condition holds or the guest is gone; then why. */
static int await(house *h, const guest *g, bool (*holds)(const house *h)) {
    uint64_t end = now_ms() + PATIENT;
    while (!holds(h)) {
        if (g && over(g)) return g->err ? g->err : LINNET_ERR_RESET;
        if (now_ms() > end) return STUCK;
        int err = linnet_loop_turn(h->loop, 20);
        if (err < 0) return err;
    }
    return LINNET_OK;
}

static bool both_open(const house *h) {
    return h->guests[0].opened && h->served_open;
}

/* An open connection, both ends of it. */
static int connect_to(house *h, const char *path, int flags) {
    int err = house_open(h, flags);
    if (err == LINNET_OK) err = dial(h, &h->guests[0], path, flags);
    return err < 0 ? err : await(h, &h->guests[0], both_open);
}

/* Whether each dial ended in exactly one of its two, and each open in a close. */
static int settled(house *h, int err) {
    house_close(h);
    for (int i = 0; i < 2; i++) {
        const guest *g = &h->guests[i];
        if (g->opened + g->failed > 1 || g->closed != g->opened) return LOST;
    }
    return h->served_closed != h->served_open ? LOST : err;
}

/* ---- scenarios ------------------------------------------------------------------------------ */

static int connecting(int flags) {
    house h;
    int err = connect_to(&h, "/ws", flags);
    if (h.guests[0].protocols != h.guests[0].opened) err = LOST;
    return settled(&h, err);
}

static int scenario_connect(void) {
    return connecting(0);
}

static bool echoed(const house *h) {
    const guest *g = &h->guests[0];
    return g->texts == 2 && g->large == 1 && g->pongs == 1;
}

static int echoing(int flags) {
    house h;
    int err = connect_to(&h, "/ws", flags);
    guest *g = &h.guests[0];
    if (err == LINNET_OK) err = send_to(g, "hello");
    if (err == LINNET_OK) err = linnet_conn_ping(g->conn, linnet_str("p"));
    linnet_slice all = { large, LARGE };
    if (err == LINNET_OK) err = linnet_conn_send(g->conn, LINNET_BINARY, all);
    if (err == LINNET_OK)
        err = linnet_conn_send_fragment(g->conn, LINNET_TEXT, false, linnet_str("in "));
    if (err == LINNET_OK)
        err = linnet_conn_send_fragment(g->conn, LINNET_CONTINUATION, true, linnet_str("two"));
    if (err == LINNET_OK) err = await(&h, g, echoed);
    return settled(&h, err);
}

static int scenario_echo(void) {
    return echoing(0);
}

static int scenario_deflate(void) {
    return echoing(DEFLATE);
}

static int scenario_tls(void) {
    return echoing(TLS);
}

static bool both_closed(const house *h) {
    return h->guests[0].closed && h->served_closed;
}

static int scenario_close(void) {
    house h;
    int err = connect_to(&h, "/ws", 0);
    if (err == LINNET_OK) err = send_to(&h.guests[0], "last");
    if (err == LINNET_OK) err = linnet_loop_close(h.loop, h.guests[0].id, 4000, "bye");
    if (err == LINNET_OK) err = await(&h, NULL, both_closed);
    return settled(&h, err);
}

static bool subscribed(const house *h) {
    return strcmp(h->guests[0].last, "in") == 0 && strcmp(h->guests[1].last, "in") == 0;
}

static bool heard_all(const house *h) {
    return h->guests[0].texts >= 3 && h->guests[1].texts >= 3;
}

static bool second_open(const house *h) {
    return h->guests[1].opened;
}

static int await_both(house *h, bool (*holds)(const house *h)) {
    uint64_t end = now_ms() + PATIENT;
    while (!holds(h)) {
        for (int i = 0; i < 2; i++)
            if (over(&h->guests[i])) return h->guests[i].err ? h->guests[i].err : LINNET_ERR_RESET;
        if (now_ms() > end) return STUCK;
        int err = linnet_loop_turn(h->loop, 20);
        if (err < 0) return err;
    }
    return LINNET_OK;
}

/* A topic promises nothing for one publication without memory, but the next one comes through. */
static int publish_until(house *h, bool (*holds)(const house *h)) {
    linnet_slice topic = linnet_str("topic");
    int err = LINNET_OK;
    for (int tries = 0; tries < 10 && err == LINNET_OK && !holds(h); tries++) {
        err = linnet_server_publish(h->server, topic, LINNET_TEXT, linnet_str("from the host"));
        if (err == LINNET_OK && h->guests[0].conn) err = send_to(&h->guests[0], "=topic");
        for (int i = 0; i < 10 && err == LINNET_OK && !holds(h); i++)
            err = linnet_loop_turn(h->loop, 2);
        for (int i = 0; i < 2 && err == LINNET_OK; i++)
            if (over(&h->guests[i])) err = LINNET_ERR_RESET;
    }
    return err < 0 || holds(h) ? err : STUCK;
}

static int scenario_publish(void) {
    house h;
    int err = connect_to(&h, "/ws", 0);
    if (err == LINNET_OK) err = dial(&h, &h.guests[1], "/ws", 0);
    if (err == LINNET_OK) err = await(&h, &h.guests[1], second_open);
    for (int i = 0; i < 2 && err == LINNET_OK; i++)
        err = send_to(&h.guests[i], "+topic");
    if (err == LINNET_OK) err = await_both(&h, subscribed);
    if (err == LINNET_OK) err = publish_until(&h, heard_all);
    return settled(&h, err);
}

static bool failed(const house *h) {
    return h->guests[0].failed;
}

static int dial_that_fails(const char *url, const char *path, int expected) {
    house h;
    int err = house_open(&h, 0);
    if (err == LINNET_OK)
        err = url ? dial_to(&h, &h.guests[0], url, 0) : dial(&h, &h.guests[0], path, 0);
    if (err == LINNET_OK) err = await(&h, NULL, failed);
    if (err == LINNET_OK && h.guests[0].err != expected) err = h.guests[0].err;
    return settled(&h, err);
}

static int scenario_dial(void) {
    int err = dial_that_fails("ws://localhost:1/", NULL, LINNET_ERR_CONNECT);
    if (err == LINNET_OK) err = dial_that_fails(NULL, "/nowhere", LINNET_ERR_UPGRADE_STATUS);
    return err;
}

/* ---- HTTP ----------------------------------------------------------------------------------- */

static bool read_all(house *h) {
    for (;;) {
        if (h->read == sizeof h->answer - 1) return true;
        ssize_t n = read(h->fd, h->answer + h->read, sizeof h->answer - 1 - h->read);
        if (n < 0) return false;
        if (n == 0) return true;
        h->read += (size_t)n;
        h->answer[h->read] = 0;
    }
}

static bool http_ended(const house *h) {
    house *mine = (house *)(uintptr_t)h;
    return read_all(mine);
}

static int ask(house *h, const char *request) {
    int fds[2];
    if (h->fd >= 0) close(h->fd);
    h->fd = -1;
    h->read = 0;
    h->answer[0] = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return LINNET_ERR_SYS;
    h->fd = fds[0];
    int err = linnet_server_adopt(h->server, fds[1], linnet_str(request));
    if (err < 0) close(fds[1]);
    return err;
}

static int exchange(house *h, const char *request, const char *expected) {
    int err = ask(h, request);
    if (err == LINNET_OK) err = await(h, NULL, http_ended);
    if (err == LINNET_OK && !strstr(h->answer, expected)) err = LINNET_ERR_NOMEM;
    return err;
}

#define CLOSE " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"

static int scenario_http(void) {
    house h;
    int err = house_open(&h, 0);
    if (err == LINNET_OK)
        err = exchange(&h, "GET /app.js" CLOSE "\r\n", "Content-Security-Policy: default-src");
    if (strstr(h.answer, "HTTP/1.1 200") && err < 0) err = LOST; /* the page without its policy */
    if (err == LINNET_OK) err = exchange(&h, "GET /dir" CLOSE "\r\n", "Location: /dir/");
    if (err == LINNET_OK)
        err = exchange(&h, "GET /http/a%20b?x=y" CLOSE "\r\n", "5\r\npiece\r\n0\r\n");
    if (err == LINNET_OK)
        err = exchange(&h,
            "GET /app.js HTTP/1.1\r\nHost: h\r\n\r\nPOST /http/" CLOSE
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "\r\n\r\nhello");
    return settled(&h, err);
}

static bool deferred(const house *h) {
    return h->deferred != 0 || http_ended(h);
}

static int scenario_later(void) {
    house h;
    int err = house_open(&h, 0);
    if (err == LINNET_OK) err = ask(&h, "GET /later" CLOSE "\r\n");
    if (err == LINNET_OK) err = await(&h, NULL, deferred);
    if (err == LINNET_OK && !h.deferred) err = LINNET_ERR_NOMEM;
    if (err == LINNET_OK) err = linnet_server_answer_begin(h.server, h.deferred, 200, NULL);
    if (err == LINNET_OK)
        err = linnet_server_answer_write(h.server, h.deferred, linnet_str("at last"));
    if (err == LINNET_OK) err = linnet_server_answer_end(h.server, h.deferred);
    if (err == LINNET_OK) err = await(&h, NULL, http_ended);
    if (err == LINNET_OK && !strstr(h.answer, "7\r\nat last\r\n0\r\n")) err = LINNET_ERR_NOMEM;
    return settled(&h, err);
}

/* ---- deferred upgrades ------------------------------------------------------------------------
 */

static bool asked(const house *h) {
    return h->deferred != 0;
}

/* Who was handed over with LINNET_OK comes to an on_open or to on_abandon, once. */
static int scenario_upgrade(void) {
    house h;
    int err = house_open(&h, 0);
    guest *g = &h.guests[0];
    if (err == LINNET_OK) err = dial(&h, g, "/deferred?a=%20b", 0);
    if (err == LINNET_OK) err = await(&h, g, asked);
    if (err == LINNET_OK) {
        err = linnet_server_accept(h.server, h.deferred, &h, "two");
        h.promised = err == LINNET_OK;
    }
    if (err == LINNET_OK) err = await(&h, g, both_open);
    int promised = h.promised;
    err = settled(&h, err);
    return h.kept != promised ? LOST : err;
}

/* ---- channels, timers, threads, and no I/O at all
 * ------------------------------------------------ */

static bool answered(const house *h) {
    return strstr(h->guests[0].last, "\"re\":1") != NULL;
}

static bool published(const house *h) {
    return strstr(h->guests[0].last, "\"message\"") != NULL;
}

static bool opened(const house *h) {
    return h->guests[0].opened;
}

static int scenario_channel(void) {
    house h;
    int err = house_open(&h, CHANNELS);
    guest *g = &h.guests[0];
    if (err == LINNET_OK) err = dial(&h, g, "/channels", CHANNELS);
    if (err == LINNET_OK) err = await(&h, g, opened);
    if (err == LINNET_OK)
        err = send_to(g, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"news\"}");
    if (err == LINNET_OK) err = await(&h, g, answered);
    if (err == LINNET_OK && strstr(g->last, "\"error\"")) err = LINNET_ERR_NOMEM;
    linnet_publication p = LINNET_PUBLICATION_INIT;
    p.channel = linnet_str("news");
    p.data = linnet_str("{\"n\":1}");
    for (int tries = 0; tries < 10 && err == LINNET_OK && !published(&h); tries++) {
        err = linnet_hub_publish(h.hub, &p);
        for (int i = 0; i < 10 && err == LINNET_OK && !published(&h); i++)
            err = over(g) ? LINNET_ERR_RESET : linnet_loop_turn(h.loop, 2);
    }
    if (err == LINNET_OK && !published(&h)) err = STUCK;
    return settled(&h, err);
}

/* What is asked about all workers is told once, whatever it is told. */
static void on_channels(
    void *ctx, linnet_hub *hub, int err, const linnet_channel *channels, size_t count, bool more) {
    house *h = ctx;
    (void)hub, (void)channels, (void)count, (void)more;
    h->kept++;
    h->told = err;
}

static void on_enlisted(void *ctx, linnet_hub *hub, int err, uint64_t sessions, uint64_t full) {
    house *h = ctx;
    (void)hub, (void)full;
    h->kept++;
    h->told = err == LINNET_OK && sessions != 1 ? LOST : err;
}

static void on_done(void *ctx, linnet_hub *hub, int err, uint64_t count) {
    house *h = ctx;
    (void)hub, (void)count;
    h->kept++;
    h->told = err;
}

static bool all_told(const house *h) {
    return h->kept == h->promised;
}

/* err: what the call said. */
static int await_told(house *h, int err) {
    if (err < 0) return err;
    h->promised++;
    err = await(h, NULL, all_told);
    return err == LINNET_OK ? h->told : err;
}

static int scenario_orders(void) {
    house h;
    int err = house_open(&h, CHANNELS);
    guest *g = &h.guests[0];
    linnet_whom ann = LINNET_WHOM_INIT;
    linnet_refresh news = LINNET_REFRESH_INIT;
    linnet_channels_query all = LINNET_CHANNELS_QUERY_INIT;
    linnet_slice news_channel = linnet_str("news");
    ann.client = linnet_str("ann");
    news.info = linnet_str("{\"n\":1}");
    if (err == LINNET_OK) err = dial(&h, g, "/people/ann", CHANNELS);
    if (err == LINNET_OK) err = await(&h, g, opened);
    if (err == LINNET_OK)
        err = send_to(g, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"room\"}");
    if (err == LINNET_OK) err = await(&h, g, answered);
    if (err == LINNET_OK && strstr(g->last, "\"error\"")) err = LINNET_ERR_NOMEM;
    if (err == LINNET_OK)
        err = await_told(&h, linnet_hub_enlist(h.hub, &ann, news_channel, on_enlisted, &h));
    if (err == LINNET_OK) err = await_told(&h, linnet_hub_refresh(h.hub, &ann, &news, on_done, &h));
    if (err == LINNET_OK) err = await_told(&h, linnet_hub_channels(h.hub, &all, on_channels, &h));
    if (err == LINNET_OK)
        err = await_told(&h, linnet_hub_expel(h.hub, &ann, news_channel, on_done, &h));
    err = settled(&h, err);
    return h.kept != h.promised ? LOST : err;
}

static void fire(linnet_timer *timer, void *ctx) {
    ((house *)ctx)->fired = true;
    linnet_timer_free(timer);
}

static void end(void *ctx) {
    ((house *)ctx)->ended = true;
}

static bool fired(const house *h) {
    return h->fired && h->ended;
}

static int scenario_loop(void) {
    house h = { .fd = -1 };
    linnet_timer *timer = NULL;
    int err = linnet_loop_new(NULL, &h.loop);
    if (err < 0) return err;
    err = linnet_timer_new(h.loop, fire, &h, &timer);
    if (err == LINNET_OK) {
        linnet_timer_set(timer, 1);
        err = linnet_loop_post(h.loop, end, &h);
    }
    if (err == LINNET_OK) err = await(&h, NULL, fired);
    linnet_loop_free(h.loop);
    return err;
}

static int scenario_workers(void) {
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    linnet_server *s;
    o.workers = 2;
    int err = linnet_server_new(&o, &s);
    if (err < 0) return err;
    house h = { .server = s, .fd = -1 };
    err = routes(&h, 0);
    if (err == LINNET_OK) err = linnet_server_listen(s, "127.0.0.1:0", NULL, h.bound);
    if (err == LINNET_OK) err = linnet_server_start(s);
    if (err == LINNET_OK)
        err = linnet_server_publish(s, linnet_str("t"), LINNET_TEXT, linnet_str("to nobody"));
    if (err == LINNET_OK) {
        linnet_server_stop(s, 0);
        err = linnet_server_join(s);
    }
    linnet_server_free(s);
    return err;
}

static int carry(linnet_ws *from, linnet_ws *to) {
    linnet_slice out = linnet_ws_pending(from);
    int err = out.size ? linnet_ws_feed(to, out) : LINNET_OK;
    if (err == LINNET_OK) linnet_ws_sent(from, out.size);
    return err;
}

/* Pulls what is there; counts messages, accepts what asks. */
static int pull(linnet_ws *ws, int *messages, bool *closed) {
    linnet_ws_event e;
    int err = LINNET_OK;
    while (err == LINNET_OK && linnet_ws_next(ws, &e) > 0) {
        if (e.kind == LINNET_WS_UPGRADE) err = linnet_ws_accept(ws, NULL);
        if (e.kind == LINNET_WS_MESSAGE) ++*messages;
        if (e.kind == LINNET_WS_CLOSED) {
            *closed = true;
            err = e.err;
        }
    }
    return err;
}

static int scenario_ws(void) {
    linnet_ws_options o = LINNET_WS_OPTIONS_INIT;
    static const char *const protocols[] = { "one", NULL }, *const headers[] = { "X-A: b", NULL };
    linnet_ws *client = NULL, *server = NULL;
    o.subprotocols = protocols;
    o.limits.deflate = LINNET_DEFLATE_TAKEOVER;
    o.limits.message_max = 1 << 20;
    int err = linnet_ws_new(&o, &server), messages = 0;
    bool closed = false;
    o.client = true;
    o.url = "ws://h/";
    o.headers = headers;
    if (err == LINNET_OK) err = linnet_ws_new(&o, &client);
    linnet_slice all = { large, LARGE };
    for (int i = 0; err == LINNET_OK && i < 8; i++) {
        err = carry(client, server);
        if (err == LINNET_OK) err = pull(server, &messages, &closed);
        if (err == LINNET_OK) err = carry(server, client);
        if (err == LINNET_OK) err = pull(client, &messages, &closed);
        if (err == LINNET_OK && i == 1) err = linnet_ws_send(client, LINNET_BINARY, all);
        if (err == LINNET_OK && i == 1) err = linnet_ws_send(server, LINNET_BINARY, all);
        if (err == LINNET_OK && i == 3) err = linnet_ws_close(client, 1000, "bye");
    }
    if (err == LINNET_OK && (messages != 2 || !closed)) err = STUCK;
    linnet_ws_free(client);
    linnet_ws_free(server);
    return err;
}

/* ---- certificates, made once
 * ---------------------------------------------------------------------- */

static int write_certificates(void) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
        (const unsigned char *)"localhost", -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    X509_set_pubkey(cert, key);
    X509_sign(cert, key, EVP_sha256());
    FILE *c = fopen(cert_file, "w"), *k = fopen(key_file, "w");
    bool fine = c && k && PEM_write_X509(c, cert) &&
                PEM_write_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL);
    if (c) fclose(c);
    if (k) fclose(k);
    X509_free(cert);
    EVP_PKEY_free(key);
    return fine ? LINNET_OK : LINNET_ERR_SYS;
}

static int warm_tls(void) {
    int err = write_certificates();
    return err < 0 ? err : echoing(TLS);
}

int main(int argc, char **argv) {
    static const oom_scenario scenarios[] = {
        { "connect", scenario_connect, NULL },
        { "echo", scenario_echo, NULL },
        { "publish", scenario_publish, NULL },
        { "close", scenario_close, NULL },
        { "deflate", scenario_deflate, NULL },
        { "tls", scenario_tls, warm_tls },
        { "dial", scenario_dial, NULL },
        { "http", scenario_http, NULL },
        { "later", scenario_later, NULL },
        { "upgrade", scenario_upgrade, NULL },
        { "channel", scenario_channel, NULL },
        { "orders", scenario_orders, NULL },
        { "loop", scenario_loop, NULL },
        { "workers", scenario_workers, NULL },
        { "ws", scenario_ws, NULL },
    };
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (uint8_t)(i * i >> 3);
    snprintf(cert_file, sizeof cert_file, "/tmp/linnet-oom-%d.crt", getpid());
    snprintf(key_file, sizeof key_file, "/tmp/linnet-oom-%d.key", getpid());
    if (argc > 3 && strcmp(argv[3], "tls") == 0) write_certificates();
    int result = oom_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
    unlink(cert_file);
    unlink(key_file);
    return result;
}
