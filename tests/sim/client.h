/* client.h -- one of the simulation's clients: it dials, joins channels, talks, misbehaves a
 * little, loses its connection, and dials again after a seeded while. What it says and hears goes
 * to the history, to its mirrors of who is there (crowd.h), and to the law (law.h); what the
 * library calls back, and when, it judges itself (I12).
 *
 *   client.c    its life: dialling, moods, what the library calls
 *   say.c       what it says
 *   hear.c      what it hears, and whether that can be
 *   back.c      coming back with a ticket
 *   numbers.c   publications with a number
 */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H
#include "back.h"
#include "base/json.h"
#include "calls.h"
#include "crowd.h"
#include "history.h"
#include "lib/world.h"
#include "net/sim.h"
#include "numbers.h"
#include "plan.h"
#include <linnet/client.h>

#define CLIENT_ASKED 48                     /* requests under way on one connection */
#define SEATS        (HISTORY_CHANNELS + 1) /* the last one is in `@user` */
#define OWN_SEAT     HISTORY_CHANNELS
#define USERS        6  /* in the history, `@u2` is channel HISTORY_CHANNELS + 2 */
#define LIVES        24 /* nodes have, in one run */

typedef enum mood {
    WILD,   /* all of it */
    CALM,   /* stays connected and in its channels; speaks when told to */
    LEAVING /* closes and does not come back */
} mood;

typedef struct key_value { /* what was set, by its number - 1 */
    const struct attempt *by;
    uint32_t channel, key;
} key_value;

typedef struct scene { /* what all share */
    ln_simnet *net;
    history *h;
    const plan *plan;
    struct law *law;
    calls *calls;
    mood mood;
    char lives[LIVES][17]; /* names of nodes, each run of one has another */
    uint32_t life_count;
    const struct stranger *strangers; /* who are members, too, and nobody knows their names */
    uint32_t stranger_count;
    uint32_t node_lives[2]; /* which run of each node this is; LIVES: it is not there */
    bool soft[LIVES];       /* it is being drained, and nothing else keeps clients from closing */
    uint32_t history_least; /* publications that every channel kept, all the time */
    uint32_t sessions;      /* so many have been begun */
    uint64_t put_off; /* publications that nodes say they have put off, when they have ended */
    key_value *values;
    uint32_t value_count;
    uint64_t events; /* what clients, programs and backends have said and heard */
    uint64_t did[PLAN_DEED_COUNT];
} scene;

static inline void did(scene *s, int deed) {
    s->did[deed]++;
}

typedef enum talk { /* a connection in one channel */
    OUT,
    ASKED, /* subscribe is under way */
    IN,
    PARTING /* unsubscribe is under way */
} talk;

typedef enum request {
    ASK_NOTHING,
    ASK_SUBSCRIBE,
    ASK_UNSUBSCRIBE,
    ASK_PUBLISH,
    ASK_PING,
    ASK_HISTORY,
    ASK_LOGIN, /* auth and refresh */
    ASK_SET,
    ASK_UNSET,
    ASK_TYPING,
    ASK_INFO,
    ASK_MEMBERS,
    ASK_RETURN /* auth with a ticket; value: it is spoiled */
} request;

typedef struct asked {
    request what;
    uint32_t id, channel, key;
    uint32_t seq;        /* of a publication; 0: none */
    uint32_t value, ttl; /* of a key */
    ln_msec at;
    uint64_t until; /* of a token that came with it, in seconds since 1970 */
    uint32_t claims;
    bool token;
    bool claimed; /* its own token allowed it when it was said */
    bool stale;   /* its grant is for who it was before it showed a token */
} asked;

typedef struct held { /* a key that is one's own */
    uint32_t value;
    ln_msec until; /* 0: as long as one is there */
} held;

#define PLACE_BEFORE 3

typedef struct place { /* a connection in one channel */
    history_seat seat;
    history_seat from; /* where it stood when it asked to be let in */
    ln_msec from_at;
    talk talk;
    bool named; /* it came back with this channel */
    ln_msec named_at;
    bool watches;  /* hears who comes and goes */
    bool banned;   /* its token does not allow this any more */
    bool expelled; /* the program has put it out, perhaps */
    /* Seconds since 1970: */
    uint64_t until; /* it was let in by a token for this channel and nothing else; 0: not so */
    uint64_t lent;  /* it has shown one; 0: it has not */
    crowd crowd;
    keys keys;
    held held[CROWD_KEYS];
    uint32_t info, info_asked; /* what others may know of it */
    /* Or one of these still: who comes back soon has never been away. */
    uint32_t info_before[PLACE_BEFORE];
} place;

typedef struct attempt { /* one dial, and the connection it became; kept until the end */
    struct attempt *older;
    struct client *client;
    linnet_conn *conn;
    linnet_conn_id id;
    uint32_t session, life, node, requests, asked_count;
    uint32_t chain; /* the first session of those that it continues */
    enum { DIALING, OPEN, OVER } state;
    bool welcomed, paused, rude, goaway, kicked;
    bool regrets;     /* it called its dial back, which may have come about before */
    bool going;       /* it closes: it hears nothing more but the code */
    bool wants_token; /* nothing is heeded before one came */
    bool logging_in;
    bool bin;                   /* it takes bytes as they are */
    bool binary;                /* what it hears came so */
    bool returning;             /* with a ticket, and has no answer yet */
    identity identity, offered; /* offered: with the handshake */
    char name[20], id_name[33]; /* as the server calls it, and its session */
    place places[SEATS];
    asked asked[CLIENT_ASKED];
    owed owed[CALLS_OWED];
    char *rest; /* of a message that goes out in fragments */
    size_t rest_size, rest_at;
} attempt;

typedef struct client {
    scene *scene;
    linnet_loop *loop;
    linnet_timer *timer;
    attempt *now;     /* NULL: between two */
    attempt *history; /* all */
    uint32_t number, user, tries;
    uint32_t wanted;          /* channels to be in when calm, as bits */
    history_seat seen[SEATS]; /* where it stood last */
    ln_msec seen_at[SEATS];
    way_back back, fresh; /* fresh: of who is coming back, if it may not */
    char grants[SEATS][BACK_GRANT];
    bool granted_known[SEATS]; /* they are for somebody, and not for nobody */
    uint64_t lent[SEATS];      /* of the last connection that was there */
    uint32_t in;               /* the channels that it was in, as bits */
    numbers numbers;
} client;

#define CLIENT_PORT 7001 /* of node 0; the next one is node 1's */

void client_start(client *c, scene *s, linnet_loop *loop, uint32_t number);
/* Connected, in the channels it wants and no other, nothing unanswered, nothing missing. */
bool client_settled(const client *c);
/* What is not so, for people. */
void client_describe(const client *c, char *out, size_t size);
/* In its loop's thread: publishes to a channel it wants. */
void client_speak(void *c);
/* Looks at its mood now and not at its next tick. In its loop's thread. */
void client_nudge(void *c);
/* When its loop is gone. */
void client_end(client *c);
/* When the plan says so: what was said or heard. */
void client_trace(const attempt *a, const char *what, ln_slice text);
/* Which run of which node calls itself so. */
uint32_t client_life(scene *s, ln_slice name);
__attribute__((format(printf, 3, 4))) void client_anomaly(
    const client *c, const char *name, const char *format, ...);

/* say.c --------------------------------------------------------------------------------------- */

/* Channels are c0 to c3, which are free; g:4 and g:5, for which a token has to say so; r:6 and r:7,
 * whose rules change; and `@user`. The name of seat `i` of a client, or of a program (user 0). */
ln_slice channel_name(uint32_t i, uint32_t user, char out[16]);
/* The seat of a name, as this user sees it; SEATS: there is none. */
uint32_t channel_seat(ln_slice name, uint32_t user);

/* What publication `key` carries: its key, then letters of one or two bytes; or, changed, what a
 * backend has made of it. The size. */
size_t client_payload(uint32_t key, uint32_t max, char *out);
#define CLIENT_PAYLOAD (128 * 1024)
size_t client_changed(uint32_t key, char *out);
/* The bytes of one that is no JSON, and what they are for who speaks JSON; CLIENT_BYTES at most. */
size_t client_bytes(uint32_t key, uint8_t *out);
#define CLIENT_BYTES 512
size_t client_base64(uint32_t key, char *out);
/* Whichever it is of these. */
size_t client_data(const scene *s, uint32_t key, char *out);
uint32_t client_key(const ln_json_value *data); /* 0: none */

bool client_may_ask(const attempt *a);
void say_text(attempt *a, const char *text, size_t size);
void say_join(attempt *a, uint32_t seat);
void say_part(attempt *a, uint32_t seat);
void say_history(attempt *a, uint32_t seat);
void say_ping(attempt *a);
void say_publish(attempt *a, uint32_t seat, bool fancy);
void say_batch(attempt *a);
void say_on(attempt *a); /* more of a message in fragments */
void say_login(attempt *a);
asked *say_ask(attempt *a, request what, uint32_t seat);
/* Another publication, by its request, and the command for it. */
asked *say_publication(attempt *a, uint32_t seat, bool fancy, uint32_t seq);
void say_command(attempt *a, const asked *q);
void say_set(attempt *a, uint32_t seat);
void say_typing(attempt *a, uint32_t seat);
void say_info(attempt *a, uint32_t seat);
void say_members(attempt *a, uint32_t seat);

/* hear.c -------------------------------------------------------------------------------------- */

void client_hears(attempt *a, ln_slice text);
/* It is somebody, or somebody else. */
void hear_become(attempt *a, const identity *id);
/* It is not there any more. */
void hear_leave(attempt *a, uint32_t seat);
#endif
