/* access.h -- who may come in, and do what: the `auth` options of `linnet serve` as the library
 * takes them.
 */
#ifndef LN_DAEMON_ACCESS_H
#define LN_DAEMON_ACCESS_H
#include "daemon/jwks.h"
#include <linnet/hub.h>

typedef struct ln_access { /* lives until the hub was made */
    linnet_auth_options auth;
    linnet_keys *keys; /* NULL: nobody has to log in */
    linnet_jwks jwks[LN_JWKS_MAX];
    ln_jwks from[LN_JWKS_MAX];
    char *issuers[LN_JWKS_MAX];
} ln_access;

/* Whether the options say how clients show who they are. */
bool ln_access_wanted(const ln_options *o);
/* Reads the keys. False after a mistake was told. */
bool ln_access_init(ln_access *a, const ln_options *o);
void ln_access_fini(ln_access *a);
/* What the library is to be given; NULL: nobody has to log in. */
static inline const linnet_auth_options *ln_access_auth(const ln_access *a) {
    return a->keys ? &a->auth : NULL;
}
#endif
