#include "base/testing.h"
#include "wire/http1.h"
#include <stdio.h>

#define NONE    LN_HTTP1_FAULT_NONE
#define F(name) LN_HTTP1_FAULT_##name
#define H       "Host: h\r\n"

static const ln_http1_limits server = { 4096, 8192, LN_HTTP1_FIELDS_MAX };
static const ln_http1_limits client = { 4096, 16384, LN_HTTP1_FIELDS_MAX };

typedef int read_fn(ln_http1_scan *, const ln_http1_limits *, ln_slice, ln_http1_head *);

/* Shows the first n bytes in a block of exactly that size. The slices of *out dangle. */
static int show(read_fn *read, ln_http1_scan *scan, const ln_http1_limits *limits, ln_slice in,
    size_t n, ln_http1_head *out) {
    ln_slice part = ln_test_exact(ln_slice_sub(in, 0, n));
    int err = read(scan, limits, part, out);
    ln_test_drop(part);
    return err;
}

/* The fault of a head that is shown whole, and again in two pieces cut at each byte, and
 * byte by byte: always the same one, and none later than the byte that earns it. */
static ln_http1_fault fault_of(
    const char *why, read_fn *read, const ln_http1_limits *limits, ln_slice in) {
    ln_http1_head head;
    ln_http1_scan scan = { 0 };
    int err = show(read, &scan, limits, in, in.size, &head);
    if (err == LN_MORE) fail_msg("%s: not complete", why);
    ln_http1_fault fault = scan.fault;
    if ((err == LINNET_ERR_HTTP) != (fault != NONE)) fail_msg("%s: %d and %u", why, err, fault);

    ln_http1_scan bytewise = { 0 };
    bool over = false;
    for (size_t n = 0; n < in.size; n++) {
        ln_http1_scan s = { 0 };
        int first = show(read, &s, limits, in, n, &head);
        if (first == LN_MORE) first = show(read, &s, limits, in, in.size, &head);
        if (first != err || s.fault != fault) fail_msg("%s: cut at %zu", why, n);
        if (over) continue;
        over = show(read, &bytewise, limits, in, n, &head) != LN_MORE;
        if (over && bytewise.fault != fault) fail_msg("%s: byte %zu", why, n);
    }
    return fault;
}

/* ---- requests that are refused ----------------------------------------------------- */

typedef struct row {
    const char *why;
    ln_slice in;
    ln_http1_fault fault;
    unsigned status;
} row;

static const row requests[] = {
    { "the least", BYTES("GET / HTTP/1.1\r\n" H "\r\n"), NONE, 0 },

    { "T001 bare LF behind the request line", BYTES("GET / HTTP/1.1\n" H "\r\n"), F(LINE_END),
        400 },
    { "T001 bare LF behind a header", BYTES("GET / HTTP/1.1\r\nHost: h\n\r\n"), F(LINE_END), 400 },
    { "T001 bare LF as the last line", BYTES("GET / HTTP/1.1\r\n" H "\n"), F(LINE_END), 400 },
    { "T001 LF LF in between", BYTES("GET / HTTP/1.1\r\nA: b\n\nGET"), F(LINE_END), 400 },
    { "T001 empty line in front", BYTES("\r\nGET / HTTP/1.1\r\n" H "\r\n"), F(LINE), 400 },
    { "T002 CR alone behind the request line", BYTES("GET / HTTP/1.1\r" H), F(LINE_END), 400 },
    { "T002 CR inside a value", BYTES("GET / HTTP/1.1\r\nA: b\rc\r\n" H "\r\n"), F(LINE_END), 400 },
    { "T002 CR CR LF", BYTES("GET / HTTP/1.1\r\nA: b\r\r\n" H "\r\n"), F(LINE_END), 400 },
    { "T002 CR alone as the last line", BYTES("GET / HTTP/1.1\r\n" H "\rX"), F(LINE_END), 400 },
    { "T002 CR in the target", BYTES("GET /\rx HTTP/1.1\r\n" H "\r\n"), F(LINE), 400 },

    { "T003 obs-fold with a space", BYTES("GET / HTTP/1.1\r\nA: b\r\n c\r\n" H "\r\n"), F(FOLD),
        400 },
    { "T003 obs-fold with a tab", BYTES("GET / HTTP/1.1\r\nA: b\r\n\tc\r\n" H "\r\n"), F(FOLD),
        400 },
    { "T003 white space before the first header", BYTES("GET / HTTP/1.1\r\n " H "\r\n"), F(FOLD),
        400 },
    { "T003 space before the colon", BYTES("GET / HTTP/1.1\r\nHost : h\r\n\r\n"), F(NAME), 400 },
    { "T003 tab before the colon", BYTES("GET / HTTP/1.1\r\nHost\t: h\r\n\r\n"), F(NAME), 400 },
    { "T003 empty name", BYTES("GET / HTTP/1.1\r\n: x\r\n" H "\r\n"), F(NAME), 400 },
    { "T003 parenthesis in a name", BYTES("GET / HTTP/1.1\r\nA(b): c\r\n" H "\r\n"), F(NAME), 400 },
    { "T003 slash in a name", BYTES("GET / HTTP/1.1\r\nA/b: c\r\n" H "\r\n"), F(NAME), 400 },
    { "T003 non-ASCII name", BYTES("GET / HTTP/1.1\r\n\xc3\xa4: c\r\n" H "\r\n"), F(NAME), 400 },
    { "T003 NUL in a name", BYTES("GET / HTTP/1.1\r\nA\0b: c\r\n" H "\r\n"), F(NAME), 400 },
    { "T003 line without colon", BYTES("GET / HTTP/1.1\r\nHost\r\n\r\n"), F(NAME), 400 },
    { "T003 word without colon", BYTES("GET / HTTP/1.1\r\n" H "junk junk\r\n\r\n"), F(NAME), 400 },

    { "T005 two Content-Lengths, different",
        BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), F(LENGTH),
        400 },
    { "T005 two Content-Lengths, equal",
        BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\ncontent-length: 5\r\n\r\n"), F(LENGTH),
        400 },
    { "T005 Content-Length 5, 5", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n"),
        F(LENGTH), 400 },
#define CL(why, text)                                                                              \
    {                                                                                              \
        "T006 Content-Length " why,                                                                \
            BYTES("POST / HTTP/1.1\r\n" H "Content-Length: " text "\r\n\r\n"), F(LENGTH), 400      \
    }
    CL("+5", "+5"),
    CL("-1", "-1"),
    CL("minus the request's own length", "-62"),
    CL("in hex", "0x10"),
    CL("5 5", "5 5"),
    CL("1_0", "1_0"),
    CL("5 x", " 5 x"),
    CL("empty", ""),
    CL("leading zero", "05"),
    CL("2^63", "9223372036854775808"),
    CL("2^64+5", "18446744073709551621"),
    CL("NaN", "NaN"),
    CL("quoted", "\"5\""),
    { "T007 Content-Length, then Transfer-Encoding",
        BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
        F(FRAMING), 400 },
    { "T007 Transfer-Encoding, then Content-Length",
        BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"),
        F(FRAMING), 400 },
#define TE(why, text, fault, status)                                                               \
    {                                                                                              \
        "T008 Transfer-Encoding " why,                                                             \
            BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: " text "\r\n\r\n"), F(fault), status \
    }
    TE("identity", "identity", CODING_UNKNOWN, 501),
    TE("xchunked", "xchunked", CODING_UNKNOWN, 501),
    TE("gzip, chunked", "gzip, chunked", CODING_UNKNOWN, 501),
    TE("chunked, gzip", "chunked, gzip", CODING_UNKNOWN, 501),
    TE("chunked with a parameter", "chunked;q=1", CODING_UNKNOWN, 501),
    TE("quoted", "\"chunked\"", CODING_UNKNOWN, 501),
    TE("chunked, chunked", "chunked, chunked", CODING, 400),
    TE("chunked twice", "chunked\r\nTransfer-Encoding: chunked", CODING, 400),
    TE("empty", "", CODING, 400),
    TE("comma only", ",", CODING, 400),
    TE("behind VT", "\vchunked", BYTE, 400),
    TE("behind FF", "\fchunked", BYTE, 400),
    TE("behind NUL", "\0chunked", BYTE, 400),
    { "T008 Transfer-Encoding in HTTP/1.0",
        BYTES("POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"), F(CODING), 400 },

    { "T012 Host missing", BYTES("GET / HTTP/1.1\r\n\r\n"), F(HOST), 400 },
    { "T012 Host twice", BYTES("GET / HTTP/1.1\r\n" H H "\r\n"), F(HOST), 400 },
    { "T012 Host twice in HTTP/1.0", BYTES("GET / HTTP/1.0\r\n" H H "\r\n"), F(HOST), 400 },
#define HOST(why, text)                                                                            \
    { "T012 Host " why, BYTES("GET / HTTP/1.1\r\nHost: " text "\r\n\r\n"), F(HOST), 400 }
    HOST("empty", ""),
    HOST("with userinfo", "me@h"),
    HOST("with path", "h/x"),
    HOST("with space", "h x"),
    HOST("with comma", "h, h"),
    HOST("with a scheme", "http://h"),
    HOST("with port only", ":80"),
    HOST("with empty port", "h:"),
    HOST("with port 0", "h:0"),
    HOST("with port 65536", "h:65536"),
    HOST("with a tab", "h\tx"),
    HOST("with a broken IPv6", "[::1"),
    { "T012 Host empty in HTTP/1.0", BYTES("GET / HTTP/1.0\r\nHost:\r\n\r\n"), F(HOST), 400 },
    { "T013 absolute-form, other host", BYTES("GET http://other/ HTTP/1.1\r\n" H "\r\n"),
        F(HOST_DIFFERS), 400 },
    { "T013 absolute-form, other port", BYTES("GET http://h:81/ HTTP/1.1\r\n" H "\r\n"),
        F(HOST_DIFFERS), 400 },
    { "T013 absolute-form with userinfo", BYTES("GET http://me@h/ HTTP/1.1\r\n" H "\r\n"),
        F(TARGET), 400 },
    { "T013 absolute-form without a host", BYTES("GET http:/// HTTP/1.1\r\n" H "\r\n"), F(TARGET),
        400 },
    { "T013 absolute-form, other scheme", BYTES("GET ftp://h/ HTTP/1.1\r\n" H "\r\n"), F(TARGET),
        400 },
    { "T013 absolute-form, unsafe path", BYTES("GET http://h/../x HTTP/1.1\r\n" H "\r\n"), F(PATH),
        400 },
    { "T013 authority-form", BYTES("GET h:80 HTTP/1.1\r\n" H "\r\n"), F(TARGET), 400 },
    { "T013 asterisk for GET", BYTES("GET * HTTP/1.1\r\n" H "\r\n"), F(TARGET), 400 },
    { "relative target", BYTES("GET x HTTP/1.1\r\n" H "\r\n"), F(TARGET), 400 },
    { "query without path", BYTES("GET ?x HTTP/1.1\r\n" H "\r\n"), F(TARGET), 400 },

    { "T016 method in small letters", BYTES("get / HTTP/1.1\r\n" H "\r\n"), F(METHOD), 501 },
    { "T016 unknown method", BYTES("FOO / HTTP/1.1\r\n" H "\r\n"), F(METHOD), 501 },
    { "T016 CONNECT", BYTES("CONNECT h:80 HTTP/1.1\r\n" H "\r\n"), F(METHOD), 501 },
    { "T016 method with a bracket", BYTES("G[T / HTTP/1.1\r\n" H "\r\n"), F(LINE), 400 },
    { "T016 empty method", BYTES(" / HTTP/1.1\r\n" H "\r\n"), F(LINE), 400 },
    { "T017 HTTP/0.9", BYTES("GET /\r\n"), F(LINE), 400 },
    { "T017 HTTP/0.9 with LF", BYTES("GET /\n"), F(LINE), 400 },
    { "T017 HTTP/0.9 by name", BYTES("GET / HTTP/0.9\r\n\r\n"), F(VERSION), 505 },
    { "T017 HTTP/1.2", BYTES("GET / HTTP/1.2\r\n" H "\r\n"), F(VERSION), 505 },
    { "T017 HTTP/2.0", BYTES("GET / HTTP/2.0\r\n" H "\r\n"), F(VERSION), 505 },
    { "T017 HTTP/2 preface", BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), F(VERSION), 505 },
    { "T017 TLS ClientHello", BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), F(LINE), 400 },
    { "T017 SOCKS 5", BYTES("\x05\x01\x00"), F(LINE), 400 },
    { "T017 SSH banner", BYTES("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"), F(LINE), 400 },
    { "T033 PROXY protocol, version 1", BYTES("PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"), F(LINE),
        400 },
    { "T033 PROXY protocol, version 2", BYTES("\r\n\r\n\0\r\nQUIT\n"), F(LINE), 400 },
    { "version in small letters", BYTES("GET / http/1.1\r\n" H "\r\n"), F(LINE), 400 },
    { "version with two digits", BYTES("GET / HTTP/1.10\r\n" H "\r\n"), F(LINE), 400 },
    { "version cut", BYTES("GET / HTTP/1.\r\n" H "\r\n"), F(LINE), 400 },
    { "space behind the version", BYTES("GET / HTTP/1.1 \r\n" H "\r\n"), F(LINE), 400 },
    { "two spaces", BYTES("GET  / HTTP/1.1\r\n" H "\r\n"), F(LINE), 400 },
    { "space in the target", BYTES("GET /a b HTTP/1.1\r\n" H "\r\n"), F(LINE), 400 },
    { "fragment in the target", BYTES("GET /#f HTTP/1.1\r\n" H "\r\n"), F(TARGET), 400 },
    { "non-ASCII target", BYTES("GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n"), F(TARGET), 400 },

    { "T026 Expect: foo", BYTES("POST / HTTP/1.1\r\n" H "Expect: foo\r\n\r\n"), F(EXPECT), 417 },
    { "T026 Expect twice",
        BYTES("POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n"),
        F(EXPECT), 417 },
    { "T028 parent directory", BYTES("GET /a/../b HTTP/1.1\r\n" H "\r\n"), F(PATH), 400 },
    { "T028 NUL in the path", BYTES("GET /%00 HTTP/1.1\r\n" H "\r\n"), F(PATH), 400 },
    { "T028 broken escape in the query", BYTES("GET /?a=%4 HTTP/1.1\r\n" H "\r\n"), F(QUERY), 400 },
};

static void requests_are_refused(void **state) {
    for (size_t i = 0; i < LN_COUNT(requests); i++) {
        const row *r = &requests[i];
        ln_http1_fault fault = fault_of(r->why, ln_http1_request, &server, r->in);
        if (fault != r->fault) fail_msg("%s: %s", r->why, ln_http1_fault_name(fault));
        assert_int_equal(ln_http1_fault_status(fault), r->status);
    }
}

/* THREATS row 4, and the classes of bytes in general: every byte at every place. */
static void every_byte_at_every_place(void **state) {
    static const struct {
        const char *place;
        ln_slice before, after;
        const char *also; /* allowed besides the bytes below */
        bool letters, visible, high;
    } places[] = {
        { "T004 in a value", BYTES("GET / HTTP/1.1\r\n" H "A: b"), BYTES("c\r\n\r\n"), "\t \r",
            true, true, true },
        { "T004 in the target", BYTES("GET /a"), BYTES("c HTTP/1.1\r\n" H "\r\n"), "", true, true,
            false },
        { "T004 in a name", BYTES("GET / HTTP/1.1\r\n" H "A"), BYTES("c: d\r\n\r\n"),
            "!#$%&'*+-.^_`|~", true, false, false },
    };
    for (size_t p = 0; p < LN_COUNT(places); p++) {
        for (unsigned c = 0; c < 256; c++) {
            uint8_t text[100];
            ln_slice before = places[p].before, after = places[p].after;
            memcpy(text, before.data, before.size);
            text[before.size] = (uint8_t)c;
            memcpy(text + before.size + 1, after.data, after.size);
            ln_slice in = ln_slice_of(text, before.size + 1 + after.size);

            bool letter = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
            bool ok = (letter && places[p].letters) || (c && strchr(places[p].also, (int)c)) ||
                      (places[p].visible && c > 0x20 && c < 0x7f) || (places[p].high && c >= 0x80);
            if (p == 0 && c == '\r') ok = false; /* then 'c' is not a LF */
            if (p == 1 && strchr("\"#<>%\\", (int)c)) ok = false;
            if (p == 2 && c == ':') ok = true;
            ln_http1_fault fault = fault_of(places[p].place, ln_http1_request, &server, in);
            if ((fault == NONE) != ok) fail_msg("%s: byte %02x", places[p].place, c);
        }
    }
}

/* ---- requests that are read -------------------------------------------------------- */

static const char whole[] = "POST /feed/%C3%A4?a=1&b HTTP/1.1\r\n"
                            "Host: example.com:8080\r\n"
                            "X-Empty:\r\n"
                            "X-Blank: \t \r\n"
                            "Connection: keep-alive, Upgrade\r\n"
                            "X-Twice:  one \t\r\n"
                            "x-tWICE: two, ,three,\r\n"
                            "Expect: 100-Continue\r\n"
                            "Content-Length: 5\r\n"
                            "X-High: \xff\xfe\r\n\r\n"
                            "hello";

static void check_whole(const ln_http1_head *h) {
    assert_int_equal(h->size, sizeof(whole) - 1 - 5);
    assert_int_equal(h->method, LN_HTTP1_POST);
    assert_int_equal(h->minor, 1);
    assert_int_equal(h->status, 0);
    assert_true(ln_slice_eq(h->target, LN_SLICE("/feed/%C3%A4?a=1&b")));
    assert_true(ln_slice_eq(h->path, LN_SLICE("/feed/%C3%A4")));
    assert_true(ln_slice_eq(h->query, LN_SLICE("a=1&b")));
    assert_true(ln_slice_eq(h->host, LN_SLICE("example.com:8080")));
    assert_true(h->keep_alive);
    assert_true(h->expect_continue);
    assert_int_equal(h->body, LN_HTTP1_BODY_LENGTH);
    assert_int_equal(h->length, 5);
    assert_int_equal(h->count, 9);
    assert_true(ln_slice_eq(h->fields[0].name, LN_SLICE("Host")));
    assert_int_equal(h->fields[1].value.size, 0);
    assert_int_equal(h->fields[2].value.size, 0);
    assert_true(ln_slice_eq(h->fields[4].value, LN_SLICE("one")));
    assert_true(ln_slice_eq(h->fields[8].value, LN_SLICE("\xff\xfe")));
}

static void a_request_is_read_whole(void **state) {
    ln_slice in = ln_test_exact(ln_slice_str(whole));
    ln_http1_scan scan = { 0 };
    ln_http1_head head;
    assert_int_equal(ln_http1_request(&scan, &server, in, &head), LN_DONE);
    check_whole(&head);
    assert_int_equal(scan.seen, 0);
    ln_test_drop(in);
}

/* The bytes move between the calls, as a growing buffer's do. */
static void t023_a_request_is_read_in_pieces(void **state) {
    ln_slice all = ln_slice_str(whole);
    for (size_t a = 0; a < all.size - 5; a++) {
        for (size_t b = a; b < all.size - 5; b++) {
            ln_http1_scan scan = { 0 };
            ln_http1_head head;
            assert_int_equal(show(ln_http1_request, &scan, &server, all, a, &head), LN_MORE);
            assert_int_equal(show(ln_http1_request, &scan, &server, all, b, &head), LN_MORE);
            assert_int_equal(ln_http1_request(&scan, &server, all, &head), LN_DONE);
            check_whole(&head);
        }
    }
}

static void targets_are_split(void **state) {
    static const struct {
        const char *why;
        ln_slice in;
        const char *path, *query, *host;
    } rows[] = {
        { "origin-form", BYTES("GET /a?b?c HTTP/1.1\r\n" H "\r\n"), "/a", "b?c", "h" },
        { "empty query", BYTES("GET /a? HTTP/1.1\r\n" H "\r\n"), "/a", "", "h" },
        { "T013 absolute-form", BYTES("GET http://h/a?b HTTP/1.1\r\n" H "\r\n"), "/a", "b", "h" },
        { "T013 absolute-form without case", BYTES("GET HTTPS://H/a HTTP/1.1\r\n" H "\r\n"), "/a",
            "", "h" },
        { "T013 absolute-form without path", BYTES("GET http://h HTTP/1.1\r\n" H "\r\n"), "/", "",
            "h" },
        { "T013 absolute-form with query only", BYTES("GET http://h?q HTTP/1.1\r\n" H "\r\n"), "/",
            "q", "h" },
        { "T013 absolute-form, IPv6 and port",
            BYTES("GET http://[::1]:8/x HTTP/1.1\r\nHost: [::1]:8\r\n\r\n"), "/x", "", "[::1]:8" },
        { "asterisk-form", BYTES("OPTIONS * HTTP/1.1\r\n" H "\r\n"), "*", "", "h" },
        { "HTTP/1.0 without Host", BYTES("GET /x HTTP/1.0\r\n\r\n"), "/x", "", "" },
        { "HTTP/1.0 with Host", BYTES("GET /x HTTP/1.0\r\n" H "\r\n"), "/x", "", "h" },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_http1_scan scan = { 0 };
        ln_http1_head head;
        if (fault_of(rows[i].why, ln_http1_request, &server, rows[i].in))
            fail_msg("%s", rows[i].why);
        assert_int_equal(ln_http1_request(&scan, &server, rows[i].in, &head), LN_DONE);
        if (!ln_slice_eq(head.path, ln_slice_str(rows[i].path)) ||
            !ln_slice_eq(head.query, ln_slice_str(rows[i].query)) ||
            !ln_slice_eq(head.host, ln_slice_str(rows[i].host)))
            fail_msg("%s", rows[i].why);
    }
}

static void methods_are_known(void **state) {
    for (int m = LN_HTTP1_GET; m <= LN_HTTP1_PATCH; m++) {
        char text[64];
        int n = snprintf(text, sizeof(text), "%s / HTTP/1.1\r\n" H "\r\n",
            ln_http1_method_name((ln_http1_method)m));
        ln_http1_scan scan = { 0 };
        ln_http1_head head;
        assert_int_equal(
            ln_http1_request(&scan, &server, ln_slice_of(text, (size_t)n), &head), LN_DONE);
        assert_int_equal(head.method, m);
    }
    assert_string_equal(ln_http1_method_name(0), "");
}

static void keep_alive_and_bodies(void **state) {
    static const struct {
        const char *why;
        ln_slice in;
        bool keep, expect;
        ln_http1_body body;
        uint64_t length;
    } rows[] = {
        { "1.1 keeps", BYTES("GET / HTTP/1.1\r\n" H "\r\n"), true },
        { "1.1 close", BYTES("GET / HTTP/1.1\r\n" H "Connection: x, Close\r\n\r\n"), false },
        { "close in a second line",
            BYTES("GET / HTTP/1.1\r\n" H "Connection: x\r\nConnection: close\r\n\r\n"), false },
        { "close wins", BYTES("GET / HTTP/1.1\r\n" H "Connection: keep-alive,close\r\n\r\n"),
            false },
        { "closed is not close", BYTES("GET / HTTP/1.1\r\n" H "Connection: closed\r\n\r\n"), true },
        { "1.0 closes", BYTES("GET / HTTP/1.0\r\n" H "\r\n"), false },
        { "1.0 keep-alive", BYTES("GET / HTTP/1.0\r\n" H "Connection: Keep-Alive\r\n\r\n"), true },
        { "Content-Length 0", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n"), true },
        { "T006 the largest Content-Length",
            BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\n\r\n"), true,
            false, LN_HTTP1_BODY_LENGTH, INT64_MAX },
        { "Content-Length within blanks",
            BYTES("POST / HTTP/1.1\r\n" H "Content-Length: \t 5 \t\r\n\r\n"), true, false,
            LN_HTTP1_BODY_LENGTH, 5 },
        { "chunked", BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n"), true,
            false, LN_HTTP1_BODY_CHUNKED, 0 },
        { "chunked with empty elements",
            BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: , chunked,\r\n\r\n"), true, false,
            LN_HTTP1_BODY_CHUNKED, 0 },
        { "T026 Expect",
            BYTES("POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n"),
            true, true, LN_HTTP1_BODY_LENGTH, 1 },
        { "T026 Expect without a body",
            BYTES("GET / HTTP/1.1\r\n" H "Expect: 100-continue\r\n\r\n"), true, false },
        { "T026 Expect in HTTP/1.0",
            BYTES("POST / HTTP/1.0\r\n" H "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n"),
            false, false, LN_HTTP1_BODY_LENGTH, 1 },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_http1_scan scan = { 0 };
        ln_http1_head head;
        assert_int_equal(ln_http1_request(&scan, &server, rows[i].in, &head), LN_DONE);
        if (head.keep_alive != rows[i].keep || head.expect_continue != rows[i].expect ||
            head.body != rows[i].body || head.length != rows[i].length)
            fail_msg("%s", rows[i].why);
    }
}

/* ---- limits ------------------------------------------------------------------------ */

/* Feeds a prefix and then one byte again and again; returns how many bytes it took until
 * the answer was other than LN_MORE. */
static size_t bytes_until_refused(read_fn *read, const ln_http1_limits *limits, ln_slice prefix,
    char fill, ln_http1_fault *fault) {
    enum { MOST = 40000 };
    uint8_t *text = malloc(MOST);
    memcpy(text, prefix.data, prefix.size);
    memset(text + prefix.size, fill, MOST - prefix.size);
    ln_http1_scan scan = { 0 };
    ln_http1_head head;
    size_t n = 0;
    int err = LN_MORE;
    while (err == LN_MORE && n < MOST)
        err = read(&scan, limits, ln_slice_of(text, ++n), &head);
    *fault = scan.fault;

    ln_http1_scan at_once = { 0 };
    assert_int_equal(read(&at_once, limits, ln_slice_of(text, MOST), &head), LINNET_ERR_HTTP);
    assert_int_equal(at_once.fault, scan.fault);
    free(text);
    return n;
}

static void t014_limits_answer_when_they_are_crossed(void **state) {
    ln_http1_fault fault;
    assert_int_equal(
        bytes_until_refused(ln_http1_request, &server, LN_SLICE("GET /"), 'a', &fault), 4097);
    assert_int_equal(fault, F(LINE_LONG));
    assert_int_equal(
        bytes_until_refused(ln_http1_request, &server, LN_SLICE(""), 'A', &fault), 4097);
    assert_int_equal(fault, F(LINE_LONG));
    assert_int_equal(bytes_until_refused(ln_http1_request, &server,
                         LN_SLICE("GET / HTTP/1.1\r\n" H "A: "), 'b', &fault),
        8192);
    assert_int_equal(fault, F(HEAD_LONG));
    assert_int_equal(bytes_until_refused(
                         ln_http1_request, &server, LN_SLICE("GET / HTTP/1.1\r\n" H), 'n', &fault),
        8192);
    assert_int_equal(fault, F(HEAD_LONG));
    assert_int_equal(bytes_until_refused(ln_http1_request, &server,
                         LN_SLICE("GET / HTTP/1.1\r\n" H "A:"), ' ', &fault),
        8192);
    assert_int_equal(
        bytes_until_refused(ln_http1_response, &client, LN_SLICE("HTTP/1.1 200 "), 'a', &fault),
        4097);
    assert_int_equal(fault, F(LINE_LONG));
    assert_int_equal(bytes_until_refused(ln_http1_response, &client,
                         LN_SLICE("HTTP/1.1 200 OK\r\nA: "), 'b', &fault),
        16384);
    assert_int_equal(fault, F(HEAD_LONG));
}

/* A request line, and a head, of exactly the limit are fine; a byte more is not. */
static void t014_limits_are_exact(void **state) {
    char text[9000];
    for (int extra = 0; extra < 2; extra++) {
        int path = 4096 - (int)strlen("GET / HTTP/1.1") + extra;
        int n = snprintf(text, sizeof(text), "GET /%0*d HTTP/1.1\r\n" H "\r\n", path, 0);
        assert_int_equal(fault_of("line", ln_http1_request, &server, ln_slice_of(text, (size_t)n)),
            extra ? F(LINE_LONG) : NONE);

        int value = 8192 - (int)strlen("GET / HTTP/1.1\r\n" H "A: \r\n\r\n") + extra;
        n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" H "A: %0*d\r\n\r\n", value, 0);
        ln_http1_scan scan = { 0 };
        ln_http1_head head;
        int err = ln_http1_request(&scan, &server, ln_slice_of(text, (size_t)n), &head);
        assert_int_equal(err, extra ? LINNET_ERR_HTTP : LN_DONE);
        assert_int_equal(scan.fault, extra ? F(HEAD_LONG) : NONE);
    }
}

static void t014_header_lines_are_counted(void **state) {
    for (int count = 63; count <= 65; count++) {
        char text[2000];
        int n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" H);
        for (int i = 1; i < count; i++)
            n += snprintf(text + n, sizeof(text) - (size_t)n, "A: %d\r\n", i);
        size_t before = (size_t)n - strlen("A: 64\r\n");
        n += snprintf(text + n, sizeof(text) - (size_t)n, "\r\n");
        ln_slice in = ln_slice_of(text, (size_t)n);
        ln_http1_fault fault = fault_of("count", ln_http1_request, &server, in);
        assert_int_equal(fault, count > 64 ? F(FIELDS) : NONE);
        if (count <= 64) continue;

        /* refused by the first byte of the line too many */
        ln_http1_scan scan = { 0 };
        ln_http1_head head;
        assert_int_equal(show(ln_http1_request, &scan, &server, in, before, &head), LN_MORE);
        assert_int_equal(
            show(ln_http1_request, &scan, &server, in, before + 1, &head), LINNET_ERR_HTTP);
        assert_int_equal(ln_http1_fault_status(scan.fault), 431);
    }
}

static void t016_long_methods(void **state) {
    char text[400];
    memset(text, 'M', 300);
    int n = snprintf(text + 300, 100, " / HTTP/1.1\r\n" H "\r\n");
    ln_http1_fault fault = fault_of(
        "300 letters", ln_http1_request, &server, ln_slice_of(text, 300 + (size_t)n));
    assert_int_equal(fault, F(METHOD));
}

/* A bad byte is refused when it is seen, not at the end of the head. */
static void bad_bytes_are_refused_at_once(void **state) {
    static const row rows[] = {
        { "method", BYTES("GE\x01"), F(LINE), 0 },
        { "target", BYTES("GET /\x01"), F(TARGET), 0 },
        { "version", BYTES("GET / HTTX"), F(LINE), 0 },
        { "unknown version", BYTES("GET / HTTP/2.0\r\n"), F(VERSION), 0 },
        { "unknown method", BYTES("GRT / HTTP/1.1\r\n"), F(METHOD), 0 },
        { "fold", BYTES("GET / HTTP/1.1\r\n "), F(FOLD), 0 },
        { "name", BYTES("GET / HTTP/1.1\r\nA\x01"), F(NAME), 0 },
        { "value", BYTES("GET / HTTP/1.1\r\nA: b\x01"), F(BYTE), 0 },
        { "first of a value", BYTES("GET / HTTP/1.1\r\nA:\x01"), F(BYTE), 0 },
        { "line end", BYTES("GET / HTTP/1.1\r\nA: b\rx"), F(LINE_END), 0 },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_http1_scan scan = { 0 };
        ln_http1_head head;
        ln_slice in = rows[i].in;
        for (size_t n = 0; n < in.size; n++) {
            if (show(ln_http1_request, &scan, &server, in, n, &head) != LN_MORE)
                fail_msg("%s: early", rows[i].why);
        }
        assert_int_equal(
            show(ln_http1_request, &scan, &server, in, in.size, &head), LINNET_ERR_HTTP);
        if (scan.fault != rows[i].fault) fail_msg("%s", rows[i].why);
    }
}

/* ---- responses --------------------------------------------------------------------- */

static const row responses[] = {
    { "the least", BYTES("HTTP/1.1 200 OK\r\n\r\n"), NONE, 0 },
    { "HTTP/1.0", BYTES("HTTP/1.0 200 OK\r\n\r\n"), NONE, 0 },
    { "empty reason", BYTES("HTTP/1.1 200 \r\n\r\n"), NONE, 0 },
    { "no reason", BYTES("HTTP/1.1 200\r\n\r\n"), NONE, 0 },
    { "words in Latin-1", BYTES("HTTP/1.1 404 pas trouv\xe9\r\n\r\n"), NONE, 0 },
    { "HTTP/2", BYTES("HTTP/2.0 200 OK\r\n\r\n"), F(VERSION), 505 },
    { "HTTP/1.2", BYTES("HTTP/1.2 200 OK\r\n\r\n"), F(VERSION), 505 },
    { "a request", BYTES("GET / HTTP/1.1\r\n\r\n"), F(LINE), 400 },
    { "SSH banner", BYTES("SSH-2.0-x\r\n"), F(LINE), 400 },
    { "status 099", BYTES("HTTP/1.1 099 x\r\n\r\n"), F(LINE), 400 },
    { "status 600", BYTES("HTTP/1.1 600 x\r\n\r\n"), F(LINE), 400 },
    { "two digits", BYTES("HTTP/1.1 20 x\r\n\r\n"), F(LINE), 400 },
    { "four digits", BYTES("HTTP/1.1 2000 x\r\n\r\n"), F(LINE), 400 },
    { "letters", BYTES("HTTP/1.1 2x0 x\r\n\r\n"), F(LINE), 400 },
    { "two spaces", BYTES("HTTP/1.1  200 x\r\n\r\n"), F(LINE), 400 },
    { "no space", BYTES("HTTP/1.1200 x\r\n\r\n"), F(LINE), 400 },
    { "T001 bare LF behind the reason", BYTES("HTTP/1.1 200 OK\n\r\n"), F(LINE_END), 400 },
    { "T001 bare LF behind the status", BYTES("HTTP/1.1 200\n\r\n"), F(LINE), 400 },
    { "T002 CR in the reason", BYTES("HTTP/1.1 200 O\rK\r\n\r\n"), F(LINE_END), 400 },
    { "T004 NUL in the reason", BYTES("HTTP/1.1 200 O\0K\r\n\r\n"), F(BYTE), 400 },
    { "T003 fold", BYTES("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), F(FOLD), 400 },
    { "T005 two Content-Lengths",
        BYTES("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"), F(LENGTH),
        400 },
    { "T007 both framings",
        BYTES("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        F(FRAMING), 400 },
    { "T008 unknown coding", BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
        F(CODING_UNKNOWN), 501 },
};

static void responses_are_refused(void **state) {
    for (size_t i = 0; i < LN_COUNT(responses); i++) {
        const row *r = &responses[i];
        ln_http1_fault fault = fault_of(r->why, ln_http1_response, &client, r->in);
        if (fault != r->fault) fail_msg("%s: %s", r->why, ln_http1_fault_name(fault));
        assert_int_equal(ln_http1_fault_status(fault), r->status);
    }
}

static void responses_are_read(void **state) {
    static const struct {
        const char *why;
        ln_slice in;
        unsigned status;
        const char *reason;
        ln_http1_body body;
        uint64_t length;
        bool keep;
    } rows[] = {
        { "until close", BYTES("HTTP/1.1 200 All right\r\nA: b\r\n\r\nx"), 200, "All right",
            LN_HTTP1_BODY_CLOSE },
        { "length", BYTES("HTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\n123"), 404, "No",
            LN_HTTP1_BODY_LENGTH, 3, true },
        { "empty", BYTES("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), 200, "", LN_HTTP1_BODY_NONE,
            0, true },
        { "chunked", BYTES("HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n"), 200, "",
            LN_HTTP1_BODY_CHUNKED, 0, true },
        { "1.0 closes", BYTES("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"), 200, "OK",
            LN_HTTP1_BODY_LENGTH, 1, false },
        { "101", BYTES("HTTP/1.1 101 S\r\nContent-Length: 3\r\n\r\n"), 101, "S", LN_HTTP1_BODY_NONE,
            0, true },
        { "interim", BYTES("HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), 100, "C",
            LN_HTTP1_BODY_NONE, 0, true },
        { "204", BYTES("HTTP/1.1 204 N\r\n\r\n"), 204, "N", LN_HTTP1_BODY_NONE, 0, true },
        { "304 states a length", BYTES("HTTP/1.1 304 N\r\nContent-Length: 7\r\n\r\n"), 304, "N",
            LN_HTTP1_BODY_NONE, 0, true },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        for (size_t cut = 0; cut < 10; cut++) {
            ln_http1_scan scan = { 0 };
            ln_http1_head h;
            assert_int_equal(show(ln_http1_response, &scan, &client, rows[i].in, cut, &h), LN_MORE);
            assert_int_equal(ln_http1_response(&scan, &client, rows[i].in, &h), LN_DONE);
            if (h.status != rows[i].status || h.body != rows[i].body ||
                h.length != rows[i].length || h.keep_alive != rows[i].keep ||
                !ln_slice_eq(h.reason, ln_slice_str(rows[i].reason)))
                fail_msg("%s", rows[i].why);
            assert_int_equal(h.method, 0);
        }
    }
}

/* ---- fields ------------------------------------------------------------------------ */

static void fields_are_found(void **state) {
    ln_http1_scan scan = { 0 };
    ln_http1_head h;
    ln_slice value = { 0 };
    assert_int_equal(ln_http1_request(&scan, &server, ln_slice_str(whole), &h), LN_DONE);
    assert_int_equal(ln_http1_find(&h, LN_SLICE("X-TWICE"), &value), 2);
    assert_true(ln_slice_eq(value, LN_SLICE("one")));
    assert_int_equal(ln_http1_find(&h, LN_SLICE("X-Missing"), &value), 0);
    assert_true(ln_slice_eq(value, LN_SLICE("one")));
    assert_int_equal(ln_http1_find(&h, LN_SLICE("Host"), NULL), 1);

    static const char *const items[] = { "one", "two", "three" };
    ln_http1_list list = ln_http1_list_of(&h, LN_SLICE("x-twice"));
    ln_slice item;
    for (size_t i = 0; i < 3; i++) {
        assert_true(ln_http1_list_next(&list, &item));
        assert_true(ln_slice_eq(item, ln_slice_str(items[i])));
    }
    assert_false(ln_http1_list_next(&list, &item));
    assert_true(ln_http1_has_token(&h, LN_SLICE("connection"), LN_SLICE("upgrade")));
    assert_false(ln_http1_has_token(&h, LN_SLICE("connection"), LN_SLICE("close")));
    assert_false(ln_http1_has_token(&h, LN_SLICE("x-empty"), LN_SLICE("")));
}

/* ---- trailers ---------------------------------------------------------------------- */

static void t011_trailers_are_checked(void **state) {
    static const struct {
        const char *why;
        ln_slice in;
        int err;
        size_t left;
    } rows[] = {
        { "none", BYTES("\r\nGET"), LN_DONE, 3 },
        { "two", BYTES("Content-Length: 5\r\nAuthorization: x\r\n\r\nGET"), LN_DONE, 3 },
        { "cut", BYTES("A: b\r\n"), LN_MORE, 0 },
        { "fold", BYTES("A: b\r\n c\r\n\r\n"), LINNET_ERR_HTTP, 0 },
        { "bare LF", BYTES("A: b\n\r\n"), LINNET_ERR_HTTP, 0 },
        { "no colon", BYTES("A\r\n\r\n"), LINNET_ERR_HTTP, 0 },
        { "control byte", BYTES("A: \x01\r\n\r\n"), LINNET_ERR_HTTP, 0 },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        for (size_t cut = 0; cut <= rows[i].in.size - rows[i].left; cut++) {
            ln_http1_scan scan = { 0 };
            ln_slice a = ln_test_exact(ln_slice_sub(rows[i].in, 0, cut)), rest = a;
            int err = ln_http1_trailer(&scan, &rest);
            ln_test_drop(a);
            if (err == LN_MORE) {
                rest = ln_slice_sub(rows[i].in, cut, rows[i].in.size);
                err = ln_http1_trailer(&scan, &rest);
                if (err != rows[i].err) fail_msg("%s: cut at %zu", rows[i].why, cut);
                if (err == LN_DONE) assert_int_equal(rest.size, rows[i].left);
            } else if (err != rows[i].err) {
                fail_msg("%s: cut at %zu", rows[i].why, cut);
            }
            if (err < 0) assert_int_equal(scan.fault, F(TRAILER));
        }
    }
}

static void t011_trailers_have_an_end(void **state) {
    for (size_t step = 1; step < 9000; step = step * 7 + 1) {
        ln_http1_scan scan = { 0 };
        size_t fed = 0;
        int err = LN_MORE;
        char text[9000] = "A: ";
        memset(text + 3, 'b', sizeof(text) - 3);
        while (err == LN_MORE) {
            size_t n = sizeof(text) - fed < step ? sizeof(text) - fed : step;
            ln_slice in = ln_slice_of(text + fed, n);
            fed += n;
            err = ln_http1_trailer(&scan, &in);
        }
        assert_int_equal(err, LINNET_ERR_HTTP);
        assert_true(fed >= LN_HTTP1_TRAILER_MAX && fed < LN_HTTP1_TRAILER_MAX + step);
    }
    char lines[65 * 4 + 1] = "";
    for (size_t i = 0; i < 65; i++)
        memcpy(lines + 4 * i, "a:\r\n", 4);
    ln_http1_scan scan = { 0 };
    ln_slice in = ln_slice_of(lines, 65 * 4);
    assert_int_equal(ln_http1_trailer(&scan, &in), LINNET_ERR_HTTP);
}

/* ---- writing ----------------------------------------------------------------------- */

static void check_text(ln_buf *b, const char *text) {
    ln_slice s = ln_buf_slice(b);
    if (!ln_slice_eq(s, ln_slice_str(text))) fail_msg("%.*s", (int)s.size, (const char *)s.data);
    ln_buf_clear(b);
}

static void heads_are_written(void **state) {
    ln_buf b;
    ln_buf_init(&b, 4096);
    ln_http1_writer w = ln_http1_answer(&b, 200);
    ln_http1_put(&w, LN_SLICE("A"), LN_SLICE("b\tc \xff"));
    ln_http1_put(&w, LN_SLICE("E"), LN_SLICE(""));
    ln_http1_put_u64(&w, LN_SLICE("Content-Length"), UINT64_MAX);
    assert_int_equal(ln_http1_finish(&w), LINNET_OK);
    check_text(&b,
        "HTTP/1.1 200 OK\r\nA: b\tc \xff\r\nE: \r\nContent-Length: 18446744073709551615\r\n\r\n");

    w = ln_http1_answer(&b, 299);
    assert_int_equal(ln_http1_finish(&w), LINNET_OK);
    check_text(&b, "HTTP/1.1 299 \r\n\r\n");

    w = ln_http1_ask(&b, LN_HTTP1_DELETE, LN_SLICE("/x?y"));
    ln_http1_put(&w, LN_SLICE("Host"), LN_SLICE("h"));
    assert_int_equal(ln_http1_finish(&w), LINNET_OK);
    check_text(&b, "DELETE /x?y HTTP/1.1\r\nHost: h\r\n\r\n");
    ln_buf_fini(&b);
}

static void t029_nothing_can_be_smuggled_in(void **state) {
    static const struct {
        const char *why;
        unsigned status;
        ln_slice name, value;
    } rows[] = {
        { "CR LF in a value", 200, BYTES("A"), BYTES("b\r\nSet-Cookie: c") },
        { "LF in a value", 200, BYTES("A"), BYTES("b\nc") },
        { "CR in a value", 200, BYTES("A"), BYTES("\r") },
        { "NUL in a value", 200, BYTES("A"), BYTES("b\0c") },
        { "DEL in a value", 200, BYTES("A"), BYTES("\x7f") },
        { "empty name", 200, BYTES(""), BYTES("b") },
        { "colon in a name", 200, BYTES("A: b\r\nC"), BYTES("d") },
        { "space in a name", 200, BYTES("A "), BYTES("b") },
        { "status 99", 99, BYTES("A"), BYTES("b") },
        { "status 600", 600, BYTES("A"), BYTES("b") },
    };
    ln_buf b;
    ln_buf_init(&b, 4096);
    assert_int_equal(ln_buf_add(&b, LN_SLICE("before")), LINNET_OK);
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_http1_writer w = ln_http1_answer(&b, rows[i].status);
        ln_http1_put(&w, LN_SLICE("Good"), LN_SLICE("one"));
        ln_http1_put(&w, rows[i].name, rows[i].value);
        ln_http1_put(&w, LN_SLICE("Other"), LN_SLICE("good"));
        if (ln_http1_finish(&w) != LINNET_ERR_INVAL) fail_msg("%s", rows[i].why);
        if (!ln_slice_eq(ln_buf_slice(&b), LN_SLICE("before"))) fail_msg("%s", rows[i].why);
    }
    static const ln_slice targets[] = { LN_SLICE_INIT(""), LN_SLICE_INIT("/a b"),
        LN_SLICE_INIT("/\r\nX: y"), LN_SLICE_INIT("/#f"), LN_SLICE_INIT("/\xc3\xa4") };
    for (size_t i = 0; i < LN_COUNT(targets); i++) {
        ln_http1_writer w = ln_http1_ask(&b, LN_HTTP1_GET, targets[i]);
        assert_int_equal(ln_http1_finish(&w), LINNET_ERR_INVAL);
    }
    ln_http1_writer w = ln_http1_ask(&b, 0, LN_SLICE("/"));
    assert_int_equal(ln_http1_finish(&w), LINNET_ERR_INVAL);
    check_text(&b, "before");
    ln_buf_fini(&b);
}

static void a_full_buffer_keeps_what_it_had(void **state) {
    for (uint32_t max = 1; max < 39; max++) {
        ln_buf b;
        ln_buf_init(&b, max);
        assert_int_equal(ln_buf_add(&b, LN_SLICE("x")), LINNET_OK);
        ln_http1_writer w = ln_http1_answer(&b, 200);
        ln_http1_put(&w, LN_SLICE("Name"), LN_SLICE("value of it"));
        assert_int_equal(ln_http1_finish(&w), LINNET_ERR_TOO_BIG);
        assert_int_equal(ln_http1_refuse(&b, F(LINE)), LINNET_ERR_TOO_BIG);
        check_text(&b, "x");
        ln_buf_fini(&b);
    }
}

static void every_refusal_is_a_whole_answer(void **state) {
    for (int f = 1; f <= LN_HTTP1_FAULT_DRAINING; f++) {
        ln_buf b;
        ln_buf_init(&b, 4096);
        assert_int_equal(ln_http1_refuse(&b, (ln_http1_fault)f), LINNET_OK);
        ln_slice text = ln_buf_slice(&b), value;
        ln_http1_scan scan = { 0 };
        ln_http1_head h;
        assert_int_equal(ln_http1_response(&scan, &client, text, &h), LN_DONE);
        assert_int_equal(h.status, ln_http1_fault_status((ln_http1_fault)f));
        assert_true(ln_slice_eq(h.reason, ln_slice_str(ln_http1_status_words(h.status))));
        assert_true(h.reason.size > 0);
        assert_false(h.keep_alive);
        assert_int_equal(h.body, LN_HTTP1_BODY_LENGTH);
        assert_int_equal(h.length, text.size - h.size);
        assert_int_equal(h.length, strlen(ln_http1_fault_words((ln_http1_fault)f)) + 1);
        assert_int_equal(ln_http1_find(&h, LN_SLICE("Upgrade"), &value), h.status == 426);
        assert_int_equal(
            ln_http1_has_token(&h, LN_SLICE("Connection"), LN_SLICE("upgrade")), h.status == 426);
        assert_int_equal(ln_http1_find(&h, LN_SLICE("Allow"), NULL), h.status == 405);
        if (h.status == 503) assert_int_equal(ln_http1_find(&h, LN_SLICE("Retry-After"), NULL), 1);
        ln_buf_fini(&b);
    }
    ln_buf b;
    ln_buf_init(&b, 4096);
    assert_int_equal(ln_http1_refuse(&b, F(UPGRADE_VERSION)), LINNET_OK);
    check_text(&b, "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n"
                   "Sec-WebSocket-Version: 13\r\nConnection: close, Upgrade\r\n"
                   "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 26\r\n\r\n"
                   "WebSocket version 13 only\n");
    ln_buf_fini(&b);
}

static void tables_have_words(void **state) {
    assert_string_equal(ln_http1_status_words(404), "Not Found");
    assert_string_equal(ln_http1_status_words(299), "");
    assert_int_equal(ln_http1_fault_status(NONE), 0);
    assert_string_equal(ln_http1_fault_name(NONE), "NONE");
    assert_string_equal(ln_http1_fault_name(F(HEAD_LONG)), "HEAD_LONG");
    assert_string_equal(ln_http1_fault_extra(F(UPGRADE_METHOD)), "Allow: GET\r\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_refused),
        cmocka_unit_test(every_byte_at_every_place),
        cmocka_unit_test(a_request_is_read_whole),
        cmocka_unit_test(t023_a_request_is_read_in_pieces),
        cmocka_unit_test(targets_are_split),
        cmocka_unit_test(methods_are_known),
        cmocka_unit_test(keep_alive_and_bodies),
        cmocka_unit_test(t014_limits_answer_when_they_are_crossed),
        cmocka_unit_test(t014_limits_are_exact),
        cmocka_unit_test(t014_header_lines_are_counted),
        cmocka_unit_test(t016_long_methods),
        cmocka_unit_test(bad_bytes_are_refused_at_once),
        cmocka_unit_test(responses_are_refused),
        cmocka_unit_test(responses_are_read),
        cmocka_unit_test(fields_are_found),
        cmocka_unit_test(t011_trailers_are_checked),
        cmocka_unit_test(t011_trailers_have_an_end),
        cmocka_unit_test(heads_are_written),
        cmocka_unit_test(t029_nothing_can_be_smuggled_in),
        cmocka_unit_test(a_full_buffer_keeps_what_it_had),
        cmocka_unit_test(every_refusal_is_a_whole_answer),
        cmocka_unit_test(tables_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
