/* adopt_socket.c -- your own HTTP server in front: it accepts, reads, and hands over what is meant
 * for WebSocket together with the bytes it has read.
 *
 *     build/release/examples/adopt_socket 9004
 *     curl http://127.0.0.1:9004/                 answered by the "old" server
 *     linnet connect ws://127.0.0.1:9004/live     the same port, answered by Linnet
 */
#include <arpa/inet.h>
#include <linnet/linnet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    linnet_conn_send(conn, opcode, data);
}

static int listen_on(uint16_t port) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, size) < 0 || listen(fd, 64) < 0) return -1;
    getsockname(fd, (struct sockaddr *)&at, &size);
    printf("listening on http://127.0.0.1:%u\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

/* The old server knows one page. What asks for /live is not its business. */
static void handle(linnet_server *server, int fd) {
    static const char page[] = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n"
                               "Connection: close\r\n\r\nan old page\n";
    char head[4096];
    ssize_t n = read(fd, head, sizeof head);
    if (n > 9 && memcmp(head, "GET /live", 9) == 0) {
        linnet_slice read_so_far = { (const uint8_t *)head, (size_t)n };
        if (linnet_server_adopt(server, fd, read_so_far) == LINNET_OK) return; /* taken */
    } else if (n > 0) {
        if (write(fd, page, sizeof page - 1) < 0) perror("write");
    }
    close(fd);
}

int main(int argc, char **argv) {
    linnet_server_options options = LINNET_SERVER_OPTIONS_INIT;
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    linnet_server *server;

    options.workers = 1;
    route.events.on_message = on_message;
    if (linnet_server_new(&options, &server) < 0) return 1;
    linnet_server_ws(server, "/live", &route);
    if (linnet_server_start(server) < 0) return 1; /* its threads; no listener of its own */

    int listener = listen_on((uint16_t)(argc > 1 ? strtoul(argv[1], NULL, 10) : 9004));
    for (int fd; listener >= 0 && (fd = accept(listener, NULL, NULL)) >= 0;)
        handle(server, fd);
    perror("adopt_socket"); /* it ends with its listener only */
    linnet_server_free(server);
    return 1;
}
