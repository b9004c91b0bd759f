/* ws.h -- one side of one WebSocket after its handshake (RFC 6455 5 to 8, RFC 7692), sans I/O.
 *
 * Received bytes go in, events are pulled out; what is to be sent is encoded into a buffer of the
 * caller's. No socket, no clock. The same machine is server and client: a rules table made at init
 * says who masks, and nobody asks again.
 *
 *               peer's Close ------------------------.
 *              /                                      v
 *    OPEN ----+                                    CLOSED      (both Closes exchanged)
 *              \                                      ^
 *               our Close --> CLOSING -- peer's Close-'
 *    any --- peer breaks a rule ---> FAILED                    (terminal: no event follows)
 *
 * In OPEN messages and controls come as events. In CLOSING only the peer's Close does (RFC 6455
 * 1.4: what the peer sent before is discarded, L3), Pings are not answered; unless it was
 * ln_ws_finish that closed: then messages come until the peer's Close. In CLOSED and FAILED all
 * input is swallowed.
 *
 * Where payload lives. A message that arrived in one piece, in one frame, is a slice of the input,
 * unmasked in place. Any other is gathered in `message`, which grows with the bytes received, never
 * with the bytes announced (THREATS row 41). A compressed message is gathered as it came and
 * inflated at its end, into a buffer of the tools; so between calls a ws never stands inside a
 * DEFLATE stream and can be written down anywhere. Where an event says `headroom`, the frame
 * header that this side would send in front of the same payload fits there, so that an echo can go
 * out from where it lies.
 */
#ifndef LN_WIRE_WS_H
#define LN_WIRE_WS_H
#include "base/rand.h"
#include "base/utf8.h"
#include "wire/deflate.h"
#include "wire/frame.h"

typedef struct ln_ws_config {   /* shared by all connections of a route, outlives them */
    uint64_t message_max;       /* bytes, after inflation; at most LN_BUF_MAX - 64 */
    uint32_t fragments_max;     /* frames in one message */
    uint8_t deflate_level;      /* 1..9 */
    uint8_t deflate_memory;     /* zlib memLevel 1..9, for takeover contexts */
    uint32_t deflate_threshold; /* bytes; shorter messages go plain */
    bool client;                /* we are the client */
    bool one_shot;              /* may use libdeflate where there is no window */
} ln_ws_config;

typedef struct ln_pmd {    /* what was agreed, and the contexts: only when agreed */
    ln_deflater *deflater; /* with takeover, made at first use */
    ln_inflater *inflater; /* likewise */
    uint8_t out_bits, in_bits;
    bool out_takeover, in_takeover;
} ln_pmd;

typedef enum ln_ws_state { LN_WS_OPEN, LN_WS_CLOSING, LN_WS_CLOSED, LN_WS_FAILED } ln_ws_state;

/* Invariant: `quiet` is true exactly when the state is OPEN and nothing is cut, under way, or lent
 * to the last event; then the next byte begins a header and the short way through ln_ws_next is
 * open. */
typedef struct ln_ws {
    const ln_ws_config *config;
    ln_pmd *pmd;        /* NULL without permessage-deflate */
    ln_buf message;     /* payload so far, as it came if compressed, behind LN_WS_HEADROOM bytes */
    uint8_t *control;   /* LN_CONTROL_MAX bytes, only while a control frame is cut */
    uint64_t left;      /* payload bytes of the frame under way still to come */
    uint64_t total;     /* payload bytes that the headers of this message announced */
    uint32_t fragments; /* frames of the message under way; 0: none */
    uint8_t mask[4];    /* of the frame under way, turned to its next byte */
    int8_t pending;     /* an error found by ln_ws_received */
    uint8_t state;      /* ln_ws_state; only enter() changes it */
    uint8_t opcode;     /* of the message under way: TEXT or BINARY */
    uint8_t frame_opcode;
    ln_utf8 utf8;
    uint8_t head_size;    /* bytes kept in head[] */
    uint8_t control_size; /* bytes kept in control */
    uint8_t peer_masks;   /* 0x80 where the peer must mask, which is when we do not */
    bool quiet, in_frame, fin, compressed, lent, close_sent, close_seen, hearing;
    uint8_t head[LN_FRAME_HEAD_MAX]; /* a header cut by the end of the input */
    /* The owner's, here because there is room: */
    bool sending_text;    /* the fragmented message under way outwards is text */
    ln_utf8 sending_utf8; /* and where its validation stands */
} ln_ws;
#define LN_WS_HEADROOM 16

#define LN_WS_SPARES 8
typedef struct ln_ws_tools { /* per worker; lent for the call */
    ln_pmd_tools pmd;
    ln_rand *rand;
    /* Message buffers of 64 KiB to 2 MiB that wait for the next large message, so that not each one
     * pays for fresh pages. Connections that are idle hold none. */
    ln_buf spares[LN_WS_SPARES];
    uint32_t spare_count;
} ln_ws_tools;

/* Cannot fail. rand is borrowed until fini. */
void ln_ws_tools_init(ln_ws_tools *tools, ln_rand *rand);
void ln_ws_tools_fini(ln_ws_tools *tools);

typedef enum ln_ws_event_kind {
    LN_WS_MESSAGE, /* opcode, data; complete and valid */
    LN_WS_PING,    /* data; answer it with ln_ws_control(PONG) unless state is not OPEN */
    LN_WS_PONG,    /* data */
    LN_WS_CLOSE, /* code (1005: none given), data: reason. Answer with ln_ws_close if !close_sent */
} ln_ws_event_kind;

typedef struct ln_ws_event {
    ln_ws_event_kind kind;
    uint8_t opcode;
    bool headroom; /* LN_FRAME_HEAD_MAX bytes before data may be overwritten */
    bool inflated; /* it was compressed on the wire */
    uint16_t code;
    ln_wslice data; /* good until the next call on this ws or these tools */
} ln_ws_event;

/* pmd_params: NULL or what ext.h agreed. LINNET_ERR_NOMEM. */
struct ln_pmd_params;
int ln_ws_init(
    ln_ws *ws, const ln_ws_config *config, const struct ln_pmd_params *params, ln_ws_tools *tools);
void ln_ws_fini(ln_ws *ws, ln_ws_tools *tools);

/* Pulls the next event out of *in (which moves forward; it is all consumed when LN_MORE comes).
 *   LN_DONE  *event is filled; call again
 *   LN_MORE  nothing more in this input
 *   < 0      the peer broke a rule (or NOMEM); the state is FAILED, and every later call gives
 * LN_MORE */
int ln_ws_next(ln_ws *ws, ln_ws_tools *tools, ln_wslice *in, ln_ws_event *event);

/* Whether a data frame of which many bytes are outstanding is under way, and where they may be
 * received directly: room in the message buffer for the next bytes of this frame's payload (at most
 * what is left of it and at most `most`). size 0: not worth it. Then call ln_ws_received instead of
 * feeding these bytes. The room stays until the next ln_ws_next, also when we close in between. */
ln_wslice ln_ws_room(ln_ws *ws, size_t most);
/* n bytes were received into that room; then call ln_ws_next with an empty input for the event (or
 * for the error, when these bytes broke a rule). */
void ln_ws_received(ln_ws *ws, size_t n);

/* Makes the buffer behind the MESSAGE event just pulled the caller's (for what could not be sent at
 * once); its bytes stay where they are. False, and nothing happens, where the data lie elsewhere.
 */
bool ln_ws_take(ln_ws *ws, const ln_ws_event *event, ln_buf *taken);
/* The way back for such a buffer: kept for the next large message, or freed. */
void ln_ws_give(ln_ws_tools *tools, ln_buf *buf);

/* Encoding. Each appends one whole frame to *out (or nothing, on error: NOMEM, TOO_BIG of *out,
 * LINNET_ERR_STATE when the state forbids it). Text is not checked here. A message may be encoded
 * until our Close was, also when the peer has closed or failed: it was queued before. */
int ln_ws_message(
    ln_ws *ws, ln_ws_tools *tools, uint8_t opcode, ln_slice payload, bool compress, ln_buf *out);
/* One frame of a fragmented message: first (TEXT or BINARY), then CONTINUATION; fin on the last.
 * Never compressed. The order is the caller's affair. */
int ln_ws_fragment(
    ln_ws *ws, ln_ws_tools *tools, uint8_t opcode, bool fin, ln_slice payload, ln_buf *out);
/* PING or PONG; payload at most LN_CONTROL_MAX, else LINNET_ERR_INVAL. */
int ln_ws_control(ln_ws *ws, ln_ws_tools *tools, uint8_t opcode, ln_slice payload, ln_buf *out);
/* Close, once. code 0 or 1005: empty body. Other codes must be sendable (L6, L7), reason at most
 * 123 bytes of UTF-8, else LINNET_ERR_INVAL. Allowed in FAILED too (that is how a failure is told).
 * A second call is LINNET_ERR_STATE. */
int ln_ws_close(ln_ws *ws, ln_ws_tools *tools, uint16_t code, ln_slice reason, ln_buf *out);
/* The same, for who has said all but still listens: messages go on in CLOSING. */
int ln_ws_finish(ln_ws *ws, ln_ws_tools *tools, uint16_t code, ln_slice reason, ln_buf *out);
/* What the payloads of one message may sum up to. Compressed it may be a little longer than what it
 * holds (5 bytes per stored block), but not without bound: bytes that inflate to nothing would pass
 * any limit on what comes out. */
static inline uint64_t ln_ws_payload_max(const ln_ws_config *config, bool compressed) {
    uint64_t max = config->message_max;
    return compressed ? max + (max >> 10) + 64 : max;
}
/* Whether a code may stand in a Close frame (L6). */
bool ln_ws_code_valid(uint16_t code);

/* Whether messages of this size would be compressed, and how: what a shared rendering needs to
 * know. */
typedef struct ln_ws_variant { /* equal variants may share bytes */
    uint8_t bits;              /* 0: plain; else the window of a no-takeover compressor */
    bool takeover;             /* not shareable when compressed */
} ln_ws_variant;
ln_ws_variant ln_ws_variant_of(const ln_ws *ws);

/* Bytes held right now on the heap by this ws. */
size_t ln_ws_held(const ln_ws *ws);
/* Hand-over: a versioned record of everything, appended to *out (NOMEM, TOO_BIG of *out: nothing);
 * and back. The restored ws continues exactly where the saved one stood; what was lent to the last
 * event is not part of it. LINNET_ERR_INVAL for a record that is not one or that is beyond the
 * limits of this configuration; on any error *ws is untouched. */
int ln_ws_save(ln_ws *ws, ln_buf *out);
int ln_ws_restore(ln_ws *ws, const ln_ws_config *config, ln_slice record, ln_ws_tools *tools);
#endif
