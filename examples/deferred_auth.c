/* deferred_auth.c -- ask somebody slow before the upgrade, without holding up anybody else.
 *
 *     build/release/examples/deferred_auth --listen 127.0.0.1:9005
 *     linnet connect 'ws://127.0.0.1:9005/?token=wren'      open, and greeted by name
 *     linnet connect 'ws://127.0.0.1:9005/?token=cuckoo'    401
 */
#include <linnet/linnet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct question {
    linnet_conn_id id;
    char token[64];
} question;

static linnet_server *server;

/* Stands for a database or another service: it takes its time, in a thread of its own. */
static void *ask(void *arg) {
    question *q = arg;
    nanosleep(&(struct timespec){ .tv_nsec = 50 * 1000 * 1000 }, NULL);
    if (strcmp(q->token, "wren") == 0) {
        char *name = strdup("wren"); /* comes to on_open, or to on_abandon */
        if (linnet_server_accept(server, q->id, name, NULL) < 0) free(name);
    } else {
        linnet_server_reject(server, q->id, 401, "this token is not known\n");
    }
    free(q);
    return NULL;
}

static linnet_verdict on_upgrade(linnet_upgrade *upgrade, void *user) {
    linnet_slice token = linnet_upgrade_query(upgrade, "token");
    question *q = token.size < sizeof q->token ? calloc(1, sizeof *q) : NULL;
    pthread_t thread;
    if (!q) return LINNET_REJECT;
    q->id = linnet_upgrade_id(upgrade);
    if (token.size) memcpy(q->token, token.data, token.size);
    if (pthread_create(&thread, NULL, ask, q) != 0) {
        free(q);
        linnet_upgrade_reject(upgrade, 503, NULL);
        return LINNET_REJECT;
    }
    pthread_detach(thread);
    return LINNET_DEFER;
}

static void on_open(linnet_conn *conn) {
    char greeting[64];
    snprintf(greeting, sizeof greeting, "welcome, %s", (const char *)linnet_conn_user(conn));
    linnet_conn_send(conn, LINNET_TEXT, linnet_str(greeting));
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    free(linnet_conn_user(conn));
}

static void on_signal(int signal_number) {
    linnet_server_stop(server, 1001);
}

int main(int argc, char **argv) {
    const char *address = argc == 3 && strcmp(argv[1], "--listen") == 0 ? argv[2] : ":9005";
    linnet_server_options options = LINNET_SERVER_OPTIONS_INIT;
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    char bound[128];

    route.on_upgrade = on_upgrade;
    route.events.on_open = on_open;
    route.events.on_close = on_close;
    if (linnet_server_new(&options, &server) < 0) return 1;
    linnet_server_on_abandon(server, free);
    linnet_server_ws(server, "/", &route);
    if (linnet_server_listen(server, address, NULL, bound) < 0) {
        fprintf(stderr, "%s\n", linnet_server_error(server));
        return 1;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    printf("listening on ws://%s\n", bound);
    fflush(stdout);
    return linnet_server_run(server) < 0;
}
