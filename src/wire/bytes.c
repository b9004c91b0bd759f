#include "wire/bytes.h"
#include <assert.h>

#define OPEN  "{\"base64\":\""
#define CLOSE "\"}"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Base64 ---------------------------------------------------------------------------------- */

/* -1: none. */
static int value_of(uint8_t c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static void encode(ln_slice in, uint8_t *out) {
    for (size_t i = 0; i < in.size; i += 3, out += 4) {
        size_t left = in.size - i;
        uint32_t v = (uint32_t)in.data[i] << 16;
        if (left > 1) v |= (uint32_t)in.data[i + 1] << 8;
        if (left > 2) v |= in.data[i + 2];
        out[0] = (uint8_t)letters[v >> 18];
        out[1] = (uint8_t)letters[v >> 12 & 63];
        out[2] = left > 1 ? (uint8_t)letters[v >> 6 & 63] : '=';
        out[3] = left > 2 ? (uint8_t)letters[v & 63] : '=';
    }
}

static size_t padding(ln_slice text) {
    size_t n = 0;
    while (n < 2 && n < text.size && text.data[text.size - 1 - n] == '=')
        n++;
    return n;
}

/* In its one form: whole groups, and nothing in the bits that are not used. */
static bool is_base64(ln_slice text) {
    if (text.size % 4) return false;
    size_t pad = padding(text), size = text.size - pad;
    for (size_t i = 0; i < size; i++)
        if (value_of(text.data[i]) < 0) return false;
    if (pad == 0) return true;
    int last = value_of(text.data[size - 1]);
    return (last & (pad == 1 ? 3 : 15)) == 0;
}

static void decode(ln_slice text, uint8_t *out) {
    size_t size = text.size - padding(text);
    uint32_t bits = 0;
    for (size_t i = 0; i < size; i++) {
        bits = bits << 6 | (uint32_t)value_of(text.data[i]);
        if (i % 4) *out++ = (uint8_t)(bits >> (6 - i % 4 * 2));
    }
}

/* Values ---------------------------------------------------------------------------------- */

static ln_slice inside(ln_slice json) {
    return ln_slice_sub(json, strlen(OPEN), json.size - strlen(CLOSE));
}

bool ln_bytes_are(ln_slice json) {
    size_t least = strlen(OPEN) + strlen(CLOSE);
    if (json.size < least || !ln_slice_starts(json, LN_SLICE(OPEN))) return false;
    ln_slice end = ln_slice_sub(json, json.size - strlen(CLOSE), json.size);
    return ln_slice_eq(end, LN_SLICE(CLOSE)) && is_base64(inside(json));
}

int ln_bytes_put(ln_slice bytes, ln_buf *out) {
    uint64_t text = ((uint64_t)bytes.size + 2) / 3 * 4;
    uint64_t all = text + strlen(OPEN) + strlen(CLOSE);
    if (all > LN_BUF_MAX) return LINNET_ERR_TOO_BIG;
    int err = ln_buf_reserve(out, (size_t)all);
    if (err < 0) return err;
    ln_buf_add(out, LN_SLICE(OPEN));
    encode(bytes, ln_buf_room(out).data);
    ln_buf_commit(out, (size_t)text);
    ln_buf_add(out, LN_SLICE(CLOSE));
    return LINNET_OK;
}

int ln_bytes_get(ln_slice json, ln_buf *out) {
    assert(ln_bytes_are(json));
    ln_slice text = inside(json);
    size_t size = text.size / 4 * 3 - padding(text);
    int err = ln_buf_reserve(out, size);
    if (err < 0) return err;
    if (size) decode(text, ln_buf_room(out).data);
    ln_buf_commit(out, size);
    return LINNET_OK;
}

/* Messages -------------------------------------------------------------------------------- */

static int no(const char **why, const char *words) {
    *why = words;
    return LINNET_ERR_JSON;
}

/* The header, and the payload behind it. */
static int split(ln_slice message, ln_json_value *header, ln_slice *payload, const char **why) {
    if (message.size < LN_BYTES_HEAD) return no(why, "a binary message begins with five bytes");
    const uint8_t *b = message.data;
    if (b[0] != LN_BYTES_VERSION) return no(why, "a binary message begins with its version, 1");
    uint32_t size = (uint32_t)b[1] << 24 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 8 | b[4];
    if (size > message.size - LN_BYTES_HEAD)
        return no(why, "the header of a binary message is longer than the message");
    ln_slice text = ln_slice_sub(message, LN_BYTES_HEAD, LN_BYTES_HEAD + (size_t)size);
    *payload = ln_slice_sub(message, LN_BYTES_HEAD + (size_t)size, message.size);
    if (ln_json_check(text, header) < 0 || header->kind != LN_JSON_OBJECT)
        return no(why, "the header of a binary message is no JSON object");
    return LN_DONE;
}

int ln_bytes_command(ln_slice message, ln_buf *out, const char **why) {
    ln_json_value header, key, value;
    ln_slice payload;
    int err = split(message, &header, &payload, why);
    if (err < 0) return err;
    ln_json_iter it = ln_json_iter_of(&header);
    bool empty = true;
    while (ln_json_next(&it, &key, &value)) {
        empty = false;
        if (ln_json_is(&key, LN_SLICE("data")) || ln_json_is(&key, LN_SLICE("payload")))
            return no(why, "the header of a binary message has data of its own");
    }
    uint32_t before = out->size;
    err = ln_buf_add(out, ln_slice_sub(header.raw, 0, header.raw.size - 1));
    if (err == LINNET_OK && !empty) err = ln_buf_add_byte(out, ',');
    if (err == LINNET_OK) err = ln_buf_add(out, LN_SLICE("\"data\":"));
    if (err == LINNET_OK) err = ln_bytes_put(payload, out);
    if (err == LINNET_OK) err = ln_buf_add_byte(out, '}');
    if (err < 0) out->size = before;
    return err < 0 ? err : LN_DONE;
}

int ln_bytes_put_message(ln_buf *out, const ln_native_message *m) {
    static const uint8_t head[LN_BYTES_HEAD] = { LN_BYTES_VERSION };
    ln_native_message bare = *m;
    bare.data = ln_slice_of(NULL, 0);
    uint32_t before = out->size;
    int err = ln_buf_add(out, ln_slice_of(head, sizeof head));
    if (err == LINNET_OK) err = ln_native_put_message(out, &bare);
    if (err == LINNET_OK) {
        uint32_t size = out->size - before - LN_BYTES_HEAD;
        uint8_t *at = out->data + out->head + before + 1;
        for (int i = 0; i < 4; i++)
            at[i] = (uint8_t)(size >> (24 - 8 * i));
        err = ln_bytes_get(m->data, out);
    }
#if defined(LN_PLANT) && LN_PLANT == 31 /* tests/sim: the last one is missing */
    if (err == LINNET_OK && m->data.size % 3 == 0) out->size--;
#endif
    if (err < 0) out->size = before;
    return err;
}
