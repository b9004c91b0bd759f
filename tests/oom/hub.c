/* Channels, and all that a hub does for the hosting program, on one loop with clients of linnet.v1.
 *
 * Whom an answer was promised (a call that said LINNET_OK) gets exactly one, by the time the server
 * is gone; a client is answered or loses its connection. Neither may wait for ever: that is STUCK.
 */
#include "oom.h"
#include <linnet/linnet.h>
#include <linnet/watch.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STUCK   1
#define LOST    2    /* a promise was not kept */
#define PATIENT 3000 /* ms */
#define S(text) linnet_str(text)

typedef struct guest { /* a client of linnet.v1; `heard` is all that it was told */
    linnet_conn *conn;
    linnet_conn_id id;
    int opened, failed, closed, err;
    size_t size;
    char heard[16384];
} guest;

typedef struct node {
    linnet_loop *loop;
    linnet_server *server;
    linnet_hub *hub;
    char bound[128];
    guest guests[2];
    int fd; /* of a reader that speaks HTTP */
    size_t read;
    char answer[8192];
    bool ended;
    int promised, called, err; /* answers; what the last one said */
    uint64_t epoch, offset, count;
    int subscribed, heard; /* the program's own subscription */
    linnet_question_id asked;
    int let_in, gone; /* by what the program said to CONNECT, and was told by DISCONNECT */
} node;

/* One hub after the other: its options that scenarios differ in. */
typedef struct plan {
    linnet_namespace space;
    linnet_hooks hooks;
    linnet_auth_options auth;
    linnet_jwks jwks;
    bool with_space, with_hooks, with_auth, crowded;
    const char *bans_file;
} plan;

static char bans_file[64], private_pem[512], key_set[256];

static uint64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- a node -------------------------------------------------------------------------------- */

static void on_tail(linnet_request *r, void *user) {
    node *n = user;
    linnet_tail_options o = LINNET_TAIL_OPTIONS_INIT;
    o.data = true;
    n->err = linnet_hub_tail(n->hub, r, &o);
    if (n->err < 0) n->err = linnet_request_answer(r, 503, NULL, S("no"));
}

static void on_keys(linnet_request *r, void *user) {
    (void)user;
    (void)linnet_request_answer(r, 200, "application/json", S(key_set));
}

static int routes(node *n) {
    linnet_http_route tail = LINNET_HTTP_ROUTE_INIT, keys = LINNET_HTTP_ROUTE_INIT;
    tail.handler = on_tail;
    keys.handler = on_keys;
    tail.user = keys.user = n;
    int err = linnet_server_hub(n->server, "/ws", n->hub);
    if (err == LINNET_OK) err = linnet_server_sse(n->server, "/sse", n->hub);
    if (err == LINNET_OK) err = linnet_server_http(n->server, "/tail", &tail);
    if (err == LINNET_OK) err = linnet_server_http(n->server, "/keys", &keys);
    return err;
}

static int hub_open(node *n, const plan *p) {
    linnet_hub_options o = LINNET_HUB_OPTIONS_INIT;
    o.members = true;
    o.resume_ms = 60000;
    if (p && p->with_space) {
        o.namespaces = &p->space;
        o.namespace_count = 1;
    }
    if (p && p->with_hooks) o.hooks = &p->hooks;
    if (p && p->with_auth) o.auth = &p->auth;
    if (p) o.bans_file = p->bans_file;
    if (p && p->crowded) {
        o.connections_per_user = 10;
        o.user_publish_rate = o.address_publish_rate = 1000;
        o.user_command_rate = o.address_command_rate = 1000;
        o.address_connect_rate = 1000;
    }
    return linnet_hub_new(&o, &n->hub);
}

static int node_open(node *n, const plan *p, const char *listen) {
    memset(n, 0, sizeof(*n));
    n->fd = -1;
    int err = linnet_loop_new(NULL, &n->loop);
    if (err < 0) return err;
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    so.loop = n->loop;
    so.head_ms = 300;
    if ((err = linnet_server_new(&so, &n->server)) < 0) return err;
    if ((err = hub_open(n, p)) < 0) return err;
    if ((err = routes(n)) < 0) return err;
    err = linnet_server_listen(n->server, listen ? listen : "127.0.0.1:0", NULL, n->bound);
    return err == LINNET_OK ? linnet_server_start(n->server) : err;
}

/* Whether each promise was kept, once. */
static int settled(node *n, int err) {
    linnet_server_free(n->server);
    linnet_loop_free(n->loop);
    linnet_hub_free(n->hub);
    if (n->fd >= 0) close(n->fd);
    for (int i = 0; i < 2; i++) {
        const guest *g = &n->guests[i];
        if (g->opened + g->failed > 1 || g->closed != g->opened) return LOST;
    }
    return n->called != n->promised || n->subscribed != 0 ? LOST : err;
}

static int turn(node *n, uint64_t end) {
    return now_ms() > end ? STUCK : linnet_loop_turn(n->loop, 10);
}

/* ---- what the program asks ------------------------------------------------------------------ */

static int answered(node *n, int err) {
    n->called++;
    return n->err = err;
}

static void published(void *ctx, linnet_hub *hub, int err, uint64_t epoch, uint64_t offset) {
    node *n = ctx;
    (void)hub;
    if (answered(n, err) < 0) return;
    n->epoch = epoch;
    n->offset = offset;
}

static void done(void *ctx, linnet_hub *hub, int err, uint64_t count) {
    (void)hub;
    ((node *)ctx)->count = count;
    answered(ctx, err);
}

static void page_of(void *ctx, linnet_hub *hub, int err, const linnet_history_page *page) {
    (void)hub;
    ((node *)ctx)->count = page ? page->count : 0;
    answered(ctx, err);
}

static void sessions(
    void *ctx, linnet_hub *hub, int err, const linnet_session *all, size_t count, bool more) {
    (void)hub, (void)all, (void)more;
    ((node *)ctx)->count = count;
    answered(ctx, err);
}

static void bans(
    void *ctx, linnet_hub *hub, int err, const linnet_ban *all, size_t count, bool more) {
    (void)hub, (void)all, (void)more;
    ((node *)ctx)->count = count;
    answered(ctx, err);
}

static void ends(
    void *ctx, linnet_hub *hub, int err, const linnet_end *all, size_t count, bool more) {
    (void)hub, (void)all, (void)more;
    ((node *)ctx)->count = count;
    answered(ctx, err);
}

static void channels(
    void *ctx, linnet_hub *hub, int err, const linnet_channel *all, size_t count, bool more) {
    (void)hub, (void)all, (void)more;
    ((node *)ctx)->count = count;
    answered(ctx, err);
}

static void members(void *ctx, linnet_hub *hub, int err, const linnet_presence *presence) {
    (void)hub;
    ((node *)ctx)->count = presence ? presence->member_count : 0;
    answered(ctx, err);
}

static void called(void *ctx, linnet_hub *hub, int err, const linnet_call_reply *reply) {
    (void)hub;
    ((node *)ctx)->count = reply && reply->code == 0;
    answered(ctx, err);
}

static int awaited(node *n) {
    uint64_t end = now_ms() + PATIENT;
    int err = LINNET_OK;
    while (err == LINNET_OK && n->called < n->promised)
        err = turn(n, end);
    return err == LINNET_OK ? n->err : err;
}

/* What was asked, and its answer. */
static int promise(node *n, int err) {
    if (err < 0) return err;
    n->promised++;
    return awaited(n);
}

/* That it says so many, when it says anything. */
static int promise_of(node *n, int err, uint64_t count) {
    err = promise(n, err);
    return err == LINNET_OK && n->count != count ? LOST : err;
}

static int publish(node *n, const char *channel, const char *data) {
    linnet_publication p = LINNET_PUBLICATION_INIT;
    p.channel = S(channel);
    p.data = S(data);
    return promise(n, linnet_hub_publish_then(n->hub, &p, published, n));
}

static int publish_some(node *n, const char *channel, int count) {
    int err = LINNET_OK;
    for (int i = 0; i < count && err == LINNET_OK; i++)
        err = publish(n, channel, "{\"n\":1}");
    return err;
}

/* ---- clients -------------------------------------------------------------------------------- */

static void on_open(linnet_conn *conn) {
    guest *g = linnet_conn_user(conn);
    g->conn = conn;
    g->opened++;
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    guest *g = linnet_conn_user(conn);
    (void)opcode;
    size_t room = sizeof(g->heard) - 1 - g->size, size = data.size < room ? data.size : room;
    memcpy(g->heard + g->size, data.data, size);
    g->size += size;
    g->heard[g->size] = 0;
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

/* Until the guest has heard it, or is gone. */
static int hears(node *n, guest *g, const char *words) {
    uint64_t end = now_ms() + PATIENT;
    while (!strstr(g->heard, words)) {
        if (g->failed || g->closed) return g->err < 0 ? g->err : LINNET_ERR_RESET;
        int err = turn(n, end);
        if (err != LINNET_OK) return err;
    }
    return LINNET_OK;
}

static int say(guest *g, const char *text) {
    if (!g->conn) return g->err < 0 ? g->err : LINNET_ERR_RESET;
    return linnet_conn_send(g->conn, LINNET_TEXT, S(text));
}

/* A request, and its answer; an error is the refusal's. */
static int request(node *n, guest *g, int re, const char *text) {
    char good[40], bad[40];
    snprintf(good, sizeof(good), "\"re\":%d", re);
    snprintf(bad, sizeof(bad), "\"type\":\"error\",\"re\":%d", re);
    int err = say(g, text);
    if (err == LINNET_OK) err = hears(n, g, good);
    return err == LINNET_OK && strstr(g->heard, bad) ? LINNET_ERR_NOMEM : err;
}

static int dial(node *n, guest *g, const char *query) {
    static const char *const protocols[] = { "linnet.v1", NULL };
    char url[LINNET_TOKEN_MAX + 256];
    snprintf(url, sizeof(url), "ws://%s/ws%s", n->bound, query);
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    o.url = url;
    o.subprotocols = protocols;
    o.events.on_open = on_open;
    o.events.on_message = on_message;
    o.events.on_close = on_close;
    o.on_fail = on_fail;
    o.user = g;
    return linnet_client_dial(n->loop, &o, &g->id);
}

static int come(node *n, guest *g, const char *query) {
    int err = dial(n, g, query);
    return err == LINNET_OK ? hears(n, g, "\"welcome\"") : err;
}

/* The text behind `"key":"` in what was heard, up to the next quote. */
static void keep(const guest *g, const char *key, char *out, size_t size) {
    char mark[40];
    snprintf(mark, sizeof(mark), "\"%s\":\"", key);
    const char *at = strstr(g->heard, mark);
    at = at ? at + strlen(mark) : "";
    snprintf(out, size, "%.*s", (int)strcspn(at, "\""), at);
}

/* ---- readers over HTTP ---------------------------------------------------------------------- */

static void read_all(node *n) {
    ssize_t got;
    while (!n->ended && n->read < sizeof(n->answer) - 1 &&
           (got = read(n->fd, n->answer + n->read, sizeof(n->answer) - 1 - n->read)) >= 0) {
        n->ended = got == 0;
        n->read += (size_t)got;
        n->answer[n->read] = 0;
    }
}

/* Until it stands there, or the answer is over. */
static int reads(node *n, const char *words) {
    uint64_t end = now_ms() + PATIENT;
    for (;;) {
        read_all(n);
        if (strstr(n->answer, words)) return LINNET_OK;
        if (n->ended || strstr(n->answer, "\r\n0\r\n\r\n")) return LINNET_ERR_RESET;
        int err = turn(n, end);
        if (err != LINNET_OK) return err;
    }
}

/* That it is a stream, and no refusal. */
static int begins(node *n) {
    int err = reads(n, "HTTP/1.1 ");
    return err == LINNET_OK && !strstr(n->answer, "HTTP/1.1 200") ? LINNET_ERR_NOMEM : err;
}

static int ask(node *n, const char *text) {
    int fds[2];
    if (n->fd >= 0) close(n->fd);
    n->fd = -1;
    n->read = 0;
    n->ended = false;
    n->answer[0] = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return LINNET_ERR_SYS;
    n->fd = fds[0];
    int err = linnet_server_adopt(n->server, fds[1], S(text));
    if (err < 0) close(fds[1]);
    return err;
}

/* ---- scenarios: the program ----------------------------------------------------------------- */

static int history(node *n, uint32_t limit, bool reverse) {
    linnet_history_query q = LINNET_HISTORY_QUERY_INIT;
    q.channel = S("news");
    q.limit = limit;
    q.reverse = reverse;
    return linnet_hub_history(n->hub, &q, page_of, n);
}

static int scenario_history(void) {
    node n;
    int err = node_open(&n, NULL, NULL);
    if (err == LINNET_OK) err = publish_some(&n, "news", 5);
    if (err == LINNET_OK) err = promise_of(&n, history(&n, 3, false), 3);
    if (err == LINNET_OK) err = promise_of(&n, history(&n, 100, true), 5);
    return settled(&n, err);
}

/* With a key a publication is said once, or not at all. */
static int scenario_keys(void) {
    node n;
    int err = node_open(&n, NULL, NULL);
    linnet_publication p = LINNET_PUBLICATION_INIT;
    p.channel = S("news");
    p.data = S("1");
    p.key = S("once");
    for (int i = 0; i < 3 && err == LINNET_OK; i++)
        err = promise(&n, linnet_hub_publish_then(n.hub, &p, published, &n));
    if (err == LINNET_OK) err = promise_of(&n, history(&n, 100, false), 1);
    return settled(&n, err);
}

static int scenario_prune(void) {
    node n;
    int err = node_open(&n, NULL, NULL);
    if (err == LINNET_OK) err = come(&n, &n.guests[0], "");
    if (err == LINNET_OK)
        err = request(
            &n, &n.guests[0], 1, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"news\"}");
    if (err == LINNET_OK) err = publish_some(&n, "news", 3);
    if (err == LINNET_OK)
        err = promise(&n, linnet_hub_retract(n.hub, S("news"), 0, 2, published, &n));
    if (err == LINNET_OK) err = promise(&n, linnet_hub_forget(n.hub, S("anna"), done, &n));
    if (err == LINNET_OK)
        err = promise(&n, linnet_hub_remove_history(n.hub, S("news"), published, &n));
    if (err == LINNET_OK) err = promise_of(&n, history(&n, 100, false), 0);
    return settled(&n, err);
}

static int scenario_channels(void) {
    node n;
    int err = node_open(&n, NULL, NULL);
    if (err == LINNET_OK) err = publish(&n, "room:a", "1");
    if (err == LINNET_OK) err = publish(&n, "room:b", "1");
    linnet_channels_query q = LINNET_CHANNELS_QUERY_INIT;
    q.prefix = S("room:");
    if (err == LINNET_OK) err = promise_of(&n, linnet_hub_channels(n.hub, &q, channels, &n), 2);
    q.limit = 1;
    if (err == LINNET_OK) err = promise_of(&n, linnet_hub_channels(n.hub, &q, channels, &n), 1);
    return settled(&n, err);
}

static void heard(void *ctx, linnet_hub *hub, const linnet_publication *publication) {
    (void)hub, (void)publication;
    ((node *)ctx)->heard++;
}

static void ended(void *ctx, linnet_hub *hub, int err) {
    node *n = ctx;
    (void)hub;
    n->subscribed--;
    if (err < 0 && err != LINNET_ERR_CANCELLED) n->err = err;
}

/* The program's own subscription hears what it was not told is lost. */
static int scenario_subscribe(void) {
    node n;
    int err = node_open(&n, NULL, NULL);
    linnet_hub_subscription *s = NULL;
    if (err == LINNET_OK) {
        err = linnet_hub_subscribe(n.hub, S("news"), heard, ended, &n, &s);
        n.subscribed = err == LINNET_OK;
    }
    if (err == LINNET_OK) err = publish(&n, "news", "1");
    uint64_t end = now_ms() + PATIENT;
    while (err == LINNET_OK && n.subscribed && !n.heard)
        err = turn(&n, end);
    if (err == LINNET_OK && n.subscribed) err = linnet_hub_unsubscribe(s);
    while (err == LINNET_OK && n.subscribed)
        err = turn(&n, end);
    return settled(&n, err == LINNET_OK ? n.err : err);
}

static linnet_whom whom_of(const char *user, const char *client) {
    linnet_whom w = LINNET_WHOM_INIT;
    w.user = S(user);
    w.client = S(client);
    return w;
}

static int scenario_people(void) {
    node n;
    int err = node_open(&n, NULL, NULL);
    char name[64] = "";
    if (err == LINNET_OK) err = come(&n, &n.guests[0], "");
    if (err == LINNET_OK) {
        keep(&n.guests[0], "client", name, sizeof(name));
        err = request(&n, &n.guests[0], 1,
            "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"room\",\"presence\":true}");
    }
    linnet_whom all = LINNET_WHOM_INIT, him = whom_of("", name);
    if (err == LINNET_OK) err = promise(&n, linnet_hub_sessions(n.hub, &all, 10, sessions, &n));
    if (err == LINNET_OK)
        err = promise(&n, linnet_hub_presence(n.hub, S("room"), 0, 0, members, &n));
    if (err == LINNET_OK) err = promise(&n, linnet_hub_expel(n.hub, &him, S("room"), done, &n));
    if (err == LINNET_OK)
        err = promise(&n, linnet_hub_disconnect(n.hub, &him, 3503, "enough", done, &n));
    uint64_t end = now_ms() + PATIENT;
    while (err == LINNET_OK && n.guests[0].opened && !n.guests[0].closed)
        err = turn(&n, end);
    if (err == LINNET_OK) err = promise(&n, linnet_hub_why(n.hub, &all, 10, ends, &n));
    return settled(&n, err);
}

/* What was banned is banned after a restart, when that was said. */
static int scenario_bans(void) {
    node n;
    plan p = { .bans_file = bans_file };
    unlink(bans_file);
    int err = node_open(&n, &p, NULL);
    linnet_ban b = LINNET_BAN_INIT, a = LINNET_BAN_INIT;
    b.subject = S("anna");
    a.kind = LINNET_BAN_ADDRESS;
    a.subject = S("192.0.2.1");
    a.for_s = 60;
    if (err == LINNET_OK) err = promise(&n, linnet_hub_ban(n.hub, &b, done, &n));
    if (err == LINNET_OK) err = promise(&n, linnet_hub_ban(n.hub, &a, done, &n));
    if (err == LINNET_OK) err = promise_of(&n, linnet_hub_bans(n.hub, 10, bans, &n), 2);
    if (err == LINNET_OK) err = promise_of(&n, linnet_hub_unban(n.hub, &a, done, &n), 1);
    err = settled(&n, err);
    if (err != LINNET_OK) return err;
    err = node_open(&n, &p, NULL);
    if (err == LINNET_OK) err = promise_of(&n, linnet_hub_bans(n.hub, 10, bans, &n), 1);
    return settled(&n, err);
}

static int scenario_reload(void) {
    node n;
    int err = node_open(&n, NULL, NULL);
    linnet_namespace room = LINNET_NAMESPACE_INIT;
    room.name = "room";
    linnet_hub_options o = LINNET_HUB_OPTIONS_INIT;
    o.namespaces = &room;
    o.namespace_count = 1;
    if (err == LINNET_OK) err = publish(&n, "room:a", "1");
    if (err == LINNET_OK) err = linnet_hub_reload(n.hub, &o);
    if (err == LINNET_OK) err = publish(&n, "room:a", "2");
    return settled(&n, err);
}

/* ---- scenarios: clients --------------------------------------------------------------------- */

static int scenario_call(void) {
    node n;
    int err = node_open(&n, NULL, NULL);
    guest *g = &n.guests[0];
    char name[64] = "", reply[128], id[24] = "";
    if (err == LINNET_OK) err = come(&n, g, "");
    keep(g, "client", name, sizeof(name));
    linnet_whom him = whom_of("", name);
    linnet_call c = LINNET_CALL_INIT;
    c.event = S("reboot");
    c.data = S("{\"delay\":5}");
    c.timeout_ms = 500;
    if (err == LINNET_OK) {
        err = linnet_hub_call(n.hub, &him, &c, called, &n);
        n.promised += err == LINNET_OK;
    }
    uint64_t end = now_ms() + PATIENT;
    while (err == LINNET_OK && n.called == 0 && !strstr(g->heard, "\"reboot\""))
        err = turn(&n, end);
    const char *at = strstr(g->heard, "\"call\",\"id\":");
    if (at) snprintf(id, sizeof(id), "%.*s", (int)strspn(at + 12, "0123456789"), at + 12);
    snprintf(reply, sizeof(reply), "{\"type\":\"reply\",\"re\":%s,\"data\":{\"at\":1}}", id);
    if (err == LINNET_OK && n.called == 0) err = say(g, reply);
    if (err == LINNET_OK) err = awaited(&n);
    return settled(&n, err);
}

/* Whoever comes back with his ticket and a position misses nothing, or is told that he does. */
static int scenario_resume(void) {
    node n;
    plan p = { .crowded = true };
    int err = node_open(&n, &p, NULL);
    guest *a = &n.guests[0], *b = &n.guests[1];
    char ticket[1024], epoch[24], grant[1024], text[2400];
    if (err == LINNET_OK) err = come(&n, a, "");
    if (err == LINNET_OK)
        err = request(&n, a, 1, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"news\"}");
    keep(a, "resume", ticket, sizeof(ticket));
    keep(a, "epoch", epoch, sizeof(epoch));
    keep(a, "grant", grant, sizeof(grant));
    if (err == LINNET_OK) err = publish_some(&n, "news", 2);
    if (err == LINNET_OK) err = come(&n, b, "");
    snprintf(text, sizeof(text),
        "{\"type\":\"auth\",\"id\":1,\"data\":{\"resume\":\"%s\"},\"subs\":{\"news\":{\"epoch\":"
        "\"%s\",\"offset\":1,\"grant\":\"%s\"}}}",
        ticket, epoch, grant);
    if (err == LINNET_OK) err = request(&n, b, 1, text);
    if (err == LINNET_OK) err = hears(&n, b, "ubscribed\",\"channel\"");
    if (err == LINNET_OK && strstr(b->heard, "\"recovered\":true"))
        err = hears(&n, b, "\"offset\":2,\"ts\"");
    return settled(&n, err);
}

static int scenario_seq(void) {
    node n;
    int err = node_open(&n, NULL, NULL);
    guest *g = &n.guests[0];
    if (err == LINNET_OK) err = come(&n, g, "");
    char text[128];
    for (int i = 1; i <= 3 && err == LINNET_OK; i++) {
        snprintf(text, sizeof(text),
            "{\"type\":\"publish\",\"id\":%d,\"channel\":\"news\",\"data\":%d,\"seq\":%d}", i, i,
            i);
        err = request(&n, g, i, text);
    }
    if (err == LINNET_OK) err = promise_of(&n, history(&n, 100, false), 3);
    return settled(&n, err);
}

static int scenario_batch(void) {
    node n;
    plan p = { .with_space = true, .space = LINNET_NAMESPACE_INIT };
    p.space.name = "fast";
    p.space.batch_ms = 5;
    int err = node_open(&n, &p, NULL);
    guest *g = &n.guests[0];
    if (err == LINNET_OK) err = come(&n, g, "");
    if (err == LINNET_OK)
        err = request(&n, g, 1, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"fast:a\"}");
    linnet_publication pub = LINNET_PUBLICATION_INIT;
    pub.channel = S("fast:a");
    pub.data = S("{\"n\":1}");
    for (int i = 0; i < 4 && err == LINNET_OK; i++) {
        err = linnet_hub_publish_then(n.hub, &pub, published, &n);
        n.promised += err == LINNET_OK;
    }
    if (err == LINNET_OK) err = awaited(&n);
    if (err == LINNET_OK && n.offset == 4) err = hears(&n, g, "\"offset\":4");
    return settled(&n, err);
}

static int scenario_state(void) {
    node n;
    int err = node_open(&n, NULL, NULL);
    guest *a = &n.guests[0], *b = &n.guests[1];
    const char *join = "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"board\",\"presence\":true}";
    if (err == LINNET_OK) err = come(&n, a, "");
    if (err == LINNET_OK) err = come(&n, b, "");
    if (err == LINNET_OK) err = request(&n, a, 1, join);
    if (err == LINNET_OK) err = request(&n, b, 1, join);
    if (err == LINNET_OK)
        err = request(&n, a, 2,
            "{\"type\":\"set\",\"id\":2,\"channel\":\"board\",\"key\":\"k\",\"data\":[1],\"ttl\":"
            "3000}");
    if (err == LINNET_OK)
        err = request(
            &n, a, 3, "{\"type\":\"unset\",\"id\":3,\"channel\":\"board\",\"key\":\"k\"}");
    if (err == LINNET_OK)
        err = request(&n, a, 4, "{\"type\":\"history\",\"id\":4,\"channel\":\"board\"}");
    if (err == LINNET_OK)
        err = request(&n, a, 5, "{\"type\":\"unsubscribe\",\"id\":5,\"channel\":\"board\"}");
    return settled(&n, err);
}

/* ---- scenarios: those who ask elsewhere ------------------------------------------------------ */

static linnet_verdict defer(
    void *ctx, linnet_hub *hub, const linnet_question *question, linnet_answer *now) {
    node *n = ctx;
    (void)hub, (void)now;
    n->gone += question->hook == LINNET_HOOK_DISCONNECT;
    if (question->hook == LINNET_HOOK_DISCONNECT) return LINNET_ACCEPT;
    n->asked = question->id;
    return LINNET_DEFER;
}

/* Until the question has come, or the guest is gone or answered. */
static int answer(node *n, guest *g, const char *user) {
    uint64_t end = now_ms() + PATIENT;
    int err = LINNET_OK;
    while (err == LINNET_OK && n->asked.who == 0) {
        if (g->failed || g->closed) return g->err < 0 ? g->err : LINNET_ERR_RESET;
        if (strstr(g->heard, "\"re\":")) return LINNET_OK;
        err = turn(n, end);
    }
    if (err != LINNET_OK) return err;
    linnet_answer a = LINNET_ANSWER_INIT;
    linnet_question_id id = n->asked;
    n->asked = (linnet_question_id){ 0, 0 };
    a.user = S(user);
    err = linnet_hub_answer(n->hub, id, &a);
    n->let_in += *user && err == LINNET_OK;
    return err;
}

static int scenario_hooks(void) {
    node n;
    plan p = { .with_hooks = true, .hooks = LINNET_HOOKS_INIT };
    p.hooks.on_ask = defer;
    p.hooks.ctx = &n;
    p.hooks.timeout_ms = 500;
    p.hooks.hooks = LINNET_HOOK_BIT(LINNET_HOOK_SUBSCRIBE) | LINNET_HOOK_BIT(LINNET_HOOK_PUBLISH);
    int err = node_open(&n, &p, NULL);
    guest *g = &n.guests[0];
    if (err == LINNET_OK) err = come(&n, g, "");
    if (err == LINNET_OK) err = say(g, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"news\"}");
    if (err == LINNET_OK) err = answer(&n, g, "");
    if (err == LINNET_OK) err = hears(&n, g, "\"re\":1");
    return settled(&n, err);
}

/* Two connections of one user, whose rates and number are counted where he is at home. */
static int scenario_user(void) {
    node n;
    plan p = { .with_hooks = true, .hooks = LINNET_HOOKS_INIT, .crowded = true };
    p.hooks.on_ask = defer;
    p.hooks.ctx = &n;
    p.hooks.timeout_ms = 500;
    p.hooks.hooks = LINNET_HOOK_BIT(LINNET_HOOK_CONNECT) | LINNET_HOOK_BIT(LINNET_HOOK_DISCONNECT);
    int err = node_open(&n, &p, NULL);
    for (int i = 0; i < 2 && err == LINNET_OK; i++) {
        guest *g = &n.guests[i];
        err = dial(&n, g, "");
        if (err == LINNET_OK) err = answer(&n, g, "anna");
        if (err == LINNET_OK) err = hears(&n, g, "\"welcome\"");
        if (err == LINNET_OK)
            err = request(&n, g, 1, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"news\"}");
        if (err == LINNET_OK)
            err = request(
                &n, g, 2, "{\"type\":\"publish\",\"id\":2,\"channel\":\"news\",\"data\":1}");
    }
    if (err == LINNET_OK) err = promise(&n, linnet_hub_forget(n.hub, S("anna"), done, &n));
    err = settled(&n, err);
    return n.gone != n.let_in ? LOST : err; /* whom it let in it hears of again */
}

static int scenario_sse(void) {
    node n;
    int err = node_open(&n, NULL, NULL);
    if (err == LINNET_OK) err = publish_some(&n, "news", 3);
    if (err == LINNET_OK)
        err = ask(&n, "GET /sse?channel=news&channel=other HTTP/1.1\r\nHost: h\r\n\r\n");
    if (err == LINNET_OK) err = begins(&n);
    if (err == LINNET_OK) err = reads(&n, "id:");
    char id[256] = "", again[512];
    const char *at = strstr(n.answer, "id:");
    if (at) snprintf(id, sizeof(id), "%.*s", (int)strcspn(at + 3, "\r\n"), at + 3);
    snprintf(again, sizeof(again),
        "GET /sse?channel=news&channel=other HTTP/1.1\r\nHost: h\r\nLast-Event-ID:%s\r\n\r\n", id);
    if (err == LINNET_OK) err = publish_some(&n, "news", 1);
    if (err == LINNET_OK) err = ask(&n, again);
    if (err == LINNET_OK) err = begins(&n);
    if (err == LINNET_OK) err = reads(&n, "data: {\"n\"");
    return settled(&n, err);
}

static int scenario_tail(void) {
    node n;
    int err = node_open(&n, NULL, NULL);
    if (err == LINNET_OK) err = ask(&n, "GET /tail HTTP/1.1\r\nHost: h\r\n\r\n");
    if (err == LINNET_OK) err = begins(&n);
    if (err == LINNET_OK) err = publish(&n, "news", "1");
    if (err == LINNET_OK) err = come(&n, &n.guests[0], "");
    if (err == LINNET_OK) err = reads(&n, "\"event\":");
    return settled(&n, err);
}

/* A key that has to be fetched first, from ourselves. */
static int scenario_keyring(void) {
    char token[LINNET_TOKEN_MAX + 1], query[LINNET_TOKEN_MAX + 16], url[96], listen[32];
    const char *why;
    linnet_key key = LINNET_KEY_INIT;
    key.form = LINNET_KEY_PEM;
    key.bytes = S(private_pem);
    key.kid = "k";
    node n;
    plan p = { .with_auth = true, .auth = LINNET_AUTH_OPTIONS_INIT, .jwks = LINNET_JWKS_INIT };
    int port = 20000 + getpid() % 10000;
    snprintf(listen, sizeof(listen), "127.0.0.1:%d", port);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/keys", port);
    p.jwks.issuer = "us";
    p.jwks.url = url;
    p.auth.jwks = &p.jwks;
    p.auth.jwks_count = 1;
    int err = linnet_token_sign(
        &key, S("{\"iss\":\"us\",\"sub\":\"anna\",\"exp\":4000000000}"), token, &why);
    if (err == LINNET_OK) err = linnet_keys_new(&p.auth.keys);
    if (err < 0) return err;
    snprintf(query, sizeof(query), "?token=%s", token);
    err = node_open(&n, &p, listen);
    linnet_keys_free(p.auth.keys);
    if (err == LINNET_OK) err = come(&n, &n.guests[0], query);
    return settled(&n, err);
}

/* ---- keys, made once --------------------------------------------------------------------------
 */

static int make_keys(void) {
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    BIO *out = BIO_new(BIO_s_mem());
    unsigned char raw[33] = { 0 };
    size_t size = 32;
    bool fine = key && out && EVP_PKEY_get_raw_public_key(key, raw, &size) &&
                PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
    int text = fine ? BIO_read(out, private_pem, sizeof(private_pem) - 1) : -1;
    char x[45] = "";
    for (size_t i = 0; i < 33; i += 3) {
        uint32_t three = (uint32_t)raw[i] << 16 | (uint32_t)raw[i + 1] << 8 | raw[i + 2];
        for (size_t d = 0; d < 4; d++)
            x[i / 3 * 4 + d] = alphabet[three >> (18 - 6 * d) & 63];
    }
    snprintf(key_set, sizeof(key_set),
        "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"EdDSA\",\"kid\":\"k\","
        "\"x\":\"%.43s\"}]}",
        x);
    EVP_PKEY_free(key);
    BIO_free(out);
    return text > 0 ? LINNET_OK : LINNET_ERR_SYS;
}

int main(int argc, char **argv) {
    static const oom_scenario scenarios[] = {
        { "history", scenario_history, NULL },
        { "keys", scenario_keys, NULL },
        { "prune", scenario_prune, NULL },
        { "channels", scenario_channels, NULL },
        { "subscribe", scenario_subscribe, NULL },
        { "people", scenario_people, NULL },
        { "bans", scenario_bans, NULL },
        { "reload", scenario_reload, NULL },
        { "call", scenario_call, NULL },
        { "resume", scenario_resume, NULL },
        { "seq", scenario_seq, NULL },
        { "batch", scenario_batch, NULL },
        { "state", scenario_state, NULL },
        { "hooks", scenario_hooks, NULL },
        { "user", scenario_user, NULL },
        { "sse", scenario_sse, NULL },
        { "tail", scenario_tail, NULL },
        { "keyring", scenario_keyring, scenario_keyring },
    };
    snprintf(bans_file, sizeof(bans_file), "/tmp/linnet-oom-%d.bans", getpid());
    if (make_keys() < 0) return 1;
    int result = oom_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
    unlink(bans_file);
    return result;
}
