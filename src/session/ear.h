/* ear.h -- somebody follows what happens on a worker. Nobody usually does, and then each of the
 * places below costs one look at a pointer that is NULL.
 *
 * Heard are sessions that begin and end, channels they enter and leave, errors they are told, what
 * backends have answered about them; and, from the homes, what is published, whoever says it.
 */
#ifndef LN_SESSION_EAR_H
#define LN_SESSION_EAR_H
#include "base/ip.h"
#include "hub/message.h"
#include "session/ends.h"

typedef enum ln_heard_kind {
    LN_HEARD_CONNECT,
    LN_HEARD_DISCONNECT, /* end */
    LN_HEARD_SUBSCRIBE,
    LN_HEARD_UNSUBSCRIBE, /* code: why, when the server did it */
    LN_HEARD_PUBLISH,     /* event, data, at */
    LN_HEARD_ERROR,       /* code, text */
    LN_HEARD_HOOK,        /* what, outcome, code, text */
    LN_HEARD_REFUSED,     /* before it was a session: text is the reason, code a status */
} ln_heard_kind;

typedef struct ln_happening { /* all borrowed; what a kind does not have is 0 or empty */
    ln_heard_kind kind;
    ln_slice client, user, channel, event, data, text;
    const char *dialect, *what, *outcome;
    const ln_ip *from;
    ln_slice address; /* instead of `from` */
    ln_position at;
    const ln_end *end;
    int code;
} ln_happening;

typedef struct ln_ear {
    void (*heard)(void *ctx, const ln_happening *h);
    void *ctx;
} ln_ear;
#endif
