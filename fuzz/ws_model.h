/* ws_model.h -- RFC 6455 read a second time, without speed, cuts or memory in mind: the whole input
 * is there, and what a receiver must tell of it is written down. No extension.
 */
#ifndef FUZZ_WS_MODEL_H
#define FUZZ_WS_MODEL_H
#include "ws_side.h"

typedef struct model {
    const fuzz_setup *setup;
    ln_buf *told;
    ln_buf message;
    ln_slice rest;
    uint64_t announced;
    uint32_t frames;
    uint8_t opcode;
} model;

typedef struct head {
    uint64_t length;
    uint8_t opcode, key[4];
    bool fin;
} head;

enum { GO_ON = 0, STOP = 1 }; /* or an error */

static inline int model_length(const model *m, uint64_t *length, size_t *size) {
    const uint8_t *p = m->rest.data;
    *length = p[1] & 127;
    *size = 2;
    if (*length < 126) return GO_ON;
    size_t bytes = *length == 126 ? 2 : 8;
    if (bytes == 8 && m->rest.size > 2 && p[2] > 127) return LINNET_ERR_PROTO_LENGTH;
    if (m->rest.size < 2 + bytes) return STOP;
    *length = 0;
    for (size_t i = 0; i < bytes; i++)
        *length = *length * 256 + p[2 + i];
    *size = 2 + bytes;
    return *length < (bytes == 2 ? 126 : 65536) ? LINNET_ERR_PROTO_LENGTH : GO_ON;
}

static inline int model_head(model *m, head *h) {
    const uint8_t *p = m->rest.data;
    bool client = m->setup->config.client;
    if (m->rest.size == 0) return STOP;
    h->opcode = p[0] & 15;
    h->fin = p[0] >> 7;
    if ((p[0] >> 4) & 7) return LINNET_ERR_PROTO_RSV;
    if ((h->opcode > 2 && h->opcode < 8) || h->opcode > 10) return LINNET_ERR_PROTO_OPCODE;
    if (h->opcode >= 8 && !h->fin) return LINNET_ERR_PROTO_CONTROL;
    if (m->rest.size == 1) return STOP;
    if ((p[1] > 127) == client) return LINNET_ERR_PROTO_MASK;
    if (h->opcode >= 8 && (p[1] & 127) > 125) return LINNET_ERR_PROTO_CONTROL;

    size_t size;
    int result = model_length(m, &h->length, &size);
    if (result != GO_ON) return result;
    uint64_t before = h->opcode == 0 ? m->announced : 0;
    if (h->opcode < 8 && !fuzz_discards(m->setup) &&
        h->length > m->setup->config.message_max - before)
        return LINNET_ERR_TOO_BIG;
    if (m->rest.size < size + (client ? 0 : 4)) return STOP;
    memset(h->key, 0, 4);
    if (!client) memcpy(h->key, p + size, 4);
    ln_slice_skip(&m->rest, size + (client ? 0 : 4));
    return GO_ON;
}

/* Takes the payload, as much of it as there is, and says whether that was all. */
static inline bool model_payload(model *m, const head *h, ln_buf *out) {
    size_t n = m->rest.size < h->length ? m->rest.size : (size_t)h->length;
    for (size_t i = 0; i < n; i++)
        FUZZ_REQUIRE(ln_buf_add_byte(out, m->rest.data[i] ^ h->key[i % 4]) == 0);
    ln_slice_skip(&m->rest, n);
    return n == h->length;
}

static inline bool could_become_text(ln_slice s, bool *is_text) {
    ln_utf8 state = 0;
    bool could = ln_utf8_impl(LN_SIMD_SCALAR)(&state, s);
    *is_text = could && ln_utf8_complete(state);
    return could;
}

static inline int model_data(model *m, const head *h) {
    if (fuzz_discards(m->setup)) {
        ln_buf_clear(&m->message);
        return model_payload(m, h, &m->message) ? GO_ON : STOP;
    }
    if ((h->opcode == 0) != (m->frames > 0)) return LINNET_ERR_PROTO_FRAGMENT;
    if (m->frames == m->setup->config.fragments_max) return LINNET_ERR_FRAGMENTS;
    if (h->opcode) m->opcode = h->opcode;
    m->frames++;
    m->announced += h->length;
    bool whole = model_payload(m, h, &m->message), is_text;
    bool could = could_become_text(ln_buf_slice(&m->message), &is_text);
    if (m->opcode == LN_OP_TEXT && !could) return LINNET_ERR_UTF8;
    if (!whole) return STOP;
    if (!h->fin) return GO_ON;
    if (m->opcode == LN_OP_TEXT && !is_text) return LINNET_ERR_UTF8;
    fuzz_tell_event(m->told, m->opcode, 0, ln_buf_slice(&m->message));
    ln_buf_clear(&m->message);
    m->frames = 0;
    m->announced = 0;
    return GO_ON;
}

static inline int model_close(model *m, ln_slice body) {
    unsigned code = 1005;
    bool is_text;
    if (body.size == 1) return LINNET_ERR_PROTO_CLOSE;
    if (body.size) {
        code = body.data[0] * 256u + body.data[1];
        bool wire = code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
        if (!wire && (code < 3000 || code > 4999)) return LINNET_ERR_PROTO_CLOSE;
        ln_slice_skip(&body, 2);
    }
    could_become_text(body, &is_text);
    if (!is_text) return LINNET_ERR_UTF8;
    fuzz_tell_event(m->told, LN_OP_CLOSE, (uint16_t)code, body);
    return STOP;
}

static inline int model_control(model *m, const head *h) {
    ln_buf payload;
    ln_buf_init(&payload, 200);
    int result = GO_ON;
    if (!model_payload(m, h, &payload))
        result = STOP;
    else if (h->opcode == LN_OP_CLOSE)
        result = model_close(m, ln_buf_slice(&payload));
    else if (!m->setup->closing)
        fuzz_tell_event(m->told, h->opcode, 0, ln_buf_slice(&payload));
    ln_buf_fini(&payload);
    return result;
}

static inline void fuzz_model(const fuzz_setup *setup, ln_slice in, ln_buf *told) {
    model m = { .setup = setup, .told = told, .rest = in };
    ln_buf_init(&m.message, LN_BUF_MAX);
    int result = GO_ON;
    while (result == GO_ON) {
        head h;
        result = model_head(&m, &h);
        if (result == GO_ON) result = h.opcode < 8 ? model_data(&m, &h) : model_control(&m, &h);
    }
    if (result < 0) fuzz_tell_error(told, result);
    ln_buf_fini(&m.message);
}
#endif
