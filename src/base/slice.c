#include "base/slice.h"
#include "base/mem.h"

static uint8_t lower(uint8_t c) {
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

bool ln_slice_eq_ci(ln_slice a, ln_slice b) {
    if (a.size != b.size) return false;
    for (size_t i = 0; i < a.size; i++) {
        if (lower(a.data[i]) != lower(b.data[i])) return false;
    }
    return true;
}

static bool blank(uint8_t c) {
    return c == ' ' || c == '\t';
}

ln_slice ln_slice_trim(ln_slice s) {
    while (s.size && blank(s.data[0]))
        ln_slice_skip(&s, 1);
    while (s.size && blank(s.data[s.size - 1]))
        s.size--;
    return s;
}

bool ln_slice_cut(ln_slice *rest, uint8_t byte, ln_slice *part) {
    if (!rest->data) return false;
    size_t at = ln_slice_find(*rest, byte);
    if (at == SIZE_MAX) {
        *part = *rest;
        *rest = (ln_slice){ 0 };
        return true;
    }
    *part = ln_slice_sub(*rest, 0, at);
    ln_slice_skip(rest, at + 1);
    return true;
}

char *ln_slice_dup(ln_slice s) {
    char *copy = ln_malloc(s.size + 1);
    if (!copy) return NULL;
    if (s.size) memcpy(copy, s.data, s.size);
    copy[s.size] = 0;
    return copy;
}
