/* source_test.h -- an issuer: an Ed25519 key, the set it publishes, the tokens it signs.
 */
#ifndef LN_SESSION_SOURCE_TEST_H
#define LN_SESSION_SOURCE_TEST_H
#include "base/b64url.h"
#include "base/testing.h"
#include <openssl/evp.h>

typedef struct issuer {
    EVP_PKEY *key;
} issuer;

static inline void issuer_new(issuer *i) {
    i->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    assert_non_null(i->key);
}

static inline void issuer_free(issuer *i) {
    EVP_PKEY_free(i->key);
}

/* Appends a set of its one key. */
static inline void issuer_set(const issuer *i, const char *kid, ln_buf *out) {
    uint8_t public[32];
    size_t size = sizeof public;
    assert_int_equal(EVP_PKEY_get_raw_public_key(i->key, public, &size), 1);
    assert_int_equal(ln_buf_addf(out,
                         "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":"
                         "\"EdDSA\",\"use\":\"sig\",\"kid\":\"%s\",\"x\":\"",
                         kid),
        LINNET_OK);
    assert_int_equal(ln_b64url_put(ln_slice_of(public, size), out), LINNET_OK);
    assert_int_equal(ln_buf_add(out, LN_SLICE("\"}]}")), LINNET_OK);
}

/* Appends a token for anna. name, kid NULL: it says none. */
static inline void issuer_sign(
    const issuer *i, const char *name, const char *kid, uint64_t expires, ln_buf *out) {
    char text[256];
    uint8_t signature[64];
    size_t size = sizeof signature;
    int n = snprintf(text, sizeof text, "{\"alg\":\"EdDSA\"%s%s%s}", kid ? ",\"kid\":\"" : "",
        kid ? kid : "", kid ? "\"" : "");
    uint32_t start = out->size;
    assert_int_equal(ln_b64url_put(ln_slice_of(text, (size_t)n), out), LINNET_OK);
    assert_int_equal(ln_buf_add_byte(out, '.'), LINNET_OK);
    n = snprintf(text, sizeof text, "{\"sub\":\"anna\",\"exp\":%llu%s%s%s}",
        (unsigned long long)expires, name ? ",\"iss\":\"" : "", name ? name : "", name ? "\"" : "");
    assert_int_equal(ln_b64url_put(ln_slice_of(text, (size_t)n), out), LINNET_OK);
    ln_slice all = ln_buf_slice(out), part = ln_slice_sub(all, start, all.size);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, i->key), 1);
    assert_int_equal(EVP_DigestSign(ctx, signature, &size, part.data, part.size), 1);
    EVP_MD_CTX_free(ctx);
    assert_int_equal(ln_buf_add_byte(out, '.'), LINNET_OK);
    assert_int_equal(ln_b64url_put(ln_slice_of(signature, size), out), LINNET_OK);
}
#endif
