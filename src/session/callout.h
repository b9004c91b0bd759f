/* callout.h -- calls from the server to its clients: one question on one connection, and one
 * answer.
 *
 *    ask ──> `call` ──┬─ a reply with its id ──────> told: code 0 and data, or the client's refusal
 *                     ├─ nothing in its time ──────> told: LINNET_ERR_TIMEOUT
 *                     └─ the connection goes ──────> told: LINNET_ERR_CLOSED
 *
 * Who asks owns the memory, and has it back when told is called, which happens once. Ids count up
 * from 1 in each session and are never used again; a reply that names none that waits (late, a
 * second one, made up) is counted and is nobody's. As many calls wait at a connection as it may
 * have requests of its own.
 *
 * Who can be asked: linnet.v1 and linnet.rpc, once they have chosen that and are logged in as far
 * as they have to. The other dialects have no words for it.
 */
#ifndef LN_SESSION_CALLOUT_H
#define LN_SESSION_CALLOUT_H
#include "session/session.h"

#define LN_CALLOUT_MESSAGE_MAX 256 /* bytes of why not */

typedef struct ln_callout_end { /* all borrowed for the call */
    int err;                    /* < 0: it did not answer, and why */
    uint16_t code;              /* 0: it did; else it refused: an ln_native_code from 400 on */
    ln_slice data;              /* JSON, of an answer */
    ln_slice message;           /* of a refusal, in its words; may be empty */
} ln_callout_end;

typedef struct ln_callout {
    ln_list due;             /* in node->callouts */
    struct ln_callout *next; /* of its session, the youngest first */
    ln_session *session;     /* while it waits */
    ln_msec deadline;
    uint32_t id;
    /* The last thing that is done with it; it may ask again. */
    void (*told)(struct ln_callout *c, const ln_callout_end *end);
} ln_callout;

/* Asks; event: 1 to 255 bytes of UTF-8, data: JSON; c->told is set. LINNET_OK: told follows, not
 * from in here. LINNET_ERR_UNSUPPORTED (its dialect, or it has to log in first), LINNET_ERR_LIMIT
 * (too many wait there), LINNET_ERR_NOMEM, LINNET_ERR_TOO_BIG: nothing was said. */
int ln_callout_ask(ln_session *s, ln_callout *c, ln_slice event, ln_slice data, uint32_t ms);
/* Who is at the other end. */
const ln_conn *ln_callout_conn(const ln_callout *c);
ln_slice ln_callout_client(const ln_callout *c);
ln_slice ln_callout_user(const ln_callout *c);
#endif
