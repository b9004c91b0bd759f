#include "base/b64url.h"
#include "base/testing.h"
#include "session/jws.h"
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#define NOW    1700000000
#define SECRET "a secret of thirty-two bytes....plus"

/* Tools ----------------------------------------------------------------------------------- */

static const ln_jws_name nameless;

static ln_jws_keys *keys_new(void) {
    ln_jws_keys *keys;
    assert_int_equal(ln_jws_keys_new(&keys), LINNET_OK);
    return keys;
}

static ln_jws_keys *secret_keys(ln_jws_alg alg) {
    ln_jws_keys *keys = keys_new();
    ln_jws_name name = { .alg = alg };
    const char *why = NULL;
    assert_int_equal(ln_jws_keys_secret(keys, &name, LN_SLICE(SECRET), &why), LINNET_OK);
    return keys;
}

static ln_jws_fault check_with(
    const ln_jws_keys *keys, const ln_jws_policy *policy, ln_slice token) {
    ln_buf scratch;
    ln_buf_init(&scratch, LN_JWS_SCRATCH);
    ln_jws_token out;
    ln_jws_fault fault;
    ln_slice exact = ln_test_exact(token);
    int err = ln_jws_check(keys, policy, exact, NOW, &scratch, &out, &fault);
    assert_int_equal(err, fault == LN_JWS_FAULT_NONE ? LINNET_OK : LINNET_ERR_DENIED);
    ln_test_drop(exact);
    ln_buf_fini(&scratch);
    return fault;
}

static ln_jws_fault check(const ln_jws_keys *keys, ln_slice token) {
    ln_jws_policy any = { 0 };
    return check_with(keys, &any, token);
}

/* A token with any header at all, signed with HMAC-SHA-256 and some bytes. */
static void forge(ln_buf *out, ln_slice header, ln_slice claims, ln_slice secret) {
    uint8_t mac[EVP_MAX_MD_SIZE];
    size_t size;
    ln_buf_init(out, 65536);
    assert_int_equal(ln_b64url_put(header, out), LINNET_OK);
    assert_int_equal(ln_buf_add_byte(out, '.'), LINNET_OK);
    assert_int_equal(ln_b64url_put(claims, out), LINNET_OK);
    assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret.data, secret.size,
        ln_buf_slice(out).data, out->size, mac, sizeof mac, &size));
    assert_int_equal(ln_buf_add_byte(out, '.'), LINNET_OK);
    assert_int_equal(ln_b64url_put(ln_slice_of(mac, size), out), LINNET_OK);
}

/* A fresh key pair as PEM. */
static void pair(ln_jws_alg alg, ln_buf *private, ln_buf *public) {
    EVP_PKEY *pkey = NULL;
    switch (alg) {
    case LN_JWS_ES256: pkey = EVP_EC_gen("P-256"); break;
    case LN_JWS_ES384: pkey = EVP_EC_gen("P-384"); break;
    case LN_JWS_ES512: pkey = EVP_EC_gen("P-521"); break;
    case LN_JWS_EdDSA: pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"); break;
    default: pkey = EVP_RSA_gen(2048); break;
    }
    assert_non_null(pkey);
    char *text;
    BIO *a = BIO_new(BIO_s_mem()), *b = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(a, pkey, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(PEM_write_bio_PUBKEY(b, pkey), 1);
    ln_buf_init(private, 65536);
    ln_buf_init(public, 65536);
    size_t size = (size_t)BIO_get_mem_data(a, &text);
    assert_int_equal(ln_buf_add(private, ln_slice_of(text, size)), LINNET_OK);
    size = (size_t)BIO_get_mem_data(b, &text);
    assert_int_equal(ln_buf_add(public, ln_slice_of(text, size)), LINNET_OK);
    BIO_free(a);
    BIO_free(b);
    EVP_PKEY_free(pkey);
}

#define CLAIMS "{\"sub\":\"anna\",\"exp\":1700000600}"

/* Every algorithm ------------------------------------------------------------------------- */

static void signer_for(ln_jws_alg alg, ln_jws_signer **signer, ln_jws_keys *keys) {
    ln_jws_name name = { .alg = alg };
    const char *why = NULL;
    if (alg <= LN_JWS_HS512) {
        assert_int_equal(ln_jws_signer_secret(&name, LN_SLICE(SECRET), signer, &why), LINNET_OK);
        assert_int_equal(ln_jws_keys_secret(keys, &name, LN_SLICE(SECRET), &why), LINNET_OK);
        return;
    }
    ln_buf private, public;
    pair(alg, &private, &public);
    assert_int_equal(ln_jws_signer_pem(&name, ln_buf_slice(&private), signer, &why), LINNET_OK);
    assert_int_equal(ln_jws_keys_pem(keys, &name, ln_buf_slice(&public), &why), LINNET_OK);
    assert_int_equal(ln_jws_keys_pem(keys, &name, ln_buf_slice(&private), &why), LINNET_ERR_INVAL);
    assert_int_equal(ln_jws_keys_count(keys), 1);
    ln_buf_fini(&private);
    ln_buf_fini(&public);
}

/* Our own are taken, cut anywhere they are not, and with any one bit turned neither. */
static void own_tokens_and_no_others(void **state) {
    for (int alg = LN_JWS_HS256; alg <= LN_JWS_EdDSA; alg++) {
        ln_jws_keys *keys = keys_new();
        ln_jws_signer *signer;
        signer_for((ln_jws_alg)alg, &signer, keys);
        assert_int_equal(ln_jws_signer_alg(signer), alg);
        ln_buf token;
        ln_buf_init(&token, 65536);
        assert_int_equal(ln_jws_sign(signer, LN_SLICE(CLAIMS), &token), LINNET_OK);
        ln_slice all = ln_buf_slice(&token);
        if (check(keys, all)) fail_msg("%s", ln_jws_alg_name((ln_jws_alg)alg));
        for (size_t cut = 0; cut < all.size; cut++)
            assert_int_not_equal(check(keys, ln_slice_sub(all, 0, cut)), LN_JWS_FAULT_NONE);
        for (size_t i = 0; i < all.size; i++) {
            token.data[token.head + i] ^= (uint8_t)(1u << i % 7);
            assert_int_not_equal(check(keys, all), LN_JWS_FAULT_NONE);
            token.data[token.head + i] ^= (uint8_t)(1u << i % 7);
        }
        assert_int_equal(check(keys, all), LN_JWS_FAULT_NONE);
        ln_buf_fini(&token);
        ln_jws_signer_free(signer);
        ln_jws_keys_unref(keys);
    }
}

/* A key of one algorithm takes no token of another, whatever the key could do. */
static void keys_are_pinned(void **state) {
    ln_buf private, public;
    pair(LN_JWS_RS256, &private, &public);
    for (int signs = LN_JWS_RS256; signs <= LN_JWS_PS512; signs++) {
        for (int checks = LN_JWS_RS256; checks <= LN_JWS_PS512; checks++) {
            ln_jws_keys *keys = keys_new();
            ln_jws_signer *signer;
            ln_jws_name a = { .alg = (ln_jws_alg)signs }, b = { .alg = (ln_jws_alg)checks };
            const char *why = NULL;
            assert_int_equal(
                ln_jws_signer_pem(&a, ln_buf_slice(&private), &signer, &why), LINNET_OK);
            assert_int_equal(ln_jws_keys_pem(keys, &b, ln_buf_slice(&public), &why), LINNET_OK);
            ln_buf token;
            ln_buf_init(&token, 65536);
            assert_int_equal(ln_jws_sign(signer, LN_SLICE(CLAIMS), &token), LINNET_OK);
            assert_int_equal(check(keys, ln_buf_slice(&token)),
                signs == checks ? LN_JWS_FAULT_NONE : LN_JWS_FAULT_KEY);
            ln_buf_fini(&token);
            ln_jws_signer_free(signer);
            ln_jws_keys_unref(keys);
        }
    }
    ln_buf_fini(&private);
    ln_buf_fini(&public);
}

/* The old trick: HMAC with the public key, which everybody has, as its secret. */
static void a_public_key_is_no_secret(void **state) {
    ln_buf private, public, token;
    pair(LN_JWS_RS256, &private, &public);
    ln_jws_keys *keys = keys_new();
    const char *why = NULL;
    assert_int_equal(ln_jws_keys_pem(keys, &nameless, ln_buf_slice(&public), &why), LINNET_OK);
    forge(&token, LN_SLICE("{\"alg\":\"HS256\"}"), LN_SLICE(CLAIMS), ln_buf_slice(&public));
    assert_int_equal(check(keys, ln_buf_slice(&token)), LN_JWS_FAULT_KEY);
    ln_buf_fini(&token);
    forge(&token, LN_SLICE("{\"alg\":\"RS256\"}"), LN_SLICE(CLAIMS), ln_buf_slice(&public));
    assert_int_equal(check(keys, ln_buf_slice(&token)), LN_JWS_FAULT_SIGNATURE);
    ln_buf_fini(&token);
    ln_buf_fini(&private);
    ln_buf_fini(&public);
    ln_jws_keys_unref(keys);
}

/* The examples of RFC 7515, A.1 and A.3, which expired long ago. */
#define JOE                                                                                        \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"
static const struct {
    const char *why;
    ln_slice jwk, token;
} published[] = {
    { "A.1, HS256",
        LN_SLICE_INIT("{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
                      "1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}"),
        LN_SLICE_INIT("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." JOE
                      ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") },
    { "A.3, ES256",
        LN_SLICE_INIT("{\"kty\":\"EC\",\"crv\":\"P-256\","
                      "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                      "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"),
        LN_SLICE_INIT(
            "eyJhbGciOiJFUzI1NiJ9." JOE ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfT"
            "jDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q") },
};

static void published_examples(void **state) {
    for (size_t i = 0; i < LN_COUNT(published); i++) {
        ln_jws_keys *keys = keys_new();
        const char *why = NULL;
        ln_buf scratch;
        ln_buf_init(&scratch, LN_JWS_SCRATCH);
        ln_jws_token out;
        ln_jws_fault fault;
        ln_jws_policy joe = { .issuers = (const ln_slice[]){ LN_SLICE("joe") }, .issuer_count = 1 };
        if (ln_jws_keys_jwk(keys, &nameless, published[i].jwk, &why) < 0)
            fail_msg("%s: %s", published[i].why, why);
        if (ln_jws_check(keys, &joe, published[i].token, 1300819380, &scratch, &out, &fault) < 0)
            fail_msg("%s: %s", published[i].why, ln_jws_fault_words(fault));
        assert_int_equal(out.expires, 1300819380);
        assert_int_equal(out.claims.kind, LN_JSON_OBJECT);
        assert_int_equal(ln_jws_check(keys, &joe, published[i].token, NOW, &scratch, &out, &fault),
            LINNET_ERR_DENIED);
        assert_int_equal(fault, LN_JWS_FAULT_EXPIRED);
        ln_buf_fini(&scratch);
        ln_jws_keys_unref(keys);
    }
}

/* Headers --------------------------------------------------------------------------------- */

static const struct {
    const char *why;
    const char *header;
    ln_jws_fault fault;
} headers[] = {
    { "the least there is", "{\"alg\":\"HS256\"}", LN_JWS_FAULT_NONE },
    { "what is usual", "{\"typ\":\"JWT\",\"alg\":\"HS256\"}", LN_JWS_FAULT_NONE },
    { "white space", "{ \"alg\" :\n \"HS256\" }", LN_JWS_FAULT_NONE },
    { "escapes that mean the same", "{\"al\\u0067\":\"HS\\u0032\\u0035\\u0036\"}",
        LN_JWS_FAULT_NONE },
    { "alg none", "{\"alg\":\"none\"}", LN_JWS_FAULT_HEADER },
    { "alg None", "{\"alg\":\"None\"}", LN_JWS_FAULT_HEADER },
    { "alg NONE", "{\"alg\":\"NONE\"}", LN_JWS_FAULT_HEADER },
    { "alg empty", "{\"alg\":\"\"}", LN_JWS_FAULT_HEADER },
    { "alg missing", "{\"typ\":\"JWT\"}", LN_JWS_FAULT_HEADER },
    { "alg null", "{\"alg\":null}", LN_JWS_FAULT_HEADER },
    { "alg an array", "{\"alg\":[\"HS256\"]}", LN_JWS_FAULT_HEADER },
    { "alg an object", "{\"alg\":{\"HS256\":1}}", LN_JWS_FAULT_HEADER },
    { "alg in other letters", "{\"alg\":\"hs256\"}", LN_JWS_FAULT_HEADER },
    { "alg with a blank", "{\"alg\":\"HS256 \"}", LN_JWS_FAULT_HEADER },
    { "alg with a NUL", "{\"alg\":\"HS256\\u0000\"}", LN_JWS_FAULT_HEADER },
    { "alg of another length", "{\"alg\":\"HS512\"}", LN_JWS_FAULT_KEY },
    { "alg of another family", "{\"alg\":\"RS256\"}", LN_JWS_FAULT_KEY },
    { "alg twice", "{\"alg\":\"HS256\",\"alg\":\"none\"}", LN_JWS_FAULT_FORM },
    { "alg twice, once in escapes", "{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}",
        LN_JWS_FAULT_FORM },
    { "any other key twice", "{\"alg\":\"HS256\",\"x\":1,\"x\":1}", LN_JWS_FAULT_FORM },
    { "kid, and the key has none", "{\"alg\":\"HS256\",\"kid\":\"a\"}", LN_JWS_FAULT_NONE },
    { "kid a number", "{\"alg\":\"HS256\",\"kid\":1}", LN_JWS_FAULT_HEADER },
    { "crit that is unknown", "{\"alg\":\"HS256\",\"crit\":[\"x\"],\"x\":1}", LN_JWS_FAULT_HEADER },
    { "crit that is empty", "{\"alg\":\"HS256\",\"crit\":[]}", LN_JWS_FAULT_HEADER },
    { "b64 false", "{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}", LN_JWS_FAULT_HEADER },
    { "b64 false and not critical", "{\"alg\":\"HS256\",\"b64\":false}", LN_JWS_FAULT_HEADER },
    { "zip", "{\"alg\":\"HS256\",\"zip\":\"DEF\"}", LN_JWS_FAULT_HEADER },
    { "enc", "{\"alg\":\"HS256\",\"enc\":\"A256GCM\"}", LN_JWS_FAULT_HEADER },
    { "keys elsewhere are not looked at",
        "{\"alg\":\"HS256\",\"jku\":\"http://127.0.0.1:9/k\",\"x5u\":\"http://127.0.0.1:9/c\"}",
        LN_JWS_FAULT_NONE },
    { "keys it brings along are not looked at",
        "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"},\"x5c\":[\"MII\"]}",
        LN_JWS_FAULT_NONE },
    { "no object", "[\"HS256\"]", LN_JWS_FAULT_FORM },
    { "a string", "\"HS256\"", LN_JWS_FAULT_FORM },
    { "no JSON", "{alg:HS256}", LN_JWS_FAULT_FORM },
    { "something behind it", "{\"alg\":\"HS256\"} x", LN_JWS_FAULT_FORM },
    { "a byte order mark", "\xef\xbb\xbf{\"alg\":\"HS256\"}", LN_JWS_FAULT_FORM },
    { "no UTF-8", "{\"alg\":\"HS256\",\"x\":\"\xff\"}", LN_JWS_FAULT_FORM },
    { "33 keys",
        "{\"alg\":\"HS256\",\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,\"6\":1,\"7\":1,\"8\":1,"
        "\"9\":1,\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,"
        "\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1,\"p\":1,\"q\":1,\"r\":1,\"s\":1,\"t\":1,\"u\":1,"
        "\"v\":1,\"w\":1,\"x\":1}",
        LN_JWS_FAULT_FORM },
};

static void what_headers_say(void **state) {
    ln_jws_keys *keys = secret_keys(LN_JWS_HS256);
    for (size_t i = 0; i < LN_COUNT(headers); i++) {
        ln_buf token;
        forge(&token, ln_slice_str(headers[i].header), LN_SLICE(CLAIMS), LN_SLICE(SECRET));
        ln_jws_fault fault = check(keys, ln_buf_slice(&token));
        if (fault != headers[i].fault)
            fail_msg("%s: %s", headers[i].why, ln_jws_fault_words(fault));
        ln_buf_fini(&token);
    }
    ln_jws_keys_unref(keys);
}

static const struct {
    const char *why;
    const char *text; /* %s: a good token */
    ln_jws_fault fault;
} forms[] = {
    { "as it is", "%s", LN_JWS_FAULT_NONE },
    { "nothing", "", LN_JWS_FAULT_FORM },
    { "two dots", "..", LN_JWS_FAULT_FORM },
    { "a blank before it", " %s", LN_JWS_FAULT_FORM },
    { "a blank behind it", "%s ", LN_JWS_FAULT_FORM },
    { "padding", "%s=", LN_JWS_FAULT_FORM },
    { "a fourth part", "%s.", LN_JWS_FAULT_FORM },
    { "five parts: encrypted", "%s.AA.AA", LN_JWS_FAULT_FORM },
    { "the scheme of a header", "Bearer %s", LN_JWS_FAULT_FORM },
};

static void what_is_no_token(void **state) {
    ln_jws_keys *keys = secret_keys(LN_JWS_HS256);
    ln_buf token;
    forge(&token, LN_SLICE("{\"alg\":\"HS256\"}"), LN_SLICE(CLAIMS), LN_SLICE(SECRET));
    assert_int_equal(ln_buf_add_byte(&token, 0), LINNET_OK);
    for (size_t i = 0; i < LN_COUNT(forms); i++) {
        ln_buf text;
        ln_buf_init(&text, 65536);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        assert_int_equal(
            ln_buf_addf(&text, forms[i].text, (const char *)ln_buf_slice(&token).data), LINNET_OK);
#pragma GCC diagnostic pop
        if (check(keys, ln_buf_slice(&text)) != forms[i].fault) fail_msg("%s", forms[i].why);
        ln_buf_fini(&text);
    }
    ln_slice unsigned_part = ln_buf_slice(&token);
    while (unsigned_part.data[unsigned_part.size - 1] != '.')
        unsigned_part.size--;
    assert_int_equal(check(keys, unsigned_part), LN_JWS_FAULT_FORM);
    ln_buf_fini(&token);
    ln_jws_keys_unref(keys);
}

/* A claim that fills a token up to the limit, and one byte more. */
static void four_kib_and_no_more(void **state) {
    ln_jws_keys *keys = secret_keys(LN_JWS_HS256);
    bool seen[2] = { false, false };
    for (size_t fill = 2900; fill < 3100; fill++) {
        ln_buf claims, token;
        ln_buf_init(&claims, 65536);
        assert_int_equal(
            ln_buf_addf(&claims, "{\"exp\":1700000600,\"x\":\"%*s\"}", (int)fill, ""), LINNET_OK);
        forge(&token, LN_SLICE("{\"alg\":\"HS256\"}"), ln_buf_slice(&claims), LN_SLICE(SECRET));
        bool over = token.size > LN_JWS_TOKEN_MAX;
        seen[over] = true;
        assert_int_equal(
            check(keys, ln_buf_slice(&token)), over ? LN_JWS_FAULT_SIZE : LN_JWS_FAULT_NONE);
        ln_buf_fini(&claims);
        ln_buf_fini(&token);
    }
    assert_true(seen[0] && seen[1]);
    ln_jws_keys_unref(keys);
}

/* Claims ---------------------------------------------------------------------------------- */

static const struct {
    const char *why;
    const char *claims;
    ln_jws_fault fault;
} claims[] = {
    { "expires later", "{\"exp\":1700000001}", LN_JWS_FAULT_NONE },
    { "expired 29 s ago, inside the skew", "{\"exp\":1699999971}", LN_JWS_FAULT_NONE },
    { "expired 30 s ago", "{\"exp\":1699999970}", LN_JWS_FAULT_EXPIRED },
    { "at the far end of time", "{\"exp\":9007199254740991}", LN_JWS_FAULT_NONE },
    { "beyond it", "{\"exp\":9007199254740992}", LN_JWS_FAULT_CLAIMS },
    { "exp missing", "{\"sub\":\"a\"}", LN_JWS_FAULT_CLAIMS },
    { "exp a string", "{\"exp\":\"1700000600\"}", LN_JWS_FAULT_CLAIMS },
    { "exp a fraction", "{\"exp\":1700000600.5}", LN_JWS_FAULT_CLAIMS },
    { "exp 1e300", "{\"exp\":1e300}", LN_JWS_FAULT_CLAIMS },
    { "exp negative", "{\"exp\":-1}", LN_JWS_FAULT_CLAIMS },
    { "exp zero", "{\"exp\":0}", LN_JWS_FAULT_CLAIMS },
    { "exp null", "{\"exp\":null}", LN_JWS_FAULT_CLAIMS },
    { "exp true", "{\"exp\":true}", LN_JWS_FAULT_CLAIMS },
    { "exp twice", "{\"exp\":1700000600,\"exp\":1}", LN_JWS_FAULT_CLAIMS },
    { "exp twice, once in escapes", "{\"exp\":1700000600,\"e\\u0078p\":1}", LN_JWS_FAULT_CLAIMS },
    { "nbf now", "{\"exp\":1700000600,\"nbf\":1700000000}", LN_JWS_FAULT_NONE },
    { "nbf inside the skew", "{\"exp\":1700000600,\"nbf\":1700000030}", LN_JWS_FAULT_NONE },
    { "nbf beyond it", "{\"exp\":1700000600,\"nbf\":1700000031}", LN_JWS_FAULT_EARLY },
    { "nbf a string", "{\"exp\":1700000600,\"nbf\":\"0\"}", LN_JWS_FAULT_CLAIMS },
    { "iat in the past", "{\"exp\":1700000600,\"iat\":1}", LN_JWS_FAULT_NONE },
    { "iat in the future", "{\"exp\":1700000600,\"iat\":1700000031}", LN_JWS_FAULT_EARLY },
    { "iat a float", "{\"exp\":1700000600,\"iat\":1e9}", LN_JWS_FAULT_CLAIMS },
    { "sub twice", "{\"exp\":1700000600,\"sub\":\"a\",\"sub\":\"b\"}", LN_JWS_FAULT_CLAIMS },
    { "iss a number", "{\"exp\":1700000600,\"iss\":1}", LN_JWS_FAULT_CLAIMS },
    { "claims an array", "[1700000600]", LN_JWS_FAULT_CLAIMS },
    { "claims no JSON", "exp", LN_JWS_FAULT_CLAIMS },
    { "claims 65 deep",
        "{\"exp\":1700000600,\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
        "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
        LN_JWS_FAULT_CLAIMS },
};

static void what_claims_say(void **state) {
    ln_jws_keys *keys = secret_keys(LN_JWS_HS256);
    for (size_t i = 0; i < LN_COUNT(claims); i++) {
        ln_buf token;
        forge(&token, LN_SLICE("{\"alg\":\"HS256\"}"), ln_slice_str(claims[i].claims),
            LN_SLICE(SECRET));
        ln_jws_fault fault = check(keys, ln_buf_slice(&token));
        if (fault != claims[i].fault) fail_msg("%s: %s", claims[i].why, ln_jws_fault_words(fault));
        ln_buf_fini(&token);
    }
    ln_jws_keys_unref(keys);
}

static const struct {
    const char *why;
    const char *claims;
    ln_jws_fault fault;
} audiences[] = {
    { "both as they should be",
        "{\"exp\":1700000600,\"iss\":\"https://a.example\",\"aud\":\"chat\"}", LN_JWS_FAULT_NONE },
    { "one of many", "{\"exp\":1700000600,\"iss\":\"https://a.example\",\"aud\":[\"x\",\"chat\"]}",
        LN_JWS_FAULT_NONE },
    { "the slash of JSON in escapes",
        "{\"exp\":1700000600,\"iss\":\"https:\\/\\/a.example\",\"aud\":\"chat\"}",
        LN_JWS_FAULT_NONE },
    { "iss missing", "{\"exp\":1700000600,\"aud\":\"chat\"}", LN_JWS_FAULT_ISSUER },
    { "iss with a slash more",
        "{\"exp\":1700000600,\"iss\":\"https://a.example/\",\"aud\":\"chat\"}",
        LN_JWS_FAULT_ISSUER },
    { "iss in other letters", "{\"exp\":1700000600,\"iss\":\"https://A.example\",\"aud\":\"chat\"}",
        LN_JWS_FAULT_ISSUER },
    { "iss cut short", "{\"exp\":1700000600,\"iss\":\"https://a.exampl\",\"aud\":\"chat\"}",
        LN_JWS_FAULT_ISSUER },
    { "iss with a NUL behind it",
        "{\"exp\":1700000600,\"iss\":\"https://a.example\\u0000\",\"aud\":\"chat\"}",
        LN_JWS_FAULT_ISSUER },
    { "aud missing", "{\"exp\":1700000600,\"iss\":\"https://a.example\"}", LN_JWS_FAULT_AUDIENCE },
    { "aud a prefix", "{\"exp\":1700000600,\"iss\":\"https://a.example\",\"aud\":\"cha\"}",
        LN_JWS_FAULT_AUDIENCE },
    { "aud longer", "{\"exp\":1700000600,\"iss\":\"https://a.example\",\"aud\":\"chats\"}",
        LN_JWS_FAULT_AUDIENCE },
    { "aud in other letters", "{\"exp\":1700000600,\"iss\":\"https://a.example\",\"aud\":\"Chat\"}",
        LN_JWS_FAULT_AUDIENCE },
    { "aud an empty array", "{\"exp\":1700000600,\"iss\":\"https://a.example\",\"aud\":[]}",
        LN_JWS_FAULT_AUDIENCE },
    { "aud with a number in it",
        "{\"exp\":1700000600,\"iss\":\"https://a.example\",\"aud\":[\"chat\",1]}",
        LN_JWS_FAULT_CLAIMS },
    { "aud an object", "{\"exp\":1700000600,\"iss\":\"https://a.example\",\"aud\":{\"chat\":1}}",
        LN_JWS_FAULT_CLAIMS },
};

static void issuers_and_audiences_are_exact(void **state) {
    ln_jws_keys *keys = secret_keys(LN_JWS_HS256);
    const ln_slice issuers[] = { LN_SLICE_INIT("https://b.example"),
        LN_SLICE_INIT("https://a.example") };
    const ln_slice wanted[] = { LN_SLICE_INIT("chat") };
    ln_jws_policy policy = { issuers, 2, wanted, 1 };
    for (size_t i = 0; i < LN_COUNT(audiences); i++) {
        ln_buf token;
        forge(&token, LN_SLICE("{\"alg\":\"HS256\"}"), ln_slice_str(audiences[i].claims),
            LN_SLICE(SECRET));
        ln_jws_fault fault = check_with(keys, &policy, ln_buf_slice(&token));
        if (fault != audiences[i].fault)
            fail_msg("%s: %s", audiences[i].why, ln_jws_fault_words(fault));
        ln_buf_fini(&token);
    }
    ln_jws_keys_unref(keys);
}

/* Which key ------------------------------------------------------------------------------- */

#define K1 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" /* of "one" */
#define K2 "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB" /* of "two" */

static const struct {
    const char *why;
    const char *header, *secret;
    ln_jws_fault fault;
} kids[] = {
    { "the key of that name", "{\"alg\":\"HS256\",\"kid\":\"one\"}", K1, LN_JWS_FAULT_NONE },
    { "the name of the other", "{\"alg\":\"HS256\",\"kid\":\"two\"}", K1, LN_JWS_FAULT_SIGNATURE },
    { "a name nobody has", "{\"alg\":\"HS256\",\"kid\":\"three\"}", K1, LN_JWS_FAULT_KEY },
    { "a name in other letters", "{\"alg\":\"HS256\",\"kid\":\"One\"}", K1, LN_JWS_FAULT_KEY },
    { "the beginning of a name", "{\"alg\":\"HS256\",\"kid\":\"on\"}", K1, LN_JWS_FAULT_KEY },
    { "an empty name", "{\"alg\":\"HS256\",\"kid\":\"\"}", K1, LN_JWS_FAULT_KEY },
    { "a path", "{\"alg\":\"HS256\",\"kid\":\"../../../../dev/null\"}", "", LN_JWS_FAULT_KEY },
    { "words for a database", "{\"alg\":\"HS256\",\"kid\":\"x' UNION SELECT 'k\"}", K1,
        LN_JWS_FAULT_KEY },
    { "an address", "{\"alg\":\"HS256\",\"kid\":\"http://127.0.0.1:9/key\"}", K1,
        LN_JWS_FAULT_KEY },
    { "no name: all are asked", "{\"alg\":\"HS256\"}", K2, LN_JWS_FAULT_NONE },
    { "no name, and nobody's", "{\"alg\":\"HS256\"}", SECRET, LN_JWS_FAULT_SIGNATURE },
};

static void the_kid_chooses_the_key(void **state) {
    ln_jws_keys *keys = keys_new();
    const char *why = NULL;
    ln_jws_name one = { .kid = LN_SLICE("one") }, two = { .kid = LN_SLICE("two") };
    assert_int_equal(ln_jws_keys_secret(keys, &one, LN_SLICE(K1), &why), LINNET_OK);
    assert_int_equal(ln_jws_keys_secret(keys, &two, LN_SLICE(K2), &why), LINNET_OK);
    for (size_t i = 0; i < LN_COUNT(kids); i++) {
        ln_buf token;
        forge(&token, ln_slice_str(kids[i].header), LN_SLICE(CLAIMS), ln_slice_str(kids[i].secret));
        ln_jws_fault fault = check(keys, ln_buf_slice(&token));
        if (fault != kids[i].fault) fail_msg("%s: %s", kids[i].why, ln_jws_fault_words(fault));
        ln_buf_fini(&token);
    }
    for (int size = 127; size <= 129; size++) {
        ln_buf header, token;
        ln_buf_init(&header, 1000);
        assert_int_equal(
            ln_buf_addf(&header, "{\"alg\":\"HS256\",\"kid\":\"%0*d\"}", size, 1), LINNET_OK);
        forge(&token, ln_buf_slice(&header), LN_SLICE(CLAIMS), LN_SLICE(K1));
        assert_int_equal(check(keys, ln_buf_slice(&token)),
            size > LN_JWS_KID_MAX ? LN_JWS_FAULT_HEADER : LN_JWS_FAULT_KEY);
        ln_buf_fini(&header);
        ln_buf_fini(&token);
    }
    ln_jws_keys_unref(keys);
}

/* Each under the same kid: a key answers for its own issuer only. */
static void issuers_do_not_lend_their_keys(void **state) {
    ln_jws_keys *keys = keys_new();
    const char *why = NULL;
    ln_jws_name a = { .kid = LN_SLICE("k"), .issuer = LN_SLICE("A") };
    ln_jws_name b = { .kid = LN_SLICE("k"), .issuer = LN_SLICE("B") };
    assert_int_equal(ln_jws_keys_secret(keys, &a, LN_SLICE(K1), &why), LINNET_OK);
    assert_int_equal(ln_jws_keys_secret(keys, &b, LN_SLICE(K2), &why), LINNET_OK);
    static const struct {
        const char *claims, *secret;
        ln_jws_fault fault;
    } rows[] = {
        { "{\"exp\":1700000600,\"iss\":\"A\"}", K1, LN_JWS_FAULT_NONE },
        { "{\"exp\":1700000600,\"iss\":\"B\"}", K2, LN_JWS_FAULT_NONE },
        { "{\"exp\":1700000600,\"iss\":\"A\"}", K2, LN_JWS_FAULT_SIGNATURE },
        { "{\"exp\":1700000600,\"iss\":\"B\"}", K1, LN_JWS_FAULT_SIGNATURE },
        { "{\"exp\":1700000600,\"iss\":\"C\"}", K1, LN_JWS_FAULT_KEY },
        { "{\"exp\":1700000600}", K1, LN_JWS_FAULT_KEY },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_buf token;
        forge(&token, LN_SLICE("{\"alg\":\"HS256\",\"kid\":\"k\"}"), ln_slice_str(rows[i].claims),
            ln_slice_str(rows[i].secret));
        assert_int_equal(check(keys, ln_buf_slice(&token)), rows[i].fault);
        ln_buf_fini(&token);
    }
    ln_jws_keys_unref(keys);
}

/* Key material ---------------------------------------------------------------------------- */

#define X256 "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\""
#define Y256 "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define OCT  "\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T\""
static const struct {
    const char *why;
    const char *json;
    int count; /* of keys; -1: refused */
} jwks[] = {
    { "one key", "{\"kty\":\"EC\",\"crv\":\"P-256\"," X256 "," Y256 "}", 1 },
    { "a set of two",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\"," X256 "," Y256 "},{\"kty\":\"oct\"," OCT
        "}]}",
        2 },
    { "what is for encryption is left out",
        "{\"keys\":[{\"use\":\"enc\",\"kty\":\"oct\"," OCT "},{\"kty\":\"oct\"," OCT "}]}", 1 },
    { "what may only sign too",
        "{\"keys\":[{\"key_ops\":[\"sign\"],\"kty\":\"oct\"," OCT "},{\"kty\":\"oct\"," OCT "}]}",
        1 },
    { "what may check is taken",
        "{\"keys\":[{\"key_ops\":[\"sign\",\"verify\"],\"kty\":\"oct\"," OCT "}]}", 1 },
    { "algorithms that are none of ours are left out",
        "{\"keys\":[{\"alg\":\"A128KW\",\"kty\":\"oct\"," OCT "},{\"kty\":\"oct\"," OCT "}]}", 1 },
    { "kinds unknown here too",
        "{\"keys\":[{\"kty\":\"AKP\",\"pub\":\"AA\"},{\"kty\":\"oct\"," OCT "}]}", 1 },
    { "curves unknown here too",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"secp256k1\"},{\"kty\":\"oct\"," OCT "}]}", 1 },
    { "nothing left is a mistake", "{\"keys\":[{\"kty\":\"AKP\",\"pub\":\"AA\"}]}", -1 },
    { "an empty set too", "{\"keys\":[]}", -1 },
    { "no JSON", "keys", -1 },
    { "an array", "[]", -1 },
    { "keys no array", "{\"keys\":{}}", -1 },
    { "a key no object", "{\"keys\":[1]}", -1 },
    { "a private key", "{\"kty\":\"EC\",\"crv\":\"P-256\"," X256 "," Y256 ",\"d\":\"AA\"}", -1 },
    { "a point that is not on the curve",
        "{\"kty\":\"EC\",\"crv\":\"P-256\"," X256
        ",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a4\"}",
        -1 },
    { "a coordinate too short", "{\"kty\":\"EC\",\"crv\":\"P-256\"," X256 ",\"y\":\"AAAA\"}", -1 },
    { "a coordinate missing", "{\"kty\":\"EC\",\"crv\":\"P-256\"," X256 "}", -1 },
    { "an algorithm that does not fit",
        "{\"alg\":\"ES384\",\"kty\":\"EC\",\"crv\":\"P-256\"," X256 "," Y256 "}", -1 },
    { "HMAC with a point", "{\"alg\":\"HS256\",\"kty\":\"EC\",\"crv\":\"P-256\"," X256 "," Y256 "}",
        -1 },
    { "RSA with a secret", "{\"alg\":\"RS256\",\"kty\":\"oct\"," OCT "}", -1 },
    { "a secret of 16 bytes", "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umjw\"}", -1 },
    { "an RSA key of 64 bits", "{\"kty\":\"RSA\",\"n\":\"_________w8\",\"e\":\"AQAB\"}", -1 },
    { "an Ed25519 key of three bytes", "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", -1 },
    { "a member twice", "{\"kty\":\"oct\",\"kty\":\"oct\"," OCT "}", -1 },
    { "a member that is no string", "{\"kty\":\"oct\",\"kid\":1," OCT "}", -1 },
    { "an issuer that is none", "{\"issuer\":1,\"keys\":[{\"kty\":\"oct\"," OCT "}]}", -1 },
};

static void key_sets(void **state) {
    for (size_t i = 0; i < LN_COUNT(jwks); i++) {
        ln_jws_keys *keys = keys_new();
        const char *why = NULL;
        ln_slice json = ln_test_exact(ln_slice_str(jwks[i].json));
        int err = ln_jws_keys_jwk(keys, &nameless, json, &why);
        int want = jwks[i].count < 0 ? LINNET_ERR_INVAL : LINNET_OK;
        if (err != want) fail_msg("%s: %d %s", jwks[i].why, err, why ? why : "");
        if (err < 0 && !why) fail_msg("%s: without words", jwks[i].why);
        int count = (int)ln_jws_keys_count(keys);
        if (count != (jwks[i].count < 0 ? 0 : jwks[i].count))
            fail_msg("%s: %d", jwks[i].why, count);
        for (size_t cut = 0; cut < json.size; cut++) {
            ln_slice part = ln_test_exact(ln_slice_sub(json, 0, cut));
            assert_int_equal(ln_jws_keys_jwk(keys, &nameless, part, &why), LINNET_ERR_INVAL);
            ln_test_drop(part);
        }
        ln_test_drop(json);
        ln_jws_keys_unref(keys);
    }
}

static void a_set_may_name_its_issuer(void **state) {
    ln_jws_keys *keys = keys_new();
    const char *why = NULL;
    assert_int_equal(
        ln_jws_keys_jwk(keys, &nameless,
            LN_SLICE(
                "{\"issuer\":\"https:\\/\\/a\",\"keys\":[{\"kty\":\"oct\",\"kid\":\"k\\u0031\","
                "\"k\":\"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE\"}]}"),
            &why),
        LINNET_OK);
    ln_buf token;
    forge(&token, LN_SLICE("{\"alg\":\"HS256\",\"kid\":\"k1\"}"),
        LN_SLICE("{\"exp\":1700000600,\"iss\":\"https://a\"}"), LN_SLICE(K1));
    assert_int_equal(check(keys, ln_buf_slice(&token)), LN_JWS_FAULT_NONE);
    ln_buf_fini(&token);
    forge(&token, LN_SLICE("{\"alg\":\"HS256\",\"kid\":\"k1\"}"),
        LN_SLICE("{\"exp\":1700000600,\"iss\":\"https://b\"}"), LN_SLICE(K1));
    assert_int_equal(check(keys, ln_buf_slice(&token)), LN_JWS_FAULT_KEY);
    ln_buf_fini(&token);
    ln_jws_keys_unref(keys);
}

static void secrets_and_pem(void **state) {
    ln_jws_keys *keys = keys_new();
    ln_jws_signer *signer;
    const char *why = NULL;
    ln_jws_name rs = { .alg = LN_JWS_RS256 };
    ln_slice all = LN_SLICE("0123456789abcdef0123456789abcdef");
    for (size_t size = 0; size <= 32; size++) {
        ln_slice secret = ln_test_exact(ln_slice_sub(all, 0, size));
        int want = size < 32 ? LINNET_ERR_INVAL : LINNET_OK;
        assert_int_equal(ln_jws_keys_secret(keys, &nameless, secret, &why), want);
        ln_test_drop(secret);
    }
    assert_int_equal(ln_jws_keys_secret(keys, &rs, all, &why), LINNET_ERR_INVAL);
    assert_int_equal(ln_jws_keys_pem(keys, &nameless, LN_SLICE(""), &why), LINNET_ERR_INVAL);
    assert_int_equal(ln_jws_keys_pem(keys, &nameless, LN_SLICE("x"), &why), LINNET_ERR_INVAL);
    assert_int_equal(ln_jws_signer_pem(&nameless, LN_SLICE("x"), &signer, &why), LINNET_ERR_INVAL);
    for (uint32_t i = ln_jws_keys_count(keys); i < LN_JWS_KEYS_MAX; i++)
        assert_int_equal(ln_jws_keys_secret(keys, &nameless, all, &why), LINNET_OK);
    assert_int_equal(ln_jws_keys_secret(keys, &nameless, all, &why), LINNET_ERR_LIMIT);
    ln_jws_keys_unref(keys);
}

/* One RSA key in a PEM file with others that are too small. */
static void small_keys_are_refused(void **state) {
    EVP_PKEY *small = EVP_RSA_gen(1024);
    assert_non_null(small);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PUBKEY(bio, small), 1);
    char *text;
    size_t size = (size_t)BIO_get_mem_data(bio, &text);
    ln_jws_keys *keys = keys_new();
    const char *why = NULL;
    assert_int_equal(
        ln_jws_keys_pem(keys, &nameless, ln_slice_of(text, size), &why), LINNET_ERR_INVAL);
    assert_string_equal(why, "an RSA key has at least 2048 bits");
    BIO_free(bio);
    EVP_PKEY_free(small);
    ln_jws_keys_unref(keys);
}

/* However little memory there is, a token is good or there was no answer. */
static void without_memory(void **state) {
    ln_jws_keys *keys = secret_keys(LN_JWS_HS256);
    ln_buf token;
    forge(&token, LN_SLICE("{\"alg\":\"HS256\"}"), LN_SLICE(CLAIMS), LN_SLICE(SECRET));
    ln_test_memory memory = { .fail_at = 1 };
    ln_test_memory_install(&memory);
    ln_buf scratch;
    ln_buf_init(&scratch, LN_JWS_SCRATCH);
    ln_jws_policy any = { 0 };
    ln_jws_token out;
    ln_jws_fault fault;
    assert_int_equal(ln_jws_check(keys, &any, ln_buf_slice(&token), NOW, &scratch, &out, &fault),
        LINNET_ERR_NOMEM);
    assert_int_equal(
        ln_jws_check(keys, &any, ln_buf_slice(&token), NOW, &scratch, &out, &fault), LINNET_OK);
    ln_buf_fini(&scratch);
    assert_int_equal(memory.live, 0);
    ln_test_memory_remove();
    ln_buf_fini(&token);
    ln_jws_keys_unref(keys);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_tokens_and_no_others),
        cmocka_unit_test(keys_are_pinned),
        cmocka_unit_test(a_public_key_is_no_secret),
        cmocka_unit_test(published_examples),
        cmocka_unit_test(what_headers_say),
        cmocka_unit_test(what_is_no_token),
        cmocka_unit_test(four_kib_and_no_more),
        cmocka_unit_test(what_claims_say),
        cmocka_unit_test(issuers_and_audiences_are_exact),
        cmocka_unit_test(the_kid_chooses_the_key),
        cmocka_unit_test(issuers_do_not_lend_their_keys),
        cmocka_unit_test(key_sets),
        cmocka_unit_test(a_set_may_name_its_issuer),
        cmocka_unit_test(secrets_and_pem),
        cmocka_unit_test(small_keys_are_refused),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests_name("signed tokens", tests, NULL, NULL);
}
