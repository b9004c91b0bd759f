/* jws_sign.c -- making tokens: for the command line, for tests, and for our own tickets. */
#include "base/b64url.h"
#include "base/mem.h"
#include "session/jws_key.h"
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

struct ln_jws_signer {
    ln_jws_key key;
};

int ln_jws_signer_secret(
    const ln_jws_name *name, ln_slice secret, ln_jws_signer **out, const char **why) {
    ln_jws_signer *s = ln_calloc(1, sizeof *s);
    if (!s) return LINNET_ERR_NOMEM;
    int err = ln_jws_key_secret(&s->key, name, secret, why);
    if (err < 0)
        ln_free(s);
    else
        *out = s;
    return err;
}

/* Without it OpenSSL would ask the terminal. */
static int no_password(char *buf, int size, int writing, void *ctx) {
    (void)buf;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

int ln_jws_signer_pem(
    const ln_jws_name *name, ln_slice pem, ln_jws_signer **out, const char **why) {
    *why = "there is no unencrypted PEM private key in it";
    if (pem.size == 0 || pem.size > LN_BUF_MAX) return LINNET_ERR_INVAL;
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    ln_jws_signer *s = ln_calloc(1, sizeof *s);
    EVP_PKEY *pkey = bio && s ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    ERR_clear_error();
    int err = !bio || !s ? LINNET_ERR_NOMEM : LINNET_ERR_INVAL;
    BIO_free(bio);
    if (pkey) err = ln_jws_key_pkey(&s->key, name, pkey, why);
    if (err < 0)
        ln_free(s);
    else
        *out = s;
    return err;
}

void ln_jws_signer_free(ln_jws_signer *s) {
    if (!s) return;
    ln_jws_key_fini(&s->key);
    ln_free(s);
}

ln_jws_alg ln_jws_signer_alg(const ln_jws_signer *s) {
    return (ln_jws_alg)s->key.alg;
}

static int put_header(const ln_jws_key *k, ln_buf *out) {
    ln_buf text;
    ln_buf_init(&text, 1024);
    ln_json_writer w = ln_json_begin(&text);
    ln_json_open(&w, '{');
    ln_json_key(&w, "alg");
    ln_json_str(&w, ln_slice_str(ln_jws_alg_name((ln_jws_alg)k->alg)));
    ln_json_key(&w, "typ");
    ln_json_str(&w, LN_SLICE("JWT"));
    if (k->kid_size) {
        ln_json_key(&w, "kid");
        ln_json_str(&w, ln_jws_key_kid(k));
    }
    ln_json_close(&w, '}');
    int err = ln_json_end(&w);
    if (err == LINNET_OK) err = ln_b64url_put(ln_buf_slice(&text), out);
    ln_buf_fini(&text);
    return err;
}

/* r and s side by side, each in its full length. */
static bool ec_raw(
    ln_jws_alg alg, const uint8_t *der, size_t size, uint8_t *out, size_t *out_size) {
    const uint8_t *at = der;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)size);
    if (!sig) return false;
    int half = (int)ln_jws_ec_size(alg) / 2;
    bool good = BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, half) == half &&
                BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + half, half) == half;
    *out_size = 2 * (size_t)half;
    ECDSA_SIG_free(sig);
    return good;
}

#define SIGNATURE_MAX 1024 /* RSA of 8192 bits */

static bool sign(const ln_jws_key *k, ln_slice bytes, uint8_t *out, size_t *size) {
    ln_jws_alg alg = (ln_jws_alg)k->alg;
    ln_jws_family family = ln_jws_family_of(alg);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = NULL;
    uint8_t made[SIGNATURE_MAX];
    size_t n = sizeof made;
    bool good = ctx && EVP_DigestSignInit_ex(
                           ctx, &pctx, ln_jws_digest_of(alg), NULL, NULL, k->pkey, NULL) == 1;
    if (good && family == LN_JWS_FAMILY_PSS)
        good = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1;
    good = good && EVP_DigestSign(ctx, made, &n, bytes.data, bytes.size) == 1;
    EVP_MD_CTX_free(ctx);
    if (!good) return false;
    if (family == LN_JWS_FAMILY_EC) return ec_raw(alg, made, n, out, size);
    memcpy(out, made, n);
    *size = n;
    return true;
}

static int put_signature(const ln_jws_key *k, ln_slice bytes, ln_buf *out) {
    uint8_t signature[SIGNATURE_MAX];
    size_t size = 0;
    if (k->secret) {
        int err = ln_jws_mac(k, bytes, signature, &size);
        if (err < 0) return err;
    } else if (!sign(k, bytes, signature, &size)) {
        ERR_clear_error();
        return LINNET_ERR_NOMEM;
    }
    /* `bytes` lie in `out`, which may move now; they are not needed any more. */
    int err = ln_buf_add_byte(out, '.');
    return err < 0 ? err : ln_b64url_put(ln_slice_of(signature, size), out);
}

int ln_jws_sign(const ln_jws_signer *s, ln_slice claims, ln_buf *out) {
    uint32_t start = out->size;
    int err = put_header(&s->key, out);
    if (err == LINNET_OK) err = ln_buf_add_byte(out, '.');
    if (err == LINNET_OK) err = ln_b64url_put(claims, out);
    if (err == LINNET_OK) {
        ln_slice all = ln_buf_slice(out);
        err = put_signature(&s->key, ln_slice_sub(all, start, all.size), out);
    }
    if (err < 0) out->size = start;
    return err;
}
