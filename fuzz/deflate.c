/* Deflate: a message says the same in whatever pieces it is fed and to whichever decoder, its limit
 * is exact, and what we compress comes out as it went in, through every window. What a small window
 * lets pass does not depend on the room that there happens to be. */
#include "wire/deflate.h"
#include "fuzz.h"
#include "wire/squeeze.h"

typedef struct verdict {
    int err;
    ln_buf out;
} verdict;

static verdict in_pieces(ln_slice in, bool takeover, uint64_t limit, fuzz_chance c, bool whole) {
    verdict v = { 0 };
    ln_inflater *i;
    ln_buf_init(&v.out, LN_BUF_MAX);
    FUZZ_REQUIRE(ln_inflater_new(15, takeover, &i) == LINNET_OK);
    size_t at = 0;
    do {
        size_t left = in.size - at, n = whole || !left ? left : fuzz_piece(&c, left);
        ln_wslice piece = fuzz_exact(ln_slice_sub(in, at, at + n));
        at += n;
        ln_slice s = ln_slice_of(piece.data, piece.size);
        v.err = ln_inflater_feed(i, s, at == in.size, limit, &v.out);
        free(piece.data);
    } while (v.err == LINNET_OK && at < in.size);
    FUZZ_REQUIRE(v.out.size <= limit);
    FUZZ_REQUIRE(v.err == 0 || v.err == LINNET_ERR_DEFLATE || v.err == LINNET_ERR_TOO_BIG);
    ln_inflater_free(i);
    return v;
}

static bool same(const verdict *a, const verdict *b) {
    if (a->err != b->err) return false;
    return a->err || ln_slice_eq(ln_buf_slice(&a->out), ln_buf_slice(&b->out));
}

static void shared_decoder(ln_slice in, uint64_t limit, const verdict *want) {
    ln_pmd_tools tools;
    ln_pmd_tools_init(&tools);
    verdict v = { 0 };
    ln_buf_init(&v.out, LN_BUF_MAX);
    for (int twice = 0; twice < 2; twice++) { /* the first leaves no trace in the second */
        ln_buf_clear(&v.out);
        v.err = ln_pmd_inflate(&tools, in, limit, &v.out);
        FUZZ_REQUIRE(v.out.size <= limit);
        /* libdeflate, which looks first at what is long, takes some incomplete codes that zlib
         * refuses, and may see the limit before the corruption; never the reverse. */
        FUZZ_REQUIRE(same(&v, want) || (want->err && in.size >= 2048));
    }
    ln_buf_fini(&v.out);
    ln_pmd_tools_fini(&tools);
}

static verdict with_spare(ln_slice in, unsigned bits, uint64_t limit, size_t spare) {
    verdict v = { 0 };
    ln_inflater *i;
    ln_buf_init(&v.out, LN_BUF_MAX);
    FUZZ_REQUIRE(ln_buf_reserve(&v.out, spare) == LINNET_OK);
    FUZZ_REQUIRE(ln_inflater_new(bits, true, &i) == LINNET_OK);
    v.err = ln_inflater_feed(i, in, true, limit, &v.out);
    ln_inflater_free(i);
    return v;
}

static void room_does_not_matter(ln_slice in, unsigned bits, uint64_t limit) {
    verdict a = with_spare(in, bits, limit, 0), b = with_spare(in, bits, limit, 200000);
    FUZZ_REQUIRE(same(&a, &b));
    ln_buf_fini(&a.out);
    ln_buf_fini(&b.out);
}

static void hostile(ln_slice in, uint64_t limit) {
    fuzz_chance c = fuzz_chance_of(in);
    verdict whole = in_pieces(in, false, limit, c, true);
    verdict pieces = in_pieces(in, true, limit, c, false);
    FUZZ_REQUIRE(same(&whole, &pieces));
    shared_decoder(in, limit, &whole);
    if (whole.err == 0 && whole.out.size) { /* exact: it fits its own size, and not one less */
        verdict fits = in_pieces(in, false, whole.out.size, c, false);
        verdict over = in_pieces(in, false, whole.out.size - 1, c, false);
        FUZZ_REQUIRE(same(&whole, &fits));
        FUZZ_REQUIRE(over.err == LINNET_ERR_TOO_BIG);
        ln_buf_fini(&fits.out);
        ln_buf_fini(&over.out);
    }
    ln_buf_fini(&whole.out);
    ln_buf_fini(&pieces.out);
}

/* The input as a conversation of messages, cut by chance; the contexts may move in between. */
static void round_trip(ln_slice in, unsigned bits, bool takeover, bool moving) {
    fuzz_chance c = fuzz_chance_of(in);
    ln_deflater *d;
    ln_inflater *i;
    ln_buf packed, out, window;
    ln_buf_init(&packed, LN_BUF_MAX);
    ln_buf_init(&out, LN_BUF_MAX);
    ln_buf_init(&window, LN_BUF_MAX);
    FUZZ_REQUIRE(ln_deflater_new(bits, 1 + (unsigned)fuzz_below(&c, 9), 5, takeover, &d) == 0);
    FUZZ_REQUIRE(ln_inflater_new(bits, takeover, &i) == 0);
    for (size_t at = 0; at < in.size;) {
        size_t n = fuzz_piece(&c, in.size - at);
        ln_slice message = ln_slice_sub(in, at, at + n);
        at += n;
        ln_buf_clear(&packed);
        ln_buf_clear(&out);
        FUZZ_REQUIRE(ln_deflater_message(d, message, &packed) == 0);
        FUZZ_REQUIRE(ln_inflater_feed(i, ln_buf_slice(&packed), true, n, &out) == 0);
        FUZZ_REQUIRE(ln_slice_eq(ln_buf_slice(&out), message));
        if (!moving || !takeover) continue;
        ln_buf_clear(&window);
        FUZZ_REQUIRE(ln_deflater_save(d, &window) == 0);
        FUZZ_REQUIRE(ln_deflater_load(d, ln_buf_slice(&window)) == 0);
        ln_buf_clear(&window);
        FUZZ_REQUIRE(ln_inflater_save(i, &window) == 0);
        FUZZ_REQUIRE(ln_inflater_load(i, ln_buf_slice(&window)) == 0);
    }
    ln_deflater_free(d);
    ln_inflater_free(i);
    ln_buf_fini(&packed);
    ln_buf_fini(&out);
    ln_buf_fini(&window);
}

static void broadcast(ln_slice in, unsigned bits, bool one_shot) {
    ln_pmd_tools tools;
    ln_buf packed, out;
    ln_inflater *i;
    ln_pmd_tools_init(&tools);
    ln_buf_init(&packed, LN_BUF_MAX);
    ln_buf_init(&out, LN_BUF_MAX);
    FUZZ_REQUIRE(ln_pmd_compress(&tools, bits, 6, one_shot, in, &packed) == 0);
    FUZZ_REQUIRE(ln_inflater_new(bits, false, &i) == 0);
    FUZZ_REQUIRE(ln_inflater_feed(i, ln_buf_slice(&packed), true, in.size, &out) == 0);
    FUZZ_REQUIRE(ln_slice_eq(ln_buf_slice(&out), in));
    ln_inflater_free(i);
    ln_buf_fini(&packed);
    ln_buf_fini(&out);
    ln_pmd_tools_fini(&tools);
}

static void squeezed(ln_slice in, unsigned bits) {
    if (in.size < 1 || in.size > LN_SQUEEZE_MAX) return;
    ln_squeezer *s;
    ln_buf packed;
    ln_buf_init(&packed, LN_BUF_MAX);
    FUZZ_REQUIRE(ln_squeezer_new(&s) == 0);
    FUZZ_REQUIRE(ln_squeeze(s, in, bits, &packed) == 0);
    FUZZ_REQUIRE(packed.size <= in.size + in.size / 8 + 3);
    ln_inflater *i;
    ln_buf out;
    ln_buf_init(&out, LN_BUF_MAX);
    FUZZ_REQUIRE(ln_inflater_new(bits, false, &i) == 0);
    for (size_t at = 0; at < packed.size; at++) /* byte by byte: only the window is left */
        FUZZ_REQUIRE(ln_inflater_feed(i, ln_slice_sub(ln_buf_slice(&packed), at, at + 1),
                         at + 1 == packed.size, in.size, &out) == 0);
    FUZZ_REQUIRE(ln_slice_eq(ln_buf_slice(&out), in));
    ln_inflater_free(i);
    ln_squeezer_free(s);
    ln_buf_fini(&packed);
    ln_buf_fini(&out);
}

void fuzz_one(ln_slice in) {
    static const uint64_t limits[] = { 10, 1000, 70000, 70000 };
    uint8_t choice = fuzz_choice(&in);
    unsigned bits = 9 + (choice >> 2) % 7;
    switch (choice & 3) {
    case 0: round_trip(in, bits, choice & 64, choice & 128); break;
    case 1: choice & 128 ? squeezed(in, bits) : broadcast(in, bits, choice & 64); break;
    default: hostile(in, limits[choice >> 6]); room_does_not_matter(in, bits, limits[choice >> 6]);
    }
}
