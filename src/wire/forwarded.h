/* forwarded.h -- who a proxy says its visitor is, in the fields of a request's head.
 *
 * Only for heads from a peer that is trusted: everybody else may write what he likes there. And a
 * visitor may do so too, through a proxy that adds to what it finds, or that does not know the
 * field; so one kind of field is read, which the operator has chosen, and from the right: what the
 * nearest proxy wrote stands there.
 */
#ifndef LN_WIRE_FORWARDED_H
#define LN_WIRE_FORWARDED_H
#include "base/ip.h"
#include "wire/http1.h"

typedef enum ln_forwarded_by {
    LN_FORWARDED_X_FOR,  /* X-Forwarded-For, with X-Forwarded-Proto and -Host beside it */
    LN_FORWARDED_RFC,    /* Forwarded (RFC 7239) */
    LN_FORWARDED_X_REAL, /* X-Real-IP, with X-Forwarded-Proto and -Host beside it */
} ln_forwarded_by;

typedef struct ln_forwarded {
    ln_ip ip;      /* of the visitor */
    bool known;    /* the fields named him; else it is the peer that spoke to us */
    bool told_tls; /* the scheme was told: */
    bool tls;      /* and it is https or wss */
    ln_slice host; /* that he asked for; borrows from the head; empty: not told */
} ln_forwarded;

/* Walks from the right, past everybody who is in `trusted`, to the first who is not: he is the
 * visitor, and what stands left of him he may have written himself. A hop that is no address ends
 * the walk at the last one that was. When all are trusted it is the left-most. Scheme and host are
 * taken from the same hop, or the only one told. A field against the grammar is as if it were not
 * there. */
void ln_forwarded_read(const ln_http1_head *head, ln_forwarded_by by, const ln_cidr *trusted,
    size_t count, ln_forwarded *out);
#endif
