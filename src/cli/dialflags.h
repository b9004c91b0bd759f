/* dialflags.h -- the options of every verb that dials: connect, sub, pub.
 */
#ifndef LN_CLI_DIALFLAGS_H
#define LN_CLI_DIALFLAGS_H
#include "daemon/args.h"
#include <linnet/client.h>

#define LN_DIALFLAGS_TOKEN_MAX 4096

typedef struct ln_dialflags {
    ln_arg_list headers;
    const char *token, *token_file; /* to log in with */
    const char *tls_ca;
    bool insecure;
    uint64_t timeout; /* seconds */
    char bearer[64 + LN_DIALFLAGS_TOKEN_MAX + 1];
} ln_dialflags;

#define LN_DIALFLAGS_INIT                                                                          \
    { .timeout = 10 }
#define LN_DIALFLAGS_ROWS(f)                                                                       \
    { "header", "H", LN_ARG_LIST, &(f).headers, 0, 0,                                              \
        "'Name: value' of the request; may be repeated" },                                         \
        { "token", "T", LN_ARG_TEXT, &(f).token, 0, 0,                                             \
            "log in with this token (others on this machine can read it)" },                       \
        { "token-file", "FILE", LN_ARG_TEXT, &(f).token_file, 0, 0,                                \
            "log in with the token in a file" },                                                   \
        { "tls-ca", "FILE", LN_ARG_TEXT, &(f).tls_ca, 0, 0,                                        \
            "PEM certificates to trust instead of the system's" },                                 \
        { "insecure", NULL, LN_ARG_FLAG, &(f).insecure, 0, 0, "trust any certificate" }, {         \
        "timeout", "S", LN_ARG_NUMBER, &(f).timeout, 1, 86400,                                     \
            "seconds to connect, and for the last answer (default 10)"                             \
    }

/* -1, or the exit code 2 after a mistake was told. The flags must outlive the options. */
int ln_dialflags_apply(ln_dialflags *f, const char *url, linnet_dial_options *o);
#endif
