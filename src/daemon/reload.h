/* reload.h -- another configuration for a server that runs.
 *
 * SIGHUP reads everything again: the file, and over it the environment and the command line as they
 * were at the start. What is wrong with it is told and nothing changes. Otherwise the options whose
 * rows say RELOAD are taken up; of the others that differ it is told, one by one, that they wait
 * for a restart.
 */
#ifndef LN_DAEMON_RELOAD_H
#define LN_DAEMON_RELOAD_H
#include "daemon/options.h"

typedef struct ln_reload {
    const ln_told *told;
    const ln_options *first; /* what it was started with */
    ln_options *last;        /* what was taken up since; NULL: nothing */
    /* Takes them up. < 0 after words on stderr: nothing has changed. Keeps nothing of them. */
    int (*apply)(const ln_options *o, void *ctx);
    void *ctx;
} ln_reload;

/* On the thread that waits for signals. Says on stderr what came of it. */
void ln_reload_now(ln_reload *r);
void ln_reload_fini(ln_reload *r);
#endif
