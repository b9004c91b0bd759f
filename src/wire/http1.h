/* http1.h -- HTTP/1.1 heads (RFC 9110, 9112), read as strictly as they are written.
 *
 * Bytes in, values out: no allocation, no clock, no socket. Where the RFC lets a recipient
 * be generous (bare LF, folded lines, equal Content-Lengths, an empty line in front), this
 * file is not: each generosity is a place where two programs read two different requests.
 *
 * A head is one contiguous slice that begins with the first byte of the request or status
 * line. While it arrives, the caller keeps what came in one buffer and shows all of it
 * again, with the same ln_http1_scan: bytes that were seen are not looked at twice, and a
 * bad byte or a crossed limit is refused when it is seen, not at the end of the head.
 * When the last byte is there the fields are taken out as slices of that buffer; a head
 * that arrives whole is read in one pass.
 *
 *     case LN_MORE:          keep the bytes, read on
 *     case LN_DONE:          head.size bytes are used up, the body follows
 *     case LINNET_ERR_HTTP:  ln_http1_refuse(out, scan.fault), then close
 *
 * All statuses that Linnet refuses a request with stand in LN_HTTP1_FAULTS below; the name
 * of the row is the reason in logs and metrics.
 */
#ifndef LN_WIRE_HTTP1_H
#define LN_WIRE_HTTP1_H
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "wire/target.h"

/* ---- the two tables ---------------------------------------------------------------- */

/* Status codes and their words. */
#define LN_HTTP1_STATUSES(X)                                                                       \
    X(100, "Continue")                                                                             \
    X(101, "Switching Protocols")                                                                  \
    X(200, "OK")                                                                                   \
    X(201, "Created")                                                                              \
    X(202, "Accepted")                                                                             \
    X(204, "No Content")                                                                           \
    X(206, "Partial Content")                                                                      \
    X(301, "Moved Permanently")                                                                    \
    X(302, "Found")                                                                                \
    X(303, "See Other")                                                                            \
    X(304, "Not Modified")                                                                         \
    X(307, "Temporary Redirect")                                                                   \
    X(308, "Permanent Redirect")                                                                   \
    X(400, "Bad Request")                                                                          \
    X(401, "Unauthorized")                                                                         \
    X(403, "Forbidden")                                                                            \
    X(404, "Not Found")                                                                            \
    X(405, "Method Not Allowed")                                                                   \
    X(406, "Not Acceptable")                                                                       \
    X(408, "Request Timeout")                                                                      \
    X(409, "Conflict")                                                                             \
    X(410, "Gone")                                                                                 \
    X(411, "Length Required")                                                                      \
    X(413, "Content Too Large")                                                                    \
    X(414, "URI Too Long")                                                                         \
    X(415, "Unsupported Media Type")                                                               \
    X(416, "Range Not Satisfiable")                                                                \
    X(417, "Expectation Failed")                                                                   \
    X(421, "Misdirected Request")                                                                  \
    X(422, "Unprocessable Content")                                                                \
    X(426, "Upgrade Required")                                                                     \
    X(429, "Too Many Requests")                                                                    \
    X(431, "Request Header Fields Too Large")                                                      \
    X(500, "Internal Server Error")                                                                \
    X(501, "Not Implemented")                                                                      \
    X(502, "Bad Gateway")                                                                          \
    X(503, "Service Unavailable")                                                                  \
    X(504, "Gateway Timeout")                                                                      \
    X(505, "HTTP Version Not Supported")

/* Why a request is refused: row, status, the words of the short text body, and a header
 * line that has to go with it. The rows of the first block come out of this file, those
 * of the second out of upgrade.h, the last are for the rooms above. */
#define LN_HTTP1_FAULTS(X)                                                                         \
    X(LINE, 400, "malformed request or status line", "")                                           \
    X(LINE_END, 400, "lines must end with CR LF", "")                                              \
    X(FOLD, 400, "header line begins with white space", "")                                        \
    X(NAME, 400, "malformed header name", "")                                                      \
    X(BYTE, 400, "control character in a header", "")                                              \
    X(TARGET, 400, "malformed request target", "")                                                 \
    X(PATH, 400, "malformed path", "")                                                             \
    X(QUERY, 400, "malformed query or more than 64 parameters", "")                                \
    X(HOST, 400, "Host missing, repeated or malformed", "")                                        \
    X(HOST_DIFFERS, 400, "Host differs from the request target", "")                               \
    X(LENGTH, 400, "malformed or repeated Content-Length", "")                                     \
    X(FRAMING, 400, "Content-Length and Transfer-Encoding together", "")                           \
    X(CODING, 400, "malformed Transfer-Encoding", "")                                              \
    X(CODING_UNKNOWN, 501, "transfer coding not implemented", "") /* 501 by its name */            \
    X(METHOD, 501, "method not implemented", "")                  /* 501 by its name */            \
    X(VERSION, 505, "speak HTTP/1.1", "")                                                          \
    X(LINE_LONG, 414, "request line too long", "")                                                 \
    X(HEAD_LONG, 431, "request head too long", "")                                                 \
    X(FIELDS, 431, "too many header lines", "")                                                    \
    X(EXPECT, 417, "expectation not known", "")                                                    \
    X(CHUNK, 400, "malformed chunk", "")                                                           \
    X(TRAILER, 400, "malformed or too long trailer", "")                                           \
    X(BODY_LONG, 413, "request body too large", "")                                                \
                                                                                                   \
    X(UPGRADE_METHOD, 405, "a WebSocket begins with GET", "Allow: GET\r\n")                        \
    X(UPGRADE_NONE, 426, "this address speaks WebSocket", "Upgrade: websocket\r\n")                \
    X(UPGRADE_HTTP10, 400, "a WebSocket begins with HTTP/1.1", "")                                 \
    X(UPGRADE_BODY, 400, "a WebSocket request has no body", "")                                    \
    X(UPGRADE_KEY, 400, "malformed Sec-WebSocket-Key", "")                                         \
    X(UPGRADE_VERSION, 426, "WebSocket version 13 only",                                           \
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n")                                     \
    X(UPGRADE_PROTOCOL, 400, "malformed Sec-WebSocket-Protocol", "")                               \
    X(UPGRADE_EXTENSION, 400, "malformed Sec-WebSocket-Extensions", "")                            \
    X(UPGRADE_ORIGIN, 403, "origin not allowed", "")                                               \
                                                                                                   \
    X(UNAUTHORIZED, 401, "not authenticated", "WWW-Authenticate: Bearer\r\n")                      \
    X(FORBIDDEN, 403, "not allowed", "")                                                           \
    X(NOT_FOUND, 404, "nothing here", "")                                                          \
    X(TIMEOUT, 408, "request not completed in time", "")                                           \
    X(TOO_MANY, 429, "too many requests", "Retry-After: 5\r\n")                                    \
    X(INTERNAL, 500, "internal error", "")                                                         \
    X(OVERLOAD, 503, "too many connections", "Retry-After: 5\r\n")                                 \
    X(UNANSWERED, 503, "no answer in time", "Retry-After: 5\r\n")                                  \
    X(DRAINING, 503, "shutting down", "Retry-After: 5\r\n")                                        \
    X(CROWDED, 503, "too much is waiting to be sent", "Retry-After: 1\r\n")

typedef enum ln_http1_fault {
    LN_HTTP1_FAULT_NONE = 0,
#define LN_HTTP1_FAULT_ENUM(name, status, words, extra) LN_HTTP1_FAULT_##name,
    LN_HTTP1_FAULTS(LN_HTTP1_FAULT_ENUM)
#undef LN_HTTP1_FAULT_ENUM
} ln_http1_fault;

/* Words of a status, "" for one that has no row. Static memory, as all below. */
const char *ln_http1_status_words(unsigned status);
/* The columns of a fault; for NONE: 0, "NONE" and "". */
unsigned ln_http1_fault_status(ln_http1_fault fault);
const char *ln_http1_fault_name(ln_http1_fault fault);
const char *ln_http1_fault_words(ln_http1_fault fault);
const char *ln_http1_fault_extra(ln_http1_fault fault);

/* ---- reading a head ---------------------------------------------------------------- */

#define LN_HTTP1_FIELDS_MAX 64

typedef struct ln_http1_limits {
    uint32_t line_max;   /* bytes of the request or status line, without CR LF */
    uint32_t head_max;   /* bytes of the whole head with the empty line */
    uint32_t fields_max; /* header lines, <= LN_HTTP1_FIELDS_MAX */
} ln_http1_limits;
/* What a server grants to a stranger, and what our client grants to a server. */
#define LN_HTTP1_LIMITS_SERVER ((ln_http1_limits){ 4096, 8192, LN_HTTP1_FIELDS_MAX })
#define LN_HTTP1_LIMITS_CLIENT ((ln_http1_limits){ 4096, 16384, LN_HTTP1_FIELDS_MAX })

typedef enum ln_http1_method {
    LN_HTTP1_GET = 1, /* 0 is no method, as in a response */
    LN_HTTP1_HEAD,
    LN_HTTP1_POST,
    LN_HTTP1_PUT,
    LN_HTTP1_DELETE,
    LN_HTTP1_OPTIONS,
    LN_HTTP1_PATCH,
} ln_http1_method;
/* "GET" and so on, "" for 0. */
const char *ln_http1_method_name(ln_http1_method method);

typedef enum ln_http1_body {
    LN_HTTP1_BODY_NONE,
    LN_HTTP1_BODY_LENGTH,  /* head.length bytes, at least 1 */
    LN_HTTP1_BODY_CHUNKED, /* ln_chunked, chunked.h */
    LN_HTTP1_BODY_CLOSE,   /* responses only: all until the peer closes */
} ln_http1_body;

typedef struct ln_http1_field {
    ln_slice name, value; /* value without white space at its ends, may be empty */
} ln_http1_field;

/* A head that has been read. Every slice borrows from the bytes that were shown. */
typedef struct ln_http1_head {
    size_t size; /* bytes up to and with the empty line */

    ln_http1_method method; /* requests */
    ln_slice target;        /* requests: as it was sent */
    ln_slice path;          /* requests: "/..." still encoded but checked, or "*" */
    ln_slice query;         /* requests: behind the '?', still encoded; empty without */
    ln_slice host;          /* requests: checked; data is NULL when HTTP/1.0 named none */
    uint16_t status;        /* responses: 100..599 */
    ln_slice reason;        /* responses: may be empty */

    uint8_t minor;        /* 0 or 1 of HTTP/1.x */
    bool keep_alive;      /* the peer means to go on after this exchange */
    bool expect_continue; /* requests: send 100 before reading the body */
    ln_http1_body body;
    uint64_t length; /* BODY_LENGTH, at most 2^63-1; else 0 */

    uint32_t count;
    ln_http1_field fields[LN_HTTP1_FIELDS_MAX]; /* the first `count`, in their order */
} ln_http1_head;

/* Where reading stands; zero at start. Opaque but for `fault`. */
typedef struct ln_http1_scan {
    uint32_t seen;     /* bytes already looked at */
    uint32_t name;     /* where the piece under way began, */
    uint32_t name_end; /* where its first half ended, */
    uint32_t value;    /* and where its second half began */
    uint8_t state;
    uint8_t fields;
    uint8_t fault; /* ln_http1_fault, after LINNET_ERR_HTTP */
} ln_http1_scan;

/* Reads a request head from the front of `in`, which holds all of it that has arrived.
 *
 *   LN_DONE          *out is filled; *scan is zero again, ready for the next request
 *   LN_MORE          not complete; call again with the same bytes and more behind them
 *                    (they may have moved in memory); *out is meaningless
 *   LINNET_ERR_HTTP  refused, scan->fault says why; nothing of it may be used
 *
 * What is checked besides the grammar: known method, version 1.0 or 1.1, exactly one sane
 * Host (none or one in 1.0) that agrees with an absolute target, path and query as in
 * target.h, body framing, Expect. */
int ln_http1_request(
    ln_http1_scan *scan, const ln_http1_limits *limits, ln_slice in, ln_http1_head *out);

/* The same for a response head; also an interim one (1xx), which the caller skips by
 * head.size. A response to HEAD has no body whatever head.body says. */
int ln_http1_response(
    ln_http1_scan *scan, const ln_http1_limits *limits, ln_slice in, ln_http1_head *out);

#define LN_HTTP1_TRAILER_MAX 8192 /* bytes of the lines behind a chunked body */

/* Checks and discards the trailer lines behind a chunked body and their empty line, piece by
 * piece, from the front of *in. LN_DONE: *in begins behind them; LN_MORE: *in is used up;
 * LINNET_ERR_HTTP: scan->fault. For chunked.h. */
int ln_http1_trailer(ln_http1_scan *scan, ln_slice *in);

/* ---- fields ------------------------------------------------------------------------ */

/* How often a field occurs, names compared without case. *value is the first one's, and is
 * untouched when there is none; it may be NULL. */
size_t ln_http1_find(const ln_http1_head *head, ln_slice name, ln_slice *value);

/* Walks the comma-separated elements of all fields of one name, in order, trimmed, empty
 * ones left out:
 *     ln_http1_list l = ln_http1_list_of(&head, LN_SLICE("Connection"));
 *     while (ln_http1_list_next(&l, &item)) ...
 * Knows no quotes: for lists of tokens. */
typedef struct ln_http1_list {
    const ln_http1_head *head;
    ln_slice name, rest;
    size_t next;
} ln_http1_list;
ln_http1_list ln_http1_list_of(const ln_http1_head *head, ln_slice name);
bool ln_http1_list_next(ln_http1_list *list, ln_slice *item);
/* Whether such a list holds the token, compared without case. */
bool ln_http1_has_token(const ln_http1_head *head, ln_slice name, ln_slice token);

/* At least one byte, all of them tchar of RFC 9110 5.6.2. */
bool ln_http1_is_token(ln_slice s);
/* No control characters but tab: may be sent as a value. */
bool ln_http1_is_value(ln_slice s);
/* "name", "1.2.3.4" or "[v6]", with or without ":port": what may stand in Host. */
bool ln_http1_is_host(ln_slice s);

/* ---- writing a head ---------------------------------------------------------------- */

/* Appends a head to a buffer. The first error sticks, comes out of ln_http1_finish, which
 * then leaves the buffer as it was: LINNET_ERR_INVAL for a name that is no token, a value with
 * a control character (so nobody can smuggle a line in) or a status outside 100..599;
 * LINNET_ERR_NOMEM, LINNET_ERR_TOO_BIG.
 *
 *     ln_http1_writer w = ln_http1_answer(&buf, 200);
 *     ln_http1_put(&w, LN_SLICE("Content-Type"), type);
 *     ln_http1_put_u64(&w, LN_SLICE("Content-Length"), size);
 *     err = ln_http1_finish(&w);
 */
typedef struct ln_http1_writer {
    ln_buf *out;
    uint32_t start; /* size of *out at the beginning */
    int err;
} ln_http1_writer;
ln_http1_writer ln_http1_answer(ln_buf *out, unsigned status);
ln_http1_writer ln_http1_ask(ln_buf *out, ln_http1_method method, ln_slice target);
/* Without a first line: what is put goes behind what the buffer has. */
ln_http1_writer ln_http1_lines(ln_buf *out);
void ln_http1_put(ln_http1_writer *w, ln_slice name, ln_slice value);
void ln_http1_put_u64(ln_http1_writer *w, ln_slice name, uint64_t value);
/* Bytes that need no check, because they are ours or were checked before. */
void ln_http1_put_raw(ln_http1_writer *w, ln_slice bytes);
/* Makes a negative err the first error, if there is none yet. */
void ln_http1_fail(ln_http1_writer *w, int err);
/* Appends the empty line; returns LINNET_OK or the first error. */
int ln_http1_finish(ln_http1_writer *w);

/* Appends the whole answer for a refused request: status line, the header that belongs to
 * the row, "Connection: close", and the words as a text body. Close behind it. */
int ln_http1_refuse(ln_buf *out, ln_http1_fault fault);
#endif
