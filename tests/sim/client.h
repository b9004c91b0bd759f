/* client.h -- one of the simulation's clients: it dials, joins channels, talks, misbehaves a
 * little, loses its connection, and dials again after a seeded while. What it says and hears goes
 * to the history; what the library calls back, and when, it judges itself (I12).
 */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H
#include "base/json.h"
#include "history.h"
#include "lib/world.h"
#include "net/sim.h"
#include <linnet/client.h>

#define CLIENT_ASKED 48 /* requests under way on one connection */

typedef enum mood {
    WILD,   /* all of it */
    CALM,   /* stays connected and in its channels; speaks when told to */
    LEAVING /* closes and does not come back */
} mood;

typedef struct scene { /* what all clients share */
    ln_simnet *net;
    history *h;
    mood mood;
    char lives[16][17]; /* names of nodes, each run of one has another */
    uint32_t life_count;
    uint32_t payload_max;   /* bytes */
    uint32_t history_count; /* publications a channel keeps; 0: as ever */
    linnet_conn_limits limits;
    uint32_t sessions; /* so many have been begun */
    uint64_t opens, closes, fails, heard, rude, recovered, replayed, read;
} scene;

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
    ASK_HISTORY
} request;

typedef struct asked {
    request what;
    uint32_t id, channel, key;
} asked;

typedef struct attempt { /* one dial, and the connection it became; kept until the end */
    struct attempt *older;
    struct client *client;
    linnet_conn *conn;
    linnet_conn_id id;
    uint32_t session, life, requests, asked_count;
    enum { DIALING, OPEN, OVER } state;
    bool welcomed, paused, rude;
    history_seat seats[HISTORY_CHANNELS];
    talk talks[HISTORY_CHANNELS];
    asked asked[CLIENT_ASKED];
    char *rest; /* of a message that goes out in fragments */
    size_t rest_size, rest_at;
} attempt;

typedef struct client {
    scene *scene;
    linnet_loop *loop;
    linnet_timer *timer;
    attempt *now;                        /* NULL: between two */
    attempt *history;                    /* all */
    uint32_t number, tries, wanted;      /* wanted: channels to be in when calm, as bits */
    history_seat seen[HISTORY_CHANNELS]; /* where it stood last */
    ln_msec seen_at[HISTORY_CHANNELS];
} client;

/* What publication `key` carries: its key, then letters of one or two bytes. The size. */
size_t client_payload(uint32_t key, uint32_t max, char *out);
uint32_t client_key(const ln_json_value *data); /* 0: none */
#define CLIENT_PAYLOAD (128 * 1024)
/* Which run of which node calls itself so. */
uint32_t client_life(scene *s, ln_slice name);

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
#endif
