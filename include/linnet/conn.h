/* linnet/conn.h -- one open WebSocket, the same for servers and clients.
 *
 * A linnet_conn * is good only inside callbacks of its own loop, and there until its on_close has
 * returned. Anywhere else, in any thread, at any time, a connection is its linnet_conn_id, and the
 * functions of a server or loop that take one.
 */
#ifndef LINNET_CONN_H
#define LINNET_CONN_H
#include <linnet/loop.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct linnet_conn linnet_conn;

typedef enum linnet_opcode {
    LINNET_CONTINUATION = 0, /* only for linnet_conn_send_fragment */
    LINNET_TEXT = 1,
    LINNET_BINARY = 2
} linnet_opcode;

/* What happens to a connection. Any may be NULL. After on_close none follows; every on_open has
 * exactly one on_close. Slices are borrowed for the call. */
typedef struct linnet_conn_events {
    void (*on_open)(linnet_conn *conn);
    /* A whole message. Text is valid UTF-8. */
    void (*on_message)(linnet_conn *conn, linnet_opcode opcode, linnet_slice data);
    /* The queue fell to the low mark, after it had passed the high one. */
    void (*on_drain)(linnet_conn *conn);
    /* A Pong. rtt_ms: time since the ping of ours it answers, UINT32_MAX when it answers none. */
    void (*on_pong)(linnet_conn *conn, linnet_slice payload, uint32_t rtt_ms);
    /* code as RFC 6455 7.1.5 says: 1005 when the peer gave none, 1006 when the stream ended without
     * a Close. err: 0, or the LINNET_ERR_* why this side ended it. */
    void (*on_close)(linnet_conn *conn, uint16_t code, linnet_slice reason, int err);
} linnet_conn_events;

/* permessage-deflate (RFC 7692). */
typedef enum linnet_deflate {
    LINNET_DEFLATE_OFF = 0,
    LINNET_DEFLATE_SHARED = 1,  /* no context takeover in our direction: no memory per connection */
    LINNET_DEFLATE_TAKEOVER = 2 /* a window per connection: smaller output, up to 300 KiB each */
} linnet_deflate;

/* Limits and times of a connection. 0 stands for the default everywhere; to switch something off
 * use LINNET_OFF. */
#define LINNET_OFF UINT32_MAX
typedef struct linnet_conn_limits {
    size_t size;            /* of this struct */
    uint64_t message_max;   /* bytes of one message, inflated; default 64 KiB, clients 16 MiB;
                               at most 0x7fffff00 */
    uint32_t fragments_max; /* frames in one message; default 1,024 */
    uint32_t queued_max;    /* bytes waiting for a slow reader; default 1 MiB; 3008 beyond */
    uint32_t queued_age_ms; /* age of the oldest waiting; default 10,000 */
    uint32_t high_mark;     /* bytes waiting at which reading pauses; default 256 KiB */
    uint32_t low_mark;      /* and goes on, on_drain; default 64 KiB, or a quarter of high_mark */
    uint32_t ping_ms;       /* silence before a ping; default 25,000 */
    uint32_t pong_ms;       /* more silence until it is dead; default 10,000 */
    uint32_t idle_ms;       /* without a message; default off */
    uint32_t message_ms;    /* to complete a message; default 30,000 */
    uint32_t close_ms;      /* for the peer's Close; default 5,000 */
    uint32_t control_per_s; /* control frames a second sustained; default 50 */
    linnet_deflate deflate; /* default off */
    uint32_t deflate_threshold; /* bytes; shorter messages go plain; default 1,024; LINNET_OFF: 0 */
    uint32_t deflate_level;     /* 1..9; default 1 shared, 6 takeover */
    uint32_t window_bits;       /* 9..15, of our compressor; default 15 shared, 12 takeover */
} linnet_conn_limits;
#define LINNET_CONN_LIMITS_INIT                                                                    \
    { sizeof(linnet_conn_limits), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, LINNET_DEFLATE_OFF, 0, 0, 0 }

/* Queues one message and returns at once; the bytes are copied. Text must be valid UTF-8: this is
 * checked, LINNET_ERR_UTF8. LINNET_ERR_CLOSED after a close began, LINNET_ERR_NOMEM,
 * LINNET_ERR_SLOW when the queue is full and the connection is being closed for it.
 * LINNET_ERR_INVAL for another opcode. */
LINNET_API int linnet_conn_send(linnet_conn *conn, linnet_opcode opcode, linnet_slice data);
/* The same, never compressed (for secrets next to what an attacker chose, RFC 7692 8). */
LINNET_API int linnet_conn_send_plain(linnet_conn *conn, linnet_opcode opcode, linnet_slice data);
/* One message in several frames: TEXT or BINARY, then CONTINUATION; fin on the last. Controls may
 * go in between, another message may not: LINNET_ERR_STATE (one sent by id waits). That is also the
 * answer on a connection that is subscribed to topics, whose publications could come in between.
 * Text is checked across fragments. */
LINNET_API int linnet_conn_send_fragment(
    linnet_conn *conn, linnet_opcode opcode, bool fin, linnet_slice data);
/* A Ping of at most 125 bytes. */
LINNET_API int linnet_conn_ping(linnet_conn *conn, linnet_slice payload);
/* The closing handshake. code 1000 to 1014 without 1004 to 1006, or 3000 to 4999, or 0 for an empty
 * Close; reason at most 123 bytes of UTF-8; otherwise LINNET_ERR_INVAL. What was queued before is
 * still sent. */
LINNET_API int linnet_conn_close(linnet_conn *conn, uint16_t code, const char *reason);
/* The same, for who has said all but still listens: on_message goes on until the peer's Close comes
 * or close_ms has passed. After linnet_conn_close what the peer says is dropped. */
LINNET_API int linnet_conn_finish(linnet_conn *conn, uint16_t code, const char *reason);
/* Drops the stream now, without ceremony; on_close comes with 1006, later in this turn. */
LINNET_API void linnet_conn_terminate(linnet_conn *conn);

/* Stops and resumes reading from the peer. */
LINNET_API void linnet_conn_pause(linnet_conn *conn);
LINNET_API void linnet_conn_resume(linnet_conn *conn);

/* Bytes queued and not yet taken by the kernel. */
LINNET_API size_t linnet_conn_buffered(const linnet_conn *conn);
LINNET_API linnet_conn_id linnet_conn_get_id(const linnet_conn *conn);
LINNET_API linnet_loop *linnet_conn_loop(const linnet_conn *conn);
/* The host's pointer: from linnet_upgrade_accept or the dial options, changeable at any time. */
LINNET_API void *linnet_conn_user(const linnet_conn *conn);
LINNET_API void linnet_conn_set_user(linnet_conn *conn, void *user);
/* The agreed subprotocol; empty when there is none. Good as long as the connection. */
LINNET_API linnet_slice linnet_conn_subprotocol(const linnet_conn *conn);
/* "127.0.0.1:40212", "[::1]:40212" or "unix"; returns the length, out is NUL-terminated. Behind a
 * trusted proxy the visitor, without a port if the proxy told none: "192.0.2.1", "[2001:db8::1]".
 */
LINNET_API size_t linnet_conn_peer(const linnet_conn *conn, char out[64]);
/* Whether permessage-deflate was agreed; whether it is TLS, to us or to a trusted proxy. */
LINNET_API bool linnet_conn_deflated(const linnet_conn *conn);
LINNET_API bool linnet_conn_tls(const linnet_conn *conn);

/* Raw topics, servers only: names of 1 to 255 bytes shared by all workers of the server. A
 * subscriber gets each publication once, as one message, in the order of each publisher. At most
 * 128 per connection (LINNET_ERR_LIMIT). To unsubscribe takes effect behind what the connection has
 * published there before, so others' messages that are on their way come too (unless a fragmented
 * message is begun meanwhile, which ends it). LINNET_ERR_EXISTS,
 * LINNET_ERR_NOT_FOUND, LINNET_ERR_NOMEM. */
LINNET_API int linnet_conn_subscribe(linnet_conn *conn, linnet_slice topic);
LINNET_API int linnet_conn_unsubscribe(linnet_conn *conn, linnet_slice topic);
/* To all subscribers, this connection included when it is one. While too much waits at the worker
 * it goes to, the connection whose message is being handled is not read. */
LINNET_API int linnet_conn_publish(
    linnet_conn *conn, linnet_slice topic, linnet_opcode opcode, linnet_slice data);

/* By id, from any thread. LINNET_OK: it is on its way; a connection that has gone meanwhile is no
 * error. A message that finds a fragmented one under way follows behind it, and one that comes
 * before the connection is open (dialled, or a deferred upgrade) follows behind on_open; over
 * queued_max of them end it as any slow reader. What the worker has no memory for ends it too.
 * LINNET_ERR_AGAIN when too much waits, LINNET_ERR_INVAL for an id of another server. Data is
 * copied. */
LINNET_API int linnet_loop_send(
    linnet_loop *loop, linnet_conn_id id, linnet_opcode opcode, linnet_slice data);
LINNET_API int linnet_loop_close(
    linnet_loop *loop, linnet_conn_id id, uint16_t code, const char *reason);

#ifdef __cplusplus
}
#endif
#endif
