/* ws.h -- what ws-server and ws-client share: a WebSocket and whatever a peer may send.
 *
 *   - the same events and the same error, whether it all comes at once or in any pieces, and also
 *     when the WebSocket is written down and read back in between;
 *   - without deflate, what a second, simpler reading of RFC 6455 says (ws_model.h);
 *   - what was received can be sent, and the other side receives the same.
 */
#ifndef FUZZ_WS_H
#define FUZZ_WS_H
#include "ws_model.h"

/* Writes over all that an event gives away, which must not show later. */
static inline void fuzz_spoil(const fuzz_side *s, const ln_ws_event *e) {
    size_t room = e->headroom ? ln_frame_head_size(e->data.size, s->setup->config.client) : 0;
    if (room + e->data.size) memset(e->data.data - room, 0xee, room + e->data.size);
}

static inline void fuzz_feed(fuzz_side *s, ln_slice piece) {
    ln_wslice exact = fuzz_exact(piece), in = exact;
    for (size_t calls = 0;; calls++) {
        FUZZ_REQUIRE(calls <= piece.size + 2);
        ln_ws_event e;
        int result = ln_ws_next(&s->ws, &s->tools, &in, &e);
        if (result == LN_MORE) break;
        if (result == LN_DONE) {
            fuzz_check_event(s, &e);
            fuzz_tell_event(&s->told, e.opcode, e.code, ln_slice_of(e.data.data, e.data.size));
            fuzz_spoil(s, &e);
        } else {
            FUZZ_REQUIRE(!s->failed);
            FUZZ_REQUIRE(ln_err_close_code(result) >= 1002);
            s->failed = true;
            fuzz_tell_error(&s->told, result);
        }
    }
    FUZZ_REQUIRE(in.size == 0);
    free(exact.data);
}

/* Written down and read back, by other tools. */
static inline void fuzz_move(fuzz_side *s) {
    ln_buf record;
    fuzz_side other;
    ln_buf_init(&record, LN_BUF_MAX);
    FUZZ_REQUIRE(ln_ws_save(&s->ws, &record) == LINNET_OK);
    fuzz_open(&other, s->setup);
    ln_ws_fini(&other.ws, &other.tools);
    FUZZ_REQUIRE(
        ln_ws_restore(&other.ws, &s->setup->config, ln_buf_slice(&record), &other.tools) == 0);
    FUZZ_REQUIRE(ln_buf_add(&other.told, ln_buf_slice(&s->told)) == 0);
    other.failed = s->failed;
    ln_buf_fini(&record);
    fuzz_close(s);
    *s = other;
    s->tools.rand = &s->rand;
}

/* What messages `from` got it sends back to a new peer, which must get the same. */
static inline void fuzz_echo(const fuzz_setup *setup, ln_slice in) {
    fuzz_side here, there;
    fuzz_setup mirror = *setup;
    mirror.config.client = !setup->config.client;
    fuzz_open(&here, setup);
    fuzz_open(&there, &mirror);
    ln_buf wire, want;
    ln_buf_init(&wire, LN_BUF_MAX);
    ln_buf_init(&want, LN_BUF_MAX);
    ln_wslice exact = fuzz_exact(in), rest = exact;
    ln_ws_event e;
    while (ln_ws_next(&here.ws, &here.tools, &rest, &e) == LN_DONE) {
        ln_slice data = ln_slice_of(e.data.data, e.data.size);
        if (e.kind != LN_WS_MESSAGE) continue;
        FUZZ_REQUIRE(
            ln_ws_message(&here.ws, &here.tools, e.opcode, data, true, &wire) == LINNET_OK);
        fuzz_tell_event(&want, e.opcode, 0, data);
    }
    fuzz_feed(&there, ln_buf_slice(&wire));
    FUZZ_REQUIRE(ln_slice_eq(ln_buf_slice(&there.told), ln_buf_slice(&want)));
    free(exact.data);
    ln_buf_fini(&wire);
    ln_buf_fini(&want);
    fuzz_close(&here);
    fuzz_close(&there);
}

static inline void fuzz_pieces(const fuzz_setup *setup, ln_slice in, bool moving, ln_slice want) {
    fuzz_chance c = fuzz_chance_of(in);
    fuzz_side s;
    fuzz_open(&s, setup);
    for (size_t at = 0; at < in.size;) {
        size_t n = fuzz_piece(&c, in.size - at);
        fuzz_feed(&s, ln_slice_sub(in, at, at + n));
        if (moving && fuzz_below(&c, 3) == 0) fuzz_move(&s);
        at += n;
    }
    FUZZ_REQUIRE(ln_slice_eq(ln_buf_slice(&s.told), want));
    fuzz_close(&s);
}

static inline void fuzz_ws(bool client, ln_slice in) {
    fuzz_setup setup = fuzz_setup_of(client, fuzz_choice(&in));
    fuzz_side whole;
    fuzz_open(&whole, &setup);
    fuzz_feed(&whole, in);
    ln_slice told = ln_buf_slice(&whole.told);
    if (!setup.deflate) {
        ln_buf want;
        ln_buf_init(&want, LN_BUF_MAX);
        fuzz_model(&setup, in, &want);
        FUZZ_REQUIRE(ln_slice_eq(told, ln_buf_slice(&want)));
        ln_buf_fini(&want);
    }
    fuzz_pieces(&setup, in, false, told);
    fuzz_pieces(&setup, in, true, told);
    if (!setup.closing) fuzz_echo(&setup, in);
    fuzz_close(&whole);
}
#endif
