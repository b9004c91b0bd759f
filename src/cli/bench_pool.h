/* bench_pool.h -- the connections of a load and the loop that drives them.
 *
 * A link is born CONNECTING and becomes OPEN when it can carry messages: after
 * TCP, then TLS for wss://, then the handshake, or at once with --raw. Links
 * stand in one array, each at the head of a larger struct of the load's own.
 *
 *   CONNECTING -> [SECURING] -> UPGRADING -> OPEN -> CLOSED
 *
 * Everything that goes wrong is an error of the pool: it keeps one sentence,
 * and every function from there on returns -1.
 */
#ifndef LN_CLI_BENCH_POOL_H
#define LN_CLI_BENCH_POOL_H
#include "cli/bench_deflate.h"
#include "cli/bench_frame.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

typedef enum ln_bench_state {
    LN_BENCH_UNUSED,
    LN_BENCH_CONNECTING,
    LN_BENCH_SECURING,
    LN_BENCH_UPGRADING,
    LN_BENCH_OPEN,
    LN_BENCH_CLOSED,
} ln_bench_state;

typedef struct ln_bench_link {
    int fd;
    uint8_t state;   /* ln_bench_state */
    bool wants_room; /* waits for EPOLLOUT */
    uint32_t index;
    SSL *ssl;
    const uint8_t *tx; /* what the socket did not take yet; borrowed */
    size_t tx_len;
    uint8_t *copy; /* more of the same, owned, sent after tx */
    size_t copy_at, copy_len, copy_cap;
    char *head; /* of an answer that came in pieces */
    size_t head_len;
    uint64_t began_ns; /* when it started to connect */
    ln_bench_reader reader;
} ln_bench_link;

typedef struct ln_bench_pool ln_bench_pool;

/* Called by the loop. Negative: an error, told by ln_bench_fail. */
typedef struct ln_bench_calls {
    int (*opened)(ln_bench_pool *pool, ln_bench_link *link);
    int (*received)(ln_bench_pool *pool, ln_bench_link *link, const uint8_t *p, size_t n);
    int (*flushed)(ln_bench_pool *pool, ln_bench_link *link); /* all is sent; may be NULL */
} ln_bench_calls;

struct ln_bench_pool {
    const ln_bench_options *o;
    const ln_bench_calls *calls;
    void *ctx; /* the load's */
    int epoll;
    struct sockaddr_storage addr;
    socklen_t addr_len;
    SSL_CTX *tls;
    char *request;
    size_t request_len;
    char accept[29]; /* what the server must answer to our key */
    ln_bench_extension extension;
    uint8_t *links; /* count structs of stride bytes, each beginning with a link */
    size_t count, stride;
    size_t opening, open; /* links under way; links that are OPEN */
    uint64_t binds;       /* addresses handed out so far */
    uint64_t deadline_ns; /* of a standstill */
    uint8_t *buffer;      /* what is received goes here */
    char error[256];
};

/* Resolves the address, prepares TLS and the request. Returns 0, or -1 with
 * pool->error. */
int ln_bench_pool_init(ln_bench_pool *pool, const ln_bench_options *o, const ln_bench_calls *calls,
    void *ctx, size_t count, size_t stride);
void ln_bench_pool_fini(ln_bench_pool *pool);

static inline ln_bench_link *ln_bench_pool_link(const ln_bench_pool *pool, size_t i) {
    return (ln_bench_link *)(void *)(pool->links + i * pool->stride);
}

/* Keeps the first sentence and returns -1. link: which one, or NULL. */
int ln_bench_fail(ln_bench_pool *pool, const ln_bench_link *link, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Begins to connect a link that is UNUSED or CLOSED. */
int ln_bench_link_start(ln_bench_pool *pool, ln_bench_link *link);

/* Drops it with a reset, so that no TIME-WAIT is left behind. */
void ln_bench_link_drop(ln_bench_pool *pool, ln_bench_link *link);

/* Opens links first..first+n-1 and returns when all are OPEN. */
int ln_bench_pool_open(ln_bench_pool *pool, size_t first, size_t n);

/* Waits at most timeout_ms for something to happen and handles it (0 with --spin). */
int ln_bench_pool_turn(ln_bench_pool *pool, int timeout_ms);

/* Nothing has happened for `seconds`? Call after each turn with what moved. */
int ln_bench_pool_alive(ln_bench_pool *pool, bool moved, uint64_t now_ns);

/* True when all that was given to the link has been sent. */
static inline bool ln_bench_link_idle(const ln_bench_link *link) {
    return link->tx_len == 0 && link->copy_len == link->copy_at;
}

/* Sends p, which must be idle's next and stays borrowed until flushed. */
int ln_bench_link_send(ln_bench_pool *pool, ln_bench_link *link, const uint8_t *p, size_t n);

/* Sends a copy, after whatever is under way. */
int ln_bench_link_send_copy(ln_bench_pool *pool, ln_bench_link *link, const uint8_t *p, size_t n);

/* Feeds the link's reader; an error of it becomes the pool's. */
int ln_bench_link_read(ln_bench_pool *pool, ln_bench_link *link, const uint8_t *p, size_t n);

/* For a sink's control: answers pings; a Close is an error. `pool` must be the
 * one the reader's link belongs to. */
int ln_bench_link_control(
    ln_bench_pool *pool, ln_bench_link *link, uint8_t opcode, const uint8_t *p, size_t n);

/* The link whose reader this is. */
static inline ln_bench_link *ln_bench_link_of(ln_bench_reader *r) {
    return (ln_bench_link *)(void *)((uint8_t *)r - offsetof(ln_bench_link, reader));
}

uint64_t ln_bench_now_ns(void);

#endif
