/* fd.c -- the system calls that make descriptors, and what is set on them. */
#include "net/backend.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG_DEFAULT   4096
#define UNIX_MODE_DEFAULT 0660

static int set(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value);
}

/* Closes and keeps the errno that is to be told. */
static int fail(int fd, int err) {
    int keep = errno;
    if (fd != -1) close(fd);
    errno = keep;
    return err;
}

/* A path in the file system, or NULL for abstract and unnamed addresses. */
static const char *file_of(const ln_addr *at) {
    const struct sockaddr_un *un = (const struct sockaddr_un *)&at->sa;
    if (at->sa.sa_family != AF_UNIX || at->size <= offsetof(struct sockaddr_un, sun_path))
        return NULL;
    return un->sun_path[0] ? un->sun_path : NULL;
}

/* Removes the file if it is a socket on which nobody answers. */
static bool remove_stale(const ln_addr *at) {
    struct stat st;
    const char *path = file_of(at);
    if (!path || lstat(path, &st) == -1 || !S_ISSOCK(st.st_mode)) return false;

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) return false;
    bool refused = connect(fd, &at->sa, at->size) == -1 && errno == ECONNREFUSED;
    close(fd);
    return refused && unlink(path) == 0;
}

/* What accepted sockets inherit, so that nothing needs to be set on each of them. */
static int set_inherited(int fd, const ln_listen_options *options) {
    if (set(fd, IPPROTO_TCP, TCP_NODELAY, 1) == -1) return -1;
    if (options->notsent_lowat &&
        set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)options->notsent_lowat) == -1)
        return -1;
    if (options->user_timeout_ms &&
        set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)options->user_timeout_ms) == -1)
        return -1;
    return 0;
}

static int prepare_tcp(int fd, const ln_addr *at, const ln_listen_options *options) {
    if (set(fd, SOL_SOCKET, SO_REUSEADDR, 1) == -1) return -1;
    if (options->reuse_port && set(fd, SOL_SOCKET, SO_REUSEPORT, 1) == -1) return -1;
    /* [::] does not take IPv4 too: what one asks for is what one gets, whatever sysctl says. */
    if (at->sa.sa_family == AF_INET6 && set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) == -1) return -1;
    return set_inherited(fd, options);
}

static int bind_unix(int fd, const ln_addr *at, const ln_listen_options *options) {
    if (bind(fd, &at->sa, at->size) == -1) {
        if (errno != EADDRINUSE) return LINNET_ERR_SYS;
        if (!remove_stale(at)) return errno = EADDRINUSE, LINNET_ERR_EXISTS;
        if (bind(fd, &at->sa, at->size) == -1) return LINNET_ERR_SYS;
    }
    /* Nobody can connect before listen, so the bits are right when it matters. */
    mode_t mode = options->unix_mode ? (mode_t)options->unix_mode : UNIX_MODE_DEFAULT;
    const char *path = file_of(at);
    if (path && chmod(path, mode) == -1) return LINNET_ERR_SYS;
    return LINNET_OK;
}

static int bind_tcp(int fd, const ln_addr *at, const ln_listen_options *options) {
    if (prepare_tcp(fd, at, options) == -1) return LINNET_ERR_SYS;
    if (bind(fd, &at->sa, at->size) == 0) return LINNET_OK;
    return errno == EADDRINUSE ? LINNET_ERR_EXISTS : LINNET_ERR_SYS;
}

int ln_fd_listen(const ln_addr *at, const ln_listen_options *options, int *out, ln_addr *bound,
    bool *made_file) {
    bool tcp = at->sa.sa_family != AF_UNIX;
    int fd = socket(at->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) return LINNET_ERR_SYS;

    int err = tcp ? bind_tcp(fd, at, options) : bind_unix(fd, at, options);
    if (err < 0) return fail(fd, err);
    if (listen(fd, options->backlog ? options->backlog : BACKLOG_DEFAULT) == -1)
        return fail(fd, errno == EADDRINUSE ? LINNET_ERR_EXISTS : LINNET_ERR_SYS);
    if (bound) {
        bound->size = sizeof bound->storage;
        if (getsockname(fd, &bound->sa, &bound->size) == -1) return fail(fd, LINNET_ERR_SYS);
    }
    *made_file = file_of(at) != NULL;
    *out = fd;
    return LINNET_OK;
}

/* Our file goes with us, but not one that somebody else has put in its place meanwhile: on
 * theirs somebody answers. */
void ln_fd_close_listener(int fd, bool made_file) {
    ln_addr at = { .size = sizeof at.storage };
    bool known = made_file && getsockname(fd, &at.sa, &at.size) == 0;
    close(fd);
    if (known) remove_stale(&at);
}

static bool refused_at_once(int number) {
    switch (number) {
    case ECONNREFUSED:
    case EAGAIN: /* Unix: its backlog is full */
    case ENOENT: /* Unix: no such file */
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
    case ECONNRESET:
    case EACCES:
    case EPERM: return true;
    default: return false;
    }
}

int ln_fd_connect(const ln_addr *to, const ln_addr *from, int *out) {
    int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) return LINNET_ERR_SYS;
    if (to->sa.sa_family != AF_UNIX && set(fd, IPPROTO_TCP, TCP_NODELAY, 1) == -1)
        return fail(fd, LINNET_ERR_SYS);
    if (from) {
        /* The port is chosen by connect, when the peer is known: otherwise one source address
         * is good for 28,000 connections only, to all peers together. */
        if (ln_addr_port(from) == 0 && from->sa.sa_family != AF_UNIX)
            (void)set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
        if (bind(fd, &from->sa, from->size) == -1) return fail(fd, LINNET_ERR_SYS);
    }
    if (connect(fd, &to->sa, to->size) == -1 && errno != EINPROGRESS && errno != EINTR)
        return fail(fd, refused_at_once(errno) ? LINNET_ERR_CONNECT : LINNET_ERR_SYS);
    *out = fd;
    return LINNET_OK;
}

void ln_fd_abort(int fd) {
    struct linger none = { .l_onoff = 1, .l_linger = 0 };
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

int ln_fd_prepare(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1) return LINNET_ERR_SYS;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1) return LINNET_ERR_SYS;
    (void)set(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* fails on Unix sockets, where it is not needed */
    return LINNET_OK;
}

bool ln_fd_is_stream(int fd, bool listens) {
    int type = 0, listening = 0;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == -1 || type != SOCK_STREAM)
        return false;
    size = sizeof listening;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 &&
           listens == (listening != 0);
}

void ln_sock_tune(const ln_sock *sock, uint32_t notsent_lowat, uint32_t user_timeout_ms) {
    if (sock->flags & LN_SOCK_LINKED || sock->fd < 0) return;
    if (notsent_lowat) (void)set(sock->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)notsent_lowat);
    if (user_timeout_ms) (void)set(sock->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)user_timeout_ms);
}

int ln_sock_peer(const ln_sock *sock, ln_addr *out) {
    if (sock->flags & LN_SOCK_LINKED) {
        *out = ((const ln_link *)sock->link)->peer;
        return LINNET_OK;
    }
    out->size = sizeof out->storage;
    return getpeername(sock->fd, &out->sa, &out->size) == -1 ? LINNET_ERR_SYS : LINNET_OK;
}
