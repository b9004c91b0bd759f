/* batch.h -- publications that wait at a worker for others of their channel (`batch_ms`).
 *
 * What is held has not been delivered here yet, as if its letters had not come: the channel's `at`
 * stands before it. So nothing else of the hub need know, but for those who would see that: who
 * comes while something is held waits until it is delivered, and a page of the log, or the word
 * that somebody may leave, lets it go first. Publications are in the log, and their publishers have
 * their answers, long before.
 *
 *    DELIVER ──add──> held ──┬─ its time, so many, so many bytes
 *                            ├─ somebody comes; a PAGE, a LEFT, what is no publication
 *                            └──────> all to each row at once (ln_hub_user.batch)
 *
 * The time counts from the first that is held.
 */
#ifndef LN_HUB_BATCH_H
#define LN_HUB_BATCH_H
#include "base/clock.h"
#include "hub/channel.h"

#define LN_BATCH_MAX       128         /* publications */
#define LN_BATCH_BYTES_MAX (16 * 1024) /* of data; one always fits */
#define LN_BATCH_MS_MAX    1000        /* longer is no batch but a delay */

typedef struct ln_batch {
    ln_list node; /* in the hub's list */
    ln_channel *channel;
    ln_msec due;
    uint32_t bytes, count;
    ln_publication *items[LN_BATCH_MAX]; /* a reference each */
} ln_batch;

/* Holds one of c, which is joined and wants it; a reference is taken. LINNET_ERR_NOMEM: it is the
 * caller's to deliver. full: no more may be added. */
int ln_batch_add(ln_list *batches, ln_channel *c, ln_publication *p, ln_msec now, bool *full);
/* It is due now: before all others. */
void ln_batch_hasten(ln_list *batches, ln_batch *b);
/* Takes it from its channel and its list; NULL: there is none. ln_batch_free() it. */
ln_batch *ln_batch_take(ln_channel *c);
void ln_batch_free(ln_batch *b);
/* LN_NEVER: nothing is held. */
ln_msec ln_batches_deadline(const ln_list *batches);
#endif
