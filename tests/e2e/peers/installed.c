/* A stranger's echo server, as C sees the installed library. */
#include <linnet/linnet.h>
#include <signal.h>
#include <stdio.h>

static linnet_server *server;

static void on_term(int signal) {
    (void)signal;
    linnet_server_stop(server, 0);
}

static void echo(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    linnet_conn_send(conn, opcode, data);
}

int main(void) {
    linnet_server_options options = LINNET_SERVER_OPTIONS_INIT;
    options.workers = 1;
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    route.events.on_message = echo;
    char bound[128];
    if (linnet_server_new(&options, &server) < 0) return 1;
    if (linnet_server_ws(server, "/", &route) < 0) return 1;
    if (linnet_server_listen(server, "127.0.0.1:0", NULL, bound) < 0) return 1;
    signal(SIGTERM, on_term);
    if (linnet_server_start(server) < 0) return 1;
    printf("listening on ws://%s\n", bound);
    fflush(stdout);
    int err = linnet_server_join(server);
    linnet_server_free(server);
    return err < 0;
}
