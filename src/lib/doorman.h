/* doorman.h -- the question whether somebody may come, asked before the 101 and answered now or
 * later; and what is known of who is about to come.
 *
 * What on_upgrade has learned of a visitor is an ln_entry. While the question is pending the
 * upgrade is deferred and the entry is kept here, named like its connection. Nobody comes in for
 * want of an answer: after LN_ASK_MS it is 503, as it is when the backend fails. A yes for a
 * connection that has gone meanwhile is undone by telling of its disconnect.
 */
#ifndef LN_LIB_DOORMAN_H
#define LN_LIB_DOORMAN_H
#include "lib/hooks.h"
#include "lib/server.h"
#include "session/auth.h"

#define LN_WELCOME_DATA_MAX (16u * 1024)
#define LN_DOORMAN_VISITORS 4096 /* whose answer is pending, per worker; 503 beyond */

typedef struct ln_entry {
    ln_identity *identity; /* who it is; NULL: nobody yet */
    ln_jws_fault refused;  /* it came with a token that is no good */
    bool vouched;          /* a backend has said yes */
    bool returns;          /* none was asked: it says that it has a ticket */
    uint8_t *data;         /* JSON for its welcome; NULL: none */
    uint32_t data_size;
    uint8_t dialect; /* ln_user, or LN_DIALECT_AUTO */
    bool bin;        /* it takes binary messages */
    uint8_t client_size, feed_size;
    uint8_t client[LN_CLIENT_NAME_MAX];
    uint8_t feed[LN_CHANNEL_NAME_MAX]; /* the channel, of who speaks linnet.raw */
} ln_entry;

/* Frees who it is and what he is to be told. */
void ln_entry_clear(ln_entry *e);

typedef struct ln_doorman {
    linnet_loop *w;
    const ln_asker *asker;
    const char *const *headers;
    ln_list visitors; /* sorted by time */
    uint32_t count;
    ln_entry *entry; /* of whoever comes in in this call: the hub's, */
    bool entered;    /* who says by this that he is in */
    bool lost;       /* and by this that there was no memory for him */
} ln_doorman;

void ln_doorman_init(
    ln_doorman *d, linnet_loop *w, const ln_hooks *hooks, const ln_asker *asker, ln_entry *entry);
void ln_doorman_fini(ln_doorman *d);
/* Of an upgrade that is accepted as far as everybody else is concerned; d->entry says who it is.
 * ACCEPT: and now so are we. REJECT: it is answered. DEFER: the entry is kept. */
linnet_verdict ln_doorman_ask(ln_doorman *d, linnet_upgrade *u);
void ln_doorman_answer(ln_doorman *d, uint64_t who, const ln_answer *answer);
void ln_doorman_tick(ln_doorman *d);
ln_msec ln_doorman_deadline(const ln_doorman *d);
#endif
