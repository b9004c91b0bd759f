#include "base/testing.h"
#include "wire/proxy.h"

#define SIG    "\r\n\r\n\0\r\nQUIT\n"
#define FOUR   "\xc0\xa8\x00\x01\xc0\xa8\x00\x0b\xdc\x04\x01\xbb"
#define SIX_A  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
#define SIX_B  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"
#define TEN(x) x x x x x x x x x x
#define ZEROS  TEN(TEN("\0\0")) TEN("\0") "\0\0\0\0\0\0" /* 216 */

static const struct {
    const char *reason;
    ln_slice in;      /* the header; what follows it in the test is not looked at */
    int result;       /* LN_DONE, LN_MORE, LINNET_ERR_PROXY */
    const char *from; /* NULL: nobody is named */
    unsigned port;
    bool tls;
    const char *authority;
} rows[] = {
    { "v1, IPv4", BYTES("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"), LN_DONE,
        "192.168.0.1", 56324, false, "" },
    { "v1, IPv6", BYTES("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"), LN_DONE, "2001:db8::1",
        1, false, "" },
    { "v1, the longest IPv6",
        BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
              "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
        LN_DONE, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, false, "" },
    { "v1, unknown", BYTES("PROXY UNKNOWN\r\n"), LN_DONE, NULL, 0, false, "" },
    { "v1, unknown and more", BYTES("PROXY UNKNOWN ffff::1 whatever 1 2 3 4 5\r\n"), LN_DONE, NULL,
        0, false, "" },
    { "v1, port 0", BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n"), LN_DONE, "1.2.3.4", 0, false, "" },
    { "v1, LF alone", BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n"), LINNET_ERR_PROXY, NULL, 0, false,
        "" },
    { "v1, two CR", BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n"), LINNET_ERR_PROXY, NULL, 0, false,
        "" },
    { "v1, two spaces", BYTES("PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n"), LINNET_ERR_PROXY, NULL, 0,
        false, "" },
    { "v1, a space behind", BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n"), LINNET_ERR_PROXY, NULL, 0,
        false, "" },
    { "v1, no ports", BYTES("PROXY TCP4 1.2.3.4 5.6.7.8\r\n"), LINNET_ERR_PROXY, NULL, 0, false,
        "" },
    { "v1, a port with a zero", BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n"), LINNET_ERR_PROXY,
        NULL, 0, false, "" },
    { "v1, port 65536", BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n"), LINNET_ERR_PROXY, NULL, 0,
        false, "" },
    { "v1, leading zero", BYTES("PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n"), LINNET_ERR_PROXY, NULL, 0,
        false, "" },
    { "v1, IPv6 as TCP4", BYTES("PROXY TCP4 ::1 ::1 1 2\r\n"), LINNET_ERR_PROXY, NULL, 0, false,
        "" },
    { "v1, IPv4 as TCP6", BYTES("PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n"), LINNET_ERR_PROXY, NULL, 0,
        false, "" },
    { "v1, UDP", BYTES("PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n"), LINNET_ERR_PROXY, NULL, 0, false,
        "" },
    { "v1, lower case", BYTES("proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), LINNET_ERR_PROXY, NULL, 0,
        false, "" },
    { "v1, nothing in it", BYTES("PROXY \r\n"), LINNET_ERR_PROXY, NULL, 0, false, "" },
    { "v1, no end within 107 bytes", BYTES("PROXY UNKNOWN " TEN("aaaaaaaaa") "aaa"),
        LINNET_ERR_PROXY, NULL, 0, false, "" },
    { "no header: a request", BYTES("GET / HTTP/1.1\r\n"), LINNET_ERR_PROXY, NULL, 0, false, "" },
    { "no header: POST", BYTES("POST / HTTP/1.1\r\n"), LINNET_ERR_PROXY, NULL, 0, false, "" },
    { "no header: a ClientHello", BYTES("\x16\x03\x01\x02\x00"), LINNET_ERR_PROXY, NULL, 0, false,
        "" },
    { "no header: empty lines", BYTES("\r\n\r\nGET"), LINNET_ERR_PROXY, NULL, 0, false, "" },
    { "v2, IPv4", BYTES(SIG "\x21\x11\x00\x0c" FOUR), LN_DONE, "192.168.0.1", 56324, false, "" },
    { "v2, IPv6", BYTES(SIG "\x21\x21\x00\x24" SIX_A SIX_B "\x00\x01\x00\x02"), LN_DONE,
        "2001:db8::1", 1, false, "" },
    { "v2, a Unix socket", BYTES(SIG "\x21\x31\x00\xd8" ZEROS), LN_DONE, NULL, 0, false, "" },
    { "v2, unspecified", BYTES(SIG "\x21\x00\x00\x00"), LN_DONE, NULL, 0, false, "" },
    { "v2, unspecified, with bytes",
        BYTES(SIG "\x21\x00\x00\x03"
                  "abc"),
        LN_DONE, NULL, 0, false, "" },
    { "v2, local", BYTES(SIG "\x20\x00\x00\x00"), LN_DONE, NULL, 0, false, "" },
    { "v2, local with addresses is local", BYTES(SIG "\x20\x11\x00\x0c" FOUR), LN_DONE, NULL, 0,
        false, "" },
    { "v2, version 1", BYTES(SIG "\x11\x11\x00\x0c" FOUR), LINNET_ERR_PROXY, NULL, 0, false, "" },
    { "v2, command 2", BYTES(SIG "\x22\x11\x00\x0c" FOUR), LINNET_ERR_PROXY, NULL, 0, false, "" },
    { "v2, datagrams", BYTES(SIG "\x21\x12\x00\x0c" FOUR), LINNET_ERR_PROXY, NULL, 0, false, "" },
    { "v2, family 4", BYTES(SIG "\x21\x41\x00\x0c" FOUR), LINNET_ERR_PROXY, NULL, 0, false, "" },
    { "v2, too short for its family", BYTES(SIG "\x21\x11\x00\x0b" FOUR), LINNET_ERR_PROXY, NULL, 0,
        false, "" },
    { "v2, over our limit", BYTES(SIG "\x21\x11\x0f\xf1" FOUR), LINNET_ERR_PROXY, NULL, 0, false,
        "" },
    { "v2, a TLV", BYTES(SIG "\x21\x11\x00\x10" FOUR "\x04\x00\x01x"), LN_DONE, "192.168.0.1",
        56324, false, "" },
    { "v2, NOOP twice", BYTES(SIG "\x21\x11\x00\x12" FOUR "\x04\0\0\x04\0\0"), LN_DONE,
        "192.168.0.1", 56324, false, "" },
    { "v2, a TLV of Amazon's", BYTES(SIG "\x21\x11\x00\x11" FOUR "\xea\x00\x02\x01z"), LN_DONE,
        "192.168.0.1", 56324, false, "" },
    { "v2, authority",
        BYTES(SIG "\x21\x11\x00\x14" FOUR "\x02\x00\x05"
                  "a.bcd"),
        LN_DONE, "192.168.0.1", 56324, false, "a.bcd" },
    { "v2, authority twice",
        BYTES(SIG "\x21\x11\x00\x14" FOUR "\x02\x00\x01"
                  "a\x02\x00\x01"
                  "b"),
        LINNET_ERR_PROXY, NULL, 0, false, "" },
    { "v2, authority with a line end",
        BYTES(SIG "\x21\x11\x00\x12" FOUR "\x02\x00\x03"
                  "a\nb"),
        LINNET_ERR_PROXY, NULL, 0, false, "" },
    { "v2, authority empty", BYTES(SIG "\x21\x11\x00\x0f" FOUR "\x02\x00\x00"), LINNET_ERR_PROXY,
        NULL, 0, false, "" },
    { "v2, TLS", BYTES(SIG "\x21\x11\x00\x14" FOUR "\x20\x00\x05\x01\0\0\0\0"), LN_DONE,
        "192.168.0.1", 56324, true, "" },
    { "v2, a certificate without TLS",
        BYTES(SIG "\x21\x11\x00\x14" FOUR "\x20\x00\x05\x06\0\0\0\0"), LN_DONE, "192.168.0.1",
        56324, false, "" },
    { "v2, TLS with its version",
        BYTES(SIG "\x21\x11\x00\x1e" FOUR "\x20\x00\x0f\x01\0\0\0\0\x21\x00\x07TLSv1.3"), LN_DONE,
        "192.168.0.1", 56324, true, "" },
    { "v2, TLS, too short", BYTES(SIG "\x21\x11\x00\x13" FOUR "\x20\x00\x04\x01\0\0\0"),
        LINNET_ERR_PROXY, NULL, 0, false, "" },
    { "v2, TLS, what is inside is too long",
        BYTES(SIG "\x21\x11\x00\x18" FOUR "\x20\x00\x09\x01\0\0\0\0\x21\x00\x02x"),
        LINNET_ERR_PROXY, NULL, 0, false, "" },
    { "v2, a TLV over the end", BYTES(SIG "\x21\x11\x00\x10" FOUR "\x04\x00\x02x"),
        LINNET_ERR_PROXY, NULL, 0, false, "" },
    { "v2, two bytes of a TLV", BYTES(SIG "\x21\x11\x00\x0e" FOUR "\x04\x00"), LINNET_ERR_PROXY,
        NULL, 0, false, "" },
    { "v2, the right sum", BYTES(SIG "\x21\x11\x00\x13" FOUR "\x03\x00\x04\x1c\x1a\xe9\xc6"),
        LN_DONE, "192.168.0.1", 56324, false, "" },
    { "v2, a wrong sum", BYTES(SIG "\x21\x11\x00\x13" FOUR "\x03\x00\x04\x1c\x1a\xe9\xc7"),
        LINNET_ERR_PROXY, NULL, 0, false, "" },
    { "v2, a sum of three bytes", BYTES(SIG "\x21\x11\x00\x12" FOUR "\x03\x00\x03\x1c\x1a\xe9"),
        LINNET_ERR_PROXY, NULL, 0, false, "" },
};

static void check(size_t i, ln_slice in, int r, const ln_proxy *p, ln_slice rest) {
    char text[LN_IP_TEXT];
    if (r != rows[i].result) fail_msg("%s: %d", rows[i].reason, r);
    if (r != LN_DONE) return;
    if (p->known != (rows[i].from != NULL)) fail_msg("%s", rows[i].reason);
    if (p->known) {
        ln_ip_text(&p->from, text);
        assert_string_equal(text, rows[i].from);
        assert_int_equal(p->from_port, rows[i].port);
    }
    assert_int_equal(p->tls, rows[i].tls);
    assert_true(ln_slice_eq(p->authority, ln_slice_str(rows[i].authority)));
    assert_ptr_equal(rest.data, in.data + rows[i].in.size);
}

/* Of what is refused each longer beginning is refused too, and of what is taken none shorter is
 * anything but incomplete; what stands behind is not touched. */
static void headers(void **state) {
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        bool refused = false;
        for (size_t cut = 0; cut < rows[i].in.size; cut++) {
            ln_slice in = ln_test_exact(ln_slice_sub(rows[i].in, 0, cut)), rest = in;
            ln_proxy p = { .from_port = 4711 };
            int r = ln_proxy_read(&rest, &p);
            if (r != LN_MORE && (rows[i].result == LN_DONE || r != LINNET_ERR_PROXY))
                fail_msg("%s, cut at %zu: %d", rows[i].reason, cut, r);
            if (refused) assert_int_equal(r, LINNET_ERR_PROXY);
            refused = r == LINNET_ERR_PROXY;
            assert_ptr_equal(rest.data, in.data);
            assert_int_equal(p.from_port, 4711);
            ln_test_drop(in);
        }
        ln_slice in = ln_test_exact(rows[i].in), rest = in;
        ln_proxy p;
        int r = ln_proxy_read(&rest, &p);
        check(i, in, r, &p, rest);
        ln_test_drop(in);

        uint8_t more[512];
        memcpy(more, rows[i].in.data, rows[i].in.size);
        memcpy(more + rows[i].in.size, "GET ", 4);
        in = ln_test_exact(ln_slice_of(more, rows[i].in.size + 4)), rest = in;
        r = ln_proxy_read(&rest, &p);
        check(i, in, r, &p, rest);
        ln_test_drop(in);
    }
}

static void as_long_as_it_may_be(void **state) {
    uint8_t *all = calloc(1, LN_PROXY_MAX);
    memcpy(all, SIG "\x21\x11\x0f\xf0" FOUR, 28);
    memcpy(all + 28, "\x04\x0f\xe1", 3); /* NOOP for all the rest */
    ln_slice in = ln_slice_of(all, LN_PROXY_MAX - 1);
    ln_proxy p;
    assert_int_equal(ln_proxy_read(&in, &p), LN_MORE);
    in = ln_slice_of(all, LN_PROXY_MAX);
    assert_int_equal(ln_proxy_read(&in, &p), LN_DONE);
    assert_int_equal(in.size, 0);
    free(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),
        cmocka_unit_test(as_long_as_it_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
