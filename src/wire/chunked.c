#include "wire/chunked.h"
#include "base/num.h"

#define DIGITS_MAX 16

/*    SIZE [ EXT_NAME EXT_REST [ EXT_VALUE  TOKEN | QUOTED ESCAPED QUOTE_END ] ]* SIZE_LF
 *         DATA DATA_CR DATA_LF                        and back to SIZE, or behind size 0:
 *         TRAILER OVER
 * and FAULTY from anywhere. */
enum {
    SIZE,
    EXT_NAME,
    EXT_REST,
    EXT_VALUE,
    TOKEN,
    QUOTED,
    ESCAPED,
    QUOTE_END,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER,
    OVER,
    FAULTY
};

void ln_chunked_init(ln_chunked *c, uint64_t body_max) {
    *c = (ln_chunked){ .body_max = body_max };
}

static int refuse(ln_chunked *c, ln_http1_fault fault) {
    c->fault = (uint8_t)fault;
    c->state = FAULTY;
    return LINNET_ERR_HTTP;
}

static bool is_token(uint8_t byte) {
    return ln_http1_is_token(ln_slice_of(&byte, 1));
}
static bool is_text(uint8_t byte) {
    return ln_http1_is_value(ln_slice_of(&byte, 1));
}

/* What may follow a size or a whole extension. */
static bool next_part(ln_chunked *c, uint8_t byte) {
    c->state = byte == ';' ? EXT_NAME : SIZE_LF;
    return byte == ';' || byte == '\r';
}

static bool digit(ln_chunked *c, uint8_t byte) {
    uint64_t value;
    if (!ln_num_hex(ln_slice_of(&byte, 1), &value)) return c->digits > 0 && next_part(c, byte);
    c->left = c->left << 4 | value;
    return ++c->digits <= DIGITS_MAX;
}

/* One byte of an extension: ;name, ;name=token, ;name="text". The white space that the
 * grammar allows and calls bad is not. */
static bool extension(ln_chunked *c, uint8_t byte) {
    if (++c->overhead > LN_CHUNKED_OVERHEAD_MAX) return false;
    switch (c->state) {
    case EXT_NAME: c->state = EXT_REST; return is_token(byte);
    case EXT_REST:
        if (is_token(byte)) return true;
        if (byte != '=') return next_part(c, byte);
        c->state = EXT_VALUE;
        return true;
    case EXT_VALUE: c->state = byte == '"' ? QUOTED : TOKEN; return byte == '"' || is_token(byte);
    case TOKEN: return is_token(byte) || next_part(c, byte);
    case QUOTED:
        if (byte == '"') c->state = QUOTE_END;
        if (byte == '\\') c->state = ESCAPED;
        return is_text(byte);
    case ESCAPED: c->state = QUOTED; return is_text(byte);
    default: return next_part(c, byte); /* QUOTE_END */
    }
}

/* A line with a size has ended. */
static ln_http1_fault size_done(ln_chunked *c, uint8_t byte) {
    if (byte != '\n') return LN_HTTP1_FAULT_CHUNK;
    if (c->left > c->body_max - c->total) return LN_HTTP1_FAULT_BODY_LONG;
    c->total += c->left;
    c->digits = 0;
    c->state = c->left ? DATA : TRAILER;
    return LN_HTTP1_FAULT_NONE;
}

static ln_http1_fault frame_byte(ln_chunked *c, uint8_t byte) {
    bool ok;
    switch (c->state) {
    case SIZE: ok = digit(c, byte); break;
    case SIZE_LF: return size_done(c, byte);
    case DATA_CR:
        ok = byte == '\r';
        c->state = DATA_LF;
        break;
    case DATA_LF:
        ok = byte == '\n';
        c->state = SIZE;
        break;
    default: ok = extension(c, byte);
    }
    return ok ? LN_HTTP1_FAULT_NONE : LN_HTTP1_FAULT_CHUNK;
}

static int take_data(ln_chunked *c, ln_slice *in, ln_slice *data) {
    size_t n = c->left < in->size ? (size_t)c->left : in->size;
    *data = ln_slice_sub(*in, 0, n);
    ln_slice_skip(in, n);
    c->left -= n;
    if (c->left == 0) c->state = DATA_CR;
    return LN_CHUNKED_DATA;
}

static int take_trailer(ln_chunked *c, ln_slice *in) {
    int err = ln_http1_trailer(&c->trailer, in);
    if (err < 0) return refuse(c, (ln_http1_fault)c->trailer.fault);
    if (err == LN_DONE) c->state = OVER;
    return err;
}

int ln_chunked_feed(ln_chunked *c, ln_slice *in, ln_slice *data) {
    if (c->state == OVER) return LN_DONE;
    if (c->state == FAULTY) return LINNET_ERR_HTTP;
    while (in->size) {
        if (c->state == DATA) return take_data(c, in, data);
        if (c->state == TRAILER) return take_trailer(c, in);
        ln_http1_fault fault = frame_byte(c, in->data[0]);
        if (fault) return refuse(c, fault);
        ln_slice_skip(in, 1);
    }
    return LN_MORE;
}

int ln_chunked_write(ln_buf *out, ln_slice data) {
    static const char digits[] = "0123456789abcdef";
    if (data.size == 0) return LINNET_OK;
    char line[DIGITS_MAX + 2];
    size_t at = DIGITS_MAX;
    line[DIGITS_MAX] = '\r';
    line[DIGITS_MAX + 1] = '\n';
    for (size_t n = data.size; n; n >>= 4)
        line[--at] = digits[n & 15];

    ln_slice head = ln_slice_of(line + at, sizeof(line) - at);
    int err = ln_buf_reserve(out, head.size + data.size + 2);
    if (err < 0) return err;
    ln_buf_add(out, head);
    ln_buf_add(out, data);
    return ln_buf_add(out, LN_SLICE("\r\n"));
}

int ln_chunked_end(ln_buf *out) {
    return ln_buf_add(out, LN_SLICE("0\r\n\r\n"));
}
