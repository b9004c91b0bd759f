/* prune.h -- taking back what channels keep: PRUNE mail to the home of the channel, and done there.
 */
#ifndef LN_LIB_PRUNE_H
#define LN_LIB_PRUNE_H
#include "lib/inner.h"
#include <linnet/hub.h>

/* PRUNE: ctx is the order, which is taken. */
void ln_prune_mail(linnet_loop *w, void *order);
/* One that never arrived. */
void ln_prune_lost(void *order);
/* Some of a user's that is kept here, and at first what his own channel keeps if this is its home.
 * All as ln_homes_forget. */
uint32_t ln_host_forget(ln_hub *hub, ln_slice user, uint32_t *at, uint32_t steps, int *err);
#endif
