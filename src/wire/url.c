#include "wire/url.h"
#include "base/num.h"
#include <arpa/inet.h>

#define NAME_MAX_BYTES  253
#define LABEL_MAX_BYTES 63

typedef struct scheme_row {
    ln_slice name; /* with "://" */
    uint16_t port;
    bool secure;
} scheme_row;

static const scheme_row schemes[] = {
    [LN_URL_WS] = { LN_SLICE_INIT("ws://"), 80, false },
    [LN_URL_WSS] = { LN_SLICE_INIT("wss://"), 443, true },
    [LN_URL_HTTP] = { LN_SLICE_INIT("http://"), 80, false },
    [LN_URL_HTTPS] = { LN_SLICE_INIT("https://"), 443, true },
};

/* ---- hosts ------------------------------------------------------------------------- */

/* inet_pton wants a NUL. The address has room for either family. */
static bool parses_as(int family, ln_slice s, struct in6_addr *address) {
    char text[INET6_ADDRSTRLEN];
    if (s.size == 0 || s.size >= sizeof(text)) return false;
    memcpy(text, s.data, s.size);
    text[s.size] = 0;
    return strlen(text) == s.size && inet_pton(family, text, address) == 1;
}

static bool name_byte(uint8_t c) {
    uint8_t lower = c | 0x20;
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* A DNS name, or something that looks like an IPv4 address and then has to be one: what ends
 * in a number never reaches the resolver, which may read "127.1" or "0x7f.1" its own way. */
static bool name_ok(ln_slice s, ln_url_host *kind) {
    if (s.size == 0 || s.size > NAME_MAX_BYTES) return false;
    ln_slice rest = s, label;
    bool number = false;
    while (ln_slice_cut(&rest, '.', &label)) {
        if (label.size == 0) return !rest.data && s.size > 1 && !number; /* "example.com." */
        if (label.size > LABEL_MAX_BYTES) return false;
        number = true;
        for (size_t i = 0; i < label.size; i++) {
            if (!name_byte(label.data[i])) return false;
            number &= label.data[i] >= '0' && label.data[i] <= '9';
        }
        number |= label.size > 1 && label.data[0] == '0' && (label.data[1] | 0x20) == 'x';
    }
    struct in6_addr address;
    *kind = number ? LN_URL_V4 : LN_URL_NAME;
    return !number || parses_as(AF_INET, s, &address);
}

/* Takes "name" or "[v6]" off the front of *rest, which then is empty or begins with ':'. */
static bool cut_host(ln_slice *rest, ln_url_host *kind, ln_slice *host) {
    if (rest->size == 0 || rest->data[0] != '[') {
        size_t end = ln_slice_find(*rest, ':');
        if (end == SIZE_MAX) end = rest->size;
        *host = ln_slice_sub(*rest, 0, end);
        ln_slice_skip(rest, end);
        *kind = LN_URL_NAME;
        return host->size == 0 || name_ok(*host, kind);
    }
    size_t end = ln_slice_find(*rest, ']');
    if (end == SIZE_MAX) return false;
    *host = ln_slice_sub(*rest, 1, end);
    ln_slice_skip(rest, end + 1);
    struct in6_addr address;
    *kind = LN_URL_V6;
    return parses_as(AF_INET6, *host, &address) && (rest->size == 0 || rest->data[0] == ':');
}

/* ":8080"; leading zeros and an empty port are refused, the RFC notwithstanding. */
static bool port_ok(ln_slice s, uint16_t *port) {
    uint64_t value;
    if (s.size < 2 || s.data[0] != ':') return false;
    if (!ln_num_u64(ln_slice_sub(s, 1, s.size), UINT16_MAX, &value)) return false;
    *port = (uint16_t)value;
    return true;
}

bool ln_url_authority(ln_slice text, ln_url_host *kind, ln_slice *host, uint16_t *port) {
    uint16_t named = 0;
    if (!cut_host(&text, kind, host) || host->size == 0) return false;
    if (text.size == 0) return true;
    if (!port_ok(text, &named) || named == 0) return false;
    *port = named;
    return true;
}

bool ln_url_is_loopback(ln_url_host kind, ln_slice host) {
    static const ln_slice word = LN_SLICE_INIT("localhost");
    if (kind == LN_URL_V4) return ln_slice_starts(host, LN_SLICE("127."));
    struct in6_addr address;
    if (kind == LN_URL_V6) {
        return parses_as(AF_INET6, host, &address) && IN6_IS_ADDR_LOOPBACK(&address);
    }
    if (host.size && host.data[host.size - 1] == '.') host.size--;
    if (host.size < word.size) return false;
    size_t at = host.size - word.size;
    if (!ln_slice_eq_ci(ln_slice_sub(host, at, host.size), word)) return false;
    return at == 0 || host.data[at - 1] == '.';
}

/* ---- URLs -------------------------------------------------------------------------- */

static bool hex(uint8_t c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Bytes that may stand in userinfo, path or query as they are, and whole escapes. */
static bool text_ok(ln_slice s) {
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        if (c <= 0x20 || c >= 0x7f || memchr("\"#<>\\^`{|}", c, 10)) return false;
        if (c == '%' && (s.size - i < 3 || !hex(s.data[i + 1]) || !hex(s.data[i + 2])))
            return false;
    }
    return true;
}

static bool cut_scheme(ln_slice *text, ln_url_scheme *scheme) {
    for (int i = LN_URL_WS; i <= LN_URL_HTTPS; i++) {
        ln_slice name = schemes[i].name;
        if (text->size < name.size) continue;
        if (!ln_slice_eq_ci(ln_slice_sub(*text, 0, name.size), name)) continue;
        ln_slice_skip(text, name.size);
        *scheme = (ln_url_scheme)i;
        return true;
    }
    return false;
}

/* Takes all before the first '/' or '?' off the front. */
static ln_slice cut_authority(ln_slice *text) {
    size_t end = 0;
    while (end < text->size && text->data[end] != '/' && text->data[end] != '?')
        end++;
    ln_slice authority = ln_slice_sub(*text, 0, end);
    ln_slice_skip(text, end);
    return authority;
}

int ln_url_parse(ln_slice text, ln_url *out) {
    ln_url u = { .path = LN_SLICE_INIT("/") };
    if (!text_ok(text) || !cut_scheme(&text, &u.scheme)) return LINNET_ERR_URL;
    u.secure = schemes[u.scheme].secure;
    u.port = schemes[u.scheme].port;

    ln_slice authority = cut_authority(&text);
    size_t at = ln_slice_find(authority, '@');
    if (at != SIZE_MAX) {
        u.userinfo = ln_slice_sub(authority, 0, at);
        ln_slice_skip(&authority, at + 1);
        if (u.userinfo.size == 0) return LINNET_ERR_URL;
    }
    if (!ln_url_authority(authority, &u.kind, &u.host, &u.port)) return LINNET_ERR_URL;

    size_t mark = ln_slice_find(text, '?');
    u.has_query = mark != SIZE_MAX;
    if (u.has_query) u.query = ln_slice_sub(text, mark + 1, text.size);
    if (u.has_query) text.size = mark;
    if (text.size) u.path = text;
    *out = u;
    return LINNET_OK;
}

/* ---- writing ----------------------------------------------------------------------- */

/* Appends the parts; on error what was added before is taken back. */
static int add_all(ln_buf *out, const ln_slice *parts, size_t count) {
    uint32_t start = out->size;
    for (size_t i = 0; i < count; i++) {
        int err = ln_buf_add(out, parts[i]);
        if (err == LINNET_OK) continue;
        out->size = start;
        return err;
    }
    return LINNET_OK;
}

typedef struct port_text {
    char data[1 + 20];
} port_text;

static ln_slice put_port(port_text *text, uint16_t port) {
    text->data[0] = ':';
    return ln_slice_of(text->data, 1 + ln_num_put(port, text->data + 1));
}

/* Host and port as they stand in a URL. */
typedef struct host_parts {
    ln_slice open, host, close, port;
    port_text text;
} host_parts;

static void host_of(const ln_url *url, host_parts *p) {
    bool v6 = url->kind == LN_URL_V6, usual = url->port == schemes[url->scheme].port;
    p->open = v6 ? LN_SLICE("[") : (ln_slice){ 0 };
    p->host = url->host;
    p->close = v6 ? LN_SLICE("]") : (ln_slice){ 0 };
    p->port = usual ? (ln_slice){ 0 } : put_port(&p->text, url->port);
}

int ln_url_write(const ln_url *url, ln_buf *out) {
    host_parts p;
    host_of(url, &p);
    ln_slice mark = url->has_query ? LN_SLICE("?") : (ln_slice){ 0 };
    const ln_slice parts[] = { schemes[url->scheme].name, p.open, p.host, p.close, p.port,
        url->path, mark, url->query };
    return add_all(out, parts, sizeof(parts) / sizeof(parts[0]));
}

int ln_url_write_host(const ln_url *url, ln_buf *out) {
    host_parts p;
    host_of(url, &p);
    const ln_slice parts[] = { p.open, p.host, p.close, p.port };
    return add_all(out, parts, sizeof(parts) / sizeof(parts[0]));
}

int ln_url_write_target(const ln_url *url, ln_buf *out) {
    ln_slice mark = url->has_query ? LN_SLICE("?") : (ln_slice){ 0 };
    const ln_slice parts[] = { url->path, mark, url->query };
    return add_all(out, parts, sizeof(parts) / sizeof(parts[0]));
}

/* ---- where to listen --------------------------------------------------------------- */

int ln_url_listen_parse(ln_slice text, ln_url_listen *out) {
    ln_url_listen l = { 0 };
    if (ln_slice_starts(text, LN_SLICE("unix:"))) {
        l.is_unix = true;
        l.path = ln_slice_sub(text, 5, text.size);
        if (l.path.size == 0 || l.path.size > LN_URL_UNIX_MAX) return LINNET_ERR_URL;
        if (ln_slice_find(l.path, 0) != SIZE_MAX) return LINNET_ERR_URL;
        *out = l;
        return LINNET_OK;
    }
    if (!cut_host(&text, &l.kind, &l.host) || !port_ok(text, &l.port)) return LINNET_ERR_URL;
    if (l.host.size == 0) {
        l.kind = LN_URL_V4;
        l.host = LN_SLICE("127.0.0.1");
    }
    *out = l;
    return LINNET_OK;
}

int ln_url_listen_write(const ln_url_listen *listen, ln_buf *out) {
    if (listen->is_unix) {
        const ln_slice parts[] = { LN_SLICE("unix:"), listen->path };
        return add_all(out, parts, 2);
    }
    bool v6 = listen->kind == LN_URL_V6;
    port_text text;
    const ln_slice parts[] = { v6 ? LN_SLICE("[") : (ln_slice){ 0 }, listen->host,
        v6 ? LN_SLICE("]") : (ln_slice){ 0 }, put_port(&text, listen->port) };
    return add_all(out, parts, sizeof(parts) / sizeof(parts[0]));
}
