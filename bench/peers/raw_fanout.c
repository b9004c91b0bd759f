/* raw_fanout.c -- the limit for fan-out: what a publisher sends goes to everyone.
 *
 * The first byte of a connection says what it is: 'S' subscribes, 'P' publishes.
 * A subscriber gets an 'S' for that and for whatever it sends later, so that it
 * knows, and so that TCP sees a dialogue as on a WebSocket. All that publishers
 * sent in one turn goes to each subscriber in one send, as it came: a publisher
 * sends finished frames. With several publishers at once a frame that is cut by
 * a read could be torn by another's; use one.
 */
#include "raw.h"

enum { READ_MAX = 512 * 1024, TURN_MAX = 2 * READ_MAX };

static raw_conn conns[RAW_FDS_MAX];
static uint8_t role[RAW_FDS_MAX]; /* 0: not told yet, 'S', 'P' */
static int subscribers[RAW_FDS_MAX];
static int place[RAW_FDS_MAX]; /* of a subscriber in the list */
static int subscriber_count;
static uint8_t turn[TURN_MAX]; /* what was published in this turn */
static size_t turn_len;

static void opened(int fd) {
    role[fd] = 0;
}

static void drop(int fd) {
    if (role[fd] == 'S') {
        int last = subscribers[--subscriber_count];
        subscribers[place[fd]] = last;
        place[last] = place[fd];
    }
    role[fd] = 0;
    raw_close(fd, &conns[fd]);
}

static void subscribe(int fd) {
    place[fd] = subscriber_count;
    subscribers[subscriber_count++] = fd;
    if (send(fd, "S", 1, MSG_NOSIGNAL) != 1) drop(fd);
}

static void fan_out(int ep) {
    /* Backwards, because drop() moves the last one into the gap. */
    for (int i = subscriber_count - 1; i >= 0; i--) {
        int fd = subscribers[i];
        if (!raw_send(ep, fd, &conns[fd], turn, turn_len, EPOLLIN)) drop(fd);
    }
    turn_len = 0;
}

static void readable(int ep, int fd) {
    if (role[fd] == 0) {
        uint8_t first;
        ssize_t got = recv(fd, &first, 1, 0);
        if (got == -1 && errno == EAGAIN) return;
        if (got != 1 || (first != 'S' && first != 'P')) {
            drop(fd);
            return;
        }
        role[fd] = first;
        if (first == 'S') subscribe(fd);
        return;
    }
    if (TURN_MAX - turn_len < READ_MAX) fan_out(ep);
    ssize_t n = recv(fd, turn + turn_len, READ_MAX, 0);
    if (n == -1 && errno == EAGAIN) return;
    if (n <= 0) {
        drop(fd);
    } else if (role[fd] == 'P') {
        turn_len += (size_t)n;
    } else if (send(fd, "S", 1, MSG_NOSIGNAL) != 1) {
        drop(fd);
    }
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
            } else if ((events[i].events & EPOLLOUT) && conns[fd].waiting) {
                if (!raw_flush(ep, fd, &conns[fd])) drop(fd);
            } else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                readable(ep, fd);
            }
        }
        if (turn_len) fan_out(ep);
    }
}
