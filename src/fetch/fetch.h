/* fetch.h -- HTTP requests to the outside, by libcurl on our loop: webhooks and key sets.
 *
 * One fetcher per worker: its own pool of kept connections (HTTP/1.1, and 2 over TLS), its own
 * resolver. Whom it asks is named by the configuration, never by a peer; what comes back is as
 * hostile as any other input, and bounded in all directions:
 *
 *   time       5 s for everything, of it 2 s to resolve and connect
 *   size       64 KiB of reply, as much of header
 *   way        http and https only, no redirects, no proxies, no cookies; certificates are verified
 *   number     256 under way per fetcher
 *
 * Names are resolved by net/dns.h and handed to libcurl with the request, because its own resolver
 * would start a thread for each name (docs/adr/0009). So nothing here blocks, and nothing runs
 * beside the loop.
 *
 *    RESOLVING -> RUNNING -> gone      each fetch ends in exactly one callback,
 *         \___________/_____-> gone    or was cancelled by handle, then in none
 */
#ifndef LN_FETCH_FETCH_H
#define LN_FETCH_FETCH_H
#include "net/loop.h"

typedef struct ln_fetcher ln_fetcher;
typedef struct ln_fetch ln_fetch;

#define LN_FETCH_TIMEOUT_MS  5000
#define LN_FETCH_CONNECT_MS  2000
#define LN_FETCH_REPLY_MAX   (64u * 1024)
#define LN_FETCH_UNDER_WAY   256
#define LN_FETCH_HEADERS_MAX 32
#define LN_FETCH_HOST_MAX    253

typedef struct ln_fetcher_options {
    const char *ca_file;     /* PEM, copied; NULL: the system's */
    const char *dns_servers; /* as ln_dns_options; NULL: the system's */
    uint32_t under_way_max;  /* 0: LN_FETCH_UNDER_WAY */
    uint8_t timer_kind;      /* tag of its timers in the loop's wheel */
} ln_fetcher_options;

/* LINNET_ERR_NOMEM, LINNET_ERR_INVAL (dns_servers), LINNET_ERR_DNS. */
int ln_fetcher_new(ln_loop *loop, const ln_fetcher_options *options, ln_fetcher **out);
/* What is under way ends with LINNET_ERR_CANCELLED first. Not inside a callback. NULL is allowed.
 */
void ln_fetcher_free(ln_fetcher *f);

typedef struct ln_fetch_reply { /* borrowed for the callback */
    int err;         /* LINNET_OK: there was an answer, whatever it says. Else TIMEOUT, DNS,
                        CONNECT, RESET, TLS, TLS_VERIFY, HTTP, TOO_BIG, NOMEM, CANCELLED */
    unsigned status; /* 0 with an err */
    ln_slice body;
    ln_slice cache; /* what Cache-Control says, the first field; empty: nothing, or too much */
} ln_fetch_reply;
typedef void ln_fetch_done(void *user, const ln_fetch_reply *reply);

typedef struct ln_fetch_request { /* all copied */
    const char *url;
    ln_slice body;              /* data NULL: GET, else POST */
    const char *const *headers; /* "Name: value", NULL at the end; or NULL */
    uint32_t timeout_ms;        /* 0: the defaults above; and so the next two */
    uint32_t connect_ms;
    uint32_t reply_max;
    ln_fetch_done *done;
    void *user;
} ln_fetch_request;

/* Begins. LINNET_ERR_URL (malformed, not http(s), names a user), LINNET_ERR_LIMIT (too many under
 * way, too many headers), LINNET_ERR_NOMEM: no callback comes. The callback never comes from inside
 * this call. *out, which may be NULL, is good until then. */
int ln_fetch_start(ln_fetcher *f, const ln_fetch_request *request, ln_fetch **out);
/* No callback follows. */
void ln_fetch_cancel(ln_fetch *fetch);
uint32_t ln_fetcher_under_way(const ln_fetcher *f);
/* Whether a URL is one that ln_fetch_start takes. LINNET_OK, LINNET_ERR_URL, LINNET_ERR_NOMEM. */
int ln_fetch_url_check(const char *url);

/* The owner of the loop hands over each LN_C_WATCH completion, and each timer of its kind. False:
 * the completion is somebody else's. Callbacks run in here. */
bool ln_fetcher_ready(ln_fetcher *f, const ln_completion *c);
void ln_fetcher_timer(ln_fetcher *f, ln_timer *timer);
#endif
