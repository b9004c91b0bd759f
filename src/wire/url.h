/* url.h -- addresses as people write them: URLs to dial, addresses to listen on.
 *
 * Only absolute ws, wss, http and https URLs (RFC 6455 section 3, RFC 3986); anything
 * relative, any other scheme, a fragment, a backslash, a byte outside visible ASCII or a
 * broken escape is LINNET_ERR_URL. Nothing is decoded or normalised: what was written is
 * what is sent. All slices borrow from the text.
 */
#ifndef LN_WIRE_URL_H
#define LN_WIRE_URL_H
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

typedef enum ln_url_scheme { LN_URL_WS, LN_URL_WSS, LN_URL_HTTP, LN_URL_HTTPS } ln_url_scheme;

typedef enum ln_url_host {
    LN_URL_NAME, /* to be resolved: letters, digits, '-', '_' and '.' */
    LN_URL_V4,
    LN_URL_V6, /* without its brackets, no zone */
} ln_url_host;

typedef struct ln_url {
    ln_url_scheme scheme;
    ln_url_host kind;
    bool secure;       /* wss, https */
    bool has_query;    /* "?" was written, even if nothing follows */
    uint16_t port;     /* the scheme's own when none was written; never 0 */
    ln_slice userinfo; /* before '@', still encoded; empty when absent. A secret. */
    ln_slice host;
    ln_slice path;  /* begins with '/'; "/" (static memory) when none was written */
    ln_slice query; /* behind the '?' */
} ln_url;

/* LINNET_ERR_URL leaves *out untouched. */
int ln_url_parse(ln_slice text, ln_url *out);

/* Appends scheme, host, port unless it is the scheme's own, and the target. The userinfo
 * is left out, so the result may be logged (but for the query, which may hold a token). As
 * the other writers: LINNET_OK, LINNET_ERR_NOMEM or LINNET_ERR_TOO_BIG. */
int ln_url_write(const ln_url *url, ln_buf *out);
/* Appends what stands in Host: brackets around a v6, port unless it is the scheme's own. */
int ln_url_write_host(const ln_url *url, ln_buf *out);
/* Appends what stands in the request line: path and query. */
int ln_url_write_target(const ln_url *url, ln_buf *out);

/* True for "localhost", names under ".localhost", 127.0.0.0/8 and ::1. */
bool ln_url_is_loopback(ln_url_host kind, ln_slice host);

/* Splits "host", "host:port", "[v6]" or "[v6]:port" as in Host and in URLs. *port is
 * untouched when none is written. False when it is not such a thing; port 0 is not. */
bool ln_url_authority(ln_slice text, ln_url_host *kind, ln_slice *host, uint16_t *port);

/* ---- where to listen --------------------------------------------------------------- */

#define LN_URL_UNIX_MAX 107 /* bytes of a path: sun_path without its NUL */

typedef struct ln_url_listen {
    bool is_unix;
    ln_url_host kind; /* of host */
    ln_slice host;    /* "127.0.0.1" (static memory) for ":PORT"; empty for unix */
    uint16_t port;    /* 0: any free one; 0 for unix */
    ln_slice path;    /* of the socket; empty unless unix */
} ln_url_listen;

/* HOST:PORT, [V6]:PORT, :PORT (loopback) or unix:PATH. A port must be written, 0 picks a
 * free one. LINNET_ERR_URL leaves *out untouched. */
int ln_url_listen_parse(ln_slice text, ln_url_listen *out);
/* Appends the same again, ":PORT" as "127.0.0.1:PORT". */
int ln_url_listen_write(const ln_url_listen *listen, ln_buf *out);
#endif
