#include "base/testing.h"
#include "wire/upgrade.h"
#include <stdio.h>

#define F(name) LN_HTTP1_FAULT_##name
#define KEY     "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT  "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static int read_request(ln_slice in, ln_http1_head *h) {
    ln_http1_scan scan = { 0 };
    return ln_http1_request(&scan, &LN_HTTP1_LIMITS_SERVER, in, h);
}
static int read_response(ln_slice in, ln_http1_head *h) {
    ln_http1_scan scan = { 0 };
    return ln_http1_response(&scan, &LN_HTTP1_LIMITS_CLIENT, in, h);
}

/* ---- Accept ------------------------------------------------------------------------ */

static void accept_is_computed(void **state) {
    static const char *const rows[][2] = {
        { KEY, ACCEPT },
        { "AAAAAAAAAAAAAAAAAAAAAA==", "ICX+Yqv66kxgM0FcWaLWlFLwTAI=" },
        { "x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk=" },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        char out[LN_UPGRADE_ACCEPT_SIZE];
        ln_upgrade_accept(ln_slice_str(rows[i][0]), out);
        assert_memory_equal(out, rows[i][1], sizeof(out));
    }
    char key[LN_UPGRADE_KEY_SIZE];
    ln_upgrade_key((const uint8_t *)"the sample nonce", key);
    assert_memory_equal(key, KEY, sizeof(key));
}

/* ---- server: the check ------------------------------------------------------------- */

#define REQUEST "GET /ws HTTP/1.1\r\nHost: example.com\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define K       "Sec-WebSocket-Key: " KEY "\r\n"
#define V       "Sec-WebSocket-Version: 13\r\n"
#define P       "Sec-WebSocket-Protocol: "
#define E       "Sec-WebSocket-Extensions: "

typedef struct row {
    const char *why;
    ln_slice in;
    ln_http1_fault fault;
    unsigned status;
} row;

static const row checks[] = {
    { "a good one", BYTES(REQUEST UPGRADE K V "\r\n"), 0, 0 },
    { "H1 POST", BYTES("POST /ws HTTP/1.1\r\nHost: h\r\n" UPGRADE K V "\r\n"), F(UPGRADE_METHOD),
        405 },
    { "T016 POST upgrade with a body",
        BYTES("POST /ws HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n" UPGRADE K V "\r\n"),
        F(UPGRADE_METHOD), 405 },
    { "H1 HEAD", BYTES("HEAD /ws HTTP/1.1\r\nHost: h\r\n" UPGRADE K V "\r\n"), F(UPGRADE_METHOD),
        405 },
    { "H1 OPTIONS", BYTES("OPTIONS /ws HTTP/1.1\r\nHost: h\r\n\r\n"), F(UPGRADE_METHOD), 405 },
    { "H2 HTTP/1.0 upgrade", BYTES("GET /ws HTTP/1.0\r\nHost: h\r\n" UPGRADE K V "\r\n"),
        F(UPGRADE_HTTP10), 400 },
    { "H2 HTTP/1.0 without upgrade", BYTES("GET /ws HTTP/1.0\r\nHost: h\r\n\r\n"), F(UPGRADE_NONE),
        426 },
    { "H4 no Upgrade", BYTES(REQUEST "Connection: Upgrade\r\n" K V "\r\n"), F(UPGRADE_NONE), 426 },
    { "H4 other Upgrade", BYTES(REQUEST "Upgrade: h2c\r\nConnection: Upgrade\r\n" K V "\r\n"),
        F(UPGRADE_NONE), 426 },
    { "H4 nearly", BYTES(REQUEST "Upgrade: websockets\r\nConnection: Upgrade\r\n" K V "\r\n"),
        F(UPGRADE_NONE), 426 },
    { "H4 with a version",
        BYTES(REQUEST "Upgrade: websocket/13\r\nConnection: Upgrade\r\n" K V "\r\n"),
        F(UPGRADE_NONE), 426 },
    { "H4 without case, in a list",
        BYTES(REQUEST "Upgrade: h2c , WebSocket\r\nConnection: Upgrade\r\n" K V "\r\n"), 0, 0 },
    { "H4 in the second line",
        BYTES(REQUEST "Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" K V "\r\n"),
        0, 0 },
    { "T020 Upgrade without Connection", BYTES(REQUEST "Upgrade: websocket\r\n" K V "\r\n"),
        F(UPGRADE_NONE), 426 },
    { "T020 Connection: Upgradex",
        BYTES(REQUEST "Upgrade: websocket\r\nConnection: Upgradex\r\n" K V "\r\n"), F(UPGRADE_NONE),
        426 },
    { "T020 keep-alive only",
        BYTES(REQUEST "Upgrade: websocket\r\nConnection: keep-alive\r\n" K V "\r\n"),
        F(UPGRADE_NONE), 426 },
    { "T020 keep-alive, Upgrade",
        BYTES(REQUEST "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" K V "\r\n"), 0,
        0 },
    { "T020 odd case and order",
        BYTES(REQUEST "UPGRADE: WEBSOCKET\r\nconnection: ,uPGRADE,Keep-Alive\r\n" K V "\r\n"), 0,
        0 },

#define KEYS(why, lines)                                                                           \
    { "T018 key " why, BYTES(REQUEST UPGRADE lines V "\r\n"), F(UPGRADE_KEY), 400 }
#define ONE_KEY(why, text) KEYS(why, "Sec-WebSocket-Key: " text "\r\n")
    KEYS("missing", ""),
    KEYS("twice", K K),
    ONE_KEY("empty", ""),
    ONE_KEY("too short", "dGhlIHNhbXBsZSBub25jZQ="),
    ONE_KEY("too long", "dGhlIHNhbXBsZSBub25jZQ==="),
    ONE_KEY("without padding", "dGhlIHNhbXBsZSBub25jZQAA"),
    ONE_KEY("of 17 bytes", "AAAAAAAAAAAAAAAAAAAAAAA="),
    ONE_KEY("with padding bits set", "dGhlIHNhbXBsZSBub25jZR=="),
    ONE_KEY("with other padding bits set", "dGhlIHNhbXBsZSBub25jZX=="),
    ONE_KEY("in base64url", "dGhlIHNhbXBsZSBub25j-_=="),
    ONE_KEY("with a blank inside", "dGhlIHNhbXBs ZSBub25jQ=="),
    ONE_KEY("padded inside", "dGhlIHNhbXBsZSBub25j===="),
    { "H6 blanks around the key",
        BYTES(REQUEST UPGRADE "Sec-WebSocket-Key: \t" KEY " \r\n" V "\r\n"), 0, 0 },

#define VERSIONS(why, lines)                                                                       \
    { "T019 H7 version " why, BYTES(REQUEST UPGRADE K lines "\r\n"), F(UPGRADE_VERSION), 426 }
#define ONE_VERSION(why, text) VERSIONS(why, "Sec-WebSocket-Version: " text "\r\n")
    VERSIONS("missing", ""),
    VERSIONS("twice", V V),
    ONE_VERSION("8", "8"),
    ONE_VERSION("0", "0"),
    ONE_VERSION("12", "12"),
    ONE_VERSION("14", "14"),
    ONE_VERSION("13, 8", "13, 8"),
    ONE_VERSION("013", "013"),
    ONE_VERSION("empty", ""),
    ONE_VERSION("of 2^32 + 13", "4294967309"),
    { "H7 before the key", BYTES(REQUEST UPGRADE "\r\n"), F(UPGRADE_VERSION), 426 },

    { "T022 Content-Length", BYTES(REQUEST "Content-Length: 5\r\n" UPGRADE K V "\r\nhello"),
        F(UPGRADE_BODY), 400 },
    { "T022 chunked", BYTES(REQUEST "Transfer-Encoding: chunked\r\n" UPGRADE K V "\r\n0\r\n\r\n"),
        F(UPGRADE_BODY), 400 },
    { "H13 Content-Length 0 is no body", BYTES(REQUEST "Content-Length: 0\r\n" UPGRADE K V "\r\n"),
        0, 0 },

    { "H8 two origins", BYTES(REQUEST UPGRADE K V "Origin: http://a\r\nOrigin: http://a\r\n\r\n"),
        F(UPGRADE_ORIGIN), 403 },

#define PROTOCOLS(why, lines)                                                                      \
    { "H11 subprotocols " why, BYTES(REQUEST UPGRADE K V lines "\r\n"), F(UPGRADE_PROTOCOL), 400 }
    PROTOCOLS("empty", P "\r\n"),
    PROTOCOLS("comma at the end", P "a,\r\n"),
    PROTOCOLS("comma in front", P ",a\r\n"),
    PROTOCOLS("two commas", P "a,,b\r\n"),
    PROTOCOLS("with a space", P "a b\r\n"),
    PROTOCOLS("quoted", P "\"a\"\r\n"),
    PROTOCOLS("with a slash", P "a/b\r\n"),
    PROTOCOLS("non-ASCII", P "\xc3\xa4\r\n"),
    PROTOCOLS("twice the same", P "a, b, a\r\n"),
    PROTOCOLS("twice over lines", P "a, b\r\n" P "b\r\n"),
    PROTOCOLS("one empty line", P "a\r\n" P "\r\n"),
    { "H12 malformed extensions", BYTES(REQUEST UPGRADE K V E "permessage-deflate;;\r\n\r\n"),
        F(UPGRADE_EXTENSION), 400 },
    { "H12 empty extensions", BYTES(REQUEST UPGRADE K V E "\r\n\r\n"), F(UPGRADE_EXTENSION), 400 },
    { "H12 unknown extensions", BYTES(REQUEST UPGRADE K V E "constructor; a=\"b\"\r\n\r\n"), 0, 0 },
};

static void requests_are_judged(void **state) {
    for (size_t i = 0; i < LN_COUNT(checks); i++) {
        const row *r = &checks[i];
        ln_slice in = ln_test_exact(r->in);
        ln_http1_head h;
        ln_upgrade u;
        if (read_request(in, &h) != LN_DONE) fail_msg("%s: not a request", r->why);
        ln_http1_fault fault = ln_upgrade_check(&h, &u);
        if (fault != r->fault) fail_msg("%s: %s", r->why, ln_http1_fault_name(fault));
        assert_int_equal(ln_http1_fault_status(fault), r->status);
        if (!fault) assert_true(ln_slice_eq(u.key, LN_SLICE(KEY)));
        if (!fault) assert_true(ln_upgrade_wanted(&h));
        ln_test_drop(in);
    }
}

static void what_was_asked_for_is_told(void **state) {
    static const ln_slice in = LN_SLICE_INIT(
        REQUEST UPGRADE K V "Origin: https://example.com\r\n" P "linnet.v1 ,b\r\nx: y\r\n" P
                            "c\r\n" E "permessage-deflate\r\n\r\n");
    ln_http1_head h;
    ln_upgrade u;
    assert_int_equal(read_request(in, &h), LN_DONE);
    assert_int_equal(ln_upgrade_check(&h, &u), LN_HTTP1_FAULT_NONE);
    assert_true(ln_slice_eq(u.host, LN_SLICE("example.com")));
    assert_true(ln_slice_eq(u.origin, LN_SLICE("https://example.com")));
    assert_int_equal(u.protocol_count, 3);
    assert_true(ln_slice_eq(u.protocols[0], LN_SLICE("linnet.v1")));
    assert_true(ln_slice_eq(u.protocols[2], LN_SLICE("c")));

    static const ln_slice ours[] = { LN_SLICE_INIT("c"), LN_SLICE_INIT("b") };
    static const ln_slice others[] = { LN_SLICE_INIT("B"), LN_SLICE_INIT("linnet") };
    assert_true(ln_slice_eq(ln_upgrade_choose(&u, ours, 2), LN_SLICE("b"))); /* client's order */
    assert_int_equal(ln_upgrade_choose(&u, others, 2).size, 0);
    assert_int_equal(ln_upgrade_choose(&u, NULL, 0).size, 0);
    assert_true(ln_upgrade_offered(&u, LN_SLICE("c")));
    assert_false(ln_upgrade_offered(&u, LN_SLICE("C")));

    assert_int_equal(read_request(LN_SLICE(REQUEST UPGRADE K V "\r\n"), &h), LN_DONE);
    assert_int_equal(ln_upgrade_check(&h, &u), LN_HTTP1_FAULT_NONE);
    assert_null(u.origin.data);
    assert_int_equal(u.protocol_count, 0);
}

/* THREATS row 21: thousands of names cost no more than the first 32. */
static void t021_subprotocols_are_counted(void **state) {
    for (int count = 31; count <= 33; count++) {
        char text[2000];
        int n = snprintf(text, sizeof(text), "%s", REQUEST UPGRADE K V P "p0");
        for (int i = 1; i < count; i++)
            n += snprintf(text + n, sizeof(text) - (size_t)n, ", p%d", i);
        n += snprintf(text + n, sizeof(text) - (size_t)n, "\r\n\r\n");
        ln_http1_head h;
        ln_upgrade u;
        assert_int_equal(read_request(ln_slice_of(text, (size_t)n), &h), LN_DONE);
        assert_int_equal(ln_upgrade_check(&h, &u), count > 32 ? F(UPGRADE_PROTOCOL) : 0);
    }
}

/* ---- server: the answer ------------------------------------------------------------ */

#define ANSWER                                                                                     \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: " ACCEPT "\r\n"

static void check_text(ln_buf *b, const char *text) {
    ln_slice s = ln_buf_slice(b);
    if (!ln_slice_eq(s, ln_slice_str(text))) fail_msg("%.*s", (int)s.size, (const char *)s.data);
    ln_buf_clear(b);
}

static void the_answer_is_written(void **state) {
    ln_buf b;
    ln_buf_init(&b, 4096);
    assert_int_equal(ln_upgrade_answer(&b, LN_SLICE(KEY), NULL), LINNET_OK);
    check_text(&b, ANSWER "\r\n");

    ln_upgrade_reply r = { .protocol = LN_SLICE("linnet.v1") };
    assert_int_equal(ln_upgrade_answer(&b, LN_SLICE(KEY), &r), LINNET_OK);
    check_text(&b, ANSWER P "linnet.v1\r\n\r\n");

    r.extension = LN_SLICE("permessage-deflate");
    r.lines = LN_SLICE("Set-Cookie: a=b\r\nX: y\r\n");
    assert_int_equal(ln_upgrade_answer(&b, LN_SLICE(KEY), &r), LINNET_OK);
    check_text(
        &b, ANSWER P "linnet.v1\r\n" E "permessage-deflate\r\nSet-Cookie: a=b\r\nX: y\r\n\r\n");
    ln_buf_fini(&b);
}

static void t029_the_answer_refuses_line_ends(void **state) {
    static const struct {
        const char *why;
        ln_upgrade_reply reply;
    } rows[] = {
        { "CR LF in the subprotocol", { .protocol = BYTES("a\r\nX: y") } },
        { "two subprotocols", { .protocol = BYTES("a, b") } },
        { "space in the subprotocol", { .protocol = BYTES("a b") } },
        { "CR LF in the extension", { .extension = BYTES("a\r\nX: y") } },
    };
    ln_buf b;
    ln_buf_init(&b, 4096);
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        if (ln_upgrade_answer(&b, LN_SLICE(KEY), &rows[i].reply) != LINNET_ERR_INVAL)
            fail_msg("%s", rows[i].why);
        assert_int_equal(b.size, 0);
    }
    ln_buf_fini(&b);
}

static void a_full_buffer_keeps_what_it_had(void **state) {
    ln_upgrade_reply r = { .protocol = LN_SLICE("linnet.v1") };
    for (uint32_t max = 1; max < sizeof(ANSWER) + 40; max++) {
        ln_buf b;
        ln_buf_init(&b, max);
        assert_int_equal(ln_buf_add(&b, LN_SLICE("x")), LINNET_OK);
        if (ln_upgrade_answer(&b, LN_SLICE(KEY), &r) == LINNET_OK) {
            assert_int_equal(max, 1 + strlen(ANSWER P "linnet.v1\r\n\r\n"));
            ln_buf_fini(&b);
            return;
        }
        check_text(&b, "x");
        ln_buf_fini(&b);
    }
    fail();
}

static void names_are_reserved(void **state) {
    static const char *const ours[] = { "Host", "CONNECTION", "upgrade", "Content-Length",
        "Transfer-Encoding", "Expect", "Sec-WebSocket-Key", "sec-websocket-anything" };
    static const char *const free_names[] = { "Origin", "Cookie", "Authorization", "User-Agent",
        "Sec-WebSocke", "Hos", "Hosts", "" };
    for (size_t i = 0; i < LN_COUNT(ours); i++)
        assert_true(ln_upgrade_reserved(ln_slice_str(ours[i])));
    for (size_t i = 0; i < LN_COUNT(free_names); i++)
        assert_false(ln_upgrade_reserved(ln_slice_str(free_names[i])));
}

/* ---- origin ------------------------------------------------------------------------ */

static const ln_slice allowed[] = { LN_SLICE_INIT("https://app.example"),
    LN_SLICE_INIT("http://dev.example:8080"), LN_SLICE_INIT("app://desktop"),
    LN_SLICE_INIT("https://slash.example/") };
static const ln_slice any[] = { LN_SLICE_INIT("*") };
static const ln_slice null_too[] = { LN_SLICE_INIT("null") };

static const ln_origin_policy plain = { 0 };
static const ln_origin_policy tls = { .secure = true };
static const ln_origin_policy listed = { .allowed = allowed, .allowed_count = 4 };
static const ln_origin_policy anyone = { .allowed = any, .allowed_count = 1 };
static const ln_origin_policy sandbox = { .allowed = null_too, .allowed_count = 1 };
static const ln_origin_policy cookie = { .required = true };
static const ln_origin_policy local = { .loopback = true };

static void origins_are_judged(void **state) {
    static const struct {
        const char *why;
        const ln_origin_policy *policy;
        const char *origin, *host;
        bool ok;
    } rows[] = {
        { "H8 none", &plain, NULL, "h", true },
        { "H8 none where a cookie authenticates", &cookie, NULL, "h", false },
        { "H8 same host where a cookie authenticates", &cookie, "http://h", "h", true },
        { "H8 same host", &plain, "http://example.com", "example.com", true },
        { "H8 same host without case", &plain, "http://EXAMPLE.com", "example.COM", true },
        { "H8 same host and port", &plain, "http://h:8080", "h:8080", true },
        { "H8 usual port named on one side", &plain, "http://h:80", "h", true },
        { "H8 usual port named on the other", &plain, "http://h", "h:80", true },
        { "H8 TLS ended at a proxy", &plain, "https://h", "h", true },
        { "H8 TLS here", &tls, "https://h", "h", true },
        { "H8 TLS here, plain page", &tls, "http://h", "h", false },
        { "H8 other port", &plain, "http://h:8081", "h:8080", false },
        { "H8 port against none", &plain, "http://h:8080", "h", false },
        { "H8 other host", &plain, "http://evil.test", "h", false },
        { "H8 longer host", &plain, "http://h.evil.test", "h", false },
        { "H8 host below ours", &plain, "http://x.h", "h", false },
        { "H8 IPv6", &plain, "http://[::1]:8", "[::1]:8", true },
        { "H8 IPv6 against its text", &plain, "http://[::1]", "h", false },
        { "H8 null", &plain, "null", "h", false },
        { "H8 null on the list", &sandbox, "null", "h", true },
        { "H8 empty", &plain, "", "h", false },
        { "H8 empty, anyone", &anyone, "", "h", true },
        { "H8 with a path", &plain, "http://h/x", "h", false },
        { "H8 with a query", &plain, "http://h?x", "h", false },
        { "H8 with userinfo", &plain, "http://h@evil.test", "h", false },
        { "H8 with our userinfo", &plain, "http://evil@h", "h", false },
        { "H8 two origins in one", &plain, "http://h http://evil.test", "h", false },
        { "H8 ws is no page", &plain, "ws://h", "h", false },
        { "H8 file", &plain, "file://", "h", false },
        { "H8 host missing", &plain, "http://h", "", false },
        { "H8 listed", &listed, "https://app.example", "h", true },
        { "H8 listed, usual port", &listed, "https://app.example:443", "h", true },
        { "H8 listed without case", &listed, "https://APP.example", "h", true },
        { "H8 listed, other scheme", &listed, "http://app.example", "h", false },
        { "H8 listed, other port", &listed, "https://app.example:8443", "h", false },
        { "H8 listed with a port", &listed, "http://dev.example:8080", "h", true },
        { "H8 listed app", &listed, "app://desktop", "h", true },
        { "H8 listed with a slash", &listed, "https://slash.example", "h", true },
        { "H8 not listed app", &listed, "app://other", "h", false },
        { "H8 not listed, but same host", &listed, "http://h", "h", true },
        { "H8 anyone", &anyone, "https://evil.test", "h", true },
        { "H8 loopback: localhost", &local, "http://localhost:3000", "127.0.0.1:8080", true },
        { "H8 loopback: https", &local, "https://app.localhost", "127.0.0.1:8080", true },
        { "H8 loopback: 127.0.0.1", &local, "http://127.0.0.1:5173", "localhost:8080", true },
        { "H8 loopback: ::1", &local, "http://[::1]:3000", "localhost:8080", true },
        { "H8 loopback: another", &local, "http://evil.test", "127.0.0.1:8080", false },
        { "H8 loopback: name that begins like it", &local, "http://127.0.0.1.nip.io", "localhost",
            false },
        { "H8 localhost elsewhere", &plain, "http://localhost", "h", false },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_slice origin = ln_slice_str(rows[i].origin), host = ln_slice_str(rows[i].host);
        if (ln_origin_ok(rows[i].policy, origin, host) != rows[i].ok) fail_msg("%s", rows[i].why);
    }
}

/* ---- client ------------------------------------------------------------------------ */

static const ln_slice two[] = { LN_SLICE_INIT("linnet.v1"), LN_SLICE_INIT("b") };

typedef struct asked {
    ln_url url;
    ln_upgrade_ask_options o;
} asked;

static asked ask_of(const char *url) {
    asked a = { .o = { .nonce = (const uint8_t *)"the sample nonce" } };
    assert_int_equal(ln_url_parse(ln_slice_str(url), &a.url), LINNET_OK);
    return a;
}

static void the_request_is_written(void **state) {
    ln_buf b;
    ln_buf_init(&b, 4096);
    asked a = ask_of("ws://example.com");
    a.o.url = &a.url;
    assert_int_equal(ln_upgrade_ask(&b, &a.o), LINNET_OK);
    check_text(&b, "GET / HTTP/1.1\r\nHost: example.com\r\n" UPGRADE V K "\r\n");

    static const ln_http1_field extra[] = { { BYTES("Origin"), BYTES("https://example.com") },
        { BYTES("Cookie"), BYTES("") } };
    a = ask_of("wss://me:secret@[::1]:444/chat/?a=b");
    a.o.url = &a.url;
    a.o.protocols = two;
    a.o.protocol_count = 2;
    a.o.deflate = LN_PMD_POLICY_CLIENT;
    a.o.extra = extra;
    a.o.extra_count = 2;
    assert_int_equal(ln_upgrade_ask(&b, &a.o), LINNET_OK);
    check_text(&b, "GET /chat/?a=b HTTP/1.1\r\nHost: [::1]:444\r\n" UPGRADE V K E
                   "permessage-deflate; client_max_window_bits\r\n" P
                   "linnet.v1, b\r\nOrigin: https://example.com\r\nCookie: \r\n\r\n");
    ln_buf_fini(&b);
}

static void t029_the_request_refuses_line_ends(void **state) {
    static const struct {
        const char *why;
        ln_http1_field field;
    } fields[] = {
        { "CR LF in a value", { BYTES("A"), BYTES("b\r\nX: y") } },
        { "LF in a value", { BYTES("A"), BYTES("b\n") } },
        { "NUL in a value", { BYTES("A"), BYTES("\0") } },
        { "CR LF in a name", { BYTES("A: b\r\nX"), BYTES("y") } },
        { "empty name", { BYTES(""), BYTES("y") } },
        { "Host", { BYTES("Host"), BYTES("evil.test") } },
        { "Connection", { BYTES("connection"), BYTES("close") } },
        { "Content-Length", { BYTES("Content-Length"), BYTES("5") } },
        { "our key", { BYTES("Sec-WebSocket-Key"), BYTES(KEY) } },
    };
    static const ln_slice protocols[][2] = {
        { BYTES("a"), BYTES("a") },
        { BYTES("a"), BYTES("") },
        { BYTES("a, b"), BYTES("c") },
        { BYTES("a\r\nX: y"), BYTES("c") },
    };
    ln_buf b;
    ln_buf_init(&b, 4096);
    for (size_t i = 0; i < LN_COUNT(fields); i++) {
        asked a = ask_of("ws://h");
        a.o.url = &a.url;
        a.o.extra = &fields[i].field;
        a.o.extra_count = 1;
        if (ln_upgrade_ask(&b, &a.o) != LINNET_ERR_INVAL) fail_msg("%s", fields[i].why);
        assert_int_equal(b.size, 0);
    }
    for (size_t i = 0; i < LN_COUNT(protocols); i++) {
        asked a = ask_of("ws://h");
        a.o.url = &a.url;
        a.o.protocols = protocols[i];
        a.o.protocol_count = 2;
        assert_int_equal(ln_upgrade_ask(&b, &a.o), LINNET_ERR_INVAL); /* M3 */
        assert_int_equal(b.size, 0);
    }
    ln_buf_fini(&b);
}

static void a_full_buffer_gets_no_request(void **state) {
    asked a = ask_of("ws://h/path");
    a.o.url = &a.url;
    size_t whole = strlen("GET /path HTTP/1.1\r\nHost: h\r\n" UPGRADE V K "\r\n");
    int err = LINNET_ERR_TOO_BIG;
    for (uint32_t max = 1; err != LINNET_OK; max++) {
        ln_buf b;
        ln_buf_init(&b, max);
        err = ln_upgrade_ask(&b, &a.o);
        assert_int_equal(err, max < whole ? LINNET_ERR_TOO_BIG : LINNET_OK);
        assert_int_equal(b.size, err ? 0 : max);
        ln_buf_fini(&b);
    }
}

#define GOOD "HTTP/1.1 101 Switching Protocols\r\n"
#define A    "Sec-WebSocket-Accept: " ACCEPT "\r\n"
#define PMD  "permessage-deflate"

static const struct {
    const char *why;
    ln_slice in;
    int err;
} answers[] = {
    { "C6 good", BYTES(GOOD UPGRADE A "\r\n"), LINNET_OK },
    { "C6 without case, Connection a list",
        BYTES(GOOD "upgrade: WebSocket\r\nConnection: keep-alive, UPGRADE\r\n" A "\r\n"),
        LINNET_OK },
    { "C6 subprotocol", BYTES(GOOD UPGRADE A P "b\r\n\r\n"), LINNET_OK },
    { "C6 deflate", BYTES(GOOD UPGRADE A E PMD "; client_max_window_bits=9\r\n\r\n"), LINNET_OK },
    { "C5 200", BYTES("HTTP/1.1 200 OK\r\n" UPGRADE A "\r\n"), LINNET_ERR_UPGRADE_STATUS },
    { "C5 401", BYTES("HTTP/1.1 401 No\r\n\r\n"), LINNET_ERR_UPGRADE_STATUS },
    { "C5 302", BYTES("HTTP/1.1 302 Found\r\nLocation: ws://evil.test\r\n\r\n"),
        LINNET_ERR_UPGRADE_STATUS },
    { "C5 426", BYTES("HTTP/1.1 426 Upgrade\r\nSec-WebSocket-Version: 8\r\n\r\n"),
        LINNET_ERR_UPGRADE_STATUS },
    { "HTTP/1.0", BYTES("HTTP/1.0 101 S\r\n" UPGRADE A "\r\n"), LINNET_ERR_UPGRADE_HEADER },
    { "C6 Upgrade missing", BYTES(GOOD "Connection: Upgrade\r\n" A "\r\n"),
        LINNET_ERR_UPGRADE_HEADER },
    { "C6 other Upgrade", BYTES(GOOD "Upgrade: h2c\r\nConnection: Upgrade\r\n" A "\r\n"),
        LINNET_ERR_UPGRADE_HEADER },
    { "C6 Upgrade a list",
        BYTES(GOOD "Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n" A "\r\n"),
        LINNET_ERR_UPGRADE_HEADER },
    { "C6 Upgrade twice", BYTES(GOOD "Upgrade: websocket\r\n" UPGRADE A "\r\n"),
        LINNET_ERR_UPGRADE_HEADER },
    { "C6 Connection missing", BYTES(GOOD "Upgrade: websocket\r\n" A "\r\n"),
        LINNET_ERR_UPGRADE_HEADER },
    { "C6 Connection without upgrade",
        BYTES(GOOD "Upgrade: websocket\r\nConnection: keep-alive\r\n" A "\r\n"),
        LINNET_ERR_UPGRADE_HEADER },
    { "C6 Accept missing", BYTES(GOOD UPGRADE "\r\n"), LINNET_ERR_UPGRADE_ACCEPT },
    { "C6 Accept of another key",
        BYTES(GOOD UPGRADE "Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n"),
        LINNET_ERR_UPGRADE_ACCEPT },
    { "C6 Accept in other case",
        BYTES(GOOD UPGRADE "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
        LINNET_ERR_UPGRADE_ACCEPT },
    { "C6 Accept cut", BYTES(GOOD UPGRADE "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\r\n\r\n"),
        LINNET_ERR_UPGRADE_ACCEPT },
    { "M7 Accept twice", BYTES(GOOD UPGRADE A A "\r\n"), LINNET_ERR_UPGRADE_HEADER },
    { "C6 subprotocol not offered", BYTES(GOOD UPGRADE A P "c\r\n\r\n"),
        LINNET_ERR_UPGRADE_PROTOCOL },
    { "C6 subprotocol in other case", BYTES(GOOD UPGRADE A P "B\r\n\r\n"),
        LINNET_ERR_UPGRADE_PROTOCOL },
    { "C6 two subprotocols", BYTES(GOOD UPGRADE A P "linnet.v1, b\r\n\r\n"),
        LINNET_ERR_UPGRADE_PROTOCOL },
    { "M5 empty subprotocol", BYTES(GOOD UPGRADE A P "\r\n\r\n"), LINNET_ERR_UPGRADE_PROTOCOL },
    { "M7 subprotocol twice", BYTES(GOOD UPGRADE A P "b\r\n" P "b\r\n\r\n"),
        LINNET_ERR_UPGRADE_HEADER },
    { "C6 other extension", BYTES(GOOD UPGRADE A E "foo\r\n\r\n"), LINNET_ERR_UPGRADE_EXTENSION },
    { "C6 window larger than offered",
        BYTES(GOOD UPGRADE A E PMD "; client_max_window_bits=16\r\n\r\n"),
        LINNET_ERR_UPGRADE_EXTENSION },
    { "M7 extensions twice", BYTES(GOOD UPGRADE A E PMD "\r\n" E PMD "\r\n\r\n"),
        LINNET_ERR_UPGRADE_HEADER },
    { "H12 malformed extensions", BYTES(GOOD UPGRADE A E PMD ";\r\n\r\n"),
        LINNET_ERR_UPGRADE_HEADER },
};

static void answers_are_verified(void **state) {
    asked a = ask_of("ws://h");
    a.o.url = &a.url;
    a.o.protocols = two;
    a.o.protocol_count = 2;
    a.o.deflate = LN_PMD_POLICY_CLIENT;
    for (size_t i = 0; i < LN_COUNT(answers); i++) {
        ln_slice in = ln_test_exact(answers[i].in);
        ln_http1_head h;
        ln_upgrade_agreed agreed;
        if (read_response(in, &h) != LN_DONE) fail_msg("%s: not a response", answers[i].why);
        int err = ln_upgrade_verify(&a.o, &h, &agreed);
        if (err != answers[i].err) fail_msg("%s: %s", answers[i].why, linnet_errname(err));
        if (err == LINNET_OK) {
            assert_true(agreed.protocol.size == 0 || ln_slice_eq(agreed.protocol, LN_SLICE("b")));
            assert_int_equal(
                agreed.deflate, ln_http1_find(&h, LN_SLICE("Sec-WebSocket-Extensions"), NULL));
            if (agreed.deflate) assert_int_equal(agreed.params.client_bits, 9);
        }
        ln_test_drop(in);
    }
}

static void nothing_offered_nothing_taken(void **state) {
    asked a = ask_of("ws://h");
    a.o.url = &a.url;
    ln_http1_head h;
    ln_upgrade_agreed agreed;
    assert_int_equal(read_response(LN_SLICE(GOOD UPGRADE A P "b\r\n\r\n"), &h), LN_DONE);
    assert_int_equal(ln_upgrade_verify(&a.o, &h, &agreed), LINNET_ERR_UPGRADE_PROTOCOL);
    assert_int_equal(read_response(LN_SLICE(GOOD UPGRADE A E PMD "\r\n\r\n"), &h), LN_DONE);
    assert_int_equal(ln_upgrade_verify(&a.o, &h, &agreed), LINNET_ERR_UPGRADE_EXTENSION);
}

/* One side's words in the other side's ears. */
static void both_sides_agree(void **state) {
    for (unsigned seed = 0; seed < 256; seed++) {
        uint8_t nonce[16];
        memset(nonce, (int)seed, sizeof(nonce));
        asked a = ask_of("ws://h:8080/ws?x");
        a.o.url = &a.url;
        a.o.nonce = nonce;
        a.o.protocols = two;
        a.o.protocol_count = seed % 3;
        a.o.deflate = LN_PMD_POLICY_CLIENT;
        a.o.deflate.enabled = seed & 1;
        ln_buf wire, back;
        ln_buf_init(&wire, 4096);
        ln_buf_init(&back, 4096);
        assert_int_equal(ln_upgrade_ask(&wire, &a.o), LINNET_OK);

        ln_http1_head request, response;
        ln_upgrade u;
        ln_pmd_params params;
        ln_pmd_text text = { 0 };
        assert_int_equal(read_request(ln_buf_slice(&wire), &request), LN_DONE);
        assert_int_equal(request.size, wire.size);
        assert_int_equal(ln_upgrade_check(&request, &u), LN_HTTP1_FAULT_NONE);
        assert_true(ln_slice_eq(u.host, LN_SLICE("h:8080")));
        assert_int_equal(ln_pmd_accept(&LN_PMD_POLICY_SERVER, &request, &params, &text), seed & 1);
        ln_upgrade_reply reply = { .protocol = ln_upgrade_choose(&u, two, 2),
            .extension = ln_pmd_slice(&text) };
        assert_int_equal(ln_upgrade_answer(&back, u.key, &reply), LINNET_OK);

        ln_upgrade_agreed agreed;
        assert_int_equal(read_response(ln_buf_slice(&back), &response), LN_DONE);
        assert_int_equal(response.size, back.size);
        assert_int_equal(ln_upgrade_verify(&a.o, &response, &agreed), LINNET_OK);
        assert_int_equal(agreed.protocol.size, seed % 3 ? strlen("linnet.v1") : 0);
        assert_int_equal(agreed.deflate, seed & 1);
        ln_buf_fini(&wire);
        ln_buf_fini(&back);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accept_is_computed),
        cmocka_unit_test(requests_are_judged),
        cmocka_unit_test(what_was_asked_for_is_told),
        cmocka_unit_test(t021_subprotocols_are_counted),
        cmocka_unit_test(the_answer_is_written),
        cmocka_unit_test(t029_the_answer_refuses_line_ends),
        cmocka_unit_test(a_full_buffer_keeps_what_it_had),
        cmocka_unit_test(names_are_reserved),
        cmocka_unit_test(origins_are_judged),
        cmocka_unit_test(the_request_is_written),
        cmocka_unit_test(t029_the_request_refuses_line_ends),
        cmocka_unit_test(a_full_buffer_gets_no_request),
        cmocka_unit_test(answers_are_verified),
        cmocka_unit_test(nothing_offered_nothing_taken),
        cmocka_unit_test(both_sides_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
