/* ledger.h -- bans and revocations in a file, so that they outlive the process.
 *
 * One line for each order, in the order they were given; the last word about a name counts:
 *
 *    put USER 1700003600 0 eve          until that second; 0: for good
 *    put ISSUED 1702592000 1700000000 anna    what was issued to anna before that second
 *    lift USER eve
 *
 * The subject is all that is left of the line; an address is text. Orders are appended with one
 * write each, which outlives the process but not the machine's sudden end: nobody waits for a disk
 * here. The end of a line that was cut off is forgotten; anything else that cannot be read is a
 * mistake that a server does not start with, because it would let in whom somebody had banned. When
 * most lines have nothing to say any more, the file is written anew beside itself, and takes its
 * place.
 *
 * Worker 0 alone writes it, the others read it once, when they begin.
 */
#ifndef LN_LIB_LEDGER_H
#define LN_LIB_LEDGER_H
#include "base/err.h"
#include "session/bans.h"

typedef struct ln_ledger {
    char *path;
    int fd;
    uint32_t lines;
} ln_ledger;

/* What the file says, put into an empty table; no file: nothing. LINNET_ERR_INVAL: a line that is
 * none; LINNET_ERR_SYS, LINNET_ERR_TOO_BIG, LINNET_ERR_NOMEM, LINNET_ERR_LIMIT (more than the table
 * holds). */
int ln_ledger_read(const char *path, ln_bans *bans, uint64_t now_s);
/* The same, and makes it ready to be written to: mode 0600 if it is made, without the end of a line
 * that was cut off. Errors as read. */
int ln_ledger_open(ln_ledger *l, const char *path, ln_bans *bans, uint64_t now_s);
void ln_ledger_close(ln_ledger *l);
/* Appends an order that the table has obeyed already. lift: the last two say nothing.
 * LINNET_ERR_SYS: it may not be there. */
int ln_ledger_put(ln_ledger *l, const ln_bans *bans, uint64_t now_s, bool lift, ln_ban_kind kind,
    ln_slice subject, uint64_t before, uint64_t until);
#endif
