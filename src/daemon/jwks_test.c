#include "base/testing.h"
#include "daemon/jwks.h"

#define A "https://a.example"

static const struct {
    const char *why, *text;
    bool good;
    const char *alg, *issuer, *url;
} texts[] = {
    { "an address alone", A "/keys", true, "", "", A "/keys" },
    { "with its issuer", "me=" A "/keys", true, "", "me", A "/keys" },
    { "an issuer that is an address", A "=" A "/keys", true, "", A, A "/keys" },
    { "and has a query", A "?x=1=" A "/keys?y=" A, true, "", A "?x=1", A "/keys?y=" A },
    { "with an algorithm", "PS256:me=" A, true, "PS256", "me", A },
    { "and no issuer", "EdDSA:" A, true, "EdDSA", "", A },
    { "http", "http://127.0.0.1:1/k", true, "", "", "http://127.0.0.1:1/k" },
    { "no address", "me=keys.json", false, "", "", "" },
    { "another scheme", "ftp://a/k", false, "", "", "" },
    { "an empty issuer", "=" A, false, "", "", "" },
    { "nothing", "", false, "", "", "" },
};

static void parts(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(texts); i++) {
        ln_jwks j;
        ln_slice text = ln_test_exact(ln_slice_of(texts[i].text, strlen(texts[i].text) + 1));
        bool good = ln_jwks_read((const char *)text.data, &j);
        if (good != texts[i].good) fail_msg("%s", texts[i].why);
        if (good) {
            assert_string_equal(j.alg, texts[i].alg);
            assert_string_equal(j.url, texts[i].url);
            assert_int_equal(j.issuer_size, strlen(texts[i].issuer));
            assert_memory_equal(j.issuer, texts[i].issuer, j.issuer_size);
        }
        ln_test_drop(text);
    }
}

static const struct {
    const char *why, *text;
    size_t issuers;
    bool insecure;
    const char *words; /* of what is wrong; NULL: nothing */
} wants[] = {
    { "its own issuer", A "=" A "/k", 0, false, NULL },
    { "the one issuer there is", A "/k", 1, false, NULL },
    { "which of two", A "/k", 2, false, "for whose tokens" },
    { "whose", A "/k", 0, false, "for whose tokens" },
    { "one of the list", A "=" A "/k", 2, false, NULL },
    { "one that is not", "me=" A "/k", 2, false, "not among" },
    { "another algorithm", "ES257:me=" A, 0, false, "algorithm" },
    { "in the clear, here", "me=http://127.0.0.1:9/k", 0, false, NULL },
    { "by name", "me=http://localhost/k", 0, false, NULL },
    { "in the clear, elsewhere", "me=http://a.example/k", 0, false, "https" },
    { "a name that begins alike", "me=http://localhost.a.example/k", 0, false, "https" },
    { "and that is meant", "me=http://a.example/k", 0, true, NULL },
    { "no address", "me", 0, false, "[ISSUER=]URL" },
};

static void what_is_wrong(void **state) {
    (void)state;
    static const char *const issuers[] = { A, "https://b.example" };
    ln_options *o = calloc(1, sizeof *o);
    assert_non_null(o);
    for (size_t i = 0; i < LN_COUNT(wants); i++) {
        o->insecure = wants[i].insecure;
        o->auth_issuers.count = wants[i].issuers;
        for (size_t k = 0; k < LN_COUNT(issuers); k++)
            o->auth_issuers.items[k] = issuers[k];
        const char *words = ln_jwks_wrong(o, wants[i].text);
        if (!words != !wants[i].words || (words && !strstr(words, wants[i].words)))
            fail_msg("%s: %s", wants[i].why, words ? words : "nothing");
    }
    free(o);
}

static void whose(void **state) {
    (void)state;
    ln_arg_list one = { .count = 1 };
    one.items[0] = "b";
    ln_jwks j;
    assert_true(ln_jwks_read("a=" A, &j));
    char *name = ln_jwks_issuer(&j, &one);
    assert_string_equal(name, "a");
    free(name);
    assert_true(ln_jwks_read(A, &j));
    name = ln_jwks_issuer(&j, &one);
    assert_string_equal(name, "b");
    free(name);
    one.count = 0;
    assert_null(ln_jwks_issuer(&j, &one));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts),
        cmocka_unit_test(what_is_wrong),
        cmocka_unit_test(whose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
