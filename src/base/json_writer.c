#include "base/json.h"
#include "base/num.h"
#include "base/utf8.h"

ln_json_writer ln_json_begin(ln_buf *out) {
    return (ln_json_writer){ .out = out, .start = out->size };
}

static void put(ln_json_writer *w, ln_slice s) {
    if (w->err == LINNET_OK) w->err = ln_buf_add(w->out, s);
}

static void put_byte(ln_json_writer *w, char c) {
    put(w, ln_slice_of(&c, 1));
}

static void separate(ln_json_writer *w) {
    if (w->comma) put_byte(w, ',');
    w->comma = true;
}

void ln_json_open(ln_json_writer *w, char bracket) {
    separate(w);
    put_byte(w, bracket);
    w->comma = false;
}

void ln_json_close(ln_json_writer *w, char bracket) {
    put_byte(w, bracket);
    w->comma = true;
}

void ln_json_key(ln_json_writer *w, const char *key) {
    separate(w);
    put_byte(w, '"');
    put(w, ln_slice_str(key));
    put(w, LN_SLICE("\":"));
    w->comma = false;
}

static void put_escape(ln_json_writer *w, uint8_t c) {
    static const char hex[] = "0123456789abcdef";
    switch (c) {
    case '"': put(w, LN_SLICE("\\\"")); break;
    case '\\': put(w, LN_SLICE("\\\\")); break;
    case '\b': put(w, LN_SLICE("\\b")); break;
    case '\f': put(w, LN_SLICE("\\f")); break;
    case '\n': put(w, LN_SLICE("\\n")); break;
    case '\r': put(w, LN_SLICE("\\r")); break;
    case '\t': put(w, LN_SLICE("\\t")); break;
    default:
        put(w, LN_SLICE("\\u00"));
        put_byte(w, hex[c >> 4]);
        put_byte(w, hex[c & 15]);
    }
}

/* Valid UTF-8 with what must be escaped escaped. */
static void put_text(ln_json_writer *w, ln_slice s) {
    size_t from = 0;
    for (size_t at = 0; at < s.size; at++) {
        uint8_t c = s.data[at];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        put(w, ln_slice_sub(s, from, at));
        put_escape(w, c);
        from = at + 1;
    }
    put(w, ln_slice_sub(s, from, s.size));
}

/* How many bytes one U+FFFD stands for: as many as could have begun a code point, at least
 * one. This is what browsers do, so both sides see the same text. */
static size_t wrong_run(ln_slice s) {
    ln_utf8 state = 0;
    size_t n = 0;
    while (n < s.size && ln_utf8_feed(&state, ln_slice_sub(s, n, n + 1)))
        n++;
    return n ? n : 1;
}

void ln_json_str(ln_json_writer *w, ln_slice text) {
    separate(w);
    put_byte(w, '"');
    while (text.size && w->err == LINNET_OK) {
        size_t good = ln_utf8_prefix(text);
        put_text(w, ln_slice_sub(text, 0, good));
        ln_slice_skip(&text, good);
        if (text.size == 0) break;
        put(w, LN_SLICE("\xef\xbf\xbd"));
        ln_slice_skip(&text, wrong_run(text));
    }
    put_byte(w, '"');
}

void ln_json_u64(ln_json_writer *w, uint64_t v) {
    char digits[20];
    separate(w);
    put(w, ln_slice_of(digits, ln_num_put(v, digits)));
}

void ln_json_bool(ln_json_writer *w, bool v) {
    separate(w);
    put(w, v ? LN_SLICE("true") : LN_SLICE("false"));
}

void ln_json_null(ln_json_writer *w) {
    separate(w);
    put(w, LN_SLICE("null"));
}

void ln_json_raw(ln_json_writer *w, ln_slice json) {
    separate(w);
    put(w, json);
}

int ln_json_end(ln_json_writer *w) {
    if (w->err < 0) w->out->size = w->start;
    return w->err;
}
