/* bench_deflate.h -- permessage-deflate for the load generator, by zlib.
 *
 * What is sent is compressed once, before the clock runs (see the ring in
 * bench_frame.h). What comes back is inflated on a few connections only, which
 * check it; its size is compared with what zlib would have made of it at level 6.
 */
#ifndef LN_CLI_BENCH_DEFLATE_H
#define LN_CLI_BENCH_DEFLATE_H
#include "cli/bench_frame.h"

#include <zlib.h>

/* What a server agreed to. */
typedef struct ln_bench_extension {
    bool agreed;
    bool server_takeover, client_takeover; /* the window lives on between messages */
    int client_bits;                       /* 8 to 15 */
} ln_bench_extension;

/* Reads the value of Sec-WebSocket-Extensions. False: not an answer to the offer. */
bool ln_bench_extension_parse(ln_bench_extension *out, const char *value, size_t n);

typedef struct ln_bench_deflater {
    z_stream z;
    bool takeover;
} ln_bench_deflater;

void ln_bench_deflater_init(ln_bench_deflater *d, bool takeover, int bits, int level);
void ln_bench_deflater_fini(ln_bench_deflater *d);
size_t ln_bench_deflate(void *deflater, const uint8_t *p, size_t n, uint8_t *out);

/* Bytes per message that zlib at level 6 makes of a ring's payloads, once its
 * window is full. */
double ln_bench_deflate_baseline(const ln_bench_ring *ring, bool takeover);

typedef struct ln_bench_inflater {
    z_stream z;
    bool takeover;
    size_t length; /* bytes of this message that came out so far and were right */
} ln_bench_inflater;

void ln_bench_inflater_init(ln_bench_inflater *d, bool takeover);
void ln_bench_inflater_fini(ln_bench_inflater *d);

/* Inflates a piece of a message and compares it with `wanted` (of n bytes, the
 * whole message). False when it is not that. */
bool ln_bench_inflate_check(
    ln_bench_inflater *d, const uint8_t *p, size_t len, const uint8_t *wanted, size_t n);

/* The end of the message: false when it was too short. */
bool ln_bench_inflate_end(ln_bench_inflater *d, const uint8_t *wanted, size_t n);

#endif
