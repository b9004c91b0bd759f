#include "base/testing.h"
#include "net/loop.h"
#include <stdlib.h>
#include <sys/un.h>

static const struct {
    const char *reason, *text, *answer; /* NULL: refused */
} rows[] = {
    { "IPv4", "127.0.0.1:8080", "127.0.0.1:8080" },
    { "any free port", "10.1.2.3:0", "10.1.2.3:0" },
    { "highest port", "0.0.0.0:65535", "0.0.0.0:65535" },
    { "port only is loopback", ":9", "127.0.0.1:9" },
    { "localhost", "localhost:80", "127.0.0.1:80" },
    { "localhost in capitals", "LocalHost:80", "127.0.0.1:80" },
    { "IPv6", "[::1]:443", "[::1]:443" },
    { "IPv6, shortened in the answer", "[0:0:0:0:0:0:0:1]:443", "[::1]:443" },
    { "IPv6 with an IPv4 tail", "[::ffff:1.2.3.4]:1", "[::ffff:1.2.3.4]:1" },
    { "Unix", "unix:/tmp/x.sock", "unix" },
    { "abstract", "unix:@x", "unix" },
    { "empty", "", NULL },
    { "no port", "127.0.0.1", NULL },
    { "empty port", "127.0.0.1:", NULL },
    { "port too large", "127.0.0.1:65536", NULL },
    { "port with a sign", "127.0.0.1:+1", NULL },
    { "port with a leading zero", "127.0.0.1:080", NULL },
    { "a name", "example.org:80", NULL },
    { "IPv6 without brackets", "::1:80", NULL },
    { "IPv4 in brackets", "[127.0.0.1]:80", NULL },
    { "bracket not closed", "[::1:80", NULL },
    { "empty brackets", "[]:80", NULL },
    { "IPv4 with a part too many", "1.2.3.4.5:80", NULL },
    { "IPv4 part too large", "1.2.3.256:80", NULL },
    { "host longer than any address", "1111:2222:3333:4444:5555:6666:7777:8888:9999:1:1:80", NULL },
    { "Unix without a path", "unix:", NULL },
    { "Unix path over the kernel's 107",
        "unix:/0123456789012345678901234567890123456789012345678901234567890123456789"
        "01234567890123456789012345678901234567",
        NULL },
};

#define ROW(i, condition)                                                                          \
    if (!(condition)) fail_msg("%s: %s", rows[i].reason, #condition)

static void parse_and_write(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_slice exact = ln_test_exact(ln_slice_str(rows[i].text));
        ln_addr addr = { .size = 0 };
        char text[64];
        int err = ln_addr_parse(exact, &addr);
        ln_test_drop(exact);
        ROW(i, err == (rows[i].answer ? LINNET_OK : LINNET_ERR_INVAL));
        if (!rows[i].answer) {
            ROW(i, addr.size == 0);
            continue;
        }
        ROW(i, ln_addr_text(&addr, text) == strlen(rows[i].answer));
        ROW(i, strcmp(text, rows[i].answer) == 0);
    }
}

static void a_nul_inside_is_refused(void **state) {
    (void)state;
    ln_addr addr;
    assert_int_equal(ln_addr_parse(LN_SLICE("127.0.0.1\0:80"), &addr), LINNET_ERR_INVAL);
    assert_int_equal(ln_addr_parse(LN_SLICE("unix:/tmp/a\0b"), &addr), LINNET_ERR_INVAL);
    assert_false(ln_addr_ip(LN_SLICE("1.2.3.4\0"), 1, &addr));
    assert_false(ln_addr_ip(LN_SLICE(""), 1, &addr));
}

static void sizes_of_unix_addresses(void **state) {
    (void)state;
    ln_addr addr;
    assert_int_equal(ln_addr_parse(LN_SLICE("unix:/a"), &addr), LINNET_OK);
    assert_int_equal(addr.size, offsetof(struct sockaddr_un, sun_path) + 3); /* with its NUL */
    assert_int_equal(ln_addr_parse(LN_SLICE("unix:@a"), &addr), LINNET_OK);
    assert_int_equal(addr.size, offsetof(struct sockaddr_un, sun_path) + 2); /* led by one */
    assert_int_equal(ln_addr_port(&addr), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_and_write),
        cmocka_unit_test(a_nul_inside_is_refused),
        cmocka_unit_test(sizes_of_unix_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
