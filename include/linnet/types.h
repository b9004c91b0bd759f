/* linnet/types.h -- what every other header speaks in: slices, errors, versions,
 * memory and log hooks. It includes nothing of ours and is below everything.
 */
#ifndef LINNET_TYPES_H
#define LINNET_TYPES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define LINNET_API __attribute__((visibility("default")))
#else
#define LINNET_API
#endif

#define LINNET_VERSION_MAJOR  0
#define LINNET_VERSION_MINOR  1
#define LINNET_VERSION_PATCH  0
#define LINNET_VERSION_STRING "0.1.0"

/* Version of the library that is linked, for instance "0.1.0". Static memory. */
LINNET_API const char *linnet_version(void);

/* Bytes that belong to somebody else. Borrowed until the call that carries them
 * returns, unless the function says otherwise. Not terminated by a NUL. `data`
 * may be NULL only when `size` is 0.
 */
typedef struct linnet_slice {
    const uint8_t *data;
    size_t size; /* bytes */
} linnet_slice;

/* A slice over a NUL-terminated string, without its NUL. NULL gives an empty slice. */
LINNET_API linnet_slice linnet_str(const char *text);

/* A 64-bit name of a connection that is valid in any thread and after its death:
 * worker 8 bits, slot 24 bits, generation 32 bits. 0 names nobody. */
typedef uint64_t linnet_conn_id;

/* A struct that begins with `size` is filled by its initialiser macro, which sets that; another
 * size is LINNET_ERR_INVAL. A library older than the header takes it as long as what it does not
 * know in it is zero, which always means what was before. */

/* Every error has one row: name, number, close code that tells the peer, whether
 * the same call may succeed later, words. Numbers never change their meaning.
 * Functions return 0 or a positive meaning of their own, or the negative number.
 * A close code of 0 means that the row never ends a WebSocket.
 *
 *    name               number close  retry  words                                         */
#define LINNET_ERRORS(X)                                                                           \
    X(NOMEM, 1, 1011, true, "out of memory")                                                       \
    X(INVAL, 2, 1011, false, "invalid argument")                                                   \
    X(AGAIN, 3, 1013, true, "too much is waiting, try again later")                                \
    X(CLOSED, 4, 0, false, "the connection is closed")                                             \
    X(TIMEOUT, 5, 1008, true, "timed out")                                                         \
    X(LIMIT, 6, 1008, false, "over a limit")                                                       \
    X(NOT_FOUND, 7, 0, false, "not found")                                                         \
    X(STATE, 8, 0, false, "not possible in this state")                                            \
    X(SYS, 9, 1011, true, "a system call failed, see errno")                                       \
    X(UNSUPPORTED, 10, 0, false, "not supported by this build or peer")                            \
    X(CANCELLED, 11, 0, false, "cancelled")                                                        \
    X(EXISTS, 12, 0, false, "exists already")                                                      \
    X(RESET, 13, 0, true, "the peer reset or dropped the connection")                              \
    X(PROTO_RSV, 20, 1002, false, "reserved bit set without a negotiated extension")               \
    X(PROTO_OPCODE, 21, 1002, false, "unknown opcode")                                             \
    X(PROTO_MASK, 22, 1002, false, "frame masked or unmasked against the rules")                   \
    X(PROTO_LENGTH, 23, 1002, false, "length not in its shortest form or over 2^63-1")             \
    X(PROTO_CONTROL, 24, 1002, false, "control frame fragmented or longer than 125 bytes")         \
    X(PROTO_FRAGMENT, 25, 1002, false, "fragments out of order")                                   \
    X(PROTO_CLOSE, 26, 1002, false, "malformed close frame or illegal close code")                 \
    X(UTF8, 27, 1007, false, "text that is not UTF-8")                                             \
    X(DEFLATE, 28, 1007, false, "corrupt compressed data")                                         \
    X(TOO_BIG, 29, 1009, false, "message over the limit")                                          \
    X(FRAGMENTS, 30, 1008, false, "too many fragments in one message")                             \
    X(FLOOD, 31, 1008, false, "too many control frames")                                           \
    X(DATA_TYPE, 32, 1003, false, "this endpoint does not take this type of message")              \
    X(MESSAGE_TIMEOUT, 33, 1008, false, "message not completed in time")                           \
    X(PONG_TIMEOUT, 34, 3012, true, "no answer to a ping")                                         \
    X(SLOW, 35, 3008, true, "reader too slow, its queue is full")                                  \
    X(HTTP, 40, 0, false, "malformed HTTP")                                                        \
    X(URL, 41, 0, false, "malformed URL")                                                          \
    X(JSON, 42, 0, false, "malformed JSON")                                                        \
    X(DNS, 43, 0, true, "name not resolved")                                                       \
    X(CONNECT, 44, 0, true, "connection refused or unreachable")                                   \
    X(TLS, 45, 1015, false, "TLS failed")                                                          \
    X(TLS_VERIFY, 46, 1015, false, "the peer's certificate is not trusted")                        \
    X(UPGRADE_STATUS, 47, 0, true, "the server did not answer 101")                                \
    X(UPGRADE_HEADER, 48, 0, false, "the server's upgrade answer is malformed")                    \
    X(UPGRADE_ACCEPT, 49, 0, false, "Sec-WebSocket-Accept does not match the key")                 \
    X(UPGRADE_EXTENSION, 50, 1010, false, "the server chose an extension that was not offered")    \
    X(UPGRADE_PROTOCOL, 51, 0, false, "the server chose a subprotocol that was not offered")       \
    X(DENIED, 52, 1008, false, "not allowed")                                                      \
    X(PROXY, 53, 0, false, "no valid PROXY protocol header, or from a peer that is not trusted")

enum {
    LINNET_OK = 0,
#define LINNET_ERROR_ENUM(name, number, close, retry, words) LINNET_ERR_##name = -(number),
    LINNET_ERRORS(LINNET_ERROR_ENUM)
#undef LINNET_ERROR_ENUM
};

/* Words for an error, for instance "out of memory"; "unknown error" for a number
 * that has no row, "ok" for 0. Static memory. */
LINNET_API const char *linnet_strerror(int err);
/* The row's name, for instance "NOMEM", for logs and metric labels; "OK" for 0,
 * "UNKNOWN" without a row. Static memory. */
LINNET_API const char *linnet_errname(int err);

/* The three functions that get and give back all of the library's own memory.
 * Set once, before any other call; never while anything of Linnet lives.
 * NULL restores malloc, realloc and free. `ctx` is passed through. resize with
 * ptr NULL allocates. A NULL answer is a failed allocation and is survived.
 * Returns LINNET_ERR_INVAL when one of the functions is missing. */
typedef struct linnet_allocator {
    void *(*alloc)(void *ctx, size_t size);
    void *(*resize)(void *ctx, void *ptr, size_t size);
    void (*release)(void *ctx, void *ptr);
    void *ctx;
} linnet_allocator;
LINNET_API int linnet_allocator_set(const linnet_allocator *allocator);

typedef enum linnet_log_level {
    LINNET_LOG_ERROR = 0,
    LINNET_LOG_WARN = 1,
    LINNET_LOG_INFO = 2,
    LINNET_LOG_DEBUG = 3
} linnet_log_level;

/* One finished line without its line end, a JSON object, NUL-terminated, borrowed for the call.
 * May be called from any worker thread. */
typedef void linnet_log_fn(void *ctx, linnet_log_level level, const char *line);

#ifdef __cplusplus
}
#endif
#endif
