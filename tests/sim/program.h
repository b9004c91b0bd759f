/* program.h -- the program that hosts a node: it publishes and subscribes through <linnet/hub.h>,
 * from outside of the workers, as any thread may. It also says things again with the same key
 * (I10), hears who comes and goes (I11), and puts clients out.
 */
#ifndef SIM_PROGRAM_H
#define SIM_PROGRAM_H
#include "client.h"
#include <linnet/hub.h>

#define PROGRAM_KEYED 16 /* publications that it may say again */

typedef struct listener { /* one subscription; kept until its node has ended */
    struct listener *next;
    struct program *program;
    linnet_hub_subscription *sub; /* NULL: unsubscribed */
    history_seat seat;
    bool ended;
} listener;

typedef struct keyed { /* a publication with a key */
    uint32_t key, channel;
    ln_msec at;
} keyed;

typedef struct program {
    scene *scene;
    linnet_hub *hub;
    client *clients; /* of all nodes */
    uint32_t client_count;
    uint32_t life, session, number;
    listener *listeners;
    uint32_t last; /* key of what it published last */
    keyed keyed[PROGRAM_KEYED];
    uint32_t keyed_count, waits;
    crowd crowds[HISTORY_CHANNELS];
} program;

/* Before the hub has a server. */
void program_init(program *p, scene *s, linnet_hub *hub, uint32_t number);
void program_began(program *p, uint32_t life, client *clients, uint32_t count);
/* Something at random: publish, subscribe, unsubscribe, and so on. */
void program_act(program *p);
void program_publish(program *p, uint32_t channel);
/* What it published last is in the log, and its listeners have heard what clients have. */
bool program_settled(const program *p);
/* Its node has ended, so every subscription has too, once. */
void program_fini(program *p);
#endif
