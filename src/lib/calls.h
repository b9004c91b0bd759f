/* calls.h -- questions of the program to clients, see calls.c.
 */
#ifndef LN_LIB_CALLS_H
#define LN_LIB_CALLS_H
#include "lib/inner.h"
#include "lib/mail.h"

/* ASK, ASKED, REPLIED. True: the mail is kept, or has been sent on. */
bool ln_call_mail(linnet_loop *w, ln_post *mail);
/* One of these that never arrived, or is done with: drops its reference. */
void ln_call_lost(void *lost);
#endif
