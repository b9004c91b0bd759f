/* What the program waits for: the places of its publications, pages of history. */
#include "base/testing.h"
#include <linnet/linnet.h>
#include <stdio.h>

typedef struct world {
    linnet_loop *loop;
    linnet_server *server;
    linnet_hub *hub;
} world;

/* Channels of `brief:` keep no log. */
static void world_open(world *w) {
    linnet_loop_options lo = LINNET_LOOP_OPTIONS_INIT;
    assert_int_equal(linnet_loop_new(&lo, &w->loop), LINNET_OK);
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    so.loop = w->loop;
    assert_int_equal(linnet_server_new(&so, &w->server), LINNET_OK);
    linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
    linnet_namespace brief = LINNET_NAMESPACE_INIT;
    brief.name = "brief";
    brief.live = true;
    ho.namespaces = &brief;
    ho.namespace_count = 1;
    assert_int_equal(linnet_hub_new(&ho, &w->hub), LINNET_OK);
    assert_int_equal(linnet_server_hub(w->server, "/ws", w->hub), LINNET_OK);
    assert_int_equal(linnet_server_listen(w->server, "127.0.0.1:0", NULL, NULL), LINNET_OK);
    assert_int_equal(linnet_server_start(w->server), LINNET_OK);
}

static void world_close(world *w) {
    linnet_server_free(w->server);
    linnet_hub_free(w->hub);
    linnet_loop_free(w->loop);
}

static void turn(world *w) {
    assert_int_equal(linnet_loop_turn(w->loop, 2000), LINNET_OK);
}

static int publish(linnet_hub *hub, const char *channel, const char *data) {
    linnet_publication p = LINNET_PUBLICATION_INIT;
    p.channel = linnet_str(channel);
    p.data = linnet_str(data);
    return linnet_hub_publish(hub, &p);
}

/* What became of publications, in the order told: "ok1 ok2 !-5 ". */
typedef struct fate {
    char text[200];
    size_t size;
    int told;
    uint64_t epoch; /* of a page */
} fate;

static void published(void *ctx, linnet_hub *hub, int err, uint64_t epoch, uint64_t offset) {
    fate *f = ctx;
    assert_non_null(hub);
    assert_int_equal(epoch != 0, offset != 0);
    f->size += (size_t)snprintf(f->text + f->size, sizeof f->text - f->size, "%s%d ",
        err ? "!" : "ok", err ? err : (int)offset);
    f->told++;
}

static int publish_then(linnet_hub *hub, const char *channel, bool is_volatile, fate *f) {
    linnet_publication p = LINNET_PUBLICATION_INIT;
    p.channel = linnet_str(channel);
    p.data = linnet_str("1");
    p.is_volatile = is_volatile;
    return linnet_hub_publish_then(hub, &p, published, f);
}

static void test_published_then(void **state) {
    (void)state;
    world w;
    fate f = { .told = 0 };
    world_open(&w);
    assert_int_equal(publish(w.hub, "c", "0"), LINNET_OK);
    assert_int_equal(publish_then(w.hub, "c", false, &f), LINNET_OK);
    assert_int_equal(publish_then(w.hub, "c", true, &f), LINNET_OK);
    assert_int_equal(publish(w.hub, "c", "0"), LINNET_OK);
    assert_int_equal(publish_then(w.hub, "c", false, &f), LINNET_OK);
    assert_int_equal(publish_then(w.hub, "brief:c", false, &f), LINNET_OK);
    assert_int_equal(publish_then(w.hub, "a b", false, &f), LINNET_ERR_INVAL);
    assert_int_equal(publish_then(w.hub, "$a", false, &f), LINNET_ERR_DENIED);
    linnet_publication nothing = LINNET_PUBLICATION_INIT;
    assert_int_equal(linnet_hub_publish_then(w.hub, &nothing, NULL, &f), LINNET_ERR_INVAL);
    while (f.told < 4)
        turn(&w);
    assert_string_equal(f.text, "ok2 ok0 ok4 ok0 ");

    /* the server ends before anybody looked */
    assert_int_equal(publish_then(w.hub, "c", false, &f), LINNET_OK);
    world_close(&w);
    assert_int_equal(f.told, 5);
}

static void test_published_once(void **state) {
    (void)state;
    static const struct {
        const char *why, *channel, *principal, *key;
        bool is_volatile;
        const char *told;
    } rows[] = {
        { "the first", "c", "", "k", false, "ok1 " },
        { "again", "c", "", "k", false, "ok1 " },
        { "another key", "c", "", "l", false, "ok2 " },
        { "somebody else's", "c", "shop", "k", false, "ok3 " },
        { "somebody else's again", "c", "shop", "k", false, "ok3 " },
        { "without a key", "c", "", "", false, "ok4 " },
        { "the first once more", "c", "", "k", false, "ok1 " },
        { "in another channel", "d", "", "k", false, "ok1 " },
        { "volatile", "d", "", "v", true, "ok0 " },
        { "volatile again", "d", "", "v", true, "ok0 " },
        { "where nothing is kept", "brief:d", "", "k", false, "ok0 " },
    };
    world w;
    world_open(&w);
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        fate f = { .told = 0 };
        linnet_publication p = LINNET_PUBLICATION_INIT;
        p.channel = linnet_str(rows[i].channel);
        p.data = linnet_str("1");
        p.key = linnet_str(rows[i].key);
        p.principal = linnet_str(rows[i].principal);
        p.is_volatile = rows[i].is_volatile;
        assert_int_equal(linnet_hub_publish_then(w.hub, &p, published, &f), LINNET_OK);
        while (!f.told)
            turn(&w);
        assert_string_equal(f.text, rows[i].told);
    }
    char longer[66] = { 0 };
    memset(longer, 'k', 65);
    fate f = { .told = 0 };
    linnet_publication p = LINNET_PUBLICATION_INIT;
    p.channel = linnet_str("c");
    p.data = linnet_str("1");
    p.key = linnet_str(longer);
    assert_int_equal(linnet_hub_publish_then(w.hub, &p, published, &f), LINNET_ERR_INVAL);
    p.key = linnet_str("k");
    p.principal = linnet_str(longer);
    assert_int_equal(linnet_hub_publish(w.hub, &p), LINNET_ERR_INVAL);
    world_close(&w);
}

/* Over all workers, from a thread that is none of them. */
static void test_published_then_elsewhere(void **state) {
    (void)state;
    enum { MANY = 500 };
    static fate fates[MANY];
    linnet_server *server;
    linnet_hub *hub;
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    so.workers = 4;
    assert_int_equal(linnet_server_new(&so, &server), LINNET_OK);
    assert_int_equal(linnet_hub_new(NULL, &hub), LINNET_OK);
    assert_int_equal(publish_then(hub, "c", false, &fates[0]), LINNET_ERR_STATE);
    assert_int_equal(linnet_server_hub(server, "/ws", hub), LINNET_OK);
    assert_int_equal(linnet_server_listen(server, "127.0.0.1:0", NULL, NULL), LINNET_OK);
    assert_int_equal(linnet_server_start(server), LINNET_OK);
    memset(fates, 0, sizeof fates);
    for (int i = 0; i < MANY; i++) {
        char channel[8];
        snprintf(channel, sizeof channel, "c%d", i % 50);
        assert_int_equal(publish_then(hub, channel, false, &fates[i]), LINNET_OK);
    }
    linnet_server_free(server); /* joins the workers: what is written is seen */
    int placed = 0;
    for (int i = 0; i < MANY; i++) {
        char place[16];
        snprintf(place, sizeof place, "ok%d ", i / 50 + 1);
        assert_int_equal(fates[i].told, 1);
        placed += strcmp(fates[i].text, place) == 0;
        if (fates[i].text[0] == '!') assert_non_null(strchr(fates[i].text, '-'));
    }
    print_message("# %d of %d had a place before the end\n", placed, MANY);
    linnet_hub_free(hub);
}

/* Pages of history: "5[3 4] " where the channel stands, and what was read; or the error. */
static void page_read(void *ctx, linnet_hub *hub, int err, const linnet_history_page *page) {
    fate *f = ctx;
    assert_non_null(hub);
    assert_int_equal(err != LINNET_OK, page == NULL);
    f->told++;
    if (err) {
        f->size += (size_t)snprintf(f->text + f->size, sizeof f->text - f->size, "!%d ", err);
        return;
    }
    f->epoch = page->epoch;
    f->size += (size_t)snprintf(
        f->text + f->size, sizeof f->text - f->size, "%d[", (int)page->offset);
    for (size_t i = 0; i < page->count; i++) {
        assert_int_equal(page->items[i].epoch, page->epoch);
        assert_int_equal(page->items[i].size, sizeof *page->items);
        assert_true(ln_slice_eq(page->items[i].data, LN_SLICE("[1]")));
        f->size += (size_t)snprintf(f->text + f->size, sizeof f->text - f->size, "%s%d",
            i ? " " : "", (int)page->items[i].offset);
    }
    f->size += (size_t)snprintf(f->text + f->size, sizeof f->text - f->size, "] ");
}

static void test_history(void **state) {
    (void)state;
    static const struct {
        const char *why, *channel;
        uint64_t epoch, offset; /* epoch 1: the channel's */
        uint32_t limit;
        bool reverse;
        int err;
        const char *told;
    } rows[] = {
        { "all", "c", 0, 0, 0, false, LINNET_OK, "5[1 2 3 4 5] " },
        { "an offset of no epoch is none", "c", 0, 4, 0, false, LINNET_OK, "5[1 2 3 4 5] " },
        { "the newest", "c", 0, 0, 2, true, LINNET_OK, "5[5 4] " },
        { "behind one", "c", 1, 2, 2, false, LINNET_OK, "5[3 4] " },
        { "before one", "c", 1, 3, 1000000, true, LINNET_OK, "5[2 1] " },
        { "where it stands", "c", 0, 0, LINNET_OFF, false, LINNET_OK, "5[] " },
        { "nothing yet", "d", 0, 0, 0, false, LINNET_OK, "0[] " },
        { "another epoch", "c", 2, 2, 2, false, LINNET_OK, "!-7 " },
        { "beyond the end", "c", 1, 6, 2, false, LINNET_OK, "!-7 " },
        { "the furthest", "c", 1, UINT64_MAX, 2, true, LINNET_OK, "5[5 4] " },
        { "one that keeps none", "brief:c", 0, 0, 0, false, LINNET_OK, "!-10 " },
        { "no name", "", 0, 0, 0, false, LINNET_ERR_INVAL, "" },
        { "a reserved name", "$c", 0, 0, 0, false, LINNET_ERR_DENIED, "" },
    };
    world w;
    fate f = { .told = 0 };
    world_open(&w);
    for (int i = 0; i < 5; i++)
        assert_int_equal(publish(w.hub, "c", "[1]"), LINNET_OK);
    uint64_t epoch = 0; /* the first row tells */
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        linnet_history_query q = LINNET_HISTORY_QUERY_INIT;
        q.channel = linnet_str(rows[i].channel);
        q.epoch = rows[i].epoch == 1 ? epoch : rows[i].epoch;
        q.offset = rows[i].offset;
        q.limit = rows[i].limit;
        q.reverse = rows[i].reverse;
        f = (fate){ .told = 0 };
        assert_int_equal(linnet_hub_history(w.hub, &q, page_read, &f), rows[i].err);
        while (rows[i].err == LINNET_OK && !f.told)
            turn(&w);
        assert_string_equal(f.text, rows[i].told);
        if (i == 0) epoch = f.epoch;
    }
    linnet_history_query q = LINNET_HISTORY_QUERY_INIT;
    assert_int_equal(linnet_hub_history(w.hub, NULL, page_read, &f), LINNET_ERR_INVAL);
    assert_int_equal(linnet_hub_history(w.hub, &q, NULL, &f), LINNET_ERR_INVAL);
    q.channel = linnet_str("c");
    f = (fate){ .told = 0 };
    assert_int_equal(linnet_hub_history(w.hub, &q, page_read, &f), LINNET_OK);
    world_close(&w); /* the server ends before anybody looked */
    assert_int_equal(f.told, 1);
}
int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_then),
        cmocka_unit_test(test_published_once),
        cmocka_unit_test(test_published_then_elsewhere),
        cmocka_unit_test(test_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
