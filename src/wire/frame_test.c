#include "base/testing.h"
#include "wire/frame.h"

#define KIB64 "\x00\x00\x00\x00\x00\x01\x00\x00"

static const ln_frame_rules server = { .length_max = 70000, .masked = true };
static const ln_frame_rules deflating = { .length_max = 70000, .masked = true, .rsv1 = true };
static const ln_frame_rules client = { .length_max = 70000 };
static const ln_frame_rules tiny = { .length_max = 3, .masked = true };
static const ln_frame_rules endless = { .length_max = UINT64_MAX };

/* `least` bytes of `in` must suffice for the verdict; with fewer the answer is LN_MORE. */
typedef struct row {
    const char *why;
    const ln_frame_rules *rules;
    ln_slice in;
    int result;
    size_t least;
    ln_frame frame;
} row;

#define HEAD(l, op, f, r, m)                                                                       \
    { .length = (l), .opcode = (op), .fin = (f), .rsv1 = (r), .masked = (m) }
#define NO_HEAD                                                                                    \
    { 0 }

static const row rows[] = {
    { "empty text", &server, BYTES("\x81\x80\1\2\3\4"), LN_DONE, 6, HEAD(0, 1, 1, 0, 1) },
    { "empty text from a server", &client, BYTES("\x81\x00"), LN_DONE, 2, HEAD(0, 1, 1, 0, 0) },
    { "text of 5", &server, BYTES("\x81\x85\1\2\3\4"), LN_DONE, 6, HEAD(5, 1, 1, 0, 1) },
    { "binary of 125", &server, BYTES("\x82\xfd\1\2\3\4"), LN_DONE, 6, HEAD(125, 2, 1, 0, 1) },
    { "126 needs 16 bits", &server, BYTES("\x82\xfe\x00\x7e\1\2\3\4"), LN_DONE, 8,
        HEAD(126, 2, 1, 0, 1) },
    { "65535 fits 16 bits", &server, BYTES("\x82\xfe\xff\xff\1\2\3\4"), LN_DONE, 8,
        HEAD(65535, 2, 1, 0, 1) },
    { "65536 needs 64 bits", &server, BYTES("\x82\xff" KIB64 "\1\2\3\4"), LN_DONE, 14,
        HEAD(65536, 2, 1, 0, 1) },
    { "2^63-1 where nothing forbids it", &endless,
        BYTES("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), LN_DONE, 10,
        HEAD(INT64_MAX, 2, 1, 0, 0) },
    { "first fragment", &server, BYTES("\x01\x80\1\2\3\4"), LN_DONE, 6, HEAD(0, 1, 0, 0, 1) },
    { "continuation", &server, BYTES("\x00\x81\1\2\3\4"), LN_DONE, 6, HEAD(1, 0, 0, 0, 1) },
    { "last continuation", &server, BYTES("\x80\x81\1\2\3\4"), LN_DONE, 6, HEAD(1, 0, 1, 0, 1) },
    { "close", &server, BYTES("\x88\x82\1\2\3\4"), LN_DONE, 6, HEAD(2, 8, 1, 0, 1) },
    { "ping of 125", &server, BYTES("\x89\xfd\1\2\3\4"), LN_DONE, 6, HEAD(125, 9, 1, 0, 1) },
    { "pong", &server, BYTES("\x8a\x80\1\2\3\4"), LN_DONE, 6, HEAD(0, 10, 1, 0, 1) },
    { "a ping is no message: it may pass its limit", &tiny, BYTES("\x89\x84\1\2\3\4"), LN_DONE, 6,
        HEAD(4, 9, 1, 0, 1) },
    { "D2 compressed text", &deflating, BYTES("\xc1\x85\1\2\3\4"), LN_DONE, 6,
        HEAD(5, 1, 1, 1, 1) },
    { "D4 plain text although deflate is agreed", &deflating, BYTES("\x81\x85\1\2\3\4"), LN_DONE, 6,
        HEAD(5, 1, 1, 0, 1) },
    { "compressed first fragment", &deflating, BYTES("\x41\x85\1\2\3\4"), LN_DONE, 6,
        HEAD(5, 1, 0, 1, 1) },

    { "F1 unmasked from a client", &server, BYTES("\x81\x05hello"), LINNET_ERR_PROTO_MASK, 2,
        NO_HEAD },
    { "F1 masked from a server", &client, BYTES("\x81\x85\1\2\3\4"), LINNET_ERR_PROTO_MASK, 2,
        NO_HEAD },
    { "F3 RSV1", &server, BYTES("\xc1\x80\1\2\3\4"), LINNET_ERR_PROTO_RSV, 1, NO_HEAD },
    { "F3 RSV2", &deflating, BYTES("\xa1\x80\1\2\3\4"), LINNET_ERR_PROTO_RSV, 1, NO_HEAD },
    { "F3 RSV3", &deflating, BYTES("\x91\x80\1\2\3\4"), LINNET_ERR_PROTO_RSV, 1, NO_HEAD },
    { "F3 all of them", &deflating, BYTES("\xf1\x80\1\2\3\4"), LINNET_ERR_PROTO_RSV, 1, NO_HEAD },
    { "D2 RSV1 on a continuation", &deflating, BYTES("\xc0\x80\1\2\3\4"), LINNET_ERR_PROTO_RSV, 1,
        NO_HEAD },
    { "D2 RSV1 on a ping", &deflating, BYTES("\xc9\x80\1\2\3\4"), LINNET_ERR_PROTO_RSV, 1,
        NO_HEAD },
    { "D2 RSV1 on a close", &deflating, BYTES("\xc8\x80\1\2\3\4"), LINNET_ERR_PROTO_RSV, 1,
        NO_HEAD },
    { "F5 16-bit length that fits in 7", &server, BYTES("\x81\xfe\x00\x05\1\2\3\4"),
        LINNET_ERR_PROTO_LENGTH, 4, NO_HEAD },
    { "F5 125 in 16 bits", &server, BYTES("\x81\xfe\x00\x7d\1\2\3\4"), LINNET_ERR_PROTO_LENGTH, 4,
        NO_HEAD },
    { "F5 64-bit length that fits in 16", &server, BYTES("\x81\xff\0\0\0\0\0\0\xff\xff\1\2\3\4"),
        LINNET_ERR_PROTO_LENGTH, 10, NO_HEAD },
    { "F5 64-bit length of 0", &client, BYTES("\x81\x7f\0\0\0\0\0\0\0\0"), LINNET_ERR_PROTO_LENGTH,
        10, NO_HEAD },
    { "F6 top bit set", &server, BYTES("\x82\xff\x80\0\0\0\0\0\0\0\1\2\3\4"),
        LINNET_ERR_PROTO_LENGTH, 3, NO_HEAD },
    { "F6 all bits set", &endless, BYTES("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"),
        LINNET_ERR_PROTO_LENGTH, 3, NO_HEAD },
    { "F7 fragmented ping", &server, BYTES("\x09\x80\1\2\3\4"), LINNET_ERR_PROTO_CONTROL, 1,
        NO_HEAD },
    { "F7 fragmented close", &client, BYTES("\x08\x00"), LINNET_ERR_PROTO_CONTROL, 1, NO_HEAD },
    { "F7 ping of 126", &server, BYTES("\x89\xfe\x00\x7e\1\2\3\4"), LINNET_ERR_PROTO_CONTROL, 2,
        NO_HEAD },
    { "F7 close with a 64-bit length", &server, BYTES("\x88\xff" KIB64 "\1\2\3\4"),
        LINNET_ERR_PROTO_CONTROL, 2, NO_HEAD },
    { "F12 one byte over the limit", &tiny, BYTES("\x81\x84\1\2\3\4"), LINNET_ERR_TOO_BIG, 2,
        NO_HEAD },
    { "F12 exactly the limit", &tiny, BYTES("\x81\x83\1\2\3\4"), LN_DONE, 6, HEAD(3, 1, 1, 0, 1) },
    { "F12 16-bit length over the limit, known before the key", &tiny,
        BYTES("\x81\xfe\x01\x00\1\2\3\4"), LINNET_ERR_TOO_BIG, 4, NO_HEAD },
    { "F12 64-bit length over the limit, known before the key", &server,
        BYTES("\x81\xff\x00\x00\x00\x00\x00\x01\x11\x71\1\2\3\4"), LINNET_ERR_TOO_BIG, 10,
        NO_HEAD },
    { "F12 2^63-1 over a limit", &server, BYTES("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\1\2\3\4"),
        LINNET_ERR_TOO_BIG, 10, NO_HEAD },
};

static void check_frame(const ln_frame *got, const ln_frame *want) {
    assert_true(got->length == want->length);
    assert_int_equal(got->opcode, want->opcode);
    assert_int_equal(got->fin, want->fin);
    assert_int_equal(got->rsv1, want->rsv1);
    assert_int_equal(got->masked, want->masked);
    if (got->masked) assert_memory_equal(got->mask, "\1\2\3\4", 4);
}

/* F13: cut anywhere, the first `least` bytes decide and fewer do not. */
static void check_cut(const row *r, size_t cut) {
    ln_slice exact = ln_test_exact(ln_slice_sub(r->in, 0, cut)), in = exact;
    ln_frame f = { .length = 77, .opcode = 99 };
    int result = ln_frame_decode(r->rules, &in, &f);
    assert_int_equal(result, cut < r->least ? LN_MORE : r->result);
    if (result == LN_DONE) {
        check_frame(&f, &r->frame);
        assert_int_equal(in.size, cut - r->least);
        assert_ptr_equal(in.data, exact.data + r->least);
    } else {
        assert_ptr_equal(in.data, exact.data);
        assert_int_equal(in.size, exact.size);
        assert_int_equal(f.length, 77);
        assert_int_equal(f.opcode, 99);
    }
    ln_test_drop(exact);
}

static void f13_every_row_cut_at_every_byte(void **state) {
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        for (size_t cut = 0; cut <= rows[i].in.size; cut++)
            check_cut(&rows[i], cut);
    }
}

/* F4, T036, T037: the whole first byte, against the rules said in another way. */
static int expected_first(unsigned byte, bool rsv1) {
    static const char known[] = "DDD.....CCC....."; /* data, control */
    char kind = known[byte & 15];
    if (byte & 0x30 || (byte & 0x40 && !rsv1)) return LINNET_ERR_PROTO_RSV;
    if (kind == '.') return LINNET_ERR_PROTO_OPCODE;
    if (byte & 0x40 && (byte & 15) != 1 && (byte & 15) != 2) return LINNET_ERR_PROTO_RSV;
    if (kind == 'C' && byte < 0x80) return LINNET_ERR_PROTO_CONTROL;
    return LN_DONE;
}

static void f4_every_first_byte(void **state) {
    for (unsigned byte = 0; byte < 256; byte++)
        for (int rsv1 = 0; rsv1 < 2; rsv1++) {
            uint8_t bytes[6] = { (uint8_t)byte, 0x81, 1, 2, 3, 4 };
            ln_slice in = ln_slice_of(bytes, sizeof(bytes));
            ln_frame f;
            int want = expected_first(byte, rsv1);
            assert_int_equal(ln_frame_decode(rsv1 ? &deflating : &server, &in, &f), want);
        }
}

/* T038: every length in every form; only the shortest is taken. */
static void f5_only_the_shortest_form(void **state) {
    static const uint64_t lengths[] = { 0, 1, 124, 125, 126, 127, 128, 255, 256, 65534, 65535,
        65536, 65537, UINT64_C(0x100000000), INT64_MAX };
    for (size_t i = 0; i < LN_COUNT(lengths); i++) {
        uint64_t n = lengths[i];
        uint8_t two[] = { 0x82, 126, (uint8_t)(n >> 8), (uint8_t)n };
        uint8_t eight[10] = { 0x82, 127 };
        for (size_t b = 0; b < 8; b++)
            eight[2 + b] = (uint8_t)(n >> (56 - 8 * b));
        ln_frame f;
        ln_slice in = ln_slice_of(two, 4);
        if (n < 65536) {
            int want = n < 126 ? LINNET_ERR_PROTO_LENGTH : LN_DONE;
            assert_int_equal(ln_frame_decode(&endless, &in, &f), want);
        }
        in = ln_slice_of(eight, 10);
        int want = n < 65536 ? LINNET_ERR_PROTO_LENGTH : LN_DONE;
        assert_int_equal(ln_frame_decode(&endless, &in, &f), want);
        if (want == LN_DONE) assert_true(f.length == n);
    }
}

static void what_is_encoded_is_decoded(void **state) {
    static const uint64_t lengths[] = { 0, 1, 125, 126, 65535, 65536, INT64_MAX };
    static const uint8_t opcodes[] = { 0, 1, 2, 8, 9, 10 };
    for (unsigned bits = 0; bits < 8; bits++)
        for (size_t l = 0; l < LN_COUNT(lengths); l++)
            for (size_t o = 0; o < LN_COUNT(opcodes); o++) {
                bool control = opcodes[o] >= 8;
                ln_frame f = { .length = lengths[l], .opcode = opcodes[o], .mask = { 1, 2, 3, 4 } };
                f.fin = bits & 1 || control;
                f.rsv1 = bits & 2 && !control && opcodes[o] != 0;
                f.masked = bits & 4;
                if (control && f.length > 125) continue;
                uint8_t head[LN_FRAME_HEAD_MAX];
                size_t size = ln_frame_encode(&f, head);
                assert_int_equal(size, ln_frame_head_size(f.length, f.masked));
                ln_frame_rules rules = { UINT64_MAX, f.masked, true };
                ln_slice exact = ln_test_exact(ln_slice_of(head, size)), in = exact;
                ln_frame back;
                assert_int_equal(ln_frame_decode(&rules, &in, &back), LN_DONE);
                assert_int_equal(in.size, 0);
                check_frame(&back, &f);
                ln_test_drop(exact);
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f13_every_row_cut_at_every_byte),
        cmocka_unit_test(f4_every_first_byte),
        cmocka_unit_test(f5_only_the_shortest_form),
        cmocka_unit_test(what_is_encoded_is_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
