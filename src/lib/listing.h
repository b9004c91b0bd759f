/* listing.h -- which channels there are, see listing.c.
 */
#ifndef LN_LIB_LISTING_H
#define LN_LIB_LISTING_H
#include "lib/inner.h"
#include "lib/mail.h"

/* CHANNELS: does a little of this worker's part; taken. */
void ln_listing_mail(linnet_loop *w, ln_post *mail);
/* One that never arrived at that worker; the letter is the caller's to free. */
void ln_listing_lost(void *listing, unsigned worker);
#endif
