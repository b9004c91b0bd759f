/* HTTP on a server connection: every path of exchange.h's drawing, at every cut, and on the clock.
 */
#include "conn/conn_test.h"

/* ---- handlers -----------------------------------------------------------------------------------
 */

static char noted[8192]; /* what the handlers saw, for all requests of a test */

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...) {
    size_t at = strlen(noted);
    va_list args;
    va_start(args, format);
    vsnprintf(noted + at, sizeof noted - at, format, args);
    va_end(args);
}

static void note_head(const ln_exchange *x) {
    note("%s %.*s\n", ln_http1_method_name(x->head.method), (int)x->head.target.size,
        (const char *)x->head.target.data);
}

static ln_slice target(const ln_exchange *x) {
    return x->head.target;
}

static void answers(ln_conn *c, ln_exchange *x) {
    (void)c;
    note_head(x);
    assert_int_equal(ln_exchange_answer(x, 200, LN_SLICE("text/plain"), target(x)), LINNET_OK);
    /* also where the connection ends with it, the head is still there, and once is once */
    assert_int_equal(
        ln_exchange_answer(x, 200, LN_SLICE("text/plain"), target(x)), LINNET_ERR_STATE);
    assert_int_equal(ln_exchange_stream(x, 200, LN_SLICE("")), LINNET_ERR_STATE);
    assert_int_equal(ln_exchange_write(x, LN_SLICE("x")), LINNET_ERR_STATE);
    assert_int_equal(ln_exchange_end(x), LINNET_ERR_STATE);
    assert_int_equal(ln_exchange_refuse(x, LN_HTTP1_FAULT_NOT_FOUND), LINNET_ERR_STATE);
    assert_int_equal(ln_http1_find(&x->head, LN_SLICE("Host"), NULL), 1);
}

static void defers(ln_conn *c, ln_exchange *x) {
    (void)c;
    note_head(x);
}

static void wants_body(ln_conn *c, ln_exchange *x) {
    (void)c;
    note_head(x);
    ln_exchange_want_body(x, 100);
}

static void answers_body(ln_conn *c, ln_exchange *x) {
    (void)c;
    ln_slice body = ln_buf_slice(&x->body);
    note("body %.*s\n", (int)body.size, (const char *)body.data);
    assert_int_equal(ln_exchange_answer(x, 200, LN_SLICE("text/plain"), body), LINNET_OK);
}

static void streams(ln_conn *c, ln_exchange *x) {
    (void)c;
    note_head(x);
    assert_int_equal(ln_exchange_write(x, LN_SLICE("early")), LINNET_ERR_STATE);
    assert_int_equal(ln_exchange_stream(x, 204, LN_SLICE("")), LINNET_ERR_INVAL);
    assert_int_equal(ln_exchange_stream(x, 200, LN_SLICE("text/plain")), LINNET_OK);
    assert_int_equal(ln_exchange_write(x, LN_SLICE("one")), LINNET_OK);
    assert_int_equal(ln_exchange_write(x, LN_SLICE("")), LINNET_OK); /* would end it */
    assert_int_equal(ln_exchange_write(x, LN_SLICE("two")), LINNET_OK);
    assert_int_equal(ln_exchange_answer(x, 200, LN_SLICE(""), LN_SLICE("")), LINNET_ERR_STATE);
    assert_int_equal(ln_exchange_end(x), LINNET_OK);
}

static rig *serve(void (*on_request)(ln_conn *, ln_exchange *)) {
    rig *r = rig_http();
    noted[0] = 0;
    r->on_request = on_request;
    r->on_body = answers_body;
    return r;
}

static const char *heard(rig *r) {
    static char out[20000];
    ln_slice all = ln_buf_slice(&r->heard);
    assert_true(all.size < sizeof out);
    if (all.size) memcpy(out, all.data, all.size);
    out[all.size] = 0;
    ln_buf_clear(&r->heard);
    return out;
}

static void assert_has(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("no \"%s\" in \"%s\"", part, text);
}

static unsigned count(const char *text, const char *part) {
    unsigned n = 0;
    while ((text = strstr(text, part))) {
        n++;
        text += strlen(part);
    }
    return n;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

/* ---- every cut ------------------------------------------------------------------------------- */

typedef struct dialogue {
    const char *why;
    void (*on_request)(ln_conn *c, ln_exchange *x);
    const char *says;
    const char *noted; /* what the handlers saw */
    unsigned answers;  /* status lines */
    const char *has;   /* in what came back */
    bool ends;
} dialogue;

static const dialogue dialogues[] = {
    { "one", answers, GET("/a"), "GET /a\n", 1, "\r\nContent-Length: 2\r\n\r\n/a", false },
    { "three, one behind the other", answers, GET("/a") GET("/b") GET("/c"),
        "GET /a\nGET /b\nGET /c\n", 3, "\r\n\r\n/c", false },
    { "the client means to end", answers,
        "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" GET("/late"), "GET /a\n", 1,
        "Connection: close\r\n\r\n/a", true },
    { "HTTP/1.0 ends", answers, "GET /a HTTP/1.0\r\nHost: h\r\n\r\n", "GET /a\n", 1,
        "Connection: close\r\n\r\n/a", true },
    { "HEAD has the length and no body", answers, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n" GET("/b"),
        "HEAD /a\nGET /b\n", 2, "Content-Length: 2\r\n\r\nHTTP/1.1 200", false },
    { "a body by length", wants_body,
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello" GET("/n"),
        "POST /p\nbody hello\nGET /n\nbody \n", 2, "\r\n\r\nhello", false },
    { "a chunked body", wants_body,
        "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: t\r\n\r\n" GET("/n"),
        "POST /p\nbody hello\nGET /n\nbody \n", 2, "\r\n\r\nhello", false },
    { "a body nobody wanted", answers,
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 30\r\n\r\n" GET("/x"), "POST /p\n", 1,
        "Connection: close\r\n\r\n/p", true },
    { "a body that is expected first", wants_body,
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
        "POST /p\nbody hello\n", 2, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK", false },
    { "an expected body that is not wanted", answers,
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        "POST /p\n", 1, "Connection: close\r\n\r\n/p", true },
    { "a body over the limit", wants_body,
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\nhello" GET("/x"), "POST /p\n", 1,
        "HTTP/1.1 413 ", true },
    { "chunks over the limit", wants_body,
        "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n65\r\nhello", "POST /p\n",
        1, "HTTP/1.1 413 ", true },
    { "a malformed chunk", wants_body,
        "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello", "POST /p\n",
        1, "HTTP/1.1 400 ", true },
    { "streamed", streams, GET("/s") GET("/t"), "GET /s\nGET /t\n", 2,
        "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\nHTTP/1.1 200", false },
    { "streamed to HTTP/1.0", streams, "GET /s HTTP/1.0\r\nHost: h\r\n\r\n", "GET /s\n", 1,
        "Connection: close\r\n\r\nonetwo", true },
    { "streamed to a HEAD", streams, "HEAD /s HTTP/1.1\r\nHost: h\r\n\r\n" GET("/n"),
        "HEAD /s\nGET /n\n", 2, "chunked\r\n\r\nHTTP/1.1 200", false },
    { "malformed", answers, "GET /a HTTP/1.1\r\nHost h\r\n\r\n" GET("/x"), "", 1, "HTTP/1.1 400 ",
        true },
    { "malformed behind a good one", answers, GET("/a") "NONSENSE\r\n\r\n" GET("/x"), "GET /a\n", 2,
        "HTTP/1.1 400 ", true },
};

static void converse(const dialogue *d, size_t first, size_t second) {
    rig *r = serve(d->on_request);
    ln_slice all = ln_slice_str(d->says);
    size_t cuts[] = { first, second, all.size }, from = 0;
    for (size_t i = 0; i < 3; i++) {
        if (r->conn && r->conn->state == LN_CONN_HTTP && cuts[i] > from)
            rig_peer_says(r, ln_slice_sub(all, from, cuts[i]));
        from = cuts[i];
        rig_settle(r);
    }
    const char *back = heard(r);
    if (strcmp(noted, d->noted) != 0 || count(back, "HTTP/1.1 ") != d->answers ||
        !strstr(back, d->has) || (r->end == 0) != d->ends)
        fail_msg("%s, cut at %zu and %zu: saw \"%s\", said \"%s\", end %d", d->why, first, second,
            noted, back, r->end);
    assert_int_equal(r->gone, 0);
    rig_free(r);
}

static void test_every_cut(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(dialogues); i++) {
        size_t size = strlen(dialogues[i].says);
        converse(&dialogues[i], size, size);
        for (size_t k = 1; k < size; k++)
            converse(&dialogues[i], k, k + (size - k) / 3);
    }
}

/* ---- later -------------------------------------------------------------------------------------
 */

static void test_answered_later(void **state) {
    (void)state;
    rig *r = serve(defers);
    rig_peer_says(r, LN_SLICE(GET("/a") GET("/b") GET("/c")));
    rig_settle(r);
    assert_string_equal(noted, "GET /a\n"); /* one after the other */
    for (const char *p = "abc"; *p; p++) {
        ln_exchange *x = r->conn->http;
        assert_int_equal(x->head.target.data[1], *p); /* kept, wherever it came in */
        assert_int_equal(x->head.host.data[0], 'h');
        assert_int_equal(
            ln_exchange_add_field(x, LN_SLICE("X-Which"), ln_slice_of(p, 1)), LINNET_OK);
        assert_int_equal(ln_exchange_answer(x, 200, LN_SLICE(""), target(x)), LINNET_OK);
        rig_settle(r);
        char expect[20];
        snprintf(expect, sizeof expect, "X-Which: %c\r\n", *p);
        assert_has(heard(r), expect);
    }
    assert_string_equal(noted, "GET /a\nGET /b\nGET /c\n");
    rig_free(r);
}

static void test_client_half_closes(void **state) {
    (void)state;
    rig *r = serve(defers); /* it asked, said FIN, and waits for the answer */
    rig_peer_says(r, LN_SLICE(GET("/a")));
    ln_sock_shutdown(r->loop, r->peer);
    rig_settle(r);
    assert_non_null(r->conn);
    assert_int_equal(ln_exchange_answer(r->conn->http, 200, LN_SLICE(""), LN_SLICE("x")), 0);
    rig_settle(r);
    assert_has(heard(r), "\r\n\r\nx");
    assert_null(r->conn);
    assert_int_equal(r->gone, 0);
    rig_free(r);

    r = serve(defers); /* half a request is none */
    rig_peer_says(r, LN_SLICE("GET / HTTP/1.1\r\n"));
    ln_sock_shutdown(r->loop, r->peer);
    rig_settle(r);
    assert_null(r->conn);
    assert_int_equal(r->gone, 0);
    rig_free(r);

    r = serve(wants_body);
    rig_peer_says(r, LN_SLICE("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe"));
    ln_sock_shutdown(r->loop, r->peer);
    rig_settle(r);
    assert_null(r->conn);
    assert_int_equal(r->gone, 1);
    assert_string_equal(noted, "POST /\n"); /* not executed */
    rig_free(r);
}

static void test_client_goes(void **state) {
    (void)state;
    rig *r = serve(defers);
    rig_peer_says(r, LN_SLICE(GET("/a")));
    rig_settle(r);
    rig_peer_leaves(r, true);
    rig_settle(r);
    assert_null(r->conn);
    assert_int_equal(r->gone, 1);
    rig_free(r);

    r = serve(defers); /* in the middle of a stream */
    rig_peer_says(r, LN_SLICE(GET("/a")));
    rig_settle(r);
    assert_int_equal(ln_exchange_stream(r->conn->http, 200, LN_SLICE("")), LINNET_OK);
    rig_settle(r);
    rig_peer_leaves(r, true);
    rig_settle(r);
    assert_null(r->conn);
    assert_int_equal(r->gone, 1);
    rig_free(r);
}

/* A thousand in one segment, answered in order; a reader who does not read makes us hold no more
 * than a mark (row 25). */
static unsigned served;
static void answers_much(ln_conn *c, ln_exchange *x) {
    static uint8_t body[10000];
    (void)c;
    served++;
    memset(body, 'b', sizeof body);
    assert_int_equal(
        ln_exchange_answer(x, 200, LN_SLICE(""), ln_slice_of(body, sizeof body)), LINNET_OK);
}

static void test_pipelined(void **state) {
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        rig *r = serve(kind ? answers_much : answers);
        ln_buf b;
        ln_buf_init(&b, LN_BUF_MAX);
        for (int i = 0; i < 1000; i++)
            ln_buf_addf(&b, "GET /%d HTTP/1.1\r\nHost: h%s\r\n\r\n", i,
                kind == 2
                    ? "\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                    : "");
        served = 0;
        if (kind) rig_peer_deaf(r, true);
        rig_peer_says(r, ln_buf_slice(&b));
        rig_settle(r);
        if (kind) {
            assert_true(served < 100);
            assert_true(r->conn->queued < 1024 * 1024);
            rig_peer_deaf(r, false);
            rig_settle(r);
            assert_int_equal(served, 1000);
        } else {
            assert_int_equal(
                count((ln_buf_add_byte(&r->heard, 0), (char *)r->heard.data), "HTTP/1.1 200"),
                1000);
        }
        ln_buf_fini(&b);
        rig_free(r);
    }
}

/* A head that comes in two pieces, and behind it as much body as a receive can bring. */
static void wants_much(ln_conn *c, ln_exchange *x) {
    (void)c;
    ln_exchange_want_body(x, 1 << 20);
}

static void measures(ln_conn *c, ln_exchange *x) {
    (void)c;
    note("%u", x->body.size);
    ln_exchange_answer(x, 204, LN_SLICE(""), LN_SLICE(""));
}

static void test_cut_head_and_a_large_body(void **state) {
    (void)state;
    rig *r = serve(wants_much);
    r->on_body = measures;
    ln_buf b;
    ln_buf_init(&b, LN_BUF_MAX);
    ln_buf_add(&b, LN_SLICE("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n"));
    static uint8_t body[300000];
    ln_buf_add(&b, ln_slice_of(body, sizeof body));
    rig_peer_says(r, ln_slice_sub(ln_buf_slice(&b), 0, 20));
    rig_settle(r);
    rig_peer_says(r, ln_slice_sub(ln_buf_slice(&b), 20, b.size));
    rig_settle(r);
    assert_string_equal(noted, "300000");
    assert_has(heard(r), "HTTP/1.1 204 No Content\r\n");
    ln_buf_fini(&b);
    rig_free(r);
}

static void test_fields(void **state) {
    (void)state;
    static const struct {
        const char *why;
        ln_slice name, value;
        int err;
    } rows[] = {
        { "good", BYTES("X-A"), BYTES("b c"), LINNET_OK },
        { "a line smuggled in the value", BYTES("X-A"), BYTES("b\r\nSet-Cookie: x"),
            LINNET_ERR_INVAL },
        { "LF alone", BYTES("X-A"), BYTES("b\nc"), LINNET_ERR_INVAL },
        { "NUL", BYTES("X-A"), BYTES("b\0c"), LINNET_ERR_INVAL },
        { "in the name", BYTES("X-A: b\r\nX"), BYTES("c"), LINNET_ERR_INVAL },
        { "no name", BYTES(""), BYTES("c"), LINNET_ERR_INVAL },
        { "ours", BYTES("content-length"), BYTES("5"), LINNET_ERR_INVAL },
        { "ours", BYTES("Transfer-Encoding"), BYTES("chunked"), LINNET_ERR_INVAL },
        { "ours", BYTES("CONNECTION"), BYTES("close"), LINNET_ERR_INVAL },
        { "ours", BYTES("Upgrade"), BYTES("h2c"), LINNET_ERR_INVAL },
        { "ours", BYTES("Sec-WebSocket-Accept"), BYTES("x"), LINNET_ERR_INVAL },
        { "a prefix of ours", BYTES("Sec-Web"), BYTES("x"), LINNET_OK },
    };
    rig *r = serve(defers);
    rig_peer_says(r, LN_SLICE(GET("/a")));
    rig_settle(r);
    ln_exchange *x = r->conn->http;
    for (size_t i = 0; i < LN_COUNT(rows); i++)
        assert_int_equal(ln_exchange_add_field(x, rows[i].name, rows[i].value), rows[i].err);
    static uint8_t long_one[9000];
    memset(long_one, 'x', sizeof long_one);
    assert_int_equal(
        ln_exchange_add_field(x, LN_SLICE("X-L"), ln_slice_of(long_one, 9000)), LINNET_ERR_TOO_BIG);
    assert_int_equal(ln_exchange_answer(x, 199, LN_SLICE(""), LN_SLICE("")), LINNET_ERR_INVAL);
    assert_int_equal(ln_exchange_answer(x, 600, LN_SLICE(""), LN_SLICE("")), LINNET_ERR_INVAL);
    assert_int_equal(
        ln_exchange_answer(x, 200, LN_SLICE("a\r\nb"), LN_SLICE("")), LINNET_ERR_INVAL);
    assert_int_equal(ln_exchange_answer_head(x, 304, LN_SLICE("text/plain"), 77), LINNET_OK);
    rig_settle(r);
    assert_string_equal(heard(r), "HTTP/1.1 304 Not Modified\r\nContent-Type: text/plain\r\n"
                                  "Content-Length: 77\r\nX-A: b c\r\nSec-Web: x\r\n\r\n");
    rig_free(r);
}

/* ---- what a stranger may hold up
 * ------------------------------------------------------------------ */

static void test_times(void **state) {
    (void)state;
    static const struct {
        const char *why;
        void (*on_request)(ln_conn *, ln_exchange *);
        const char *first, *each; /* each: said every second */
        uint32_t alive, dead;     /* ms */
        const char *heard;
    } rows[] = {
        { "silence", answers, NULL, NULL, 9500, 11000, "HTTP/1.1 408 " },
        { "half a head", answers, "GET / HT", NULL, 9500, 11000, "HTTP/1.1 408 " },
        { "a byte every second", answers, "GET / HTTP/1.1\r\nX:", "a", 9500, 11000,
            "HTTP/1.1 408 " },
        { "nobody answers", defers, GET("/"), NULL, 29500, 31000, "HTTP/1.1 503 " },
        { "a kept connection that is idle", answers, GET("/"), NULL, 59500, 61000, NULL },
        { "a second head that does not end", answers, GET("/") "GET", NULL, 9500, 11000,
            "HTTP/1.1 408 " },
        { "empty lines for ever on a kept connection", answers, GET("/"), "\r\n", 0, 61000, NULL },
        { "a body of a byte a second", wants_much,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n", "x", 4500, 7000,
            "HTTP/1.1 408 " },
        { "a body that is never complete", wants_much,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n",
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "x"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "x"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "x"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "x",
            29000, 31500, "HTTP/1.1 408 " },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        rig *r = serve(rows[i].on_request);
        if (rows[i].first) rig_peer_says(r, ln_slice_str(rows[i].first));
        rig_settle(r);
        ln_buf_clear(&r->heard);
        uint32_t ms = 0;
        for (; ms < rows[i].dead && r->conn && r->conn->state == LN_CONN_HTTP; ms += 500) {
            if (rows[i].each && ms % 1000 == 0) rig_peer_says(r, ln_slice_str(rows[i].each));
            rig_pass(r, 500);
            if (ms + 500 <= rows[i].alive && r->conn->state != LN_CONN_HTTP)
                fail_msg("%s: dead after %u ms", rows[i].why, ms);
        }
        if (r->conn && r->conn->state == LN_CONN_HTTP) fail_msg("%s: alive", rows[i].why);
        const char *back = heard(r);
        if (rows[i].heard) assert_has(back, rows[i].heard);
        if (!rows[i].heard && *back && !strstr(back, "HTTP/1.1 400")) fail_msg("said %s", back);
        rig_pass(r, 11000);
        assert_null(r->conn); /* also when the peer stays */
        rig_free(r);
    }
}

static void test_a_stream_has_time(void **state) {
    (void)state;
    rig *r = serve(defers);
    rig_peer_says(r, LN_SLICE(GET("/a")));
    rig_settle(r);
    ln_exchange *x = r->conn->http;
    assert_int_equal(ln_exchange_stream(x, 200, LN_SLICE("")), LINNET_OK);
    for (int i = 0; i < 10; i++) {
        rig_pass(r, 20000);
        assert_int_equal(ln_exchange_write(x, LN_SLICE("tick")), LINNET_OK);
    }
    assert_int_equal(ln_exchange_end(x), LINNET_OK);
    rig_settle(r);
    assert_int_equal(count(heard(r), "4\r\ntick\r\n"), 10);
    rig_free(r);
}

static void test_a_stream_has_a_bound(void **state) {
    (void)state;
    static uint8_t piece[65536];
    rig *r = serve(defers);
    rig_peer_says(r, LN_SLICE(GET("/a")));
    rig_settle(r);
    rig_peer_deaf(r, true);
    assert_int_equal(ln_exchange_stream(r->conn->http, 200, LN_SLICE("")), LINNET_OK);
    int err = LINNET_OK, n = 0;
    for (; n < 1000 && err == LINNET_OK; n++)
        err = ln_exchange_write(r->conn->http, ln_slice_of(piece, sizeof piece));
    assert_int_equal(err, LINNET_ERR_SLOW);
    assert_true(n > 100);
    assert_int_equal(r->conn->state, LN_CONN_DEAD);
    rig_settle(r);
    assert_int_equal(r->gone, 1);
    rig_free(r);
}

static void streams_on(ln_conn *c, ln_exchange *x) {
    (void)c;
    assert_int_equal(ln_exchange_stream(x, 200, LN_SLICE("")), LINNET_OK);
    ln_exchange_endless(x);
}

static void test_an_endless_stream_ends_with_its_reader(void **state) {
    (void)state;
    static const struct {
        const char *why, *said;
        void (*handler)(ln_conn *c, ln_exchange *x);
        bool begin, fin_first, noticed;
    } rows[] = {
        { "begun at once", GET("/a"), streams_on, false, false, true },
        { "begun later", GET("/a"), defers, true, false, true },
        { "begun when it had gone", GET("/a"), defers, true, true, true },
        { "who asked on is not listened to", GET("/a") GET("/b"), streams_on, false, false, false },
        { "nor later", GET("/a") GET("/b"), defers, true, false, false },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        rig *r = serve(rows[i].handler);
        rig_peer_says(r, ln_slice_str(rows[i].said));
        rig_settle(r);
        if (rows[i].fin_first) ln_sock_shutdown(r->loop, r->peer);
        rig_settle(r);
        if (rows[i].begin) {
            assert_int_equal(ln_exchange_stream(r->conn->http, 200, LN_SLICE("")), LINNET_OK);
            ln_exchange_endless(r->conn->http);
        }
        rig_settle(r);
        if (!rows[i].fin_first) {
            assert_has(heard(r), "HTTP/1.1 200 ");
            ln_sock_shutdown(r->loop, r->peer);
        }
        rig_settle(r);
        if ((r->conn == NULL) != rows[i].noticed) fail_msg("%s", rows[i].why);
        assert_int_equal(r->gone, rows[i].noticed);
        rig_free(r);
    }
}

/* What comes behind an endless stream waits until somebody ends it after all. */
static void test_asking_on_behind_an_endless_stream(void **state) {
    (void)state;
    rig *r = serve(streams_on);
    rig_peer_says(r, LN_SLICE(GET("/a")));
    rig_settle(r);
    assert_true(ln_conn_is(r->conn, LN_CF_READING));
    rig_peer_says(r, LN_SLICE("GET /b HT"));
    rig_settle(r);
    assert_false(ln_conn_is(r->conn, LN_CF_READING));
    rig_peer_says(r, LN_SLICE("TP/1.1\r\nHost: h\r\n\r\n"));
    rig_settle(r);
    assert_int_equal(ln_exchange_write(r->conn->http, LN_SLICE("tick")), LINNET_OK);
    assert_int_equal(ln_exchange_end(r->conn->http), LINNET_OK);
    rig_settle(r);
    assert_int_equal(count(heard(r), "HTTP/1.1 200 "), 2);
    ln_sock_shutdown(r->loop, r->peer);
    rig_settle(r);
    assert_null(r->conn);
    rig_free(r);
}

static void answers_large(ln_conn *c, ln_exchange *x) {
    static uint8_t large[1000000];
    (void)c;
    ln_exchange_answer(x, 200, LN_SLICE(""), ln_slice_of(large, sizeof large));
}

/* The last answer is read slowly, but it is read. */
static void test_a_long_last_answer(void **state) {
    (void)state;
    rig *r = serve(answers_large);
    rig_peer_says(r, LN_SLICE("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    rig_settle(r);
    for (int i = 0; i < 40; i++) {
        rig_peer_deaf(r, true);
        rig_pass(r, 3000);
        rig_peer_deaf(r, false);
        rig_turn_until(r, ln_loop_now(r->loop) + 1);
    }
    rig_settle(r);
    assert_true(r->heard.size > 1000000);
    assert_int_equal(r->end, 0);
    rig_free(r);

    r = serve(answers_large); /* and not read at all */
    rig_peer_says(r, LN_SLICE("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    rig_peer_deaf(r, true);
    rig_pass(r, 20000);
    assert_null(r->conn);
    rig_free(r);
}

/* More of a refused head is taken for a while, of a refused body as much as comes. */
static void test_more_of_what_was_refused(void **state) {
    (void)state;
    static const struct {
        const char *why, *said, *status;
        bool deaf;
    } rows[] = {
        { "a line", "GET / HTTP/9.9\r\n", "HTTP/1.1 505 ", true },
        { "a field", "GET / HTTP/1.1\r\nHost: h\r\n X", "HTTP/1.1 400 ", true },
        { "a body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n",
            "HTTP/1.1 413 ", false },
    };
    static uint8_t more[10000];
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        rig *r = serve(wants_body);
        rig_peer_says(r, ln_slice_str(rows[i].said));
        rig_settle(r);
        assert_has(heard(r), rows[i].status);
        for (int k = 0; k < 4; k++) {
            assert_int_equal(ln_conn_is(r->conn, LN_CF_READING), !rows[i].deaf || k < 2);
            rig_peer_says(r, ln_slice_of(more, sizeof more));
            rig_settle(r);
        }
        assert_int_equal(ln_stat_get(&r->env.bytes_in),
            strlen(rows[i].said) + (rows[i].deaf ? 2 : 4) * sizeof more);
        rig_pass(r, 900);
        assert_non_null(r->conn); /* time to read the answer */
        rig_pass(r, 200);
        assert_int_equal(r->conn == NULL, rows[i].deaf);
        rig_free(r);
    }
}

/* ---- the other way out --------------------------------------------------------------------------
 */

#define ASK                                                                                        \
    "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                 \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

static int upgrade(ln_conn *c, ln_exchange *x) {
    ln_upgrade asked;
    assert_int_equal(ln_upgrade_check(&x->head, &asked), LN_HTTP1_FAULT_NONE);
    ln_exchange_accept a = { .key = asked.key, .config = &rig_of(c)->config, .ops = &rig_ops };
    assert_int_equal(ln_exchange_add_field(x, LN_SLICE("X-Extra"), LN_SLICE("yes")), LINNET_OK);
    return ln_exchange_become_ws(x, &a);
}

static void upgrades(ln_conn *c, ln_exchange *x) {
    assert_int_equal(upgrade(c, x), LINNET_OK);
}

static void greets(rig *r, ln_conn *c, const char *event) {
    (void)r;
    if (strcmp(event, "open") == 0) ln_conn_send(c, LN_OP_TEXT, LN_SLICE("welcome"));
}

/* At once or later; the frames in the same segment, in the next ones, or while we decide; cut
 * anywhere. */
static void test_become_ws(void **state) {
    (void)state;
    ln_buf b;
    ln_buf_init(&b, 10000);
    ln_buf_add(&b, LN_SLICE(ASK));
    rig_frame(&b, 0x81, LN_SLICE("first"));
    rig_frame(&b, 0x81, LN_SLICE("second"));
    ln_slice all = ln_buf_slice(&b);
    for (int later = 0; later < 2; later++)
        for (size_t cut = 1; cut <= all.size; cut++) {
            rig *r = serve(later ? defers : upgrades);
            r->act = greets;
            rig_peer_says(r, ln_slice_sub(all, 0, cut));
            rig_settle(r);
            bool before = cut >= strlen(ASK);
            if (later && before && cut % 2) assert_int_equal(upgrade(r->conn, r->conn->http), 0);
            if (cut < all.size) rig_peer_says(r, ln_slice_sub(all, cut, all.size));
            rig_settle(r);
            if (later && !(before && cut % 2))
                assert_int_equal(upgrade(r->conn, r->conn->http), LINNET_OK);
            rig_settle(r);
            rig_said(r, "open|text first|text second");
            ln_slice back = ln_buf_slice(&r->heard);
            const uint8_t *end = memmem(back.data, back.size, "\r\n\r\n", 4);
            assert_non_null(end);
            assert_true(ln_slice_starts(back, LN_SLICE("HTTP/1.1 101 ")));
            assert_non_null(memmem(back.data, back.size, "X-Extra: yes\r\n", 14));
            ln_buf_consume(&r->heard, (size_t)(end + 4 - back.data));
            rig_peer_got(r, "text welcome");
            assert_int_equal(r->gone, 0);
            rig_free(r);
        }
    ln_buf_fini(&b);
}

/* With TLS more than one piece of plaintext comes out of a receive, so a carry can stand behind
 * what the exchange kept: it stays behind it. */
static void test_carry_stays_behind(void **state) {
    (void)state;
    rig *r = serve(defers);
    ln_buf b;
    ln_buf_init(&b, 10000);
    rig_frame(&b, 0x81, LN_SLICE("first"));
    rig_frame(&b, 0x81, LN_SLICE("second"));
    ln_buf in;
    ln_buf_init(&in, 10000);
    ln_buf_add(&in, LN_SLICE(ASK));
    ln_buf_add(&in, ln_slice_sub(ln_buf_slice(&b), 0, 4));
    ln_conn_input(r->conn, (ln_wslice){ in.data, in.size });
    ln_buf_clear(&in);
    ln_buf_add(&in, ln_slice_sub(ln_buf_slice(&b), 4, b.size));
    ln_conn_input(r->conn, (ln_wslice){ in.data, in.size });
    assert_true(r->conn->carry_size > 0);
    rig_settle(r);
    assert_int_equal(upgrade(r->conn, r->conn->http), LINNET_OK);
    rig_settle(r);
    rig_said(r, "open|text first|text second");
    ln_buf_fini(&b);
    ln_buf_fini(&in);
    rig_free(r);
}

static void ends_at_open(rig *r, ln_conn *c, const char *event) {
    if (strcmp(event, "open") != 0) return;
    if (r->extra)
        ln_conn_terminate(c);
    else
        ln_conn_close(c, 4000, LN_SLICE("no"));
}

static void test_ends_in_on_open(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        rig *r = serve(kind & 2 ? defers : upgrades);
        ln_buf b;
        ln_buf_init(&b, 10000);
        ln_buf_add(&b, LN_SLICE(ASK));
        rig_frame(&b, 0x81, LN_SLICE("first"));
        r->act = ends_at_open;
        r->extra = kind & 1 ? r : NULL;
        rig_peer_says(r, ln_buf_slice(&b));
        ln_buf_fini(&b);
        rig_settle(r);
        if (kind & 2) assert_int_equal(upgrade(r->conn, r->conn->http), LINNET_OK);
        rig_settle(r);
        rig_said(r, kind & 1 ? "open|close 1006 CANCELLED" : "open");
        rig_free(r);
    }
}

/* The client said FIN while we decided: half a connection is none. */
static void test_half_closed_while_deciding(void **state) {
    (void)state;
    rig *r = serve(defers);
    rig_peer_says(r, LN_SLICE(ASK));
    ln_sock_shutdown(r->loop, r->peer);
    rig_settle(r);
    assert_non_null(r->conn);
    assert_int_equal(upgrade(r->conn, r->conn->http), LINNET_OK);
    rig_settle(r);
    rig_said(r, "open|close 1006 RESET");
    assert_null(r->conn);
    rig_free(r);
}

static void upgrades_twice(ln_conn *c, ln_exchange *x) {
    assert_int_equal(upgrade(c, x), LINNET_OK);
    ln_exchange_accept a = { .key = LN_SLICE(""), .config = &rig_of(c)->config, .ops = &rig_ops };
    assert_int_equal(ln_exchange_become_ws(x, &a), LINNET_ERR_STATE);
    assert_int_equal(ln_exchange_answer(x, 200, LN_SLICE(""), LN_SLICE("")), LINNET_ERR_STATE);
    ln_exchange_want_body(x, 10);
}

static void test_upgraded_twice(void **state) {
    (void)state;
    rig *r = serve(upgrades_twice);
    rig_peer_says(r, LN_SLICE(ASK));
    rig_settle(r);
    rig_said(r, "open");
    rig_free(r);
}

/* Without memory at any step: answered, or ended; on_open only if it is open. */
static uint64_t fail_at;
static ln_test_memory memory;
static int upgraded;

static void upgrades_poorly(ln_conn *c, ln_exchange *x) {
    ln_upgrade asked;
    assert_int_equal(ln_upgrade_check(&x->head, &asked), LN_HTTP1_FAULT_NONE);
    ln_pmd_params params = { .server_bits = 15, .client_bits = 15 };
    ln_exchange_accept a = {
        .key = asked.key, .config = &rig_of(c)->config, .ops = &rig_ops, .params = &params
    };
    memory.fail_at = memory.calls + fail_at;
    upgraded = ln_exchange_become_ws(x, &a);
    memory.fail_at = 0;
    if (upgraded < 0 && c->http == x) ln_exchange_refuse(x, LN_HTTP1_FAULT_INTERNAL);
}

static void test_become_ws_without_memory(void **state) {
    (void)state;
    for (int later = 0; later < 2; later++) {
        int fine = 0;
        for (fail_at = 1; fine < 3; fail_at++) {
            memory = (ln_test_memory){ 0 };
            ln_test_memory_install(&memory);
            rig *r = serve(later ? defers : upgrades_poorly);
            ln_buf b;
            ln_buf_init(&b, 10000);
            ln_buf_add(&b, LN_SLICE(ASK));
            rig_frame(&b, 0x81, LN_SLICE("first"));
            rig_peer_says(r, ln_buf_slice(&b));
            ln_buf_fini(&b);
            rig_settle(r);
            if (later) upgrades_poorly(r->conn, r->conn->http);
            rig_settle(r);
            if (upgraded == LINNET_OK) {
                rig_said(r, "open|text first");
                fine++;
            } else {
                rig_said(r, "");
                if (r->conn) assert_int_not_equal(r->conn->state, LN_CONN_HTTP);
            }
            rig_free(r);
            assert_int_equal(memory.live, 0);
            ln_test_memory_remove();
        }
        assert_true(fail_at > 4);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_answered_later),
        cmocka_unit_test(test_client_half_closes),
        cmocka_unit_test(test_client_goes),
        cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_cut_head_and_a_large_body),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_a_stream_has_time),
        cmocka_unit_test(test_a_stream_has_a_bound),
        cmocka_unit_test(test_an_endless_stream_ends_with_its_reader),
        cmocka_unit_test(test_asking_on_behind_an_endless_stream),
        cmocka_unit_test(test_a_long_last_answer),
        cmocka_unit_test(test_more_of_what_was_refused),
        cmocka_unit_test(test_become_ws),
        cmocka_unit_test(test_carry_stays_behind),
        cmocka_unit_test(test_ends_in_on_open),
        cmocka_unit_test(test_half_closed_while_deciding),
        cmocka_unit_test(test_upgraded_twice),
        cmocka_unit_test(test_become_ws_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
