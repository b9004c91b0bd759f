/* The lookup method of Keiser and Lemire ("Validating UTF-8 in less than one instruction per
 * byte", 2020). Every wrong pair of neighbours is one of eight kinds. Three tables of sixteen
 * tell which kinds are possible, by the first byte's high half, its low half, and the second
 * byte's high half; what all three allow is wrong. Two continuation bytes in a row come out as
 * a kind of their own, which is right exactly behind a three- or four-byte lead.
 *
 * The bytes one, two and three places before are loaded again from memory instead of being
 * shifted in from the last vector: loads are free here, shuffles are what the lookups need.
 */
#include "base/utf8_x86.h"

#ifdef LN_UTF8_X86
#include <immintrin.h>

enum {
    SHORT = 1 << 0,     /* lead, then no continuation */
    LONG = 1 << 1,      /* ASCII, then a continuation */
    OVER3 = 1 << 2,     /* E0, then 80..9F */
    LARGE = 1 << 3,     /* F4 and more, then 90..BF */
    SURROGATE = 1 << 4, /* ED, then A0..BF */
    OVER2 = 1 << 5,     /* C0 or C1, then a continuation */
    LARGE8 = 1 << 6,    /* F5 and more, then 80..8F */
    OVER4 = 1 << 6,     /* F0, then 80..8F; other low half than LARGE8 */
    CONT2 = 1 << 7,     /* two continuations */
};

#define ANY   (SHORT | LONG | CONT2) /* kinds that do not ask for the low half */
#define TOO   (ANY | LARGE | LARGE8)
#define C8    (LONG | OVER2 | CONT2) /* kinds of any continuation in second place */
#define S8(x) (char)(unsigned char)(x)

#define FIRST_HIGH                                                                                 \
    S8(LONG), S8(LONG), S8(LONG), S8(LONG), S8(LONG), S8(LONG), S8(LONG), S8(LONG), S8(CONT2),     \
        S8(CONT2), S8(CONT2), S8(CONT2), S8(SHORT | OVER2), S8(SHORT),                             \
        S8(SHORT | OVER3 | SURROGATE), S8(SHORT | LARGE | LARGE8 | OVER4)
#define FIRST_LOW                                                                                  \
    S8(ANY | OVER3 | OVER2 | OVER4), S8(ANY | OVER2), S8(ANY), S8(ANY), S8(ANY | LARGE), S8(TOO),  \
        S8(TOO), S8(TOO), S8(TOO), S8(TOO), S8(TOO), S8(TOO), S8(TOO), S8(TOO | SURROGATE),        \
        S8(TOO), S8(TOO)
#define SECOND_HIGH                                                                                \
    S8(SHORT), S8(SHORT), S8(SHORT), S8(SHORT), S8(SHORT), S8(SHORT), S8(SHORT), S8(SHORT),        \
        S8(C8 | OVER3 | LARGE8 | OVER4), S8(C8 | OVER3 | LARGE), S8(C8 | SURROGATE | LARGE),       \
        S8(C8 | SURROGATE | LARGE), S8(SHORT), S8(SHORT), S8(SHORT), S8(SHORT)

#define AVX512 __attribute__((target("avx512f,avx512bw")))
#define AVX2   __attribute__((target("avx2")))
#define SSE    __attribute__((target("sse4.1")))

static inline AVX512 __m512i load512(const uint8_t *p) {
    return _mm512_loadu_si512(p);
}

static inline AVX512 __m512i high512(__m512i v) {
    return _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(0x0f));
}

/* As wrong256, below, over 64 bytes. */
static inline AVX512 __m512i wrong512(const uint8_t *p) {
    const __m512i first_high = _mm512_broadcast_i32x4(_mm_setr_epi8(FIRST_HIGH));
    const __m512i first_low = _mm512_broadcast_i32x4(_mm_setr_epi8(FIRST_LOW));
    const __m512i second_high = _mm512_broadcast_i32x4(_mm_setr_epi8(SECOND_HIGH));
    __m512i one = load512(p - 1);
    __m512i a = _mm512_shuffle_epi8(first_high, high512(one));
    __m512i b = _mm512_shuffle_epi8(first_low, _mm512_and_si512(one, _mm512_set1_epi8(0x0f)));
    __m512i c = _mm512_shuffle_epi8(second_high, high512(load512(p)));
    __m512i pair = _mm512_and_si512(_mm512_and_si512(a, b), c);

    __m512i third = _mm512_subs_epu8(load512(p - 2), _mm512_set1_epi8(0xe0 - 0x80));
    __m512i fourth = _mm512_subs_epu8(load512(p - 3), _mm512_set1_epi8(0xf0 - 0x80));
    __m512i due = _mm512_and_si512(_mm512_or_si512(third, fourth), _mm512_set1_epi8(S8(0x80)));
    return _mm512_xor_si512(pair, due);
}

AVX512 bool ln_utf8_whole_avx512(ln_slice s) {
    const uint8_t *p = s.data, *end = s.data + s.size;
    uint8_t front[3 + 64] = { 0 };
    memcpy(front + 3, p, 64);
    __m512i wrong = wrong512(front + 3);
    p += 64;
    while (end - p >= 128) {
        __m512i both = _mm512_or_si512(load512(p), load512(p + 64));
        if (_mm512_movepi8_mask(both) || p[-1] >= 0x80) {
            wrong = _mm512_or_si512(wrong, wrong512(p));
            wrong = _mm512_or_si512(wrong, wrong512(p + 64));
            if (_mm512_test_epi8_mask(wrong, wrong)) return false;
        }
        p += 128;
    }
    if (end - p > 64) wrong = _mm512_or_si512(wrong, wrong512(p));
    if (end != p) wrong = _mm512_or_si512(wrong, wrong512(end - 64)); /* some bytes twice */
    return !_mm512_test_epi8_mask(wrong, wrong);
}

static inline AVX2 __m256i load256(const uint8_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline AVX2 __m256i high256(__m256i v) {
    return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(0x0f));
}

/* Bits where one of the 32 bytes at p is wrong behind its predecessors p[-3] to p[-1]. */
static inline AVX2 __m256i wrong256(const uint8_t *p) {
    const __m256i first_high = _mm256_setr_epi8(FIRST_HIGH, FIRST_HIGH);
    const __m256i first_low = _mm256_setr_epi8(FIRST_LOW, FIRST_LOW);
    const __m256i second_high = _mm256_setr_epi8(SECOND_HIGH, SECOND_HIGH);
    __m256i one = load256(p - 1);
    __m256i a = _mm256_shuffle_epi8(first_high, high256(one));
    __m256i b = _mm256_shuffle_epi8(first_low, _mm256_and_si256(one, _mm256_set1_epi8(0x0f)));
    __m256i c = _mm256_shuffle_epi8(second_high, high256(load256(p)));
    __m256i pair = _mm256_and_si256(_mm256_and_si256(a, b), c);

    __m256i third = _mm256_subs_epu8(load256(p - 2), _mm256_set1_epi8(0xe0 - 0x80));
    __m256i fourth = _mm256_subs_epu8(load256(p - 3), _mm256_set1_epi8(0xf0 - 0x80));
    __m256i due = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8(S8(0x80)));
    return _mm256_xor_si256(pair, due);
}

AVX2 bool ln_utf8_whole_avx2(ln_slice s) {
    const uint8_t *p = s.data, *end = s.data + s.size;
    uint8_t front[3 + 32] = { 0 }; /* as if three NULs stood before the text */
    memcpy(front + 3, p, 32);
    __m256i wrong = wrong256(front + 3);
    p += 32;
    while (end - p >= 64) {
        __m256i both = _mm256_or_si256(load256(p), load256(p + 32));
        if (_mm256_movemask_epi8(both) || p[-1] >= 0x80) {
            wrong = _mm256_or_si256(wrong, wrong256(p));
            wrong = _mm256_or_si256(wrong, wrong256(p + 32));
            if (!_mm256_testz_si256(wrong, wrong)) return false;
        }
        p += 64;
    }
    if (end - p > 32) wrong = _mm256_or_si256(wrong, wrong256(p));
    if (end != p) wrong = _mm256_or_si256(wrong, wrong256(end - 32)); /* some bytes twice */
    return _mm256_testz_si256(wrong, wrong);
}

static inline SSE __m128i load128(const uint8_t *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline SSE __m128i high128(__m128i v) {
    return _mm_and_si128(_mm_srli_epi16(v, 4), _mm_set1_epi8(0x0f));
}

static inline SSE __m128i wrong128(const uint8_t *p) {
    const __m128i first_high = _mm_setr_epi8(FIRST_HIGH);
    const __m128i first_low = _mm_setr_epi8(FIRST_LOW);
    const __m128i second_high = _mm_setr_epi8(SECOND_HIGH);
    __m128i one = load128(p - 1);
    __m128i a = _mm_shuffle_epi8(first_high, high128(one));
    __m128i b = _mm_shuffle_epi8(first_low, _mm_and_si128(one, _mm_set1_epi8(0x0f)));
    __m128i c = _mm_shuffle_epi8(second_high, high128(load128(p)));
    __m128i pair = _mm_and_si128(_mm_and_si128(a, b), c);

    __m128i third = _mm_subs_epu8(load128(p - 2), _mm_set1_epi8(0xe0 - 0x80));
    __m128i fourth = _mm_subs_epu8(load128(p - 3), _mm_set1_epi8(0xf0 - 0x80));
    __m128i due = _mm_and_si128(_mm_or_si128(third, fourth), _mm_set1_epi8(S8(0x80)));
    return _mm_xor_si128(pair, due);
}

static inline SSE __m128i wrong_two(const uint8_t *p) {
    return _mm_or_si128(wrong128(p), wrong128(p + 16));
}

SSE bool ln_utf8_whole_sse(ln_slice s) {
    const uint8_t *p = s.data, *end = s.data + s.size;
    uint8_t front[3 + 32] = { 0 };
    memcpy(front + 3, p, 32);
    __m128i wrong = wrong_two(front + 3);
    p += 32;
    while (end - p >= 64) {
        __m128i low = _mm_or_si128(load128(p), load128(p + 16));
        __m128i all = _mm_or_si128(low, _mm_or_si128(load128(p + 32), load128(p + 48)));
        if (_mm_movemask_epi8(all) || p[-1] >= 0x80) {
            wrong = _mm_or_si128(wrong, _mm_or_si128(wrong_two(p), wrong_two(p + 32)));
            if (!_mm_testz_si128(wrong, wrong)) return false;
        }
        p += 64;
    }
    if (end - p > 32) wrong = _mm_or_si128(wrong, wrong_two(p));
    if (end != p) wrong = _mm_or_si128(wrong, wrong_two(end - 32));
    return _mm_testz_si128(wrong, wrong);
}
#endif
