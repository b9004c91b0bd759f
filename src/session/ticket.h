/* ticket.h -- what a session is given so that it can come back on another connection, and nobody
 * has to be asked again: a ticket for itself, and a grant for each channel it was let into.
 *
 * Both are texts that only we can make, and that we need not remember: HMAC-SHA256 under a key of
 * ours stands in them. Of two keys the first makes them and both are taken, so that a key can be
 * changed under those who are out. A grant is for one chain, one user and one channel; without the
 * ticket of its chain it is nothing.
 *
 *   ticket  base64url of  mac 32 | version 1 | flags 1 | chain 16 | issued 8 | expires 8 | begun 8
 * | size 1 | client | identity, packed by auth.c, to the end grant   base64url of  mac 16 | how 1 |
 * expires 8
 *
 * Neither is a secret from its owner, and whoever has another's ticket is him: it is as good as his
 * token, only shorter. No clock: `now` is told, in seconds since 1970, as all times here.
 */
#ifndef LN_SESSION_TICKET_H
#define LN_SESSION_TICKET_H
#include "hub/presence.h"
#include "session/auth.h"

#define LN_TICKET_MAX     8192 /* bytes of text */
#define LN_TICKET_KEYS    2
#define LN_TICKET_KEY_MIN 32 /* bytes of a secret */
#define LN_GRANT_TEXT     34 /* bytes of text, always */

typedef struct ln_ticket_keys { /* zeroed it is empty, and takes nothing */
    uint32_t count;
    uint8_t keys[LN_TICKET_KEYS][32];
} ln_ticket_keys;

/* LINNET_ERR_INVAL: too short; LINNET_ERR_LIMIT: there are two; LINNET_ERR_NOMEM. */
int ln_ticket_keys_add(ln_ticket_keys *keys, ln_slice secret);

typedef struct ln_ticket {
    uint8_t chain[LN_CHAIN];
    uint64_t issued, expires;
    uint64_t begun;  /* when its chain began */
    ln_slice client; /* the name it goes by; at most LN_CLIENT_NAME_MAX bytes */
} ln_ticket;

/* Appends the text. id NULL: nobody in particular. LINNET_ERR_TOO_BIG: an identity that does not
 * fit; LINNET_ERR_NOMEM. On error nothing was appended. */
int ln_ticket_put(
    const ln_ticket_keys *keys, const ln_ticket *ticket, const ln_identity *id, ln_buf *out);
/* Reads one. out->client points into scratch, which is appended to; *id is for ln_free, or NULL.
 * LINNET_ERR_DENIED: it is not one of ours, whatever may be wrong with it; LINNET_ERR_TIMEOUT: it
 * was, and has ended; LINNET_ERR_NOMEM. */
int ln_ticket_get(const ln_ticket_keys *keys, ln_slice text, uint64_t now, ln_buf *scratch,
    ln_ticket *out, ln_identity **id);

typedef enum ln_grant_how {  /* bits: why he was let in, where the rules alone did not do it */
    LN_GRANT_BY_TOKEN = 1,   /* he had one for this channel */
    LN_GRANT_BY_BACKEND = 2, /* and was asked */
    LN_GRANT_BY_PROGRAM = 4, /* it put him there: good for coming back, and not for coming */
} ln_grant_how;

typedef struct ln_grant {
    uint8_t how; /* ln_grant_how */
    uint64_t expires;
} ln_grant;

typedef struct ln_grant_for { /* at most 255 bytes each; user empty: nobody in particular */
    const uint8_t *chain;     /* LN_CHAIN bytes */
    ln_slice user, channel;
} ln_grant_for;

/* LINNET_ERR_NOMEM. */
int ln_grant_put(const ln_ticket_keys *keys, const ln_grant *grant, const ln_grant_for *whom,
    char out[LN_GRANT_TEXT]);
/* LINNET_ERR_DENIED: not ours, or not for this; LINNET_ERR_TIMEOUT, LINNET_ERR_NOMEM. */
int ln_grant_get(const ln_ticket_keys *keys, ln_slice text, uint64_t now, const ln_grant_for *whom,
    ln_grant *out);
#endif
