#include "wire/upgrade.h"
#include <assert.h>
#include <openssl/sha.h>

#define GUID       "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define NONCE_SIZE 16

/* ---- base64 and Accept ------------------------------------------------------------- */

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void encode(const uint8_t *in, size_t size, char *out) {
    for (size_t i = 0; i < size; i += 3, out += 4) {
        uint32_t left = (uint32_t)(size - i);
        uint32_t three = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
                         (left > 2 ? in[i + 2] : 0u);
        out[0] = base64[three >> 18];
        out[1] = base64[three >> 12 & 63];
        out[2] = left > 1 ? base64[three >> 6 & 63] : '=';
        out[3] = left > 2 ? base64[three & 63] : '=';
    }
}

void ln_upgrade_key(const uint8_t nonce[16], char out[LN_UPGRADE_KEY_SIZE]) {
    encode(nonce, NONCE_SIZE, out);
}

void ln_upgrade_accept(ln_slice key, char out[LN_UPGRADE_ACCEPT_SIZE]) {
    uint8_t text[LN_UPGRADE_KEY_SIZE + sizeof(GUID) - 1], digest[SHA_DIGEST_LENGTH];
    assert(key.size == LN_UPGRADE_KEY_SIZE);
    memcpy(text, key.data, LN_UPGRADE_KEY_SIZE);
    memcpy(text + LN_UPGRADE_KEY_SIZE, GUID, sizeof(GUID) - 1);
    SHA1(text, sizeof(text), digest);
    encode(digest, sizeof(digest), out);
}

/* 22 characters of base64 and "==": 16 bytes, the four bits left over zero. */
static bool key_ok(ln_slice key) {
    if (key.size != LN_UPGRADE_KEY_SIZE || key.data[22] != '=' || key.data[23] != '=') return false;
    for (size_t i = 0; i < 22; i++) {
        if (!memchr(base64, key.data[i], 64)) return false;
    }
    return memchr("AQgw", key.data[21], 4) != NULL;
}

/* ---- server ------------------------------------------------------------------------ */

bool ln_upgrade_wanted(const ln_http1_head *request) {
    return ln_http1_has_token(request, LN_SLICE("Upgrade"), LN_SLICE("websocket")) &&
           ln_http1_has_token(request, LN_SLICE("Connection"), LN_SLICE("upgrade"));
}

/* Adds the elements of one Sec-WebSocket-Protocol field. At most 32 altogether, so looking
 * for a repetition among them stays cheap. */
static bool add_protocols(ln_slice rest, ln_upgrade *u) {
    ln_slice item;
    while (ln_slice_cut(&rest, ',', &item)) {
        item = ln_slice_trim(item);
        if (u->protocol_count == LN_UPGRADE_PROTOCOLS_MAX) return false;
        if (!ln_http1_is_token(item) || ln_upgrade_offered(u, item)) return false;
        u->protocols[u->protocol_count++] = item;
    }
    return true;
}

static bool gather_protocols(const ln_http1_head *request, ln_upgrade *u) {
    for (uint32_t i = 0; i < request->count; i++) {
        const ln_http1_field *f = &request->fields[i];
        if (!ln_slice_eq_ci(f->name, LN_SLICE("Sec-WebSocket-Protocol"))) continue;
        if (!add_protocols(f->value, u)) return false;
    }
    return true;
}

ln_http1_fault ln_upgrade_check(const ln_http1_head *request, ln_upgrade *out) {
    ln_slice version;
    out->host = request->host;
    out->origin = (ln_slice){ 0 };
    out->protocol_count = 0;
    if (request->method != LN_HTTP1_GET) return LN_HTTP1_FAULT_UPGRADE_METHOD;
    if (!ln_upgrade_wanted(request)) return LN_HTTP1_FAULT_UPGRADE_NONE;
    if (request->minor == 0) return LN_HTTP1_FAULT_UPGRADE_HTTP10;
    if (request->body != LN_HTTP1_BODY_NONE) return LN_HTTP1_FAULT_UPGRADE_BODY;

    if (ln_http1_find(request, LN_SLICE("Sec-WebSocket-Version"), &version) != 1 ||
        !ln_slice_eq(version, LN_SLICE("13")))
        return LN_HTTP1_FAULT_UPGRADE_VERSION;
    if (ln_http1_find(request, LN_SLICE("Sec-WebSocket-Key"), &out->key) != 1 || !key_ok(out->key))
        return LN_HTTP1_FAULT_UPGRADE_KEY;
    if (ln_http1_find(request, LN_SLICE("Origin"), &out->origin) > 1)
        return LN_HTTP1_FAULT_UPGRADE_ORIGIN;
    if (!gather_protocols(request, out)) return LN_HTTP1_FAULT_UPGRADE_PROTOCOL;
    return ln_ext_ok(request) ? LN_HTTP1_FAULT_NONE : LN_HTTP1_FAULT_UPGRADE_EXTENSION;
}

bool ln_upgrade_offered(const ln_upgrade *request, ln_slice protocol) {
    for (uint32_t i = 0; i < request->protocol_count; i++) {
        if (ln_slice_eq(request->protocols[i], protocol)) return true;
    }
    return false;
}

ln_slice ln_upgrade_choose(const ln_upgrade *request, const ln_slice *ours, size_t count) {
    for (uint32_t i = 0; i < request->protocol_count; i++) {
        for (size_t k = 0; k < count; k++) {
            if (ln_slice_eq(request->protocols[i], ours[k])) return request->protocols[i];
        }
    }
    return (ln_slice){ 0 };
}

#define ANSWER_HEAD                                                                                \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: "
#define ANSWER_ACCEPT "............................"
static_assert(sizeof(ANSWER_ACCEPT) - 1 == LN_UPGRADE_ACCEPT_SIZE, "the dots are overwritten");

int ln_upgrade_answer(ln_buf *out, ln_slice key, const ln_upgrade_reply *reply) {
    static const ln_upgrade_reply bare;
    char block[] = ANSWER_HEAD ANSWER_ACCEPT "\r\n\r\n";
    ln_slice all = ln_slice_of(block, sizeof(block) - 1);
    ln_upgrade_accept(key, block + sizeof(ANSWER_HEAD) - 1);
    if (!reply) reply = &bare;
    if (reply->protocol.size + reply->extension.size + reply->lines.size == 0) {
        return ln_buf_add(out, all);
    }

    ln_http1_writer w = ln_http1_lines(out);
    ln_http1_put_raw(&w, ln_slice_sub(all, 0, all.size - 2));
    if (reply->protocol.size && !ln_http1_is_token(reply->protocol))
        ln_http1_fail(&w, LINNET_ERR_INVAL);
    if (reply->protocol.size) ln_http1_put(&w, LN_SLICE("Sec-WebSocket-Protocol"), reply->protocol);
    if (reply->extension.size)
        ln_http1_put(&w, LN_SLICE("Sec-WebSocket-Extensions"), reply->extension);
    ln_http1_put_raw(&w, reply->lines);
    return ln_http1_finish(&w);
}

bool ln_upgrade_reserved(ln_slice name) {
    static const ln_slice names[] = { LN_SLICE_INIT("host"), LN_SLICE_INIT("connection"),
        LN_SLICE_INIT("upgrade"), LN_SLICE_INIT("content-length"),
        LN_SLICE_INIT("transfer-encoding"), LN_SLICE_INIT("expect") };
    static const ln_slice prefix = LN_SLICE_INIT("sec-websocket-");
    if (name.size >= prefix.size && ln_slice_eq_ci(ln_slice_sub(name, 0, prefix.size), prefix))
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (ln_slice_eq_ci(name, names[i])) return true;
    }
    return false;
}

/* ---- origin ------------------------------------------------------------------------ */

/* scheme://host[:port] of a page. Other schemes (extensions, apps) are opaque: they are on
 * the list as they are or they are refused. */
static bool page_of(ln_slice text, ln_url *page) {
    if (ln_url_parse(text, page) != LINNET_OK) return false;
    return ln_slice_eq(page->path, LN_SLICE("/")) && !page->has_query && !page->userinfo.size &&
           (page->scheme == LN_URL_HTTP || page->scheme == LN_URL_HTTPS);
}

static bool same_page(const ln_url *a, ln_slice text) {
    ln_url b;
    return page_of(text, &b) && a->scheme == b.scheme && a->port == b.port &&
           ln_slice_eq_ci(a->host, b.host);
}

static bool same_host(const ln_origin_policy *policy, const ln_url *page, ln_slice host) {
    ln_url_host kind;
    ln_slice name;
    uint16_t port = policy->secure || page->secure ? 443 : 80;
    if (!ln_url_authority(host, &kind, &name, &port)) return false;
    return port == page->port && ln_slice_eq_ci(name, page->host);
}

bool ln_origin_ok(const ln_origin_policy *policy, ln_slice origin, ln_slice host) {
    ln_url page;
    if (!origin.data) return !policy->required;
    bool is_page = page_of(origin, &page);
    for (size_t i = 0; i < policy->allowed_count; i++) {
        ln_slice allowed = policy->allowed[i];
        if (ln_slice_eq(allowed, LN_SLICE("*")) || ln_slice_eq_ci(allowed, origin)) return true;
        if (is_page && same_page(&page, allowed)) return true;
    }
    if (!is_page) return false;
    if (policy->loopback && ln_url_is_loopback(page.kind, page.host)) return true;
    return same_host(policy, &page, host);
}

/* ---- client ------------------------------------------------------------------------ */

static void put_protocols(ln_http1_writer *w, const ln_upgrade_ask_options *o) {
    for (size_t i = 0; i < o->protocol_count; i++) {
        if (!ln_http1_is_token(o->protocols[i])) ln_http1_fail(w, LINNET_ERR_INVAL);
        for (size_t k = 0; k < i; k++) {
            if (ln_slice_eq(o->protocols[i], o->protocols[k])) ln_http1_fail(w, LINNET_ERR_INVAL);
        }
        ln_http1_put_raw(w, i ? LN_SLICE(", ") : LN_SLICE("Sec-WebSocket-Protocol: "));
        ln_http1_put_raw(w, o->protocols[i]);
    }
    if (o->protocol_count) ln_http1_put_raw(w, LN_SLICE("\r\n"));
}

static void put_ours(ln_http1_writer *w, const ln_upgrade_ask_options *o) {
    char key[LN_UPGRADE_KEY_SIZE];
    ln_pmd_text offer;
    ln_upgrade_key(o->nonce, key);
    ln_pmd_offer(&o->deflate, &offer);
    ln_http1_put(w, LN_SLICE("Upgrade"), LN_SLICE("websocket"));
    ln_http1_put(w, LN_SLICE("Connection"), LN_SLICE("Upgrade"));
    ln_http1_put(w, LN_SLICE("Sec-WebSocket-Version"), LN_SLICE("13"));
    ln_http1_put(w, LN_SLICE("Sec-WebSocket-Key"), ln_slice_of(key, sizeof(key)));
    if (offer.size) ln_http1_put(w, LN_SLICE("Sec-WebSocket-Extensions"), ln_pmd_slice(&offer));
    put_protocols(w, o);
}

int ln_upgrade_ask(ln_buf *out, const ln_upgrade_ask_options *options) {
    ln_http1_writer w = ln_http1_lines(out);
    ln_http1_put_raw(&w, LN_SLICE("GET "));
    ln_http1_fail(&w, ln_url_write_target(options->url, out));
    ln_http1_put_raw(&w, LN_SLICE(" HTTP/1.1\r\nHost: "));
    ln_http1_fail(&w, ln_url_write_host(options->url, out));
    ln_http1_put_raw(&w, LN_SLICE("\r\n"));
    put_ours(&w, options);
    for (size_t i = 0; i < options->extra_count; i++) {
        if (ln_upgrade_reserved(options->extra[i].name)) ln_http1_fail(&w, LINNET_ERR_INVAL);
        ln_http1_put(&w, options->extra[i].name, options->extra[i].value);
    }
    return ln_http1_finish(&w);
}

static int verify_accept(const ln_upgrade_ask_options *o, const ln_http1_head *response) {
    char key[LN_UPGRADE_KEY_SIZE], expected[LN_UPGRADE_ACCEPT_SIZE];
    ln_slice accept = { 0 };
    if (ln_http1_find(response, LN_SLICE("Sec-WebSocket-Accept"), &accept) > 1)
        return LINNET_ERR_UPGRADE_HEADER;
    ln_upgrade_key(o->nonce, key);
    ln_upgrade_accept(ln_slice_of(key, sizeof(key)), expected);
    bool same = ln_slice_eq(accept, ln_slice_of(expected, sizeof(expected)));
    return same ? LINNET_OK : LINNET_ERR_UPGRADE_ACCEPT;
}

static int verify_protocol(
    const ln_upgrade_ask_options *o, const ln_http1_head *response, ln_slice *protocol) {
    *protocol = (ln_slice){ 0 };
    size_t found = ln_http1_find(response, LN_SLICE("Sec-WebSocket-Protocol"), protocol);
    if (found == 0) return LINNET_OK;
    if (found > 1) return LINNET_ERR_UPGRADE_HEADER;
    for (size_t i = 0; i < o->protocol_count; i++) {
        if (ln_slice_eq(*protocol, o->protocols[i])) return LINNET_OK;
    }
    return LINNET_ERR_UPGRADE_PROTOCOL;
}

int ln_upgrade_verify(
    const ln_upgrade_ask_options *options, const ln_http1_head *response, ln_upgrade_agreed *out) {
    ln_slice upgrade;
    if (response->status != 101) return LINNET_ERR_UPGRADE_STATUS;
    if (response->minor == 0 || ln_http1_find(response, LN_SLICE("Upgrade"), &upgrade) != 1 ||
        !ln_slice_eq_ci(upgrade, LN_SLICE("websocket")) ||
        !ln_http1_has_token(response, LN_SLICE("Connection"), LN_SLICE("upgrade")))
        return LINNET_ERR_UPGRADE_HEADER;

    int err = verify_accept(options, response);
    if (err < 0) return err;
    err = verify_protocol(options, response, &out->protocol);
    if (err < 0) return err;
    int agreed = ln_pmd_verify(&options->deflate, response, &out->params);
    out->deflate = agreed > 0;
    return agreed < 0 ? agreed : LINNET_OK;
}
