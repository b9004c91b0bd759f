/* slice.h -- borrowed bytes, and the little one does with them.
 *
 * A slice never owns. It is passed by value and is good until the call that
 * carries it returns. ln_wslice is the same over bytes that may be written,
 * for instance a receive buffer that is unmasked in place.
 */
#ifndef LN_BASE_SLICE_H
#define LN_BASE_SLICE_H
#include "linnet/types.h"
#include <string.h>

typedef linnet_slice ln_slice;

typedef struct ln_wslice {
    uint8_t *data;
    size_t size;
} ln_wslice;

/* A slice over a string literal, without its NUL; for static tables, LN_SLICE_INIT. */
#define LN_SLICE_INIT(lit)                                                                         \
    { (const uint8_t *)("" lit), sizeof(lit) - 1 }
#define LN_SLICE(lit) ((ln_slice)LN_SLICE_INIT(lit))

static inline ln_slice ln_slice_of(const void *data, size_t size) {
    return (ln_slice){ (const uint8_t *)data, size };
}

static inline ln_slice ln_slice_str(const char *text) {
    return ln_slice_of(text, text ? strlen(text) : 0);
}

/* The bytes from..to (to excluded); both must lie inside and in order. */
static inline ln_slice ln_slice_sub(ln_slice s, size_t from, size_t to) {
    return ln_slice_of(s.data + from, to - from);
}

/* Moves the front forward by n, which must not exceed the size. */
static inline void ln_slice_skip(ln_slice *s, size_t n) {
    s->data += n;
    s->size -= n;
}

static inline bool ln_slice_eq(ln_slice a, ln_slice b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Equal when ASCII letters are compared without case; other bytes exactly. */
bool ln_slice_eq_ci(ln_slice a, ln_slice b);

static inline bool ln_slice_starts(ln_slice s, ln_slice prefix) {
    return s.size >= prefix.size && ln_slice_eq(ln_slice_sub(s, 0, prefix.size), prefix);
}

/* Index of the first such byte, or SIZE_MAX. */
static inline size_t ln_slice_find(ln_slice s, uint8_t byte) {
    const uint8_t *hit = s.size ? memchr(s.data, byte, s.size) : NULL;
    return hit ? (size_t)(hit - s.data) : SIZE_MAX;
}

/* Without spaces and tabs at both ends (HTTP's optional white space). */
ln_slice ln_slice_trim(ln_slice s);

/* Takes what stands before the next `byte` out of *rest, and moves *rest behind
 * it. False when *rest is exhausted (its data is NULL after the last part).
 * "a,b," yields "a", "b", "". */
bool ln_slice_cut(ln_slice *rest, uint8_t byte, ln_slice *part);

/* Copies into a NUL-terminated string of ln_malloc; NULL on failure. Caller frees. */
char *ln_slice_dup(ln_slice s);
#endif
