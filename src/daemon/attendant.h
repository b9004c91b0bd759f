/* attendant.h -- a thread beside the workers, for what may take a while, and to feel their pulse.
 *
 * Tasks come through a pipe, so that who asks never waits: it holds some thousand, and then says
 * no.
 *
 * Pulse. Every second each worker is sent a call. When it runs there the time it took is how late
 * that loop is, and that it ran at all shows that the loop turns. Who has not answered for
 * LN_PULSE_STUCK_MS is called stuck; and a service manager that wants to hear from us (watchdog)
 * hears nothing then. When this thread itself was held up (the whole process was stopped) nobody is
 * judged by that time.
 */
#ifndef LN_DAEMON_ATTENDANT_H
#define LN_DAEMON_ATTENDANT_H
#include "base/hist.h"
#include <linnet/server.h>

#define LN_PULSE_MS       1000
#define LN_PULSE_STUCK_MS 5000
#define LN_PULSES_MAX     64 /* workers */

typedef struct ln_attendant ln_attendant;

typedef struct ln_task {
    void (*fn)(const struct ln_task *task);
    void *ctx;
    linnet_conn_id id; /* of a request, perhaps */
    uint64_t arg;
} ln_task;

typedef struct ln_attendant_options {
    linnet_loop *const *loops; /* of the workers; copied */
    unsigned count;
    uint32_t pulse_ms, stuck_ms; /* 0: as above */
    uint32_t watchdog_ms;        /* beats are due at least so often; 0: nobody waits for them */
    /* In the attendant's thread. worker -1: all are well, a beat. Else it is stuck, since ms. */
    void (*on_pulse)(void *ctx, int worker, uint64_t ms);
    void *ctx;
} ln_attendant_options;

/* The thread starts at once; it blocks all signals. LINNET_ERR_INVAL, LINNET_ERR_NOMEM,
 * LINNET_ERR_SYS. */
int ln_attendant_new(const ln_attendant_options *o, ln_attendant **out);
/* Ends the thread; tasks that wait are not done. The loops do not turn any more. NULL is allowed.
 */
void ln_attendant_free(ln_attendant *a);
/* From now on pulses are felt. Any thread, once. */
void ln_attendant_watch(ln_attendant *a);
/* Any thread. False: there is too much to do already. */
bool ln_attendant_ask(ln_attendant *a, const ln_task *task);
/* How late the loop of a worker was, at each pulse. */
const ln_hist *ln_attendant_lag(const ln_attendant *a, unsigned worker);
/* How many workers are stuck now. */
unsigned ln_attendant_stuck(const ln_attendant *a);
#endif
