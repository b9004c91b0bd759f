/* occupancy.h -- whether anybody is in a channel, for backends that want to be told.
 *
 * The home of a channel knows exactly, over all workers, when its first subscriber comes and when
 * the last one has gone. One who reloads a page goes and comes: so word of an empty channel is kept
 * back for LN_OCCUPANCY_MS, and when somebody comes meanwhile neither is told.
 *
 *    nobody ──the first comes: "occupied"──> somebody ──the last has gone──> empty ─┐
 *      ^                                        ^──────somebody comes──────────┘    │
 *      └────────────────────────LN_OCCUPANCY_MS: "vacated"──────────────────────────┘
 *
 * So a channel is told of in turns, once in that time at most. Only the empty ones are remembered
 * here, LN_OCCUPANCY_MAX of them; beyond that they are told of at once.
 */
#ifndef LN_LIB_OCCUPANCY_H
#define LN_LIB_OCCUPANCY_H
#include "base/list.h"
#include "base/map.h"
#include "hub/mail.h"
#include "session/ask.h"

#define LN_OCCUPANCY_MS  1000
#define LN_OCCUPANCY_MAX 65536

typedef struct ln_occupancy { /* of a worker */
    ln_map empty;             /* by name, and so in: */
    ln_list by_due;
    const ln_asker *asker; /* who is told; NULL: nobody */
} ln_occupancy;

void ln_occupancy_init(ln_occupancy *o, ln_map_key key);
/* Tells what is kept back. */
void ln_occupancy_flush(ln_occupancy *o);
void ln_occupancy_fini(ln_occupancy *o);
void ln_occupancy_note(ln_occupancy *o, ln_slice channel, bool occupied, ln_msec now);
void ln_occupancy_tick(ln_occupancy *o, ln_msec now);
ln_msec ln_occupancy_deadline(const ln_occupancy *o);
#endif
