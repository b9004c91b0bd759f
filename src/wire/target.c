#include "wire/target.h"
#include "base/utf8.h"

static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte behind the '%' at s[i], or -1 when that is no whole escape. */
static int escaped_byte(ln_slice s, size_t i) {
    if (s.size - i < 3) return -1;
    int high = hex_digit(s.data[i + 1]), low = hex_digit(s.data[i + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Whether a segment of so many bytes, so many of them dots, is "." or "..". */
static bool dotted(size_t size, size_t dots) {
    return size == dots && (size == 1 || size == 2);
}

bool ln_target_path_ok(ln_slice path) {
    if (path.size == 0 || path.data[0] != '/') return false;
    ln_utf8 utf8 = 0;
    size_t size = 0, dots = 0;
    for (size_t i = 1; i < path.size; i++) {
        int c = path.data[i];
        if (c == '%') {
            c = escaped_byte(path, i);
            i += 2;
        }
        if (c < 0x20 || c == 0x7f || c == '\\') return false;
        uint8_t byte = (uint8_t)c;
        if ((byte >= 0x80 || !ln_utf8_complete(utf8)) &&
            !ln_utf8_feed(&utf8, ln_slice_of(&byte, 1)))
            return false;
        if (c != '/') {
            size++;
            dots += c == '.';
            continue;
        }
        if (size == 0 || dotted(size, dots)) return false;
        size = dots = 0;
    }
    return ln_utf8_complete(utf8) && !dotted(size, dots);
}

bool ln_target_query_ok(ln_slice query) {
    for (size_t i = 0; i < query.size; i++) {
        if (query.data[i] == '%' && escaped_byte(query, i) < 0) return false;
    }
    ln_slice key, value;
    size_t params = 0;
    while (ln_target_next(&query, &key, &value))
        params++;
    return params <= LN_TARGET_PARAMS_MAX;
}

/* Decodes one byte at raw[*i] and moves *i behind it. */
static uint8_t unescape_at(ln_slice raw, size_t *i, bool plus) {
    uint8_t c = raw.data[*i];
    int escaped = c == '%' ? escaped_byte(raw, *i) : -1;
    *i += escaped < 0 ? 1 : 3;
    if (escaped >= 0) return (uint8_t)escaped;
    return c == '+' && plus ? ' ' : c;
}

size_t ln_target_unescape(ln_slice raw, bool plus, uint8_t *out) {
    size_t n = 0;
    for (size_t i = 0; i < raw.size;)
        out[n++] = unescape_at(raw, &i, plus);
    return n;
}

bool ln_target_next(ln_slice *query, ln_slice *key, ln_slice *value) {
    ln_slice piece;
    while (ln_slice_cut(query, '&', &piece)) {
        if (piece.size == 0) continue;
        *value = piece;
        ln_slice_cut(value, '=', key);
        return true;
    }
    return false;
}

/* Whether a raw key decodes to the name. */
static bool key_is(ln_slice raw, ln_slice name) {
    size_t n = 0;
    for (size_t i = 0; i < raw.size; n++) {
        if (n == name.size || unescape_at(raw, &i, true) != name.data[n]) return false;
    }
    return n == name.size;
}

size_t ln_target_find(ln_slice query, ln_slice key, ln_slice *value) {
    size_t found = 0;
    ln_slice k, v;
    while (ln_target_next(&query, &k, &v)) {
        if (!key_is(k, key)) continue;
        if (found++ == 0 && value) *value = v;
    }
    return found;
}
