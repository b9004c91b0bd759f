/* UTF-8: every implementation agrees with a decoder that is written the slow way, and finds
 * the first wrong byte in the piece that carries it, however the text is cut. */
#include "base/utf8.h"
#include "fuzz.h"

typedef struct truth {
    size_t whole; /* leading bytes that are whole code points */
    size_t bad;   /* the first byte that nothing behind it could save; SIZE_MAX: none */
} truth;

/* Which code points can still be reached with `left` continuation bytes to come? */
static bool possible(uint32_t so_far, size_t left, uint32_t least) {
    uint32_t low = so_far << (6 * left), high = low | ((UINT32_C(1) << (6 * left)) - 1);
    bool surrogates_only = low >= 0xd800 && high <= 0xdfff;
    return high >= least && low <= 0x10ffff && !surrogates_only;
}

static truth decode(ln_slice s) {
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t at = 0;
    while (at < s.size) {
        uint8_t b = s.data[at];
        size_t length = b < 0x80 ? 1 : b >> 5 == 6 ? 2 : b >> 4 == 14 ? 3 : b >> 3 == 30 ? 4 : 0;
        if (length == 0) return (truth){ at, at };
        uint32_t c = length == 1 ? b : b & ((1u << (7 - length)) - 1);
        if (!possible(c, length - 1, least[length])) return (truth){ at, at };
        for (size_t i = 1; i < length; i++) {
            if (at + i == s.size) return (truth){ at, SIZE_MAX };
            if (s.data[at + i] >> 6 != 2) return (truth){ at, at + i };
            c = c << 6 | (s.data[at + i] & 0x3f);
            if (!possible(c, length - 1 - i, least[length])) return (truth){ at, at + i };
        }
        at += length;
    }
    return (truth){ at, SIZE_MAX };
}

static void whole(ln_utf8_feed_fn *feed, ln_slice in, truth t) {
    ln_utf8 state = 0;
    bool ok = feed(&state, in);
    FUZZ_REQUIRE(ok == (t.bad == SIZE_MAX));
    FUZZ_REQUIRE(!ok || ln_utf8_complete(state) == (t.whole == in.size));
}

static void pieces(ln_utf8_feed_fn *feed, ln_slice in, truth t, fuzz_chance c) {
    ln_utf8 state = 0;
    for (size_t at = 0; at < in.size;) {
        size_t n = fuzz_piece(&c, in.size - at);
        ln_wslice piece = fuzz_exact(ln_slice_sub(in, at, at + n));
        bool ok = feed(&state, ln_slice_of(piece.data, piece.size));
        free(piece.data);
        FUZZ_REQUIRE(ok == (t.bad >= at + n));
        if (!ok) return;
        at += n;
    }
    FUZZ_REQUIRE(ln_utf8_complete(state) == (t.whole == in.size));
}

void fuzz_one(ln_slice in) {
    truth t = decode(in);
    FUZZ_REQUIRE(ln_utf8_valid(in) == (t.whole == in.size));
    FUZZ_REQUIRE(ln_utf8_prefix(in) == t.whole);
    for (ln_simd which = LN_SIMD_SCALAR; which <= LN_SIMD_AVX2; which++) {
        ln_utf8_feed_fn *feed = ln_utf8_impl(which);
        if (!feed) continue;
        whole(feed, in, t);
        pieces(feed, in, t, fuzz_chance_of(in));
    }
}
