/* gate.h -- asking for the key on requests: the one place where a handler finds out whether who
 * asks may. Only the Authorization field counts: what stands in an address ends up in histories and
 * logs, and a cookie comes from pages of strangers too.
 */
#ifndef LN_DAEMON_GATE_H
#define LN_DAEMON_GATE_H
#include "daemon/key.h"
#include <linnet/http.h>

typedef struct ln_gate {
    ln_keys keys;
    const char *const *hosts; /* for ln_key_host; NULL: none */
} ln_gate;

/* 0 when the request carries a key with this scope. Else the status it is to be answered with, and
 * why in words: 421 when Host does not name us, 401 without a key that is one of ours (the field
 * that goes with it has been added), 403 when that key may not do this. */
int ln_gate_status(const ln_gate *gate, linnet_request *r, uint32_t scope, const char **words);
/* The same; *scopes: all that its key may do. */
int ln_gate_scopes(
    const ln_gate *gate, linnet_request *r, uint32_t scope, uint32_t *scopes, const char **words);
/* Whether the request carries a key with this scope. If not, it has been answered. */
bool ln_gate_admits(const ln_gate *gate, linnet_request *r, uint32_t scope);
#endif
