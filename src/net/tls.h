/* tls.h -- TLS as a transformation of bytes: ciphertext in, plaintext out, and back.
 *
 * OpenSSL does the cryptography, through a BIO of our own that reads from the slice at hand and
 * appends to the buffer at hand, so an idle connection holds no buffers (SSL_MODE_RELEASE_BUFFERS).
 * It has no socket: conn/ moves the bytes. TLS 1.2 or newer, no compression, no renegotiation, no
 * early data. Errors: LINNET_ERR_TLS, LINNET_ERR_TLS_VERIFY, LINNET_ERR_NOMEM; whatever `out` holds
 * then (an alert) should still be sent. OpenSSL's error queue is left empty.
 */
#ifndef LN_NET_TLS_H
#define LN_NET_TLS_H
#include "base/buf.h"
#include "base/err.h"

typedef struct ln_tls_ctx ln_tls_ctx; /* shared by connections and threads, counted */
typedef struct ln_tls ln_tls;         /* one connection */

typedef struct ln_tls_options {
    bool server;
    const char *cert_file, *key_file; /* PEM chain and key; needed on servers */
    const char *ca_file; /* client: NULL = system store; server: NULL = no client certificates */
    bool verify;      /* client: default true by its caller; server: require a client certificate */
    const char *alpn; /* comma list, for instance "http/1.1"; NULL: none */
} ln_tls_options;

/* *reason, if not NULL, gets static or ctx-independent words for people (which file, why). */
int ln_tls_ctx_new(const ln_tls_options *options, ln_tls_ctx **out, char reason[256]);
ln_tls_ctx *ln_tls_ctx_ref(ln_tls_ctx *ctx);
void ln_tls_ctx_unref(ln_tls_ctx *ctx);
/* Server: adds a certificate for one name ("example.org", "*.example.org") chosen by SNI. */
int ln_tls_ctx_add_cert(ln_tls_ctx *ctx, const char *name, const char *cert_file,
    const char *key_file, char reason[256]);
/* Loads all files again, all or nothing; handshakes that begin later use the new ones, live
 * connections keep theirs, tickets stay valid. Any thread. */
int ln_tls_ctx_reload(ln_tls_ctx *ctx, char reason[256]);
/* The same for several, all of them or none. At most LN_TLS_RELOAD_MAX, each once, and in the same
 * order whoever calls. */
#define LN_TLS_RELOAD_MAX 32
int ln_tls_ctx_reload_all(ln_tls_ctx *const *all, size_t count, char reason[256]);

/* host: client: for SNI and verification (NULL on servers). session: from ln_tls_session, or NULL.
 */
int ln_tls_new(ln_tls_ctx *ctx, const char *host, void *session, ln_tls **out);
void ln_tls_free(ln_tls *tls);

/* Drives the handshake with what has arrived; consumes from *in, appends to *out (send it).
 *   LN_DONE  finished (bytes may be left in *in: they are data)   LN_MORE  needs the peer   < 0
 * failed */
int ln_tls_handshake(ln_tls *tls, ln_slice *in, ln_buf *out);
/* Decrypts into room. Returns > 0 bytes of plaintext, 0 when more ciphertext is needed
 * (*in is then consumed whole, the rest is inside), < 0 failed; LINNET_ERR_CLOSED after the
 * peer's close_notify. Call until it answers 0. */
int ln_tls_read(ln_tls *tls, ln_slice *in, ln_wslice room, ln_buf *out);
/* Encrypts all of plain, appended to *out. 0 or < 0. */
int ln_tls_write(ln_tls *tls, ln_slice plain, ln_buf *out);
/* Appends a close_notify. */
void ln_tls_close(ln_tls *tls, ln_buf *out);
/* What was agreed: "TLSv1.3", ALPN choice (empty when none), whether the session was resumed, SNI.
 */
const char *ln_tls_version(const ln_tls *tls);
ln_slice ln_tls_alpn(const ln_tls *tls);
bool ln_tls_resumed(const ln_tls *tls);
const char *ln_tls_sni(const ln_tls *tls);
/* Client: the newest session ticket, to be given to ln_tls_new later; counted, free with
 * ln_tls_session_free. NULL when the server gave none. */
void *ln_tls_session(ln_tls *tls);
void ln_tls_session_free(void *session);
#endif
