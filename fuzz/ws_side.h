/* ws_side.h -- one side of a WebSocket under fuzzing: how it is set up, and how it tells. */
#ifndef FUZZ_WS_SIDE_H
#define FUZZ_WS_SIDE_H
#include "fuzz.h"
#include "wire/ext.h"
#include "wire/ws.h"

typedef struct fuzz_setup {
    ln_ws_config config;
    bool deflate;
    bool closing; /* we have sent our Close before anything arrives */
    bool hearing; /* ... and still listen for messages (ln_ws_finish) */
    ln_pmd_params params;
} fuzz_setup;

static inline fuzz_setup fuzz_setup_of(bool client, uint8_t choice) {
    static const ln_pmd_params params[] = { { 0 }, { true, true, 15, 15 }, { false, false, 15, 15 },
        { false, false, 9, 10 } };
    bool small = choice & 4;
    return (fuzz_setup){
        .config = { .message_max = small ? 100 : 100000,
            .fragments_max = small ? 4 : 1000,
            .deflate_level = 1,
            .deflate_memory = 1,
            .client = client,
            .one_shot = choice & 8 },
        .deflate = choice & 3,
        .closing = (choice & 0x30) == 0x30,
        .hearing = (choice & 0x70) == 0x70,
        .params = params[choice & 3],
    };
}

/* Data is thrown away unread. */
static inline bool fuzz_discards(const fuzz_setup *setup) {
    return setup->closing && !setup->hearing;
}

/* One side and, byte by byte, what it told. */
typedef struct fuzz_side {
    const fuzz_setup *setup;
    ln_rand rand;
    ln_ws_tools tools;
    ln_ws ws;
    ln_buf told;
    bool failed;
} fuzz_side;

static inline void fuzz_open(fuzz_side *s, const fuzz_setup *setup) {
    memset(s, 0, sizeof(*s));
    s->setup = setup;
    ln_rand_init_seeded(&s->rand, 1);
    ln_ws_tools_init(&s->tools, &s->rand);
    ln_buf_init(&s->told, LN_BUF_MAX);
    const ln_pmd_params *params = setup->deflate ? &setup->params : NULL;
    FUZZ_REQUIRE(ln_ws_init(&s->ws, &setup->config, params, &s->tools) == LINNET_OK);
    if (!setup->closing) return;
    ln_buf out;
    ln_buf_init(&out, 100);
    ln_slice none = { 0 };
    int err = setup->hearing ? ln_ws_finish(&s->ws, &s->tools, 1000, none, &out)
                             : ln_ws_close(&s->ws, &s->tools, 1000, none, &out);
    FUZZ_REQUIRE(err == LINNET_OK);
    ln_buf_fini(&out);
}

static inline void fuzz_close(fuzz_side *s) {
    ln_ws_fini(&s->ws, &s->tools);
    FUZZ_REQUIRE(s->tools.pmd.memory == 0);
    ln_ws_tools_fini(&s->tools);
    ln_buf_fini(&s->told);
}

static inline void fuzz_tell_event(ln_buf *told, uint8_t opcode, uint16_t code, ln_slice data) {
    FUZZ_REQUIRE(ln_buf_addf(told, "%d %d %zu:", opcode, code, data.size) == 0);
    FUZZ_REQUIRE(ln_buf_add(told, data) == 0);
}

static inline void fuzz_tell_error(ln_buf *told, int err) {
    FUZZ_REQUIRE(ln_buf_addf(told, "%s", linnet_errname(err)) == 0);
}

static inline void fuzz_check_event(const fuzz_side *s, const ln_ws_event *e) {
    ln_slice data = ln_slice_of(e->data.data, e->data.size);
    FUZZ_REQUIRE(!s->failed);
    if (e->kind == LN_WS_MESSAGE) {
        FUZZ_REQUIRE(!fuzz_discards(s->setup));
        FUZZ_REQUIRE(e->opcode == LN_OP_TEXT || e->opcode == LN_OP_BINARY);
        FUZZ_REQUIRE(data.size <= s->setup->config.message_max);
        FUZZ_REQUIRE(e->opcode == LN_OP_BINARY || ln_utf8_valid(data));
    } else {
        FUZZ_REQUIRE(data.size <= LN_CONTROL_MAX);
    }
    if (e->kind == LN_WS_CLOSE) {
        FUZZ_REQUIRE(e->code == 1005 || ln_ws_code_valid(e->code));
        FUZZ_REQUIRE(ln_utf8_valid(data));
        FUZZ_REQUIRE(s->ws.state == LN_WS_CLOSED);
    }
}
#endif
