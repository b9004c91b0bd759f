#include "base/testing.h"
#include "wire/forwarded.h"
#include <stdio.h>

#define X    LN_FORWARDED_X_FOR
#define RFC  LN_FORWARDED_RFC
#define REAL LN_FORWARDED_X_REAL
#define XFF  "X-Forwarded-For: "
#define XFP  "X-Forwarded-Proto: "
#define FWD  "Forwarded: "

/* Trusted: 10.0.0.0/8 and 2001:db8::/32. */
static const struct {
    const char *reason, *lines;
    ln_forwarded_by by;
    const char *ip; /* NULL: nobody is named */
    int tls;        /* -1: not told */
    const char *host;
} rows[] = {
    { "nothing", "", X, NULL, -1, "" },
    { "one", XFF "192.0.2.1\r\n", X, "192.0.2.1", -1, "" },
    { "the right-most that is not ours", XFF "198.51.100.9, 192.0.2.1, 10.1.1.1\r\n", X,
        "192.0.2.1", -1, "" },
    { "what the visitor wrote himself", XFF "10.9.9.9, 192.0.2.1\r\n", X, "192.0.2.1", -1, "" },
    { "two lines are one list", XFF "192.0.2.1\r\n" XFF "10.1.1.1\r\n", X, "192.0.2.1", -1, "" },
    { "all ours: the left-most", XFF "10.2.2.2, 10.1.1.1\r\n", X, "10.2.2.2", -1, "" },
    { "with a port", XFF "192.0.2.1:50000\r\n", X, "192.0.2.1", -1, "" },
    { "IPv6", XFF "2001:db9::1\r\n", X, "2001:db9::1", -1, "" },
    { "IPv6 in brackets", XFF "[2001:db9::1]:443\r\n", X, "2001:db9::1", -1, "" },
    { "IPv6 of ours is passed", XFF "2001:db9::1,2001:db8::7\r\n", X, "2001:db9::1", -1, "" },
    { "IPv4 in IPv6", XFF "192.0.2.1, ::ffff:10.0.0.1\r\n", X, "192.0.2.1", -1, "" },
    { "a hop that is no address", XFF "192.0.2.1, unknown, 10.1.1.1\r\n", X, "10.1.1.1", -1, "" },
    { "no address at all", XFF "192.0.2.1, _hidden\r\n", X, NULL, -1, "" },
    { "a bad port", XFF "192.0.2.1:70000\r\n", X, NULL, -1, "" },
    { "brackets around IPv4", XFF "[192.0.2.1]\r\n", X, NULL, -1, "" },
    { "brackets that stay open", XFF "[2001:db9::1\r\n", X, NULL, -1, "" },
    { "quotes are not for this field", XFF "\"192.0.2.1\"\r\n", X, NULL, -1, "" },
    { "empty elements", XFF ", 192.0.2.1 ,,\r\n", X, "192.0.2.1", -1, "" },
    { "other fields are not read", FWD "for=192.0.2.1\r\nX-Real-IP: 192.0.2.2\r\n", X, NULL, -1,
        "" },
    { "https", XFF "192.0.2.1\r\n" XFP "https\r\n", X, "192.0.2.1", 1, "" },
    { "wss", XFF "192.0.2.1\r\n" XFP "WSS\r\n", X, "192.0.2.1", 1, "" },
    { "http", XFF "192.0.2.1\r\n" XFP "http\r\n", X, "192.0.2.1", 0, "" },
    { "a scheme of which nobody has heard", XFP "gopher\r\n", X, NULL, -1, "" },
    { "the scheme of the same hop", XFF "192.0.2.1, 10.1.1.1\r\n" XFP "https, http\r\n", X,
        "192.0.2.1", 1, "" },
    { "the scheme the visitor wrote", XFF "192.0.2.1\r\n" XFP "https, http\r\n", X, "192.0.2.1", 0,
        "" },
    { "one scheme for all hops", XFF "192.0.2.1, 10.1.1.1\r\n" XFP "https\r\n", X, "192.0.2.1", 1,
        "" },
    { "fewer schemes than hops", XFF "192.0.2.1, 10.1.1.1, 10.2.2.2\r\n" XFP "https, http\r\n", X,
        "192.0.2.1", -1, "" },
    { "the host", XFF "192.0.2.1\r\nX-Forwarded-Host: app.example\r\n", X, "192.0.2.1", -1,
        "app.example" },
    { "a host that is none", XFF "192.0.2.1\r\nX-Forwarded-Host: app example\r\n", X, "192.0.2.1",
        -1, "" },
    { "Forwarded", FWD "for=192.0.2.1;proto=https;host=app.example\r\n", RFC, "192.0.2.1", 1,
        "app.example" },
    { "Forwarded, quoted", FWD "For=\"[2001:db9::1]:4711\" ; Proto=http\r\n", RFC, "2001:db9::1", 0,
        "" },
    { "Forwarded, hops",
        FWD "for=198.51.100.9, for=192.0.2.1;proto=https, for=10.1.1.1;proto=http"
            "\r\n",
        RFC, "192.0.2.1", 1, "" },
    { "Forwarded, a comma in quotes", FWD "by=\"a,b\";for=192.0.2.1\r\n", RFC, "192.0.2.1", -1,
        "" },
    { "Forwarded, no for", FWD "proto=https\r\n", RFC, NULL, 1, "" },
    { "Forwarded, unknown", FWD "for=192.0.2.1, for=unknown\r\n", RFC, NULL, -1, "" },
    { "Forwarded, for twice", FWD "for=192.0.2.1;for=192.0.2.2\r\n", RFC, NULL, -1, "" },
    { "Forwarded, an open quote", FWD "for=\"192.0.2.1\r\n", RFC, NULL, -1, "" },
    { "Forwarded, no value", FWD "for=\r\n", RFC, NULL, -1, "" },
    { "Forwarded, a mark at the end", FWD "for=192.0.2.1;\r\n", RFC, NULL, -1, "" },
    { "Forwarded, a backslash", FWD "for=\"192.0.2\\.1\"\r\n", RFC, NULL, -1, "" },
    { "Forwarded, one bad line spoils all", FWD "for=192.0.2.1\r\n" FWD "for\r\n", RFC, NULL, -1,
        "" },
    { "Forwarded, other fields are not read", XFF "192.0.2.1\r\n", RFC, NULL, -1, "" },
    { "X-Real-IP", "X-Real-IP: 192.0.2.1\r\n" XFP "https\r\n", REAL, "192.0.2.1", 1, "" },
    { "X-Real-IP twice", "X-Real-IP: 192.0.2.1\r\nX-Real-IP: 192.0.2.2\r\n", REAL, NULL, -1, "" },
    { "X-Real-IP of several", "X-Real-IP: 192.0.2.1, 192.0.2.2\r\n", REAL, NULL, -1, "" },
    { "X-Real-IP, other fields are not read", XFF "192.0.2.1\r\n", REAL, NULL, -1, "" },
};

static ln_cidr ours[2];

static void head_of(ln_slice text, ln_http1_head *head) {
    ln_http1_scan scan = { 0 };
    ln_http1_limits limits = LN_HTTP1_LIMITS_SERVER;
    assert_int_equal(ln_http1_request(&scan, &limits, text, head), LN_DONE);
}

static void fields(void **state) {
    assert_true(ln_cidr_parse(LN_SLICE("10.0.0.0/8"), &ours[0]));
    assert_true(ln_cidr_parse(LN_SLICE("2001:db8::/32"), &ours[1]));
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        char text[1024], ip[LN_IP_TEXT];
        int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", rows[i].lines);
        ln_slice in = ln_test_exact(ln_slice_of(text, (size_t)n));
        ln_http1_head head;
        ln_forwarded f;
        head_of(in, &head);
        ln_forwarded_read(&head, rows[i].by, ours, 2, &f);
        if (f.known != (rows[i].ip != NULL)) fail_msg("%s", rows[i].reason);
        if (f.known) {
            ln_ip_text(&f.ip, ip);
            if (strcmp(ip, rows[i].ip) != 0) fail_msg("%s: %s", rows[i].reason, ip);
        }
        if ((f.told_tls ? f.tls : -1) != rows[i].tls) fail_msg("%s", rows[i].reason);
        if (!ln_slice_eq(f.host, ln_slice_str(rows[i].host))) fail_msg("%s", rows[i].reason);
        ln_test_drop(in);
    }
}

/* 60 lines of ours, and in front of them whom we never get to see. */
static void a_long_trail(void **state) {
    char text[4096];
    int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n" XFF "192.0.2.1\r\n");
    for (int i = 0; i < 60; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, XFF "10.1.1.1\r\n");
    snprintf(text + n, sizeof text - (size_t)n, "\r\n");
    ln_http1_head head;
    ln_forwarded f;
    char ip[LN_IP_TEXT];
    head_of(ln_slice_str(text), &head);
    ln_forwarded_read(&head, X, ours, 2, &f);
    assert_true(f.known);
    ln_ip_text(&f.ip, ip);
    assert_string_equal(ip, "10.1.1.1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields),
        cmocka_unit_test(a_long_trail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
