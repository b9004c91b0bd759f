/* seq.h -- numbers that sessions give their publications, so that each is published once and in its
 * turn, however often it is sent.
 *
 * A line is what one session says in one channel: 1, 2, 3 and so on, by its chain, so that it goes
 * on after a return. It is kept at the channel's home.
 *
 *   seen already           the place it got then
 *   the next one           goes through; when it comes to nothing, it is the next one again
 *   anything behind that   out of order: something before it was refused, or is lost
 *
 * A line is forgotten LN_SEQ_MS after its last publication, and the one unused longest before its
 * time when all together hold too much; then any number begins it anew. But who is so young that
 * nothing of his can have been forgotten (`fresh`) begins with 1.
 *
 * No clock: `now` is told.
 */
#ifndef LN_HUB_SEQ_H
#define LN_HUB_SEQ_H
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/stat.h"
#include "hub/message.h"
#include "hub/presence.h"

#define LN_SEQ_MS    (5 * 60 * 1000)
#define LN_SEQ_KEPT  10000              /* places remembered in a line */
#define LN_SEQ_BYTES (32 * 1024 * 1024) /* of a node, shared by its workers */

typedef enum ln_seq_found {
    LN_SEQ_NEXT,    /* it is remembered from here on, as under way */
    LN_SEQ_SEEN,    /* *at is the place it got */
    LN_SEQ_BUSY,    /* it is still under way */
    LN_SEQ_ORDER,   /* it is not its turn */
    LN_SEQ_UNKNOWN, /* it was here, and its place is forgotten */
} ln_seq_found;

typedef struct ln_seqs {
    ln_map lines;
    ln_list by_age; /* unused longest first */
    size_t bytes, bytes_max;
    ln_msec trimmed; /* when one was last forgotten before its time; LN_NEVER: never */
    ln_stat count, forgotten;
} ln_seqs;

typedef struct ln_seq {
    ln_slice channel;
    const uint8_t *chain; /* LN_CHAIN bytes */
    uint64_t number;      /* from 1 */
    bool fresh;
} ln_seq;

void ln_seqs_init(ln_seqs *s, ln_map_key key, size_t bytes_max);
void ln_seqs_fini(ln_seqs *s);
/* ln_seq_found, or LINNET_ERR_NOMEM: as if it had not come. */
int ln_seqs_begin(ln_seqs *s, ln_msec now, const ln_seq *q, ln_position *at);
/* It got this place. What was forgotten meanwhile stays so. */
void ln_seqs_end(ln_seqs *s, const ln_seq *q, ln_position at);
/* It got none, and may come again. */
void ln_seqs_drop(ln_seqs *s, const ln_seq *q);
void ln_seqs_tick(ln_seqs *s, ln_msec now);
ln_msec ln_seqs_deadline(const ln_seqs *s);

/* As the key of a publication with LN_PUB_SEQ. */
#define LN_SEQ_PACKED (LN_CHAIN + 8 + 1)
void ln_seq_pack(const ln_seq *q, uint8_t out[LN_SEQ_PACKED]);
/* q->chain points into p. */
void ln_seq_unpack(const ln_publication *p, ln_seq *q);
#endif
