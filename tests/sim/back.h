/* back.h -- a session that comes back on another connection with a ticket (docs/guide/resume.md).
 * What is held against the server:
 *
 *   resume   it comes back as somebody else; a channel it named is not answered, or twice
 *   leak     a ticket is taken that is spoiled, of another key, or much too old
 *   denied   a good ticket is refused, or a channel for which nothing stands in the way
 *
 * Recovery of the channels it comes back into is judged as ever (history.h), and so is what it must
 * not hear of itself, by its chain.
 */
#ifndef SIM_BACK_H
#define SIM_BACK_H
#include "base/slice.h"

#define BACK_TICKET 1200 /* bytes of text */
#define BACK_GRANT  35

typedef struct identity { /* what a token makes of a connection */
    bool known;
    bool good;       /* else the token is no good */
    uint64_t until;  /* seconds since 1970 */
    uint32_t claims; /* guarded channels, as bits */
} identity;

typedef struct way_back { /* a ticket, and what it is for */
    char ticket[BACK_TICKET];
    uint32_t size;        /* 0: there is none */
    uint32_t chain, life; /* life: of who gave it */
    uint64_t given;       /* seconds since 1970 */
    char name[20], session[33];
    identity identity;
} way_back;

struct attempt;
struct asked;

typedef struct back_words { /* of a welcome, or of the answer to it */
    ln_slice ticket, client, session, user;
} back_words;

/* It has been welcomed, and knows who it is: it keeps its ticket, or comes back with another. */
void back_welcomed(struct attempt *a, const back_words *w);
/* Another ticket, for what it is now. */
void back_keep(struct attempt *a, ln_slice ticket);
void back_came(struct attempt *a, const struct asked *q, const back_words *w);
void back_refused(struct attempt *a, const struct asked *q, uint64_t code, ln_slice text);
/* What it was in when its connection ended. */
void back_left(struct attempt *a);
#endif
