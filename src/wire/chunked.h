/* chunked.h -- bodies in HTTP's chunked coding (RFC 9112 section 7.1), both ways.
 *
 * The decoder is fed with whatever arrives and hands payload out as slices of it. Chunk
 * extensions are checked and ignored, trailer fields are checked and discarded (a key or a
 * length that comes only there was never said), both within bounds. As in http1.h there is
 * no leniency: no white space, no bare LF, no sign, at most 16 digits.
 */
#ifndef LN_WIRE_CHUNKED_H
#define LN_WIRE_CHUNKED_H
#include "wire/http1.h"

#define LN_CHUNKED_OVERHEAD_MAX 4096 /* bytes of chunk extensions in one body */

typedef struct ln_chunked {
    uint64_t left;     /* bytes of the current chunk still to come */
    uint64_t total;    /* payload bytes announced so far */
    uint64_t body_max; /* payload bytes allowed */
    uint32_t overhead; /* bytes spent on extensions so far */
    uint8_t state, digits;
    uint8_t fault; /* ln_http1_fault, after LINNET_ERR_HTTP */
    ln_http1_scan trailer;
} ln_chunked;

#define LN_CHUNKED_DATA 3 /* a piece of payload is there; beside LN_DONE and LN_MORE */

void ln_chunked_init(ln_chunked *c, uint64_t body_max);

/* Takes bytes from the front of *in.
 *
 *   LN_CHUNKED_DATA  *data is a non-empty piece of payload inside *in; call again
 *   LN_MORE          *in is used up
 *   LN_DONE          the body has ended, *in begins behind it; all later calls say the same
 *   LINNET_ERR_HTTP  refused, c->fault says why (BODY_LONG as soon as a chunk announces
 *                    more than body_max in sum); all later calls say the same */
int ln_chunked_feed(ln_chunked *c, ln_slice *in, ln_slice *data);

/* Appends one chunk with its frame. Empty data appends nothing, for an empty chunk would
 * end the body. LINNET_ERR_NOMEM, LINNET_ERR_TOO_BIG: nothing was appended. */
int ln_chunked_write(ln_buf *out, ln_slice data);
/* Appends the end of a chunked body, without trailers. The same errors. */
int ln_chunked_end(ln_buf *out);
#endif
