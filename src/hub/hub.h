/* hub.h -- who gets which message, on one worker.
 *
 * Each worker has a hub; together they are one. A hub has two halves that talk by mail only:
 * the channels its own subscribers are in (channel.h), and the homes that fall to this worker
 * (home.h), which may serve subscribers anywhere. No socket, no thread and no clock: `now` is told
 * at the start of each turn, mail leaves through ops->post and comes in through ln_hub_mail, and
 * the next deadline is a question.
 *
 * A publish is a letter to the channel's home, also when that is here, so that order is the same
 * for all: the worker drains its own mail in the same turn. Callbacks of users come only from
 * ln_hub_mail, ln_hub_tick and the late answers of a broker, never from inside subscribe,
 * unsubscribe, leave or publish.
 */
#ifndef LN_HUB_HUB_H
#define LN_HUB_HUB_H
#include "base/clock.h"
#include "base/hist.h"
#include "base/map.h"
#include "hub/batch.h"
#include "hub/channel.h"
#include "hub/home.h"
#include "hub/lease.h"
#include "hub/state.h"

/* What becomes of channels whose home is here, for the host. Any may be NULL. */
typedef struct ln_hub_events {
    void *ctx;
    /* Somebody is in a channel now, and nobody was; or the other way round. */
    void (*occupied)(void *ctx, ln_slice channel, bool occupied);
    /* Who came and went; packed as in presence.h. < 0: it will be told again. */
    int (*presence)(void *ctx, ln_slice channel, ln_slice packed);
} ln_hub_events;

#define LN_HUB_TIMED 16 /* publications of a turn; the others are not timed */

typedef struct ln_hub {
    ln_homes homes;
    ln_presences presences;
    ln_states states;
    ln_hub_events events;
    uint64_t places; /* entered so far from here */
    ln_map channels[LN_SPACES];
    ln_caps caps; /* of names whose home is here */
    ln_leases leases;
    ln_list batches; /* held back here, the first that is due in front */
    ln_map_key key;
    ln_hub_user users[LN_USERS_MAX];
    void *ctx;
    void (*post)(void *ctx, uint32_t worker, ln_letter *letter);
    uint32_t self, workers;
    uint32_t channel_ids; /* the last one given */
    ln_stat channel_count, subscriptions, publishes, deliveries, strays;
    /* Microseconds of any clock that all hubs of a node share, for the histogram; NULL: none is
     * kept. Set right after ln_hub_new. One publication in eight is timed. */
    uint64_t (*clock_us)(void);
    ln_hist latency; /* from publish until a worker has queued it for all its subscribers */
    ln_hist socket;  /* and until the sockets have it: ln_hub_flushed */
    uint32_t timed[LN_HUB_TIMED], timed_count; /* since the last of those */
} ln_hub;

typedef struct ln_hub_options {
    uint32_t self, workers;    /* 0 .. workers-1, at most LN_WORKERS_MAX */
    uint32_t channels_max;     /* per space, in each half; 0: 1,000,000 */
    ln_namespaces *namespaces; /* takes a reference; NULL: one for all, which is
                                * recoverable when there is a broker, and live otherwise */
    ln_map_key key;            /* the same for all workers of a node */
    ln_broker *broker;         /* of this worker; taken on success. NULL when all is live */
    void *ctx;                 /* for post */
    /* Brings a letter to ln_hub_mail of another worker, or of this one: in the order posted, after
     * this call has returned. Never fails. letter->bytes says what it weighs. */
    void (*post)(void *ctx, uint32_t worker, ln_letter *letter);
} ln_hub_options;

/* LINNET_ERR_INVAL, LINNET_ERR_NOMEM. */
int ln_hub_new(const ln_hub_options *options, ln_hub **out);
/* All subscriptions are gone. Letters under way are the host's to discard (ln_mail_discard), after
 * all hubs of the node were freed or before, but not while one of them runs. */
void ln_hub_free(ln_hub *h);
/* Other namespaces; it takes a reference. See ln_homes_reload. LINNET_ERR_INVAL: one of them wants
 * a log, and there is no broker. */
int ln_hub_reload(ln_hub *h, ln_namespaces *namespaces);
/* Names who gets the callbacks of subscriptions and publications with this user number. */
void ln_hub_use(ln_hub *h, uint8_t user, const ln_hub_user *callbacks);

/* Once, before anything happens. */
void ln_hub_watch(ln_hub *h, const ln_hub_events *events);

/* Takes in one letter (the reader has read letter->next before). */
void ln_hub_mail(ln_hub *h, ln_letter *letter);
/* The time, once at the start of each turn; does what is due. wall_ms: since 1970. */
void ln_hub_tick(ln_hub *h, ln_msec now, uint64_t wall_ms);
/* What was delivered since the last time has been given to the sockets. */
void ln_hub_flushed(ln_hub *h);
/* When ln_hub_tick has something to do, or LN_NEVER. */
ln_msec ln_hub_deadline(const ln_hub *h);
static inline ln_msec ln_hub_now(const ln_hub *h) {
    return h->homes.now;
}
static inline uint64_t ln_hub_wall(const ln_hub *h) {
    return h->homes.wall;
}

/* Nowhere yet. target: what user's deliver works on. */
static inline void ln_subscription_init(ln_subscription *s, uint8_t user, void *target) {
    *s = (ln_subscription){ .user = user, .target = target };
}
/* Takes s, which is nowhere, into a channel.
 *   LN_DONE     joined; all after ln_subscription_at(s) will come
 *   LN_PENDING  user->subscribed will tell
 *   < 0         LINNET_ERR_INVAL, LINNET_ERR_DENIED (the name), LINNET_ERR_LIMIT, LINNET_ERR_NOMEM
 * That s's owner is in the channel already is for the owner to know; ln_hub_find helps. */
int ln_hub_subscribe(ln_hub *h, ln_subscription *s, ln_space space, ln_slice channel);
/* The same for one that was there before and has heard everything up to `from`; bytes: of the first
 * page, 0 to be asked for with ln_hub_more.
 *   LN_DONE     joined as above. Nothing was missed if ln_subscription_at(s) is `from`; otherwise
 *               nobody knows what was
 *   LN_PENDING  user->subscribed tells that it joined, which means the same; or user->replay that
 * it has recovered and is behind, or not any more. */
int ln_hub_recover(
    ln_hub *h, ln_subscription *s, ln_slice channel, ln_position from, uint32_t bytes);
/* For one that is behind, from user->replay on: asks for the next one, of so many bytes at
 * most (but one publication at least). user->replay, or user->lost or user->reset. */
void ln_hub_more(ln_hub *h, ln_subscription *s, uint32_t bytes);
/* From wherever it is, also when pending (then nothing is told any more). Nowhere is fine. */
void ln_hub_unsubscribe(ln_hub *h, ln_subscription *s);
/* The same for one that is in a channel, or pending, and does not catch up, but behind what this
 * worker has published there before: s stays until user->left tells (or user->subscribed, that it
 * could not join). note: at most 255 bytes for user->left, copied. LN_PENDING, or LINNET_ERR_NOMEM:
 * nothing has changed.
 */
int ln_hub_leave(ln_hub *h, ln_subscription *s, ln_slice note);
/* The channel if anybody here is in it or about to be, else NULL; to compare with s->channel. */
ln_channel *ln_hub_find(const ln_hub *h, ln_space space, ln_slice channel);
static inline ln_position ln_subscription_at(const ln_subscription *s) {
    return s->channel->at;
}
static inline bool ln_subscription_joined(const ln_subscription *s) {
    return s->state == LN_SUBSCRIPTION_SEATED;
}

/* Sends a publication to its home. It is made here and its name is checked. If it names somebody to
 * wait, one user->published follows. LINNET_ERR_INVAL, LINNET_ERR_DENIED, LINNET_ERR_NOMEM: nothing
 * happened. */
int ln_hub_publish(ln_hub *h, const ln_publish *what);
/* The same for one that was made before; taken. */
void ln_hub_publish_made(ln_hub *h, ln_publication *p);
typedef struct ln_read { /* all slices are borrowed for the call */
    ln_slice channel;
    ln_slice re;       /* as the user wants it back, at most LN_RE_MAX bytes */
    ln_position since; /* epoch 0: no matter which; then the oldest that is kept comes first */
    bool reverse;      /* newest first, from before `since`, or from the last one */
    uint32_t limit;    /* publications; more than LN_PAGE_MAX are never read */
    uint32_t bytes;    /* as ln_publication_cost counts; one always fits */
    uint64_t who;
    uint8_t user;
} ln_read;

/* Asks for a page of a channel's log; user->page answers, with LINNET_ERR_NOT_FOUND when what
 * follows `since` is not kept or there was another epoch, LINNET_ERR_UNSUPPORTED when there is no
 * log. LINNET_ERR_INVAL, LINNET_ERR_DENIED, LINNET_ERR_NOMEM: nothing happened. */
int ln_hub_read(ln_hub *h, const ln_read *what);
/* The same for a question that was made before, and whose name was checked; taken. */
void ln_hub_read_made(ln_hub *h, ln_reading *m);
/* The worker that is home of a channel, for threads that post a publication themselves:
 * letters[home] with room LN_LETTER_HUB and kind LN_MAIL_PUBLISH, prepared by ln_publication_post.
 */
uint32_t ln_hub_home(ln_map_key key, uint32_t workers, ln_slice channel);
/* Addresses a fresh publication to its home and returns the letter to post; it carries the
 * reference. */
ln_letter *ln_publication_post(ln_publication *p, uint32_t from, uint32_t home);

/* Asks the home of a's name to let one more in; a->told comes later, from ln_hub_mail. The letter
 * is taken. */
void ln_hub_admit(ln_hub *h, ln_admission *a);
/* One that was admitted has gone. Taken. */
void ln_hub_release(ln_hub *h, ln_admission *a);
/* Tells all other workers that m->who has m->chain from m->at on; copied. LINNET_ERR_NOMEM: nobody
 * was told. */
int ln_hub_take(ln_hub *h, const ln_taking *m);
/* attend.c: who is in a channel (presence.h) ------------------------------------------------ */

/* Fills m->owner, for one that is not to be a member, but may own keys (state.h); ln_hub_part as
 * below. */
void ln_hub_place(ln_hub *h, ln_place *m);
/* Makes a session a member of the channel: user->entered follows. m->owner is filled. */
void ln_hub_enter(ln_hub *h, ln_place *m);
/* It is none any more; m is taken. Also while `entered` has not come, which then will not. */
void ln_hub_part(ln_hub *h, ln_place *m, bool lost);
/* Taken; user->queried will tell. m->what, user, who and so on are filled. */
void ln_hub_query(ln_hub *h, ln_inquiry *m);
/* Whether the channel is one whose members are kept. */
bool ln_hub_presence(const ln_hub *h, ln_slice channel);
/* Of hub.c: a letter for attend.c; and at the start. */
void ln_hub_attend(ln_hub *h, ln_letter *letter);
void ln_hub_attend_init(ln_hub *h, uint32_t max);

/* Late answers of the broker (broker.h). */
static inline void ln_hub_log_opened(ln_hub *h, ln_slice channel, int err, ln_position head) {
    ln_homes_opened(&h->homes, channel, err, head);
}
static inline void ln_hub_log_published(ln_hub *h, ln_publication *p, int err, ln_position at) {
    ln_homes_published(&h->homes, p, err, at);
}
static inline void ln_hub_log_arrived(ln_hub *h, ln_publication *p) {
    ln_homes_arrived(&h->homes, p);
}
static inline void ln_hub_log_page(ln_hub *h, ln_slice channel, int err, ln_page *page) {
    ln_homes_page(&h->homes, channel, err, page);
}
#endif
