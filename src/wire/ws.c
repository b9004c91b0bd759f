#include "wire/ws.h"
#include "base/mem.h"
#include "wire/ext.h"
#include "wire/mask.h"
#include <assert.h>

#define NEXT         2           /* internal: this frame gave no event, go on */
#define BLOCK        (16 * 1024) /* unmasked and validated while it is in the first cache */
#define ROOM_WORTH   (16 * 1024)
#define SPARE_MIN    (64 * 1024)
#define SPARE_MAX    (2 * 1024 * 1024)
#define SPARE_EARNED 4096 /* received in one piece before a spare buffer is given out */
#define SCRATCH_KEEP (1024 * 1024)

static_assert(LN_WS_HEADROOM >= LN_FRAME_HEAD_MAX, "an echo puts its header there");
static_assert(sizeof(ln_ws) <= 128, "every idle connection has one");

/* State --------------------------------------------------------------------------------- */

static void settle(ln_ws *ws) {
    ws->quiet = ws->state == LN_WS_OPEN && !ws->in_frame && ws->head_size == 0 &&
                ws->fragments == 0 && !ws->lent;
}

static void enter(ln_ws *ws, ln_ws_state state) {
    assert(state > ws->state);
    ws->state = (uint8_t)state;
    settle(ws);
}

static size_t min_size(size_t a, uint64_t b) {
    return a < b ? a : (size_t)b;
}

static void skip(ln_wslice *in, size_t n) {
    in->data += n;
    in->size -= n;
}

static void swallow(ln_wslice *in) {
    if (in->size) skip(in, in->size);
}

static void drop_message(ln_ws *ws) {
    ln_buf_fini(&ws->message);
    ws->fragments = 0;
}

static void drop_control(ln_ws *ws) {
    ln_free(ws->control);
    ws->control = NULL;
    ws->control_size = 0;
}

/* Terminal: everything that was gathered goes, and no event follows. */
static int fail(ln_ws *ws, ln_wslice *in, int err) {
    drop_message(ws);
    drop_control(ws);
    ws->in_frame = false;
    ws->head_size = 0;
    ws->pending = 0;
    enter(ws, LN_WS_FAILED);
    swallow(in);
    return err;
}

void ln_ws_give(ln_ws_tools *tools, ln_buf *buf) {
    bool keep = buf->capacity >= SPARE_MIN && buf->capacity <= SPARE_MAX &&
                tools->spare_count < LN_WS_SPARES;
    if (!keep) {
        ln_buf_fini(buf);
        return;
    }
    ln_buf_clear(buf);
    tools->spares[tools->spare_count++] = *buf;
    *buf = (ln_buf){ 0 };
}

bool ln_ws_take(ln_ws *ws, const ln_ws_event *event, ln_buf *taken) {
    if (!ws->lent || !ws->message.data) return false;
    if (event->data.data != ws->message.data + LN_WS_HEADROOM) return false;
    *taken = ws->message;
    ws->message = (ln_buf){ 0 };
    return true;
}

/* What the last event pointed into is not needed any more. */
static void take_back(ln_ws *ws, ln_ws_tools *tools) {
    ws->lent = false;
    if (ws->control_size == 0) drop_control(ws); /* else the next one is under way already */
    if (ws->message.data && ws->fragments == 0) ln_ws_give(tools, &ws->message);
    if (tools->pmd.scratch.capacity > SCRATCH_KEEP) ln_buf_fini(&tools->pmd.scratch);
    if (tools->pmd.packed.capacity > SCRATCH_KEEP) ln_buf_fini(&tools->pmd.packed);
}

/* Headers --------------------------------------------------------------------------------- */

static bool taking_data(const ln_ws *ws) {
    return ws->state == LN_WS_OPEN || (ws->state == LN_WS_CLOSING && ws->hearing);
}

static uint64_t length_max(const ln_ws *ws, uint8_t first) {
    if (!taking_data(ws)) return UINT64_MAX; /* it will be discarded unread */
    if ((first & 0x0f) != LN_OP_CONTINUATION) return ln_ws_payload_max(ws->config, first & 0x40);
    /* One that continues nothing: what the last message was is over, and not always known. */
    if (ws->fragments == 0) return ln_ws_payload_max(ws->config, false);
    return ln_ws_payload_max(ws->config, ws->compressed) - ws->total;
}

/* Reads one header, across inputs if it must. *here: it lies whole in this input. */
static int read_head(ln_ws *ws, ln_wslice *in, ln_frame *f, bool *here) {
    if (in->size == 0) return LN_MORE;
    ln_frame_rules rules = {
        .length_max = length_max(ws, ws->head_size ? ws->head[0] : in->data[0]),
        .masked = ws->peer_masks,
        .rsv1 = ws->pmd,
    };
    size_t kept = ws->head_size;
    size_t added = min_size(in->size, sizeof(ws->head) - kept);
    *here = kept == 0;
    ln_slice rest = ln_slice_of(in->data, in->size);
    if (kept) {
        memcpy(ws->head + kept, in->data, added);
        rest = ln_slice_of(ws->head, kept + added);
    }
    size_t before = rest.size;
    int result = ln_frame_decode(&rules, &rest, f);
    if (result == LN_MORE) {
        if (!kept) memcpy(ws->head, in->data, added);
        ws->head_size = (uint8_t)(kept + added);
        swallow(in);
    } else if (result == LN_DONE) {
        skip(in, before - rest.size - kept);
        ws->head_size = 0;
    }
    return result;
}

/* A data frame's place in its message (F9 to F12). Its length has been judged. */
static int begin_data(ln_ws *ws, const ln_frame *f) {
    bool continues = f->opcode == LN_OP_CONTINUATION;
    if (continues != (ws->fragments > 0)) return LINNET_ERR_PROTO_FRAGMENT;
    if (!continues) {
        ws->opcode = f->opcode;
        ws->compressed = f->rsv1;
        ws->total = 0;
        ws->utf8 = 0;
    }
    if (ws->fragments >= ws->config->fragments_max) return LINNET_ERR_FRAGMENTS;
    ws->fragments++;
    ws->total += f->length;
    ws->fin = f->fin;

    /* The buffer of a message never outgrows what the message can still become. */
    uint64_t most = f->fin ? ws->total : ln_ws_payload_max(ws->config, ws->compressed);
    most += LN_WS_HEADROOM;
    ws->message.max = most < LN_BUF_MAX ? (uint32_t)most : LN_BUF_MAX;
    return LINNET_OK;
}

static int begin_frame(ln_ws *ws, ln_wslice *in, bool *here) {
    ln_frame f;
    int result = read_head(ws, in, &f, here);
    if (result != LN_DONE) return result;
    if (f.opcode < LN_OP_CLOSE && taking_data(ws)) {
        result = begin_data(ws, &f);
        if (result < 0) return result;
    }
    ws->frame_opcode = f.opcode;
    ws->left = f.length;
    memset(ws->mask, 0, 4);
    if (f.masked) memcpy(ws->mask, f.mask, 4);
    ws->in_frame = true;
    return LN_DONE;
}

/* Payload --------------------------------------------------------------------------------- */

static void turn_mask(ln_ws *ws, size_t n) {
    uint8_t turned[4];
    for (size_t i = 0; i < 4; i++)
        turned[i] = ws->mask[(i + n) & 3];
    memcpy(ws->mask, turned, 4);
}

/* Unmasks n bytes of the frame under way, in place or from elsewhere, and checks them if they are
 * text, block by block so that the second look finds them in the cache. */
static int absorb(ln_ws *ws, uint8_t *to, const uint8_t *from, size_t n) {
    bool text = ws->opcode == LN_OP_TEXT && !ws->compressed;
    for (size_t done = 0; done < n;) {
        size_t size = n - done < BLOCK ? n - done : BLOCK;
        bool ascii = to == from
                         ? ln_unmask_ascii((ln_wslice){ to + done, size }, ws->mask, 0)
                         : ln_mask_copy(to + done, ln_slice_of(from + done, size), ws->mask, 0);
        bool plain = ascii && ln_utf8_complete(ws->utf8);
        if (text && !plain && !ln_utf8_feed(&ws->utf8, ln_slice_of(to + done, size)))
            return LINNET_ERR_UTF8;
#if !defined(LN_PLANT) || LN_PLANT != 5 /* fuzz/plants */
        turn_mask(ws, size);
#else
        turn_mask(ws, size == 3 ? 0 : size);
#endif
        done += size;
    }
    return LINNET_OK;
}

/* Room for n more bytes of the message. */
static int make_room(ln_ws *ws, ln_ws_tools *tools, size_t n) {
    ln_buf *m = &ws->message;
    if (m->size) return ln_buf_reserve(m, n);
    if (n >= SPARE_EARNED && ws->left >= SPARE_MIN && tools->spare_count) {
        uint32_t max = m->max;
        *m = tools->spares[--tools->spare_count];
        m->max = max;
    }
    int err = ln_buf_reserve(m, LN_WS_HEADROOM + n);
    if (err == LINNET_OK) ln_buf_commit(m, LN_WS_HEADROOM);
    return err;
}

static int gather(ln_ws *ws, ln_ws_tools *tools, ln_wslice *in) {
    size_t n = min_size(in->size, ws->left);
    if (n == 0) return LINNET_OK;
    int err = make_room(ws, tools, n);
    if (err < 0) return err;
    if ((err = absorb(ws, ln_buf_room(&ws->message).data, in->data, n)) < 0) return err;
    ln_buf_commit(&ws->message, n);
    skip(in, n);
    ws->left -= n;
    return LINNET_OK;
}

static int give_message(ln_ws *ws, ln_wslice data, bool headroom, ln_ws_event *event) {
    *event = (ln_ws_event){
        .kind = LN_WS_MESSAGE,
        .opcode = ws->opcode,
        .headroom = headroom,
        .inflated = ws->compressed,
        .data = data,
    };
    return LN_DONE;
}

static int unpack(ln_ws *ws, ln_ws_tools *tools, ln_slice packed, ln_buf *out) {
    ln_pmd *pmd = ws->pmd;
    uint64_t limit = ws->config->message_max;
    if (!pmd->in_takeover) return ln_pmd_inflate(&tools->pmd, packed, limit, out);
    if (!pmd->inflater) {
        int err = ln_inflater_new(pmd->in_bits, true, &pmd->inflater);
        if (err < 0) return err;
    }
    return ln_inflater_feed(pmd->inflater, packed, true, limit, out);
}

/* A whole compressed message; what comes out lies in the tools. */
static int give_inflated(ln_ws *ws, ln_ws_tools *tools, ln_wslice packed, ln_ws_event *event) {
    ln_buf *out = &tools->pmd.scratch;
    ws->lent = true;
    ln_buf_clear(out);
    int err = ln_buf_reserve(out, LN_WS_HEADROOM);
    if (err < 0) return err;
    ln_buf_commit(out, LN_WS_HEADROOM);
    err = unpack(ws, tools, ln_slice_of(packed.data, packed.size), out);
    if (err < 0) return err;
    ln_wslice data = { out->data + LN_WS_HEADROOM, out->size - LN_WS_HEADROOM };
    if (ws->opcode == LN_OP_TEXT && !ln_utf8_valid(ln_slice_of(data.data, data.size)))
        return LINNET_ERR_UTF8;
    return give_message(ws, data, true, event);
}

/* The whole message is the payload of one frame that lies in this input. */
static int give_slice(
    ln_ws *ws, ln_ws_tools *tools, ln_wslice *in, bool head_here, ln_ws_event *event) {
    ln_wslice data = { in->data, (size_t)ws->left };
    skip(in, data.size);
    ws->left = 0;
    int err = absorb(ws, data.data, data.data, data.size);
    if (err < 0) return err;
    if (ws->compressed) return give_inflated(ws, tools, data, event);
    if (!ln_utf8_complete(ws->utf8)) return LINNET_ERR_UTF8;
    return give_message(ws, data, head_here && ws->peer_masks, event);
}

static int give_gathered(ln_ws *ws, ln_ws_tools *tools, ln_ws_event *event) {
    bool any = ws->message.size > 0; /* fragments may all have been empty */
    ln_wslice data = { ws->message.data, 0 };
    if (any) data = (ln_wslice){ data.data + LN_WS_HEADROOM, ws->message.size - LN_WS_HEADROOM };
    ws->lent = true;
    if (ws->compressed) return give_inflated(ws, tools, data, event);
    if (!ln_utf8_complete(ws->utf8)) return LINNET_ERR_UTF8;
    return give_message(ws, data, any, event);
}

static int data_frame(
    ln_ws *ws, ln_ws_tools *tools, ln_wslice *in, bool head_here, ln_ws_event *event) {
    bool slice = ws->fin && ws->fragments == 1 && !ws->message.size && ws->left <= in->size;
    int result = slice ? give_slice(ws, tools, in, head_here, event) : gather(ws, tools, in);
    if (result < 0) return result;
    if (ws->left) return LN_MORE;
    ws->in_frame = false;
    if (!ws->fin) return NEXT;
    ws->fragments = 0;
    return slice ? LN_DONE : give_gathered(ws, tools, event);
}

/* In CLOSING data is discarded until the peer's Close comes (L3). */
static int skip_frame(ln_ws *ws, ln_wslice *in) {
    size_t n = min_size(in->size, ws->left);
    if (n) skip(in, n);
    ws->left -= n;
    if (ws->left) return LN_MORE;
    ws->in_frame = false;
    return NEXT;
}

/* Control frames ------------------------------------------------------------------------ */

bool ln_ws_code_valid(uint16_t code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static int peer_closes(ln_ws *ws, ln_wslice body, ln_ws_event *event) {
    uint16_t code = 1005;
    if (body.size == 1) return LINNET_ERR_PROTO_CLOSE;
    if (body.size) {
        code = (uint16_t)(body.data[0] << 8 | body.data[1]);
        skip(&body, 2);
        if (!ln_ws_code_valid(code)) return LINNET_ERR_PROTO_CLOSE;
        if (!ln_utf8_valid(ln_slice_of(body.data, body.size))) return LINNET_ERR_UTF8;
    }
    drop_message(ws);
    ws->close_seen = true;
    enter(ws, LN_WS_CLOSED);
    *event = (ln_ws_event){
        .kind = LN_WS_CLOSE, .opcode = LN_OP_CLOSE, .code = code, .data = body
    };
    return LN_DONE;
}

/* The payload of a control frame when it is whole: in the input if it can be. */
static int control_payload(ln_ws *ws, ln_wslice *in, ln_wslice *payload) {
    size_t n = min_size(in->size, ws->left);
    if (n == ws->left && !ws->control_size) {
        *payload = (ln_wslice){ in->data, n };
    } else {
        if (!ws->control) ws->control = ln_malloc(LN_CONTROL_MAX);
        if (!ws->control) return LINNET_ERR_NOMEM;
        if (n) memcpy(ws->control + ws->control_size, in->data, n);
        ws->control_size = (uint8_t)(ws->control_size + n);
        *payload = (ln_wslice){ ws->control, ws->control_size };
    }
    if (n) skip(in, n);
    ws->left -= n;
    if (ws->left) return LN_MORE;
    ln_mask(*payload, ws->mask, 0);
    return LN_DONE;
}

static int control_frame(ln_ws *ws, ln_wslice *in, ln_ws_event *event) {
    ln_wslice payload;
    int result = control_payload(ws, in, &payload);
    if (result != LN_DONE) return result;
    ws->in_frame = false;
    bool close = ws->frame_opcode == LN_OP_CLOSE;
    if (!close && ws->state != LN_WS_OPEN) {
        drop_control(ws);
        return NEXT;
    }
    ws->lent = ws->control;
    ws->control_size = 0;
    if (close) return peer_closes(ws, payload, event);
    *event = (ln_ws_event){
        .kind = ws->frame_opcode == LN_OP_PING ? LN_WS_PING : LN_WS_PONG,
        .opcode = ws->frame_opcode,
        .data = payload,
    };
    return LN_DONE;
}

/* Receiving ----------------------------------------------------------------------------- */

/* The way nearly all messages go: one unfragmented, uncompressed frame below 64 KiB, wholly in the
 * input. LN_MORE: anything else, nothing was touched. */
static int short_way(ln_ws *ws, ln_wslice *in, ln_ws_event *event) {
    uint8_t *p = in->data;
    if (in->size < 6) return LN_MORE;
    bool text = p[0] == (0x80 | LN_OP_TEXT);
    if (!text && p[0] != (0x80 | LN_OP_BINARY)) return LN_MORE;
    unsigned form = p[1] ^ ws->peer_masks; /* over 127 where the mask bit is wrong */
    if (form > 126) return LN_MORE;
    size_t key = form < 126 ? 2 : 4;
    size_t size = form < 126 ? form : (size_t)p[2] << 8 | p[3];
    size_t head = key + (ws->peer_masks >> 5);
    if (size + head > in->size || size > ws->config->message_max || size < form) return LN_MORE;

    ln_wslice data = { p + head, size };
    skip(in, head + size);
    bool plain = ws->peer_masks && ln_unmask_ascii(data, p + key, 0);
    if (text && !plain && !ln_utf8_valid(ln_slice_of(data.data, size)))
        return fail(ws, in, LINNET_ERR_UTF8);
    *event = (ln_ws_event){
        .kind = LN_WS_MESSAGE,
        .opcode = p[0] & 0x0f,
        .headroom = ws->peer_masks, /* without a mask our own header is longer than theirs */
        .data = data,
    };
    return LN_DONE;
}

static int walk(ln_ws *ws, ln_ws_tools *tools, ln_wslice *in, ln_ws_event *event) {
    for (;;) {
        if (ws->pending) return fail(ws, in, ws->pending);
        if (ws->state >= LN_WS_CLOSED) {
            swallow(in);
            return LN_MORE;
        }
        bool head_here = false;
        int result = ws->in_frame ? LN_DONE : begin_frame(ws, in, &head_here);
        if (result == LN_DONE) {
            if (ws->frame_opcode >= LN_OP_CLOSE)
                result = control_frame(ws, in, event);
            else if (taking_data(ws))
                result = data_frame(ws, tools, in, head_here, event);
            else
                result = skip_frame(ws, in);
        }
        if (result < 0) return fail(ws, in, result);
        if (result != NEXT) return result;
    }
}

int ln_ws_next(ln_ws *ws, ln_ws_tools *tools, ln_wslice *in, ln_ws_event *event) {
    if (ws->quiet) {
        int result = short_way(ws, in, event);
        if (result != LN_MORE || in->size == 0) return result;
    }
    if (ws->lent) take_back(ws, tools);
    int result = walk(ws, tools, in, event);
    settle(ws);
    return result;
}

/* The buffer grows to four times what was received: 1 MiB arrives with two or three enlargements,
 * and who only announces pins nothing. */
ln_wslice ln_ws_room(ln_ws *ws, size_t most) {
    ln_wslice none = { 0 };
    ln_buf *m = &ws->message;
    bool data = ws->in_frame && ws->frame_opcode < LN_OP_CLOSE;
    if (ws->state != LN_WS_OPEN || ws->pending || !data) return none;
    if (ws->left < ROOM_WORTH || m->size < ROOM_WORTH) return none;
    size_t want = min_size(most, ws->left);
    size_t step = min_size(want, (uint64_t)3 * m->size);
    if (ln_buf_room(m).size < step && ln_buf_reserve(m, step) < 0) return none;
    ln_wslice room = ln_buf_room(m);
    room.size = min_size(room.size, want);
    return room;
}

void ln_ws_received(ln_ws *ws, size_t n) {
    assert(ws->in_frame);
    assert(n <= ws->left);
    ws->left -= n;
    if (!taking_data(ws)) return; /* discarded, L3 */
    uint8_t *at = ln_buf_room(&ws->message).data;
    ln_buf_commit(&ws->message, n);
    ws->pending = (int8_t)absorb(ws, at, at, n);
}

/* Sending ------------------------------------------------------------------------------- */

static void new_mask(ln_ws_tools *tools, uint8_t mask[4]) {
    uint32_t key = ln_rand_u32(tools->rand);
    memcpy(mask, &key, 4);
}

static int append(
    ln_ws *ws, ln_ws_tools *tools, uint8_t opcode, bool fin, ln_slice payload, ln_buf *out) {
    ln_frame f = {
        .length = payload.size, .opcode = opcode, .fin = fin, .masked = !ws->peer_masks
    };
    int err = ln_buf_reserve(out, ln_frame_head_size(f.length, f.masked) + payload.size);
    if (err < 0) return err;
    if (f.masked) new_mask(tools, f.mask);
    uint8_t *to = ln_buf_room(out).data;
    size_t head = ln_frame_encode(&f, to);
    if (f.masked)
        ln_mask_copy(to + head, payload, f.mask, 0);
    else if (payload.size)
        memcpy(to + head, payload.data, payload.size);
    ln_buf_commit(out, head + payload.size);
    return LINNET_OK;
}

static int pack(ln_ws *ws, ln_ws_tools *tools, ln_slice payload, ln_buf *out) {
    const ln_ws_config *c = ws->config;
    ln_pmd *pmd = ws->pmd;
    if (!pmd->out_takeover)
        return ln_pmd_compress(
            &tools->pmd, pmd->out_bits, c->deflate_level, c->one_shot, payload, out);
    if (!pmd->deflater) {
        int err = ln_deflater_new(
            pmd->out_bits, c->deflate_level, c->deflate_memory, true, &pmd->deflater);
        if (err < 0) return err;
    }
    return ln_deflater_message(pmd->deflater, payload, out);
}

/* Puts the header before the `size` compressed bytes at the end of *out, for which `room` bytes
 * were left: as much as the payload's own length would need, which is mostly what is needed or a
 * little more. */
static int put_head(
    ln_ws *ws, ln_ws_tools *tools, uint8_t opcode, size_t room, ln_buf *out, size_t size) {
    ln_frame f = { .length = size, .opcode = opcode, .fin = true, .rsv1 = true };
    f.masked = !ws->peer_masks;
    size_t head = ln_frame_head_size(size, f.masked);
    if (head > room) {
        int err = ln_buf_reserve(out, head - room);
        if (err < 0) return err;
    }
    if (f.masked) new_mask(tools, f.mask);
    uint8_t *start = ln_buf_room(out).data - size - room;
    if (head != room) memmove(start + head, start + room, size);
    uint8_t encoded[LN_FRAME_HEAD_MAX];
    memcpy(start, encoded, ln_frame_encode(&f, encoded));
    if (f.masked) ln_mask((ln_wslice){ start + head, size }, f.mask, 0);
    out->size = (uint32_t)(out->size + head - room);
    return LINNET_OK;
}

static int append_compressed(
    ln_ws *ws, ln_ws_tools *tools, uint8_t opcode, ln_slice payload, ln_buf *out) {
    uint32_t before = out->size;
    size_t room = ln_frame_head_size(payload.size, !ws->peer_masks);
    int err = ln_buf_reserve(out, room);
    if (err < 0) return err;
    ln_buf_commit(out, room);
    err = pack(ws, tools, payload, out);
    size_t size = out->size - before - room;

    /* What does not shrink goes plain, unless the window already remembers it. */
    if (err == LINNET_OK && size >= payload.size && !ws->pmd->out_takeover) {
        out->size = before;
        return append(ws, tools, opcode, true, payload, out);
    }
    if (err == LINNET_OK) {
        err = put_head(ws, tools, opcode, room, out, size);
        if (err < 0 && ws->pmd->deflater) ln_deflater_reset(ws->pmd->deflater);
    }
    if (err < 0) out->size = before;
    return err;
}

int ln_ws_message(
    ln_ws *ws, ln_ws_tools *tools, uint8_t opcode, ln_slice payload, bool compress, ln_buf *out) {
    assert(opcode == LN_OP_TEXT || opcode == LN_OP_BINARY);
    if (ws->close_sent) return LINNET_ERR_STATE;
    if (compress && ws->pmd && payload.size >= ws->config->deflate_threshold)
        return append_compressed(ws, tools, opcode, payload, out);
    return append(ws, tools, opcode, true, payload, out);
}

int ln_ws_fragment(
    ln_ws *ws, ln_ws_tools *tools, uint8_t opcode, bool fin, ln_slice payload, ln_buf *out) {
    assert(opcode <= LN_OP_BINARY);
    if (ws->state != LN_WS_OPEN) return LINNET_ERR_STATE;
    return append(ws, tools, opcode, fin, payload, out);
}

int ln_ws_control(ln_ws *ws, ln_ws_tools *tools, uint8_t opcode, ln_slice payload, ln_buf *out) {
    assert(opcode == LN_OP_PING || opcode == LN_OP_PONG);
    if (payload.size > LN_CONTROL_MAX) return LINNET_ERR_INVAL;
    if (ws->state != LN_WS_OPEN) return LINNET_ERR_STATE;
    return append(ws, tools, opcode, true, payload, out);
}

int ln_ws_close(ln_ws *ws, ln_ws_tools *tools, uint16_t code, ln_slice reason, ln_buf *out) {
    if (ws->close_sent) return LINNET_ERR_STATE;
    uint8_t body[LN_CONTROL_MAX] = { (uint8_t)(code >> 8), (uint8_t)code };
    size_t size = 0;
    if (code == 0 || code == 1005) {
        if (reason.size) return LINNET_ERR_INVAL;
    } else {
        bool fits = reason.size <= LN_CONTROL_MAX - 2;
        if (!ln_ws_code_valid(code) || !fits || !ln_utf8_valid(reason)) return LINNET_ERR_INVAL;
        if (reason.size) memcpy(body + 2, reason.data, reason.size);
        size = 2 + reason.size;
    }
    int err = append(ws, tools, LN_OP_CLOSE, true, ln_slice_of(body, size), out);
    if (err < 0) return err;
    ws->close_sent = true;
    if (ws->state != LN_WS_OPEN) return LINNET_OK;
    enter(ws, LN_WS_CLOSING);
    if (ws->hearing) return LINNET_OK;
    /* An event that is being handled, or a receive that is armed, may still point into what was
     * gathered: the next call gives it back. */
    ws->lent |= ws->message.data != NULL;
    ws->fragments = 0;
    return LINNET_OK;
}

int ln_ws_finish(ln_ws *ws, ln_ws_tools *tools, uint16_t code, ln_slice reason, ln_buf *out) {
    if (ws->close_sent) return LINNET_ERR_STATE;
    ws->hearing = true;
    int err = ln_ws_close(ws, tools, code, reason, out);
    ws->hearing = err == LINNET_OK;
    return err;
}

/* Life ---------------------------------------------------------------------------------- */

void ln_ws_tools_init(ln_ws_tools *tools, ln_rand *rand) {
    *tools = (ln_ws_tools){ .rand = rand };
    ln_pmd_tools_init(&tools->pmd);
}

void ln_ws_tools_fini(ln_ws_tools *tools) {
    while (tools->spare_count)
        ln_buf_fini(&tools->spares[--tools->spare_count]);
    ln_pmd_tools_fini(&tools->pmd);
}

/* What the contexts of a connection cost once both were used; counted from the beginning, because
 * the budget is asked when they are agreed. */
static size_t agreed_cost(const ln_ws *ws) {
    const ln_pmd *pmd = ws->pmd;
    if (!pmd) return 0;
    size_t cost = 0;
    if (pmd->out_takeover) cost += ln_deflater_cost(pmd->out_bits, ws->config->deflate_memory);
    if (pmd->in_takeover) cost += ln_inflater_cost(pmd->in_bits);
    return cost;
}

int ln_ws_init(
    ln_ws *ws, const ln_ws_config *config, const struct ln_pmd_params *params, ln_ws_tools *tools) {
    assert(config->message_max <= LN_BUF_MAX - 64);
    *ws = (ln_ws){ .config = config, .peer_masks = config->client ? 0 : 0x80, .quiet = true };
    if (!params) return LINNET_OK;
    ln_pmd *pmd = ln_calloc(1, sizeof(*pmd));
    if (!pmd) return LINNET_ERR_NOMEM;
    bool client = config->client;
    pmd->out_bits = client ? params->client_bits : params->server_bits;
    pmd->in_bits = client ? params->server_bits : params->client_bits;
    pmd->out_takeover = client ? !params->client_no_takeover : !params->server_no_takeover;
    pmd->in_takeover = client ? !params->server_no_takeover : !params->client_no_takeover;
    assert(pmd->out_bits >= 9 && pmd->out_bits <= 15);
    assert(pmd->in_bits >= 8 && pmd->in_bits <= 15);
    ws->pmd = pmd;
    tools->pmd.memory += agreed_cost(ws);
    return LINNET_OK;
}

void ln_ws_fini(ln_ws *ws, ln_ws_tools *tools) {
    drop_message(ws);
    drop_control(ws);
    if (!ws->pmd) return;
    tools->pmd.memory -= agreed_cost(ws);
    ln_deflater_free(ws->pmd->deflater);
    ln_inflater_free(ws->pmd->inflater);
    ln_free(ws->pmd);
    ws->pmd = NULL;
}

ln_ws_variant ln_ws_variant_of(const ln_ws *ws) {
    if (!ws->pmd) return (ln_ws_variant){ 0 };
    return (ln_ws_variant){ .bits = ws->pmd->out_bits, .takeover = ws->pmd->out_takeover };
}

size_t ln_ws_held(const ln_ws *ws) {
    size_t held = ws->message.capacity + (ws->control ? LN_CONTROL_MAX : 0u);
    const ln_pmd *pmd = ws->pmd;
    if (!pmd) return held;
    held += sizeof(*pmd);
    if (pmd->deflater) held += ln_deflater_cost(pmd->out_bits, ws->config->deflate_memory);
    if (pmd->inflater) held += ln_inflater_cost(pmd->in_bits);
    return held;
}
