/* linnet/ws.h -- WebSocket for people who bring their own I/O: bytes in, events out, bytes to send.
 *
 *     linnet_ws_new(&options, &ws);                client: the request is already there to be sent
 *     loop: read -> linnet_ws_feed(ws, bytes)
 *           while (linnet_ws_next(ws, &event) > 0) ...       LINNET_WS_OPEN, _MESSAGE, _CLOSED, ...
 *           linnet_ws_pending(ws) -> write -> linnet_ws_sent(ws, n)
 *
 * No socket, no clock, no thread. Pings are answered and Closes are echoed by themselves; what is
 * to be written shows in linnet_ws_pending. One thread at a time.
 */
#ifndef LINNET_WS_H
#define LINNET_WS_H
#include <linnet/conn.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct linnet_ws linnet_ws;

typedef struct linnet_ws_options {
    size_t size; /* of this struct */
    bool client;
    bool upgraded;                   /* the handshake was done elsewhere: begin open */
    const char *url;                 /* client: needed unless upgraded */
    const char *const *headers;      /* client: "Name: value", NULL-terminated */
    const char *const *subprotocols; /* client: offered; server: supported */
    linnet_conn_limits limits;       /* the sizes and deflate; times have no meaning here */
} linnet_ws_options;
#define LINNET_WS_OPTIONS_INIT                                                                     \
    { sizeof(linnet_ws_options), false, false, NULL, NULL, NULL, LINNET_CONN_LIMITS_INIT }

LINNET_API int linnet_ws_new(const linnet_ws_options *options, linnet_ws **out);
LINNET_API void linnet_ws_free(linnet_ws *ws);

typedef enum linnet_ws_kind {
    LINNET_WS_UPGRADE =
        1, /* server: a valid request is here: ask linnet_ws_request_*, then accept or reject */
    LINNET_WS_OPEN,    /* open; subprotocol agreed */
    LINNET_WS_MESSAGE, /* opcode, data */
    LINNET_WS_PING,    /* data; the pong is queued already */
    LINNET_WS_PONG,    /* data */
    LINNET_WS_CLOSED /* code, data: reason, err; the last one. Send what is pending, then close the
                        stream (a server at once, a client when the server has) */
} linnet_ws_kind;

typedef struct linnet_ws_event {
    linnet_ws_kind kind;
    linnet_opcode opcode;
    uint16_t code;
    int err;           /* CLOSED: why this side failed it, 0 otherwise */
    linnet_slice data; /* good until the next call on this ws */
} linnet_ws_event;

/* Takes bytes as they were read (copied as needed). size 0: the peer's end of stream.
 * LINNET_ERR_NOMEM; LINNET_ERR_LIMIT: over 1 MiB was fed without pulling events. */
LINNET_API int linnet_ws_feed(linnet_ws *ws, linnet_slice bytes);
/* 1: *event is filled; 0: nothing more until the next feed. */
LINNET_API int linnet_ws_next(linnet_ws *ws, linnet_ws_event *event);

/* Server, after LINNET_WS_UPGRADE. */
LINNET_API linnet_slice linnet_ws_request_target(const linnet_ws *ws);
LINNET_API linnet_slice linnet_ws_request_header(const linnet_ws *ws, const char *name);
LINNET_API int linnet_ws_accept(linnet_ws *ws, const char *subprotocol);
LINNET_API int linnet_ws_reject(linnet_ws *ws, int status, const char *body);

/* As the linnet_conn_ functions of the same names. */
LINNET_API int linnet_ws_send(linnet_ws *ws, linnet_opcode opcode, linnet_slice data);
LINNET_API int linnet_ws_send_fragment(
    linnet_ws *ws, linnet_opcode opcode, bool fin, linnet_slice data);
LINNET_API int linnet_ws_ping(linnet_ws *ws, linnet_slice payload);
LINNET_API int linnet_ws_close(linnet_ws *ws, uint16_t code, const char *reason);
LINNET_API linnet_slice linnet_ws_subprotocol(const linnet_ws *ws);

/* What is to be written now, contiguous; good until the next call on this ws. Empty: nothing. */
LINNET_API linnet_slice linnet_ws_pending(const linnet_ws *ws);
/* n bytes of it were written. */
LINNET_API void linnet_ws_sent(linnet_ws *ws, size_t n);

#ifdef __cplusplus
}
#endif
#endif
