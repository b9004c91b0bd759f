/* tls_testing.h -- certificates made while a test runs: an authority of one's own, and leaves
 * signed by it (EC P-256). For *_test.c of net and the rooms above; never part of the library.
 */
#ifndef LN_NET_TLS_TESTING_H
#define LN_NET_TLS_TESTING_H
#include "base/testing.h"
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <unistd.h>

typedef struct ln_test_ca {
    EVP_PKEY *key;
    X509 *cert;
} ln_test_ca;

static inline void ln_test_extension(X509 *cert, int nid, const char *value) {
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(cert, e, -1), 1);
    X509_EXTENSION_free(e);
}

/* A certificate for `key`, valid from an hour ago for `days` (negative: it has run out), signed by
 * `ca`, or by itself when that is NULL. */
static inline X509 *ln_test_x509(
    const ln_test_ca *ca, EVP_PKEY *key, const char *name, const char *alternatives, int days) {
    X509 *cert = X509_new();
    assert_non_null(cert);
    X509_NAME *subject = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(
        subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set_int64(X509_get_serialNumber(cert), (int64_t)(uintptr_t)cert >> 4);
    X509_gmtime_adj(X509_getm_notBefore(cert), days < 0 ? (long)days * 172800 : -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), (long)days * 86400);
    X509_set_pubkey(cert, key);
    X509_set_issuer_name(cert, ca ? X509_get_subject_name(ca->cert) : subject);
    if (!ca) ln_test_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
    if (alternatives) ln_test_extension(cert, NID_subject_alt_name, alternatives);
    assert_true(X509_sign(cert, ca ? ca->key : key, EVP_sha256()) > 0);
    return cert;
}

static inline ln_test_ca ln_test_ca_new(const char *name) {
    ln_test_ca ca = { .key = EVP_EC_gen("P-256") };
    assert_non_null(ca.key);
    ca.cert = ln_test_x509(NULL, ca.key, name, NULL, 30);
    return ca;
}

static inline void ln_test_ca_free(ln_test_ca *ca) {
    EVP_PKEY_free(ca->key);
    X509_free(ca->cert);
}

static inline void ln_test_pem(const char *path, X509 *cert, EVP_PKEY *key) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    if (cert) assert_int_equal(PEM_write_X509(f, cert), 1);
    if (key) assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(f), 0);
}

/* Writes a leaf and its key. alternatives: "DNS:localhost,IP:127.0.0.1". */
static inline void ln_test_leaf(const ln_test_ca *ca, const char *name, const char *alternatives,
    int days, const char *cert_path, const char *key_path) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    assert_non_null(key);
    X509 *cert = ln_test_x509(ca, key, name, alternatives, days);
    ln_test_pem(cert_path, cert, NULL);
    ln_test_pem(key_path, NULL, key);
    X509_free(cert);
    EVP_PKEY_free(key);
}
#endif
