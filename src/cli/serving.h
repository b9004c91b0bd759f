/* serving.h -- what every serving verb does alike: listen, say so, run until a signal.
 */
#ifndef LN_CLI_SERVING_H
#define LN_CLI_SERVING_H
#include "cli/args.h"
#include <linnet/server.h>

/* Listens on each address (TLS with a certificate), prints one flushed "listening on URL" line each
 * on stdout, runs until SIGTERM or SIGINT drains it (a second one ends it now). Returns the exit
 * code: 0 after TERM, 130 after INT, 1 when it could not listen or run, 2 for a half-given
 * certificate. */
int ln_serve_until_signal(
    linnet_server *server, const ln_arg_list *addresses, const char *cert, const char *key);
#endif
