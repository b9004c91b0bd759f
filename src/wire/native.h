/* native.h -- the native protocol as pure functions: JSON texts to commands, and what we say to
 * texts.
 *
 * One parser serves every dialect, because the aliases of PROTOCOL 2.1 are always accepted: it
 * knows the keys of all of them, remembers which came, and ln_native_detect says whose hand that
 * is. `data` is never taken apart: it is a slice of the checked text.
 *
 * The writers append one text to a buffer and answer LINNET_OK, LINNET_ERR_NOMEM or
 * LINNET_ERR_TOO_BIG; on error nothing was appended.
 */
#ifndef LN_WIRE_NATIVE_H
#define LN_WIRE_NATIVE_H
#include "base/json.h"

/* Every error of the protocol: name, code, whether the same may succeed later, words. */
#define LN_NATIVE_ERRORS(X)                                                                        \
    X(INTERNAL, 100, true, "internal error")                                                       \
    X(UNAUTHORIZED, 101, false, "unauthorized")                                                    \
    X(UNKNOWN_CHANNEL, 102, false, "unknown channel")                                              \
    X(PERMISSION_DENIED, 103, false, "permission denied")                                          \
    X(UNKNOWN_TYPE, 104, false, "unknown type")                                                    \
    X(ALREADY_SUBSCRIBED, 105, false, "already subscribed")                                        \
    X(LIMIT_EXCEEDED, 106, false, "limit exceeded")                                                \
    X(BAD_REQUEST, 107, false, "bad request")                                                      \
    X(NOT_AVAILABLE, 108, true, "not available")                                                   \
    X(TOKEN_EXPIRED, 109, false, "token expired")                                                  \
    X(RATE_LIMITED, 111, true, "rate limit exceeded")                                              \
    X(UNRECOVERABLE_POSITION, 112, false, "unrecoverable position")                                \
    X(NOT_SUBSCRIBED, 113, false, "not subscribed")                                                \
    X(PAYLOAD_TOO_LARGE, 114, false, "payload too large")                                          \
    X(TIMEOUT, 115, true, "timeout")                                                               \
    X(OUT_OF_ORDER, 116, false, "out of order")                                                    \
    X(OUTCOME_UNKNOWN, 117, false, "outcome unknown")                                              \
    X(CONFLICT, 118, false, "conflict")

typedef enum ln_native_code {
#define LN_NATIVE_ENUM(name, code, retry, words) LN_NATIVE_##name = code,
    LN_NATIVE_ERRORS(LN_NATIVE_ENUM)
#undef LN_NATIVE_ENUM
        LN_NATIVE_APPLICATION = 400, /* and up to this: what a backend says */
    LN_NATIVE_APPLICATION_MAX = 1999,
} ln_native_code;

/* Whether there is an error of that number. Another one would be told as internal. */
bool ln_native_known(int code);
/* Writes "bad_request" and returns its size. */
#define LN_NATIVE_NAME_MAX 32
size_t ln_native_name(ln_native_code code, char out[LN_NATIVE_NAME_MAX]);
/* "bad request"; static memory. */
const char *ln_native_words(ln_native_code code);
bool ln_native_retry(ln_native_code code);

typedef enum ln_native_verb {
    LN_VERB_OTHER, /* none, or one we do not know */
    LN_VERB_SUBSCRIBE,
    LN_VERB_UNSUBSCRIBE,
    LN_VERB_PUBLISH,
    LN_VERB_PING,
    LN_VERB_PONG,
    LN_VERB_HEARTBEAT,
    LN_VERB_AUTH,
    LN_VERB_CALL,  /* of a method by name; envelope.h, and so the next two */
    LN_VERB_EVENT, /* something happened, and no channel is to hear of it */
    LN_VERB_REPLY, /* to a call of ours */
    LN_VERB_REFRESH,
    LN_VERB_SEND,
    LN_VERB_PRESENCE,
    LN_VERB_SET,
    LN_VERB_UNSET,
    LN_VERB_TYPING,
    LN_VERB_HISTORY,
} ln_native_verb;

/* Which keys came, by their own name. Of two that mean the same, the first in this order counts. */
typedef enum ln_native_key {
    LN_KEY_TYPE = 1 << 0,
    LN_KEY_ACTION = 1 << 1,
    LN_KEY_ID = 1 << 2,
    LN_KEY_RE = 1 << 3,
    LN_KEY_REQUEST_ID = 1 << 4,
    LN_KEY_CHANNEL = 1 << 5,
    LN_KEY_TOPIC = 1 << 6,
    LN_KEY_ROOM = 1 << 7,
    LN_KEY_EVENT = 1 << 8,
    LN_KEY_DATA = 1 << 9,
    LN_KEY_PAYLOAD = 1 << 10,
    LN_KEY_TS = 1 << 11,
    LN_KEY_TIMESTAMP = 1 << 12,
    LN_KEY_TOKEN = 1 << 13,
    LN_KEY_ECHO = 1 << 14,
    LN_KEY_EXCEPT = 1 << 15,
    LN_KEY_VOLATILE = 1 << 16,
    LN_KEY_RECOVER = 1 << 17,
    LN_KEY_SEQ = 1 << 18,
    LN_KEY_KEY = 1 << 19,
    LN_KEY_TO = 1 << 20,
    LN_KEY_PRESENCE = 1 << 21,
    LN_KEY_AFTER = 1 << 22,
    LN_KEY_LIMIT = 1 << 23,
    LN_KEY_SINCE = 1 << 24,
    LN_KEY_REVERSE = 1 << 25,
    LN_KEY_TTL = 1 << 26,
    LN_KEY_ERROR = 1 << 27,
    LN_KEY_SUBS = 1 << 28,
    LN_KEY_GRANT = 1 << 29,
} ln_native_key;
#define LN_KEYS 30

#define LN_NATIVE_ID_MAX     64    /* bytes of a string id */
#define LN_NATIVE_NAME_BYTES 255   /* of a channel; longer ones may be cut short by a fault */
#define LN_NATIVE_EVENT_MAX  255   /* bytes of an event name */
#define LN_NATIVE_EXCEPT_MAX 128   /* names; each subscriber is compared to all */
#define LN_NATIVE_RE_MAX     255   /* bytes of an id as JSON, with quotes and escapes */
#define LN_NATIVE_TOKEN_MAX  4096  /* bytes */
#define LN_NATIVE_TICKET_MAX 8192  /* bytes of one to resume with; without escapes */
#define LN_NATIVE_GRANT_MAX  64    /* bytes of a grant, likewise */
#define LN_NATIVE_SCRATCH    32768 /* bytes a command needs at most in its scratch */

typedef struct ln_native_command {
    ln_native_verb verb;
    uint32_t keys;        /* ln_native_key */
    ln_json_value type;   /* as it came; no string: none */
    ln_slice id;          /* JSON as it came, to be given back as `re`; empty: none */
    ln_slice channel;     /* unescaped, not checked; data NULL: none */
    ln_slice event;       /* unescaped; empty: none */
    ln_slice data;        /* JSON; empty: none */
    ln_json_value except; /* array of strings, when keys say so */
    bool no_echo, is_volatile;
    bool quiet;   /* its id asks for no answer but a refusal */
    bool recover; /* and from where: */
    uint64_t recover_epoch, recover_offset;
    ln_slice token;      /* unescaped; data NULL: none. Of the object, or of its data */
    ln_slice to;         /* a user; data NULL: none */
    bool presence;       /* with subscribe: wants to hear of it */
    uint64_t after;      /* a page begins behind this */
    uint32_t limit;      /* of a page; when keys say so. UINT32_MAX: more than that, or below 0 */
    bool since, reverse; /* of history: it names a position, */
    uint64_t since_epoch, since_offset;
    ln_slice key;        /* of set and unset, unescaped; empty: none */
    uint64_t ttl_ms;     /* of set, when keys say so */
    ln_json_value re;    /* what it answers: a string or an integer; raw empty: nothing */
    ln_json_value error; /* of whatever kind, when keys say so */
    ln_slice resume;     /* of auth, in its data: a ticket; data NULL: none */
    ln_json_value subs;  /* with it, when keys say so: an object of channels (ln_native_sub) */
    ln_slice grant;      /* of subscribe; data NULL: none */
    uint64_t seq;        /* of publish, when keys say so; at least 1 */
} ln_native_command;

/* Reads one checked object. Strings with escapes are written to scratch, which needs room for
 * LN_NATIVE_SCRATCH bytes, and are good as long as that.
 *   LN_DONE          *out is filled
 *   LINNET_ERR_JSON  not a command; *why says so in words (static), and id, verb and keys are
 * filled as far as they could be read */
int ln_native_parse(
    const ln_json_value *object, ln_buf *scratch, ln_native_command *out, const char **why);

/* Reads what stands under a channel's name in `subs`, which was parsed: what a subscribe would say,
 * but for the channel. Needs no scratch. */
void ln_native_sub(const ln_json_value *value, ln_native_command *out);

/* A string of at most `max` bytes (escaped ones may come out longer: look), unescaped into scratch
 * if it has to be, where room must be. False: it is none. */
bool ln_native_text(const ln_json_value *v, size_t max, ln_buf *scratch, ln_slice *out);

/* Whose hand wrote it, PROTOCOL 2.1 step 4. */
typedef enum ln_native_hand {
    LN_HAND_NOBODY, /* ping, pong, heartbeat: decides nothing */
    LN_HAND_NATIVE,
    LN_HAND_CHANNEL, /* A */
    LN_HAND_TOPIC,   /* B */
    LN_HAND_RPC,     /* C */
    LN_HAND_EVENT,   /* D */
} ln_native_hand;
ln_native_hand ln_native_detect(const ln_native_command *command);

/* Whether a JSON value is one that JavaScript takes for false: 0, "", null, false. */
bool ln_native_falsy(ln_slice json);

/* An epoch as text. */
#define LN_NATIVE_EPOCH 16 /* hexadecimal digits */
void ln_native_epoch_put(uint64_t epoch, char out[LN_NATIVE_EPOCH]);
bool ln_native_epoch_get(ln_slice text, uint64_t *epoch);

typedef struct ln_native_welcome {
    ln_slice client, session, node;
    uint32_t ping_s, timeout_s;
    uint64_t message_max, ts;
    bool auth;     /* a token is wanted */
    ln_slice user; /* as in ok */
    uint64_t expires;
    ln_slice data;    /* JSON; empty: left out */
    ln_slice resume;  /* likewise */
    uint32_t dedup_s; /* how long a seq is remembered; 0: left out */
    bool bin;         /* bytes.h */
} ln_native_welcome;
int ln_native_put_welcome(ln_buf *out, const ln_native_welcome *w);

typedef struct ln_native_ok {
    ln_slice re;
    const char *class; /* NULL: left out */
    uint64_t epoch;    /* 0: epoch and offset are left out */
    uint64_t offset;
    bool recover, recovered;  /* whether it was asked, and the answer */
    ln_slice data;            /* JSON; empty: left out */
    ln_slice user;            /* empty: left out, and so is: */
    uint64_t expires;         /* seconds from now; 0: left out */
    uint64_t replay;          /* when it recovered: messages to come */
    ln_slice client, session; /* of who came back; empty: left out, and so are: */
    ln_slice resume, grant;   /* to come back with, again */
} ln_native_ok;
int ln_native_put_ok(ln_buf *out, const ln_native_ok *ok);

typedef struct ln_native_error {
    ln_slice re, channel; /* empty: left out */
    ln_native_code code;
    const char *message;     /* NULL: the code's words */
    uint32_t retry_after_ms; /* 0: left out */
    bool vain;               /* the same would be refused again, whatever its code says */
} ln_native_error;
int ln_native_put_error(ln_buf *out, const ln_native_error *error);

typedef struct ln_native_message {
    ln_slice channel, event, data, from; /* event, data and from empty: left out */
    uint64_t offset;                     /* 0: left out */
    uint64_t ts;
    ln_slice user, info; /* of who it is from; empty: left out */
    bool replay;         /* it was said before its reader came back */
    bool retracted;      /* it was taken back: there is no data */
} ln_native_message;
int ln_native_put_message(ln_buf *out, const ln_native_message *m);

/* The answer to history, message by message: ln_json_end(&w) behind ln_native_history_end. Of the
 * messages the channel is left out. */
ln_json_writer ln_native_history_begin(ln_buf *out, const ln_native_ok *ok);
void ln_native_history_add(ln_json_writer *w, const ln_native_message *m);
void ln_native_history_end(ln_json_writer *w);

int ln_native_put_pong(ln_buf *out, ln_slice re);
int ln_native_put_skip(
    ln_buf *out, ln_slice channel, uint64_t offset, uint64_t count, const char *reason);
/* The server asks its client something; data: JSON. */
int ln_native_put_call(ln_buf *out, uint64_t id, ln_slice event, ln_slice data);
/* The server has put the client into a channel, by itself or because it came back: as in ok. */
int ln_native_put_subscribed(ln_buf *out, ln_slice channel, const ln_native_ok *ok);
/* Are you there? resume: another ticket; empty: none. */
int ln_native_put_ping(ln_buf *out, ln_slice resume);
/* The token ends in so many seconds, and another one is wanted. */
int ln_native_put_expiring(ln_buf *out, uint64_t in_s);
int ln_native_put_unsubscribed(ln_buf *out, ln_slice channel, ln_native_code code);
/* The server is leaving: come back so much later. */
int ln_native_put_goaway(ln_buf *out, uint64_t after_ms, const char *reason);
#endif
