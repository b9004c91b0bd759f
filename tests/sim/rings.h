/* rings.h -- a reader of 128 channels that loses its connection, misses a whole ring in each of
 * them, and comes back with 128 positions at once, over the same slow links as all. Only the
 * program says something there, and what it says is the offset it will have, so that this file can
 * judge for itself:
 *
 *   recovered is never a lie, and not denied: nobody misses more than a ring holds
 *   each offset comes once, in its order, first those that were missed
 *   in the end it has all of them
 */
#ifndef SIM_RINGS_H
#define SIM_RINGS_H
#include "client.h"
#include <linnet/hub.h>

#define RINGS 128

typedef struct rings {
    scene *scene;
    linnet_loop *loop;
    linnet_timer *timer;
    linnet_conn *conn;
    linnet_conn_id id;
    enum { RINGS_OUT, RINGS_DIALING, RINGS_IN } state;
    linnet_hub *hub; /* of the node; NULL: it is not there */
    uint32_t said;   /* in each channel */
    uint32_t cuts, joined, tries, code;
    uint64_t epochs[RINGS], offsets[RINGS], promised[RINGS];
    bool in[RINGS], asked[RINGS], welcomed;
} rings;

void rings_start(rings *r, scene *s, linnet_loop *loop);
/* The node it goes to begins, and ends. */
void rings_began(rings *r, linnet_hub *hub);
void rings_ended(rings *r);
/* From outside: lets the program speak while the reader is away. */
void rings_act(rings *r);
bool rings_settled(const rings *r);
void rings_describe(const rings *r, char *out, size_t size);
void rings_nudge(void *r);
void rings_end(rings *r);
#endif
