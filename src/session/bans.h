/* bans.h -- who may not be here, and what counts no more although its signature is good.
 *
 *   USER      a user, for a time or for good
 *   ADDRESS   an address, as ln_ip_subscriber makes it: an IPv4 address, or a /64
 *   ISSUED    what was issued to a user before a moment: tokens, tickets, sessions
 *   TOKEN     the token with this `jti`
 *   SESSION   the session with this id, as `welcome` says it, and whatever continues it
 *
 * Every worker has the whole table, so that nobody has to be asked; an order reaches all of them by
 * mail. Time is an argument, in seconds since 1970. What is over is as if it were not there, and
 * makes room when room is wanted; nothing that still counts is ever forgotten for want of it: then
 * an order is refused.
 *
 * Whoever lets somebody in by another way than a token (a ticket of an earlier session) asks
 * ln_bans_judge with all that is known of him: his user, when that was issued, the `jti` it came
 * from, the id of his session.
 */
#ifndef LN_SESSION_BANS_H
#define LN_SESSION_BANS_H
#include "base/ip.h"
#include "base/map.h"

#define LN_BANS_MAX        65536
#define LN_BAN_SUBJECT_MAX 255

typedef enum ln_ban_kind {
    LN_BAN_USER,
    LN_BAN_ADDRESS,
    LN_BAN_ISSUED,
    LN_BAN_TOKEN,
    LN_BAN_SESSION,
    LN_BAN_KINDS
} ln_ban_kind;

typedef struct ln_ban {
    uint64_t until;  /* it is over then; 0: never */
    uint64_t before; /* ISSUED: what was issued in this second, or later, counts */
    uint16_t name_size;
    uint8_t name[]; /* ln_ban_kind, and the subject */
} ln_ban;

static inline ln_ban_kind ln_ban_kind_of(const ln_ban *b) {
    return (ln_ban_kind)b->name[0];
}
static inline ln_slice ln_ban_subject(const ln_ban *b) {
    return ln_slice_of(b->name + 1, b->name_size - 1u);
}

typedef struct ln_bans {
    ln_map map;
} ln_bans;

void ln_bans_init(ln_bans *bans, ln_map_key key, uint32_t max);
void ln_bans_fini(ln_bans *bans);

/* Whether a subject can be one of this kind: sixteen bytes of an address, 32 hexadecimal digits of
 * a session, 1 to LN_BAN_SUBJECT_MAX bytes without control characters of the others. */
bool ln_ban_fits(ln_ban_kind kind, ln_slice subject);
/* Puts one in, or another end and moment to the one that is there: of ISSUED the later moment
 * counts. The subject fits. LINNET_ERR_LIMIT: there is no room; LINNET_ERR_NOMEM. */
int ln_bans_put(ln_bans *bans, ln_ban_kind kind, ln_slice subject, uint64_t before, uint64_t until,
    uint64_t now_s);
/* Whether it was there, and not over. */
bool ln_bans_lift(ln_bans *bans, ln_ban_kind kind, ln_slice subject, uint64_t now_s);

/* The one that is there, and not over; or NULL. */
const ln_ban *ln_bans_find(const ln_bans *bans, ln_ban_kind kind, ln_slice subject, uint64_t now_s);

typedef struct ln_ban_who { /* as much of it as is known; else empty, NULL */
    ln_slice user, jti, session;
    uint64_t issued; /* to the user: seconds; 0: nobody knows, which is before any moment */
    const ln_ip *address;
} ln_ban_who;

typedef enum ln_ban_verdict {
    LN_BAN_FREE = 0,
    LN_BAN_BANNED,  /* he may not be here, whatever he brings */
    LN_BAN_REVOKED, /* what he has brought counts no more */
} ln_ban_verdict;
ln_ban_verdict ln_bans_judge(const ln_bans *bans, const ln_ban_who *who, uint64_t now_s);
/* Whether one of them means him. */
bool ln_ban_means(ln_ban_kind kind, ln_slice subject, uint64_t before, const ln_ban_who *who);
/* What the verdict is where only one of them says so. */
static inline ln_ban_verdict ln_ban_verdict_of(ln_ban_kind kind) {
    return kind == LN_BAN_USER || kind == LN_BAN_ADDRESS ? LN_BAN_BANNED : LN_BAN_REVOKED;
}
/* Walks those that are not over: start with *at = 0; NULL at the end. Nothing may be put in or
 * lifted meanwhile. */
const ln_ban *ln_bans_next(const ln_bans *bans, uint64_t now_s, uint32_t *at);
#endif
