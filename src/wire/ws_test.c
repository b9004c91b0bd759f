#include "base/testing.h"
#include "wire/ext.h"
#include "wire/ws.h"
#include <stdio.h>

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

static side *side_new_with(ln_ws_config config, const ln_pmd_params *params) {
    side *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->config = config;
    ln_rand_init_seeded(&s->rand, 1);
    ln_ws_tools_init(&s->tools, &s->rand);
    ln_buf_init(&s->told, LN_BUF_MAX);
    assert_int_equal(ln_ws_init(&s->ws, &s->config, params, &s->tools), LINNET_OK);
    return s;
}

static ln_ws_config config_of(bool client) {
    return (ln_ws_config){ .message_max = 1 << 20,
        .fragments_max = 1024,
        .deflate_level = 6,
        .deflate_memory = 8,
        .client = client };
}

static side *side_new(who w) {
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

static void side_free(side *s) {
    ln_ws_fini(&s->ws, &s->tools);
    assert_true(s->tools.pmd.memory == 0);
    ln_ws_tools_fini(&s->tools);
    ln_buf_fini(&s->told);
    free(s);
}

static void tell(side *s, const ln_ws_event *e) {
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
static void pull(side *s, ln_wslice in) {
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
static void feed(side *s, ln_slice piece) {
    ln_slice exact = ln_test_exact(piece);
    pull(s, (ln_wslice){ (uint8_t *)(uintptr_t)exact.data, exact.size });
    ln_test_drop(exact);
}

static void expect(side *s, ln_slice want) {
    ln_slice got = ln_buf_slice(&s->told);
    if (!ln_slice_eq(got, want))
        fail_msg("told   %.*s\nwanted %.*s", (int)got.size, (const char *)got.data, (int)want.size,
            (const char *)want.data);
}

/* Received ------------------------------------------------------------------------------- */

#define Z  "\0\0\0\0" /* a mask that keeps tables readable; others are tried below */
#define T5 "\x81\x85" Z
#define X125                                                                                       \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"   \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define HELLO_PACKED "\xf2\x48\xcd\xc9\xc9\x07\x00"

typedef struct row {
    const char *why;
    who who;
    ln_slice in, told;
    size_t at; /* the error comes with this byte, counted from 1; 0: not said */
} row;

static const row rows[] = {
    { "text", SERVER, BYTES(T5 "hello"), BYTES("text hello|"), 0 },
    { "binary", SERVER, BYTES("\x82\x83" Z "\xff\0\x80"), BYTES("binary \xff\0\x80|"), 0 },
    { "a real mask", SERVER, BYTES("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
        BYTES("text Hello|"), 0 },
    { "F1 a server's frames are not masked", CLIENT, BYTES("\x81\x05hello"), BYTES("text hello|"),
        0 },
    { "F1 T035 unmasked from a client: not one callback", SERVER, BYTES("\x81\x05hello"),
        BYTES("PROTO_MASK|"), 2 },
    { "F1 masked from a server", CLIENT, BYTES("\x81\x85" Z "hello"), BYTES("PROTO_MASK|"), 2 },
    { "F3 good message, then RSV2, then ping", SERVER, BYTES(T5 "hello\xa1\x80" Z "\x89\x80" Z),
        BYTES("text hello|PROTO_RSV|"), 12 },
    { "F3 T036 RSV1 without deflate", SERVER, BYTES("\xc1\x85" Z "hello"), BYTES("PROTO_RSV|"), 1 },
    { "F4 T037 opcode 3", SERVER, BYTES("\x83\x80" Z), BYTES("PROTO_OPCODE|"), 1 },
    { "F5 T038 5 in 16 bits", SERVER, BYTES("\x81\xfe\x00\x05" Z "hello"), BYTES("PROTO_LENGTH|"),
        4 },
    { "F6 T039 top bit", SERVER, BYTES("\x82\xff\x80\0\0\0\0\0\0\0" Z), BYTES("PROTO_LENGTH|"), 3 },
    { "F7 ping of 126", SERVER, BYTES("\x89\xfe\0\x7e" Z), BYTES("PROTO_CONTROL|"), 2 },
    { "F7 fragmented pong", SERVER, BYTES("\x0a\x80" Z), BYTES("PROTO_CONTROL|"), 1 },
    { "F8 T046 ping between fragments", SERVER,
        BYTES("\x01\x82" Z "he\x89\x81" Z "p\x80\x83" Z "llo"), BYTES("ping p|text hello|"), 0 },
    { "F8 every control between fragments, close last", SERVER,
        BYTES("\x01\x82" Z "he\x8a\x81" Z "o\x89\x80" Z "\x88\x80" Z "\x80\x83" Z "llo"),
        BYTES("pong o|ping |close 1005 |"), 0 },
    { "F9 T046 continuation of nothing", SERVER, BYTES("\x80\x81" Z "x" T5 "hello"),
        BYTES("PROTO_FRAGMENT|"), 6 },
    { "F9 unfinished continuation of nothing", SERVER, BYTES("\x00\x81" Z "x"),
        BYTES("PROTO_FRAGMENT|"), 6 },
    { "F9 continuation behind a whole fragmented message", SERVER,
        BYTES("\x01\x81" Z "a\x80\x81" Z "b\x00\x81" Z "c"), BYTES("text ab|PROTO_FRAGMENT|"), 20 },
    { "F10 T046 text inside a fragmented text", SERVER, BYTES("\x01\x81" Z "a\x81\x81" Z "b"),
        BYTES("PROTO_FRAGMENT|"), 13 },
    { "F10 binary inside a fragmented text", SERVER, BYTES("\x01\x81" Z "a\x02\x81" Z "b"),
        BYTES("PROTO_FRAGMENT|"), 13 },
    { "F11 empty fragments", SERVER, BYTES("\x01\x80" Z "\x00\x80" Z "\x80\x80" Z), BYTES("text |"),
        0 },
    { "F11 one among empty ones", SERVER, BYTES("\x02\x80" Z "\x00\x81" Z "x\x80\x80" Z),
        BYTES("binary x|"), 0 },
    { "F11 as many fragments as allowed", SMALL, BYTES("\x02\x80" Z "\x00\x80" Z "\x80\x80" Z),
        BYTES("binary |"), 0 },
    { "F11 T043 one fragment too many", SMALL,
        BYTES("\x02\x80" Z "\x00\x80" Z "\x00\x80" Z "\x80\x80" Z), BYTES("FRAGMENTS|"), 24 },
    { "F12 T042 exactly the limit", SMALL, BYTES("\x82\x8a" Z "0123456789"),
        BYTES("binary 0123456789|"), 0 },
    { "F12 T042 one over, told by the header", SMALL, BYTES("\x82\x8b" Z "0123456789a"),
        BYTES("TOO_BIG|"), 2 },
    { "F12 T042 fragments sum up to the limit", SMALL,
        BYTES("\x01\x85" Z "01234\x00\x80" Z "\x80\x85" Z "56789"), BYTES("text 0123456789|"), 0 },
    { "F12 T042 fragments sum up to one more, told by the header", SMALL,
        BYTES("\x01\x85" Z "01234\x80\x86" Z "56789a"), BYTES("TOO_BIG|"), 13 },
    { "F12 a control frame does not count", SMALL,
        BYTES("\x01\x85" Z "01234\x89\x8c" Z "0123456789ab\x80\x85" Z "56789"),
        BYTES("ping 0123456789ab|text 0123456789|"), 0 },
    { "F14 ping with 125 bytes", SERVER, BYTES("\x89\xfd" Z X125), BYTES("ping " X125 "|"), 0 },
    { "F14 pings in order", SERVER, BYTES("\x89\x81" Z "1\x89\x81" Z "2\x89\x81" Z "3"),
        BYTES("ping 1|ping 2|ping 3|"), 0 },
    { "F15 T054 unsolicited pong", SERVER, BYTES("\x8a\x81" Z "x" T5 "hello"),
        BYTES("pong x|text hello|"), 0 },
    { "F16 code point over two fragments", SERVER,
        BYTES("\x01\x81" Z "\xc3\x89\x80" Z "\x80\x81" Z "\xa9"), BYTES("ping |text \xc3\xa9|"),
        0 },
    { "F16 T048 text ends inside a code point", SERVER, BYTES("\x81\x82" Z "a\xc3"), BYTES("UTF8|"),
        8 },
    { "F16 fragmented text ends inside a code point", SERVER,
        BYTES("\x01\x81" Z "a\x80\x81" Z "\xc3"), BYTES("UTF8|"), 14 },
    { "F16 empty fragment behind a half code point", SERVER, BYTES("\x01\x81" Z "\xc3\x80\x80" Z),
        BYTES("UTF8|"), 13 },
    { "F16 T047 the first wrong byte, inside an unfinished frame", SERVER,
        BYTES("\x81\x94" Z "\xce\xba\xe1\xbd\xb9\xcf\x83\xf4\x90\x80\x80"), BYTES("UTF8|"), 15 },
    { "F16 the first wrong byte, inside an unfinished message", SERVER,
        BYTES("\x01\x82" Z "\xce\xba\x00\x84" Z "\xf4\x90\x80\x80"), BYTES("UTF8|"), 16 },
    { "F16 binary is not looked at", SERVER, BYTES("\x82\x82" Z "\xf4\x90"),
        BYTES("binary \xf4\x90|"), 0 },
    { "F16 a new text starts afresh", SERVER, BYTES("\x82\x81" Z "\xc3\x81\x81" Z "a"),
        BYTES("binary \xc3|text a|"), 0 },
    { "F17 overlong", SERVER, BYTES("\x81\x82" Z "\xc0\xaf"), BYTES("UTF8|"), 7 },
    { "F17 surrogate", SERVER, BYTES("\x81\x83" Z "\xed\xa0\x80"), BYTES("UTF8|"), 8 },
    { "F17 beyond U+10FFFF", SERVER, BYTES("\x81\x84" Z "\xf4\x90\x80\x80"), BYTES("UTF8|"), 8 },
    { "F17 T048 NUL, U+FFFE and U+FEFF are text", SERVER,
        BYTES("\x81\x87" Z "\0\xef\xbf\xbe\xef\xbb\xbf"), BYTES("text \0\xef\xbf\xbe\xef\xbb\xbf|"),
        0 },
    { "F17 not UTF-8 from a server", CLIENT, BYTES("\x81\x02\xc0\xaf"), BYTES("UTF8|"), 3 },

    { "L1 empty close", SERVER, BYTES("\x88\x80" Z), BYTES("close 1005 |"), 0 },
    { "L1 T049 close of one byte", SERVER, BYTES("\x88\x81" Z "\x03"), BYTES("PROTO_CLOSE|"), 7 },
    { "L1 close with a code", SERVER, BYTES("\x88\x82" Z "\x03\xe8"), BYTES("close 1000 |"), 0 },
    { "L1 close with code and reason", CLIENT,
        BYTES("\x88\x05\x03\xe9"
              "bye"),
        BYTES("close 1001 bye|"), 0 },
    { "L1 T049 reason not UTF-8", SERVER, BYTES("\x88\x84" Z "\x03\xe8\xc0\xaf"), BYTES("UTF8|"),
        10 },
    { "L1 reason cut inside a code point", SERVER, BYTES("\x88\x83" Z "\x03\xe8\xc3"),
        BYTES("UTF8|"), 9 },
    { "L1 a reason of 124 bytes", SERVER, BYTES("\x88\xfe\x00\x7e" Z), BYTES("PROTO_CONTROL|"), 2 },
    { "L2 T050 nothing is read behind a close: data", SERVER,
        BYTES("\x88\x82" Z "\x03\xe8" T5 "hello"), BYTES("close 1000 |"), 0 },
    { "L2 T050 a second close", SERVER, BYTES("\x88\x80" Z "\x88\x82" Z "\x03\xe8"),
        BYTES("close 1005 |"), 0 },
    { "L2 ping behind a close", SERVER, BYTES("\x88\x80" Z "\x89\x80" Z), BYTES("close 1005 |"),
        0 },
    { "L2 rubbish behind a close", SERVER, BYTES("\x88\x80" Z "\xff\xff\xff"),
        BYTES("close 1005 |"), 0 },
    { "L2 close inside a fragmented message drops it", SERVER,
        BYTES("\x01\x81" Z "a\x88\x80" Z "\x80\x81" Z "b"), BYTES("close 1005 |"), 0 },
    { "L4 after a failure not even a close", SERVER, BYTES("\x83\x80" Z "\x88\x80" Z),
        BYTES("PROTO_OPCODE|"), 1 },
    { "L6 reserved code 1004", SERVER, BYTES("\x88\x82" Z "\x03\xec"), BYTES("PROTO_CLOSE|"), 8 },

    { "D1 the RFC's own Hello", DEFLATING, BYTES("\xc1\x87" Z HELLO_PACKED), BYTES("text* Hello|"),
        0 },
    { "D2 RSV1 on a continuation", DEFLATING, BYTES("\x41\x81" Z "\xf2\xc0\x81" Z "x"),
        BYTES("PROTO_RSV|"), 8 },
    { "D2 RSV1 on a ping", DEFLATING, BYTES("\xc9\x80" Z), BYTES("PROTO_RSV|"), 1 },
    { "D3 fragments cut the stream anywhere", DEFLATING,
        BYTES("\x41\x83" Z "\xf2\x48\xcd\x00\x80" Z "\x80\x84" Z "\xc9\xc9\x07\x00"),
        BYTES("text* Hello|"), 0 },
    { "D4 T065 plain in between", DEFLATING,
        BYTES("\xc1\x87" Z HELLO_PACKED T5 "hello\xc1\x87" Z HELLO_PACKED),
        BYTES("text* Hello|text hello|text* Hello|"), 0 },
    { "D4 plain does not touch the window: the second Hello is a reference (RFC 7692 7.2.3.2)",
        TAKEOVER, BYTES("\xc1\x87" Z HELLO_PACKED T5 "world\xc1\x85" Z "\xf2\x00\x11\x00\x00"),
        BYTES("text* Hello|text world|text* Hello|"), 0 },
    { "D4 the same without a window has nothing to refer to", DEFLATING,
        BYTES("\xc1\x87" Z HELLO_PACKED "\xc1\x85" Z "\xf2\x00\x11\x00\x00"),
        BYTES("text* Hello|DEFLATE|"), 24 },
    { "D5 T065 empty: one 00", DEFLATING, BYTES("\xc1\x81" Z "\x00"), BYTES("text* |"), 0 },
    { "D5 T065 empty: no byte at all", DEFLATING, BYTES("\xc1\x80" Z), BYTES("text* |"), 0 },
    { "D5 the same with takeover", TAKEOVER,
        BYTES("\xc1\x81" Z "\x00\xc1\x80" Z "\xc1\x87" Z HELLO_PACKED "\xc1\x80" Z),
        BYTES("text* |text* |text* Hello|text* |"), 0 },
    { "D6 T061 BFINAL and 00", DEFLATING, BYTES("\xc1\x88" Z "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
        BYTES("text* Hello|"), 0 },
    { "D6 BFINAL without the 00", DEFLATING, BYTES("\xc1\x87" Z "\xf3\x48\xcd\xc9\xc9\x07\x00"),
        BYTES("text* Hello|"), 0 },
    { "D6 more behind BFINAL, with the window kept", TAKEOVER,
        BYTES("\xc1\x8c" Z "\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00"),
        BYTES("text* HelloHello|"), 0 },
    { "D6 BFINAL, then the window in the next message", TAKEOVER,
        BYTES("\xc1\x88" Z "\xf3\x48\xcd\xc9\xc9\x07\x00\x00\xc1\x85" Z "\xf2\x00\x11\x00\x00"),
        BYTES("text* Hello|text* Hello|"), 0 },
    { "D7 the tail was left on", DEFLATING, BYTES("\xc1\x8b" Z HELLO_PACKED "\x00\x00\xff\xff"),
        BYTES("text* Hello|"), 0 },
    { "D7 the tail was left on, with takeover", TAKEOVER,
        BYTES("\xc1\x8b" Z HELLO_PACKED "\x00\x00\xff\xff\xc1\x85" Z "\xf2\x00\x11\x00\x00"),
        BYTES("text* Hello|text* Hello|"), 0 },
    { "D8 T061 corrupt", DEFLATING, BYTES("\xc1\x82" Z "\x03\xef"), BYTES("DEFLATE|"), 8 },
    { "D8 reserved block type", DEFLATING, BYTES("\xc1\x81" Z "\x07"), BYTES("DEFLATE|"), 7 },
    { "D8 distance too far", DEFLATING, BYTES("\xc1\x85" Z "\xf2\x00\x11\x00\x00"),
        BYTES("DEFLATE|"), 11 },
    { "D8 T061 truncated", DEFLATING, BYTES("\xc1\x83" Z "\xf2\x48\xcd"), BYTES("DEFLATE|"), 9 },
    { "D8 truncated, with takeover", TAKEOVER, BYTES("\xc1\x83" Z "\xf2\x48\xcd"),
        BYTES("DEFLATE|"), 9 },
    { "D8 T059 inflated to exactly the limit", SMALL,
        BYTES("\xc2\x86" Z "\x4a\x4c\x84\x01\x00\x00"), BYTES("binary* aaaaaaaaaa|"), 0 },
    { "D8 T059 inflated to one more", SMALL, BYTES("\xc2\x86" Z "\x4a\x4c\x84\x03\x00\x00"),
        BYTES("TOO_BIG|"), 12 },
    { "D8 compressed bytes that inflate to nothing are bounded by the header", SMALL,
        BYTES("\xc2\xcb" Z), BYTES("TOO_BIG|"), 2 },
    { "D9 UTF-8 is judged after inflation", DEFLATING, BYTES("\xc1\x83" Z "\xfa\x0f\x00"),
        BYTES("UTF8|"), 9 },
    { "D9 binary is not", DEFLATING, BYTES("\xc2\x83" Z "\xfa\x0f\x00"), BYTES("binary* \xff|"),
        0 },
};

static void try_row(const row *r, size_t first, size_t second) {
    side *s = side_new(r->who);
    feed(s, ln_slice_sub(r->in, 0, first));
    feed(s, ln_slice_sub(r->in, first, second));
    feed(s, ln_slice_sub(r->in, second, r->in.size));
    expect(s, r->told);
    side_free(s);
}

static void byte_by_byte(const row *r) {
    side *s = side_new(r->who);
    for (size_t i = 0; i < r->in.size; i++) {
        feed(s, ln_slice_sub(r->in, i, i + 1));
        if (r->at) assert_int_equal(s->err != 0, i + 1 >= r->at);
    }
    expect(s, r->told);
    side_free(s);
}

/* F13, T034: every input cut at every pair of places, and byte by byte. */
static void f13_every_row_with_every_cut(void **state) {
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        byte_by_byte(&rows[i]);
        size_t size = rows[i].in.size, step = size < 60 ? 1 : 7;
        for (size_t a = 0; a <= size; a++)
            for (size_t b = a; b <= size; b += step)
                try_row(&rows[i], a, b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f13_every_row_with_every_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
