#include "base/rand.h"
#include "base/testing.h"
#include "base/utf8.h"

static const char *const names[] = { "scalar", "sse4.1", "avx2", "avx512" };

/* The reference: RFC 3629's grammar written out, over a whole text. Returns the number of
 * leading bytes that are whole code points; *bad is the index of the first byte that no
 * continuation of the text could save, or SIZE_MAX. */
static size_t reference(ln_slice s, size_t *bad) {
    static const uint8_t rows[][9] = {
        /* length, then low and high of each byte */
        { 1, 0x00, 0x7f },
        { 2, 0xc2, 0xdf, 0x80, 0xbf },
        { 3, 0xe0, 0xe0, 0xa0, 0xbf, 0x80, 0xbf },
        { 3, 0xe1, 0xec, 0x80, 0xbf, 0x80, 0xbf },
        { 3, 0xed, 0xed, 0x80, 0x9f, 0x80, 0xbf },
        { 3, 0xee, 0xef, 0x80, 0xbf, 0x80, 0xbf },
        { 4, 0xf0, 0xf0, 0x90, 0xbf, 0x80, 0xbf, 0x80, 0xbf },
        { 4, 0xf1, 0xf3, 0x80, 0xbf, 0x80, 0xbf, 0x80, 0xbf },
        { 4, 0xf4, 0xf4, 0x80, 0x8f, 0x80, 0xbf, 0x80, 0xbf },
    };
    size_t at = 0;
    *bad = SIZE_MAX;
    for (;;) {
        size_t row = 0, i = 0;
        if (at == s.size) return at;
        while (row < LN_COUNT(rows) && s.data[at] > rows[row][2])
            row++;
        if (row == LN_COUNT(rows) || s.data[at] < rows[row][1]) {
            *bad = at;
            return at;
        }
        for (i = 1; i < rows[row][0]; i++) {
            if (at + i == s.size) return at;
            uint8_t byte = s.data[at + i];
            if (byte < rows[row][1 + 2 * i] || byte > rows[row][2 + 2 * i]) {
                *bad = at + i;
                return at;
            }
        }
        at += rows[row][0];
    }
}

/* Feeds in pieces of the given size; the index of the first byte of the piece that failed
 * or SIZE_MAX, and whether the text may end here. */
static size_t feed_pieces(ln_utf8_feed_fn *feed, ln_slice s, size_t piece, bool *complete) {
    ln_utf8 state = 0;
    *complete = false;
    for (size_t at = 0; at < s.size; at += piece) {
        size_t to = at + piece < s.size ? at + piece : s.size;
        if (!feed(&state, ln_slice_sub(s, at, to))) return at;
    }
    *complete = ln_utf8_complete(state);
    return SIZE_MAX;
}

static bool failed_in(size_t failed, size_t bad, size_t piece) {
    return bad == SIZE_MAX ? failed == SIZE_MAX : failed <= bad && bad - failed < piece;
}

/* Every implementation, whole and cut once at each place from..to. */
static void check(ln_slice s, size_t from, size_t to) {
    size_t bad, prefix = reference(s, &bad);
    assert_int_equal(ln_utf8_prefix(s), prefix);
    assert_int_equal(ln_utf8_valid(s), prefix == s.size);
    for (ln_simd which = LN_SIMD_SCALAR; which <= LN_SIMD_AVX512; which++) {
        ln_utf8_feed_fn *feed = ln_utf8_impl(which);
        if (!feed) continue;
        for (size_t cut = from; cut <= to && cut <= s.size; cut++) {
            ln_utf8 state = 0;
            bool first = feed(&state, ln_slice_sub(s, 0, cut));
            if (first != (bad == SIZE_MAX || bad >= cut)) fail_msg("%s %zu", names[which], cut);
            if (!first) continue;
            bool second = feed(&state, ln_slice_sub(s, cut, s.size));
            if (second != (bad == SIZE_MAX)) fail_msg("%s behind %zu", names[which], cut);
            if (second) assert_int_equal(ln_utf8_complete(state), prefix == s.size);
        }
    }
}

static const struct {
    const char *why;
    ln_slice in;
} texts[] = {
    { "empty", BYTES("") },
    { "ASCII with NUL and DEL", BYTES("a\0b\x7f") },
    { "first and last of two bytes", BYTES("\xc2\x80\xdf\xbf") },
    { "first and last of three", BYTES("\xe0\xa0\x80\xef\xbf\xbf") },
    { "around the surrogates", BYTES("\xed\x9f\xbf\xee\x80\x80") },
    { "first and last of four", BYTES("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf") },
    { "first surrogate", BYTES("\xed\xa0\x80") },
    { "last surrogate", BYTES("\xed\xbf\xbf") },
    { "a surrogate pair", BYTES("\xed\xa0\xbd\xed\xb8\x80") },
    { "first above U+10FFFF", BYTES("\xf4\x90\x80\x80") },
    { "overlong slash, two bytes", BYTES("\xc0\xaf") },
    { "overlong slash, three", BYTES("\xe0\x80\xaf") },
    { "overlong slash, four", BYTES("\xf0\x80\x80\xaf") },
    { "overlong last of two", BYTES("\xe0\x9f\xbf") },
    { "overlong last of three", BYTES("\xf0\x8f\xbf\xbf") },
    { "a lone continuation", BYTES("\x80") },
    { "a continuation too many", BYTES("\xc3\xa9\xa9") },
    { "five-byte lead", BYTES("\xf8\x88\x80\x80\x80") },
    { "six-byte lead", BYTES("\xfc\x84\x80\x80\x80\x80") },
    { "never a byte", BYTES("\xff") },
    { "byte order mark", BYTES("\xef\xbb\xbfx") },
    { "cut after E0", BYTES("\xe0") },
    { "cut after three of four", BYTES("\xf0\x9f\x98") },
    { "ASCII where a continuation is due", BYTES("\xe2\x82!") },
    { "lead where a continuation is due", BYTES("\xe2\xc3\xa9") },
    { "the public suite's text, then a wrong byte",
        BYTES("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80\x65\x64\x69\x74") },
};

/* Each text at every offset inside 100 bytes of ASCII, so that it meets every place of a
 * vector and every border between two, in a block of exactly its size. */
static void tables_at_every_offset_and_cut(void **state) {
    for (size_t i = 0; i < LN_COUNT(texts); i++) {
        for (size_t before = 0; before <= 70; before++) {
            for (size_t behind = 0; behind <= 40; behind += before % 5 ? 40 : 1) {
                uint8_t bytes[160];
                memset(bytes, 'x', sizeof(bytes));
                memcpy(bytes + before, texts[i].in.data, texts[i].in.size);
                ln_slice s = ln_test_exact(ln_slice_of(bytes, before + texts[i].in.size + behind));
                check(s, before > 4 ? before - 4 : 0, before + texts[i].in.size + 2);
                ln_test_drop(s);
            }
        }
    }
}

/* All two- and three-byte sequences and a sample of four: alone, and in a text where the vector
 * code looks hardest, across the border between two vectors (the place changes in turn). */
static void agree_on(const uint8_t *seq, size_t size) {
    static const size_t places[] = { 30, 31, 61 };
    size_t bad, prefix = reference(ln_slice_of(seq, size), &bad);
    ln_utf8 alone = 0;
    bool ok = ln_utf8_impl(LN_SIMD_SCALAR)(&alone, ln_slice_of(seq, size));
    bool right = ok == (bad == SIZE_MAX) && (!ok || (alone == 0) == (prefix == size));
    if (!right) fail_msg("scalar %02x %02x %02x", seq[0], seq[1], seq[2]);

    uint8_t text[66];
    size_t at = places[(seq[0] + seq[1] + seq[size - 1]) % 3];
    memset(text, 'x', sizeof(text));
    memcpy(text + at, seq, size);
    for (ln_simd which = LN_SIMD_SSE; which <= LN_SIMD_AVX512; which++) {
        ln_utf8_feed_fn *feed = ln_utf8_impl(which);
        if (!feed) continue;
        ln_utf8 end = 0, behind = 0;
        ok = feed(&end, ln_slice_of(text, at + size));
        right = ok == (bad == SIZE_MAX) && (!ok || end == alone);
        ok = feed(&behind, ln_slice_of(text, sizeof(text)));
        right = right && ok == (prefix == size) && (!ok || behind == 0);
        if (!right) fail_msg("%s %02x %02x %02x", names[which], seq[0], seq[1], seq[2]);
    }
}

static void all_sequences_of_two_and_three(void **state) {
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            uint8_t two[4] = { (uint8_t)a, (uint8_t)b };
            agree_on(two, 2);
        }
    }
    for (unsigned a = 0; a < 256; a++) {
        if (a > 4 && a < 0x7e) continue; /* ASCII is ASCII */
        for (unsigned b = 0; b < 256; b++) {
            for (unsigned c = 0; c < 256; c++) {
                uint8_t three[4] = { (uint8_t)a, (uint8_t)b, (uint8_t)c };
                agree_on(three, 3);
            }
        }
    }
}

static void four_bytes_at_the_boundaries(void **state) {
    static const uint8_t edges[] = { 0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1,
        0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff };
    enum { N = LN_COUNT(edges) };
    for (size_t i = 0; i < N * N * N * N; i++) {
        uint8_t four[4] = { edges[i % N], edges[i / N % N], edges[i / N / N % N],
            edges[i / N / N / N] };
        agree_on(four, 4);
    }
}

static size_t put_code_point(uint32_t c, uint8_t out[4]) {
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    for (size_t i = size - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    out[0] = (uint8_t)(leads[size] | c);
    return size;
}

static void every_code_point_and_no_surrogate(void **state) {
    for (uint32_t c = 0; c < 0x120000; c++) {
        uint8_t bytes[4];
        size_t size = put_code_point(c, bytes);
        bool good = c < 0x110000 && !(c >= 0xd800 && c < 0xe000);
        if (ln_utf8_valid(ln_slice_of(bytes, size)) != good) fail_msg("U+%04X", c);
    }
}

static size_t random_text(ln_rand *r, uint8_t *out, size_t max) {
    static const uint32_t tops[] = { 0x80, 0x800, 0x10000, 0x110000 };
    size_t size = 0;
    uint32_t mood = ln_rand_below(r, 5);
    while (size + 4 <= max) {
        uint32_t c = ln_rand_below(r, tops[mood < 4 ? mood : ln_rand_below(r, 4)]);
        if (c >= 0xd800 && c < 0xe000) c = 'x';
        size += put_code_point(c, out + size);
        if (ln_rand_below(r, 40) == 0) mood = ln_rand_below(r, 5);
    }
    return size;
}

/* All implementations find a random mutation in the same place, in pieces of every size. */
static void mutated_text_in_pieces(void **state) {
    ln_rand r;
    ln_rand_init_seeded(&r, 1);
    for (int round = 0; round < 4000; round++) {
        uint8_t bytes[600];
        size_t size = random_text(&r, bytes, 5 + ln_rand_below(&r, sizeof(bytes) - 5));
        size -= ln_rand_below(&r, 3) % size;
        for (uint32_t m = ln_rand_below(&r, 3); m > 0; m--) {
            bytes[ln_rand_below(&r, (uint32_t)size)] = (uint8_t)ln_rand_below(&r, 256);
        }
        ln_slice s = ln_test_exact(ln_slice_of(bytes, size));
        size_t bad, prefix = reference(s, &bad);
        assert_int_equal(ln_utf8_prefix(s), prefix);
        for (ln_simd which = LN_SIMD_SCALAR; which <= LN_SIMD_AVX512; which++) {
            ln_utf8_feed_fn *feed = ln_utf8_impl(which);
            if (!feed) continue;
            size_t piece = 1 + ln_rand_below(&r, (uint32_t)(round % 2 ? size : 100));
            bool complete;
            size_t failed = feed_pieces(feed, s, piece, &complete);
            if (!failed_in(failed, bad, piece)) fail_msg("%s round %d", names[which], round);
            if (bad == SIZE_MAX) assert_int_equal(complete, prefix == size);
        }
        if (round % 20 == 0) check(s, 0, size);
        ln_test_drop(s);
    }
}

static void this_machine_runs_the_vectors(void **state) {
    assert_non_null(ln_utf8_impl(LN_SIMD_SCALAR));
    assert_null(ln_utf8_impl((ln_simd)99));
#if defined(__x86_64__)
    /* Otherwise everything above has tested one implementation against itself. */
    if (__builtin_cpu_supports("avx2")) assert_non_null(ln_utf8_impl(LN_SIMD_AVX2));
    if (__builtin_cpu_supports("sse4.1")) assert_non_null(ln_utf8_impl(LN_SIMD_SSE));
    assert_ptr_not_equal(ln_utf8_impl(LN_SIMD_SSE), ln_utf8_impl(LN_SIMD_SCALAR));
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_at_every_offset_and_cut),
        cmocka_unit_test(all_sequences_of_two_and_three),
        cmocka_unit_test(four_bytes_at_the_boundaries),
        cmocka_unit_test(every_code_point_and_no_surrogate),
        cmocka_unit_test(mutated_text_in_pieces),
        cmocka_unit_test(this_machine_runs_the_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
