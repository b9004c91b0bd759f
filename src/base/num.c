#include "base/num.h"

bool ln_num_u64(ln_slice s, uint64_t max, uint64_t *out) {
    if (s.size == 0 || (s.size > 1 && s.data[0] == '0')) return false;
    uint64_t v = 0;
    for (size_t i = 0; i < s.size; i++) {
        uint8_t digit = (uint8_t)(s.data[i] - '0');
        if (digit > 9) return false;
        if (__builtin_mul_overflow(v, UINT64_C(10), &v)) return false;
        if (__builtin_add_overflow(v, (uint64_t)digit, &v)) return false;
    }
    if (v > max) return false;
    *out = v;
    return true;
}

static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool ln_num_hex(ln_slice s, uint64_t *out) {
    if (s.size == 0 || s.size > 16) return false;
    uint64_t v = 0;
    for (size_t i = 0; i < s.size; i++) {
        int digit = hex_digit(s.data[i]);
        if (digit < 0) return false;
        v = v << 4 | (uint64_t)digit;
    }
    *out = v;
    return true;
}

bool ln_num_hex16(ln_slice s, uint64_t *out) {
    return s.size == LN_NUM_HEX16 && ln_num_hex(s, out);
}

void ln_num_hex16_put(uint64_t v, char out[LN_NUM_HEX16]) {
    for (int i = LN_NUM_HEX16 - 1; i >= 0; i--, v >>= 4)
        out[i] = "0123456789abcdef"[v & 15];
}

size_t ln_num_put(uint64_t v, char out[20]) {
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
    } while (v /= 10);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    return n;
}

bool ln_num_size(ln_slice s, uint64_t *out) {
    if (s.size == 0) return false;
    unsigned shift = 0;
    switch (s.data[s.size - 1] | 0x20) {
    case 'k': shift = 10; break;
    case 'm': shift = 20; break;
    case 'g': shift = 30; break;
    }
    if (shift) s.size--;
    uint64_t v;
    if (!ln_num_u64(s, UINT64_MAX >> shift, &v)) return false;
    *out = v << shift;
    return true;
}
