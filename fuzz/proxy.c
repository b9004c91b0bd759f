/* What a proxy says of its visitor. A PROXY header: the same verdict however it is cut, nothing
 * behind it is touched, and what is written from what was read is read as the same, in both
 * versions. Fields of a head: what a visitor puts in front of what the proxies add changes nothing.
 */
#include "wire/proxy.h"
#include "fuzz.h"
#include "wire/forwarded.h"

static bool same(const ln_proxy *a, const ln_proxy *b) {
    return a->known == b->known && a->tls == b->tls &&
           (!a->known || (ln_ip_eq(&a->from, &b->from) && ln_ip_eq(&a->to, &b->to) &&
                             a->from_port == b->from_port && a->to_port == b->to_port)) &&
           ln_slice_eq(a->authority, b->authority);
}

static size_t put_v1(const ln_proxy *p, char *out, size_t room) {
    char from[LN_IP_TEXT], to[LN_IP_TEXT];
    bool v4 = ln_ip_is_v4(&p->from);
    if (!p->known || v4 != ln_ip_is_v4(&p->to))
        return (size_t)snprintf(out, room, "PROXY UNKNOWN\r\n");
    ln_ip_text(&p->from, from);
    ln_ip_text(&p->to, to);
    return (size_t)snprintf(out, room, "PROXY TCP%c %s %s %u %u\r\n", v4 ? '4' : '6', from, to,
        p->from_port, p->to_port);
}

static size_t put_v2(const ln_proxy *p, uint8_t *out) {
    static const uint8_t start[14] = "\r\n\r\n\0\r\nQUIT\n\x21\x21";
    size_t n = sizeof start + 2;
    memcpy(out, start, sizeof start);
    if (!p->known) out[13] = 0;
    if (p->known) {
        memcpy(out + n, &p->from, 16);
        memcpy(out + n + 16, &p->to, 16);
        uint16_t ports[2] = { p->from_port, p->to_port };
        for (size_t i = 0; i < 2; i++) {
            out[n + 32 + 2 * i] = (uint8_t)(ports[i] >> 8);
            out[n + 33 + 2 * i] = (uint8_t)ports[i];
        }
        n += 36;
    }
    if (p->tls) {
        memcpy(out + n, "\x20\0\5\1\0\0\0\0", 8);
        n += 8;
    }
    if (p->authority.size) {
        out[n++] = 2;
        out[n++] = 0;
        out[n++] = (uint8_t)p->authority.size;
        memcpy(out + n, p->authority.data, p->authority.size);
        n += p->authority.size;
    }
    out[14] = (uint8_t)((n - 16) >> 8);
    out[15] = (uint8_t)(n - 16);
    return n;
}

static void again(const ln_proxy *p) {
    uint8_t text[512];
    ln_proxy read;
    ln_slice in = ln_slice_of(text, put_v2(p, text));
    FUZZ_REQUIRE(ln_proxy_read(&in, &read) == LN_DONE && in.size == 0);
    FUZZ_REQUIRE(same(p, &read) || (!p->known && !read.known));
    in = ln_slice_of(text, put_v1(p, (char *)text, sizeof text));
    FUZZ_REQUIRE(ln_proxy_read(&in, &read) == LN_DONE && in.size == 0);
    FUZZ_REQUIRE(!read.known || (ln_ip_eq(&read.from, &p->from) && read.to_port == p->to_port));
}

static void header(ln_slice in) {
    ln_proxy whole = { .known = false }, part;
    ln_slice rest = in;
    int r = ln_proxy_read(&rest, &whole);
    FUZZ_REQUIRE(r == LN_DONE || r == LN_MORE || r == LINNET_ERR_PROXY);
    FUZZ_REQUIRE(r == LN_DONE || rest.data == in.data);
    size_t used = in.size - rest.size;
    FUZZ_REQUIRE(r != LN_MORE || in.size < LN_PROXY_MAX);
    for (size_t cut = 0, step = in.size / 64 + 1; cut <= in.size; cut += step) {
        ln_slice some = ln_slice_sub(in, 0, cut);
        int got = ln_proxy_read(&some, &part);
        if (r == LN_DONE) FUZZ_REQUIRE(got == (cut < used ? LN_MORE : LN_DONE));
        if (r == LN_MORE) FUZZ_REQUIRE(got == LN_MORE);
        if (got == LN_DONE) FUZZ_REQUIRE(same(&whole, &part) && cut - some.size == used);
        if (got == LINNET_ERR_PROXY) FUZZ_REQUIRE(r == LINNET_ERR_PROXY);
    }
    if (r == LN_DONE) again(&whole);
}

static bool head_of(ln_buf *text, const char *front, ln_slice lines, ln_http1_head *head) {
    ln_http1_scan scan = { 0 };
    ln_http1_limits limits = LN_HTTP1_LIMITS_SERVER;
    ln_buf_clear(text);
    ln_buf_add(text, LN_SLICE("GET / HTTP/1.1\r\nHost: a\r\n"));
    ln_buf_add(text, ln_slice_str(front));
    ln_buf_add(text, lines);
    ln_buf_add(text, LN_SLICE("\r\n"));
    return ln_http1_request(&scan, &limits, ln_buf_slice(text), head) == LN_DONE;
}

static void fields(ln_slice in, ln_forwarded_by by) {
    static const char *const lies[] = { "X-Forwarded-For: 198.51.100.66\r\n",
        "Forwarded: for=198.51.100.66\r\n", "" };
    ln_cidr ours[2];
    ln_http1_head head;
    ln_forwarded f, g;
    ln_buf text;
    ln_buf_init(&text, LN_BUF_MAX);
    FUZZ_REQUIRE(ln_cidr_parse(LN_SLICE("10.0.0.0/8"), &ours[0]));
    FUZZ_REQUIRE(ln_cidr_parse(LN_SLICE("2001:db8::/32"), &ours[1]));
    if (head_of(&text, "", in, &head)) {
        ln_forwarded_read(&head, by, ours, 2, &f);
        FUZZ_REQUIRE(f.host.size == 0 || ln_http1_is_host(f.host));
        FUZZ_REQUIRE(f.told_tls || !f.tls);
        bool stranger = f.known && !ln_cidrs_have(ours, 2, &f.ip);
        if (stranger && head_of(&text, lies[by], in, &head)) {
            ln_forwarded_read(&head, by, ours, 2, &g);
            FUZZ_REQUIRE(g.known && ln_ip_eq(&f.ip, &g.ip));
        }
    }
    ln_buf_fini(&text);
}

void fuzz_one(ln_slice in) {
    uint8_t choice = fuzz_choice(&in);
    if (choice % 4 == 0)
        header(in);
    else
        fields(in, (ln_forwarded_by)(choice % 4 - 1));
}
