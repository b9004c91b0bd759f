/* handover.h -- in the middle of a run, the WebSocket machine of live connections is written down,
 * thrown away, and read back, at both ends and wherever it happens to stand. Nobody may notice.
 */
#ifndef SIM_HANDOVER_H
#define SIM_HANDOVER_H
#include "history.h"
#include "lib/inner.h"
#include "net/sim.h"

enum { /* where a machine stood; all of them must come up */
    AT_REST,
    AT_HEAD,      /* a header is cut */
    AT_DATA,      /* a data frame is under way */
    AT_PACKED,    /* and it is compressed */
    AT_TEXT,      /* and its text is cut inside a character */
    AT_CONTROL,   /* a control frame is under way */
    AT_FRAGMENTS, /* between two fragments */
    AT_WINDOWS,   /* with takeover: there are windows to keep */
    AT_DIRECT,    /* the kernel fills its message buffer */
    AT_CLOSING,
    AT_CLOSED,
    AT_FAILED,
    HANDOVER_PLACES
};
extern const char *const handover_names[HANDOVER_PLACES];

typedef struct handover {
    ln_simnet *net;
    history *h;
    uint32_t one_in; /* of so many connections */
    uint64_t places[HANDOVER_PLACES];
} handover;

/* Between two turns: those of this worker whom chance chooses. */
void handover_some(handover *to, linnet_loop *w);
#endif
