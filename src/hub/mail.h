/* mail.h -- every kind of hub mail: who sends it, to whom, and who owns what it carries.
 *
 *   kind         from -> to         memory, and what becomes of it
 *   PUBLISH      publisher -> home  letters[home] of a publication; its one reference
 *   DELIVER      home -> worker     letters[worker]; one reference per worker
 *   ANSWER       home -> publisher  letters[worker]; one reference; err and at are filled
 *   DELIVER_ANSWER                  both in one, when the publisher's worker is interested
 *   INTEREST     worker -> home     an ln_interest; comes back as
 *   INTERESTED   home -> worker     the same memory, with err, at and class filled
 *   DISINTEREST  worker -> home     the same memory again; the home frees it
 *   LEAVE        worker -> home     an ln_leave; comes back at once as
 *   LEFT         home -> worker     the same memory; the worker frees it
 *   ADMIT        worker -> home     an ln_admission (limit.h); comes back as
 *   ADMITTED     home -> worker     the same memory, with err filled
 *   RELEASE      worker -> home     the same memory again; the home frees it
 *   ENTER        worker -> home     an ln_place; comes back at once as
 *   ENTERED      home -> worker     the same memory, with err filled; kept until
 *   PART         worker -> home     the same memory again; the home frees it
 *   QUERY        worker -> home     an ln_inquiry; comes back at once as
 *   QUERIED      home -> worker     the same memory, with the answer; the worker frees it
 *   TAKEN        worker -> each     an ln_taking; who gets it frees it
 *   READ         worker -> home     an ln_reading; comes back as
 *   PAGE         home -> worker     the same memory, with err, at and what was read: the worker
 *                                   frees it, or sends it again as READ; or, if it is pinned, as
 *   UNREAD       worker -> home     the same memory: the home unpins and frees it
 *   LEASE        worker -> home     an ln_lease_letter (lease.h); comes back at once as
 *   LEASED       home -> worker     the same memory; the worker frees it. Of debts others get one
 *                                   of their own, though they did not ask
 *
 * Each pair of workers is a FIFO, and that is what the hub's order rests on: what a worker asks
 * of a home is done in the order asked, and a subscriber joins when INTERESTED arrives, so that
 * the next DELIVER is the first one behind the position it was told. DELIVER to a channel that
 * is still asking belongs to an earlier interest and is dropped.
 *
 * For the same reason a PAGE finds its worker where the home was when it read: `at` of the letter
 * is `at` of the channel there, if the worker is interested.
 *
 * Mail from a worker to itself takes the same road, except that a home hands what is meant for
 * its own worker over at once.
 */
#ifndef LN_HUB_MAIL_H
#define LN_HUB_MAIL_H
#include "base/clock.h"
#include "base/list.h"
#include "hub/limit.h"
#include "hub/message.h"
#include "hub/namespace.h"
#include "hub/presence.h"

typedef enum ln_mail_kind {
    LN_MAIL_PUBLISH,
    LN_MAIL_DELIVER,
    LN_MAIL_ANSWER,
    LN_MAIL_DELIVER_ANSWER,
    LN_MAIL_INTEREST,
    LN_MAIL_INTERESTED,
    LN_MAIL_DISINTEREST,
    LN_MAIL_LEAVE,
    LN_MAIL_LEFT,
    LN_MAIL_ADMIT,
    LN_MAIL_ADMITTED,
    LN_MAIL_RELEASE,
    LN_MAIL_ENTER,
    LN_MAIL_ENTERED,
    LN_MAIL_PART,
    LN_MAIL_QUERY,
    LN_MAIL_QUERIED,
    LN_MAIL_READ,
    LN_MAIL_PAGE,
    LN_MAIL_UNREAD,
    LN_MAIL_LEASE,
    LN_MAIL_LEASED,
    LN_MAIL_TAKEN,
} ln_mail_kind;

/* A worker's interest in a channel. Made with the channel and kept by it; it owns the name
 * that the channel goes by. */
typedef struct ln_interest {
    ln_letter letter;
    struct ln_channel *channel; /* the asking worker's; lives while the letter is away */
    ln_position at;             /* answer */
    int err;                    /* answer */
    uint8_t class;              /* answer: ln_class */
    uint8_t slow;               /* answer: ln_slow */
    uint16_t batch_ms;          /* answer */
    bool keyed;                 /* answer: keys live there (state.h) */
    uint8_t space;              /* ln_space */
    uint8_t name_size;
    uint8_t name[];
} ln_interest;

static inline ln_interest *ln_interest_of(ln_letter *letter) {
    return (ln_interest *)(void *)letter; /* the first member */
}
/* NULL without memory. */
ln_interest *ln_interest_new(ln_space space, ln_slice name);

/* A subscription's way out behind what was published before: there and back on the road of the
 * publications, so that it returns behind the last of them. What a broker has not answered yet is
 * not waited for. */
typedef struct ln_leave {
    ln_letter letter;
    struct ln_subscription *sub; /* the leaving worker's; NULL: it has gone otherwise */
    uint8_t note_size;
    uint8_t note[]; /* the user's */
} ln_leave;

static inline ln_leave *ln_leave_of(ln_letter *letter) {
    return (ln_leave *)(void *)letter; /* the first member */
}

/* A session's place among the members of a channel, and its way out of there, which must not fail.
 */
typedef struct ln_place {
    ln_letter letter;
    struct ln_place **keeper; /* the asking worker's, who has it there; NULL: he has gone */
    uint64_t owner;
    uint8_t chain[LN_CHAIN];
    int err;      /* answer */
    bool lost;    /* PART: the connection broke */
    bool away;    /* the worker's: `entered` has not come */
    uint8_t user; /* whose `entered` is called */
    uint8_t name_size, client_size, user_size;
    uint16_t info_size;
    uint8_t bytes[]; /* name, client, user, info */
} ln_place;

static inline ln_place *ln_place_of(ln_letter *letter) {
    return (ln_place *)(void *)letter; /* the first member */
}
/* NULL without memory. */
ln_place *ln_place_new(ln_slice channel, const ln_arrival *who, uint8_t user, ln_place **keeper);

typedef enum ln_inquiry_what {
    LN_INQUIRY_ROLL, /* one page of the members, for whom it may concern */
    LN_INQUIRY_INFO, /* data is the session's info from now on */
    LN_INQUIRY_SET,  /* a key to data (state.h); without a key: it types */
    LN_INQUIRY_UNSET,
    LN_INQUIRY_KEYS, /* what lives in the channel, for a new subscriber */
} ln_inquiry_what;

/* A question about a channel to its home, or a wish. */
typedef struct ln_inquiry {
    ln_letter letter;
    uint64_t who;   /* handle of the asking session */
    uint64_t owner; /* its place there, and chain: when it is about itself */
    uint8_t chain[LN_CHAIN];
    ln_roll roll; /* of LN_INQUIRY_ROLL: question and answer */
    ln_buf page;  /* answer, packed */
    int err;      /* answer */
    uint8_t what; /* ln_inquiry_what */
    uint8_t user; /* whose `queried` is called */
    bool begins;  /* LN_INQUIRY_ROLL: of a subscription that begins */
    bool quiet;   /* LN_INQUIRY_SET, UNSET: it does not want to hear of it itself */
    uint32_t ttl_ms;
    uint8_t name_size, re_size, key_size, client_size;
    uint32_t data_size;
    uint8_t bytes[]; /* name, re, key, client, data */
} ln_inquiry;

static inline ln_inquiry *ln_inquiry_of(ln_letter *letter) {
    return (ln_inquiry *)(void *)letter; /* the first member */
}
typedef struct ln_inquiry_words { /* copied; most may be empty */
    ln_slice channel, re, key, client, data;
} ln_inquiry_words;
/* All else is the caller's to fill. NULL without memory. */
ln_inquiry *ln_inquiry_new(ln_inquiry_what what, const ln_inquiry_words *words);
void ln_inquiry_free(ln_inquiry *m);
static inline ln_slice ln_inquiry_channel(const ln_inquiry *m) {
    return ln_slice_of(m->bytes, m->name_size);
}
static inline ln_slice ln_inquiry_re(const ln_inquiry *m) {
    return ln_slice_of(m->bytes + m->name_size, m->re_size);
}
static inline ln_slice ln_inquiry_data(const ln_inquiry *m) {
    const uint8_t *at = m->bytes + m->name_size + m->re_size + m->key_size + m->client_size;
    return ln_slice_of(at, m->data_size);
}
/* A question for what a channel's log holds, and the answer. */
typedef struct ln_reading {
    ln_letter letter;
    /* The question. */
    ln_position since; /* epoch 0: no matter in which */
    uint32_t limit;    /* publications; bounded by the home */
    uint32_t bytes;
    bool reverse, any; /* as in ln_span */
    bool pins;         /* what is not read with it is to stay until it is */
    /* The answer. LINNET_ERR_NOT_FOUND: this position is not one to go on from;
     * LINNET_ERR_UNSUPPORTED: there is no log. */
    int err;
    ln_position at; /* where the home was: the last publication it had mailed */
    uint32_t count;
    ln_publication **items; /* one reference each */
    bool owed;              /* UNREAD, when no READ follows */
    /* The home's, also while it does not have the letter. */
    ln_list pin; /* in ln_homes.pins, while `pinned` */
    ln_msec pinned_at;
    struct ln_home *home;
    uint64_t pinned_since;
    bool pinned, lapsed;
    /* The asker's. */
    uint8_t user;                /* ln_hub_user */
    bool catches_up;             /* for a subscription: */
    bool away, wanted;           /* the letter; it is to go again, once it is back */
    bool behind, granted;        /* it is in the channel, without a seat; it was told so */
    struct ln_subscription *sub; /* NULL: it has gone */
    uint64_t cut;                /* the last offset of what is replayed, once granted */
    uint64_t who;
    uint8_t name_size, re_size;
    uint8_t bytes_of[]; /* name, re */
} ln_reading;

static inline ln_reading *ln_reading_of(ln_letter *letter) {
    return (ln_reading *)(void *)letter; /* the first member */
}
static inline ln_slice ln_reading_channel(const ln_reading *m) {
    return ln_slice_of(m->bytes_of, m->name_size);
}
static inline ln_slice ln_reading_re(const ln_reading *m) {
    return ln_slice_of(m->bytes_of + m->name_size, m->re_size);
}
/* A question about all that is kept. NULL without memory. */
ln_reading *ln_reading_new(ln_slice channel, ln_slice re);
/* Drops what was read. */
void ln_reading_clear(ln_reading *m);
/* It is in no list. NULL is allowed. */
void ln_reading_free(ln_reading *m);

/* A session goes on somewhere else, whatever still speaks for it elsewhere is to end. */
typedef struct ln_taking {
    ln_letter letter;
    uint8_t chain[LN_CHAIN];
    uint64_t who; /* handle of the session that has it now */
    ln_msec at;   /* since when */
    uint8_t user; /* whose `taken` is called */
} ln_taking;

static inline ln_taking *ln_taking_of(ln_letter *letter) {
    return (ln_taking *)(void *)letter; /* the first member */
}

/* Frees a letter that nobody will take in any more, and drops what it carries. */
void ln_mail_discard(ln_letter *letter);
#endif
