/* rendering.h -- bytes of one message as connections queue them: made once per worker, shared by
 * reference, counted without atomics because it never leaves its worker.
 *
 *   bytes[0]       bytes[16 - head]     bytes[16]                    bytes[16 + size]
 *   | unused       | server frame head  | payload ..................|
 *
 * For an ordinary server connection header and payload are sent as they lie, contiguous. A client
 * masks, a connection with a compression context compresses: they read the payload and encode when
 * they flush. The compressed twins (no context takeover) hang on the rendering and are made when
 * first wanted. Never changed once it is queued anywhere.
 */
#ifndef LN_CONN_RENDERING_H
#define LN_CONN_RENDERING_H
#include "base/err.h"
#include "base/slice.h"
#include "base/stat.h"

#define LN_RENDERING_HEADROOM 16
typedef struct ln_rendering {
    uint32_t refs;
    uint32_t size;  /* payload bytes */
    uint8_t opcode; /* LN_OP_TEXT, LN_OP_BINARY; 0: `bytes` are wire bytes, sent as they are */
    uint8_t head;   /* bytes of server frame header before the payload */
    uint8_t bits;   /* of a twin: the variant it was compressed for */
    uint8_t flags;
    uint32_t charged; /* bytes on `account`: */
    ln_stat *account; /* of the worker, once it waits on a connection; NULL: it never has */
    struct ln_rendering *twins; /* compressed forms, or (in a twin) the next one */
    uint64_t offset;            /* of LIVE and NOTE ones the owner's, and the next two: */
    uint32_t channel, key;      /* by which it knows them again */
    uint8_t bytes[];            /* LN_RENDERING_HEADROOM + size */
} ln_rendering;

#define LN_RENDERING_PLAIN 1  /* never compress (secrets, THREATS row 66) */
#define LN_RENDERING_LIVE  2  /* a policy may drop it while it waits */
#define LN_RENDERING_SPARE 16 /* a full queue may drop it without a word: volatile */
#define LN_RENDERING_NOTE  32 /* says what was dropped; a policy may put another in its place */
#define LN_RENDERING_ITEM  64 /* JSON, not PLAIN, that may leave in an array with others */
#define LN_RENDERING_LENT  8  /* of conn/: `bytes` hold an ln_buf that what is in flight lies in */
#define LN_RENDERING_RSV1  4  /* a twin: the head carries RSV1 */

/* One reference, yours. Room for `size` payload bytes, to be written to ln_rendering_payload()
 * before it is queued; NULL without memory. The header is written already. */
ln_rendering *ln_rendering_new(uint8_t opcode, size_t size);
/* The same with the payload copied in. */
ln_rendering *ln_rendering_of(uint8_t opcode, ln_slice payload);
/* The compressed form of one, not yet hung on it; `compressed` is copied. NULL without memory. */
ln_rendering *ln_rendering_twin(const ln_rendering *of, uint8_t bits, ln_slice compressed);
static inline uint8_t *ln_rendering_payload(ln_rendering *r) {
    return r->bytes + LN_RENDERING_HEADROOM;
}
static inline ln_slice ln_rendering_wire(const ln_rendering *r) {
    return ln_slice_of(r->bytes + LN_RENDERING_HEADROOM - r->head, (size_t)r->size + r->head);
}
static inline ln_rendering *ln_rendering_ref(ln_rendering *r) {
    r->refs++;
    return r;
}
void ln_rendering_free(ln_rendering *r); /* for unref only */
/* It waits, or will: its bytes count from now to its end, and once, however many wait for it. */
static inline void ln_rendering_charge(ln_rendering *r, ln_stat *account, size_t bytes) {
    if (r->account) return;
    r->account = account;
    r->charged = (uint32_t)bytes;
    ln_stat_add(account, bytes);
}
static inline void ln_rendering_unref(ln_rendering *r) {
    if (--r->refs == 0) ln_rendering_free(r);
}
#endif
