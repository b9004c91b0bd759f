/* limit.h -- how fast and how many: token buckets, and who may come in.
 *
 * A bucket is one number, the time at which it would be full again; so an idle one costs nothing to
 * keep up, and a zeroed one is full. Time is an argument.
 *
 * Caps on connections of one address or one user are exact: each name has a home among the workers,
 * as channels have, and that one alone counts. To come in is a letter to the home (ln_hub_admit),
 * which comes back with the verdict; the same memory goes home again when the connection has gone
 * (ln_hub_release), so that leaving never wants memory, and counts are right whatever happens:
 *
 *    asker ── ADMIT ──> home: counts, if there is room
 *    asker <─ ADMITTED ── home: err
 *    asker ── RELEASE ──> home: counts down, frees it
 *
 * A home remembers only names that have somebody in: the table is as large as there are
 * connections, whatever names strangers make up.
 */
#ifndef LN_HUB_LIMIT_H
#define LN_HUB_LIMIT_H
#include "base/clock.h"
#include "base/err.h"
#include "base/letter.h"
#include "base/map.h"

/* ---- how fast ---------------------------------------------------------------------------- */

typedef struct ln_rate {
    uint32_t per_s; /* 0: any */
    uint32_t burst; /* so many at once; 0 is 1 */
} ln_rate;

typedef uint64_t ln_bucket; /* ns of the clock; 0: full */

/* Takes a token. False: there is none, and in *wait_ms (at least 1) there will be. */
bool ln_bucket_take(ln_bucket *b, ln_rate rate, ln_msec now, uint32_t *wait_ms);

/* Takes so many, also those that are not there: they drip in before the next one can be taken.
 * Debts are never more than a whole bucket and some. */
void ln_bucket_force(ln_bucket *b, ln_rate rate, ln_msec now, uint32_t count);

/* ---- how many ---------------------------------------------------------------------------- */

typedef enum ln_cap { /* what the name of an admission is */
    LN_CAP_ADDRESS,   /* ln_ip_subscriber's sixteen bytes */
    LN_CAP_USER,
} ln_cap;

#define LN_CAP_NAME_MAX 254

typedef struct ln_admission {
    ln_letter letter;
    /* What comes of it, on the asker's worker. Whoever it was for may have gone meanwhile: then it
     * is released at once, or freed if err < 0. */
    void (*told)(void *ctx, struct ln_admission *a);
    void *ctx;       /* the worker's; never a connection: that is what handle is for */
    uint64_t handle; /* the asker's name for whom it is */
    uint32_t max;    /* so many at most */
    int err;         /* the verdict: LINNET_OK, LINNET_ERR_LIMIT, LINNET_ERR_NOMEM */
    uint8_t name_size;
    uint8_t name[]; /* ln_cap, and the name */
} ln_admission;

static inline ln_admission *ln_admission_of(ln_letter *letter) {
    return (ln_admission *)(void *)letter; /* the first member */
}
/* name: at most LN_CAP_NAME_MAX bytes. told, ctx, handle and max are for the caller to fill. NULL
 * without memory. ln_free gives it back when it was not admitted. */
ln_admission *ln_admission_new(ln_cap cap, ln_slice name);
static inline ln_slice ln_admission_name(const ln_admission *a) {
    return ln_slice_of(a->name, a->name_size);
}

typedef struct ln_caps { /* of a home: names that have somebody in */
    ln_map names;
} ln_caps;

void ln_caps_init(ln_caps *c, ln_map_key key);
void ln_caps_fini(ln_caps *c);
/* One more. LINNET_ERR_LIMIT: there are max of it. LINNET_ERR_NOMEM. */
int ln_caps_enter(ln_caps *c, ln_slice name, uint32_t max);
/* One less; it did enter. */
void ln_caps_leave(ln_caps *c, ln_slice name);
/* How many there are. */
uint32_t ln_caps_count(const ln_caps *c, ln_slice name);
#endif
