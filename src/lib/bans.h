/* bans.h -- orders about who may not be here: from any thread to worker 0, which writes them down
 * and hands them to all others, so that all obey them in the same order.
 *
 *   the program ──BAN──> worker 0: its table, the ledger ──BAN──> every other: its table, who is
 *   there; the last one that is done tells the program
 */
#ifndef LN_LIB_BANS_H
#define LN_LIB_BANS_H
#include "lib/inner.h"
#include "lib/ledger.h"
#include <linnet/hub.h>

/* The tables of a worker that begins: what the file at path says (NULL: nothing); worker 0 keeps it
 * open in *ledger, which is the hub's. Errors as ln_ledger_open. */
int ln_bans_open(linnet_loop *w, const char *path, ln_ledger *ledger);
/* For an order that does more: revokes a user (what was issued up to now) or a session that has a
 * ticket, for so many seconds, or longer if that was said before. However much waits it is not
 * refused. Any thread; done is told as the program is. LINNET_ERR_INVAL: it is no subject;
 * LINNET_ERR_STATE, LINNET_ERR_NOMEM. */
int ln_bans_revoke(linnet_hub *hub, ln_ban_kind kind, ln_slice subject, uint64_t for_s,
    linnet_hub_done_fn *done, void *ctx);
/* BAN: does this worker's part. */
void ln_bans_mail(linnet_loop *w, ln_post *mail);
/* One that never arrived at that worker. */
void ln_bans_lost(void *order, unsigned worker);

/* hub.c's: NULL: there is no file. */
ln_ledger *ln_host_hub_ledger(linnet_hub *hub);
#endif
