/* broker.h -- who owns the logs of channels: epoch, offsets, history.
 *
 * A home (home.h) is the only writer of its channel in this process; the broker behind it says
 * which offset a publication got, and keeps what can be read again. One broker per worker, for
 * the channels whose home is there, so nothing here is shared between threads.
 *
 * Each function answers at once (LN_DONE, or < 0) or later (LN_PENDING, and then exactly one of
 * the ln_hub_log_* functions of hub.h). Late answers name the channel, not an object, because the
 * home may be gone by then.
 */
#ifndef LN_HUB_BROKER_H
#define LN_HUB_BROKER_H
#include "base/clock.h"
#include "hub/message.h"
#include "hub/namespace.h"

typedef struct ln_broker ln_broker;
typedef struct ln_log_handle ln_log_handle; /* the broker's, one per open channel */

#define LN_PAGE_MAX 1000
typedef struct ln_page { /* of a log, without holes: oldest first, or newest first if so asked */
    uint64_t epoch;
    uint32_t count;
    ln_publication *items[LN_PAGE_MAX]; /* one reference each, the receiver's */
} ln_page;

typedef struct ln_span { /* what is to be read */
    uint64_t since;      /* what follows this offset; reverse: what stands before it */
    uint32_t limit;      /* publications, at most LN_PAGE_MAX; 0: only whether it is kept */
    uint32_t bytes;      /* at most, as ln_publication_cost counts; but one always fits */
    bool reverse;
    bool any; /* what is still kept of it will do */
} ln_span;

typedef struct ln_broker_ops {
    /* Finds the log, or begins one; from now on it keeps so much (copied). *handle is good until
     * close, also when the answer is LN_PENDING. *head: epoch, and the offset of the last
     * publication. */
    int (*open)(ln_broker *b, ln_slice channel, const ln_retention *keep, ln_log_handle **handle,
        ln_position *head);
    /* Appends; keeps references of its own. *at: the place it got. LN_PENDING: the caller's
     * reference goes along, and comes back with the answer. < 0: it is not in the log. */
    int (*publish)(ln_broker *b, ln_log_handle *log, ln_publication *p, ln_position *at);
    /* LINNET_ERR_NOT_FOUND: of what follows `since` the first is no longer kept, or `since` is
     * behind the head (which a reader of what is before it, or of any, may ask for). */
    int (*read)(ln_broker *b, ln_log_handle *log, const ln_span *span, ln_page *page);
    /* What follows offset `since`, which is kept, stays beyond its retention, within what the
     * broker has for it (a read says what has become of it), until it is unpinned as often.
     * LINNET_ERR_NOT_FOUND, LINNET_ERR_LIMIT. */
    int (*pin)(ln_broker *b, ln_log_handle *log, uint64_t since);
    void (*unpin)(ln_broker *b, ln_log_handle *log, uint64_t since);
    /* The home is not interested any more; the log may live on. */
    void (*close)(ln_broker *b, ln_log_handle *log);
    /* From now on it keeps so much (copied), or what it kept when there is no memory for that.
     * NULL: so it does when it is next opened. */
    void (*keep)(ln_broker *b, ln_log_handle *log, const ln_retention *keep);
    /* Puts something else in the place of a publication that is kept; takes the reference.
     * LINNET_ERR_NOT_FOUND: it is not kept, and nothing is taken. NULL: it cannot. */
    int (*replace)(ln_broker *b, ln_log_handle *log, uint64_t offset, ln_publication *instead);
    /* Drops all that is kept; the head stays, so that who stands before it is told. NULL: it
     * cannot. */
    void (*clear)(ln_broker *b, ln_log_handle *log);
    /* One step of a walk over all that is kept in all of this worker's logs, open or not, as
     * ln_map_scan. Asks what is to stand in a publication's place (its reference is taken), or
     * NULL. NULL: it cannot. */
    void (*revise)(ln_broker *b, uint32_t *at,
        ln_publication *(*ask)(void *ctx, const ln_publication *p), void *ctx);
    /* One step of a walk over all that it has of this worker's logs, open or not, as ln_map_scan;
     * kept: publications in it. NULL: it cannot. */
    void (*walk)(ln_broker *b, uint32_t *at,
        void (*see)(void *ctx, ln_slice channel, uint32_t kept), void *ctx);
    /* What it knows of a log at once, open or not. False: it has none. NULL: it cannot. */
    bool (*look)(ln_broker *b, ln_slice channel, ln_position *head, uint32_t *kept);
    void (*tick)(ln_broker *b);              /* does what is due */
    ln_msec (*deadline)(const ln_broker *b); /* when to tick next, or LN_NEVER */
    void (*free)(ln_broker *b);              /* after all were closed */
} ln_broker_ops;

struct ln_broker {
    const ln_broker_ops *ops;
    ln_msec now; /* told by the hub at the start of each turn */
};
#endif
