#include "wire/ws_test.h"

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
    { "F12 a continuation of nothing is no compressed one, whatever came before", SMALL,
        BYTES("\xc2\x81" Z "\0\x89\x80" Z "\x82\x81" Z "x\x80\x8b" Z "0123456789a"),
        BYTES("binary* |ping |binary x|TOO_BIG|"), 22 },
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

/* T049, L6, L7: what may be received may be sent, and nothing else. */
static void t049_every_close_code(void **state) {
    for (uint32_t code = 0; code <= UINT16_MAX; code++) {
        bool valid = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
                     (code >= 3000 && code <= 4999);
        side *s = side_new(SERVER);
        uint8_t frame[] = { 0x88, 0x82, 0, 0, 0, 0, (uint8_t)(code >> 8), (uint8_t)code };
        feed(s, ln_slice_of(frame, sizeof(frame)));
        assert_int_equal(s->err, valid ? 0 : LINNET_ERR_PROTO_CLOSE);
        assert_int_equal(s->ws.state, valid ? LN_WS_CLOSED : LN_WS_FAILED);
        ln_buf out;
        ln_buf_init(&out, 100);
        bool bare = code == 0 || code == 1005;
        int want = valid || bare ? LINNET_OK : LINNET_ERR_INVAL;
        assert_int_equal(ln_ws_close(&s->ws, &s->tools, (uint16_t)code, LN_SLICE(""), &out), want);
        assert_int_equal(out.size, valid ? 4 : bare ? 2 : 0);
        ln_buf_fini(&out);
        side_free(s);
    }
}

/* Closing ------------------------------------------------------------------------------- */

typedef struct closing_row {
    const char *why;
    ln_slice before; /* received in OPEN, then we close */
    ln_slice after, told;
    ln_ws_state state;
} closing_row;

static const closing_row closings[] = {
    { "L2 the peer answers", BYTES(""), BYTES("\x88\x82" Z "\x03\xe8"), BYTES("close 1000 |"),
        LN_WS_CLOSED },
    { "L3 data is discarded until then", BYTES(""), BYTES(T5 "hello\x82\x81" Z "x\x88\x80" Z),
        BYTES("close 1005 |"), LN_WS_CLOSED },
    { "L3 even what no limit lets in", BYTES(""),
        BYTES("\x82\xff\0\0\0\0\xff\xff\xff\xff" Z "some of it"), BYTES(""), LN_WS_CLOSING },
    { "L3 and text that is none", BYTES(""), BYTES("\x81\x82" Z "\xff\xff\x88\x80" Z),
        BYTES("close 1005 |"), LN_WS_CLOSED },
    { "L3 pings and pongs are discarded", BYTES(""),
        BYTES("\x89\x83" Z "abc\x8a\x83" Z "def\x88\x80" Z), BYTES("close 1005 |"), LN_WS_CLOSED },
    { "L3 half a message is given up", BYTES("\x01\x83" Z "abc"),
        BYTES("\x80\x83" Z "def" T5 "hello\x88\x80" Z), BYTES("close 1005 |"), LN_WS_CLOSED },
    { "L3 half a frame is given up", BYTES(T5 "he"), BYTES("llo\x88\x83" Z "\x03\xe9!"),
        BYTES("close 1001 !|"), LN_WS_CLOSED },
    { "L3 a ping cut by our close", BYTES("\x89\x85" Z "he"), BYTES("llo\x88\x80" Z),
        BYTES("close 1005 |"), LN_WS_CLOSED },
    { "the peer's close cut by ours", BYTES("\x88\x85" Z "\x03\xe9"), BYTES("bye"),
        BYTES("close 1001 bye|"), LN_WS_CLOSED },
    { "the same behind a fragment", BYTES("\x01\x83" Z "abc\x88\x85" Z "\x03\xe9"), BYTES("bye"),
        BYTES("close 1001 bye|"), LN_WS_CLOSED },
    { "a header cut by our close", BYTES("\x81"), BYTES("\x85" Z "hello\x88\x80" Z),
        BYTES("close 1005 |"), LN_WS_CLOSED },
    { "rules still hold", BYTES(""), BYTES("\x81\x05hello"), BYTES("PROTO_MASK|"), LN_WS_FAILED },
    { "a bad close is still bad", BYTES(""), BYTES("\x88\x81" Z "x"), BYTES("PROTO_CLOSE|"),
        LN_WS_FAILED },
    { "T050 nothing behind it", BYTES(""), BYTES("\x88\x80" Z "\x88\x81" Z "x" T5 "hello"),
        BYTES("close 1005 |"), LN_WS_CLOSED },
};

static void try_closing(const closing_row *r, size_t a, size_t b) {
    side *s = side_new(SERVER);
    feed(s, r->before);
    ln_buf out;
    ln_buf_init(&out, 100);
    assert_int_equal(ln_ws_close(&s->ws, &s->tools, 1000, LN_SLICE("so long"), &out), 0);
    assert_true(ln_slice_eq(ln_buf_slice(&out), LN_SLICE("\x88\x09\x03\xe8so long")));
    assert_int_equal(s->ws.state, LN_WS_CLOSING);
    feed(s, ln_slice_sub(r->after, 0, a));
    feed(s, ln_slice_sub(r->after, a, b));
    feed(s, ln_slice_sub(r->after, b, r->after.size));
    expect(s, r->told);
    assert_int_equal(s->ws.state, r->state);
    pull(s, (ln_wslice){ 0 });
    assert_int_equal(ln_ws_held(&s->ws), 0);
    ln_buf_fini(&out);
    side_free(s);
}

static void l3_what_comes_behind_our_close(void **state) {
    for (size_t i = 0; i < LN_COUNT(closings); i++) {
        print_message("# %s\n", closings[i].why);
        for (size_t a = 0; a <= closings[i].after.size; a++)
            for (size_t b = a; b <= closings[i].after.size; b++)
                try_closing(&closings[i], a, b);
    }
}

static void closing_while_an_event_is_handled_keeps_its_data(void **state) {
    side *s = side_new(SERVER);
    ln_buf out;
    ln_buf_init(&out, 100);
    uint8_t first[] = "\x01\x82\0\0\0\0he", last[] = "\x80\x83\0\0\0\0llo";
    ln_wslice in = { first, sizeof(first) - 1 };
    ln_ws_event e;
    assert_int_equal(ln_ws_next(&s->ws, &s->tools, &in, &e), LN_MORE);
    in = (ln_wslice){ last, sizeof(last) - 1 };
    assert_int_equal(ln_ws_next(&s->ws, &s->tools, &in, &e), LN_DONE);
    assert_int_equal(ln_ws_close(&s->ws, &s->tools, 0, (ln_slice){ 0 }, &out), 0);
    assert_memory_equal(e.data.data, "hello", 5);
    pull(s, (ln_wslice){ 0 });
    assert_int_equal(ln_ws_held(&s->ws), 0);
    ln_buf_fini(&out);
    side_free(s);
}

/* Sending ------------------------------------------------------------------------------- */

static void sent_is(ln_buf *out, int err, ln_slice want) {
    assert_int_equal(err, LINNET_OK);
    assert_true(ln_slice_eq(ln_buf_slice(out), want));
    ln_buf_clear(out);
}

static void f2_a_server_sends_short_heads_without_a_mask(void **state) {
    side *s = side_new(SERVER);
    ln_ws *ws = &s->ws;
    ln_ws_tools *t = &s->tools;
    ln_buf out;
    ln_buf_init(&out, 100000);
    ln_slice hello = LN_SLICE("hello");
    sent_is(&out, ln_ws_message(ws, t, LN_OP_TEXT, hello, true, &out), LN_SLICE("\x81\x05hello"));
    sent_is(&out, ln_ws_message(ws, t, LN_OP_BINARY, (ln_slice){ 0 }, true, &out),
        LN_SLICE("\x82\x00"));
    sent_is(&out, ln_ws_fragment(ws, t, LN_OP_TEXT, false, hello, &out), LN_SLICE("\x01\x05hello"));
    sent_is(&out, ln_ws_fragment(ws, t, 0, false, hello, &out), LN_SLICE("\x00\x05hello"));
    sent_is(&out, ln_ws_fragment(ws, t, 0, true, hello, &out), LN_SLICE("\x80\x05hello"));
    sent_is(&out, ln_ws_control(ws, t, LN_OP_PING, hello, &out), LN_SLICE("\x89\x05hello"));
    sent_is(&out, ln_ws_control(ws, t, LN_OP_PONG, hello, &out), LN_SLICE("\x8a\x05hello"));
    sent_is(&out, ln_ws_close(ws, t, 4999, hello, &out), LN_SLICE("\x88\x07\x13\x87hello"));
    ln_buf_fini(&out);
    side_free(s);
}

static void c7_a_client_masks_with_a_fresh_key_each_time(void **state) {
    side *s = side_new(CLIENT);
    ln_buf out;
    ln_buf_init(&out, 1000);
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            ln_ws_message(&s->ws, &s->tools, LN_OP_TEXT, LN_SLICE("hello"), false, &out), 0);
    ln_slice sent = ln_buf_slice(&out);
    assert_int_equal(sent.size, 22);
    assert_memory_equal(sent.data, "\x81\x85", 2);
    assert_memory_not_equal(sent.data + 2, sent.data + 13, 4);
    side *server = side_new(SERVER);
    feed(server, sent);
    expect(server, LN_SLICE("text hello|text hello|"));
    side_free(server);
    ln_buf_fini(&out);
    side_free(s);
}

static void what_cannot_be_sent_is_refused_and_leaves_nothing(void **state) {
    side *s = side_new(SERVER);
    ln_ws *ws = &s->ws;
    ln_ws_tools *t = &s->tools;
    ln_buf out, small;
    ln_buf_init(&out, 1000);
    ln_buf_init(&small, 64);
    uint8_t long_one[126];
    memset(long_one, 'x', sizeof(long_one));
    ln_slice x126 = ln_slice_of(long_one, 126), x124 = ln_slice_of(long_one, 124), none = { 0 };
    assert_int_equal(ln_ws_control(ws, t, LN_OP_PING, x126, &out), LINNET_ERR_INVAL);
    assert_int_equal(ln_ws_close(ws, t, 1000, x124, &out), LINNET_ERR_INVAL);
    assert_int_equal(ln_ws_close(ws, t, 1000, LN_SLICE("\xc3"), &out), LINNET_ERR_INVAL);
    assert_int_equal(ln_ws_close(ws, t, 0, LN_SLICE("why"), &out), LINNET_ERR_INVAL);
    assert_int_equal(ln_ws_close(ws, t, 1005, LN_SLICE("why"), &out), LINNET_ERR_INVAL);
    assert_int_equal(ln_ws_message(ws, t, LN_OP_TEXT, x126, true, &small), LINNET_ERR_TOO_BIG);
    assert_int_equal(ln_ws_fragment(ws, t, LN_OP_TEXT, 0, x126, &small), LINNET_ERR_TOO_BIG);
    assert_int_equal(ws->state, LN_WS_OPEN);
    assert_int_equal(ln_ws_close(ws, t, 1000, none, &out), 0);
    ln_buf_clear(&out);
    assert_int_equal(ln_ws_close(ws, t, 1000, none, &out), LINNET_ERR_STATE);
    assert_int_equal(ln_ws_message(ws, t, LN_OP_TEXT, none, true, &out), LINNET_ERR_STATE);
    assert_int_equal(ln_ws_fragment(ws, t, LN_OP_TEXT, true, none, &out), LINNET_ERR_STATE);
    assert_int_equal(ln_ws_control(ws, t, LN_OP_PONG, none, &out), LINNET_ERR_STATE);
    assert_int_equal(out.size + small.size, 0);
    ln_buf_fini(&out);
    ln_buf_fini(&small);
    side_free(s);
}

static void a_failure_is_told_with_a_close_behind_what_was_queued(void **state) {
    side *s = side_new(SERVER);
    ln_buf out;
    ln_buf_init(&out, 100);
    feed(s, LN_SLICE("\x83\x80" Z));
    assert_int_equal(s->ws.state, LN_WS_FAILED);
    ln_slice none = { 0 };
    assert_int_equal(ln_ws_control(&s->ws, &s->tools, LN_OP_PONG, none, &out), LINNET_ERR_STATE);
    sent_is(&out, ln_ws_message(&s->ws, &s->tools, LN_OP_TEXT, LN_SLICE("earlier"), true, &out),
        LN_SLICE("\x81\x07"
                 "earlier"));
    sent_is(&out, ln_ws_close(&s->ws, &s->tools, 1002, LN_SLICE("opcode"), &out),
        LN_SLICE("\x88\x08\x03\xea"
                 "opcode"));
    assert_int_equal(s->ws.state, LN_WS_FAILED);
    assert_int_equal(
        ln_ws_message(&s->ws, &s->tools, LN_OP_TEXT, none, true, &out), LINNET_ERR_STATE);
    ln_buf_fini(&out);
    side_free(s);
}

/* D10, D12, D13: what is compressed, and for whom it may be shared. */
static void d10_threshold_growth_and_opting_out(void **state) {
    ln_ws_config c = config_of(false);
    c.deflate_threshold = 6;
    side *s = side_new_with(c, &no_takeover);
    ln_ws *ws = &s->ws;
    ln_ws_tools *t = &s->tools;
    ln_buf out;
    ln_buf_init(&out, 1000);
    ln_slice five = LN_SLICE("aaaaa"), twenty = LN_SLICE("aaaaaaaaaaaaaaaaaaaa");
    sent_is(&out, ln_ws_message(ws, t, LN_OP_TEXT, five, true, &out),
        LN_SLICE("\x81\x05"
                 "aaaaa"));
    sent_is(&out, ln_ws_message(ws, t, LN_OP_TEXT, LN_SLICE("q7w*zP"), true, &out),
        LN_SLICE("\x81\x06q7w*zP")); /* would grow */
    assert_int_equal(ln_ws_message(ws, t, LN_OP_TEXT, twenty, false, &out), 0);
    assert_int_equal(out.size, 22); /* D13 */
    ln_buf_clear(&out);
    assert_int_equal(ln_ws_message(ws, t, LN_OP_TEXT, twenty, true, &out), 0);
    assert_true(out.size < 12);
    assert_int_equal(out.data[0], 0xc1);
    ln_buf_fini(&out);

    ln_ws_variant v = ln_ws_variant_of(ws);
    assert_int_equal(v.bits, 15);
    assert_false(v.takeover);
    side *plain = side_new(SERVER);
    assert_int_equal(ln_ws_variant_of(&plain->ws).bits, 0);
    side_free(plain);
    side_free(s);
}

/* T064: contexts count against the budget from the moment they are agreed. */
static void d11_takeover_is_counted_when_it_is_agreed(void **state) {
    ln_pmd_params params = { false, true, 12, 15 };
    ln_ws_config c = config_of(false);
    side *s = side_new_with(c, &params);
    assert_true(s->tools.pmd.memory == ln_deflater_cost(12, 8));
    assert_true(ln_ws_held(&s->ws) < 64);
    ln_buf out;
    ln_buf_init(&out, 1000);
    assert_int_equal(ln_ws_message(&s->ws, &s->tools, LN_OP_TEXT, LN_SLICE("hello"), 1, &out), 0);
    assert_true(ln_ws_held(&s->ws) >= ln_deflater_cost(12, 8));
    ln_buf_fini(&out);
    side_free(s);
}

/* Both sides ---------------------------------------------------------------------------- */

typedef struct pairing {
    const char *why;
    bool deflate, one_shot;
    ln_pmd_params params;
    uint32_t threshold;
} pairing;

static const pairing pairings[] = {
    { "plain", false, false, { 0 }, 0 },
    { "without takeover, one shot", true, true, { true, true, 15, 15 }, 0 },
    { "without takeover, zlib", true, false, { true, true, 15, 15 }, 0 },
    { "takeover both ways", true, true, { false, false, 15, 15 }, 0 },
    { "server's takeover, small windows", true, true, { false, true, 9, 12 }, 0 },
    { "client's takeover, small windows", true, true, { true, false, 10, 9 }, 0 },
    { "small windows, one shot where it fits", true, true, { true, true, 9, 9 }, 0 },
    { "threshold", true, true, { false, false, 12, 12 }, 1000 },
};

static void random_payload(dice *d, bool text, ln_buf *out) {
    static const uint32_t sizes[] = { 1, 20, 130, 1000, 5000, 70000, 70000, 200000 };
    static const char *const words[] = { "a", "hello ", "\xc3\xa9", "\xe2\x82\xac",
        "\xf0\x9f\x98\x80", "{\"price\":", "0123456789", "\xed\x9f\xbf" };
    uint32_t size = roll(d, sizes[roll(d, roll(d, 8) ? 4 : LN_COUNT(sizes))] + 1);
    bool ascii = roll(d, 2);
    ln_buf_clear(out);
    while (out->size < size) {
        if (text) {
            ln_slice word = ln_slice_str(words[ascii ? roll(d, 2) : roll(d, LN_COUNT(words))]);
            assert_int_equal(ln_buf_add(out, word), 0);
        } else {
            assert_int_equal(ln_buf_add_byte(out, (uint8_t)roll(d, ascii ? 4 : 256)), 0);
        }
    }
}

/* One random thing is encoded by `from`, and what `to` should tell of it is written to `want`. */
static void say(side *from, dice *d, ln_buf *payload, ln_buf *wire, ln_buf *want, side *to) {
    bool text = roll(d, 2);
    uint8_t opcode = text ? LN_OP_TEXT : LN_OP_BINARY;
    random_payload(d, text, payload);
    ln_slice p = ln_buf_slice(payload);
    uint32_t kind = roll(d, 6);
    uint32_t before = wire->size;
    if (kind == 0) {
        p.size = p.size > 125 ? 125 : p.size;
        uint8_t control = roll(d, 2) ? LN_OP_PING : LN_OP_PONG;
        assert_int_equal(ln_ws_control(&from->ws, &from->tools, control, p, wire), 0);
        ln_buf_addf(want, "%s ", control == LN_OP_PING ? "ping" : "pong");
    } else if (kind == 1) {
        uint32_t parts = roll(d, 5);
        ln_slice rest = p;
        for (uint32_t i = 0; i < parts; i++) {
            size_t n = roll(d, (uint32_t)rest.size + 1);
            assert_int_equal(ln_ws_fragment(&from->ws, &from->tools, i ? 0 : opcode, false,
                                 ln_slice_sub(rest, 0, n), wire),
                0);
            ln_slice_skip(&rest, n);
        }
        assert_int_equal(
            ln_ws_fragment(&from->ws, &from->tools, parts ? 0 : opcode, true, rest, wire), 0);
        ln_buf_addf(want, "%s ", text ? "text" : "binary");
    } else {
        assert_int_equal(ln_ws_message(&from->ws, &from->tools, opcode, p, kind != 2, wire), 0);
        bool packed = ln_buf_slice(wire).data[before] & 0x40;
        ln_buf_addf(want, "%s%s ", text ? "text" : "binary", packed ? "*" : "");
    }
    assert_int_equal(ln_buf_add(want, p), 0);
    assert_int_equal(ln_buf_add_byte(want, '|'), 0);
}

static void converse(side *from, side *to, dice *d) {
    ln_buf payload, wire, want;
    ln_buf_init(&payload, LN_BUF_MAX);
    ln_buf_init(&wire, LN_BUF_MAX);
    ln_buf_init(&want, LN_BUF_MAX);
    uint32_t things = 1 + roll(d, 12);
    for (uint32_t i = 0; i < things; i++)
        say(from, d, &payload, &wire, &want, to);
    ln_buf_clear(&to->told);
    feed_cut(to, ln_buf_slice(&wire), d);
    ln_slice got = ln_buf_slice(&to->told);
    assert_int_equal(to->err, 0);
    assert_true(ln_slice_eq(got, ln_buf_slice(&want)));
    ln_buf_fini(&payload);
    ln_buf_fini(&wire);
    ln_buf_fini(&want);
}

static void what_one_side_says_the_other_is_told(void **state) {
    for (size_t i = 0; i < LN_COUNT(pairings); i++) {
        const pairing *p = &pairings[i];
        print_message("# %s\n", p->why);
        for (uint64_t seed = 1; seed <= 40; seed++) {
            dice d = { seed * 77 + i };
            ln_ws_config sc = config_of(false), cc = config_of(true);
            sc.one_shot = cc.one_shot = p->one_shot;
            sc.deflate_threshold = cc.deflate_threshold = p->threshold;
            side *server = side_new_with(sc, p->deflate ? &p->params : NULL);
            side *client = side_new_with(cc, p->deflate ? &p->params : NULL);
            for (int turn = 0; turn < 4; turn++) {
                converse(client, server, &d);
                converse(server, client, &d);
            }
            pull(server, (ln_wslice){ 0 });
            assert_null(server->ws.message.data);
            assert_null(server->ws.control);
            side_free(server);
            side_free(client);
        }
    }
}

/* Memory -------------------------------------------------------------------------------- */

static void t041_announced_is_not_held(void **state) {
    side *s = side_new(SERVER);
    feed(s, LN_SLICE("\x82\xfe\xff\xff" Z "0123456789"));
    assert_true(ln_ws_held(&s->ws) <= 64);
    assert_int_equal(ln_ws_room(&s->ws, 1 << 20).size, 0);
    side_free(s);
}

static void t043_fragments_of_one_byte(void **state) {
    side *s = side_new(SERVER);
    feed(s, LN_SLICE("\x02\x81" Z "x"));
    for (uint32_t i = 1; i < 1024; i++) {
        feed(s, LN_SLICE("\x00\x81" Z "x"));
        assert_true(ln_ws_held(&s->ws) <= i + 1 + i / 4 + 4096);
    }
    assert_int_equal(s->err, 0);
    feed(s, LN_SLICE("\x80\x81" Z "x"));
    expect(s, LN_SLICE("FRAGMENTS|"));
    assert_int_equal(ln_ws_held(&s->ws), 0);
    side_free(s);
}

static void t044_64_kib_in_1024_frames(void **state) {
    side *s = side_new(SERVER);
    uint8_t frame[70] = { 0x02, 0xc0 };
    for (int i = 0; i < 1024; i++) {
        frame[0] = i == 0 ? 0x02 : i == 1023 ? 0x80 : 0x00;
        feed(s, ln_slice_of(frame, sizeof(frame)));
    }
    assert_int_equal(s->err, 0);
    assert_int_equal(s->told.size, strlen("binary |") + 65536);
    side_free(s);
}

#define LARGE (1u << 20)

/* A masked text of 1 MiB; the byte at `bad` is no UTF-8. */
static ln_wslice large_frame(size_t bad) {
    static const uint8_t head[] = { 0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 1, 2, 3, 4 };
    ln_wslice f = { malloc(LARGE + sizeof(head)), LARGE + sizeof(head) };
    assert_non_null(f.data);
    memcpy(f.data, head, sizeof(head));
    for (size_t i = 0; i < LARGE; i++) {
        uint8_t plain = i == bad ? 0xff : (uint8_t) "\xe2\x82\xac"[i % 3];
        f.data[sizeof(head) + i] = plain ^ (uint8_t)(1 + (i & 3));
    }
    f.data[sizeof(head) + LARGE - 1] = 'x' ^ 4;
    return f;
}

/* Hands it over as a connection does: the first read through the input, then into the room. Returns
 * the number of rooms. */
static uint32_t receive_large(side *s, ln_wslice frame) {
    feed(s, ln_slice_of(frame.data, 65536));
    size_t at = 65536;
    uint32_t rooms = 0;
    while (at < frame.size && !s->err) {
        ln_wslice room = ln_ws_room(&s->ws, 512 * 1024);
        if (room.size == 0) {
            feed(s, ln_slice_of(frame.data + at, frame.size - at));
            break;
        }
        rooms++;
        memcpy(room.data, frame.data + at, room.size);
        ln_ws_received(&s->ws, room.size);
        at += room.size;
        pull(s, (ln_wslice){ 0 });
    }
    return rooms;
}

static void a_large_message_arrives_in_few_steps_and_leaves_its_buffer(void **state) {
    ln_test_memory m = { 0 };
    ln_test_memory_install(&m);
    side *s = side_new(SERVER);
    ln_wslice frame = large_frame(SIZE_MAX);
    assert_int_equal(ln_buf_reserve(&s->told, 3 * LARGE), 0);
    uint64_t calls = m.calls;
    assert_in_range(receive_large(s, frame), 1, 4);
    assert_in_range(m.calls - calls, 1, 4);
    assert_int_equal(s->told.size, strlen("text |") + LARGE);
    assert_int_equal(ln_ws_held(&s->ws), 0);
    assert_int_equal(s->tools.spare_count, 1);

    calls = m.calls; /* the next one pays nothing */
    assert_in_range(receive_large(s, frame), 1, 3);
    assert_int_equal(m.calls, calls);
    assert_int_equal(s->tools.spare_count, 1);
    assert_int_equal(s->err, 0);
    free(frame.data);
    side_free(s);
    assert_int_equal(m.live, 0);
    ln_test_memory_remove();
}

static void t047_a_wrong_byte_in_the_room_is_told_by_the_next_call(void **state) {
    side *s = side_new(SERVER);
    ln_wslice frame = large_frame(300000);
    receive_large(s, frame);
    expect(s, LN_SLICE("UTF8|"));
    assert_int_equal(ln_ws_held(&s->ws), 0);
    assert_int_equal(ln_ws_room(&s->ws, 1000).size, 0);
    free(frame.data);
    side_free(s);
}

static void l3_room_outlives_our_close_and_is_discarded(void **state) {
    side *s = side_new(SERVER);
    ln_wslice frame = large_frame(SIZE_MAX);
    assert_int_equal(ln_ws_room(&s->ws, 1 << 20).size, 0);
    feed(s, ln_slice_of(frame.data, 65536));
    ln_wslice room = ln_ws_room(&s->ws, 1000);
    assert_int_equal(room.size, 1000);
    ln_buf out;
    ln_buf_init(&out, 100);
    assert_int_equal(ln_ws_close(&s->ws, &s->tools, 0, (ln_slice){ 0 }, &out), 0);
    assert_int_equal(ln_ws_room(&s->ws, 1000).size, 0);
    memset(room.data, 0xff, room.size);
    ln_ws_received(&s->ws, room.size);
    pull(s, (ln_wslice){ 0 });
    assert_int_equal(ln_ws_held(&s->ws), 0);
    feed(s, ln_slice_of(frame.data + 66536, frame.size - 66536));
    feed(s, LN_SLICE("\x88\x80" Z));
    expect(s, LN_SLICE("close 1005 |"));
    ln_buf_fini(&out);
    free(frame.data);
    side_free(s);
}

static void a_gathered_message_can_be_taken(void **state) {
    side *s = side_new(SERVER);
    ln_wslice frame = large_frame(SIZE_MAX);
    ln_ws_event e;
    ln_buf taken;
    ln_wslice in = { frame.data, 100000 };
    assert_int_equal(ln_ws_next(&s->ws, &s->tools, &in, &e), LN_MORE);
    in = (ln_wslice){ frame.data + 100000, frame.size - 100000 };
    assert_int_equal(ln_ws_next(&s->ws, &s->tools, &in, &e), LN_DONE);
    assert_true(ln_ws_take(&s->ws, &e, &taken));
    assert_false(ln_ws_take(&s->ws, &e, &taken));
    pull(s, (ln_wslice){ 0 });
    assert_int_equal(s->tools.spare_count, 0);
    assert_ptr_equal(taken.data + LN_WS_HEADROOM, e.data.data);
    assert_int_equal(e.data.data[LARGE - 1], 'x');
    ln_ws_give(&s->tools, &taken);
    assert_int_equal(s->tools.spare_count, 1);
    assert_null(taken.data);

    uint8_t small[] = "\x82\x81\0\0\0\0x";
    in = (ln_wslice){ small, sizeof(small) - 1 };
    assert_int_equal(ln_ws_next(&s->ws, &s->tools, &in, &e), LN_DONE);
    assert_false(ln_ws_take(&s->ws, &e, &taken));
    free(frame.data);
    side_free(s);
}

static void spares_are_bounded_in_number_and_size(void **state) {
    side *s = side_new(SERVER);
    for (int i = 0; i < LN_WS_SPARES + 2; i++) {
        ln_buf b;
        ln_buf_init(&b, LN_BUF_MAX);
        assert_int_equal(ln_buf_reserve(&b, 65536), 0);
        ln_ws_give(&s->tools, &b);
    }
    assert_int_equal(s->tools.spare_count, LN_WS_SPARES);
    s->tools.spare_count--;
    ln_buf_fini(&s->tools.spares[s->tools.spare_count]);
    ln_buf large;
    ln_buf_init(&large, LN_BUF_MAX);
    assert_int_equal(ln_buf_reserve(&large, 4 << 20), 0);
    ln_ws_give(&s->tools, &large);
    assert_null(large.data);
    assert_int_equal(s->tools.spare_count, LN_WS_SPARES - 1);
    side_free(s);
}

/* T059: what a bomb leaves behind. */
static void t059_a_bomb_costs_its_limit(void **state) {
    side *bomber = side_new(TAKEOVER), *s = side_new(TAKEOVER);
    ln_buf wire;
    ln_buf_init(&wire, LN_BUF_MAX);
    uint8_t *zeros = calloc(1, 8 << 20);
    assert_non_null(zeros);
    assert_int_equal(ln_ws_message(&bomber->ws, &bomber->tools, LN_OP_BINARY,
                         ln_slice_of(zeros, 8 << 20), true, &wire),
        0);
    uint8_t head[8] = { 0xc2, 0xfe, 0, 0, 0, 0, 0, 0 }; /* a server's frame, made a client's */
    ln_slice packed = ln_slice_sub(ln_buf_slice(&wire), 4, wire.size);
    head[2] = (uint8_t)(packed.size >> 8);
    head[3] = (uint8_t)packed.size;
    feed(s, ln_slice_of(head, 8));
    feed(s, packed);
    expect(s, LN_SLICE("TOO_BIG|"));
    assert_true(s->tools.pmd.scratch.capacity <= (1 << 20) + 65536);
    free(zeros);
    ln_buf_fini(&wire);
    side_free(bomber);
    side_free(s);
}

/* Every allocation of a busy life, made to fail in turn. */
static int busy_life(ln_test_memory *m, const ln_pmd_params *params) {
    side *s = calloc(1, sizeof(*s)), *c = calloc(1, sizeof(*c));
    assert_true(s && c);
    s->config = config_of(false);
    c->config = config_of(true);
    c->config.one_shot = true;
    ln_rand_init_seeded(&c->rand, 5);
    ln_ws_tools_init(&s->tools, &s->rand);
    ln_ws_tools_init(&c->tools, &c->rand);
    ln_buf wire;
    ln_buf_init(&wire, LN_BUF_MAX);
    char text[3000];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + i % 7);
    ln_slice p = ln_slice_of(text, sizeof(text));

    int err = ln_ws_init(&c->ws, &c->config, params, &c->tools);
    bool client = err == 0;
    if (err == 0) err = ln_ws_init(&s->ws, &s->config, params, &s->tools);
    bool server = client && err == 0;
    if (err == 0) err = ln_ws_message(&c->ws, &c->tools, LN_OP_TEXT, p, true, &wire);
    if (err == 0) err = ln_ws_message(&c->ws, &c->tools, LN_OP_TEXT, p, false, &wire);
    if (err == 0) err = ln_ws_control(&c->ws, &c->tools, LN_OP_PING, LN_SLICE("ping"), &wire);
    if (err == 0) err = ln_ws_message(&c->ws, &c->tools, LN_OP_BINARY, p, true, &wire);
    if (err == 0) err = ln_ws_close(&c->ws, &c->tools, 1000, (ln_slice){ 0 }, &wire);
    uint32_t events = 0;
    for (size_t at = 0; err == 0 && at < wire.size;) { /* whole, in two, and in small pieces */
        size_t n = at == 0 ? 2000 : 3;
        if (n > wire.size - at) n = wire.size - at;
        ln_wslice in = { wire.data + at, n };
        ln_ws_event e;
        int result;
        while ((result = ln_ws_next(&s->ws, &s->tools, &in, &e)) == LN_DONE)
            events++;
        if (result < 0) err = result;
        at += n;
    }
    if (err == 0) assert_int_equal(events, 5);
    if (server) ln_ws_fini(&s->ws, &s->tools);
    if (client) ln_ws_fini(&c->ws, &c->tools);
    ln_ws_tools_fini(&s->tools);
    ln_ws_tools_fini(&c->tools);
    ln_buf_fini(&wire);
    free(s);
    free(c);
    assert_int_equal(m->live, 0);
    return err;
}

static void every_refused_allocation_is_nomem_and_leaks_nothing(void **state) {
    static const ln_pmd_params *const all[] = { NULL, &no_takeover, &takeover };
    for (size_t i = 0; i < LN_COUNT(all); i++) {
        uint64_t n = 1;
        for (;; n++) {
            ln_test_memory m = { .fail_at = n };
            ln_test_memory_install(&m);
            int err = busy_life(&m, all[i]);
            ln_test_memory_remove();
            if (m.calls < n) {
                assert_int_equal(err, 0);
                break;
            }
            assert_int_equal(err, LINNET_ERR_NOMEM);
        }
        assert_true(n > (i ? 8 : 4));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f13_every_row_with_every_cut),
        cmocka_unit_test(t049_every_close_code),
        cmocka_unit_test(l3_what_comes_behind_our_close),
        cmocka_unit_test(closing_while_an_event_is_handled_keeps_its_data),
        cmocka_unit_test(f2_a_server_sends_short_heads_without_a_mask),
        cmocka_unit_test(c7_a_client_masks_with_a_fresh_key_each_time),
        cmocka_unit_test(what_cannot_be_sent_is_refused_and_leaves_nothing),
        cmocka_unit_test(a_failure_is_told_with_a_close_behind_what_was_queued),
        cmocka_unit_test(d10_threshold_growth_and_opting_out),
        cmocka_unit_test(d11_takeover_is_counted_when_it_is_agreed),
        cmocka_unit_test(what_one_side_says_the_other_is_told),
        cmocka_unit_test(t041_announced_is_not_held),
        cmocka_unit_test(t043_fragments_of_one_byte),
        cmocka_unit_test(t044_64_kib_in_1024_frames),
        cmocka_unit_test(a_large_message_arrives_in_few_steps_and_leaves_its_buffer),
        cmocka_unit_test(t047_a_wrong_byte_in_the_room_is_told_by_the_next_call),
        cmocka_unit_test(l3_room_outlives_our_close_and_is_discarded),
        cmocka_unit_test(a_gathered_message_can_be_taken),
        cmocka_unit_test(spares_are_bounded_in_number_and_size),
        cmocka_unit_test(t059_a_bomb_costs_its_limit),
        cmocka_unit_test(every_refused_allocation_is_nomem_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
