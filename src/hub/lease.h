/* lease.h -- rates that all workers keep together: of a user, of an address.
 *
 * Each name has a home among the workers, as channels have, and that one has its bucket. The others
 * take from there in small portions, and what they let through meanwhile they take on credit; so a
 * message costs no letter, and in the long run the rate is exact:
 *
 *    worker ── LEASE: so much was used on credit, so much is wanted ──> home: takes it
 *    worker <─ LEASED: so much is granted, or so long there is none ── home
 *
 * At any moment all workers together have let through no more than half a burst too much. The
 * home's own worker asks nobody and is exact.
 *
 * Debts are the other use of the same buckets: of what should not happen often (tokens that are no
 * good) each case is told to the home, and when there have been too many, it tells all workers.
 *
 * Names are 64 bits of a keyed hash. Tables are of fixed size and made with the first entry; where
 * one is full, who owes least is forgotten.
 */
#ifndef LN_HUB_LEASE_H
#define LN_HUB_LEASE_H
#include "base/clock.h"
#include "base/letter.h"
#include "base/map.h"
#include "hub/limit.h"

typedef uint64_t ln_account; /* never 0 */

typedef enum ln_account_of { /* which of the accounts of a name */
    LN_ACCOUNT_USER_PUBLISH,
    LN_ACCOUNT_USER_COMMAND,
    LN_ACCOUNT_ADDRESS_PUBLISH,
    LN_ACCOUNT_ADDRESS_COMMAND,
    LN_ACCOUNT_ADDRESS_CONNECT,
    LN_ACCOUNT_ADDRESS_TOKENS, /* that were no good */
} ln_account_of;

/* The same on all workers. name: at most LN_CAP_NAME_MAX bytes. */
ln_account ln_account_named(ln_map_key key, ln_account_of which, ln_slice name);

typedef struct ln_lease_letter {
    ln_letter letter;
    ln_account account;
    ln_rate rate;
    uint32_t spent, want;
    bool debt;                 /* spent is one case more, of what should not be */
    uint32_t granted, wait_ms; /* answer; wait_ms 0: there is some */
} ln_lease_letter;

static inline ln_lease_letter *ln_lease_letter_of(ln_letter *letter) {
    return (ln_lease_letter *)(void *)letter; /* the first member */
}

typedef struct ln_leases {     /* of a worker */
    struct ln_balance *homes;  /* buckets whose home is here; NULL: none yet */
    struct ln_lease *borrowed; /* from other homes; likewise */
} ln_leases;

struct ln_hub;
void ln_leases_fini(ln_leases *l);
/* Takes one. False: there is none for *wait_ms. Without memory, and where rate.per_s is 0, there
 * always is. */
bool ln_hub_spend(struct ln_hub *h, ln_account account, ln_rate rate, uint32_t *wait_ms);
/* One case more. */
void ln_hub_owe(struct ln_hub *h, ln_account account, ln_rate rate);
/* Whether it was too often, as far as is known here; then for *wait_ms more. */
bool ln_hub_owes(const struct ln_hub *h, ln_account account, ln_rate rate, uint32_t *wait_ms);
/* Of hub.c: LEASE and LEASED. */
void ln_hub_lease_mail(struct ln_hub *h, ln_letter *letter);
#endif
