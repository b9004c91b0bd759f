/* numbers.h -- publications with a `seq`: a client keeps each until it is answered, and sends it
 * again when its session has come back, in front of what is new. So it is in the log once, and
 * those of a chain stand there in their turn (history.h); and
 *
 *   out-of-turn   one was taken behind another that was not; or refused, and it was its turn
 *
 * A line is what one chain numbers at one run of a node. Where a session comes back elsewhere it
 * says nothing with a number.
 */
#ifndef SIM_NUMBERS_H
#define SIM_NUMBERS_H
#include "history.h"
#include "net/loop.h"

#define NUMBERS_KEPT 16

typedef struct numbered {
    uint32_t key, seat, seq;
    uint32_t id; /* of the request; 0: it is to be sent again */
    uint32_t sends;
} numbered;

typedef struct numbers {
    uint32_t chain, life;
    numbered box[NUMBERS_KEPT]; /* in the order in which they were said */
    uint32_t count;
    uint32_t done[HISTORY_CHANNELS];      /* the highest that was answered */
    ln_msec refused_at[HISTORY_CHANNELS]; /* since then a gap may be there */
} numbers;

struct attempt;
struct asked;

/* A chain begins. */
void numbers_begin(struct attempt *a);
/* Its connection has ended. */
void numbers_left(struct attempt *a);
/* False: there is something in the way. */
bool numbers_say(struct attempt *a, uint32_t seat);
void numbers_again(struct attempt *a);
void numbers_acked(struct attempt *a, const struct asked *q);
typedef enum numbers_refusal {
    NUMBERS_REFUSED, /* for good, and somebody else says whether that is right */
    NUMBERS_UNKNOWN, /* it is sent again; what became of it before nobody knows */
    NUMBERS_IN_TURN  /* it was not its turn, which is right */
} numbers_refusal;
numbers_refusal numbers_refused(struct attempt *a, const struct asked *q, uint64_t code);
/* All are answered that can be. */
bool numbers_settled(const struct attempt *a);
#endif
