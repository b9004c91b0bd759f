/* keyring.h -- keys of issuers that publish them at an URL: fetched by one worker, known to all.
 *
 *    worker 0: the keeper                       every worker: a keyring
 *    ┌────────────────────────┐   KEYS: a set   ┌──────────────────────────────┐
 *    │ a source: when due, or │ ──────────────> │ what is checked with, and who │
 *    │ wanted and not lately: │ <────────────── │ waits: handshakes, commands   │
 *    │ GET                    │   WANT: one     └──────────────────────────────┘
 *    └────────────────────────┘   is lacking
 *
 * Whom it asks is the configuration's, and how often too: a set is fetched again when the answer's
 * max-age is over (a minute to a day, ten minutes without one), and besides because a token's key
 * is lacking, LN_KEYRING_LACK_MS after the last time at the earliest. What does not come in
 * LN_KEYRING_FETCH_MS, is larger than LN_KEYRING_BODY, is a redirect or no set of keys changes
 * nothing: the keys that came last stay, and it is tried again after 1 s, 2 s, .. 60 s.
 *
 * A token is held against the keys of the source of its issuer only, so two issuers may use the
 * same kid. While the keeper is asked, handshakes and commands with such a token wait,
 * LN_KEYRING_WAIT_MS at most, and nobody else does.
 */
#ifndef LN_LIB_KEYRING_H
#define LN_LIB_KEYRING_H
#include "lib/inner.h"
#include "session/session.h"
#include <linnet/hub.h>

#define LN_KEYRING_FETCH_MS 2000
#define LN_KEYRING_BODY     (256u * 1024)
#define LN_KEYRING_LACK_MS  30000
#define LN_KEYRING_WAIT_MS  3000 /* a handshake */
#define LN_KEYRING_WAITING  4096 /* handshakes per worker; 503 beyond */
#define LN_KEYRING_AGE_MIN  60   /* seconds */
#define LN_KEYRING_AGE      600
#define LN_KEYRING_AGE_MAX  86400

typedef struct ln_keyring_source { /* copied, and what has become of it, counted by the keeper */
    char *issuer, *url;
    ln_jws_alg alg;
    ln_stat fetches, failures, keys;
    ln_stat came; /* when the keys in use came, ms since 1970; 0: none have */
} ln_keyring_source;

typedef struct ln_keyring_config { /* of a hub */
    size_t count;
    char *ca_file;
    ln_keyring_source sources[LN_JWS_SOURCES_MAX];
} ln_keyring_config;

/* *out is NULL when there are none. LINNET_ERR_INVAL, LINNET_ERR_LIMIT, LINNET_ERR_URL,
 * LINNET_ERR_NOMEM. */
int ln_keyring_config_new(const linnet_auth_options *options, ln_keyring_config **out);
void ln_keyring_config_free(ln_keyring_config *config);
/* For how many seconds an answer is good, by its Cache-Control. */
uint32_t ln_keyring_age(ln_slice cache_control);

typedef struct ln_keyring ln_keyring;
/* Of a worker; config, sessions and auth outlive it. Becomes the sources of auth. NULL config: *out
 * is NULL, and the functions below do nothing. LINNET_ERR_NOMEM, LINNET_ERR_DNS. */
int ln_keyring_new(ln_keyring_config *config, linnet_loop *w, ln_sessions *sessions, ln_auth *auth,
    ln_keyring **out);
void ln_keyring_free(ln_keyring *k);
/* A handshake waits for a key, and is decided anew when it has come or not. False: it cannot wait
 * (any more). */
bool ln_keyring_hold(ln_keyring *k, linnet_conn_id id);
/* WANT and KEYS of mail.h. */
void ln_keyring_mail(ln_keyring *k, ln_post *mail);
/* Fetches all of them, on the keeper's worker: somebody has said that they are others now. */
void ln_keyring_refresh(ln_keyring *k);
bool ln_keyring_ready(ln_keyring *k, const ln_completion *c);
void ln_keyring_timer(ln_keyring *k, ln_timer *timer);
void ln_keyring_tick(ln_keyring *k);
ln_msec ln_keyring_deadline(const ln_keyring *k);

/* keeper.c: ----------------------------------------------------------------------------- */
typedef struct ln_keeper ln_keeper;
/* LINNET_ERR_NOMEM, LINNET_ERR_DNS. */
int ln_keeper_new(ln_keyring_config *config, linnet_loop *w, ln_keeper **out);
void ln_keeper_free(ln_keeper *keeper);
/* A worker lacks a key of a source, and will be told. */
void ln_keeper_want(ln_keeper *keeper, uint32_t source, uint32_t worker);
void ln_keeper_refresh(ln_keeper *keeper);
bool ln_keeper_ready(ln_keeper *keeper, const ln_completion *c);
void ln_keeper_timer(ln_keeper *keeper, ln_timer *timer);
#endif
