/* channel.h -- a channel as one worker sees it: who of its own subscribers gets what.
 *
 * Subscribers sit in rows, one row per renderer, so that fan-out renders once per row and then
 * walks a compact array that holds all it needs. A seat knows its subscription and the subscription
 * its seat: joining and leaving are O(1) (the last one takes the seat that fell free).
 *
 *    ASKING ──INTERESTED──> JOINED        (ln_channel_state)
 *
 *    ASKING  the letter is with the home; subscriptions wait, deliveries are dropped
 *    JOINED  subscribers join at `at`, which is what was delivered here last
 *
 * A subscription that catches up from the log (hub.h, ln_hub_recover) is in the channel without a
 * seat, until it has read all that was delivered here.
 *
 * While a fan-out walks the rows nothing moves: a seat that is left stays empty until the walk
 * ends, and who comes waits for its end.
 */
#ifndef LN_HUB_CHANNEL_H
#define LN_HUB_CHANNEL_H
#include "base/list.h"
#include "hub/mail.h"

#define LN_USERS_MAX 12 /* kinds of subscribers, see ln_hub_use */

typedef struct ln_channel ln_channel;
typedef struct ln_row ln_row;

/* There are very many of them, and nearly all have a seat: what only the others need is elsewhere.
 *
 *    NOWHERE ──> MOVING ──> SEATED        (ln_subscription_state)
 *       ^──────────┴───────────┘
 */
typedef enum ln_subscription_state {
    LN_SUBSCRIPTION_NOWHERE,
    LN_SUBSCRIPTION_MOVING, /* waits for its channel, or catches up */
    LN_SUBSCRIPTION_SEATED
} ln_subscription_state;

/* Lives in whoever subscribes; fields are the hub's to write. */
typedef struct ln_subscription {
    ln_channel *channel; /* NULL: nowhere */
    union {
        void *target;              /* NOWHERE: what fan-out works on; mostly a connection */
        struct ln_transit *moving; /* MOVING */
        ln_leave *leaving;         /* SEATED: under way; NULL: stays */
    };
    uint32_t seat;
    uint8_t state; /* ln_subscription_state */
    uint8_t user;  /* which row */
    uint8_t space; /* ln_space it was last taken to */
    uint8_t mark;  /* its owner's: nothing to the hub */
} ln_subscription;

typedef struct ln_transit {
    ln_list waiting; /* in channel->waiting */
    ln_subscription *sub;
    void *target;
    ln_leave *leaving;  /* as above */
    ln_reading *replay; /* of one that catches up, or will when it is in; else NULL */
} ln_transit;

typedef struct ln_seat {
    void *target; /* NULL: left during the walk */
    ln_subscription *sub;
} ln_seat;

struct ln_row {
    ln_row *next;
    ln_seat *seats;
    uint32_t count, capacity;
    uint32_t holes; /* empty seats, only during a walk */
    uint32_t owed;  /* the user's: how many of them must be looked at one by one */
    uint8_t user;
};

typedef enum ln_channel_state { LN_CHANNEL_ASKING, LN_CHANNEL_JOINED } ln_channel_state;

struct ln_channel {
    ln_interest *interest; /* ours while JOINED; the name lives in it */
    ln_row row;            /* the first; most channels have no other */
    ln_list waiting;
    ln_position at;       /* of the last publication delivered here */
    uint32_t subscribers; /* seated */
    uint32_t behind;      /* that catch up */
    uint32_t id;          /* no other channel of this hub has it (or had it not long ago) */
    uint8_t state;        /* ln_channel_state */
    uint8_t class;        /* ln_class, once joined */
    uint8_t space;        /* ln_space */
    uint8_t slow;         /* ln_slow, once joined */
    bool keyed;           /* keys live there, or did (state.h) */
    bool walking;
    bool pinned;            /* its hub works on it: not to be freed when it empties */
    uint16_t batch_ms;      /* once joined; 0: nothing is held back */
    struct ln_batch *batch; /* batch.h's; NULL: nothing is held now */
};

/* A page for a subscription that catches up. */
typedef struct ln_replay {
    bool first;    /* it is told by this that it has recovered: */
    uint64_t owed; /* so many publications are to come, those of this page included */
    uint64_t cut;  /* the last of them; what stands behind it was said while it caught up */
    uint32_t count;
    ln_publication *const *items; /* borrowed; the next ones of the channel, without a hole */
} ln_replay;

/* Who uses the hub of a worker: sessions of a dialect, raw topics, the hosting program. */
typedef struct ln_hub_user {
    void *ctx;
    /* One publication to all of a row. Seats with target NULL are skipped. May unsubscribe anyone.
     */
    void (*deliver)(void *ctx, ln_row *row, const ln_publication *p);
    /* A subscription that was LN_PENDING: joined, or not (err < 0, and it is nowhere again). */
    void (*subscribed)(void *ctx, ln_subscription *s, int err);
    /* The answer to a publication that named somebody to wait for it (p->who, p->re, p->at,
     * p->err). */
    void (*published)(void *ctx, const ln_publication *p);
    /* The channel began a new epoch: what was delivered may have a hole. The subscription was taken
     * out of the channel. */
    void (*reset)(void *ctx, ln_subscription *s, ln_slice channel);
    /* All that ln_hub_leave waited for was delivered, or will not be: the subscription is to be
     * taken out now, with ln_hub_unsubscribe. note: as given to ln_hub_leave. */
    void (*left)(void *ctx, ln_subscription *s, ln_slice note);
    /* What is no message (LN_PUB_ASIDE), to all of a row. NULL: it is nothing to them. */
    void (*aside)(void *ctx, ln_row *row, const ln_publication *p);
    /* An answer to ln_hub_enter, unless ln_hub_part came before it. m->err < 0: it is no member,
     * and m is the keeper's to free; else he keeps m until ln_hub_part. */
    void (*entered)(void *ctx, ln_place *m);
    /* An answer to ln_hub_query; what m->page holds may be taken. */
    void (*queried)(void *ctx, ln_inquiry *m);
    /* The answer to ln_hub_read; borrowed. */
    void (*page)(void *ctx, const ln_reading *m);
    /* What ln_hub_recover and ln_hub_more asked for. The subscription is behind until it has a seat
     * (ln_subscription_joined), which it gets with the last page, before this call. */
    void (*replay)(void *ctx, ln_subscription *s, const ln_replay *page);
    /* What it was still owed is gone. The subscription was taken out of the channel. */
    void (*lost)(void *ctx, ln_subscription *s);
    /* Several of one channel at once, in their order; count at least 2. NULL: deliver, for each. */
    void (*batch)(void *ctx, ln_row *row, ln_publication *const *items, uint32_t count);
    /* What ln_hub_take was called with, on whatever worker; borrowed. */
    void (*taken)(void *ctx, const struct ln_taking *m);
} ln_hub_user;

/* What fan-out works on. */
void *ln_subscription_target(const ln_subscription *s);
/* From NOWHERE to MOVING, where it is in no list yet. LINNET_ERR_NOMEM. */
int ln_subscription_move(ln_subscription *s);
/* From MOVING back to NOWHERE; it reads nothing. */
void ln_subscription_halt(ln_subscription *s);
static inline ln_leave *ln_subscription_leaving(const ln_subscription *s) {
    if (s->state == LN_SUBSCRIPTION_SEATED) return s->leaving;
    return s->state == LN_SUBSCRIPTION_MOVING ? s->moving->leaving : NULL;
}
static inline ln_reading *ln_subscription_replay(const ln_subscription *s) {
    return s->state == LN_SUBSCRIPTION_MOVING ? s->moving->replay : NULL;
}
/* m NULL: it stays after all, and nobody will call user->left. Not of one that is nowhere. */
void ln_subscription_leave(ln_subscription *s, ln_leave *m);
static inline void ln_subscription_stay(ln_subscription *s) {
    if (ln_subscription_leaving(s)) ln_subscription_leave(s, NULL);
}

static inline ln_slice ln_channel_name(const ln_channel *c) {
    return ln_slice_of(c->interest->name, c->interest->name_size);
}

/* With its interest, ASKING. NULL without memory. */
ln_channel *ln_channel_new(ln_space space, ln_slice name);
/* Nobody sits or waits. The interest is the caller's. */
void ln_channel_free(ln_channel *c);
/* Gives s a seat, which does not wait and reads nothing, and the channel is not walking.
 * LINNET_ERR_NOMEM: it is where it was. */
int ln_channel_seat(ln_channel *c, ln_subscription *s);
/* The row of one that has a seat. */
static inline ln_row *ln_channel_row(ln_channel *c, const ln_subscription *s) {
    ln_row *row = &c->row;
    while (row->user != s->user)
        row = row->next;
    return row;
}
void ln_channel_unseat(ln_channel *c, ln_subscription *s);
/* Walks all rows. Afterwards somebody may wait for a seat, and the channel may be empty. */
void ln_channel_deliver(ln_channel *c, const ln_hub_user *users, const ln_publication *p);
/* The same with several, none of which is LN_PUB_ASIDE. */
void ln_channel_deliver_all(
    ln_channel *c, const ln_hub_user *users, ln_publication *const *items, uint32_t count);
/* Closes the seats that were left during a walk of one's own (`walking` was set). */
void ln_channel_mend(ln_channel *c);
static inline bool ln_channel_empty(const ln_channel *c) {
    return c->subscribers == 0 && c->behind == 0 && ln_list_empty(&c->waiting);
}

/* Whether a channel may be called so: LINNET_OK, LINNET_ERR_INVAL for bytes or length that are not
 * allowed, LINNET_ERR_DENIED for names that are reserved. */
int ln_channel_name_check(ln_space space, ln_slice name);
#endif
