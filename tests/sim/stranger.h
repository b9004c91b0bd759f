/* stranger.h -- clients of the other dialects (docs/protocol.md): A to E, each in one channel of a
 * connection. They have no offsets, but somebody who has them knows where each publication stands:
 * what such a client hears between two closes is a run of the log, one after the other (history.h),
 * so nothing is left out, doubled or out of order. And
 *
 *   answer   a word that its dialect does not have, two answers, or none that is due
 *   stuck    when all is calm, it does not hear itself
 */
#ifndef SIM_STRANGER_H
#define SIM_STRANGER_H
#include "client.h"

typedef enum dialect { BY_CHANNEL, BY_TOPIC, BY_RPC, BY_EVENT, BY_FEED, DIALECTS } dialect;

typedef struct stranger {
    scene *scene;
    linnet_loop *loop;
    linnet_timer *timer;
    linnet_conn *conn;
    linnet_conn_id id;
    enum { STRANGER_OUT, STRANGER_DIALS, STRANGER_IN } state;
    dialect dialect;
    uint32_t number, node, life, session, seat, run, tries;
    uint32_t asked, answered; /* what is answered by its number, or in turn */
    uint32_t said, echoed;    /* keys: the last it has said, and heard of itself */
    uint64_t rpc;             /* which of the first requests have an answer, as bits */
    ln_msec said_at, open_at;
    bool in;   /* it was told so, or has heard something */
    bool calm; /* it has said something since all is calm */
    bool goes; /* it closes */
} stranger;

void stranger_start(stranger *g, scene *s, linnet_loop *loop, uint32_t number);
bool stranger_settled(const stranger *g);
void stranger_describe(const stranger *g, char *out, size_t size);
/* So many are in this channel. */
uint32_t strangers_in(const scene *s, uint32_t life, uint32_t seat);
void stranger_nudge(void *g);
void stranger_end(stranger *g);
#endif
