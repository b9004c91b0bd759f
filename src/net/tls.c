#include "net/tls.h"
#include "base/mem.h"
#include "net/tls_ctx.h"
#include <assert.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#define RECORD_MAX      16384
#define RECORD_OVERHEAD 64 /* header, tag, explicit nonce or content type; generously */

/* `in` and `out` are the caller's, for the length of a call; outside of one there is nothing to
 * read and nowhere to write. */
struct ln_tls {
    ln_tls_set *set;
    SSL *ssl;
    SSL_SESSION *session; /* client: the newest ticket */
    ln_slice *in;
    ln_buf *out;
    int out_err; /* why `out` refused bytes */
};

/* -- the BIO: a slice to read from, a buffer to append to ---------------------------------- */

static int bio_read(BIO *bio, char *to, size_t size, size_t *taken) {
    ln_tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!tls->in || tls->in->size == 0) {
        BIO_set_retry_read(bio);
        *taken = 0;
        return -1; /* try again, when there is more */
    }
    *taken = size < tls->in->size ? size : tls->in->size;
    memcpy(to, tls->in->data, *taken);
    ln_slice_skip(tls->in, *taken);
    return 1;
}

static int bio_write(BIO *bio, const char *from, size_t size, size_t *taken) {
    ln_tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *taken = 0;
    int err = tls->out ? ln_buf_add(tls->out, ln_slice_of(from, size)) : LINNET_ERR_STATE;
    if (err < 0) {
        tls->out_err = err;
        return 0;
    }
    *taken = size;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH; /* nothing is kept back */
}

BIO_METHOD *ln_tls_bio_method(void) {
    /* A number of our own: BIO_get_new_index() hands out a hundred per process and no more. */
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 0x7d, "linnet");
    if (!method) return NULL;
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
    return method;
}

/* The way from an SSL back to us without ex_data, which would be one more allocation. */
int ln_tls_keep_session(SSL *ssl, SSL_SESSION *session) {
    ln_tls *tls = BIO_get_data(SSL_get_rbio(ssl));
    SSL_SESSION_free(tls->session);
    tls->session = session;
    return 1; /* taken */
}

/* -- one connection ------------------------------------------------------------------------ */

static void enter(ln_tls *tls, ln_slice *in, ln_buf *out) {
    ERR_clear_error(); /* SSL_get_error() looks at it, and others share the thread */
    tls->in = in;
    tls->out = out;
    tls->out_err = LINNET_OK;
}

static int leave(ln_tls *tls, int answer) {
    tls->in = NULL;
    tls->out = NULL;
    ERR_clear_error();
    return answer;
}

/* Why an SSL call did not succeed: LN_MORE, LINNET_ERR_CLOSED or a failure. */
static int why(const ln_tls *tls, int answer) {
    switch (SSL_get_error(tls->ssl, answer)) {
    case SSL_ERROR_WANT_READ: return LN_MORE;
    case SSL_ERROR_ZERO_RETURN: return LINNET_ERR_CLOSED;
    default: break;
    }
    if (tls->out_err < 0) return tls->out_err;
    if (ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE) return LINNET_ERR_NOMEM;
    bool asked = SSL_get_verify_mode(tls->ssl) & SSL_VERIFY_PEER;
    if (asked && SSL_get_verify_result(tls->ssl) != X509_V_OK) return LINNET_ERR_TLS_VERIFY;
    bool missing = ERR_GET_REASON(ERR_peek_error()) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
    return missing ? LINNET_ERR_TLS_VERIFY : LINNET_ERR_TLS;
}

/* Whose certificate we expect. An address is looked for among the addresses of a certificate, and
 * is never sent as SNI (RFC 6066 3). */
static bool expect_host(SSL *ssl, const char *host) {
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1) return true;
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static bool attach(ln_tls *tls, const char *host, SSL_SESSION *session) {
    tls->ssl = SSL_new(tls->set->main);
    BIO *bio = tls->ssl ? BIO_new(tls->set->bio) : NULL;
    if (!bio) return false;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    if (tls->set->server) {
        SSL_set_accept_state(tls->ssl);
        return true;
    }
    SSL_set_connect_state(tls->ssl);
    if (host && !expect_host(tls->ssl, host)) return false;
    return !session || SSL_set_session(tls->ssl, session) == 1;
}

int ln_tls_new(ln_tls_ctx *ctx, const char *host, void *session, ln_tls **out) {
    ln_tls *tls = ln_calloc(1, sizeof *tls);
    if (!tls) return LINNET_ERR_NOMEM;
    tls->set = ln_tls_ctx_current(ctx);
    bool attached = attach(tls, host, session);
    ERR_clear_error();
    if (!attached) {
        ln_tls_free(tls);
        return LINNET_ERR_NOMEM;
    }
    *out = tls;
    return LINNET_OK;
}

void ln_tls_free(ln_tls *tls) {
    if (!tls) return;
    SSL_free(tls->ssl); /* and the BIO */
    SSL_SESSION_free(tls->session);
    ln_tls_set_unref(tls->set);
    ln_free(tls);
}

int ln_tls_handshake(ln_tls *tls, ln_slice *in, ln_buf *out) {
    enter(tls, in, out);
    int answer = SSL_do_handshake(tls->ssl);
    return leave(tls, answer == 1 ? LN_DONE : why(tls, answer));
}

int ln_tls_read(ln_tls *tls, ln_slice *in, ln_wslice room, ln_buf *out) {
    assert(room.size > 0);
    size_t n;
    enter(tls, in, out);
    int answer = SSL_read_ex(tls->ssl, room.data, room.size < INT_MAX ? room.size : INT_MAX, &n);
    if (answer == 1) return leave(tls, (int)n);
    answer = why(tls, answer);
    return leave(tls, answer == LN_MORE ? 0 : answer);
}

/* The room is reserved first: when there is no memory, nothing has happened to the stream. */
int ln_tls_write(ln_tls *tls, ln_slice plain, ln_buf *out) {
    if (plain.size == 0) return LINNET_OK;
    size_t n, records = plain.size / RECORD_MAX + 1;
    int err = ln_buf_reserve(out, plain.size + records * RECORD_OVERHEAD);
    if (err < 0) return err;
    enter(tls, NULL, out);
    int answer = SSL_write_ex(tls->ssl, plain.data, plain.size, &n);
    if (answer == 1) return leave(tls, LINNET_OK);
    answer = why(tls, answer);
    return leave(tls, answer < 0 ? answer : LINNET_ERR_TLS);
}

void ln_tls_close(ln_tls *tls, ln_buf *out) {
    if (!SSL_is_init_finished(tls->ssl)) return;
    enter(tls, NULL, out);
    (void)SSL_shutdown(tls->ssl);
    leave(tls, LINNET_OK);
}

const char *ln_tls_version(const ln_tls *tls) {
    return SSL_get_version(tls->ssl);
}

ln_slice ln_tls_alpn(const ln_tls *tls) {
    const unsigned char *name;
    unsigned size;
    SSL_get0_alpn_selected(tls->ssl, &name, &size);
    return ln_slice_of(name, size);
}

bool ln_tls_resumed(const ln_tls *tls) {
    return SSL_session_reused(tls->ssl) == 1;
}

const char *ln_tls_sni(const ln_tls *tls) {
    const char *name = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
    return name ? name : "";
}

void *ln_tls_session(ln_tls *tls) {
    if (!tls->session || SSL_SESSION_up_ref(tls->session) != 1) return NULL;
    return tls->session;
}

void ln_tls_session_free(void *session) {
    SSL_SESSION_free(session);
}
