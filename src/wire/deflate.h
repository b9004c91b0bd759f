/* deflate.h -- permessage-deflate's two transformations (RFC 7692 7.2), over zlib and libdeflate.
 *
 * A *deflater* and an *inflater* carry a window from message to message (context takeover) or are
 * reset before each. Those without takeover have no memory of a connection, so one per worker and
 * window size serves all (ln_pmd_tools); with takeover each connection has its own, made at first
 * use.
 *
 * Output never has the 00 00 FF FF tail. An inflater stops at limit + 1 bytes, inside the loop,
 * whatever the input promises (THREATS row 59).
 */
#ifndef LN_WIRE_DEFLATE_H
#define LN_WIRE_DEFLATE_H
#include "base/buf.h"
#include "base/err.h"

typedef struct ln_deflater ln_deflater;
typedef struct ln_inflater ln_inflater;

/* bits 9..15, level 1..9, memory 1..9 (zlib's memLevel). LINNET_ERR_NOMEM. */
int ln_deflater_new(
    unsigned bits, unsigned level, unsigned memory, bool takeover, ln_deflater **out);
void ln_deflater_free(ln_deflater *d);
/* Compresses one whole message and appends it to *out. On error (NOMEM, TOO_BIG of *out) nothing is
 * appended and the context is lost: a takeover deflater resets itself, so later messages stay
 * right. */
int ln_deflater_message(ln_deflater *d, ln_slice in, ln_buf *out);
/* Forgets the window. */
void ln_deflater_reset(ln_deflater *d);

/* bits 8..15. */
int ln_inflater_new(unsigned bits, bool takeover, ln_inflater **out);
void ln_inflater_free(ln_inflater *i);
/* Feeds the next piece of one message; what comes out is appended to *out, of which at most `limit`
 * bytes may be this message's (LINNET_ERR_TOO_BIG at limit + 1; LINNET_ERR_DEFLATE corrupt; NOMEM).
 * `last` marks the end of the message: the tail is supplied here. A shared no-takeover inflater
 * must not be given to another message in between. Blocks with BFINAL are accepted and the window
 * is kept. */
int ln_inflater_feed(ln_inflater *i, ln_slice in, bool last, uint64_t limit, ln_buf *out);
void ln_inflater_reset(ln_inflater *i);

typedef struct ln_pmd_tools {  /* one per worker: what its connections share */
    ln_deflater *deflaters[7]; /* by window bits 9..15, made lazily, no takeover */
    ln_inflater *inflater;     /* 15 bits reads every smaller window */
    /* libdeflate's two halves, lazily. Their state is the one memory of ours that does not come
     * through base/mem.h: their allocator can only be set for the whole process, and the process
     * may be somebody else's. */
    void *one_shot[2], *unpacker;
    struct ln_squeezer *squeezer; /* for short messages, lazily */
    ln_buf scratch;               /* inflated message of the moment, with headroom */
    ln_buf packed;                /* compressed message of the moment, with its tail */
    uint64_t memory, memory_max;  /* bytes of per-connection contexts agreed; 256 MiB by default */
} ln_pmd_tools;
void ln_pmd_tools_init(ln_pmd_tools *t);
void ln_pmd_tools_fini(ln_pmd_tools *t);

/* One whole message without any window, appended to *out. What broadcast uses. Up to
 * LN_SQUEEZE_SHORT bytes by squeeze.h; longer ones by libdeflate in one shot when `one_shot` is set
 * and the window allows (bits 15, or the message fits the window), else by zlib at `level`. From
 * level 7 on, which asks for size, always by zlib. JSON comes out within 5 % of zlib's level 6.
 * NOMEM, TOO_BIG of *out: nothing was appended. */
#define LN_SQUEEZE_SHORT 2048
int ln_pmd_compress(
    ln_pmd_tools *t, unsigned bits, unsigned level, bool one_shot, ln_slice in, ln_buf *out);
/* One whole message from a peer that keeps no window; errors as ln_inflater_feed. */
int ln_pmd_inflate(ln_pmd_tools *t, ln_slice in, uint64_t limit, ln_buf *out);
/* Bytes a takeover context costs, for the budget. */
size_t ln_deflater_cost(unsigned bits, unsigned memory);
size_t ln_inflater_cost(unsigned bits);

/* Hand-over: the window as bytes (at most 32 KiB), appended; and back into a fresh context. */
int ln_deflater_save(ln_deflater *d, ln_buf *out);
int ln_deflater_load(ln_deflater *d, ln_slice window);
int ln_inflater_save(ln_inflater *i, ln_buf *out);
int ln_inflater_load(ln_inflater *i, ln_slice window);
#endif
