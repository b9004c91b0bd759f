/* Which channels there are: pages of them, on one worker and on several. */
#include "base/mem.h"
#include "base/num.h"
#include "base/testing.h"
#include <linnet/linnet.h>
#include <pthread.h>
#include <stdio.h>

#define TEXT 8192

typedef struct told { /* the last answer */
    pthread_mutex_t lock;
    pthread_cond_t change;
    int count, err, refused;
    char text[TEXT]; /* "name=subscribers/connections,users@offset " and ">" */
    char last[256];
    size_t names, size;
    bool more;
    uint8_t *seen; /* of names that end in a number: how often */
} told;

typedef struct world {
    linnet_server *server;
    linnet_hub *hub;
    linnet_loop *loop; /* of clients; and of the server, when it has no workers of its own */
    bool one;          /* it has none */
    char bound[128];
    told t;
    unsigned answers; /* to clients */
} world;

static void write_down(told *t, const linnet_channel *c) {
    char out[400];
    int size = snprintf(out, sizeof out, "%.*s=%u", (int)c->name.size, (const char *)c->name.data,
        (unsigned)c->subscribers);
    if (c->members)
        size += snprintf(out + size, sizeof out - (size_t)size, "/%u,%u", c->connections, c->users);
    if (c->epoch)
        size += snprintf(
            out + size, sizeof out - (size_t)size, "@%llu", (unsigned long long)c->offset);
    if (t->size + (size_t)size + 2 < TEXT)
        t->size += (size_t)snprintf(t->text + t->size, TEXT - t->size, "%s ", out);
    uint64_t number;
    ln_slice part, rest = c->name;
    bool numbered = ln_slice_cut(&rest, ':', &part) && ln_num_u64(rest, 65535, &number);
    if (t->seen && numbered) t->seen[number]++;
}

static void listed(
    void *ctx, linnet_hub *hub, int err, const linnet_channel *channels, size_t count, bool more) {
    told *t = ctx;
    assert_non_null(hub);
    pthread_mutex_lock(&t->lock);
    t->text[t->size = 0] = 0;
    for (size_t i = 0; i < count; i++)
        write_down(t, &channels[i]);
    if (count)
        snprintf(t->last, sizeof t->last, "%.*s", (int)channels[count - 1].name.size,
            (const char *)channels[count - 1].name.data);
    t->err = err;
    t->refused += err == LINNET_ERR_AGAIN;
    t->names = count;
    t->more = more;
    if (more) snprintf(t->text + t->size, TEXT - t->size, ">");
    t->count++;
    pthread_cond_signal(&t->change);
    pthread_mutex_unlock(&t->lock);
}

/* `brief:` has no log, `crew:` keeps its members. */
static void serve(world *w, unsigned workers) {
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    so.workers = workers;
    if (!workers) so.loop = w->loop;
    assert_int_equal(linnet_server_new(&so, &w->server), LINNET_OK);
    linnet_namespace spaces[] = { LINNET_NAMESPACE_INIT, LINNET_NAMESPACE_INIT };
    linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
    spaces[0].name = "brief";
    spaces[0].live = true;
    spaces[1].name = "crew";
    spaces[1].members = true;
    ho.namespaces = spaces;
    ho.namespace_count = LN_COUNT(spaces);
    assert_int_equal(linnet_hub_new(&ho, &w->hub), LINNET_OK);
    assert_int_equal(linnet_server_hub(w->server, "/ws", w->hub), LINNET_OK);
    assert_int_equal(linnet_server_listen(w->server, "127.0.0.1:0", NULL, w->bound), LINNET_OK);
    assert_int_equal(linnet_server_start(w->server), LINNET_OK);
}

/* workers 0: on the loop of the test. */
static void world_open(world *w, unsigned workers) {
    *w = (world){ .one = workers == 0 };
    pthread_mutex_init(&w->t.lock, NULL);
    pthread_cond_init(&w->t.change, NULL);
    assert_int_equal(linnet_loop_new(NULL, &w->loop), LINNET_OK);
    serve(w, workers);
}

static void world_close(world *w) {
    linnet_server_free(w->server);
    linnet_hub_free(w->hub);
    linnet_loop_free(w->loop);
    pthread_cond_destroy(&w->t.change);
    pthread_mutex_destroy(&w->t.lock);
}

static void turn(world *w) {
    assert_int_equal(linnet_loop_turn(w->loop, 1000), LINNET_OK);
}

static int ask(world *w, const char *prefix, const char *after, uint32_t limit) {
    linnet_channels_query q = LINNET_CHANNELS_QUERY_INIT;
    q.prefix = linnet_str(prefix);
    q.after = linnet_str(after);
    q.limit = limit;
    return linnet_hub_channels(w->hub, &q, listed, &w->t);
}

static void await(world *w, int count) {
    if (!w->one) {
        pthread_mutex_lock(&w->t.lock);
        while (w->t.count < count)
            pthread_cond_wait(&w->t.change, &w->t.lock);
        pthread_mutex_unlock(&w->t.lock);
        return;
    }
    for (int i = 0; i < 100000 && w->t.count < count; i++)
        turn(w);
    assert_int_equal(w->t.count, count);
}

static void page(world *w, const char *prefix, const char *after, uint32_t limit) {
    int before = w->t.count;
    assert_int_equal(ask(w, prefix, after, limit), LINNET_OK);
    await(w, before + 1);
    assert_int_equal(w->t.err, LINNET_OK);
}

static void expect(world *w, const char *prefix, const char *after, uint32_t limit, const char *e) {
    page(w, prefix, after, limit);
    if (strcmp(w->t.text, e) != 0)
        fail_msg("'%s' '%s' %u: '%s' and not '%s'", prefix, after, limit, w->t.text, e);
}

static void published(void *ctx, linnet_hub *hub, int err, uint64_t epoch, uint64_t offset) {
    told *t = ctx;
    (void)hub, (void)epoch, (void)offset;
    pthread_mutex_lock(&t->lock);
    assert_int_equal(err, LINNET_OK);
    t->count++;
    pthread_cond_signal(&t->change);
    pthread_mutex_unlock(&t->lock);
}

static void publish(world *w, const char *channel) {
    linnet_publication p = LINNET_PUBLICATION_INIT;
    p.channel = linnet_str(channel);
    p.data = linnet_str("1");
    int before = w->t.count;
    assert_int_equal(linnet_hub_publish_then(w->hub, &p, published, &w->t), LINNET_OK);
    await(w, before + 1);
}

/* On one loop. */
static void fill(world *w, int many) {
    char name[32];
    for (int i = 0; i < many; i++) {
        linnet_publication p = LINNET_PUBLICATION_INIT;
        snprintf(name, sizeof name, "stay:%d", i);
        p.channel = linnet_str(name);
        p.data = linnet_str("1");
        assert_int_equal(linnet_hub_publish(w->hub, &p), LINNET_OK);
        if (i % 1000 == 999) turn(w);
    }
}

static void heard(void *ctx, linnet_hub *hub, const linnet_publication *p) {
    (void)ctx, (void)hub, (void)p;
}

/* ---- clients ---------------------------------------------------------------------------- */

static void on_open(linnet_conn *conn) {
    world *w = linnet_conn_user(conn);
    w->answers++;
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    world *w = linnet_conn_user(conn);
    (void)opcode;
    if (data.size > 12 && memcmp(data.data, "{\"type\":\"ok\"", 12) == 0) w->answers++;
}

static linnet_conn *last_opened;
static void on_open_kept(linnet_conn *conn) {
    last_opened = conn;
    on_open(conn);
}

static linnet_conn *dial(world *w) {
    char url[160];
    static const char *const offered[] = { "linnet.v1", NULL };
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    snprintf(url, sizeof url, "ws://%s/ws", w->bound);
    o.url = url;
    o.subprotocols = offered;
    o.events.on_open = on_open_kept;
    o.events.on_message = on_message;
    o.user = w;
    unsigned before = w->answers;
    assert_int_equal(linnet_client_dial(w->loop, &o, NULL), LINNET_OK);
    while (w->answers == before)
        turn(w);
    return last_opened;
}

static void say(world *w, linnet_conn *conn, const char *text) {
    unsigned before = w->answers;
    assert_int_equal(linnet_conn_send(conn, LINNET_TEXT, linnet_str(text)), LINNET_OK);
    while (w->answers == before)
        turn(w);
}

/* ---- tests ------------------------------------------------------------------------------ */

static void test_what_is_no_question(void **state) {
    (void)state;
    linnet_hub *hub;
    told t = { .count = 0 };
    char longest[300];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_int_equal(linnet_hub_new(NULL, &hub), LINNET_OK);
    const struct {
        const char *why, *prefix, *after;
        uint32_t limit;
        int want;
    } rows[] = {
        { "no server", "", "", 0, LINNET_ERR_STATE },
        { "a limit", "", "", 1000, LINNET_ERR_STATE },
        { "a large one", "", "", 1001, LINNET_ERR_INVAL },
        { "a huge one", "", "", UINT32_MAX, LINNET_ERR_INVAL },
        { "a prefix of nothing", "a b", "", 0, LINNET_ERR_INVAL },
        { "no text", "\x01", "", 0, LINNET_ERR_INVAL },
        { "a long one", longest, "", 0, LINNET_ERR_INVAL },
        { "a pattern", "room:*", "", 0, LINNET_ERR_INVAL },
        { "behind nothing", "", "\xff", 0, LINNET_ERR_INVAL },
        { "behind a long one", "", longest, 0, LINNET_ERR_INVAL },
        { "users", "@", "@anna", 0, LINNET_ERR_STATE },
        { "what is reserved", "$", "system", 0, LINNET_ERR_STATE },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        linnet_channels_query q = LINNET_CHANNELS_QUERY_INIT;
        q.prefix = linnet_str(rows[i].prefix);
        q.after = linnet_str(rows[i].after);
        q.limit = rows[i].limit;
        int err = linnet_hub_channels(hub, &q, listed, &t);
        if (err != rows[i].want) fail_msg("%s: %d", rows[i].why, err);
    }
    linnet_channels_query q = LINNET_CHANNELS_QUERY_INIT;
    assert_int_equal(linnet_hub_channels(NULL, &q, listed, &t), LINNET_ERR_INVAL);
    assert_int_equal(linnet_hub_channels(hub, NULL, listed, &t), LINNET_ERR_INVAL);
    assert_int_equal(linnet_hub_channels(hub, &q, NULL, &t), LINNET_ERR_INVAL);
    q.size = 5;
    assert_int_equal(linnet_hub_channels(hub, &q, listed, &t), LINNET_ERR_INVAL);
    assert_int_equal(t.count, 0);
    linnet_hub_free(hub);
}

static void the_pages(unsigned workers) {
    world w;
    linnet_hub_subscription *sub;
    linnet_conn *conns[5];
    world_open(&w, workers);
    expect(&w, "", "", 0, "");
    publish(&w, "news");
    publish(&w, "news");
    publish(&w, "room:2");
    publish(&w, "room:1");
    publish(&w, "@anna");
    publish(&w, "brief:nobody"); /* it is in no log, and nobody hears it */
    expect(&w, "", "", 0, "@anna=0@1 news=0@2 room:1=0@1 room:2=0@1 ");
    for (int i = 0; i < 5; i++) {
        conns[i] = dial(&w);
        say(&w, conns[i], "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"room:1\"}");
        if (i == 0) say(&w, conns[i], "{\"type\":\"subscribe\",\"id\":2,\"channel\":\"brief:x\"}");
        if (i < 2) say(&w, conns[i], "{\"type\":\"subscribe\",\"id\":3,\"channel\":\"crew:7\"}");
    }
    assert_int_equal(
        linnet_hub_subscribe(w.hub, linnet_str("room:1"), heard, NULL, NULL, &sub), LINNET_OK);
    publish(&w, "room:1"); /* what comes behind it is behind its joining */
    expect(&w, "", "", 0, "@anna=0@1 brief:x=1 crew:7=2/2,0@0 news=0@2 room:1=6@2 room:2=0@1 ");
    expect(&w, "", "", 2, "@anna=0@1 brief:x=1 >");
    expect(&w, "", "brief:x", 2, "crew:7=2/2,0@0 news=0@2 >");
    expect(&w, "", "news", 2, "room:1=6@2 room:2=0@1 ");
    expect(&w, "", "room:2", 2, "");
    expect(&w, "", "mews", 1, "news=0@2 >"); /* behind what is not there */
    expect(&w, "room:", "", 0, "room:1=6@2 room:2=0@1 ");
    expect(&w, "room:", "room:1", 1, "room:2=0@1 ");
    expect(&w, "room:", "s", 0, "");
    expect(&w, "@", "", 0, "@anna=0@1 ");
    expect(&w, "$", "", 0, "");
    expect(&w, "room:22", "", 0, "");
    world_close(&w);
}

static void test_pages(void **state) {
    (void)state;
    the_pages(0);
    the_pages(1);
    the_pages(4);
}

typedef struct crowd { /* comes and goes meanwhile */
    world *w;
    bool over;
} crowd;

static bool is_over(crowd *c) {
    pthread_mutex_lock(&c->w->t.lock);
    bool over = c->over;
    pthread_mutex_unlock(&c->w->t.lock);
    return over;
}

static void *come_and_go(void *arg) {
    crowd *c = arg;
    char name[32];
    for (unsigned i = 0; !is_over(c); i++) {
        linnet_hub_subscription *sub;
        snprintf(name, sizeof name, "brief:%u", 40000 + i % 20000);
        if (linnet_hub_subscribe(c->w->hub, linnet_str(name), heard, NULL, NULL, &sub) < 0)
            continue;
        while (linnet_hub_unsubscribe(sub) == LINNET_ERR_AGAIN)
            continue;
    }
    return NULL;
}

/* Those that stay are listed once, whatever happens between the pages and during one. */
static void test_once_each(void **state) {
    (void)state;
    enum { STAY = 3000 };
    world w;
    crowd c = { .w = &w };
    pthread_t thread;
    char name[32], after[256] = "";
    world_open(&w, 4);
    for (int i = 0; i < STAY; i++) {
        snprintf(name, sizeof name, "stay:%d", i);
        publish(&w, name);
    }
    w.t.seen = ln_calloc(65536, 1);
    assert_int_equal(pthread_create(&thread, NULL, come_and_go, &c), 0);
    for (int pages = 0; pages < 1000; pages++) {
        page(&w, "", after, 97);
        memcpy(after, w.t.last, sizeof after);
        if (!w.t.more) break;
    }
    pthread_mutex_lock(&w.t.lock);
    c.over = true;
    pthread_mutex_unlock(&w.t.lock);
    pthread_join(thread, NULL);
    assert_false(w.t.more);
    for (int i = 0; i < STAY; i++)
        if (w.t.seen[i] != 1) fail_msg("stay:%d came %d times", i, w.t.seen[i]);
    ln_free(w.t.seen);
    world_close(&w);
}

/* A worker with many channels is not held up by one who asks for them, nor by several. */
static void test_a_little_in_each_turn(void **state) {
    (void)state;
    enum { MANY = 20000 };
    world w;
    world_open(&w, 0);
    fill(&w, MANY);
    const int at_once[] = { 1, 4 };
    for (size_t k = 0; k < LN_COUNT(at_once); k++) {
        int before = w.t.count, turns = 0;
        for (int i = 0; i < at_once[k]; i++)
            assert_int_equal(ask(&w, "", "", 10), LINNET_OK);
        for (; w.t.count < before + at_once[k] && turns < 100000; turns++)
            assert_int_equal(linnet_loop_turn(w.loop, 1000), LINNET_OK);
        assert_int_equal(w.t.names, 10);
        assert_true(w.t.more);
        assert_in_range(turns, MANY * at_once[k] / 4096, 10000); /* logs alone are so many */
    }
    world_close(&w);
}

/* Too many at a time are refused, and are no burden to who comes later. */
static void test_too_many(void **state) {
    (void)state;
    enum { ALL = 70 };
    world w;
    world_open(&w, 0);
    fill(&w, 10000);
    for (int i = 0; i < ALL; i++)
        assert_int_equal(ask(&w, "", "", 1), LINNET_OK);
    await(&w, ALL);
    assert_int_equal(w.t.refused, ALL - 64);
    page(&w, "", "", 1);
    world_close(&w);
}

/* Told once, whenever the server ends. */
static void test_told_once(void **state) {
    (void)state;
    for (int turns = 0; turns < 8; turns++) {
        world w;
        world_open(&w, 0);
        fill(&w, 5000);
        assert_int_equal(ask(&w, "", "", 0), LINNET_OK);
        for (int i = 0; i < turns; i++)
            assert_int_equal(linnet_loop_turn(w.loop, 0), LINNET_OK);
        linnet_server_free(w.server);
        assert_int_equal(w.t.count, 1);
        if (turns == 0) assert_int_equal(w.t.err, LINNET_ERR_CANCELLED);
        if (turns == 7) assert_int_equal(w.t.err, LINNET_OK);
        linnet_hub_free(w.hub);
        linnet_loop_free(w.loop);
    }
    for (unsigned start = 0; start < 20; start++) {
        world w;
        world_open(&w, 3);
        assert_int_equal(ask(&w, "", "", 0), LINNET_OK);
        linnet_server_free(w.server); /* what was written by its threads is seen */
        assert_int_equal(w.t.count, 1);
        linnet_hub_free(w.hub);
        linnet_loop_free(w.loop);
    }
}

/* A server that ends in the middle of it leaves nothing behind on a loop that goes on. */
static void test_next_server(void **state) {
    (void)state;
    world w;
    world_open(&w, 0);
    fill(&w, 30000);
    assert_int_equal(ask(&w, "", "", 1), LINNET_OK);
    assert_int_equal(linnet_loop_turn(w.loop, 0), LINNET_OK);
    linnet_server_free(w.server);
    linnet_hub_free(w.hub);
    assert_int_equal(w.t.count, 1);
    assert_int_equal(w.t.err, LINNET_ERR_CANCELLED);
    serve(&w, 0);
    publish(&w, "news");
    expect(&w, "", "", 0, "news=0@1 ");
    world_close(&w);
}

/* Without memory it is refused, or told; nothing is left behind. */
static void test_memory(void **state) {
    (void)state;
    ln_test_memory memory = { 0 };
    ln_test_memory_install(&memory);
    world w;
    int refused = 0, failed = 0;
    world_open(&w, 0);
    publish(&w, "news");
    page(&w, "", "", 0);
    for (uint64_t n = 1; n < 100; n++) {
        int before = w.t.count;
        memory.fail_at = memory.calls + n;
        int err = ask(&w, "", "", 0);
        if (err == LINNET_OK) await(&w, before + 1);
        bool hit = memory.calls >= memory.fail_at;
        memory.fail_at = 0;
        refused += err == LINNET_ERR_NOMEM;
        failed += err == LINNET_OK && w.t.err == LINNET_ERR_NOMEM;
        if (!hit) break;
    }
    assert_int_equal(refused, 3); /* the listing, its parts, and a letter */
    assert_int_equal(failed, 4);  /* names, items, counts, and what is told */
    page(&w, "", "", 0);
    world_close(&w);
    assert_int_equal(memory.live, 0);
    ln_test_memory_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_no_question),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_once_each),
        cmocka_unit_test(test_a_little_in_each_turn),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_told_once),
        cmocka_unit_test(test_next_server),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
