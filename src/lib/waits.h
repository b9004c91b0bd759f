/* waits.h -- answers of the hub that the hosting program waits for.
 *
 * Who asks from any thread is sent along with the question to the worker that can answer it at
 * once, the home of the channel. There it gets a slot, and its name goes with the question; the
 * answer finds it by that name. What has no answer when the server ends is told so.
 */
#ifndef LN_LIB_WAITS_H
#define LN_LIB_WAITS_H
#include "hub/hub.h"
#include "lib/slots.h"
#include "session/dialect.h"
#include <linnet/hub.h>

typedef struct ln_wait {
    linnet_hub_published_fn *fn;
    linnet_hub_history_fn *read; /* one of the two */
    void *ctx;
    linnet_hub *hub;
    ln_publication *asked; /* until it is on its way; and so is the question: */
    ln_reading *question;
    uint32_t slot;
} ln_wait;

typedef struct ln_waits { /* of one worker */
    ln_slots slots;
    uint32_t self;
} ln_waits;

void ln_waits_init(ln_waits *ws, uint32_t self);
/* All were told. */
void ln_waits_fini(ln_waits *ws);
/* Tells all that wait LINNET_ERR_CANCELLED. */
void ln_waits_end(ln_waits *ws);

/* Takes the publication. NULL without memory. */
ln_wait *ln_wait_new(linnet_hub *hub, linnet_hub_published_fn *fn, void *ctx, ln_publication *p);
/* Takes the question. NULL without memory. */
ln_wait *ln_wait_read(linnet_hub *hub, linnet_hub_history_fn *fn, void *ctx, ln_reading *m);
/* Never to be told: it could not be sent. */
void ln_wait_free(ln_wait *wait);
/* Tells it, and frees it. */
void ln_wait_tell(ln_wait *wait, int err, ln_position at);
/* Publishes, or asks, what it was made for, on the home's worker; taken. */
void ln_waits_publish(ln_waits *ws, ln_hub *h, ln_wait *wait);
/* The answer to a question of ours. */
void ln_waits_page(ln_waits *ws, const ln_reading *m);
/* A publication as callbacks get it; borrowed. */
linnet_publication ln_wait_said(const ln_publication *p);
/* The answer to a publication that named a wait of ours. */
void ln_waits_published(ln_waits *ws, const ln_publication *p);
#endif
