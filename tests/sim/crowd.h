/* crowd.h -- what somebody believes of a channel from what he has heard: who is in it, and which
 * keys live there (I11).
 *
 *   presence-drift   one leaves who was not there, or comes who is there already, or is another
 *   state-drift      a key is somebody's who did not set it, or two have it
 *
 * Whether it is true shows when all is quiet: then it is the same as what those say who are there.
 */
#ifndef SIM_CROWD_H
#define SIM_CROWD_H
#include "base/json.h"
#include "history.h"
#include "hub/presence.h"

#define CROWD_KEYS 4 /* k0 to k3 */

typedef struct crowd_member {
    uint64_t ref;
    char client[20];
    uint32_t info; /* 0: none */
} crowd_member;

typedef struct crowd {
    crowd_member *members;
    uint32_t count, capacity;
    uint64_t changes, infos; /* heard so far */
} crowd;

/* "client 5" or the like, for words. */
typedef struct crowd_ear {
    history *h;
    const char *who;
    uint32_t number, channel;
} crowd_ear;

void crowd_clear(crowd *c);
void crowd_fini(crowd *c);
void crowd_joins(crowd *c, const crowd_ear *ear, const crowd_member *m);
void crowd_leaves(crowd *c, const crowd_ear *ear, const crowd_member *m);
/* The same from JSON: an array of members. */
void crowd_hears(crowd *c, const crowd_ear *ear, const ln_json_value *list, bool leaves);
bool crowd_has(const crowd *c, const crowd_member *m); /* by name, with this info */

typedef struct keys {
    struct {
        uint32_t value; /* 0: nobody has it */
        char client[20];
    } seen[CROWD_KEYS];
    uint32_t typists;
    char typing[32][20];
} keys;

/* Somebody has a key, with value 0 no more. */
void keys_hear(keys *k, const crowd_ear *ear, uint32_t key, uint32_t value, ln_slice client);
void keys_typing(keys *k, const crowd_ear *ear, ln_slice client, bool on);
#endif
