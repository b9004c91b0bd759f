/* exchange.h -- one HTTP/1.1 exchange on a server connection: a head, perhaps a body, one answer;
 * then the next one on the same connection, or a WebSocket, or the end.
 *
 *    HEAD ──> (env->on_request) ──> BODY ──> (env->on_body) ──> WORK ──> ANSWERED ──> HEAD ...
 *      |              |                                           |
 *      |              +── answer, refuse, accept at once          +── answered later, by id
 *      +── refused: a fault of http1.h is answered, the connection lingers and dies
 *
 * Exchanges of a connection follow one another strictly, so pipelined requests are answered in
 * order; while one is at work the connection reads at most 64 KiB more. Times (THREATS rows 30,
 * 31): the head is complete head_ms after accept (or after its first byte, for later ones), else
 * 408; a body 30 s and at least 256 B/s after 5 s; an idle kept connection closes after 60 s; a
 * request nobody answers in 30 s gets 503.
 *
 * The head's slices are good until the answer is complete: bytes that came in one piece are copied
 * only when the answer is not given inside on_request.
 */
#ifndef LN_CONN_EXCHANGE_H
#define LN_CONN_EXCHANGE_H
#include "conn/conn.h"
#include "wire/chunked.h"
#include "wire/http1.h"
#include "wire/upgrade.h"

typedef enum ln_exchange_state {
    LN_EXCHANGE_HEAD,
    LN_EXCHANGE_BODY,
    LN_EXCHANGE_WORK,
    LN_EXCHANGE_STREAM,  /* begun, not ended */
    LN_EXCHANGE_ANSWERED /* whole; the connection goes on or lingers */
} ln_exchange_state;

struct ln_exchange {
    ln_conn *conn;
    ln_buf body;   /* whole at on_body */
    ln_buf fields; /* extra header lines for the answer, ready for the wire */
    ln_http1_scan scan;
    ln_chunked chunked;
    uint64_t body_max, body_seen;
    ln_msec deadline, since; /* absolute; when this phase began */
    void *host;              /* lib's: the route and whatever hangs on it */
    uint32_t answered;       /* exchanges completed on this connection */
    uint8_t state;           /* ln_exchange_state */
    ln_slice behind;         /* inside on_request: what came behind the head */
    uint32_t used;           /* of `in`, while at work: head and what else is done with */
    uint32_t head_ms;
    bool delivering; /* inside on_request or on_body */
    bool left;       /* and ended there: freed when that returns, because the host may look again */
    bool body_done;  /* there is none, or it is whole */
    bool head_only;  /* HEAD: no body bytes go out */
    bool chunk_out, close_after;
    bool endless; /* a stream that only its reader ends: see ln_exchange_endless */
    /* Last, because it is most of the size and needs no zeroing. */
    ln_http1_head head; /* from on_request until the answer is complete */
    ln_buf in; /* head bytes when they came in pieces or must be kept; then what came behind */
};

/* The connection has just been accepted (after ln_conn_accept): HTTP begins. LINNET_ERR_NOMEM. */
int ln_exchange_begin(ln_conn *c, uint32_t head_ms);
/* conn.c's: plain bytes arrived, the peer ended its side, the deadline passed, the connection dies.
 */
void ln_exchange_input(ln_conn *c, ln_wslice data);
void ln_exchange_timer(ln_conn *c);
/* When the next deadline is; LN_NEVER. */
ln_msec ln_exchange_deadline(const ln_exchange *x);
/* The connection lets go of it. Inside a delivery its memory stays till the end of that, so that
 * whoever has answered may still look at the head, and is told LINNET_ERR_STATE the second time. */
void ln_exchange_free(ln_exchange *x);

/* Inside on_request only: collect the body first (413 beyond body_max), then env->on_body. Without
 * a body on_body comes at once. A request with a body that is answered without asking for it closes
 * afterwards. */
void ln_exchange_want_body(ln_exchange *x, uint64_t body_max);

/* An extra line for the answer (also for a 101). LINNET_ERR_STATE once it was begun;
 * LINNET_ERR_INVAL: CR, LF, NUL, no token, or a
 * framing field (Content-Length, Transfer-Encoding, Connection, Upgrade, Sec-WebSocket-*, Date).
 * LINNET_ERR_NOMEM, LINNET_ERR_TOO_BIG (8 KiB). */
int ln_exchange_add_field(ln_exchange *x, ln_slice name, ln_slice value);
/* The whole answer. type empty: no Content-Type. LINNET_ERR_STATE when answered or begun already;
 * LINNET_ERR_INVAL for a status outside 200..599; LINNET_ERR_NOMEM: the connection is dropped. */
int ln_exchange_answer(ln_exchange *x, unsigned status, ln_slice type, ln_slice body);
/* 304 and HEAD answers that state the length of a body that is not sent. */
int ln_exchange_answer_head(ln_exchange *x, unsigned status, ln_slice type, uint64_t length);
/* A row of LN_HTTP1_FAULTS; closes behind it. LINNET_ERR_STATE when answered already; of a stream
 * that has begun the connection is dropped. */
int ln_exchange_refuse(ln_exchange *x, ln_http1_fault fault);
/* Streamed, chunked. What cannot be sent drops the connection, because a body with a hole is worse
 * than none: LINNET_ERR_NOMEM, LINNET_ERR_SLOW (over 16 MiB wait). */
int ln_exchange_stream(ln_exchange *x, unsigned status, ln_slice type);
int ln_exchange_write(ln_exchange *x, ln_slice data);
int ln_exchange_end(ln_exchange *x);
/* The stream has no end of its own, so that a peer that says FIN waits for nothing: it has gone,
 * and the connection is dropped (on_gone) as soon as that is known. Otherwise half a connection is
 * given its answer, and nobody would look before the next write fails. In STREAM, as the last thing
 * that is done with x: outside of a delivery the peer may have gone already. */
void ln_exchange_endless(ln_exchange *x);

/* Becomes a WebSocket: 101 is queued (with the extra fields), the exchange is freed, ops->on_open
 * runs, bytes that came behind the head follow as frames. upgrade: as checked on x->head. On error
 * on_open was not called, and the exchange is untouched or (conn->http is NULL) the connection
 * dropped. */
typedef struct ln_exchange_accept {
    ln_slice key, protocol, extension;
    const ln_pmd_params *params; /* NULL: no compression */
    const ln_conn_config *config;
    const ln_conn_ops *ops;
    void *owner;
} ln_exchange_accept;
int ln_exchange_become_ws(ln_exchange *x, const ln_exchange_accept *accept);
#endif
