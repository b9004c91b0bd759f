/* linnet/ws.h as somebody with a loop of their own uses it: both sides, every cut, and what they
 * may get wrong. */
#include "base/mem.h"
#include "base/testing.h"
#include <linnet/ws.h>
#include <stdio.h>
#include <string.h>

typedef struct side {
    linnet_ws *ws;
    char said[2048];
    int (*decide)(linnet_ws *ws);
} side;

static void say(side *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(side *s, const char *format, ...) {
    size_t at = strlen(s->said);
    va_list args;
    va_start(args, format);
    if (at) s->said[at++] = '|';
    vsnprintf(s->said + at, sizeof s->said - at, format, args);
    va_end(args);
}

static void told(side *s, const linnet_ws_event *e) {
    int n = (int)(e->data.size < 40 ? e->data.size : 40);
    const char *d = (const char *)e->data.data;
    switch (e->kind) {
    case LINNET_WS_UPGRADE: say(s, "upgrade %.*s", n, d); break;
    case LINNET_WS_OPEN: say(s, "open%s%.*s", n ? " " : "", n, d); break;
    case LINNET_WS_MESSAGE:
        if (e->data.size > 40)
            say(s, "%s of %zu", e->opcode == LINNET_TEXT ? "text" : "binary", e->data.size);
        else
            say(s, "%s %.*s", e->opcode == LINNET_TEXT ? "text" : "binary", n, d);
        break;
    case LINNET_WS_PING: say(s, "ping %.*s", n, d); break;
    case LINNET_WS_PONG: say(s, "pong %.*s", n, d); break;
    case LINNET_WS_CLOSED:
        say(s, "closed %u%s%.*s %s", e->code, n ? " " : "", n, d, linnet_errname(e->err));
        break;
    }
}

static void pull(side *s) {
    linnet_ws_event e;
    int r;
    while ((r = linnet_ws_next(s->ws, &e)) > 0) {
        told(s, &e);
        if (e.kind == LINNET_WS_UPGRADE && s->decide) s->decide(s->ws);
    }
    assert_int_equal(r, 0);
}

/* Fed in an allocation of exactly its size, which goes before the events are pulled. */
static void feed(side *s, linnet_slice bytes) {
    ln_slice copy = ln_test_exact(bytes);
    assert_int_equal(linnet_ws_feed(s->ws, copy), LINNET_OK);
    if (copy.size) memset((void *)(uintptr_t)copy.data, 'z', copy.size);
    ln_test_drop(copy);
    pull(s);
}

/* Carries at most n bytes over; whether there was something. */
static bool carry(side *from, side *to, size_t n) {
    linnet_slice out = linnet_ws_pending(from->ws);
    if (!out.size) return false;
    if (out.size > n) out.size = n;
    feed(to, out);
    linnet_ws_sent(from->ws, out.size);
    return true;
}

static void converse(side *a, side *b, size_t n) {
    for (bool any = true; any;) {
        any = carry(a, b, n);
        any = carry(b, a, n) || any;
    }
}

static int accepts(linnet_ws *ws) {
    return linnet_ws_accept(ws, NULL);
}

static side server_with(linnet_ws_options *o, int (*decide)(linnet_ws *ws)) {
    side s = { .decide = decide };
    o->client = false;
    assert_int_equal(linnet_ws_new(o, &s.ws), LINNET_OK);
    return s;
}

static side server_of(int (*decide)(linnet_ws *ws)) {
    linnet_ws_options o = LINNET_WS_OPTIONS_INIT;
    return server_with(&o, decide);
}

static side client_with(linnet_ws_options *o) {
    side s = { .decide = NULL };
    o->client = true;
    o->url = "ws://example.org/chat?room=1";
    assert_int_equal(linnet_ws_new(o, &s.ws), LINNET_OK);
    return s;
}

#define said(s, text)                                                                              \
    do {                                                                                           \
        assert_string_equal((s)->said, text);                                                      \
        (s)->said[0] = 0;                                                                          \
    } while (0)

/* ---- both sides ------------------------------------------------------------------------------ */

static void test_dialogue_at_every_cut(void **state) {
    (void)state;
    static const char *const mine[] = { "chat.v2", "chat.v1", NULL }, *const yours[] = { "chat.v1",
        "other", NULL };
    static const char *const headers[] = { "Authorization: Bearer x", "Cookie:a=b", NULL };
    static uint8_t large[70000];
    for (int deflate = 0; deflate < 3; deflate++)
        for (size_t cut = 1; cut < 400; cut += cut < 80 ? 1 : 61) {
            linnet_ws_options o = LINNET_WS_OPTIONS_INIT;
            o.limits.deflate = (linnet_deflate)deflate;
            o.limits.deflate_threshold = LINNET_OFF;
            o.limits.message_max = 100000;
            o.subprotocols = mine;
            side s = server_with(&o, accepts);
            o.subprotocols = yours;
            o.headers = headers;
            side c = client_with(&o);
            converse(&c, &s, cut);
            said(&s, "upgrade /chat?room=1|open chat.v1");
            said(&c, "open chat.v1");
            assert_int_equal(linnet_ws_subprotocol(c.ws).size, 7);

            linnet_slice text = linnet_str("gr\xc3\xbc\xc3\x9f"
                                           "e");
            assert_int_equal(linnet_ws_send(c.ws, LINNET_TEXT, text), LINNET_OK);
            assert_int_equal(linnet_ws_ping(c.ws, linnet_str("p")), LINNET_OK);
            assert_int_equal(linnet_ws_send(s.ws, LINNET_BINARY, linnet_str("")), LINNET_OK);
            assert_int_equal(
                linnet_ws_send_fragment(s.ws, LINNET_TEXT, false, linnet_str("\xc3")), LINNET_OK);
            assert_int_equal(linnet_ws_ping(s.ws, linnet_str("q")), LINNET_OK);
            assert_int_equal(
                linnet_ws_send_fragment(s.ws, LINNET_CONTINUATION, true, linnet_str("\xbc")),
                LINNET_OK);
            linnet_slice all = { large, cut > 300 ? sizeof large : 100 };
            assert_int_equal(linnet_ws_send(s.ws, LINNET_BINARY, all), LINNET_OK);
            assert_int_equal(linnet_ws_send(c.ws, LINNET_TEXT, text), LINNET_OK);
            converse(&c, &s, cut);
            said(&s, "text gr\xc3\xbc\xc3\x9f"
                     "e|ping p|text gr\xc3\xbc\xc3\x9f"
                     "e|pong q");
            said(&c, cut > 300 ? "binary |ping q|text \xc3\xbc|binary of 70000|pong p"
                               : "binary |ping q|text \xc3\xbc|binary of 100|pong p");

            assert_int_equal(linnet_ws_close(c.ws, 4000, "done"), LINNET_OK);
            assert_int_equal(linnet_ws_close(c.ws, 4001, "again"), LINNET_OK);
            assert_int_equal(linnet_ws_send(s.ws, LINNET_TEXT, linnet_str("crossing")), LINNET_OK);
            converse(&c, &s, cut);
            said(&s, "closed 4000 done OK");
            said(&c, "closed 4000 OK");
            assert_int_equal(linnet_ws_send(s.ws, LINNET_TEXT, text), LINNET_ERR_CLOSED);
            assert_int_equal(linnet_ws_ping(s.ws, text), LINNET_ERR_CLOSED);
            assert_int_equal(linnet_ws_feed(s.ws, linnet_str("more")), LINNET_OK);
            pull(&s);
            said(&s, "");
            linnet_ws_free(s.ws);
            linnet_ws_free(c.ws);
        }
}

/* ---- a server by hand --------------------------------------------------------------------------
 */

#define ASK                                                                                        \
    "GET /a%20b?c HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"                 \
    "Sec-WebSocket-Protocol: one, two\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\n"

static bool pending_has(const side *s, const char *part) {
    linnet_slice out = linnet_ws_pending(s->ws);
    return memmem(out.data, out.size, part, strlen(part)) != NULL;
}

/* Bytes may come while the host decides, and move what it was shown. */
static void test_deciding_takes_time(void **state) {
    (void)state;
    side s = server_of(NULL);
    feed(&s, linnet_str(ASK));
    said(&s, "upgrade /a%20b?c");
    for (int i = 0; i < 3000; i++) /* one large frame in pieces */
        feed(&s, i ? LN_SLICE("0123456789") : LN_SLICE("\x82\xfe\x75\x2c\0\0\0\0"));
    pull(&s);
    said(&s, "");
    linnet_slice h = linnet_ws_request_header(s.ws, "x-twice");
    assert_int_equal(h.size, 1);
    assert_int_equal(h.data[0], '1');
    assert_null(linnet_ws_request_header(s.ws, "absent").data);
    linnet_slice target = linnet_ws_request_target(s.ws);
    assert_memory_equal(target.data, "/a%20b?c", 8);
    assert_int_equal(linnet_ws_send(s.ws, LINNET_TEXT, linnet_str("x")), LINNET_ERR_CLOSED);
    assert_int_equal(linnet_ws_accept(s.ws, "three"), LINNET_ERR_UPGRADE_PROTOCOL);
    assert_int_equal(linnet_ws_pending(s.ws).size, 0);
    assert_int_equal(linnet_ws_accept(s.ws, "two"), LINNET_OK);
    assert_int_equal(linnet_ws_accept(s.ws, "two"), LINNET_ERR_STATE);
    assert_int_equal(linnet_ws_reject(s.ws, 403, NULL), LINNET_ERR_STATE);
    assert_true(pending_has(&s, "Sec-WebSocket-Protocol: two\r\n"));
    assert_true(pending_has(&s, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert_int_equal(linnet_ws_request_target(s.ws).size, 0);
    pull(&s);
    said(&s, "open two");
    feed(&s, linnet_str("!!!!!!"));
    said(&s, "binary of 29996");
    linnet_ws_free(s.ws);
}

static void test_too_much_while_deciding(void **state) {
    (void)state;
    static uint8_t piece[65536];
    side s = server_of(NULL);
    feed(&s, linnet_str(ASK));
    int err = LINNET_OK, n = 0;
    for (; n < 100 && err == LINNET_OK; n++)
        err = linnet_ws_feed(s.ws, (linnet_slice){ piece, sizeof piece });
    assert_int_equal(err, LINNET_ERR_LIMIT);
    assert_true(n <= 18);
    linnet_ws_free(s.ws);
}

static void test_rejected(void **state) {
    (void)state;
    static const struct {
        int status, err;
        const char *body, *has;
    } rows[] = {
        { 403, LINNET_OK, "go away", "HTTP/1.1 403 Forbidden\r\n" },
        { 401, LINNET_OK, NULL, "\r\n\r\nUnauthorized" },
        { 302, LINNET_OK, "", "Content-Length: 0\r\n" },
        { 200, LINNET_ERR_INVAL, NULL, NULL },
        { 101, LINNET_ERR_INVAL, NULL, NULL },
        { 600, LINNET_ERR_INVAL, NULL, NULL },
        { -1, LINNET_ERR_INVAL, NULL, NULL },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        side s = server_of(NULL);
        assert_int_equal(linnet_ws_reject(s.ws, 403, NULL), LINNET_ERR_STATE); /* of what? */
        assert_int_equal(linnet_ws_accept(s.ws, NULL), LINNET_ERR_STATE);
        feed(&s, linnet_str(ASK "\x81\x80\0\0\0\0"));
        s.said[0] = 0;
        assert_int_equal(linnet_ws_reject(s.ws, rows[i].status, rows[i].body), rows[i].err);
        pull(&s);
        if (rows[i].err == LINNET_OK) {
            said(&s, "closed 1006 OK");
            assert_true(pending_has(&s, rows[i].has));
            assert_true(pending_has(&s, "Connection: close\r\n"));
        } else {
            said(&s, "");
        }
        linnet_ws_free(s.ws);
    }
}

/* Whatever is wrong is refused with the status of the table, and nothing behind it is read. */
static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *why, *bytes, *answer;
    } rows[] = {
        { "no upgrade", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 426 " },
        { "POST",
            "POST / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            "HTTP/1.1 405 " },
        { "version 12",
            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 12\r\n\r\n",
            "Sec-WebSocket-Version: 13\r\n" },
        { "no HTTP", "\x16\x03\x01\x02\r\n\r\n", "HTTP/1.1 400 " },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++)
        for (size_t cut = 1; cut < strlen(rows[i].bytes); cut++) {
            side s = server_of(accepts);
            linnet_slice all = linnet_str(rows[i].bytes);
            feed(&s, ln_slice_sub(all, 0, cut));
            feed(&s, ln_slice_sub(all, cut, all.size));
            feed(&s, linnet_str(ASK));
            said(&s, "closed 1006 HTTP");
            assert_true(pending_has(&s, rows[i].answer));
            linnet_ws_free(s.ws);
        }
}

static void test_protocol_errors(void **state) {
    (void)state;
    static const struct {
        const char *why;
        linnet_slice bytes;
        const char *said, *close;
    } rows[] = {
        { "unmasked", BYTES("\x81\x01x"), "closed 1006 PROTO_MASK", "\x88" },
        { "not UTF-8", BYTES("\x81\x81\0\0\0\0\xff"), "closed 1006 UTF8", "\x03\xef" },
        { "over the limit", BYTES("\x82\xff\0\0\0\0\0\x01\0\1\0\0\0\0"), "closed 1006 TOO_BIG",
            "\x03\xf1" },
        { "a Close of one byte", BYTES("\x88\x81\0\0\0\0\x03"), "closed 1006 PROTO_CLOSE",
            "\x03\xea" },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        linnet_ws_options o = LINNET_WS_OPTIONS_INIT;
        o.upgraded = true;
        side s = server_with(&o, NULL);
        feed(&s, (linnet_slice){ (const uint8_t *)"\x81\x84\0\0\0\0good", 10 });
        feed(&s, rows[i].bytes);
        feed(&s, (linnet_slice){ (const uint8_t *)"\x81\x84\0\0\0\0late", 10 });
        char expect[100];
        snprintf(expect, sizeof expect, "open|text good|%s", rows[i].said);
        said(&s, expect);
        assert_true(pending_has(&s, rows[i].close));
        linnet_ws_free(s.ws);
    }
}

static void test_end_of_stream(void **state) {
    (void)state;
    linnet_slice none = { NULL, 0 };
    side s = server_of(NULL);
    feed(&s, linnet_str("GET / HT"));
    feed(&s, none);
    said(&s, "closed 1006 RESET");
    linnet_ws_free(s.ws);

    s = server_of(NULL); /* while deciding: it is told when it has been decided */
    feed(&s, linnet_str(ASK));
    feed(&s, none);
    said(&s, "upgrade /a%20b?c");
    assert_int_equal(linnet_ws_accept(s.ws, NULL), LINNET_OK);
    pull(&s);
    said(&s, "open|closed 1006 OK");
    linnet_ws_free(s.ws);

    linnet_ws_options o = LINNET_WS_OPTIONS_INIT; /* behind a message */
    o.upgraded = true;
    s = server_with(&o, NULL);
    assert_int_equal(
        linnet_ws_feed(s.ws, (linnet_slice){ (const uint8_t *)"\x81\x81\0\0\0\0x", 7 }), 0);
    assert_int_equal(linnet_ws_feed(s.ws, none), LINNET_OK);
    pull(&s);
    said(&s, "open|text x|closed 1006 OK");
    feed(&s, none);
    said(&s, "");
    linnet_ws_free(s.ws);

    o = (linnet_ws_options)LINNET_WS_OPTIONS_INIT;
    side c = client_with(&o);
    feed(&c, linnet_str("HTTP/1.1 101"));
    feed(&c, none);
    said(&c, "closed 1006 RESET");
    linnet_ws_free(c.ws);
}

static void test_answers_to_a_client(void **state) {
    (void)state;
    static const struct {
        const char *answer, *said;
    } rows[] = {
        { "HTTP/1.1 404 Not Found\r\n\r\n", "closed 1006 UPGRADE_STATUS" },
        { "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            "closed 1006 UPGRADE_ACCEPT" },
        { "HTTP/1.1 101 x\r\nConnection: Upgrade\r\n\r\n", "closed 1006 UPGRADE_HEADER" },
        { "nonsense\r\n\r\n", "closed 1006 UPGRADE_HEADER" },
        { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "closed 1006 UPGRADE_STATUS" },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        linnet_ws_options o = LINNET_WS_OPTIONS_INIT;
        side c = client_with(&o);
        feed(&c, linnet_str(rows[i].answer));
        said(&c, rows[i].said);
        linnet_ws_free(c.ws);
    }
}

/* ---- what a careless host does
 * ------------------------------------------------------------------- */

static void test_wrong_calls(void **state) {
    (void)state;
    linnet_ws_options o = LINNET_WS_OPTIONS_INIT;
    linnet_ws *ws = NULL;
    assert_int_equal(linnet_ws_new(NULL, &ws), LINNET_ERR_INVAL);
    assert_int_equal(linnet_ws_new(&o, NULL), LINNET_ERR_INVAL);
    o.size = 4;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_INVAL);
    o = (linnet_ws_options)LINNET_WS_OPTIONS_INIT;
    o.client = true;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_INVAL); /* no URL */
    o.url = "http://h/";
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_URL);
    o.url = "nonsense";
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_URL);
    o.url = "ws://h/";
    static const char *const headers[][2] = { { "no colon", NULL }, { "Host: x", NULL },
        { "A: b\r\nC: d", NULL }, { ": x", NULL }, { "Sec-WebSocket-Version: 8", NULL } };
    for (size_t i = 0; i < LN_COUNT(headers); i++) {
        o.headers = headers[i];
        assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_INVAL);
    }
    o.headers = NULL;
    static const char *const protocols[] = { "a b", NULL };
    o.subprotocols = protocols;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_INVAL);
    static const char *many[40];
    static char names[40][8];
    for (int i = 0; i < 39; i++) {
        snprintf(names[i], sizeof names[i], "p%d", i);
        many[i] = names[i];
    }
    o.subprotocols = many;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_INVAL);
    o.subprotocols = NULL;
    o.limits.window_bits = 8;
    assert_int_equal(linnet_ws_new(&o, &ws), LINNET_ERR_INVAL);
    assert_null(ws);
    linnet_ws_free(NULL);

    o = (linnet_ws_options)LINNET_WS_OPTIONS_INIT;
    o.upgraded = true;
    side s = server_with(&o, NULL);
    linnet_slice x = linnet_str("x"), bad = linnet_str("\xff");
    assert_int_equal(linnet_ws_send(s.ws, LINNET_CONTINUATION, x), LINNET_ERR_INVAL);
    assert_int_equal(linnet_ws_send(s.ws, (linnet_opcode)9, x), LINNET_ERR_INVAL);
    assert_int_equal(linnet_ws_send(s.ws, LINNET_TEXT, bad), LINNET_ERR_UTF8);
    assert_int_equal(linnet_ws_send_fragment(s.ws, (linnet_opcode)8, true, x), LINNET_ERR_INVAL);
    assert_int_equal(linnet_ws_send_fragment(s.ws, LINNET_CONTINUATION, true, x), LINNET_ERR_STATE);
    assert_int_equal(linnet_ws_send_fragment(s.ws, LINNET_TEXT, true, bad), LINNET_ERR_UTF8);
    assert_int_equal(
        linnet_ws_send_fragment(s.ws, LINNET_TEXT, true, linnet_str("\xc3")), LINNET_ERR_UTF8);
    assert_int_equal(linnet_ws_send_fragment(s.ws, LINNET_TEXT, false, x), LINNET_OK);
    assert_int_equal(linnet_ws_send(s.ws, LINNET_TEXT, x), LINNET_ERR_STATE);
    assert_int_equal(linnet_ws_send_fragment(s.ws, LINNET_BINARY, true, x), LINNET_ERR_STATE);
    assert_int_equal(
        linnet_ws_send_fragment(s.ws, LINNET_CONTINUATION, true, bad), LINNET_ERR_UTF8);
    assert_int_equal(linnet_ws_send_fragment(s.ws, LINNET_CONTINUATION, true, x), LINNET_OK);
    char long_one[200];
    memset(long_one, 'r', sizeof long_one);
    long_one[199] = 0;
    assert_int_equal(linnet_ws_ping(s.ws, linnet_str(long_one)), LINNET_ERR_INVAL);
    assert_int_equal(linnet_ws_close(s.ws, 1005, "words"), LINNET_ERR_INVAL);
    assert_int_equal(linnet_ws_close(s.ws, 1006, NULL), LINNET_ERR_INVAL);
    assert_int_equal(linnet_ws_close(s.ws, 1000, long_one), LINNET_ERR_INVAL);
    assert_int_equal(linnet_ws_close(s.ws, 1000, "\xff"), LINNET_ERR_INVAL);
    assert_int_equal(linnet_ws_close(s.ws, 0, NULL), LINNET_OK);
    assert_int_equal(linnet_ws_send_fragment(s.ws, LINNET_TEXT, true, x), LINNET_ERR_CLOSED);
    linnet_ws_free(s.ws);
}

/* Without memory at any step nothing is half done: what could not be accepted or rejected can be
 * tried again, and one answer leaves. */
static void test_decides_without_memory(void **state) {
    (void)state;
    static const char *const protocols[] = { "two", NULL };
    for (int reject = 0; reject < 2; reject++)
        for (uint64_t n = 1; n < 12; n++) {
            ln_test_memory m = { 0 };
            ln_test_memory_install(&m);
            linnet_ws_options o = LINNET_WS_OPTIONS_INIT;
            o.limits.deflate = LINNET_DEFLATE_TAKEOVER;
            o.subprotocols = protocols;
            side s = server_with(&o, NULL);
            feed(&s, linnet_str("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"));
            s.said[0] = 0;
            char body[3000];
            memset(body, 'b', sizeof body);
            body[sizeof body - 1] = 0;
            m.fail_at = m.calls + n;
            int err = reject ? linnet_ws_reject(s.ws, 403, body) : linnet_ws_accept(s.ws, NULL);
            m.fail_at = 0;
            if (err < 0) {
                assert_int_equal(err, LINNET_ERR_NOMEM);
                assert_int_equal(linnet_ws_pending(s.ws).size, 0);
                err = reject ? linnet_ws_reject(s.ws, 403, body) : linnet_ws_accept(s.ws, NULL);
            }
            assert_int_equal(err, LINNET_OK);
            pull(&s);
            said(&s, reject ? "closed 1006 OK" : "open");
            linnet_ws_free(s.ws);
            assert_int_equal(m.live, 0);
            ln_test_memory_remove();
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialogue_at_every_cut),
        cmocka_unit_test(test_deciding_takes_time),
        cmocka_unit_test(test_too_much_while_deciding),
        cmocka_unit_test(test_rejected),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_protocol_errors),
        cmocka_unit_test(test_end_of_stream),
        cmocka_unit_test(test_answers_to_a_client),
        cmocka_unit_test(test_wrong_calls),
        cmocka_unit_test(test_decides_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
