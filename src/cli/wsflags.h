/* wsflags.h -- the deflate and limit options that `echo` and `connect` share.
 */
#ifndef LN_CLI_WSFLAGS_H
#define LN_CLI_WSFLAGS_H
#include "daemon/args.h"
#include <linnet/conn.h>

typedef struct ln_wsflags {
    const char *deflate; /* NULL: off; "", "takeover", "no-takeover" */
    uint64_t window_bits, level, threshold, message_max, fragments_max;
} ln_wsflags;

#define LN_WSFLAGS_INIT                                                                            \
    { .threshold = 0 }
#define LN_WSFLAGS_ROWS(f)                                                                         \
    { "deflate", "takeover|no-takeover", LN_ARG_MAYBE, &(f).deflate, 0, 0,                         \
        "offer permessage-deflate (with a window per connection)" },                               \
        { "window-bits", "N", LN_ARG_NUMBER, &(f).window_bits, 9, 15,                              \
            "window of our compressor, 9 to 15" },                                                 \
        { "deflate-level", "N", LN_ARG_NUMBER, &(f).level, 1, 9, "1 fastest to 9 smallest" },      \
        { "deflate-threshold", "N", LN_ARG_SIZE, &(f).threshold, 0, 0x7fffffff,                    \
            "shorter messages go plain (bytes, standard 0)" },                                     \
        { "max-message", "N", LN_ARG_SIZE, &(f).message_max, 1, 0x7fffff00,                        \
            "largest message taken, inflated: 64k, 16m" },                                         \
    {                                                                                              \
        "max-fragments", "N", LN_ARG_NUMBER, &(f).fragments_max, 1, UINT32_MAX - 1,                \
            "most frames of one message"                                                           \
    }
#define LN_WSFLAGS_COUNT 6

/* -1, or the exit code 2 after a mistake was told. */
int ln_wsflags_apply(const ln_wsflags *f, linnet_conn_limits *limits);
#endif
