/* chat.c -- a room per path, with raw topics: what one says, all in the room hear.
 *
 *     build/release/examples/chat --listen 127.0.0.1:9002
 *     linnet connect ws://127.0.0.1:9002/room/tea        in two terminals; lines appear in both
 */
#include <linnet/linnet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct member {
    size_t size;
    uint8_t room[256];
} member;

static linnet_server *server;

static linnet_slice room_of(const member *m) {
    return (linnet_slice){ m->room, m->size };
}

/* The room is the path; who asks for too long a one is turned away before the 101. */
static linnet_verdict on_upgrade(linnet_upgrade *upgrade, void *user) {
    linnet_slice path = linnet_upgrade_path(upgrade);
    member *m = path.size <= 255 ? malloc(sizeof *m) : NULL;
    if (!m) {
        linnet_upgrade_reject(upgrade, 400, "room names have at most 249 bytes\n");
        return LINNET_REJECT;
    }
    m->size = path.size;
    memcpy(m->room, path.data, path.size);
    linnet_upgrade_accept(upgrade, m, NULL);
    return LINNET_ACCEPT;
}

static void on_open(linnet_conn *conn) {
    linnet_conn_subscribe(conn, room_of(linnet_conn_user(conn)));
    linnet_conn_send(conn, LINNET_TEXT, linnet_str("welcome; say something"));
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    linnet_conn_publish(conn, room_of(linnet_conn_user(conn)), opcode, data);
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    free(linnet_conn_user(conn));
}

static void on_signal(int signal_number) {
    linnet_server_stop(server, 1001);
}

int main(int argc, char **argv) {
    const char *address = argc == 3 && strcmp(argv[1], "--listen") == 0 ? argv[2] : ":9002";
    linnet_server_options options = LINNET_SERVER_OPTIONS_INIT;
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    char bound[128];

    route.on_upgrade = on_upgrade;
    route.events.on_open = on_open;
    route.events.on_message = on_message;
    route.events.on_close = on_close;
    if (linnet_server_new(&options, &server) < 0) return 1;
    linnet_server_ws(server, "/room/*", &route);
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
