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
 *
 * Each pair of workers is a FIFO, and that is what the hub's order rests on: what a worker asks
 * of a home is done in the order asked, and a subscriber joins when INTERESTED arrives, so that
 * the next DELIVER is the first one behind the position it was told. DELIVER to a channel that
 * is still asking belongs to an earlier interest and is dropped.
 *
 * Mail from a worker to itself takes the same road, except that a home hands what is meant for
 * its own worker over at once.
 */
#ifndef LN_HUB_MAIL_H
#define LN_HUB_MAIL_H
#include "hub/limit.h"
#include "hub/message.h"
#include "hub/namespace.h"

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
} ln_mail_kind;

/* A worker's interest in a channel. Made with the channel and kept by it; it owns the name
 * that the channel goes by. */
typedef struct ln_interest {
    ln_letter letter;
    struct ln_channel *channel; /* the asking worker's; lives while the letter is away */
    ln_position at;             /* answer */
    int err;                    /* answer */
    uint8_t class;              /* answer: ln_class */
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

/* Frees a letter that nobody will take in any more, and drops what it carries. */
void ln_mail_discard(ln_letter *letter);
#endif
