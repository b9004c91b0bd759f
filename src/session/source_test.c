/* Keys that somebody else may change, and tokens whose key is not among them. */
#include "session/source_test.h"
#include "base/b64url.h"
#include "base/testing.h"
#include "session/jws.h"

/* Sets -------------------------------------------------------------------------------------- */

#define X256 "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\""
#define Y256 "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define EC   "\"kty\":\"EC\",\"crv\":\"P-256\"," X256 "," Y256
#define GOOD "{" EC ",\"alg\":\"ES256\",\"kid\":\"good\"}"
#define OCT  "\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T\""
static const struct {
    const char *why, *json;
    int count;      /* of keys that are taken; -1: the set is refused */
    ln_jws_alg alg; /* of the source */
} sets[] = {
    { "one that says all", "{\"keys\":[" GOOD "]}", 1, LN_JWS_NO_ALG },
    { "for signatures", "{\"keys\":[{" EC ",\"alg\":\"ES256\",\"use\":\"sig\"}]}", 1,
        LN_JWS_NO_ALG },
    { "without an algorithm", "{\"keys\":[{" EC "}," GOOD "]}", 1, LN_JWS_NO_ALG },
    { "which the source names", "{\"keys\":[{" EC "}," GOOD "]}", 2, LN_JWS_ES256 },
    { "which does not fit", "{\"keys\":[{" EC "}," GOOD "]}", 1, LN_JWS_RS256 },
    { "an algorithm that does not fit", "{\"keys\":[{" EC ",\"alg\":\"ES384\"}," GOOD "]}", 1,
        LN_JWS_NO_ALG },
    { "HMAC with a point", "{\"keys\":[{" EC ",\"alg\":\"HS256\"}," GOOD "]}", 1, LN_JWS_NO_ALG },
    { "none", "{\"keys\":[{" EC ",\"alg\":\"none\"}," GOOD "]}", 1, LN_JWS_NO_ALG },
    { "for encryption", "{\"keys\":[{" EC ",\"alg\":\"ES256\",\"use\":\"enc\"}," GOOD "]}", 1,
        LN_JWS_NO_ALG },
    { "to sign only", "{\"keys\":[{" EC ",\"alg\":\"ES256\",\"key_ops\":[\"sign\"]}," GOOD "]}", 1,
        LN_JWS_NO_ALG },
    { "a secret", "{\"keys\":[{" OCT ",\"alg\":\"HS256\"}," GOOD "]}", 1, LN_JWS_NO_ALG },
    { "a secret where HMAC is named", "{\"keys\":[{" OCT "}," GOOD "]}", 1, LN_JWS_HS256 },
    { "a private key", "{\"keys\":[{" EC ",\"alg\":\"ES256\",\"d\":\"AA\"}," GOOD "]}", 1,
        LN_JWS_NO_ALG },
    { "no object", "{\"keys\":[1,null," GOOD "]}", 1, LN_JWS_NO_ALG },
    { "a point elsewhere",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\"," X256
        ",\"y\":\"AAAA\",\"alg\":\"ES256\"}," GOOD "]}",
        1, LN_JWS_NO_ALG },
    { "another kind", "{\"keys\":[{\"kty\":\"AKP\",\"alg\":\"ML-DSA-44\"}," GOOD "]}", 1,
        LN_JWS_NO_ALG },
    { "it names an issuer, which counts for nothing", "{\"issuer\":\"B\",\"keys\":[" GOOD "]}", 1,
        LN_JWS_NO_ALG },
    { "a key and no set", GOOD, -1, LN_JWS_NO_ALG },
    { "nothing that can be used", "{\"keys\":[{" OCT "}]}", -1, LN_JWS_NO_ALG },
    { "nothing at all", "{\"keys\":[]}", -1, LN_JWS_NO_ALG },
    { "keys no array", "{\"keys\":{}}", -1, LN_JWS_NO_ALG },
    { "a page", "<html></html>", -1, LN_JWS_NO_ALG },
    { "no bytes", "", -1, LN_JWS_NO_ALG },
};

static void foreign_sets(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(sets); i++) {
        ln_jws_keys *keys;
        ln_jws_name name = { .issuer = LN_SLICE("A"), .alg = sets[i].alg };
        const char *why = NULL;
        assert_int_equal(ln_jws_keys_new(&keys), LINNET_OK);
        ln_slice json = ln_test_exact(ln_slice_str(sets[i].json));
        int err = ln_jws_keys_foreign(keys, &name, json, &why);
        int count = err == LINNET_OK ? (int)ln_jws_keys_count(keys) : -1;
        if (count != sets[i].count) fail_msg("%s: %d, %s", sets[i].why, count, why ? why : "");
        if (count < 0 && (!why || ln_jws_keys_count(keys))) fail_msg("%s", sets[i].why);
        for (size_t cut = 0; cut < json.size; cut++) {
            ln_slice part = ln_test_exact(ln_slice_sub(json, 0, cut));
            assert_int_equal(ln_jws_keys_foreign(keys, &name, part, &why), LINNET_ERR_INVAL);
            ln_test_drop(part);
        }
        ln_test_drop(json);
        ln_jws_keys_unref(keys);
    }
}

static void more_than_64_are_none(void **state) {
    (void)state;
    ln_buf json;
    ln_jws_keys *keys;
    ln_jws_name name = { .issuer = LN_SLICE("A") };
    const char *why = NULL;
    ln_buf_init(&json, 65536);
    assert_int_equal(ln_buf_add(&json, LN_SLICE("{\"keys\":[" GOOD)), LINNET_OK);
    for (int i = 1; i < LN_JWS_KEYS_MAX + 1; i++)
        assert_int_equal(ln_buf_add(&json, LN_SLICE("," GOOD)), LINNET_OK);
    assert_int_equal(ln_buf_add(&json, LN_SLICE("]}")), LINNET_OK);
    assert_int_equal(ln_jws_keys_new(&keys), LINNET_OK);
    assert_int_equal(ln_jws_keys_foreign(keys, &name, ln_buf_slice(&json), &why), LINNET_ERR_LIMIT);
    assert_int_equal(ln_jws_keys_count(keys), 0);
    assert_non_null(why);
    ln_jws_keys_unref(keys);
    ln_buf_fini(&json);
}

/* Sources ------------------------------------------------------------------------------------ */

enum { A_SIGNS, B_SIGNS, X_SIGNS, SIGNERS };

static const struct {
    const char *why, *issuer, *kid;
    int signer;
    ln_jws_fault fault;
    uint32_t source;
} tokens[] = {
    { "A's own", "A", "k", A_SIGNS, LN_JWS_FAULT_NONE, LN_JWS_NO_SOURCE },
    { "B's own, of the same name", "B", "k", B_SIGNS, LN_JWS_FAULT_NONE, LN_JWS_NO_SOURCE },
    { "A's key for B's token", "B", "k", A_SIGNS, LN_JWS_FAULT_SIGNATURE, LN_JWS_NO_SOURCE },
    { "B's key for A's token", "A", "k", B_SIGNS, LN_JWS_FAULT_SIGNATURE, LN_JWS_NO_SOURCE },
    { "somebody's", "A", "k", X_SIGNS, LN_JWS_FAULT_SIGNATURE, LN_JWS_NO_SOURCE },
    { "a name A does not know", "A", "new", X_SIGNS, LN_JWS_FAULT_KEY, 0 },
    { "a name B does not know", "B", "new", X_SIGNS, LN_JWS_FAULT_KEY, 1 },
    { "A's, without a name", "A", NULL, A_SIGNS, LN_JWS_FAULT_NONE, LN_JWS_NO_SOURCE },
    { "somebody's, without a name", "A", NULL, X_SIGNS, LN_JWS_FAULT_SIGNATURE, LN_JWS_NO_SOURCE },
    { "of C, who has none yet", "C", "k", X_SIGNS, LN_JWS_FAULT_KEY, 2 },
    { "of nobody", "evil", "k", X_SIGNS, LN_JWS_FAULT_KEY, LN_JWS_NO_SOURCE },
    { "that begins like A", "A2", "k", A_SIGNS, LN_JWS_FAULT_KEY, LN_JWS_NO_SOURCE },
    { "that names nobody", NULL, "k", A_SIGNS, LN_JWS_FAULT_KEY, LN_JWS_NO_SOURCE },
};

static ln_jws_keys *set_of(const issuer *i, const char *name) {
    ln_jws_keys *keys;
    ln_jws_name whose = { .issuer = ln_slice_str(name) };
    ln_buf json;
    const char *why;
    assert_int_equal(ln_jws_keys_new(&keys), LINNET_OK);
    ln_buf_init(&json, 4096);
    issuer_set(i, "k", &json);
    assert_int_equal(ln_jws_keys_foreign(keys, &whose, ln_buf_slice(&json), &why), LINNET_OK);
    ln_buf_fini(&json);
    return keys;
}

static void tokens_and_sources(void **state) {
    (void)state;
    issuer signers[SIGNERS];
    for (int i = 0; i < SIGNERS; i++)
        issuer_new(&signers[i]);
    ln_jws_keys *a = set_of(&signers[A_SIGNS], "A"), *b = set_of(&signers[B_SIGNS], "B"), *none;
    assert_int_equal(ln_jws_keys_new(&none), LINNET_OK);
    const ln_jws_source sources[] = { { LN_SLICE("A"), a }, { LN_SLICE("B"), b },
        { LN_SLICE("C"), NULL } };
    const ln_jws_policy policy = { .sources = sources, .source_count = LN_COUNT(sources) };
    for (size_t i = 0; i < LN_COUNT(tokens); i++) {
        ln_buf token, scratch;
        ln_jws_token out;
        ln_jws_fault fault;
        ln_buf_init(&token, 4096);
        ln_buf_init(&scratch, LN_JWS_SCRATCH);
        issuer_sign(
            &signers[tokens[i].signer], tokens[i].issuer, tokens[i].kid, 1700000600, &token);
        ln_jws_check(none, &policy, ln_buf_slice(&token), 1700000000, &scratch, &out, &fault);
        if (fault != tokens[i].fault || out.source != tokens[i].source)
            fail_msg("%s: %s, %u", tokens[i].why, ln_jws_fault_words(fault), out.source);
        ln_buf_fini(&token);
        ln_buf_fini(&scratch);
    }
    for (int i = 0; i < SIGNERS; i++)
        issuer_free(&signers[i]);
    ln_jws_keys_unref(a);
    ln_jws_keys_unref(b);
    ln_jws_keys_unref(none);
}

/* Secrets never come from a source, so nobody is asked for one. */
static void hmac_asks_nobody(void **state) {
    (void)state;
    ln_jws_keys *none;
    ln_jws_name name = { .kid = LN_SLICE("k") };
    ln_jws_signer *signer;
    const char *why;
    ln_buf token, scratch;
    ln_jws_token out;
    ln_jws_fault fault;
    const ln_jws_source sources[] = { { LN_SLICE("A"), NULL } };
    const ln_jws_policy policy = { .sources = sources, .source_count = 1 };
    ln_buf_init(&token, 4096);
    ln_buf_init(&scratch, LN_JWS_SCRATCH);
    assert_int_equal(ln_jws_keys_new(&none), LINNET_OK);
    assert_int_equal(ln_jws_signer_secret(
                         &name, LN_SLICE("a secret of thirty-two bytes....plus"), &signer, &why),
        LINNET_OK);
    assert_int_equal(
        ln_jws_sign(signer, LN_SLICE("{\"iss\":\"A\",\"exp\":1700000600}"), &token), LINNET_OK);
    assert_int_equal(
        ln_jws_check(none, &policy, ln_buf_slice(&token), 1700000000, &scratch, &out, &fault),
        LINNET_ERR_DENIED);
    assert_int_equal(fault, LN_JWS_FAULT_KEY);
    assert_int_equal(out.source, LN_JWS_NO_SOURCE);
    ln_jws_signer_free(signer);
    ln_jws_keys_unref(none);
    ln_buf_fini(&token);
    ln_buf_fini(&scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(foreign_sets),
        cmocka_unit_test(more_than_64_are_none),
        cmocka_unit_test(tokens_and_sources),
        cmocka_unit_test(hmac_asks_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
