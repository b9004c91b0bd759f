/* timer.h -- the host's timers: what stands behind linnet_timer.
 */
#ifndef LN_LIB_TIMER_H
#define LN_LIB_TIMER_H
#include "lib/inner.h"

struct linnet_timer {
    ln_timer timer;
    ln_list all; /* in linnet_loop.timers */
    linnet_loop *loop;
    void (*fn)(linnet_timer *timer, void *ctx);
    void *ctx;
};

/* It is due. */
void ln_host_timer(ln_timer *timer);
/* Frees those the host has left. */
void ln_host_timers_free(linnet_loop *w);
#endif
