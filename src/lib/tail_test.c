/* Following what happens, over HTTP by hand. */
#include "lib/lib_test.h"
#include <linnet/watch.h>

#define POST "POST /tail HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"

typedef struct watch {
    host h; /* the first member */
    linnet_hub *hub;
    linnet_tail_options options;
    int err, times; /* of linnet_hub_tail; each request asks so often */
} watch;

static void on_tail(linnet_request *r, void *user) {
    watch *w = user;
    for (int i = 0; i < w->times; i++)
        w->err = linnet_hub_tail(w->hub, r, &w->options);
    if (w->err < 0 && w->times == 1) linnet_request_answer(r, 429, NULL, linnet_str("no\n"));
}

static void watch_open(watch *w) {
    linnet_http_route route = LINNET_HTTP_ROUTE_INIT;
    linnet_tail_options o = LINNET_TAIL_OPTIONS_INIT;
    host_open(&w->h);
    w->options = o;
    w->times = 1;
    route.methods = "POST";
    route.handler = on_tail;
    route.user = w;
    assert_int_equal(linnet_hub_new(NULL, &w->hub), LINNET_OK);
    assert_int_equal(linnet_server_hub(w->h.server, "/ws", w->hub), LINNET_OK);
    assert_int_equal(linnet_server_http(w->h.server, "/tail", &route), LINNET_OK);
    host_start(&w->h);
}

static void watch_free(watch *w) {
    linnet_server_free(w->h.server);
    linnet_hub_free(w->hub);
    linnet_loop_free(w->h.loop);
}

static int follow(watch *w) {
    int fd = host_visit(&w->h, linnet_str(POST));
    host_turn(&w->h, 4);
    host_hear(&w->h, fd);
    return fd;
}

static void publish(watch *w, const char *channel, const char *data) {
    linnet_publication p = LINNET_PUBLICATION_INIT;
    p.channel = linnet_str(channel);
    p.data = linnet_str(data);
    assert_int_equal(linnet_hub_publish(w->hub, &p), LINNET_OK);
    host_turn(&w->h, 3);
}

static void what_is_published_is_followed(void **state) {
    (void)state;
    for (int data = 0; data < 2; data++) {
        watch w = { .err = 0 };
        watch_open(&w);
        w.options.channel = linnet_str("news");
        w.options.data = data;
        publish(&w, "news", "0"); /* nobody follows yet */
        int fd = follow(&w);
        assert_non_null(strstr(w.h.heard, "200 OK"));
        assert_non_null(strstr(w.h.heard, "application/x-ndjson"));
        publish(&w, "other", "1");
        publish(&w, "news", "{\"a\":2}");
        host_hear(&w.h, fd);
        assert_null(strstr(w.h.heard, "other"));
        assert_non_null(strstr(w.h.heard, "\"channel\":\"news\",\"size\":7,"));
        assert_non_null(strstr(w.h.heard, "\"offset\":2"));
        assert_int_equal(strstr(w.h.heard, "\"data\":{\"a\":2}}") != NULL, data);
        close(fd);
        host_turn(&w.h, 4);
        publish(&w, "news", "3"); /* and nobody any more */
        watch_free(&w);
    }
}

static void what_is_refused(void **state) {
    (void)state;
    watch w = { .err = 0 };
    linnet_tail_options o = LINNET_TAIL_OPTIONS_INIT;
    char longest[300];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    watch_open(&w);
    const struct {
        const char *why;
        linnet_tail_options options;
    } rows[] = {
        { "a user", { sizeof o, linnet_str(longest), linnet_str(""), linnet_str(""), false } },
        { "a channel", { sizeof o, linnet_str(""), linnet_str(longest), linnet_str(""), false } },
        { "a client", { sizeof o, linnet_str(""), linnet_str(""), linnet_str(longest), false } },
        { "no struct", { 3, linnet_str(""), linnet_str(""), linnet_str(""), false } },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        w.options = rows[i].options;
        close(follow(&w));
        if (w.err != LINNET_ERR_INVAL) fail_msg("%s: %d", rows[i].why, w.err);
    }
    w.options = o;
    w.times = 2; /* the second time it is answered already */
    close(follow(&w));
    assert_int_equal(w.err, LINNET_ERR_STATE);
    assert_int_equal(linnet_hub_tail(w.hub, NULL, &o), LINNET_ERR_INVAL);
    watch_free(&w);
}

/* Many follow, and when there are as many as may, the next one is told so; who goes makes room. */
static void so_many_follow(void **state) {
    (void)state;
    watch w = { .err = 0 };
    int fds[17];
    watch_open(&w);
    for (int i = 0; i < 17; i++) {
        fds[i] = follow(&w);
        assert_int_equal(w.err, i < 16 ? LINNET_OK : LINNET_ERR_LIMIT);
    }
    close(fds[3]);
    close(fds[16]);
    publish(&w, "x", "0"); /* half a connection may be one that waits: writing tells */
    fds[16] = follow(&w);
    assert_int_equal(w.err, LINNET_OK);
    publish(&w, "x", "1");
    for (int i = 0; i < 17; i++) {
        if (i == 3) continue;
        host_hear(&w.h, fds[i]);
        assert_non_null(strstr(w.h.heard, "\"event\":\"publish\""));
        if (i % 2) close(fds[i]);
    }
    watch_free(&w); /* while some follow */
    for (int i = 0; i < 17; i += 2)
        close(fds[i]);
}

/* Whatever fails for want of memory, nothing is lost of others' and nothing leaks. */
static void without_memory(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 30; n++) {
        ln_test_memory memory = { 0 };
        ln_test_memory_install(&memory);
        watch w = { .err = 0 };
        watch_open(&w);
        int fd = host_visit(&w.h, linnet_str(POST));
        memory.fail_at = memory.calls + n;
        host_turn(&w.h, 4);
        memory.fail_at = 0;
        publish(&w, "x", "1");
        close(fd);
        host_turn(&w.h, 4);
        watch_free(&w);
        assert_int_equal(memory.live, 0);
        ln_test_memory_remove();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_published_is_followed),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(so_many_follow),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
