/* frame.h -- one RFC 6455 frame header (section 5.2), and nothing else.
 *
 * Bytes in, values out: no allocation, no clock, no socket. Payload is never
 * copied here; the decoder says how much follows and ws.h walks it. A length
 * that passes this file is known to fit the limit, so nobody checks it again.
 */
#ifndef LN_WIRE_FRAME_H
#define LN_WIRE_FRAME_H
#include "base/err.h"
#include "base/slice.h"
#define LN_FRAME_HEAD_MAX 14 /* 2 + 8 length + 4 mask */

enum { /* 5.2; 3-7 and 11-15 are reserved and never leave the decoder */
    LN_OP_CONTINUATION = 0,
    LN_OP_TEXT = 1,
    LN_OP_BINARY = 2,
    LN_OP_CLOSE = 8,
    LN_OP_PING = 9,
    LN_OP_PONG = 10
};
#define LN_CONTROL_MAX 125 /* payload bytes of a control frame, 5.5 */

typedef struct ln_frame {
    uint64_t length; /* payload bytes that follow the header */
    uint8_t mask[4]; /* meaningful when masked */
    uint8_t opcode;  /* LN_OP_*, never a reserved value */
    bool fin, rsv1, masked;
} ln_frame;

typedef struct ln_frame_rules { /* what this side of this connection accepts */
    uint64_t length_max;
    bool masked; /* true on servers: clients must mask, 5.1 */
    bool rsv1;   /* true once permessage-deflate is agreed */
} ln_frame_rules;

/* Reads one header from the front of *in, which it borrows for the call.
 *
 *   LN_DONE  *out is filled and *in now starts at the payload
 *   LN_MORE  the header is not all there; *in and *out are untouched
 *   < 0      the peer broke the rules; close with ln_err_close_code()
 *
 * Whether a continuation fits is the message's affair (ws.h), except that RSV1 on a
 * continuation or control frame is refused here (RFC 7692 6.1).
 */
int ln_frame_decode(const ln_frame_rules *rules, ln_slice *in, ln_frame *out);

/* Writes the shortest legal header and returns its size. It cannot fail: the
 * frame is of our own making, so a wrong one is a bug and asserts. */
size_t ln_frame_encode(const ln_frame *frame, uint8_t out[LN_FRAME_HEAD_MAX]);

/* Size of the header ln_frame_encode would write. */
static inline size_t ln_frame_head_size(uint64_t length, bool masked) {
    return (size_t)2 + (length < 126 ? 0u : length < 65536 ? 2u : 8u) + (masked ? 4u : 0u);
}
#endif
