/* bench_frame.h -- bytes out and bytes in, as a load generator wants them.
 *
 * Out: a *ring* of finished frames in one piece of memory. A connection walks
 * round it, so that any number of messages up to `run` is one send of memory
 * that nobody writes any more. In: a *reader* that finds the frames in what
 * arrives, counts messages and bytes, and shows the payload only to those who
 * want to look.
 */
#ifndef LN_CLI_BENCH_FRAME_H
#define LN_CLI_BENCH_FRAME_H
#include "cli/bench_options.h"

#include <stddef.h>

enum {
    LN_BENCH_HEAD_MAX = 14,
    LN_BENCH_OP_TEXT = 1,
    LN_BENCH_OP_BINARY = 2,
    LN_BENCH_OP_CLOSE = 8,
    LN_BENCH_OP_PING = 9,
    LN_BENCH_OP_PONG = 10,
    LN_BENCH_RSV1 = 0x40,
};

/* calloc that ends the program with exit code 1 and a message. */
void *ln_bench_alloc(size_t count, size_t size);

/* Fills p with a payload of its kind. Different variants differ; text is always
 * valid UTF-8 of exactly n bytes. `prose` makes it compress as JSON does. */
void ln_bench_payload(uint8_t *p, size_t n, ln_bench_body body, uint32_t variant, bool prose);

/* Writes a FIN frame at out and returns its size. first: opcode and RSV1. A mask
 * of NULL leaves the frame unmasked, as servers send. Room: n + HEAD_MAX. */
size_t ln_bench_frame(
    uint8_t *out, uint8_t first, const uint8_t mask[4], const uint8_t *p, size_t n);

/* A mask as random as a client's. */
void ln_bench_mask(uint8_t out[4]);

typedef struct ln_bench_ring {
    uint32_t variants, run; /* frames in a lap; frames that can be sent in one go */
    size_t size;            /* of every payload */
    uint8_t *payloads;      /* variants * size, in clear */
    uint8_t *bytes;         /* the frames of a lap and `run` more */
    size_t *at;             /* where frame i begins in bytes; one more for the end */
} ln_bench_ring;

/* Compresses variant i of a ring into out (of 2 * size + 64 bytes) and returns
 * the size; called once for each frame in order. */
typedef size_t (*ln_bench_squeeze)(void *ctx, const uint8_t *p, size_t n, uint8_t *out);

/* Builds the masked frames. squeeze: NULL for plain messages. */
void ln_bench_ring_init(
    ln_bench_ring *ring, const ln_bench_options *o, ln_bench_squeeze squeeze, void *ctx);
void ln_bench_ring_fini(ln_bench_ring *ring);

static inline const uint8_t *ln_bench_ring_payload(const ln_bench_ring *ring, uint32_t variant) {
    return ring->payloads + (size_t)variant * ring->size;
}

typedef struct ln_bench_reader ln_bench_reader;

/* Who looks at what is read; each may be NULL. Negative ends the reading. */
typedef struct ln_bench_sink {
    int (*data)(ln_bench_reader *r, const uint8_t *p, size_t n); /* a piece of a message */
    int (*message)(ln_bench_reader *r);                          /* its end */
    int (*control)(ln_bench_reader *r, uint8_t opcode, const uint8_t *p, size_t n);
} ln_bench_sink;

struct ln_bench_reader {
    const ln_bench_sink *sink;
    uint64_t left;     /* payload bytes of this frame still to come */
    uint64_t length;   /* payload bytes of this message so far */
    uint64_t expect;   /* what each message's length must be, or UINT64_MAX */
    uint64_t messages; /* whole ones, ever */
    uint64_t payload;  /* bytes of theirs on the wire, without headers */
    const char *why;   /* set with every negative return */
    uint8_t head_have, inside, first, message_first; /* first: opcode byte of frame, of message */
    uint8_t control_len;
    uint8_t head[LN_BENCH_HEAD_MAX];
    uint8_t control[125];
};

void ln_bench_reader_init(ln_bench_reader *r, const ln_bench_sink *sink, uint64_t expect);

/* Reads what a server sent. Negative: it broke the rules of frames or a sink
 * refused; r->why says what is wrong. */
int ln_bench_reader_feed(ln_bench_reader *r, const uint8_t *p, size_t n);

#endif
