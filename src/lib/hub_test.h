/* hub_test.h -- the world of the tests of a hub: a server and clients on one loop, and what the
 * hosting program hears.
 */
#ifndef LN_LIB_HUB_TEST_H
#define LN_LIB_HUB_TEST_H
#include "base/testing.h"
#include <linnet/linnet.h>
#include <stdio.h>

#define HEARD 4096

typedef struct program { /* what the hosting program heard */
    char text[HEARD];
    size_t size;
    int ended, end_err;
} program;

static inline void hear(void *ctx, linnet_hub *hub, const linnet_publication *p) {
    program *g = ctx;
    assert_non_null(hub);
    int n = snprintf(g->text + g->size, HEARD - g->size, "%.*s/%.*s %.*s @%u %.*s\n",
        (int)p->channel.size, (const char *)p->channel.data, (int)p->event.size,
        (const char *)p->event.data, (int)p->data.size, (const char *)p->data.data,
        (unsigned)p->offset, (int)p->client.size, (const char *)p->client.data);
    g->size += (size_t)n;
    assert_true(g->size < HEARD);
    assert_int_equal(p->epoch != 0, p->offset != 0);
}

static inline void end(void *ctx, linnet_hub *hub, int err) {
    program *g = ctx;
    assert_non_null(hub);
    g->ended++;
    g->end_err = err;
}

typedef struct client {
    linnet_conn *conn;
    char text[HEARD]; /* lines */
    size_t size;
    int status, closed;
} client;

static inline void client_open(linnet_conn *conn) {
    ((client *)linnet_conn_user(conn))->conn = conn;
}

static inline void client_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    client *c = linnet_conn_user(conn);
    assert_int_equal(opcode, LINNET_TEXT);
    assert_true(c->size + data.size + 1 < HEARD);
    memcpy(c->text + c->size, data.data, data.size);
    c->size += data.size;
    c->text[c->size++] = '\n';
    c->text[c->size] = 0;
}

static inline void client_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    client *c = linnet_conn_user(conn);
    (void)reason;
    (void)err;
    c->closed = code;
    c->conn = NULL;
}

static inline void client_fail(void *user, int err, int status, const char *words) {
    (void)words;
    ((client *)user)->status = status ? status : err;
}

typedef struct world {
    linnet_loop *loop;
    linnet_server *server;
    linnet_hub *hub;
    char bound[128];
} world;

/* `kept:` has a log, however the others are; `brief:` has none. */
static inline void world_open(world *w, bool live) {
    linnet_loop_options lo = LINNET_LOOP_OPTIONS_INIT;
    assert_int_equal(linnet_loop_new(&lo, &w->loop), LINNET_OK);
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    so.loop = w->loop;
    assert_int_equal(linnet_server_new(&so, &w->server), LINNET_OK);
    linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
    linnet_namespace spaces[] = { LINNET_NAMESPACE_INIT, LINNET_NAMESPACE_INIT };
    spaces[0].name = "kept";
    spaces[1].name = "brief";
    spaces[1].live = true;
    ho.live = live;
    ho.namespaces = spaces;
    ho.namespace_count = LN_COUNT(spaces);
    assert_int_equal(linnet_hub_new(&ho, &w->hub), LINNET_OK);
    assert_int_equal(linnet_server_hub(w->server, "/ws", w->hub), LINNET_OK);
    assert_int_equal(linnet_server_hub(w->server, "/ws/*", w->hub), LINNET_OK);
    assert_int_equal(linnet_server_feed(w->server, "/feed/*", w->hub), LINNET_OK);
    assert_int_equal(linnet_server_listen(w->server, "127.0.0.1:0", NULL, w->bound), LINNET_OK);
    assert_int_equal(linnet_server_start(w->server), LINNET_OK);
}

static inline void world_close(world *w) {
    linnet_server_free(w->server);
    linnet_hub_free(w->hub);
    linnet_loop_free(w->loop);
}

static inline void turn(world *w) {
    assert_int_equal(linnet_loop_turn(w->loop, 2000), LINNET_OK);
}

static inline void dial(world *w, client *c, const char *path, const char *protocol) {
    char url[300];
    snprintf(url, sizeof url, "ws://%s%s", w->bound, path);
    const char *offered[] = { protocol, NULL };
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    o.url = url;
    if (protocol) o.subprotocols = offered;
    o.events = (linnet_conn_events){
        .on_open = client_open, .on_message = client_message, .on_close = client_close
    };
    o.on_fail = client_fail;
    o.user = c;
    *c = (client){ 0 };
    assert_int_equal(linnet_client_dial(w->loop, &o, NULL), LINNET_OK);
    for (int i = 0; i < 100 && !c->conn && !c->status && !c->closed; i++)
        turn(w);
    assert_true(c->conn || c->status || c->closed);
}

static inline void say(client *c, const char *text) {
    assert_int_equal(linnet_conn_send(c->conn, LINNET_TEXT, linnet_str(text)), LINNET_OK);
}

/* Turns until a client has got a text; what came before it and with it is dropped. */
static inline void await(world *w, client *c, const char *text) {
    for (int i = 0; i < 100 && !strstr(c->text, text); i++)
        turn(w);
    if (!strstr(c->text, text)) fail_msg("'%s' is not in '%s'", text, c->text);
    c->size = 0;
    c->text[0] = 0;
}

static inline int publish(
    linnet_hub *hub, const char *channel, const char *event, const char *data) {
    linnet_publication p = LINNET_PUBLICATION_INIT;
    p.channel = linnet_str(channel);
    p.event = linnet_str(event);
    p.data = linnet_str(data);
    return linnet_hub_publish(hub, &p);
}
#endif
