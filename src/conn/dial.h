/* dial.h -- the client's way to an open WebSocket: name, TCP, TLS, 101, verified.
 *
 *    RESOLVE -> CONNECT (each address in turn) -> TLS -> ASK -> VERIFY -> open
 *
 * An ln_dial lives beside its connection until one of two ends: ln_conn_open_ws was called
 * (ops->on_open), or on_fail; never both, never neither, and never inside ln_dial_start itself. 16
 * KiB of answer head at most, interim 1xx skipped, no redirects. The whole is bounded by
 * timeout_ms.
 */
#ifndef LN_CONN_DIAL_H
#define LN_CONN_DIAL_H
#include "conn/conn.h"
#include "net/dns.h"
#include "wire/upgrade.h"

typedef struct ln_dial ln_dial;

typedef struct ln_dial_options { /* slices and arrays are copied */
    ln_slice url;
    const ln_http1_field *fields;
    size_t field_count;
    const ln_slice *protocols;
    size_t protocol_count;
    ln_pmd_policy deflate;
    ln_slice unix_path;    /* connect here instead */
    const ln_addr *source; /* local address, or NULL */
    ln_tls_ctx *tls;       /* for wss; referenced */
    ln_slice tls_name;     /* verified instead of the host; empty: the host */
    uint32_t timeout_ms;
    const ln_conn_config *config;
    const ln_conn_ops *ops;
    void *owner;
    /* words: for people, borrowed. The connection is DEAD then; env->on_dead follows. */
    void (*on_fail)(ln_conn *c, int err, int status, const char *words);
    /* just before on_open: what was agreed; protocol is borrowed from the response. < 0: cannot be
     * kept in mind, on_fail with it. */
    int (*on_agreed)(ln_conn *c, ln_slice protocol, bool deflate);
} ln_dial_options;

/* Begins on a connection initialised by ln_conn_init. LINNET_ERR_URL, LINNET_ERR_INVAL,
 * LINNET_ERR_NOMEM: nothing was begun and on_dead does not come. */
int ln_dial_start(ln_conn *c, ln_dns *dns, const ln_dial_options *options);
/* conn.c's: a completion of the sock while DIALING; plain bytes while HTTP; the timer; end of
 * stream. */
void ln_dial_complete(ln_conn *c, const ln_completion *completion);
void ln_dial_input(ln_conn *c, ln_wslice data);
void ln_dial_tls_done(ln_conn *c);
/* The sock of an attempt that failed is closed: on to the next address. */
void ln_dial_again(ln_conn *c);
void ln_dial_timer(ln_conn *c);
ln_msec ln_dial_deadline(const ln_dial *d);
/* Gives up: on_fail with err. */
void ln_dial_fail(ln_conn *c, int err);
void ln_dial_free(ln_dial *d);
#endif
