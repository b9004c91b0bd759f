/* plain_text.c -- a server of plain texts: a welcome, an answer, a broadcast to all, and another to
 * all but the sender.
 *
 *     build/release/examples/plain_text --listen 127.0.0.1:9006
 *     linnet connect ws://127.0.0.1:9006/      in two terminals; what one says, both see
 *
 * One worker, so that all connections can stand in one list; with more, raw topics (chat.c) reach
 * those of other workers too. A message is sent to each by linnet_conn_send, which never blocks:
 * who does not read is closed when 1 MiB waits, and the others do not notice.
 */
#include <linnet/linnet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct client {
    struct client *next, **at;
    linnet_conn *conn;
} client;

static linnet_server *server;
static client *clients;

static void on_open(linnet_conn *conn) {
    client *c = malloc(sizeof *c);
    if (!c) {
        linnet_conn_close(conn, 1011, "no memory");
        return;
    }
    *c = (client){ clients, &clients, conn };
    if (clients) clients->at = &c->next;
    clients = c;
    linnet_conn_set_user(conn, c);
    linnet_conn_send(conn, LINNET_TEXT, linnet_str("Welcome to the server!"));
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    client *c = linnet_conn_user(conn);
    if (!c) return;
    *c->at = c->next;
    if (c->next) c->next->at = c->at;
    free(c);
}

/* To all, or to all but one. Somebody who is closing is no matter: nothing is sent to him. */
static void broadcast(linnet_opcode opcode, linnet_slice data, const linnet_conn *but) {
    for (client *c = clients; c; c = c->next)
        if (c->conn != but) linnet_conn_send(c->conn, opcode, data);
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    if (opcode == LINNET_TEXT) {
        size_t size = data.size + 10;
        char *answer = malloc(size);
        if (answer) {
            memcpy(answer, "You said: ", 10);
            if (data.size) memcpy(answer + 10, data.data, data.size);
            linnet_conn_send(conn, opcode, (linnet_slice){ (uint8_t *)answer, size });
        }
        free(answer);
    }
    broadcast(opcode, data, NULL);
    broadcast(opcode, data, conn);
}

static void on_signal(int signal_number) {
    linnet_server_stop(server, 1001);
}

int main(int argc, char **argv) {
    const char *address = argc == 3 && strcmp(argv[1], "--listen") == 0 ? argv[2] : ":9006";
    linnet_server_options options = LINNET_SERVER_OPTIONS_INIT;
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    char bound[128];

    options.workers = 1;
    route.events.on_open = on_open;
    route.events.on_message = on_message;
    route.events.on_close = on_close;
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
