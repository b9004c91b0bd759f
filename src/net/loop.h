/* loop.h -- one thread's view of the kernel: descriptors in, completions out.
 *
 * The owner (lib/worker.c, a test, the simulator) turns the loop:
 *
 *     ln_loop_wait(loop, deadline);             sleeps until something is ready, at most once
 *     while (ln_loop_next(loop, &c))            pulls completions, one by one
 *         switch (c.kind) ...                   c.sock->kind says whose it is
 *
 * Behind it stands a backend (backend.h): epoll, or the simulator. The interface is shaped
 * like completions, so that io_uring would fit too, with one short cut: ln_sock_send tries at
 * once and says how much the kernel took, because that is what almost always happens.
 *
 * Contract. Receiving is armed until paused. What was given to send and not taken at once
 * belongs to the loop until its SENT completion (exactly one for each send that answered
 * LN_PENDING, also on failure or close). ln_sock_close() always leads to exactly one CLOSED
 * completion, in a later pull, and only then may the memory of the sock go; after the call of
 * close no other completion for that sock appears except the SENT of a pending send (with
 * LINNET_ERR_CANCELLED). Nothing below is thread-safe except ln_loop_wake.
 */
#ifndef LN_NET_LOOP_H
#define LN_NET_LOOP_H
#include "base/clock.h"
#include "base/err.h"
#include "base/ip.h"
#include "base/list.h"
#include "base/slice.h"
#include "net/timer.h"
#include <sys/socket.h>

typedef struct ln_loop ln_loop;
typedef struct ln_sock ln_sock;
typedef struct ln_listener ln_listener;

/* An address, TCP or Unix. */
typedef struct ln_addr {
    socklen_t size;
    union {
        struct sockaddr sa;
        struct sockaddr_storage storage;
    };
} ln_addr;

/* One live byte stream. Lives inside its owner; 56 bytes, because idle connections are
 * counted in bytes. Fields are the loop's except kind. */
struct ln_sock {
    ln_list node;             /* backend's lists (closing, pipe-ready, ...) */
    const uint8_t *send_data; /* what is pending */
    size_t send_left;
    uint8_t *into; /* NULL: the loop's shared receive buffer */
    union {
        int fd;
        void *link; /* of a pipe's or the simulator's end, which have no descriptor */
    };
    uint32_t into_size;
    uint8_t kind; /* owner's tag, not touched by net/ */
    uint8_t state;
    uint8_t flags;
    uint8_t interest;
};

/* Where connections come from. Lives in its owner too; its memory may go after its
 * LN_C_LISTENER_CLOSED. */
struct ln_listener {
    ln_sock sock;      /* sock.kind tags it */
    ln_list node;      /* among the starved */
    ln_msec since;     /* when descriptors or memory ran out; 0: there is enough */
    ln_msec retry_at;  /* then accepting begins again by itself */
    uint64_t refusals; /* times accept failed for want of descriptors or memory */
};

typedef enum ln_completion_kind {
    LN_C_ACCEPT,          /* listener, fd (>= 0, non-blocking, close-on-exec, now yours), addr */
    LN_C_RECV,            /* sock; result > 0: data; 0: end of stream; < 0: LINNET_ERR_RESET, which
                             comes even while paused; a result <= 0 is the last RECV of a sock */
    LN_C_SENT,            /* sock; result 0: the pending send is done; < 0: it never will be */
    LN_C_CONNECT,         /* sock; result 0 or LINNET_ERR_CONNECT / LINNET_ERR_TIMEOUT */
    LN_C_CLOSED,          /* sock; its memory is yours again */
    LN_C_LISTENER_CLOSED, /* listener */
    LN_C_WATCH,           /* fd, events (LN_READ|LN_WRITE), user */
    LN_C_WAKE,            /* somebody called ln_loop_wake; several wakes may be one */
} ln_completion_kind;

#define LN_READ  1
#define LN_WRITE 2

typedef struct ln_completion {
    ln_completion_kind kind;
    int result;
    ln_sock *sock;
    ln_listener *listener;
    ln_wslice data; /* RECV: writable (unmask in place), good until the next ln_loop_next */
    int fd;
    unsigned events;
    void *user;
    ln_addr addr; /* ACCEPT: the peer's; filled only up to addr.size */
} ln_completion;

typedef struct ln_backend_ops ln_backend_ops; /* backend.h */

typedef struct ln_loop_options {
    const ln_backend_ops *backend; /* NULL: epoll */
    void *backend_arg;             /* sim: the virtual network */
    uint32_t busy_poll_us;         /* spin so long before sleeping; 0: sleep at once */
} ln_loop_options;

/* LINNET_ERR_NOMEM, LINNET_ERR_SYS. *out only on success. */
int ln_loop_new(const ln_loop_options *options, ln_loop **out);
/* Everything must be closed and pulled. */
void ln_loop_free(ln_loop *loop);
/* Readable whenever ln_loop_wait(loop, 0) would find something: to live inside another loop.
 * -1 in the simulator. The wheel is set without the loop hearing of it, so ln_loop_rest is to be
 * called whenever control goes back to that other loop: it tells the descriptor about the next
 * timer, the caller's own deadline (LN_NEVER: none) and all else that changed. LINNET_OK,
 * LINNET_ERR_SYS. */
int ln_loop_fd(const ln_loop *loop);
int ln_loop_rest(ln_loop *loop, ln_msec deadline);

/* The time of this turn, monotonic, read once by ln_loop_wait; after ln_loop_leave that of the
 * clock. */
ln_msec ln_loop_now(const ln_loop *loop);
/* Until the next ln_loop_wait somebody does other things, for as long as he likes. */
void ln_loop_leave(ln_loop *loop);
/* The loop's own wheel: its owner's timers live here. ln_loop_wait wakes for them. */
ln_wheel *ln_loop_wheel(ln_loop *loop);

/* Waits until a completion is ready, a wake came, a timer is due, or `deadline` passed (a
 * time of the same clock; 0 polls; LN_NEVER). Returns LINNET_OK, LINNET_ERR_SYS. */
int ln_loop_wait(ln_loop *loop, ln_msec deadline);
/* The next completion of this turn; false when there is none left. */
bool ln_loop_next(ln_loop *loop, ln_completion *c);
/* Any thread, also a signal handler: makes a wait return. Cheap when already woken. */
void ln_loop_wake(ln_loop *loop);

/* Bytes in front of every receive buffer that the reader may scribble on, so that a frame
 * header can be put before a payload that is sent back. */
#define LN_RECV_HEADROOM 16
#define LN_RECV_ORDINARY (64 * 1024)
#define LN_RECV_LARGE    (512 * 1024)

/* Streams. A fresh ln_sock is initialised by one of these three; on error nothing is held,
 * except that adopt leaves the descriptor with the caller. `kind` is the owner's tag. An adopted
 * descriptor is non-blocking: those of LN_C_ACCEPT are, others go through ln_fd_prepare. */
int ln_sock_adopt(ln_loop *loop, ln_sock *sock, uint8_t kind, int fd);
/* Begins a non-blocking connect, optionally from a local address; one LN_C_CONNECT follows. The
 * caller bounds the time with a timer and close. LINNET_ERR_CONNECT when it is refused at once. */
int ln_sock_connect(
    ln_loop *loop, ln_sock *sock, uint8_t kind, const ln_addr *to, const ln_addr *from);
/* Two ends of an in-memory stream on this loop. Bytes sent on one arrive at the other in the
 * same or the next turn; at most 256 KiB are taken before a send is LN_PENDING. */
int ln_sock_pipe(ln_loop *loop, ln_sock *a, uint8_t kind_a, ln_sock *b, uint8_t kind_b);

/* Receiving starts paused after adopt, connect and pipe; what an adopted sock never started does
 * not tell of a reset either. LINNET_ERR_NOMEM, LINNET_ERR_SYS. */
int ln_sock_recv_start(ln_loop *loop, ln_sock *sock);
int ln_sock_recv_pause(ln_loop *loop, ln_sock *sock);
/* The next receives go here instead of the shared buffer, until set again; {NULL,0}: shared.
 * The memory must live until replaced, or until a LN_C_RECV or LN_C_CLOSED. */
void ln_sock_recv_into(ln_loop *loop, ln_sock *sock, ln_wslice room);
/* Receives up to LN_RECV_LARGE at a time into the shared buffer instead of LN_RECV_ORDINARY. */
void ln_sock_recv_large(ln_loop *loop, ln_sock *sock, bool large);

/* At most one send may be pending. Tries at once.
 *   LN_DONE     all taken by the kernel; `data` is the caller's again, no completion follows
 *   LN_PENDING  the rest of `data` is borrowed until LN_C_SENT
 *   < 0         LINNET_ERR_RESET: the peer is gone; close. */
int ln_sock_send(ln_loop *loop, ln_sock *sock, ln_slice data);
/* What of the last send is still pending, and the news that these bytes now lie elsewhere: only in
 * the same call stack as the LN_PENDING, for senders whose memory is shared with the next
 * connection. */
static inline ln_slice ln_sock_pending(const ln_sock *sock) {
    return ln_slice_of(sock->send_data, sock->send_left);
}
static inline void ln_sock_pending_moved(ln_sock *sock, const uint8_t *data) {
    sock->send_data = data;
}
/* No more sends: FIN behind what was sent. Nothing pending at this moment. */
void ln_sock_shutdown(ln_loop *loop, ln_sock *sock);
/* Ends it. `abort`: RST instead of FIN (unsent bytes are dropped). Leads to LN_C_CLOSED. */
void ln_sock_close(ln_loop *loop, ln_sock *sock, bool abort);
/* Whether close was called. */
bool ln_sock_closing(const ln_sock *sock);
/* Takes the descriptor out, still open: no more completions come for this sock, and its memory
 * is the caller's again. -1 for pipes. Nothing may be pending. */
int ln_sock_release(ln_loop *loop, ln_sock *sock);
/* LINNET_ERR_SYS when the peer has gone already. A pipe answers with an unnamed Unix address. */
int ln_sock_peer(const ln_sock *sock, ln_addr *out);
/* How many bytes have come, and how many of ours have arrived, over the life of a TCP stream.
 * False: nobody has counted them (Unix sockets, pipes). */
bool ln_sock_traffic(const ln_sock *sock, uint64_t *in, uint64_t *out);
/* What a listener's sockets inherit, for one that was connected or adopted: bytes waiting in the
 * kernel at most, and how long unacknowledged data keeps a vanished peer alive. 0: unchanged. */
void ln_sock_tune(const ln_sock *sock, uint32_t notsent_lowat, uint32_t user_timeout_ms);
/* Makes a foreign descriptor fit for adoption: non-blocking, close-on-exec, no Nagle. LINNET_OK,
 * LINNET_ERR_SYS. */
int ln_fd_prepare(int fd);
/* Whether it is a stream socket, and one that listens, or not. */
bool ln_fd_is_stream(int fd, bool listens);

/* An address as text: "127.0.0.1:80", "[::1]:80" or "unix". Returns the length. */
size_t ln_addr_text(const ln_addr *addr, char out[64]);
/* From a numeric host, IPv4 or IPv6 (without brackets); false when it is not one. */
bool ln_addr_ip(ln_slice host, uint16_t port, ln_addr *out);
/* From "HOST:PORT", "[V6]:PORT", ":PORT" (127.0.0.1) or "unix:PATH" ("unix:@NAME" is abstract);
 * "localhost" is 127.0.0.1, other hosts are numeric. LINNET_OK, LINNET_ERR_INVAL. */
int ln_addr_parse(ln_slice text, ln_addr *out);
/* Its host; false for Unix addresses. */
bool ln_addr_host(const ln_addr *addr, ln_ip *out);
/* 0 for Unix addresses. */
uint16_t ln_addr_port(const ln_addr *addr);

/* Listening. Options are inherited by accepted sockets, which saves system calls for each. */
typedef struct ln_listen_options {
    bool reuse_port;          /* one listener per worker on one port */
    int backlog;              /* 0: 4,096 */
    uint32_t notsent_lowat;   /* bytes; 0: kernel default. TCP only */
    uint32_t user_timeout_ms; /* TCP_USER_TIMEOUT; 0: kernel default */
    uint32_t unix_mode;       /* permission bits of a Unix socket; 0: 0660 */
} ln_listen_options;
/* Binds and listens; *bound gets the real address (port 0 was replaced). A stale Unix socket file
 * (nobody answers on it) is replaced; a live one is LINNET_ERR_EXISTS. LINNET_ERR_SYS with errno.
 */
int ln_listen(ln_loop *loop, ln_listener *l, uint8_t kind, const ln_addr *at,
    const ln_listen_options *options, ln_addr *bound);
/* The same for a descriptor that listens already (socket activation, a parent process); it is
 * taken, on success. */
int ln_listen_adopt(ln_loop *loop, ln_listener *l, uint8_t kind, int fd);
/* Pauses and resumes accepting (connection limit reached). */
void ln_listener_arm(ln_loop *loop, ln_listener *l, bool on);
void ln_listener_close(ln_loop *loop, ln_listener *l);

/* Readiness for libraries that speak it (c-ares). events 0 removes. One watch per descriptor. */
int ln_loop_watch(ln_loop *loop, int fd, unsigned events, void *user);
#endif
