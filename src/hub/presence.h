/* presence.h -- who is in a channel, kept where the channel has its home.
 *
 * A member is a session, known by its chain: the id that it keeps when it comes back on another
 * connection. Who holds it now is its owner, a number of its own for each time that it enters; what
 * an earlier owner says about it counts no more. A clean leave shows at once, a lost connection
 * only when linger_ms have passed, and who is back by then has never been away.
 *
 *                 enter                        leave, or lost for linger_ms
 *     (nobody) ──────────> here ──lost──> here, without owner ─────────────> gone
 *                            ^────enter────────┘
 *
 * Changes are gathered for LN_PRESENCE_WINDOW_MS and told as one diff. Of each member it is known
 * what was told of it last, and only the difference is owed: a join and a leave in one window are
 * nothing, and for every listener the joins and leaves of a member alternate. A page for somebody
 * who is going to hear the diffs lists what has been told, so that the two fit together without a
 * gap and without a repetition. While nobody listens nothing is owed.
 *
 * Counts are kept, not counted. No clock (now is told), no mail: diffs leave through `tell`.
 */
#ifndef LN_HUB_PRESENCE_H
#define LN_HUB_PRESENCE_H
#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/stat.h"
#include "hub/message.h"

#define LN_CHAIN                16
#define LN_PRESENCE_WINDOW_MS   100
#define LN_PRESENCE_LINGER_MS   5000
#define LN_PRESENCE_INFO_MAX    4096
#define LN_PRESENCE_PAGE_MAX    1000         /* members on a page, and changes in a diff */
#define LN_PRESENCE_PAGE_BYTES  (128 * 1024) /* packed: what a connection's queue bears */
#define LN_PRESENCE_MEMBERS_MAX 1000000      /* in a channel */
#define LN_PRESENCE_BYTES_MAX   (UINT64_C(256) * 1024 * 1024) /* of members, on one worker */

typedef struct ln_arrival { /* borrowed for the call */
    uint8_t chain[LN_CHAIN];
    uint64_t owner;        /* one of its own for each place (mail.h); not 0 */
    ln_slice client, user; /* at most LN_CLIENT_NAME_MAX bytes; user empty: unknown */
    ln_slice info;         /* JSON, or empty; at most LN_PRESENCE_INFO_MAX bytes */
} ln_arrival;

/* One entry of a page or diff, as packed by presence.c. */
typedef struct ln_attendee {
    uint64_t ref; /* of this stay in the channel; below 2^53, larger than those before it */
    bool left;    /* else it has joined; one that is there already has another info now */
    ln_slice client, user, info;
} ln_attendee;
/* Takes the next one from the front of *packed; false at the end. The slices point into it. */
bool ln_attendee_next(ln_slice *packed, ln_attendee *out);

typedef struct ln_presence { /* of one channel */
    ln_list window;          /* in presences->windows while something is owed */
    ln_msec due;
    ln_list changed;                 /* members of whom something is owed */
    struct ln_presence_slot *slots;  /* members by ref, with holes */
    struct ln_presence_index *index; /* NULL: they are few, and looked through */
    uint32_t slot_count, slot_capacity, holes;
    uint32_t here, users;
    uint32_t listeners;                              /* bits set in the next */
    uint64_t interested[(LN_WORKERS_MAX + 64) / 64]; /* workers that hear the diffs */
    uint8_t name_size;
    uint8_t name[];
} ln_presence;

typedef struct ln_presences { /* of the homes on one worker */
    ln_map map;
    ln_map_key key;
    ln_list windows, lost; /* each in the order in which it is due */
    ln_msec now;
    uint32_t linger_ms;
    uint64_t bytes, bytes_max;
    uint64_t last_ref;
    bool heard; /* `tell` wants the diffs of all channels, not of those with listeners only */
    void *ctx;
    /* packed is borrowed. < 0: it could not be told, and is tried again a window later. */
    int (*tell)(void *ctx, const ln_presence *p, ln_slice packed);
    ln_buf packed; /* of the moment */
    ln_stat channels, members, joins, leaves, diffs, refused;
} ln_presences;

static inline ln_slice ln_presence_name(const ln_presence *p) {
    return ln_slice_of(p->name, p->name_size);
}

/* max: channels at most. tell, ctx and heard are the caller's to fill. */
void ln_presences_init(ln_presences *ps, ln_map_key key, uint32_t max);
void ln_presences_fini(ln_presences *ps);

/* A session that is in the channel already has another owner from now on, and stays as it was.
 * LINNET_ERR_LIMIT, LINNET_ERR_NOMEM: it is no member. */
int ln_presences_enter(ln_presences *ps, ln_slice channel, const ln_arrival *a);
/* Nothing when owner does not hold it (any more). lost: the connection broke. */
void ln_presences_leave(
    ln_presences *ps, ln_slice channel, const uint8_t *chain, uint64_t owner, bool lost);
/* LINNET_ERR_NOT_FOUND: owner holds no member there; LINNET_ERR_LIMIT, LINNET_ERR_NOMEM: the old
 * info stays. */
int ln_presences_update(
    ln_presences *ps, ln_slice channel, const uint8_t *chain, uint64_t owner, ln_slice info);

/* A worker begins to hear the diffs of a channel. LINNET_ERR_LIMIT, LINNET_ERR_NOMEM. */
int ln_presences_listen(ln_presences *ps, ln_slice channel, uint32_t worker);
void ln_presences_unlisten(ln_presences *ps, ln_slice channel, uint32_t worker);

typedef struct ln_roll {     /* one page */
    uint64_t after;          /* begins behind this ref; 0: from the start */
    uint32_t limit;          /* members at most; 0: none, only counts */
    bool told;               /* as the listeners know it, else as it is */
    uint64_t next;           /* answer: there is more behind this ref; 0: that was all */
    uint32_t listed;         /* answer: members on the page */
    uint32_t members, users; /* answer: in the channel now; distinct users of those who have one */
} ln_roll;
/* Appends the page to out, packed: at most LN_PRESENCE_PAGE_MAX members, and bytes. A channel
 * without members is an empty page; without limit out may be NULL. LINNET_ERR_NOMEM,
 * LINNET_ERR_TOO_BIG: nothing was appended. */
int ln_presences_roll(const ln_presences *ps, ln_slice channel, ln_roll *roll, ln_buf *out);

/* Ends lingering, closes windows. */
void ln_presences_tick(ln_presences *ps, ln_msec now);
ln_msec ln_presences_deadline(const ln_presences *ps);
#endif
