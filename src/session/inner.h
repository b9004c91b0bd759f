/* inner.h -- what the files of session/ share among each other.
 *
 *   session.c   slots, what is said, the dialect, heartbeat, opening and closing
 *   command.c   texts to commands, and what each command does
 *   pace.c      how fast they may come
 *   subs.c      subscriptions, and the hub's calls: answers and fan-out
 *   slow.c      policies for readers who do not keep up
 *   ask.c       commands that somebody else has to answer, and those behind them
 *   login.c     who it is, and until when
 *   seat.c      how many connections a user may have
 *   resume.c    coming back on another connection
 *   presence.c  members of channels, and who hears of them
 *   state.c     keys that live in a channel, and typing
 *   recover.c   subscriptions that catch up, a page at a time
 *   history.c   pages of a channel's log
 *   callout.c   calls to clients
 *   orders.c    what a program says about sessions from outside
 *   retract.c   word of what was taken back
 *   bar.c       who may not be here any more (bans.h)
 *   farewell.c  what is remembered of a session when it is over
 */
#ifndef LN_SESSION_INNER_H
#define LN_SESSION_INNER_H
#include "session/ask.h"
#include "session/callout.h"
#include "session/fan.h"
#include "session/permit.h"
#include "session/session.h"

typedef struct ln_watch ln_watch; /* presence.c */

/* A subscription of a session. Freed when it leaves its channel, and with the session. */
typedef struct ln_sub {
    ln_subscription s; /* the first member; its mark: bits, LN_SUB_... */
    struct ln_sub *next;
    ln_session *session;
    ln_place *place;                /* among the members, and owner of keys; NULL: it is neither */
    const struct ln_sub_more *more; /* to be written through ln_sub_own(); never NULL */
} ln_sub;

#define LN_SUB_PUSHED 1 /* nobody asked: the server put it there */
#define LN_SUB_PLACED 2 /* the program did, so that no rule has a say in it */
#define LN_SUB_AGAIN  4 /* leaving: it did, behind that, and it is to be there again */

/* What a subscription needs on its way, and few of them afterwards: once there is nothing in it,
 * they share ln_sub_at_rest. */
typedef struct ln_sub_more {
    ln_position recover;  /* where the client says it stands */
    uint64_t skipped_to;  /* what was left out since the last message: up to this offset, */
    uint32_t skipped;     /* so many */
    uint32_t until;       /* seconds since 1970: so long a backend need not be asked again; or 0 */
    uint64_t expires;     /* seconds since 1970: it was let in by a token for this channel; or 0 */
    ln_watch *watch;      /* hears who comes and goes; NULL: does not */
    uint32_t typed_at;    /* ms, once it has */
    bool recovers, quiet; /* it asked; nobody waits for the answer */
    bool entering;        /* it has not gone to the channel yet, see presence.c */
    bool behind, paging;  /* it has recovered and is not there yet; a page of it is on its way */
    bool lagged;          /* of what was left out, something because the reader is slow */
    bool resumed;         /* its session came back with it */
    bool typed, typing;
    uint8_t name_size, re_size;
    uint8_t bytes[]; /* name, re; of one that has been in its channel: none */
} ln_sub_more;
extern const ln_sub_more ln_sub_at_rest;

struct ln_session {
    ln_sessions *node;
    ln_conn *conn;
    const ln_session_limits *limits;
    const ln_conn_config *plain; /* for the connection, see ln_session_options */
    struct ln_login *login;      /* login.h; NULL: nobody is asked who he is */
    ln_sub *subs, *last_sub;     /* in the order they came */
    ln_list beat;                /* in node->beats, or in node->gone */
    ln_buf held; /* commands that wait: a length in four bytes, and so many bytes; again */
    uint32_t slot, generation;
    uint32_t sub_count, leaving, outstanding; /* `leaving` of sub_count are on their way out */
    ln_bucket buckets[LN_PACES];
    ln_account accounts[2];     /* of its address: publications, all else; 0: not known yet */
    uint32_t entering;          /* and so many on their way in, see presence.c */
    uint32_t errors, overs;     /* since: */
    uint32_t window;            /* ms */
    uint32_t sifted, sifted_at; /* slow.c: what waited after the last time; ms */
    uint8_t dialect;            /* ln_user, or LN_DIALECT_AUTO */
    uint8_t text;               /* ln_session_text */
    bool paused, closed;        /* waits for answers; nothing more is to be said */
    bool seating;               /* not let in yet, and commands wait: seat.c */
    bool said;                  /* it has published: what it leaves, it leaves behind that */
    uint32_t tickets;           /* of questions, the last one given */
    struct ln_pending *pending; /* ask.c's, in the order they came; NULL: none */
    bool lost;                  /* its connection broke, or is to come back */
    uint8_t chain[LN_CHAIN];    /* the id it keeps when it comes back */
    uint32_t behind;            /* subscriptions that are */
    bool paging;                /* a page of one of them is on its way */
    bool reads;                 /* a page of history is */
    bool bin;                   /* takes binary messages */
    uint32_t callout_ids;       /* the last one given */
    ln_callout *callouts;       /* calls to it that wait */
    bool from_known, counted;   /* `from` is; `in` and `out` are */
    uint64_t opened;            /* farewell.c's, like all up to: ms since 1970 */
    uint64_t in, out;
    ln_fate *fate; /* NULL: all was well so far */
    ln_ip from;
    bool placed; /* the program has put it somewhere, at any time */
    bool taken;  /* it goes on on another connection, and this one is to end */
    uint8_t client_size;
    uint32_t begun;    /* seconds since 1970: its chain; when that was */
    uint32_t ticketed; /* seconds of the hub's clock: its last ticket; 0: it has none */
    ln_msec back_at;   /* when it came back; 0: it has not */
    uint8_t *client;   /* its name: `own`, or a block of its own */
    uint8_t own[];
};
typedef struct ln_pending ln_pending;

static inline ln_slice ln_sub_name(const ln_sub *sub) {
    if (sub->s.channel) return ln_channel_name(sub->s.channel);
    return ln_slice_of(sub->more->bytes, sub->more->name_size);
}

static inline ln_slice ln_sub_re(const ln_sub *sub) {
    return ln_slice_of(sub->more->bytes + sub->more->name_size, sub->more->re_size);
}

static inline bool ln_sub_leaves(const ln_sub *sub) {
    return ln_subscription_leaving(&sub->s) != NULL;
}

static inline bool ln_sub_pushed(const ln_sub *sub) {
    return sub->s.mark & LN_SUB_PUSHED;
}

static inline bool ln_sub_placed(const ln_sub *sub) {
    return sub->s.mark & LN_SUB_PLACED;
}

static inline uint32_t ln_session_now(const ln_session *s) {
    return (uint32_t)ln_hub_now(s->node->hub);
}

static inline const ln_dialect *ln_session_dialect(const ln_session *s) {
    return ln_dialects[s->dialect == LN_DIALECT_AUTO ? LN_USER_NATIVE : s->dialect];
}

/* What its publications are known by, on whatever connection: never 0. */
static inline uint64_t ln_session_self(const ln_session *s) {
    uint64_t self;
    memcpy(&self, s->chain, sizeof self);
    return self | 1;
}

/* session.c ------------------------------------------------------------------------------- */
uint64_t ln_session_handle(const ln_session *s);
/* When its heartbeat and its ticket are looked at next. */
void ln_session_plan(ln_session *s);
/* NULL: it has gone. */
ln_session *ln_session_of(const ln_sessions *n, uint64_t handle);
/* In a slot below n->slot_count; NULL: nobody. */
ln_session *ln_session_at(const ln_sessions *n, uint32_t slot);
/* Frees what a large text left behind. */
void ln_scratch_clear(ln_buf *b);
/* A publication in linnet.v1, as this one takes it. replay: from the past. */
void ln_session_say_message(ln_session *s, const ln_publication *p, bool replay);
/* Sends what a writer left in node->out, unless it failed. */
void ln_session_say(ln_session *s, int err);
void ln_session_ok(ln_session *s, const ln_reply *reply);
/* With the dialects of strangers all that is about policy is 1008. */
void ln_session_end(ln_session *s, uint16_t code, const char *reason);
/* Each of these counts as a fault of the peer, and too many of them end it. message NULL: the
 * code's words. */
void ln_session_error(ln_session *s, const ln_native_error *error);
void ln_session_refuse(
    ln_session *s, const ln_native_command *c, ln_native_code code, const char *message);
void ln_session_refuse_err(ln_session *s, const ln_native_command *c, int err);
/* 108, for what there is not here: another time it would be the same. */
void ln_session_lacks(ln_session *s, const ln_native_command *c, const char *message);
/* For good. */
void ln_session_decide(ln_session *s, uint8_t dialect);

/* Whose it is: NULL: nobody's in particular. */
const ln_identity *ln_session_identity(const ln_session *s);
/* His name, and JSON about him; empty: unknown. */
ln_slice ln_session_user(const ln_session *s);
ln_slice ln_session_info(const ln_session *s);
/* Its id, as `welcome` says it. */
#define LN_SESSION_ID ((size_t)2 * LN_NATIVE_EPOCH)
void ln_session_id(const ln_session *s, char out[LN_SESSION_ID]);
void ln_chain_put(const uint8_t chain[LN_CHAIN], char out[LN_SESSION_ID]);
/* Whether it may do this in that channel, whose name was not checked. LINNET_OK,
 * LINNET_ERR_DENIED. */
int ln_session_may(const ln_session *s, ln_act act, ln_slice channel);

/* ear.c ----------------------------------------------------------------------------------- */
static inline bool ln_heard(const ln_session *s) {
    return __builtin_expect(s->node->ear != NULL, 0);
}
/* Only when it is heard. Who it is about is filled in. */
void ln_hear(const ln_session *s, const ln_happening *what);
void ln_hear_sub(const ln_session *s, ln_heard_kind kind, ln_slice channel, int code);
void ln_hear_hook(const ln_session *s, ln_ask_kind kind, ln_slice channel, const ln_answer *answer);

/* farewell.c ------------------------------------------------------------------------------ */
void ln_farewell_begin(ln_session *s);
/* An error was told; a Close is sent, `why` what it would be to somebody who knows our codes. */
void ln_farewell_error(ln_session *s, const ln_native_error *error);
void ln_farewell_close(ln_session *s, uint16_t code, uint16_t why, const char *reason);
/* The last moment of its stream. */
void ln_farewell_parting(ln_session *s);
/* As on_close has it; who it was is still known. */
void ln_farewell(ln_session *s, uint16_t code, ln_slice reason, int err);

/* command.c ------------------------------------------------------------------------------- */
/* One text. single: it is one command, as it may have stood in an array, and no array of them. */
void ln_session_read(ln_session *s, ln_slice text, bool single);
/* pushed: nobody has asked for it. */
void ln_session_subscribe(ln_session *s, const ln_native_command *c, bool pushed);
/* Keeps a text until answers have come; reading stops, so that it is not many. */
void ln_session_hold(ln_session *s, ln_slice text, bool single);
/* An answer has come, and with it perhaps room for what is held. */
void ln_session_answered(ln_session *s);

/* A call, or an event that no channel is to hear of: for a backend to answer. */
void ln_session_call(ln_session *s, const ln_native_command *c);
/* As if the client had asked for a channel: whoever is to be asked is asked. Its name is checked.
 */
void ln_session_feed(ln_session *s, ln_slice channel);
/* One command whose turn has come: its text, and the channel it means (empty: none). */
void ln_session_again(ln_session *s, ln_slice text, ln_slice channel);

/* slow.c ---------------------------------------------------------------------------------- */
/* The policy of the channel whose publication is fanned out to a row, and what a rendering for it
 * is known by when it is one that drops. */
ln_slow ln_slow_of(const ln_row *row, const ln_publication *p, ln_map_key key, ln_rendering *r);
/* Makes room for a rendering as the channel's policy says. False: there is none, and it was left
 * out, which is written down. */
bool ln_slow_room(ln_sub *sub, const ln_publication *p, const ln_rendering *r);
/* Whether its channel has a policy that drops. */
bool ln_slow_any(const ln_row *row);
/* The word of what was left out of its channel, not yet queued; NULL without memory. */
ln_rendering *ln_slow_note(const ln_sub *sub);
/* Something of its channel was left out. */
void ln_sub_skip(ln_sub *sub, uint64_t offset, uint32_t count, bool lagged);

/* ask.c ----------------------------------------------------------------------------------- */
#define LN_ASK_MESSAGE_MAX 256 /* bytes of why not */
/* Whether a command may go on. False: it is refused, or waits, and it is seen to. True: *data is
 * what is to be said instead, where the answer says so; else untouched. */
bool ln_ask_may(ln_session *s, ln_ask_kind kind, const ln_native_command *c, ln_slice *data);
/* Whether it waits behind another on its channel; then it is seen to. */
bool ln_ask_behind(ln_session *s, const ln_native_command *c);
/* What waits and need not any more. */
void ln_ask_resume(ln_session *s);
/* Asks whether whoever is there may stay; ln_login_refreshed follows, perhaps at once. False:
 * nobody is asked. */
bool ln_ask_refresh(ln_session *s);
/* News, if anybody wants it. */
void ln_ask_tell(ln_session *s, const ln_question *what);
/* The answer to a call; data empty: null. */
void ln_ask_result(ln_session *s, ln_slice re, ln_slice channel, ln_slice data);
/* The session ends. */
void ln_ask_end(ln_session *s);
void ln_asks_tick(ln_sessions *n);
ln_msec ln_asks_deadline(const ln_sessions *n);
/* pace.c ---------------------------------------------------------------------------------- */
/* Whether the command may be obeyed now; false: it was refused, 111 with retry_after. */
bool ln_session_pace(ln_session *s, const ln_native_command *c);
/* It has shown a token that is no good. */
void ln_session_owe(const ln_session *s);

/* subs.c ---------------------------------------------------------------------------------- */
typedef struct ln_sub_how { /* how a subscription comes to be; fields as in ln_sub_more */
    uint8_t mark;
    bool resumed;
    uint32_t until;
    uint64_t expires;
} ln_sub_how;
/* Makes one that may be made, as a command says, and takes it to its channel; when it has joined,
 * or could not after all, the client is told. LINNET_ERR_LIMIT, LINNET_ERR_NOMEM and so on: there
 * is none, and nobody was told. */
int ln_sub_make(ln_session *s, const ln_native_command *c, const ln_sub_how *how);
void ln_sub_free(ln_sub *sub);
/* What is its own to write. NULL without memory, which cannot be while it has not joined. */
ln_sub_more *ln_sub_own(ln_sub *sub);
/* It may have come to rest. What it was asked with is gone then. */
void ln_sub_settle(ln_sub *sub);
/* The one it joined last and is not leaving; NULL: none. */
const ln_sub *ln_sub_last(const ln_session *s);
/* Puts the session into a channel, whatever rules say, and whoever may be asked. LINNET_OK: it is
 * there, or on its way; LINNET_ERR_LIMIT: it is in as many as it may; LINNET_ERR_NOMEM. */
int ln_sub_place(ln_session *s, ln_slice channel);
/* Of this session; NULL: none. */
ln_sub *ln_sub_find(const ln_session *s, ln_slice channel);
/* Answers its subscribe, if that has no answer yet, because it is to be no longer. */
void ln_sub_unanswered(ln_session *s, const ln_sub *sub, const char *why);
/* It is in its channel, and is to be no longer. */
void ln_sub_end(ln_session *s, ln_sub *sub, ln_native_code code);
/* To its channel, from where it stood or from now on: as ln_hub_subscribe. */
int ln_sub_join(ln_sub *sub);
/* Answers its subscribe: it has joined. */
void ln_sub_tell(ln_session *s, ln_sub *sub);
/* The answer to a subscribe that was LN_PENDING. */
void ln_sub_joined(ln_sub *sub, int err);
/* Tells what was left out, if something was. */
void ln_sub_say_skipped(ln_sub *sub);
/* The hub's callbacks for all dialects. */
ln_hub_user ln_subs_user(ln_sessions *n);

/* resume.c -------------------------------------------------------------------------------- */
/* Appends a ticket for the session as it is now. False: it gets none. */
bool ln_resume_ticket(ln_session *s, ln_buf *out);
/* In how many ms it is to have another one, before that ends; UINT32_MAX: never. */
uint32_t ln_resume_due_ms(const ln_session *s);
/* Its ticket tells what is not so any more: another one is due. */
void ln_resume_stale(ln_session *s);
/* `auth` with a ticket. */
void ln_resume_auth(ln_session *s, const ln_native_command *c);
/* It ends, and is not known by its chain any more. */
void ln_resume_close(ln_session *s);
/* Why a subscription was let in, as a text that lets it in again; empty: it gets none. */
ln_slice ln_resume_grant(const ln_sub *sub, char out[LN_GRANT_TEXT]);
/* What a grant says that came with a subscribe. LINNET_OK with *out, also when there is none (how
 * is 0 then). LINNET_ERR_DENIED, LINNET_ERR_TIMEOUT, LINNET_ERR_NOMEM: *out is as without. */
int ln_resume_granted(const ln_session *s, const ln_native_command *c, ln_grant *out);
/* The hub's call. */
void ln_resume_taken(void *ctx, const ln_taking *m);
#define LN_GRANT_S (24 * 3600) /* so long a backend's yes counts */

/* presence.c ------------------------------------------------------------------------------ */
/* Takes a new subscription to its channel, as ln_hub_subscribe; when it is LN_PENDING,
 * ln_sub_joined follows. watch: it wants to hear who comes and goes. */
int ln_sub_begin(ln_sub *sub, bool watch);
/* Of one that is being freed: no member any more. */
void ln_sub_away(ln_sub *sub);
/* LINNET_OK, when it may see who is there; LINNET_ERR_INVAL, LINNET_ERR_DENIED,
 * LINNET_ERR_UNSUPPORTED (that is not kept). */
int ln_session_may_see(const ln_session *s, const ln_native_command *c);
/* The same; if not, the command is refused. */
bool ln_session_present(ln_session *s, const ln_native_command *c);
void ln_session_presence(ln_session *s, const ln_native_command *c);
/* The list goes into the answer to a subscribe; what was held back follows it. */
void ln_watch_say(const ln_sub *sub, ln_reply *reply);
void ln_watch_open(ln_sub *sub);
/* The hub's calls. */
void ln_watch_joined(ln_subscription *s, int err);
void ln_watch_aside(ln_sessions *n, ln_row *row, const ln_publication *p);
void ln_place_answered(void *ctx, ln_place *m);
void ln_inquiry_answered(void *ctx, ln_inquiry *m);

/* recover.c ------------------------------------------------------------------------------- */
/* ln_hub_recover for a subscription that was just made. */
int ln_recover_begin(ln_sub *sub);
/* It has come to something else, or goes. */
void ln_recover_end(ln_sub *sub);
/* There may be room for the next page of somebody. */
void ln_recover_on(ln_session *s);
/* The hub's calls. */
void ln_recover_page(void *ctx, ln_subscription *ls, const ln_replay *page);
void ln_recover_lost(void *ctx, ln_subscription *ls);

/* history.c ------------------------------------------------------------------------------- */
void ln_history_ask(ln_session *s, const ln_native_command *c);
/* It must wait: for the page before, or until the peer has read some of what it got. */
bool ln_history_waits(ln_session *s);
/* The hub's call. */
void ln_history_page(void *ctx, const ln_reading *m);

/* callout.c ------------------------------------------------------------------------------- */
/* The verb. */
void ln_callout_reply(ln_session *s, const ln_native_command *c);
/* The session ends. */
void ln_callouts_end(ln_session *s);
void ln_callouts_tick(ln_sessions *n);
ln_msec ln_callouts_deadline(const ln_sessions *n);

/* state.c --------------------------------------------------------------------------------- */
/* set, unset, typing. */
void ln_session_state(ln_session *s, const ln_native_command *c);
/* It is in its channel now: what lives there is for it to know. */
void ln_keys_begin(ln_sub *sub);
/* The hub's calls. */
void ln_state_aside(ln_sessions *n, ln_row *row, const ln_publication *p);
void ln_keys_listed(ln_session *s, const ln_inquiry *m);

/* retract.c ------------------------------------------------------------------------------- */
/* The hub's call: word of what was taken back. */
void ln_retract_aside(ln_sessions *n, ln_row *row, const ln_publication *p);

/* bar.c ----------------------------------------------------------------------------------- */
/* What bans say of it: LN_JWS_FAULT_NONE, LN_JWS_FAULT_REVOKED, LN_JWS_FAULT_BANNED. Whoever gives
 * a session an identity that no token of this moment has given asks here. */
ln_jws_fault ln_session_barred(const ln_session *s);
#endif
