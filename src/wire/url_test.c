#include "base/testing.h"
#include "wire/url.h"

/* ---- URLs -------------------------------------------------------------------------- */

typedef struct good_row {
    const char *why;
    ln_slice in;
    ln_url_scheme scheme;
    ln_url_host kind;
    uint16_t port;
    const char *userinfo, *host, *path, *query; /* query NULL: none */
    const char *host_header;
} good_row;

static const good_row good[] = {
    { "M1 host alone", BYTES("ws://example.com"), LN_URL_WS, LN_URL_NAME, 80, "", "example.com",
        "/", NULL, "example.com" },
    { "M1 wss has its own port", BYTES("wss://example.com/chat"), LN_URL_WSS, LN_URL_NAME, 443, "",
        "example.com", "/chat", NULL, "example.com" },
    { "M1 other port is named in Host", BYTES("ws://example.com:8080/chat?a=b"), LN_URL_WS,
        LN_URL_NAME, 8080, "", "example.com", "/chat", "a=b", "example.com:8080" },
    { "usual port written out", BYTES("wss://example.com:443/"), LN_URL_WSS, LN_URL_NAME, 443, "",
        "example.com", "/", NULL, "example.com" },
    { "the other scheme's port", BYTES("ws://h:443/"), LN_URL_WS, LN_URL_NAME, 443, "", "h", "/",
        NULL, "h:443" },
    { "http", BYTES("http://h/x"), LN_URL_HTTP, LN_URL_NAME, 80, "", "h", "/x", NULL, "h" },
    { "https", BYTES("https://h/x"), LN_URL_HTTPS, LN_URL_NAME, 443, "", "h", "/x", NULL, "h" },
    { "scheme without case", BYTES("WsS://H/X"), LN_URL_WSS, LN_URL_NAME, 443, "", "H", "/X", NULL,
        "H" },
    { "query without path", BYTES("ws://h?token=%41+b"), LN_URL_WS, LN_URL_NAME, 80, "", "h", "/",
        "token=%41+b", "h" },
    { "empty query", BYTES("ws://h/?"), LN_URL_WS, LN_URL_NAME, 80, "", "h", "/", "", "h" },
    { "question mark and slash in the query", BYTES("ws://h/a?b?c/d@e:f"), LN_URL_WS, LN_URL_NAME,
        80, "", "h", "/a", "b?c/d@e:f", "h" },
    { "IPv4", BYTES("ws://127.0.0.1:9000"), LN_URL_WS, LN_URL_V4, 9000, "", "127.0.0.1", "/", NULL,
        "127.0.0.1:9000" },
    { "IPv6", BYTES("ws://[::1]/x"), LN_URL_WS, LN_URL_V6, 80, "", "::1", "/x", NULL, "[::1]" },
    { "IPv6 with port", BYTES("ws://[2001:db8::7]:1"), LN_URL_WS, LN_URL_V6, 1, "", "2001:db8::7",
        "/", NULL, "[2001:db8::7]:1" },
    { "longest port", BYTES("ws://h:65535/"), LN_URL_WS, LN_URL_NAME, 65535, "", "h", "/", NULL,
        "h:65535" },
    { "userinfo comes apart", BYTES("wss://me:p%40ss@h/"), LN_URL_WSS, LN_URL_NAME, 443,
        "me:p%40ss", "h", "/", NULL, "h" },
    { "root of the DNS", BYTES("ws://example.com./"), LN_URL_WS, LN_URL_NAME, 80, "",
        "example.com.", "/", NULL, "example.com." },
    { "underscore in a name", BYTES("ws://my_host-1/"), LN_URL_WS, LN_URL_NAME, 80, "", "my_host-1",
        "/", NULL, "my_host-1" },
    { "number in front of a name", BYTES("ws://1.example/"), LN_URL_WS, LN_URL_NAME, 80, "",
        "1.example", "/", NULL, "1.example" },
    { "double slash in the path is the server's affair", BYTES("ws://h//x"), LN_URL_WS, LN_URL_NAME,
        80, "", "h", "//x", NULL, "h" },
};

typedef struct bad_row {
    const char *why;
    ln_slice in;
} bad_row;

static const bad_row bad[] = {
    { "empty", BYTES("") },
    { "relative path", BYTES("/ws") },
    { "relative to the scheme", BYTES("//h/ws") },
    { "host and port only", BYTES("localhost:8080") },
    { "other scheme", BYTES("ftp://h/") },
    { "javascript", BYTES("javascript://h/%0aalert(1)") },
    { "scheme alone", BYTES("ws://") },
    { "one slash", BYTES("ws:/h") },
    { "no slashes", BYTES("ws:h") },
    { "no host", BYTES("ws:///x") },
    { "no host but a port", BYTES("ws://:80/") },
    { "M2 fragment", BYTES("ws://h/#f") },
    { "M2 empty fragment", BYTES("ws://h/#") },
    { "space in front", BYTES(" ws://h/") },
    { "space in the path", BYTES("ws://h/a b") },
    { "CR LF in the path", BYTES("ws://h/a\r\nX: y") },
    { "NUL in the host", BYTES("ws://h\0x/") },
    { "NUL in an address", BYTES("ws://1.2.3.4\0/") },
    { "backslash", BYTES("ws://h\\@evil/") },
    { "non-ASCII host", BYTES("ws://b\xc3\xbc"
                              "cher.example/") },
    { "non-ASCII path", BYTES("ws://h/\xc3\xbc") },
    { "quote", BYTES("ws://h/\"") },
    { "half an escape", BYTES("ws://h/%4") },
    { "bare percent at the end", BYTES("ws://h/%") },
    { "escape that is none", BYTES("ws://h/%4g") },
    { "escaped host", BYTES("ws://%68/") },
    { "port 0", BYTES("ws://h:0/") },
    { "port over 65535", BYTES("ws://h:65536/") },
    { "empty port", BYTES("ws://h:/") },
    { "leading zero in the port", BYTES("ws://h:080/") },
    { "letter in the port", BYTES("ws://h:8o/") },
    { "two ports", BYTES("ws://h:1:2/") },
    { "sign in the port", BYTES("ws://h:+80/") },
    { "empty userinfo", BYTES("ws://@h/") },
    { "two at signs", BYTES("ws://a@b@h/") },
    { "empty label", BYTES("ws://a..b/") },
    { "dot alone", BYTES("ws://./") },
    { "dot in front", BYTES("ws://.a/") },
    { "two dots behind", BYTES("ws://a../") },
    { "IPv4 with three parts", BYTES("ws://127.0.1/") },
    { "IPv4 as one number", BYTES("ws://2130706433/") },
    { "IPv4 in hex", BYTES("ws://0x7f000001/") },
    { "IPv4 part over 255", BYTES("ws://1.2.3.256/") },
    { "IPv4 with the DNS root", BYTES("ws://1.2.3.4./") },
    { "IPv6 without brackets", BYTES("ws://::1/") },
    { "IPv6 unclosed", BYTES("ws://[::1/") },
    { "IPv6 empty", BYTES("ws://[]/") },
    { "IPv6 with a zone", BYTES("ws://[fe80::1%25eth0]/") },
    { "IPv6 malformed", BYTES("ws://[1::2::3]/") },
    { "something behind the bracket", BYTES("ws://[::1]x/") },
    { "name in brackets", BYTES("ws://[localhost]/") },
    { "IPv6 far too long", BYTES("ws://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]/") },
};

static ln_slice str(const char *text) {
    return ln_slice_str(text);
}

#define SAME(why, slice, text)                                                                     \
    if (!ln_slice_eq(slice, str(text))) fail_msg("%s: not %s", why, text)

static void check_good(const good_row *r, const ln_url *u) {
    if (u->scheme != r->scheme || u->kind != r->kind || u->port != r->port) fail_msg("%s", r->why);
    if (u->secure != (r->scheme == LN_URL_WSS || r->scheme == LN_URL_HTTPS)) fail_msg("%s", r->why);
    if (u->has_query != (r->query != NULL)) fail_msg("%s", r->why);
    SAME(r->why, u->userinfo, r->userinfo);
    SAME(r->why, u->host, r->host);
    SAME(r->why, u->path, r->path);
    SAME(r->why, u->query, r->query ? r->query : "");
}

static void urls_come_apart(void **state) {
    for (size_t i = 0; i < LN_COUNT(good); i++) {
        ln_slice in = ln_test_exact(good[i].in);
        ln_url u;
        if (ln_url_parse(in, &u) != LINNET_OK) fail_msg("%s", good[i].why);
        check_good(&good[i], &u);
        ln_test_drop(in);
    }
}

static void bad_urls_are_refused(void **state) {
    for (size_t i = 0; i < LN_COUNT(bad); i++) {
        ln_slice in = ln_test_exact(bad[i].in);
        ln_url u = { .port = 7 };
        if (ln_url_parse(in, &u) != LINNET_ERR_URL) fail_msg("%s", bad[i].why);
        if (u.port != 7) fail_msg("%s: touched", bad[i].why);
        ln_test_drop(in);
    }
}

/* Every cut either is refused or is itself a URL whose parts lie inside it. */
static void urls_cut_at_every_byte(void **state) {
    for (size_t i = 0; i < LN_COUNT(good); i++) {
        for (size_t n = 0; n < good[i].in.size; n++) {
            ln_slice in = ln_test_exact(ln_slice_sub(good[i].in, 0, n));
            ln_url u;
            int err = ln_url_parse(in, &u);
            if (err != LINNET_ERR_URL) assert_int_equal(err, LINNET_OK);
            if (err == LINNET_OK) assert_true(u.host.data + u.host.size <= in.data + in.size);
            ln_test_drop(in);
        }
    }
}

static void names_have_lengths(void **state) {
    char text[300] = "ws://";
    struct {
        const char *why;
        size_t label, total;
        int err;
    } rows[] = {
        { "label of 63", 63, 63, LINNET_OK },
        { "label of 64", 64, 64, LINNET_ERR_URL },
        { "name of 253", 63, 253, LINNET_OK },
        { "name of 254", 63, 254, LINNET_ERR_URL },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        for (size_t at = 0; at < rows[i].total; at++)
            text[5 + at] = (at + 1) % (rows[i].label + 1) ? 'a' : '.';
        ln_url u;
        if (ln_url_parse(ln_slice_of(text, 5 + rows[i].total), &u) != rows[i].err)
            fail_msg("%s", rows[i].why);
    }
}

static void urls_are_written_back(void **state) {
    for (size_t i = 0; i < LN_COUNT(good); i++) {
        ln_url u, again;
        ln_buf b, part;
        ln_buf_init(&b, 4096);
        ln_buf_init(&part, 4096);
        assert_int_equal(ln_url_parse(good[i].in, &u), LINNET_OK);
        assert_int_equal(ln_url_write(&u, &b), LINNET_OK);
        assert_int_equal(ln_url_parse(ln_buf_slice(&b), &again), LINNET_OK);
        assert_int_equal(again.userinfo.size, 0);
        again.userinfo = u.userinfo;
        check_good(&good[i], &again);

        assert_int_equal(ln_url_write_host(&u, &part), LINNET_OK);
        SAME(good[i].why, ln_buf_slice(&part), good[i].host_header);
        ln_buf_clear(&part);
        assert_int_equal(ln_url_write_target(&u, &part), LINNET_OK);
        ln_slice whole = ln_buf_slice(&b), target = ln_buf_slice(&part);
        assert_true(target.size <= whole.size);
        assert_true(ln_slice_eq(target, ln_slice_sub(whole, whole.size - target.size, whole.size)));
        ln_buf_fini(&b);
        ln_buf_fini(&part);
    }
}

static void a_full_buffer_keeps_what_it_had(void **state) {
    ln_url u;
    assert_int_equal(ln_url_parse(LN_SLICE("ws://[::1]:77/path?query"), &u), LINNET_OK);
    for (uint32_t max = 1; max < 24; max++) {
        ln_buf b;
        ln_buf_init(&b, max);
        assert_int_equal(ln_buf_add(&b, LN_SLICE("x")), LINNET_OK);
        assert_int_equal(ln_url_write(&u, &b), LINNET_ERR_TOO_BIG);
        SAME("url", ln_buf_slice(&b), "x");
        if (max < 9) assert_int_equal(ln_url_write_host(&u, &b), LINNET_ERR_TOO_BIG);
        if (max < 12) assert_int_equal(ln_url_write_target(&u, &b), LINNET_ERR_TOO_BIG);
        ln_buf_fini(&b);
    }
}

static void loopback_is_known(void **state) {
    static const struct {
        const char *why;
        ln_slice authority;
        bool loopback;
    } rows[] = {
        { "localhost", BYTES("localhost"), true },
        { "without case", BYTES("LocalHost:80"), true },
        { "root of the DNS", BYTES("localhost."), true },
        { "below localhost", BYTES("app.localhost"), true },
        { "only ends like it", BYTES("notlocalhost"), false },
        { "localhost below something", BYTES("localhost.evil.test"), false },
        { "127.0.0.1", BYTES("127.0.0.1"), true },
        { "127.255.0.9", BYTES("127.255.0.9:1"), true },
        { "128.0.0.1", BYTES("128.0.0.1"), false },
        { "name that begins like it", BYTES("127.0.0.1.nip.io"), false },
        { "::1", BYTES("[::1]"), true },
        { "::1 written long", BYTES("[0:0:0:0:0:0:0:1]:8"), true },
        { "::2", BYTES("[::2]"), false },
        { "short name", BYTES("host"), false },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_url_host kind;
        ln_slice host;
        uint16_t port = 0;
        if (!ln_url_authority(rows[i].authority, &kind, &host, &port)) fail_msg("%s", rows[i].why);
        if (ln_url_is_loopback(kind, host) != rows[i].loopback) fail_msg("%s", rows[i].why);
    }
    assert_false(ln_url_is_loopback(LN_URL_V6, LN_SLICE("not an address at all, and far too long "
                                                        "to be copied into the room for one")));
}

/* ---- where to listen --------------------------------------------------------------- */

typedef struct listen_row {
    const char *why;
    ln_slice in;
    int err;
    ln_url_host kind;
    const char *host;
    uint16_t port;
    const char *back; /* as written back */
} listen_row;

static const listen_row listens[] = {
    { "host and port", BYTES("0.0.0.0:80"), 0, LN_URL_V4, "0.0.0.0", 80, "0.0.0.0:80" },
    { "name", BYTES("localhost:8080"), 0, LN_URL_NAME, "localhost", 8080, "localhost:8080" },
    { "port 0 picks one", BYTES("127.0.0.1:0"), 0, LN_URL_V4, "127.0.0.1", 0, "127.0.0.1:0" },
    { "port alone is loopback", BYTES(":9000"), 0, LN_URL_V4, "127.0.0.1", 9000, "127.0.0.1:9000" },
    { "any port on loopback", BYTES(":0"), 0, LN_URL_V4, "127.0.0.1", 0, "127.0.0.1:0" },
    { "IPv6", BYTES("[::]:443"), 0, LN_URL_V6, "::", 443, "[::]:443" },
    { "empty", BYTES(""), LINNET_ERR_URL },
    { "port without colon", BYTES("8080"), LINNET_ERR_URL },
    { "host without port", BYTES("localhost"), LINNET_ERR_URL },
    { "empty port", BYTES("localhost:"), LINNET_ERR_URL },
    { "colon alone", BYTES(":"), LINNET_ERR_URL },
    { "port over 65535", BYTES(":65536"), LINNET_ERR_URL },
    { "negative port", BYTES(":-1"), LINNET_ERR_URL },
    { "a URL", BYTES("ws://localhost:80"), LINNET_ERR_URL },
    { "IPv6 without port", BYTES("[::1]"), LINNET_ERR_URL },
    { "IPv6 without brackets", BYTES("::1:80"), LINNET_ERR_URL },
    { "IPv6 unclosed", BYTES("[::1:80"), LINNET_ERR_URL },
    { "star", BYTES("*:80"), LINNET_ERR_URL },
    { "space", BYTES("localhost :80"), LINNET_ERR_URL },
    { "unix without path", BYTES("unix:"), LINNET_ERR_URL },
    { "unix with NUL", BYTES("unix:/a\0b"), LINNET_ERR_URL },
};

static void listen_addresses(void **state) {
    for (size_t i = 0; i < LN_COUNT(listens); i++) {
        const listen_row *r = &listens[i];
        ln_slice in = ln_test_exact(r->in);
        ln_url_listen l = { .port = 7 };
        if (ln_url_listen_parse(in, &l) != r->err) fail_msg("%s", r->why);
        if (r->err && l.port != 7) fail_msg("%s: touched", r->why);
        if (!r->err) {
            if (l.is_unix || l.kind != r->kind || l.port != r->port) fail_msg("%s", r->why);
            SAME(r->why, l.host, r->host);
            ln_buf b;
            ln_buf_init(&b, 100);
            assert_int_equal(ln_url_listen_write(&l, &b), LINNET_OK);
            SAME(r->why, ln_buf_slice(&b), r->back);
            ln_buf_fini(&b);
        }
        ln_test_drop(in);
    }
}

static void listen_on_unix(void **state) {
    char text[5 + LN_URL_UNIX_MAX + 2] = "unix:";
    memset(text + 5, 'p', LN_URL_UNIX_MAX + 1);
    ln_url_listen l;
    assert_int_equal(
        ln_url_listen_parse(ln_slice_of(text, 5 + LN_URL_UNIX_MAX + 1), &l), LINNET_ERR_URL);
    ln_slice longest = ln_slice_of(text, 5 + LN_URL_UNIX_MAX);
    assert_int_equal(ln_url_listen_parse(longest, &l), LINNET_OK);
    assert_true(l.is_unix);
    assert_int_equal(l.port, 0);
    assert_int_equal(l.path.size, LN_URL_UNIX_MAX);

    ln_buf b;
    ln_buf_init(&b, 200);
    assert_int_equal(ln_url_listen_write(&l, &b), LINNET_OK);
    assert_true(ln_slice_eq(ln_buf_slice(&b), longest));
    ln_buf_fini(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_come_apart),
        cmocka_unit_test(bad_urls_are_refused),
        cmocka_unit_test(urls_cut_at_every_byte),
        cmocka_unit_test(names_have_lengths),
        cmocka_unit_test(urls_are_written_back),
        cmocka_unit_test(a_full_buffer_keeps_what_it_had),
        cmocka_unit_test(loopback_is_known),
        cmocka_unit_test(listen_addresses),
        cmocka_unit_test(listen_on_unix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
