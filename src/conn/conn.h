/* conn.h -- one live peer: a byte stream that speaks HTTP, then WebSocket.
 *
 * Bytes come up from net/ as completions, go through TLS if there is some, through HTTP
 * (exchange.h, only until the upgrade) or wire/ws, and leave as calls on `ops`. What is to be sent
 * goes down as renderings in a queue, or straight into the worker's cork while the connection's own
 * input is being handled, and is flushed once per turn: one send, contiguous where it can be.
 *
 *   DIALING ─> HTTP ─> WS ─> CLOSING ─> LINGERING ─> DEAD          (ln_conn_state; conn_enter() is
 *      └────────┴───────┴───────┴───────────┴──────────^            the only one that changes it)
 *
 *   DIALING    connecting, then TLS handshake of a client
 *   HTTP       TLS handshake of a server; heads, bodies, answers; a client waits for 101
 *   WS         open; ops->on_open was called
 *   CLOSING    our Close is on its way, or both are; waits for the peer's, at most close_ms
 *   LINGERING  nothing more to say: FIN is sent, input is discarded, until the peer's FIN or
 *              linger_ms; not for long when it was its head that was refused
 *   DEAD       the sock is closing; ops->on_close was called if on_open was; freed at its
 * CLOSED
 *
 * Callbacks are the last thing a function does; after ops->on_close none follows. A connection is
 * never freed under its callers: that happens at the end of the turn.
 */
#ifndef LN_CONN_CONN_H
#define LN_CONN_CONN_H
#include "base/hist.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/stat.h"
#include "conn/txq.h"
#include "net/loop.h"
#include "net/tls.h"
#include "wire/proxy.h"
#include "wire/ws.h"

typedef struct ln_conn ln_conn;
typedef struct ln_exchange ln_exchange; /* exchange.h */
typedef struct ln_dial ln_dial;         /* dial.h */
typedef struct ln_env ln_env;

typedef enum ln_conn_state {
    LN_CONN_DIALING,
    LN_CONN_HTTP,
    LN_CONN_WS,
    LN_CONN_CLOSING,
    LN_CONN_LINGERING,
    LN_CONN_DEAD
} ln_conn_state;

/* What happens to an open WebSocket. Any may be NULL except on_close. */
typedef struct ln_conn_ops {
    void (*on_open)(ln_conn *c);
    /* opcode LN_OP_TEXT (valid UTF-8) or LN_OP_BINARY; data is borrowed and writable. */
    void (*on_message)(ln_conn *c, uint8_t opcode, ln_wslice data);
    void (*on_drain)(
        ln_conn *c); /* the queue fell to the low mark after it had passed the high one */
    void (*on_ping)(ln_conn *c, ln_slice payload); /* the pong is sent without it */
    void (*on_pong)(
        ln_conn *c, ln_slice payload, uint32_t rtt_ms); /* rtt UINT32_MAX: not our ping */
    /* Exactly once after on_open. code as in RFC 6455 7.1.5: 1005 none given, 1006 no Close came.
     * err: LINNET_OK, or why we ended it. */
    void (*on_close)(ln_conn *c, uint16_t code, ln_slice reason, int err);
    /* The stream is about to be closed, and on_close is still to come: the last time that its sock
     * can be asked something. In the middle of things: nothing is done with the connection. */
    void (*on_parting)(ln_conn *c);
} ln_conn_ops;

typedef struct ln_conn_config { /* shared by all connections of a route; outlives them */
    ln_ws_config ws;
    uint32_t queued_max;    /* wire bytes waiting before the reader counts as slow */
    uint32_t queued_age_ms; /* and how long the oldest may wait; 0: no limit */
    uint32_t high, low;     /* bytes; marks for on_drain, and for pausing the reading */
    uint32_t ping_ms;       /* silence after which a ping is due; 0: none */
    uint32_t pong_ms;       /* more silence after which it is dead */
    uint32_t idle_ms;       /* no message for so long: close 1000; 0: never */
    uint32_t message_ms;    /* a message must be complete so long after its first byte */
    uint32_t close_ms;      /* wait for the peer's Close, once what stands before ours is read */
    uint32_t linger_ms;     /* wait for the peer's FIN, or for it to read anything at all */
    uint32_t control_per_s; /* control frames a second, sustained 5 s; 0: no limit */
    uint16_t slow_code;     /* close code for a slow reader: 3008, or 1008 for plain dialects */
} ln_conn_config;

/* Fields are conn/'s, except where a comment gives them away. */
struct ln_conn {
    ln_sock sock;
    ln_timer timer; /* the one deadline; lazily moved: activity only writes a time */
    ln_env *env;
    const ln_conn_config *config;
    const ln_conn_ops *ops;
    void *owner; /* whoever opened it: for the ops */
    union {
        ln_exchange *http; /* a server's, while HTTP */
        ln_dial *dial;     /* a client's, while DIALING and HTTP */
    };
    ln_tls *tls;
    ln_ws ws;
    ln_list turn;           /* in env->dirty (to be flushed) or env->ready (input waits) */
    ln_txq queue;           /* what waits to be sent */
    ln_rendering *inflight; /* given to the sock, kept until SENT */
    uint8_t *carry;         /* input not yet handled */
    uint32_t carry_size;
    uint32_t queued;                      /* wire bytes waiting, inflight included */
    uint32_t inflight_bytes;              /* of those, pending in the sock */
    uint32_t slot, generation;            /* its name; lib/'s */
    uint32_t heard, spoke, pinged, since; /* ms, low 32 bits of the loop's clock; 0: never */
    uint32_t waiting;                     /* since when the oldest unsent byte waits */
    uint32_t ping_hash;
    union {
        uint32_t last_message;
        uint32_t discarded; /* LINGERING and deaf: bytes */
    };
    uint32_t leaving; /* CLOSING, LINGERING: bytes unsent at the last look */
    uint32_t flood_at;
    uint16_t flood;      /* control frames in the bucket */
    uint16_t close_code; /* for a deferred on_close */
    uint8_t close_err;   /* number of the row */
    uint8_t state;       /* ln_conn_state */
    uint8_t pauses;      /* LN_PAUSE_* */
    uint8_t user_tag;    /* the owner's */
    uint32_t flags;
};

/* Close codes that are counted by themselves; index 0 is for all others. What counts is why it
 * ended: the code that was said first, or what our error row would have said. */
#define LN_CLOSE_CODES 33
uint16_t ln_close_code(unsigned index); /* 0 for index 0 and beyond the last */
unsigned ln_close_index(uint16_t code);

/* One per worker: what all its connections share. */
struct ln_env {
    ln_loop *loop;
    ln_rand rand;
    ln_ws_tools tools;
    ln_log *log;
    ln_list dirty, ready;
    ln_pool blocks;           /* of tx queues */
    ln_pool exchanges;        /* they come and go with each handshake, and leave nothing behind */
    uint8_t *cork;            /* LN_CORK_SIZE bytes */
    uint32_t corked;          /* bytes in it */
    ln_conn *cork_owner;      /* whose input is being handled */
    const uint8_t *current;   /* payload of the message being delivered, if it has headroom */
    const ln_ws_event *event; /* the one being delivered */
    size_t current_size;
    bool current_text;                     /* and it is text, already checked */
    ln_buf cipher, plain, encoded, gather; /* scratch of the moment */
    uint32_t unsent; /* bytes the kernel keeps unsent of an accepted connection; 0: all it can */
    ln_stat conns, messages_in, messages_out, bytes_in, bytes_out, sends, closes;
    ln_stat opens;  /* WebSockets */
    ln_stat queued; /* bytes that wait to be sent, of all */
    ln_stat held;   /* the same, each rendering once: what it costs in memory */
    ln_stat close_codes[LN_CLOSE_CODES]; /* by ln_close_index */
    ln_hist rtt;                         /* of our pings */
    ln_hist waited;  /* until it had gone: the oldest byte of what a sock did not take at once */
    ln_stat stalled; /* connections that wait for their sock now */
    ln_stat spared;  /* volatile renderings dropped because a queue was full */
    ln_stat rejects[64];                            /* by error row number */
    ln_stat faults[64];                             /* by ln_http1_fault */
    void *host;                                     /* lib/'s worker */
    uint8_t worker;                                 /* its number, for the log */
    void (*on_request)(ln_conn *c, ln_exchange *x); /* a request head is complete (exchange.h) */
    void (*on_body)(ln_conn *c, ln_exchange *x);    /* the body that was wanted is whole */
    /* The peer went before the answer was complete, or nobody gave one in time: it is not wanted.
     */
    void (*on_gone)(ln_conn *c, ln_exchange *x);
    void (*on_dead)(ln_conn *c); /* the sock is closed: free the memory */
    /* A PROXY header that was awaited has come. LINNET_OK, or why the connection ends. */
    int (*on_proxied)(ln_conn *c, const ln_proxy *header);
    /* Somebody was refused, as the log has it. NULL: nobody follows. */
    void (*on_refused)(ln_conn *c, const char *group, const char *reason, unsigned code);
    /* Who is to be named in the log; NULL: the sock's peer. */
    void (*name_peer)(ln_conn *c, char out[64]);
};
#define LN_CORK_SIZE (128 * 1024)

int ln_env_init(ln_env *env, ln_loop *loop, ln_log *log);
void ln_env_fini(ln_env *env);

/* The worker's side ---------------------------------------------------------------- */

/* Hands a completion of the connection's sock up. */
void ln_conn_complete(ln_conn *c, const ln_completion *completion);
/* Its timer is due. */
void ln_conn_timer(ln_conn *c);
/* Once per turn: at its beginning input that waited for it (later it would be a second helping), at
 * its end all that is dirty is flushed. While one of the lists is not empty the next turn does not
 * sleep. */
void ln_env_ready(ln_env *env);
void ln_env_flush(ln_env *env);

/* Beginnings. Each leaves the memory with env->on_dead in the end; on error it is the caller's
 * still. accept: a descriptor that was accepted (taken on success); tls NULL or a server context.
 * HTTP follows: call ln_exchange_begin. init: for ln_dial_start. All is set but slot and
 * generation, which stay what they were. */
int ln_conn_accept(
    ln_conn *c, ln_env *env, uint8_t sock_kind, uint8_t timer_kind, int fd, ln_tls_ctx *tls);
void ln_conn_init(ln_conn *c, ln_env *env, uint8_t sock_kind, uint8_t timer_kind);

/* Between ln_exchange_begin and the first reading: a PROXY header comes first, before TLS, within
 * the time of a head. Anything else ends it, LINNET_ERR_PROXY. */
void ln_conn_await_proxy(ln_conn *c);

/* For exchange.c and dial.c: sets the one timer no later than this; FIN behind what is queued and
 * linger; end now without on_close. */
void ln_conn_arm(ln_conn *c, ln_msec due);
void ln_conn_linger(ln_conn *c);
void ln_conn_drop(ln_conn *c, int err);

/* Everybody's side ------------------------------------------------------------------ */

/* Turns an established stream into an open WebSocket: after a 101 was queued or verified. Bytes
 * that came behind the head are fed by the caller with ln_conn_input. params: NULL or what was
 * agreed. On error the caller closes. */
struct ln_pmd_params;
/* (exchange.c and dial.c free themselves before it: c->http is NULL.) */
int ln_conn_open_ws(ln_conn *c, const ln_conn_config *config, const ln_conn_ops *ops, void *owner,
    const struct ln_pmd_params *params);
/* Plain bytes (after TLS), as if they had just arrived. */
void ln_conn_input(ln_conn *c, ln_wslice data);

/* Queues one message. Copies what it must; a payload that is the message being delivered is sent
 * from where it lies. LINNET_ERR_CLOSED after a close; LINNET_ERR_NOMEM; LINNET_ERR_SLOW: the queue
 * is over its maximum and the connection is being closed for it. Text must be UTF-8 (not checked).
 */
int ln_conn_send(ln_conn *c, uint8_t opcode, ln_slice payload);
/* The same, never compressed. */
int ln_conn_send_plain(ln_conn *c, uint8_t opcode, ln_slice payload);
/* A text that may stand in an array with others (ln_conn_arrays). */
int ln_conn_send_item(ln_conn *c, ln_slice payload);
/* Fragments of one message, uncompressed: TEXT or BINARY first, CONTINUATION after; fin on the
 * last. LINNET_ERR_STATE out of order. */
int ln_conn_send_fragment(ln_conn *c, uint8_t opcode, bool fin, ln_slice payload);
/* Queues a shared rendering (takes its own reference). The hot path of fan-out. Errors as
 * ln_conn_send. */
int ln_conn_queue(ln_conn *c, ln_rendering *r);
int ln_conn_ping(ln_conn *c, ln_slice payload);
/* Bytes that are not a frame: HTTP. Copies. */
int ln_conn_send_raw(ln_conn *c, ln_slice bytes);

/* The WebSocket closing handshake, or (in HTTP) flush and linger. Idempotent. LINNET_ERR_INVAL for
 * codes that may not be sent. */
int ln_conn_close(ln_conn *c, uint16_t code, ln_slice reason);
/* The same, but messages are delivered until the peer's Close. */
int ln_conn_finish(ln_conn *c, uint16_t code, ln_slice reason);
/* Fails it with an error row: Close with the row's code, then the end. */
void ln_conn_fail(ln_conn *c, int err);
/* Logs, at info, that something was refused: the reason as group and name of its row, status or
 * close code, and from where. Nothing that the peer said: there may be secrets in it. */
void ln_conn_log_refusal(ln_conn *c, const char *group, const char *reason, unsigned code);
/* No ceremony: the stream is dropped now. on_close comes with 1006. */
void ln_conn_terminate(ln_conn *c);

/* Stops and resumes reading from the peer; counted by reason bit, so that two reasons do not undo
 * each other. */
void ln_conn_pause(ln_conn *c, uint8_t reason);
void ln_conn_resume(ln_conn *c, uint8_t reason);
#define LN_PAUSE_USER  1
#define LN_PAUSE_QUEUE 2
#define LN_PAUSE_WAIT  4  /* an answer is awaited (deferred upgrade, request at work) */
#define LN_PAUSE_CARRY 8  /* conn's own: input of an earlier turn comes first */
#define LN_PAUSE_MAIL  16 /* lib's: what it publishes piles up at another worker */

/* Going through what waits behind what was given to the backend, to leave some of it out:
 *
 *     ln_sift s;
 *     ln_conn_sift_begin(c, &s);
 *     for (ln_rendering *r; (r = ln_conn_sift_next(&s));)       its reference is the caller's:
 *         ln_conn_sift_put(&s, r)  or  ln_rendering_unref(r)    it stays, or it goes
 *     ln_conn_sift_end(&s);
 *
 * Others may be put between. Nothing else is done with the connection meanwhile. */
typedef struct ln_sift {
    ln_conn *c;
    ln_txq rest;
    uint32_t at; /* when the last one that came was queued, as ln_conn's times */
    int err;
} ln_sift;
void ln_conn_sift_begin(ln_conn *c, ln_sift *s);
ln_rendering *ln_conn_sift_next(ln_sift *s);
/* Takes the reference. */
void ln_conn_sift_put(ln_sift *s, ln_rendering *r);
/* LINNET_OK, or LINNET_ERR_NOMEM: something that was to stay is lost, end the connection. */
int ln_conn_sift_end(ln_sift *s);

/* In on_close: whether it was we who began to close it, by a Close, an error, or without a word. */
bool ln_conn_ours(const ln_conn *c);
/* As ln_sock_traffic. Not after on_parting. */
bool ln_conn_traffic(const ln_conn *c, uint64_t *in, uint64_t *out);
static inline uint32_t ln_conn_queued(const ln_conn *c) {
    return c->queued;
}
/* False when the queue is not over the low mark; otherwise on_drain tells when it is not any more,
 * though it need never have passed the high one. */
bool ln_conn_await_drain(ln_conn *c);
/* Fan-out reaches this connection too: flush at the end of the turn, not behind its own input. */
void ln_conn_batch(ln_conn *c, bool on);
/* Its reader takes a JSON array as he would take each of what stands in it: texts that may stand in
 * one (LN_RENDERING_ITEM) and wait one behind the other leave together. */
void ln_conn_arrays(ln_conn *c);
#endif
