/* dedup.h -- which publications a home has had before, by the keys that publishers gave them.
 *
 * A publisher that does not know what became of a publication sends it again with the same key, and
 * is told the place the first one got. A key belongs to a channel and to a principal, in whose name
 * it was sent; those of others never meet it. It is remembered for LN_DEDUP_MS after its
 * publication was taken; of one principal in one channel the last LN_DEDUP_KEYS, and of all
 * together so many bytes: beyond that the oldest are forgotten first.
 *
 *     begin: new, and under way ──end──> seen, with its place     (or dropped: it has none)
 *
 * No clock: `now` is told.
 */
#ifndef LN_HUB_DEDUP_H
#define LN_HUB_DEDUP_H
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/stat.h"
#include "hub/message.h"

#define LN_DEDUP_MS    (5 * 60 * 1000)
#define LN_DEDUP_KEYS  10000              /* per channel and principal */
#define LN_DEDUP_BYTES (64 * 1024 * 1024) /* of a node, shared by its workers */

typedef enum ln_dedup_found {
    LN_DEDUP_NEW,  /* it is remembered from here on, as under way */
    LN_DEDUP_SEEN, /* *at is the place of the first one */
    LN_DEDUP_BUSY  /* the first one has no answer yet */
} ln_dedup_found;

typedef struct ln_dedup {
    ln_map keys, owners;
    ln_list by_age; /* the oldest first */
    size_t bytes, bytes_max;
    ln_stat count, forgotten; /* forgotten: before their time */
} ln_dedup;

void ln_dedup_init(ln_dedup *d, ln_map_key key, size_t bytes_max);
void ln_dedup_fini(ln_dedup *d);
/* key: as ln_key_put packs it. ln_dedup_found, or LINNET_ERR_NOMEM: nothing is remembered. */
int ln_dedup_begin(ln_dedup *d, ln_msec now, ln_slice channel, ln_slice key, ln_position *at);
/* It got this place. One that was forgotten meanwhile stays so. */
void ln_dedup_end(ln_dedup *d, ln_slice channel, ln_slice key, ln_position at);
/* It got none, and may be sent again. */
void ln_dedup_drop(ln_dedup *d, ln_slice channel, ln_slice key);
void ln_dedup_tick(ln_dedup *d, ln_msec now);
ln_msec ln_dedup_deadline(const ln_dedup *d);
#endif
