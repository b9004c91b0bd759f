/* permit.h -- may this be done in this channel?
 *
 * Two who are asked: the channel's namespace says who in general, and the claims of a token allow
 * more to whoever brought it. Only `nobody` and the channel of another user are beyond that.
 * A user's own channel, `@` and his name, is for his own ears; whether others may speak into it is
 * what the namespace `@` says about publishing.
 *
 * A pure function of what is known of the session, so that a decision which takes time has one
 * place to come in: another rule, and LN_PENDING as the answer.
 */
#ifndef LN_SESSION_PERMIT_H
#define LN_SESSION_PERMIT_H
#include "hub/namespace.h"
#include "session/auth.h"

typedef struct ln_permit_ask {
    const ln_namespace *space;
    const ln_identity *who; /* NULL: nobody in particular */
    bool known;             /* counts as authenticated; where nobody has to be, all do */
    bool subscribed;        /* is in the channel */
} ln_permit_ask;

/* LINNET_OK or LINNET_ERR_DENIED. */
int ln_permit(const ln_permit_ask *ask, ln_act act, ln_slice channel);
#endif
