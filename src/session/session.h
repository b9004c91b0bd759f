/* session.h -- who is speaking on a WebSocket of a hub route, and in which dialect.
 *
 * A session reads texts as commands, keeps to the limits, and asks the hub; what the hub answers or
 * delivers it says in its dialect.
 *
 *    UNDECIDED ──a text that tells──> a dialect, for good     (chosen before: it starts there)
 *
 * Somebody else may have to be asked (ask.h) before a command is obeyed.
 *
 * Order. Commands are handed to the hub in the order they came, and the mail to a channel's home
 * keeps it, so hardly anything waits behind a pending answer of its channel here. An unsubscribe
 * cancels a subscribe that is pending, which is answered with an error. Of a session that publishes
 * it takes the road of its publications, so that it hears them before it is out, and a subscribe
 * behind it waits. Answers outstanding are bounded: at the bound the session holds further
 * commands, owning their bytes, and pauses reading until answers have come.
 *
 * Answers of the hub to publications carry a handle (worker, slot, generation), so that one for a
 * session that is gone is nobody's.
 */
#ifndef LN_SESSION_SESSION_H
#define LN_SESSION_SESSION_H
#include "base/log.h"
#include "base/rand.h"
#include "hub/limit.h"
#include "session/ask.h"
#include "session/auth.h"
#include "session/dialect.h"
#include "session/ear.h"
#include "session/ends.h"
#include "session/ticket.h"

/* Commands that draw on one bucket. */
typedef enum ln_pace {
    LN_PACE_PUBLISH,   /* its rate is publish_rate and publish_burst */
    LN_PACE_SUBSCRIBE, /* and unsubscribe */
    LN_PACE_READ,      /* all that asks for something: history, presence, calls */
    LN_PACE_AUTH,      /* each costs a signature to be checked */
    LN_PACES
} ln_pace;

typedef struct ln_session_limits { /* of a route; outlives its sessions. 0 means none unless said */
    uint32_t channels_max;         /* per connection */
    uint32_t outstanding_max;      /* requests without an answer yet; at least 1 */
    uint32_t commands_max;         /* per frame; at least 1 */
    uint32_t held_max;             /* bytes of commands that wait */
    uint32_t errors_max, errors_ms;       /* so many in so long: close 3003 */
    uint32_t publish_rate, publish_burst; /* per second; over it error 111, and after errors_max
                                           * of those in errors_ms close 3009 */
    uint32_t ping_ms, pong_ms;      /* heartbeat in linnet.v1, as the route's connections have it */
    uint64_t message_max;           /* bytes; said in welcome, kept by the connection */
    ln_rate rates[LN_PACES];        /* of other commands than publications, by ln_pace */
    ln_rate users[2], addresses[2]; /* of all connections of one: publications; all else */
    ln_rate connects;               /* handshakes of an address; the owner's to ask for */
    uint32_t per_user;              /* connections */
} ln_session_limits;
/* THREATS.md, "Limits and defaults". */
#define LN_SESSION_LIMITS_INIT                                                                     \
    {                                                                                              \
        .channels_max = 128, .outstanding_max = 64, .commands_max = 128, .held_max = 1024 * 1024,  \
        .errors_max = 100, .errors_ms = 10000, .publish_rate = 100, .publish_burst = 200,          \
        .ping_ms = 25000, .pong_ms = 10000, .message_max = 65536, .rates = {                       \
            [LN_PACE_SUBSCRIBE] = { 100, 1000 },                                                   \
            [LN_PACE_READ] = { 50, 500 },                                                          \
            [LN_PACE_AUTH] = { 1, 10 },                                                            \
        }                                                                                          \
    }

typedef enum ln_session_text { /* what becomes of a text that is not JSON while undecided */
    LN_TEXT_REFUSE,            /* close 1003 */
    LN_TEXT_ECHO,
} ln_session_text;

/* How sessions in linnet.v1 come back (resume.c); of a hub, outlives its sessions. */
typedef struct ln_resuming {
    ln_ticket_keys keys;
    uint32_t ttl_s; /* how long, at least, after a connection broke */
} ln_resuming;

#define LN_LOGIN_SLOTS 64
#define LN_ERROR_CODES 20 /* from 100 on */

typedef struct ln_sessions { /* of one worker */
    ln_hub *hub;
    ln_rand *rand;
    uint32_t self;
    struct ln_session_slot *slots; /* by slot number */
    uint32_t slot_count, slot_capacity, slot_free;
    ln_pool subs;      /* ln_sub */
    ln_list beats[64]; /* sessions by the second their heartbeat is looked at */
    uint64_t beat_due; /* the first second that has some; UINT64_MAX: none has */
    ln_list gone;      /* closed, to be freed */
    ln_buf scratch, out, packed, unpacked; /* of the moment */
    char node[17];                         /* name of the node, in welcome */
    const ln_asker *asker;    /* who is asked; the owner sets it, and it outlives this. NULL */
    ln_list asked;            /* ask.c's */
    ln_slice text;            /* the command at hand, as it came */
    struct ln_pending *turn;  /* the command at hand has waited, */
    const ln_answer *granted; /* and this is what it has waited for */
    ln_list logins[LN_LOGIN_SLOTS]; /* by the second they are looked at */
    uint64_t login_due;             /* as beat_due */
    ln_stat count, commands, errors, unknown, held;
    ln_stat by_dialect[LN_DIALECTS + 1]; /* sessions; the last: undecided */
    ln_stat limited;                     /* commands refused because they came too fast */
    ln_stat recovered, lost;             /* of those who subscribed with a position */
    ln_rate failures; /* of an address: tokens that are no good. The owner's, like the next */
    bool (*address_of)(const ln_conn *c, ln_ip *who); /* whom limits mean; NULL: nobody */
    ln_stat dropped;                                  /* messages left out for slow readers */
    ln_stat too_fast[LN_PACES];                       /* refused, by what they drew on */
    ln_list callouts;       /* callout.h's, the first that is due in front */
    ln_stat called, strays; /* calls to clients; replies to none that waits */
    bool crowded;           /* too much waits to be sent: nobody publishes; the owner's to set */
    ln_stat too_many;       /* publications refused for that */
    ln_list lacking;        /* logins whose command waits for a key, by how long yet */
    bool late;              /* and has waited too long */
    ln_bans bans;           /* whose: who may not be here */
    const ln_ear *ear;      /* the owner's; NULL: nobody follows */
    ln_ends ends;           /* of those that are over */
    ln_stat error_codes[LN_ERROR_CODES];   /* commands answered so; the last: of applications */
    ln_stat limited_user, limited_address; /* of `limited`, those for such a rate */
    ln_stat limited_handshakes;            /* the owner's */
    ln_stat full_users;                    /* connections closed because a user has too many */
    const ln_resuming *resuming;           /* the owner sets it; NULL: nobody comes back */
    ln_map chains;                         /* sessions that could come back, by their chains */
    uint32_t started; /* seconds since 1970: of all workers, the owner sets it; 0: when the first
                       * session is made */
    ln_stat resumed, taken; /* who came back; and whose old connection was still there */
} ln_sessions;

/* Fills a worker's; names itself to the hub for all dialects. node: at most 16 bytes.
 * LINNET_ERR_NOMEM. */
int ln_sessions_init(ln_sessions *n, ln_hub *hub, ln_rand *rand, ln_slice node);
/* All sessions are closed. */
void ln_sessions_fini(ln_sessions *n);
/* Bytes that sessions and their subscriptions take, about. */
uint64_t ln_sessions_memory(const ln_sessions *n);
/* Heartbeats; after ln_hub_tick in each turn. */
void ln_sessions_tick(ln_sessions *n);
ln_msec ln_sessions_deadline(const ln_sessions *n);

/* The answer to a question for which ask() said LN_PENDING. An answer nobody waits for any more is
 * no mistake. */
void ln_sessions_answer(ln_sessions *n, uint64_t who, uint32_t ticket, const ln_answer *answer);

/* Keys have come, or not: commands that wait for one are read again. */
void ln_sessions_keys(ln_sessions *n);

typedef struct ln_session_options {
    const ln_session_limits *limits;
    uint8_t dialect; /* ln_user, or LN_DIALECT_AUTO; then there is no welcome */
    ln_session_text text;
    /* What the connection goes by once its dialect is one whose clients are told 1008 for slowness;
     * outlives it. NULL: what it goes by already. */
    const ln_conn_config *plain;
    ln_slice client; /* its name; empty: one is made up. At most LN_CLIENT_NAME_MAX bytes */
    ln_slice feed;   /* a channel it is in from the start, without a word; its name is checked, and
                      * the dialect is chosen. Empty: none */
    const ln_auth *auth;        /* outlives it; NULL: nobody is asked who he is */
    const ln_ws_config *narrow; /* what the connection goes by until it is known who it is, outlives
                                 * it. NULL: as always */
    ln_identity *identity; /* of a token that came with the handshake; taken, also on failure */
    ln_jws_fault refused;  /* one came, and is no good: the session begins with its end */
    ln_slice data;         /* JSON that stands in welcome; empty: none */
    bool returns;          /* nobody was asked about it: it has to show a ticket. With `auth` */
    bool bin; /* in linnet.v1 it speaks, and is told, bytes as they are (wire/bytes.h) */
} ln_session_options;

/* From on_open of a route: makes the session, and c->ops and c->owner its own. LINNET_ERR_NOMEM,
 * LINNET_ERR_LIMIT, LINNET_ERR_INVAL (the client's name): nothing changed, the caller closes c. */
int ln_session_open(ln_sessions *n, ln_conn *c, const ln_session_options *o);
extern const ln_conn_ops ln_session_ops;
/* Of a connection with these ops: tells a client that can be told that the server is leaving. */
void ln_session_goaway(ln_conn *c, uint64_t after_ms, const char *reason);
/* What the protocol says of one of our errors. */
ln_native_code ln_session_code(int err);
#endif
