/* embed_in_poll.c -- Linnet inside a loop you have already: one descriptor to poll, one call to
 * turn.
 *
 *     build/release/examples/embed_in_poll --listen 127.0.0.1:9003
 *     linnet connect ws://127.0.0.1:9003/        your loop's own lines on stdin reach everybody
 */
#include <linnet/linnet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void on_open(linnet_conn *conn) {
    linnet_conn_subscribe(conn, linnet_str("all"));
}

int main(int argc, char **argv) {
    const char *address = argc == 3 && strcmp(argv[1], "--listen") == 0 ? argv[2] : ":9003";
    linnet_server_options options = LINNET_SERVER_OPTIONS_INIT;
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    linnet_server *server;
    linnet_loop *loop;
    char bound[128], line[1024];

    if (linnet_loop_new(NULL, &loop) < 0) return 1;
    options.loop = loop;
    route.events.on_open = on_open;
    if (linnet_server_new(&options, &server) < 0) return 1;
    linnet_server_ws(server, "/", &route);
    if (linnet_server_listen(server, address, NULL, bound) < 0 || linnet_server_start(server) < 0) {
        fprintf(stderr, "%s\n", linnet_server_error(server));
        return 1;
    }
    printf("listening on ws://%s\n", bound);
    fflush(stdout);

    struct pollfd fds[] = { { .fd = linnet_loop_fd(loop), .events = POLLIN },
        { .fd = STDIN_FILENO, .events = POLLIN } };
    while (!linnet_server_stopped(server)) {
        if (poll(fds, 2, -1) < 0) break;
        if (fds[0].revents) linnet_loop_turn(loop, 0);
        if (!fds[1].revents) continue;
        ssize_t n = read(STDIN_FILENO, line, sizeof line);
        if (n > 0) {
            linnet_slice said = { (const uint8_t *)line, (size_t)n };
            linnet_server_publish(server, linnet_str("all"), LINNET_TEXT, said);
        } else { /* end of input: say goodbye to all and go */
            linnet_server_stop(server, 1001);
            fds[1].fd = -1;
        }
        linnet_loop_turn(loop, 0);
    }
    linnet_server_free(server);
    linnet_loop_free(loop);
    return 0;
}
