#include "base/testing.h"
#include "base/utf8.h"
#include "cli/bench_deflate.h"

/* -- the reader ---------------------------------------------------------- */

typedef struct row {
    const char *why;
    ln_slice in;
    int messages, controls; /* messages: -1 for refused */
    const char *text;       /* all that the sink saw */
} row;

static const row rows[] = {
    { "a short text", BYTES("\x81\x02hi"), 1, 0, "hi" },
    { "an empty one", BYTES("\x81\x00"), 1, 0, "" },
    { "an empty one before another", BYTES("\x82\x00\x81\x01x"), 2, 0, "x" },
    { "two in one read", BYTES("\x81\x01x\x82\x02yz"), 2, 0, "xyz" },
    { "a 16-bit length", BYTES("\x81\x7e\x00\x03xyz"), 1, 0, "xyz" },
    { "a 64-bit length", BYTES("\x81\x7f\0\0\0\0\0\0\0\x03xyz"), 1, 0, "xyz" },
    { "compressed", BYTES("\xc1\x02xy"), 1, 0, "xy" },
    { "fragments", BYTES("\x01\x02he\x00\x01l\x80\x02lo"), 1, 0, "hello" },
    { "a ping between fragments", BYTES("\x01\x01h\x89\x02pp\x80\x01i"), 1, 1, "hi" },
    { "a close", BYTES("\x88\x02\x03\xe8"), 0, 1, "" },
    { "an unfinished message", BYTES("\x81\x05hell"), 0, 0, "hell" },
    { "masked by a server", BYTES("\x81\x81\1\2\3\4x"), -1, 0, "" },
    { "RSV2", BYTES("\xa1\x00"), -1, 0, "" },
    { "a continuation of nothing", BYTES("\x80\x00"), -1, 0, "" },
    { "a text inside a text", BYTES("\x01\x00\x81\x00"), -1, 0, "" },
    { "a reserved opcode", BYTES("\x83\x00"), -1, 0, "" },
    { "a ping in pieces", BYTES("\x09\x00"), -1, 0, "" },
    { "a ping of 126", BYTES("\x89\x7e\x00\x7e"), -1, 0, "" },
    { "more than 2^63", BYTES("\x82\x7f\x80\0\0\0\0\0\0\0"), -1, 0, "" },
};

typedef struct seen {
    ln_bench_reader reader; /* first */
    int controls;
    size_t len;
    char text[64];
} seen;

static int on_data(ln_bench_reader *r, const uint8_t *p, size_t n) {
    seen *s = (seen *)(void *)r;
    assert_true(s->len + n < sizeof s->text);
    memcpy(s->text + s->len, p, n);
    s->len += n;
    return 0;
}

static int on_control(ln_bench_reader *r, uint8_t opcode, const uint8_t *p, size_t n) {
    ((seen *)(void *)r)->controls++;
    return 0;
}

static const ln_bench_sink sink = { on_data, NULL, on_control };

/* Feeds in two pieces of exactly their size. */
static int feed(seen *s, ln_slice in, size_t cut) {
    memset(s, 0, sizeof *s);
    ln_bench_reader_init(&s->reader, &sink, UINT64_MAX);
    int err = 0;
    size_t from[3] = { 0, cut, in.size };
    for (int i = 0; i < 2 && err == 0; i++) {
        size_t n = from[i + 1] - from[i];
        uint8_t *piece = malloc(n ? n : 1);
        if (n) memcpy(piece, in.data + from[i], n);
        err = ln_bench_reader_feed(&s->reader, piece, n);
        free(piece);
    }
    return err;
}

static void reads_the_same_wherever_it_is_cut(void **state) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const row *r = &rows[i];
        for (size_t cut = 0; cut <= r->in.size; cut++) {
            seen s;
            int err = feed(&s, r->in, cut);
            if ((err < 0) != (r->messages < 0)) fail_msg("%s, cut at %zu: %d", r->why, cut, err);
            if (err < 0) {
                assert_non_null(s.reader.why);
                continue;
            }
            if ((int)s.reader.messages != r->messages || s.controls != r->controls ||
                strcmp(s.text, r->text) != 0)
                fail_msg("%s, cut at %zu: %d messages, '%s'", r->why, cut, (int)s.reader.messages,
                    s.text);
        }
    }
}

static void refuses_other_lengths_than_expected(void **state) {
    static const ln_bench_sink blind = { NULL, NULL, NULL };
    ln_bench_reader r;
    ln_bench_reader_init(&r, &blind, 3);
    assert_int_equal(ln_bench_reader_feed(&r, (const uint8_t *)"\x81\x03xyz", 5), 0);
    assert_int_equal(ln_bench_reader_feed(&r, (const uint8_t *)"\x81\x02xy", 4), -1);
}

/* -- frames and rings ---------------------------------------------------- */

static const size_t sizes[] = { 0, 1, 20, 125, 126, 127, 1000, 65535, 65536, 70000 };

static void a_frame_is_what_the_reader_expects(void **state) {
    static const ln_bench_sink blind = { NULL, NULL, NULL };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i];
        uint8_t *p = calloc(1, n + 1), *out = malloc(n + LN_BENCH_HEAD_MAX);
        size_t len = ln_bench_frame(out, LN_BENCH_OP_BINARY, NULL, p, n);
        ln_bench_reader r;
        ln_bench_reader_init(&r, &blind, n);
        assert_int_equal(ln_bench_reader_feed(&r, out, len), 0);
        assert_int_equal(r.messages, 1);
        free(p);
        free(out);
    }
}

static void a_mask_covers_every_byte(void **state) {
    static const uint8_t mask[4] = { 1, 2, 4, 8 };
    uint8_t out[32];
    size_t n = ln_bench_frame(out, LN_BENCH_OP_TEXT, mask, (const uint8_t *)"abcde", 5);
    assert_int_equal(n, 11);
    assert_memory_equal(out, "\x81\x85\1\2\4\x08\x60\x60\x67\x6c\x64", 11);
}

static void a_ring_holds_its_payloads_masked(void **state) {
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ln_bench_options o = { .size = sizes[i], .in_flight = 5 };
        ln_bench_ring ring;
        ln_bench_ring_init(&ring, &o, NULL, NULL);
        for (uint32_t f = 0; f < ring.variants + ring.run; f++) {
            const uint8_t *frame = ring.bytes + ring.at[f];
            size_t len = ring.at[f + 1] - ring.at[f], head = len - o.size;
            assert_int_equal(head, o.size < 126 ? 6 : o.size < 65536 ? 8 : 14);
            const uint8_t *wanted = ln_bench_ring_payload(&ring, f % ring.variants);
            for (size_t k = 0; k < o.size; k += 1 + o.size / 500)
                assert_int_equal(frame[head + k] ^ frame[head - 4 + (k & 3)], wanted[k]);
        }
        ln_bench_ring_fini(&ring);
    }
}

static void payloads_are_what_they_say(void **state) {
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (uint32_t variant = 0; variant < 5; variant++) {
            size_t n = sizes[i];
            uint8_t *p = malloc(n ? n : 1);
            ln_bench_payload(p, n, LN_BENCH_TEXT, variant, false);
            for (size_t k = 0; k < n; k++)
                assert_in_range(p[k], ' ', '~');
            ln_bench_payload(p, n, LN_BENCH_NON_ASCII, variant, false);
            assert_true(ln_utf8_valid(ln_slice_of(p, n)));
            free(p);
        }
    }
}

/* -- deflate ------------------------------------------------------------- */

/* Compressed frames are sent lap after lap: each must be right after all before. */
static void laps_inflate(bool takeover, int bits) {
    ln_bench_options o = { .size = 1000, .in_flight = 3, .deflate = LN_BENCH_TAKEOVER };
    ln_bench_deflater d;
    ln_bench_ring ring;
    ln_bench_deflater_init(&d, takeover, bits, 6);
    ln_bench_ring_init(&ring, &o, ln_bench_deflate, &d);
    ln_bench_deflater_fini(&d);

    ln_bench_inflater in;
    ln_bench_inflater_init(&in, takeover);
    for (uint32_t i = 0; i < 3 * ring.variants; i++) {
        uint32_t f = i % ring.variants;
        const uint8_t *frame = ring.bytes + ring.at[f];
        size_t len = ring.at[f + 1] - ring.at[f], head = (frame[1] & 0x7f) < 126 ? 6 : 8;
        uint8_t *clear = malloc(len);
        for (size_t k = head; k < len; k++)
            clear[k - head] = frame[k] ^ frame[head - 4 + ((k - head) & 3)];
        assert_int_equal(frame[0], 0xc1);
        const uint8_t *wanted = ln_bench_ring_payload(&ring, f);
        assert_true(ln_bench_inflate_check(&in, clear, 1, wanted, o.size));
        assert_true(ln_bench_inflate_check(&in, clear + 1, len - head - 1, wanted, o.size));
        assert_true(ln_bench_inflate_end(&in, wanted, o.size));
        free(clear);
    }
    double baseline = ln_bench_deflate_baseline(&ring, takeover);
    assert_true(baseline > 100 && baseline < 600);
    ln_bench_inflater_fini(&in);
    ln_bench_ring_fini(&ring);
}

static void compressed_laps_inflate(void **state) {
    laps_inflate(true, 15);
    laps_inflate(true, 9);
    laps_inflate(false, 15);
}

static void a_final_block_keeps_the_window(void **state) {
    static const uint8_t text[] = "the same words, the same words, the same words";
    uint8_t out[200];
    size_t n = sizeof text;
    z_stream z = { 0 };
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)text;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = sizeof out;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t len = sizeof out - z.avail_out;
    deflateEnd(&z);
    out[len++] = 0; /* RFC 7692, 7.2.3.4 */

    ln_bench_inflater in;
    ln_bench_inflater_init(&in, true);
    for (int i = 0; i < 3; i++) {
        assert_true(ln_bench_inflate_check(&in, out, len, text, n));
        assert_true(ln_bench_inflate_end(&in, text, n));
    }
    assert_false(ln_bench_inflate_check(&in, out, len, text, n - 1));
    ln_bench_inflater_fini(&in);
}

static const struct answer {
    const char *why, *value;
    bool right, server_takeover, client_takeover;
    int bits;
} answers[] = {
    { "bare", "permessage-deflate", true, true, true, 15 },
    { "none keeps", "permessage-deflate; server_no_context_takeover;client_no_context_takeover",
        true, false, false, 15 },
    { "a smaller window", "permessage-deflate; client_max_window_bits=12", true, true, true, 12 },
    { "quoted", "Permessage-Deflate;client_max_window_bits=\"10\"", true, true, true, 10 },
    { "the server's window", "permessage-deflate; server_max_window_bits=9", true, true, true, 15 },
    { "a window of 16", "permessage-deflate; client_max_window_bits=16", false, 0, 0, 0 },
    { "a window of none", "permessage-deflate; client_max_window_bits=", false, 0, 0, 0 },
    { "another parameter", "permessage-deflate; fast", false, 0, 0, 0 },
    { "another extension", "x-webkit-deflate-frame", false, 0, 0, 0 },
    { "nothing", "", false, 0, 0, 0 },
};

static void answers_are_understood(void **state) {
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        const struct answer *a = &answers[i];
        ln_bench_extension x;
        bool right = ln_bench_extension_parse(&x, a->value, strlen(a->value));
        if (right != a->right) fail_msg("%s", a->why);
        if (right && (x.server_takeover != a->server_takeover ||
                         x.client_takeover != a->client_takeover || x.client_bits != a->bits))
            fail_msg("%s", a->why);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_same_wherever_it_is_cut),
        cmocka_unit_test(refuses_other_lengths_than_expected),
        cmocka_unit_test(a_frame_is_what_the_reader_expects),
        cmocka_unit_test(a_mask_covers_every_byte),
        cmocka_unit_test(a_ring_holds_its_payloads_masked),
        cmocka_unit_test(payloads_are_what_they_say),
        cmocka_unit_test(compressed_laps_inflate),
        cmocka_unit_test(a_final_block_keeps_the_window),
        cmocka_unit_test(answers_are_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
