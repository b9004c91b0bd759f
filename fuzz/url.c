/* URLs: what is accepted, written and read again is the same; no byte of it can end a line or
 * a host; a cut at the end never lends what lies behind. The same for listen addresses. */
#include "wire/url.h"
#include "fuzz.h"
#include "wire/target.h"

static void inside(ln_slice outer, ln_slice inner) {
    if (inner.size == 0) return;
    FUZZ_REQUIRE(inner.data >= outer.data && inner.size <= outer.size);
    FUZZ_REQUIRE(inner.data + inner.size <= outer.data + outer.size);
}

static bool same(const ln_url *a, const ln_url *b) {
    return a->scheme == b->scheme && a->kind == b->kind && a->port == b->port &&
           a->secure == b->secure && a->has_query == b->has_query &&
           ln_slice_eq(a->host, b->host) && ln_slice_eq(a->path, b->path) &&
           ln_slice_eq(a->query, b->query);
}

static void url(ln_slice in) {
    ln_url u, again;
    int err = ln_url_parse(in, &u);
    FUZZ_REQUIRE(err == LINNET_OK || err == LINNET_ERR_URL);
    if (err < 0) return;
    inside(in, u.host);
    inside(in, u.userinfo);
    inside(in, u.query);
    FUZZ_REQUIRE(u.port && u.host.size && u.path.size && u.path.data[0] == '/');
    for (size_t i = 0; i < in.size; i++)
        FUZZ_REQUIRE(in.data[i] > 0x20 && in.data[i] < 0x7f);

    ln_buf text, host;
    ln_buf_init(&text, LN_BUF_MAX);
    ln_buf_init(&host, LN_BUF_MAX);
    FUZZ_REQUIRE(ln_url_write(&u, &text) == LINNET_OK);
    FUZZ_REQUIRE(ln_url_parse(ln_buf_slice(&text), &again) == LINNET_OK);
    FUZZ_REQUIRE(same(&u, &again) && again.userinfo.size == 0);

    ln_url_host kind;
    ln_slice name;
    uint16_t port = u.secure ? 443 : 80;
    FUZZ_REQUIRE(ln_url_write_host(&u, &host) == LINNET_OK);
    FUZZ_REQUIRE(ln_url_authority(ln_buf_slice(&host), &kind, &name, &port));
    FUZZ_REQUIRE(kind == u.kind && port == u.port && ln_slice_eq(name, u.host));
    ln_url_is_loopback(kind, name);
    ln_buf_fini(&text);
    ln_buf_fini(&host);
}

static void listen_address(ln_slice in) {
    ln_url_listen l, again;
    int err = ln_url_listen_parse(in, &l);
    FUZZ_REQUIRE(err == LINNET_OK || err == LINNET_ERR_URL);
    if (err < 0) return;
    ln_buf text;
    ln_buf_init(&text, LN_BUF_MAX);
    FUZZ_REQUIRE(ln_url_listen_write(&l, &text) == LINNET_OK);
    FUZZ_REQUIRE(ln_url_listen_parse(ln_buf_slice(&text), &again) == LINNET_OK);
    FUZZ_REQUIRE(l.is_unix == again.is_unix && l.port == again.port && l.kind == again.kind);
    FUZZ_REQUIRE(ln_slice_eq(l.host, again.host) && ln_slice_eq(l.path, again.path));
    FUZZ_REQUIRE(l.is_unix ? l.path.size > 0 && l.path.size <= LN_URL_UNIX_MAX : l.host.size > 0);
    ln_buf_fini(&text);
}

/* A path that is fine has exactly one reading: decoded and checked again as raw text it is
 * still fine, unless a '%' came out. */
static void path(ln_slice in) {
    ln_target_query_ok(in);
    if (!ln_target_path_ok(in)) return;
    uint8_t *room = malloc(in.size);
    size_t n = ln_target_unescape(in, false, room);
    FUZZ_REQUIRE(memchr(room, '%', n) || ln_target_path_ok(ln_slice_of(room, n)));
    free(room);
}

void fuzz_one(ln_slice in) {
    switch (fuzz_choice(&in) % 3) {
    case 1: listen_address(in); break;
    case 2: path(in); break;
    default: url(in);
    }
}
