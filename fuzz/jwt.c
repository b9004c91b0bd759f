/* Tokens: none is taken whose signature was not made by us, which is computed here again and
 * otherwise; what is signed by us is taken only when its claims say what they must; and no key
 * material, however broken, makes a key that takes what nobody signed. */
#include "base/b64url.h"
#include "base/mem.h"
#include "fuzz.h"
#include "session/auth.h"
#include <openssl/evp.h>

#define NOW    UINT64_C(1700000000)
#define SECRET LN_SLICE("the secret of the fuzzer: 32 bytes and more")

static ln_jws_keys *keys_new(void) {
    ln_jws_keys *keys;
    FUZZ_REQUIRE(ln_jws_keys_new(&keys) == LINNET_OK);
    return keys;
}

static ln_jws_keys *our_keys(void) {
    ln_jws_name nameless = { .kid = LN_SLICE("") }, named = { .kid = LN_SLICE("k") };
    const char *why;
    ln_jws_keys *keys = keys_new();
    FUZZ_REQUIRE(ln_jws_keys_secret(keys, &nameless, SECRET, &why) == LINNET_OK);
    FUZZ_REQUIRE(ln_jws_keys_secret(keys, &named, SECRET, &why) == LINNET_OK);
    FUZZ_REQUIRE(ln_jws_keys_jwk(keys, &nameless,
                     LN_SLICE("{\"kty\":\"EC\",\"crv\":\"P-256\","
                              "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                              "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"),
                     &why) == LINNET_OK);
    return keys;
}

static void mac_of(ln_slice bytes, ln_buf *out) {
    uint8_t mac[EVP_MAX_MD_SIZE];
    size_t size;
    ln_slice secret = SECRET;
    FUZZ_REQUIRE(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret.data, secret.size, bytes.data,
        bytes.size, mac, sizeof mac, &size));
    FUZZ_REQUIRE(ln_b64url_put(ln_slice_of(mac, size), out) == LINNET_OK);
}

/* The text behind the last dot is the one that our secret gives for the text before it. */
static bool is_ours(ln_slice token) {
    size_t dot = token.size;
    while (dot && token.data[dot - 1] != '.')
        dot--;
    if (!dot) return false;
    ln_buf want;
    ln_buf_init(&want, 1000);
    mac_of(ln_slice_sub(token, 0, dot - 1), &want);
    bool same = ln_slice_eq(ln_buf_slice(&want), ln_slice_sub(token, dot, token.size));
    ln_buf_fini(&want);
    return same;
}

static void claims_are_good(const ln_jws_token *t) {
    ln_json_iter it = ln_json_iter_of(&t->claims);
    ln_json_value key, value;
    uint64_t exp = 0;
    int count = 0;
    while (ln_json_next(&it, &key, &value)) {
        if (!ln_json_is(&key, LN_SLICE("exp"))) continue;
        FUZZ_REQUIRE(ln_json_uint(&value, &exp));
        count++;
    }
    FUZZ_REQUIRE(count == 1);
    FUZZ_REQUIRE(exp == t->expires);
    FUZZ_REQUIRE(exp + LN_JWS_SKEW_S > NOW);
}

static bool check(const ln_jws_keys *keys, ln_slice token) {
    ln_buf scratch;
    ln_jws_policy any = { 0 };
    ln_jws_token out;
    ln_jws_fault fault;
    ln_buf_init(&scratch, LN_JWS_SCRATCH);
    int err = ln_jws_check(keys, &any, token, NOW, &scratch, &out, &fault);
    FUZZ_REQUIRE(err == LINNET_OK || err == LINNET_ERR_DENIED);
    FUZZ_REQUIRE((err == LINNET_OK) == (fault == LN_JWS_FAULT_NONE));
    if (err == LINNET_OK) claims_are_good(&out);
    ln_buf_fini(&scratch);
    return err == LINNET_OK;
}

/* As an identity it has a name, and each channel that it puts its user into it also allows. */
static void who_is_it(const ln_jws_keys *keys, ln_slice token) {
    ln_auth auth = { .keys = keys };
    ln_identity *id = NULL;
    ln_jws_fault fault;
    if (ln_identity_read(&auth, token, NOW, &id, &fault) < 0) return;
    FUZZ_REQUIRE(id->user_size > 0 && id->user_size <= LN_USER_NAME_MAX);
    ln_json_value info;
    if (id->info_size) FUZZ_REQUIRE(ln_json_check(ln_identity_info(id), &info) == LINNET_OK);
    uint32_t at = 0;
    int count = 0;
    for (ln_slice channel; ln_identity_next_sub(id, &at, &channel); count++)
        FUZZ_REQUIRE(ln_identity_grants(id, LN_ACT_SUBSCRIBE, channel));
    FUZZ_REQUIRE(count <= LN_IDENTITY_SUBS_MAX);
    uint64_t expires;
    FUZZ_REQUIRE(ln_channel_token_check(&auth, token, NOW, ln_identity_user(id), LN_SLICE("x"),
                     &expires) == LINNET_ERR_DENIED);
    ln_free(id);
}

static void as_it_is(const ln_jws_keys *keys, ln_slice token) {
    if (!check(keys, token)) return;
    FUZZ_REQUIRE(is_ours(token));
    who_is_it(keys, token);
}

/* Header and claims with a line end between them, signed by us; and with a bit turned. */
static void as_if_signed(const ln_jws_keys *keys, ln_slice in) {
    ln_slice header;
    ln_buf token;
    ln_buf_init(&token, LN_BUF_MAX);
    if (!ln_slice_cut(&in, '\n', &header) || !in.data) return;
    FUZZ_REQUIRE(ln_b64url_put(header, &token) == LINNET_OK);
    FUZZ_REQUIRE(ln_buf_add_byte(&token, '.') == LINNET_OK);
    FUZZ_REQUIRE(ln_b64url_put(in, &token) == LINNET_OK);
    ln_buf mac;
    ln_buf_init(&mac, 1000);
    mac_of(ln_buf_slice(&token), &mac);
    FUZZ_REQUIRE(ln_buf_add_byte(&token, '.') == LINNET_OK);
    FUZZ_REQUIRE(ln_buf_add(&token, ln_buf_slice(&mac)) == LINNET_OK);
    if (check(keys, ln_buf_slice(&token))) {
        who_is_it(keys, ln_buf_slice(&token));
        fuzz_chance c = fuzz_chance_of(in);
        size_t at = fuzz_below(&c, token.size);
        token.data[token.head + at] ^= (uint8_t)(1u << fuzz_below(&c, 7));
        FUZZ_REQUIRE(!check(keys, ln_buf_slice(&token)));
    }
    ln_buf_fini(&mac);
    ln_buf_fini(&token);
}

static void as_a_key(ln_slice in) {
    ln_jws_keys *keys = keys_new();
    ln_jws_name nameless = { .kid = LN_SLICE("") };
    const char *why = NULL;
    int err = ln_jws_keys_jwk(keys, &nameless, in, &why);
    FUZZ_REQUIRE(err == LINNET_OK || err == LINNET_ERR_INVAL || err == LINNET_ERR_LIMIT);
    FUZZ_REQUIRE((err == LINNET_OK) == (ln_jws_keys_count(keys) > 0));
    FUZZ_REQUIRE(err != LINNET_ERR_INVAL || why);
    ln_jws_keys_pem(keys, &nameless, in, &why);
    FUZZ_REQUIRE(
        !check(keys, LN_SLICE("eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjE3MDAwMDA2MDB9."
                              "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                              "AAAAAAAAAAAAAAAAAAAAAAAA")));
    ln_jws_keys_unref(keys);
}

void fuzz_one(ln_slice in) {
    uint8_t choice = fuzz_choice(&in);
    if (choice % 4 == 3) {
        as_a_key(in);
        return;
    }
    ln_jws_keys *keys = our_keys();
    if (choice % 4 == 0)
        as_it_is(keys, in);
    else
        as_if_signed(keys, in);
    ln_jws_keys_unref(keys);
}
