#include "base/ip.h"
#include "base/testing.h"

static void text_to_address(void **state) {
    static const struct {
        const char *reason;
        ln_slice text;
        const char *said; /* NULL: refused */
    } rows[] = {
        { "IPv4", BYTES("192.0.2.1"), "192.0.2.1" },
        { "the largest", BYTES("255.255.255.255"), "255.255.255.255" },
        { "IPv6", BYTES("2001:db8::1"), "2001:db8::1" },
        { "IPv6 in full", BYTES("2001:0DB8:0:0:0:0:0:1"), "2001:db8::1" },
        { "IPv4 in IPv6 is IPv4", BYTES("::ffff:192.0.2.1"), "192.0.2.1" },
        { "the same in hexadecimal", BYTES("::ffff:c000:201"), "192.0.2.1" },
        { "not quite it", BYTES("::fffe:c000:201"), "::fffe:c000:201" },
        { "the empty one", BYTES("::"), "::" },
        { "nothing", BYTES(""), NULL },
        { "leading zero", BYTES("192.0.02.1"), NULL },
        { "three parts", BYTES("192.0.2"), NULL },
        { "256", BYTES("192.0.2.256"), NULL },
        { "a zone", BYTES("fe80::1%eth0"), NULL },
        { "brackets", BYTES("[::1]"), NULL },
        { "a port", BYTES("1.2.3.4:5"), NULL },
        { "a name", BYTES("localhost"), NULL },
        { "a space", BYTES(" 1.2.3.4"), NULL },
        { "NUL inside", BYTES("1.2.3.4\0"), NULL },
        { "too long", BYTES("00000:0000:0000:0000:0000:0000:0000:0000000000001"), NULL },
        { "two gaps", BYTES("1::2::3"), NULL },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_slice in = ln_test_exact(rows[i].text);
        ln_ip ip;
        char text[LN_IP_TEXT];
        if (ln_ip_parse(in, &ip) != (rows[i].said != NULL)) fail_msg("%s", rows[i].reason);
        if (rows[i].said) {
            assert_int_equal(ln_ip_text(&ip, text), strlen(rows[i].said));
            assert_string_equal(text, rows[i].said);
        }
        ln_test_drop(in);
    }
}

static void networks(void **state) {
    static const struct {
        const char *reason, *net, *ip;
        int has; /* -1: the network is refused */
    } rows[] = {
        { "inside", "10.0.0.0/8", "10.255.255.255", 1 },
        { "outside", "10.0.0.0/8", "11.0.0.0", 0 },
        { "odd prefix, inside", "172.16.0.0/12", "172.31.255.1", 1 },
        { "odd prefix, outside", "172.16.0.0/12", "172.32.0.0", 0 },
        { "alone", "127.0.0.1", "127.0.0.1", 1 },
        { "alone, another", "127.0.0.1", "127.0.0.2", 0 },
        { "all of IPv4", "0.0.0.0/0", "203.0.113.9", 1 },
        { "all of IPv4 is not all", "0.0.0.0/0", "2001:db8::1", 0 },
        { "all", "::/0", "203.0.113.9", 1 },
        { "IPv4 in IPv6", "10.0.0.0/8", "::ffff:10.1.1.1", 1 },
        { "IPv4 in IPv6, the other way", "::ffff:10.0.0.0/104", "10.1.1.1", 1 },
        { "IPv6", "2001:db8::/32", "2001:db8:ffff::1", 1 },
        { "IPv6, outside", "2001:db8::/32", "2001:db9::1", 0 },
        { "IPv6, an odd prefix", "2001:db8::/33", "2001:db8:8000::1", 0 },
        { "bits behind the prefix", "10.0.0.1/8", "10.0.0.1", -1 },
        { "33 bits", "10.0.0.0/33", "10.0.0.1", -1 },
        { "129 bits", "::/129", "::1", -1 },
        { "no bits", "10.0.0.0/", "10.0.0.1", -1 },
        { "leading zero", "10.0.0.0/08", "10.0.0.1", -1 },
        { "negative", "10.0.0.0/-1", "10.0.0.1", -1 },
        { "two slashes", "10.0.0.0/8/8", "10.0.0.1", -1 },
        { "a name", "localhost/8", "127.0.0.1", -1 },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_cidr net;
        ln_ip ip;
        bool read = ln_cidr_parse(ln_slice_str(rows[i].net), &net);
        if (read != (rows[i].has >= 0)) fail_msg("%s", rows[i].reason);
        if (!read) continue;
        assert_true(ln_ip_parse(ln_slice_str(rows[i].ip), &ip));
        if (ln_cidr_has(&net, &ip) != rows[i].has) fail_msg("%s", rows[i].reason);
        if (ln_cidrs_have(&net, 1, &ip) != rows[i].has) fail_msg("%s", rows[i].reason);
    }
    assert_false(ln_cidrs_have(NULL, 0, &(ln_ip){ { 0 } }));
}

static void whom_a_limit_means(void **state) {
    static const struct {
        const char *ip, *whose;
        bool loopback;
    } rows[] = {
        { "192.0.2.1", "192.0.2.1", false },
        { "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", false },
        { "2001:db8:1:2:ffff::", "2001:db8:1:2::", false },
        { "127.255.0.1", "127.255.0.1", true },
        { "::1", "::", true },
        { "::2", "::", false },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_ip ip;
        char text[LN_IP_TEXT];
        assert_true(ln_ip_parse(ln_slice_str(rows[i].ip), &ip));
        assert_int_equal(ln_ip_is_loopback(&ip), rows[i].loopback);
        ip = ln_ip_subscriber(&ip);
        ln_ip_text(&ip, text);
        assert_string_equal(text, rows[i].whose);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_to_address),
        cmocka_unit_test(networks),
        cmocka_unit_test(whom_a_limit_means),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
