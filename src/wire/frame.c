#include "wire/frame.h"
#include <assert.h>

#define LENGTH16 126
#define LENGTH64 127

static bool opcode_known(uint8_t opcode) {
    return opcode <= LN_OP_BINARY || (opcode >= LN_OP_CLOSE && opcode <= LN_OP_PONG);
}

/* Whatever one byte can already condemn. */
static int judge_first(const ln_frame_rules *rules, uint8_t byte) {
    uint8_t opcode = byte & 0x0f;
    bool rsv1 = byte & 0x40, control = opcode & 0x08;

    if (byte & 0x30 || (rsv1 && !rules->rsv1)) return LINNET_ERR_PROTO_RSV;
    if (!opcode_known(opcode)) return LINNET_ERR_PROTO_OPCODE;
    if (rsv1 && (control || opcode == LN_OP_CONTINUATION)) return LINNET_ERR_PROTO_RSV;
    if (control && !(byte & 0x80)) return LINNET_ERR_PROTO_CONTROL;
    return LN_DONE;
}

static int judge_second(const ln_frame_rules *rules, bool control, uint8_t byte) {
    if (!!(byte & 0x80) != rules->masked) return LINNET_ERR_PROTO_MASK;
    if (control && (byte & 0x7f) > LN_CONTROL_MAX) return LINNET_ERR_PROTO_CONTROL;
    return LN_DONE;
}

static uint64_t big_endian(const uint8_t *p, size_t n) {
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* Reads the extended length, if there is one. `size` bytes of the header are there. */
static int read_length(const uint8_t *p, size_t size, uint64_t *length) {
    uint8_t short_form = p[1] & 0x7f;
    *length = short_form;
    if (short_form < LENGTH16) return LN_DONE;
    if (short_form == LENGTH16) {
        if (size < 4) return LN_MORE;
        *length = big_endian(p + 2, 2);
        return *length < 126 ? LINNET_ERR_PROTO_LENGTH : LN_DONE;
    }

    /* The top bit needs no patience (5.2: it must be 0). */
    if (size > 2 && p[2] & 0x80) return LINNET_ERR_PROTO_LENGTH;
    if (size < 10) return LN_MORE;
    *length = big_endian(p + 2, 8);
    return *length < 65536 ? LINNET_ERR_PROTO_LENGTH : LN_DONE;
}

/* Everything is refused before it is waited for: a hostile peer must not make us keep a
 * header whose first bytes condemn it already, and a length over the limit is known four
 * bytes before the header ends. */
int ln_frame_decode(const ln_frame_rules *rules, ln_slice *in, ln_frame *out) {
    const uint8_t *p = in->data;
    if (in->size < 1) return LN_MORE;
    int err = judge_first(rules, p[0]);
    if (err < 0) return err;
    if (in->size < 2) return LN_MORE;
    bool control = p[0] & 0x08;
    if ((err = judge_second(rules, control, p[1])) < 0) return err;

    uint64_t length;
    if ((err = read_length(p, in->size, &length)) != LN_DONE) return err;
    if (!control && length > rules->length_max) return LINNET_ERR_TOO_BIG;
    size_t size = ln_frame_head_size(length, rules->masked);
    if (in->size < size) return LN_MORE;

    *out = (ln_frame){
        .length = length,
        .opcode = p[0] & 0x0f,
        .fin = p[0] & 0x80,
        .rsv1 = p[0] & 0x40,
        .masked = rules->masked,
    };
    if (rules->masked) memcpy(out->mask, p + size - 4, 4);
    ln_slice_skip(in, size);
    return LN_DONE;
}

static size_t write_length(uint8_t *out, uint64_t length, uint8_t mask_bit) {
    if (length < LENGTH16) {
        out[1] = mask_bit | (uint8_t)length;
        return 2;
    }
    size_t bytes = length < 65536 ? 2 : 8;
    out[1] = mask_bit | (bytes == 2 ? LENGTH16 : LENGTH64);
    for (size_t i = 0; i < bytes; i++)
        out[2 + i] = (uint8_t)(length >> (8 * (bytes - 1 - i)));
    return 2 + bytes;
}

size_t ln_frame_encode(const ln_frame *frame, uint8_t out[LN_FRAME_HEAD_MAX]) {
    assert(opcode_known(frame->opcode));
    assert(frame->length <= INT64_MAX);
    assert(frame->opcode < LN_OP_CLOSE || frame->fin);
    assert(frame->opcode < LN_OP_CLOSE || frame->length <= LN_CONTROL_MAX);
    assert(!frame->rsv1 || frame->opcode == LN_OP_TEXT || frame->opcode == LN_OP_BINARY);

    out[0] = (uint8_t)((frame->fin ? 0x80 : 0) | (frame->rsv1 ? 0x40 : 0) | frame->opcode);
    size_t size = write_length(out, frame->length, frame->masked ? 0x80 : 0);
    if (!frame->masked) return size;
    memcpy(out + size, frame->mask, 4);
    return size + 4;
}
