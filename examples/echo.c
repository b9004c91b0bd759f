/* echo.c -- the smallest server: every message goes back to whoever sent it.
 *
 *     build/release/examples/echo --listen 127.0.0.1:9001
 *     linnet connect ws://127.0.0.1:9001/        type a line, see it again
 */
#include <linnet/linnet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static linnet_server *server;

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    linnet_conn_send(conn, opcode, data);
}

static void on_signal(int signal_number) {
    linnet_server_stop(server, 1001);
}

int main(int argc, char **argv) {
    const char *address = argc == 3 && strcmp(argv[1], "--listen") == 0 ? argv[2] : ":9001";
    linnet_server_options options = LINNET_SERVER_OPTIONS_INIT;
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    char bound[128];

    route.events.on_message = on_message;
    if (linnet_server_new(&options, &server) < 0) return 1;
    linnet_server_ws(server, "/", &route);
    if (linnet_server_listen(server, address, NULL, bound) < 0) {
        fprintf(stderr, "%s\n", linnet_server_error(server));
        return 1;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    printf("listening on ws://%s\n", bound);
    fflush(stdout);

    int err = linnet_server_run(server);
    linnet_server_free(server);
    return err < 0;
}
