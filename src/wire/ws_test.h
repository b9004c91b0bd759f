/* ws_test.h -- a side of a WebSocket that tells what it was told, for the tests of ws.h. */
#ifndef LN_WIRE_WS_TEST_H
#define LN_WIRE_WS_TEST_H
#include "base/testing.h"
#include "wire/ext.h"
#include "wire/ws.h"

/* One side, its tools, and what it has told so far, as text: one word per event. */
typedef struct side {
    ln_ws_config config;
    ln_ws_tools tools;
    ln_rand rand;
    ln_ws ws;
    ln_buf told;
    int err; /* the first */
} side;

typedef enum who { SERVER, CLIENT, DEFLATING, TAKEOVER, SMALL } who;

static const ln_pmd_params no_takeover = { true, true, 15, 15 };
static const ln_pmd_params takeover = { false, false, 15, 15 };

static inline side *side_new_with(ln_ws_config config, const ln_pmd_params *params) {
    side *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->config = config;
    ln_rand_init_seeded(&s->rand, 1);
    ln_ws_tools_init(&s->tools, &s->rand);
    ln_buf_init(&s->told, LN_BUF_MAX);
    assert_int_equal(ln_ws_init(&s->ws, &s->config, params, &s->tools), LINNET_OK);
    return s;
}

static inline ln_ws_config config_of(bool client) {
    return (ln_ws_config){ .message_max = 1 << 20,
        .fragments_max = 1024,
        .deflate_level = 6,
        .deflate_memory = 8,
        .client = client };
}

static inline side *side_new(who w) {
    ln_ws_config c = config_of(w == CLIENT);
    if (w == SMALL) {
        c.message_max = 10;
        c.fragments_max = 3;
    }
    return side_new_with(c, w == DEFLATING  ? &no_takeover
                            : w == SMALL    ? &no_takeover
                            : w == TAKEOVER ? &takeover
                                            : NULL);
}

static inline void side_free(side *s) {
    ln_ws_fini(&s->ws, &s->tools);
    assert_true(s->tools.pmd.memory == 0);
    ln_ws_tools_fini(&s->tools);
    ln_buf_fini(&s->told);
    free(s);
}

static inline void tell(side *s, const ln_ws_event *e) {
    static const char *const kinds[] = { "", "text", "binary", "", "", "", "", "", "close", "ping",
        "pong" };
    assert_int_equal(ln_buf_addf(&s->told, "%s%s ", kinds[e->opcode], e->inflated ? "*" : ""), 0);
    if (e->kind == LN_WS_CLOSE) ln_buf_addf(&s->told, "%d ", e->code);
    assert_int_equal(ln_buf_add(&s->told, ln_slice_of(e->data.data, e->data.size)), 0);
    assert_int_equal(ln_buf_add_byte(&s->told, '|'), 0);
    if (e->headroom) /* ours to spoil, and the rest must not mind */
        memset(e->data.data - ln_frame_head_size(e->data.size, s->config.client), 0xee,
            ln_frame_head_size(e->data.size, s->config.client) + e->data.size);
}

/* Pulls until nothing more comes. */
static inline void pull(side *s, ln_wslice in) {
    for (;;) {
        ln_ws_event e;
        int result = ln_ws_next(&s->ws, &s->tools, &in, &e);
        if (result == LN_DONE) {
            assert_int_equal(s->err, 0); /* after an error no event follows */
            tell(s, &e);
        } else if (result == LN_MORE) {
            assert_int_equal(in.size, 0);
            return;
        } else {
            assert_int_equal(s->err, 0);
            assert_int_equal(s->ws.state, LN_WS_FAILED);
            s->err = result;
            ln_buf_addf(&s->told, "%s|", linnet_errname(result));
        }
    }
}

/* Feeds one piece from a block of exactly its size. */
static inline void feed(side *s, ln_slice piece) {
    ln_slice exact = ln_test_exact(piece);
    pull(s, (ln_wslice){ (uint8_t *)(uintptr_t)exact.data, exact.size });
    ln_test_drop(exact);
}

static inline void expect(side *s, ln_slice want) {
    ln_slice got = ln_buf_slice(&s->told);
    if (!ln_slice_eq(got, want))
        fail_msg("told   %.*s\nwanted %.*s", (int)got.size, (const char *)got.data, (int)want.size,
            (const char *)want.data);
}

/* Chance with a seed, for the property tests; its own, so that it stays what it is. */
typedef struct dice {
    uint64_t state;
} dice;

static inline uint32_t roll(dice *d, uint32_t n) {
    d->state = d->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((d->state >> 33) % n);
}

/* Feeds the input in random pieces, through ln_ws_room where it is offered. */
static inline void feed_cut(side *s, ln_slice in, dice *d) {
    while (in.size) {
        uint32_t most = roll(d, 3) ? 70000 : 20;
        size_t n = 1 + roll(d, in.size < most ? (uint32_t)in.size : most);
        ln_wslice room = roll(d, 2) ? ln_ws_room(&s->ws, n) : (ln_wslice){ 0 };
        if (room.size) {
            assert_true(room.size <= n);
            memcpy(room.data, in.data, room.size);
            ln_ws_received(&s->ws, room.size);
            ln_slice_skip(&in, room.size);
            pull(s, (ln_wslice){ 0 });
        } else {
            feed(s, ln_slice_sub(in, 0, n));
            ln_slice_skip(&in, n);
        }
    }
}
#endif
