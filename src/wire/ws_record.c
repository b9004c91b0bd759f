/* ws_record.c -- a ws written down and read back: ln_ws_save and ln_ws_restore of ws.h.
 *
 *   version 1, flags, state, opcode, frame opcode, pending error      1 byte each
 *   mask 4, left 8, total 8, fragments 4                              little endian
 *   head, control, message                                            length 4, bytes
 *   with permessage-deflate: out bits, in bits, takeovers 1 each;
 *   window of the deflater, of the inflater                           length 4, bytes
 *
 * The UTF-8 state is not in it: it follows from the text received so far. A record may come from an
 * older binary or a damaged file, so reading trusts nothing; what it accepts is a state that some
 * sequence of bytes from a peer could have produced.
 */
#include "base/mem.h"
#include "wire/ext.h"
#include "wire/ws.h"

#define VERSION 1

enum {
    IS_CLIENT = 1,
    HAS_PMD = 2,
    IN_FRAME = 4,
    FIN = 8,
    COMPRESSED = 16,
    CLOSE_SENT = 32,
    CLOSE_SEEN = 64,
    HEARING = 128,
};
enum { OUT_TAKEOVER = 1, IN_TAKEOVER = 2 };

/* Writing ------------------------------------------------------------------------------- */

static int put(ln_buf *out, uint64_t v, size_t bytes) {
    uint8_t le[8];
    for (size_t i = 0; i < bytes; i++)
        le[i] = (uint8_t)(v >> (8 * i));
    return ln_buf_add(out, ln_slice_of(le, bytes));
}

static int put_bytes(ln_buf *out, ln_slice s) {
    int err = put(out, s.size, 4);
    return err < 0 ? err : ln_buf_add(out, s);
}

static uint8_t flags_of(const ln_ws *ws) {
    return (uint8_t)((ws->peer_masks ? 0 : IS_CLIENT) | (ws->pmd ? HAS_PMD : 0) |
                     (ws->in_frame ? IN_FRAME : 0) | (ws->fin ? FIN : 0) |
                     (ws->compressed ? COMPRESSED : 0) | (ws->close_sent ? CLOSE_SENT : 0) |
                     (ws->close_seen ? CLOSE_SEEN : 0) | (ws->hearing ? HEARING : 0));
}

static int put_fixed(const ln_ws *ws, ln_buf *out) {
    uint8_t first[] = { VERSION, flags_of(ws), ws->state, ws->opcode, ws->frame_opcode,
        (uint8_t)-ws->pending };
    int err = ln_buf_add(out, ln_slice_of(first, sizeof(first)));
    if (err == 0) err = ln_buf_add(out, ln_slice_of(ws->mask, 4));
    if (err == 0) err = put(out, ws->left, 8);
    if (err == 0) err = put(out, ws->total, 8);
    if (err == 0) err = put(out, ws->fragments, 4);
    return err;
}

/* What the last event pointed into has been delivered and is left out. */
static int put_payloads(const ln_ws *ws, ln_buf *out) {
    ln_slice message = { 0 }, control = ln_slice_of(ws->control, ws->control_size);
    if (ws->message.size && ws->fragments)
        message = ln_slice_sub(ln_buf_slice(&ws->message), LN_WS_HEADROOM, ws->message.size);
    int err = put_bytes(out, ln_slice_of(ws->head, ws->head_size));
    if (err == 0) err = put_bytes(out, control);
    if (err == 0) err = put_bytes(out, message);
    return err;
}

/* A window with its length, which is known behind it. */
static int put_window(ln_pmd *pmd, bool deflater, ln_buf *out) {
    uint32_t at = out->size;
    int err = put(out, 0, 4);
    if (err == 0 && deflater && pmd->deflater) err = ln_deflater_save(pmd->deflater, out);
    if (err == 0 && !deflater && pmd->inflater) err = ln_inflater_save(pmd->inflater, out);
    if (err < 0) return err;
    uint32_t size = out->size - at - 4;
    for (size_t i = 0; i < 4; i++)
        out->data[out->head + at + i] = (uint8_t)(size >> (8 * i));
    return LINNET_OK;
}

static int put_pmd(ln_pmd *pmd, ln_buf *out) {
    uint8_t takeovers = (uint8_t)((pmd->out_takeover ? OUT_TAKEOVER : 0) |
                                  (pmd->in_takeover ? IN_TAKEOVER : 0));
    uint8_t first[] = { pmd->out_bits, pmd->in_bits, takeovers };
    int err = ln_buf_add(out, ln_slice_of(first, sizeof(first)));
    if (err == 0) err = put_window(pmd, true, out);
    if (err == 0) err = put_window(pmd, false, out);
    return err;
}

int ln_ws_save(ln_ws *ws, ln_buf *out) {
    uint32_t before = out->size;
    int err = put_fixed(ws, out);
    if (err == 0) err = put_payloads(ws, out);
    if (err == 0 && ws->pmd) err = put_pmd(ws->pmd, out);
    if (err < 0) out->size = before;
    return err;
}

/* Reading ------------------------------------------------------------------------------- */

typedef struct reader {
    ln_slice rest;
    bool bad; /* sticks */
} reader;

static ln_slice get_slice(reader *r, size_t size) {
    r->bad |= size > r->rest.size;
    if (r->bad) return (ln_slice){ 0 };
    ln_slice s = ln_slice_sub(r->rest, 0, size);
    ln_slice_skip(&r->rest, size);
    return s;
}

static uint64_t get(reader *r, size_t bytes) {
    ln_slice s = get_slice(r, bytes);
    uint64_t v = 0;
    for (size_t i = s.size; i-- > 0;)
        v = v << 8 | s.data[i];
    return v;
}

static uint8_t get_byte(reader *r) {
    return (uint8_t)get(r, 1);
}

static ln_slice get_bytes(reader *r) {
    return get_slice(r, (size_t)get(r, 4));
}

typedef struct record {
    uint8_t flags, state, opcode, frame_opcode, pending;
    uint8_t mask[4];
    uint64_t left, total;
    uint32_t fragments;
    ln_slice head, control, message;
    uint8_t out_bits, in_bits, takeovers;
    ln_slice out_window, in_window;
} record;

static bool parse(ln_slice bytes, record *out) {
    reader r = { .rest = bytes };
    r.bad = get_byte(&r) != VERSION;
    *out = (record){ .flags = get_byte(&r) };
    out->state = get_byte(&r);
    out->opcode = get_byte(&r);
    out->frame_opcode = get_byte(&r);
    out->pending = get_byte(&r);
    ln_slice mask = get_slice(&r, 4);
    if (mask.size) memcpy(out->mask, mask.data, 4);
    out->left = get(&r, 8);
    out->total = get(&r, 8);
    out->fragments = (uint32_t)get(&r, 4);
    out->head = get_bytes(&r);
    out->control = get_bytes(&r);
    out->message = get_bytes(&r);
    if (out->flags & HAS_PMD) {
        out->out_bits = get_byte(&r);
        out->in_bits = get_byte(&r);
        out->takeovers = get_byte(&r);
        out->out_window = get_bytes(&r);
        out->in_window = get_bytes(&r);
    }
    return !r.bad && r.rest.size == 0;
}

static bool is_data(const record *r) {
    return r->frame_opcode < LN_OP_CLOSE;
}

/* The message under way against itself and the limits of the configuration. */
static bool message_holds(const record *r, const ln_ws_config *config) {
    bool in_data = r->flags & IN_FRAME && is_data(r);
    if (r->fragments > config->fragments_max) return false;
    bool discards = r->state == LN_WS_CLOSING && !(r->flags & HEARING);
    if (r->fragments == 0) return r->message.size == 0 && (!in_data || discards);
    if (r->state > LN_WS_CLOSING || discards) return false; /* no messages are gathered there */
    if (r->opcode != LN_OP_TEXT && r->opcode != LN_OP_BINARY) return false;
    if (r->flags & COMPRESSED && !(r->flags & HAS_PMD)) return false;
    if (r->total > ln_ws_payload_max(config, r->flags & COMPRESSED)) return false;
    if (r->message.size > r->total) return false;
    return r->total - r->message.size == (in_data ? r->left : 0);
}

static bool frame_holds(const record *r) {
    bool in_frame = r->flags & IN_FRAME;
    if (in_frame && r->head.size) return false;
    if (r->head.size >= LN_FRAME_HEAD_MAX) return false;
    if (!in_frame || is_data(r)) return r->control.size == 0;
    if (r->frame_opcode > LN_OP_PONG || r->left > LN_CONTROL_MAX) return false;
    return r->control.size + r->left <= LN_CONTROL_MAX;
}

static bool holds(const record *r, const ln_ws_config *config) {
    if (r->state > LN_WS_FAILED) return false;
    if (!(r->flags & IS_CLIENT) != !config->client) return false;
    if (r->pending && r->pending != -LINNET_ERR_UTF8) return false;
    if (r->pending && r->state > LN_WS_CLOSING) return false;
    if (r->flags & HAS_PMD) {
        if (r->out_bits < 9 || r->out_bits > 15 || r->in_bits < 8 || r->in_bits > 15) return false;
        if (r->out_window.size && !(r->takeovers & OUT_TAKEOVER)) return false;
        if (r->in_window.size && !(r->takeovers & IN_TAKEOVER)) return false;
    }
    return frame_holds(r) && message_holds(r, config);
}

static int load_windows(ln_ws *ws, const record *r) {
    const ln_ws_config *c = ws->config;
    ln_pmd *pmd = ws->pmd;
    int err = LINNET_OK;
    if (r->out_window.size) {
        err = ln_deflater_new(
            pmd->out_bits, c->deflate_level, c->deflate_memory, true, &pmd->deflater);
        if (err == LINNET_OK) err = ln_deflater_load(pmd->deflater, r->out_window);
    }
    if (err == LINNET_OK && r->in_window.size) {
        err = ln_inflater_new(pmd->in_bits, true, &pmd->inflater);
        if (err == LINNET_OK) err = ln_inflater_load(pmd->inflater, r->in_window);
    }
    return err;
}

static int load_payloads(ln_ws *ws, const record *r) {
    memcpy(ws->head, r->head.data, r->head.size);
    ws->head_size = (uint8_t)r->head.size;
    if (r->control.size) {
        ws->control = ln_malloc(LN_CONTROL_MAX);
        if (!ws->control) return LINNET_ERR_NOMEM;
        memcpy(ws->control, r->control.data, r->control.size);
        ws->control_size = (uint8_t)r->control.size;
    }
    uint64_t most = ln_ws_payload_max(ws->config, ws->compressed) + LN_WS_HEADROOM;
    ws->message.max = most < LN_BUF_MAX ? (uint32_t)most : LN_BUF_MAX;
    if (r->message.size == 0) return LINNET_OK;
    int err = ln_buf_reserve(&ws->message, LN_WS_HEADROOM + r->message.size);
    if (err < 0) return err;
    ln_buf_commit(&ws->message, LN_WS_HEADROOM);
    if ((err = ln_buf_add(&ws->message, r->message)) < 0) return err;
    bool text = ws->opcode == LN_OP_TEXT && !ws->compressed && !ws->pending;
    return !text || ln_utf8_feed(&ws->utf8, r->message) ? LINNET_OK : LINNET_ERR_INVAL;
}

static void load_fixed(ln_ws *ws, const record *r) {
    ws->state = r->state;
    ws->opcode = r->opcode;
    ws->frame_opcode = r->frame_opcode;
    ws->pending = (int8_t)-r->pending;
    memcpy(ws->mask, r->mask, 4);
    ws->left = r->left;
    ws->total = r->total;
    ws->fragments = r->fragments;
    ws->in_frame = r->flags & IN_FRAME;
    ws->fin = r->flags & FIN;
    ws->compressed = r->flags & COMPRESSED;
    ws->close_sent = r->flags & CLOSE_SENT;
    ws->close_seen = r->flags & CLOSE_SEEN;
    ws->hearing = r->flags & HEARING;
    ws->quiet = false; /* the next ln_ws_next finds out */
}

int ln_ws_restore(ln_ws *ws, const ln_ws_config *config, ln_slice bytes, ln_ws_tools *tools) {
    record r;
    if (!parse(bytes, &r) || !holds(&r, config)) return LINNET_ERR_INVAL;
    bool out = r.takeovers & OUT_TAKEOVER, in = r.takeovers & IN_TAKEOVER;
    ln_pmd_params params = {
        .server_no_takeover = config->client ? !in : !out,
        .client_no_takeover = config->client ? !out : !in,
        .server_bits = config->client ? r.in_bits : r.out_bits,
        .client_bits = config->client ? r.out_bits : r.in_bits,
    };
    ln_ws restored;
    int err = ln_ws_init(&restored, config, r.flags & HAS_PMD ? &params : NULL, tools);
    if (err < 0) return err;
    load_fixed(&restored, &r);
    err = load_payloads(&restored, &r);
    if (err == LINNET_OK && restored.pmd) err = load_windows(&restored, &r);
    if (err < 0)
        ln_ws_fini(&restored, tools);
    else
        *ws = restored;
    return err;
}
