/* token.h -- what stands behind linnet_keys.
 */
#ifndef LN_LIB_TOKEN_H
#define LN_LIB_TOKEN_H
#include "session/jws.h"
#include <linnet/token.h>

struct linnet_keys {
    ln_jws_keys *keys;
    bool used; /* a hub has them: they never change */
    const char *why;
};
#endif
