/* program.h -- the program that hosts a node: it publishes and subscribes through <linnet/hub.h>,
 * from outside of the workers, as any thread may.
 */
#ifndef SIM_PROGRAM_H
#define SIM_PROGRAM_H
#include "client.h"
#include <linnet/hub.h>

typedef struct listener { /* one subscription; kept until its node has ended */
    struct listener *next;
    struct program *program;
    linnet_hub_subscription *sub; /* NULL: unsubscribed */
    history_seat seat;
    bool ended;
} listener;

typedef struct program {
    scene *scene;
    linnet_hub *hub;
    uint32_t life, session, number;
    listener *listeners;
    uint32_t last; /* key of what it published last */
} program;

void program_init(program *p, scene *s, linnet_hub *hub, uint32_t life, uint32_t number);
/* Something at random: publish, subscribe, unsubscribe. */
void program_act(program *p);
void program_publish(program *p, uint32_t channel);
/* What it published last is in the log, and its listeners have heard what clients have. */
bool program_settled(const program *p);
/* Its node has ended, so every subscription has too, once. */
void program_fini(program *p);
#endif
