/* slots.h -- the names of a worker's connections, and what is still owed to whoever has one.
 *
 * A name is a slot and a generation. A slot stays where it is as long as its worker, so that any
 * thread may look at the one a name tells; the generation says whether it is still the same. It is
 * another one for each connection, and for each further request on a connection, so that an answer
 * too many meets nobody.
 *
 * Who answers later, from any thread, must be told at once whether somebody still waits. So each
 * slot has a word: the generation, and what is owed to it. The worker writes it when it gives a
 * name away and when the answer is no longer wanted; whoever answers moves it from one value to the
 * next, and only one can. A slot is 16 bytes, because idle connections are counted in bytes.
 *
 *    NEVER ──> UPGRADE ──────────────> NOTHING
 *      └─────> REQUEST ──> STREAM ────────^
 *
 * A fresh name is owed nothing yet (NEVER); what was written for it once is not written again, so
 * that an answer that came first stays given.
 */
#ifndef LN_LIB_SLOTS_H
#define LN_LIB_SLOTS_H
#include "base/err.h"
#include "base/ref.h"

typedef enum ln_owed {
    LN_OWED_NEVER,   /* nothing so far */
    LN_OWED_NOTHING, /* nothing any more */
    LN_OWED_UPGRADE, /* a verdict */
    LN_OWED_REQUEST, /* an answer, or the beginning of one */
    LN_OWED_STREAM   /* the rest of it */
} ln_owed;

typedef struct ln_slot {
    ln_word word;   /* generation << 8 | ln_owed */
    uintptr_t held; /* the holder's address; of a free slot: the next free one << 1 | 1 */
} ln_slot;

#define LN_SLOT_CHUNKS 15 /* each as large as all before it: 2^24 slots */
typedef struct ln_slots {
    ln_slot *chunks[LN_SLOT_CHUNKS]; /* they never move */
    ln_word room;                    /* slots in them, for any thread */
    uint32_t fresh;                  /* the first that was never taken: memory nobody touched yet */
    uint32_t free, used;
} ln_slots;

void ln_slots_init(ln_slots *s);
void ln_slots_fini(ln_slots *s);

/* The worker's own ------------------------------------------------------------------- */

/* holder: at an even address. LINNET_ERR_LIMIT, LINNET_ERR_NOMEM. */
int ln_slots_take(ln_slots *s, void *holder, uint32_t *slot, uint32_t *generation);
void ln_slots_give(ln_slots *s, uint32_t slot);
/* Its holder has another generation from now on: the names given before are over. */
uint32_t ln_slots_rename(ln_slots *s, uint32_t slot);
/* NULL: nobody, or somebody else. */
void *ln_slots_find(const ln_slots *s, uint32_t slot, uint32_t generation);
/* Of slots below s->fresh; NULL: free. */
void *ln_slots_holder(const ln_slots *s, uint32_t slot);
/* Writes down what is owed to the present name; what was written for it before stays. */
void ln_slots_owe(ln_slots *s, uint32_t slot, ln_owed what);
/* Nothing is owed any more. */
void ln_slots_forgive(ln_slots *s, uint32_t slot);

/* Any thread --------------------------------------------------------------------------- */

/* LINNET_OK: `from` was owed and now `to` is; nobody else got this answer. LINNET_ERR_STATE: an
 * answer is owed, but not this step of it. LINNET_ERR_NOT_FOUND: nothing is, any more. */
int ln_slots_settle(ln_slots *s, uint32_t slot, uint32_t generation, ln_owed from, ln_owed to);
#endif
