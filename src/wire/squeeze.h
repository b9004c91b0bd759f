/* squeeze.h -- DEFLATE (RFC 1951) of one short message that stands alone, in a few microseconds.
 *
 * zlib and libdeflate are made for files: before the first byte they clear tables of 64 to 256 KiB,
 * which for a message of 1 KiB is half of the work. Here the tables are as small as the message.
 * One block, of whichever code is shorter, fixed or made for the message; matches are looked for in
 * two places, longest wins, never later. JSON of 1 KiB takes 2 % more than with zlib's level 6,
 * text full of very short repeats 7 %.
 *
 * It ends as a sync flush does without its tail (RFC 7692 7.2.1), so every receiver takes it.
 */
#ifndef LN_WIRE_SQUEEZE_H
#define LN_WIRE_SQUEEZE_H
#include "base/buf.h"

#define LN_SQUEEZE_MAX 4096 /* bytes of message */

typedef struct ln_squeezer ln_squeezer; /* scratch of about 50 KiB; keeps nothing between calls */

/* LINNET_ERR_NOMEM */
int ln_squeezer_new(ln_squeezer **out);
void ln_squeezer_free(ln_squeezer *s);

/* Appends the message, of 1 to LN_SQUEEZE_MAX bytes, with no distance over 1 << bits. A message
 * that does not shrink comes out a little longer than it was. LINNET_ERR_NOMEM, LINNET_ERR_TOO_BIG
 * of *out: nothing was appended. */
int ln_squeeze(ln_squeezer *s, ln_slice message, unsigned bits, ln_buf *out);
#endif
