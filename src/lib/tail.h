/* tail.h -- following what happens: an HTTP answer that does not end, one JSON object a line, of
 * what all workers hear (session/ear.h).
 *
 *   a worker ──heard──> its seats, one per follower: filter ──TAILED──> home of the stream ──>
 * lines
 *
 * A follower has a seat on every worker while his request lives. What does not fit is left out and
 * counted, never waited for: when much mail waits at the stream's home, when much waits for its
 * reader; a line `missed` says how much it was. Workers without seats have no ear. Where there is
 * no memory for a seat, his stream ends.
 */
#ifndef LN_LIB_TAIL_H
#define LN_LIB_TAIL_H
#include "lib/server.h"

#define LN_TAILS_MAX       16 /* followers of a server; each costs every event a look */
#define LN_TAIL_LETTERS    2048
#define LN_TAIL_MAIL_BYTES (4u * 1024 * 1024)
#define LN_TAIL_QUEUED     (256u * 1024)
#define LN_TAIL_DATA_MAX   4096  /* bytes of a message that are shown */
#define LN_TAIL_QUIET_MS   15000 /* then an empty line shows that somebody is there */

/* TAIL and TAILED. True: the letter was taken. */
bool ln_tail_mail(linnet_loop *w, ln_post *mail);
void ln_tail_unref(void *tail);
/* Whether an exchange is the stream of a follower; then he is none any more. */
bool ln_tail_gone(const ln_exchange *x);
void ln_tails_tick(linnet_loop *w);
ln_msec ln_tails_deadline(const linnet_loop *w);
/* All connections are gone. */
void ln_tails_free(linnet_loop *w);
#endif
