/* presence.h -- what the program, and backends, learn of who is in a channel.
 *
 * A question of the program travels to the channel's home as PRESENCE mail, one ln_roll_ask each,
 * and is answered there; it is told once, whatever happens. Word of who came and went is told where
 * it arises, on the home's worker.
 */
#ifndef LN_LIB_PRESENCE_H
#define LN_LIB_PRESENCE_H
#include "lib/inner.h"
#include <linnet/hub.h>

typedef struct ln_heard { /* who wants to hear of members; fn NULL: nobody */
    linnet_presence_fn *fn;
    void *ctx;
} ln_heard;

/* PRESENCE: ctx is its question, which is taken. */
void ln_host_presence_mail(linnet_loop *w, void *question);
/* One that never arrived. */
void ln_host_presence_unasked(void *question);
/* Before its worker's hub does anything. */
void ln_host_presence_open(const linnet_hub *hub, linnet_loop *w);
/* Its sessions go, and nobody hears of that. */
void ln_host_presence_close(linnet_loop *w);

/* hub.c's: who wants to hear. */
ln_heard ln_host_hub_heard(const linnet_hub *hub);
#endif
