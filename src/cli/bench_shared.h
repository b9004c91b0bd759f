/* bench_shared.h -- messages that many get in the same compressed form.
 *
 * Without context takeover a server may compress a publication once for all who hear it. To inflate
 * it again for each of a thousand subscribers would measure the load generator; so the last few are
 * remembered, and what comes in the very same bytes says the very same thing.
 */
#ifndef LN_CLI_BENCH_SHARED_H
#define LN_CLI_BENCH_SHARED_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

enum { LN_BENCH_SHARED_KEPT = 64 };

typedef struct ln_bench_shared {
    z_stream z;
    bool begun;
    unsigned next; /* the place of the one that is forgotten next */
    uint64_t inflated;
    struct ln_bench_shared_item {
        uint8_t *packed, *text;
        size_t packed_len, text_len;
    } items[LN_BENCH_SHARED_KEPT];
} ln_bench_shared;

/* A zeroed one is empty. */
void ln_bench_shared_fini(ln_bench_shared *s);

/* What a compressed message (without its tail) says, of at most `most` bytes: *len of them, good
 * until LN_BENCH_SHARED_KEPT others have come. NULL: it says nothing. */
const uint8_t *ln_bench_shared_text(
    ln_bench_shared *s, const uint8_t *packed, size_t n, size_t most, size_t *len);
#endif
