/* What the program learns of who is in a channel, on a real server with clients on the same loop.
 */
#include "lib/lib_test.h"
#include <stdio.h>

#define HEARD 1024

typedef struct world {
    linnet_loop *loop;
    linnet_server *server;
    linnet_hub *hub;
    linnet_conn *conns[2];
    char bound[128];
    char came[HEARD]; /* "+a -b " with names of clients */
    char page[HEARD]; /* the same of the last page, and "=2,0 " the counts, ">" there is more */
    int err, answers, oks;
    uint64_t next;
} world;

static void write_members(char *out, const linnet_presence *p) {
    size_t at = strlen(out);
    for (size_t i = 0; i < p->member_count; i++) {
        const linnet_member *m = &p->members[i];
        assert_true(at + m->client.size + m->info.size + 4 < HEARD);
        at += (size_t)snprintf(out + at, HEARD - at, "%c%.*s%.*s ", m->left ? '-' : '+',
            (int)m->client.size, m->client.data, (int)m->info.size, m->info.data);
    }
}

static void on_came(void *ctx, linnet_hub *hub, int err, const linnet_presence *p) {
    world *w = ctx;
    assert_int_equal(err, LINNET_OK);
    assert_ptr_equal(hub, w->hub);
    assert_memory_equal(p->channel.data, "kept:x", 6);
    write_members(w->came, p);
}

static void on_page(void *ctx, linnet_hub *hub, int err, const linnet_presence *p) {
    world *w = ctx;
    assert_ptr_equal(hub, w->hub);
    w->answers++;
    w->err = err;
    w->page[0] = 0;
    if (err < 0) {
        assert_null(p);
        return;
    }
    write_members(w->page, p);
    w->next = p->next;
    size_t at = strlen(w->page);
    snprintf(w->page + at, HEARD - at, "=%u,%u%s", p->connections, p->users, p->next ? ">" : "");
}

static void on_open(linnet_conn *conn) {
    *(linnet_conn **)linnet_conn_user(conn) = conn;
}

static void turn(world *w) {
    assert_int_equal(linnet_loop_turn(w->loop, 5), LINNET_OK);
}

static void open_world(world *w, uint32_t workers) {
    (void)workers;
    *w = (world){ 0 };
    assert_int_equal(linnet_loop_new(NULL, &w->loop), LINNET_OK);
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    so.loop = w->loop;
    assert_int_equal(linnet_server_new(&so, &w->server), LINNET_OK);
    linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
    linnet_namespace kept = LINNET_NAMESPACE_INIT;
    kept.name = "kept";
    kept.members = true;
    ho.namespaces = &kept;
    ho.namespace_count = 1;
    assert_int_equal(linnet_hub_new(&ho, &w->hub), LINNET_OK);
    assert_int_equal(
        linnet_hub_presence(w->hub, linnet_str("x"), 0, 0, on_page, w), LINNET_ERR_STATE);
    assert_int_equal(linnet_hub_on_presence(w->hub, on_came, w), LINNET_OK);
    assert_int_equal(linnet_server_hub(w->server, "/ws/*", w->hub), LINNET_OK);
    assert_int_equal(linnet_hub_on_presence(w->hub, on_came, w), LINNET_ERR_STATE);
    assert_int_equal(linnet_server_listen(w->server, "127.0.0.1:0", NULL, w->bound), LINNET_OK);
    assert_int_equal(linnet_server_start(w->server), LINNET_OK);
}

static void dial(world *w, int i, char name) {
    char url[256];
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    snprintf(url, sizeof url, "ws://%s/ws/%c", w->bound, name);
    o.url = url;
    o.events.on_open = on_open;
    o.user = &w->conns[i];
    assert_int_equal(linnet_client_dial(w->loop, &o, NULL), LINNET_OK);
    uint64_t end = host_ms() + 10000;
    while (!w->conns[i] && host_ms() < end)
        turn(w);
    assert_non_null(w->conns[i]);
}

static void say(world *w, int i, const char *text) {
    assert_int_equal(linnet_conn_send(w->conns[i], LINNET_TEXT, linnet_str(text)), LINNET_OK);
}

static void ask(world *w, const char *channel, uint64_t after, uint32_t limit, const char *want) {
    int before = w->answers;
    assert_int_equal(
        linnet_hub_presence(w->hub, linnet_str(channel), after, limit, on_page, w), LINNET_OK);
    while (w->answers == before)
        turn(w);
    if (want) assert_string_equal(w->page, want);
}

static void await_count(world *w, const char *want) {
    uint64_t end = host_ms() + 10000;
    do
        ask(w, "kept:x", 0, LINNET_OFF, NULL);
    while (strcmp(w->page, want) != 0 && host_ms() < end);
    assert_string_equal(w->page, want);
}

static void await_came(world *w, const char *want) {
    uint64_t end = host_ms() + 10000;
    while (strcmp(w->came, want) != 0 && host_ms() < end)
        turn(w);
    assert_string_equal(w->came, want);
}

static void test_presence(void **state) {
    (void)state;
    world w;
    open_world(&w, 1);
    dial(&w, 0, 'a');
    dial(&w, 1, 'b');
    ask(&w, "kept:x", 0, 0, "=0,0");
    say(&w, 0, "{\"type\":\"subscribe\",\"channel\":\"kept:x\"}");
    await_count(&w, "=1,0");
    say(&w, 1, "{\"type\":\"subscribe\",\"channel\":\"kept:x\"}");
    say(&w, 1, "{\"type\":\"presence\",\"channel\":\"kept:x\",\"data\":7}");
    await_count(&w, "=2,0");
    ask(&w, "kept:x", 0, 0, "+a +b7 =2,0");
    ask(&w, "kept:x", 0, 1, "+a =2,0>");
    ask(&w, "kept:x", w.next, 1, "+b7 =2,0");
    await_came(&w, "+a +b7 ");
    say(&w, 0, "{\"type\":\"unsubscribe\",\"channel\":\"kept:x\"}");
    await_came(&w, "+a +b7 -a ");
    linnet_conn_close(w.conns[1], 1000, "");
    await_came(&w, "+a +b7 -a -b ");
    ask(&w, "x", 0, 0, NULL);
    assert_int_equal(w.err, LINNET_ERR_UNSUPPORTED);
    assert_int_equal(
        linnet_hub_presence(w.hub, linnet_str(""), 0, 0, on_page, &w), LINNET_ERR_INVAL);
    assert_int_equal(linnet_hub_presence(w.hub, linnet_str("x"), 0, 0, NULL, &w), LINNET_ERR_INVAL);
    int before = w.answers; /* one that the server's end overtakes */
    assert_int_equal(
        linnet_hub_presence(w.hub, linnet_str("kept:x"), 0, 0, on_page, &w), LINNET_OK);
    linnet_server_free(w.server);
    assert_int_equal(w.answers, before + 1);
    linnet_hub_free(w.hub);
    linnet_loop_free(w.loop);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_presence) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
