/* linnet/loop.h -- an event loop, for clients, for servers with one thread, and to live inside
 * somebody else's loop.
 *
 * A loop belongs to the thread that turns it. Only linnet_loop_wake, linnet_loop_stop and
 * linnet_loop_post may be called from other threads (the first two also from signal handlers).
 */
#ifndef LINNET_LOOP_H
#define LINNET_LOOP_H
#include <linnet/types.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct linnet_loop linnet_loop;

typedef struct linnet_loop_options {
    size_t size;              /* of this struct; the initialiser fills it */
    uint32_t busy_poll_us;    /* spin so long before sleeping, in microseconds; 0: sleep at once */
    uint32_t connections_max; /* live connections; 0: the descriptor limit less 256 */
    const char *dns_servers;  /* "127.0.0.1:5353,[::1]:53"; NULL: the system's. Copied */
    linnet_log_fn *log;       /* NULL: silent */
    void *log_ctx;
    linnet_log_level log_level;
} linnet_loop_options;
#define LINNET_LOOP_OPTIONS_INIT                                                                   \
    { sizeof(linnet_loop_options), 0, 0, NULL, NULL, NULL, LINNET_LOG_WARN }

/* options NULL: the defaults. *out only on success. LINNET_ERR_NOMEM, LINNET_ERR_SYS. */
LINNET_API int linnet_loop_new(const linnet_loop_options *options, linnet_loop **out);
/* Drops every connection that is left (their on_close runs) and frees the loop and all timers that
 * are left. A server that was given the loop is freed before it. Not from inside a callback. NULL
 * is allowed. */
LINNET_API void linnet_loop_free(linnet_loop *loop);

/* One turn: waits at most timeout_ms (-1: without end, 0: not at all) for something to do, does it,
 * flushes. Returns 0, or LINNET_ERR_SYS. Not from inside a callback: LINNET_ERR_STATE. */
LINNET_API int linnet_loop_turn(linnet_loop *loop, int timeout_ms);
/* Turns until linnet_loop_stop. Returns 0 or LINNET_ERR_SYS. Not from inside a callback:
 * LINNET_ERR_STATE. */
LINNET_API int linnet_loop_run(linnet_loop *loop);
LINNET_API void linnet_loop_stop(linnet_loop *loop);
/* Makes a waiting turn return. */
LINNET_API void linnet_loop_wake(linnet_loop *loop);
/* A descriptor that is readable (poll, epoll) whenever a turn with timeout 0 has work, due timers
 * included. What is done to the loop or its connections outside of callbacks it learns in the next
 * turn. It stays the loop's. */
LINNET_API int linnet_loop_fd(linnet_loop *loop);
/* Monotonic milliseconds: as of the beginning of this turn, and between turns as of now. */
LINNET_API uint64_t linnet_loop_now(const linnet_loop *loop);
/* Live connections. */
LINNET_API size_t linnet_loop_connections(const linnet_loop *loop);

/* Calls fn(ctx) in the loop's thread, in a later turn, in the order of the posts of one thread.
 * Any thread. LINNET_ERR_AGAIN when over 65,536 wait, LINNET_ERR_NOMEM. */
LINNET_API int linnet_loop_post(linnet_loop *loop, void (*fn)(void *ctx), void *ctx);

/* Timers, in the loop's thread. A timer fires once; its object is freed by linnet_timer_free only
 * (allowed inside its own callback). */
typedef struct linnet_timer linnet_timer;
LINNET_API int linnet_timer_new(
    linnet_loop *loop, void (*fn)(linnet_timer *timer, void *ctx), void *ctx, linnet_timer **out);
/* Sets or moves it: fires after_ms from linnet_loop_now. */
LINNET_API void linnet_timer_set(linnet_timer *timer, uint64_t after_ms);
LINNET_API void linnet_timer_stop(linnet_timer *timer);
/* Before its loop is freed, which frees what is left. NULL is allowed. */
LINNET_API void linnet_timer_free(linnet_timer *timer);

#ifdef __cplusplus
}
#endif
#endif
