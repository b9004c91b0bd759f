#include "base/b64url.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int digit(uint8_t c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '-') return 62;
    return c == '_' ? 63 : -1;
}

int ln_b64url_get(ln_slice text, ln_buf *out) {
    if (text.size % 4 == 1) return LINNET_ERR_INVAL;
    int err = ln_buf_reserve(out, text.size / 4 * 3 + 2);
    if (err < 0) return err;
    uint8_t *at = ln_buf_room(out).data;
    size_t size = 0;
    uint32_t bits = 0, held = 0;
    for (size_t i = 0; i < text.size; i++) {
        int d = digit(text.data[i]);
        if (d < 0) return LINNET_ERR_INVAL;
        bits = bits << 6 | (uint32_t)d;
        held += 6;
        if (held < 8) continue;
        held -= 8;
        at[size++] = (uint8_t)(bits >> held);
    }
    if (bits & ((UINT32_C(1) << held) - 1)) return LINNET_ERR_INVAL;
    ln_buf_commit(out, size);
    return LINNET_OK;
}

int ln_b64url_put(ln_slice bytes, ln_buf *out) {
    if (bytes.size > LN_BUF_MAX / 2) return LINNET_ERR_TOO_BIG;
    int err = ln_buf_reserve(out, bytes.size / 3 * 4 + 4);
    if (err < 0) return err;
    uint8_t *at = ln_buf_room(out).data;
    size_t size = 0;
    uint32_t bits = 0, held = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        bits = bits << 8 | bytes.data[i];
        for (held += 8; held >= 6;) {
            held -= 6;
            at[size++] = (uint8_t)digits[bits >> held & 63];
        }
    }
    if (held) at[size++] = (uint8_t)digits[bits << (6 - held) & 63];
    ln_buf_commit(out, size);
    return LINNET_OK;
}
