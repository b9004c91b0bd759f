/* upgrade.h -- the opening handshake of RFC 6455, both sides, as pure functions.
 *
 *     server                                    client
 *     ln_upgrade_check()  may it become one?    ln_upgrade_ask()     the request
 *     ln_origin_ok()      from this page?       ln_upgrade_verify()  is this answer ours?
 *     ln_upgrade_choose() which subprotocol?
 *     ln_upgrade_answer() the 101
 *
 * Heads come from http1.h, permessage-deflate is bargained over in ext.h. What a refusal
 * is answered with stands in LN_HTTP1_FAULTS (http1.h).
 */
#ifndef LN_WIRE_UPGRADE_H
#define LN_WIRE_UPGRADE_H
#include "wire/ext.h"
#include "wire/http1.h"
#include "wire/url.h"

#define LN_UPGRADE_PROTOCOLS_MAX 32 /* offered subprotocols; more are malformed */
#define LN_UPGRADE_KEY_SIZE      24
#define LN_UPGRADE_ACCEPT_SIZE   28

/* ---- server ------------------------------------------------------------------------ */

/* What a request to become a WebSocket asks for. Borrows from the head. */
typedef struct ln_upgrade {
    ln_slice key;    /* 24 bytes */
    ln_slice host;   /* as head.host */
    ln_slice origin; /* data is NULL when there is none */
    uint32_t protocol_count;
    ln_slice protocols[LN_UPGRADE_PROTOCOLS_MAX]; /* tokens, each once, client's order */
} ln_upgrade;

/* Whether the request names "websocket" in Upgrade and "upgrade" in Connection: for
 * addresses that serve a page as well. */
bool ln_upgrade_wanted(const ln_http1_head *request);

/* Judges a request on an address that speaks WebSocket (H1 to H7, H11 to H13). NONE fills
 * *out; any other is the refusal, and *out is meaningless. Two Origins are refused as
 * UPGRADE_ORIGIN whatever the policy. The Extensions header is known to obey the grammar
 * afterwards. */
ln_http1_fault ln_upgrade_check(const ln_http1_head *request, ln_upgrade *out);

/* The client's first subprotocol that is among ours (compared exactly), or an empty slice:
 * then the header is left out. The slice is the client's. */
ln_slice ln_upgrade_choose(const ln_upgrade *request, const ln_slice *ours, size_t count);
/* Whether the client offered it; only such a one may be answered. */
bool ln_upgrade_offered(const ln_upgrade *request, ln_slice protocol);

/* base64(SHA-1(key + GUID)), without NUL. The key has 24 bytes. */
void ln_upgrade_accept(ln_slice key, char out[LN_UPGRADE_ACCEPT_SIZE]);

typedef struct ln_upgrade_reply {
    ln_slice protocol;  /* empty: no header */
    ln_slice extension; /* from ln_pmd_accept(); empty: no header */
    ln_slice lines;     /* further header lines as ln_http1_put() writes them, or empty */
} ln_upgrade_reply;

/* Appends the 101; `reply` may be NULL. LINNET_ERR_INVAL when the subprotocol is no token or
 * the extension no value; LINNET_ERR_NOMEM, LINNET_ERR_TOO_BIG. On error nothing was appended. */
int ln_upgrade_answer(ln_buf *out, ln_slice key, const ln_upgrade_reply *reply);

/* Header names that this side writes itself, so that nobody else may: Host, Connection,
 * Upgrade, Sec-WebSocket-*, Content-Length, Transfer-Encoding, Expect. */
bool ln_upgrade_reserved(ln_slice name);

/* ---- origin ------------------------------------------------------------------------ */

/* Which pages may talk to us. Browsers always say where they come from; others need not. */
typedef struct ln_origin_policy {
    const ln_slice *allowed; /* "https://example.com", "https://a.test:8443", "null"; "*" any */
    size_t allowed_count;
    bool required; /* a cookie authenticates: a missing Origin is refused */
    bool secure;   /* the listener itself speaks TLS */
    bool loopback; /* the listener is on loopback: any http(s) page on localhost may */
} ln_origin_policy;

/* True when the origin is absent and not required; is on the list (scheme, host and port
 * equal, without case, default ports understood); is the same host and port as `host`; or
 * the loopback rule applies. On a plain listener a Host without a port is taken for the
 * origin's default port, because TLS may have ended at a proxy. */
bool ln_origin_ok(const ln_origin_policy *policy, ln_slice origin, ln_slice host);

/* ---- client ------------------------------------------------------------------------ */

typedef struct ln_upgrade_ask_options {
    const ln_url *url;
    const uint8_t *nonce; /* 16 fresh random bytes, kept for ln_upgrade_verify */
    const ln_slice *protocols;
    size_t protocol_count;
    ln_pmd_policy deflate;
    const ln_http1_field *extra; /* further headers, for instance Origin, Cookie */
    size_t extra_count;
} ln_upgrade_ask_options;

/* Base64 of the nonce, without NUL. */
void ln_upgrade_key(const uint8_t nonce[16], char out[LN_UPGRADE_KEY_SIZE]);

/* Appends the request. LINNET_ERR_INVAL when a subprotocol is no token or named twice, an
 * extra name is no token or reserved, or an extra value has a control character;
 * LINNET_ERR_NOMEM, LINNET_ERR_TOO_BIG. On error nothing was appended. */
int ln_upgrade_ask(ln_buf *out, const ln_upgrade_ask_options *options);

/* What the server agreed to. */
typedef struct ln_upgrade_agreed {
    ln_slice protocol; /* empty: none; borrows from the response */
    bool deflate;
    ln_pmd_params params; /* meaningful when deflate */
} ln_upgrade_agreed;

/* Judges the final response to ln_upgrade_ask() with the same options.
 *
 *   LINNET_OK                     *out is filled, frames follow the head
 *   LINNET_ERR_UPGRADE_STATUS     not 101
 *   LINNET_ERR_UPGRADE_HEADER     not HTTP/1.1; Upgrade or Connection missing or wrong;
 *                                 Accept, Protocol or Extensions twice; bad grammar
 *   LINNET_ERR_UPGRADE_ACCEPT     Accept missing or not the one for our key
 *   LINNET_ERR_UPGRADE_PROTOCOL   a subprotocol that was not offered
 *   LINNET_ERR_UPGRADE_EXTENSION  an extension or parameter that was not offered
 */
int ln_upgrade_verify(
    const ln_upgrade_ask_options *options, const ln_http1_head *response, ln_upgrade_agreed *out);
#endif
