/* ticketkey.h -- the keys that sign tickets (docs/guide/resume.md): those of resume.keys, or one
 * that is made at the first start and kept, with mode 0600, beside the bans in state.dir. Without
 * either the hub makes one for itself, and no ticket outlives the process.
 */
#ifndef LN_DAEMON_TICKETKEY_H
#define LN_DAEMON_TICKETKEY_H
#include "base/slice.h"
#include "daemon/folder.h"

#define LN_TICKETKEY_MIN  32 /* characters of a secret */
#define LN_TICKETKEY_MADE 64 /* of one that was made here */

typedef struct ln_ticketkeys {
    ln_slice keys[2]; /* into the options, or `made` */
    size_t count;
    char made[LN_TICKETKEY_MADE + 1];
} ln_ticketkeys;

/* keeps: a file may be read and made. False after a mistake was told on stderr. */
bool ln_ticketkeys_take(ln_ticketkeys *k, const ln_options *o, bool keeps);
/* Overwrites what was made. */
void ln_ticketkeys_forget(ln_ticketkeys *k);
#endif
