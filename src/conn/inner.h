/* inner.h -- what conn.c and send.c know of each other, and nobody else.
 */
#ifndef LN_CONN_INNER_H
#define LN_CONN_INNER_H
#include "conn/conn.h"

enum {                     /* ln_conn.flags */
    LN_CF_BATCH = 1,       /* always flush at the end of the turn */
    LN_CF_HIGH = 2,        /* over the high mark; on_drain is owed */
    LN_CF_DIRTY = 4,       /* in env->dirty */
    LN_CF_OPENED = 8,      /* on_open was called */
    LN_CF_CLOSE_OWED = 16, /* on_close is to be called at the flush */
    LN_CF_FIN = 32,        /* shut down once everything is sent */
    LN_CF_FIN_SENT = 64,
    LN_CF_DIRECT = 128,    /* receiving straight into the message buffer */
    LN_CF_FRAGMENTS = 256, /* a fragmented message of ours is open */
    LN_CF_TLS_DONE = 512,
    LN_CF_CLIENT = 1024,
    LN_CF_EOF = 2048,         /* the peer has finished sending */
    LN_CF_READING = 4096,     /* receiving is armed */
    LN_CF_ABORT = 8192,       /* close with RST */
    LN_CF_SENT_CLOSE = 16384, /* our Close is queued or gone: nothing may follow it */
    LN_CF_DIALED = 32768,     /* the sock of a client is in use, so a CLOSED will come */
    LN_CF_REDIAL = 65536,     /* its CLOSED means the next address */
    LN_CF_WIDE = 262144,      /* the kernel may keep more unsent */
    LN_CF_DEAF = 524288,      /* lingering, and soon not listening any more */
    LN_CF_PROXIED = 1048576,  /* a PROXY header is to come before anything else */
    LN_CF_AWAITED = 2097152,  /* on_drain is owed, over the high mark or not */
    LN_CF_OURS = 4194304,     /* it was we who ended it */
    LN_CF_ARRAYS = 8388608,   /* its reader takes an array of texts as he would take each */
    LN_CF_UNBORN = 131072     /* dead without ever having had a sock: bury it at the flush */
};

static inline bool ln_conn_is(const ln_conn *c, unsigned flag) {
    return (c->flags & flag) != 0;
}
static inline void ln_conn_set(ln_conn *c, unsigned flag) {
    c->flags |= flag;
}
static inline void ln_conn_unset(ln_conn *c, unsigned flag) {
    c->flags &= ~flag;
}
/* The clock as connections keep it; 0 is left for "never". */
static inline uint32_t ln_conn_now(const ln_conn *c) {
    uint32_t t = (uint32_t)ln_loop_now(c->env->loop);
    return t ? t : 1;
}

/* send.c -------------------------------------------------------------------------- */
/* Wants a flush at the end of this turn. */
void ln_send_dirty(ln_conn *c);
/* Its own input is about to be handled, and has been. False: a cork is in use already, do not
 * uncork. */
bool ln_send_cork(ln_conn *c);
void ln_send_uncork(ln_conn *c);
/* Wire bytes (already framed): into the cork, or the queue. `first` as ln_conn_send. */
int ln_send_wire(ln_conn *c, ln_slice bytes);
/* The bytes in env->cipher that TLS wants sent. */
void ln_send_cipher(ln_conn *c);
/* A send that was pending is done, or never will be. */
void ln_send_done(ln_conn *c, int result);
/* Bytes that wait: more of them, or fewer. */
void ln_send_more(ln_conn *c, uint32_t bytes);
void ln_send_less(ln_conn *c, uint32_t bytes);
/* Whether a message of this size is compressed, unless it says otherwise. */
static inline bool ln_send_compresses(const ln_conn *c, size_t size) {
    return c->ws.pmd && size >= c->ws.config->deflate_threshold && size > 0;
}
/* The oldest that waits, which is no longer counted; the reference is the caller's. */
ln_rendering *ln_send_pop(ln_conn *c);
/* Drops what nobody has promised. */
void ln_send_shed(ln_conn *c);
/* Lets go of what is in flight: the sock is closed. */
void ln_send_release(ln_conn *c);
/* Forgets what waits and is not given to the sock yet. */
void ln_send_forget(ln_conn *c);
/* Encodes what waits in clear, because our Close comes next and nothing can be encoded behind it.
 */
void ln_send_settle(ln_conn *c);
/* Whether everything has left. */
bool ln_send_idle(const ln_conn *c);

/* merge.c ------------------------------------------------------------------------- */
#define LN_MERGE_MAX       128         /* texts in an array */
#define LN_MERGE_BYTES_MAX (16 * 1024) /* with all that stands around them */
/* Whether the first two that wait may leave as one message. */
bool ln_merge_can(const ln_conn *c);
/* Then: takes them from the queue, and all behind them that may stand in the same array, and
 * appends its wire bytes to out. An error ends the connection. */
int ln_merge(ln_conn *c, ln_buf *out);

/* conn.c -------------------------------------------------------------------------- */
/* Everything queued has been sent: FIN or close, if that is what was waited for. */
void ln_conn_flushed(ln_conn *c);
/* The deferred on_close, if owed. */
void ln_conn_close_owed(ln_conn *c);
/* For dial.c: TCP is there and HTTP follows (no TLS); the sock is to be closed for the next
 * address; a connection that never had a sock dies. */
void ln_conn_dialled(ln_conn *c);
void ln_conn_redial(ln_conn *c);
void ln_conn_unborn(ln_conn *c);
void ln_conn_bury(ln_conn *c);
/* Input that cannot be handled now is kept, and nothing more is read until it has been. Copies. */
void ln_conn_keep(ln_conn *c, ln_slice data);
/* The same, before what is kept already: input that came earlier. */
void ln_conn_unread(ln_conn *c, ln_slice data);
/* Takes a PROXY header off the front of what has come. False: there is nothing to go on with yet,
 * or it is over. */
bool ln_conn_unproxy(ln_conn *c, ln_wslice *data);
/* The queue fell to the low mark. */
void ln_conn_drained(ln_conn *c);
#endif
