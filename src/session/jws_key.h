/* jws_key.h -- one key of jws.h, for the files that check and make signatures.
 */
#ifndef LN_SESSION_JWS_KEY_H
#define LN_SESSION_JWS_KEY_H
#include "session/jws.h"
#include <openssl/evp.h>

typedef enum ln_jws_family {
    LN_JWS_FAMILY_HMAC,
    LN_JWS_FAMILY_RSA,
    LN_JWS_FAMILY_PSS,
    LN_JWS_FAMILY_EC,
    LN_JWS_FAMILY_ED,
} ln_jws_family;

typedef struct ln_jws_key {
    EVP_PKEY *pkey; /* NULL: a secret */
    uint8_t *secret;
    uint32_t secret_size;
    uint8_t alg; /* ln_jws_alg */
    uint8_t kid_size, issuer_size;
    char kid[LN_JWS_KID_MAX], issuer[LN_JWS_ISSUER_MAX];
} ln_jws_key;

struct ln_jws_keys {
    ln_ref refs;
    uint32_t count;
    ln_jws_key items[LN_JWS_KEYS_MAX];
};

static inline ln_slice ln_jws_key_kid(const ln_jws_key *k) {
    return ln_slice_of(k->kid, k->kid_size);
}
static inline ln_slice ln_jws_key_issuer(const ln_jws_key *k) {
    return ln_slice_of(k->issuer, k->issuer_size);
}

ln_jws_family ln_jws_family_of(ln_jws_alg alg);
const char *ln_jws_digest_of(ln_jws_alg alg); /* NULL: the algorithm has its own */
/* Bytes of an EC signature: r and s. */
size_t ln_jws_ec_size(ln_jws_alg alg);
/* Fills *k, which is empty, and takes pkey also on failure. private: it is to sign. Errors as
 * ln_jws_keys_secret. */
int ln_jws_key_secret(ln_jws_key *k, const ln_jws_name *name, ln_slice secret, const char **why);
int ln_jws_key_pkey(ln_jws_key *k, const ln_jws_name *name, EVP_PKEY *pkey, const char **why);
void ln_jws_key_fini(ln_jws_key *k);
/* The MAC of some bytes. LINNET_ERR_NOMEM. */
int ln_jws_mac(const ln_jws_key *k, ln_slice bytes, uint8_t out[EVP_MAX_MD_SIZE], size_t *size);
#endif
