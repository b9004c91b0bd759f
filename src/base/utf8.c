#include "base/utf8.h"
#include "base/utf8_x86.h"

/* What the next byte may be. E0, ED, F0 and F4 narrow the byte behind them: overlong forms,
 * surrogates, and what lies above U+10FFFF (RFC 3629, section 4).
 *
 *   START -- lead byte --> E0 ED TWO F0 F4 THREE -- ... --> ONE -- 80..BF --> START
 */
enum { START, ONE, TWO, THREE, E0, ED, F0, F4 };

static const struct {
    uint8_t low, high, next;
} expect[] = {
    [ONE] = { 0x80, 0xbf, START },
    [TWO] = { 0x80, 0xbf, ONE },
    [THREE] = { 0x80, 0xbf, TWO },
    [E0] = { 0xa0, 0xbf, ONE },
    [ED] = { 0x80, 0x9f, ONE },
    [F0] = { 0x90, 0xbf, TWO },
    [F4] = { 0x80, 0x8f, TWO },
};

static bool lead(ln_utf8 *state, uint8_t byte) {
    if (byte < 0xc2 || byte > 0xf4) return false;
    if (byte < 0xe0) {
        *state = ONE;
    } else if (byte < 0xf0) {
        *state = byte == 0xe0 ? E0 : byte == 0xed ? ED : TWO;
    } else {
        *state = byte == 0xf0 ? F0 : byte == 0xf4 ? F4 : THREE;
    }
    return true;
}

static bool step(ln_utf8 *state, uint8_t byte) {
    if (*state == START) return byte < 0x80 || lead(state, byte);
    if (byte < expect[*state].low || byte > expect[*state].high) return false;
    *state = expect[*state].next;
    return true;
}

static size_t ascii_run(ln_slice s) {
    size_t at = 0;
    for (uint64_t w; s.size - at >= 8; at += 8) {
        memcpy(&w, s.data + at, 8);
        if (w & UINT64_C(0x8080808080808080)) break;
    }
    return at;
}

static bool feed_scalar(ln_utf8 *state, ln_slice s) {
    while (s.size) {
        if (*state == START && s.data[0] < 0x80) {
            size_t run = ascii_run(s);
            ln_slice_skip(&s, run ? run : 1);
            continue;
        }
        if (!step(state, s.data[0])) return false;
        ln_slice_skip(&s, 1);
    }
    return true;
}

/* How many bytes at the end begin a code point that is not all there (0 to 3). Bytes that
 * are wrong anyway may be counted or not. */
static size_t unfinished(ln_slice s) {
    for (size_t back = 1; back <= 3 && back <= s.size; back++) {
        uint8_t byte = s.data[s.size - back];
        if (byte < 0x80) return 0;
        if (byte < 0xc0) continue;
        size_t length = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
        return length > back ? back : 0;
    }
    return 0;
}

#ifdef LN_UTF8_X86
/* The vector code sees whole code points only: what an earlier slice left open is finished
 * byte by byte, and so is what this slice leaves open. Thus a wrong byte is found in the
 * slice that carries it, wherever the cuts fall. */
static bool feed_vector(bool (*whole)(ln_slice), ln_utf8 *state, ln_slice s) {
    for (; *state != START && s.size; ln_slice_skip(&s, 1)) {
        if (!step(state, s.data[0])) return false;
    }
    /* Most short messages are ASCII, and the set-up below costs more than walking them. */
    if (s.size < 128) ln_slice_skip(&s, ascii_run(s));
    if (s.size < LN_UTF8_X86_MIN + 3) return feed_scalar(state, s);
    ln_slice body = ln_slice_sub(s, 0, s.size - unfinished(s));
#if !defined(LN_PLANT) || LN_PLANT != 1 /* fuzz/plants */
    if (unfinished(body)) return false; /* a lead that meets the next lead */
#endif
    return whole(body) && feed_scalar(state, ln_slice_sub(s, body.size, s.size));
}

static bool feed_sse(ln_utf8 *state, ln_slice s) {
    return feed_vector(ln_utf8_whole_sse, state, s);
}

static bool feed_avx2(ln_utf8 *state, ln_slice s) {
    return feed_vector(ln_utf8_whole_avx2, state, s);
}

static bool whole_wide(ln_slice s) {
    return s.size < LN_UTF8_X86_WIDE ? ln_utf8_whole_avx2(s) : ln_utf8_whole_avx512(s);
}

static bool feed_avx512(ln_utf8 *state, ln_slice s) {
    return feed_vector(whole_wide, state, s);
}

static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx2");
}

/* No pointer of our own to fill in: this reads one word that the compiler's start-up code
 * has filled in before main. */
bool ln_utf8_feed(ln_utf8 *state, ln_slice s) {
    if (s.size < LN_UTF8_X86_MIN) return feed_scalar(state, s);
    if (s.size >= LN_UTF8_X86_WIDE && has_avx512()) return feed_avx512(state, s);
    if (__builtin_cpu_supports("avx2")) return feed_avx2(state, s);
    if (__builtin_cpu_supports("sse4.1")) return feed_sse(state, s);
    return feed_scalar(state, s);
}

ln_utf8_feed_fn *ln_utf8_impl(ln_simd which) {
    switch (which) {
    case LN_SIMD_SCALAR: return feed_scalar;
    case LN_SIMD_SSE: return __builtin_cpu_supports("sse4.1") ? feed_sse : NULL;
    case LN_SIMD_AVX2: return __builtin_cpu_supports("avx2") ? feed_avx2 : NULL;
    case LN_SIMD_AVX512: return has_avx512() ? feed_avx512 : NULL;
    }
    return NULL;
}
#else
bool ln_utf8_feed(ln_utf8 *state, ln_slice s) {
    return feed_scalar(state, s);
}

ln_utf8_feed_fn *ln_utf8_impl(ln_simd which) {
    return which == LN_SIMD_SCALAR ? feed_scalar : NULL;
}
#endif

bool ln_utf8_valid(ln_slice s) {
    ln_utf8 state = START;
    return ln_utf8_feed(&state, s) && state == START;
}

size_t ln_utf8_prefix(ln_slice s) {
    ln_utf8 state = START;
    if (ln_utf8_feed(&state, s)) return s.size - unfinished(s);
    size_t whole = 0;
    state = START;
    for (size_t i = 0; step(&state, s.data[i]); i++) {
        if (state == START) whole = i + 1;
    }
    return whole;
}
