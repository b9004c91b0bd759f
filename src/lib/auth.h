/* auth.h -- who comes through the handshake of a hub's route: finding a token in it, and what a bad
 * one leads to.
 *
 * A token that was put there on purpose (Authorization, ?token=, a subprotocol) counts before one
 * that the browser sends by itself (the cookie). With a cookie the page that opened the connection
 * has to be known: without Origin it is 403.
 */
#ifndef LN_LIB_AUTH_H
#define LN_LIB_AUTH_H
#include "hub/limit.h"
#include "lib/keyring.h"
#include "session/auth.h"
#include <linnet/hub.h>

typedef struct ln_gate {
    ln_auth auth;
    linnet_auth_reject reject;
    bool on; /* somebody has to log in, or may */
    char *cookie;
    ln_slice *names; /* issuers, then audiences */
    ln_jws_keys *keys;
    ln_keyring_config *jwks; /* NULL: none are fetched */
} ln_gate;

/* options NULL: nobody has to log in. LINNET_ERR_INVAL, LINNET_ERR_NOMEM; for keys that are fetched
 * also LINNET_ERR_LIMIT, LINNET_ERR_URL. */
int ln_gate_init(ln_gate *gate, const linnet_auth_options *options);
void ln_gate_fini(ln_gate *gate);

typedef struct ln_entrant { /* what on_upgrade has learned */
    ln_identity *identity;  /* NULL: nobody yet */
    ln_jws_fault refused;
} ln_entrant;
/* Answers who comes too often: 429, with Retry-After. */
linnet_verdict ln_gate_too_many(linnet_upgrade *u, uint32_t wait_ms, const char *words);
/* DEFER: the key of his token may be on its way, and he is asked again when it has come.
 * failures: how many bad tokens an address may show; 429 for who has shown more.
 * Answers a request that is refused. *out->identity is the caller's. */
linnet_verdict ln_gate_ask(
    const ln_gate *gate, linnet_upgrade *u, ln_rate failures, uint64_t now_s, ln_entrant *out);
/* Of one whose identity comes later: whether his address may come. REJECT: it is answered. */
linnet_verdict ln_gate_address(const ln_gate *gate, linnet_upgrade *u, uint64_t now_s);
#endif
