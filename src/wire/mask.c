#include "wire/mask.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* The key as it lies in memory, seen as a number; its byte i is that of payload byte i. */
static uint32_t rotated(uint32_t key, uint64_t by) {
    uint64_t twice = (uint64_t)key << 32 | key;
    unsigned shift = 8 * (unsigned)(by & 3);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (uint32_t)(twice >> shift);
#else
    return (uint32_t)(twice >> (32 - shift));
#endif
}

static uint32_t load32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t load64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static void store32(uint8_t *p, uint32_t v) {
    memcpy(p, &v, sizeof(v));
}

static void store64(uint8_t *p, uint64_t v) {
    memcpy(p, &v, sizeof(v));
}

#define HIGH32 UINT32_C(0x80808080)
#define HIGH64 UINT64_C(0x8080808080808080)

/* All implementations do the rest that fills no whole word by one more word that ends where
 * the data ends and overlaps what came before. In place that works because the last word is
 * loaded before anything is stored; the bytes it covers twice come out equal. */
static bool below_16(uint8_t *to, const uint8_t *from, size_t size, uint32_t key) {
    uint32_t tail_key = rotated(key, size);
    if (size >= 8) {
        uint64_t first = load64(from) ^ ((uint64_t)key << 32 | key);
        uint64_t last = load64(from + size - 8) ^ ((uint64_t)tail_key << 32 | tail_key);
        store64(to, first);
        store64(to + size - 8, last);
        return !((first | last) & HIGH64);
    }
    if (size >= 4) {
        uint32_t first = load32(from) ^ key;
        uint32_t last = load32(from + size - 4) ^ tail_key;
        store32(to, first);
        store32(to + size - 4, last);
        return !((first | last) & HIGH32);
    }
    uint8_t bytes[4], seen = 0;
    store32(bytes, key);
    for (size_t i = 0; i < size; i++)
        seen |= to[i] = from[i] ^ bytes[i];
    return !(seen & 0x80);
}

static bool scalar(uint8_t *to, const uint8_t *from, size_t size, uint32_t key) {
    if (size < 16) return below_16(to, from, size, key);
    uint64_t wide = (uint64_t)key << 32 | key, seen = 0;
    uint32_t tail_key = rotated(key, size);
    uint64_t last = load64(from + size - 8) ^ ((uint64_t)tail_key << 32 | tail_key);
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t word = load64(from + i) ^ wide;
        seen |= word;
        store64(to + i, word);
    }
    store64(to + size - 8, last);
    return !((seen | last) & HIGH64);
}

#if defined(__x86_64__)
static __m128i load128(const uint8_t *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static void store128(uint8_t *p, __m128i v) {
    _mm_storeu_si128((__m128i *)(void *)p, v);
}

static bool sse2(uint8_t *to, const uint8_t *from, size_t size, uint32_t key) {
    if (size < 16) return below_16(to, from, size, key);
    __m128i wide = _mm_set1_epi32((int)key);
    __m128i last = _mm_xor_si128(
        load128(from + size - 16), _mm_set1_epi32((int)rotated(key, size)));
    __m128i seen = last;
    size_t i = 0;
    for (; i + 64 <= size; i += 64) {
        __m128i a = _mm_xor_si128(load128(from + i), wide);
        __m128i b = _mm_xor_si128(load128(from + i + 16), wide);
        __m128i c = _mm_xor_si128(load128(from + i + 32), wide);
        __m128i d = _mm_xor_si128(load128(from + i + 48), wide);
        store128(to + i, a);
        store128(to + i + 16, b);
        store128(to + i + 32, c);
        store128(to + i + 48, d);
        seen = _mm_or_si128(seen, _mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d)));
    }
    for (; i + 16 <= size; i += 16) {
        __m128i a = _mm_xor_si128(load128(from + i), wide);
        store128(to + i, a);
        seen = _mm_or_si128(seen, a);
    }
    store128(to + size - 16, last);
    return _mm_movemask_epi8(seen) == 0;
}

#define AVX2 __attribute__((target("avx2")))

AVX2 static __m256i load256(const uint8_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

AVX2 static void store256(uint8_t *p, __m256i v) {
    _mm256_storeu_si256((__m256i *)(void *)p, v);
}

AVX2 static bool avx2(uint8_t *to, const uint8_t *from, size_t size, uint32_t key) {
    if (size < 32) return sse2(to, from, size, key);
    __m256i wide = _mm256_set1_epi32((int)key);
    __m256i last = _mm256_xor_si256(
        load256(from + size - 32), _mm256_set1_epi32((int)rotated(key, size)));
    __m256i seen = last;
    size_t i = 0;
    for (; i + 128 <= size; i += 128) {
        __m256i a = _mm256_xor_si256(load256(from + i), wide);
        __m256i b = _mm256_xor_si256(load256(from + i + 32), wide);
        __m256i c = _mm256_xor_si256(load256(from + i + 64), wide);
        __m256i d = _mm256_xor_si256(load256(from + i + 96), wide);
        store256(to + i, a);
        store256(to + i + 32, b);
        store256(to + i + 64, c);
        store256(to + i + 96, d);
        seen = _mm256_or_si256(seen, _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d)));
    }
    for (; i + 32 <= size; i += 32) {
        __m256i a = _mm256_xor_si256(load256(from + i), wide);
        store256(to + i, a);
        seen = _mm256_or_si256(seen, a);
    }
    store256(to + size - 32, last);
    return _mm256_movemask_epi8(seen) == 0;
}
#endif

/* The choice is a load and a predicted branch rather than a pointer, so that there is no
 * writable global; short data, where that would show, never asks. */
static inline bool apply(uint8_t *to, const uint8_t *from, size_t size, uint32_t key) {
#if defined(__x86_64__)
    if (size < 64 || !__builtin_cpu_supports("avx2")) return sse2(to, from, size, key);
    return avx2(to, from, size, key);
#else
    return scalar(to, from, size, key);
#endif
}

void ln_mask(ln_wslice data, const uint8_t key[4], uint64_t at) {
    apply(data.data, data.data, data.size, rotated(load32(key), at));
}

bool ln_unmask_ascii(ln_wslice data, const uint8_t key[4], uint64_t at) {
    return apply(data.data, data.data, data.size, rotated(load32(key), at));
}

bool ln_mask_copy(uint8_t *to, ln_slice from, const uint8_t key[4], uint64_t at) {
    return apply(to, from.data, from.size, rotated(load32(key), at));
}

ln_mask_fn *ln_mask_impl(int which) {
#if defined(__x86_64__)
    if (which == 2) return __builtin_cpu_supports("avx2") ? avx2 : NULL;
    if (which == 1) return sse2;
#endif
    return which == 0 ? scalar : NULL;
}
