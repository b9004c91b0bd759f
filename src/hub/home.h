/* home.h -- the single writer of a channel, on worker hash(channel) % N.
 *
 * It knows which workers are interested and keeps the cursor, the place of the last publication
 * it has mailed to them. All that arrives for the channel (answers to publications, what other
 * nodes published, pages read again) passes one function: cursor + 1 is mailed; cursor or less was
 * mailed already and is dropped; more means a gap, which is read from the log first while the
 * later ones wait. What cannot be filled, because too many wait or the log has forgotten it, is
 * passed over: the workers see that an offset is missing, and tell their subscribers that the
 * channel starts anew.
 *
 * What is read from the log for others is cut at the cursor, for behind it the mail brings it. A
 * reader that will come back for the next page pins what it has not read yet, for at most
 * LN_HOME_PIN_MS; its home lives as long.
 *
 *    OPENING ──log is there──> OPEN
 *
 * While OPENING the letters queue here in their order. A home nobody is interested in lives on for
 * LN_HOME_LINGER_MS, so that a channel that is only published to has not to be opened each time.
 */
#ifndef LN_HUB_HOME_H
#define LN_HUB_HOME_H
#include "base/list.h"
#include "base/map.h"
#include "base/stat.h"
#include "hub/broker.h"
#include "hub/dedup.h"
#include "hub/mail.h"
#include "hub/seq.h"

#define LN_HOME_LINGER_MS 10000
#define LN_HOME_LATER_MAX 1024 /* publications that wait for a gap to be filled */
#define LN_HOME_IDLE_MAX  4096 /* homes that linger */
#define LN_HOME_GAP_PAGE  64   /* publications read at once to fill a gap */
#define LN_HOME_PIN_MS    30000

typedef enum ln_home_state { LN_HOME_OPENING, LN_HOME_OPEN } ln_home_state;

typedef struct ln_home {
    ln_list idle; /* linked while nobody is interested and nothing is pending */
    ln_msec idle_since;
    ln_log_handle *log; /* NULL in class live */
    ln_position cursor;
    ln_letter *waiting;     /* while OPENING; READ, while `reading`: a ring, and this its last */
    ln_publication **later; /* by offset, for a gap; one reference each */
    uint16_t later_count, later_capacity;
    uint32_t pending;   /* publications and reads the broker has not answered */
    ln_reading *reader; /* whose answer is awaited; NULL: a gap's, if `reading` */
    uint32_t pins;      /* readings that have pinned something */
    uint8_t state;      /* ln_home_state */
    uint8_t class;      /* ln_class */
    bool reading;       /* the broker is asked, or its answer is being taken */
    uint8_t name_size;
    uint8_t space;         /* ln_space */
    uint8_t words;         /* of the next */
    uint64_t interested[]; /* workers, one bit each; behind them the name */
} ln_home;

static inline ln_slice ln_home_name(const ln_home *home) {
    return ln_slice_of(home->interested + home->words, home->name_size);
}
bool ln_home_occupied(const ln_home *home);

/* The homes of one worker. Everything is hub.c's to fill before ln_homes_init. */
typedef struct ln_homes {
    ln_map map[LN_SPACES];
    ln_list idle;
    ln_list pins; /* readings, by time */
    ln_dedup dedup;
    ln_seqs seqs;
    uint32_t idle_count;
    uint32_t self, workers;
    ln_namespaces *namespaces; /* of the protocol's channels; a reference */
    ln_broker *broker;
    void *ctx;
    /* Takes the letter to its worker; what is for our own is taken in before it returns. */
    void (*post)(void *ctx, uint32_t worker, ln_letter *letter);
    /* Of protocol's channels: the first worker is interested, or the last one no more. */
    void (*occupied)(void *ctx, ln_slice channel, bool occupied);
    /* Each that has its place, or needs none, before it is mailed. NULL: nobody looks. */
    void (*seen)(void *ctx, const ln_publication *p);
    void *seen_ctx;
    ln_msec now;
    uint64_t wall;
    ln_stat count, published, refused, mailed, dropped, gaps, resets, reads, lapsed, repeated;
} ln_homes;

/* max: homes at most in each space. */
void ln_homes_init(ln_homes *h, ln_map_key key, uint32_t max);
/* Closes all; letters that wait are discarded. */
void ln_homes_fini(ln_homes *h);
/* PUBLISH, INTEREST, DISINTEREST, LEAVE, READ or UNREAD; taken. Never fails: failures are answered.
 */
void ln_homes_mail(ln_homes *h, ln_letter *letter);
/* Other namespaces, of which it takes a reference. Channels that are open keep as much as theirs
 * says at once; whether they have a log is for when they are next opened. */
void ln_homes_reload(ln_homes *h, ln_namespaces *namespaces);
/* The home of a channel, which is opened if need be; good until the next call. LINNET_ERR_AGAIN: it
 * is not open yet; LINNET_ERR_NOMEM, LINNET_ERR_LIMIT. */
int ln_homes_open(ln_homes *h, ln_slice channel, ln_home **out);
/* What is kept of a channel is taken away; *at: where it stands. Who is in it is told, and who
 * stands before that place and comes back does not recover. LINNET_ERR_UNSUPPORTED: there is no
 * log, or one that cannot; LINNET_ERR_AGAIN: it is not open yet; LINNET_ERR_NOMEM,
 * LINNET_ERR_LIMIT. */
int ln_homes_clear(ln_homes *h, ln_slice channel, ln_position *at);
/* One publication is taken back: its place stays, without what was said and who said it. at->epoch
 * 0: in whichever epoch; it is filled. LINNET_ERR_NOT_FOUND: it is not kept (any more); as above.
 */
int ln_homes_retract(ln_homes *h, ln_slice channel, ln_position *at);
/* All that a user has published is taken back, wherever it is kept here: about so many publications
 * and logs are looked at, from *at on, which begins as 0 and is 0 again at the end. Returns how
 * much was taken back; *err: not LINNET_OK when some of that is still there. */
uint32_t ln_homes_forget(ln_homes *h, ln_slice user, uint32_t *at, uint32_t steps, int *err);

/* A walk over the channels that are alive here: somebody is in them, or something is kept of them.
 * It begins with {0}, and things may happen between its steps: who is alive the whole time is seen,
 * perhaps more than once. */
typedef struct ln_homes_walk {
    uint32_t at;
    bool logs; /* the homes are done */
} ln_homes_walk;
/* So many steps, some ten nanoseconds each and more where there is somebody to be seen. False: that
 * was all. */
bool ln_homes_step(ln_homes *h, ln_homes_walk *w, uint32_t steps,
    void (*see)(void *ctx, ln_slice channel), void *ctx);
/* Where a channel stands whose home is here; epoch 0: it has no log, or nobody knows at once. */
ln_position ln_homes_look(const ln_homes *h, ln_slice channel);
void ln_homes_tick(ln_homes *h);
ln_msec ln_homes_deadline(const ln_homes *h);

/* Late answers of the broker; the publications are taken. */
void ln_homes_opened(ln_homes *h, ln_slice channel, int err, ln_position head);
void ln_homes_published(ln_homes *h, ln_publication *p, int err, ln_position at);
void ln_homes_arrived(ln_homes *h, ln_publication *p); /* p->at is filled */
void ln_homes_page(ln_homes *h, ln_slice channel, int err, ln_page *page);
#endif
