/* serve.h -- `linnet serve`: the library's first customer. Channels at /ws, pages to try them, and
 * the questions of a supervisor, with defaults that are safe on a desk.
 */
#ifndef LN_DAEMON_SERVE_H
#define LN_DAEMON_SERVE_H
#include "daemon/options.h"

/* Serves until a signal and returns the exit code, as ln_run_until_signal. told: where the options
 * are from, for when they are to be read again. */
int ln_serve(const ln_options *options, const ln_told *told);
/* Whether the library takes all of it, certificates included, without listening anywhere: 0, or 1
 * after words on stderr. */
int ln_serve_try(const ln_options *options);
#endif
