/* Event streams, spoken by hand. */
#include "lib/lib_test.h"

#define GET(query) "GET /sse" query " HTTP/1.1\r\nHost: h\r\n"
#define END        "\r\n"

typedef struct streams {
    host h; /* the first member */
    linnet_hub *hub;
} streams;

static void streams_open_with(streams *s, const linnet_auth_options *auth) {
    host_open(&s->h);
    linnet_hub_options o = LINNET_HUB_OPTIONS_INIT;
    linnet_namespace spaces[] = { LINNET_NAMESPACE_INIT, LINNET_NAMESPACE_INIT,
        LINNET_NAMESPACE_INIT };
    spaces[0].name = "live";
    spaces[0].live = true;
    spaces[1].name = "closed";
    spaces[1].subscribe = LINNET_RULE_NOBODY;
    spaces[2].name = "open";
    spaces[2].subscribe = LINNET_RULE_ANYONE;
    o.namespaces = spaces;
    o.namespace_count = 3;
    o.auth = auth;
    assert_int_equal(linnet_hub_new(&o, &s->hub), LINNET_OK);
    assert_int_equal(linnet_server_sse(s->h.server, "/sse", s->hub), LINNET_OK);
    host_start(&s->h);
}

static void streams_free(streams *s) {
    linnet_server_free(s->h.server);
    linnet_hub_free(s->hub);
    linnet_loop_free(s->h.loop);
}

static void streams_open(streams *s) {
    streams_open_with(s, NULL);
}

static int read_stream(streams *s, const char *request) {
    int fd = host_visit(&s->h, linnet_str(request));
    host_turn(&s->h, 4);
    host_hear(&s->h, fd);
    return fd;
}

static void publish(streams *s, const char *channel, const char *event, const char *data) {
    linnet_publication p = LINNET_PUBLICATION_INIT;
    p.channel = linnet_str(channel);
    p.event = linnet_str(event);
    p.data = linnet_str(data);
    assert_int_equal(linnet_hub_publish(s->hub, &p), LINNET_OK);
    host_turn(&s->h, 3);
}

/* Copies a pattern with epochs in it: @ is a, & is b. */
static const char *fill(char out[300], const char *pattern, const char *a, const char *b) {
    size_t used = 0;
    for (; *pattern; pattern++) {
        const char *epoch = *pattern == '@' ? a : b;
        bool one = *pattern != '@' && *pattern != '&';
        size_t n = one ? 1 : strlen(epoch);
        assert_true(used + n < 300);
        memcpy(out + used, one ? pattern : epoch, n);
        used += n;
    }
    out[used] = 0;
    return out;
}

/* The epoch of the n-th place in the last id that was heard. */
static const char *epoch_of(const streams *s, int n) {
    static char epoch[17];
    const char *id = NULL;
    for (const char *at = s->h.heard; (at = strstr(at, "\nid: ")); at++)
        id = at + 5;
    assert_non_null(id);
    for (; n; n--)
        id = strchr(id, ',') + 1;
    memcpy(epoch, id, 16);
    return epoch;
}

/* That he has gone is seen when something is said to him, which a comment would be. */
static void drop(streams *s, int fd, const char *channel) {
    close(fd);
    for (int i = 0; i < 3; i++)
        publish(s, channel, "", "0");
    host_turn(&s->h, 3);
    assert_int_equal(linnet_server_connections(s->h.server), 0);
}

static void test_refusals(void **state) {
    (void)state;
    static const struct {
        const char *why, *request, *status;
    } rows[] = {
        { "no channel", GET("") END, "HTTP/1.1 400 " },
        { "an empty one", GET("?channel=") END, "HTTP/1.1 400 " },
        { "no name", GET("?channel=a%20b") END, "HTTP/1.1 400 " },
        { "reserved", GET("?channel=a&channel=$x") END, "HTTP/1.1 403 " },
        { "a channel twice", GET("?channel=a&channel=%61") END, "HTTP/1.1 400 " },
        { "17 channels",
            GET("?channel=1&channel=2&channel=3&channel=4&channel=5&channel=6&channel=7&channel=8"
                "&channel=9&channel=10&channel=11&channel=12&channel=13&channel=14&channel=15"
                "&channel=16&channel=17") END,
            "HTTP/1.1 400 " },
        { "a page from elsewhere", GET("?channel=a") "Origin: https://evil.example\r\n" END,
            "HTTP/1.1 403 " },
        { "two origins", GET("?channel=a") "Origin: http://h\r\nOrigin: http://h\r\n" END,
            "HTTP/1.1 403 " },
        { "no GET", "POST /sse?channel=a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n" END,
            "HTTP/1.1 405 " },
        { "HEAD is answered and ends",
            "HEAD /sse?channel=a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" END,
            "HTTP/1.1 200 " },
    };
    streams s;
    streams_open(&s);
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        int fd = read_stream(&s, rows[i].request);
        if (strncmp(s.h.heard, rows[i].status, strlen(rows[i].status)) != 0)
            fail_msg("%s: %s", rows[i].why, s.h.heard);
        assert_lacks(s.h.heard, "retry:");
        drop(&s, fd, "x");
    }
    streams_free(&s);
}

/* Readers without a token; those with one are in tests/e2e/readers. */
static void test_access(void **state) {
    (void)state;
    static const struct {
        const char *why;
        int anonymous; /* < 0: nobody has to log in */
        const char *channel, *status;
    } rows[] = {
        { "nobody has to log in", -1, "x", "HTTP/1.1 200 " },
        { "but that channel is for nobody", -1, "closed:x", "HTTP/1.1 403 " },
        { "one has to log in", LINNET_ANONYMOUS_NOTHING, "open:x", "HTTP/1.1 401 " },
        { "guests may be here", LINNET_ANONYMOUS_CONNECT, "open:x", "HTTP/1.1 200 " },
        { "and not there", LINNET_ANONYMOUS_CONNECT, "x", "HTTP/1.1 403 " },
        { "guests may subscribe", LINNET_ANONYMOUS_SUBSCRIBE, "x", "HTTP/1.1 200 " },
        { "not where nobody may", LINNET_ANONYMOUS_SUBSCRIBE, "closed:x", "HTTP/1.1 403 " },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        streams s;
        linnet_auth_options auth = LINNET_AUTH_OPTIONS_INIT;
        auth.anonymous = (linnet_anonymous)rows[i].anonymous;
        assert_int_equal(linnet_keys_new(&auth.keys), LINNET_OK);
        streams_open_with(&s, rows[i].anonymous < 0 ? NULL : &auth);
        char request[100];
        snprintf(request, sizeof request, "GET /sse?channel=%s HTTP/1.1\r\nHost: h\r\n\r\n",
            rows[i].channel);
        int fd = read_stream(&s, request);
        if (strncmp(s.h.heard, rows[i].status, strlen(rows[i].status)) != 0)
            fail_msg("%s: %s", rows[i].why, s.h.heard);
        close(fd);
        streams_free(&s);
        linnet_keys_free(auth.keys);
    }
}

static void test_events(void **state) {
    (void)state;
    streams s;
    streams_open(&s);
    int fd = read_stream(&s, GET("?channel=news") "Origin: http://h\r\n" END);
    assert_has(s.h.heard, "HTTP/1.1 200 OK\r\n");
    assert_has(s.h.heard, "\r\nContent-Type: text/event-stream\r\n");
    assert_has(s.h.heard, "\r\nAccess-Control-Allow-Origin: http://h\r\n");
    assert_has(s.h.heard, "\r\nVary: Origin\r\n");
    assert_has(s.h.heard, "retry: 1");
    char want[300];
    static const struct {
        const char *event, *data, *heard;
    } rows[] = {
        { "", "{\"n\":1}", "\r\ndata: {\"n\":1}\nid: @:1\n\n\r\n" },
        { "message", "[]", "\r\ndata: []\nid: @:2\n\n\r\n" },
        { "moved", "null", "\r\nevent: moved\ndata: null\nid: @:3\n\n\r\n" },
        { "", "{\n\"n\":\r\n2}", "\r\ndata: {\ndata: \"n\":\ndata: 2}\nid: @:4\n\n\r\n" },
        { "", "[1,\r2]", "\r\ndata: [1,\ndata: 2]\nid: @:5\n\n\r\n" },
        { "a\nid: 9\r\n\ndata: b", "1", "\r\nevent: a id: 9  data: b\ndata: 1\nid: @:6\n\n\r\n" },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        publish(&s, "news", rows[i].event, rows[i].data);
        host_hear(&s.h, fd);
        assert_has(s.h.heard, fill(want, rows[i].heard, epoch_of(&s, 0), ""));
    }
    linnet_publication p = LINNET_PUBLICATION_INIT;
    p.channel = linnet_str("news");
    p.data = linnet_str("\"brief\"");
    p.is_volatile = true;
    assert_int_equal(linnet_hub_publish(s.hub, &p), LINNET_OK);
    host_turn(&s.h, 3);
    host_hear(&s.h, fd);
    assert_has(s.h.heard, "\r\ndata: \"brief\"\n\n\r\n");
    drop(&s, fd, "news");
    /* One without a log has no places. */
    fd = read_stream(&s, GET("?channel=live:x") END);
    publish(&s, "live:x", "", "1");
    host_hear(&s.h, fd);
    assert_has(s.h.heard, "\r\ndata: 1\n\n\r\n");
    assert_lacks(s.h.heard, "id:");
    drop(&s, fd, "live:x");
    streams_free(&s);
}

static void test_many_channels(void **state) {
    (void)state;
    streams s;
    streams_open(&s);
    int fd = read_stream(&s, GET("?channel=a&channel=live:b&x=1&channel=%63") END);
    char want[200], a[17], c[17];
    memcpy(a, epoch_of(&s, 0), 17);
    memcpy(c, epoch_of(&s, 2), 17);
    snprintf(want, sizeof want, "\r\nid: %s:0,-,%s:0\n\n\r\n", a, c);
    assert_has(s.h.heard, want);
    publish(&s, "c", "", "1");
    publish(&s, "live:b", "", "2");
    publish(&s, "a", "", "3");
    host_hear(&s.h, fd);
    snprintf(want, sizeof want, "\r\ndata: 1\nid: %s:0,-,%s:1\n\n\r\n", a, c);
    assert_has(s.h.heard, want);
    assert_has(s.h.heard, "\r\ndata: 2\n\n\r\n");
    snprintf(want, sizeof want, "\r\ndata: 3\nid: %s:1,-,%s:1\n\n\r\n", a, c);
    assert_has(s.h.heard, want);
    drop(&s, fd, "a");
    streams_free(&s);
}

/* Who comes back is told where he has missed something, and only there. */
static void test_coming_back(void **state) {
    (void)state;
    static const struct {
        const char *why, *id; /* @ and &: the epochs */
        bool a, b;            /* what is reset */
        const char *missed;   /* and comes; NULL: nothing */
    } rows[] = {
        { "he has missed nothing", "@:2,&:1", false, false },
        { "something in one of them", "@:1,&:1", false, false, "data: 2\nid: @:2,&:1\n\n" },
        { "and in both", "@:0,&:0", false, false,
            "data: 1\nid: @:1,&:0\n\ndata: 2\nid: @:2,&:0\n\n" },
        { "he is ahead", "@:2,&:7", false, true },
        { "another epoch", "0000000000000001:2,&:1", true, false },
        { "nothing was known", "-,&:1", true, false },
        { "fewer places than channels", "@:2", false, true },
        { "not of ours", "17", true, true },
        { "white space", "@:2, &:1", false, true },
        { "a negative place", "@:-2,&:1", true, false },
    };
    streams s;
    streams_open(&s);
    int fd = read_stream(&s, GET("?channel=a&channel=b") END);
    publish(&s, "a", "", "1");
    publish(&s, "a", "", "2");
    publish(&s, "b", "", "3");
    host_hear(&s.h, fd);
    char a[17], b[17], id[300], request[500];
    memcpy(a, epoch_of(&s, 0), 17);
    memcpy(b, epoch_of(&s, 1), 17);
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        snprintf(request, sizeof request, GET("?channel=a&channel=b") "Last-Event-ID: %s\r\n\r\n",
            fill(id, rows[i].id, a, b));
        int back = read_stream(&s, request);
        if (rows[i].missed) assert_has(s.h.heard, fill(id, rows[i].missed, a, b));
        if (!rows[i].missed) assert_lacks(s.h.heard, "data: 2");
        snprintf(id, sizeof id, "{\"channel\":\"a\",\"epoch\":\"%s\",\"offset\":2}\n\n", a);
        (rows[i].a ? assert_has : assert_lacks)(s.h.heard, id);
        snprintf(id, sizeof id, "{\"channel\":\"b\",\"epoch\":\"%s\",\"offset\":1}\n\n", b);
        (rows[i].b ? assert_has : assert_lacks)(s.h.heard, id);
        snprintf(id, sizeof id, "\nid: %s:2,%s:1\n\n", a, b);
        assert_has(s.h.heard, id);
        close(back);
    }
    drop(&s, fd, "a");
    streams_free(&s);
}

/* Much that was missed comes as fast as it is read, and then what is said goes on. */
static void test_much_was_missed(void **state) {
    (void)state;
    static char data[9002];
    memset(data, 'x', sizeof data - 1);
    data[0] = data[sizeof data - 2] = '"';
    streams s;
    streams_open(&s);
    for (int i = 0; i < 100; i++)
        publish(&s, "a", "", data);
    int first = read_stream(&s, GET("?channel=a") END);
    char request[200];
    snprintf(
        request, sizeof request, GET("?channel=a") "Last-Event-ID: %s:0\r\n\r\n", epoch_of(&s, 0));
    close(first);
    int fd = host_visit(&s.h, linnet_str(request));
    int heard = 0;
    uint64_t end = host_ms() + 10000;
    char part[4096];
    for (bool said = false; heard < 101 && host_ms() < end;) {
        assert_int_equal(linnet_loop_turn(s.h.loop, 1), LINNET_OK);
        ssize_t n = read(fd, part, sizeof part - 1);
        for (ssize_t i = 0; i + 4 < n; i++)
            heard += memcmp(part + i, "\nid:", 4) == 0;
        if (heard > 20 && !said) publish(&s, "a", "", "\"live\"");
        said = said || heard > 20;
    }
    assert_true(heard > 90); /* a few ids are cut in two by our reading */
    drop(&s, fd, "a");
    streams_free(&s);
}

/* Who does not read is dropped at the bound of a WebSocket, and nobody else waits for him. */
static void test_slow_reader(void **state) {
    (void)state;
    static char data[60002];
    memset(data, 'x', sizeof data - 1);
    data[0] = data[sizeof data - 2] = '"';
    streams s;
    streams_open(&s);
    int slow = read_stream(&s, GET("?channel=a") END);
    assert_int_equal(linnet_server_connections(s.h.server), 1);
    int sent = 0;
    for (; linnet_server_connections(s.h.server) && sent < 60; sent++)
        publish(&s, "a", "", data);
    assert_true(sent > 10 && sent < 40); /* 1 MiB, and what the socket takes */
    close(slow);
    streams_free(&s);
}

/* A stream ends when the server drains, whole, so that the reader knows and comes back. */
static void test_drain(void **state) {
    (void)state;
    streams s;
    streams_open(&s);
    int fd = read_stream(&s, GET("?channel=a") END);
    linnet_server_stop(s.h.server, 0);
    for (int i = 0; i < 200 && !s.h.ended; i++) {
        host_turn(&s.h, 1);
        host_hear(&s.h, fd);
    }
    assert_true(s.h.ended);
    assert_string_equal(s.h.heard + s.h.heard_size - 7, "\r\n0\r\n\r\n");
    close(fd);
    streams_free(&s);
}

/* A server that ends at once takes streams with it. */
static void test_end(void **state) {
    (void)state;
    streams s;
    streams_open(&s);
    int fd = read_stream(&s, GET("?channel=a&channel=b") END);
    streams_free(&s);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_access),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_many_channels),
        cmocka_unit_test(test_coming_back),
        cmocka_unit_test(test_much_was_missed),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
