/* err.h -- the internal half of the error table in linnet/types.h.
 *
 * Decoders answer LN_DONE (a value is there) or LN_MORE (feed me more), both not
 * negative, so that `< 0` always means a row of the table.
 */
#ifndef LN_BASE_ERR_H
#define LN_BASE_ERR_H
#include "linnet/types.h"

enum {
    LN_DONE = 0,
    LN_MORE = 1,
    LN_PENDING = 2, /* begun; a completion will tell */
};

/* The WebSocket close code of a row, 1011 for an unknown one, 0 where the row has none. */
uint16_t ln_err_close_code(int err);
/* Whether the same thing may succeed later. */
bool ln_err_retry(int err);
#endif
