/* inbox.h -- mail from any thread to one loop. The only lock of the house.
 *
 * A FIFO per inbox keeps the order of each sender. A wake is sent only when the receiver may
 * be asleep: one per sleeping target, not one per mail. What a mail carries, and who owns it, is
 * the affair of hub/mail.h and lib/mail.h; here it is a node.
 */
#ifndef LN_NET_INBOX_H
#define LN_NET_INBOX_H
#include "base/letter.h"
#include "net/loop.h"

typedef struct ln_inbox ln_inbox;

int ln_inbox_new(ln_loop *owner, ln_inbox **out);
/* Must be empty. */
void ln_inbox_free(ln_inbox *in);
/* Any thread; takes the letters first..last, a chain linked by next (last->next is overwritten).
 * Never fails. `bytes` is what they account for. */
void ln_inbox_post(ln_inbox *in, ln_letter *first, ln_letter *last, uint32_t count, size_t bytes);
/* Foreign threads only: refuses with LINNET_ERR_AGAIN when over 65,536 letters or 16 MiB wait. */
int ln_inbox_offer(ln_inbox *in, ln_letter *letter, size_t bytes);
/* Owner: takes everything as a chain in order, NULL when empty. */
ln_letter *ln_inbox_take(ln_inbox *in);
/* Any thread: letters and bytes posted but not yet taken (a moment's truth). */
void ln_inbox_load(const ln_inbox *in, uint32_t *letters, size_t *bytes);
/* Owner: about to sleep; true when it may (empty), false when something has come. After waking it
 * calls ln_inbox_awake, and posts no longer pay for a wake. */
bool ln_inbox_sleep(ln_inbox *in);
void ln_inbox_awake(ln_inbox *in);
#endif
