/* auth.h -- what a good token says of whoever brings it: an identity, or leave for one channel.
 *
 * Claims that count:
 *
 *   sub        the user: 1 to LN_USER_NAME_MAX bytes without control characters
 *   exp        when all this ends
 *   iat, jti   when it was issued, and its own name: by these it can be revoked (bans.h)
 *   info       any JSON, given to others beside the user's name
 *   subscribe, publish, presence, history
 *              arrays of patterns: what this user may do beyond what the namespaces allow
 *   channels   the same for all four
 *   subs       an array of channel names that the user is subscribed to at once
 *   channel    makes it a token for that one channel, good in `subscribe` and nowhere else
 *
 * A pattern is a channel's name; one that ends in `*` stands for all names that begin so. Bytes
 * are compared as they are.
 */
#ifndef LN_SESSION_AUTH_H
#define LN_SESSION_AUTH_H
#include "hub/message.h"
#include "hub/namespace.h"
#include "session/bans.h"
#include "session/jws.h"

#define LN_IDENTITY_INFO_MAX 2048 /* bytes of JSON */
#define LN_IDENTITY_SUBS_MAX 128  /* as many as a connection may have */

/* The last second there is: who may stay longer stays until then. What is added to it for grace, or
 * to count in milliseconds, does not wrap. */
#define LN_IDENTITY_EXPIRES_MAX ((UINT64_C(1) << 53) - 1)

/* One block, never changed. */
typedef struct ln_identity {
    uint64_t expires; /* seconds since 1970; 0: never */
    uint64_t issued;  /* likewise; 0: nobody knows */
    uint16_t info_size, grants_size;
    uint8_t user_size, jti_size;
    bool vouched;    /* by a backend, which may be asked again */
    uint8_t bytes[]; /* user, info, grants, jti: packed by auth.c */
} ln_identity;

static inline ln_slice ln_identity_user(const ln_identity *id) {
    return ln_slice_of(id->bytes, id->user_size);
}
/* JSON, or empty. */
static inline ln_slice ln_identity_info(const ln_identity *id) {
    return ln_slice_of(id->bytes + id->user_size, id->info_size);
}
/* The name of the token it came from, or empty. */
static inline ln_slice ln_identity_jti(const ln_identity *id) {
    return ln_slice_of(id->bytes + id->user_size + id->info_size + id->grants_size, id->jti_size);
}
/* Whether its claims name the channel for this. */
bool ln_identity_grants(const ln_identity *id, ln_act act, ln_slice channel);
/* Walks the channels of `subs`: start with *at = 0; false at the end. */
bool ln_identity_next_sub(const ln_identity *id, uint32_t *at, ln_slice *channel);
/* Appends it as bytes that mean the same in another process (ticket.h). LINNET_ERR_NOMEM,
 * LINNET_ERR_TOO_BIG: out may hold a part. */
int ln_identity_pack(const ln_identity *id, ln_buf *out);
/* The one that was packed; for ln_free. LINNET_ERR_DENIED: that is none; LINNET_ERR_NOMEM. */
int ln_identity_unpack(ln_slice packed, ln_identity **out);

/* How clients show who they are; of a hub, outlives its sessions. */
typedef struct ln_auth {
    const ln_jws_keys *keys;
    ln_jws_policy policy;
    bool anonymous; /* who has no token may stay */
    bool personal;  /* users are put into their own channel when they log in */
    /* A token's key is not among those of its issuer's source. LN_PENDING: it may be on its way, so
     * ask again when it has come; LINNET_ERR_DENIED: it is not; LINNET_ERR_AGAIN: nobody can know,
     * because no keys of that source have come yet. NULL when there are no sources. */
    int (*want)(void *ctx, uint32_t source);
    void *ctx;
    const ln_bans *bans; /* what counts no more; NULL: all does */
} ln_auth;

/* The identity a token gives, for ln_free. LINNET_ERR_DENIED with *fault, LINNET_ERR_NOMEM; and, as
 * `want` above, LN_PENDING, LINNET_ERR_AGAIN. */
int ln_identity_read(
    const ln_auth *auth, ln_slice token, uint64_t now_s, ln_identity **out, ln_jws_fault *fault);
/* The identity somebody else vouches for, in claims as they stand in a token; for ln_free. expires:
 * seconds since 1970, 0: never. LINNET_ERR_DENIED (malformed), LINNET_ERR_NOMEM. */
int ln_identity_from(const ln_json_value *claims, uint64_t expires, ln_identity **out);
/* The identity a backend vouches for now: JSON about it, JSON array of channels it is subscribed
 * to; each may be empty. Otherwise as the one before. */
int ln_identity_vouch(ln_slice user, ln_slice info, ln_slice channels, uint64_t now_s,
    uint64_t expires, ln_identity **out);
/* The same user for longer; what is empty stays as it was. As the one before. */
int ln_identity_renew(const ln_identity *old, ln_slice info, ln_slice channels, uint64_t now_s,
    uint64_t expires, ln_identity **out);
/* The same with another end (0: the old one) and other info (empty: the old one; null: none): all
 * else, also what it can be revoked by, stays. LINNET_ERR_TOO_BIG (info), LINNET_ERR_NOMEM. */
int ln_identity_change(const ln_identity *old, uint64_t expires, ln_slice info, ln_identity **out);
/* Whether a token lets this user (empty: nobody in particular) into this channel. `sub` must be
 * that user, and may be missing only for nobody. LINNET_OK with *expires; else as
 * ln_identity_read. */
int ln_channel_token_check(const ln_auth *auth, ln_slice token, uint64_t now_s, ln_slice user,
    ln_slice channel, uint64_t *expires);
#endif
