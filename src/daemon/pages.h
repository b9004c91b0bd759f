/* pages.h -- the files of web/, which tools/embed put into the program. */
#ifndef LN_DAEMON_PAGES_H
#define LN_DAEMON_PAGES_H
#include <linnet/http.h>

extern const linnet_asset ln_pages[];
extern const size_t ln_pages_count;
#endif
