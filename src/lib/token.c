/* token.c -- the public face of session/jws.h. */
#include "lib/token.h"
#include "base/mem.h"
#include "lib/sized.h"
#include <time.h>

int linnet_keys_new(linnet_keys **out) {
    if (!out) return LINNET_ERR_INVAL;
    linnet_keys *keys = ln_calloc(1, sizeof *keys);
    if (!keys) return LINNET_ERR_NOMEM;
    int err = ln_jws_keys_new(&keys->keys);
    keys->why = "";
    if (err < 0)
        ln_free(keys);
    else
        *out = keys;
    return err;
}

void linnet_keys_free(linnet_keys *keys) {
    if (keys) ln_jws_keys_unref(keys->keys);
    ln_free(keys);
}

const char *linnet_keys_error(const linnet_keys *keys) {
    return keys->why;
}

static int name_of(const linnet_key *key, ln_jws_name *out, const char **why) {
    if (!key || !ln_sized(key, sizeof *key) || (key->bytes.size && !key->bytes.data)) {
        *why = "that is no key";
        return LINNET_ERR_INVAL;
    }
    *out = (ln_jws_name){ .kid = linnet_str(key->kid), .issuer = linnet_str(key->issuer) };
    if (!key->alg) return LINNET_OK;
    out->alg = ln_jws_alg_of(linnet_str(key->alg));
    if (out->alg) return LINNET_OK;
    *why = "there is no such algorithm";
    return LINNET_ERR_INVAL;
}

int linnet_keys_add(linnet_keys *keys, const linnet_key *key) {
    ln_jws_name name;
    if (!keys) return LINNET_ERR_INVAL;
    keys->why = "";
    if (keys->used) return LINNET_ERR_STATE;
    int err = name_of(key, &name, &keys->why);
    if (err < 0) return err;
    if (key->form == LINNET_KEY_SECRET)
        err = ln_jws_keys_secret(keys->keys, &name, key->bytes, &keys->why);
    else if (key->form == LINNET_KEY_PEM)
        err = ln_jws_keys_pem(keys->keys, &name, key->bytes, &keys->why);
    else if (key->form == LINNET_KEY_JWK)
        err = ln_jws_keys_jwk(keys->keys, &name, key->bytes, &keys->why);
    else
        err = LINNET_ERR_INVAL;
    if (err == LINNET_ERR_LIMIT) keys->why = "there are more than 64 keys";
    return err;
}

#define NAMES_MAX 64

static size_t slices_of(const char *const *list, ln_slice out[NAMES_MAX]) {
    size_t count = 0;
    for (; list && list[count] && count < NAMES_MAX; count++)
        out[count] = linnet_str(list[count]);
    return count;
}

int linnet_token_check(const linnet_keys *keys, const linnet_token_policy *policy,
    linnet_slice token, char claims[LINNET_TOKEN_MAX], size_t *size, const char **why) {
    linnet_token_policy standard = LINNET_TOKEN_POLICY_INIT;
    ln_slice issuers[NAMES_MAX], audiences[NAMES_MAX];
    if (!policy) policy = &standard;
    if (!keys || !claims || !size || !why || !ln_sized(policy, sizeof *policy))
        return LINNET_ERR_INVAL;
    ln_jws_policy p = { .issuers = issuers, .audiences = audiences };
    p.issuer_count = slices_of(policy->issuers, issuers);
    p.audience_count = slices_of(policy->audiences, audiences);
    ln_buf scratch;
    ln_jws_token out;
    ln_jws_fault fault;
    ln_buf_init(&scratch, LN_JWS_SCRATCH);
    uint64_t now = policy->now ? policy->now : (uint64_t)time(NULL);
    int err = ln_jws_check(keys->keys, &p, token, now, &scratch, &out, &fault);
    if (err == LINNET_ERR_DENIED) *why = ln_jws_fault_words(fault);
    if (err == LINNET_OK) {
        memcpy(claims, out.claims.raw.data, out.claims.raw.size);
        *size = out.claims.raw.size;
    }
    ln_buf_fini(&scratch);
    return err;
}

static int signer_of(const linnet_key *key, ln_jws_signer **out, const char **why) {
    ln_jws_name name;
    int err = name_of(key, &name, why);
    if (err < 0) return err;
    if (key->form == LINNET_KEY_SECRET) return ln_jws_signer_secret(&name, key->bytes, out, why);
    if (key->form == LINNET_KEY_PEM) return ln_jws_signer_pem(&name, key->bytes, out, why);
    *why = "to sign, a secret or a PEM private key is wanted";
    return LINNET_ERR_INVAL;
}

int linnet_token_sign(const linnet_key *key, linnet_slice claims, char token[LINNET_TOKEN_MAX + 1],
    const char **why) {
    ln_json_value object;
    ln_jws_signer *signer;
    if (!token || !why) return LINNET_ERR_INVAL;
    if (ln_json_check(claims, &object) < 0 || object.kind != LN_JSON_OBJECT) return LINNET_ERR_JSON;
    int err = signer_of(key, &signer, why);
    if (err < 0) return err;
    ln_buf out;
    ln_buf_init(&out, LN_BUF_MAX);
    err = ln_jws_sign(signer, claims, &out);
    if (err == LINNET_OK && out.size > LINNET_TOKEN_MAX) err = LINNET_ERR_TOO_BIG;
    if (err == LINNET_OK) {
        memcpy(token, ln_buf_slice(&out).data, out.size);
        token[out.size] = 0;
    }
    ln_buf_fini(&out);
    ln_jws_signer_free(signer);
    return err;
}
