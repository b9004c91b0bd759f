/* tls_ctx.h -- what tls.c needs of a context: one immutable set of certificates, counted.
 *
 * A reload builds a new set and swaps it in; connections that began with the old one hold it until
 * they end. The swap is the second lock of the house, next to the inbox: reading a pointer and
 * counting up behind it must be one step, and handshakes are rare enough not to mind.
 */
#ifndef LN_NET_TLS_CTX_H
#define LN_NET_TLS_CTX_H
#include "base/ref.h"
#include "net/tls.h"
#include <openssl/ssl.h>

#define LN_TLS_ALPN_MAX 255

typedef struct ln_tls_named {
    char *name; /* lower case; "*.example.org" stands for one label */
    SSL_CTX *ssl;
} ln_tls_named;

typedef struct ln_tls_set {
    ln_ref ref;
    bool server;
    SSL_CTX *main;
    BIO_METHOD *bio; /* tls.c's, made once per set because OpenSSL wants it on the heap */
    uint8_t alpn[LN_TLS_ALPN_MAX]; /* wire form: length and name, one after another */
    uint32_t alpn_size;
    uint32_t count;
    ln_tls_named named[];
} ln_tls_set;

/* The set in force, counted for the caller. */
ln_tls_set *ln_tls_ctx_current(ln_tls_ctx *ctx);
void ln_tls_set_unref(ln_tls_set *set);

/* tls.c: the methods of our BIO, NULL without memory, and what a client does with a ticket. */
BIO_METHOD *ln_tls_bio_method(void);
int ln_tls_keep_session(SSL *ssl, SSL_SESSION *session);
#endif
