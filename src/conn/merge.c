/* merge.c -- texts that wait for one reader, one behind the other, in one message.
 *
 *     | head | [ | first | , | second | , ... | ] |
 *
 * Whoever reads pays for each message more than for what stands in it, so where several renderings
 * say that they may stand in an array (LN_RENDERING_ITEM), and the reader takes one, they leave as
 * one. That is decided when they leave and not before: until then each waits by itself, can be
 * dropped by itself, and counts for itself.
 *
 * What is compressed once for all who want it stays alone, because an array would have to be
 * compressed for this reader alone. With a window of its own each reader's messages are compressed
 * for him anyway, and an array costs less than what stands in it. What is too short to be
 * compressed goes in clear in an array, too.
 */
#include "conn/inner.h"
#include <assert.h>

#define HEAD_MAX 4 /* bytes: LN_MERGE_BYTES_MAX needs no longer length */
static_assert(LN_MERGE_BYTES_MAX <= UINT16_MAX, "a head of four bytes says how much follows");

static bool is_packed(const ln_conn *c, const ln_rendering *r) {
    return ln_send_compresses(c, r->size);
}

/* Whether it may stand in an array, packed or in clear, that has so much room left. */
static bool fits(const ln_conn *c, const ln_rendering *r, bool packed, size_t room) {
    return r && (r->flags & LN_RENDERING_ITEM) && r->size < room && is_packed(c, r) == packed;
}

bool ln_merge_can(const ln_conn *c) {
    const ln_rendering *first = ln_txq_first(&c->queue), *second = ln_txq_second(&c->queue);
    if (!ln_conn_is(c, LN_CF_ARRAYS) || !second) return false;
    bool packed = is_packed(c, first);
    if (packed && !ln_ws_variant_of(&c->ws).takeover) return false;
    return fits(c, first, packed, LN_MERGE_BYTES_MAX - 1) &&
           fits(c, second, packed, LN_MERGE_BYTES_MAX - 1 - first->size - 1);
}

/* Takes them from the queue and writes them to `at`, where there is room for LN_MERGE_BYTES_MAX.
 * Returns the bytes written. */
static size_t write_array(ln_conn *c, bool packed, uint8_t *at) {
    uint8_t *start = at, *end = at + LN_MERGE_BYTES_MAX;
    *at++ = '[';
    for (uint32_t n = 0; n < LN_MERGE_MAX; n++) {
        ln_rendering *r = ln_txq_first(&c->queue);
        if (!fits(c, r, packed, (size_t)(end - at))) break;
        memcpy(at, ln_rendering_payload(r), r->size);
        at += r->size;
        *at++ = ',';
        ln_rendering_unref(ln_send_pop(c));
    }
    at[-1] = ']';
    return (size_t)(at - start);
}

/* In clear: the room for the head is in front of it, and seldom one byte too long. */
static int merge_plain(ln_conn *c, ln_buf *out) {
    int err = ln_buf_reserve(out, HEAD_MAX + LN_MERGE_BYTES_MAX);
    if (err < 0) return err;
    uint8_t *at = ln_buf_room(out).data, head[LN_FRAME_HEAD_MAX];
    size_t size = write_array(c, false, at + HEAD_MAX);
    ln_frame f = { .length = size, .opcode = LN_OP_TEXT, .fin = true };
    size_t n = ln_frame_encode(&f, head);
    if (n < HEAD_MAX) memmove(at + n, at + HEAD_MAX, size);
    memcpy(at, head, n);
    ln_buf_commit(out, n + size);
    return LINNET_OK;
}

static int merge_packed(ln_conn *c, ln_buf *out) {
    ln_buf *text = &c->env->encoded;
    ln_buf_clear(text);
    int err = ln_buf_reserve(text, LN_MERGE_BYTES_MAX);
    if (err < 0) return err;
    ln_buf_commit(text, write_array(c, true, ln_buf_room(text).data));
    err = ln_ws_message(&c->ws, &c->env->tools, LN_OP_TEXT, ln_buf_slice(text), true, out);
    ln_buf_clear(text);
    return err;
}

int ln_merge(ln_conn *c, ln_buf *out) {
    return is_packed(c, ln_txq_first(&c->queue)) ? merge_packed(c, out) : merge_plain(c, out);
}
