#include "net/tls_ctx.h"
#include "base/mem.h"
#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define REASON_SIZE  256
#define TICKET_KEYS  80 /* what OpenSSL 3 asks for: name 16, HMAC 32, AES 32 */
#define NAMED_MAX    1024
#define SNI_NAME_MAX 253

typedef struct cert_files { /* one more certificate, chosen by name */
    char *name, *cert, *key;
} cert_files;

struct ln_tls_ctx {
    ln_ref ref;
    pthread_mutex_t lock; /* `current`, and reloads among each other */
    ln_tls_set *current;
    char *cert, *key, *ca;
    cert_files *more;
    uint32_t more_count;
    bool server, verify;
    uint8_t alpn[LN_TLS_ALPN_MAX];
    uint32_t alpn_size;
    uint8_t ticket_keys[TICKET_KEYS]; /* all sets share them, so tickets survive a reload */
};

/* -- words ------------------------------------------------------------------------------- */

static const char *words_of(unsigned long number) {
    if (!number) return NULL;
    if (ERR_SYSTEM_ERROR(number)) return strerrordesc_np(ERR_GET_REASON(number));
    return ERR_reason_error_string(number);
}

/* Says what failed with which file, and takes OpenSSL's queue. The oldest error in it is the cause;
 * the newest only names the library that passed it on ("system lib"). */
static int refuse(char *reason, const char *what, const char *file) {
    const char *why = words_of(ERR_peek_error());
    bool memory = ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
    if (reason)
        snprintf(reason, REASON_SIZE, "%s%s%s: %s", what, file ? " " : "", file ? file : "",
            why ? why : "not possible");
    ERR_clear_error();
    return memory ? LINNET_ERR_NOMEM : LINNET_ERR_TLS;
}

static int no_memory(char *reason) {
    if (reason) snprintf(reason, REASON_SIZE, "out of memory");
    ERR_clear_error();
    return LINNET_ERR_NOMEM;
}

/* An encrypted key is refused; OpenSSL would ask on the terminal. */
static int no_password(char *to, int size, int writing, void *arg) {
    (void)to, (void)size, (void)writing, (void)arg;
    return -1;
}

/* -- choices during a handshake ---------------------------------------------------------- */

static bool name_matches(const char *pattern, const char *name) {
    if (pattern[0] != '*') return strcasecmp(pattern, name) == 0;
    const char *dot = strchr(name, '.');
    return dot && dot != name && strcasecmp(pattern + 1, dot) == 0;
}

static int choose_certificate(SSL *ssl, int *alert, void *arg) {
    (void)alert;
    const ln_tls_set *set = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    for (uint32_t i = 0; name && i < set->count; i++) {
        if (!name_matches(set->named[i].name, name)) continue;
        SSL_set_SSL_CTX(ssl, set->named[i].ssl);
        break;
    }
    return SSL_TLSEXT_ERR_OK;
}

/* Our order decides. Nothing in common ends the handshake (RFC 7301 3.2), so that a client of
 * another protocol cannot be led to us. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size,
    const unsigned char *in, unsigned in_size, void *arg) {
    (void)ssl;
    const ln_tls_set *set = arg;
    unsigned char *chosen;
    int answer = SSL_select_next_proto(&chosen, out_size, set->alpn, set->alpn_size, in, in_size);
    *out = chosen;
    return answer == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* -- building a set ---------------------------------------------------------------------- */

/* SSL_CTX_use_PrivateKey_file would leave the open file to a child that another thread of the host
 * starts meanwhile: it has no mode `e`. */
static bool use_key(SSL_CTX *ssl, const char *path) {
    BIO *in = BIO_new_file(path, "re");
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_password, NULL) : NULL;
    bool used = key && SSL_CTX_use_PrivateKey(ssl, key) == 1;
    EVP_PKEY_free(key);
    BIO_free(in);
    return used;
}

static int use_certificate(SSL_CTX *ssl, const char *cert, const char *key, char *reason) {
    if (SSL_CTX_use_certificate_chain_file(ssl, cert) != 1)
        return refuse(reason, "cannot use the certificate", cert);
    if (!use_key(ssl, key)) return refuse(reason, "cannot use the key", key);
    if (SSL_CTX_check_private_key(ssl) != 1)
        return refuse(reason, "the key does not belong to the certificate", key);
    return LINNET_OK;
}

/* What servers and clients have in common. Buffers go back to the heap while nothing is under way,
 * which is 34 of the 40 KiB of an idle connection. */
static SSL_CTX *bare(bool server) {
    SSL_CTX *ssl = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (!ssl) return NULL;
    SSL_CTX_set_default_passwd_cb(ssl, no_password);
    SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    if (SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1) return ssl;
    SSL_CTX_free(ssl);
    return NULL;
}

/* Sessions live in tickets at the client, not in a cache here. */
static int prepare_server(const ln_tls_ctx *ctx, SSL_CTX *ssl, ln_tls_set *set) {
    static const unsigned char id[] = "linnet";
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    if (SSL_CTX_set_num_tickets(ssl, 1) != 1) return LINNET_ERR_NOMEM;
    if (SSL_CTX_set_session_id_context(ssl, id, sizeof id - 1) != 1) return LINNET_ERR_NOMEM;
    uint8_t keys[TICKET_KEYS]; /* OpenSSL wants it writable */
    memcpy(keys, ctx->ticket_keys, sizeof keys);
    if (SSL_CTX_set_tlsext_ticket_keys(ssl, keys, (long)sizeof keys) != 1) return LINNET_ERR_NOMEM;
    SSL_CTX_set_tlsext_servername_callback(ssl, choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(ssl, set);
    if (ctx->alpn_size) SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, set);
    return LINNET_OK;
}

static int prepare_client(const ln_tls_ctx *ctx, SSL_CTX *ssl) {
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ssl, ln_tls_keep_session);
    /* Answers 0 for success, unlike its neighbours. */
    if (ctx->alpn_size && SSL_CTX_set_alpn_protos(ssl, ctx->alpn, ctx->alpn_size) != 0)
        return LINNET_ERR_NOMEM;
    return LINNET_OK;
}

static int set_trust(const ln_tls_ctx *ctx, SSL_CTX *ssl, char *reason) {
    if (ctx->server && !ctx->ca) return LINNET_OK;
    if (ctx->ca && SSL_CTX_load_verify_locations(ssl, ctx->ca, NULL) != 1)
        return refuse(reason, "cannot use the authorities", ctx->ca);
    if (!ctx->ca && SSL_CTX_set_default_verify_paths(ssl) != 1)
        return refuse(reason, "no system store of authorities", NULL);
    if (!ctx->server) {
        SSL_CTX_set_verify(ssl, ctx->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
        return LINNET_OK;
    }
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ctx->ca);
    if (!names) return refuse(reason, "cannot use the authorities", ctx->ca);
    SSL_CTX_set_client_CA_list(ssl, names);
    SSL_CTX_set_verify(
        ssl, SSL_VERIFY_PEER | (ctx->verify ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    return LINNET_OK;
}

static int build_main(const ln_tls_ctx *ctx, ln_tls_set *set, char *reason) {
    set->bio = ln_tls_bio_method();
    set->main = bare(ctx->server);
    if (!set->bio || !set->main) return no_memory(reason);
    int err = ctx->server ? prepare_server(ctx, set->main, set) : prepare_client(ctx, set->main);
    if (err < 0) return no_memory(reason);
    if (ctx->cert && (err = use_certificate(set->main, ctx->cert, ctx->key, reason)) < 0)
        return err;
    return set_trust(ctx, set->main, reason);
}

static int build_named(ln_tls_named *named, const cert_files *files, char *reason) {
    named->name = ln_slice_dup(ln_slice_str(files->name));
    named->ssl = bare(true);
    if (!named->name || !named->ssl) return no_memory(reason);
    return use_certificate(named->ssl, files->cert, files->key, reason);
}

static void set_free(ln_tls_set *set) {
    for (uint32_t i = 0; i < set->count; i++) {
        ln_free(set->named[i].name);
        SSL_CTX_free(set->named[i].ssl);
    }
    SSL_CTX_free(set->main);
    BIO_meth_free(set->bio);
    ln_free(set);
}

void ln_tls_set_unref(ln_tls_set *set) {
    if (set && ln_ref_put(&set->ref)) set_free(set);
}

/* From the files as they are now; `more` is one that is not yet in the context's table. */
static int build(const ln_tls_ctx *ctx, const cert_files *more, ln_tls_set **out, char *reason) {
    uint32_t count = ctx->more_count + (more ? 1 : 0);
    ln_tls_set *set = ln_calloc(1, sizeof *set + count * sizeof *set->named);
    if (!set) return no_memory(reason);
    ln_ref_init(&set->ref, 1);
    set->server = ctx->server;
    memcpy(set->alpn, ctx->alpn, sizeof set->alpn);
    set->alpn_size = ctx->alpn_size;
    int err = build_main(ctx, set, reason);
    for (uint32_t i = 0; err == LINNET_OK && i < count; i++) {
        const cert_files *files = i < ctx->more_count ? &ctx->more[i] : more;
        set->count++;
        err = build_named(&set->named[i], files, reason);
    }
    if (err < 0) {
        set_free(set);
        return err;
    }
    *out = set;
    return LINNET_OK;
}

/* -- the context ------------------------------------------------------------------------- */

static int copy(char **to, const char *text) {
    if (!text) return LINNET_OK;
    *to = ln_slice_dup(ln_slice_str(text));
    return *to ? LINNET_OK : LINNET_ERR_NOMEM;
}

static bool alpn_of(ln_tls_ctx *ctx, const char *list) {
    ln_slice rest = ln_slice_str(list), name;
    while (ln_slice_cut(&rest, ',', &name)) {
        name = ln_slice_trim(name);
        if (name.size == 0 || ctx->alpn_size + 1 + name.size > sizeof ctx->alpn) return false;
        ctx->alpn[ctx->alpn_size++] = (uint8_t)name.size;
        memcpy(ctx->alpn + ctx->alpn_size, name.data, name.size);
        ctx->alpn_size += (uint32_t)name.size;
    }
    return true;
}

static void files_fini(cert_files *files) {
    ln_free(files->name);
    ln_free(files->cert);
    ln_free(files->key);
}

static void ctx_free(ln_tls_ctx *ctx) {
    ln_tls_set_unref(ctx->current);
    for (uint32_t i = 0; i < ctx->more_count; i++)
        files_fini(&ctx->more[i]);
    ln_free(ctx->more);
    ln_free(ctx->cert);
    ln_free(ctx->key);
    ln_free(ctx->ca);
    OPENSSL_cleanse(ctx->ticket_keys, sizeof ctx->ticket_keys);
    pthread_mutex_destroy(&ctx->lock);
    ln_free(ctx);
}

static int ctx_fill(ln_tls_ctx *ctx, const ln_tls_options *o, char *reason) {
    ctx->server = o->server;
    ctx->verify = o->verify;
    if (copy(&ctx->cert, o->cert_file) < 0 || copy(&ctx->key, o->key_file) < 0 ||
        copy(&ctx->ca, o->ca_file) < 0)
        return no_memory(reason);
    if (o->alpn && !alpn_of(ctx, o->alpn)) {
        if (reason) snprintf(reason, REASON_SIZE, "malformed list of protocols: %s", o->alpn);
        return LINNET_ERR_INVAL;
    }
    if (RAND_bytes(ctx->ticket_keys, sizeof ctx->ticket_keys) != 1)
        return refuse(reason, "no randomness", NULL);
    return build(ctx, NULL, &ctx->current, reason);
}

static bool options_valid(const ln_tls_options *o, char *reason) {
    if (!o->cert_file != !o->key_file || (o->server && !o->cert_file)) {
        if (reason) snprintf(reason, REASON_SIZE, "a certificate and its key are both needed");
        return false;
    }
    if (o->server && o->verify && !o->ca_file) {
        if (reason) snprintf(reason, REASON_SIZE, "client certificates need a file of authorities");
        return false;
    }
    return true;
}

int ln_tls_ctx_new(const ln_tls_options *options, ln_tls_ctx **out, char reason[256]) {
    if (!options_valid(options, reason)) return LINNET_ERR_INVAL;
    ln_tls_ctx *ctx = ln_calloc(1, sizeof *ctx);
    if (!ctx) return no_memory(reason);
    if (pthread_mutex_init(&ctx->lock, NULL) != 0) {
        ln_free(ctx);
        return no_memory(reason);
    }
    ln_ref_init(&ctx->ref, 1);
    int err = ctx_fill(ctx, options, reason);
    if (err < 0) {
        ctx_free(ctx);
        return err;
    }
    *out = ctx;
    return LINNET_OK;
}

ln_tls_ctx *ln_tls_ctx_ref(ln_tls_ctx *ctx) {
    ln_ref_get(&ctx->ref, 1);
    return ctx;
}

void ln_tls_ctx_unref(ln_tls_ctx *ctx) {
    if (ctx && ln_ref_put(&ctx->ref)) ctx_free(ctx);
}

ln_tls_set *ln_tls_ctx_current(ln_tls_ctx *ctx) {
    pthread_mutex_lock(&ctx->lock);
    ln_tls_set *set = ctx->current;
    ln_ref_get(&set->ref, 1);
    pthread_mutex_unlock(&ctx->lock);
    return set;
}

/* Under the lock. */
static ln_tls_set *swap(ln_tls_ctx *ctx, ln_tls_set *set) {
    ln_tls_set *old = ctx->current;
    ctx->current = set;
    return old;
}

int ln_tls_ctx_reload_all(ln_tls_ctx *const *all, size_t count, char reason[256]) {
    ln_tls_set *sets[LN_TLS_RELOAD_MAX];
    size_t built = 0;
    int err = LINNET_OK;
    assert(count <= LN_TLS_RELOAD_MAX);
    /* The files are read under the locks: handshakes that begin meanwhile wait some milliseconds,
     * and in exchange two reloads, or a reload and an added certificate, cannot overtake. */
    for (size_t i = 0; i < count; i++)
        pthread_mutex_lock(&all[i]->lock);
    while (built < count && (err = build(all[built], NULL, &sets[built], reason)) == LINNET_OK)
        built++;
    for (size_t i = 0; err == LINNET_OK && i < count; i++)
        sets[i] = swap(all[i], sets[i]); /* the old one is what has to go */
    for (size_t i = 0; i < count; i++)
        pthread_mutex_unlock(&all[i]->lock);
    for (size_t i = 0; i < built; i++)
        ln_tls_set_unref(sets[i]);
    return err;
}

int ln_tls_ctx_reload(ln_tls_ctx *ctx, char reason[256]) {
    return ln_tls_ctx_reload_all(&ctx, 1, reason);
}

static bool name_valid(const char *name) {
    size_t size = strlen(name);
    return size > 0 && size <= SNI_NAME_MAX && (name[0] != '*' || (name[1] == '.' && size > 2));
}

static int add_locked(ln_tls_ctx *ctx, cert_files *files, ln_tls_set **old, char *reason) {
    if (ctx->more_count == NAMED_MAX) return LINNET_ERR_LIMIT;
    cert_files *more = ln_realloc(ctx->more, (ctx->more_count + 1) * sizeof *more);
    if (!more) return no_memory(reason);
    ctx->more = more;
    ln_tls_set *set;
    int err = build(ctx, files, &set, reason);
    if (err < 0) return err;
    ctx->more[ctx->more_count++] = *files;
    *old = swap(ctx, set);
    return LINNET_OK;
}

int ln_tls_ctx_add_cert(ln_tls_ctx *ctx, const char *name, const char *cert_file,
    const char *key_file, char reason[256]) {
    assert(ctx->server);
    if (!name_valid(name)) {
        if (reason) snprintf(reason, REASON_SIZE, "not a name for a certificate: %.100s", name);
        return LINNET_ERR_INVAL;
    }
    ln_tls_set *old = NULL;
    cert_files files = { .name = NULL };
    int err = LINNET_ERR_NOMEM;
    if (copy(&files.name, name) < 0 || copy(&files.cert, cert_file) < 0 ||
        copy(&files.key, key_file) < 0) {
        no_memory(reason);
        goto fail;
    }
    pthread_mutex_lock(&ctx->lock);
    err = add_locked(ctx, &files, &old, reason);
    pthread_mutex_unlock(&ctx->lock);
    ln_tls_set_unref(old);
    if (err == LINNET_OK) return LINNET_OK;
fail:
    files_fini(&files);
    return err;
}
