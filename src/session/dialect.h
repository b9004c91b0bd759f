/* dialect.h -- what a language between a connection and the hub has to know.
 *
 * All dialects share one parser (wire/native.h) and one model (session.c). What differs is how
 * the same things are said: a dialect is a table of that. Each is also a kind of subscriber of the
 * hub, so that fan-out renders a publication once per dialect.
 */
#ifndef LN_SESSION_DIALECT_H
#define LN_SESSION_DIALECT_H
#include "conn/conn.h"
#include "hub/hub.h"
#include "wire/envelope.h"

/* The hub's user numbers, all of them. */
typedef enum ln_user {
    LN_USER_NATIVE,            /* linnet.v1 */
    LN_USER_CHANNEL,           /* A, linnet.channel */
    LN_USER_TOPIC,             /* B, linnet.topic */
    LN_USER_RPC,               /* C, linnet.rpc */
    LN_USER_EVENT,             /* D, linnet.event */
    LN_USER_FEED,              /* E, linnet.raw */
    LN_USER_RAW,               /* raw topics of connections (raw.h) */
    LN_USER_HOST,              /* callbacks of the hosting program; lib/ gives the functions */
    LN_USER_SSE,               /* event streams; likewise */
    LN_DIALECTS = LN_USER_RAW, /* the first so many are dialects of sessions */
} ln_user;
#define LN_DIALECT_AUTO 255 /* the first text that says so decides */

typedef struct ln_session ln_session;

typedef struct ln_reply { /* what went well */
    ln_native_verb verb;
    ln_slice re; /* the request's id; empty: no answer was asked for */
    ln_slice channel;
    ln_position at; /* epoch 0: none */
    uint8_t class;
    bool recover, recovered;
    uint64_t ts;         /* ms of the wall clock; who says it fills it in */
    ln_slice data;       /* JSON, the answer to a call; empty: none */
    bool pushed;         /* nobody asked: the server has put it into the channel */
    ln_slice user;       /* of auth and refresh; empty: nobody in particular */
    uint64_t expires;    /* seconds it has; 0: for ever */
    const ln_roll *roll; /* who is in the channel; NULL: it was not asked */
    ln_slice page;       /* of that, packed */
    uint64_t replay;     /* recovered: messages to come */
    ln_slice client, session, resume, grant; /* of who can come back, in linnet.v1 */
} ln_reply;

typedef struct ln_dialect {
    const char *protocol; /* the WebSocket subprotocol */
    const char *name;     /* for ?dialect= */
    bool plain;           /* close codes of the 3xxx that tell of policy become 1008 */
    bool skips;           /* can say that something was left out */
    bool arrays;          /* several texts may come as one array */
    bool rooms;           /* who names no channel means the one joined last */
    bool mute;            /* its clients say nothing: an error is the end of the connection */
    ln_envelope *open;    /* reads what stands inside its envelope; NULL: it has none */
    bool abrupt;          /* who has to log in and does not is closed, not told */
    /* Each appends one text to out; nothing appended: nothing is sent. Errors as wire/native.h. */
    int (*ok)(ln_buf *out, const ln_reply *reply);
    int (*error)(ln_buf *out, const ln_native_error *error);
    int (*message)(ln_buf *out, const ln_publication *p);
    /* Who came and went; NULL: there are no words for that. */
    int (*presence)(ln_buf *out, ln_slice channel, ln_slice packed, uint64_t ts);
    /* Answers a message there is no command for; NULL: PROTOCOL 2.2 says what becomes of it. */
    int (*unknown)(ln_buf *out, ln_slice text);
    int (*pong)(ln_buf *out, ln_slice re, uint64_t ts); /* NULL: as linnet.v1 does */
    /* The server asks: NULL: there are no words for that. */
    int (*call)(ln_buf *out, uint64_t id, ln_slice event, ln_slice data, uint64_t ts);
} ln_dialect;

/* presence.c: what dialects say of members. An array of those who are (left: who are no more); the
 * keys "joins" and "leaves" of an open object; the keys of one page, its members under `key`. */
void ln_attendees_put(ln_json_writer *w, ln_slice packed, bool left);
void ln_diff_put(ln_json_writer *w, ln_slice packed);
void ln_roll_put(ln_json_writer *w, const char *key, const ln_roll *roll, ln_slice page);
/* Appends a publication in linnet.v1, the only dialect that recovers. replay: from the past. */
int ln_native_say(ln_buf *out, const ln_publication *p, bool replay);
/* A publication as linnet.v1 says it. */
ln_native_message ln_native_said(const ln_publication *p);

/* state.c: a key, or who types, in linnet.v1. */
int ln_state_put(ln_buf *out, ln_slice channel, const ln_state_word *word);

extern const ln_dialect ln_dialect_native, ln_dialect_channel, ln_dialect_topic, ln_dialect_rpc,
    ln_dialect_event, ln_dialect_feed;
extern const ln_dialect *const ln_dialects[LN_DIALECTS]; /* by ln_user */

/* The subprotocols a hub route offers, in the order of preference, NULL at the end: for the
 * upgrade. And those of a feed. */
extern const char *const ln_dialect_protocols[], *const ln_dialect_feed_protocols[];
/* The dialect of a subprotocol that was chosen, or of a ?dialect= value ("v1", "channel", "topic",
 * or a whole subprotocol name); LN_DIALECT_AUTO when it is none. */
uint8_t ln_dialect_by_name(ln_slice name);

static inline const char *ln_dialect_words(const ln_native_error *error) {
    return error->message ? error->message : ln_native_words(error->code);
}
#endif
