/* plan.h -- what a seed is to be: which kinds of trouble it has (swarm: each seed draws a few), how
 * strong they are, how many clients there are and how long it is wild. It is drawn before anything
 * happens and from the seed alone, so that a failing seed can be tried again with less of it:
 *
 *     make sim SEED=7 WITHOUT=resets,login CLIENTS=4 EVENTS=300
 */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H
#include "net/sim.h"
#include <linnet/hub.h>

#define PLAN_KINDS(X)                                                                              \
    X(RESETS, "resets")     /* connections break, wherever they stand */                           \
    X(STALLS, "stalls")     /* or fall silent */                                                   \
    X(REFUSALS, "refusals") /* or do not come about */                                             \
    X(RESTARTS, "restarts") /* a node drains or is killed, and another comes in its place */       \
    X(SLOW, "slow")         /* readers pause, and queues are short */                              \
    X(PARTS, "parts")       /* sends and receives come in parts, messages in fragments */          \
    X(RUDE, "rude")         /* clients break the rules */                                          \
    X(PRESENCE, "presence") /* members are kept, and heard of */                                   \
    X(KEYS, "keys")         /* keyed state, typing */                                              \
    X(REPEATS, "repeats")   /* publications come again with the same key */                        \
    X(BACKEND, "backend")   /* somebody is asked: yes, no, later, never */                         \
    X(LOGIN, "login")       /* tokens: good, bad, for one channel, expiring, refreshed */          \
    X(RELOAD, "reload")     /* rules and histories become others */                                \
    X(EXPEL, "expel")       /* the program puts people out */                                      \
    X(BATCHES, "batches")   /* publications wait for others */                                     \
    X(RINGS, "rings")       /* a reader of 128 channels comes back, and all of them were full */   \
    X(TICKETS, "tickets")   /* sessions come back with one */                                      \
    X(NUMBERS, "numbers")   /* publications have a seq, and come again until they are answered */  \
    X(CALLS, "calls")       /* programs ask clients */                                             \
    X(STRANGERS, "strangers") /* some speak other dialects */                                      \
    X(BYTES, "bytes")         /* some publications are no JSON, and some take them as they are */  \
    X(MEMORY, "memory")       /* little of it for what waits, and for histories, of all workers */

enum {
#define PLAN_KIND_(name, word) PLAN_##name,
    PLAN_KINDS(PLAN_KIND_)
#undef PLAN_KIND_
        PLAN_KIND_COUNT
};
extern const char *const plan_words[PLAN_KIND_COUNT];

typedef struct plan_less { /* what a seed is to have less of than it would */
    uint32_t without;      /* bits of kinds */
    uint32_t clients;      /* at most; 0: as drawn */
    uint32_t events;       /* of the wild time; 0: as drawn */
    bool traced;           /* not less: what clients say and hear is printed */
} plan_less;

typedef struct plan {
    uint64_t seed;
    uint32_t kinds; /* bits */
    uint32_t clients, guests;
    uint32_t events, wild_ms; /* it is wild until so much has happened, and at least so long */
    ln_sim_faults faults;
    bool takes_turns;       /* few speak at a time, to find who sleeps */
    uint32_t payload_max;   /* bytes */
    uint32_t history_count; /* publications a channel keeps; 0: as ever */
    uint32_t ring;          /* publications missed in each of 128 channels */
    uint32_t drain_rate;
    uint32_t batch_ms;
    uint32_t queued_all, kept_all; /* bytes, of all workers of a node; 0: as ever */
    bool traced;
    bool guests_may; /* LOGIN: also who has no token */
    bool keys_kept;  /* tickets are good at each node, and outlive it */
    uint32_t resume_ms;
    linnet_slow slow;
    linnet_conn_limits limits;
} plan;

static inline bool plan_has(const plan *p, int kind) {
    return p->kinds >> kind & 1;
}
void plan_draw(plan *p, uint64_t seed, const plan_less *less);
/* "resets,login" to bits; false: there is no such kind. */
bool plan_kinds_of(const char *words, uint32_t *kinds);

/* What came about, counted; a kind that never does in 300 seeds is one that nobody tests. */
#define PLAN_DEEDS(X)                                                                              \
    X(PUBLISH, "publications of clients")                                                          \
    X(PROGRAM, "publications of programs")                                                         \
    X(HEARD, "messages heard")                                                                     \
    X(ANSWERED, "commands answered")                                                               \
    X(OPEN, "connections opened")                                                                  \
    X(CLOSE, "connections closed")                                                                 \
    X(FAIL, "connections that did not come about")                                                 \
    X(CUT, "connections broken in the middle of a frame")                                          \
    X(RUDE, "rules broken")                                                                        \
    X(FRAGMENTS, "messages in fragments")                                                          \
    X(PAUSE, "readers that paused")                                                                \
    X(SLOW_CLOSED, "readers closed for slowness")                                                  \
    X(SLOW_SKIP, "publications skipped for slow readers")                                          \
    X(EXCEPT_SKIP, "publications skipped on purpose")                                              \
    X(VOLATILE, "volatile publications heard")                                                     \
    X(MERGED, "messages that came together")                                                       \
    X(RECOVERED, "recoveries")                                                                     \
    X(REPLAYED, "publications replayed")                                                           \
    X(ANEW, "positions that nobody could go on from")                                              \
    X(READ, "publications read from history")                                                      \
    X(KILLED, "nodes killed")                                                                      \
    X(DRAINED, "nodes drained")                                                                    \
    X(GOAWAY, "clients told to go")                                                                \
    X(LISTED, "lists of members")                                                                  \
    X(DIFF, "members that came or went, as clients hear")                                          \
    X(INFO, "members with another info")                                                           \
    X(PRESENCE_TOLD, "members that came or went, as programs hear")                                \
    X(SET, "keys set")                                                                             \
    X(STATE, "states heard")                                                                       \
    X(CONFLICT, "keys that somebody else held")                                                    \
    X(TYPED, "typing heard")                                                                       \
    X(REPEATED, "publications repeated with their key")                                            \
    X(ASKED, "questions to a backend")                                                             \
    X(YES_LATER, "yes, later")                                                                     \
    X(NO, "no")                                                                                    \
    X(NEVER, "no answer")                                                                          \
    X(TOO_LATE, "answers for nobody any more")                                                     \
    X(INSTEAD, "publications that a backend changed")                                              \
    X(LOGIN, "logins")                                                                             \
    X(REFRESH, "refreshed tokens")                                                                 \
    X(BAD_TOKEN, "tokens that are no good")                                                        \
    X(EXPIRED, "connections that outlived their token")                                            \
    X(CHANNEL_TOKEN, "subscriptions by a token for one channel")                                   \
    X(CHANNEL_EXPIRED, "subscriptions that outlived theirs")                                       \
    X(FORBIDDEN, "subscriptions that another token does not allow")                                \
    X(DENIED, "commands denied")                                                                   \
    X(PERSONAL, "messages to a user")                                                              \
    X(RELOAD, "reloads")                                                                           \
    X(EXPELLED, "clients put out of a channel")                                                    \
    X(KICKED, "clients disconnected by the program")                                               \
    X(RING, "rings replayed")                                                                      \
    X(RING_FULL, "rings replayed that were full")                                                  \
    X(RETURNED, "sessions that came back")                                                         \
    X(RETURNED_IN, "channels that they came back into")                                            \
    X(RETURNED_ANEW, "sessions that came back to another run of a node")                           \
    X(NOT_RETURNED, "tickets that are no good")                                                    \
    X(LATE_TICKET, "tickets that came too late")                                                   \
    X(NEW_TICKET, "tickets that came with a ping")                                                 \
    X(GAVE_WAY, "connections whose session went on elsewhere")                                     \
    X(NUMBERED, "publications with a number")                                                      \
    X(AGAIN, "publications sent again with their number")                                          \
    X(SEEN, "numbers that had been seen")                                                          \
    X(OUT_OF_TURN, "numbers whose turn it was not")                                                \
    X(BYTES_SAID, "publications that are bytes")                                                   \
    X(BINARY, "messages that came as bytes")                                                       \
    X(BASE64, "messages of bytes that came as text")                                               \
    X(STRANGE, "messages heard in other dialects")                                                 \
    X(CALLED, "questions to clients")                                                              \
    X(CALL_ANSWERED, "questions answered")                                                         \
    X(CALL_REFUSED, "questions that a client would not answer")                                    \
    X(CALL_TIMEOUT, "questions that nobody answered in time")                                      \
    X(CALL_GONE, "questions to who had gone")                                                      \
    X(CROWDED, "moments in which too much waited")                                                 \
    X(PUT_OFF, "publications put off until less waits")                                            \
    X(PROGRAM_PUT_OFF, "publications of programs put off")                                         \
    X(EVICTED, "nodes whose histories have given way")                                             \
    X(BOUNDS, "times that all bounds were looked at")

enum {
#define PLAN_DEED_(name, words) DID_##name,
    PLAN_DEEDS(PLAN_DEED_)
#undef PLAN_DEED_
        PLAN_DEED_COUNT
};
extern const char *const plan_deeds[PLAN_DEED_COUNT];
#endif
