/* fetch_test.h -- a server that does what it is asked to do wrong, in a thread of its own. The path
 * says what: see `answers`. One connection at a time.
 */
#ifndef LN_FETCH_FETCH_TEST_H
#define LN_FETCH_FETCH_TEST_H
#include "base/testing.h"
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct faulty {
    int listener, stop[2];
    uint16_t port;
    SSL_CTX *tls; /* NULL: plain */
    pthread_t thread;
    atomic_int connections, requests;
    _Atomic(const char *) set; /* what /set answers, headers and all; NULL: nothing */
} faulty;

typedef struct faulty_peer {
    int fd, stop;
    SSL *ssl;
} faulty_peer;

/* False: the other side has gone, or the test is over. */
static inline bool faulty_wait(const faulty_peer *p, short events) {
    struct pollfd fds[] = { { p->fd, events, 0 }, { p->stop, POLLIN, 0 } };
    return poll(fds, 2, 10000) > 0 && !fds[1].revents;
}

static inline ssize_t faulty_read(const faulty_peer *p, char *out, size_t room) {
    if (p->ssl) return SSL_read(p->ssl, out, (int)room);
    return faulty_wait(p, POLLIN) ? recv(p->fd, out, room, 0) : -1;
}

static inline bool faulty_write(const faulty_peer *p, const char *data, size_t size) {
    if (p->ssl) return SSL_write(p->ssl, data, (int)size) == (int)size;
    while (size) {
        if (!faulty_wait(p, POLLOUT)) return false;
        ssize_t n = send(p->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) continue;
        if (n < 0) return false;
        data += n;
        size -= (size_t)n;
    }
    return true;
}

static inline bool faulty_say(const faulty_peer *p, const char *text) {
    return faulty_write(p, text, strlen(text));
}

static inline bool faulty_echo(const faulty_peer *p, const char *body, size_t size) {
    char head[128];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
    return faulty_say(p, head) && faulty_write(p, body, size);
}

static inline bool faulty_endless(const faulty_peer *p, const char *head, const char *again) {
    bool on = faulty_say(p, head);
    while (on)
        on = faulty_say(p, again);
    return false;
}

static inline void faulty_reset(const faulty_peer *p) {
    struct linger now = { 1, 0 };
    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/* Whether the connection goes on. */
static inline bool faulty_answer(
    const faulty_peer *p, const char *path, const char *body, size_t size) {
    static const char kilobyte[] =
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde";
    static const struct {
        const char *path, *text;
        bool stays;
    } answers[] = {
        { "/ok", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true },
        { "/allow", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", true },
        { "/deny", "HTTP/1.1 403 No\r\nContent-Length: 24\r\n\r\n{\"error\":{\"code\": 1200}}",
            true },
        { "/data", "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"data\":[7]}", true },
        { "/500", "HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nno\n", true },
        { "/301", "HTTP/1.1 301 There\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n", true },
        { "/bye", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false },
        { "/short", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok", false },
        { "/garbage", "\1\2\3 this is no HTTP\r\n\r\n", false },
        { "/nothing", "", false },
        { "/huge", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", true },
    };
    for (size_t i = 0; i < LN_COUNT(answers); i++)
        if (strcmp(path, answers[i].path) == 0)
            return faulty_say(p, answers[i].text) && answers[i].stays;
    if (strcmp(path, "/echo") == 0) return faulty_echo(p, body, size);
    if (strcmp(path, "/endless") == 0)
        return faulty_endless(p, "HTTP/1.1 200 OK\r\n\r\n", kilobyte);
    if (strcmp(path, "/heads") == 0)
        return faulty_endless(p, "HTTP/1.1 200 OK\r\n", "X-More: and more and more and more\r\n");
    if (strcmp(path, "/slow") == 0) return faulty_wait(p, POLLIN), false;
    if (strcmp(path, "/reset") == 0) faulty_reset(p);
    return false;
}

static inline bool faulty_request(faulty *s, const faulty_peer *p) {
    char data[200000];
    size_t size = 0, length = 0;
    const char *end = NULL;
    while (!end) {
        ssize_t n = faulty_read(p, data + size, sizeof data - 1 - size);
        if (n <= 0) return false;
        size += (size_t)n;
        data[size] = 0;
        end = strstr(data, "\r\n\r\n");
    }
    const char *said = strstr(data, "Content-Length: ");
    if (said && said < end) length = strtoul(said + 16, NULL, 10);
    end += 4;
    while (size - (size_t)(end - data) < length) {
        ssize_t n = faulty_read(p, data + size, sizeof data - 1 - size);
        if (n <= 0) return false;
        size += (size_t)n;
    }
    atomic_fetch_add(&s->requests, 1);
    char *path = strchr(data, ' '), *rest = path ? strchr(path + 1, ' ') : NULL;
    if (!rest) return false;
    *rest = 0;
    const char *set = atomic_load(&s->set);
    if (strcmp(path + 1, "/set") == 0 && set) return faulty_say(p, set);
    return faulty_answer(p, path + 1, end, length);
}

static inline void faulty_serve(faulty *s, int fd) {
    faulty_peer p = { .fd = fd, .stop = s->stop[0] };
    struct timeval t = { 5, 0 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    atomic_fetch_add(&s->connections, 1);
    bool on = true;
    if (s->tls) {
        p.ssl = SSL_new(s->tls);
        SSL_set_fd(p.ssl, fd);
        on = SSL_accept(p.ssl) == 1;
    }
    while (on)
        on = faulty_request(s, &p);
    if (p.ssl) {
        SSL_shutdown(p.ssl);
        SSL_free(p.ssl);
    }
    close(fd);
}

static inline void *faulty_run(void *arg) {
    faulty *s = arg;
    sigset_t pipe_signal; /* of this thread's TLS; what is under test must not cause one */
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
    for (;;) {
        struct pollfd fds[] = { { s->listener, POLLIN, 0 }, { s->stop[0], POLLIN, 0 } };
        if (poll(fds, 2, -1) < 0 || fds[1].revents) return NULL;
        int fd = accept(s->listener, NULL, NULL);
        if (fd >= 0) faulty_serve(s, fd);
    }
}

static inline void faulty_start(faulty *s, const char *cert, const char *key) {
    *s = (faulty){ .listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    assert_int_equal(bind(s->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->listener, 64), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&at, &size), 0);
    s->port = ntohs(at.sin_port);
    if (cert) {
        s->tls = SSL_CTX_new(TLS_server_method());
        assert_int_equal(SSL_CTX_use_certificate_file(s->tls, cert, SSL_FILETYPE_PEM), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(s->tls, key, SSL_FILETYPE_PEM), 1);
    }
    assert_int_equal(pipe(s->stop), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, faulty_run, s), 0);
}

static inline void faulty_stop(faulty *s) {
    assert_int_equal(write(s->stop[1], "x", 1), 1);
    pthread_join(s->thread, NULL);
    close(s->listener);
    close(s->stop[0]);
    close(s->stop[1]);
    SSL_CTX_free(s->tls);
}
#endif
