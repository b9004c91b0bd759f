/* orders.h -- letters about sessions, see orders.c.
 */
#ifndef LN_LIB_ORDERS_H
#define LN_LIB_ORDERS_H
#include "lib/inner.h"
#include "lib/mail.h"

typedef struct ln_order ln_order;

/* ORDER: does this worker's part. True: only some of it, and the letter is under way again. */
bool ln_order_mail(linnet_loop *w, ln_post *mail);
/* Any thread: too much is waiting at a worker. */
bool ln_orders_crowded(const linnet_server *s);
/* One that never arrived at that worker. */
void ln_order_lost(void *order, unsigned worker);
#endif
