/* login.h -- a session on a hub that wants to know who is speaking.
 *
 *             a token with the handshake, or `auth`
 *   WANTED ───────────────────────────────────────────> KNOWN ──25 s before its end──> WARNED
 *     │                                     ^             ^                              │
 *     │ 10 s: close 3002       GUEST ──auth─┘             └───────────refresh────────────┤
 *                                                                    30 s after its end: close 3005
 *
 *   WANTED  nobody yet, and has to be somebody: anything but `auth` and heartbeats is error 101,
 * and messages are small GUEST   nobody, and may stay so
 *
 * A session of a hub that asks nobody has no login at all.
 *
 * Whom a backend has let in is not told of his end, when the backend can be asked: it is, in his
 * place, and says until when he may stay, or that he may not. Without an answer it is asked again
 * after LN_LOGIN_AGAIN_S, until his time is over.
 *
 * A token whose key may be on its way is not judged yet: its command is held, with all that come
 * behind it, until keys have come or LN_LOGIN_LACKS_MS are over, when it is error 108.
 */
#ifndef LN_SESSION_LOGIN_H
#define LN_SESSION_LOGIN_H
#include "session/inner.h"

#define LN_LOGIN_DEADLINE_S 10
#define LN_LOGIN_WARN_S     25
#define LN_LOGIN_GRACE_S    LN_JWS_SKEW_S
#define LN_LOGIN_AGAIN_S    5
#define LN_LOGIN_LACKS_MS   3000 /* a command waits for a key, a second longer than it takes */

typedef enum ln_login_state {
    LN_LOGIN_WANTED,
    LN_LOGIN_GUEST,
    LN_LOGIN_KNOWN,
    LN_LOGIN_WARNED,
} ln_login_state;

typedef struct ln_login {
    ln_list node; /* in sessions->logins */
    ln_session *session;
    const ln_auth *auth;
    ln_identity *id;          /* KNOWN, WARNED */
    const ln_ws_config *wide; /* what the connection had before it was made narrow; NULL: has */
    ln_list lacking;          /* in sessions->lacking: a command of it waits for a key */
    ln_msec lacks_until;      /* and no longer than that */
    uint8_t state;            /* ln_login_state */
    bool settled;             /* it is in the channels that its token names */
    bool again;               /* the next command has waited, and was counted then */
    ln_admission *seat;       /* it counts among the connections of its user; NULL: it does not */
    bool returns;             /* WANTED: only a ticket will do */
} ln_login;

/* Of a session just made, which has its dialect. o->identity is taken, also on failure.
 * LINNET_ERR_NOMEM. */
int ln_login_open(ln_session *s, const ln_session_options *o);
void ln_login_close(ln_session *s);
/* It has a dialect, and may be told things nobody asked for: the channels it is to be in. */
void ln_login_settle(ln_session *s);
/* Whether that is one of them. */
bool ln_login_puts_into(const ln_session *s, ln_slice channel);
/* It begins in a channel, if it may be there; else that is its end. */
void ln_login_feed(ln_session *s, ln_slice channel);
/* Whether the command has to wait for a login; it is answered then. */
bool ln_login_bars(ln_session *s, const ln_native_command *c);
/* The same for a text that is no JSON. */
bool ln_login_bars_text(ln_session *s);
/* The verbs. */
void ln_login_auth(ln_session *s, const ln_native_command *c);
void ln_login_refresh(ln_session *s, const ln_native_command *c);
/* A token for one channel, in a subscribe: LINNET_OK with *expires. LN_PENDING: the
 * command waits. LINNET_ERR_DENIED, LINNET_ERR_AGAIN, LINNET_ERR_NOMEM. */
int ln_login_channel_token(ln_session *s, const ln_native_command *c, uint64_t *expires);
/* seat.c: it has just become known who it is: asks whether there may be one more of him. */
void ln_seat_ask(ln_session *s);
/* There may not, or there is no memory. */
void ln_seat_refused(ln_session *s, int err);
/* Back to its home; one that was not granted is freed. NULL is allowed. */
void ln_seat_give(ln_hub *h, ln_admission *a);
/* Answers either: who it is. */
void ln_login_say(ln_session *s, ln_reply *reply);
/* It has shown who it is by a ticket; id is taken. NULL: it is a guest. */
void ln_login_become(ln_session *s, ln_identity *id);
/* The handshake brought a token that is no good. */
void ln_login_refused(ln_session *s, ln_jws_fault fault);
/* What a backend says of whoever it has let in until now. */
void ln_login_refreshed(ln_session *s, const ln_answer *a);
/* The program says that it has another end (0: as before), or other info (empty: as before).
 * LINNET_ERR_NOT_FOUND: it is nobody's in particular; LINNET_ERR_TOO_BIG, LINNET_ERR_NOMEM. */
int ln_login_extend(ln_session *s, uint64_t expires, ln_slice info);
/* The key of a token in the command at hand may be on its way: the command waits, and all behind
 * it. False: it cannot any more, and nobody can say what the token is worth. */
bool ln_login_wait(ln_session *s);
/* Whether the command at hand comes back from there. */
bool ln_login_again(const ln_session *s);
/* A subscription was let in for a time. */
void ln_login_watch(ln_session *s);
/* What is due. */
void ln_logins_tick(ln_sessions *n);
ln_msec ln_logins_deadline(const ln_sessions *n);
#endif
