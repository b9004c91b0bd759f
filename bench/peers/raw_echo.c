/* raw_echo.c -- the limit for echo: every byte goes back, nothing is looked at.
 *
 * One thread, one listener, level-triggered epoll, one recv and one send per
 * event. Whatever a WebSocket server does beside this is its own cost. It sends
 * the mask of each frame back as well (4 bytes that a WebSocket server strips),
 * because leaving it out would need a parser.
 */
#include "raw.h"

enum { READ_MAX = 512 * 1024 };

static raw_conn conns[RAW_FDS_MAX];
static uint8_t buffer[READ_MAX];

static void opened(int fd) {
    (void)fd;
}

static bool readable(int ep, int fd) {
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n == -1) return errno == EAGAIN;
    if (n == 0) return false;
    return raw_send(ep, fd, &conns[fd], buffer, (size_t)n, 0);
}

int main(int argc, char **argv) {
    uint16_t port = peer_port(argc, argv);
    int listener = peer_listen(&port);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    raw_watch(ep, EPOLL_CTL_ADD, listener, EPOLLIN);
    peer_ready("tcp", port);

    static struct epoll_event events[RAW_EVENTS];
    for (;;) {
        int n = epoll_wait(ep, events, RAW_EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                raw_accept(ep, listener, opened);
                continue;
            }
            bool alive = conns[fd].waiting ? raw_flush(ep, fd, &conns[fd]) : readable(ep, fd);
            if (!alive) raw_close(fd, &conns[fd]);
        }
    }
}
