/* program.h -- what the hosting program itself publishes, reads and hears.
 *
 * A subscription of the program lives on the worker that is home of its channel. JOIN and LEAVE
 * carry it there; the worker alone touches it, and ends it, whatever happens first.
 */
#ifndef LN_LIB_PROGRAM_H
#define LN_LIB_PROGRAM_H
#include "lib/inner.h"
#include "lib/waits.h"

typedef struct ln_program { /* of one worker */
    linnet_hub *hub;
    linnet_loop *worker;
    ln_list subscriptions;
    ln_waits waits;
} ln_program;

/* Whose worker's ln_hub is there; names itself to it. */
void ln_program_init(ln_program *p, linnet_hub *hub, linnet_loop *w);
/* Ends what it subscribed to, and all that it waits for; for the last time in the worker's own
 * thread. */
void ln_program_end(ln_program *p);
void ln_program_fini(ln_program *p);
/* hub.c's: of a worker; NULL: the server has left it. */
ln_program *ln_host_hub_program(linnet_loop *w);
#endif
