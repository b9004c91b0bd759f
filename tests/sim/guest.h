/* guest.h -- the other half of the library in the simulation: a route of the host's own, with its
 * callbacks, deferred upgrades, raw topics, and messages and closes by id from another thread; and
 * clients that hold it to what the headers promise:
 *
 *   an echo comes once, in its order; so does what was sent by id
 *   a topic's subscriber hears every publisher in its order, without a hole while it is connected
 *   each open has one close, and nothing follows (I12); who was accepted later is opened, or handed
 *   to on_abandon, but not both and not neither
 */
#ifndef SIM_GUEST_H
#define SIM_GUEST_H
#include "client.h"
#include <linnet/server.h>

#define GUEST_TOPICS 3
#define GUEST_NAMES  4096 /* sessions of one run */

typedef enum visit_state { ASKS, ACCEPTED, INSIDE, GONE } visit_state;

typedef struct visit { /* the server's side of one connection; kept until the end */
    struct visit *next;
    struct house *house;
    linnet_conn *conn;
    linnet_conn_id id;
    uint32_t sent; /* by id */
    visit_state state;
} visit;

typedef struct house { /* the host's part of one node */
    scene *scene;
    linnet_server *server;
    visit *visits;
} house;

typedef struct guest { /* a client */
    scene *scene;
    linnet_loop *loop;
    linnet_timer *timer;
    linnet_conn *conn;
    linnet_conn_id id;
    enum { GUEST_OUT, GUEST_DIALS, GUEST_IN } state;
    uint32_t number, session, said, echoed, by_id, tries;
    uint32_t published[GUEST_TOPICS];
    bool asked[GUEST_TOPICS];      /* for the topic */
    uint32_t *heard[GUEST_TOPICS]; /* from each session: number of the last */
} guest;

/* Declares /guests on a server that has not started. */
int house_open(house *h, scene *s, linnet_server *server);
/* From outside: answers one who waits, or says something by id. */
void house_act(house *h);
/* The server has been freed. */
void house_close(house *h);

void guest_start(guest *g, scene *s, linnet_loop *loop, uint32_t number);
bool guest_settled(const guest *g); /* connected, and all echoes are there */
void guest_nudge(void *g);
void guest_end(guest *g);
#endif
