/* buf.h -- owned bytes that grow, up to a maximum they are born with.
 *
 *   data            data+head            data+head+size        data+capacity
 *   | consumed      | content ...........| room                 |
 *
 * Consuming from the front is free; the gap is closed when room is needed.
 * Zero-initialised except for `max` it is valid and empty and owns nothing.
 * 24 bytes, because connections have one.
 */
#ifndef LN_BASE_BUF_H
#define LN_BASE_BUF_H
#include "base/err.h"
#include "base/slice.h"

typedef struct ln_buf {
    uint8_t *data;
    uint32_t head, size, capacity, max; /* bytes; head + size <= capacity <= max */
} ln_buf;
#define LN_BUF_MAX UINT32_C(0x7fffffff)

/* An empty buffer that will never hold more than max bytes (<= LN_BUF_MAX). */
static inline void ln_buf_init(ln_buf *b, uint32_t max) {
    *b = (ln_buf){ .max = max };
}
/* Gives the memory back; the buffer is empty and usable again afterwards. */
void ln_buf_fini(ln_buf *b);

static inline ln_slice ln_buf_slice(const ln_buf *b) {
    return ln_slice_of(b->data ? b->data + b->head : NULL, b->size);
}
/* Forgets the content, keeps the memory. */
static inline void ln_buf_clear(ln_buf *b) {
    b->head = b->size = 0;
}

/* Makes room for n more bytes behind the content (doubling, at least 64).
 * LINNET_ERR_TOO_BIG over the maximum, LINNET_ERR_NOMEM; the content stays. */
int ln_buf_reserve(ln_buf *b, size_t n);
/* The room behind the content; after a reserve at least as large as asked. */
static inline ln_wslice ln_buf_room(ln_buf *b) {
    return (ln_wslice){ b->data + b->head + b->size, b->capacity - b->head - b->size };
}
/* Declares n bytes of the room as content. */
void ln_buf_commit(ln_buf *b, size_t n);

/* Append; same errors as reserve, and on error nothing was appended. */
int ln_buf_add(ln_buf *b, ln_slice s);
int ln_buf_add_byte(ln_buf *b, uint8_t byte);
/* printf into the buffer; more than 4,096 bytes of output are LINNET_ERR_TOO_BIG. */
int ln_buf_addf(ln_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops n <= size bytes from the front. */
void ln_buf_consume(ln_buf *b, size_t n);
#endif
