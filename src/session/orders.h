/* orders.h -- what a program says about sessions from outside: who is there, who has to go.
 *
 * Whoever is meant is named by user, by client, or both, compared byte by byte. Looking for him
 * walks the sessions of a worker: orders are rare, and an index would cost every session.
 */
#ifndef LN_SESSION_ORDERS_H
#define LN_SESSION_ORDERS_H
#include "session/session.h"

typedef struct ln_whom {
    ln_slice user, client; /* empty: whoever; both: all sessions */
    const ln_conn *conn;   /* on this connection; NULL: on any */
} ln_whom;

/* Those who are meant, one by one, with *at = 0 to begin with; NULL: no more. Whoever is looked at
 * may end meanwhile. */
ln_session *ln_sessions_next(const ln_sessions *n, const ln_whom *whom, uint32_t *at);

/* Whether a code tells them to stay away: then their tickets are good no more. */
static inline bool ln_stays_away(uint16_t code) {
    return code >= 3500 && code <= 3999;
}
/* How long a ticket that was given just now is good, in seconds; 0: there are none. */
uint64_t ln_sessions_ticket_s(const ln_sessions *n);
/* Calls see for each of them that has a ticket, with the session's id, until one is not OK. */
int ln_sessions_tickets(
    ln_sessions *n, const ln_whom *whom, int (*see)(void *ctx, ln_slice session), void *ctx);
/* Closes them; the dialects of strangers are told 1008. Returns how many were meant. */
uint32_t ln_sessions_disconnect(
    ln_sessions *n, const ln_whom *whom, uint16_t code, const char *reason);
/* Takes them out of a channel, and says so where the dialect can. Returns how many were in it. */
uint32_t ln_sessions_expel(ln_sessions *n, const ln_whom *whom, ln_slice channel);

typedef struct ln_enlisted {
    uint32_t in;   /* in the channel now, or on their way */
    uint32_t full; /* in as many as they may be */
    int err;       /* LINNET_ERR_NOMEM: some others are not */
} ln_enlisted;
/* Puts them into a channel, whose name was checked: nobody is asked. Left out are those who have
 * not said what they speak, may only hear one channel, or have not been let in yet. */
void ln_sessions_enlist(ln_sessions *n, const ln_whom *whom, ln_slice channel, ln_enlisted *out);

/* Gives those who are somebody another end, in seconds since 1970, and other info; 0 and empty: as
 * before. Returns how many; *err: LINNET_ERR_NOMEM, some others are as before. */
uint32_t ln_sessions_refresh(
    ln_sessions *n, const ln_whom *whom, uint64_t expires, ln_slice info, int *err);

typedef struct ln_seen {
    ln_slice client, user;
    const char *dialect;
    uint32_t channels;
} ln_seen;
/* How those ended who are meant, the last first; references of the caller's. At most `most`.
 * Returns how many, or LINNET_ERR_NOMEM. */
int ln_sessions_ends(ln_sessions *n, const ln_whom *whom, uint32_t most, ln_end ***out);
/* Calls see for each; false: that was enough. */
void ln_sessions_list(ln_sessions *n, const ln_whom *whom,
    bool (*see)(void *ctx, const ln_conn *c, const ln_seen *seen), void *ctx);

/* Closes whom a ban means that n->bans has got (3503, or 3500 for what was revoked; the dialects of
 * strangers are told 1008). Returns how many. */
uint32_t ln_sessions_bar(ln_sessions *n, ln_ban_kind kind, ln_slice subject, uint64_t before);
/* The same for SESSION, of a session that has a ticket: nobody else is looked at. */
uint32_t ln_sessions_bar_ticketed(ln_sessions *n, ln_slice session);
#endif
